"""Normalizing flow: an invertible map from pictures to noise, which makes the likelihood of a picture exact.

A flow has no bottleneck and needs no bound. If z = f(x) is invertible and z is Gaussian, the change of variables gives the
density of x: that of z times the factor by which f stretches volume at x,

    log p(x) = log N(f(x); 0, I) + log |det df/dx|

Each layer is a coupling: it leaves a part of the values unchanged, a network reads that part and predicts, for each of the
other values, a monotone transform of one variable. The network itself is never inverted; the Jacobian is triangular and its
determinant is the product of the derivatives. Here the transform is z = Phi^-1(F(x)), with F the distribution function (cdf)
of a mixture of Gaussians and Phi that of the standard normal: with one component it is (x - mean) / scale, the affine
coupling of RealNVP; with more it can turn any density of one variable into a Gaussian.

Pictures are squeezed as in RealNVP: of each square of 2 x 2 pixels three become noise, one after another, each conditioned on
the pixels that remain; then the same with the remaining quarter, down to one pixel. A value that has become noise is not
changed again (split). In the inverse direction a picture grows from its middle pixel, doubling its resolution each time.
Sampling takes one pass through each layer.

What this flow really is: its networks read the grey levels of coarser pixels, never a value of z, and within a level it is
linear. So it is a discrete multi-scale autoregressive model of 8-bit pictures, written as a flow.

Pixels are 8-bit and a density needs continuous values: each pixel gets uniform noise as wide as one grey level
(dequantization). F is linear within a level, and the networks read grey levels, so that this noise cancels and costs nothing:
the result is the likelihood of the 8-bit picture itself, not a bound on it. A smooth flow would spend many layers on building
the box of width 1/256 into which four of five pixels of MNIST fall, without ever getting it exactly.

References: Dinh, Sohl-Dickstein and Bengio, Density estimation using Real NVP (2017), https://arxiv.org/abs/1605.08803, for
couplings, squeeze and split; Ho et al., Flow++ (2019), https://arxiv.org/abs/1902.00275, for the mixture's distribution
function as a coupling; Mueller et al., Neural importance sampling (2019), https://arxiv.org/abs/1808.03856, for couplings that
are linear within bins; Theis, van den Oord and Bethge, A note on the evaluation of generative models (2016),
https://arxiv.org/abs/1511.01844, for dequantization; Reed et al., Parallel multiscale autoregressive density estimation
(2017), https://arxiv.org/abs/1703.03664, for the order of pixels.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.special import ndtri  # Phi^-1

from genmodels.base import (
    PIXELS,
    GenerativeModel,
    Likelihood,
    check_latents,
    check_number,
    exact,
    generator,
    randn_rows,
    upcast,
)
from genmodels.layers import ConditionalBlock, LabelEmbedding
from genmodels.messages import Message
from genmodels.vae import interpolate

LEVELS = 256
FLOOR = 1e-3  # weight of a standard normal mixed into each mixture, so that no derivative is 0
MAX_EDGE = 100.0  # stands for infinity, whose product with a density of 0 would be NaN
CDF_MARGIN = 1e-15  # distance of a pixel's cdf from 0 and 1, which keeps |z| below 8.3
TINY = 1e-300  # smallest cdf whose quantile float64 can represent

Labels = int | Sequence | Tensor | None  # see `base.check_labels`


# --- monotone transforms of one variable ---


def ndtr(x: Tensor) -> Tensor:
    """Phi, the cdf of N(0, 1). Unlike torch's it is exact where it is small."""
    return torch.erfc(-math.sqrt(0.5) * x) / 2


