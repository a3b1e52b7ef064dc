"""The Compare tab: what its handlers show is what the package computes, and what the cards say."""

import functools
import json

import numpy as np
import pytest
import torch
from helpers import as_endpoint, event, pixels, run_program, same_pictures, sheet_of

import genmodels as gm
from genmodels import comparison
from tabs import TABS, events, sources
from tabs.compare import data, interpolation, picture, sampling
from tests import tiny
from tests.noise import register

SMALL = ("vae-mnist", "gan-mnist", "flow-mnist", "diffusion-mnist", "vae-avatars", "gan-avatars")


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder with tiny checkpoints of pictures, but for the transformer, which takes a second for each of them."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    for seed, name in enumerate(SMALL):
        save(tiny.untrained(tiny.CHECKPOINTS[name], seed), tmp_path / name)
    return tmp_path


def save(model, folder):
    folder.mkdir()
    model.eval()._save_pretrained(folder)


@pytest.fixture
def noise(small, monkeypatch):
    register(monkeypatch, small)


def rows_of(stage):
    """{family: its row}"""
    return {row["name"].split("-")[0]: row for row in json.loads(stage["rows"])}


def samples_of(stage, name):
    """(n, H, W, 3) of a row."""
    row = rows_of(stage)[name.split("-")[0]]
    return sheet_of({"w": row["w"], "h": row["h"], "n": row["n"], "columns": row["n"], "source": stage["pictures"][name]})


def generate(dataset="mnist", label="any", n=2, seed=0):
    menus = {"label_0": label, "label_1": "any", "label_2": "any", "label_3": "any"}
    return list(sampling.generate(dataset, n=n, seed=seed, **menus))


def test_rows_fill_one_after_another_with_what_the_package_computes(small):
    save(tiny.untrained(tiny.CHECKPOINTS["transformer-mnist"]), small / "transformer-mnist")
    steps = generate(label="3", n=3, seed=7)
    first, last = (rows_of(step["stage"]) for step in (steps[0], steps[-1]))
    assert sorted(row["state"] for row in first.values()) == ["running"] + (len(first) - 1) * ["waiting"]
    assert [bool(picture) for picture in steps[0]["stage"]["pictures"].values()] == [
        row["state"] == "running" for row in first.values()
    ]
    states = [[row["state"] for row in rows_of(step["stage"]).values()] for step in steps]
    running = [[i for i, state in enumerate(row) if state == "running"] for row in states]
    assert all(len(row) <= 1 for row in running) and [row[0] for row in running if row] == sorted(sum(running, []))
    assert {row["state"] for row in last.values()} == {"done"}
    for row in gm.compare("mnist", "3", n=3, seed=7):
        shown, facts = last[row.family], dict(last[row.family]["facts"])
        assert abs(samples_of(steps[-1]["stage"], row.name).astype(int) - pixels(row.x).astype(int)).max() <= 1
        assert facts["function evaluations"] == str(row.sampling_calls) and float(facts["ms per sample"]) > 0
        assert facts["parameters"] == f"{row.parameters / 1e6:.2f} M" and shown["note"] == row.note
        if row.likelihood.log_prob is None:
            assert "none" in shown["likelihood"] and "values" not in shown
        else:
            expected = gm.metrics.bits_per_dim(row.likelihood.log_prob, 784).tolist()
            assert [float(value) for value in shown["values"]] == pytest.approx(expected, abs=0.011)
            assert ("exact" in shown["likelihood"]) == (row.likelihood.kind == "exact")
    assert "20 test pictures" in last["vae"]["note"]


def test_the_lines_compute_what_is_shown(small, tmp_path, monkeypatch):
    *_, last = generate(label="3", n=2, seed=7)
    x = pixels(run_program(last["lines"], tmp_path, monkeypatch)["x"])
    shown = np.concatenate([samples_of(last["stage"], row["name"]) for row in json.loads(last["stage"]["rows"])])
    assert abs(shown.astype(int) - x.astype(int)).max() <= 1
    assert 'label="glasses=round, smiling=yes"' in sampling.python_lines(
        "avatars", sampling.Sampling(label="glasses=round, smiling=yes")
    )


def test_a_family_without_a_checkpoint_and_one_that_breaks_keep_their_rows(small):
    (small / "gan-mnist" / "model.safetensors").write_bytes(b"cut")
    found = rows_of(generate()[-1]["stage"])
    assert found["gan"]["state"] == "problem" and "truncated" in found["gan"]["problem"]
    assert str(small) not in found["gan"]["problem"] and found["flow"]["state"] == "done"
    first, *_, last = generate("avatars")
    for stage in (first["stage"], last["stage"]):
        assert "no checkpoint" in rows_of(stage)["flow"]["problem"]
    assert rows_of(first["stage"])["flow"]["state"] == "absent" and rows_of(last["stage"])["gan"]["state"] == "done"


