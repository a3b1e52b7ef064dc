"""What evaluations of several families share: the checkpoint that is measured, FID, CAS, precision, recall and others.

An evaluator is a generator. It yields `cards.Value`s, each with the floor, ceiling or baseline to read it by, and returns its
headline for the table of models. One evaluator passes on another's values and gets its headline by `yield from`.
"""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

import genmodels as gm
from genmodels import data, metrics
from genmodels.base import check_number
from train import cards, folder, photographs, texts
from train.cards import Card, Checkpoint, Value

Evaluator = Generator[Value, None, str]
GENERATED = 10_000  # pictures, if no other number is given


@dataclass
class Options:
    """The options of a family's evaluation: none. A family's own class has fields, with typer's help, and checks them."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the checkpoints of a family are measured, and what their cards say."""

    evaluate: Callable[["Evaluation", Any], Evaluator]  # (evaluation, options) -> values; may write files of the checkpoint
    card: Callable[[Checkpoint], Card]
    reference_values: Callable[[Any, str], dict[str, Tensor]]  # (model, dataset) -> numbers that recognise the checkpoint
    options: type[Options] = Options


def batches(model: Any, pictures: data.Pictures, n: int = 500) -> Iterator[tuple[Tensor, Tensor]]:
    """Pictures (B, C, H, W) in [0, 1] and their labels (B, K), n at a time, where the model is."""
    for part in torch.arange(len(pictures)).split(n):
        x, y = pictures.batch(part)
        yield x.to(model.device), y.view(len(part), -1).to(model.device)


class Values:
    """The values of an evaluator; after the last one, `headline` is what it returned."""

    headline: str

    def __init__(self, values: Evaluator) -> None:
        self.values = values

    def __iter__(self) -> Iterator[Value]:
        self.headline = yield from self.values


class Evaluation(Checkpoint):
    """A checkpoint, and the data and settings with which it is measured.

    pictures: only the first of the split, for a quick look; generated: pictures to generate; runs: folder of the cache;
    data_dir: of an own dataset, its folder or the file of its text; own: that dataset, if it has been read already.
    """

    def __init__(
        self,
        name: str | Path,
        split: str = "test",
        generated: int = GENERATED,
        seed: int = 0,
        data_dir: Path | None = None,
        runs: Path = Path("runs"),
        pictures: int | None = None,
        own: Any = None,
    ) -> None:
        check_number("--generated", generated, 10, 100_000, whole=True)
        check_number("--seed", seed, 0, 2**31, whole=True)
        super().__init__(name)
        self.split, self.generated, self.seed, self.data_dir = split, generated, seed, data_dir
        self.cache, self.own_data = runs / "evaluate", own
        self.weights_hash = hashlib.sha256((self.folder / "model.safetensors").read_bytes()).hexdigest()[:12]
        self.data = self.load(split)[:pictures]

    def load(self, split: str) -> Any:
        """Pictures, a list of photographs, or the characters or the poems of a text."""
        if self.own:
            self.own_data = self.own_data or read_own(self.own, self.data_dir)
            return getattr(self.own_data, split)
        if self.dataset in ("photo", "camera"):
            return photographs.load(split, self.data_dir)
        if self.dataset in texts.DATASETS:
            return texts.DATASETS[self.dataset](split)
        return data.load(self.dataset, split, self.data_dir)

    def classifier(self) -> Any:
        return gm.load(f"classifier-{self.dataset}")

    def map_batches(self, f: Callable[[Tensor], Tensor], x: Tensor, batch: int = 500) -> Tensor:
        """f applied to pictures x (N, C, H, W), uint8 or floats, one batch of floats after another: (N, ...)."""
        return torch.cat([f(part.float() / 255 if part.dtype == torch.uint8 else part) for part in x.split(batch)])

    def cached(self, name: str, compute: Callable[..., Any], *args: Any) -> Any:
        """compute(*args) as JSON represents it, or the result that an earlier start stored under the same name."""
        file = self.cache / f"{name}.json"
        if not file.is_file():
            value = compute(*args)
            file.parent.mkdir(parents=True, exist_ok=True)
            cards.write_text(file, json.dumps(value))
        return json.loads(file.read_text(encoding="utf-8"))

    def generate(self, y: Tensor, batch: int = 500, **options: Any) -> Tensor:
        """Generate pictures with labels y (N, ...), uint8. Each batch is cached in a file, so that a restart resumes there."""
        values = "-".join(f"{v}" for v in options.values())
        folder = self.cache / f"{self.name}-{self.weights_hash}-{len(y)}-{values}-{self.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        for first in tqdm(range(0, len(y), batch), desc=f"{len(y):,} pictures, {values}", unit="batch", disable=None):
            file, labels = folder / f"{first}.npy", y[first : first + batch]
            if not file.is_file():
                # another seed for each batch: the noise must differ
                x = self.model.sample(len(labels), label=labels, seed=self.seed + first, **options)
                save_array(file, (x * 255).round().to(torch.uint8).cpu().numpy())
            pictures.append(torch.from_numpy(np.load(file)))
        return torch.cat(pictures)

    def command(self, options: Options) -> str:
        """The command line that repeats this evaluation."""
        default, values = type(options)(), {"generated": self.generated, "seed": self.seed} | asdict(options)
        defaults = {"generated": GENERATED, "seed": 0} | asdict(default)
        changed = [f"--{k} {v}" for k, v in values.items() if v != defaults[k]]
        where = ["--data-dir", "FILE" if "text" in self.own else "FOLDER"] if self.own else []
        return " ".join(["python -m train.evaluate", self.name, *where, *changed])


