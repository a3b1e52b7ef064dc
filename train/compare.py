"""Measure what the Compare tab says of every family, in the same way for all, and print it as one table.

    python -m train.compare vae-mnist flow-mnist       measures; writes comparison.json, comparison.png and nearest.png of each
    python -m train.compare                            prints the table of all data sets, from the cards and these files
    python -m train.compare --table                    writes it into README.md

FID depends on the number of pictures, and the cards' numbers differ: here it is the same for all, and all sample with the
defaults of `sample`. A minute or two per checkpoint on two cores; what a card has of as many pictures, as that of
the transformer, which is slow, is taken from there.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import typer
from torch import Tensor

import genmodels as gm
from genmodels import comparison, data, metrics
from train import cards
from train.engine import keep_freed_memory
from train.evaluate import rewrite_card
from train.measures import Evaluation, labels_to_sample, nearest

GENERATED = 2000  # pictures of each model: as many as the slowest one's card has
FEW = 500  # pictures of which the pixels are measured
STRIP = 8  # pictures of comparison.png and of nearest.png, and those whose time is measured
METRICS = ("fid", "precision", "recall", "density", "coverage")


def quality(evaluation: Evaluation) -> dict[str, Any]:
    """Numbers of `comparison.json`: those of generated pictures, in the features of a classifier."""
    n, real = evaluation.generated, evaluation.data
    numbers: dict[str, Any] = {"n": n, "seed": evaluation.seed}
    classifier, train = evaluation.classifier(), evaluation.load("train")
    real_features = metrics.features(classifier, real.x)
    numbers["floor"] = metrics.fid(metrics.features(classifier, train.x[:n]), real_features)
    on_card = {r["type"]: r["value"] for r in gm.cards.metric_rows(evaluation.name) if r["args"]["N"] == n}
    if set(METRICS) <= on_card.keys():
        return numbers | {metric: on_card[metric] for metric in METRICS}
    features, m = metrics.features(classifier, generate(evaluation, n)), min(n, len(real))
    values = [
        metrics.fid(features, real_features),
        *metrics.precision_recall(real_features[:m], features[:m], k=3),
        *metrics.density_coverage(real_features[:m], features[:m], k=5),
    ]
    return numbers | dict(zip(METRICS, values))


def pixels(evaluation: Evaluation) -> dict[str, Any]:
    """Numbers of `comparison.json`: those of the pixels of a few generated pictures."""
    n, train = min(evaluation.generated, FEW), evaluation.load("train").x
    x, real = generate(evaluation, n), evaluation.data.x
    # 99 % of test pictures are further from the nearest training picture.
    limit = evaluation.cached(
        f"nearest-{evaluation.dataset}-{evaluation.split}",
        lambda: nearest(real[:GENERATED], train)[0].quantile(0.01).item(),
    )
    return {
        "sharpness": (sharpness(x) / sharpness(real)).item(),
        "copies": (nearest(x, train)[0] < limit).double().mean().item(),
        "copies_n": n,
        "copies_limit": limit,
    }


def rounded(numbers: dict[str, Any]) -> dict[str, Any]:
    def short(value):
        return float(f"{value:.6g}") if isinstance(value, float) else value

    return {name: [*map(short, value)] if isinstance(value, list) else short(value) for name, value in numbers.items()}


def costs(evaluation: Evaluation) -> dict[str, Any]:
    """Numbers of `comparison.json`: what a sample costs."""
    model = evaluation.model
    return {
        "seconds_per_sample": seconds_per_sample(evaluation),
        "calls": model.sampling_calls,
        "parameters": comparison.parameter_count(model),
    }


def path_length(evaluation: Evaluation, pairs: int = 20, steps: int = 17) -> dict[str, Any]:
    """Number of `comparison.json`: length of the paths between test pictures in the classifier's features, divided by the
    distance of their ends. Of models with codes of given pictures."""
    x, ratios = evaluation.data[: 2 * pairs].floats(), []
    for start, end in zip(x[::2].split(1), x[1::2].split(1)):
        try:
            frames = evaluation.model.path(start, end, steps)
        except ValueError:
            return {}
        features = metrics.features(evaluation.classifier(), frames)
        ratios.append(features.diff(dim=0).norm(dim=1).sum() / (features[-1] - features[0]).norm())
    return {"path": torch.stack(ratios).mean().item()}


def seconds_per_sample(evaluation: Evaluation, repeats: int = 3) -> float:
    """Of one thread, which other programs do not slow: as many samples in one call as a row of the page has."""
    label, times, threads = labels(evaluation, STRIP), [], torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(repeats):
        started = time.thread_time()
        evaluation.model.sample(STRIP, **label, seed=0)
        times.append(time.thread_time() - started)
    torch.set_num_threads(threads)
    return min(times) / STRIP


def labels(evaluation: Evaluation, n: int) -> dict[str, Tensor]:
    """Of n samples: the classes in turn, the attributes of real faces, or none."""
    return {"label": labels_to_sample(evaluation, n)} if comparison.model_classes(evaluation.model) else {}


def generate(evaluation: Evaluation, n: int, batch: int = 250) -> Tensor:
    """The samples that are measured, (n, C, H, W) uint8."""
    label = labels(evaluation, n)
    pictures = []
    for first in range(0, n, batch):
        options = {name: y[first : first + batch] for name, y in label.items()}
        x = evaluation.model.sample(min(batch, n - first), **options, seed=evaluation.seed + first)
        pictures.append((255 * x).round().byte())
    return torch.cat(pictures)


def sharpness(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels."""
    x = x.float()
    return (x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()) / 2


