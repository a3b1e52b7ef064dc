"""`python -m train.evaluate` on tiny untrained checkpoints and the sample pictures: correct numbers and complete cards."""

import functools
import json
import math
import re

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from typer.testing import CliRunner

import genmodels as gm
from genmodels import data, metrics
from genmodels.denoiser import add_noise, classical, quality
from genmodels.vae import measure_latents, save_latents
from tests.compare import close, close_greys
from train import cards, evaluate, ngram, photographs, texts

N = 66  # the last third of the 200 sample pictures of digits, or clothes
MODELS = {
    "classifier-mnist": lambda: gm.Classifier(widths=[4, 4], features=8),
    "classifier-avatars": lambda: gm.Classifier(3, 64, [len(v) for v in data.ATTRIBUTES.values()], [4, 4], 2, 8),
    "autoencoder-mnist": lambda: gm.Autoencoder(hidden=[16]),
    "vae-mnist": lambda: gm.VAE(latent=5, width=4, hidden=16),
    "vae-mnist-2d": lambda: gm.VAE(latent=2, width=4, hidden=16),
    "diffusion-mnist": lambda: gm.Diffusion(widths=[8], blocks=1),
    "diffusion-avatars": lambda: gm.Diffusion(3, 64, [2, 5], patch=8, widths=[8], blocks=1, conditions=["smiling", "glasses"]),
    "dcgan-mnist": lambda: gm.DCGAN(width=4, latent=4),
    "gan-mnist": lambda: gm.GAN(widths=[8], latent=4),
    "gan-avatars": lambda: gm.GAN(3, 64, [2, 5], latent=4, patch=8, widths=[8], conditions=["smiling", "glasses"]),
    "flow-mnist": lambda: gm.Flow(widths=[8], blocks=0, components=2),
    "transformer-shakespeare": lambda: gm.TextTransformer(
        alphabet="".join(sorted(set(texts.shakespeare("train")))), width=8, layers=1, heads=2, hidden=8
    ),
    "transformer-tang": lambda: gm.PoemTransformer(alphabet="，。不人山风日月花春", width=8, layers=1, heads=2, hidden=8),
    "transformer-mnist": lambda: gm.PixelTransformer(width=8, layers=1, heads=1, hidden=8),
    "denoiser-mnist": lambda: gm.Denoiser(1, 28, [4], blocks=1, bias=True),
    "dvae-mnist": lambda: gm.DenoisingVAE(latent=2, width=4, hidden=8),
    "denoiser-photo": lambda: gm.Denoiser(widths=[4, 8], blocks=1),
    "vae-avatars": lambda: gm.VAE(channels=3, size=64, latent=6, width=4, levels=3, hidden=16, likelihood="gaussian"),
}
RUN = {
    "command": "python -m train.x",
    "seed": 0,
    "batch": 8,
    "steps": 10,
    "minutes": 1.5,
    "device": "cpu, 2 threads",
    "pictures": 67,
    "parameters": 1,
    "date": "2026-01-31",
}
FIDS = {"gan-mnist": [20.0, 9.0, 12.0, 5.0], "dcgan-mnist": [30.0, 14.0, 16.0]}
VALIDATIONS = {
    name: [{"step": 2 * i + 2, "validation": {"fid": fid}} for i, fid in enumerate(fids)] for name, fids in FIDS.items()
}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with one small checkpoint of each kind; the sample pictures are its datasets."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("GENMODELS_DATA", str(data.SAMPLES))
    monkeypatch.setattr(evaluate, "EDITED_ATTRIBUTES", ("smiling",))
    monkeypatch.setattr(evaluate, "EDIT_AMOUNTS", (1.0, 2.0))
    monkeypatch.setattr(metrics, "cas", functools.partial(metrics.cas, per_class=4, epochs=1, seeds=(0, 1)))
    monkeypatch.setattr(evaluate, "FUNCTION_EVALUATIONS", (1, 2))
    monkeypatch.setattr(evaluate, "PIXELS_PER_CLASS", 2)
    monkeypatch.setattr(evaluate, "CLASSICAL_PICTURES", 5)
    monkeypatch.setitem(texts.DATASETS, "shakespeare", lambda split: texts.shakespeare(split)[: 16 * 256 + 1])
    monkeypatch.setitem(texts.DATASETS, "tang", lambda split: texts.tang(split)[:40])
    monkeypatch.setattr(evaluate, "fid_by_function_evaluations", functools.partial(evaluate.fid_by_function_evaluations, n=40))
    torch.manual_seed(0)
    for name, make in MODELS.items():
        folder = tmp_path / "checkpoints" / name
        folder.mkdir(parents=True)
        model = make().eval()
        model._save_pretrained(folder)
        lines = [{"run": RUN}, {"step": 5, "loss": 1.0}, *VALIDATIONS.get(name, [])]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        if name in ("transformer-shakespeare", "transformer-tang"):
            (folder / "samples.txt").write_text("--- seed 0\n\n春 said\n", encoding="utf-8")
        else:
            Image.new("L", (8, 8)).save(folder / "samples.png")
        if name == "vae-avatars":
            faces = data.samples("avatars")
            save_latents(measure_latents(model, faces.x, faces.y, data.ATTRIBUTES), folder)
    return tmp_path / "checkpoints"


