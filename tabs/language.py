"""The page's languages. A text is looked up in the catalogues of `locale/` while the page is built in a language, or while an
event of that page is handled.
"""

import contextlib
import contextvars
import functools
import gettext
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genmodels.messages import Message

LANGUAGES = {"en": "English", "zh": "中文"}  # tag: its own name; the first is the language of the sources
FOLDER = Path(__file__).with_name("locale")
PAGE, SCRIPTS = "page", "scripts"  # catalogues: texts of Python, and of what runs in the browser

_language = contextvars.ContextVar("language", default="en")


def current() -> str:
    return _language.get()


@contextlib.contextmanager
def use(language: str) -> Iterator[None]:
    """In this block, texts are in `language`."""
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


@functools.cache
def catalogue(language: str, domain: str = PAGE) -> gettext.NullTranslations:
    return gettext.translation(domain, FOLDER, [language], fallback=language == next(iter(LANGUAGES)))


def _(text: str, /, **values: Any) -> str:
    """A text, or an error's message, in the current language; `values` fill its placeholders as in `str.format`."""
    if isinstance(text, Message):
        values = text.values | values
        text = text.template
    text = catalogue(current()).gettext(text) if text else text  # of "" gettext gives a catalogue's header
    return text.format(**{name: translated(value) for name, value in values.items()}) if values else text


def translated(value: Any) -> Any:
    """A message in the current language; any other value as it is."""
    return _(value) if isinstance(value, Message) else value


def pgettext(context: str, text: str) -> str:
    """A word in the current language, where it has another meaning in another context."""
    return catalogue(current()).pgettext(context, text)


def join(texts: "list[str] | tuple[str, ...]") -> str:
    """A list in one text: "a, b, c"."""
    return ("、" if current() == "zh" else ", ").join(map(str, texts))


@functools.cache
def of_scripts(language: str) -> dict[str, str]:
    """{text of the components' scripts: its translation}."""
    return {text: translation for text, translation in vars(catalogue(language, SCRIPTS)).get("_catalog", {}).items() if text}
