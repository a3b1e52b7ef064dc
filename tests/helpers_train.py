"""What the tests of recipes and evaluations need. Test modules import this, never each other."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner

import genmodels as gm
from genmodels import data
from train import evaluate

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


def check_recipe(app, options, name, workdir, folder, further=frozenset()):
    """Three steps of a recipe on the pictures of a folder give a whole checkpoint, and leave the folder alone."""
    listed = {f.name: (f.stat().st_mtime_ns, f.stat().st_size) for f in folder.iterdir()}
    code, out = run(app, workdir, "--data-dir", str(folder), "--steps", "3", *options)
    assert code == 0, out
    checkpoint = workdir / "checkpoints" / name
    files = {f.name for f in checkpoint.iterdir()}
    assert {"model.safetensors", "config.json", "log.jsonl"} | further <= files
    assert len(files & {"samples.png", "samples.txt"}) == 1
    assert isinstance(gm.load(checkpoint), getattr(gm, gm.FAMILIES[name.split("-")[0]][1]))
    assert {f.name: (f.stat().st_mtime_ns, f.stat().st_size) for f in folder.iterdir()} == listed


# --- Evaluations ------------------------------------------------------------------------------------------------------


def run_evaluate(*arguments):
    return CliRunner().invoke(evaluate.app, [str(a) for a in arguments])


def measured(root, name, *options):
    """Run an evaluation. Returns {metric type: the first number of that type} of its card, and the card."""
    done = run_evaluate(name, "--generated", 80, "--runs", root.parent / "runs", *options)
    assert done.exit_code == 0, done.output
    card = ModelCard.load(root / name / "README.md")
    return {r.metric_type: r.metric_value for r in reversed(card.data.eval_results)}, card


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
