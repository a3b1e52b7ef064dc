"""The contract of `genmodels.gaussian`."""

from tests.contract import NO_COUNT, NO_PICTURES, NO_SEED, B, pictures

CALLS = {
    "gaussian": {
        "sample": (lambda m, x: m.sample(7, seed=1), pictures(7)),
        "sample unseeded": (lambda m, x: m.sample(2), pictures(2)),
        "log_prob": (lambda m, x: m.log_prob(x), lambda m: (B,)),
    },
}
REFUSED = {
    "gaussian": [
        (lambda m, bad: m.sample(bad), "n", NO_COUNT),
        (lambda m, bad: m.sample(1, seed=bad), "seed", NO_SEED),
        (lambda m, bad: m.log_prob(bad), "x", NO_PICTURES),
    ],
}
