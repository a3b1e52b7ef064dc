"""The mathematics of the VAE, its latent codes and interpolation between them."""

import math

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

import genmodels as gm
from genmodels.base import CheckpointError, generator, randn_rows
from genmodels.vae import LABEL_WEIGHT, VAE, Latents, load_latents, measure_latents, save_latents
from tests.compare import close


@pytest.fixture(params=["bernoulli", "gaussian"])
def vae(request):
    """A small model whose posterior is neither the prior nor a point."""
    torch.manual_seed(0)
    vae = VAE(size=8, latent=3, width=4, hidden=16, likelihood=request.param).eval().requires_grad_(False)
    for p in vae.parameters():
        p += 0.2 * torch.randn_like(p)
    return vae


@pytest.fixture
def x():
    """Five grey pictures."""
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


# --- Terms of the bound -----------------------------------------------------------------------------------------------


def test_kl_is_the_closed_form_and_the_mean_of_the_log_ratio(vae, x):
    q = vae.encode(x)
    _, kl = vae.elbo(x)
    by_hand = 0.5 * (q.variance + q.mean**2 - 1 - q.variance.log()).sum(1)
    assert torch.allclose(kl, by_hand, rtol=1e-4)
    assert torch.allclose(kl, kl_divergence(q, Normal(0.0, 1.0)).sum(1), rtol=1e-4)
    torch.manual_seed(0)
    z = q.sample((20_000,))
    ratio = (q.log_prob(z) - Normal(0.0, 1.0).log_prob(z)).sum(2)  # (K, B)
    assert bool(((ratio.mean(0) - kl).abs() < 5 * ratio.std(0) / math.sqrt(len(z))).all())


def test_log_likelihood_by_hand(vae, x):
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    mean = vae.decode(z)
    if vae.likelihood_name == "bernoulli":
        expected = -F.binary_cross_entropy(mean, x, reduction="none")
    else:
        sigma = math.exp(vae.log_sigma)
        expected = -0.5 * ((x - mean) / sigma) ** 2 - math.log(sigma) - 0.5 * math.log(2 * math.pi)
    assert torch.allclose(vae.likelihood(z).log_prob(x), expected.sum((1, 2, 3)), rtol=1e-4)
    assert torch.allclose(vae.likelihood(z).mean, mean)


@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_loss_is_minus_the_bound(vae, x, beta):
    """With black and white pixels binarisation changes nothing, and the only noise is that of the code."""
    x, vae.beta = x.round(), beta
    torch.manual_seed(0)
    losses = vae.loss((x, None))
    torch.manual_seed(0)
    if vae.likelihood_name == "bernoulli":
        torch.bernoulli(x)
    q = vae.encode(x)
    z = q.rsample()
    log_px = vae.likelihood(z).log_prob(x).mean()
    kl = 0.5 * (q.variance + q.mean**2 - 1 - q.variance.log()).sum(1).mean()
    assert losses["reconstruction"].item() == pytest.approx(-log_px.item(), rel=1e-5)
    assert losses["kl"].item() == pytest.approx(kl.item(), rel=1e-4)
    assert losses["loss"].item() == pytest.approx((beta * kl - log_px).item(), rel=1e-5)


def test_training_samples_new_black_and_white_pictures_at_every_step(vae, x, monkeypatch):
    inputs, posterior = [], vae.posterior
    monkeypatch.setattr(vae, "posterior", lambda x: inputs.append(x) or posterior(x))
    torch.manual_seed(0)
    for _ in range(2):
        vae.loss((x.repeat(500, 1, 1, 1), None))
    if vae.likelihood_name == "bernoulli":
        assert not torch.equal(*inputs)
        binary = torch.cat(inputs).view(1000, *x.shape)
        assert set(binary.unique().tolist()) == {0.0, 1.0}
        assert bool(((binary.mean(0) - x).abs() < 5 * (x * (1 - x) / 1000).sqrt()).all())
    else:
        assert torch.equal(inputs[0], x.repeat(500, 1, 1, 1))


