"""The denoising tab: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

import base64
import io
import math
import os
import re
import shutil
import time
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
from test_app_diffusion import ended, is_sentence, said, stroke

import genmodels as gm
from genmodels.denoiser import CLASSICAL, NOISES, add_noise, quality
from tabs import denoiser, wiring

ENDPOINTS = ("add_noise", "denoise")


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return all_checkpoints


@pytest.fixture
def small(monkeypatch):
    """A smaller crop, so that the classical methods take no time."""
    monkeypatch.setattr(denoiser, "CROP", 48)


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


def photo(tmp_path, size=(60, 50), name="picture.png", mode="RGB"):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(tmp_path / name)
    return str(tmp_path / name)


def event(i):
    return gr.EventData(None, {"index": i})


def pictures_of(stage):
    """The pictures on the stage: name -> (h, w, C) uint8."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(stage["source"].split(",")[1]))))
    sheet = sheet.reshape(*sheet.shape[:2], -1)
    w = stage["w"]
    return {name: sheet[:, i * w : (i + 1) * w] for i, name in enumerate(stage["names"])}


def pixels(x):
    return gm.pictures.to_bytes(x)[0].numpy()


def refused(handler, *values):
    with pytest.raises(gr.Error) as error:
        wiring.guarded(handler)(*values)
    assert is_sentence(error.value.message)
    return error.value.message


# --- The stage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["photo", "mnist"])
def test_all_methods_are_compared_with_their_metrics(dataset, small):
    source = denoiser.test_picture_source(dataset, 1)
    *_, (stage, _) = denoiser.compare(source, dataset, "gaussian", 50, 3, 40)
    ours = ["our network"] + ["our denoising VAE", "our diffusion model"] * (dataset == "mnist")
    assert stage["names"] == ["noisy", *ours, *CLASSICAL, "clean picture", "removed noise"]
    clean = source["x"]
    noisy = add_noise(clean, "gaussian", 50 / 255, seed=3)
    model = gm.load(f"denoiser-{dataset}")
    expected = {
        "noisy": noisy,
        "our network": model.restore(noisy, 40 / 255),
        "clean picture": clean,
        "median": gm.denoiser.classical(noisy, "median", 50 / 255),
    }
    expected["removed noise"] = 0.5 + noisy - expected["our network"]
    if dataset == "mnist":
        expected["our denoising VAE"] = gm.load("dvae-mnist").restore(noisy)
        expected["our diffusion model"] = gm.load("diffusion-mnist").restore(noisy, 50 / 255, seed=3)
    pictures = pictures_of(stage)
    for name, x in expected.items():
        assert np.abs(pictures[name].astype(int) - pixels(x)).max() <= 1, name
    for name, note in zip(stage["names"], stage["notes"]):
        if name in expected and "clean" not in name and "removed" not in name:
            psnr, ssim = quality(expected[name], clean)
            assert note.startswith(f"{psnr:.1f} dB · {ssim:.3f}"), name
            assert ("ms" in note) == (name != "noisy")


def test_without_added_noise_there_is_no_clean_picture(small):
    source = denoiser.test_picture_source("photo", 2)
    stage, lines = denoiser.show(source, "photo", "none", 0, 0, 0)
    assert stage["names"] == ["noisy", "our network", "removed noise"]
    assert not any("dB" in note for note in stage["notes"])
    pictures = pictures_of(stage)
    assert (pictures["noisy"] == pixels(source["x"])).all() and "quality(" not in lines.split("\n\n")[-1]


@pytest.mark.parametrize("kind", NOISES)
def test_every_kind_of_noise_has_its_scale(kind, small):
    update = denoiser.choose_kind(kind, "photo")
    maximum, value = denoiser.SCALES[kind]
    assert (update["maximum"], update["value"], update["visible"]) == (maximum, value, True)
    source = denoiser.test_picture_source("photo", 0)
    stage, _ = denoiser.show(source, "photo", kind, value, 1, 0)
    s = value / (255 if kind == "gaussian" else 100)
    assert (pictures_of(stage)["noisy"] == pixels(add_noise(source["x"], kind, s, seed=1))).all()
    names = denoiser.show(denoiser.test_picture_source("mnist", 0), "mnist", kind, value, 1, 0)[0]["names"]
    assert ("our diffusion model" in names) == (kind == "gaussian")


def test_scikit_image_is_given_the_true_sigma_or_estimates_it():
    assert denoiser.noise_options("gaussian", 51, 0, 10).reference_sigma == 0.2
    assert denoiser.noise_options("speckle", 30, 0, 0).reference_sigma is None
    assert denoiser.noise_options("none", 0, 0, 51).reference_sigma == 0.2


