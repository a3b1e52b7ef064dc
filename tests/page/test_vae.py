"""The page: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

import base64
import concurrent.futures
import io
import json
import math
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import vae, wiring
from tabs.components.draw_pad import SIDE, DrawPad

ROOT = Path(__file__).resolve().parent.parent
ENDPOINTS = ("vae_sample", "vae_decode", "vae_encode", "vae_interpolate", "vae_attributes")


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def picture_of(stage):
    """The pixels on the stage, (H, W, C) uint8."""
    return np.frombuffer(base64.b64decode(stage["pixels"]), np.uint8).reshape(stage["h"], stage["w"], stage["c"])


def event(**data):
    return gr.EventData(None, data)


def is_sentence(text):
    return bool(text) and "\n" not in text and "Traceback" not in text and str(ROOT) not in text


def result_of(handler, *values):
    """What a handler returns, as the page calls it; None if it answered with an error message."""
    error = None
    try:
        return wiring.guarded(handler)(*values)
    except gr.Error as e:
        error = e
    assert is_sentence(error.message)
    assert "<" not in error.message
    return None


# --- Endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_parameter_has_a_default(client, name):
    result = client.predict(api_name=f"/{name}")
    result = result if isinstance(result, (list, tuple)) else [result]
    picture = Image.open(result[-1])
    assert picture.format == "PNG"
    assert np.asarray(picture).std() > 5


def test_every_endpoint_is_described(client):
    api = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name for name in api if name.startswith("/vae_")} == {f"/{name}" for name in ENDPOINTS}
    assert all(p["parameter_has_default"] for e in api.values() for p in e["parameters"])
    with urllib.request.urlopen(client.src.rstrip("/") + "/gradio_api/openapi.json") as answer:
        text = answer.read().decode()
    for name in ENDPOINTS:
        first_line = getattr(vae, name).__doc__.split("\n")[0]
        assert first_line in text, f"{name} is not described"


def test_the_same_seed_gives_the_same_picture(client):
    first, second, different = (Path(client.predict(n=4, seed=s, api_name="/vae_sample")).read_bytes() for s in (7, 7, 8))
    assert first == second
    assert first != different


def test_encode_then_decode_gives_the_reconstruction(client):
    facts, picture = client.predict(test_picture_number=11, api_name="/vae_encode")
    decoded = np.asarray(Image.open(client.predict(code=facts["mean"], api_name="/vae_decode")))
    pair = np.asarray(Image.open(picture))  # two pictures, each pixel 4x4, a line of 2 between them
    assert np.abs(pair[::4, 30 * 4 :][:, ::4].astype(int) - decoded[::8, ::8]).max() <= 1
    assert set(facts) == {"model", "mean", "standard_deviation", "squared_error", "kl", "elbo"}


def test_attributes_are_classified_before_and_after(client):
    facts, _ = client.predict(model="vae-mnist", attribute="class", target="3", amount=1.5, api_name="/vae_attributes")
    assert facts["before"]["class"]["value"] == "0"
    assert facts["after"]["class"]["value"] == "3"


BAD = [
    ("/vae_sample", {"n": 0}),
    ("/vae_sample", {"n": 10**9}),
    ("/vae_sample", {"n": 2.5}),
    ("/vae_sample", {"n": None}),
    ("/vae_sample", {"n": "many"}),
    ("/vae_sample", {"n": True}),
    ("/vae_sample", {"seed": -1}),
    ("/vae_sample", {"seed": [1]}),
    ("/vae_sample", {"temperature": {"a": 1}}),
    ("/vae_sample", {"model": "vae-dogs"}),
    ("/vae_sample", {"model": "../checkpoints"}),
    ("/vae_sample", {"model": None}),
    ("/vae_sample", {"model": ["a"]}),
    ("/vae_decode", {"code": [0.0] * 1000}),
    ("/vae_decode", {"code": [1e30]}),
    ("/vae_decode", {"code": "zero"}),
    ("/vae_decode", {"code": [[1.0]]}),
    ("/vae_decode", {"code": None}),
    ("/vae_decode", {"code": {"0": 1}}),
    ("/vae_encode", {"picture": 5}),
    ("/vae_encode", {"test_picture_number": 10**6}),
    ("/vae_interpolate", {"steps": 1}),
    ("/vae_interpolate", {"steps": 1e6}),
    ("/vae_interpolate", {"spherical": "yes"}),
    ("/vae_attributes", {"attribute": "<b>soul</b>"}),
    ("/vae_attributes", {"target": None}),
    ("/vae_attributes", {"amount": 1000}),
]


@pytest.mark.parametrize(("name", "values"), BAD)
def test_bad_input_gets_a_sentence(client, name, values):
    with pytest.raises(AppError) as error:
        client.predict(**values, api_name=name)
    assert is_sentence(str(error.value))
    assert "show_error" not in str(error.value)  # Gradio's message for an error that the page did not expect
    assert "<b>" not in str(error.value)


@pytest.fixture(scope="module")
def uploads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uploads")
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    Image.new("L", (30, 30)).save(folder / "empty.png")
    (folder / "text.png").write_text("no picture", encoding="utf-8")
    (folder / "drawing.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    whole = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(whole, "PNG")
    (folder / "cut.png").write_bytes(whole.getvalue()[:20_000])
    (folder / "nothing.png").touch()
    return folder


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("huge.png", "16 megapixels"),
        ("bomb.png", "16 megapixels"),
        ("empty.png", "empty"),
        ("text.png", "not a picture"),
        ("drawing.svg", "not a picture"),
        ("cut.png", "damaged"),
        ("nothing.png", "not a picture"),
    ],
)
def test_bad_uploads_get_a_sentence(client, uploads, file, says):
    with pytest.raises(AppError, match=says) as error:
        client.predict(picture=handle_file(uploads / file), api_name="/vae_encode")
    assert is_sentence(str(error.value))


def test_files_of_the_server_cannot_be_requested(page_url):
    """A raw request names a file that was never uploaded, with and without the type that Gradio looks for."""
    for picture in ({"path": "/etc/hostname", "meta": {"_type": "gradio.FileData"}}, {"path": "/etc/hostname"}):
        answer = post(page_url, "vae_encode", ["vae-mnist", picture, 0])
        assert "event: error" in answer
        assert "complete" not in answer


def post(url, name, data):
    """The answer to a raw HTTP call of an endpoint."""
    request = urllib.request.Request(
        f"{url}/gradio_api/call/{name}", json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        number = json.load(answer)["event_id"]
    with urllib.request.urlopen(f"{url}/gradio_api/call/{name}/{number}") as answer:
        return answer.read().decode()


def test_nan_over_http(page_url):
    try:
        text = post(page_url, "vae_sample", ["vae-mnist", math.nan, 0, 1])
    except urllib.error.HTTPError:
        return  # refused before it reached the endpoint
    assert "event: error" in text


def test_an_upright_colour_photograph_becomes_a_face(tmp_path):
    sideways = Image.new("RGB", (80, 40), "red")
    sideways.paste("blue", (40, 0, 80, 40))
    exif = sideways.getexif()
    exif[274] = 6  # turn a quarter clockwise to see it upright
    sideways.save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = wiring.read_picture(tmp_path / "a.jpg")
    assert upright.size == (40, 80)
    assert upright.getpixel((20, 10))[0] > 200  # red on top
    assert len(vae.encode_upload("avatars", "full", str(tmp_path / "a.jpg"))) == 5


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
names = st.one_of(st.sampled_from(vae.MODELS), anything)


def mixed(low, high):
    """Numbers that are allowed, nearly allowed, or no numbers."""
    return st.one_of(st.integers(low, high), st.floats(low, high), anything)


PROPERTIES = {
    "vae_sample": (names, mixed(1, 6), mixed(0, 9), mixed(0, 2)),
    "vae_decode": (names, st.one_of(st.lists(mixed(-30, 30), max_size=41), anything)),
    "vae_encode": (names, st.one_of(st.none(), anything), mixed(0, 199)),
    "vae_interpolate": (names, mixed(0, 199), mixed(0, 199), mixed(2, 5), anything),
    "vae_attributes": (
        names,
        mixed(0, 199),
        st.one_of(st.sampled_from(["class", "glasses", "skin"]), anything),
        st.one_of(st.sampled_from(["3", "bag", "round", "pale"]), anything),
        mixed(-3, 3),
    ),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_any_input_gives_a_picture_or_a_sentence(name):
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*PROPERTIES[name]))
    def check(values):
        result = result_of(getattr(vae, name), *values)
        if result is not None:
            picture = result[-1] if isinstance(result, tuple) else result
            assert isinstance(picture, Image.Image)
            if isinstance(result, tuple):
                json.dumps(result[0], allow_nan=False)

    check()


@settings(max_examples=100, deadline=None)
@given(st.one_of(anything, st.fixed_dictionaries({"model": names, "z": st.one_of(anything, st.lists(mixed(-30, 30)))})))
def test_sliders_may_send_anything(payload):
    stage, lines = result_of(vae.move_slider, payload), result_of(vae.slider_lines, payload)
    if stage is not None:
        assert picture_of(stage).size
        assert payload["model"] in lines


@settings(max_examples=50, deadline=None)
@given(st.one_of(anything, st.binary(min_size=SIDE**2, max_size=SIDE**2).map(lambda b: base64.b64encode(b).decode())))
def test_the_pad_may_send_anything(payload):
    ink = DrawPad.preprocess(None, payload)
    assert ink is None or ink.shape == (SIDE, SIDE)


@settings(max_examples=50, deadline=None)
@given(st.one_of(anything, anything.map(lambda index: {"index": index})), mixed(0, 9), mixed(0, 2))
def test_events_may_carry_anything(data, seed, temperature):
    sent = gr.EventData(None, data)
    result_of(vae.choose_sample, "mnist", "full", seed, temperature, sent)
    result_of(vae.encode_test_picture, "mnist", "full", sent)


# --- The lines of Python reproduce the stage ---------------------------------------------------------------------------


def stroke():
    ink = np.zeros((SIDE, SIDE), np.uint8)
    ink[20:120, 65:77] = 255
    return ink


def on_stage(name):
    """(stage, lines) after an action of a visitor."""
    payload = {"model": "vae-mnist", "z": [round(math.sin(i), 3) for i in range(40)]}
    return {
        "opened": lambda: vae.open_model("mnist", "full", 0, 1)[-2:],
        "new samples": lambda: vae.sample_with_new_seed("fashion", "full", 1)[-2:],
        "low temperature": lambda: vae.sample("mnist", "full", 3, 0.5)[-2:],
        "another sample": lambda: vae.choose_sample("avatars", "full", 5, 1, event(index=4))[-2:],
        "a slider": lambda: (vae.move_slider(payload), vae.slider_lines(payload)),
        "reset": lambda: vae.reset("mnist", "2d")[-2:],
        "a test picture": lambda: vae.encode_test_picture("fashion", "full", event(index=7))[-2:],
        "a drawing": lambda: vae.encode_drawing("mnist", "full", stroke())[-2:],
        "the map": lambda: vae.choose_on_map("mnist", 0, 1, event(u=0.25, v=0.75))[-2:],
        "interpolation": lambda: vae.interpolation_to_stage(vae.start_interpolation("mnist", "full")[0], event(step=6, row=0))[
            -2:
        ],
        "another class": lambda: edit(vae.reset("mnist", "full")[0], "class", "4")[-2:],
        "glasses": lambda: edit(vae.reset("avatars", "full")[0], "glasses", "round")[-2:],
    }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "opened",
        "new samples",
        "low temperature",
        "another sample",
        "a slider",
        "reset",
        "a test picture",
        "a drawing",
        "the map",
        "interpolation",
        "another class",
        "glasses",
    ],
)
def test_the_lines_reproduce_the_stage(name, tmp_path, monkeypatch):
    with torch.no_grad():
        stage, lines = on_stage(name)
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(compile(lines, name, "exec"), namespace)
    assert np.abs(gm.pictures.to_bytes(namespace["x"])[0].numpy().astype(int) - picture_of(stage)).max() <= 1
    assert [f.name for f in tmp_path.iterdir()] == ["picture.png"]


# --- The tools --------------------------------------------------------------------------------------------------------


def test_sliders_are_in_the_order_of_their_kl():
    value = vae.sliders_value("vae-mnist", [0.0] * 40)
    kl = gm.vae.load_latents("vae-mnist").kl
    in_order = [kl[i].item() for i, _ in value["dims"]]
    assert in_order == sorted(in_order, reverse=True)
    assert value["unused"] == int((kl < vae.COLLAPSED_NATS).sum())
    assert [f"{kl[i]:.2f} nats" in label for i, label in value["dims"]] == [True] * 40


@pytest.mark.parametrize("dataset", ["mnist", "fashion"])
def test_the_map_shows_what_the_model_decodes(dataset):
    """The sheet's cell at a point is the decoded picture of that point's code."""
    value = vae.latent_map(dataset)
    assert [m["title"] for m in value["maps"]] == ["Autoencoder", "VAE"]
    for m, name in zip(value["maps"], (f"autoencoder-{dataset}", f"vae-{dataset}-2d")):
        cells = np.asarray(Image.open(io.BytesIO(base64.b64decode(m["source"].split(",")[1]))))
        column, row, side = 20, 5, m["columns"]
        x0, x1, y0, y1 = m["bounds"]
        z = torch.tensor([[x0 + (column + 0.5) / side * (x1 - x0), y1 - (row + 0.5) / side * (y1 - y0)]])
        expected = gm.pictures.to_bytes(gm.load(name).decode(z))[0, ..., 0].numpy()
        assert np.abs(cells[row * 28 :, column * 28 :][:28, :28].astype(int) - expected).max() <= 1
        assert len(m["points"].split()) == 3 * 200


def test_faces_have_a_sentence_in_place_of_a_map():
    assert is_sentence(vae.latent_map("avatars")["message"])


def test_an_interpolation_starts_and_ends_at_the_two_pictures():
    memory, frames = vae.start_interpolation("mnist", "full")
    for spherical in (True, False):
        codes = vae.interpolated_codes("vae-mnist", memory["pair"], spherical)
        assert torch.allclose(codes[[0, -1]], torch.tensor(memory["pair"]), atol=1e-5)
    assert (frames["n"], frames["columns"], len(frames["rows"])) == (2 * vae.FRAMES, vae.FRAMES, 2)
    replaced, _ = vae.choose_end("mnist", "full", memory, "last", event(index=9))
    assert replaced["pair"][0] == memory["pair"][0]
    assert replaced["pair"][1] != memory["pair"][1]


def edit(sliders, attribute, target, strength=None, memory=None, other_rows=()):
    """ "Edit attributes": one row's value chosen, or its strength moved. other_rows: (attribute, value, strength)."""
    n = len(vae.EDITABLE)
    targets, strengths = [None] * n, [0.0] * n
    for row_attribute, row_target, row_strength in (*other_rows, (attribute, target, strength)):
        row = vae.EDITABLE.index(row_attribute)
        targets[row] = row_target
        strengths[row] = row_strength
    return vae.edit(vae.EDITABLE.index(attribute), strength is None, sliders, memory, *targets, *strengths)


