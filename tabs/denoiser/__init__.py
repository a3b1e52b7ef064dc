"""Denoising: noise is added to a picture, removed by several methods, and the results measured side by side."""

import functools
from pathlib import Path

import gradio as gr

from tabs import cards, events, layout
from tabs.denoiser import comparison, noise, pictures, whole
from tabs.denoiser.data import DATASETS, MODELS, available

ENDPOINTS = (noise.add_noise, whole.denoise)


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [functools.partial(warm_up, dataset) for dataset in available() if cards.shipped((f"denoiser-{dataset}",))]


def warm_up(dataset):
    comparison.show(open_dataset(dataset)["source"], dataset)


def open_dataset(dataset):
    return {**pictures.open_dataset(dataset), "kind": "gaussian", "sigma": 0, **noise.choose_kind("gaussian", dataset)}


def card(dataset):
    return {"card": cards.models_table(cards.shipped(MODELS)) + "\n\n" + cards.text(f"denoiser-{dataset}")}


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    datasets = available()
    layout.hint(
        "A denoiser estimates a clean picture from a noisy one: choose a kind of noise, raise its strength, and see what each "
        "method restores and what it invents."
    )
    dataset = layout.dataset_radio("denoiser", DATASETS, datasets, min_width=330)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            controls, new = noise.lay_out()
        with gr.Column(scale=12, min_width=320, elem_classes=["card", "on-stage", "before-after"]):
            stage, compare_button = comparison.lay_out()
        with gr.Column(scale=7, min_width=320, elem_classes=["card", "tools"]):
            picture_parts = pictures.lay_out()
            start, stop, result = whole.lay_out()
    lines = layout.python_panel("denoiser")
    layout.explanation(Path(__file__).with_name("about.md"), measured=cards.headline(f"denoiser-{datasets[0]}"))
    model_card = layout.models_card()

    inputs = {"source": picture_parts["source"], "dataset": dataset, **controls}
    opened_outputs = {name: picture_parts[name] for name in ("tiles", "drawing", "source")}
    opened_outputs |= {name: controls[name] for name in ("kind", "strength", "sigma")}
    openings = [
        events.act(trigger, open_dataset, {"dataset": dataset}, opened_outputs, pictures.unavailable)
        for trigger in (first_visit, dataset.input)
    ]
    choices = [*openings, *pictures.connect(dataset, picture_parts)]
    # Of two events of one trigger the page starts the second when the first has ended: the short ones come first.
    whole.connect(inputs, start, stop, result, choices)
    for opening in openings:
        events.act(opening.then, card, {"dataset": dataset}, {"card": model_card}, trigger_mode="always_last")
    triggers = [compare_button.click, *noise.connect(dataset, controls, new), *(choice.then for choice in choices)]
    comparison.connect(inputs, {"stage": stage, "lines": lines}, triggers)
