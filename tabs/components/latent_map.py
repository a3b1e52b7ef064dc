"""Maps of two-dimensional latent codes, with the decoded picture under the pointer."""

from typing import TypedDict

from tabs.components import Component, Message, Sheet


class Map(Sheet):  # decoded cells, as many rows as columns
    title: str
    bounds: dict[str, float]  # x0, x1, y0, y1
    points: str  # JSON of {"x", "y", "label"} of each


class MissingMap(Message):
    title: str


class LatentMap(Component):
    """Maps side by side under one pointer.

    Event `click`: the visitor chose the point (`event.u`, `event.v`), each from 0 to 1, from the top left.
    """

    class Value(TypedDict):
        maps: list[Map | MissingMap]
        classes: list[str]