def test_strength_changes_only_its_own_part_of_the_code():
    """Back at strength 0 the edit is undone, and other changes of the code stay."""
    with torch.no_grad():
        sliders = vae.encode_test_picture("mnist", "full", event(index=1))[2]
        _, memory, *_, after, _, _ = edit(sliders, "class", "7")
        after["z"][3] += 1
        _, memory, *_, undone, _, _ = edit(after, "class", "7", 0.0, memory)
    undone["z"][3] -= 1
    assert np.abs(np.array(undone["z"]) - sliders["z"]).max() < 0.003


def test_edits_add_up_and_start_again_with_another_picture():
    n = len(vae.EDITABLE)
    with torch.no_grad():
        face = vae.encode_test_picture("avatars", "full", event(index=1))[2]
        _, memory, *amounts, one, _, _ = edit(face, "glasses", "round")
        assert amounts == [0, 1.0] + [0] * (n - 2)
        _, memory, *amounts, combined, stage, _ = edit(one, "skin", "dark", 0.5, memory, [("glasses", "round", 1.0)])
        assert (amounts[1], amounts[5]) == (1.0, 0.5)
        assert "Glasses" in stage["caption"] and "Skin" in stage["caption"]
        alone = edit(face, "skin", "dark", 0.5)[-3]
        glasses = np.array(one["z"]) - face["z"]
        assert np.abs(np.array(combined["z"]) - alone["z"] - glasses).max() < 0.01
        other = vae.encode_test_picture("avatars", "full", event(index=2))[2]
        _, _, *amounts, _, _, _ = edit(other, "skin", "dark", 0.5, memory, [("glasses", "round", 1.0)])
        assert (amounts[1], amounts[5]) == (0.0, 0.5)


