"""Synthetic training pictures from a VAE, and what they gain."""

import json

import pytest
import torch
import typer
from scipy.stats import ttest_ind
from typer.testing import CliRunner

from genmodels import data
from tests import tiny
from tests.compare import close
from train import augmentation

APP = typer.Typer()
APP.command()(augmentation.main)


def digits(n, seed=0):
    """n pictures (1, 4, 4), all different, with classes in turn."""
    g = torch.Generator().manual_seed(seed)
    return data.Pictures(torch.randint(256, (n, 1, 4, 4), dtype=torch.uint8, generator=g), torch.arange(n) % 10)


def test_the_real_pictures_are_as_many_of_each_class_at_random():
    pictures = digits(400)
    subset = augmentation.balanced_subset(pictures, 6)
    assert subset.y.bincount().tolist() == [6] * 10
    rows = {tuple(x.flatten().tolist()): int(c) for x, c in zip(pictures.x, pictures.y)}
    assert all(rows[tuple(x.flatten().tolist())] == c for x, c in zip(subset.x, subset.y))
    assert len(subset.x.flatten(1).unique(dim=0)) == 60
    again, other = augmentation.balanced_subset(pictures, 6), augmentation.balanced_subset(pictures, 6, seed=1)
    assert torch.equal(subset.x, again.x) and not torch.equal(subset.x, other.x)
    first = torch.cat([pictures.x[pictures.y == c][:6] for c in range(10)])
    assert not torch.equal(subset.x, first)


class LineVAE:
    """Its codes are (class, position) without noise, and it decodes a code to a picture of these two numbers."""

    latent = 2

    def __init__(self, deviation=0.0):
        self.deviation = deviation

    def encode(self, x):
        mean = x[:, 0, 0, :2].clone()
        return torch.distributions.Normal(mean, torch.full_like(mean, self.deviation + 1e-12))

    def decode(self, z):
        return z.view(-1, 1, 1, 2).clamp(0, 1)


def test_synthetic_pictures_lie_between_two_pictures_of_their_class():
    x = torch.zeros(40, 1, 1, 2, dtype=torch.uint8)
    y = torch.arange(40) % 10
    x[:, 0, 0, 0] = 20 * y
    x[:, 0, 0, 1] = torch.arange(40) // 10 * 40 + 50  # each class from 50 to 170
    synthetic = augmentation.synthesise(LineVAE(), data.Pictures(x, y), 300)
    assert synthetic.x.dtype == torch.uint8 and len(synthetic) == 3000
    assert synthetic.y.bincount().tolist() == [300] * 10
    assert torch.equal(synthetic.x[:, 0, 0, 0].long(), 20 * synthetic.y)  # never between two classes
    position = synthetic.x[:, 0, 0, 1]
    assert position.min() == 50 and position.max() == 170 and len(position.unique()) > 60
    other = augmentation.synthesise(LineVAE(), data.Pictures(x, y), 300, seed=1)
    assert not torch.equal(synthetic.x, other.x)
    noisy = augmentation.synthesise(LineVAE(0.1), data.Pictures(x, y), 300)
    spread = (noisy.x[:, 0, 0, 0].float() - 20 * noisy.y).view(10, 300)[3:7].std() / 255
    assert 0.06 < spread < 0.1  # of the mean of two codes with a deviation of 0.1, by a random weight


def test_accuracy_is_the_share_of_correct_pictures_of_all_batches():
    judge = type("Judge", (), {"predict": lambda self, x: (255 * x[:, 0, 0, :1]).round().long()})()
    x = torch.zeros(1200, 1, 1, 1, dtype=torch.uint8)
    x[900:] = 1
    assert augmentation.accuracy(judge, data.Pictures(x, torch.zeros(1200, dtype=torch.long))) == 0.75
    assert augmentation.accuracy(judge, data.Pictures(x, x[:, 0, 0, 0].long())) == 1


