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
    twice = x.detach().repeat(2, 1).requires_grad_()  # one pass back for both coordinates
    v = velocity(twice, t)
    of_x, of_y = torch.autograd.grad(v, twice, torch.eye(2).to(v).repeat_interleave(len(x), 0))[0].chunk(2)
    return v[: len(x)].detach(), of_x[:, 0] + of_y[:, 1]
