"""A picture, layer by layer: to noise, and exactly back."""

from typing import Literal

import gradio as gr
from PIL.Image import Image

import genmodels as gm
from tabs import events, layout, programs, sources
from tabs.components import sheet
from tabs.components.scrubber import Scrubber
from tabs.flow.data import MODELS, dataset_of, model_of
from tabs.sources import Source


def round_trip(dataset, x, seed=0):
    """(steps to noise, steps back in the same order, the largest error of the round trip in grey levels)."""
    model = model_of(dataset)
    to_noise = list(model.encode_steps(x, seed=seed))
    back = list(model.decode_steps(to_noise[-1].h.flatten(1)))[::-1]
    return to_noise, back, 256 * (to_noise[0].h - back[0].h).abs().max().item()


def not_yet_noise(x, layers_done):
    """The pixels of x that are still picture after so many layers, on the finest whole lattice, enlarged to its size."""
    import torch

    step = 2 ** ((layers_done + 2) // 3)
    lattice = x[:, :, step - 1 :: step, step - 1 :: step]
    return torch.nn.functional.interpolate(lattice, x.shape[2:]) if lattice.numel() else torch.full_like(x, 0.5)


def show(source: Source):
    """-> layers (frames), layers_text, layers_lines."""
    import torch

    dataset = sources.require(source)["dataset"]
    to_noise, back, error = round_trip(dataset, source["x"])
    remaining = [not_yet_noise(step.x, done) for done, step in enumerate(to_noise)]
    frames = {
        **sheet(torch.cat([*(step.x for step in to_noise + back), *remaining]), len(to_noise)),
        "rows": ["to noise", "and back", "not yet noise, enlarged"],
    }
    z = to_noise[-1].h
    text = (
        f"There and back through {len(to_noise) - 1} layers, the largest error is **{error:.1e}** of a grey level. "
        f"The noise has mean {z.mean():+.2f} and standard deviation {z.std():.2f}."
    )
    lines = source["lines"] + (
        "to_noise = list(model.encode_steps(picture, seed=0))\n"
        "back = list(model.decode_steps(to_noise[-1].h.flatten(1)))[::-1]\n"
        "print(256 * (to_noise[0].h - back[0].h).abs().max())\n"
        f"x = torch.cat([step.x for step in to_noise + back])\n{programs.save(len(to_noise), 2)}"
    )
    return {"layers": frames, "layers_text": text, "layers_lines": programs.program(lines, f"flow-{dataset}")}


def unavailable(message):
    return {"layers": {"message": message}, "layers_text": "", "layers_lines": ""}


def flow_unfold(
    model: Literal[*MODELS] = "flow-mnist", picture: events.Upload = None, test_picture_number: int = 0, seed: int = 0
) -> tuple[dict, Image]:
    """Carry a picture through the layers of a flow to noise, and back.

    Args:
        model: one of the models, see flow_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199, used when there is no file.
        seed: of the noise of the grey levels, a whole number.
    Returns:
        The largest error of the round trip in grey levels, log |det| of the whole map and of each layer; and a PNG: above the
        way to noise, below the way back.
    """
    import torch

    dataset = dataset_of(model)
    seed = gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    source = sources.upload_or_test_picture(dataset, picture, test_picture_number)
    to_noise, back, error = round_trip(dataset, source["x"], seed)
    log_det = [step.log_det.item() for step in to_noise]
    per_layer = [later - earlier for earlier, later in zip(log_det, log_det[1:])]
    facts = {"round_trip_error": error, "log_det": log_det[-1], "log_det_of_layers": per_layer}
    return facts, gm.pictures.grid(torch.cat([step.x for step in to_noise + back]), len(to_noise), scale=2)


def lay_out():
    layout.hint(
        "The picture chosen under *How likely?*, layer by layer: of each square of pixels three become "
        "noise, one after another, then the same with what remains, down to a single pixel."
    )
    return {
        "layers": Scrubber(ends=("picture", "noise"), elem_id="flow-unfold"),
        "layers_text": gr.Markdown(elem_id="flow-error"),
        "layers_lines": layout.python_panel("flow", "unfold"),
    }
