"""The map: all codes of two numbers, and the pictures that they decode to."""

import json

import gradio as gr

import genmodels as gm
from tabs import events, families, layout, sources
from tabs.components import sheet
from tabs.components.latent_map import LatentMap
from tabs.language import _
from tabs.vae import sampling
from tabs.vae.data import code_tensor, model_name, view

MAP_CELLS = 28  # decoded pictures per side of a map


@families.cached(8)
def _map(folder, dataset):
    """One map: decoded pictures of a grid of codes, and the codes of the test pictures."""
    pictures, z, bounds = gm.vae.map_codes(gm.load(folder), sources.test_pictures(dataset)[0], MAP_CELLS)
    # One string: Gradio walks through every list on the page at each message of a stream, also those of other tabs.
    y = gm.data.samples(dataset).y.tolist()
    points = json.dumps([{"x": round(a, 3), "y": round(b, 3), "label": label} for (a, b), label in zip(z.tolist(), y)])
    return {**sheet(pictures, MAP_CELLS), "bounds": bounds, "points": points}


def show(dataset):
    """-> map: both maps of a data set, autoencoder and VAE."""
    if dataset not in gm.data.CLASSES:
        message = _("These pictures need a code of more than two numbers, so they have no map. Choose digits or clothes.")
        return {"map": {"message": message}}
    maps = []
    for title, name in ((_("Autoencoder"), f"autoencoder-{dataset}"), (_("VAE"), f"vae-{dataset}-2d")):
        try:
            maps.append({"title": title, **_map(name, dataset)})
        except ValueError as e:
            maps.append({"title": title, "message": events.sentence(e)})
    return {"map": {"maps": maps, "classes": [_(name) for name in gm.data.CLASSES[dataset]]}}


def choose(dataset, event: gr.EventData, **controls):
    """A click on a map -> size, tiles, sliders, stage, lines."""
    u, v = (events.event_number(event, name, 1, whole=False) for name in "uv")
    name = model_name(dataset, "2d")
    edge = _map(name, dataset)["bounds"]
    z = code_tensor(name, [edge["x0"] + u * (edge["x1"] - edge["x0"]), edge["y1"] - v * (edge["y1"] - edge["y0"])])
    tiles = {**sampling.sample(dataset, "2d", **controls)["tiles"], "chosen": -1}
    return {"size": "2d", "tiles": tiles, **view(name, z, caption=_("Decoded from the chosen point of the map."))}


def lay_out():
    layout.hint(
        _(
            "If a code has only **two** numbers, all pictures fit on a map. Point at it to see what a code decodes to; click "
            "to put that code on the sliders."
        )
    )
    latent_map = LatentMap(elem_id="vae-map")
    layout.hint(
        _(
            "An **autoencoder** may put its codes anywhere: some are crowded together, and between them are regions that it "
            "never learned to decode. A **VAE** must fill a round cloud in the middle: every point there decodes to a picture, "
            "and neighbours look alike."
        )
    )
    return latent_map
