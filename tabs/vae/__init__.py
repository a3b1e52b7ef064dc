"""Autoencoder and variational autoencoder: pictures encoded as latent codes, and pictures decoded from codes."""

import functools
import json
from pathlib import Path

import gradio as gr

import genmodels as gm
from tabs import cards, events, layout, sources
from tabs.components.sliders import Sliders
from tabs.vae import editing, encoding, interpolation, latent_map, sampling
from tabs.vae.data import DATASETS, MODELS, TEST_TILES, Model, model_name

ENDPOINTS = sampling.vae_sample, sampling.vae_decode, encoding.vae_encode, interpolation.vae_interpolate, editing.vae_attributes


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    names = (*MODELS, *(f"classifier-{name}" for name in gm.data.DATASETS))
    maps = [functools.partial(latent_map.show, dataset) for dataset in gm.data.CLASSES]
    return [*(functools.partial(gm.load, name) for name in names), *maps]


def open_test_tiles(dataset):
    """Test pictures for both tools, and whether there is a pad to draw on."""
    tiles = sources.tiles(dataset, TEST_TILES, chosen=-1)
    return {"tiles": tiles, "end_tiles": tiles, "drawing": gr.update(visible=dataset != "avatars")}


def card(dataset, size):
    """The models of the tab in a table, and the card of the selected one."""
    names = (*MODELS, "autoencoder-mnist", "autoencoder-fashion", *(f"classifier-{name}" for name in DATASETS))
    return {"card": cards.models_table(names) + "\n\n" + cards.text(model_name(dataset, size))}


def augmentation():
    """The result of `train.augmentation`, in words."""
    try:
        return json.loads((cards.checkpoints() / "vae-mnist" / "augmentation.json").read_text(encoding="utf-8"))["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return "(The measurement is missing: it belongs in checkpoints/vae-mnist/augmentation.json.)"


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        "A **variational autoencoder (VAE)** learns to compress pictures into short latent codes and to decode new pictures "
        "from random codes: move a slider of the code, and the picture follows."
    )
    with gr.Row(elem_classes="choices"):
        model = Model.components("vae", "dataset")
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes="card"):
            gr.Markdown("### Latent code")
            layout.hint(
                "To the model, a picture is this list of numbers. **Move one.** They are sorted by their mean KL: how much "
                "each tells about a picture, in nats."
            )
            model |= Model.components("vae", "size", size={"choices": sampling.size_choices("mnist")})
            sliders = Sliders(elem_id="vae-sliders")
        with gr.Column(scale=8, min_width=300, elem_classes=["card", "on-stage"]):
            stage_parts, controls = sampling.lay_out()
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Map", id="map"):
                map_view = latent_map.lay_out()
            with gr.Tab("Your picture", id="own"):
                own_parts = encoding.lay_out()
            with gr.Tab("Interpolate", id="between"):
                interpolation_parts = interpolation.lay_out()
            with gr.Tab("Edit attributes", id="change"):
                editing_parts = editing.lay_out()
    lines = layout.python_panel("vae")
    layout.explanation(Path(__file__).with_name("about.md"), measured=cards.headline("vae-mnist"), augmentation=augmentation())
    with gr.Accordion("The models and their measurements", open=False):
        model_card = gr.Markdown()

    dataset, size = {"dataset": model["dataset"]}, model["size"]
    code_view = {"sliders": sliders, "stage": stage_parts["stage"], "lines": lines}
    model_view = {"size": size, "tiles": stage_parts["tiles"], **code_view}
    sampling.connect(model, stage_parts, controls, code_view)
    encoding.connect(model, own_parts, code_view)
    events.act(map_view.click, latent_map.choose, {**dataset, **controls}, model_view)
    interpolation.connect(model, interpolation_parts, code_view)
    editing.connect(editing_parts, code_view)

    opening = sampling.open_model, {**model, **controls}, model_view
    test_outputs = {"tiles": own_parts["tiles"], "end_tiles": interpolation_parts["tiles"], "drawing": own_parts["drawing"]}
    per_dataset = (open_test_tiles, dataset, test_outputs), (latent_map.show, dataset, {"map": map_view})
    per_model = (
        (interpolation.start, model, {name: interpolation_parts[name] for name in ("memory", "frames")}),
        (editing.start, dataset, editing_parts),
        (card, model, {"card": model_card}),
    )
    events.when_opened((size.input,), opening)
    events.when_opened((first_visit, model["dataset"].input), opening, *per_dataset, *per_model)
    events.when_opened((size.change,), *per_model)
