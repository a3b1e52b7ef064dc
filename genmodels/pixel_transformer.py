"""Pictures by a transformer, one pixel at a time in raster order: exact likelihoods, and completion of pictures."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genmodels.base import PIXELS, Likelihood, check_number, exact, generator
from genmodels.cores import map_on_idle_cores
from genmodels.decoding import BatchStep, in_full_precision_on_cpu
from genmodels.messages import Message
from genmodels.tokens import PixelTokenizer
from genmodels.transformer import Transformer, invert_cdf, warp_logits

Labels = int | list | Tensor | None  # see `base.check_labels`


class Completion(NamedTuple):
    """A step of `complete_steps`.

    x: (n, 1, H, W), pictures so far, 0 where not yet generated; probability: (n, H, W), the model's for each generated pixel,
    0 elsewhere; rows: how many rows are complete.
    """

    x: Tensor
    probability: Tensor
    rows: int


class PixelTransformer(Transformer):
    """A decoder-only transformer over the 8-bit pixels of a grey picture, after a token for its class.

    Arguments:
        classes: number of classes of the pictures.
        size: height and width of the pictures.
        width: size of a token's vector; divisible by 4 * heads.
        layers, heads, hidden: number of blocks, attention heads per block, hidden units of each feed-forward layer.
        lags, dropout: see `Transformer`.
    Shapes:
        pictures (B, 1, H, W) in [0, 1], labels (B,), -1 for no class: then likelihoods and samples are those of the mixture of
        all classes, see `log_prob`. ids (B, 1 + H W), logits (B, H W, V).
    """

    kind = "pixels"
    samples_pictures = True
    channels = 1

    def __init__(
        self,
        classes: int = 10,
        size: int = 28,
        width: int = 256,
        layers: int = 6,
        heads: int = 4,
        hidden: int = 640,
        lags: list[int] = [0],  # noqa: B006
        dropout: float = 0.0,
    ):
        # Half of the pairs rotate with the row and half with the column, so that the pixel above is as near as the one on the
        # left. Position 0 holds the class, hence the shift by one.
        pixels = torch.arange(size**2) - 1
        axes = [pixels.div(size, rounding_mode="floor"), pixels % size]
        super().__init__(PixelTokenizer(size, classes), axes, width, layers, heads, hidden, lags, dropout)
        self.size = size
        self.classes = [classes]
        self.sampling_calls = size**2  # a pixel after another; fewer where runs of black pixels are guessed

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """batch: (x, y). `loss`: mean of -log p(pixel) in nats; `bits`: per pixel."""
        x, y = self.on_device(batch)
        return super().loss((self.tokenizer.encode(x, y.view(-1)),))

    def log_prob(self, x: Tensor, label: Labels = None) -> Tensor:
        """log p(x | label) of 8-bit pictures x (B, 1, H, W) in [0, 1], in nats: (B,). Exact.

        Without a class it is log p(x) = log (sum of p(x | c) over the C classes) - log C, a mixture whose prior is uniform,
        at C times the cost.
        """
        return self.pixel_log_probs(x, label).flatten(1).sum(1)

    def pixel_likelihood(self, x: Tensor, label: Labels = None) -> Likelihood:
        return Likelihood("exact", self.log_prob(x, label), PIXELS)

    rebuilds = Message("Shown the upper half, it writes the lower.")

    def rebuild_steps(self, x: Tensor, *, seed: int | None = 0) -> Iterator[Tensor]:
        for step in self.complete_steps(x, rows=self.size // 2, seed=seed):
            yield step.x

    def bits_per_dim(self, x: Tensor, label: Labels = None) -> Tensor:
        """-log2 p(x | label) per pixel: (B,). Without a class, of the mixture: see `log_prob`."""
        return -self.log_prob(x, label) / (self.context * math.log(2))

    def pixel_log_probs(self, x: Tensor, label: Labels = None) -> Tensor:
        """log p of each pixel given those before it: (B, H, W), in nats. Without a class, of the mixture: see `log_prob`."""
        x = self.check_pictures("x", x)
        y = self.check_labels(label, len(x))[:, 0]
        with torch.no_grad():
            log_p, given = torch.empty(len(x), self.context, device=self.device), y >= 0
            if given.any():
                log_p[given] = self._pixel_log_probs(x[given], y[given]).float()
            if not given.all():
                log_p[~given] = self._mixture_log_probs(x[~given])
            return log_p.view(-1, self.size, self.size)

    def _pixel_log_probs(self, x: Tensor, y: Tensor) -> Tensor:
        """Pictures (B, 1, H, W) and classes (B,) -> (B, HW)."""
        ids = self.tokenizer.encode(x, y)
        log_p = self.logits(ids[:, :-1])[:, :, : self.tokenizer.levels].log_softmax(-1)
        return log_p.gather(2, ids[:, 1:, None])[:, :, 0]

    def _class_log_probs(self, x: Tensor) -> Tensor:
        """log p(pixel | class, pixels before it) under each of the C classes: (B, 1, H, W) -> (C, B, HW)."""

        def given(piece: tuple[int, Tensor]) -> Tensor:
            c, x = piece
            return self._pixel_log_probs(x, torch.full((len(x),), c, device=x.device))

        on_cpu = x.device.type == "cpu"  # what is computed of two pictures stays in the cache of a core
        pieces = [(c, part) for c in range(self.tokenizer.classes) for part in (x.split(2) if on_cpu else [x])]
        log_p = map_on_idle_cores(given, pieces) if on_cpu else [given(piece) for piece in pieces]
        return torch.cat(log_p).view(self.tokenizer.classes, len(x), self.context)

    def _mixture_log_probs(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, HW): log p of each pixel under the mixture of the classes, given the pixels before it."""
        joint = exact(self._class_log_probs(x)).cumsum(-1)  # log p(pixels up to this one | class)
        log_p = joint.logsumexp(0) - math.log(len(joint))
        return log_p.diff(dim=-1, prepend=log_p.new_zeros(len(x), 1)).float().to(self.device)

    def class_posterior(self, x: Tensor, rows: int | None = None) -> Tensor:
        """p(class | the upper rows of x) by Bayes' rule with a uniform prior: (B, 1, H, W) -> (B, C). rows: None for all."""
        x = self.check_pictures("x", x)
        rows = self.size if rows is None else check_number("rows", rows, 0, self.size, whole=True)
        with torch.no_grad():
            return exact(self._class_log_probs(x)[:, :, : rows * self.size]).sum(-1).softmax(0).T

    def complete_steps(
        self,
        x: Tensor | None = None,
        *,
        rows: int = 0,
        n: int = 1,
        label: Labels = None,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Iterator[Completion]:
        """Complete a picture pixel by pixel, given its upper rows: yields a `Completion` after each row.

        Arguments:
            x: (1, 1, H, W) in [0, 1], the picture whose upper rows are given, or None.
            rows: 0 to H - 1; how many rows of x are given.
            n: 1 to 64 completions.
            label: class of the picture. Where it is -1 or None, each completion draws a class from `class_posterior`, so that
                it is a sample of the mixture given the upper rows; its probabilities are those given that class.
            temperature: 0 to 2; of the pixels.
            seed: of the sampling.
        """
        side = self.tokenizer.side
        rows = check_number("rows", rows, 0, side - 1, whole=True)
        n = check_number("n", n, 1, 64, whole=True)
        temperature = check_number("temperature", temperature, 0, 2)
        g = generator(seed)
        if x is None and rows:
            raise ValueError(Message("rows must be 0 if no picture is given."))
        x = self.check_pictures("x", torch.zeros(1, 1, side, side) if x is None else x)
        if len(x) != 1:
            raise ValueError(f"x must be one picture (1, 1, {side}, {side}), not {len(x)}.")
        y = self.check_labels(label, n)
        return self._complete(x, rows, y[:, 0], temperature, self._uniform(n, g))

    def _uniform(self, n: int, g: torch.Generator) -> Tensor:
        """What n completions are sampled by: (n, 1 + HW) numbers in [0, 1), for the class and for each pixel. All of a
        picture's numbers stand in its row, so that it does not depend on how many others are sampled."""
        return torch.rand(n, 1 + self.context, generator=g, dtype=torch.float64)

    @torch.no_grad()
    def _complete(self, x, rows, y, temperature, u):
        n, side, levels = len(u), self.tokenizer.side, self.tokenizer.levels
        if (y < 0).any():
            posterior = self.class_posterior(x, rows).cpu() if rows else torch.ones(1, self.tokenizer.classes)
            y = torch.where(y < 0, invert_cdf(posterior.expand(n, -1), u[:, :1])[:, 0].to(y.device), y)
        ids = self.tokenizer.encode(x.expand(n, -1, -1, -1), y)
        ids[:, 1 + rows * side :] = 0
        p, cache = torch.zeros(n, side * side), self.empty_cache(n)
        step = BatchStep(self, cache) if in_full_precision_on_cpu(self) else None
        t = first = rows * side  # the token at position t predicts pixel t, token t + 1
        # The next k pixels are guessed to be black; one call gives the logits of all of them. What is sampled holds up to and
        # including the first pixel that is not black.
        for row in range(rows, side):
            while t < (end := (row + 1) * side):
                k = 1
                if step and t > first:
                    k = max(1, self._black_run(ids, t, end))
                    logits = step(ids[:, : t + k], t)[..., :levels]
                else:  # the first call reads the class and the given rows, too
                    h = self._hidden_states(ids[:, : t + 1], cache, 0 if t == first else t)[:, -1:]
                    logits = F.linear(h, self.embed.weight[:levels]).float()
                i = invert_cdf(warp_logits(logits, temperature).cpu(), u[:, t + 1 : t + k + 1, None])
                if len(wrong := i[:, :-1, 0].any(0).nonzero()):  # guesses
                    k = int(wrong[0]) + 1
                ids[:, t + 1 : t + k + 1] = i[:, :k, 0].to(ids.device)
                p[:, t : t + k] = logits[:, :k].softmax(-1).cpu().gather(2, i[:, :k])[..., 0]
                t += k
            pictures = self.tokenizer.decode(ids[:, 1:]).clone()
            yield Completion(pictures, p.view(n, side, side).clone(), row + 1)

    def _black_run(self, ids: Tensor, t: int, end: int) -> int:
        """How many pixels from t on, and before `end`, are below pixels that are black in all pictures, or in the first row."""
        above = ids[:, 1:][:, max(t - self.size, 0) : max(end - self.size, 0)]
        grey = above.any(0).nonzero()
        return int(grey[0]) if len(grey) else end - t

    def sample_steps(self, n: int, **options: Any) -> Iterator[Completion]:
        """New pictures: yields a `Completion` after each row. n: 1 to 64; label, temperature, seed: see `sample`."""
        return self.complete_steps(n=n, **options)

    def sample(self, n: int, *, label: Labels = None, temperature: float = 1.0, seed: int | None = None) -> Tensor:
        """n new pictures (n, 1, H, W), computed 64 at a time.

        Arguments:
            n: 1 to 4096.
            label: see `base.check_labels`.
            temperature: 0 to 2.
            seed: of the sampling.
        """
        n = check_number("n", n, 1, 4096, whole=True)
        temperature = check_number("temperature", temperature, 0, 2)
        y = self.check_labels(label, n)[:, 0]
        black = torch.zeros(1, 1, self.size, self.size, device=self.device)
        pictures = []
        for labels, u in zip(y.split(64), self._uniform(n, generator(seed)).split(64)):
            *_, last = self._complete(black, 0, labels, temperature, u)
            pictures.append(last.x)
        return torch.cat(pictures)


# --- completions as pictures ---


def surprisal_colours(bits: Tensor) -> Tensor:
    """Surprisal (n, H, W) in bits as colours (n, 3, H, W): 0 bits is dark, 8 bits (all 256 values equally likely) is bright."""
    s = (bits / 8).clamp(0, 1)
    return torch.stack([0.06 + 1.5 * s, 0.09 + 0.1 * s + 0.8 * s**2, 0.2 - 0.2 * s + 0.8 * s**4], 1).clamp(0, 1)


def show_surprisal(step: Completion, given_rows: int) -> Tensor:
    """The pictures of a step and their surprisal in colour, (2, n, 3, H, W): given rows are marked, missing ones grey."""
    x, rows = step.x.expand(-1, 3, -1, -1).clone(), step.rows
    x[:, :2, :given_rows] *= torch.tensor([0.5, 0.75])[:, None, None]  # given rows are blue
    bits = -step.probability.clamp_min(1e-9).log2()
    bits[:, :given_rows] = 0
    heatmap = surprisal_colours(bits)
    for pictures in (x, heatmap):
        pictures[:, :, rows:] = torch.tensor([0.2, 0.23, 0.3])[:, None, None]  # not generated yet
    heatmap[:, :, :given_rows] = heatmap[:, :, :given_rows] * 0.6
    return torch.stack([x, heatmap])
