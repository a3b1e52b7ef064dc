"""The contract of `genmodels.denoiser`."""

from tests.contract import NO_NOISY, NO_PICTURES, NO_SIGMA, B, grey, pictures

CALLS = {
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
}
REFUSED = {
    "denoiser": [
        (lambda m, bad: m.restore(bad), "noisy", NO_NOISY),
        (lambda m, bad: m.restore(grey(m), bad), "sigma", NO_SIGMA),
        (lambda m, bad: m.restore(grey(m), tile=bad), "tile", (15, 8193, 16.5, None)),
    ],
    "dvae": [
        (lambda m, bad: m.restore(bad), "noisy", NO_NOISY | {"another size": NO_PICTURES["another size"]}),
        (lambda m, bad: m.restore(grey(m), seed=bad), "seed", (-1, 2**63, 1.5, "1")),
    ],
}
