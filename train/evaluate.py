"""Measure shipped checkpoints on the test split and write their cards.

    python -m train.evaluate vae-mnist --samples 5000    measures; writes README.md and reference.json of the checkpoint
    python -m train.evaluate vae-mnist --split val --pictures 1000 --samples 100
                                                         for choosing between models: prints, writes nothing
    python -m train.evaluate diffusion-mnist             20,000 pictures and all samplers: half an hour
    python -m train.evaluate transformer-tang            the texts ship with the recipes: a minute
    python -m train.evaluate transformer-mnist           10,000 exact likelihoods and 2,000 pictures: a quarter of an hour
    python -m train.evaluate denoiser-photo              BSD68 in grey and colour, also by scikit-image's methods: an hour
    python -m train.evaluate flow-mnist                  exact likelihoods, also of other datasets, and 20,000 samples
    python -m train.evaluate --cards-only                writes all cards again, from the numbers that they hold
    python -m train.evaluate --table                     writes the table of models into README.md, from the cards

A few minutes per checkpoint on two cores. The importance-weighted likelihood of a "bernoulli" VAE takes half an hour with
1,000 samples, five times that with 5,000. Slow results are cached in runs/evaluate/, and a restarted evaluation resumes there.
"""

import hashlib
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from huggingface_hub import EvalResult
from tqdm import tqdm

import genmodels as gm
from genmodels import data, metrics
from genmodels.base import check_choice, check_number, checkpoint_folder, checkpoint_root, generator
from genmodels.denoiser import CLASSICAL, add_noise, classical, luma
from genmodels.diffusion import SAMPLERS
from genmodels.flow import log_normal
from genmodels.typicality import LikelihoodStats, Typicality, save_likelihoods
from genmodels.vae import load_latents
from train import cards, ngram, photographs, texts
from train.cards import format_value
from train.denoiser import SIGMAS, SMALL_NOISES
from train.engine import keep_freed_memory
from train.gan import VALIDATION_SIZE