def test_an_attribute_of_another_dataset_gets_a_sentence():
    with pytest.raises(ValueError, match="attribute must be one of class"):
        edit(vae.reset("mnist", "full")[0], "glasses", "round")


def test_an_empty_drawing_gets_a_sentence():
    for ink in (None, np.zeros((SIDE, SIDE), np.uint8)):
        with pytest.raises(ValueError, match="empty"):
            vae.encode_drawing("mnist", "full", ink)


# --- A checkpoint is missing or broken --------------------------------------------------------------------------------


@pytest.fixture
def copied_checkpoints(tmp_path, monkeypatch):
    """A copy of the checkpoints' folder, made of links, that a test may break; its models are not in any cache."""
    for folder in gm.base.checkpoint_root().iterdir():
        (tmp_path / folder.name).mkdir()
        for file in folder.iterdir():
            (tmp_path / folder.name / file.name).symlink_to(file)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


def opened(dataset):
    return wiring.guarded(vae.open_model, vae.model_error)(dataset, "full", 0, 1)


@pytest.mark.parametrize("damage", ["no folder", "no weights", "truncated", "no latents", "foreign"])
def test_one_broken_model_does_not_affect_the_others(copied_checkpoints, damage):
    folder = copied_checkpoints / "vae-mnist"
    weights = (folder / "model.safetensors").read_bytes()
    for file in {
        "no folder": list(folder.iterdir()),
        "no latents": [folder / "latents.safetensors"],
        "foreign": [folder / "config.json"],
    }.get(damage, [folder / "model.safetensors"]):
        file.unlink()
    if damage == "no folder":
        folder.rmdir()
    elif damage == "truncated":
        (folder / "model.safetensors").write_bytes(weights[:1000])
    elif damage == "foreign":
        (folder / "config.json").write_text('{"family": "submarine"}', encoding="utf-8")
    stage = opened("mnist")[3]
    assert is_sentence(stage["message"])
    assert str(copied_checkpoints) not in stage["message"]
    assert "pixels" in opened("fashion")[3]


