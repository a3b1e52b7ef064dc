"""From one test picture to another, through every family that has a latent space."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, programs, sources
from tabs.compare import data
from tabs.components import sheet
from tabs.components.scrubber import Scrubber
from tabs.components.tiles import Tiles
from tabs.controls import Controls, radio
from tabs.language import _, join

STEPS, TILES = 17, 10
OPENING = (3, 8)


class Ends(Controls):
    first: int = Field(OPENING[0], ge=0, le=99, title=Message("Number of the first test picture"))
    second: int = Field(OPENING[1], ge=0, le=99, title=Message("Number of the last test picture"))
    steps: int = Field(9, ge=2, le=64, title=Message("Number of pictures, both ends included"))


class End(Controls):
    end: Annotated[
        Literal["first", "last"],
        radio([(Message("first picture"), "first"), (Message("last picture"), "last")], scale=2, elem_classes=[]),
    ] = Field("last", title=Message("Choose another"))


class Shown(End, Ends):
    """What a link says of the tool."""


def walk(dataset: str, pair: Any) -> Iterator[dict]:
    """The rows of the families, one after another: yields frames, path_lines. pair: numbers of test pictures."""
    import torch

    events.import_optimizers()
    first, second = read(dataset, pair)
    start, end = (sources.test_picture(dataset, i)["x"] for i in (first, second))
    rows, reasons = {}, {}
    lines = python_lines(dataset, first, second)
    pending = {"path_lines": programs.PENDING}
    try:
        for found in gm.comparison.path(dataset, start, end, STEPS):
            title = data.family_title(found.name)
            if found.problem:
                reasons.setdefault(events.sentence(ValueError(found.problem)), []).append(title)
            else:
                rows[title] = found.x
            if rows:
                frames = {**sheet(torch.cat(list(rows.values())), STEPS), "rows": list(rows)}
                yield {"frames": frames, "note": in_words(reasons), **pending}
                pending = {}
    except events.Stopped:
        lines = programs.STOPPED
    shown = {"frames": {**sheet(torch.cat(list(rows.values())), STEPS), "rows": list(rows)}} if rows else {}
    if not rows:
        shown = {"frames": {"message": in_words(reasons)}}
    yield {**shown, "note": in_words(reasons), "path_lines": lines}


def in_words(reasons: dict[str, list[str]]) -> str:
    """Why families have no row."""
    return "\n\n".join(f"{join(titles)}: {reason}" for reason, titles in reasons.items())


def read(dataset: str, pair: Any) -> tuple[int, int]:
    """The numbers of two test pictures, which a client may have made up."""
    first, second = pair if isinstance(pair, (list, tuple)) and len(pair) == 2 else OPENING
    data.check(dataset)
    ends = Ends.read(first=first, second=second)
    return ends.first, ends.second


def python_lines(dataset: str, first: int, second: int) -> str:
    return programs.program(
        f'pictures = gm.data.samples("{dataset}").floats()\n'
        f'rows = gm.comparison.path("{dataset}", pictures[{first}:{first + 1}], pictures[{second}:{second + 1}], {STEPS})\n'
        f"x = torch.cat([row.x for row in rows if row.x is not None])\n{programs.save(STEPS, 2)}"
    )


def choose(dataset: str, pair: Any, end: str, event: gr.EventData) -> dict:
    """Another test picture for one end -> pair."""
    i = int(events.event_number(event, "index", TILES - 1))
    first, second = read(dataset, pair)
    return {"pair": (first, i) if End.read(end=end).end == "last" else (i, second)}


def restore(dataset: str, first: int, second: int, **controls: Any) -> dict:
    """The ends that a link names -> pair, path_tiles."""
    pair = read(dataset, (first, second))
    return {"pair": pair, "path_tiles": {**sources.tiles(dataset, TILES, -1), "pair": pair}}


def open_dataset(dataset: str) -> dict:
    """Another data set -> its test pictures; nothing is computed yet."""
    tiles = sources.tiles(data.check(dataset), TILES, -1)
    waiting = {"message": _("Press the button, or choose another picture for one of the ends.")}
    return {"path_tiles": tiles, "pair": OPENING, "frames": waiting, "note": "", "path_lines": ""}


def compare_interpolate(
    dataset: Literal[*data.TITLES] = "mnist",
    ends: Ends = Ends(),  # noqa: B008
) -> Iterator[tuple[dict, Image]]:
    """Interpolate between two test pictures through the latent space of every family that has one.

    Args:
        dataset: mnist (digits), fashion (clothes) or avatars (faces).
    Returns:
        The checkpoint of each row, and why other families have none; and a PNG with a row of pictures for each family.
    """
    import torch

    events.import_optimizers()
    start, end = (sources.test_picture(data.check(dataset), i)["x"] for i in (ends.first, ends.second))
    found = yield from data.finished(gm.comparison.path(dataset, start, end, ends.steps))
    pictures = [row.x for row in found if row.x is not None]
    if not pictures:
        raise ValueError(events.sentence(ValueError(found[0].problem)))
    facts = {
        "rows": [row.name for row in found if row.x is not None],
        "problems": {row.name: events.sentence(ValueError(row.problem)) for row in found if row.problem},
    }
    yield facts, gm.pictures.grid(torch.cat(pictures), ends.steps, scale=2)


def lay_out(dataset: gr.Radio) -> tuple:
    """Lay out and wire the tool. Returns the step that opens a data set."""
    layout.hint(
        _(
            "From one test picture to another, step by step through each family's latent space. The VAE and the flow encode "
            "both pictures, the GAN searches for the nearest that it generates."
        )
    )
    with gr.Row():
        with gr.Column(scale=6, min_width=280):
            tiles = Tiles(columns=10, name=_("Test pictures"), elem_id="compare-ends")
            with gr.Row(elem_classes="small-controls"):
                end = End.components("compare")
                start = gr.Button(_("Interpolate"), variant="primary", scale=2, min_width=110)
                stop = gr.Button(_("Stop"), scale=1, min_width=70)
        with gr.Column(scale=11, min_width=300):
            frames = Scrubber(ends=(_("first"), _("last")), elem_id="compare-path")
            note = gr.Markdown(elem_classes="hint")
    outputs = {"frames": frames, "note": note, "path_lines": layout.python_panel("compare", "path")}
    inputs, pair = {"dataset": dataset}, {"pair": gr.State(OPENING)}
    runs = events.Runs("frames", stop)
    chosen = events.act(tiles.input, choose, {**inputs, **pair, **end}, pair)
    noted = f"(v, end) => ({{...v, pair: (v.pair ?? {list(OPENING)}).map((i, k) => k === +(end === 'last') ? v.chosen : i)}})"
    events.in_browser(chosen.success, noted, {"tiles": tiles, **end}, {"tiles": tiles})
    ends = {name: links.Part(tiles, f"v?.pair?.[{i}]") for i, name in enumerate(("first", "second"))}
    links.tool(Shown, {**end, **ends}, (restore, inputs, {**pair, "path_tiles": tiles}), "path")
    for trigger in (start.click, chosen.then, links.restored(pair)):
        runs.stream(trigger, walk, {**inputs, **pair}, outputs)
    return open_dataset, inputs, {"path_tiles": tiles, **pair, **outputs}