def test_it_opens_with_a_picture_of_each_dataset():
    for dataset, n in (("photo", 8), ("mnist", 10), ("fashion", 10)):
        tiles, drawing, source, kind, strength, sigma = denoiser.open_dataset(dataset)
        assert (tiles["n"], len(tiles["labels"]), tiles["chosen"], kind, sigma) == (n, n, 0, "gaussian", 0)
        assert drawing["visible"] == (dataset != "photo") and source["dataset"] == dataset
        assert strength["value"] == (25 if dataset == "photo" else 100)
    assert denoiser.choose_test("mnist", event(4))["lines"].endswith("[4:5]\n")


def test_the_stage_shows_the_centre_of_a_large_photograph(tmp_path):
    source = denoiser.upload_source("photo", photo(tmp_path, (1000, 500)))
    whole = denoiser.whole_picture(source)
    assert whole.shape == (1, 3, 500, 1000)
    assert torch.equal(source["x"], whole[..., 58:442, 308:692])
    assert source["size"] == "1,000 × 500" and "x" in source
    grey = denoiser.upload_source("photo", photo(tmp_path, mode="L"))
    assert grey["x"].shape == (1, 1, 50, 60) and grey["crop"] == ""


# --- Reproduce in Python ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, dataset, controls",
    [
        ("a photograph", "photo", ("gaussian", 25, 4, 0)),
        ("a photograph", "photo", ("poisson", 30, 0, 25)),
        ("a test picture", "mnist", ("salt-and-pepper", 30, 1, 0)),
        ("a drawing", "fashion", ("missing block", 40, 2, 0)),
        ("a file", "photo", ("speckle", 20, 5, 0)),
        ("a file", "photo", ("none", 0, 0, 20)),
        ("a file", "mnist", ("gaussian", 100, 0, 50)),
    ],
)
def test_the_lines_compute_what_is_shown(name, dataset, controls, tmp_path, monkeypatch, small):
    source = {
        "a photograph": lambda: denoiser.test_picture_source("photo", 3),
        "a test picture": lambda: denoiser.test_picture_source(dataset, 7),
        "a drawing": lambda: denoiser.drawing_source(dataset, stroke()),
        "a file": lambda: denoiser.upload_source(dataset, photo(tmp_path)),
    }[name]()
    stage, lines = denoiser.show(source, dataset, *controls)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(lines, "lines", "exec"), names)
    assert np.abs(pictures_of(stage)["our network"].astype(int) - pixels(names["x"])).max() <= 1
    assert np.abs(pictures_of(stage)["noisy"].astype(int) - pixels(names["noisy"])).max() <= 1
    assert (tmp_path / "picture.png").is_file()


# --- The whole picture ------------------------------------------------------------------------------------------------


def test_the_whole_picture_is_restored_in_tiles_and_can_be_downloaded(tmp_path):
    source = denoiser.upload_source("photo", photo(tmp_path, (700, 600)))
    *early, (stage, file) = denoiser.restore_whole(source, "photo", "gaussian", 25, 1, 20)
    assert [e[0]["message"].split(": ")[1] for e in early] == ["0 %", "62 %", "85 %", "96 %"]
    restored = np.asarray(Image.open(file["value"]))
    noisy = add_noise(denoiser.whole_picture(source), "gaussian", 25 / 255, seed=1)
    assert np.abs(restored.astype(int) - pixels(gm.load("denoiser-photo").restore(noisy, 20 / 255))).max() <= 1
    assert file["interactive"] and "700 × 600" in stage["caption"] and stage["w"] <= 350


def test_a_stopped_run_has_no_result(tmp_path):
    run = denoiser.restore_whole(denoiser.upload_source("photo", photo(tmp_path, (700, 600))), "photo", "none", 0, 0, 0)
    next(run), next(run)
    stage, file = run.throw(wiring.Stopped())
    assert "Stopped" in stage["message"] and not file["interactive"]
    assert next(run, None) is None


def test_noise_is_limited_to_small_pictures_and_restoring_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(denoiser, "MAX_NOISY_PIXELS", 2999)
    source = denoiser.upload_source("photo", photo(tmp_path))
    assert "megapixels" in said(denoiser.restore_whole, source, "photo", "gaussian", 25, 0, 0)
    assert ended(denoiser.restore_whole(source, "photo", "none", 0, 0, 0))[1]["interactive"]


