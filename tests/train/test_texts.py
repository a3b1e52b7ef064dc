"""The text corpora, their splits, and likelihoods of texts."""

import pytest
import torch

import genmodels as gm
from train import texts


def test_passages_are_complete_and_begin_at_allowed_positions():
    row = torch.arange(100, 120)
    anywhere = texts.Passages(row, 5)
    (passages,) = anywhere.batch(torch.arange(len(anywhere)))
    assert passages.shape == (15, 6) and passages[-1, -1] == 119  # the last begins so that it just fits
    assert bool((passages.diff(dim=1) == 1).all()) and passages[:, 0].tolist() == list(range(100, 115))
    chosen = texts.Passages(row, 5, torch.tensor([0, 7, 14]))
    assert len(chosen) == 3
    (batch,) = chosen.batch(torch.tensor([2, 0]))
    assert batch.tolist() == [list(range(114, 120)), list(range(100, 106))]


def test_shakespeare_is_split_as_in_publications():
    parts = [texts.shakespeare(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [953_661, 50_193, 111_540] and sum(map(len, parts)) == 1_115_394
    assert len(set("".join(parts))) == 65 == len(set(parts[0]))
    assert parts[0].startswith("First Citizen:\nBefore we proceed") and parts[2].endswith("\n")
    assert len(parts[0]) + len(parts[1]) == int(0.9 * 1_115_394)  # what others train on


def test_poems_of_the_tang_are_whole_and_in_one_split():
    parts = {split: texts.tang(split) for split in ("train", "val", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 34_743, "val": 693, "test": 724}
    bodies = {split: {body for *_, body in part} for split, part in parts.items()}
    assert not bodies["train"] & bodies["test"] and not bodies["train"] & bodies["val"] and not bodies["val"] & bodies["test"]
    for form, title, author, body in (poem for part in parts.values() for poem in part):
        lines, length = gm.tokens.FORMS[form]
        assert len(body) == lines * (length + 1)
        assert body[length :: length + 1] == "，。" * (lines // 2)
        assert len(title) <= 40 and len(author) <= 10 and "|" not in title + author


def test_nats_of_blocks_by_hand():
    torch.manual_seed(0)
    model = gm.TextTransformer(alphabet="ab\n", width=8, layers=1, heads=2, hidden=4, context=8).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p)
    text = "abba\nbaabbabaab\n"  # 16 characters: 3 blocks of 5, each but the first predicted from the block's beginning
    ids, nats = model.tokenizer.encode(text), []
    for block in range(3):
        for t in range(5):
            position = 5 * block + t
            logits = model.logits(torch.tensor([ids[5 * block : position + 1]]))[0, -1]
            nats.append(-logits.log_softmax(-1)[ids[position + 1]].item())
    for at_once in (1, 2, 32):
        mean, n = texts.nats_of_blocks(model, text, length=5, batch=at_once)
        assert (mean, n) == (pytest.approx(sum(nats) / 15, rel=1e-5), 15)


def test_nats_of_bodies_by_hand():
    torch.manual_seed(0)
    model = gm.PoemTransformer(alphabet="春眠不觉晓处，。", width=8, layers=1, heads=2, hidden=4, context=80).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p)
    poems = [
        ("五绝", "春", "眠", "春眠不觉晓，处春眠不觉。晓处春眠不，觉晓处春眠。"),
        ("七绝", "", "", "春眠不觉晓处春，眠不觉龘处春眠。春眠不觉晓处春，眠不觉晓处春眠。"),
    ]
    for with_title in (True, False):
        nats, n = 0.0, 0
        for form, title, author, body in poems:
            score = model.score(body, f"{form}|{title}|{author}|" if with_title else f"{form}|||")
            assert score.symbols.count("□") == body.count("龘")
            each = [p for c, p in zip(body, score.log_probs.tolist()) if c not in "，。"]
            nats, n = nats - sum(each), n + len(each)
        assert n == 48
        for at_once in (1, 64):
            assert texts.nats_of_bodies(model, poems, with_title, at_once) == (pytest.approx(nats, rel=1e-5), n)
