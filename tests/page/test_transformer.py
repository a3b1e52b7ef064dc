"""The Transformer tab: handlers as plain functions, endpoints through gradio_client, error messages."""

import base64
import concurrent.futures
import json
import math
import re
import shutil
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from helpers import (
    anything,
    api_refusal,
    as_endpoint,
    assert_described,
    event,
    is_sentence,
    last,
    nearly,
    refusal,
    result_of,
    run_program,
    sheet_of,
    stroke,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import endpoints, events, programs, sources
from tabs import transformer as tab
from tabs.transformer import inspection, pixels, poems, runs, surprisal, texts, writing

HOSTILE = "<img src=x onerror=alert(1)>${alert(1)}"


@pytest.fixture(autouse=True)
def nothing_opened():
    runs._openings.clear()


def controls(length=30, temperature=0.8, top_k=0, top_p=1, min_p=0, seed=0):
    """Values of the sliders of the first part."""
    values = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    return {"max_new_tokens": length, **values}


def poem_controls(form="五绝", title="", author="", heads="", temperature=1, top_p=1, seed=0, **rules):
    conditions = {"form": form, "title": title, "author": author, "heads": heads}
    return {**conditions, "temperature": temperature, "top_p": top_p, "seed": seed, **rules}


def test_the_bits_of_all_generated_pixels_are_shown_at_the_end():
    *running, ended = pixels.complete(sources.test_picture("mnist", 2), **picture_controls(26, n=2))
    assert not any("bits per pixel" in output["stage"]["label"] for output in running)
    options = pixels.Completions(**picture_controls(26, n=2))
    *_, step = pixels.sample(sources.test_picture("mnist", 2), options)[0]
    bits = -step.probability[:, 26:].log2().mean().item()
    assert f"All generated rows: {bits:.3f} bits per pixel" in ended["stage"]["label"]


def picture_controls(rows, n=1, label="any", temperature=1, seed=0):
    return {"rows": rows, "n": n, "label": label, "temperature": temperature, "seed": seed}


def tokens_of(stage):
    return [json.loads(line) for line in stage["tokens"].splitlines()]


def text_of(stage, kinds=("", "given", "yours")):
    return "".join(t["symbol"] for t in tokens_of(stage) if t["kind"] in kinds)


def pictures_of(film, frame=-1):
    """(pictures, surprisal) of a frame, each (n, 28, 28, 3), padding included."""
    frame = sheet_of(film).reshape(-1, film["per"], film["h"], film["w"], 3)[frame]
    rows = frame.reshape(-1, 2, film["across"], film["h"], film["w"], 3)
    return rows[:, 0].reshape(-1, *frame.shape[1:]), rows[:, 1].reshape(-1, *frame.shape[1:])


# --- Shakespeare ------------------------------------------------------------------------------------------------------


def test_the_text_streams_token_by_token_and_only_grows(monkeypatch):
    monkeypatch.setattr(gm.tokens, "batches", lambda steps: ([step] for step in steps))
    stages = [output["stage"] for output in writing.write("ROMEO:", **controls(5))]
    assert [len(tokens_of(stage)) for stage in stages] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11]
    assert all(after["tokens"].startswith(before["tokens"]) for before, after in zip(stages, stages[1:]))
    assert [stage["live"] for stage in stages] == [True] * 11 + [False]
    assert "per second" in stages[-1]["stats"]
    assert text_of(stages[-1], [""]) == gm.load(texts.SHAKESPEARE).generate("ROMEO:", max_new_tokens=5, temperature=0.8, seed=0)


