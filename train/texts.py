"""The two texts that the recipes ship, cut into what is trained on, chosen on and reported.

corpora/shakespeare.txt.gz    plays of Shakespeare as one text (public domain; tiny Shakespeare, Andrej Karpathy, 2015)
corpora/tang-*.txt.gz         regular verse of the Tang, "title|author|body" a line (public domain; collection
                              chinese-poetry, (c) 2016 JackeyGao, MIT), in simplified characters
"""

import gzip
from pathlib import Path

import torch
import torch.nn.functional as F

from genmodels.tokens import FORMS

CORPORA = Path(__file__).parent / "corpora"


def shakespeare(split):
    """train, val or test: the first 90 % less their last twentieth, that twentieth, and the last 10 %."""
    text = _read("shakespeare")
    test = int(0.9 * len(text))
    val = int(0.95 * test)
    return {"train": text[:val], "val": text[val:test], "test": text[test:]}[split]


def tang(split):
    """Poems as (form, title, author, body), split by hash of the body: 96 % train, 2 % val, 2 % test."""
    poems = []
    for line in _read(f"tang-{split}").splitlines():
        title, author, body = line.split("|")
        lines, length = body.count("，") + body.count("。"), body.index("，")
        form = next(name for name, shape in FORMS.items() if shape == (lines, length))
        poems.append((form, title, author, body))
    return poems


def _read(name):
    return gzip.decompress((CORPORA / f"{name}.txt.gz").read_bytes()).decode("utf-8")


SETS = {"shakespeare": shakespeare, "tang": tang}


class Passages:
    """Stretches of `length` + 1 tokens from one long row: ids (N,). starts: where they may begin, None for anywhere."""

    def __init__(self, ids, length, starts=None):
        self.ids, self.length = ids, length
        self.starts = torch.arange(len(ids) - length) if starts is None else starts

    def __len__(self):
        return len(self.starts)

    def batch(self, i):
        """(ids (B, length + 1),)"""
        return (self.ids[self.starts[i][:, None] + torch.arange(self.length + 1)],)


def nats_of_blocks(model, text, length=256, at_once=32):
    """(mean -log p a character, number of characters) over blocks of `length`, each read from its own beginning, as usual for
    tiny Shakespeare; what is left over at the end is not read."""
    ids = torch.tensor(model.tokens.encode(text), device=model.device)
    n = (len(ids) - 1) // length
    x, y = ids[: n * length].view(n, length), ids[1 : n * length + 1].view(n, length)
    with torch.inference_mode():
        nats = [
            F.cross_entropy(model.logits(a).flatten(0, 1), b.flatten(), reduction="sum")
            for a, b in zip(x.split(at_once), y.split(at_once))
        ]
    return sum(nats).item() / y.numel(), y.numel()


def nats_of_bodies(model, poems, told=True, at_once=64):
    """(sum of -log p over the bodies' characters, their number); marks and the end are neither scored nor counted.

    told: whether the model is told title and author; it is always told the form.
    """
    rows, begins = [], []
    for form, title, author, body in poems:
        head = model.tokens.encode(f"{form}|{title}|{author}|" if told else f"{form}|||")
        rows.append(torch.tensor([*head, *model.tokens.part(body, form + "|")[1]]))
        begins.append(len(head))
    marks, nats, n = torch.tensor(model.tokens.marks), 0.0, 0
    with torch.inference_mode():
        for i in range(0, len(rows), at_once):
            ids = torch.nn.utils.rnn.pad_sequence(rows[i : i + at_once], batch_first=True, padding_value=-1)
            place = torch.arange(ids.shape[1])
            scored = (ids >= 0) & (place >= torch.tensor(begins[i : i + at_once])[:, None]) & ~torch.isin(ids, marks)
            logits = model.logits(ids[:, :-1].clamp_min(0).to(model.device)).cpu()
            each = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].clamp_min(0).flatten(), reduction="none")
            nats += each[scored[:, 1:].flatten()].double().sum().item()
            n += scored.sum().item()
    return nats, n
