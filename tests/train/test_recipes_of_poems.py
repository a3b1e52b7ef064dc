"""The recipe of the poems: its alphabet, its passages, what chooses its weights, and its samples."""

import re
from collections import Counter

import pytest
import torch

from genmodels.tokens import FORMS
from train import texts, transformer

POEMS = {
    "train": [
        ("五绝", "春晓", "孟", "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。"),
        ("五绝", "夜", "李", "床前明月光，疑是地上霜。举头望明月，低头思故乡。"),
    ]
    * 10,
    "val": [("五绝", "春", "王", "春眠不觉晓，处处闻啼鸟。夜来风雨声，花落知多少。")],
}


def test_characters_that_occur_once_in_the_training_poems_are_unknown(monkeypatch, small_networks):
    poems = [POEMS["train"][0], ("五绝", "龘", "李", "春春不不晓，处处闻闻鸟。夜夜风风声，花花知知少。")]
    monkeypatch.setattr(texts, "tang", lambda split: {"train": poems, "val": POEMS["val"]}[split])
    alphabet = transformer.tang().model.config["alphabet"]
    counts = Counter("".join("".join(poem[1:]) for poem in poems))
    assert set(alphabet) == {c for c, n in counts.items() if n >= 2}
    assert [counts[c] for c in alphabet] == sorted((counts[c] for c in alphabet), reverse=True)


def test_poems_are_trained_on_whole_with_one_title_and_author_in_five_left_out(monkeypatch, small_networks):
    monkeypatch.setattr(texts, "tang", lambda split: POEMS[split] * (20 if split == "train" else 1))
    parts = transformer.tang()
    text = parts.model.tokenizer.decode(parts.train.ids.tolist())
    rows = [row.split("|") for row in text.splitlines()]
    assert len(rows) == 4 * 400 and all(len(row) == 4 and row[0] in FORMS for row in rows)
    assert Counter(row[3] for row in rows) == {poem[3]: 800 for poem in POEMS["train"][:2]}
    for column in (1, 2):
        assert sum(row[column] == "" for row in rows) / len(rows) == pytest.approx(0.2, abs=0.05)
    form = parts.model.tokenizer.token_id["五绝"]
    assert (parts.train.ids[parts.train.starts] == form).all()
    (last,) = parts.train.batch(torch.tensor([len(parts.train) - 1]))
    assert last.shape == (1, parts.model.context + 1)


def test_the_score_of_poems_is_the_perplexity_of_the_validation_poems(monkeypatch, small_networks):
    monkeypatch.setattr(texts, "tang", lambda split: POEMS[split])
    parts = transformer.tang()
    model = parts.model.eval()
    (form, title, author, body), marks = POEMS["val"][0], "，。"
    log_probs = model.score(body, f"{form}|{title}|{author}|").log_probs
    nats = [-p for c, p in zip(body, log_probs.tolist()) if c not in marks]
    (score,) = parts.validate(model).values()
    assert score == pytest.approx(torch.tensor(nats).mean().exp().item(), rel=1e-4)


def test_samples_of_poems_show_each_form(monkeypatch, small_networks):
    monkeypatch.setattr(texts, "tang", lambda split: POEMS[split])
    parts = transformer.tang()
    text = parts.samples(parts.model.eval())
    assert re.findall(r"^--- (\S+), seed 0$", text, re.M) == list(FORMS)
