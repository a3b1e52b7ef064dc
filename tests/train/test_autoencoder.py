"""The autoencoder's recipe and its evaluation."""

import pytest
import torch

import genmodels as gm
from genmodels import data
from tests.helpers_train import check_recipe, measured, run, states
from train import autoencoder

N = 66  # the last third of the 200 sample pictures of digits


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--dataset", "mnist"], "autoencoder-mnist"),
        (["--dataset", "fashion"], "autoencoder-fashion"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, options, name):
    check_recipe(autoencoder.app, options, name, workdir, read_only)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "avatars"], "must be one of"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, options, message):
    code, out = run(autoencoder.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


def test_numbers_of_an_autoencoder(root):
    values, card = measured(root, "autoencoder-mnist")
    x, model = data.load("mnist", "test").floats(), gm.load("autoencoder-mnist")
    assert len(x) == N
    mse = (model.decode(model.encode(x)) - x).square().mean().item()
    train = data.load("mnist", "train").floats().flatten(1)
    _, _, v = torch.linalg.svd(train - train.mean(0), full_matrices=False)
    centred = x.flatten(1) - train.mean(0)
    pca_error = (centred - centred @ v[:2].T @ v[:2]).square().mean().item()
    assert values["mse"] == pytest.approx(mse, rel=1e-4)
    assert values["ratio"] == pytest.approx(pca_error / mse, rel=1e-3)
    assert states(card.content, pca_error, off=[1e-4])
