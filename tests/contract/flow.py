"""The contract of `genmodels.flow`."""

import math

import torch

from tests.contract import NO_CODES, NO_COUNT, NO_LABELS, NO_PICTURES, NO_SEED, B, grey, pictures

CALLS = {
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
}
REFUSED = {
    "flow": [
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample_latents(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.encode(grey(m), seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.sample(2, label=bad), "label", NO_LABELS),
        (lambda m, bad: m.sample(1, temperature=bad), "temperature", (-0.1, 1.6, math.nan, None)),
        (lambda m, bad: m.encode(bad), "x", NO_PICTURES),
        (lambda m, bad: m.encode(grey(m)[:2], label=bad), "label", NO_LABELS),
        (lambda m, bad: m.decode(bad), "z", NO_CODES),
        (lambda m, bad: m.decode(torch.zeros(2, m.latent), label=bad), "label", NO_LABELS),
        (lambda m, bad: m.log_prob(bad), "x", NO_PICTURES),
        (lambda m, bad: m.bits_per_dim(grey(m)[:2], bad), "label", NO_LABELS),
    ],
}
