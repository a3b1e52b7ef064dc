"""What the pages of GAN, transformer and diffusion claim about the shipped models: each test names the sentence's file.

Numbers that are compared on a page come from cards, `calls.json` and `replay.json`; these tests keep the words
around them true.
"""

import json
import math
from pathlib import Path

import pytest
import torch

import genmodels as gm
from benchmarks import solvers
from genmodels import cards
from tabs import diffusion as diffusion_tab
from tabs.gan.data import COLLAPSED, GAN

DATASETS = GAN.titles
SAMPLERS = ("ddpm", "ddim", "dpm", "heun")


def checkpoint_json(name, file):
    return json.loads((gm.base.checkpoint_folder(name) / file).read_text(encoding="utf-8"))


def spread_within_classes(x, y):
    """Standard deviation of a pixel among the pictures of a class, mean over pixels and classes."""
    return torch.stack([x[y == c].std(0).mean() for c in y.unique()]).mean().item()


# --- GAN --------------------------------------------------------------------------------------------------------------


def test_overlap_and_losses_near_log_2_are_those_of_the_collapsed_run():
    """tabs/gan/about.md, "How training went": by loss and overlap alone, the run with mode collapse is the better one."""
    overlap, distance = {}, {}
    for name in ("gan-mnist", COLLAPSED):
        replay = checkpoint_json(name, "replay.json")
        overlap[name] = sum(map(min, replay["real"][-1], replay["generated"][-1]))
        distance[name] = max(abs(line[-1][1] - math.log(2)) for line in replay["losses"].values())
    assert overlap[COLLAPSED] > overlap["gan-mnist"] and distance[COLLAPSED] < distance["gan-mnist"]


def test_the_collapsed_generator_repeats_itself_within_a_class():
    """tabs/gan/about.md, "How training went": all its pictures of a class look the same, though most are recognised."""
    y = torch.arange(60) % 10
    spread = {name: spread_within_classes(gm.load(name).sample(60, label=y, seed=0), y) for name in ("gan-mnist", COLLAPSED)}
    assert spread[COLLAPSED] < spread["gan-mnist"] / 2
    collapsed, good = cards.measurements(COLLAPSED), cards.measurements("gan-mnist")
    assert collapsed["recall"][0] < 0.1 < good["recall"][0]
    assert collapsed["share"][0] > 0.8 > collapsed["cas"][0]


def test_the_two_runs_differ_as_the_page_says():
    """tabs/gan/about.md: no penalties, a generator twenty times as fast, and without the last, finer stage."""
    good, collapsed = (checkpoint_json(name, "config.json") for name in ("gan-mnist", COLLAPSED))
    assert good["gamma"] and not collapsed["gamma"] and good["fine"] and not collapsed["fine"]
    log = (gm.base.checkpoint_folder(COLLAPSED) / "log.jsonl").read_text(encoding="utf-8").splitlines()[0]
    rates = {player["part"]: player["lr"] for player in json.loads(log)["run"]["players"]}
    assert rates["generator"] == pytest.approx(20 * rates["discriminator"])


def test_clothes_and_faces_have_a_second_loss_and_digits_have_not():
    """tabs/gan/about.md, "A forger and an expert" and "A second loss"."""
    weights = {dataset: gm.load(f"gan-{dataset}").reconstruction_weight for dataset in DATASETS}
    assert weights["mnist"] == 0 and weights["fashion"] > 0 and weights["avatars"] > 0


def test_the_best_discriminator_of_pairs_is_the_log_ratio_and_its_loss_is_log_2_minus_the_divergence():
    """tabs/gan/about.md, "What we train", and "The game", on distributions over five points."""
    p, q = torch.tensor([[5, 1, 2, 1, 1], [1, 3, 1, 4, 1]], dtype=torch.float64).div(10)
    d = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([d], max_iter=200, line_search_fn="strong_wolfe")

    def js(a, b):
        m = (a + b) / 2
        return ((a * (a / m).log()).sum() + (b * (b / m).log()).sum()) / 2

    def fit(loss):
        def closure():
            optimizer.zero_grad()
            value = loss()
            value.backward()
            return value

        optimizer.step(closure)
        return loss().item()

    def pairs():  # each real point with each generated one
        return (p[:, None] * q * torch.nn.functional.softplus(d[None] - d[:, None])).sum()

    lowest, ratio = fit(pairs), (p / q).log()
    assert torch.allclose(d.detach() - d.detach().mean(), ratio - ratio.mean(), atol=1e-3)
    joint, swapped = (p[:, None] * q).flatten(), (q[:, None] * p).flatten()
    assert lowest == pytest.approx(math.log(2) - js(joint, swapped).item(), abs=1e-6)
    value = (p * torch.sigmoid(ratio).log() + q * torch.sigmoid(-ratio).log()).sum()
    assert value.item() == pytest.approx(2 * js(p, q).item() - math.log(4), abs=1e-9)


# --- Transformer ------------------------------------------------------------------------------------------------------


