"""Small GANs for the tests of their losses, codes and replays."""

import torch

from genmodels.gan import (
    DCGAN,
    GAN,
)

MODELS = {
    "gan": lambda **options: GAN(**dict(size=8, classes=[3], latent=6, widths=[16, 16]) | options),
    "dcgan": lambda **options: DCGAN(**dict(size=8, classes=[3], latent=6, width=8) | options),
}


LABELS = torch.tensor([0, 1, 2, -1, 1])


def small_model(name="gan", **options):
    """A small model without zero weights, which some layers are initialized with."""
    torch.manual_seed(0)
    model = MODELS[name](**options).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


def noise(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pictures(n, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
