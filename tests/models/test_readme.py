"""README.md says of the models what their cards say."""

import re
from pathlib import Path

from huggingface_hub import metadata_load
from typer.testing import CliRunner

import genmodels as gm
from genmodels import data
from genmodels.base import checkpoint_folder
from train import cards, compare

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = "write the table again: python -m train.evaluate --table"


def card(name):
    return metadata_load(checkpoint_folder(name) / "README.md")


def metrics(name):
    (model,) = card(name)["model-index"]
    return [metric for result in model["results"] for metric in result["metrics"]]


def test_the_table_of_models_has_the_numbers_of_the_cards():
    table = README.split("<!-- models:begin -->")[1].split("<!-- models:end -->")[0]
    rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()[2:]]
    names = [re.match(r"\[`([\w-]+)`\]\(checkpoints/\1/README\.md\)$", row[0])[1] for row in rows]
    assert sorted(names) == sorted(cards.shipped()), COMMAND
    for name, (_, *cells) in zip(names, rows):
        facts = card(name)["genmodels"]
        expected = [facts["paper"], f"{facts['parameters'] / 1e6:.2f} M", f"{facts['minutes']:g}", facts["headline"]]
        assert cells == expected, COMMAND


def test_the_table_of_families_is_what_its_command_prints(monkeypatch):
    monkeypatch.delenv("GENMODELS_CHECKPOINTS", raising=False)
    table = README.split("<!-- comparison:begin -->\n")[1].split("\n<!-- comparison:end -->")[0]
    printed = CliRunner().invoke(compare.app).output
    assert table == printed.rstrip("\n"), "write the table again: python -m train.compare --table"
    columns, _, *rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert {row[columns.index("N")] for row in rows} == {f"{compare.GENERATED:,}"}  # FID depends on it
    names = [name for dataset in data.DATASETS for name in gm.cards.shipped(gm.cards.generators(dataset))]
    assert [row[0] for row in rows if row[0][0] == "["] == [f"[`{name}`](checkpoints/{name}/README.md)" for name in names]
    for name in names:  # a sentence below a card's table may be about its last line
        types = [row["type"] for row in metrics(name)]
        assert types[types.index("copies") - 1] == "coverage"


def test_the_sizes_of_fid_above_the_table_are_those_of_the_cards():
    sizes = {name: row["args"]["N"] for name in cards.shipped() for row in metrics(name) if row["type"] == "fid"}
    text = " ".join(README.split("## Models")[1].split("<!-- models:begin -->")[0].split())
    most, exception = re.search(r"([\d,]+) generated ones, ([\d,]+) for `transformer-mnist`", text).groups()
    assert sizes.pop("transformer-mnist") == int(exception.replace(",", ""))
    assert set(sizes.values()) == {int(most.replace(",", ""))}
