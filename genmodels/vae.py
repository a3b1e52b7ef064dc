"""Variational autoencoder: a code with a prior, so that new pictures can be drawn from noise.

References: Kingma and Welling, Auto-encoding variational Bayes (2013); Rezende, Mohamed and Wierstra, Stochastic
backpropagation (2014). Burda, Grosse and Salakhutdinov, Importance weighted autoencoders (2015), for the bound that is
reported; Rybkin, Daniilidis and Levine, Simple and effective VAE training with calibrated decoders (2021), for the learned
noise level; Khemakhem, Kingma, Monti and Hyvarinen, Variational autoencoders and nonlinear ICA (2020), for codes that labels
tell apart; Hu et al., Disentangling factors of variation by mixing them (2018), for exchanged parts of codes.
"""

import math
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from genmodels.autoencoder import check_latents
from genmodels.base import (
    CheckpointError,
    GenerativeModel,
    check_choice,
    check_number,
    check_pictures,
    checkpoint_folder,
    generator,
)
from genmodels.layers import LabelEmbedding, ResidualBlock

LABELS = 300.0  # weight of a code's squared distance from what its labels say, against the thousands of nats of the pixels


class VAE(GenerativeModel):
    """p(z) = N(0, I), p(x | z) drawn by the decoder, q(z | x) = N(mean(x), exp(log_var(x))) by the encoder.

    Trained on the evidence lower bound: log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z)).

    Arguments:
        channels, size: of the pictures, which are (channels, size, size); size is divisible by 2 ** levels.
        latent: D, how many numbers the code has.
        width: channels of the first convolution; each level doubles them.
        levels: how often the encoder halves the picture.
        hidden: units of the dense layer between convolutions and code.
        residual: residual blocks at the lowest resolution, in encoder and decoder each.
        likelihood: "bernoulli" for pixels that are black or white (training draws them anew from the greys at every step:
            dynamic binarisation; Salakhutdinov and Murray 2008) or "gaussian" for greys and colours, with one learned sigma.
        beta: weight of the KL term in training (Higgins et al. 2017); reported bounds always use 1.
        values: how many values each labelled attribute has; training then also draws the mean code towards a sum of one
            vector a value, so that an attribute can be changed by a difference of vectors. Empty: trained without labels.
            Encoder, decoder and bounds are the same either way.
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
        self.family = check_choice("likelihood", likelihood, ("bernoulli", "gaussian"))
        widths = [channels] + [width * 2**i for i in range(levels)]  # from the picture down
        low = (widths[-1], size // 2**levels, size // 2**levels)
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for i, (above, below) in enumerate(zip(widths, widths[1:])):
            down += [nn.Conv2d(above, below, 4, 2, 1), nn.SiLU()]
            up = [nn.ConvTranspose2d(below, above, 4, 2, 1), *([nn.SiLU()] if i else []), *up]
        self.encoder = nn.Sequential(
            *down,
            *[ResidualBlock(widths[-1]) for _ in range(residual)],
            nn.Flatten(),
            nn.Linear(math.prod(low), hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2 * latent),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, math.prod(low)),
            nn.SiLU(),
            nn.Unflatten(1, low),
            *[ResidualBlock(widths[-1]) for _ in range(residual)],
            *up,
        )
        if self.family == "gaussian":
            self.log_sigma = nn.Parameter(torch.tensor(-1.0))
        self.values = list(values)
        if self.values:
            self.answers = LabelEmbedding(values, latent)

    # --- the three distributions ---

    def prior(self) -> Normal:
        """p(z) = N(0, I) over (D,)."""
        return Normal(torch.zeros(self.latent, device=self.device), 1.0)

    def encode(self, x: Tensor) -> Normal:
        """q(z | x), a `torch.distributions.Normal` over (B, D). x: (B, C, H, W) in [0, 1]."""
        return self.posterior(check_pictures("x", x, self.channels, self.size))

    def posterior(self, x: Tensor) -> Normal:
        """`encode` without the check of x, for training."""
        mean, log_var = self.encoder(x).float().chunk(2, dim=1)  # (B, D) each; 32-bit even where autocast ran the layers
        # sd from 0.001 to 55: never 0, never infinite. NaN passes, so that training can name the loss that broke.
        return Normal(mean, torch.exp(0.5 * log_var.clamp(-14, 8)), validate_args=False)

    def likelihood(self, z: Tensor) -> Independent:
        """p(x | z), a distribution over (C, H, W) for each row of z (B, D)."""
        return self.pixels(self.decoder(check_latents(z, self.latent)))

    def pixels(self, logits: Tensor) -> Independent:
        """p(x | z) from what the decoder says of z, for training."""
        logits = logits.float()
        if self.family == "bernoulli":
            return Independent(Bernoulli(logits=logits, validate_args=False), 3)
        return Independent(Normal(torch.sigmoid(logits), self.log_sigma.clamp(-5, 2).exp(), validate_args=False), 3)

    # --- training and measuring ---

    def loss(self, batch: tuple[Tensor, Tensor | None]) -> dict[str, Tensor]:
        """batch: (x, y). Returns `loss` = beta KL - E log p(x | z), with one draw of z, and its terms, in nats a picture.

        With `values`, y (B, K) are the attributes, negative where hidden; `labels` is how far the mean code is from their
        sum of vectors, squared, and counts `LABELS` times; what is left of the codes is exchanged between pictures.
        """
        x, y = batch
        if self.family == "bernoulli":
            x = torch.bernoulli(x)
        q = self.posterior(x)
        z = q.rsample()
        if self.values:
            told = self.answers(y)
            rest = q.mean - told
            labels = rest.square().sum(1).mean()
            # Half of the pictures get the rest of their neighbour: what labels say must be in their vectors, and only there.
            swapped = (torch.rand(len(x), 1, device=x.device) < 0.5).to(rest)
            z = z + swapped * (rest.roll(1, 0) - rest)
        log_px = self.pixels(self.decoder(z)).log_prob(x).mean()
        kl = kl_divergence(q, self.prior()).sum(1).mean()
        terms = {"loss": self.beta * kl - log_px, "reconstruction": -log_px.detach(), "kl": kl.detach()}
        if self.values:
            terms["loss"] = terms["loss"] + LABELS * labels
            terms["labels"] = labels.detach()
        return terms

    def binarise(self, x: Tensor, seed: int | None = 0) -> Tensor:
        """Black and white pictures drawn from the greys, the same for the same seed. Shape and type of x."""
        return (torch.rand(x.shape, generator=generator(seed)).to(x) < x).to(x)

    def elbo(self, x: Tensor, seed: int | None = 0) -> tuple[Tensor, Tensor]:
        """(log p(x | z), KL) of each picture with one draw of z, (B,) each, in nats; their difference is the bound.

        For a "bernoulli" model and grey x, log p(x | z) is its mean over all binarisations of x (given the code of the greys).
        """
        x = check_pictures("x", x, self.channels, self.size)
        q = self.posterior(x)
        noise = torch.randn(q.mean.shape, generator=generator(seed)).to(x)
        log_px = self.likelihood(q.mean + q.stddev * noise).log_prob(x)
        return log_px, kl_divergence(q, self.prior()).sum(1)

    def log_prob(self, x: Tensor, samples: int = 100, seed: int | None = 0, chunk: int = 512) -> Tensor:
        """The importance-weighted bound on log p(x), (B,) nats: log mean_k p(x, z_k) / q(z_k | x), with `samples` draws of z.

        Rises with `samples` towards log p(x); with one it is the ELBO. chunk: decoder calls at a time, for the cache.
        """
        samples = check_number("samples", samples, 1, 100_000, whole=True)
        x = check_pictures("x", x, self.channels, self.size)
        q, g, p = self.posterior(x), generator(seed), self.prior()
        rows, terms = max(1, chunk // len(x)), []
        for first in range(0, samples, rows):
            k = min(rows, samples - first)
            # one draw at a time: torch's stream depends on how many numbers are asked for at once, the result must not
            noise = torch.stack([torch.randn(q.mean.shape, generator=g) for _ in range(k)]).to(q.mean)
            z = q.mean + q.stddev * noise  # (K, B, D)
            log_px = self._log_px(z, x)  # (K, B)
            terms.append(log_px + (p.log_prob(z) - q.log_prob(z)).sum(2))
        return torch.logsumexp(torch.cat(terms), 0) - math.log(samples)

    def _log_px(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) for z (K, B, D) and x (B, C, H, W): (K, B)."""
        flat = self.likelihood(z.flatten(0, 1))
        return flat.log_prob(x.expand(len(z), *x.shape).flatten(0, 1)).view(len(z), len(x))

    # --- pictures ---

    def decode(self, z: Tensor) -> Tensor:
        """The mean picture of each code: (B, D) -> (B, C, H, W) in [0, 1]."""
        return torch.sigmoid(self.decoder(check_latents(z, self.latent)))

    def codes(self, n: int, *, label: Tensor | None = None, seed: int | None = None, temperature: float = 1.0) -> Tensor:
        """Codes (n, D) of new pictures: from the prior, or, with labels (n, K), from around the sum of their vectors.

        label: for a model trained with `values`, negative where hidden. `LABELS` says how far codes lie from their sum: the
        term of the loss is the logarithm of a Gaussian. temperature: 0 to 2, times the noise.
        """
        n = check_number("n", n, 1, 4096, whole=True)
        z = torch.randn(n, self.latent, generator=generator(seed)) * check_number("temperature", temperature, 0, 2)
        if label is None:
            return z.to(self.device)
        most = torch.tensor(self.values, dtype=torch.int64)
        fits = isinstance(label, torch.Tensor) and label.dtype == torch.int64 and label.shape == (n, len(most))
        if not self.values or not fits or bool((label.cpu() >= most).any()):
            tensor = f"an int64 tensor ({n}, {len(most)}) with values under {self.values}"
            raise ValueError(f"label must be {tensor if self.values else 'None for this model'}.")
        with torch.no_grad():
            return self.answers(label.to(self.device)) + (z / math.sqrt(2 * LABELS)).to(self.device)

    def sample(self, n: int, *, label: Tensor | None = None, seed: int | None = None, temperature: float = 1.0) -> Tensor:
        """n new pictures, (n, C, H, W) in [0, 1]: the mean pictures of `codes`, which has the same arguments."""
        with torch.inference_mode():
            return self.decode(self.codes(n, label=label, seed=seed, temperature=temperature))

    def reconstruct(self, x: Tensor) -> Tensor:
        """decode(mean code of x): (B, C, H, W) -> (B, C, H, W)."""
        return self.decode(self.encode(x).mean)


