"""The flow's speed: sampling, likelihoods, and the share of their time that the networks' own layers take.

    python -m benchmarks.flow            half a minute on two cores; prints a table
    python -m benchmarks.flow --readme   also writes it into README.md

Run nothing else on the machine meanwhile. The variants take turns; the table has medians. Weights do not matter: without the
checkpoint `flow-mnist` they are random.
"""

from typing import Annotated

import torch
import typer

import genmodels as gm
from benchmarks import common
from benchmarks.common import in_turns, record_layers, run_layers


def measure(model, rounds):
    """Rows of the table."""
    x = gm.data.samples("mnist").floats()[:64]
    z = model.encode(x[:16], seed=0)
    likelihood_layers = record_layers(model, lambda: model.log_prob(x))
    decoding_layers = record_layers(model, lambda: model.decode(z))
    likelihood, likelihood_layers_only, sampling, decoding_layers_only, round_trip = in_turns(
        rounds,
        lambda: model.log_prob(x),
        lambda: run_layers(likelihood_layers),
        lambda: model.sample(16, seed=0),
        lambda: run_layers(decoding_layers),
        lambda: model.decode(model.encode(x[:1], seed=0)),
    )
    return [
        (
            "16 samples",
            f"{1000 * sampling:.0f} ms",
            f"aim: 150 ms; the networks' layers alone take **{decoding_layers_only / sampling:.0%}** of it",
        ),
        (
            "64 likelihoods",
            f"{1000 * likelihood:.0f} ms",
            f"aim: 300 ms; the networks' layers alone take **{likelihood_layers_only / likelihood:.0%}** of it; aim: 50 %",
        ),
        ("encoding and decoding one picture", f"{1000 * round_trip:.0f} ms", f"{model.layers} layers in each direction"),
    ]


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Write the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="Repetitions of each measurement.")] = 20,
):
    """Measure the flow and print a table."""
    model, weights = common.load("flow-mnist", gm.Flow)
    with torch.inference_mode():
        rows = measure(model, rounds)
    common.report("flow", rows, readme, remark=f", {weights}")


if __name__ == "__main__":
    typer.run(main)
