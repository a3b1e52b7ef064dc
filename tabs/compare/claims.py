"""What textbooks say of the families, beside what was measured here. Every number is a card's, or stands beside one."""

from collections.abc import Callable, Iterable
from typing import Any

import genmodels as gm
from tabs.compare import data
from tabs.language import _, join

Rows = dict[str, list[dict[str, Any]]]  # data set -> what was measured of each family


def rows_of_all() -> Rows:
    return {dataset: gm.cards.comparison(dataset)["rows"] for dataset in data.TITLES}


def measured(rows: Rows, family: str, value: str) -> dict[str, float]:
    """{data set: a value of `cards.comparison`, where this family has it}"""
    found = {dataset: row[value] for dataset in rows for row in rows[dataset] if row["name"].split("-")[0] == family}
    return {dataset: number for dataset, number in found.items() if number is not None}


def verdict(holds: Iterable[bool]) -> str:
    """In words, from whether it holds on each data set."""
    answers = list(holds)
    if not answers:
        return _("Not measured.")
    return _("Confirmed.") if all(answers) else _("In part.") if any(answers) else _("Not here.")


def side_by_side(rows: Rows, families: Iterable[str], value: str, text: str) -> str:
    """A value of several families on each data set, as "digits: VAE 92 %, GAN 100 %; clothes: ..."."""
    by_family = {family: measured(rows, family, value) for family in families}
    parts = []
    for dataset, title in data.TITLES.items():
        numbers = {family: values[dataset] for family, values in by_family.items() if dataset in values}
        if numbers:
            listed = join([f"{data.family_title(family)} {text.format(number)}" for family, number in numbers.items()])
            parts.append(_("{title}: {numbers}", title=_(title), numbers=listed))
    return _("; ").join(parts) or _("not measured")


def compared(rows: Rows, family: str, others: Iterable[str], value: str, holds: Callable[[float, float], bool]) -> list[bool]:
    """Whether `holds(this family's value, another's)` for all of the others that have one, on each data set with any."""
    own, theirs = measured(rows, family, value), [measured(rows, other, value) for other in others]
    return [
        all(holds(own[dataset], values[dataset]) for values in theirs if dataset in values)
        for dataset in own
        if any(dataset in values for values in theirs)
    ]


OTHERS = ("gan", "flow", "diffusion", "transformer")


def blur(rows: Rows) -> tuple[str, str, str]:
    return (
        _("VAEs blur"),
        verdict(compared(rows, "vae", OTHERS, "sharpness", lambda a, b: a < b)),
        _(
            "Mean difference of neighbouring pixels of samples, as a share of that of real pictures. {numbers}. The decoder "
            "gives the mean of all pictures that a code may stand for; the less the code tells, the more it averages. More "
            "than 100 % is no sharpness, but noise, and edges where real pictures have none.",
            numbers=side_by_side(rows, ("vae", *OTHERS), "sharpness", "{:.0%}"),
        ),
    )


def modes(rows: Rows) -> tuple[str, str, str]:
    return (
        _("GANs drop modes"),
        verdict(compared(rows, "gan", ("vae", "flow", "diffusion", "transformer"), "recall", lambda a, b: a < b)),
        _(
            "Recall, the share of real pictures that lie near a generated one. {numbers}. The run that was made to collapse, "
            "`gan-mnist-collapsed`, has {collapsed}. Pairs of real and generated pictures in the loss, and a second task of "
            "reconstruction, keep ours from collapsing.",
            numbers=side_by_side(rows, ("gan", "vae", "flow", "diffusion", "transformer"), "recall", "{:.0%}"),
            collapsed=gm.cards.percent("gan-mnist-collapsed", "recall"),
        ),
    )


def losses(rows: Rows) -> tuple[str, str, str]:
    good, collapsed = (gm.cards.end_of_training(name) for name in ("gan-mnist", "gan-mnist-collapsed"))
    losses = [gm.cards.last_losses(name) for name in ("gan-mnist", "gan-mnist-collapsed")]
    # The two networks of the run that collapsed are no further from their equilibrium than those of the good one.
    gaps = [abs(values["generator"] - values["discriminator"]) for values in losses if values]
    return (
        _("A GAN's losses say little"),
        verdict([gaps[1] <= gaps[0]] if len(gaps) == 2 else []),
        _(
            "At the end of training the good run has {good}; the collapsed one has {collapsed}. By the losses alone, the "
            "collapsed one looks the more balanced: the two networks are measured against each other, not against the data.",
            good=good,
            collapsed=collapsed,
        ),
    )


def exact(rows: Rows) -> tuple[str, str, str]:
    bits = compared(rows, "flow", ("transformer",), "bits", lambda a, b: a > b)
    return (
        _("Flows are exact, but need size"),
        verdict(bits),
        _(
            "Bits per pixel: {bits}. Parameters: {sizes}. FID: {fid}. Each layer must be invertible, so it can do less than an "
            "unrestricted one of the same size: with more parameters, the flow needs more bits than the transformer. Its "
            "samples are worse than those of diffusion, and on digits better than the transformer's.",
            bits=side_by_side(rows, ("flow", "transformer"), "bits", "{:.3f}"),
            sizes=side_by_side(rows, ("flow", "transformer", "diffusion"), "parameters", "{:,.0f}"),
            fid=side_by_side(rows, ("flow", "transformer", "diffusion"), "fid", "{:.3g}"),
        ),
    )


