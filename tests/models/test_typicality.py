"""What the likelihoods of a flow say of a picture: typicality, histograms."""

import pytest
import torch

from genmodels.base import CheckpointError
from genmodels.typicality import LikelihoodStats, Typicality, load_likelihoods, save_likelihoods


def test_the_typicality_is_a_mahalanobis_distance_of_square_roots():
    g = torch.Generator().manual_seed(0)
    mixing = torch.randn(5, 5, generator=g, dtype=torch.float64)
    roots = torch.randn(4000, 5, generator=g, dtype=torch.float64) @ mixing + 100
    nats = -roots.square()
    typicality = Typicality.fit(nats)
    assert typicality.distance(nats).square().mean().item() == pytest.approx(5, abs=5e-3)
    x = typicality.mean + torch.linalg.cholesky(torch.cov(roots.T))[:, -1] * 3  # three standard deviations in one direction
    assert typicality.distance(-x[None].square()).item() == pytest.approx(3, rel=1e-3)


def test_likelihood_histograms_are_saved_beside_the_weights(tmp_path):
    g = torch.Generator().manual_seed(0)
    bits = {"mnist": torch.rand(1000, generator=g), "fashion": 2 + torch.rand(1000, generator=g)}
    bits["noise"] = torch.full((9,), 11.0)
    typicality = Typicality(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    save_likelihoods(LikelihoodStats.from_values(typicality, bits, bits), tmp_path)
    stats = load_likelihoods(tmp_path)
    assert torch.equal(stats.typicality.whitening, typicality.whitening) and len(stats.bit_edges) == 61
    assert all(sum(shares) == pytest.approx(1, abs=1e-3) for shares in stats.bits.values())
    assert stats.bits["noise"][-1] == 1 and stats.bit_edges[-1] == pytest.approx(1.1 * 2.99, abs=0.02)
    assert [stats.share_below("bits", v) for v in (-1, 0.5, 0.9, 99)] == pytest.approx([0, 0.5, 0.9, 1], abs=0.03)
    (tmp_path / "likelihoods.json").write_text("{}", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"likelihoods.json is missing or broken \(.*\): copy the whole"):
        load_likelihoods(tmp_path)
