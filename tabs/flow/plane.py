"""The same kind of layer on points of a plane, trained while the visitor watches."""

import base64
from typing import Annotated, Literal

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, programs
from tabs.components.plane_view import UNIT, PlaneView, pack_points, unpack_points
from tabs.controls import Controls, radio, slider
from tabs.language import _

SECONDS, POINTS = 10, 1000  # of the training; of the points, where the visitor draws none
OWN = "own"  # the visitor's points
SHAPES = {
    "moons": Message("Moons"),
    "rings": Message("Rings"),
    "checkerboard": Message("Checkerboard"),
    OWN: Message("Your points"),
}
MOST_POINTS, FEWEST_POINTS = 2000, 16
LINKED_POINTS = 300  # of more than that, a link has as many, evenly spread over the order in which they were drawn


class Plane(Controls):
    shape: Annotated[
        Literal["moons", "rings", "checkerboard", "own"],
        radio([(title, name) for name, title in SHAPES.items()], show_label=False, container=False, elem_classes="small-pills"),
    ] = Field("moons", title=Message("Points"))
    layers: Annotated[int, slider(elem_id="flow-depth")] = Field(6, ge=1, le=12, title=Message("Layers"))


class Drawn(Plane):
    """What a link says of the tool."""

    points: str = Field("", max_length=1600, pattern="^[A-Za-z0-9_-]*$", title="Points")


def points_of(shape, drawn):
    """(N, 2) tensor of the points to be learnt, and the lines that make them."""
    import torch

    if shape != OWN:
        return gm.plane.toy_points(shape, POINTS, seed=0), f'points = gm.plane.toy_points("{shape}", {POINTS}, seed=0)\n'
    points = torch.tensor(unpack_points(drawn)[:MOST_POINTS]).clamp(-1, 1)
    if len(points) < FEWEST_POINTS:
        raise ValueError(Message("At least {fewest} points are needed: draw more of them in the square.", fewest=FEWEST_POINTS))
    line = f"np.frombuffer(base64.b64decode({pack_points(points)!r}), '<i2')"
    return points, f"points = torch.tensor({line}.reshape(-1, 2) / {UNIT}).float()\n"


def show_points(shape, drawn):
    """-> plane, lines: the points alone, before anything is learnt."""
    shape = Plane.read(shape=shape).shape
    if shape == OWN:
        points = unpack_points(drawn)[:MOST_POINTS]
        text = _("{n} points. Draw more, or train.", n=len(points)) if len(points) else _("Press and drag to draw points.")
    else:
        points, text = points_of(shape, None)[0], _("{n:,} points.", n=POINTS)
    return {"plane": {"points": pack_points(points), "draw": shape == OWN, "text": text}, "lines": _(programs.PENDING)}


def take_points(event: gr.EventData):
    """The visitor drew -> points, as text."""
    data = event._data if isinstance(event._data, dict) else {}
    return {"drawn": pack_points(unpack_points(data.get("points"))[:MOST_POINTS])}


def restore(points, **controls):
    """-> drawn: a link's points."""
    return {"drawn": pack_points(unpack_points(base64_of(points))[:LINKED_POINTS])}


def base64_of(text):
    """The base64 that a link has in another alphabet, without its end."""
    return text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)


def train(drawn, **controls):
    """Fit a flow to the points, step by step: yields plane, lines."""
    events.import_optimizers()
    options = Plane.read(**controls)
    points, lines = points_of(options.shape, drawn)
    fit = options.call("gm.plane.fit_plane", gm.plane.fit_plane, "points", seconds=SECONDS, layers=options.layers, seed=0)
    lines = programs.program(f"{lines}*_, last = {fit}\nprint(last.step, last.nats)  # depends on the speed of your machine\n")
    state = None
    try:
        for state in gm.plane.fit_plane(points, seconds=SECONDS, layers=options.layers, seed=0, every=0.12):
            pending = {"lines": _(programs.PENDING)} if state.step == 0 else {}
            yield {"plane": view(options.shape, points, state, live=True), **pending}
    except events.Stopped:
        lines = _(programs.STOPPED)
    if state:
        yield {"plane": view(options.shape, points, state, live=False), "lines": lines}


def view(shape, points, state, live) -> PlaneView.Value:
    """A state of the training as the plane shows it."""
    import torch

    stages, lines, n = state.lines.shape[:3]
    density = (state.density / torch.quantile(state.density, 0.995).clamp(min=1e-9)).clamp(0, 1).sqrt()
    return {
        "points": pack_points(points),
        "draw": shape == OWN,
        "live": live,
        "grid": {"stages": stages, "lines": lines, "points": n, "coordinates": pack_points(state.lines)},
        "density": base64.b64encode((255 * density).byte().numpy().tobytes()).decode(),
        "text": _(
            "{step} steps in {seconds:.1f} s: {nats:.2f} nats per point (lower is better)",
            step=state.step,
            seconds=state.seconds,
            nats=state.nats,
        ),
    }


def lay_out(first_visit):
    """Lay out and wire the tool."""
    layout.hint(
        _(
            "The same kind of layer on points of the plane, trained live. The grid is straight in noise space; "
            "the layers transform it."
        )
    )
    drawn = {"drawn": gr.State()}
    points = {**Plane.components("flow", "shape"), **drawn}
    plane = PlaneView(most_points=MOST_POINTS, elem_id="flow-plane")
    with gr.Row(elem_classes="small-controls"):
        layers = Plane.components("flow", "layers")
        start = gr.Button(_("Train"), variant="primary", scale=2, min_width=80, elem_id="flow-train")
        stop = gr.Button(_("Stop"), scale=1, min_width=70, elem_id="flow-stop")
    runs, outputs = events.Runs("plane", stop), {"plane": plane, "lines": layout.python_panel("flow", "plane")}
    sketched = events.live(plane.input, take_points, {}, drawn)
    for trigger in (points["shape"].input, sketched.then, first_visit, links.restored({**points, **layers})):
        runs.act(trigger, show_points, points, outputs)
    sketch = links.Part(plane, f"v?.draw && v.points ? window.links.points(v.points, {LINKED_POINTS}) : null")
    links.tool(Drawn, {**points, **layers, "points": sketch}, (restore, {}, drawn), "plane")
    runs.live(layers["layers"].input, show_points, points, outputs)
    runs.stream(start.click, train, {**points, **layers}, outputs, rate=8)
