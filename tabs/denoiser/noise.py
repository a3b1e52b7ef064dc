"""The noise that is added to the picture, and the sigma that the network is given."""

from typing import Annotated, Literal, NamedTuple, Self

import gradio as gr
from PIL.Image import Image
from pydantic import Field, model_validator

import genmodels as gm
from genmodels.messages import Message
from tabs import endpoints, events, lane, links
from tabs.controls import SEED, Controls, Seed, radio, slider
from tabs.denoiser import pictures
from tabs.language import _

MAX_NOISY_PIXELS = 4_000_000  # of a whole picture that noise is added to
# genmodels.denoiser.CLASSICAL, without torch
CLASSICAL = (Message("median"), Message("non-local means"), Message("total variation"), Message("wavelets"))


class Kind(NamedTuple):
    """A kind of noise on the page, and its strength: on the 0-255 scale if Gaussian, else in %."""

    title: Message
    maximum: float = 1
    value: float = 0
    strength_title: str = ""


KINDS = {
    "gaussian": Kind(Message("Gaussian"), 150, 25, Message("Sigma, on the 0-255 scale")),
    "poisson": Kind(Message("Poisson"), 60, 15, Message("Strength, % (standard deviation at white)")),
    "salt-and-pepper": Kind(Message("Salt and pepper"), 60, 10, Message("Corrupted pixels, %")),
    "speckle": Kind(Message("Speckle"), 100, 30, Message("Strength, {unit} of each pixel's value", unit="%")),
    "missing block": Kind(
        Message("Missing block"), 60, 25, Message("Side of the block, {unit} of the picture's side", unit="%")
    ),
    "none": Kind(Message("No added noise")),
}
DIGIT_SIGMA = 100  # initial value for digits and clothes, on the 0-255 scale: with less they are restored almost perfectly


class Restoration(Controls):
    """Noise and what is known of it, in the units of `genmodels` and of the API; kind "none": no noise is added."""

    kind: Literal[*KINDS] = Field("gaussian", title=Message("Kind"))
    strength: float = Field(0.1, ge=0, le=1, title=Message("Strength"))
    sigma: float = Field(0, ge=0, le=1, title=Message("Sigma"), description=Message("given to the model; 0: blind"))
    method: Literal["ours", *CLASSICAL] = Field("ours", title=Message("Method"))
    seed: Seed = SEED

    @property
    def reference_sigma(self) -> float | None:
        """Given to scikit-image's methods: the true sigma of Gaussian noise, or None for their own estimate."""
        return self.strength if self.kind == "gaussian" else self.sigma or None

    def add_to(self, x):
        return x if self.kind == "none" else gm.denoiser.add_noise(x, self.kind, self.strength, seed=self.seed)

    def add_to_whole(self, source: pictures.CroppedSource):
        """The whole picture with its noise, (1, C, H, W)."""
        x = pictures.whole_picture(source)
        if self.kind != "none" and x.shape[2] * x.shape[3] > MAX_NOISY_PIXELS:
            text = Message(
                "Noise can be added to pictures of at most {megapixels} megapixels: choose a smaller one, or '{none}'.",
                megapixels=MAX_NOISY_PIXELS // 10**6,
                none=KINDS["none"].title,
            )
            raise ValueError(text)
        with lane.beside():
            return self.add_to(x)

    def python_line(self) -> str:
        """The line that makes `noisy`."""
        if self.kind == "none":
            return "noisy = clean\n"
        strength = in_python(self.strength) if self.kind == "gaussian" else f"{self.strength:g}"
        return f'noisy = gm.denoiser.add_noise(clean, "{self.kind}", {strength}, seed={self.seed})\n'


def in_python(sigma: float) -> str:
    return f"{255 * sigma:g} / 255"


