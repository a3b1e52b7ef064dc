"""The stage: the one large picture of a tab."""

from tabs.components import Component, Raw


class Stage(Component):
    """One large picture. poster: data URI of a picture that is shown until the first value arrives."""

    class Value(Raw):
        caption: str
        label: str  # for screen readers

    def __init__(self, value=None, poster="", **props):
        super().__init__(value, poster=poster, **props)
