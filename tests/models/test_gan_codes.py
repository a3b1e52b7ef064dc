"""Latent codes of GANs, their directions and their inversion; relative scores and replays of a training."""

import json
import math

import pytest
import torch
from torch import nn

import genmodels as gm
from genmodels import data
from genmodels.base import CheckpointError
from genmodels.gan import (
    RelativeScores,
    Replay,
    load_replay,
    save_replay,
    score_histogram,
)
from tests.compare import close
from tests.helpers_gan import LABELS, noise, pictures, small_model


@pytest.fixture
def model():
    return small_model().requires_grad_(False)


# --- Latent codes -----------------------------------------------------------------------------------------------------


def test_decoded_codes_are_the_sample(model):
    for options in ({}, {"label": 2, "truncation": 0.4}):
        x, w = model.sample(4, seed=3, **options), model.sample_latents(4, seed=3, **options)
        assert w.shape == (4, 6)
        assert close(model.decode(w), x)
        z = gm.base.randn_rows(4, 6, g=gm.base.generator(3))
        y = torch.full((4, 1), options.get("label", -1))
        assert close(model.sample_latents(4, seed=3, label=y), model.generator.map_latents(z, y))
    assert close(model.decode(w), (model.generator.synthesize(w) + 1) / 2)


@pytest.mark.parametrize(
    "classes, label", [([3], [[0], [1], [0], [-1], [1]]), ([3, 2], [[0, 1], [1, 1], [0, 1], [-1, 0], [1, 1]])], ids=str
)
def test_truncation_scales_codes_about_the_mean_of_their_label(classes, label):
    model = small_model(classes=classes).requires_grad_(False)
    w = {t: model.sample_latents(5, label=label, seed=4, truncation=t) for t in (0, 0.25, 1, 1.5)}
    assert close(w[1], model.sample_latents(5, label=label, seed=4))
    assert close(w[0][0], w[0][2]) and close(w[0][1], w[0][4])
    assert len({str(row) for row in label}) == 3
    assert all((w[0][i] - w[0][j]).abs().max() > 1e-3 for i, j in ((0, 1), (0, 3), (1, 3)))
    assert all((w[1][i] - w[1][j]).abs().max() > 1e-3 for i in range(5) for j in range(i))
    assert close(w[0], model.sample_latents(5, label=label, seed=5, truncation=0))  # whatever the seed
    for t in (0.25, 1.5):
        assert torch.allclose(w[t], w[0] + t * (w[1] - w[0]), atol=1e-6)
    for row, mean in zip(label, w[0]):
        samples = model.sample_latents(4096, label=row, seed=6)
        assert bool(((samples.mean(0) - mean).abs() < 5 * samples.std(0) / math.sqrt(256)).all()), row
        alone = model.sample_latents(1, label=[row], truncation=0)[0]
        assert torch.allclose(alone, mean, atol=1e-6)


def test_interpolation_is_linear_and_includes_both_ends(model):
    start, end = model.sample_latents(2, seed=0)
    codes = model.interpolate(start, end, 9)
    assert codes.shape == (9, 6)
    assert torch.equal(codes[0], start) and torch.equal(codes[-1], end)
    assert torch.allclose(codes.diff(dim=0), ((end - start) / 8).expand(8, 6), atol=1e-6)
    assert torch.equal(model.interpolate(start, end, 2), torch.stack([start, end]))


def linear_mapping(model):
    """Replaces the mapping network by a linear layer. Returns the matrix that it applies to z."""
    torch.manual_seed(5)
    model.generator.mapping = nn.Linear(12, 6).requires_grad_(False)
    return model.generator.mapping.weight[:, :6] * torch.tensor([3.0, 1.5, 1.0, 0.7, 0.5, 0.3])


def test_directions_are_the_principal_axes_of_codes(model):
    W = linear_mapping(model)
    model.generator.mapping.weight[:, :6] = W
    variance, axes = torch.linalg.eigh(W @ W.T)  # of w, as z is standard normal; ascending
    variance, axes = variance.flip(0), axes.flip(1).T
    directions = model.directions(6)
    lengths = directions.norm(dim=1)
    assert lengths.tolist() == pytest.approx(variance.sqrt().tolist(), rel=0.06)
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
    gram = directions / lengths[:, None] @ (directions / lengths[:, None]).T
    assert torch.allclose(gram, torch.eye(6), atol=1e-5)
    assert bool(((directions / lengths[:, None] * axes).sum(1).abs() > 0.95).all())


def test_directions_do_not_depend_on_labels_and_have_a_fixed_sign(model):
    linear_mapping(model)
    before = model.directions(6)
    assert close(before, model.directions(6)) and close(before[:2], model.directions(2))
    largest = before.gather(1, before.abs().argmax(1, keepdim=True))
    assert bool((largest > 0).all())
    model.generator.labels.tables[0].weight.mul_(30)  # moves the codes of the labels far apart
    assert torch.allclose(model.directions(6), before, atol=1e-3)
    other_seed = model.directions(6, seed=1)
    assert not close(other_seed, before) and torch.allclose(other_seed[0], before[0], atol=0.1)
    assert model.directions(3, samples=1100).shape == (3, 6)


