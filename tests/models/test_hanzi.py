"""Traditional characters are read as simplified ones, and it is said."""

import warnings

import pytest

import genmodels as gm
from genmodels.hanzi import SIMPLIFIED

TRADITIONAL = "靜夜思東風萬里關山邊國飛鳥遠龍鳳"
EXPECTED = "静夜思东风万里关山边国飞鸟远龙凤"


@pytest.fixture(scope="module")
def poems():
    return gm.load("transformer-tang")


def body(steps):
    return "".join(token.text for token in steps)


def test_the_table_holds_pairs_of_single_characters():
    assert len(SIMPLIFIED) > 1500
    assert all(len(a) == len(b) == 1 and a != b for a, b in SIMPLIFIED.items())
    assert not set(SIMPLIFIED) & set(SIMPLIFIED.values())  # nothing is simplified twice
    assert "".join(SIMPLIFIED.get(c, c) for c in TRADITIONAL) == EXPECTED


def test_the_alphabet_knows_every_simplified_form_and_none_of_the_traditional_ones(poems):
    alphabet = set(poems.tokenizer.symbols)
    assert set(SIMPLIFIED.values()) <= alphabet
    assert not set(SIMPLIFIED) & alphabet


def test_traditional_texts_have_the_tokens_of_the_simplified_ones(poems):
    tokenizer = poems.tokenizer
    assert tokenizer.simplify(TRADITIONAL) == EXPECTED
    assert tokenizer.encode(f"七绝|{TRADITIONAL}||") == tokenizer.encode(f"七绝|{EXPECTED}||")
    assert tokenizer.UNKNOWN not in tokenizer.encode(f"七绝|{TRADITIONAL}||")
    assert tokenizer.encode_continuation("萬里，", "七绝|||") == tokenizer.encode_continuation("万里，", "七绝|||")
    assert tokenizer.simplify("於乾☃a") == "於乾☃a"  # known, or known to nobody


@pytest.mark.parametrize(
    "traditional, simplified",
    [
        ({"title": "靜夜思"}, {"title": "静夜思"}),
        ({"author": "劉長卿"}, {"author": "刘长卿"}),
        ({"heads": "東風萬里"}, {"heads": "东风万里"}),
        ({"prefix": "東風", "title": "春"}, {"prefix": "东风", "title": "春"}),
    ],
    ids=["title", "author", "heads", "prefix"],
)
def test_poems_for_traditional_wishes(poems, traditional, simplified):
    name, text = next(iter(traditional.items()))
    with pytest.warns(UserWarning, match=rf"^{name} {text} is read in simplified characters: {simplified[name]}\.$"):
        written = body(poems.poem_steps("五绝", seed=0, **traditional))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert written == body(poems.poem_steps("五绝", seed=0, **simplified))


def test_a_traditional_poem_is_scored_as_the_simplified_one(poems):
    traditional, simplified = (
        "五绝|靜夜思|李白|床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。",
        "五绝|静夜思|李白|床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    )
    assert poems.score(traditional).symbols == poems.score(simplified).symbols
    assert poems.score(traditional).log_probs.sum() == pytest.approx(poems.score(simplified).log_probs.sum().item())


def test_a_head_that_nobody_knows_is_still_refused(poems):
    with pytest.raises(ValueError, match=r"^heads must be Chinese characters that the model knows; these are not: A\.$"):
        poems.poem_steps("五绝", heads="東A")
