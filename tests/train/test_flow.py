"""The flows' recipe and their evaluation."""

import pytest
import torch

import genmodels as gm
from genmodels import data
from tests import tiny
from tests.helpers_train import check_recipe, measured, run, states
from train import flow


@pytest.fixture
def small(monkeypatch):
    """The recipe with a small network: sampling from the full one would take most of a minute."""
    monkeypatch.setattr(flow, "Flow", lambda: tiny.make("flow"))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--dataset", "mnist"], "flow-mnist"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, small, options, name):
    check_recipe(flow.app, options, name, workdir, read_only)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "avatars"], "--dataset must be one of mnist, fashion"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, options, message):
    code, out = run(flow.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


def test_numbers_of_a_flow(root):
    values, card = measured(root, "flow-mnist", "--seed", 3)
    test, model, classifier = data.load("mnist", "test"), gm.load("flow-mnist"), gm.load("classifier-mnist")
    numbers = [r.metric_value for r in card.data.eval_results if r.metric_type == "bits_per_dim"]
    bits, conditional_bits = model.bits_per_dim(test.floats()), model.bits_per_dim(test.floats(), test.y)
    assert numbers == pytest.approx([bits.mean().item(), conditional_bits.mean().item(), bits.mean().item()], rel=1e-4)
    assert states(card.data.eval_results[2].metric_args["beside"], *[bits.mean().item()] * 2, off=[2e-4, 2e-4])
    y = torch.arange(160) % 10
    x = torch.cat([model.sample(160, label=y, seed=3)])
    assert values["share"] == pytest.approx((classifier.predict(x)[:, 0] == y).double().mean().item(), abs=1e-5)
    clothes = data.load("fashion", "test").floats()
    clothes_bits = model.bits_per_dim(clothes)
    wins = (clothes_bits[:, None] > bits[None]).double().mean().item()
    first = next(r for r in card.data.eval_results if r.metric_type == "auroc")
    assert first.metric_name.endswith("mnist against fashion")
    assert first.metric_args["beside"].startswith("AUROC of bits per pixel: ")
    assert states(first.metric_args["beside"], wins, clothes_bits.mean().item(), off=[1e-3, 1e-2])
    facts = gm.typicality.load_likelihoods("flow-mnist")
    distances = facts.typicality.distance(model.layer_log_probs(test.floats()))
    turned = test.floats().transpose(2, 3).flip(2)  # by a quarter, against the clock
    for kind, x in (("inverted", 1 - test.floats()), ("rotated", turned)):
        row = next(r for r in card.data.eval_results if r.metric_name.endswith(f"mnist against {kind}"))
        other = facts.typicality.distance(model.layer_log_probs(x))
        assert row.metric_value == pytest.approx((other[:, None] > distances).double().mean().item(), abs=1e-3), kind
        assert row.metric_args["N"] == len(test)
    nats, val = (model.layer_log_probs(pictures) for pictures in (clothes, data.load("mnist", "val").floats()))
    wins = facts.typicality.distance(nats)[:, None] > facts.typicality.distance(model.layer_log_probs(test.floats()))[None]
    assert first.metric_value == pytest.approx(wins.double().mean().item(), abs=1e-3)
    assert facts.typicality.distance(val).square().mean().item() == pytest.approx(model.layers, rel=0.05)
    assert list(facts.bits) == list(facts.distances) == ["mnist", "fashion", "inverted", "rotated", "noise"]