def test_the_last_weights_are_taken(tmp_path):
    """A selection would need validation pictures, which 500 pictures leave no room for."""
    torch.manual_seed(0)
    pictures = data.samples("mnist")
    model = tiny.make("classifier", classes=[10])
    before = [p.detach().clone() for p in model.parameters()]
    trained = augmentation.train(model, pictures[:64], 12, 0, tmp_path, 2e-3)
    assert type(trained) is type(model) and not trained.training
    assert not any(close(a, b) for a, b in zip(before, trained.parameters()) if a.ndim > 1)
    lines = (tmp_path / "out" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    run = json.loads(lines[0])["run"]
    assert (run["steps"], run["published_step"], run["pictures"]) == (12, 12, 64)
    assert run["optimizers"][0]["lr"] == 2e-3
    again = augmentation.train(tiny.make("classifier", classes=[10]), pictures[:64], 2, 1, tmp_path, 2e-3)
    assert json.loads((tmp_path / "out" / "log.jsonl").read_text(encoding="utf-8").splitlines()[0])["run"]["seed"] == 1
    assert again is not trained


def test_the_p_value_is_of_welchs_test():
    scores = {"real_only": {"each": [0.92, 0.93, 0.94]}, "with_synthetic": {"each": [0.951, 0.953, 0.955]}}
    p = ttest_ind([0.92, 0.93, 0.94], [0.951, 0.953, 0.955], equal_var=False).pvalue
    assert augmentation.significance(scores) == pytest.approx(p)


def test_both_classifiers_differ_in_their_pictures_alone(workdir, monkeypatch):
    """Five seeds of nothing but bookkeeping: the trainings are replaced."""
    trained, tested = [], []

    def train(model, pictures, steps, seed, folder, lr):
        weights = torch.cat([p.detach().flatten() for p in model.parameters()])
        trained.append((type(model).__name__, pictures, steps, seed, weights))
        return len(trained)

    def accuracy(model, test):
        tested.append((model, test))
        return 0.9 + model / 100

    def synthesise(vae, pictures, per_class, seed=0):
        assert vae == 1
        return data.Pictures(torch.zeros(100, 1, 28, 28, dtype=torch.uint8), torch.arange(100) % 10)

    monkeypatch.setattr(augmentation, "train", train)
    monkeypatch.setattr(augmentation, "accuracy", accuracy)
    monkeypatch.setattr(augmentation, "synthesise", synthesise)
    monkeypatch.setattr(augmentation, "REAL", 5)
    (workdir / "checkpoints" / "vae-mnist").mkdir(parents=True)
    (workdir / "checkpoints" / "vae-mnist" / "config.json").write_text("{}", encoding="utf-8")
    options = ["--data-dir", str(data.SAMPLES), "--vae-steps", "7", "--steps", "9"]
    done = CliRunner().invoke(APP, options)
    assert done.exit_code == 0, done.output

    (vae, of_vae, steps, seed, _), *classifiers = trained
    real = augmentation.balanced_subset(data.load("mnist", "train", data.SAMPLES), 5)
    assert (vae, steps, seed) == ("VAE", 7, 0) and torch.equal(of_vae.x, real.x)
    assert [(kind, steps, seed) for kind, _, steps, seed, _ in classifiers] == [("Classifier", 9, s) for s in (0, 1, 2)] * 2
    for _, pictures, *_ in classifiers[:3]:
        assert torch.equal(pictures.x, real.x) and torch.equal(pictures.y, real.y)
    for _, pictures, *_ in classifiers[3:]:  # half of a batch is real
        assert len(pictures) == 2 * 100 and torch.equal(pictures.x[:50], real.x) and not pictures.x[100:].any()
        assert torch.equal(pictures.y[:50], real.y) and torch.equal(pictures.y[100:], torch.arange(100) % 10)
    for (*_, a), (*_, b) in zip(classifiers[:3], classifiers[3:]):
        assert torch.equal(a, b)  # the same initial weights for the same seed
    assert not torch.equal(classifiers[0][-1], classifiers[1][-1])
    test = data.load("mnist", "test", data.SAMPLES)
    assert len(tested) == 6 and all(torch.equal(pictures.x, test.x) for _, pictures in tested)

    written = json.loads((workdir / "checkpoints" / "vae-mnist" / "augmentation.json").read_text(encoding="utf-8"))
    assert written["real_only"]["each"] == pytest.approx([0.92, 0.93, 0.94])
    assert written["with_synthetic"]["each"] == pytest.approx([0.95, 0.96, 0.97])
    assert written["real_only"]["mean"] == pytest.approx(0.93) and written["real_only"]["sd"] == pytest.approx(0.01)
    assert (written["real"], written["synthetic"], written["test"], written["steps"]) == (50, 100, 66, 9)
    assert written["p"] == pytest.approx(augmentation.significance(written))
    assert written["command"] == "python -m train.augmentation --dataset mnist --vae-steps 7 --steps 9"


@pytest.mark.parametrize("options", [["--dataset", "avatars"], ["--steps", "0"], ["--vae-steps", "0"]])
def test_bad_options_are_refused_in_one_sentence(workdir, options):
    done = CliRunner().invoke(APP, options)
    assert done.exit_code == 1 and "Error: " in done.output and "Traceback" not in done.output
