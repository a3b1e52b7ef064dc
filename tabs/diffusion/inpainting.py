"""A part of a picture, generated anew so that it fits the rest (RePaint)."""

from collections.abc import Iterator
from typing import Literal

import gradio as gr
from PIL.Image import Image

import genmodels as gm
from tabs import events, labels, layout, programs, sources
from tabs.components import raw
from tabs.components.mask_pad import MaskPad, mask_text
from tabs.components.tiles import Tiles
from tabs.diffusion import frames
from tabs.diffusion.data import MODELS, conditions_of, dataset_of, model_of
from tabs.diffusion.sampling import MAX_STEPS, Sampling, read

RESAMPLE = 3  # RePaint's repetitions of each step


def lower_half(size):
    import numpy as np

    return np.arange(size)[:, None].repeat(size, 1) >= size // 2


def show(source, mask):
    """Value of the mask pad: the picture, with the visitor's mask if it fits."""
    x = source["x"]
    if mask is None or mask.shape != x.shape[2:]:
        mask = lower_half(x.shape[-1])
    return {**raw(x[0]), "mask": mask_text(mask)}


def inpaint(dataset, source, mask, **controls):
    """RePaint: variants of the masked part of the picture."""
    import numpy as np
    import torch

    options, label = read(dataset, controls, one_picture=True)
    source = sources.require(source, dataset)
    if mask is None or not mask.any():
        raise ValueError("Paint over a part of the picture first: the model generates that part.")
    options = options.model_copy(update={"sampler": "ddpm", "steps": min(options.steps, MAX_STEPS)})
    options.check_budget(label, repeats=RESAMPLE)
    model, method, x = model_of(dataset), gm.Diffusion.inpaint_steps, source["x"].expand(options.n, -1, -1, -1)
    size = x.shape[-1]
    picture = f"picture.expand({options.n}, -1, -1, -1)"
    call = options.call("model.inpaint", method, picture, "torch.from_numpy(mask) > 0", resample=RESAMPLE, label=label)
    body = (
        source["lines"]
        + programs.constant("mask_bits", np.packbits(mask).tobytes())
        + f"mask = np.unpackbits(np.frombuffer(mask_bits, np.uint8), count={size}**2).reshape(1, 1, {size}, {size})\n"
        + f"x = {call}\n"
    )
    arguments = options.arguments(method, resample=RESAMPLE, label=label)
    sampler_steps = model.inpaint_steps(x, torch.from_numpy(mask)[None, None], **arguments)
    noise = model.initial_noise(options.n, seed=options.seed)
    lines = frames.program(dataset, body, frames.columns(options.n))
    yield from frames.stream(sampler_steps, noise, 1.0, options.steps, lines)


def diffusion_inpaint(
    model: Literal[*MODELS] = "diffusion-mnist",
    picture: events.Upload = None,
    test_picture_number: int = 0,
    mask: events.Upload = None,
    n: int = 4,
    label: str = labels.ANY,
    steps: int = 16,
    resample: int = 3,
    guidance: float = 1,
    seed: int = 0,
) -> Iterator[Image]:
    """Inpaint the part of a picture that a mask covers (RePaint): variants that keep the rest.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file, preprocessed like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        mask: a file, stretched over the preprocessed picture: white is generated, black is kept. Without one, the lower half.
        n: number of variants, 1 to 16.
        label: see diffusion_sample.
        steps: 1 to 64.
        resample: 1 to 20, how often each step is run, with noise added back in between. n * steps * resample is limited too.
        guidance: see diffusion_sample.
        seed: whole number; the same seed gives the same variants.
    Returns:
        A PNG with the variants in a square grid.
    """
    import numpy as np
    import torch

    dataset = dataset_of(model)
    x = sources.upload_or_test_picture(dataset, picture, test_picture_number)["x"]
    size = x.shape[-1]
    if mask is None:
        mask = lower_half(size)
    else:
        mask = np.array(sources.read_picture(mask).convert("L").resize((size, size))) > 127
    if not mask.any():
        raise ValueError("The mask is empty: it must be white where the picture is to be generated.")
    options = Sampling.read(n=n, label=label, steps=steps, guidance=guidance, seed=seed)
    resample = gm.base.check_number("resample", resample, 1, 20, whole=True)
    label = labels.for_pictures(conditions_of(dataset), options.label, options.n)
    options.check_budget(label, repeats=resample)
    arguments = options.arguments(gm.Diffusion.inpaint_steps, resample=resample, label=label)
    mask = torch.from_numpy(mask)[None, None]
    yield from frames.with_grid(model_of(dataset).inpaint_steps(x.expand(options.n, -1, -1, -1), mask, **arguments))


def lay_out():
    """The tool's components by name."""
    layout.hint("Paint over a part of the picture. The model generates several variants of that part that fit the rest.")
    return {
        "tiles": Tiles(columns=10, name="Test pictures", elem_id="diffusion-fill-own"),
        "mask": MaskPad(elem_id="diffusion-mask"),
        "fill": gr.Button("Inpaint", size="md", elem_id="diffusion-fill"),
    }


def connect(stream, inputs, source, parts):
    stream(parts["fill"].click, inpaint, {"source": source, "mask": parts["mask"], **inputs})
