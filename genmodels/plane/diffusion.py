"""A diffusion model of points: a network finds the noise in a noisy point, and minimizes E|eps - eps(x_t, t)|^2.

Ho, Jain and Abbeel, Denoising diffusion probabilistic models (2020), https://arxiv.org/abs/2006.11239; sampling by DDIM, Song,
Meng and Ermon (2021), https://arxiv.org/abs/2010.02502; the probability flow, which gives it a density, by Song et al.,
Score-based generative modeling through stochastic differential equations (2021), https://arxiv.org/abs/2011.13456.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from genmodels.base import check_number, generator
from genmodels.plane.base import SCALE, PlaneModel, arrows, network, paths, time_features
from genmodels.plane.ode import log_density

LATEST = (
    0.92  # where samples begin: an eighth of the point is left. At 1 nothing would be, and errors of the noise would explode
)
EARLIEST = 0.01


class PlaneDiffusion(PlaneModel):
    """x_t = cos(pi t / 2) x + sin(pi t / 2) eps, for t from 0 (a point) to 1 (noise)."""

    has_density = True

    def __init__(self, width: int = 64, depth: int = 3, seed: int = 0):
        super().__init__(width, depth, seed)
        self.net = network(2 + 8, 2, width, depth, self.initial)

    def noise(self, x: Tensor, t: Tensor) -> Tensor:
        """The noise in points x (B, 2), in the network's scale, at times t (B,)."""
        return self.net(torch.cat([x, time_features(t)], 1))

    def loss(self, x: Tensor, g: torch.Generator) -> Tensor:
        t = torch.rand(len(x), generator=g)
        eps = torch.randn(x.shape, generator=g)
        alpha, sigma = (t * math.pi / 2).cos()[:, None], (t * math.pi / 2).sin()[:, None]
        return (self.noise(alpha * SCALE * x + sigma * eps, t) - eps).square().sum(1).mean()

    def score(self, x: Tensor, t: float) -> Tensor:
        """The gradient of log p_t at points x (B, 2), in the network's scale: -eps / sigma."""
        return -self.noise(x, x.new_full((len(x),), t)) / math.sin(t * math.pi / 2)

    def velocity(self, x: Tensor, t: float) -> Tensor:
        """d x_t / dt of the probability flow: that of cos(pi t / 2) x_0 + sin(pi t / 2) eps, with the eps that is found."""
        alpha, sigma = math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
        eps = self.noise(x, x.new_full((len(x),), t))
        return math.pi / 2 * (alpha * eps - sigma * (x - sigma * eps) / alpha)

    @torch.no_grad()
    def sample_steps(self, n: int, *, steps: int = 30, seed: int | None = None) -> Iterator[Tensor]:
        """The points (n, 2) from noise to the end: `steps` + 1 of them. In one step from t to u by DDIM."""
        n, steps = check_number("n", n, 1, 10_000, whole=True), check_number("steps", steps, 1, 1000, whole=True)
        x = torch.randn(n, 2, generator=generator(seed))
        times = [LATEST * (steps - i) / steps for i in range(steps + 1)]
        yield x / SCALE
        for t, u in zip(times, times[1:]):
            alpha, sigma = math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)
            eps = self.noise(x, x.new_full((n,), t))
            x = math.cos(u * math.pi / 2) * (x - sigma * eps) / alpha + math.sin(u * math.pi / 2) * eps
            yield x / SCALE

    def sample(self, n: int, *, steps: int = 30, seed: int | None = None) -> Tensor:
        *_, last = self.sample_steps(n, steps=steps, seed=seed)
        return last

    def log_prob(self, x: Tensor, steps: int = 20) -> Tensor:
        times = [EARLIEST + (LATEST - EARLIEST) * i / steps for i in range(steps + 1)]
        z, change = log_density(self.velocity, SCALE * x, times)
        return -z.square().sum(1) / 2 - math.log(2 * math.pi) + change + 2 * math.log(SCALE)

    @torch.no_grad()
    def inside(self, points: Tensor, *, noise: float = 0.5, steps: int = 30) -> dict[str, Tensor]:
        field = arrows(lambda x: self.score(x, noise))
        return {"arrows": field, "paths": paths(self.sample_steps(24, steps=steps, seed=0))}
