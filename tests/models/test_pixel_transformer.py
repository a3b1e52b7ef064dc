"""The transformer of pictures: completions, likelihoods of pixels."""

import math
from itertools import product

import pytest
import torch

from genmodels import pixel_transformer
from genmodels.tokens import PixelTokenizer
from tests.compare import close
from tests.helpers_models import small_transformer, tiny_pictures


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_given_rows_stay_and_generated_pixels_come_with_their_probability(pixels, rows):
    x = tiny_pictures(1)
    steps = list(pixels.complete_steps(x if rows else None, rows=rows, n=3, label=1, temperature=0.7, seed=0))
    assert [step.rows for step in steps] == list(range(rows + 1, 5))
    whole = steps[-1].x
    assert whole.shape == (3, 1, 4, 4) and len(torch.unique(whole, dim=0)) == 3
    expected = pixels.pixel_log_probs(whole, 1).exp()
    for step in steps:
        assert torch.equal(step.x[:, :, :rows], (x[:, :, :rows] * 255).round().expand(3, -1, -1, -1) / 255)
        assert torch.equal(step.x[:, :, : step.rows], whole[:, :, : step.rows])
        assert not step.x[:, :, step.rows :].any() and not step.probability[:, step.rows :].any()
        assert torch.allclose(step.probability[:, rows : step.rows], expected[:, rows : step.rows], rtol=1e-4)
        assert not step.probability[:, :rows].any()


def test_what_is_below_the_given_rows_does_not_matter(pixels):
    x, other = tiny_pictures(1), tiny_pictures(1)
    other[:, :, 2:] = 0.5
    ends = [list(pixels.complete_steps(picture, rows=2, n=2, seed=0))[-1].x for picture in (x, other)]
    assert torch.equal(*ends)


def test_log_probs_are_normalized_over_the_grey_levels(pixels):
    x, y = tiny_pictures(3), torch.tensor([0, 2, 1])
    each = pixels.pixel_log_probs(x, y)
    assert each.shape == (3, 4, 4)
    ids = pixels.tokenizer.encode(x, y)
    log_p = pixels.logits(ids[:, :-1])[..., :256].log_softmax(-1)
    for i, r, c in product(range(3), range(4), range(4)):
        assert each[i, r, c].item() == pytest.approx(log_p[i, 4 * r + c, ids[i, 1 + 4 * r + c]].item(), abs=1e-4)
    assert close(pixels.log_prob(x, y), each.sum((1, 2)))
    assert close(pixels.bits_per_dim(x, y), -each.sum((1, 2)) / (16 * math.log(2)))
    assert not torch.allclose(pixels.log_prob(x, 0), pixels.log_prob(x, 1), atol=1e-3)
    assert close(pixels.log_prob(x), pixels.log_prob(x, -1))


def binary_model(size=2, lags=(0, 1, 2)):
    """A model of binary pictures."""
    model = small_transformer("pixels", size=size, lags=lags)
    model.tokenizer = PixelTokenizer(size, 3, levels=2)  # uses the first rows of a larger table
    return model


def every_binary_picture():
    return torch.tensor(list(product([0.0, 1.0], repeat=4))).view(16, 1, 2, 2)


def test_the_probabilities_of_all_pictures_sum_to_one():
    model, every = binary_model(), every_binary_picture()
    for label in (None, 0, 2):
        assert model.log_prob(every, label).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_without_a_class_likelihoods_are_those_of_the_mixture_of_all_classes():
    x, pixels = tiny_pictures(3), small_transformer("pixels")
    by_class = torch.stack([pixels.log_prob(x, c) for c in range(3)])  # (C, B)
    assert torch.allclose(pixels.log_prob(x), by_class.logsumexp(0) - math.log(3), atol=1e-4)
    assert torch.allclose(pixels.log_prob(x, [-1, 2, -1])[1], by_class[2, 1], atol=1e-4)
    assert torch.allclose(pixels.class_posterior(x), by_class.softmax(0).T.double(), atol=1e-4)
    assert torch.allclose(pixels.class_posterior(x, rows=0), torch.full((3, 3), 1 / 3, dtype=torch.float64))
    p = pixels.pixel_log_probs(x)[:, 0, 0].exp()  # before any pixel, the classes are equally likely
    assert torch.allclose(p, torch.stack([pixels.pixel_log_probs(x, c)[:, 0, 0].exp() for c in range(3)]).mean(0), rtol=1e-4)
    pixels.embed.weight.data[-1] += 1  # nothing depends on the token for no class, which no picture is trained with
    assert torch.allclose(pixels.log_prob(x), by_class.logsumexp(0) - math.log(3), atol=1e-4)


