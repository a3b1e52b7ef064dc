"""All families on one request."""

import json
import math
import shutil

import pytest
import torch

import genmodels as gm
from genmodels import comparison, data, gan
from genmodels.base import PIXELS
from tests import noise, tiny
from tests.compare import close

PICTURES = ("vae-mnist", "gan-mnist", "flow-mnist", "diffusion-mnist", "transformer-mnist", "vae-avatars", "gan-avatars")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with tiny checkpoints of pictures."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    for name in PICTURES:
        save(tmp_path / name, tiny.CHECKPOINTS[name]())
    return tmp_path


def save(folder, model):
    torch.manual_seed(0)
    folder.mkdir(exist_ok=True)
    model.eval()._save_pretrained(folder)


def remove(root, *names):
    """Checkpoints that take long and are not needed."""
    for name in names:
        shutil.rmtree(root / name)


def rows(*args, **options):
    return {row.family: row for row in gm.compare(*args, **options)}


def test_every_family_answers_and_those_with_few_network_calls_first(root):
    found = rows("mnist", 3, n=2, seed=5)
    assert set(found) == {"vae", "gan", "flow", "diffusion", "transformer"}
    assert [row.problem for row in found.values()] == [""] * 5
    calls = [row.sampling_calls for row in found.values()]
    assert calls == sorted(calls) and found["transformer"].sampling_calls == 28**2 and found["diffusion"].sampling_calls == 16
    for name, row in found.items():
        model = gm.load(f"{name}-mnist")
        assert row.x.shape == (2, 1, 28, 28) and row.seconds_per_sample > 0
        assert row.parameters == sum(p.numel() for p in model.parameters())
        if name != "vae":
            assert close(row.x, model.sample(2, label=3, seed=5)) and not row.note


def test_likelihoods_say_what_they_are_of(root):
    for name in ("flow-mnist", "transformer-mnist"):  # as they are made, the label changes nothing
        model = tiny.CHECKPOINTS[name]()
        with torch.no_grad():
            for weights in model.parameters():
                weights += 0.3 * torch.randn(weights.shape, generator=torch.Generator().manual_seed(weights.numel()))
        save(root / name, model)
    found = rows("mnist", 3, n=2)
    kinds = {name: row.likelihood.kind for name, row in found.items()}
    assert kinds == {"vae": "lower bound", "gan": "none", "flow": "exact", "diffusion": "none", "transformer": "exact"}
    for name in ("flow", "transformer"):
        x = (255 * found[name].x).round() / 255
        assert (
            close(found[name].likelihood.log_prob, gm.load(f"{name}-mnist").log_prob(x, 3))
            and found[name].likelihood.subject == PIXELS
        )
        assert not close(found[name].likelihood.log_prob, gm.load(f"{name}-mnist").log_prob(x, 4))
    assert "binarised" in found["vae"].likelihood.subject
    assert found["gan"].likelihood.log_prob is None and "no probability" in found["gan"].likelihood.subject
    assert found["diffusion"].likelihood.log_prob is None and "not computed" in found["diffusion"].likelihood.subject


def test_a_bound_of_8_bit_pixels_is_that_of_their_continuous_values():
    """Of all 256 levels of a pixel the probabilities cannot sum to more than 1."""
    torch.manual_seed(0)
    model = tiny.make("vae", channels=1, size=4, levels=1, latent=2, likelihood="gaussian").eval()
    base = torch.full((1, 1, 4, 4), 100 / 255)
    x = base.repeat(256, 1, 1, 1)
    x[:, 0, 0, 0] = torch.arange(256) / 255
    bound = model.pixel_likelihood(x)
    assert bound.kind == "lower bound" and bound.subject == PIXELS
    rest = model.pixel_likelihood(base).log_prob
    assert bound.log_prob.max() < 0 and bound.log_prob[100].item() == pytest.approx(rest.item(), abs=2)
    noisy = ((255 * base).round() + torch.rand(base.shape, generator=torch.Generator().manual_seed(0))) / 256
    log_px, kl = model.elbo(noisy)
    assert close(rest, log_px - kl - 16 * math.log(256))


def test_a_model_without_labels_samples_where_the_pictures_with_the_label_lie(root):
    remove(root, "flow-mnist", "diffusion-mnist", "transformer-mnist")
    row, model = rows("mnist", "7", n=64, seed=1)["vae"], gm.load("vae-mnist")
    assert "20 test pictures" in row.note
    samples = data.samples("mnist")
    codes = model.encode(samples[samples.y == 7].floats()).mean
    z = codes.mean(0) + codes.std(0) * torch.stack(
        [torch.randn(3, generator=g) for g in [torch.Generator().manual_seed(1)] for _ in range(64)]
    )
    assert close(row.x, model.decode(z))
    assert not rows("mnist", None, n=2)["vae"].note


