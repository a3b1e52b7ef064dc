"""The diffusion tab: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

import base64
import json
import math
import shutil
import threading
import time
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from helpers import (
    anything,
    as_endpoint,
    assert_described,
    event,
    is_sentence,
    last,
    nearly,
    photograph,
    raw_of,
    refusal,
    run_program,
    sheet_of,
    stroke,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import diffusion, events, labels, programs, sources
from tabs.components import line
from tabs.components.draw_pad import SIDE
from tabs.components.mask_pad import MaskPad, mask_text
from tabs.diffusion import compare, editing, frames, inpainting, quality, sampling
from tabs.diffusion.data import DIFFUSION


def controls(dataset="mnist", label="any", sampler="dpm", steps=3, guidance=1, eta=0, n=2, seed=0):
    """The values of the tab's controls. label: one of a class, or a list of them: of each menu."""
    menus = [label] if isinstance(label, str) else label
    menus = dict(zip(labels.MENUS, [*menus, "any", "any", "any", "any"]))
    return {
        **menus,
        "dataset": dataset,
        "sampler": sampler,
        "steps": steps,
        "guidance": guidance,
        "eta": eta,
        "n": n,
        "seed": seed,
    }


def shown(stage, frame=-1):
    """The pictures of one frame: (rows, H', W', 3) uint8."""
    pictures = sheet_of(stage)
    return pictures.reshape(len(stage["rows"]), stage["columns"], *pictures.shape[1:])[:, frame]


def grid(x):
    """Pictures in a square grid as on the stage, (H', W', C) uint8."""
    return gm.pictures.sheet(x, frames.columns(len(x)), gap=1).numpy()


def same(a, b):
    """Whether two pictures differ by one grey level at most."""
    return np.abs(a.astype(int) - b).max() <= 1


# --- What is on the stage ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["mnist", "avatars"])
def test_a_run_shows_the_noise_every_step_and_the_predictions(dataset):
    stage = last(sampling.generate(**controls(dataset, sampler="ddim", steps=4, seed=5)))["stage"]
    model = gm.load(f"diffusion-{dataset}")
    steps = list(model.sample_steps(2, sampler="ddim", steps=4, seed=5))
    states = [model.initial_noise(2, seed=5), *(step.x for step in steps)]
    assert stage["numbers"] == [0, 1, 2, 3, 4]
    for k in range(5):
        x, x0, eps = shown(stage, k)
        assert same(x, grid(states[k]))
        if k < 4:
            assert same(x0, grid(steps[k].x0))
            assert same(eps, grid(0.5 + steps[k].eps / 6))
    assert [float(s) for s in stage["levels"].split()] == pytest.approx([1, *(step.sigma for step in steps)], abs=1e-4)


def test_steps_are_streamed_as_single_frames_with_their_number():
    outputs = list(sampling.generate(**controls(steps=3)))
    stages = [out["stage"] for out in outputs]
    assert [stage["numbers"] for stage in stages] == [[0], [1], [2], [0, 1, 2, 3]]
    assert [stage["live"] for stage in stages] == [True, True, True, False]
    assert [out.get("lines") for out in outputs[:-1]] == [programs.PENDING, None, None]
    for stage in stages[:-1]:  # no nested lists of pixels: Gradio would send them number by number
        assert isinstance(stage["source"], str) and isinstance(stage["levels"], str)


@pytest.mark.parametrize("run", [sampling.generate, compare.compare_samplers])
def test_a_stopped_run_shows_the_steps_that_it_reached(run):
    whole = last(run(**controls(steps=5)))["stage"]
    running = run(**controls(steps=5))
    while next(running)["stage"]["numbers"] != [3]:
        pass
    final = running.throw(events.Stopped())
    stage, lines = final["stage"], final["lines"]
    reached = len(stage["numbers"]) - 1
    assert reached in (2, 3) and stage["numbers"] == [*range(reached + 1)] and not stage["live"]
    assert stage["levels"] == whole["levels"]  # the curve still covers the whole run
    assert same(shown(stage), shown(whole, reached))
    assert lines == programs.STOPPED
    assert list(running) == []


def test_a_long_run_is_shown_with_some_steps_left_out():
    stage = last(sampling.generate(**controls("avatars", n=16, steps=20)))["stage"]
    assert stage["numbers"][0] == 0 and stage["numbers"][-1] == 20
    assert stage["n"] * stage["w"] * stage["h"] * 3 <= frames.MAX_PIXELS
    assert len(stage["levels"].split()) == 21


