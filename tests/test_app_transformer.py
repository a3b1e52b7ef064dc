"""The Transformer tab: handlers as plain functions, endpoints through gradio_client, error messages."""

import base64
import concurrent.futures
import io
import json
import math
import re
import shutil
import time
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client
from gradio_client.exceptions import AppError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_app_diffusion import ended, is_sentence, said, stroke

import genmodels as gm
from tabs import transformer as tab
from tabs import wiring

ENDPOINTS = ("text_generate", "text_score", "text_next", "text_poem", "pixels_complete")
HOSTILE = "<img src=x onerror=alert(1)>${alert(1)}"


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    tab._opening_outputs.clear()
    return all_checkpoints


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def controls(length=30, temperature=0.8, top_k=0, top_p=1, min_p=0, seed=0):
    """Values of the sliders of the first part."""
    return length, temperature, top_k, top_p, min_p, seed


def event(**data):
    return gr.EventData(None, data)


def tokens_of(stage):
    return [json.loads(line) for line in stage["tokens"].splitlines()]


def text_of(stage, kinds=("", "given", "yours")):
    return "".join(t[0] for t in tokens_of(stage) if t[3] in kinds)


def run_lines(lines, folder, monkeypatch):
    monkeypatch.chdir(folder)
    variables = {}
    exec(compile(lines, "lines", "exec"), variables)
    return variables


def message_of(handler, *values):
    with pytest.raises(gr.Error) as error:
        wiring.guarded(handler)(*values)
    assert is_sentence(error.value.message)
    return error.value.message


