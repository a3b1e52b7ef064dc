"""Moments of the noise, the denoiser (tiles against the whole, grey, scale), the denoising VAE, classical methods, data."""

import math

import numpy as np
import pytest
import skimage
import torch
from compare import close
from PIL import Image

import genmodels as gm
from genmodels import data, denoiser, metrics
from genmodels.denoiser import CLASSICAL, NOISES, add_noise, classical, corrupt, estimate_sigma, luma, quality
from train import photographs
from train.photographs import Patches


def random_denoiser(**options):
    """A small denoiser of photographs with random weights, none of which is zero."""
    torch.manual_seed(0)
    model = gm.Denoiser(**{"size": 16, "widths": [8, 12, 16], "blocks": 1, **options}).eval().requires_grad_(False)
    for p in model.parameters():
        p += 0.05 * torch.randn_like(p)
    return model


def constant(value, channels=1, side=400):
    return torch.full((1, channels, side, side), value)


# --- Noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, sd", [("gaussian", lambda x, s: s), ("poisson", lambda x, s: s * x**0.5), ("speckle", lambda x, s: s * x)]
)
@pytest.mark.parametrize("x", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("s", [0.1, 0.5])
def test_moments_of_noise(kind, sd, x, s):
    y = add_noise(constant(x), kind, s, seed=1)
    n = y.numel()
    assert y.mean().item() == pytest.approx(x, abs=4 * sd(x, s) / n**0.5 + 1e-6)
    assert y.std().item() == pytest.approx(sd(x, s), abs=5 * sd(x, s) / (2 * n) ** 0.5 + 1e-6)
    if kind != "poisson" and x and s == 0.5:
        skew = ((y - y.mean()) ** 3).mean() / y.std() ** 3
        assert abs(skew) < 0.05  # clipping would skew it


def test_photon_counts_are_whole_numbers():
    y = add_noise(constant(0.5), "poisson", 0.25, seed=1)  # 16 at white
    assert torch.allclose(y * 16, (y * 16).round(), atol=1e-4)


@pytest.mark.parametrize("s", [0.1, 0.5])
def test_salt_and_pepper_replaces_all_channels_of_a_pixel(s):
    y = add_noise(constant(0.5, 3), "salt-and-pepper", s, seed=2)
    assert torch.equal(y[:, 0], y[:, 1]) and torch.equal(y[:, 0], y[:, 2])
    for value in (0.0, 1.0):
        assert (y == value).float().mean().item() == pytest.approx(s / 2, abs=0.01)
    assert set(y.unique().tolist()) == {0.0, 0.5, 1.0}


def test_a_missing_block_is_one_square_at_a_random_position():
    x = torch.rand(200, 1, 20, 30) * 0.4
    y = add_noise(x, "missing block", 0.4, seed=3)
    missing = y == 0.5
    assert (missing.sum((1, 2, 3)) == 64).all()
    assert torch.equal(y[~missing], x[~missing])
    rows, columns = missing.any(3)[:, 0], missing.any(2)[:, 0]
    assert (rows.sum(1) == 8).all() and (columns.sum(1) == 8).all()
    assert set(rows.int().argmax(1).tolist()) == set(range(13)) and set(columns.int().argmax(1).tolist()) == set(range(23))


@pytest.mark.parametrize("kind", NOISES)
def test_noise_depends_on_the_seed_alone_and_strength_0_is_no_noise(kind):
    x = torch.rand(2, 3, 16, 20)
    state = torch.get_rng_state()
    first = add_noise(x, kind, 0.3, seed=5)
    torch.manual_seed(99)
    assert torch.equal(first, add_noise(x, kind, 0.3, seed=5))
    torch.set_rng_state(state)
    add_noise(x, kind, 0.3)
    assert torch.equal(state, torch.get_rng_state())
    assert not torch.equal(first, add_noise(x, kind, 0.3, seed=6)) and not torch.equal(first[:1], first[1:])
    assert torch.equal(add_noise(x, kind, 0.0, seed=5), x)


@pytest.mark.parametrize(
    "argument, bad",
    [
        ("kind", ("rain", 3)),
        ("strength", (1.1, -0.1, math.nan, None)),
        ("x", (torch.rand(3, 4, 4), torch.rand(1, 2, 4, 4), 2 * torch.ones(1, 1, 4, 4))),
    ],
)
def test_bad_arguments_of_add_noise_get_a_sentence(argument, bad):
    for value in bad:
        with pytest.raises(ValueError, match=f"^{argument} must be "):
            add_noise(**{"x": torch.rand(1, 1, 4, 4), argument: value})


def test_training_inputs_have_all_kinds_and_strengths_and_half_of_the_gaussian_ones_a_sigma():
    torch.manual_seed(0)
    x = torch.full((4000, 1, 6, 6), 0.4)
    y, M = corrupt(x, ["gaussian", "salt-and-pepper"], [0.2, 0.6])
    grains = ((y == 0) | (y == 1)).any(1).flatten(1).any(1)
    has_sigma = M.flatten() > 0
    assert not (grains & has_sigma).any()  # only Gaussian noise has a sigma
    sd = (y - x).flatten(1).std(1)
    assert has_sigma.float().mean().item() == pytest.approx(0.25, abs=0.03)
    assert (sd[has_sigma] / M.flatten()[has_sigma]).median().item() == pytest.approx(1, abs=0.05)
    assert 0.18 < M.max() <= 0.2 and M[has_sigma].mean().item() == pytest.approx(0.1, abs=0.01)


# --- The network ------------------------------------------------------------------------------------------------------


def test_a_model_of_pairs_estimates_the_level_and_is_given_it_where_none_is():
    model = random_denoiser(noises=[], strongest=[])
    y = 0.5 + 0.2 * torch.randn(2, 3, 70, 66, generator=torch.Generator().manual_seed(0))
    level = model.noise_level(y)
    assert level.shape == (2,) and level[0] != level[1] and 0 < level.min() and level.max() <= 1
    assert close(model.restore(y, tile=16), model.restore(y, level.view(-1, 1, 1, 1).expand(2, 1, 70, 66)))
    assert close(model.noise_level(y[:1]), level[:1])  # whatever else is in the batch
    assert not close(level, random_denoiser(noises=["gaussian"], strongest=[0.2]).noise_level(3 * y))
    small = y[:1, :, :5, :3]  # one patch: the level of all that is removed, blind
    removed = small - model._restore(small, torch.zeros(1, 1, 5, 3))
    assert model.noise_level(small).item() == pytest.approx(removed.square().mean().sqrt().item(), rel=1e-4)


@pytest.mark.parametrize("widths, tile", [([8, 12], 16), ([8, 12, 16], 32), ([8], 16)])
def test_tiled_equals_untiled(widths, tile):
    model = random_denoiser(widths=widths)
    y, sigma = torch.rand(1, 3, 201, 170) * 1.4 - 0.2, torch.rand(1, 1, 201, 170)
    assert model.receptive_radius + tile < 120  # else a tile with its margin would be the whole picture
    whole = model.restore(y, sigma)
    assert (model.restore(y, sigma, tile=tile) - whole).abs().max() < 1e-5
    assert (whole - y.clamp(0, 1)).abs().max() > 0.01
    assert close(model.restore(y, sigma, tile=4096), whole)


@pytest.mark.parametrize("widths, blocks", [([4, 4], 1), ([4, 4, 4], 2), ([4], 2)])
def test_the_receptive_radius_is_how_far_a_pixel_matters(widths, blocks):
    model = random_denoiser(channels=1, widths=widths, blocks=blocks)
    side = 2 * model.receptive_radius + 4 * model.multiple
    y, farthest, farthest_beyond_rounding = torch.rand(1, 1, side, side), 0, 0
    for k in range(model.multiple):  # at each position in its cell
        position, changed = side // 2 + k, y.clone()
        changed[..., position, position] += 5
        difference = (model.restore(y) - model.restore(changed)).abs().amax((0, 1, 2))
        distance = (torch.arange(side) - position).abs()
        farthest = max(farthest, distance[difference > 0].max().item())
        farthest_beyond_rounding = max(farthest_beyond_rounding, distance[difference > 1e-7].max().item())
    assert farthest >= model.receptive_radius - 3 * model.multiple
    assert farthest_beyond_rounding <= model.receptive_radius  # another kernel may round farther pixels differently


def test_steps_restore_one_picture_and_report_the_progress():
    model, y = random_denoiser(widths=[8, 12]), torch.rand(1, 1, 40, 50)
    steps = list(model.restore_steps(y, tile=16))
    assert len(steps) == 12 and all(s.x is steps[0].x for s in steps)
    assert [s.done for s in steps] == sorted(s.done for s in steps) and steps[-1].done == 1
    assert steps[0].done == 256 / 2000
    assert close(steps[-1].x, model.restore(y, tile=16))


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 3), (17, 1), (31, 33), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(size, channels):
    y = torch.rand(2, channels, *size)
    x = random_denoiser().restore(y, 0.1)
    assert x.shape == y.shape and bool(x.isfinite().all()) and 0 <= x.min() <= x.max() <= 1


