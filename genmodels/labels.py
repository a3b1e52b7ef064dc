"""Labels as text and as numbers. Without torch, but for own datasets and for `select` and `matching`.

As text: "any", "each" (one class after another), a class such as "7" or "ankle boot", or, for models with several attributes,
"glasses=round, smiling=yes". As numbers: what a model's `sample` takes, see `genmodels.base.check_labels`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import genmodels as gm
from genmodels.messages import Message

if TYPE_CHECKING:
    from torch import Tensor

CLASSES = {
    "mnist": [str(d) for d in range(10)],
    "fashion": ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"],
}
ATTRIBUTES = {  # of the avatars; a value's number is its index in the list
    "smiling": ["no", "yes"],
    "mouth": ["open_smile", "small_smile", "chuckle", "tongue", "serious", "sad", "grimace", "shout"],
    "eyes": ["open", "happy", "closed", "wink", "side", "wide", "rolling", "hearts"],
    "eyebrows": ["neutral", "flat", "angry", "raised", "worried"],
    "glasses": ["none", "round", "square", "sunglasses", "big_shades"],
    "glasses_color": ["none", "black", "red", "blue"],
    "facial_hair": ["none", "light_beard", "medium_beard", "full_beard", "moustache", "curled_moustache"],
    "headwear": ["none", "hat", "beanie", "cat_beanie", "ear_flaps", "knit_cap"],
    "hat_color": ["none", "black", "grey", "white", "blue", "green", "yellow", "pink", "red"],
    "hair": [
        "bald",
        "balding",
        "crew_cut",
        "round_cut",
        "waved",
        "short_curly",
        "side_part",
        "short_dreads",
        "spiky",
        "quiff",
        "shaggy",
        "bun",
        "mullet",
        "bob",
        "fringe_bob",
        "shoulder",
        "curly",
        "afro",
        "straight",
        "straight_fringe",
        "straight_centre",
        "wavy",
        "dreads",
        "shaved_sides",
    ],
    "hair_length": ["none", "short", "medium", "long"],
    "hair_color": ["none", "black", "brown", "auburn", "red", "blonde", "platinum", "grey", "pink"],
    "skin": ["pale", "light", "tan", "brown", "dark"],
    "clothing": [
        "crew_neck",
        "scoop_neck",
        "v_neck",
        "hoodie",
        "overall",
        "collar_sweater",
        "blazer_shirt",
        "blazer_sweater",
    ],
    "clothes_color": ["black", "grey", "white", "blue", "green", "yellow", "pink", "red"],
    "background": ["sky", "lilac", "rose", "peach", "mint", "cream"],
}
ANY, EACH = "any", "each"  # not given; one class after another

Conditions = dict[str, list[str]]  # what a model is conditioned on: attribute -> names of its values; or {"class": names}


class LabelError(ValueError):
    """A text is no label of a model: `name`, of the argument, `problem`; it concerns this `attribute` of the conditions."""

    def __init__(self, name: str, attribute: str, problem: str):
        super().__init__(Message("{title} {problem}", title=name, problem=problem))
        self.name, self.attribute, self.problem = name, attribute, problem


def classes(dataset: str) -> Conditions:
    """The conditions of a model that knows the classes of a data set."""
    return {"class": CLASSES[dataset] if dataset in CLASSES else gm.data.classes(dataset)}


def all_conditions(dataset: str) -> Conditions:
    """All that is known of the pictures of a data set: their class, or the attributes of faces."""
    return ATTRIBUTES if dataset == "avatars" else classes(dataset)


def conditions(checkpoint: str) -> Conditions:
    """What the model of a checkpoint such as "gan-avatars" is conditioned on."""
    config = gm.cards.read_json(checkpoint, "config.json")
    if not config:
        gm.load(checkpoint)  # says what is missing
    values = all_conditions(checkpoint.split("-")[1])
    return {name: values[name] for name in config.get("conditions", ["class"])}


def parse(conditions: Conditions, text: str, name: str = "label") -> list[int]:
    """The number of each attribute's value, -1 where it is not given. name: of the argument, for the error's sentence.

    Raises:
        LabelError: the text names an attribute or a value that is not among the conditions.
    """
    if text == ANY:
        return [-1] * len(conditions)
    if list(conditions) == ["class"]:
        return [_index([ANY, *conditions["class"]], text, name, "class") - 1]
    label = dict.fromkeys(conditions, -1)
    for part in str(text).split(","):
        attribute, _, value = (word.strip() for word in part.rpartition("="))
        _index(list(conditions), attribute, Message("the attribute in {name}", name=name), "attribute")
        label[attribute] = _index(
            conditions[attribute], value, Message("{attribute} in {name}", attribute=attribute, name=name), attribute
        )
    return list(label.values())


def _index(names: list[str], value: str, name: str, attribute: str) -> int:
    if not isinstance(value, str) or value not in names:
        problem = Message("must be one of {names}, not {value}.", names=", ".join(names), value=repr(str(value)[:40]))
        raise LabelError(name, attribute, problem)
    return names.index(value)


def for_picture(conditions: Conditions, text: str, name: str = "label") -> list[int] | int | None:
    """What a model takes as the label of one picture: None if nothing is given, one number if there is only a class.

    Raises:
        LabelError: as `parse` does; "each" is for several pictures.
    """
    label = parse(conditions, text, name)
    if max(label) < 0:
        return None
    return label if len(label) > 1 else label[0]


def for_pictures(conditions: Conditions, text: str, n: int) -> list[int] | int | None:
    """What a model takes as the label of n pictures: as `for_picture`, or a class for each of them."""
    if text == EACH and list(conditions) == ["class"]:
        return [i % len(conditions["class"]) for i in range(n)]
    return for_picture(conditions, text)


def join(values: dict[str, str]) -> str:
    """The text that `parse` reads, from {attribute: its value, or "any"}."""
    if list(values) == ["class"]:
        return values["class"]
    return ", ".join(f"{name}={value}" for name, value in values.items() if value != ANY) or ANY


def to_text(conditions: Conditions, label: Sequence[int]) -> str:
    """The text of a label with one number per attribute, the inverse of `parse`."""
    return join({name: values[i] if i >= 0 else ANY for i, (name, values) in zip(label, conditions.items())})


def single_values(conditions: Conditions) -> list[str]:
    """Every single class or attribute value as text: "7", or "glasses=round"."""
    return [f"{name}={v}" if len(conditions) > 1 else v for name, values in conditions.items() for v in values]


def select(y: "Tensor", conditions: Conditions) -> "Tensor":
    """The labels (N, attributes) of a model from those of its data set: classes (N,) or values of all attributes (N, 16)."""
    return y[:, None] if y.ndim == 1 else y[:, [list(ATTRIBUTES).index(name) for name in conditions]]


def matching(y: "Tensor", label: "int | list | Tensor | None", n: int, classes: Sequence[int], seed: int) -> list[int]:
    """Indices into labels y (N, attributes): for each of n labels another random picture that has it, as long as there is one.

    label, classes: see `base.check_labels`; an attribute that is not given may have any value.
    """
    import torch

    unused = torch.randperm(len(y), generator=gm.base.generator(seed)).tolist()
    indices: list[int] = []
    for row in gm.base.check_labels(label, n, classes):
        fits = ((row < 0) | (row == y)).all(1).tolist()
        found = [i for i in unused if fits[i]][:1]
        indices += found
        unused = [i for i in unused if i not in found]
    return indices
