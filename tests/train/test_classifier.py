"""The classifiers' recipe and their evaluation."""

import numpy as np
import pytest

import genmodels as gm
from genmodels import data
from tests.helpers_train import check_recipe, measured
from train import classifier


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--dataset", "mnist"], "classifier-mnist"),
        (["--dataset", "avatars"], "classifier-avatars"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, small_networks, options, name):
    check_recipe(classifier.app, options, name, workdir, read_only)


def test_numbers_of_a_classifier(root):
    """Hidden attributes are not counted."""
    values, card = measured(root, "classifier-avatars")
    test, model = data.load("avatars", "test"), gm.load("classifier-avatars")
    predicted = model.predict(test.floats())
    pairs = [zip(predicted[:, i].tolist(), test.y[:, i].tolist()) for i in range(16)]
    shares = [np.mean([a == b for a, b in labels if b != -1]) for labels in pairs]
    assert values["accuracy"] == pytest.approx(np.mean(shares), abs=1e-5)
    hair = next(r for r in card.data.eval_results if r.metric_name == "accuracy of hair")
    assert hair.metric_value == pytest.approx(shares[list(data.ATTRIBUTES).index("hair")], abs=1e-5)
    assert hair.metric_args["N"] == (test.y[:, list(data.ATTRIBUTES).index("hair")] != -1).sum() < len(test)
    labels = test.y[:, list(data.ATTRIBUTES).index("hair")]
    majority = np.unique(labels[labels >= 0], return_counts=True)[1].max() / hair.metric_args["N"]
    assert hair.metric_args["beside"] == f"majority-class baseline: {majority:.1%}"
