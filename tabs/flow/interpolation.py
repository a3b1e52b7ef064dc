"""The straight line in the latent space between two test pictures."""

from typing import Annotated

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, sources
from tabs.components import sheet
from tabs.components.scrubber import Scrubber
from tabs.controls import Controls, dropdown
from tabs.flow.data import FLOW
from tabs.language import _

FRAMES = 25
OPENING = {"mnist": ("3", "8"), "fashion": ("T-shirt", "ankle boot")}


class Ends(Controls):
    first: Annotated[str, dropdown([("3", "3")], min_width=100)] = Field("3", title=Message("From"), max_length=80)
    last: Annotated[str, dropdown([("8", "8")], min_width=100)] = Field("8", title=Message("To"), max_length=80)


def show(dataset, **controls):
    """-> frames, lines: on the straight line in z from a test picture of one class to one of another."""
    import torch

    ends = Ends.read(**controls)
    model, x = FLOW.load(dataset), sources.test_pictures(dataset)[0]
    classes = FLOW.conditions(dataset)["class"]
    i, j = (classes.index(gm.base.check_choice(Message("Class"), label, classes)) for label in (ends.first, ends.last))
    if i == j:  # test pictures begin with one of each class, twice
        j += len(classes)
    z = model.encode(x[[i, j]], seed=0)
    t = torch.linspace(0, 1, FRAMES, dtype=z.dtype)[:, None]
    frames = model.decode(torch.lerp(z[:1], z[1:], t))
    lines = (
        f'pictures = gm.data.samples("{dataset}").floats()[[{i}, {j}]]\nz = model.encode(pictures, seed=0)\n'
        f"t = torch.linspace(0, 1, {FRAMES}, dtype=z.dtype)[:, None]\nx = model.decode(torch.lerp(z[:1], z[1:], t))\n"
    )
    return {
        "frames": {**sheet(frames, FRAMES), "rows": [_("linear in z")]},
        "lines": FLOW.program(dataset, lines, FRAMES, 2),
    }


def opening_values(dataset):
    return dict(zip(Ends.model_fields, OPENING[FLOW.check(dataset)]))


def open_dataset(dataset):
    ends = opening_values(dataset)
    choices = [(_(name), name) for name in FLOW.conditions(dataset)["class"]]
    controls = {name: gr.update(choices=choices, value=value) for name, value in ends.items()}
    return {**controls, **show(dataset, **ends)}


def lay_out(dataset):
    """Lay out and wire the tool. Returns the step that opens a data set."""
    gr.Markdown(_("### Interpolation"))
    layout.hint(
        _("Two test pictures are encoded to noise z. Every point on the straight line between them decodes to a picture.")
    )
    with gr.Row(elem_classes=["small-controls", "change"]):
        ends = Ends.components("flow")
    frames = Scrubber(ends=(_("from"), _("to")), elem_id="flow-way")
    outputs = {"frames": frames, "lines": layout.python_panel("flow", "way")}
    for end in ends.values():
        events.live(end.input, show, {"dataset": dataset, **ends}, outputs, events.ignore)
    links.tool(Ends, ends, (show, {"dataset": dataset}, outputs), "interpolation", opening_values)
    return open_dataset, {"dataset": dataset}, {**ends, **outputs}
