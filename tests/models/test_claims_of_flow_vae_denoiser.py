"""Claims of the page that a retrained checkpoint could make false, about flows, VAEs and denoisers.

Each test names the file whose sentence it holds: if it fails, correct the sentence or the model. Shipped models and sample
pictures; small N, so that the limits are wide.
"""

import json
import re

import pytest
import torch

import genmodels as gm
from genmodels import data, denoiser, flow
from genmodels.base import checkpoint_folder
from train import cards

FLOW, VAE, DENOISER = (f"tabs/{tab}/about.md" for tab in ("flow", "vae", "denoiser"))


def load(name):
    if not (checkpoint_folder(name) / "model.safetensors").is_file():
        pytest.skip(f"{name} is not shipped")
    return gm.load(name)


def card_value(name, start):
    """The number on a card whose name starts like this."""
    return next(r.metric_value for r in cards.read_card(checkpoint_folder(name))[0] if r.metric_name.startswith(start))


def page(file):
    return " ".join((cards.README.parent / file).read_text(encoding="utf-8").split())


def auroc(negatives, positives):
    return (positives[:, None] > negatives[None]).double().mean().item()


# --- flow ---


@pytest.mark.parametrize("dataset", ["mnist", "fashion"])
def test_log_p_rises_with_the_log_determinant(dataset):
    model, x = load(f"flow-{dataset}"), data.samples(dataset).floats()[:40]
    *_, last = model.encode_steps(x, seed=0)
    log_p, log_noise = model.log_prob(x), flow.log_normal(last.h).flatten(1).sum(1)
    correlation = torch.corrcoef(torch.stack([log_p, last.log_det]))[0, 1]
    assert correlation > 0.9, FLOW
    assert log_noise.std() < last.log_det.std() / 3, FLOW


@pytest.mark.parametrize("dataset", ["mnist", "fashion"])
def test_the_networks_of_the_flow_read_grey_levels_only(dataset):
    """Other dequantization noise, other z, the same mixtures: "What this flow really is"."""
    model, x = load(f"flow-{dataset}"), data.samples(dataset).floats()[:2]
    first, second = (next(iter(model.encode_steps(x, seed=seed))).h for seed in (0, 1))
    c = model._condition(None, len(x))
    assert not torch.equal(first, second)
    for coupling in (model.couplings[0], model.couplings[5]):
        assert torch.equal(coupling.predict_mixture(first, c).mean, coupling.predict_mixture(second, c).mean), FLOW


def test_black_pixels_of_clothes_are_cheap_for_the_flow():
    """0.15 bits for a black pixel and 5.7 for another one, about half of them black (also in tabs/vae/about.md)."""
    model, x = load("flow-fashion"), data.samples("fashion").floats()[:40]
    pixels, c, levels = model._dequantize(x.double()), model._condition(None, len(x)), model._levels()
    bits, black = [], []
    with torch.no_grad():
        for coupling in model.couplings:
            level = flow.grey_level(coupling.target(pixels))
            bits.append(-levels.pmf(coupling.predict_mixture(pixels, c), level).log2().flatten())
            black.append((level == 0).flatten())
    bits, black = torch.cat(bits), torch.cat(black)
    assert bits.sum().item() / len(x) / 784 == pytest.approx(model.bits_per_dim(x).mean().item(), rel=1e-6)
    assert bits[black].mean().item() == pytest.approx(0.15, abs=0.02), FLOW
    assert bits[~black].mean().item() == pytest.approx(5.7, abs=0.15), FLOW
    assert 0.45 < black.double().mean() < 0.57, VAE


def test_digits_are_likely_clothes_and_still_atypical():
    model, stats = load("flow-fashion"), gm.typicality.load_likelihoods("flow-fashion")
    clothes, digits = (data.samples(name).floats()[:100] for name in ("fashion", "mnist"))
    own, other = (model.layer_log_probs(x) for x in (clothes, digits))
    bits, other_bits = -own.sum(1), -other.sum(1)
    assert auroc(bits, other_bits) < 0.12, f"{FLOW}: one in twenty pairs"
    (row,) = (r for r in gm.cards.metric_rows("flow-fashion") if r["name"].endswith("fashion against mnist"))
    of_bits = re.match(r"AUROC of bits per pixel: ([\d.]+)", row["args"]["beside"])[1]
    assert f"(AUROC {row['value']:.3f} on the card)" in page(FLOW) and f"for the bits ({of_bits})" in page(FLOW)
    distance, other_distance = stats.typicality.distance(own), stats.typicality.distance(other)
    assert 0.8 < auroc(distance, other_distance) < 0.96, f"{FLOW}: nine of ten pairs"
    on_card = card_value("flow-fashion", "AUROC of typicality: fashion against mnist")
    assert auroc(distance, other_distance) == pytest.approx(on_card, abs=0.06), "the card: measured with another statistic?"
    within_range = sum(stats.share_below("distances", d) <= 0.95 for d in other_distance.tolist()) / len(digits)
    assert 0.35 < within_range < 0.65, f"{FLOW}: about half of the digits stay within the range of 95 % of the clothes"
    assert distance.median().item() == pytest.approx(13**0.5, rel=0.2), f"{FLOW}: 3.6 is usual"