class Mixture(NamedTuple):
    """A mixture of K Gaussians for each value. weight, mean, scale: (B, K, ...)."""

    weight: Tensor
    mean: Tensor
    scale: Tensor

    @classmethod
    def from_raw(cls, raw: Tensor) -> "Mixture":
        """From a network's unbounded output (B, 3 K, ...): means within +-6, scales from exp(-7) to exp(2)."""
        logits, mean, scale = raw.chunk(3, dim=1)
        return cls(logits.softmax(1), 6 * torch.tanh(mean / 6), torch.exp(4.5 * torch.tanh(scale / 4.5) - 2.5))

    def _standardize(self, a: Tensor) -> Tensor:
        return (a.unsqueeze(1) - self.mean) / self.scale  # (B, ...) -> (B, K, ...)

    def cdf(self, a: Tensor) -> Tensor:
        """The distribution function at a (B, ...). Same shape."""
        return (self.weight * ndtr(self._standardize(a))).sum(1)

    def pdf(self, a: Tensor) -> Tensor:
        """The density at a (B, ...). Same shape."""
        t = self._standardize(a)
        return (self.weight / self.scale * torch.exp(-t.square() / 2)).sum(1) / math.sqrt(2 * math.pi)

    def interval_probability(self, low: Tensor, high: Tensor) -> Tensor:
        """cdf(high) - cdf(low), for (B, ...). Right of a component's mean it is mirrored: small cdfs are the exact ones."""
        t_low, t_high = self._standardize(low), self._standardize(high)
        mirror = t_low + t_high > 0
        upper = ndtr(torch.where(mirror, -t_low, t_high))
        lower = ndtr(torch.where(mirror, -t_high, t_low))
        return (self.weight * (upper - lower)).sum(1)


