"""The latent code of a model as a bank of sliders."""

from typing import TypedDict

from tabs.components import Component


class Sliders(Component):
    """One slider per dimension of a code, `shown` of them visible, the others folded.

    Events: `input`, a slider moved; `release`, it has not moved for 0.3 s.
    """

    class Value(TypedDict):
        model: str
        z: list[float]
        dims: list[list]  # [index in z, label] of each dimension, in the order of the page
        unused: int  # how many of the last dimensions are in a group of their own

    def __init__(self, value=None, shown=14, **props):
        super().__init__(value, shown=shown, **props)

    def unavailable(self, message):
        """No sliders: the stage says why."""
        return None
