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

    options = {"pick": True, "columns": 10, "name": "Pictures"}
