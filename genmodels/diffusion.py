"""Diffusion: a network that takes a little noise off a picture, asked again and again, from pure noise to a picture.

Three separate things: the network (`UNet`), the noising process (`alpha_sigma`, `to_v`, `from_v`), and samplers, plain
functions of one signature (`ddpm`, `ddim`, `dpm`, `heun`; all in `SAMPLERS`). `Diffusion` holds a trained network and runs
them.

References: Ho, Jain and Abbeel, Denoising diffusion probabilistic models (2020); Nichol and Dhariwal, Improved DDPM (2021),
for the cosine schedule; Salimans and Ho, Progressive distillation (2022), for v; Ho and Salimans, Classifier-free diffusion
guidance (2022); Li and He, Back to basics: let denoising generative models denoise (2025), for x0 where patches are large.
Each sampler names its own paper.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels.base import GenerativeModel, check_choice, check_labels, check_number, check_pictures, generator
from genmodels.layers import ConditionalBlock, LabelEmbedding

# --- the noising process ---
#
# x_t = alpha x_0 + sigma eps with alpha = cos(angle), sigma = sin(angle), angle = t pi / 2: t = 0 is the picture, t = 1 pure
# noise. Moving along the circle, dx/d(angle) = alpha eps - sigma x_0 =: v, which is what the network predicts.


def alpha_sigma(t: Tensor) -> tuple[Tensor, Tensor]:
    """How much picture and how much noise x_t has at t (any shape) in [0, 1]; alpha^2 + sigma^2 = 1. The cosine schedule."""
    angle = t * (math.pi / 2)
    return torch.cos(angle), torch.sin(angle)


def to_v(x0: Tensor, eps: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
    """The velocity on the circle from the clean picture and the noise."""
    return alpha * eps - sigma * x0


def from_v(x: Tensor, v: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> tuple[Tensor, Tensor]:
    """(x0, eps) of the noisy picture x with velocity v. The inverse of `to_v`, at every t."""
    return alpha * x - sigma * v, sigma * x + alpha * v


# --- samplers: each takes the same arguments and yields a `Step` after each step ---


class Step(NamedTuple):
    """One step of a sampler. x: the picture after it, at time t and noise level sigma; x0, eps: what it was made from, the
    clean picture and the noise that the network saw in the picture before. (B, C, H, W), raw: neither clamped nor scaled."""

    x: Tensor
    x0: Tensor
    eps: Tensor
    t: float
    sigma: float


Predict = Callable[[Tensor, float], tuple[Tensor, Tensor]]  # (x, t) -> (x0, eps)
Noise = Callable[[], Tensor]
Label = int | list | Tensor | None  # see `base.check_labels`


def ddpm(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 1.0) -> Iterator[Step]:
    """Ancestral sampling: draw from q(x_s | x_t, x_0) with the predicted x_0. Ho, Jain and Abbeel 2020.

    Arguments, of this and every other sampler:
        predict: (x, t) -> (x0, eps), the network's opinion of x at time t (a float).
        x: (B, C, H, W), the picture at times[0].
        times: falling floats, from the noisy start (1 is pure noise) to the end (0 is the clean picture).
        noise: () -> fresh Gaussian noise of the shape of x, for samplers that add some.
        eta: how much noise `ddim` adds; the others ignore it.
    """
    for t, s in zip(times, times[1:]):
        (a_t, s_t), (a_s, s_s) = _level(t), _level(s)
        x0, eps = predict(x, t)
        a_ts = a_t / a_s  # x_t = a_ts x_s + noise of this variance:
        var_ts = s_t**2 - (a_ts * s_s) ** 2
        x = (a_s * var_ts * x0 + a_ts * s_s**2 * x) / s_t**2
        if s > 0:
            x = x + math.sqrt(var_ts) * s_s / s_t * noise()
        yield Step(x, x0, eps, s, s_s)


def ddim(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 0.0) -> Iterator[Step]:
    """The same marginals with less noise on the way: none at eta 0, as much as `ddpm` at 1. Song, Meng and Ermon 2021."""
    for t, s in zip(times, times[1:]):
        (a_t, s_t), (a_s, s_s) = _level(t), _level(s)
        x0, eps = predict(x, t)
        fresh = eta * s_s / s_t * math.sqrt(max(0.0, 1 - (a_t / a_s) ** 2))
        x = a_s * x0 + math.sqrt(max(0.0, s_s**2 - fresh**2)) * eps
        if fresh > 0:
            x = x + fresh * noise()
        yield Step(x, x0, eps, s, s_s)


def dpm(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 0.0) -> Iterator[Step]:
    """DPM-Solver++(2M): x_0 drawn as a line through its last two predictions, over half the log signal-to-noise ratio.

    Lu et al., DPM-Solver++ (2022). Second order at one network call a step. At t = 1 and t = 0 the ratio is infinite: the
    formulas' limits there are a step of first order.
    """
    before = None  # the last prediction, and how much the log ratio grew with it
    for t, s in zip(times, times[1:]):
        (a_t, s_t), (a_s, s_s) = _level(t), _level(s)
        x0, eps = predict(x, t)
        shrink = (s_s * a_t) / (a_s * s_t)  # exp(-h)
        h = -math.log(shrink) if shrink > 0 else math.inf
        line = x0
        if before and h < math.inf and before[1] < math.inf:
            line = x0 + (x0 - before[0]) * (h / (2 * before[1]))
        x = s_s / s_t * x + a_s * (1 - shrink) * line
        before = x0, h
        yield Step(x, x0, eps, s, s_s)


def heun(predict: Predict, x: Tensor, times: Sequence[float], noise: Noise, eta: float = 0.0) -> Iterator[Step]:
    """Heun's method on dx/d(angle) = v: a step, a look from there, then the mean of both slopes. Karras et al. 2022 (EDM).

    Second order at two network calls a step; the last step to t = 0 takes one.
    """
    for t, s in zip(times, times[1:]):
        (a_t, s_t), (a_s, s_s) = _level(t), _level(s)
        x0, eps = predict(x, t)
        if s == 0:
            x = x0  # the whole way along the circle; at t = 0 there is no noise to look at
        else:
            turn, v = (s - t) * math.pi / 2, to_v(x0, eps, a_t, s_t)
            x0_s, eps_s = predict(x + turn * v, s)
            x = x + turn * (v + to_v(x0_s, eps_s, a_s, s_s)) / 2
        yield Step(x, x0, eps, s, s_s)


def _level(t: float) -> tuple[float, float]:
    """alpha and sigma as floats. Exact at both ends, where cos and sin leave a rounding error that the log would blow up."""
    return (1.0, 0.0) if t == 0 else (0.0, 1.0) if t == 1 else (math.cos(t * math.pi / 2), math.sin(t * math.pi / 2))


SAMPLERS: dict[str, Callable[..., Iterator[Step]]] = {"ddpm": ddpm, "ddim": ddim, "dpm": dpm, "heun": heun}


def calls(sampler: str, steps: int) -> int:
    """How often a sampler asks the network in so many steps."""
    return 2 * steps - 1 if sampler == "heun" else steps


# --- the network ---


class Attention(nn.Module):
    """Every place looks at every other. Vaswani et al. 2017."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.norm = heads, nn.GroupNorm(8, width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:  # (B, width, H, W) -> the same
        B, C, H, W = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (B, HW, C)
        q, k, v = self.qkv(tokens).view(B, H * W, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, HW, C)
        return x + self.out(y).transpose(1, 2).unflatten(2, (H, W))


