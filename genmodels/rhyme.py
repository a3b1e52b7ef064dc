"""Rhymes and tones of regulated verse, as constraints on a poem that is written character by character.

Even lines rhyme, on a level tone (平); the first line may join them, and the other odd lines end in an oblique tone (仄). In
each line the tones of every second character alternate, and the lines of a couplet have opposite tones there, which leaves four
tone patterns for each form. Which characters rhyme and which tones they have is taken from old rhyme books, not from today's
pronunciation; see `train/rhymes.py`, which writes the table `rhymes.json`.

A constraint says at each position which characters may come next, given those before: of several rhymes and patterns it keeps
all that the poem so far allows, so that the model decides among them as it writes.

Reference:
    Wang Li, 诗词格律 (1962), for the patterns.
"""

import functools
import json
import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from genmodels.tokens import FORMS, PoemTokenizer
from genmodels.transformer import sample_next_token


class RhymeTable(NamedTuple):
    """groups: name of a rhyme -> division of the syllable ("-" if unknown; see `train/rhymes.py`) -> characters.
    level, oblique: characters that may have that tone, some of them both.
    repeats: form -> share of poems with 0, 1, 2, ... characters that occurred before in the poem.
    """

    groups: dict[str, dict[str, str]]
    level: str
    oblique: str
    repeats: dict[str, list[float]]


# A rhyme of another division than the one before it is less likely by this factor. All of a group rhymed in the Tang, and its
# poets did not prefer either; but later ages pronounce many divisions apart. It costs 2 of 120 in perplexity (validation).
OTHER_DIVISION = 0.1


@functools.cache
def rhyme_table() -> RhymeTable:
    return RhymeTable(**json.loads(Path(__file__).with_name("rhymes.json").read_text(encoding="utf-8")))


@functools.cache
def tone_classes() -> dict[str, str]:
    """character -> its tones: 平, 仄 or 平仄."""
    table = rhyme_table()
    level, oblique = set(table.level), set(table.oblique)
    return {c: "平" * (c in level) + "仄" * (c in oblique) for c in level | oblique}


@functools.cache
def readings() -> dict[str, str]:
    """character -> its most common reading in today's Mandarin, in pinyin; see `tools/pinyin.py`, which writes the table."""
    groups = json.loads(Path(__file__).with_name("pinyin.json").read_text(encoding="utf-8"))
    return {c: reading for reading, characters in groups.items() for c in characters}


@functools.cache
def rhymes() -> dict[str, frozenset[str]]:
    """character -> the names of its rhymes."""
    return {c: frozenset(name for name, _ in finals) for c, finals in rhyme_finals().items()}


@functools.cache
def rhyme_finals() -> dict[str, frozenset[tuple[str, str]]]:
    """character -> its (rhyme, division)s."""
    finals: dict[str, set[tuple[str, str]]] = {}
    for name, divisions in rhyme_table().groups.items():
        for division, characters in divisions.items():
            for c in characters:
                finals.setdefault(c, set()).add((name, division))
    return {c: frozenset(found) for c, found in finals.items()}


# The last five characters of a line: "中" leaves the tone open. Two more precede them in lines of seven.
LINES = {"A": "中仄中平仄", "B": "平平中仄平", "C": "中平中仄仄", "D": "中仄仄平平"}
LINES_OF_SEVEN = {"A": "中平" + LINES["A"], "B": "中仄" + LINES["B"], "C": "中仄" + LINES["C"], "D": "中平" + LINES["D"]}


def tone_patterns(form: str) -> list[str]:
    """The four tone patterns of a form: a symbol per character of the body, 平, 仄 or 中 (either), and the punctuation."""
    lines, length = FORMS[form]
    kinds = LINES if length == 5 else LINES_OF_SEVEN
    patterns = []
    for couplets in ("ABCD", "CDAB"):
        order = (couplets * 2)[:lines]
        for first in (order[0], {"A": "D", "C": "B"}[order[0]]):  # the first line rhymes in the second of them
            patterns.append("".join(kinds[kind] + "，。"[i % 2] for i, kind in enumerate(first + order[1:])))
    return patterns


def draw_repeats(form: str, g: torch.Generator) -> int:
    """A number of repeated characters as poems of the Tang have them."""
    shares = torch.tensor(rhyme_table().repeats[form], dtype=torch.float64)
    return int(sample_next_token(shares, g))


def tone_violations(body: str, pattern: str) -> list[int]:
    """The positions at which a body, or a beginning of it, has another tone than the pattern."""
    return [i for i, (c, tone) in enumerate(zip(body, pattern)) if not _fits(c, tone)]


def closest_pattern(form: str, body: str) -> str:
    """The tone pattern that a body violates least."""
    return min(tone_patterns(form), key=lambda pattern: len(tone_violations(body, pattern)))


def rhyming(form: str, body: str) -> tuple[str, list[int]]:
    """(name of the rhyme that most even lines of a body, or of a beginning of it, end in; "" if there is none; the positions
    of the characters that have it: at the ends of even lines, perhaps of the first)."""
    length = FORMS[form][1]
    ends = range(length - 1, len(body), length + 1)
    counts = Counter(name for i in ends[1::2] for name in sorted(rhymes().get(body[i], ())))
    name = max(counts, key=counts.__getitem__, default="")
    return name, [i for i in [*ends[:1], *ends[1::2]] if name in rhymes().get(body[i], ())]


class Verse(NamedTuple):
    """A beginning of a body and what may still become of it.

    body: its characters; patterns: the tone patterns that it follows; rhymes: the names of the rhymes that all its rhyming
    lines have, None before the first of them; finals: the (rhyme, division)s of the last of them.
    """

    body: str = ""
    patterns: tuple[str, ...] = ()
    rhymes: frozenset[str] | None = None
    finals: frozenset[tuple[str, str]] = frozenset()


