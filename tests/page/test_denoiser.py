"""The denoising tab: its handlers as plain functions, its endpoints through gradio_client, its error messages."""

import math
import os
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
    refusal,
    result_of,
    run_program,
    sheet_of,
    stroke,
)
from helpers import pixels as rgb_pixels
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from genmodels.denoiser import NOISES, add_noise, quality
from tabs import denoiser, events, sources
from tabs.components.tiles import Tiles
from tabs.denoiser import comparison, noise, pictures, whole
from tabs.denoiser.data import DENOISER


@pytest.fixture
def small(monkeypatch):
    """A smaller crop, so that the classical methods take no time."""
    monkeypatch.setattr(pictures, "CROP", 48)


def upload_file(tmp_path, size=(60, 50), name="picture.png", mode="RGB"):
    values = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(values).convert(mode).save(tmp_path / name)
    return str(tmp_path / name)


def names_of(stage):
    return [version["name"] for version in stage["pictures"]]


def pictures_of(stage):
    """The pictures on the stage: name -> (h, w, 3) uint8."""
    return dict(zip(names_of(stage), sheet_of(stage)))


def pixels(x):
    return rgb_pixels(x)[0]


def same(shown, x):
    """Whether (h, w, 3) uint8 shows the picture x (1, C, H, W), up to one grey level of rounding."""
    return np.abs(shown.astype(int) - pixels(x)).max() <= 1


def controls(kind="gaussian", strength=25, seed=0, sigma=0):
    return {"kind": kind, "strength": strength, "seed": seed, "sigma": sigma}


# --- The stage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dataset", ["photo", "mnist"])
def test_all_methods_are_compared_with_their_metrics(dataset, small):
    source = pictures.example(dataset, 1)
    stage = last(comparison.compare(source, dataset, **controls("gaussian", 50, 3, 40)))["stage"]
    ours = ["our network"] + ["our denoising VAE", "our diffusion model"] * (dataset == "mnist")
    assert names_of(stage) == ["noisy", *ours, *gm.denoiser.CLASSICAL, "clean picture", "removed noise"]
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
    shown = pictures_of(stage)
    for name, x in expected.items():
        assert same(shown[name], x), name
    for name, note in (version.values() for version in stage["pictures"]):
        if name in expected and "clean" not in name and "removed" not in name:
            psnr, ssim = quality(expected[name], clean)
            shown_psnr, shown_ssim = map(float, re.match(r"PSNR (.*) dB · SSIM (0\.\d{3})", note).groups())
            assert shown_psnr == pytest.approx(psnr, abs=0.051) and shown_ssim == pytest.approx(ssim, abs=0.00051), name
            assert ("ms" in note) == (name != "noisy")


@pytest.mark.parametrize("sigma", [0, 20])
def test_noise_that_is_there_already_is_a_cameras(sigma, small):
    source = pictures.example("photo", 2)
    shown = comparison.show(source, "photo", **controls("none", 0, sigma=sigma))
    stage = shown["stage"]
    assert names_of(stage) == ["noisy", "our network", "our network for white noise", "removed noise"]  # none is clean
    assert not any("dB" in version["note"] for version in stage["pictures"])
    versions, x = pictures_of(stage), source["x"]
    assert (versions["noisy"] == pixels(x)).all() and "quality(" not in shown["lines"]
    model = gm.load("denoiser-camera")
    assert same(versions["our network"], model.restore(x, sigma / 255 or None)) and 'load("denoiser-camera")' in shown["lines"]
    assert same(versions["our network for white noise"], gm.load("denoiser-photo").restore(x, sigma / 255 or None))
    assert f"sigma {255 * model.noise_level(x).item():.1f}." in stage["caption"]


def test_noise_that_is_added_is_not_a_cameras(small):
    for dataset, kind in (("photo", "gaussian"), ("mnist", "none")):
        shown = comparison.show(pictures.example(dataset, 0), dataset, **controls(kind, 10))
        assert f'load("denoiser-{dataset}")' in shown["lines"] and "estimates" not in shown["stage"]["caption"]


def test_without_a_network_for_cameras_that_for_white_noise_restores(own_checkpoints, small):
    shutil.rmtree(own_checkpoints / "denoiser-camera")
    shown = comparison.show(pictures.example("photo", 2), "photo", **controls("none", 0))
    assert names_of(shown["stage"]) == ["noisy", "our network", "removed noise"] and "denoiser-photo" in shown["lines"]


