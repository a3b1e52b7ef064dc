"""GANs: objectives against hand calculations, gradients of the two networks, latent codes, directions, inversion, replays."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genmodels as gm
from genmodels import data, layers
from genmodels.base import CheckpointError
from genmodels.gan import (
    DCGAN,
    GAN,
    RelativeScores,
    Replay,
    gradient_penalty,
    load_replay,
    nonsaturating_losses,
    relativistic_losses,
    save_replay,
    score_histogram,
)
from tests.compare import close

MODELS = {
    "gan": lambda **options: GAN(**dict(size=8, classes=[3], latent=6, widths=[16, 16]) | options),
    "dcgan": lambda **options: DCGAN(**dict(size=8, classes=[3], latent=6, width=8) | options),
}
NETWORKS = ("discriminator", "generator")
LABELS = torch.tensor([0, 1, 2, -1, 1])


def small_model(name="gan", **options):
    """A small model without zero weights, which some layers are initialized with."""
    torch.manual_seed(0)
    model = MODELS[name](**options).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


@pytest.fixture
def model():
    return small_model().requires_grad_(False)


@pytest.fixture(params=MODELS)
def any_model(request):
    return small_model(request.param)


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pictures(n, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def generate(model, z, y):
    return model.generator(z, y) if isinstance(model, GAN) else model._generate(z, y)


def scores_of(model, x, y):
    return model.discriminator(x, y) if isinstance(model, GAN) else model._discriminate(x, y)


def generate_always(model, fake, monkeypatch):
    """Let the generator return these pictures for every input."""
    if isinstance(model, GAN):
        monkeypatch.setattr(model.generator, "forward", lambda z, y: fake)
    else:
        monkeypatch.setattr(model, "_generate", lambda z, y: fake)


# --- Objectives -------------------------------------------------------------------------------------------------------


def test_objectives_by_hand():
    """Scores whose sigmoids are 3/4 and 1/2 of the real pictures, 1/2 and 1/4 of the generated ones."""
    real, fake = torch.tensor([math.log(3), 0.0]), torch.tensor([0.0, -math.log(3)])
    assert [loss.item() for loss in nonsaturating_losses(real, fake)] == pytest.approx([math.log(8 / 3), 1.5 * math.log(2)])
    assert [loss.item() for loss in relativistic_losses(real, fake)] == pytest.approx([math.log(4 / 3), math.log(4)])
    # Now the scores of the first pair are equal and those of the second far apart: the pairing matters.
    assert [loss.item() for loss in relativistic_losses(real.flip(0), fake)] == pytest.approx(
        [(math.log(2) + math.log(10 / 9)) / 2, (math.log(2) + math.log(10)) / 2]
    )


def test_nonsaturating_losses_are_binary_cross_entropies():
    real, fake = 3 * noise(50), 3 * noise(50, seed=1)
    ones, zeros = torch.ones(50), torch.zeros(50)
    bce = F.binary_cross_entropy_with_logits
    discriminator, generator = nonsaturating_losses(real, fake)
    assert torch.allclose(discriminator, bce(real, ones) + bce(fake, zeros))
    assert torch.allclose(generator, bce(fake, ones))


def test_extreme_scores_give_large_but_finite_losses():
    real, fake = torch.tensor([-500.0]), torch.tensor([500.0])
    assert [loss.item() for loss in (*nonsaturating_losses(real, fake), *relativistic_losses(real, fake))] == [1000, 0, 1000, 0]


def test_gradient_penalty_of_a_quadratic_in_float64():
    """d(x) = y x^T A x has the gradient y (A + A^T) x; the derivative of its squared norm by A is known as well."""
    A, x = noise(9, 9, dtype=torch.float64), noise(4, 1, 3, 3, seed=1, dtype=torch.float64)
    y = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)
    A.requires_grad_()
    x.requires_grad_()

    def d(x, y):
        flat = x.flatten(1)
        return y * (flat @ A * flat).sum(1)

    penalties = gradient_penalty(d, x, y)
    S, flat = (A + A.T).detach(), x.detach().flatten(1)
    assert torch.allclose(penalties, (y[:, None] * flat @ S).square().sum(1))
    penalties.sum().backward()
    M = (y[:, None] ** 2 * flat).T @ flat
    assert torch.allclose(A.grad, 2 * S @ M + 2 * (S @ M).T)
    assert x.grad is None  # no gradient reaches the generator of x


@pytest.mark.parametrize("gamma, converges", [(0.0, False), (0.5, True)])
def test_training_converges_only_with_penalties(gamma, converges):
    """Real pictures are the number 0, generated ones the number theta, scores are psi x: Mescheder et al. 2018, section 2."""
    psi, theta, y = torch.ones(1, 1, requires_grad=True), torch.ones(1, 1, requires_grad=True), None

    def d(x, y):
        return (psi * x)[:, 0]

    real = torch.zeros(1, 1)
    distances = []
    for _ in range(200):
        loss, _ = relativistic_losses(d(real, y), d(theta.detach(), y))
        loss = loss + gamma / 2 * (gradient_penalty(d, real, y) + gradient_penalty(d, theta, y)).mean()
        loss.backward(inputs=[psi])
        relativistic_losses(d(real, y), d(theta, y))[1].backward(inputs=[theta])
        with torch.no_grad():
            for p in (psi, theta):
                p -= 0.2 * p.grad
                p.grad = None
        distances.append(math.hypot(psi.item(), theta.item()))
    assert max(distances[-50:]) < 1e-3 if converges else min(distances[-50:]) > 0.3


def test_all_eight_modes_are_generated():
    """Eight Gaussians on a circle: each gets its share of samples, and there are fewer between two of them."""
    torch.manual_seed(0)
    angles = torch.arange(16) * math.pi / 8
    centres = 2 * torch.stack([angles.cos(), angles.sin()], 1)  # of the modes, and of the gaps between them

    def mlp(inputs, outputs):
        hidden = [nn.Linear(inputs, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2)]
        return nn.Sequential(*hidden, nn.Linear(32, outputs))

    generator, discriminator = mlp(2, 2), mlp(2, 1)
    adams = [torch.optim.Adam(m.parameters(), betas=(0.0, 0.9), fused=True) for m in (discriminator, generator)]

    def d(x, y=None):
        return discriminator(x)[:, 0]

    for step in range(600):
        real = centres[2 * torch.randint(8, (64,))] + 0.1 * torch.randn(64, 2)
        fake = generator(torch.randn(64, 2))
        scores = d(torch.cat([real, fake.detach()])).chunk(2)
        penalized = torch.cat([real[:16], fake[:16]])
        loss = relativistic_losses(*scores)[0] + 0.02 * gradient_penalty(d, penalized, None).mean()
        for i, adam in enumerate(adams):
            if i == 1:  # the generator, after the update of the discriminator
                loss = relativistic_losses(*d(torch.cat([real, fake])).chunk(2))[1]
            adam.param_groups[0]["lr"] = 5e-3 * min(1, 2 - step / 300)
            adam.zero_grad()
            loss.backward(inputs=adam.param_groups[0]["params"])
            adam.step()
    with torch.inference_mode():
        distance, nearest = torch.cdist(generator(torch.randn(4000, 2)), centres).min(1)
    share = torch.bincount(nearest[distance < 0.4], minlength=16) / 4000
    assert share[::2].min() > 0.03
    assert share[::2].sum() > 1.5 * share[1::2].sum()


# --- Losses of the two networks ---------------------------------------------------------------------------------------


def test_losses_of_the_gan_by_hand(monkeypatch):
    model, x, y, fake = (
        small_model(gamma=0.7, drop=0.0),
        pictures(8),
        LABELS[[0, 1, 2, 3, 4, 0, 1, 2]],
        noise(8, 1, 8, 8).tanh(),
    )
    generate_always(model, fake, monkeypatch)
    real, y2 = 2 * x - 1, y[:, None]

    def d(x, y=y2):
        return model.discriminator(x, y)

    gradients = []
    for x2 in (real, fake):
        x2 = x2[:2].clone().requires_grad_()
        gradients.append(torch.autograd.grad(d(x2, y2[:2]).sum(), x2)[0].square().sum((1, 2, 3)).mean())
    terms = model.discriminator_loss((x, y))
    assert close(terms["adversarial"], F.softplus(d(fake) - d(real)).mean())
    assert torch.allclose(terms["r1"], gradients[0], rtol=1e-4) and torch.allclose(terms["r2"], gradients[1], rtol=1e-4)
    assert torch.allclose(terms["loss"], terms["adversarial"] + 0.35 * (terms["r1"] + terms["r2"]))
    assert not torch.allclose(terms["r1"], terms["r2"], rtol=0.01)
    assert close(model.generator_loss((x, y))["loss"], F.softplus(d(real) - d(fake)).mean())


def test_the_reconstruction_loss_by_hand(monkeypatch):
    """The negative ELBO of a VAE with the encoder's codes; the adversarial loss is the same as without it."""
    model, x, y = small_model(reconstruction_weight=0.5, drop=0.0), pictures(5), LABELS
    assert not hasattr(small_model().generator, "encoder")
    samples = [noise(5, 6, seed=1), noise(5, 6, seed=2)]
    monkeypatch.setattr(torch, "randn", lambda *shape, **options: samples[0])
    monkeypatch.setattr(torch, "randn_like", lambda like: samples[1])
    real, y2 = 2 * x - 1, y[:, None]
    mean, log_sd = model.generator.encoder(real).chunk(2, 1)
    q, prior = torch.distributions.Normal(mean, log_sd.exp()), torch.distributions.Normal(0.0, 1.0)
    reconstruction, fake = model.generator(mean + log_sd.exp() * samples[1], y2), model.generator(samples[0], y2)
    kl = torch.distributions.kl_divergence(q, prior).sum(1).mean()
    nats = (reconstruction - real).square().sum((1, 2, 3)).mean() / (2 * 0.16**2)
    adversarial = F.softplus(model.discriminator(real, y2) - model.discriminator(fake, y2)).mean()
    terms = model.generator_loss((x, y))
    assert torch.allclose(terms["loss"], adversarial + 0.5 * (nats + kl), rtol=1e-4)
    assert torch.allclose(terms["kl"], kl, rtol=1e-4)
    assert torch.allclose(terms["error"], (reconstruction - real).square().mean(), rtol=1e-4)
    terms["loss"].backward()
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None} == {"generator"}
    assert all(p.grad is not None for p in model.generator.encoder.parameters())


