"""The GAN tab: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

import base64
import io
import json
import math
import re
import shutil
import urllib.request

import gradio as gr
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_app_diffusion import ended, is_sentence, photograph, said, stroke

import genmodels as gm
from tabs import gan, wiring

ENDPOINTS = ("gan_sample", "gan_score", "gan_walk", "gan_project")


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return all_checkpoints


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def controls(dataset="mnist", label=(-1, -1, -1, -1), truncation=1, n=6, seed=0, add_real=False, order="sampled", z=()):
    """The values that the controls of the tab send."""
    return dataset, *label, truncation, n, seed, add_real, order, {"model": f"gan-{dataset}", "z": list(z)}


def event(i):
    return gr.EventData(None, {"index": i})


def sheet_of(value):
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(value["source"].split(",")[1]))).convert("RGB"))
    rows = sheet.reshape(-1, value["h"], value["columns"], value["w"], 3).swapaxes(1, 2)
    return rows.reshape(-1, value["h"], value["w"], 3)[: value["n"]]


def pixels(x):
    """Pictures (n, C, H, W) as they are sent to the browser, (n, H, W, 3)."""
    return gm.pictures.to_bytes(x).expand(-1, -1, -1, 3).numpy()


def same(value, x):
    return np.abs(sheet_of(value).astype(int) - pixels(x)).max() <= 1


def scores_of(value):
    return [float(s) for s in value["scores"].split()]


# --- The grid ---------------------------------------------------------------------------------------------------------


def test_it_opens_with_samples_and_the_attributes_of_the_model():
    for dataset, names in (("mnist", ["Class"]), ("avatars", ["Smile", "Glasses", "Hair colour", "Hair length"])):
        *updates, sliders, stage, lines = gan.open_dataset(dataset)
        label = None if dataset == "avatars" else torch.arange(20) % 10
        assert same(stage, gm.load(f"gan-{dataset}").sample(len(stage["kinds"]), label=label, seed=0))
        assert set(stage["kinds"]) == {"g"}
        assert [u["label"] for u in updates[:4] if u["visible"]] == names
        assert ("one of each" in dict(updates[0]["choices"])) == (dataset == "mnist")
        assert len(sliders["dims"]) == gan.DIRECTIONS and not any(sliders["z"])
        assert "model.sample_latents(" in lines


def test_truncation_class_and_directions_reach_the_model():
    model, z = gm.load("gan-mnist"), [1.5, 0, -3]
    stage, _ = gan.show(*controls(label=(7, -1, -1, -1), truncation=0.5, n=3, seed=4, z=z))
    w = model.sample_latents(3, label=7, truncation=0.5, seed=4) + torch.tensor(z) @ model.directions(3)
    assert same(stage, model.decode(w))
    assert gan.update_stage(*controls(z=z)) == gan.show(*controls(z=z))[0]
    assert gan.update_lines(*controls(z=z)) == gan.show(*controls(z=z))[1]
    stale = {"model": "gan-fashion", "z": z}  # sliders that still hold the values of another dataset
    assert gan.show(*controls()[:-1], stale) == gan.show(*controls())


def test_reset_puts_the_directions_and_the_truncation_back():
    truncation, sliders, stage, _ = gan.reset(*controls(truncation=0.3, seed=5, z=[3, 3]))
    assert (truncation, sliders["z"]) == (1, [0.0] * gan.DIRECTIONS)
    assert stage == gan.show(*controls(seed=5))[0]


def test_shares_of_the_directions():
    shares = [int(re.search(r"(\d+) %", label).group(1)) for _, label in gan.sliders_value("mnist")["dims"]]
    w = gm.load("gan-mnist").directions(gm.load("gan-mnist").latent).square().sum(1)
    assert shares == [round(100 * s) for s in (w / w.sum()).tolist()][: gan.DIRECTIONS]
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("label", [(-2, -1, -1, -1), (3, -1, -1, -1), (-1, -1, -1, -1)])
def test_scores_are_relative_to_generated_pictures_of_the_same_class(label):
    stage, _ = gan.show(*controls(label=label, n=12, add_real=True))
    model, x = gm.load("gan-mnist"), torch.from_numpy(sheet_of(stage)[..., 0].copy())[:, None] / 255
    classes = [i % 10 for i in range(12)] * 2 if label[0] == -2 else [label[0]] * len(x)
    baseline = {c: model.score(model.sample(gan.baseline_samples([c]), label=c, seed=0), c).mean().item() for c in set(classes)}
    expected = [model.score(x[i : i + 1], c).item() - baseline[c] for i, c in enumerate(classes)]
    assert scores_of(stage) == pytest.approx(expected, abs=0.01 * max(map(abs, expected)))


def test_the_order_by_score_is_the_same_pictures_sorted():
    for label in (-2, 4, -1):
        values = [
            gan.show(*controls(label=(label, -1, -1, -1), n=9, add_real=True, order=order))[0] for order in ("sampled", "score")
        ]
        unsorted_value, sorted_value = values
        scores = scores_of(sorted_value)
        assert scores == sorted(scores_of(unsorted_value), reverse=True) != scores_of(unsorted_value)
        by_score = sorted(range(len(scores)), key=lambda i: -scores_of(unsorted_value)[i])
        assert (sheet_of(sorted_value) == sheet_of(unsorted_value)[by_score]).all()
        assert sorted_value["kinds"] == "".join(unsorted_value["kinds"][i] for i in by_score)


def test_real_pictures_have_the_chosen_label():
    y, x = gm.data.samples("fashion").y, gm.data.samples("fashion").floats()
    for label, expected in ((-2, [i % 10 for i in range(12)]), (3, [3] * 12)):
        stage, _ = gan.show(*controls("fashion", label=(label, -1, -1, -1), n=12, add_real=True))
        assert stage["kinds"] == "g" * 12 + "r" * 12
        found = [int(np.flatnonzero((pixels(x) == picture).all((1, 2, 3)))[0]) for picture in sheet_of(stage)[12:]]
        assert y[found].tolist() == expected and len(set(found)) == 12
    assert "none of the 100" in error_message(gan.show, *controls("avatars", label=(1, 4, 8, 3), add_real=True)).lower()


def error_message(handler, *values):
    with pytest.raises(gr.Error) as error:
        wiring.guarded(handler)(*values)
    assert is_sentence(error.value.message)
    return error.value.message


# --- Lines of Python --------------------------------------------------------------------------------------------------


def answered(dataset, seed):
    state = gan.start_round(dataset, seed)[0]
    _, pictures, _, lines = gan.answer(state, event(1))
    return pictures, lines


OUTPUTS = {  # action of a visitor -> (value of a component, lines)
    "opened": lambda _: gan.open_dataset("mnist")[-2:],
    "a class": lambda _: gan.show(*controls(label=(7, -1, -1, -1), truncation=0.7, seed=9)),
    "any": lambda _: gan.show(*controls(add_real=True)),
    "directions": lambda _: gan.show(*controls("fashion", label=(-2, -1, -1, -1), z=[1, 0, -2.5])),
    "sorted": lambda _: gan.show(*controls(label=(-2, -1, -1, -1), n=11, add_real=True, order="score", z=[0, 3])),
    "sorted alone": lambda _: gan.show(*controls(label=(-2, -1, -1, -1), n=11, order="score")),
    "sorted faces": lambda _: gan.show(*controls("avatars", label=(1, -1, -1, -1), add_real=True, order="score")),
    "a face": lambda _: gan.show(*controls("avatars", label=(1, 2, -1, 3), z=[2])),
    "quiz": lambda _: answered("mnist", 3),
    "quiz of faces": lambda _: answered("avatars", 8),
    "replay": lambda _: gan.open_replay("mnist")[1:],
    "collapsed": lambda _: gan.replay("mnist", "collapsed"),
    "replay of faces": lambda _: gan.replay("avatars", "this"),
}


def run_lines(lines, folder, monkeypatch):
    monkeypatch.chdir(folder)
    variables = {}
    exec(compile(lines, "lines", "exec"), variables)
    assert (folder / "picture.png").is_file()
    return variables["x"]


@pytest.mark.parametrize("name", list(OUTPUTS))
def test_the_lines_reproduce_the_output(name, tmp_path, monkeypatch):
    with torch.no_grad():
        value, lines = OUTPUTS[name](tmp_path)
    assert same(value, run_lines(lines, tmp_path, monkeypatch))


@pytest.mark.parametrize("dataset", ["mnist", "avatars"])
def test_the_lines_reproduce_the_interpolation_between_the_chosen_ends(dataset, tmp_path, monkeypatch):
    first, last = gan.INTERPOLATIONS[dataset]
    with torch.no_grad():
        value, lines = gan.interpolate(dataset, first, 1, last, 2)
    model, n = gm.load(f"gan-{dataset}"), 4 if dataset == "avatars" else 9
    x = run_lines(lines, tmp_path, monkeypatch).unflatten(0, (gan.FRAMES, n))
    assert same(value, torch.cat([gan.cell(frame) for frame in x]))
    for frame, label, seed in ((0, first, 1), (-1, last, 2)):
        assert torch.allclose(
            x[frame], model.sample(n, label=gan.model_label(gan.parse_label(dataset, label)), seed=seed), atol=1e-5
        )
    assert value["columns"] == gan.FRAMES and len(value["rows"]) == 1


@pytest.mark.parametrize("name", ["test picture", "drawing", "upload"])
def test_the_lines_reproduce_the_projection(name, tmp_path, monkeypatch):
    monkeypatch.setattr(gan, "PROJECTION_STEPS", 4)
    source = {
        "test picture": lambda: gan.test_picture_source("mnist", 4),
        "drawing": lambda: gan.drawing_source("mnist", stroke()),
        "upload": lambda: gan.upload_source("avatars", photograph(tmp_path)),
    }[name]()
    with torch.no_grad():
        film, lines = ended(gan.project(source["dataset"], source, "any" if name == "upload" else "4"))
    x = run_lines(lines, tmp_path, monkeypatch)
    assert torch.equal(x[:1], source["x"])
    assert np.abs(sheet_of(film)[-1:].astype(int) - pixels(x[1:])).max() <= 1


# --- The quiz ---------------------------------------------------------------------------------------------------------


def test_one_of_four_is_real_of_the_same_class_and_in_any_place():
    x, y = pixels(gm.data.samples("mnist").floats()), gm.data.samples("mnist").y
    places, labels = [], set()
    for k in range(24):
        current = gan.quiz_round("mnist", 5, k)
        real = [np.flatnonzero((x == picture).all((1, 2, 3))) for picture in pixels(current.x)]
        assert [len(i) > 0 for i in real] == [i == current.real for i in range(4)]
        assert y[real[current.real]].tolist() == current.label
        assert torch.equal(current.x, (255 * current.x).round() / 255)  # the number of grey levels reveals nothing
        places.append(current.real)
        labels.add(tuple(current.label))
    assert min(places.count(i) for i in range(4)) >= 2
    assert len(labels) >= 8


def test_nothing_reveals_the_real_picture_before_the_answer():
    state, pictures, words, lines = gan.start_round("mnist", 2)
    assert set(pictures["kinds"]) == {"?"} and "scores" not in pictures and "histogram" not in pictures
    assert lines == "" and "real" not in pictures["labels"]
    assert set(state) == {"dataset", "seed", "round", "visitor", "discriminator", "answered", "revealed"}
    assert is_sentence(words.split("\n")[0])


def test_right_answers_are_counted_and_a_second_answer_is_not():
    state = gan.start_round("mnist", 0)[0]
    visitor = discriminator = 0
    for k in range(8):
        current = gan.quiz_round("mnist", 0, k)
        discriminator_choice = int(np.argmax(current.scores))
        choice = current.real if k % 2 else (current.real + 1) % 4
        visitor += k % 2
        discriminator += discriminator_choice == current.real
        state, pictures, words, lines = gan.answer(state, event(choice))
        assert (state["visitor"], state["discriminator"], state["answered"]) == (visitor, discriminator, k + 1)
        choices = pictures["visitor_choice"], pictures["discriminator_choice"]
        assert (*choices, pictures["kinds"].index("r")) == (choice, discriminator_choice, current.real)
        assert f"you **{visitor}**, the discriminator **{discriminator}**, of {k + 1}" in words and lines
        assert all(out == gr.skip() for out in gan.answer(state, event(current.real)))
        assert same(pictures, current.x)
        state = gan.next_round(state, "mnist", 0)[0]
    assert state["round"] == 8
    assert gan.next_round(state, "fashion", 0)[0]["answered"] == 0  # another dataset, another quiz
    unanswered = gan.next_round(state, "mnist", 0)[0]
    assert (unanswered["round"], unanswered["answered"]) == (9, 8)


def test_a_quiz_can_be_repeated_by_its_seed():
    assert gan.start_round("mnist", 7) == gan.start_round("mnist", 7) != gan.start_round("mnist", 8)
    seed, state, *_ = gan.new_quiz("mnist")
    assert state["seed"] == seed and gan.start_round("mnist", seed)[0] == state


# --- The replay -------------------------------------------------------------------------------------------------------


def test_the_replay_is_that_of_the_checkpoint():
    film, _ = gan.replay("mnist", "this")
    expected, facts = gm.gan.load_replay("gan-mnist"), json.loads(film["facts"])
    pictures = expected.pictures.flatten(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    assert np.abs(sheet_of(film).astype(int) - pictures).max() <= 1  # WebP decoders differ by rounding
    assert facts["numbers"] == expected.steps and (facts["real"], facts["generated"]) == (expected.real, expected.generated)
    assert [line for _, line in facts["lines"]] == list(expected.losses.values())
    assert film["per"] * len(expected.steps) == film["n"]


def test_the_collapsed_run_is_shown_where_there_is_one(own_checkpoints):
    assert gan.open_replay("mnist")[0]["visible"]
    assert not gan.open_replay("fashion")[0]["visible"]
    shutil.rmtree(own_checkpoints / gan.COLLAPSED)
    assert not gan.open_replay("mnist")[0]["visible"]
    assert "gan-mnist-collapsed" in error_message(gan.replay, "mnist", "collapsed")


# --- The visitor's own picture ----------------------------------------------------------------------------------------


def test_the_verdict_compares_with_real_and_generated_scores():
    model, y = gm.load("gan-mnist"), gm.data.samples("mnist").y
    x = gm.data.samples("mnist").floats()
    result = gan.score_picture("mnist", x[3:4], "3")
    of_class = [model.score(model.sample(32, label=c, seed=0), c) for c in range(10)]
    real = model.score(x, y) - torch.stack([s.mean() for s in of_class])[y]
    generated = torch.cat([s - s.mean() for s in of_class])
    assert result["score"] == pytest.approx(model.score(x[3:4], 3).item(), abs=1e-5)
    assert result["higher_than_real"] == pytest.approx((real < real[3]).float().mean().item(), abs=0.011)
    assert result["higher_than_generated"] == pytest.approx((generated < real[3]).float().mean().item(), abs=0.011)
    assert result["lead_as"]["3"] == pytest.approx(result["lead"], abs=1e-4)
    assert list(result["lead_as"]) == gm.data.CLASSES["mnist"]
    value = gan.verdict(gan.test_picture_source("mnist", 3), "3")
    assert f"{result['higher_than_real']:.0%} of real" in value["text"]
    shares = json.loads(value["histogram"])
    assert sum(shares["real"]) == pytest.approx(1, abs=0.01) and sum(shares["generated"]) == pytest.approx(1, abs=0.01)


def test_a_drawing_is_prepared_like_the_dataset():
    source, label_name, verdict = gan.choose_drawing("mnist", stroke())
    assert label_name == "any"
    assert (np.frombuffer(base64.b64decode(verdict["pixels"]), np.uint8) == pixels(source["x"])[..., 0].ravel()).all()
    assert "empty" in error_message(gan.choose_drawing, "mnist", None)
    assert gan.choose_test("fashion", event(4))[0]["lines"].endswith("[4:5]\n")


def test_the_inversion_is_streamed_comes_nearer_and_can_be_stopped():
    source = gan.test_picture_source("mnist", 2)
    run = gan.project("mnist", source, "any")
    film, lines = next(run)
    assert film["live"] and film["n"] == 1 and lines == gan.LINES_PENDING
    for _ in range(6):
        film, _ = next(run)
    errors = json.loads(film["facts"])["lines"][0][1]
    assert [k for k, _ in errors] == list(range(7)) and errors[-1][1] < errors[0][1]
    film, lines = run.throw(wiring.Stopped())
    assert not film["live"] and film["n"] == 7 and lines == gan.LINES_STOPPED
    assert json.loads(film["facts"])["numbers"] == list(range(7))
    assert next(run, None) is None


def test_a_visitor_who_leaves_stops_the_inversion(monkeypatch):
    closed, model = [], gm.load("gan-mnist")

    def project_steps(x, **options):
        try:
            yield from model.project_steps(x, **options)
        finally:
            closed.append(True)

    monkeypatch.setattr(
        gan,
        "model_of",
        lambda dataset: type("M", (), {"project_steps": staticmethod(project_steps), "conditions": model.conditions})(),
    )
    run = gan.project("mnist", gan.test_picture_source("mnist", 2), "any")
    next(run)
    run.close()
    assert closed


# --- Errors and missing files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dataset": "dogs"}, "dataset"),
        ({"dataset": None}, "dataset"),
        ({"label": (10, -1, -1, -1)}, "label must be"),
        ({"label": ("seven", -1, -1, -1)}, "label must be"),
        ({"truncation": 2}, "0 to 1.5"),
        ({"truncation": math.nan}, "truncation"),
        ({"n": 31}, "1 to 30"),
        ({"n": 0}, "1 to 30"),
        ({"n": True}, "1 to 30"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
        ({"order": "best"}, "order"),
        ({"z": [4]}, "direction"),
        ({"z": [math.nan]}, "direction"),
        ({"z": [0] * 9}, "directions"),
        ({"dataset": "avatars", "label": (-2, -1, -1, -1)}, "label must be"),
    ],
)
def test_invalid_controls_get_a_sentence(changed, message):
    assert message in error_message(gan.show, *controls(**changed))


def test_errors_of_tools_name_the_cause():
    for handler, values, message in (
        (gan.start_round, ("mnist", -1), "seed"),
        (gan.interpolate, ("mnist", "3", 0, "thirteen", 0), "label"),
        (gan.interpolate, ("mnist", "3", math.nan, "8", 0), "seed"),
        (gan.replay, ("mnist", "other"), "run"),
        (gan.answer, (gan.start_round("mnist", 0)[0], event(4)), "index"),
        (gan.verdict, (None, "any"), "Choose a picture"),
        (gan.verdict, (gan.test_picture_source("mnist", 0), "round"), "label"),
        (gan.choose_test, ("mnist", event("x")), "index"),
    ):
        assert message in error_message(handler, *values)
    assert "Choose a picture" in said(gan.project, "mnist", None, "any")
    assert "Choose a picture" in said(gan.project, "mnist", gan.test_picture_source("fashion", 0), "any")
    assert all(out == gr.skip() for out in gan.answer(None, event(1)))


@pytest.fixture
def own_checkpoints(checkpoints, tmp_path, monkeypatch):
    """A folder with copies of the checkpoints that a test may damage."""
    for name in (*gan.MODELS, gan.COLLAPSED):
        shutil.copytree(checkpoints / name, tmp_path / name)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("damage", ["no folder", "truncated"])
def test_one_missing_model_leaves_the_others(own_checkpoints, damage):
    folder = own_checkpoints / "gan-avatars"
    if damage == "no folder":
        shutil.rmtree(folder)
    else:
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    for handler, fallback, values in (
        (gan.open_dataset, gan.no_dataset, ()),
        (gan.open_interpolation, gan.no_interpolation, ()),
        (gan.open_own, gan.no_own, ()),
    ):
        outputs = wiring.guarded(handler, fallback)("avatars", *values)
        (sentence,) = [out["message"] for out in outputs if isinstance(out, dict) and "message" in out]
        assert is_sentence(sentence) and str(own_checkpoints) not in sentence
    error_message(gan.start_round, "avatars", 0)
    assert "source" in wiring.guarded(gan.open_dataset, gan.no_dataset)("fashion")[-2]
    assert gan.offered() == (["mnist", "fashion"] if damage == "no folder" else ["mnist", "fashion", "avatars"])


def test_a_broken_replay_gets_a_sentence(own_checkpoints):
    (own_checkpoints / "gan-fashion" / "replay.json").write_text("{", encoding="utf-8")
    assert "replay" in error_message(gan.open_replay, "fashion")


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_described_and_every_parameter_has_a_default(client):
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert {name for name in described if "gan_" in name} == {f"/{name}" for name in ENDPOINTS}
    for name in ENDPOINTS:
        parameters = described[f"/{name}"]["parameters"]
        assert all(p["parameter_has_default"] for p in parameters)
        documented = re.findall(r"^        (\w+):", getattr(gan, name).__doc__.split("Returns:")[0], re.M)
        assert [p["parameter_name"] for p in parameters] == documented
    with urllib.request.urlopen(client.src.rstrip("/") + "/gradio_api/openapi.json") as response:
        text = response.read().decode()
    assert all(getattr(gan, name).__doc__.split("\n")[0] in text for name in ENDPOINTS)


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
    ("/gan_sample", {"model": "../gan-mnist"}),
    ("/gan_sample", {"n": 31}),
    ("/gan_sample", {"n": 1e9}),
    ("/gan_sample", {"label": "<b>cat</b>"}),
    ("/gan_sample", {"truncation": -0.1}),
    ("/gan_sample", {"seed": 1.5}),
    ("/gan_sample", {"directions": [9]}),
    ("/gan_sample", {"directions": {"a": 1}}),
    ("/gan_score", {"picture": 5}),
    ("/gan_score", {"test_picture_number": 10**6}),
    ("/gan_walk", {"steps": 65}),
    ("/gan_walk", {"last": None}),
    ("/gan_walk", {"first_seed": -1}),
    ("/gan_project", {"steps": 301}),
    ("/gan_project", {"steps": None}),
    ("/gan_project", {"label": "round"}),
]


def test_bad_input_gets_a_sentence_and_the_server_goes_on(client, tmp_path):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    for name, values in [*BAD, ("/gan_score", {"picture": handle_file(tmp_path / "huge.png")})]:
        with pytest.raises(AppError) as error:
            client.predict(**values, api_name=name)
        assert is_sentence(str(error.value)) and "show_error" not in str(error.value) and "<b>" not in str(error.value)
    assert client.predict(n=1, api_name="/gan_sample")


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.lists(st.floats(), max_size=9),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
names, labels = (st.one_of(st.sampled_from(valid), anything) for valid in (gan.MODELS, ["any", "7", "bag", "smiling=yes"]))


def integers_or_anything(low, high):
    return st.one_of(st.integers(low, high), anything)


PROPERTIES = {
    "gan_sample": (
        names,
        integers_or_anything(1, 2),
        labels,
        integers_or_anything(0, 1),
        integers_or_anything(0, 9),
        st.one_of(st.lists(st.integers(-3, 3), max_size=8), anything),
    ),
    "gan_score": (names, anything, integers_or_anything(0, 99), labels),
    "gan_walk": (names, labels, integers_or_anything(0, 9), labels, integers_or_anything(0, 9), integers_or_anything(2, 3)),
    "gan_project": (
        names,
        anything,
        integers_or_anything(0, 99),
        labels,
        integers_or_anything(1, 2),
        integers_or_anything(0, 9),
    ),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_any_input_gives_a_result_or_a_sentence(name):
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*PROPERTIES[name]))
    def check(values):
        endpoint, result, error = getattr(gan, name), None, None
        try:
            result = ended(wiring.stepwise(endpoint)(*values)) if name == "gan_project" else wiring.guarded(endpoint)(*values)
        except gr.Error as e:
            error = e.message
        assert result or is_sentence(error) and "<" not in error

    check()


@settings(max_examples=30, deadline=None)
@given(st.one_of(anything, anything.map(lambda z: {"model": "gan-mnist", "z": z})))
def test_the_sliders_may_send_anything(payload):
    amounts, error = [], None
    try:
        amounts = gan.amounts_from_sliders("mnist", payload)
    except ValueError as e:
        error = str(e)
    assert is_sentence(error) if error else len(amounts) in (0, gan.DIRECTIONS)
