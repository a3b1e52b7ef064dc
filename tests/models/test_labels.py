"""Labels as text and as numbers."""

import pytest
import torch

from genmodels import data, labels
from genmodels.base import check_labels

FACES = {name: data.ATTRIBUTES[name] for name in ("smiling", "glasses", "hair_color", "hair_length")}
CLOTHES = labels.classes("fashion")


def test_text_and_numbers():
    assert labels.parse(FACES, "smiling=yes, hair_color=pink") == [1, -1, 8, -1]
    assert labels.parse(FACES, "any") == [-1] * 4 and labels.parse(CLOTHES, "any") == [-1]
    assert labels.parse(CLOTHES, "ankle boot") == [9]
    assert labels.join({"smiling": "yes", "glasses": "any", "hair_color": "pink"}) == "smiling=yes, hair_color=pink"
    assert labels.join(dict.fromkeys(FACES, "any")) == labels.join({"class": "any"}) == "any"


@pytest.mark.parametrize("conditions", [FACES, CLOTHES])
def test_every_single_value_comes_back(conditions):
    names = labels.single_values(conditions)
    assert len(set(names)) == sum(map(len, conditions.values()))
    assert [labels.to_text(conditions, labels.parse(conditions, name)) for name in names] == names
    assert labels.to_text(conditions, [-1] * len(conditions)) == "any"


def test_what_a_model_takes():
    assert labels.for_picture(CLOTHES, "bag") == labels.for_pictures(CLOTHES, "bag", 3) == 8
    assert labels.for_pictures(CLOTHES, "each", 12) == [*range(10), 0, 1]
    assert labels.for_pictures(FACES, "any", 3) is None
    label = labels.for_pictures(FACES, "glasses=round", 3)
    assert check_labels(label, 3, [len(values) for values in FACES.values()]).tolist() == [[-1, 1, -1, -1]] * 3


@pytest.mark.parametrize(
    ("conditions", "text", "attribute"),
    [
        (FACES, "round", "attribute"),
        (FACES, "hat=cat", "attribute"),
        (FACES, "each", "attribute"),
        (FACES, "glasses=pink", "glasses"),
        (CLOTHES, "glasses=round", "class"),
        (CLOTHES, "each", "class"),
        (CLOTHES, 3, "class"),
    ],
)
def test_a_wrong_label_is_named(conditions, text, attribute):
    with pytest.raises(labels.LabelError, match="label must be one of") as error:
        labels.for_picture(conditions, text)
    assert error.value.attribute == attribute


def test_conditions_are_those_of_the_model(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    assert labels.conditions("diffusion-avatars") == FACES
    assert labels.conditions("gan-fashion") == labels.conditions("flow-fashion") == CLOTHES
    with pytest.raises(ValueError, match="Dataset must be one of"):
        labels.classes("dogs")


def test_pictures_with_a_label():
    y = torch.tensor([0, 1, 2, 0, 1, 2, 0])[:, None]
    assert sorted(labels.matching(y, 0, 9, [3], seed=1)) == [0, 3, 6]
    each = labels.matching(y, [0, 1, 2, 0], 4, [3], seed=1)
    assert y[each, 0].tolist() == [0, 1, 2, 0] and len(set(each)) == 4
    assert each == labels.matching(y, [0, 1, 2, 0], 4, [3], seed=1)
    assert len({tuple(labels.matching(y, None, 7, [3], seed=seed)) for seed in range(9)}) > 1
    attributes = torch.tensor([[0, 1], [1, 1], [0, 0]])
    assert sorted(labels.matching(attributes, [-1, 1], 5, [2, 2], seed=0)) == [0, 1]
    assert labels.matching(attributes, [1, 0], 5, [2, 2], seed=0) == []


def test_the_labels_of_a_model_among_those_of_its_data_set():
    y = data.samples("avatars").y
    selected = labels.select(y, FACES)
    assert selected[7].tolist() == [y[7, list(data.ATTRIBUTES).index(name)] for name in FACES]
    assert labels.select(data.samples("mnist").y, {"class": data.CLASSES["mnist"]}).shape == (200, 1)
