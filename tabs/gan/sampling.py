"""Generated pictures with their scores, on the stage, and the principal directions that change them."""

from typing import Annotated, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field, field_validator

import genmodels as gm
from genmodels.messages import Message
from tabs import events, labels, layout, links, sources
from tabs.components import columns, raw
from tabs.components.gallery import Gallery
from tabs.components.sliders import Sliders
from tabs.controls import SEED, Controls, Expression, Seed, checkbox, radio, slider
from tabs.gan import data
from tabs.gan.data import GAN
from tabs.language import _

DIRECTIONS = 8  # number of sliders
MAX_AMOUNT = 3  # of a slider, in standard deviations
WORDS = {"real": Message("real test picture"), "generated": Message("generated picture")}


class Sampling(Controls):
    n: Annotated[int, slider()] = Field(20, ge=1, le=30, title=Message("Number of pictures"))
    label: str = Field(labels.ANY, title=Message("Class"), max_length=500)
    truncation: Annotated[float, slider(step=0.05)] = Field(
        1, ge=0, le=1.5, title=Message("Truncation"), description=Message("0: all alike, 1: as trained")
    )
    seed: Seed = SEED
    directions: list[float] = Field([0.0], title=Message("Principal directions"))

    @field_validator("directions", mode="before")
    @classmethod
    def check_directions(cls, amounts):
        """Stricter than pydantic alone, as `Controls.read` is."""
        if isinstance(amounts, (list, tuple)) and len(amounts) <= DIRECTIONS and all(map(is_amount, amounts)):
            return [round(float(amount), 3) for amount in amounts]
        allowed = {"n": DIRECTIONS, "low": -MAX_AMOUNT, "high": MAX_AMOUNT}
        raise ValueError(Message("must be a list of at most {n} numbers from {low} to {high}.", **allowed))

    @property
    def amounts(self):
        """One amount per direction, or [] if all are 0."""
        return self.directions + [0.0] * (DIRECTIONS - len(self.directions)) if any(self.directions) else []


class Stage(Sampling):
    """What the page adds to the controls."""

    order: Annotated[
        Literal["sampled", "score"],
        radio(
            [(Message("as sampled"), "sampled"), (Message("by score"), "score")],
            scale=3,
            show_label=False,
            container=False,
            min_width=240,
            elem_classes="small-pills",
        ),
    ] = Field("sampled", title=Message("Order"))
    add_real: Annotated[bool, checkbox(container=False, elem_id="gan-mixed", elem_classes=[])] = Field(
        False, title=Message("add real pictures")
    )


class Shown(Stage, labels.Menus):
    """What a link says of the stage."""


