"""Denoising: noise is added to a picture, removed by several methods, and the results measured side by side."""

import functools
from pathlib import Path

import gradio as gr

import genmodels as gm
from tabs import events, layout, links
from tabs.denoiser import comparison, noise, pictures, whole
from tabs.denoiser.data import CAMERA, DENOISER
from tabs.language import _

ENDPOINTS = (noise.add_noise, whole.denoise)


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [functools.partial(warm_up, dataset) for dataset in DENOISER.shipped()]


def warm_up(dataset):
    comparison.show(open_dataset(dataset)["source"], dataset)


def open_dataset(dataset):
    """Another dataset: its pictures to choose from, the first of them chosen, and the noise as it opens."""
    opened = pictures.PICTURES.open_dataset(dataset)
    return {**opened, "kind": "gaussian", "sigma": 0, **noise.choose_kind("gaussian", dataset)}


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        _(
            "A denoiser estimates a clean picture from a noisy one: choose a kind of noise, raise its strength, and see what "
            "each method restores and what it invents."
        )
    )
    dataset = DENOISER.radio(min_width=330)
    chosen, source = {"dataset": dataset}, gr.State()
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            controls, noise_changes = noise.lay_out(dataset)
        with gr.Column(scale=12, min_width=320, elem_classes=["card", "on-stage", "before-after"]):
            stage, compare_button = comparison.lay_out()
        with gr.Column(scale=7, min_width=320, elem_classes=["card", "tools"]):
            gr.Markdown(_("### Picture"))
            look = {"columns": 5, "pad_visible": False, "webcam": True}
            parts = pictures.PICTURES.lay_out("denoiser", _("Pictures"), "denoiser-pictures", **look)
            with gr.Row(elem_classes="small-controls"):
                place = pictures.Crop.components("denoiser")
            inputs = {"source": source, **chosen, **controls}
            connect_whole = whole.lay_out(inputs)
    lines = layout.python_panel("denoiser")
    layout.explanation(
        Path(__file__).with_name("about.md"),
        measured=_(gm.cards.headline(f"denoiser-{DENOISER.available()[0]}")),
        camera=_(gm.cards.headline(CAMERA)),
    )
    model_card = layout.models_card()

    opened = events.when_opened(
        (first_visit, dataset.input),
        (open_dataset, chosen, {"source": source, **place, **pictures.PICTURES.opened(parts), **controls}),
        (DENOISER.card, chosen, {"card": model_card}),
    )
    choices = [*opened[open_dataset], *pictures.PICTURES.connect(parts, chosen, {"source": source, **place})]
    changes = [*noise_changes, *(event.then for event in choices), links.restored({"source": source})]
    # Of two events of one trigger the page starts the second when the first has ended: the short ones come first.
    for trigger in changes:
        connect_whole(trigger)
    look, of_source = {"source": source, **place}, {"source": source}
    links.tool(pictures.Crop, place, (pictures.move, {"source": source}, of_source))
    moves = [events.act(part.release, pictures.move, look, of_source, trigger_mode="always_last") for part in place.values()]
    triggers = [compare_button.click, *changes, *(event.then for event in moves)]
    comparison.connect(inputs, {"stage": stage, "lines": lines}, triggers)
