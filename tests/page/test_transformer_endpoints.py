"""The Transformer tab: its endpoints through gradio_client, and what is refused."""

import json
import math

import gradio as gr
import numpy as np
import pytest
from helpers import (
    anything,
    api_refusal,
    as_endpoint,
    assert_described,
    event,
    nearly,
    refusal,
    result_of,
)
from helpers_transformer_tab import HOSTILE, follows_form, picture_controls
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import events, sources
from tabs import transformer as tab
from tabs.transformer import inspection, pixels, poems, runs, surprisal, texts, writing


@pytest.fixture(autouse=True)
def nothing_opened():
    runs._openings.clear()


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
    job = client.submit(prompt="ROMEO:", max_new_tokens=200, seed=2, api_name="/text_generate")
    text = job.result(timeout=300)
    assert text == model.generate("ROMEO:", max_new_tokens=200, temperature=0.8, seed=2)
    parts = job.outputs()
    assert len(set(parts)) > 1 and all(text.startswith(part) for part in parts)  # it streams
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
