"""Normalizing flow: an invertible map from pictures to noise, so that the likelihood of a picture is exact.

A flow has no bottleneck and no bound. Where z = f(x) can be undone and z is Gaussian, the density of x is that of z times
how much f stretches space at x:

    log p(x) = log N(f(x); 0, I) + log |det df/dx|

Each layer is a coupling: a part of the numbers stays as it is, a network reads it, and says how to bend the axis of each
other number, one by one. The network itself is never inverted; the Jacobian is triangular, its determinant the product of
the slopes of the bends. Here a bend is z = Phi^-1(F(x)), with F the distribution function of a mixture of Gaussians and Phi
that of one: with one component it is (x - mean) / scale, the affine coupling of RealNVP; with more it can turn any density of
one number into a Gaussian.

Pictures are squeezed as in RealNVP: of each square of 2 x 2 pixels three become noise, one after the other, each given what
is still picture; then the same with the quarter that is left, down to one pixel. What has become noise stays noise (split).
Backwards, a picture grows from its middle pixel out, each time twice as fine. Sampling takes one pass through each layer.

Pixels are 8-bit, and a density needs continuous numbers: each pixel gets uniform noise of the width of its level
(dequantization). F is linear within a level, and the networks read levels, so that this noise costs nothing and cancels: the
likelihood is that of the 8-bit picture, no bound on it. A smooth flow spends many layers on building the box of width 1/256
into which four of five pixels of MNIST fall, and does not get there.

References: Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP (2017), for couplings, squeeze and split; Ho et
al., Flow++ (2019), for the mixture's distribution function as a coupling; Mueller et al., Neural importance sampling (2019),
for couplings linear within bins; Theis, van den Oord and Bethge, A note on the evaluation of generative models (2016), for
dequantization; Reed et al., Parallel multiscale autoregressive density estimation (2017), whose order of pixels this is.
"""

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.special import ndtri  # Phi^-1

from genmodels.autoencoder import check_latents
from genmodels.base import (
    CheckpointError,
    GenerativeModel,
    check_choice,
    check_labels,
    check_number,
    check_pictures,
    checkpoint_folder,
    generator,
)
from genmodels.layers import ConditionalBlock, LabelEmbedding

FLOOR = 1e-3  # share of a mixture that is the axis' own N(0, 1): no slope is ever 0
FAR = 100.0  # stands for infinity, whose product with a slope of 0 would be NaN
EDGE = 1e-15  # how near to 0 and 1 the share of a pixel may come: its |z| stays under 8.3
TINY = 1e-300  # the least share of which float64 can tell the place
LEVELS = 256

Labels = int | Sequence | Tensor | None  # see `base.check_labels`


# --- bends: monotone maps of one number ---


def ndtr(x: Tensor) -> Tensor:
    """Phi, the share of N(0, 1) that lies below x; unlike torch's, exact where it is small."""
    return torch.erfc(-math.sqrt(0.5) * x) / 2


class Mixture(NamedTuple):
    """K Gaussians for each number. weight, mean, scale: (B, K, ...)."""

    weight: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    def read(cls, raw: Tensor) -> "Mixture":
        """From a network's output (B, 3 K, ...), whatever it is: means within +-6, scales from exp(-7) to exp(2)."""
        logits, mean, scale = raw.chunk(3, dim=1)
        return cls(logits.softmax(1), 6 * torch.tanh(mean / 6), torch.exp(4.5 * torch.tanh(scale / 4.5) - 2.5))

    def below(self, a: Tensor) -> Tensor:
        """The distribution function at a (B, ...): the share that lies below. Same shape."""
        return (self.weight * ndtr((a.unsqueeze(1) - self.mean) / self.scale)).sum(1)

    def between(self, low: Tensor, high: Tensor) -> Tensor:
        """The share between low and high (B, ...), from the side of each component on which shares are small and so exact."""
        low, high = ((a.unsqueeze(1) - self.mean) / self.scale for a in (low, high))
        flip = low + high > 0
        return (self.weight * (ndtr(torch.where(flip, -low, high)) - ndtr(torch.where(flip, -high, low)))).sum(1)

    def density(self, a: Tensor) -> Tensor:
        """Its slope. Same shape."""
        t = (a.unsqueeze(1) - self.mean) / self.scale
        return (self.weight / self.scale * torch.exp(-t.square() / 2)).sum(1) / math.sqrt(2 * math.pi)


