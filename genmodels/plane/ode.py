"""Points that move with a velocity from noise to data, and what that makes of their density."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Velocity = Callable[[Tensor, float], Tensor]  # points (B, 2), time -> (B, 2)


def euler(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Iterator[Tensor]:
    """Points at each of the times, by Euler's method: one call for each step."""
    yield x
    for t, u in zip(times, times[1:]):
        x = x + (u - t) * velocity(x, t)
        yield x


def log_density(velocity: Velocity, x: Tensor, times: Sequence[float]) -> tuple[Tensor, Tensor]:
    """(points at the last of the times, log of the factor by which the density at x is larger than there), by Heun's method.

    Instantaneous change of variables: d log p / dt = -div v along the path (Chen et al., Neural ordinary differential
    equations, 2018, https://arxiv.org/abs/1806.07366). In two dimensions the divergence is computed, not estimated.
    """
    total = x.new_zeros(len(x))
    for t, u in zip(times, times[1:]):
        v, divergence = _with_divergence(velocity, x, t)
        v_next, divergence_next = _with_divergence(velocity, x + (u - t) * v, u)
        x = x + (u - t) * (v + v_next) / 2
        total = total + (u - t) * (divergence + divergence_next) / 2
    return x, total


@torch.inference_mode(False)
@torch.enable_grad()
def _with_divergence(velocity, x, t):
    x = x.detach().clone().requires_grad_()
    v = velocity(x, t)
    rows = [torch.autograd.grad(v[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2)]
    return v.detach(), (rows[0] + rows[1]).detach()
