"""What the evaluations of single families measure, with models for which the right numbers can be written down."""

import json
import math

import numpy as np
import pytest
import torch

from tests.compare import close
from tests.helpers_measures import Stub, gaussian, pictures
from tests.helpers_train import numbers_in, states
from train import diffusion, flow, gan, measures, pixel_transformer, vae

# --- Likelihoods ------------------------------------------------------------------------------------------------------


def test_auroc_is_the_share_of_pairs_and_ties_count_half():
    assert flow.auroc(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0])) == 1
    assert flow.auroc(torch.tensor([4.0, 5.0]), torch.tensor([1.0, 2.0, 3.0])) == 0
    assert flow.auroc(torch.tensor([1.0, 2.0]), torch.tensor([2.0])) == 0.75
    a, b = torch.randint(9, (50,)).double(), torch.randint(3, 12, (70,)).double()
    expected = ((b[:, None] > a).double() + 0.5 * (b[:, None] == a)).mean().item()
    assert flow.auroc(a, b) == pytest.approx(expected)


def test_the_mixture_of_classes_by_hand(tmp_path):
    """Two classes, two pixels: bits per pixel are -log2 p / 2."""
    log_probs = torch.tensor([[0.5, 0.25], [0.125, 0.25], [0.5, 0.125]]).log()
    test = pictures(torch.zeros(4, 1, 1, 2), torch.tensor([0, 1, 1, 0]))
    evaluation = Stub(tmp_path, {"test": test}, model=type("Model", (), {"context": 2}))
    run = measures.Values(pixel_transformer.mixture_likelihood(evaluation, log_probs))
    mixture, given, accuracy = run
    means = [-math.log2(p) / 2 for p in (0.375, 0.1875, 0.3125)]
    assert mixture.value == pytest.approx(np.mean(means), rel=1e-4)
    assert given.value == pytest.approx((1 + 2 + 3) / 3 / 2, rel=1e-4)
    assert accuracy.value == pytest.approx(2 / 3, abs=1e-5) and accuracy.comparison == "guessing: 50%"
    assert {mixture.n, given.n, accuracy.n} == {3} and "the first 3 pictures" in run.headline


def test_likelihoods_of_each_class(tmp_path):
    class Model:
        tokenizer = type("Tokenizer", (), {"classes": 3})

        def log_prob(self, x, c):
            return x.flatten(1).sum(1) + 10 * c

    rows = pixel_transformer.class_log_probs(Model(), pictures(torch.arange(5).view(5, 1, 1, 1) * 255), batch=2)
    assert torch.tensor(rows).allclose(torch.arange(5.0)[:, None] + torch.tensor([0.0, 10, 20]))


class LinearVAE:
    """ELBO and likelihood are sums of the pixels; of three code dimensions one is used, one hardly, one not at all."""

    latent, beta = 3, 1.0

    def __init__(self, likelihood):
        self.likelihood_name, self.inputs = likelihood, []

    def binarise(self, x, seed):
        return (x > torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))).float()

    def prior(self):
        return torch.distributions.Normal(torch.zeros(3), torch.ones(3))

    def encode(self, x):
        return torch.distributions.Normal(torch.tensor([0.0, 0.1, 2.0]).expand(len(x), 3), torch.ones(len(x), 3))

    def elbo(self, x, seed):
        self.inputs.append(x)
        return -x.flatten(1).sum(1), torch.full((len(x),), 2.0)

    def log_prob(self, x, samples, seed):
        return -x.flatten(1).sum(1) - samples


def grey_pictures(n=30):
    g = torch.Generator().manual_seed(0)
    return pictures(torch.randint(256, (n, 1, 4, 4), generator=g, dtype=torch.uint8))


def test_likelihoods_of_a_vae_of_grey_levels(tmp_path):
    test, model = grey_pictures(), LinearVAE("gaussian")
    run = measures.Values(vae.likelihood(Stub(tmp_path, {"test": test}, model=model), 5))
    elbo, kl, active, bits = run
    mean = test.floats().flatten(1).sum(1).mean().item()
    assert elbo.value == pytest.approx(-mean - 2, rel=1e-4) and (kl.value, str(kl)) == (2, "2")
    assert (active.value, active.comparison) == (1, "of 3") and run.headline == "KL 2 nats"
    plain, dequantized = model.inputs
    assert close(plain, test.floats())
    noise = dequantized * 256 - test.x  # uniform between the grey level and the next
    assert -1e-3 < noise.min() < 0.05 and 0.95 < noise.max() < 1.001 and noise.mean().item() == pytest.approx(0.5, abs=0.05)
    expected = (dequantized.flatten(1).sum(1).mean().item() + 2) / (16 * math.log(2)) + 8
    assert bits.value == pytest.approx(expected, rel=1e-4)


