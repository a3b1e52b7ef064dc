"""Interpolation: the code of one picture turns into that of another."""

from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, sources
from tabs.components import sheet
from tabs.components.scrubber import Scrubber
from tabs.components.tiles import Tiles
from tabs.controls import Controls, radio
from tabs.language import _
from tabs.vae.data import TEST_TILES, VAE, code_list, code_tensor, load_vae, model_name, slider_code, view

FRAMES = 17


class End(Controls):
    end: Annotated[
        Literal["first", "last"],
        radio(
            [(Message("first picture"), "first"), (Message("last picture"), "last")],
            scale=2,
            elem_id="vae-which",
            elem_classes=[],
        ),
    ] = Field("first", title=Message("Choose another"))


class Ends(End):
    """What a link says of the tool."""

    first_code: str = Field("", max_length=400, title=Message("Latent code"), description="of the first picture")
    last_code: str = Field("", max_length=400, title=Message("Latent code"), description="of the last picture")


class Interpolation(Controls):
    first: int = Field(0, ge=0, le=199, title=Message("Number of a test picture (of faces 0 to 99)"))
    second: int = Field(1, ge=0, le=199, title=Message("Number of another"))
    steps: int = Field(9, ge=2, le=64, title=Message("Number of pictures, both ends included"))
    spherical: bool = Field(
        True, title=Message("Whether spherical (slerp), which stays where the prior has its mass, or linear")
    )


def initial_pair(name):
    """Codes of two test pictures to start with: [first, last]."""
    x, _ = sources.test_pictures(VAE.dataset_of(name))
    indices = [0, 3] if VAE.dataset_of(name) == "fashion" else [3, 8]  # a T-shirt becomes a dress, a 3 an 8
    indices = indices if len(x) > max(indices) else [0, -1]
    return [code_list(z[None]) for z in load_vae(name).encode(x[indices]).mean]


def interpolated_codes(name, pair, spherical):
    """Interpolated codes between the two of a pair, (FRAMES, D)."""
    z0, z1 = (code_tensor(name, z)[0] for z in pair)
    return gm.vae.interpolate(z0, z1, FRAMES, spherical)


def show(name, pair):
    """-> memory (the pair), frames."""
    import torch

    x = load_vae(name).decode(torch.cat([interpolated_codes(name, pair, spherical) for spherical in (True, False)]))
    frames = {**sheet(x, FRAMES), "rows": [_("spherical (slerp)"), _("linear")]}
    return {"memory": {"model": name, "pair": pair}, "frames": frames}


def start(dataset, size):
    name = model_name(dataset, size)
    return show(name, initial_pair(name))


def replace_end(name, memory, end, z):
    """The interpolation with one end of the remembered pair replaced. end: "first" or "last"."""
    first, last = memory["pair"] if memory and memory.get("model") == name else initial_pair(name)
    outputs = show(name, pair := [first, z] if End.read(end=end).end == "last" else [z, last])
    return {**outputs, "frames": {**outputs["frames"], "pair": pair}}


def restore(dataset, size, first_code, last_code, end):
    """-> memory, frames of a link."""
    name = model_name(dataset, size)
    if not first_code:
        return show(name, initial_pair(name))
    memory = {"model": name, "pair": [code_list(code_tensor(name, links.unpack(code))) for code in (first_code, last_code)]}
    return replace_end(name, memory, "first", memory["pair"][0])


def choose_end(dataset, size, memory, end, event: gr.EventData):
    name, i = model_name(dataset, size), events.event_number(event, "index", TEST_TILES - 1)
    z = load_vae(name).encode(sources.test_picture(dataset, i)["x"]).mean
    return replace_end(name, memory, end, code_list(z))


def stage_as_end(dataset, size, memory, end, sliders):
    _, z = slider_code(sliders)
    return replace_end(model_name(dataset, size), memory, end, code_list(z))


def to_stage(memory, event: gr.EventData):
    """A frame was chosen -> sliders, stage, lines."""
    step, row = events.event_number(event, "step", FRAMES - 1), events.event_number(event, "row", 1)
    if not memory:
        raise ValueError(Message("There is no interpolation yet: choose both pictures."))
    z = interpolated_codes(memory["model"], memory["pair"], spherical=row == 0)[step]
    caption = _("Step {step} of {frames} of the interpolation.", step=step + 1, frames=FRAMES)
    return view(memory["model"], z[None], caption=caption)


def vae_interpolate(model: Literal[*VAE.models] = "vae-mnist", path: Interpolation = Interpolation()) -> Image:  # noqa: B008
    """Interpolate between the codes of two test pictures.

    Returns:
        A PNG with the pictures in one row.
    """
    vae, (x, _) = load_vae(model), sources.test_pictures(VAE.dataset_of(model))
    ends = {"first": path.first, "second": path.second}
    z0, z1 = vae.encode(x[[gm.base.check_number(name, i, 0, len(x) - 1, whole=True) for name, i in ends.items()]]).mean
    return gm.pictures.filmstrip(vae.decode(gm.vae.interpolate(z0, z1, path.steps, path.spherical)), scale=2)


def lay_out(model, code_view):
    """Lay out and wire the tool. Returns (the test pictures, the step that opens a model)."""
    layout.hint(_("The code of one picture turns into that of another, step by step."))
    frames = Scrubber(action=_("Show large"), ends=(_("first"), _("last")), elem_id="vae-frames")
    memory = {"memory": gr.State()}
    with gr.Row(elem_classes="small-controls"):
        inputs = {**model, **memory, **End.components("vae")}
        use_stage = gr.Button(_("Use the large picture"), scale=1, min_width=150, size="md")
    tiles, outputs = Tiles(columns=10, name=_("Test pictures"), elem_id="vae-ends"), {**memory, "frames": frames}
    events.act(tiles.input, choose_end, inputs, outputs)
    events.act(use_stage.click, stage_as_end, {**inputs, "sliders": code_view["sliders"]}, outputs)
    events.act(frames.release, to_stage, memory, code_view)
    for trigger in (inputs["end"].input, use_stage.click):  # the frame is that of the end that was chosen last
        events.in_browser(trigger, "tiles => ({...tiles, chosen: -1})", {"tiles": tiles}, {"tiles": tiles})
    codes = {
        name: links.Part(frames, f"v?.pair ? window.links.pack(v.pair[{i}]) : null")
        for i, name in enumerate(("first_code", "last_code"))
    }
    links.tool(Ends, {**inputs, **codes}, (restore, model, outputs), "interpolation")
    return tiles, (start, model, outputs)
