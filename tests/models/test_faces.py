"""What follows from changing an attribute of a face."""

import pytest
import torch

from genmodels import data


def test_faces_of_the_set_agree_with_the_rules():
    """A real face is what `with_value` makes of itself, whichever of its values is set anew."""
    for y in data.samples("avatars").y:
        face = data.attribute_values(y)
        for attribute, value in face.items():
            if value != "hidden":
                assert data.change_attribute(face, attribute, value) == face, (attribute, face)


@pytest.mark.parametrize("attribute", list(data.ATTRIBUTES))
def test_a_changed_face_is_a_possible_one(attribute):
    for y in data.samples("avatars").y[:40]:
        for value in data.ATTRIBUTES[attribute]:
            new = data.change_attribute(data.attribute_values(y), attribute, value)
            if new[attribute] != value:  # eyes behind dark glasses stay hidden
                assert (
                    new[attribute] == "hidden"
                    or (attribute, value) in {("glasses_color", "none"), ("hat_color", "none")}
                    or new[attribute.replace("_color", "").replace("hat", "headwear")] == "none"
                )
            assert (new["mouth"] in data.SMILING_MOUTHS) == (new["smiling"] == "yes")
            assert (new["glasses"] == "none") == (new["glasses_color"] == "none")
            assert (new["headwear"] != "none") == (new["hair"] == "hidden") == (new["hair_length"] == "hidden")
            assert (new["eyes"] == "hidden") == (new["glasses"] in ("sunglasses", "big_shades"))
            if new["hair"] != "hidden":
                assert data.HAIR_LENGTHS.get(new["hair"], "short") == new["hair_length"]


def test_a_smile_keeps_a_mouth_that_smiles_and_changes_one_that_does_not():
    face = data.attribute_values(data.samples("avatars").y[0])
    sad, grin = face | {"mouth": "sad", "smiling": "no"}, face | {"mouth": "chuckle", "smiling": "yes"}
    assert data.change_attribute(sad, "smiling", "yes")["mouth"] == "open_smile"
    assert data.change_attribute(grin, "smiling", "yes") == grin
    assert data.change_attribute(grin, "smiling", "no")["mouth"] == "serious"


PLAIN = data.attribute_values(data.samples("avatars").y[0]) | dict(  # a bare face with short hair
    glasses="none",
    glasses_color="none",
    eyes="open",
    eyebrows="neutral",
    headwear="none",
    hat_color="none",
    hair="crew_cut",
    hair_length="short",
)
HAT = dict(headwear="hat", hat_color="red", hair="hidden", hair_length="hidden")
DARK = dict(glasses="big_shades", glasses_color="red", eyes="hidden", eyebrows="hidden")


@pytest.mark.parametrize(
    "before, attribute, value, follows",
    [
        ({}, "hair_length", "none", {"hair": "bald"}),
        ({}, "hair_length", "medium", {"hair": "bob"}),
        ({}, "hair_length", "long", {"hair": "straight"}),
        ({"hair": "wavy", "hair_length": "long"}, "hair_length", "short", {"hair": "crew_cut"}),
        ({"hair": "wavy", "hair_length": "long"}, "hair_length", "long", {}),
        ({}, "hair", "afro", {"hair_length": "medium"}),
        ({}, "headwear", "hat", {"hat_color": "black", "hair": "hidden", "hair_length": "hidden"}),
        (HAT, "headwear", "none", {"hat_color": "none", "hair": "crew_cut", "hair_length": "short"}),
        (HAT, "hair_length", "long", {"headwear": "none", "hat_color": "none", "hair": "straight"}),
        (HAT, "hair", "afro", {"headwear": "none", "hat_color": "none", "hair_length": "medium"}),
        (HAT, "skin", "brown", {}),
        ({}, "glasses", "sunglasses", {"glasses_color": "black", "eyes": "hidden"}),
        ({}, "glasses", "big_shades", {"glasses_color": "black", "eyes": "hidden", "eyebrows": "hidden"}),
        (DARK, "glasses", "sunglasses", {"eyebrows": "neutral"}),
        (DARK, "glasses", "none", {"glasses_color": "none", "eyes": "open", "eyebrows": "neutral"}),
        ({"mouth": "sad", "smiling": "no"}, "mouth", "chuckle", {"smiling": "yes"}),
    ],
)
def test_what_follows_from_a_change_and_nothing_else(before, attribute, value, follows):
    face = PLAIN | before
    assert data.change_attribute(face, attribute, value) == face | {attribute: value} | follows


def test_new_faces_are_possible_ones_and_not_those_of_the_set():
    y, existing = data.sample_attributes(200, seed=0), {tuple(row) for row in data.samples("avatars").y.tolist()}
    assert torch.equal(y, data.sample_attributes(200, seed=0))
    assert not torch.equal(y, data.sample_attributes(200, seed=1))
    assert not existing & {tuple(row) for row in y.tolist()}
    for row in y:
        face = data.attribute_values(row)
        assert data.change_attribute(face, "background", face["background"]) == face
