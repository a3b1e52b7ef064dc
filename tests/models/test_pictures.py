"""The one reader of pictures: depth, modes, colours, transparency, orientation, size; and masks."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageDraw

from genmodels import data
from genmodels.pictures import filmstrip, grid, open_mask, open_picture, read_mask, sheet, standardize, to_bytes, to_image

RAMP = np.linspace(0, 1, 256)[None].repeat(32, 0)  # (32, 256), mean 0.5


def stored(picture, kind, **options):
    """A picture as it comes back from a file of that kind."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    file.seek(0)
    return file


def reopened(picture, kind, **options):
    return Image.open(stored(picture, kind, **options))


def twelve_bits(values):
    """A TIFF file of 12-bit greys, two in three bytes."""
    height, width = values.shape
    pairs = values.astype(np.uint32).reshape(-1, 2)
    packed = (
        np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
        .astype(np.uint8)
        .tobytes()
    )
    entries = [(256, 4, width), (257, 4, height), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, height), (279, 4, len(packed))]
    ifd = len(entries).to_bytes(2, "little")
    for tag, kind, value in entries:
        ifd += tag.to_bytes(2, "little") + kind.to_bytes(2, "little") + (1).to_bytes(4, "little") + value.to_bytes(4, "little")
    return io.BytesIO(b"II*\0" + (8 + len(packed)).to_bytes(4, "little") + packed + ifd + bytes(4))


# --- Depth ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("brightness", [1.0, 0.1, 0.002])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_16_bits_also_in_the_dark(kind, brightness):
    deep = Image.fromarray((RAMP * brightness * 65535).astype(np.uint16))
    for picture in (reopened(deep, kind), deep):
        pixels = data.pixel_tensor(picture)
        assert pixels.shape == (1, 1, 32, 256)
        assert pixels.double().mean() == pytest.approx(127.5 * brightness, abs=0.6)


@pytest.mark.parametrize("brightness", [1.0, 0.1])
def test_12_bits_are_12_bits(brightness):
    pixels = np.asarray(open_picture(twelve_bits((RAMP * brightness * 4095).astype(np.uint16))))
    assert pixels.mean() == pytest.approx(127.5 * brightness, abs=0.6)


@pytest.mark.parametrize("brightness", [1.0, 0.1])
def test_floats_run_from_0_to_1(brightness):
    file = stored(Image.fromarray((RAMP * brightness).astype(np.float32)), "TIFF")
    assert np.asarray(open_picture(file)).mean() == pytest.approx(127.5 * brightness, abs=0.6)


@pytest.mark.parametrize(
    "values",
    [RAMP * 3, RAMP - 0.5, np.full((9, 9), np.inf), RAMP * 1e6],
    ids=["over-exposed", "negative", "infinite", "of an unknown scale"],
)
def test_floats_without_a_scale_are_refused(values):
    file = stored(Image.fromarray(values.astype(np.float32)), "TIFF")
    with pytest.raises(ValueError, match=r"^The picture has numbers from .* to .*, whose white is not known: .*\.$"):
        open_picture(file)


def test_whole_numbers_of_32_bits_are_refused():
    file = stored(Image.fromarray((RAMP * 1000).astype(np.int32)), "TIFF")
    with pytest.raises(ValueError, match=r"^The picture has whole numbers of 32 bits, .*\.$"):
        open_picture(file)


@pytest.mark.parametrize("bits", [1, 8])
def test_few_bits(bits):
    grey = Image.fromarray((255 * (RAMP > 0.5)).astype(np.uint8)).convert("1" if bits == 1 else "L")
    for kind in ("PNG", "TIFF", "BMP"):
        assert np.asarray(open_picture(stored(grey, kind))).mean() == pytest.approx(127.5, abs=0.6)


def test_a_16_bit_tiff_whose_zero_is_white():
    deep = Image.fromarray((RAMP**2 * 65535).astype(np.uint16))
    file = stored(deep, "TIFF", tiffinfo={262: 0})
    if Image.open(file).tag_v2[262] != 0:
        pytest.skip("this Pillow does not write the tag")
    file.seek(0)
    assert np.asarray(open_picture(file)).mean() == pytest.approx(255 * (1 - (RAMP**2).mean()), abs=0.7)


