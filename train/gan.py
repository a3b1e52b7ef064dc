"""Generative adversarial networks.

python -m train.gan --dataset mnist --steps 16000      78 minutes on one busy core: validation FID 0.44
python -m train.gan --dataset fashion --steps 6100     47 minutes on one busy core: validation FID 1.92
python -m train.gan --dataset avatars --steps 8000     92 minutes on one busy core: validation FID 35
python -m train.gan --dataset mnist --classic    DCGAN of the same size, for comparison: dcgan-mnist
python -m train.gan --dataset mnist --collapse --steps 600 --validations 1    gan-mnist-collapsed: mode collapse on purpose
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer

import genmodels
from genmodels import data, metrics
from genmodels.base import check_number, checkpoint_root
from genmodels.gan import DCGAN, GAN
from train import cards, engine, measures
from train.cards import Card, Checkpoint, Value
from train.diffusion import CONDITIONS
from train.gan_replay import Recorder, generate

FACES = dict(channels=3, size=64, classes=[len(data.ATTRIBUTES[a]) for a in CONDITIONS], conditions=CONDITIONS)
MODEL = {
    "mnist": dict(fine=[24]),
    "fashion": dict(fine=[24], gamma=0.1, depth=3, reconstruction_weight=0.002),
    "avatars": dict(patch=4, latent=128, widths=[64, 96], depth=2, fine=[24], gamma=5.0, reconstruction_weight=0.0004, **FACES),
}
CLASSIC = {"mnist": dict(width=104), "fashion": dict(width=104), "avatars": dict(latent=128, width=34, levels=4, **FACES)}
COLUMNS = {"mnist": 30, "fashion": 30, "avatars": 16}  # pictures per snapshot of the replay
VALIDATION_SIZE = 2500  # real pictures at most, and as many generated ones


def recipe(settings: engine.Settings, dataset: str = "mnist", classic: bool = False, collapse: bool = False) -> engine.Recipe:
    """Train the GAN of `mnist`, `fashion` or `avatars`; with --classic a DCGAN, with --collapse one with mode collapse.

    Collapse is provoked: no gradient penalties, no finer stage, and a generator that learns twenty times as fast as the
    discriminator, so that all its samples move to wherever the score is high at the moment and it cannot follow.
    """
    data.check_choice("--dataset", dataset, data.DATASETS)
    if classic and collapse:
        raise ValueError("--collapse leaves out the gradient penalties, which a DCGAN does not have: drop --classic.")
    name = f"{'dcgan' if classic else 'gan'}-{dataset}{'-collapsed' if collapse else ''}"
    model: DCGAN | GAN
    if classic:
        model = DCGAN(**CLASSIC[dataset])
    elif collapse:
        model = GAN(**MODEL[dataset] | {"gamma": 0.0, "fine": []})
    else:
        model = GAN(**MODEL[dataset])
    val = data.load(dataset, "val", settings.data_dir)
    train = data.load(dataset, "train", settings.data_dir)
    if dataset == "avatars":
        columns = [list(data.ATTRIBUTES).index(a) for a in CONDITIONS]
        val = data.Pictures(val.x, val.y[:, columns])
        train = data.Pictures(train.x, train.y[:, columns])
    val = val[torch.arange(min(len(val), VALIDATION_SIZE))]
    classifier = genmodels.load(f"classifier-{dataset}")
    real_features = metrics.features(classifier, val.x)

    def validate(model):
        features = metrics.features(classifier, generate(model, val.y))
        precision, recall = metrics.precision_recall(real_features, features)
        return {"fid": metrics.fid(real_features, features), "precision": precision, "recall": recall}

    def samples(model):  # a grid with eight per class; for avatars, with the attributes of the first validation faces
        return generate(model, val.y[:64] if dataset == "avatars" else torch.arange(80) // 8)

    n = COLUMNS[dataset]
    shown = val.y[:n] if dataset == "avatars" else torch.arange(n) // (n // 10)
    replay = Recorder(settings.runs / name, shown, val)

    def anneal(model, share):  # strong penalties find all modes, weak ones fine differences: recall grows as they fall
        model.gamma = model.config["gamma"] * 0.1**share

    lr, betas = (2e-4, (0.5, 0.999)) if classic else (5e-4, (0.0, 0.99))
    rates = {"discriminator": lr, "generator": lr}
    if dataset == "fashion" and not classic:
        rates["generator"] = 0.4 * lr
    if collapse:
        rates = {"discriminator": 1e-4, "generator": 2e-3}
    return engine.Recipe(
        name=name,
        model=model,
        train=train,
        validate=validate,
        samples=samples,
        optimizers=[engine.OptimizerConfig(f"{network}_loss", network, rate, betas) for network, rate in rates.items()],
        batch=64 if classic else 32,
        minutes=45,
        clip=100.0,
        ema=0.998,
        finish=replay.finish,
        snapshot=replay.save_snapshot,
        anneal=None if classic else anneal,
    )


# --- Evaluation -----------------------------------------------------------------------------------------------------

TIME_NOTE = (
    "The DCGAN's numbers are those of its best weights on the validation split. The last line compares the two "
    "trainings after the same time on one busy core."
)
NOTES = {
    "fid": measures.FID_NOTE,
    "fid_then": TIME_NOTE,
    "precision": measures.PRECISION_NOTE,
    "cas": measures.cas_note(),
}


@dataclass
class Options(measures.Options):
    """How the pictures are sampled."""

    truncation: Annotated[float, typer.Option(help="Truncation of the latent codes.")] = 1.0

    def __post_init__(self):
        check_number("--truncation", self.truncation, 0, 1.5)


def evaluate(evaluation: measures.Evaluation, options: Options) -> measures.Evaluator:
    """Quality of the samples, accuracy of the condition, recall within each class, and a comparison with a DCGAN."""
    values = measures.Values(quality(evaluation, truncation=options.truncation))
    baseline = checkpoint_root() / evaluation.name.replace("gan-", "dcgan-", 1)
    if not (baseline / "README.md").is_file():  # it must have been measured before
        yield from values
        return values.headline
    numbers, facts = cards.read_card(baseline)
    texts = {r.metric_name: cards.format_value(r) for r in numbers if r.metric_type != "cas_sd"}
    for value in values:
        if value.label in texts:
            size, minutes = facts["parameters"] / 1e6, facts["minutes"]
            text = f"a plain DCGAN ({size:.2f} M parameters, {minutes:g} minutes): {texts[value.label]}"
            value.comparison = "; ".join(filter(None, [value.comparison, text]))
        yield value
    yield from compare_after_the_same_time(evaluation, baseline)
    return values.headline


def evaluate_dcgan(evaluation: measures.Evaluation, options: measures.Options) -> measures.Evaluator:
    """Quality of the samples, accuracy of the condition, and recall within each class."""
    return quality(evaluation)


def quality(evaluation: measures.Evaluation, **options: float) -> measures.Evaluator:
    y = measures.labels_for_quality(evaluation)
    x = evaluation.generate(y, **options)
    headline = yield from measures.sample_quality(evaluation, x, y)
    if evaluation.dataset != "avatars":
        yield from recall_within_classes(evaluation, x, y)
    return headline


def recall_within_classes(evaluation: measures.Evaluation, x: torch.Tensor, y: torch.Tensor, n: int = 1000) -> Iterator[Value]:
    """Recall within each class, divided by that of real pictures: near 1, no mode of a class is missing."""
    classifier = evaluation.classifier()
    datasets = {"real": evaluation.data, "train": evaluation.load("train"), "generated": data.Pictures(x, y)}
    rows = []
    for c in range(10):
        features = {kind: metrics.features(classifier, p.x[p.y == c][:n]) for kind, p in datasets.items()}
        k = min(map(len, features.values()))
        real = features["real"][:k]
        recall = metrics.precision_recall(real, features["generated"][:k], k=3)[1]
        ceiling = metrics.precision_recall(real, features["train"][:k], k=3)[1]
        rows.append((recall / ceiling, c, recall, ceiling, k))
    lowest, c, recall, ceiling, _ = min(rows)
    yield Value(
        "ratio",
        "recall within a class divided by that of training pictures, the lowest of ten, k = 3",
        lowest,
        n=min(k for *_, k in rows),
        seeded=True,
        comparison=f"class {c}: {recall:.1%}, training pictures {ceiling:.1%}; mean of the ten: "
        f"{sum(ratio for ratio, *_ in rows) / len(rows):.3f}",
    )


def compare_after_the_same_time(evaluation: measures.Evaluation, baseline: Path) -> Iterator[Value]:
    """The lowest FID to the validation split that both trainings had reached when the shorter one ended."""
    curve, baseline_curve = validation_curve(evaluation.folder), validation_curve(baseline)
    minutes = min(curve[-1][0], baseline_curve[-1][0])
    lowest, baseline_lowest = (
        min((fid for minute, fid in fids if minute <= minutes), default=None) for fids in (curve, baseline_curve)
    )
    if lowest is not None:
        yield Value(
            "fid_then",
            f"lowest FID to the validation split in the first {minutes:.1f} minutes of training",
            lowest,
            n=min(VALIDATION_SIZE, len(evaluation.load("val"))),
            comparison=f"the plain DCGAN in the same time: {baseline_lowest:.4g}",
            split="val",
        )


def validation_curve(folder: Path) -> list[tuple[float, float]]:
    """[(minute, FID)] of a GAN's last training run, assuming that all its steps took the same time."""
    curve = []
    for text in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if "run" in line:
            curve, minutes_per_step = [], line["run"]["minutes"] / line["run"]["steps"]
        elif "validation" in line:
            curve.append((line["step"] * minutes_per_step, line["validation"]["fid"]))
    return curve


