"""The classifiers' recipe, its augmentation, and their evaluation."""

import numpy as np
import pytest
import torch

import genmodels as gm
from genmodels import data
from tests.compare import close
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


def centre_of(x):
    """(row, column) of each picture's centre of mass, from the picture's centre, in pixels."""
    offsets = torch.arange(x.shape[-1]) - (x.shape[-1] - 1) / 2
    mass = x.sum((1, 2, 3))
    return (x.sum((1, 3)) * offsets).sum(1) / mass, (x.sum((1, 2)) * offsets).sum(1) / mass


def test_jitter_moves_turns_and_scales_as_far_as_it_says():
    torch.manual_seed(0)
    dot = torch.zeros(3000, 1, 29, 29)
    dot[..., 13:16, 13:16] = 1.0
    rows, columns = centre_of(classifier.jitter(dot, 0, 0, 3.0, False))
    for moved in (rows, columns):
        assert 2.7 < moved.abs().max() < 3.3 and moved.mean().abs() < 0.2 and (moved > 0).any() and (moved < 0).any()
    bar = torch.zeros(3000, 1, 29, 29)
    bar[..., 14, 3:26] = 1.0
    turned = classifier.jitter(bar, 20, 0, 0, False)
    offsets = torch.arange(29) - 14.0
    xy = (turned * offsets[:, None] * offsets).sum((1, 2, 3))
    xx, yy = (turned * offsets.square()).sum((1, 2, 3)), (turned * offsets[:, None].square()).sum((1, 2, 3))
    degrees = torch.rad2deg(0.5 * torch.atan2(2 * xy, xx - yy))
    assert 17 < degrees.max() < 21 and -21 < degrees.min() < -17
    block = torch.zeros(3000, 1, 29, 29)
    block[..., 9:20, 9:20] = 1.0
    area = classifier.jitter(block, 0, 0.2, 0, False).sum((1, 2, 3)) / 121
    assert 0.64 < area.min() < 0.75 and 1.4 < area.max() < 1.6  # 1 / 1.2 ** 2 and 1 / 0.8 ** 2
    assert close(classifier.jitter(bar[:5], 0, 0, 0, False), bar[:5], atol=1e-4)


def test_erasing_covers_a_square_with_one_grey():
    torch.manual_seed(0)
    x = torch.full((2000, 2, 20, 20), 2.0)
    erased = classifier.erase(x, 0.25)
    holes = (erased != 2).flatten(1)
    share = holes.double().mean(1)
    assert 0.1 < share.max() <= 0.26 and 0.01 < share.mean() < 0.15 and (share > 0).double().mean() > 0.9
    for picture in erased[:50]:
        grey = picture[picture != 2]
        assert len(grey) == 0 or (len(grey.unique()) == 1 and 0 <= grey[0] <= 1)
        rows, columns = (picture[0] != 2).any(1).sum(), (picture[0] != 2).any(0).sum()
        assert int((picture[0] != 2).sum()) == int(rows * columns)
