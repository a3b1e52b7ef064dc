"""What the tools of this tab share: the data sets, and the model of each."""

from genmodels.messages import Message
from tabs.families import Family

FLOW = Family("flow", {"mnist": Message("Digits"), "fashion": Message("Clothes")})
OTHER = {"mnist": "fashion", "fashion": "mnist"}
