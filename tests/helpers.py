"""What several test modules need. Test modules import this, never each other."""

import base64
import io
import json
import re
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import endpoints, events
from tabs.components.draw_pad import SIDE

ROOT = Path(__file__).resolve().parent.parent


# --- What handlers are given ------------------------------------------------------------------------------------------


def event(**data):
    """What a component sends with its event."""
    return gr.EventData(None, data)


def stroke():
    """A drawing: one vertical stroke, as the pad sends it."""
    ink = np.zeros((SIDE, SIDE), np.uint8)
    ink[20:120, 65:77] = 255
    return ink


def photograph(folder):
    """The path of an upload: a dark bar on light paper."""
    picture = Image.new("RGB", (120, 80), "white")
    picture.paste("black", (50, 15, 62, 65))
    picture.save(Path(folder) / "photograph.png")
    return str(Path(folder) / "photograph.png")


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.floats(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.binary(max_size=8),
)


def nearly(low, high):
    """Numbers that are allowed, nearly allowed, or no numbers."""
    return st.one_of(st.integers(low, high), st.floats(low, high), anything)


# --- What handlers answer ---------------------------------------------------------------------------------------------


def is_sentence(text):
    return bool(text) and "\n" not in text and "Traceback" not in text and str(ROOT) not in text


def refusal(handler, *args, **values):
    """The sentence with which the page refuses a call."""

    def run():
        result = handler(*args, **values)
        return list(result) if hasattr(result, "send") else result  # a generator checks when it starts

    with pytest.raises(gr.Error) as error:
        events.guarded(run)()
    assert is_sentence(error.value.message)
    return error.value.message


def last(run):
    """The outputs of a stream when it has ended: of each name the last."""
    outputs = {}
    for output in run:
        outputs |= output
    return outputs


def sheet_of(value):
    """The pictures of a sheet or of raw bytes, (n, H, W, 3) uint8."""
    if "pixels" in value:
        shape = value["n"], value["h"], value["w"], value["c"]
        return np.frombuffer(base64.b64decode(value["pixels"]), np.uint8).reshape(shape).repeat(3 // value["c"], -1)
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(value["source"].split(",")[1]))).convert("RGB"))
    rows = sheet.reshape(-1, value["h"], value["columns"], value["w"], 3).swapaxes(1, 2)
    return rows.reshape(-1, value["h"], value["w"], 3)[: value["n"]]


def raw_of(value):
    """One picture of raw bytes, (H, W, C) uint8."""
    return np.frombuffer(base64.b64decode(value["pixels"]), np.uint8).reshape(value["h"], value["w"], value["c"])


def pixels(x):
    """Pictures (n, C, H, W) as the browser gets them, (n, H, W, 3) uint8."""
    return gm.pictures.to_bytes(x).expand(-1, -1, -1, 3).numpy()


def same_pictures(value, x):
    """Whether a sheet shows the pictures x, up to one grey level of rounding."""
    shown, expected = sheet_of(value).astype(int), pixels(x)
    return shown.shape == expected.shape and np.abs(shown - expected).max() <= 1


def run_program(lines, folder, monkeypatch):
    """Run a program of the page in `folder`: the names that it leaves behind."""
    monkeypatch.chdir(folder)
    names = {}
    exec(compile(lines, "lines", "exec"), names)  # noqa: S102
    return names


# --- The API ----------------------------------------------------------------------------------------------------------


def post(url, name, data):
    """What a raw HTTP call of an endpoint answers."""
    request = urllib.request.Request(
        f"{url}/gradio_api/call/{name}", json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        number = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/{name}/{number}") as answer:
        return answer.read().decode()


def api_refusal(url, name, values):
    """The sentence with which the page refuses a call over HTTP with these arguments; the others have their defaults."""

    def answered(path, body=None):
        headers = {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{url}/gradio_api/call{path}", body, headers)) as answer:
            return answer.read().decode()

    number = json.loads(answered(f"/v2{name}", json.dumps(values).encode()))["event_id"]
    *_, event, data = [line for line in answered(f"{name}/{number}").splitlines() if line]
    assert event == "event: error", (name, values, data)
    message = json.loads(data.removeprefix("data: "))["error"]
    assert is_sentence(message) and "show_error" not in message and "<" not in message
    return message


def assert_described(client, prefix, functions):
    """Endpoints of a tab: exactly these, each with its docstring, every parameter with a default and described."""
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    names = {fn.__name__ for fn in functions}
    assert {name for name in described if name.startswith(f"/{prefix}")} == {f"/{name}" for name in names}
    assert all(p["parameter_has_default"] for name in names for p in described[f"/{name}"]["parameters"])
    with urllib.request.urlopen(client.src.rstrip("/") + "/gradio_api/openapi.json") as answer:
        text = answer.read().decode()
    for fn in functions:
        assert fn.__doc__.split("\n")[0] in text, f"{fn.__name__} is not described"
        documented = re.findall(r"^    (\w+):", as_endpoint(fn).__doc__.split("\nReturns:")[0], re.M)
        assert sorted(documented) == sorted(p["parameter_name"] for p in described[f"/{fn.__name__}"]["parameters"])


def as_endpoint(fn):
    """What the API runs for an endpoint's function, to be called by parameter names."""
    with gr.Blocks() as page:
        endpoints.endpoint(fn)
    return next(iter(page.fns.values())).fn


def result_of(run, *args, **values):
    """What the page or the API gets of a call in the lane; None of one that it refused with a sentence."""
    try:
        return run(*args, **values)
    except gr.Error as e:
        message = e.message
    assert is_sentence(message) and "<" not in message
    return None
