"""The Transformer tab: poems of the Tang."""

import json

import pytest
from helpers import (
    event,
    is_sentence,
    last,
    refusal,
    run_program,
)
from helpers_transformer_tab import HOSTILE, follows_form, text_of, tokens_of

import genmodels as gm
from tabs import transformer as tab
from tabs.transformer import poems, runs, texts


@pytest.fixture(autouse=True)
def nothing_opened():
    runs._openings.clear()


def poem_controls(form="五绝", title="", author="", heads="", temperature=1, top_p=1, seed=0, **rules):
    conditions = {"form": form, "title": title, "author": author, "heads": heads}
    return {**conditions, "temperature": temperature, "top_p": top_p, "seed": seed, **rules}


def body_of(stage):
    return text_of(stage)


# --- Tang poems -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "heads", "temperature"),
    [("五绝", "春夏秋冬", 5), ("七绝", "花", 0), ("五律", "", 5), ("七律", "春风花月山水天人", 0)],
)
def test_a_poem_follows_its_form_and_its_heads(form, heads, temperature):
    values = poem_controls(form, "春夜", "李白", heads, temperature, seed=3)
    stage = last(poems.write(**values))["stage"]
    assert follows_form(body_of(stage), form, heads)
    assert [i for i, t in enumerate(tokens_of(stage)) if t["kind"] == "given"] == [
        i * (gm.tokens.FORMS[form][1] + 1) for i in range(len(heads))
    ]
    for token in tokens_of(stage):
        symbol, alternatives = token["symbol"], {other["symbol"] for other in token["alternatives"]}
        assert symbol in alternatives or len(alternatives) == 10
        assert alternatives == {symbol} if symbol in "，。" else not alternatives & set("，。□\n|")


def test_another_character_rewrites_the_rest_of_the_poem():
    first = last(poems.write(**poem_controls(heads="春夏秋冬")))["stage"]
    prefix = body_of(first)[:8] + "天"
    output = last(poems.continue_poem(event(text=prefix, keep=9, request=first["request"]), temperature=1, top_p=1, seed=5))
    stage = output["stage"]
    assert stage["keep"] == 9 and stage["request"] == first["request"]
    assert follows_form(prefix + body_of(stage), "五绝", "春夏秋冬")
    assert f"prefix={prefix!r}" in output["lines"]
    assert [9 + i for i, token in enumerate(tokens_of(stage)) if token["kind"] == "given"] == [12, 18]  # of the whole poem


@pytest.mark.parametrize("heads", ["", "春夏秋冬"])
def test_the_view_marks_rhymes_and_tones_as_the_model_does(heads):
    stage = last(poems.write(**poem_controls(heads=heads, tones=True, seed=1)))["stage"]
    body, verse = body_of(stage), stage["verse"]
    tokens = list(gm.load(texts.TANG).poem_steps("五绝", heads=heads, tones=True, seed=1, alternatives=0))
    assert body == "".join(token.text for token in tokens)
    assert [i for i, mark in enumerate(verse["rhyming"]) if mark == "韵"] == [i for i, t in enumerate(tokens) if t.rhyme]
    assert {verse["rhyme"]} == {token.rhyme for token in tokens} - {""}
    assert [tone.strip() for tone in verse["tones"]] == ["中" if t.tone == "平仄" else t.tone for t in tokens]
    assert verse["pattern"] in gm.rhyme.tone_patterns("五绝")
    broken = gm.rhyme.tone_violations(body, verse["pattern"])
    assert all(verse["pattern"][i] + verse["tones"][i] in ("平仄", "仄平") for i in broken)
    assert set(broken) <= {0, 6, 12, 18} if heads else not broken  # the heads are the visitor's


def test_rules_that_are_switched_off_are_not_kept():
    bodies = {
        (rhyme, tones): [
            body_of(last(poems.write(**poem_controls(seed=s, rhyme=rhyme, tones=tones)))["stage"]) for s in range(4)
        ]
        for rhyme in (False, True)
        for tones in (False, True)
    }
    for (rhyme, tones), found in bodies.items():
        broken = [len(gm.rhyme.tone_violations(body, gm.rhyme.closest_pattern("五绝", body))) for body in found]
        assert all(poems.rhyme_of("五绝", body) for body in found) == rhyme and (sum(broken) == 0) == tones


def test_marks_of_a_beginning_cover_it_and_one_line_does_not_rhyme_yet():
    body = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
    marks = {n: poems.verse_marks("五绝", body[:n]) for n in (0, 5, 11, 23, 24)}
    assert all(len(verse[key]) == n for n, verse in marks.items() for key in ("tones", "pattern", "rhyming"))
    assert [verse["rhyme"] for verse in marks.values()] == ["", "", "", "尤", "尤"]
    assert marks[11]["pinyin"] == "bái rì yī shān jǐn  huáng hé rù hǎi liú"
    assert marks[24]["tones"][:5] == "仄仄平平仄" and marks[24]["rhyming"].split("韵") == [" " * 10, " " * 11, " "]


