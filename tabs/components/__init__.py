"""The page's own components: each is a module with its .html, .js and .css beside it, after `shared.js` and `shared.css`.

Templates are static, and scripts render values in `watch`: a value inside a template would be run as HTML or JavaScript.
Many pictures are sent as one PNG sheet in a data URI, those that follow a slider as raw bytes, which scripts draw at once: no
file is written for either. Long lists are sent as one string, JSON or numbers with spaces: Gradio walks through every list on
the page at each message of a stream.
Each class says in `Value` what it shows; a `Message` can take its place. A value with a `turn` is dropped after a later turn's.
"""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import gradio as gr

if TYPE_CHECKING:  # the page answers before torch is imported
    from torch import Tensor

FOLDER = Path(__file__).parent


class Raw(TypedDict):
    """Pictures in the form that scripts draw fastest."""

    n: int
    w: int  # of one picture
    h: int
    c: int  # channels
    pixels: str  # base64 of (n, h, w, c) bytes


class Sheet(TypedDict):
    """Pictures in one PNG, row by row."""

    w: int  # of one picture
    h: int
    n: int
    columns: int
    source: str  # data URI


class Histogram(TypedDict):
    edges: list[float]
    real: list[float]  # shares between the edges
    generated: list[float]
    n: NotRequired[list[int | None]]  # the sizes of both sets


class Line(TypedDict):
    """A curve of a plot."""

    name: str
    points: list[dict[str, float]]  # x and y of each


class Message(TypedDict):
    message: str  # a sentence in place of the contents


class Component(gr.HTML):
    """A gr.HTML whose template, script and style are the files named after its class: `LatentMap` -> latent_map.js."""

    options: dict[str, Any] = {}  # what its constructor takes, with the defaults; the script reads them in `props`

    def __init__(self, value: Any = None, **props: Any) -> None:
        stem = "".join("_" + c.lower() if c.isupper() else c for c in type(self).__name__).strip("_")
        text = {
            name: (FOLDER / name).read_text(encoding="utf-8")
            for name in ("shared.js", "shared.css", f"{stem}.html", f"{stem}.js", f"{stem}.css")
        }
        super().__init__(
            value,
            html_template=text[f"{stem}.html"],
            css_template=text["shared.css"] + text[f"{stem}.css"],
            js_on_load=text["shared.js"] + text[f"{stem}.js"],
            **{**self.options, **props},
        )
        vars(self).update(self.props)  # else gr.HTML takes props quoted in the script for events

    def api_info(self) -> dict[str, Any]:
        return {"type": "object", "description": (type(self).__doc__ or "").split("\n")[0]}

    def example_payload(self) -> None:
        return None

    example_value = example_payload


def decode(text: Any) -> bytes:
    """The bytes of base64 that a browser sent. Anyone can send anything: what is not base64 is empty."""
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        return b""


def line(name: str, points: Iterable[Sequence[float]]) -> Line:
    """points: (x, y) of each."""
    return {"name": name, "points": [{"x": x, "y": y} for x, y in points]}


def raw(x: "Tensor") -> Raw:
    """One picture (C, H, W) or several (N, C, H, W) in [0, 1]."""
    import genmodels as gm

    pixels = gm.pictures.to_bytes(x if x.ndim == 4 else x[None])
    n, h, w, c = pixels.shape
    return {"n": n, "w": w, "h": h, "c": c, "pixels": base64.b64encode(pixels.numpy().tobytes()).decode()}


def sheet(x: "Tensor", columns: int) -> Sheet:
    """Pictures (N, C, H, W) in [0, 1]."""
    import genmodels as gm

    n, _, h, w = x.shape
    file = io.BytesIO()
    gm.pictures.to_image(gm.pictures.sheet(x, columns)).save(file, "PNG", compress_level=3)
    source = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    return {"w": w, "h": h, "n": n, "columns": min(columns, n), "source": source}


def columns(n: int) -> int:
    """Columns of n pictures: a grid a little wider than high."""
    return n if n < 4 else math.ceil(math.sqrt(1.2 * n))


def cell(x: "Tensor", columns: int) -> "Tensor":
    """Pictures (n, C, H, W) side by side as one (1, C, H', W') in [0, 1], for a sheet of such cells."""
    import genmodels as gm

    return gm.pictures.sheet(x, columns, gap=1).permute(2, 0, 1)[None].float() / 255
