"""The discriminator's score of one picture."""

from tabs.components import Component


class Verdict(Component):
    """One picture and its score. Value: components.raw(x) with `text`, `score`, `histogram` (JSON of {"edges", "real",
    "generated"}, shares) and `by_label` (JSON of [name, score] pairs, one per class), or {"message": sentence}.
    """