EDITED_ATTRIBUTES = ("smiling", "glasses", "hair_color", "hair_length", "facial_hair", "skin", "background")
EDIT_AMOUNTS = (0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # step lengths of an edit; the validation split chooses


@dataclass
class Evaluation:
    """The options of one checkpoint's evaluation, and its results so far."""

    name: str
    split: str = "test"
    samples: int = 1000  # importance samples per picture
    generated: int = 10_000  # pictures to generate
    seed: int = 0
    data_dir: Path | None = None
    runs: Path = Path("runs")
    pictures: int | None = None  # only the first of the split, for a quick look
    sampler: str = "dpm"  # of a diffusion model, as are the next two
    steps: int = 16
    guidance: float = 1.0
    truncation: float = 1.0  # of a GAN

    def __post_init__(self):
        self.folder = checkpoint_folder(self.name).resolve()
        self.name = self.folder.name
        self.family, self.dataset = cards.family_and_dataset(self.name)
        self.model = gm.load(self.folder)
        self.weights_hash = hashlib.sha256((self.folder / "model.safetensors").read_bytes()).hexdigest()[:12]
        self.data = self.load(self.split)[: self.pictures]
        self.results = []

    def load(self, split):
        """Pictures, a list of photographs, or the characters or the poems of a text."""
        if self.dataset == "photo":
            return photographs.load(split, self.data_dir)
        if self.dataset in texts.DATASETS:
            return texts.DATASETS[self.dataset](split)
        return data.load(self.dataset, split, self.data_dir)

    def classifier(self):
        return gm.load(f"classifier-{self.dataset}")

    def map_batches(self, f, x, batch=500):
        """f applied to pictures x (N, C, H, W), uint8 or floats, one batch of floats after another: (N, ...)."""
        return torch.cat([f(part.float() / 255 if part.dtype == torch.uint8 else part) for part in x.split(batch)])

    def add(self, metric, label, value, n=None, comparison="", seeded=False):
        """Record one number.

        metric: its machine-readable type; label: its name on the card; n: the sample count if it is not the split's size;
        comparison: the floor, ceiling or baseline to read it by; seeded: whether it depends on the seed.
        """
        # "beside" is the key of the comparison in the front matter of all cards.
        args = {"N": n or len(self.data), "seed": self.seed if seeded else None, "beside": comparison or None}
        result = EvalResult(
            task_type=cards.family_text(self.family, self.dataset)["task"],
            dataset_type=self.dataset,
            dataset_name=cards.DATASETS[self.dataset]["title"],
            dataset_split=self.split,
            metric_type=metric,
            metric_name=label,
            metric_value=float(f"{value:.6g}"),
            metric_args={k: v for k, v in args.items() if v is not None},
        )
        self.results.append(result)
        print(f"{label}: {format_value(result)}" + (f"   ({comparison})" if comparison else ""), flush=True)
        return result

    def cached(self, name, compute, *args):
        """compute(*args) as JSON represents it, or the result that an earlier start stored under the same name."""
        file = self.runs / "evaluate" / f"{name}.json"
        if not file.is_file():
            value = compute(*args)
            file.parent.mkdir(parents=True, exist_ok=True)
            cards.write_text(file, json.dumps(value))
        return json.loads(file.read_text(encoding="utf-8"))

    def generate(self, y, batch=500, **options):
        """Generate pictures with labels y (N, ...), uint8. Each batch is cached in a file, so that a restart resumes there."""
        values = "-".join(f"{v}" for v in options.values())
        folder = self.runs / "evaluate" / f"{self.name}-{self.weights_hash}-{len(y)}-{values}-{self.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        for first in tqdm(range(0, len(y), batch), desc=f"{len(y):,} pictures, {values}", unit="batch", disable=None):
            file, labels = folder / f"{first}.npy", y[first : first + batch]
            if not file.is_file():
                # another seed for each batch: the noise must differ
                x = self.model.sample(len(labels), label=labels, seed=self.seed + first, **options)
                save_array(file, (x * 255).round().to(torch.uint8).cpu().numpy())
            pictures.append(torch.from_numpy(np.load(file)))
        return torch.cat(pictures)

    def command(self):
        """The command line that repeats this evaluation."""
        options = ("samples", "generated", "seed", "sampler", "steps", "guidance", "truncation")
        changed = [f"--{k} {getattr(self, k)}" for k in options if getattr(self, k) != getattr(Evaluation, k)]
        return " ".join(["python -m train.evaluate", self.name, *changed])


def save_array(file, array):
    """Write a .npy file atomically."""
    temporary = file.with_suffix(".new")
    with open(temporary, "wb") as f:
        np.save(f, array)
    os.replace(temporary, file)


# --- One function per family. Each returns its headline for the table of models -------------------------------------


def evaluate_autoencoder(evaluation):
    """Reconstruction error, compared with the same number of principal components."""
    model, x = evaluation.model, evaluation.data.x
    pca = metrics.pca(evaluation.load("train").x, model.latent)

    def mean_squared_error(reconstruct):
        errors = evaluation.map_batches(lambda part: (reconstruct(part) - part).square().mean((1, 2, 3)), x)
        return errors.double().mean().item()

    error = mean_squared_error(lambda part: model.decode(model.encode(part)))
    pca_error = mean_squared_error(pca.reconstruct)
    evaluation.add(
        "mse",
        "mean squared error per pixel",
        error,
        comparison=f"PCA with {model.latent} components, fitted to the training split: {pca_error:.4f}",
    )
    evaluation.add("ratio", "PCA's error divided by the model's", pca_error / error, comparison="1: no better than PCA")
    if model.latent == 2:
        count_classes_on_latent_map(evaluation, evaluation.map_batches(model.encode, x))
    return f"MSE {error:.4f}; PCA with as many numbers {pca_error:.4f}, {pca_error / error:.2f} times as large"


def evaluate_vae(evaluation):
    """Likelihood, reconstructions, prior samples; the latent map of a 2-D code; edits of attributes on faces."""
    model = evaluation.model
    headline = vae_likelihood(evaluation)
    psnr = reconstruction_quality(evaluation)
    fid = prior_samples(evaluation)
    if model.latent == 2:
        codes = evaluation.map_batches(lambda part: model.encode(part).mean, evaluation.data.x)
        count_classes_on_latent_map(evaluation, codes)
    if evaluation.dataset == "avatars":
        evaluate_attributes(evaluation)
    return headline if model.likelihood_name == "bernoulli" else f"{psnr}, {headline}, {fid}"


def evaluate_classifier(evaluation):
    """Accuracy. Attributes that are hidden in a picture are not counted."""
    y = evaluation.data.y.view(len(evaluation.data), -1)
    correct = evaluation.map_batches(evaluation.model.predict, evaluation.data.x) == y
    attributes = ["the class"] if y.shape[1] == 1 else list(data.ATTRIBUTES)
    rows = []
    for i, attribute in enumerate(attributes):
        visible = y[:, i] >= 0
        labels = y[visible, i]
        baseline = f"majority-class baseline: {labels.bincount().max() / len(labels):.1%}"
        rows.append((correct[visible, i].double().mean().item(), attribute, len(labels), baseline))
    mean = sum(accuracy for accuracy, *_ in rows) / len(rows)
    if len(rows) == 1:
        return f"accuracy {format_value(evaluation.add('accuracy', 'accuracy', mean, comparison=rows[0][3]))}"
    result = evaluation.add(
        "accuracy", "accuracy, mean over the attributes", mean, comparison="hidden attributes are not counted"
    )
    for accuracy, attribute, n, baseline in rows:
        evaluation.add("accuracy", f"accuracy of {attribute}", accuracy, n=n, comparison=baseline)
    lowest, attribute, *_ = min(rows)
    return f"accuracy {format_value(result)}, lowest {lowest:.2%} ({attribute})"


def evaluate_diffusion(evaluation):
    """Quality of the samples, accuracy of the condition, and what fewer function evaluations cost."""
    y, x, headline = conditional_samples(
        evaluation, sampler=evaluation.sampler, steps=evaluation.steps, guidance=evaluation.guidance
    )
    if evaluation.split == "test":
        fid_by_function_evaluations(evaluation)
    return ", ".join(headline)


def evaluate_gan(evaluation):
    """Quality of the samples, accuracy of the condition, recall within each class, and a comparison with a DCGAN."""
    options = {"truncation": evaluation.truncation} if evaluation.family == "gan" else {}
    y, x, headline = conditional_samples(evaluation, **options)
    if evaluation.dataset != "avatars":
        recall_within_classes(evaluation, x, y)
    baseline = checkpoint_root() / evaluation.name.replace("gan-", "dcgan-", 1)
    if evaluation.family == "gan" and (baseline / "README.md").is_file():  # it must have been measured before
        compare_with_dcgan(evaluation, baseline)
    return ", ".join(headline)


def conditional_samples(evaluation, **options):
    """(labels, generated pictures, parts of the headline) of a conditional generator; faces have no CAS."""
    faces = evaluation.dataset == "avatars"
    y = labels_to_sample(evaluation, evaluation.generated if faces else 2 * evaluation.generated)
    x = evaluation.generate(y, **options)
    recognised = condition_accuracy(evaluation, x, y)
    headline = [recognised] if faces else [classification_accuracy_score(evaluation, x, y), recognised]
    headline.append(compare_with_real(evaluation, x[: evaluation.generated]))
    return y, x, headline


def evaluate_transformer(evaluation):
    """Likelihood of a text or of pictures, and the quality of generated pictures."""
    kinds = {"characters": evaluate_plays, "poems": evaluate_poems, "pixels": evaluate_pixels}
    return kinds[evaluation.model.kind](evaluation)


def evaluate_denoiser(evaluation):
    """Quality of denoised pictures, also by scikit-image's methods; on digits and clothes also a classifier's accuracy."""
    if evaluation.dataset == "photo":
        return evaluate_on_photographs(evaluation)
    return evaluate_on_small_pictures(evaluation)


def evaluate_flow(evaluation):
    """Exact bits per pixel, also of other datasets, and the quality of samples."""
    bits = flow_likelihoods(evaluation)
    y = labels_to_sample(evaluation, 2 * evaluation.generated)
    x = evaluation.generate(y, temperature=1.0)
    return ", ".join(
        [
            bits,
            condition_accuracy(evaluation, x, y),
            classification_accuracy_score(evaluation, x, y),
            compare_with_real(evaluation, x[: evaluation.generated]),
        ]
    )


EVALUATORS = {
    "autoencoder": evaluate_autoencoder,
    "vae": evaluate_vae,
    "diffusion": evaluate_diffusion,
    "gan": evaluate_gan,
    "dcgan": evaluate_gan,
    "classifier": evaluate_classifier,
    "transformer": evaluate_transformer,
    "flow": evaluate_flow,
    "denoiser": evaluate_denoiser,
    "dvae": evaluate_denoiser,
}


# --- Normalizing flow -----------------------------------------------------------------------------------------------

TYPICALITY_PICTURES = 2000  # of the validation split, which define typicality, and of each other kind to compare with
PUBLISHED_BITS = {
    "mnist": "published bounds: RealNVP 1.06, Glow 1.05, Residual Flow 0.97 (Chen et al. 2019, "
    "https://arxiv.org/abs/1906.02735); ",
    "fashion": "",
}


def flow_likelihoods(evaluation):
    """Bits per pixel of the split and of unusual pictures; writes the checkpoint's `likelihoods.json`. Returns a headline."""
    model, x, dataset = evaluation.model, evaluation.data.x, evaluation.dataset
    other_dataset = {"mnist": "fashion", "fashion": "mnist"}[dataset]
    first = x[:TYPICALITY_PICTURES]
    unusual = {
        other_dataset: data.load(other_dataset, evaluation.split, evaluation.data_dir).x[:TYPICALITY_PICTURES],
        "inverted": 255 - first,
        "rotated": first.rot90(1, (2, 3)),
        "noise": torch.randint(256, first.shape, generator=generator(evaluation.seed), dtype=torch.uint8),
    }

    def layer_log_probs(kind, pictures):  # (N, layers)
        name = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}-{kind}-{len(pictures)}"
        rows = evaluation.cached(name, lambda: evaluation.map_batches(model.layer_log_probs, pictures, 250).tolist())
        return torch.tensor(rows, dtype=torch.float64)

    log_probs = {kind: layer_log_probs(kind, pictures) for kind, pictures in {dataset: x, **unusual}.items()}
    bits = {kind: metrics.bits_per_dim(values.sum(1), model.latent) for kind, values in log_probs.items()}
    mean = evaluation.add(
        "bits_per_dim",
        "bits per pixel, 8-bit, exact: uniform dequantization noise costs nothing",
        bits[dataset].mean().item(),
        comparison=f"{PUBLISHED_BITS[dataset]}8: no model",
    )
    batches = zip(x.split(250), evaluation.data.y.split(250))
    conditional_bits = torch.cat([model.bits_per_dim(pictures.float() / 255, labels) for pictures, labels in batches])
    given_class = evaluation.add("bits_per_dim", "the same, given the class", conditional_bits.double().mean().item())

    few = x[:200].float() / 255
    samples = torch.stack([dequantized_log_density(model, few, evaluation.seed + i) for i in range(8)])
    sample_bits = metrics.bits_per_dim(samples, model.latent, 256)
    log_mean = torch.logsumexp(-sample_bits * model.latent * math.log(2), 0) - math.log(8)
    evaluation.add(
        "bits_per_dim",
        "bits per pixel by sampling the dequantization noise, eight samples, importance-weighted",
        metrics.bits_per_dim(log_mean, model.latent).mean().item(),
        n=len(few),
        seeded=True,
        comparison=f"one sample: {sample_bits[0].mean():.4f}, exact: {bits[dataset][:200].mean():.4f}",
    )

    typicality = Typicality.fit(layer_log_probs("val", evaluation.load("val").x[:TYPICALITY_PICTURES]))
    distances = {kind: typicality.distance(values) for kind, values in log_probs.items()}
    for kind in unusual:
        evaluation.add(
            "auroc",
            f"AUROC of typicality: {dataset} against {kind}",
            auroc(distances[dataset], distances[kind]),
            n=len(distances[kind]),
            seeded=True,
            comparison=f"AUROC of bits per pixel: {auroc(bits[dataset], bits[kind]):.3f}; mean {bits[kind].mean():.3g} bits",
        )
    if evaluation.split == "test":
        save_likelihoods(LikelihoodStats.from_values(typicality, bits, distances), evaluation.folder)
    return f"{format_value(mean)} bits/dim, {format_value(given_class)} given the class"


