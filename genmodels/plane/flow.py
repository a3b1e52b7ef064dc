"""A normalizing flow of points: the couplings of `genmodels.flow`, small enough to be trained live. It minimizes -log p(x).

Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP (2017), https://arxiv.org/abs/1605.08803; the mixtures by Ho
et al., Flow++ (2019), https://arxiv.org/abs/1902.00275.
"""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from genmodels.base import check_number, generator
from genmodels.flow import Mixture, initial_bias, log_normal, mixture_inverse, mixture_transform
from genmodels.plane.base import PlaneModel, bent_grid, cells
from genmodels.plane.points import check_points

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

    def __init__(self, width: int = 32, depth: int = 2, seed: int = 0, components: int = 6, layers: int | None = None):
        super().__init__(width, depth, seed)
        layers = check_number("layers", 2 * self.depth if layers is None else layers, 1, 12, whole=True)
        self.couplings = nn.ModuleList(PlaneCoupling(i % 2, width, components, self.initial) for i in range(layers))

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


class PlaneStep(NamedTuple):
    """The state of a `PlaneFlow` in training.

    step: number of updates; seconds: since the start; nats: -log p per point, mean since the previous state.
    density: (64, 64), over the square, row 0 at the top.
    lines: (layers + 1, 18, 41, 2), a straight grid in noise space and its image after each inverse layer.
    plane: the flow itself.
    """

    step: int
    seconds: float
    nats: float
    density: Tensor
    lines: Tensor
    plane: PlaneFlow


@torch.inference_mode(False)
@torch.enable_grad()
def fit_plane(
    points: Tensor, *, seconds: float = 10.0, layers: int = 6, seed: int = 0, every: float = 0.3
) -> Iterator[PlaneStep]:
    """Train a `PlaneFlow` live: yields a `PlaneStep` at once, then about three per second, and at the end.

    Closing the generator stops it.

    Arguments:
        points: float tensor (N, 2) in [-1, 1], 16 to 2,000 of them.
        seconds: 0.5 to 20.
        layers: 1 to 12 couplings.
        seed: of initial weights and batches.
        every: seconds between two states, 0.05 to 20.
    """
    points = check_points(points).double()
    seconds, every = check_number("seconds", seconds, 0.5, 20), check_number("every", every, 0.05, 20)
    g = generator(seed)
    plane = PlaneFlow(layers=layers, seed=seed)
    optimizer = torch.optim.Adam(plane.parameters(), lr=5e-3)
    start = last_yield = time.monotonic()
    step = 0
    losses: list[float] = []
    nats = -plane.log_prob(points).mean().item()
    yield _plane_step(plane, 0, 0.0, nats)
    while (elapsed := time.monotonic() - start) < seconds:
        optimizer.param_groups[0]["lr"] = 5e-3 * (1 - elapsed / seconds)
        loss = plane.loss(points[torch.randint(len(points), (256,), generator=g)], g)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        losses.append(loss.item())
        if time.monotonic() - last_yield > every:
            nats = sum(losses) / len(losses)
            yield _plane_step(plane, step, time.monotonic() - start, nats)
            last_yield, losses = time.monotonic(), []
    if losses:  # else the last state was the last step
        nats = sum(losses) / len(losses)
    yield _plane_step(plane, step, time.monotonic() - start, nats)


@torch.no_grad()
def _plane_step(plane: PlaneFlow, step: int, seconds: float, nats: float) -> PlaneStep:
    side = (torch.arange(64, dtype=torch.float64) + 0.5) / 32 - 1
    centers = torch.stack([side.expand(64, 64), -side[:, None].expand(64, 64)], 2).view(-1, 2)  # of the density's cells
    along = torch.linspace(-2.5, 2.5, 41, dtype=torch.float64)
    across = torch.linspace(-2, 2, 9, dtype=torch.float64)
    vertical = torch.stack([across[:, None].expand(9, 41), along.expand(9, 41)], 2)  # (9, 41, 2)
    grid = torch.cat([vertical, vertical.flip(2)]).view(-1, 2)
    lines = torch.stack([points.view(18, 41, 2) for points in plane.decode_steps(grid)])
    return PlaneStep(step, seconds, nats, plane.log_prob(centers).exp().view(64, 64), lines, plane)
