"""What the tools of this tab share: the datasets and the models."""

import genmodels as gm
from tabs import cards

DATASETS = {"photo": "Photographs", "mnist": "Digits", "fashion": "Clothes"}
MODELS = ("denoiser-photo", "denoiser-mnist", "denoiser-fashion", "dvae-mnist", "dvae-fashion")


def available() -> list[str]:
    """Datasets with a denoiser, or all, so that each says what is missing. Without torch."""
    return [name for name in DATASETS if cards.shipped((f"denoiser-{name}",))] or list(DATASETS)


def check_dataset(dataset: str) -> str:
    return gm.base.check_choice("Data set", dataset, list(DATASETS))


def model_of(dataset: str, family: str = "denoiser"):
    return gm.load(f"{family}-{check_dataset(dataset)}")
