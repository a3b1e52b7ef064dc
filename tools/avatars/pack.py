"""Packs the files that make.mjs wrote to SRC as train.npz, test.npz and attributes.csv:  python pack.py SRC OUT

The npz members are LZMA-compressed (half the size of savez_compressed); np.load reads them as any other npz.
"""

import csv
import io
import sys
import zipfile
from pathlib import Path

import numpy as np

if len(sys.argv) != 3:
    raise SystemExit("Name the output folder of make.mjs and the folder of the dataset: python pack.py SRC OUT")
src, out = map(Path, sys.argv[1:])
if not (src / "attributes.csv").is_file():  # make.mjs writes it last
    raise SystemExit(f"{src / 'attributes.csv'} is missing: let `node make.mjs {src}` finish first.")
x = np.fromfile(src / "images.u8", np.uint8).reshape(-1, 64, 64, 3)
with open(src / "attributes.csv", encoding="utf-8", newline="") as f:
    head, *rows = csv.reader(f)
if len(x) != len(rows):
    raise SystemExit(f"{src} holds {len(x)} pictures and {len(rows)} rows of attributes: run make.mjs again.")

n_train = len(x) * 9 // 10
out.mkdir(parents=True, exist_ok=True)
for name, part in (("train", x[:n_train]), ("test", x[n_train:])):
    buffer = io.BytesIO()
    np.save(buffer, part)
    with zipfile.ZipFile(out / f"{name}.npz", "w") as archive:
        member = zipfile.ZipInfo(
            "images.npy", (2024, 1, 1, 0, 0, 0)
        )  # a fixed date, so that the same dataset has the same bytes
        archive.writestr(member, buffer.getvalue(), zipfile.ZIP_LZMA)
with open(out / "attributes.csv", "w", encoding="utf-8", newline="") as f:
    table = csv.writer(f, lineterminator="\n")
    table.writerow(["id", "split", *head])
    table.writerows([i, "train" if i < n_train else "test", *row] for i, row in enumerate(rows))
