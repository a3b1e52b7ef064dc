"""One request to every family: a row of samples each, as they are computed."""

import functools
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import gradio as gr
from PIL.Image import Image
from pydantic import Field

import genmodels as gm
from genmodels.labels import ANY, EACH
from genmodels.messages import Message
from tabs import events, labels, layout, links, programs
from tabs.compare import data
from tabs.components import sheet
from tabs.components.family_rows import FamilyRows, Row
from tabs.controls import SEED, Controls, Seed, slider
from tabs.language import _


class Sampling(Controls):
    label: str = Field(ANY, title=Message("Class"), max_length=500)
    n: Annotated[int, slider()] = Field(8, ge=1, le=16, title=Message("Samples of each family"))
    seed: Seed = SEED


class Shown(Sampling, labels.Menus):
    """What a link says of the request."""


def read(dataset: str, **controls: Any) -> Sampling:
    """The controls, checked."""
    options = Sampling.read(**labels.from_menus(data.conditions(dataset), controls))
    labels.for_picture(gm.labels.all_conditions(dataset), options.label)
    return options


# --- Rows -------------------------------------------------------------------------------------------------------------


def row(name: str, state: str, seconds: float | None, calls: int | None, parameters: int | None, **more: Any) -> Row:
    """A family's row. more: the other entries of `Row`."""
    facts = []
    if seconds is not None:
        facts.append((_("ms per sample"), f"{1000 * seconds:.3g}"))
    if calls:
        facts.append((_("function evaluations"), f"{calls:,}"))
    if parameters:
        facts.append((_("parameters"), f"{parameters / 1e6:.2f} M"))
    return {"name": name, "title": data.family_title(name), "state": state, "facts": facts, **more}


def stored_row(name: str, state: str = "stored") -> tuple[Row, str]:
    """(a family's row before it has computed, its stored samples, or "")."""
    if not gm.cards.shipped((name,)):
        return row(name, "absent", None, None, None, problem=_("This family has no checkpoint for these pictures.")), ""
    measured, samples = gm.cards.read_json(name, "comparison.json"), data.stored_samples(name)
    parameters = measured.get("parameters") or gm.cards.metadata(name).get("parameters")
    waiting = row(name, state, None, measured.get("calls"), parameters)
    if state != "stored" or samples is None:
        return waiting, ""
    n, side, picture = samples
    return {**waiting, "note": _("Stored samples, from seed 0."), "n": n, "w": side, "h": side}, picture


def computed_row(found: "gm.comparison.Comparison") -> tuple[Row, str]:
    """(a family's row, its samples) while it computes, and when it has."""
    if found.problem:
        return row(found.name, "problem", None, None, None, problem=events.sentence(ValueError(found.problem))), ""
    state = "done" if found.finished else "running"
    values = (found.seconds_per_sample, found.sampling_calls, found.parameters)
    if found.x is None:
        return row(found.name, state, *values, note=_(found.note)), ""
    n, _channels, h, w = found.x.shape
    return row(
        found.name, state, *values, note=_(found.note), n=n, w=w, h=h, **in_words(found.likelihood, found.x[0].numel())
    ), sheet(found.x, n)["source"]


def in_words(likelihood: "gm.base.Likelihood | None", dims: int) -> dict[str, Any]:
    """The entries of a row that say how likely a family says its samples are."""
    if likelihood is None:
        return {}
    values = data.bits(likelihood, dims)
    if values is None:
        return {"likelihood": _("Likelihood: none. {reason}", reason=_(likelihood.subject))}
    if likelihood.kind == "exact":
        text = _("Likelihood: exact. Under each sample its bits per pixel ({pictures}).", pictures=_(likelihood.subject))
    else:
        text = _(
            "Likelihood: a bound. A sample has at most so many bits per pixel ({pictures}).", pictures=_(likelihood.subject)
        )
    return {"likelihood": text, "values": [f"{value:.2f}" for value in values]}


def stored(names: list[str]) -> Any:
    """The stage before anything is computed. names: of the families' checkpoints. Without torch."""
    if not gm.cards.shipped(names):
        return {"message": _("There are no checkpoints of models that generate pictures: see the README.")}
    return FamilyRows.value({name: stored_row(name) for name in names})


