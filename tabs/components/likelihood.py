"""How likely a picture is, and how usual."""

from tabs.components import Component


class Likelihood(Component):
    """One picture among the others. Value: components.raw(x) with `text`, `names` (JSON, two kinds of picture) and `axes`, JSON
    of [name, {"edges", "real", "generated"} (shares of the two kinds), the picture's number] each; or {"message": sentence}.
    """
