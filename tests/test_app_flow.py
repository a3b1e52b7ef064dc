"""The flow tab: its handlers as plain functions, its endpoints through gradio_client, what it says when it cannot."""

import base64
import json
import re
import shutil
import urllib.request

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from test_app_diffusion import is_sentence, photograph, stroke
from test_app_gan import event, same, sheet_of

import genmodels as gm
from tabs import flow, wiring
from tabs.components.plane_view import packed, unpacked

ENDPOINTS = ("flow_sample", "flow_score", "flow_unfold")


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return all_checkpoints


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def ran(lines, tmp_path, monkeypatch):
    """What a program of the page leaves behind: its names."""
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(lines, "lines", "exec"), names)  # noqa: S102
    return names


# --- The stage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", flow.SETS)
def test_it_opens_with_pictures_of_the_model(dataset):
    classes, temperature, n, seed, stage, lines = flow.open_set(dataset)
    assert (classes["value"], temperature, n, seed) == (flow.EACH, 1, 20, 0)
    assert [name for name, _ in classes["choices"]] == ["one of each", "any", *gm.data.CLASSES[dataset]]
    assert same(stage, gm.load(f"flow-{dataset}").sample(20, label=torch.arange(20) % 10, seed=0))
    assert f'gm.load("flow-{dataset}")' in lines


@pytest.mark.parametrize("label", [flow.EACH, flow.ANY, 3])
def test_class_temperature_and_seed_reach_the_model_and_the_lines_make_the_same(label, tmp_path, monkeypatch):
    stage, lines = flow.show("mnist", label, 0.5, 12, 4)
    asked = {flow.EACH: torch.arange(12) % 10, flow.ANY: None}.get(label, label)
    x = gm.load("flow-mnist").sample(12, label=asked, temperature=0.5, seed=4)
    assert same(stage, x)
    assert torch.equal(ran(lines, tmp_path, monkeypatch)["x"], x)
    assert (tmp_path / "picture.png").is_file()


@pytest.mark.parametrize(
    "values",
    [
        ("mnist", 10, 1, 5, 0),
        ("mnist", 0, 1.6, 5, 0),
        ("mnist", 0, 1, 31, 0),
        ("avatars", 0, 1, 5, 0),
        ("mnist", 0, 1, 5, -1),
        ("mnist", "3", 1, 5, 0),
        ("mnist", 0, None, 5, 0),
    ],
)
def test_what_the_controls_may_not_send(values):
    with pytest.raises(ValueError) as error:
        flow.show(*values)
    assert is_sentence(str(error.value))


# --- How likely is this? ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", flow.SETS)
def test_a_picture_is_scored_as_the_model_scores_it(dataset, tmp_path, monkeypatch):
    tiles, source, told, strange, lines, *_ = flow.open_own(dataset)
    model, known = gm.load(f"flow-{dataset}"), gm.flow.load_likelihoods(f"flow-{dataset}")
    x = gm.data.samples(dataset).floats()[:1]
    bits, far = model.bits_per_dim(x).item(), known.typicality.distance(model.layer_log_probs(x)).item()
    assert (tiles["n"], tiles["chosen"]) == (2 * flow.SHOWN, 0) and torch.equal(source["x"], x)
    assert told["text"].startswith(f"{bits:.3f} bits a pixel: likelier than {1 - known.share_below('bits', bits):.0%} of")
    (_, likely, one), (_, typical, two) = json.loads(told["axes"])
    assert (one, two) == pytest.approx((bits, far))
    assert (likely["real"], typical["generated"]) == (known.bits[dataset], known.distances[flow.OTHER[dataset]])
    names = [label.split(":")[0] for label in strange["labels"]]
    assert names[:3] + names[4:] == ["this", "inverted", "rotated", "noise", "blank"]
    blank = model.bits_per_dim(torch.zeros_like(x)).item()
    assert f"{blank:.2f} bits" in strange["labels"][-1] and strange["labels"][0].startswith(f"this: {bits:.2f} bits")
    shown = sheet_of(strange)
    assert (shown[1] == 255 - shown[0]).all() and (shown[2] == np.rot90(shown[0])).all() and (shown[5] == 0).all()
    assert torch.equal(ran(lines, tmp_path, monkeypatch)["picture"], x)


def test_a_picture_of_the_other_set_is_scored_by_this_flow():
    source, told, *_ = flow.choose_test("mnist", event(flow.SHOWN + 2))
    x = gm.data.samples("fashion").floats()[2:3]
    assert source["dataset"] == "mnist" and torch.equal(source["x"], x)
    assert told["text"].startswith(f"{gm.load('flow-mnist').bits_per_dim(x).item():.3f} bits")


def test_a_drawing_and_a_file_are_prepared_as_the_data_were(tmp_path):
    for source in (flow.choose_drawing("mnist", stroke())[0], flow.choose_upload("mnist", photograph(tmp_path))[0]):
        assert source["x"].shape == (1, 1, 28, 28) and 0 <= source["x"].min() < source["x"].max() <= 1
    with pytest.raises(ValueError, match="The drawing is empty"):
        flow.choose_drawing("mnist", None)


