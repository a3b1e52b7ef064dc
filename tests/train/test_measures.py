"""What evaluations share: generated pictures are cached, classes are counted."""

import pytest
import torch

from tests.compare import close_greys
from train import measures


def test_generating_resumes_where_it_was_stopped(root):
    evaluation = measures.Evaluation("diffusion-mnist", runs=root.parent / "runs")
    y, counts = torch.arange(30) % 10, []
    sample = evaluation.model.sample

    def counted(n, **options):
        counts.append(n)
        if len(counts) == 3:
            raise KeyboardInterrupt
        return sample(n, **options)

    evaluation.model = type("Model", (), {"sample": staticmethod(counted)})()
    with pytest.raises(KeyboardInterrupt):
        evaluation.generate(y, batch=10, steps=1)
    x = evaluation.generate(y, batch=10, steps=1)
    assert counts == [10, 10, 10, 10]  # the first two batches were not generated again
    alone = torch.cat([sample(10, label=y[i : i + 10], steps=1, seed=i) for i in (0, 10, 20)])
    assert close_greys(x, (alone * 255).round().to(torch.uint8))


def test_classes_on_the_latent_map_are_counted(root, monkeypatch):
    """A classifier that returns the grey level finds two classes where there are two greys."""
    evaluation = measures.Evaluation("autoencoder-mnist")
    evaluation.model = type("Model", (), {"decode": lambda self, z: (z[:, :1] > 0).float()})()
    evaluation.classifier = lambda: type("Classifier", (), {"predict": lambda self, x: x.long()})()
    (value,) = measures.classes_on_latent_map(evaluation, torch.randn(500, 2))
    assert (value.value, value.n) == (2, 900)
