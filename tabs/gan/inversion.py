"""GAN inversion: the generated picture that is nearest to the visitor's own."""

import functools
import json
from collections.abc import Iterator
from typing import Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import endpoints, events, layout, programs, sources
from tabs.components import line, raw, sheet
from tabs.components.film import Film
from tabs.controls import SEED
from tabs.gan import data
from tabs.gan.data import GAN
from tabs.gan.scoring import Scoring
from tabs.language import _
from tabs.sources import Source

STEPS = 100


class Inversion(Scoring):
    steps: int = Field(100, ge=1, le=300, title=Message("Steps"))
    seed: int = SEED


def film(source: Source, pictures, errors, live=False):
    """Value of the film. pictures: (1, C, H, W) each; of a live one only the latest."""
    import torch

    facts = {
        "unit": _("step"),
        "numbers": [len(errors) - 1] if live else list(range(len(errors))),
        "lines": [line(_("squared error"), [(k, round(e, 5)) for k, e in enumerate(errors)])],
    }
    return {
        **sheet(torch.cat(pictures), 10),
        "per": 1,
        "across": 1,
        "facts": json.dumps(facts),
        "live": live,
        "total": STEPS,
        "label": _("the nearest generated picture"),
        "reference": raw(source["x"][0]),
    }


def show_source(source):
    """-> film, lines before the inversion."""
    return {"film": {"reference": raw(source["x"][0])} if source else {}, "lines": _(programs.PENDING)}


def invert(dataset, source, label):
    """GAN inversion: yields film, lines."""
    events.import_optimizers()
    source = sources.require(source, dataset)
    options = Inversion.read(label=label, steps=STEPS)
    number = data.parse_label(dataset, options.label)
    call = options.call("model.project_steps", gm.GAN.project_steps, "picture", label=number)
    body = source["lines"] + f"*_, last_step = {call}\nx = torch.cat([picture, last_step.x])\n"
    lines, pictures, errors = GAN.program(dataset, body, 2), [], []
    steps = GAN.load(dataset).project_steps(source["x"], label=number, steps=options.steps, seed=options.seed)
    try:
        for step in steps:
            pictures.append(step.x)
            errors.append(step.error)
            pending = {"lines": _(programs.PENDING)} if len(pictures) == 1 else {}
            yield {"film": film(source, pictures[-1:], errors, live=True), **pending}
    except events.Stopped:
        lines = _(programs.STOPPED)
    yield {"film": film(source, pictures, errors), "lines": lines}


def gan_project(
    model: Literal[*GAN.models] = "gan-mnist",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    options: Inversion = Inversion(),  # noqa: B008
) -> Iterator[tuple[dict, Image]]:
    """GAN inversion: find the latent code whose generated picture is nearest to a given picture.

    Args:
        label: of the latent codes that the search begins with, see gan_sample; any tries all.
    Returns:
        The mean squared error and the latent code w; and a PNG with the given picture and the nearest generated one.
    """
    import torch

    events.import_optimizers()
    dataset = GAN.dataset_of(model)
    x = sources.upload_or_test_picture(dataset, picture, test_picture_number)["x"]
    label = data.parse_label(dataset, options.label)
    for step in GAN.load(dataset).project_steps(x, label=label, steps=options.steps, seed=options.seed):
        yield step  # others may compute between two steps
    yield {"squared_error": step.error, "w": step.w[0].tolist()}, gm.pictures.grid(torch.cat([x, step.x]), 2, scale=4)


def lay_out(dataset, source, label):
    """Lay out and wire the tool. Returns what connects the events that choose another picture: `connect(trigger)`."""
    layout.hint(
        _(
            "Can the generator produce it? **GAN inversion** tries many latent codes and improves the best one by gradient "
            "descent."
        )
    )
    with gr.Row(elem_classes="small-controls"):
        find = gr.Button(_("Project (GAN inversion)"), variant="primary", scale=3, elem_id="gan-find")
        stop = gr.Button(_("Stop"), scale=1, min_width=70, elem_id="gan-stop")
    runs = events.Runs("film", stop)
    outputs = {"film": Film(elem_id="gan-nearest"), "lines": layout.python_panel("gan", "own")}
    runs.stream(find.click, invert, {"dataset": dataset, "source": source, "label": label}, outputs, rate=12)
    return functools.partial(runs.act, fn=show_source, inputs={"source": source}, outputs=outputs)
