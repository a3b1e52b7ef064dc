"""Deep generative models in PyTorch, one file per model family, with weights trained by this repository.

>>> import genmodels as gm
>>> vae = gm.load("vae-mnist")
>>> x = vae.sample(16, seed=0)  # pictures with values in [0, 1]
>>> x.shape
torch.Size([16, 1, 28, 28])

Importing the package does not import torch; the first name that needs it does.
"""

import sys

if sys.version_info < (3, 11):
    raise ImportError(f"genmodels needs Python 3.11 or newer; this is Python {sys.version_info[0]}.{sys.version_info[1]}.")

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = {  # model family, the first word of a checkpoint's name -> (module, class)
    "autoencoder": ("genmodels.autoencoder", "Autoencoder"),
    "vae": ("genmodels.vae", "VAE"),
    "diffusion": ("genmodels.diffusion", "Diffusion"),
    "gan": ("genmodels.gan", "GAN"),
    "dcgan": ("genmodels.gan", "DCGAN"),
    "flow": ("genmodels.flow", "Flow"),
    "transformer": ("genmodels.transformer", "Transformer"),
    "denoiser": ("genmodels.denoiser", "Denoiser"),
    "dvae": ("genmodels.denoiser", "DenoisingVAE"),
    "classifier": ("genmodels.classifier", "Classifier"),
}
TRANSFORMERS = {  # "tokens" in the config.json of a transformer -> (module, class)
    "characters": ("genmodels.text_transformer", "TextTransformer"),
    "poems": ("genmodels.text_transformer", "PoemTransformer"),
    "pixels": ("genmodels.pixel_transformer", "PixelTransformer"),
}
_MODULES = (
    "autoencoder",
    "base",
    "cards",
    "classifier",
    "comparison",
    "data",
    "denoiser",
    "diffusion",
    "flow",
    "gan",
    "hanzi",
    "ink",
    "labels",
    "layers",
    "metrics",
    "pictures",
    "pixel_transformer",
    "plane",
    "rhyme",
    "text_transformer",
    "tokens",
    "transformer",
    "typicality",
    "vae",
)
_CLASSES = {name: module for module, name in (*FAMILIES.values(), *TRANSFORMERS.values())} | {"compare": "genmodels.comparison"}

__all__ = ["FAMILIES", "load", "checkpoints", *_CLASSES, *_MODULES]


def load(name_or_path: "str | Path") -> Any:  # a GenerativeModel; its methods depend on its family
    """Return the model of a checkpoint, in eval mode and frozen.

    Arguments:
        name_or_path: a shipped name such as "vae-mnist", or a folder that holds `config.json` and `model.safetensors`.
            Names are looked up in $GENMODELS_CHECKPOINTS, else in `checkpoints/` beside the package.
    Raises:
        genmodels.base.CheckpointError: one sentence on what is missing or broken. Nothing is ever unpickled.

    The same folder is read once, and again after its files have changed: later calls share the loaded model, which no call
    changes. For a copy of your own, for
    example to train further, use `gm.VAE.from_pretrained(folder).train().requires_grad_()`.
    """
    from genmodels.base import load_checkpoint

    return load_checkpoint(name_or_path)


def checkpoints() -> list[str]:
    """Names of the checkpoints that `load` finds, sorted."""
    from genmodels.cards import checkpoint_root

    root = checkpoint_root()
    return sorted(f.parent.name for f in root.glob("[!.]*/config.json")) if root.is_dir() else []


def __getattr__(name: str) -> Any:  # PEP 562: torch is imported by the first name that needs it
    if name in _CLASSES:
        return getattr(importlib.import_module(_CLASSES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"genmodels.{name}")
    raise AttributeError(f"module 'genmodels' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