def test_attributes_of_the_menus_reach_the_samples(small):
    asked = {"label_0": "yes", "label_1": "sunglasses", "label_2": "any", "label_3": "any"}
    *_, last = sampling.generate("avatars", n=2, seed=1, **asked)
    (row,) = [row for row in gm.compare("avatars", "smiling=yes, glasses=sunglasses", n=2, seed=1) if row.family == "gan"]
    assert abs(samples_of(last["stage"], "gan-avatars").astype(int) - pixels(row.x).astype(int)).max() <= 1
    with pytest.raises(ValueError, match="Smile.*must be one of yes, no|Smile.*must be one of no, yes"):
        next(sampling.generate("avatars", n=2, seed=1, **asked | {"label_0": "perhaps"}))


def test_stop_keeps_what_is_there(small):
    run = sampling.generate("mnist", n=2, seed=0, label_0="any", label_1="any", label_2="any", label_3="any")
    for _ in range(5):
        next(run)
    last = run.throw(events.Stopped())
    found = rows_of(last["stage"])
    assert found["vae"]["state"] == "done" and not {"waiting", "running"} & {row["state"] for row in found.values()}
    assert found["diffusion"]["state"] == "stopped" and found["diffusion"]["note"] == "Stopped." and "stopped" in last["lines"]


def test_a_new_family_gets_a_row_and_a_result(noise):
    found = rows_of(generate(n=2)[-1]["stage"])
    assert found["noise"]["title"] == "Noise" and found["noise"]["values"] == ["0.00", "0.00"]
    facts, _picture = last_of(as_endpoint(sampling.compare)(dataset="mnist", label="any", n=2, seed=0))
    assert "noise-mnist" in [row["checkpoint"] for row in facts["rows"]]


def last_of(result):
    return result if isinstance(result, tuple) else list(result)[-1]


def test_the_endpoint_says_what_the_package_computes(small):
    facts, picture = last_of(as_endpoint(sampling.compare)(dataset="mnist", label="3", n=2, seed=4))
    rows = list(gm.compare("mnist", "3", n=2, seed=4))
    assert [row["checkpoint"] for row in facts["rows"]] == [row.name for row in rows]
    for fact, row in zip(facts["rows"], rows):
        assert (fact["function_evaluations"], fact["parameters"]) == (row.sampling_calls, row.parameters)
        assert fact["likelihood"] == row.likelihood.kind and fact["note"] == row.note
    assert picture.size == gm.pictures.grid(torch.cat([row.x for row in rows]), 2, scale=4).size
    assert json.dumps(facts)


def test_the_tab_opens_with_stored_samples_and_computes_nothing(monkeypatch):
    for model in (gm.VAE, gm.GAN, gm.Flow, gm.Diffusion, gm.PixelTransformer):
        monkeypatch.setattr(model, "sample", lambda *args, **options: pytest.fail("a model was asked for samples"))
    for dataset in data.available():
        opened = sampling.open_dataset(dataset)
        for row in json.loads(opened["stage"]["rows"]):
            assert row["state"] in ("stored", "absent") and bool(row.get("problem")) == (row["state"] == "absent")
        assert "seed=0))" in opened["lines"]
        assert [row["name"] for row in json.loads(opened["stage"]["rows"])] == gm.cards.generators(dataset)


@pytest.mark.parametrize("name", [n for n in gm.checkpoints() if (gm.cards.checkpoint_root() / n / "comparison.png").exists()])
def test_stored_samples_are_those_of_the_checkpoint(name, monkeypatch):
    monkeypatch.delenv("GENMODELS_CHECKPOINTS")
    n, side, source = data.stored_samples(name)
    shown = sheet_of({"w": side, "h": side, "n": n, "columns": n, "source": source}).astype(int)
    if name.startswith("transformer"):  # a second for each
        n = 1
    steps = comparison.of_checkpoint(name, [-1] * len(gm.labels.all_conditions(name.split("-")[1])), n, 0)
    row = next(row for row in steps if row.seconds_per_sample)  # before its likelihood
    assert abs(shown[:n] - pixels(row.x).astype(int)).mean() < 1  # other processors, other last bits


