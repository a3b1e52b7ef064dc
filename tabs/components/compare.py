"""Several versions of a picture to compare: two of them under a divider, and all side by side."""

from typing import NotRequired

from tabs.components import Component, Sheet


class CompareValue(Sheet):
    names: list[str]
    notes: list[str]  # a line under each picture
    left: int  # indices of the two that are shown first
    right: int
    caption: str  # a line under the divider
    turn: NotRequired[int]


class Compare(Component):
    """Two of several pictures with a movable divider and zoom; below, all of them, to choose the right one from.

    Value: `CompareValue`. The choice, the divider and the zoom are kept when a value with the same names arrives.

    Arrow keys pan when the view has the focus; the divider and the zoom are sliders.
    """
