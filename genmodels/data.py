"""Named data sets as tensors, one split at a time, and what turns a visitor's drawing or photograph into one of them.

Sets: `mnist` (digits), `fashion` (clothes), both 28x28 grey with 10 classes; `avatars` (cartoon faces), 64x64 RGB with 16
attributes. `samples(name)` is a small part of each test set that ships with the package, so that the page and the tests need
no data set.
"""

import csv
import gzip
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from genmodels.base import check_choice, check_number, generator

CLASSES = {
    "mnist": [str(d) for d in range(10)],
    "fashion": ["T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"],
}
ATTRIBUTES = {  # of the avatars; a value's number is its place here
    "smiling": ["no", "yes"],
    "mouth": ["open_smile", "small_smile", "chuckle", "tongue", "serious", "sad", "grimace", "shout"],
    "eyes": ["open", "happy", "closed", "wink", "side", "wide", "rolling", "hearts"],
    "eyebrows": ["neutral", "flat", "angry", "raised", "worried"],
    "glasses": ["none", "round", "square", "sunglasses", "big_shades"],
    "glasses_color": ["none", "black", "red", "blue"],
    "facial_hair": ["none", "light_beard", "medium_beard", "full_beard", "moustache", "curled_moustache"],
    "headwear": ["none", "hat", "beanie", "cat_beanie", "ear_flaps", "knit_cap"],
    "hat_color": ["none", "black", "grey", "white", "blue", "green", "yellow", "pink", "red"],
    "hair": [
        "bald",
        "balding",
        "crew_cut",
        "round_cut",
        "waved",
        "short_curly",
        "side_part",
        "short_dreads",
        "spiky",
        "quiff",
        "shaggy",
        "bun",
        "mullet",
        "bob",
        "fringe_bob",
        "shoulder",
        "curly",
        "afro",
        "straight",
        "straight_fringe",
        "straight_centre",
        "wavy",
        "dreads",
        "shaved_sides",
    ],
    "hair_length": ["none", "short", "medium", "long"],
    "hair_color": ["none", "black", "brown", "auburn", "red", "blonde", "platinum", "grey", "pink"],
    "skin": ["pale", "light", "tan", "brown", "dark"],
    "clothing": [
        "crew_neck",
        "scoop_neck",
        "v_neck",
        "hoodie",
        "overall",
        "collar_sweater",
        "blazer_shirt",
        "blazer_sweater",
    ],
    "clothes_color": ["black", "grey", "white", "blue", "green", "yellow", "pink", "red"],
    "background": ["sky", "lilac", "rose", "peach", "mint", "cream"],
}
HIDDEN = -1  # an attribute that cannot be seen in this picture: hair under a hat, eyes behind dark glasses

SETS = ("mnist", "fashion", "avatars")
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "camera", "coins", "brick")  # of scikit-image
SPLITS = ("train", "val", "test")
SHAPES = {"mnist": (1, 28, 28), "fashion": (1, 28, 28), "avatars": (3, 64, 64), "photo": (3, 96, 96)}
_VALIDATION = {"mnist": 5000, "fashion": 5000, "avatars": 1500}  # cut from train, by a permutation with seed 0
_FOLDER = {"mnist": "MNIST", "fashion": "FashionMNIST", "avatars": "avatars"}
SAMPLES = Path(__file__).parent / "samples"


class DataError(ValueError):
    """A data set is missing or broken. The message is one sentence that names the file and what to do."""


@dataclass(frozen=True)
class Pictures:
    """One split. x: (N, C, H, W) uint8; y: (N,) classes, or (N, 16) numbers of ATTRIBUTES' values, HIDDEN where not shown."""

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        """Some of them: `i` is a slice, a mask or a tensor of indices."""
        return Pictures(self.x[i], self.y[i])

    def floats(self):
        """The pictures as floats in [0, 1]."""
        return self.x.float() / 255

    def batch(self, i):
        """What a training step gets: the pictures of these indices as floats, and their labels."""
        part = self[i]
        return part.floats(), part.y


