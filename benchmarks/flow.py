"""The flow's speed: pictures, likelihoods, and how much of their time is arithmetic that cannot be avoided.

    python -m benchmarks.flow            half a minute on two cores; prints a table
    python -m benchmarks.flow --readme   also puts it into README.md

Nothing else may run on the machine meanwhile. Medians of one run, in turns. Weights do not matter: without the checkpoint
`flow-mnist` they are random.
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


def recorded(model, call):
    """[(layer, its input)] of every convolution and linear layer in one call."""
    calls = []
    layers = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_pre_hook(lambda layer, args: calls.append((layer, args[0].clone()))) for layer in layers]
    call()
    for hook in hooks:
        hook.remove()
    return calls


def measure(model, rounds):
    """Rows of the table."""
    x = gm.data.samples("mnist").floats()[:64]
    z = model.encode(x[:16], seed=0)
    forward, back = recorded(model, lambda: model.log_prob(x)), recorded(model, lambda: model.decode(z))
    likelihoods, alone, samples, back_alone, round_trip = in_turns(
        rounds,
        lambda: model.log_prob(x),
        lambda: [layer(given) for layer, given in forward],
        lambda: model.sample(16, seed=0),
        lambda: [layer(given) for layer, given in back],
        lambda: model.decode(model.encode(x[:1], seed=0)),
    )
    return [
        ("16 samples", f"{1000 * samples:.0f} ms", f"aim: 150 ms; its own layers alone **{back_alone / samples:.0%}** of that"),
        (
            "64 likelihoods",
            f"{1000 * likelihoods:.0f} ms",
            f"aim: 300 ms; its own layers alone **{alone / likelihoods:.0%}** of that; aim: 50 %",
        ),
        ("one picture to noise and back", f"{1000 * round_trip:.0f} ms", f"{model.layers} layers each way"),
    ]


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Put the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each thing is timed.")] = 20,
):
    """Measure the flow and print a table."""
    try:
        model = gm.load("flow-mnist")
    except CheckpointError:
        model = gm.Flow().eval().requires_grad_(False)
    with torch.inference_mode():
        rows = measure(model, rounds)
    table = "\n".join(["| what | measured | beside it |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    note = f"`python -m benchmarks.flow` on {os.cpu_count()} cores, {torch.get_num_threads()} thread(s)."
    print(f"{note}\n\n{table}")
    if readme:
        file, begin, end = ROOT / "README.md", "<!-- flow-benchmarks:begin -->", "<!-- flow-benchmarks:end -->"
        head, rest = file.read_text(encoding="utf-8").split(begin)
        file.write_text(f"{head}{begin}\n{note}\n\n{table}\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
