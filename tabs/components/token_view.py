"""A text in which every token can be inspected and replaced."""

from typing import Any, NotRequired, TypedDict

from tabs.components import Component


class Alternative(TypedDict):
    symbol: str
    p: float  # its probability


class Token(Alternative):
    entropy: float  # of the distribution that it was drawn from, in nats
    kind: str  # "given", "yours" (the visitor chose it) or ""
    alternatives: list[Alternative]  # the most likely


class Verse(TypedDict):
    """Marks of a poem: a symbol per character of its body, as strings."""

    tones: str  # 平, 仄, 中 for a character that has both, or a space
    pattern: str  # the tone pattern: 平, 仄, 中 for either, or punctuation
    rhyming: str  # 韵 for a character that rhymes, or a space
    rhyme: str  # its name
    pinyin: str  # readings with a space between, empty for punctuation; shown while a checkbox of class "pinyin" is checked


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
        tokens: str  # all of a run, as JSON of a `Token` per line: Gradio sends only the new end of this string
        keep: NotRequired[int]  # how many of the tokens that are shown precede the run's
        stats: NotRequired[str]  # a line about the run, below the text
        notes: NotRequired[str]  # what became of the input
        title: NotRequired[str]  # of a poem
        author: NotRequired[str]
        verse: NotRequired[Verse]
        request: NotRequired[Any]  # events carry it back
        live: NotRequired[bool]  # the run goes on
