"""The stage: the one large picture of a tab."""

from tabs.components import Component, Raw


class StageValue(Raw):
    caption: str
    label: str  # for screen readers


class Stage(Component):
    """One large picture. Value: `StageValue`. poster: data URI of a picture that is shown until the first value arrives."""

    def __init__(self, value=None, poster="", **props):
        super().__init__(value, poster=poster, **props)
