"""What the tools of this tab share: the models."""

from tabs.families import Family

TITLES = {"photo": "Photographs", "mnist": "Digits", "fashion": "Clothes"}
DENOISER = Family("denoiser", TITLES, "dvae-mnist", "dvae-fashion")