def dequantized_log_density(model, x, seed):
    """log density at x with one sample of the dequantization noise, in nats: log N(z) + log |det|, (N,)."""
    *_, last_step = model.encode_steps(x, seed=seed)
    return log_normal(last_step.h).flatten(1).sum(1) + last_step.log_det


def auroc(negatives, positives):
    """The probability that a positive has a larger value than a negative; ties count half."""
    negatives, n = negatives.sort().values, len(negatives)
    lower = torch.searchsorted(negatives, positives, right=False).double().mean().item() / n
    lower_or_equal = torch.searchsorted(negatives, positives, right=True).double().mean().item() / n
    return (lower + lower_or_equal) / 2


# --- Transformer ----------------------------------------------------------------------------------------------------

PIXELS_PER_CLASS = 200  # pictures; each takes 784 forward passes, so 2,000 per class would take hours
MIXTURE_PICTURES = 1000  # whose likelihood is also measured without the class, which costs a pass per class


def evaluate_plays(evaluation):
    """Nats per character. Returns a headline."""
    tokenizer = evaluation.model.tokenizer
    nats, n = texts.nats_of_blocks(evaluation.model, evaluation.data)
    size = sum(p.numel() for p in evaluation.model.parameters()) / 1e6
    evaluation.add(
        "nats",
        "negative log-likelihood, nats per character",
        nats,
        n=n,
        comparison=f"{size:.2f} M parameters; nanoGPT with 10.65 M, its lowest on the same text: 1.4697 "
        "(https://github.com/karpathy/nanoGPT)",
    )
    evaluation.add(
        "bits",
        "the same in bits",
        nats / math.log(2),
        n=n,
        comparison=f"{tokenizer.vocab_size} equally likely characters: {math.log2(tokenizer.vocab_size):.3f}",
    )
    evaluation.add("perplexity", "the same as perplexity", math.exp(nats), n=n)
    return f"{nats:.4f} nats per character (nanoGPT, 10.65 M: 1.4697)"


def evaluate_poems(evaluation):
    """Perplexity of the bodies, compared with a 5-gram of the same training poems. Returns a headline."""
    model = evaluation.model
    nats, n = texts.nats_of_bodies(model, evaluation.data)
    nats_form_only, _ = texts.nats_of_bodies(model, evaluation.data, with_title=False)
    perplexity, perplexity_form_only = math.exp(nats / n), math.exp(nats_form_only / n)
    baseline, unknown = five_gram_perplexity(evaluation, model.tokenizer)
    gram = f"interpolated modified Kneser-Ney 5-gram, given only the form: {baseline:.4g}"
    evaluation.add(
        "perplexity",
        "perplexity per character of the bodies, given title and author",
        perplexity,
        n=n,
        comparison=f"{gram}; it has no title to read",
    )
    evaluation.add("perplexity", "perplexity, given only the form", perplexity_form_only, n=n, comparison=gram)
    evaluation.add(
        "below", "reduction from the 5-gram's perplexity, both given only the form", 1 - perplexity_form_only / baseline, n=n
    )
    evaluation.add(
        "share", "unknown characters in the bodies", unknown, n=n, comparison="they are scored, as the unknown character"
    )
    return (
        f"perplexity {perplexity:.1f}; given only the form {perplexity_form_only:.1f}, "
        f"{1 - perplexity_form_only / baseline:.1%} below a Kneser-Ney 5-gram ({baseline:.1f})"
    )


def five_gram_perplexity(evaluation, tokenizer):
    """(perplexity of the bodies' characters under a 5-gram of the training bodies, share of unknown characters)

    Four characters do not tell where a line ends, so a 5-gram expects punctuation in many places. Only characters are scored:
    its probabilities are divided by their sum over what can be scored. The transformer's, which are nearly normalized over
    these by themselves, are not.
    """

    def grams(poems):
        return ngram.grams(
            [[tokenizer.token_id[form], *tokenizer.encode_continuation(body, f"{form}|")[1]] for form, _, _, body in poems], 5
        )

    characters = tokenizer.hanzi.clone()
    characters[tokenizer.UNKNOWN] = True
    scored = grams(evaluation.data)
    scored = scored[characters.numpy()[scored[:, -1]]]
    five_gram = ngram.KneserNey(grams(evaluation.load("train")), tokenizer.vocab_size)
    p, mass_of_others = five_gram.probabilities(scored), 0
    for token in (~characters).nonzero()[:, 0].tolist():
        others = scored.copy()
        others[:, -1] = token
        mass_of_others = mass_of_others + five_gram.probabilities(others)
    return math.exp(-np.log(p / (1 - mass_of_others)).mean()), (scored[:, -1] == tokenizer.UNKNOWN).mean()


def evaluate_pixels(evaluation):
    """Exact bits per pixel with and without the class, and the quality of generated pictures. Returns a headline."""
    pictures, n = evaluation.data, len(evaluation.data)

    def bits_per_dim(first, end, batch=20):
        parts = torch.arange(first, end).split(batch)
        return [b for i in parts for b in evaluation.model.bits_per_dim(pictures[i].floats(), pictures.y[i]).tolist()]

    bits = []
    for first in tqdm(range(0, n, 500), desc="bits per pixel", disable=None):
        end = min(n, first + 500)
        name = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}-{first}-{end}"
        bits += evaluation.cached(name, bits_per_dim, first, end)
    mean = evaluation.add("bits_per_dim", "bits per pixel, exact, given the class", sum(bits) / n, comparison="8: no model")
    few = min(n, MIXTURE_PICTURES)
    name = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}-classes-{few}"
    log_probs = torch.tensor(evaluation.cached(name, class_log_probs, evaluation.model, pictures[torch.arange(few)]))
    summary = add_mixture(evaluation, log_probs)
    y = labels_to_sample(evaluation, min(evaluation.generated, 10 * PIXELS_PER_CLASS))
    x = evaluation.generate(y, batch=64)
    return ", ".join(
        [
            f"{format_value(mean)} bits/dim given the class, {summary}",
            condition_accuracy(evaluation, x, y),
            classification_accuracy_score(evaluation, x, y, PIXELS_PER_CLASS),
            compare_with_real(evaluation, x),
        ]
    )


