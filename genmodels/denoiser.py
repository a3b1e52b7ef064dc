"""Denoising: from a noisy picture back to the clean one.

`NOISES` are five ways to spoil a picture (`add_noise`). `Denoiser` is a convolutional network that takes noise off pictures of
any size, photographs too; `DenoisingVAE` sends a small picture through the few numbers of a code, so that what comes out is
always a plausible one, if not always the right one. `classical` are scikit-image's methods, to compare with.

References: Zhang, Zuo and Zhang, FFDNet: toward a fast and flexible solution for CNN-based image denoising (2018), for the
unshuffled pixels and the noise map; Zhang et al., Plug-and-play image restoration with deep denoiser prior (2021), for the
residual U-Net without biases (DRUNet); Mohan, Kadkhodaie, Simoncelli and Fernandez-Granda, Robust and interpretable blind
image denoising via bias-free CNNs (2020); Vincent et al., Stacked denoising autoencoders (2010); Im, Ahn, Memisevic and
Bengio, Denoising criterion for variational auto-encoding framework (2017).
"""

import warnings
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import kl_divergence

from genmodels.base import GenerativeModel, check_choice, check_number, generator
from genmodels.vae import VAE

# --- noise: x (B, C, H, W) in [0, 1], strengths s (B, 1, 1, 1), g a torch.Generator or None for the global one ---


def gaussian(x, s, g=None):
    """y = x + s n with n ~ N(0, 1), not clipped: s is the standard deviation."""
    return x + s * _normal(x, g)


def poisson(x, s, g=None):
    """Counted photons, 1 / s**2 of them at white: the standard deviation is s sqrt(x). Not clipped."""
    photons = 1 / s.clamp(min=1e-3).square()
    return torch.where(s > 0, torch.poisson((x * photons).clamp(min=0), generator=g) / photons, x)


def salt_and_pepper(x, s, g=None):
    """A share s of the pixels becomes white or black, each half of them, in all channels at once."""
    hit, salt = (torch.rand(x[:, :1].shape, generator=g, device=x.device) for _ in range(2))
    return torch.where(hit < s, (salt < 0.5).to(x), x)


def speckle(x, s, g=None):
    """y = x + s x n with n ~ N(0, 1), as radar and ultrasound see: the standard deviation is s x. Not clipped."""
    return x + s * x * _normal(x, g)


def missing_block(x, s, g=None):
    """A square becomes grey, 1/2; its side is s times the picture's shorter side, its place random."""
    B, _, H, W = x.shape
    side = (s * min(H, W)).round()
    top, left = (torch.floor(torch.rand(B, 1, 1, 1, generator=g, device=x.device) * (n - side + 1)) for n in (H, W))
    rows, columns = torch.arange(H, device=x.device).view(1, 1, H, 1), torch.arange(W, device=x.device)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return torch.where(inside, 0.5, x)


NOISES = {
    "gaussian": gaussian,
    "poisson": poisson,
    "salt-and-pepper": salt_and_pepper,
    "speckle": speckle,
    "missing block": missing_block,
}


def _normal(x, g):
    return torch.randn(x.shape, generator=g, dtype=x.dtype, device=x.device)


def add_noise(x, kind="gaussian", strength=25 / 255, *, seed=None):
    """x (B, C, H, W) in [0, 1], of any size, spoilt: the same shape, perhaps beyond [0, 1].

    Arguments:
        kind: one of `NOISES`, whose docstrings say what `strength` means there.
        strength: 0 (no noise) to 1.
        seed: the same seed gives the same noise.
    """
    spoil, strength = NOISES[check_choice("kind", kind, list(NOISES))], check_number("strength", strength, 0, 1)
    x = check_photographs("x", x, None, 0, 1)
    return spoil(x.cpu(), torch.full((len(x), 1, 1, 1), strength), generator(seed)).to(x.device)