def test_tokens_carry_the_models_probabilities():
    stage = last(writing.write("ROMEO:", **controls(4, seed=3)))["stage"]
    model, prompt = gm.load(texts.SHAKESPEARE), "ROMEO:"
    score = model.score("ROMEO:")
    assert [t["kind"] for t in tokens_of(stage)] == ["given"] * 6 + [""] * 4
    assert [t["p"] for t in tokens_of(stage)[:6]] == pytest.approx(score.log_probs.exp().tolist(), abs=1e-4)
    for token in tokens_of(stage)[6:]:
        log_p = model.next_logits(model.tokenizer.encode(prompt))[0].log_softmax(-1)
        assert token["p"] == pytest.approx(log_p[model.tokenizer.token_id[token["symbol"]]].exp().item(), abs=1e-4)
        assert token["entropy"] == pytest.approx(-(log_p.exp() * log_p).sum().item(), abs=1e-2)
        top = log_p.exp().topk(10)  # cut-offs do not apply; of nearly equal tokens either may come first
        listed = [log_p[model.tokenizer.token_id[a["symbol"]]].exp().item() for a in token["alternatives"]]
        assert [a["p"] for a in token["alternatives"]] == pytest.approx(listed, abs=1e-4)
        assert listed == pytest.approx(top.values.tolist(), abs=1e-4)
        prompt += token["symbol"]


def test_choosing_an_alternative_and_continuing():
    model = gm.load(texts.SHAKESPEARE)
    for data in (event(text="ROMEO:\nWhaX", keep=11), event(text="ROMEO:\nWhat", keep=11, request=None)):
        request = runs.read_request(data)
        output = last(writing.continue_text(data, **controls(12, seed=4)))
        stage = output["stage"]
        assert stage["keep"] == 11
        assert text_of(stage) == model.generate(request["text"], max_new_tokens=12, temperature=0.8, seed=4)
        assert repr(request["text"]) in output["lines"]


def test_an_empty_prompt_is_a_new_line():
    for prompt in ("", "\x00\x07", "😀"):
        stage = last(writing.write(prompt, **controls(9)))["stage"]
        first = tokens_of(stage)[0]
        assert (first["symbol"], first["kind"]) == ("\n", "given")
        assert text_of(stage, [""]) == gm.load(texts.SHAKESPEARE).generate("", max_new_tokens=9, temperature=0.8, seed=0)


def test_a_very_long_prompt_is_read_to_its_end_and_shown_in_part():
    prompt = "What light? " * 8333  # 99,996 characters
    stage = last(writing.write(prompt, **controls(5)))["stage"]
    assert len(text_of(stage, ["given"])) == writing.SHOWN_PROMPT
    assert f"{writing.SHOWN_PROMPT:,}" in stage["notes"]
    assert text_of(stage, [""]) == gm.load(texts.SHAKESPEARE).generate(prompt, max_new_tokens=5, temperature=0.8, seed=0)


def test_unknown_characters_are_reported():
    stage = last(writing.write("Ro’me😀o\x07\u202e", **controls(2)))["stage"]
    assert text_of(stage, ["given"]) == "Ro'meo"
    assert "left out: 😀, U+0007, U+202E." in stage["notes"] and "’ became '" in stage["notes"]


def test_the_lines_of_a_stopped_text_reproduce_it(tmp_path, monkeypatch):
    monkeypatch.setattr(gm.tokens, "batches", lambda steps: ([step] for step in steps))
    run = writing.write("AB", **controls(500))
    for _ in range(2 + 7):  # the prompt, then 7
        next(run)
    output = run.throw(events.Stopped())
    assert not output["stage"]["live"] and len(tokens_of(output["stage"])) == 9
    assert run_program(output["lines"], tmp_path, monkeypatch)["text"] == text_of(output["stage"])


def test_a_run_of_a_visitor_who_left_is_closed(monkeypatch):
    closed, model = [], gm.load(texts.SHAKESPEARE)

    def generate_steps(*values, **options):
        try:
            yield from model.generate_steps(*values, **options)
        finally:
            closed.append(True)

    monkeypatch.setattr(
        writing.gm,
        "load",
        lambda name: type(
            "M",
            (),
            {"generate_steps": staticmethod(generate_steps), "read_steps": model.read_steps, "tokenizer": model.tokenizer},
        )(),
    )
    run = writing.write("A", **controls(500))
    for _ in range(4):
        next(run)
    run.close()
    assert closed