def test_losses_of_the_dcgan_by_hand(monkeypatch):
    """Real and generated pictures pass in separate batches, each with its own batch statistics."""
    model, x, y, fake = small_model("dcgan").train(), pictures(5), LABELS, noise(5, 1, 8, 8).tanh()
    generate_always(model, fake, monkeypatch)
    real, fake = (model._discriminate(v, y[:, None]) for v in (2 * x - 1, fake))
    expected = F.softplus(-real).mean() + F.softplus(fake).mean()
    assert close(model.discriminator_loss((x, y))["loss"], expected)
    assert close(model.generator_loss((x, y))["loss"], F.softplus(-fake).mean())


def test_no_gradient_leaks_to_the_other_network(any_model):
    for network in NETWORKS:
        any_model.zero_grad(set_to_none=True)
        getattr(any_model.train(), f"{network}_loss")((pictures(5), LABELS))["loss"].backward()
        for name, p in any_model.named_parameters():
            assert (p.grad is not None) == name.startswith(network), (network, name)


@pytest.mark.parametrize("network", NETWORKS)
def test_an_update_lowers_the_loss_and_leaves_the_other_network_alone(any_model, network):
    any_model.train()
    part, batch = getattr(any_model, network), (pictures(32), LABELS.repeat(7)[:32])
    sgd = torch.optim.SGD(part.parameters(), lr=1e-2)
    before = {name: p.clone() for name, p in any_model.named_parameters()}
    values = []
    for _ in range(5):
        torch.manual_seed(0)  # the same noise
        loss = getattr(any_model, f"{network}_loss")(batch)["loss"]
        values.append(loss.item())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    assert values == sorted(values, reverse=True) and values[-1] < values[0] - 1e-4
    for name, p in any_model.named_parameters():
        if not name.startswith(network):
            assert torch.equal(p, before[name]), name