def test_the_length_of_a_direction_is_a_standard_deviation():
    """With a nonlinear mapping: the standard deviation of a label's codes along a direction is its length, on average."""
    model = small_model(classes=[3, 2]).requires_grad_(False)
    directions = model.directions(6)
    units = directions / directions.norm(dim=1, keepdim=True)
    codes = torch.stack([model.sample_latents(2000, label=[i, j], seed=9) for i in range(3) for j in range(2)])  # (6, 2000, D)
    sd = ((codes - codes.mean(1, keepdim=True)) @ units.T).square().mean((0, 1)).sqrt()
    assert sd.tolist() == pytest.approx(
        directions.norm(dim=1).tolist(), rel=0.2
    )  # the 64 labels that it samples are not uniform


# --- GAN inversion ----------------------------------------------------------------------------------------------------


def test_the_error_falls_and_is_that_of_the_picture(model):
    x = model.sample(1, label=0, seed=5)
    steps = list(model.project_steps(x, label=1, steps=30))
    assert len(steps) == 31
    assert steps[-1].error < 0.1 * steps[0].error
    for step in steps:
        assert step.x.shape == (1, 1, 8, 8) and step.w.shape == (1, 6)
        assert not step.x.requires_grad and not step.w.requires_grad
        assert torch.allclose(model.decode(step.w), step.x, atol=1e-6)
        assert step.error == pytest.approx((step.x - x).square().mean().item(), rel=1e-4)
    assert len({tuple(step.w[0].tolist()) for step in steps}) == 31


@pytest.mark.parametrize("label", [1, None])
def test_inversion_begins_at_the_best_of_the_random_codes(model, label):
    first = next(model.project_steps(pictures(1), label=label, seed=2))
    candidates = model.sample(512, label=label, seed=2)
    if label is None:  # tries all labels, where `sample` leaves them unspecified
        candidates = torch.cat([candidates, *(model.sample(512, label=k, seed=7) for k in range(3))])
    errors = (candidates - pictures(1)).square().mean((1, 2, 3))
    assert first.error == pytest.approx(errors.min().item(), rel=1e-4 if label else 0.1)


def test_inversion_also_tries_the_code_of_the_encoder():
    model = small_model(reconstruction_weight=0.1).requires_grad_(False)
    x, encode = model.sample(1, label=1, seed=5), model.generator.encoder.forward
    z = torch.randn(1, 6, generator=torch.Generator().manual_seed(5))  # that of the picture
    model.generator.encoder.forward = lambda x: torch.cat([z, z - 1], 1)  # means, and log sds
    first = next(model.project_steps(x, label=1, seed=2))
    assert first.error < 1e-10
    model.generator.encoder.forward = encode
    assert next(model.project_steps(x, label=1, seed=2)).error > 1e-6


def test_a_picture_of_a_random_code_is_found_at_once(model):
    x = model.sample(512, label=1, seed=3)[77:78]
    steps = list(model.project_steps(x, label=1, steps=20, seed=3))
    assert steps[0].error < 1e-10
    assert torch.allclose(steps[0].w, model.sample_latents(512, label=1, seed=3)[77:78], atol=1e-5)
    assert max(step.error for step in steps) < 1e-3
    x = pictures(1)  # has another error at each seed
    errors = [next(model.project_steps(x, steps=1, seed=seed)).error for seed in (3, 3, 4)]
    assert errors[1] == pytest.approx(errors[0], rel=1e-4) != errors[2]


def test_inversion_works_under_inference_mode_and_can_be_abandoned():
    model = small_model()  # with weights that could be trained
    before = {k: v.clone() for k, v in model.state_dict().items()}
    expected = [step.error for step in model.project_steps(model.sample(1, seed=5).clone(), steps=10)]
    for context in (torch.inference_mode, torch.no_grad):
        with context():
            x = model.sample(1, seed=5) * 1
            assert x.is_inference() == (context is torch.inference_mode)
            errors = []
            for step in model.project_steps(x, steps=10):
                assert torch.is_inference_mode_enabled() == x.is_inference() and not torch.is_grad_enabled()
                errors.append(step.error)
                x.zero_()  # the caller's tensor: the generator function keeps a copy
                if context is torch.no_grad and len(errors) == 4:
                    break
            assert errors == pytest.approx(expected[: len(errors)], rel=1e-4) and len(errors) in (4, 11)
            abandoned = model.project_steps(x, steps=10)
            next(abandoned), next(abandoned)
            abandoned.close()
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_inversion_is_for_one_picture(model):
    with pytest.raises(ValueError, match=r"^x must be one picture \(1, 1, 8, 8\), not 2\.$"):
        next(model.project_steps(pictures(2)))


# --- Relative scores --------------------------------------------------------------------------------------------------


