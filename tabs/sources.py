"""A picture to work on: a test picture, a drawing or an upload, with the lines of Python that load it as `picture`."""

import functools
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import genmodels as gm
from tabs import programs

if TYPE_CHECKING:
    import numpy as np
    import torch
    from PIL import Image

MAX_BYTES, MAX_PIXELS = 40_000_000, 16_000_000  # of an upload
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # that are read; Pillow knows others that start programs


class Source(TypedDict):
    dataset: str
    x: Any  # tensor (1, C, H, W) in [0, 1]
    lines: str  # of Python, that make `picture`


@functools.lru_cache(maxsize=4)
def test_pictures(dataset: str) -> tuple["torch.Tensor", list[str | None]]:
    """(x (N, C, H, W) in [0, 1], class of each or None): test pictures, one of each class first."""
    samples = gm.data.samples(dataset)
    classes = gm.data.CLASSES.get(dataset)
    return samples.floats(), [classes[c] for c in samples.y.tolist()] if classes else [None] * len(samples)


def test_picture_names(dataset: str) -> list[str]:
    """What a screen reader says of each."""
    _, classes = test_pictures(dataset)
    return [f"{name or 'face'} (test picture {i})" for i, name in enumerate(classes)]


def test_picture(dataset: str, i: int) -> Source:
    x, _ = test_pictures(dataset)
    i = gm.base.check_number("test_picture_number", i, 0, len(x) - 1, whole=True)
    lines = f'picture = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\n'
    return {"dataset": dataset, "x": x[i : i + 1], "lines": lines}


def drawing(dataset: str, ink: "np.ndarray | None") -> Source:
    """A drawing, prepared as the data set's own pictures were; its lines carry the pixels. ink: (H, W) uint8 or None."""
    if ink is None:
        raise ValueError("The drawing is empty: draw something first.")
    pixels, file = gm.pictures.to_bytes(gm.data.preprocess(ink, dataset)), io.BytesIO()  # (1, H, W, 1)
    gm.pictures.to_image(pixels[0]).save(file, "PNG")
    lines = programs.constant("drawing", file.getvalue()) + (
        "picture = torch.from_numpy(np.array(Image.open(io.BytesIO(drawing))))[None, None] / 255\n"
    )
    return {"dataset": dataset, "x": pixels.permute(0, 3, 1, 2) / 255, "lines": lines}


def upload(dataset: str, path: str) -> Source:
    x = gm.data.preprocess(read_picture(path), dataset)
    lines = f"picture = gm.data.preprocess(Image.open({Path(path).name!r}), {dataset!r})  # the file that you uploaded\n"
    return {"dataset": dataset, "x": x, "lines": lines}


def upload_or_test_picture(dataset: str, path: str | None, i: int) -> Source:
    """What an endpoint works on: the file if there is one, else test picture i."""
    return test_picture(dataset, i) if path is None else upload(dataset, path)


def require(source: Source | None, dataset: str | None = None) -> Source:
    """The source if there is one, of that data set."""
    if not source or dataset and source["dataset"] != dataset:
        raise ValueError("Choose a picture first: click a test picture, draw one or upload one.")
    return source


def read_picture(path: str | Path | None) -> "Image.Image":
    """A visitor's file as a PIL image, upright. The header is read first: what is too large is never decoded."""
    from PIL import Image, ImageOps

    if not isinstance(path, (str, Path)) or not Path(path).is_file():
        raise ValueError("Choose a picture first: it must be a file.")
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(f"The file has more than {MAX_BYTES // 10**6} MB: send a smaller one.")
    try:
        picture = Image.open(path, formats=FORMATS)
        width, height = picture.size
    except Image.DecompressionBombError:
        width = height = MAX_PIXELS
    except (OSError, ValueError, SyntaxError):
        raise ValueError(f"This file is not a picture that can be read: send one of {', '.join(FORMATS)}.") from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"The picture has more than {MAX_PIXELS // 10**6} megapixels: send a smaller one.")
    try:
        picture.load()
        return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, EOFError):
        raise ValueError("The picture is damaged: only a part of it can be read. Send another one.") from None
