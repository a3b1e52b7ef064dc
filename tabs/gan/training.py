"""The replay of the training: snapshots, losses and scores at its steps."""

import base64
import json
from pathlib import Path
from typing import Annotated, Literal

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, families, layout, links, programs
from tabs.components import line
from tabs.components.film import Film
from tabs.controls import Controls, radio
from tabs.gan import data
from tabs.gan.data import GAN
from tabs.language import _

LOSSES = {"generator": Message("generator loss"), "discriminator": Message("discriminator loss")}


class Training(Controls):
    run: Annotated[
        Literal["this", "collapsed"],
        radio(
            [(Message("this GAN"), "this"), (Message("one with mode collapse"), "collapsed")],
            visible=False,
            show_label=False,
            container=False,
            elem_id="gan-which",
            elem_classes="small-pills",
        ),
    ] = Field("this", title=Message("Training run"))


def has_collapsed_run():
    """Whether the replay of a run with mode collapse is shipped."""
    return (gm.cards.checkpoint_root() / data.COLLAPSED / "replay.json").is_file()


@families.cached(4)
def _replay(folder):
    """(the replay without its pictures; their shape; the file that holds them, for the browser)."""
    replay = gm.gan.load_replay(folder)  # checks the file, which the browser then gets as it is
    picture = base64.b64encode((Path(folder) / "replay.webp").read_bytes()).decode()
    return replay._replace(pictures=None), replay.pictures.shape, "data:image/webp;base64," + picture


def show(dataset, run="this"):
    """-> film, lines. A collapsed run there is for digits only."""
    collapsed = Training.read(run=run).run == "collapsed" and dataset == "mnist"
    name = data.COLLAPSED if collapsed else f"gan-{GAN.check(dataset)}"
    replay, (steps, n, _channels, size, _size), picture = _replay(name)
    facts = {
        "unit": _("step"),
        "numbers": replay.steps,
        "edges": replay.edges,
        "real": replay.real,
        "generated": replay.generated,
        "lines": [line(_(LOSSES[network]), points) for network, points in replay.losses.items()],
    }
    by_class = n % 10 == 0  # the same number of pictures per class
    film = {
        "w": size,
        "h": size,
        "n": steps * n,
        "columns": n,
        "source": picture,
        "per": n,
        "across": 10 if by_class else 8,
        "by_column": by_class,
        "facts": json.dumps(facts),
        "label": _("The same {n} latent codes at every step; one column per class", n=n)
        if by_class
        else _("The same {n} latent codes at every step", n=n),
    }
    lines = (
        f'replay = gm.gan.load_replay("{name}")\n'
        "x = replay.pictures.flatten(0, 1) / 255  # one row of the picture per entry of replay.steps\n"
    )
    return {"film": film, "lines": programs.program(lines + programs.save(n, 1))}


def open_dataset(dataset):
    return {"run": gr.update(value="this", visible=dataset == "mnist" and has_collapsed_run()), **show(dataset)}


def lay_out(dataset):
    """Lay out and wire the tool. Returns the step that opens a dataset."""
    layout.hint(
        _(
            "How it learned: move through the steps of its training, from noise to the final model. The histograms are "
            "the discriminator's scores of 500 real validation pictures and of 500 generated ones. They overlap when it "
            "cannot tell the two apart: because the generator is good, or because the discriminator is fooled, as in the run "
            "with mode collapse."
        )
    )
    run = Training.components("gan")
    outputs = {"film": Film(elem_id="gan-replay"), "lines": layout.python_panel("gan", "replay")}
    events.act(run["run"].input, show, {"dataset": dataset, **run}, outputs)
    links.tool(Training, run, (show, {"dataset": dataset}, outputs), "training")
    return open_dataset, {"dataset": dataset}, {**run, **outputs}
