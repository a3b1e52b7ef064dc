"""The playground: five families on the same points, live."""

import base64
import json
import math

import gradio as gr
import numpy as np
import pytest
import torch
from helpers import is_sentence, run_program
from helpers_page import Visitor

import app
import genmodels as gm
from tabs import events, programs
from tabs.components.playground import pack_points, unpack_points
from tabs.language import use
from tabs.playground import training
from tests.compare import close

SMALL = {"n": 40, "width": 8, "depth": 1}
NAMES = list(gm.plane.FAMILIES)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    for name in ("SAMPLES", "HELD_OUT", "LIKELIHOODS"):
        monkeypatch.setattr(training, name, 40)
    monkeypatch.setattr(training, "SECONDS", 60)


def restarted(drawn=None, **controls):
    return training.restart(drawn, **{**SMALL, **controls})


def panels(output):
    return json.loads(output["stage"]["panels"])


def samples_of(panel):
    return torch.tensor(unpack_points(panel["samples"]))


def drawn_points(n=100, seed=0):
    return pack_points(gm.plane.toy_points("moons", n, seed=seed))


# --- Training ---------------------------------------------------------------------------------------------------------


def test_coordinates_travel_as_text():
    points = gm.plane.toy_points("moons", 50)
    assert np.abs(unpack_points(pack_points(points)) - points.numpy()).max() < 1e-4
    for text in (None, 3, "a", "AAAA", "%%", {"a": 1}, "QUI="):
        assert unpack_points(text).shape[1] == 2
    assert np.abs(unpack_points(pack_points([[9.0, -9.0], [math.nan, 0.0]]))).max() <= 4.1


def test_all_families_train_in_lockstep_and_each_update_shows_them():
    trainings = restarted()["trainings"]
    first, *updates, last = training.train(trainings, 3)
    assert [first["stage"]["step"], last["stage"]["step"]] == [0, 3] and trainings.step == 3
    assert all(fit.step == 3 for fit in trainings.fits.values())
    assert [output["stage"]["live"] for output in (first, *updates, last)] == [True] * (1 + len(updates)) + [False]
    assert first["lines"] == programs.PENDING and list(panels(last)) == NAMES
    for name, panel in panels(last).items():
        assert len(samples_of(panel)) == 40 and math.isfinite(panel["energy"])
        assert (panel["nats"] is not None) == gm.plane.FAMILIES[name].has_density
        for part, text in panel["inside"].items():
            assert len(base64.b64decode(text)) == (1024 if part == "map" else 4 * unpack_points(text).shape[0])
    curves = json.loads(last["stage"]["curves"])
    assert all([step for step, _ in curve] == [0, 3] for curve in curves["energy"].values())
    assert curves["nats"]["gan"] == [] and curves["nats"]["flow"][-1] == [3, panels(last)["flow"]["nats"]]


def test_play_goes_on_where_pause_ended_and_restart_begins_anew():
    whole = restarted()["trainings"]
    *_, expected = training.train(whole, 4)
    paused = restarted()["trainings"]
    training.adjust(paused, speed="slow", rate=5e-3, noise=0.3, steps=30)
    run = training.train(paused)
    for _ in range(3):
        next(run)
    final = run.throw(events.Stopped())
    assert (paused.step, final["stage"]["live"], paused.live) == (2, False, False) and final["lines"] != programs.PENDING
    run.close()
    *_, final = training.one_step(paused)
    *_, final = training.one_step(paused)
    for name, panel in panels(final).items():
        assert close(samples_of(panel), samples_of(panels(expected)[name]), 2e-3)
    assert restarted()["stage"]["step"] == 0


def test_speeds_are_steps_per_update():
    for speed, steps in (("slow", [0, 1, 2, 3, 4, 5, 6, 6]), ("normal", [0, 5, 6, 6])):
        trainings = restarted(speed=speed)["trainings"]
        assert [output["stage"]["step"] for output in training.train(trainings, 6)] == steps


def test_an_update_comes_in_time_however_many_steps_there_could_be():
    trainings = restarted(speed="fast")["trainings"]
    trainings.advance(100, seconds=0)
    assert trainings.step == 1


def test_a_training_ends_after_so_many_steps(monkeypatch):
    monkeypatch.setattr(training, "MOST_STEPS", 3)
    trainings = restarted()["trainings"]
    assert list(training.train(trainings, 100))[-1]["stage"]["step"] == 3
    assert list(training.train(trainings, 100))[-1]["stage"]["step"] == 3


def test_what_the_tab_opens_with_ends_by_itself(monkeypatch):
    monkeypatch.setattr(training, "OPENING_STEPS", 2)
    first, *_, last = training.opening(None, **SMALL)
    assert (first["stage"]["step"], last["stage"]["step"], first["trainings"].step) == (0, 2, 2)


def test_two_runs_of_a_visitor_never_train_at_the_same_time():
    trainings = restarted()["trainings"]
    with trainings.lock:
        trainings.advance(1)
    assert trainings.step == 0
    trainings.advance(1)
    assert trainings.step == 1


