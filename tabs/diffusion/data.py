"""What the tools of this tab share: the models."""

from tabs.families import Family

DIFFUSION = Family("diffusion", {"mnist": "Digits", "fashion": "Clothes", "avatars": "Faces"})
