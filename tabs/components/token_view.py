"""A text of which every choice can be seen."""

from tabs.components import Component


class TokenView(Component):
    """Tokens, each coloured by its probability. Value: `tokens`, a line of JSON each: [symbol, probability, entropy in nats,
    kind, [[symbol, probability], ...] of the likeliest]; kind is "given", "yours" (chosen by the visitor) or "". Or
    {"message": sentence}.

    A run sends all its tokens again with each update, as one string: Gradio sends only what is new of a string that grows.
    `turn` is the run's number and `keep` how many tokens of the text before it stay; what is older than what is shown is
    dropped. `live`: it goes on. `told`, `notes`: facts, and what was not as asked (a line each), below the text. Of poems
    `title` and `author`. `asked`: anything; events carry it back.

    Events carry `text`, all up to a place: `click`, the visitor looks at the token behind it, or the text has ended; `input`,
    they took another token, the text's last; `release`, it shall go on. The latter two also carry `keep`, its tokens.
    more: the label of the button that lets it go on, none if "". branch: whether other tokens can be taken. poem: line by
    line, from right to left, labels in Chinese too. middle: bits of surprise that are neither blue nor orange. poster: a text
    that stands there at first.
    """

    def __init__(self, value=None, name="Text", more="", branch=True, poem=False, middle=2, poster="", **props):
        super().__init__(value, name=name, more=more, branch=branch, poem=poem, middle=middle, poster=poster, **props)