def interpolate(z0: Tensor, z1: Tensor, steps: int, spherical: bool = True) -> Tensor:
    """Codes on the way from z0 to z1, both included: (D,), (D,) -> (steps, D).

    A straight line leaves the shell of radius about sqrt(D) where a Gaussian prior puts its codes; the spherical way
    (White, Sampling generative networks, 2016) turns the direction at a steady rate and changes the length linearly.
    """
    steps = check_number("steps", steps, 2, 256, whole=True)
    if not all(isinstance(z, torch.Tensor) and z.ndim == 1 and z.is_floating_point() for z in (z0, z1)) or len(z0) != len(z1):
        raise ValueError("z0 and z1 must be two float tensors (D,) of the same length.")
    t = torch.linspace(0, 1, steps, dtype=z0.dtype, device=z0.device)[:, None]
    r0, r1 = z0.norm(), z1.norm()
    if spherical and r0 > 0 and r1 > 0:
        u0, u1 = z0 / r0, z1 / r1
        omega = 2 * torch.atan2((u0 - u1).norm(), (u0 + u1).norm())  # acos(u0 u1) is blind near 0 and pi
        if 1e-4 < omega < math.pi - 1e-4:  # else all ways are straight, or none is shortest
            direction = (torch.sin((1 - t) * omega) * u0 + torch.sin(t * omega) * u1) / torch.sin(omega)
            return direction * ((1 - t) * r0 + t * r1)
    return (1 - t) * z0 + t * z1


