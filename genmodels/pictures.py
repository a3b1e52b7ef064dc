"""Tensors to PIL images: contact sheets, grids, filmstrips. And files to PIL images: one reader for page, API and training."""

import contextlib
import io
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from genmodels.base import check_number
from genmodels.messages import Message


def to_bytes(x: Tensor) -> Tensor:
    """Pictures as 8-bit pixels, channels last: (N, C, H, W) in [0, 1] -> (N, H, W, C) uint8, on the CPU."""
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1] not in (1, 3) or 0 in x.shape:
        raise ValueError(
            f"Pictures must be a tensor (N, C, H, W) with 1 or 3 channels, not "
            f"{tuple(x.shape) if hasattr(x, 'shape') else type(x).__name__}."
        )
    levels = x.detach().cpu().float().clamp(0, 1).mul_(255).round_()  # in place: 12 megapixels take 144 MB
    return levels.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


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


# --- files -> pictures of 8 bits --------------------------------------------------------------------------------------

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # that are read; Pillow knows others that start programs
MAX_PIXELS = 16_000_000


MAX_BYTES = 40_000_000


def read(path: str | Path | None) -> Image.Image:
    """A stranger's file as `open_picture` returns it. Raises: ValueError, also if there is no file or it is too large."""
    return open_picture(check_file(path))


