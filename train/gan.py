"""Generative adversarial networks.

python -m train.gan --dataset mnist --steps 16000      78 minutes on one busy core: validation FID 0.44
python -m train.gan --dataset fashion --steps 6100     47 minutes on one busy core: validation FID 1.92
python -m train.gan --dataset avatars --steps 8000     92 minutes on one busy core: validation FID 35
python -m train.gan --dataset mnist --classic    DCGAN of the same size, for comparison: dcgan-mnist
python -m train.gan --dataset mnist --collapse --steps 600 --validations 1    gan-mnist-collapsed: how it goes wrong
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
    "fashion": dict(fine=[24], gamma=0.1, depth=3, recall=0.002),
    "avatars": dict(patch=4, latent=128, widths=[64, 96], depth=2, fine=[24], gamma=5.0, recall=0.0004, **FACES),
}
CLASSIC = {"mnist": dict(width=104), "fashion": dict(width=104), "avatars": dict(latent=128, width=34, levels=4, **FACES)}
COLUMNS = {"mnist": 30, "fashion": 30, "avatars": 16}  # pictures of a moment
VALIDATED = 2500  # pictures at most, real and drawn


def recipe(settings: engine.Settings, dataset: str = "mnist", classic: bool = False, collapse: bool = False) -> engine.Recipe:
    """Train the GAN of `mnist`, `fashion` or `avatars`; with --classic a DCGAN, with --collapse one that goes wrong.

    Without penalties alone it did not collapse in 1,500 steps (validation FID 1.30). It did where the generator also learns
    twenty times as fast as the discriminator: it runs to what pleases now, and the other cannot follow.
    """
    data.check_choice("--dataset", dataset, data.SETS)
    if classic and collapse:
        raise ValueError("--collapse is shown on the GAN with penalties, by leaving them out: drop --classic.")
    name = f"{'dcgan' if classic else 'gan'}-{dataset}{'-collapsed' if collapse else ''}"
    model = DCGAN(**CLASSIC[dataset]) if classic else GAN(**MODEL[dataset] | ({"gamma": 0.0, "fine": []} if collapse else {}))
    val, train = data.load(dataset, "val", settings.data_dir), data.load(dataset, "train", settings.data_dir)
    if dataset == "avatars":
        at = [list(data.ATTRIBUTES).index(a) for a in CONDITIONS]
        val, train = data.Pictures(val.x, val.y[:, at]), data.Pictures(train.x, train.y[:, at])
    val = val[torch.arange(min(len(val), VALIDATED))]
    judge = genmodels.load(f"classifier-{dataset}")
    real = metrics.features(judge, val.x)

    def draw(model, y):
        parts = enumerate(y.split(250))
        return torch.cat([model.sample(len(part), label=part, seed=i).cpu() for i, part in parts])

    def validate(model):
        fake = metrics.features(judge, draw(model, val.y))
        precision, recall = metrics.precision_recall(real, fake)
        return {"fid": metrics.fid(real, fake), "precision": precision, "recall": recall}

    def samples(model):  # rows of eight: one a class; of avatars, what the first faces of the validation split are
        return draw(model, val.y[:64] if dataset == "avatars" else torch.arange(80) // 8)

    moments = settings.runs / name / "moments"  # a file each until the run ends; a resumed run writes the same again

    def moment(model, step):
        moments.mkdir(parents=True, exist_ok=True)
        n, y = COLUMNS[dataset], val.y[:500]
        shown = val.y[:n] if dataset == "avatars" else torch.arange(n) // (n // 10)
        scores = [model.score(x, y).cpu() for x in (val[torch.arange(len(y))].floats(), draw(model, y))]
        pictures = model.sample(n, label=shown, seed=0).cpu()
        tensors = {"pictures": (255 * pictures).round().byte().contiguous(), "real": scores[0], "generated": scores[1]}
        save_file(tensors, moments / f"{step:07d}.safetensors")

    def finish(model, folder):
        log = [json.loads(line) for line in (settings.runs / name / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        last = max(line.get("step", 0) for line in log)
        steps = [s for s in range(last + 1) if engine.is_snapshot_step(s, last)]
        told = [load_file(moments / f"{s:07d}.safetensors") for s in steps]
        scores = torch.stack([torch.stack([m["real"], m["generated"]]) for m in told])  # (T, 2, 500)
        low, high = scores.flatten().quantile(torch.tensor([0.005, 0.995])).tolist()
        shares = [[torch.histc(s.clamp(low, high), 24, low, high) / s.numel() for s in pair] for pair in scores]
        shares = [[[round(v, 4) for v in share.tolist()] for share in pair] for pair in shares]
        losses = {
            player: [[line["step"], line[f"{player}_loss/loss"]] for line in log if f"{player}_loss/loss" in line]
            for player in ("discriminator", "generator")
        }
        edges = [round(v, 4) for v in torch.linspace(low, high, 25).tolist()]
        pictures = torch.stack([m["pictures"] for m in told])
        save_replay(Replay(steps, pictures, edges, *map(list, zip(*shares)), losses), folder)

    def anneal(model, share):  # strong penalties find all modes, weak ones their edges: recall grows as they fall
        model.gamma = model.config["gamma"] * 0.1**share

    lr, betas = (2e-4, (0.5, 0.999)) if classic else (5e-4, (0.0, 0.99))
    rates = {"discriminator": lr, "generator": lr * (0.4 if dataset == "fashion" and not classic else 1)}
    rates = {"discriminator": 1e-4, "generator": 2e-3} if collapse else rates
    return engine.Recipe(
        name,
        model,
        train,
        validate,
        samples,
        [engine.OptimizerConfig(f"{part}_loss", part, rate, betas) for part, rate in rates.items()],
        batch=64 if classic else 32,
        minutes=45,
        clip=100.0,
        ema=0.998,
        finish=finish,
        snapshot=moment,
        anneal=None if classic else anneal,
    )


app = engine.command(recipe)
if __name__ == "__main__":
    app()
