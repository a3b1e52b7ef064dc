"""GANs: objectives against hand calculations, gradients of the two networks."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genmodels as gm
from genmodels import layers
from genmodels.gan import (
    DCGAN,
    GAN,
    gradient_penalty,
    nonsaturating_losses,
    relativistic_losses,
)
from tests.compare import close
from tests.helpers_gan import LABELS, MODELS, noise, pictures, small_model

NETWORKS = ("discriminator", "generator")


@pytest.fixture
def model():
    return small_model().requires_grad_(False)


@pytest.fixture(params=MODELS)
def any_model(request):
    return small_model(request.param)


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


# --- Replays ----------------------------------------------------------------------------------------------------------


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
