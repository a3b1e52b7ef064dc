"""Pictures of the same thing to hold against each other: before and after under one divider, and all of them side by side."""

from tabs.components import Component


class Compare(Component):
    """Two of several pictures with a divider to move, zoomed as one likes; below, all of them, to choose the right one from.

    Value: components.sheet(x, columns=n) with `names`, `notes` (a line each, under the picture) and `left`, `right`: which two
    are shown at first. The choice, the divider and the zoom stay when a value with the same names comes. `told`: a sentence
    under the divider. Or {"message": sentence}. A value whose `turn` is less than one that came before is dropped.

    Arrow keys move what is in sight when the view has the focus; the divider and the zoom are sliders.
    """
