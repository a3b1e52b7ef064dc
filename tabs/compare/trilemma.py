"""Fast, good and varied: what was measured of all families, as a chart and as a table. All numbers are the cards'."""

import json

import gradio as gr

import genmodels as gm
from tabs import events, layout
from tabs.compare import data, sampling
from tabs.components.family_rows import FamilyRows, Row
from tabs.components.scatter import Scatter
from tabs.components.sortable_table import SortableTable
from tabs.language import _, join


def number(value: float | None, text: str) -> tuple[str, float | None]:
    """A cell of the table."""
    return (_("not measured"), None) if value is None else (text.format(value), value)


def share(value: float | None, n: str = "") -> tuple[str, float | None]:
    return number(None if value is None else 100 * value, "{:.1f} %" + n)


def bits_cell(row: dict) -> tuple[str, float | None]:
    """Bits per pixel of 8-bit test pictures, or why there are none to compare."""
    texts = {"binarised": _("not comparable: binarised pixels"), "none": _("none")}
    if row["bits_kind"] in texts:
        return texts[row["bits_kind"]], None
    return number(row["bits"], "≤ {:.4g}" if row["bits_kind"] == "bound" else "{:.4g}")


def chart(found: dict) -> Scatter.Value:
    points = [
        {
            "title": data.family_title(row["name"]),
            "x": row["seconds"],
            "y": row["fid"],
            "size": row["recall"],
            "colour": list(gm.FAMILIES).index(row["name"].split("-")[0]),
        }
        for row in found["rows"]
    ]
    missing = join([point["title"] for point in points if point["x"] is None or point["y"] is None])
    return {
        "points": json.dumps(points),
        "floor": found["floor"],
        "x": _("time per sample (one thread)"),
        "y": _("FID of {n} pictures (lower is better)", n=f"{found['n']['fid'] or 0:,}"),
        "size": _("A dot is the larger, the more of the real pictures' variety is covered: recall, in per cent."),
        "missing": _("Not measured: {families}.", families=missing) if missing else "",
    }


def table(found: dict) -> SortableTable.Value:
    columns = [
        _("family"),
        "FID",
        _("precision"),
        _("recall"),
        _("coverage"),
        "CAS",
        _("bits per pixel"),
        "NFE",
        _("ms per sample"),
        _("parameters"),
        _("minutes of training"),
        _("copies"),
    ]
    sizes = {row["cas_n"] for row in found["rows"] if row["cas_n"]}
    rows = []
    for row in found["rows"]:
        milliseconds = None if row["seconds"] is None else 1000 * row["seconds"]
        cells = [
            number(row["fid"], "{:.4g}"),
            *(share(row[metric]) for metric in ("precision", "recall", "coverage")),
            share(row["cas"], "†" if row["cas_n"] and row["cas_n"] < max(sizes) else ""),
            bits_cell(row),
            number(row["calls"], "{:,}"),
            number(milliseconds, "{:.3g}"),
            number(row["parameters"] and row["parameters"] / 1e6, "{:.2f} M"),
            number(row["minutes"], "{:g}"),
            share(row["copies"]),
        ]
        rows.append((data.family_title(row["name"]), cells))
    n = found["n"]["fid"]
    caption = _(
        "FID, precision, recall and coverage of {n} pictures of each family, in the features of this project's own classifier; "
        "FID of as many training pictures: {floor}. Bits per pixel of 8-bit test pictures, given the class where a model takes "
        "one; NFE: function evaluations, how often the network is called; copies: samples that are nearer to a training "
        "picture than 99 % of test pictures are. Choose a family to see its samples, the training pictures nearest to them, "
        "and its card.",
        n=f"{n:,}" if n else "–",
        floor=f"{found['floor']:.4g}" if found["floor"] else _("not measured"),
    )
    if found["on_cards"]:
        caption += " " + _("These are the cards' numbers, with the sampling options that stand there.")
    if len(sizes) > 1:
        caption += " " + _(
            "†: with {few} pictures to learn from instead of {many}.", few=f"{min(sizes):,}", many=f"{max(sizes):,}"
        )
    return SortableTable.value(columns, rows, caption)


def show(dataset: str) -> dict:
    """-> chart, table, card."""
    found = gm.cards.comparison(data.check(dataset))
    if not found["rows"]:
        message = {"message": _("There are no checkpoints of models that generate pictures: see the README.")}
        return {"chart": message, "table": message, "card": ""}
    return {"chart": chart(found), "table": table(found), "card": card(found["rows"][0]["name"])}


def card(name: str) -> str:
    """The table of the families' models, and the card of one of them."""
    return gm.cards.about(gm.cards.shipped(gm.cards.generators(name.split("-")[1])), name)


def choose(dataset: str, event: gr.EventData) -> dict:
    """A family was chosen -> stage: its stored samples; card."""
    rows = gm.cards.comparison(data.check(dataset))["rows"]
    name = rows[int(events.event_number(event, "index", len(rows) - 1))]["name"]
    row, _picture = sampling.stored_row(name)
    note = _("Samples from the end of its training. Ask every family to see all of them again.")
    whole = {key: value for key, value in row.items() if key not in ("n", "w", "h")} | {"note": note, "whole": True}
    shown = {name: (whole, layout.poster(name)), **nearest_pictures(name)}
    return {"stage": FamilyRows.value(shown), "card": card(name)}


def nearest_pictures(name: str) -> dict[str, tuple[Row, str]]:
    """Does it copy? A row of stored samples and one of the training pictures nearest to them; {} if that was not measured."""
    measured = gm.cards.read_json(name, "comparison.json")
    samples, nearest = (data.stored_samples(name, file) for file in ("comparison.png", "nearest.png"))
    if not (samples and nearest and {"nearest", "copies", "copies_limit"} <= measured.keys()):
        return {}
    distances = [f"{distance:.3f}" for distance in measured["nearest"]]
    rows: list[Row] = [
        {
            "name": f"{name} samples",
            "title": _("Does it copy?"),
            "state": "stored",
            "facts": [(_("copies"), share(measured["copies"])[0]), (_("of test pictures"), share(0.01)[0])],
            "note": _(
                "Stored samples. A copy is one that is nearer to a training picture than 99 % of test pictures are: at a "
                "distance of less than {limit}, root mean square over the pixels.",
                limit=f"{measured['copies_limit']:.3f}",
            ),
        },
        {
            "name": f"{name} nearest",
            "title": _("Nearest training pictures"),
            "state": "stored",
            "facts": [],
            "note": _("Of all training pictures the one nearest to the sample above it, and their distance."),
            "values": distances,
            "labels": [
                _("training picture nearest to sample {i}, at a distance of {distance}", i=i, distance=distance)
                for i, distance in enumerate(distances, 1)
            ],
        },
    ]
    return {
        row["name"]: ({**row, "n": n, "w": side, "h": side}, picture)
        for row, (n, side, picture) in zip(rows, (samples, nearest))
    }


def lay_out() -> dict:
    """The chart and the table by name."""
    layout.hint(
        _(
            "Fast, good, varied: no family is the best in all three. **Choose a dot** or a row to see the family's samples "
            "above, and whether it copies: the training pictures nearest to some of them."
        )
    )
    return {
        "chart": Scatter(elem_id="compare-chart"),
        "table": SortableTable(name=_("All families in numbers"), elem_id="compare-table"),
    }
