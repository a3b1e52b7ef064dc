"""Small pictures to choose from."""

from tabs.components import Component


class Tiles(Component):
    """Small pictures in rows. Value: components.sheet(x, columns) with `labels` and `chosen` (-1: none), or {"message"}.

    Event `input`: the visitor chose picture number `event.index`. pick=False: they cannot be chosen, and have captions.
    """

    def __init__(self, value=None, pick=True, columns=10, name="Pictures", **props):
        super().__init__(value, pick=pick, columns=columns, name=name, **props)
