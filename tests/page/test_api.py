"""Hostile calls of every endpoint, and the same call from many clients at once: over HTTP, as anybody can send them."""

import base64
import importlib
import inspect
import io
import json
import random
import threading
from pathlib import Path
from types import SimpleNamespace

import fastapi
import gradio as gr
import numpy as np
import pytest
from gradio import processing_utils
from helpers import ROOT, is_sentence
from PIL import Image
from starlette.testclient import TestClient

from hosting import calls, files
from tabs import TABS, events

ENDPOINTS = {fn.__name__: fn for _, tab in TABS for fn in importlib.import_module(tab).ENDPOINTS}
FILE = {"_type": "gradio.FileData"}
HOSTILE = [
    *(
        None,
        True,
        "x",
        "nan",
        [1],
        {"a": 1},
        float("nan"),
        float("inf"),
        -1,
        10**400,
        2.5,
        "\ud800",
        "\x00",
        "<b>",
        "a" * 200_000,
    ),
    {"path": "/etc/passwd", "meta": FILE},
    {"path": "/etc/passwd"},
    {"path": "missing.png", "meta": FILE},
    {"path": "", "meta": FILE},
    {"path": "x" * 5000, "meta": FILE},
    {"path": "a\x00b", "meta": FILE},
    {"path": "x", "meta": 3},
    {"path": 3},
    {"path": None, "url": None},
    {"url": "http://127.0.0.1:1/x.png"},
    {"url": "data:image/png;base64,!!"},
    {"url": "data:image/png;base64,aGVsbG8="},
]


