"""Samplers against their number of steps, on digits: what more steps change, and what fresh noise changes.

    python -m benchmarks.solvers --data-dir FOLDER     15 minutes on one core; prints a table, writes benchmarks/solvers.json

Not speed but quality: FID to the test split without guidance, in the features of `classifier-mnist`, and the share of pictures
in which it recognises the requested class. All runs start from the same noise, so that their differences are known better than
the numbers themselves: both are given with the standard deviation over resampled pictures (a bootstrap). The explanation of
the diffusion tab quotes these numbers.
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated

import torch
import typer

import genmodels as gm
from genmodels import data, metrics
from genmodels.base import check_number, checkpoint_folder, generator

MODEL = "diffusion-mnist"
FILE = Path(__file__).with_name("solvers.json")
BATCH = 250
RUNS = (("dpm", 8), ("dpm", 64), ("ddim", 16), ("ddim", 64), ("ddpm", 16), ("ddpm", 64))  # sampler, network calls
RENEWED = "dpm 64, then noise to t = 0.5 and dpm 32 from there"  # as fine as before: half of the way in half of the steps
CHANGES = (("dpm 8", "dpm 64"), ("ddim 16", "ddim 64"), ("ddpm 16", "ddpm 64"), ("dpm 64", RENEWED), ("ddim 64", "ddpm 64"))
RESAMPLED = 40  # times


def weights_hash(name=MODEL):
    """Tells whether the numbers are those of the shipped weights."""
    return hashlib.sha256((checkpoint_folder(name) / "model.safetensors").read_bytes()).hexdigest()[:16]


def to_bytes(x):
    return (x * 255).round().to(torch.uint8)


def sample(model, y, sampler, steps):
    """Pictures with labels y, uint8; the same noise at the start, whatever the sampler."""
    batches = enumerate(y.split(BATCH))
    options = dict(sampler=sampler, steps=steps, guidance=1)
    return torch.cat([to_bytes(model.sample(len(labels), label=labels, seed=BATCH * i, **options)) for i, labels in batches])


def renew(model, x, y, strength=0.5, steps=32):
    """Finished pictures with noise added up to a time, and the same solver from there."""
    batches = enumerate(zip(x.split(BATCH), y.split(BATCH)))
    options = dict(strength=strength, steps=steps, sampler="dpm", guidance=1)
    edited = [model.edit(part.float() / 255, label=labels, seed=10_000 + BATCH * i, **options) for i, (part, labels) in batches]
    return to_bytes(torch.cat(edited))


def compare(features, real, n):
    """({run: FID}, {run: its standard deviation}, {(run, run): standard deviation of the difference})."""
    fids = {name: metrics.fid(values, real) for name, values in features.items()}
    g = generator(0)
    resampled = []
    for _ in range(RESAMPLED):
        i = torch.randint(n, (n,), generator=g)  # the same pictures of every run
        resampled.append({name: metrics.fid(values[i], real) for name, values in features.items()})

    def deviation(values):
        return torch.tensor(values, dtype=torch.float64).std().item()

    spread = {name: deviation([row[name] for row in resampled]) for name in features}
    return fids, spread, {pair: deviation([row[pair[1]] - row[pair[0]] for row in resampled]) for pair in CHANGES}


def main(
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/.")] = None,
    n: Annotated[int, typer.Option(help="Pictures of each run.")] = 2000,
    file: Annotated[Path, typer.Option(help="Where the numbers are written.")] = FILE,
):
    """Measure the samplers of the digits' diffusion model and print a table."""
    check_number("--n", n, 200, 10_000, whole=True)
    model, classifier = gm.load(MODEL), gm.load("classifier-mnist")
    y = torch.arange(n) % 10
    pictures = {f"{sampler} {steps}": sample(model, y, sampler, steps) for sampler, steps in RUNS}
    pictures[RENEWED] = renew(model, pictures["dpm 64"], y)
    features = {name: metrics.features(classifier, x) for name, x in pictures.items()}
    real = metrics.features(classifier, data.load("mnist", "test", data_dir).x)
    fids, spread, deviations = compare(features, real, n)
    floor = metrics.fid(metrics.features(classifier, data.load("mnist", "train", data_dir).x[:n]), real)
    result = {
        "command": "python -m benchmarks.solvers",
        "model": MODEL,
        "weights": weights_hash(),
        "n": n,
        "split": "test",
        "floor": round(floor, 4),
        "runs": {
            name: {
                "fid": round(fids[name], 4),
                "sd": round(spread[name], 4),
                "recognised": round((classifier.predict(x.float() / 255)[:, 0] == y).double().mean().item(), 4),
            }
            for name, x in pictures.items()
        },
        "changes": [
            {"from": a, "to": b, "fid": round(fids[b] - fids[a], 4), "sd": round(sd, 4)} for (a, b), sd in deviations.items()
        ],
    }
    file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{MODEL}, N = {n:,}, test split; {n:,} training pictures: FID {floor:.3f}.\n")
    print("| sampler and calls | FID (sd) | recognised |\n|---|---|---|")
    for name, run in result["runs"].items():
        print(f"| {name} | {run['fid']:.3f} ({run['sd']:.3f}) | {run['recognised']:.1%} |")
    print("\n| from | to | FID changes by (sd) |\n|---|---|---|")
    for change in result["changes"]:
        print(f"| {change['from']} | {change['to']} | {change['fid']:+.3f} ({change['sd']:.3f}) |")


if __name__ == "__main__":
    typer.run(main)
