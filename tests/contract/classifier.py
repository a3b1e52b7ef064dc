"""The contract of `genmodels.classifier`."""

from tests.contract import NO_PICTURES, B

CALLS = {
    "classifier": {
        "features": (lambda m, x: m.features(x), lambda m: (B, 6)),
        "logits": (lambda m, x: m.logits(x), lambda m: [(B, n) for n in m.classes]),
        "predict": (lambda m, x: m.predict(x), lambda m: (B, len(m.classes))),
    },
}
REFUSED = {
    "classifier": [
        (lambda m, bad: m.features(bad), "x", NO_PICTURES),
        (lambda m, bad: m.logits(bad), "x", NO_PICTURES),
        (lambda m, bad: m.predict(bad), "x", NO_PICTURES),
    ],
}