def test_bars_hold_all_raw_logits_and_the_cut_offs():
    model = gm.load(texts.SHAKESPEARE)
    options = {"temperature": 0.5, "top_k": 3, "top_p": 0.9, "min_p": 0.1}
    bars = inspection.inspect_position(event(text="ROMEO"), **options)["bars"]
    logits = model.next_logits(model.tokenizer.encode("ROMEO"))[0]
    shown_logits = dict(zip(json.loads(bars["symbols"]), map(float, bars["logits"].split())))
    assert len(shown_logits) == 65
    assert list(shown_logits.values()) == sorted(shown_logits.values(), reverse=True)
    assert [shown_logits[s] for s in model.tokenizer.symbols] == pytest.approx(logits.tolist(), rel=1e-3, abs=1e-4)
    assert (bars["options"], bars["context"]) == (options, "ROMEO")
    assert inspection.preview("ROMEO", **options) == {"bars": bars}


def test_the_attention_map_is_the_models():
    text = "But soft, what light through yonder window breaks? It is the east"
    value = inspection.inspect_position(event(text=text), temperature=1)["attention"]
    symbols, maps = gm.load(texts.SHAKESPEARE).attention(text)
    n = value["n"]
    values = np.frombuffer(base64.b64decode(value["maps"]), np.uint8).reshape(value["layers"], value["heads"], n, n)
    assert n == inspection.ATTENTION_TOKENS and json.loads(value["symbols"]) == symbols[-n:]
    assert np.abs(values / 255 - maps[:, :, -n:, -n:].numpy()).max() < 0.003
    assert not values[..., np.triu_indices(n, 1)[0], np.triu_indices(n, 1)[1]].any()


def test_surprisal_is_the_mean_of_the_score():
    view = surprisal.show("To be, or nöt")["surprisal"]
    score = gm.load(texts.SHAKESPEARE).score("To be, or nöt")
    bits = -score.log_probs.mean().item() / math.log(2)
    shown_bits, perplexity = re.fullmatch(r"([\d.]+) bits per character · perplexity ([\d.]+)", view["stats"]).groups()
    assert (float(shown_bits), float(perplexity)) == pytest.approx((bits, 2**bits), abs=0.11)
    assert float(shown_bits) == pytest.approx(bits, abs=0.011)
    assert [t["p"] for t in tokens_of(view)] == pytest.approx(score.log_probs.exp().tolist(), abs=1e-4)
    assert "ö became o" in view["notes"]


# --- Tang poems -------------------------------------------------------------------------------------------------------


def body_of(stage):
    return text_of(stage)