def strips(evaluation: Evaluation) -> dict[str, Any]:
    """Writes `comparison.png`, what the page shows of a checkpoint before anything is computed, and `nearest.png`, the training
    picture nearest to each of these samples. Numbers of `comparison.json`: their distances, as those of `copies`."""
    *_, row = comparison.of_checkpoint(evaluation.name, [-1] * len(gm.labels.all_conditions(evaluation.dataset)), STRIP, 0)
    x, train = (255 * row.x).round().byte(), evaluation.load("train").x
    distances, positions = nearest(x, train)
    for file, pictures in (("comparison.png", x), ("nearest.png", train[positions])):
        image = gm.pictures.to_image(gm.pictures.sheet(pictures.float() / 255, STRIP))
        image.save(evaluation.folder / file, "PNG", optimize=True)
    return {"nearest": distances.tolist()}


PARTS = {"costs": costs, "quality": quality, "pixels": pixels, "path": path_length, "strips": strips}


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints; none prints the table.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/, FashionMNIST/ or avatars/.")] = None,
    generated: Annotated[int, typer.Option(help="Pictures of each model.")] = GENERATED,
    only: Annotated[
        Literal["costs", "quality", "pixels", "path", "strips"] | None,
        typer.Option(help="Measure this again, and keep the other numbers as they are."),
    ] = None,
    table: Annotated[bool, typer.Option("--table", help="Write the table into the README.")] = False,
    readme: Annotated[Path, typer.Option(help="The README for --table.")] = cards.README,
) -> None:
    """Measure checkpoints for the Compare tab, or print the table of all families."""
    keep_freed_memory()
    for name in names or []:
        evaluation = Evaluation(name, generated=generated, data_dir=data_dir)
        numbers = gm.cards.read_json(name, "comparison.json")
        with torch.inference_mode():
            for part in [only] if only else PARTS:
                numbers |= rounded(PARTS[part](evaluation))
        numbers |= {"command": f"python -m train.compare {name}"}
        cards.write_text(evaluation.folder / "comparison.json", json.dumps(numbers, indent=1) + "\n")
        if (evaluation.folder / "README.md").is_file():  # the card says how many are copies
            rewrite_card(evaluation)
        print(name, numbers, flush=True)
    if not names:
        print(gm.cards.comparison_table(data.DATASETS))
    if table:
        cards.insert_table(readme, gm.cards.comparison_table(data.DATASETS), "comparison")


app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)
app.command()(main)
if __name__ == "__main__":
    app()
