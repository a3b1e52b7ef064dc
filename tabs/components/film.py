"""Snapshots of a training run, or steps of a computation: pictures, curves and histograms with one slider."""

from typing import NotRequired, TypedDict

from tabs.components import Component, Line, Raw, Sheet


class Facts(TypedDict):
    unit: str  # "step" or "row"
    numbers: list[int]  # of the steps, one per frame
    lines: list[Line]  # over the steps' numbers
    edges: NotRequired[list[float]]  # of score histograms
    real: NotRequired[list[list[float]]]  # shares, one list per frame
    generated: NotRequired[list[list[float]]]


class Film(Component):
    """Frames with curves."""

    class Value(Sheet):
        per: int  # pictures per frame
        across: int  # of them in a row
        by_column: NotRequired[bool]  # a frame is filled column by column
        facts: str  # JSON of `Facts`
        label: str  # caption of the frames
        reference: NotRequired[Raw]  # is shown next to the frames
        live: NotRequired[bool]  # a single frame of a computation that is still running
        total: NotRequired[int]  # its number of steps