def test_leaving_out_the_class_costs_no_more_than_naming_it():
    """tabs/transformer/about.md: without a class, the mean likelihood over the classes; at most log2(10) bits are lost."""
    model, pictures = gm.load("transformer-mnist"), gm.data.samples("mnist")[3:4]
    x = pictures.floats()
    without, given = model.bits_per_dim(x), model.bits_per_dim(x, pictures.y)
    assert bool((without - given <= math.log2(10) / 784 + 1e-5).all())
    by_class = torch.stack([model.log_prob(x, c) for c in range(10)]).logsumexp(0) - math.log(10)
    assert torch.allclose(-by_class / (784 * math.log(2)), without, atol=1e-5)


def test_the_card_compares_likelihoods_of_the_same_pictures_and_the_5_gram_with_the_same_condition():
    """tabs/transformer/about.md, "Surprisal, bits, perplexity": the class, or the title, is information."""
    rows = [row for row in cards.metric_rows("transformer-mnist") if row["type"] == "bits_per_dim"]
    without = next(row for row in rows if "not given" in row["name"])
    given = next(row for row in rows if row["args"]["N"] == without["args"]["N"] and "given the class" in row["name"])
    assert given["value"] <= without["value"] <= given["value"] + math.log2(10) / 784
    poems = {row["name"]: row["value"] for row in cards.metric_rows("transformer-tang")}
    titled, form_only = (poems[name] for name in poems if name.startswith("perplexity"))
    assert titled < form_only and "both given only the form" in " ".join(poems)


def test_input_and_output_share_one_table():
    """tabs/transformer/about.md, "Position embeddings": what the model keeps from 2017, and Llama does not."""
    model = gm.load("transformer-shakespeare")
    ids = torch.tensor([model.tokenizer.encode("To be")])
    hidden = model._hidden_states(ids)
    assert torch.allclose(model.logits(ids), hidden @ model.embed.weight.T, atol=1e-4)


# --- Diffusion --------------------------------------------------------------------------------------------------------


def test_the_digits_spread_less_than_noise():
    """tabs/diffusion/about.md, "The forward process": their standard deviation is about 0.6, so the spread grows with noise."""
    assert (2 * gm.data.samples("mnist").floats() - 1).std().item() == pytest.approx(0.6, abs=0.05)
    for dataset in ("fashion", "avatars"):
        assert (2 * gm.data.samples(dataset).floats() - 1).std().item() < 1


def test_the_first_prediction_is_a_mean_and_the_last_is_not():
    """tabs/diffusion/about.md, "What the network learns": from pure noise x_0 is the mean of the class, a blur."""
    model, y = gm.load("diffusion-mnist"), torch.full((12,), 3)
    steps = list(model.sample_steps(12, label=y, steps=8, seed=0))
    first, last = (spread_within_classes(step.x0, y) for step in (steps[0], steps[-1]))
    assert first < last / 4
    threes = gm.data.samples("mnist")
    mean = threes.floats()[threes.y == 3].mean(0)
    error = (steps[0].x0.mean(0) - mean).square().mean()
    assert error < (steps[-1].x0 - mean).square().mean() / 4


def test_solvers_of_the_equation_end_in_the_same_picture_and_ddpm_elsewhere():
    """tabs/diffusion/about.md, "The reverse process"; tabs/diffusion/compare.py: the start decides but for fresh noise."""
    model, steps = gm.load("diffusion-mnist"), {"ddim": 64, "dpm": 32, "heun": 16, "ddpm": 32}
    ends = {sampler: model.sample(3, label=[2, 5, 8], sampler=sampler, steps=n, seed=0) for sampler, n in steps.items()}

    def distance(a, b):
        return (ends[a] - ends[b]).square().mean().sqrt().item()

    same = max(distance("ddim", "heun"), distance("dpm", "heun"))
    assert same < distance("ddpm", "heun") / 4


def test_guidance_makes_samples_alike():
    """tabs/diffusion/about.md, "Guidance": g = 4 gives textbook sevens that look much alike; tabs/diffusion/compare.py."""
    model, y = gm.load("diffusion-mnist"), torch.full((16,), 7)
    spread = {g: spread_within_classes(model.sample(16, label=y, guidance=g, steps=8, seed=0), y) for g in (1, 4)}
    assert spread[4] < 0.9 * spread[1]


def test_the_weight_of_the_likelihood_bound():
    """tabs/diffusion/about.md, "What the squared error has to do with likelihood": pi / 2 alpha / sigma per error of v."""
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64, requires_grad=True)
    alpha, sigma = gm.diffusion.alpha_sigma(t)
    (slope,) = torch.autograd.grad((alpha**2 / sigma**2).sum(), t)
    assert torch.allclose(-slope / 2 * sigma**2, math.pi / 2 * alpha / sigma)
    x0, v, v_hat = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a, s = alpha[3].item(), sigma[3].item()
    x = a * x0 + s * (v + s * x0) / a  # the noise is (v + sigma x0) / alpha
    assert torch.allclose((x0 - (a * x - s * v_hat)).square(), s**2 * (v - v_hat).square())