def test_a_model_that_appears_is_loaded(copied_checkpoints):
    folder, aside = copied_checkpoints / "vae-mnist", copied_checkpoints / "aside"
    folder.rename(aside)
    assert "message" in opened("mnist")[3]
    aside.rename(folder)
    assert "pixels" in opened("mnist")[3]


def test_a_missing_map_shows_a_sentence_beside_the_other(copied_checkpoints):
    (copied_checkpoints / "autoencoder-mnist" / "config.json").unlink()
    first, second = vae.latent_map("mnist")["maps"]
    assert is_sentence(first["message"])
    assert "source" in second


def test_a_missing_classifier_gets_a_sentence(copied_checkpoints):
    (copied_checkpoints / "classifier-mnist" / "model.safetensors").unlink()
    sliders = vae.reset("mnist", "full")[0]
    with pytest.raises(gr.Error) as error:
        wiring.guarded(edit)(sliders, "class", "3")
    assert is_sentence(error.value.message)


def test_cards_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    assert wiring.poster("vae-mnist") == ""
    assert "missing" in wiring.measured("vae-mnist")
    assert "no card" in vae.about("mnist", "full")
    assert "missing" in vae.augmentation()


# --- Wiring -----------------------------------------------------------------------------------------------------------


def test_a_visitors_input_is_escaped_in_messages():
    def fails():
        raise ValueError("<script>alert(1)</script>")

    with pytest.raises(gr.Error) as error:
        wiring.guarded(fails)()
    assert "<" not in error.value.message


