"""Do synthetic pictures from a VAE help a classifier with little training data? A textbook use of VAEs, measured.

    python -m train.augmentation --dataset mnist       5 minutes on two cores; writes checkpoints/vae-mnist/augmentation.json

A VAE is trained on 500 real pictures (50 per class) only. It generates 20,000 synthetic ones: a random point between the
codes of two pictures of a class is decoded, and that class is its label. Then the same small classifier is trained for the
same number of steps on the 500 pictures alone and on both sets together, with three seeds each, and tested on the whole
test set.
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer
from scipy.stats import ttest_ind

from genmodels import data
from genmodels.base import check_number, checkpoint_folder, generator
from genmodels.classifier import Classifier
from genmodels.vae import VAE
from train import engine

REAL = 50  # pictures per class
SYNTHETIC = 2000  # pictures per class
SEEDS = (0, 1, 2)  # of the classifiers


def balanced_subset(pictures, per_class, seed=0):
    """`per_class` random pictures of each class, the same for the same seed."""
    shuffled = pictures[torch.randperm(len(pictures), generator=generator(seed))]
    return shuffled[torch.cat([(shuffled.y == c).nonzero()[:per_class, 0] for c in range(10)])]


def synthesise(vae, pictures, per_class, seed=0):
    """`Pictures` decoded from random points between the codes of two pictures of the same class, `per_class` of each."""
    g = generator(seed)
    x, y = [], []
    with torch.inference_mode():
        q = vae.encode(pictures.floats())
        for c in range(10):
            members = (pictures.y == c).nonzero()[:, 0]
            i, j = members[torch.randint(len(members), (2, per_class), generator=g)]
            z0, z1 = (q.mean[k] + q.stddev[k] * torch.randn(per_class, vae.latent, generator=g) for k in (i, j))
            t = torch.rand(per_class, 1, generator=g)
            x.append((vae.decode((1 - t) * z0 + t * z1) * 255).round().to(torch.uint8))
            y.append(torch.full((per_class,), c))
    return data.Pictures(torch.cat(x), torch.cat(y))


def train(model, pictures, steps, seed, folder, lr):
    """`model` after `steps` training steps on `pictures`: the final weights, without any selection by validation."""
    recipe = engine.Recipe(
        name="augmentation",
        model=model,
        train=pictures,
        validate=lambda m: {"none": 0.0},
        samples=lambda m: pictures[:8].floats(),
        optimizers=[engine.OptimizerConfig(lr=lr)],
        warmup=50,
        clip=100.0,
        ema=0.99,
        bits=32,
    )
    settings = engine.Settings(steps=steps, seed=seed, validations=1, runs=folder, out=folder / "out", save_every=1e6)
    return type(model).from_pretrained(engine.fit(recipe, settings))


def accuracy(classifier, test):
    """Share of the test pictures that are classified correctly."""
    with torch.inference_mode():
        correct = [classifier.predict(test[i].floats())[:, 0] == test.y[i] for i in torch.arange(len(test)).split(500)]
    return torch.cat(correct).double().mean().item()


def significance(result):
    """p of Welch's t-test: the difference with synthetic pictures is by chance alone."""
    return float(ttest_ind(result["real_only"]["each"], result["with_synthetic"]["each"], equal_var=False).pvalue)


def main(
    dataset: Annotated[str, typer.Option(help="mnist or fashion.")] = "mnist",
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/ or FashionMNIST/.")] = None,
    vae_steps: Annotated[int, typer.Option(help="Training steps of the VAE.")] = 2000,
    steps: Annotated[int, typer.Option(help="Training steps of each classifier.")] = 800,
):
    """Measure a classifier on 500 real pictures with and without 20,000 synthetic ones from a VAE trained on those 500."""
    try:
        data.check_choice("--dataset", dataset, ("mnist", "fashion"))
        for name, value in (("--vae-steps", vae_steps), ("--steps", steps)):
            check_number(name, value, 1, 10**6, whole=True)
        target = checkpoint_folder(f"vae-{dataset}")
        test = data.load(dataset, "test", data_dir)
        real = balanced_subset(data.load(dataset, "train", data_dir), REAL)
        engine.keep_freed_memory()
        result = {
            "dataset": dataset,
            "real": len(real),
            "test": len(test),
            "seeds": list(SEEDS),
            "steps": steps,
            "command": f"python -m train.augmentation --dataset {dataset} --vae-steps {vae_steps} --steps {steps}",
        }
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            likelihood = "bernoulli" if dataset == "mnist" else "gaussian"
            vae = train(VAE(latent=16, width=16, hidden=128, likelihood=likelihood), real, vae_steps, 0, Path(folder), 1e-3)
            synthetic = synthesise(vae, real, SYNTHETIC)
            repeat = torch.arange(len(real)).repeat(len(synthetic) // len(real))  # half of each batch is real
            combined = data.Pictures(torch.cat([real.x[repeat], synthetic.x]), torch.cat([real.y[repeat], synthetic.y]))
            result["synthetic"] = len(synthetic)
            for name, pictures in (("real_only", real), ("with_synthetic", combined)):
                scores = []
                for seed in SEEDS:
                    torch.manual_seed(seed)
                    classifier = Classifier(widths=[16, 32, 64], features=64)
                    classifier = train(classifier, pictures, steps, seed, Path(folder), 2e-3)
                    scores.append(accuracy(classifier, test))
                accuracies = torch.tensor(scores, dtype=torch.float64)
                result[name] = {"mean": accuracies.mean().item(), "sd": accuracies.std().item(), "each": scores}
        result["p"] = significance(result)
        (target / "augmentation.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except (engine.TrainingError, ValueError, OSError) as e:
        typer.echo(f"Error: {e}", err=True)
        raise typer.Exit(1) from None
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    typer.run(main)