def test_thirteen_passes_one_per_layer():
    assert load("flow-mnist").layers == load("flow-fashion").layers == 13, FLOW


@pytest.mark.parametrize("dataset", ["mnist", "fashion"])
def test_a_blank_picture_is_the_most_likely_and_far_from_typical(dataset):
    model, stats = load(f"flow-{dataset}"), gm.typicality.load_likelihoods(f"flow-{dataset}")
    nats = model.layer_log_probs(torch.zeros(1, 1, 28, 28))
    assert nats.sum() > model.log_prob(data.samples(dataset).floats()[:60]).max(), FLOW
    assert stats.share_below("distances", stats.typicality.distance(nats).item()) > 0.99, FLOW


# --- VAE ---


def test_the_gap_of_the_bound_is_as_large_as_the_page_says():
    elbo, nll = card_value("vae-mnist", "ELBO"), card_value("vae-mnist", "negative log-likelihood")
    bars = gm.cards.elbo_gap()
    assert "{gap}" in page(VAE) and [float(x) for x in re.findall(r"([\d.]+) nats", bars)] == pytest.approx(
        [-elbo, nll, -elbo - nll], abs=0.051
    )
    bound, likelihood, gap = (line.count("█") + line.count("░") for line in bars.splitlines()[1:4])
    assert (bound, likelihood, gap) == (round(-elbo / 2), round(nll / 2), bound - likelihood)
    model, x = load("vae-mnist"), data.samples("mnist").floats()[:20]
    x = model.binarise(x, 0)
    log_px, kl = model.elbo(x)
    with torch.no_grad():
        assert (model.log_prob(x, samples=100) - log_px + kl).mean() > 1.5, VAE


def test_eighteen_of_forty_dimensions_are_unused():
    load("vae-mnist")
    kl = gm.vae.load_latents("vae-mnist").kl
    used = int((kl > 0.01).sum())
    assert used == card_value("vae-mnist", "active code dimensions")
    text = page(VAE)
    assert f"Of the {len(kl)} numbers of the digits' code {used} are used; the other {len(kl) - used} carry less" in text


def test_what_one_sigma_costs():
    model, text = load("vae-fashion"), page(VAE)
    sigma, kl = model.log_sigma.exp().item(), card_value("vae-fashion", "mean KL")
    bits, flow_bits = card_value("vae-fashion", "bits per value"), card_value("flow-fashion", "bits per pixel, 8-bit")
    assert f"bound is {bits:.2f} bits per pixel where the flow needs {flow_bits:.2f}" in text
    assert f"its {kl:.1f} nats are {kl / 784 / 0.693147:.2f} bits per pixel" in text
    assert f"is one number, {sigma:.3f}, that is, {256 * sigma:.0f} grey levels" in text
    entropy = torch.tensor(256 * sigma * (2 * torch.pi * torch.e) ** 0.5).log2().item()
    assert f"= {entropy:.1f}$ bits per pixel" in text and abs(entropy + kl / 784 / 0.693147 - bits) < 0.15


def test_midpoints_are_shorter_than_both_ends_but_most_are_not_the_shortest():
    model, x = load("vae-mnist"), data.samples("mnist").floats()
    with torch.no_grad():
        z = model.encode(x).mean
        i, j = torch.triu_indices(len(z), len(z), 1)
        length, middle = z.norm(dim=1), ((z[i] + z[j]) / 2).norm(dim=1)
        ratio = 2 * middle / (length[i] + length[j])
        pairs = range(0, len(i), 97)
        straight, arc = (
            torch.stack([gm.vae.interpolate(z[i[k]], z[j[k]], 3, spherical)[1] for k in pairs]) for spherical in (False, True)
        )

        def grey(codes):
            return (model.decode(codes) * (1 - model.decode(codes))).mean()

        greys = grey(z), grey(arc), grey(straight)
    assert 0.9 < (middle < torch.minimum(length[i], length[j])).double().mean() < 1, f"{VAE}: 95 of 100 pairs"
    assert ratio.mean().item() == pytest.approx(0.71, abs=0.03), VAE
    assert (middle < length.min()).double().mean() < 0.45, f"{VAE}: most are no shorter than any"
    assert greys[0] < greys[1] < greys[2], f"{VAE}: more grey, less so along the arc"