def test_files_to_download_do_not_pile_up(tmp_path, monkeypatch):
    monkeypatch.setattr(denoiser.tempfile, "tempdir", str(tmp_path))
    first = denoiser.save_png(torch.rand(1, 3, 4, 4))
    second = denoiser.save_png(torch.rand(1, 1, 4, 4))
    assert os.path.isfile(first) and first != second
    old = time.time() - denoiser.DOWNLOAD_SECONDS - 10
    os.utime(os.path.dirname(first), (old, old))
    denoiser.save_png(torch.rand(1, 1, 4, 4))
    assert not os.path.exists(first) and os.path.isfile(second)


# --- What is not allowed, and what is missing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values, says",
    [
        (("photo", "rain", 1, 0, 0), "Kind must be"),
        (("photo", "gaussian", 151, 0, 0), "0 to 150"),
        (("photo", "speckle", -1, 0, 0), "Strength"),
        (("photo", "gaussian", math.nan, 0, 0), "Strength"),
        (("photo", "gaussian", 1, -1, 0), "Seed"),
        (("photo", "gaussian", 1, None, 0), "Seed"),
        (("photo", "gaussian", 1, 0, 101), "Sigma given to the network"),
        (("dogs", "gaussian", 1, 0, 0), "Data set"),
        (("mnist", "gaussian", 1, 0, 0), "Choose a picture"),
    ],
)
def test_what_is_not_allowed_gets_a_sentence(values, says):
    assert says in refused(denoiser.show, denoiser.test_picture_source("photo", 0), *values)
    assert says in said(denoiser.compare, denoiser.test_picture_source("photo", 0), *values)


def test_bad_input_of_the_tools_gets_a_sentence():
    assert "Choose a picture" in refused(denoiser.show, None, "photo", "gaussian", 1, 0, 0)
    assert "index" in refused(denoiser.choose_test, "photo", event("x"))
    assert "0 to 7" in refused(denoiser.choose_test, "photo", event(9))
    assert "empty" in refused(denoiser.drawing_source, "mnist", None)
    assert "Drawings" in refused(denoiser.drawing_source, "photo", stroke())


BROKEN = {
    "cut off": lambda p: p.write_bytes(p.read_bytes()[:400]),
    "a text": lambda p: p.write_text("<svg onload=alert(1)>", encoding="utf-8"),
    "empty": lambda p: p.write_bytes(b""),
    "a bomb": lambda p: Image.new("1", (14_000, 14_000)).save(p),
    "too many pixels": lambda p: Image.new("L", (4001, 4000)).save(p),
    "too many bytes": lambda p: p.write_bytes(b"\x89PNG" + bytes(40_000_001)),
}


@pytest.mark.parametrize("how", BROKEN)
def test_files_that_are_no_pictures_get_a_sentence(how, tmp_path):
    file = tmp_path / "x.png"
    photo(tmp_path, name="x.png")
    BROKEN[how](file)
    assert str(tmp_path) not in refused(denoiser.upload_source, "photo", str(file))


def test_twelve_megapixels_are_taken(tmp_path):
    Image.new("RGB", (4000, 3000), (200, 10, 10)).save(tmp_path / "large.jpg")
    source = denoiser.upload_source("photo", str(tmp_path / "large.jpg"))
    assert source["x"].shape == (1, 3, denoiser.CROP, denoiser.CROP) and source["size"] == "4,000 × 3,000"
    first, _ = next(denoiser.restore_whole(source, "photo", "none", 0, 0, 0))
    assert first["message"].startswith("4,000 × 3,000")


@pytest.fixture
def own_checkpoints(checkpoints, tmp_path, monkeypatch):
    """A folder of real copies of the checkpoints, that a test may break."""
    for name in denoiser.MODELS:
        shutil.copytree(checkpoints / name, tmp_path / name)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


def test_a_missing_model_leaves_the_others(own_checkpoints, small):
    shutil.rmtree(own_checkpoints / "denoiser-photo")
    shutil.rmtree(own_checkpoints / "dvae-mnist")
    assert denoiser.available() == ["mnist", "fashion"]
    assert "denoiser-photo" in refused(denoiser.show, denoiser.test_picture_source("photo", 0), "photo", "gaussian", 1, 0, 0)
    stage, _ = denoiser.show(denoiser.test_picture_source("mnist", 0), "mnist", "gaussian", 50, 0, 0)
    assert stage["names"] == ["noisy", "our network", "clean picture", "removed noise"]
    assert (
        "our denoising VAE"
        in denoiser.show(denoiser.test_picture_source("fashion", 0), "fashion", "speckle", 50, 0, 0)[0]["names"]
    )


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_described_and_every_parameter_has_a_default(client):
    described = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for name in ENDPOINTS:
        parameters = described[f"/{name}"]["parameters"]
        assert all(p["parameter_has_default"] for p in parameters)
        documented = re.findall(r"^        (\w+):", getattr(denoiser, name).__doc__.split("Returns:")[0], re.M)
        assert [p["parameter_name"] for p in parameters] == documented
    with urllib.request.urlopen(client.src.rstrip("/") + "/gradio_api/openapi.json") as answer:
        text = answer.read().decode()
    assert all(getattr(denoiser, name).__doc__.split("\n")[0] in text for name in ENDPOINTS)