def read_own(facts: dict[str, Any], data_dir: Path | None) -> Any:
    """An own dataset, read again. facts: what a checkpoint's `data.json` says of it."""
    if "text" in facts:
        return texts.read_own(data_dir, facts["name"], "--data-dir")
    own = folder.load(data_dir, facts["size"], facts["name"])
    if (own.classes, own.channels) != (facts["classes"], facts["channels"]):
        raise data.DataError(
            f"{data_dir} has other classes or colours than the folder of the training: {', '.join(own.classes)}."
        )
    return own


def save_array(file: Path, array: np.ndarray) -> None:
    """Write a .npy file atomically."""
    temporary = file.with_suffix(".new")
    with open(temporary, "wb") as f:
        np.save(f, array)
    os.replace(temporary, file)


# --- Notes and texts of cards ---------------------------------------------------------------------------------------

OWN_FEATURES = (
    "FID is measured in the features of this repository's own classifier: compare it only with its floor and with numbers in "
    "the same features and of the same N."
)
WITHOUT_CLASSIFIER = (
    "FID, precision, recall, CAS and how often the class is recognised are not among the numbers: they need a classifier "
    "trained on these pictures, and there is none."
)


def features_note(checkpoint: Checkpoint) -> str:
    """A card's sentence on the features of its metrics, or on why they are missing."""
    return WITHOUT_CLASSIFIER if checkpoint.own else OWN_FEATURES


FID_NOTE = (
    "FID: Frechet distance ([Heusel et al. 2017](https://arxiv.org/abs/1706.08500)) of Gaussians fitted to the features "
    "of both sets, float64; lower is better, and one number for quality and variety together. The features are those of this "
    "repository's own classifier, not Inception's. It is biased upwards, the more the fewer pictures ([Chong and Forsyth "
    "2020](https://arxiv.org/abs/1911.07023)): compare only the same N. Its floor is that of real pictures against real ones."
)
PRECISION_NOTE = (
    "Precision and recall ([Kynkaanniemi et al. 2019](https://arxiv.org/abs/1904.06991)) take the two apart: the "
    "share of generated pictures that lie near a real one (quality), and of real ones that lie near a generated one (variety). "
    "Near means within the distance of a picture's k-th neighbour in its own set, so that outliers reach far; density and "
    "coverage ([Naeem et al. 2020](https://arxiv.org/abs/2002.09797)) are more robust: within how many real pictures' radii a "
    "generated one lies, divided by k, and the share of real pictures with a generated one in their radius."
)


def cas_note(per_class: int = 2000) -> str:
    return (
        "CAS, the classification accuracy score ([Ravuri and Vinyals 2019](https://arxiv.org/abs/1905.10887)): a classifier "
        "trained on generated pictures alone classifies real ones; what the generator gets wrong or leaves out costs accuracy. "
        f"`genmodels.metrics.cas`, {per_class:,} pictures per class, five epochs, no augmentation."
    )