@pytest.mark.parametrize("drop, classes", [(0.0, [3]), (1.0, [3]), (0.2, [3, 2])], ids=str)
def test_labels_are_withheld_from_both_networks_at_the_configured_rate(drop, classes, monkeypatch):
    model = small_model(drop=drop, classes=classes)
    discriminator_labels, generator_inputs = [], []
    x = torch.zeros(10_000, 1, 8, 8)

    def discriminate(x, y):
        discriminator_labels.append(y)
        return x.square().mean((1, 2, 3))

    def generate_zeros(z, y):
        generator_inputs.append((z, y))
        return x

    monkeypatch.setattr(model.discriminator, "forward", discriminate)
    monkeypatch.setattr(model.generator, "forward", generate_zeros)
    y = torch.ones(10_000, len(classes), dtype=torch.int64)
    torch.manual_seed(0)
    for network in NETWORKS:
        discriminator_labels.clear()
        generator_inputs.clear()
        getattr(model, f"{network}_loss")((x, y))
        z, generator_labels = generator_inputs[0]
        assert torch.equal(discriminator_labels[0], generator_labels.repeat(2, 1))  # of the real and the generated pictures
        withheld = generator_labels == -1
        assert bool((withheld | (generator_labels == y)).all())
        assert withheld.float().mean(0).tolist() == pytest.approx([drop] * len(classes), abs=0.02)
        assert bool((withheld == withheld[:, :1]).all())  # all attributes, or none
        if network == "discriminator":  # the penalties are those of the same pictures with the same labels
            assert torch.equal(discriminator_labels[1], generator_labels[:2500].repeat(2, 1))
        assert z.mean().item() == pytest.approx(0, abs=0.02) and z.std().item() == pytest.approx(1, abs=0.02)


