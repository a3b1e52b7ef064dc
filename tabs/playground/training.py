"""Training all families on the same points, live, and what each has learnt."""

import base64
import json
import math
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, programs
from tabs.components.playground import UNIT, Panel, Playground, pack_points, unpack_points
from tabs.controls import SEED, Controls, Seed, dropdown, radio, slider
from tabs.language import _

if TYPE_CHECKING:
    from torch import Tensor

FEWEST_POINTS, MOST_POINTS = 16, 2000
MOST_STEPS, OPENING_STEPS = 5000, 300  # of a training; of the one that begins when the tab is opened
SECONDS = 0.15  # of training between two updates, at most
SAMPLES, HELD_OUT, LIKELIHOODS = 300, 500, 100  # points: samples of a model, held out, and of these with a likelihood
LONGEST_CURVE = 100  # values
OWN = "own"  # the visitor's points
SHAPES = {
    "moons": Message("Moons"),
    "rings": Message("Rings"),
    "checkerboard": Message("Checkerboard"),
    "eight gaussians": Message("Eight Gaussians"),
    "spiral": Message("Spiral"),
    OWN: Message("Your points"),
}
SPEEDS = {"slow": Message("slow"), "normal": Message("normal"), "fast": Message("fast")}
PER_UPDATE = {"slow": 1, "normal": 5, "fast": 100}  # steps, at most
LIVE = ("speed", "rate", "noise", "steps")  # what may change in training
RATES = (1e-4, 3e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 1)
LINKED_POINTS = 300  # of more than that, a link has as many, evenly spread over the order in which they were drawn


class Options(Controls):
    parameters: ClassVar[tuple[str, ...]] = ("shape", "n", "width", "depth", "r1", "rate", "steps", "seed")
    shape: Annotated[
        Literal["moons", "rings", "checkerboard", "eight gaussians", "spiral", "own"],
        radio([], elem_classes=["plain", "small-pills"]),
    ] = Field("moons", title=Message("Points"))
    n: Annotated[int, slider()] = Field(1000, ge=FEWEST_POINTS, le=MOST_POINTS, title=Message("Number of points"))
    speed: Annotated[Literal["slow", "normal", "fast"], radio([], elem_classes=["plain", "small-pills"])] = Field(
        "fast", title=Message("Speed")
    )
    rate: Annotated[float, dropdown([(f"{rate:g}", rate) for rate in RATES])] = Field(
        5e-3, ge=1e-6, le=1, title=Message("Learning rate")
    )
    noise: Annotated[float, slider(step=0.02)] = Field(0.3, ge=0.02, le=0.98, title=Message("Noise level of the arrows"))
    steps: Annotated[int, slider(maximum=50)] = Field(30, ge=1, le=100, title=Message("Sampling steps"))
    width: Annotated[int, slider(maximum=128)] = Field(64, ge=4, le=256, title=Message("Units per layer"))
    depth: Annotated[int, slider(maximum=4)] = Field(2, ge=1, le=5, title=Message("Hidden layers"))
    r1: Annotated[float, slider(step=0.1)] = Field(
        1, ge=0, le=10, title=Message("R1 penalty of the GAN"), description=Message("0: none")
    )
    seed: Seed = SEED


class Shown(Options):
    """What a link says of the tab. rates: a step, the learning rate from there on, the next step, ... if it was changed."""

    points: str = Field("", max_length=1600, pattern="^[A-Za-z0-9_-]*$", title=Message("Points"))
    rates: str = Field(
        "",
        max_length=1000,
        pattern=r"^(0,(1|0\.0{0,5}[1-9]\d{0,5})(,\d{1,4},(1|0\.0{0,5}[1-9]\d{0,5}))*)?$",
        title=Message("Learning rate"),
    )
    large: Literal["", "data", "vae", "gan", "flow", "diffusion", "flow matching"] = Field("", title=Message("Large panel"))
    hidden: str = Field(
        "",
        pattern="^((points|samples|inside)(,(points|samples|inside))*)?$",
        max_length=30,
        title=Message("Hidden in the panels"),
    )


def shapes():
    return [(_(title), name) for name, title in SHAPES.items()]


def speeds():
    return [(_(title), name) for name, title in SPEEDS.items()]


