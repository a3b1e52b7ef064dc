"""A picture on which the visitor paints a mask."""

import base64
import binascii
import math

import numpy as np

from tabs.components import Component, Raw


def mask_text(mask):
    """An (h, w) mask as the pad's text: base64 of one byte per pixel."""
    return base64.b64encode(np.asarray(mask, np.uint8).tobytes()).decode()


class MaskValue(Raw):
    mask: str  # `mask_text`


class MaskPad(Component):
    """A picture and the mask that the visitor paints on it. Value: `MaskValue`.

    Arrow keys move the brush, Space paints while it is down, Delete clears. Event `input` after each stroke.
    """

    def preprocess(self, payload):
        """(side, side) bool, True where painted, or None. Anyone can send anything: what is not a mask counts as no mask."""
        text = payload.get("mask") if isinstance(payload, dict) else None
        try:
            mask = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
        except (binascii.Error, ValueError):
            mask = b""
        side = math.isqrt(len(mask))
        return np.frombuffer(mask, np.uint8).reshape(side, side) > 0 if 0 < side <= 256 and side**2 == len(mask) else None
