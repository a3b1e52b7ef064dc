"""What the benchmarks share: timing in turns, models to time, tables of ratios, and their places in README.md."""

import os
import statistics
import time
from pathlib import Path

import torch
from torch import nn

import genmodels as gm
from genmodels.base import CheckpointError

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
MINUTES = {  # of each benchmark on two idle cores, the shortest first
    "flow": 0.5,
    "gan": 1,
    "compare": 1,
    "transformer": 1,
    "visitors": 1.5,
    "diffusion": 2,
    "denoiser": 2,
    "languages": 4,
    "page": 5,
    "load": 15,
}


# --- Timing ---


def in_turns(rounds, *jobs):
    """Median seconds of each job. The jobs take turns, so that whatever else slows the machine slows all of them alike.

    The first round is a warm-up.
    """
    times = [[] for _ in jobs]
    for i in range(rounds + 1):
        for job, seconds in zip(jobs, times):
            start = time.perf_counter()
            job()
            if i:
                seconds.append(time.perf_counter() - start)
    return [statistics.median(seconds) for seconds in times]


def p95(values):
    """The value that 95 of 100 values do not exceed."""
    return sorted(values)[int(0.95 * (len(values) - 1))]


# --- Models, and their bare layers ---


def load(name, build):
    """(model, what its weights are): the checkpoint or, without one, build() with random weights, which are as fast."""
    try:
        return gm.load(name), name
    except CheckpointError:
        return build().eval().requires_grad_(False), "random weights"


def record_layers(net, call):
    """[(layer, its input)] of every convolution and linear layer of `net` during call()."""
    inputs = []
    layers = [module for module in net.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_pre_hook(lambda layer, args: inputs.append((layer, args[0].clone()))) for layer in layers]
    call()
    for hook in hooks:
        hook.remove()
    return inputs


def run_layers(recorded):
    """The layers alone, on the inputs that `record_layers` has recorded: the time that a network cannot avoid."""
    for layer, x in recorded:
        layer(x)


# --- Tables ---


def section(name, rows, threads=None, remark="", command=None):
    """The text of a benchmark: the command, the machine, and the table of its rows, in Markdown."""
    machine = f"{os.cpu_count()} cores, {threads or torch.get_num_threads()} thread(s)"
    table = ["| what | measured | for comparison |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    return "\n".join([f"`python -m benchmarks.{command or name}` on {machine}{remark}.", "", *table])


def markers(name):
    """The lines between which README.md has the table of a benchmark."""
    return f"<!-- {name}-benchmarks:begin -->", f"<!-- {name}-benchmarks:end -->"


def split_at_markers(name, file):
    """The text of a file before, between and after the two lines."""
    begin, end = markers(name)
    before, found, rest = file.read_text(encoding="utf-8").partition(begin)
    between, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{file.name} must contain the lines {begin} and {end}: the table goes between them.")
    return before, between, after


def read_section(name, file=README):
    """What README.md says of a benchmark."""
    return split_at_markers(name, file)[1].strip()


def write_section(name, content, file=README):
    """Replace what README.md says of a benchmark."""
    before, _, after = split_at_markers(name, file)
    begin, end = markers(name)
    file.write_text(f"{before}{begin}\n{content}\n{end}{after}", encoding="utf-8")


def report(name, rows, readme, threads=None, remark="", command=None):
    """Print a benchmark's table; readme: write it into README.md, too. command: if it is not the name alone."""
    content = section(name, rows, threads, remark, command)
    print(content)
    if readme:
        write_section(name, content)
