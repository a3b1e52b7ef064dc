"""The diffusion tab: its handlers as plain functions, what they show, and when a checkpoint is missing."""

import json
import shutil
import threading
import time
import urllib.request
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import torch
from helpers import (
    is_sentence,
    last,
    photograph,
    raw_of,
    refusal,
    run_program,
    sheet_of,
    stroke,
)
from helpers_diffusion_tab import controls, same

import genmodels as gm
from tabs import events, programs, sources
from tabs.components import line
from tabs.diffusion import compare, editing, frames, inpainting, quality, sampling
from tabs.diffusion.data import DIFFUSION


def shown(stage, frame=-1):
    """The pictures of one frame: (rows, H', W', 3) uint8."""
    pictures = sheet_of(stage)
    return pictures.reshape(len(stage["rows"]), stage["columns"], *pictures.shape[1:])[:, frame]


def grid(x):
    """Pictures in a square grid as on the stage, (H', W', C) uint8."""
    return gm.pictures.sheet(x, frames.columns(len(x)), gap=1).numpy()


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


# --- The printed programs compute what is on the stage ----------------------------------------------------------------


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


COPIED = DIFFUSION.models  # by `own_checkpoints`


@pytest.fixture
def own_checkpoints(own_checkpoints):
    """Without the measured table of function evaluations."""
    for name in DIFFUSION.models:
        (own_checkpoints / name / "calls.json").unlink(missing_ok=True)
    return own_checkpoints


# --- Quality, cards, missing checkpoints ------------------------------------------------------------------------------


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
