"""Denoising: restoring a clean picture from a noisy one.

`NOISES` are five kinds of noise (`add_noise`). `Denoiser` is a convolutional network that removes noise from pictures of any
size, photographs included. `DenoisingVAE` encodes a small picture as a short latent code and decodes it: it cannot
copy noise, and loses fine detail too. `classical` runs scikit-image's methods, for comparison.

References: Zhang, Zuo and Zhang, FFDNet: toward a fast and flexible solution for CNN-based image denoising (2018),
https://arxiv.org/abs/1710.04026, for the pixel-unshuffling and the noise map; Zhang et al., Plug-and-play image restoration
with deep denoiser prior (2021), https://arxiv.org/abs/2008.13751, for the residual U-Net without biases (DRUNet); Mohan,
Kadkhodaie, Simoncelli and Fernandez-Granda, Robust and interpretable blind image denoising via bias-free CNNs (2020),
https://arxiv.org/abs/1906.05478; Vincent et al., Stacked denoising autoencoders (2010),
https://jmlr.org/papers/v11/vincent10a.html; Im, Ahn, Memisevic and Bengio, Denoising criterion for variational auto-encoding
framework (2017), https://arxiv.org/abs/1511.06406.
"""

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import kl_divergence

from genmodels.base import GenerativeModel, check_choice, check_number, generator, import_extra, randn_rows, upcast
from genmodels.vae import VAE

# --- noise: x (B, C, H, W) in [0, 1]; s (B, 1, 1, 1), its strengths; g, a torch.Generator, or None for the global one ---


def gaussian(x: Tensor, s: Tensor, g: torch.Generator | None = None) -> Tensor:
    """y = x + s n with n ~ N(0, 1), not clipped: s is the standard deviation."""
    return x + s * _standard_normal(x, g)


def poisson(x: Tensor, s: Tensor, g: torch.Generator | None = None) -> Tensor:
    """Photon counts, with 1 / s**2 expected photons at white: the standard deviation is s sqrt(x). Not clipped."""
    photons = 1 / s.clamp(min=1e-3).square()
    return torch.where(s > 0, torch.poisson((x * photons).clamp(min=0), generator=g) / photons, x)


def salt_and_pepper(x: Tensor, s: Tensor, g: torch.Generator | None = None) -> Tensor:
    """A fraction s of the pixels becomes white or black with equal probability, in all channels at once."""
    corrupted, salt = (torch.rand(x[:, :1].shape, generator=g, device=x.device) for _ in range(2))
    return torch.where(corrupted < s, (salt < 0.5).to(x), x)


def speckle(x: Tensor, s: Tensor, g: torch.Generator | None = None) -> Tensor:
    """y = x + s x n with n ~ N(0, 1), as in radar and ultrasound: the standard deviation is s x. Not clipped."""
    return x + s * x * _standard_normal(x, g)


def missing_block(x: Tensor, s: Tensor, g: torch.Generator | None = None) -> Tensor:
    """A square at a random position becomes grey, 1/2; its side is s times the picture's shorter side."""
    B, _, H, W = x.shape
    side = (s * min(H, W)).round()
    top, left = (torch.floor(torch.rand(B, 1, 1, 1, generator=g, device=x.device) * (n - side + 1)) for n in (H, W))
    rows = torch.arange(H, device=x.device).view(1, 1, H, 1)
    columns = torch.arange(W, device=x.device)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return torch.where(inside, 0.5, x)


NOISES: dict[str, Callable[..., Tensor]] = {
    "gaussian": gaussian,
    "poisson": poisson,
    "salt-and-pepper": salt_and_pepper,
    "speckle": speckle,
    "missing block": missing_block,
}


def _standard_normal(x: Tensor, g: torch.Generator | None) -> Tensor:
    return torch.randn(x.shape, generator=g, dtype=x.dtype, device=x.device)


