"""Generative adversarial network: a generator that paints and a discriminator that tells its pictures from real ones.

The two play against each other: the discriminator learns to give real pictures higher scores, the generator to paint what
scores high. `GAN` is today's stable form; `DCGAN` is the classic one, to read and to compare.

References: Goodfellow et al., Generative adversarial networks (2014); Radford, Metz and Chintala, DCGAN (2015); Mescheder,
Geiger and Nowozin, Which training methods for GANs do actually converge? (2018), for the penalty R1 and its twin R2;
Jolicoeur-Martineau, The relativistic discriminator (2018), and Huang et al., The GAN is dead; long live the GAN! (2024), for
the two together; Miyato and Koyama, cGANs with projection discriminator (2018), for labels; Karras et al., A style-based
generator architecture (2019), for w; Larsen et al., Autoencoding beyond pixels using a learned similarity metric (2016), for
the second task of a generator that leaves pictures out; Harkonen et al., GANSpace (2020), for directions.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.func import functional_call

from genmodels.autoencoder import check_latents
from genmodels.base import (
    CheckpointError,
    GenerativeModel,
    check_labels,
    check_number,
    check_pictures,
    checkpoint_folder,
    generator,
)
from genmodels.layers import ConditionalBlock, LabelEmbedding, ResidualBlock

# --- objectives: scores (B,) of real and of generated pictures -> what one player is to make small ---


def nonsaturating(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """(discriminator's, generator's) loss. Goodfellow et al. 2014, section 3.

    The discriminator is a classifier of real against generated: -log D(x) - log(1 - D(G(z))). In the minimax game the
    generator would maximise its second term, which is flat where the generator is bad; so it minimises -log D(G(z)).
    """
    return (F.softplus(-real) + F.softplus(fake)).mean(), F.softplus(-fake).mean()


def relativistic(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """(discriminator's, generator's) loss. Jolicoeur-Martineau 2018: scores are compared in pairs of real and generated.

    Each generated picture is held against a real one, not against a border of all: a generator that drops a mode is not
    safe on the right side of the border, and has a slope to climb wherever it stands.
    """
    return F.softplus(fake - real).mean(), F.softplus(real - fake).mean()


def penalty(discriminator: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Squared length of the slope of the scores in the pixels of x (B, C, H, W), for each picture: (B,).

    On real pictures it is R1, on generated ones R2 (Mescheder et al. 2018): at the goal, where the two look the same, no
    slope is left to push the generator on; without it the players circle about that point for ever.
    """
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(x, y).sum(), x, create_graph=True)
    return slope.square().flatten(1).sum(1)


# --- the two networks ---


