"""The cards of all families, and the table of models."""

import dataclasses
import json

import pytest

import genmodels as gm
from tests import tiny
from tests.helpers_train import measured, run_evaluate, write_empty
from train import cards, evaluate


@pytest.mark.parametrize("name", ["gan-avatars", "vae-mnist-2d"])
def test_a_card_states_everything_about_a_number(root, name):
    """Those of other checkpoints are in the tests of their families."""
    measured(root, name)


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


# --- A card says what was measured, and something else when something else was measured -------------------------------


def results(checkpoint, **more):
    values = [
        cards.Value("fid", "FID of something", 1234.5678, n=77, comparison="floor: 1", seeded=True),
        cards.Value("share", "share of something", 0.12345, comparison="chance: 10%"),
        cards.Value("fid_then", "FID then", 12345.6, split="val"),
    ]
    return cards.to_results(checkpoint, values, "a-task", **dict(split="test", n=4321, seed=5) | more)


def rows_of(text, first):
    """The cells of the table whose first column is headed `first`."""
    lines = text.split("\n")
    begin = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    end = next(i for i in range(begin, len(lines)) if not lines[i].startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[begin:end] if "---" not in line]


@pytest.fixture
def judge(workdir):
    """A checkpoint to write cards of."""
    folder = workdir / "checkpoints" / "classifier-mnist"
    tiny.untrained(tiny.CHECKPOINTS["classifier-mnist"]).save_pretrained(folder)
    return folder


RUNS = [
    {"command": "python -m train.x --a", "seed": 3, "batch": 8, "steps": 10, "minutes": 1.5, "device": "cpu", "pictures": 67},
    {"command": "python -m train.x --b", "seed": 4, "batch": 9, "steps": 20, "minutes": 2.25, "device": "gpu", "pictures": 68},
]


def written(folder, runs=RUNS, command="python -m train.evaluate x --seed 5", card=None, **more):
    """The card of a checkpoint with these training runs."""
    log = [json.dumps({"run": run}) for run in runs] + ['{"step": 1, "loss": 2.0}']
    (folder / "log.jsonl").write_text("\n".join(log) + "\n", encoding="utf-8")
    checkpoint = cards.Checkpoint(folder)
    card = card or evaluate.family(checkpoint.family).card(checkpoint)
    cards.write_card(checkpoint, card, results(checkpoint, **more), command, "the headline")
    return (folder / "README.md").read_text(encoding="utf-8")


def test_each_number_has_its_split_count_seed_and_comparison(judge):
    rows = rows_of(written(judge).split("## Evaluation")[1], "")
    assert rows == [
        ["", "value", "split", "N", "seed", "for comparison"],
        ["FID of something", "1235", "test", "77", "5", "floor: 1"],
        ["share of something", "12.35%", "test", "4,321", "", "chance: 10%"],
        ["FID then", "12,346", "val", "4,321", "", ""],
    ]
    numbers, facts = cards.read_card(judge)
    assert [(r.metric_type, r.metric_value, r.dataset_split) for r in numbers] == [
        ("fid", 1234.57, "test"),
        ("share", 0.12345, "test"),
        ("fid_then", 12345.6, "val"),
    ]
    assert [r.metric_args for r in numbers] == [
        {"N": 77, "seed": 5, "beside": "floor: 1"},
        {"N": 4321, "beside": "chance: 10%"},
        {"N": 4321},
    ]
    assert {(r.task_type, r.dataset_type, r.dataset_name) for r in numbers} == {("a-task", "mnist", "MNIST")}
    assert facts["headline"] == "the headline" and facts["minutes"] == 3.8
    rows = rows_of(written(judge, split="val", n=9, seed=6).split("## Evaluation")[1], "")
    assert [row[2:5] for row in rows[1:]] == [["val", "77", "6"], ["val", "9", ""], ["val", "9", ""]]


def test_training_runs_are_listed_and_their_minutes_added(judge):
    text = written(judge).split("## Training")[1]
    assert "\n3.8 minutes in total." in text
    columns, *rows = rows_of(text, "command")
    assert [dict(zip(columns, row)) for row in rows] == [
        {k: f"`{v}`" if k == "command" else str(v) for k, v in run.items()} | {"date": ""} for run in RUNS
    ]
    other = written(judge, [RUNS[0] | {"minutes": 40, "device": "an abacus", "pictures": 5}]).split("## Training")[1]
    assert "\n40 minutes in total." in other and "| 5 |" in other and "| an abacus |" in other and "train.x --b" not in other
    unmeasured = {k: v for k, v in RUNS[0].items() if k != "minutes"}
    assert "\n2.2 minutes in total." in written(judge, [unmeasured, RUNS[1]])


def test_the_model_is_described_by_its_own_configuration(workdir, judge):
    def parameters(text):
        return text.split(" parameters, trained on MNIST")[0].rsplit(" ", 1)[1].replace(",", "")

    before = written(judge)
    assert int(parameters(before)) == sum(p.numel() for p in gm.load(judge).parameters()) and "`features=6`" in before
    other = judge.with_name("classifier-mnist-other")
    tiny.untrained(lambda: tiny.make("classifier", features=9)).save_pretrained(other)
    after = written(other)
    assert int(parameters(after)) == sum(p.numel() for p in gm.load(other).parameters()) > int(parameters(before))
    assert "`features=9`" in after and "`features=6`" not in after
    assert f"parameters: {parameters(after)}" in after and "command: python -m train.evaluate x --seed 5" in after
    assert "Measured by `python -m train.evaluate y`." in written(judge, command="python -m train.evaluate y")


