"""Blocks that two or more models use unchanged."""

import torch
import torch.nn.functional as F
from torch import nn


class ResidualBlock(nn.Module):
    """x + conv(act(conv(act(x)))): keeps size and channels. He et al., Identity mappings in deep residual networks (2016)."""

    def __init__(self, channels):
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )
        nn.init.zeros_(self.body[-1].weight)  # starts as the identity

    def forward(self, x):  # (B, C, H, W) -> (B, C, H, W)
        return x + self.body(x)


class ConditionalBlock(nn.Module):
    """Residual block of two 3x3 convolutions; the condition scales and shifts the second's input (Dhariwal, Nichol 2021)."""

    def __init__(self, width, condition):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(8, width), nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width)
        nn.init.zeros_(self.conv2.weight)  # starts as the identity

    def forward(self, x, c):  # (B, width, H, W), (B, condition) -> (B, width, H, W)
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.film(c)[:, :, None, None].chunk(2, dim=1)
        return x + self.conv2(F.silu(torch.addcmul(shift, self.norm2(h), 1 + scale)))


class LabelEmbedding(nn.Module):
    """The sum of one learned vector for each answer of y (B, questions); open answers, negative, have one of their own."""

    def __init__(self, classes, width):
        super().__init__()
        self.classes = list(classes)
        self.tables = nn.ModuleList(nn.Embedding(n + 1, width) for n in classes)

    def forward(self, y):  # (B, questions) -> (B, width)
        return sum(table(torch.where(y < 0, n, y)) for table, n, y in zip(self.tables, self.classes, y.T))