def test_what_changes_in_training_is_seen_at_once_and_recorded_by_step():
    trainings = restarted()["trainings"]
    list(training.train(trainings, 2))
    shown = training.adjust(trainings, speed="fast", rate=0.01, noise=0.9, steps=3)
    assert len(base64.b64decode(panels(shown)["diffusion"]["inside"]["paths"])) == 24 * 4 * 4
    assert (
        panels(shown)["diffusion"]["inside"]["arrows"]
        != panels({"stage": trainings.view()})["flow matching"]["inside"]["arrows"]
    )
    trainings.live = True
    assert training.adjust(trainings, speed="fast", rate=0.02, noise=0.5, steps=3) == {}
    assert trainings.rates == {0: 5e-3, 2: 0.02}
    assert training.adjust(None, rate=0.02) == {}
    trainings.advance(1)
    assert all(fit.optimizers[0].param_groups[0]["lr"] == 0.02 for fit in trainings.fits.values())


def test_a_link_trains_with_the_same_rates_and_shows_the_same_panels():
    linked = {"rates": "0,0.005,2,0.01,5,0.1", "large": "gan", "hidden": "points"}
    opened = training.reopen(None, linked, **SMALL, rate=0.1)
    assert (opened["stage"]["large"], opened["stage"]["hidden"], opened["stage"]["rates"]) == ("gan", "points", linked["rates"])
    trainings = opened["trainings"]
    *_, last = training.train(trainings, 3)
    assert "rate=[(0, 0.005), (2, 0.01)]" in last["lines"] and "large" not in last["stage"]
    assert trainings.fits["flow"].optimizers[0].param_groups[0]["lr"] == 0.01
    training.adjust(trainings, rate=0.001)
    assert trainings.view()["rates"] == "0,0.005,2,0.01,3,0.001"
    assert restarted()["stage"]["rates"] == ""
    assert (
        training.reopen(None, None, **SMALL, rate=0.1)["stage"] == restarted(rate=0.1)["stage"]
    )  # a server that was restarted


@pytest.mark.parametrize("own", [0, 40, 100])
def test_the_lines_train_the_same_models(own, tmp_path, monkeypatch):
    controls = {"shape": training.OWN} if own else {"shape": "eight gaussians"}
    trainings = restarted(drawn_points(own) if own else None, r1=0.5, seed=3, **controls)["trainings"]
    list(training.train(trainings, 2))
    training.adjust(trainings, rate=0.01)
    *_, last = training.train(trainings, 2)
    values = run_program(last["lines"], tmp_path, monkeypatch)
    assert close(values["points"], trainings.points.points) and close(values["held_out"], trainings.points.held_out)
    assert (len(values["points"]), len(values["held_out"])) == {0: (40, 40), 40: (40, 40), 100: (80, 20)}[own]
    for name, panel in panels(last).items():
        samples = values["models"][name].sample(40, seed=3).float()
        assert close(samples.clamp(-4, 4), samples_of(panel), 2e-3)
        of_points, of_samples = (gm.plane.energy_distance(x, values["held_out"]) for x in (values["points"], samples))
        assert panel["energy"] == pytest.approx(of_samples - of_points, abs=2e-3)
    assert values["models"]["gan"].r1 == 0.5 and "rate=[(0, 0.005), (2, 0.01)]" in last["lines"]


# --- What can go wrong ------------------------------------------------------------------------------------------------


def test_a_family_that_breaks_says_so_and_the_others_go_on():
    trainings = restarted()["trainings"]
    with torch.no_grad():
        next(trainings.fits["gan"].model.parameters()).fill_(math.nan)
    *_, last = training.train(trainings, 2)
    assert last["stage"]["step"] == 2 and [name for name, panel in panels(last).items() if "broken" in panel] == ["gan"]
    assert panels(last)["gan"]["broken"] == "The loss exploded at step 1: choose a smaller learning rate."
    assert trainings.fits["vae"].step == 2 and '"vae"' in last["lines"] and '"gan"' not in last["lines"]
    with use("zh"):
        assert "学习率" in panels({"stage": trainings.view()})["gan"]["broken"]


def test_a_training_ends_when_every_family_is_broken():
    trainings = restarted()["trainings"]
    for fit in trainings.fits.values():
        with torch.no_grad():
            next(fit.model.parameters()).fill_(math.nan)
    *_, last = training.train(trainings)
    assert last["stage"]["step"] == 1 and last["lines"] == programs.PENDING


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        (None, "At least 16 points are needed: draw more of them."),
        (pack_points(np.zeros((15, 2))), "At least 16 points are needed: draw more of them."),
        (pack_points(np.zeros((20, 2))), "All points are equal: there is nothing to learn."),
        ("%%", "At least 16 points are needed: draw more of them."),
    ],
)
def test_points_that_cannot_be_learnt_stay_to_be_drawn_on(points, sentence):
    output = restarted(points, shape=training.OWN)
    assert (
        output["stage"]["note"] == sentence
        and output["trainings"] is None
        and output["stage"]["points"] == (points or "").strip("%")
    )
    assert list(training.train(output["trainings"])) == []


