"""What the tests of the diffusion tab send and read."""

import numpy as np

from tabs import labels


def controls(dataset="mnist", label="any", sampler="dpm", steps=3, guidance=1, eta=0, n=2, seed=0):
    """The values of the tab's controls. label: one of a class, or a list of them: of each menu."""
    menus = [label] if isinstance(label, str) else label
    menus = dict(zip(labels.MENUS, [*menus, "any", "any", "any", "any"]))
    return {
        **menus,
        "dataset": dataset,
        "sampler": sampler,
        "steps": steps,
        "guidance": guidance,
        "eta": eta,
        "n": n,
        "seed": seed,
    }


def same(a, b):
    """Whether two pictures differ by one grey level at most."""
    return np.abs(a.astype(int) - b).max() <= 1
