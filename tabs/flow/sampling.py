"""Samples of the flow, on the stage."""

from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, labels, layout, links
from tabs.components import columns, raw
from tabs.components.gallery import Gallery
from tabs.controls import SEED, Controls, Seed, dropdown, slider
from tabs.flow.data import FLOW
from tabs.language import _


class Sampling(Controls):
    n: Annotated[int, slider()] = Field(20, ge=1, le=30, title=Message("Samples"))
    label: Annotated[str, dropdown([(Message("one of each"), labels.EACH)], min_width=100)] = Field(
        labels.EACH, title=Message("Class"), max_length=80
    )
    temperature: Annotated[float, slider(step=0.05)] = Field(
        1, ge=0, le=1.5, title=Message("Temperature"), description=Message("0: no noise, 1: as trained")
    )
    seed: Seed = SEED


def sample(dataset, options: Sampling):
    label = labels.for_pictures(FLOW.conditions(dataset), options.label, options.n)
    return FLOW.load(dataset).sample(options.n, label=label, temperature=options.temperature, seed=options.seed)


def compute(dataset, options: Sampling):
    """New samples -> stage, lines, without words."""
    x, across = sample(dataset, options), columns(options.n)
    stage = {**raw(x), "across": across}
    label = labels.in_python(FLOW.conditions(dataset), options.label, options.n)
    lines = f"x = {options.call('model.sample', gm.Flow.sample, label=label)}\n"
    return {"stage": stage, "lines": FLOW.program(dataset, lines, across)}


@FLOW.cached
def first_samples(dataset):
    return compute(dataset, Sampling())


def in_words(shown):
    stage = shown["stage"]
    return {**shown, "stage": {**stage, "pictures": [{"kind": "", "label": _("sample")}] * stage["n"]}}


def show(dataset, **controls):
    return in_words(compute(dataset, Sampling.read(**controls)))


def open_dataset(dataset):
    """Another data set: the controls as they open, and their samples."""
    label = gr.update(choices=labels.class_choices(dataset), value=labels.EACH)
    return {**dict(Sampling()), "label": label, **in_words(first_samples(dataset))}


def reset():
    return Sampling().model_dump(exclude={"seed"})


def flow_sample(
    model: Literal[*FLOW.models] = "flow-mnist",
    options: Sampling = Sampling(label=labels.ANY),  # noqa: B008
) -> Image:
    """Sample new pictures from a flow.

    Returns:
        A PNG with the pictures in rows.
    """
    return gm.pictures.grid(sample(FLOW.dataset_of(model), options), columns(options.n), scale=4)


def lay_out(dataset, controls, lines):
    """Lay out and wire the stage. Returns the step that opens a data set."""
    poster = layout.poster(f"flow-{FLOW.available()[0]}")
    stage = Gallery(poster=poster, name=_("Samples"), elem_id="flow-stage", elem_classes="live-picture")
    new, seed, restore = layout.seed_row(_("New samples"), _("Reset"))
    inputs, outputs = {"dataset": dataset, **controls, "seed": seed}, {"stage": stage, "lines": lines}
    for control in controls.values():
        events.live(control.input, show, inputs, outputs)
    events.seeded(new, seed, show, inputs, outputs)
    restored = events.act(restore.click, reset, {}, controls)
    events.act(restored.then, show, inputs, outputs)
    links.tool(Sampling, inputs, (show, {"dataset": dataset}, outputs))
    return open_dataset, {"dataset": dataset}, {**controls, "seed": seed, **outputs}
