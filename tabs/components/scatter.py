"""A chart of points that can be chosen."""

from typing import NotRequired, TypedDict

from tabs.components import Component


class Point(TypedDict):
    title: str
    x: float | None  # seconds per sample; a point without x or y is not drawn
    y: float | None
    size: NotRequired[float | None]  # 0 to 1
    colour: NotRequired[int]  # a number of its own


class Scatter(Component):
    """Points over seconds, on logarithmic axes, whose size is a share. Event `input`: point number `event.index` was chosen."""

    class Value(TypedDict):
        points: str  # JSON of a list of `Point`
        floor: float | None  # y of the dashed line
        x: str  # titles of the axes, and what the size says
        y: str
        size: str
        missing: str  # a sentence on points that are not drawn, or ""