def spoilt(x, noises, strongest):
    """Training pairs: (y, M), x with noise of a random kind and strength each, and the noise map, (B, 1, 1, 1).

    noises: names of `NOISES`; strongest: the most of each. The map is sigma where the noise is Gaussian and a coin falls so,
    else 0, "not told": one network learns to work blind and with a known noise level.
    """
    kind, u, told = (torch.rand(len(x), device=x.device) for _ in range(3))
    kind = (kind * len(noises)).long()
    s = (u * torch.tensor(strongest, device=x.device)[kind]).view(-1, 1, 1, 1)
    y = x.clone()
    for k, name in enumerate(noises):
        of = kind == k
        if bool(of.any()):
            y[of] = NOISES[name](x[of], s[of])
    gaussian = torch.tensor([name == "gaussian" for name in noises], device=x.device)[kind]
    return y, s * (gaussian & (told < 0.5)).view(-1, 1, 1, 1)


def check_photographs(name, x, channels, low=-16.0, high=16.0):
    """`x` as float32 (B, C, H, W) of any size; C is 1 or `channels` (None: 1 or 3). Else a ValueError.

    Noise may lead out of [0, 1]; what is beyond -16 or 16 is an 8-bit picture that was not divided by 255.
    """
    allowed = sorted({1, channels or 3})
    want = f"{name} must be a float tensor (B, {' or '.join(map(str, allowed))}, H, W) with values from {low:g} to {high:g}"
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1] not in allowed or 0 in x.shape:
        raise ValueError(f"{want}, not {tuple(x.shape) if hasattr(x, 'shape') else type(x).__name__}.")
    least, most = torch.aminmax(x) if x.is_floating_point() else (low - 1, high + 1)
    if not bool(low <= least) or not bool(most <= high):  # NaN fails this too
        raise ValueError(f"{want}; divide 8-bit pictures by 255.")
    return x.float()


# --- the network ---


class Block(nn.Module):
    """x + conv(relu(conv(x))), without normalisation: the level of the noise must not be normalised away. DRUNet's."""

    def __init__(self, width, bias):
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        nn.init.zeros_(self.conv2.weight)  # starts as the identity

    def forward(self, x):  # (B, width, H, W) -> the same
        return x + self.conv2(F.relu(self.conv1(x)))


class Step(NamedTuple):
    """One step of `Denoiser.restore_steps`. x: the picture, restored as far as it has come, (B, C, H, W) in [0, 1], one and the
    same tensor in all steps; done: share of it that is restored, 1 in the last step."""

    x: torch.Tensor
    done: float


