"""FID against the number of function evaluations, as measured for the card."""

import json

from tabs import cards, layout
from tabs.components import line
from tabs.components.chart import Chart
from tabs.diffusion.sampling import SAMPLERS


def show(dataset):
    """-> chart."""
    name = f"diffusion-{dataset}"
    try:
        measured = json.loads((cards.checkpoints() / name / "calls.json").read_text(encoding="utf-8"))
        points = {
            title: sorted((row["calls"], row["fid"]) for row in measured["rows"] if row["sampler"] == sampler)
            for sampler, title in SAMPLERS.items()
        }
        chart = {
            "lines": [line(title, p) for title, p in points.items() if p],
            "floor": measured["floor"]["fid"],
            "x": "function evaluations (NFE) per sample",
            "y": f"FID of {measured['n']:,} pictures (lower is better)",
        }
    except (OSError, ValueError, KeyError, TypeError):
        chart = {"message": f"There are no measurements: calls.json of {name} is missing or cannot be read."}
    return {"chart": chart}


def lay_out():
    layout.hint(
        "**FID**, the distance between 1,000 generated pictures and the real ones of the test split in the features of this "
        "repository's classifier, against the number of function evaluations (**NFE**): how often the network is called for "
        "one sample. No guidance. The line below is that of 1,000 real training pictures."
    )
    return Chart(elem_id="diffusion-chart")
