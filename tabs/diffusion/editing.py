"""The visitor's own picture: noise is added to it, and the model removes it (SDEdit)."""

from collections.abc import Iterator
from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import endpoints, events, layout, links, sources
from tabs.components import raw
from tabs.components.draw_pad import DrawPad
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.components.upload import upload
from tabs.controls import SEED, Controls, Seed, slider
from tabs.diffusion import frames, inpainting
from tabs.diffusion.data import DIFFUSION
from tabs.diffusion.sampling import Sampling, read
from tabs.language import _


class Noise(Controls):
    t: Annotated[float, slider(step=0.01)] = Field(
        0.6, ge=0, le=1, title=Message("Time t"), description=Message("0: clean picture, 1: pure noise")
    )
    seed: Seed = SEED


class Editing(Sampling):
    strength: float = Field(0.6, ge=0.01, le=1, title=Message("Time t"), description=Message("up to which noise is added"))
    parameters = ("strength", "n", "label", "sampler", "steps", "guidance", "seed")


def add_noise(source, options: Noise):
    """The forward process -> (x_t, alpha, sigma)."""
    import torch

    x = DIFFUSION.load(source["dataset"]).q_sample(source["x"], options.t, seed=options.seed)
    alpha, sigma = gm.diffusion.alpha_sigma(torch.tensor(options.t))
    return x, float(alpha), float(sigma)


def show_noise(source, **controls):
    """-> noisy: the picture with the noise of time t."""
    x, alpha, sigma = add_noise(sources.require(source), Noise.read(**controls))
    alpha = abs(alpha)  # the cosine of a quarter turn may be -0.00
    caption = _("{alpha:.2f} picture + {sigma:.2f} noise", alpha=alpha, sigma=sigma)
    return {"noisy": {**raw(x[0]), "caption": caption, "label": _("Your picture with noise: {caption}", caption=caption)}}


def choose(source, mask, **controls):
    """Another picture for the tools -> source, the picture with noise, the mask pad."""
    return {"source": source, **show_noise(source, **controls), "mask": inpainting.show(source, mask)}


PICTURES = sources.Chooser(choose)


def open_dataset(dataset, t):
    """Another dataset -> its test pictures for both tools, whether one can draw, and the first picture chosen."""
    opened = PICTURES.open_dataset(dataset, mask=None, t=t)
    return {**opened, "mask_tiles": opened["tiles"]}


def edit(dataset, source, **controls):
    """SDEdit: noise is added to the picture and the model removes it, giving variants of the picture."""
    options, label = read(dataset, controls, Editing)
    source = sources.require(source, dataset)
    pictures = frames.copies(source, options.n)
    noisy = DIFFUSION.load(dataset).q_sample(*pictures.values(), options.strength, seed=options.seed)
    yield from frames.stream(dataset, "edit", options, label, pictures, source["lines"], noisy, options.strength)


def diffusion_noise(
    model: Literal[*DIFFUSION.models] = "diffusion-mnist",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    options: Noise = Noise(t=0.5),  # noqa: B008
) -> tuple[dict, Image]:
    """Add noise to a picture: the forward process.

    Returns:
        The weights of the picture (alpha) and of the noise (sigma); and a PNG of the noisy picture, each pixel 8x8,
        clamped to the displayable range.
    """
    source = sources.upload_or_test_picture(DIFFUSION.dataset_of(model), picture, test_picture_number)
    x, alpha, sigma = add_noise(source, options)
    return {"t": options.t, "alpha": alpha, "sigma": sigma}, gm.pictures.grid(x, scale=8)


def diffusion_edit(
    model: Literal[*DIFFUSION.models] = "diffusion-mnist",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    options: Editing = Editing(n=4),  # noqa: B008
) -> Iterator[Image]:
    """Add noise to a picture and let the model remove it (SDEdit): variants of the picture.

    Args:
        steps: 1 to 64, with ddpm to 250, see diffusion_sample.
    Returns:
        A PNG with the variants in a square grid.
    """
    dataset = DIFFUSION.dataset_of(model)
    source = sources.upload_or_test_picture(dataset, picture, test_picture_number)
    yield from frames.finished(dataset, "edit", options, *frames.copies(source, options.n).values())


def lay_out():
    """The tool's components by name."""
    layout.hint(
        _(
            "Add noise to a picture, as in training (the forward process). Then let the model remove it (SDEdit): the "
            "more noise, the more the model has to invent."
        )
    )
    parts = {"source": gr.State(), "tiles": Tiles(columns=10, name=_("Test pictures"), elem_id="diffusion-own")}
    with gr.Row():
        with gr.Column(min_width=130) as parts["drawing"]:
            parts["pad"] = DrawPad(elem_id="diffusion-pad")
        with gr.Column(min_width=130):
            parts["noisy"] = Stage(elem_id="diffusion-drowned")
    parts |= Noise.components("diffusion", "t")
    parts["denoise"] = gr.Button(_("Denoise (SDEdit)"), size="md", elem_id="diffusion-finish")
    return {**parts, "upload": upload(height=120, elem_id="diffusion-upload")}


def connect(stream, inputs, parts, mask_parts):
    """Wire this tool, and the choice of a picture for it and for inpainting. Returns the step of opening a dataset."""
    source, noise = {"source": parts["source"]}, {"t": parts["t"], "seed": inputs["seed"]}
    views = {**source, "noisy": parts["noisy"], "mask": mask_parts["mask"]}
    present = {"dataset": inputs["dataset"], "mask": mask_parts["mask"], **noise}
    for trigger, on_error in ((parts["t"].input, None), (noise["seed"].change, events.ignore)):
        events.live(trigger, show_noise, {**source, **noise}, {"noisy": parts["noisy"]}, on_error)
    PICTURES.connect(parts, present, views, mask_parts["tiles"])
    links.tool(Noise, {"t": parts["t"]}, (show_noise, {**source, "seed": inputs["seed"]}, {"noisy": parts["noisy"]}), "own")
    stream(parts["denoise"].click, edit, {**source, "strength": parts["t"], **inputs})
    opened = {"tiles": parts["tiles"], "mask_tiles": mask_parts["tiles"], "drawing": parts["drawing"], **views}
    return open_dataset, {"dataset": inputs["dataset"], "t": parts["t"]}, opened
