"""A table whose rows can be sorted and chosen."""

import json
from collections.abc import Sequence
from typing import Any, TypedDict

from tabs.components import Component

Cell = tuple[str, float | None]  # what stands in it, and by what it is sorted; None comes last


class SortableTable(Component):
    """Rows with a title each. Event `input`: row number `event.index` was chosen, as numbered before they were sorted."""

    options = {"name": "Table"}

    class Value(TypedDict):
        table: str  # JSON of {columns: titles, the first of the rows' own, rows: [[title, [text, number], ...], ...]}
        caption: str

    @staticmethod
    def value(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Cell]]], caption: str) -> Any:
        table = {"columns": list(columns), "rows": [[title, *cells] for title, cells in rows]}
        return {"table": json.dumps(table), "caption": caption}