def load(name, split, data_dir=None):
    """One split of a named set as `Pictures`.

    Arguments:
        name: "mnist", "fashion" or "avatars".
        split: "train", "val" (cut from the training pictures, always the same) or "test" (for final numbers only).
        data_dir: a folder that holds `MNIST/`, `FashionMNIST/` or `avatars/` (unpacked or as torchvision's .gz), or the small
            `<name>.npz` of `samples`, which is then itself cut in three. It is only read. Default: $GENMODELS_DATA, else
            `~/.cache/genmodels`, into which mnist and fashion are downloaded if they are not there.
    Raises:
        DataError: the set is missing or a file of it is broken.
    """
    check_choice("data set", name, SETS)
    check_choice("split", split, SPLITS)
    given = data_dir or os.environ.get("GENMODELS_DATA")
    root = Path(given or Path.home() / ".cache" / "genmodels")
    if given and not root.is_dir():
        raise DataError(f"The data folder {root} does not exist: name one that holds {_FOLDER[name]}/.")
    if (root / f"{name}.npz").is_file():
        everything = _read_npz(root / f"{name}.npz", name)
        third = {"train": slice(0, None, 3), "val": slice(1, None, 3), "test": slice(2, None, 3)}[split]
        return everything[third]
    if name == "avatars":
        everything = _read_avatars(root / "avatars", "test" if split == "test" else "train")
    else:
        if not given:
            _download(name, root)
        everything = _read_idx_pair(root / _FOLDER[name], "t10k" if split == "test" else "train")
    if split == "test":
        return everything
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(0))
    cut = len(everything) - min(_VALIDATION[name], len(everything) // 6)
    return everything[order[:cut] if split == "train" else order[cut:]]


def samples(name):
    """The pictures that ship with the package: 20 test pictures a class (mnist, fashion), 100 test faces (avatars).

    Also "photo": a detail of each of the PHOTOGRAPHS, y its number; three are grey.
    """
    return _read_npz(SAMPLES / f"{check_choice('data set', name, (*SETS, 'photo'))}.npz", name)


def photograph(name):
    """A free photograph out of scikit-image's package: (1, C, H, W) in [0, 1], C = 3 or 1. name: one of PHOTOGRAPHS."""
    import skimage.data

    pixels = torch.from_numpy(np.array(getattr(skimage.data, check_choice("photograph", name, PHOTOGRAPHS))()))
    return (pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)[None].float() / 255


def hide(y):
    """Mark as HIDDEN the attributes (N, 16) that a face does not show, in place: eyes, and brows, behind dark glasses."""
    names = list(ATTRIBUTES)
    for attribute, glasses in (("eyes", ("sunglasses", "big_shades")), ("eyebrows", ("big_shades",))):
        worn = torch.tensor([ATTRIBUTES["glasses"].index(v) for v in glasses])
        y[torch.isin(y[:, names.index("glasses")], worn), names.index(attribute)] = HIDDEN
    return y


LENGTHS = {
    name: length
    for length, names in {
        "none": ["bald"],
        "medium": ["bun", "mullet", "bob", "fringe_bob", "shoulder", "curly", "afro"],
        "long": ["straight", "straight_fringe", "straight_centre", "wavy", "dreads", "shaved_sides"],
    }.items()
    for name in names
}  # of hair; all other hair is short
SMILES = ("open_smile", "small_smile", "chuckle", "tongue")  # the mouths that smile


TOGETHER = [
    ["smiling", "mouth"],
    ["glasses", "glasses_color", "eyes", "eyebrows"],
    ["facial_hair"],
    ["headwear", "hat_color", "hair", "hair_length"],
    ["hair_color"],
    ["skin"],
    ["clothing", "clothes_color"],
    ["background"],
]  # attributes that depend on each other; the groups do not


def faces(n, *, seed=None):
    """Labels (n, 16) of faces that were never drawn: each group of attributes is that of another face of the sample set."""
    known, g = samples("avatars").y, generator(seed)
    y = torch.empty(check_number("n", n, 1, 4096, whole=True), len(ATTRIBUTES), dtype=known.dtype)
    for group in TOGETHER:
        columns = [list(ATTRIBUTES).index(attribute) for attribute in group]
        y[:, columns] = known[torch.randint(len(known), (len(y),), generator=g)][:, columns]
    return y


def face(y):
    """{attribute: value's name, or "hidden"} of one row of numbers y (16,); what a hat or glasses hide is hidden."""
    y = hide(torch.as_tensor(y).clone()[None])[0].tolist()
    values = {a: of[i] if i >= 0 else "hidden" for (a, of), i in zip(ATTRIBUTES.items(), y)}
    return values | ({"hair": "hidden", "hair_length": "hidden"} if values["headwear"] != "none" else {})


def with_value(values, attribute, value):
    """The `face` that one whose attribute becomes `value` has: a smile needs a mouth that smiles, glasses a colour, long hair
    a style, and eyes are hidden or seen. Where the choice is free, the new part is of the plainest kind."""
    new = values | {attribute: value}
    if attribute == "smiling" and (new["mouth"] in SMILES) != (value == "yes"):
        new["mouth"] = "open_smile" if value == "yes" else "serious"
    elif attribute == "mouth":
        new["smiling"] = "yes" if value in SMILES else "no"
    elif attribute == "hair_length" and (new["hair"] == "hidden" or LENGTHS.get(new["hair"], "short") != value):
        new["hair"] = {"none": "bald", "short": "crew_cut", "medium": "bob", "long": "straight"}[value]
    elif attribute == "hair":
        new["hair_length"] = LENGTHS.get(value, "short")
    if new["headwear"] != "none" and attribute in ("hair", "hair_length"):
        new |= {"headwear": "none", "hat_color": "none"}  # else nobody would see it
    elif new["headwear"] != "none":
        new |= {"hair": "hidden", "hair_length": "hidden"}
    elif new["hair"] == "hidden":
        new |= {"hair": "crew_cut", "hair_length": "short"}
    for of, coloured in (("glasses", "glasses_color"), ("headwear", "hat_color")):
        if (new[of] == "none") != (new[coloured] == "none"):
            new[coloured] = "none" if new[of] == "none" else "black"
    eyes = new["glasses"] in ("sunglasses", "big_shades")
    for part, hidden, plain in (("eyes", eyes, "open"), ("eyebrows", new["glasses"] == "big_shades", "neutral")):
        if hidden or new[part] == "hidden":
            new[part] = "hidden" if hidden else plain
    return new


def _download(name, root):
    """torchvision's download, with its progress bar and its check sums."""
    if (root / _FOLDER[name] / "raw").is_dir() and len(list((root / _FOLDER[name] / "raw").glob("*-ubyte"))) == 4:
        return
    from torchvision import datasets

    try:
        for train in (True, False):
            getattr(datasets, _FOLDER[name])(root=str(root), train=train, download=True)
    except (OSError, RuntimeError) as e:
        raise DataError(
            f"{name} could not be downloaded to {root} ({e}): name a folder that has it with --data-dir or $GENMODELS_DATA."
        ) from e


def _read_idx_pair(folder, part):
    where = folder / "raw" if (folder / "raw").is_dir() else folder
    x = _read_idx(where / f"{part}-images-idx3-ubyte", 3)
    y = _read_idx(where / f"{part}-labels-idx1-ubyte", 1)
    if x.shape[1:] != (28, 28) or len(x) != len(y):
        raise DataError(
            f"{where} holds {len(x)} pictures of {x.shape[1:]} and {len(y)} labels: both must be as many, and "
            "28x28; copy the files again."
        )
    return Pictures(torch.from_numpy(x[:, None]), torch.from_numpy(y.astype(np.int64)))


def _read_idx(file, ndim):
    """One file of the IDX format (two zero bytes, type 8 = uint8, number of dimensions, their sizes), packed or not."""
    packed = file.with_name(file.name + ".gz")
    source = file if file.is_file() else packed
    if not source.is_file():
        raise DataError(
            f"{file} is missing (nor is there {packed.name}): name a folder that has it with --data-dir or $GENMODELS_DATA."
        )
    try:
        raw = source.read_bytes() if source == file else gzip.decompress(source.read_bytes())
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"{source} cannot be read ({e}): copy or download it again.") from e
    head = 4 + 4 * ndim
    if len(raw) < head or raw[:4] != bytes([0, 0, 8, ndim]):
        raise DataError(f"{source} is not an IDX file of {ndim} dimension(s) of bytes: copy or download it again.")
    shape = tuple(np.frombuffer(raw, ">i4", ndim, offset=4).tolist())
    if min(shape) < 1 or len(raw) - head != int(np.prod(shape)):
        raise DataError(f"{source} is truncated: {len(raw) - head} bytes for {shape}; copy or download it again.")
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape).copy()


