"""How likely and how typical a picture is."""

from typing import TypedDict

from tabs.components import Component, Histogram, Raw


class Axis(TypedDict):
    title: str
    histogram: Histogram  # "real": the flow's own data set, "generated": the other one
    score: float  # of the picture


class Likelihood(Component):
    """One picture's scores beside histograms of two data sets."""

    class Value(Raw):
        text: str
        datasets: list[str]  # names of the two
        axes: str  # JSON of a list of `Axis`
