"""People's own pictures: a folder, read as a dataset of small squares with classes and splits.

my/pictures/cats/*.jpg, my/pictures/dogs/*.png, ...    each subfolder is a class, whatever folders are in it
my/pictures/*.jpg                                      without subfolders there are no classes

Every picture goes through the page's reader (`genmodels.pictures`), is cropped to its central square and scaled. Its split
follows from a hash of its file's content: a picture stays where it is when others are added, and copies stay together.
"""

import hashlib
import json
import os
import re
import tempfile
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer
from PIL import Image
from tqdm import tqdm

import genmodels as gm
from genmodels import data, pictures
from genmodels.base import check_choice
from genmodels.data import DataError, Pictures
from train import cards

EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
MAX_PIXELS = 170_000_000  # of a file: Pillow refuses a little more
SIZES = (28, 32, 64)
MINIMUM = 20  # pictures of a folder
SMALLEST = 8  # pixels of the shorter side: smaller pictures are icons or dots
SHARE = 0.1  # of the pictures in each of the splits "val" and "test"
COLOURED = 0.02  # share of pictures in colour above which a folder is in colour
AT_LEAST = 2  # pictures in each of them
SPLIT_FOLDERS = {"train", "training", "val", "valid", "validation", "test", "testing"}
RESERVED = (gm.labels.ANY, gm.labels.EACH)  # words with a meaning where the page asks for a class
GENERATED = 500  # pictures, for the card
KEPT = 100  # test pictures in a checkpoint, for the page
Size = Annotated[int | None, typer.Option(help="Of a folder's pictures: 28, 32 or 64. [default: 32, or 28 for small ones]")]
Name = Annotated[str | None, typer.Option(help="Of a folder's dataset, for FAMILY-NAME. [default: the folder's own]")]
MODEL: dict[str, dict[int, dict[str, Any]]] = {  # of each family, by the size of the pictures
    "vae": {
        28: dict(latent=64, levels=2),
        32: dict(latent=64, levels=3),
        64: dict(latent=128, levels=4, hidden=384),
    },
    "gan": {
        # few pictures: strong penalties, and the second task, without which a class soon has a single sample
        28: dict(fine=[24], gamma=1.0, reconstruction_weight=0.001),
        32: dict(fine=[24], gamma=1.0, reconstruction_weight=0.001),
        64: dict(patch=4, latent=128, widths=[64, 96], depth=2, fine=[24], gamma=5.0, reconstruction_weight=0.0004),
    },
    "diffusion": {28: dict(), 32: dict(), 64: dict(patch=4, predicts="x0")},
}


# --- Files ------------------------------------------------------------------------------------------------------------


def find(folder: Path) -> tuple[list[Path], list[Path]]:
    """(pictures by their extensions, other files) under a folder, sorted; links are followed.

    What begins with a dot is neither: macOS puts `._x.jpg` beside x.jpg, and .DS_Store into folders.
    """
    files, visited = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__MACOSX")
        if real in visited:  # a link to a folder above
            folders.clear()
            continue
        visited.add(real)
        files += [Path(place) / name for name in names if not name.startswith(".") and name != "Thumbs.db"]
    files.sort()
    is_picture = {file: file.suffix.lower() in EXTENSIONS for file in files}
    return [f for f in files if is_picture[f]], [f for f in files if not is_picture[f]]


def open_all(files: Iterable[Path], left_out: "LeftOut", least: int = 0) -> Iterator[tuple[Path, Image.Image]]:
    """The pictures that can be read. least: see `pictures.open_picture`."""
    for file in files:
        try:
            picture = pictures.open_picture(file, max_pixels=MAX_PIXELS, least=least)
        except (OSError, ValueError, MemoryError) as e:
            reason = str(e).split(":")[0].rstrip(".") if isinstance(e, ValueError) else "it cannot be opened"
            left_out.add(f"unusable ({reason[:1].lower()}{reason[1:]})", file)
        else:
            yield file, picture


