"""Diffusion: a network learns to remove a little noise from a picture; applied step by step, it turns noise into a picture.

Three separate parts: the network (`UNet`), the noising process (`alpha_sigma`, `to_v`), and the samplers, plain
functions with one signature (`ddpm`, `ddim`, `dpm`, `heun`; all in `SAMPLERS`). `Diffusion` holds a trained network and runs
a sampler on it.

References:
    Ho, Jain and Abbeel, Denoising diffusion probabilistic models (2020), https://arxiv.org/abs/2006.11239
    Nichol and Dhariwal, Improved DDPM (2021), for the cosine schedule, https://arxiv.org/abs/2102.09672
    Salimans and Ho, Progressive distillation (2022), for v, https://arxiv.org/abs/2202.00512
    Song et al., Score-based generative modeling through stochastic differential equations (2021), for the differential
        equation that the samplers without fresh noise solve, https://arxiv.org/abs/2011.13456
    Ho and Salimans, Classifier-free diffusion guidance (2022), https://arxiv.org/abs/2207.12598
    Li and He, Back to basics: let denoising generative models denoise (2025), for predicting x0 where patches are large,
        https://arxiv.org/abs/2511.13720
    Ronneberger, Fischer and Brox, U-Net (2015), https://arxiv.org/abs/1505.04597
Each sampler cites its own paper.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels.base import (
    GenerativeModel,
    Likelihood,
    check_choice,
    check_number,
    generator,
    randn_rows,
    random_seed,
    upcast,
)
from genmodels.layers import ConditionalBlock, LabelEmbedding
from genmodels.messages import Message

# --- the noising process (forward process) ---
#
# x_t = alpha x_0 + sigma eps with alpha = cos(angle), sigma = sin(angle), angle = t pi / 2: t = 0 is the picture, t = 1 pure
# noise. x_t moves along a quarter ellipse with velocity dx/d(angle) = alpha eps - sigma x_0 =: v, which the network predicts.


def alpha_sigma(t: Tensor) -> tuple[Tensor, Tensor]:
    """The cosine schedule: the weights of picture and noise in x_t, for t in [0, 1] of any shape. alpha^2 + sigma^2 = 1."""
    angle = t * (math.pi / 2)
    return torch.cos(angle), torch.sin(angle)


def to_v(x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
    """The velocity v of the clean picture x0 and the noise eps."""
    return alpha * eps - sigma * x0


# --- samplers: all take the same arguments and yield a `DiffusionStep` after each step ---


class DiffusionStep(NamedTuple):
    """The state after one step of a sampler.

    x: the new picture x_t, at time t and noise level sigma.
    x0, eps: the clean picture and the noise that the network predicted from the previous x_t; the step was computed from them.
    All are (B, C, H, W) and raw: neither clamped nor rescaled.
    """

    x: Tensor
    x0: Tensor
    eps: Tensor
    t: float
    sigma: float


Predict = Callable[[Tensor, float], tuple[Tensor, Tensor]]  # (x, t) -> (x0, eps)
Noise = Callable[[], Tensor]
Label = int | list | Tensor | None  # see `base.check_labels`

# The default scale of guidance. Of the samples of `diffusion-mnist` 97.5 % are recognised as their class without guidance,
# 98.5 % with 1.1 and 99.1 % with 1.2; FID falls, too. More makes the samples of a class alike.
GUIDANCE = 1.2


def ddpm(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 1.0) -> Iterator[DiffusionStep]:
    """Ancestral sampling: sample x_s from q(x_s | x_t, x_0) with the predicted x_0. Ho, Jain and Abbeel 2020.

    Arguments (of every sampler):
        predict: (x, t) -> (x0, eps), the network's prediction for x at time t (a float).
        x: (B, C, H, W), the picture at times[0].
        times: decreasing floats, from the noisy start (1: pure noise) to the end (0: the clean picture).
        noise: () -> fresh Gaussian noise of the shape of x, for stochastic samplers.
        eta: amount of noise that `ddim` adds; the other samplers ignore it.
    """
    for t, s in zip(times, times[1:]):
        a_t, s_t = _level(t)
        a_s, s_s = _level(s)
        x0, eps = predict(x, t)
        a_ts = a_t / a_s  # q(x_t | x_s) = N(a_ts x_s, var_ts)
        var_ts = s_t**2 - (a_ts * s_s) ** 2
        x = (a_s * var_ts * x0 + a_ts * s_s**2 * x) / s_t**2
        if s > 0:
            x = x + math.sqrt(var_ts) * s_s / s_t * noise()
        yield DiffusionStep(x, x0, eps, s, s_s)


def ddim(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 0.0) -> Iterator[DiffusionStep]:
    """The same marginals with less fresh noise: none at eta 0, as much as `ddpm` at eta 1.

    Song, Meng and Ermon, Denoising diffusion implicit models (2021), https://arxiv.org/abs/2010.02502.
    """
    for t, s in zip(times, times[1:]):
        a_t, s_t = _level(t)
        a_s, s_s = _level(s)
        x0, eps = predict(x, t)
        noise_std = eta * s_s / s_t * math.sqrt(max(0.0, 1 - (a_t / a_s) ** 2))
        x = a_s * x0 + math.sqrt(max(0.0, s_s**2 - noise_std**2)) * eps
        if noise_std > 0:
            x = x + noise_std * noise()
        yield DiffusionStep(x, x0, eps, s, s_s)


def dpm(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 0.0) -> Iterator[DiffusionStep]:
    """DPM-Solver++(2M): extrapolates x_0 linearly from its last two predictions, in half the log signal-to-noise ratio.

    Lu et al., DPM-Solver++ (2022), https://arxiv.org/abs/2211.01095. Second order with one network call per step. At t = 1 and
    t = 0 the log ratio is infinite; the formulas' limit there is a first-order step.
    """
    previous_x0, previous_h = None, math.inf
    for t, s in zip(times, times[1:]):
        a_t, s_t = _level(t)
        a_s, s_s = _level(s)
        x0, eps = predict(x, t)
        exp_minus_h = (s_s * a_t) / (a_s * s_t)
        h = -math.log(exp_minus_h) if exp_minus_h > 0 else math.inf  # the step's growth of half the log ratio
        extrapolated = x0
        if previous_x0 is not None and h < math.inf and previous_h < math.inf:
            extrapolated = x0 + (x0 - previous_x0) * (h / (2 * previous_h))
        x = s_s / s_t * x + a_s * (1 - exp_minus_h) * extrapolated
        previous_x0, previous_h = x0, h
        yield DiffusionStep(x, x0, eps, s, s_s)


def heun(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 0.0) -> Iterator[DiffusionStep]:
    """Heun's method on dx/d(angle) = v: an Euler step, then again with the mean of v at both ends.

    Karras et al., EDM (2022), https://arxiv.org/abs/2206.00364. Second order with two network calls per step; the last step, to
    t = 0, takes one.
    """
    for t, s in zip(times, times[1:]):
        a_t, s_t = _level(t)
        a_s, s_s = _level(s)
        x0, eps = predict(x, t)
        if s == 0:
            x = x0  # the circle's end; predict would divide by sigma, which is 0 there
        else:
            dangle = (s - t) * math.pi / 2
            v = to_v(x0, eps, a_t, s_t)
            x0_s, eps_s = predict(x + dangle * v, s)
            x = x + dangle * (v + to_v(x0_s, eps_s, a_s, s_s)) / 2
        yield DiffusionStep(x, x0, eps, s, s_s)


def _level(t: float) -> tuple[float, float]:
    """alpha and sigma as floats. Exact at both ends: the rounding error of cos(pi / 2) would grow large in a logarithm."""
    if t == 0:
        return 1.0, 0.0
    if t == 1:
        return 0.0, 1.0
    return math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)


SAMPLERS: dict[str, Callable[..., Iterator[DiffusionStep]]] = {"ddpm": ddpm, "ddim": ddim, "dpm": dpm, "heun": heun}


def function_evaluations(sampler: str, steps: int) -> int:
    """Number of network calls (NFE) of a sampler with that many steps."""
    return 2 * steps - 1 if sampler == "heun" else steps


# --- the network ---


class Attention(nn.Module):
    """Self-attention between all positions of a feature map. Vaswani et al. (2017), https://arxiv.org/abs/1706.03762."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(8, width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:  # (B, width, H, W) -> the same
        B, C, H, W = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (B, HW, C)
        q, k, v = self.qkv(tokens).view(B, H * W, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, HW, C)
        return x + self.out(y).transpose(1, 2).unflatten(2, (H, W))