class Points(NamedTuple):
    """What is learnt. lines: of Python, which make `points` and `held_out`."""

    points: "Tensor"  # (N, 2)
    held_out: "Tensor"
    shown: "Tensor"  # all of the visitor's own
    lines: str

    @classmethod
    def of_shape(cls, options: "Options") -> Self:
        points, held_out = f'"{options.shape}", {options.n}, seed=0', f'"{options.shape}", {HELD_OUT}, seed=1'
        lines = f"points = gm.plane.toy_points({points})\nheld_out = gm.plane.toy_points({held_out})\n"
        x = gm.plane.toy_points(options.shape, options.n, seed=0)
        return cls(x, gm.plane.toy_points(options.shape, HELD_OUT, seed=1), x, lines)

    @classmethod
    def of_visitor(cls, drawn: Any) -> Self:
        """drawn: coordinates (N, 2). Raises a ValueError if they are too few."""
        import torch

        shown = torch.tensor(drawn[:MOST_POINTS]).clamp(-1, 1)
        if len(shown) < FEWEST_POINTS:
            raise ValueError(Message("At least {n} points are needed: draw more of them.", n=FEWEST_POINTS))
        integers = f"np.frombuffer(base64.b64decode({pack_points(shown)!r}), '<i2')"
        lines = f"points = torch.tensor({integers}.reshape(-1, 2) / {UNIT}).float()\n"
        if len(shown) < 5 * FEWEST_POINTS:  # too few to hold some out
            return cls(shown, shown, shown, lines + "held_out = points\n")
        chosen = torch.arange(len(shown)) % 5 == 0
        lines += "held_out, points = points[::5], points[torch.arange(len(points)) % 5 > 0]\n"
        return cls(shown[~chosen], shown[chosen], shown, lines)


class Trainings:
    """All families of one visitor, in lockstep. A family whose loss explodes stays behind, and the others go on."""

    def __init__(self, options: "Options", points: Points, rates: str = ""):
        """rates: as in a link."""
        self.options, self.points, numbers = options, points, rates.split(",")
        pairs = zip(numbers[::2], numbers[1::2])
        self.rates = {int(step): float(rate) for step, rate in pairs} or {0: options.rate}  # from which step on
        self.fits = {
            name: gm.plane.Fit(kind(**options.arguments(kind)), points.points, rate=options.rate, seed=options.seed)
            for name, kind in gm.plane.FAMILIES.items()
        }
        for fit in self.fits.values():
            fit.rates = self.rates
        self.step, self.measurements, self.live = 0, 0, False
        self.broken: dict[str, str] = {}
        self.panels: dict[str, Panel] = {}
        self.curves: dict[str, dict[str, list]] = {kind: {name: [] for name in self.fits} for kind in ("energy", "nats")}
        self.floor = gm.plane.energy_distance(points.points, points.held_out)
        self.lock = threading.Lock()  # two runs of a visitor may meet, where one gives way in the lane

    @property
    def going(self) -> list[str]:
        return [name for name in self.fits if name not in self.broken]

    @property
    def ended(self) -> bool:
        return self.step >= MOST_STEPS or not self.going

    def adjust(self, options: "Options") -> None:
        """Other values of what may change while they train."""
        if options.rate != self.options.rate:
            for step in [step for step in self.rates if step > self.step]:  # of a link
                del self.rates[step]
            self.rates[self.step] = options.rate
        self.options = self.options.model_copy(update={name: getattr(options, name) for name in LIVE})

    def advance(self, steps: int, seconds: float = math.inf) -> None:
        """So many steps, or as many as there are seconds for, at least one; then what the models have learnt."""
        if not self.lock.acquire(blocking=False):  # another run is in the middle of a step
            return
        try:
            start, last = time.monotonic(), min(self.step + steps, MOST_STEPS)
            while self.step < last and self.going:
                for name in self.going:
                    try:
                        self.fits[name].advance()
                    except gm.plane.Diverged as e:
                        self.broken[name] = e.args[0]
                self.step += 1
                if time.monotonic() - start > seconds:
                    break
            self.measure()
        finally:
            self.lock.release()

    def measure(self, all_likelihoods: bool = False) -> None:
        """What the panels show. Likelihoods take longest: those of one family at a time, unless all are asked for."""
        with_density = [name for name, fit in self.fits.items() if fit.model.has_density]
        chosen = with_density if all_likelihoods else [with_density[self.measurements % len(with_density)]]
        self.measurements += 1
        for name in self.going:
            model, nats = self.fits[name].model, self.panels.get(name, {}).get("nats")
            samples = model.sample(**self.options.arguments(model.sample, n=SAMPLES))
            energy = gm.plane.energy_distance(samples, self.points.held_out) - self.floor
            if name in chosen:
                nats = self._add("nats", name, model.log_prob(self.points.held_out[:LIKELIHOODS]).mean().item())
            inside = model.inside(self.points.points[:SAMPLES], **self.options.arguments(model.inside))
            self.panels[name] = {
                "samples": pack_points(samples),
                "inside": {part: _packed(part, x) for part, x in inside.items()},
                "energy": self._add("energy", name, energy),
                "nats": nats,
            }
            if self.options.shape == "eight gaussians":
                self.panels[name]["modes"] = gm.plane.modes_covered(samples)

    def _add(self, kind, name, value):
        """Add a value to a curve. Returns it rounded; None if it is not finite."""
        if not math.isfinite(value):
            return None
        curve, value = self.curves[kind][name], round(value, 4)
        if curve and curve[-1][0] == self.step:
            curve.pop()
        curve.append([self.step, value])
        if len(curve) > LONGEST_CURVE:
            del curve[1::2]
        return value

    def view(self) -> Playground.Value:
        broken = {name: {"broken": _(sentence)} for name, sentence in self.broken.items()}
        panels = {name: {**self.panels.get(name, {}), **broken.get(name, {})} for name in self.fits}
        return {
            "points": pack_points(self.points.shown),
            "own": self.options.shape == OWN,
            "note": "",
            "step": self.step,
            "live": self.live,
            "rates": ",".join(f"{step},{rate:g}" for step, rate in sorted(self.rates.items())) if len(self.rates) > 1 else "",
            "panels": json.dumps(panels),
            "curves": json.dumps(self.curves),
        }

    def program(self) -> str:
        """The lines that train the same models."""
        if not self.step or not self.going:
            return programs.PENDING
        rates = [(step, rate) for step, rate in sorted(self.rates.items()) if step < self.step]
        models = "".join(
            f'    "{name}": {self.options.call(f"gm.plane.{kind.__name__}", kind)},\n'
            for name, kind in gm.plane.FAMILIES.items()
            if name in self.going
        )
        fit = f"steps={self.step}, rate={rates if len(rates) > 1 else rates[0][1]}, seed={self.options.seed}"
        return programs.program(
            f"{self.points.lines}models = {{\n{models}}}\nfloor = gm.plane.energy_distance(points, held_out)\n"
            f"for name, model in models.items():\n    for state in gm.plane.fit_steps(model, points, {fit}):\n"
            f"        pass  # state.step, state.losses\n    samples = model.sample({SAMPLES}, seed={self.options.seed})\n"
            "    print(name, gm.plane.energy_distance(samples, held_out) - floor)\n"
        )


