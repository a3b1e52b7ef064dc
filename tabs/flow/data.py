"""What the tools of this tab share: the data sets, and the model of each."""

import functools

import genmodels as gm
from tabs import cards

MODELS = ("flow-mnist", "flow-fashion")
DATASETS = {"mnist": "Digits", "fashion": "Clothes"}
OTHER = {"mnist": "fashion", "fashion": "mnist"}


def available() -> list[str]:
    """Data sets with a checkpoint, or all, so that each says what is missing. Without torch."""
    return [name for name in DATASETS if cards.shipped((f"flow-{name}",))] or list(DATASETS)


def dataset_of(model: str) -> str:
    """A name from a visitor never becomes a path."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def check_dataset(dataset: str) -> str:
    return gm.base.check_choice("Data set", dataset, list(DATASETS))


def model_of(dataset: str) -> "gm.Flow":
    return gm.load(f"flow-{check_dataset(dataset)}")


def once_per_checkpoint(fn):
    """Cache `fn(dataset)`, which tabs open with, until the checkpoint is another one."""

    @functools.lru_cache(maxsize=4)
    def cached(folder, dataset):
        return fn(dataset)

    @functools.wraps(fn)
    def run(dataset):
        return cached(gm.base.checkpoint_folder(f"flow-{check_dataset(dataset)}"), dataset)

    return run
