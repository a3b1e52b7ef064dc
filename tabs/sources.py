"""A picture to work on: a test picture, a drawing or an upload, with the lines of Python that load it as `picture`."""

import functools
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, labels, lane, links, programs
from tabs.components import sheet
from tabs.components.draw_pad import DrawPad
from tabs.components.tiles import Tiles
from tabs.components.upload import upload as file_box
from tabs.controls import Controls
from tabs.language import _

if TYPE_CHECKING:
    import numpy as np
    import torch


class Source(TypedDict):
    dataset: str
    x: Any  # tensor (1, C, H, W) in [0, 1]
    lines: str  # of Python, that make `picture`
    number: NotRequired[int]  # of a test picture


@functools.lru_cache(maxsize=4)
def test_pictures(dataset: str) -> tuple["torch.Tensor", list[str | None]]:
    """(x (N, C, H, W) in [0, 1], class of each or None): test pictures, one of each class first."""
    samples = gm.data.samples(dataset)
    classes = None if dataset in ("avatars", "photo") else gm.data.classes(dataset)
    return samples.floats(), [classes[c] for c in samples.y.tolist()] if classes else [None] * len(samples)


def test_picture_names(dataset: str) -> list[str]:
    """What a screen reader says of each."""
    classes = test_pictures(dataset)[1]
    names = [labels.value_name("class", name) if name else _("face") for name in classes]
    return [_("{name} (test picture {number})", name=name, number=i) for i, name in enumerate(names)]


def test_picture(dataset: str, i: int) -> Source:
    x = test_pictures(dataset)[0]
    i = gm.base.check_number("test_picture_number", i, 0, len(x) - 1, whole=True)
    lines = f'picture = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\n'
    return {"dataset": dataset, "x": x[i : i + 1], "lines": lines, "number": i}


def drawing(dataset: str, ink: "np.ndarray | None") -> Source:
    """A drawing, prepared as the data set's own pictures were; its lines carry the pixels. ink: (H, W) uint8 or None."""
    if ink is None:
        raise ValueError(Message("The drawing is empty: draw something first."))
    pixels, file = gm.pictures.to_bytes(gm.data.preprocess(ink, dataset)), io.BytesIO()  # (1, H, W, 1)
    gm.pictures.to_image(pixels[0]).save(file, "PNG")
    lines = programs.constant("drawing", file.getvalue()) + (
        "picture = torch.from_numpy(np.array(Image.open(io.BytesIO(drawing))))[None, None] / 255\n"
    )
    return {"dataset": dataset, "x": pixels.permute(0, 3, 1, 2) / 255, "lines": lines}


def upload(dataset: str, path: str) -> Source:
    with lane.beside():
        picture = gm.pictures.read(path)
        try:
            x = gm.data.preprocess(picture, dataset)
        except gm.data.EmptyPicture:
            raise ValueError(Message("The uploaded picture is empty: it shows one colour only. Choose another one.")) from None
    lines = f"picture = gm.data.preprocess(Image.open({Path(path).name!r}), {dataset!r})  # {_('the file that you uploaded')}\n"
    return {"dataset": dataset, "x": x, "lines": lines}


def upload_or_test_picture(dataset: str, path: str | None, i: int) -> Source:
    """What an endpoint works on: the file if there is one, else test picture i."""
    return test_picture(dataset, i) if path is None else upload(dataset, path)


def require(source: Source | None, dataset: str | None = None) -> Source:
    """The source if there is one, of that data set."""
    if not source or dataset and source["dataset"] != dataset:
        raise ValueError(Message("Choose a picture first: click a test picture, draw one or upload one."))
    return source


# --- Where a visitor chooses one --------------------------------------------------------------------------------------


def tiles(dataset: str, n: int, chosen: int = 0) -> Tiles.Value:
    """The first n test pictures to choose from; chosen -1: none is."""
    pictures = test_pictures(dataset)[0]
    return {**sheet(pictures[:n], 10), "labels": test_picture_names(dataset)[:n], "chosen": chosen}


class Chosen(Controls):
    picture: int = Field(0, ge=-1, le=199, title=Message("Test picture"))