def reference_values(model: GAN | DCGAN, dataset: str) -> dict[str, torch.Tensor]:
    pictures = measures.reference_pictures(dataset)
    y = measures.condition_labels(model, pictures, dataset)
    return {
        "score": model.score(pictures.floats(), y),
        "mean_of_sample": model.sample(len(y), label=y, seed=0).mean((1, 2, 3)),
    }


def card(checkpoint: Checkpoint) -> Card:
    model, label = checkpoint.model, measures.example_label(checkpoint.model)
    gamma, reconstruction_weight = model.config["gamma"], model.config["reconstruction_weight"]
    penalty = f"gamma {gamma:g}, falling towards {gamma / 10:g} during training" if gamma else "switched off: gamma 0"
    what = (
        f"A conditional generative adversarial network ({', '.join(model.conditions)}): residual generator and discriminator, "
        f"the relativistic objective with the gradient penalties R1 and R2 ({penalty})."
    )
    if reconstruction_weight:
        what += (
            " Its generator has a second task, that of a VAE: an encoder gives each training picture a code, from which the "
            "generator reconstructs it (Larsen et al., [Autoencoding beyond pixels](https://arxiv.org/abs/1512.09300), 2016), "
            f"with a weight of {reconstruction_weight:g}."
        )
    return Card(
        task="unconditional-image-generation",
        paper="Goodfellow et al. 2014; Huang et al. 2024",
        reference="Goodfellow et al., [Generative adversarial networks](https://arxiv.org/abs/1406.2661) (2014); Mescheder, "
        "Geiger and Nowozin, [Which training methods for GANs do actually converge?](https://arxiv.org/abs/1801.04406) (2018); "
        "Jolicoeur-Martineau, [The relativistic discriminator](https://arxiv.org/abs/1807.00734) (2018); Huang et al., "
        "[The GAN is dead; long live the GAN! A modern GAN baseline](https://arxiv.org/abs/2501.05441) (2024); Karras, Laine "
        "and Aila, [A style-based generator architecture](https://arxiv.org/abs/1812.04948) (2019).",
        what=what,
        code=f"x = model.sample(16, label={label}, truncation=0.8, seed=0)\nmodel.score(x, {label})  # by the discriminator",
        use="Generating pictures of a class in one pass; interpolation and directions in latent space; seeing the "
        "discriminator's scores; teaching.",
        limits=f"{measures.OWN_FEATURES} The model has no likelihood, and a picture that it cannot generate has no code. Its "
        "discriminator knows only the faults of this generator: it is not a detector of generated pictures. Every sample looks "
        f"like {checkpoint.title}, whatever the condition.",
        notes=NOTES,
    )


def dcgan_card(checkpoint: Checkpoint) -> Card:
    label = measures.example_label(checkpoint.model)
    return Card(
        task="unconditional-image-generation",
        paper="Radford, Metz and Chintala 2015",
        reference="Radford, Metz and Chintala, [Unsupervised representation learning with deep convolutional generative "
        "adversarial networks](https://arxiv.org/abs/1511.06434) (2015); Mirza and Osindero, "
        "[Conditional generative adversarial nets](https://arxiv.org/abs/1411.1784) (2014).",
        what=f"The classic baseline: a conditional DCGAN ({', '.join(checkpoint.model.conditions)}) with the non-saturating "
        "loss.",
        code=f"x = model.sample(16, label={label}, seed=0)\nmodel.score(x, {label})",
        use="A baseline; teaching.",
        limits=f"{measures.OWN_FEATURES} Every sample looks like {checkpoint.title}, whatever the condition.",
        notes=NOTES,
    )


FAMILIES = {
    "gan": measures.Family(evaluate=evaluate, card=card, reference_values=reference_values, options=Options),
    "dcgan": measures.Family(evaluate=evaluate_dcgan, card=dcgan_card, reference_values=reference_values),
}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
