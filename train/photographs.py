"""A folder of photographs, split for training and validation, and random patches of them to train on.

FOLDER/**/*.jpg, *.png, ...         any pictures, also in its subfolders: every twentieth, by name, is for validation
FOLDER/bsds/train, bsd68, cbsd68    BSDS500 in the split of the denoising papers: the last two are the test split, in grey and
                                    in colour
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genmodels import data
from genmodels.data import DataError
from train import folder
from train.folder import EXTENSIONS, LeftOut

MAX_SIDE = 1024  # pixels of the longer side: larger pictures are downscaled, which also reduces their own noise
SPLITS = {"train": "train", "val": "train", "test": "bsd68", "colour": "cbsd68"}  # split -> folder of bsds/


def load(split: str, data_dir: Path | str | None = None, least: int = 1) -> list[Tensor]:
    """The photographs of a split, a list of (C, H, W) uint8; C is 1 in the split "test". What is left out is printed.

    least: pixels of the shorter side; smaller photographs are left out.
    data_dir: as above, or a folder with the small `photo.npz` of the package, which is then itself split in three. Default:
    $GENMODELS_DATA.
    """
    folder_name = data_dir or os.environ.get("GENMODELS_DATA")
    if not folder_name or not Path(folder_name).is_dir():
        raise DataError(f"There is no folder of photographs {folder_name or ''}: name one with --data-dir or $GENMODELS_DATA.")
    root = Path(folder_name)
    if (root / "photo.npz").is_file():
        third = {"train": slice(0, None, 3), "val": slice(1, None, 3)}.get(split, slice(2, None, 3))
        x = [*data._read_npz(root / "photo.npz", "photo")[third].x]
        return [picture[:1] for picture in x] if split == "test" else x
    place = root / "bsds" / data.check_choice("split", SPLITS[split], list(SPLITS.values()))
    if split in ("train", "val") and not place.is_dir():
        place = root
    files, _ = folder.find(place)
    if len(files) < 2:
        raise DataError(f"{place} holds {len(files)} pictures ({', '.join(sorted(EXTENSIONS))}): at least two are needed.")
    if split in ("train", "val"):
        val = set(files[::20])
        files = [f for f in files if (f in val) == (split == "val")]
    left_out, photographs = LeftOut(place), []
    for file, picture in folder.open_all(files, left_out):
        if split in ("train", "val") and max(picture.size) > MAX_SIDE:
            picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
        if min(picture.size) < least:
            left_out.add(f"smaller than {least}x{least}", file)
        else:
            photographs.append(_pixels(picture.convert("L" if split == "test" else "RGB")))
    if not photographs:
        raise DataError(f"{place} has no picture for {split} that can be used. {' '.join(left_out.sentences())}")
    for sentence in left_out.sentences():
        print(f"{split}: {sentence}", flush=True)
    return photographs


def _pixels(picture: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(picture))
    return (pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1).contiguous()


class Patches:
    """Random patches (C, side, side) of pictures, randomly rotated and mirrored: an epoch has as many as would cover them."""

    def __init__(self, pictures: Sequence[Tensor], side: int):
        self.pictures = [p for p in pictures if min(p.shape[1:]) >= side]
        self.side = side
        if not self.pictures:
            raise DataError(f"No picture is at least {side} pixels high and wide.")
        areas = [p.shape[1] * p.shape[2] // side**2 for p in self.pictures]
        self.picture_index = torch.arange(len(areas)).repeat_interleave(torch.tensor(areas))  # of each patch: by area

    def __len__(self) -> int:
        return len(self.picture_index)

    def batch(self, i: Tensor) -> tuple[Tensor]:
        """(x (B, C, side, side) in [0, 1],): a random patch of the picture of each index, by torch's global seed."""
        return (torch.stack([self._patch(self.pictures[k]) for k in self.picture_index[i].tolist()]).float() / 255,)

    def _patch(self, picture: Tensor) -> Tensor:
        top, left = ((torch.rand(()) * (n - self.side + 1)).int() for n in picture.shape[1:])
        x = picture[:, top : top + self.side, left : left + self.side]
        x = x.rot90(int(torch.randint(4, ())), (1, 2))
        return x.flip(2) if torch.rand(()) < 0.5 else x


def centre_crop(picture: Tensor, side: int) -> Tensor:
    """The central (C, side, side) of a picture."""
    top, left = ((n - side) // 2 for n in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]
