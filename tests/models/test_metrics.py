"""Each metric against a known result: a closed form, another library, or a plain loop."""

import inspect
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from genmodels import data, metrics
from genmodels.classifier import Classifier
from genmodels.vae import Latents
from tests.compare import close


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def exact(n, variances, seed=0):
    """n rows whose mean is exactly 0 and whose covariance is exactly diag(variances)."""
    q, _ = torch.linalg.qr(torch.cat([torch.ones(n, 1), normal(n, len(variances), seed=seed)], 1).double())
    return q[:, 1:] * math.sqrt(n - 1) * torch.tensor(variances, dtype=torch.float64).sqrt()


# --- FID ------------------------------------------------------------------------------------------------------------


def test_fid_of_a_set_with_itself_is_zero():
    a = normal(500, 16)
    assert metrics.fid(a, a) == pytest.approx(0, abs=1e-6)
    assert metrics.fid(a, a[torch.randperm(500)]) == pytest.approx(0, abs=1e-6)


def test_fid_of_gaussians_is_the_closed_form():
    """|m1 - m2|^2 + sum (s1 - s2)^2 for diagonal covariances."""
    one, two, shift = [1.0, 4.0, 9.0], [4.0, 4.0, 0.25], torch.tensor([3.0, 0.0, -1.0])
    a, b = exact(200, one), exact(300, two, seed=1) + shift
    expected = 10 + sum((math.sqrt(s) - math.sqrt(t)) ** 2 for s, t in zip(one, two))
    assert metrics.fid(a, b) == pytest.approx(expected, rel=1e-6)
    assert metrics.fid(b, a) == pytest.approx(expected, rel=1e-6)


def test_fid_of_a_shifted_set_is_the_shift_squared():
    a = normal(400, 8)  # correlated by chance; a shift does not change that
    assert metrics.fid(a, a + 0.5) == pytest.approx(8 * 0.25, rel=1e-6)


@pytest.mark.parametrize("b", [torch.zeros(5, 3), torch.zeros(1, 4), torch.zeros(5)])
def test_features_that_do_not_fit_are_refused(b):
    with pytest.raises(ValueError, match="Features must be two tensors"):
        metrics.fid(torch.zeros(5, 4), b)


def test_features_do_not_depend_on_batch_size_or_dtype():
    classifier = Classifier(widths=[4, 4], features=8).eval()
    x = torch.randint(0, 256, (7, 1, 28, 28), dtype=torch.uint8)
    expected = classifier.features(x.float() / 255).detach()
    assert torch.allclose(metrics.features(classifier, x, batch=3), expected, atol=1e-5)
    assert torch.allclose(metrics.features(classifier, x.float() / 255), expected, atol=1e-5)


# --- Precision, recall, density, coverage ---------------------------------------------------------------------------


def test_same_and_disjoint_sets():
    a = normal(300, 4)
    assert metrics.precision_recall(a, a) == (1, 1)
    assert metrics.density_coverage(a, a) == (pytest.approx(1), 1)
    assert metrics.precision_recall(a, a + 100) == (0, 0)
    assert metrics.density_coverage(a, a + 100) == (0, 0)


def test_half_of_the_modes_costs_recall_not_precision():
    real = torch.cat([normal(200, 3), normal(200, 3, seed=1) + 50])
    precision, recall = metrics.precision_recall(real, normal(400, 3, seed=2))
    assert precision > 0.85
    assert recall == pytest.approx(0.5, abs=0.05)
    assert metrics.density_coverage(real, normal(400, 3, seed=2))[1] == pytest.approx(0.5, abs=0.05)
    recall, precision = metrics.precision_recall(normal(400, 3, seed=2), real)  # with the roles exchanged
    assert (precision > 0.85, recall) == (True, pytest.approx(0.5, abs=0.05))


def test_copies_of_one_picture_cover_nothing():
    real = normal(200, 3)
    density, coverage = metrics.density_coverage(real, real[:1].expand(200, 3))
    assert density >= 1
    assert coverage < 0.2


