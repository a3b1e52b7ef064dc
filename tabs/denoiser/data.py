"""What the tools of this tab share: the models."""

from genmodels.messages import Message
from tabs.families import Family

TITLES = {"photo": Message("Photographs"), "mnist": Message("Digits"), "fashion": Message("Clothes")}
DENOISER = Family("denoiser", TITLES, "dvae-mnist", "dvae-fashion")
