"""Digits in five invented handwritings: 280x280 drawings for the tests, like those from a visitor's canvas."""

import numpy as np
from PIL import Image, ImageDraw

# Each digit is a list of strokes, each stroke the points on the pen's path, in a box of height and width 1 with y
# downwards. The first number of a stroke says whether the pen rounds its corners ("~") or stops in them ("-").
DIGITS = {
    "0": [
        ("~", (0.55, 0), (0.2, 0.12), (0.02, 0.5), (0.18, 0.9), (0.5, 1), (0.85, 0.86), (0.98, 0.48), (0.82, 0.1), (0.5, 0.01))
    ],
    "1": [("-", (0.5, 0), (0.5, 1))],
    "2": [
        ("~", (0.06, 0.24), (0.25, 0.04), (0.58, 0), (0.86, 0.18), (0.8, 0.44), (0.45, 0.76), (0.04, 0.99)),
        ("-", (0.04, 0.99), (0.98, 0.97)),
    ],
    "2 looped": [
        (
            "~",
            (0.08, 0.2),
            (0.35, 0.01),
            (0.75, 0.08),
            (0.8, 0.38),
            (0.5, 0.75),
            (0.15, 0.98),
            (0.04, 0.88),
            (0.22, 0.8),
            (0.5, 0.93),
            (0.97, 0.98),
        )
    ],
    "3": [
        ("~", (0.08, 0.12), (0.42, 0), (0.82, 0.13), (0.75, 0.38), (0.38, 0.47)),
        ("~", (0.38, 0.47), (0.76, 0.53), (0.93, 0.75), (0.62, 0.99), (0.22, 0.98), (0.03, 0.86)),
    ],
    "3 flat": [
        ("-", (0.08, 0.03), (0.88, 0.02), (0.42, 0.4)),
        ("~", (0.42, 0.4), (0.8, 0.5), (0.94, 0.74), (0.65, 0.98), (0.05, 0.93)),
    ],
    "4": [("-", (0.2, 0), (0.06, 0.56), (0.97, 0.53)), ("-", (0.76, 0.05), (0.7, 1))],  # open
    "4 closed": [("-", (0.72, 0), (0.03, 0.66), (0.99, 0.64)), ("-", (0.72, 0), (0.7, 1))],
    "5": [
        ("-", (0.2, 0.02), (0.14, 0.45)),
        ("~", (0.14, 0.45), (0.5, 0.37), (0.88, 0.55), (0.82, 0.86), (0.45, 1), (0.04, 0.92)),
        ("-", (0.2, 0.02), (0.92, 0)),
    ],
    "6": [
        ("~", (0.72, 0), (0.36, 0.22), (0.1, 0.6), (0.16, 0.9), (0.5, 1), (0.86, 0.86), (0.8, 0.62), (0.5, 0.54), (0.14, 0.74))
    ],
    "7": [("-", (0.03, 0.05), (0.95, 0.02), (0.42, 1))],
    "7 curved": [("-", (0.03, 0.03), (0.95, 0.02)), ("~", (0.95, 0.02), (0.62, 0.42), (0.45, 1))],
    "8": [
        (
            "~",
            (0.78, 0.12),
            (0.48, 0),
            (0.18, 0.16),
            (0.32, 0.4),
            (0.66, 0.55),
            (0.9, 0.77),
            (0.68, 0.98),
            (0.3, 0.98),
            (0.1, 0.78),
            (0.34, 0.54),
            (0.68, 0.38),
            (0.82, 0.18),
            (0.74, 0.08),
        )
    ],
    "9": [
        ("~", (0.86, 0.2), (0.6, 0.01), (0.22, 0.1), (0.1, 0.36), (0.38, 0.52), (0.74, 0.4), (0.88, 0.16)),
        ("~", (0.88, 0.16), (0.86, 0.5), (0.74, 1)),
    ],
    "9 straight": [
        ("~", (0.84, 0.14), (0.5, 0), (0.14, 0.18), (0.2, 0.44), (0.58, 0.46), (0.84, 0.2)),
        ("-", (0.85, 0.12), (0.85, 1)),
    ],
}
HANDS = [  # pen in pixels, slant to the right, width as a share of the height, unsteadiness, alternative shapes, paper
    dict(pen=14, slant=0.05, wide=0.62, shake=0.018, shapes=(), paper="white"),
    dict(pen=20, slant=0.30, wide=0.55, shake=0.030, shapes=("4 closed", "9 straight"), paper="black"),
    dict(pen=9, slant=0.18, wide=0.70, shake=0.024, shapes=("2 looped", "7 curved"), paper="white"),
    dict(pen=26, slant=-0.08, wide=0.66, shake=0.020, shapes=("3 flat", "9 straight"), paper="black"),
    dict(pen=17, slant=0.12, wide=0.50, shake=0.036, shapes=("2 looped", "4 closed", "7 curved"), paper="white"),
]


def drawings(seed=0):
    """[(digit, hand's number, 280x280 PIL picture)]: every digit in every handwriting, at varying positions and sizes."""
    rng = np.random.default_rng(seed)
    return [(digit, number, draw(digit, hand, rng)) for number, hand in enumerate(HANDS) for digit in range(10)]


def draw(digit, hand, rng, size=280):
    """One digit in one handwriting."""
    shape = next((s for s in hand["shapes"] if s.startswith(str(digit))), str(digit))
    height = rng.uniform(0.48, 0.78) * size
    place = rng.uniform(-0.08, 0.08, 2) * size + size / 2
    slant = hand["slant"] + rng.normal(0, 0.04)
    paper, ink = (255, 0) if hand["paper"] == "white" else (0, 255)
    picture = Image.new("L", (size, size), paper)
    pen = ImageDraw.Draw(picture)
    radius = hand["pen"] / 2
    for kind, *points in DIGITS[shape]:
        path = np.array(points) + rng.normal(0, hand["shake"], (len(points), 2)) - 0.5  # (P, 2), around the middle
        path = path * (hand["wide"] * height, height)
        path[:, 0] -= slant * path[:, 1]
        path += place
        vertices = [tuple(p) for p in (_rounded(path) if kind == "~" else path)]
        pen.line(vertices, fill=ink, width=hand["pen"])
        for x, y in vertices:  # round joints and ends
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return picture


def _rounded(points, steps=12):
    """A Catmull-Rom curve through the points."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [
        (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:])
    ]
    return np.concatenate([*curve, points[-1:]])