class Levels(NamedTuple):
    """The borders of the grey levels on an axis on which the dataset's pixels, pooled, are standard normal.

    cumulative: (257,) share of pixels darker than each level; edges: (257,) its quantiles Phi^-1(cumulative). Black makes up
    most of MNIST and is a wide interval on this axis.

    A mixture on this axis defines probabilities of the 256 levels, and so a piecewise linear cdf F of pixels in [0, 1].
    """

    cumulative: Tensor
    edges: Tensor

    def cdf(self, mixture: Mixture, k: Tensor) -> Tensor:
        """F at the lower border of level k (B, ...)."""
        return (1 - FLOOR) * mixture.cdf(self.edges[k]) + FLOOR * self.cumulative[k]

    def pmf(self, mixture: Mixture, k: Tensor) -> Tensor:
        """The probability of level k (B, ...)."""
        probability = mixture.interval_probability(self.edges[k], self.edges[k + 1])
        return (1 - FLOOR) * probability + FLOOR * (self.cumulative[k + 1] - self.cumulative[k])

    def transform(self, mixture: Mixture, y: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels y (B, ...) in [0, 1] to noise: (z, log dz/dy)."""
        k = grey_level(y)
        pmf = self.pmf(mixture, k)
        z = ndtri((self.cdf(mixture, k) + (LEVELS * y - k) * pmf).clamp(CDF_MARGIN, 1 - CDF_MARGIN))
        return z, torch.log(LEVELS * pmf) - log_normal(z)

    def inverse(self, mixture: Mixture, z: Tensor) -> Tensor:
        """Noise z (B, ...) to pixels in [0, 1]: the inverse of `transform`."""
        cdf = ndtr(z)
        k = torch.zeros(z.shape, dtype=torch.int64, device=z.device)
        for bit in (128, 64, 32, 16, 8, 4, 2, 1):  # binary search for the level that contains the cdf
            k = torch.where(self.cdf(mixture, k + bit) <= cdf, k + bit, k)
        u = (cdf - self.cdf(mixture, k)) / self.pmf(mixture, k)
        return (k + u.clamp(0, 1 - 1e-12)) / LEVELS


def mixture_transform(mixture: Mixture, a: Tensor, floor: float = FLOOR) -> tuple[Tensor, Tensor]:
    """Real values a (B, ...) to noise: (z, log dz/da). With one component and floor=0, z = (a - mean) / scale."""
    mixture = _with_floor(mixture, floor)
    return _transform(mixture, a, lower=mixture.cdf(a.detach()) < 0.5)


def mixture_inverse(mixture: Mixture, z: Tensor, floor: float = FLOOR) -> Tensor:
    """The inverse of `mixture_transform`, to the resolution of float64: by Newton's method, and by bisection where that fails.

    As `rtsafe` in Press et al., Numerical recipes: a step stays between the bounds, and is at most half the last.
    """
    mixture = _with_floor(mixture, floor)
    reach = (z.abs() + 9).unsqueeze(1) * mixture.scale
    low, high = (mixture.mean - reach).amin(1), (mixture.mean + reach).amax(1)
    a, step = (mixture.weight * mixture.mean).sum(1), high - low
    for _ in range(100):
        z_a, log_derivative = _transform(mixture, a, lower=z < 0)
        low, high = torch.where(z_a < z, a, low), torch.where(z_a < z, high, a)
        newton, resolution = (z - z_a) * torch.exp(-log_derivative), 1e-14 * (1 + a.abs())
        helps = (a + newton >= low) & (a + newton <= high) & (newton.abs() < (step.abs() / 2).maximum(resolution))
        step = torch.where(helps, newton, (low + high) / 2 - a)
        a = a + step
        if bool((step.abs() < resolution).all()):
            break
    return a


def _with_floor(mixture, floor):
    """The mixture with N(0, 1) as one more component, of that weight."""
    standard = torch.zeros_like(mixture.mean[:, :1])
    return Mixture(
        torch.cat([(1 - floor) * mixture.weight, standard + floor], 1),
        torch.cat([mixture.mean, standard], 1),
        torch.cat([mixture.scale, standard + 1], 1),
    )


def _transform(mixture, a, lower):
    """(z, log dz/da). lower (B, ...): where z is computed from F, which is exact where it is small; elsewhere from 1 - F."""
    u, side = math.sqrt(0.5) * mixture._standardize(a), torch.where(lower, -1.0, 1.0).to(a)
    tail = (mixture.weight * torch.erfc(side.unsqueeze(1) * u)).sum(1) / 2
    z = -side * ndtri(tail.clamp(min=TINY))
    pdf = (mixture.weight / mixture.scale * torch.exp(-u.square())).sum(1)
    return z, pdf.clamp(min=TINY).log() + z.square() / 2


def grey_level(y: Tensor) -> Tensor:
    """The grey level, 0 to 255, of y in [0, 1]."""
    return (LEVELS * y).floor().clamp(0, LEVELS - 1).long()


def straight_through(rounded: Tensor, value: Tensor) -> Tensor:
    """`rounded`, whose gradient would be 0 everywhere, with the gradient of `value`.

    Bengio, Leonard and Courville, Estimating or propagating gradients through stochastic neurons (2013),
    https://arxiv.org/abs/1308.3432.
    """
    return rounded + (value - value.detach()).to(rounded) if value.requires_grad else rounded


def log_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1)."""
    return -(z.square() + math.log(2 * math.pi)) / 2


def initial_bias(components: int, reach: float = 2.5) -> Tensor:
    """First bias of a network's last layer: K equal components of scale 0.5, means from -reach to reach. (3 K,)"""
    logits = torch.zeros(components)
    means = torch.linspace(-reach, reach, components)
    scales = torch.full((components,), 1.9)
    return torch.cat([logits, means, scales])


# --- couplings of pictures ---


class CouplingNet(nn.Module):
    """Residual network that reads the context pixels of each 2 x 2 square and predicts the mixture of one more pixel."""

    def __init__(self, context: int, width: int, blocks: int, condition: int, components: int):
        super().__init__()
        self.first = nn.Conv2d(context, width, 3, padding=1)
        self.blocks = nn.ModuleList(ConditionalBlock(width, condition) for _ in range(blocks))
        self.norm = nn.GroupNorm(8, width)
        self.last = nn.Conv2d(width, 3 * components, 3, padding=1)
        with torch.no_grad():
            self.last.weight.mul_(0.1)
        self.last.bias = nn.Parameter(initial_bias(components))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:  # (B, context, H, W), (B, condition) -> (B, 3 K, H, W)
        x = self.first(x)
        for block in self.blocks:
            x = block(x, c)
        return self.last(F.silu(self.norm(x)))


# Pixels of a 2 x 2 square, numbered row by row, in the order in which they are generated. The first belongs to the next
# coarser lattice; the last is the first to become noise.
ORDER = (3, 0, 1, 2)


class Coupling(nn.Module):
    """One pixel of each square becomes noise, conditioned on the pixels before it in ORDER.

    A lattice is every pixel, every 2nd, every 4th and so on. Its squares of 2 x 2 pixels are the network's input channels, so
    that it works on a map of half the side (RealNVP's squeeze and channel-wise mask).

    Arguments:
        stride: of the lattice, 1, 2, 4 and so on.
        position: 1 to 3, the target's position in ORDER; 0 if the lattice is a single pixel, without context.
        width, blocks, condition, components: of the `CouplingNet`.
    Shapes:
        h (B, 1, H, W): pixels in [0, 1] that are not transformed yet, z where they are; c (B, condition), the embedded label;
        log_det (B,).
    """

    def __init__(self, stride: int, position: int, width: int, blocks: int, condition: int, components: int):
        super().__init__()
        self.stride = stride
        self.context = ORDER[:position]
        self.target_index = ORDER[position] if position else 0
        self.net = CouplingNet(max(1, position), width, blocks, condition, components)

    def target(self, h: Tensor) -> Tensor:
        """A view of the pixels that this layer changes: (B, h, w)."""
        row, column = divmod(self.target_index, 2)
        first = self.stride - 1
        return h[:, 0, first + row * self.stride :: 2 * self.stride, first + column * self.stride :: 2 * self.stride]

    def predict_mixture(self, h: Tensor, c: Tensor) -> Mixture:
        """The target's `Mixture` given its context: (B, K, h, w)."""
        first = self.stride - 1
        lattice = h[:, :, first :: self.stride, first :: self.stride]  # (B, 1, n, n)
        odd = lattice.shape[2] % 2
        squares = F.pixel_unshuffle(F.pad(lattice, (0, odd, 0, odd)), 2)  # (B, 4, g, g)
        context = torch.stack([squares[:, i] for i in self.context], 1) if self.context else torch.ones_like(squares[:, :1])
        raw = self.net(straight_through(grey_level(context) / 127.5 - 1, 2 * context).to(c), c)
        height, width = self.target(h).shape[1:]
        raw = raw[..., :height, :width]
        return Mixture.from_raw(exact(raw) if h.dtype == torch.float64 else upcast(raw))

    def forward(self, h: Tensor, c: Tensor, levels: Levels) -> tuple[Tensor, Tensor]:
        """(h with the target transformed into noise, log |det|)."""
        z, log_derivative = levels.transform(self.predict_mixture(h, c), self.target(h))
        h = h.clone()
        self.target(h).copy_(z)
        return h, log_derivative.flatten(1).sum(1)

    def inverse(self, h: Tensor, c: Tensor, levels: Levels) -> Tensor:
        """h with the target transformed back into pixels."""
        y = levels.inverse(self.predict_mixture(h, c), self.target(h))
        h = h.clone()
        self.target(h).copy_(y)
        return h

    def log_prob(self, y: Tensor, c: Tensor, levels: Levels) -> Tensor:
        """This layer's term of log p of 8-bit pictures y (B, 1, H, W), in nats: (B,).

        The same as from `forward`: log N(z) + log dz/dy = log(256 pmf), where 256 is the density within one level. So
        training does not need z.
        """
        mixture = self.predict_mixture(y, c)
        return torch.log(levels.pmf(mixture, grey_level(self.target(y)))).flatten(1).sum(1)


# --- the model ---


class FlowStep(NamedTuple):
    """The state between two layers.

    x: (B, 1, H, W) in [0, 1], for display: pixels, and 0.5 + z / 6 where they have become noise.
    h: (B, 1, H, W), the values themselves: z, and pixels on a scale on which level k reaches from k / 256 to (k + 1) / 256.
    log_det: (B,) log |det| of the layers applied so far.
    layer: number of layers whose targets are still pixels: from `Flow.layers` down to 0 when encoding, up when decoding.
    """

    x: Tensor
    h: Tensor
    log_det: Tensor
    layer: int


class Flow(GenerativeModel):
    """A label-conditional multi-scale flow: couplings on squares of pixels, from the finest lattice to a single pixel.

    Arguments:
        size: of the pictures, which are grey: (1, size, size).
        classes: number of values of each label attribute: [10] for digits or clothes.
        widths: channels of the networks of each lattice, the finest first; the last value is used for all coarser ones.
        blocks: residual blocks of each network.
        components: K, Gaussians in each mixture.
        conditions: names of the label's attributes.
        drop: share of training pictures whose label is hidden, so that p(x) without a label is learned too.
    Shapes:
        x (B, 1, H, W) in [0, 1]; z (B, D) with D = H W, float64 because the inverse is to be exact and a picture has few
        values; labels (B,) or (B, attributes), -1 if unspecified.
    """

    samples_pictures = True
    channels = 1
    couplings: Any  # ModuleList of Coupling; mypy knows its elements only as modules
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
        self.size = check_number("size", size, 2, 256, whole=True)
        self.drop = drop
        self.classes, self.conditions = list(classes), list(conditions)
        self.latent = size**2
        condition = 32  # width of the embedded label
        self.labels = LabelEmbedding(classes, condition)
        self.couplings = nn.ModuleList()  # in the order in which `encode` applies them
        for i in range(size.bit_length()):
            width = widths[min(i, len(widths) - 1)]
            for position in (3, 2, 1) if size >> i > 1 else (0,):
                self.couplings.append(Coupling(2**i, position, width, blocks, condition, components))
        self.register_buffer("shares", torch.full((LEVELS,), 1 / LEVELS))  # of pixels in each level: see `fit_levels`
        self.to(memory_format=torch.channels_last)  # once, in the constructor: convolutions on the CPU are faster this way

    @property
    def layers(self) -> int:
        """The number of couplings."""
        return len(self.couplings)

    def fit_levels(self, x: Tensor) -> None:
        """Set the axis of `Levels` from training pictures x (N, 1, H, W) uint8. Call it once, before training.

        It does what actnorm does in other flows: with the first weights, inputs already have a reasonable scale. A tenth of
        the mass stays uniform over the levels.
        """
        counts = x.flatten().bincount(minlength=LEVELS).double()
        self.shares.copy_(0.9 * counts / counts.sum() + 0.1 / LEVELS)

    def _levels(self, exactly: bool = True) -> Levels:
        """exactly: in 64 bits, for z and for likelihoods. Training does with 32, which some devices are limited to."""
        shares = exact(self.shares) if exactly else upcast(self.shares)
        inner = (shares / shares.sum()).cumsum(0)[:-1]
        cumulative = F.pad(F.pad(inner, (1, 0)), (0, 1), value=1.0)
        edges = F.pad(F.pad(ndtri(inner), (1, 0), value=-MAX_EDGE), (0, 1), value=MAX_EDGE)
        return Levels(cumulative, edges)

    def _condition(self, label: Labels, n: int) -> Tensor:
        return F.silu(self.labels(self.check_labels(label, n)))

    # --- training and likelihood ---

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). `loss` = -log p in nats per picture, with labels hidden at random; `bits_per_dim` is the same in bits
        per pixel, and `lattice_1`, `lattice_2`, ... are each lattice's terms of it.
        """
        x, y = self.on_device(batch)
        y = y.view(len(x), -1).masked_fill(torch.rand(len(x), 1, device=x.device) < self.drop, -1)
        nats = torch.zeros((), device=x.device)
        bits: dict[str, Tensor] = {}
        for coupling, log_p in zip(self.couplings, self._log_probs(upcast(x), y, exactly=False)):
            nats = nats - log_p.mean()
            name = f"lattice_{coupling.stride}"
            bits[name] = bits.get(name, torch.zeros_like(nats)) - log_p.detach().mean() / (self.latent * math.log(2))
        return {"loss": nats, "bits_per_dim": torch.stack([*bits.values()]).sum(), **bits}

    def _log_probs(self, x: Tensor, y: Tensor, exactly: bool) -> Iterator[Tensor]:
        """Each layer's term of log p(x | y), one after another: (B,) each. exactly: see `_levels`."""
        pixels = self._dequantize(exact(x) if exactly else x)
        c, levels = F.silu(self.labels(y)), self._levels(exactly)
        return (coupling.log_prob(pixels, c, levels) for coupling in self.couplings)

    def layer_log_probs(self, x: Tensor, label: Labels = None) -> Tensor:
        """Each layer's term of log p(x | label) in nats, the finest lattice first: (B, layers). Arguments: see `log_prob`."""
        x = self.check_pictures("x", x)
        return torch.stack([*self._log_probs(x, self.check_labels(label, len(x)), exactly=True)], 1)

    def log_prob(self, x: Tensor, label: Labels = None) -> Tensor:
        """The exact log p(x | label) of 8-bit pictures x (B, 1, H, W) in [0, 1], in nats: (B,).

        It equals the change of variables' log N(z) + log |det| of dequantized pixels, minus log 256 per pixel, for any
        dequantization noise. So the bound of uniform dequantization (Theis et al. 2016) is tight for this flow.

        Arguments:
            x: rounded to 256 levels.
            label: see `base.check_labels`; None gives the density without a label.
        """
        return self.layer_log_probs(x, label).sum(1)

    def pixel_likelihood(self, x: Tensor, label: Labels = None) -> Likelihood:
        return Likelihood("exact", self.log_prob(x, label), PIXELS)

    rebuilds = Message("Encoded, and decoded again: exactly.")

    def rebuild_steps(self, x: Tensor, *, seed: int | None = 0) -> Iterator[Tensor]:
        with torch.no_grad():
            for step in self.decode_steps(self.encode(x)):
                yield step.x

    def path(self, start: Tensor, end: Tensor, steps: int, *, seed: int | None = 0) -> Tensor:
        """Spherical, between the codes with noise in their levels, which are Gaussian."""
        with torch.no_grad():
            first, last = self.encode(torch.cat([start, end]), seed=seed)
            return self.decode(interpolate(first, last, steps))

    def bits_per_dim(self, x: Tensor, label: Labels = None) -> Tensor:
        """-log2 p(x | label) per pixel: (B,). Arguments: see `log_prob`."""
        return -self.log_prob(x, label) / (self.latent * math.log(2))

    # --- to noise and back ---

    def _dequantize(self, x: Tensor, g: torch.Generator | None = None) -> Tensor:
        """Pixels as continuous values in [0, 1]: uniform within their level of width 1/256, or its middle without g."""
        k = straight_through((255 * x).detach().round(), 255 * x)
        u = torch.full_like(k, 0.5) if g is None else torch.rand(k.shape, generator=g, dtype=k.dtype).to(k.device)
        return (k + u) / LEVELS

    def encode_steps(self, x: Tensor, *, label: Labels = None, seed: int | None = None) -> Iterator[FlowStep]:
        """Transform pictures to noise: yields a `FlowStep` before the first layer and after each.

        Arguments:
            x: (B, 1, H, W) in [0, 1], rounded to 256 levels.
            label: of the pictures; see `base.check_labels`.
            seed: of the dequantization noise, with which z is Gaussian for pictures like the training data; None puts each
                pixel in the middle of its level.
        """
        x = self.check_pictures("x", x)
        h = self._dequantize(exact(x), None if seed is None else generator(seed))
        c, levels = self._condition(label, len(x)), self._levels()
        log_det = torch.zeros_like(h[:, 0, 0, 0])
        yield FlowStep(self._preview(h, self.layers), h, log_det, self.layers)
        for i, coupling in enumerate(self.couplings):
            h, layer_log_det = coupling(h, c, levels)
            log_det = log_det + layer_log_det
            layer = self.layers - 1 - i
            yield FlowStep(self._preview(h, layer), h, log_det, layer)

    def decode_steps(self, z: Tensor, *, label: Labels = None) -> Iterator[FlowStep]:
        """Transform noise z (B, D) to pictures: yields a `FlowStep` before the first layer and after each."""
        check_latents(z, self.latent)
        levels = self._levels()
        h = exact(z).to(levels.edges.device).view(-1, 1, self.size, self.size)
        c = self._condition(label, len(h))
        log_det = torch.zeros_like(h[:, 0, 0, 0])
        yield FlowStep(self._preview(h, 0), h, log_det, 0)
        for i, coupling in enumerate(reversed(self.couplings)):
            h = coupling.inverse(h, c, levels)
            log_det = log_det - coupling(h, c, levels)[1]
            yield FlowStep(self._preview(h, i + 1), h, log_det, i + 1)

    def _preview(self, h: Tensor, layer: int) -> Tensor:
        """h as a picture in [0, 1], of which the targets of the last `layer` couplings are still pixels."""
        x = (0.5 + h / 6).float()
        for coupling in self.couplings[self.layers - layer :]:
            pixels = coupling.target(h)
            coupling.target(x).copy_(straight_through(grey_level(pixels) / 255, pixels))
        return x.clamp(0, 1).to(self.device)

    def encode(self, x: Tensor, *, label: Labels = None, seed: int | None = None) -> Tensor:
        """Pictures to noise: (B, 1, H, W) -> z (B, D), float64. Arguments: see `encode_steps`."""
        return _last(self.encode_steps(x, label=label, seed=seed)).h.flatten(1)

    def decode(self, z: Tensor, *, label: Labels = None) -> Tensor:
        """The 8-bit picture of each z, the exact inverse of `encode`: (B, D) -> (B, 1, H, W) in [0, 1].

        Its gradient is that of the pixels before they are rounded to 256 levels (`straight_through`).
        """
        return _last(self.decode_steps(z, label=label)).x

    def sample_latents(self, n: int, *, temperature: float = 1.0, seed: int | None = None) -> Tensor:
        """z of n new pictures, (n, D): N(0, temperature^2). n: 1 to 4096; temperature: 0 to 1.5."""
        n = check_number("n", n, 1, 4096, whole=True)
        temperature = check_number("temperature", temperature, 0, 1.5)
        return temperature * randn_rows(n, self.latent, g=generator(seed), dtype=torch.float64)

    def sample_steps(
        self, n: int, *, label: Labels = None, temperature: float = 1.0, seed: int | None = None
    ) -> Iterator[FlowStep]:
        """Sample pictures, coarse to fine: yields a `FlowStep` for the noise and after each layer. See `sample`."""
        yield from self.decode_steps(self.sample_latents(n, temperature=temperature, seed=seed), label=label)

    def sample(self, n: int, *, label: Labels = None, temperature: float = 1.0, seed: int | None = None) -> Tensor:
        """n new pictures, (n, 1, H, W) in [0, 1].

        Arguments:
            n: 1 to 4096.
            label: of the pictures; see `base.check_labels`.
            temperature: 0 to 1.5, scales the noise. Below 1 pixels take more likely values; 0 gives each pixel's median.
            seed: of the noise.
        """
        with torch.no_grad():
            return _last(self.sample_steps(n, label=label, temperature=temperature, seed=seed)).x


def _last(steps: Iterable[FlowStep]) -> FlowStep:
    *_, last = steps
    return last


def round_trip(model: Flow, x: Tensor, seed: int | None = 0) -> tuple[list[FlowStep], list[FlowStep], float]:
    """(steps of encoding pictures x, steps of decoding in the same order, the largest error of both in grey levels)."""
    encoded = list(model.encode_steps(x, seed=seed))
    decoded = list(model.decode_steps(encoded[-1].h.flatten(1)))[::-1]
    return encoded, decoded, 256 * (encoded[0].h - decoded[0].h).abs().max().item()


def remaining_pixels(x: Tensor, layers: int) -> Tensor:
    """The pixels of x that are not noise yet after so many layers: the finest complete lattice, enlarged to the size of x."""
    step = 2 ** ((layers + 2) // 3)
    lattice = x[:, :, step - 1 :: step, step - 1 :: step]
    return F.interpolate(lattice, x.shape[2:]) if lattice.numel() else torch.full_like(x, 0.5)
