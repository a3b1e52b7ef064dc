"""A normalizing flow of points: the couplings of `genmodels.flow`, small enough to be trained live. It minimizes -log p(x).

Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP (2017), https://arxiv.org/abs/1605.08803; the mixtures by Ho
et al., Flow++ (2019), https://arxiv.org/abs/1902.00275.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from genmodels.base import check_number, generator
from genmodels.flow import Mixture, initial_bias, log_normal, mixture_inverse, mixture_transform
from genmodels.plane.base import PlaneModel, bent_grid, cells

JITTER = 0.02  # noise on the points in training, so that the density does not collapse onto single points


class PlaneCoupling(nn.Module):
    """One coordinate of points (B, 2), float64, is transformed, conditioned on the other.

    Arguments:
        i: 0 or 1, the coordinate that changes.
        hidden: units of the network's two hidden layers.
        components: K.
        g: generator of the initial weights.
    """

    def __init__(self, i: int, hidden: int, components: int, g: torch.Generator):
        super().__init__()
        self.i = i
        sizes = [1, hidden, hidden, 3 * components]
        layers = [nn.utils.skip_init(nn.Linear, *pair, dtype=torch.float64) for pair in zip(sizes, sizes[1:])]
        for layer in layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=g)
            nn.init.normal_(layer.bias, generator=g)
        with torch.no_grad():
            layers[2].weight.mul_(0.1)
            layers[2].bias.copy_(initial_bias(components, 1.3))  # about N(0, 1), of which the transform is the identity
        self.net = nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])

    def _split(self, points: Tensor) -> tuple[Tensor, Tensor]:
        return points[:, self.i], points[:, 1 - self.i]

    def _join(self, target: Tensor, context: Tensor) -> Tensor:
        return torch.stack([target, context] if self.i == 0 else [context, target], 1)

    def _predict_mixture(self, context: Tensor) -> Mixture:
        return Mixture.from_raw(self.net(context[:, None]))

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(points with this coordinate transformed, log |det| (B,))"""
        target, context = self._split(points)
        z, log_derivative = mixture_transform(self._predict_mixture(context), target)
        return self._join(z, context), log_derivative

    def inverse(self, points: Tensor) -> Tensor:
        """The points of which `forward` made these."""
        z, context = self._split(points)
        return self._join(mixture_inverse(self._predict_mixture(context), z), context)


class PlaneFlow(PlaneModel):
    """A flow of points (B, 2) of the square [-1, 1]^2, float64: couplings that transform the two coordinates in turn.

    Arguments: depth: half the number of couplings; components: of each of their mixtures.
    """

    has_density = True
    SCALE = 2.5  # stretches the square to the width of the noise
    couplings: Any  # ModuleList of PlaneCoupling

    def __init__(self, width: int = 32, depth: int = 2, seed: int = 0, components: int = 6):
        super().__init__(width, depth, seed)
        self.couplings = nn.ModuleList(PlaneCoupling(i % 2, width, components, self.initial) for i in range(2 * self.depth))

    def loss(self, x: Tensor, g: torch.Generator) -> Tensor:
        return -self.log_prob(x.double() + JITTER * torch.randn(x.shape, generator=g, dtype=torch.float64)).mean()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        n = check_number("n", n, 1, 10_000, whole=True)
        return self.decode(torch.randn(n, 2, generator=generator(seed), dtype=torch.float64))

    def log_prob(self, points: Tensor) -> Tensor:
        """Log-density at points (B, 2), in nats: (B,)."""
        h, log_det = self.SCALE * points.double(), 2 * math.log(self.SCALE)
        for coupling in self.couplings:
            h, layer_log_det = coupling(h)
            log_det = log_det + layer_log_det
        return log_normal(h).sum(1) + log_det

    @torch.no_grad()
    def inside(self, points: Tensor, *, noise: float = 0.5, steps: int = 30) -> dict[str, Tensor]:
        density = self.log_prob(cells()).exp().view(32, 32)
        return {"map": (density / density.quantile(0.99).clamp(min=1e-9)).clamp(max=1).sqrt(), "lines": bent_grid(self.decode)}

    def decode(self, z: Tensor) -> Tensor:
        """The points made of noise z (B, 2)."""
        *_, points = self.decode_steps(z.double())
        return points

    def encode(self, points: Tensor) -> Tensor:
        """Points (B, 2) to noise z (B, 2)."""
        h = self.SCALE * points
        for coupling in self.couplings:
            h = coupling(h)[0]
        return h

    def decode_steps(self, z: Tensor) -> Iterator[Tensor]:
        """Noise z (B, 2) to points: yields (B, 2), scaled to the square, before the first layer and after each."""
        yield z / self.SCALE
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
            yield z / self.SCALE