class Levels(NamedTuple):
    """Where the grey levels lie on an axis on which all pixels of the data, taken together, are Gaussian.

    v: (257,) the share of pixels darker than each level; a: (257,) = Phi^-1(v). Black is most of MNIST, and wide here.
    """

    v: Tensor
    a: Tensor

    def start(self, mixture: Mixture, k: Tensor) -> Tensor:
        """F at the lower border of level k (B, ...)."""
        return (1 - FLOOR) * mixture.below(self.a[k]) + FLOOR * self.v[k]

    def mass(self, mixture: Mixture, k: Tensor) -> Tensor:
        """The probability of level k: F at its upper border less F at its lower."""
        inside = mixture.between(self.a[k], self.a[k + 1])
        return (1 - FLOOR) * inside + FLOOR * (self.v[k + 1] - self.v[k])

    def bend(self, mixture: Mixture, y: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels y (B, ...) in [0, 1] to noise: (z, log dz/dy). F is linear within each level."""
        k = level(y)
        mass = self.mass(mixture, k)
        z = ndtri((self.start(mixture, k) + (LEVELS * y - k) * mass).clamp(EDGE, 1 - EDGE))
        return z, torch.log(LEVELS * mass) - log_normal(z)

    def unbend(self, mixture: Mixture, z: Tensor) -> Tensor:
        """Noise z (B, ...) to pixels: the inverse of `bend`."""
        share, k = ndtr(z), torch.zeros(z.shape, dtype=torch.int64, device=z.device)
        for half in (128, 64, 32, 16, 8, 4, 2, 1):  # the level in which the share is reached
            k = torch.where(self.start(mixture, k + half) <= share, k + half, k)
        u = (share - self.start(mixture, k)) / self.mass(mixture, k)
        return (k + u.clamp(0, 1 - 1e-12)) / LEVELS


def bend(mixture: Mixture, a: Tensor, floor: float = FLOOR) -> tuple[Tensor, Tensor]:
    """Any numbers a (B, ...) to noise: (z, log dz/da). With one component and no floor, z = (a - mean) / scale."""
    slope = (1 - floor) * mixture.density(a) + floor * log_normal(a).exp()
    z = _quantile(*_shares(mixture, a, floor))
    return z, slope.clamp(min=TINY).log() - log_normal(z)


def unbend(mixture: Mixture, z: Tensor, floor: float = FLOOR) -> Tensor:
    """The inverse of `bend`, by halving the interval that holds it until float64 knows no smaller one."""
    reach = (z.abs() + 9).unsqueeze(1) * mixture.scale
    low, high = (mixture.mean - reach).amin(1).clamp(max=-39), (mixture.mean + reach).amax(1).clamp(min=39)
    for _ in range(64):
        middle = (low + high) / 2
        more = _quantile(*_shares(mixture, middle, floor)) < z
        low, high = torch.where(more, middle, low), torch.where(more, high, middle)
    return (low + high) / 2


def _shares(mixture, a, floor):
    """F and 1 - F, each exact where it is small."""
    mirrored = mixture._replace(mean=-mixture.mean)
    return ((1 - floor) * side.below(at) + floor * ndtr(at) for side, at in ((mixture, a), (mirrored, -a)))


def _quantile(below, above):
    """Phi^-1 of a share, from the smaller side."""
    z = ndtri(torch.minimum(below, above).clamp(min=TINY))
    return torch.where(below < above, z, -z)


def level(y: Tensor) -> Tensor:
    """The grey level 0 to 255 of y in [0, 1]."""
    return (LEVELS * y).floor().clamp(0, LEVELS - 1).long()


def log_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1)."""
    return -(z.square() + math.log(2 * math.pi)) / 2


def spread(components: int, reach: float = 2.5) -> Tensor:
    """What a network's last bias is at first: components of scale 0.5 with means from -reach to reach. (3 K,)"""
    even, wide = torch.linspace(-reach, reach, components), torch.full((components,), 1.9)
    return torch.cat([torch.zeros(components), even, wide])


# --- couplings of pictures ---


class Net(nn.Module):
    """Residual network that reads the known pixels of each square and says the mixtures of one more."""

    def __init__(self, known: int, width: int, blocks: int, condition: int, components: int):
        super().__init__()
        self.first = nn.Conv2d(known, width, 3, padding=1)
        self.blocks = nn.ModuleList(ConditionalBlock(width, condition) for _ in range(blocks))
        self.norm = nn.GroupNorm(8, width)
        self.last = nn.Conv2d(width, 3 * components, 3, padding=1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
        self.last.bias = nn.Parameter(spread(components))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:  # (B, known, H, W), (B, condition) -> (B, 3 K, H, W)
        x = self.first(x)
        for block in self.blocks:
            x = block(x, c)
        return self.last(F.silu(self.norm(x)))


ORDER = (3, 0, 1, 2)  # of the places in a square, row by row: the first stays for the next lattice, the last is first noise


class Coupling(nn.Module):
    """One pixel of each square becomes noise, given those before it in ORDER.

    A lattice is every pixel, every 2nd, every 4th and so on. Its squares of 2 x 2 are channels for the network, which so
    works on a map of half the side (RealNVP's squeeze and channel-wise mask).

    Arguments:
        step: of the lattice, 1, 2, 4 and so on.
        turn: 1 to 3, which place of ORDER is the target; 0 where the lattice is a single pixel, with nothing known.
        width, blocks, condition, components: of the `Net`.
    Shapes:
        h (B, 1, H, W): pixels in [0, 1] where it is still picture, z where it is noise; c (B, condition); log_det (B,).
    """

    def __init__(self, step: int, turn: int, width: int, blocks: int, condition: int, components: int):
        super().__init__()
        self.step, self.known, self.place = step, ORDER[:turn], ORDER[turn] if turn else 0
        self.net = Net(max(1, turn), width, blocks, condition, components)

    def target(self, h: Tensor) -> Tensor:
        """A view of the numbers that this layer changes: (B, h, w)."""
        down, right = divmod(self.place, 2)
        first = self.step - 1
        return h[:, 0, first + down * self.step :: 2 * self.step, first + right * self.step :: 2 * self.step]

    def mixture(self, h: Tensor, c: Tensor, dtype: torch.dtype | None = None) -> Mixture:
        """What the network says of the target: a `Mixture` of (B, K, h, w)."""
        first = self.step - 1
        lattice = h[:, :, first :: self.step, first :: self.step]  # (B, 1, n, n)
        odd = lattice.shape[2] % 2
        squares = F.pixel_unshuffle(F.pad(lattice, (0, odd, 0, odd)), 2)  # (B, 4, g, g)
        seen = squares[:, list(self.known)] if self.known else torch.ones_like(squares[:, :1])
        raw = self.net((level(seen) / 127.5 - 1).to(self.net.first.weight.dtype), c)
        height, width = self.target(h).shape[1:]
        return Mixture.read(raw[..., :height, :width].to(dtype or h.dtype))

    def forward(self, h: Tensor, c: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
        """(h with the target turned into noise, log |det|)."""
        z, log_slope = levels.bend(self.mixture(h, c), self.target(h))
        h = h.clone()
        self.target(h).copy_(z)
        return h, log_slope.flatten(1).sum(1)

    def inverse(self, h: Tensor, c: Tensor, levels: Levels) -> Tensor:
        """h with the target turned back into picture."""
        y = levels.unbend(self.mixture(h, c), self.target(h))
        h = h.clone()
        self.target(h).copy_(y)
        return h

    def log_prob(self, y: Tensor, c: Tensor, levels: Levels, dtype: torch.dtype | None = None) -> Tensor:
        """What this layer adds to log p of 8-bit pictures, in nats: (B,).

        `forward` and N(z) say the same: log N(z) + log dz/dy = log(256 mass), of which 256 is the levels' own density. So
        training needs no z.
        """
        mixture = self.mixture(y, c, dtype)
        return torch.log(levels.mass(mixture, level(self.target(y)))).flatten(1).sum(1)


# --- the model ---


class Step(NamedTuple):
    """After one layer. x: (B, 1, H, W) in [0, 1], to look at: pixels, and 0.5 + z / 6 where it is noise; h: the numbers
    themselves, pixels on a scale where level k reaches from k / 256 to (k + 1) / 256; log_det: (B,) of the way so far;
    layer: how many layers are still picture's, from `Flow.layers` down to 0 on the way to noise, and up on the way back."""

    x: Tensor
    h: Tensor
    log_det: Tensor
    layer: int


class Flow(GenerativeModel):
    """A multi-scale flow of couplings on squares of pixels, from the finest lattice to a single pixel; label-conditional.

    Arguments:
        size: of the pictures, which are grey: (1, size, size).
        classes: number of answers to each question: [10] for digits or clothes.
        widths: channels of the networks of each lattice, the finest first; the last counts for all that follow.
        blocks: residual blocks of each network.
        components: K, Gaussians in a mixture.
        conditions: the questions' names.
        drop: share of training pictures whose label is withheld, so that pictures without a label have a likelihood too.
    Shapes:
        x (B, 1, H, W) in [0, 1]; z (B, D) with D = H W, float64: the numbers of a picture are few, and their inverse
        is to be exact; labels (B,) or (B, questions), -1 where open.
    """

    channels = 1
    couplings: Any  # ModuleList of Coupling, of whose elements mypy knows only that they are modules
    shares: Tensor

    def __init__(
        self,
        size: int = 28,
        classes: list = [10],  # noqa: B006
        widths: list = [64, 64, 32, 24],  # noqa: B006
        blocks: int = 3,
        components: int = 10,
        conditions: list = ["class"],  # noqa: B006
        drop: float = 0.25,
    ):
        super().__init__()
        self.size, self.drop = check_number("size", size, 2, 256, whole=True), drop
        self.classes, self.conditions = list(classes), list(conditions)
        self.latent, condition = size**2, 32
        self.labels = LabelEmbedding(classes, condition)
        self.couplings = nn.ModuleList()  # in the order of the way to noise
        for i in range(size.bit_length()):
            width = widths[min(i, len(widths) - 1)]
            for turn in (3, 2, 1) if size >> i > 1 else (0,):
                self.couplings.append(Coupling(2**i, turn, width, blocks, condition, components))
        self.register_buffer("shares", torch.full((LEVELS,), 1 / LEVELS))  # of pixels in each level: see `fit_levels`
        self.to(memory_format=torch.channels_last)  # once, here: convolutions on two cores are faster so

    @property
    def layers(self) -> int:
        """How many couplings there are."""
        return len(self.couplings)

    def fit_levels(self, x: Tensor) -> None:
        """Widen the axis where pixels are many, from pictures x (N, 1, H, W) uint8. Before training, once.

        What actnorm is to other flows: the first weights see numbers of a usual size. A tenth stays spread evenly.
        """
        counts = x.flatten().bincount(minlength=LEVELS).double()
        self.shares.copy_(0.9 * counts / counts.sum() + 0.1 / LEVELS)

    def _levels(self, dtype=torch.float64):
        shares = self.shares.double()
        v = F.pad((shares / shares.sum()).cumsum(0), (1, 0))
        a = ndtri(v)
        a[0], a[-1], v[-1] = -FAR, FAR, 1
        return Levels(v.to(dtype), a.to(dtype))

    def _condition(self, label, n):
        return F.silu(self.labels(check_labels(label, n, self.classes).to(self.device)))

    # --- training and measuring ---

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). `loss` = -log p, nats a picture, with labels withheld at random; `bits_per_dim` is the same in bits a
        pixel, to which each lattice adds its part.
        """
        x, y = batch
        y = y.view(len(x), -1).masked_fill(torch.rand(len(x), 1, device=x.device) < self.drop, -1)
        nats = torch.zeros((), device=x.device)
        bits: dict[str, Tensor] = {}
        for coupling, log_p in zip(self.couplings, self._log_probs(x, y, torch.float32)):
            nats = nats - log_p.mean()
            name = f"lattice_{coupling.step}"
            bits[name] = bits.get(name, torch.zeros_like(nats)) - log_p.detach().mean() / (self.latent * math.log(2))
        return {"loss": nats, "bits_per_dim": torch.stack([*bits.values()]).sum(), **bits}

    def _log_probs(self, x, y, dtype):
        """What each layer adds to log p(x | y): layers times (B,), one after the other."""
        pixels, c, levels = self._dequantise(x), F.silu(self.labels(y)), self._levels(dtype)
        return (coupling.log_prob(pixels, c, levels, dtype) for coupling in self.couplings)

    def layer_log_probs(self, x: Tensor, label: Labels = None) -> Tensor:
        """What each layer adds to log p(x | label), in nats, the finest first: (B, layers). Arguments as of `log_prob`."""
        x = check_pictures("x", x, 1, self.size).to(self.device)
        y = check_labels(label, len(x), self.classes).to(self.device)
        with torch.inference_mode():
            return torch.stack([*self._log_probs(x, y, torch.float64)], 1)

    def log_prob(self, x: Tensor, label: Labels = None) -> Tensor:
        """log p(x | label) of 8-bit pictures x (B, 1, H, W) in [0, 1], in nats: (B,). Exact.

        It is the change of variables' log N(z) + log |det| of the pixels with noise, less log 256 a pixel; the same for any
        noise, so that the bound of uniform dequantization (Theis et al. 2016) is no loss here.

        Arguments:
            x: rounded to 256 levels.
            label: see `base.check_labels`; None is the density of pictures whose label is not told.
        """
        return self.layer_log_probs(x, label).sum(1)

    def bits_per_dim(self, x: Tensor, label: Labels = None) -> Tensor:
        """-log2 p(x | label) a pixel: (B,). Arguments as of `log_prob`."""
        return -self.log_prob(x, label) / (self.latent * math.log(2))

    # --- to noise and back ---

    def _dequantise(self, x, g=None):
        """Where in [0, 1] the pixels lie: somewhere in their level of width 1/256, or, without g, in its middle."""
        k = (255 * x.double()).round()
        u = torch.full_like(k, 0.5) if g is None else torch.rand(k.shape, generator=g, dtype=k.dtype).to(k.device)
        return (k + u) / LEVELS

    @torch.inference_mode()
    def encode_steps(self, x: Tensor, *, label: Labels = None, seed: int | None = None) -> Iterator[Step]:
        """Carry pictures to noise: yields a `Step` before the first layer and after each.

        Arguments:
            x: (B, 1, H, W) in [0, 1], rounded to 256 levels.
            label: what they show; see `base.check_labels`.
            seed: of the noise of the levels, with which z is Gaussian for pictures like those of the training; None puts
                each pixel in the middle of its level.
        """
        x = check_pictures("x", x, 1, self.size).to(self.device)
        h = self._dequantise(x, None if seed is None else generator(seed))
        c, levels, log_det = self._condition(label, len(x)), self._levels(), torch.zeros_like(h[:, 0, 0, 0])
        yield Step(self._look(h, self.layers), h, log_det, self.layers)
        for i, coupling in enumerate(self.couplings):
            h, slope = coupling(h, c, levels)
            log_det, left = log_det + slope, self.layers - 1 - i
            yield Step(self._look(h, left), h, log_det, left)

    @torch.inference_mode()
    def decode_steps(self, z: Tensor, *, label: Labels = None) -> Iterator[Step]:
        """Carry noise to pictures: yields a `Step` before the first layer and after each. z: (B, D); label: of the pictures."""
        check_latents(z, self.latent)
        h = z.double().to(self.device).view(-1, 1, self.size, self.size)
        c, levels, log_det = self._condition(label, len(h)), self._levels(), torch.zeros_like(h[:, 0, 0, 0])
        yield Step(self._look(h, 0), h, log_det, 0)
        for i, coupling in enumerate(reversed(self.couplings)):
            h = coupling.inverse(h, c, levels)
            log_det = log_det - coupling(h, c, levels)[1]
            yield Step(self._look(h, i + 1), h, log_det, i + 1)

    def _look(self, h, layer):
        """h as a picture in [0, 1], of which the last `layer` couplings' targets are still pixels."""
        x = (0.5 + h / 6).float()
        for coupling in self.couplings[self.layers - layer :]:
            coupling.target(x).copy_(level(coupling.target(h)) / 255)
        return x.clamp(0, 1)

    def encode(self, x: Tensor, *, label: Labels = None, seed: int | None = None) -> Tensor:
        """The noise of pictures: (B, 1, H, W) -> z (B, D), float64. Arguments as of `encode_steps`."""
        return _last(self.encode_steps(x, label=label, seed=seed)).h.flatten(1)

    def decode(self, z: Tensor, *, label: Labels = None) -> Tensor:
        """The 8-bit picture of each z, the exact inverse of `encode`: (B, D) -> (B, 1, H, W) in [0, 1]."""
        return _last(self.decode_steps(z, label=label)).x

    def codes(self, n: int, *, temperature: float = 1.0, seed: int | None = None) -> Tensor:
        """Noise of new pictures, (n, D): N(0, temperature^2). n: 1 to 4096; temperature: 0 to 1.5."""
        n, temperature = check_number("n", n, 1, 4096, whole=True), check_number("temperature", temperature, 0, 1.5)
        return temperature * torch.randn(n, self.latent, generator=generator(seed), dtype=torch.float64)

    def sample_steps(
        self, n: int, *, label: Labels = None, temperature: float = 1.0, seed: int | None = None
    ) -> Iterator[Step]:
        """Draw n pictures and yield a `Step` for the noise and after each layer, coarse to fine. Arguments: `sample`."""
        yield from self.decode_steps(self.codes(n, temperature=temperature, seed=seed), label=label)

    def sample(self, n: int, *, label: Labels = None, temperature: float = 1.0, seed: int | None = None) -> Tensor:
        """n new pictures, (n, 1, H, W) in [0, 1].

        Arguments:
            n: 1 to 4096.
            label: what they show; see `base.check_labels`.
            temperature: 0 to 1.5, times the noise. Below 1 pixels take likelier values, at 0 the middle of what they may be.
            seed: of the noise.
        """
        return _last(self.sample_steps(n, label=label, temperature=temperature, seed=seed)).x


def _last(steps: Iterable[Step]) -> Step:
    *_, last = steps
    return last


# --- what is likely, and what is usual ---


class Usual(NamedTuple):
    """What `layer_log_probs` of usual pictures are, to tell the unusual ones.

    A likelihood alone does not: most of what is simple is likely, and a typical picture is not the likeliest (Nalisnick et
    al., Detecting out-of-distribution inputs using typicality, 2019). But each layer has its own, and these together are
    somewhere else for strange pictures (as of Morningstar et al., Density of states estimation, 2021).

    mean: (layers,); axes: (layers, layers), which makes the usual ones uncorrelated and of variance 1.
    """

    mean: Tensor
    axes: Tensor

    @classmethod
    def of(cls, nats: Tensor) -> "Usual":
        """From usual pictures' (N, layers)."""
        nats = nats.double()
        values, vectors = torch.linalg.eigh(torch.cov(nats.T) + 1e-6 * torch.eye(nats.shape[1], dtype=torch.float64))
        return cls(nats.mean(0), vectors * values.rsqrt())

    def distance(self, nats: Tensor) -> Tensor:
        """Standard deviations from the mean, over all directions (Mahalanobis): (N, layers) -> (N,); usual is about 1."""
        return ((nats.double() - self.mean) @ self.axes).square().mean(1).sqrt()


class Likelihoods(NamedTuple):
    """Facts about a trained flow, kept beside the weights in `likelihoods.json`.

    usual: `Usual` of validation pictures; bits, distances: kind of picture -> histogram of bits a pixel and of distances,
    shares that sum to 1; the first kind is the model's own; bit_edges, distance_edges: of their bins, the last of which holds
    what is beyond.
    """

    usual: Usual
    bit_edges: list[float]
    bits: dict[str, list[float]]
    distance_edges: list[float]
    distances: dict[str, list[float]]

    @classmethod
    def of(cls, usual: Usual, bits: dict[str, Tensor], distances: dict[str, Tensor], bins: int = 60) -> "Likelihoods":
        """From the numbers (N,) of each kind of picture."""
        return cls(usual, *_histograms(bits, bins), *_histograms(distances, bins))

    def share_below(self, what: str, value: float) -> float:
        """How many of the model's own test pictures, 0 to 1, have less of `what`, "bits" or "distances"."""
        edges, shares = (self.bit_edges, self.bits) if what == "bits" else (self.distance_edges, self.distances)
        own, width = next(iter(shares.values())), edges[1] - edges[0]
        place = min(max(value / width, 0), len(own))
        return min(1.0, sum(own[: int(place)]) + (own[int(place)] * (place % 1) if place < len(own) else 0))


def _histograms(numbers: dict[str, Tensor], bins: int) -> tuple[list[float], dict[str, list[float]]]:
    """(edges, {kind: share of its numbers in each bin}): as wide as the first two kinds need."""
    high = 1.1 * max(of.quantile(0.99).item() for of in list(numbers.values())[:2])
    edges = [round(high * i / bins, 5) for i in range(bins + 1)]
    shares = {kind: torch.histc(of.clamp(0, high), bins, 0, high) / len(of) for kind, of in numbers.items()}
    return edges, {kind: [round(v, 5) for v in of.tolist()] for kind, of in shares.items()}


def save_likelihoods(told: Likelihoods, folder: Path | str) -> None:
    """Write `likelihoods.json` into a checkpoint's folder."""
    usual = {"mean": told.usual.mean.tolist(), "axes": told.usual.axes.tolist()}
    (Path(folder) / "likelihoods.json").write_text(json.dumps({**told._asdict(), "usual": usual}) + "\n", encoding="utf-8")


def load_likelihoods(name_or_path: Path | str) -> Likelihoods:
    """The `Likelihoods` of a checkpoint, by name or folder."""
    file = checkpoint_folder(name_or_path) / "likelihoods.json"
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        usual = Usual(*(torch.tensor(facts["usual"][k], dtype=torch.float64) for k in ("mean", "axes")))
        return Likelihoods(**{**facts, "usual": usual})
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise CheckpointError(f"{file} is missing or broken ({e}): copy the whole checkpoint folder.") from e


# --- the same couplings on points of a plane, trained while one looks on ---


class PlaneCoupling(nn.Module):
    """One coordinate is bent, as the other says. points (B, 2), float64.

    Arguments:
        i: 0 or 1, the coordinate that changes.
        hidden: units of the network's two layers.
        components: K.
        g: generator of the first weights.
    """

    def __init__(self, i: int, hidden: int, components: int, g: torch.Generator):
        super().__init__()
        self.i = i
        sizes = [1, hidden, hidden, 3 * components]
        layers = [nn.utils.skip_init(nn.Linear, *pair, dtype=torch.float64) for pair in zip(sizes, sizes[1:])]
        for layer in layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=g)
            nn.init.normal_(layer.bias, generator=g)
        with torch.no_grad():
            layers[2].weight.mul_(0.1)
            layers[2].bias.copy_(spread(components, 1.3))  # together about N(0, 1), of which the bend is the identity
        self.net = nn.Sequential(layers[0], nn.SiLU(), layers[1], nn.SiLU(), layers[2])

    def _parts(self, points):
        mine, other = points[:, self.i], points[:, 1 - self.i]
        return Mixture.read(self.net(other[:, None])), mine, other

    def _joined(self, mine, other):
        return torch.stack([mine, other] if self.i == 0 else [other, mine], 1)

    def forward(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """(points with this coordinate bent, log |det| (B,))"""
        mixture, mine, other = self._parts(points)
        z, log_slope = bend(mixture, mine)
        return self._joined(z, other), log_slope

    def inverse(self, points: Tensor) -> Tensor:
        mixture, mine, other = self._parts(points)
        return self._joined(unbend(mixture, mine), other)


class Plane(nn.Module):
    """A flow of points (B, 2) of the square [-1, 1]^2, float64: couplings that bend the two coordinates in turn.

    Arguments: layers: 1 to 12; hidden, components: of each `PlaneCoupling`; seed: of the first weights.
    """

    SCALE = 2.5  # the square becomes as wide as noise is
    couplings: Any  # ModuleList of PlaneCoupling

    def __init__(self, layers: int = 6, hidden: int = 32, components: int = 6, seed: int = 0):
        super().__init__()
        g = generator(seed)
        layers = check_number("layers", layers, 1, 12, whole=True)
        self.couplings = nn.ModuleList(PlaneCoupling(i % 2, hidden, components, g) for i in range(layers))

    def log_prob(self, points: Tensor) -> Tensor:
        """log of the density at points (B, 2), in nats: (B,)."""
        h, log_det = self.SCALE * points, 2 * math.log(self.SCALE)
        for coupling in self.couplings:
            h, slope = coupling(h)
            log_det = log_det + slope
        return log_normal(h).sum(1) + log_det

    def encode(self, points: Tensor) -> Tensor:
        """Points to noise, (B, 2) each."""
        h = self.SCALE * points
        for coupling in self.couplings:
            h = coupling(h)[0]
        return h

    def decode_steps(self, z: Tensor) -> Iterator[Tensor]:
        """Noise z (B, 2) on its way to points: yields (B, 2) before the first layer and after each, scaled to the square."""
        yield z / self.SCALE
        for coupling in reversed(self.couplings):
            z = coupling.inverse(z)
            yield z / self.SCALE


SHAPES = ("moons", "rings", "checkerboard")


def shape(kind: str, n: int = 1000, *, seed: int = 0) -> Tensor:
    """Points to fit a `Plane` to: (n, 2) in [-1, 1].

    Arguments: kind: one of SHAPES; n: 16 to 2000; seed: of the points.
    """
    check_choice("shape", kind, SHAPES)
    n, g = check_number("n", n, 16, 2000, whole=True), generator(seed)
    if kind == "checkerboard":
        x = 2 * torch.rand(n, generator=g) - 1
        column = (2 * (x + 1)).floor()  # 0 to 3; of the four rows of each column, two
        row = 2 * torch.randint(2, (n,), generator=g) + column % 2
        return 0.9 * torch.stack([x, (row + torch.rand(n, generator=g)) / 2 - 1], 1)
    noise, turn, first = 0.03 * torch.randn(n, 2, generator=g), torch.rand(n, generator=g), torch.arange(n) % 2 == 0
    if kind == "rings":
        angle, radius = 2 * math.pi * turn, torch.where(first, 0.8, 0.4)
        points = radius[:, None] * torch.stack([torch.cos(angle), torch.sin(angle)], 1)
    else:
        angle = math.pi * turn
        x = torch.where(first, torch.cos(angle) - 0.5, 0.5 - torch.cos(angle))
        y = torch.where(first, torch.sin(angle) - 0.25, 0.25 - torch.sin(angle))
        points = 0.6 * torch.stack([x, y], 1)
    return (points + noise).clamp(-1, 1)


class PlaneStep(NamedTuple):
    """How far a `Plane` has come. step: updates so far; seconds: since the start; nats: -log p of a point, mean of the last
    updates; density: (64, 64), over the square, row 0 at the top; lines: (layers + 1, 18, 41, 2), the straight grid of the
    noise and what each layer, backwards, makes of it; plane: the flow, in training."""

    step: int
    seconds: float
    nats: float
    density: Tensor
    lines: Tensor
    plane: Plane


@torch.inference_mode(False)
@torch.enable_grad()
def fit_plane(
    points: Tensor, *, seconds: float = 10.0, layers: int = 6, seed: int = 0, every: float = 0.3
) -> Iterator[PlaneStep]:
    """Train a `Plane` on points as they come: yields a `PlaneStep` at once, then about three a second, and at the end.

    The only training outside of `train/`: small enough to be watched. Closing the generator stops it.

    Arguments:
        points: float tensor (N, 2) in [-1, 1], 16 to 2,000 of them.
        seconds: 0.5 to 20.
        layers: 1 to 12 couplings.
        seed: of first weights and batches.
        every: 0.05 to 20 seconds between two steps.
    """
    if (
        not isinstance(points, Tensor)
        or points.ndim != 2
        or points.shape[1] != 2
        or not points.is_floating_point()
        or not 16 <= len(points) <= 2000
        or not bool((points.abs() <= 1).all())
    ):
        raise ValueError("points must be a float tensor (N, 2) with values in [-1, 1], 16 to 2000 of them.")
    seconds, every, g = check_number("seconds", seconds, 0.5, 20), check_number("every", every, 0.05, 20), generator(seed)
    plane, points, at = Plane(layers, seed=seed), points.detach().clone().double(), 0
    adam = torch.optim.Adam(plane.parameters(), lr=5e-3)
    began = told = time.monotonic()
    losses = []
    yield _seen(plane, 0, 0.0, -plane.log_prob(points).mean().item())
    while (now := time.monotonic() - began) < seconds:
        adam.param_groups[0]["lr"] = 5e-3 * (1 - now / seconds)
        i = torch.randint(len(points), (256,), generator=g)
        # a little noise, so that single points do not become needles of density
        x = points[i] + 0.02 * torch.randn(256, 2, generator=g, dtype=torch.float64)
        loss = -plane.log_prob(x).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        at += 1
        losses.append(loss.item())
        if time.monotonic() - told > every:
            yield _seen(plane, at, time.monotonic() - began, sum(losses) / len(losses))
            told, losses = time.monotonic(), []
    yield _seen(plane, at, time.monotonic() - began, sum(losses) / len(losses) if losses else float("nan"))


@torch.no_grad()
def _seen(plane, step, seconds, nats):
    side = (torch.arange(64, dtype=torch.float64) + 0.5) / 32 - 1
    there = torch.stack([side.expand(64, 64), -side[:, None].expand(64, 64)], 2).view(-1, 2)
    along, across = torch.linspace(-2.5, 2.5, 41, dtype=torch.float64), torch.linspace(-2, 2, 9, dtype=torch.float64)
    upright = torch.stack([across[:, None].expand(9, 41), along.expand(9, 41)], 2)  # (9, 41, 2)
    grid = torch.cat([upright, upright.flip(2)]).view(-1, 2)
    lines = torch.stack([way.view(18, 41, 2) for way in plane.decode_steps(grid)])
    return PlaneStep(step, seconds, nats, plane.log_prob(there).exp().view(64, 64), lines, plane)