# --- Transparency -----------------------------------------------------------------------------------------------------


def transparent(mode, hidden, ink):
    """A square of ink on a transparent ground, under which a colour is hidden."""
    bands = len(Image.new(mode, (1, 1)).getbands()) - 1
    picture = Image.new(mode, (40, 40), (hidden,) * bands + (0,))
    ImageDraw.Draw(picture).rectangle((10, 10, 29, 29), fill=(ink,) * bands + (255,))
    return picture


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("ink, ground", [(20, 255), (230, 0)])
def test_the_hidden_colour_is_never_seen(mode, ink, ground):
    expected = np.full((40, 40), ground, np.uint8)
    expected[10:30, 10:30] = ink
    for hidden in (0, 128, 255):
        for kind in ("PNG", "WEBP", "TIFF"):
            pixels = data.pixel_tensor(
                reopened(transparent(mode, hidden, ink), kind, **{"lossless": True} if kind == "WEBP" else {})
            )
            assert np.abs(pixels[0, 0].numpy().astype(int) - expected).max() <= 2, (hidden, kind)


def test_transparent_colours_of_palettes_and_greys():
    grey = Image.fromarray(np.where(np.arange(40) < 20, 30, 90).astype(np.uint8)[None].repeat(40, 0))
    for picture in (grey, grey.convert("RGB"), grey.quantize(4)):
        hidden = picture.getpixel((0, 0))
        pixels = np.asarray(open_picture(stored(picture, "PNG", transparency=hidden)).convert("L"))
        assert (pixels[:, :20] == 255).all()
        assert np.abs(pixels[:, 20:].astype(int) - 90).max() <= 2
    deep = Image.fromarray(np.where(np.arange(40) < 20, 1000, 30_000).astype(np.uint16)[None].repeat(40, 0))
    pixels = np.asarray(open_picture(stored(deep, "PNG", transparency=1000)))
    assert (pixels[:, :20] == 255).all()
    assert np.abs(pixels[:, 20:].astype(int) - 117).max() <= 1


def test_half_transparent_ink_is_mixed_with_the_ground():
    picture = Image.new("RGBA", (9, 9), (0, 0, 0, 128))
    assert standardize(picture).getpixel((4, 4))[0] == pytest.approx(127, abs=2) or standardize(picture).getpixel((4, 4)) == (
        0,
        0,
        0,
    )


# --- Colours ----------------------------------------------------------------------------------------------------------


def wide_gamut():
    """An ICC profile with the primaries of Display P3 and a gamma of 2.2, as bytes."""

    def s15(*values):
        return b"".join(int(round(v * 65536)).to_bytes(4, "big", signed=True) for v in values)

    xyz = {b"rXYZ": (0.51512, 0.2412, -0.00105), b"gXYZ": (0.29198, 0.69225, 0.04189), b"bXYZ": (0.1571, 0.06657, 0.78407)}
    tags = {name: b"XYZ \0\0\0\0" + s15(*value) for name, value in xyz.items()}
    tags[b"wtpt"] = b"XYZ \0\0\0\0" + s15(0.9642, 1.0, 0.8249)
    curve = b"curv\0\0\0\0" + (1).to_bytes(4, "big") + int(2.2 * 256).to_bytes(2, "big") + bytes(2)
    tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    tags[b"desc"] = b"desc\0\0\0\0" + (3).to_bytes(4, "big") + b"P3\0" + bytes(79)
    tags[b"cprt"] = b"text\0\0\0\0none\0\0\0\0"
    table, body, offset = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + (offset + len(body)).to_bytes(4, "big") + len(content).to_bytes(4, "big")
        body += content
    size = (offset + len(body)).to_bytes(4, "big")
    head = (
        size + bytes(4) + b"\x02\x10\0\0mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28) + s15(0.9642, 1.0, 0.8249) + bytes(48)
    )
    return head[:128] + table + body


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_wide_gamut_is_brought_into_srgb(kind):
    """The green of Display P3 (100, 200, 100) is a stronger green in sRGB."""
    picture = Image.new("RGB", (32, 32), (100, 200, 100))
    plain = np.asarray(open_picture(stored(picture, kind))).mean((0, 1))
    profiled = np.asarray(open_picture(stored(picture, kind, icc_profile=wide_gamut()))).mean((0, 1))
    assert np.abs(plain - (100, 200, 100)).max() < 6
    assert profiled[0] < plain[0] - 20
    assert profiled[1] > plain[1]