def test_a_large_photograph_is_restored_in_tiles():
    """12 megapixels, with a very small network."""
    model = random_denoiser(widths=[2], blocks=0)
    y = torch.rand(1, 1, 3000, 4000)
    *steps, step = model.restore_steps(y)
    assert len(steps) == 47 and step.done == 1 and step.x.shape == y.shape
    corner = model.restore(y[..., -700:, -700:])[..., 100:, 100:]
    assert torch.allclose(step.x[..., -600:, -600:], corner, atol=1e-5)


def test_grey_stays_grey():
    model, y = random_denoiser(), torch.rand(2, 1, 24, 24)
    x = model.restore(y, 0.1)
    assert x.shape == y.shape
    three_channels = model.restore(y.expand(-1, 3, -1, -1), 0.1)
    assert three_channels.shape == (2, 3, 24, 24) and close(three_channels, x.expand(-1, 3, -1, -1))
    coloured = model.restore(torch.rand(1, 3, 24, 24))
    assert not torch.equal(coloured[:, 0], coloured[:, 1])


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("fused", [True, False])
def test_both_ways_to_compute_a_picture_give_that_of_the_formula(fused, bias, monkeypatch):
    """Without gradients convolutions are fused with what follows, and a grey picture is not computed three times."""
    if not fused:
        monkeypatch.setattr(denoiser, "fuses_convolutions", lambda: False)
    model = random_denoiser(channels=3, bias=bias)
    for y in (torch.rand(2, 3, 16, 24), torch.rand(2, 1, 16, 24)):
        before = y.clone()
        with torch.enable_grad():  # where nothing is fused
            expected = model.denoise(y.expand(-1, 3, -1, -1), torch.full((2, 1, 16, 24), 0.1))
        expected = expected if y.shape[1] == 3 else expected.mean(1, keepdim=True)
        assert close(model.restore(y, 0.1), expected.clamp(0, 1)) and torch.equal(y, before)


