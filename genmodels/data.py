"""Named datasets as tensors, one split at a time, and the preprocessing of a visitor's drawing or photograph.

Datasets: `mnist` (digits) and `fashion` (clothes), both 28x28 greyscale with 10 classes; `avatars` (cartoon faces), 64x64 RGB
with 16 attributes. `samples(name)` is a small part of each test split that ships with the package, so that the page and the
tests need no download. `samples`, `classes` and `preprocess` also know people's own datasets: the folders of pictures on which
checkpoints were trained (see `cards.own_data`), which hold some of the test pictures.
"""

import csv
import gzip
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genmodels.base import check_choice, check_number, generator, import_extra
from genmodels.cards import checkpoint_root, own_data
from genmodels.ink import find_ink, is_drawing
from genmodels.labels import ATTRIBUTES, CLASSES
from genmodels.messages import Message
from genmodels.pictures import standardize

HIDDEN = -1  # label of an attribute that is not visible in this picture: hair under a hat, eyes behind dark glasses

DATASETS = ("mnist", "fashion", "avatars")
PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "camera", "coins", "brick")  # of scikit-image
SPLITS = ("train", "val", "test")
SHAPES = {"mnist": (1, 28, 28), "fashion": (1, 28, 28), "avatars": (3, 64, 64), "photo": (3, 96, 96)}
_VALIDATION = {"mnist": 5000, "fashion": 5000, "avatars": 1500}  # split off train, by a permutation with seed 0
_FOLDER = {"mnist": "MNIST", "fashion": "FashionMNIST", "avatars": "avatars"}
SAMPLES = Path(__file__).parent / "samples"


class EmptyPicture(ValueError):
    """A visitor's picture with nothing in it."""


class DataError(ValueError):
    """A dataset is missing or broken. The message is one sentence that names the file and says what to do."""


