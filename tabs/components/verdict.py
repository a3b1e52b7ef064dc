"""The discriminator's score of one picture."""

from tabs.components import Component, Raw


class Verdict(Component):
    """One picture and its score."""

    class Value(Raw):
        text: str
        score: float
        histogram: str  # JSON of a `Histogram`
        by_label: str  # JSON of {"label", "score"} of each class