@pytest.mark.parametrize("units", [True, False])
def test_a_wide_network_is_computed_in_16_bits_where_the_processor_has_units_for_it(units, monkeypatch):
    monkeypatch.setattr(denoiser, "has_matrix_units", lambda: units)
    model, y = random_denoiser(channels=3, widths=[32, 32], bias=False), torch.rand(1, 3, 32, 24)
    with torch.enable_grad():
        expected = model.denoise(y, torch.full((1, 1, 32, 24), 0.1)).clamp(0, 1)
    x = model.restore(y, 0.1)
    assert close(x, expected, atol=1e-2) and close(x, expected) != units


def test_whether_convolutions_are_fused_is_found_out_without_random_numbers(monkeypatch):
    denoiser.fuses_convolutions.cache_clear()
    state = torch.get_rng_state()
    denoiser.fuses_convolutions()
    assert torch.equal(torch.get_rng_state(), state)
    denoiser.fuses_convolutions.cache_clear()
    monkeypatch.delattr(denoiser.DenoiserBlock, "_fused")  # as in a PyTorch without them
    assert not denoiser.fuses_convolutions()
    denoiser.fuses_convolutions.cache_clear()


def test_without_biases_it_is_homogeneous_and_with_them_not():
    y = torch.rand(1, 3, 24, 24) * 0.1
    for bias, same in ((False, True), (True, False)):
        model = random_denoiser(bias=bias)
        raw = [model.denoise(a * y, torch.full((1, 1, 24, 24), a * 0.1)) / a for a in (1.0, 5.0)]
        assert torch.allclose(*raw, atol=1e-5) == same


def test_sigma_is_an_input():
    model, y = random_denoiser(), torch.rand(1, 3, 24, 24)
    x = model.restore(y, 0.1)
    assert close(x, model.restore(y, torch.full((1, 1, 24, 24), 0.1)))
    assert not close(x, model.restore(y)) and not close(x, model.restore(y, 0.2))