def slow(rows: Rows) -> tuple[str, str, str]:
    fids = {dataset: gm.cards.sampler_rows(f"diffusion-{dataset}").get("dpm", []) for dataset in data.TITLES}
    calls = [
        _(
            "{title}: {numbers}",
            title=_(data.TITLES[dataset]),
            numbers=join([f"{fid:.3g} ({n})" for n, fid in pairs if n in (1, 4, 16, 64)]),
        )
        for dataset, pairs in fids.items()
        if pairs
    ]
    return (
        _("Diffusion is slow and good"),
        verdict(
            compared(rows, "diffusion", ("vae", "gan", "flow"), "seconds", lambda a, b: a > b)
            + compared(rows, "diffusion", ("vae", "gan", "flow", "transformer"), "fid", lambda a, b: a < b)
        ),
        _(
            "FID against the GAN's: {fid}. Milliseconds per sample: {times}. More function evaluations make it better up to a "
            "point; FID of DPM-Solver++, in brackets the evaluations: {calls}. It is slow everywhere, and has the lowest FID "
            "of all on digits and clothes, with a higher recall than the GAN. On faces the GAN, which has more parameters here "
            "and spends them all on one pass, has the lower FID.",
            fid=side_by_side(rows, ("diffusion", "gan"), "fid", "{:.3g}"),
            times=side_by_side(rows, ("diffusion", "gan"), "milliseconds", "{:.2g}"),
            calls=_("; ").join(calls) or _("not measured"),
        ),
    )


def sequential(rows: Rows) -> tuple[str, str, str]:
    return (
        _("Autoregressive sampling is sequential"),
        verdict(compared(rows, "transformer", ("vae", "gan", "flow", "diffusion"), "seconds", lambda a, b: a > b)),
        _(
            "Function evaluations, one after another, at most: {calls}. Milliseconds per sample: {times}. A pixel cannot be "
            "sampled before those above it; pixels below black ones are guessed to be black, and one evaluation checks a run "
            "of guesses, which leaves the samples as they are. For a likelihood all pixels are known, and one evaluation is "
            "enough.",
            calls=side_by_side(rows, ("transformer", "diffusion", "gan"), "calls", "{:,}"),
            times=side_by_side(rows, ("transformer", "diffusion", "gan"), "milliseconds", "{:.3g}"),
        ),
    )


def smooth(rows: Rows) -> tuple[str, str, str]:
    return (
        _("VAE latents are smooth"),
        verdict(
            [
                *compared(rows, "vae", ("flow",), "path", lambda a, b: a < b),
                *compared(rows, "vae", ("gan",), "path", lambda a, b: a < b),
            ]
        ),
        _(
            "Length of the path between two test pictures in the features of this project's classifier, divided by the "
            "distance of its ends: 1 would be straight. {numbers}. The flow's codes keep every grey level, and half-way "
            "between two of them there need not be a picture. The GAN's path, between the nearest pictures that it generates, "
            "is as smooth as the VAE's.",
            numbers=side_by_side(rows, ("vae", "gan", "flow"), "path", "{:.2f}"),
        ),
    )


def copies(rows: Rows) -> tuple[str, str, str]:
    by_family = {family: measured(rows, family, "copies") for family in ("vae", *OTHERS)}
    return (
        _("Generators repeat their training pictures"),
        verdict(share > 0.02 for values in by_family.values() for share in values.values()),
        _(
            "Share of samples that are nearer to a training picture than 99 % of test pictures are: new pictures have about "
            "1 %. {numbers}. A dot under *Speed, quality, variety* shows eight samples of a family, each with the training "
            "picture nearest to it.",
            numbers=side_by_side(rows, by_family, "copies", "{:.1%}"),
        ),
    )


CLAIMS = (blur, modes, losses, exact, slow, sequential, smooth, copies)


def text(rows: Rows) -> str:
    """All claims, as Markdown."""
    parts = [f"#### {title}\n\n**{answer}** {evidence}" for title, answer, evidence in (claim(rows) for claim in CLAIMS)]
    source = _("Measured by `python -m train.compare NAME` and `python -m train.evaluate NAME`, NAME such as `vae-mnist`.")
    return "\n\n".join([*parts, source])


# --- How to choose ------------------------------------------------------------------------------------------------------


def best(rows: Rows, value: str, text: str, least: bool = True) -> str:
    """The family with the best number on each data set, in words. A bound of a likelihood is not compared with exact ones."""
    parts = []
    for dataset, title in data.TITLES.items():
        found = [row for row in rows[dataset] if row[value] is not None and (value != "bits" or row["bits_kind"] == "exact")]
        if found:
            row = (min if least else max)(found, key=lambda row: row[value])
            number = f"{data.family_title(row['name'])} {text.format(row[value])}"
            parts.append(_("{title}: {numbers}", title=_(title), numbers=number))
    return _("; ").join(parts) or _("not measured")


def recommendations(rows: Rows) -> dict[str, str]:
    """{slot of the explanation: the numbers behind its advice}"""
    return {
        "fastest": best(rows, "milliseconds", "{:.2g} ms"),
        "best_fid": best(rows, "fid", "FID {:.3g}"),
        "most_precise": best(rows, "precision", "{:.0%}", least=False),
        "most_varied": best(rows, "recall", "{:.0%}", least=False),
        "fewest_bits": best(rows, "bits", "{:.3g}"),
        "most_useful": best(rows, "cas", "{:.1%}", least=False),
        "fewest_minutes": best(rows, "minutes", _("{:g} minutes")),
        "diffusion_ms": side_by_side(rows, ["diffusion"], "milliseconds", "{:.2g} ms"),
    }
