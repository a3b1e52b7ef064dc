"""The shipped checkpoints: complete, small, documented, and with the same outputs as when they were evaluated."""

import json
import re
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image

import genmodels as gm
from genmodels import data, denoiser
from genmodels.vae import load_latents
from tests.compare import close
from train import cards
from train.evaluate import reference_values

ROOT = Path(__file__).resolve().parents[2] / "checkpoints"
SHIPPED = {
    "classifier-mnist",
    "classifier-fashion",
    "classifier-avatars",
    "autoencoder-mnist",
    "autoencoder-fashion",
    "vae-mnist-2d",
    "vae-fashion-2d",
    "vae-mnist",
    "vae-fashion",
    "vae-avatars",
    "diffusion-mnist",
    "diffusion-fashion",
    "diffusion-avatars",
    "gan-mnist",
    "gan-fashion",
    "gan-avatars",
    "gan-mnist-collapsed",
    "flow-mnist",
    "flow-fashion",
    "denoiser-photo",
    "denoiser-camera",
    "denoiser-mnist",
    "denoiser-fashion",
    "dvae-mnist",
    "dvae-fashion",
    "transformer-shakespeare",
    "transformer-tang",
    "transformer-mnist",
}
FOUND = {file.parent.name for file in ROOT.glob("[!.]*/config.json") if not (file.parent / "data.json").exists()}
VAES = sorted(name for name in SHIPPED | FOUND if name.startswith("vae-"))
MIN_ACCURACY = {"mnist": 0.985, "fashion": 0.90, "avatars": 0.95}  # of the classifiers on the sample pictures
TEST = {  # pictures of the test split, characters of whole blocks, characters of poems
    "mnist": 10_000,
    "fashion": 10_000,
    "avatars": 3_000,
    "shakespeare": 111_360,
    "tang": 27_368,
    "photo": 68,
    "camera": 68,
}
TEXTS = ("transformer-shakespeare", "transformer-tang")

every = pytest.mark.parametrize("name", sorted(SHIPPED | FOUND))


@every
def test_is_complete_and_small(name):
    files = {file.name: file.stat().st_size for file in (ROOT / name).iterdir()}
    samples = "samples.txt" if name in TEXTS else "samples.png"
    expected = {"model.safetensors", "config.json", "README.md", samples, "log.jsonl", "reference.json"}
    # written by train.augmentation, train.rhymes and train.compare
    optional = {"augmentation.json", "rhymes.json", "comparison.json", "comparison.png", "nearest.png"}
    replay = {"replay.webp", "replay.json"}
    by_family = {
        "vae": {"latents.safetensors"},
        "diffusion": {"calls.json"},
        "gan": replay,
        "dcgan": replay,
        "denoiser": {"table.json"},
        "dvae": {"table.json"},
        "flow": {"likelihoods.json"},
    }
    extra = by_family.get(name.split("-")[0], set())
    assert set(files) - optional == expected | extra
    assert {file: size for file, size in files.items() if not 0 < size < 10e6} == {}
    if name in TEXTS:
        assert len((ROOT / name / samples).read_text(encoding="utf-8")) > 100
        return
    with Image.open(ROOT / name / samples) as picture:
        picture.load()
        assert min(picture.size) >= 28


@every
def test_loads_and_matches_its_card(name):
    model = gm.load(ROOT / name)
    family, _ = cards.family_and_dataset(name)
    assert isinstance(model, getattr(gm, gm.FAMILIES[family][1]))
    assert all(torch.isfinite(w).all() for w in model.state_dict().values())
    _, facts = cards.read_card(ROOT / name)
    assert facts["parameters"] == sum(p.numel() for p in model.parameters())


@every
def test_gives_the_reference_values(name):
    expected = json.loads((ROOT / name / "reference.json").read_text(encoding="utf-8"))
    measured = reference_values(cards.Checkpoint(ROOT / name))
    assert set(measured) == set(expected)
    for kind, values in expected.items():
        assert len(values) >= 16
        off = [i for i, v in enumerate(values) if measured[kind][i] != pytest.approx(v, rel=1e-3, abs=1e-3)]
        # Rounding may decide which pixel is sampled, and with it all that follow: then that completion is another one.
        assert len(measured[kind]) == len(values) and len(off) <= (2 if kind == "mean_of_completion" else 0), (kind, off)


