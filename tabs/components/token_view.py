"""A text in which every token can be inspected and replaced."""

from tabs.components import Component


class TokenView(Component):
    """Tokens, each coloured by its surprisal. Value: `tokens`, one line of JSON per token: [symbol, probability, entropy in
    nats, kind, [[symbol, probability], ...] of the most likely]; kind is "given", "yours" (chosen by the visitor) or "". Or
    {"message": sentence}.

    A run sends all its tokens with each update, as one string, because Gradio transmits only the new end of a string that
    grows. `turn` is the number of the run; updates of earlier runs are ignored. `keep`: how many of the tokens that are shown
    precede the run's. `live`: the run goes on. `stats`, `notes`: a line about the run, and what became of the input, below the
    text. `title`, `author`: of poems. `request`: anything; events carry it back.

    Events carry `text`, the symbols up to a position: `click`, the visitor selected the token that follows, or the text has
    ended; `input`, the visitor chose an alternative, now the last token; `release`, the text is to be continued. The latter
    two also carry `keep`, the number of tokens, and `request`.

    more: label of the button that continues the text; "" for none. branch: whether alternatives can be chosen. poem: line by
    line, from right to left, with Chinese labels. middle: bits of surprisal without colour, between blue and orange. poster: a
    text to show at first.
    """

    def __init__(self, value=None, name="Text", more="", branch=True, poem=False, middle=2, poster="", **props):
        super().__init__(value, name=name, more=more, branch=branch, poem=poem, middle=middle, poster=poster, **props)
