"""Pictures as sequences: given its upper rows, a digit is completed pixel by pixel."""

import functools
import itertools
import json
import math
from collections.abc import Iterator
from typing import Annotated

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import endpoints, events, labels, layout, links, programs, sources
from tabs.components import line, raw, sheet
from tabs.components.film import Film
from tabs.controls import SEED, Controls, Seed, dropdown, slider
from tabs.language import _
from tabs.sources import Source
from tabs.transformer import runs

PIXELS = "transformer-mnist"
SIDE = 28  # rows of a picture
FIRST_TILE = 2  # the test picture that is chosen at first
PICTURES = sources.Chooser(first=FIRST_TILE)


class Completions(Controls):
    rows: Annotated[int, slider()] = Field(
        14, ge=0, le=SIDE - 1, title=Message("Given rows"), description=Message("0: a new picture")
    )
    n: Annotated[int, slider()] = Field(4, ge=1, le=8, title=Message("Completions"))
    label: Annotated[
        str,
        dropdown(
            [
                (Message("any: drawn first"), labels.ANY),
                (Message("one of each"), labels.EACH),
                *((str(c), str(c)) for c in range(10)),
            ]
        ),
    ] = Field(labels.ANY, title=Message("Class"), description=Message("condition"), max_length=80)
    temperature: Annotated[float, slider(step=0.05)] = Field(1, ge=0, le=2, title=Message("Temperature"))
    seed: Seed = SEED


# --- Completions as pictures ------------------------------------------------------------------------------------------


def columns(n):
    return n if n < 5 else math.ceil(n / 2)


def frame(step, given_rows):
    """A frame of the film: pictures and their surprisal, alternating in rows of `columns`: (2 n, 3, H, W)."""
    import torch

    pair = gm.pixel_transformer.show_surprisal(step, given_rows)
    across = columns(len(step.x))
    padding = pair.new_zeros(2, -len(step.x) % across, *pair.shape[2:])  # to full rows
    return torch.cat([pair, padding], 1).unflatten(1, (-1, across)).transpose(0, 1).flatten(0, 2)


def film_pictures(source, steps, given_rows):
    """What `Film` shows, without words: a frame per step."""
    import torch

    across = columns(len(steps[0].x))
    per_frame = 2 * across * math.ceil(len(steps[0].x) / across)
    pictures = sheet(torch.cat([frame(step, given_rows) for step in steps]), per_frame)
    reference = {"reference": raw(source["x"][0])} if given_rows else {}
    return {**pictures, **reference, "per": per_frame, "across": across}


def film(pictures, steps, live=False):
    """The stage's value. steps: all so far; pictures: see `film_pictures`, of the steps, or of the last one if live."""
    bits = [(step.rows, -step.probability[:, step.rows - 1].clamp_min(1e-9).log2().mean().item()) for step in steps[1:]]
    curve = line(_("bits per pixel"), [(row, round(b, 3)) for row, b in bits])
    rows = [step.rows for step in (steps[-1:] if live else steps)]
    label = _("Generated pictures, and below each the surprisal of its pixels")
    if bits and not live:
        label = _(
            "Generated pictures, and below each the surprisal of its pixels. All generated rows: {bits:.3f} bits per pixel",
            bits=sum(b for _row, b in bits) / len(bits),
        )
    return {
        **pictures,
        "facts": json.dumps({"unit": _("row"), "numbers": rows, "lines": [curve]}),
        "live": live,
        "total": SIDE,
        "label": label,
    }


# --- Runs -------------------------------------------------------------------------------------------------------------


def sample(source: Source | None, options: Completions):
    """The completions row by row, and the line of Python that computes them."""
    method, label = (
        gm.PixelTransformer.complete_steps,
        labels.for_pictures(gm.labels.classes("mnist"), options.label, options.n),
    )
    call = options.call("model.complete_steps", method, *(["picture"] if options.rows else []), label=label)
    x = sources.require(source)["x"] if options.rows else None
    return gm.load(PIXELS).complete_steps(x, **options.arguments(method, label=label)), call