def test_more_calls_can_make_samples_of_the_equation_worse():
    """tabs/diffusion/about.md, "The reverse process": a curve that rises; and DDPM can end lower than any solver of the ODE."""
    for name in ("diffusion-mnist", "diffusion-fashion"):
        rows = cards.sampler_rows(name)
        for sampler in ("ddim", "dpm"):
            assert rows[sampler][-1][1] > 1.02 * min(fid for _, fid in rows[sampler])
        assert min(fid for _, fid in rows["ddpm"]) < min(fid for s in SAMPLERS[1:] for _, fid in rows[s])


def test_what_fresh_noise_changes_is_what_was_measured_on_the_shipped_weights():
    """tabs/diffusion/about.md, "The reverse process": the numbers of `python -m benchmarks.solvers`."""
    measured = json.loads(solvers.FILE.read_text(encoding="utf-8"))
    assert measured["weights"] == solvers.weights_hash(), "run python -m benchmarks.solvers, then correct the page"
    changes = {(change["from"], change["to"]): change for change in measured["changes"]}
    fid = {name: f"{run['fid']:.2f}" for name, run in measured["runs"].items()}

    def words(start, end):
        change = changes[start, end]
        return f"{abs(change['fid']):.2f} ({change['sd']:.2f})"

    def signed(start, end):
        return ("−" if changes[start, end]["fid"] < 0 else "+") + words(start, end)

    text = " ".join((Path(diffusion_tab.__file__).with_name("about.md")).read_text(encoding="utf-8").split())
    for sentence in (
        f"{measured['n']:,} pictures of each kind",
        f"DPM-Solver++ changes by {signed('dpm 8', 'dpm 64')}, from 16 to 64 that of DDIM by {signed('ddim 16', 'ddim 64')}",
        f"That of DDPM changes by {signed('ddpm 16', 'ddpm 64')}",
        f"DDPM's FID is {words('ddim 64', 'ddpm 64')} below that of DDIM, {fid['ddpm 64']} against {fid['ddim 64']}",
        f"That of {measured['n']:,} real pictures is {measured['floor']:.2f}",
        f"FID falls by {words('dpm 64', solvers.RENEWED)}",
    ):
        assert sentence in text
    for pair in (("dpm 8", "dpm 64"), ("ddim 16", "ddim 64"), ("ddpm 16", "ddpm 64")):
        assert -changes[pair]["sd"] < changes[pair]["fid"] < 3 * changes[pair]["sd"], "hardly larger than the uncertainty"
    for pair in (("ddim 64", "ddpm 64"), ("dpm 64", solvers.RENEWED)):
        assert changes[pair]["fid"] < -2.5 * changes[pair]["sd"]


def test_on_faces_all_samplers_still_gain_at_64_calls():
    """tabs/diffusion/about.md, "The reverse process"."""
    rows = {sampler: dict(pairs) for sampler, pairs in cards.sampler_rows("diffusion-avatars").items()}
    assert all(max(calls for calls in rows[s] if calls <= 64) == min(rows[s], key=rows[s].get) for s in ("ddim", "dpm", "heun"))
    assert rows["ddpm"][64] < rows["ddpm"][32]


def test_the_quality_chart_names_its_sample_size():
    """tabs/diffusion/quality.py: 1,000 pictures, the test split."""
    for dataset in DATASETS:
        table = checkpoint_json(f"diffusion-{dataset}", "calls.json")
        assert (table["n"], table["split"]) == (1000, "test")


# --- Slots ------------------------------------------------------------------------------------------------------------


def test_every_generated_sentence_has_its_numbers():
    """tabs/{gan,transformer,diffusion}/about.md: no slot says that something was not measured."""
    labels = dict(zip(SAMPLERS, SAMPLERS))
    sentences = [
        cards.generators_table(DATASETS),
        cards.samplers_table(DATASETS, labels),
        cards.fids_by_calls(DATASETS),
        cards.bits_by_class(),
        cards.perplexities(),
        *(cards.end_of_training(name) for name in ("gan-mnist", COLLAPSED)),
        *(cards.percent(COLLAPSED, metric) for metric in ("share", "recall", "cas")),
    ]
    assert cards.ABSENT not in sentences
    assert all(f"{family}-{dataset}" in sentences[0] for family in ("gan", "diffusion") for dataset in DATASETS)
    assert len(sentences[1].splitlines()) == 2 + len(DATASETS) * len(SAMPLERS)
    assert sentences[3].count("without the class") == 2


def test_slots_say_so_where_nothing_was_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    empty = [
        cards.generators_table(DATASETS),
        cards.samplers_table(DATASETS, {"ddim": "DDIM"}),
        cards.fids_by_calls(DATASETS),
        cards.bits_by_class(),
        cards.perplexities(),
        cards.end_of_training("gan-mnist"),
        cards.percent(COLLAPSED, "recall"),
        cards.elbo_gap(),
    ]
    assert set(empty) == {cards.ABSENT}