def test_a_profile_of_srgb_changes_nothing_and_a_broken_one_is_passed_over():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", wide_gamut()[:200]):
        pixels = np.asarray(open_picture(stored(picture, "PNG", icc_profile=profile)))
        assert np.abs(pixels.astype(int) - np.asarray(picture)).max() <= 2


def test_colours_for_print():
    cmyk = Image.new("RGB", (16, 16), (200, 60, 30)).convert("CMYK")
    for kind in ("JPEG", "TIFF"):
        assert np.abs(np.asarray(open_picture(stored(cmyk, kind))).mean((0, 1)) - (200, 60, 30)).max() < 6


def test_other_modes():
    grey = Image.fromarray((RAMP * 255).astype(np.uint8))
    for mode in ("RGB", "RGBA", "RGBX", "LA", "La", "RGBa", "P", "PA", "YCbCr", "1", "L"):
        source = grey.convert("LA") if mode == "La" else grey.convert("RGBA") if mode == "RGBa" else grey
        assert np.asarray(standardize(source.convert(mode)).convert("L")).mean() == pytest.approx(127.5, abs=1.5), mode
    lab = ImageCms.applyTransform(
        Image.new("RGB", (4, 4), (200, 60, 30)),
        ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"),
    )
    assert np.abs(np.asarray(standardize(lab)).astype(int)[0, 0] - (200, 60, 30)).max() <= 4


# --- Orientation, size, damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_photographs_are_upright(kind, orientation):
    upright = Image.new("L", (48, 32), 255)
    ImageDraw.Draw(upright).rectangle((0, 0, 15, 7), fill=0)
    method = Image.Transpose
    undo = {
        2: method.FLIP_LEFT_RIGHT, 3: method.ROTATE_180, 4: method.FLIP_TOP_BOTTOM, 5: method.TRANSPOSE,
        6: method.ROTATE_90, 7: method.TRANSVERSE, 8: method.ROTATE_270,
    }  # fmt: skip
    turned = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = reopened(turned, kind, exif=exif)
    read = standardize(picture)
    assert read.size == upright.size
    assert np.abs(np.asarray(read).astype(int) - np.asarray(upright)).mean() < 3
    assert np.array_equal(np.asarray(standardize(picture)), np.asarray(read))  # a second look sees the same


def test_too_large_a_picture_is_not_decoded(monkeypatch):
    file = stored(Image.new("L", (2000, 1000)), "PNG")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"^The picture has more than 1\.5 megapixels: send a smaller one\.$"):
        open_picture(file, max_pixels=1_500_000)


def test_a_bomb_is_not_decoded(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"^The picture has more than 16 megapixels: send a smaller one\.$"):
        open_picture(stored(Image.new("L", (2000, 1000)), "PNG"))