def test_attributes_that_are_asked_for_are_kept_and_the_others_vary(root):
    wanted = comparison.random_attributes([{"smiling": 0, "glasses": 2}.get(name, -1) for name in data.ATTRIBUTES], 20, seed=0)
    names = list(data.ATTRIBUTES)
    assert (wanted[:, names.index("smiling")] == 0).all() and (wanted[:, names.index("glasses")] == 2).all()
    assert (wanted[:, names.index("glasses_color")] > 0).all()  # glasses have a colour
    assert len(wanted[:, names.index("skin")].unique()) > 1
    values = [len(values) for values in data.ATTRIBUTES.values()]
    save(root / "vae-avatars", tiny.make("vae", channels=3, size=64, likelihood="gaussian", values=values))
    row, label = rows("avatars", "smiling=yes", n=2, seed=4)["vae"], [1] + [-1] * 15
    assert not row.note
    expected = gm.load("vae-avatars").sample(2, label=comparison.random_attributes(label, 2, seed=4), seed=4)
    assert close(row.x, expected)
    assert close(rows("avatars", None, n=2, seed=4)["vae"].x, gm.load("vae-avatars").sample(2, seed=4))
    skins = rows("avatars", f"skin={data.ATTRIBUTES['skin'][0]}, smiling=yes", n=2)["gan"]
    assert skins.note == "It does not know skin." and skins.x is not None


def test_a_family_that_lacks_a_checkpoint_or_breaks_does_not_spoil_the_others(root):
    remove(root, "transformer-mnist")
    (root / "gan-mnist" / "model.safetensors").write_bytes(b"cut")
    found = rows("mnist", 3, n=2)
    assert "truncated" in found["gan"].problem and found["gan"].x is None and "\n" not in found["gan"].problem
    assert found["flow"].x is not None and list(found)[-1] == "gan"
    faces = rows("avatars", None, n=2)
    assert "no checkpoint flow-avatars" in faces["flow"].problem and faces["gan"].x is not None


def test_a_new_family_takes_part_without_a_line_here(root, monkeypatch):
    remove(root, "transformer-mnist")
    noise.register(monkeypatch, root)
    assert json.loads((root / "noise-mnist" / "config.json").read_text(encoding="utf-8"))["family"] == "noise"
    row = rows("mnist", None, n=3, seed=2)["noise"]
    assert row.x.shape == (3, 1, 28, 28) and row.parameters == 1 and row.likelihood.kind == "exact"
    assert "no labels" in rows("mnist", 3)["noise"].problem


def test_samples_are_yielded_on_their_way(root):
    """Of a model that shows its steps each of them; then the finished samples with their time, and the likelihood last."""
    by_family = {}
    for row in comparison.compare_steps("mnist", 3, n=2, seed=5, clock=iter(range(10_000)).__next__):
        by_family.setdefault(row.family, []).append(row)
    finished = rows("mnist", 3, n=2, seed=5)
    assert {name: len(steps) for name, steps in by_family.items() if name in ("vae", "diffusion", "transformer")} == {
        "vae": 1 + 2,
        "diffusion": 16 + 2,
        "transformer": 28 + 2,
    }
    for name, (*steps, timed, last) in by_family.items():
        assert last.finished and not timed.finished and not any(step.finished for step in steps)
        assert close(last.x, finished[name].x) and close(timed.x, last.x) and timed.likelihood is None
        assert last.seconds_per_sample == (len(steps) + 1) / 2 and all(step.seconds_per_sample is None for step in steps)
        assert all(((step.x >= 0) & (step.x <= 1)).all() for step in steps)
    assert not close(by_family["diffusion"][0].x, finished["diffusion"].x)


def test_an_unexpected_error_of_a_family_does_not_spoil_the_others(root, monkeypatch):
    remove(root, "transformer-mnist")
    monkeypatch.setattr(gm.Flow, "pixel_likelihood", lambda *args: {}["bits"])
    found = rows("mnist", 3, n=2)
    assert found["flow"].problem == "KeyError: 'bits'"
    assert [name for name, row in found.items() if row.problem] == ["flow"]


def test_a_model_that_cannot_be_loaded_does_not_spoil_the_order_of_the_others(root, monkeypatch):
    load = gm.load

    def broken(name):
        if name == "gan-mnist":
            raise KeyError("a layer of others")
        return load(name)

    monkeypatch.setattr(gm, "load", broken)
    remove(root, "diffusion-mnist", "transformer-mnist", "vae-avatars", "gan-avatars")
    found = rows("mnist", n=2)
    assert "a layer of others" in found["gan"].problem and not found["vae"].problem and not found["flow"].problem
    assert list(found)[-1] == "gan"


