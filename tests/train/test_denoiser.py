"""The denoisers' recipe and their evaluation."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import genmodels as gm
from genmodels import data, metrics
from genmodels.denoiser import add_noise, classical, quality
from tests.helpers_train import check_recipe, measured, numbers_in, run, states
from train import denoiser, measures, photographs

N = 66  # the last third of the 200 sample pictures of digits


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--dataset", "mnist"], "denoiser-mnist"),
        (["--dataset", "photo"], "denoiser-photo"),
        (["--dataset", "fashion", "--vae"], "dvae-fashion"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, small_networks, options, name):
    check_recipe(denoiser.app, options, name, workdir, read_only)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "cats"], "--dataset must be one of photo, camera, mnist, fashion"),
        (["--dataset", "photo", "--vae"], "--vae is for mnist and fashion"),
        (["--dataset", "photo", "--data-dir", "/no/such/folder"], "no folder of photographs"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, options, message):
    code, out = run(denoiser.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


def test_numbers_of_a_denoiser_of_photographs(root):
    _, card = measured(root, "denoiser-photo", "--seed", 3)
    model, rows = gm.load("denoiser-photo"), card.data.eval_results
    grey = [p[None] / 255 for p in photographs.load("test")]
    coloured = [p[None] / 255 for p in photographs.load("colour")]
    assert [p.shape[1] for p in grey + coloured] == [1, 1, 3, 3]
    for colour, clean in (("grey", grey), ("colour", coloured)):
        for mode, options in (("sigma given", {"sigma": 25 / 255}), ("blind", {})):
            noisy = [add_noise(x, "gaussian", 25 / 255, seed=3 + k) for k, x in enumerate(clean)]
            psnr = [quality(model.restore(y, **options), x)[0] for x, y in zip(clean, noisy)]
            row = next(r for r in rows if r.metric_name == f"PSNR in {colour}, sigma 25, {mode}, dB")
            assert row.metric_value == pytest.approx(np.mean(psnr), rel=1e-4) and row.metric_args["N"] == 2
            assert ("BM3D 28.57" in row.metric_args["beside"]) == (colour == "grey")
    means = np.mean([quality(classical(y, "median"), x) for x, y in zip(clean, noisy)], 0)
    row = next(line for line in card.text.split("\n") if line.startswith("| in colour, sigma 25 |"))
    assert numbers_in(row)[1] == pytest.approx(np.mean([quality(y, x)[0] for x, y in zip(clean, noisy)]), abs=0.01)
    assert states(row, *means, off=[0.01, 0.001])
    assert "non-commercial" in card.text


def test_numbers_given_sigma_are_those_given_sigma(monkeypatch):
    """A network that restores well if it is given sigma and badly if it is blind."""
    clean = torch.linspace(0, 255, 256).round().byte().view(1, 16, 16)
    model = SimpleNamespace(restore=lambda noisy, sigma=None: clean[None] / 255 + (0.1 if sigma is None else 0.01))
    monkeypatch.setattr(denoiser, "classical", lambda noisy, method, sigma: noisy)
    evaluation = SimpleNamespace(model=model, data=[clean], split="val", name="denoiser-photo", weights_hash="", seed=0)
    evaluation.cached = lambda name, compute, *arguments: compute(*arguments)
    run = measures.Values(denoiser.evaluate_on_photographs(evaluation))
    values = {value.label: value.value for value in run}
    assert run.headline.startswith("40.00 / 40.00 / 40.00 dB on BSD68 at sigma 15 / 25 / 50")
    for sigma in denoiser.SIGMAS:
        assert values[f"PSNR in grey, sigma {sigma}, blind, dB"] == pytest.approx(20, abs=0.1)
        assert values[f"PSNR in grey, sigma {sigma}, sigma given, dB"] == pytest.approx(40, abs=0.1)


def test_denoisers_of_digits_are_compared_in_one_table(root):
    values, card = measured(root, "dvae-mnist")
    test, classifier = data.load("mnist", "test"), gm.load("classifier-mnist")
    noisy = add_noise(test.floats(), "gaussian", 25 / 255, seed=0)
    restored = {"denoiser": gm.load("denoiser-mnist").restore(noisy, 25 / 255), "dvae": gm.load("dvae-mnist").restore(noisy)}
    cells = [
        number
        for x in restored.values()
        for number in (
            metrics.psnr(x, test.x).mean().item(),
            metrics.ssim(x, test.x).mean().item(),
            100 * (classifier.predict(x)[:, 0] == test.y).double().mean().item(),
        )
    ]
    row = next(line for line in card.text.split("\n") if line.startswith("| gaussian, sigma 25 |"))
    off = [0.01, 0.001, 1.6] * 2  # one of 66 digits may be on a boundary of the classifier
    assert states(" | ".join(row.split(" | ")[-2:]), *cells, off=off)
    assert values["restored_psnr"] == pytest.approx(metrics.psnr(restored["dvae"], test.x).mean().item(), rel=1e-4)
    few = torch.cat([classical(y, "total variation", 25 / 255) for y in noisy[:5].split(1)])
    assert states(row, metrics.psnr((few * 255).round() / 255, test.x[:5]).mean().item(), off=[0.01])
    assert {r.metric_args["N"] for r in card.data.eval_results} == {N}
    assert len([r for r in card.data.eval_results if r.metric_type == "accuracy"]) == 8


def test_the_best_classical_method_is_the_one_with_the_highest_psnr(root, monkeypatch):
    """Invented methods, each better on other noise: they move the noisy picture by some share towards the clean one."""
    clean = data.load("mnist", "test").floats()[: denoiser.CLASSICAL_PICTURES]
    shares = {"median": 0.5, "non-local means": 0.7, "total variation": 0.3, "wavelets": 0.1}
    calls = []

    def restore(noisy, method, sigma=None):
        i = len(calls) % len(clean)  # all pictures by one method, then by the next
        calls.append((method, sigma))
        share = shares[method] if sigma else 1 - shares[method]
        return (noisy + share * (clean[i : i + 1] - noisy)).clamp(0, 1)

    monkeypatch.setattr(denoiser, "classical", restore)
    _, card = measured(root, "denoiser-mnist")
    rows = {r.metric_name: r for r in card.data.eval_results}
    for name, best, r in ((k, "non-local means" if "gaussian" in k else "wavelets", r) for k, r in rows.items()):
        if r.metric_type == "restored_psnr":
            assert f"best of scikit-image's methods, {best}, on the first 5: " in r.metric_args["beside"], name
        elif r.metric_type == "restored_ssim":
            assert r.metric_args["beside"].startswith(f"{best}: ")
    noisy = add_noise(data.load("mnist", "test").floats(), "gaussian", 100 / 255, seed=0)
    restored = (noisy[:5] + 0.7 * (clean - noisy[:5])).clamp(0, 1)
    psnr = metrics.psnr((255 * restored).round() / 255, clean).mean().item()
    beside = rows["PSNR, gaussian, sigma 100, dB"].metric_args["beside"]
    assert float(beside.rsplit(": ", 1)[1]) == pytest.approx(psnr, abs=0.006)
    assert states(beside, metrics.psnr(noisy, data.load("mnist", "test").x).mean().item(), off=[0.006])
    assert {sigma for _, sigma in calls} == {None, *(s / 255 for s in (25, 50, 100, 150))}  # given where it is defined
    judge, test = gm.load("classifier-mnist"), data.load("mnist", "test")
    accuracy = rows["accuracy of classifier-mnist on restored pictures, missing block, 40%"].metric_args["beside"]
    clean_share = (judge.predict(test.floats())[:, 0] == test.y).double().mean().item()
    assert accuracy.endswith(f"clean pictures {clean_share:.1%}")
