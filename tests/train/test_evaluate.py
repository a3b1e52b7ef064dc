"""The command line `python -m train.evaluate`."""

import pytest

import genmodels as gm
from genmodels import data
from tests.helpers_train import measured, run_evaluate


def test_the_validation_split_writes_nothing(root):
    before = sorted(root.rglob("*"))
    done = run_evaluate("classifier-mnist", "--split", "val", "--pictures", 20)
    assert done.exit_code == 0
    first = data.load("mnist", "val")[:20]
    right = (gm.load("classifier-mnist").predict(first.floats())[:, 0] == first.y).float().mean()
    assert f"accuracy: {right:.2%}" in done.output
    assert sorted(root.rglob("*")) == before


def test_a_card_says_how_many_pictures_of_the_split_were_measured(root):
    _, card = measured(root, "classifier-mnist")  # of 80 generated pictures, which a classifier does not need
    assert card.data.eval_results[0].metric_args["N"] == len(data.load("mnist", "test")) != 80


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing-mnist"], "There is no checkpoint"),
        (["vae-mnist", "--split", "train"], "--split must be one of test, val"),
        (["vae-mnist", "--samples", "0"], "--samples must be a whole number from 1"),
        (["vae-mnist", "--pictures", "20"], "--pictures is for --split val"),
        (["vae-mnist", "--data-dir", "/nowhere"], "The data folder /nowhere does not exist"),
        (["--cards-only", "vae-mnist"], "holds no numbers"),
        ([], "Name a checkpoint (autoencoder-fashion, autoencoder-mnist"),
    ],
)
def test_errors_are_one_sentence(root, arguments, sentence):
    done = run_evaluate(*arguments)
    assert done.exit_code == 1
    assert sentence in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("names", "option", "families"),
    [
        (["transformer-mnist"], ["--steps", "5"], "diffusion"),
        (["gan-mnist", "vae-mnist"], ["--truncation", "0.5"], "gan"),
        (["dcgan-mnist"], ["--truncation", "0.5"], "gan"),
        (["diffusion-mnist"], ["--samples", "5"], "vae"),
    ],
)
def test_an_option_of_another_family_is_refused_before_anything_is_measured(root, names, option, families):
    done = run_evaluate(*names, *option)
    assert done.exit_code == 1
    assert f"{option[0]} is an option of {families}: {names[-1]} has no such option." in done.output
    assert not (root / names[0] / "README.md").exists()
