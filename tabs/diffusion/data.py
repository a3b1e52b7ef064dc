"""What the tools of this tab share: the models."""

from genmodels.messages import Message
from tabs.families import Family

DIFFUSION = Family(
    "diffusion", {"mnist": Message("Digits"), "fashion": Message("Clothes"), "avatars": Message("Faces")}, own=True
)
