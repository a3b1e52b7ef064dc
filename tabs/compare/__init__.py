"""Compare: one request to every family, side by side, and how they differ in numbers."""

import functools
from pathlib import Path

import gradio as gr

import genmodels as gm
from tabs import events, layout, links
from tabs.compare import claims, data, interpolation, picture, sampling, trilemma
from tabs.components.family_rows import FamilyRows
from tabs.families import DATASET
from tabs.language import _

ENDPOINTS = (sampling.compare, picture.compare_picture, interpolation.compare_interpolate)


def prepare():
    """Functions to call in the background before the first visit; each takes little time."""
    return [functools.partial(first_row, dataset) for dataset in data.available()]


def first_row(dataset):
    """Load all models, and compute what the first click shows first: a model's first call takes longer than later ones."""
    return next(gm.comparison.compare_steps(dataset), None)


def choice_of_dataset():
    with gr.Row(elem_classes="choices"):
        return gr.Radio(
            [(_(data.TITLES[name]), name) for name in data.available()],
            value=data.available()[0],
            label=_(DATASET),
            show_label=False,
            container=False,
            elem_id="compare-dataset",
            min_width=330,
        )


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        _(
            "Several ways to generate a picture, and **the same request to all of them**. Press *Ask every family*: each "
            "samples in its own way and time, and says how likely it finds what it made."
        )
    )
    dataset = choice_of_dataset()
    links.choice("dataset", dataset)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=250, elem_classes=["card", "controls"]):
            controls = sampling.lay_out_controls()
        with gr.Column(scale=17, min_width=320, elem_classes="card"):
            first_rows = sampling.stored(gm.cards.generators(data.available()[0]))
            stage = FamilyRows(first_rows, elem_id="compare-stage")
    rows = claims.rows_of_all()
    with gr.Column(elem_classes=["card", "tools"]), gr.Tabs():
        with gr.Tab(_("Speed, quality, variety"), id="trilemma"):
            measured = trilemma.lay_out()
        with gr.Tab(_("One picture"), id="picture"):
            picture_step = picture.lay_out(dataset)
        with gr.Tab(_("Interpolation"), id="path"):
            interpolation_step = interpolation.lay_out(dataset)
        with gr.Tab(_("Textbook claims, tested"), id="claims"):
            gr.Markdown(claims.text(rows), elem_classes="reading")
    lines = layout.python_panel("compare")
    layout.explanation(Path(__file__).with_name("about.md"), **claims.recommendations(rows))
    model_card = layout.models_card()

    new, stop = controls.pop("new"), controls.pop("stop")
    chosen, outputs, runs = {"dataset": dataset}, {"stage": stage, "lines": lines}, events.Runs(stop=stop)
    sampling.connect(runs, {**chosen, **controls}, outputs, new)
    for part in measured.values():
        runs.act(part.input, trilemma.choose, chosen, {"stage": stage, "card": model_card})
    events.when_opened(
        (first_visit, dataset.input),
        (sampling.open_dataset, chosen, {**controls, **outputs}),
        (trilemma.show, chosen, {**measured, "card": model_card}),
        picture_step,
        interpolation_step,
        act_first=runs.act,
    )
