"""A drawing pad."""

import numpy as np

from tabs.components import Component, decode

SIDE = 140  # pixels of the drawing that is sent


class DrawPad(Component):
    """White ink on black. Value: base64 of `SIDE` x `SIDE` bytes, or None when empty; event `input` after each stroke.

    Arrow keys move the pen, Space lifts it or puts it down, Delete clears.
    """

    options = {"side": SIDE}

    def preprocess(self, payload):
        """(SIDE, SIDE) uint8, or None: what is not a drawing counts as an empty one."""
        ink = decode(payload)
        return np.frombuffer(ink, np.uint8).reshape(SIDE, SIDE) if len(ink) == SIDE * SIDE else None

    def api_info(self):
        return {"type": "string", "description": f"base64 of {SIDE} x {SIDE} bytes"}