class UNet(nn.Module):
    """Predicts v from a noisy picture, its time and its labels. Ronneberger et al. 2015, as Ho et al. 2020 use it.

    Patches of patch x patch pixels become channels first, so that even the largest feature maps are small enough for two
    CPU cores. Each level halves the resolution; the outputs of the downward blocks are added to the inputs of the upward ones.

    Arguments:
        channels: of the pictures, of any height and width that patch * 2 ** (levels - 1) divides.
        classes: number of values of each attribute in the labels.
        patch: side of a patch, in pixels.
        widths: channels of each level.
        blocks: residual blocks per level, in each direction.
        heads: of the attention at the lowest resolution.
    Shapes:
        x (B, C, H, W), t (B,) in [0, 1], y (B, attributes) with -1 for unspecified -> v (B, C, H, W).
    """

    def __init__(self, channels: int, classes: list[int], patch: int, widths: list[int], blocks: int, heads: int):
        super().__init__()
        condition = 2 * widths[0]
        self.frequencies = torch.logspace(0, 3, 32).tolist()  # of the time embedding; no buffer, which 16 bits would spoil
        self.time = nn.Sequential(nn.Linear(64, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.labels = LabelEmbedding(classes, condition)
        self.first = nn.Sequential(nn.PixelUnshuffle(patch), nn.Conv2d(channels * patch**2, widths[0], 3, padding=1))
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.smaller = nn.ModuleList()
        self.larger = nn.ModuleList()
        for i, width in enumerate(widths):
            self.down.append(nn.ModuleList(ConditionalBlock(width, condition) for _ in range(blocks)))
            self.up.append(nn.ModuleList(ConditionalBlock(width, condition) for _ in range(blocks)))
            if i:
                upper_width = widths[i - 1]
                self.smaller.append(nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * upper_width, width, 1)))
                self.larger.append(nn.Sequential(nn.Conv2d(width, 4 * upper_width, 1), nn.PixelShuffle(2)))
        self.middle = Attention(widths[-1], heads)
        self.last = nn.Sequential(
            nn.GroupNorm(8, widths[0]),
            nn.SiLU(),
            nn.Conv2d(widths[0], channels * patch**2, 3, padding=1),
            nn.PixelShuffle(patch),
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        labels = self.labels(y)
        angles = upcast(t)[:, None] * torch.tensor(self.frequencies, device=t.device)  # (B, 32)
        c = F.silu(self.time(torch.cat([angles.sin(), angles.cos()], 1).to(labels.dtype)) + labels)
        x = self.first(x.to(labels.dtype))
        skips = []
        for i, level in enumerate(self.down):
            if i:
                x = self.smaller[i - 1](x)
            for block in level.children():
                x = block(x, c)
                skips.append(x)
        x = self.middle(x)
        for i in reversed(range(len(self.up))):
            for block in self.up[i].children():
                x = block(x + skips.pop(), c)
            if i:
                x = self.larger[i - 1](x)
        return self.last(x)


# --- the model ---


class Diffusion(GenerativeModel):
    """A U-Net trained to predict picture and noise at every noise level, with labels that are randomly dropped.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size); patch * 2 ** (levels - 1) divides size.
        classes: number of values of each attribute: [10] for digits or clothes, one entry per attribute for avatars.
        patch, widths, blocks, heads: of the `UNet`.
        conditions: the attributes' names; of avatars, those of `data.ATTRIBUTES`.
        predicts: the network's output, "v" or "x0". Noise cannot be compressed: to predict v for patches of as many values
            as the network has channels, it would have to carry all their noise through its layers. Pictures need less.
        drop: probability that all labels of a training picture are dropped; of several attributes, each is also dropped by
            itself with this probability.
    Shapes:
        x (B, C, H, W) in [0, 1]; labels (B,) or (B, attributes), -1 for unspecified.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        classes: list[int] = [10],  # noqa: B006
        patch: int = 2,
        widths: list[int] = [48, 96],  # noqa: B006
        blocks: int = 2,
        heads: int = 4,
        conditions: list[str] = ["class"],  # noqa: B006
        predicts: str = "v",
        drop: float = 0.1,
    ):
        super().__init__()
        self.predicts = check_choice("predicts", predicts, ("v", "x0"))
        self.multiple = patch * 2 ** (len(widths) - 1)
        if size % self.multiple:
            raise ValueError(f"size must be divisible by {self.multiple} (patch * 2 ** (levels - 1)), not {size}.")
        self.channels = channels
        self.size = size
        self.classes = list(classes)
        self.conditions = list(conditions)
        self.drop = drop
        self.net = UNet(channels, classes, patch, widths, blocks, heads)
        self.to(memory_format=torch.channels_last)  # convolutions on the CPU are faster in this layout

    samples_pictures = True
    sampling_calls = 16  # the default `steps`, of a sampler with one call per step

    # --- training ---

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). The mean squared error of v at random times, with labels dropped at random."""
        x, y = self.on_device(batch)
        y = y.view(len(x), -1)
        t = (torch.arange(len(x), device=x.device) + torch.rand(len(x), device=x.device)) / len(
            x
        )  # one per interval: stratified
        dropped = torch.rand(len(x), 1, device=x.device) < self.drop
        if len(self.classes) > 1:
            dropped = dropped | (torch.rand(y.shape, device=x.device) < self.drop)
        return {"loss": self.error(x, y.masked_fill(dropped, -1), t, torch.randn_like(x)).mean()}

    def error(self, x: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Mean squared error of v of each picture, (B,), at times t (B,) with noise eps (B, C, H, W)."""
        x0 = 2 * x - 1
        alpha, sigma = (level.view(-1, 1, 1, 1) for level in alpha_sigma(t))
        prediction = upcast(self.net(alpha * x0 + sigma * eps, t, y))
        if self.predicts == "x0":
            # The error of x0 is sigma times that of v: dividing gives the error of v, but for a clamp where sigma is small.
            return ((x0 - prediction) / sigma.clamp(min=0.2)).square().flatten(1).mean(1)
        return (prediction - to_v(x0, eps, alpha, sigma)).square().flatten(1).mean(1)

    # --- sampling: all methods below yield or return pictures scaled to [0, 1]; noisy pictures exceed that range ---

    @torch.no_grad()
    def sample_steps(
        self,
        n: int,
        *,
        label: Label = None,
        sampler: str = "dpm",
        steps: int = 16,
        guidance: float = GUIDANCE,
        eta: float = 0.0,
        seed: int | None = None,
    ) -> Iterator[DiffusionStep]:
        """Sample n pictures: yields a `DiffusionStep` after each of `steps` steps, from pure noise to the finished pictures.

        Arguments:
            n: 1 to 4096 pictures.
            label: their class or attributes; see `labels`.
            sampler: one of `SAMPLERS`. `heun` calls the network twice per step.
            steps: 1 to 1000.
            guidance: scale g of classifier-free guidance, 0 (unconditional) to 10, 1 + w of its paper; 1 samples from the
                conditional model as trained, more amplifies the effect of the label: samples no longer follow p(x | label).
            eta: 0 to 1, amount of noise that `ddim` adds in each step.
            seed: of the initial noise (see `initial_noise`) and of all later noise.
        """
        noise = self._noise_source(check_number("n", n, 1, 4096, whole=True), seed)
        yield from self._run_sampler(noise(), 1.0, label, sampler, steps, guidance, eta, noise)

    def sample(self, n: int, **options: Any) -> Tensor:
        """The finished pictures of `sample_steps`, with the same arguments: (n, C, H, W) in [0, 1]."""
        return _finished(self.sample_steps(n, **options))

    def initial_noise(self, n: int, *, seed: int | None = None) -> Tensor:
        """The pure noise from which `sample_steps` with the same n and seed starts, scaled like its pictures."""
        return (self._noise_source(check_number("n", n, 1, 4096, whole=True), seed)() + 1) / 2

    def q_sample(self, x: Tensor, t: float, *, seed: int | None = None) -> Tensor:
        """The forward process: x_t of the picture x (B, C, H, W) at time t in [0, 1], in one step. Same shape."""
        x = self.check_pictures("x", x)
        alpha, sigma = _level(check_number("t", t, 0, 1))
        return (alpha * (2 * x - 1) + sigma * self._noise_source(len(x), seed)() + 1) / 2

    @torch.no_grad()
    def edit_steps(
        self,
        x: Tensor,
        *,
        strength: float = 0.6,
        label: Label = None,
        sampler: str = "dpm",
        steps: int = 16,
        guidance: float = GUIDANCE,
        eta: float = 0.0,
        seed: int | None = None,
    ) -> Iterator[DiffusionStep]:
        """Add noise to x (B, C, H, W) up to time `strength` (0.01 to 1), then denoise from there.

        Meng et al., SDEdit (2022), https://arxiv.org/abs/2108.01073.

        The more noise, the less of x survives. Other arguments and steps as in `sample_steps`.
        """
        x = self.check_pictures("x", x)
        strength = check_number("strength", strength, 0.01, 1)
        noise = self._noise_source(len(x), seed)
        alpha, sigma = _level(strength)
        x = alpha * (2 * x - 1) + sigma * noise()
        yield from self._run_sampler(x, strength, label, sampler, steps, guidance, eta, noise)

    def pixel_likelihood(self, x: Tensor, label: Any = None) -> Likelihood:
        return Likelihood("none", None, Message("There is a bound, an integral over all levels of noise: it is not computed."))

    rebuilds = Message("Noise added half-way, and removed.")

    def rebuild_steps(self, x: Tensor, *, seed: int | None = 0) -> Iterator[Tensor]:
        for step in self.edit_steps(x, strength=0.5, seed=seed):
            yield step.x

    def edit(self, x: Tensor, **options: Any) -> Tensor:
        """The finished pictures of `edit_steps`, with the same arguments: (B, C, H, W) in [0, 1]."""
        return _finished(self.edit_steps(x, **options))

    @torch.no_grad()
    def restore(
        self,
        noisy: Tensor,
        sigma: float,
        *,
        label: Label = None,
        sampler: str = "ddpm",
        steps: int = 16,
        guidance: float = GUIDANCE,
        eta: float = 0.0,
        seed: int | None = None,
    ) -> Tensor:
        """Denoise pictures (B, C, H, W) that have Gaussian noise of standard deviation `sigma` (0.01 to 4): a sample of
        p(clean | noisy), (B, C, H, W) in [0, 1].

        Only if the sampler adds noise: "ddpm", or "ddim" with eta > 0. The others ignore the seed and return one fixed answer,
        which is no sample; its squared error is near that of the mean of the clean pictures, a sample's is twice as large.

        The model's pixels run from -1 to 1, so there the noise is 2 sigma. Such a picture is x_t / alpha at the time t where
        sigma(t) / alpha(t) = 2 sigma: sampling starts there. Other arguments as in `sample_steps`.
        """
        shape = (self.channels, self.size, self.size)
        if not isinstance(noisy, torch.Tensor) or noisy.shape[1:] != shape or not bool(noisy.isfinite().all()):
            raise ValueError(f"noisy must be a float tensor (B, {', '.join(map(str, shape))}) of finite numbers.")
        t = math.atan(2 * check_number("sigma", sigma, 0.01, 4)) * 2 / math.pi
        x = (_level(t)[0] * (2 * noisy.float() - 1)).to(self.device).contiguous(memory_format=torch.channels_last)
        return _finished(self._run_sampler(x, t, label, sampler, steps, guidance, eta, self._noise_source(len(x), seed)))

    @torch.no_grad()
    def inpaint_steps(
        self,
        x: Tensor,
        mask: Tensor,
        *,
        label: Label = None,
        steps: int = 32,
        resample: int = 3,
        guidance: float = GUIDANCE,
        seed: int | None = None,
    ) -> Iterator[DiffusionStep]:
        """Generate the part of x (B, C, H, W) where mask is True and keep the rest.

        Lugmayr et al., RePaint (2022), https://arxiv.org/abs/2201.09865.

        Arguments:
            mask: (B, 1, H, W) or (1, 1, H, W), bool.
            resample: 1 to 20, how often each step is run: between runs noise is added back, so that the new part adapts to
                the rest. The last step, to t = 0, runs once.
        Other arguments and steps as in `sample_steps`; the sampler is `ddpm`.
        """
        x = self.check_pictures("x", x)
        is_mask = isinstance(mask, torch.Tensor) and mask.dtype == torch.bool
        if not is_mask or mask.shape not in {(n, 1, self.size, self.size) for n in (1, len(x))}:
            raise ValueError(f"mask must be a bool tensor (B, 1, {self.size}, {self.size}), True where x is to be generated.")
        times = _times(1.0, steps)
        resample = check_number("resample", resample, 1, 20, whole=True)
        predict = self._predict(label, len(x), guidance)
        noise = self._noise_source(len(x), seed)
        mask = mask.to(self.device)
        x0 = 2 * x - 1
        x_t = noise()
        for t, s in zip(times, times[1:]):
            a_t, s_t = _level(t)
            a_s, s_s = _level(s)
            for repeats_left in reversed(range(resample)):
                step = next(ddpm(predict, x_t, (t, s), noise))
                x_t = torch.where(mask, step.x, a_s * x0 + s_s * noise())
                if s == 0 or not repeats_left:
                    break
                a_ts = a_t / a_s  # back to time t with fresh noise
                x_t = a_ts * x_t + math.sqrt(s_t**2 - (a_ts * s_s) ** 2) * noise()
            picture = (x_t + 1) / 2
            if s == 0:
                picture = torch.where(mask, picture, x)  # the kept part is bit-identical, without the rounding of 2 x - 1
            yield DiffusionStep(picture, (step.x0 + 1) / 2, step.eps, s, s_s)

    def inpaint(self, x: Tensor, mask: Tensor, **options: Any) -> Tensor:
        """The finished pictures of `inpaint_steps`, with the same arguments: (B, C, H, W) in [0, 1]."""
        return _finished(self.inpaint_steps(x, mask, **options))

    def labels(self, label: Label, n: int) -> Tensor:
        """Labels for n pictures, (n, attributes) int64, -1 for unspecified; see `base.check_labels`."""
        return self.check_labels(label, n)

    def _noise_source(self, n: int, seed: int | None) -> Noise:
        """() -> Gaussian noise for n pictures, new at each call; that of picture i is the same for every n.

        The first call draws from the seed's own generator; each further call has a generator of its own, which does not
        depend on how many numbers the earlier calls took.
        """
        first = generator(seed)
        later = torch.Generator().manual_seed(first.initial_seed() ^ 2**62)
        generators = itertools.chain([first], (generator(random_seed(later)) for _ in itertools.count()))

        def noise() -> Tensor:
            x = randn_rows(n, self.channels, self.size, self.size, g=next(generators))
            return x.to(self.device).contiguous(memory_format=torch.channels_last)

        return noise

    def _predict(self, label: Label, n: int, guidance: float) -> Predict:
        """The samplers' `predict`: (x, t) -> (x0, eps), with classifier-free guidance and x0 clipped to the pixels' range."""
        guidance = check_number("guidance", guidance, 0, 10)
        y = self.labels(label, n)
        unconditional = torch.full_like(y, -1)
        if guidance == 0 or torch.equal(y, unconditional):
            guidance, y = 1.0, unconditional

        def predict(x, t):
            alpha, sigma = _level(t)
            if guidance == 1:
                out = upcast(self.net(x, x.new_full((n,), t), y))
            else:  # both predictions in one call
                predictions = self.net(torch.cat([x, x]), x.new_full((2 * n,), t), torch.cat([y, unconditional]))
                conditional, baseline = upcast(predictions).chunk(2)
                out = baseline + guidance * (conditional - baseline)
            x0 = (out if self.predicts == "x0" else alpha * x - sigma * out).clamp(-1, 1)
            return x0, (x - alpha * x0) / sigma

        return predict

    def _run_sampler(
        self, x: Tensor, start: float, label: Label, sampler: str, steps: int, guidance: float, eta: float, noise: Noise
    ) -> Iterator[DiffusionStep]:
        """Run a sampler from x at time `start`; x and x0 of its steps are rescaled to [0, 1]."""
        solver = SAMPLERS[check_choice("sampler", sampler, list(SAMPLERS))]
        times = _times(start, steps)
        predict = self._predict(label, len(x), guidance)
        eta = check_number("eta", eta, 0, 1)
        for step in solver(predict, x, times, noise, eta):
            yield step._replace(x=(step.x + 1) / 2, x0=(step.x0 + 1) / 2)


def _times(start: float, steps: int) -> list[float]:
    """`steps` + 1 evenly spaced times from `start` down to 0."""
    steps = check_number("steps", steps, 1, 1000, whole=True)
    return [start * (steps - i) / steps for i in range(steps + 1)]


def _finished(steps: Iterator[DiffusionStep]) -> Tensor:
    return deque(steps, maxlen=1).pop().x.clamp(0, 1)
