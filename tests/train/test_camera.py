"""The model of a camera that `denoiser-camera` is trained on."""

import pytest
import torch
from helpers_train import measured

import genmodels as gm
from genmodels import data
from genmodels.denoiser import Denoiser, luma
from tests import tiny
from train import camera, photographs

GREY = torch.full((1, 3, 64, 64), 0.5)


def test_the_curves_are_inverses_and_the_srgb_curve_is_the_standard():
    x = torch.linspace(0, 1, 101)
    assert torch.allclose(camera.to_srgb(camera.to_linear(x)), x, atol=1e-5)
    assert torch.allclose(camera.curved(camera.uncurved(x)), x, atol=1e-5)
    assert camera.to_linear(torch.tensor(0.5)).item() == pytest.approx(0.2140, abs=1e-4)  # IEC 61966-2-1


def test_demosaicing_leaves_flat_colours_and_ramps_alone():
    flat = torch.tensor([0.2, 0.5, 0.9]).view(1, 3, 1, 1).expand(1, 3, 16, 16)
    assert torch.allclose(camera.demosaic(flat), flat, atol=1e-6)
    ramp = (torch.arange(16.0) / 16).expand(1, 3, 16, 16)
    assert torch.allclose(camera.demosaic(ramp)[..., 2:-2, 2:-2], ramp[..., 2:-2, 2:-2], atol=1e-6)


def test_each_pixel_of_the_sensor_has_one_colour():
    assert torch.equal(camera.COLOUR_FILTER.sum(0), torch.ones(2, 2))
    assert camera.COLOUR_FILTER.sum((1, 2)).tolist() == [1, 2, 1]  # twice as many green ones


def test_noise_of_a_camera_is_larger_in_light_and_alike_in_neighbours(monkeypatch):
    """In linear light; with the tone curve of sRGB alone and no white balance."""
    middle = {(0.5, 1): 1.0, (0, 1): 1.0}
    monkeypatch.setattr(camera, "uniform", lambda low, high: middle.get((low, high), 1.0))
    monkeypatch.setattr(camera, "log_uniform", lambda low, high: 2e-3)
    torch.manual_seed(0)
    deviation = {}
    for brightness in (0.2, 0.7):
        clean, noisy = camera.photograph(torch.full((1, 3, 256, 256), brightness))
        assert torch.allclose(clean, torch.full_like(clean, brightness), atol=1e-4)
        noise = (camera.to_linear(noisy) - camera.to_linear(clean))[0, 1]
        deviation[brightness] = noise.std()
        neighbours = (noise[:, 1:] * noise[:, :-1]).mean() / noise.square().mean()
        assert 0.2 < neighbours < 0.6  # white noise: 0
    assert deviation[0.7] > 1.5 * deviation[0.2]


def test_exposure_and_white_balance_are_undone_and_leave_more_noise(monkeypatch):
    deviation = {}
    for exposure in (0.5, 1.0):
        monkeypatch.setattr(camera, "uniform", lambda low, high, e=exposure: {(0.5, 1): e, (0, 1): 1.0}.get((low, high), 1.5))
        monkeypatch.setattr(camera, "log_uniform", lambda low, high: 2e-3)
        torch.manual_seed(0)
        clean, noisy = camera.photograph(torch.full((1, 3, 64, 64), 0.6))
        assert torch.allclose(clean, torch.full_like(clean, 0.6), atol=1e-4)
        deviation[exposure] = (noisy - clean).std()
    assert deviation[0.5] > 1.3 * deviation[1.0]


@pytest.mark.parametrize("kind", camera.KINDS)
def test_pairs_are_reproducible_and_keep_to_the_range(kind):
    x = data.samples("photo").floats()[:2]
    clean, noisy = camera.pairs(x, kind, seed=3)
    again = camera.pairs(x, kind, seed=3)
    assert torch.equal(clean, again[0]) and torch.equal(noisy, again[1])
    assert clean.shape == noisy.shape == x.shape and 0 <= clean.min() and clean.max() <= 1
    assert torch.equal(clean, noisy) == (kind == "clean")
    if kind != "camera":
        assert torch.equal(clean, x)  # a camera's own blur is not to be removed
    other = camera.pairs(x, kind, seed=4)[1]
    assert torch.equal(other, noisy) == (kind == "clean")


def test_pairs_do_not_touch_the_global_random_state():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    camera.pairs(GREY, "camera", seed=1)
    assert torch.equal(torch.rand(3), expected)


def test_correlated_noise_is_alike_in_neighbours():
    torch.manual_seed(0)
    correlations = []
    for _ in range(20):
        noise = camera.correlated_noise(torch.Size((1, 3, 64, 64)))
        correlations.append((noise[..., 1:] * noise[..., :-1]).mean() / noise.square().mean())
    assert torch.stack(correlations).mean() > 0.3


