"""Flow matching of points: a network learns the velocity of straight paths from noise to points, E|v(x_t, t) - (x - z)|^2.

Lipman et al., Flow matching for generative modeling (2023), https://arxiv.org/abs/2210.02747; Liu, Gong and Liu, Flow straight
and fast (2023), https://arxiv.org/abs/2209.03003.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genmodels.base import check_number, generator
from genmodels.plane.base import SCALE, PlaneModel, arrows, network, paths, time_features
from genmodels.plane.ode import euler, log_density

FEW = 2  # steps, which show how straight the paths are


class PlaneFlowMatching(PlaneModel):
    """x_t = (1 - t) z + t x, for t from 0 (noise) to 1 (a point)."""

    has_density = True

    def __init__(self, width: int = 64, depth: int = 3, seed: int = 0):
        super().__init__(width, depth, seed)
        self.net = network(2 + 8, 2, width, depth, self.initial)

    def loss(self, x: Tensor, g: torch.Generator) -> Tensor:
        t = torch.rand(len(x), 1, generator=g)
        z, x = torch.randn(x.shape, generator=g), SCALE * x
        return (self._velocity((1 - t) * z + t * x, t[:, 0]) - (x - z)).square().sum(1).mean()

    def _velocity(self, x, t):
        return self.net(torch.cat([x, time_features(t)], 1))

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """Of points x (B, 2), in the network's scale, at time t."""
        return self._velocity(x, x.new_full((len(x),), t))

    @torch.no_grad()
    def sample_steps(self, n: int, *, steps: int = 30, seed: int | None = None) -> Iterator[Tensor]:
        """The points (n, 2) from noise to the end: `steps` + 1 of them, by Euler's method."""
        n, steps = check_number("n", n, 1, 10_000, whole=True), check_number("steps", steps, 1, 1000, whole=True)
        z = torch.randn(n, 2, generator=generator(seed))
        yield from (x / SCALE for x in euler(self.velocity, z, [i / steps for i in range(steps + 1)]))

    def sample(self, n: int, *, steps: int = 30, seed: int | None = None) -> Tensor:
        *_, last = self.sample_steps(n, steps=steps, seed=seed)
        return last

    def log_prob(self, x: Tensor, steps: int = 20) -> Tensor:
        z, change = log_density(self.velocity, SCALE * x, [1 - i / steps for i in range(steps + 1)])
        return -z.square().sum(1) / 2 - math.log(2 * math.pi) + change + 2 * math.log(SCALE)

    @torch.no_grad()
    def inside(self, points: Tensor, *, noise: float = 0.5, steps: int = 30) -> dict[str, Tensor]:
        field = arrows(lambda x: self.velocity(x, 1 - noise))
        many, few = (paths(self.sample_steps(24, steps=k, seed=0)) for k in (steps, FEW))
        return {"arrows": field, "paths": many, "few": few}
