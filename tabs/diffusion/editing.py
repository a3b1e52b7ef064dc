"""The visitor's own picture: noise is added to it, and the model removes it (SDEdit)."""

from collections.abc import Iterator
from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from tabs import events, labels, layout, sources
from tabs.components import raw, sheet
from tabs.components.draw_pad import DrawPad
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.components.upload import upload as picture_upload
from tabs.controls import SEED, Controls, Seed, slider
from tabs.diffusion import frames, inpainting
from tabs.diffusion.data import MODELS, conditions_of, dataset_of, model_of
from tabs.diffusion.sampling import Sampling, read

TILES = 10  # test pictures to choose from


class Noise(Controls):
    t: Annotated[float, slider(step=0.01)] = Field(
        0.6, ge=0, le=1, title="Time t", description="0: clean picture, 1: pure noise"
    )
    seed: Seed = SEED


def add_noise(source, options: Noise):
    """The forward process -> (x_t, alpha, sigma)."""
    import torch

    x = model_of(source["dataset"]).q_sample(source["x"], options.t, seed=options.seed)
    alpha, sigma = gm.diffusion.alpha_sigma(torch.tensor(options.t))
    return x, float(alpha), float(sigma)


def show_noise(source, **controls):
    """-> noisy: the picture with the noise of time t."""
    x, alpha, sigma = add_noise(sources.require(source), Noise.read(**controls))
    caption = f"{abs(alpha):.2f} picture + {sigma:.2f} noise"  # abs: cos of a quarter turn may be -0.00
    return {"noisy": {**raw(x[0]), "caption": caption, "label": f"Your picture with noise: {caption}"}}


def choose(source, mask, **controls):
    """Another picture for the tools -> source, the picture with noise, the mask pad."""
    return {"source": source, **show_noise(source, **controls), "mask": inpainting.show(source, mask)}


def choose_test_picture(dataset, event: gr.EventData, **controls):
    return choose(sources.test_picture(dataset, events.event_number(event, "index", TILES - 1)), **controls)


def choose_drawing(dataset, ink, **controls):
    return choose(sources.drawing(dataset, ink), **controls)


def choose_upload(dataset, path, **controls):
    return choose(sources.upload(dataset, path), **controls)


def open_dataset(dataset, t):
    """Another dataset -> its test pictures for both tools, whether one can draw, and the first picture chosen."""
    x, names = sources.test_pictures(dataset)[0], sources.test_picture_names(dataset)
    tiles = {**sheet(x[:TILES], TILES), "labels": names[:TILES], "chosen": 0}
    drawing = gr.update(visible=dataset != "avatars")
    first = choose(sources.test_picture(dataset, 0), mask=None, t=t)
    return {"tiles": tiles, "mask_tiles": tiles, "drawing": drawing, **first}


def unavailable(message):
    return {"source": None, "noisy": {"message": message}, "mask": None}


def edit(dataset, source, t, **controls):
    """SDEdit: noise is added to the picture and the model removes it, giving variants of the picture."""
    options, label = read(dataset, controls, one_picture=True)
    source = sources.require(source, dataset)
    t = gm.base.check_number("Time t", t, 0.01, 1)
    options.check_budget(label)
    model, method, x = model_of(dataset), gm.Diffusion.edit_steps, source["x"].expand(options.n, -1, -1, -1)
    sampler_steps = model.edit_steps(x, **options.arguments(method, strength=t, label=label))
    noisy = model.q_sample(x, t, seed=options.seed)
    call = options.call("model.edit", method, f"picture.expand({options.n}, -1, -1, -1)", strength=t, label=label)
    lines = frames.program(dataset, f"{source['lines']}x = {call}\n", frames.columns(options.n))
    yield from frames.stream(sampler_steps, noisy, t, options.steps, lines)


