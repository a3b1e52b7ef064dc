"""The flow tab: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

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
from tabs.components.plane_view import pack_points, unpack_points

ENDPOINTS = ("flow_sample", "flow_score", "flow_unfold")


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return all_checkpoints


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def run_program(lines, tmp_path, monkeypatch):
    """The variables that a program of the page defines."""
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(lines, "lines", "exec"), names)  # noqa: S102
    return names


# --- Samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", flow.DATASET_TITLES)
def test_it_opens_with_samples_of_the_model(dataset):
    classes, temperature, n, seed, stage, lines = flow.open_dataset(dataset)
    assert (classes["value"], temperature, n, seed) == (flow.EACH, 1, 20, 0)
    assert [name for name, _ in classes["choices"]] == ["one of each", "any", *gm.data.CLASSES[dataset]]
    assert same(stage, gm.load(f"flow-{dataset}").sample(20, label=torch.arange(20) % 10, seed=0))
    assert f'gm.load("flow-{dataset}")' in lines


@pytest.mark.parametrize("label", [flow.EACH, flow.ANY, 3])
def test_class_temperature_and_seed_reach_the_model_and_the_program_reproduces_the_samples(label, tmp_path, monkeypatch):
    stage, lines = flow.show_samples("mnist", label, 0.5, 12, 4)
    labels = {flow.EACH: torch.arange(12) % 10, flow.ANY: None}.get(label, label)
    x = gm.load("flow-mnist").sample(12, label=labels, temperature=0.5, seed=4)
    assert same(stage, x)
    assert torch.equal(run_program(lines, tmp_path, monkeypatch)["x"], x)
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
def test_invalid_options_get_a_sentence(values):
    with pytest.raises(ValueError) as error:
        flow.show_samples(*values)
    assert is_sentence(str(error.value))


# --- Likelihood -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", flow.DATASET_TITLES)
def test_a_picture_is_scored_as_the_model_scores_it(dataset, tmp_path, monkeypatch):
    tiles, source, verdict, compared, lines, *_ = flow.open_picture(dataset)
    model, stats = gm.load(f"flow-{dataset}"), gm.typicality.load_likelihoods(f"flow-{dataset}")
    x = gm.data.samples(dataset).floats()[:1]
    bits, distance = model.bits_per_dim(x).item(), stats.typicality.distance(model.layer_log_probs(x)).item()
    assert (tiles["n"], tiles["chosen"]) == (2 * flow.TEST_PICTURES, 0) and torch.equal(source["x"], x)
    more_likely = 1 - stats.share_below("bits", bits)
    assert verdict["text"].startswith(f"{bits:.3f} bits per pixel: more likely than {more_likely:.0%} of")
    (_, likelihoods, first), (_, typicalities, second) = json.loads(verdict["axes"])
    assert (first, second) == pytest.approx((bits, distance))
    assert (likelihoods["real"], typicalities["generated"]) == (
        stats.bits[dataset],
        stats.distances[flow.OTHER_DATASET[dataset]],
    )
    names = [label.split(":")[0] for label in compared["labels"]]
    assert names[:3] + names[4:] == ["this", "inverted", "rotated", "noise", "blank"]
    blank = model.bits_per_dim(torch.zeros_like(x)).item()
    assert f"{blank:.2f} bits" in compared["labels"][-1] and compared["labels"][0].startswith(f"this: {bits:.2f} bits")
    pictures = sheet_of(compared)
    assert (pictures[1] == 255 - pictures[0]).all() and (pictures[2] == np.rot90(pictures[0])).all()
    assert (pictures[5] == 0).all()
    assert torch.equal(run_program(lines, tmp_path, monkeypatch)["picture"], x)


def test_a_picture_of_the_other_dataset_is_scored_by_this_flow():
    source, verdict, *_ = flow.select_test_picture("mnist", event(flow.TEST_PICTURES + 2))
    x = gm.data.samples("fashion").floats()[2:3]
    assert source["dataset"] == "mnist" and torch.equal(source["x"], x)
    assert verdict["text"].startswith(f"{gm.load('flow-mnist').bits_per_dim(x).item():.3f} bits")


def test_a_drawing_and_a_file_are_preprocessed_like_the_dataset(tmp_path):
    for source in (flow.select_drawing("mnist", stroke())[0], flow.select_upload("mnist", photograph(tmp_path))[0]):
        assert source["x"].shape == (1, 1, 28, 28) and 0 <= source["x"].min() < source["x"].max() <= 1
    with pytest.raises(ValueError, match="The drawing is empty"):
        flow.select_drawing("mnist", None)


@pytest.mark.parametrize("index", [10, -1, 0.5, None, "a"])
def test_only_the_pictures_on_the_page_can_be_chosen(index):
    with pytest.raises(ValueError):
        flow.select_test_picture("mnist", gr.EventData(None, {"index": index}))


def test_a_checkpoint_that_was_not_measured_says_so(checkpoints, tmp_path, monkeypatch):
    shutil.copytree(checkpoints / "flow-mnist", tmp_path / "flow-mnist")
    (tmp_path / "flow-mnist" / "likelihoods.json").unlink()
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    outputs = wiring.guarded(flow.open_picture, flow.picture_error)("mnist")
    assert "likelihoods.json is missing" in outputs[2]["message"] and str(tmp_path) not in outputs[2]["message"]
    assert flow.show_samples("mnist", 3, 1, 2, 0)[0]["n"] == 2  # sampling works without them


# --- Layer by layer, interpolation ------------------------------------------------------------------------------------


def test_layer_by_layer_goes_to_noise_and_exactly_back(tmp_path, monkeypatch):
    source = flow.test_picture_source("mnist", 5)
    frames, text, lines = flow.layer_by_layer(source)
    model = gm.load("flow-mnist")
    steps = model.layers + 1
    assert (frames["columns"], frames["n"], len(frames["rows"])) == (steps, 3 * steps, 3)
    pictures = sheet_of(frames)
    assert (pictures[:steps] == pictures[steps : 2 * steps]).all()
    for layers, stride in ((0, 1), (1, 2), (3, 2), (4, 4), (9, 8), (12, 16)):  # the remaining pixels are unchanged
        lattice = pictures[0][stride - 1 :: stride, stride - 1 :: stride]
        enlarged = torch.nn.functional.interpolate(torch.from_numpy(lattice[None, None, ..., 0].copy()).float(), 28)
        assert (pictures[2 * steps + layers][..., 0] == enlarged[0, 0].numpy()).all()
    assert len(np.unique(pictures[-1])) == 1
    assert (pictures[0][..., 0] == (255 * source["x"][0, 0]).round().byte().numpy()).all()
    assert float(re.search(r"\*\*(.*?)\*\*", text).group(1)) < 1e-6
    z = model.encode(source["x"], seed=0)
    assert f"mean {z.mean():+.2f} and standard deviation {z.std():.2f}" in text
    assert len(run_program(lines, tmp_path, monkeypatch)["x"]) == 2 * steps


def test_interpolation_is_linear_in_z_and_ends_at_the_test_pictures(tmp_path, monkeypatch):
    frames, lines = flow.interpolate("mnist", 3, 8)
    pictures, x = sheet_of(frames), gm.data.samples("mnist").floats()[[3, 8]]
    assert len(pictures) == flow.FRAMES
    assert (pictures[[0, -1]][..., 0] == (255 * x[:, 0]).round().byte().numpy()).all()
    model = gm.load("flow-mnist")
    middle = model.decode(model.encode(x, seed=0).mean(0, keepdim=True))
    assert (np.abs(pictures[flow.FRAMES // 2][..., 0].astype(int) - (255 * middle[0, 0]).round().numpy()) <= 1).mean() > 0.99
    assert same(frames, run_program(lines, tmp_path, monkeypatch)["x"])
    same_class, _ = flow.interpolate("mnist", 3, 3)
    assert (sheet_of(same_class)[0] != sheet_of(same_class)[-1]).any()  # two different threes


# --- Two dimensions ---------------------------------------------------------------------------------------------------


def test_points_are_packed_as_text():
    points = gm.plane.toy_points("moons", 50)
    assert np.abs(unpack_points(pack_points(points)) - points.numpy()).max() < 1e-4
    for text in (None, 3, "a", "AAAA", "%%", {"a": 1}, "QUI="):
        assert unpack_points(text).shape[1] == 2
    assert np.abs(unpack_points(pack_points([[9.0, -9.0]]))).max() <= 4.1


def test_the_plane_shows_points_and_then_the_training(monkeypatch):
    monkeypatch.setattr(flow, "SECONDS", 0.6)
    before, lines = flow.show_points("rings", None)
    assert len(unpack_points(before["points"])) == flow.POINTS and not before["draw"] and lines == flow.LINES_PENDING
    *live, (last, lines) = flow.train("rings", None, 2)
    assert [plane["live"] for plane, _ in live] == [True] * len(live) and not last["live"]
    assert last["stages"] == 3 and len(unpack_points(last["lines"])) == 3 * 18 * 41
    assert len(base64.b64decode(last["density"])) == 64 * 64
    assert 'gm.plane.toy_points("rings", 1000, seed=0)' in lines and "layers=2" in lines


def test_a_stopped_training_keeps_its_last_state():
    steps = flow.train("moons", None, 2)
    next(steps), next(steps)
    last, lines = steps.throw(wiring.Stopped())
    assert not last["live"] and lines == flow.LINES_STOPPED
    steps.close()


def test_the_visitors_points(tmp_path, monkeypatch):
    monkeypatch.setattr(flow, "SECONDS", 0.5)
    empty, _ = flow.show_points(flow.OWN_POINTS, None)
    assert empty["draw"] and empty["points"] == ""
    points = flow.receive_points(gr.EventData(None, {"points": pack_points(gm.plane.toy_points("moons", 40))}))
    plane, _ = flow.show_points(flow.OWN_POINTS, points)
    assert len(unpack_points(plane["points"])) == 40 and "40 points" in plane["text"]
    *_, (last, lines) = flow.train(flow.OWN_POINTS, points, 1)
    fitted = run_program(lines, tmp_path, monkeypatch)["points"].numpy()
    assert last["draw"] and np.abs(fitted - unpack_points(points)).max() < 1e-6
    for sent in ({}, None, {"points": "x"}, {"points": 7}):
        assert flow.receive_points(gr.EventData(None, sent)) == ""
    with pytest.raises(ValueError, match="At least 16 points are needed"):
        next(flow.train(flow.OWN_POINTS, pack_points(np.zeros((3, 2))), 1))
    many = flow.receive_points(gr.EventData(None, {"points": pack_points(np.zeros((5000, 2)))}))
    assert len(unpack_points(many)) == 2000
    outside = pack_points(np.full((20, 2), 4.0))
    assert flow.training_points(flow.OWN_POINTS, outside)[0].abs().max() == 1


@pytest.mark.parametrize(("shape", "layers"), [("cats", 3), ("moons", 0), ("moons", 13), ("moons", None)])
def test_invalid_training_options_get_a_sentence(shape, layers):
    with pytest.raises(ValueError) as error:
        next(flow.train(shape, None, layers))
    assert is_sentence(str(error.value))


# --- Endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENDPOINTS)
def test_every_parameter_has_a_default_and_is_described(client, name):
    result = client.predict(api_name=f"/{name}")
    if name != "flow_score":
        picture = Image.open(result if isinstance(result, str) else result[-1])
        assert picture.format == "PNG" and np.asarray(picture).std() > 5
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {path for path in described if path.startswith("/flow_")} == {f"/{endpoint}" for endpoint in ENDPOINTS}
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


def test_flow_unfold_returns_the_error_and_the_determinants(client):
    facts, _ = client.predict(test_picture_number=3, seed=2, api_name="/flow_unfold")
    *_, last = gm.load("flow-mnist").encode_steps(gm.data.samples("mnist").floats()[3:4], seed=2)
    assert facts["round_trip_error"] < 1e-6
    assert facts["log_det"] == pytest.approx(last.log_det.item(), rel=1e-6) == sum(facts["log_det_of_layers"])


def test_the_same_seed_gives_the_same_picture(client):
    first, repeated, different = (
        np.asarray(Image.open(client.predict(n=2, seed=s, api_name="/flow_sample"))) for s in (7, 7, 8)
    )
    assert (first == repeated).all() and (first != different).any()


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
