"""The VAE's recipe and its evaluation."""

import math

import pytest
import torch

import genmodels as gm
from genmodels import data
from tests.compare import close
from tests.helpers_train import check_recipe, measured, run
from train import attributes, measures, vae

N = 66  # the last third of the 200 sample pictures of digits


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--dataset", "mnist"], "vae-mnist"),
        (["--dataset", "avatars"], "vae-avatars"),
        (["--dataset", "fashion", "--latent", "2"], "vae-fashion-2d"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, small_networks, options, name):
    check_recipe(vae.app, options, name, workdir, read_only)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "cats"], "--dataset must be one of mnist, fashion, avatars"),
        (["--latent", "3"], "--latent must be 2"),
        (["--beta", "nan"], "--beta must be a number"),
        (["--data-dir", "/no/such/folder"], "does not exist"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, options, message):
    code, out = run(vae.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


def test_numbers_of_a_vae(root):
    values, card = measured(root, "vae-mnist", "--seed", 3, "--samples", 5)
    x, model = data.load("mnist", "test").floats(), gm.load("vae-mnist")
    binary = model.binarise(x, 3)
    log_px, kl = model.elbo(binary, 3)
    assert values["elbo"] == pytest.approx((log_px - kl).mean().item(), rel=1e-4)
    assert values["kl"] == pytest.approx(kl.mean().item(), rel=1e-4)
    assert values["nll"] == pytest.approx(-model.log_prob(binary, 5, seed=3).mean().item(), rel=1e-4)
    assert values["bits_per_dim"] == pytest.approx(values["nll"] / 784 / math.log(2), rel=1e-4)
    fid = next(r for r in card.data.eval_results if r.metric_type == "fid")
    classifier = gm.load("classifier-mnist")
    generated = gm.metrics.features(classifier, model.sample(80, seed=3))
    assert fid.metric_value == pytest.approx(gm.metrics.fid(generated, gm.metrics.features(classifier, x)), rel=1e-3, abs=1e-4)
    assert (fid.metric_args["N"], fid.metric_args["seed"]) == (80, 3)
    assert "principal components" in fid.metric_args["beside"]
    repeated, _ = measured(root, "vae-mnist", "--seed", 3, "--samples", 5)
    assert repeated == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_a_gaussian_vae_of_faces_is_measured_by_its_edits_of_attributes(root):
    _, card = measured(root, "vae-avatars")
    names = [r.metric_name for r in card.data.eval_results if r.metric_type in ("share", "moved")]
    assert [name.split(":")[0].split(" ")[0] for name in names] == ["smiling"] * 3
    moved = next(r for r in card.data.eval_results if "target value" in r.metric_name)
    assert moved.metric_args["N"] == len(data.load("avatars", "test"))
    assert "chosen on the validation split" in moved.metric_args["beside"]


def test_a_probes_directions_are_as_long_as_the_mean_differences(root):
    latents = gm.vae.load_latents("vae-avatars")
    values = list(data.ATTRIBUTES["smiling"])
    probe = gm.metrics.Probe(torch.randn(2, 3), torch.zeros(2))
    moved = attributes.probe_latents(latents, probe, "smiling").values["smiling"]
    along = probe.weight[1] - probe.weight[0]
    step, mean_step = (vectors[values[1]] - vectors[values[0]] for vectors in (moved, latents.values["smiling"]))
    assert torch.allclose(step / step.norm(), along / along.norm() * torch.sign(step @ along), atol=1e-5)
    assert (step @ along).item() == pytest.approx((mean_step @ along).item(), rel=1e-4)


def test_a_long_measurement_resumes_where_it_was_stopped(root, tmp_path, monkeypatch):
    evaluation = measures.Evaluation("vae-mnist", runs=tmp_path / "whole")
    x = evaluation.model.binarise(evaluation.data.floats())
    whole = vae.importance_weighted(evaluation, x, 3, batch=20)
    assert len(whole) == N

    calls, log_prob = [], gm.VAE.log_prob

    def stopped(self, *args, **kwargs):
        calls.append(kwargs["seed"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return log_prob(self, *args, **kwargs)

    monkeypatch.setattr(gm.VAE, "log_prob", stopped)
    evaluation.cache = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        vae.importance_weighted(evaluation, x, 3, batch=20)
    resumed = vae.importance_weighted(evaluation, x, 3, batch=20)
    assert close(resumed, whole)
    assert calls == [0, 20, 40, 40, 60]
    assert torch.equal(vae.importance_weighted(evaluation, x, 3, batch=20), resumed)
    assert len(calls) == 5  # all results were cached
    vae.importance_weighted(evaluation, 1 - x, 3, batch=20)
    assert len(calls) == 9  # but not those of other pictures
