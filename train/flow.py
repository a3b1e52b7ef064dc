"""Normalizing flows.

    python -m train.flow --dataset mnist --minutes 20      21 minutes on one busy core, 1,984 steps: 1.108 bits per pixel
    python -m train.flow --dataset fashion --minutes 28    33 minutes on one busy core, 3,539 steps: 2.966 bits per pixel

On the validation split; both were still falling. A GPU takes minutes. `--init-from checkpoints/flow-mnist` continues from
the shipped weights.
"""

import torch

from genmodels import data
from genmodels.flow import Flow
from train import engine


def recipe(settings: engine.Settings, dataset: str = "mnist") -> engine.Recipe:
    """Train the flow of `mnist` or `fashion`."""
    data.check_choice("--dataset", dataset, ("mnist", "fashion"))
    train, val = data.load(dataset, "train", settings.data_dir), data.load(dataset, "val", settings.data_dir)
    val = val[torch.arange(min(len(val), 2000))]
    model = Flow()
    model.fit_levels(train.x)

    def validate(model):
        return {"bits_per_dim": torch.cat([model.bits_per_dim(x) for x in val.floats().split(250)]).mean()}

    def samples(model):  # one row of eight per class
        return model.sample(80, label=torch.arange(80) // 8, seed=0)

    return engine.Recipe(
        f"flow-{dataset}",
        model,
        train,
        validate,
        samples,
        [engine.OptimizerConfig(lr=1e-3, betas=(0.9, 0.99))],
        batch=32,
        minutes=90,
        clip=500.0,
    )


app = engine.command(recipe)
if __name__ == "__main__":
    app()