@dataclass(frozen=True)
class Pictures:
    """One split. x: (N, C, H, W) uint8; y: (N,) classes, or (N, 16) indices of the values in ATTRIBUTES, or HIDDEN."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: slice | Tensor) -> "Pictures":
        """A subset: `i` is a slice, a mask or a tensor of indices."""
        return Pictures(self.x[i], self.y[i])

    def floats(self) -> Tensor:
        """The pictures as floats in [0, 1]."""
        return self.x.float() / 255

    def batch(self, i: slice | Tensor) -> tuple[Tensor, Tensor]:
        """A training batch: the pictures at these indices as floats, and their labels."""
        subset = self[i]
        return subset.floats(), subset.y


def load(name: str, split: str, data_dir: str | Path | None = None) -> Pictures:
    """One split of a named dataset as `Pictures`.

    Arguments:
        name: "mnist", "fashion" or "avatars".
        split: "train", "val" (split off the training pictures, always the same) or "test" (for final numbers only).
        data_dir: a folder that holds `MNIST/`, `FashionMNIST/` or `avatars/` (unpacked or as torchvision's .gz), or the small
            `<name>.npz` of `samples`, which is then itself split in three. It is only read. Default: $GENMODELS_DATA, else
            `~/.cache/genmodels`, to which mnist and fashion are downloaded if they are missing.
    Raises:
        DataError: the dataset is missing or one of its files is broken.
    """
    check_choice("dataset", name, DATASETS)
    check_choice("split", split, SPLITS)
    folder = data_dir or os.environ.get("GENMODELS_DATA")
    root = Path(folder or Path.home() / ".cache" / "genmodels")
    if folder and not root.is_dir():
        raise DataError(f"The data folder {root} does not exist: name one that holds {_FOLDER[name]}/.")
    if (root / f"{name}.npz").is_file():
        pictures = _read_npz(root / f"{name}.npz", name)
        third = {"train": slice(0, None, 3), "val": slice(1, None, 3), "test": slice(2, None, 3)}[split]
        return pictures[third]
    if name == "avatars":
        pictures = _read_avatars(root / "avatars", "test" if split == "test" else "train")
    else:
        if not folder:
            _download(name, root)
        pictures = _read_idx_pair(root / _FOLDER[name], "t10k" if split == "test" else "train")
    if split == "test":
        return pictures
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0))
    cut = len(pictures) - min(_VALIDATION[name], len(pictures) // 6)
    return pictures[order[:cut] if split == "train" else order[cut:]]


def samples(name: str) -> Pictures:
    """The pictures that ship with the package: 20 test pictures per class (mnist, fashion), 100 test faces (avatars).

    Also "photo": a crop of each of the PHOTOGRAPHS, whose y is its index; three are greyscale. Of an own dataset: those of its
    test pictures that its checkpoint holds, at most 100.
    """
    if own := _own(name):
        file = checkpoint_root() / own["checkpoint"] / "data.npz"
        return _read_npz(file, name, (own["channels"], own["size"], own["size"]), at_least=1)
    return _read_npz(SAMPLES / f"{check_choice('dataset', name, (*DATASETS, 'photo'))}.npz", name)


def classes(name: str) -> list[str]:
    """Names of the classes of mnist, fashion or an own dataset, which has one class if its folder has no subfolders."""
    names = CLASSES | {own: facts["classes"] for own, facts in own_data().items() if "classes" in facts}
    return names[check_choice(Message("Dataset"), name, names)]


def _own(name: Any) -> dict[str, Any]:
    """What is known of an own dataset of pictures; {} if there is none of this name."""
    facts = own_data().get(name, {}) if isinstance(name, str) and name not in SHAPES else {}
    return facts if "classes" in facts else {}


def photograph(name: str) -> Tensor:
    """A free photograph from scikit-image's package: (1, C, H, W) in [0, 1], C = 3 or 1. name: one of PHOTOGRAPHS."""
    check_choice("photograph", name, PHOTOGRAPHS)
    pixels = torch.from_numpy(np.array(getattr(import_extra("skimage.data", "denoise"), name)()))
    return (pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1)[None].float() / 255


def mark_hidden(y: Tensor) -> Tensor:
    """Mark the invisible attributes of labels (N, 16) as HIDDEN, in place: eyes and eyebrows behind dark glasses."""
    names = list(ATTRIBUTES)
    for attribute, glasses in (("eyes", ("sunglasses", "big_shades")), ("eyebrows", ("big_shades",))):
        dark = torch.tensor([ATTRIBUTES["glasses"].index(v) for v in glasses])
        y[torch.isin(y[:, names.index("glasses")], dark), names.index(attribute)] = HIDDEN
    return y


HAIR_LENGTHS = {
    name: length
    for length, names in {
        "none": ["bald"],
        "medium": ["bun", "mullet", "bob", "fringe_bob", "shoulder", "curly", "afro"],
        "long": ["straight", "straight_fringe", "straight_centre", "wavy", "dreads", "shaved_sides"],
    }.items()
    for name in names
}  # of the hair styles that are not "short"
SMILING_MOUTHS = ("open_smile", "small_smile", "chuckle", "tongue")


ATTRIBUTE_GROUPS = [
    ["smiling", "mouth"],
    ["glasses", "glasses_color", "eyes", "eyebrows"],
    ["facial_hair"],
    ["headwear", "hat_color", "hair", "hair_length"],
    ["hair_color"],
    ["skin"],
    ["clothing", "clothes_color"],
    ["background"],
]  # attributes in one group depend on each other; the groups are independent


def sample_attributes(n: int, *, seed: int | None = None) -> Tensor:
    """Labels (n, 16) of new faces: each group of attributes is copied from another face of the sample set."""
    y, g = samples("avatars").y, generator(seed)
    rows = torch.randint(len(y), (check_number("n", n, 1, 4096, whole=True), len(ATTRIBUTE_GROUPS)), generator=g)
    sampled = torch.empty(len(rows), len(ATTRIBUTES), dtype=y.dtype)
    for group, row in zip(ATTRIBUTE_GROUPS, rows.T):
        columns = [list(ATTRIBUTES).index(attribute) for attribute in group]
        sampled[:, columns] = y[row][:, columns]
    return sampled


def attribute_values(y: Any) -> dict[str, str]:
    """{attribute: name of its value, or "hidden"} of one row of labels y (16,); what a hat or glasses cover is hidden."""
    row = mark_hidden(torch.as_tensor(y).clone()[None])[0].tolist()
    values = {name: names[i] if i >= 0 else "hidden" for (name, names), i in zip(ATTRIBUTES.items(), row)}
    if values["headwear"] != "none":
        values |= {"hair": "hidden", "hair_length": "hidden"}
    return values


def change_attribute(values: dict[str, str], attribute: str, value: str) -> dict[str, str]:
    """The `attribute_values` of a face after one attribute is changed, with what follows from it: a smile needs a smiling
    mouth, glasses need a colour, long hair needs a style, and glasses cover or uncover the eyes. Where several values are
    possible, the plainest is taken."""
    new = values | {attribute: value}
    if attribute == "smiling" and (new["mouth"] in SMILING_MOUTHS) != (value == "yes"):
        new["mouth"] = "open_smile" if value == "yes" else "serious"
    elif attribute == "mouth":
        new["smiling"] = "yes" if value in SMILING_MOUTHS else "no"
    elif attribute == "hair_length" and (new["hair"] == "hidden" or HAIR_LENGTHS.get(new["hair"], "short") != value):
        new["hair"] = {"none": "bald", "short": "crew_cut", "medium": "bob", "long": "straight"}[value]
    elif attribute == "hair":
        new["hair_length"] = HAIR_LENGTHS.get(value, "short")
    if new["headwear"] != "none" and attribute in ("hair", "hair_length"):
        new |= {"headwear": "none", "hat_color": "none"}  # a hat would cover the change
    elif new["headwear"] != "none":
        new |= {"hair": "hidden", "hair_length": "hidden"}
    elif new["hair"] == "hidden":
        new |= {"hair": "crew_cut", "hair_length": "short"}
    for part, colour in (("glasses", "glasses_color"), ("headwear", "hat_color")):
        if (new[part] == "none") != (new[colour] == "none"):
            new[colour] = "none" if new[part] == "none" else "black"
    covered = {"eyes": new["glasses"] in ("sunglasses", "big_shades"), "eyebrows": new["glasses"] == "big_shades"}
    for part, default in (("eyes", "open"), ("eyebrows", "neutral")):
        if covered[part]:
            new[part] = "hidden"
        elif new[part] == "hidden":
            new[part] = default
    return new


def _download(name: str, root: Path) -> None:
    """torchvision's download, with its progress bar and its checksums."""
    if (root / _FOLDER[name] / "raw").is_dir() and len(list((root / _FOLDER[name] / "raw").glob("*-ubyte"))) == 4:
        return
    datasets = import_extra("torchvision", "train").datasets
    try:
        for train in (True, False):
            getattr(datasets, _FOLDER[name])(root=str(root), train=train, download=True)
    except (OSError, RuntimeError) as e:
        raise DataError(
            f"{name} could not be downloaded to {root} ({e}): name a folder that has it with --data-dir or $GENMODELS_DATA."
        ) from e


def _read_idx_pair(folder: Path, part: str) -> Pictures:
    folder = folder / "raw" if (folder / "raw").is_dir() else folder
    if not folder.is_dir() and any(folder.parent.glob(f"{part}-images?idx3-ubyte*")):
        folder = folder.parent  # Kaggle's archives have the files at the top
    x = _read_idx(folder / f"{part}-images-idx3-ubyte", 3)
    y = _read_idx(folder / f"{part}-labels-idx1-ubyte", 1)
    if x.shape[1:] != (28, 28) or len(x) != len(y):
        raise DataError(
            f"{folder} holds {len(x)} pictures of {x.shape[1:]} and {len(y)} labels: there must be as many labels as "
            "pictures, and pictures of 28x28; copy the files again."
        )
    return Pictures(torch.from_numpy(x[:, None]), torch.from_numpy(y.astype(np.int64)))


def _read_idx(file: Path, ndim: int) -> np.ndarray:
    """One file of the IDX format (two zero bytes, type 8 = uint8, number of dimensions, their sizes), gzipped or not."""
    packed = file.with_name(file.name + ".gz")
    dotted = file.with_name(file.name.replace("-idx", ".idx"))  # as in Kaggle's archives, where each is also in a folder
    names = (file, dotted, packed, dotted.with_name(f"{dotted.name}.gz"), file / file.name, dotted / dotted.name)
    source = next((f for f in names if f.is_file()), packed)
    if not source.is_file():
        raise DataError(
            f"{file} is missing, and so is {packed.name}: name a folder that has it with --data-dir or $GENMODELS_DATA."
        )
    try:
        raw = gzip.decompress(source.read_bytes()) if source.suffix == ".gz" else source.read_bytes()
    except (OSError, EOFError, zlib.error) as e:
        raise DataError(f"{source} cannot be read ({e}): copy or download it again.") from e
    head = 4 + 4 * ndim
    if len(raw) < head or raw[:4] != bytes([0, 0, 8, ndim]):
        raise DataError(f"{source} is not an IDX file of {ndim} dimension(s) of bytes: copy or download it again.")
    shape = tuple(np.frombuffer(raw, ">i4", ndim, offset=4).tolist())
    if min(shape) < 1 or len(raw) - head != int(np.prod(shape)):
        raise DataError(f"{source} is truncated: {len(raw) - head} bytes for {shape}; copy or download it again.")
    return np.frombuffer(raw, np.uint8, offset=head).reshape(shape).copy()


def _read_avatars(folder: Path, part: str) -> Pictures:
    if not (folder / f"{part}.npz").is_file() or not (folder / "attributes.csv").is_file():
        raise DataError(
            f"{folder} lacks {part}.npz or attributes.csv: generate the dataset with tools/avatars/ (its README has the "
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
        raise DataError(
            f"{folder / 'attributes.csv'} is not the table of this dataset (at {e}): generate or copy it again."
        ) from e
    if images.dtype != np.uint8 or images.shape[1:] != (64, 64, 3) or len(images) != len(y):
        raise DataError(
            f"{folder / (part + '.npz')} must hold {len(y)} pictures (64, 64, 3) of bytes, not "
            f"{images.shape} {images.dtype}: generate or copy it again."
        )
    x = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    return Pictures(torch.from_numpy(x), mark_hidden(torch.from_numpy(y)))


def _read_npz(file: Path, name: str, shape: tuple[int, ...] | None = None, at_least: int = 3) -> Pictures:
    shape = shape or SHAPES[name]
    x, y = _load_array(file, "x"), _load_array(file, "y")
    columns = (len(ATTRIBUTES),) if name == "avatars" else ()
    if (
        x.dtype != np.uint8
        or x.shape[1:] != shape
        or len(x) < at_least
        or y.shape != (len(x), *columns)
        or y.dtype.kind not in "iu"
    ):
        raise DataError(
            Message(
                "{file} must hold x, at least {at_least} pictures {shape} of bytes, and as many rows of integer labels y, "
                "not {x} and {y}: copy it again.",
                file=file,
                at_least=at_least,
                shape=shape,
                x=f"{x.shape} {x.dtype}",
                y=f"{y.shape} {y.dtype}",
            )
        )
    return Pictures(torch.from_numpy(x), torch.from_numpy(y.astype(np.int64)))


def _load_array(file: Path, key: str) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as archive:
            return archive[key]
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as e:
        raise DataError(
            Message("{file} is truncated or not the expected npz file ({reason}): copy it again.", file=file, reason=str(e))
        ) from e


# --- A visitor's picture, preprocessed like the dataset ---------------------------------------------------------------


def preprocess(picture: Image.Image | np.ndarray, name: str) -> Tensor:
    """A drawing or photograph as a picture like those of the dataset: (1, C, H, W) float in [0, 1].

    Digits as in MNIST (LeCun et al. 1998): light strokes on black, the ink scaled to fit a 20x20 box, its centre of mass in
    the middle of 28x28. Clothes: light on black, the longer side scaled to 28 pixels, centred. Faces: the central square,
    scaled to 64x64, in colour; pictures of an own dataset: the same, in its size, in grey or colour.

    Arguments:
        picture: a PIL image of any mode and size, or an (H, W), (H, W, 3) or (H, W, 4) uint8 array.
        name: "mnist", "fashion", "avatars" or an own dataset.
    Raises:
        EmptyPicture: a ValueError, if the drawing is empty.
        ValueError: the picture has no pixels, or the argument is not a picture.
    """
    own = _own(name)
    if not own:
        check_choice("dataset", name, DATASETS)
    if not isinstance(picture, Image.Image):
        pixels = np.asarray(picture)
        if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or pixels.shape[2:] not in ((), (3,), (4,)):
            raise ValueError(
                "picture must be a PIL image or an array of bytes (H, W), (H, W, 3) or (H, W, 4), not "
                f"{pixels.shape} {pixels.dtype}."
            )
        picture = Image.fromarray(pixels)
    if min(picture.size) < 1:
        raise ValueError(Message("The picture has no pixels: choose another one."))
    flat = standardize(picture)
    if own or name == "avatars":
        return central_square(flat, own.get("channels", 3), own.get("size", 64))[None].float() / 255
    grey = np.asarray(flat.convert("L"))
    is_photograph = name == "mnist" and not is_drawing(grey)
    ink = (255 * find_ink(grey)).astype(np.float32) if is_photograph else np.zeros(1, np.float32)
    is_blank = is_photograph and np.ptp(np.quantile(grey, (0.02, 0.98))) < 96  # paper, lines and a little shade
    if not ink.any() and not is_blank:
        if _border_median(grey) > 127:  # dark ink on light paper
            grey = 255 - grey
        ink = np.clip(grey - np.float32(_border_median(grey)), 0, None)
    if ink.max() < 8:
        raise EmptyPicture(Message("The drawing is empty: draw something first."))
    ink *= 255 / ink.max()
    box = Image.fromarray((ink > 25).astype(np.uint8)).getbbox()
    cropped = Image.fromarray(ink).crop(box)  # floats: a thin line in a large picture must not round to zero
    side = 20 if name == "mnist" else 28
    scale = side / max(cropped.size)
    size = (max(1, round(cropped.width * scale)), max(1, round(cropped.height * scale)))
    scaled = cropped.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    pixels = np.asarray(scaled).clip(0, 255)
    if name == "mnist":  # its centre of mass goes to the middle
        rows, columns = np.indices(pixels.shape)
        top = 14 - (pixels * (rows + 0.5)).sum() / pixels.sum()
        left = 14 - (pixels * (columns + 0.5)).sum() / pixels.sum()
    else:
        top, left = (28 - pixels.shape[0]) / 2, (28 - pixels.shape[1]) / 2
    height, width = pixels.shape
    row = int(np.clip(round(top), 0, 28 - height))
    column = int(np.clip(round(left), 0, 28 - width))
    out = np.zeros((28, 28), np.float32)
    out[row : row + height, column : column + width] = pixels / pixels.max()
    return torch.from_numpy(out)[None, None]


def central_square(picture: Image.Image, channels: int, size: int) -> Tensor:
    """The central square of a picture as `standardize` returns it, scaled: (channels, size, size) uint8."""
    square = ImageOps.fit(picture.convert("RGB" if channels == 3 else "L"), (size, size), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(square).reshape(size, size, channels)).permute(2, 0, 1).contiguous()


def _border_median(pixels: np.ndarray) -> float:
    """The median of the outermost rows and columns: the grey of the paper."""
    return float(np.median(np.concatenate([pixels[[0, -1]].ravel(), pixels[:, [0, -1]].ravel()])))


def pixel_tensor(picture: Image.Image) -> Tensor:
    """The pixels of a photograph: (1, C, H, W) uint8, C = 1 if it has no colour; upright, transparency removed.

    Arguments:
        picture: a PIL image as `Image.open` returns it; see `pictures.standardize`.
    """
    pixels = np.array(standardize(picture))
    if pixels.ndim == 3 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1)).permute(2, 0, 1)[None].contiguous()
