"""A small model of each kind, and what is called on it: for the contract of all models.

A new family adds its entries to MODELS and CALLS here, and to REFUSED in `tests/models/test_contract.py`.
"""

import torch
from torch.distributions import Distribution

import genmodels as gm
from genmodels.denoiser import NOISES

B = 5  # pictures in a batch

MODELS = {  # name, whose first word is the family -> constructor of a small model
    "autoencoder": lambda: gm.Autoencoder(size=8, hidden=[16, 8]),
    "vae bernoulli": lambda: gm.VAE(size=8, latent=3, width=4, hidden=16, residual=1),
    "vae gaussian": lambda: gm.VAE(3, 8, latent=2, width=4, levels=1, hidden=16, likelihood="gaussian", beta=2.5),
    "classifier": lambda: gm.Classifier(size=8, classes=[3], widths=[4, 8], features=6),
    "classifier of faces": lambda: gm.Classifier(3, 16, classes=[3, 2], widths=[4, 8], stem=2, features=6),
    "diffusion": lambda: gm.Diffusion(size=8, classes=[3], widths=[16, 16], blocks=1, heads=2),
    "diffusion of faces": lambda: gm.Diffusion(
        3, 16, classes=[3, 2], patch=4, widths=[16, 24], blocks=1, heads=2, conditions=["glasses", "smiling"], predicts="x0"
    ),
    "gan": lambda: gm.GAN(size=8, classes=[3], latent=6, widths=[16, 16]),
    "gan of faces": lambda: gm.GAN(
        3, 16, classes=[3, 2], latent=6, patch=4, widths=[16, 24], conditions=["glasses", "smiling"]
    ),
    "dcgan": lambda: gm.DCGAN(3, 8, classes=[3, 2], latent=6, width=8, conditions=["glasses", "smiling"]),
    "flow": lambda: gm.Flow(size=8, classes=[3], widths=[24], blocks=1, components=5),
    "transformer of characters": lambda: gm.TextTransformer(
        alphabet="\n abcdef", width=16, layers=2, heads=2, hidden=12, context=8, dropout=0.1
    ),
    "transformer of poems": lambda: gm.PoemTransformer(
        alphabet="春眠不觉晓处，。", width=16, layers=1, heads=2, hidden=12, context=12
    ),
    "transformer of pixels": lambda: gm.PixelTransformer(
        size=4, classes=3, width=16, layers=2, heads=2, hidden=12, lags=[0, 1, 3, 4, 5]
    ),
    "denoiser": lambda: gm.Denoiser(1, 8, [8, 12], blocks=1, bias=True, noises=list(NOISES), strongest=[0.5] * 5),
    "denoiser of photographs": lambda: gm.Denoiser(size=8, widths=[8, 12], blocks=1),
    "dvae": lambda: gm.DenoisingVAE(size=8, latent=3, width=4, hidden=16),
    "dvae gaussian": lambda: gm.DenoisingVAE(3, 8, latent=3, width=4, hidden=16, likelihood="gaussian"),
}
LOSSES = {"gan": ("discriminator_loss", "generator_loss"), "dcgan": ("discriminator_loss", "generator_loss")}  # else `loss`


def pictures(n):
    return lambda m: (n, m.channels, m.size, m.size)


def grey(model):
    return torch.full((B, model.channels, model.size, model.size), 0.5)


TEXT = {
    "generate_steps": (
        lambda m, x: torch.tensor([t[2:4] for t in m.generate_steps(max_new_tokens=9, seed=1, top_p=0.9)]),
        lambda m: (9, 2),
    ),
    "generate unseeded": (lambda m, x: torch.tensor([len(m.generate(max_new_tokens=9))]), lambda m: (1,)),
    "score": (lambda m, x: m.score("春ab", "")[1:], lambda m: [(2,)] * 2),
    "read_steps": (lambda m, x: torch.tensor([t[2:4] for t in m.read_steps("aba")]), lambda m: (3, 2)),
    "attention": (lambda m, x: m.attention("ab")[1], lambda m: (2, 2, 2, 2)),
}

