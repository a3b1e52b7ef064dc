"""Blocks that two or more models use unchanged."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))), of the same size.

    He et al., Identity mappings in deep residual networks (2016), https://arxiv.org/abs/1603.05027.
    """

    def __init__(self, channels: int):
        super().__init__()
        first = nn.Conv2d(channels, channels, 3, padding=1)
        last = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(last.weight)  # the block starts as the identity
        self.body = nn.Sequential(nn.SiLU(), first, nn.SiLU(), last)

    def forward(self, x: Tensor) -> Tensor:  # (B, C, H, W) -> (B, C, H, W)
        return x + self.body(x)


class ConditionalBlock(nn.Module):
    """Residual block of two 3x3 convolutions; the condition modulates the second.

    Dhariwal and Nichol, Diffusion models beat GANs on image synthesis (2021), https://arxiv.org/abs/2105.05233.
    """

    def __init__(self, width: int, condition: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width)
        nn.init.zeros_(self.conv2.weight)  # starts as the identity

    def forward(self, x: Tensor, c: Tensor) -> Tensor:  # (B, width, H, W), (B, condition) -> (B, width, H, W)
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(c)[:, :, None, None].chunk(2, dim=1)
        return x + self.conv2(F.silu(torch.addcmul(shift, self.norm2(h), 1 + scale)))


class LabelEmbedding(nn.Module):
    """Sum of one learned vector per attribute of y (B, K); unspecified attributes, negative, have vectors of their own.

    classes: number of values of each of the K attributes.
    """

    def __init__(self, classes: Sequence[int], width: int):
        super().__init__()
        self.classes = list(classes)
        self.tables = nn.ModuleList(nn.Embedding(n + 1, width) for n in classes)

    def forward(self, y: Tensor) -> Tensor:  # (B, K) -> (B, width)
        return sum(table(torch.where(y < 0, n, y)) for table, n, y in zip(self.tables, self.classes, y.T))