def complete(source: Source, **controls):
    """Several completions of a picture: yields stage, lines."""
    import torch

    options = Completions.read(**controls)
    n, given = options.n, options.rows
    (run, call), x = sample(source, options), torch.zeros(n, 1, SIDE, SIDE)
    if given:
        x[:, :, :given] = source["x"][:, :, :given]
    start = gm.pixel_transformer.Completion(x, torch.ones(n, SIDE, SIDE), given)
    steps, pending = [], {"lines": _(programs.PENDING)}
    try:
        for step in itertools.chain([start], run):
            steps.append(step)
            yield {"stage": film(film_pictures(source, [step], given), steps, live=True), **pending}
            pending = {}
    except events.Stopped:
        yield {"stage": film(film_pictures(source, steps, given), steps), "lines": _(programs.STOPPED)}
        return None
    pictures, lines = film_pictures(source, steps, given), source["lines"] if given else ""
    program = programs.program(f"{lines}*_, last = {call}\nx = last.x\n{programs.save(columns(n))}", PIXELS)
    yield (outputs := lambda: {"stage": film(pictures, steps), "lines": program})()
    return outputs


open_pixels = functools.partial(runs.opening, PIXELS, lambda: complete(sources.test_picture("mnist", FIRST_TILE)))


def pixels_complete(
    picture: endpoints.Upload = None,
    test_picture_number: int = FIRST_TILE,
    options: Completions = Completions(),  # noqa: B008
) -> Iterator[tuple[dict, Image]]:
    """Complete a picture whose upper rows are given, pixel by pixel.

    Args:
        label: any (drawn from the classes' probabilities given the rows), a digit, or each (one class after another).
    Returns:
        For each picture the surprisal of its generated pixels in bits (their sum); and a PNG with the pictures.
    """
    steps, _ = sample(sources.upload_or_test_picture("mnist", picture, test_picture_number), options)
    for step in steps:  # noqa: B007
        yield ()  # the lane is free for a moment
    bits = -step.probability[:, options.rows :].clamp_min(1e-38).log2().sum((1, 2))
    yield {"bits": bits.tolist()}, gm.pictures.grid(step.x, columns(options.n), scale=4)


def build(first_visit):
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=8, min_width=270, elem_classes=["card", "controls"]):
            gr.Markdown(_("### A picture is a sequence, too"))
            layout.hint(
                _(
                    "**Give it the top of a digit**: pick one, or draw. The transformer generates the other rows, each pixel "
                    "conditioned on all pixels before it."
                )
            )
            pictures = PICTURES.lay_out("transformer", elem_id="transformer-own-pictures", min_width=120)
            controls = Completions.components("transformer", "rows", "n", "label")
            controls |= Completions.components("transformer-pixels", "temperature")
        with gr.Column(scale=14, min_width=320, elem_classes=["card", "writing"]):
            parts = {"stage": Film(elem_id="transformer-pixels")} | runs.buttons(
                Completions, "pixels", _("Complete"), _("Stop")
            )
            layout.hint(
                _(
                    "Blue rows are given. Below each picture, the **surprisal** of its pixels: dark pixels were almost "
                    "certain, bright ones could have been anything. The curve shows the mean per row; the sum over all pixels "
                    "is the exact negative log-likelihood given the class. Where you choose none, each completion draws its "
                    "class first, from the classes' probabilities given the blue rows."
                )
            )
    parts["lines"], source = layout.python_panel("transformer", "pixels", _("Reproduce in Python")), {"source": gr.State()}

    inputs = {**source, **controls, "seed": parts["seed"]}
    opened = events.act(first_visit, PICTURES.open_dataset, {}, {**source, **PICTURES.opened(pictures)})
    links.tool(Completions, inputs)
    stream = runs.connect(parts, complete, inputs, opened.then, open_pixels)
    chosen = [event.then for event in PICTURES.connect(pictures, {}, source)]
    releases = [controls[name].release for name in ("rows", "n", "temperature")]
    for trigger in (*chosen, *releases, controls["label"].input):
        stream(trigger, complete, inputs)