@pytest.mark.parametrize("kind", NOISES)
def test_every_kind_of_noise_has_its_scale(kind, small):
    update, facts = noise.choose_kind(kind, "photo")["strength"], noise.KINDS[kind]
    assert (update["maximum"], update["value"], update["visible"]) == (facts.maximum, facts.value, True)
    source, values = pictures.example("photo", 0), controls(kind, facts.value, 1)
    stage = comparison.show(source, "photo", **values)["stage"]
    s = facts.value / (255 if kind == "gaussian" else 100)
    assert same(pictures_of(stage)["noisy"], add_noise(source["x"], kind, s, seed=1))
    names = names_of(comparison.show(pictures.example("mnist", 0), "mnist", **values)["stage"])
    assert ("our diffusion model" in names) == (kind == "gaussian")


@pytest.mark.parametrize(
    ("values", "sigma"), [(("gaussian", 51, 0, 10), 0.2), (("speckle", 30, 0, 0), None), (("none", 0, 0, 51), 0.2)]
)
def test_scikit_image_is_given_the_true_sigma_or_estimates_it(values, sigma):
    assert noise.Noise.read(**controls(*values)).restoration().reference_sigma == sigma


def test_it_opens_with_a_picture_of_each_dataset():
    for dataset, n in (("photo", 8), ("mnist", 10), ("fashion", 10)):
        opened = denoiser.open_dataset(dataset)
        tiles = opened["tiles"]
        assert (tiles["n"], len(tiles["labels"]), tiles["chosen"]) == (n, n, 0)
        assert (opened["kind"], opened["sigma"]) == ("gaussian", 0)
        assert opened["drawing"]["visible"] == (dataset != "photo") and opened["source"]["dataset"] == dataset
        assert opened["strength"]["value"] == (25 if dataset == "photo" else 100)
    assert pictures.PICTURES.choose_test_picture(event(index=4), "mnist")["source"]["lines"].endswith("[4:5]\n")


def test_the_stage_shows_the_centre_of_a_large_photograph(tmp_path):
    source = pictures.upload("photo", upload_file(tmp_path, (1000, 500)))
    x = pictures.whole_picture(source)
    assert x.shape == (1, 3, 500, 1000)
    assert torch.equal(source["x"], x[..., 122:378, 372:628])  # the same pixels
    assert source["size"] == "1,000 × 500"
    grey = pictures.upload("photo", upload_file(tmp_path, mode="L"))
    assert grey["x"].shape == (1, 1, 50, 60) and grey["crop"] == ""
    assert [pictures.choose(s)["left"]["visible"] for s in (source, grey)] == [True, False]


def test_the_visitor_moves_the_part_on_the_stage(tmp_path):
    source = pictures.upload("photo", upload_file(tmp_path, (1000, 500)))
    moved = pictures.move(pictures.move(source, left=100, top=0)["source"], left=0, top=100)["source"]
    assert moved["crop"] == "[..., 244:500, 0:256]" and moved["whole"] == source["whole"]
    assert torch.equal(moved["x"], pictures.whole_picture(source)[..., 244:, :256])
    assert "Crop: left must be a whole number from 0 to 100" in refusal(pictures.move, source, left=101, top=0)


@pytest.mark.parametrize(("dataset", "kind"), [("photo", "missing block"), ("photo", "gaussian"), ("mnist", "missing block")])
def test_the_stage_says_that_a_block_of_a_photograph_is_not_filled(dataset, kind, small):
    shown = comparison.show(pictures.example(dataset, 1), dataset, **controls(kind, 30))["stage"]
    assert ("not learnt to fill" in shown["caption"]) == (dataset == "photo" and kind == "missing block")


def test_the_methods_and_kinds_are_those_of_the_package():
    assert noise.CLASSICAL == gm.denoiser.CLASSICAL and list(noise.KINDS) == [*NOISES, "none"]


# --- Reproduce in Python ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dataset", "values"),
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
def test_the_lines_compute_what_is_shown(name, dataset, values, tmp_path, monkeypatch, small):
    source = {
        "a photograph": lambda: pictures.example("photo", 3),
        "a test picture": lambda: pictures.example(dataset, 7),
        "a drawing": lambda: pictures.drawing(dataset, stroke()),
        "a file": lambda: pictures.upload(dataset, upload_file(tmp_path)),
    }[name]()
    shown = comparison.show(source, dataset, **controls(*values))
    names = run_program(shown["lines"], tmp_path, monkeypatch)
    assert same(pictures_of(shown["stage"])["our network"], names["x"])
    assert same(pictures_of(shown["stage"])["noisy"], names["noisy"])
    assert (tmp_path / "picture.png").is_file()


# --- The whole picture ------------------------------------------------------------------------------------------------


