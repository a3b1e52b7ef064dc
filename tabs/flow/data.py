"""What the tools of this tab share: the data sets, and the model of each."""

from tabs.families import Family

FLOW = Family("flow", {"mnist": "Digits", "fashion": "Clothes"})
OTHER = {"mnist": "fashion", "fashion": "mnist"}
