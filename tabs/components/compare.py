"""Several versions of a picture to compare: two of them under a divider, and all side by side."""

from tabs.components import Component, Sheet


class Compare(Component):
    """Two of several pictures with a movable divider and zoom; below, all of them, to choose the right one from.

    The choice, the divider and the zoom stay when a value with the same names comes. Arrow keys
    move what is in sight when the view has the focus; the divider and the zoom are sliders.
    """

    class Value(Sheet):
        names: list[str]
        notes: list[str]  # a line under each picture
        left: int  # which two are shown at first
        right: int
        caption: str  # a line under the divider
