"""The contract of `genmodels.gan`."""

import math

import torch

from tests.contract import NO_CODE, NO_CODES, NO_COUNT, NO_LABELS, NO_PICTURES, NO_SEED, NO_STEPS, B, grey, pictures

NETWORKS = ("discriminator_loss", "generator_loss")
LOSSES = {"gan": NETWORKS, "dcgan": NETWORKS}
CALLS = {
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
}
REFUSED = {
    "gan": [
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.sample(2, label=bad), "label", NO_LABELS),
        (lambda m, bad: m.sample_latents(1, truncation=bad), "truncation", (-0.1, 1.6, math.nan, None)),
        (lambda m, bad: m.decode(bad), "w", NO_CODES),
        (lambda m, bad: m.interpolate(bad, torch.zeros(m.latent), 5), "start", NO_CODE),
        (lambda m, bad: m.interpolate(torch.zeros(m.latent), bad, 5), "end", NO_CODE),
        (lambda m, bad: m.interpolate(torch.zeros(m.latent), torch.zeros(m.latent), bad), "steps", (1, 257, 2.5, None)),
        (lambda m, bad: m.directions(bad), "k", (0, 7, 1.5, None)),
        (lambda m, bad: m.directions(seed=bad, k=1), "seed", NO_SEED),
        (lambda m, bad: m.directions(1, samples=bad), "samples", (1023, 10**9, None)),
        (lambda m, bad: m.score(bad), "x", NO_PICTURES),
        (lambda m, bad: m.score(grey(m)[:2], bad), "label", NO_LABELS),
        (lambda m, bad: next(m.project_steps(bad)), "x", NO_PICTURES | {"several": grey}),
        (lambda m, bad: next(m.project_steps(grey(m)[:1], label=bad)), "label", NO_LABELS),
        (lambda m, bad: next(m.project_steps(grey(m)[:1], steps=bad)), "steps", NO_STEPS),
        (lambda m, bad: next(m.project_steps(grey(m)[:1], seed=bad)), "seed", NO_SEED),
    ],
    "dcgan": [
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.sample(2, label=bad), "label", NO_LABELS),
        (lambda m, bad: m.score(bad), "x", NO_PICTURES),
        (lambda m, bad: m.score(grey(m)[:2], bad), "label", NO_LABELS),
    ],
}
