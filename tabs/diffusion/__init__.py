"""Diffusion: noise becomes a picture step by step; every step can be looked at and steered."""

import functools
from pathlib import Path
from typing import Literal

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links
from tabs.controls import Controls
from tabs.diffusion import compare, editing, inpainting, quality, sampling
from tabs.diffusion.data import DIFFUSION
from tabs.language import _

ENDPOINTS = (sampling.diffusion_sample, editing.diffusion_noise, editing.diffusion_edit, inpainting.diffusion_inpaint)


RUNS = {  # name in a link -> what puts it on the stage
    "sample": sampling.generate,
    "sampler": compare.compare_samplers,
    "guidance": compare.compare_guidances,
    "edit": editing.edit,
    "inpaint": inpainting.inpaint,
}


class Run(Controls):
    """What a link says of the stage, beside the options of the run."""

    run: Literal[*RUNS] = Field("sample", title=Message("Run"))


def choose_run(run, **_inputs):
    return {"chosen_run": run}


def run_again(chosen_run, source, mask, strength, **options):
    """The run of a link: yields stage, lines."""
    given = {"edit": {"source": source, "strength": strength}, "inpaint": {"source": source, "mask": mask}}
    yield from RUNS[chosen_run](**options, **given.get(chosen_run, {}))


def prepare():
    """Functions to call in the background before the first visit; each takes little time."""
    return [functools.partial(sampling.opening, dataset) for dataset in DIFFUSION.shipped()]


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        _(
            "A **diffusion model** turns pure noise into a picture by removing a little noise in each step. Press *Generate*, "
            "then drag the slider under the pictures to look at any step."
        )
    )
    dataset = DIFFUSION.radio(min_width=330)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=250, elem_classes=["card", "controls"]):
            controls = sampling.lay_out_controls()
        with gr.Column(scale=12, min_width=320, elem_classes=["card", "on-stage", "run"]):
            stage, new, controls["seed"], stop = sampling.lay_out_stage()
        with gr.Column(scale=7, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab(_("Compare"), id="compare"):
                comparisons = compare.lay_out()
            with gr.Tab(_("Your picture"), id="own"):
                own = editing.lay_out()
            with gr.Tab(_("Inpaint"), id="fill"):
                mask, fill = inpainting.lay_out()
            with gr.Tab(_("Quality"), id="quality"):
                chart = quality.lay_out()
    lines = layout.python_panel("diffusion")
    layout.explanation(
        Path(__file__).with_name("about.md"),
        measured=_(gm.cards.headline("diffusion-mnist")),
        samplers=gm.cards.samplers_table(DIFFUSION.titles, sampling.SAMPLERS),
        by_calls=gm.cards.fids_by_calls(DIFFUSION.titles),
        generators=gm.cards.generators_table(DIFFUSION.titles),
    )
    model_card = layout.models_card()

    chosen, outputs, runs = {"dataset": dataset}, {"stage": stage, "lines": lines}, events.Runs(stop=stop)
    inputs = {**chosen, **controls}
    stream = functools.partial(runs.stream, outputs=outputs, rate=12)  # smooth, and not too much for a slow browser
    sampling.connect(stream, inputs, new)
    for button, compare_runs in comparisons:
        stream(button, compare_runs, inputs)
    editing_step = editing.connect(stream, inputs, own, mask)
    stream(fill.click, inpainting.inpaint, {"source": own["source"], "mask": mask["mask"], **inputs})
    everything = {"source": own["source"], "mask": mask["mask"], "strength": own["t"], **inputs}
    chosen_run = {"chosen_run": gr.State("sample")}
    links.tool(Run, {"run": links.Part(stage, "v?.run")}, (choose_run, everything, chosen_run))
    stream(links.restored(everything | chosen_run), run_again, everything | chosen_run)
    events.when_opened(
        (first_visit, dataset.input),
        (sampling.open_dataset, chosen, {**controls, **outputs}),
        editing_step,
        (quality.show, chosen, {"chart": chart}),
        (DIFFUSION.card, chosen, {"card": model_card}),
        act_first=runs.act,
    )
