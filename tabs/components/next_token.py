"""Next-token probabilities, before and after temperature and cut-offs."""

from typing import TypedDict

from tabs.components import Component


class NextToken(Component):
    """Bars of the most likely next tokens.

    A change of `options` alone needs no server: the script computes what `genmodels.transformer.warp_logits` would.
    """

    class Value(TypedDict):
        context: str  # the end of the text
        symbols: str  # JSON of all tokens, the most likely first
        logits: str  # numbers with spaces, in the same order
        options: dict[str, float]  # temperature, top_k, top_p, min_p
