"""A Gaussian whose exact predictions are known, for the tests of diffusion models."""

import math

import torch

from genmodels.diffusion import Diffusion


def small_model():
    """Of three classes, without the zeros of the initial weights."""
    torch.manual_seed(0)
    model = Diffusion(size=8, classes=[3], widths=[16, 16], blocks=1, heads=2).eval().requires_grad_(False)
    for p in model.parameters():
        p += 0.1 * torch.randn_like(p)
    return model


def grey_pictures():
    """Five pictures for it."""
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def gaussian_noise(n, seed=0, dtype=torch.float64):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def from_v(x, v, alpha, sigma):
    """(x0, eps) of the noisy picture x with velocity v. The inverse of `to_v` at every t."""
    return alpha * x - sigma * v, sigma * x + alpha * v


M, S = 0.3, 0.5  # mean and standard deviation of the clean "pictures"


def gaussian(x, t, m=M, s=S):
    """(x0, eps): the prediction of a perfect network for x_t when x_0 is N(m, s^2)."""
    alpha, sigma = exact_alpha_sigma(t)
    x0 = m + alpha * s**2 / (alpha**2 * s**2 + sigma**2) * (x - alpha * m)
    return x0, (x - alpha * x0) / sigma


def exact_alpha_sigma(t):
    """alpha and sigma as floats, exact at t = 0 and t = 1 too."""
    return (1.0, 0.0) if t == 0 else (0.0, 1.0) if t == 1 else (math.cos(t * math.pi / 2), math.sin(t * math.pi / 2))


def grid(start, end, steps):
    return [start + (end - start) * i / steps for i in range(steps)] + [end]
