"""Photographed digits are read: printed and by hand, on all kinds of paper, and those that were set aside before any tuning."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genmodels as gm
from genmodels import ink
from genmodels.data import preprocess
from tests import photographed

HELD_OUT = sorted((Path(photographed.__file__).parent / "photographs").glob("*.jpg"))


@pytest.fixture(scope="module")
def judge():
    return gm.load("classifier-mnist")


def read(judge, picture):
    return int(judge.predict(preprocess(picture, "mnist"))[0, 0])


@pytest.mark.parametrize("kind", photographed.KINDS)
def test_digits_on_all_kinds_of_paper(kind, judge):
    pictures = photographed.printed(0, [kind], (0, 2, 6), 280) + photographed.handwritten(0, [kind], (3, 5, 9), 280)
    answers = [(digit, read(judge, picture)) for digit, _, picture in pictures]
    assert len(answers) == 6
    assert sum(digit == answer for digit, answer in answers) >= 5, answers


def test_photographs_that_were_set_aside(judge):
    answers = [(file.name, read(judge, Image.open(file))) for file in HELD_OUT]
    assert len(answers) == 20
    assert sum(name.startswith(str(answer)) for name, answer in answers) >= 16, answers


@pytest.mark.parametrize("kind", ["plain", "grain", "lined"])
def test_paper_without_a_digit_is_empty(kind, monkeypatch):
    monkeypatch.setattr(photographed, "ink_of", lambda digit, size, rng, font=None: np.zeros((size, size)))
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"^The drawing is empty: draw something first\.$"):
        preprocess(photographed.photograph(0, kind, rng), "mnist")


def test_ink_is_dark_on_paper_and_light_on_a_board():
    paper = np.full((200, 200), 200, np.uint8)
    paper[40:160, 90:110] = 40
    for picture in (paper, 255 - paper):
        found = ink.find_ink(picture)
        assert found.shape == (200, 200) and found[50:150, 95:105].min() > 0.5
        assert found[:, :70].max() == found[:, 130:].max() == found[:30].max() == 0


def test_connected_components():
    mask = np.zeros((6, 9), bool)
    mask[0, 0] = mask[1, 1] = mask[2, 0] = True  # by their corners
    mask[0:6, 4] = mask[5, 4:9] = mask[0:6, 8] = True  # a U
    labels = ink._components(mask)
    assert labels.max() == 2
    assert len({labels[0, 0], labels[1, 1], labels[2, 0]}) == 1
    assert len(set(labels[mask & (np.arange(9) > 2)])) == 1
    assert (labels[~mask] == 0).all()
    assert (ink._components(np.ones((3, 3), bool)) == 1).all()
    assert (ink._components(np.zeros((3, 3), bool)) == 0).all()


def test_windows():
    values = np.random.default_rng(0).random((12, 17))
    padded = torch.from_numpy(np.pad(values, 3, mode="edge"))[None, None]
    largest = torch.nn.functional.max_pool2d(padded, 7, 1)[0, 0].numpy()
    assert np.array_equal(ink._extreme(values, 7, np.maximum), largest)
    assert np.array_equal(ink._extreme(-values, 7, np.minimum), -largest)
    padded = torch.from_numpy(np.pad(values, 2, mode="symmetric"))[None, None]
    assert np.allclose(ink._mean(values, 5), torch.nn.functional.avg_pool2d(padded, 5, 1)[0, 0].numpy())


def test_runs_and_thresholds():
    mask = np.array([[1, 0], [1, 1], [0, 1], [1, 1]], bool)
    assert ink._run_lengths(mask).tolist() == [[2, 1], [2, 3], [1, 3], [1, 3]]
    two = np.concatenate([np.full(900, 0.1), np.full(100, 0.8)])
    assert 0.1 < ink._otsu(two) < 0.8


def test_ruled_lines_go_and_strokes_stay():
    mask = np.zeros((100, 100), bool)
    mask[10::20] = True
    mask[:, 45:55] = True
    cleaned = ink._without_lines(mask)
    assert cleaned[:, 45:55].all()
    assert cleaned[:, :40].sum() == 0