class UNet(nn.Module):
    """Predicts v from a noisy picture, its time and its labels. Ronneberger et al. 2015, as Ho et al. 2020 use it.

    Squares of patch x patch pixels become channels first, so that the widest maps are small: two cores are enough. Each
    level halves the map; what the way down saw is added on the way up.

    Arguments:
        channels: of the pictures, of any height and width that patch * 2 ** (levels - 1) divides.
        classes: number of answers to each question that the labels answer.
        patch: side of the squares.
        widths: channels of each level.
        blocks: residual blocks a level, down and up each.
        heads: of the attention at the lowest level.
    Shapes:
        x (B, C, H, W), t (B,) in [0, 1], y (B, questions) with -1 where the answer is open -> v (B, C, H, W).
    """

    frequencies: Tensor

    def __init__(self, channels: int, classes: list[int], patch: int, widths: list[int], blocks: int, heads: int):
        super().__init__()
        condition = 2 * widths[0]
        self.register_buffer("frequencies", torch.logspace(0, 3, 32), persistent=False)  # slow to fast, over t in [0, 1]
        self.time = nn.Sequential(nn.Linear(64, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.labels = LabelEmbedding(classes, condition)
        self.first = nn.Sequential(nn.PixelUnshuffle(patch), nn.Conv2d(channels * patch**2, widths[0], 3, padding=1))
        self.down, self.up, self.smaller, self.larger = (nn.ModuleList() for _ in range(4))
        for i, width in enumerate(widths):
            self.down.append(nn.ModuleList(ConditionalBlock(width, condition) for _ in range(blocks)))
            self.up.append(nn.ModuleList(ConditionalBlock(width, condition) for _ in range(blocks)))
            if i:
                above = widths[i - 1]
                self.smaller.append(nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * above, width, 1)))
                self.larger.append(nn.Sequential(nn.Conv2d(width, 4 * above, 1), nn.PixelShuffle(2)))
        self.middle = Attention(widths[-1], heads)
        self.last = nn.Sequential(
            nn.GroupNorm(8, widths[0]),
            nn.SiLU(),
            nn.Conv2d(widths[0], channels * patch**2, 3, padding=1),
            nn.PixelShuffle(patch),
        )

    def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        angles = t[:, None] * self.frequencies  # (B, 32)
        c = F.silu(self.time(torch.cat([angles.sin(), angles.cos()], 1)) + self.labels(y))
        x, seen = self.first(x), []
        for i, level in enumerate(self.down):
            if i:
                x = self.smaller[i - 1](x)
            for block in level.children():
                x = block(x, c)
                seen.append(x)
        x = self.middle(x)
        for i in reversed(range(len(self.up))):
            for block in self.up[i].children():
                x = block(x + seen.pop(), c)
            if i:
                x = self.larger[i - 1](x)
        return self.last(x)