def _packed(part, x):
    """A part of `PlaneModel.inside` as the component takes it."""
    return base64.b64encode((255 * x).byte().numpy().tobytes()).decode() if part == "map" else pack_points(x)


def warm_up() -> None:
    """What else the first visitor would wait for."""
    events.import_optimizers()
    Trainings(Options(n=FEWEST_POINTS), Points.of_shape(Options(n=FEWEST_POINTS))).advance(1)


# --- What a visitor does ----------------------------------------------------------------------------------------------


def take_points(event: gr.EventData):
    """The visitor drew -> drawn, shape."""
    data = event._data if isinstance(event._data, dict) else {}
    return {"drawn": pack_points(unpack_points(data.get("points"))[:MOST_POINTS]), "shape": OWN}


def restore(points, rates, large, hidden, **controls):
    """-> drawn, linked: what a link has beside the controls."""
    text = points.replace("-", "+").replace("_", "/") + "=" * (-len(points) % 4)
    drawn = pack_points(unpack_points(text)[:LINKED_POINTS])
    return {"drawn": drawn, "linked": {"rates": rates, "large": large, "hidden": hidden}}


def reopen(drawn, linked, **controls):
    """-> stage, lines, trainings: `restart` as a link has it. linked: None if the server was restarted meanwhile."""
    if linked is None:
        return restart(drawn, **controls)
    output = restart(drawn, linked["rates"], **controls)
    return {**output, "stage": {**output["stage"], "large": linked["large"], "hidden": linked["hidden"]}}


def restart(drawn, rates="", **controls):
    """-> stage, lines, trainings: new models, before the first step."""
    options, drawn = Options.read(**controls), unpack_points(drawn)
    try:
        points = Points.of_visitor(drawn) if options.shape == OWN else Points.of_shape(options)
        trainings = Trainings(options, points, rates)
    except ValueError as e:  # too few points, or all of them equal
        empty: Playground.Value = {
            "points": pack_points(drawn),
            "own": True,
            "note": events.sentence(e),
            "step": 0,
            "live": False,
        }
        return {"stage": {**empty, "panels": "{}", "curves": "{}"}, "lines": programs.PENDING, "trainings": None}
    trainings.measure()
    return {"stage": trainings.view(), "lines": programs.PENDING, "trainings": trainings}


