"""The two text corpora of the repository, with their training, validation and test splits.

corpora/shakespeare.txt.gz    plays of Shakespeare as one text (public domain; tiny Shakespeare, Andrej Karpathy, 2015)
corpora/tang-*.txt.gz         regular verse of the Tang, one "title|author|body" per line (public domain; collection
                              chinese-poetry, (c) 2016 JackeyGao, MIT), in simplified characters
"""

import gzip
from pathlib import Path

import torch
import torch.nn.functional as F

from genmodels.tokens import FORMS

CORPORA = Path(__file__).parent / "corpora"


def shakespeare(split):
    """train, val or test: the last 10 % are test; of the first 90 %, the last twentieth is val and what precedes it train."""
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


DATASETS = {"shakespeare": shakespeare, "tang": tang}


class Passages:
    """Passages of `length` + 1 tokens from one long sequence ids (N,). starts: where they may begin, None for anywhere."""

    def __init__(self, ids, length, starts=None):
        self.ids, self.length = ids, length
        self.starts = torch.arange(len(ids) - length) if starts is None else starts

    def __len__(self):
        return len(self.starts)

    def batch(self, i):
        """(ids (B, length + 1),)"""
        return (self.ids[self.starts[i][:, None] + torch.arange(self.length + 1)],)


def nats_of_blocks(model, text, length=256, batch=32):
    """(mean -log p per character, number of characters) over blocks of `length`.

    Each block is predicted from its own beginning, as is common for tiny Shakespeare; an incomplete last block is ignored.
    """
    ids = torch.tensor(model.tokenizer.encode(text), device=model.device)
    n = (len(ids) - 1) // length
    x, y = ids[: n * length].view(n, length), ids[1 : n * length + 1].view(n, length)
    with torch.inference_mode():
        nats = [
            F.cross_entropy(model.logits(inputs).flatten(0, 1), targets.flatten(), reduction="sum")
            for inputs, targets in zip(x.split(batch), y.split(batch))
        ]
    return float(sum(nats)) / y.numel(), y.numel()


def nats_of_bodies(model, poems, with_title=True, batch=64):
    """(sum of -log p over the characters of the bodies, their number), without punctuation and the end token.

    with_title: whether the model is given title and author; it is always given the form.
    """
    tokenizer, rows, starts = model.tokenizer, [], []
    for form, title, author, body in poems:
        prompt_ids = tokenizer.encode(f"{form}|{title}|{author}|" if with_title else f"{form}|||")
        _, body_ids = tokenizer.encode_continuation(body, form + "|")
        rows.append(torch.tensor([*prompt_ids, *body_ids]))
        starts.append(len(prompt_ids))
    marks, nats, n = torch.tensor(tokenizer.marks), 0.0, 0
    with torch.inference_mode():
        for i in range(0, len(rows), batch):
            ids = torch.nn.utils.rnn.pad_sequence(rows[i : i + batch], batch_first=True, padding_value=-1)
            positions = torch.arange(ids.shape[1])
            in_body = positions >= torch.tensor(starts[i : i + batch])[:, None]
            scored = (ids >= 0) & in_body & ~torch.isin(ids, marks)
            logits = model.logits(ids[:, :-1].clamp_min(0).to(model.device)).cpu()
            losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].clamp_min(0).flatten(), reduction="none")
            nats += losses[scored[:, 1:].flatten()].double().sum().item()
            n += int(scored.sum())
    return nats, n
