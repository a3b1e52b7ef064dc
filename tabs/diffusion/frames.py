"""Runs on the stage: the frames of each step, streamed as they are computed, and at the end to be scrubbed."""

import math
from collections.abc import Iterator

from PIL.Image import Image

import genmodels as gm
from genmodels.messages import Message
from tabs import events, labels, lane, programs
from tabs.components import cell, sheet
from tabs.diffusion.data import DIFFUSION
from tabs.language import _
from tabs.sources import Source

VIEWS = [Message("x_t: the noisy picture"), Message("predicted x_0"), Message("predicted noise")]
MAX_PIXELS = 4_000_000  # of all frames that are sent to the browser: longer runs are shown with some steps left out


def columns(n: int) -> int:
    """Columns of a square grid of n pictures."""
    return math.ceil(math.sqrt(n))


def grid_cell(x):
    """Pictures (n, C, H, W) as one (1, C, H', W'), clamped to the displayable range."""
    return cell(x, columns(len(x)))


def noise_cell(eps):
    """Noise as a picture: zero is grey, three standard deviations are black and white."""
    return grid_cell(0.5 + eps / 6)


def stage_value(rows, frames, start, steps, run, live=False):
    """Value of the stage. frames: [(step, [one cell per row])]; start: the time t of the run's start; steps: their number; run:
    its name in a link."""
    import torch

    limit = max(2, MAX_PIXELS // (len(rows) * frames[0][1][0].numel()))
    if len(frames) > limit:  # evenly spaced, including the first and the last
        frames = [frames[round(i * (len(frames) - 1) / (limit - 1))] for i in range(limit)]
    sigma = gm.diffusion.alpha_sigma(torch.linspace(start, 0, steps + 1))[1]
    cells = torch.cat([cells[row] for row in range(len(rows)) for _step, cells in frames])
    with lane.beside():
        pictures = sheet(cells, len(frames))
    return {
        **pictures,
        "rows": [_(row) for row in rows],
        "numbers": [step for step, _cells in frames],
        "live": live,
        "run": run,
        "levels": " ".join(f"{s:.4f}" for s in sigma.tolist()),
    }


def begin(dataset: str, method: str, options, label, *pictures) -> Iterator["gm.diffusion.DiffusionStep"]:
    """The steps of a run, if it is not too long. method: "sample", "edit" or "inpaint"; pictures: what it takes first."""
    options.check_budget(label)
    name = f"{method}_steps"
    return getattr(DIFFUSION.load(dataset), name)(*pictures, **options.arguments(getattr(gm.Diffusion, name), label=label))


def stream(dataset, method, options, label, pictures=None, lines="", x=None, start=1.0):
    """Shows the steps of a run as they are computed, and at the end all of them: yields stage, lines.

    pictures: the method's, by the Python that computes them, after `lines`. x: from what the run starts, at time `start`;
    None: from noise. A frame shows x_t beside the network's predictions from that x_t. A `DiffusionStep` holds the predictions
    from the x_t before it, so the two are off by one.
    """
    frames, steps, pictures = [], options.steps, pictures or {}
    sampler_steps = begin(dataset, method, options, label, *pictures.values())
    x = DIFFUSION.load(dataset).initial_noise(options.n, seed=options.seed) if x is None else x
    call = options.call(f"model.{method}", getattr(gm.Diffusion, f"{method}_steps"), *pictures, label=label)
    lines = DIFFUSION.program(dataset, f"{lines}x = {call}\n", columns(options.n))
    try:
        for k, step in enumerate(sampler_steps):
            frames.append((k, [grid_cell(x), grid_cell(step.x0), noise_cell(step.eps)]))
            x = step.x
            pending = {"lines": _(programs.PENDING)} if k == 0 else {}
            yield {"stage": stage_value(VIEWS, frames[-1:], start, steps, method, live=True), **pending}
        frames.append((steps, [grid_cell(x), grid_cell(x), noise_cell(0 * x)]))
    except events.Stopped:
        lines = _(programs.STOPPED)
    yield {"stage": stage_value(VIEWS, frames, start, steps, method), "lines": lines}


def copies(source: Source, n: int) -> dict:
    """A picture as often as there are to be variants of it, by the Python that computes it."""
    return {f"picture.expand({n}, -1, -1, -1)": source["x"].expand(n, -1, -1, -1)}


def finished(dataset: str, method: str, options, *pictures) -> Iterator[Image]:
    """For endpoints: the steps of a run, between which others may compute, then the finished samples as one picture."""
    label = labels.for_pictures(DIFFUSION.conditions(dataset), options.label, options.n)
    for step in begin(dataset, method, options, label, *pictures):
        yield step
    yield gm.pictures.grid(step.x, columns(options.n), scale=4)