def test_a_low_elbo_finds_digits_among_clothes_but_not_blurred_clothes():
    model = load("vae-fashion")
    clothes, digits = (data.samples(name).floats() for name in ("fashion", "mnist"))
    blurred = torch.nn.functional.avg_pool2d(clothes, 3, 1, 1)
    elbo, of_digits, of_blurred = (log_px - kl for log_px, kl in map(model.elbo, (clothes, digits, blurred)))
    assert auroc(of_digits, elbo) > 0.96, f"{VAE}, {FLOW}: 98 of 100 pairs"
    assert auroc(elbo, of_blurred) > 0.5, f"{VAE}, {FLOW}: blurred clothes rank above more than half"


def test_the_page_calls_the_gain_from_augmentation_significant_only_if_it_is():
    from train.augmentation import significance

    result = json.loads((checkpoint_folder("vae-mnist") / "augmentation.json").read_text(encoding="utf-8"))
    assert result["p"] == pytest.approx(significance(result))
    text = gm.cards.augmentation(result)
    assert ("**not** significant (p =" in text) == (result["p"] >= 0.05)
    assert text in page("checkpoints/vae-mnist/README.md"), "the card"
    assert "{augmentation}" in page(VAE)


# --- denoiser ---


def test_under_the_heaviest_noise_the_vae_is_greyer_than_the_network_and_no_better_read():
    network, vae, classifier = map(load, ("denoiser-mnist", "dvae-mnist", "classifier-mnist"))
    x, y = data.samples("mnist").floats(), data.samples("mnist").y.view(-1)
    for kind, strength in zip(network.noises, network.strongest):
        noisy = denoiser.add_noise(x, kind, strength, seed=0)
        restored = [model.restore(noisy) for model in (network, vae)]
        grey = [(p * (1 - p)).mean() for p in restored]
        error = [(p - x).square().mean() for p in restored]
        correct = [(classifier.predict(p)[:, 0] == y).double().mean() for p in restored]
        assert grey[0] < grey[1] and error[0] < error[1] and correct[1] <= correct[0] + 0.01, f"{DENOISER}: {kind}"
    faint = denoiser.add_noise(x, "gaussian", 0.01, seed=0)
    assert (network.restore(faint) - x).square().mean() < (vae.restore(faint) - x).square().mean() / 20, DENOISER


@pytest.mark.parametrize("dataset", ["mnist", "fashion"])
def test_the_denoising_vae_has_the_lower_psnr_in_every_line(dataset):
    """train/denoiser.py, limits of the denoising VAE."""
    table = json.loads((checkpoint_folder(f"dvae-{dataset}") / "table.json").read_text(encoding="utf-8"))
    network, vae = (table["columns"].index(name) for name in ("denoiser", "dvae"))
    assert all(float(row[vae].split()[0]) < float(row[network].split()[0]) for row in table["rows"])


def test_only_a_sampler_that_adds_noise_gives_samples_of_the_posterior():
    model, network = load("diffusion-mnist"), load("denoiser-mnist")
    x = data.samples("mnist").floats()[:12]
    noisy = denoiser.add_noise(x, "gaussian", 0.6, seed=0)
    best = (network.restore(noisy, 0.6) - x).square().mean()
    for sampler in ("dpm", "ddim"):
        first, second = (model.restore(noisy, 0.6, sampler=sampler, seed=seed) for seed in (0, 1))
        assert torch.equal(first, second), f"{DENOISER}: the deterministic solvers ignore the seed"
        assert (first - x).square().mean() < 1.25 * best, f"{DENOISER}: close to the mean in error"
    first, second = (model.restore(noisy, 0.6, seed=seed) for seed in (0, 1))
    assert (first - second).abs().max() > 0.5, f"{DENOISER}: another one for another seed"
    error = sum((sample - x).square().mean() for sample in (first, second)) / 2
    assert 1.35 * best < error < 2.2 * best, f"{DENOISER}: between 1.4 and 2 times"


def test_blind_the_denoiser_comes_within_a_tenth_of_a_decibel():
    for colour in ("grey", "colour"):
        for sigma in (15, 25, 50):
            given, blind = (
                card_value("denoiser-photo", f"PSNR in {colour}, sigma {sigma}, {how}") for how in ("sigma given", "blind")
            )
            assert given - blind < 0.12, DENOISER