def follows_form(body, form, heads=""):
    lines, length = gm.tokens.FORMS[form]
    parts = re.findall(r"([\u4e00-\u9fff]+)([，。])", body)
    return (
        "".join(map("".join, parts)) == body
        and [len(line) for line, _ in parts] == [length] * lines
        and [mark for _, mark in parts] == ["，", "。"] * (lines // 2)
        and all(line[0] == head for (line, _), head in zip(parts, heads))
    )


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
            body_of(last(poems.write(**poem_controls(seed=s, rhyme=rhyme, tones=tones)))["stage"]) for s in range(2)
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


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_rows_are_generated_one_after_another_and_the_given_ones_stay():
    source = sources.test_picture("mnist", 4)  # it continues below row 22, then all is black
    films = [output["stage"] for output in pixels.complete(source, **picture_controls(22, 3, seed=2))]
    assert [json.loads(f["facts"])["numbers"] for f in films] == [[row] for row in range(22, 29)] + [list(range(22, 29))]
    assert [f["live"] for f in films] == [True] * 7 + [False]
    *_, final = gm.load(pixels.PIXELS).complete_steps(source["x"], rows=22, n=3, seed=2)
    pictures, heatmap = pictures_of(films[-1])
    expected = (255 * final.x[:, 0]).round().numpy()
    assert np.abs(pictures[:3, ..., 2] - expected).max() <= 1  # blue shows the picture as it is
    assert (pictures[:3, 22:, :, 0] == pictures[:3, 22:, :, 2]).all()
    assert (pictures[:3, :22, :, 0] <= 128).all()  # given rows are blue
    bits = -final.probability[:, 22:].log2().numpy().ravel()
    lightness = heatmap[:3, 22:].astype(int).sum(-1).ravel()
    assert lightness[bits.argmax()] > lightness[bits.argmin()]
    assert (np.diff(lightness[np.argsort(bits)]) >= -3).all()  # lightness grows with surprisal
    curve = json.loads(films[-1]["facts"])["lines"][0]["points"]
    assert [point["y"] for point in curve] == pytest.approx((-final.probability[:, 22:].log2().mean((0, 2))).tolist(), abs=2e-3)


def test_rows_not_yet_generated_are_grey():
    first = next(pixels.complete(sources.test_picture("mnist", 4), **picture_controls(20, 2)))["stage"]
    pictures, _ = pictures_of(first)
    assert (pictures[:, 20:] == pictures[0, 27, 0]).all() and 40 < pictures[0, 27, 0].mean() < 90


def test_a_new_picture_needs_no_source_and_each_means_one_class_after_another(monkeypatch):
    arguments = {}

    class Model:
        def complete_steps(self, x, **options):
            arguments.update(x=x, **options)
            yield gm.pixel_transformer.Completion(torch.zeros(6, 1, 28, 28), torch.ones(6, 28, 28), 28)

    monkeypatch.setattr(pixels.gm, "load", lambda name: Model())
    output = last(pixels.complete(None, **picture_controls(0, 6, "each", 0.5, 1)))
    assert "model.complete_steps(n=6, label=[0, 1, 2, 3, 4, 5], temperature=0.5, seed=1)" in output["lines"]
    assert arguments == {"x": None, "rows": 0, "n": 6, "label": [0, 1, 2, 3, 4, 5], "temperature": 0.5, "seed": 1}
    assert "reference" not in output["stage"] and output["stage"]["across"] == 3


def test_a_stopped_picture_can_be_scrubbed():
    run = pixels.complete(sources.test_picture("mnist", 2), **picture_controls(20))
    for _ in range(3):
        next(run)
    output = run.throw(events.Stopped())
    assert json.loads(output["stage"]["facts"])["numbers"] == [20, 21, 22] and not output["stage"]["live"]
    assert output["lines"] == programs.STOPPED and "reference" in output["stage"]


# --- Reproduce in Python ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "values"),
    [("ROMEO:\n", controls()), ("", controls(20, 0)), ("'\"\\😀\n", controls(8, 1.2, 5, 0.9, 0.1, 9)), ("A", controls(200))],
)
def test_the_lines_reproduce_the_text(prompt, values, tmp_path, monkeypatch, capsys):
    output = last(writing.write(prompt, **values))
    assert run_program(output["lines"], tmp_path, monkeypatch)["text"] == text_of(output["stage"])
    assert text_of(output["stage"]) in capsys.readouterr().out


def test_the_lines_reproduce_the_poem(tmp_path, monkeypatch):
    output = last(poems.write(**poem_controls("七绝", "春'夜", "李白", "春", 0.8, 0.9, 2)))
    body = body_of(output["stage"])
    assert run_program(output["lines"], tmp_path, monkeypatch)["poem"] == body
    assert "rhyme" not in output["lines"] and "tones" not in output["lines"]  # the method's own defaults
    request = {"text": body[:5], "keep": 5, "request": output["stage"]["request"]}
    output = last(poems.continue_poem(event(**request), temperature=1, top_p=1, seed=2, rhyme=False, tones=True))
    assert "rhyme=False, tones=True" in output["lines"]
    assert run_program(output["lines"], tmp_path, monkeypatch)["poem"] == body[:5] + body_of(output["stage"])


