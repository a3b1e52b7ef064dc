"""The cards of all families, and the table of models."""

import json
import math

import numpy as np
import pytest

import genmodels as gm
from genmodels import data
from tests import tiny
from tests.helpers_train import measured, run_evaluate
from train import cards, evaluate


def write_empty(folder, headline):
    """A card without numbers."""
    checkpoint = cards.Checkpoint(folder)
    card = evaluate.family(checkpoint.family).card(checkpoint)
    cards.write_card(checkpoint, card, [], "python -m train.evaluate x", headline)


@pytest.mark.parametrize("name", [name for name in tiny.CHECKPOINTS if "fashion" not in name and "collapsed" not in name])
def test_a_card_states_everything_about_a_number(root, name):
    _, card = measured(root, name, *(["--samples", 5] if name == "vae-mnist" else []))
    for r in card.data.eval_results:
        assert math.isfinite(r.metric_value), r
        split = "val" if r.metric_type == "fid_then" else "test"
        assert (r.dataset_split, r.metric_args["N"] > 0) == (split, True)
        assert f"| {r.metric_name} | {cards.format_value(r)} | {split} | {r.metric_args['N']:,} |" in card.content
    assert card.data.license == "apache-2.0"
    assert (card.data.genmodels["minutes"], card.data.genmodels["parameters"]) == (
        1.5,
        sum(p.numel() for p in gm.load(name).parameters()),
    )
    for words in (
        "python -m train.x",
        "cpu, 2 threads",
        "2026-01-31",
        f"python -m train.evaluate {name}",
        "--generated 80",
        "## Intended use",
        "## Limits",
        "## Data and licence",
        cards.DATASETS[name.split("-")[1]]["licence"],
    ):
        assert words in card.content
    assert "{" not in card.content
    assert str(data.SAMPLES) not in card.content
    reference = json.loads((root / name / "reference.json").read_text(encoding="utf-8"))
    assert reference
    for values in reference.values():
        assert np.isfinite(values).all()


def test_cards_are_written_again_from_their_own_numbers(root, run_facts):
    for name in tiny.CHECKPOINTS:
        write_empty(root / name, "a headline")
    measured(root, "classifier-mnist")
    card = root / "classifier-mnist" / "README.md"
    before = card.read_text(encoding="utf-8")
    log = root / "classifier-mnist" / "log.jsonl"
    assert run_evaluate("--cards-only", "classifier-mnist").exit_code == 0
    assert card.read_text(encoding="utf-8") == before
    log.write_text(
        log.read_text(encoding="utf-8")
        + json.dumps({"run": run_facts | {"minutes": 2, "command": "python -m train.y"}})
        + "\n",
        encoding="utf-8",
    )
    assert run_evaluate("--cards-only").exit_code == 0
    after = card.read_text(encoding="utf-8")
    assert "minutes: 3.5" in after  # of the two runs
    assert "python -m train.y" in after
    assert after.count("| test |") == before.count("| test |") > 0


def test_the_table_goes_between_its_marks(root, tmp_path):
    readme = tmp_path / "README.md"
    for name in tiny.CHECKPOINTS:
        write_empty(root / name, f"headline of {name}")
    readme.write_text("before\n<!-- models:begin -->\nold\n<!-- models:end -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        assert run_evaluate("--table", "--readme", readme).exit_code == 0
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    rows = [line for line in lines if line.startswith("| [")]
    assert len(rows) == len(tiny.CHECKPOINTS)
    for name in tiny.CHECKPOINTS:
        assert any(f"checkpoints/{name}/README.md" in row and f"headline of {name}" in row for row in rows)
    readme.write_text("no marks\n", encoding="utf-8")
    done = run_evaluate("--table", "--readme", readme)
    assert (done.exit_code, readme.read_text(encoding="utf-8")) == (1, "no marks\n")
    assert "models:begin" in done.output