# --- The networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GAN(size=28, widths=[8, 8, 8], patch=2), "divisible by 8"),
        (lambda: DCGAN(size=30), "divisible by 4"),
        (lambda: DCGAN(size=36, levels=3), "divisible by 8"),
        (lambda: GAN(patch=2, fine=[8, 8]), "divisible by 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@torch.no_grad()
def test_labels_matter_and_an_unspecified_one_has_its_own_embedding(any_model):
    z, x = noise(1, 6), pictures(1)

    def outputs(label):
        y = torch.tensor([[label]])
        return generate(any_model, z, y), scores_of(any_model, x, y)

    before = {label: outputs(label) for label in (-1, 0, 1, 2)}
    for (picture, score), (next_picture, next_score) in pairwise(before.values()):
        assert (picture - next_picture).abs().max() > 1e-3 and (score - next_score).abs().max() > 1e-4
    for network in (any_model.generator, any_model.discriminator):
        labels = network.labels if isinstance(any_model, GAN) else network["labels"]
        labels.tables[0].weight[-1] += 1
    for label, (picture, score) in before.items():
        new_picture, new_score = outputs(label)
        assert close(new_picture, picture) == close(new_score, score) == (label >= 0)


def test_labels_are_accepted_in_every_form(any_model):
    def sample(label):
        return any_model.sample(3, label=label, seed=0)

    for a, b in pairwise([None, 0, 1, 2]):
        assert not torch.allclose(sample(a), sample(b), atol=1e-3)
        assert not torch.allclose(any_model.score(pictures(3), a), any_model.score(pictures(3), b), atol=1e-4)
    assert close(sample(None), sample(-1)) and close(sample([0, 1, 2])[1], sample([[2], [1], [0]])[1])
    assert close(any_model.score(pictures(3)), any_model.score(pictures(3), [-1, -1, -1]))


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_neighbours(any_model):
    z, x, y = noise(5, 6), pictures(5), LABELS[:, None]
    together, scores = generate(any_model, z, y), any_model.score(x, LABELS)
    assert scores.shape == (5,)
    for i in range(5):
        assert torch.allclose(generate(any_model, z[i : i + 1], y[i : i + 1]), together[i : i + 1], atol=1e-5)
        assert torch.allclose(any_model.score(x[i : i + 1], LABELS[i]), scores[i : i + 1], atol=1e-5)


def test_scores_are_of_pictures_scaled_to_the_networks_range(any_model):
    x = pictures(5)
    with torch.no_grad():
        assert torch.allclose(any_model.score(x, LABELS), scores_of(any_model, 2 * x - 1, LABELS[:, None]), atol=1e-6)


def test_same_seed_same_picture_in_parallel_calls(any_model):
    def sample(seed):
        return any_model.sample(3, label=seed % 3, seed=seed)

    expected = [sample(seed) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        for alone, parallel in zip(expected, pool.map(sample, range(24))):
            assert close(alone, parallel)


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


# --- Replays ----------------------------------------------------------------------------------------------------------


def replay(dataset, snapshots=3, n=5):
    x = data.samples(dataset).x[: snapshots * n]
    losses = {"discriminator": [[50, 0.125], [100, 0.1]], "generator": [[50, 2.5], [100, 1.0]]}
    shares = [[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]][:snapshots]
    return Replay([0, 1, 7][:snapshots], x.view(snapshots, n, *x.shape[1:]), [-1.0, 0.1, 2.0], shares, shares[::-1], losses)


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


@pytest.mark.parametrize("patch, fine", [(2, []), (2, [8]), (4, [8]), (4, [8, 4])])
def test_additional_upsampling_stages_keep_the_size(patch, fine):
    model = GAN(size=16, patch=patch, fine=fine, latent=4, widths=[8, 8])
    assert model.sample(2, seed=0).shape == (2, 1, 16, 16)
    convolutions = [layer for layer in model.generator.last if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 1 + 2 * len(fine)
    assert convolutions[-1].out_channels == (patch // 2 ** len(fine)) ** 2  # pixels per position of the last feature map


def test_dcgan_halves_its_feature_map_once_per_level():
    for levels in (1, 2, 3):
        model = DCGAN(size=16, width=4, levels=levels, latent=4)
        assert model.generator["net"][1].unflattened_size == (4 * 2 ** (levels - 1), 16 // 2**levels, 16 // 2**levels)
        assert model.sample(2, seed=0).shape == (2, 1, 16, 16)
        assert model.score(torch.rand(2, 1, 16, 16), 0).shape == (2,)


def test_the_generator_can_be_deeper_than_the_discriminator():
    model = GAN(size=8, latent=4, widths=[8, 8], depth=3)
    assert [len(level) for level in model.generator.levels] == [3, 3]
    assert sum(isinstance(m, layers.ResidualBlock) for m in model.discriminator.modules()) == 2
    assert model.sample(2, seed=0).shape == (2, 1, 8, 8)


def test_the_old_key_of_the_reconstruction_weight_is_still_read(tmp_path):
    model = small_model(reconstruction_weight=0.25)
    model.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    config["recall"] = config.pop("reconstruction_weight")
    file.write_text(json.dumps(config), encoding="utf-8")
    loaded = gm.load(tmp_path)
    assert loaded.reconstruction_weight == loaded.config["reconstruction_weight"] == 0.25
    assert close(loaded.sample(2, seed=0), model.sample(2, seed=0))
