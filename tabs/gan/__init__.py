"""GAN: sampling with scores, a quiz, interpolation, a replay of the training, and the visitor's own picture."""

import functools
from pathlib import Path

import gradio as gr

import genmodels as gm
from tabs import events, layout, links
from tabs.gan import interpolation, inversion, quiz, sampling, scoring, training
from tabs.gan.data import COLLAPSED, GAN, reference_scores
from tabs.language import _

ENDPOINTS = (sampling.gan_sample, scoring.gan_score, interpolation.gan_walk, inversion.gan_project)


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    steps = (sampling.open_dataset, scoring.open_dataset, reference_scores)
    return [functools.partial(step, dataset) for dataset in GAN.shipped() for step in steps]


def card(dataset):
    return GAN.card(dataset, COLLAPSED, *(f"dc{name}" for name in GAN.models))


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        _(
            "A **generative adversarial network** generates a picture in a single pass of its *generator*; a second network, "
            "the *discriminator*, was trained with it to tell generated pictures from real ones, and scores them here. "
            "**Try:** move a slider of the principal directions, or take the quiz."
        )
    )
    dataset, lines = GAN.radio(min_width=330), layout.python_lines("gan", render=False)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            controls = sampling.lay_out_controls()
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "on-stage", "grid-stage"]):
            sampling_step = sampling.lay_out_stage(dataset, controls, lines)
        with gr.Column(scale=9, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab(_("Quiz"), id="quiz"):
                quiz_step = quiz.lay_out(dataset)
            with gr.Tab(_("Interpolation"), id="walk"):
                interpolation_step = interpolation.lay_out(dataset)
            with gr.Tab(_("Training"), id="training"):
                training_step = training.lay_out(dataset)
            with gr.Tab(_("Your picture"), id="own"):
                own, changes = scoring.lay_out(dataset)
                connect_inversion = inversion.lay_out(dataset, own["source"], own["label"])
    layout.python_panel("gan", lines=lines)
    layout.explanation(
        Path(__file__).with_name("about.md"),
        measured=gm.cards.headline("gan-mnist"),
        good_run=gm.cards.end_of_training("gan-mnist"),
        collapsed_run=gm.cards.end_of_training(COLLAPSED),
        collapsed_share=gm.cards.percent(COLLAPSED, "share"),
        collapsed_recall=gm.cards.percent(COLLAPSED, "recall"),
        collapsed_cas=gm.cards.percent(COLLAPSED, "cas"),
        generators=gm.cards.generators_table(GAN.titles),
    )
    model_card = layout.models_card()

    chosen = {"dataset": dataset}
    opened = events.when_opened(
        (first_visit, dataset.input),
        sampling_step,
        quiz_step,
        interpolation_step,
        training_step,
        (scoring.open_dataset, chosen, own),
        (card, chosen, {"card": model_card}),
    )
    for changed in (*opened[scoring.open_dataset], *changes):
        connect_inversion(changed.then)
    connect_inversion(links.restored({"source": own["source"]}))
