"""FID against the number of function evaluations, as measured for the card."""

import genmodels as gm
from tabs import layout
from tabs.components import line
from tabs.components.chart import Chart
from tabs.diffusion.data import DIFFUSION
from tabs.diffusion.sampling import SAMPLERS
from tabs.language import _


def show(dataset):
    """-> chart."""
    name = DIFFUSION.checkpoint(dataset)
    rows, facts = gm.cards.sampler_rows(name), gm.cards.read_json(name, "calls.json")
    try:
        chart = {
            "lines": [line(title, rows[sampler]) for sampler, title in SAMPLERS.items() if sampler in rows],
            "floor": facts["floor"]["fid"],
            "x": _("function evaluations (NFE) per sample"),
            "y": _("FID of {n:,} pictures (lower is better)", n=facts["n"]),
        }
    except (KeyError, TypeError, ValueError):
        text = _("There are no measurements: calls.json of {name} is missing or cannot be read.", name=name)
        chart = {"message": text}
    return {"chart": chart}


def lay_out():
    layout.hint(
        _(
            "**FID**, the distance between 1,000 generated pictures and the real ones of the test split in the features of "
            "this repository's classifier, against the number of function evaluations (**NFE**): how often the network is "
            "called for one sample. No guidance. The line below is that of 1,000 real training pictures."
        )
    )
    return Chart(elem_id="diffusion-chart")
