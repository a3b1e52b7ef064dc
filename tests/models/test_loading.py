"""Checkpoints that are missing, broken or foreign: a one-sentence error, nothing unpickled, and all others still load."""

import io
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import genmodels as gm
from genmodels import base
from genmodels.base import CheckpointError
from tests.compare import close


@pytest.fixture
def vae():
    torch.manual_seed(0)
    return gm.VAE(size=8, latent=2, width=4, hidden=8).eval()


@pytest.fixture
def shelf(tmp_path, monkeypatch, vae):
    """A folder of checkpoints: `vae-good`, and `vae-bad` for the test to break."""
    for name in ("vae-good", "vae-bad"):
        vae.save_pretrained(tmp_path / name)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


class Trap:
    """Unpickling this creates a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def weights(change):
    """Breaks a folder: `change` edits its tensors in place."""

    def do(folder):
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return do


def config(**changes):
    """Breaks a folder: other entries in its config.json."""

    def do(folder):
        entries = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(entries | changes), encoding="utf-8")

    return do


def content(name, data):
    """Breaks a folder: `name` holds these bytes."""
    return lambda folder: (folder / name).write_bytes(data)


def cut(part):
    """Breaks a folder: only this fraction of model.safetensors is left."""

    def do(folder):
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * part)])

    return do


def trap(pack):
    """Breaks a folder: model.safetensors is a pickle that creates a file when it is unpickled."""

    def do(folder):
        buffer = io.BytesIO()
        pack(Trap(folder / "marker"), buffer)
        (folder / "model.safetensors").write_bytes(buffer.getvalue())

    return do


WEIGHTS, CONFIG = "model.safetensors", "config.json"
BROKEN = {  # damage -> (function that does it, the file that the message names, what the message says)
    "no weights": (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS, "is missing: train the model again or copy"),
    "no config": (lambda folder: (folder / CONFIG).unlink(), CONFIG, "is missing: copy the whole checkpoint folder"),
    "weights is a folder": (lambda f: (f / WEIGHTS).unlink() or (f / WEIGHTS).mkdir(), WEIGHTS, "is missing"),
    "config is a folder": (lambda f: (f / CONFIG).unlink() or (f / CONFIG).mkdir(), CONFIG, "is not a configuration"),
    "weights empty": (cut(0.0), WEIGHTS, "is truncated or not a safetensors file"),
    "weights cut in the header": (cut(0.1), WEIGHTS, "is truncated or not a safetensors file"),
    "weights cut in the middle": (cut(0.6), WEIGHTS, "is truncated or not a safetensors file"),
    "weights cut at the end": (cut(0.999), WEIGHTS, "is truncated or not a safetensors file"),
    "weights are text": (content(WEIGHTS, b"version https://git-lfs"), WEIGHTS, "is truncated or not a safetensors file"),
    "a tensor too few": (weights(lambda t: t.pop("decoder.0.bias")), WEIGHTS, "Missing key.*decoder.0.bias"),
    "a tensor too many": (weights(lambda t: t.update(extra=torch.ones(1))), WEIGHTS, "Unexpected key.*extra"),
    "a tensor renamed": (weights(lambda t: t.update(extra=t.pop("decoder.0.bias"))), WEIGHTS, "does not fit the VAE"),
    "a tensor of another shape": (
        weights(lambda t: t.update({"decoder.0.bias": torch.ones(9)})),
        WEIGHTS,
        "decoder.0.bias.*shape",
    ),
    "no tensors": (weights(dict.clear), WEIGHTS, "does not fit the VAE that its config.json describes"),
    "another family's config": (
        lambda folder: (
            gm.Classifier(size=8, widths=[4])._save_pretrained(folder)
            or gm.VAE(size=8, latent=3)._save_pretrained(folder)
            or config(family="classifier")(folder)
        ),
        WEIGHTS,
        "does not fit the Classifier",
    ),
    "another family's weights": (
        lambda folder: save_file(gm.Autoencoder(size=8).state_dict(), folder / WEIGHTS),
        WEIGHTS,
        "does not fit the VAE",
    ),
    "another size": (config(latent=3), WEIGHTS, "does not fit the VAE"),
    "another likelihood": (config(likelihood="gaussian"), WEIGHTS, "Missing key.*log_sigma"),
    "impossible size": (config(size=9), WEIGHTS, "size must be divisible by 4"),
    "negative size": (config(latent=-1), WEIGHTS, "does not fit the VAE"),
    "size zero": (config(size=0), WEIGHTS, "does not fit the VAE"),
    "size in words": (config(size="eight"), WEIGHTS, "does not fit the VAE"),
    "size null": (config(latent=None), WEIGHTS, "does not fit the VAE"),
    "division by zero": (config(family="classifier", stem=0), WEIGHTS, "does not fit the Classifier"),
    "unknown family": (config(family="oracle"), CONFIG, "is not a configuration of this package.*autoencoder, vae"),
    "family is a list": (config(family=["vae"]), CONFIG, "is not a configuration of this package"),
    "no family": (content(CONFIG, b"{}"), CONFIG, "is not a configuration of this package"),
    "config is a list": (content(CONFIG, b"[1, 2]"), CONFIG, "is not a configuration of this package"),
    "config is no JSON": (content(CONFIG, b'{"family": "vae",'), CONFIG, "is not a configuration of this package"),
    "config is empty": (content(CONFIG, b""), CONFIG, "is not a configuration of this package"),
    "config is no text": (content(CONFIG, b"\xff\xfe\x00"), CONFIG, "is not a configuration of this package"),
    "config has no end": (content(CONFIG, b"[" * 100_000), CONFIG, "is not a configuration of this package"),
    "weights are a pickle": (trap(pickle.dump), WEIGHTS, "is truncated or not a safetensors file"),
    "weights are of torch.save": (trap(torch.save), WEIGHTS, "is truncated or not a safetensors file"),
    "only a pickle": (lambda f: trap(torch.save)(f) or (f / WEIGHTS).rename(f / "pytorch_model.bin"), WEIGHTS, "is missing"),
}


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("damage", BROKEN)
def test_a_broken_checkpoint_gives_a_one_sentence_error_and_the_others_load(damage, shelf, vae):
    break_folder, file, message = BROKEN[damage]
    break_folder(shelf / "vae-bad")
    for _ in range(2):  # an error is not remembered as a model
        with pytest.raises(CheckpointError, match=message) as e:
            gm.load("vae-bad")
        assert str(e.value).startswith(str(shelf / "vae-bad" / file))
        assert "\n" not in str(e.value)
        assert len(str(e.value)) < 600
    assert not (shelf / "vae-bad" / "marker").exists()
    assert close(gm.load("vae-good").sample(2, seed=0), vae.sample(2, seed=0))


def test_the_trap_works(tmp_path):
    """The pickles above would create a file if anyone unpickled them."""
    pickle.loads(pickle.dumps(Trap(tmp_path / "marker")))
    assert (tmp_path / "marker").exists()


def test_a_repaired_checkpoint_loads(shelf):
    (shelf / "vae-bad" / WEIGHTS).rename(shelf / "aside")
    with pytest.raises(CheckpointError):
        gm.load("vae-bad")
    (shelf / "aside").rename(shelf / "vae-bad" / WEIGHTS)
    assert gm.load("vae-bad").latent == 2


# --- Names ------------------------------------------------------------------------------------------------------------


def test_names_and_paths(shelf):
    assert gm.checkpoints() == ["vae-bad", "vae-good"]
    assert gm.load("vae-good") is gm.load(shelf / "vae-good") is gm.load(str(shelf / "vae-good") + "/")
    assert gm.load("vae-good") is not gm.load("vae-bad")


@pytest.mark.parametrize(
    "name", ["vae-none", "", "a/b", "../vae-none", "x" * 5000, "vae\0", None, 3], ids=lambda name: ascii(name)[:12]
)
def test_an_unknown_name_gives_a_one_sentence_error(name, shelf, monkeypatch):
    monkeypatch.chdir(shelf)
    with pytest.raises(CheckpointError, match=r"^(There is no checkpoint|There is no folder|.* is missing).*[.:].*\.$"):
        gm.load(name)


def test_the_error_lists_the_checkpoints(shelf):
    with pytest.raises(CheckpointError, match=r"no checkpoint 'vae-mnist' in .*; there are: vae-bad, vae-good\.$"):
        gm.load("vae-mnist")


def test_without_any_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path / "none"))
    assert gm.checkpoints() == []
    with pytest.raises(CheckpointError, match=r"has none: clone the repository.*GENMODELS_CHECKPOINTS.*from_pretrained\("):
        gm.load("vae-mnist")


def test_checkpoints_are_beside_the_package_by_default(monkeypatch):
    monkeypatch.delenv("GENMODELS_CHECKPOINTS", raising=False)
    assert base.checkpoint_root() == Path(gm.__file__).resolve().parents[1] / "checkpoints"


# --- What is loaded ---------------------------------------------------------------------------------------------------


def test_the_same_folder_is_one_model(shelf, monkeypatch):
    """Concurrent visitors share it, and the file is read once."""
    read, models, start = [], [], threading.Barrier(8)

    def visit():
        start.wait()
        models.append(gm.load("vae-good"))

    def load_slowly(file, **options):
        read.append(file)
        time.sleep(0.05)
        return load_file(file, **options)

    monkeypatch.setattr(base, "load_file", load_slowly)
    threads = [threading.Thread(target=visit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(models) == 8
    assert len({id(model) for model in models}) == 1
    assert len(read) == 1


def test_from_pretrained_gives_a_private_copy(shelf):
    copy = gm.VAE.from_pretrained(shelf / "vae-good")
    assert copy is not gm.load("vae-good")
    with torch.no_grad():
        copy.decoder[0].bias += 1
    assert not close(copy.sample(1, seed=0), gm.load("vae-good").sample(1, seed=0), atol=1e-3)


def test_half_precision_is_saved_small_and_loaded_as_float32(shelf, vae):
    folder = shelf / "vae-half"
    folder.mkdir()
    vae._save_pretrained(folder, bits=16)
    assert {t.dtype for t in load_file(folder / WEIGHTS).values()} == {torch.float16}
    assert (folder / WEIGHTS).stat().st_size < 0.75 * (shelf / "vae-good" / WEIGHTS).stat().st_size
    loaded = gm.load("vae-half")
    for name, tensor in vae.state_dict().items():
        assert loaded.state_dict()[name].dtype == torch.float32, name
        assert torch.equal(loaded.state_dict()[name], tensor.half().float()), name


def test_8_bits_are_smaller_and_each_weight_is_off_by_at_most_half_a_step_of_its_row(shelf, vae):
    folder = shelf / "vae-8"
    folder.mkdir()
    with torch.no_grad():
        vae = gm.VAE.from_pretrained(shelf / "vae-good")
        vae.decoder[0].weight[0] *= 1e-4  # a row of much smaller weights
    vae._save_pretrained(folder, bits=8)
    assert (folder / WEIGHTS).stat().st_size < 0.5 * (shelf / "vae-good" / WEIGHTS).stat().st_size
    loaded = gm.load("vae-8").state_dict()
    for name, w in vae.state_dict().items():
        assert loaded[name].dtype == torch.float32, name
        if w.ndim < 2:
            assert torch.equal(loaded[name], w.half().float()), name
        else:
            error, largest = ((t.flatten(1).abs().amax(1)) for t in (loaded[name] - w, w))
            assert (error <= largest / 127 / 2 * 1.001).all(), name
            assert not torch.equal(loaded[name], w), name
    weights = load_file(folder / WEIGHTS)
    del weights["decoder.0.weight.scale"]
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(CheckpointError, match="decoder.0.weight.scale"):
        gm.VAE.from_pretrained(folder)
    with pytest.raises(ValueError, match="bits must be one of 32, 16, 8"):
        vae._save_pretrained(folder, bits=4)


def test_an_old_config_with_a_renamed_argument_is_still_read(shelf, vae, monkeypatch):
    file = shelf / "vae-good" / CONFIG
    file.write_text(file.read_text(encoding="utf-8").replace('"latent"', '"code_size"'), encoding="utf-8")
    with pytest.raises(CheckpointError, match="does not fit the VAE"):  # without the entry the default is taken
        gm.load("vae-good")
    monkeypatch.setattr(gm.VAE, "renamed_arguments", {"code_size": "latent"})
    loaded = gm.load("vae-good")
    assert loaded.config == vae.config
    assert close(loaded.sample(2, seed=0), vae.sample(2, seed=0))
    loaded.save_pretrained(shelf / "vae-new")  # written with today's name
    assert json.loads((shelf / "vae-new" / CONFIG).read_text(encoding="utf-8"))["latent"] == 2


def test_half_precision_leaves_whole_numbers_whole(tmp_path):
    classifier = gm.Classifier(size=8, classes=[3], widths=[4], features=5)
    for _ in range(3):
        classifier.loss((torch.rand(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])))
    classifier._save_pretrained(tmp_path, bits=16)
    counters = [v for v in gm.load(tmp_path).state_dict().values() if v.dtype == torch.int64]
    assert [int(c) for c in counters] == [3, 3, 3]


# --- Import -----------------------------------------------------------------------------------------------------------


def test_torch_is_imported_only_when_it_is_needed():
    root = Path(gm.__file__).resolve().parents[1]
    steps = ["import sys, genmodels", "genmodels.checkpoints; dir(genmodels); genmodels.FAMILIES", "genmodels.VAE"]
    lines = "".join(f"{step}\nprint('torch' in sys.modules)\n" for step in steps)
    done = subprocess.run([sys.executable, "-c", lines], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]


def test_every_public_name_is_there():
    for name in gm.__all__:
        assert getattr(gm, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'oracle'"):
        gm.oracle  # noqa: B018


def test_the_families_are_the_classes():
    for family, (module, name) in gm.FAMILIES.items():
        assert getattr(gm, name).__module__ == module
        assert issubclass(getattr(gm, name), base.GenerativeModel), family


# --- After the folder was trained again -----------------------------------------------------------------------------------


def test_weights_that_were_trained_again_are_read_again(tmp_path):
    gm.VAE(size=8, latent=2, width=4, hidden=8).save_pretrained(tmp_path)
    first = gm.load(tmp_path)
    assert gm.load(tmp_path) is first
    other = gm.VAE(size=8, latent=2, width=4, hidden=8)
    other.save_pretrained(tmp_path)
    second = gm.load(tmp_path)
    assert second is not first
    assert torch.equal(second.decoder[0].weight, other.decoder[0].weight)
    assert not torch.equal(first.decoder[0].weight, second.decoder[0].weight)  # who holds the first keeps it as it was
    gm.VAE(size=8, latent=3, width=4, hidden=8).save_pretrained(tmp_path)
    assert gm.load(tmp_path).latent == 3
    assert gm.load(tmp_path) is gm.load(tmp_path)


@pytest.mark.parametrize("file", [WEIGHTS, CONFIG])
def test_either_file_alone_may_be_replaced(tmp_path, file):
    gm.VAE(size=8, latent=2, width=4, hidden=8).save_pretrained(tmp_path / "old")
    first = gm.load(tmp_path / "old")
    other = gm.VAE(size=8, latent=2, width=4, hidden=8, beta=2.0)
    other.save_pretrained(tmp_path / "new")
    (tmp_path / "new" / file).replace(tmp_path / "old" / file)
    second = gm.load(tmp_path / "old")
    assert second.beta == (2.0 if file == CONFIG else 1.0)
    expected = first if file == CONFIG else other
    assert torch.equal(second.decoder[0].weight, expected.decoder[0].weight)


def test_weights_that_are_copied_over_the_old_ones_are_read_again(tmp_path):
    """As `cp` does: the file stays the same one, and its size too."""
    for name in ("old", "new"):
        gm.VAE(size=8, latent=2, width=4, hidden=8).save_pretrained(tmp_path / name)
    old, new = (tmp_path / name / WEIGHTS for name in ("old", "new"))
    first, written = gm.load(tmp_path / "old"), old.stat()
    old.write_bytes(new.read_bytes())
    os.utime(old, ns=(written.st_atime_ns, written.st_mtime_ns + 10**9))  # of a coarse clock
    assert (old.stat().st_ino, old.stat().st_size) == (written.st_ino, written.st_size)
    second = gm.load(tmp_path / "old")
    assert not torch.equal(second.decoder[0].weight, first.decoder[0].weight)
    assert torch.equal(second.decoder[0].weight, gm.load(tmp_path / "new").decoder[0].weight)


def test_only_so_many_models_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(gm.base, "MAX_LOADED", 2)
    folders = [tmp_path / str(i) for i in range(3)]
    for folder in folders:
        gm.Autoencoder(size=4, hidden=[4]).save_pretrained(folder)
    models = [gm.load(folder) for folder in folders]
    assert gm.load(folders[2]) is models[2]
    assert gm.load(folders[0]) is not models[0]


def test_a_model_is_loaded_where_it_is_wanted(tmp_path):
    gm.Autoencoder(size=4, hidden=[4]).save_pretrained(tmp_path)
    for location in ("meta", torch.device("meta")):
        model = gm.Autoencoder.from_pretrained(tmp_path, map_location=location)
        assert {p.device.type for p in model.parameters()} == {"meta"}
    assert gm.Autoencoder.from_pretrained(tmp_path).device.type == "cpu"
