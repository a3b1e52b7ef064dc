"""Measure what the Compare tab says of every family, in the same way for all, and print it as one table.

    python -m train.compare vae-mnist flow-mnist       measures; writes comparison.json and comparison.png of each checkpoint
    python -m train.compare                            prints the table of all data sets, from the cards and these files

FID depends on the number of pictures, and the cards' numbers differ: here it is the same for all, and all sample with the
defaults of `sample`. A minute or two per checkpoint on two cores; the transformer, which is slower, takes its numbers from its
card, which has as many pictures, if --generated is not changed.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor

import genmodels as gm
from genmodels import comparison, data, metrics
from train import cards
from train.engine import keep_freed_memory
from train.measures import Evaluation, distance_to_nearest, labels_to_sample

GENERATED = 2000  # pictures of each model: as many as the slowest one's card has
STRIP = 8  # pictures of comparison.png, and those whose time is measured
METRICS = ("fid", "precision", "recall", "density", "coverage")


def measure(evaluation: Evaluation) -> dict[str, Any]:
    """Numbers of `comparison.json`: those of generated pictures."""
    n, real = evaluation.generated, evaluation.data
    numbers: dict[str, Any] = {"n": n, "seed": evaluation.seed}
    classifier, train = evaluation.classifier(), evaluation.load("train")
    real_features = metrics.features(classifier, real.x)
    numbers["floor"] = metrics.fid(metrics.features(classifier, train.x[:n]), real_features)
    on_card = {r["type"]: r["value"] for r in gm.cards.metric_rows(evaluation.name) if r["args"]["N"] == n}
    if set(METRICS) <= on_card.keys():
        return numbers | {metric: on_card[metric] for metric in METRICS}
    x = generate(evaluation)
    features, m = metrics.features(classifier, x), min(n, len(real))
    numbers["fid"] = metrics.fid(features, real_features)
    values = [
        *metrics.precision_recall(real_features[:m], features[:m], k=3),
        *metrics.density_coverage(real_features[:m], features[:m], k=5),
    ]
    numbers |= dict(zip(METRICS[1:], values))
    numbers["sharpness"] = (sharpness(x) / sharpness(real.x)).item()
    if evaluation.dataset in data.CLASSES:  # of faces that would take an hour
        distances = [distance_to_nearest(part, train.x) for part in (x[:500], real.x[:500])]
        numbers["copies"] = (distances[0] < distances[1].quantile(0.01)).double().mean().item()
    return numbers


def rounded(numbers: dict[str, Any]) -> dict[str, Any]:
    return {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in numbers.items()}


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
    if getattr(evaluation.model, "values", None):
        return {"label": data.sample_attributes(n, seed=evaluation.seed)}
    return {"label": labels_to_sample(evaluation, n)} if comparison.model_classes(evaluation.model) else {}


def generate(evaluation: Evaluation, batch: int = 250) -> Tensor:
    """The samples that are measured, (n, C, H, W) uint8."""
    n, label = evaluation.generated, labels(evaluation, evaluation.generated)
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


def strip(name: str) -> None:
    """`comparison.png`: what the page shows of a checkpoint before anything is computed."""
    dataset = name.split("-")[1]
    *_, row = comparison.of_checkpoint(name, [-1] * len(gm.labels.all_conditions(dataset)), STRIP, 0)
    x = gm.pictures.sheet(row.x, STRIP)
    gm.pictures.to_image(x).save(gm.base.checkpoint_folder(name) / "comparison.png", "PNG", optimize=True)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints; none prints the table.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/, FashionMNIST/ or avatars/.")] = None,
    generated: Annotated[int, typer.Option(help="Pictures of each model.")] = GENERATED,
    costs_only: Annotated[bool, typer.Option(help="Keep the numbers of generated pictures as they are: seconds.")] = False,
) -> None:
    """Measure checkpoints for the Compare tab, or print the table of all families."""
    keep_freed_memory()
    for name in names or []:
        evaluation = Evaluation(name, generated=generated, data_dir=data_dir)
        numbers = gm.cards.read_json(name, "comparison.json")
        with torch.inference_mode():
            numbers |= rounded(costs(evaluation) | ({} if costs_only else measure(evaluation) | path_length(evaluation)))
        numbers |= {"command": f"python -m train.compare {name}"}
        cards.write_text(evaluation.folder / "comparison.json", json.dumps(numbers, indent=1) + "\n")
        strip(name)
        print(name, numbers, flush=True)
    if not names:
        for dataset in data.DATASETS:
            print(f"\n{cards.DATASETS[dataset]['title']}\n")
            print(gm.cards.comparison_table(dataset))


app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, add_completion=False)
app.command()(main)
if __name__ == "__main__":
    app()