@dataclass
class LeftOut:
    """What was left out, and why: files are named, and nothing disappears in silence."""

    folder: Path
    files: dict[str, list[Path]] = field(default_factory=dict)

    def add(self, reason: str, *files: Path) -> None:
        self.files.setdefault(reason, []).extend(files)

    def sentences(self) -> list[str]:
        lines = []
        for reason, files in self.files.items():
            if not files:
                continue
            names = [readable(str(f.relative_to(self.folder))) for f in files]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            lines.append(f"Left out as {reason}, {_plural(len(names), 'file')}: {', '.join(names[:3])}{more}.")
        return lines


# --- A dataset --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnPictures:
    """The splits of a folder. classes: names, in the order of the labels; of a folder without subfolders one, its title."""

    name: str
    title: str
    classes: list[str]
    train: Pictures
    val: Pictures
    test: Pictures
    notes: list[str]  # what was read and what was left out, in sentences

    @property
    def channels(self) -> int:
        return self.train.x.shape[1]

    @property
    def size(self) -> int:
        return self.train.x.shape[2]

    def options(self, family: str) -> dict[str, Any]:
        """The arguments of a family's model: a size for a few hundred to some ten thousand pictures."""
        return dict(channels=self.channels, size=self.size, **MODEL[family][self.size])

    def write_card(self, checkpoint: Path) -> None:
        """Measure a checkpoint that was trained on this dataset, on the test split, and write its card."""
        write_card(checkpoint, self)

    def rows(self, most: int = 10) -> torch.Tensor:
        """Labels of samples, a row of eight for each class."""
        return torch.arange(8 * min(len(self.classes), most)) // 8

    def save(self, folder: Path) -> None:
        """Write into a checkpoint what the page needs of this dataset: `data.json`, and some test pictures as `data.npz`."""
        facts = {
            "name": self.name,
            "title": self.title,
            "classes": self.classes,
            "channels": self.channels,
            "size": self.size,
            "pictures": {split: len(getattr(self, split)) for split in data.SPLITS},
        }
        cards.write_text(folder / "data.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
        # one of each class, then another of each, as far as there are
        turn: Counter[int] = Counter()
        order = []
        for i, label in enumerate(self.test.y.tolist()):
            order.append((turn[label], label, i))
            turn[label] += 1
        chosen = torch.tensor([i for _, _, i in sorted(order)[:KEPT]])
        np.savez_compressed(folder / "data.npz", x=self.test.x[chosen].numpy(), y=self.test.y[chosen].numpy())


def of_options(dataset: str, folder: Path | None, size: int | None, name: str | None, family: str) -> OwnPictures | None:
    """What a recipe's options say: with `--dataset folder` the dataset, of which the notes are printed; else None."""
    if dataset != "folder":
        if size is not None or name is not None:
            raise ValueError("--size and --name are for your own pictures: add --dataset folder.")
        return None
    own = load(folder, size, name, family)
    print("\n".join(own.notes), flush=True)
    return own


def load(folder: Path | None, size: int | None = None, name: str | None = None, family: str | None = None) -> OwnPictures:
    """Read a folder.

    Arguments:
        size: of the squares, one of SIZES; None: 28 if most pictures are no larger, else 32.
        name: of the dataset, in names of checkpoints; None: the folder's.
        family: for which a model will be trained, if any: other families' models of a dataset of this name must have its size
            and classes.
    Raises:
        DataError, ValueError: one sentence.
    """
    if size is not None:
        check_choice("--size", size, SIZES)
    if folder is None:
        raise DataError("Name the folder of your pictures with --data-dir.")
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {problem}: name the folder of your pictures with --data-dir.")
    title = readable(name or os.path.basename(os.path.abspath(folder))).replace("_", " ")
    name = check_name(name) if name else name_of(title)
    left_out = LeftOut(folder)
    labels, names = _classes(folder, left_out)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # of many pixels: up to MAX_PIXELS is meant
        size = size or default_size(list(labels))
        squares, in_colour = _read(labels, size, left_out)
    if len(squares) < MINIMUM:
        kinds = ", ".join(sorted(EXTENSIONS))
        few = f"{folder} has {_plural(len(squares), 'picture')} that can be used ({kinds}): at least {MINIMUM} are needed, and "
        raise DataError(" ".join([few + "some hundreds for good samples.", *left_out.sentences()]))
    used = {labels[s.file] for s in squares}
    names = [c for c in names if c in used] or [title]
    y = torch.tensor([names.index(labels[s.file] or title) for s in squares])
    x = torch.stack([s.x for s in squares])
    parts = {name: Pictures(x[i], y[i]) for name, i in split([s.hash for s in squares], y.tolist()).items()}
    counts = ", ".join(f"{c} {n}" for c, n in zip(names, y.bincount(minlength=len(names)).tolist()))
    notes = [
        f"{folder}: {_plural(len(x), 'picture')}, {_plural(len(names), 'class', 'classes')} ({counts}), "
        f"in {'colour' if in_colour else 'grey'}, {size}x{size}; {len(parts['train'])} for training, "
        f"{len(parts['val'])} for validation, {len(parts['test'])} for the test.",
        *left_out.sentences(),
    ]
    if small := [s.file.name for s in squares if s.side < size]:
        notes.append(f"Enlarged, {_plural(len(small), 'picture')} smaller than {size}x{size}: {', '.join(small[:3])}.")
    own = OwnPictures(name, title, names, **parts, notes=notes)
    if family:
        _check_others(own, family)
    return own


def check_name(name: str) -> str:
    """A dataset's name as given: it becomes a part of a checkpoint's."""
    taken = {*cards.DATASETS, "folder"}
    if not re.fullmatch(r"\w{1,40}", name) or name.lower() in taken:
        raise ValueError(
            f"--name must be 1 to 40 letters, digits and _, and none of {', '.join(sorted(taken))}, not {name[:60]!r}."
        )
    return name


def name_of(title: str) -> str:
    """The name that a file's or folder's becomes."""
    name = re.sub(r"\W+", "_", title).strip("_")[:40]
    try:
        return check_name(name)
    except ValueError:
        raise ValueError(f"{title!r} cannot be a dataset's name: give another with --name.") from None


def readable(name: str) -> str:
    """A file's name as text: composed, as macOS does not store it, and without bytes that are no characters."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "replace"))


def _classes(folder: Path, left_out: LeftOut) -> tuple[dict[Path, str | None], list[str]]:
    """({picture: its class, None without classes}, names of the classes)"""
    files, others = find(folder)
    left_out.add("no pictures", *others)
    parts = {f: f.relative_to(folder).parts for f in files}
    if {p[0].lower() for p in parts.values()} <= SPLIT_FOLDERS and any(len(p) > 1 for p in parts.values()):
        parts = {f: p[1:] for f, p in parts.items()}  # train/cats, test/cats: all are split anew
    inside = [f for f in files if len(parts[f]) > 1]
    if not inside:
        return dict.fromkeys(files), []
    left_out.add("lying beside the folders of the classes", *(f for f in files if len(parts[f]) == 1))
    labels: dict[Path, str | None] = {f: readable(parts[f][0]) for f in inside}
    names = sorted({str(c) for c in labels.values()}, key=lambda c: [c.casefold(), c])
    for word in RESERVED:
        if word in names:
            raise DataError(f"A class cannot be called {word!r}, which has a meaning on the page: rename {folder / word}.")
    return labels, names


class _Square(NamedTuple):
    file: Path
    x: torch.Tensor  # (C, size, size) uint8
    side: int  # the shorter one of the file's picture
    hash: float  # of the file's content, uniform in [0, 1)


def _read(labels: dict[Path, str | None], size: int, left_out: LeftOut) -> tuple[list[_Square], bool]:
    """(the pictures, whether they are in colour)"""
    squares: list[_Square] = []
    copies: set[tuple[bytes, str | None]] = set()
    bar = tqdm(labels, desc="reading pictures", unit="picture", disable=None)
    for file, picture in open_all(bar, left_out, least=2 * size):
        digest = hashlib.sha256(file.read_bytes()).digest()
        if min(picture.size) < SMALLEST:
            left_out.add(f"smaller than {SMALLEST}x{SMALLEST}", file)
        elif (digest, labels[file]) in copies:
            left_out.add("copies of others", file)
        else:
            copies.add((digest, labels[file]))
            number = int.from_bytes(digest[:6], "big") / 2**48
            squares.append(_Square(file, data.central_square(picture, 3, size), min(picture.size), number))
    coloured = sum(bool((s.x.amax(0) - s.x.amin(0)).float().mean() > 2) for s in squares)
    if coloured > COLOURED * len(squares):
        return squares, True
    return [s._replace(x=_grey(s.x)) for s in squares], False


def _grey(x: torch.Tensor) -> torch.Tensor:
    """(3, H, W) uint8 -> (1, H, W), by the weights that all readers of pictures use."""
    return torch.from_numpy(np.array(Image.fromarray(x.permute(1, 2, 0).numpy()).convert("L")))[None]


def default_size(files: list[Path]) -> int:
    """28 if most of the pictures are no larger, else 32: what two cores train in a quarter of an hour."""
    sides = []
    for file in files[:: max(1, len(files) // 100)]:
        try:
            with Image.open(file, formats=pictures.FORMATS) as picture:
                sides.append(min(picture.size))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            continue  # it is named when all are read
    return 28 if sides and sorted(sides)[len(sides) // 2] <= 28 else 32


def split(hashes: list[float], labels: list[int]) -> dict[str, torch.Tensor]:
    """{split: indices}. Each picture by its hash; every class has a picture for training, and val and test have AT_LEAST."""
    part = ["test" if h < SHARE else "val" if h < 2 * SHARE else "train" for h in hashes]
    in_train = Counter(label for label, p in zip(labels, part) if p == "train")
    part = [p if in_train[label] else "train" for label, p in zip(labels, part)]  # of a class with a picture or two
    in_train = Counter(label for label, p in zip(labels, part) if p == "train")
    missing = [name for name in ("val", "test") for _ in range(AT_LEAST - part.count(name))]
    order = sorted(range(len(hashes)), key=lambda i: hashes[i])  # so that the first of a split are of all classes
    for i in order:
        if missing and part[i] == "train" and in_train[labels[i]] > 1:
            in_train[labels[i]] -= 1
            part[i] = missing.pop()
    if missing:
        raise DataError(
            f"{len(hashes)} pictures in {len(set(labels))} classes leave none for validation and for the test: every class "
            "needs one for training. Add pictures, or put them into fewer folders."
        )
    return {name: torch.tensor([i for i in order if part[i] == name]) for name in data.SPLITS}


def write_card(checkpoint: Path, own: Any) -> None:
    """Measure a checkpoint of an own dataset on its test split, and write the card."""
    from train import evaluate, measures  # which import the recipes

    with tempfile.TemporaryDirectory() as cache:
        evaluation = measures.Evaluation(checkpoint, own=own, generated=GENERATED, runs=Path(cache))
        evaluate.evaluate(evaluation, evaluate.family(evaluation.family).options())


def _check_others(own: OwnPictures, family: str) -> None:
    """The page shows one dataset of a name in all of its tabs."""
    for other in gm.FAMILIES:
        facts = gm.cards.own_data(other).get(own.name)
        if other == family or not facts:
            continue
        if [facts.get(k) for k in ("channels", "size", "classes")] != [own.channels, own.size, own.classes]:
            raise DataError(
                f"{facts['checkpoint']} was trained on another dataset of the name {own.name} (classes, size or colour "
                "differ): give this one another name with --name, or the same --size."
            )


def _plural(n: int, one: str, more: str = "") -> str:
    return f"{n:,} {one if n == 1 else more or one + 's'}"