def test_visitors_do_not_disturb_each_other():
    """16 at once, each with a different code: everyone gets the right picture."""
    codes = [[round(math.sin(k + i), 3) for i in range(40)] for k in range(16)]

    def decoded(z):
        return wiring.guarded(vae.move_slider)({"model": "vae-mnist", "z": z})["pixels"]

    one_by_one = [decoded(z) for z in codes]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        concurrent_results = list(pool.map(decoded, codes * 4))
    assert concurrent_results == one_by_one * 4


def streamed(steps, rate=1000):
    """The handler that `Runs.stream` registers with Gradio for a generator function, called with the turn and a number."""
    handlers, stage = [], gr.JSON()
    wiring.Runs(stage).stream(lambda fn, *a, **k: handlers.append(fn), steps, [], [stage, gr.Textbox()], rate=rate)
    return handlers[0]


def counter(until=10, closed=None):
    """A generator function that counts, and yields its last number once more when it is stopped."""

    def steps():
        i = 0
        try:
            for i in range(until):
                yield {"i": i}, "running"
        except wiring.Stopped:
            yield {"i": i}, "stopped"
        finally:
            if closed:
                closed.set()

    return steps


def test_a_stream_is_paced_and_ends_with_the_last_picture():
    started = time.monotonic()
    *outputs, repeated = streamed(counter(200), rate=50)(wiring.Turn(), 1)
    assert outputs[0] == [{"i": 0, "turn": 1}, "running"]
    assert outputs[-1] == [{"i": 199, "turn": 1}, "running"]
    assert repeated == [{"i": 199, "turn": 1}, gr.skip()]  # what Gradio will send once more
    assert len(outputs) < 3 + (time.monotonic() - started) * 50


def test_a_stream_frees_the_lane_between_steps_and_closes_when_abandoned():
    closed = threading.Event()
    running = streamed(counter(closed=closed))(wiring.Turn(), 1)
    next(running)
    assert wiring.guarded(lambda: "free")() == "free"
    running.close()
    assert closed.is_set()


def test_a_visitors_next_action_ends_their_run():
    turn, closed = wiring.Turn(), threading.Event()
    run = streamed(counter(closed=closed))
    first = run(turn, 1)
    next(first)
    second = run(turn, 2)
    next(second)
    assert list(first) == [[{"i": 0, "turn": 1}, gr.skip()]]  # nothing new
    assert closed.is_set()
    assert next(second)[0] == {"i": 1, "turn": 2}
    assert next(run(wiring.Turn(), 1))[0] == {"i": 0, "turn": 1}  # another visitor's
    assert next(second)[0] == {"i": 2, "turn": 2}
    assert list(run(turn, 1)) == [[gr.skip()] * 2]  # it waited in the queue meanwhile


def test_a_refused_action_ends_no_run():
    def refused():
        raise ValueError("No.")
        yield

    turn = wiring.Turn()
    first = streamed(counter())(turn, 1)
    next(first)
    with pytest.raises(gr.Error):
        next(streamed(refused)(turn, 2))
    assert next(first)[0] == {"i": 1, "turn": 1}


def test_a_stopped_run_yields_its_last_state():
    turn = wiring.Turn()
    run = streamed(counter())
    first = run(turn, 1)
    assert [next(first)[0]["i"] for _ in range(3)] == [0, 1, 2]
    turn.stop(2)
    assert list(first) == [[{"i": 2, "turn": 1}, "stopped"], [{"i": 2, "turn": 1}, gr.skip()]]
    assert list(run(turn, 1)) == [[gr.skip()] * 2]  # it waited in the queue when Stop was pressed
    assert next(run(turn, 3))[0] == {"i": 0, "turn": 3}
    turn.stop(None)  # anyone can send anything
    assert not turn.begin(float("nan"))


def test_visitors_end_only_their_own_runs():
    def steps():
        for i in range(1000):
            time.sleep(0.01)
            yield {"i": i}, ""

    with gr.Blocks() as page:
        button, stop, stage, words = gr.Button(), gr.Button(), gr.JSON(), gr.Textbox()
        runs = wiring.Runs(stage)
        runs.stream(button.click, steps, [], [stage, words])
        runs.stop(stop.click)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)

    def post(path, visitor, fn_index, number):
        body = json.dumps({"data": [None, number], "fn_index": fn_index, "session_hash": visitor}).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}gradio_api/{path}", body, {"Content-Type": "application/json"})
        ) as answer:
            answer.read()

    def until(events, word):
        while word not in (line := events.readline()):
            assert line

    try:
        streams = {}
        for visitor in ("one", "other"):
            post("queue/join", visitor, 0, 1)
            streams[visitor] = urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash={visitor}", timeout=20)
            until(streams[visitor], b"process_generating")
        post("run/predict", "one", 1, 2)
        until(streams["one"], b"process_completed")
        for _ in range(5):
            until(streams["other"], b"process_generating")
    finally:
        for events in streams.values():
            events.close()
        page.close()


def test_the_page_is_built_without_torch():
    code = "import sys, app; print('torch' in sys.modules, len(app.demo.fns))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split()[0] == "False"
