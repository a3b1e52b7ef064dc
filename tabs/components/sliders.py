"""The latent code of a model as a bank of sliders."""

from tabs.components import Component


class Sliders(Component):
    """One slider per dimension of a code. Value: {"model", "z": [numbers], "dims": [[index in z, label]], "unused"}.

    `dims` are in the order of the page: `shown` of them visible, the others folded, with the last `unused` in a group of
    their own. Events: `input`, a slider moved; `release`, it has not moved for 0.3 s.
    """

    def __init__(self, value=None, shown=14, **props):
        super().__init__(value, shown=shown, **props)