@pytest.mark.parametrize("k", [1, 3])
def test_neighbours_are_those_of_a_plain_loop(k):
    real, fake = normal(40, 2).double(), normal(50, 2, seed=1).double() * 1.5

    def inside(points, centres):
        """For each point the centres within whose radius it lies."""
        radii = [sorted(math.dist(c, o) for o in centres)[k] for c in centres]
        return [[i for i, c in enumerate(centres) if math.dist(c, p) < radii[i]] for p in points]

    real_of_fake, fake_of_real = inside(fake.tolist(), real.tolist()), inside(real.tolist(), fake.tolist())
    precision = sum(map(bool, real_of_fake)) / len(fake)
    recall = sum(map(bool, fake_of_real)) / len(real)
    density = sum(map(len, real_of_fake)) / (k * len(fake))
    coverage = len(set().union(*real_of_fake)) / len(real)
    assert 0 < min(precision, recall, coverage) < max(precision, recall, coverage) < 1
    assert metrics.precision_recall(real, fake, k) == pytest.approx((precision, recall))
    assert metrics.density_coverage(real, fake, k) == pytest.approx((density, coverage))


# --- CAS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bars():
    """Three classes: a bright bar on the left, in the middle or on the right of a noisy picture."""
    y = torch.arange(420) % 3
    x = 0.3 * torch.rand(420, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for i, c in enumerate(y):
        x[i, :, :, 4 + 8 * c : 8 + 8 * c] += 0.6
    return x, y


def test_cas_is_high_for_separable_classes(bars):
    x, y = bars
    global_state = torch.get_rng_state()
    score = metrics.cas(x[:300], y[:300], x[300:], y[300:], per_class=100, epochs=3, seeds=(0, 1))
    assert score.mean > 0.95
    assert (len(score.accuracies), score.mean) == (2, pytest.approx(np.mean(score.accuracies)))
    assert score.sd == pytest.approx(np.std(score.accuracies, ddof=1))
    assert torch.equal(torch.get_rng_state(), global_state)
    repeated = metrics.cas((x[:300] * 255).byte(), y[:300], x[300:], y[300:], per_class=100, epochs=3, seeds=(0,))
    assert repeated.accuracies[0] == pytest.approx(score.accuracies[0], abs=0.02)
    assert repeated.sd == 0


def test_cas_is_low_for_shuffled_labels(bars):
    x, y = bars
    shuffled = y[torch.randperm(300, generator=torch.Generator().manual_seed(0))]
    assert metrics.cas(x[:300], shuffled, x[300:], y[300:], per_class=100, epochs=3, seeds=(0,)).mean < 0.7


def test_cas_protocol_is_frozen(bars):
    defaults = {k: p.default for k, p in inspect.signature(metrics.cas).parameters.items() if p.default is not p.empty}
    assert defaults == {"per_class": 2000, "epochs": 5, "seeds": (0, 1, 2)}
    with pytest.raises(ValueError, match="at least 2000 pictures of each class"):
        metrics.cas(*bars, *bars)


def test_cas_trains_once_with_each_seed(bars, monkeypatch):
    monkeypatch.setattr(metrics, "_cas_net", lambda classes: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 3)))
    seeds, manual_seed = [], torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda seed: seeds.append(seed) or manual_seed(seed))
    metrics.cas(*bars, *bars, per_class=100, epochs=1, seeds=(5, 0, 2))
    assert seeds == [5, 0, 2]


# --- Likelihood and pictures ----------------------------------------------------------------------------------------


