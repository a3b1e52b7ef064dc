"""A Gaussian for each pixel, independent of all others: the simplest generative model of pictures, and the worst."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from genmodels.base import GenerativeModel, check_number, check_pictures, generator


class Gaussian(GenerativeModel):
    """p(x) = the product over pixels of N(x_i; mean_i, sd_i).

    Arguments:
        channels, size: of the pictures, which are (channels, size, size).
    Shapes:
        x (B, C, H, W) in [0, 1].
    """

    def __init__(self, channels: int = 1, size: int = 28):
        super().__init__()
        self.channels, self.size = channels, size
        self.mean = nn.Parameter(torch.full((channels, size, size), 0.5))
        self.log_sd = nn.Parameter(torch.full((channels, size, size), -1.0))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats: (B, C, H, W) -> (B,)."""
        return self._log_prob(check_pictures("x", x, self.channels, self.size))

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """n new pictures, (n, C, H, W) in [0, 1], the same for the same seed."""
        shape = (check_number("n", n, 1, 4096, whole=True), *self.mean.shape)
        noise = torch.randn(shape, generator=generator(seed)).to(self.device)
        with torch.no_grad():
            return (self.mean + self.log_sd.exp() * noise).clamp(0, 1)

    def loss(self, batch: tuple[Tensor, Any]) -> dict[str, Tensor]:
        """batch: (x, _). Returns `loss`, the mean of -log p(x) per pixel."""
        x, _ = batch
        return {"loss": -self._log_prob(x).mean() / self.mean.numel()}

    def _log_prob(self, x: Tensor) -> Tensor:
        return Normal(self.mean, self.log_sd.exp(), validate_args=False).log_prob(x).flatten(1).sum(1)
