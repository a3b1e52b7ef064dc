"""The flow's speed: sampling, likelihoods, and the share of their time that the networks' own layers take.

    python -m benchmarks.flow            half a minute on two cores; prints a table
    python -m benchmarks.flow --readme   also writes it into README.md

Run nothing else on the machine meanwhile. The variants take turns; the table has medians. Weights do not matter: without the
checkpoint `flow-mnist` they are random.
"""

import os
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import nn

import genmodels as gm
from benchmarks.diffusion import in_turns
from genmodels.base import CheckpointError

ROOT = Path(__file__).resolve().parent.parent


def record_layers(model, call):
    """[(layer, input)] of every convolution and linear layer in one call."""
    inputs = []
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_pre_hook(lambda layer, args: inputs.append((layer, args[0].clone()))) for layer in layers]
    call()
    for hook in hooks:
        hook.remove()
    return inputs


def measure(model, rounds):
    """Rows of the table."""
    x = gm.data.samples("mnist").floats()[:64]
    z = model.encode(x[:16], seed=0)
    likelihood_layers = record_layers(model, lambda: model.log_prob(x))
    decoding_layers = record_layers(model, lambda: model.decode(z))
    likelihood, likelihood_layers_only, sampling, decoding_layers_only, round_trip = in_turns(
        rounds,
        lambda: model.log_prob(x),
        lambda: [layer(h) for layer, h in likelihood_layers],
        lambda: model.sample(16, seed=0),
        lambda: [layer(h) for layer, h in decoding_layers],
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
    try:
        model = gm.load("flow-mnist")
    except CheckpointError:
        model = gm.Flow().eval().requires_grad_(False)
    with torch.inference_mode():
        rows = measure(model, rounds)
    table = "\n".join(["| what | measured | for comparison |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    note = f"`python -m benchmarks.flow` on {os.cpu_count()} cores, {torch.get_num_threads()} thread(s)."
    print(f"{note}\n\n{table}")
    if readme:
        file, begin, end = ROOT / "README.md", "<!-- flow-benchmarks:begin -->", "<!-- flow-benchmarks:end -->"
        head, tail = file.read_text(encoding="utf-8").split(begin)
        file.write_text(f"{head}{begin}\n{note}\n\n{table}\n{end}{tail.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