def test_bits_per_dim_by_hand():
    coin = torch.full((3,), 784 * math.log(0.5))
    assert metrics.bits_per_dim(coin, 784).tolist() == pytest.approx([1, 1, 1])
    assert metrics.bits_per_dim(torch.zeros(1), 784, levels=256).item() == pytest.approx(8)  # uniform over 256 levels


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_scikit_image(channels):
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    x = data.samples("mnist" if channels == 1 else "avatars").floats()[:4]
    y = (x + 0.1 * normal(*x.shape)).clamp(0, 1)
    pairs = list(zip(x.numpy(), y.numpy()))
    psnr = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in pairs]
    ssim = [
        structural_similarity(a, b, data_range=1, channel_axis=0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        for a, b in pairs
    ]
    assert metrics.psnr(y, x).tolist() == pytest.approx(psnr, abs=1e-3)
    assert metrics.ssim(y, x).tolist() == pytest.approx(ssim, abs=1e-3)
    assert metrics.ssim(x, x).tolist() == pytest.approx([1] * 4, abs=1e-5)


def test_psnr_by_hand_and_of_bytes():
    x = torch.full((1, 1, 4, 4), 0.5)
    assert metrics.psnr(x, x + 0.1).item() == pytest.approx(20, abs=1e-4)
    black = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    assert metrics.psnr(black, black + 255).item() == pytest.approx(0, abs=1e-5)


def test_pca_is_that_of_a_singular_value_decomposition():
    x = data.samples("mnist").x
    flat = x.flatten(1).double() / 255
    _, s, v = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    pca = metrics.pca(x, 2)
    assert (pca.components.double() @ v[:2].T).abs().tolist() == pytest.approx(np.eye(2), abs=1e-4)
    assert pca.variance.tolist() == pytest.approx((s[:2] ** 2 / len(x)).tolist(), rel=1e-4)
    error = (pca.reconstruct(x) - x / 255).square().mean()
    assert error.item() == pytest.approx((s[2:] ** 2).sum().item() / flat.numel(), rel=1e-4)
    assert metrics.pca(x, 784).reconstruct(x[:3]).numpy() == pytest.approx(x[:3].numpy() / 255, abs=1e-3)


def test_pca_samples_have_the_mean_and_deviation_of_the_pictures():
    x = (0.5 + 0.05 * normal(500, 1, 4, 4) * torch.linspace(0.2, 1, 16).view(4, 4)).clamp(0, 1)
    pca = metrics.pca(x, 16)
    sampled = pca.sample(4000, seed=0)
    assert sampled.mean(0).numpy() == pytest.approx(x.mean(0).numpy(), abs=0.005)
    assert sampled.std(0).numpy() == pytest.approx(x.std(0).numpy(), abs=0.005)
    assert close(pca.sample(3, seed=1), pca.sample(3, seed=1))
    assert not close(pca.sample(3, seed=1), pca.sample(3, seed=2))
    wide = metrics.pca(data.samples("mnist").x, 64).sample(50, seed=0)
    assert (wide.min(), wide.max()) == (0, 1)


# --- Attributes -----------------------------------------------------------------------------------------------------

NAMES = list(data.ATTRIBUTES)


@pytest.fixture
def faces():
    """A toy model: the code is the list of attributes, the decoder returns it and the classifier reads it."""
    y = data.samples("avatars").y
    x = torch.zeros(len(y), 3, 64, 64)
    x[:, 0, 0, : len(NAMES)] = (y + 1) / 32
    vae = SimpleNamespace(encode=lambda x: Normal(x[:, 0, 0, : len(NAMES)] * 32 - 1, 1.0), decode=lambda z: z)
    classifier = SimpleNamespace(predict=lambda z: z.round().long())
    unit = torch.eye(len(NAMES))
    values = {a: {v: unit[i] * j for j, v in enumerate(names)} for i, (a, names) in enumerate(data.ATTRIBUTES.items())}
    return vae, classifier, x, y, Latents(torch.ones(16), torch.zeros(16), torch.ones(16), values)


@pytest.mark.parametrize("attribute", ["smiling", "glasses", "hair_color", "hair_length", "facial_hair", "skin"])
def test_a_perfect_direction_moves_its_attribute_alone(faces, attribute):
    t = metrics.attribute_transfer(*faces, attribute)
    assert (t.reached, t.changed) == (1, 1)
    assert set(t.preserved.values()) == {1}
    assert set(t.preserved) == set(NAMES) - {attribute, *metrics.LINKED_ATTRIBUTES.get(attribute, ())}
    y = faces[3][:, NAMES.index(attribute)]
    assert t.n == ((y > 0) if attribute == "hair_color" else (y >= 0)).sum()  # no hair, no colour


def test_no_move_changes_nothing(faces):
    t = metrics.attribute_transfer(*faces, "skin", amount=0)
    assert (t.reached, t.changed, set(t.preserved.values())) == (0, 0, {1})


def test_a_direction_that_changes_another_attribute_is_detected(faces):
    *model_and_faces, latents = faces
    entangled = {
        v: code + 4 * i * torch.eye(16)[NAMES.index("skin")] for i, (v, code) in enumerate(latents.values["smiling"].items())
    }
    t = metrics.attribute_transfer(
        *model_and_faces, latents._replace(values=latents.values | {"smiling": entangled}), "smiling"
    )
    assert t.reached == 1
    assert {k for k, share in t.preserved.items() if share < 1} == {"skin"}
    assert t.preserved["skin"] == 0


def test_every_other_value_is_a_target(faces):
    vae, classifier, x, y, latents = faces
    targets = set()
    skin = NAMES.index("skin")
    recorder = SimpleNamespace(predict=lambda z: targets.update(z[:, skin].round().int().tolist()) or z.round().long())
    for value in range(5):  # whatever value the faces have
        targets.clear()
        same = (y[:, skin] == value).nonzero()[:, 0].repeat(10)
        metrics.attribute_transfer(vae, recorder, x[same], y[same], latents, "skin")
        assert targets == set(range(5))


def test_invisible_attributes_do_not_count(faces):
    """Eyes behind dark glasses, before or after, and the colour of a beard that appears or disappears."""
    _, _, _, y, _ = faces
    glasses, eyes = NAMES.index("glasses"), NAMES.index("eyes")
    clear = metrics._visible_in_both(y, glasses, torch.full((len(y),), 1))[:, eyes]
    assert torch.equal(clear, y[:, eyes] != data.HIDDEN)
    assert not metrics._visible_in_both(y, glasses, torch.full((len(y),), 3))[:, eyes].any()
    bald = y[:1].clone()
    bald[:, [NAMES.index(a) for a in ("hair_length", "facial_hair", "hair_color")]] = 0
    beard, colour = NAMES.index("facial_hair"), NAMES.index("hair_color")
    assert not metrics._visible_in_both(bald, beard, torch.tensor([2]))[0, colour]
    assert metrics._visible_in_both(bald, NAMES.index("skin"), torch.tensor([2]))[0, colour]


def test_transfer_refuses_bad_arguments(faces):
    vae, classifier, x, y, latents = faces
    with pytest.raises(ValueError, match="attribute must be one of smiling"):
        metrics.attribute_transfer(*faces, "hats")
    latents = latents._replace(values={"skin": {"pale": torch.zeros(16)}})
    with pytest.raises(ValueError, match="at least two of its values"):
        metrics.attribute_transfer(vae, classifier, x, y, latents, "skin")


def test_a_probe_finds_a_direction_and_ignores_hidden_labels():
    codes = normal(600, 5)
    labels = (codes[:, 2] > 0).long() + 2 * (codes[:, 4] > 0).long()  # four values, linearly separable
    hidden = torch.where(torch.arange(600) % 3 == 0, -1, labels)
    probe = metrics.linear_probe(codes[:400], hidden[:400], 4)
    assert probe.accuracy(codes[400:], labels[400:]) > 0.9
    assert metrics.linear_probe(codes[:400], labels[torch.randperm(400)], 4).accuracy(codes[400:], labels[400:]) < 0.5
    only_right = torch.where((codes @ probe.weight.T + probe.bias).argmax(1) == labels, labels, -1)
    assert probe.accuracy(codes, only_right) == pytest.approx(1, abs=2 / 600)  # two may lie on a boundary


def test_a_probe_reads_codes_whose_numbers_are_of_different_sizes():
    scale, unit = torch.tensor([0.01, 100.0]), normal(600, 2)
    labels = (unit[:, 0] > unit[:, 1]).long()
    codes = scale * unit + torch.tensor([5.0, -300.0])
    assert metrics.linear_probe(codes[:400], labels[:400], 2).accuracy(codes[400:], labels[400:]) > 0.9


def test_the_nearest_mean_is_the_nearest():
    means, codes = normal(4, 3), normal(50, 3, seed=1)
    nearest = torch.cdist(codes, means).argmin(1)
    gap = torch.cdist(codes, means).topk(2, largest=False).values.diff()
    assert gap.min() > 1e-3  # no code lies on a boundary, where rounding decides
    assert metrics.nearest_mean(means).accuracy(codes, nearest) == 1
    assert metrics.nearest_mean(means).accuracy(codes, (nearest + 1) % 4) == 0
