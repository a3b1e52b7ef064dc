"""Generative adversarial networks: a generator makes pictures and a discriminator tells them from real ones.

The two are trained against each other: the discriminator learns to give real pictures higher scores, the generator to make
pictures that score high. `GAN` is a modern, stable form; `DCGAN` is the classic one, to read and to compare with.

References:
    Goodfellow et al., Generative adversarial networks (2014), https://arxiv.org/abs/1406.2661
    Radford, Metz and Chintala, DCGAN (2015), https://arxiv.org/abs/1511.06434, with the labels of Mirza and Osindero,
        Conditional generative adversarial nets (2014), https://arxiv.org/abs/1411.1784
    Mescheder, Geiger and Nowozin, Which training methods for GANs do actually converge? (2018), for the penalties R1 and R2,
        https://arxiv.org/abs/1801.04406
    Jolicoeur-Martineau, The relativistic discriminator (2018), for scores in pairs, https://arxiv.org/abs/1807.00734
    Sun, Fang and Schwing, Towards a better global loss landscape of GANs (2020), https://arxiv.org/abs/2011.04926
    Huang et al., The GAN is dead; long live the GAN! (2024), for pairs with both penalties, https://arxiv.org/abs/2501.05441
    Miyato and Koyama, cGANs with projection discriminator (2018), for labels, https://arxiv.org/abs/1802.05637
    Karras, Laine and Aila, A style-based generator architecture (2019), for the latent space w,
        https://arxiv.org/abs/1812.04948
    Larsen et al., Autoencoding beyond pixels using a learned similarity metric (2016), for the reconstruction loss,
        https://arxiv.org/abs/1512.09300
    Harkonen et al., GANSpace (2020), for principal directions, https://arxiv.org/abs/2004.02546
    Abdal, Qin and Wonka, Image2StyleGAN (2019), for projection, https://arxiv.org/abs/1904.03189
"""

import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.func import functional_call

from genmodels.base import (
    CheckpointError,
    GenerativeModel,
    check_latents,
    check_number,
    checkpoint_folder,
    generator,
    randn_rows,
    upcast,
)
from genmodels.layers import ConditionalBlock, LabelEmbedding, ResidualBlock
from genmodels.messages import Message

# --- objectives: scores (B,) of real and of generated pictures -> the loss of each network ---