def test_white_noise_comes_as_it_is_or_in_a_jpeg():
    torch.manual_seed(0)
    x = torch.rand(1, 3, 16, 16)
    noisy = [camera.corrupt(x, "white")[1] for _ in range(40)]
    in_jpeg = [(y * 255 - (y * 255).round()).abs().max() < 1e-3 for y in noisy]
    outside = [y.min() < 0 and y.max() > 1 for y in noisy]
    assert sum(in_jpeg) > 5 and sum(outside) > 10 and not any(a and b for a, b in zip(in_jpeg, outside))


def test_jpeg_errors_fall_with_quality():
    x = data.samples("photo").floats()[:1]
    errors = [(camera.jpeg(x, quality) - x).square().mean().item() for quality in (15, 50, 95)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


def test_patches_are_of_the_size_that_is_trained_on_and_some_are_grey():
    pictures = photographs.load("train", data.SAMPLES)
    patches = camera.CameraPatches(pictures, 32)
    torch.manual_seed(0)
    x, y = patches.batch(torch.zeros(40, dtype=torch.long))
    assert x.shape == y.shape == (40, 3, 32, 32)
    is_grey = [torch.allclose(p, luma(p).expand_as(p), atol=1e-5) for p in y.split(1)]
    assert 0 < sum(is_grey) < 40 or not any(p.std(0).max() > 1e-3 for p in pictures)


def test_a_denoiser_is_trained_on_pairs_blind_and_given_the_level(monkeypatch):
    model = tiny.make("denoiser", channels=3, size=8, noises=[], strongest=[])
    x = torch.rand(8, 3, 8, 8)
    y = x + 0.1 * torch.randn_like(x)
    maps = []
    denoise = Denoiser.denoise
    monkeypatch.setattr(Denoiser, "denoise", lambda self, y, M: maps.append((y, M)) or denoise(self, y, M))
    torch.manual_seed(0)
    loss = model.loss((x, y))["loss"]
    (given, M), level = maps[0], (y - x).square().mean((1, 2, 3)).sqrt()
    assert torch.equal(given, y)
    blind = M[:, 0, 0, 0] == 0
    assert 0 < blind.sum() < 8 and torch.allclose(M[:, 0, 0, 0][~blind], level[~blind])
    assert loss.item() == pytest.approx(
        ((denoise(model, y, M) - x).square().mean((1, 2, 3)) + 1e-7).sqrt().mean().item(), rel=1e-4
    )


def test_numbers_of_a_denoiser_of_camera_noise(root):
    for name in ("denoiser-camera", "denoiser-photo"):  # as they are made, they change nothing
        model = gm.load(name)
        torch.nn.init.normal_(model.last.weight, std=0.02)
        model._save_pretrained(root / name)
    _, card = measured(root, "denoiser-camera", "--seed", 3)
    model, other = gm.load("denoiser-camera"), gm.load("denoiser-photo")
    pictures = [p[None] / 255 for p in photographs.load("colour")]
    side = min(n for p in pictures for n in p.shape[2:]) // 2 * 2
    crops = [photographs.centre_crop(p[0], side)[None] for p in pictures]
    ours, blind, given = [], [], []
    for x in crops:
        y = camera.jpeg(x, 20)
        ours.append(camera.psnr(model.restore(y), x))
        blind.append(camera.psnr(other.restore(y), x))
        given.append([camera.psnr(other.restore(y, s / 255), x) for s in camera.SIGMAS])
    rows = {r.metric_name: r for r in card.data.eval_results}
    row = rows["PSNR in colour, JPEG 20, blind, dB"]
    best_of_each, best = sum(map(max, given)) / len(crops), max(map(sum, zip(*given))) / len(crops)
    mean = [sum(ours) / len(crops), sum(blind) / len(crops), best]
    assert len({round(value, 2) for value in mean}) == 3
    assert row.metric_value == pytest.approx(mean[0], rel=1e-4) and row.metric_args["N"] == len(crops)
    assert f"blind {mean[1]:.2f}, given the best sigma {mean[2]:.2f}" in row.metric_args["beside"]
    assert "| clean | unchanged |" in card.text
    cells = ["JPEG 20", row.metric_args["beside"].split()[3].strip(";"), mean[1], best, best_of_each, mean[0]]
    assert f"| {' | '.join(c if isinstance(c, str) else f'{c:.2f}' for c in cells)} |" in card.text
    grey = [p[None] / 255 for p in photographs.load("test")]
    noisy = [gm.denoiser.add_noise(x, "gaussian", 25 / 255, seed=3 + k) for k, x in enumerate(grey)]
    white = [camera.psnr(model.restore(y), x) for x, y in zip(grey, noisy)]
    assert rows["PSNR in grey, sigma 25, blind, dB"].metric_value == pytest.approx(sum(white) / len(grey), rel=1e-4)