@pytest.fixture(scope="module")
def site():
    """A client of the page, mounted below /lab."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events, "start", lambda *preparations: None)
        page = importlib.import_module("app")
        with TestClient(page.mount(fastapi.FastAPI(), "/lab")) as client:
            client.base_url = client.base_url.join("/lab/gradio_api/")
            yield client


def post(site, path, body):
    return site.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})


def call(site, name, data):
    """(the last event, its data) of a call."""
    number = post(site, f"call/{name}", {"data": data}).json()["event_id"]
    *_, event, data = [line for line in site.get(f"call/{name}/{number}").text.splitlines() if line]
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def arguments(name):
    page = importlib.import_module("app")
    (fn,) = (fn for fn in page.demo.fns.values() if fn.api_name == name)
    return {p.name: p.default for p in inspect.signature(fn.fn).parameters.values()}


CHEAP = {"denoise": {"model": "denoiser-mnist"}, "text_generate": {"max_new_tokens": 1}}  # where a value is allowed after all


def likely(value, default):
    """Whether an argument with this default may take the value: computing the result would only take time."""
    return value is default or isinstance(default, str) and isinstance(value, str) and len(value) < 100


def hostile_calls(name):
    """(what the refusal names, values): too few, too many, and for each argument some values that it does not take."""
    defaults = {**arguments(name), **CHEAP.get(name, {})}
    values = list(defaults.values())
    yield "takes", values[:-1]
    yield "takes", [*values, 1]
    for i, argument in enumerate(defaults):
        values_to_try = [value for value in HOSTILE if not likely(value, defaults[argument])]
        for value in random.Random(name + argument).sample(values_to_try, 2):
            yield argument, [*values[:i], value, *values[i + 1 :]]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_hostile_call_is_refused_in_a_sentence_and_one_line_of_the_log(site, name, caplog, capsys):
    refused = 0
    for argument, data in hostile_calls(name):
        caplog.clear()
        event, answer = call(site, name, data)
        if event == "complete":  # the value happened to be one that is allowed
            continue
        refused += 1
        assert is_sentence(answer["error"]) and argument in answer["error"], data
        assert "<" not in answer["error"] and str(ROOT) not in answer["error"]
        (line,) = caplog.messages
        assert line.startswith(f"{name}: ") and "\n" not in line
    assert refused > 2
    assert "Traceback" not in capsys.readouterr().err


def test_too_few_values_are_answered_with_the_names_of_all(site):
    event, answer = call(site, "gan_score", [])
    names = ", ".join(arguments("gan_score"))
    assert (event, answer["error"]) == ("error", f"gan_score takes {len(arguments('gan_score'))} values ({names}), not 0.")


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("call/nothing", {"data": []}, 404, "There is no such function"),
        ("call/v2/nothing", {}, 404, "There is no such function"),
        ("run/nothing", {"data": []}, 404, "There is no such function"),
        ("queue/join", {"data": [], "fn_index": 99999, "session_hash": "a"}, 404, "There is no such function"),
        ("call/vae_sample", {}, 422, "data: field required"),
        ("call/vae_sample", {"data": 3}, 422, "data: input should be a valid list"),
        ("call/vae_sample", [], 422, "its body"),
        ("call/v2/vae_sample", {"colour": 1}, 422, "`colour` is not a valid"),
        ("queue/join", {"data": [], "fn_index": "x"}, 422, "fn_index"),
    ],
)
def test_a_request_that_reaches_no_function_gets_a_sentence(site, path, body, status, sentence, caplog, capsys):
    answer = post(site, path, body)
    assert answer.status_code == status
    assert sentence in answer.json()["detail"] and is_sentence(answer.json()["detail"])
    assert len(caplog.messages) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_an_answer_that_was_read_already_is_told_from_a_traceback(site, caplog, capsys):
    answer = site.get("call/vae_sample/nothing").text
    assert json.loads(answer.split("data: ")[1]) == {"error": "There is no such call, or its answer was read already."}
    assert len(caplog.messages) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_a_fault_of_the_page_is_answered_too_and_its_traceback_is_in_the_log(capsys):
    with calls.Page() as page:
        gr.Button().click(lambda: {}["missing"], None, gr.JSON(), api_name="broken")
    with TestClient(gr.mount_gradio_app(fastapi.FastAPI(), page, "/")) as client:
        client.base_url = client.base_url.join("/gradio_api/")
        assert call(client, "broken", [])[1]["error"] == "The page could not compute this: its log says why."
    assert "KeyError: 'missing'" in capsys.readouterr().err


# --- Pictures -------------------------------------------------------------------------------------------------------


def png(size=200, seed=0):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def encoded(site, picture):
    """The facts of vae_encode about a picture."""
    event, answer = call(site, "vae_encode", list({**arguments("vae_encode"), "picture": picture}.values()))
    assert event == "complete", answer
    return next(value for value in answer if "path" not in value)


def test_a_picture_is_used_however_it_is_sent(site, monkeypatch):
    async def download(url):
        assert url == "https://example.com/picture.png"
        response = SimpleNamespace(status_code=200)
        response.aiter_bytes = lambda: _chunks(png())
        return response

    async def _chunks(data):
        yield data

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_get", download)
    (path,) = site.post("upload", files={"files": ("picture.png", png())}).json()
    uploaded = encoded(site, {"path": path, "meta": FILE})
    assert uploaded != encoded(site, None)
    assert uploaded == encoded(site, {"path": path})
    assert uploaded == encoded(site, {"url": "https://example.com/picture.png"})
    assert uploaded == encoded(site, {"url": "data:image/png;base64," + base64.b64encode(png()).decode()})


@pytest.mark.parametrize("file", [{}, {"meta": FILE}, {"meta": FILE, "url": "/gradio_api/file=x"}])
def test_a_picture_of_the_server_that_nobody_uploaded_is_refused(site, file):
    picture = {"path": str(ROOT / "docs" / "thumbnail.png"), **file}
    event, answer = call(site, "vae_encode", list({**arguments("vae_encode"), "picture": picture}.values()))
    assert event == "error" and answer["error"].startswith("picture must be a picture's file")


# --- One file for many clients --------------------------------------------------------------------------------------


def test_a_result_that_is_written_again_stays_complete(tmp_path, monkeypatch):
    """Gradio names it by its contents: who was told of it first may be reading."""
    files.write_complete()
    picture = Image.open(io.BytesIO(png()))
    first = Path(processing_utils.save_pil_to_cache(picture, str(tmp_path), format="png"))
    data, write = first.read_bytes(), Path.write_bytes

    def write_in_two_steps(path, contents):
        write(path, contents[:100])
        assert first.read_bytes() == data
        return write(path, contents)

    monkeypatch.setattr(Path, "write_bytes", write_in_two_steps)
    assert processing_utils.save_pil_to_cache(picture, str(tmp_path), format="png") == str(first)
    assert processing_utils.save_bytes_to_cache(data, "image.png", str(tmp_path)) == str(first)
    assert first.read_bytes() == data
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [first]


def test_a_download_that_breaks_off_is_not_taken_for_the_picture(tmp_path, monkeypatch):
    files.write_complete()

    async def download(url):
        return SimpleNamespace(status_code=200, aiter_bytes=_breaks_off)

    async def _breaks_off():
        yield b"half"
        raise OSError("the connection was lost")

    monkeypatch.setattr(processing_utils, "async_ssrf_protected_get", download)
    for _ in range(2):
        with pytest.raises(OSError, match="lost"):
            processing_utils.ssrf_protected_download("https://example.com/a.png", str(tmp_path))


def test_many_clients_ask_for_the_same_picture_at_once(site):
    """Each reads a whole one."""
    data, results = list(arguments("vae_decode").values()), []

    def client():
        for _ in range(4):
            _, answer = call(site, "vae_decode", data)
            results.append(site.get(answer[0]["url"]).content.endswith(b"IEND\xaeB`\x82"))

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 24
