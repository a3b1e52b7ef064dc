"""Blocks that two or more models use unchanged."""

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
