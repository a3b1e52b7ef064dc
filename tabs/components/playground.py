"""Points of the plane, and what models of five families make of them."""

import base64
from typing import NotRequired, TypedDict

import numpy as np

from tabs.components import Component, decode

UNIT = 8000  # a coordinate of 1 as a 16-bit integer


def pack_points(points):
    """Coordinates (..., 2) as base64 of 16-bit integers, clipped to [-4, 4]."""
    points = np.nan_to_num(np.asarray(points), nan=4.0).clip(-4, 4)
    return base64.b64encode((points * UNIT).round().astype("<i2").tobytes()).decode()


def unpack_points(text):
    """(n, 2) float32 coordinates of a visitor's points; empty if the text is not valid."""
    data = decode(text)
    return np.frombuffer(b"" if len(data) % 4 else data, "<i2").reshape(-1, 2).astype(np.float32) / UNIT


class Panel(TypedDict):
    """A family. Points and lines are packed."""

    broken: NotRequired[str]  # a sentence: its training has ended, and the rest is as it was before
    samples: NotRequired[str]
    inside: NotRequired[dict[str, str]]  # what `PlaneModel.inside` returns; a map as base64 of bytes
    energy: NotRequired[float | None]  # distance of the samples from held-out points, above that of the points
    nats: NotRequired[float | None]  # log-likelihood of held-out points
    modes: NotRequired[int]  # of eight, covered by the samples


class Playground(Component):
    """The square [-1, 1]^2 with points, which the visitor may draw, and five times with samples of a model.

    Event `input`: the visitor drew; `event.points` are all points, packed. `change` also: another panel is large, or other
    parts are hidden, as `data-large` and `data-hidden` of the first element say. Arrow keys move a cross, Space adds points.
    """

    options = {"unit": UNIT, "most_points": 2000}

    class Value(TypedDict):
        points: str
        own: bool  # the visitor's
        note: str  # a sentence about the points
        step: int
        live: bool  # they are in training
        rates: NotRequired[str]  # for the link: steps, and the learning rates from there on
        large: NotRequired[str]  # the panel to be enlarged, as a link has it; "": none
        hidden: NotRequired[str]  # names of what is not to be drawn, with commas
        panels: str  # JSON: {family: Panel}
        curves: str  # JSON: {"energy" or "nats": {family: [[step, value], ...]}}
