"""What all recipes have in common: what they train on, what chooses their weights, what their samples show."""

import functools
import json
import math
from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import genmodels as gm
from genmodels import data, metrics
from genmodels.base import read_config
from genmodels.denoiser import add_noise
from tests import tiny
from tests.compare import close
from tests.other_device import OnDevice, put
from train import (
    autoencoder,
    classifier,
    denoiser,
    diffusion,
    engine,
    flow,
    gan,
    gan_replay,
    photographs,
    texts,
    transformer,
    vae,
)

RECIPES = {
    "autoencoder-mnist": lambda s: autoencoder.recipe(s, "mnist"),
    "autoencoder-fashion": lambda s: autoencoder.recipe(s, "fashion"),
    "vae-mnist": lambda s: vae.recipe(s, "mnist"),
    "vae-fashion": lambda s: vae.recipe(s, "fashion"),
    "vae-avatars": lambda s: vae.recipe(s, "avatars"),
    "vae-mnist-2d": lambda s: vae.recipe(s, "mnist", latent=2),
    "classifier-mnist": lambda s: classifier.recipe(s, "mnist"),
    "classifier-fashion": lambda s: classifier.recipe(s, "fashion"),
    "classifier-avatars": lambda s: classifier.recipe(s, "avatars"),
    "diffusion-mnist": lambda s: diffusion.recipe(s, "mnist"),
    "diffusion-fashion": lambda s: diffusion.recipe(s, "fashion"),
    "diffusion-avatars": lambda s: diffusion.recipe(s, "avatars"),
    "flow-mnist": lambda s: flow.recipe(s, "mnist"),
    "flow-fashion": lambda s: flow.recipe(s, "fashion"),
    "gan-mnist": lambda s: gan.recipe(s, "mnist"),
    "gan-avatars": lambda s: gan.recipe(s, "avatars"),
    "gan-mnist-collapsed": lambda s: gan.recipe(s, "mnist", collapse=True),
    "dcgan-fashion": lambda s: gan.recipe(s, "fashion", classic=True),
    "denoiser-mnist": lambda s: denoiser.recipe(s, "mnist"),
    "dvae-fashion": lambda s: denoiser.recipe(s, "fashion", vae=True),
    "denoiser-photo": lambda s: denoiser.recipe(s, "photo"),
    "denoiser-camera": lambda s: denoiser.recipe(s, "camera"),
    "transformer-mnist": lambda s: transformer.recipe(s, "mnist"),
}
OTHERS = {  # of which one like them is above
    "vae-fashion-2d": lambda s: vae.recipe(s, "fashion", latent=2),
    "gan-fashion": lambda s: gan.recipe(s, "fashion"),
    "denoiser-fashion": lambda s: denoiser.recipe(s, "fashion"),
    "dvae-mnist": lambda s: denoiser.recipe(s, "mnist", vae=True),
}
TEXTS = {
    "transformer-shakespeare": lambda s: transformer.recipe(s, "shakespeare"),
    "transformer-tang": lambda s: transformer.recipe(s, "tang"),
}
SHIPPED = Path(__file__).parents[2] / "checkpoints"
CONDITIONS = ["smiling", "glasses", "hair_color", "hair_length"]


@pytest.fixture
def small(small_networks, classifiers):
    """All recipes with small networks."""


load_pictures = functools.cache(functools.partial(data.load, data_dir=data.SAMPLES))


class Splits:
    """In place of `data.load`: the first sample pictures, each split by itself inverted or repeated; never of the test."""

    def __init__(self, monkeypatch):
        self.inverted, self.repeated, self.count, self.photographs = set(), 1, 1000, photographs.load
        monkeypatch.setattr(data, "load", self.pictures)
        monkeypatch.setattr(photographs, "load", self.photos)

    def pictures(self, name, split, data_dir=None):
        assert split in ("train", "val"), f"{name}: a recipe reads the {split} split"
        pictures = load_pictures(name, split)[: self.count]
        x = 255 - pictures.x if split in self.inverted else pictures.x
        return data.Pictures(x.repeat(self.repeated, 1, 1, 1), pictures.y.repeat(self.repeated, *[1] * (pictures.y.ndim - 1)))

    def photos(self, split, data_dir=None, least=1):
        assert split in ("train", "val"), f"a recipe reads the {split} split"
        return [255 - p if split in self.inverted else p for p in self.photographs(split, data.SAMPLES)]