def test_likelihoods_of_a_vae_of_binary_pixels(tmp_path):
    test, model = grey_pictures(), LinearVAE("bernoulli")
    evaluation = Stub(tmp_path, {"test": test}, model=model, seed=7)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    run = measures.Values(vae.likelihood(evaluation, 5))
    elbo, kl, active, nll, bits = run
    white = model.binarise(test.floats(), 7).flatten(1).sum(1).mean().item()
    assert elbo.value == pytest.approx(-white - 2, rel=1e-4) and active.value == 1 and kl.value == 2
    assert nll.value == pytest.approx(white + 5, rel=1e-4) and "5 importance samples" in nll.label
    assert bits.value == pytest.approx((white + 5) / (16 * math.log(2)), rel=1e-4)
    assert run.headline == f"NLL {nll} nats (5 importance samples)" and "seed 7" in nll.comparison


# --- Function evaluations ---------------------------------------------------------------------------------------------


def shift_of(sampler, calls):
    """The invented error of a sampler."""
    return {"ddpm": 8.0, "ddim": 4.0, "dpm": 2.0, "heun": 3.0}[sampler] / calls + 0.01


def test_function_evaluations_are_counted_not_steps(tmp_path):
    class Curve(Stub):
        def generate(self, y, *, sampler, steps, guidance):
            assert guidance == 1 and len(y) == diffusion.CURVE_PICTURES == 1000
            calls = 2 * steps - 1 if sampler == "heun" else steps
            return gaussian(1000, mean=shift_of(sampler, calls), seed=5)

    splits = {"test": pictures(gaussian(1000, seed=1)), "train": pictures(gaussian(1000, mean=0.005, seed=2))}
    evaluation = Curve(tmp_path, splits)
    (ratio,) = diffusion.fid_by_function_evaluations(evaluation)
    table = json.loads((tmp_path / "calls.json").read_text(encoding="utf-8"))
    for row in table["rows"]:
        assert row["fid"] == pytest.approx(4 * shift_of(row["sampler"], row["calls"]) ** 2, rel=1e-2)
    calls = {s: [r["calls"] for r in table["rows"] if r["sampler"] == s] for s in ("ddpm", "ddim", "dpm", "heun")}
    assert calls["ddim"] == calls["dpm"] == [1, 2, 4, 8, 16, 32, 64] and calls["ddpm"] == [*calls["dpm"], 250]
    assert calls["heun"] == [1, 3, 7, 15, 31, 63]
    floor, best, best_of_16 = 4 * 0.005**2, 4 * shift_of("dpm", 64) ** 2, 4 * shift_of("dpm", 16) ** 2
    assert table["floor"]["fid"] == pytest.approx(floor, rel=0.02) and table["best"] == pytest.approx(best, rel=0.02)
    assert ratio.value == pytest.approx((best_of_16 - floor) / (best - floor), rel=0.02)
    assert states(ratio.comparison, best_of_16, off=[2e-3]) and (table["n"], table["split"]) == (1000, "test")


@pytest.mark.parametrize("sampler, steps, calls", [("ddpm", 3, 3), ("ddim", 3, 3), ("dpm", 3, 3), ("heun", 3, 5)])
def test_the_networks_calls_are_as_many_as_the_table_says(root, sampler, steps, calls):
    model, counted = measures.Evaluation("diffusion-mnist").model, []
    network = next(module for module in model.children() if type(module).__name__ == "UNet")
    network.register_forward_hook(lambda *a: counted.append(1))
    model.sample(2, label=3, sampler=sampler, steps=steps, seed=0)
    assert len(counted) == calls


# --- Recall within classes, and after the same time -------------------------------------------------------------------


def test_recall_of_a_generator_that_repeats_one_picture_of_a_class(tmp_path):
    """Class 3 has one picture again and again: its recall within the class is nearly 0, that of the others near 1."""

    def classes(seed, n=40):
        x = torch.cat([gaussian(n, seed=seed + c, deviation=0.1) + 5 * c for c in range(10)])
        return pictures(x, torch.arange(10).repeat_interleave(n))

    fake = classes(200)
    fake.x[fake.y == 3] = 15.0 + 1e-4 * torch.randn(40, 1, 1, 4)
    evaluation = Stub(tmp_path, {"test": classes(0), "train": classes(100)})
    (value,) = gan.recall_within_classes(evaluation, fake.x, fake.y)
    assert value.value < 0.1 and value.n == 40 and value.comparison.startswith("class 3: ")
    mean = float(value.comparison.rsplit(": ", 1)[1])
    assert 0.8 < mean < 1.0  # nine classes are whole
    lowest, ceiling = numbers_in(value.comparison.split(";")[0])[1:]
    assert value.value == pytest.approx(lowest / ceiling, abs=0.01) and ceiling > 80


def test_the_curve_is_that_of_the_last_run_in_minutes(tmp_path):
    lines = [
        {"run": {"steps": 10, "minutes": 1.0}},
        {"step": 5, "validation": {"fid": 1.0}},
        {"run": {"steps": 20, "minutes": 40.0}},
        {"step": 3, "loss": 1.0},
        {"step": 10, "validation": {"fid": 9.0, "recall": 0.1}},
        {"step": 20, "validation": {"fid": 8.0, "recall": 0.2}},
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert gan.validation_curve(tmp_path) == [(20.0, 9.0), (40.0, 8.0)]
