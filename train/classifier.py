"""The judges: classifiers whose features and verdicts measure the generators.

python -m train.classifier --dataset mnist         10 minutes on two cores: test accuracy 99.6 %
python -m train.classifier --dataset fashion       12 minutes on two cores: test accuracy 93.0 %
python -m train.classifier --dataset avatars       12 minutes on two cores: 97 % and more on each attribute
"""

import math

import torch
import torch.nn.functional as F

from genmodels import data
from genmodels.classifier import Classifier
from train import engine

# set: degrees turned, share of size scaled, pixels moved, mirrored
JITTER = {"mnist": (12, 0.12, 2.5, False), "fashion": (3, 0.06, 1.5, True), "avatars": (0, 0, 2.0, False)}
MODEL = {
    "mnist": dict(classes=[10], widths=[32, 64, 128], dropout=0.3),
    "fashion": dict(classes=[10], widths=[32, 64, 128], dropout=0.4),
    "avatars": dict(
        channels=3,
        size=64,
        classes=[len(v) for v in data.ATTRIBUTES.values()],
        widths=[32, 64, 128],
        stem=2,
        features=256,
        dropout=0.2,
    ),
}


def jitter(x, degrees, scale, pixels, mirror):
    """Turn, scale, move and mirror each picture at random: (B, C, H, W) -> the same."""
    n, size = len(x), x.shape[-1]
    random = torch.rand(4, n, device=x.device) * 2 - 1
    angle, zoom = random[0] * math.radians(degrees), 1 + random[1] * scale
    flip = torch.where(random[3] > 0, -1.0, 1.0) if mirror else torch.ones(n, device=x.device)
    shift = (torch.rand(2, n, device=x.device) * 2 - 1) * 2 * pixels / size
    theta = torch.stack(
        [
            torch.stack([flip * zoom * angle.cos(), -zoom * angle.sin(), shift[0]], 1),
            torch.stack([flip * zoom * angle.sin(), zoom * angle.cos(), shift[1]], 1),
        ],
        1,
    )  # (B, 2, 3)
    where = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, where, padding_mode="border", align_corners=False)


def erase(x, share=0.25):
    """Cover a random square of each picture with a random grey (Zhong et al., Random erasing, 2017)."""
    n, size = len(x), x.shape[-1]
    side = torch.rand(n, 1, 1, 1, device=x.device) * share * size * 2
    top, left = torch.rand(2, n, 1, 1, 1, device=x.device) * size
    rows = torch.arange(size, device=x.device)[:, None]
    columns = torch.arange(size, device=x.device)
    hole = ((rows - top).abs() < side / 2) & ((columns - left).abs() < side / 2)
    return torch.where(hole, torch.rand(n, 1, 1, 1, device=x.device), x)


def recipe(settings: engine.Settings, dataset: str = "mnist") -> engine.Recipe:
    """Train the judge of `mnist`, `fashion` or `avatars`."""
    data.check_choice("--dataset", dataset, data.DATASETS)
    val = data.load(dataset, "val", settings.data_dir)

    def validate(model):
        right, logs = [], []
        for part in torch.arange(len(val)).split(500):
            y = val.y[part].view(len(part), -1)
            scores = model.logits(val[part].floats())
            right.append((torch.stack([s.argmax(1) for s in scores], 1) == y)[y >= 0])
            logs.append(
                sum(F.cross_entropy(s, t, ignore_index=-1, reduction="sum") for s, t in zip(scores, y.T)) / (y >= 0).sum()
            )
        return {"error": 1 - torch.cat(right).float().mean(), "nats": torch.stack(logs).mean()}

    def augment(x):
        x = jitter(x, *JITTER[dataset])
        return erase(x) if dataset == "fashion" else x

    def worst(model):  # the pictures that it is least sure of
        sure = torch.cat(
            [
                sum(s.softmax(1).amax(1) for s in model.logits(part.floats()))
                for part in (val[i] for i in torch.arange(min(len(val), 2000)).split(500))
            ]
        )
        return val[sure.argsort()[:64]].floats()

    return engine.Recipe(
        f"classifier-{dataset}",
        Classifier(**MODEL[dataset]),
        data.load(dataset, "train", settings.data_dir),
        validate,
        worst,
        [engine.OptimizerConfig(lr=2e-3, weight_decay=0.02)],
        augment=augment,
        minutes={"mnist": 10, "fashion": 12, "avatars": 12}[dataset],
        ema=0.998,
    )


app = engine.command(recipe)
if __name__ == "__main__":
    app()