def test_the_same_noise_for_every_sampler_and_guidance():
    noise = grid(gm.load("diffusion-mnist").initial_noise(4, seed=3))
    for run, rows in ((compare.compare_samplers, 4), (compare.compare_guidances, len(compare.GUIDANCES))):
        stage = last(run(**controls(n=4, steps=2, seed=3)))["stage"]
        assert len(stage["rows"]) == rows
        assert same(shown(stage, 0), noise)
    first, second = (
        last(compare.compare_guidances(**controls(n=n, label=label, steps=2)))["lines"] for n, label in ((3, "any"), (2, "7"))
    )
    assert "label = [0, 1, 2]" in first  # no class was chosen: each sample gets a class of its own
    assert "label = 7" in second


def test_editing_starts_from_the_picture_with_noise():
    source = sources.test_picture("mnist", 3)
    stage = last(editing.edit(source=source, strength=0.5, **controls(seed=4)))["stage"]
    noisy = gm.load("diffusion-mnist").q_sample(source["x"].expand(2, -1, -1, -1), 0.5, seed=4)
    assert same(shown(stage, 0)[0], grid(noisy))
    preview = raw_of(editing.show_noise(source, t=0.5, seed=4)["noisy"])
    assert same(shown(stage, 0)[0][:28, :28], preview)  # the preview is the first variant
    levels = [float(level) for level in stage["levels"].split()]  # from the noise that was added to none, step by step
    n, times = len(levels), torch.tensor([0.5 * (1 - i / (len(levels) - 1)) for i in range(len(levels))])
    assert levels == pytest.approx(gm.diffusion.alpha_sigma(times)[1].tolist(), abs=1e-4) and n == stage["numbers"][-1] + 1


def test_inpainting_keeps_the_unmasked_part():
    source, mask = sources.test_picture("fashion", 2), np.zeros((28, 28), bool)
    mask[5:20, 8:15] = True
    stage = last(inpainting.inpaint(source=source, mask=mask, **controls("fashion", n=1, steps=2)))["stage"]
    original = gm.pictures.to_bytes(source["x"])[0].numpy()
    assert (shown(stage)[0][~mask] == original[~mask]).all()
    assert (shown(stage)[0][mask] != original[mask]).any()


def test_no_noise_and_all_noise():
    source = sources.test_picture("mnist", 1)
    clean = raw_of(editing.show_noise(source, t=0, seed=0)["noisy"])
    assert same(clean, gm.pictures.to_bytes(source["x"])[0].numpy())
    assert editing.show_noise(source, t=1, seed=0)["noisy"]["caption"] == "0.00 picture + 1.00 noise"


# --- The printed programs compute what is on the stage -----------------------------------------------------------------------


def upload(folder):
    """The path of a file whose name must be escaped."""
    return str(Path(photograph(folder)).rename(folder / "a photo's.png"))


def edited(source, t, **options):
    return last(editing.edit(source=source, strength=t, **controls(source["dataset"], **options)))


def inpainted(source, **options):
    mask = inpainting.lower_half(source["x"].shape[-1])
    return last(inpainting.inpaint(source=source, mask=mask, **controls(source["dataset"], **options)))


FACE = ["yes", "square", "any", "long"]
RUNS = {  # a visitor's action -> stage, lines
    "opened": lambda _: sampling.open_dataset("mnist"),
    "a class": lambda _: last(sampling.generate(**controls(label="7", guidance=2.5, seed=9))),
    "eta": lambda _: last(sampling.generate(**controls("fashion", sampler="ddim", eta=0.5))),
    "a face": lambda _: last(sampling.generate(**controls("avatars", label=FACE, sampler="heun"))),
    "samplers": lambda _: last(compare.compare_samplers(**controls(label="3", eta=0.3, guidance=2))),
    "guidance": lambda _: last(compare.compare_guidances(**controls())),
    "guidance of faces": lambda _: last(compare.compare_guidances(**controls("avatars", sampler="ddpm", steps=2))),
    "a test picture": lambda _: edited(sources.test_picture("mnist", 4), 0.4),
    "a drawing": lambda _: edited(sources.drawing("mnist", stroke()), 0.6, sampler="ddpm"),
    "an upload": lambda folder: edited(sources.upload("avatars", upload(folder)), 0.6),
    "inpainting": lambda _: inpainted(sources.test_picture("avatars", 4), steps=2),
    "inpainting a drawing": lambda _: inpainted(sources.drawing("fashion", stroke()), label="sandal"),
}


