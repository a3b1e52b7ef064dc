"""What the contract test expects of each family: one file for each module of `genmodels`, and here what they share.

CALLS: name or family -> call -> (function of the model and pictures, shape of its result); everything that the page may call.
REFUSED: name or family -> (call of model and bad value, name of the argument in the message, bad values by name).
LOSSES: family -> names of the methods that return losses, where there are several.
"""

import math

import numpy as np
import torch

B = 5  # pictures in a batch


def pictures(n):
    return lambda m: (n, m.channels, m.size, m.size)


def grey(model):
    return torch.full((B, model.channels, model.size, model.size), 0.5)


PICTURES = {  # calls that return finished pictures
    "decode",
    "reconstruct",
    "sample",
    "sample unseeded",
    "binarise",
    "edit",
    "inpaint",
    "restore",
    "restore blind",
    "restore grey",
    "restore_steps",
    "restore drawn",
}
NO_PICTURES = {  # invalid batches of pictures
    "a list": lambda m: [[0.5]],
    "an array": lambda m: np.full((B, m.channels, m.size, m.size), 0.5, np.float32),
    "one picture": lambda m: torch.full((m.channels, m.size, m.size), 0.5),
    "another size": lambda m: torch.full((B, m.channels, m.size + 1, m.size), 0.5),
    "another number of channels": lambda m: torch.full((B, m.channels + 1, m.size, m.size), 0.5),
    "nothing": lambda m: torch.zeros(0, m.channels, m.size, m.size),
    "bytes": lambda m: torch.zeros(B, m.channels, m.size, m.size, dtype=torch.uint8),
    "too bright": lambda m: torch.full((B, m.channels, m.size, m.size), 1.01),
    "too dark": lambda m: torch.full((B, m.channels, m.size, m.size), -0.01),
    "NaN": lambda m: torch.full((B, m.channels, m.size, m.size), math.nan),
}
NO_NOISY = {k: v for k, v in NO_PICTURES.items() if k not in ("another size", "too bright", "too dark")} | {
    "not divided by 255": lambda m: torch.full((B, m.channels, m.size, m.size), 30.0)
}
NO_SIGMA = {
    "too much": lambda m: 1.1,
    "negative": lambda m: -0.1,
    "NaN": lambda m: math.nan,
    "a text": lambda m: "25",
    "a map of another size": lambda m: torch.zeros(B, 1, 2, 2),
    "a map of NaN": lambda m: math.nan * grey(m)[:, :1],
}
NO_CODES = {
    "a list": lambda m: [[0.0]],
    "one code": lambda m: torch.zeros(m.latent),
    "another length": lambda m: torch.zeros(B, m.latent + 1),
    "whole numbers": lambda m: torch.zeros(B, m.latent, dtype=torch.int64),
    "NaN": lambda m: torch.full((B, m.latent), math.nan),
    "infinity": lambda m: torch.full((B, m.latent), math.inf),
}
NO_LABELS = {
    "too high": lambda m: [n for n in m.classes],
    "too low": lambda m: [-2] * len(m.classes),
    "floats": lambda m: [0.0] * len(m.classes),
    "bools": lambda m: [True] * len(m.classes),
    "text": lambda m: "0",
    "a dict": lambda m: {},
    "nothing": lambda m: [],
    "too large": lambda m: [10**30] * len(m.classes),
    "two attributes more": lambda m: [0] * (len(m.classes) + 2),
    "of another number of pictures": lambda m: [[0] * len(m.classes)] * 3,
    "uneven": lambda m: [[0], [0, 0]],
}
NO_MASKS = {
    "a list": lambda m: [[True]],
    "floats": lambda m: torch.ones(B, 1, m.size, m.size),
    "one picture": lambda m: torch.ones(m.size, m.size, dtype=torch.bool),
    "of another number of pictures": lambda m: torch.ones(B - 1, 1, m.size, m.size, dtype=torch.bool),
    "another size": lambda m: torch.ones(B, 1, m.size, m.size + 1, dtype=torch.bool),
    "two channels": lambda m: torch.ones(B, 2, m.size, m.size, dtype=torch.bool),
}
NO_COUNT = (0, -1, 4097, 2.5, math.nan, "3", None, True)
NO_SEED = (-1, 2**63, 0.5, math.inf, "a")
NO_TEMPERATURE = (-0.1, 2.1, math.nan)
NO_STEPS = (0, 1001, 1.5, math.inf, "a", None)
NO_TEXT = (None, 3, b"a", "a" * 100_001)
NO_CODE = {kind: NO_CODES[kind] for kind in ("a list", "whole numbers")} | {
    "another length": lambda m: torch.zeros(m.latent + 1),
    "two codes": lambda m: torch.zeros(2, m.latent),
    "NaN": lambda m: torch.full((m.latent,), math.nan),
}