def numbers_in(text):
    """The numbers of a text: it states them rounded, and rounding errors may decide the last digit."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def states(text, *values, off):
    """Whether these numbers follow one another somewhere in a text, each off by at most the same place of `off`."""
    numbers, n = numbers_in(text), len(values)
    return any(
        all(abs(number - v) <= o for number, v, o in zip(numbers[i : i + n], values, off, strict=True))
        for i in range(len(numbers) - n + 1)
    )


def run(*arguments):
    return CliRunner().invoke(evaluate.app, [str(a) for a in arguments])


def measured(root, name, *options):
    """Run an evaluation. Returns {metric type: the first number of that type} of its card, and the card."""
    done = run(name, "--generated", 80, "--samples", 5, "--runs", root.parent / "runs", *options)
    assert done.exit_code == 0, done.output
    card = ModelCard.load(root / name / "README.md")
    return {r.metric_type: r.metric_value for r in reversed(card.data.eval_results)}, card


@pytest.mark.parametrize("name", list(MODELS))
def test_a_card_states_everything_about_a_number(root, name):
    _, card = measured(root, name)
    for r in card.data.eval_results:
        assert math.isfinite(r.metric_value), r
        split = "val" if r.metric_type == "fid_then" else "test"
        assert (r.dataset_split, r.metric_args["N"] > 0) == (split, True)
        assert f"| {r.metric_name} | {cards.format_value(r)} | {split} | {r.metric_args['N']:,} |" in card.content
    assert card.data.license == "apache-2.0"
    assert (card.data.genmodels["minutes"], card.data.genmodels["parameters"]) == (
        1.5,
        sum(p.numel() for p in gm.load(name).parameters()),
    )
    for words in (
        "python -m train.x",
        "cpu, 2 threads",
        "2026-01-31",
        f"python -m train.evaluate {name}",
        "--generated 80",
        "## Intended use",
        "## Limits",
        "## Data and licence",
        cards.DATASETS[name.split("-")[1]]["licence"],
    ):
        assert words in card.content
    assert "{" not in card.content
    assert str(data.SAMPLES) not in card.content
    reference = json.loads((root / name / "reference.json").read_text(encoding="utf-8"))
    assert reference
    for values in reference.values():
        assert np.isfinite(values).all()


def test_numbers_of_an_autoencoder(root):
    values, card = measured(root, "autoencoder-mnist")
    x, model = data.load("mnist", "test").floats(), gm.load("autoencoder-mnist")
    assert len(x) == N
    mse = (model.decode(model.encode(x)) - x).square().mean().item()
    train = data.load("mnist", "train").floats().flatten(1)
    _, _, v = torch.linalg.svd(train - train.mean(0), full_matrices=False)
    centred = x.flatten(1) - train.mean(0)
    pca_error = (centred - centred @ v[:2].T @ v[:2]).square().mean().item()
    assert values["mse"] == pytest.approx(mse, rel=1e-4)
    assert values["ratio"] == pytest.approx(pca_error / mse, rel=1e-3)
    assert states(card.content, pca_error, off=[1e-4])


def test_numbers_of_a_classifier(root):
    """Hidden attributes are not counted."""
    values, card = measured(root, "classifier-avatars")
    test, model = data.load("avatars", "test"), gm.load("classifier-avatars")
    predicted = model.predict(test.floats())
    pairs = [zip(predicted[:, i].tolist(), test.y[:, i].tolist()) for i in range(16)]
    shares = [np.mean([a == b for a, b in labels if b != -1]) for labels in pairs]
    assert values["accuracy"] == pytest.approx(np.mean(shares), abs=1e-5)
    hair = next(r for r in card.data.eval_results if r.metric_name == "accuracy of hair")
    assert hair.metric_value == pytest.approx(shares[list(data.ATTRIBUTES).index("hair")], abs=1e-5)
    assert hair.metric_args["N"] == (test.y[:, list(data.ATTRIBUTES).index("hair")] != -1).sum() < len(test)


def test_numbers_of_a_vae(root):
    values, card = measured(root, "vae-mnist", "--seed", 3)
    x, model = data.load("mnist", "test").floats(), gm.load("vae-mnist")
    binary = model.binarise(x, 3)
    log_px, kl = model.elbo(binary, 3)
    assert values["elbo"] == pytest.approx((log_px - kl).mean().item(), rel=1e-4)
    assert values["kl"] == pytest.approx(kl.mean().item(), rel=1e-4)
    assert values["nll"] == pytest.approx(-model.log_prob(binary, 5, seed=3).mean().item(), rel=1e-4)
    assert values["bits_per_dim"] == pytest.approx(values["nll"] / 784 / math.log(2), rel=1e-4)
    fid = next(r for r in card.data.eval_results if r.metric_type == "fid")
    classifier = gm.load("classifier-mnist")
    generated = gm.metrics.features(classifier, model.sample(80, seed=3))
    assert fid.metric_value == pytest.approx(gm.metrics.fid(generated, gm.metrics.features(classifier, x)), rel=1e-3, abs=1e-4)
    assert (fid.metric_args["N"], fid.metric_args["seed"]) == (80, 3)
    assert "principal components" in fid.metric_args["beside"]
    repeated, _ = measured(root, "vae-mnist", "--seed", 3)
    assert repeated == pytest.approx(values, rel=1e-5, abs=1e-5)


def test_a_gaussian_vae_of_faces_is_measured_by_its_edits_of_attributes(root):
    _, card = measured(root, "vae-avatars")
    names = [r.metric_name for r in card.data.eval_results if r.metric_type in ("share", "moved")]
    assert [name.split(":")[0].split(" ")[0] for name in names] == ["smiling"] * 3
    moved = next(r for r in card.data.eval_results if "target value" in r.metric_name)
    assert moved.metric_args["N"] == len(data.load("avatars", "test"))
    assert "chosen on the validation split" in moved.metric_args["beside"]


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
        ("ddpm", 250),
        ("ddim", 1),
        ("ddim", 2),
        ("dpm", 1),
        ("dpm", 2),
        ("heun", 1),
    ]
    assert f"| dpm | 2 | 2 | {table['rows'][-2]['fid']} |" in card.text


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


def test_numbers_of_a_transformer_of_plays(root):
    values, card = measured(root, "transformer-shakespeare")
    model, text = gm.load("transformer-shakespeare"), texts.shakespeare("test")
    nats = [-model.score(text[256 * i + 1 : 256 * i + 257], text[256 * i]).log_probs.mean().item() for i in range(16)]
    assert values["nats"] == pytest.approx(np.mean(nats), rel=1e-4)
    assert values["bits"] == pytest.approx(values["nats"] / math.log(2), rel=1e-4)
    assert values["perplexity"] == pytest.approx(math.exp(values["nats"]), rel=1e-4)
    assert {r.metric_args["N"] for r in card.data.eval_results} == {16 * 256}
    assert "1.4697" in card.data.eval_results[0].metric_args["beside"]
    reference = json.loads((root / "transformer-shakespeare" / "reference.json").read_text(encoding="utf-8"))
    assert reference["nats"] == pytest.approx(nats, rel=1e-4)
    for words in (
        "20,480 training tokens",
        "```text\n--- seed 0\n\n春 said\n```",
        "`alphabet=65 characters`",
        "| passages |",
        "which was not trained on",
    ):
        assert words in card.content
    assert "samples.png" not in card.content and card.data.pipeline_tag == "text-generation"
    log = root / "transformer-shakespeare" / "log.jsonl"
    log.write_text(log.read_text(encoding="utf-8").replace("train.x", "train.x --whole"), encoding="utf-8")
    cards.rewrite_card(log.parent)
    whole = (log.parent / "README.md").read_text(encoding="utf-8")
    assert "this run trained on the validation split too" in whole and "in earlier runs not trained on it" in whole
    assert "the best on" not in whole and "which was not trained on" not in whole


def test_numbers_of_a_transformer_of_poems(root):
    values, card = measured(root, "transformer-tang")
    model, poems = gm.load("transformer-tang"), texts.tang("test")[:40]
    numbers = [(r.metric_type, r.metric_value, r.metric_args) for r in card.data.eval_results]
    assert [kind for kind, *_ in numbers] == ["perplexity", "perplexity", "below", "share"]
    for (_, value, args), with_title in ((numbers[0], True), (numbers[1], False)):
        nats, n = texts.nats_of_bodies(model, poems, with_title)
        assert (value, args["N"]) == (pytest.approx(math.exp(nats / n), rel=1e-4), n)
    rows, symbols = {}, set(model.tokenizer.symbols)
    for split in ("train", "test"):
        rows[split] = [
            [model.tokenizer.token_id.get(c, 0) for c in [form, *body]] for form, _, _, body in texts.tang(split)[:40]
        ]
    scored = np.array([gram for gram in ngram.grams(rows["test"], 5) if gram[-1] not in model.tokenizer.marks])
    five_gram = ngram.KneserNey(ngram.grams(rows["train"], 5), model.tokenizer.vocab_size)
    V = len(model.tokenizer.hanzi)
    every = np.concatenate([np.repeat(scored[:, :-1], V, 0), np.tile(np.arange(V), len(scored))[:, None]], 1)
    p = five_gram.probabilities(every).reshape(len(scored), -1)
    scorable = [i for i, c in enumerate(model.tokenizer.symbols) if i == 0 or model.tokenizer.hanzi[i]]
    p = p[np.arange(len(scored)), scored[:, -1]] / p[:, scorable].sum(1)
    baseline = math.exp(-np.log(p).mean())
    assert f"{baseline:.4g}" in numbers[0][2]["beside"] and f"{baseline:.4g}" in numbers[1][2]["beside"]
    assert numbers[2][1] == pytest.approx(1 - numbers[1][1] / baseline, abs=1e-3)
    bodies = [c for *_, body in poems for c in body if c not in "，。"]
    assert values["share"] == pytest.approx(np.mean([c not in symbols for c in bodies]), rel=1e-4)
    assert {args["N"] for *_, args in numbers} == {len(bodies)}
    assert "10 characters" in card.content and "MIT" in card.content


def test_numbers_of_a_transformer_of_pixels(root):
    values, card = measured(root, "transformer-mnist")
    test, model, classifier = data.load("mnist", "test"), gm.load("transformer-mnist"), gm.load("classifier-mnist")
    bits = model.bits_per_dim(test.floats(), test.y)
    assert card.data.eval_results[0].metric_value == pytest.approx(bits.double().mean().item(), rel=1e-4)
    assert card.data.eval_results[0].metric_args["N"] == N
    given_class, mixture, same = (r for r in card.data.eval_results if r.metric_type == "bits_per_dim")
    assert "given the class" in given_class.metric_name and "class not given" in mixture.metric_name
    assert mixture.metric_value == pytest.approx(model.bits_per_dim(test.floats()).double().mean().item(), rel=1e-4)
    assert same.metric_value == pytest.approx(given_class.metric_value, rel=1e-4) and same.metric_args["N"] == N
    posterior = model.class_posterior(test.floats())
    assert values["accuracy"] == pytest.approx((posterior.argmax(1) == test.y).double().mean().item(), abs=1e-5)
    y = torch.arange(20) % 10
    x = (model.sample(20, label=y, seed=0) * 255).round().to(torch.uint8)
    assert values["share"] == pytest.approx((classifier.predict(x.float() / 255)[:, 0] == y).double().mean().item(), abs=1e-5)
    assert values["cas"] == pytest.approx(metrics.cas(x, y, test.x, test.y, per_class=2).mean, abs=1e-5)
    cas = next(r for r in card.data.eval_results if r.metric_type == "cas")
    assert cas.metric_args["N"] == 20 and "20 pictures instead of 20,000" in cas.metric_name
    assert "samples.png" in card.content and "62,720 training tokens" in card.content
    measured(root, "transformer-mnist")  # from the cache: instantly


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
    nats, val = (model.layer_log_probs(pictures) for pictures in (clothes, data.load("mnist", "val").floats()))
    wins = facts.typicality.distance(nats)[:, None] > facts.typicality.distance(model.layer_log_probs(test.floats()))[None]
    assert first.metric_value == pytest.approx(wins.double().mean().item(), abs=1e-3)
    assert facts.typicality.distance(val).square().mean().item() == pytest.approx(model.layers, rel=0.05)
    assert list(facts.bits) == list(facts.distances) == ["mnist", "fashion", "inverted", "rotated", "noise"]


def test_generating_resumes_where_it_was_stopped(root):
    evaluation = evaluate.Evaluation("diffusion-mnist", runs=root.parent / "runs")
    y, counts = torch.arange(30) % 10, []
    sample = evaluation.model.sample

    def counted(n, **options):
        counts.append(n)
        if len(counts) == 3:
            raise KeyboardInterrupt
        return sample(n, **options)

    evaluation.model = type("Model", (), {"sample": staticmethod(counted)})()
    with pytest.raises(KeyboardInterrupt):
        evaluation.generate(y, batch=10, steps=1)
    x = evaluation.generate(y, batch=10, steps=1)
    assert counts == [10, 10, 10, 10]  # the first two batches were not generated again
    alone = torch.cat([sample(10, label=y[i : i + 10], steps=1, seed=i) for i in (0, 10, 20)])
    assert close_greys(x, (alone * 255).round().to(torch.uint8))


def test_faces_are_generated_with_the_attributes_of_real_ones(root):
    _, card = measured(root, "diffusion-avatars", "--steps", 1)
    shares = {r.metric_name.split()[1]: r.metric_args["N"] for r in card.data.eval_results if r.metric_type == "share"}
    assert list(shares) == ["smiling", "glasses"]
    evaluation = evaluate.Evaluation("diffusion-avatars")
    names = list(data.ATTRIBUTES)
    assert torch.equal(
        evaluate.labels_to_sample(evaluation, 3), evaluation.data.y[:3][:, [names.index("smiling"), names.index("glasses")]]
    )


def test_classes_on_the_latent_map_are_counted(root, monkeypatch):
    """A classifier that returns the grey level finds two classes where there are two greys."""
    evaluation = evaluate.Evaluation("autoencoder-mnist")
    evaluation.model = type("Model", (), {"decode": lambda self, z: (z[:, :1] > 0).float()})()
    evaluation.classifier = lambda: type("Classifier", (), {"predict": lambda self, x: x.long()})()
    evaluate.count_classes_on_latent_map(evaluation, torch.randn(500, 2))
    assert (evaluation.results[0].metric_value, evaluation.results[0].metric_args["N"]) == (2, 900)


def test_a_probes_directions_are_as_long_as_the_mean_differences(root):
    latents = gm.vae.load_latents("vae-avatars")
    values = list(data.ATTRIBUTES["smiling"])
    probe = gm.metrics.Probe(torch.randn(2, 6), torch.zeros(2))
    moved = evaluate.probe_latents(latents, probe, "smiling").values["smiling"]
    along = probe.weight[1] - probe.weight[0]
    step, mean_step = (vectors[values[1]] - vectors[values[0]] for vectors in (moved, latents.values["smiling"]))
    assert torch.allclose(step / step.norm(), along / along.norm() * torch.sign(step @ along), atol=1e-5)
    assert (step @ along).item() == pytest.approx((mean_step @ along).item(), rel=1e-4)


def test_a_long_measurement_resumes_where_it_was_stopped(root, tmp_path, monkeypatch):
    evaluation = evaluate.Evaluation("vae-mnist", samples=3, runs=tmp_path / "whole")
    x = evaluation.model.binarise(evaluation.data.floats())
    whole = evaluate.importance_weighted(evaluation, x, batch=20)
    assert len(whole) == N

    calls, log_prob = [], gm.VAE.log_prob

    def stopped(self, *args, **kwargs):
        calls.append(kwargs["seed"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return log_prob(self, *args, **kwargs)

    monkeypatch.setattr(gm.VAE, "log_prob", stopped)
    evaluation.runs = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        evaluate.importance_weighted(evaluation, x, batch=20)
    resumed = evaluate.importance_weighted(evaluation, x, batch=20)
    assert close(resumed, whole)
    assert calls == [0, 20, 40, 40, 60]
    assert torch.equal(evaluate.importance_weighted(evaluation, x, batch=20), resumed)
    assert len(calls) == 5  # all results were cached
    evaluate.importance_weighted(evaluation, 1 - x, batch=20)
    assert len(calls) == 9  # but not those of other pictures


def test_the_validation_split_writes_nothing(root):
    before = sorted(root.rglob("*"))
    done = run("classifier-mnist", "--split", "val", "--pictures", 20)
    assert done.exit_code == 0
    first = data.load("mnist", "val")[:20]
    right = (gm.load("classifier-mnist").predict(first.floats())[:, 0] == first.y).float().mean()
    assert f"accuracy: {right:.2%}" in done.output
    assert sorted(root.rglob("*")) == before


def test_cards_are_written_again_from_their_own_numbers(root):
    for name in MODELS:
        cards.write_card(root / name, [], "python -m train.evaluate x", "a headline")
    measured(root, "classifier-mnist")
    card = root / "classifier-mnist" / "README.md"
    before = card.read_text(encoding="utf-8")
    log = root / "classifier-mnist" / "log.jsonl"
    assert run("--cards-only", "classifier-mnist").exit_code == 0
    assert card.read_text(encoding="utf-8") == before
    log.write_text(
        log.read_text(encoding="utf-8") + json.dumps({"run": RUN | {"minutes": 2, "command": "python -m train.y"}}) + "\n",
        encoding="utf-8",
    )
    assert run("--cards-only").exit_code == 0
    after = card.read_text(encoding="utf-8")
    assert "minutes: 3.5" in after  # of the two runs
    assert "python -m train.y" in after
    assert after.count("| test |") == before.count("| test |") > 0


def test_the_table_goes_between_its_marks(root, tmp_path):
    readme = tmp_path / "README.md"
    for name in MODELS:
        cards.write_card(root / name, [], "python -m train.evaluate x", f"headline of {name}")
    readme.write_text("before\n<!-- models:begin -->\nold\n<!-- models:end -->\nafter\n", encoding="utf-8")
    for _ in range(2):
        assert run("--table", "--readme", readme).exit_code == 0
    lines = readme.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1], "old" in lines) == ("before", "after", False)
    rows = [line for line in lines if line.startswith("| [")]
    assert len(rows) == len(MODELS)
    for name in MODELS:
        assert any(f"checkpoints/{name}/README.md" in row and f"headline of {name}" in row for row in rows)
    readme.write_text("no marks\n", encoding="utf-8")
    done = run("--table", "--readme", readme)
    assert (done.exit_code, readme.read_text(encoding="utf-8")) == (1, "no marks\n")
    assert "models:begin" in done.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing-mnist"], "There is no checkpoint"),
        (["vae-mnist", "--split", "train"], "--split must be one of test, val"),
        (["vae-mnist", "--samples", "0"], "--samples must be a whole number from 1"),
        (["vae-mnist", "--pictures", "20"], "--pictures is for --split val"),
        (["vae-mnist", "--data-dir", "/nowhere"], "The data folder /nowhere does not exist"),
        (["--cards-only", "vae-mnist"], "holds no numbers"),
        ([], "Name a checkpoint (autoencoder-mnist, classifier-avatars"),
    ],
)
def test_errors_are_one_sentence(root, arguments, sentence):
    done = run(*arguments)
    assert done.exit_code == 1
    assert sentence in done.output
    assert "Traceback" not in done.output