# --- the model ---


class Diffusion(GenerativeModel):
    """A U-Net trained to tell picture and noise apart at every noise level, with labels that are sometimes withheld.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size); patch * 2 ** (levels - 1) divides size.
        classes: number of answers to each question: [10] for digits or clothes, one entry an attribute for avatars.
        patch, widths, blocks, heads: of the `UNet`.
        conditions: the questions' names; of avatars, those of `data.ATTRIBUTES`.
        predicts: what the network's output is, "v" or "x0". Noise cannot be compressed: to tell v of patches of as many
            values as the network is wide, it would have to carry all their noise through its layers. Pictures need less.
        drop: share of training pictures whose labels are withheld, all of them, and of single labels withheld in the others.
    Shapes:
        x (B, C, H, W) in [0, 1]; labels (B,) or (B, questions), -1 where open.
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
        self.channels, self.size, self.classes, self.drop = channels, size, list(classes), drop
        self.conditions = list(conditions)
        self.net = UNet(channels, classes, patch, widths, blocks, heads)
        self.to(memory_format=torch.channels_last)  # once, here: convolutions on two cores are faster so

    # --- training ---

    def loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). The mean squared error of v at a random time, with labels withheld at random."""
        x, y = batch
        y = y.view(len(x), -1)
        t = (torch.arange(len(x), device=x.device) + torch.rand(len(x), device=x.device)) / len(x)  # evenly spread
        withheld = torch.rand(len(x), 1, device=x.device) < self.drop
        if len(self.classes) > 1:
            withheld = withheld | (torch.rand(y.shape, device=x.device) < self.drop)
        return {"loss": self.error(x, y.masked_fill(withheld, -1), t, torch.randn_like(x)).mean()}

    def error(self, x: Tensor, y: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Mean squared error of v for each picture, (B,), at times t (B,) with noise eps (B, C, H, W)."""
        x0 = 2 * x - 1
        alpha, sigma = (level.view(-1, 1, 1, 1) for level in alpha_sigma(t))
        told = self.net(alpha * x0 + sigma * eps, t, y).float()
        if self.predicts == "x0":  # the same but where there is hardly any noise: x0 - told = sigma (v - its v)
            return ((x0 - told) / sigma.clamp(min=0.2)).square().flatten(1).mean(1)
        return (told - to_v(x0, eps, alpha, sigma)).square().flatten(1).mean(1)

    # --- sampling: everything below yields or returns pictures on the scale [0, 1], of which noisy ones step outside ---

    @torch.inference_mode()
    def sample_steps(
        self,
        n: int,
        *,
        label: Label = None,
        sampler: str = "dpm",
        steps: int = 16,
        guidance: float = 1.0,
        eta: float = 0.0,
        seed: int | None = None,
    ) -> Iterator[Step]:
        """Draw n pictures and yield a `Step` after each of `steps` steps, from pure noise to the finished pictures.

        Arguments:
            n: 1 to 4096 pictures.
            label: what they show; see `labels`.
            sampler: one of `SAMPLERS`. `heun` asks the network twice a step.
            steps: 1 to 1000.
            guidance: 0 (ignore the label) to 10; 1 draws from the model, more exaggerates what the label changes.
            eta: 0 to 1, noise that `ddim` adds on its way.
            seed: of the first noise (`start`) and of all later noise.
        """
        g = generator(seed)
        x = self._noise(check_number("n", n, 1, 4096, whole=True), g)
        yield from self._run(x, 1.0, label, sampler, steps, guidance, eta, g)

    def sample(self, n: int, **options: Any) -> Tensor:
        """The last picture of `sample_steps`, which has the same arguments: (n, C, H, W) in [0, 1]."""
        return _last(self.sample_steps(n, **options))

    def start(self, n: int, *, seed: int | None = None) -> Tensor:
        """The pure noise that `sample_steps` of the same n and seed begins with, on the scale of its pictures."""
        return (self._noise(check_number("n", n, 1, 4096, whole=True), generator(seed)) + 1) / 2

    def noise(self, x: Tensor, t: float, *, seed: int | None = None) -> Tensor:
        """x_t: the picture x (B, C, H, W) drowned in noise up to time t in [0, 1], in one step. Same shape."""
        x = check_pictures("x", x, self.channels, self.size)
        alpha, sigma = _level(check_number("t", t, 0, 1))
        return (alpha * (2 * x - 1) + sigma * torch.randn(x.shape, generator=generator(seed)).to(x) + 1) / 2

    @torch.inference_mode()
    def edit_steps(
        self,
        x: Tensor,
        *,
        strength: float = 0.6,
        label: Label = None,
        sampler: str = "dpm",
        steps: int = 16,
        guidance: float = 1.0,
        eta: float = 0.0,
        seed: int | None = None,
    ) -> Iterator[Step]:
        """Drown x (B, C, H, W) up to time `strength` (0.01 to 1) and denoise it from there. Meng et al., SDEdit (2022).

        The more noise, the less of x survives. Other arguments and steps as in `sample_steps`.
        """
        x = check_pictures("x", x, self.channels, self.size).to(self.device)
        strength, g = check_number("strength", strength, 0.01, 1), generator(seed)
        alpha, sigma = _level(strength)
        x = alpha * (2 * x - 1) + sigma * self._noise(len(x), g)
        yield from self._run(x, strength, label, sampler, steps, guidance, eta, g)

    def edit(self, x: Tensor, **options: Any) -> Tensor:
        """The last picture of `edit_steps`, which has the same arguments: (B, C, H, W) in [0, 1]."""
        return _last(self.edit_steps(x, **options))

    @torch.inference_mode()
    def restore(
        self,
        noisy: Tensor,
        sigma: float,
        *,
        label: Label = None,
        sampler: str = "dpm",
        steps: int = 16,
        guidance: float = 1.0,
        eta: float = 0.0,
        seed: int | None = None,
    ) -> Tensor:
        """Noisy pictures (B, C, H, W) with Gaussian noise of standard deviation `sigma` (0.01 to 4), denoised: a draw from what
        they may have been, (B, C, H, W) in [0, 1].

        On the model's scale, twice that of pictures, noise of 2 sigma beside the picture is x_t / alpha at the time t where
        sigma(t) / alpha(t) = 2 sigma: the run begins there. Other arguments as in `sample_steps`.
        """
        shape = (self.channels, self.size, self.size)
        if not isinstance(noisy, torch.Tensor) or noisy.shape[1:] != shape or not bool(noisy.isfinite().all()):
            raise ValueError(f"noisy must be a float tensor (B, {', '.join(map(str, shape))}) of finite numbers.")
        t = math.atan(2 * check_number("sigma", sigma, 0.01, 4)) * 2 / math.pi
        x = (_level(t)[0] * (2 * noisy.float() - 1)).to(self.device).contiguous(memory_format=torch.channels_last)
        return _last(self._run(x, t, label, sampler, steps, guidance, eta, generator(seed)))

    @torch.inference_mode()
    def inpaint_steps(
        self,
        x: Tensor,
        mask: Tensor,
        *,
        label: Label = None,
        steps: int = 32,
        resample: int = 3,
        guidance: float = 1.0,
        seed: int | None = None,
    ) -> Iterator[Step]:
        """Invent the part of x (B, C, H, W) where mask is True and keep the rest. Lugmayr et al., RePaint (2022).

        Arguments:
            mask: (B, 1, H, W) or (1, 1, H, W), bool.
            resample: 1 to 20, how often each step is undone and done again, so that the new part comes to fit the old.
        Other arguments and steps as in `sample_steps`; the sampler is `ddpm`; all steps but the last are resampled.
        """
        x = check_pictures("x", x, self.channels, self.size).to(self.device)
        fits = isinstance(mask, torch.Tensor) and mask.dtype == torch.bool
        if not fits or mask.shape not in {(n, 1, self.size, self.size) for n in (1, len(x))}:
            raise ValueError(f"mask must be a bool tensor (B, 1, {self.size}, {self.size}), True where x is to be invented.")
        times = _times(1.0, steps)
        resample = check_number("resample", resample, 1, 20, whole=True)
        predict, g, mask = self._predict(label, len(x), guidance), generator(seed), mask.to(self.device)
        known, now = 2 * x - 1, self._noise(len(x), g)
        for t, s in zip(times, times[1:]):
            (a_t, s_t), (a_s, s_s) = _level(t), _level(s)
            for again in reversed(range(resample)):
                step = next(ddpm(predict, now, (t, s), lambda: self._noise(len(x), g)))
                now = torch.where(mask, step.x, a_s * known + s_s * self._noise(len(x), g))
                if again and s > 0:  # back up to t, with fresh noise
                    a_ts = a_t / a_s
                    now = a_ts * now + math.sqrt(s_t**2 - (a_ts * s_s) ** 2) * self._noise(len(x), g)
                elif not again or s == 0:
                    break
            shown = torch.where(mask, (now + 1) / 2, x) if s == 0 else (now + 1) / 2  # what is known, to the last bit
            yield Step(shown, (step.x0 + 1) / 2, step.eps, s, s_s)

    def inpaint(self, x: Tensor, mask: Tensor, **options: Any) -> Tensor:
        """The last picture of `inpaint_steps`, which has the same arguments: (B, C, H, W) in [0, 1]."""
        return _last(self.inpaint_steps(x, mask, **options))

    def labels(self, label: Label, n: int) -> Tensor:
        """Labels for n pictures, (n, questions) int64, -1 where open; see `base.check_labels`."""
        return check_labels(label, n, self.classes).to(self.device)

    def _noise(self, n: int, g: torch.Generator) -> Tensor:
        x = torch.randn(n, self.channels, self.size, self.size, generator=g)
        return x.to(self.device).contiguous(memory_format=torch.channels_last)

    def _predict(self, label: Label, n: int, guidance: float) -> Predict:
        """The samplers' `predict`: (x, t) -> (x0, eps), guided, with x0 clipped to what a picture can be."""
        guidance, y = check_number("guidance", guidance, 0, 10), self.labels(label, n)
        nobody = torch.full_like(y, -1)
        if guidance == 0 or torch.equal(y, nobody):
            guidance, y = 1.0, nobody

        def predict(x, t):
            alpha, sigma = _level(t)
            if guidance == 1:
                told = self.net(x, x.new_full((n,), t), y)
            else:  # one call for both opinions
                told, without = self.net(torch.cat([x, x]), x.new_full((2 * n,), t), torch.cat([y, nobody])).chunk(2)
                told = without + guidance * (told - without)
            x0 = (told if self.predicts == "x0" else alpha * x - sigma * told).clamp(-1, 1)
            return x0, (x - alpha * x0) / sigma

        return predict

    def _run(
        self, x: Tensor, start: float, label: Label, sampler: str, steps: int, guidance: float, eta: float, g: torch.Generator
    ) -> Iterator[Step]:
        """A sampler from x at time `start`, its steps on the scale of pictures."""
        solve, times = SAMPLERS[check_choice("sampler", sampler, list(SAMPLERS))], _times(start, steps)
        predict, eta = self._predict(label, len(x), guidance), check_number("eta", eta, 0, 1)
        for step in solve(predict, x, times, lambda: self._noise(len(x), g), eta):
            yield step._replace(x=(step.x + 1) / 2, x0=(step.x0 + 1) / 2)


def _times(start: float, steps: int) -> list[float]:
    """`steps` + 1 times from `start` down to 0: even steps along the circle."""
    steps = check_number("steps", steps, 1, 1000, whole=True)
    return [start * (steps - i) / steps for i in range(steps + 1)]


def _last(steps: Iterator[Step]) -> Tensor:
    return deque(steps, maxlen=1).pop().x.clamp(0, 1)
