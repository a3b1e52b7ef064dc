"""Frames that are computed once and looked through in the browser."""

from tabs.components import Component


class Scrubber(Component):
    """Rows of frames under one slider. Value: components.sheet(all frames, columns=steps) with `rows` (a name each).

    Of a sampler's run also `levels`, the noise level of each step as one string, and `numbers`, each frame's step: drawn as
    a curve, and the last frame is shown first. `live` shows a single frame of a run that still goes on. A value whose `turn`
    is less than one that came before is dropped.
    Event `release`: the visitor pressed the button `action` (none if "") at frame `event.step` of row `event.row`.
    """

    def __init__(self, value=None, action="", ends=("", ""), **props):
        super().__init__(value, action=action, ends=list(ends), **props)
