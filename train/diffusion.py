"""Train the diffusion models.

    python -m train.diffusion --dataset mnist        30 minutes on one core, 7,500 steps: validation loss 0.102
    python -m train.diffusion --dataset fashion      60 minutes on one busy core, 10,200 steps: validation loss 0.134
    python -m train.diffusion --dataset avatars      45 minutes on one busy core, 5,300 steps: validation loss 0.033

The network of the avatars predicts the clean picture (see `predicts` of the model): do not compare its loss with the others.
"""

import torch

from genmodels import data
from genmodels.diffusion import Diffusion
from train import engine

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


def recipe(settings: engine.Settings, dataset: str = "mnist") -> engine.Recipe:
    """Train the diffusion model of `mnist`, `fashion` or `avatars`."""
    data.check_choice("--dataset", dataset, data.DATASETS)
    model = Diffusion(**MODEL[dataset])
    val = data.load(dataset, "val", settings.data_dir)
    train = data.load(dataset, "train", settings.data_dir)
    if dataset == "avatars":
        columns = [list(data.ATTRIBUTES).index(attribute) for attribute in CONDITIONS]
        val = data.Pictures(val.x, val.y[:, columns])
        train = data.Pictures(train.x, train.y[:, columns])
    val = val[torch.arange(min(len(val), 2000))]

    def validate(model):
        g = torch.Generator().manual_seed(0)
        t = torch.rand(len(val), generator=g)
        eps = torch.randn(val.x.shape, generator=g)
        errors = []
        for indices in torch.arange(len(val)).split(500):
            x = val[indices].floats()
            y = val.y[indices].view(len(indices), -1)
            errors.append(model.error(x, y, t[indices], eps[indices]))
        return {"loss": torch.cat(errors).mean()}

    def samples(model):  # rows of eight: one class per row; avatars take the attributes of the first validation faces
        y = val.y[:64] if dataset == "avatars" else torch.arange(80) // 8
        return model.sample(len(y), label=y, steps=16, seed=0)

    return engine.Recipe(
        f"diffusion-{dataset}",
        model,
        train,
        validate,
        samples,
        [engine.OptimizerConfig(lr=1.5e-3, betas=(0.9, 0.99))],
        batch=64,
        minutes=60,
    )


app = engine.command(recipe)
if __name__ == "__main__":
    app()
