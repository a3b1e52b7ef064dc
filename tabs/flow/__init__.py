"""Flow: an invertible map from pictures to noise, and what an exact likelihood says, and does not say."""

import functools
from pathlib import Path

import gradio as gr

import genmodels as gm
from tabs import events, layout
from tabs.flow import interpolation, layers, likelihood, sampling
from tabs.flow.data import FLOW
from tabs.language import _

ENDPOINTS = (sampling.flow_sample, likelihood.flow_score, layers.flow_unfold)


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    tools = (sampling.open_dataset, likelihood.open_dataset)
    return [functools.partial(tool, dataset) for dataset in FLOW.shipped() for tool in tools]


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        _(
            "A normalizing flow is an invertible map between pictures and noise, so that every picture has an exact "
            "likelihood: change the temperature of the samples, then score a drawing of your own under *Likelihood*."
        )
    )
    dataset, lines = FLOW.radio(min_width=220), layout.python_lines("flow", render=False)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=260, elem_classes=["card", "controls"]):
            gr.Markdown(_("### Conditions"))
            controls = sampling.Sampling.components("flow", "label", "temperature", "n")
            interpolation_step = interpolation.lay_out(dataset)
        with gr.Column(scale=8, min_width=320, elem_classes=["card", "on-stage", "grid-stage"]):
            sampling_step = sampling.lay_out(dataset, controls, lines)
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab(_("Likelihood"), id="likely"):
                parts, of_picture = likelihood.lay_out()
            with gr.Tab(_("Layer by layer"), id="unfold"):
                of_picture |= layers.lay_out()
    layout.python_panel("flow", lines=lines)
    layout.explanation(Path(__file__).with_name("about.md"), measured=gm.cards.headline("flow-mnist"))
    model_card = layout.models_card()

    chosen = {"dataset": dataset}
    likelihood.PICTURES.connect(parts, chosen, of_picture)
    events.when_opened(
        (first_visit, dataset.input),
        sampling_step,
        (likelihood.open_dataset, chosen, {**likelihood.PICTURES.opened(parts), **of_picture}),
        interpolation_step,
        (FLOW.card, chosen, {"card": model_card}),
    )