def test_the_visitors_points_are_checked():
    def take(**data):
        return training.take_points(gr.EventData(None, data))

    assert take(points=drawn_points(40)) == {"drawn": drawn_points(40), "shape": training.OWN}
    for data in ({}, {"points": "x"}, {"points": 7}):
        assert take(**data)["drawn"] == ""
    many = take(points=pack_points(np.random.default_rng(0).random((5000, 2))))["drawn"]
    assert len(unpack_points(many)) == 2000
    outside = restarted(pack_points(np.linspace(-4, 4, 80).reshape(-1, 2)), shape=training.OWN)["trainings"]
    assert outside.points.shown.abs().max() == 1


@pytest.mark.parametrize(
    "controls",
    [{"shape": "cats"}, {"n": 15}, {"n": 2001}, {"width": 3}, {"depth": 6}, {"r1": math.nan}, {"rate": 2}, {"rate": 0}],
)
def test_what_the_controls_refuse(controls):
    with pytest.raises(ValueError) as error:
        restarted(**controls)
    assert is_sentence(str(error.value))


# --- The page and the API ---------------------------------------------------------------------------------------------


@pytest.fixture
def visitor(monkeypatch):
    visitor = Visitor(app.demo)
    for name, value in SMALL.items():
        visitor.values[visitor.ids[f"playground-{name}"]] = value
    return visitor


def test_buttons_and_controls_of_the_page(visitor):
    visitor.set("playground-shape", "rings")
    visitor.press("playground-one", "playground-stage")
    visitor.press("playground-one", "playground-stage")
    assert visitor["playground-stage"]["step"] == 2 and 'toy_points("rings", 40' in visitor["playground-python"]
    visitor.set("playground-rate", 0.01)
    visitor.press("playground-one", "playground-stage")
    assert "rate=[(0, 0.005), (2, 0.01)]" in visitor["playground-python"]
    visitor.set("playground-width", 16)
    assert visitor["playground-stage"]["step"] == 0
    visitor.press("playground-one", "playground-stage")
    assert "width=16" in visitor["playground-python"] and "rate=0.01" in visitor["playground-python"]
    visitor.press("playground-restart", "playground-stage")
    assert visitor["playground-stage"]["step"] == 0 and visitor["playground-python"] == programs.PENDING
    visitor.send("playground-stage", points=drawn_points(60))
    assert visitor["playground-shape"] == training.OWN and len(unpack_points(visitor["playground-stage"]["points"])) == 60


OPTIONS = training.Options(**SMALL)


def test_the_endpoint_streams_what_is_measured():
    first, second, last = training.plane_fit(
        training_steps=5, every=2, options=OPTIONS.model_copy(update={"shape": "eight gaussians"})
    )
    assert [first["step"], second["step"], last["step"]] == [2, 4, 5]
    for name in NAMES:
        assert 0 <= last[name]["modes_covered"] <= 8 and math.isfinite(last[name]["energy_distance"])
        assert (last[name]["log_likelihood"] is not None) == gm.plane.FAMILIES[name].has_density
    json.dumps(last, allow_nan=False)


def test_the_endpoint_says_which_family_broke():
    options = training.Options(n=40, width=64, depth=2, rate=1.0)
    *_, last = training.plane_fit(training_steps=12, every=12, options=options)
    assert "choose a smaller learning rate" in last["diffusion"]["error"]


def test_samples_by_the_api_are_those_of_the_package():
    points = gm.plane.toy_points("moons", 20)
    *_, last = training.plane_sample("vae", points.flatten().tolist(), 3, 5, OPTIONS)
    model = gm.plane.PlaneVAE(width=8, depth=1, seed=0)
    list(gm.plane.fit_steps(model, points, steps=3, rate=5e-3, seed=0))
    assert close(torch.tensor(last["points"]), model.sample(5, seed=0), 1e-4)


@pytest.mark.parametrize(
    "points", [[0.1] * 31, [0.1] * 4002, [0.1, 2.0] * 20, [math.nan, 0.0] * 20, ["a", "b"] * 20, "abc", [0.1] * 30, [0.1] * 40]
)
def test_points_that_the_api_refuses(points):
    for call in (training.plane_fit(points, 1), training.plane_sample("vae", points, 1)):
        with pytest.raises(ValueError) as error:
            list(call)
        assert is_sentence(str(error.value))


@pytest.mark.parametrize(
    "arguments", [{"training_steps": 0}, {"training_steps": 5001}, {"options": training.Options(shape="own")}]
)
def test_arguments_that_the_api_refuses(arguments):
    for call in (training.plane_fit(**arguments), training.plane_sample(**arguments)):
        with pytest.raises(ValueError) as error:
            next(call)
        assert is_sentence(str(error.value))
