"""Maps of two-dimensional latent codes, with the decoded picture under the pointer."""

from tabs.components import Component


class LatentMap(Component):
    """Maps side by side under one pointer. Value: {"maps": [...], "classes": [names]}, or {"message": a sentence}.

    A map is components.sheet(decoded cells, columns=cells per side) with `title`, `bounds` (x min, x max, y min, y max) and
    `points` (x, y and class of each, all in one string), or {"title", "message"}. Event `click`: the visitor chose the point
    (`event.u`, `event.v`), each from 0 to 1, from the top left.
    """