def class_log_probs(model, pictures, batch=20):
    """log p(x | class) of each picture under each class: a list of rows, in nats."""
    parts = [pictures[i].floats() for i in torch.arange(len(pictures)).split(batch)]
    classes = range(model.tokenizer.classes)
    return torch.cat([torch.stack([model.log_prob(x, c) for c in classes], 1) for x in parts]).tolist()


def add_mixture(evaluation, log_probs):
    """Add what the likelihoods log_probs (N, C) of the split's first N pictures given each class say without the class."""
    log_probs, n = log_probs.double(), len(log_probs)
    y = evaluation.data.y[:n].view(n, 1).long()
    bits_per_nat = 1 / (evaluation.model.context * math.log(2))
    given_class = -log_probs.gather(1, y).mean().item() * bits_per_nat
    mixture = -(log_probs.logsumexp(1) - math.log(log_probs.shape[1])).mean().item() * bits_per_nat
    first = f"the first {n:,} pictures" if n < len(evaluation.data) else f"{n:,} pictures"
    published = "linear transformer 0.644, softmax transformer 0.621 (https://arxiv.org/abs/2006.16236)"
    result = evaluation.add(
        "bits_per_dim",
        "bits per pixel, exact, class not given (the mixture of all classes, each as likely)",
        mixture,
        n=n,
        comparison=f"published, on the whole split: {published}",
    )
    evaluation.add("bits_per_dim", "bits per pixel, exact, the same pictures given the class", given_class, n=n)
    accuracy = (log_probs.argmax(1) == y[:, 0]).double().mean().item()
    chance = f"guessing: {1 / log_probs.shape[1]:.0%}"
    evaluation.add("accuracy", "class read from these likelihoods by Bayes' rule", accuracy, n=n, comparison=chance)
    return f"{format_value(result)} without ({first}; given the class {given_class:.4g})"


# --- Denoiser -------------------------------------------------------------------------------------------------------

PUBLISHED_PSNR = {
    15: "BM3D 31.07, DnCNN-B 31.61, FFDNet 31.63",
    25: "BM3D 28.57, DnCNN-B 29.16, FFDNet 29.19",
    50: "BM3D 25.62, DnCNN-B 26.23, FFDNet 26.29",
}  # on BSD68 in grey
CLASSICAL_PICTURES = 1000  # digits or clothes for the classical methods, which take one picture at a time


def evaluate_on_photographs(evaluation):
    """PSNR and SSIM on photographs in grey and in colour, blind and given sigma: `table.json`. Returns a headline."""
    model = evaluation.model

    def denoise(x, sigma, seed):
        """[[PSNR, SSIM] of each method] on one photograph x."""
        noisy = add_noise(x, "gaussian", sigma, seed=seed)
        results = [noisy, *(classical(noisy, method, sigma) for method in CLASSICAL)]
        results += [model.restore(noisy), model.restore(noisy, sigma)]
        return [[metric(result, x).item() for metric in (metrics.psnr, metrics.ssim)] for result in results]

    datasets = {"grey": [luma(p[None] / 255) if len(p) == 3 else p[None] / 255 for p in evaluation.data]}
    if evaluation.split == "test":
        datasets["colour"] = [p[None] / 255 for p in photographs.load("colour", evaluation.data_dir)]
    columns, rows, headline = ["noisy", *CLASSICAL, "ours, blind", "ours, sigma given"], [], []
    for colour, pictures in datasets.items():
        for sigma in SIGMAS:
            key = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}-{colour}-{sigma}-{evaluation.seed}"
            quality = [
                evaluation.cached(f"{key}-{k}", denoise, x, sigma / 255, evaluation.seed + k) for k, x in enumerate(pictures)
            ]
            means = torch.tensor(quality, dtype=torch.float64).mean(0).tolist()  # (methods, 2)
            rows.append([f"in {colour}, sigma {sigma}", *(f"{psnr:.2f} / {ssim:.3f}" for psnr, ssim in means)])
            by_method = dict(zip(columns, means))
            comparison = f"noisy {by_method['noisy'][0]:.2f}, non-local means {by_method['non-local means'][0]:.2f}"
            if colour == "grey" and evaluation.split == "test":
                comparison += f"; published: {PUBLISHED_PSNR[sigma]}"
            for mode in ("sigma given", "blind"):
                evaluation.add(
                    "restored_psnr",
                    f"PSNR in {colour}, sigma {sigma}, {mode}, dB",
                    by_method[f"ours, {mode}"][0],
                    n=len(pictures),
                    comparison=comparison,
                    seeded=True,
                )
            evaluation.add(
                "restored_ssim",
                f"SSIM in {colour}, sigma {sigma}, sigma given",
                by_method["ours, sigma given"][1],
                n=len(pictures),
                comparison=f"non-local means {by_method['non-local means'][1]:.3f}",
                seeded=True,
            )
            if colour == "grey":
                headline.append(f"{by_method['ours, sigma given'][0]:.2f}")
    write_methods(
        evaluation,
        "PSNR in dB and SSIM, means over the pictures. All methods but the median and ours, blind, are given sigma.",
        columns,
        rows,
    )
    return f"{' / '.join(headline)} dB on BSD68 at sigma {' / '.join(map(str, SIGMAS))} (BM3D 31.07 / 28.57 / 25.62)"


def evaluate_on_small_pictures(evaluation):
    """PSNR, SSIM and a classifier's accuracy on denoised digits or clothes: `table.json`. Returns a headline."""
    classifier, x, y = evaluation.classifier(), evaluation.data.floats(), evaluation.data.y.view(-1)
    classifier_name = f"classifier-{evaluation.dataset}"
    names = {family: f"{family}-{evaluation.dataset}" for family in ("denoiser", "dvae")}
    models = {family: gm.load(name) for family, name in names.items() if name in gm.checkpoints()}

    def accuracy(pictures):
        predictions = evaluation.map_batches(classifier.predict, pictures)[:, 0]
        return (predictions == y[: len(pictures)]).double().mean().item()

    def denoise_classically(noisy, method, options):
        return torch.cat([(classical(one, method, **options) * 255).round() for one in noisy.split(1)]).int().tolist()

    def denoise(noisy, family, options):
        model = models[family]
        options = options if family == "denoiser" else {}
        return evaluation.map_batches(lambda part: model.restore(part, **options), noisy)

    rows, psnrs = [], []
    clean_accuracy = accuracy(x)
    for kind, strength in SMALL_NOISES:
        noisy = add_noise(x, kind, strength, seed=evaluation.seed)
        first = noisy[:CLASSICAL_PICTURES]
        options = {"sigma": strength} if kind == "gaussian" else {}
        restored = {"noisy": noisy}
        for method in CLASSICAL:
            name = f"classical-{evaluation.dataset}-{evaluation.split}-{method}-{kind}-{strength:.3f}-{len(first)}"
            name = f"{name}-{evaluation.seed}".replace(" ", "-")
            restored[method] = torch.tensor(evaluation.cached(name, denoise_classically, first, method, options)) / 255
        for family in models:
            restored[family] = denoise(noisy, family, options)

        quality = {}
        for method, pictures in restored.items():
            originals = x[: len(pictures)]
            psnr, ssim = metrics.psnr(pictures, originals).mean().item(), metrics.ssim(pictures, originals).mean().item()
            quality[method] = psnr, ssim, accuracy(pictures.clamp(0, 1))
        noise = f"{kind}, {f'sigma {255 * strength:.0f}' if kind == 'gaussian' else f'{strength:.0%}'}"
        rows.append([noise, *(f"{psnr:.2f} / {ssim:.3f} / {share:.1%}" for psnr, ssim, share in quality.values())])
        psnr, ssim, share = quality[evaluation.family]
        best = max(CLASSICAL, key=lambda method: quality[method][0])
        evaluation.add(
            "restored_psnr",
            f"PSNR, {noise}, dB",
            psnr,
            seeded=True,
            comparison=f"noisy {quality['noisy'][0]:.2f}; best of scikit-image's methods, {best}, on the first "
            f"{len(restored[best]):,}: {quality[best][0]:.2f}",
        )
        evaluation.add("restored_ssim", f"SSIM, {noise}", ssim, seeded=True, comparison=f"{best}: {quality[best][1]:.3f}")
        evaluation.add(
            "accuracy",
            f"accuracy of {classifier_name} on restored pictures, {noise}",
            share,
            seeded=True,
            comparison=f"noisy pictures {quality['noisy'][2]:.1%}, clean pictures {clean_accuracy:.1%}",
        )
        psnrs.append(psnr)
    write_methods(
        evaluation,
        f"PSNR in dB, SSIM and the accuracy of {classifier_name} (clean pictures: {clean_accuracy:.1%}). scikit-image's "
        f"methods restored the first {len(first):,} pictures. They and the denoiser are given sigma where the noise is "
        "Gaussian.",
        [*restored],
        rows,
    )
    return f"mean PSNR {sum(psnrs) / len(psnrs):.2f} dB over {len(psnrs)} kinds and strengths of noise"


