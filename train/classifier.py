"""Classifiers whose features and predictions measure the generative models.

python -m train.classifier --dataset mnist         10 minutes on two cores: test accuracy 99.6 %
python -m train.classifier --dataset fashion       12 minutes on two cores: test accuracy 93.0 %
python -m train.classifier --dataset avatars       12 minutes on two cores: at least 97 % on each attribute
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genmodels import data
from genmodels.classifier import Classifier
from train import engine, measures
from train.cards import Card, Checkpoint, Value

# dataset: degrees of rotation, relative change of size, pixels of translation, whether to mirror
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


def jitter(x: Tensor, degrees: float, scale: float, pixels: float, mirror: bool) -> Tensor:
    """Rotate, scale, translate and mirror each picture at random: (B, C, H, W) -> (B, C, H, W)."""
    n, size = len(x), x.shape[-1]
    random = torch.rand(4, n, device=x.device) * 2 - 1
    angle = random[0] * math.radians(degrees)
    zoom = 1 + random[1] * scale
    flip = torch.where(random[3] > 0, -1.0, 1.0) if mirror else torch.ones(n, device=x.device)
    shift = (torch.rand(2, n, device=x.device) * 2 - 1) * 2 * pixels / size
    theta = torch.stack(
        [
            torch.stack([flip * zoom * angle.cos(), -zoom * angle.sin(), shift[0]], 1),
            torch.stack([flip * zoom * angle.sin(), zoom * angle.cos(), shift[1]], 1),
        ],
        1,
    )  # (B, 2, 3)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def erase(x: Tensor, share: float = 0.25) -> Tensor:
    """Cover a random square of each picture with a random grey (Zhong et al., Random erasing, 2017)."""
    n, size = len(x), x.shape[-1]
    side = torch.rand(n, 1, 1, 1, device=x.device) * share * size * 2
    top, left = torch.rand(2, n, 1, 1, 1, device=x.device) * size
    rows = torch.arange(size, device=x.device)[:, None]
    columns = torch.arange(size, device=x.device)
    hole = ((rows - top).abs() < side / 2) & ((columns - left).abs() < side / 2)
    return torch.where(hole, torch.rand(n, 1, 1, 1, device=x.device), x)


def recipe(settings: engine.Settings, dataset: str = "mnist") -> engine.Recipe:
    """Train the classifier of `mnist`, `fashion` or `avatars`."""
    data.check_choice("--dataset", dataset, data.DATASETS)
    val = data.load(dataset, "val", settings.data_dir)

    def validate(model: Classifier) -> dict[str, Tensor]:
        correct, nats = [], []
        for part in torch.arange(len(val)).split(500):
            y = val.y[part].view(len(part), -1)
            logits = model.logits(val[part].floats())
            correct.append((torch.stack([s.argmax(1) for s in logits], 1) == y)[y >= 0])
            losses = [F.cross_entropy(s, t, ignore_index=-1, reduction="sum") for s, t in zip(logits, y.T)]
            nats.append(sum(losses) / (y >= 0).sum())
        return {"error": 1 - torch.cat(correct).float().mean(), "nats": torch.stack(nats).mean()}

    def augment(x: Tensor) -> Tensor:
        x = jitter(x, *JITTER[dataset])
        return erase(x) if dataset == "fashion" else x

    def least_certain(model: Classifier) -> Tensor:
        """The 64 pictures with the lowest probability of the predicted values, among the first 2,000."""
        confidence = []
        for part in torch.arange(min(len(val), 2000)).split(500):
            logits = model.logits(val[part].floats())
            confidence.append(sum(s.softmax(1).amax(1) for s in logits))
        return val[torch.cat(confidence).argsort()[:64]].floats()

    return engine.Recipe(
        name=f"classifier-{dataset}",
        model=Classifier(**MODEL[dataset]),
        train=data.load(dataset, "train", settings.data_dir),
        validate=validate,
        samples=least_certain,
        optimizers=[engine.OptimizerConfig(lr=2e-3, weight_decay=0.02)],
        augment=augment,
        minutes={"mnist": 10, "fashion": 12, "avatars": 12}[dataset],
        ema=0.998,
    )


# --- Evaluation -----------------------------------------------------------------------------------------------------


def evaluate(evaluation: measures.Evaluation, options: measures.Options) -> measures.Evaluator:
    """Accuracy. Attributes that are hidden in a picture are not counted."""
    y = evaluation.data.y.view(len(evaluation.data), -1)
    correct = evaluation.map_batches(evaluation.model.predict, evaluation.data.x) == y
    attributes = ["the class"] if y.shape[1] == 1 else list(data.ATTRIBUTES)
    rows = []
    for i, attribute in enumerate(attributes):
        visible = y[:, i] >= 0
        labels = y[visible, i]
        baseline = f"majority-class baseline: {labels.bincount().max() / len(labels):.1%}"
        rows.append((correct[visible, i].double().mean().item(), attribute, len(labels), baseline))
    mean = sum(accuracy for accuracy, *_ in rows) / len(rows)
    if len(rows) == 1:
        value = Value("accuracy", "accuracy", mean, comparison=rows[0][3])
        yield value
        return f"accuracy {value}"
    value = Value("accuracy", "accuracy, mean over the attributes", mean, comparison="hidden attributes are not counted")
    yield value
    for accuracy, attribute, n, baseline in rows:
        yield Value("accuracy", f"accuracy of {attribute}", accuracy, n=n, comparison=baseline)
    lowest, attribute, *_ = min(rows)
    return f"accuracy {value}, lowest {lowest:.2%} ({attribute})"


def reference_values(model: Classifier, dataset: str) -> dict[str, Tensor]:
    pictures = measures.reference_pictures(dataset)
    y = pictures.y.view(len(pictures), -1)
    columns = zip(model.logits(pictures.floats()), y.T)
    logits = [scores.gather(1, labels.clamp(min=0)[:, None]) for scores, labels in columns]
    return {"right_logits": torch.cat(logits, 1)[y >= 0]}  # a hidden attribute has no label


def card(checkpoint: Checkpoint) -> Card:
    return Card(
        task="image-classification",
        paper="Simonyan and Zisserman 2014",
        reference="Simonyan and Zisserman, [Very deep convolutional networks for large-scale image recognition]"
        "(https://arxiv.org/abs/1409.1556) (2014).",
        what="A small convolutional classifier, whose features and predictions measure the generators.",
        code=f'x = gm.data.samples("{checkpoint.dataset}")[:16].floats()\nmodel.predict(x), model.features(x)',
        use="Features for FID, precision and recall; classifying generated pictures.",
        limits=f"It knows {checkpoint.title} and nothing else: any other picture is assigned one of the same labels, often "
        "with high confidence.",
        notes={},
    )


FAMILIES = {"classifier": measures.Family(evaluate=evaluate, card=card, reference_values=reference_values)}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
