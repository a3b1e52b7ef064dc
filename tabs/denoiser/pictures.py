"""The picture to work on: a free photograph, a test picture, a drawing or an upload; whole, and a part of it for the stage."""

import functools
from pathlib import Path
from typing import Annotated

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import lane, sources
from tabs.components import sheet
from tabs.components.tiles import Tiles
from tabs.controls import Controls, slider
from tabs.denoiser.data import DENOISER
from tabs.language import _
from tabs.sources import Source

CROP = 256  # largest side of a picture on the stage: more would not follow a slider


class CroppedSource(Source):
    """A source whose x is at most CROP pixels high and wide; its lines make `picture`, the whole."""

    whole: str | None  # the whole picture: a photograph's name, a file, or None if it is x
    size: str  # of the whole picture, in words
    crop: str  # Python that makes x of `picture`


class Crop(Controls):
    """Which part of a larger picture is on the stage."""

    left: Annotated[int, slider(min_width=120)] = Field(50, ge=0, le=100, title=Message("Crop: left"), description="%")
    top: Annotated[int, slider(min_width=120)] = Field(50, ge=0, le=100, title=Message("Crop: top"), description="%")


def crop(x, side, place: Crop = Crop()):  # noqa: B008
    """(a part of pictures (B, C, H, W), at most side x side; the slices that crop it, as Python)."""
    H, W = x.shape[2:]
    top, left = max(0, H - side) * place.top // 100, max(0, W - side) * place.left // 100
    bottom, right = min(H, top + side), min(W, left + side)
    slices = f"[..., {top}:{bottom}, {left}:{right}]" if max(H, W) > side else ""
    return x[..., top:bottom, left:right], slices


@functools.lru_cache(maxsize=2)
def photograph_thumbnails():
    """(N, 3, 96, 96) in [0, 1]"""
    import torch

    squares = [crop(x, min(x.shape[2:]))[0] for x in map(gm.data.photograph, gm.data.PHOTOGRAPHS)]
    return torch.cat([torch.nn.functional.interpolate(x, (96, 96), mode="area").expand(-1, 3, -1, -1) for x in squares])


def cropped(source: Source, whole: str | None = None, place: Crop = Crop()) -> CroppedSource:  # noqa: B008
    """source: x is the whole picture, uint8 or floats."""
    x = source["x"]
    part, slices = crop(x, CROP, place)
    part = part.clone() if part.is_floating_point() else part.float() / 255
    return {**source, "x": part, "whole": whole, "size": f"{x.shape[3]:,} × {x.shape[2]:,}", "crop": slices}


def example(dataset: str, i: int, name: str = "index") -> CroppedSource:
    """Photograph or test picture number i. name: of i in an error."""
    if DENOISER.check(dataset) != "photo":
        return cropped(sources.test_picture(dataset, i))
    photograph = gm.data.PHOTOGRAPHS[gm.base.check_number(name, i, 0, len(gm.data.PHOTOGRAPHS) - 1, whole=True)]
    lines = f'picture = gm.data.photograph("{photograph}")\n'
    return cropped({"dataset": dataset, "x": gm.data.photograph(photograph), "lines": lines}, photograph)


def upload(dataset: str, path: str) -> CroppedSource:
    if DENOISER.check(dataset) != "photo":
        return cropped(sources.upload(dataset, path))
    with lane.beside():
        x = gm.data.pixel_tensor(gm.pictures.read(path))
    lines = f"picture = gm.data.pixel_tensor(Image.open({Path(path).name!r})) / 255  # the file that you uploaded\n"
    return cropped({"dataset": dataset, "x": x, "lines": lines}, str(path))


def upload_or_example(dataset: str, path: str | None, i: int, name: str) -> CroppedSource:
    """What an endpoint works on: the file if there is one, else photograph or test picture number i."""
    return example(dataset, i, name) if path is None else upload(dataset, path)


def whole_picture(source: CroppedSource):
    """(1, C, H, W) in [0, 1]"""
    if source["whole"] is None:
        return source["x"]
    if source["whole"] in gm.data.PHOTOGRAPHS:
        return gm.data.photograph(source["whole"])
    with lane.beside():
        return gm.data.pixel_tensor(gm.pictures.read(source["whole"])).float().div_(255)


def drawing(dataset: str, ink) -> CroppedSource:
    if DENOISER.check(dataset) == "photo":
        raise ValueError(Message("Drawings are for digits and clothes: choose one of these first."))
    return cropped(sources.drawing(dataset, ink))


def tiles(dataset: str, n: int, chosen: int) -> Tiles.Value:
    """Photographs or test pictures to choose from."""
    if DENOISER.check(dataset) != "photo":
        return sources.tiles(dataset, n, chosen)
    names = [_(name).replace("_", " ") for name in gm.data.PHOTOGRAPHS]
    return {**sheet(photograph_thumbnails(), n), "labels": names, "chosen": chosen}


def choose(source: CroppedSource):
    """Another picture -> source, left, top."""
    return {"source": source} | dict.fromkeys(Crop.model_fields, gr.update(value=50, visible=bool(source["crop"])))


def move(source: CroppedSource, **place):
    """-> source: another part of the same picture."""
    whole: Source = {**sources.require(source), "x": whole_picture(source)}
    return {"source": cropped(whole, source["whole"], Crop.read(**place))}


PICTURES = sources.Chooser(choose, example=example, drawing=drawing, upload=upload, tiles=tiles)