# --- what was measured about a trained model's codes ---


class Latents(NamedTuple):
    """Facts about the codes of the training pictures, kept beside the weights in `latents.safetensors`.

    kl: (D,) mean KL of each dimension, how much the model uses it; mean, std: (D,) of the codes;
    values: attribute -> value -> (D,) vector; the code of a picture is, as nearly as can be, the sum of those of its values.
        A model trained with `values` learnt them. Digits and clothes have only "class": the mean codes of the classes.
    """

    kl: Tensor
    mean: Tensor
    std: Tensor
    values: dict[str, dict[str, Tensor]]

    def move(self, z: Tensor, attribute: str, source: str, target: str, amount: float = 1.0) -> Tensor:
        """z (B, D) moved from value `source` of an attribute towards value `target` by the difference of their vectors.

        Larsen et al., Autoencoding beyond pixels (2015). amount: -3 to 3; 0 leaves z as it is, 1 goes the whole way.
        """
        values = self.values[check_choice("attribute", attribute, list(self.values))]
        step = (
            values[check_choice(f"value of {attribute}", target, list(values))]
            - values[check_choice(f"value of {attribute}", source, list(values))]
        )
        return z + check_number("amount", amount, -3, 3) * step

    def change(self, z: Tensor, before: dict[str, str], after: dict[str, str], amount: float = 1.0) -> Tensor:
        """`move` along all attributes whose values in the dict `before` differ from those in `after`, where both are known."""
        for attribute, known in self.values.items():
            source, target = before.get(attribute), after.get(attribute)
            if source != target and source in known and target in known:
                z = self.move(z, attribute, source, target, amount)
        return z