class Denoiser(GenerativeModel):
    """A residual U-Net on unshuffled pixels that is told the noise level, or not: x = y - (the noise that it sees in y).

    Squares of 2x2 pixels become channels first (FFDNet), so that the widest maps are a quarter of the picture; further levels
    halve them, and see far for little. Without biases the network is homogeneous, f(a y, a sigma) = a f(y, sigma): what it
    learned of faint noise holds for strong noise, also of a strength that it never saw (Mohan et al. 2020). Digits and clothes
    have a fixed black and white, which is worth knowing: there, biases.

    A colour model also takes grey pictures: their three channels are equal, noise included, which half of its training pictures
    show, and so are the three that come out, to be averaged. One network for both, because what is an edge in grey is one in
    colour.

    Arguments:
        channels: 3 for colour and grey, 1 for grey alone.
        size: side of the pictures, or of the patches of photographs, that it is trained on. It restores any size.
        widths: channels of each level.
        blocks: residual blocks a level, down and up each, and at the lowest.
        bias: whether convolutions add a constant.
        noises: names of `NOISES` that it is trained on; strongest: up to which strength of each.
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
        self.multiple = 2 ** len(widths)  # of pixels that a cell of the lowest level covers
        self.first = nn.Conv2d(4 * channels + 1, widths[0], 3, padding=1, bias=bias)  # + 1: the noise map
        self.down, self.up, self.smaller, self.larger = (nn.ModuleList() for _ in range(4))
        for above, below in zip(widths, widths[1:]):
            self.down.append(nn.Sequential(*[Block(above, bias) for _ in range(blocks)]))
            self.up.append(nn.Sequential(*[Block(above, bias) for _ in range(blocks)]))
            self.smaller.append(nn.Conv2d(above, below, 2, 2, bias=bias))
            self.larger.append(nn.ConvTranspose2d(below, above, 2, 2, bias=bias))
        self.middle = nn.Sequential(*[Block(widths[-1], bias) for _ in range(blocks)])
        self.last = nn.Conv2d(widths[0], 4 * channels, 3, padding=1, bias=bias)
        nn.init.zeros_(self.last.weight)
        self.to(memory_format=torch.channels_last)  # once, here: convolutions on two cores are faster so

    @property
    def reach(self):
        """How many pixels away a pixel can still matter, at most, rounded up to whole cells of the lowest level."""
        levels = len(self.down)
        cells = [4 * self.blocks + 2, *[4 * self.blocks] * (levels - 1), 2 * self.blocks] if levels else [2 * self.blocks + 2]
        pixels = sum(2 ** (i + 1) * n for i, n in enumerate(cells)) + self.multiple - 1  # and a pixel's place in its cell
        return -(-pixels // self.multiple) * self.multiple

    def denoise(self, y, M):
        """The clean picture in y (B, channels, H, W), of a height and width that `multiple` divides, raw. M: (B, 1, H, W)."""
        h = self.first(torch.cat([F.pixel_unshuffle(y, 2), F.avg_pool2d(M, 2)], 1))  # (B, widths[0], H/2, W/2)
        seen = []
        for level, smaller in zip(self.down, self.smaller):
            seen.append(level(h))
            h = smaller(seen[-1])
        h = self.middle(h)
        for level, larger in zip(reversed(self.up), reversed(self.larger)):
            h = level(larger(h) + seen.pop())
        return y - F.pixel_shuffle(self.last(h), 2)

    def loss(self, batch):
        """batch: (x, ...). Mean over pictures of the root mean squared error, so that faint noise counts beside strong."""
        x = batch[0]
        if self.channels == 3:  # half of them grey
            half = len(x) // 2
            grey, M_grey = spoilt(luma(x[:half]), self.noises, self.strongest)
            colour, M_colour = spoilt(x[half:], self.noises, self.strongest)
            x = torch.cat([luma(x[:half]).expand(-1, 3, -1, -1), x[half:]])
            y, M = torch.cat([grey.expand(-1, 3, -1, -1), colour]), torch.cat([M_grey, M_colour])
        else:
            y, M = spoilt(x, self.noises, self.strongest)
        y = y.contiguous(memory_format=torch.channels_last)
        told = self.denoise(y, M.expand(-1, 1, *x.shape[2:]))
        mse = (told.float() - x).square().flatten(1).mean(1)
        return {"loss": (mse + 1e-7).sqrt().mean(), "psnr": -10 * mse.detach().log10().mean()}

    @torch.inference_mode()
    def restore_steps(self, noisy, sigma=None, *, tile=512):
        """Restore pictures tile by tile and yield a `Step` after each: memory does not grow with the picture's size.

        Neighbouring tiles overlap by as much as a pixel's surroundings can matter, so that no seam is left: the result is that
        of the whole picture at once.

        Arguments:
            noisy: (B, C, H, W) of any height and width, C = 1 or `channels`; values may be beyond [0, 1].
            sigma: standard deviation of Gaussian noise, 0 to 1 (25 of 255 is 25 / 255), or a tensor (B, 1, H, W) of it where
                it differs from place to place; None: the model sees for itself.
            tile: 16 to 8192 pixels, side of a tile without its overlap.
        """
        y = check_photographs("noisy", noisy, self.channels).to(self.device)
        tile = check_number("tile", tile, 16, 8192, whole=True) // self.multiple * self.multiple or self.multiple
        B, C, H, W = y.shape
        M = self._map(sigma, y)
        if C == 3 and torch.equal(y[:, 0], y[:, 1]) and torch.equal(y[:, 0], y[:, 2]):
            y = y[:, :1]  # grey stays grey
        x = torch.empty(B, C, H, W, device=y.device)
        done, reach = 0, self.reach
        for top in range(0, H, tile):
            for left in range(0, W, tile):
                bottom, right = min(H, top + tile), min(W, left + tile)
                above, before = max(0, top - reach), max(0, left - reach)  # where the tile begins with its overlap
                around = slice(above, bottom + reach), slice(before, right + reach)
                part = self._restore(y[..., *around], M[..., *around])
                inside = part[..., top - above : bottom - above, left - before : right - before]
                x[..., top:bottom, left:right] = inside.clamp(0, 1)
                done += (bottom - top) * (right - left)
                yield Step(x, done / (H * W))

    def restore(self, noisy, sigma=None, *, tile=512):
        """The restored pictures, (B, C, H, W) in [0, 1]: the last `x` of `restore_steps`, which has the same arguments."""
        for step in self.restore_steps(noisy, sigma, tile=tile):
            x = step.x
        return x

    def _restore(self, y, M):
        """`denoise` for any height and width, and for one channel where the network has three."""
        C, H, W = y.shape[1:]
        pad = (0, -W % self.multiple, 0, -H % self.multiple)
        y, M = (F.pad(t, pad, mode="replicate") if any(pad) else t for t in (y, M))
        y = y.expand(-1, self.channels, -1, -1).contiguous(memory_format=torch.channels_last)
        x = self.denoise(y, M)[..., :H, :W]
        return x if C == self.channels else x.mean(1, keepdim=True)

    def _map(self, sigma, y):
        """The noise map M (B, 1, H, W), 0 where nothing is told."""
        shape = (len(y), 1, *y.shape[2:])
        if not isinstance(sigma, torch.Tensor) or sigma.ndim == 0:
            sigma = 0.0 if sigma is None else check_number("sigma", sigma, 0, 1)
            return y.new_full((1, 1, 1, 1), sigma).expand(shape)
        fits = sigma.shape == shape and sigma.is_floating_point() and bool(((sigma >= 0) & (sigma <= 1)).all())
        if not fits:
            raise ValueError(f"sigma must be None, a number from 0 to 1 or a float tensor {shape} of such numbers.")
        return sigma.to(y)


def luma(x):
    """Brightness of colour pictures as JPEG and Pillow have it: (B, 3, H, W) -> (B, 1, H, W)."""
    return (x * x.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


# --- the denoising VAE ---


class DenoisingVAE(GenerativeModel):
    """A VAE whose encoder is shown the noisy picture and whose decoder has to draw the clean one.

    q(z | y) from the noisy y, p(x | z) of the clean x: the bound is that of a VAE (Im et al. 2017). All that is known of the
    picture passes through `latent` numbers, so it cannot be copied: where the noise leaves something open, the decoder fills in
    what is plausible.

    Arguments:
        channels, size, latent, width, hidden, likelihood, beta: of the `VAE`.
        noises, strongest: as of `Denoiser`.
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

    def loss(self, batch):
        """batch: (x, ...). Returns `loss` = beta KL - E log p(x | z) with one draw of q(z | y), and its terms, in nats."""
        x = batch[0]
        y, _ = spoilt(x, self.noises, self.strongest)
        if self.vae.likelihood_name == "bernoulli":
            x = torch.bernoulli(x)
        q = self.vae.posterior(y)
        log_px = self.vae.pixel_distribution(self.vae.decoder(q.rsample())).log_prob(x).mean()
        kl = kl_divergence(q, self.vae.prior()).sum(1).mean()
        return {"loss": self.beta * kl - log_px, "reconstruction": -log_px.detach(), "kl": kl.detach()}

    def restore(self, noisy, *, seed=None):
        """The clean pictures, (B, C, H, W) in [0, 1], of noisy ones of the same shape, which may be beyond [0, 1].

        seed: draws the code of each instead of taking the mean: another reading of the same noise.
        """
        y = check_photographs("noisy", noisy, self.channels)
        if y.shape[1:] != (self.channels, self.size, self.size):
            raise ValueError(f"noisy must be (B, {self.channels}, {self.size}, {self.size}), not {tuple(y.shape)}.")
        with torch.inference_mode():
            q = self.vae.posterior(y.to(self.device))
            n = 0.0 if seed is None else torch.randn(q.mean.shape, generator=generator(seed)).to(q.mean)
            return self.vae.decode(q.mean + q.stddev * n)


