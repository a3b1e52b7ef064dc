"""Autoencoder and variational autoencoder: pictures encoded as latent codes, and pictures decoded from codes."""

import functools
from pathlib import Path

import gradio as gr

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, sources
from tabs.components.sliders import Sliders
from tabs.language import _
from tabs.vae import editing, encoding, interpolation, latent_map, sampling
from tabs.vae.data import TEST_TILES, VAE, model_name

ENDPOINTS = sampling.vae_sample, sampling.vae_decode, encoding.vae_encode, interpolation.vae_interpolate, editing.vae_attributes


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    names = (*VAE.models, *(f"classifier-{name}" for name in gm.data.DATASETS))
    maps = [functools.partial(latent_map.show, dataset) for dataset in gm.data.CLASSES]
    return [*(functools.partial(gm.load, name) for name in names), *maps]


def open_test_tiles(dataset):
    """Test pictures for both tools, none of them chosen, and whether there is a pad to draw on."""
    tiles = sources.tiles(dataset, TEST_TILES, chosen=-1)
    drawing = gr.update(visible=dataset in gm.data.CLASSES)
    return {"tiles": tiles, "end_tiles": tiles, "drawing": drawing, **encoding.NO_PICTURE}


def card(dataset, size):
    """The models of the tab in a table, and the card of the selected one."""
    names = (*VAE.models, "autoencoder-mnist", "autoencoder-fashion", *(f"classifier-{name}" for name in VAE.titles))
    return {"card": gm.cards.about(gm.cards.shipped(names), model_name(dataset, size))}


def augmentation():
    """The result of `train.augmentation`, in words."""
    facts = gm.cards.read_json("vae-mnist", "augmentation.json")
    missing = Message("(The measurement is missing: it belongs in checkpoints/vae-mnist/augmentation.json.)")
    return _(gm.cards.augmentation(facts) if facts else missing)


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    layout.hint(
        _(
            "A **variational autoencoder (VAE)** learns to compress pictures into short latent codes and to decode new "
            "pictures from random codes: move a slider of the code, and the picture follows."
        )
    )
    dataset, lines = VAE.radio(min_width=330), layout.python_lines("vae", render=False)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes="card"):
            gr.Markdown(_("### Latent code"))
            layout.hint(
                _(
                    "To the model, a picture is this list of numbers. **Move one.** They are sorted by their mean KL over the "
                    "training pictures: how much each tells about a picture, in nats."
                )
            )
            size = gr.Radio(
                sampling.size_choices("mnist"),
                value="full",
                label=_("Size of the latent code"),
                show_label=False,
                container=False,
                elem_id="vae-size",
                elem_classes="small-pills",
            )
            model, sliders = {"dataset": dataset, "size": size}, Sliders(elem_id="vae-sliders")
        with gr.Column(scale=8, min_width=300, elem_classes=["card", "on-stage"]):
            code_view, samples, controls = sampling.lay_out(model, sliders, lines)
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab(_("Map"), id="map"):
                map_view = latent_map.lay_out()
            with gr.Tab(_("Your picture"), id="own"):
                own, of_own = encoding.lay_out(model, code_view)
            with gr.Tab(_("Interpolate"), id="between"):
                end_tiles, interpolation_step = interpolation.lay_out(model, code_view)
            links.choice("size", size)
            code = links.Part(sliders, "v?.moved ? window.links.pack(v.z) : null")
            shown = {**controls, "sample": links.Part(samples, "v?.chosen"), "code": code}
            links.tool(sampling.Shown, shown, (sampling.restore, model, {"tiles": samples, **code_view}))
            with gr.Tab(_("Edit attributes"), id="change"):
                editing_step = editing.lay_out(dataset, code_view)
    layout.python_panel("vae", lines=lines)
    slots = {"measured": gm.cards.headline("vae-mnist"), "augmentation": augmentation(), "gap": gm.cards.elbo_gap()}
    layout.explanation(Path(__file__).with_name("about.md"), **slots)
    with gr.Accordion(_("The models and their measurements"), open=False):
        model_card = gr.Markdown()

    model_view, chosen = {"size": size, "tiles": samples, **code_view}, {"dataset": dataset}
    events.act(map_view.click, latent_map.choose, {**chosen, **controls}, model_view)
    opening = sampling.open_model, {**model, **controls}, model_view
    test_outputs = {"tiles": own["tiles"], "end_tiles": end_tiles, "drawing": own["drawing"], **of_own}
    tiles_step, card_step = (open_test_tiles, chosen, test_outputs), (card, model, {"card": model_card})
    per_model = tiles_step, interpolation_step, editing_step, card_step
    events.when_opened((size.input,), opening)
    events.when_opened((first_visit, dataset.input), opening, (latent_map.show, chosen, {"map": map_view}), *per_model)
    events.when_opened((size.change,), *per_model)