def is_amount(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -MAX_AMOUNT <= value <= MAX_AMOUNT


def read(dataset, sliders=None, **controls):
    """What the page sends. The sliders may still hold the amounts of another dataset: then all are 0."""
    fits = isinstance(sliders, dict) and sliders.get("model") == f"gan-{dataset}"
    values = labels.from_menus(GAN.conditions(dataset), controls)
    return Stage.read(directions=sliders.get("z") if fits else [], **values)


def labels_of(dataset, options):
    """The label of the pictures as the model takes it."""
    return labels.for_pictures(GAN.conditions(dataset), options.label, options.n)


# --- The pictures and their lines of Python ---------------------------------------------------------------------------


@GAN.cached
def principal_directions(dataset):
    return GAN.load(dataset).directions(GAN.load(dataset).latent)


def latents(dataset, options):
    """The latent codes of the generated pictures."""
    import torch

    label = labels_of(dataset, options)
    w = GAN.load(dataset).sample_latents(options.n, label=label, truncation=options.truncation, seed=options.seed)
    return w + torch.tensor(options.amounts) @ principal_directions(dataset)[:DIRECTIONS] if options.amounts else w


def real_indices(dataset, options):
    """Indices of test pictures with the label, at most as many as are generated."""
    y, label = data.test_labels(dataset), labels_of(dataset, options)
    indices = gm.labels.matching(y, label, options.n, GAN.load(dataset).classes, options.seed)
    if not indices:
        raise ValueError(
            Message("None of the {n} test pictures of the app has all these attributes: leave some unspecified.", n=len(y))
        )
    return indices


def generate(dataset, options, scored=True):
    """(pictures, their relative scores or None, for each whether it is "real" or "generated"), in the order of the page."""
    import torch

    x, label = GAN.load(dataset).decode(latents(dataset, options)), labels_of(dataset, options)
    kinds = ["generated"] * options.n
    if options.add_real:
        indices = real_indices(dataset, options)
        x, kinds = torch.cat([x, sources.test_pictures(dataset)[0][indices]]), kinds + ["real"] * len(indices)
        if options.label == labels.EACH:
            label = label + label
    if not scored:
        return x, None, kinds
    scores = data.relative_scores(dataset)(x, label)
    if options.order == "score":
        order = scores.argsort(descending=True, stable=True)
        x, scores, kinds = x[order], scores[order], [kinds[i] for i in order.tolist()]
    return x, scores, kinds


def picture_values(dataset, options):
    """What the stage shows, without words."""
    x, scores, kinds = generate(dataset, options)
    return {
        **raw(x),
        "across": columns(len(x)),
        "pictures": [{"kind": kind, "score": score} for kind, score in zip(kinds, data.rounded(scores))],
        "histogram": data.score_histogram(dataset, options.label != labels.ANY),
        "shown": {"dataset": dataset, **options.model_dump(exclude={"directions"})},
    }


def in_words(values):
    return {**values, "pictures": [{**picture, "label": _(WORDS[picture["kind"]])} for picture in values["pictures"]]}


def python_lines(dataset, options):
    """The program that computes the pictures of `generate`; none is computed here."""
    label, each, n, lines = labels_of(dataset, options), options.label == labels.EACH, options.n, ""
    if each:
        lines = f"label = [i % {GAN.load(dataset).classes[0]} for i in range({n})]\n"
    written = Expression("label") if each else label
    lines += f"w = {options.call('model.sample_latents', gm.GAN.sample_latents, label=written)}\n"
    if options.amounts:
        lines += f"w = w + torch.tensor({options.amounts}) @ model.directions({DIRECTIONS})\n"
    lines += "x = model.decode(w)\n"
    if options.add_real:
        indices = real_indices(dataset, options)
        lines += f'x = torch.cat([x, gm.data.samples("{dataset}").floats()[{indices}]])\n'
        lines += "label = label + label\n" * each
        n += len(indices)
    if options.order == "score":
        if each:  # relative scores: between classes, raw scores cannot be compared
            lines += (
                f"classes = range({GAN.load(dataset).classes[0]})\n"
                f"samples = [model.sample({gm.gan.RelativeScores.samples([0])}, label=c, seed=0) for c in classes]\n"
                "baseline = torch.stack([model.score(s, c).mean() for s, c in zip(samples, classes)])\n"
                "score = model.score(x, label) - baseline[label]\n"
            )
        else:
            lines += f"score = model.score(x{'' if label is None else f', {label}'})\n"
        lines += "x = x[score.argsort(descending=True, stable=True)]\n"
    return GAN.program(dataset, lines, columns(n))


def show(dataset, **controls):
    """-> stage, lines"""
    options = read(dataset, **controls)
    return {"stage": in_words(picture_values(dataset, options)), "lines": python_lines(dataset, options)}


def follow(moved):
    """What the stage shows while a slider moves: no scores, which would take as long as the pictures, unless they sort them.

    moved: what the gallery's script sends, or anything else, since anyone can call this.
    """
    shown = moved.get("shown") if isinstance(moved, dict) else None
    if not isinstance(shown, dict):
        return {}
    dataset = GAN.check(str(shown.get("dataset")))
    values = {name: value for name, value in shown.items() if name != "dataset"}
    options = Stage.read(**values | {"directions": moved.get("z")})
    if options.order == "score":
        return in_words(picture_values(dataset, options))
    x, _scores, kinds = generate(dataset, options, scored=False)
    return in_words({**raw(x), "across": columns(len(x)), "pictures": [{"kind": kind} for kind in kinds], "moving": True})


def sliders_value(dataset):
    """Value of the sliders, all at 0, each with its share of the variance."""
    variances = principal_directions(dataset).square().sum(1)
    shares = (100 * variances / variances.sum()).tolist()[:DIRECTIONS]
    dims = [{"index": i, "label": f"#{i + 1} · {share:.0f} %"} for i, share in enumerate(shares)]
    return {"model": f"gan-{dataset}", "z": [0.0] * len(dims), "dims": dims, "unused": 0}


def show_restored(dataset, directions, **controls):
    """-> sliders, stage, lines of a link."""
    sliders = sliders_value(dataset)
    sliders["z"] = [*directions, *sliders["z"][len(directions) :]]
    return {"sliders": sliders, **show(dataset, sliders=sliders, **controls)}


def opening_values(dataset):
    """The controls as the tab opens, the menus among them."""
    return opening(dataset).model_dump() | labels.menu_values(GAN.attributes(dataset))


def reset(dataset, **controls):
    """-> truncation, sliders, stage, lines: the first two as they open."""
    restored = {"truncation": 1, "sliders": sliders_value(dataset)}
    return restored | show(dataset, **controls | restored)


def opening(dataset):
    """The controls as the tab opens."""
    return Stage(label=labels.ANY, n=15) if dataset == "avatars" else Stage(label=labels.EACH)


@GAN.cached
def first_pictures(dataset):
    return picture_values(dataset, opening(dataset))


def open_dataset(dataset):
    """Another dataset: the controls as they open, and their pictures."""
    options = opening(dataset)
    return {
        **labels.menu_updates(GAN.conditions(dataset)),
        **options.model_dump(include={"truncation", "n", "seed", "order", "add_real"}),
        "sliders": sliders_value(dataset),
        "stage": in_words(first_pictures(dataset)),
        "lines": python_lines(dataset, options),
    }


def gan_sample(model: Literal[*GAN.models] = "gan-mnist", options: Sampling = Sampling()) -> Image:  # noqa: B008
    """Generate new pictures with a GAN.

    Args:
        directions: list of at most 8 numbers from -3 to 3: the amount along each of the first principal directions, in
            standard deviations.
    Returns:
        A PNG with the pictures in rows.
    """
    dataset = GAN.dataset_of(model)
    return gm.pictures.grid(GAN.load(dataset).decode(latents(dataset, options)), columns(options.n), scale=4)


# --- Layout -----------------------------------------------------------------------------------------------------------


def lay_out_controls():
    gr.Markdown(_("### Conditions"))
    parts = labels.menus("gan") | Stage.components("gan", "truncation", "n")
    gr.Markdown(_("### Principal directions"))
    layout.hint(
        _(
            "The directions in which its latent codes vary most, found without labels. **Move one:** all pictures change "
            "in the same way, and so do their scores."
        )
    )
    return {**parts, "sliders": Sliders(elem_id="gan-sliders")}


def lay_out_stage(dataset, controls, lines):
    """Lay out and wire the stage. Returns the step that opens a dataset."""
    stage = Gallery(
        poster=layout.poster(f"gan-{GAN.available()[0]}"),
        name=_("Generated pictures and their scores"),
        follows="gan-sliders",
        server_functions=[events.guarded(follow, lambda message: {"message": message}, urgent=True)],
        elem_id="gan-stage",
        elem_classes="live-picture",
    )
    with gr.Row(elem_classes=["small-controls", "orders"]):
        controls |= Stage.components("gan", "order", "add_real")
    new, seed, restore = layout.seed_row(_("New pictures"), _("Reset"))
    controls["seed"] = seed
    inputs, outputs = {"dataset": dataset, **controls}, {"stage": stage, "lines": lines}
    events.live(controls["sliders"].release, show, inputs, outputs)
    for name in (*labels.MENUS, "truncation", "n", "add_real", "order"):
        events.live(controls[name].input, show, inputs, outputs)
    events.seeded(new, seed, show, inputs, outputs)
    restored = {name: controls[name] for name in ("truncation", "sliders")}
    events.act(restore.click, reset, inputs, {**restored, **outputs})
    directions = links.Part(controls["sliders"], "v?.z?.some(Boolean) ? v.z : null")
    shown = {**controls, "directions": directions}
    links.tool(
        Shown,
        shown,
        (show_restored, {"dataset": dataset}, {"sliders": controls["sliders"], **outputs}),
        defaults=opening_values,
    )
    return open_dataset, {"dataset": dataset}, {**controls, **outputs}
