"""Frames that are computed once and scrubbed in the browser."""

from typing import NotRequired

from tabs.components import Component, Sheet


class Scrubber(Component):
    """Rows of frames with a common slider, in a sheet with a column for each step.

    action: label of a button below each row ("": no button). ends: words at both ends of the slider.
    Event `release`: the button was pressed at frame `event.step` of row `event.row`.
    """

    options = {"action": "", "ends": ["", ""]}

    class Value(Sheet):
        rows: list[str]  # their names
        levels: NotRequired[str]  # of a sampler's run, which opens at its end: the noise of each step, numbers with spaces
        numbers: NotRequired[list[int]]  # with `levels`: the step of each frame
        run: NotRequired[str]  # of a run its name, for the link
        pair: NotRequired[list[list[float]]]  # of an interpolation the codes of its ends, for the link
        live: NotRequired[bool]  # a single frame of a run that is still going on
