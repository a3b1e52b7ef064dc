"""How likely and how typical a picture is."""

from typing import TypedDict

from tabs.components import Component, Histogram, Raw


class Axis(TypedDict):
    title: str
    histogram: Histogram  # "real": of the flow's own data set, "generated": of the other one
    score: float  # of the picture


class LikelihoodValue(Raw):
    text: str
    datasets: list[str]  # names of the two
    axes: str  # JSON of a list of `Axis`


class Likelihood(Component):
    """One picture's scores beside histograms of two data sets. Value: `LikelihoodValue`."""
