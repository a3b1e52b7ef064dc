"""Tokenizers: round trips, characters outside the alphabet, tokens that a form allows."""

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genmodels.tokens import FORMS, CharacterTokenizer, PixelTokenizer, PoemTokenizer, batches

PROPERTY = settings(deadline=None, derandomize=True, max_examples=100)
PLAIN = CharacterTokenizer("\n !',-.abcdefghijklmnopqrstuvwxyzE")
HANZI = "春眠不觉晓处闻啼鸟夜来风雨声花落知多少"
POEMS = PoemTokenizer("，。" + HANZI + "·")


# --- CharacterTokenizer -------------------------------------------------------------------------------------------------------


@PROPERTY
@given(st.text(alphabet=PLAIN.symbols))
def test_a_text_of_the_alphabet_survives_a_round_trip(text):
    ids = PLAIN.encode(text)
    assert len(ids) == len(text) and all(0 <= i < PLAIN.vocab_size for i in ids)
    assert PLAIN.fold(text) == PLAIN.decode(ids) == text


@PROPERTY
@given(st.text())
def test_any_text_is_folded_into_the_alphabet(text):
    folded = PLAIN.fold(text)
    assert set(folded) <= set(PLAIN.symbols)
    assert PLAIN.fold(folded) == folded == PLAIN.decode(PLAIN.encode(text))


@pytest.mark.parametrize(
    "text, folded",
    [
        ("caf\u00e9 \u00c9", "cafe E"),
        ("\u2018a\u2019 \u201cb\u201d", "'a' 'b'"),
        ("a\u2014b\u2013c", "a--b-c"),
        ("a\u2026", "a..."),
        ("a\r\nb\rc", "a\nb\nc"),
        ("a\tb", "a b"),
        ("\x00a\x1b\x7f\u200b\ufeff", "a"),
        ("(a)", ",a,"),
        ("\ufb01x", "fix"),
        ("春a😀", "a"),
        ("\ud800a", "a"),
        ("", ""),
    ],
)
def test_folding(text, folded):
    assert PLAIN.fold(text) == folded


def test_an_empty_prompt_is_a_new_line_or_else_the_first_character():
    assert PLAIN.start == [0] == CharacterTokenizer("ab").start and CharacterTokenizer("a\n").start == [1]
    assert PLAIN.encode_continuation("ab", "") == (PLAIN.start, PLAIN.encode("ab"))
    assert PLAIN.encode_continuation("ab", "春") == (PLAIN.start, PLAIN.encode("ab"))  # folding leaves nothing of this prompt
    assert PLAIN.encode_continuation("ab", "cd") == (PLAIN.encode("cd"), PLAIN.encode("ab"))


@pytest.mark.parametrize(
    "make, alphabets",
    [
        (CharacterTokenizer, ["", "aa", None, ["a"], 3]),
        (PoemTokenizer, ["", "，。春春", "，春", "春。", None, ["，", "。"], "，。|", "，。□", "，。\n"]),
    ],
)
def test_invalid_alphabets_are_refused(make, alphabets):
    for alphabet in alphabets:
        with pytest.raises(ValueError, match=r"^alphabet must be .{10,100}\.$"):
            make(alphabet)


# --- PoemTokenizer ------------------------------------------------------------------------------------------------------------


def test_a_poem_is_form_title_author_body_and_end():
    ids = POEMS.encode("五绝|春晓|花·雨|春眠不觉晓，\n")
    symbols = [POEMS.symbols[i] for i in ids]
    assert symbols == ["五绝", *"春晓", "|", *"花·雨", "|", *"春眠不觉晓，", "\n"]
    assert POEMS.decode(ids) == "五绝|春晓|花·雨|春眠不觉晓，\n"
    assert [POEMS.symbols[i] for i in POEMS.start] == ["七绝", "|", "|"]
    assert len(set(POEMS.symbols)) == POEMS.vocab_size