def test_the_first_view_is_that_of_stored_samples():
    """It is laid out with the page, before any model is imported."""
    stage = sampling.stored(gm.cards.generators(data.available()[0]))
    assert {row["state"] for row in json.loads(stage["rows"])} <= {"stored", "absent"}
    assert TABS[0][1] == "tabs.compare"


# --- One picture, and two ------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(small, monkeypatch):
    """Small checkpoints that take one picture at a time, and a search of three steps."""
    monkeypatch.setattr(gm.gan, "PROJECTION_STEPS", 3)
    (small / "flow-mnist" / "model.safetensors").unlink()
    tiny.untrained(functools.partial(tiny.make, "flow"), 1)._save_pretrained(small / "flow-mnist")
    return small


def test_what_is_shown_of_a_picture_is_what_the_package_makes_of_it(quick, tmp_path, monkeypatch):
    source = sources.test_picture("mnist", 4)
    *_, last = picture.rebuild("mnist", source)
    shown = rows_of({"rows": last["rows"]["rows"]})
    assert {row["state"] for name, row in shown.items() if name != "transformer"} == {"done"}
    for row in gm.comparison.rebuild("mnist", source["x"]):
        if row.problem:
            continue
        rebuilt, difference = samples_of(last["rows"], row.name).astype(int)
        assert abs(rebuilt - pixels(row.x)[0].astype(int)).max() <= 1
        assert abs(difference - pixels((row.x - source["x"]).abs())[0].astype(int)).max() <= 2
        assert dict(shown[row.family]["facts"]) == {"squared error": f"{row.error:.4f}"}
        assert shown[row.family]["note"] == row.way and shown[row.family]["labels"][1].endswith("difference")
        if row.likelihood.log_prob is not None:
            this, mirrored = gm.metrics.bits_per_dim(row.likelihood.log_prob, 784).tolist()
            assert f"{this:.3f} bits per pixel, mirrored {mirrored:.3f}" in shown[row.family]["likelihood"]
    names = run_program(last["picture_lines"], tmp_path, monkeypatch)
    assert names["x"].shape[0] == 1 + 4 and torch.equal(names["x"][:1], source["x"])
    with pytest.raises(ValueError, match="Choose a picture first"):
        next(picture.rebuild("fashion", source))


def test_the_endpoint_of_one_picture(quick):
    facts, image = last_of(as_endpoint(picture.compare_picture)(dataset="mnist", picture=None, test_picture_number=4))
    fact = {row["checkpoint"]: row for row in facts["rows"]}
    assert fact["flow-mnist"]["squared_error"] == 0 and len(fact["flow-mnist"]["bits_per_pixel"]) == 2
    assert fact["gan-mnist"]["likelihood"] == "none"
    assert image.size == gm.pictures.grid(torch.zeros(5, 1, 28, 28), 5, scale=4).size
    assert json.dumps(facts)


def test_all_paths_are_scrubbed_together(quick, tmp_path, monkeypatch):
    *_, last = interpolation.walk("mnist", (3, 8))
    rows = list(gm.comparison.path("mnist", *gm.data.samples("mnist")[[3, 8]].floats().split(1), interpolation.STEPS))
    expected = [row for row in rows if row.x is not None]
    assert last["frames"]["rows"] == [data.family_title(row.name) for row in expected] and len(expected) == 3
    assert last["frames"]["columns"] == interpolation.STEPS
    assert same_pictures(last["frames"], torch.cat([row.x for row in expected]))
    assert "Diffusion" in last["note"] and "no code" in last["note"]
    assert same_pictures(last["frames"], run_program(last["path_lines"], tmp_path, monkeypatch)["x"])


def test_each_end_of_a_path_can_be_chosen():
    assert interpolation.choose("mnist", (3, 8), "last", event(index=5)) == {"pair": (3, 5)}
    assert interpolation.choose("mnist", (3, 8), "first", event(index=5)) == {"pair": (5, 8)}
    for pair in ((3, 100), (-1, 3), ("a", 3)):
        with pytest.raises(ValueError, match="must be a whole number from 0 to 99"):
            interpolation.read("mnist", pair)
    assert interpolation.read("mnist", None) == interpolation.OPENING


def test_the_endpoint_of_paths(quick):
    facts, image = last_of(as_endpoint(interpolation.compare_interpolate)(dataset="mnist", first=1, second=2, steps=3))
    assert set(facts["rows"]) == {"vae-mnist", "flow-mnist", "gan-mnist"} and "no code" in facts["problems"]["diffusion-mnist"]
    assert image.size == gm.pictures.grid(torch.zeros(9, 1, 28, 28), 3, scale=2).size