def test_the_whole_picture_is_restored_in_tiles_and_can_be_downloaded(tmp_path):
    source = pictures.upload("photo", upload_file(tmp_path, (700, 600)))
    *early, final = whole.restore(source, "photo", **controls("gaussian", 25, 1, 20))
    assert [e["result"]["message"].split(": ")[1] for e in early] == ["0 %", "62 %", "85 %", "96 %"]
    restored = np.asarray(Image.open(final["file"]["value"]))
    noisy = add_noise(pictures.whole_picture(source), "gaussian", 25 / 255, seed=1)
    assert same(restored, gm.load("denoiser-photo").restore(noisy, 20 / 255))
    assert final["file"]["interactive"] and "700 × 600" in final["result"]["caption"] and final["result"]["w"] <= 350


def test_a_whole_picture_that_is_noisy_already_is_restored_by_the_network_for_cameras(tmp_path):
    source = pictures.upload("photo", upload_file(tmp_path))
    restored = np.asarray(Image.open(last(whole.restore(source, "photo", **controls("none", 0)))["file"]["value"]))
    assert same(restored, gm.load("denoiser-camera").restore(pictures.whole_picture(source)))


def test_a_stopped_run_has_no_result(tmp_path):
    run = whole.restore(pictures.upload("photo", upload_file(tmp_path, (700, 600))), "photo", **controls("none", 0))
    next(run), next(run)
    stopped = run.throw(events.Stopped())
    assert "Stopped" in stopped["result"]["message"] and not stopped["file"]["interactive"]
    assert next(run, None) is None


def test_noise_is_limited_to_small_pictures_and_restoring_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(noise, "MAX_NOISY_PIXELS", 2999)
    source = pictures.upload("photo", upload_file(tmp_path))
    assert "megapixels" in refusal(whole.restore, source, "photo", **controls("gaussian", 25))
    assert last(whole.restore(source, "photo", **controls("none", 0)))["file"]["interactive"]


def test_files_to_download_lie_among_the_visitors_files(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "files"))
    first, second = (whole.save_png(torch.rand(1, c, 4, 4)) for c in (3, 1))
    assert os.path.isfile(first) and os.path.isfile(second) and first != second
    assert os.path.dirname(os.path.dirname(first)) == str(tmp_path / "files")


def test_another_picture_has_no_result_yet():
    assert whole.reset(pictures.example("photo", 0))["result"]["message"].startswith("Ready: ")
    assert whole.reset(None)["result"]["message"] == "" and not whole.reset(None)["file"]["interactive"]


# --- What is not allowed, and what is missing -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "values", "says"),
    [
        ("photo", ("rain", 1, 0, 0), "Kind must be"),
        ("photo", ("gaussian", 151, 0, 0), "Strength must be a number from 0 to 150"),
        ("photo", ("poisson", 61, 0, 0), "Strength must be a number from 0 to 60 for Poisson, not 61"),
        ("photo", ("speckle", -1, 0, 0), "Strength"),
        ("photo", ("gaussian", math.nan, 0, 0), "Strength"),
        ("photo", ("gaussian", 1, -1, 0), "Seed"),
        ("photo", ("gaussian", 1, None, 0), "Seed"),
        ("photo", ("gaussian", 1, 0, 101), "Sigma given to the network"),
        ("dogs", ("gaussian", 1, 0, 0), "Dataset"),
        ("mnist", ("gaussian", 1, 0, 0), "Choose a picture"),
    ],
)
def test_what_is_not_allowed_gets_a_sentence(dataset, values, says):
    for handler in (comparison.show, comparison.compare, whole.restore):
        assert says in refusal(handler, pictures.example("photo", 0), dataset, **controls(*values))


@pytest.mark.parametrize("dataset", ["photo", "mnist"])
def test_pictures_that_cannot_be_loaded_leave_a_sentence_in_their_place(dataset, monkeypatch):
    def broken(*_):
        raise gm.data.DataError("A file is broken: copy it again.")

    def missing(*_):
        raise ImportError("A library is missing: install it.")

    for error in (broken, missing):
        monkeypatch.setattr(sources, "test_pictures", error)
        monkeypatch.setattr(pictures, "photograph_thumbnails", error)
        with gr.Blocks():
            outputs = {"tiles": Tiles(), "source": gr.State()}
        opened = events.guarded(denoiser.open_dataset, events.in_place(outputs))(dataset)
        assert opened == {"tiles": {"message": opened["tiles"]["message"]}, "source": None}
        assert is_sentence(opened["tiles"]["message"])


def test_bad_input_of_the_tools_gets_a_sentence():
    assert "Choose a picture" in refusal(comparison.show, None, "photo", **controls())
    assert "Kind" in refusal(noise.choose_kind, "rain", "photo")
    assert "index" in refusal(pictures.PICTURES.choose_test_picture, event(index="x"), "photo")
    assert "0 to 7" in refusal(pictures.PICTURES.choose_test_picture, event(index=9), "photo")
    assert "empty" in refusal(pictures.drawing, "mnist", None)
    assert "Drawings" in refusal(pictures.drawing, "photo", stroke())


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
    upload_file(tmp_path, name="x.png")
    BROKEN[how](file)
    assert str(tmp_path) not in refusal(pictures.upload, "photo", str(file))


