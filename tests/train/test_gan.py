"""The GANs' recipe, the replay of their training, and their evaluation."""

import json

import pytest
import torch
from safetensors.torch import load_file

import genmodels as gm
from genmodels import data, metrics
from tests import tiny
from tests.compare import close, close_greys
from tests.helpers_train import check_recipe, measured, run
from train import cards, engine, gan, gan_replay


@pytest.fixture
def small(monkeypatch):
    """The recipe with narrow networks."""
    for models, family in ((gan.MODEL, "gan"), (gan.CLASSIC, "dcgan")):
        for name, options in models.items():
            narrow = {k: v for k, v in tiny.OPTIONS[family].items() if k != "latent"}
            monkeypatch.setitem(models, name, options | narrow)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--dataset", "mnist"], "gan-mnist"),
        (["--dataset", "avatars"], "gan-avatars"),
        (["--dataset", "mnist", "--classic"], "dcgan-mnist"),
        (["--dataset", "mnist", "--collapse"], "gan-mnist-collapsed"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, small, classifiers, options, name):
    check_recipe(gan.app, options, name, workdir, read_only, {"replay.webp", "replay.json"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "cats"], "--dataset must be one of mnist, fashion, avatars"),
        (["--classic", "--collapse"], "drop --classic"),
        ([], "There is no checkpoint 'classifier-mnist'"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, options, message):
    code, out = run(gan.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


@pytest.fixture
def small_gan(monkeypatch):
    """The recipe with a small network and ten pictures per snapshot."""
    monkeypatch.setitem(gan.MODEL, "mnist", dict(widths=[8], latent=4))
    monkeypatch.setitem(gan.CLASSIC, "mnist", dict(width=4, latent=4))
    monkeypatch.setitem(gan.COLUMNS, "mnist", 10)


class Killed(BaseException):
    """Stands for a killed process."""


def test_a_killed_and_resumed_gan_has_the_replay_of_an_uninterrupted_one(workdir, classifiers, small_gan, monkeypatch):
    options = ("--steps", "24", "--batch", "16")
    assert run(gan.app, workdir, *options)[0] == 0
    whole = gm.gan.load_replay("gan-mnist")

    def kill(tensors, file, save=gan_replay.save_file):
        if file.stem == "0000014":
            file.write_bytes(b"half of it")
            raise Killed
        save(tensors, file)

    with monkeypatch.context() as patch:
        patch.setattr(gan_replay, "save_file", kill)
        with pytest.raises(Killed):
            run(gan.app, workdir, *options, "--save-every", "0", "--fresh")
    code, out = run(gan.app, workdir, *options)
    assert code == 0 and "Resuming from step 13 of 24" in out
    loaded = gm.gan.load_replay("gan-mnist")
    assert (loaded.pictures.float() - whole.pictures.float()).abs().mean() < 1  # of 255
    assert loaded.edges == pytest.approx(whole.edges, abs=2e-3)
    for shares, expected in ((loaded.real, whole.real), (loaded.generated, whole.generated)):
        assert close(torch.tensor(shares), torch.tensor(expected), atol=0.07)  # two of the scores may be in the next bin
    for network, lines in whole.losses.items():
        assert close(torch.tensor(loaded.losses[network]), torch.tensor(lines), rtol=1e-3)

    assert loaded.steps == [step for step in range(25) if engine.is_snapshot_step(step, 24)]
    assert loaded.pictures.shape == (len(loaded.steps), 10, 1, 28, 28)
    assert len(loaded.edges) == 25 and loaded.edges == sorted(loaded.edges)
    for shares in (loaded.real, loaded.generated):
        assert [sum(share) for share in shares] == pytest.approx([1] * len(loaded.steps), abs=2e-3)
    for i, step in enumerate(loaded.steps):
        scores = load_file(workdir / "runs" / "gan-mnist" / "moments" / f"{step:07d}.safetensors")
        for kind in ("real", "generated"):
            lower = (scores[kind] < loaded.edges[12]).float().mean().item()
            assert sum(getattr(loaded, kind)[i][:12]) == pytest.approx(lower, abs=0.02), (step, kind)
    for network, lines in loaded.losses.items():
        log = (workdir / "checkpoints" / "gan-mnist" / "log.jsonl").read_text(encoding="utf-8").splitlines()
        assert [step for step, _ in lines] == list(range(1, 25))
        assert [loss for _, loss in lines] == [json.loads(line)[f"{network}_loss/loss"] for line in log if '"rate"' in line]
    assert set(loaded.losses) == {"discriminator", "generator"}


@pytest.mark.parametrize("classic", [False, True])
def test_each_snapshot_has_the_same_noise_and_labels(workdir, classifiers, small_gan, classic):
    settings = engine.Settings(runs=workdir / "runs", data_dir=data.SAMPLES)
    recipe, scored = gan.recipe(settings, classic=classic), data.load("mnist", "val", data.SAMPLES)
    model = recipe.model.eval()
    for step in (0, 7):
        recipe.snapshot(model, step)
        torch.rand(1)
    snapshots = [load_file(f) for f in sorted((settings.runs / recipe.name / "moments").iterdir())]
    assert close_greys(snapshots[0]["pictures"], snapshots[1]["pictures"])
    assert all(close(snapshots[0][k], snapshots[1][k]) for k in ("real", "generated"))
    pictures, scores = snapshots[0]["pictures"], snapshots[0]["real"]
    assert close_greys(pictures, (255 * model.sample(10, label=torch.arange(10), seed=0)).round().byte())
    assert close(scores, model.score(scored.floats(), scored.y)) and snapshots[0]["generated"].shape == scores.shape


@pytest.mark.parametrize("collapse, first, last", [(False, 0.1, 0.01), (True, 0.0, 0.0)])
def test_penalties_of_the_gan_fall_tenfold(collapse, first, last):
    recipe = gan.recipe(engine.Settings(data_dir=data.SAMPLES), "mnist", collapse=collapse)
    for share, gamma in ((0.0, first), (1.0, last)):
        recipe.anneal(recipe.model, share)
        assert recipe.model.gamma == pytest.approx(gamma)
    rates = {config.part: config.lr for config in recipe.optimizers}
    assert rates["generator"] == (20 if collapse else 1) * rates["discriminator"]


def test_penalties_follow_from_the_share_of_the_run_alone():
    """Not from how many steps were taken: they fall by the same factor in a run of five steps and of a hundred."""
    for steps in (5, 100):
        recipe = gan.recipe(engine.Settings(data_dir=data.SAMPLES), "mnist")
        gammas = []
        for step in range(steps):
            recipe.anneal(recipe.model, step / steps)
            gammas.append(recipe.model.gamma)
        assert gammas == pytest.approx([gammas[0] * 0.1 ** (step / steps) for step in range(steps)])


def test_numbers_of_a_gan_are_compared_with_those_of_a_dcgan(root):
    _, dcgan_card = measured(root, "dcgan-mnist")
    values, card = measured(root, "gan-mnist")
    train, test, model, classifier = (
        data.load("mnist", "train"),
        data.load("mnist", "test"),
        gm.load("gan-mnist"),
        gm.load("classifier-mnist"),
    )
    y = torch.arange(160) % 10
    x = (model.sample(160, label=y, seed=0) * 255).round().to(torch.uint8)
    assert values["share"] == pytest.approx((classifier.predict(x.float() / 255)[:, 0] == y).double().mean().item(), abs=1e-5)
    shares = []
    for c in range(10):
        real, floor, fake = (
            metrics.features(classifier, pictures[labels == c])
            for pictures, labels in ((test.x, test.y), (train.x, train.y), (x, y))
        )
        k = min(map(len, (real, floor, fake)))
        shares.append(metrics.precision_recall(real[:k], fake[:k])[1] / metrics.precision_recall(real[:k], floor[:k])[1])
    assert values["ratio"] == pytest.approx(min(shares), abs=1e-5)
    numbers = {r.metric_name: cards.format_value(r) for r in dcgan_card.data.eval_results}
    for r in card.data.eval_results:
        if r.metric_type not in ("cas_sd", "fid_then"):
            assert r.metric_args["beside"].endswith(f"minutes): {numbers[r.metric_name]}"), r
    # Both took 1.5 minutes for 10 steps; the DCGAN was last validated at step 6, when the FID of the GAN was not yet 5.
    result = card.data.eval_results[-1]
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("fid_then", 9.0, "val")
    assert "the first 0.9 minutes" in result.metric_name and result.metric_args["beside"].endswith("in the same time: 14")
