"""Variational autoencoders.

python -m train.vae --dataset mnist                25 minutes on two idle cores: 84 nats (1,000 importance samples)
python -m train.vae --dataset fashion              10 minutes on two idle cores: test PSNR 23 dB
python -m train.vae --dataset avatars              60 minutes on two idle cores: test PSNR 32 dB
python -m train.vae --dataset mnist --latent 2     4 minutes each (also fashion), for the page's map: vae-mnist-2d
python -m train.vae --dataset folder --data-dir my/pictures     10 minutes, your own pictures: see train/folder.py
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

import genmodels as gm
from genmodels import data, metrics
from genmodels.base import check_number
from genmodels.vae import VAE, measure_latents, save_latents
from train import attributes, engine, folder, measures
from train.cards import Card, Checkpoint, Value

MODEL = {
    "mnist": dict(latent=40, width=32, hidden=256, likelihood="bernoulli"),
    "fashion": dict(latent=64, width=32, hidden=256, likelihood="gaussian"),
    "avatars": dict(
        channels=3,
        size=64,
        latent=128,
        width=32,
        levels=4,
        hidden=384,
        likelihood="gaussian",
        values=[len(names) for names in data.ATTRIBUTES.values()],
    ),
}
MODEL_2D = dict(latent=2, width=16, hidden=256, likelihood="bernoulli")
MINUTES = {"mnist": 25, "fashion": 10, "avatars": 60}
# On greys and colours sigma is learned, which by itself balances reconstruction against KL (Rybkin et al. 2021). That gives
# good reconstructions, but the codes carry so much information that samples from the prior suffer. With beta 2 for clothes
# the FID of 5,000 prior samples to the validation split fell from 29.0 to 26.8, and PSNR stayed at 23.4 dB. Not for faces:
# with beta 4 the noise of the codes hid the eyebrows, which the classifier then read correctly from 75 % of reconstructions.
BETA = {"mnist": 1.0, "fashion": 2.0, "avatars": 1.0}


def recipe(
    settings: engine.Settings,
    dataset: str = "mnist",
    latent: int | None = None,
    beta: float | None = None,
    size: folder.Size = None,
    name: folder.Name = None,
) -> engine.Recipe:
    """Train the VAE on `mnist`, `fashion`, `avatars` or a `folder` of your own pictures; with --latent 2 the one with
    two-dimensional codes."""
    data.check_choice("--dataset", dataset, (*data.DATASETS, "folder"))
    if latent not in (None, 2) or (latent == 2 and dataset not in data.CLASSES):
        raise ValueError("--latent must be 2 (mnist or fashion only), or not given.")
    default_beta = 1.0 if latent == 2 else BETA.get(dataset, 1.0)
    beta = default_beta if beta is None else check_number("--beta", beta, 0.01, 100)
    own = folder.of_options(dataset, settings.data_dir, size, name, "vae")
    if own:
        model = VAE(**own.options("vae"), likelihood="gaussian", beta=beta)
        val, train = own.val, own.train
    else:
        model = VAE(**(MODEL_2D if latent == 2 else MODEL[dataset]), beta=beta)
        val = data.load(dataset, "val", settings.data_dir)
        train = data.load(dataset, "train", settings.data_dir)

    def validate(model):
        terms = []
        for x, _ in measures.batches(model, val):
            mse = (model.reconstruct(x) - x).square().flatten(1).mean(1)
            log_px, kl = model.elbo(model.binarise(x) if model.likelihood_name == "bernoulli" else x)
            terms.append(torch.stack([log_px, kl, mse]))
        log_px, kl, mse = torch.cat(terms, 1).mean(1)
        return {"loss": model.beta * kl - log_px, "elbo": log_px - kl, "kl": kl, "psnr": -10 * mse.log10()}

    def samples(model):  # four rows of pictures, each above its reconstruction, then four rows of prior samples
        x = val[torch.arange(32) % len(val)].floats().to(model.device)
        pairs = torch.stack([x, model.reconstruct(x)], 1).view(4, 8, 2, *x.shape[1:]).transpose(1, 2).flatten(0, 2)
        return torch.cat([pairs, model.sample(32, seed=0)])

    def finish(model, folder):
        names = data.ATTRIBUTES if dataset == "avatars" else {"class": own.classes if own else data.CLASSES[dataset]}
        save_latents(measure_latents(model, train.x, train.y, names), folder)
        if own:
            own.save(folder)

    return engine.Recipe(
        name=f"vae-{own.name if own else dataset}" + ("-2d" if latent == 2 else ""),
        model=model,
        train=train,
        validate=validate,
        samples=samples,
        optimizers=[engine.OptimizerConfig(lr=6e-4 if dataset == "avatars" else 1e-3)],
        batch=32 if dataset == "avatars" else 64 if own else 128,
        minutes=4 if latent == 2 else MINUTES.get(dataset, 10),
        clip=200.0,
        finish=finish,
        after=own and own.write_card,
    )


# --- Evaluation -----------------------------------------------------------------------------------------------------

ELBO_NOTE = (
    "ELBO: log p(x | z) minus the KL term, with one sample of z per picture; a lower bound on log p(x), below it by "
    "KL(q(z | x) || p(z | x))."
)
NLL_NOTE = (
    "Negative log-likelihood: the importance-weighted bound ([Burda et al. 2015](https://arxiv.org/abs/1509.00519)); "
    "what it gains over the ELBO is the least that the encoder's approximation costs. Pixels are binarised at random, white "
    "with the probability of their grey level, once for the whole measurement."
)
PSNR_NOTE = "PSNR and SSIM: of decode(mean code) against the picture, which is in grey or in colour."


@dataclass
class Options(measures.Options):
    """How the likelihood is measured."""

    samples: Annotated[int, typer.Option(help="Importance samples per picture, for the likelihood.")] = 1000

    def __post_init__(self):
        check_number("--samples", self.samples, 1, 100_000, whole=True)


def evaluate(evaluation: measures.Evaluation, options: Options) -> measures.Evaluator:
    """Likelihood, reconstructions, prior samples; the latent map of a 2-D code; edits of attributes on faces."""
    model = evaluation.model
    headline = yield from likelihood(evaluation, options.samples)
    psnr = yield from measures.reconstruction_quality(evaluation)
    fid = yield from prior_samples(evaluation)
    if model.latent == 2:
        codes = evaluation.map_batches(lambda part: model.encode(part).mean, evaluation.data.x)
        yield from measures.classes_on_latent_map(evaluation, codes)
    if evaluation.dataset == "avatars":
        yield from attributes.evaluate(evaluation)
    return headline if model.likelihood_name == "bernoulli" else f"{psnr}, {headline}, {fid}"


def likelihood(evaluation: measures.Evaluation, samples: int) -> measures.Evaluator:
    """ELBO, KL, bits; of binary pixels also the importance-weighted likelihood. Returns a headline."""
    model, x, dims = evaluation.model, evaluation.data.floats(), evaluation.data.x[0].numel()
    binary = model.likelihood_name == "bernoulli"
    if binary:
        x = model.binarise(x, evaluation.seed)
    pixels = f"pixels binarised at random, seed {evaluation.seed}" if binary else "a density over values in [0, 1]"
    log_px, kl = elbo_terms(evaluation, x)
    elbo = Value("elbo", "ELBO, nats per picture", (log_px - kl).mean().item(), comparison=pixels, seeded=True)
    yield elbo
    mean_kl = Value("kl", "mean KL of the codes, nats", kl.mean().item(), comparison="0: the code carries no information")
    yield mean_kl
    kl_per_dimension = evaluation.map_batches(
        lambda part: torch.distributions.kl_divergence(model.encode(part), model.prior()), x
    ).mean(0)
    yield Value(
        "active_units",
        "active code dimensions, with a mean KL over 0.01 nats",
        (kl_per_dimension > 0.01).sum().item(),
        comparison=f"of {model.latent}",
    )
    if not binary:
        noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(evaluation.seed))
        log_px, kl = elbo_terms(evaluation, (evaluation.data.x + noise) / 256)
        bits = metrics.bits_per_dim(log_px - kl, dims, levels=256)
        yield Value(
            "bits_per_dim",
            "bits per value, upper bound",
            bits.mean().item(),
            comparison="ELBO of 8-bit values with uniform noise; 8: no model",
            seeded=True,
        )
        return f"KL {mean_kl} nats"
    if model.latent == 2:
        return f"ELBO {elbo} nats"
    log_p = importance_weighted(evaluation, x, samples)
    nll = Value(
        "nll",
        f"negative log-likelihood, nats, {samples:,} importance samples",
        -log_p.mean().item(),
        comparison=pixels,
        seeded=True,
    )
    yield nll
    yield Value(
        "bits_per_dim",
        "the same in bits per pixel",
        metrics.bits_per_dim(log_p, dims).mean().item(),
        comparison="1: a fair coin for each pixel",
        seeded=True,
    )
    return f"NLL {nll} nats ({samples:,} importance samples)"


def elbo_terms(evaluation: measures.Evaluation, x: torch.Tensor, batch: int = 500) -> tuple[torch.Tensor, ...]:
    """(log p(x | z), KL) of each picture, (N,) float64 each."""
    # another seed for each batch: the noise must differ
    terms = [evaluation.model.elbo(part, evaluation.seed + i) for i, part in enumerate(x.split(batch))]
    return tuple(torch.cat(term).double() for term in zip(*terms))


def importance_weighted(evaluation: measures.Evaluation, x: torch.Tensor, samples: int, batch: int = 100) -> torch.Tensor:
    """`VAE.log_prob` of each picture, (N,) float64. Cached in a file of the evaluation's, from which a restart resumes."""
    key = hashlib.sha256((evaluation.folder / "model.safetensors").read_bytes() + x.numpy().tobytes()).hexdigest()[:16]
    file = evaluation.cache / f"{evaluation.name}-{samples}-{evaluation.seed}-{key}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    log_probs = np.load(file) if file.is_file() else np.zeros(0)
    for first in tqdm(
        range(len(log_probs), len(x), batch),
        initial=len(log_probs) // batch,
        total=-(-len(x) // batch),
        desc=f"{samples:,} importance samples",
        unit="batch",
        disable=None,
    ):
        # another seed for each batch: the noise must differ
        log_p = evaluation.model.log_prob(x[first : first + batch], samples, seed=evaluation.seed + first)
        log_probs = np.append(log_probs, log_p.double().numpy())
        measures.save_array(file, log_probs)
    return torch.from_numpy(log_probs)


def prior_samples(evaluation: measures.Evaluation) -> measures.Evaluator:
    """Decoded samples of the prior against real pictures; grey ones also with a linear model. Returns a headline."""
    n = evaluation.generated
    x = torch.cat([evaluation.model.sample(min(500, n - i), seed=evaluation.seed + i) for i in range(0, n, 500)])
    if evaluation.own:
        return (yield from measures.own_samples(evaluation, x))
    linear = metrics.pca(evaluation.load("train").x, 64) if evaluation.dataset != "avatars" else None
    return (yield from measures.compare_with_real(evaluation, x, linear))


def reference_values(model: VAE, dataset: str) -> dict[str, torch.Tensor]:
    x = measures.reference_pictures(dataset).floats()
    log_px, kl = model.elbo(x, seed=0)
    return {
        "log_px": log_px,
        "kl": kl,
        "mean_of_reconstruction": model.reconstruct(x).mean((1, 2, 3)),
        "mean_of_sample": model.sample(len(x), seed=0).mean((1, 2, 3)),
    }


def card(checkpoint: Checkpoint) -> Card:
    model = checkpoint.model
    what = (
        f"A variational autoencoder with a code of {model.latent} numbers and a {model.likelihood_name} likelihood: it "
        "generates new pictures, and finds the code of a given picture."
    )
    if model.values:
        what += (
            " Training also pulled the code towards a sum of one vector for each value of the labels, "
            "so that an attribute is edited by a difference of vectors."
        )
    augmentation = checkpoint.folder / "augmentation.json"  # of train.augmentation
    tables = ""
    if augmentation.is_file():
        tables = "\n\nTraining data from a VAE: " + gm.cards.augmentation(json.loads(augmentation.read_text(encoding="utf-8")))
    fid_and_precision = {metric: measures.SAMPLE_NOTES[metric] for metric in ("fid", "precision")}
    return Card(
        task="unconditional-image-generation",
        paper="Kingma and Welling 2013",
        reference="Kingma and Welling, [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114) (2013); Rezende, "
        "Mohamed and Wierstra, [Stochastic backpropagation and approximate inference in deep generative models]"
        "(https://arxiv.org/abs/1401.4082) (2014).",
        what=what,
        code="x = model.sample(16, seed=0)\nreconstruction = model.decode(model.encode(x).mean)",
        use="Generating, interpolating and comparing pictures by their codes; teaching; a baseline for likelihoods.",
        limits="`sample` and `decode` return the decoder's mean without pixel noise: blurred where the code leaves "
        f"something open. {measures.features_note(checkpoint)} Every input comes back as something like {checkpoint.title}.",
        notes={"elbo": ELBO_NOTE, "nll": NLL_NOTE, "psnr": PSNR_NOTE, **fid_and_precision, "moved": attributes.NOTE}
        | measures.OWN_NOTES,
        tables=tables,
    )


FAMILIES = {"vae": measures.Family(evaluate=evaluate, card=card, reference_values=reference_values, options=Options)}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
