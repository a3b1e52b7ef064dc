"""Folders of invented pictures, as people train on them."""

import numpy as np
from PIL import Image

RGB = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220)}


def picture(colour, i=0, size=(40, 36)):
    """A square of a colour in the upper left corner of a noisy white: unlike any other i, and it shows which way is up."""
    pixels = np.random.default_rng(i).integers(225, 256, (size[1], size[0], 3), dtype=np.uint8)
    pixels[: size[1] // 2, : size[0] // 2] = colour
    return Image.fromarray(pixels)


def write(place, names, colour=(220, 40, 40), first=0, **options):
    place.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        picture(colour, first + i, **options).save(place / name)