@pytest.fixture
def splits(monkeypatch, small):
    return Splits(monkeypatch)


def recipe_of(name, workdir):
    torch.manual_seed(0)
    recipe = (RECIPES | OTHERS | TEXTS)[name](engine.Settings(runs=workdir / "runs", data_dir=data.SAMPLES))
    recipe.model.eval()
    return recipe


def scores(recipe):
    with torch.inference_mode():
        return {k: float(v) for k, v in recipe.validate(recipe.model).items()}


@pytest.mark.parametrize("name", sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir()))
def test_a_shipped_model_is_one_that_its_recipe_makes(workdir, monkeypatch, name):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(SHIPPED))  # the GANs are trained with a classifier beside
    made, shipped = recipe_of(name, workdir).model.config, read_config(SHIPPED / name)
    common = made.keys() & shipped.keys()  # those of older ones have not all
    assert {key: made[key] for key in common} == {key: shipped[key] for key in common} and len(common) > 1


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_on_the_training_split_and_is_chosen_by_the_validation_split(workdir, splits, name):
    splits.count = 24
    recipe = recipe_of(name, workdir)
    assert recipe.name == name
    expected = scores(recipe)
    train = recipe.train
    if name in ("denoiser-photo", "denoiser-camera"):
        assert all(torch.equal(a, b) for a, b in zip(train.pictures, splits.photos("train")))
    else:
        pictures = splits.pictures(name.split("-")[1], "train")
        assert torch.equal(train.x, pictures.x)
        if name in ("gan-avatars", "diffusion-avatars"):
            pictures = data.Pictures(pictures.x, pictures.y[:, [list(data.ATTRIBUTES).index(a) for a in CONDITIONS]])
        assert torch.equal(train.y, pictures.y)

    splits.inverted = {"train"}
    other = recipe_of(name, workdir)
    other.model.load_state_dict(recipe.model.state_dict())
    assert scores(other) == pytest.approx(expected, rel=1e-4, abs=1e-5)

    splits.inverted = {"val"}
    other = recipe_of(name, workdir)
    other.model.load_state_dict(recipe.model.state_dict())
    # an untrained classifier may be as often right; its uncertainty differs
    assert list(scores(other).values()) != pytest.approx(list(expected.values()), rel=1e-6)


def on_device(tensors):
    """A batch on the pretended device."""
    return [OnDevice(t) for t in tensors]


