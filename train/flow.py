"""Normalizing flows.

    python -m train.flow --dataset mnist --steps 7000                                  75 minutes: 1.030 bits per pixel
    python -m train.flow --dataset fashion --steps 7000 --precision bf16 --compile     40 minutes: 2.875 bits per pixel

On one core that has matrix units for 16 bits, and on the validation split; both were still falling. A GPU takes minutes.
`--init-from checkpoints/flow-mnist` continues from the shipped weights.
"""

import math

import torch

from genmodels import data, metrics
from genmodels.base import generator
from genmodels.flow import Flow, log_normal
from genmodels.typicality import LikelihoodStats, Typicality, save_likelihoods
from train import engine, measures
from train.cards import Card, Checkpoint, Value


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
        name=f"flow-{dataset}",
        model=model,
        train=train,
        validate=validate,
        samples=samples,
        optimizers=[engine.OptimizerConfig(lr=2e-3, betas=(0.9, 0.99), muon=True)],
        batch=32,
        minutes=90,
        clip=500.0,
        cooldown=0.6,
        bits=16,  # 8 cost 0.002 bits a pixel
    )


# --- Evaluation -----------------------------------------------------------------------------------------------------

TYPICALITY_PICTURES = 2000  # of the validation split, which define typicality, and of each other kind to compare with
PUBLISHED_BITS = {
    "mnist": "published bounds: RealNVP 1.06, Glow 1.05, Residual Flow 0.97 (Chen et al. 2019, "
    "https://arxiv.org/abs/1906.02735); ",
    "fashion": "",
}
AUROC_NOTE = (
    "AUROC: how often the picture of the other kind has the more unusual value of the two, one of each kind chosen at "
    "random; 0.5 is chance, below it the other kind looks more typical. The typicality of a picture is "
    "the Mahalanobis distance of the square roots of its layers' costs, -log p of each, from those of the first 2,000 pictures "
    "of the validation split. The AUROC of the total likelihood stands next to it."
)


def evaluate(evaluation: measures.Evaluation, options: measures.Options) -> measures.Evaluator:
    """Exact bits per pixel, also of other datasets, and the quality of samples."""
    bits = yield from likelihoods(evaluation)
    y = measures.labels_to_sample(evaluation, 2 * evaluation.generated)
    x = evaluation.generate(y, temperature=1.0)
    recognised = yield from measures.condition_accuracy(evaluation, x, y)
    cas = yield from measures.classification_accuracy_score(evaluation, x, y)
    fid = yield from measures.compare_with_real(evaluation, x[: evaluation.generated])
    return f"{bits}, {recognised}, {cas}, {fid}"


def likelihoods(evaluation: measures.Evaluation) -> measures.Evaluator:
    """Bits per pixel of the split and of unusual pictures; writes the checkpoint's `likelihoods.json`. Returns a headline."""
    model, x, dataset = evaluation.model, evaluation.data.x, evaluation.dataset
    other_dataset = {"mnist": "fashion", "fashion": "mnist"}[dataset]
    first = x[:TYPICALITY_PICTURES]
    unusual = {
        other_dataset: data.load(other_dataset, evaluation.split, evaluation.data_dir).x[:TYPICALITY_PICTURES],
        "inverted": 255 - first,
        "rotated": first.rot90(1, (2, 3)),
        "noise": torch.randint(256, first.shape, generator=generator(evaluation.seed), dtype=torch.uint8),
    }

    def layer_log_probs(kind, pictures):  # (N, layers)
        name = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}-{kind}-{len(pictures)}"
        rows = evaluation.cached(name, lambda: evaluation.map_batches(model.layer_log_probs, pictures, 250).tolist())
        return torch.tensor(rows, dtype=torch.float64)

    log_probs = {kind: layer_log_probs(kind, pictures) for kind, pictures in {dataset: x, **unusual}.items()}
    bits = {kind: metrics.bits_per_dim(values.sum(1), model.latent) for kind, values in log_probs.items()}
    mean = Value(
        "bits_per_dim",
        "bits per pixel, 8-bit, exact: uniform dequantization noise costs nothing",
        bits[dataset].mean().item(),
        comparison=f"{PUBLISHED_BITS[dataset]}8: no model",
    )
    yield mean
    batches = zip(x.split(250), evaluation.data.y.split(250))
    conditional_bits = torch.cat([model.bits_per_dim(pictures.float() / 255, labels) for pictures, labels in batches])
    given_class = Value("bits_per_dim", "the same, given the class", conditional_bits.double().mean().item())
    yield given_class

    few = x[:200].float() / 255
    samples = torch.stack([dequantized_log_density(model, few, evaluation.seed + i) for i in range(8)])
    sample_bits = metrics.bits_per_dim(samples, model.latent, 256)
    log_mean = torch.logsumexp(-sample_bits * model.latent * math.log(2), 0) - math.log(8)
    yield Value(
        "bits_per_dim",
        "bits per pixel by sampling the dequantization noise, eight samples, importance-weighted",
        metrics.bits_per_dim(log_mean, model.latent).mean().item(),
        n=len(few),
        seeded=True,
        comparison=f"one sample: {sample_bits[0].mean():.4f}, exact: {bits[dataset][:200].mean():.4f}",
    )

    typicality = Typicality.fit(layer_log_probs("val", evaluation.load("val").x[:TYPICALITY_PICTURES]))
    distances = {kind: typicality.distance(values) for kind, values in log_probs.items()}
    for kind in unusual:
        yield Value(
            "auroc",
            f"AUROC of typicality: {dataset} against {kind}",
            auroc(distances[dataset], distances[kind]),
            n=len(distances[kind]),
            seeded=True,
            comparison=f"AUROC of bits per pixel: {auroc(bits[dataset], bits[kind]):.3f}; mean {bits[kind].mean():.3g} bits",
        )
    if evaluation.split == "test":
        save_likelihoods(LikelihoodStats.from_values(typicality, bits, distances), evaluation.folder)
    return f"{mean} bits/dim, {given_class} given the class"


