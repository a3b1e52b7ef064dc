"""A visitor's drawing or photograph becomes a picture like those of a data set."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps
from strokes import drawings

import genmodels as gm
from genmodels import data
from genmodels.data import DATASETS, preprocess
from tests.compare import close_greys

PROPERTY = settings(deadline=None, derandomize=True, max_examples=100)


@pytest.fixture(scope="module")
def drawings_by_hand():
    """50 digits as a visitor draws them, dark on light and light on dark."""
    return drawings()


def scene(mode="L", size=(90, 70)):
    """A dark flag on light paper, off the middle."""
    picture = Image.new("L", size, 250)
    pen = ImageDraw.Draw(picture)
    pen.line((30, 12, 30, 60), fill=10, width=5)
    pen.rectangle((30, 12, 60, 30), fill=10)
    return picture.convert(mode)


def centre(x):
    """Centre of mass of a picture (1, 1, 28, 28): row and column, the middle of the first pixel at 0.5."""
    position = torch.arange(28) + 0.5
    return torch.stack([(x[0, 0].sum(1) * position).sum(), (x[0, 0].sum(0) * position).sum()]) / x.sum()


def test_the_classifier_reads_drawings(drawings_by_hand):
    x = torch.cat([preprocess(picture, "mnist") for _, _, picture in drawings_by_hand])
    right = gm.load("classifier-mnist").predict(x)[:, 0] == torch.tensor([digit for digit, _, _ in drawings_by_hand])
    assert len(drawings_by_hand) == 50
    assert right.float().mean() >= 0.95, [f"{d} by hand {h}" for (d, h, _), r in zip(drawings_by_hand, right) if not r]


def test_a_preprocessed_digit_is_like_those_of_mnist(drawings_by_hand):
    for digit, hand, picture in drawings_by_hand:
        x = preprocess(picture, "mnist")
        rows, columns = (x[0, 0] > 0.1).nonzero().T
        assert x.shape == (1, 1, 28, 28)
        assert x.min() == 0
        assert x.max() == 1
        assert bool(((centre(x) - 14).abs() <= 0.5 + 1e-3).all()), (digit, hand)
        assert max(rows.max() - rows.min(), columns.max() - columns.min()) in (18, 19), (digit, hand)


def test_a_digit_of_the_set_is_left_as_it_is():
    """Preprocessing a second time moves it by a pixel at most."""
    x = data.samples("mnist").x
    repeated = torch.cat([preprocess(picture[0].numpy(), "mnist") for picture in x])
    shifts = torch.stack([torch.roll(repeated, (i, j), (2, 3)) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    error = (shifts - x / 255).square().mean((2, 3, 4)).amin(0)
    assert error.median() < 0.002
    assert (error < 0.02).float().mean() > 0.9


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_dark_on_light_is_as_light_on_dark(name, drawings_by_hand):
    for picture in [scene(), *(picture for _, _, picture in drawings_by_hand[::5])]:
        assert torch.allclose(preprocess(picture, name), preprocess(ImageOps.invert(picture), name), atol=0.01)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("factor", [2, 5])
def test_the_size_does_not_matter(name, factor):
    large = scene().resize([s * factor for s in scene().size], Image.Resampling.NEAREST)
    assert (preprocess(large, name) - preprocess(scene(), name)).abs().mean() < 0.02


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_the_place_does_not_matter(name):
    x = preprocess(scene(), name)
    for box in ((0, 0, 300, 200), (-100, -50, 90, 70), (-20, -400, 100, 300)):
        moved = Image.new("L", (box[2] - box[0], box[3] - box[1]), 250)
        moved.paste(scene(), (-box[0], -box[1]))
        assert close_greys(preprocess(moved, name), x)


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "RGBX", "LA", "P", "PA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_the_mode_does_not_matter(mode, name):
    picture = scene("RGB" if mode == "HSV" else "L").convert(mode)
    assert (preprocess(picture, name) - preprocess(scene(), name)).abs().max() < 0.02


def test_one_bit_pictures():
    one_bit = scene().convert("1", dither=Image.Dither.NONE)
    assert (preprocess(one_bit, "mnist") - preprocess(scene(), "mnist")).abs().max() < 0.02


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("top", [1, 255, 65535])
def test_pictures_of_16_bits_and_floats(name, top):
    grey = np.asarray(scene()) / 255
    expected = preprocess(scene(), name)
    if top == 65535:
        for dtype in ("<u2", ">u2"):
            deep = Image.fromarray((grey * top).astype(np.uint16).astype(dtype))
            assert (preprocess(deep, name) - expected).abs().max() < 0.02
    deep = Image.fromarray((grey * top).astype(np.float32))
    assert (preprocess(deep, name) - expected).abs().max() < 0.02


@pytest.mark.parametrize("ink", [0, 255])
def test_ink_on_nothing(ink):
    """A canvas saves its strokes on a transparent background, whose invisible colour does not matter."""
    mask = ImageOps.invert(scene()).point(lambda v: 255 if v > 100 else 0)
    for ground in (0, 128, 255):
        picture = Image.new("L", mask.size, ground)
        picture.paste(ink, mask=mask)
        picture.putalpha(mask)
        assert (preprocess(picture.convert("RGBA"), "mnist") - preprocess(scene(), "mnist")).abs().mean() < 0.01


def test_a_transparent_colour_of_a_palette(tmp_path):
    picture = scene().quantize(4)
    picture.save(tmp_path / "flag.png", transparency=picture.getpixel((0, 0)))
    with Image.open(tmp_path / "flag.png") as reopened:
        assert "transparency" in reopened.info
        assert (preprocess(reopened, "mnist") - preprocess(scene(), "mnist")).abs().mean() < 0.01


def test_a_photograph_lying_on_its_side(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    scene().transpose(Image.Transpose.ROTATE_90).save(tmp_path / "flag.png", exif=exif)
    with Image.open(tmp_path / "flag.png") as photograph:
        assert torch.equal(preprocess(photograph, "mnist"), preprocess(scene(), "mnist"))


def test_paper_need_not_be_white():
    """Grey paper with noise, as a camera sees it."""
    noise = np.random.default_rng(0).normal(0, 3, (70, 90))
    grey = np.asarray(scene(), float) * 0.5 + 50 + noise
    assert (preprocess(grey.clip(0, 255).astype(np.uint8), "mnist") - preprocess(scene(), "mnist")).abs().mean() < 0.03


@pytest.mark.parametrize("name", ["mnist", "fashion"])
def test_faint_ink_is_as_good_as_black(name):
    faint = scene().point(lambda v: 200 + v // 12)
    assert (preprocess(faint, name) - preprocess(scene(), name)).abs().max() < 0.1


def test_faces_keep_their_colours_and_middle():
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 100:200] = (200, 100, 50)
    x = preprocess(wide, "avatars")
    assert x.shape == (1, 3, 64, 64)
    assert torch.allclose(x[0, :, 8:-8, 8:-8].amax((1, 2)), torch.tensor([200.0, 100.0, 50.0]) / 255, atol=0.01)
    assert torch.allclose(x[0, :, 8:-8, 8:-8].amin((1, 2)), torch.tensor([200.0, 100.0, 50.0]) / 255, atol=0.01)


def test_clothes_fill_the_picture_and_lie_in_its_middle():
    x = preprocess(scene(), "fashion")[0, 0] > 0.1
    rows, columns = x.nonzero().T
    assert (rows.min(), rows.max()) == (0, 27)
    assert abs(columns.min() + columns.max() - 27) <= 1


@pytest.mark.parametrize("name", ["mnist", "fashion"])
@pytest.mark.parametrize(
    "picture",
    [
        Image.new("L", (280, 280), 255),
        Image.new("L", (280, 280), 0),
        Image.new("RGBA", (280, 280)),
        Image.new("L", (1, 1), 9),
        Image.new("1", (5, 5), 1),
        Image.new("I;16", (5, 5), 300),
        Image.new("F", (5, 5), 0.5),
        np.full((9, 9), 77, np.uint8),
    ],
    ids=lambda p: f"{getattr(p, 'mode', 'array')}{p.size}",
)
def test_an_empty_drawing_gives_a_one_sentence_error(picture, name):
    with pytest.raises(ValueError, match=r"^The drawing is empty: draw something first\.$"):
        preprocess(picture, name)


@pytest.mark.parametrize(
    "picture",
    [
        None,
        "drawing.png",
        [[0.5]],
        np.zeros(5, np.uint8),
        np.zeros((5, 5)),
        np.zeros((5, 5, 5), np.uint8),
        np.zeros((2, 5, 5, 3), np.uint8),
        np.zeros((0, 5), np.uint8),
    ],
    ids=lambda p: str(getattr(p, "shape", p)),
)
@pytest.mark.parametrize("name", DATASETS)
def test_what_is_no_picture_gives_a_one_sentence_error(picture, name):
    with pytest.raises(ValueError, match=r"^(picture must be a PIL image or an array|The picture has no pixels).*\.$"):
        preprocess(picture, name)


def test_two_dots_far_apart_do_not_vanish():
    wide = np.zeros((3000, 3000), np.uint8)
    wide[[5, 2990], [5, 2990]] = 255
    x = preprocess(wide, "mnist")
    assert x.max() == 1
    assert (x > 0.5).sum() == 2


@PROPERTY
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    seed=st.integers(0, 999),
    marks=st.integers(0, 4),
    channels=st.sampled_from([0, 3, 4]),
    paper=st.integers(0, 255),
    name=st.sampled_from(DATASETS),
)
def test_any_picture_is_preprocessed_or_empty(size, seed, marks, channels, paper, name):
    rng = np.random.default_rng(seed)
    picture = np.full((*size, channels) if channels else size, paper, np.uint8)
    for _ in range(marks):
        top, left = rng.integers(0, size[0]), rng.integers(0, size[1])
        picture[top : top + rng.integers(1, 99), left : left + rng.integers(1, 99)] = rng.integers(0, 256, max(channels, 1))
    try:
        x = preprocess(picture, name)
    except ValueError as e:
        assert str(e) == "The drawing is empty: draw something first."  # noqa: PT017
        assert name != "avatars"
        return
    assert x.shape == (1, *data.SHAPES[name])
    assert x.dtype == torch.float32
    assert 0 <= x.min() <= x.max() <= 1  # no NaN
    if name != "avatars":
        assert x.max() == 1
    if name == "mnist":
        rows, columns = (x[0, 0] > 0).nonzero().T
        assert max(rows.max() - rows.min(), columns.max() - columns.min()) < 20
