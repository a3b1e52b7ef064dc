"""The ink of one digit in a photograph: without shadows, ruled lines, grain, and the table around the paper.

The steps of document scanners, in NumPy: estimate the paper's brightness around each pixel, divide by it, threshold, take ruled
lines away, and choose the connected components that are the digit.

References: Otsu, A threshold selection method from gray-level histograms (1979), https://doi.org/10.1109/TSMC.1979.4310076; van
Herk, A fast algorithm for local minimum and maximum filters (1992), https://doi.org/10.1016/0167-8655(92)90069-C, whose result
`_extreme` computes by doubling.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

SIDE = 256  # pixels of the longer side at which a photograph is examined: less grain, and much less work


def is_drawing(grey: np.ndarray) -> bool:
    """Whether a picture (H, W) of bytes comes from a drawing program: its ground is of one grey, up to the marks of JPEG.

    That grey may also be the table around a sheet of paper: then most of the picture is not of it.
    """
    border = np.concatenate([grey[[0, -1]].ravel(), grey[:, [0, -1]].ravel()]).astype(float)
    ground = np.median(border)
    if (np.abs(border - ground) <= 8).mean() < 0.98:
        return False
    other = np.abs(grey - ground) > 8
    rows, columns = np.flatnonzero(other.any(1)), np.flatnonzero(other.any(0))
    if not len(rows):
        return True
    inner = other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    sheet = inner.mean() > 0.6 and min(inner.shape[0] / grey.shape[0], inner.shape[1] / grey.shape[1]) > 0.6
    return not sheet


def find_ink(grey: np.ndarray) -> np.ndarray:
    """How much ink is where in a photograph (H, W) of one digit: (h, w) floats from 0 to 1, all 0 if there is none.

    grey: bytes, dark ink on light paper or light chalk on a dark board.
    """
    picture = Image.fromarray(grey)
    scale = SIDE / max(picture.size)
    if scale < 1:
        size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BOX)
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 256))).astype(np.float64)
    # Ink covers less than paper does, so that its deviations from the neighbourhood's mean are the rarer and larger ones.
    deviations = values - _mean(values, max(values.shape) // 4 | 1)
    return _ink_on_light(values if (deviations**3).sum() <= 0 else 255 - values)


def _ink_on_light(values: np.ndarray) -> np.ndarray:
    height, width = values.shape
    nothing = np.zeros_like(values)
    darkness = 1 - values / np.maximum(_paper(values), 1)  # of each pixel against the paper around it
    grain = 1.4826 * np.median(np.abs(darkness - np.median(darkness)))
    peak = np.quantile(darkness, 0.995)
    if peak < max(0.08, 5 * grain):
        return nothing
    threshold = max(_otsu(darkness.clip(0, peak)), 0.4 * peak, 4 * grain)
    mask = _without_lines(_without_table(darkness > threshold))
    labels = _components(_extreme(mask, 5, np.maximum))
    best, chosen = 0.0, None
    sizes = np.bincount(labels[mask], minlength=labels.max() + 1)
    boxes = {}
    for i in np.flatnonzero(sizes >= max(4, 2e-4 * mask.size)):
        if not i:
            continue
        part = mask & (labels == i)
        rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
        boxes[i] = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
        on_border = part[[0, -1]].sum() + part[:, [0, -1]].sum()
        extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        middle = np.hypot((rows.mean() + 0.5) / height - 0.5, (columns.mean() + 0.5) / width - 0.5)
        score = extent / max(height, width) * darkness[part].mean() * (1.2 - middle)
        if on_border > 0.02 * (height + width) or extent > 0.97 * max(height, width):
            score *= 0.05  # the table, or the edge of a shadow
        if score > best:
            best, chosen = score, i
    if chosen is None:
        return nothing
    top, bottom, left, right = boxes[chosen]
    side = max(bottom - top, right - left)
    digit = labels == chosen
    for i, (a, b, c, d) in boxes.items():  # strokes that do not touch the others
        gap = max(a - bottom, top - b, c - right, left - d)
        on_border = a == 0 or c == 0 or b == height or d == width
        if i != chosen and gap < 0.12 * side and sizes[i] > 0.08 * sizes[chosen] and not on_border:
            digit |= labels == i
    full = np.median(darkness[mask & digit])
    low = 0.5 * threshold
    return np.where(digit, ((darkness - low) / (0.9 * full - low)).clip(0, 1), 0)


def _paper(values: np.ndarray) -> np.ndarray:
    """The brightness of the paper around each pixel: grey closing, which fills what is narrower than a quarter of its side."""
    reach = max(values.shape) // 4 | 1
    closed = _extreme(_extreme(values, reach, np.maximum), reach, np.minimum)
    return np.maximum(_mean(closed, reach // 4 | 1), values)


def _mean(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean in a window of an odd number of pixels around each pixel."""
    sums = np.pad(values, reach // 2, mode="symmetric").cumsum(0).cumsum(1)
    sums = np.pad(sums, ((1, 0), (1, 0)))
    inner = sums[reach:, reach:] - sums[:-reach, reach:] - sums[reach:, :-reach] + sums[:-reach, :-reach]
    return inner / reach**2


def _extreme(values: np.ndarray, reach: int, function: Callable) -> np.ndarray:
    """The largest (np.maximum) or smallest value in a window of an odd number of pixels around each pixel."""
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (reach // 2, reach // 2)
        padded = np.moveaxis(np.pad(values, padding, mode="edge"), axis, 0)
        done = 1  # padded[i] is the extreme of so many values from i on
        while done < reach:
            step = min(done, reach - done)
            padded = function(padded[:-step], padded[step:])
            done += step
        values = np.moveaxis(padded, 0, axis)
    return values


def _otsu(values: np.ndarray) -> float:
    """The threshold that separates two groups with the largest variance between them."""
    counts, edges = np.histogram(values, 128)
    centres, below = (edges[1:] + edges[:-1]) / 2, counts.cumsum()
    sums = (counts * centres).cumsum()
    above = below[-1] - below
    between = (sums * below[-1] - sums[-1] * below) ** 2 / np.maximum(below * above, 1)
    return float(edges[1:][between.argmax()])


def _without_table(mask: np.ndarray) -> np.ndarray:
    """Without the outermost rows and columns that are dark for the most part, up to a third of the picture on each side."""
    mask = mask.copy()
    for side in (mask, mask[::-1], mask.T, mask.T[::-1]):
        light = side[: len(side) // 3].mean(1) <= 0.5
        if not light[:2].all():
            side[: 4 + light[2:].argmax()] = False  # and the blurred edge
    return mask


def _without_lines(mask: np.ndarray) -> np.ndarray:
    """Without ruled lines: thin, straight, nearly level or upright, from one side of the picture to the other."""
    for transposed in (False, True):
        mask = mask.T if transposed else mask
        height, width = mask.shape
        thickness = max(3, height // 40)
        runs = _run_lengths(mask)
        thin = mask & (runs <= thickness)
        y, x = np.nonzero(thin)
        sheared = []
        for slope in np.linspace(-0.2, 0.2, 41):
            shift = np.round(slope * (np.arange(width) - width / 2)).astype(int)
            sheared.append((shift, np.bincount((y - shift[x]) % height, minlength=height) / width))
        shift, share = max(sheared, key=lambda pair: (pair[1] ** 2).sum())  # the slope at which most lies in few rows
        lines = _extreme((share > 0.35)[:, None].repeat(3, 1), 5, np.maximum)[:, 0]
        taken = lines[(np.arange(height)[:, None] - shift) % height]
        mask = mask & ~(taken & thin)
        mask = mask.T if transposed else mask
    return mask


def _run_lengths(mask: np.ndarray) -> np.ndarray:
    """Of each pixel, the length of the upright run of its value that it belongs to: (H, W)."""
    change = np.diff(mask, axis=0, prepend=~mask[:1])
    run = change.cumsum(0) + np.arange(mask.shape[1]) * (mask.shape[0] + 1)
    return np.bincount(run.ravel())[run]


def _components(mask: np.ndarray) -> np.ndarray:
    """Numbers of the connected components, from 1 on, 0 where there is none: (H, W)."""
    height, width = mask.shape
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    parent = np.arange(mask.size + 1)
    pairs = [
        np.stack([labels[a][joined], labels[b][joined]], 1)
        for a, b in (
            ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
            ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
            ((slice(1, None), slice(1, None)), (slice(None, -1), slice(None, -1))),
            ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))),
        )
        for joined in [mask[a] & mask[b]]
    ]
    edges = np.concatenate(pairs)
    while True:  # every pixel takes the smallest number among its neighbours', and then its number's number
        before = parent.copy()
        np.minimum.at(parent, parent[edges[:, 0]], parent[edges[:, 1]])
        np.minimum.at(parent, parent[edges[:, 1]], parent[edges[:, 0]])
        while not np.array_equal(parent, parent[parent]):
            parent = parent[parent]
        if np.array_equal(before, parent):
            break
    _, numbered = np.unique(np.where(mask, parent[labels], 0), return_inverse=True)
    numbered = numbered.reshape(mask.shape)
    return numbered if not mask.all() else numbered + 1
