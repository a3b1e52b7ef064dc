"""Autoencoder: squeeze a picture through two numbers and draw it again.

Reference: Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks (Science 2006).
"""

import torch
from torch import nn
from torch.distributions import Independent, Normal

from genmodels.base import GenerativeModel, check_pictures


class Autoencoder(GenerativeModel):
    """A fully connected encoder z = f(x) and decoder x = g(z), trained to give the picture back.

    Nothing asks the codes to follow any distribution, so it has holes where no picture was put: compare `VAE`.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size).
        latent: D, how many numbers the code has.
        hidden: widths of the layers from the picture down to the code; the decoder mirrors them.
    Shapes:
        x (B, C, H, W) in [0, 1]; z (B, D).
    """

    def __init__(self, channels: int = 1, size: int = 28, latent: int = 2, hidden: list = [512, 256, 64]):  # noqa: B006
        super().__init__()
        self.channels, self.size, self.latent = channels, size, latent
        pixels = channels * size * size
        self.encoder = nn.Sequential(nn.Flatten(), *_dense([pixels, *hidden, latent]))
        self.decoder = nn.Sequential(*_dense([latent, *hidden[::-1], pixels]), nn.Unflatten(1, (channels, size, size)))

    def encode(self, x):
        """The code of each picture: (B, C, H, W) in [0, 1] -> (B, D)."""
        return self.encoder(check_pictures("x", x, self.channels, self.size))

    def decode(self, z):
        """The picture of each code: (B, D) -> (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.decoder(check_latents(z, self.latent)))

    def likelihood(self, z):
        """p(x | z) = N(x; decode(z), 1): its log-probability is the squared error, up to scale and a constant."""
        return _around(self.decode(z))

    def loss(self, batch):
        """batch: (x, _). Returns `loss`, the mean of -log p(x | f(x)), and `mse` per pixel."""
        x, _ = batch
        p = _around(torch.sigmoid(self.decoder(self.encoder(x))))
        return {"loss": -p.log_prob(x).mean(), "mse": (p.mean - x).square().mean().detach()}


def check_latents(z, latent, name="z"):
    """`z` as float32 if it is a finite float tensor (B, latent); else a ValueError that says so."""
    if not isinstance(z, torch.Tensor) or z.ndim != 2 or z.shape[1] != latent or not z.is_floating_point():
        raise ValueError(
            f"{name} must be a float tensor (B, {latent}), not {tuple(z.shape) if hasattr(z, 'shape') else type(z).__name__}."
        )
    if not bool(torch.isfinite(z).all()):
        raise ValueError(f"{name} must be finite: it holds NaN or infinity.")
    return z.float()


def _around(mean):
    """N(mean, 1) over pictures. NaN passes, so that training can name the loss that broke."""
    return Independent(Normal(mean, 1.0, validate_args=False), 3)


def _dense(widths):
    """Linear layers with SiLU between them."""
    layers = []
    for i, o in zip(widths, widths[1:]):
        layers += [nn.Linear(i, o), nn.SiLU()]
    return layers[:-1]
