"""What the discriminator says of one picture."""

from tabs.components import Component


class Verdict(Component):
    """One picture and its verdict. Value: components.raw(x) with `text`, `score`, `hills` (JSON of {"edges", "real",
    "generated"}, shares) and `kinds` (JSON of [name, score] pairs: its score as each class), or {"message": sentence}.
    """
