"""Autoencoder: compress a picture to a code of a few numbers and reconstruct it from them.

Reference: Hinton and Salakhutdinov, Reducing the dimensionality of data with neural networks (2006),
https://doi.org/10.1126/science.1127647
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from genmodels.base import GenerativeModel, upcast


class Autoencoder(GenerativeModel):
    """A fully connected encoder z = f(x) and decoder x = g(z), trained to reconstruct the picture.

    The loss puts no constraint on the distribution of the codes, so latent space has holes: compare `VAE`.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size).
        latent: D, dimension of the code.
        hidden: widths of the hidden layers from the picture to the code; the decoder mirrors them.
    Shapes:
        x (B, C, H, W) in [0, 1]; z (B, D).
    """

    def __init__(self, channels: int = 1, size: int = 28, latent: int = 2, hidden: list = [512, 256, 64]):  # noqa: B006
        super().__init__()
        self.channels, self.size, self.latent = channels, size, latent
        pixels = channels * size * size
        self.encoder = nn.Sequential(nn.Flatten(), *_dense([pixels, *hidden, latent]))
        self.decoder = nn.Sequential(*_dense([latent, *hidden[::-1], pixels]), nn.Unflatten(1, (channels, size, size)))

    def encode(self, x: Tensor) -> Tensor:
        """The code of each picture: (B, C, H, W) in [0, 1] -> (B, D)."""
        return upcast(self.encoder(self.check_pictures("x", x).to(self.dtype)))

    def decode(self, z: Tensor) -> Tensor:
        """The reconstruction from each code: (B, D) -> (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(upcast(self.decoder(self.check_latents("z", z).to(self.dtype))))

    def likelihood(self, z: Tensor) -> Independent:
        """p(x | z) = N(x; decode(z), 1): its log-probability is the negative squared error, up to scale and a constant."""
        return _unit_normal(self.decode(z))

    def loss(self, batch: tuple[Tensor, Any]) -> dict[str, Tensor]:
        """batch: (x, _). Returns `loss`, the mean of -log p(x | f(x)), and `mse` per pixel."""
        x, _ = self.on_device(batch)
        p = _unit_normal(torch.sigmoid(upcast(self.decoder(self.encoder(x.to(self.dtype))))))
        return {"loss": -p.log_prob(x).mean(), "mse": (p.mean - x).square().mean().detach()}


def _unit_normal(mean: Tensor) -> Independent:
    """N(mean, 1) over pictures. NaN is not refused here: the training loop reports it with the name of the loss."""
    return Independent(Normal(mean, 1.0, validate_args=False), 3)


def _dense(widths: list[int]) -> list[nn.Module]:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for width, next_width in zip(widths, widths[1:]):
        layers += [nn.Linear(width, next_width), nn.SiLU()]
    return layers[:-1]
