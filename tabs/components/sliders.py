"""The code of a model as a bank of sliders."""

from tabs.components import Component


class Sliders(Component):
    """One slider for each number of a code. Value: {"model", "z": [numbers], "dims": [[place in z, label]], "unused"}.

    `dims` are in the order of the page: `shown` of them in sight, the rest folded, the last `unused` of them apart.
    Events: `input`, the visitor moved one; `release`, and rested for 0.3 s.
    """

    def __init__(self, value=None, shown=14, **props):
        super().__init__(value, shown=shown, **props)
