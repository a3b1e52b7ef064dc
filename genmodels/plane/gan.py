"""A generative adversarial network of points.

The discriminator minimizes -log D(x) - log(1 - D(G(z))), the generator -log D(G(z)).

Goodfellow et al., Generative adversarial networks (2014), https://arxiv.org/abs/1406.2661, with the non-saturating loss; the
gradient penalty R1 by Mescheder et al., Which training methods for GANs do actually converge? (2018),
https://arxiv.org/abs/1801.04406.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from genmodels.base import check_number, generator
from genmodels.plane.base import SCALE, PlaneModel, bent_grid, cells, network


class PlaneGAN(PlaneModel):
    """A generator of points from noise in two dimensions, and a discriminator.

    Arguments: r1: 0 to 10, weight gamma of the penalty gamma/2 E|grad D(x)|^2 on real points; 0: none.
    """

    def __init__(self, width: int = 64, depth: int = 2, seed: int = 0, r1: float = 1.0):
        super().__init__(width, depth, seed)
        self.r1 = check_number("r1", r1, 0, 10)
        self.generator = network(2, 2, width, depth, self.initial)
        self.discriminator = network(2, 1, width, depth, self.initial)

    def optimizers(self, rate: float) -> list[torch.optim.Optimizer]:
        return [torch.optim.Adam(net.parameters(), lr=rate, betas=(0.0, 0.99)) for net in (self.discriminator, self.generator)]

    def update(self, x: Tensor, optimizers: list[torch.optim.Optimizer], g: torch.Generator) -> dict[str, Tensor]:
        real = (SCALE * x).requires_grad_()
        fake = self.generator(torch.randn(x.shape, generator=g))
        score = self.discriminator(real)
        discriminator_loss = F.softplus(-score).mean() + F.softplus(self.discriminator(fake.detach())).mean()
        total = discriminator_loss
        if self.r1:
            (gradient,) = torch.autograd.grad(score.sum(), real, create_graph=True)
            total = total + self.r1 / 2 * gradient.square().sum(-1).mean()
        generator_loss = F.softplus(-self.discriminator(fake)).mean()
        for loss, net in ((total, self.discriminator), (generator_loss, self.generator)):
            gradients = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
            for p, gradient in zip(net.parameters(), gradients):
                p.grad = gradient
        for optimizer in optimizers:
            optimizer.step()
        return {"discriminator": discriminator_loss.detach(), "generator": generator_loss.detach()}

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The points made of noise z (B, 2)."""
        return self.generator(z) / SCALE

    @torch.no_grad()
    def score(self, x: Tensor) -> Tensor:
        """Logit of the discriminator that points (B, 2) are real: (B,)."""
        return self.discriminator(SCALE * x)[:, 0]

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        return self.decode(torch.randn(check_number("n", n, 1, 10_000, whole=True), 2, generator=generator(seed)))

    def inside(self, points: Tensor, *, noise: float = 0.5, steps: int = 30) -> dict[str, Tensor]:
        return {"map": self.score(cells()).sigmoid().view(32, 32), "lines": bent_grid(self.decode)}
