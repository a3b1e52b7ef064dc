"""Generative adversarial networks.

python -m train.gan --dataset mnist --steps 16000      78 minutes on one busy core: validation FID 0.44
python -m train.gan --dataset fashion --steps 6100     47 minutes on one busy core: validation FID 1.92
python -m train.gan --dataset avatars --steps 8000     92 minutes on one busy core: validation FID 35
python -m train.gan --dataset mnist --classic    DCGAN of the same size, for comparison: dcgan-mnist
python -m train.gan --dataset mnist --collapse --steps 600 --validations 1    gan-mnist-collapsed: mode collapse on purpose
"""

import json

import torch
from safetensors.torch import load_file, save_file

import genmodels
from genmodels import data, metrics
from genmodels.gan import DCGAN, GAN, Replay, save_replay
from train import engine
from train.diffusion import CONDITIONS

FACES = dict(channels=3, size=64, classes=[len(data.ATTRIBUTES[a]) for a in CONDITIONS], conditions=CONDITIONS)
MODEL = {
    "mnist": dict(fine=[24]),
    "fashion": dict(fine=[24], gamma=0.1, depth=3, reconstruction_weight=0.002),
    "avatars": dict(patch=4, latent=128, widths=[64, 96], depth=2, fine=[24], gamma=5.0, reconstruction_weight=0.0004, **FACES),
}
CLASSIC = {"mnist": dict(width=104), "fashion": dict(width=104), "avatars": dict(latent=128, width=34, levels=4, **FACES)}
COLUMNS = {"mnist": 30, "fashion": 30, "avatars": 16}  # pictures per snapshot of the replay
VALIDATION_SIZE = 2500  # real pictures at most, and as many generated ones
BINS = 24  # of the replay's score histograms


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

    def generate(model, y):
        batches = enumerate(y.split(250))
        return torch.cat([model.sample(len(labels), label=labels, seed=i).cpu() for i, labels in batches])

    def validate(model):
        features = metrics.features(classifier, generate(model, val.y))
        precision, recall = metrics.precision_recall(real_features, features)
        return {"fid": metrics.fid(real_features, features), "precision": precision, "recall": recall}

    def samples(model):  # a grid with eight per class; for avatars, with the attributes of the first validation faces
        return generate(model, val.y[:64] if dataset == "avatars" else torch.arange(80) // 8)

    # One file per snapshot until the run ends; a resumed run writes the same files again.
    snapshots = settings.runs / name / "moments"

    def save_snapshot(model, step):
        snapshots.mkdir(parents=True, exist_ok=True)
        n = COLUMNS[dataset]
        labels = val.y[:n] if dataset == "avatars" else torch.arange(n) // (n // 10)
        pictures = model.sample(n, label=labels, seed=0).cpu()
        y = val.y[:500]
        tensors = {
            "pictures": (255 * pictures).round().byte().contiguous(),
            "real": model.score(val[torch.arange(len(y))].floats(), y).cpu(),
            "generated": model.score(generate(model, y), y).cpu(),
        }
        save_file(tensors, snapshots / f"{step:07d}.safetensors")

    def finish(model, folder):
        log = [json.loads(line) for line in (settings.runs / name / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        last = max(line.get("step", 0) for line in log)
        steps = [step for step in range(last + 1) if engine.is_snapshot_step(step, last)]
        tensors = [load_file(snapshots / f"{step:07d}.safetensors") for step in steps]
        scores = torch.stack([torch.stack([t["real"], t["generated"]]) for t in tensors])  # (T, 2, 500)
        low, high = scores.flatten().quantile(torch.tensor([0.005, 0.995])).tolist()

        def histogram(scores):  # shares; scores beyond the edges count in the outermost bins
            shares = torch.histc(scores.clamp(low, high), BINS, low, high) / scores.numel()
            return [round(share, 4) for share in shares.tolist()]

        losses = {
            network: [[line["step"], line[f"{network}_loss/loss"]] for line in log if f"{network}_loss/loss" in line]
            for network in ("discriminator", "generator")
        }
        replay = Replay(
            steps=steps,
            pictures=torch.stack([t["pictures"] for t in tensors]),
            edges=[round(edge, 4) for edge in torch.linspace(low, high, BINS + 1).tolist()],
            real=[histogram(real) for real in scores[:, 0]],
            generated=[histogram(generated) for generated in scores[:, 1]],
            losses=losses,
        )
        save_replay(replay, folder)

    def anneal(model, share):  # strong penalties find all modes, weak ones fine differences: recall grows as they fall
        model.gamma = model.config["gamma"] * 0.1**share

    lr, betas = (2e-4, (0.5, 0.999)) if classic else (5e-4, (0.0, 0.99))
    rates = {"discriminator": lr, "generator": lr}
    if dataset == "fashion" and not classic:
        rates["generator"] = 0.4 * lr
    if collapse:
        rates = {"discriminator": 1e-4, "generator": 2e-3}
    return engine.Recipe(
        name,
        model,
        train,
        validate,
        samples,
        [engine.OptimizerConfig(f"{network}_loss", network, rate, betas) for network, rate in rates.items()],
        batch=64 if classic else 32,
        minutes=45,
        clip=100.0,
        ema=0.998,
        finish=finish,
        snapshot=save_snapshot,
        anneal=None if classic else anneal,
    )


app = engine.command(recipe)
if __name__ == "__main__":
    app()