@pytest.mark.parametrize("name", list(RUNS))
def test_the_lines_compute_what_is_on_the_stage(name, tmp_path, monkeypatch):
    with torch.no_grad():
        result = RUNS[name](tmp_path)
    stage = result["stage"]
    namespace = run_program(result["lines"], tmp_path, monkeypatch)
    pictures = shown(stage)[:1] if stage["rows"] == frames.VIEWS else shown(stage)
    x = namespace["x"].chunk(len(pictures))
    assert same(np.stack([grid(row) for row in x]), pictures)
    assert (tmp_path / "picture.png").is_file()


# --- Controls ---------------------------------------------------------------------------------------------------------


def test_the_tab_opens_with_a_finished_run_and_the_models_attributes():
    for dataset, titles in (("mnist", ["Class"]), ("avatars", ["Smile", "Glasses", "Hair colour", "Hair length"])):
        opened = sampling.open_dataset(dataset)
        menus = [opened[name] for name in labels.MENUS]
        assert not opened["stage"]["live"] and "model.sample(" in opened["lines"]
        assert [menu["label"] for menu in menus if menu["visible"]] == titles
        assert ("any", "any") in menus[0]["choices"]
        assert ("one of each" in dict(menus[0]["choices"])) == (dataset == "mnist")
        assert [menu["value"] for menu in menus] == ["each" if dataset == "mnist" else "any", "any", "any", "any"]
        assert (opened["n"], opened["seed"], opened["eta"]["visible"]) == (9 if dataset == "mnist" else 4, 0, False)
    assert [len(menu["choices"]) for menu in menus] == [3, 6, 10, 5]


def test_one_of_each_class_in_turn_but_no_class_for_a_given_picture():
    each = controls(label="each", n=12)
    values = {name: value for name, value in each.items() if name != "dataset"}
    label = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert sampling.read("mnist", values)[1] == label
    assert sampling.read("mnist", values, editing.Editing)[1] is None
    assert f"label={label}" in last(sampling.generate(**each))["lines"]
    with pytest.raises(ValueError, match="Smile must be one of no, yes"):
        sampling.read("avatars", values)


def test_a_wrong_label_is_named_as_on_the_page_or_as_in_the_api():
    conditions = {"smiling": ["no", "yes"], "hat": ["cat"]}
    for text, title, name in (("smiling=cat", "Smile", "smiling in label"), ("round", "Attribute", "the attribute in label")):
        with pytest.raises(ValueError, match=f"^{title} must be one of") as error:
            labels.for_pictures(conditions, text, 2)
        assert error.value.by_name.startswith(f"{name} must be one of") and is_sentence(error.value.by_name)


def test_more_steps_for_ddpm_and_eta_for_ddim_alone():
    for sampler, max_steps, has_eta in (("ddpm", 250, False), ("dpm", 64, False), ("ddim", 64, True), ("heun", 64, False)):
        updates = sampling.choose_sampler(sampler, 100)
        steps, eta = updates["steps"], updates["eta"]
        assert (steps["maximum"], steps["value"], eta["visible"]) == (max_steps, min(100, max_steps), has_eta)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "dogs"}, "Dataset must be"),
        ({"dataset": None}, "Dataset must be"),
        ({"label": [10]}, "Class must be"),
        ({"label": "seven"}, "Class must be"),
        ({"dataset": "avatars", "label": ["any", "pink"]}, "Glasses must be one of none, round"),
        ({"sampler": "euler"}, "Sampler must be"),
        ({"steps": 65}, "1 to 64"),
        ({"steps": 251, "sampler": "ddpm"}, "1 to 250"),
        ({"steps": math.nan}, "Steps must be"),
        ({"steps": 0}, "Steps must be"),
        ({"guidance": -1}, "Guidance scale must be"),
        ({"guidance": math.nan}, "Guidance scale must be"),
        ({"guidance": 11}, "Guidance scale must be"),
        ({"eta": 2}, "Eta must be"),
        ({"n": 17}, "Samples must be a whole number from 1 to 16"),
        ({"n": True}, "Samples must be"),
        ({"seed": -1}, "Seed must be"),
        ({"seed": None}, "Seed must be"),
        ({"label": "1", "sampler": "ddpm", "steps": 250, "n": 16, "guidance": 2}, "at most 4,096"),
    ],
)
def test_invalid_controls_get_an_error_message(values, message):
    for run in (sampling.generate, compare.compare_samplers, compare.compare_guidances):
        if "at most" not in message or run is sampling.generate:
            assert message in refusal(run, **controls(**values))


