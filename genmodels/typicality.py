"""Typicality: is a picture like those that a flow was trained on? And the likelihoods that were measured on a trained flow.

The likelihood alone does not tell: simple pictures often are very likely, and a typical picture is not the most likely one.

References: Nalisnick et al., Detecting out-of-distribution inputs to deep generative models using typicality (2019);
Morningstar et al., Density of states estimation for out-of-distribution detection (2021), for several statistics together.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genmodels.base import CheckpointError, checkpoint_folder
from genmodels.flow import Flow, Labels
from genmodels.messages import Message
from genmodels.metrics import bits_per_dim


class Typicality(NamedTuple):
    """Mean and covariance of what each layer says of typical pictures, to detect atypical ones.

    The likelihood alone does not detect them: simple pictures often are very likely, and a typical picture is not the most
    likely one (Nalisnick et al., Detecting out-of-distribution inputs using typicality, 2019, https://arxiv.org/abs/1906.02994).
    The layers' likelihoods together are more telling (as in Morningstar et al., Density of states estimation, 2021,
    https://arxiv.org/abs/2006.09273).

    A layer's cost -log p is a sum over pixels, and spreads the more the larger it is. Its square root spreads more evenly
    (Bartlett 1936, https://doi.org/10.2307/2983678), so that the distance also notices pictures that cost too little.

    mean: (layers,) of the square roots; whitening: (layers, layers), after which typical ones are uncorrelated with variance 1.
    """

    mean: Tensor
    whitening: Tensor

    @classmethod
    def fit(cls, nats: Tensor) -> "Typicality":
        """From the layer log-probabilities (N, layers) of typical pictures."""
        roots = cls.root_costs(nats)
        values, vectors = torch.linalg.eigh(torch.cov(roots.T) + 1e-6 * torch.eye(roots.shape[1], dtype=torch.float64))
        return cls(roots.mean(0), vectors * values.rsqrt())

    @staticmethod
    def root_costs(nats: Tensor) -> Tensor:
        """Square roots of -log p, (N, layers)."""
        return (-nats.cpu().double()).clamp(min=0).sqrt()

    def distance(self, nats: Tensor) -> Tensor:
        """Mahalanobis distance from the mean: (N, layers) -> (N,). About sqrt(layers) for typical pictures."""
        return ((self.root_costs(nats) - self.mean) @ self.whitening).norm(dim=1)


class LikelihoodStats(NamedTuple):
    """Likelihoods that were measured on a trained flow, stored beside the weights in `likelihoods.json`.

    typicality: fitted to validation pictures.
    bits, distances: kind of picture -> histogram of bits per pixel, or of typicality distances, as shares that sum to 1. The
        first kind is the model's own test split.
    bit_edges, distance_edges: of the histograms' bins. The last bin also counts all larger values.
    """

    typicality: Typicality
    bit_edges: list[float]
    bits: dict[str, list[float]]
    distance_edges: list[float]
    distances: dict[str, list[float]]

    @classmethod
    def from_values(
        cls, typicality: Typicality, bits: dict[str, Tensor], distances: dict[str, Tensor], bins: int = 60
    ) -> "LikelihoodStats":
        """From the values (N,) of each kind of picture."""
        return cls(typicality, *_histograms(bits, bins), *_histograms(distances, bins))

    def share_below(self, quantity: str, value: float) -> float:
        """Share, 0 to 1, of the model's own test pictures whose `quantity` ("bits" or "distances") is below value."""
        if quantity == "bits":
            edges, histograms = self.bit_edges, self.bits
        else:
            edges, histograms = self.distance_edges, self.distances
        shares = next(iter(histograms.values()))
        position = min(max(value / (edges[1] - edges[0]), 0), len(shares))  # in bins
        i = int(position)
        partial = shares[i] * (position - i) if i < len(shares) else 0
        return min(1.0, sum(shares[:i]) + partial)


def _histograms(values: dict[str, Tensor], bins: int) -> tuple[list[float], dict[str, list[float]]]:
    """(edges, {kind: share of its values in each bin}), over the range of the first two kinds."""
    high = 1.1 * max(v.quantile(0.99).item() for v in list(values.values())[:2])
    edges = [round(high * i / bins, 5) for i in range(bins + 1)]
    shares = {kind: torch.histc(v.clamp(0, high), bins, 0, high) / len(v) for kind, v in values.items()}
    return edges, {kind: [round(share, 5) for share in histogram.tolist()] for kind, histogram in shares.items()}


def save_likelihoods(stats: LikelihoodStats, folder: Path | str) -> None:
    """Write `likelihoods.json` into a checkpoint's folder."""
    content: dict[str, Any] = {
        "usual": {"mean": stats.typicality.mean.tolist(), "axes": stats.typicality.whitening.tolist()},
        **{name: value for name, value in stats._asdict().items() if name != "typicality"},
    }
    (Path(folder) / "likelihoods.json").write_text(json.dumps(content) + "\n", encoding="utf-8")


def load_likelihoods(name_or_path: Path | str) -> LikelihoodStats:
    """The `LikelihoodStats` of a checkpoint, by name or folder."""
    file = checkpoint_folder(name_or_path) / "likelihoods.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        fitted = content.pop("usual")
        mean, whitening = (torch.tensor(fitted[key], dtype=torch.float64) for key in ("mean", "axes"))
        return LikelihoodStats(Typicality(mean, whitening), **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise CheckpointError(
            Message("{file} is missing or broken ({reason}): copy the whole checkpoint folder.", file=file, reason=str(e))
        ) from e


def assess(flow: Flow, stats: LikelihoodStats, x: Tensor, label: Labels = None) -> list[dict[str, float]]:
    """What a flow says of each of pictures x (N, C, H, W): how likely and how typical it is, also among the test pictures.

    stats: of the flow, see `load_likelihoods`; label: see `base.check_labels`.
    """
    nats = flow.layer_log_probs(x, label)  # (N, layers)
    bits, distances = bits_per_dim(nats.sum(1), x[0].numel()).tolist(), stats.typicality.distance(nats).tolist()
    return [
        {
            "bits_per_dim": b,
            "log_prob_nats": log_prob,
            "less_likely_than_test_pictures": stats.share_below("bits", b),
            "distance": distance,
            "more_unusual_than_test_pictures": stats.share_below("distances", distance),
        }
        for b, log_prob, distance in zip(bits, nats.sum(1).tolist(), distances)
    ]
