"""The Transformer tab: texts as plain functions of the handlers, openings, missing models."""

import base64
import concurrent.futures
import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import (
    event,
    is_sentence,
    last,
    run_program,
)
from helpers_transformer_tab import text_of, tokens_of

import genmodels as gm
from tabs import endpoints, events
from tabs import transformer as tab
from tabs.transformer import inspection, pixels, poems, runs, surprisal, texts, writing


@pytest.fixture(autouse=True)
def nothing_opened():
    runs._openings.clear()


def controls(length=30, temperature=0.8, top_k=0, top_p=1, min_p=0, seed=0):
    """Values of the sliders of the first part."""
    values = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p, "seed": seed}
    return {"max_new_tokens": length, **values}


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


# --- Reproduce in Python ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "values"),
    [("ROMEO:\n", controls()), ("", controls(20, 0)), ("'\"\\😀\n", controls(8, 1.2, 5, 0.9, 0.1, 9)), ("A", controls(200))],
)
def test_the_lines_reproduce_the_text(prompt, values, tmp_path, monkeypatch, capsys):
    output = last(writing.write(prompt, **values))
    assert run_program(output["lines"], tmp_path, monkeypatch)["text"] == text_of(output["stage"])
    assert text_of(output["stage"]) in capsys.readouterr().out


def test_the_lines_reproduce_the_surprisal(tmp_path, monkeypatch):
    output = surprisal.show("What’s\nthis?")
    bits = run_program(output["surprisal_lines"], tmp_path, monkeypatch)["bits"]
    assert float(output["surprisal"]["stats"].split()[0]) == pytest.approx(float(bits), abs=0.011)


def test_the_snippet_of_the_explanation_is_the_formula():
    text = Path(tab.__file__).with_name("about.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.S)
    variables = {}
    exec(snippet, variables)
    P = variables["sinusoidal"](50, 12)
    expected = [[(math.sin, math.cos)[j % 2](t / 10000 ** (2 * (j // 2) / 12)) for j in range(12)] for t in range(50)]
    assert P.shape == (50, 12) and np.abs(P.numpy() - np.array(expected)).max() < 1e-5
    assert "{measured}" in text


parts = pytest.mark.parametrize(
    ("begin", "name"),
    [(writing.open_text, texts.SHAKESPEARE), (poems.open_poem, texts.TANG), (pixels.open_pixels, pixels.PIXELS)],
)


# --- Openings and missing models --------------------------------------------------------------------------------------


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


COPIED = tab.MODELS  # by `own_checkpoints`


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


# --- Endpoints --------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("show", [surprisal.example, writing.opening_prompt, writing.choose_text])
def test_a_text_that_nobody_trained_on_is_refused_in_a_sentence(show):
    with pytest.raises(ValueError, match="^Text must be one of .*, not 'nonsense'") as error:
        show("nonsense")
    assert is_sentence(str(error.value))
