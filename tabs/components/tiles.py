"""Small pictures to choose from."""

from typing import NotRequired

from tabs.components import Component, Sheet


class TilesValue(Sheet):
    labels: list[str]
    chosen: NotRequired[int]  # -1: none


class Tiles(Component):
    """Small pictures in rows. Value: `TilesValue`.

    Event `input`: the visitor chose picture number `event.index`. pick=False: they cannot be chosen, and have captions.
    """

    def __init__(self, value=None, pick=True, columns=10, name="Pictures", **props):
        super().__init__(value, pick=pick, columns=columns, name=name, **props)
