"""The latent code of a model as a bank of sliders."""

from typing import NotRequired, TypedDict

from tabs.components import Component


class Dimension(TypedDict):
    index: int  # in z
    label: str


class Sliders(Component):
    """One slider per dimension of a code, `shown` of them visible, the others folded.

    Events: `input`, a slider moved; `release`, it has not moved for 0.3 s. In the browser, `moved` with the code.
    """

    class Value(TypedDict):
        model: str
        z: list[float]
        dims: list[Dimension]  # in the order of the page
        unused: int  # how many of the last dimensions are in a group of their own
        moved: NotRequired[bool]  # the code is the visitor's: a link has it

    options = {"shown": 14}
