"""Train the diffusion models.

    python -m train.diffusion --dataset mnist --steps 16000 --precision bf16 --compile     76 minutes on one busy core:
                                                                                           validation loss 0.0971
    python -m train.diffusion --dataset fashion      60 minutes on one busy core, 10,200 steps by AdamW: validation loss 0.134
    python -m train.diffusion --dataset avatars      45 minutes on one busy core, 5,300 steps by AdamW: validation loss 0.033
    python -m train.diffusion --dataset folder --data-dir my/pictures     30 minutes, your own pictures: see train/folder.py

The shipped models of clothes and avatars were trained by an earlier recipe, AdamW with a rate of 0.0015 that fell in the last
fifth. On digits the validation loss after 400 steps is 0.134 by Muon, 0.145 by AdamW.
The network of the avatars predicts the clean picture (see `predicts` of the model): do not compare its loss with the others.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import torch
import typer

from genmodels import data, metrics
from genmodels.base import check_choice, check_number, generator
from genmodels.diffusion import GUIDANCE, SAMPLERS, Diffusion
from train import cards, engine, folder, measures
from train.cards import Card, Checkpoint, Value

CONDITIONS = ["smiling", "glasses", "hair_color", "hair_length"]  # the avatars' attributes that the model is conditioned on
MODEL = {
    "mnist": dict(),
    "fashion": dict(),
    "avatars": dict(
        channels=3,
        size=64,
        classes=[len(data.ATTRIBUTES[a]) for a in CONDITIONS],
        conditions=CONDITIONS,
        patch=4,
        predicts="x0",
    ),
}


def recipe(
    settings: engine.Settings, dataset: str = "mnist", size: folder.Size = None, name: folder.Name = None
) -> engine.Recipe:
    """Train the diffusion model of `mnist`, `fashion`, `avatars` or a `folder` of your own pictures."""
    data.check_choice("--dataset", dataset, (*data.DATASETS, "folder"))
    own = folder.of_options(dataset, settings.data_dir, size, name, "diffusion")
    if own:
        model = Diffusion(**own.options("diffusion"), classes=[len(own.classes)])
        val, train = own.val, own.train
    else:
        model = Diffusion(**MODEL[dataset])
        val = data.load(dataset, "val", settings.data_dir)
        train = data.load(dataset, "train", settings.data_dir)
    if dataset == "avatars":
        columns = [list(data.ATTRIBUTES).index(attribute) for attribute in CONDITIONS]
        val = data.Pictures(val.x, val.y[:, columns])
        train = data.Pictures(train.x, train.y[:, columns])
    val = val[torch.arange(min(len(val), 2000))]

    def validate(model):
        return {"loss": denoising_errors(model, val).mean()}

    def samples(model):  # rows of eight: one class per row; avatars take the attributes of the first validation faces
        y = own.rows() if own else val.y[:64] if dataset == "avatars" else torch.arange(80) // 8
        return model.sample(len(y), label=y, steps=16, seed=0)

    return engine.Recipe(
        name=f"diffusion-{own.name if own else dataset}",
        model=model,
        train=train,
        validate=validate,
        samples=samples,
        optimizers=[engine.OptimizerConfig(lr=2e-3, muon=True)],
        batch=64,
        minutes=30 if own else 60,
        cooldown=0.5,
        finish=own and (lambda model, folder: own.save(folder)),
        after=own and own.write_card,
    )


def denoising_errors(model: Diffusion, pictures: data.Pictures) -> torch.Tensor:
    """The loss of each picture, (N,), at a time and with noise that are always the same."""
    g = torch.Generator().manual_seed(0)
    t = torch.rand(len(pictures), generator=g)
    eps = torch.randn(pictures.x.shape, generator=g)
    batches = zip(measures.batches(model, pictures), t.split(500), eps.split(500))
    return torch.cat([model.error(x, y, *model.on_device(noise)) for (x, y), *noise in batches])


# --- Evaluation -----------------------------------------------------------------------------------------------------

FUNCTION_EVALUATIONS = (1, 2, 4, 8, 16, 32, 64)
DDPM_EVALUATIONS = 250  # of ddpm also so many, which it needs
CURVE_PICTURES = 1000  # for each sampler and number of function evaluations


@dataclass
class Options(measures.Options):
    """How the pictures are sampled."""

    sampler: Annotated[str, typer.Option(help=", ".join(SAMPLERS) + ".")] = "dpm"
    steps: Annotated[int, typer.Option(help="Sampling steps.")] = 16
    guidance: Annotated[float, typer.Option(help="Guidance scale.")] = GUIDANCE

    def __post_init__(self):
        check_choice("--sampler", self.sampler, list(SAMPLERS))
        check_number("--steps", self.steps, 1, 1000, whole=True)
        check_number("--guidance", self.guidance, 0, 10)


def evaluate(evaluation: measures.Evaluation, options: Options) -> measures.Evaluator:
    """Quality of the samples, accuracy of the condition, and what fewer function evaluations cost."""
    if evaluation.own:
        return (yield from evaluate_own(evaluation, options))
    y = measures.labels_for_quality(evaluation)
    x = evaluation.generate(y, **asdict(options))
    headline = yield from measures.sample_quality(evaluation, x, y)
    if evaluation.split == "test":
        yield from fid_by_function_evaluations(evaluation)
    return headline


def evaluate_own(evaluation: measures.Evaluation, options: Options) -> measures.Evaluator:
    """What needs no classifier: the loss on pictures that were not trained on, and distances of samples."""
    train = evaluation.load("train")[: len(evaluation.data)]
    loss = Value(
        "loss",
        f"mean squared error of v over all noise levels, {evaluation.split} pictures",
        denoising_errors(evaluation.model, evaluation.data).mean().item(),
        comparison=f"training pictures: {denoising_errors(evaluation.model, train).mean():.4g}; the larger the gap, the more "
        "of them the model has learnt by heart",
    )
    yield loss
    y = measures.labels_to_sample(evaluation, evaluation.generated)
    distance = yield from measures.own_samples(evaluation, evaluation.generate(y, **asdict(options)))
    return f"loss {loss}, {distance}"


def fid_by_function_evaluations(evaluation: measures.Evaluation) -> Iterator[Value]:
    """FID, without guidance, for each sampler and number of function evaluations (NFE): `calls.json` of the checkpoint."""
    n = CURVE_PICTURES
    classifier, y = evaluation.classifier(), measures.labels_to_sample(evaluation, n)
    real = metrics.features(classifier, evaluation.data.x)
    floor = metrics.fid(metrics.features(classifier, evaluation.load("train").x[:n]), real)
    rows: list[dict] = []
    for sampler in SAMPLERS:
        for calls in (*FUNCTION_EVALUATIONS, *([DDPM_EVALUATIONS] if sampler == "ddpm" else [])):
            steps = calls
            if sampler == "heun":  # two calls per step, but the last
                steps = (calls + 1) // 2
                calls = 2 * steps - 1
            if rows and rows[-1]["sampler"] == sampler and rows[-1]["calls"] == calls:
                continue
            x = evaluation.generate(y, sampler=sampler, steps=steps, guidance=1.0)
            fid = metrics.fid(metrics.features(classifier, x), real)
            rows.append({"sampler": sampler, "calls": calls, "steps": steps, "fid": float(f"{fid:.5g}")})
            print(*rows[-1].values(), flush=True)
    best = min(row["fid"] for row in rows)
    best_of_16 = min(row["fid"] for row in rows if row["calls"] <= 16)
    yield Value(
        "ratio",
        "FID above the floor with at most 16 function evaluations (NFE), divided by the best over all samplers and NFE",
        (best_of_16 - floor) / (best - floor),
        n=n,
        seeded=True,
        comparison=f"FID {best_of_16:.4g}, best {best:.4g}, first {n:,} training pictures {floor:.4g}",
    )
    table = {"n": n, "split": evaluation.split, "seed": evaluation.seed, "floor": {"fid": floor}, "best": best, "rows": rows}
    cards.write_text(evaluation.folder / "calls.json", json.dumps(table) + "\n")


def reference_values(model: Diffusion, dataset: str) -> dict[str, torch.Tensor]:
    pictures = measures.reference_pictures(dataset)
    x, y, n = pictures.floats(), measures.condition_labels(model, pictures, dataset), len(pictures)
    t, eps = torch.linspace(0.05, 0.95, n), torch.randn(x.shape, generator=generator(0))
    return {
        "error": model.error(x, y, t, eps),
        "mean_of_sample": model.sample(n, label=y, steps=4, seed=0).mean((1, 2, 3)),
    }


def card(checkpoint: Checkpoint) -> Card:
    model, label = checkpoint.model, measures.example_label(checkpoint.model)
    return Card(
        task="unconditional-image-generation",
        paper="Ho, Jain and Abbeel 2020",
        reference="Ho, Jain and Abbeel, [Denoising diffusion probabilistic models](https://arxiv.org/abs/2006.11239) "
        "(2020); Nichol and Dhariwal, [Improved denoising diffusion probabilistic models](https://arxiv.org/abs/2102.09672) "
        "(2021); Salimans and Ho, [Progressive distillation for fast sampling of diffusion models]"
        "(https://arxiv.org/abs/2202.00512) (2022); Ho and Salimans, "
        "[Classifier-free diffusion guidance](https://arxiv.org/abs/2207.12598) (2022); "
        "the samplers: "
        "[DDIM](https://arxiv.org/abs/2010.02502) (2021), [DPM-Solver++](https://arxiv.org/abs/2211.01095) (2022), "
        "[Heun](https://arxiv.org/abs/2206.00364) (2022).",
        what=f"A {measures.conditions_in_words(checkpoint, 'diffusion model')}: a U-Net that predicts "
        f"{model.config['predicts']}, the cosine schedule, and four samplers.",
        code=f"x = model.sample(16, label={label}, seed=0)\n"
        f"for step in model.sample_steps(4, label={label}, steps=16, seed=0):\n    step.x, step.x0, step.eps",
        use="Generating pictures of a class, turning rough drawings into pictures (SDEdit), inpainting; seeing every step; "
        "teaching.",
        limits=f"{measures.features_note(checkpoint)} With guidance above 1, samples no longer follow the distribution of the "
        f"condition's pictures. Every sample looks like {checkpoint.title}, whatever the condition.",
        notes=measures.SAMPLE_NOTES | measures.OWN_NOTES,
        tables=function_evaluations_table(checkpoint),
    )


def function_evaluations_table(checkpoint: Checkpoint) -> str:
    """FID against function evaluations, from the checkpoint's `calls.json`; "" if there is none."""
    file = checkpoint.folder / "calls.json"
    if not file.is_file():
        return ""
    table = json.loads(file.read_text(encoding="utf-8"))
    rows = [(r["sampler"], r["calls"], r["steps"], r["fid"]) for r in table["rows"]]
    return (
        f"\n\nFID against function evaluations (NFE): {table['n']:,} pictures each, to the {table['split']} split, seed "
        f"{table['seed']}; the same number of training pictures: {table['floor']['fid']:.4g}.\n\n"
        + cards.markdown_table(("sampler", "NFE", "steps", "FID"), rows)
    )


FAMILIES = {"diffusion": measures.Family(evaluate=evaluate, card=card, reference_values=reference_values, options=Options)}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
