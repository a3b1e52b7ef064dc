"""Several versions of a picture to compare: two of them under a divider, and all side by side."""

from tabs.components import Component


class Compare(Component):
    """Two of several pictures with a movable divider and zoom; below, all of them, to choose the right one from.

    Value: components.sheet(x, columns=n) with `names` and `notes` (a line under each picture), `left` and `right` (indices of
    the two that are shown first) and `caption` (a line under the divider). Or {"message": sentence}. The choice, the divider
    and the zoom are kept when a value with the same names arrives. A value whose `turn` is less than an earlier one's is
    dropped.

    Arrow keys pan when the view has the focus; the divider and the zoom are sliders.
    """
