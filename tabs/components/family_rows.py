"""Samples of every family, a row each."""

import json
from typing import Any, NotRequired, TypedDict

from tabs.components import Component


class Row(TypedDict):
    name: str  # of the checkpoint
    title: str  # of the family
    state: str  # "stored", "waiting", "running", "done", "stopped", "problem" or "absent"
    facts: list[tuple[str, str]]  # (what, how much)
    n: NotRequired[int]  # of the samples, each w by h
    w: NotRequired[int]
    h: NotRequired[int]
    note: NotRequired[str]  # a sentence
    likelihood: NotRequired[str]  # a sentence
    values: NotRequired[list[str]]  # under each sample
    labels: NotRequired[list[str]]  # for screen readers
    problem: NotRequired[str]  # a sentence in place of samples
    whole: NotRequired[bool]  # the picture is shown as it is, with all samples in it


class FamilyRows(Component):
    """A row for each family, which fills while the family computes."""

    class Value(TypedDict):
        rows: str  # JSON of a list of `Row`
        pictures: dict[str, str]  # name of a checkpoint -> its samples in one row, a PNG as data URI, or ""

    @staticmethod
    def value(rows: dict[str, tuple[Row, str]]) -> Any:
        """rows: name of a checkpoint -> (its row, its samples). Of a stream, only the pictures that change are sent."""
        return {
            "rows": json.dumps([row for row, _picture in rows.values()]),
            "pictures": {name: picture for name, (_row, picture) in rows.items()},
        }