def test_notes_are_those_of_the_numbers_on_the_card(judge):
    checkpoint = cards.Checkpoint(judge)
    notes = {"auroc": "of no number here", "share": "of the share", "fid": "of the FID"}
    card = dataclasses.replace(
        evaluate.family("classifier").card(checkpoint), notes=notes, tables="\n\nA TABLE", amount="AMOUNT.", selection="LUCK"
    )
    text = written(judge, card=card)
    assert "\n\n- of the share\n- of the FID\n\nA TABLE\n\n## Training" in text and "of no number here" not in text
    assert "in total. AMOUNT. Exponential moving average of the weights, LUCK;" in text


@pytest.mark.parametrize(
    "metric, value, text",
    [
        (metric, 0.98765, "98.77%")
        for metric in ("accuracy", "share", "moved", "cas", "precision", "recall", "coverage", "below")
    ]
    + [("cas_sd", 0.00123, "0.12%")]
    + [
        (metric, 0.98765, "0.9877")
        for metric in ("fid", "fid_then", "density", "ssim", "auroc", "ratio", "nats", "bits_per_dim")
    ]
    + [("psnr", 28.9444, "28.94"), ("elbo", -98.7654, "-98.77"), ("classes", 9, "9"), ("perplexity", 12345.6, "12,346")],
)
def test_shares_are_in_percent_and_nothing_else_is(metric, value, text):
    assert str(cards.Value(metric, "", value)) == text


def test_the_limits_name_the_data_that_choices_were_made_on(judge, workdir):
    assert "all choices were made on validation pictures, cut from the training split." in written(judge)
    for name, words in (
        ("denoiser-photo", "20 of the 400 training photographs"),
        ("transformer-tang", "693 other poems"),
    ):
        folder = workdir / "checkpoints" / name
        tiny.untrained(tiny.CHECKPOINTS[name]).save_pretrained(folder)
        assert f"all choices were made on {words}" in written(folder)


def test_what_a_card_says_of_a_gan_follows_from_its_weights_of_the_loss(workdir):
    def text(**options):
        folder = workdir / "checkpoints" / f"gan-mnist-{'-'.join(map(str, options.values()))}"
        tiny.untrained(lambda: tiny.make("gan", **options)).save_pretrained(folder)
        return written(folder)

    assert "(gamma 3, falling towards 0.3 during training)" in text(gamma=3.0)
    assert "(switched off: gamma 0)" in text(gamma=0.0)
    assert "weight of 0.002." in text(reconstruction_weight=0.002)
    assert "second task" not in text(reconstruction_weight=0.0)


def test_what_a_card_says_of_a_vae_follows_from_its_configuration(workdir, monkeypatch):
    for latent, likelihood in ((5, "gaussian"), (7, "bernoulli")):
        folder = workdir / "checkpoints" / f"vae-mnist-{latent}"
        tiny.untrained(lambda: tiny.make("vae", latent=latent, likelihood=likelihood)).save_pretrained(folder)  # noqa: B023
        assert f"a code of {latent} numbers and a {likelihood} likelihood" in written(folder)
    assert "Training data from a VAE" not in written(folder)
    (folder / "augmentation.json").write_text("{}", encoding="utf-8")
    monkeypatch.setattr(gm.cards, "augmentation", lambda facts: f"IT HELPS {facts}")
    assert "\n\nTraining data from a VAE: IT HELPS {}\n" in written(folder)


def test_the_table_of_models_has_each_models_numbers(workdir, judge):
    other = workdir / "checkpoints" / "vae-fashion"
    tiny.untrained(lambda: tiny.make("vae", width=64, hidden=900)).save_pretrained(other)
    written(judge, [RUNS[0] | {"minutes": 12.0}])
    written(other)
    millions = [f"{sum(p.numel() for p in gm.load(folder).parameters()) / 1e6:.2f} M" for folder in (other, judge)]
    assert rows_of(cards.models_table() + "\n\n", "checkpoint") == [
        ["checkpoint", "paper", "parameters", "minutes", "on the test split"],
        ["[`vae-fashion`](checkpoints/vae-fashion/README.md)", "Kingma and Welling 2013", millions[0], "3.8", "the headline"],
        ["[`classifier-mnist`](checkpoints/classifier-mnist/README.md)", "Simonyan and Zisserman 2014", millions[1], "12"]
        + ["the headline"],
    ]


@pytest.mark.parametrize("name", ["vae", "horse-mnist", "vae-cats", "mnist-vae"])
def test_a_checkpoint_has_a_family_and_a_dataset_in_its_name(name):
    assert cards.family_and_dataset("vae-mnist-2d") == ("vae", "mnist")
    with pytest.raises(ValueError, match=f"'{name}' is not"):
        cards.family_and_dataset(name)


def test_a_card_is_replaced_whole(tmp_path, monkeypatch):
    file = tmp_path / "README.md"
    cards.write_text(file, "old")

    def failing(source, target):
        raise OSError("power failure")

    monkeypatch.setattr(cards.os, "replace", failing)
    with pytest.raises(OSError):
        cards.write_text(file, "new")
    assert file.read_text(encoding="utf-8") == "old"