def test_completions_without_a_class_draw_one_from_its_posterior():
    model, every = binary_model(), every_binary_picture()
    x = every[9:10]  # rows (1, 0) and (0, 1)
    frequencies = torch.zeros(16)
    for seed in range(12):
        *_, last = model.complete_steps(x, rows=1, n=64, seed=seed)
        frequencies += (last.x.flatten(1).long() * torch.tensor([8, 4, 2, 1])).sum(1).bincount(minlength=16) / (12 * 64)
    p = model.log_prob(every).exp() * (every[:, 0, 0] == x[0, 0, 0]).all(1)
    p = p / p.sum()
    assert bool(((frequencies - p).abs() <= 4 * (p * (1 - p) / (12 * 64)).sqrt()).all())


def test_runs_of_black_pixels_give_the_same_samples_as_one_pixel_at_a_time(monkeypatch):
    """Of binary pictures, in which some of the guesses are wrong."""
    model = binary_model(size=6, lags=[0, 1, 5, 6])
    model.embed.weight[[0, 1]] = model.embed.weight[[1, 0]]  # black is what there is most of
    pictures, runs = [], []
    black_run = pixel_transformer.PixelTransformer._black_run
    monkeypatch.setattr(pixel_transformer.PixelTransformer, "_black_run", lambda *a: runs.append(black_run(*a)) or runs[-1])
    x = torch.rand(1, 1, 6, 6)
    for fast in (True, False):
        monkeypatch.setattr(pixel_transformer, "in_full_precision_on_cpu", lambda model, fast=fast: fast)
        for rows, n in ((0, 3), (2, 1)):
            pictures.append(list(model.complete_steps(x, rows=rows, n=n, label=1, seed=5)))
    assert max(runs) > 2
    black = torch.cat([steps[-1].x.flatten() for steps in pictures[:2]]) == 0
    assert 0.2 < black.float().mean() < 0.98
    for steps, expected in zip(pictures[:2], pictures[2:]):
        for step, other in zip(steps, expected, strict=True):
            assert torch.equal(step.x, other.x) and close(step.probability, other.probability) and step.rows == other.rows


def test_samples_have_the_frequencies_of_their_probabilities():
    model, every = binary_model(), every_binary_picture()
    p = model.log_prob(every, 1).exp()
    x = model.sample(1500, label=1, seed=0)
    frequencies = (x.flatten(1).long() * torch.tensor([8, 4, 2, 1])).sum(1).bincount(minlength=16) / len(x)
    assert bool(((frequencies - p).abs() < 4 * (p * (1 - p) / len(x)).sqrt()).all())
    assert (p.max() - p.min()) > 0.05


def test_samples_have_the_labels_and_full_batches_do_not_depend_on_what_follows(pixels):
    # Exactly: both sides compute the same in batches of the same shape, so that no rounding changes a sampled pixel.
    x = pixels.sample(3, label=[0, 1, 2], seed=0)
    steps = pixels.complete_steps(n=3, label=[0, 1, 2], seed=0)
    assert torch.equal(x, list(steps)[-1].x)
    cold = pixels.sample(2, label=[0, 1], temperature=0, seed=0)
    assert torch.equal(cold, pixels.sample(2, label=[0, 1], temperature=0, seed=1)) and not torch.equal(cold[0], cold[1])
    many = pixels.sample(70, seed=3)
    assert torch.equal(many[:64], pixels.sample(64, seed=3)) and not torch.equal(many[64:], many[:6])


@pytest.mark.parametrize(
    "arguments, says",
    [
        (dict(rows=1), "rows"),
        (dict(x=tiny_pictures(1), rows=4), "rows"),
        (dict(n=0), "n"),
        (dict(n=65), "n"),
        (dict(x=tiny_pictures(2), rows=1), "x"),
        (dict(x=tiny_pictures(1) + 1, rows=1), "x"),
        (dict(x=3, rows=1), "x"),
        (dict(label=3), "label"),
        (dict(label=[0, 1], n=3), "label"),
        (dict(temperature=math.nan), "temperature"),
        (dict(temperature=2.1), "temperature"),
        (dict(seed=-1), "seed"),
    ],
    ids=[str(i) for i in range(12)],
)
def test_bad_arguments_for_pictures_get_a_sentence(pixels, arguments, says):
    with pytest.raises(ValueError, match=rf"^{says} must be .{{5,200}}\.$"):
        pixels.complete_steps(**arguments)