def test_noise_level_and_standard_deviation_of_codes_stay_finite(x):
    vae = VAE(size=8, latent=2, width=4, hidden=8, likelihood="gaussian").requires_grad_(False)
    for value in (-1e4, 1e4):
        vae.log_sigma.fill_(value)
        vae.encoder[-1].bias.fill_(value)
        assert bool(torch.isfinite(vae.loss((x, None))["loss"])), value


# --- The importance-weighted bound ------------------------------------------------------------------------------------


class LinearEncoder(nn.Module):
    """x -> (mean, log_var) of the exact posterior if `wide` is 0; else `wide` is added to log_var and the mean is halved."""

    def __init__(self, to_mean, variance, b, wide):
        super().__init__()
        self.to_mean, self.log_var, self.b, self.wide = to_mean, variance.log(), b, wide

    def forward(self, x):
        mean = (x.flatten(1) - self.b) @ self.to_mean.T
        return torch.cat([mean / 2 if self.wide else mean, (self.log_var + self.wide).expand_as(mean)], 1)


class LinearDecoder(nn.Module):
    """z -> logits whose sigmoid is W z + b."""

    def __init__(self, w, b, size):
        super().__init__()
        self.w, self.b, self.size = w, b, size

    def forward(self, z):
        return torch.logit(z @ self.w.T + self.b).view(-1, 1, self.size, self.size)


def linear_gaussian(wide):
    """A VAE with a closed-form solution, five pictures, their exact log p(x) and KL(q || exact posterior).

    x = W z + b + noise, so p(x) = N(b, W W' + sigma^2), and the posterior is Gaussian, with a diagonal covariance if
    the columns of W are orthogonal.
    """
    size, sigma, g = 4, 0.05, torch.Generator().manual_seed(0)
    w = torch.linalg.qr(torch.randn(size * size, 3, generator=g))[0] * torch.tensor([0.08, 0.05, 0.02])
    b = torch.full((size * size,), 0.5)
    variance = 1 / (1 + w.square().sum(0) / sigma**2)
    vae = VAE(size=size, latent=3, width=2, levels=0, hidden=2, likelihood="gaussian").eval().requires_grad_(False)
    vae.log_sigma.fill_(math.log(sigma))
    vae.encoder = LinearEncoder(variance[:, None] * w.T / sigma**2, variance, b, wide)
    vae.decoder = LinearDecoder(w, b, size)
    x = torch.randn(5, 3, generator=g) @ w.T + b + sigma * torch.randn(5, size * size, generator=g)
    exact = MultivariateNormal(b, w @ w.T + sigma**2 * torch.eye(size * size)).log_prob(x)
    posterior = Normal((x - b) @ vae.encoder.to_mean.T, variance.sqrt())
    x = x.view(5, 1, size, size)
    return vae, x, exact, kl_divergence(vae.encode(x), posterior).sum(1)


def mean_bound(bound, x, draws):
    """Mean of bound(x) over independent samples of its noise, one per copy of x, and its standard error."""
    values = bound(x.repeat(draws, 1, 1, 1)).view(draws, len(x))
    return values.mean(0), values.std(0) / math.sqrt(draws)


@pytest.mark.parametrize("samples", [1, 2, 50])
def test_with_the_exact_posterior_every_bound_is_log_p(samples):
    vae, x, exact, _ = linear_gaussian(wide=0.0)
    assert torch.allclose(vae.log_prob(x, samples=samples), exact, atol=2e-3)


def test_with_an_inexact_posterior_the_elbo_is_lower_by_its_divergence():
    """ELBO = log p(x) - KL(q || posterior), both from `elbo` and from `log_prob` with one importance sample."""
    vae, x, exact, gap = linear_gaussian(wide=0.7)
    assert gap.min() > 0.3
    for bound in (lambda x: torch.sub(*vae.elbo(x)), lambda x: vae.log_prob(x, samples=1)):
        mean, error = mean_bound(bound, x, 8_000)
        assert bool(((mean - (exact - gap)).abs() < 5 * error).all())


