"""The GAN tab: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

import math
import re
import shutil

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from helpers import (
    anything,
    api_refusal,
    as_endpoint,
    assert_described,
    event,
    is_sentence,
    last,
    nearly,
    photograph,
    pixels,
    refusal,
    run_program,
    same_pictures,
    sheet_of,
    stroke,
)
from helpers_gan_tab import ANY, EACH, SEVEN, kinds_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import gan, labels, sources
from tabs.components import cell
from tabs.gan import data, interpolation, inversion, quiz, sampling, scoring, training

OTHERS = dict.fromkeys(labels.MENUS[1:], ANY)  # menus


def controls(n=6, z=(), sliders="gan-mnist", **values):
    """What the page sends; z: the amounts of the sliders, which are those of a model."""
    return {"n": n, "sliders": {"model": sliders, "z": list(z)}, **values}


def scores_of(value):
    return [picture["score"] for picture in value["pictures"]]


# --- The grid ---------------------------------------------------------------------------------------------------------


def test_it_opens_with_samples_and_the_attributes_of_the_model():
    for dataset, names in (("mnist", ["Class"]), ("avatars", ["Smile", "Glasses", "Hair colour", "Hair length"])):
        opened = sampling.open_dataset(dataset)
        label = None if dataset == "avatars" else torch.arange(20) % 10
        n = len(opened["stage"]["pictures"])
        assert n == opened["n"] == (15 if dataset == "avatars" else 20)
        assert same_pictures(opened["stage"], gm.load(f"gan-{dataset}").sample(n, label=label, seed=0))
        assert {(p["kind"], p["label"]) for p in opened["stage"]["pictures"]} == {("generated", "generated picture")}
        menus = [opened[name] for name in labels.MENUS]
        assert [menu["label"] for menu in menus if menu["visible"]] == names
        assert ("one of each" in dict(menus[0]["choices"])) == (dataset == "mnist")
        assert menus[0]["value"] == (ANY if dataset == "avatars" else EACH)
        assert len(opened["sliders"]["dims"]) == sampling.DIRECTIONS and not any(opened["sliders"]["z"])
        assert (opened["truncation"], opened["seed"], opened["add_real"], opened["order"]) == (1, 0, False, "sampled")
        assert "model.sample_latents(" in opened["lines"]


def test_truncation_class_and_directions_reach_the_model():
    model, z = gm.load("gan-mnist"), [1.5, 0, -3]
    stage = sampling.show("mnist", **controls(label_0=SEVEN, **OTHERS, truncation=0.5, n=3, seed=4, z=z))["stage"]
    w = model.sample_latents(3, label=7, truncation=0.5, seed=4) + torch.tensor(z) @ model.directions(3)
    assert same_pictures(stage, model.decode(w))
    stale = controls(sliders="gan-fashion", z=z)  # sliders that still hold the values of another dataset
    assert sampling.show("mnist", **stale) == sampling.show("mnist", **controls())


@pytest.mark.parametrize("more", [{}, {"add_real": True}, {"label": SEVEN, "truncation": 0.5, "seed": 3}], ids=str)
def test_while_a_slider_moves_there_are_pictures_without_scores(more):
    z = [1.5, 0, -3]
    before, shown = (sampling.show("mnist", **controls(z=code, **more))["stage"] for code in ([], z))
    moving = sampling.follow({"shown": before["shown"], "z": z})
    assert moving["moving"] and "histogram" not in moving and kinds_of(moving) == kinds_of(shown)
    assert np.abs(sheet_of(moving).astype(int) - sheet_of(shown)).max() <= 1 and moving["pixels"] != before["pixels"]
    assert not any("score" in picture for picture in moving["pictures"])


def test_while_a_slider_moves_pictures_stay_sorted_if_they_are():
    shown = sampling.show("mnist", **controls(z=[2], order="score"))["stage"]
    before = sampling.show("mnist", **controls(order="score"))["stage"]
    assert sampling.follow({"shown": before["shown"], "z": [2]}) == shown


@pytest.mark.parametrize("moved", [None, [], {}, {"shown": 3}, "text"], ids=str)
def test_moves_of_nothing_are_ignored(moved):
    assert sampling.follow(moved) == {}


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": ["mnist"]},
        {"dataset": "x"},
        {"n": 31},
        {"n": "3"},
        {"directions": [1]},
        {"order": "x"},
        {"other": 1},
        {"label": "?"},
    ],
    ids=str,
)
def test_moves_that_no_page_sends_get_a_sentence_or_pictures(change):
    shown = sampling.show("mnist", **controls())["stage"]["shown"]
    for z in ([2], [9], None, "x"):
        moved = {"shown": shown | change, "z": z}
        if change == {"directions": [1]} and z == [2]:
            assert sampling.follow(moved)["moving"]
        else:
            refusal(sampling.follow, moved)


def test_the_menus_of_attributes_reach_the_model():
    menus = {"label_0": "yes", "label_1": ANY, "label_2": "pink", "label_3": None}
    stage = sampling.show("avatars", **menus, **controls(n=2, sliders="gan-avatars"))["stage"]
    pink = gm.data.ATTRIBUTES["hair_color"].index("pink")
    assert same_pictures(stage, gm.load("gan-avatars").sample(2, label=[1, -1, pink, -1], seed=0))
    shown = sampling.show("mnist", label_0=SEVEN, label_1="pink", label_2=ANY, label_3=ANY, **controls())
    assert shown == sampling.show("mnist", **controls(label=SEVEN))  # menus that the model has no attribute for


def test_reset_puts_the_directions_and_the_truncation_back():
    restored = sampling.reset("mnist", **controls(truncation=0.3, seed=5, z=[3, 3]))
    assert (restored["truncation"], restored["sliders"]["z"]) == (1, [0.0] * sampling.DIRECTIONS)
    assert restored["stage"] == sampling.show("mnist", **controls(seed=5))["stage"]


def test_shares_of_the_directions():
    dims = sampling.sliders_value("mnist")["dims"]
    shares = [int(re.search(r"(\d+) %", dim["label"]).group(1)) for dim in dims]
    w = gm.load("gan-mnist").directions(gm.load("gan-mnist").latent).square().sum(1)
    assert shares == [round(100 * s) for s in (w / w.sum()).tolist()][: sampling.DIRECTIONS]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("label", [EACH, "3", ANY])
def test_scores_are_relative_to_generated_pictures_of_the_same_class(label):
    stage = sampling.show("mnist", **controls(label=label, n=12, add_real=True))["stage"]
    model, x = gm.load("gan-mnist"), torch.from_numpy(sheet_of(stage)[..., 0].copy())[:, None] / 255
    classes = [i % 10 for i in range(12)] * 2 if label == EACH else [-1 if label == ANY else int(label)] * len(x)
    baseline = {
        c: model.score(model.sample(gm.gan.RelativeScores.samples([c]), label=c, seed=0), c).mean().item() for c in set(classes)
    }
    expected = [model.score(x[i : i + 1], c).item() - baseline[c] for i, c in enumerate(classes)]
    assert scores_of(stage) == pytest.approx(expected, abs=0.01 * max(map(abs, expected)))


@pytest.mark.parametrize("label", [EACH, "4", ANY])
def test_the_order_by_score_is_the_same_pictures_sorted(label):
    unsorted_value, sorted_value = (
        sampling.show("mnist", **controls(label=label, n=9, add_real=True, order=order))["stage"]
        for order in ("sampled", "score")
    )
    scores = scores_of(sorted_value)
    assert scores == pytest.approx(sorted(scores_of(unsorted_value), reverse=True), abs=1e-3)
    assert scores != scores_of(unsorted_value)
    by_score = sorted(range(len(scores)), key=lambda i: -scores_of(unsorted_value)[i])
    for place, i in enumerate(by_score):
        if sum(abs(score - scores[place]) < 1e-3 for score in scores) == 1:  # rounding may swap nearly equal scores
            assert (sheet_of(sorted_value)[place] == sheet_of(unsorted_value)[i]).all()
            assert kinds_of(sorted_value)[place] == kinds_of(unsorted_value)[i]


def test_real_pictures_have_the_chosen_label():
    y, x = gm.data.samples("fashion").y, gm.data.samples("fashion").floats()
    for label, expected in ((EACH, [i % 10 for i in range(12)]), ("dress", [3] * 12)):
        stage = sampling.show("fashion", **controls(label=label, n=12, add_real=True))["stage"]
        assert kinds_of(stage) == ["generated"] * 12 + ["real"] * 12
        found = [int(np.flatnonzero((pixels(x) == picture).all((1, 2, 3)))[0]) for picture in sheet_of(stage)[12:]]
        assert y[found].tolist() == expected and len(set(found)) == 12
    rare = "smiling=yes, glasses=big_shades, hair_color=" + gm.data.ATTRIBUTES["hair_color"][8] + ", hair_length="
    rare += gm.data.ATTRIBUTES["hair_length"][3]
    assert "None of the 100" in refusal(sampling.show, "avatars", **controls(label=rare, add_real=True))


def answered(dataset, seed):
    return quiz.answer(quiz.start(dataset, seed)["state"], event(index=1))


FACE = "smiling=yes, glasses=square, hair_length=" + gm.data.ATTRIBUTES["hair_length"][3]


OUTPUTS = {  # action of a visitor -> (name of the component with pictures, outputs)
    "opened": ("stage", lambda: sampling.open_dataset("mnist")),
    "a class": ("stage", lambda: sampling.show("mnist", **controls(label=SEVEN, truncation=0.7, seed=9))),
    "any": ("stage", lambda: sampling.show("mnist", **controls(add_real=True))),
    "directions": (
        "stage",
        lambda: sampling.show("fashion", **controls(label=EACH, sliders="gan-fashion", z=[1, 0, -2.5])),
    ),
    "sorted": (
        "stage",
        lambda: sampling.show("mnist", **controls(label=EACH, n=11, add_real=True, order="score", z=[0, 3])),
    ),
    "sorted alone": ("stage", lambda: sampling.show("mnist", **controls(label=EACH, n=11, order="score"))),
    "sorted faces": (
        "stage",
        lambda: sampling.show("avatars", **controls(label="smiling=yes", add_real=True, order="score")),
    ),
    "a face": ("stage", lambda: sampling.show("avatars", **controls(label=FACE, sliders="gan-avatars", z=[2]))),
    "quiz": ("pictures", lambda: answered("mnist", 3)),
    "quiz of faces": ("pictures", lambda: answered("avatars", 8)),
    "replay": ("film", lambda: training.open_dataset("mnist")),
    "collapsed": ("film", lambda: training.show("mnist", "collapsed")),
    "replay of faces": ("film", lambda: training.show("avatars", "this")),
}


def run_lines(lines, folder, monkeypatch):
    x = run_program(lines, folder, monkeypatch)["x"]
    assert (folder / "picture.png").is_file()
    return x


# --- Lines of Python --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_the_lines_reproduce_the_output(name, tmp_path, monkeypatch):
    component, action = OUTPUTS[name]
    with torch.no_grad():
        outputs = action()
    assert same_pictures(outputs[component], run_lines(outputs["lines"], tmp_path, monkeypatch))


@pytest.mark.parametrize("dataset", ["mnist", "avatars"])
def test_the_lines_reproduce_the_interpolation_between_the_chosen_ends(dataset, tmp_path, monkeypatch):
    first, last = interpolation.OPENING[dataset]
    with torch.no_grad():
        shown = interpolation.show(dataset, first=first, first_seed=1, last=last, last_seed=2)
    model, n, across = gm.load(f"gan-{dataset}"), *((4, 2) if dataset == "avatars" else (9, 3))
    x = run_lines(shown["lines"], tmp_path, monkeypatch).unflatten(0, (interpolation.FRAMES, n))
    assert same_pictures(shown["frames"], torch.cat([cell(frame, across) for frame in x]))
    for frame, label, seed in ((0, first, 1), (-1, last, 2)):
        assert torch.allclose(x[frame], model.sample(n, label=data.parse_label(dataset, label), seed=seed), atol=1e-5)
    assert shown["frames"]["columns"] == interpolation.FRAMES and len(shown["frames"]["rows"]) == 1
    opened = interpolation.open_dataset(dataset)
    assert (opened["first"]["value"], opened["first_seed"], opened["last"]["value"]) == (first, 0, last)
    assert {ANY, first, last} <= {value for _, value in opened["last"]["choices"]}


@pytest.mark.parametrize("name", ["test picture", "drawing", "upload"])
def test_the_lines_reproduce_the_projection(name, tmp_path, monkeypatch):
    monkeypatch.setattr(inversion, "STEPS", 4)
    source = {
        "test picture": lambda: sources.test_picture("mnist", 4),
        "drawing": lambda: sources.drawing("mnist", stroke()),
        "upload": lambda: sources.upload("avatars", photograph(tmp_path)),
    }[name]()
    with torch.no_grad():
        outputs = last(inversion.invert(source["dataset"], source, ANY if name == "upload" else "4"))
    x = run_lines(outputs["lines"], tmp_path, monkeypatch)
    assert torch.equal(x[:1], source["x"])  # the picture itself, not computed
    assert np.abs(sheet_of(outputs["film"])[-1:].astype(int) - pixels(x[1:])).max() <= 1


# --- Errors and missing files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "changed", "message"),
    [
        ("dogs", {}, "Dataset must be one of"),
        (None, {}, "Dataset must be one of"),
        ("mnist", {"label": "10"}, "Class must be"),
        ("mnist", {"label": "seven"}, "Class must be"),
        ("mnist", {"label_0": 7, **OTHERS}, "Class must be"),
        ("mnist", {"truncation": 2}, "Truncation must be a number from 0 to 1.5"),
        ("mnist", {"truncation": math.nan}, "Truncation must be"),
        ("mnist", {"n": 31}, "Number of pictures must be a whole number from 1 to 30"),
        ("mnist", {"n": 0}, "1 to 30"),
        ("mnist", {"n": True}, "1 to 30"),
        ("mnist", {"seed": -1}, "Seed must be"),
        ("mnist", {"seed": None}, "Seed must be"),
        ("mnist", {"order": "best"}, "Order must be"),
        ("mnist", {"add_real": None}, "must be true or false"),
        ("mnist", {"z": [4]}, "Principal directions must be a list of at most 8 numbers from -3 to 3"),
        ("mnist", {"z": [math.nan]}, "directions"),
        ("mnist", {"z": [True]}, "directions"),
        ("mnist", {"z": [0] * 9}, "directions"),
        ("avatars", {"label": EACH}, "Attribute must be"),
        ("avatars", {"label": "glasses=none, smiling=perhaps"}, "Smile must be one of no, yes"),
    ],
)
def test_invalid_controls_get_a_sentence(dataset, changed, message):
    assert message in refusal(sampling.show, dataset, **controls(**changed))


def test_errors_of_tools_name_the_cause():
    ends = {"first": "3", "first_seed": 0, "last": "8", "last_seed": 0}
    source = sources.test_picture("mnist", 0)
    for handler, values, message in (
        (quiz.start, {"dataset": "mnist", "seed": -1}, "Seed"),
        (interpolation.show, {"dataset": "mnist", **ends, "last": "thirteen"}, "Class must be"),
        (interpolation.show, {"dataset": "mnist", **ends, "last": None}, "To must be"),
        (interpolation.show, {"dataset": "mnist", **ends, "first_seed": math.nan}, "Seed"),
        (training.show, {"dataset": "mnist", "run": "other"}, "Training run must be"),
        (quiz.answer, {"state": quiz.start("mnist", 0)["state"], "event": event(index=4)}, "index"),
        (scoring.show, {"source": None, "label": ANY}, "Choose a picture"),
        (scoring.show, {"source": source, "label": "round"}, "Class must be"),
        (scoring.show, {"source": source, "label": None}, "Scored as must be"),
        (scoring.PICTURES.choose_test_picture, {"dataset": "mnist", "event": event(index="x")}, "index"),
        (inversion.invert, {"dataset": "mnist", "source": None, "label": ANY}, "Choose a picture"),
        (inversion.invert, {"dataset": "fashion", "source": source, "label": ANY}, "Choose a picture"),
    ):
        assert message in refusal(handler, **values)
    assert quiz.answer(None, event(index=1)) == {}


COPIED = (*data.GAN.models, data.COLLAPSED)  # by `own_checkpoints`


@pytest.mark.parametrize("damage", ["no folder", "truncated"])
def test_one_missing_model_leaves_the_others(own_checkpoints, damage):
    folder = own_checkpoints / "gan-avatars"
    if damage == "no folder":
        shutil.rmtree(folder)
    else:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    for open_dataset in (sampling.open_dataset, interpolation.open_dataset, scoring.open_dataset):
        assert str(own_checkpoints) not in refusal(open_dataset, "avatars")
    assert str(own_checkpoints) not in refusal(quiz.start, "avatars", 0)
    assert "pixels" in sampling.open_dataset("fashion")["stage"]
    assert data.GAN.shipped() == (["mnist", "fashion"] if damage == "no folder" else ["mnist", "fashion", "avatars"])


def test_a_broken_replay_gets_a_sentence(own_checkpoints):
    (own_checkpoints / "gan-fashion" / "replay.json").write_text("{", encoding="utf-8")
    assert "replay" in refusal(training.open_dataset, "fashion")


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_described_and_every_parameter_has_a_default(client):
    assert_described(client, "gan_", gan.ENDPOINTS)


def test_endpoints_return_the_models_pictures(client, tmp_path):
    model = gm.load("gan-mnist")
    picture = Image.open(client.predict(n=3, label="7", truncation=0.5, seed=2, directions=[1, -1], api_name="/gan_sample"))
    x = model.decode(model.sample_latents(3, label=7, truncation=0.5, seed=2) + torch.tensor([1.0, -1]) @ model.directions(2))
    assert np.abs(np.asarray(picture).astype(int) - np.asarray(gm.pictures.grid(x, 3, scale=4))).max() <= 1
    result = client.predict(test_picture_number=4, label="4", api_name="/gan_score")
    assert result["score"] == pytest.approx(model.score(gm.data.samples("mnist").floats()[4:5], 4).item(), abs=1e-3)
    assert Image.open(client.predict(steps=5, api_name="/gan_walk")).size == (5 * 56, 56)
    facts, file = client.predict(picture=handle_file(photograph(tmp_path)), steps=3, api_name="/gan_project")
    assert len(facts["w"]) == model.latent and Image.open(file).format == "PNG"


BAD = [
    ("/gan_sample", {"model": "../gan-mnist"}, "gan-mnist"),
    ("/gan_sample", {"n": 31}, "n must be a whole number from 1 to 30"),
    ("/gan_sample", {"n": 1e9}, "n must be"),
    ("/gan_sample", {"label": "<b>cat</b>"}, "label must be"),
    ("/gan_sample", {"truncation": -0.1}, "truncation must be"),
    ("/gan_sample", {"seed": 1.5}, "seed must be"),
    ("/gan_sample", {"directions": [9]}, "directions must be a list of at most 8 numbers"),
    ("/gan_sample", {"directions": {"a": 1}}, "directions must be"),
    ("/gan_score", {"picture": 5}, "picture"),
    ("/gan_score", {"test_picture_number": 10**6}, "test_picture_number must be"),
    ("/gan_walk", {"steps": 65}, "steps must be"),
    ("/gan_walk", {"last": None}, "last must be"),
    ("/gan_walk", {"first": "cat"}, "first must be"),
    ("/gan_walk", {"first_seed": -1}, "first_seed must be"),
    ("/gan_project", {"steps": 301}, "steps must be"),
    ("/gan_project", {"steps": None}, "steps must be"),
    ("/gan_project", {"label": "round"}, "label must be"),
]


def test_bad_input_gets_a_sentence_and_the_server_goes_on(page_url, client, tmp_path):
    for name, values, says in BAD:
        assert says in api_refusal(page_url, name, values)
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(AppError, match="megapixels"):
        client.predict(picture=handle_file(tmp_path / "huge.png"), api_name="/gan_score")
    assert client.predict(n=1, api_name="/gan_sample")


names, some_labels = (
    st.one_of(st.sampled_from(valid), anything) for valid in (data.GAN.models, [ANY, SEVEN, "bag", "smiling=yes"])
)


picture = {"model": names, "picture": anything, "test_picture_number": nearly(0, 99), "label": some_labels}


PROPERTIES = {
    sampling.gan_sample: {
        "model": names,
        "n": nearly(1, 2),
        "label": some_labels,
        "truncation": nearly(0, 1),
        "seed": nearly(0, 9),
        "directions": st.one_of(st.lists(st.integers(-3, 3), max_size=8), anything),
    },
    scoring.gan_score: picture,
    interpolation.gan_walk: {
        "model": names,
        "first": some_labels,
        "first_seed": nearly(0, 9),
        "last": some_labels,
        "last_seed": nearly(0, 9),
        "steps": nearly(2, 3),
    },
    inversion.gan_project: {**picture, "steps": nearly(1, 2), "seed": nearly(0, 9)},
}


@pytest.mark.parametrize("fn", list(PROPERTIES), ids=lambda fn: fn.__name__)
def test_any_input_gives_a_result_or_a_sentence(fn):
    endpoint = as_endpoint(fn)

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(PROPERTIES[fn]))
    def check(values):
        result, error = None, None
        try:
            result = endpoint(**values)
        except gr.Error as e:
            error = e.message
        assert result or is_sentence(error) and "<" not in error

    check()


@settings(max_examples=30, deadline=None)
@given(st.one_of(anything, anything.map(lambda z: {"model": "gan-mnist", "z": z})))
def test_the_sliders_may_send_anything(payload):
    amounts, error = [], None
    try:
        amounts = sampling.read("mnist", sliders=payload).amounts
    except ValueError as e:
        error = str(e)
    assert is_sentence(error) if error else len(amounts) in (0, sampling.DIRECTIONS)
