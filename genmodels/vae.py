"""Variational autoencoder: an autoencoder whose latent codes follow a prior, so that new pictures can be sampled.

References: Kingma and Welling, Auto-encoding variational Bayes (2013), https://arxiv.org/abs/1312.6114; Rezende, Mohamed and
Wierstra, Stochastic backpropagation (2014), https://arxiv.org/abs/1401.4082. Burda, Grosse and Salakhutdinov, Importance
weighted autoencoders (2015), https://arxiv.org/abs/1509.00519, for the reported bound; Rybkin, Daniilidis and Levine, Simple
and effective VAE training with calibrated decoders (2021), https://arxiv.org/abs/2006.13202, for the learned noise level;
Khemakhem, Kingma, Monti and Hyvarinen, Variational autoencoders and nonlinear ICA (2020), https://arxiv.org/abs/1907.04809,
for latent codes that depend on labels; Hu et al., Disentangling factors of variation by mixing them (2018),
https://arxiv.org/abs/1711.07410, for swapping parts of codes between pictures.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from genmodels.autoencoder import Autoencoder
from genmodels.base import (
    PIXELS,
    CheckpointError,
    GenerativeModel,
    Likelihood,
    check_choice,
    check_number,
    checkpoint_folder,
    generator,
    randn_rows,
    random_seed,
    upcast,
)
from genmodels.data import change_attribute
from genmodels.layers import LabelEmbedding, ResidualBlock
from genmodels.messages import Message

# Weight of the squared distance between a mean code and the sum of its labels' vectors. The pixels count thousands of nats.
LABEL_WEIGHT = 300.0


class VAE(GenerativeModel):
    """The prior is p(z) = N(0, I); the decoder gives p(x | z), the encoder q(z | x) = N(mean(x), exp(log_var(x))).

    Trained on the evidence lower bound: log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z)). What it misses is exactly
    KL(q(z | x) || p(z | x)).

    Arguments:
        channels, size: pictures are (channels, size, size); size is divisible by 2 ** levels.
        latent: D, the dimension of the latent code.
        width: channels of the first convolution; each level doubles them.
        levels: how many times the encoder halves the resolution.
        hidden: units of the dense layer between convolutions and code.
        residual: number of residual blocks at the lowest resolution, in the encoder and in the decoder.
        likelihood: "bernoulli" for black and white pixels (training samples them from the grey values at every step:
            dynamic binarisation; Salakhutdinov and Murray 2008, https://doi.org/10.1145/1390156.1390266) or "gaussian" for
            greys and colours, with one learned sigma.
        beta: weight of the KL term in training (Higgins et al. 2017, https://openreview.net/forum?id=Sy2fzU9gl); reported
            bounds always use 1.
        values: the number of values of each labelled attribute. Training then also pulls the mean code towards a sum of
            one learned vector per value, so that an attribute can be changed by adding a difference of vectors. Empty:
            trained without labels. Encoder, decoder and bounds are the same in both cases.
    Shapes:
        x (B, C, H, W) in [0, 1]; z, mean, log_var (B, D).
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 28,
        latent: int = 40,
        width: int = 32,
        levels: int = 2,
        hidden: int = 256,
        residual: int = 0,
        likelihood: str = "bernoulli",
        beta: float = 1.0,
        values: list[int] = [],  # noqa: B006
    ):
        super().__init__()
        if size % 2**levels:
            raise ValueError(f"size must be divisible by {2**levels} (2 ** levels), not {size}.")
        self.channels, self.size, self.latent, self.beta = channels, size, latent, beta
        self.likelihood_name = check_choice("likelihood", likelihood, ("bernoulli", "gaussian"))
        widths = [channels] + [width * 2**i for i in range(levels)]  # from the picture to the lowest resolution
        lowest = (widths[-1], size // 2**levels, size // 2**levels)
        downsampling: list[nn.Module] = []
        upsampling: list[nn.Module] = []
        for i, (fine, coarse) in enumerate(zip(widths, widths[1:])):
            downsampling += [nn.Conv2d(fine, coarse, 4, 2, 1), nn.SiLU()]
            upsampling = [nn.ConvTranspose2d(coarse, fine, 4, 2, 1), *([nn.SiLU()] if i else []), *upsampling]
        self.encoder = nn.Sequential(
            *downsampling,
            *[ResidualBlock(widths[-1]) for _ in range(residual)],
            nn.Flatten(),
            nn.Linear(math.prod(lowest), hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, math.prod(lowest)),
            nn.SiLU(),
            nn.Unflatten(1, lowest),
            *[ResidualBlock(widths[-1]) for _ in range(residual)],
            *upsampling,
        )
        if self.likelihood_name == "gaussian":
            self.log_sigma = nn.Parameter(torch.tensor(-1.0))
        self.values = list(values)
        if self.values:
            self.answers = LabelEmbedding(values, latent)  # the name is a key of the shipped weights

    samples_pictures = True

    # --- the three distributions ---

    def prior(self) -> Normal:
        """p(z) = N(0, I) over (D,)."""
        return Normal(torch.zeros(self.latent, device=self.device), 1.0)

    def encode(self, x: Tensor) -> Normal:
        """q(z | x), a `torch.distributions.Normal` over (B, D). x: (B, C, H, W) in [0, 1]."""
        return self.posterior(self.check_pictures("x", x))

    def posterior(self, x: Tensor) -> Normal:
        """`encode` without the check of x, for training."""
        mean, log_var = upcast(self.encoder(x.to(self.dtype))).chunk(2, dim=1)  # (B, D) each
        # The clamp keeps sd between 0.001 and 55. NaN passes, so that training can name the loss that became NaN.
        return Normal(mean, torch.exp(0.5 * log_var.clamp(-14, 8)), validate_args=False)

    def likelihood(self, z: Tensor) -> Independent:
        """p(x | z), a distribution over (C, H, W) for each row of z (B, D)."""
        return self.pixel_distribution(self._decode(self.check_latents("z", z)))

    def _decode(self, z: Tensor) -> Tensor:
        return upcast(self.decoder(z.to(self.dtype)))

    def pixel_distribution(self, logits: Tensor) -> Independent:
        """p(x | z) from the decoder's output (B, C, H, W): `likelihood` without the check of z, for training."""
        if self.likelihood_name == "bernoulli":
            return Independent(Bernoulli(logits=logits, validate_args=False), 3)
        return Independent(Normal(torch.sigmoid(logits), upcast(self.log_sigma).clamp(-5, 2).exp(), validate_args=False), 3)

    # --- loss and bounds ---

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> dict[str, Tensor]:
        """batch: (x, y). Returns `loss` = beta KL - E log p(x | z), with one sample of z, and its terms, in nats per picture.

        With `values`, y (B, K) are the attributes, negative where hidden. `labels` is then the squared distance between the
        mean code and the sum of its attributes' vectors, weighted with `LABEL_WEIGHT`, and residuals (code minus that sum)
        are swapped between pictures.
        """
        x, y = self.on_device(batch)
        if self.likelihood_name == "bernoulli":
            x = torch.bernoulli(x)
        q = self.posterior(x)
        z = q.rsample()
        if self.values:
            residual = q.mean - self.answers(y)
            labels = residual.square().sum(1).mean()
            # Half of the pictures get the residual of their neighbour in the batch, so that the residual cannot carry
            # information about the attributes: it has to be in their vectors.
            swapped = (torch.rand(len(x), 1, device=x.device) < 0.5).to(residual)
            z = z + swapped * (residual.roll(1, 0) - residual)
        log_px = self.pixel_distribution(self._decode(z)).log_prob(x).mean()
        kl = kl_divergence(q, self.prior()).sum(1).mean()
        terms = {"loss": self.beta * kl - log_px, "reconstruction": -log_px.detach(), "kl": kl.detach()}
        if self.values:
            terms["loss"] = terms["loss"] + LABEL_WEIGHT * labels
            terms["labels"] = labels.detach()
        return terms

    def binarise(self, x: Tensor, seed: int | None = 0) -> Tensor:
        """Black and white pictures sampled from grey values, the same for the same seed. Shape and type of x."""
        return (torch.rand(x.shape, generator=generator(seed)).to(x.device) < x).to(x)

    def elbo(self, x: Tensor, seed: int | None = 0) -> tuple[Tensor, Tensor]:
        """(log p(x | z), KL) of each picture with one sample of z, (B,) each, in nats; their difference is the bound.

        For a "bernoulli" model and grey x, log p(x | z) is the mean over all binarisations of x, with z encoded from grey x.
        """
        x = self.check_pictures("x", x)
        q = self.posterior(x)
        noise = randn_rows(*q.mean.shape, g=generator(seed)).to(x)
        log_px = self.likelihood(q.mean + q.stddev * noise).log_prob(x)
        return log_px, kl_divergence(q, self.prior()).sum(1)

    def log_prob(self, x: Tensor, samples: int = 100, seed: int | None = 0, chunk: int = 512) -> Tensor:
        """The importance-weighted bound on log p(x), (B,) nats: log mean_k p(x, z_k) / q(z_k | x), k = 1 ... `samples`.

        It rises with `samples` towards log p(x); with one sample it is the ELBO. chunk: codes decoded at a time, for the
        processor's cache.
        """
        samples = check_number("samples", samples, 1, 100_000, whole=True)
        x = self.check_pictures("x", x)
        q, p = self.posterior(x), self.prior()
        g = generator(seed)
        rows = max(1, chunk // len(x))
        log_weights = []
        for first in range(0, samples, rows):
            k = min(rows, samples - first)
            # Each of the samples has a seed of its own: it depends neither on `chunk` nor on the other pictures.
            noise = torch.stack([randn_rows(*q.mean.shape, g=generator(random_seed(g))) for _ in range(k)]).to(q.mean)
            z = q.mean + q.stddev * noise  # (K, B, D)
            log_px = self._log_px(z, x)  # (K, B)
            log_weights.append(log_px + (p.log_prob(z) - q.log_prob(z)).sum(2))
        return torch.logsumexp(torch.cat(log_weights), 0) - math.log(samples)

    def pixel_likelihood(self, x: Tensor, label: Tensor | None = None) -> Likelihood:
        """The ELBO with one sample of z: of binarised pixels, or of 8-bit ones as continuous values with uniform noise."""
        x = self.check_pictures("x", x)
        if self.likelihood_name == "bernoulli":
            log_px, kl = self.elbo(self.binarise(x))
            return Likelihood("lower bound", log_px - kl, Message("binarised pixels: not comparable with 8-bit ones"))
        noise = torch.rand(x.shape, generator=generator(0)).to(x)
        log_px, kl = self.elbo(((255 * x).round() + noise) / 256)
        return Likelihood("lower bound", log_px - kl - x[0].numel() * math.log(256), PIXELS)

    def _log_px(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) for z (K, B, D) and x (B, C, H, W): (K, B)."""
        p = self.likelihood(z.flatten(0, 1))
        return p.log_prob(x.expand(len(z), *x.shape).flatten(0, 1)).view(len(z), len(x))

    # --- pictures ---

    def decode(self, z: Tensor) -> Tensor:
        """The mean picture of each code: (B, D) -> (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self._decode(self.check_latents("z", z)))

    def sample_latents(
        self, n: int, *, label: Tensor | None = None, seed: int | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Latent codes (n, D) of new pictures, from the prior; with labels (n, K), from a Gaussian around their vectors' sum.

        label: int64, for a model trained with `values`; negative where hidden. The Gaussian's variance is
        1 / (2 `LABEL_WEIGHT`): the label term of the loss is its negative log-density, up to a constant.
        temperature: 0 to 2, multiplies the noise.
        """
        n = check_number("n", n, 1, 4096, whole=True)
        z = randn_rows(n, self.latent, g=generator(seed)) * check_number("temperature", temperature, 0, 2)
        if label is None:
            return z.to(self.device)
        if not self.values:
            raise ValueError("label must be None for this model.")
        limits = torch.tensor(self.values, dtype=torch.int64)
        fits = isinstance(label, torch.Tensor) and label.dtype == torch.int64 and label.shape == (n, len(limits))
        if not fits or bool((label.cpu() >= limits).any()):
            raise ValueError(f"label must be an int64 tensor ({n}, {len(limits)}) with values under {self.values}.")
        with torch.no_grad():
            return upcast(self.answers(label.to(self.device))) + (z / math.sqrt(2 * LABEL_WEIGHT)).to(self.device)

    def sample(self, n: int, *, label: Tensor | None = None, seed: int | None = None, temperature: float = 1.0) -> Tensor:
        """n new pictures, (n, C, H, W) in [0, 1]: decoded from `sample_latents`, which has the same arguments."""
        with torch.no_grad():
            return self.decode(self.sample_latents(n, label=label, seed=seed, temperature=temperature))

    rebuilds = Message("Encoded, and the mean of its code decoded.")

    def rebuild_steps(self, x: Tensor, *, seed: int | None = 0) -> Iterator[Tensor]:
        with torch.no_grad():
            yield self.reconstruct(x)

    def path(self, start: Tensor, end: Tensor, steps: int, *, seed: int | None = 0) -> Tensor:
        """Spherical, between the means of the codes."""
        with torch.no_grad():
            first, last = self.encode(torch.cat([start, end])).mean
            return self.decode(interpolate(first, last, steps))

    def reconstruct(self, x: Tensor) -> Tensor:
        """decode(mean code of x): (B, C, H, W) -> (B, C, H, W)."""
        return self.decode(self.encode(x).mean)


def interpolate(z0: Tensor, z1: Tensor, steps: int, spherical: bool = True) -> Tensor:
    """Interpolated codes from z0 to z1, both included: (D,), (D,) -> (steps, D).

    Linear interpolation leaves the shell of radius about sqrt(D) where a Gaussian prior has its mass. Spherical interpolation
    (White, Sampling generative networks, 2016, https://arxiv.org/abs/1609.04468) rotates at a constant rate and changes the
    length linearly.
    """
    steps = check_number("steps", steps, 2, 256, whole=True)
    if not all(isinstance(z, torch.Tensor) and z.ndim == 1 and z.is_floating_point() for z in (z0, z1)) or len(z0) != len(z1):
        raise ValueError("z0 and z1 must be two float tensors (D,) of the same length.")
    t = torch.linspace(0, 1, steps, dtype=z0.dtype, device=z0.device)[:, None]
    r0, r1 = z0.norm(), z1.norm()
    if spherical and r0 > 0 and r1 > 0:
        u0, u1 = z0 / r0, z1 / r1
        omega = 2 * torch.atan2((u0 - u1).norm(), (u0 + u1).norm())  # acos(u0 . u1) is inaccurate near 0 and pi
        if 1e-4 < omega < math.pi - 1e-4:  # else the path is straight anyway, or the plane of rotation is undefined
            direction = (torch.sin((1 - t) * omega) * u0 + torch.sin(t * omega) * u1) / torch.sin(omega)
            return direction * ((1 - t) * r0 + t * r1)
    return (1 - t) * z0 + t * z1


# --- statistics of a trained model's codes ---


class Latents(NamedTuple):
    """Statistics of the training pictures' codes, stored beside the weights in `latents.safetensors`.

    kl: (D,) mean KL of each dimension, which says how much the model uses it.
    mean, std: (D,) of the mean codes.
    values: attribute -> value -> (D,) vector. A picture's code is approximately the sum of the vectors of its values. A model
        trained with `values` learned them; otherwise they are fitted by least squares. Digits and clothes have only the
        attribute "class", whose vectors are the mean codes of the classes.
    """

    kl: Tensor
    mean: Tensor
    std: Tensor
    values: dict[str, dict[str, Tensor]]

    def move(self, z: Tensor, attribute: str, source: str, target: str, amount: float = 1.0) -> Tensor:
        """z (B, D) moved from value `source` of an attribute towards value `target` by the difference of their vectors.

        Larsen et al., Autoencoding beyond pixels (2016), https://arxiv.org/abs/1512.09300. amount: -3 to 3; 0 leaves z
        unchanged, 1 adds the full difference.
        """
        values = self.values[check_choice("attribute", attribute, list(self.values))]
        name = Message("value of {attribute}", attribute=attribute)
        step = values[check_choice(name, target, list(values))] - values[check_choice(name, source, list(values))]
        return z + check_number("amount", amount, -3, 3) * step.to(z)

    def change(self, z: Tensor, before: dict[str, str], after: dict[str, str], amount: float = 1.0) -> Tensor:
        """`move` along every attribute whose value in `before` differs from that in `after`, where both have a vector."""
        for attribute, vectors in self.values.items():
            source, target = before.get(attribute), after.get(attribute)
            if source != target and source in vectors and target in vectors:
                z = self.move(z, attribute, source, target, amount)
        return z


def measure_latents(vae: VAE, x: Tensor, y: Tensor, names: dict[str, list[str]]) -> Latents:
    """`Latents` of a model from pictures x (N, C, H, W) uint8 and labels y (N,) or (N, K), -1 where an attribute is hidden.

    names: attribute -> names of its values, in the order of y's columns.
    """
    with torch.no_grad():
        posteriors = [vae.encode(part.float() / 255) for part in x.split(512)]
        mean = torch.cat([q.mean for q in posteriors]).cpu()
        kl = torch.cat([kl_divergence(q, vae.prior()) for q in posteriors]).mean(0).cpu()
    y = y.cpu()
    value_names = [[*attribute_values, "hidden"] for attribute_values in names.values()]
    counts = [len(attribute_values) for attribute_values in value_names]
    one_hot = torch.cat(
        [
            F.one_hot(column.where(column >= 0, torch.tensor(count - 1)), count)
            for column, count in zip(y.view(len(y), -1).T, counts)
        ],
        1,
    ).double()  # (N, all values)
    if vae.values:
        vectors = torch.cat(list(vae.answers.parameters())).detach().cpu()
    else:
        # Least squares over all attributes at once: the effect of a value while the others stay fixed, not of values that
        # tend to occur together with it.
        vectors = torch.linalg.pinv(one_hot.T @ one_hot, hermitian=True) @ (one_hot.T @ mean.double())
    occurs = one_hot.any(0)  # a value that no picture has gets no vector
    values = {}
    for attribute, attribute_values, rows, present in zip(
        names, value_names, vectors.float().split(counts), occurs.split(counts)
    ):
        values[attribute] = {value: row for value, row, has in zip(attribute_values, rows, present) if has}
    return Latents(kl, mean.mean(0), mean.std(0), values)


def save_latents(latents: Latents, folder: Path | str) -> None:
    """Write `latents.safetensors` into a checkpoint's folder."""
    tensors = {"kl": latents.kl, "mean": latents.mean, "std": latents.std}
    for attribute, vectors in latents.values.items():
        tensors |= {f"{attribute}/{value}": vector for value, vector in vectors.items()}
    save_file(tensors, str(Path(folder) / "latents.safetensors"))


def load_latents(name_or_path: Path | str) -> Latents:
    """The `Latents` of a checkpoint, by name or folder."""
    file = checkpoint_folder(name_or_path) / "latents.safetensors"
    try:
        tensors = load_file(file)
        kl, mean, std = (tensors.pop(k) for k in ("kl", "mean", "std"))
    except (OSError, SafetensorError, KeyError) as e:
        raise CheckpointError(
            Message("{file} is missing or broken ({reason}): copy the whole checkpoint folder.", file=file, reason=str(e))
        ) from e
    values: dict[str, dict[str, Tensor]] = {}
    for key, vector in tensors.items():
        attribute, _, value = key.partition("/")
        values.setdefault(attribute, {})[value] = vector
    return Latents(kl, mean, std, values)


# --- what a code says of a picture, and where codes lie ---


def encoding_stats(vae: VAE, x: Tensor) -> dict[str, float]:
    """Numbers about the encoding of one picture (1, C, H, W): squared error per pixel, KL and ELBO in nats."""
    log_px, kl = vae.elbo(x)
    return {"squared_error": float((vae.reconstruct(x) - x).square().mean()), "kl": float(kl), "elbo": float(log_px - kl)}


def map_codes(model: VAE | Autoencoder, x: Tensor, cells: int) -> tuple[Tensor, Tensor, dict[str, float]]:
    """A map of all codes of two numbers, for a model with such codes.

    Returns:
        The decoded pictures of cells x cells codes, row by row from the top; the codes (N, 2) of pictures x; and the bounds of
        the map, x0, x1, y0 and y1. It is centred for a VAE; the codes of an autoencoder may have any centre and scale.
    """
    if isinstance(model, VAE):
        z = model.encode(x).mean
        edge = max(3.0, z.abs().quantile(0.99).item())
        x0, x1, y0, y1 = -edge, edge, -edge, edge
    else:
        z = model.encode(x)
        low, high = z.quantile(0.02, 0), z.quantile(0.98, 0)
        (x0, y0), (x1, y1) = (low - 0.2 * (high - low)).tolist(), (high + 0.2 * (high - low)).tolist()
    centers = torch.linspace(0.5, cells - 0.5, cells) / cells
    v, u = torch.meshgrid(centers, centers, indexing="ij")
    codes = torch.stack([x0 + u.flatten() * (x1 - x0), y1 - v.flatten() * (y1 - y0)], 1)  # y points up
    return model.decode(codes), z, {"x0": x0, "x1": x1, "y0": y0, "y1": y1}


def edit(latents: Latents, z: Tensor, values: dict[str, str], attribute: str, target: str, amount: float) -> Tensor:
    """The codes z (1, D) of a picture with these attributes, moved so that at amount 1 one of them becomes the target.

    For faces, what follows from the change changes too, see `data.change_attribute`. amount: -3 to 3.
    """
    vectors = latents.values[check_choice("attribute", attribute, list(latents.values))]
    name = Message("target: value of {attribute}", attribute=attribute)
    check_choice(name, target, [value for value in vectors if value != "hidden"])
    after = {"class": target} if attribute == "class" else change_attribute(values, attribute, target)
    return latents.change(z, values, after, amount)
