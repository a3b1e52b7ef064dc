"""The straight line from one latent code to another."""

from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, labels, layout, links
from tabs.components import cell, sheet
from tabs.components.scrubber import Scrubber
from tabs.controls import SEED, Controls, dropdown, number
from tabs.gan import data
from tabs.gan.data import GAN
from tabs.language import _

FRAMES = 25
OPENING = {"mnist": ("3", "8"), "fashion": ("T-shirt", "dress"), "avatars": ("glasses=none", "glasses=sunglasses")}
EndSeed = Annotated[int, number(min_width=80)]


class Ends(Controls):
    first: Annotated[str, dropdown([("3", "3")], min_width=110)] = Field("3", title=Message("From"), max_length=500)
    first_seed: EndSeed = SEED
    last: Annotated[str, dropdown([("8", "8")], min_width=110)] = Field("8", title=Message("To"), max_length=500)
    last_seed: EndSeed = SEED


def arguments(dataset, ends):
    """Of `sample_latents`, for both ends."""
    first, last = (data.parse_label(dataset, getattr(ends, name), name) for name in ("first", "last"))
    return {"label": first, "seed": ends.first_seed}, {"label": last, "seed": ends.last_seed}


def show(dataset, **controls):
    """-> frames, lines: several pictures turn into as many others."""
    import torch

    model, n = GAN.load(dataset), 4 if dataset == "avatars" else 9
    start, end = arguments(dataset, Ends.read(**controls))
    pairs = zip(model.sample_latents(n, **start), model.sample_latents(n, **end))
    w = torch.stack([model.interpolate(a, b, FRAMES) for a, b in pairs], 1)  # (FRAMES, n, D)
    x = model.decode(w.flatten(0, 1)).unflatten(0, (FRAMES, n))
    lines = (
        f"start = {sampling_call(n, **start)}\n"
        f"end = {sampling_call(n, **end)}\n"
        f"w = torch.stack([model.interpolate(a, b, {FRAMES}) for a, b in zip(start, end)], 1)\n"
        "x = model.decode(w.flatten(0, 1))  # one row of the picture per step\n"
    )
    across = 2 if n == 4 else 3
    frames = {
        **sheet(torch.cat([cell(frame, across) for frame in x]), FRAMES),
        "rows": [_("{n} interpolations at the same step", n=n)],
    }
    return {"frames": frames, "lines": GAN.program(dataset, lines, n, scale=2)}


def sampling_call(n, label, seed):
    return f"model.sample_latents({n}, {'' if label is None else f'label={label}, '}seed={seed})"


def opening(dataset):
    """The ends with which the tool opens."""
    names = gm.labels.single_values(GAN.conditions(dataset))
    first, last = OPENING.get(GAN.check(dataset), (names[0], names[-1]))
    return Ends(first=first, last=last, last_seed=int(first == last))


def open_dataset(dataset):
    choices, ends = labels.single_choices(GAN.conditions(dataset)), opening(dataset)
    updates = {
        "first": gr.update(choices=choices, value=ends.first),
        "first_seed": ends.first_seed,
        "last": gr.update(choices=choices, value=ends.last),
        "last_seed": ends.last_seed,
    }
    return {**updates, **show(dataset, **ends.model_dump())}


def gan_walk(model: Literal[*GAN.models] = "gan-mnist", ends: Ends = Ends(), steps: int = 9) -> Image:  # noqa: B008
    """Interpolate linearly between the latent codes of two generated pictures.

    Args:
        first: label of the first picture, see gan_sample.
        last: label of the last picture.
        steps: number of pictures, both ends included, 2 to 64.
    Returns:
        A PNG with the pictures in one row.
    """
    dataset = GAN.dataset_of(model)
    steps = gm.base.check_number("steps", steps, 2, 64, whole=True)
    gan = GAN.load(dataset)
    start, end = (gan.sample_latents(1, **options)[0] for options in arguments(dataset, ends))
    return gm.pictures.filmstrip(gan.decode(gan.interpolate(start, end, steps)), scale=2)


def lay_out(dataset):
    """Lay out and wire the tool. Returns the step that opens a dataset."""
    layout.hint(
        _(
            "Every generated picture has a latent code. Along the straight line from one code to another, one picture "
            "turns into the other (linear interpolation)."
        )
    )
    outputs, ends = {"frames": Scrubber(ends=(_("from"), _("to")), elem_id="gan-walk")}, {}
    for names in (("first", "first_seed"), ("last", "last_seed")):
        with gr.Row(elem_classes=["small-controls", "change"]):
            ends |= Ends.components("gan", *names)
    outputs["lines"] = layout.python_panel("gan", "walk")
    for end in ends.values():
        events.live(end.input, show, {"dataset": dataset, **ends}, outputs, events.ignore)
    show_step = show, {"dataset": dataset}, outputs
    links.tool(Ends, ends, show_step, "interpolation", lambda dataset: opening(dataset).model_dump())
    return open_dataset, {"dataset": dataset}, {**ends, **outputs}
