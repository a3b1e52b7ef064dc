"""The stage: the one large picture of a tab."""

from tabs.components import Component, Raw


class Stage(Component):
    """One large picture. poster: data URI of a picture that is shown until the first value arrives."""

    options = {"poster": ""}

    class Value(Raw):
        caption: str
        label: str  # for screen readers