@PROPERTY
@given(
    form=st.sampled_from(list(FORMS)),
    parts=st.lists(st.text(HANZI + "，。", max_size=9), min_size=3, max_size=3),
    end=st.sampled_from(["", "\n"]),
)
def test_a_poem_survives_a_round_trip(form, parts, end):
    text = "|".join([form, *parts]) + end
    assert POEMS.decode(POEMS.encode(text)) == text


@PROPERTY
@given(st.text(max_size=20).filter(lambda text: text.count("|") < 3))
def test_unknown_characters_become_one_token_and_the_end_comes_last(text):
    ids = POEMS.encode("七律|" + text)
    plain = text.replace("\n", "")
    assert len(ids) == 1 + len(plain) + text.endswith("\n")
    assert POEMS.END not in ids[:-1] and ids[0] == POEMS.token_id["七律"]
    for c, i in zip(plain, ids[1:]):
        assert i == (POEMS.token_id[c] if c in HANZI + "，。·|" else POEMS.UNKNOWN)


@pytest.mark.parametrize("text", ["", "春眠", "春|春", "七绝", "|七绝|", "七绝七绝|", "五绝|a|b|c|d", "七绝||||"])
def test_texts_that_are_no_poems_are_refused(text):
    with pytest.raises(ValueError, match=r"^A poem .{10,100}\.$"):
        POEMS.encode(text)


def test_prompt_and_continuation_of_a_poem():
    whole = POEMS.encode("七绝||雨|春眠")
    assert POEMS.encode_continuation("七绝||雨|春眠", "") == (whole[:1], whole[1:])
    assert POEMS.encode_continuation("春眠", "七绝||雨|") == (whole[:-2], whole[-2:])


@pytest.mark.parametrize("form", FORMS)
def test_the_mask_allows_what_the_form_allows(form):
    lines, length = FORMS[form]
    hanzi = {POEMS.token_id[c] for c in HANZI}
    for position in range(lines * (length + 1) + 2):
        line, column = divmod(position, length + 1)
        if line >= lines:
            expected = {POEMS.END}
        elif column == length:
            expected = {POEMS.token_id["，" if line % 2 == 0 else "。"]}
        else:
            expected = hanzi
        assert set(POEMS.allowed_mask(form, position).nonzero()[:, 0].tolist()) == expected, position
        forced = {POEMS.token_id["雨"]} if column == 0 and line < lines else expected
        assert set(POEMS.allowed_mask(form, position, "雨").nonzero()[:, 0].tolist()) == forced, position


# --- PixelTokenizer -----------------------------------------------------------------------------------------------------------


def test_8_bit_pictures_survive_a_round_trip():
    pixels = PixelTokenizer(16, 3)
    assert pixels.vocab_size == len(pixels.symbols) == len(set(pixels.symbols)) == 256 + 3 + 1
    x = torch.stack([torch.arange(256), torch.arange(256).flip(0)]).view(2, 1, 16, 16) / 255
    ids = pixels.encode(x, torch.tensor([2, -1]))
    assert ids[:, 1:].tolist() == [list(range(256)), list(range(256))[::-1]]  # row by row
    assert [pixels.symbols[i] for i in ids[:, 0]] == ["class 2", "no class"]
    assert torch.equal(pixels.decode(ids[:, 1:]), x)


def test_values_between_two_grey_levels_are_rounded():
    pixels = PixelTokenizer(1, 1, levels=4)
    assert pixels.encode(torch.tensor([[[[0.49 / 3]]], [[[0.51 / 3]]]]), torch.zeros(2).long())[:, 1].tolist() == [0, 1]


# --- Steps in batches ---------------------------------------------------------------------------------------------------------


def test_steps_are_batched_the_first_alone(monkeypatch):
    """By the seconds for which the thread computes: in those in which it waits for others nothing is ready to be shown."""
    clock = [5.0]
    monkeypatch.setattr(time, "thread_time", lambda: clock[0])

    def steps():
        for i in range(41):
            clock[0] += 0.0101
            yield i

    parts = list(batches(steps(), seconds=0.04))
    assert parts == [[0], *([i, i + 1, i + 2, i + 3] for i in range(1, 41, 4))]
    assert list(batches(range(3), seconds=1e9)) == [[0], [1, 2]]
