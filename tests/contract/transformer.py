"""The contract of `genmodels.transformer`."""

import math

import torch

from tests.contract import NO_COUNT, NO_LABELS, NO_PICTURES, NO_SEED, NO_TEMPERATURE, NO_TEXT, B, grey, pictures

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
CALLS = {
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
REFUSED = {
    "transformer of characters": [
        (lambda m, bad: m.generate(bad), "prompt", NO_TEXT),
        (lambda m, bad: m.generate(seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.generate(temperature=bad), "temperature", (-0.1, 5.1, math.nan, None)),
        (lambda m, bad: m.score(bad), "text", NO_TEXT),
        (lambda m, bad: m.score("a", bad), "prompt", NO_TEXT),
        (lambda m, bad: m.read_steps(bad), "text", NO_TEXT),
        (lambda m, bad: m.attention(bad), "text", NO_TEXT),
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
    ],
    "transformer of poems": [
        (lambda m, bad: m.poem_steps(bad), "form", ("六绝", "", 3, None)),
        (lambda m, bad: m.poem_steps(title=bad), "title", (3, None, "a|b", "春" * 41)),
        (lambda m, bad: m.poem_steps(author=bad), "author", (3, None, "a\n", "春" * 11)),
        (lambda m, bad: m.poem_steps(heads=bad), "heads", (3, None, "春" * 5, "a", "，")),
        (lambda m, bad: m.poem_steps(prefix=bad), "prefix", (3, None, "，", "春" * 99)),
        (lambda m, bad: m.poem_steps(seed=bad), "seed", NO_SEED),
    ],
    "transformer of pixels": [
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.sample(2, label=bad), "label", NO_LABELS),
        (lambda m, bad: m.sample(1, temperature=bad), "temperature", NO_TEMPERATURE),
        (lambda m, bad: m.complete_steps(bad, rows=1), "x", NO_PICTURES | {"several": grey}),
        (lambda m, bad: m.complete_steps(grey(m)[:1], rows=bad), "rows", (-1, 4, 1.5, None)),
        (lambda m, bad: m.complete_steps(n=bad), "n", (0, 65, 1.5, None)),
        (lambda m, bad: m.complete_steps(n=2, label=bad), "label", NO_LABELS),
        (lambda m, bad: m.complete_steps(temperature=bad), "temperature", NO_TEMPERATURE),
        (lambda m, bad: m.complete_steps(seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.log_prob(bad), "x", NO_PICTURES),
        (lambda m, bad: m.bits_per_dim(grey(m)[:2], bad), "label", NO_LABELS),
    ],
}