class VerseRules:
    """Which characters may come next in a poem.

    Arguments:
        form: see `FORMS`.
        heads: the first characters of the lines, may be empty.
        rhyme: whether even lines rhyme, no rhyme twice, and the odd lines after the first end in an oblique tone.
        tones: whether the poem follows one of `tone_patterns`.
        repeats: how many characters may have occurred before in the poem; None for any number.

    What a visitor has written, heads and the beginning of a poem, may break the rules: they hold for the other characters.
    """

    def __init__(
        self,
        tokenizer: PoemTokenizer,
        form: str,
        heads: str = "",
        rhyme: bool = True,
        tones: bool = False,
        repeats: int | None = None,
    ):
        self.tokenizer = tokenizer
        self.form = form
        self.heads = heads
        self.rhyme = rhyme
        self.repeats = repeats
        self.lines, self.length = FORMS[form]
        self.body_length = self.lines * (self.length + 1)
        self.any = rhyme or tones  # else only the form holds
        self.patterns = tuple(tone_patterns(form)) if tones else ()
        table = rhyme_table()
        self.tone_masks = {"平": self._members(table.level), "仄": self._members(table.oblique)}
        self.final_masks = {
            (name, division): self._members(characters)
            for name, divisions in table.groups.items()
            for division, characters in divisions.items()
        }

    def start(self) -> Verse:
        if not self.patterns:
            return Verse()
        first_tones = [pattern[:: self.length + 1] for pattern in self.patterns]
        conflicts = [sum(not _fits(head, tone) for head, tone in zip(self.heads, row)) for row in first_tones]
        return Verse(patterns=tuple(p for p, n in zip(self.patterns, conflicts) if n == min(conflicts)))

    def form_mask(self, position: int) -> Tensor:
        """(V,) booleans: what form and heads allow, without the other rules."""
        line = position // (self.length + 1)
        return self.tokenizer.allowed_mask(self.form, position, self.heads[line] if line < len(self.heads) else None)

    def is_rhyme(self, position: int) -> bool:
        """Whether the poem rhymes there: at the end of an even line."""
        line, column = divmod(position, self.length + 1)
        return line % 2 == 1 and column == self.length - 1

    def mask(self, verse: Verse) -> Tensor:
        """(V,) booleans: the tokens that may come next. A rule that no token could keep is left out."""
        position = len(verse.body)
        line, column = divmod(position, self.length + 1)
        allowed = self.form_mask(position)
        if allowed.sum() == 1:  # punctuation, the end, or a head
            return allowed
        written = [c for c in verse.body if c not in "，。"]
        rules = []
        if self.rhyme and self.is_rhyme(position):
            names = rhyme_table().groups if verse.rhymes is None else verse.rhymes
            rhyming = torch.stack([m for (name, _), m in self.final_masks.items() if name in names]).any(0)
            used = verse.body[self.length - 1 :: self.length + 1]
            rules.append(rhyming & ~self._members(used))
        elif self.rhyme and column == self.length - 1 and line > 0:
            rules.append(self.tone_masks["仄"])
        asked = {pattern[position] for pattern in verse.patterns}
        if len(asked) == 1 and asked <= {"平", "仄"}:
            rules.append(self.tone_masks[asked.pop()])
        if self.rhyme and column == self.length - 1:
            others = [part for part in verse.body.replace("。", "，").split("，") if len(part) == self.length]
            beginning = verse.body[position - column :]
            rules.append(~self._members("".join(other[-1] for other in others if other.startswith(beginning))))
        if self.repeats is not None and len(written) - len(set(written)) >= self.repeats:
            rules.append(~self._members("".join(written)))
        for rule in rules:
            if bool((allowed & rule).any()):
                allowed = allowed & rule
        return allowed

    def log_weights(self, verse: Verse) -> Tensor | None:
        """(V,) to be added to the logits where a rhyme follows another one, else None: see `OTHER_DIVISION`."""
        if not self.rhyme or not verse.finals or not self.is_rhyme(len(verse.body)):
            return None
        alike = [m for final, m in self.final_masks.items() if final in verse.finals or final[1] == "-"]
        return torch.where(torch.stack(alike).any(0), 0, math.log(OTHER_DIVISION))

    def extend(self, verse: Verse, c: str) -> Verse:
        """The verse with one more character."""
        position = len(verse.body)
        patterns = tuple(p for p in verse.patterns if _fits(c, p[position])) or verse.patterns
        names, finals = verse.rhymes, verse.finals
        first = position == self.length - 1 and tone_classes().get(c) == "平"  # then the first line rhymes too
        if first or self.is_rhyme(position):
            rhyming = rhymes().get(c, frozenset())
            names = (names or rhyming) & rhyming or names
            own = frozenset(final for final in rhyme_finals().get(c, ()) if final[1] != "-")
            finals = finals & own or own or finals
        return Verse(verse.body + c, patterns, names, finals)

    def rhyme_of_last(self, verse: Verse) -> str:
        """The name of the rhyme that the last character of the verse has; empty if it stands where poems do not rhyme."""
        position = len(verse.body) - 1
        if verse.rhymes and (self.is_rhyme(position) or position == self.length - 1):
            return min(verse.rhymes & rhymes().get(verse.body[-1], frozenset()), default="")
        return ""

    def _members(self, characters: str) -> Tensor:
        """(V,) booleans."""
        mask = torch.zeros(self.tokenizer.vocab_size, dtype=torch.bool)
        ids = [self.tokenizer.token_id[c] for c in characters if c in self.tokenizer.token_id]
        mask[ids] = True
        return mask


def _fits(c: str, tone: str) -> bool:
    return tone not in "平仄" or tone in tone_classes().get(c, "平仄")
