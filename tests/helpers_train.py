"""What the tests of recipes and evaluations need. Test modules import this, never each other."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import genmodels as gm
from genmodels import data
from tests.compare import close
from train import cards, evaluate

ROOT = Path(__file__).resolve().parent.parent
LINES = ("loss", "reconstruction", "kl", "gradient")


# --- Recipes ----------------------------------------------------------------------------------------------------------


def arguments(workdir, *more):
    return ["--runs", str(workdir / "runs"), "--log-every", "1", "--data-dir", str(data.SAMPLES), *more]


def run(app, workdir, *more):
    """Run a recipe in this process: (exit code, output)."""
    with mock.patch.object(sys, "argv", ["train/recipe.py", *arguments(workdir, *more)]):  # the log quotes it
        result = CliRunner().invoke(app, arguments(workdir, *more))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def start(workdir, *more, file="tests/tiny.py"):
    """Start a recipe in a separate process."""
    return subprocess.Popen(
        [sys.executable, file, *arguments(workdir, *more)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses(log):
    """Step -> loss terms, from a log.jsonl."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {line["step"]: {k: line[k] for k in LINES if k in line} for line in lines if "loss" in line}


def same_losses(a, b):
    """Whether two runs took the same steps with the same losses, up to rounding that training amplifies."""
    return a.keys() == b.keys() and all(a[step] == pytest.approx(b[step], rel=1e-3, abs=1e-5) for step in a)


def check_recipe(app, options, name, workdir, folder, further=frozenset(), validations=2):
    """Two steps of a recipe on the pictures of a folder give a whole checkpoint, and leave the folder alone."""
    listed = {f.name: (f.stat().st_mtime_ns, f.stat().st_size) for f in folder.iterdir()}
    code, out = run(app, workdir, "--data-dir", str(folder), "--steps", "2", "--validations", str(validations), *options)
    assert code == 0, out
    checkpoint = workdir / "checkpoints" / name
    files = {f.name for f in checkpoint.iterdir()}
    assert {"model.safetensors", "config.json", "log.jsonl"} | further <= files
    assert len(files & {"samples.png", "samples.txt"}) == 1
    assert {f.name: (f.stat().st_mtime_ns, f.stat().st_size) for f in folder.iterdir()} == listed

    head, *lines = [json.loads(line) for line in (checkpoint / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    scores = {line["step"]: next(iter(line["validation"].values())) for line in lines if "validation" in line}
    terms = {line["step"]: [v for k, v in line.items() if "loss" in k] for line in lines if "rate" in line}
    assert sorted(terms) == [1, 2] and sorted(scores) == [1, 2][-validations:] and all(terms.values())
    assert head["run"]["steps"] == 2
    assert head["run"]["command"].endswith(" ".join([f"--steps 2 --validations {validations}", *options]))
    assert scores[head["run"]["published_step"]] == min(scores.values())

    model = gm.load(checkpoint)
    assert isinstance(model, getattr(gm, gm.FAMILIES[name.split("-")[0]][1]))
    assert head["run"]["parameters"] == sum(p.numel() for p in model.parameters())
    best, weights = load_file(workdir / "runs" / name / "best.safetensors"), model.state_dict()
    assert best.keys() == weights.keys()
    for key, w in best.items():  # up to the rounding to 8 bits
        assert close(weights[key].double(), w.double(), atol=0.005 * w.double().abs().max().item() + 1e-6), key
    if "samples.txt" in files:
        assert (checkpoint / "samples.txt").read_text(encoding="utf-8").strip()
    else:
        assert min(Image.open(checkpoint / "samples.png").convert("L").size) >= 8 * 28


# --- Evaluations ------------------------------------------------------------------------------------------------------


def run_evaluate(*arguments):
    return CliRunner().invoke(evaluate.app, [str(a) for a in arguments])


def write_empty(folder, headline):
    """A card without numbers."""
    checkpoint = cards.Checkpoint(folder)
    card = evaluate.family(checkpoint.family).card(checkpoint)
    cards.write_card(checkpoint, card, [], "python -m train.evaluate x", headline)


def measured(root, name, *options):
    """Run an evaluation. Returns {metric type: the first number of that type} of its card, and the card."""
    done = run_evaluate(name, "--generated", 80, "--runs", root.parent / "runs", *options)
    assert done.exit_code == 0, done.output
    card = ModelCard.load(root / name / "README.md")
    check_card(card, name)
    reference = json.loads((root / name / "reference.json").read_text(encoding="utf-8"))
    assert reference and all(np.isfinite(values).all() for values in reference.values())
    return {r.metric_type: r.metric_value for r in reversed(card.data.eval_results)}, card


def check_card(card, name):
    """A card of the `root` fixture states everything about each of its numbers, its training and its data."""
    for r in card.data.eval_results:
        assert math.isfinite(r.metric_value), r
        split = "val" if r.metric_type == "fid_then" else "test"
        assert (r.dataset_split, r.metric_args["N"] > 0) == (split, True)
        assert f"| {r.metric_name} | {cards.format_value(r)} | {split} | {r.metric_args['N']:,} |" in card.content
    facts, licence = card.data.genmodels, cards.DATASETS[name.split("-")[1]]["licence"]
    assert card.data.license == "apache-2.0" and facts["minutes"] == 1.5
    assert facts["parameters"] == sum(p.numel() for p in gm.load(name).parameters())
    for words in (
        *("python -m train.x", "cpu, 2 threads", "2026-01-31", f"python -m train.evaluate {name}", "--generated 80"),
        *("## Intended use", "## Limits", "## Data and licence", licence),
    ):
        assert words in card.content
    assert "{" not in card.content and str(data.SAMPLES) not in card.content


def numbers_in(text):
    """The numbers of a text: it states them rounded, and rounding errors may decide the last digit."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def states(text, *values, off):
    """Whether these numbers follow one another somewhere in a text, each off by at most the same place of `off`."""
    numbers, n = numbers_in(text), len(values)
    return any(
        all(abs(number - v) <= o for number, v, o in zip(numbers[i : i + n], values, off, strict=True))
        for i in range(len(numbers) - n + 1)
    )
