"""What the models of points share: the network, and how each is trained step by step."""

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from genmodels.base import check_number, generator
from genmodels.plane.points import check_points

BATCH = 256
SCALE = 2.0  # points of the square are multiplied by this, so that their spread is about that of the noise
MAX_STEPS = 20_000


class Diverged(ValueError):
    """The loss became infinite or NaN: the learning rate is too large."""


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
        return [torch.optim.Adam(self.parameters(), lr=rate)]

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
        raise ValueError("This family has no density.")


class Training(NamedTuple):
    """A state of `fit_steps`. step: updates so far; losses: means since the last state; model: as it is now."""

    step: int
    losses: dict[str, float]
    model: PlaneModel


@torch.inference_mode(False)
@torch.enable_grad()
def fit_steps(
    model: PlaneModel,
    points: Tensor,
    *,
    steps: int = 2000,
    rate: float | Sequence[tuple[int, float]] = 2e-3,
    seed: int = 0,
    every: int = 20,
) -> Iterator[Training]:
    """Train a model of points: yields a `Training` before the first step, after each `every` steps and after the last.

    Arguments:
        points: float tensor (N, 2) in [-1, 1], 16 to 2,000 of them, not all equal.
        steps: 1 to 20,000.
        rate: learning rate, 1e-6 to 1; or pairs (step, rate), from which step on each counts, beginning with step 0.
        seed: of batches and noise.
        every: 1 to 1,000 steps.
    Raises:
        ValueError: one sentence on what is allowed. Diverged: the loss became infinite or NaN.
    """
    x, steps = check_points(points), check_number("steps", steps, 1, MAX_STEPS, whole=True)
    every, rates = check_number("every", every, 1, 1000, whole=True), _rates(rate)
    g = generator(seed)
    optimizers = model.optimizers(rates[0])
    sums: dict[str, float] = {}
    yield Training(0, {}, model)
    for step in range(1, steps + 1):
        if step - 1 in rates:
            for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                group["lr"] = rates[step - 1]
        losses = model.update(x[torch.randint(len(x), (BATCH,), generator=g)], optimizers, g)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item()
        if not all(map(math.isfinite, sums.values())):
            raise Diverged(f"The loss became infinite after {step} steps: choose a smaller learning rate.")
        if step % every == 0 or step == steps:
            n = (step - 1) % every + 1
            yield Training(step, {name: total / n for name, total in sums.items()}, model)
            sums = {}


def _rates(rate):
    """{step: learning rate from there on}."""
    pairs = [(0, rate)] if isinstance(rate, (int, float)) else list(rate)
    rates = {check_number("step", step, 0, MAX_STEPS, whole=True): check_number("rate", r, 1e-6, 1) for step, r in pairs}
    if 0 not in rates:
        raise ValueError("rate must begin with that of step 0.")
    return rates
