"""Attributes of faces in the codes of a VAE: what a code holds about them, and what editing them does."""

from collections.abc import Iterator

import torch

from genmodels import data, metrics
from genmodels.classifier import Classifier
from genmodels.vae import Latents, load_latents
from train import measures
from train.cards import Value

EDITED_ATTRIBUTES = ("smiling", "glasses", "hair_color", "hair_length", "facial_hair", "skin", "background")
EDIT_AMOUNTS = (0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # step lengths of an edit; the validation split chooses
NOTE = (
    "Editing attributes of a face ([Larsen et al. 2016](https://arxiv.org/abs/1512.09300)): the classifier reads the "
    "decoded picture before and after. "
    "Attributes that change by definition (`genmodels.metrics.LINKED_ATTRIBUTES`) or are hidden are not counted."
)


def evaluate(evaluation: measures.Evaluation) -> Iterator[Value]:
    """What a code holds about the attributes, and what editing them does to held-out faces."""
    model, classifier, y = evaluation.model, evaluation.classifier(), evaluation.data.y
    latents = load_latents(evaluation.folder)
    visible = y != data.HIDDEN

    def accuracy(predict):
        return (evaluation.map_batches(predict, evaluation.data.x) == y)[visible].double().mean().item()

    yield Value(
        "accuracy",
        "attributes recognised in reconstructions by classifier-avatars",
        accuracy(lambda part: classifier.predict(model.reconstruct(part))),
        comparison=f"in the pictures themselves: {accuracy(classifier.predict):.2%}",
    )
    val, train = evaluation.load("val"), evaluation.load("train")[:10_000]
    codes, train_codes = (evaluation.map_batches(lambda part: model.encode(part).mean, x) for x in (evaluation.data.x, train.x))
    for attribute in EDITED_ATTRIBUTES:
        i, values = list(data.ATTRIBUTES).index(attribute), data.ATTRIBUTES[attribute]
        probe = metrics.linear_probe(train_codes, train.y[:, i], len(values))
        far_away = torch.full((evaluation.model.latent,), 1e6)  # stands for the mean code of a value without pictures
        groups = [train_codes[train.y[:, i] == v] for v in range(len(values))]
        means = metrics.nearest_mean(torch.stack([group.mean(0) if len(group) else far_away for group in groups]))
        yield Value(
            "share",
            f"{attribute} read from the code by a linear probe",
            probe.accuracy(codes, y[:, i]),
            n=int(visible[:, i].sum()),
            comparison=f"by the nearest mean code: {means.accuracy(codes, y[:, i]):.2%}",
        )
        directions = {"the attribute's vectors": latents, "the probe's weights": probe_latents(latents, probe, attribute)}
        yield from edit_attribute(evaluation, attribute, classifier, val, directions)


def edit_attribute(
    evaluation: measures.Evaluation, attribute: str, classifier: Classifier, val: data.Pictures, directions: dict[str, Latents]
) -> Iterator[Value]:
    """`metrics.attribute_transfer` with the direction and the amount that are best on the validation split."""

    def transfer(pictures, direction, amount):
        return metrics.attribute_transfer(
            evaluation.model,
            classifier,
            pictures.x,
            pictures.y,
            directions[direction],
            attribute,
            amount=amount,
            seed=evaluation.seed,
        )

    best = {}
    for direction in directions:
        candidates = []
        for amount in EDIT_AMOUNTS:
            t = transfer(val, direction, amount)
            lowest = min(t.preserved.values())
            margin = min(t.reached - 0.90, lowest - 0.85)
            candidates.append((margin, amount, f"{t.reached:.1%} reached, {lowest:.1%} preserved"))
        best[direction] = max(candidates)
    direction, other = sorted(best, key=best.get, reverse=True)
    _, amount, val_result = best[direction]
    _, other_amount, other_result = best[other]
    t = transfer(evaluation.data, direction, amount)
    changed_most = min(t.preserved, key=t.preserved.get)
    yield Value(
        "moved",
        f"{attribute}: edited faces with the target value, recognised by classifier-avatars",
        t.reached,
        n=t.n,
        comparison=f"any value but the original: {t.changed:.2%}; edited by {amount:g} times the difference along {direction}, "
        f"chosen on the validation split ({val_result}; best along {other}, by {other_amount:g} times: {other_result})",
        seeded=True,
    )
    yield Value(
        "moved",
        f"{attribute}: edited faces that preserve {changed_most}, the attribute preserved least often",
        t.preserved[changed_most],
        n=t.n,
        comparison=f"mean of the {len(t.preserved)} other attributes: {sum(t.preserved.values()) / len(t.preserved):.2%}",
        seeded=True,
    )


def probe_latents(latents: Latents, probe: metrics.Probe, attribute: str) -> Latents:
    """`latents` with an attribute's vectors along the probe's weights, scaled to extend as far as the old ones along them."""
    vectors = {v: code for v, code in latents.values[attribute].items() if v != "hidden"}
    rows = [data.ATTRIBUTES[attribute].index(v) for v in vectors]
    weight, means = probe.weight[rows], torch.stack(list(vectors.values()))
    weight, means = weight - weight.mean(0), means - means.mean(0)
    scale = (weight * means).sum() / weight.square().sum()
    return latents._replace(values=latents.values | {attribute: dict(zip(vectors, scale * weight))})
