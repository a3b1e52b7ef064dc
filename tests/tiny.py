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

OPTIONS = {}  # family -> the options that make its model small, also in its recipe
MODELS = {}  # name, whose first word is the family -> constructor of a model for the mathematics
CHECKPOINTS = {}  # name -> constructor of a model of a real dataset, for evaluations and in place of what the page lacks


def register(family, options, models, checkpoints):
    """Enter a family. models, checkpoints: name -> further options; "kind" is the class, if the family has several."""
    OPTIONS[family] = options
    for table, entries in ((MODELS, models), (CHECKPOINTS, checkpoints)):
        table |= {name: functools.partial(make, family, **more) for name, more in entries.items()}


def make(family, kind=None, **options):
    """A small model of a family, untrained."""
    return getattr(gm, kind or gm.FAMILIES[family][1])(**OPTIONS[family] | options)


GREY = dict(channels=1, size=28)
FACES = dict(channels=3, size=16, classes=[3, 2], conditions=["glasses", "smiling"])
AVATARS = dict(channels=3, size=64)
AVATAR_CONDITIONS = dict(classes=[2, 5, 9, 4], conditions=["smiling", "glasses", "hair_color", "hair_length"])
CHARACTERS = Counter(c for _, *parts in texts.tang("val") for part in parts for c in part)

register(
    "autoencoder",
    dict(hidden=[16, 8]),
    {"autoencoder": dict(size=8)},
    {"autoencoder-mnist": {}, "autoencoder-fashion": {}},
)
register(
    "vae",
    dict(latent=3, width=4, hidden=16),
    {
        "vae bernoulli": dict(size=8, residual=1),
        "vae gaussian": dict(channels=3, size=8, latent=2, levels=1, likelihood="gaussian", beta=2.5),
    },
    {"vae-mnist": {}, "vae-mnist-2d": dict(latent=2), "vae-avatars": dict(**AVATARS, levels=3, likelihood="gaussian")},
)
register(
    "classifier",
    dict(widths=[4, 8], features=6),
    {
        "classifier": dict(size=8, classes=[3]),
        "classifier of faces": dict(channels=3, size=16, classes=[3, 2], stem=2),
    },
    {
        "classifier-mnist": {},
        "classifier-fashion": {},
        "classifier-avatars": dict(**AVATARS, classes=[len(values) for values in data.ATTRIBUTES.values()], stem=2),
    },
)
register(
    "diffusion",
    dict(widths=[16, 16], blocks=1, heads=2),
    {
        "diffusion": dict(size=8, classes=[3]),
        "diffusion of faces": dict(**FACES, patch=4, widths=[16, 24], predicts="x0"),
    },
    {
        "diffusion-mnist": dict(widths=[8], heads=1),
        "diffusion-fashion": dict(widths=[8], heads=1),
        "diffusion-avatars": dict(**AVATARS, **AVATAR_CONDITIONS, patch=8, widths=[8], heads=1),
    },
)
register(
    "gan",
    dict(latent=6, widths=[16, 16]),
    {"gan": dict(size=8, classes=[3]), "gan of faces": dict(**FACES, patch=4, widths=[16, 24])},
    {
        "gan-mnist": dict(latent=8),
        "gan-mnist-collapsed": dict(latent=8),
        "gan-fashion": dict(latent=8),
        "gan-avatars": dict(**AVATARS, **AVATAR_CONDITIONS, latent=8, patch=4),
    },
)
register("dcgan", dict(latent=6, width=8), {"dcgan": FACES | dict(size=8)}, {"dcgan-mnist": {}})
register(
    "flow",
    dict(widths=[24], blocks=1, components=5),
    {"flow": dict(size=8, classes=[3])},
    {"flow-mnist": dict(widths=[8], components=3), "flow-fashion": dict(widths=[8], components=3)},
)
register(
    "transformer",
    dict(width=8, layers=1, heads=2, hidden=8),
    {
        "transformer of characters": dict(kind="TextTransformer", alphabet="\n abcdef", layers=2, context=8, dropout=0.1),
        "transformer of poems": dict(kind="PoemTransformer", alphabet="春眠不觉晓处，。", context=12),
        "transformer of pixels": dict(kind="PixelTransformer", size=4, classes=3, layers=2, lags=[0, 1, 3, 4, 5]),
    },
    {
        "transformer-shakespeare": dict(kind="TextTransformer", alphabet="".join(sorted(set(texts.shakespeare("train"))))),
        "transformer-tang": dict(kind="PoemTransformer", alphabet="".join(c for c, _ in CHARACTERS.most_common(1000))),
        "transformer-mnist": dict(kind="PixelTransformer", lags=[0, 1, 28]),
    },
)
register(
    "denoiser",
    dict(widths=[8, 12], blocks=1),
    {
        "denoiser": dict(channels=1, size=8, bias=True, noises=list(NOISES), strongest=[0.5] * 5),
        "denoiser of photographs": dict(size=8),
    },
    {
        "denoiser-mnist": dict(**GREY, bias=True),
        "denoiser-fashion": dict(**GREY, bias=True),
        "denoiser-photo": {},
        "denoiser-camera": dict(noises=[], strongest=[]),
    },
)
register(
    "dvae",
    dict(latent=3, width=4, hidden=16),
    {"dvae": dict(size=8), "dvae gaussian": dict(channels=3, size=8, likelihood="gaussian")},
    {"dvae-mnist": {}, "dvae-fashion": dict(likelihood="gaussian")},
)


def untrained(make, seed=0):
    """A model in eval mode, none of whose weights is zero, as some initial weights are; the same for the same seed."""
    torch.manual_seed(seed)
    model = make().eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


# --- What lies beside the weights of some checkpoints -------------------------------------------------------------------


def own_folder(link):
    """The folder of a checkpoint that is linked, as a folder of its own with links to its files: others may be added."""
    if link.is_symlink():
        shipped = link.resolve()
        link.unlink()
        link.mkdir()
        for file in shipped.iterdir():
            (link / file.name).symlink_to(file)
    return link


def write_replay(folder):
    """An invented replay of four steps."""
    model = gm.load(own_folder(folder))
    pictures = torch.stack([(255 * model.sample(30, seed=i)).byte() for i in range(4)])
    shares = torch.rand(2, 4, 6).softmax(-1).tolist()
    losses = {network: [[step, step / 10] for step in range(1, 10)] for network in ("discriminator", "generator")}
    gm.gan.save_replay(gm.gan.Replay([0, 1, 4, 9], pictures, [i / 2 for i in range(7)], *shares, losses), folder)


def write_likelihoods(folder, dataset):
    """The likelihoods of the sample pictures, as of a flow that was not evaluated."""
    model = gm.load(own_folder(folder))
    other_dataset = "fashion" if dataset == "mnist" else "mnist"
    nats = {name: model.layer_log_probs(gm.data.samples(name).floats()[:60]) for name in (dataset, other_dataset)}
    typicality = gm.typicality.Typicality.fit(nats[dataset])
    bits = {name: gm.metrics.bits_per_dim(values.sum(1), 784) for name, values in nats.items()}
    distances = {name: typicality.distance(values) for name, values in nats.items()}
    gm.typicality.save_likelihoods(gm.typicality.LikelihoodStats.from_values(typicality, bits, distances), folder)


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
