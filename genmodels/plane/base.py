"""What the models of points share: the network, and how each is trained step by step."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from genmodels.base import check_number, generator
from genmodels.messages import Message
from genmodels.plane.points import check_points

BATCH = 256
SCALE = 2.0  # points of the square are multiplied by this, so that their spread is about that of the noise
MAX_STEPS = 20_000
EXPLODED = 1e4  # a loss; those of models that learn are below a hundred


class Diverged(ValueError):
    """The loss exploded: the learning rate is too large."""


def network(inputs: int, outputs: int, width: int, depth: int, g: torch.Generator) -> nn.Sequential:
    """A multilayer perceptron with `depth` hidden layers of `width` units, whose initial weights come from g."""
    sizes = [inputs, *[width] * depth, outputs]
    layers: list[nn.Module] = []
    for fan_in, fan_out in zip(sizes, sizes[1:]):
        layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out)
        nn.init.normal_(layer.weight, std=(2 / (fan_in + fan_out)) ** 0.5, generator=g)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def time_features(t: Tensor) -> Tensor:
    """Times (B,) in [0, 1] as (B, 8): sines and cosines of four frequencies."""
    angle = t[:, None] * torch.tensor([1.0, 2.0, 4.0, 8.0]) * math.pi / 2
    return torch.cat([angle.sin(), angle.cos()], 1)


class PlaneModel(nn.Module):
    """A generative model of points (B, 2) of the square [-1, 1]^2. The textbook form of its family, on one screen.

    Arguments: width: 4 to 256 units of each hidden layer; depth: 1 to 5 hidden layers of each network; seed: of the weights.
    """

    has_density: ClassVar[bool] = False  # whether there is a `log_prob`

    def __init__(self, width: int = 64, depth: int = 2, seed: int = 0):
        super().__init__()
        self.width = check_number("width", width, 4, 256, whole=True)
        self.depth = check_number("depth", depth, 1, 5, whole=True)
        self.initial = generator(seed)  # of the weights, used by the constructors

    def loss(self, x: Tensor, g: torch.Generator) -> Tensor:
        """What is minimized on a batch x (B, 2), with noise from g."""
        raise NotImplementedError

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(self.parameters(), lr=rate, fused=True)]

    def update(self, x: Tensor, optimizers: list[torch.optim.Optimizer], g: torch.Generator) -> dict[str, Tensor]:
        """One training step on a batch x (B, 2). Returns the losses."""
        loss = self.loss(x, g)
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        return {"loss": loss.detach()}

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """n new points, (n, 2)."""
        raise NotImplementedError

    def log_prob(self, x: Tensor) -> Tensor:
        """Log-density, in nats, at points x (B, 2): (B,)."""
        raise ValueError(Message("This family has no density."))

    def inside(self, points: Tensor, *, noise: float = 0.5, steps: int = 30) -> dict[str, Tensor]:
        """What books show of the family, over the square: some of these parts.

        map: (32, 32), row 0 at the top, from 0 to 1; lines: (14, 21, 2), a straight grid of noise as the model bends it;
        arrows: (169, 2, 2), positions, and vectors of length up to 1, at a noise level from 0 (points) to 1;
        paths: (24, steps + 1, 2), of samples; few: (24, 3, 2), the same in two steps; codes: (N, 2), of points.
        """
        raise NotImplementedError


Rate = float | Sequence[tuple[int, float]]  # of learning; or from which step on which


class Training(NamedTuple):
    """A state of `fit_steps`. step: updates so far; losses: means since the last state; model: as it is now."""

    step: int
    losses: dict[str, float]
    model: PlaneModel


class Fit:
    """A training that can be continued and given other learning rates. Arguments and errors are those of `fit_steps`.

    step: updates so far; rates: {step: learning rate from there on}, whatever was set.
    """

    def __init__(self, model: PlaneModel, points: Tensor, *, rate: Rate = 2e-3, seed: int = 0):
        self.model, self.points, self.rates = model, check_points(points), _rates(rate)
        self.optimizers, self.g, self.step = model.optimizers(self.rates[0]), generator(seed), 0

    def set_rate(self, rate: float) -> None:
        """From the next step on."""
        self.rates[self.step] = check_number("rate", rate, 1e-6, 1)

    @torch.inference_mode(False)
    @torch.enable_grad()
    def advance(self, steps: int = 1) -> dict[str, float]:
        """Some updates. Returns the mean losses."""
        sums: dict[str, float] = {}
        for _ in range(steps):
            if self.step in self.rates:
                for group in (group for optimizer in self.optimizers for group in optimizer.param_groups):
                    group["lr"] = self.rates[self.step]
            batch = self.points[torch.randint(len(self.points), (BATCH,), generator=self.g)]
            losses = {name: loss.item() for name, loss in self.model.update(batch, self.optimizers, self.g).items()}
            self.step += 1
            if not all(abs(loss) < EXPLODED for loss in losses.values()):  # NaN is not either
                raise Diverged(Message("The loss exploded at step {step}: choose a smaller learning rate.", step=self.step))
            sums = {name: sums.get(name, 0.0) + loss for name, loss in losses.items()}
        return {name: total / steps for name, total in sums.items()}


def fit_steps(
    model: PlaneModel, points: Tensor, *, steps: int = 2000, rate: Rate = 2e-3, seed: int = 0, every: int = 20
) -> Iterator[Training]:
    """Train a model of points: yields a `Training` before the first step, after each `every` steps and after the last.

    Arguments:
        points: float tensor (N, 2) in [-1, 1], 16 to 2,000 of them, not all equal.
        steps: 1 to 20,000.
        rate: learning rate, 1e-6 to 1; or pairs (step, rate), from which step on each counts, beginning with step 0.
        seed: of batches and noise.
        every: 1 to 1,000 steps.
    Raises:
        ValueError: one sentence on what is allowed. Diverged: the loss exploded.
    """
    steps = check_number("steps", steps, 1, MAX_STEPS, whole=True)
    every, fit = check_number("every", every, 1, 1000, whole=True), Fit(model, points, rate=rate, seed=seed)
    yield Training(0, {}, model)
    while fit.step < steps:
        losses = fit.advance(min(every, steps - fit.step))
        yield Training(fit.step, losses, model)


def _rates(rate):
    """{step: learning rate from there on}."""
    pairs = [(0, rate)] if isinstance(rate, (int, float)) else list(rate)
    rates = {check_number("step", step, 0, MAX_STEPS, whole=True): check_number("rate", r, 1e-6, 1) for step, r in pairs}
    if 0 not in rates:
        raise ValueError(Message("rate must begin with that of step 0."))
    return rates


# --- What is drawn of a model -----------------------------------------------------------------------------------------


def cells(side: int = 32) -> Tensor:
    """Centers of side x side cells of the square, row 0 at the top: (side * side, 2)."""
    along = (torch.arange(side) + 0.5) * 2 / side - 1
    return torch.stack([along.expand(side, side), -along[:, None].expand(side, side)], 2).reshape(-1, 2)


def bent_grid(decode: Callable[[Tensor], Tensor], lines: int = 7, points: int = 21) -> Tensor:
    """What `decode` makes of a straight grid of noise: (2 lines, points, 2), the vertical lines first."""
    across, along = torch.linspace(-2, 2, lines)[:, None].expand(lines, points), torch.linspace(-2, 2, points)
    vertical = torch.stack([across, along.expand(lines, points)], 2)
    grid = torch.cat([vertical, vertical.flip(2)])
    return decode(grid.view(-1, 2)).view(grid.shape)


def arrows(field: Callable[[Tensor], Tensor], side: int = 13) -> Tensor:
    """A vector field on the square: (side * side, 2, 2), positions, and vectors with lengths from 0 to 1."""
    positions = cells(side)
    vectors = field(SCALE * positions)
    lengths = vectors.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return torch.stack([positions, vectors / lengths * torch.tanh(lengths / lengths.median())], 1)


def paths(states: Iterator[Tensor]) -> Tensor:
    """States (n, 2), one after another, as (n, states, 2)."""
    return torch.stack(list(states), 1)
