"""Folders for the runs and checkpoints of a test, and recipes with small networks."""

import functools
import json
import shutil

import pytest
import torch
from PIL import Image

from genmodels import data, metrics
from genmodels.vae import measure_latents, save_latents
from tests import tiny
from train import attributes, classifier, denoiser, diffusion, flow, gan, pixel_transformer, texts, transformer, vae

RUN = {
    "command": "python -m train.x",
    "seed": 0,
    "batch": 8,
    "steps": 10,
    "minutes": 1.5,
    "device": "cpu, 2 threads",
    "pictures": 67,
    "parameters": 1,
    "date": "2026-01-31",
}
FIDS = {"gan-mnist": [20.0, 9.0, 12.0, 5.0], "dcgan-mnist": [30.0, 14.0, 16.0]}
VALIDATIONS = {
    name: [{"step": 2 * i + 2, "validation": {"fid": fid}} for i, fid in enumerate(fids)] for name, fids in FIDS.items()
}


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """The folder of a test's runs and checkpoints."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path


@pytest.fixture
def read_only(workdir):
    """A folder with the sample pictures as datasets, in which nothing can be written."""
    folder = workdir / "data"
    folder.mkdir()
    for file in data.SAMPLES.glob("*.npz"):
        (folder / file.name).write_bytes(file.read_bytes())
    folder.chmod(0o555)
    return folder


@pytest.fixture
def small_networks(monkeypatch):
    """All recipes with small networks."""
    classic = {k: v for k, v in tiny.OPTIONS["dcgan"].items() if k != "latent"}
    narrow = {k: v for k, v in tiny.OPTIONS["gan"].items() if k != "latent"}
    tables = [
        (diffusion.MODEL, tiny.OPTIONS["diffusion"] | dict(widths=[8], heads=1)),
        (gan.MODEL, narrow),
        (gan.CLASSIC, classic),
        (denoiser.MODELS, tiny.OPTIONS["denoiser"]),
        (denoiser.VAES, tiny.OPTIONS["dvae"]),
        (transformer.MODEL, tiny.OPTIONS["transformer"]),
        (classifier.MODEL, tiny.OPTIONS["classifier"]),
        (vae.MODEL, dict(width=4, hidden=16)),
    ]
    for table, options in tables:
        for name, full in table.items():
            monkeypatch.setitem(table, name, full | options)
    monkeypatch.setattr(flow, "Flow", lambda: tiny.make("flow", widths=[8], components=3))
    monkeypatch.setattr(vae, "MODEL_2D", vae.MODEL_2D | dict(width=4, hidden=16))


@pytest.fixture
def classifiers(workdir):
    """Untrained classifiers, for recipes that validate with one."""
    for name in data.DATASETS:
        torch.manual_seed(0)
        tiny.CHECKPOINTS[f"classifier-{name}"]().save_pretrained(workdir / "checkpoints" / f"classifier-{name}")


@pytest.fixture
def run_facts():
    """What the log of each checkpoint of `root` says about its training."""
    return RUN


@pytest.fixture
def root(workdir, monkeypatch, tiny_checkpoints):
    """A folder with the tiny checkpoints, as if trained; the sample pictures are their datasets."""
    monkeypatch.setenv("GENMODELS_DATA", str(data.SAMPLES))
    monkeypatch.setattr(attributes, "EDITED_ATTRIBUTES", ("smiling",))
    monkeypatch.setattr(attributes, "EDIT_AMOUNTS", (1.0, 2.0))
    monkeypatch.setattr(diffusion, "FUNCTION_EVALUATIONS", (1, 2))
    monkeypatch.setattr(diffusion, "DDPM_EVALUATIONS", 5)
    monkeypatch.setattr(diffusion, "CURVE_PICTURES", 40)
    monkeypatch.setattr(pixel_transformer, "PIXELS_PER_CLASS", 2)
    monkeypatch.setattr(denoiser, "CLASSICAL_PICTURES", 5)
    monkeypatch.setattr(metrics, "cas", functools.partial(metrics.cas, per_class=4, epochs=1, seeds=(0, 1)))
    monkeypatch.setitem(texts.DATASETS, "shakespeare", lambda split: texts.shakespeare(split)[: 16 * 256 + 1])
    monkeypatch.setitem(texts.DATASETS, "tang", lambda split: texts.tang(split)[:40])
    return shutil.copytree(tiny_checkpoints, workdir / "checkpoints")


@pytest.fixture(scope="session")
def tiny_checkpoints(tmp_path_factory):
    """The tiny checkpoints, as if trained."""
    root = tmp_path_factory.mktemp("tiny")
    for name, make in tiny.CHECKPOINTS.items():
        folder = root / name
        folder.mkdir()
        torch.manual_seed(0)
        model = make().eval()
        model._save_pretrained(folder)
        lines = [{"run": RUN}, {"step": 5, "loss": 1.0}, *VALIDATIONS.get(name, [])]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        if name in ("transformer-shakespeare", "transformer-tang"):
            (folder / "samples.txt").write_text("--- seed 0\n\n春 said\n", encoding="utf-8")
        else:
            Image.new("L", (8, 8)).save(folder / "samples.png")
        if name == "vae-avatars":
            faces = data.samples("avatars")
            save_latents(measure_latents(model, faces.x, faces.y, data.ATTRIBUTES), folder)
    return root
