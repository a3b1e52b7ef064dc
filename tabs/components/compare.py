"""Several versions of a picture to compare: two of them under a divider, and all side by side."""

from typing import TypedDict

from tabs.components import Component, Sheet


class Version(TypedDict):
    name: str
    note: str  # a line under the picture


class Compare(Component):
    """Two of several pictures with a movable divider and zoom; below, all of them, to choose the right one from.

    The choice, the divider and the zoom stay when a value with the same names comes. Arrow keys
    move what is in sight when the view has the focus; the divider and the zoom are sliders.
    """

    class Value(Sheet):
        pictures: list[Version]
        left: int  # which two are shown at first
        right: int
        caption: str  # a line under the divider
