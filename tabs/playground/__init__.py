"""Playground: five families learn the same points of the plane while the visitor watches."""

from pathlib import Path
from typing import Any

import gradio as gr

from tabs import events, layout, links
from tabs.components.playground import Playground
from tabs.language import _
from tabs.playground import training
from tabs.playground.training import Options, Shown

ENDPOINTS = (training.plane_fit, training.plane_sample)
STREAMED = (training.plane_fit,)


def prepare():
    """Functions to call in the background before the first visit; each takes little time."""
    return [training.warm_up]


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        _(
            "Five families of generative models learn the same points at the same time, live. Choose a shape, or draw your own "
            "points, and press *Train*."
        )
    )
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=270, elem_classes=["card", "controls"]):
            points = Options.components("playground", "shape", "n", shape={"choices": training.shapes()})
            gr.Markdown("### " + _("While training"))
            live = Options.components("playground", "speed", "rate", "noise", "steps", speed={"choices": training.speeds()})
            gr.Markdown("### " + _("Models"))
            layout.hint(_("A change restarts the training."))
            models = Options.components("playground", "width", "depth", "r1", "seed", seed={"elem_classes": "plain"})
        with gr.Column(scale=19, min_width=320, elem_classes=["card", "playground-stage"]):
            with gr.Row(elem_classes="small-controls"):
                play = gr.Button(_("Train"), variant="primary", scale=3, min_width=90, elem_id="playground-train")
                pause = gr.Button(_("Pause"), scale=2, min_width=70, elem_id="playground-pause")
                step = gr.Button(_("One step"), scale=2, min_width=80, elem_id="playground-one")
                again = gr.Button(_("Restart"), scale=2, min_width=70, elem_id="playground-restart")
            stage = Playground(most_points=training.MOST_POINTS, elem_id="playground-stage")
    lines = layout.python_panel("playground")
    layout.explanation(Path(__file__).with_name("about.md"))

    state, drawn, linked = {"trainings": gr.State()}, {"drawn": gr.State()}, {"linked": gr.State()}
    outputs, runs = {"stage": stage, "lines": lines}, events.Runs(stop=pause)
    chosen = {**points, **live, **models}
    sketched = events.live(stage.input, training.take_points, {}, {**drawn, "shape": points["shape"]})
    restart = (training.restart, {**chosen, **drawn}, {**outputs, **state})
    for control in (points["shape"], points["n"], *models.values()):
        runs.live(control.input, *restart)
    for trigger in (again.click, sketched.then):
        runs.act(trigger, *restart)
    paced: dict[str, Any] = {"rate": 8, "drop": False}  # what is measured and drawn is also sent
    events.tell_begin("playground", first_visit)
    runs.stream(first_visit, training.opening, {**chosen, **drawn}, {**outputs, **state}, **paced)
    events.tell_end("playground", first_visit)
    changed = links.restored({**chosen, **drawn, **linked})
    reopened = runs.act(changed, training.reopen, {**chosen, **drawn, **linked}, {**outputs, **state})
    for trigger, handler in ((play.click, training.train), (step.click, training.one_step), (reopened.then, training.begin)):
        runs.stream(trigger, handler, state, outputs, **paced)
    for control in live.values():
        events.live(control.input, training.adjust, {**state, **live}, {"stage": stage}, events.ignore)
    look = "v && document.querySelector('#playground-stage .playground')?.dataset"  # what no server needs to know
    in_link = {
        "points": links.Part(stage, f"v?.own && v.points ? window.links.points(v.points, {training.LINKED_POINTS}) : null"),
        "rates": links.Part(stage, "v?.rates"),
        **{name: links.Part(stage, f"{look}.{name}") for name in ("large", "hidden")},
    }
    links.tool(Shown, {**chosen, **in_link}, (training.restore, {}, {**drawn, **linked}))
