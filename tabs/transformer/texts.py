"""Texts and their tokens, as visitors send them and as the page shows them."""

import itertools
import json
import time
from collections.abc import Iterable, Iterator

import genmodels as gm
from tabs.components.token_view import Token
from tabs.controls import ControlError

SHAKESPEARE, TANG = MODELS = ("transformer-shakespeare", "transformer-tang")
MAX_NEW_TOKENS = 1000  # per run
MAX_TEXT = 20_000  # characters of a text that the visitor continues again and again
MAX_PROMPT = 100_000  # characters


def load(name: str) -> "gm.TextTransformer":
    """The model of that name; a visitor's string never becomes a path."""
    return gm.load(gm.base.check_choice("model", name, MODELS))


def check(name: str, value: str, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit:
        raise ControlError(name, name.capitalize(), f"must be a text of at most {limit:,} characters.")
    return value


def fold(model: "gm.TextTransformer", text: str) -> tuple[str, str]:
    """(the text in the model's alphabet, a sentence about the characters that were changed or left out, or "")."""
    tokenizer, alphabet = model.tokenizer, model.tokenizer.token_id
    unknown = list(dict.fromkeys(c for c in text if c not in alphabet and c != "\r"))
    dropped = [printable(c) for c in unknown if not tokenizer.fold(c)]
    changed = [f"{printable(c)} became {tokenizer.fold(c)}" for c in unknown if tokenizer.fold(c)]
    notes = []
    if dropped:
        notes.append(f"Not in the training text, left out: {join_items(dropped)}.")
    if changed:
        notes.append(f"{join_items(changed)}.")
    return tokenizer.fold(text), " ".join(notes)


def printable(c: str) -> str:
    return c if c.isprintable() else f"U+{ord(c):04X}"


def join_items(items: list[str], limit: int = 12) -> str:
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


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
    return f"{n} {unit}" + (f", {n / max(1e-3, time.monotonic() - start):.0f} per second" if start else "")