class Generator(nn.Module):
    """z -> w -> picture. w (B, D), made of z and labels, scales and shifts every layer, as in Karras et al. 2019.

    Arguments: as of `GAN`. Shapes: z, w (B, D); y (B, questions), -1 where open; picture (B, C, H, W) in [-1, 1].
    """

    encoder: nn.Sequential  # only with a second task: see `GAN`

    def __init__(
        self,
        channels: int,
        size: int,
        classes: list[int],
        patch: int,
        widths: list[int],
        depth: int,
        latent: int,
        fine: list[int],
    ):
        super().__init__()
        self.low = (widths[-1], *[size // (patch * 2 ** (len(widths) - 1))] * 2)
        self.labels = LabelEmbedding(classes, latent)
        self.mapping = nn.Sequential(nn.Linear(2 * latent, 2 * latent), nn.SiLU(), nn.Linear(2 * latent, latent))
        self.first = nn.Linear(latent, math.prod(self.low))
        self.levels, self.larger = nn.ModuleList(), nn.ModuleList()
        for i in reversed(range(len(widths))):  # from the smallest map up
            self.levels.append(nn.ModuleList(ConditionalBlock(widths[i], latent) for _ in range(depth)))
            if i:
                self.larger.append(nn.Sequential(nn.Conv2d(widths[i], 4 * widths[i - 1], 1), nn.PixelShuffle(2)))
        last: list[nn.Module] = [nn.GroupNorm(8, widths[0]), nn.SiLU()]
        width = widths[0]
        for f in fine:
            last += [nn.Conv2d(width, 4 * f, 1), nn.PixelShuffle(2), nn.SiLU(), nn.Conv2d(f, f, 3, padding=1), nn.SiLU()]
            width, patch = f, patch // 2
        last += [nn.Conv2d(width, channels * patch**2, 3, padding=1), nn.PixelShuffle(patch), nn.Tanh()]
        self.last = nn.Sequential(*last)

    def code(self, z: Tensor, y: Tensor) -> Tensor:  # (B, D), (B, questions) -> w (B, D)
        return self.mapping(torch.cat([z, self.labels(y)], 1))

    def paint(self, w: Tensor) -> Tensor:  # (B, D) -> (B, C, H, W) in [-1, 1]
        x = self.first(w).view(-1, *self.low).contiguous(memory_format=torch.channels_last)
        for i, level in enumerate(self.levels):
            if i:
                x = self.larger[i - 1](x)
            for block in level:  # type: ignore[attr-defined]  # a ModuleList of ModuleLists
                x = block(x, w)
        return self.last(x)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.paint(self.code(z, y))


class Discriminator(nn.Module):
    """A picture and its labels -> score: high for real, low for generated. No normalisation, which would mix the batch.

    Arguments: as of `GAN`. Shapes: x (B, C, H, W) in [-1, 1]; y (B, questions), -1 where open; score (B,).
    """

    def __init__(
        self, channels: int, size: int, classes: list[int], patch: int, widths: list[int], blocks: int, features: int = 256
    ):
        super().__init__()
        self.body = nn.Sequential(*seen(channels, size, patch, widths, blocks, features), nn.SiLU())
        self.score = nn.Linear(features, 1, bias=False)  # of the objective only differences of scores matter
        self.labels = LabelEmbedding(classes, features)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        f = self.body(x)  # (B, features)
        return self.score(f)[:, 0] + (f * self.labels(y)).sum(1) / math.sqrt(f.shape[1])


def seen(channels: int, size: int, patch: int, widths: list[int], blocks: int, features: int) -> list[nn.Module]:
    """Layers from a picture to its features: (B, C, H, W) -> (B, features)."""
    layers: list[nn.Module] = [nn.PixelUnshuffle(patch), nn.Conv2d(channels * patch**2, widths[0], 3, padding=1)]
    for i, width in enumerate(widths):
        if i:
            layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * widths[i - 1], width, 1)]
        layers += [ResidualBlock(width) for _ in range(blocks)]
    low = size // (patch * 2 ** (len(widths) - 1))
    return [*layers, nn.SiLU(), nn.Flatten(), nn.Linear(widths[-1] * low**2, features)]


# --- the model ---


PAINTED_SD = 0.16  # of a pixel in [-1, 1] about what is painted again: what a VAE of this size leaves open