SAMPLE_NOTES = {"fid": FID_NOTE, "precision": PRECISION_NOTE, "cas": cas_note()}  # of generated pictures
OWN_NOTES = {
    "frechet": "Frechet distance in random features: as FID is measured, but in the features of a network with random weights, "
    "as [Naeem et al. 2020](https://arxiv.org/abs/2002.09797) propose for pictures unlike those of ImageNet. It sees colours, "
    "layout and coarse shapes. Compare it only with the number beside it and with other models of the same pictures.",
    "nearest": "Distance to the nearest training picture: a generator that repeats its training pictures has a far smaller one "
    "than pictures that it has not seen.",
}


def example_label(model: Any) -> int | list[int]:
    """A label for the lines of Python on the card of a conditional model."""
    return min(3, model.classes[0] - 1) if len(model.classes) == 1 else [1] * len(model.classes)


def conditions_in_words(checkpoint: Checkpoint, kind: str) -> str:
    """What a card calls a model: "conditional diffusion model (class)", and what the rows of its samples are."""
    model = checkpoint.model
    if model.classes == [1]:
        return kind
    rows = f"; each row of the picture is a class: {', '.join(checkpoint.own['classes'][:10])}" if checkpoint.own else ""
    return f"conditional {kind} ({', '.join(model.conditions)}{rows})"


# --- Reference values -----------------------------------------------------------------------------------------------


def reference_pictures(dataset: str, n: int = 16) -> data.Pictures:
    """The sample pictures by whose numbers a test recognises a checkpoint."""
    return data.samples("photo" if dataset == "camera" else dataset)[:n]


def condition_labels(model: Any, pictures: data.Pictures, dataset: str) -> Tensor:
    """The labels of pictures that a conditional model takes, (N, attributes)."""
    columns = [list(data.ATTRIBUTES).index(a) for a in model.conditions] if dataset == "avatars" else [0]
    return pictures.y.view(len(pictures), -1)[:, columns]


# --- Reconstructions and latent codes -------------------------------------------------------------------------------


def reconstruction_quality(evaluation: Evaluation) -> Evaluator:
    """PSNR and SSIM of decode(mean code), compared with the same number of principal components. Returns a headline."""
    x, latent = evaluation.data.x, evaluation.model.latent
    reconstruction = evaluation.map_batches(evaluation.model.reconstruct, x)
    psnr_comparison, ssim_comparison = "", "1: identical pictures"
    if evaluation.dataset in data.CLASSES:  # elsewhere the covariance of up to 12,288 values is too large for PCA
        linear = metrics.pca(evaluation.load("train").x, latent).reconstruct(x).clamp(0, 1)
        psnr_comparison = f"PCA with {latent} components: {metrics.psnr(linear, x).mean():.4g}"
        ssim_comparison = f"PCA with {latent} components: {metrics.ssim(linear, x).mean():.4g}"
    psnr = Value(
        "psnr",
        "PSNR of reconstructions, dB, mean over pictures",
        metrics.psnr(reconstruction, x).mean().item(),
        comparison=psnr_comparison,
    )
    yield psnr
    ssim = metrics.ssim(reconstruction, x).mean().item()
    yield Value("ssim", "SSIM of reconstructions", ssim, comparison=ssim_comparison)
    return f"PSNR {psnr} dB"


def classes_on_latent_map(evaluation: Evaluation, codes: Tensor, side: int = 30) -> Iterator[Value]:
    """How many classes a classifier recognises on a grid over the central 98 % of the pictures' codes (N, 2)."""
    low, high = codes.quantile(torch.tensor([0.01, 0.99]), dim=0).tolist()
    z = torch.cartesian_prod(*(torch.linspace(a, b, side) for a, b in zip(low, high)))
    counts = evaluation.classifier().predict(evaluation.model.decode(z))[:, 0].bincount(minlength=10)
    yield Value(
        "classes",
        f"classes recognised by classifier-{evaluation.dataset} on a {side}x{side} map of the latent space",
        (counts > 0).sum().item(),
        n=side**2,
        comparison=f"of 10; the rarest covers {counts.min() / side**2:.1%} of the map",
    )


# --- Generated pictures ---------------------------------------------------------------------------------------------


def random_features(x: Tensor, reference: Tensor) -> Tensor:
    """Features (N, 64) of pictures x in a network with random weights, normalized over the reference pictures.

    Always the same network for pictures of one shape; the global random state stays as it is.
    """
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = gm.Classifier(channels=x.shape[1], size=x.shape[2], stem=2 if x.shape[2] > 32 else 1, features=64)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.momentum = 1.0  # the statistics of the last batch
        network.train().features(reference[:500].float() / 255)
        return metrics.features(network.eval(), x)


