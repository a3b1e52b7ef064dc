"""Flow: an invertible map from pictures to noise, and what an exact likelihood says, and does not say."""

import functools
from pathlib import Path

import gradio as gr

from tabs import cards, events, layout
from tabs.flow import interpolation, layers, likelihood, plane, sampling
from tabs.flow.data import DATASETS, MODELS, available, check_dataset

ENDPOINTS = (sampling.flow_sample, likelihood.flow_score, layers.flow_unfold)


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    opening = (sampling.open_dataset, likelihood.open_dataset)
    return [
        functools.partial(tool, dataset) for dataset in available() for tool in opening if cards.shipped((f"flow-{dataset}",))
    ]


def card(dataset):
    names = [name for name in MODELS if (cards.checkpoints() / name / "README.md").is_file()]
    return {"card": cards.models_table(names) + "\n\n" + cards.text(f"flow-{check_dataset(dataset)}")}


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    datasets = available()
    layout.hint(
        "A normalizing flow is an invertible map between pictures and noise, so that every picture has an exact likelihood: "
        "change the temperature of the samples, then score a drawing of your own under *Likelihood*."
    )
    dataset = layout.dataset_radio("flow", DATASETS, datasets, 220)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=260, elem_classes=["card", "controls"]):
            gr.Markdown("### Conditions")
            controls = sampling.Sampling.components("flow", "label", "temperature", "n")
            ends = interpolation.lay_out()
        with gr.Column(scale=8, min_width=320, elem_classes=["card", "on-stage", "grid-stage"]):
            stage, new, seed, reset = sampling.stage(datasets[0])
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Likelihood", id="likely"):
                likelihood_parts = likelihood.lay_out()
            with gr.Tab("Layer by layer", id="unfold"):
                layer_parts = layers.lay_out()
            with gr.Tab("In two dimensions", id="plane"):
                plane_parts = plane.lay_out()
    lines = layout.python_panel("flow")
    layout.explanation(Path(__file__).with_name("about.md"), measured=cards.headline("flow-mnist"))
    model_card = layout.models_card()

    sampling_outputs = sampling.connect(dataset, controls, stage, new, seed, reset, lines)
    choice_outputs = likelihood.connect(dataset, likelihood_parts, layer_parts)
    interpolation.connect(dataset, ends)
    plane.connect(plane_parts, first_visit)
    chosen = {"dataset": dataset}
    events.when_opened(
        (first_visit, dataset.input),
        (sampling.open_dataset, chosen, sampling_outputs),
        (likelihood.open_dataset, chosen, choice_outputs),
        (interpolation.open_dataset, chosen, ends),
        (card, chosen, {"card": model_card}),
    )