def test_relative_scores_are_those_above_the_mean_of_their_label(model):
    x, relative = pictures(5), RelativeScores(model)
    generated = {c: model.score(model.sample(relative.samples([c]), label=c, seed=0), c) for c in set(LABELS.tolist())}
    expected = model.score(x, LABELS) - torch.stack([generated[c].mean() for c in LABELS.tolist()])
    assert close(relative(x, LABELS), expected)
    real, others = relative.reference(x, LABELS)
    assert close(real, expected)
    assert close(others.sort().values, torch.cat([s - s.mean() for s in generated.values()]).sort().values)
    assert close(relative(x), model.score(x) - generated[-1].mean())
    assert relative.samples([-1]) > relative.samples([0]) > relative.samples([0, 1])


def test_each_combination_of_attributes_has_a_baseline_of_its_own():
    model = small_model(classes=[2, 3], conditions=["glasses", "smiling"]).requires_grad_(False)
    x, relative = pictures(6), RelativeScores(model)
    labels = [[0, 0], [0, 1], [0, 2], [1, 0], [1, -1], [-1, -1]]
    for picture, label in zip(x.split(1), labels):
        generated = model.sample(relative.samples(label), label=label, seed=0)
        assert close(relative(picture, label), model.score(picture, label) - model.score(generated, label).mean())


def test_both_histograms_have_one_axis_and_count_every_score():
    real, generated = noise(400), noise(200, seed=1) + 50
    histogram = score_histogram(real, generated, bins=10)
    assert histogram["n"] == [400, 200] and len(histogram["edges"]) == 11
    assert histogram["edges"] == sorted(histogram["edges"])
    for name, first in (("real", True), ("generated", False)):
        shares = histogram[name]
        assert sum(shares) == pytest.approx(1, abs=1e-3) and len(shares) == 10
        assert sum(shares[:3] if first else shares[-3:]) == pytest.approx(1, abs=1e-3)
    assert score_histogram(torch.zeros(3), torch.zeros(2))["real"][0] == 1  # no width: the axis gets one


def replay(dataset, snapshots=3, n=5):
    x = data.samples(dataset).x[: snapshots * n]
    losses = {"discriminator": [[50, 0.125], [100, 0.1]], "generator": [[50, 2.5], [100, 1.0]]}
    shares = [[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]][:snapshots]
    return Replay([0, 1, 7][:snapshots], x.view(snapshots, n, *x.shape[1:]), [-1.0, 0.1, 2.0], shares, shares[::-1], losses)


# --- Replays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist", "avatars"])
def test_a_replay_comes_back(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    (tmp_path / "gan-x").mkdir()
    saved = replay(name)
    save_replay(saved, tmp_path / "gan-x")
    for loaded in (load_replay(tmp_path / "gan-x"), load_replay("gan-x")):
        assert loaded._replace(pictures=None) == saved._replace(pictures=None)
        assert loaded.pictures.dtype == torch.uint8 and loaded.pictures.shape == saved.pictures.shape
        difference = (loaded.pictures.float() - saved.pictures.float()).abs()
        assert difference.mean() < 6  # of 255, what WebP loses
        assert difference.mean((2, 3, 4)).max() < 12  # each picture is in its place


def replaced(**values):
    return lambda text: json.dumps(json.loads(text) | values)


BROKEN = {
    "no numbers": ("replay.json", None),
    "no pictures": ("replay.webp", None),
    "pictures cut off": ("replay.webp", lambda b: b[:-40]),
    "pictures empty": ("replay.webp", lambda b: b""),
    "pictures of something else": ("replay.webp", lambda b: b"RIFF" + b"\0" * 400),
    "numbers cut off": ("replay.json", lambda s: s[:-20]),
    "no JSON": ("replay.json", lambda s: "moments"),
    "JSON without end": ("replay.json", lambda s: "[" * 100_000),
    "a list": ("replay.json", lambda s: "[]"),
    "a snapshot less": ("replay.json", replaced(steps=[0, 1])),
    "a share less": ("replay.json", replaced(real=[[0.5, 0.5]] * 2)),
    "a bin less": ("replay.json", replaced(generated=[[1.0]] * 3)),
    "an edge less": ("replay.json", replaced(edges=[0.0, 1.0])),
    "steps are a number": ("replay.json", replaced(steps=3)),
    "another number of pictures": ("replay.json", replaced(pictures=[6, 1, 28])),
    "two channels": ("replay.json", replaced(pictures=[5, 2, 28])),
    "no size": ("replay.json", replaced(pictures=[5, 1])),
    "more than a replay": ("replay.json", replaced(more=1)),
    "less than a replay": ("replay.json", lambda s: json.dumps({k: v for k, v in json.loads(s).items() if k != "losses"})),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_replay_gets_a_sentence(kind, tmp_path):
    name, change = BROKEN[kind]
    save_replay(replay("mnist"), tmp_path)
    assert load_replay(tmp_path)
    file = tmp_path / name
    if change is None:
        file.unlink()
    elif name.endswith("json"):
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        file.write_bytes(change(file.read_bytes()))
    with pytest.raises(CheckpointError, match=r"^The replay in .* is missing or broken \(.*\): copy the whole .*folder\.$"):
        load_replay(tmp_path)


def test_an_unknown_checkpoint_has_no_replay(tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointError, match="There is no checkpoint 'gan-x'"):
        gm.gan.load_replay("gan-x")
