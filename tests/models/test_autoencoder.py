"""Properties of the autoencoder beyond the contract of all models."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genmodels as gm
from genmodels.autoencoder import Autoencoder


@pytest.fixture
def autoencoder():
    torch.manual_seed(0)
    return Autoencoder(size=8, latent=2, hidden=[20, 10]).requires_grad_(False)


@pytest.fixture
def x():
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def widths(sequence):
    layers = [m for m in sequence if isinstance(m, nn.Linear)]
    return [layer.in_features for layer in layers] + [layers[-1].out_features]


@pytest.mark.parametrize("hidden", [[], [30], [30, 20, 10]], ids=str)
def test_the_decoder_mirrors_the_encoder(hidden):
    model = Autoencoder(channels=3, size=4, latent=5, hidden=hidden)
    assert widths(model.encoder) == [48, *hidden, 5]
    assert widths(model.decoder) == [5, *hidden[::-1], 48]


def test_the_default_sizes():
    model = Autoencoder()
    assert widths(model.encoder) == [784, *model.config["hidden"], 2]
    assert model.decode(torch.zeros(1, 2)).shape == (1, 1, 28, 28)


def test_loss_is_half_the_squared_error_up_to_a_constant(autoencoder, x):
    losses = autoencoder.loss((x, None))
    reconstruction = autoencoder.decode(autoencoder.encode(x))
    constant = 64 / 2 * math.log(2 * math.pi)
    assert losses["mse"].item() == pytest.approx(F.mse_loss(reconstruction, x).item(), rel=1e-5)
    assert losses["loss"].item() == pytest.approx(constant + 64 / 2 * F.mse_loss(reconstruction, x).item(), rel=1e-5)
    log_prob = autoencoder.likelihood(autoencoder.encode(x)).log_prob(x)
    assert losses["loss"].item() == pytest.approx(-log_prob.mean().item(), rel=1e-5)


def test_the_reconstruction_depends_on_the_code_alone(autoencoder, x):
    """Pictures with the same code have the same reconstruction: nothing bypasses the bottleneck."""
    autoencoder.encoder[-1].weight.zero_()
    reconstruction = autoencoder.decode(autoencoder.encode(x))
    assert torch.allclose(reconstruction, reconstruction[:1].expand_as(reconstruction), atol=1e-6)


def test_one_batch_can_be_overfitted():
    """Ten pieces of clothing through a 2-D code, in a second of training."""
    torch.manual_seed(0)
    x = gm.data.samples("fashion").floats()[:10]
    model = Autoencoder(latent=2, hidden=[64, 32])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(300):
        optimizer.zero_grad()
        losses = model.loss((x, None))
        losses["loss"].backward()
        optimizer.step()
    assert losses["mse"] < 0.1 * (x - x.mean(0)).square().mean()
