"""What the tools of this tab share: the data sets, the names of the families, and what is stored of each."""

import base64
import io

import genmodels as gm
from genmodels.messages import Message
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


def stored_samples(name: str) -> tuple[int, int, str] | None:
    """(their number, the side of one, a PNG with all in a row as data URI), from a checkpoint's `comparison.png`; else None."""
    from PIL import Image

    try:
        content = (gm.cards.checkpoint_root() / name / "comparison.png").read_bytes()
        width, height = Image.open(io.BytesIO(content)).size
    except OSError:
        return None
    return width // height, height, "data:image/png;base64," + base64.b64encode(content).decode()