def test_half_of_the_training_photographs_are_grey(monkeypatch):
    model, calls = gm.Denoiser(size=8, widths=[4], blocks=1), []
    monkeypatch.setattr(model, "denoise", lambda y, M: calls.append((y, M)) or y)
    x = torch.rand(8, 3, 8, 8)
    terms = model.loss((x,))
    ((y, M),) = calls
    grey = [(one[0] == one[1]).all().item() and (one[0] == one[2]).all().item() for one in y]
    assert grey == [True] * 4 + [False] * 4 and M.shape == (8, 1, 8, 8)
    clean = torch.cat([luma(x[:4]).expand(-1, 3, -1, -1), x[4:]])
    rmse = (y - clean).square().mean((1, 2, 3)).sqrt()
    assert terms["loss"].item() == pytest.approx(rmse.mean().item(), abs=1e-3)


def test_it_learns_to_denoise():
    """A few steps on stripes gain at least 3 dB, blind and given sigma, in grey and in colour."""
    torch.manual_seed(0)
    wave = torch.sin(torch.arange(200) / 4).view(1, 1, 1, -1) / 2 + 0.5
    model = gm.Denoiser(size=16, widths=[16, 16], blocks=1)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(100):
        x = torch.stack([wave[0, :, :, i : i + 16].expand(3, 16, -1) for i in torch.randint(184, (16,))])
        optimizer.zero_grad()
        model.loss((x,))["loss"].backward()
        optimizer.step()
    for channels in (1, 3):
        clean = wave[..., 30:62].expand(1, channels, 32, -1)
        noisy = add_noise(clean, "gaussian", 0.15, seed=0)
        for sigma in (None, 0.15):
            gain = quality(model.eval().restore(noisy, sigma), clean)[0] - quality(noisy, clean)[0]
            assert gain > 3


def test_the_vae_reads_the_noisy_picture_and_is_scored_on_the_clean_one(monkeypatch):
    model, calls = gm.DenoisingVAE(size=8, latent=3, width=4, hidden=16, likelihood="gaussian"), {}
    posterior, distribution = model.vae.posterior, model.vae.pixel_distribution
    monkeypatch.setattr(model.vae, "posterior", lambda y: posterior(calls.setdefault("y", y)))
    monkeypatch.setattr(model.vae, "pixel_distribution", lambda logits: calls.setdefault("p", distribution(logits)))
    x = torch.rand(4, 1, 8, 8)
    terms = model.loss((x,))
    assert not torch.equal(calls["y"], x)
    assert terms["reconstruction"].item() == pytest.approx(-calls["p"].log_prob(x).mean().item(), rel=1e-4)
    assert terms["loss"].item() == pytest.approx((terms["kl"] + terms["reconstruction"]).item(), rel=1e-4)


def test_a_seed_samples_another_interpretation_of_the_same_noise():
    torch.manual_seed(0)
    model = gm.DenoisingVAE(size=8, latent=3, width=4, hidden=16).eval()
    y = torch.rand(2, 1, 8, 8)
    assert close(model.restore(y), model.vae.reconstruct(y))
    assert not close(model.restore(y, seed=1), model.restore(y, seed=2))
    assert close(model.restore(y, seed=1), model.restore(y, seed=1))


# --- Classical methods, and quality -----------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_quality_agrees_with_the_formula_and_with_metrics(channels):
    x = data.samples("photo").floats()[:2, :channels]
    y = add_noise(x, "gaussian", 0.1, seed=0).clamp(0, 1)
    for one, clean in zip(y.split(1), x.split(1)):
        psnr, ssim = quality(one, clean)
        assert psnr == pytest.approx(-10 * math.log10((one - clean).double().square().mean()), abs=1e-3)
        assert psnr == pytest.approx(metrics.psnr(one, clean).item(), abs=1e-3)
        assert ssim == pytest.approx(metrics.ssim(one, clean).item(), abs=1e-3)
    assert quality(x[:1], x[:1]) == (math.inf, pytest.approx(1))
    assert quality(x[:1, :, :10, :10], y[:1, :, :10, :10])[1] is None


