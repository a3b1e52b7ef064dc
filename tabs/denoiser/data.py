"""What the tools of this tab share: the models."""

import genmodels as gm
from genmodels.messages import Message
from tabs.families import Family

TITLES = {"photo": Message("Photographs"), "mnist": Message("Digits"), "fashion": Message("Clothes")}
CAMERA = "denoiser-camera"
DENOISER = Family("denoiser", TITLES, CAMERA, "dvae-mnist", "dvae-fashion")


def checkpoint(dataset: str, kind: str) -> str:
    """The network for a kind of noise: what is in a photograph already, a camera left there."""
    return CAMERA if (dataset, kind) == ("photo", "none") and gm.cards.shipped((CAMERA,)) else DENOISER.checkpoint(dataset)