def pictures_of(film, frame=-1):
    """(pictures, surprisal) of a frame, each (n, 28, 28, 3), padding included."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(film["source"].split(",")[1]))))
    cells = sheet.reshape(-1, film["h"], film["columns"], film["w"], 3).swapaxes(1, 2).reshape(-1, film["h"], film["w"], 3)
    frame = cells.reshape(-1, film["per"], film["h"], film["w"], 3)[frame]
    rows = frame.reshape(-1, 2, film["across"], film["h"], film["w"], 3)
    return rows[:, 0].reshape(-1, *frame.shape[1:]), rows[:, 1].reshape(-1, *frame.shape[1:])


# --- Shakespeare ------------------------------------------------------------------------------------------------------


def test_the_text_streams_token_by_token_and_only_grows(monkeypatch):
    monkeypatch.setattr(tab, "batches", lambda steps: ([step] for step in steps))
    stages = [stage for stage, _ in tab.write("ROMEO:", *controls(5))]
    assert [len(tokens_of(stage)) for stage in stages] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11]
    assert all(after["tokens"].startswith(before["tokens"]) for before, after in zip(stages, stages[1:]))
    assert [stage["live"] for stage in stages] == [True] * 11 + [False]
    assert "per second" in stages[-1]["stats"]
    assert text_of(stages[-1], [""]) == gm.load(tab.TEXT).generate("ROMEO:", max_new_tokens=5, temperature=0.8, seed=0)


def test_steps_are_batched_the_first_alone():
    def steps():
        for i in range(40):
            time.sleep(0.002)
            yield i

    batches = list(tab.batches(steps(), seconds=0.02))
    assert batches[0] == [0] and sum(batches, []) == list(range(40))
    assert 2 < len(batches) < 20


def test_tokens_carry_the_models_probabilities():
    stage, _ = ended(tab.write("ROMEO:", *controls(4, seed=3)))
    model, prompt = gm.load(tab.TEXT), "ROMEO:"
    score = model.score("ROMEO:")
    assert [t[3] for t in tokens_of(stage)] == ["given"] * 6 + [""] * 4
    assert [t[1] for t in tokens_of(stage)[:6]] == pytest.approx(score.log_probs.exp().tolist(), abs=1e-4)
    for symbol, p, entropy, _, alternatives in tokens_of(stage)[6:]:
        log_p = model.next_logits(model.tokenizer.encode(prompt))[0].log_softmax(-1)
        assert p == pytest.approx(log_p[model.tokenizer.token_id[symbol]].exp().item(), abs=1e-4)
        assert entropy == pytest.approx(-(log_p.exp() * log_p).sum().item(), abs=1e-2)
        top = log_p.exp().topk(10)
        assert [a[0] for a in alternatives] == [
            model.tokenizer.symbols[i] for i in top.indices.tolist()
        ]  # cut-offs do not apply
        assert [a[1] for a in alternatives] == pytest.approx(top.values.tolist(), abs=1e-4)
        prompt += symbol


def test_choosing_an_alternative_and_continuing():
    model = gm.load(tab.TEXT)
    for data in (event(text="ROMEO:\nWhaX", keep=11), event(text="ROMEO:\nWhat", keep=11, request=None)):
        request = tab.read_request(data)
        stage, lines = ended(tab.continue_text(request, *controls(12, seed=4)))
        assert stage["keep"] == 11
        assert text_of(stage) == model.generate(request["text"], max_new_tokens=12, temperature=0.8, seed=4)
        assert repr(request["text"]) in lines


def test_an_empty_prompt_is_a_new_line():
    for prompt in ("", "\x00\x07", "😀"):
        stage, _ = ended(tab.write(prompt, *controls(9)))
        assert tokens_of(stage)[0][:1] + tokens_of(stage)[0][3:4] == ["\n", "given"]
        assert text_of(stage, [""]) == gm.load(tab.TEXT).generate("", max_new_tokens=9, temperature=0.8, seed=0)


def test_a_very_long_prompt_is_read_to_its_end_and_shown_in_part():
    prompt = "What light? " * 8333  # 99,996 characters
    stage, _ = ended(tab.write(prompt, *controls(5)))
    assert len(text_of(stage, ["given"])) == tab.SHOWN_PROMPT
    assert f"{tab.SHOWN_PROMPT:,}" in stage["notes"]
    assert text_of(stage, [""]) == gm.load(tab.TEXT).generate(prompt, max_new_tokens=5, temperature=0.8, seed=0)


def test_unknown_characters_are_reported():
    stage, _ = ended(tab.write("Ro’me😀o\x07\u202e", *controls(2)))
    assert text_of(stage, ["given"]) == "Ro'meo"
    assert "left out: 😀, U+0007, U+202E." in stage["notes"] and "’ became '" in stage["notes"]


def test_the_lines_of_a_stopped_text_reproduce_it(tmp_path, monkeypatch):
    monkeypatch.setattr(tab, "batches", lambda steps: ([step] for step in steps))
    run = tab.write("AB", *controls(500))
    for _ in range(2 + 7):  # the prompt, then 7
        next(run)
    stage, lines = run.throw(wiring.Stopped())
    assert not stage["live"] and len(tokens_of(stage)) == 9
    assert run_lines(lines, tmp_path, monkeypatch)["text"] == text_of(stage)


def test_a_run_of_a_visitor_who_left_is_closed(monkeypatch):
    closed, model = [], gm.load(tab.TEXT)

    def generate_steps(*values, **options):
        try:
            yield from model.generate_steps(*values, **options)
        finally:
            closed.append(True)

    monkeypatch.setattr(
        tab.gm,
        "load",
        lambda name: type(
            "M",
            (),
            {"generate_steps": staticmethod(generate_steps), "read_steps": model.read_steps, "tokenizer": model.tokenizer},
        )(),
    )
    run = tab.write("A", *controls(500))
    for _ in range(4):
        next(run)
    run.close()
    assert closed


def test_bars_hold_all_raw_logits_and_the_cut_offs():
    model = gm.load(tab.TEXT)
    bars, _ = tab.inspect_position(0.5, 3, 0.9, 0.1, event(text="ROMEO"))
    logits = model.next_logits(model.tokenizer.encode("ROMEO"))[0]
    shown_logits = dict(zip(json.loads(bars["symbols"]), map(float, bars["logits"].split())))
    assert len(shown_logits) == 65
    assert list(shown_logits.values()) == sorted(shown_logits.values(), reverse=True)
    assert [shown_logits[s] for s in model.tokenizer.symbols] == pytest.approx(logits.tolist(), rel=1e-3, abs=1e-4)
    assert (bars["options"], bars["context"]) == ([0.5, 3, 0.9, 0.1], "ROMEO")
    assert tab.preview_next_token("ROMEO", 0.5, 3, 0.9, 0.1) == bars


def test_the_attention_map_is_the_models():
    text = "But soft, what light through yonder window breaks? It is the east"
    _, value = tab.inspect_position(1, 0, 1, 0, event(text=text))
    symbols, maps = gm.load(tab.TEXT).attention(text)
    n = value["n"]
    values = np.frombuffer(base64.b64decode(value["maps"]), np.uint8).reshape(value["layers"], value["heads"], n, n)
    assert n == tab.ATTENTION_TOKENS and json.loads(value["symbols"]) == symbols[-n:]
    assert np.abs(values / 255 - maps[:, :, -n:, -n:].numpy()).max() < 0.003
    assert not values[..., np.triu_indices(n, 1)[0], np.triu_indices(n, 1)[1]].any()


def test_surprisal_is_the_mean_of_the_score():
    view, _ = tab.surprisal("To be, or nöt")
    score = gm.load(tab.TEXT).score("To be, or nöt")
    bits = -score.log_probs.mean().item() / math.log(2)
    assert view["stats"] == f"{bits:.2f} bits per character · perplexity {2**bits:.1f}"
    assert [t[1] for t in tokens_of(view)] == pytest.approx(score.log_probs.exp().tolist(), abs=1e-4)
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


@pytest.mark.parametrize(("form", "heads"), [("五绝", "春夏秋冬"), ("七绝", "花"), ("五律", ""), ("七律", "春风花月山水天人")])
def test_a_poem_follows_its_form_and_its_heads(form, heads):
    for temperature in (0, 5):
        stage, lines = ended(tab.write_poem(form, "春夜", "李白", heads, temperature, 1, 3))
        assert follows_form(body_of(stage), form, heads)
        assert [i for i, t in enumerate(tokens_of(stage)) if t[3] == "given"] == [
            i * (gm.tokens.FORMS[form][1] + 1) for i in range(len(heads))
        ]
        for symbol, *_, records in tokens_of(stage):
            alternatives = {record[0] for record in records}
            assert symbol in alternatives or len(alternatives) == 10
            assert alternatives == {symbol} if symbol in "，。" else not alternatives & set("，。□\n|")


def test_another_character_rewrites_the_rest_of_the_poem():
    first, _ = ended(tab.write_poem("五绝", "", "", "春夏秋冬", 1, 1, 0))
    prefix = body_of(first)[:8] + "天"
    request = tab.read_request(event(text=prefix, keep=9, request=first["request"]))
    stage, lines = ended(tab.continue_poem(request, 1, 1, 5))
    assert stage["keep"] == 9 and stage["request"] == first["request"]
    assert follows_form(prefix + body_of(stage), "五绝", "春夏秋冬")
    assert f"prefix={prefix!r}" in lines


def test_bad_orders_for_poems_get_a_sentence():
    for values, says in (
        (("六绝", "", "", ""), "form"),
        (("五绝", "", "", "ab"), "heads"),
        (("五绝", "", "", "春" * 5), "heads"),
        (("五绝", "a|b", "", ""), "title"),
        (("五绝", "", "李" * 11, ""), "author"),
        (("五绝", ["x"], "", ""), "title"),
        (("五绝", HOSTILE, "", "春<b>"), "heads"),
    ):
        message = said(tab.write_poem, *values, 1, 1, 0)
        assert says in message and "<" not in message
    good = {"form": "五绝", "title": "", "author": "", "heads": ""}
    for text in ("abc", "春风花月山，", "春" * 30, "，", "春风花月，"):
        request = {"text": text, "keep": 1, "request": good}
        assert follows_form_or_fails(tab.continue_poem, request)
    for request in (None, {"text": "", "keep": 1, "request": None}, {"text": "", "keep": 1, "request": {"form": "五绝"}}):
        assert "poem" in said(tab.continue_poem, request, 1, 1, 0)


def follows_form_or_fails(handler, request):
    try:
        stage, _ = ended(wiring.stepwise(handler)(request, 1, 1, 0))
    except gr.Error as e:
        return is_sentence(e.message)
    return follows_form(request["text"] + body_of(stage), request["request"]["form"])


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_rows_are_generated_one_after_another_and_the_given_ones_stay():
    source = tab.test_picture_source("mnist", 4)
    films = [
        film for film, _ in tab.complete(source, 20, 3, "any", 1, 2)
    ]  # the digit continues below row 20, then all is black
    assert [json.loads(f["facts"])["numbers"] for f in films] == [[row] for row in range(20, 29)] + [list(range(20, 29))]
    assert [f["live"] for f in films] == [True] * 9 + [False]
    *_, last = gm.load(tab.PIXELS).complete_steps(source["x"], rows=20, n=3, seed=2)
    pictures, surprisal = pictures_of(films[-1])
    assert (pictures[:3, ..., 2] == (255 * last.x[:, 0]).round().numpy()).all()  # blue shows the picture as it is
    assert (pictures[:3, 20:, :, 0] == pictures[:3, 20:, :, 2]).all()
    assert (pictures[:3, :20, :, 0] <= 128).all()  # given rows are blue
    bits = -last.probability[:, 20:].log2().numpy().ravel()
    lightness = surprisal[:3, 20:].astype(int).sum(-1).ravel()
    assert lightness[bits.argmax()] > lightness[bits.argmin()]
    assert (np.diff(lightness[np.argsort(bits)]) >= -3).all()  # lightness grows with surprisal
    curve = json.loads(films[-1]["facts"])["lines"][0][1]
    assert [b for _, b in curve] == pytest.approx((-last.probability[:, 20:].log2().mean((0, 2))).tolist(), abs=2e-3)


def test_rows_not_yet_generated_are_grey():
    first = next(tab.complete(tab.test_picture_source("mnist", 4), 20, 2, "any", 1, 0))[0]
    pictures, _ = pictures_of(first)
    assert (pictures[:, 20:] == pictures[0, 27, 0]).all() and 40 < pictures[0, 27, 0].mean() < 90


def test_a_new_picture_needs_no_source_and_each_means_one_class_after_another(monkeypatch):
    arguments = {}

    class Model:
        def complete_steps(self, x, **options):
            arguments.update(x=x, **options)
            yield gm.pixel_transformer.Completion(torch.zeros(6, 1, 28, 28), torch.ones(6, 28, 28), 28)

    monkeypatch.setattr(tab.gm, "load", lambda name: Model())
    film, lines = ended(tab.complete(None, 0, 6, "each", 0.5, 1))
    assert "model.complete_steps(n=6, label=[0, 1, 2, 3, 4, 5], temperature=0.5, seed=1)" in lines
    assert arguments == {"x": None, "n": 6, "label": [0, 1, 2, 3, 4, 5], "temperature": 0.5, "seed": 1}
    assert "beside" not in film and film["across"] == 3


def test_a_stopped_picture_can_be_scrubbed():
    run = tab.complete(tab.test_picture_source("mnist", 2), 20, 1, "any", 1, 0)
    for _ in range(3):
        next(run)
    film, lines = run.throw(wiring.Stopped())
    assert json.loads(film["facts"])["numbers"] == [20, 21, 22] and not film["live"]
    assert "stopped" in lines


# --- Reproduce in Python ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [("ROMEO:\n", *controls()), ("", *controls(20, 0)), ("'\"\\😀\n", *controls(8, 1.2, 5, 0.9, 0.1, 9))]
)
def test_the_lines_reproduce_the_text(values, tmp_path, monkeypatch, capsys):
    stage, lines = ended(tab.write(*values))
    assert run_lines(lines, tmp_path, monkeypatch)["text"] == text_of(stage)
    assert text_of(stage) in capsys.readouterr().out


def test_the_lines_reproduce_the_poem(tmp_path, monkeypatch):
    stage, lines = ended(tab.write_poem("七绝", "春'夜", "李白", "春", 0.8, 0.9, 2))
    assert run_lines(lines, tmp_path, monkeypatch)["poem"] == body_of(stage)
    request = {"text": body_of(stage)[:5], "keep": 5, "request": stage["request"]}
    stage, lines = ended(tab.continue_poem(request, 1, 1, 2))
    assert run_lines(lines, tmp_path, monkeypatch)["poem"] == request["text"] + body_of(stage)


def test_the_lines_reproduce_the_surprisal(tmp_path, monkeypatch):
    view, lines = tab.surprisal("What’s\nthis?")
    assert view["stats"].startswith(f"{run_lines(lines, tmp_path, monkeypatch)['bits']:.2f} bits")


@pytest.mark.parametrize(
    ("source", "values"),
    [
        (lambda: tab.test_picture_source("mnist", 3), (26, 2, "7", 0.9, 5)),
        (lambda: tab.drawing_source("mnist", stroke()), (26, 2, "each", 1, 0)),
    ],
)
def test_the_lines_reproduce_the_pictures(source, values, tmp_path, monkeypatch):
    film, lines = ended(tab.complete(source(), *values))
    x = run_lines(lines, tmp_path, monkeypatch)["x"]
    pictures, _ = pictures_of(film)
    assert (pictures[: len(x), ..., 2] == (255 * x[:, 0]).round().numpy()).all()
    assert (tmp_path / "picture.png").is_file()


def test_the_snippet_of_the_explanation_is_the_formula():
    text = Path(tab.__file__).with_suffix(".md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.S)
    variables = {}
    exec(snippet, variables)
    P = variables["sinusoidal"](50, 12)
    expected = [[(math.sin, math.cos)[j % 2](t / 10000 ** (2 * (j // 2) / 12)) for j in range(12)] for t in range(50)]
    assert P.shape == (50, 12) and np.abs(P.numpy() - np.array(expected)).max() < 1e-5
    assert "{measured}" in text


# --- Openings and missing models --------------------------------------------------------------------------


parts = pytest.mark.parametrize(
    ("begin", "name"), [(tab.open_text, tab.TEXT), (tab.open_poem, tab.POEMS), (tab.open_pixels, tab.PIXELS)]
)


@parts
def test_the_second_visitor_gets_the_opening_of_the_first(begin, name, monkeypatch):
    monkeypatch.setattr(tab, "OPENING_PICTURE", (26, 1, "any", 1, 0))
    first = list(begin())
    assert len(first) > 1
    second = list(begin())
    assert len(second) == 1 and not second[0][0]["live"]
    assert second[0][0].get("tokens") == first[-1][0].get("tokens") and second[0][1] == first[-1][1]
    assert "per second" not in second[0][0].get("stats", "")


def test_a_stopped_opening_is_not_kept():
    run = tab.open_text()
    next(run)
    assert run.throw(wiring.Stopped())[0]["live"] is False
    assert len(list(tab.open_text())) > 1


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
    stage, _ = ended(begin())
    assert is_sentence(stage["message"]) and name in stage["message"] and str(own_checkpoints) not in stage["message"]
    other = tab.open_poem if begin == tab.open_text else tab.open_text
    assert "tokens" in next(other())[0]
    assert len(tab.prepare()) == (2 if damage == "no folder" else 3)


def test_the_poster_is_the_trainings_first_sample(own_checkpoints):
    samples = own_checkpoints / tab.TEXT / "samples.txt"
    samples.write_text("--- seed 0\n\nROMEO:\nWhat light" + "x" * 999, encoding="utf-8")
    assert tab.poster().startswith("ROMEO:\nWhat light") and len(tab.poster()) <= 400
    samples.unlink()
    assert tab.poster() == ""


# --- Bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (("A" * 100_001, *controls()), "prompt"),
        ((None, *controls()), "prompt"),
        ((["A"], *controls()), "prompt"),
        (("A", *controls(tab.MAX_NEW_TOKENS + 1)), "length"),
        (("A", *controls(0)), "length"),
        (("A", *controls(None)), "length"),
        (("A", *controls(temperature=math.nan)), "temperature"),
        (("A", *controls(temperature=-1)), "temperature"),
        (("A", *controls(top_k=2.5)), "top_k"),
        (("A", *controls(top_p=1.1)), "top_p"),
        (("A", *controls(min_p="x")), "min_p"),
        (("A", *controls(seed=-1)), "seed"),
        (("A", *controls(seed=None)), "seed"),
        (("A", *controls(seed=math.inf)), "seed"),
    ],
)
def test_bad_values_get_a_sentence(values, says):
    assert says in said(tab.write, *values)


def test_bad_requests_get_a_sentence():
    for handler, values, says in (
        (tab.read_request, (event(text="A" * (tab.MAX_TEXT + 1), keep=1),), "begin a new one"),
        (tab.read_request, (event(text=None),), "text"),
        (tab.read_request, (event(text="a", keep=0.5),), "keep"),
        (tab.read_request, (gr.EventData(None, None),), "text"),
        (tab.inspect_position, (1, 0, 1, 0, event(text=5)), "text"),
        (tab.inspect_position, (math.nan, 0, 1, 0, event(text="a")), "temperature"),
        (tab.surprisal, ("",), "Type"),
        (tab.surprisal, ("😀",), "nothing"),
        (tab.surprisal, ("a" * (tab.MAX_LIVE_TEXT + 1),), "text"),
        (tab.surprisal, (None,), "text"),
        (tab.choose_test, (event(index=99),), "index"),
        (tab.choose_drawing, (None,), "empty"),
    ):
        assert says in message_of(handler, *values)
    assert "There is no text" in said(tab.continue_text, None, *controls())
    for values, says in (
        ((28, 1, "any", 1, 0), "rows"),
        ((14, 9, "any", 1, 0), "number of pictures"),
        ((14, 1, "ten", 1, 0), "class"),
        ((14, 1, "any", 3, 0), "temperature"),
        ((14, 1, "any", 1, 2**40), "seed"),
    ):
        assert says in said(tab.complete, tab.test_picture_source("mnist", 0), *values)
    assert "Choose a picture" in said(tab.complete, None, 14, 1, "any", 1, 0)


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_described_and_every_parameter_has_a_default(client):
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name for name in described if re.match("/(text|pixels)_", name)} == {f"/{name}" for name in ENDPOINTS}
    for name in ENDPOINTS:
        parameters = described[f"/{name}"]["parameters"]
        assert all(p["parameter_has_default"] for p in parameters)
        documented = re.findall(r"^        (\w+):", getattr(tab, name).__doc__.split("Returns:")[0], re.M)
        assert [p["parameter_name"] for p in parameters] == documented


def test_endpoints_return_what_the_models_return(client):
    model = gm.load(tab.TEXT)
    job = client.submit(prompt="ROMEO:", max_new_tokens=150, seed=2, api_name="/text_generate")
    text = job.result(timeout=300)
    assert text == model.generate("ROMEO:", max_new_tokens=150, temperature=0.8, seed=2)
    parts = job.outputs()
    assert len(parts) > 2 and all(text.startswith(part) for part in parts)  # it streams
    result = client.predict(text="What is’t?", prompt="ROMEO:", api_name="/text_score")
    score = model.score("What is’t?", "ROMEO:")
    assert [s for s, _ in result["tokens"]] == score.symbols and result["unknown"] == ["’"]
    assert [p for _, p in result["tokens"]] == pytest.approx(score.log_probs.tolist(), abs=1e-3)
    assert result["perplexity"] == pytest.approx(math.exp(-score.log_probs.mean().item()), rel=1e-3)
    result = client.predict(prompt="ROMEO", temperature=0.5, top_k=3, n=5, api_name="/text_next")
    logits = model.next_logits(model.tokenizer.encode("ROMEO"))[0]
    first = logits.topk(5).indices.tolist()
    assert [t["token"] for t in result["tokens"]] == [model.tokenizer.symbols[i] for i in first]
    sampling_p = gm.transformer.warp_logits(logits, 0.5, 3)[first].tolist()
    assert [t["drawn"] for t in result["tokens"]] == pytest.approx(sampling_p, abs=1e-4) and sampling_p[3:] == [0, 0]
    result = client.predict(form="五绝", heads="春夏秋冬", seed=4, api_name="/text_poem")
    assert follows_form(result["poem"], "五绝", "春夏秋冬") and [line[0] for line in result["lines"]] == list("春夏秋冬")
    facts, file = client.predict(rows=26, n=2, seed=1, api_name="/pixels_complete")
    *_, last = gm.load(tab.PIXELS).complete_steps(gm.data.samples("mnist").floats()[2:3], rows=26, n=2, seed=1)
    assert np.abs(np.asarray(Image.open(file)).astype(int) - np.asarray(gm.pictures.grid(last.x, 2, scale=4))).max() <= 1
    assert facts["bits"] == pytest.approx(-last.probability[:, 26:].log2().sum((1, 2)), rel=1e-3)


BAD = [
    ("/text_generate", {"prompt": "A" * 100_001}),
    ("/text_generate", {"prompt": None}),
    ("/text_generate", {"max_new_tokens": 1001}),
    ("/text_generate", {"temperature": "hot"}),
    ("/text_generate", {"model": "../x"}),
    ("/text_generate", {"top_k": 10**9}),
    ("/text_generate", {"model": tab.POEMS, "prompt": HOSTILE}),
    ("/text_score", {"text": ""}),
    ("/text_score", {"text": "\x00"}),
    ("/text_score", {"text": "A" * 10_001}),
    ("/text_next", {"n": 0}),
    ("/text_next", {"top_p": 2}),
    ("/text_poem", {"form": HOSTILE}),
    ("/text_poem", {"heads": HOSTILE[:4]}),
    ("/text_poem", {"heads": "春" * 9}),
    ("/text_poem", {"title": "春" * 41}),
    ("/pixels_complete", {"rows": 28}),
    ("/pixels_complete", {"n": 9}),
    ("/pixels_complete", {"picture": 5}),
    ("/pixels_complete", {"label": "11"}),
    ("/pixels_complete", {"test_picture_number": 999}),
]


def test_bad_input_gets_a_sentence_and_the_server_goes_on(client):
    for name, values in BAD:
        with pytest.raises(AppError) as error:
            client.predict(**values, api_name=name)
        assert is_sentence(str(error.value)) and "show_error" not in str(error.value) and "<" not in str(error.value)
    assert len(client.predict(prompt="\x00\ud7ff😀", max_new_tokens=3, api_name="/text_generate")) == 3
    assert len(client.predict(prompt="A" * 100_000, max_new_tokens=2, api_name="/text_generate")) == 2


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.lists(st.floats(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
texts = st.one_of(st.text(max_size=30), st.sampled_from(["", "ROMEO:", "七绝|||", "七绝|春|李白|花", HOSTILE]), anything)
names = st.one_of(st.sampled_from([tab.TEXT, tab.POEMS]), anything)


def mixed(low, high):
    return st.one_of(st.integers(low, high), st.floats(low, high), anything)


CUTS = mixed(0, 30), mixed(0, 1), mixed(0, 1)
PROPERTIES = {
    "text_generate": (texts, mixed(1, 5), mixed(0, 5), *CUTS, mixed(0, 9), names),
    "text_score": (texts, texts, names),
    "text_next": (texts, mixed(0, 5), *CUTS, mixed(1, 9), names),
    "text_poem": (
        st.one_of(st.sampled_from(list(tab.FORM_TITLES)), anything),
        texts,
        texts,
        st.one_of(st.sampled_from(["", "春", "春夏秋冬"]), texts),
        mixed(0, 5),
        mixed(0, 1),
        mixed(0, 9),
    ),
    "pixels_complete": (
        st.one_of(st.none(), anything),
        mixed(0, 199),
        mixed(26, 27),
        mixed(1, 2),
        st.one_of(st.sampled_from(["any", "each", "7"]), anything),
        mixed(0, 2),
        mixed(0, 9),
    ),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_any_input_gives_an_answer_or_a_sentence(name):
    endpoint = getattr(tab, name)
    run = wiring.guarded(endpoint) if name == "text_next" else lambda *values: ended(wiring.stepwise(endpoint)(*values))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*PROPERTIES[name]))
    def check(values):
        result, error = None, None
        try:
            result = run(*values)
        except gr.Error as e:
            error = e.message
        assert result is not None or is_sentence(error) and "<" not in error
        if isinstance(result, dict):
            json.dumps(result, allow_nan=False)

    check()


@settings(max_examples=50, deadline=None)
@given(st.one_of(anything, st.fixed_dictionaries({"text": texts, "keep": mixed(1, 9), "request": anything})))
def test_views_may_send_anything(sent):
    for handler in (tab.read_request, lambda e: tab.inspect_position(1, 0, 1, 0, e)):
        error = None
        try:
            wiring.guarded(handler)(gr.EventData(None, sent))
        except gr.Error as e:
            error = e.message
        assert error is None or is_sentence(error)


def test_visitors_do_not_disturb_each_other():
    """Eight at once, twice, each with their own seed: everyone gets their own text."""

    def written(seed):
        return ended(wiring.stepwise(tab.write)("ROMEO:", *controls(25, seed=seed)))[0]["tokens"]

    alone = [written(seed) for seed in range(8)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(written, list(range(8)) * 2)) == alone * 2
    assert len(set(alone)) == 8


def test_a_tab_without_any_checkpoint_stays_hidden_unless_all_are_missing(tmp_path, monkeypatch):
    import app

    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    assert app.trained("transformer")
    (tmp_path / "vae-mnist").mkdir()
    (tmp_path / "vae-mnist" / "config.json").write_text("{}", encoding="utf-8")
    assert app.trained("vae") and not app.trained("transformer")
    (tmp_path / "transformer-tang").mkdir()
    assert app.trained("transformer")