def write_methods(evaluation, text, columns, rows):
    """`table.json`: all methods side by side, for the card."""
    if evaluation.split == "test":
        table = {"text": text, "columns": ["noise", *columns], "rows": rows}
        cards.write_text(evaluation.folder / "table.json", json.dumps(table) + "\n")


# --- Latent codes and likelihoods of autoencoders -------------------------------------------------------------------


def count_classes_on_latent_map(evaluation, codes, side=30):
    """How many classes a classifier recognises on a grid over the central 98 % of the pictures' codes (N, 2)."""
    low, high = codes.quantile(torch.tensor([0.01, 0.99]), dim=0).tolist()
    z = torch.cartesian_prod(*(torch.linspace(a, b, side) for a, b in zip(low, high)))
    counts = evaluation.classifier().predict(evaluation.model.decode(z))[:, 0].bincount(minlength=10)
    evaluation.add(
        "classes",
        f"classes recognised by classifier-{evaluation.dataset} on a {side}x{side} map of the latent space",
        (counts > 0).sum().item(),
        n=side**2,
        comparison=f"of 10; the rarest covers {counts.min() / side**2:.1%} of the map",
    )


def vae_likelihood(evaluation):
    """ELBO, KL, bits; of binary pixels also the importance-weighted likelihood. Returns a headline."""
    model, x, dims = evaluation.model, evaluation.data.floats(), evaluation.data.x[0].numel()
    binary = model.likelihood_name == "bernoulli"
    if binary:
        x = model.binarise(x, evaluation.seed)
    likelihood = f"pixels binarised at random, seed {evaluation.seed}" if binary else "a density over values in [0, 1]"
    log_px, kl = elbo_terms(evaluation, x)
    elbo = evaluation.add("elbo", "ELBO, nats per picture", (log_px - kl).mean().item(), comparison=likelihood, seeded=True)
    mean_kl = evaluation.add(
        "kl", "mean KL of the codes, nats", kl.mean().item(), comparison="0: the code carries no information"
    )
    kl_per_dimension = evaluation.map_batches(
        lambda part: torch.distributions.kl_divergence(model.encode(part), model.prior()), x
    ).mean(0)
    evaluation.add(
        "active_units",
        "active code dimensions, with a mean KL over 0.01 nats",
        (kl_per_dimension > 0.01).sum().item(),
        comparison=f"of {model.latent}",
    )
    if not binary:
        noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(evaluation.seed))
        log_px, kl = elbo_terms(evaluation, (evaluation.data.x + noise) / 256)
        bits = metrics.bits_per_dim(log_px - kl, dims, levels=256)
        evaluation.add(
            "bits_per_dim",
            "bits per value, upper bound",
            bits.mean().item(),
            comparison="ELBO of 8-bit values with uniform noise; 8: no model",
            seeded=True,
        )
        return f"KL {format_value(mean_kl)} nats"
    if model.latent == 2:
        return f"ELBO {format_value(elbo)} nats"
    log_p = importance_weighted(evaluation, x)
    nll = evaluation.add(
        "nll",
        f"negative log-likelihood, nats, {evaluation.samples:,} importance samples",
        -log_p.mean().item(),
        comparison=likelihood,
        seeded=True,
    )
    evaluation.add(
        "bits_per_dim",
        "the same in bits per pixel",
        metrics.bits_per_dim(log_p, dims).mean().item(),
        comparison="1: a fair coin for each pixel",
        seeded=True,
    )
    return f"NLL {format_value(nll)} nats ({evaluation.samples:,} importance samples)"


def elbo_terms(evaluation, x, batch=500):
    """(log p(x | z), KL) of each picture, (N,) float64 each."""
    # another seed for each batch: the noise must differ
    terms = [evaluation.model.elbo(part, evaluation.seed + i) for i, part in enumerate(x.split(batch))]
    return tuple(torch.cat(term).double() for term in zip(*terms))


