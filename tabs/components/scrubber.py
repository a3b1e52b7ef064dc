"""Frames that are computed once and scrubbed in the browser."""

from tabs.components import Component


class Scrubber(Component):
    """Rows of frames with a common slider. Value: components.sheet(all frames, columns=steps) with `rows`, their names.

    The value of a sampler's run also has `levels`, the noise level of each step as one string, and `numbers`, the step of each
    frame: the levels are drawn as a curve, and the last frame is shown first. `live`: a single frame of a run that is still
    going on. A value whose `turn` is lower than that of an earlier value is dropped.
    action: label of a button below each row ("": no button). ends: words at both ends of the slider.
    Event `release`: the button was pressed at frame `event.step` of row `event.row`.
    """

    def __init__(self, value=None, action="", ends=("", ""), **props):
        super().__init__(value, action=action, ends=list(ends), **props)
