"""What the tools of this tab share: the data sets, the names of the families, and what is stored of each."""

import base64
import io
from collections.abc import Generator, Iterator
from typing import Any

import genmodels as gm
from genmodels.messages import Message
from tabs import events
from tabs.labels import TITLES as ATTRIBUTES
from tabs.language import _

TITLES = {"mnist": Message("Digits"), "fashion": Message("Clothes"), "avatars": Message("Faces")}
FAMILIES = {"transformer": Message("Transformer"), "flow": Message("Flow"), "diffusion": Message("Diffusion")}


def available() -> list[str]:
    """Data sets of which there is a family's checkpoint, or all."""
    return [dataset for dataset in TITLES if gm.cards.shipped(gm.cards.generators(dataset))] or list(TITLES)


def check(dataset: str) -> str:
    return gm.base.check_choice("dataset", dataset, list(TITLES))


def family_title(name: str) -> str:
    """What the page calls the family of a checkpoint: as its class is called, unless it has a word of its own."""
    family = name.split("-")[0]
    return _(FAMILIES[family]) if family in FAMILIES else gm.FAMILIES[family][1]


def conditions(dataset: str) -> "gm.labels.Conditions":
    """What a visitor may ask for: a class, or the attributes of faces that have a menu."""
    conditions = gm.labels.all_conditions(check(dataset))
    return {name: values for name, values in conditions.items() if name in ATTRIBUTES}


def stored_samples(name: str, file: str = "comparison.png") -> tuple[int, int, str] | None:
    """(their number, the side of one, a PNG with all in a row as data URI), from a file of a checkpoint; else None."""
    from PIL import Image

    try:
        content = (gm.cards.checkpoint_root() / name / file).read_bytes()
        width, height = Image.open(io.BytesIO(content)).size
    except OSError:
        return None
    return width // height, height, "data:image/png;base64," + base64.b64encode(content).decode()


# --- What the endpoints say -------------------------------------------------------------------------------------------


def finished(steps: Iterator[Any]) -> Generator[tuple, None, list[Any]]:
    """The rows of `genmodels.comparison` that are finished; the computing lane is free for a moment after each step."""
    found = []
    for step in steps:
        if step.finished:
            found.append(step)
        yield ()
    return found


def bits(likelihood: "gm.base.Likelihood", dims: int) -> list[float] | None:
    """Bits per pixel value of each picture; None if there is no likelihood."""
    return None if likelihood.log_prob is None else gm.metrics.bits_per_dim(likelihood.log_prob, dims).tolist()


def facts(row: Any, **more: Any) -> dict[str, Any]:
    """What an endpoint says of a row, which has a likelihood if it has no problem. more: of a row without a problem."""
    if row.likelihood is None:
        return {"checkpoint": row.name, "problem": events.sentence(ValueError(row.problem))}
    return {
        "checkpoint": row.name,
        **more,
        "likelihood": row.likelihood.kind,
        "likelihood_of": row.likelihood.subject,
        "bits_per_pixel": bits(row.likelihood, row.x[0].numel()),
    }