def test_a_poem_is_continued_by_the_rules_of_the_moment():
    first = last(poems.write(**poem_controls("七绝", seed=2, temperature=0.8)))["stage"]
    prefix, rules = body_of(first)[:16], {"rhyme": True, "tones": True}
    output = last(poems.continue_poem(event(text=prefix, keep=16, request=first["request"]), temperature=0.8, seed=3, **rules))
    body = prefix + body_of(output["stage"])
    assert "tones=True" in output["lines"] and "rhyme=" not in output["lines"]
    assert output["stage"]["verse"] == poems.verse_marks("七绝", body) and poems.rhyme_of("七绝", body)
    assert not [i for i in gm.rhyme.tone_violations(body, output["stage"]["verse"]["pattern"]) if i >= 16]


def test_rules_are_in_the_link_and_refuse_what_is_no_switch():
    poem = poems.Poem.read(rhyme=False, tones=True)
    assert poems.Poem.parse(poem.query()) == poem and poem.query() == "rhyme=false&tones=true"
    assert "Rhyme must be true or false" in refusal(poems.write, **poem_controls(rhyme=1))
    assert "Tone pattern must be true or false" in refusal(poems.write, **poem_controls(tones="yes"))


def test_the_measured_rhymes_are_those_of_the_file(own_checkpoints):
    file = own_checkpoints / texts.TANG / "rhymes.json"
    results = json.loads(file.read_text(encoding="utf-8"))
    for form, found in results["forms"].items():
        assert all(f"{100 * values['rhyme today']:.1f}" in gm.cards.rhyme_shares() for values in found.values())
        assert form in gm.cards.rhyme_shares() and found["rhyme"]["rhyme by the books"] == 1
    assert "of 500 poems" in gm.cards.rhyme_shares() and "from 0 on" in gm.cards.rhyme_shares()
    file.write_text("{}", encoding="utf-8")
    assert gm.cards.rhyme_shares() == gm.cards.ABSENT


def test_bad_orders_for_poems_get_a_sentence():
    for values, says in (
        (("六绝",), "Form must be one of"),
        (("五绝", "", "", "ab"), "heads"),
        (("五绝", "", "", "春" * 5), "heads"),
        (("五绝", "", "", "春" * 9), "First characters of the lines must be"),
        (("五绝", "a|b"), "title"),
        (("五绝", "春" * 41), "Title must be a text of at most 40 characters"),
        (("五绝", "", "李" * 11), "In the manner of must be a text of at most 10"),
        (("五绝", ["x"]), "Title must be"),
        (("五绝", HOSTILE, "", "春<b>"), "heads"),
    ):
        message = refusal(poems.write, **poem_controls(*values))
        assert says in message and "<" not in message
    good = {"form": "五绝", "title": "", "author": "", "heads": ""}
    for text in ("abc", "春风花月山，", "春" * 30, "，", "春风花月，"):
        request = {"text": text, "keep": 1, "request": good}
        assert follows_form_or_fails(request)
    for conditions in (None, {"form": "五绝"}):
        assert "There is no poem" in refusal(poems.continue_poem, event(text="", keep=1, request=conditions))


def follows_form_or_fails(request):
    try:
        stage = last(poems.continue_poem(event(**request), temperature=1))["stage"]
    except ValueError as e:
        return is_sentence(str(e))
    return follows_form(request["text"] + body_of(stage), request["request"]["form"])


# --- Reproduce in Python ----------------------------------------------------------------------------------------------


def test_the_lines_reproduce_the_poem(tmp_path, monkeypatch):
    output = last(poems.write(**poem_controls("七绝", "春'夜", "李白", "春", 0.8, 0.9, 2)))
    body = body_of(output["stage"])
    assert run_program(output["lines"], tmp_path, monkeypatch)["poem"] == body
    assert "rhyme" not in output["lines"] and "tones" not in output["lines"]  # the method's own defaults
    request = {"text": body[:5], "keep": 5, "request": output["stage"]["request"]}
    output = last(poems.continue_poem(event(**request), temperature=1, top_p=1, seed=2, rhyme=False, tones=True))
    assert "rhyme=False, tones=True" in output["lines"]
    assert run_program(output["lines"], tmp_path, monkeypatch)["poem"] == body[:5] + body_of(output["stage"])


COPIED = tab.MODELS  # by `own_checkpoints`