def nonsaturating_losses(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """(discriminator loss, generator loss). Goodfellow et al. 2014, section 3.

    The discriminator is a binary classifier of real against generated: -log D(x) - log(1 - D(G(z))). In the minimax game
    the generator would maximise the second term, whose gradient vanishes where the generator is bad ("saturates"); so it
    minimises -log D(G(z)) instead.
    """
    discriminator_loss = (F.softplus(-real) + F.softplus(fake)).mean()
    generator_loss = F.softplus(-fake).mean()
    return discriminator_loss, generator_loss


def relativistic_losses(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """(discriminator loss, generator loss). Jolicoeur-Martineau 2018: scores are compared in pairs of real and generated.

    Each generated picture is compared with a real one instead of with one decision boundary for all. With the separate loss a
    generator that drops a mode can sit in a bad basin of the loss landscape; with pairs there is none (Sun et al. 2020, for
    samples that are free to move). The optimal D(x) is log p_data(x) / p_generated(x) plus a constant.
    """
    discriminator_loss = F.softplus(fake - real).mean()
    generator_loss = F.softplus(real - fake).mean()
    return discriminator_loss, generator_loss


def gradient_penalty(discriminator: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Squared norm of the gradient of the score with respect to the pixels of x (B, C, H, W), per picture: (B,).

    On real pictures it is R1, on generated ones R2. Either is enough for training to converge once it is close to the
    equilibrium; without it, training can circle around that point for ever (Mescheder et al. 2018).
    """
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(discriminator(x, y).sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1)


# --- the two networks ---


class Generator(nn.Module):
    """z -> w -> picture. A mapping network turns z and the labels into w, which modulates every layer (Karras et al. 2019).

    Arguments: those of `GAN`. Shapes: z, w (B, D); y (B, attributes), -1 where unspecified; picture (B, C, H, W) in [-1, 1].
    """

    encoder: nn.Sequential  # only with a reconstruction loss: see `GAN`

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
        lowest = size // (patch * 2 ** (len(widths) - 1))  # side of the smallest feature map
        self.lowest_shape = (widths[-1], lowest, lowest)
        self.labels = LabelEmbedding(classes, latent)
        self.mapping = nn.Sequential(nn.Linear(2 * latent, 2 * latent), nn.SiLU(), nn.Linear(2 * latent, latent))
        self.first = nn.Linear(latent, math.prod(self.lowest_shape))
        self.levels = nn.ModuleList()
        self.larger = nn.ModuleList()
        for i in reversed(range(len(widths))):  # from the smallest feature map to the largest
            self.levels.append(nn.ModuleList(ConditionalBlock(widths[i], latent) for _ in range(depth)))
            if i:
                self.larger.append(nn.Sequential(nn.Conv2d(widths[i], 4 * widths[i - 1], 1), nn.PixelShuffle(2)))
        layers: list[nn.Module] = [nn.GroupNorm(8, widths[0]), nn.SiLU()]
        width = widths[0]
        for narrower in fine:
            layers += [nn.Conv2d(width, 4 * narrower, 1), nn.PixelShuffle(2), nn.SiLU()]
            layers += [nn.Conv2d(narrower, narrower, 3, padding=1), nn.SiLU()]
            width = narrower
            patch //= 2
        layers += [nn.Conv2d(width, channels * patch**2, 3, padding=1), nn.PixelShuffle(patch), nn.Tanh()]
        self.last = nn.Sequential(*layers)

    def map_latents(self, z: Tensor, y: Tensor) -> Tensor:  # (B, D), (B, attributes) -> w (B, D)
        labels = self.labels(y)
        return self.mapping(torch.cat([z.to(labels.dtype), labels], 1))

    def synthesize(self, w: Tensor) -> Tensor:  # (B, D) -> (B, C, H, W) in [-1, 1]
        w = w.to(self.first.weight.dtype)
        x = self.first(w).view(-1, *self.lowest_shape).contiguous(memory_format=torch.channels_last)
        for i, level in enumerate(self.levels):
            if i:
                x = self.larger[i - 1](x)
            for block in level:  # type: ignore[attr-defined]  # a ModuleList of ModuleLists
                x = block(x, w)
        return self.last(x)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.synthesize(self.map_latents(z, y))


class Discriminator(nn.Module):
    """A picture and its labels -> score: high for real, low for generated pictures. There is no batch normalization: the
    gradient penalties need scores that do not depend on the rest of the batch.

    Arguments: those of `GAN`. Shapes: x (B, C, H, W) in [-1, 1]; y (B, attributes), -1 where unspecified; score (B,).
    """

    def __init__(
        self, channels: int, size: int, classes: list[int], patch: int, widths: list[int], blocks: int, features: int = 256
    ):
        super().__init__()
        self.body = nn.Sequential(*feature_layers(channels, size, patch, widths, blocks, features), nn.SiLU())
        self.score = nn.Linear(features, 1, bias=False)  # the objective depends on differences of scores only
        self.labels = LabelEmbedding(classes, features)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        features = self.body(x.to(self.score.weight.dtype))  # (B, features)
        return self.score(features)[:, 0] + (features * self.labels(y)).sum(1) / math.sqrt(features.shape[1])


def feature_layers(channels: int, size: int, patch: int, widths: list[int], blocks: int, features: int) -> list[nn.Module]:
    """Layers from a picture to its features: (B, C, H, W) -> (B, features)."""
    layers: list[nn.Module] = [nn.PixelUnshuffle(patch), nn.Conv2d(channels * patch**2, widths[0], 3, padding=1)]
    for i, width in enumerate(widths):
        if i:
            layers += [nn.PixelUnshuffle(2), nn.Conv2d(4 * widths[i - 1], width, 1)]
        layers += [ResidualBlock(width) for _ in range(blocks)]
    lowest = size // (patch * 2 ** (len(widths) - 1))  # side of the smallest feature map
    return [*layers, nn.SiLU(), nn.Flatten(), nn.Linear(widths[-1] * lowest**2, features)]


# --- the model ---


PROJECTION_STEPS = 60  # of `rebuild_steps`, where many wait; most of the error has gone by then
RECONSTRUCTION_SD = 0.16  # of a pixel in [-1, 1] about its reconstruction: the error that a VAE of this size leaves


class GAN(GenerativeModel):
    """A label-conditional pair of residual networks, trained on the relativistic objective with R1 and R2.

    Why this objective: with a gradient penalty it converges near the equilibrium (a local result; Mescheder et al. 2018, and
    Huang et al. 2024 for pairs), and it worked in Huang et al.'s experiments, with both penalties, without normalization
    layers. That does not mean that no mode is dropped: compare recall with that of real pictures on the cards. It replaces
    `nonsaturating_losses` and `DCGAN`.

    Arguments:
        channels, size: of the pictures, which are (channels, size, size); patch * 2 ** (levels - 1) divides size.
        classes: number of values of each attribute: [10] for digits or clothes, one entry per attribute for avatars.
        latent: D, number of dimensions of z and of w.
        patch: side of the pixel squares that are folded into channels first, in both networks; keeps the widest feature maps
            small.
        widths: channels of each level, largest feature map first; each level halves the map.
        blocks: residual blocks per level of the discriminator.
        depth: residual blocks per level of the generator. Its task is the harder one: if it is too shallow, its samples are
            too typical and the discriminator wins by ever more.
        fine: channels of additional 2x upsampling stages at the end of the generator, as many as 2 divides patch. Where
            pixel squares come straight from the widest feature map, flat colours and cloth look grainy.
        conditions: names of the attributes; for avatars, those of `data.ATTRIBUTES`.
        gamma: weight of the gradient penalties.
        drop: share of pictures whose labels are withheld from both networks.
        reconstruction_weight: weight, per nat, of the generator's second loss: an encoder maps each training picture to a
            latent code, from which the generator reconstructs it, as in a VAE (Larsen et al. 2016). The discriminator
            demands only that samples look real, not that every real picture can be generated. 0: no such loss, no encoder.
    Shapes:
        x (B, C, H, W) in [0, 1]; z, w (B, D); labels (B,) or (B, attributes), -1 where unspecified.
    """

    renamed_arguments: ClassVar[dict[str, str]] = {"recall": "reconstruction_weight"}

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
        reconstruction_weight: float = 0.0,
    ):
        super().__init__()
        multiple = patch * 2 ** (len(widths) - 1)
        if size % multiple:
            raise ValueError(f"size must be divisible by {multiple} (patch * 2 ** (levels - 1)), not {size}.")
        if patch % 2 ** len(fine):
            raise ValueError(f"patch must be divisible by {2 ** len(fine)} (2 ** the length of fine), not {patch}.")
        self.channels = channels
        self.size = size
        self.classes = list(classes)
        self.latent = latent
        self.conditions = list(conditions)
        self.gamma = gamma
        self.drop = drop
        self.reconstruction_weight = reconstruction_weight
        self.generator = Generator(channels, size, classes, patch, widths, depth, latent, fine)
        if reconstruction_weight:
            self.generator.encoder = nn.Sequential(*feature_layers(channels, size, patch, widths, blocks, 2 * latent))
        self.discriminator = Discriminator(channels, size, classes, patch, widths, blocks)
        self.to(memory_format=torch.channels_last)  # convolutions on two cores are faster this way

    samples_pictures = True

    # --- training: two networks, each with a loss of its own, updated in turn ---

    def discriminator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). `loss` = relativistic + gamma / 2 (R1 + R2), and its terms; no gradient reaches the generator."""
        real, y = self._real(batch)
        with torch.no_grad():
            fake = self.generator(torch.randn(len(y), self.latent, device=y.device), y)
        scores = upcast(self.discriminator(torch.cat([real, fake]), y.repeat(2, 1)))
        adversarial, _ = relativistic_losses(*scores.chunk(2))
        # A quarter of the batch estimates the penalties well enough; second derivatives take most of the time of an update.
        k = max(1, len(y) // 4)
        r1, r2 = upcast(gradient_penalty(self.discriminator, torch.cat([real[:k], fake[:k]]), y[:k].repeat(2, 1))).chunk(2)
        return {
            "loss": adversarial + self.gamma / 2 * (r1.mean() + r2.mean()),
            "adversarial": adversarial.detach(),
            "r1": r1.mean().detach(),
            "r2": r2.mean().detach(),
        }

    def generator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). `loss` = relativistic + reconstruction_weight (squared error / 2 s^2 + KL); no gradient reaches
        the discriminator."""
        real, y = self._real(batch)
        z = torch.randn(len(y), self.latent, device=y.device)
        terms = {}
        if self.reconstruction_weight:
            mean, log_sd = upcast(self.generator.encoder(real.to(self.dtype))).chunk(2, 1)
            code = mean + log_sd.exp() * torch.randn_like(mean)  # (B, D)
            fake, reconstruction = self.generator(torch.cat([z, code]), y.repeat(2, 1)).chunk(2)
            kl = 0.5 * (mean.square() + (2 * log_sd).exp() - 1 - 2 * log_sd).sum(1).mean()
            error = (upcast(reconstruction) - real).square()
            terms = {"kl": kl.detach(), "error": error.mean().detach()}
            nats = error.flatten(1).sum(1).mean() / (2 * RECONSTRUCTION_SD**2) + kl
            reconstruction_loss = self.reconstruction_weight * nats
        else:
            fake = self.generator(z, y)
            reconstruction_loss = torch.zeros((), device=z.device)
        frozen = {name: p.detach() for name, p in self.discriminator.named_parameters()}
        scores = upcast(functional_call(self.discriminator, frozen, (torch.cat([real, fake]), y.repeat(2, 1))))
        _, adversarial = relativistic_losses(*scores.chunk(2))
        return {"loss": adversarial + reconstruction_loss, **terms}

    def _real(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The batch with pictures in [-1, 1] and labels (B, attributes), some of them withheld at random."""
        x, y = self.on_device(batch)
        y = y.view(len(x), -1)
        return 2 * x - 1, y.masked_fill(torch.rand(len(x), 1, device=x.device) < self.drop, -1)

    # --- pictures ---

    def sample_latents(
        self, n: int, *, label: int | list | Tensor | None = None, truncation: float = 1.0, seed: int | None = None
    ) -> Tensor:
        """Latent codes w (n, D) of new pictures.

        Arguments:
            n: 1 to 4096.
            label: class or attributes; see `base.check_labels`.
            truncation: 0 to 1.5. Scales the distance of each code from the mean code of its label: below 1, pictures are more
                typical and less varied; at 0, all pictures of a label are the same (Karras et al. 2019).
            seed: of z.
        """
        n = check_number("n", n, 1, 4096, whole=True)
        truncation = check_number("truncation", truncation, 0, 1.5)
        y = self.check_labels(label, n)
        z = randn_rows(n, self.latent, g=generator(seed)).to(self.device)
        with torch.no_grad():
            w = upcast(self.generator.map_latents(z, y))
            return w if truncation == 1 else torch.lerp(self._mean_latents(y), w, truncation)

    def _mean_latents(self, y: Tensor, samples: int = 256) -> Tensor:
        """Mean code of each of the labels y (n, attributes), over `samples` of z: (n, D)."""
        labels, index = y.unique(dim=0, return_inverse=True)
        z = randn_rows(samples, self.latent, g=generator(0)).to(self.device)
        means = [upcast(self.generator.map_latents(z, label.expand(samples, -1))).mean(0) for label in labels]
        return torch.stack(means)[index]

    def decode(self, w: Tensor) -> Tensor:
        """The picture of each latent code: (B, D) -> (B, C, H, W) in [0, 1]."""
        return (upcast(self.generator.synthesize(self.check_latents("w", w))) + 1) / 2

    def sample(
        self, n: int, *, label: int | list | Tensor | None = None, truncation: float = 1.0, seed: int | None = None
    ) -> Tensor:
        """n new pictures, (n, C, H, W) in [0, 1]. The arguments are those of `sample_latents`."""
        with torch.no_grad():
            return self.decode(self.sample_latents(n, label=label, truncation=truncation, seed=seed))

    def interpolate(self, start: Tensor, end: Tensor, steps: int) -> Tensor:
        """Linear interpolation between two latent codes (D,), both included: (steps, D). steps: 2 to 256.

        Linear, not spherical: w has no Gaussian prior, so there is no shell of typical norms to stay on.
        """
        t = torch.linspace(0, 1, check_number("steps", steps, 2, 256, whole=True))[:, None]
        for name, w in (("start", start), ("end", end)):
            if not isinstance(w, Tensor) or w.shape != (self.latent,):
                raise ValueError(f"{name} must be one latent code, a float tensor ({self.latent},).")
        start = check_latents(start[None], self.latent, "start")
        end = check_latents(end[None], self.latent, "end").to(start.device)
        return torch.lerp(start, end, t.to(start.device))

    def directions(self, k: int = 8, *, seed: int | None = 0, samples: int = 4096) -> Tensor:
        """The k directions of largest variance of w about the mean of its label, (k, D), each one standard deviation long.

        Principal components of w, found without supervision (Harkonen et al. 2020).

        Arguments:
            k: 1 to D.
            seed: of the latent codes.
            samples: 1024 to 65536, number of latent codes.
        """
        k = check_number("k", k, 1, self.latent, whole=True)
        samples = check_number("samples", samples, 1024, 65536, whole=True) // 64 * 64
        g = generator(seed)
        y = torch.stack([torch.randint(c, (64,), generator=g) for c in self.classes], 1)  # (64, attributes)
        z = randn_rows(samples, self.latent, g=g).to(self.device)
        with torch.no_grad():
            w = upcast(self.generator.map_latents(z, y.repeat(samples // 64, 1).to(self.device))).view(-1, 64, self.latent)
            w = (w - w.mean(0)).flatten(0, 1)
            _, sd, axes = torch.linalg.svd(w, full_matrices=False)
            # The sign of a singular vector is arbitrary: its largest component is made positive.
            axes = axes * torch.sign(axes.gather(1, axes.abs().argmax(1, keepdim=True)))
            return axes[:k] * (sd[:k, None] / math.sqrt(len(w)))

    def score(self, x: Tensor, label: int | list | Tensor | None = None) -> Tensor:
        """The discriminator's score of pictures x (B, C, H, W) in [0, 1], (B,): higher means that they look more real to it.

        Only differences between scores have a meaning: it was trained to score real pictures above generated ones, not above
        zero.
        """
        x = self.check_pictures("x", x)
        y = self.check_labels(label, len(x))
        with torch.no_grad():
            return upcast(self.discriminator(2 * x - 1, y))

    @torch.inference_mode(False)
    @torch.enable_grad()
    def project_steps(
        self, x: Tensor, *, label: int | list | Tensor | None = None, steps: int = 100, seed: int | None = 0
    ) -> Iterator["Projection"]:
        """GAN inversion: find the latent code whose picture is nearest to x (1, C, H, W). Yields one `Projection` per step.

        The search begins at the best of 512 random codes and, if there is an encoder, of its codes; then w descends the
        squared error (Abdal, Qin and Wonka, Image2StyleGAN, 2019).

        Arguments:
            x: one picture in [0, 1].
            label: of the random codes; None tries all labels.
            steps: 1 to 1000, of Adam.
            seed: of the random codes.
        """
        x = self.check_pictures("x", x).clone()
        if len(x) != 1:
            raise ValueError(f"x must be one picture (1, {self.channels}, {self.size}, {self.size}), not {len(x)}.")
        steps = check_number("steps", steps, 1, 1000, whole=True)
        g = generator(seed)
        if label is None:
            label = torch.stack([torch.randint(c, (512,), generator=g) for c in self.classes], 1)
        y = self.check_labels(label, 512)
        with torch.no_grad():
            z = randn_rows(512, self.latent, g=g).to(self.device)
            if self.reconstruction_weight:  # the encoder's code, with 64 of the labels
                encoded = self.generator.encoder((2 * x - 1).to(self.dtype))[:, : self.latent].expand(64, -1)
                z = torch.cat([z, encoded])
                y = torch.cat([y, y[:64]])
            candidates = upcast(self.generator.map_latents(z, y))
            errors = (self.decode(candidates) - x).square().flatten(1).mean(1)
        w = candidates[errors.argmin()][None].clone().requires_grad_()
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

    rebuilds = Message("Projected: the nearest picture that it generates.")

    def rebuild_steps(self, x: Tensor, *, seed: int | None = 0) -> Iterator[Tensor]:
        for step in self.project_steps(x, steps=PROJECTION_STEPS, seed=seed):
            yield step.x

    def path(self, start: Tensor, end: Tensor, steps: int, *, seed: int | None = 0) -> Tensor:
        """Linear, between the codes of the nearest generated pictures."""
        *_, first = self.project_steps(start, steps=PROJECTION_STEPS, seed=seed)
        *_, last = self.project_steps(end, steps=PROJECTION_STEPS, seed=seed)
        with torch.no_grad():
            return self.decode(self.interpolate(first.w[0], last.w[0], steps))


class Projection(NamedTuple):
    """A step of GAN inversion.

    x: (1, C, H, W), the generator's picture in [0, 1]; w: (1, D), its latent code; error: mean squared error to the target.
    """

    x: Tensor
    w: Tensor
    error: float


# --- the classic GAN, for comparison ---


class DCGAN(GenerativeModel):
    """Transposed convolutions and batch normalization, trained on the non-saturating loss. Radford et al. 2015, with labels.

    Label embeddings are concatenated to z, and to the picture as additional channels, as in Mirza and Osindero, Conditional
    generative adversarial nets (2014).

    Arguments:
        channels, size: of the pictures; size is divisible by 2 ** levels.
        classes: number of values of each attribute.
        latent: D, number of dimensions of z.
        width: channels of the largest feature map; each smaller one has twice as many.
        levels: how often the feature map is halved.
        conditions: names of the attributes; for avatars, those of `data.ATTRIBUTES`.
    Shapes:
        x (B, C, H, W) in [0, 1]; labels (B,) or (B, attributes), -1 where unspecified.
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
        self.channels = channels
        self.size = size
        self.classes = list(classes)
        self.latent = latent
        self.conditions = list(conditions)
        lowest = size // 2**levels  # side of the smallest feature map
        widest = width * 2 ** (levels - 1)
        generator_layers: list[nn.Module] = [
            nn.Linear(2 * latent, widest * lowest**2),
            nn.Unflatten(1, (widest, lowest, lowest)),
            nn.BatchNorm2d(widest),
            nn.ReLU(),
        ]
        discriminator_layers: list[nn.Module] = [nn.Conv2d(channels + 1, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for i in range(levels - 1):  # no bias: batch normalization would subtract it again
            inputs, outputs = widest // 2**i, widest // 2 ** (i + 1)
            convolution: nn.Module = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
            generator_layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs, outputs = width * 2**i, width * 2 ** (i + 1)
            convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
            discriminator_layers += [convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        generator_layers += [nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh()]
        discriminator_layers += [nn.Flatten(), nn.Linear(widest * lowest**2, 1)]
        self.generator = nn.ModuleDict(
            {"labels": LabelEmbedding(classes, latent), "net": nn.Sequential(*generator_layers)},
        )
        self.discriminator = nn.ModuleDict(
            {"labels": LabelEmbedding(classes, size * size), "net": nn.Sequential(*discriminator_layers)},
        )
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
                nn.init.normal_(layer.weight, 0, 0.02)

    def _generate(self, z: Tensor, y: Tensor) -> Tensor:
        return upcast(self.generator["net"](torch.cat([z, self.generator["labels"](y)], 1).to(self.dtype)))

    def _discriminate(self, x: Tensor, y: Tensor) -> Tensor:
        label_maps = self.discriminator["labels"](y).view(-1, 1, self.size, self.size)
        return upcast(self.discriminator["net"](torch.cat([x, label_maps], 1).to(self.dtype))[:, 0])

    def discriminator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y). -log D(x) - log(1 - D(G(z))); no gradient reaches the generator.

        Real and generated pictures pass in separate batches, each normalized by its own statistics.
        """
        x, y = self.on_device(batch)
        y = y.view(len(x), -1)
        with torch.no_grad():
            fake = self._generate(torch.randn(len(x), self.latent, device=x.device), y)
        real_scores = self._discriminate(2 * x - 1, y)
        fake_scores = self._discriminate(fake, y)
        loss, _ = nonsaturating_losses(real_scores, fake_scores)
        return {"loss": loss}

    def generator_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """batch: (x, y), of which only the labels are used. -log D(G(z)); no gradient reaches the discriminator."""
        x, y = self.on_device(batch)
        y = y.view(len(x), -1)
        fake = self._generate(torch.randn(len(x), self.latent, device=x.device), y)
        frozen = {f"discriminator.{name}": p.detach() for name, p in self.discriminator.named_parameters()}
        fake_scores = functional_call(self, frozen, (fake, y), {"method": "_discriminate"})
        _, loss = nonsaturating_losses(fake_scores, fake_scores)  # only the scores of generated pictures count
        return {"loss": loss}

    def sample(self, n: int, *, label: int | list | Tensor | None = None, seed: int | None = None) -> Tensor:
        """n new pictures, (n, C, H, W) in [0, 1]. label: see `base.check_labels`."""
        n = check_number("n", n, 1, 4096, whole=True)
        y = self.check_labels(label, n)
        z = randn_rows(n, self.latent, g=generator(seed)).to(self.device)
        with torch.no_grad():
            return (self._generate(z, y) + 1) / 2

    def score(self, x: Tensor, label: int | list | Tensor | None = None) -> Tensor:
        """The discriminator's score of pictures x (B, C, H, W) in [0, 1], (B,): the logarithm of the odds that x is real."""
        x = self.check_pictures("x", x)
        y = self.check_labels(label, len(x))
        with torch.no_grad():
            return self._discriminate(2 * x - 1, y)


# --- how training went ---


class Replay(NamedTuple):
    """Snapshots of a training run, stored beside the weights in `replay.webp` and `replay.json`.

    steps: (T,), of the snapshots; pictures: (T, n, C, H, W) uint8, from one fixed noise; edges: (bins + 1,), of the score
    histograms; real, generated: (T, bins), histograms (shares) of the scores of validation and of generated pictures;
    losses: network -> list of [step, loss], means over the steps since the previous entry.
    """

    steps: list[int]
    pictures: Tensor
    edges: list[float]
    real: list[list[float]]
    generated: list[list[float]]
    losses: dict[str, list[list[float]]]


def save_replay(replay: Replay, folder: Path | str) -> None:
    """Write `replay.webp` (one row per snapshot) and `replay.json`."""
    T, n, C, H, W = replay.pictures.shape
    rows = replay.pictures.permute(0, 3, 1, 4, 2).reshape(T * H, n * W, C)  # (T, H, n, W, C)
    sheet = Image.fromarray(rows.expand(-1, -1, 3).numpy() if C == 1 else rows.numpy())
    sheet.save(Path(folder) / "replay.webp", quality=80, method=6)
    values = replay._asdict() | {"pictures": [n, C, H]}
    (Path(folder) / "replay.json").write_text(json.dumps(values) + "\n", encoding="utf-8")


def load_replay(name_or_path: Path | str) -> Replay:
    """The `Replay` of a checkpoint."""
    folder = checkpoint_folder(name_or_path)
    try:
        values = json.loads((folder / "replay.json").read_text(encoding="utf-8"))
        n, C, size = values["pictures"]
        with Image.open(folder / "replay.webp") as opened:
            sheet = opened.convert("L" if C == 1 else "RGB")
        T = len(values["steps"])
        bins = len(values["edges"]) - 1
        histograms = [values["real"], values["generated"]]
        complete = all(len(rows) == T and all(len(row) == bins for row in rows) for rows in histograms)
        if sheet.size != (n * size, T * size) or not complete:
            raise ValueError("pictures and numbers are of different lengths")
        flat = torch.frombuffer(bytearray(sheet.tobytes()), dtype=torch.uint8)
        pictures = flat.view(T, size, n, size, C).permute(0, 2, 4, 1, 3).contiguous()
        return Replay(**values | {"pictures": pictures})
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as e:
        raise CheckpointError(
            Message(
                "The replay in {folder} is missing or broken ({reason}): copy the whole checkpoint folder.",
                folder=folder,
                reason=str(e),
            )
        ) from e


# --- scores that can be compared between labels ---


class RelativeScores:
    """A discriminator's scores minus the mean score of generated pictures of the same label.

    It was trained on pairs of one label and never learned to compare two labels, so that their scores may have any offset.

    Arguments:
        model: the GAN. Its weights must not change: the scores of generated pictures are computed once per label.
    """

    def __init__(self, model: GAN):
        self.model = model
        self._generated: dict[tuple[int, ...], Tensor] = {}

    @staticmethod
    def samples(label: Sequence[int]) -> int:
        """Number of generated pictures from which the mean of a label is estimated. label: one number per attribute."""
        if max(label) < 0:
            return 256
        return 32 if len(label) == 1 else 16  # faces have hundreds of labels

    def generated(self, label: Sequence[int]) -> Tensor:
        """Scores of generated pictures of a label, not relative, (samples,). label: one number per attribute."""
        key = tuple(label)
        if key not in self._generated:
            x = self.model.sample(self.samples(label), label=list(label), seed=0)
            self._generated[key] = self.model.score(x, list(label))
        return self._generated[key]

    def __call__(self, x: Tensor, label: int | list | Tensor | None = None) -> Tensor:
        """Relative scores of pictures x (B, C, H, W), (B,). label: see `base.check_labels`."""
        y = self.model.check_labels(label, len(x))
        return self.model.score(x, y) - torch.stack([self.generated(row).mean() for row in y.tolist()])

    def reference(self, x: Tensor, label: int | list | Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(relative scores of real pictures x, those of generated pictures of each label that is among theirs)."""
        y = self.model.check_labels(label, len(x))
        scores = [self.generated(row) for row in y.unique(dim=0).tolist()]
        return self(x, y), torch.cat([s - s.mean() for s in scores])


def score_histogram(real: Tensor, generated: Tensor, bins: int = 24) -> dict[str, list]:
    """Scores of real and of generated pictures on one axis: `edges` (bins + 1), shares `real` and `generated`, sizes `n`.

    The axis leaves out the outermost 0.5 % on either side: the first and the last bin also count what is beyond.
    """
    low, high = torch.cat([real, generated]).quantile(torch.tensor([0.005, 0.995])).tolist()
    high = max(high, low + 1e-3)
    shares = [torch.histc(scores.clamp(low, high), bins, low, high) / len(scores) for scores in (real, generated)]
    rows = [[round(v, 4) for v in values.tolist()] for values in (torch.linspace(low, high, bins + 1), *shares)]
    return {**dict(zip(("edges", "real", "generated"), rows)), "n": [len(real), len(generated)]}
