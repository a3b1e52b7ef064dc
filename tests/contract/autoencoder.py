"""The contract of `genmodels.autoencoder`."""

import torch

from tests.contract import NO_CODES, NO_PICTURES, B

CALLS = {
    "autoencoder": {
        "encode": (lambda m, x: m.encode(x), lambda m: (B, m.latent)),
        "decode": (lambda m, x: m.decode(torch.ones(B, m.latent)), lambda m: (B, m.channels, m.size, m.size)),
        "likelihood": (lambda m, x: m.likelihood(m.encode(x)), lambda m: (B, m.channels, m.size, m.size)),
    },
}
REFUSED = {
    "autoencoder": [
        (lambda m, bad: m.encode(bad), "x", NO_PICTURES),
        (lambda m, bad: m.decode(bad), "z", NO_CODES),
        (lambda m, bad: m.likelihood(bad), "z", NO_CODES),
    ],
}
