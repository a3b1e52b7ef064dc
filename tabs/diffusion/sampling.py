"""Samples, step by step from pure noise, on the stage; and the options of every run."""

import functools
from collections.abc import Iterator
from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field, field_validator

import genmodels as gm
from genmodels.messages import Message
from tabs import events, labels, layout, links
from tabs.components.scrubber import Scrubber
from tabs.controls import SEED, Controls, Seed, radio, slider
from tabs.diffusion import frames
from tabs.diffusion.data import DIFFUSION
from tabs.language import _

SAMPLERS = {"dpm": "DPM-Solver++", "ddim": "DDIM", "heun": "Heun", "ddpm": "DDPM"}
MAX_STEPS, MAX_DDPM_STEPS = 64, 250
MAX_NETWORK_INPUTS = 6144  # pictures that one run may put through the network: 8 s of one core for faces
CONTROLS = ("sampler", "steps", "eta", "guidance", "n")  # as they are laid out; for the label the page has menus


class Sampling(Controls):
    n: Annotated[int, slider()] = Field(9, ge=1, le=16, title=Message("Samples"))
    label: str = Field(labels.ANY, title=Message("Class"), max_length=200)
    sampler: Annotated[Literal["dpm", "ddim", "heun", "ddpm"], radio([(title, name) for name, title in SAMPLERS.items()])] = (
        Field("dpm", title=Message("Sampler"))
    )
    steps: Annotated[int, slider(maximum=MAX_STEPS)] = Field(16, ge=1, le=MAX_DDPM_STEPS, title=Message("Steps"))
    guidance: Annotated[float, slider(step=0.1)] = Field(
        1.2, ge=0, le=10, title=Message("Guidance scale"), description=Message("1: as trained")
    )
    eta: Annotated[float, slider(step=0.05, visible=False)] = Field(
        0, ge=0, le=1, title=Message("Eta"), description=Message("noise added per step")
    )
    seed: Seed = SEED

    @field_validator("steps")
    @classmethod
    def fits_the_sampler(cls, steps, info):
        if steps > MAX_STEPS and info.data.get("sampler") != "ddpm":
            raise ValueError(
                Message("must be a whole number from 1 to {maximum}, not {steps}.", maximum=MAX_STEPS, steps=steps)
            )
        return steps

    def arguments(self, method, **changes):
        """What `method` takes of these values; eta is DDIM's alone."""
        arguments = super().arguments(method, **changes)
        return {name: value for name, value in arguments.items() if name != "eta" or self.sampler == "ddim"}

    def check_budget(self, label, repeats=1, guidances=None):
        """Raises a ValueError if the run would put too many pictures through the network. label: as the model takes it."""
        evaluations = [2 if label is not None and g not in (0, 1) else 1 for g in guidances or [self.guidance]]
        work = self.n * gm.diffusion.function_evaluations(self.sampler, self.steps) * repeats * sum(evaluations)
        if work > MAX_NETWORK_INPUTS:
            text = Message(
                "This run would put {work:,} pictures through the network; at most {maximum:,} are allowed. "
                "Choose fewer samples, fewer steps or guidance 1.",
                work=work,
                maximum=MAX_NETWORK_INPUTS,
            )
            raise ValueError(text)


class Shown(Sampling, labels.Menus):
    """What a link says of the run."""


def read(dataset, controls, kind=Sampling):
    """(the controls, checked; the label as the model takes it). Variants of a picture are of any class, not one of each."""
    conditions = DIFFUSION.conditions(dataset)
    options = kind.read(**labels.from_menus(conditions, controls))
    label = labels.for_pictures(conditions, options.label, options.n)
    return options, label if kind is Sampling or options.label != labels.EACH else None


def generate(dataset, **controls):
    """New samples with the seed in the box: yields stage, lines."""
    options, label = read(dataset, controls)
    yield from frames.stream(dataset, "sample", options, label)


def opening_options(dataset):
    """The controls as the tab opens: any faces, of others one of each class."""
    return Sampling(n=4) if dataset == "avatars" else Sampling(label=labels.EACH)


def opening_values(dataset):
    """The same, the menus among them."""
    return opening_options(dataset).model_dump() | labels.menu_values(DIFFUSION.attributes(dataset))


@DIFFUSION.cached
def opening(dataset):
    """The controls as the tab opens, and their finished run."""
    options = opening_options(dataset)
    *_, final = generate(dataset, **dict(options))
    return options.model_dump(exclude={"label"}) | final


def open_dataset(dataset):
    """Another dataset: the controls as they open, and their run."""
    opened = opening(dataset)
    stage = {**opened["stage"], "rows": [_(view) for view in frames.VIEWS]}  # those in the cache may be in another language
    limits = {"steps": gr.update(value=opened["steps"], maximum=MAX_STEPS), "eta": gr.update(value=0, visible=False)}
    return {**labels.menu_updates(DIFFUSION.conditions(dataset)), **opened, **limits, "stage": stage}


def choose_sampler(sampler, steps):
    """-> steps, eta: DDPM needs more steps, and only DDIM has an eta. steps: None if the visitor has deleted them."""
    max_steps = MAX_DDPM_STEPS if sampler == "ddpm" else MAX_STEPS
    return {
        "steps": gr.update(maximum=max_steps, value=steps and min(steps, max_steps)),
        "eta": gr.update(visible=sampler == "ddim"),
    }


def restore(sampler, steps, **controls):
    """-> steps, eta of a link, as the sampler lets them."""
    return choose_sampler(sampler, steps)


def diffusion_sample(
    model: Literal[*DIFFUSION.models] = "diffusion-mnist",
    options: Sampling = Sampling(),  # noqa: B008
) -> Iterator[Image]:
    """Generate new pictures with a diffusion model.

    Args:
        steps: 1 to 64, with ddpm to 250. The product of n and the number of network calls is limited as well.
    Returns:
        A PNG with the samples in a square grid.
    """
    yield from frames.finished(DIFFUSION.dataset_of(model), "sample", options)


def lay_out_controls():
    """The controls by name."""
    gr.Markdown(_("### Conditions and sampler"))
    return {**labels.menus("diffusion"), **Sampling.components("diffusion", *CONTROLS)}


def lay_out_stage():
    """The stage, and its buttons and seed."""
    scrubber = Scrubber(
        {"message": _("The model is loading: in a moment, the steps from noise to a picture appear here.")},
        ends=(_("noise"), _("picture")),
        elem_id="diffusion-stage",
        elem_classes="live-picture",
    )
    return scrubber, *layout.seed_row(_("Generate"), _("Stop"))


def connect(stream, inputs, new):
    """Wire the tool. stream: (trigger, handler, inputs), a run on the stage; inputs: of every run."""
    steps = {name: inputs[name] for name in ("sampler", "steps")}
    outputs = {name: inputs[name] for name in ("steps", "eta")}
    drawn = events.new_seed(new, inputs["seed"])
    chosen = events.act(inputs["sampler"].input, choose_sampler, steps, outputs, trigger_mode="always_last")
    released = [inputs[name].release for name in CONTROLS if name != "sampler"]
    changes = [*(inputs[name].input for name in labels.MENUS), *released, inputs["seed"].submit]
    for trigger in (drawn.then, chosen.then, functools.partial(gr.on, changes)):
        stream(trigger, generate, inputs)
    menus = {name: part for name, part in inputs.items() if name != "dataset"}
    links.tool(Shown, menus, (restore, {}, outputs), defaults=opening_values)
