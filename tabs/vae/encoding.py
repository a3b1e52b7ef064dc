"""The visitor's own picture: its code, and its reconstruction from the code alone."""

from typing import Literal

import gradio as gr
from PIL.Image import Image

import genmodels as gm
from tabs import endpoints, layout, programs, sources
from tabs.components import sheet
from tabs.components.tiles import Tiles
from tabs.language import _
from tabs.sources import Source
from tabs.vae.data import SAVE, TEST_TILES, VAE, code_list, code_tensor, load_vae, model_name, view


def encode(source: Source, size):
    """Another picture -> comparison, report, sliders, stage, lines: its code and its reconstruction."""
    import torch

    name, x = model_name(source["dataset"], size), source["x"]
    lines = programs.program(f"{source['lines']}x = model.reconstruct(picture)\n{SAVE}", name) if "number" in source else ""
    vae = load_vae(name)
    z, stats = vae.encode(x).mean, gm.vae.encoding_stats(vae, x)
    x_hat = vae.reconstruct(x) if lines else vae.decode(code_tensor(name, code_list(z)))
    names = [_("input"), _("reconstruction"), _("absolute difference")]
    comparison = {**sheet(torch.cat([x, x_hat, (x - x_hat).abs()]), 3), "labels": names}
    report = _(
        "**Squared error** {squared_error:.4f} per pixel. **KL** {kl:.1f} nats: the information in the code. **ELBO** "
        "{elbo:.1f} nats: a lower bound on the log-probability of this picture.",
        **stats,
    )
    caption = _("Reconstruction of your picture from {n} numbers.", n=vae.latent)
    return {
        "comparison": comparison,
        "report": report,
        **view(name, z, x_hat, lines, caption, "picture" if lines else None),
    }


PICTURES = sources.Chooser(encode, TEST_TILES, opening=-1)
NO_PICTURE = {"comparison": {}, "report": ""}  # of another model


def vae_encode(
    model: Literal[*VAE.models] = "vae-mnist", picture: endpoints.Upload = None, test_picture_number: int = 0
) -> tuple[dict, Image]:
    """Encode a picture: its latent code, its reconstruction, and the terms of the ELBO.

    Returns:
        The code (mean and standard deviation of each number), the squared error per pixel, KL and ELBO in nats; and a PNG
        with the picture as the encoder gets it beside its reconstruction.
    """
    import torch

    vae = load_vae(model)
    x = sources.upload_or_test_picture(VAE.dataset_of(model), picture, test_picture_number)["x"]
    q = vae.encode(x)
    facts = {"model": model, "mean": q.mean[0].tolist(), "standard_deviation": q.stddev[0].tolist()}
    facts |= gm.vae.encoding_stats(vae, x)
    return facts, gm.pictures.grid(torch.cat([x, vae.reconstruct(x)]), columns=2, scale=4)


def lay_out(model, code_view):
    """Lay out and wire the tool. Returns (where a picture is chosen, what is shown of it)."""
    layout.hint(
        _(
            "Choose a test picture (not used in training), or bring your own. The encoder turns it into a latent code, and the "
            "decoder reconstructs it from the code alone."
        )
    )
    parts = PICTURES.lay_out("vae", min_width=150, height=224)
    comparison = Tiles(pick=False, columns=3, name=_("Input and reconstruction"), elem_id="vae-pair")
    shown = {"comparison": comparison, "report": gr.Markdown(elem_id="vae-report", elem_classes="report")}
    PICTURES.connect(parts, model, {**shown, **code_view})
    return parts, shown