def test_the_lines_reproduce_the_surprisal(tmp_path, monkeypatch):
    output = surprisal.show("What’s\nthis?")
    bits = run_program(output["surprisal_lines"], tmp_path, monkeypatch)["bits"]
    assert float(output["surprisal"]["stats"].split()[0]) == pytest.approx(float(bits), abs=0.011)


@pytest.mark.parametrize(
    ("source", "values"),
    [
        (lambda: sources.test_picture("mnist", 3), picture_controls(26, 2, "7", 0.9, 5)),
        (lambda: sources.drawing("mnist", stroke()), picture_controls(26, 2, "each")),
        (lambda: sources.drawing("mnist", stroke()), picture_controls(27)),
    ],
)
def test_the_lines_reproduce_the_pictures(source, values, tmp_path, monkeypatch):
    output = last(pixels.complete(source(), **values))
    x = run_program(output["lines"], tmp_path, monkeypatch)["x"]
    pictures, _ = pictures_of(output["stage"])
    assert np.abs(pictures[: len(x), ..., 2] - (255 * x[:, 0]).round().numpy()).max() <= 1
    assert (tmp_path / "picture.png").is_file()


def test_the_snippet_of_the_explanation_is_the_formula():
    text = Path(tab.__file__).with_name("about.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.S)
    variables = {}
    exec(snippet, variables)
    P = variables["sinusoidal"](50, 12)
    expected = [[(math.sin, math.cos)[j % 2](t / 10000 ** (2 * (j // 2) / 12)) for j in range(12)] for t in range(50)]
    assert P.shape == (50, 12) and np.abs(P.numpy() - np.array(expected)).max() < 1e-5
    assert "{measured}" in text


# --- Openings and missing models --------------------------------------------------------------------------


parts = pytest.mark.parametrize(
    ("begin", "name"),
    [(writing.open_text, texts.SHAKESPEARE), (poems.open_poem, texts.TANG), (pixels.open_pixels, pixels.PIXELS)],
)


@parts
def test_the_second_visitor_gets_the_opening_of_the_first(begin, name):
    first = list(begin())
    assert len(first) > 1
    (second,) = begin()
    assert not second["stage"]["live"] and second["lines"] == first[-1]["lines"]
    ended = first[-1]["stage"]
    assert {k: v for k, v in second["stage"].items() if k != "stats"} == {k: v for k, v in ended.items() if k != "stats"}
    assert second["stage"].get("stats") == (ended["stats"].rpartition(",")[0] if "stats" in ended else None)
    assert "per second" not in second["stage"].get("stats", "")


@pytest.mark.parametrize("begin", [writing.open_text, pixels.open_pixels])
def test_a_stopped_opening_is_not_kept(begin):
    run = begin()
    next(run)
    assert run.throw(events.Stopped())["stage"]["live"] is False
    assert next(begin())["stage"]["live"]


@pytest.fixture
def own_checkpoints(checkpoints, tmp_path, monkeypatch):
    """A folder with copies of the checkpoints that a test may damage."""
    for name in tab.MODELS:
        shutil.copytree(checkpoints / name, tmp_path / name)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("damage", ["no folder", "truncated"])
@parts
def test_one_missing_model_leaves_the_others(own_checkpoints, begin, name, damage):
    folder = own_checkpoints / name
    if damage == "no folder":
        shutil.rmtree(folder)
    else:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    stage = last(begin())["stage"]
    assert is_sentence(stage["message"]) and name in stage["message"] and str(own_checkpoints) not in stage["message"]
    other = poems.open_poem if begin == writing.open_text else writing.open_text
    assert "tokens" in next(other())["stage"]
    assert len(tab.prepare()) == (2 if damage == "no folder" else 3)


def test_the_poster_is_the_trainings_first_sample(own_checkpoints):
    samples = own_checkpoints / texts.SHAKESPEARE / "samples.txt"
    samples.write_text("--- seed 0\n\nROMEO:\nWhat light" + "x" * 999, encoding="utf-8")
    assert writing.poster().startswith("ROMEO:\nWhat light") and len(writing.poster()) <= 400
    samples.unlink()
    assert writing.poster() == ""


# --- Bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "values", "says"),
    [
        ("A" * 100_001, {}, "Prompt must be a text of at most 100,000 characters"),
        (None, {}, "Prompt must be"),
        (["A"], {}, "Prompt must be"),
        ("A", {"max_new_tokens": texts.MAX_NEW_TOKENS + 1}, "Length must be a whole number from 1 to 1000"),
        ("A", {"max_new_tokens": 0}, "Length must be"),
        ("A", {"max_new_tokens": None}, "Length must be"),
        ("A", {"temperature": math.nan}, "Temperature must be a number from 0 to 5"),
        ("A", {"temperature": -1}, "Temperature must be"),
        ("A", {"top_k": 2.5}, "Top-k must be"),
        ("A", {"top_p": 1.1}, "Top-p must be"),
        ("A", {"min_p": "x"}, "Min-p must be"),
        ("A", {"seed": -1}, "Seed must be"),
        ("A", {"seed": None}, "Seed must be"),
        ("A", {"seed": math.inf}, "Seed must be"),
    ],
)
def test_bad_values_get_a_sentence(prompt, values, says):
    assert says in refusal(writing.write, prompt, **values)


def test_bad_requests_get_a_sentence():
    for handler, value, says in (
        (runs.read_request, event(text="A" * (texts.MAX_TEXT + 1), keep=1), "begin a new one"),
        (runs.read_request, event(text=None), "Text must be"),
        (runs.read_request, event(text="a", keep=0.5), "keep"),
        (runs.read_request, gr.EventData(None, None), "Text must be"),
        (inspection.inspect_position, event(text=5), "Text must be"),
        (surprisal.show, "", "Type"),
        (surprisal.show, "😀", "nothing"),
        (surprisal.show, "a" * (surprisal.MAX_LIVE_TEXT + 1), "Text must be"),
        (surprisal.show, None, "Text must be"),
        (pixels.PICTURES.choose_test_picture, event(index=99), "index"),
        (pixels.PICTURES.choose_drawing, np.zeros((28, 28), np.uint8), "empty"),
    ):
        assert says in refusal(handler, value)
    assert "Temperature must be" in refusal(inspection.inspect_position, event(text="a"), temperature=math.nan)
    assert "Text must be" in refusal(writing.continue_text, gr.EventData(None, None))
    for values, says in (
        (picture_controls(28), "Given rows must be a whole number from 0 to 27"),
        (picture_controls(14, 9), "Completions must be"),
        (picture_controls(14, label="ten"), "Class must be one of any, 0"),
        (picture_controls(14, temperature=3), "Temperature must be"),
        (picture_controls(14, seed=2**40), "Seed must be"),
    ):
        assert says in refusal(pixels.complete, sources.test_picture("mnist", 0), **values)
    assert "Choose a picture" in refusal(pixels.complete, None, **picture_controls(14))


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_described(client):
    for prefix in ("text_", "pixels_"):
        assert_described(client, prefix, [fn for fn in tab.ENDPOINTS if fn.__name__.startswith(prefix)])


def test_endpoints_return_what_the_models_return(client):
    model = gm.load(texts.SHAKESPEARE)
    job = client.submit(prompt="ROMEO:", max_new_tokens=60, seed=2, api_name="/text_generate")
    text = job.result(timeout=300)
    assert text == model.generate("ROMEO:", max_new_tokens=60, temperature=0.8, seed=2)
    parts = job.outputs()
    assert len(parts) > 2 and all(text.startswith(part) for part in parts)  # it streams
    result = client.predict(text="What is’t?", prompt="ROMEO:", api_name="/text_score")
    score = model.score("What is’t?", "ROMEO:")
    assert [s for s, _ in result["tokens"]] == score.symbols and result["unknown"] == ["’"]
    assert [p for _, p in result["tokens"]] == pytest.approx(score.log_probs.tolist(), abs=1e-3)
    assert result["perplexity"] == pytest.approx(math.exp(-score.log_probs.mean().item()), rel=1e-3)
    result = client.predict(prompt="ROMEO", temperature=0.5, top_k=3, n=5, api_name="/text_next")
    logits = model.next_logits(model.tokenizer.encode("ROMEO"))[0]
    first = [model.tokenizer.token_id[t["token"]] for t in result["tokens"]]
    assert logits[first].tolist() == pytest.approx(logits.topk(5).values.tolist(), abs=1e-3)
    sampling_p = gm.transformer.warp_logits(logits, 0.5, 3)[first].tolist()
    assert [t["drawn"] for t in result["tokens"]] == pytest.approx(sampling_p, abs=1e-4) and sampling_p[3:] == [0, 0]
    result = client.predict(form="五绝", heads="春夏秋冬", seed=4, api_name="/text_poem")
    assert follows_form(result["poem"], "五绝", "春夏秋冬") and [line[0] for line in result["lines"]] == list("春夏秋冬")
    assert all(result["rhyme"] in gm.rhyme.rhymes()[line[-1]] for line in result["lines"][1::2])
    free = client.predict(form="五绝", seed=4, rhyme=False, tones=True, api_name="/text_poem")
    options = {"rhyme": False, "tones": True, "temperature": 0.8, "seed": 4, "alternatives": 0}
    assert free["poem"] == "".join(token.text for token in gm.load(texts.TANG).poem_steps("五绝", **options))
    assert free["rhyme"] == poems.rhyme_of("五绝", free["poem"])
    facts, file = client.predict(rows=26, n=2, seed=1, api_name="/pixels_complete")
    *_, final = gm.load(pixels.PIXELS).complete_steps(gm.data.samples("mnist").floats()[2:3], rows=26, n=2, seed=1)
    assert np.abs(np.asarray(Image.open(file)).astype(int) - np.asarray(gm.pictures.grid(final.x, 2, scale=4))).max() <= 1
    assert facts["bits"] == pytest.approx(-final.probability[:, 26:].log2().sum((1, 2)), rel=1e-3)


BAD = [
    ("/text_generate", {"prompt": "A" * 100_001}),
    ("/text_generate", {"prompt": None}),
    ("/text_generate", {"max_new_tokens": 1001}),
    ("/text_generate", {"temperature": "hot"}),
    ("/text_generate", {"model": "../x"}),
    ("/text_generate", {"top_k": 10**9}),
    ("/text_generate", {"model": texts.TANG, "prompt": HOSTILE}),
    ("/text_score", {"text": ""}),
    ("/text_score", {"text": "\x00"}),
    ("/text_score", {"text": "A" * 10_001}),
    ("/text_next", {"n": 0}),
    ("/text_next", {"top_p": 2}),
    ("/text_poem", {"form": HOSTILE}),
    ("/text_poem", {"heads": HOSTILE[:4]}),
    ("/text_poem", {"heads": "春" * 9}),
    ("/text_poem", {"title": "春" * 41}),
    ("/text_poem", {"rhyme": "yes"}),
    ("/text_poem", {"tones": 1}),
    ("/pixels_complete", {"rows": 28}),
    ("/pixels_complete", {"n": 9}),
    ("/pixels_complete", {"picture": 5}),
    ("/pixels_complete", {"label": "11"}),
    ("/pixels_complete", {"test_picture_number": 999}),
]


def test_bad_input_gets_a_sentence_and_the_server_goes_on(page_url, client):
    for name, values in BAD:
        assert api_refusal(page_url, name, values)
    assert len(client.predict(prompt="\x00\ud7ff😀", max_new_tokens=3, api_name="/text_generate")) == 3
    assert len(client.predict(prompt="A" * 100_000, max_new_tokens=2, api_name="/text_generate")) == 2


words = st.one_of(st.text(max_size=30), st.sampled_from(["", "ROMEO:", "七绝|||", "七绝|春|李白|花", HOSTILE]), anything)
names = st.one_of(st.sampled_from(texts.MODELS), anything)


WARPING = {"top_k": nearly(0, 30), "top_p": nearly(0, 1), "min_p": nearly(0, 1)}
PROPERTIES = {
    writing.text_generate: {
        "prompt": words,
        "max_new_tokens": nearly(1, 5),
        "temperature": nearly(0, 5),
        **WARPING,
        "seed": nearly(0, 9),
        "model": names,
    },
    surprisal.text_score: {"text": words, "prompt": words, "model": names},
    inspection.text_next: {"prompt": words, "temperature": nearly(0, 5), **WARPING, "n": nearly(1, 9), "model": names},
    poems.text_poem: {
        "form": st.one_of(st.sampled_from(list(poems.FORMS)), anything),
        "title": words,
        "author": words,
        "heads": st.one_of(st.sampled_from(["", "春", "春夏秋冬"]), words),
        "temperature": nearly(0, 5),
        "top_p": nearly(0, 1),
        "seed": nearly(0, 9),
        "rhyme": st.one_of(st.booleans(), anything),
        "tones": st.one_of(st.booleans(), anything),
    },
    pixels.pixels_complete: {
        "picture": st.one_of(st.none(), anything),
        "test_picture_number": nearly(0, 199),
        "rows": nearly(26, 27),
        "n": nearly(1, 2),
        "label": st.one_of(st.sampled_from(["any", "each", "7"]), anything),
        "temperature": nearly(0, 2),
        "seed": nearly(0, 9),
    },
}


@pytest.mark.parametrize("fn", tab.ENDPOINTS)
def test_any_input_gives_an_answer_or_a_sentence(fn):
    run = as_endpoint(fn)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(PROPERTIES[fn]))
    def check(values):
        result = result_of(run, **values)
        if isinstance(result, dict):
            json.dumps(result, allow_nan=False)

    check()


@settings(max_examples=50, deadline=None)
@given(st.one_of(anything, st.fixed_dictionaries({"text": words, "keep": nearly(1, 9), "request": anything})))
def test_views_may_send_anything(sent):
    for handler in (runs.read_request, inspection.inspect_position):
        result_of(events.guarded(handler), event=gr.EventData(None, sent))


def test_visitors_do_not_disturb_each_other():
    """Four at once, twice, each with their own seed: everyone gets their own text."""

    def written(seed):
        steps = endpoints._stepwise(writing.write)(prompt="ROMEO:", **controls(12, seed=seed))
        return last(steps)["stage"]["tokens"]

    alone = [written(seed) for seed in range(4)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(written, list(range(4)) * 2)) == alone * 2
    assert len(set(alone)) == 4


def test_a_tab_without_any_checkpoint_stays_hidden_unless_all_are_missing(tmp_path, monkeypatch):
    import app

    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    assert app.has_checkpoint("transformer")
    (tmp_path / "vae-mnist").mkdir()
    (tmp_path / "vae-mnist" / "config.json").write_text("{}", encoding="utf-8")
    assert app.has_checkpoint("vae") and not app.has_checkpoint("transformer")
    (tmp_path / "transformer-tang").mkdir()
    assert app.has_checkpoint("transformer")
