"""Datasets on disk, whole or broken, and the preprocessing of a visitor's own picture."""

import csv
import gzip
import struct
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genmodels import data
from genmodels.data import ATTRIBUTES, DATASETS, HIDDEN, DataError


def idx(array):
    """An array of bytes as an IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx(folder, packed=False, train=60, test=12):
    """A small MNIST: the first two pixels of picture i encode i, its label is the last digit of i."""
    folder.mkdir(parents=True)
    for part, n in (("train", train), ("t10k", test)):
        i = np.arange(n)
        x = np.zeros((n, 28, 28), np.uint8)
        x[:, 0, 0], x[:, 0, 1] = i // 256, i % 256
        for kind, array in (("images-idx3", x), ("labels-idx1", i % 10)):
            name, raw = f"{part}-{kind}-ubyte", idx(array)
            (folder / (name + ".gz" if packed else name)).write_bytes(gzip.compress(raw, 1) if packed else raw)


MOLE = (250, 100, 50)  # in row 2, column 5


def write_avatars(folder, train=30, test=6):
    """A few faces: face i has colour i and a mole; each attribute cycles through its values."""
    folder.mkdir(parents=True)
    with open(folder / "attributes.csv", "w", encoding="utf-8", newline="") as f:
        table = csv.writer(f)
        table.writerow(["id", "split", *ATTRIBUTES])
        for part, n in (("train", train), ("test", test)):
            images = np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 64, 3), np.uint8)
            images[:, 2, 5] = MOLE
            np.savez(folder / f"{part}.npz", images=images)
            for i in range(n):
                row = {name: values[i % len(values)] for name, values in ATTRIBUTES.items()}
                row["smiling"] = i % 2
                row["hair_color"] = "hidden" if i % 4 == 3 else row["hair_color"]
                table.writerow([i, part, *row.values()])


def numbers(pictures):
    """What write_idx and write_avatars wrote into each picture."""
    x = pictures.x.long()
    return (x[:, 0, 0, 0] * 256 + x[:, 0, 0, 1] if x.shape[1] == 1 else x[:, 0, 0, 0]).tolist()


@pytest.fixture
def folder(tmp_path):
    """A data folder with all three datasets, small."""
    write_idx(tmp_path / "MNIST" / "raw")
    write_idx(tmp_path / "FashionMNIST" / "raw", packed=True)
    write_avatars(tmp_path / "avatars")
    return tmp_path


# --- Named datasets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_splits_are_disjoint_exhaustive_and_always_the_same(name, folder):
    train, val, test = (data.load(name, split, folder) for split in data.SPLITS)
    n = 30 if name == "avatars" else 60
    assert sorted(numbers(train) + numbers(val)) == list(range(n))
    assert len(val) == n // 6
    assert numbers(test) == list(range(len(test)))
    assert numbers(data.load(name, "val", folder)) == numbers(val)
    assert numbers(val) != sorted(numbers(val))  # shuffled before the cut
    for part in (train, val, test):
        assert part.x.dtype == torch.uint8
        assert part.x.shape[1:] == data.SHAPES[name]
        assert len(part.y) == len(part)
        labels = part.y if name != "avatars" else part.y[:, list(ATTRIBUTES).index("clothing")]
        modulus = 10 if name != "avatars" else len(ATTRIBUTES["clothing"])
        assert labels.tolist() == [i % modulus for i in numbers(part)]  # each label stayed with its picture


def test_the_validation_split_of_the_whole_set_is_5000(tmp_path):
    write_idx(tmp_path / "MNIST", train=60_000, test=1)
    train, val = data.load("mnist", "train", tmp_path), data.load("mnist", "val", tmp_path)
    assert (len(train), len(val)) == (55_000, 5_000)
    assert numbers(val)[:3] == [30102, 43764, 35133]  # a model's published numbers hold for this split only
    assert sorted(numbers(train) + numbers(val)) == list(range(60_000))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("raw", ["raw", "."])
def test_idx_files_packed_or_not_in_raw_or_not(packed, raw, tmp_path):
    write_idx(tmp_path / "MNIST" / raw, packed)
    test = data.load("mnist", "test", tmp_path)
    assert numbers(test) == list(range(12))
    assert test.y.tolist() == [i % 10 for i in range(12)]
    assert test.floats().dtype == torch.float32
    assert test.floats().max() == test.x.max() / 255


def test_a_data_folder_is_only_read(folder, monkeypatch):
    def everything():
        return {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in folder.rglob("*")}

    before = everything()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    monkeypatch.setenv("GENMODELS_DATA", str(folder))
    for name in DATASETS:
        assert len(data.load(name, "train")) > 0
    assert everything() == before
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)


def test_the_argument_goes_before_the_environment(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_DATA", str(tmp_path / "none"))
    assert len(data.load("mnist", "test", folder)) == 12


def damage(kind):
    """What may be wrong with an IDX file: its bytes before -> after."""
    return {
        "missing": lambda raw: None,
        "empty": lambda raw: b"",
        "cut in the head": lambda raw: raw[:6],
        "cut": lambda raw: raw[:-1],
        "too long": lambda raw: raw + b"\0",
        "another type": lambda raw: raw[:2] + b"\x0d" + raw[3:],
        "other dimensions": lambda raw: raw[:3] + b"\x02" + raw[4:],
        "negative size": lambda raw: raw[:4] + b"\xff" * 4 + raw[8:],
        "no picture": lambda raw: raw[:4] + b"\0" * 4 + raw[8:16],
        "text": lambda raw: b"<html>404</html>",
    }[kind]


DAMAGE = [
    "missing",
    "empty",
    "cut in the head",
    "cut",
    "too long",
    "another type",
    "other dimensions",
    "negative size",
    "no picture",
    "text",
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("stem", ["images-idx3", "labels-idx1"])
def test_a_broken_idx_file_gives_a_one_sentence_error(packed, kind, stem, tmp_path):
    write_idx(tmp_path / "MNIST" / "raw", packed)
    file = tmp_path / "MNIST" / "raw" / (f"train-{stem}-ubyte" + (".gz" if packed else ""))
    raw = damage(kind)(gzip.decompress(file.read_bytes()) if packed else file.read_bytes())
    if raw is None:
        file.unlink()
    else:
        file.write_bytes(gzip.compress(raw) if packed else raw)
    with pytest.raises(DataError, match=rf"train-{stem}-ubyte.*(copy|--data-dir).*\.$"):
        data.load("mnist", "train", tmp_path)
    assert len(data.load("mnist", "test", tmp_path)) == 12  # the other files still load


@pytest.mark.parametrize("change", [lambda raw: raw[:-9], lambda raw: b"no gzip", lambda raw: raw[:40] + b"x" * 40])
def test_a_broken_gz_gives_a_one_sentence_error(change, tmp_path):
    write_idx(tmp_path / "MNIST" / "raw", packed=True)
    file = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte.gz"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(DataError, match=rf"^{file} cannot be read \(.*\): copy or download it again\.$"):
        data.load("mnist", "train", tmp_path)


@pytest.mark.parametrize(("images", "labels"), [((60, 28, 28), (59,)), ((60, 28, 27), (60,))])
def test_pictures_and_labels_must_fit(images, labels, tmp_path):
    write_idx(tmp_path / "MNIST" / "raw")
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(idx(np.zeros(images)))
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(labels)))
    with pytest.raises(
        DataError, match=r"raw holds 60 pictures of .* labels: there must be as many labels as pictures, and pictures of 28x28"
    ):
        data.load("mnist", "train", tmp_path)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("letters", "train"), r"dataset must be one of mnist, fashion, avatars, not 'letters'\."),
        (("mnist", "all"), r"split must be one of train, val, test, not 'all'\."),
        (("mnist", "train", "none"), r"The data folder none does not exist: name one that holds MNIST/\."),
        (("fashion", "train", "."), r"FashionMNIST/train-images.* is missing, .* --data-dir or \$GENMODELS_DATA\."),
        (
            ("avatars", "train", "."),
            r"avatars lacks train.npz or attributes.csv: generate the dataset with tools/avatars/ .*\.",
        ),
    ],
)
def test_a_missing_dataset_gives_a_one_sentence_error(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=sentence + "$"):
        data.load(*arguments)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A machine without data sets, and in torchvision's place one that counts its downloads and makes small sets."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("GENMODELS_DATA", raising=False)
    downloads = []

    def download(root, train, download):
        downloads.append(Path(root))
        if len(downloads) == 1:
            write_idx(Path(root) / "MNIST" / "raw")

    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(datasets=SimpleNamespace(MNIST=download)))
    return tmp_path, downloads


def test_digits_are_downloaded_once(home):
    folder, downloads = home
    for _ in range(2):
        assert len(data.load("mnist", "train")) == 50
    assert downloads == [folder / ".cache" / "genmodels"] * 2  # train and test


def test_a_failed_download_gives_a_one_sentence_error(home, monkeypatch):
    def fail(root, train, download):
        raise OSError("no route to host")

    monkeypatch.setattr(sys.modules["torchvision"].datasets, "MNIST", fail)
    with pytest.raises(DataError, match=r"^mnist could not be downloaded to .*no route to host.*--data-dir or .*\.$"):
        data.load("mnist", "train")


def test_faces_are_never_downloaded(home):
    with pytest.raises(DataError, match="generate the dataset with tools/avatars/"):
        data.load("avatars", "train")
    assert home[1] == []


# --- Faces ------------------------------------------------------------------------------------------------------------


def test_rows_stay_rows_and_colours_colours(folder):
    x = data.load("avatars", "test", folder).x
    assert x[3, :, 2, 5].tolist() == list(MOLE)
    assert x[3, :, 5, 2].tolist() == [3, 3, 3]


def test_attributes_are_numbers_of_their_values(folder):
    test = data.load("avatars", "test", folder)
    table = {name: test.y[:, column].tolist() for column, name in enumerate(ATTRIBUTES)}
    assert table["smiling"] == [0, 1, 0, 1, 0, 1]
    assert table["skin"] == [0, 1, 2, 3, 4, 0]
    assert table["hair_color"] == [0, 1, 2, HIDDEN, 4, 5]  # face 3 says "hidden"
    assert table["eyes"] == [0, 1, 2, HIDDEN, HIDDEN, 5]  # 3 and 4 wear dark glasses


def test_dark_glasses_hide_eyes_and_brows_and_nothing_else():
    y = torch.ones(len(ATTRIBUTES["glasses"]), len(ATTRIBUTES), dtype=torch.int64)
    y[:, list(ATTRIBUTES).index("glasses")] = torch.arange(len(y))
    before = y.clone()
    after = data.mark_hidden(y)
    assert after is y
    changed = [(ATTRIBUTES["glasses"][i], list(ATTRIBUTES)[j]) for i, j in (before != after).nonzero().tolist()]
    assert sorted(changed) == [("big_shades", "eyebrows"), ("big_shades", "eyes"), ("sunglasses", "eyes")]
    assert set(after[before != after].tolist()) == {HIDDEN}


def edited(change):
    """The table of faces, its text changed."""

    def do(folder):
        file = folder / "attributes.csv"
        file.write_bytes(change(file.read_bytes()))

    return do


BROKEN_FACES = {
    "no table": (lambda folder: (folder / "attributes.csv").unlink(), "lacks train.npz or attributes.csv"),
    "no pictures": (lambda folder: (folder / "train.npz").unlink(), "lacks train.npz or attributes.csv"),
    "a column too few": (edited(lambda text: text.replace(b"eyebrows", b"brows")), "attributes.csv is not the table"),
    "an unknown value": (edited(lambda text: text.replace(b"beanie", b"crown", 1)), "is not the table.*crown"),
    "no split": (edited(lambda text: text.replace(b"split", b"part")), "attributes.csv is not the table"),
    "half a line": (edited(lambda text: text[:1500]), "attributes.csv is not the table"),
    "no text": (edited(lambda text: b"\xff\xfe" + text), "attributes.csv is not the table"),
    "empty": (edited(lambda text: b""), "train.npz must hold 0 pictures"),
    "other pictures": (
        lambda folder: (folder / "train.npz").write_bytes((folder / "test.npz").read_bytes()),
        r"train.npz must hold 30 pictures \(64, 64, 3\) of bytes, not \(6, 64, 64, 3\)",
    ),
    "greys": (lambda folder: np.savez(folder / "train.npz", images=np.zeros((30, 64, 64), np.uint8)), "must hold 30 pictures"),
    "floats": (lambda folder: np.savez(folder / "train.npz", images=np.zeros((30, 64, 64, 3))), "float64"),
    "pictures cut": (
        lambda folder: (folder / "train.npz").write_bytes((folder / "train.npz").read_bytes()[:-30]),
        "train.npz is truncated",
    ),
}


@pytest.mark.parametrize("fault", BROKEN_FACES)
def test_broken_faces_give_a_one_sentence_error(fault, folder):
    damage_folder, message = BROKEN_FACES[fault]
    damage_folder(folder / "avatars")
    with pytest.raises(DataError, match=rf"{message}.*(again|GENMODELS_DATA)\.$"):
        data.load("avatars", "train", folder)


# --- The small sets that ship -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_samples(name):
    subset = data.samples(name)
    assert subset.x.shape[1:] == data.SHAPES[name]
    assert subset.x.dtype == torch.uint8
    if name == "avatars":
        assert subset.y.shape == (100, len(ATTRIBUTES))
        for column, values in zip(subset.y.T, ATTRIBUTES.values()):
            assert HIDDEN <= column.min() <= column.max() < len(values)
        assert torch.equal(data.mark_hidden(subset.y.clone()), subset.y)
    else:
        assert torch.bincount(subset.y).tolist() == [20] * len(data.CLASSES[name])
    assert len(torch.unique(subset.x.flatten(1), dim=0)) == len(subset)


def test_samples_are_small():
    assert sum(file.stat().st_size for file in data.SAMPLES.iterdir()) < 1_000_000


@pytest.mark.parametrize("name", DATASETS)
def test_samples_can_stand_for_the_data_folder(name):
    parts = [data.load(name, split, data.SAMPLES) for split in data.SPLITS]
    assert sum(map(len, parts)) == len(data.samples(name))
    together = torch.cat([part.x.flatten(1) for part in parts])
    assert len(torch.unique(together, dim=0)) == len(together)


@pytest.mark.parametrize("i", [slice(2, 5), torch.tensor([3, 1]), torch.arange(200) < 7], ids=["slice", "indices", "mask"])
def test_a_subset_of_pictures(i):
    subset = data.samples("mnist")
    assert torch.equal(subset[i].x, subset.x[i])
    assert torch.equal(subset[i].y, subset.y[i])
    assert len(subset[i]) == len(subset.x[i])


X = np.zeros((5, 1, 28, 28), np.uint8)
BAD_ARRAYS = {
    "no y": dict(x=X),
    "no x": dict(y=np.zeros(5, int)),
    "floats": dict(x=X / 255, y=np.zeros(5, int)),
    "no channel": dict(x=X[:, 0], y=np.zeros(5, int)),
    "fewer labels": dict(x=X, y=np.zeros(4, int)),
    "one label": dict(x=X, y=np.array(3)),
    "words": dict(x=X, y=np.array(list("abcde"))),
    "objects": dict(x=X, y=np.array([None] * 5)),
    "two pictures": dict(x=X[:2], y=np.zeros(2, int)),
    "shares": dict(x=X, y=np.full(5, 0.5)),
    "many questions": dict(x=X, y=np.zeros((5, 16), int)),
}


@pytest.mark.parametrize("arrays", BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_npz_with_other_arrays_gives_a_one_sentence_error(arrays, tmp_path):
    np.savez(tmp_path / "mnist.npz", **arrays)
    file = tmp_path / "mnist.npz"
    with pytest.raises(DataError, match=rf"^{file} (must hold x, |is truncated or ).*: copy it again\.$"):
        data.load("mnist", "train", tmp_path)


def test_a_broken_npz_gives_a_one_sentence_error(tmp_path):
    """Cut anywhere, or one byte changed anywhere: the pictures as they were, or the sentence."""
    whole, rng = (data.SAMPLES / "mnist.npz").read_bytes(), np.random.default_rng(0)
    good, file = data.samples("mnist"), tmp_path / "mnist.npz"
    changed = [whole[:n] for n in range(0, len(whole), 1511)]
    for place in [*range(0, 100, 3), *range(len(whole) - 240, len(whole), 3), *rng.integers(0, len(whole), 100)]:
        changed.append(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
    refused = 0
    for content in [*changed, b"PK\3\4", b"\x93NUMPY", b"text"]:
        file.write_bytes(content)
        try:
            found = data._read_npz(file, "mnist")
        except DataError as e:
            refused += str(e).startswith(str(file))
        else:
            assert torch.equal(found.x, good.x)
    assert refused > 100


def test_an_array_file_is_no_npz(tmp_path):
    with open(tmp_path / "mnist.npz", "wb") as f:
        np.save(f, X)
    with pytest.raises(DataError, match="is truncated or not the expected npz file"):
        data.load("mnist", "train", tmp_path)