def add_noise(x: Tensor, kind: str = "gaussian", strength: float = 25 / 255, *, seed: int | None = None) -> Tensor:
    """Pictures x (B, C, H, W) in [0, 1] of any size with noise: the same shape, perhaps with values outside [0, 1].

    Arguments:
        kind: one of `NOISES`; the docstring of each says what `strength` means there.
        strength: 0 (no noise) to 1.
        seed: the same seed gives the same noise.
    """
    noise = NOISES[check_choice("kind", kind, list(NOISES))]
    strength = check_number("strength", strength, 0, 1)
    x = check_photographs("x", x, None, 0, 1)
    s, g = torch.full((1, 1, 1, 1), strength), generator(seed)
    return torch.cat([noise(part, s, g) for part in x.cpu().split(1)]).to(x.device)  # a picture's noise never depends on B


def corrupt(x: Tensor, noises: Sequence[str], strongest: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Training inputs (y, M): x with noise of a random kind and strength in each picture, and the noise map, (B, 1, 1, 1).

    noises: names of `NOISES`; strongest: the maximal strength of each. Where the noise is Gaussian the map is sigma with
    probability 1/2; elsewhere it is 0, "unknown". So one network learns to denoise blind and with a given noise level.
    """
    kind, u, coin = (torch.rand(len(x), device=x.device) for _ in range(3))
    kind = (kind * len(noises)).long()
    s = (u * torch.tensor(strongest, device=x.device)[kind]).view(-1, 1, 1, 1)
    y = x.clone()
    for k, name in enumerate(noises):
        chosen = kind == k
        if bool(chosen.any()):
            y[chosen] = NOISES[name](x[chosen], s[chosen])
    is_gaussian = torch.tensor([name == "gaussian" for name in noises], device=x.device)[kind]
    return y, s * (is_gaussian & (coin < 0.5)).view(-1, 1, 1, 1)


def check_photographs(name: str, x: Any, channels: int | None, low: float = -16.0, high: float = 16.0) -> Tensor:
    """`x` as float32 (B, C, H, W) of any size if C is 1 or `channels` (None: 1 or 3); else a ValueError that says so.

    Noisy pictures may have values outside [0, 1]; values beyond -16 or 16 are 8-bit pictures that were not divided by 255.
    """
    allowed = sorted({1, channels or 3})
    requirement = (
        f"{name} must be a float tensor (B, {' or '.join(map(str, allowed))}, H, W) with values from {low:g} to {high:g}"
    )
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1] not in allowed or 0 in x.shape:
        raise ValueError(f"{requirement}, not {tuple(x.shape) if hasattr(x, 'shape') else type(x).__name__}.")
    fits = x.is_floating_point()
    if fits:
        smallest, largest = torch.aminmax(x)
        fits = bool(low <= smallest) and bool(largest <= high)  # not with NaN
    if not fits:
        raise ValueError(f"{requirement}; divide 8-bit pictures by 255.")
    return x.float()


# --- the network ---


class DenoiserBlock(nn.Module):
    """x + conv(relu(conv(x))), as in DRUNet. Without normalisation, which would remove the level of the noise."""

    def __init__(self, width: int, bias: bool):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        nn.init.zeros_(self.conv2.weight)  # starts as the identity

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same. x may be overwritten: new memory would cost half as much as a convolution."""
        if x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_grad_enabled() and fuses_convolutions():
            return self._fused(x)
        return self.conv2(F.relu_(self.conv1(x))).add_(x)

    def _fused(self, x: Tensor) -> Tensor:
        """Each convolution in one pass with what follows it; the first one in 16 bits where that is six times as fast.

        On photographs that changes no pixel by more than 0.2 of 255 grey levels, and no PSNR by more than 0.0003 dB.
        """
        shape = self.conv1.padding, self.conv1.stride, self.conv1.dilation, 1
        short = torch.bfloat16 if self.conv1.bias is None and len(self.conv1.weight) >= 32 and has_matrix_units() else x.dtype
        weight = self.conv1.weight.to(short, memory_format=torch.channels_last)
        h = torch.ops.mkldnn._convolution_pointwise(x.to(short), weight, self.conv1.bias, *shape, "relu", [], "").to(x.dtype)
        sums = torch.ops.mkldnn._convolution_pointwise_.binary
        return sums(x, h, self.conv2.weight, self.conv2.bias, *shape, "add", 1.0, None, [], None)


@functools.cache
def has_matrix_units() -> bool:
    """Whether this processor multiplies matrices of 16-bit numbers (AMX of Intel's)."""
    return hasattr(torch.cpu, "get_capabilities") and bool(torch.cpu.get_capabilities().get("amx_bf16"))


@functools.cache
def fuses_convolutions() -> bool:
    """Whether this PyTorch has oneDNN's fused convolutions, which its compiler uses; they may change in later versions."""
    with torch.random.fork_rng(devices=[]):
        block = DenoiserBlock(8, True)
    nn.init.ones_(block.conv2.weight)
    x = torch.linspace(-1, 1, 8 * 9).view(1, 8, 3, 3)
    with torch.no_grad():
        try:
            return torch.allclose(block._fused(x.clone()), x + block.conv2(block.conv1(x).relu()), atol=1e-4)
        except (AttributeError, NotImplementedError, RuntimeError, TypeError):
            return False


class RestorationStep(NamedTuple):
    """One step of `Denoiser.restore_steps`. x: the picture (B, C, H, W) in [0, 1], restored in part; every step has the same
    tensor. done: the restored fraction of it, 1 in the last step."""

    x: Tensor
    done: float


class Denoiser(GenerativeModel):
    """A residual U-Net on unshuffled pixels, given the noise level or blind: x = y - (the noise that it predicts from y).

    Squares of 2x2 pixels first become channels (pixel-unshuffling, as in FFDNet), so that the largest feature maps have a
    quarter of the picture's pixels; each further level halves the resolution, which widens the receptive field cheaply. Without
    biases the network is homogeneous, f(a y, a sigma) = a f(y, sigma): what it learned from faint noise carries over to strong
    noise, also of strengths that it was not trained on (Mohan et al. 2020). Digits and clothes have a fixed black and white,
    which is worth learning: there, biases.

    A colour model also denoises grey pictures, as three equal channels with equal noise; the three outputs are averaged. Half
    of its training pictures are grey. One network serves both, because edges in grey and in colour are alike.

    Arguments:
        channels: 3 for colour and grey, 1 for grey alone.
        size: side of the pictures, or of the patches of photographs, that it is trained on. It restores any size.
        widths: channels of each level.
        blocks: residual blocks per level, on the way down, on the way up, and at the lowest level.
        bias: whether convolutions have biases.
        noises: names of `NOISES` that it is trained on, none for pairs; strongest: the maximal strength of each.
    Shapes:
        x, y (B, C, H, W) with C = channels or 1, x in [0, 1]; sigma a number or (B, 1, H, W).
    """

    def __init__(
        self,
        channels: int = 3,
        size: int = 64,
        widths: list = [80, 64],  # noqa: B006
        blocks: int = 2,
        bias: bool = False,
        noises: list = ["gaussian"],  # noqa: B006
        strongest: list = [0.22],  # noqa: B006
    ):
        super().__init__()
        self.channels, self.size, self.blocks = channels, size, blocks
        self.noises = [check_choice("noise", name, list(NOISES)) for name in noises]
        self.strongest = [check_number("strongest", s, 0, 1) for s in strongest]
        self.multiple = 2 ** len(widths)  # side, in pixels, of a cell of the lowest level
        self.first = nn.Conv2d(4 * channels + 1, widths[0], 3, padding=1, bias=bias)  # + 1: the noise map
        self.down = nn.ModuleList()  # blocks of each level but the lowest, on the way down
        self.up = nn.ModuleList()  # and on the way up
        self.smaller = nn.ModuleList()  # from each level to the next lower one
        self.larger = nn.ModuleList()  # and back
        for fine, coarse in zip(widths, widths[1:]):
            self.down.append(nn.Sequential(*[DenoiserBlock(fine, bias) for _ in range(blocks)]))
            self.up.append(nn.Sequential(*[DenoiserBlock(fine, bias) for _ in range(blocks)]))
            self.smaller.append(nn.Conv2d(fine, coarse, 2, 2, bias=bias))
            self.larger.append(nn.ConvTranspose2d(coarse, fine, 2, 2, bias=bias))
        self.middle = nn.Sequential(*[DenoiserBlock(widths[-1], bias) for _ in range(blocks)])
        self.last = nn.Conv2d(widths[0], 4 * channels, 3, padding=1, bias=bias)
        nn.init.zeros_(self.last.weight)
        self.to(memory_format=torch.channels_last)  # convolutions on a CPU are faster in this layout

    @property
    def receptive_radius(self) -> int:
        """Radius of the receptive field in pixels: an upper bound, rounded up to whole cells of the lowest level."""
        levels = len(self.down)
        if levels:
            cells = [4 * self.blocks + 2, *[4 * self.blocks] * (levels - 1), 2 * self.blocks]
        else:
            cells = [2 * self.blocks + 2]
        pixels = sum(2 ** (i + 1) * n for i, n in enumerate(cells)) + self.multiple - 1  # and a pixel's position in its cell
        return -(-pixels // self.multiple) * self.multiple

    def denoise(self, y: Tensor, M: Tensor) -> Tensor:
        """The clean picture in y (B, C, H, W), not clipped. M: noise map (B, 1, H, W). `multiple` divides H and W.

        C: `channels`; or 1 for what three equal channels give on average.
        """
        first, last = (self.first.weight, self.first.bias), (self.last.weight, self.last.bias)
        if y.shape[1] < self.channels:  # equal inputs: a sum of weights; average outputs: an average of weights

            def average(t: Tensor) -> Tensor:
                return t.unflatten(0, (self.channels, 4)).mean(0)

            colours, noise = first[0].split([4 * self.channels, 1], 1)
            first = torch.cat([colours.unflatten(1, (self.channels, 4)).sum(1), noise], 1), first[1]
            last = average(last[0]), None if last[1] is None else average(last[1])
        squares = torch.cat([F.pixel_unshuffle(y, 2), F.avg_pool2d(M, 2)], 1)
        h = F.conv2d(squares.to(self.dtype, memory_format=torch.channels_last), *first, padding=1)  # (B, widths[0], H/2, W/2)
        skips = []
        for level, smaller in zip(self.down, self.smaller):
            skips.append(level(h))
            h = smaller(skips[-1])
        h = self.middle(h)
        for level, larger in zip(reversed(self.up), reversed(self.larger)):
            h = level(larger(h).add_(skips.pop()))
        return y - upcast(F.pixel_shuffle(F.conv2d(h, *last, padding=1), 2))

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Mean over the pictures of the root mean squared error, so that faint noise counts beside strong.

        Its minimizer is the geometric median of the clean pictures given the noisy one; that of squared errors is their mean.

        batch: (x,), which `corrupt` makes noisy; or (x, y) with the noisy y, whose noise map is the level of y - x with
        probability 1/2, else 0.
        """
        x, *noisy = self.on_device(batch[:2])
        if noisy and noisy[0].shape == x.shape:
            (y,) = noisy
            level = (y - x).square().mean((1, 2, 3), keepdim=True).sqrt()
            M = level * (torch.rand(len(x), 1, 1, 1, device=x.device) < 0.5)
        elif self.channels == 3:  # half of them grey
            half = len(x) // 2
            grey, M_grey = corrupt(luma(x[:half]), self.noises, self.strongest)
            colour, M_colour = corrupt(x[half:], self.noises, self.strongest)
            x = torch.cat([luma(x[:half]).expand(-1, 3, -1, -1), x[half:]])
            y = torch.cat([grey.expand(-1, 3, -1, -1), colour])
            M = torch.cat([M_grey, M_colour])
        else:
            y, M = corrupt(x, self.noises, self.strongest)
        y = y.contiguous(memory_format=torch.channels_last)
        restored = self.denoise(y, M.expand(-1, 1, *x.shape[2:]))
        mse = (restored - x).square().flatten(1).mean(1)
        return {"loss": (mse + 1e-7).sqrt().mean(), "psnr": -10 * mse.detach().log10().mean()}

    @torch.no_grad()
    def restore_steps(
        self, noisy: Tensor, sigma: float | Tensor | None = None, *, tile: int = 512
    ) -> Iterator[RestorationStep]:
        """Restore pictures tile by tile and yield after each tile. The network's memory does not grow with the picture's size.

        Each tile is computed with a margin as wide as the receptive field, so that there are no seams: the result is that of
        the whole picture at once.

        Arguments:
            noisy: (B, C, H, W) of any height and width, C = 1 or `channels`; values may be outside [0, 1].
            sigma: standard deviation of Gaussian noise, 0 to 1 (25 on a scale of 255 is 25 / 255), or a tensor (B, 1, H, W)
                where it varies over the picture; None: unknown, the model denoises blind, or with its own `noise_level` if it
                was trained on pairs, whose noise may be of any kind. Where it is 0, y is returned.
            tile: 16 to 8192 pixels, side of a tile without its margin.
        """
        y = check_photographs("noisy", noisy, self.channels).to(self.device)
        tile = check_number("tile", tile, 16, 8192, whole=True) // self.multiple * self.multiple or self.multiple
        B, C, H, W = y.shape
        M = self._noise_map(sigma, y)
        if sigma is None and not self.noises:
            M = self.noise_level(y).view(-1, 1, 1, 1).expand(M.shape)
        if C == 3 and torch.equal(y[:, 0], y[:, 1]) and torch.equal(y[:, 0], y[:, 2]):
            y = y[:, :1]  # grey stays grey
        x = torch.empty(B, C, H, W, device=y.device)
        pixels, margin = 0, self.receptive_radius
        for top in range(0, H, tile):
            for left in range(0, W, tile):
                bottom, right = min(H, top + tile), min(W, left + tile)
                outer_top, outer_left = max(0, top - margin), max(0, left - margin)  # of the tile with its margin
                outer = slice(outer_top, bottom + margin), slice(outer_left, right + margin)
                part = self._restore(y[..., *outer], M[..., *outer])
                if sigma is not None:  # M is 0 where the level is unknown, but also where there is no noise
                    part = torch.where(M[..., *outer] == 0, y[..., *outer], part)
                inner = part[..., top - outer_top : bottom - outer_top, left - outer_left : right - outer_left]
                x[..., top:bottom, left:right] = inner.clamp(0, 1)
                pixels += (bottom - top) * (right - left)
                yield RestorationStep(x, pixels / (H * W))

    def restore(self, noisy: Tensor, sigma: float | Tensor | None = None, *, tile: int = 512) -> Tensor:
        """The restored pictures, (B, C, H, W) in [0, 1]: the last `x` of `restore_steps`, which has the same arguments."""
        for step in self.restore_steps(noisy, sigma, tile=tile):
            x = step.x
        return x

    @torch.no_grad()
    def noise_level(self, noisy: Tensor) -> Tensor:
        """The network's estimate of the standard deviation of the noise of pictures (B, C, H, W), on the scale of sigma: (B,).

        That of what it removes, blind, from nine patches spread over the picture. Told it, it restores better than blind: the
        first pass has seen which kind of noise it is.
        """
        y = check_photographs("noisy", noisy, self.channels).to(self.device)
        h, w = (min(n, 48) for n in y.shape[2:])
        tops, lefts = ({round(i * (n - side) / 2) for i in range(3)} for n, side in zip(y.shape[2:], (h, w)))
        patches = torch.cat([y[..., top : top + h, left : left + w] for top in tops for left in lefts])
        blind = self._restore(patches, patches.new_zeros(1, 1, 1, 1).expand(len(patches), 1, h, w))
        return (patches - blind).square().mean((1, 2, 3)).view(-1, len(y)).mean(0).sqrt().clamp(max=1)

    def _restore(self, y: Tensor, M: Tensor) -> Tensor:
        """`denoise` for any height and width."""
        H, W = y.shape[2:]
        pad = (0, -W % self.multiple, 0, -H % self.multiple)
        y, M = (F.pad(t, pad, mode="replicate") if any(pad) else t for t in (y, M))
        return self.denoise(y.contiguous(memory_format=torch.channels_last), M)[..., :H, :W]

    def _noise_map(self, sigma: float | Tensor | None, y: Tensor) -> Tensor:
        """The noise map M (B, 1, H, W), 0 where sigma is unknown."""
        shape = (len(y), 1, *y.shape[2:])
        if not isinstance(sigma, torch.Tensor) or sigma.ndim == 0:
            sigma = 0.0 if sigma is None else check_number("sigma", sigma, 0, 1)
            return y.new_full((1, 1, 1, 1), sigma).expand(shape)
        fits = sigma.shape == shape and sigma.is_floating_point() and bool(((sigma >= 0) & (sigma <= 1)).all())
        if not fits:
            raise ValueError(f"sigma must be None, a number from 0 to 1 or a float tensor {shape} of such numbers.")
        return sigma.to(y)


def luma(x: Tensor) -> Tensor:
    """Brightness of colour pictures as in JPEG and Pillow: (B, 3, H, W) -> (B, 1, H, W)."""
    return (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


# --- the denoising VAE ---


class DenoisingVAE(GenerativeModel):
    """A VAE whose encoder reads the noisy picture and whose decoder has to reconstruct the clean one.

    q(z | y) is conditioned on the noisy y, p(x | z) generates the clean x; the bound is that of a VAE (Im et al. 2017). All
    information passes through `latent` numbers, so that the picture cannot be copied. The decoder gives the mean of p(x | z),
    which is blurred where z leaves something open.

    Arguments:
        channels, size, latent, width, hidden, likelihood, beta: see `VAE`.
        noises, strongest: see `Denoiser`.
    Shapes:
        x, y (B, C, H, W), x in [0, 1]; z (B, D).
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        latent: int = 32,
        width: int = 16,
        hidden: int = 160,
        likelihood: str = "bernoulli",
        beta: float = 1.0,
        noises: list = list(NOISES),  # noqa: B006
        strongest: list = [0.65, 0.65, 0.6, 1.0, 0.6],  # noqa: B006
    ):
        super().__init__()
        self.channels, self.size, self.latent, self.beta = channels, size, latent, beta
        self.noises = [check_choice("noise", name, list(NOISES)) for name in noises]
        self.strongest = [check_number("strongest", s, 0, 1) for s in strongest]
        self.vae = VAE(channels, size, latent, width, 2, hidden, likelihood=likelihood)

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """batch: (x, ...). Returns `loss` = beta KL - E log p(x | z), with one sample of q(z | y), and its terms, in nats."""
        x = self.on_device(batch[:1])[0]
        y, _ = corrupt(x, self.noises, self.strongest)
        if self.vae.likelihood_name == "bernoulli":
            x = torch.bernoulli(x)
        q = self.vae.posterior(y)
        log_px = self.vae.pixel_distribution(self.vae._decode(q.rsample())).log_prob(x).mean()
        kl = kl_divergence(q, self.vae.prior()).sum(1).mean()
        return {"loss": self.beta * kl - log_px, "reconstruction": -log_px.detach(), "kl": kl.detach()}

    def restore(self, noisy: Tensor, *, seed: int | None = None) -> Tensor:
        """The clean pictures, (B, C, H, W) in [0, 1], of noisy ones of the same shape, whose values may be outside [0, 1].

        seed: samples the code from q(z | y): another interpretation of the same noise. None: the mean code.
        """
        y = check_photographs("noisy", noisy, self.channels)
        if y.shape[1:] != (self.channels, self.size, self.size):
            raise ValueError(f"noisy must be (B, {self.channels}, {self.size}, {self.size}), not {tuple(y.shape)}.")
        with torch.no_grad():
            q = self.vae.posterior(y.to(self.device))
            z = q.mean
            if seed is not None:
                z = z + q.stddev * randn_rows(*z.shape, g=generator(seed)).to(z)
            return self.vae.decode(z)


# --- classical methods, and the quality of a restored picture: scikit-image's ---

CLASSICAL = ("median", "non-local means", "total variation", "wavelets")


def classical(x: Tensor, method: str, sigma: float | None = None) -> Tensor:
    """One picture (1, C, H, W), restored by a method of scikit-image: the same shape, in [0, 1].

    median: of 3x3 pixels, 5x5 from sigma 0.15 on. non-local means: its fast version, patches of 5, distance 6 (Buades, Coll
    and Morel 2005). total variation: Chambolle 2004. wavelets: BayesShrink (Chang, Yu and Vetterli 2000), with cycle spinning.

    Arguments:
        sigma: standard deviation of the noise, 0 to 1; None: scikit-image's estimate from the picture itself.
    """
    check_choice("method", method, CLASSICAL)
    x = check_photographs("x", x, None)
    y = x[0].permute(1, 2, 0).squeeze(2).cpu().numpy()  # (H, W, 3) or (H, W)
    sigma = estimate_sigma(x) if sigma is None else check_number("sigma", sigma, 0, 1)
    axis = 2 if y.ndim == 3 else None
    restoration = import_extra("skimage.restoration", "denoise")
    if method == "median":
        side = 5 if sigma >= 0.15 else 3
        y = import_extra("skimage.filters", "denoise").median(y, np.ones((side, side, 1)[: y.ndim]))  # each channel by itself
    elif min(y.shape[:2]) < 2 or sigma == 0:
        pass  # a line of pixels has neither patches nor wavelets; and without noise there is nothing to remove
    elif method == "non-local means":
        y = restoration.denoise_nl_means(y, 5, 6, h=max(1e-3, 0.8 * sigma), sigma=sigma, fast_mode=True, channel_axis=axis)
    elif method == "total variation":
        y = restoration.denoise_tv_chambolle(y, weight=max(1e-3, sigma), channel_axis=axis)
    else:
        import_extra("pywt", "denoise")
        with warnings.catch_warnings():  # small pictures have few levels, and scikit-image warns each time
            warnings.simplefilter("ignore")
            y = restoration.cycle_spin(
                y,
                func=restoration.denoise_wavelet,
                max_shifts=1,
                num_workers=1,
                channel_axis=axis,
                func_kw=dict(sigma=sigma, rescale_sigma=True, channel_axis=axis),
            )
    return torch.from_numpy(np.ascontiguousarray(y, np.float32)).view(*x.shape[2:], -1).permute(2, 0, 1)[None].clamp(0, 1)


def estimate_sigma(x: Tensor) -> float:
    """Standard deviation of the noise in one picture (1, C, H, W), which scikit-image estimates from its finest wavelets."""
    if min(x.shape[2:]) < 2:
        return 0.0
    import_extra("pywt", "denoise")
    estimate = import_extra("skimage.restoration", "denoise").estimate_sigma
    return float(np.clip(np.nan_to_num(estimate(x[0].permute(1, 2, 0).cpu().numpy(), True, channel_axis=2)), 0, 1))


def quality(x: Tensor, clean: Tensor) -> tuple[float, float | None]:
    """(PSNR in dB, SSIM) of one picture against the clean one, (1, C, H, W) each, by scikit-image.

    PSNR is infinite for equal pictures. SSIM as in the paper (Gaussian window, sd 1.5; Wang et al. 2004); None for pictures of
    less than 11 pixels, into which its window does not fit.
    """
    measures = import_extra("skimage.metrics", "denoise")
    restored, original = (t[0].permute(1, 2, 0).cpu().numpy() for t in (x, clean))
    with np.errstate(divide="ignore"):
        psnr = float(measures.peak_signal_noise_ratio(original, restored, data_range=1))
    if min(original.shape[:2]) < 11:
        return psnr, None
    ssim = measures.structural_similarity(
        original, restored, data_range=1, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return psnr, float(ssim)
