"""A variational autoencoder of points. Minimizes -E log p(x | z) + KL(q(z | x) || p(z)), a bound on -log p(x).

Kingma and Welling, Auto-encoding variational Bayes (2013), https://arxiv.org/abs/1312.6114.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from genmodels.base import check_number, generator
from genmodels.plane.base import SCALE, PlaneModel, bent_grid, network


class PlaneVAE(PlaneModel):
    """p(z) = N(0, I) in two dimensions, p(x | z) = N(decoder(z), sigma^2 I) with a learned sigma, q(z | x) = N(mean, var)."""

    has_density = True

    def __init__(self, width: int = 64, depth: int = 2, seed: int = 0):
        super().__init__(width, depth, seed)
        self.encoder = network(2, 4, width, depth, self.initial)
        self.decoder = network(2, 2, width, depth, self.initial)
        self.log_sigma = nn.Parameter(torch.tensor(-1.0))

    def encode(self, x: Tensor) -> Normal:
        """q(z | x) of points (B, 2)."""
        mean, log_variance = self.encoder(SCALE * x).chunk(2, 1)
        return Normal(mean, (log_variance / 2).clamp(-8, 8).exp(), validate_args=False)

    def likelihood(self, z: Tensor) -> Normal:
        """p(x | z), in the network's scale."""
        return Normal(self.decoder(z), self.log_sigma.exp(), validate_args=False)

    def loss(self, x: Tensor, g: torch.Generator) -> Tensor:
        q = self.encode(x)
        z = q.mean + q.stddev * torch.randn(q.mean.shape, generator=g)
        log_px = self.likelihood(z).log_prob(SCALE * x).sum(1)
        return (kl_divergence(q, Normal(0.0, 1.0)).sum(1) - log_px).mean()

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The mean point of each code (B, 2)."""
        return self.decoder(z) / SCALE

    @torch.no_grad()
    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        n, g = check_number("n", n, 1, 10_000, whole=True), generator(seed)
        p = self.likelihood(torch.randn(n, 2, generator=g))
        return (p.mean + p.stddev * torch.randn(n, 2, generator=g)) / SCALE

    @torch.no_grad()
    def log_prob(self, x: Tensor, samples: int = 64, seed: int = 0) -> Tensor:
        """A lower bound, by importance weighting with `samples` codes: (B,) nats. Burda et al. (2015), 1509.00519."""
        q, g = self.encode(x), generator(seed)
        z = q.mean + q.stddev * torch.randn(samples, *q.mean.shape, generator=g)  # (K, B, 2)
        log_w = self.likelihood(z).log_prob(SCALE * x) + Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)
        return log_w.sum(2).logsumexp(0) - math.log(samples) + 2 * math.log(SCALE)

    @torch.no_grad()
    def inside(self, points: Tensor, *, noise: float = 0.5, steps: int = 30) -> dict[str, Tensor]:
        return {"lines": bent_grid(self.decode), "codes": self.encode(points).mean}
