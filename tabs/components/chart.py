"""A small line chart."""

from typing import TypedDict

from tabs.components import Component, Line


class Chart(Component):
    """Lines on logarithmic axes, with powers of two as ticks of x."""

    class Value(TypedDict):
        lines: list[Line]
        floor: float  # y of the dashed line
        x: str  # titles of the axes
        y: str
