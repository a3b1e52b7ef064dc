"""Points of a plane, the density that a flow learns of them, and the grid that its layers bend."""

import base64
import binascii

import numpy as np

from tabs.components import Component

UNIT = 8000  # of a coordinate of the square [-1, 1]^2, as a 16-bit number


def packed(x):
    """Coordinates as base64 of 16-bit numbers; what is far outside of the square stays at its rim."""
    return base64.b64encode((np.asarray(x).clip(-4, 4) * UNIT).round().astype("<i2").tobytes()).decode()


def unpacked(text):
    """(n, 2) float32 coordinates from what a visitor sent, empty if it is nothing of the kind: anybody can send anything."""
    try:
        numbers = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        numbers = b""
    numbers = numbers if len(numbers) % 4 == 0 else b""
    return np.frombuffer(numbers, "<i2").reshape(-1, 2).astype(np.float32) / UNIT


class PlaneView(Component):
    """The square [-1, 1]^2. Value: `points` (`packed`), `draw` (whether the visitor adds points), `text`, and, of a flow,
    `density`: base64 of side x side bytes, `lines`: `packed` grids, as many as `stages`, of 18 lines with 41 points each;
    `live`: it is in training. Or {"message": sentence}. A value whose `turn` is less than one that came before is dropped.

    Event `input`: the visitor drew; `event.points` are all of them, `packed`. Arrow keys move a cross, Space puts a point.
    """
