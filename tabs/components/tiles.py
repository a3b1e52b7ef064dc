"""Small pictures to choose from."""

from typing import NotRequired

from tabs.components import Component, Sheet


class Tiles(Component):
    """Small pictures in rows.

    Event `input`: the visitor chose picture number `event.index`. pick=False: they cannot be chosen, and have captions.
    """

    class Value(Sheet):
        labels: list[str]
        chosen: NotRequired[int]  # -1: none

    def __init__(self, value=None, pick=True, columns=10, name="Pictures", **props):
        super().__init__(value, pick=pick, columns=columns, name=name, **props)

    def unavailable(self, message):
        """No tiles: what they are chosen for says why."""
        return None if self.pick else super().unavailable(message)