def test_twelve_megapixels_are_taken(tmp_path):
    Image.new("RGB", (4000, 3000), (200, 10, 10)).save(tmp_path / "large.jpg")
    source = pictures.upload("photo", str(tmp_path / "large.jpg"))
    assert source["x"].shape == (1, 3, pictures.CROP, pictures.CROP) and source["size"] == "4,000 × 3,000"
    first = next(whole.restore(source, "photo", **controls("none", 0)))
    assert first["result"]["message"].startswith("4,000 × 3,000")


COPIED = DENOISER.models  # by `own_checkpoints`


def test_a_missing_model_leaves_the_others(own_checkpoints, small):
    shutil.rmtree(own_checkpoints / "denoiser-photo")
    shutil.rmtree(own_checkpoints / "dvae-mnist")
    assert DENOISER.available() == ["mnist", "fashion"] and len(denoiser.prepare()) == 2
    assert "denoiser-photo" in refusal(comparison.show, pictures.example("photo", 0), "photo", **controls())
    stage = comparison.show(pictures.example("mnist", 0), "mnist", **controls("gaussian", 50))["stage"]
    assert names_of(stage) == ["noisy", "our network", "clean picture", "removed noise"]
    stage = comparison.show(pictures.example("fashion", 0), "fashion", **controls("speckle", 50))["stage"]
    assert "our denoising VAE" in names_of(stage)


# --- Endpoints --------------------------------------------------------------------------------------------------------


def test_every_endpoint_is_described(client):
    for fn in denoiser.ENDPOINTS:
        assert_described(client, fn.__name__, [fn])


def test_endpoints_add_and_remove_noise(client, tmp_path):
    clean = gm.data.photograph("camera")
    facts, file = client.predict(photograph_number=5, kind="speckle", strength=0.3, seed=2, api_name="/add_noise")
    assert facts == {"kind": "speckle", "strength": 0.3, "width": 512, "height": 512}
    assert same(np.asarray(Image.open(file).convert("RGB")), add_noise(clean, "speckle", 0.3, seed=2))
    x = torch.from_numpy(np.array(Image.open(upload_file(tmp_path)))).permute(2, 0, 1)[None] / 255
    facts, file = client.predict(picture=handle_file(upload_file(tmp_path)), kind="none", sigma=0.1, api_name="/denoise")
    camera = gm.load("denoiser-camera")
    assert same(np.asarray(Image.open(file)), camera.restore(x, 0.1))
    assert set(facts) == {"width", "height", "seconds", "noise_level"} and (facts["width"], facts["height"]) == (60, 50)
    assert facts["noise_level"] == pytest.approx(camera.noise_level(x).item(), abs=1e-3)
    facts, file = client.predict("denoiser-photo", handle_file(upload_file(tmp_path)), kind="none", api_name="/denoise")
    assert same(np.asarray(Image.open(file)), gm.load("denoiser-photo").restore(x)) and "noise_level" not in facts
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


def test_bad_input_gets_a_sentence_and_the_server_goes_on(page_url, client, tmp_path):
    for name, values in BAD:
        assert api_refusal(page_url, name, values)
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    with pytest.raises(AppError, match="megapixels"):
        client.predict(picture=handle_file(tmp_path / "huge.png"), api_name="/denoise")
    assert client.predict(strength=0, api_name="/add_noise")


def mixed(*values):
    return st.one_of(st.sampled_from(values), anything)


ADDED = {"picture": anything, "kind": mixed(*NOISES), "strength": mixed(0, 0.5, 1), "seed": mixed(0, 5)}
PROPERTIES = {
    noise.add_noise: {**ADDED, "photograph_number": mixed(0, 7)},
    whole.denoise: {
        **ADDED,
        "model": mixed("auto", *DENOISER.models[1:]),
        "test_picture_number": mixed(0, 7),
        "kind": mixed(*NOISES, "none"),
        "sigma": mixed(0, 0.5),
        "method": mixed("ours", "median"),
    },
}


@pytest.mark.parametrize("fn", PROPERTIES, ids=lambda fn: fn.__name__)
def test_any_input_gives_an_answer_or_a_sentence(fn):
    endpoint = as_endpoint(fn)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(PROPERTIES[fn]))
    def check(values):
        result = result_of(endpoint, **values)
        assert result is None or isinstance(result[1], Image.Image)

    check()
