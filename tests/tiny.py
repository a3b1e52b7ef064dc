"""A recipe small enough to be killed, resumed and repeated within seconds: python tests/tiny.py --help"""

import torch

from genmodels import data
from genmodels.autoencoder import Autoencoder
from genmodels.vae import VAE
from train import engine


def recipe(settings: engine.Settings, kind: str = "vae", nan_at: int = 0) -> engine.Recipe:
    """A tiny VAE (random noise in its loss) or autoencoder (none) on the shipped digits; NaN pictures from step `nan_at` on."""
    model = VAE(latent=2, width=4, hidden=16) if kind == "vae" else Autoencoder(hidden=[16])
    pictures = data.samples("mnist")
    steps = iter(range(1, 10**6))

    def augment(x):
        return x * float("nan") if nan_at and next(steps) >= nan_at else x

    return engine.Recipe(
        "tiny",
        model,
        pictures,
        lambda m: {"size": sum(p.square().sum() for p in m.parameters())},
        lambda m: m.decode(torch.zeros(4, 2)),
        [engine.OptimizerConfig(lr=1e-3)],
        batch=16,
        warmup=4,
        clip=100.0,
        augment=augment,
    )


app = engine.command(recipe)
if __name__ == "__main__":
    app()