@every
def test_card_states_the_metrics_and_their_protocol(name):
    _, dataset = cards.family_and_dataset(name)
    card = ModelCard.load(ROOT / name / "README.md")
    results, facts = card.data.eval_results, card.data.genmodels
    assert results
    assert facts["command"] == f"python -m train.evaluate {name}"  # no options: by the defaults, which users get
    for r in results:
        assert isinstance(r.metric_value, float | int)
        split = "val" if r.metric_type == "fid_then" else "test"  # compares two trainings, not two models
        assert (r.dataset_type, r.dataset_split) == (dataset, split)
        assert f"| {r.metric_name} | {cards.format_value(r)} | {split} | {r.metric_args['N']:,} |" in card.content
    if not name.startswith(("diffusion-", "gan-", "dcgan-")):  # whose first metric is of generated pictures
        assert results[0].metric_args["N"] == TEST[dataset]  # the whole split
    without_baseline = [
        r.metric_name
        for r in results
        if r.metric_type in ("fid", "precision", "recall", "accuracy") and not r.metric_args.get("beside")
    ]
    assert without_baseline == []
    assert facts["command"].startswith(f"python -m train.evaluate {name}")
    assert (facts["minutes"] > 0, bool(facts["headline"])) == (True, True)
    for heading in ("## Training", "## Intended use", "## Limits", "## Data and licence", cards.DATASETS[dataset]["credit"]):
        assert heading in card.content


@every
def test_log_records_the_training_and_names_no_local_folder(name):
    runs = cards.training_runs(ROOT / name)
    assert runs
    facts = {"command", "seed", "batch", "steps", "minutes", "device", "pictures", "date", "parameters"}
    for run in runs:
        assert facts - set(run) == set()
        assert re.match(r"python -m train\.\w+ ", run["command"])
    for file in ("log.jsonl", "README.md", "config.json"):
        assert not re.search(
            r"(?<![\w.:/])/(work|tmp|home|root|mnt|data)/", (ROOT / name / file).read_text(encoding="utf-8")
        ), file


@pytest.mark.parametrize("dataset", data.DATASETS)
def test_classifiers_read_the_sample_pictures(dataset):
    samples = data.samples(dataset)
    y = samples.y.view(len(samples), -1)
    right = gm.load(ROOT / f"classifier-{dataset}").predict(samples.floats()) == y
    assert right[y >= 0].float().mean() >= MIN_ACCURACY[dataset]


@pytest.mark.parametrize("name", VAES)
def test_samples_depend_on_the_seed_alone(name):
    model = gm.load(ROOT / name)
    x = model.sample(4, seed=1)
    torch.manual_seed(99)
    assert close(x, model.sample(4, seed=1))
    assert (x - model.sample(4, seed=2)).abs().max() > 0.1
    assert 0 <= x.min() < x.max() <= 1


@pytest.mark.parametrize("name", [name for name in VAES if "avatars" not in name])
def test_samples_show_every_class(name):
    classifier = gm.load(ROOT / f"classifier-{cards.family_and_dataset(name)[1]}")
    predicted = classifier.predict(gm.load(ROOT / name).sample(500, seed=0))[:, 0]
    assert set(predicted.tolist()) == set(range(10))


@pytest.mark.parametrize("name", VAES)
def test_latents_are_those_of_the_model(name):
    """Their KL is that of the sample pictures, roughly, and every class or attribute has its vectors."""
    model, latents = gm.load(ROOT / name), load_latents(ROOT / name)
    dataset = cards.family_and_dataset(name)[1]
    names = data.ATTRIBUTES if dataset == "avatars" else {"class": data.CLASSES[dataset]}
    assert {a: set(codes) - {"hidden"} for a, codes in latents.values.items()} == {a: set(v) for a, v in names.items()}
    q = model.encode(data.samples(dataset).floats())
    kl = torch.distributions.kl_divergence(q, model.prior()).mean(0)
    assert latents.kl.shape == kl.shape == (model.latent,)
    assert latents.kl.sum().item() == pytest.approx(kl.sum().item(), rel=0.15)
    assert (latents.mean - q.mean.mean(0)).abs().max() < 1


@pytest.mark.parametrize("dataset", ["mnist", "fashion"])
def test_an_autoencoder_beats_as_many_principal_components(dataset):
    samples, model = data.samples(dataset), gm.load(ROOT / f"autoencoder-{dataset}")
    x = samples.floats()
    linear = gm.metrics.pca(samples.x, 2).reconstruct(x)  # fitted to these very pictures, an advantage
    assert (model.decode(model.encode(x)) - x).square().mean() < (linear - x).square().mean() / 1.1