@pytest.mark.parametrize("method", CLASSICAL)
@pytest.mark.parametrize("channels", [1, 3])
def test_classical_methods_denoise(method, channels):
    clean = data.samples("photo").floats()[:1, :channels]
    noisy = add_noise(clean, "gaussian", 0.1, seed=0)
    before = quality(noisy, clean)[0]
    for sigma in (0.1, None):
        x = classical(noisy, method, sigma)
        assert x.shape == clean.shape and x.dtype == torch.float32 and 0 <= x.min() <= x.max() <= 1
        assert quality(x, clean)[0] > before + 3
    for tiny in ((1, 1), (1, 5), (3, 2)):
        assert classical(noisy[..., : tiny[0], : tiny[1]], method, 0.1).isfinite().all()
    assert classical(clean, method, 0.0).shape == clean.shape


def test_sigma_is_estimated():
    clean = data.samples("photo").floats()[4:5]
    for sigma in (0.05, 0.2):
        assert estimate_sigma(add_noise(clean, "gaussian", sigma, seed=0)) == pytest.approx(sigma, rel=0.1)
    assert estimate_sigma(torch.rand(1, 1, 1, 1)) == 0 and estimate_sigma(torch.full((1, 3, 9, 9), 0.5)) < 1e-6


@pytest.mark.parametrize("name", data.PHOTOGRAPHS)
def test_the_photographs_are_scikit_images_and_the_samples_are_crops_of_them(name):
    x = data.photograph(name)
    assert x.shape[0] == 1 and x.shape[1] in (1, 3) and 0 <= x.min() < x.max() <= 1
    assert torch.equal(
        (x * 255).round().byte()[0, 0],
        torch.from_numpy(np.array(getattr(skimage.data, name)())).reshape(*x.shape[2:], -1)[..., 0],
    )
    crop = data.samples("photo").x[data.PHOTOGRAPHS.index(name)]
    windows = (x[0, 0] * 255).round().byte().unfold(0, 96, 1)[:, :, :].unfold(1, 96, 1)
    assert (windows[..., 0, 0] == crop[0, 0, 0]).logical_and(windows[..., 95, 95] == crop[0, 95, 95]).any()


# --- Uploads ----------------------------------------------------------------------------------------------------------

RED = (200, 30, 40)


