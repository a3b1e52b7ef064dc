"""People's own pictures: what is read from a folder, and what is left out."""

import gzip
import json
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

import genmodels as gm
from genmodels import data
from tests.helpers_own_data import RGB, picture, write
from train import denoiser, diffusion, engine, folder, gan, photographs, vae


@pytest.fixture
def colours(tmp_path):
    """Three classes of fourteen pictures each."""
    place = tmp_path / "my colours"
    for k, (name, colour) in enumerate(RGB.items()):
        write(place / name, [f"{i}.png" for i in range(14)], colour, 100 * k)
    return place


def words(own):
    return " ".join(own.notes)


# --- What is read -----------------------------------------------------------------------------------------------------


def test_classes_are_the_subfolders_and_each_picture_has_its_own(colours):
    own = folder.load(colours)
    assert (own.name, own.title, own.channels, own.size) == ("my_colours", "my colours", 3, 32)
    assert own.classes == ["blue", "green", "red"] and len(own.train) + len(own.val) + len(own.test) == 42
    for part in (own.train, own.val, own.test):
        corner = part.x[:, :, 4:12, 4:12].float().mean((2, 3))  # upper left
        expected = torch.tensor([RGB[own.classes[label]] for label in part.y.tolist()]).float()
        assert torch.allclose(corner, expected, atol=3)
        assert bool((part.x[:, :, 22:, 22:].float().mean((1, 2, 3)) > 225).all())
    assert "42 pictures, 3 classes (blue 14, green 14, red 14), in colour, 32x32" in words(own)


def test_without_subfolders_there_are_no_classes(tmp_path):
    write(tmp_path / "flowers", [f"{i}.png" for i in range(20)])
    own = folder.load(tmp_path / "flowers")
    assert own.classes == ["flowers"] and set(own.train.y.tolist()) == {0}


def test_grey_pictures_are_found_by_their_pixels_not_by_their_mode(tmp_path):
    for i in range(24):
        grey = Image.fromarray(np.random.default_rng(i).integers(0, 256, (28, 28), dtype=np.uint8))
        (tmp_path / "grey").mkdir(exist_ok=True)
        grey.convert("RGB" if i % 2 else "L").save(tmp_path / "grey" / f"{i}.png")
    own = folder.load(tmp_path / "grey")
    assert (own.channels, own.size) == (1, 28)  # no larger than they are
    first = np.asarray(Image.open(tmp_path / "grey" / "0.png"))
    assert any(np.array_equal(x[0].numpy(), first) for part in (own.train, own.val, own.test) for x in part.x)


@pytest.mark.parametrize("coloured, channels", [(1, 1), (3, 3)])
def test_a_few_coloured_pictures_do_not_make_a_folder_coloured(tmp_path, coloured, channels):
    for i in range(60):
        pixels = np.random.default_rng(i).integers(0, 256, (28, 28, 3 if i < coloured else 1), dtype=np.uint8)
        Image.fromarray(np.broadcast_to(pixels, (28, 28, 3)).copy()).save(tmp_path / f"{i}.png")
    assert folder.load(tmp_path, name="mixed").channels == channels


def test_a_picture_stays_in_its_split_when_others_are_added_moved_or_copied(colours):
    def splits():
        own = folder.load(colours)
        return {x.numpy().tobytes(): s for s in data.SPLITS for x in getattr(own, s).x}

    before = splits()
    write(colours / "red", [f"more{i}.png" for i in range(60)], first=1000)
    (colours / "red" / "0.png").rename(colours / "red" / "zzz.png")
    (colours / "red" / "copy.png").write_bytes((colours / "red" / "1.png").read_bytes())
    after = splits()
    # a few pictures went to val and test only because there were too few
    moved = [x for x, s in before.items() if after[x] != s]
    assert len(moved) <= 2 and len(after) == len(before) + 60
    assert "Left out as copies of others, 1 file: red/copy.png" in words(folder.load(colours))


@pytest.mark.parametrize("labels", [[0] * 20, [0] * 18 + [1, 2], [0] * 30 + [1] * 2])
def test_every_class_is_trained_and_no_split_is_empty(labels):
    random = torch.rand(len(labels), generator=torch.Generator().manual_seed(3)).tolist()
    for hashes in (random, [0.05] * len(labels), [0.9] * len(labels)):
        parts = folder.split(hashes, labels)
        assert {labels[i] for i in parts["train"].tolist()} == set(labels)
        assert min(len(i) for i in parts.values()) >= 2
        assert sorted(torch.cat([*parts.values()]).tolist()) == list(range(len(labels)))


