"""Texts and their tokens, as visitors send them and as the page shows them."""

import itertools
import json
import re
import time
from collections.abc import Iterable, Iterator

import genmodels as gm
from genmodels.messages import Message
from tabs.components.token_view import Token
from tabs.controls import ControlError
from tabs.language import _, join

SHAKESPEARE, TANG = "transformer-shakespeare", "transformer-tang"
OWN = {facts["checkpoint"]: facts for facts in gm.cards.own_data("transformer").values() if "text" in facts}
MODELS = (SHAKESPEARE, TANG, *OWN)
WRITERS = {SHAKESPEARE: Message("Shakespeare")} | {name: facts["title"] for name, facts in OWN.items()}  # of plain texts
MAX_NEW_TOKENS = 1000  # per run
MAX_TEXT = 20_000  # characters of a text that the visitor continues again and again
MAX_PROMPT = 100_000  # characters


def load(name: str) -> "gm.TextTransformer":
    """The model of that name; a visitor's string never becomes a path."""
    return gm.load(gm.base.check_choice("model", name, MODELS))


def writer(name: str) -> "gm.TextTransformer":
    """The model of a plain text."""
    return gm.load(gm.base.check_choice(Message("Text"), name, WRITERS))


def available() -> list[str]:
    """The models of plain texts with a checkpoint, or all, so that each says what is missing."""
    return gm.cards.shipped(WRITERS) or list(WRITERS)


def beginning(name: str, shakespeare: str, limit: int) -> str:
    """Words of a model's text to begin with. shakespeare: those of his."""
    if name == SHAKESPEARE:
        return shakespeare
    if name not in OWN:  # refused; else the page would need torch before it answers
        gm.base.check_choice(Message("Text"), name, WRITERS)
    text = OWN[name]["text"]
    letters = re.search(r"[^\W\d_]{2}", text)  # not the line of asterisks above a chapter
    words = text[letters.start() if letters else 0 :].strip()[:limit]
    return words.rpartition(" ")[0] or words


def check(name: str, value: str, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit:
        problem = Message("must be a text of at most {limit:,} characters.", limit=limit)
        raise ControlError(name, Message(name.capitalize()), problem)
    return value


def fold(model: "gm.TextTransformer", text: str) -> tuple[str, str]:
    """(the text in the model's alphabet, a sentence about the characters that were changed or left out, or "")."""
    tokenizer, alphabet = model.tokenizer, model.tokenizer.token_id
    unknown = list(dict.fromkeys(c for c in text if c not in alphabet and c != "\r"))
    dropped = [printable(c) for c in unknown if not tokenizer.fold(c)]
    changed = [
        _("{character} became {folded}", character=printable(c), folded=tokenizer.fold(c)) for c in unknown if tokenizer.fold(c)
    ]
    notes = []
    if dropped:
        notes.append(_("Not in the training text, left out: {characters}.", characters=join_items(dropped)))
    if changed:
        notes.append(_("{items}.", items=join_items(changed)))
    return tokenizer.fold(text), " ".join(notes)


def printable(c: str) -> str:
    return c if c.isprintable() else f"U+{ord(c):04X}"


def join_items(items: list[str], limit: int = 12) -> str:
    shown = join(items[:limit])
    return _("{items} and {n} more", items=shown, n=len(items) - limit) if len(items) > limit else shown


# --- Tokens -----------------------------------------------------------------------------------------------------------


def collected(steps: Iterable) -> Iterator[dict]:
    """For endpoints: all of the steps as a list; between them the computing lane is free for a moment."""
    tokens = []
    for batch in gm.tokens.batches(steps):
        tokens += batch
        yield {}
    return tokens


def records(tokens: Iterable["gm.text_transformer.Token"], kinds: Iterable[str] = itertools.repeat("")) -> str:
    """Tokens as `TokenView` reads them, one line of JSON each. kinds: of the tokens, at least as many."""
    lines = []
    for token, kind in zip(tokens, kinds):
        record: Token = {
            "symbol": token.text,
            "p": round(token.probability, 5),
            "entropy": round(token.entropy, 3),
            "kind": kind,
            "alternatives": [{"symbol": text, "p": round(p, 4)} for text, p, _ in token.alternatives],
        }
        lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    return "".join(lines)


def count(n: int, unit: str, start: float | None) -> str:
    """A run's tokens and their speed. start: when it began, or None where an earlier visitor's run is shown."""
    if not start:
        return _("{n} {unit}", n=n, unit=unit)
    return _("{n} {unit}, {speed:.0f} per second", n=n, unit=unit, speed=n / max(1e-3, time.monotonic() - start))