def train(trainings, steps: int = MOST_STEPS):
    """Train on, at most so many steps: yields stage, lines."""
    if trainings is None:
        return
    events.import_optimizers()
    last, trainings.live = trainings.step + steps, True
    try:
        yield {"stage": trainings.view(), "lines": programs.PENDING}
        while not trainings.ended and trainings.step < last:
            trainings.advance(min(PER_UPDATE[trainings.options.speed], last - trainings.step), SECONDS)
            yield {"stage": trainings.view()}
    except events.Stopped:
        pass
    finally:
        trainings.live = False
    trainings.measure(all_likelihoods=True)
    yield {"stage": trainings.view(), "lines": trainings.program()}


def one_step(trainings):
    yield from train(trainings, 1)


def begin(trainings):
    yield from train(trainings, OPENING_STEPS)


def opening(drawn, **controls):
    """What the tab opens with, one run: yields stage, lines, trainings."""
    yield (output := restart(drawn, **controls))
    yield from begin(output["trainings"])


def adjust(trainings, **controls):
    """-> stage, if they are not in training: the next update shows it then."""
    options = Options.read(**controls)
    if trainings is None:
        return {}
    trainings.adjust(options)
    if trainings.live:
        return {}
    trainings.measure()
    return {"stage": trainings.view()}


# --- The API ----------------------------------------------------------------------------------------------------------


def _points(points, options):
    """Those of the API's user, or of the shape."""
    if not points:
        if options.shape == OWN:
            raise ValueError(Message("shape must be another one if there are no points of your own."))
        return Points.of_shape(options)
    numbers = isinstance(points, list) and all(isinstance(k, (int, float)) and abs(k) <= 1 for k in points)
    if not numbers or len(points) % 2 or len(points) > 2 * MOST_POINTS:
        raise ValueError(Message("points must be at most {n} pairs of numbers from -1 to 1, one after another.", n=MOST_POINTS))
    return Points.of_visitor(list(zip(points[::2], points[1::2])))


def plane_fit(
    points: list[float] = [],  # noqa: B006
    training_steps: int = 500,
    every: int = 50,
    options: Options = Options(),  # noqa: B008
) -> Iterator[dict]:
    """Train five families of generative models on the same points of a plane, and compare them while they train.

    Args:
        points: x and y of each of your own points, one after another, 16 to 2000 of them; without any, those of the shape.
        training_steps: 1 to 5000.
        every: training steps between two answers, 1 to 1000.
    Returns:
        The step; for each family the energy distance of its samples from held-out points, above that of the points
        themselves; the log-likelihood of held-out points in nats per point, or null; of eight Gaussians how many are covered;
        or an error, if its training came to an end.
    """
    training_steps = gm.base.check_number("training_steps", training_steps, 1, MOST_STEPS, whole=True)
    every, own = gm.base.check_number("every", every, 1, 1000, whole=True), {"shape": OWN} if points else {}
    trainings = Trainings(options.model_copy(update=own), _points(points, options))
    while trainings.step < training_steps and not trainings.ended:
        trainings.advance(min(every, training_steps - trainings.step))
        if trainings.step == training_steps:
            trainings.measure(all_likelihoods=True)
        facts: dict[str, Any] = {"step": trainings.step}
        for name in trainings.fits:
            panel = trainings.panels.get(name, {})
            facts[name] = {"energy_distance": panel.get("energy"), "log_likelihood": panel.get("nats")}
            facts[name] |= {"modes_covered": panel["modes"]} if "modes" in panel else {}
            facts[name] |= {"error": _(trainings.broken[name])} if name in trainings.broken else {}
        yield facts


def plane_sample(
    family: Literal["vae", "gan", "flow", "diffusion", "flow matching"] = "flow matching",
    points: list[float] = [],  # noqa: B006
    training_steps: int = 500,
    samples: int = 300,
    options: Options = Options(),  # noqa: B008
) -> Iterator[dict]:
    """Train a generative model on points of a plane, and sample from it.

    Args:
        family: vae, gan, flow, diffusion or flow matching.
        points: x and y of each of your own points, one after another, 16 to 2000 of them; without any, those of the shape.
        training_steps: 1 to 5000.
        samples: how many, 1 to 2000.
    Returns:
        The samples, pairs of x and y.
    """
    kind = gm.plane.FAMILIES[gm.base.check_choice("family", family, list(gm.plane.FAMILIES))]
    training_steps = gm.base.check_number("training_steps", training_steps, 1, MOST_STEPS, whole=True)
    samples = gm.base.check_number("samples", samples, 1, MOST_POINTS, whole=True)
    model = kind(**options.arguments(kind))
    learnt = _points(points, options).points
    for _state in gm.plane.fit_steps(model, learnt, steps=training_steps, rate=options.rate, seed=options.seed):
        yield {}
    yield {"points": model.sample(**options.arguments(model.sample, n=samples)).tolist()}
