"""Tensors to PIL images: contact sheets, grids, filmstrips. Pure functions of pictures (N, C, H, W) in [0, 1]."""

import math
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

from genmodels.base import check_number


def to_bytes(x: Tensor) -> Tensor:
    """Pictures as 8-bit pixels, channels last: (N, C, H, W) in [0, 1] -> (N, H, W, C) uint8, on the CPU."""
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape:
        raise ValueError(
            f"Pictures must be a tensor (N, C, H, W) with 1 or 3 channels, not "
            f"{tuple(x.shape) if hasattr(x, 'shape') else type(x).__name__}."
        )
    return (x.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def sheet(x: Tensor, columns: int = 8, gap: int = 0, background: int = 0) -> Tensor:
    """A contact sheet of all pictures, row by row: (N, C, H, W) in [0, 1] -> (rows * H, columns * W, C) uint8.

    gap: pixels between two pictures; background: grey level of the gaps and of empty cells, 0 to 255.
    """
    pixels = to_bytes(x)
    n, h, w, c = pixels.shape
    columns = min(check_number("columns", columns, 1, 4096, whole=True), n)
    rows = math.ceil(n / columns)
    out = torch.full((rows * (h + gap) - gap, columns * (w + gap) - gap, c), background, dtype=torch.uint8)
    for i, picture in enumerate(pixels):
        top = i // columns * (h + gap)
        left = i % columns * (w + gap)
        out[top : top + h, left : left + w] = picture
    return out


def to_image(pixels: Tensor, scale: int = 1) -> Image.Image:
    """(H, W, C) uint8 -> PIL image, mode L or RGB, each pixel enlarged to a square of side `scale`."""
    array = pixels.numpy()
    image = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    scale = check_number("scale", scale, 1, 32, whole=True)
    return image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST) if scale > 1 else image


def grid(x: Tensor, columns: int = 8, scale: int = 1) -> Image.Image:
    """Pictures in rows with a thin line between them: (N, C, H, W) in [0, 1] -> PIL image."""
    return to_image(sheet(x, columns, gap=2, background=255), scale)


def filmstrip(x: Tensor, scale: int = 1) -> Image.Image:
    """A sequence of pictures in one row without gaps: (N, C, H, W) in [0, 1] -> PIL image."""
    return to_image(sheet(x, columns=max(1, len(x))), scale)


MAX_BYTES, MAX_PIXELS = 40_000_000, 16_000_000  # of a file
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # that are read; Pillow knows others that start programs


def read(path: str | Path | None) -> Image.Image:
    """A stranger's file as a PIL image, upright. The header is read first: what is too large is never decoded.

    Raises:
        ValueError: there is no file, or it is too large, damaged or no picture.
    """
    if not isinstance(path, (str, Path)) or not Path(path).is_file():
        raise ValueError("Choose a picture first: it must be a file.")
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(f"The file has more than {MAX_BYTES // 10**6} MB: send a smaller one.")
    try:
        picture: Image.Image = Image.open(path, formats=FORMATS)
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
