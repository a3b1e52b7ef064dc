"""A picture on which the visitor paints a mask."""

import base64
import math

import numpy as np

from tabs.components import Component, Raw, decode


def mask_text(mask):
    """An (h, w) mask as the pad's text: base64 of one byte per pixel."""
    return base64.b64encode(np.asarray(mask, np.uint8).tobytes()).decode()


class MaskPad(Component):
    """A picture and the mask that the visitor paints on it.

    Arrow keys move the brush, Space paints while it is down, Delete clears. Event `input` after each stroke.
    """

    class Value(Raw):
        mask: str  # `mask_text`

    def preprocess(self, payload):
        """(side, side) bool, True where painted, or None: what is not a mask counts as no mask."""
        mask = decode(payload.get("mask") if isinstance(payload, dict) else None)
        side = math.isqrt(len(mask))
        return np.frombuffer(mask, np.uint8).reshape(side, side) > 0 if 0 < side <= 256 and side**2 == len(mask) else None
