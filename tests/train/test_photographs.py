"""Folders of photographs: their split, and random patches."""

import numpy as np
import pytest
import torch
from PIL import Image

from genmodels import data
from train import photographs


def write(folder, names, size=(12, 10), mode="RGB"):
    """Pictures of one grey level each: the number in the name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", size, (int("".join(c for c in name if c.isdigit())),) * 3).convert(mode).save(folder / name)


def greys(pictures):
    return [int(p.float().mean().round()) for p in pictures]


def test_every_twentieth_of_a_folder_is_for_validation(tmp_path):
    write(tmp_path, [f"{i:03d}.png" for i in range(45)])
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    assert greys(photographs.load("val", tmp_path)) == [0, 20, 40]
    assert greys(photographs.load("train", tmp_path)) == [i for i in range(45) if i % 20]


def test_the_papers_split(tmp_path):
    for folder, first in (("train", 0), ("bsd68", 100), ("cbsd68", 200)):
        write(tmp_path / "bsds" / folder, [f"{first + i}.png" for i in range(22)])
    write(tmp_path, ["250.png", "251.png"])  # what stands beside bsds/ is not of the split
    val, train = greys(photographs.load("val", tmp_path)), greys(photographs.load("train", tmp_path))
    assert len(val) == 2 and len(train) == 20 and not set(val) & set(train) and set(val + train) == set(range(22))
    test, colour = photographs.load("test", tmp_path), photographs.load("colour", tmp_path)
    assert sorted(greys(test)) == list(range(100, 122)) and {p.shape for p in test} == {(1, 10, 12)}
    assert sorted(greys(colour)) == list(range(200, 222)) and {p.shape for p in colour} == {(3, 10, 12)}
    assert all(p.dtype == torch.uint8 for p in test)


def test_only_training_pictures_are_downscaled(tmp_path):
    for folder in ("train", "bsd68"):
        write(tmp_path / "bsds" / folder, ["1.png", "2.png"], size=(1500, 300))
    assert {tuple(p.shape) for split in ("train", "val") for p in photographs.load(split, tmp_path)} == {(3, 205, 1024)}
    assert {tuple(p.shape) for p in photographs.load("test", tmp_path)} == {(1, 300, 1500)}


def test_the_small_photographs_are_split_in_three():
    splits = {split: photographs.load(split, data.SAMPLES) for split in ("train", "val", "test", "colour")}
    assert {k: len(v) for k, v in splits.items()} == {"train": 3, "val": 3, "test": 2, "colour": 2}
    assert [p.shape[0] for p in splits["test"]] == [1, 1] and [p.shape[0] for p in splits["colour"]] == [3, 3]
    pictures = [p.flatten().tolist() for split in ("train", "val", "colour") for p in splits[split]]
    assert len({tuple(p) for p in pictures}) == 8


def test_turned_photographs_are_upright(tmp_path):
    write(tmp_path, ["1.jpg"])
    wide = Image.new("RGB", (20, 10))
    exif = wide.getexif()
    exif[274] = 6  # to be turned by a quarter
    wide.save(tmp_path / "2.jpg", exif=exif)
    assert photographs.load("train", tmp_path)[0].shape == (3, 20, 10)


@pytest.mark.parametrize("folder, sentence", [("one", "at least two are needed"), ("broken", "is not a readable picture")])
def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(tmp_path, folder, sentence):
    write(tmp_path / "one", ["1.png"])
    write(tmp_path / "broken", ["1.png"])
    (tmp_path / "broken" / "0.png").write_bytes(b"no picture")
    with pytest.raises(data.DataError, match=sentence):
        photographs.load("val", tmp_path / folder)


def numbered(height, width, first=0):
    """A picture in which each pixel is its own number, as three channels."""
    return torch.arange(first, first + height * width).view(1, height, width).expand(3, -1, -1)


def test_patches_are_turned_and_mirrored_parts_of_all_places_of_their_picture():
    torch.manual_seed(0)
    big, small = numbered(8, 12), numbered(4, 4, 1000)
    patches = photographs.Patches([big, small, numbered(3, 20, 2000)], 4)  # the last is too low
    assert len(patches) == 6 + 1  # as many as would cover them
    (x,) = patches.batch(torch.arange(7).repeat(300))
    assert x.shape == (2100, 3, 4, 4)
    first = (255 * x[:, 0]).round().long()
    of_small = first.amin((1, 2)) >= 1000
    assert of_small.tolist() == [False] * 6 + [True] + ([False] * 6 + [True]) * 299
    whole, parts = numbered(4, 4, 1000)[0], set()
    orientations = {tuple(t.rot90(k).flatten().tolist()) for t in (whole, whole.flip(1)) for k in range(4)}
    assert {tuple(p.flatten().tolist()) for p in first[of_small]} == orientations
    for patch in first[~of_small]:
        top, left = divmod(int(patch.min()), 12)
        assert sorted(patch.flatten().tolist()) == np.sort(big[0, top : top + 4, left : left + 4].flatten()).tolist()
        parts.add((top, left))
    assert parts == {(top, left) for top in range(5) for left in range(9)}


def test_no_picture_large_enough_is_refused():
    with pytest.raises(data.DataError, match="at least 9 pixels"):
        photographs.Patches([numbered(8, 12)], 9)