@pytest.mark.parametrize("name", [name for name in [*RECIPES, *TEXTS] if "fashion" not in name or name.startswith("d")])
def test_a_run_steps_and_validates_where_the_model_is(workdir, splits, name, device, monkeypatch):
    """The pictures of a recipe stay on the CPU, and its model may be on a GPU."""
    monkeypatch.setattr(texts, "shakespeare", lambda split, read=texts.shakespeare: read(split)[:600])
    monkeypatch.setattr(texts, "tang", lambda split, read=texts.tang: read(split)[:3])
    monkeypatch.setattr(
        gm.Diffusion, "sample", lambda *args, sample=gm.Diffusion.sample, **more: sample(*args, **more | {"steps": 1})
    )
    splits.count = 32
    recipe = recipe_of(name, workdir)
    expected = scores(recipe)
    if "transformer" in name:  # its samples take thousands of steps, and no picture
        recipe.samples = lambda model: ""
    training = engine.Run(recipe, engine.Settings(runs=workdir / "runs"))
    training.files.folder.mkdir(parents=True)
    put(training.ema)
    training._validate()
    (line,) = map(json.loads, training.files.lines())
    assert line["validation"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert training.files.best.is_file() and len(list(training.files.samples.iterdir())) == 1

    model = put(recipe.model)
    if recipe.snapshot:
        recipe.snapshot(model, 0)
    x, *labels = on_device(recipe.train.batch(torch.arange(2)))
    batch = (recipe.augment(x) if recipe.augment else x), *labels
    for config in recipe.optimizers:
        if recipe.anneal:
            recipe.anneal(model, 0.5)
        assert math.isfinite(getattr(model, config.method)(batch)["loss"].item())


# --- What chooses the weights: the first number of a validation, by hand ----------------------------------------------


def first_score(recipe):
    name, score = next(iter(scores(recipe).items()))
    return name, pytest.approx(score, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", ["autoencoder-mnist", "vae-mnist", "vae-fashion", "diffusion-fashion", "flow-mnist"])
def test_scores_are_means_over_all_pictures(workdir, splits, name):
    """With nine times as many pictures there is a second batch."""
    splits.repeated = 9
    recipe = recipe_of(name, workdir)
    model, val = recipe.model, splits.pictures(name.split("-")[1], "val")
    x, key, score = val.floats(), *first_score(recipe)
    assert len(x) > 500
    if key == "mse":
        assert score == (model.decode(model.encode(x)) - x).square().mean().item()
    elif key == "bits_per_dim":
        assert score == model.bits_per_dim(x).mean().item()
    elif name.startswith("diffusion"):
        g = torch.Generator().manual_seed(0)
        t = torch.rand(len(x), generator=g)
        assert score == model.error(x, val.y[:, None], t, torch.randn(x.shape, generator=g)).mean().item()
    else:
        binary = model.likelihood_name == "bernoulli"
        terms = [model.elbo(model.binarise(part) if binary else part) for part in x.split(500)]
        log_px, kl = (torch.cat(term).mean().item() for term in zip(*terms))
        numbers = scores(recipe)
        assert score == vae.BETA[name.split("-")[1]] * kl - log_px
        assert numbers["elbo"] == pytest.approx(log_px - kl, rel=1e-4) and numbers["kl"] == pytest.approx(kl, rel=1e-4)
        mse = (model.reconstruct(x) - x).square().mean()
        assert numbers["psnr"] == pytest.approx(-10 * mse.log10().item(), rel=1e-4)


def test_the_classifiers_score_is_the_share_of_errors_among_visible_labels(workdir, splits):
    splits.repeated = 20
    recipe = recipe_of("classifier-avatars", workdir)
    val = splits.pictures("avatars", "val")
    assert len(val) > 500
    predicted, visible = recipe.model.predict(val.floats()), val.y >= 0
    assert not visible.all()
    assert first_score(recipe) == ("error", (predicted != val.y)[visible].double().mean().item())
    logits = [s.detach() for s in recipe.model.logits(val.floats())]
    losses = [F.cross_entropy(s, t, ignore_index=-1, reduction="sum") for s, t in zip(logits, val.y.T)]
    # each batch of 500 counts as much, whatever is visible in it
    assert scores(recipe)["nats"] == pytest.approx(float(sum(losses) / visible.sum()), rel=0.05)


@pytest.mark.parametrize("name", ["gan-mnist", "dcgan-fashion", "gan-avatars"])
def test_the_gans_score_is_the_fid_of_pictures_with_the_labels_of_the_validation_split(workdir, splits, name):
    recipe, dataset = recipe_of(name, workdir), name.split("-")[1]
    val, judge = splits.pictures(dataset, "val"), gm.load(f"classifier-{dataset}")
    y = val.y if dataset != "avatars" else val.y[:, [list(data.ATTRIBUTES).index(a) for a in CONDITIONS]]
    fake = metrics.features(judge, recipe.model.sample(len(y), label=y, seed=0))
    real = metrics.features(judge, val.x)
    assert first_score(recipe)[0] == "fid"
    precision, recall = metrics.precision_recall(real, fake)
    expected = {"fid": metrics.fid(real, fake), "precision": precision, "recall": recall}
    assert scores(recipe) == pytest.approx(expected, rel=1e-2, abs=1e-4)


def test_pictures_for_the_gans_score_are_not_repeated():
    model = tiny.untrained(lambda: tiny.make("gan"))
    x = gan_replay.generate(model, torch.zeros(520, dtype=torch.long))
    assert len(x) == 520 and len(x.flatten(1).unique(dim=0)) == 520
    assert close(x[:250], model.sample(250, label=0, seed=0))


@pytest.mark.parametrize("name", ["denoiser-mnist", "dvae-fashion"])
def test_the_denoisers_score_is_minus_the_mean_psnr_over_the_noises(workdir, splits, name):
    recipe = recipe_of(name, workdir)
    x, psnr = splits.pictures(name.split("-")[1], "val").floats(), []
    for kind, strength in denoiser.SMALL_NOISES:
        restored = recipe.model.restore(add_noise(x, kind, strength, seed=0))
        psnr.append(metrics.psnr(restored, x).mean().item())
    assert first_score(recipe) == ("minus_psnr", -sum(psnr) / len(psnr))
    assert [v for k, v in scores(recipe).items() if k != "minus_psnr"] == pytest.approx(psnr, rel=1e-4)


def test_the_score_of_a_transformer_of_pixels_is_its_bits_given_the_class(workdir, splits):
    recipe, val = recipe_of("transformer-mnist", workdir), splits.pictures("mnist", "val")
    assert first_score(recipe) == ("bits", recipe.model.bits_per_dim(val.floats(), val.y).mean().item())


# --- Optimizers, levels, augmentation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECIPES)
def test_each_optimizer_has_a_part_and_its_loss(workdir, splits, name):
    recipe = recipe_of(name, workdir)
    assert 0 <= recipe.cooldown < 1 and 0.99 <= recipe.ema < 1 and recipe.clip > 0
    assert recipe.bits == (16 if name.startswith("flow") else 8)
    for config in recipe.optimizers:
        assert callable(getattr(recipe.model, config.method))
        if config.part:
            assert config.method == f"{config.part}_loss" and list(recipe.model.get_submodule(config.part).parameters())
    assert sorted(config.part for config in recipe.optimizers) == (["discriminator", "generator"] if "gan" in name else [""])


@pytest.mark.parametrize(
    "options, ratio, betas",
    [
        (dict(dataset="mnist"), 1, (0.0, 0.99)),
        (dict(dataset="fashion"), 0.4, (0.0, 0.99)),
        (dict(dataset="avatars"), 1, (0.0, 0.99)),
        (dict(dataset="fashion", classic=True), 1, (0.5, 0.999)),
        (dict(dataset="mnist", collapse=True), 20, (0.0, 0.99)),
    ],
)
def test_rates_of_the_two_networks_of_a_gan(workdir, splits, options, ratio, betas):
    recipe = gan.recipe(engine.Settings(runs=workdir / "runs", data_dir=data.SAMPLES), **options)
    configs = {config.part: config for config in recipe.optimizers}
    assert configs["generator"].lr / configs["discriminator"].lr == pytest.approx(ratio)
    assert configs["generator"].betas == configs["discriminator"].betas == betas
    assert isinstance(recipe.model, gm.DCGAN if options.get("classic") else gm.GAN)
    assert (recipe.anneal is None) == bool(options.get("classic"))


def test_the_flow_knows_how_frequent_the_training_pictures_grey_levels_are(workdir, splits):
    x = splits.pictures("mnist", "train").x
    counts = Counter(x.flatten().tolist())
    shares = recipe_of("flow-mnist", workdir).model.shares
    for level in (0, 128, 255):
        assert shares[level].item() == pytest.approx(0.9 * counts[level] / x.numel() + 0.1 / 256, rel=1e-4)


def corners(dataset):
    """Pictures that are bright on the left and brightest at its top: (2,000, C, H, W)."""
    channels, size, _ = data.SHAPES[dataset]
    x = torch.zeros(1, channels, size, size)
    x[..., size // 4 : size // 2, : size // 2] = 1.0
    x[..., size // 2 : 3 * size // 4, : size // 2] = 0.3
    return x.expand(2000, -1, -1, -1)


@pytest.mark.parametrize("dataset, erased", [("mnist", False), ("fashion", True), ("avatars", False)])
def test_only_clothes_have_erased_squares(workdir, splits, dataset, erased):
    """A stroke of a digit or a feature of a face that is covered would take its label along."""
    recipe = recipe_of(f"classifier-{dataset}", workdir)
    black = torch.zeros(40, recipe.model.channels, recipe.model.size, recipe.model.size)
    assert (recipe.augment(black) > 0).any().item() == erased


@pytest.mark.parametrize("dataset, mirrored", [("mnist", 0.0), ("fashion", 0.5), ("avatars", 0.0)])
def test_only_clothes_are_mirrored(workdir, splits, dataset, mirrored):
    """A mirrored 2 is no digit, and a face's parting is an attribute."""
    torch.manual_seed(0)
    x = classifier.jitter(corners(dataset), *classifier.JITTER[dataset])
    size = x.shape[-1]
    left, right = x[..., : size // 2].mean((1, 2, 3)), x[..., size // 2 :].mean((1, 2, 3))
    assert (right > left).double().mean().item() == pytest.approx(mirrored, abs=0.05)
    top, bottom = x[..., : size // 2, :].mean((1, 2, 3)), x[..., size // 2 :, :].mean((1, 2, 3))
    assert (top > bottom).double().mean() > 0.8  # never upside down
    augmented = recipe_of(f"classifier-{dataset}", workdir).augment(corners(dataset)[:500])
    assert augmented.shape == corners(dataset)[:500].shape and 0 <= augmented.min() and augmented.max() <= 1
    left, right = augmented[..., : size // 2].mean((1, 2, 3)), augmented[..., size // 2 :].mean((1, 2, 3))
    assert (right > left).double().mean().item() == pytest.approx(mirrored, abs=0.12)


# --- Samples and further files ----------------------------------------------------------------------------------------


class Asked:
    """In place of a model: records which samples it is asked for."""

    def __init__(self):
        self.labels, self.seeds = [], []

    def sample(self, n, *, label=None, seed=None, **options):
        assert len(label) == n
        self.labels.append(label)
        self.seeds.append(seed)
        return torch.zeros(n, 1, 8, 8)


@pytest.mark.parametrize("name", ["diffusion-mnist", "flow-mnist", "gan-mnist", "dcgan-fashion", "transformer-mnist"])
def test_samples_show_eight_pictures_of_each_class_in_a_row(workdir, splits, name):
    model = Asked()
    assert len(recipe_of(name, workdir).samples(model)) == 80
    assert torch.cat(model.labels).tolist() == [c for c in range(10) for _ in range(8)] and model.seeds == [0]


@pytest.mark.parametrize("name", ["diffusion-avatars", "gan-avatars"])
def test_samples_of_faces_have_the_attributes_of_validation_faces(workdir, splits, name):
    splits.repeated = 3
    model = Asked()
    recipe_of(name, workdir).samples(model)
    columns = [list(data.ATTRIBUTES).index(a) for a in CONDITIONS]
    assert torch.equal(torch.cat(model.labels), splits.pictures("avatars", "val").y[:64][:, columns])


@pytest.mark.parametrize("name", ["autoencoder-mnist", "vae-fashion"])
def test_samples_show_validation_pictures_above_their_reconstructions(workdir, splits, name):
    recipe = recipe_of(name, workdir)
    model, x = recipe.model, splits.pictures(name.split("-")[1], "val").floats()[:32]
    with torch.inference_mode():
        rows = recipe.samples(model)[:64].view(8, 8, *x.shape[1:])
        reconstruction = model.decode(model.encode(x)) if name.startswith("auto") else model.reconstruct(x)
    assert close(rows[::2].flatten(0, 1), x) and close(rows[1::2].flatten(0, 1), reconstruction)


def test_the_classifiers_samples_are_the_pictures_it_is_least_certain_of(workdir, splits):
    splits.repeated = 9
    recipe = recipe_of("classifier-mnist", workdir)
    x = splits.pictures("mnist", "val").floats()
    certainty = recipe.model.logits(x)[0].softmax(1).amax(1)
    shown = recipe.model.logits(recipe.samples(recipe.model))[0].softmax(1).amax(1)
    assert close(shown, certainty.sort().values[:64])


def test_a_vaes_latents_are_those_of_the_training_pictures(workdir, splits, tmp_path):
    recipe = recipe_of("vae-mnist", workdir)
    recipe.finish(recipe.model, tmp_path)
    latents, train = gm.vae.load_latents(tmp_path), splits.pictures("mnist", "train")
    codes = recipe.model.encode(train.floats()).mean
    assert close(latents.mean, codes.mean(0)) and list(latents.values) == ["class"]
    assert close(latents.values["class"]["3"], codes[train.y == 3].mean(0), atol=1e-4)
