"""The catalogues of the page's texts, from the sources: `python tools/messages.py` updates and compiles them (make messages).

Texts are the arguments of `_`, `Message` and `pgettext` in Python, of `_` in scripts and templates, and the names of classes
and attributes. A text that has gone is dropped from the catalogues; a new one has an empty translation, which a test finds.
"""

import io
import sys
from pathlib import Path

from babel.messages import catalog, extract, mofile, pofile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import genmodels as gm  # noqa: E402
from tabs.language import FOLDER, LANGUAGES, PAGE, SCRIPTS  # noqa: E402

SOURCES = {
    PAGE: ("python", ("app.py", "genmodels/**/*.py", "hosting/*.py", "tabs/**/*.py")),
    SCRIPTS: ("javascript", ("hosting/*.js", "tabs/components/*.js", "tabs/components/*.html")),
}
KEYWORDS = {"_": None, "Message": None, "pgettext": ((1, "c"), 2)}


def extracted(domain: str) -> catalog.Catalog:
    """All texts of a domain, with the files that they are in."""
    method, patterns = SOURCES[domain]
    texts = catalog.Catalog(charset="utf-8")
    for file in sorted(file for pattern in patterns for file in ROOT.glob(pattern)):
        content = io.BytesIO(file.read_bytes())
        if file.suffix == ".html":  # ${_('...')} in a template
            content = io.BytesIO(b"\n".join(file.read_bytes().split(b"${")[1:]))
        for line, message, comments, context in extract.extract(method, content, KEYWORDS, ("Translators:",)):
            texts.add(message, locations=[(file.relative_to(ROOT).as_posix(), line)], auto_comments=comments, context=context)
    if domain == PAGE:
        for names in gm.data.CLASSES.values():
            for name in names:
                texts.add(name, locations=[("genmodels/data.py", 1)])
        for attribute, values in gm.data.ATTRIBUTES.items():
            for value in values:
                texts.add(value, locations=[("genmodels/data.py", 1)], context=attribute)
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