def importance_weighted(evaluation, x, batch=100):
    """`VAE.log_prob` of each picture, (N,) float64. Cached in a file of `evaluation.runs`, from which a restart resumes."""
    key = hashlib.sha256((evaluation.folder / "model.safetensors").read_bytes() + x.numpy().tobytes()).hexdigest()[:16]
    file = evaluation.runs / "evaluate" / f"{evaluation.name}-{evaluation.samples}-{evaluation.seed}-{key}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    log_probs = np.load(file) if file.is_file() else np.zeros(0)
    for first in tqdm(
        range(len(log_probs), len(x), batch),
        initial=len(log_probs) // batch,
        total=-(-len(x) // batch),
        desc=f"{evaluation.samples:,} importance samples",
        unit="batch",
        disable=None,
    ):
        # another seed for each batch: the noise must differ
        log_p = evaluation.model.log_prob(x[first : first + batch], evaluation.samples, seed=evaluation.seed + first)
        log_probs = np.append(log_probs, log_p.double().numpy())
        save_array(file, log_probs)
    return torch.from_numpy(log_probs)


def reconstruction_quality(evaluation):
    """PSNR and SSIM of decode(mean code), compared with the same number of principal components. Returns a headline."""
    x, latent = evaluation.data.x, evaluation.model.latent
    reconstruction = evaluation.map_batches(evaluation.model.reconstruct, x)
    psnr_comparison, ssim_comparison = "", "1: identical pictures"
    if evaluation.dataset != "avatars":  # the covariance of 12,288 values is too large for PCA
        linear = metrics.pca(evaluation.load("train").x, latent).reconstruct(x).clamp(0, 1)
        psnr_comparison = f"PCA with {latent} components: {metrics.psnr(linear, x).mean():.4g}"
        ssim_comparison = f"PCA with {latent} components: {metrics.ssim(linear, x).mean():.4g}"
    psnr = metrics.psnr(reconstruction, x).mean().item()
    result = evaluation.add("psnr", "PSNR of reconstructions, dB, mean over pictures", psnr, comparison=psnr_comparison)
    ssim = metrics.ssim(reconstruction, x).mean().item()
    evaluation.add("ssim", "SSIM of reconstructions", ssim, comparison=ssim_comparison)
    return f"PSNR {format_value(result)} dB"


# --- Samples --------------------------------------------------------------------------------------------------------


def prior_samples(evaluation):
    """`compare_with_real` of decode(z), z from the prior; grey pictures also with a linear model. Returns a headline."""
    n = evaluation.generated
    x = torch.cat([evaluation.model.sample(min(500, n - i), seed=evaluation.seed + i) for i in range(0, n, 500)])
    linear = metrics.pca(evaluation.load("train").x, 64) if evaluation.dataset != "avatars" else None
    return compare_with_real(evaluation, x, linear)


def compare_with_real(evaluation, x, linear=None):
    """FID, precision, recall, density and coverage of generated pictures x against real ones. Returns a headline.

    The floor is the same measure of as many training pictures as were generated, so that N is the same. Because the
    classifier was trained on those, the distance between the two halves of the split is reported too. linear: a `metrics.PCA`
    whose samples are a baseline.
    """
    classifier, n = evaluation.classifier(), len(x)
    real = metrics.features(classifier, evaluation.data.x)
    train = metrics.features(classifier, evaluation.load("train").x[:n])
    fake = metrics.features(classifier, x)
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(evaluation.seed))
    halves = metrics.fid(real[order[::2]], real[order[1::2]])
    floor = metrics.fid(train, real)
    comparison = (
        f"first {len(train):,} training pictures: {floor:.4g}; "
        f"random halves of the {evaluation.split} split to each other: {halves:.4g}"
    )
    if linear:
        linear_features = metrics.features(classifier, linear.sample(n, seed=evaluation.seed))
        comparison += (
            f"; Gaussian fitted to the training split's first {len(linear.variance)} principal components: "
            f"{metrics.fid(linear_features, real):.4g}"
        )
    result = evaluation.add(
        "fid",
        f"FID of generated pictures to the {evaluation.split} split, features of classifier-{evaluation.dataset}",
        metrics.fid(fake, real),
        n=n,
        comparison=comparison,
        seeded=True,
    )
    n = min(map(len, (real, train, fake)))  # the following depend on both sizes
    real, train, fake = real[:n], train[:n], fake[:n]
    neighbours = {"precision": 3, "recall": 3, "density": 5, "coverage": 5}
    values, ceilings = (
        [*metrics.precision_recall(real, features, k=3), *metrics.density_coverage(real, features, k=5)]
        for features in (fake, train)
    )
    for (metric, k), value, ceiling in zip(neighbours.items(), values, ceilings):
        evaluation.add(
            metric,
            f"{metric} of generated pictures, k = {k}",
            value,
            n=n,
            comparison=f"training pictures: {ceiling:.3f}",
            seeded=True,
        )
    return f"FID {format_value(result)} ({len(x):,} pictures; real ones {floor:.3g})"


