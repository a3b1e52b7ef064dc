"""What the tools of this tab share: the data sets, the model of each, and what it is conditioned on."""

import genmodels as gm
from tabs import cards, labels

MODELS = ("diffusion-mnist", "diffusion-fashion", "diffusion-avatars")
DATASETS = {"mnist": "Digits", "fashion": "Clothes", "avatars": "Faces"}


def shipped() -> list[str]:
    """Data sets with a checkpoint. Without torch."""
    return [name for name in DATASETS if cards.shipped((f"diffusion-{name}",))]


def dataset_of(model: str) -> str:
    """A visitor's text never becomes part of a path unchecked."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def checkpoint_of(dataset: str) -> str:
    return f"diffusion-{gm.base.check_choice('Dataset', dataset, list(DATASETS))}"


def model_of(dataset: str) -> "gm.Diffusion":
    return gm.load(checkpoint_of(dataset))


def conditions_of(dataset: str) -> labels.Conditions:
    return labels.attribute_choices(checkpoint_of(dataset))