def own_samples(evaluation: Evaluation, x: Tensor) -> Evaluator:
    """What can be said of pictures x generated after an own dataset without a classifier of it. Returns a headline."""
    train, real = evaluation.load("train").x, evaluation.data.x
    n = min(len(x), len(train))
    features = [random_features(part, train) for part in (x[:n], train[:n], real)]
    distance, floor = (metrics.fid(part, features[2]) for part in features[:2])
    frechet = Value(
        "frechet",
        f"Frechet distance of generated pictures to the {evaluation.split} split, in random features",
        distance,
        n=n,
        comparison=f"as many training pictures: {floor:.4g}",
        seeded=True,
    )
    yield frechet
    generated, of_real = (nearest(part, train)[0].median().item() for part in (x[:n], real))
    yield Value(
        "nearest",
        "distance to the nearest training picture, root mean square over the pixels, median of generated pictures",
        generated,
        n=n,
        comparison=f"{evaluation.split} pictures: {of_real:.4g}; 0: a copy, 1: the negative of a black and white picture",
        seeded=True,
    )
    return f"Frechet distance in random features {frechet} (real pictures {floor:.4g})"


def nearest(x: Tensor, train: Tensor) -> tuple[Tensor, Tensor]:
    """Root mean square difference of each picture of x (N, C, H, W) to the nearest of train, and that one's number: (N,) each.

    Both are uint8 or floats.
    """
    flat, reference = ((p.float() / 255 if p.dtype == torch.uint8 else p).flatten(1) for p in (x, train))
    found = [torch.cdist(part, reference).min(1) for part in flat.split(200)]
    return torch.cat([part.values for part in found]) / flat.shape[1] ** 0.5, torch.cat([part.indices for part in found])


def sample_quality(evaluation: Evaluation, x: Tensor, y: Tensor) -> Evaluator:
    """All of the following, of a conditional generator's pictures x with labels y; faces have no CAS."""
    recognised = yield from condition_accuracy(evaluation, x, y)
    headline = [recognised]
    if evaluation.dataset != "avatars":
        cas = yield from classification_accuracy_score(evaluation, x, y)
        headline = [cas, recognised]
    fid = yield from compare_with_real(evaluation, x[: evaluation.generated])
    return ", ".join([*headline, fid])


def labels_for_quality(evaluation: Evaluation) -> Tensor:
    """Labels of the pictures that `sample_quality` takes: CAS needs twice as many as FID."""
    n = evaluation.generated
    return labels_to_sample(evaluation, n if evaluation.dataset == "avatars" else 2 * n)


def labels_to_sample(evaluation: Evaluation, n: int) -> Tensor:
    """n labels for a conditional model: the classes in turn, or the attributes of the split's real faces in turn."""
    if evaluation.dataset != "avatars":
        return torch.arange(n) % (len(evaluation.own["classes"]) if evaluation.own else 10)
    columns = [list(data.ATTRIBUTES).index(a) for a in evaluation.model.conditions]
    return evaluation.data.y[:, columns].repeat(-(-n // len(evaluation.data)), 1)[:n]


def compare_with_real(evaluation: Evaluation, x: Tensor, linear: metrics.PCA | None = None) -> Evaluator:
    """FID, precision, recall, density and coverage of generated pictures x against real ones. Returns a headline.

    The floor is the same measure of as many training pictures as were generated, so that N is the same. Because the
    classifier was trained on those, the distance between the two halves of the split is reported too. linear: a `metrics.PCA`
    whose samples are a baseline.
    """
    classifier, n = evaluation.classifier(), len(x)
    real = metrics.features(classifier, evaluation.data.x)
    train = metrics.features(classifier, evaluation.load("train").x[:n])
    fake = metrics.features(classifier, x)
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(evaluation.seed))
    halves = metrics.fid(real[order[::2]], real[order[1::2]])
    floor = metrics.fid(train, real)
    comparison = (
        f"first {len(train):,} training pictures: {floor:.4g}; "
        f"random halves of the {evaluation.split} split to each other: {halves:.4g}"
    )
    if linear:
        linear_features = metrics.features(classifier, linear.sample(n, seed=evaluation.seed))
        comparison += (
            f"; Gaussian fitted to the training split's first {len(linear.variance)} principal components: "
            f"{metrics.fid(linear_features, real):.4g}"
        )
    fid = Value(
        "fid",
        f"FID of generated pictures to the {evaluation.split} split, features of classifier-{evaluation.dataset}",
        metrics.fid(fake, real),
        n=n,
        comparison=comparison,
        seeded=True,
    )
    yield fid
    n = min(map(len, (real, train, fake)))  # the following depend on both sizes
    real, train, fake = real[:n], train[:n], fake[:n]
    neighbours = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}
    values, ceilings = (
        [*metrics.precision_recall(real, features, k=3), *metrics.density_coverage(real, features, k=5)]
        for features in (fake, train)
    )
    for (metric, k), value, ceiling in zip(neighbours.items(), values, ceilings):
        yield Value(
            metric,
            f"{metric} of generated pictures, k = {k}",
            value,
            n=n,
            comparison=f"training pictures: {ceiling:.3f}",
            seeded=True,
        )
    return f"FID {fid} ({len(x):,} pictures; real ones {floor:.3g})"