def test_importance_weighting_rises_to_log_p():
    vae, x, exact, gap = linear_gaussian(wide=0.7)
    bounds = []
    for samples, draws in ((1, 2000), (4, 1000), (16, 500), (256, 50)):
        mean, error = mean_bound(lambda x, samples=samples: vae.log_prob(x, samples=samples), x, draws)
        assert bool((mean < exact + 5 * error).all()), samples
        bounds.append(mean)
    assert bool((torch.stack(bounds).diff(dim=0) > 0).all())
    assert torch.allclose(vae.log_prob(x, samples=10_000), exact, atol=0.05)


def test_importance_weighting_rises_from_the_elbo(vae, x):
    """The same with a network: with more samples the mean bound is higher."""
    x = vae.binarise(x)
    elbo, error = mean_bound(lambda x: torch.sub(*vae.elbo(x, seed=1)), x, 1000)
    one, other_error = mean_bound(lambda x: vae.log_prob(x, samples=1), x, 1000)
    many, _ = mean_bound(lambda x: vae.log_prob(x, samples=100), x, 20)
    assert bool(((elbo - one).abs() < 5 * torch.hypot(error, other_error)).all())
    assert bool((one + 5 * other_error < many).all())


@pytest.mark.parametrize("chunk", [1, 7, 20, 10_000])
def test_the_chunk_size_does_not_change_log_prob(vae, x, chunk):
    in_chunks, at_once = (vae.log_prob(x, samples=13, seed=5, chunk=c) for c in (chunk, 4096))
    assert torch.allclose(in_chunks, at_once, atol=1e-4)


def test_log_prob_has_its_own_seed(vae, x):
    assert close(vae.log_prob(x, samples=3), vae.log_prob(x, samples=3, seed=0))
    assert not close(vae.log_prob(x, samples=3), vae.log_prob(x, samples=3, seed=1))


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_samples_are_decoded_from_the_prior(vae):
    z = randn_rows(6, 3, g=generator(9))
    for temperature in (0, 0.5, 1, 2):
        assert torch.allclose(vae.sample(6, seed=9, temperature=temperature), vae.decode(temperature * z), atol=1e-6)
    assert torch.equal(vae.prior().mean, torch.zeros(3))
    assert torch.equal(vae.prior().stddev, torch.ones(3))


def test_temperature_zero_is_the_picture_of_zero(vae):
    assert close(vae.sample(4, seed=0, temperature=0), vae.decode(torch.zeros(4, 3)))


def test_reconstruct_decodes_the_mean_code(vae, x):
    assert close(vae.reconstruct(x), vae.decode(vae.encode(x).mean))


def test_binarise_is_repeatable_and_right_on_average(vae, x):
    assert torch.equal(vae.binarise(x, seed=3), vae.binarise(x, seed=3))
    assert not torch.equal(vae.binarise(x, seed=3), vae.binarise(x, seed=4))
    draws = torch.stack([vae.binarise(x, seed=seed) for seed in range(1000)])
    assert set(draws.unique().tolist()) == {0.0, 1.0}
    assert bool(((draws.mean(0) - x).abs() < 5 * (x * (1 - x) / 1000).sqrt()).all())
    for value in (0.0, 1.0):
        assert bool((vae.binarise(torch.full((200, 1, 8, 8), value)) == value).all())


def test_the_picture_must_be_divisible():
    with pytest.raises(ValueError, match=r"size must be divisible by 8"):
        VAE(size=28, levels=3)
    with pytest.raises(ValueError, match="likelihood must be one of bernoulli, gaussian"):
        VAE(likelihood="poisson")


