"""Digits as a phone sees them: printed or handwritten, on all kinds of paper, in all kinds of light.

`tests/photographs/*.jpg`, named by their digit, were made by `held_out` with the fonts of a Linux desktop before
`data.preprocess` was tuned, and are not to be tuned to. The tests make others from Pillow's own font and from the strokes of
`tests/strokes.py`.
"""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.strokes import HANDS, draw

KINDS = ("plain", "shadow", "lined", "squared", "grain", "dark table", "chalk")


def ink_of(digit, size, rng, font=None):
    """Where there is ink, (size, size) from 0 to 1: a printed digit, or one by hand if there is no font."""
    if font is None:
        hand = HANDS[rng.integers(len(HANDS))] | {"paper": "black"}
        picture = draw(digit, hand, rng).resize((size, size), Image.Resampling.BICUBIC)
        return np.asarray(picture) / 255
    picture = Image.new("L", (size, size))
    box = font.getbbox(str(digit))
    corner = [(size - (high + low)) / 2 + rng.uniform(-0.07, 0.07) * size for low, high in ((box[0], box[2]), (box[1], box[3]))]
    ImageDraw.Draw(picture).text(corner, str(digit), font=font, fill=255, stroke_width=int(rng.integers(0, size // 90)))
    return np.asarray(picture) / 255


def tilted(picture, rng, angle):
    """Seen from a little aside, and turned. Outside of the picture is black."""
    size = picture.width
    turned = picture.rotate(rng.uniform(-angle, angle), Image.Resampling.BICUBIC)
    corners = np.array([(0, 0), (0, size), (size, size), (size, 0)]) + rng.uniform(-0.05, 0.05, (4, 2)) * size
    return turned.transform((size, size), Image.Transform.QUAD, corners.ravel().tolist(), Image.Resampling.BICUBIC)


def photograph(digit, kind, rng, font=None, size=600, tilt=10, blur=2.0, quality=85):
    """A grey photograph of one digit as a PIL image of mode RGB."""
    ink = np.asarray(tilted(Image.fromarray((255 * ink_of(digit, size, rng, font)).astype(np.uint8)), rng, tilt)) / 255
    y, x = np.mgrid[0:size, 0:size] / size
    paper, pen = rng.uniform(165, 235), rng.uniform(20, 80)
    if kind == "chalk":
        paper, pen = rng.uniform(30, 70), rng.uniform(190, 240)
    ground = np.full((size, size), paper)
    if kind in ("lined", "squared"):
        lines, step = Image.new("L", (2 * size, 2 * size)), int(rng.uniform(0.07, 0.12) * size)
        pencil = ImageDraw.Draw(lines)
        for i in range(0, 2 * size, step):
            pencil.line((0, i, 2 * size, i), fill=255, width=max(1, size // 250))
            if kind == "squared":
                pencil.line((i, 0, i, 2 * size), fill=255, width=max(1, size // 250))
        turned = lines.rotate(rng.uniform(-4, 4), Image.Resampling.BICUBIC)
        ruled = np.asarray(turned)[size // 2 : -size // 2, size // 2 : -size // 2] / 255
        ground = ground - ruled * rng.uniform(0.15, 0.4) * paper
    g = ground * (1 - ink) + pen * ink
    direction = rng.uniform(0, 2 * np.pi)
    slope = (x - 0.5) * np.cos(direction) + (y - 0.5) * np.sin(direction)
    light = 1 + (rng.uniform(0.4, 0.8) if kind == "shadow" else rng.uniform(0, 0.25)) * slope
    if kind == "shadow" and rng.uniform() < 0.5:  # the edge of a hand's or a phone's shadow
        edge = slope - rng.uniform(-0.25, 0.25)
        light = light * (1 - rng.uniform(0.25, 0.5) / (1 + np.exp(-edge * size / rng.uniform(8, 40))))
    g = g * light
    if kind == "dark table":
        border = (rng.uniform(0.02, 0.1, 4) * size).astype(int) + 1
        table = np.ones((size, size), bool)
        table[border[0] : -border[1], border[2] : -border[3]] = False
        g = np.where(table, rng.uniform(15, 60), g)
    picture = Image.fromarray(g.clip(0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(rng.uniform(0, blur) * size / 600)
    )
    noise = rng.normal(0, rng.uniform(8, 14) if kind == "grain" else rng.uniform(1, 5), (size, size))
    noisy = (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)
    tint = np.array([1.0, 0.98, 0.93])
    file = io.BytesIO()
    Image.fromarray((noisy[..., None] * tint).astype(np.uint8)).save(file, "JPEG", quality=quality)
    return Image.open(file)


def printed(seed=0, kinds=KINDS, digits=range(10), size=360):
    """[(digit, kind, picture)], each digit on each kind of paper, in Pillow's own font."""
    rng = np.random.default_rng(seed)
    return [
        (d, kind, photograph(d, kind, rng, ImageFont.load_default(rng.uniform(0.33, 0.63) * size), size))
        for kind in kinds
        for d in digits
    ]


def handwritten(seed=0, kinds=KINDS, digits=range(10), size=360):
    rng = np.random.default_rng(seed)
    return [(d, kind, photograph(d, kind, rng, size=size)) for kind in kinds for d in digits]


def held_out(fonts, seed=20261128):
    """[(digit, name, picture)], twenty, each digit twice, in other fonts (files), sizes, light, tilt and blur."""
    rng = np.random.default_rng(seed)
    kinds = ("plain", "shadow", "lined", "squared", "grain", "dark table", "shadow", "lined", "plain", "dark table")
    pictures = []
    for i in range(20):
        size = int(rng.choice([320, 480, 720]))
        font = ImageFont.truetype(str(fonts[i % len(fonts)]), int(size * rng.uniform(0.35, 0.6)))
        kind = kinds[i % len(kinds)]
        digit = (i * 3) % 10
        pictures.append((digit, f"{digit}-{i // 10}", photograph(digit, kind, rng, font, size, tilt=14, blur=3.0, quality=70)))
    return pictures
