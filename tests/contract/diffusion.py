"""The contract of `genmodels.diffusion`."""

import math

import torch

from tests.contract import NO_COUNT, NO_LABELS, NO_MASKS, NO_PICTURES, NO_SEED, NO_STEPS, B, grey, pictures

CALLS = {
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
}
REFUSED = {
    "diffusion": [
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
        (lambda m, bad: m.initial_noise(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.initial_noise(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.q_sample(grey(m), 0.5, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.edit(grey(m), seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.sample(2, label=bad), "label", NO_LABELS),
        (lambda m, bad: m.edit(grey(m), label=bad), "label", NO_LABELS),
        (lambda m, bad: m.inpaint(grey(m), grey(m)[:, :1] > 0, label=bad), "label", NO_LABELS),
        (lambda m, bad: m.sample(1, steps=bad), "steps", NO_STEPS),
        (lambda m, bad: m.inpaint(grey(m), grey(m)[:, :1] > 0, steps=bad), "steps", NO_STEPS),
        (lambda m, bad: m.sample(1, guidance=bad), "guidance", (-0.1, 10.1, math.nan, "a")),
        (lambda m, bad: m.sample(1, eta=bad), "eta", (-0.1, 1.1, math.nan, None)),
        (lambda m, bad: m.sample(1, sampler=bad), "sampler", ("euler", "", 3, None)),
        (lambda m, bad: m.q_sample(bad, 0.5), "x", NO_PICTURES),
        (lambda m, bad: m.edit(bad), "x", NO_PICTURES),
        (lambda m, bad: m.inpaint(bad, torch.ones(B, 1, m.size, m.size, dtype=torch.bool)), "x", NO_PICTURES),
        (lambda m, bad: m.q_sample(grey(m), bad), "t", (-0.1, 1.1, math.nan, None)),
        (lambda m, bad: m.restore(grey(m), bad), "sigma", (0, 4.1, math.nan, None)),
        (lambda m, bad: m.restore(bad, 0.3), "noisy", {k: NO_PICTURES[k] for k in ("a list", "another size", "NaN")}),
        (lambda m, bad: m.edit(grey(m), strength=bad), "strength", (0, 1.1, math.nan, None)),
        (lambda m, bad: m.inpaint(grey(m), bad), "mask", NO_MASKS),
        (lambda m, bad: m.inpaint(grey(m), grey(m)[:, :1] > 0, resample=bad), "resample", (0, 21, 1.5, None)),
    ],
}
