"""The diffusion models' recipe and their evaluation."""

import json

import pytest
import torch

import genmodels as gm
from genmodels import data, metrics
from tests import tiny
from tests.helpers_train import check_recipe, measured, run
from train import diffusion, measures


@pytest.fixture
def small(monkeypatch):
    """The recipe with narrow networks and few sampling steps."""
    for name, options in diffusion.MODEL.items():
        monkeypatch.setitem(diffusion.MODEL, name, options | tiny.OPTIONS["diffusion"])
    sample = gm.Diffusion.sample
    monkeypatch.setattr(gm.Diffusion, "sample", lambda *args, **more: sample(*args, **more | {"steps": 2}))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--dataset", "mnist"], "diffusion-mnist"),
        (["--dataset", "avatars"], "diffusion-avatars"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, small, options, name):
    check_recipe(diffusion.app, options, name, workdir, read_only)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "cats"], "--dataset must be one of mnist, fashion, avatars"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, options, message):
    code, out = run(diffusion.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


def test_numbers_of_a_diffusion_model(root):
    values, card = measured(root, "diffusion-mnist", "--steps", 2, "--guidance", 1.5)
    test, model, classifier = data.load("mnist", "test"), gm.load("diffusion-mnist"), gm.load("classifier-mnist")
    y = torch.arange(160) % 10
    x = model.sample(160, label=y, sampler="dpm", steps=2, guidance=1.5, seed=0)
    assert values["share"] == pytest.approx((classifier.predict(x)[:, 0] == y).double().mean().item(), abs=1e-5)
    x = (x * 255).round().to(torch.uint8)
    assert values["cas"] == pytest.approx(metrics.cas(x, y, test.x, test.y).mean, abs=1e-5)
    real = metrics.features(classifier, test.x)
    assert values["fid"] == pytest.approx(metrics.fid(metrics.features(classifier, x[:80]), real), rel=1e-3, abs=1e-4)
    assert "--steps 2 --guidance 1.5" in card.data.genmodels["command"]

    table = json.loads((root / "diffusion-mnist" / "calls.json").read_text(encoding="utf-8"))
    assert [(r["sampler"], r["calls"]) for r in table["rows"]] == [
        ("ddpm", 1),
        ("ddpm", 2),
        ("ddpm", 5),
        ("ddim", 1),
        ("ddim", 2),
        ("dpm", 1),
        ("dpm", 2),
        ("heun", 1),
    ]
    assert f"| dpm | 2 | 2 | {table['rows'][-2]['fid']} |" in card.text


def test_faces_are_generated_with_the_attributes_of_real_ones(root):
    _, card = measured(root, "diffusion-avatars", "--steps", 1)
    shares = {r.metric_name.split()[1]: r.metric_args["N"] for r in card.data.eval_results if r.metric_type == "share"}
    assert list(shares) == ["smiling", "glasses", "hair_color", "hair_length"]
    evaluation = measures.Evaluation("diffusion-avatars")
    names = list(data.ATTRIBUTES)
    assert torch.equal(measures.labels_to_sample(evaluation, 3), evaluation.data.y[:3][:, [names.index(a) for a in shares]])