def test_nothing_is_computed_before_it_is_asked_for(root, monkeypatch):
    calls = []
    of_checkpoint = comparison.of_checkpoint
    monkeypatch.setattr(comparison, "of_checkpoint", lambda name, *args: calls.append(name) or of_checkpoint(name, *args))
    steps = gm.compare("mnist", 3, n=2)
    assert calls == []
    next(steps)
    steps.close()
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "cats"}, "dataset must be one of mnist, fashion, avatars, not 'cats'"),
        ({"dataset": "mnist", "label": 10}, "label must be"),
        ({"dataset": "mnist", "label": "ten"}, "label must be one of any, 0"),
        ({"dataset": "avatars", "label": "nose=long"}, "attribute in label must be one of"),
        ({"dataset": "mnist", "n": 65}, "n must be a whole number from 1 to 64"),
        ({"dataset": "mnist", "seed": -1}, "seed must be a whole number from 0"),
    ],
)
def test_bad_requests_are_refused_at_once_in_one_sentence(options, message):
    with pytest.raises(ValueError, match="must be") as e:
        gm.compare(**options)
    assert message in str(e.value) and "\n" not in str(e.value)


# --- One picture, and two ------------------------------------------------------------------------------------------------


def test_each_family_makes_its_own_of_a_picture(root, monkeypatch):
    monkeypatch.setattr(gan, "PROJECTION_STEPS", 3)
    save(root / "flow-mnist", tiny.make("flow"))  # with enough channels to normalize one picture
    x = data.samples("mnist")[5:6].floats()
    by_family = {}
    for row in comparison.rebuild_steps("mnist", x, seed=2):
        by_family.setdefault(row.family, []).append(row)
    found = {name: steps[-1] for name, steps in by_family.items()}
    assert [row.problem for row in found.values()] == [""] * 5 and all(row.way for row in found.values())
    for name, row in found.items():
        model = gm.load(f"{name}-mnist")
        assert row.error == pytest.approx((row.x - x).square().mean().item(), abs=1e-6)
        expected = model.pixel_likelihood(torch.cat([x, x.flip(3)]))
        assert row.likelihood.kind == expected.kind
        assert expected.log_prob is None or close(row.likelihood.log_prob, expected.log_prob)
        assert not any(step.finished for step in by_family[name][:-1])
    assert close(found["vae"].x, gm.load("vae-mnist").reconstruct(x))
    assert torch.equal(found["flow"].x, x) and found["flow"].error == 0
    assert close(found["diffusion"].x, gm.load("diffusion-mnist").edit(x, strength=0.5, seed=2))
    assert torch.equal(found["transformer"].x[:, :, :14], x[:, :, :14]) and found["transformer"].error > 0
    *_, projected = gm.load("gan-mnist").project_steps(x, steps=3, seed=2)
    assert close(found["gan"].x, projected.x)
    assert len(by_family["gan"]) == 4 + 2 and len(by_family["transformer"]) == 14 + 2
    assert [row.name for row in comparison.rebuild("mnist", x)] == comparison.checkpoints("mnist")


def test_a_path_leads_from_one_picture_to_another(root, monkeypatch):
    monkeypatch.setattr(gan, "PROJECTION_STEPS", 3)
    start, end = data.samples("mnist")[3:5].floats().split(1)
    found = {row.family: row for row in comparison.path("mnist", start, end, steps=4)}
    assert all(found[name].x.shape == (4, 1, 28, 28) for name in ("vae", "flow", "gan"))
    assert torch.equal(found["flow"].x[[0, 3]], torch.cat([start, end]))
    assert close(found["vae"].x[[0, 3]], gm.load("vae-mnist").reconstruct(torch.cat([start, end])))
    for name in ("diffusion", "transformer"):
        assert "no code" in found[name].problem and found[name].x is None
    faces = {row.family: row for row in comparison.path("avatars", *data.samples("avatars")[:2].floats().split(1), steps=2)}
    assert faces["vae"].x.shape == (2, 3, 64, 64) and "no checkpoint" in faces["flow"].problem


def test_other_pictures_are_each_familys_problem(root):
    assert all("must be a float tensor" in row.problem for row in comparison.rebuild("mnist", torch.zeros(1, 3, 28, 28)))
    with pytest.raises(ValueError, match="steps must be a whole number from 2 to 64"):
        comparison.path("mnist", torch.zeros(1, 1, 28, 28), torch.zeros(1, 1, 28, 28), steps=1)
