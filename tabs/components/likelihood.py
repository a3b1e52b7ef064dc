"""How likely and how typical a picture is."""

from tabs.components import Component


class Likelihood(Component):
    """One picture's scores beside histograms of two datasets. Value: components.raw(x) with `text`, `names` (JSON, the two
    datasets) and `axes`, JSON of [name, {"edges", "real", "generated"} (shares of the two datasets), the picture's score] each;
    or {"message": sentence}.
    """
