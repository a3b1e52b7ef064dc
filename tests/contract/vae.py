"""The contract of `genmodels.vae`."""

import torch

from tests.contract import NO_CODES, NO_COUNT, NO_PICTURES, NO_SEED, NO_TEMPERATURE, B

CALLS = {
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
}
REFUSED = {
    "vae": [
        (lambda m, bad: m.encode(bad), "x", NO_PICTURES),
        (lambda m, bad: m.elbo(bad), "x", NO_PICTURES),
        (lambda m, bad: m.log_prob(bad), "x", NO_PICTURES),
        (lambda m, bad: m.reconstruct(bad), "x", NO_PICTURES),
        (lambda m, bad: m.decode(bad), "z", NO_CODES),
        (lambda m, bad: m.likelihood(bad), "z", NO_CODES),
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.sample(1, temperature=bad), "temperature", NO_TEMPERATURE),
        (lambda m, bad: m.log_prob(torch.zeros(1, m.channels, m.size, m.size), samples=bad), "samples", (0, 1.5, "a")),
    ],
}
