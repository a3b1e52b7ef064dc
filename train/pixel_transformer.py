"""How the transformer of pictures is measured, and what its card says. Its recipe is in `train.transformer`."""

import math

import torch
from tqdm import tqdm

from genmodels import data
from genmodels.pixel_transformer import PixelTransformer
from train import measures
from train.cards import Card, Checkpoint, Value
from train.text_transformer import training_facts

PIXELS_PER_CLASS = 200  # pictures; each takes 784 forward passes, so 2,000 per class would take hours
MIXTURE_PICTURES = 1000  # whose likelihood is also measured without the class, which costs a pass per class


def evaluate(evaluation: measures.Evaluation) -> measures.Evaluator:
    """Exact bits per pixel with and without the class, and the quality of generated pictures. Returns a headline."""
    pictures, n = evaluation.data, len(evaluation.data)

    def bits_per_dim(first, end, batch=20):
        parts = torch.arange(first, end).split(batch)
        return [b for i in parts for b in evaluation.model.bits_per_dim(pictures[i].floats(), pictures.y[i]).tolist()]

    bits = []
    for first in tqdm(range(0, n, 500), desc="bits per pixel", disable=None):
        end = min(n, first + 500)
        name = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}-{first}-{end}"
        bits += evaluation.cached(name, bits_per_dim, first, end)
    mean = Value("bits_per_dim", "bits per pixel, exact, given the class", sum(bits) / n, comparison="8: no model")
    yield mean
    few = min(n, MIXTURE_PICTURES)
    name = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}-classes-{few}"
    log_probs = torch.tensor(evaluation.cached(name, class_log_probs, evaluation.model, pictures[torch.arange(few)]))
    summary = yield from mixture_likelihood(evaluation, log_probs)
    y = measures.labels_to_sample(evaluation, min(evaluation.generated, 10 * PIXELS_PER_CLASS))
    x = evaluation.generate(y, batch=64)
    recognised = yield from measures.condition_accuracy(evaluation, x, y)
    cas = yield from measures.classification_accuracy_score(evaluation, x, y, PIXELS_PER_CLASS)
    fid = yield from measures.compare_with_real(evaluation, x)
    return f"{mean} bits/dim given the class, {summary}, {recognised}, {cas}, {fid}"


def class_log_probs(model: PixelTransformer, pictures: data.Pictures, batch: int = 20) -> list[list[float]]:
    """log p(x | class) of each picture under each class: a list of rows, in nats."""
    parts = [pictures[i].floats() for i in torch.arange(len(pictures)).split(batch)]
    classes = range(model.tokenizer.classes)
    return torch.cat([torch.stack([model.log_prob(x, c) for c in classes], 1) for x in parts]).tolist()


def mixture_likelihood(evaluation: measures.Evaluation, log_probs: torch.Tensor) -> measures.Evaluator:
    """What the likelihoods log_probs (N, C) of the split's first N pictures given each class say without the class."""
    log_probs, n = log_probs.double(), len(log_probs)
    y = evaluation.data.y[:n].view(n, 1).long()
    bits_per_nat = 1 / (evaluation.model.context * math.log(2))
    given_class = -log_probs.gather(1, y).mean().item() * bits_per_nat
    mixture = -(log_probs.logsumexp(1) - math.log(log_probs.shape[1])).mean().item() * bits_per_nat
    first = f"the first {n:,} pictures" if n < len(evaluation.data) else f"{n:,} pictures"
    published = "linear transformer 0.644, softmax transformer 0.621 (https://arxiv.org/abs/2006.16236)"
    result = Value(
        "bits_per_dim",
        "bits per pixel, exact, class not given (the mixture of all classes, each as likely)",
        mixture,
        n=n,
        comparison=f"published, on the whole split: {published}",
    )
    yield result
    yield Value("bits_per_dim", "bits per pixel, exact, the same pictures given the class", given_class, n=n)
    accuracy = (log_probs.argmax(1) == y[:, 0]).double().mean().item()
    chance = f"guessing: {1 / log_probs.shape[1]:.0%}"
    yield Value("accuracy", "class read from these likelihoods by Bayes' rule", accuracy, n=n, comparison=chance)
    return f"{result} without ({first}; given the class {given_class:.4g})"


def reference_values(model: PixelTransformer, dataset: str = "mnist") -> dict[str, torch.Tensor]:
    pictures = measures.reference_pictures(dataset)
    x = pictures.floats()
    *_, last_step = model.complete_steps(x[:1], rows=24, n=len(x), label=pictures.y, seed=0)
    return {"bits": model.bits_per_dim(x, pictures.y), "mean_of_completion": last_step.x.mean((1, 2, 3))}


def card(checkpoint: Checkpoint) -> Card:
    facts = training_facts(checkpoint)
    facts["paper"] = "Vaswani et al. 2017; Chen et al. 2020"
    facts["reference"] += (
        " Chen et al., [Generative pretraining from pixels](https://proceedings.mlr.press/v119/chen20s.html) (2020); van "
        "den Oord, Kalchbrenner and Kavukcuoglu, [Pixel recurrent neural networks](https://arxiv.org/abs/1601.06759) "
        "(2016)."
    )
    return Card(
        **facts,
        task="unconditional-image-generation",
        what="A decoder-only transformer that generates 8-bit pictures of a given class pixel by pixel, in raster "
        "order, with an exact likelihood, given the class or, ten times as slowly, without it. Rotary positions encode row "
        "and column, and the embedding of each pixel includes the neighbours above it.",
        code="x = model.sample(4, label=3, seed=0)\nmodel.bits_per_dim(x, 3), model.bits_per_dim(x)\n"
        "for step in model.complete_steps(x[:1], rows=14, n=4, label=3, seed=0):\n    step.x, step.probability",
        use="A baseline for likelihoods; completing pictures; seeing the probability of each pixel; teaching.",
        limits="A picture takes 784 forward passes. Without a class, likelihoods are those of the mixture of all "
        "classes, each as likely, and samples draw a class first: compare them, not the likelihood given the class, with a "
        "model that is not given it. FID, precision and recall are of far fewer samples than on the other families' cards, "
        f"which raises FID. {measures.OWN_FEATURES} Every sample looks like {checkpoint.title}, whatever the condition.",
        notes=measures.SAMPLE_NOTES | {"cas": measures.cas_note(PIXELS_PER_CLASS)},
    )
