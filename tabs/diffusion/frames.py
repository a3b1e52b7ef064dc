"""Runs on the stage: the frames of each step, streamed as they are computed, and at the end to be scrubbed."""

import math
from collections.abc import Iterable, Iterator

from PIL.Image import Image

import genmodels as gm
from tabs import events, programs
from tabs.components import cell, sheet

VIEWS = ["x_t: the noisy picture", "predicted x_0", "predicted noise"]
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


def stage_value(rows, frames, start, steps, live=False):
    """Value of the stage. frames: [(step, [one cell per row])]; start: the time t of the run's start; steps: their number."""
    import torch

    limit = max(2, MAX_PIXELS // (len(rows) * frames[0][1][0].numel()))
    if len(frames) > limit:  # evenly spaced, including the first and the last
        frames = [frames[round(i * (len(frames) - 1) / (limit - 1))] for i in range(limit)]
    sigma = gm.diffusion.alpha_sigma(torch.linspace(start, 0, steps + 1))[1]
    cells = torch.cat([cells[row] for row in range(len(rows)) for _, cells in frames])
    return {
        **sheet(cells, len(frames)),
        "rows": rows,
        "numbers": [step for step, _ in frames],
        "live": live,
        "levels": " ".join(f"{s:.4f}" for s in sigma.tolist()),
    }


def stream(sampler_steps, x, start, steps, lines):
    """Shows a sampler's steps as they are computed, and at the end all of them: yields stage, lines.

    x: the picture from which the run starts, at time `start`; steps: their number. A frame shows x_t beside the network's
    predictions from that x_t. A `DiffusionStep` holds the predictions from the x_t before it, so the two are off by one.
    """
    frames = []
    try:
        for k, step in enumerate(sampler_steps):
            frames.append((k, [grid_cell(x), grid_cell(step.x0), noise_cell(step.eps)]))
            x = step.x
            pending = {"lines": programs.PENDING} if k == 0 else {}
            yield {"stage": stage_value(VIEWS, frames[-1:], start, steps, live=True), **pending}
        frames.append((steps, [grid_cell(x), grid_cell(x), noise_cell(0 * x)]))
    except events.Stopped:
        lines = programs.STOPPED
    yield {"stage": stage_value(VIEWS, frames, start, steps), "lines": lines}


def program(dataset: str, body: str, across: int) -> str:
    """body: the lines that compute `x`; across: columns of the picture that is saved."""
    return programs.program(body + programs.save(across), f"diffusion-{dataset}")


def with_grid(sampler_steps: Iterable["gm.diffusion.DiffusionStep"]) -> Iterator[Image]:
    """For endpoints: the steps, between which others may compute, then the finished samples as one picture."""
    for step in sampler_steps:
        yield step
    yield gm.pictures.grid(step.x, columns(len(step.x)), scale=4)
