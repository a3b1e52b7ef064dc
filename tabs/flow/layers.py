"""A picture, layer by layer: to noise, and exactly back."""

from typing import Literal

import gradio as gr
from PIL.Image import Image

import genmodels as gm
from tabs import endpoints, layout, sources
from tabs.components import sheet
from tabs.components.scrubber import Scrubber
from tabs.flow.data import FLOW
from tabs.language import _
from tabs.sources import Source


def compute(source: Source):
    """(frames, facts): what `show` puts into words."""
    import torch

    dataset = sources.require(source)["dataset"]
    encoded, decoded, error = gm.flow.round_trip(FLOW.load(dataset), source["x"])
    remaining = [gm.flow.remaining_pixels(step.x, done) for done, step in enumerate(encoded)]
    frames = sheet(torch.cat([*(step.x for step in encoded + decoded), *remaining]), len(encoded))
    z = encoded[-1].h
    return frames, {"layers": len(encoded) - 1, "error": error, "mean": z.mean().item(), "deviation": z.std().item()}


def show(source: Source, computed=None):
    """-> layers (frames), layers_text, layers_lines. computed: what `compute` returned for this source."""
    frames, facts = computed or compute(source)
    text = _(
        "Encoded and decoded through {layers} layers, the largest error is **{error:.1e}** of a grey level. "
        "The noise has mean {mean:+.2f} and standard deviation {deviation:.2f}.",
        **facts,
    )
    rows = [_("encode"), _("decode"), _("remaining pixels, enlarged")]
    lines = source["lines"] + (
        "encoded = list(model.encode_steps(picture, seed=0))\n"
        "decoded = list(model.decode_steps(encoded[-1].h.flatten(1)))[::-1]\n"
        "print(256 * (encoded[0].h - decoded[0].h).abs().max())\n"
        "x = torch.cat([step.x for step in encoded + decoded])\n"
    )
    lines = FLOW.program(source["dataset"], lines, facts["layers"] + 1, 2)
    return {"layers": {**frames, "rows": rows}, "layers_text": text, "layers_lines": lines}


def flow_unfold(
    model: Literal[*FLOW.models] = "flow-mnist", picture: endpoints.Upload = None, test_picture_number: int = 0, seed: int = 0
) -> tuple[dict, Image]:
    """Encode a picture to noise through the layers of a flow, and decode it.

    Args:
        seed: of the dequantization noise, a whole number.
    Returns:
        The largest error of the round trip in grey levels, log |det| of the whole map and of each layer; and a PNG with the
        steps of encoding above those of decoding.
    """
    import torch

    dataset = FLOW.dataset_of(model)
    seed = gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    source = sources.upload_or_test_picture(dataset, picture, test_picture_number)
    encoded, decoded, error = gm.flow.round_trip(FLOW.load(dataset), source["x"], seed)
    log_det = [step.log_det.item() for step in encoded]
    per_layer = [later - earlier for earlier, later in zip(log_det, log_det[1:])]
    facts = {"round_trip_error": error, "log_det": log_det[-1], "log_det_of_layers": per_layer}
    return facts, gm.pictures.grid(torch.cat([step.x for step in encoded + decoded]), len(encoded), scale=2)


def lay_out():
    layout.hint(
        _(
            "The picture chosen under *Likelihood*: of each square of 2 x 2 pixels three become noise, one after "
            "another, then the same with the remaining pixels, down to a single one."
        )
    )
    return {
        "layers": Scrubber(ends=(_("picture"), _("noise")), elem_id="flow-unfold"),
        "layers_text": gr.Markdown(elem_id="flow-error", elem_classes="report"),
        "layers_lines": layout.python_panel("flow", "unfold"),
    }
