"""The denoiser of photographs: its speed and memory, compared with scikit-image's fast non-local means in the same run.

    python -m benchmarks.denoiser            two minutes on two cores; prints a table
    python -m benchmarks.denoiser --readme   also puts it into README.md

Nothing else may run on the machine meanwhile. Each number is the median of several rounds, in which the candidates take turns,
on all cores.
"""

import subprocess
import sys
from typing import Annotated

import torch
import typer

import genmodels as gm
from benchmarks import common
from benchmarks.common import in_turns
from genmodels.denoiser import add_noise, classical, quality

SIGMA = 25 / 255
LARGE = """
import resource, sys, time
import torch
import genmodels as gm
model, pixels = gm.load("denoiser-photo"), torch.randint(256, (1, 3, 3000, 4000), dtype=torch.uint8)
start = time.perf_counter()
x = gm.pictures.to_bytes(model.restore(pixels.float() / 255)) if int(sys.argv[1]) else None
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def speeds(model, rounds):
    """Blind denoising of colour pictures of several sizes."""
    rows = []
    for side in (128, 256, 512, 1024):
        y = torch.rand(1, 3, side, side)
        (seconds,) = in_turns(rounds if side < 1024 else 3, lambda y=y: model.restore(y))
        aim = "; aim: 1 s" if side == 512 else ""
        speed = f"{side**2 / seconds / 1e6:.2f} megapixels/s"
        rows.append((f"{side}x{side} in colour", f"{1000 * seconds:.0f} ms{aim}", speed))
    return rows


def restore_large(restore):
    """(seconds, peak memory in GB) of a picture of 12 megapixels in its own process, restored or only loaded."""
    command = [sys.executable, "-c", LARGE, str(int(restore))]
    output = subprocess.run(command, cwd=common.ROOT, capture_output=True, text=True, check=True).stdout
    return [float(value) for value in output.split()]


def large():
    """A picture of 12 megapixels: seconds, and peak memory."""
    _, memory_without = restore_large(False)
    seconds, memory = restore_large(True)
    return [
        (
            "12 megapixels in colour, peak memory of the process",
            f"{memory:.2f} GB; aim: 1.5 GB",
            f"{seconds:.0f} s, {12 / seconds:.2f} megapixels/s; without restoring {memory_without:.2f} GB",
        )
    ]


def compare_with_means(model, rounds):
    """Both methods on the same photographs, given sigma: median seconds, and PSNR."""
    rows = []
    for name in ("astronaut", "camera"):
        clean = gm.data.photograph(name)
        noisy = add_noise(clean, "gaussian", SIGMA, seed=0)
        ours, means = in_turns(
            max(3, rounds // 3),
            lambda noisy=noisy: model.restore(noisy, SIGMA),
            lambda noisy=noisy: classical(noisy, "non-local means", SIGMA),
        )
        psnr = [quality(x, clean)[0] for x in (model.restore(noisy, SIGMA), classical(noisy, "non-local means", SIGMA))]
        rows.append(
            (
                f"`{name}`, {clean.shape[3]}x{clean.shape[2]}, sigma 25",
                f"{1000 * ours:.0f} ms, {psnr[0]:.2f} dB",
                f"non-local means {1000 * means:.0f} ms, {psnr[1]:.2f} dB: **{means / ours:.2f}** times as long; must: 1",
            )
        )
    return rows


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Put the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each candidate is timed.")] = 15,
):
    """Measure the denoiser of photographs and print a table."""
    model = gm.load("denoiser-photo")
    rows = [*speeds(model, rounds), *compare_with_means(model, rounds), *large()]
    common.report("denoiser", rows, readme)


if __name__ == "__main__":
    typer.run(main)
