"""Maps of two-dimensional codes, with the picture under the pointer."""

from tabs.components import Component


class LatentMap(Component):
    """Maps side by side under one pointer. Value: {"maps": [...], "classes": [names]}, or {"message": a sentence}.

    A map is components.sheet(decoded cells, columns=cells a side) with `title`, `reach` (x from, to, y from, to) and
    `points` (x, y and class of each, all in one string), or {"title", "message"}. Event `click`: the visitor chose
    (`event.u`, `event.v`), each from 0 to 1, from the top left.
    """