def test_a_tenth_each_is_for_validation_and_for_the_test():
    parts = folder.split(torch.linspace(0, 1, 1001)[:-1].tolist(), [0] * 1000)
    assert [len(parts[s]) for s in data.SPLITS] == [800, 100, 100]


def test_folders_in_classes_and_folders_of_splits(tmp_path):
    for split, n in (("train", 15), ("Test", 10)):
        for name in RGB:
            write(
                tmp_path / "kaggle" / split / name / "2020",
                [f"{i}.PNG" for i in range(n)],
                RGB[name],
                500 * (n - 10) + 100 * list(RGB).index(name),
            )
    own = folder.load(tmp_path / "kaggle")
    assert own.classes == ["blue", "green", "red"] and "75 pictures" in words(own)


def test_what_lies_about_is_left_out_and_named(colours):
    (colours / ".DS_Store").write_bytes(b"x")
    (colours / "red" / "Thumbs.db").write_bytes(b"x")
    (colours / "red" / "._1.png").write_bytes(b"\0\5\26\7")
    (colours / "__MACOSX" / "red").mkdir(parents=True)
    (colours / "__MACOSX" / "red" / "1.png").write_bytes(b"x")
    (colours / "red" / "list.csv").write_text("x", encoding="utf-8")
    (colours / "red" / "photo.heic").write_bytes(b"x")
    write(colours, ["loose.png"])
    whole = (colours / "green" / "3.png").read_bytes()
    (colours / "green" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (colours / "green" / "empty.jpg").write_bytes(b"")
    (colours / "green" / "gone.jpg").symlink_to(colours / "nowhere.jpg")
    write(colours / "blue", ["dot.png"], size=(3, 3))
    own = folder.load(colours)
    assert "42 pictures, 3 classes" in words(own)
    for sentence in (
        "Left out as no pictures, 2 files: red/list.csv, red/photo.heic.",
        "Left out as lying beside the folders of the classes, 1 file: loose.png.",
        "Left out as unusable (the picture is damaged), 1 file: green/cut.png.",
        "Left out as unusable (this file is not a picture that can be read), 1 file: green/empty.jpg.",
        "Left out as unusable (it cannot be opened), 1 file: green/gone.jpg.",
        "Left out as smaller than 8x8, 1 file: blue/dot.png.",
    ):
        assert sentence in own.notes
    assert "DS_Store" not in words(own) and "MACOSX" not in words(own) and "._" not in words(own)


def huge_png(file, side):
    """A PNG that says it has side x side pixels, and has none."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n"
    for chunk in (b"IHDR" + header, b"IDAT" + zlib.compress(b""), b"IEND"):
        content += struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    file.write_bytes(content)


@pytest.mark.parametrize("side", [13_200, 14_000, 30_000])
def test_a_picture_of_too_many_megapixels_is_left_out_before_it_is_decoded(colours, side):
    huge_png(colours / "red" / "satellite.png", side)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = folder.load(colours)
    assert "Left out as unusable (the picture has more than 170 megapixels), 1 file: red/satellite.png." in own.notes


def test_small_pictures_are_enlarged_and_it_is_said(colours):
    write(colours / "red", ["icon.png"], size=(20, 30))
    own = folder.load(colours, size=32)
    assert "Enlarged, 1 picture smaller than 32x32: icon.png." in own.notes


def test_every_kind_of_file_is_read_as_a_viewer_shows_it(tmp_path):
    place = tmp_path / "kinds"
    write(place, [f"{i}.png" for i in range(20)])
    red = picture((220, 40, 40), 50)
    red.convert("CMYK").save(place / "cmyk.jpg")
    red.convert("P", palette=Image.Palette.ADAPTIVE).save(place / "palette.GIF")
    Image.fromarray(np.full((40, 40), 32768, np.uint16)).save(place / "deep.png")  # half grey
    hidden = Image.new("RGBA", (40, 40), (0, 255, 0, 0))  # green that nobody sees
    hidden.paste((220, 40, 40, 255), (0, 0, 20, 20))
    hidden.save(place / "alpha.webp", lossless=True)
    turned = picture((220, 40, 40), 51).rotate(90, expand=True)
    exif = turned.getexif()
    exif[274] = 6
    turned.save(place / "phone.JPEG", exif=exif, quality=95)
    os.symlink(place / "0.png", tmp_path / "link.png")
    (place / "loop").symlink_to(place)
    own = folder.load(place, 32)
    x = torch.cat([own.train.x, own.val.x, own.test.x]).float()
    corners = x[:, :, 4:12, 4:12].mean((2, 3))
    assert len(x) == 25 and own.channels == 3
    deep = (x - 128).abs().amax((1, 2, 3)) < 2
    assert deep.sum() == 1
    assert bool((corners[~deep] - torch.tensor([220.0, 40.0, 40.0])).abs().amax() < 25)  # also of CMYK
    assert bool((x[:, 1] - x[:, 0] < 60).all())  # no green


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size_and_looks_the_same(tmp_path):
    picture((20, 90, 200), 3, size=(900, 800)).save(tmp_path / "a.jpg", quality=95)
    small = gm.pictures.open_picture(tmp_path / "a.jpg", least=64)
    assert small.size == (113, 100)
    full = gm.pictures.open_picture(tmp_path / "a.jpg")
    a, b = (data.central_square(p, 3, 32).float() for p in (small, full))
    assert (a - b).abs().mean() < 3


def test_the_page_prepares_an_upload_as_training_did(colours, workdir):
    own = folder.load(colours)
    place = workdir / "checkpoints" / "vae-my_colours"
    place.mkdir(parents=True)
    own.save(place)
    uploads = [data.preprocess(gm.pictures.read(f), "my_colours")[0] for f in sorted((colours / "red").iterdir())]
    pictures = torch.cat([own.train.x, own.val.x, own.test.x])
    assert all(bool(((255 * x).round() == pictures).all((1, 2, 3)).any()) for x in uploads)


# --- Names and what is wrong ------------------------------------------------------------------------------------------


def test_names_in_any_script(tmp_path):
    for place, name in (("Мои фото", "Мои_фото"), ("花 & 草!", "花_草"), ("a-b.c", "a_b_c")):
        write(tmp_path / place / "ö e\u0301", [f"{i}.png" for i in range(20)])
        own = folder.load(tmp_path / place)
        assert own.name == name and own.classes == ["ö é"]


@pytest.mark.parametrize(
    "prepare, options, sentence",
    [
        (lambda p: None, {}, "does not exist"),
        (lambda p: p.write_bytes(b"x"), {}, "is a file, not a folder"),
        (lambda p: p.mkdir(), {}, "has 0 pictures that can be used .* at least 20 are needed"),
        (lambda p: write(p, [f"{i}.png" for i in range(19)]), {}, "has 19 pictures that can be used"),
        (lambda p: write(p, ["0.png"]), {"size": 48}, "--size must be one of 28, 32, 64"),
        (lambda p: write(p, ["0.png"]), {"name": "a-b"}, "--name must be 1 to 40 letters"),
        (lambda p: write(p, ["0.png"]), {"name": "MNIST"}, "--name must be .* none of avatars"),
        (lambda p: write(p / "any", [f"{i}.png" for i in range(20)]), {}, "A class cannot be called 'any'"),
        (lambda p: [write(p / str(i), ["0.png"], first=i) for i in range(20)], {}, "leave none for validation"),
    ],
)
def test_a_folder_that_cannot_be_used_gets_a_sentence(tmp_path, prepare, options, sentence):
    prepare(tmp_path / "p")
    with pytest.raises(ValueError, match=sentence) as error:
        folder.load(tmp_path / "p", **options)
    assert "\n" not in str(error.value)


def test_the_sentence_of_an_unusable_folder_says_what_was_left_out(tmp_path):
    write(tmp_path, ["0.png"])
    for name in ("1.png", "2.png", "3.png", "4.png"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(data.DataError, match="4 files: 1.png, 2.png, 3.png and 1 more"):
        folder.load(tmp_path)


def test_one_name_is_one_dataset_in_all_tabs(colours, workdir):
    place = workdir / "checkpoints" / "gan-my_colours"
    place.mkdir(parents=True)
    folder.load(colours).save(place)
    assert folder.load(colours, family="vae") and folder.load(colours, 28, family="gan")
    with pytest.raises(data.DataError, match="gan-my_colours was trained on another dataset of the name my_colours"):
        folder.load(colours, 28, family="vae")


def test_options_of_own_data_go_with_own_data_only(workdir):
    settings = engine.Settings(runs=workdir / "runs", data_dir=data.SAMPLES)
    for make in (vae.recipe, gan.recipe, diffusion.recipe):
        with pytest.raises(ValueError, match="add --dataset folder"):
            make(settings, "mnist", size=32)
    with pytest.raises(ValueError, match="not for --dataset folder"):
        gan.recipe(settings, "folder", classic=True)
    with pytest.raises(ValueError, match="Name the folder of your pictures with --data-dir"):
        vae.recipe(engine.Settings(), "folder")


# --- Folders of other recipes -----------------------------------------------------------------------------------------


def test_one_small_validation_photograph_leaves_the_others_whole(workdir):
    place = workdir / "photographs"
    write(place, [f"{i:02}.png" for i in range(1, 41)], size=(70, 66))
    write(place, ["00.png"], size=(5, 5))
    write(place / "holiday", ["a.png"], size=(80, 90), first=200)
    (place / "._a.png").write_bytes(b"\0\5")
    torch.manual_seed(0)
    recipe = denoiser.recipe(engine.Settings(data_dir=place, runs=workdir), "photo")
    side = recipe.model.size
    assert {min(p.shape[1:]) >= side for p in recipe.train.pictures} == {True}
    assert len(recipe.train.pictures) == 39 and [tuple(p.shape) for p in photographs.load("val", place)][0] == (3, 5, 5)


def test_photographs_that_are_left_out_are_named(tmp_path, capsys):
    write(tmp_path, [f"{i:02}.png" for i in range(8)], size=(70, 66))
    (tmp_path / "03.png").write_bytes(b"no picture")
    write(tmp_path, ["04.png"], size=(9, 9))
    huge_png(tmp_path / "05.png", 14_000)
    assert len(photographs.load("train", tmp_path, least=48)) == 4
    out = capsys.readouterr().out
    assert "1 file: 03.png" in out and "Left out as smaller than 48x48, 1 file: 04.png." in out
    assert "more than 170 megapixels), 1 file: 05.png" in out


@pytest.mark.parametrize(
    "layout",
    ["{part}-{kind}.idx{n}-ubyte", "{part}-{kind}-idx{n}-ubyte.gz", "{part}-{kind}-idx{n}-ubyte/{part}-{kind}-idx{n}-ubyte"],
)
@pytest.mark.parametrize("below", ["", "MNIST", "MNIST/raw"])
def test_digits_under_the_names_of_other_archives(tmp_path, layout, below):
    pictures = data.samples("mnist")
    for part in ("train", "t10k"):
        for kind, n, values in (("images", 3, pictures.x[:, 0]), ("labels", 1, pictures.y.to(torch.uint8))):
            file = tmp_path / below / layout.format(part=part, kind=kind, n=n)
            file.parent.mkdir(parents=True, exist_ok=True)
            content = bytes([0, 0, 8, n]) + struct.pack(f">{n}i", *values.shape) + values.numpy().tobytes()
            file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    test = data.load("mnist", "test", tmp_path)
    assert torch.equal(test.x, pictures.x) and torch.equal(test.y, pictures.y)


def test_what_a_checkpoint_says_of_own_data_is_checked(workdir):
    good = {"name": "x", "title": "x", "classes": ["a"], "channels": 1, "size": 28}
    for broken in (
        {"name": "y"},
        {"title": None},
        {"text": 3, "classes": None},
        {"classes": []},
        {"classes": [1]},
        {"channels": 2},
        {"size": "28"},
    ):
        place = workdir / "checkpoints" / "vae-x"
        place.mkdir(parents=True, exist_ok=True)
        (place / "data.json").write_text(json.dumps(good | broken), encoding="utf-8")
        assert gm.cards.own_data() == {}
    (place / "data.json").write_text(json.dumps(good), encoding="utf-8")
    assert gm.cards.own_data("gan") == {} and data.classes("x") == ["a"]
    text = workdir / "checkpoints" / "transformer-x"  # of the same name, and before it by the alphabet
    text.mkdir()
    (text / "data.json").write_text(json.dumps({"name": "x", "title": "x", "text": "x"}), encoding="utf-8")
    assert data.classes("x") == ["a"] and gm.cards.own_data("transformer")["x"]["text"] == "x"
    with pytest.raises(ValueError, match="Dataset must be one of mnist, fashion, x"):
        data.classes("y")
    with pytest.raises(data.DataError, match="data.npz"):
        data.samples("x")
