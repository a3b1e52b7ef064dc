"""Interpolation between latent codes."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from genmodels.vae import interpolate

vectors = st.integers(1, 8).flatmap(
    lambda d: st.tuples(*[st.lists(st.floats(-100, 100, width=32), min_size=d, max_size=d).map(torch.tensor)] * 2)
)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(ends=vectors, steps=st.integers(2, 9), spherical=st.booleans())
def test_every_interpolation_is_finite_and_has_the_given_ends(ends, steps, spherical):
    z = interpolate(*ends, steps, spherical)
    assert z.shape == (steps, len(ends[0]))
    assert bool(torch.isfinite(z).all())
    assert torch.allclose(z[0], ends[0], atol=1e-3)
    assert torch.allclose(z[-1], ends[1], atol=1e-3)
    longest = max(e.norm() for e in ends)
    assert bool((z.norm(dim=1) <= longest * 1.001 + 1e-6).all())


def test_linear_interpolation_is_linear():
    z0, z1 = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    z = interpolate(z0, z1, 6, spherical=False)
    assert torch.allclose(z, torch.stack([z0 + i / 5 * (z1 - z0) for i in range(6)]), atol=1e-6)


def test_spherical_interpolation_keeps_the_length_and_rotates_at_a_constant_rate():
    z0, z1 = F.normalize(torch.randn(2, 40, generator=torch.Generator().manual_seed(0)), dim=1) * 6
    z = interpolate(z0, z1, 9)
    assert torch.allclose(z.norm(dim=1), torch.full((9,), 6.0), atol=1e-4)
    angles = torch.acos((z[:-1] * z[1:]).sum(1) / 36)
    assert torch.allclose(angles, angles.mean().expand(8), atol=1e-3)
    assert angles.sum().item() == pytest.approx(torch.acos(z0 @ z1 / 36).item(), abs=1e-3)
    assert interpolate(z0, z1, 3, spherical=False)[1].norm() < 5  # the straight line is shorter than the arc


def test_spherical_interpolation_changes_the_length_linearly():
    z = interpolate(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0]), 5)
    assert torch.allclose(z.norm(dim=1), torch.tensor([2.0, 2.5, 3.0, 3.5, 4.0]))


@pytest.mark.parametrize(
    "pair",
    [
        ([0.0, 0.0], [1.0, 2.0]),
        ([1.0, 2.0], [0.0, 0.0]),
        ([0.0, 0.0], [0.0, 0.0]),
        ([1.0, 2.0], [-1.0, -2.0]),
        ([1.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0], [2.0, 4.0]),
        ([1.0, 2.0], [-3.0, -6.0]),
    ],
    ids=str,
)
def test_interpolation_is_linear_where_no_rotation_is_defined(pair):
    z0, z1 = map(torch.tensor, pair)
    assert torch.allclose(interpolate(z0, z1, 5), interpolate(z0, z1, 5, spherical=False), atol=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        (torch.zeros(2), torch.zeros(3), 4),
        (torch.zeros(1, 2), torch.zeros(1, 2), 4),
        ([0.0], [1.0], 4),
        (torch.zeros(2), [0.0, 1.0], 4),
        (torch.zeros(2), torch.zeros(2).numpy(), 4),
        (torch.zeros(2), torch.zeros(()), 4),
        (torch.zeros(2, dtype=torch.int64), torch.ones(2, dtype=torch.int64), 4),
        (torch.zeros(2), torch.ones(2), 1),
        (torch.zeros(2), torch.ones(2), 257),
        (torch.zeros(2), torch.ones(2), 2.5),
    ],
)
def test_invalid_ends_get_a_sentence(bad):
    with pytest.raises(ValueError, match=r"^(z0 and z1|steps) must be .*\.$"):
        interpolate(*bad)
