"""A part of a picture, generated anew so that it fits the rest (RePaint)."""

from collections.abc import Iterator
from typing import Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import endpoints, layout, programs, sources
from tabs.components import raw
from tabs.components.mask_pad import MaskPad, mask_text
from tabs.components.tiles import Tiles
from tabs.diffusion import frames
from tabs.diffusion.data import DIFFUSION
from tabs.diffusion.sampling import MAX_STEPS, Sampling, read
from tabs.language import _


class Inpainting(Sampling):
    resample: int = Field(
        3, ge=1, le=20, title=Message("Resample"), description=Message("how often each step is run, with noise added back")
    )
    parameters = ("n", "label", "steps", "resample", "guidance", "seed")

    def check_budget(self, label):
        super().check_budget(label, repeats=self.resample)


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

    options, label = read(dataset, controls, Inpainting)
    source = sources.require(source, dataset)
    if mask is None or not mask.any():
        raise ValueError(Message("Paint over a part of the picture first: the model generates that part."))
    options = options.model_copy(update={"sampler": "ddpm", "steps": min(options.steps, MAX_STEPS)})
    size = source["x"].shape[-1]
    lines = (
        source["lines"]
        + programs.constant("mask_bits", np.packbits(mask).tobytes())
        + f"mask = np.unpackbits(np.frombuffer(mask_bits, np.uint8), count={size}**2).reshape(1, 1, {size}, {size})\n"
    )
    pictures = {**frames.copies(source, options.n), "torch.from_numpy(mask) > 0": torch.from_numpy(mask)[None, None]}
    yield from frames.stream(dataset, "inpaint", options, label, pictures, lines)


def diffusion_inpaint(
    model: Literal[*DIFFUSION.models] = "diffusion-mnist",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    mask: endpoints.Upload = None,
    options: Inpainting = Inpainting(n=4),  # noqa: B008
) -> Iterator[Image]:
    """Inpaint the part of a picture that a mask covers (RePaint): variants that keep the rest.

    Args:
        mask: a file, stretched over the preprocessed picture: what is white, coloured or, on a transparent ground, painted is
            generated, the rest is kept. Without one, the lower half.
        steps: 1 to 64. The product of n, steps and resample is limited, too.
    Returns:
        A PNG with the variants in a square grid.
    """
    import torch

    dataset = DIFFUSION.dataset_of(model)
    source = sources.upload_or_test_picture(dataset, picture, test_picture_number)
    size = source["x"].shape[-1]
    if mask is None:
        region = torch.from_numpy(lower_half(size))[None, None]
    else:
        region = gm.pictures.open_mask(gm.pictures.check_file(mask), size)
    if not region.any():
        raise ValueError(Message("The mask is empty: it must be white where the picture is to be generated."))
    x = frames.copies(source, options.n).values()
    yield from frames.finished(dataset, "inpaint", options, *x, region)


def lay_out():
    """The test pictures and the mask by name, and the button."""
    layout.hint(_("Paint over a part of the picture. The model generates several variants of that part that fit the rest."))
    tiles = Tiles(columns=10, name=_("Test pictures"), elem_id="diffusion-fill-own")
    parts = {"tiles": tiles, "mask": MaskPad(elem_id="diffusion-mask")}
    return parts, gr.Button(_("Inpaint"), size="md", elem_id="diffusion-fill")