CALLS = {  # name or family -> call -> (function, shape of its result); everything that the page may call
    "autoencoder": {
        "encode": (lambda m, x: m.encode(x), lambda m: (B, m.latent)),
        "decode": (lambda m, x: m.decode(torch.ones(B, m.latent)), lambda m: (B, m.channels, m.size, m.size)),
        "likelihood": (lambda m, x: m.likelihood(m.encode(x)), lambda m: (B, m.channels, m.size, m.size)),
    },
    "vae": {
        "encode": (lambda m, x: m.encode(x), lambda m: (B, m.latent)),
        "decode": (lambda m, x: m.decode(torch.ones(B, m.latent)), lambda m: (B, m.channels, m.size, m.size)),
        "likelihood": (lambda m, x: m.likelihood(torch.ones(B, m.latent)), lambda m: (B, m.channels, m.size, m.size)),
        "reconstruct": (lambda m, x: m.reconstruct(x), lambda m: (B, m.channels, m.size, m.size)),
        "sample": (lambda m, x: m.sample(7, seed=1, temperature=0.9), lambda m: (7, m.channels, m.size, m.size)),
        "sample unseeded": (lambda m, x: m.sample(2), lambda m: (2, m.channels, m.size, m.size)),
        "prior": (lambda m, x: m.prior(), lambda m: (m.latent,)),
        "elbo": (lambda m, x: m.elbo(x), lambda m: (B,)),
        "log_prob": (lambda m, x: m.log_prob(x, samples=3), lambda m: (B,)),
        "binarise": (lambda m, x: m.binarise(x), lambda m: (B, m.channels, m.size, m.size)),
    },
    "classifier": {
        "features": (lambda m, x: m.features(x), lambda m: (B, 6)),
        "logits": (lambda m, x: m.logits(x), lambda m: [(B, n) for n in m.classes]),
        "predict": (lambda m, x: m.predict(x), lambda m: (B, len(m.classes))),
    },
    "diffusion": {
        "sample": (lambda m, x: m.sample(7, steps=3, guidance=2, label=[1] * len(m.classes), seed=1), pictures(7)),
        "sample unseeded": (lambda m, x: m.sample(2, steps=2), pictures(2)),
        "sample_steps": (
            lambda m, x: list(m.sample_steps(2, sampler="heun", steps=2, seed=1))[-1][:3],  # x, x0, eps
            lambda m: [(2, m.channels, m.size, m.size)] * 3,
        ),
        "initial_noise": (lambda m, x: m.initial_noise(7, seed=1), pictures(7)),
        "q_sample": (lambda m, x: m.q_sample(x, 0.5, seed=1), pictures(B)),
        "edit": (lambda m, x: m.edit(x, sampler="ddim", eta=1, steps=2, seed=1), pictures(B)),
        "restore": (lambda m, x: m.restore(2 * x - 0.5, 0.3, steps=2, seed=0), pictures(B)),
        "inpaint": (lambda m, x: m.inpaint(x, x[:, :1] > 0.5, steps=2, resample=2, seed=1), pictures(B)),
        "labels": (lambda m, x: m.labels(None, 7), lambda m: (7, len(m.classes))),
    },
    "gan": {
        "sample": (lambda m, x: m.sample(7, label=[1] * len(m.classes), truncation=0.7, seed=1), pictures(7)),
        "sample unseeded": (lambda m, x: m.sample(2), pictures(2)),
        "sample_latents": (lambda m, x: m.sample_latents(7, truncation=1.5, seed=1), lambda m: (7, m.latent)),
        "decode": (lambda m, x: m.decode(torch.ones(B, m.latent)), pictures(B)),
        "interpolate": (lambda m, x: m.interpolate(torch.zeros(m.latent), torch.ones(m.latent), 5), lambda m: (5, m.latent)),
        "directions": (lambda m, x: m.directions(3, samples=1024), lambda m: (3, m.latent)),
        "score": (lambda m, x: m.score(x, [1] * len(m.classes)), lambda m: (B,)),
        "project_steps": (
            lambda m, x: list(m.project_steps(x[:1], steps=2))[-1][:2],  # x, w
            lambda m: [(1, m.channels, m.size, m.size), (1, m.latent)],
        ),
    },
    "dcgan": {
        "sample": (lambda m, x: m.sample(7, label=[1] * len(m.classes), seed=1), pictures(7)),
        "sample unseeded": (lambda m, x: m.sample(2), pictures(2)),
        "score": (lambda m, x: m.score(x, [1] * len(m.classes)), lambda m: (B,)),
    },
    "denoiser": {
        "restore": (lambda m, x: m.restore(x, 0.1), pictures(B)),
        "restore blind": (lambda m, x: m.restore(x), pictures(B)),
        "restore grey": (lambda m, x: m.restore(x[:, :1], 0.1 * x[:, :1]), lambda m: (B, 1, m.size, m.size)),
        "restore_steps": (lambda m, x: list(m.restore_steps(2 * x - 0.5, tile=16))[-1].x, pictures(B)),
    },
    "dvae": {
        "restore": (lambda m, x: m.restore(2 * x - 0.5), pictures(B)),
        "restore drawn": (lambda m, x: m.restore(x, seed=1), pictures(B)),
    },
    "flow": {
        "sample": (lambda m, x: m.sample(7, label=1, temperature=0.9, seed=1), pictures(7)),
        "sample unseeded": (lambda m, x: m.sample(2), pictures(2)),
        "sample_steps": (
            lambda m, x: list(m.sample_steps(2, label=1, seed=1))[-1][:3],  # x, h, log_det
            lambda m: [(2, 1, m.size, m.size)] * 2 + [(2,)],
        ),
        "sample_latents": (lambda m, x: m.sample_latents(7, temperature=1.5, seed=1), lambda m: (7, m.latent)),
        "encode": (lambda m, x: m.encode(x, label=1, seed=1), lambda m: (B, m.latent)),
        "encode_steps": (lambda m, x: list(m.encode_steps(x))[-1][:3], lambda m: [(B, 1, m.size, m.size)] * 2 + [(B,)]),
        "decode": (lambda m, x: m.decode(torch.ones(B, m.latent), label=1), pictures(B)),
        "decode_steps": (
            lambda m, x: list(m.decode_steps(torch.ones(B, m.latent)))[-1][:3],
            lambda m: [(B, 1, m.size, m.size)] * 2 + [(B,)],
        ),
        "log_prob": (lambda m, x: m.log_prob(x, 1), lambda m: (B,)),
        "bits_per_dim": (lambda m, x: m.bits_per_dim(x), lambda m: (B,)),
        "layer_log_probs": (lambda m, x: m.layer_log_probs(x), lambda m: (B, m.layers)),
    },
    "transformer of characters": TEXT,
    "transformer of poems": {
        "poem_steps": (lambda m, x: torch.tensor([t[2:4] for t in m.poem_steps("五绝", seed=1)]), lambda m: (24, 2)),
        "score": (lambda m, x: m.score("五绝||春|眠，", "")[1:], lambda m: [(5,)] * 2),
        "read_steps": (lambda m, x: torch.tensor([t[2:4] for t in m.read_steps("春眠", "五绝|||")]), lambda m: (2, 2)),
        "attention": (lambda m, x: m.attention("五绝||春")[1], lambda m: (1, 2, 3, 3)),
    },
    "transformer of pixels": {
        "sample": (lambda m, x: m.sample(7, label=1, temperature=0.9, seed=1), pictures(7)),
        "sample unseeded": (lambda m, x: m.sample(2), pictures(2)),
        "complete_steps": (
            lambda m, x: list(m.complete_steps(x[:1], rows=2, n=3, seed=1))[-1][:2],  # x, probability
            lambda m: [(3, 1, m.size, m.size), (3, m.size, m.size)],
        ),
        "log_prob": (lambda m, x: m.log_prob(x, 1), lambda m: (B,)),
        "bits_per_dim": (lambda m, x: m.bits_per_dim(x), lambda m: (B,)),
        "pixel_log_probs": (lambda m, x: m.pixel_log_probs(x), lambda m: (B, m.size, m.size)),
    },
}


def family(name):
    return name.split()[0]


def entries(table, name):
    """A model's entries in CALLS or REFUSED: by its name, else by its family."""
    return table.get(name) or table[family(name)]


def batch(model, seed=0):
    """Greyscale pictures and labels, or token indices, as in training."""
    g = torch.Generator().manual_seed(seed)
    if getattr(model, "kind", "pixels") != "pixels":
        return (torch.randint(model.tokenizer.vocab_size, (B, model.context + 1), generator=g),)
    classes = getattr(model, "classes", [3])
    y = torch.stack([torch.randint(n, (B,), generator=g) for n in classes], 1)  # (B, K)
    return torch.rand(B, model.channels, model.size, model.size, generator=g), y


def tensors(result):
    """The result of a call as a list of tensors."""
    if isinstance(result, Distribution):
        return [result.mean, result.stddev]
    return list(result) if isinstance(result, tuple) else [result]


def loss_methods(model):
    """Names of the methods that return losses: one, or one of each network."""
    return LOSSES.get(model.family_name, ("loss",))


def losses(model, method, seed=0):
    """The result of a loss method, with the noise of a seed."""
    torch.manual_seed(seed)
    return getattr(model, method)(batch(model))
