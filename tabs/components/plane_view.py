"""Points of the plane, the density that a flow fits to them, and the grid that its layers transform."""

import base64
import binascii
from typing import NotRequired, TypedDict

import numpy as np

from tabs.components import Component

UNIT = 8000  # a coordinate of 1 as a 16-bit integer


def pack_points(points):
    """Coordinates (..., 2) as base64 of 16-bit integers, clipped to [-4, 4]."""
    return base64.b64encode((np.asarray(points).clip(-4, 4) * UNIT).round().astype("<i2").tobytes()).decode()


def unpack_points(text):
    """(n, 2) float32 coordinates of a visitor's points; empty if the text is not valid: anyone can send anything."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        data = b""
    if len(data) % 4:
        data = b""
    return np.frombuffer(data, "<i2").reshape(-1, 2).astype(np.float32) / UNIT


class Grid(TypedDict):
    """A grid before and after each layer: the first half of its lines vertical, the others horizontal."""

    stages: int
    lines: int
    points: int  # per line
    coordinates: str  # `pack_points` of (stages, lines, points, 2)


class PlaneValue(TypedDict):
    points: str  # `pack_points`
    draw: bool  # whether the visitor may add points
    text: str
    density: NotRequired[str]  # of a flow: base64 of side x side bytes
    grid: NotRequired[Grid]
    live: NotRequired[bool]  # it is in training
    turn: NotRequired[int]


class PlaneView(Component):
    """The square [-1, 1]^2. Value: `PlaneValue`. most_points: how many the visitor may draw.

    Event `input`: the visitor drew; `event.points` are all points, packed. Arrow keys move a cross, Space adds points.
    """

    def __init__(self, value=None, most_points=2000, **props):
        super().__init__(value, unit=UNIT, most_points=most_points, **props)