def dequantized_log_density(model: Flow, x: torch.Tensor, seed: int) -> torch.Tensor:
    """log density at x with one sample of the dequantization noise, in nats: log N(z) + log |det|, (N,)."""
    *_, last_step = model.encode_steps(x, seed=seed)
    return log_normal(last_step.h).flatten(1).sum(1) + last_step.log_det


def auroc(negatives: torch.Tensor, positives: torch.Tensor) -> float:
    """The probability that a positive has a larger value than a negative; ties count half."""
    negatives, n = negatives.sort().values, len(negatives)
    lower = torch.searchsorted(negatives, positives, right=False).double().mean().item() / n
    lower_or_equal = torch.searchsorted(negatives, positives, right=True).double().mean().item() / n
    return (lower + lower_or_equal) / 2


def reference_values(model: Flow, dataset: str) -> dict[str, torch.Tensor]:
    pictures = measures.reference_pictures(dataset)
    x = pictures.floats()
    return {
        "bits": model.bits_per_dim(x),
        "bits_told": model.bits_per_dim(x, pictures.y),  # given the class
        "mean_of_sample": model.sample(len(x), label=pictures.y, seed=0).mean((1, 2, 3)),
    }


def card(checkpoint: Checkpoint) -> Card:
    model, label = checkpoint.model, measures.example_label(checkpoint.model)
    return Card(
        task="unconditional-image-generation",
        paper="Dinh, Sohl-Dickstein and Bengio 2017; Ho et al. 2019",
        reference="Dinh, Sohl-Dickstein and Bengio, [Density estimation using Real NVP](https://arxiv.org/abs/1605.08803) "
        "(2017); Ho et al., [Flow++: improving flow-based generative models](https://arxiv.org/abs/1902.00275) (2019); Müller "
        "et al., [Neural importance sampling](https://arxiv.org/abs/1808.03856) (2019); Reed et al., [Parallel multiscale "
        "autoregressive density estimation](https://arxiv.org/abs/1703.03664) (2017); Nalisnick et al., [Do deep generative "
        "models know what they don't know?](https://arxiv.org/abs/1810.09136) (2019).",
        what=f"A conditional multi-scale normalizing flow ({', '.join(model.conditions)}): couplings on squares of 2 x 2 "
        "pixels, from the finest lattice to a single pixel, each transforming pixels by the cumulative distribution function "
        f"of {model.config['components']} Gaussians that is linear within each of the 256 grey levels. Its networks read the "
        "grey levels of other pixels and never z: it is a discrete multi-scale autoregressive model, written as a flow.",
        code=f"x = model.sample(16, label={label}, temperature=0.9, seed=0)\n"
        "z = model.encode(x, seed=0)  # (16, 784); model.decode(z) is x again\n"
        "model.bits_per_dim(x)",
        use="Exact likelihoods of 8-bit pictures; encoding to noise and back without loss; seeing why a likelihood does not "
        "detect unusual pictures; teaching.",
        limits="A high likelihood does not mean that a picture resembles the training data: simpler pictures tend to get "
        "higher likelihoods, a blank picture a higher one than nearly all test pictures. Pixels that become noise in the same "
        "layer are sampled independently of each other, given the rest: edges in samples are rougher than a GAN's. "
        f"{measures.OWN_FEATURES} Every sample looks like {checkpoint.title}, whatever the condition.",
        notes=measures.SAMPLE_NOTES | {"auroc": AUROC_NOTE},
    )


FAMILIES = {"flow": measures.Family(evaluate=evaluate, card=card, reference_values=reference_values)}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