@pytest.mark.parametrize("index", [10, -1, 0.5, None, "a"])
def test_only_the_pictures_on_the_page_can_be_chosen(index):
    with pytest.raises(ValueError):
        flow.choose_test("mnist", gr.EventData(None, {"index": index}))


def test_a_checkpoint_that_was_not_measured_says_so(checkpoints, tmp_path, monkeypatch):
    shutil.copytree(checkpoints / "flow-mnist", tmp_path / "flow-mnist")
    (tmp_path / "flow-mnist" / "likelihoods.json").unlink()
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    outputs = wiring.guarded(flow.open_own, flow.no_own)("mnist")
    assert "likelihoods.json is missing" in outputs[2]["message"] and str(tmp_path) not in outputs[2]["message"]
    assert flow.show("mnist", 3, 1, 2, 0)[0]["n"] == 2  # it draws all the same


# --- Unfolding, and the way -------------------------------------------------------------------------------------------


def test_unfolding_goes_to_noise_and_exactly_back(tmp_path, monkeypatch):
    source = flow.test_picture_source("mnist", 5)
    frames, words, lines = flow.unfold(source)
    model = gm.load("flow-mnist")
    steps = model.layers + 1
    assert (frames["columns"], frames["n"], len(frames["rows"])) == (steps, 3 * steps, 3)
    shown = sheet_of(frames)
    assert (shown[:steps] == shown[steps : 2 * steps]).all()
    for done, step in ((0, 1), (1, 2), (3, 2), (4, 4), (9, 8), (12, 16)):  # what is left has never been noise
        lattice = shown[0][step - 1 :: step, step - 1 :: step]
        enlarged = torch.nn.functional.interpolate(torch.from_numpy(lattice[None, None, ..., 0].copy()).float(), 28)
        assert (shown[2 * steps + done][..., 0] == enlarged[0, 0].numpy()).all()
    assert len(np.unique(shown[-1])) == 1
    assert (shown[0][..., 0] == (255 * source["x"][0, 0]).round().byte().numpy()).all()
    assert float(re.search(r"\*\*(.*?)\*\*", words).group(1)) < 1e-6
    z = model.encode(source["x"], seed=0)
    assert f"mean {z.mean():+.2f} and standard deviation {z.std():.2f}" in words
    assert len(ran(lines, tmp_path, monkeypatch)["x"]) == 2 * steps


