"""The page keeps what it computed of a checkpoint, until training writes the checkpoint anew."""

import json
import os

import pytest

import tabs.diffusion.sampling
import tabs.flow.likelihood
import tabs.flow.sampling
import tabs.gan.data
import tabs.gan.sampling
import tabs.gan.training
import tabs.vae.data
import tabs.vae.latent_map
from genmodels import data
from genmodels.vae import measure_latents, save_latents
from tests import tiny

KEPT = {  # what is computed -> the checkpoint of which
    "scores": (lambda: tabs.gan.data.reference_scores("mnist"), "gan-mnist"),
    "directions": (lambda: tabs.gan.sampling.principal_directions("mnist"), "gan-mnist"),
    "first pictures": (lambda: tabs.gan.sampling.first_pictures("mnist"), "gan-mnist"),
    "replay": (lambda: tabs.gan.training.show("mnist"), "gan-mnist"),
    "likelihoods": (lambda: tabs.flow.likelihood.statistics("mnist"), "flow-mnist"),
    "first samples": (lambda: tabs.flow.sampling.first_samples("mnist"), "flow-mnist"),
    "first run": (lambda: tabs.diffusion.sampling.opening("mnist"), "diffusion-mnist"),
    "latents": (lambda: tabs.vae.data.load_latents("vae-mnist-2d").kl, "vae-mnist-2d"),
    "map": (lambda: tabs.vae.latent_map.show("mnist")["map"]["maps"][1], "vae-mnist-2d"),
}


def write(root, name, seed):
    """A checkpoint in its place, as training publishes it."""
    new = root / f".{name}.new"
    model = tiny.untrained(tiny.CHECKPOINTS[name], seed)
    model.save_pretrained(new)
    if name == "gan-mnist":
        tiny.write_replay(new)
    elif name == "flow-mnist":
        tiny.write_likelihoods(new, "mnist")
    elif name == "vae-mnist-2d":
        pictures = data.samples("mnist")
        save_latents(measure_latents(model, pictures.x, pictures.y, {"class": data.CLASSES["mnist"]}), new)
    if (root / name).exists():
        os.rename(root / name, root / f".{name}.old")
    os.rename(new, root / name)


def plain(value):
    """A value as a text, to be compared."""
    return json.dumps(value, default=lambda x: x.tolist() if hasattr(x, "tolist") else vars(x))


@pytest.mark.parametrize("kept", KEPT)
def test_what_was_computed_of_older_weights_is_computed_again(tmp_path, monkeypatch, kept):
    compute, name = KEPT[kept]
    (tmp_path / "only the new one").mkdir()
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path / "only the new one"))
    write(tmp_path / "only the new one", name, 2)
    new = plain(compute())

    (tmp_path / "trained again").mkdir()
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path / "trained again"))
    write(tmp_path / "trained again", name, 1)
    assert plain(compute()) != new
    write(tmp_path / "trained again", name, 2)
    assert plain(compute()) == new