@dataclass(frozen=True)
class Chooser:
    """Test pictures to choose from, a pad to draw on and the box of a file: a tool's picture is the latest of them.

    follow: (source, **values) -> outputs, what another picture changes. example, drawing, upload: load a picture as this
    module's functions of these names do. tiles: (data set, n, first) -> the n test pictures; first: the one
    that is chosen as a data set opens.
    """

    follow: Callable[..., dict] = lambda source: {"source": source}
    n: int = 10
    example: Callable[[str, int], Any] = test_picture
    drawing: Callable[[str, Any], Any] = drawing
    upload: Callable[[str, str], Any] = upload
    tiles: Callable[[str, int, int], Tiles.Value] = tiles
    first: int = 0
    opening: int | None = None  # that is chosen as a data set opens, -1: none; unless given: `first`

    def choose_test_picture(self, event: gr.EventData, dataset: str = "mnist", **values: Any) -> dict:
        return self.follow(self.example(dataset, int(events.event_number(event, "index", self.n - 1))), **values)

    def choose_drawing(self, ink: "np.ndarray | None", dataset: str = "mnist", **values: Any) -> dict:
        return {} if ink is None else self.follow(self.drawing(dataset, ink), **values)  # None: emptied meanwhile

    def choose_upload(self, path: str, dataset: str = "mnist", **values: Any) -> dict:
        return self.follow(self.upload(dataset, path), **values)

    def choose_first(self, dataset: str = "mnist", **values: Any) -> dict:
        return self.follow(self.example(dataset, self.first), **values)

    def restore(self, places: Iterable[str], picture: int, dataset: str = "mnist", **values: Any) -> dict:
        """A link's test picture. places: names of the tiles among the outputs."""
        tiles = self.tiles(dataset, self.n, picture)
        number = gm.base.check_number(links.title(Chosen, "picture"), picture, -1, len(tiles["labels"]) - 1, whole=True)
        return {name: tiles for name in places} | (
            self.follow(self.example(dataset, int(number)), **values) if picture >= 0 else {}
        )

    def open_dataset(self, dataset: str = "mnist", **values: Any) -> dict:
        """Another data set: its test pictures, one of them chosen. One draws digits and clothes only."""
        opened = {"tiles": self.tiles(dataset, self.n, self.first), "drawing": gr.update(visible=dataset in gm.data.CLASSES)}
        return opened | self.choose_first(dataset, **values)

    def lay_out(
        self,
        tab: str,
        name: str = Message("Test pictures"),
        elem_id: str = "",
        columns: int = 10,
        min_width: int = 130,
        pad_visible: bool = True,
        **file: Any,
    ) -> dict:
        """The parts by name; "drawing" is the pad's column. name, elem_id, columns: of the tiles; file: of the file's box."""
        parts = {"tiles": Tiles(columns=columns, name=_(name), elem_id=elem_id or f"{tab}-own")}
        with gr.Row():
            with gr.Column(min_width=min_width, visible=pad_visible) as parts["drawing"]:
                parts["pad"] = DrawPad(elem_id=f"{tab}-pad")
            with gr.Column(min_width=min_width):
                parts["upload"] = file_box(**{"elem_id": f"{tab}-upload", "height": 150, **file})
        return parts

    @staticmethod
    def opened(parts: dict) -> dict:
        """The parts that another data set changes on the server; `connect` empties the pad and the box in the browser."""
        return {"tiles": parts["tiles"], "drawing": parts["drawing"]}

    def connect(self, parts: dict, inputs: dict, outputs: dict, *more_tiles: Tiles) -> list:
        """Wire the parts. inputs: the data set, and what else `follow` takes. Returns the events that choose a picture.

        Only what was chosen last looks chosen. When the visitor removes it, the first test picture takes its place. more_tiles:
        the same test pictures in other places.
        """
        tiles = {f"tiles_{k}": part for k, part in enumerate([parts["tiles"], *more_tiles])}
        pad, file, chosen = {"pad": parts["pad"]}, {"upload": parts["upload"]}, []
        ways: list[tuple[Callable, Callable, Callable, dict, dict, Any]] = [
            (part.input, events.act, self.choose_test_picture, {}, pad | file, f"tiles[{k}].chosen")
            for k, part in enumerate(tiles.values())
        ] + [
            (parts["pad"].input, events.live, self.choose_drawing, {"ink": parts["pad"]}, file, -1),
            (parts["pad"].release, events.live, self.choose_first, {}, file, self.first),
            (parts["upload"].clear, events.act, self.choose_first, {}, pad, self.first),
            (parts["upload"].upload, events.act, self.choose_upload, {"path": parts["upload"]}, pad, -1),
        ]
        for trigger, act, handler, values, emptied, framed in ways:  # framed: the tile that looks chosen, in JavaScript
            chosen.append(event := act(trigger, handler, {**inputs, **values}, outputs))
            script = f"(...tiles) => [...tiles.map(v => ({{...v, chosen: {framed}}})), {', '.join(['null'] * len(emptied))}]"
            events.in_browser(event.success, script, tiles, tiles | emptied)
        events.in_browser(chosen[-1].failure, "() => null", {}, file)
        for control in inputs.values():  # another data set or model
            if isinstance(control, gr.Radio):
                events.in_browser(control.change, "() => [null, null]", {}, pad | file)
        opening = {"picture": self.first if self.opening is None else self.opening}
        picture = {"picture": links.Part(parts["tiles"], "v?.chosen >= 0 ? v.chosen : null")}
        restore = functools.partial(self.restore, tuple(tiles))
        links.tool(Chosen, picture, (restore, inputs, outputs | tiles), defaults=lambda dataset: opening)
        return chosen
