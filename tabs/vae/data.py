"""What the tools of this tab share: the models, their latent codes, and a code on the sliders and the stage."""

import textwrap
from typing import Any

import genmodels as gm
from genmodels.messages import Message
from tabs import families, programs
from tabs.components import raw
from tabs.families import Family
from tabs.language import _

TITLES = {"mnist": Message("Digits"), "fashion": Message("Clothes"), "avatars": Message("Faces")}
VAE = Family("vae", TITLES, "vae-mnist-2d", "vae-fashion-2d", own=True)
CODE_LIMIT = 30  # largest absolute value of a number of a code
COLLAPSED_NATS = 0.01  # a dimension with a smaller mean KL carries no information: the model does not use it
TEST_TILES = 20  # test pictures to choose from
SAVE = programs.save(1, 8)


def model_name(dataset: str, size: str) -> str:
    """Name of the model for a data set and the size of its code, "full" or, for digits and clothes, "2d"."""
    return f"vae-{dataset}" + ("-2d" if size == "2d" and dataset in gm.data.CLASSES else "")


def load_vae(name: str) -> "gm.VAE":
    """One of this tab's models: a name from a visitor never becomes a path."""
    return gm.load(gm.base.check_choice("model", name, VAE.models))


@families.cached(16)
def load_latents(folder: str) -> "gm.vae.Latents":
    return gm.vae.load_latents(folder)


def code_tensor(name: str, z: Any):
    """A code from the page as a tensor (1, D), each number checked."""
    import torch

    d = load_vae(name).latent
    if not isinstance(z, (list, tuple)) or len(z) > d:
        raise ValueError(
            Message("A code of {name} must be a list of at most {d} numbers (missing ones are 0).", name=name, d=d)
        )
    values = [gm.base.check_number(Message("each number of a code"), v, -CODE_LIMIT, CODE_LIMIT) for v in z]
    return torch.tensor([values + [0.0] * (d - len(z))])


def code_list(z) -> list[float]:
    """A code (1, D) as the page's list: rounded, so that the sliders and the lines of Python give exactly the same picture."""
    return [round(v, 3) for v in z[0].clamp(-CODE_LIMIT, CODE_LIMIT).tolist()]


def slider_code(sliders: Any):
    """(model's name, code (1, D)) from the sliders' value, which a client may have made up."""
    if not isinstance(sliders, dict) or not sliders.get("model"):
        raise ValueError(Message("No model is loaded: choose another dataset."))
    return sliders["model"], code_tensor(sliders["model"], sliders.get("z"))


def decode_program(name: str, z: list[float]) -> str:
    """The program that decodes a code of the page."""
    numbers = textwrap.fill(", ".join(map(repr, z)), 100, initial_indent="    ", subsequent_indent="    ")
    return programs.program(f"z = torch.tensor([[\n{numbers}\n]])\nx = model.decode(z)\n{SAVE}", name)


def view(name: str, z, x=None, lines: str = "", caption: str = "", origin: Any = None) -> dict:
    """A code (1, D) -> sliders, sorted by KL; stage; lines. x: the picture, if it is not the decoded code, with its lines."""
    z, kl = code_list(z), load_latents(name).kl
    x = load_vae(name).decode(code_tensor(name, z)) if x is None else x
    order, moved = kl.argsort(descending=True).tolist(), origin in (None, "edit")
    dims = [{"index": i, "label": _("#{number} · {kl:.2f} nats", number=i + 1, kl=kl[i])} for i in order]
    sliders = {"model": name, "z": z, "dims": dims, "unused": int((kl < COLLAPSED_NATS).sum()), "moved": moved}
    return {"sliders": sliders, "stage": picture(x, caption, origin), "lines": lines or decode_program(name, z)}


def picture(x, caption: str = "", origin: Any = None) -> dict:
    """Value of the stage. origin: the number of a sample, "edit", "slider" or "picture", a test picture."""
    label = _("The picture decoded from the latent code. {caption}", caption=caption)
    return {**raw(x[0]), "caption": caption, "label": label, "origin": origin}
