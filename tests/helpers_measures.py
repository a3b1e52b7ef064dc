"""Pictures, classifiers and evaluations for which the right numbers can be written down."""

import torch

from genmodels import data
from train import measures


class Judge:
    """In place of a classifier: the features of a picture are its pixels, its class is the first pixel's grey level."""

    def features(self, x):
        return x.flatten(1)

    def predict(self, x):
        return (255 * x.flatten(1)[:, :1]).round().long()


class Stub(measures.Evaluation):
    """An evaluation of given pictures instead of a checkpoint's dataset. It records which splits are loaded."""

    def __init__(self, tmp_path, splits, dataset="mnist", split="test", model=None, judge=None, generated=20, seed=0):
        self.splits, self.loaded = splits, []
        self.name, self.dataset, self.split = f"stub-{dataset}", dataset, split
        self.family, self.title, self.weights_hash = "stub", "MNIST", "0" * 12
        self.generated, self.seed, self.model, self.judge = generated, seed, model, judge or Judge()
        self.own = {}
        self.folder, self.cache, self.data_dir = tmp_path, tmp_path / "cache", None
        self.data = splits[split]

    def load(self, split):
        self.loaded.append(split)
        return self.splits[split]

    def classifier(self):
        return self.judge


def pictures(x, y=None):
    return data.Pictures(x, torch.zeros(len(x), dtype=torch.long) if y is None else y)


def gaussian(n=400, dims=4, mean=0.0, seed=0, deviation=0.1):
    """n pictures (1, 1, dims) whose mean and covariance are exactly `mean` and deviation**2 times the identity."""
    points = torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    points = points - points.mean(0)
    points = points @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(points.T))).T
    return (mean + deviation * points).float().view(n, 1, 1, dims)


def by_metric(values):
    return {value.metric: value for value in values}
