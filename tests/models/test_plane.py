"""The flow of points of a plane, which the page fits live."""

import functools
import itertools
import math
import time
from types import SimpleNamespace

import pytest
import torch
from torch.func import jacrev

from genmodels import plane
from genmodels.flow import Flow
from genmodels.plane import TOY_SHAPES, fit_plane, toy_points
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
    """The same number of updates on any machine: the clock advances by 0.01 s each time it is read."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plane.flow, "time", SimpleNamespace(monotonic=functools.partial(next, iter(itertools.count(0, 0.01)))))
        return list(fit_plane(moons(), seconds=4.0, layers=4))


def test_a_planes_density_integrates_to_one(fitted):
    plane = fitted[-1].plane
    side = torch.linspace(-2.5, 2.5, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        total = plane.log_prob(grid).exp().sum().item() * (side[1] - side[0]).item() ** 2
    assert total == pytest.approx(1, abs=0.01)


def test_a_planes_layers_are_inverted_and_its_determinants_are_autograds(fitted):
    plane = fitted[-1].plane.eval().requires_grad_(False)
    points = 2.5 * moons(50, seed=1).double()
    for layer in plane.couplings:
        transformed, log_det = layer(points)
        assert (layer.inverse(transformed) - points).abs().max() < 1e-10
        for i in range(3):
            jacobian = jacrev(lambda p, layer=layer: layer(p[None])[0][0])(points[i])
            assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(log_det[i].item(), abs=1e-8)
        points = transformed
    x = moons(50, seed=2).double()
    *_, back = plane.decode_steps(plane.encode(x))
    assert (back - x).abs().max() < 1e-10


def test_a_plane_learns_moons_and_yields_its_states(fitted):
    first, last = fitted[0], fitted[-1]
    assert len(fitted) >= 4 and first.step == 0 < last.step
    with torch.no_grad():
        held_out = -last.plane.log_prob(moons(400, seed=9).double()).mean().item()
    assert held_out < first.nats - 0.4
    for s in fitted:
        assert s.density.shape == (64, 64) and bool(torch.isfinite(s.density).all()) and s.density.min() >= 0
        assert s.lines.shape == (5, 18, 41, 2) and bool(torch.isfinite(s.lines).all())
    i, j = torch.randint(64, (2,)).tolist()  # row 0 is at the top
    center = torch.tensor([[(j + 0.5) / 32 - 1, 1 - (i + 0.5) / 32]], dtype=torch.float64)
    with torch.no_grad():
        assert last.density[i, j].item() == pytest.approx(last.plane.log_prob(center).exp().item(), rel=1e-4)
    straight = last.lines[0]
    assert (straight[:9, :, 0].std(1) < 1e-9).all() and (straight[9:, :, 1].std(1) < 1e-9).all()
    assert (last.lines[1] - straight).abs().max() > 0.01


def test_fitting_stops_in_time_leaves_the_global_state_alone_and_can_be_closed():
    before, start = torch.get_rng_state(), time.monotonic()
    steps = list(fit_plane(moons(30), seconds=0.5))
    assert time.monotonic() - start < 5
    running = fit_plane(moons(30), seconds=20, every=0.05)
    next(running), next(running)
    running.close()
    assert torch.equal(before, torch.get_rng_state())
    repeated = next(fit_plane(moons(30), seconds=0.5, seed=0))
    assert close(repeated.density, steps[0].density)
    assert not close(next(fit_plane(moons(30), seed=1)).density, steps[0].density)


def test_fitting_works_where_gradients_are_off():
    with torch.inference_mode():
        assert [s.step for s in fit_plane(moons(30), seconds=2, layers=1)][-1] > 0


@pytest.mark.parametrize(
    "points",
    [
        None,
        [[0.0, 0.0]] * 20,
        torch.zeros(15, 2),
        torch.zeros(2001, 2),
        torch.zeros(20, 3),
        torch.zeros(20),
        torch.full((20, 2), 1.01),
        torch.full((20, 2), math.nan),
        torch.zeros(20, 2, dtype=torch.int64),
    ],
)
def test_points_are_checked(points):
    with pytest.raises(ValueError, match=r"^points must be .*\.$"):
        next(fit_plane(points))


@pytest.mark.parametrize(
    "option", [{"seconds": 20.1}, {"seconds": 0}, {"layers": 13}, {"layers": 0}, {"seed": -1}, {"every": 0}]
)
def test_options_are_checked(option):
    with pytest.raises(ValueError, match=rf"^{next(iter(option))} must be .*\.$"):
        next(fit_plane(moons(), **option))


@pytest.mark.parametrize("seconds, every", [(0.5, 0.05), (0.5, 20)])
def test_a_live_flow_always_says_how_well_it_does(seconds, every, monkeypatch):
    """Also where the last state was shown at the very last step, after which there is no loss to average."""
    clock = itertools.count(0, 0.125)
    monkeypatch.setattr("genmodels.plane.flow.time.monotonic", lambda: next(clock))
    steps = list(plane.fit_plane(plane.toy_points("moons", 64), seconds=seconds, every=every))
    assert len(steps) >= 2
    assert all(math.isfinite(step.nats) for step in steps)


def test_a_seed_of_zero_is_a_seed():
    model = Flow(size=7, classes=[3], widths=[24], blocks=1, components=5)
    x = torch.rand(2, 1, 7, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(model.encode(x, seed=0), model.encode(x, seed=0))
    assert not close(model.encode(x, seed=0), model.encode(x, seed=None))
    assert close(model.encode(x), model.encode(x))