def condition_accuracy(evaluation: Evaluation, x: Tensor, y: Tensor) -> Evaluator:
    """On what share of the generated pictures x the classifier recognises their labels y. Returns a headline."""
    classifier, attributes = evaluation.classifier(), {"class": 0}  # name -> column of the classifier's predictions
    if evaluation.dataset == "avatars":
        attributes = {a: list(data.ATTRIBUTES).index(a) for a in evaluation.model.conditions}
    predicted = evaluation.map_batches(classifier.predict, x)
    predicted_real = evaluation.map_batches(classifier.predict, evaluation.data.x)
    true_labels, shares = evaluation.data.y.view(len(evaluation.data), -1), {}
    for (attribute, i), labels in zip(attributes.items(), y.view(len(y), -1).T):
        correct = (predicted[:, i] == labels)[labels >= 0]
        correct_real = (predicted_real[:, i] == true_labels[:, i])[true_labels[:, i] >= 0]
        shares[attribute] = correct.double().mean().item()
        yield Value(
            "share",
            f"requested {attribute} recognised by classifier-{evaluation.dataset}",
            shares[attribute],
            n=len(correct),
            comparison=f"on real pictures: {correct_real.double().mean():.2%}",
            seeded=True,
        )
    lowest = min(shares, key=lambda attribute: shares[attribute])
    return f"{lowest} recognised {shares[lowest]:.1%}" + (" (the lowest)" if len(shares) > 1 else "")


def classification_accuracy_score(evaluation: Evaluation, x: Tensor, y: Tensor, per_class: int | None = None) -> Evaluator:
    """CAS of generated pictures x with classes y. Returns a headline.

    per_class: fewer than the frozen protocol's 2,000, for models that sample slowly; the real pictures are then as few.
    """
    train, n = evaluation.load("train"), 10 * (per_class or 2000)
    generated_hash = hashlib.sha256(x.numpy().tobytes()).hexdigest()[:12]
    options: dict[str, Any] = {"per_class": per_class} if per_class else {}

    def measure(key: str, pictures: Tensor, labels: Tensor) -> metrics.CAS:
        name = "-".join(["cas", evaluation.dataset, evaluation.split, key, *map(str, options.values())])
        test = evaluation.data
        return metrics.CAS(*evaluation.cached(name, lambda: metrics.cas(pictures, labels, test.x, test.y, **options)))

    generated, real = measure(generated_hash, x, y), measure("real", train.x, train.y)
    note = f", with {n:,} pictures instead of 20,000" if options else ""
    cas = Value(
        "cas",
        f"CAS: accuracy on real pictures of a small CNN trained on generated ones, mean of 3 seeds{note}",
        generated.mean,
        n=n,
        comparison=f"trained on {n:,} real pictures: {real.mean:.2%}",
        seeded=True,
    )
    yield cas
    yield Value(
        "cas_sd",
        "CAS: its standard deviation over the three seeds",
        generated.sd,
        n=n,
        comparison=f"trained on real pictures: {real.sd:.2%}",
    )
    return f"CAS {cas} (real pictures {real.mean:.1%}{note})"


def write_methods(evaluation: Evaluation, text: str, columns: list[str], rows: list[list[str]]) -> None:
    """`table.json` of a denoiser: all methods side by side, for the card."""
    if evaluation.split == "test":
        table = {"text": text, "columns": ["noise", *columns], "rows": rows}
        cards.write_text(evaluation.folder / "table.json", json.dumps(table) + "\n")