class Noise(Controls):
    """The controls of the page, in its units."""

    kind: Annotated[Literal[*KINDS], radio([(k.title, name) for name, k in KINDS.items()])] = Field(
        "gaussian", title=Message("Kind")
    )
    strength: Annotated[float, slider(label=KINDS["gaussian"].strength_title)] = Field(
        25, ge=0, le=150, title=Message("Strength")
    )
    sigma: Annotated[float, slider(elem_id="denoiser-told")] = Field(
        0, ge=0, le=100, title=Message("Sigma given to the network"), description=Message("0: blind")
    )
    seed: Seed = SEED

    @model_validator(mode="after")
    def strength_fits_kind(self) -> Self:
        kind = KINDS[self.kind]
        if self.kind != "none" and self.strength > kind.maximum:
            text = Message(
                "Strength must be a number from 0 to {maximum} for {kind}, not {strength:g}.",
                maximum=kind.maximum,
                kind=kind.title,
                strength=self.strength,
            )
            raise ValueError(text)
        return self

    def restoration(self) -> Restoration:
        strength = 0 if self.kind == "none" else self.strength / (255 if self.kind == "gaussian" else 100)
        return Restoration(kind=self.kind, strength=strength, sigma=self.sigma / 255, seed=self.seed)


def choose_kind(kind, dataset):
    """-> strength: each kind has its own scale."""
    facts = KINDS[Noise.read(kind=kind, strength=0).kind]
    value = DIGIT_SIGMA if kind == "gaussian" and dataset != "photo" else facts.value
    return {"strength": gr.update(maximum=facts.maximum, value=value, label=_(facts.strength_title), visible=kind != "none")}


def restore(kind, strength, dataset, **controls):
    """-> strength of a link, on the scale of its kind."""
    return {"strength": {**choose_kind(kind, dataset)["strength"], "value": strength}}


def opening_values(dataset):
    return {} if dataset == "photo" else {"strength": DIGIT_SIGMA}


class Addition(Restoration):
    kind: Literal[*list(KINDS)[:-1]] = Field("gaussian", title=Message("Kind"))  # all but "none"
    parameters = ("kind", "strength", "seed")


def add_noise(
    picture: endpoints.Upload = None,
    photograph_number: int = 0,
    options: Addition = Addition(),  # noqa: B008
) -> tuple[dict, Image]:
    """Add noise to a photograph.

    Args:
        picture: a file, at most 40 MB and 4 megapixels. Without one, one of eight photographs is used.
        photograph_number: 0 to 7, used when there is no file.
        strength: 0 to 1: standard deviation at white; of salt-and-pepper the fraction of pixels; of a block its side.
    Returns:
        Kind, strength and size; and a PNG of the noisy picture, clipped to the displayable range.
    """
    noisy = options.add_to_whole(pictures.upload_or_example("photo", picture, photograph_number, "photograph_number"))
    facts = {"kind": options.kind, "strength": options.strength, "width": noisy.shape[3], "height": noisy.shape[2]}
    with lane.beside():
        return facts, gm.pictures.grid(noisy)


def lay_out(dataset):
    """Lay out and wire the controls. Returns them by name, and the triggers after which the noise is another one."""
    gr.Markdown(_("### Noise"))
    controls = Noise.components("denoiser", "kind", "strength", "sigma")
    with gr.Row(elem_classes="small-controls"):
        new = gr.Button(_("New noise"), scale=3, min_width=90)
        controls |= Noise.components("denoiser", "seed")
    inputs, outputs = {"kind": controls["kind"], "dataset": dataset}, {"strength": controls["strength"]}
    chosen = events.act(controls["kind"].input, choose_kind, inputs, outputs, trigger_mode="always_last")
    drawn = events.new_seed(new, controls["seed"])
    links.tool(Noise, controls, (restore, {"dataset": dataset}, outputs), defaults=opening_values)
    sliders = [controls[name].release for name in ("strength", "sigma")]
    return controls, [*sliders, controls["seed"].submit, drawn.then, chosen.then, links.restored(controls)]
