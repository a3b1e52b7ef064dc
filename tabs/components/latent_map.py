"""Maps of two-dimensional latent codes, with the decoded picture under the pointer."""

from typing import TypedDict

from tabs.components import Component, Message, Sheet


class Map(Sheet):
    """Decoded cells, row by row, in a square."""

    title: str
    bounds: list[float]  # x min, x max, y min, y max
    points: str  # x, y and class of each, numbers with spaces


class MissingMap(Message):
    title: str


class MapsValue(TypedDict):
    maps: list[Map | MissingMap]
    classes: list[str]


class LatentMap(Component):
    """Maps side by side under one pointer. Value: `MapsValue`.

    Event `click`: the visitor chose the point (`event.u`, `event.v`), each from 0 to 1, from the top left.
    """
