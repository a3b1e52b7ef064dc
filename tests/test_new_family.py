"""The worked example of docs/architecture.md: a new family in a copy of the repository, with a recipe, a card, contract tests.

The family's own files are in docs/new_family; what is touched elsewhere is `EDITS`, and one line of `tabs.TABS` for its tab.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import genmodels as gm
from genmodels import data
from tabs import TABS

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "docs" / "new_family"
EDITS = [  # (file, beginning of the line at which the new one stands, new line)
    ("genmodels/__init__.py", "FAMILIES = {", '    "gaussian": ("genmodels.gaussian", "Gaussian"),'),
    ("genmodels/__init__.py", "_MODULES = (", '    "gaussian",'),
    ("tests/tiny.py", "def untrained(", 'register("gaussian", {}, {"gaussian": dict(size=8)}, {"gaussian-mnist": {}})'),
    ("README.md", "## Load a model", "**Gaussian.** A Gaussian for each pixel: what a model without any structure can do."),
]


@pytest.fixture
def copy(tmp_path):
    """A copy of the repository's code with the family added, and a checkpoint folder that holds only a classifier."""
    for folder in ("genmodels", "train", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "classifier-mnist").symlink_to(gm.base.checkpoint_folder("classifier-mnist"))
    for file in EXAMPLE.rglob("*.py"):
        assert not (tmp_path / file.relative_to(EXAMPLE)).exists()
        shutil.copy(file, tmp_path / file.relative_to(EXAMPLE))
    for name, start, line in EDITS:
        lines = (tmp_path / name).read_text(encoding="utf-8").splitlines()
        (index,) = [i for i, text in enumerate(lines) if text.startswith(start)]
        after = name == "genmodels/__init__.py"
        lines[index + after : index + after] = [line] if after else [line, ""]
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


COMMANDS = [
    ["train.gaussian", "--dataset", "mnist", "--steps", "20", "--log-every", "1", "--validations", "1"],
    ["train.evaluate", "gaussian-mnist", "--generated", "100"],
    ["pytest", "-n", "0", "-q", "-p", "no:cacheprovider", "tests/models/test_contract.py", "-k", "gaussian or every_family"],
]
RUN = """  # in one process, so that torch is imported once
import json, runpy, sys
for name, *arguments in json.loads(sys.argv[1]):
    sys.argv = [name, *arguments]
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as e:
        if e.code:
            raise
"""


def run(folder, commands):
    """Modules of the copy, as its user would start them with `python -m`; their output."""
    env = {k: v for k, v in os.environ.items() if k not in ("GENMODELS_CHECKPOINTS", "PYTHONPATH")}
    env |= {"GENMODELS_DATA": str(data.SAMPLES), "OMP_NUM_THREADS": "1"}
    code = [sys.executable, "-c", RUN, json.dumps(commands)]
    done = subprocess.run(code, cwd=folder, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_family_is_its_own_files_and_at_most_five_places_elsewhere(copy):
    assert len(EDITS) + len([TABS]) <= 5
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert [line for _, _, line in EDITS if line.strip() not in text] == []
    assert [file for file in EXAMPLE.rglob("*.py") if file.relative_to(EXAMPLE).as_posix() not in text] == []

    out = run(copy, COMMANDS)
    folder = copy / "checkpoints" / "gaussian-mnist"
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert len(losses) == 20 and losses[-1] < losses[0]

    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "A Gaussian for each pixel, independent of all others. 1,568 parameters, trained on MNIST" in card
    assert "| negative log density, nats per picture |" in card and "FID: Frechet distance" in card

    assert re.search(r"^\d+ passed", out, re.MULTILINE) and "failed" not in out
