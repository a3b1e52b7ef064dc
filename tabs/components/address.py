"""Between the address bar and the page: it shows nothing."""

from typing import Any, TypedDict

from tabs.components import Component


class Address(Component):
    """groups: {path of a tab, "" for the page: ids of the tabs within it}. places: what each place has in a link.

    Event `submit`: the visitor opened the address with the query `event.query`; `event.number` comes back in the value.
    """

    options: dict[str, Any] = {"groups": {}, "places": {}}

    class Value(TypedDict):
        number: int
        place: str
        opens: bool  # whether its tools open first

    def set_places(self, places: dict[str, Any]) -> None:
        self.props["places"] = self.places = places