def test_the_work_of_every_run_is_bounded():
    expensive = controls(sampler="ddpm", n=16, steps=250, label="1", guidance=3)
    source, mask = sources.test_picture("mnist", 0), inpainting.lower_half(28)
    for run, values in (
        (compare.compare_samplers, {}),
        (compare.compare_guidances, {}),
        (editing.edit, {"source": source, "strength": 0.5}),
        (inpainting.inpaint, {"source": source, "mask": mask}),
    ):
        assert "at most 4,096" in refusal(run, **values, **expensive)


def test_a_picture_must_be_chosen_first():
    source = sources.test_picture("mnist", 0)
    assert "Choose a picture" in refusal(editing.edit, source=None, strength=0.5, **controls())
    assert "Choose a picture" in refusal(editing.edit, source=sources.test_picture("fashion", 0), strength=0.5, **controls())
    for mask in (None, np.zeros((28, 28), bool)):
        assert "Paint over" in refusal(inpainting.inpaint, source=source, mask=mask, **controls())
    assert "mask must be" in refusal(inpainting.inpaint, source=source, mask=np.ones((5, 5), bool), **controls())
    for t in (0, None, 2):
        assert "Time t must be a number from 0.01 to 1" in refusal(editing.edit, source=source, strength=t, **controls())
    for ink in (None, np.zeros((SIDE, SIDE), np.uint8)):
        with pytest.raises(ValueError, match="empty"):
            sources.drawing("mnist", ink)


def test_the_mask_stays_when_another_picture_is_chosen():
    mask = np.zeros((28, 28), bool)
    mask[3:9, 4:8] = True
    chosen = editing.PICTURES.choose_test_picture(event(index=2), "mnist", mask=mask, t=0.5, seed=0)["mask"]
    assert (MaskPad.preprocess(None, chosen) == mask).all()
    faces = editing.choose(sources.test_picture("avatars", 0), mask, t=0.5, seed=0)["mask"]  # of another size: the default mask
    assert (MaskPad.preprocess(None, faces) == inpainting.lower_half(64)).all()


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
    mask = inpainting.lower_half(28)
    assert (MaskPad.preprocess(None, {"mask": mask_text(mask)}) == mask).all()
    assert MaskPad.preprocess(None, {"mask": mask_text(np.ones((300, 300)))}) is None


# --- Quality, cards, missing checkpoints ------------------------------------------------------------------------------


@pytest.fixture
def own_checkpoints(checkpoints, tmp_path, monkeypatch):
    """A folder with copies of the diffusion checkpoints, which a test may damage."""
    for name in DIFFUSION.models:
        shutil.copytree(checkpoints / name, tmp_path / name)
        (tmp_path / name / "calls.json").unlink(missing_ok=True)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


def test_quality_against_function_evaluations(own_checkpoints):
    file = own_checkpoints / "diffusion-mnist" / "calls.json"
    for text in (None, "", "[]", '{"rows": 3}', '{"rows": [{}], "floor": {"fid": 1}}'):
        if text is not None:
            file.write_text(text, encoding="utf-8")
        assert is_sentence(quality.show("mnist")["chart"]["message"])
    rows = [{"sampler": s, "calls": c, "steps": c, "fid": 100 / c} for s in ("ddpm", "dpm") for c in (16, 4)]
    file.write_text(json.dumps({"n": 3000, "floor": {"fid": 0.5}, "best": 6.25, "rows": rows}), encoding="utf-8")
    value = quality.show("mnist")["chart"]
    assert value["lines"] == [line(title, [(4, 25), (16, 6.25)]) for title in ("DPM-Solver++", "DDPM")]
    assert value["floor"] == 0.5 and "FID of 3,000 pictures" in value["y"]


