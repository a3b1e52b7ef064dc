"""A folder of photographs, cut into what is trained on and chosen on, and the patches that training sees.

FOLDER/*.jpg, *.png, ...            any pictures: every twentieth, by name, is for validation
FOLDER/bsds/train, bsd68, cbsd68    Berkeley's, in the split of the denoising papers: the last two are the test split, in
                                    grey and in colour
"""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from genmodels import data
from genmodels.data import DataError

ENDINGS = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"}
LARGEST = 1024  # pixels of the longer side: larger ones are made smaller, which also takes their own noise away
SPLITS = {"train": "train", "val": "train", "test": "bsd68", "colour": "cbsd68"}  # split -> folder of bsds/


def load(split, data_dir=None):
    """The photographs of a split, a list of (C, H, W) uint8; C is 1 in the split "test".

    data_dir: as above, or a folder with the small `photo.npz` of the package, which is then itself cut in three. Default:
    $GENMODELS_DATA.
    """
    given = data_dir or os.environ.get("GENMODELS_DATA")
    if not given or not Path(given).is_dir():
        raise DataError(f"There is no folder of photographs {given or ''}: name one with --data-dir or $GENMODELS_DATA.")
    root = Path(given)
    if (root / "photo.npz").is_file():
        third = {"train": slice(0, None, 3), "val": slice(1, None, 3)}.get(split, slice(2, None, 3))
        x = [*data._read_npz(root / "photo.npz", "photo")[third].x]
        return [of[:1] for of in x] if split == "test" else x
    folder = root / "bsds" / data.check_choice("split", SPLITS[split], list(SPLITS.values()))
    if split in ("train", "val") and not folder.is_dir():
        folder = root
    files = sorted(f for f in folder.glob("*") if f.suffix.lower() in ENDINGS)
    if len(files) < 2:
        raise DataError(f"{folder} holds {len(files)} pictures ({', '.join(sorted(ENDINGS))}): at least two are needed.")
    if split in ("train", "val"):
        val = set(files[::20])
        files = [f for f in files if (f in val) == (split == "val")]
    return [_read(f, "L" if split == "test" else "RGB", split in ("train", "val")) for f in files]


def _read(file, mode, reduce):
    try:
        picture = ImageOps.exif_transpose(Image.open(file)).convert(mode)
    except (OSError, ValueError, SyntaxError) as e:
        raise DataError(f"{file} is no picture that can be read ({e}): take it out of the folder.") from e
    if reduce and max(picture.size) > LARGEST:
        picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(picture))
    return (pixels if pixels.ndim == 3 else pixels[..., None]).permute(2, 0, 1).contiguous()


class Patches:
    """Random patches (C, side, side) of pictures, turned and mirrored: as many an epoch as would cover them all once."""

    def __init__(self, pictures, side):
        self.pictures, self.side = [p for p in pictures if min(p.shape[1:]) >= side], side
        if not self.pictures:
            raise DataError(f"No picture is at least {side} pixels high and wide.")
        areas = [p.shape[1] * p.shape[2] // side**2 for p in self.pictures]
        self.of = torch.arange(len(areas)).repeat_interleave(torch.tensor(areas))  # patch -> picture: larger ones have more

    def __len__(self):
        return len(self.of)

    def batch(self, i):
        """(x (B, C, side, side) in [0, 1],): a patch of the picture of each index, from wherever torch's seed says."""
        return (torch.stack([self._patch(self.pictures[k]) for k in self.of[i].tolist()]).float() / 255,)

    def _patch(self, picture):
        top, left = ((torch.rand(()) * (n - self.side + 1)).int() for n in picture.shape[1:])
        x = picture[:, top : top + self.side, left : left + self.side]
        turn, mirror = torch.randint(4, ()).item(), torch.rand(()) < 0.5
        x = x.rot90(turn, (1, 2))
        return x.flip(2) if mirror else x