def diffusion_noise(
    model: Literal[*MODELS] = "diffusion-mnist",
    picture: events.Upload = None,
    test_picture_number: int = 0,
    options: Noise = Noise(t=0.5),  # noqa: B008
) -> tuple[dict, Image]:
    """Add noise to a picture: the forward process.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file, preprocessed like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        t: 0 (the picture) to 1 (pure noise).
        seed: whole number; the same seed gives the same noise.
    Returns:
        The weights of the picture (alpha) and of the noise (sigma); and a PNG of the noisy picture, each pixel 8x8,
        clamped to the displayable range.
    """
    source = sources.upload_or_test_picture(dataset_of(model), picture, test_picture_number)
    x, alpha, sigma = add_noise(source, options)
    return {"t": options.t, "alpha": alpha, "sigma": sigma}, gm.pictures.grid(x, scale=8)


def diffusion_edit(
    model: Literal[*MODELS] = "diffusion-mnist",
    picture: events.Upload = None,
    test_picture_number: int = 0,
    strength: float = 0.6,
    n: int = 4,
    label: str = labels.ANY,
    sampler: str = "dpm",
    steps: int = 16,
    guidance: float = 1,
    seed: int = 0,
) -> Iterator[Image]:
    """Add noise to a picture and let the model remove it (SDEdit): variants of the picture.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file, preprocessed like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        strength: 0.01 to 1, the time t up to which noise is added; the more, the less of the picture survives.
        n: number of variants, 1 to 16.
        label: see diffusion_sample.
        sampler: see diffusion_sample.
        steps: see diffusion_sample.
        guidance: see diffusion_sample.
        seed: whole number; the same seed gives the same variants.
    Returns:
        A PNG with the variants in a square grid.
    """
    dataset = dataset_of(model)
    x = sources.upload_or_test_picture(dataset, picture, test_picture_number)["x"]
    options = Sampling.read(n=n, label=label, sampler=sampler, steps=steps, guidance=guidance, seed=seed)
    label = labels.for_pictures(conditions_of(dataset), options.label, options.n)
    options.check_budget(label)
    arguments = options.arguments(gm.Diffusion.edit_steps, strength=strength, label=label)
    yield from frames.with_grid(model_of(dataset).edit_steps(x.expand(options.n, -1, -1, -1), **arguments))


def lay_out():
    """The tool's components by name."""
    layout.hint(
        "Add noise to a picture, as in training (the forward process). Then let the model remove it (SDEdit): the "
        "more noise, the more the model has to invent."
    )
    parts = {"tiles": Tiles(columns=10, name="Test pictures", elem_id="diffusion-own")}
    with gr.Row():
        with gr.Column(min_width=130) as parts["drawing"]:
            parts["pad"] = DrawPad(elem_id="diffusion-pad")
        with gr.Column(min_width=130):
            parts["noisy"] = Stage(elem_id="diffusion-drowned")
    parts |= Noise.components("diffusion", "t")
    parts["denoise"] = gr.Button("Denoise (SDEdit)", size="md", elem_id="diffusion-finish")
    parts["upload"] = picture_upload(
        label="Upload a picture", show_label=False, height=120, elem_id="diffusion-upload", elem_classes="upload"
    )
    return parts


def connect(stream, inputs, parts, mask_parts):
    """Wire the choice of a picture for both tools, and this one. Returns the outputs of another dataset."""
    t, pad, upload, mask = parts["t"], parts["pad"], parts["upload"], mask_parts["mask"]
    views = {"source": gr.State(), "noisy": parts["noisy"], "mask": mask}
    noise = {"t": t, "seed": inputs["seed"]}
    present = {"dataset": inputs["dataset"], "mask": mask, **noise}
    events.live(t.input, show_noise, {"source": views["source"], **noise}, {"noisy": parts["noisy"]})
    for tiles in (parts["tiles"], mask_parts["tiles"]):
        events.act(tiles.input, choose_test_picture, present, views)
    events.live(pad.input, choose_drawing, {**present, "ink": pad}, views)
    events.act(upload.upload, choose_upload, {**present, "path": upload}, views)
    stream(parts["denoise"].click, edit, {"source": views["source"], "t": t, **inputs})
    return {"tiles": parts["tiles"], "mask_tiles": mask_parts["tiles"], "drawing": parts["drawing"], **views}
