"""Points of the plane, the density that a flow fits to them, and the grid that its layers transform."""

import base64
from typing import NotRequired, TypedDict

import numpy as np

from tabs.components import Component, decode

UNIT = 8000  # a coordinate of 1 as a 16-bit integer


def pack_points(points):
    """Coordinates (..., 2) as base64 of 16-bit integers, clipped to [-4, 4]."""
    return base64.b64encode((np.asarray(points).clip(-4, 4) * UNIT).round().astype("<i2").tobytes()).decode()


def unpack_points(text):
    """(n, 2) float32 coordinates of a visitor's points; empty if the text is not valid."""
    data = decode(text)
    return np.frombuffer(b"" if len(data) % 4 else data, "<i2").reshape(-1, 2).astype(np.float32) / UNIT


class Grid(TypedDict):
    stages: int  # before and after each layer
    lines: int  # half of them vertical, then the horizontal ones
    points: int  # per line
    coordinates: str  # `pack_points` of (stages, lines, points, 2)


class PlaneView(Component):
    """The square [-1, 1]^2. most_points: how many the visitor may draw.

    Event `input`: the visitor drew; `event.points` are all points, packed. Arrow keys move a cross, Space adds points.
    """

    options = {"unit": UNIT, "most_points": 2000}

    class Value(TypedDict):
        points: str  # `pack_points`
        draw: bool  # whether the visitor may add points
        text: str
        density: NotRequired[str]  # of a flow: base64 of side x side bytes
        grid: NotRequired[Grid]
        live: NotRequired[bool]  # it is in training
