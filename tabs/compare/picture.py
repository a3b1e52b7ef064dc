"""One picture, every family: what each makes of it, and how likely each finds it and its mirror image."""

from collections.abc import Iterator
from typing import Any, Literal

import gradio as gr
from PIL.Image import Image

import genmodels as gm
from tabs import endpoints, events, layout, links, programs, sources
from tabs.compare import data, sampling
from tabs.components import sheet
from tabs.components.family_rows import FamilyRows, Row
from tabs.language import _
from tabs.sources import Source

PICTURES = sources.Chooser()


def computed_row(found: "gm.comparison.Rebuilding", x: Any) -> tuple[Row, str]:
    """(a family's row, its picture and the difference to x)."""
    import torch

    title, state = data.family_title(found.name), "done" if found.finished else "running"
    base: Row = {"name": found.name, "title": title, "state": state, "facts": []}
    if found.problem:
        return {**base, "state": "problem", "problem": events.sentence(ValueError(found.problem))}, ""
    if found.x is None:
        return base, ""
    values = [_("its picture"), _("difference")]
    facts = [] if found.error is None else [(_("squared error"), f"{found.error:.4f}")]
    h, w = found.x.shape[2:]
    row: Row = {
        **base,
        **likelihoods(found.likelihood, x[0].numel()),
        "n": 2,
        "w": w,
        "h": h,
        "note": _(found.way),
        "values": values,
        "labels": [f"{title}: {value}" for value in values],
    }
    return {**row, "facts": facts}, sheet(torch.cat([found.x, (found.x - x).abs()]), 2)["source"]


def likelihoods(likelihood: "gm.base.Likelihood | None", dims: int) -> dict[str, str]:
    """The entry of a row on the likelihood of the picture and of its mirror image."""
    if likelihood is None:
        return {}
    bits = data.bits(likelihood, dims)
    if bits is None:
        return {"likelihood": _("Likelihood: none. {reason}", reason=_(likelihood.subject))}
    values = {"this": f"{bits[0]:.3f}", "mirrored": f"{bits[1]:.3f}", "pictures": _(likelihood.subject)}
    if likelihood.kind == "exact":
        return {"likelihood": _("{this} bits per pixel, mirrored {mirrored} ({pictures}).", **values)}
    return {"likelihood": _("At most {this} bits per pixel, mirrored {mirrored} ({pictures}).", **values)}


def python_lines(source: Source) -> str:
    dataset = source["dataset"]
    return programs.program(
        source["lines"] + f'rows = list(gm.comparison.rebuild("{dataset}", picture))\n'
        "for row in rows:\n"
        "    print(row.name, row.way, row.error, row.likelihood, row.problem)\n"
        f"x = torch.cat([picture, *[row.x for row in rows if row.x is not None]])\n{programs.save(6)}"
    )


def rebuild(dataset: str, source: Source | None) -> Iterator[dict]:
    """What every family makes of the picture: yields rows, picture_lines."""
    events.import_optimizers()
    x = sources.require(source, data.check(dataset))["x"]
    rows = {name: sampling.stored_row(name, "waiting") for name in gm.comparison.checkpoints(dataset)}
    rows = {name: ({**row, "facts": []}, "") for name, (row, _picture) in rows.items()}
    lines = python_lines(source)
    yield {"rows": FamilyRows.value(rows), "picture_lines": programs.PENDING}
    try:
        for found in gm.comparison.rebuild_steps(dataset, x):
            rows[found.name] = computed_row(found, x)
            yield {"rows": FamilyRows.value(rows)}
    except events.Stopped:
        lines = programs.STOPPED
        rows = {name: (sampling.stopped(row), picture) for name, (row, picture) in rows.items()}
    yield {"rows": FamilyRows.value(rows), "picture_lines": lines}


def open_dataset(dataset: str) -> dict:
    """Another data set -> its test pictures, one of them chosen; nothing is computed yet."""
    waiting = {"message": _("Choose a picture, or press the button: every family makes its own of it.")}
    return {**PICTURES.open_dataset(data.check(dataset)), "rows": waiting, "picture_lines": ""}


def compare_picture(
    dataset: Literal[*data.TITLES] = "mnist",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
) -> Iterator[tuple[dict, Image]]:
    """Show every family the same picture: what each makes of it, and how likely each finds it and its mirror image.

    Args:
        dataset: mnist (digits), fashion (clothes) or avatars (faces).
    Returns:
        For each family its checkpoint, how it rebuilt the picture, the mean squared error, and the bits per pixel of the
        picture and of its mirror image, or why there are none; and a PNG with the picture and what each family made of it.
    """
    import torch

    events.import_optimizers()
    x = sources.upload_or_test_picture(data.check(dataset), picture, test_picture_number)["x"]
    found = yield from data.finished(gm.comparison.rebuild_steps(dataset, x))
    facts = [data.facts(row, way=row.way, squared_error=row.error) for row in found]
    pictures = [x, *(row.x for row in found if row.x is not None)]
    yield {"rows": facts}, gm.pictures.grid(torch.cat(pictures), len(pictures), scale=4)


def lay_out(dataset: gr.Radio) -> tuple:
    """Lay out and wire the tool. Returns the step that opens a data set."""
    layout.hint(
        _(
            "**One picture, every family.** Each makes its own of it in the way that it has, and says how likely it finds it, "
            "and its mirror image."
        )
    )
    with gr.Row():
        with gr.Column(scale=6, min_width=280):
            parts = PICTURES.lay_out("compare")
            with gr.Row(elem_classes="small-controls"):
                start = gr.Button(_("Show it to every family"), variant="primary", scale=3, min_width=150)
                stop = gr.Button(_("Stop"), scale=1, min_width=70)
        with gr.Column(scale=11, min_width=300):
            rows = FamilyRows(elem_id="compare-rebuilt", elem_classes="pairs")
    outputs = {"rows": rows, "picture_lines": layout.python_panel("compare", "picture")}
    source, runs = {"source": gr.State()}, events.Runs("rows", stop)
    chosen = [event.then for event in PICTURES.connect(parts, {"dataset": dataset}, source)]
    for trigger in (start.click, *chosen, links.restored(source)):
        runs.stream(trigger, rebuild, {"dataset": dataset, **source}, outputs, rate=8)
    return open_dataset, {"dataset": dataset}, {**PICTURES.opened(parts), **source, **outputs}
