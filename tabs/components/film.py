"""Moments of a training, or steps of a search: pictures, curves and histograms under one slider."""

from tabs.components import Component


class Film(Component):
    """Frames with curves. Value: a sheet of all frames, `per` pictures each, `across` of them in a row (`down`: filled by
    columns), and `facts`, JSON of {"unit", "numbers": [a number a frame], "lines": [[name, [[number, y], ...]], ...]} and, for
    histograms of scores, {"edges", "real", "generated"}, a list a frame of the latter two. Or {"message": sentence}.

    `beside`: components.raw(x) of a picture that stands beside the frames. `live`: a single frame of a search that goes on,
    of `total` steps. `label`: what the frames are. A value whose `turn` is less than one that came before is dropped.
    """
