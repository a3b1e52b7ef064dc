"""The catalogues of the page's texts, from the sources: `python tools/messages.py` updates and compiles them (make messages).

Texts are the arguments of `_`, `Message` and `pgettext` in Python, of `_` in scripts and templates, and the names of classes
and attributes. A text that has gone is dropped from the catalogues; a new one has an empty translation, which a test finds.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages import catalog, mofile, pofile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import genmodels as gm  # noqa: E402
from tabs.language import FOLDER, LANGUAGES, PAGE, SCRIPTS  # noqa: E402

SOURCES = {
    PAGE: ("app.py", "genmodels/**/*.py", "hosting/*.py", "tabs/**/*.py"),
    SCRIPTS: ("hosting/*.js", "tabs/components/*.js", "tabs/components/*.html"),
}
IN_SCRIPTS = re.compile(r"""\b_\('((?:[^'\\]|\\.)*)'""")


def in_python(source: str) -> Iterator[tuple[str, str | None]]:
    """(text, context or None) of each call of `_`, `Message` or `pgettext`. Babel's own reader skips calls within calls."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
        if name in ("_", "Message") and texts:
            yield texts[0], None
        elif name == "pgettext" and len(texts) == 2:
            yield texts[1], texts[0]


def extracted(domain: str) -> catalog.Catalog:
    """All texts of a domain, with the files that they are in."""
    texts = catalog.Catalog(charset="utf-8")
    for file in sorted(file for pattern in SOURCES[domain] for file in ROOT.glob(pattern)):
        source, place = file.read_text(encoding="utf-8"), [(file.relative_to(ROOT).as_posix(), 1)]
        found = in_python(source) if file.suffix == ".py" else ((text, None) for text in IN_SCRIPTS.findall(source))
        for text, context in found:
            texts.add(text.replace("\\'", "'"), locations=place, context=context)
    if domain == PAGE:  # names, which are looked up as they are shown
        place = [("genmodels/data.py", 1)]
        for name in {name for names in gm.data.CLASSES.values() for name in names}:
            texts.add(name, locations=place)
        for attribute, values in gm.data.ATTRIBUTES.items():
            for value in values:
                texts.add(value, locations=place, context=attribute)
    return texts


def file_of(language: str, domain: str) -> Path:
    return FOLDER / language / "LC_MESSAGES" / f"{domain}.po"


def translated(language: str, domain: str) -> catalog.Catalog:
    with file_of(language, domain).open("rb") as file:
        return pofile.read_po(file, locale=language, domain=domain)


def main() -> None:
    for language in list(LANGUAGES)[1:]:
        for domain in SOURCES:
            file, texts = file_of(language, domain), translated(language, domain)
            texts.update(extracted(domain), no_fuzzy_matching=True, update_header_comment=False)
            texts.obsolete.clear()
            with file.open("wb") as out:
                pofile.write_po(out, texts, width=0, include_lineno=False, omit_header=False)
            with file.with_suffix(".mo").open("wb") as out:
                mofile.write_mo(out, texts)
            missing = [message.id for message in texts if message.id and not message.string]
            print(f"{file.relative_to(ROOT)}: {len(texts)} texts, {len(missing)} without a translation", *missing, sep="\n  ")


if __name__ == "__main__":
    main()
