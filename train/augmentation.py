"""Does a VAE's synthetic data help a classifier that has little? The use that the textbooks name, measured.

    python -m train.augmentation --dataset mnist       5 minutes on two cores; writes checkpoints/vae-mnist/augmentation.json

A VAE sees 500 real pictures (50 a class) and nothing else. 20,000 synthetic ones come from it: between the codes of two of
the pictures of a class, a point is drawn and decoded, and the class is its label. Then the same small classifier is trained
for the same number of steps on the 500 alone and on both, three times, and tested on the whole test set.
"""

import json
import tempfile
from pathlib import Path
from typing import Annotated

import torch
import typer

from genmodels import data
from genmodels.base import checkpoint_folder, generator
from genmodels.classifier import Classifier
from genmodels.vae import VAE
from train import engine

REAL, SYNTHETIC, SEEDS = 50, 2000, (0, 1, 2)  # a class; a class; classifiers


def few(pictures, per_class, seed=0):
    """`per_class` pictures of each class, chosen by a seed."""
    shuffled = pictures[torch.randperm(len(pictures), generator=generator(seed))]
    return shuffled[torch.cat([(shuffled.y == c).nonzero()[:per_class, 0] for c in range(10)])]


def synthesise(vae, pictures, per_class, seed=0):
    """`Pictures` decoded from between the codes of two pictures of the same class."""
    g, x, y = generator(seed), [], []
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
    """The last weights of `model` after `steps` steps on `pictures`; nothing is selected."""
    recipe = engine.Recipe(
        "augmentation",
        model,
        pictures,
        lambda m: {"none": 0.0},
        lambda m: pictures[:8].floats(),
        [engine.OptimizerConfig(lr=lr)],
        warmup=50,
        clip=100.0,
        ema=0.99,
        bits=32,
    )
    settings = engine.Settings(steps=steps, seed=seed, validations=1, runs=folder, out=folder / "out", save_every=1e6)
    return type(model).from_pretrained(engine.fit(recipe, settings))


def accuracy(judge, test):
    with torch.inference_mode():
        right = [judge.predict(test[i].floats())[:, 0] == test.y[i] for i in torch.arange(len(test)).split(500)]
    return torch.cat(right).double().mean().item()


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
            engine.check_number(name, value, 1, 10**6, whole=True)
        target = checkpoint_folder(f"vae-{dataset}")
        test = data.load(dataset, "test", data_dir)
        real = few(data.load(dataset, "train", data_dir), REAL)
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
            both = data.Pictures(torch.cat([real.x[repeat], synthetic.x]), torch.cat([real.y[repeat], synthetic.y]))
            result["synthetic"] = len(synthetic)
            for name, pictures in (("real_only", real), ("with_synthetic", both)):
                scores = []
                for seed in SEEDS:
                    torch.manual_seed(seed)
                    judge = train(Classifier(widths=[16, 32, 64], features=64), pictures, steps, seed, Path(folder), 2e-3)
                    scores.append(accuracy(judge, test))
                of = torch.tensor(scores, dtype=torch.float64)
                result[name] = {"mean": of.mean().item(), "sd": of.std().item(), "each": scores}
        a, b = result["real_only"], result["with_synthetic"]
        result["text"] = (
            f"A small classifier trained on {len(real)} real pictures read {a['mean']:.1%} (sd {a['sd']:.1%}) of the "
            f"{len(test):,} test pictures; with {len(synthetic):,} synthetic ones from a VAE that had seen only those "
            f"{len(real)}, {b['mean']:.1%} (sd {b['sd']:.1%}): three seeds each, the same number of steps "
            f"(`{result['command']}`)."
        )
        (target / "augmentation.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    except (engine.TrainingError, ValueError, OSError) as e:
        typer.echo(f"Error: {e}", err=True)
        raise typer.Exit(1) from None
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    typer.run(main)