def python_lines(dataset: str, options: Sampling) -> str:
    label = "" if options.label == ANY else f', label="{options.label}"'
    return programs.program(
        f'rows = list(gm.compare("{dataset}"{label}, n={options.n}, seed={options.seed}))\n'
        "for row in rows:\n"
        "    print(row.name, row.seconds_per_sample, row.likelihood, row.problem)\n"
        f"x = torch.cat([row.x for row in rows if row.x is not None])\n{programs.save(options.n)}"
    )


def generate(dataset: str, **controls: Any) -> Iterator[dict]:
    """The samples of every family, one family after another: yields stage, lines."""
    options = read(dataset, **controls)
    rows = {name: stored_row(name, "waiting") for name in gm.comparison.checkpoints(dataset)}
    lines = python_lines(dataset, options)
    # The lane's other computations, to which this one gives way, take none of its thread's time.
    steps = gm.comparison.compare_steps(dataset, options.label, options.n, options.seed, clock=time.thread_time)
    try:
        # The first output is the first row: another one before it would make it wait for its turn to be sent.
        for i, found in enumerate(steps):
            rows[found.name] = computed_row(found)
            yield {"stage": FamilyRows.value(rows), **({} if i else {"lines": programs.PENDING})}
    except events.Stopped:
        lines = programs.STOPPED
        rows = {name: (stopped(row), picture) for name, (row, picture) in rows.items()}
    yield {"stage": FamilyRows.value(rows), "lines": lines}


def stopped(row: Row) -> Row:
    """A row after Stop."""
    return {**row, "state": "stopped", "note": _("Stopped.")} if row["state"] in ("waiting", "running") else row


def open_dataset(dataset: str) -> dict:
    """Another data set: the controls as they open, and stored samples of every family."""
    options, menus = Sampling(), labels.menu_updates(data.conditions(dataset))
    for update in menus.values():  # one of each would be as many requests
        update["choices"] = [choice for choice in update.get("choices", [(_("any"), ANY)]) if choice[1] != EACH]
        update["value"] = ANY
    return {
        **menus,
        **options.model_dump(exclude={"label"}),
        "stage": stored(gm.comparison.checkpoints(dataset)),
        "lines": python_lines(dataset, options),
    }


def compare(
    dataset: Literal[*data.TITLES] = "mnist",
    options: Sampling = Sampling(),  # noqa: B008
) -> Iterator[tuple[dict, Image]]:
    """Ask every family for the same samples, and measure them.

    Args:
        dataset: mnist (digits), fashion (clothes) or avatars (faces).
    Returns:
        For each family its checkpoint, seconds per sample, function evaluations, parameters and the bits per pixel of its
        samples, or why there are none; and a PNG with a row of samples for each family that has them.
    """
    import torch

    labels.for_picture(gm.labels.all_conditions(data.check(dataset)), options.label, "label")
    steps = gm.comparison.compare_steps(dataset, options.label, options.n, options.seed, clock=time.thread_time)
    found = yield from data.finished(steps)
    pictures = [row.x for row in found if row.x is not None]
    if not pictures:
        raise ValueError(found[0].problem if found else "There is no family that generates these pictures.")
    yield {"rows": [facts(row) for row in found]}, gm.pictures.grid(torch.cat(pictures), options.n, scale=4)


def facts(row: "gm.comparison.Comparison") -> dict[str, Any]:
    """What the endpoint says of a row."""
    return data.facts(
        row,
        seconds_per_sample=row.seconds_per_sample,
        function_evaluations=row.sampling_calls,
        parameters=row.parameters,
        note=row.note,
    )


# --- Layout -----------------------------------------------------------------------------------------------------------


def lay_out_controls() -> dict[str, Any]:
    """The controls by name, and the buttons "new" and "stop"."""
    gr.Markdown(f"### {_('One request, every family')}")
    controls = {**labels.menus("compare"), **Sampling.components("compare", "n")}
    new, controls["seed"], stop = layout.seed_row(_("Ask every family"), _("Stop"))
    return {**controls, "new": new, "stop": stop}


def connect(runs: events.Runs, inputs: dict, outputs: dict, new: gr.Button) -> None:
    """Wire the tool."""
    drawn = events.new_seed(new, inputs["seed"])
    changes = [*(inputs[name].input for name in labels.MENUS), inputs["n"].release, inputs["seed"].submit]
    asked = {name: inputs[name] for name in (*labels.MENUS, "n", "seed")}
    for trigger in (drawn.then, functools.partial(gr.on, changes), links.restored(asked)):
        runs.stream(trigger, generate, inputs, outputs, rate=8)
    links.tool(Shown, asked)
