"""The sliders of the latent code, and samples: new pictures decoded from random codes."""

from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, programs
from tabs.components import sheet
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.controls import SEED, Controls, Expression, Seed, slider
from tabs.language import _
from tabs.vae.data import SAVE, VAE, code_list, code_tensor, decode_program, load_vae, model_name, picture, slider_code, view

SAMPLES = 12  # new pictures at a time
FRAME_SAMPLE = "(stage, tiles) => ({...tiles, chosen: Number.isInteger(stage?.origin) ? stage.origin : -1})"


class Sampling(Controls):
    n: int = Field(SAMPLES, ge=1, le=64, title=Message("Samples"))
    seed: Seed = SEED
    temperature: Annotated[float, slider(step=0.05, elem_id="vae-spread")] = Field(
        1, ge=0, le=2, title=Message("Temperature"), description=Message("0: no noise, 1: as trained")
    )


class Shown(Sampling):
    """What a link says of the stage."""

    sample: int = Field(0, ge=-1, le=SAMPLES - 1, title=Message("Sample"))
    code: str = Field("", max_length=400, title=Message("Latent code"), description="of the sliders")


def move_slider(sliders):
    """A slider moved -> stage."""
    name, z = slider_code(sliders)
    return {"stage": picture(load_vae(name).decode(z.round(decimals=3)), origin="slider")}


def slider_lines(sliders):
    """The sliders rest -> lines. Not at every move: there they would take as long as the picture."""
    name, z = slider_code(sliders)
    return {"lines": decode_program(name, code_list(z))}


def reset(dataset, size):
    name = model_name(dataset, size)
    return view(name, code_tensor(name, []), caption=_("All numbers 0: the mean of the prior."))


def random_label(name, options: Sampling):
    """Attributes of new faces, for the model that was trained with them; else None."""
    return gm.data.sample_attributes(options.n, seed=options.seed) if load_vae(name).values else None


def sample(dataset, size, chosen=0, **controls):
    """Samples, number `chosen` of them on the stage -> tiles, sliders, stage, lines."""
    name, options = model_name(dataset, size), Sampling.read(**controls)
    vae, label = load_vae(name), random_label(name, options)
    z = vae.sample_latents(options.n, label=label, seed=options.seed, temperature=options.temperature)
    x, call = vae.decode(z), options.call("model.sample", gm.VAE.sample, label=None if label is None else Expression("y"))
    lines = "" if label is None else f"y = gm.data.sample_attributes({options.n}, seed={options.seed})\n"
    lines = programs.program(f"{lines}x = {call}[{chosen}:{chosen + 1}]\n{SAVE}", name)
    origin = _("random noise") if label is None else _("random attributes and noise")
    caption = _("Sample {number} of seed {seed}, decoded from {origin}.", number=chosen + 1, seed=options.seed, origin=origin)
    names = [_("sample {number}", number=i + 1) for i in range(options.n)]
    tiles = {**sheet(x, options.n), "labels": names, "chosen": chosen}
    return {"tiles": tiles, **view(name, z[chosen : chosen + 1], x[chosen : chosen + 1], lines, caption, chosen)}


def sample_with_new_seed(dataset, size, temperature):
    seed = events.fresh_seed()
    return {"seed": seed, **sample(dataset, size, seed=seed, temperature=temperature)}


def choose_sample(dataset, size, event: gr.EventData, **controls):
    outputs = sample(dataset, size, events.event_number(event, "index", SAMPLES - 1), **controls)
    return {name: value for name, value in outputs.items() if name != "tiles"}


def restore(dataset, size, **controls):
    """-> tiles, sliders, stage, lines of a link: the sliders' code, a sample, or with sample -1 neither."""
    shown = Shown.read(**controls)
    outputs = sample(dataset, size, max(shown.sample, 0), seed=shown.seed, temperature=shown.temperature)
    if shown.code or shown.sample < 0:
        outputs = {"tiles": {**outputs["tiles"], "chosen": -1}}
    if shown.code:
        name = model_name(dataset, size)
        outputs |= view(name, code_tensor(name, links.unpack(shown.code)))
    return outputs


def size_choices(dataset):
    numbers = gm.cards.read_json(f"vae-{dataset}", "config.json").get("latent", "")  # known before a model is loaded
    return [(_("Full code ({size})", size=numbers), "full"), (_("2-D code"), "2d")]


def open_model(dataset, size, **controls):
    """Another model -> size, tiles, sliders, stage, lines."""
    sizes = gr.update(choices=size_choices(dataset), visible=dataset in gm.data.CLASSES)
    return {"size": sizes, **sample(dataset, size, **controls)}


def vae_sample(model: Literal[*VAE.models] = "vae-mnist", options: Sampling = Sampling(n=16)) -> Image:  # noqa: B008
    """Sample new pictures from a VAE: random codes, decoded; faces for random attributes.

    Returns:
        A PNG with the pictures in rows of 8.
    """
    label = random_label(model, options)
    x = load_vae(model).sample(options.n, label=label, seed=options.seed, temperature=options.temperature)
    return gm.pictures.grid(x, columns=8, scale=2)


def vae_decode(model: Literal[*VAE.models] = "vae-mnist", code: list = [0.0]) -> Image:  # noqa: B006
    """Decode a latent code into a picture.

    Args:
        code: list of numbers from -30 to 30, at most as many as the model's code has; missing ones are 0.
    Returns:
        A PNG, each pixel 8x8.
    """
    return gm.pictures.grid(load_vae(model).decode(code_tensor(model, code)), columns=1, scale=8)


def lay_out(model, sliders, lines):
    """Lay out and wire the stage. model: data set and size. Returns (what shows a code, the samples, the controls)."""
    stage = Stage(poster=layout.poster("vae-mnist"), elem_id="vae-stage", elem_classes="live-picture")
    code_view = {"sliders": sliders, "stage": stage, "lines": lines}
    tiles = Tiles(columns=6, name=_("Samples"), elem_id="vae-samples")
    new, seed, zero = layout.seed_row(_("New samples"), _("Reset"))
    temperature = Sampling.components("vae", "temperature")
    controls, outputs = {"seed": seed, **temperature}, {"tiles": tiles, **code_view}
    events.live(sliders.input, move_slider, {"sliders": sliders}, {"stage": stage})
    events.live(sliders.release, slider_lines, {"sliders": sliders}, {"lines": lines})
    events.act(new.click, sample_with_new_seed, {**model, **temperature}, {"seed": seed, **outputs})
    events.live(seed.input, sample, {**model, **controls}, outputs, events.ignore)  # half typed
    events.live(temperature["temperature"].input, sample, {**model, **controls}, outputs)
    events.live(tiles.input, choose_sample, {**model, **controls}, code_view)
    events.act(zero.click, reset, model, code_view)
    events.in_browser(stage.change, FRAME_SAMPLE, {"stage": stage, "tiles": tiles}, {"tiles": tiles})
    return code_view, tiles, controls