def test_the_way_is_straight_in_z_and_ends_at_the_test_pictures(tmp_path, monkeypatch):
    frames, lines = flow.way("mnist", 3, 8)
    shown, x = sheet_of(frames), gm.data.samples("mnist").floats()[[3, 8]]
    assert len(shown) == flow.FRAMES
    assert (shown[[0, -1]][..., 0] == (255 * x[:, 0]).round().byte().numpy()).all()
    model = gm.load("flow-mnist")
    middle = model.decode(model.encode(x, seed=0).mean(0, keepdim=True))
    assert (np.abs(shown[flow.FRAMES // 2][..., 0].astype(int) - (255 * middle[0, 0]).round().numpy()) <= 1).mean() > 0.99
    assert same(frames, ran(lines, tmp_path, monkeypatch)["x"])
    again, _ = flow.way("mnist", 3, 3)
    assert (sheet_of(again)[0] != sheet_of(again)[-1]).any()  # two different threes


# --- Two dimensions ---------------------------------------------------------------------------------------------------


def test_coordinates_travel_as_text():
    points = gm.flow.toy_points("moons", 50)
    assert np.abs(unpacked(packed(points)) - points.numpy()).max() < 1e-4
    for text in (None, 3, "a", "AAAA", "%%", {"a": 1}, "QUI="):
        assert unpacked(text).shape[1] == 2
    assert unpacked(packed([[9.0, -9.0]])).tolist() == [[4, -4]] or np.abs(unpacked(packed([[9.0, -9.0]]))).max() <= 4.1


def test_the_plane_shows_points_and_then_what_is_learnt(monkeypatch):
    monkeypatch.setattr(flow, "SECONDS", 0.6)
    before, lines = flow.square("rings", None)
    assert len(unpacked(before["points"])) == flow.POINTS and not before["draw"] and lines == flow.LINES_PENDING
    *some, (last, lines) = flow.train("rings", None, 2)
    assert [seen["live"] for seen, _ in some] == [True] * len(some) and not last["live"]
    assert last["stages"] == 3 and len(unpacked(last["lines"])) == 3 * 18 * 41
    assert len(base64.b64decode(last["density"])) == 64 * 64
    assert 'gm.flow.toy_points("rings", 1000, seed=0)' in lines and "layers=2" in lines


def test_a_stopped_training_keeps_what_it_has_come_to():
    steps = flow.train("moons", None, 2)
    next(steps), next(steps)
    last, lines = steps.throw(wiring.Stopped())
    assert not last["live"] and lines == flow.LINES_STOPPED
    steps.close()


def test_the_visitors_points(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "SECONDS", 0.5)
    empty, _ = flow.square(flow.OWN, None)
    assert empty["draw"] and empty["points"] == ""
    drawn = flow.take_points(gr.EventData(None, {"points": packed(gm.flow.toy_points("moons", 40))}))
    shown, _ = flow.square(flow.OWN, drawn)
    assert len(unpacked(shown["points"])) == 40 and "40 points" in shown["text"]
    *_, (last, lines) = flow.train(flow.OWN, drawn, 1)
    assert last["draw"] and np.abs(ran(lines, tmp_path, monkeypatch)["points"].numpy() - unpacked(drawn)).max() < 1e-6
    for sent in ({}, None, {"points": "x"}, {"points": 7}):
        assert flow.take_points(gr.EventData(None, sent)) == ""
    with pytest.raises(ValueError, match="points must be at least 16"):
        next(flow.train(flow.OWN, packed(np.zeros((3, 2))), 1))
    many = flow.take_points(gr.EventData(None, {"points": packed(np.zeros((5000, 2)))}))
    assert len(unpacked(many)) == 2000
    far = packed(np.full((20, 2), 4.0))
    assert flow.points_of(flow.OWN, far)[0].abs().max() == 1


@pytest.mark.parametrize(("kind", "layers"), [("cats", 3), ("moons", 0), ("moons", 13), ("moons", None)])
def test_what_the_plane_may_not_be_asked(kind, layers):
    with pytest.raises(ValueError) as error:
        next(flow.train(kind, None, layers))
    assert is_sentence(str(error.value))


# --- Endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_parameter_has_a_default_and_is_described(client, name):
    result = client.predict(api_name=f"/{name}")
    if name != "flow_score":
        picture = Image.open(result if isinstance(result, str) else result[-1])
        assert picture.format == "PNG" and np.asarray(picture).std() > 5
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {of for of in described if of.startswith("/flow_")} == {f"/{of}" for of in ENDPOINTS}
    assert all(p["parameter_has_default"] for p in described[f"/{name}"]["parameters"])
    with urllib.request.urlopen(client.src.rstrip("/") + "/gradio_api/openapi.json") as answer:
        assert getattr(flow, name).__doc__.split("\n")[0] in answer.read().decode()


def test_scores_are_the_models(client, tmp_path):
    model, x = gm.load("flow-fashion"), gm.data.samples("fashion").floats()[7:8]
    sandal = gm.data.CLASSES["fashion"].index("sandal")
    facts = client.predict(model="flow-fashion", test_picture_number=7, label="sandal", api_name="/flow_score")
    assert facts["log_prob_nats"] == pytest.approx(model.log_prob(x, sandal).item(), rel=1e-5)
    assert facts["bits_per_dim"] == pytest.approx(-facts["log_prob_nats"] / 784 / np.log(2), rel=1e-6)
    assert 0 <= facts["less_likely_than_test_pictures"] <= 1 and 0 <= facts["more_unusual_than_test_pictures"] <= 1
    file = tmp_path / "digit.png"
    gm.pictures.to_image(gm.pictures.to_bytes(gm.data.samples("mnist").floats()[:1])[0]).save(file)
    assert client.predict(picture=handle_file(file), api_name="/flow_score")["bits_per_dim"] > 0


def test_unfolding_tells_the_error_and_the_determinants(client):
    facts, _ = client.predict(test_picture_number=3, seed=2, api_name="/flow_unfold")
    *_, last = gm.load("flow-mnist").encode_steps(gm.data.samples("mnist").floats()[3:4], seed=2)
    assert facts["round_trip_error"] < 1e-6
    assert facts["log_det"] == pytest.approx(last.log_det.item(), rel=1e-6) == sum(facts["log_det_of_layers"])


def test_the_same_seed_gives_the_same_picture(client):
    first, again, other = (np.asarray(Image.open(client.predict(n=2, seed=s, api_name="/flow_sample"))) for s in (7, 7, 8))
    assert (first == again).all() and (first != other).any()


BAD = [
    ("/flow_sample", {"n": 0}),
    ("/flow_sample", {"n": 31}),
    ("/flow_sample", {"n": "many"}),
    ("/flow_sample", {"n": None}),
    ("/flow_sample", {"seed": -1}),
    ("/flow_sample", {"temperature": 1.6}),
    ("/flow_sample", {"temperature": [1]}),
    ("/flow_sample", {"label": "cat"}),
    ("/flow_sample", {"model": "flow-dogs"}),
    ("/flow_sample", {"model": "../checkpoints"}),
    ("/flow_score", {"picture": 5}),
    ("/flow_score", {"test_picture_number": 200}),
    ("/flow_score", {"label": "<b>3</b>"}),
    ("/flow_score", {"label": None}),
    ("/flow_unfold", {"test_picture_number": 1.5}),
    ("/flow_unfold", {"seed": 2**40}),
    ("/flow_unfold", {"model": None}),
]


@pytest.mark.parametrize(("name", "values"), BAD)
def test_bad_input_gets_a_sentence(client, name, values):
    with pytest.raises(AppError) as error:
        client.predict(**values, api_name=name)
    assert is_sentence(str(error.value))
    assert "<b>" not in str(error.value) and "show_error" not in str(error.value)