def test_endpoints_add_and_remove_noise(client, tmp_path):
    clean = gm.data.photograph("camera")
    facts, file = client.predict(photograph_number=5, kind="speckle", strength=0.3, seed=2, api_name="/add_noise")
    assert facts == {"kind": "speckle", "strength": 0.3, "width": 512, "height": 512}
    assert (np.asarray(Image.open(file)) == pixels(add_noise(clean, "speckle", 0.3, seed=2))[..., 0]).all()
    x = torch.from_numpy(np.array(Image.open(photo(tmp_path)))).permute(2, 0, 1)[None] / 255
    facts, file = client.predict(picture=handle_file(photo(tmp_path)), kind="none", sigma=0.1, api_name="/denoise")
    assert np.abs(np.asarray(Image.open(file)).astype(int) - pixels(gm.load("denoiser-photo").restore(x, 0.1))).max() <= 1
    assert set(facts) == {"width", "height", "seconds"} and (facts["width"], facts["height"]) == (60, 50)
    facts, file = client.predict(model="dvae-mnist", test_picture_number=3, strength=0.4, api_name="/denoise")
    clean = gm.data.samples("mnist").floats()[3:4]
    restored = gm.load("dvae-mnist").restore(add_noise(clean, "gaussian", 0.4, seed=0))
    assert facts["psnr_after"] == pytest.approx(quality(restored, clean)[0], abs=1e-3)
    facts, _ = client.predict(model="denoiser-mnist", method="median", api_name="/denoise")
    assert facts["psnr_after"] != facts["psnr_before"]


BAD = [
    ("/denoise", {"model": "../denoiser-photo"}),
    ("/denoise", {"model": "vae-mnist"}),
    ("/denoise", {"kind": "<b>"}),
    ("/denoise", {"strength": 2}),
    ("/denoise", {"sigma": -1}),
    ("/denoise", {"method": "bm3d"}),
    ("/denoise", {"seed": 1.5}),
    ("/denoise", {"test_picture_number": 8}),
    ("/denoise", {"picture": 5}),
    ("/add_noise", {"kind": "none"}),
    ("/add_noise", {"strength": None}),
    ("/add_noise", {"photograph_number": -1}),
    ("/add_noise", {"seed": -1}),
]


def test_bad_input_gets_a_sentence_and_the_server_goes_on(client, tmp_path):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    for name, values in [*BAD, ("/denoise", {"picture": handle_file(tmp_path / "huge.png")})]:
        with pytest.raises(AppError) as error:
            client.predict(**values, api_name=name)
        assert is_sentence(str(error.value)) and "show_error" not in str(error.value) and "<b>" not in str(error.value)
    assert client.predict(strength=0, api_name="/add_noise")


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.lists(st.floats(), max_size=9),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def mixed(*values):
    return st.one_of(st.sampled_from(values), anything)


PROPERTIES = {
    "add_noise": (anything, mixed(0, 7), mixed(*NOISES), mixed(0, 0.5, 1), mixed(0, 5)),
    "denoise": (
        mixed(*denoiser.MODELS[1:]),
        anything,
        mixed(0, 7),
        mixed(*NOISES, "none"),
        mixed(0, 0.5, 1),
        mixed(0, 0.5),
        mixed("ours", "median"),
        mixed(0, 5),
    ),
}


@pytest.mark.parametrize("name", ENDPOINTS)
def test_any_input_gives_an_answer_or_a_sentence(name):
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.tuples(*PROPERTIES[name]))
    def check(values):
        endpoint, result, error = getattr(denoiser, name), None, None
        try:
            result = ended(wiring.stepwise(endpoint)(*values)) if name == "denoise" else wiring.guarded(endpoint)(*values)
        except gr.Error as e:
            error = e.message
        assert result or is_sentence(error) and "<" not in error

    check()
