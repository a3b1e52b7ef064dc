"""Texts that know what they were made of, so that the page can show them in another language."""

from collections.abc import Iterable
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


def joined(separator: str, texts: Iterable[str]) -> Message:
    """Texts one after another, of which some may be messages; the separator is the same in all languages."""
    values = {f"text_{i}": text for i, text in enumerate(texts)}
    return Message(separator.join(f"{{{name}}}" for name in values), **values)


def message_of(error: BaseException) -> str:
    """An error's sentence: the message that it carries, if it carries one."""
    return error.args[0] if error.args and isinstance(error.args[0], Message) else str(error)
