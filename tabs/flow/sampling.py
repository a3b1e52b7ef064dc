"""Samples of the flow, on the stage."""

from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from tabs import cards, events, labels, layout, programs
from tabs.components import sheet
from tabs.components.gallery import Gallery
from tabs.controls import SEED, Controls, Seed, dropdown, slider
from tabs.flow.data import MODELS, dataset_of, model_of, once_per_checkpoint


class Sampling(Controls):
    n: Annotated[int, slider()] = Field(20, ge=1, le=30, title="Samples")
    label: Annotated[str, dropdown([("one of each", labels.EACH)], min_width=100)] = Field(
        labels.EACH, title="Class", max_length=80
    )
    temperature: Annotated[float, slider(step=0.05)] = Field(
        1, ge=0, le=1.5, title="Temperature", description="0: no noise, 1: as trained"
    )
    seed: Seed = SEED


def columns(n: int) -> int:
    """Columns of n pictures: a little wider than high."""
    return n if n < 4 else round((1.2 * n) ** 0.5 + 0.49)


def sample(dataset, options: Sampling):
    label = labels.for_model(dataset, options.label, options.n)
    return model_of(dataset).sample(options.n, label=label, temperature=options.temperature, seed=options.seed)


def show(dataset, **controls):
    """New samples -> stage, lines."""
    options = Sampling.read(**controls)
    x, across = sample(dataset, options), columns(options.n)
    stage = {
        **sheet(x, across),
        "across": across,
        "kinds": "?" * options.n,
        "labels": "\n".join(["sample"] * options.n),
    }
    label = labels.in_python(dataset, options.label, options.n)
    lines = f"x = {options.call('model.sample', gm.Flow.sample, label=label)}\n" + programs.save(across)
    return {"stage": stage, "lines": programs.program(lines, f"flow-{dataset}")}


@once_per_checkpoint
def first_samples(dataset):
    return show(dataset)


def open_dataset(dataset):
    """Another data set: the controls as they open, and their samples."""
    opening = {name: field.default for name, field in Sampling.model_fields.items()}
    return {**opening, "label": gr.update(choices=labels.class_choices(dataset), value=labels.EACH), **first_samples(dataset)}


def reset():
    return {name: Sampling.model_fields[name].default for name in ("n", "label", "temperature")}


def flow_sample(
    model: Literal[*MODELS] = "flow-mnist",
    options: Sampling = Sampling(label=labels.ANY),  # noqa: B008
) -> Image:
    """Sample new pictures from a flow.

    Returns:
        A PNG with the pictures in rows.
    """
    return gm.pictures.grid(sample(dataset_of(model), options), columns(options.n), scale=4)


def stage(dataset):
    """Lay out the stage and its buttons."""
    gallery = Gallery(poster=cards.poster(f"flow-{dataset}"), name="Samples", elem_id="flow-stage", elem_classes="live-picture")
    return gallery, *layout.seed_row("New samples", "Reset")


def connect(dataset, controls, stage, new, seed, restore, lines):
    """Wire the tool. Returns what another data set changes."""
    inputs, outputs = {"dataset": dataset, **controls, "seed": seed}, {"stage": stage, "lines": lines}
    for control in controls.values():
        events.live(control.input, show, inputs, outputs)
    events.live(seed.input, show, inputs, outputs, events.ignore)  # half typed
    drawn = events.act(new.click, lambda: {"seed": events.fresh_seed()}, {}, {"seed": seed})
    events.act(drawn.then, show, inputs, outputs)
    restored = events.act(restore.click, reset, {}, controls)
    events.act(restored.then, show, inputs, outputs)
    return {**controls, "seed": seed, **outputs}
