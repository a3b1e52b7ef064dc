"""The flow tab: its handlers as plain functions, its endpoints through gradio_client, what it says when it cannot."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from gradio_client import handle_file
from helpers import (
    api_refusal,
    assert_described,
    event,
    is_sentence,
    photograph,
    refusal,
    run_program,
    same_pictures,
    sheet_of,
    stroke,
)
from PIL import Image

import genmodels as gm
from tabs import flow, sources
from tabs.flow import interpolation, layers, likelihood, sampling

# --- The stage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", flow.FLOW.titles)
def test_it_opens_with_samples_of_the_model(dataset):
    opened = sampling.open_dataset(dataset)
    assert (opened["label"]["value"], opened["temperature"], opened["n"], opened["seed"]) == ("each", 1, 20, 0)
    assert [name for name, _ in opened["label"]["choices"]] == ["one of each", "any", *gm.data.CLASSES[dataset]]
    assert same_pictures(opened["stage"], gm.load(f"flow-{dataset}").sample(20, label=torch.arange(20) % 10, seed=0))
    assert f'gm.load("flow-{dataset}")' in opened["lines"]


@pytest.mark.parametrize(("label", "number"), [("each", torch.arange(12) % 10), ("any", None), ("3", 3)])
def test_class_temperature_and_seed_reach_the_model_and_the_lines_make_the_same(label, number, tmp_path, monkeypatch):
    shown = sampling.show("mnist", label=label, temperature=0.5, n=12, seed=4)
    x = gm.load("flow-mnist").sample(12, label=number, temperature=0.5, seed=4)
    assert same_pictures(shown["stage"], x)
    assert torch.allclose(
        run_program(shown["lines"], tmp_path, monkeypatch)["x"], x, atol=1.01 / 255
    )  # one grey level: rounding may cross its boundary
    assert (tmp_path / "picture.png").is_file()


@pytest.mark.parametrize(
    ("dataset", "controls", "says"),
    [
        ("mnist", {"label": "10"}, "Class must be one of any, 0, 1"),
        ("mnist", {"label": 3}, "Class must be"),
        ("mnist", {"temperature": 1.6}, "Temperature must be a number from 0 to 1.5"),
        ("mnist", {"temperature": None}, "Temperature must be"),
        ("mnist", {"n": 31}, "Samples must be a whole number from 1 to 30"),
        ("mnist", {"seed": -1}, "Seed must be"),
        ("avatars", {}, "Dataset must be one of mnist, fashion"),
    ],
)
def test_what_the_controls_may_not_send(dataset, controls, says):
    with pytest.raises(ValueError, match=says) as error:
        sampling.show(dataset, **controls)
    assert is_sentence(str(error.value))


# --- How likely is this? ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", flow.FLOW.titles)
def test_a_picture_is_scored_as_the_model_scores_it(dataset, tmp_path, monkeypatch):
    opened = likelihood.open_dataset(dataset)
    model, stats = gm.load(f"flow-{dataset}"), gm.typicality.load_likelihoods(f"flow-{dataset}")
    x = gm.data.samples(dataset).floats()[:1]
    bits, distance = model.bits_per_dim(x).item(), stats.typicality.distance(model.layer_log_probs(x)).item()
    assert (opened["tiles"]["n"], opened["tiles"]["chosen"]) == (2 * likelihood.TILES, 0)
    assert torch.equal(opened["source"]["x"], x)  # the picture itself, not computed
    verdict, other = opened["verdict"], "fashion" if dataset == "mnist" else "mnist"
    shown_bits, share = re.match(r"([\d.]+) bits per pixel: more likely than (\d+)% of", verdict["text"]).groups()
    assert float(shown_bits) == pytest.approx(bits, abs=2e-3)
    assert int(share) == pytest.approx(100 * (1 - stats.share_below("bits", bits)), abs=2)
    likely, typical = json.loads(verdict["axes"])
    assert (likely["score"], typical["score"]) == pytest.approx((bits, distance), rel=1e-4)
    assert likely["histogram"]["real"] == stats.bits[dataset]
    assert typical["histogram"]["generated"] == stats.distances[other]
    assert likely["histogram"]["n"] == typical["histogram"]["n"] == [10_000, 2_000]  # as measured for the card
    captions = opened["comparison"]["labels"]
    names = [caption.split(":")[0] for caption in captions]
    assert names[:3] + names[4:] == ["this", "inverted", "rotated", "noise", "blank"]
    blank = model.bits_per_dim(torch.zeros_like(x)).item()
    caption_bits = [float(re.search(r": ([\d.]+) bits", caption)[1]) for caption in (captions[0], captions[-1])]
    assert caption_bits == pytest.approx([bits, blank], abs=0.011)
    shown = sheet_of(opened["comparison"])
    assert (shown[1] == 255 - shown[0]).all() and (shown[2] == np.rot90(shown[0])).all() and (shown[5] == 0).all()
    assert torch.equal(run_program(opened["score_lines"], tmp_path, monkeypatch)["picture"], x)


def test_a_picture_of_the_other_set_is_scored_by_this_flow():
    chosen = likelihood.PICTURES.choose_test_picture(event(index=likelihood.TILES + 2), "mnist")
    x = gm.data.samples("fashion").floats()[2:3]
    assert chosen["source"]["dataset"] == "mnist" and torch.equal(chosen["source"]["x"], x)
    bits = gm.load("flow-mnist").bits_per_dim(x).item()
    assert float(chosen["verdict"]["text"].split()[0]) == pytest.approx(bits, abs=2e-3)


def test_a_drawing_and_a_file_are_prepared_as_the_data_were(tmp_path):
    drawing, upload = likelihood.PICTURES.choose_drawing(stroke()), likelihood.PICTURES.choose_upload(photograph(tmp_path))
    for x in (drawing["source"]["x"], upload["source"]["x"]):
        assert x.shape == (1, 1, 28, 28) and 0 <= x.min() < x.max() <= 1
    assert likelihood.PICTURES.choose_drawing(None) == {}  # the pad was emptied before its last stroke was computed


def test_an_upload_of_one_colour_is_named_as_such(tmp_path):
    Image.new("RGB", (60, 60), "teal").save(tmp_path / "plain.png")
    says = refusal(likelihood.PICTURES.choose_upload, str(tmp_path / "plain.png"))
    assert says == "The uploaded picture is empty: it shows one colour only. Choose another one."


@pytest.mark.parametrize("index", [10, -1, 0.5, None, "a"])
def test_only_the_pictures_on_the_page_can_be_chosen(index):
    with pytest.raises(ValueError):
        likelihood.PICTURES.choose_test_picture(event(index=index), "mnist")


def test_a_checkpoint_that_was_not_measured_says_so(checkpoints, tmp_path, monkeypatch):
    shutil.copytree(checkpoints / "flow-mnist", tmp_path / "flow-mnist")
    (tmp_path / "flow-mnist" / "likelihoods.json").unlink()
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    message = refusal(likelihood.open_dataset, "mnist")
    assert "likelihoods.json is missing" in message and str(tmp_path) not in message
    assert sampling.show("mnist", label="3", n=2)["stage"]["n"] == 2  # it samples all the same


# --- Layer by layer, and interpolation --------------------------------------------------------------------------------


def test_the_layers_go_to_noise_and_exactly_back(tmp_path, monkeypatch):
    source = sources.test_picture("mnist", 5)
    shown = layers.show(source)
    frames, model = shown["layers"], gm.load("flow-mnist")
    steps = model.layers + 1
    assert (frames["columns"], frames["n"], len(frames["rows"])) == (steps, 3 * steps, 3)
    pictures = sheet_of(frames)
    assert np.abs(pictures[:steps].astype(int) - pictures[steps : 2 * steps]).max() <= 1
    for done, step in ((0, 1), (1, 2), (3, 2), (4, 4), (9, 8), (12, 16)):  # these pixels have never been noise
        lattice = pictures[0][step - 1 :: step, step - 1 :: step]
        enlarged = torch.nn.functional.interpolate(torch.from_numpy(lattice[None, None, ..., 0].copy()).float(), 28)
        assert (pictures[2 * steps + done][..., 0] == enlarged[0, 0].numpy()).all()
    assert len(np.unique(pictures[-1])) == 1
    assert (pictures[0][..., 0] == (255 * source["x"][0, 0]).round().byte().numpy()).all()
    assert float(re.search(r"\*\*(.*?)\*\*", shown["layers_text"]).group(1)) < 1e-6
    z = model.encode(source["x"], seed=0)
    assert f"mean {z.mean():+.2f} and standard deviation {z.std():.2f}" in shown["layers_text"]
    assert len(run_program(shown["layers_lines"], tmp_path, monkeypatch)["x"]) == 2 * steps


def test_the_interpolation_is_linear_in_z_and_ends_at_the_test_pictures(tmp_path, monkeypatch):
    shown, x = interpolation.show("mnist", first="3", last="8"), gm.data.samples("mnist").floats()[[3, 8]]
    pictures = sheet_of(shown["frames"])
    assert len(pictures) == interpolation.FRAMES
    assert (pictures[[0, -1]][..., 0] == (255 * x[:, 0]).round().byte().numpy()).all()
    model = gm.load("flow-mnist")
    middle = model.decode(model.encode(x, seed=0).mean(0, keepdim=True))
    difference = np.abs(pictures[interpolation.FRAMES // 2][..., 0].astype(int) - (255 * middle[0, 0]).round().numpy())
    assert (difference <= 1).mean() > 0.99
    assert same_pictures(shown["frames"], run_program(shown["lines"], tmp_path, monkeypatch)["x"])
    two_threes = sheet_of(interpolation.show("mnist", first="3", last="3")["frames"])
    assert (two_threes[0] != two_threes[-1]).any()
    threes = gm.data.samples("mnist")[gm.data.samples("mnist").y == 3].floats()
    assert all(any((end[..., 0] == (255 * x[0]).round().byte().numpy()).all() for x in threes) for end in two_threes[[0, -1]])


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_described(client):
    assert_described(client, "flow_", flow.ENDPOINTS)


@pytest.mark.parametrize("name", ["flow_sample", "flow_unfold"])
def test_the_defaults_give_a_picture(client, name):
    result = client.predict(api_name=f"/{name}")
    picture = Image.open(result if isinstance(result, str) else result[-1])
    assert picture.format == "PNG" and np.asarray(picture).std() > 5


def test_scores_are_the_models(client, tmp_path):
    model, x = gm.load("flow-fashion"), gm.data.samples("fashion").floats()[7:8]
    sandal = gm.data.CLASSES["fashion"].index("sandal")
    facts = client.predict(model="flow-fashion", test_picture_number=7, label="sandal", api_name="/flow_score")
    assert facts["log_prob_nats"] == pytest.approx(model.log_prob(x, sandal).item(), rel=1e-4)
    assert facts["bits_per_dim"] == pytest.approx(-facts["log_prob_nats"] / 784 / np.log(2), rel=1e-6)
    assert 0 <= facts["less_likely_than_test_pictures"] <= 1 and 0 <= facts["more_unusual_than_test_pictures"] <= 1
    file = tmp_path / "digit.png"
    gm.pictures.to_image(gm.pictures.to_bytes(gm.data.samples("mnist").floats()[:1])[0]).save(file)
    assert client.predict(picture=handle_file(file), api_name="/flow_score")["bits_per_dim"] > 0


def test_unfolding_tells_the_error_and_the_determinants(client):
    facts, _ = client.predict(test_picture_number=3, seed=2, api_name="/flow_unfold")
    *_, final = gm.load("flow-mnist").encode_steps(gm.data.samples("mnist").floats()[3:4], seed=2)
    assert facts["round_trip_error"] < 1e-6
    assert facts["log_det"] == pytest.approx(final.log_det.item(), rel=1e-4)
    assert facts["log_det"] == pytest.approx(sum(facts["log_det_of_layers"]))


def test_the_same_seed_gives_the_same_picture(client):
    first, again, other = (np.asarray(Image.open(client.predict(n=2, seed=s, api_name="/flow_sample"))) for s in (7, 7, 8))
    assert np.abs(first.astype(int) - again).max() <= 1 < np.abs(first.astype(int) - other).max()


BAD = [
    ("/flow_sample", {"n": 0}, "n must be a whole number from 1 to 30"),
    ("/flow_sample", {"n": 31}, "n must be"),
    ("/flow_sample", {"n": "many"}, "n must be"),
    ("/flow_sample", {"n": None}, "n must be"),
    ("/flow_sample", {"seed": -1}, "seed must be"),
    ("/flow_sample", {"temperature": 1.6}, "temperature must be"),
    ("/flow_sample", {"temperature": [1]}, "temperature must be"),
    ("/flow_sample", {"label": "cat"}, "label must be one of any, 0"),
    ("/flow_sample", {"model": "flow-dogs"}, "flow-mnist"),
    ("/flow_sample", {"model": "../checkpoints"}, "flow-mnist"),
    ("/flow_score", {"picture": 5}, "picture"),
    ("/flow_score", {"test_picture_number": 200}, "test_picture_number must be"),
    ("/flow_score", {"label": "<b>3</b>"}, "label must be"),
    ("/flow_score", {"label": None}, "label must be"),
    ("/flow_unfold", {"test_picture_number": 1.5}, "test_picture_number must be"),
    ("/flow_unfold", {"seed": 2**40}, "seed must be"),
    ("/flow_unfold", {"model": None}, "model must be"),
]


@pytest.mark.parametrize(("name", "values", "says"), BAD)
def test_bad_input_gets_a_sentence(page_url, name, values, says):
    assert says in api_refusal(page_url, name, values)
