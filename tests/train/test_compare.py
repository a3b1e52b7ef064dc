"""The command line `python -m train.compare`."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import genmodels as gm
from genmodels import data, gan, metrics
from tests.compare import close, close_greys
from tests.helpers_train import write_empty
from train import compare


def run(*arguments):
    return CliRunner().invoke(compare.app, list(map(str, arguments)))


def test_a_checkpoint_is_measured_with_the_defaults_of_sample(root, monkeypatch):
    monkeypatch.setattr(gan, "PROJECTION_STEPS", 3)  # of the paths
    write_empty(root / "gan-mnist", "a headline")
    done = run("gan-mnist", "--generated", 20)
    assert done.exit_code == 0, done.output
    numbers = json.loads((root / "gan-mnist" / "comparison.json").read_text(encoding="utf-8"))
    model, classifier = gm.load("gan-mnist"), gm.load("classifier-mnist")
    real, train = data.load("mnist", "test"), data.load("mnist", "train")
    x = (255 * model.sample(20, label=torch.arange(20) % 10, seed=0)).round().byte()
    fake, features = metrics.features(classifier, x), metrics.features(classifier, real.x)
    assert numbers["fid"] == pytest.approx(metrics.fid(fake, features), rel=1e-3)
    assert numbers["floor"] == pytest.approx(metrics.fid(metrics.features(classifier, train.x[:20]), features), rel=1e-3)
    assert numbers["recall"] == pytest.approx(metrics.precision_recall(features[:20], fake, k=3)[1])
    assert numbers["sharpness"] == pytest.approx((compare.sharpness(x) / compare.sharpness(real.x)).item(), rel=1e-3)
    assert (numbers["n"], numbers["calls"], numbers["seed"]) == (20, 1, 0) and numbers["seconds_per_sample"] > 0
    assert 0 <= numbers["copies"] <= 1 and numbers["path"] >= 1
    assert numbers["command"] == "python -m train.compare gan-mnist"
    distances = ((x[:, None].float() - train.x.float()) / 255).square().mean((2, 3, 4)).sqrt().amin(1)
    of_test = ((real.x[:, None].float() - train.x.float()) / 255).square().mean((2, 3, 4)).sqrt().amin(1)
    assert numbers["copies_limit"] == pytest.approx(of_test.quantile(0.01).item(), rel=1e-3)
    assert numbers["copies"] == (distances < of_test.quantile(0.01)).double().mean() and numbers["copies_n"] == 20
    card = (root / "gan-mnist" / "README.md").read_text(encoding="utf-8")
    assert f"| {numbers['copies']:.2%} | test | 20 | 0 | test pictures: 1 %; measured by `{numbers['command']}` |" in card


def pictures_of(file):
    """(n, 28, 28) floats of the pictures in a row."""
    return torch.from_numpy(np.array(Image.open(file).convert("L"))).float().view(28, -1, 28).movedim(1, 0) / 255


def test_the_stored_pictures_are_samples_and_the_training_pictures_nearest_to_them(root):
    assert run("flow-mnist", "--only", "strips").exit_code == 0
    samples, nearest = (pictures_of(root / "flow-mnist" / file) for file in ("comparison.png", "nearest.png"))
    assert close_greys(samples, gm.load("flow-mnist").sample(8, seed=0)[:, 0])
    train = data.load("mnist", "train").floats()[:, 0]
    distances = (samples[:, None] - train).square().mean((2, 3)).sqrt()
    shown = [next(i for i, picture in enumerate(train) if close_greys(picture, x)) for x in nearest]
    assert close(distances[range(8), shown], distances.amin(1), atol=1e-3)  # of equally near ones either may be shown
    numbers = json.loads((root / "flow-mnist" / "comparison.json").read_text(encoding="utf-8"))
    assert numbers["nearest"] == pytest.approx(distances.amin(1).tolist(), abs=1e-3)


def test_what_a_sample_costs_is_measured_alone(root):
    (root / "vae-mnist" / "comparison.json").write_text('{"fid": 3, "n": 7}', encoding="utf-8")
    assert run("vae-mnist", "--only", "costs").exit_code == 0
    numbers = json.loads((root / "vae-mnist" / "comparison.json").read_text(encoding="utf-8"))
    assert (numbers["fid"], numbers["n"], numbers["calls"]) == (3, 7, 1) and "precision" not in numbers
    readme = root / "README.md"
    readme.write_text("<!-- comparison:begin -->\n<!-- comparison:end -->\n", encoding="utf-8")
    printed = run("--table", "--readme", readme).output.strip()
    assert "| [`vae-mnist`](checkpoints/vae-mnist/README.md) | 7 | 3 |" in printed
    assert printed in readme.read_text(encoding="utf-8")


def test_sharpness_and_copies_are_what_they_say():
    x = torch.zeros(1, 1, 4, 4)
    x[..., ::2] = 8
    assert compare.sharpness(x) == 4  # between rows nothing changes, between columns all


def test_copies_are_samples_nearer_to_a_training_picture_than_test_pictures_are(monkeypatch):
    train, real = torch.randint(256, (2, 60, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    splits = {name: data.Pictures(x, torch.arange(60) % 10) for name, x in (("train", train), ("test", real))}
    evaluation = SimpleNamespace(
        name="vae-mnist",
        dataset="mnist",
        generated=40,
        seed=0,
        split="test",
        data=splits["test"],
        load=splits.get,
        cached=lambda name, compute: compute(),
    )
    monkeypatch.setattr(compare, "generate", lambda evaluation, n: torch.cat([train[:10], real[:30] // 2]))
    numbers = compare.pixels(evaluation)
    assert numbers["sharpness"] == pytest.approx((10 + 30 / 2) / 40, rel=0.02)
    monkeypatch.setattr(compare, "generate", lambda evaluation, n: torch.cat([train[:10], real[:30]]))
    assert 0.25 <= compare.pixels(evaluation)["copies"] < 0.3  # a quarter, and the nearest of the test pictures


def test_each_data_set_has_its_own_limit_of_copies(monkeypatch):
    stored = {}

    def cached(name, compute):
        if name not in stored:
            stored[name] = compute()
        return stored[name]

    monkeypatch.setattr(compare, "generate", lambda evaluation, n: evaluation.data.x)
    limits = []
    for dataset, distance in (("mnist", 10), ("fashion", 30)):
        train = data.Pictures(torch.full((5, 1, 8, 8), 100, dtype=torch.uint8), torch.zeros(5))
        evaluation = SimpleNamespace(
            dataset=dataset,
            split="test",
            generated=5,
            data=data.Pictures(train.x + distance + torch.arange(8, dtype=torch.uint8) % 2, train.y),
            load=lambda split, train=train: train,
            cached=cached,
        )
        limits.append(compare.pixels(evaluation)["copies_limit"])
    assert limits == pytest.approx([10.5 / 255, 30.5 / 255], rel=0.02)


def test_the_seconds_are_those_of_one_sample_in_the_fastest_call(monkeypatch):
    clock, seconds = [0.0], iter([0.8, 0.4, 1.6])

    def sample(n, *, seed):
        clock[0] += next(seconds)

    monkeypatch.setattr(compare.time, "thread_time", lambda: clock[0])
    threads = torch.get_num_threads()
    assert compare.seconds_per_sample(SimpleNamespace(model=SimpleNamespace(sample=sample))) == pytest.approx(0.4 / 8)
    assert torch.get_num_threads() == threads