@pytest.mark.parametrize("name", sorted(n for n in SHIPPED | FOUND if n.startswith(("diffusion-", "gan-"))))
def test_the_classifier_recognises_the_labels(name):
    family, dataset = cards.family_and_dataset(name)
    model, classifier = gm.load(name), gm.load(f"classifier-{dataset}")
    options = {"steps": 8, "guidance": 1.5} if family == "diffusion" else {}
    if dataset == "avatars":
        columns = [list(data.ATTRIBUTES).index(a) for a in model.conditions]
        y = data.samples("avatars").y[:30, columns]
        options |= {"guidance": 2.5} if family == "diffusion" else {}
    else:
        columns, y = [0], (torch.arange(30) % 10)[:, None]
    x = model.sample(30, label=y, seed=0, **options)
    min_accuracy = {"gan-avatars": 0.85}.get(name) or {"fashion": 0.8}.get(dataset, 0.9)
    assert (classifier.predict(x)[:, columns] == y)[y >= 0].double().mean() >= min_accuracy


@pytest.mark.parametrize("name", sorted(n for n in SHIPPED | FOUND if n.startswith("flow-")))
def test_a_flow_is_inverted_and_has_its_typicality(name):
    model, facts, dataset = gm.load(name), gm.typicality.load_likelihoods(name), cards.family_and_dataset(name)[1]
    x = data.samples(dataset).floats()
    for label in (None, data.samples(dataset).y[:4]):
        first, *_, noise = model.encode_steps(x[:4], label=label, seed=0)
        *_, last = model.decode_steps(noise.h.flatten(1), label=label)
        assert (last.h - first.h).abs().max() < 1e-6 and torch.equal(last.x, x[:4])
        assert noise.h.std().item() == pytest.approx(1, abs=0.05)
    nats = model.layer_log_probs(x[:60])
    bits = gm.metrics.bits_per_dim(nats.sum(1), 784)
    assert close(bits[:4].float(), model.bits_per_dim(x[:4]).float())
    assert 0.3 < facts.share_below("bits", bits.median().item()) < 0.7
    assert facts.typicality.distance(nats).median().item() == pytest.approx(model.layers**0.5, rel=0.2)


@pytest.mark.parametrize("name", sorted(n for n in SHIPPED | FOUND if n.startswith(("denoiser-", "dvae-"))))
def test_a_denoiser_beats_the_classical_methods(name):
    family, dataset = cards.family_and_dataset(name)
    if dataset in ("photo", "camera"):
        x, s = data.samples("photo").floats()[:5], 25 / 255
    else:
        x, s = data.samples(dataset).floats()[::40][:5], 100 / 255
    y, model = denoiser.add_noise(x, "gaussian", s, seed=0), gm.load(name)

    def psnr(restored):
        return gm.metrics.psnr(restored, x).mean().item()

    classical = {m: psnr(torch.cat([denoiser.classical(noisy, m, s) for noisy in y.split(1)])) for m in denoiser.CLASSICAL}
    assert psnr(y) < max(classical.values()) + (0.5 if family == "denoiser" else 0) < psnr(model.restore(y))


@pytest.mark.parametrize("name", sorted(n for n in SHIPPED | FOUND if n.startswith(("gan-", "dcgan-"))))
def test_the_replay_of_a_gans_training_is_complete(name):
    model, replay = gm.load(name), gm.gan.load_replay(name)
    T = len(replay.steps)
    assert 30 <= T <= 60 and replay.steps[0] == 0 and replay.steps == sorted(set(replay.steps))
    assert replay.pictures.shape[0] == T and replay.pictures.shape[2:] == (model.channels, model.size, model.size)
    for shares in (replay.real, replay.generated):
        assert len(shares) == T
        assert [sum(histogram) for histogram in shares] == pytest.approx([1] * T, abs=0.01)
        assert {len(histogram) for histogram in shares} == {len(replay.edges) - 1}
    assert replay.pictures[0].float().std() > 0 and (replay.pictures[0] != replay.pictures[-1]).any()
    for player in ("discriminator", "generator"):
        steps, losses = zip(*replay.losses[player])
        assert steps[-1] == replay.steps[-1] and len(losses) >= steps[-1] / 100 >= 5
    assert (ROOT / name / "replay.webp").stat().st_size + (ROOT / name / "replay.json").stat().st_size < 1_000_000