# --- what there was before, and what a restored picture is worth: scikit-image's ---

CLASSICAL = ("median", "non-local means", "total variation", "wavelets")


def classical(x, method, sigma=None):
    """One picture (1, C, H, W), restored by a method of scikit-image: the same shape, in [0, 1].

    median: of 3x3 pixels, 5x5 from sigma 0.15 on. non-local means: the fast one, patches of 5, distance 6 (Buades, Coll and
    Morel 2005). total variation: Chambolle 2004. wavelets: BayesShrink (Chang, Yu and Vetterli 2000), shifted and averaged.

    Arguments:
        sigma: standard deviation of the noise, 0 to 1; None: scikit-image's estimate from the picture itself.
    """
    check_choice("method", method, CLASSICAL)
    x = check_photographs("x", x, None)
    y = x[0].permute(1, 2, 0).squeeze(2).cpu().numpy()  # (H, W, 3) or (H, W)
    sigma, axis = estimate_sigma(x) if sigma is None else check_number("sigma", sigma, 0, 1), 2 if y.ndim == 3 else None
    if method == "median":
        from skimage.filters import median

        side = 5 if sigma >= 0.15 else 3
        y = median(y, np.ones((side, side, 1)[: y.ndim]))  # of each channel by itself
    elif min(y.shape[:2]) < 2:
        pass  # a line of pixels has neither patches nor wavelets
    elif method == "non-local means":
        from skimage.restoration import denoise_nl_means

        y = denoise_nl_means(y, 5, 6, h=max(1e-3, 0.8 * sigma), sigma=sigma, fast_mode=True, channel_axis=axis)
    elif method == "total variation":
        from skimage.restoration import denoise_tv_chambolle

        y = denoise_tv_chambolle(y, weight=max(1e-3, sigma), channel_axis=axis)
    else:
        from skimage.restoration import cycle_spin, denoise_wavelet

        with warnings.catch_warnings():  # small pictures have few levels, and it says so each time
            warnings.simplefilter("ignore")
            y = cycle_spin(
                y,
                func=denoise_wavelet,
                max_shifts=1,
                num_workers=1,
                channel_axis=axis,
                func_kw=dict(sigma=sigma or None, rescale_sigma=True, channel_axis=axis),
            )
    return torch.from_numpy(np.ascontiguousarray(y, np.float32)).view(*x.shape[2:], -1).permute(2, 0, 1)[None].clamp(0, 1)


def estimate_sigma(x):
    """Standard deviation of the noise in one picture (1, C, H, W), as scikit-image estimates it from its finest wavelets."""
    from skimage.restoration import estimate_sigma as estimate

    if min(x.shape[2:]) < 2:
        return 0.0
    return float(np.clip(np.nan_to_num(estimate(x[0].permute(1, 2, 0).cpu().numpy(), True, channel_axis=2)), 0, 1))


def quality(x, clean):
    """(PSNR in dB, SSIM) of one picture against the clean one, (1, C, H, W) each, by scikit-image.

    PSNR is infinite for the same picture. SSIM as its paper has it (Gaussian window, sd 1.5; Wang et al. 2004); None for
    pictures under 11 pixels, which no window fits into.
    """
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    x, clean = (t[0].permute(1, 2, 0).cpu().numpy() for t in (x, clean))
    with np.errstate(divide="ignore"):
        psnr = float(peak_signal_noise_ratio(clean, x, data_range=1))
    if min(clean.shape[:2]) < 11:
        return psnr, None
    return psnr, float(
        structural_similarity(
            clean, x, data_range=1, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )
