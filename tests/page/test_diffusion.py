"""The diffusion tab: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

import base64
import io
import json
import math
import re
import shutil
import threading
import time
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
from tabs import diffusion, wiring
from tabs.components.draw_pad import SIDE
from tabs.components.mask_pad import MaskPad, mask_text

ROOT = Path(__file__).resolve().parent.parent
ENDPOINTS = ("diffusion_sample", "diffusion_noise", "diffusion_edit", "diffusion_inpaint")
ANY = [-1] * 4


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return all_checkpoints


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def controls(dataset="mnist", label=ANY, sampler="dpm", steps=3, guidance=1, eta=0, n=2, seed=0):
    """The values of the tab's controls."""
    return dataset, *label, sampler, steps, guidance, eta, n, seed


def ended(run):
    """The final (stage, lines) of a run."""
    *_, final = run
    return final


def shown(stage, frame=-1):
    """The pictures of one frame: (rows, H', W', C) uint8."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(stage["source"].split(",")[1]))))
    sheet = sheet.reshape(*sheet.shape[:2], -1)
    h, w, frame = stage["h"], stage["w"], frame % stage["columns"]
    return np.stack([sheet[r * h : (r + 1) * h, frame * w : (frame + 1) * w] for r in range(len(stage["rows"]))])


def grid(x):
    """Pictures in a square grid as on the stage, (H', W', C) uint8."""
    return gm.pictures.sheet(x, diffusion.grid_columns(len(x)), gap=1).numpy()


def is_sentence(text):
    return bool(text) and "\n" not in text and "Traceback" not in text and str(ROOT) not in text


def said(run, *values):
    """The error message that a visitor sees."""
    with pytest.raises(gr.Error) as error:
        for _ in wiring.stepwise(run)(*values):
            pass
    assert is_sentence(error.value.message)
    return error.value.message


def stroke():
    ink = np.zeros((SIDE, SIDE), np.uint8)
    ink[20:120, 65:77] = 255
    return ink


# --- What is on the stage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["mnist", "avatars"])
def test_a_run_shows_the_noise_every_step_and_the_predictions(dataset):
    stage, _ = ended(diffusion.generate(*controls(dataset, sampler="ddim", steps=4, seed=5)))
    model = gm.load(f"diffusion-{dataset}")
    steps = list(model.sample_steps(2, sampler="ddim", steps=4, seed=5))
    states = [model.initial_noise(2, seed=5), *(step.x for step in steps)]
    assert stage["numbers"] == [0, 1, 2, 3, 4]
    for k in range(5):
        x, x0, eps = shown(stage, k)
        assert (x == grid(states[k])).all()
        if k < 4:
            assert (x0 == grid(steps[k].x0)).all()
            assert (eps == grid(0.5 + steps[k].eps / 6)).all()
    assert [float(s) for s in stage["levels"].split()] == pytest.approx([1, *(step.sigma for step in steps)], abs=1e-4)


def test_steps_are_streamed_as_single_frames_with_their_number():
    outputs = list(diffusion.generate(*controls(steps=3)))
    assert [out[0]["numbers"] for out in outputs] == [[0], [1], [2], [0, 1, 2, 3]]
    assert [out[0]["live"] for out in outputs] == [True, True, True, False]
    assert outputs[0][1] == diffusion.LINES_PENDING
    for out in outputs[:-1]:  # no nested lists of pixels: Gradio would send them number by number
        assert isinstance(out[0]["source"], str) and isinstance(out[0]["levels"], str)


@pytest.mark.parametrize("run", [diffusion.generate, diffusion.compare_samplers])
def test_a_stopped_run_shows_the_steps_that_it_reached(run):
    whole, _ = ended(run(*controls(steps=5)))
    running = run(*controls(steps=5))
    while (stage := next(running)[0])["numbers"] != [3]:
        pass
    stage, lines = running.throw(wiring.Stopped())
    reached = len(stage["numbers"]) - 1
    assert reached in (2, 3) and stage["numbers"] == [*range(reached + 1)] and not stage["live"]
    assert stage["levels"] == whole["levels"]  # the curve still covers the whole run
    assert (shown(stage) == shown(whole, reached)).all()
    assert lines == diffusion.LINES_STOPPED
    assert list(running) == []


def test_a_long_run_is_shown_with_some_steps_left_out():
    stage, _ = ended(diffusion.generate(*controls("avatars", n=16, steps=20)))
    assert stage["numbers"][0] == 0 and stage["numbers"][-1] == 20
    assert stage["n"] * stage["w"] * stage["h"] * 3 <= diffusion.MAX_PIXELS
    assert len(stage["levels"].split()) == 21


def test_the_same_noise_for_every_sampler_and_guidance():
    noise = grid(gm.load("diffusion-mnist").initial_noise(4, seed=3))
    for run, rows in ((diffusion.compare_samplers, 4), (diffusion.compare_guidances, len(diffusion.GUIDANCES))):
        stage, _ = ended(run(*controls(n=4, steps=2, seed=3)))
        assert len(stage["rows"]) == rows
        assert (shown(stage, 0) == noise).all()
    first, second = (
        ended(diffusion.compare_guidances(*controls(n=n, label=[*label, -1, -1, -1], steps=2)))[1]
        for n, label in ((3, [-1]), (2, [7]))
    )
    assert "label = [0, 1, 2]" in first  # no class was chosen: each sample gets a class of its own
    assert "label = 7" in second


def test_editing_starts_from_the_picture_with_noise():
    source = diffusion.test_picture_source("mnist", 3)
    stage, _ = ended(diffusion.edit(source, 0.5, *controls(seed=4)))
    noisy = gm.load("diffusion-mnist").q_sample(source["x"].expand(2, -1, -1, -1), 0.5, seed=4)
    assert (shown(stage, 0)[0] == grid(noisy)).all()
    pixels = np.frombuffer(base64.b64decode(diffusion.add_noise(source, 0.5, 4)["pixels"]), np.uint8).reshape(28, 28, 1)
    assert (shown(stage, 0)[0][:28, :28] == pixels).all()  # the preview is the first variant


def test_inpainting_keeps_the_unmasked_part():
    source, mask = diffusion.test_picture_source("fashion", 2), np.zeros((28, 28), bool)
    mask[5:20, 8:15] = True
    stage, _ = ended(diffusion.inpaint(source, mask, *controls("fashion", n=1, steps=2)))
    original = gm.pictures.to_bytes(source["x"])[0].numpy()
    assert (shown(stage)[0][~mask] == original[~mask]).all()
    assert (shown(stage)[0][mask] != original[mask]).any()


def test_no_noise_and_all_noise():
    source = diffusion.test_picture_source("mnist", 1)
    clean = np.frombuffer(base64.b64decode(diffusion.add_noise(source, 0, 0)["pixels"]), np.uint8)
    assert (clean == gm.pictures.to_bytes(source["x"]).numpy().ravel()).all()
    assert diffusion.add_noise(source, 1, 0)["caption"] == "0.00 picture + 1.00 noise"


# --- The printed programs compute what is on the stage -----------------------------------------------------------------------


def photograph(folder):
    Image.effect_noise((90, 120), 80).convert("RGB").save(folder / "a photo's.png")
    return str(folder / "a photo's.png")


RUNS = {  # a visitor's action -> (stage, lines)
    "opened": lambda _: diffusion.open_dataset("mnist")[-2:],
    "a class": lambda _: ended(diffusion.generate(*controls(label=[7, -1, -1, -1], guidance=2.5, seed=9))),
    "eta": lambda _: ended(diffusion.generate(*controls("fashion", sampler="ddim", eta=0.5))),
    "a face": lambda _: ended(diffusion.generate(*controls("avatars", label=[1, 2, -1, 3], sampler="heun"))),
    "samplers": lambda _: ended(diffusion.compare_samplers(*controls(label=[3, -1, -1, -1], eta=0.3, guidance=2))),
    "guidance": lambda _: ended(diffusion.compare_guidances(*controls())),
    "guidance of faces": lambda _: ended(diffusion.compare_guidances(*controls("avatars", sampler="ddpm", steps=2))),
    "a test picture": lambda _: ended(diffusion.edit(diffusion.test_picture_source("mnist", 4), 0.4, *controls())),
    "a drawing": lambda _: ended(diffusion.edit(diffusion.drawing_source("mnist", stroke()), 0.6, *controls(sampler="ddpm"))),
    "an upload": lambda folder: ended(
        diffusion.edit(diffusion.upload_source("avatars", photograph(folder)), 0.6, *controls("avatars"))
    ),
    "inpainting": lambda _: ended(
        diffusion.inpaint(diffusion.test_picture_source("avatars", 4), diffusion.lower_half(64), *controls("avatars", steps=2))
    ),
    "inpainting a drawing": lambda _: ended(
        diffusion.inpaint(
            diffusion.drawing_source("fashion", stroke()), diffusion.lower_half(28), *controls("fashion", [5, -1, -1, -1])
        )
    ),
}


@pytest.mark.parametrize("name", list(RUNS))
def test_the_lines_compute_what_is_on_the_stage(name, tmp_path, monkeypatch):
    with torch.no_grad():
        stage, lines = RUNS[name](tmp_path)
    monkeypatch.chdir(tmp_path)
    namespace = {}
    exec(compile(lines, name, "exec"), namespace)
    pictures = shown(stage)[:1] if stage["rows"] == diffusion.VIEWS else shown(stage)
    x = namespace["x"].chunk(len(pictures))
    assert np.abs(np.stack([grid(row) for row in x]).astype(int) - pictures).max() <= 1
    assert (tmp_path / "picture.png").is_file()


# --- Controls ---------------------------------------------------------------------------------------------------------


def test_the_tab_opens_with_a_finished_run_and_the_models_attributes():
    for dataset, titles in (("mnist", ["Class"]), ("avatars", ["Smile", "Glasses", "Hair colour", "Hair length"])):
        *updates, stage, lines = diffusion.open_dataset(dataset)
        assert not stage["live"] and "model.sample(" in lines
        assert [u["label"] for u in updates[:4] if u["visible"]] == titles
        assert ("any", -1) in updates[0]["choices"]
        assert ("one of each" in dict(updates[0]["choices"])) == (dataset == "mnist")
    assert [len(u["choices"]) for u in updates[:4]] == [3, 6, 10, 5]


def test_one_of_each_class_in_turn_but_no_class_for_a_given_picture():
    options = diffusion.sampling_options(*controls(label=[diffusion.EACH, -1, -1, -1], n=12))
    assert options.labels == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert options.for_one_picture().labels is None
    assert f"label={options.labels}" in ended(diffusion.generate(*controls(label=[diffusion.EACH, -1, -1, -1], n=12)))[1]
    with pytest.raises(ValueError, match="label must be"):
        diffusion.sampling_options(*controls("avatars", label=[diffusion.EACH, -1, -1, -1]))


def test_more_steps_for_ddpm_and_eta_for_ddim_alone():
    for sampler, max_steps, has_eta in (("ddpm", 250, False), ("dpm", 64, False), ("ddim", 64, True), ("heun", 64, False)):
        steps, eta = diffusion.choose_sampler(sampler, 100)
        assert (steps["maximum"], steps["value"], eta["visible"]) == (max_steps, min(100, max_steps), has_eta)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "dogs"}, "dataset"),
        ({"dataset": None}, "dataset"),
        ({"label": [10, -1, -1, -1]}, "label must be"),
        ({"label": ["seven", -1, -1, -1]}, "label must be"),
        ({"sampler": "euler"}, "sampler must be"),
        ({"steps": 65}, "1 to 64"),
        ({"steps": 251, "sampler": "ddpm"}, "1 to 250"),
        ({"steps": math.nan}, "steps"),
        ({"steps": 0}, "steps"),
        ({"guidance": -1}, "guidance"),
        ({"guidance": math.nan}, "guidance"),
        ({"guidance": 11}, "guidance"),
        ({"eta": 2}, "eta"),
        ({"n": 17}, "1 to 16"),
        ({"n": True}, "1 to 16"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
        ({"label": [1, -1, -1, -1], "sampler": "ddpm", "steps": 250, "n": 16, "guidance": 2}, "at most 4,096"),
    ],
)
def test_invalid_controls_get_an_error_message(values, message):
    for run in (diffusion.generate, diffusion.compare_samplers, diffusion.compare_guidances):
        if "at most" not in message or run is diffusion.generate:
            assert message in said(run, *controls(**values))


def test_the_work_of_every_run_is_bounded():
    expensive = controls(sampler="ddpm", n=16, steps=250, label=[1, -1, -1, -1], guidance=3)
    source, mask = diffusion.test_picture_source("mnist", 0), diffusion.lower_half(28)
    for run, *values in (
        (diffusion.compare_samplers,),
        (diffusion.compare_guidances,),
        (diffusion.edit, source, 0.5),
        (diffusion.inpaint, source, mask),
    ):
        assert "at most 4,096" in said(run, *values, *expensive)


def test_a_picture_must_be_chosen_first():
    assert "Choose a picture" in said(diffusion.edit, None, 0.5, *controls())
    assert "Choose a picture" in said(diffusion.edit, diffusion.test_picture_source("fashion", 0), 0.5, *controls())
    assert "Paint over" in said(diffusion.inpaint, diffusion.test_picture_source("mnist", 0), None, *controls())
    assert "Paint over" in said(
        diffusion.inpaint, diffusion.test_picture_source("mnist", 0), np.zeros((28, 28), bool), *controls()
    )
    assert "mask must be" in said(
        diffusion.inpaint, diffusion.test_picture_source("mnist", 0), np.ones((5, 5), bool), *controls()
    )
    assert "strength" in said(diffusion.edit, diffusion.test_picture_source("mnist", 0), 0, *controls())
    for ink in (None, np.zeros((SIDE, SIDE), np.uint8)):
        with pytest.raises(ValueError, match="empty"):
            diffusion.drawing_source("mnist", ink)


def test_the_mask_stays_when_another_picture_is_chosen():
    mask = np.zeros((28, 28), bool)
    mask[3:9, 4:8] = True
    chosen = diffusion.choose_test("mnist", 0.5, 0, mask, gr.EventData(None, {"index": 2}))[2]
    assert (MaskPad.preprocess(None, chosen) == mask).all()
    faces = diffusion.choose(diffusion.test_picture_source("avatars", 0), 0.5, 0, mask)[2]  # of another size: the default mask
    assert (MaskPad.preprocess(None, faces) == diffusion.lower_half(64)).all()


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


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        anything,
        anything.map(lambda mask: {"mask": mask}),
        st.binary(max_size=100).map(lambda b: {"mask": base64.b64encode(b).decode()}),
    )
)
def test_the_mask_may_be_anything(payload):
    mask = MaskPad.preprocess(None, payload)
    assert mask is None or mask.dtype == bool and mask.shape[0] == mask.shape[1]


def test_a_mask_and_its_text():
    mask = diffusion.lower_half(28)
    assert (MaskPad.preprocess(None, {"mask": mask_text(mask)}) == mask).all()
    assert MaskPad.preprocess(None, {"mask": mask_text(np.ones((300, 300)))}) is None


# --- Quality, cards, missing checkpoints ------------------------------------------------------------------------------


@pytest.fixture
def own_checkpoints(checkpoints, tmp_path, monkeypatch):
    """A folder with copies of the diffusion checkpoints, which a test may damage."""
    for name in diffusion.MODELS:
        shutil.copytree(checkpoints / name, tmp_path / name)
        (tmp_path / name / "calls.json").unlink(missing_ok=True)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


def test_quality_against_function_evaluations(own_checkpoints):
    file = own_checkpoints / "diffusion-mnist" / "calls.json"
    for text in (None, "", "[]", '{"rows": 3}', '{"rows": [{}], "floor": {"fid": 1}}'):
        if text is not None:
            file.write_text(text, encoding="utf-8")
        assert is_sentence(diffusion.quality("mnist")["message"])
    rows = [{"sampler": s, "calls": c, "steps": c, "fid": 100 / c} for s in ("ddpm", "dpm") for c in (16, 4)]
    file.write_text(json.dumps({"floor": {"fid": 0.5}, "best": 6.25, "rows": rows}), encoding="utf-8")
    value = diffusion.quality("mnist")
    assert value["lines"] == [["DPM-Solver++", [[4, 25], [16, 6.25]]], ["DDPM", [[4, 25], [16, 6.25]]]]
    assert value["floor"] == 0.5


@pytest.mark.parametrize("damage", ["no folder", "no weights", "truncated"])
def test_one_missing_model_leaves_the_others(own_checkpoints, damage):
    folder = own_checkpoints / "diffusion-avatars"
    if damage == "no folder":
        shutil.rmtree(folder)
    elif damage == "no weights":
        (folder / "model.safetensors").unlink()
    else:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    faces = wiring.guarded(diffusion.open_dataset, diffusion.show_dataset_error)("avatars")
    assert is_sentence(faces[-2]["message"]) and str(own_checkpoints) not in faces[-2]["message"]
    assert is_sentence(wiring.guarded(diffusion.open_tools, diffusion.show_tools_error)("avatars", 0.5)[-2]["message"])
    said(diffusion.generate, *controls("avatars"))
    assert "source" in wiring.guarded(diffusion.open_dataset, diffusion.show_dataset_error)("fashion")[-2]
    if damage == "no folder":
        assert "no card" in diffusion.about("avatars")


# --- A visitor who leaves ---------------------------------------------------------------------------------------------


def test_a_visitor_who_leaves_stops_the_computation(monkeypatch):
    """The connection is closed in the middle of a run, as when a window is closed: no further step is computed."""
    model, steps, closed = gm.load("diffusion-mnist"), [], threading.Event()

    class Slow:  # the model, slow enough to leave during a run
        initial_noise, labels, classes = model.initial_noise, model.labels, model.classes

        def sample_steps(self, *args, **options):
            try:
                for step in model.sample_steps(*args, **options):
                    time.sleep(0.05)
                    steps.append(step.t)
                    yield step
            finally:
                closed.set()

    monkeypatch.setattr(diffusion, "model_of", lambda dataset: Slow())
    with gr.Blocks() as page:
        button, stage, lines = gr.Button(), gr.JSON(), gr.Textbox()
        wiring.Runs(stage).stream(
            button.click, lambda: diffusion.generate(*controls(sampler="ddpm", steps=250)), [], [stage, lines]
        )
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)
    try:
        request = {"data": [None, 1], "fn_index": 0, "session_hash": "leaves"}
        urllib.request.urlopen(
            urllib.request.Request(
                f"{url}gradio_api/queue/join", json.dumps(request).encode(), {"Content-Type": "application/json"}
            )
        ).close()
        with urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=leaves") as events:
            while b"process_generating" not in events.readline():
                pass
        assert closed.wait(10)
        assert 0 < len(steps) < 200
    finally:
        page.close()


# --- Endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_parameter_has_a_default(client, name):
    result = client.predict(api_name=f"/{name}")
    picture = Image.open(result[-1] if isinstance(result, (list, tuple)) else result)
    assert picture.format == "PNG"
    assert np.asarray(picture).std() > 5


def test_every_endpoint_is_described(client):
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name for name in described if "diffusion" in name} == {f"/{name}" for name in ENDPOINTS}
    assert all(p["parameter_has_default"] for name in ENDPOINTS for p in described[f"/{name}"]["parameters"])
    with urllib.request.urlopen(client.src.rstrip("/") + "/gradio_api/openapi.json") as answer:
        text = answer.read().decode()
    for name in ENDPOINTS:
        function = getattr(diffusion, name)
        assert function.__doc__.split("\n")[0] in text
        parameters = [p["parameter_name"] for p in described[f"/{name}"]["parameters"]]
        assert parameters == re.findall(r"^        (\w+):", function.__doc__.split("Returns:")[0], re.M)


def test_the_same_seed_gives_the_same_picture(client):
    first, same, different = (
        Path(client.predict(n=2, steps=2, seed=s, api_name="/diffusion_sample")).read_bytes() for s in (7, 7, 8)
    )
    assert first == same
    assert first != different


def test_an_endpoint_returns_the_models_samples(checkpoints):
    label = {"label": [1, -1, 8, -1]}
    x = gm.load("diffusion-avatars").sample(2, **label, steps=2, guidance=2.0, seed=3)
    *_, picture = diffusion.diffusion_sample("diffusion-avatars", 2, "smiling=yes, hair_color=pink", "dpm", 2, 2, 0, 3)
    assert picture == gm.pictures.grid(x, 2, scale=4)
    assert diffusion.parse_label("fashion", "ankle boot") == [9, -1, -1, -1]


def test_a_mask_from_a_file(client, tmp_path):
    mask = Image.new("L", (300, 200))
    mask.paste(255, (0, 0, 150, 200))  # the left half
    mask.save(tmp_path / "mask.png")
    file = client.predict(
        mask=handle_file(tmp_path / "mask.png"), n=1, steps=2, test_picture_number=5, api_name="/diffusion_inpaint"
    )
    inpainted = np.asarray(Image.open(file))[::4, ::4]
    original = gm.pictures.to_bytes(gm.data.samples("mnist").floats()[5:6])[0, ..., 0].numpy()
    assert (inpainted[:28, 14:28] == original[:, 14:]).all()
    assert (inpainted[:28, :14] != original[:, :14]).any()


BAD = [
    ("/diffusion_sample", {"model": "vae-mnist"}),
    ("/diffusion_sample", {"model": "../diffusion-mnist"}),
    ("/diffusion_sample", {"n": 17}),
    ("/diffusion_sample", {"n": 1.5}),
    ("/diffusion_sample", {"n": None}),
    ("/diffusion_sample", {"label": "<b>cat</b>"}),
    ("/diffusion_sample", {"label": "glasses=round"}),
    ("/diffusion_sample", {"model": "diffusion-avatars", "label": "round"}),
    ("/diffusion_sample", {"label": None}),
    ("/diffusion_sample", {"sampler": "euler"}),
    ("/diffusion_sample", {"sampler": ["ddpm"]}),
    ("/diffusion_sample", {"steps": 65}),
    ("/diffusion_sample", {"steps": 1e9}),
    ("/diffusion_sample", {"steps": "many"}),
    ("/diffusion_sample", {"guidance": 10.5}),
    ("/diffusion_sample", {"eta": -0.1}),
    ("/diffusion_sample", {"seed": -1}),
    ("/diffusion_sample", {"n": 16, "sampler": "ddpm", "steps": 250, "guidance": 2, "label": "7"}),
    ("/diffusion_noise", {"t": 1.5}),
    ("/diffusion_noise", {"t": None}),
    ("/diffusion_noise", {"test_picture_number": 10**6}),
    ("/diffusion_noise", {"picture": 5}),
    ("/diffusion_edit", {"strength": 0}),
    ("/diffusion_edit", {"strength": 2}),
    ("/diffusion_edit", {"n": 0}),
    ("/diffusion_inpaint", {"resample": 0}),
    ("/diffusion_inpaint", {"mask": "lower"}),
    ("/diffusion_inpaint", {"n": 16, "steps": 64, "resample": 20}),
    ("/diffusion_inpaint", {"steps": 65}),
]


@pytest.mark.parametrize(("name", "values"), BAD)
def test_bad_input_gets_an_error_message(client, name, values):
    with pytest.raises(AppError) as error:
        client.predict(**values, api_name=name)
    assert is_sentence(str(error.value))
    assert "show_error" not in str(error.value)  # Gradio's message for unexpected exceptions
    assert "<b>" not in str(error.value)


def test_bad_masks_get_an_error_message(client, tmp_path):
    Image.new("L", (30, 30)).save(tmp_path / "black.png")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    for file, message in (("black.png", "empty"), ("huge.png", "16 megapixels")):
        with pytest.raises(AppError, match=message):
            client.predict(mask=handle_file(tmp_path / file), api_name="/diffusion_inpaint")


def mixed(low, high):
    """Valid numbers, slightly invalid numbers, or no numbers."""
    return st.one_of(st.integers(low, high), st.floats(low, high), anything)


names = st.one_of(st.sampled_from(diffusion.MODELS), anything)
files = st.one_of(st.none(), anything)
labels = st.one_of(st.sampled_from(["any", "7", "bag", "smiling=yes"]), anything)
samplers = st.one_of(st.sampled_from(list(gm.diffusion.SAMPLERS)), anything)
PROPERTIES = {
    "diffusion_sample": (names, mixed(1, 2), labels, samplers, mixed(1, 2), mixed(0, 9), mixed(0, 1), mixed(0, 9)),
    "diffusion_noise": (names, files, mixed(0, 199), mixed(0, 1), mixed(0, 9)),
    "diffusion_edit": (
        names,
        files,
        mixed(0, 199),
        mixed(0, 1),
        mixed(1, 2),
        labels,
        samplers,
        mixed(1, 2),
        mixed(0, 9),
        mixed(0, 9),
    ),
    "diffusion_inpaint": (
        names,
        files,
        mixed(0, 199),
        files,
        mixed(1, 2),
        labels,
        mixed(1, 2),
        mixed(1, 2),
        mixed(0, 9),
        mixed(0, 9),
    ),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_any_input_gives_a_picture_or_an_error_message(name):
    endpoint = getattr(diffusion, name)
    streams = name != "diffusion_noise"

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*PROPERTIES[name]))
    def check(values):
        result = error = None
        try:
            *_, result = wiring.stepwise(endpoint)(*values) if streams else [wiring.guarded(endpoint)(*values)]
        except gr.Error as e:
            error = e
        if error:
            assert is_sentence(error.message) and "<" not in error.message
        else:
            assert isinstance(result[-1] if isinstance(result, tuple) else result, Image.Image)

    check()