def labels_to_sample(evaluation, n):
    """n labels for a conditional model: the classes in turn, or the attributes of the split's real faces in turn."""
    if evaluation.dataset != "avatars":
        return torch.arange(n) % 10
    columns = [list(data.ATTRIBUTES).index(a) for a in evaluation.model.conditions]
    return evaluation.data.y[:, columns].repeat(-(-n // len(evaluation.data)), 1)[:n]


def condition_accuracy(evaluation, x, y):
    """On what share of the generated pictures x the classifier recognises their labels y. Returns a headline."""
    classifier, attributes = evaluation.classifier(), {"class": 0}  # name -> column of the classifier's predictions
    if evaluation.dataset == "avatars":
        attributes = {a: list(data.ATTRIBUTES).index(a) for a in evaluation.model.conditions}
    predicted = evaluation.map_batches(classifier.predict, x)
    predicted_real = evaluation.map_batches(classifier.predict, evaluation.data.x)
    true_labels, shares = evaluation.data.y.view(len(evaluation.data), -1), {}
    for (attribute, i), labels in zip(attributes.items(), y.view(len(y), -1).T):
        correct = (predicted[:, i] == labels)[labels >= 0]
        correct_real = (predicted_real[:, i] == true_labels[:, i])[true_labels[:, i] >= 0]
        shares[attribute] = correct.double().mean().item()
        evaluation.add(
            "share",
            f"requested {attribute} recognised by classifier-{evaluation.dataset}",
            shares[attribute],
            n=len(correct),
            comparison=f"on real pictures: {correct_real.double().mean():.2%}",
            seeded=True,
        )
    lowest = min(shares, key=shares.get)
    return f"{lowest} recognised {shares[lowest]:.1%}" + (" (the lowest)" if len(shares) > 1 else "")


def classification_accuracy_score(evaluation, x, y, per_class=None):
    """CAS of generated pictures x with classes y. Returns a headline.

    per_class: fewer than the frozen protocol's 2,000, for models that sample slowly; the real pictures are then as few.
    """
    train, n = evaluation.load("train"), 10 * (per_class or 2000)
    generated_hash = hashlib.sha256(x.numpy().tobytes()).hexdigest()[:12]
    options = {"per_class": per_class} if per_class else {}

    def cas(key, pictures, labels):
        name = "-".join(["cas", evaluation.dataset, evaluation.split, key, *map(str, options.values())])
        test = evaluation.data
        return metrics.CAS(*evaluation.cached(name, lambda: metrics.cas(pictures, labels, test.x, test.y, **options)))

    generated, real = cas(generated_hash, x, y), cas("real", train.x, train.y)
    note = f", with {n:,} pictures instead of 20,000" if options else ""
    result = evaluation.add(
        "cas",
        f"CAS: accuracy on real pictures of a small CNN trained on generated ones, mean of 3 seeds{note}",
        generated.mean,
        n=n,
        comparison=f"trained on {n:,} real pictures: {real.mean:.2%}",
        seeded=True,
    )
    evaluation.add(
        "cas_sd",
        "CAS: its standard deviation over the three seeds",
        generated.sd,
        n=n,
        comparison=f"trained on real pictures: {real.sd:.2%}",
    )
    return f"CAS {format_value(result)} (real pictures {real.mean:.1%}{note})"


def recall_within_classes(evaluation, x, y, n=1000):
    """Recall within each class, divided by that of real pictures: near 1, no mode of a class is missing."""
    classifier = evaluation.classifier()
    datasets = {"real": evaluation.data, "train": evaluation.load("train"), "generated": data.Pictures(x, y)}
    rows = []
    for c in range(10):
        features = {kind: metrics.features(classifier, p.x[p.y == c][:n]) for kind, p in datasets.items()}
        k = min(map(len, features.values()))
        real = features["real"][:k]
        recall = metrics.precision_recall(real, features["generated"][:k], k=3)[1]
        ceiling = metrics.precision_recall(real, features["train"][:k], k=3)[1]
        rows.append((recall / ceiling, c, recall, ceiling, k))
    lowest, c, recall, ceiling, _ = min(rows)
    evaluation.add(
        "ratio",
        "recall within a class divided by that of training pictures, the lowest of ten, k = 3",
        lowest,
        n=min(k for *_, k in rows),
        seeded=True,
        comparison=f"class {c}: {recall:.1%}, training pictures {ceiling:.1%}; mean of the ten: "
        f"{sum(ratio for ratio, *_ in rows) / len(rows):.3f}",
    )


def compare_with_dcgan(evaluation, baseline):
    """Add a plain DCGAN's numbers to the comparisons of the same metrics; and compare both after the same minutes."""
    numbers, facts = cards.read_card(baseline)
    by_name, size = {r.metric_name: r for r in numbers}, facts["parameters"] / 1e6
    for r in evaluation.results:
        dcgan_result = by_name.get(r.metric_name)
        if dcgan_result and r.metric_type != "cas_sd":
            value = format_value(dcgan_result)
            text = f"a plain DCGAN ({size:.2f} M parameters, {facts['minutes']:g} minutes): {value}"
            r.metric_args["beside"] = "; ".join(filter(None, [r.metric_args.get("beside"), text]))
    curve, dcgan_curve = validation_curve(evaluation.folder), validation_curve(baseline)
    minutes = min(curve[-1][0], dcgan_curve[-1][0])
    lowest, dcgan_lowest = (
        min((fid for minute, fid in fids if minute <= minutes), default=None) for fids in (curve, dcgan_curve)
    )
    if lowest is not None:
        result = evaluation.add(
            "fid_then",
            f"lowest FID to the validation split in the first {minutes:.1f} minutes of training",
            lowest,
            n=min(VALIDATION_SIZE, len(evaluation.load("val"))),
            comparison=f"the plain DCGAN in the same time: {dcgan_lowest:.4g}",
        )
        result.dataset_split = "val"


def validation_curve(folder):
    """[(minute, FID)] of a GAN's last training run, assuming that all its steps took the same time."""
    curve = []
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(line)
        if "run" in line:
            curve, minutes_per_step = [], line["run"]["minutes"] / line["run"]["steps"]
        elif "validation" in line:
            curve.append((line["step"] * minutes_per_step, line["validation"]["fid"]))
    return curve


FUNCTION_EVALUATIONS = (1, 2, 4, 8, 16, 32, 64)


def fid_by_function_evaluations(evaluation, n=1000):
    """FID of n pictures, without guidance, for each sampler and number of function evaluations (NFE).

    Writes `calls.json` of the checkpoint.
    """
    classifier, y = evaluation.classifier(), labels_to_sample(evaluation, n)
    real = metrics.features(classifier, evaluation.data.x)
    floor = metrics.fid(metrics.features(classifier, evaluation.load("train").x[:n]), real)
    rows = []
    for sampler in SAMPLERS:
        for calls in (*FUNCTION_EVALUATIONS, *([250] if sampler == "ddpm" else [])):
            steps = calls
            if sampler == "heun":  # two calls per step, but the last
                steps = (calls + 1) // 2
                calls = 2 * steps - 1
            if rows and rows[-1]["sampler"] == sampler and rows[-1]["calls"] == calls:
                continue
            x = evaluation.generate(y, sampler=sampler, steps=steps, guidance=1.0)
            fid = metrics.fid(metrics.features(classifier, x), real)
            rows.append({"sampler": sampler, "calls": calls, "steps": steps, "fid": float(f"{fid:.5g}")})
            print(*rows[-1].values(), flush=True)
    best = min(row["fid"] for row in rows)
    best_of_16 = min(row["fid"] for row in rows if row["calls"] <= 16)
    evaluation.add(
        "ratio",
        "FID above the floor with at most 16 function evaluations (NFE), divided by the best over all samplers and NFE",
        (best_of_16 - floor) / (best - floor),
        n=n,
        seeded=True,
        comparison=f"FID {best_of_16:.4g}, best {best:.4g}, first {n:,} training pictures {floor:.4g}",
    )
    table = {"n": n, "split": evaluation.split, "seed": evaluation.seed, "floor": {"fid": floor}, "best": best, "rows": rows}
    cards.write_text(evaluation.folder / "calls.json", json.dumps(table) + "\n")


# --- Attributes of faces --------------------------------------------------------------------------------------------


def evaluate_attributes(evaluation):
    """What a code holds about the attributes, and what editing them does to held-out faces."""
    model, classifier, y = evaluation.model, evaluation.classifier(), evaluation.data.y
    latents = load_latents(evaluation.folder)
    visible = y != data.HIDDEN

    def accuracy(predict):
        return (evaluation.map_batches(predict, evaluation.data.x) == y)[visible].double().mean().item()

    evaluation.add(
        "accuracy",
        "attributes recognised in reconstructions by classifier-avatars",
        accuracy(lambda part: classifier.predict(model.reconstruct(part))),
        comparison=f"in the pictures themselves: {accuracy(classifier.predict):.2%}",
    )
    val, train = evaluation.load("val"), evaluation.load("train")[:10_000]
    codes, train_codes = (evaluation.map_batches(lambda part: model.encode(part).mean, x) for x in (evaluation.data.x, train.x))
    for attribute in EDITED_ATTRIBUTES:
        i, values = list(data.ATTRIBUTES).index(attribute), data.ATTRIBUTES[attribute]
        probe = metrics.linear_probe(train_codes, train.y[:, i], len(values))
        far_away = torch.full((evaluation.model.latent,), 1e6)  # stands for the mean code of a value without pictures
        groups = [train_codes[train.y[:, i] == v] for v in range(len(values))]
        means = metrics.nearest_mean(torch.stack([group.mean(0) if len(group) else far_away for group in groups]))
        evaluation.add(
            "share",
            f"{attribute} read from the code by a linear probe",
            probe.accuracy(codes, y[:, i]),
            n=int(visible[:, i].sum()),
            comparison=f"by the nearest mean code: {means.accuracy(codes, y[:, i]):.2%}",
        )
        directions = {"the attribute's vectors": latents, "the probe's weights": probe_latents(latents, probe, attribute)}
        edit_attribute(evaluation, attribute, classifier, val, directions)


def edit_attribute(evaluation, attribute, classifier, val, directions):
    """`metrics.attribute_transfer` with the direction and the amount that are best on the validation split."""

    def transfer(pictures, direction, amount):
        return metrics.attribute_transfer(
            evaluation.model,
            classifier,
            pictures.x,
            pictures.y,
            directions[direction],
            attribute,
            amount=amount,
            seed=evaluation.seed,
        )

    best = {}
    for direction in directions:
        candidates = []
        for amount in EDIT_AMOUNTS:
            t = transfer(val, direction, amount)
            lowest = min(t.preserved.values())
            margin = min(t.reached - 0.90, lowest - 0.85)
            candidates.append((margin, amount, f"{t.reached:.1%} reached, {lowest:.1%} preserved"))
        best[direction] = max(candidates)
    direction, other = sorted(best, key=best.get, reverse=True)
    _, amount, val_result = best[direction]
    _, other_amount, other_result = best[other]
    t = transfer(evaluation.data, direction, amount)
    changed_most = min(t.preserved, key=t.preserved.get)
    evaluation.add(
        "moved",
        f"{attribute}: edited faces with the target value, recognised by classifier-avatars",
        t.reached,
        n=t.n,
        comparison=f"any value but the original: {t.changed:.2%}; edited by {amount:g} times the difference along {direction}, "
        f"chosen on the validation split ({val_result}; best along {other}, by {other_amount:g} times: {other_result})",
        seeded=True,
    )
    evaluation.add(
        "moved",
        f"{attribute}: edited faces that preserve {changed_most}, the attribute preserved least often",
        t.preserved[changed_most],
        n=t.n,
        comparison=f"mean of the {len(t.preserved)} other attributes: {sum(t.preserved.values()) / len(t.preserved):.2%}",
        seeded=True,
    )


def probe_latents(latents, probe, attribute):
    """`latents` with an attribute's vectors along the probe's weights, scaled to extend as far as the old ones along them."""
    vectors = {v: code for v, code in latents.values[attribute].items() if v != "hidden"}
    rows = [data.ATTRIBUTES[attribute].index(v) for v in vectors]
    weight, means = probe.weight[rows], torch.stack(list(vectors.values()))
    weight, means = weight - weight.mean(0), means - means.mean(0)
    scale = (weight * means).sum() / weight.square().sum()
    return latents._replace(values=latents.values | {attribute: dict(zip(vectors, scale * weight))})


# --- The checkpoint's files -----------------------------------------------------------------------------------------


def reference_values(model, dataset, n=16):
    """Numbers of the first n pictures of `data.samples(dataset)`, or of a text, by which a test recognises the checkpoint."""
    if dataset in texts.DATASETS:
        text = texts.DATASETS[dataset]("test")
        if dataset == "tang":
            sums = [texts.nats_of_bodies(model, [poem]) for poem in text[:n]]
            return {"nats": [nats / characters for nats, characters in sums]}
        return {"nats": [texts.nats_of_blocks(model, text[256 * i : 256 * i + 257])[0] for i in range(n)]}
    pictures = data.samples(dataset)[:n]
    x = pictures.floats()
    with torch.inference_mode():
        if isinstance(model, gm.Denoiser | gm.DenoisingVAE):
            noises = [("gaussian", s / 255) for s in SIGMAS] if dataset == "photo" else SMALL_NOISES
            restored = [model.restore(add_noise(x, kind, s, seed=0)) for kind, s in noises]
            values = {"psnr": torch.cat([metrics.psnr(result, x) for result in restored])}
        elif isinstance(model, gm.Transformer):
            *_, last_step = model.complete_steps(x[:1], rows=24, n=n, label=pictures.y, seed=0)
            values = {"bits": model.bits_per_dim(x, pictures.y), "mean_of_completion": last_step.x.mean((1, 2, 3))}
        elif isinstance(model, gm.VAE):
            log_px, kl = model.elbo(x, seed=0)
            values = {
                "log_px": log_px,
                "kl": kl,
                "mean_of_reconstruction": model.reconstruct(x).mean((1, 2, 3)),
                "mean_of_sample": model.sample(n, seed=0).mean((1, 2, 3)),
            }
        elif isinstance(model, gm.Diffusion):
            y = condition_labels(model, pictures, dataset)
            t, eps = torch.linspace(0.05, 0.95, n), torch.randn(x.shape, generator=generator(0))
            values = {
                "error": model.error(x, y, t, eps),
                "mean_of_sample": model.sample(n, label=y, steps=4, seed=0).mean((1, 2, 3)),
            }
        elif isinstance(model, gm.GAN | gm.DCGAN):
            y = condition_labels(model, pictures, dataset)
            values = {"score": model.score(x, y), "mean_of_sample": model.sample(n, label=y, seed=0).mean((1, 2, 3))}
        elif isinstance(model, gm.Flow):
            values = {
                "bits": model.bits_per_dim(x),
                "bits_told": model.bits_per_dim(x, pictures.y),  # given the class
                "mean_of_sample": model.sample(n, label=pictures.y, seed=0).mean((1, 2, 3)),
            }
        elif isinstance(model, gm.Autoencoder):
            reconstruction = model.decode(model.encode(x))
            mse = (reconstruction - x).square().mean((1, 2, 3))
            values = {"mse": mse, "mean_of_reconstruction": reconstruction.mean((1, 2, 3))}
        else:
            y = pictures.y.view(n, -1)
            columns = zip(model.logits(x), y.T)
            logits = [scores.gather(1, labels.clamp(min=0)[:, None]) for scores, labels in columns]
            values = {"right_logits": torch.cat(logits, 1)[y >= 0]}  # a hidden attribute has no label
    return {k: v.tolist() for k, v in values.items()}


def condition_labels(model, pictures, dataset):
    """The labels of pictures that a conditional model takes, (N, attributes)."""
    columns = [list(data.ATTRIBUTES).index(a) for a in model.conditions] if dataset == "avatars" else [0]
    return pictures.y.view(len(pictures), -1)[:, columns]


def evaluate(evaluation):
    """Measure one checkpoint; on the test split also write its reference values and its card."""
    with torch.inference_mode():
        headline = EVALUATORS[evaluation.family](evaluation)
    if evaluation.split == "test":
        values = reference_values(evaluation.model, evaluation.dataset)
        cards.write_text(evaluation.folder / "reference.json", json.dumps(values, indent=1) + "\n")
        cards.write_card(evaluation.folder, evaluation.results, evaluation.command(), headline)


# --- Command line ---------------------------------------------------------------------------------------------------

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints; with --cards-only, none means all.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/, FashionMNIST/ or avatars/.")] = None,
    split: Annotated[str, typer.Option(help="test; or val for choosing between models, which writes nothing.")] = "test",
    samples: Annotated[int, typer.Option(help="Importance samples per picture, for the likelihood.")] = Evaluation.samples,
    generated: Annotated[
        int, typer.Option("--generated", "--drawn", help="Pictures to generate for FID, precision and recall; twice for CAS.")
    ] = Evaluation.generated,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = Evaluation.seed,
    runs: Annotated[Path, typer.Option(help="Folder for unfinished evaluations.")] = Evaluation.runs,
    sampler: Annotated[str, typer.Option(help="Of a diffusion model: " + ", ".join(SAMPLERS) + ".")] = Evaluation.sampler,
    steps: Annotated[int, typer.Option(help="Sampling steps of a diffusion model.")] = Evaluation.steps,
    guidance: Annotated[float, typer.Option(help="Guidance scale of a diffusion model.")] = Evaluation.guidance,
    truncation: Annotated[float, typer.Option(help="Truncation of a GAN's latent codes.")] = Evaluation.truncation,
    pictures: Annotated[int | None, typer.Option(help="With --split val: only the first pictures of the split.")] = None,
    cards_only: Annotated[bool, typer.Option("--cards-only", help="Write cards again from their own numbers.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Write the table of models into the README.")] = False,
    readme: Annotated[Path, typer.Option(help="The README for --table.")] = cards.README,
):
    """Measure checkpoints on the test split and write their cards."""
    try:
        check_choice("--split", split, ("test", "val"))
        check_number("--samples", samples, 1, 100_000, whole=True)
        check_number("--generated", generated, 10, 100_000, whole=True)
        check_number("--seed", seed, 0, 2**31, whole=True)
        check_choice("--sampler", sampler, list(SAMPLERS))
        check_number("--steps", steps, 1, 1000, whole=True)
        check_number("--guidance", guidance, 0, 10)
        check_number("--truncation", truncation, 0, 1.5)
        if pictures is not None:
            check_number("--pictures", pictures, 10, 100_000, whole=True)
            if split == "test":
                raise ValueError("--pictures is for --split val: a card's numbers are those of the whole test split.")
        if not names and not cards_only and not table:
            available = ", ".join(gm.checkpoints()) or "there is none"
            raise ValueError(f"Name a checkpoint ({available}), or give --table.")
        keep_freed_memory()
        for name in names or (gm.checkpoints() if cards_only else []):
            if cards_only:
                cards.rewrite_card(checkpoint_folder(name))
                continue
            evaluate(
                Evaluation(
                    name, split, samples, generated, seed, data_dir, runs, pictures, sampler, steps, guidance, truncation
                )
            )
        if table:
            print(cards.models_table())
            cards.insert_table(readme, cards.models_table())
    except (ValueError, OSError) as e:
        typer.echo(f"Error: {e}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
