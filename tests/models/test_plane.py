"""Points of the plane, and the flow of them."""

import pytest
import torch
from torch.func import jacrev

from genmodels.flow import Flow
from genmodels.plane import TOY_SHAPES, PlaneFlow, fit_steps, toy_points
from tests.compare import close


def moons(n=400, seed=0):
    return toy_points("moons", n, seed=seed)


@pytest.mark.parametrize("shape", TOY_SHAPES)
def test_toy_points_lie_in_the_square_and_have_the_named_shape(shape):
    x = toy_points(shape, 2000, seed=1)
    assert x.shape == (2000, 2) and x.abs().max() <= 1 and torch.equal(x, toy_points(shape, 2000, seed=1))
    if shape == "rings":
        assert ((x.norm(dim=1) - 0.8).abs().minimum((x.norm(dim=1) - 0.4).abs()) < 0.15).all()
    if shape == "checkerboard":
        cells = (2 * (x / 0.9 + 1)).floor().clamp(0, 3)
        assert (cells.sum(1) % 2 == 0).all() and len(cells.unique(dim=0)) == 8
    if shape == "moons":
        assert (x[::2, 1].mean() > 0.1) and (x[1::2, 1].mean() < -0.1)
    with pytest.raises(ValueError, match="shape must be one of moons, rings, checkerboard"):
        toy_points("cat")


@pytest.fixture(scope="module")
def fitted():
    """A flow after some steps on the moons, and the losses of its states."""
    states = list(fit_steps(PlaneFlow(width=32, depth=2), moons(), steps=80, rate=5e-3, every=20))
    return states[-1].model, [state.losses for state in states[1:]]


def test_a_flows_density_integrates_to_one(fitted):
    side = torch.linspace(-2.5, 2.5, 301, dtype=torch.float64)
    with torch.no_grad():
        total = fitted[0].log_prob(torch.cartesian_prod(side, side)).exp().sum().item() * (side[1] - side[0]).item() ** 2
    assert total == pytest.approx(1, abs=0.01)


def test_a_flows_layers_are_inverted_and_its_determinants_are_autograds(fitted):
    flow = fitted[0].requires_grad_(False)
    points = 2.5 * moons(50, seed=1).double()
    for layer in flow.couplings:
        transformed, log_det = layer(points)
        assert (layer.inverse(transformed) - points).abs().max() < 1e-10
        for i in range(3):
            jacobian = jacrev(lambda p, layer=layer: layer(p[None])[0][0])(points[i])
            assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(log_det[i].item(), abs=1e-8)
        points = transformed
    x = moons(50, seed=2).double()
    assert (flow.decode(flow.encode(x)) - x).abs().max() < 1e-10
    first, *_, last = flow.decode_steps(flow.encode(x))
    assert close(first * 2.5, flow.encode(x)) and close(last, x)


def test_a_flow_learns_moons(fitted):
    flow, losses = fitted
    with torch.no_grad():
        held_out = -flow.log_prob(moons(400, seed=9)).mean().item()
    assert held_out < losses[0]["loss"] - 0.2 and losses[-1]["loss"] < losses[0]["loss"]


def test_the_map_of_a_flow_is_its_density(fitted):
    flow = fitted[0]
    row, column = 7, 12  # row 0 is at the top
    cell = torch.tensor([[(column + 0.5) / 16 - 1, 1 - (row + 0.5) / 16], [(column + 1.5) / 16 - 1, 1 - (row + 0.5) / 16]])
    with torch.no_grad():
        ratio = (flow.log_prob(cell)[0] - flow.log_prob(cell)[1]).exp().sqrt().item()
    shown = flow.inside(moons())["map"]
    assert shown[row, column + 1].item() < 1 > shown[row, column].item()
    assert (shown[row, column] / shown[row, column + 1]).item() == pytest.approx(ratio, rel=1e-3)


def test_training_leaves_the_global_state_alone_and_works_where_gradients_are_off():
    before = torch.get_rng_state()
    flow = PlaneFlow(width=4, depth=1)
    with torch.no_grad():
        assert [state.step for state in fit_steps(flow, moons(30), steps=2, every=1)] == [0, 1, 2]
    assert torch.equal(before, torch.get_rng_state())


def test_a_seed_of_zero_is_a_seed():
    model = Flow(size=7, classes=[3], widths=[24], blocks=1, components=5)
    x = torch.rand(2, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.encode(x, seed=0), model.encode(x, seed=0))
    assert not close(model.encode(x, seed=0), model.encode(x, seed=None))
    assert close(model.encode(x), model.encode(x))
