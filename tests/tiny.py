"""A tiny model of every family, from which contract, page and recipe tests draw; and a recipe that is as small.

`python tests/tiny.py --help` shows the recipe: small enough to be killed, resumed and repeated within seconds.
"""

import functools
from collections import Counter

import torch

import genmodels as gm
from genmodels import data
from genmodels.denoiser import NOISES
from train import engine, texts

OPTIONS = {  # family -> the options that make its model small, also of its recipe
    "autoencoder": dict(hidden=[16, 8]),
    "vae": dict(latent=3, width=4, hidden=16),
    "classifier": dict(widths=[4, 8], features=6),
    "diffusion": dict(widths=[16, 16], blocks=1, heads=2),
    "gan": dict(latent=6, widths=[16, 16]),
    "dcgan": dict(latent=6, width=8),
    "flow": dict(widths=[24], blocks=1, components=5),
    "transformer": dict(width=8, layers=1, heads=2, hidden=8),
    "denoiser": dict(widths=[8, 12], blocks=1),
    "dvae": dict(latent=3, width=4, hidden=16),
}


def make(family, kind=None, **options):
    """A small model of a family, untrained. kind: its class, if the family has several."""
    return getattr(gm, kind or gm.FAMILIES[family][1])(**OPTIONS[family] | options)


# --- Models for the mathematics: of pictures of 8x8 or 16x16 pixels ----------------------------------------------------

FACES = dict(channels=3, size=16, classes=[3, 2])
CONDITIONS = ["glasses", "smiling"]
MODELS = {  # name, whose first word is the family -> constructor
    "autoencoder": lambda: make("autoencoder", size=8),
    "vae bernoulli": lambda: make("vae", size=8, residual=1),
    "vae gaussian": lambda: make("vae", channels=3, size=8, latent=2, levels=1, likelihood="gaussian", beta=2.5),
    "classifier": lambda: make("classifier", size=8, classes=[3]),
    "classifier of faces": lambda: make("classifier", **FACES, stem=2),
    "diffusion": lambda: make("diffusion", size=8, classes=[3]),
    "diffusion of faces": lambda: make("diffusion", **FACES, patch=4, widths=[16, 24], conditions=CONDITIONS, predicts="x0"),
    "gan": lambda: make("gan", size=8, classes=[3]),
    "gan of faces": lambda: make("gan", **FACES, patch=4, widths=[16, 24], conditions=CONDITIONS),
    "dcgan": lambda: make("dcgan", **FACES | {"size": 8}, conditions=CONDITIONS),
    "flow": lambda: make("flow", size=8, classes=[3]),
    "transformer of characters": lambda: make(
        "transformer", "TextTransformer", alphabet="\n abcdef", layers=2, context=8, dropout=0.1
    ),
    "transformer of poems": lambda: make("transformer", "PoemTransformer", alphabet="春眠不觉晓处，。", context=12),
    "transformer of pixels": lambda: make("transformer", "PixelTransformer", size=4, classes=3, lags=[0, 1, 3, 4, 5]),
    "denoiser": lambda: make("denoiser", channels=1, size=8, bias=True, noises=list(NOISES), strongest=[0.5] * 5),
    "denoiser of photographs": lambda: make("denoiser", size=8),
    "dvae": lambda: make("dvae", size=8),
    "dvae gaussian": lambda: make("dvae", channels=3, size=8, likelihood="gaussian"),
}

# --- Checkpoints: models of the real datasets, for evaluations and in place of what the page lacks ---------------------

AVATARS = dict(channels=3, size=64)
ATTRIBUTES = dict(classes=[2, 5, 9, 4], conditions=["smiling", "glasses", "hair_color", "hair_length"])
ALL_VALUES = [len(values) for values in data.ATTRIBUTES.values()]


@functools.cache
def characters_of_poems(n=1000):
    counts = Counter(c for _, *parts in texts.tang("val") for part in parts for c in part)
    return "".join(c for c, _ in counts.most_common(n))


CHECKPOINTS = {  # name -> constructor
    "classifier-mnist": lambda: make("classifier"),
    "classifier-fashion": lambda: make("classifier"),
    "classifier-avatars": lambda: make("classifier", **AVATARS, classes=ALL_VALUES, stem=2),
    "autoencoder-mnist": lambda: make("autoencoder"),
    "autoencoder-fashion": lambda: make("autoencoder"),
    "vae-mnist": lambda: make("vae"),
    "vae-mnist-2d": lambda: make("vae", latent=2),
    "vae-avatars": lambda: make("vae", **AVATARS, levels=3, likelihood="gaussian"),
    "diffusion-mnist": lambda: make("diffusion", widths=[8], heads=1),
    "diffusion-fashion": lambda: make("diffusion", widths=[8], heads=1),
    "diffusion-avatars": lambda: make("diffusion", **AVATARS, **ATTRIBUTES, patch=8, widths=[8], heads=1),
    "dcgan-mnist": lambda: make("dcgan"),
    "gan-mnist": lambda: make("gan", latent=8),
    "gan-mnist-collapsed": lambda: make("gan", latent=8),
    "gan-fashion": lambda: make("gan", latent=8),
    "gan-avatars": lambda: make("gan", **AVATARS, **ATTRIBUTES, latent=8, patch=4),
    "flow-mnist": lambda: make("flow", widths=[8], components=3),
    "flow-fashion": lambda: make("flow", widths=[8], components=3),
    "transformer-shakespeare": lambda: make(
        "transformer", "TextTransformer", alphabet="".join(sorted(set(texts.shakespeare("train"))))
    ),
    "transformer-tang": lambda: make("transformer", "PoemTransformer", alphabet=characters_of_poems()),
    "transformer-mnist": lambda: make("transformer", "PixelTransformer", lags=[0, 1, 28]),
    "denoiser-mnist": lambda: make("denoiser", channels=1, size=28, bias=True),
    "denoiser-fashion": lambda: make("denoiser", channels=1, size=28, bias=True),
    "denoiser-photo": lambda: make("denoiser"),
    "dvae-mnist": lambda: make("dvae"),
    "dvae-fashion": lambda: make("dvae", likelihood="gaussian"),
}


def untrained(make, seed=0):
    """A model in eval mode, none of whose weights is zero, as some initial weights are; the same for the same seed."""
    torch.manual_seed(seed)
    model = make().eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


# --- A recipe ---------------------------------------------------------------------------------------------------------


def recipe(settings: engine.Settings, kind: str = "vae", nan_at: int = 0) -> engine.Recipe:
    """A tiny VAE (random noise in its loss) or autoencoder (none) on the shipped digits; NaN pictures from step `nan_at` on."""
    steps = iter(range(1, 10**6))

    def augment(x):
        return x * float("nan") if nan_at and next(steps) >= nan_at else x

    return engine.Recipe(
        name="tiny",
        model=make("vae", latent=2) if kind == "vae" else make("autoencoder", hidden=[16]),
        train=data.samples("mnist"),
        validate=lambda m: {"size": sum(p.square().sum() for p in m.parameters())},
        samples=lambda m: m.decode(torch.zeros(4, 2)),
        optimizers=[engine.OptimizerConfig(lr=1e-3)],
        batch=16,
        warmup=4,
        clip=100.0,
        augment=augment,
    )


app = engine.command(recipe)
if __name__ == "__main__":
    app()