@pytest.mark.parametrize(
    "picture, expected",
    [
        (Image.new("RGB", (5, 3), RED), RED),
        (Image.new("L", (5, 3), 77), (77,)),
        (Image.new("1", (5, 3), 1), (255,)),
        (Image.new("RGB", (5, 3), (9, 9, 9)), (9,)),
        (Image.new("RGBA", (5, 3), (*RED, 255)), RED),
        (Image.new("RGBA", (5, 3), (*RED, 0)), (0,)),
        (Image.new("LA", (5, 3), (77, 255)), (77,)),
        (Image.new("CMYK", (5, 3), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("RGB", (5, 3), RED).quantize(4), RED),
        (Image.fromarray(np.full((3, 5), 257 * 77, np.uint16)), (77,)),
        (Image.new("F", (5, 3), 0.5), (127,)),
    ],
    ids=lambda v: v.mode if isinstance(v, Image.Image) else "",
)
def test_pictures_of_any_mode(picture, expected):
    x = data.pixel_tensor(picture)
    assert x.shape == (1, len(expected), 3, 5) and x.dtype == torch.uint8
    assert x[0, :, 1, 2].tolist() == pytest.approx(expected, abs=1)


def test_a_rotated_photograph_is_put_upright():
    picture = Image.new("RGB", (5, 3), RED)
    picture.putpixel((0, 0), (0, 0, 255))
    exif = picture.getexif()
    exif[0x0112] = 6  # a quarter turn clockwise
    picture.info["exif"] = exif.tobytes()
    x = data.pixel_tensor(picture)
    assert x.shape == (1, 3, 5, 3) and x[0, :, 0, 2].tolist() == [0, 0, 255]


# --- Photographs to train on ------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for i in range(21):
        Image.new("RGB", (40 + i, 30), (i, 0, 255)).save(tmp_path / f"{i:02}.png")
    Image.new("L", (3000, 1000), 7).save(tmp_path / "99.jpg")
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    return tmp_path


def test_any_folder_of_pictures_is_split_in_two(folder):
    train, val = (photographs.load(split, folder) for split in ("train", "val"))
    assert [len(train), len(val)] == [20, 2]
    assert [p[0, 0, 0].item() for p in val] == [0, 20]
    assert train[-1].shape == (3, 341, 1024)  # the large one, downscaled
    assert all(p.dtype == torch.uint8 and p.shape[0] == 3 for p in train)


def test_the_split_of_the_denoising_papers_is_found(folder):
    for part, colour in (("train", "RGB"), ("bsd68", "L"), ("cbsd68", "RGB")):
        (folder / "bsds" / part).mkdir(parents=True)
        for i in range(2):
            Image.new(colour, (8, 9)).save(folder / "bsds" / part / f"{i}.png")
    shapes = {split: [tuple(p.shape) for p in photographs.load(split, folder)] for split in photographs.SPLITS}
    assert shapes == {"train": [(3, 9, 8)], "val": [(3, 9, 8)], "test": [(1, 9, 8)] * 2, "colour": [(3, 9, 8)] * 2}


def test_unusable_folders_get_a_sentence(folder, tmp_path, monkeypatch):
    monkeypatch.delenv("GENMODELS_DATA", raising=False)
    (tmp_path / "empty").mkdir()
    for where, says in (
        (None, "--data-dir"),
        (tmp_path / "none", "none"),
        (tmp_path / "empty", "at least two"),
    ):
        with pytest.raises(data.DataError, match=says):
            photographs.load("train", where)
    with pytest.raises(data.DataError, match="bsd68"):
        photographs.load("test", folder)
    with pytest.raises(data.DataError, match="at least 64"):
        Patches([torch.zeros(3, 63, 100, dtype=torch.uint8)], 64)


def test_patches_come_from_everywhere_rotated_and_mirrored_and_depend_on_the_seed():
    picture = torch.arange(200, dtype=torch.uint8).view(1, 10, 20).expand(3, -1, -1)
    patches = Patches([picture, torch.full((3, 40, 40), 255, dtype=torch.uint8), torch.zeros(3, 7, 99, dtype=torch.uint8)], 8)
    assert len(patches) == 3 + 25
    torch.manual_seed(3)
    (x,) = patches.batch(torch.zeros(600, dtype=torch.int64))
    assert x.shape == (600, 3, 8, 8) and x.max() <= 199 / 255
    torch.manual_seed(3)
    assert torch.equal(x, patches.batch(torch.zeros(600, dtype=torch.int64))[0])
    kinds = {tuple((255 * one[0, [0, 0, -1], [0, -1, 0]]).round().int().tolist()) for one in x}
    corners = {tuple(sorted(k)) for k in kinds}
    assert 230 < len(kinds) <= 3 * 13 * 8 and len(corners) > 3 * 13  # positions times rotations and reflections
    assert (patches.batch(torch.tensor([3, 27]))[0] == 1).all()
    assert denoiser.check_photographs("x", x, 3).dtype == torch.float32


@pytest.mark.parametrize("method", CLASSICAL)
@pytest.mark.parametrize("sigma", [None, 0, 1e-6, 0.2])
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_flat_picture_stays_as_it_is(method, sigma, grey, channels):
    """Its wavelets are all zero, and their estimated noise too: nothing must be divided by it."""
    x = torch.full((1, channels, 24, 20), grey)
    y = classical(x, method, sigma)
    assert close(y, x, atol=1e-3)
    assert not math.isnan(quality(y, x)[0])


@pytest.mark.parametrize("method", [m for m in CLASSICAL if m != "median"])
def test_a_sigma_of_zero_is_believed(method):
    """It is not the same as an unknown one, for which the noise is estimated."""
    noisy = add_noise(data.samples("photo").floats()[:1], "gaussian", 0.2, seed=0)[..., :48, :48].clamp(0, 1)
    assert close(classical(noisy, method, 0), noisy, atol=2e-3)
    assert not close(classical(noisy, method), noisy, atol=0.05)


def test_a_sigma_of_zero_leaves_the_picture():
    model = denoiser.Denoiser(1, 8, [8, 12], blocks=1, bias=True)
    with torch.no_grad():
        model.last.weight += 0.1
    y = torch.rand(2, 1, 9, 12, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.restore(y, 0), y)
    assert torch.equal(model.restore(y, 0.0 * y), y)
    assert not close(model.restore(y), y, atol=1e-3)  # blind
    half = torch.zeros_like(y)
    half[..., 6:] = 0.1
    x = model.restore(y, half)
    assert torch.equal(x[..., :6], y[..., :6])
    assert not close(x[..., 6:], y[..., 6:], atol=1e-3)
