"""A text in which every token can be inspected and replaced."""

from typing import Any, NotRequired, TypedDict

from tabs.components import Component


class TokenView(Component):
    """Tokens, each coloured by its surprisal.

    Events carry `text`, the symbols up to a position: `click`, the visitor selected the token that follows, or the text has
    ended; `input`, the visitor chose an alternative, now the last token; `release`, the text is to be continued. The latter
    two also carry `keep`, the number of tokens, and `request`.

    more: label of the button that continues the text; "" for none. branch: whether alternatives can be chosen. poem: line by
    line, from right to left, with Chinese labels. middle: bits of surprisal without colour, between blue and orange. poster: a
    text to show at first.
    """

    options = {"name": "Text", "more": "", "branch": True, "poem": False, "middle": 2, "poster": ""}

    class Value(TypedDict):
        # All tokens of a run, a line of JSON each: [symbol, probability, entropy in nats, kind, [[symbol, probability], ...] of
        # the most likely]. kind: "given", "yours" (the visitor chose it) or "". Gradio sends only the new end of this string.
        tokens: str
        keep: NotRequired[int]  # how many of the tokens that are shown precede the run's
        stats: NotRequired[str]  # a line about the run, below the text
        notes: NotRequired[str]  # what became of the input
        title: NotRequired[str]  # of a poem
        author: NotRequired[str]
        request: NotRequired[Any]  # events carry it back
        live: NotRequired[bool]  # the run goes on