def test_one_batch_can_be_overfitted():
    """Ten digits: after a second of training, reconstructions are far better than the mean picture and the codes are used."""
    torch.manual_seed(0)
    x = gm.data.samples("mnist").floats()[:10].round()
    vae = VAE(latent=8, width=8, hidden=64)
    optimiser = torch.optim.Adam(vae.parameters(), lr=5e-3)
    for _ in range(200):
        optimiser.zero_grad()
        terms = vae.loss((x, None))
        terms["loss"].backward()
        optimiser.step()
    assert terms["kl"] > math.log(10)  # nats needed to distinguish ten pictures
    assert (vae.reconstruct(x) - x).square().mean() < 0.1 * (x - x.mean(0)).square().mean()


# --- Statistics of latent codes ---------------------------------------------------------------------------------------

NAMES = {"smile": ["no", "yes"], "hat": ["none", "red", "blue"]}


@pytest.fixture
def measured(vae):
    """The model, eight pictures and their `Latents`; picture 3 hides its hat, and no hat is blue."""
    x = torch.randint(256, (8, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y = torch.tensor([[0, 0], [1, 1], [0, 1], [1, -1], [0, 0], [0, 1], [1, 0], [1, 1]])
    return vae, x, y, measure_latents(vae, x, y, NAMES)


def test_vectors_of_values_are_the_least_squares_fit_to_the_codes(measured):
    vae, x, y, latents = measured
    q = vae.encode(x.float() / 255)
    assert torch.allclose(latents.mean, q.mean.mean(0), atol=1e-6)
    assert torch.allclose(latents.std, q.mean.std(0), atol=1e-6)
    assert torch.allclose(latents.kl, kl_divergence(q, vae.prior()).mean(0), atol=1e-6)
    assert {a: set(vectors) for a, vectors in latents.values.items()} == {
        "smile": {"no", "yes"},
        "hat": {"none", "red", "hidden"},
    }
    names = [[NAMES["smile"][s], (*NAMES["hat"], "hidden")[h]] for s, h in y.tolist()]
    residual = q.mean - torch.stack([latents.values["smile"][s] + latents.values["hat"][h] for s, h in names])
    for column in (0, 1):  # least squares: residuals of all pictures that share a value have mean zero
        for value in {row[column] for row in names}:
            assert residual[[row[column] == value for row in names]].mean(0).abs().max() < 1e-5


def test_latents_of_one_attribute(vae):
    x = torch.randint(256, (6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    one = measure_latents(vae, x, torch.tensor([0, 1, 2, 0, 1, 2]), {"class": ["a", "b", "c"]})
    assert torch.allclose(one.values["class"]["b"], vae.encode(x[[1, 4]] / 255).mean.mean(0), atol=1e-6)


def test_change_moves_along_every_attribute_that_differs(measured):
    *_, latents = measured
    z, v = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), latents.values
    before, after = {"smile": "no", "hat": "none", "nose": "big"}, {"smile": "yes", "hat": "red", "nose": "small"}
    step = v["smile"]["yes"] - v["smile"]["no"] + v["hat"]["red"] - v["hat"]["none"]
    assert torch.allclose(latents.change(z, before, after, 0.5), z + 0.5 * step, atol=1e-6)
    assert torch.equal(latents.change(z, before, before), z)
    assert torch.equal(latents.change(z, before, before | {"hat": "blue"}), z)  # which no picture had


def test_move_adds_the_difference(measured):
    *_, latents = measured
    z = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    step = latents.values["hat"]["red"] - latents.values["hat"]["none"]
    assert torch.equal(latents.move(z, "hat", "none", "red", 0), z)
    assert torch.allclose(latents.move(z, "hat", "none", "red"), z + step)
    assert torch.allclose(latents.move(z, "hat", "none", "red", -2.5), z - 2.5 * step)
    moved = latents.move(z, "hat", "none", "red", 1.5)
    assert torch.allclose(latents.move(moved, "hat", "red", "none", 1.5), z, atol=1e-6)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (("nose", "none", "red", 1), "attribute must be one of smile, hat, not 'nose'"),
        (("hat", "none", "blue", 1), "value of hat must be one of none, red, hidden, not 'blue'"),
        (("hat", ["none"], "red", 1), "value of hat must be one of none, red"),
        (("hat", "none", "red", 3.5), "amount must be a number from -3 to 3, not 3.5"),
        (("hat", "none", "red", math.nan), "amount must be a number from -3 to 3, not nan"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_a_bad_move_gets_a_sentence(measured, bad, sentence):
    with pytest.raises(ValueError, match=sentence):
        measured[-1].move(torch.zeros(1, 3), *bad)


def test_latents_are_saved_and_loaded_exactly(measured, tmp_path):
    *_, latents = measured
    save_latents(latents, tmp_path)
    loaded = load_latents(tmp_path)
    for field in ("kl", "mean", "std"):
        assert torch.equal(getattr(loaded, field), getattr(latents, field))
    assert loaded.values.keys() == latents.values.keys()
    for attribute, vectors in latents.values.items():
        assert loaded.values[attribute].keys() == vectors.keys()
        assert all(torch.equal(loaded.values[attribute][value], vector) for value, vector in vectors.items())


@pytest.mark.parametrize("content", [None, b"", b"no tensors", "cut", "foreign"])
def test_broken_latents_get_a_sentence(content, tmp_path):
    file, one = tmp_path / "latents.safetensors", torch.ones(3)
    if content == "cut":
        save_latents(Latents(one, one + 1, one + 2, {"class": {"a": one + 3}}), tmp_path)
        file.write_bytes(file.read_bytes()[:-3])
    elif content == "foreign":
        save_file({"weight": one}, file)
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"^{file} is missing or broken .*: copy the whole checkpoint folder\.$"):
        load_latents(tmp_path)


# --- Labels -----------------------------------------------------------------------------------------------------------


def test_the_loss_pulls_codes_towards_the_sum_of_their_labels_vectors(x):
    torch.manual_seed(0)
    vae = VAE(size=8, latent=3, width=4, hidden=16, likelihood="gaussian", values=[2, 3])
    y = torch.tensor([[0, 2], [1, -1], [-2, 0], [1, 1], [0, -1]])
    terms = vae.loss((x, y))
    first, second = (table.weight for table in vae.answers.tables)
    targets = torch.stack(
        [first[0] + second[2], first[1] + second[3], first[2] + second[0], first[1] + second[1], first[0] + second[3]]
    )  # the last row of a table is for a hidden value
    by_hand = (vae.encode(x).mean - targets).square().sum() / 5
    assert close(terms["labels"], by_hand)
    assert close(terms["loss"], terms["reconstruction"] + terms["kl"] + LABEL_WEIGHT * by_hand)


def test_half_of_the_pictures_are_decoded_with_the_residual_of_their_neighbour(x, monkeypatch):
    torch.manual_seed(0)
    vae = VAE(size=8, latent=3, width=4, hidden=16, likelihood="gaussian", values=[2])
    x, y = x.repeat(200, 1, 1, 1), torch.tensor([[0], [1], [0], [1], [-1]] * 200)
    q, embedded = vae.encode(x), vae.answers(y)
    decoded = []
    monkeypatch.setattr(torch.distributions.Normal, "rsample", lambda self: self.mean)
    vae.decoder.register_forward_pre_hook(lambda module, z: decoded.append(z[0]))
    vae.loss((x, y))
    used, original = decoded[0] - embedded, q.mean - embedded  # (1000, D) each
    unchanged = (used - original).abs().amax(1) < 1e-5
    swapped = (used - original.roll(1, 0)).abs().amax(1) < 1e-5
    assert bool((unchanged ^ swapped).all())
    assert 400 < swapped.sum() < 600


def test_without_values_labels_do_not_matter(x):
    vae = VAE(size=8, latent=3, width=4, hidden=16)
    assert "labels" not in vae.loss((x, None)) and not hasattr(vae, "answers")


def test_latents_sampled_for_labels_lie_around_the_sum_of_their_vectors():
    torch.manual_seed(0)
    vae = VAE(size=8, latent=3, width=4, hidden=16, values=[2, 3]).eval()
    y = torch.tensor([[1, -1]]).repeat(4000, 1)
    z, center = vae.sample_latents(4000, label=y, seed=1), vae.answers(y[:1])
    assert torch.allclose(z.mean(0), center[0], atol=3 / math.sqrt(2 * LABEL_WEIGHT * 4000) * 1.5)
    assert torch.allclose(z.std(0), torch.tensor(1 / math.sqrt(2 * LABEL_WEIGHT)), rtol=0.05)
    assert torch.allclose(vae.sample_latents(2, label=y[:2], temperature=0), center.expand(2, 3))
    assert close(vae.sample(3, label=y[:3], seed=2), vae.decode(vae.sample_latents(3, label=y[:3], seed=2)))


@pytest.mark.parametrize("label", [3, torch.zeros(2, 1, dtype=torch.int64), torch.zeros(2, 2), torch.tensor([[2, 0], [0, 0]])])
def test_invalid_labels_get_a_sentence(label):
    with pytest.raises(ValueError, match=r"label must be an int64 tensor \(2, 2\)"):
        VAE(size=8, latent=3, width=4, hidden=16, values=[2, 3]).sample_latents(2, label=label)
    with pytest.raises(ValueError, match="label must be None"):
        VAE(size=8, latent=3, width=4, hidden=16).sample_latents(2, label=torch.zeros(2, 0, dtype=torch.int64))


# --- What a code says of a picture, and where codes lie ---------------------------------------------------------------


def test_numbers_of_an_encoding(vae, x):
    stats = gm.vae.encoding_stats(vae, x[:1])
    log_px, kl = vae.elbo(x[:1])
    assert stats["elbo"] == pytest.approx((log_px - kl).item()) and stats["kl"] == pytest.approx(kl.item())
    assert stats["squared_error"] == pytest.approx(F.mse_loss(vae.reconstruct(x[:1]), x[:1]).item())


@pytest.mark.parametrize("make", [VAE, gm.Autoencoder])
def test_a_map_decodes_the_codes_of_its_cells(make, x):
    torch.manual_seed(0)
    model = make(size=8, latent=2).eval().requires_grad_(False)
    pictures, z, bounds = gm.vae.map_codes(model, x, cells=4)
    codes = model.encode(x)
    assert close(z, codes if make is gm.Autoencoder else codes.mean)
    x0, x1, y0, y1 = bounds.values()
    corner = torch.tensor([[x0 + (x1 - x0) / 8, y1 - (y1 - y0) / 8]])  # the middle of the cell at the top left
    assert pictures.shape == (16, 1, 8, 8) and close(pictures[:1], model.decode(corner))
    if make is VAE:
        assert (x0, y0) == (-x1, -y1) and x1 >= 3


def test_an_edit_reaches_the_target():
    vectors = {"class": {"cat": torch.tensor([1.0, 0]), "dog": torch.tensor([0, 2.0]), "hidden": torch.zeros(2)}}
    latents, z = Latents(torch.ones(2), torch.zeros(2), torch.ones(2), vectors), torch.tensor([[1.0, 5]])
    assert close(gm.vae.edit(latents, z, {"class": "cat"}, "class", "dog", 1), torch.tensor([[0.0, 7]]))
    assert close(gm.vae.edit(latents, z, {"class": "cat"}, "class", "dog", 0), z)
    with pytest.raises(ValueError, match="value of class must be one of cat, dog, not 'hidden'"):
        gm.vae.edit(latents, z, {"class": "cat"}, "class", "hidden", 1)
    with pytest.raises(ValueError, match="attribute must be one of class"):
        gm.vae.edit(latents, z, {"class": "cat"}, "hat", "red", 1)
