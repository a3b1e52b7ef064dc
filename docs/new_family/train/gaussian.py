"""A Gaussian for each pixel.

python -m train.gaussian --dataset mnist        10 seconds on two cores
"""

import torch
from genmodels.gaussian import Gaussian

from genmodels import data
from train import engine, measures
from train.cards import Card, Checkpoint, Value


def recipe(settings: engine.Settings, dataset: str = "mnist") -> engine.Recipe:
    """Fit the Gaussians of `mnist` or `fashion`."""
    data.check_choice("--dataset", dataset, ("mnist", "fashion"))
    val = data.load(dataset, "val", settings.data_dir).floats()
    return engine.Recipe(
        name=f"gaussian-{dataset}",
        model=Gaussian(),
        train=data.load(dataset, "train", settings.data_dir),
        validate=lambda model: {"nats": -model.log_prob(val).mean()},
        samples=lambda model: model.sample(64, seed=0),
        optimizers=[engine.OptimizerConfig(lr=1e-2)],
        minutes=0.2,
    )


# --- Evaluation -----------------------------------------------------------------------------------------------------


def evaluate(evaluation: measures.Evaluation, options: measures.Options) -> measures.Evaluator:
    """The density of the split, and the quality of samples. Yields the card's numbers and returns its headline."""
    nats = -evaluation.map_batches(evaluation.model.log_prob, evaluation.data.x).mean().item()
    yield Value("density", "negative log density, nats per picture", nats, comparison="0: a uniform density")
    x = evaluation.model.sample(min(evaluation.generated, 4096), seed=evaluation.seed)
    return (yield from measures.compare_with_real(evaluation, x))


def reference_values(model: Gaussian, dataset: str) -> dict[str, torch.Tensor]:
    return {"log_prob": model.log_prob(measures.reference_pictures(dataset).floats())}


def card(checkpoint: Checkpoint) -> Card:
    return Card(
        task="unconditional-image-generation",
        paper="Gauss 1809",
        reference="Gauss, Theoria motus corporum coelestium (1809).",
        what="A Gaussian for each pixel, independent of all others.",
        code="x = model.sample(16, seed=0)\nmodel.log_prob(x)",
        use="A lower bound on what a generative model must do; teaching.",
        limits=f"Its samples are noise around the mean picture of {checkpoint.title}. {measures.OWN_FEATURES}",
        notes=measures.SAMPLE_NOTES,
    )


FAMILIES = {"gaussian": measures.Family(evaluate=evaluate, card=card, reference_values=reference_values)}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