class GAN(GenerativeModel):
    """A label-conditional pair of residual networks, trained on the relativistic objective with R1 and R2.

    Why this objective: with both penalties it provably converges near the goal and does not drop modes (Huang et al. 2024),
    so that neither normalisation nor tricks are needed; `nonsaturating` and `DCGAN` are what it replaces.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size); patch * 2 ** (levels - 1) divides size.
        classes: number of answers to each question: [10] for digits or clothes, one entry an attribute for avatars.
        latent: D, numbers in z and in w.
        patch: side of the squares of pixels that become channels first, in both networks; keeps the widest maps small.
        widths: channels of each level, largest map first; each level halves the map.
        blocks: residual blocks a level of the discriminator.
        depth: the same of the generator. Its task is the harder one: where it is too shallow, what it paints is too typical
            and the discriminator wins by ever more.
        fine: channels of further doublings of the generator's map, as often as 2 divides patch. Where squares of pixels come
            straight from the widest map, flat colours and cloth get a grain.
        conditions: the questions' names; of avatars, those of `data.ATTRIBUTES`.
        gamma: weight of the penalties.
        drop: share of pictures whose labels are withheld from both players.
        recall: weight, a nat, of a second task of the generator: to paint each training picture again from a code that an
            encoder gives it, as a VAE does (Larsen et al. 2016). The discriminator alone asks for pictures that look real, not
            for all of them. 0: none, and no encoder.
    Shapes:
        x (B, C, H, W) in [0, 1]; z, w (B, D); labels (B,) or (B, questions), -1 where open.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        classes: list[int] = [10],  # noqa: B006
        latent: int = 64,
        patch: int = 2,
        widths: list[int] = [48, 96],  # noqa: B006
        blocks: int = 1,
        conditions: list[str] = ["class"],  # noqa: B006
        gamma: float = 0.1,
        drop: float = 0.1,
        fine: list[int] = [],  # noqa: B006
        depth: int = 1,
        recall: float = 0.0,
    ):
        super().__init__()
        multiple = patch * 2 ** (len(widths) - 1)
        if size % multiple:
            raise ValueError(f"size must be divisible by {multiple} (patch * 2 ** (levels - 1)), not {size}.")
        if patch % 2 ** len(fine):
            raise ValueError(f"patch must be divisible by {2 ** len(fine)} (2 ** the length of fine), not {patch}.")
        self.channels, self.size, self.classes, self.latent = channels, size, list(classes), latent
        self.conditions, self.gamma, self.drop, self.recall = list(conditions), gamma, drop, recall
        self.generator = Generator(channels, size, classes, patch, widths, depth, latent, fine)
        if recall:
            self.generator.encoder = nn.Sequential(*seen(channels, size, patch, widths, blocks, 2 * latent))
        self.discriminator = Discriminator(channels, size, classes, patch, widths, blocks)
        self.to(memory_format=torch.channels_last)  # once, here: convolutions on two cores are faster so

    # --- training: two players, each with its own loss and its own turn ---

    def discriminator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). `loss` = relativistic + gamma / 2 (R1 + R2), and its terms; no gradient reaches the generator."""
        real, y = self._real(batch)
        with torch.no_grad():
            fake = self.generator(torch.randn(len(y), self.latent, device=y.device), y)
        scores = self.discriminator(torch.cat([real, fake]), y.repeat(2, 1)).float()
        adversarial, _ = relativistic(*scores.chunk(2))
        # A quarter of the batch tells the penalties' mean well enough, and slopes of slopes cost most of the turn.
        k = max(1, len(y) // 4)
        r1, r2 = penalty(self.discriminator, torch.cat([real[:k], fake[:k]]), y[:k].repeat(2, 1)).float().chunk(2)
        return {
            "loss": adversarial + self.gamma / 2 * (r1.mean() + r2.mean()),
            "adversarial": adversarial.detach(),
            "r1": r1.mean().detach(),
            "r2": r2.mean().detach(),
        }

    def generator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). `loss` = relativistic + recall (squared error / 2 s^2 + KL); no gradient reaches the discriminator."""
        real, y = self._real(batch)
        z, terms = torch.randn(len(y), self.latent, device=y.device), {}
        if self.recall:
            mean, log_sd = self.generator.encoder(real).float().chunk(2, 1)
            own = mean + log_sd.exp() * torch.randn_like(mean)  # (B, D)
            fake, again = self.generator(torch.cat([z, own]), y.repeat(2, 1)).chunk(2)
            kl = 0.5 * (mean.square() + (2 * log_sd).exp() - 1 - 2 * log_sd).sum(1).mean()
            error = (again.float() - real).square()
            terms = {"kl": kl.detach(), "error": error.mean().detach()}
            task = self.recall * (error.flatten(1).sum(1).mean() / (2 * PAINTED_SD**2) + kl)
        else:
            fake, task = self.generator(z, y), 0.0
        frozen = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        scores = functional_call(self.discriminator, frozen, (torch.cat([real, fake]), y.repeat(2, 1))).float()
        return {"loss": relativistic(*scores.chunk(2))[1] + task, **terms}

    def _real(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The batch on the networks' scale, labels (B, questions) withheld at random."""
        x, y = batch
        y = y.view(len(x), -1)
        return 2 * x - 1, y.masked_fill(torch.rand(len(x), 1, device=x.device) < self.drop, -1)

    # --- pictures ---

    def codes(
        self, n: int, *, label: int | list | Tensor | None = None, truncation: float = 1.0, seed: int | None = None
    ) -> Tensor:
        """Codes w (n, D) of new pictures.

        Arguments:
            n: 1 to 4096.
            label: what they show; see `base.check_labels`.
            truncation: 0 to 1.5. Each code is drawn towards the mean code of its label: below 1 pictures are more typical
                and less varied, at 0 all of a label are the same (Karras et al. 2019).
            seed: of z.
        """
        n, truncation = check_number("n", n, 1, 4096, whole=True), check_number("truncation", truncation, 0, 1.5)
        y = check_labels(label, n, self.classes).to(self.device)
        z = torch.randn(n, self.latent, generator=generator(seed)).to(self.device)
        with torch.inference_mode():
            w = self.generator.code(z, y)
            return w if truncation == 1 else torch.lerp(self._mean(y), w, truncation)

    def _mean(self, y: Tensor, draws: int = 256) -> Tensor:
        """Mean code of the labels y (n, questions): (n, D)."""
        kinds, which = y.unique(dim=0, return_inverse=True)
        z = torch.randn(draws, self.latent, generator=generator(0)).to(self.device)
        return torch.stack([self.generator.code(z, kind.expand(draws, -1)).mean(0) for kind in kinds])[which]

    def decode(self, w: Tensor) -> Tensor:
        """The picture of each code: (B, D) -> (B, C, H, W) in [0, 1]."""
        return (self.generator.paint(check_latents(w, self.latent, "w")) + 1) / 2

    def sample(
        self, n: int, *, label: int | list | Tensor | None = None, truncation: float = 1.0, seed: int | None = None
    ) -> Tensor:
        """n new pictures, (n, C, H, W) in [0, 1]: the pictures of `codes`, which has the same arguments."""
        with torch.inference_mode():
            return self.decode(self.codes(n, label=label, truncation=truncation, seed=seed))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """Codes on the straight line between two codes (D,), both included: (steps, D), 2 to 256 of them.

        Straight, because w has no prior whose shell the line would leave.
        """
        t = torch.linspace(0, 1, check_number("steps", steps, 2, 256, whole=True))[:, None]
        for name, w in (("start", start), ("end", end)):
            if not isinstance(w, Tensor) or w.shape != (self.latent,):
                raise ValueError(f"{name} must be one code, a float tensor ({self.latent},).")
        start, end = check_latents(start[None], self.latent, "start"), check_latents(end[None], self.latent, "end")
        return torch.lerp(start, end, t.to(start.device))

    def directions(self, k: int = 8, *, seed: int | None = 0, draws: int = 4096) -> Tensor:
        """The k directions in which codes vary most about the mean of their label, (k, D), one standard deviation long each.

        Principal components of w, found without supervision (Harkonen et al. 2020). k: 1 to D. draws: 1024 to 65536 codes.
        """
        k, draws = (
            check_number("k", k, 1, self.latent, whole=True),
            check_number("draws", draws, 1024, 65536, whole=True) // 64 * 64,
        )
        g = generator(seed)
        y = torch.stack([torch.randint(c, (64,), generator=g) for c in self.classes], 1)  # (64, questions)
        z = torch.randn(draws, self.latent, generator=g).to(self.device)
        with torch.inference_mode():
            w = self.generator.code(z, y.repeat(draws // 64, 1).to(self.device)).view(-1, 64, self.latent)
            w = (w - w.mean(0)).flatten(0, 1)
            _, sd, axes = torch.linalg.svd(w, full_matrices=False)
            axes = axes * torch.sign(axes.gather(1, axes.abs().argmax(1, keepdim=True)))  # a sign of their own
            return axes[:k] * (sd[:k, None] / math.sqrt(len(w)))

    def score(self, x: Tensor, label: int | list | Tensor | None = None) -> Tensor:
        """The discriminator's score of pictures x (B, C, H, W) in [0, 1], (B,): the higher, the more real they look to it.

        Only differences mean something: it was trained to put real pictures above generated ones, not above zero.
        """
        x = check_pictures("x", x, self.channels, self.size).to(self.device)
        y = check_labels(label, len(x), self.classes).to(self.device)
        with torch.inference_mode():
            return self.discriminator(2 * x - 1, y).float()

    @torch.inference_mode(False)
    @torch.enable_grad()
    def project_steps(
        self, x: Tensor, *, label: int | list | Tensor | None = None, steps: int = 100, seed: int | None = 0
    ) -> Iterator["Projection"]:
        """Look for the picture nearest to x (1, C, H, W) that the generator can paint, and yield a `Projection` a step.

        From the best of 512 drawn codes, or of the encoder's if there is one, w descends the squared error (Abdal, Qin and
        Wonka, Image2StyleGAN, 2019).

        Arguments:
            x: one picture in [0, 1].
            label: of the drawn codes; None tries all labels.
            steps: 1 to 1000, of Adam.
            seed: of the drawn codes.
        """
        x = check_pictures("x", x, self.channels, self.size).clone().to(self.device)
        if len(x) != 1:
            raise ValueError(f"x must be one picture (1, {self.channels}, {self.size}, {self.size}), not {len(x)}.")
        steps, g = check_number("steps", steps, 1, 1000, whole=True), generator(seed)
        if label is None:
            label = torch.stack([torch.randint(c, (512,), generator=g) for c in self.classes], 1)
        y = check_labels(label, 512, self.classes).to(self.device)
        with torch.no_grad():
            z = torch.randn(512, self.latent, generator=g).to(self.device)
            if self.recall:  # its code with some of the labels
                told = self.generator.encoder(2 * x - 1)[:, : self.latent].expand(64, -1)
                z, y = torch.cat([z, told]), torch.cat([y, y[:64]])
            drawn = self.generator.code(z, y)
            errors = (self.decode(drawn) - x).square().flatten(1).mean(1)
        w = drawn[errors.argmin()][None].clone().requires_grad_()
        adam = torch.optim.Adam([w], lr=0.05)
        for i in range(steps):
            adam.param_groups[0]["lr"] = 0.05 * math.cos(math.pi / 2 * i / steps)
            picture = self.decode(w)
            error = (picture - x).square().mean()
            yield Projection(picture.detach(), w.detach().clone(), error.item())
            adam.zero_grad()
            error.backward(inputs=[w])
            adam.step()
        with torch.no_grad():
            picture = self.decode(w)
        yield Projection(picture, w.detach(), (picture - x).square().mean().item())


class Projection(NamedTuple):
    """x: (1, C, H, W) the generator's picture in [0, 1]; w: (1, D) its code; error: mean squared, to the picture aimed at."""

    x: Tensor
    w: Tensor
    error: float


# --- the classic, for comparison ---


class DCGAN(GenerativeModel):
    """Transposed convolutions and batch statistics, on the non-saturating loss. Radford et al. 2015, with labels.

    Labels join as in Mirza and Osindero, Conditional generative adversarial nets (2014): to z, and as maps to the picture.

    Arguments:
        channels, size: of the pictures; size is divisible by 2 ** levels.
        classes: number of answers to each question.
        latent: D, numbers in z.
        width: channels of the largest map; each smaller one has twice as many.
        levels: how often the map is halved.
        conditions: the questions' names; of avatars, those of `data.ATTRIBUTES`.
    Shapes:
        x (B, C, H, W) in [0, 1]; labels (B,) or (B, questions), -1 where open.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        classes: list[int] = [10],  # noqa: B006
        latent: int = 64,
        width: int = 48,
        levels: int = 2,
        conditions: list[str] = ["class"],  # noqa: B006
    ):
        super().__init__()
        if size % 2**levels:
            raise ValueError(f"size must be divisible by {2**levels} (2 ** levels), not {size}.")
        self.channels, self.size, self.classes, self.latent = channels, size, list(classes), latent
        self.conditions = list(conditions)
        low, wide = size // 2**levels, width * 2 ** (levels - 1)
        paint: list[nn.Module] = [
            nn.Linear(2 * latent, wide * low**2),
            nn.Unflatten(1, (wide, low, low)),
            nn.BatchNorm2d(wide),
            nn.ReLU(),
        ]
        judge: list[nn.Module] = [nn.Conv2d(channels + 1, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(levels - 1):  # no bias: the next layer takes the mean off
            from_, to = wide // 2**i, wide // 2 ** (i + 1)
            paint += [nn.ConvTranspose2d(from_, to, 4, 2, 1, bias=False), nn.BatchNorm2d(to), nn.ReLU()]
            from_, to = width * 2**i, width * 2 ** (i + 1)
            judge += [nn.Conv2d(from_, to, 4, 2, 1, bias=False), nn.BatchNorm2d(to), nn.LeakyReLU(0.2)]
        paint += [nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh()]
        judge += [nn.Flatten(), nn.Linear(wide * low**2, 1)]
        self.generator = nn.ModuleDict({"labels": LabelEmbedding(classes, latent), "net": nn.Sequential(*paint)})
        self.discriminator = nn.ModuleDict({"labels": LabelEmbedding(classes, size * size), "net": nn.Sequential(*judge)})
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(layer.weight, 0, 0.02)

    def _paint(self, z: Tensor, y: Tensor) -> Tensor:
        return self.generator["net"](torch.cat([z, self.generator["labels"](y)], 1))

    def _judge(self, x: Tensor, y: Tensor) -> Tensor:
        maps = self.discriminator["labels"](y).view(-1, 1, self.size, self.size)
        return self.discriminator["net"](torch.cat([x, maps], 1))[:, 0].float()

    def discriminator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). -log D(x) - log(1 - D(G(z))); no gradient reaches the generator.

        Real and generated pictures pass in batches of their own.
        """
        x, y = batch
        y = y.view(len(x), -1)
        with torch.no_grad():
            fake = self._paint(torch.randn(len(x), self.latent, device=x.device), y)
        return {"loss": nonsaturating(self._judge(2 * x - 1, y), self._judge(fake, y))[0]}

    def generator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y), of which the labels are used. -log D(G(z)); no gradient reaches the discriminator."""
        x, y = batch
        y = y.view(len(x), -1)
        fake = self._paint(torch.randn(len(x), self.latent, device=x.device), y)
        frozen = {f"discriminator.{name}": p.detach() for name, p in self.discriminator.named_parameters()}
        scores = functional_call(self, frozen, (fake, y), {"method": "_judge"})
        return {"loss": nonsaturating(scores, scores)[1]}

    def sample(self, n: int, *, label: int | list | Tensor | None = None, seed: int | None = None) -> Tensor:
        """n new pictures, (n, C, H, W) in [0, 1]. label: see `base.check_labels`."""
        n = check_number("n", n, 1, 4096, whole=True)
        y = check_labels(label, n, self.classes).to(self.device)
        z = torch.randn(n, self.latent, generator=generator(seed)).to(self.device)
        with torch.inference_mode():
            return (self._paint(z, y) + 1) / 2

    def score(self, x: Tensor, label: int | list | Tensor | None = None) -> Tensor:
        """The discriminator's score of pictures x (B, C, H, W) in [0, 1], (B,): the logarithm of the odds that x is real."""
        x = check_pictures("x", x, self.channels, self.size).to(self.device)
        y = check_labels(label, len(x), self.classes).to(self.device)
        with torch.inference_mode():
            return self._judge(2 * x - 1, y)


# --- how a training went ---


class Replay(NamedTuple):
    """Moments of a training, kept beside the weights in `replay.webp` and `replay.json`.

    steps: (T,) of the moments; pictures: (T, n, C, H, W) uint8, from one fixed noise; edges: (bins + 1,) of scores;
    real, generated: (T, bins) shares of the scores of validation and of generated pictures between the edges;
    losses: player -> list of [step, loss], means over the steps since the entry before.
    """

    steps: list[int]
    pictures: Tensor
    edges: list[float]
    real: list[list[float]]
    generated: list[list[float]]
    losses: dict[str, list[list[float]]]


def save_replay(replay: Replay, folder: Path | str) -> None:
    """Write `replay.webp` (a row a moment) and `replay.json`."""
    T, n, C, H, W = replay.pictures.shape
    rows = replay.pictures.permute(0, 3, 1, 4, 2).reshape(T * H, n * W, C)  # (T, H, n, W, C)
    picture = Image.fromarray(rows.expand(-1, -1, 3).numpy() if C == 1 else rows.numpy())
    picture.save(Path(folder) / "replay.webp", quality=80, method=6)
    facts = replay._asdict() | {"pictures": [n, C, H]}
    (Path(folder) / "replay.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def load_replay(name_or_path: Path | str) -> Replay:
    """The `Replay` of a checkpoint."""
    folder = checkpoint_folder(name_or_path)
    try:
        facts = json.loads((folder / "replay.json").read_text(encoding="utf-8"))
        n, C, size = facts["pictures"]
        with Image.open(folder / "replay.webp") as opened:
            picture = opened.convert("L" if C == 1 else "RGB")
        T = len(facts["steps"])
        shares = [facts["real"], facts["generated"]]
        if picture.size != (n * size, T * size) or not all(
            len(told) == T and all(len(share) == len(facts["edges"]) - 1 for share in told) for told in shares
        ):
            raise ValueError("pictures and numbers are of different lengths")
        flat = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        pictures = flat.view(T, size, n, size, C).permute(0, 2, 4, 1, 3).contiguous()
        return Replay(**facts | {"pictures": pictures})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as e:
        raise CheckpointError(f"The replay in {folder} is missing or broken ({e}): copy the whole checkpoint folder.") from e
