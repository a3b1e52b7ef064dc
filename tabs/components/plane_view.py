"""Points of the plane, the density that a flow fits to them, and the grid that its layers transform."""

import base64
import binascii

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


class PlaneView(Component):
    """The square [-1, 1]^2. Value: `points` (`pack_points`), `draw` (whether the visitor may add points) and `text`; for a flow
    also `density` (base64 of side x side bytes), `lines` (`pack_points` of as many grids as `stages`, each of 18 lines with
    41 points) and `live` (it is in training). Or {"message": sentence}. A value whose `turn` is lower than an earlier one's
    is dropped.

    Event `input`: the visitor drew; `event.points` are all points, packed. Arrow keys move a cross, Space adds points.
    """
