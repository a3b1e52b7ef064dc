"""Texts that know what they were made of, so that the page can show them in another language."""

from typing import Any


class Message(str):
    """A text: a template, filled with values. Errors carry it as their sentence; it prints as any other text does.

    template: the text in English, which the page's catalogues translate. values: fill its placeholders as in `str.format`; a
    value that is a message itself is translated too.

    >>> raise_it = Message("{name} must be {allowed}.", name="n", allowed=Message("a whole number"))
    >>> print(raise_it)
    n must be a whole number.
    >>> raise_it.template
    '{name} must be {allowed}.'
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, /, **values: Any) -> "Message":
        message = super().__new__(cls, template.format(**values) if values else template)
        message.template, message.values = template, values
        return message

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:  # for copies
        return (self.template,), self.values
