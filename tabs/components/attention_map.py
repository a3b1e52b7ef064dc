"""Attention weights among the last tokens."""

from typing import TypedDict

from tabs.components import Component


class AttentionMap(Component):
    """Attention of each layer and head among the last tokens of a text."""

    class Value(TypedDict):
        symbols: str  # JSON of the last tokens
        n: int  # their number
        layers: int
        heads: int
        maps: str  # base64 of (layers, heads, n, n) bytes, 255 for a weight of 1; what a row lacks to 255 is for earlier tokens
