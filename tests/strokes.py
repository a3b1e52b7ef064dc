"""Digits as five made-up hands write them: 280x280 drawings for the tests, as a visitor's canvas would give them."""

import numpy as np
from PIL import Image, ImageDraw

# Each digit is a list of strokes, each stroke the points that a pen goes through, in a box one high and one wide with y
# downwards. The first number of a stroke says whether the pen rounds its corners ("~") or stops in them ("-").
DIGITS = {
    "0": [("~", (.55, 0), (.2, .12), (.02, .5), (.18, .9), (.5, 1), (.85, .86), (.98, .48), (.82, .1), (.5, .01))],
    "1": [("-", (.5, 0), (.5, 1))],
    "2": [("~", (.06, .24), (.25, .04), (.58, 0), (.86, .18), (.8, .44), (.45, .76), (.04, .99)),
          ("-", (.04, .99), (.98, .97))],
    "2 looped": [("~", (.08, .2), (.35, .01), (.75, .08), (.8, .38), (.5, .75), (.15, .98), (.04, .88), (.22, .8),
                       (.5, .93), (.97, .98))],
    "3": [("~", (.08, .12), (.42, 0), (.82, .13), (.75, .38), (.38, .47)),
          ("~", (.38, .47), (.76, .53), (.93, .75), (.62, .99), (.22, .98), (.03, .86))],
    "3 flat": [("-", (.08, .03), (.88, .02), (.42, .4)),
               ("~", (.42, .4), (.8, .5), (.94, .74), (.65, .98), (.05, .93))],
    "4": [("-", (.2, 0), (.06, .56), (.97, .53)), ("-", (.76, .05), (.7, 1))],  # open
    "4 closed": [("-", (.72, 0), (.03, .66), (.99, .64)), ("-", (.72, 0), (.7, 1))],
    "5": [("-", (.2, .02), (.14, .45)), ("~", (.14, .45), (.5, .37), (.88, .55), (.82, .86), (.45, 1), (.04, .92)),
          ("-", (.2, .02), (.92, 0))],
    "6": [("~", (.72, 0), (.36, .22), (.1, .6), (.16, .9), (.5, 1), (.86, .86), (.8, .62), (.5, .54), (.14, .74))],
    "7": [("-", (.03, .05), (.95, .02), (.42, 1))],
    "7 curved": [("-", (.03, .03), (.95, .02)), ("~", (.95, .02), (.62, .42), (.45, 1))],
    "8": [("~", (.78, .12), (.48, 0), (.18, .16), (.32, .4), (.66, .55), (.9, .77), (.68, .98), (.3, .98), (.1, .78),
                (.34, .54), (.68, .38), (.82, .18), (.74, .08))],
    "9": [("~", (.86, .2), (.6, .01), (.22, .1), (.1, .36), (.38, .52), (.74, .4), (.88, .16)),
          ("~", (.88, .16), (.86, .5), (.74, 1))],
    "9 straight": [("~", (.84, .14), (.5, 0), (.14, .18), (.2, .44), (.58, .46), (.84, .2)),
                   ("-", (.85, .12), (.85, 1))],
}
HANDS = [  # pen in pixels, slant to the right, width as a share of the height, unsteadiness, other shapes, paper
    dict(pen=14, slant=.05, wide=.62, shake=.018, shapes=(), paper="white"),
    dict(pen=20, slant=.30, wide=.55, shake=.030, shapes=("4 closed", "9 straight"), paper="black"),
    dict(pen=9, slant=.18, wide=.70, shake=.024, shapes=("2 looped", "7 curved"), paper="white"),
    dict(pen=26, slant=-.08, wide=.66, shake=.020, shapes=("3 flat", "9 straight"), paper="black"),
    dict(pen=17, slant=.12, wide=.50, shake=.036, shapes=("2 looped", "4 closed", "7 curved"), paper="white"),
]


def drawings(seed=0):
    """[(digit, hand's number, 280x280 PIL picture)]: every digit by every hand, in varying place and size."""
    rng = np.random.default_rng(seed)
    return [(digit, number, draw(digit, hand, rng)) for number, hand in enumerate(HANDS) for digit in range(10)]


def draw(digit, hand, rng, size=280):
    """One digit by one hand."""
    shape = next((s for s in hand["shapes"] if s.startswith(str(digit))), str(digit))
    height = rng.uniform(.48, .78) * size
    place = rng.uniform(-.08, .08, 2) * size + size / 2
    slant = hand["slant"] + rng.normal(0, .04)
    paper, ink = (255, 0) if hand["paper"] == "white" else (0, 255)
    picture = Image.new("L", (size, size), paper)
    pen = ImageDraw.Draw(picture)
    radius = hand["pen"] / 2
    for kind, *points in DIGITS[shape]:
        at = np.array(points) + rng.normal(0, hand["shake"], (len(points), 2)) - .5  # (P, 2), around the middle
        at = at * (hand["wide"] * height, height)
        at[:, 0] -= slant * at[:, 1]
        path = [tuple(p) for p in (_rounded(at + place) if kind == "~" else at + place)]
        pen.line(path, fill=ink, width=hand["pen"])
        for x, y in path:  # round joints and ends
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=ink)
    return picture


def _rounded(points, steps=12):
    """A Catmull-Rom curve through the points."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [(2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2
             for a, b, c, d in zip(p, p[1:], p[2:], p[3:])]
    return np.concatenate([*curve, points[-1:]])