@pytest.mark.parametrize(
    "content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"P5 2 2 255 abcd"]
)
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(ValueError, match=r"^This file is not a picture that can be read: send one of PNG, .*TIFF\.$"):
        open_picture(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_half_a_picture_is_refused(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8))
    whole = stored(noise, kind).getvalue()
    with pytest.raises(ValueError, match=r"^The picture is damaged: .*\.$"):
        open_picture(io.BytesIO(whole[: len(whole) // 2]))


# --- Masks ------------------------------------------------------------------------------------------------------------


def stroke(mode, ground, ink, width=90, size=(280, 280)):
    image = Image.new(mode, size, ground)
    ImageDraw.Draw(image).line((0.3 * size[0], 0.8 * size[1], 0.7 * size[0], 0.8 * size[1]), fill=ink, width=width)
    return image


STROKE = stroke("L", 0, 255)
MASKS = {
    "white on black": STROKE,
    "white on transparent": stroke("RGBA", (0, 0, 0, 0), (255,) * 4),
    "white on transparent white": stroke("RGBA", (255, 255, 255, 0), (255,) * 4),
    "black on transparent": stroke("RGBA", (0, 0, 0, 0), (0, 0, 0, 255)),
    "red on transparent": stroke("RGBA", (9, 9, 9, 0), (200, 0, 0, 255)),
    "a hole rubbed out of grey": stroke("RGBA", (90, 90, 90, 255), (0, 0, 0, 0)),
    "a hole rubbed out of white": stroke("RGBA", (255, 255, 255, 255), (255, 255, 255, 0)),
    "white on opaque black with alpha": stroke("RGBA", (0, 0, 0, 255), (255,) * 4),
    "red on black": stroke("RGB", 0, (255, 0, 0)),
    "dark blue on black": stroke("RGB", 0, (0, 0, 110)),
    "green on white": stroke("RGB", (255, 255, 255), (0, 160, 0)),
    "16 bits": Image.fromarray(np.asarray(STROKE).astype(np.uint16) * 257),
    "1 bit": stroke("1", 0, 1),
    "a palette": STROKE.quantize(2),
    "large": stroke("L", 0, 255, 900, (2800, 2800)),
    "oblong": stroke("L", 0, 255, 45, (560, 140)),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("size", [28, 64])
def test_masks_as_drawing_programs_save_them(name, size):
    expected = np.asarray(STROKE.resize((size, size), Image.Resampling.BOX)) > 127
    mask = open_mask(stored(MASKS[name], "PNG"), size)
    assert mask.shape == (1, 1, size, size)
    assert mask.dtype == torch.bool
    assert (mask[0, 0].numpy() != expected).mean() < 0.02


@pytest.mark.parametrize("width", [1, 4, 12])
@pytest.mark.parametrize("size", [28, 64])
def test_thin_strokes_stay_whole(width, size):
    mask = read_mask(stroke("L", 0, 255, width, (1024, 1024)), size)[0, 0]
    if width >= 4:
        columns = slice(round(0.32 * size), round(0.68 * size))
        assert bool(mask[:, columns].any(0).all())  # no gap
        assert mask.any(1).sum() <= 2  # and no thicker than it must be


def test_masks_of_small_pictures_are_enlarged():
    small = np.zeros((7, 7), np.uint8)
    small[2:4, 3:6] = 255
    assert np.array_equal(read_mask(Image.fromarray(small), 28)[0, 0].numpy(), small.repeat(4, 0).repeat(4, 1) > 0)
    assert np.array_equal(read_mask(Image.fromarray(small), 7)[0, 0].numpy(), small > 0)


def test_nothing_painted_is_nothing():
    for picture in (Image.new("L", (50, 50)), Image.new("RGBA", (50, 50)), Image.new("RGB", (50, 50), (40, 40, 40))):
        assert not read_mask(picture, 28).any()


# --- Tensors -> pictures ----------------------------------------------------------------------------------------------


def test_grey_levels_are_rounded_to_the_nearest_and_come_back_as_they_were():
    levels = torch.arange(256)
    for off in (-0.4, 0.0, 0.4):
        x = ((levels + off) / 255).expand(2, 3, 4, 256)
        assert torch.equal(to_bytes(x), levels[:, None].expand(2, 4, 256, 3).byte()), off
    assert to_bytes(torch.tensor([-3.0, 7.0]).view(1, 1, 1, 2)).flatten().tolist() == [0, 255]


def test_a_sheet_has_its_pictures_row_by_row_with_gaps_between_them():
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 3) / 255
    rows = sheet(x, 2, gap=1, background=9)[..., 0].tolist()
    assert rows[0] == rows[1] == [0, 0, 0, 9, 1, 1, 1] and rows[2] == rows[5] == [9] * 7
    assert rows[3] == rows[4] == [2, 2, 2, 9, 3, 3, 3] and rows[6] == rows[7] == [4, 4, 4, *[9] * 4]
    assert np.array_equal(np.asarray(filmstrip(x)), [[k for k in range(5) for _ in range(3)]] * 2)
    lines = np.asarray(grid(x[:2], 2))  # two pixels of white
    assert lines[0].tolist() == [0, 0, 0, 255, 255, 1, 1, 1]
    large = to_image(sheet(x, 5), 3)
    assert large.size == (45, 6) and np.array_equal(np.asarray(large)[::3, ::3], np.asarray(filmstrip(x)))