def measure_latents(vae: VAE, x: Tensor, y: Tensor, names: dict[str, list[str]]) -> Latents:
    """`Latents` of a model from pictures x (N, C, H, W) uint8 and labels y (N,) or (N, K), -1 where an attribute is hidden.

    names: attribute -> names of its values, in the order of y's columns.
    """
    with torch.inference_mode():
        posteriors = [vae.encode(part.float() / 255) for part in x.split(512)]
    mean = torch.cat([q.mean for q in posteriors])
    kl = torch.cat([kl_divergence(q, vae.prior()) for q in posteriors]).mean(0)
    labels = [[*of, "hidden"] for of in names.values()]
    given = torch.cat(
        [
            F.one_hot(column.where(column >= 0, torch.tensor(len(of) - 1)), len(of))
            for column, of in zip(y.view(len(y), -1).T, labels)
        ],
        1,
    ).double()  # (N, all values)
    if vae.values:
        vectors = torch.cat(list(vae.answers.parameters()))
    else:  # all at once by least squares: the difference that a value makes while the others stay, not what comes with it
        vectors = torch.linalg.pinv(given.T @ given, hermitian=True) @ (given.T @ mean.double())
    values, seen = {}, given.any(0)
    for attribute, of, rows, there in zip(
        names, labels, vectors.float().split([*map(len, labels)]), seen.split([*map(len, labels)])
    ):
        values[attribute] = {v: row for v, row, known in zip(of, rows, there) if known}
    return Latents(kl, mean.mean(0), mean.std(0), values)


def save_latents(latents: Latents, folder: Path | str) -> None:
    """Write `latents.safetensors` into a checkpoint's folder."""
    flat = {f"{a}/{v}": code for a, of in latents.values.items() for v, code in of.items()}
    save_file({"kl": latents.kl, "mean": latents.mean, "std": latents.std, **flat}, str(Path(folder) / "latents.safetensors"))


def load_latents(name_or_path: Path | str) -> Latents:
    """The `Latents` of a checkpoint, by name or folder."""
    file = checkpoint_folder(name_or_path) / "latents.safetensors"
    try:
        tensors = load_file(file)
        kl, mean, std = (tensors.pop(k) for k in ("kl", "mean", "std"))
    except (OSError, SafetensorError, KeyError) as e:
        raise CheckpointError(f"{file} is missing or broken ({e}): copy the whole checkpoint folder.") from e
    values: dict[str, dict[str, Tensor]] = {}
    for key, code in tensors.items():
        attribute, _, value = key.partition("/")
        values.setdefault(attribute, {})[value] = code
    return Latents(kl, mean, std, values)