def _read_avatars(folder, part):
    if not (folder / f"{part}.npz").is_file() or not (folder / "attributes.csv").is_file():
        raise DataError(
            f"{folder} lacks {part}.npz or attributes.csv: draw the set with tools/avatars/ (its README has the "
            "command), or name a folder that has it with --data-dir or $GENMODELS_DATA."
        )
    images = _load_array(folder / f"{part}.npz", "images")
    try:
        with open(folder / "attributes.csv", encoding="utf-8", newline="") as f:
            rows = [r for r in csv.DictReader(f) if r["split"] == part]
        number = {name: {v: i for i, v in enumerate(values)} | {"hidden": HIDDEN} for name, values in ATTRIBUTES.items()}
        number["smiling"] |= {"0": 0, "1": 1}
        y = np.array([[number[name][row[name]] for name in ATTRIBUTES] for row in rows], np.int64)
    except (KeyError, OSError, UnicodeDecodeError, csv.Error) as e:
        raise DataError(f"{folder / 'attributes.csv'} is not the table of this set (at {e}): draw or copy it again.") from e
    if images.dtype != np.uint8 or images.shape[1:] != (64, 64, 3) or len(images) != len(y):
        raise DataError(
            f"{folder / (part + '.npz')} must hold {len(y)} pictures (64, 64, 3) of bytes, not "
            f"{images.shape} {images.dtype}: draw or copy it again."
        )
    x = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return Pictures(torch.from_numpy(x), hide(torch.from_numpy(y)))


