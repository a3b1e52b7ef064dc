"""Snapshots of a training run, or steps of a computation: pictures, curves and histograms with one slider."""

from tabs.components import Component


class Film(Component):
    """Frames with curves. Value: a sheet of all frames with `per` pictures each, `across` of them in a row (`by_column`:
    filled column by column), and `facts`, JSON of {"unit", "numbers": [one number per frame], "lines": [[name, [[number, y],
    ...]], ...]} and, for score histograms, {"edges", "real", "generated"}, the latter two with one list per frame. Or
    {"message": sentence}.

    `reference`: components.raw(x) of a picture that is shown next to the frames. `live`: a single frame of a computation
    that is still running, of `total` steps. `label`: caption of the frames. A value whose `turn` is lower than that of an
    earlier one is dropped.
    """
