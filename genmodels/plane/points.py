"""Points of the square [-1, 1]^2 to learn, and how far samples are from them."""

import math

import torch
from torch import Tensor

from genmodels.base import check_choice, check_number, generator
from genmodels.messages import Message

TOY_SHAPES = ("moons", "rings", "checkerboard", "eight gaussians", "spiral")
FEWEST, MOST = 16, 2000
MODE_RADIUS, MODE_SD = 0.7, 0.04  # of the eight Gaussians


def toy_points(shape: str, n: int = 1000, *, seed: int = 0) -> Tensor:
    """Random points of a shape: (n, 2) in [-1, 1].

    Arguments: shape: one of TOY_SHAPES; n: 16 to 2000; seed: of the points.
    """
    check_choice("shape", shape, TOY_SHAPES)
    n, g = check_number("n", n, FEWEST, MOST, whole=True), generator(seed)
    if shape == "checkerboard":
        x = 2 * torch.rand(n, generator=g) - 1
        column = (2 * (x + 1)).floor()  # 0 to 3; each column has points in two of its four rows
        row = 2 * torch.randint(2, (n,), generator=g) + column % 2
        return 0.9 * torch.stack([x, (row + torch.rand(n, generator=g)) / 2 - 1], 1)
    if shape == "eight gaussians":
        return modes()[torch.randint(8, (n,), generator=g)] + MODE_SD * torch.randn(n, 2, generator=g)
    noise = 0.03 * torch.randn(n, 2, generator=g)
    u = torch.rand(n, generator=g)
    first = torch.arange(n) % 2 == 0  # points of the first ring, moon or arm
    if shape == "rings":
        angle, radius = 2 * math.pi * u, torch.where(first, 0.8, 0.4)
        points = radius[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    elif shape == "spiral":
        angle, side = 3 * math.pi * u.sqrt(), torch.where(first, 1.0, -1.0)
        points = (0.85 * side * u.sqrt())[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    else:
        angle = math.pi * u
        x = torch.where(first, torch.cos(angle) - 0.5, 0.5 - torch.cos(angle))
        y = torch.where(first, torch.sin(angle) - 0.25, 0.25 - torch.sin(angle))
        points = 0.6 * torch.stack([x, y], 1)
    return (points + noise).clamp(-1, 1)


def modes() -> Tensor:
    """The centres of the eight Gaussians, (8, 2)."""
    angle = torch.arange(8) * math.pi / 4
    return MODE_RADIUS * torch.stack([torch.cos(angle), torch.sin(angle)], 1)


def modes_covered(samples: Tensor) -> int:
    """How many of the eight Gaussians have a fifth of their share of the samples (N, 2), or more, within 4 deviations."""
    near = torch.cdist(samples.double(), modes().double()) < 4 * MODE_SD
    return int((near.sum(0) >= len(samples) / 8 / 5).sum())


def energy_distance(a: Tensor, b: Tensor) -> float:
    """2 E|a - b| - E|a - a'| - E|b - b'| of two sets of points (N, 2), (M, 2): 0 for equal distributions, else positive.

    Unbiased, so that it can be slightly negative. Szekely and Rizzo, Energy statistics (2013),
    https://doi.org/10.1016/j.jspi.2013.03.018.
    """
    a, b = a.double(), b.double()

    def within(x):
        return torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))

    return float(2 * torch.cdist(a, b).mean() - within(a) - within(b))


def check_points(points: Tensor) -> Tensor:
    """The points as float32 (N, 2) on the CPU; a ValueError in one sentence if a model cannot learn them."""
    fits = isinstance(points, Tensor) and points.ndim == 2 and points.shape[1] == 2 and points.is_floating_point()
    if not fits or not FEWEST <= len(points) <= MOST or not bool((points.abs() <= 1).all()):
        requirement = "points must be a float tensor (N, 2) with values in [-1, 1], {fewest} to {most} of them."
        raise ValueError(Message(requirement, fewest=FEWEST, most=MOST))
    points = points.detach().cpu().clone()
    if len(points.unique(dim=0)) < 2:
        raise ValueError(Message("All points are equal: there is nothing to learn."))
    return points.float()