def check_file(path: str | Path | None) -> str | Path:
    """The path of a file of at most `MAX_BYTES`. Raises: ValueError."""
    if not isinstance(path, (str, Path)) or not Path(path).is_file():
        raise ValueError(Message("Choose a picture first: it must be a file."))
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(Message("The file has more than {megabytes} MB: send a smaller one.", megabytes=MAX_BYTES // 10**6))
    return path


def open_picture(file: str | Path | BinaryIO, *, max_pixels: int = MAX_PIXELS, least: int = 0) -> Image.Image:
    """The picture in a file as `standardize` returns it, mode L or RGB.

    least: pixels of the shorter side that are enough; a larger JPEG is then decoded at a half, a quarter or an eighth of its
    size, which takes a fraction of the time. 0: the whole size.
    Raises:
        ValueError: the file is none of `FORMATS`, damaged, or has more than max_pixels; these are never decoded.
    """
    with _opened(file, max_pixels) as picture:
        if least:
            picture.draft(None, (least, least))  # for JPEG only
        return standardize(picture)


def open_mask(file: str | Path | BinaryIO, size: int, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """The mask in a file as `read_mask` returns it. Raises: as `open_picture`."""
    with _opened(file, max_pixels) as picture:
        return read_mask(picture, size)


@contextlib.contextmanager
def _opened(file: str | Path | BinaryIO, max_pixels: int) -> Iterator[Image.Image]:
    """The file as Pillow sees it, whose header is good."""
    megapixels = max_pixels / 10**6
    too_large = Message("The picture has more than {megapixels:g} megapixels: send a smaller one.", megapixels=megapixels)
    try:
        picture = Image.open(file, formats=FORMATS)
    except FileNotFoundError:
        raise
    except Image.DecompressionBombError:
        raise ValueError(too_large) from None
    except (OSError, SyntaxError, ValueError):
        formats = ", ".join(FORMATS)
        raise ValueError(
            Message("This file is not a picture that can be read: send one of {formats}.", formats=formats)
        ) from None
    with picture:
        if picture.width * picture.height > max_pixels:
            raise ValueError(too_large)
        yield picture


def standardize(picture: Image.Image) -> Image.Image:
    """Any PIL image as the 8-bit picture that a viewer shows: upright, in sRGB, opaque, mode L or RGB.

    The depth is that of the file (12 or 16 bits, also where the picture is dark), not guessed from its values. Colour profiles
    are applied. Transparent parts are laid on white behind dark ink and on black behind light ink: what colour lies hidden
    under them does not matter. Pass the image as `Image.open` returned it: a copy has forgotten what its file says.

    Raises:
        ValueError: one sentence, if the picture is damaged, has no pixels or a depth that is not known.
    """
    colours, alpha = _colours_and_alpha(picture)
    if alpha is None:
        return colours
    opaque = np.asarray(colours.convert("L"))[np.asarray(alpha) > 127]
    ground = 255 if len(opaque) and opaque.mean() < 128 else 0
    flat = Image.new(colours.mode, colours.size, ground if colours.mode == "L" else (ground,) * 3)
    flat.paste(colours, mask=alpha)
    return flat


def read_mask(picture: Image.Image, size: int) -> Tensor:
    """A mask from a drawing program, stretched over size x size pixels: (1, 1, size, size) bool, True where it is painted.

    Painted is what is white or in colour; on a transparent picture, what is opaque, whatever its colour; in a picture with a
    hole rubbed out, the hole. A thin stroke stays: where most of a cell is unpainted, it counts if no neighbour stands for it.
    """
    colours, alpha = _colours_and_alpha(picture)
    rgb = np.asarray(colours.convert("RGB")).astype(np.int16)
    light, colourful = rgb.max(2) > 127, rgb.max(2) - rgb.min(2) > 64
    painted = light | colourful
    if not _border(colourful).mean() > 0.5 and colourful.any() and _border(rgb.min(2) > 127).mean() > 0.5:
        painted = colourful  # in colour on white
    opaque = np.ones_like(light) if alpha is None else np.asarray(alpha) > 63
    if not opaque.all():
        if _border(opaque).mean() > 0.5:
            painted = ~opaque  # a hole
        elif (painted & opaque).any() and (rgb[opaque].max(1) < 64).mean() > 0.05 and (rgb[opaque].max(1) > 191).any():
            painted &= opaque  # white on black, in a transparent frame
        else:
            painted = opaque
    share = _cover(painted, size)
    most = share >= 0.5
    padded = np.pad(most, 1)
    near = np.any([padded[i : i + size, j : j + size] for i in range(3) for j in range(3)], axis=0)
    return torch.from_numpy(most | (share > 0.02) & ~near)[None, None]


def _border(a: np.ndarray) -> np.ndarray:
    """The outermost rows and columns."""
    return np.concatenate([a[[0, -1]].ravel(), a[:, [0, -1]].ravel()])


def _cover(painted: np.ndarray, size: int) -> np.ndarray:
    """Which share of each cell of a grid (size, size) laid over the mask is painted."""
    share = painted.astype(np.float32)
    for axis in (0, 1):
        total = np.insert(share.cumsum(axis, dtype=np.float64), 0, 0, axis)  # up to each border between pixels
        edges = np.linspace(0, share.shape[axis], size + 1)
        low = np.minimum(np.floor(edges).astype(int), share.shape[axis] - 1)
        weight = (edges - low).reshape([-1 if a == axis else 1 for a in (0, 1)])
        at_edges = np.take(total, low, axis) * (1 - weight) + np.take(total, low + 1, axis) * weight
        share = np.diff(at_edges, axis=axis) * size / share.shape[axis]
    return share


def _colours_and_alpha(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """(mode L or RGB, mode L or None where all is opaque), upright and in sRGB."""
    if min(picture.size) < 1:
        raise ValueError(Message("The picture has no pixels: choose another one."))
    try:
        picture.load()
        colours, alpha = _split(picture)
    except (OSError, SyntaxError, EOFError):
        raise ValueError(Message("The picture is damaged: only a part of it can be read. Send another one.")) from None
    profile, turn = picture.info.get("icc_profile"), _turn(picture)
    if profile:
        colours = _to_srgb(colours, profile)
    if colours.mode not in ("L", "RGB"):
        colours = colours.convert("RGB")
    if turn is not None:
        colours, alpha = colours.transpose(turn), alpha and alpha.transpose(turn)
    return colours, None if alpha is not None and alpha.getextrema()[0] == 255 else alpha


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What makes a photograph upright that a phone stored as its sensor saw it."""
    try:
        orientation = picture.getexif().get(0x0112)
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error):  # broken tags are no broken picture
        return None
    method = Image.Transpose
    turns = [None, method.FLIP_LEFT_RIGHT, method.ROTATE_180, method.FLIP_TOP_BOTTOM]
    turns += [method.TRANSPOSE, method.ROTATE_270, method.TRANSVERSE, method.ROTATE_90]
    return turns[orientation - 1] if isinstance(orientation, int) and 1 <= orientation <= 8 else None


def _split(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """(8-bit colours in one of Pillow's modes without transparency, alpha as mode L or None)"""
    if picture.mode.startswith("I") or picture.mode == "F":
        return _deep_to_8_bits(picture)
    if picture.mode == "LAB":
        to_rgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        colours = ImageCms.applyTransform(picture, to_rgb)
        return (colours or picture.convert("RGB")), None
    if picture.mode in ("La", "RGBa"):
        picture = picture.convert(picture.mode.upper())
    grey = picture.mode in ("1", "L", "LA")
    if picture.has_transparency_data:
        with_alpha = picture.convert("RGBA")
        colours, alpha = with_alpha.convert("RGB"), with_alpha.getchannel("A")
        return (colours.convert("L") if grey else colours), alpha
    if grey:
        return picture.convert("L"), None
    return (picture if picture.mode in ("RGB", "CMYK") else picture.convert("RGB")), None


def _deep_to_8_bits(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Whole numbers of more than 8 bits, and floats: (mode L, alpha or None)"""
    tags = getattr(picture, "tag_v2", {})  # of a TIFF file
    values = np.asarray(picture)
    if picture.mode.startswith("I;16"):
        top = 2 ** min(16, int(tags.get(258, (16,))[0])) - 1  # BitsPerSample: 12 or 16
    elif picture.mode == "I" and picture.format == "PNG":
        top = 65535
    elif picture.mode == "I" and picture.format:
        raise ValueError(
            Message("The picture has whole numbers of 32 bits, whose white is not known: save it with 8 or 16 bits.")
        )
    else:  # floats, and numbers that come from no file: only their values can tell
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        whole = bool((values == np.floor(values)).all())
        tops = [t for t in (1.0, 255.0, 65535.0) if high <= t and (whole or t == 1)]
        if not tops or low < 0 or not math.isfinite(high):
            raise ValueError(
                Message(
                    "The picture has numbers from {low:g} to {high:g}, whose white is not known: scale them to 0 to 1, or save "
                    "it with 8 or 16 bits.",
                    low=low,
                    high=high,
                )
            )
        top = tops[0]
    shares = np.clip(values / top, 0, 1)
    if tags.get(262) == 0:  # WhiteIsZero, which Pillow minds for 8 bits only
        shares = 1 - shares
    colours = Image.fromarray((shares * 255).round().astype(np.uint8))
    hidden = picture.info.get("transparency")
    alpha = Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)) if isinstance(hidden, int) else None
    return colours, alpha


def _to_srgb(colours: Image.Image, profile: bytes) -> Image.Image:
    """Colours of the embedded ICC profile as sRGB; as they are, if the profile is broken or of other colours."""
    try:
        converted = ImageCms.profileToProfile(
            colours, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return colours
    return (converted or colours).convert("L") if colours.mode == "L" else (converted or colours)
