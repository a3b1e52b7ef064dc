"""Pictures of the same thing to hold against each other: before and after under one divider, and all of them side by side."""

from tabs.components import Component, Sheet


class Compare(Component):
    """Two of several pictures with a divider to move, zoomed as one likes; below, all of them, to choose the right one from.

    The choice, the divider and the zoom stay when a value with the same names comes. Arrow keys
    move what is in sight when the view has the focus; the divider and the zoom are sliders.
    """

    class Value(Sheet):
        names: list[str]
        notes: list[str]  # a line under each picture
        left: int  # which two are shown at first
        right: int
        told: str  # a sentence under the divider