@pytest.mark.parametrize("damage", ["no folder", "no weights", "truncated"])
def test_one_missing_model_leaves_the_others(own_checkpoints, damage):
    folder = own_checkpoints / "diffusion-avatars"
    if damage == "no folder":
        shutil.rmtree(folder)
    elif damage == "no weights":
        (folder / "model.safetensors").unlink()
    else:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    assert str(own_checkpoints) not in refusal(sampling.open_dataset, "avatars")
    refusal(editing.open_dataset, "avatars", 0.5)
    refusal(sampling.generate, **controls("avatars"))
    assert "source" in sampling.open_dataset("fashion")["stage"]
    if damage == "no folder":
        assert "no card" in DIFFUSION.card("avatars")["card"]


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

    monkeypatch.setattr(DIFFUSION, "load", lambda dataset: Slow())
    with gr.Blocks() as page:
        button, stage, lines = gr.Button(), gr.JSON(), gr.Textbox()
        outputs = {"stage": stage, "lines": lines}
        events.Runs().stream(button.click, lambda: sampling.generate(**controls(sampler="ddpm", steps=250)), {}, outputs)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)
    try:
        request = {"data": [None, 1], "fn_index": 0, "session_hash": "leaves"}
        urllib.request.urlopen(
            urllib.request.Request(
                f"{url}gradio_api/queue/join", json.dumps(request).encode(), {"Content-Type": "application/json"}
            )
        ).close()
        with urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=leaves") as messages:
            while b"process_generating" not in messages.readline():
                pass
        assert closed.wait(10)
        assert 0 < len(steps) < 200
    finally:
        page.close()


# --- Endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [fn.__name__ for fn in diffusion.ENDPOINTS])
def test_every_parameter_has_a_default(client, name):
    result = client.predict(api_name=f"/{name}")
    picture = Image.open(result[-1] if isinstance(result, (list, tuple)) else result)
    assert picture.format == "PNG"
    assert np.asarray(picture).std() > 5


def test_every_endpoint_is_described(client):
    assert_described(client, "diffusion_", diffusion.ENDPOINTS)


def test_the_same_seed_gives_the_same_picture(client):
    first, again, other = (
        np.asarray(Image.open(client.predict(n=2, steps=2, seed=s, api_name="/diffusion_sample"))) for s in (7, 7, 8)
    )
    assert same(first, again)
    assert not same(first, other)


def test_an_endpoint_returns_the_models_samples(checkpoints):
    label = {"label": [1, -1, 8, -1]}
    x = gm.load("diffusion-avatars").sample(2, **label, steps=2, guidance=2.0, seed=3)
    values = dict(model="diffusion-avatars", n=2, label="smiling=yes, hair_color=pink", sampler="dpm", steps=2)
    picture = as_endpoint(sampling.diffusion_sample)(**values, guidance=2, eta=0, seed=3)
    assert same(np.asarray(picture), np.asarray(gm.pictures.grid(x, 2, scale=4)))


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


names = st.one_of(st.sampled_from(DIFFUSION.models), anything)
files = st.one_of(st.none(), anything)
some_labels = st.one_of(st.sampled_from(["any", "7", "bag", "smiling=yes"]), anything)
samplers = st.one_of(st.sampled_from(list(gm.diffusion.SAMPLERS)), anything)
picture = {"model": names, "picture": files, "test_picture_number": nearly(0, 199)}
run = {"n": nearly(1, 2), "label": some_labels, "steps": nearly(1, 2), "guidance": nearly(0, 9), "seed": nearly(0, 9)}
PROPERTIES = {
    sampling.diffusion_sample: {"model": names, "sampler": samplers, "eta": nearly(0, 1), **run},
    editing.diffusion_noise: {**picture, "t": nearly(0, 1), "seed": nearly(0, 9)},
    editing.diffusion_edit: {**picture, "strength": nearly(0, 1), "sampler": samplers, **run},
    inpainting.diffusion_inpaint: {**picture, "mask": files, "resample": nearly(1, 2), **run},
}


@pytest.mark.parametrize("fn", list(PROPERTIES), ids=lambda fn: fn.__name__)
def test_any_input_gives_a_picture_or_an_error_message(fn):
    endpoint = as_endpoint(fn)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(PROPERTIES[fn]))
    def check(values):
        result = error = None
        try:
            result = endpoint(**values)
        except gr.Error as e:
            error = e
        if error:
            assert is_sentence(error.message) and "<" not in error.message
        else:
            assert isinstance(result[-1] if isinstance(result, tuple) else result, Image.Image)

    check()
