"""Blocks that two or more models use unchanged."""

import torch
from torch import nn


class Residual(nn.Module):
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


class Answers(nn.Module):
    """The sum of one learned vector for each answer of y (B, questions); open answers, negative, have one of their own."""

    def __init__(self, classes, width):
        super().__init__()
        self.classes = list(classes)
        self.tables = nn.ModuleList(nn.Embedding(n + 1, width) for n in classes)

    def forward(self, y):  # (B, questions) -> (B, width)
        return sum(table(torch.where(y < 0, n, y)) for table, n, y in zip(self.tables, self.classes, y.T))