def _read_npz(file, name):
    x, y = _load_array(file, "x"), _load_array(file, "y")
    columns = (len(ATTRIBUTES),) if name == "avatars" else ()
    if (
        x.dtype != np.uint8
        or x.shape[1:] != SHAPES[name]
        or len(x) < 3
        or y.shape != (len(x), *columns)
        or y.dtype.kind not in "iu"
    ):
        raise DataError(
            f"{file} must hold x, at least three pictures {SHAPES[name]} of bytes, and as many rows of numbers y, "
            f"not {x.shape} {x.dtype} and {y.shape} {y.dtype}: copy it again."
        )
    return Pictures(torch.from_numpy(x), torch.from_numpy(y.astype(np.int64)))


def _load_array(file, key):
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive[key]
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        raise DataError(f"{file} is truncated or not the npz file that it should be ({e}): copy it again.") from e


# --- A visitor's picture, prepared as the data set prepared its own ---------------------------------------------------


def prepare(picture, name):
    """A drawing or photograph as one picture of the set: (1, C, H, W) float in [0, 1].

    Digits as LeCun et al. (1998) made MNIST: light strokes on black, the ink scaled into a 20x20 box, its centre of mass in
    the middle of 28x28. Clothes: light on black, the longer side on 28 pixels, in the middle. Faces: the middle square,
    64x64, colours kept.

    Arguments:
        picture: a PIL image of any mode and size, or an (H, W), (H, W, 3) or (H, W, 4) uint8 array.
        name: "mnist", "fashion" or "avatars".
    Raises:
        ValueError: the drawing is empty, the picture has no pixel, or it is no picture.
    """
    check_choice("data set", name, SETS)
    if not isinstance(picture, Image.Image):
        pixels = np.asarray(picture)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)):
            raise ValueError(
                "picture must be a PIL image or an array of bytes (H, W), (H, W, 3) or (H, W, 4), not "
                f"{pixels.shape} {pixels.dtype}."
            )
        picture = Image.fromarray(pixels)
    if min(picture.size) < 1:
        raise ValueError("The picture has no pixels: choose another one.")
    flat = _on_one_ground(ImageOps.exif_transpose(picture))  # telephones store photographs lying and say so
    if name == "avatars":
        side = ImageOps.fit(flat.convert("RGB"), (64, 64), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(side).copy()).permute(2, 0, 1)[None].float() / 255
    grey = flat.convert("L")
    border = np.concatenate([np.asarray(grey)[[0, -1]].ravel(), np.asarray(grey)[:, [0, -1]].ravel()])
    if np.median(border) > 127:  # dark ink on light paper
        grey = ImageOps.invert(grey)
    ink = np.asarray(grey).astype(np.float32)
    ink = np.clip(ink - np.median(np.concatenate([ink[[0, -1]].ravel(), ink[:, [0, -1]].ravel()])), 0, None)
    if ink.max() < 8:
        raise ValueError("The drawing is empty: draw something first.")
    ink *= 255 / ink.max()
    box = Image.fromarray((ink > 25).astype(np.uint8)).getbbox()
    cut = Image.fromarray(ink).crop(box)  # floats: a thin line in a large picture must not round to nothing
    side = 20 if name == "mnist" else 28
    scale = side / max(cut.size)
    small = cut.resize(
        [max(1, round(s * scale)) for s in cut.size], Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC
    )
    pixels = np.asarray(small).clip(0, 255)
    if name == "mnist":  # the centre of mass goes to the middle
        rows, columns = np.indices(pixels.shape)
        top = 14 - (pixels * (rows + 0.5)).sum() / pixels.sum()
        left = 14 - (pixels * (columns + 0.5)).sum() / pixels.sum()
    else:
        top, left = (28 - pixels.shape[0]) / 2, (28 - pixels.shape[1]) / 2
    top, left = (int(np.clip(round(at), 0, 28 - n)) for at, n in zip((top, left), pixels.shape))
    out = np.zeros((28, 28), np.float32)
    out[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels / pixels.max()
    return torch.from_numpy(out)[None, None]


def from_picture(picture):
    """A photograph as it is: (1, C, H, W) uint8, C = 1 where it has no colour, upright, on one ground where it is transparent.

    Arguments:
        picture: a PIL image of any mode: 16-bit greys, CMYK and palettes too.
    """
    flat = _on_one_ground(ImageOps.exif_transpose(picture))
    if flat.mode not in ("1", "L", "RGB"):
        flat = flat.convert("RGB")
    pixels = np.array(flat.convert("L") if flat.mode == "1" else flat)
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    if 0 in pixels.shape:
        raise ValueError("The picture has no pixels: choose another one.")
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)[None].contiguous()


def _on_one_ground(picture):
    """Transparent parts become white paper under dark ink, black ground under light ink; 16-bit greys become 8-bit."""
    if picture.mode.startswith("I") or picture.mode == "F":
        values = np.nan_to_num(np.asarray(picture, np.float64))
        top = next((t for t in (1, 255, 65535) if values.max() <= t), values.max())
        return Image.fromarray((np.clip(values / top, 0, 1) * 255).astype(np.uint8))
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture
    rgba = picture.convert("RGBA")
    alpha = rgba.getchannel("A")
    shown = np.asarray(rgba.convert("L"))[np.asarray(alpha) > 127]
    ground = 255 if len(shown) and shown.mean() < 128 else 0
    flat = Image.new("RGBA", rgba.size, (ground,) * 3 + (255,))
    flat.alpha_composite(rgba)
    return flat.convert("RGB")
