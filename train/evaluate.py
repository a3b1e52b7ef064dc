"""Measure shipped checkpoints on the test split and write their cards.

    python -m train.evaluate vae-mnist --samples 5000    measures; writes README.md and reference.json of the checkpoint
    python -m train.evaluate vae-mnist --split val --pictures 1000 --samples 100
                                                         for choosing between models: prints, writes nothing
    python -m train.evaluate diffusion-mnist             20,000 pictures and all samplers: half an hour
    python -m train.evaluate transformer-tang            texts ship with the recipes: a minute
    python -m train.evaluate transformer-mnist           10,000 exact likelihoods and 2,000 pictures: a quarter of an hour
    python -m train.evaluate denoiser-photo              BSD68 in grey and colour, beside scikit-image's methods: an hour
    python -m train.evaluate flow-mnist                  exact likelihoods, what they say of other pictures, 20,000 drawn ones
    python -m train.evaluate --cards-only                writes all cards again, from the numbers that they hold
    python -m train.evaluate --table                     puts the table of models into README.md, from the cards

A few minutes a checkpoint on two cores. The importance-weighted likelihood of a "bernoulli" VAE takes half an hour with
1,000 samples, five times that with 5,000. What takes long is kept in runs/evaluate/, and a new start goes on from there.
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
from genmodels.flow import Likelihoods, Usual, log_normal, save_likelihoods
from genmodels.vae import load_latents
from train import cards, ngram, photographs, texts
from train.cards import shown
from train.denoiser import SIGMAS, SMALL_NOISES
from train.engine import keep_freed_memory
from train.gan import VALIDATED

MOVED = ("smiling", "glasses", "hair_color", "hair_length", "facial_hair", "skin", "background")
AMOUNTS = (0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # how far to move a face; the validation split chooses


@dataclass
class Measuring:
    """How a checkpoint is measured, and its numbers so far."""

    name: str
    split: str = "test"
    samples: int = 1000  # importance samples a picture
    drawn: int = 10_000  # prior samples
    seed: int = 0
    data_dir: Path | None = None
    runs: Path = Path("runs")
    pictures: int | None = None  # only the first of the split, for a quick look
    sampler: str = "dpm"  # of a diffusion model, as are the next two
    steps: int = 16
    guidance: float = 1.0
    truncation: float = 1.0

    def __post_init__(self):
        self.folder = checkpoint_folder(self.name).resolve()
        self.name = self.folder.name
        self.family, self.dataset = cards.family_and_set(self.name)
        self.model = gm.load(self.folder)
        self.key = hashlib.sha256((self.folder / "model.safetensors").read_bytes()).hexdigest()[:12]
        self.set = self.load(self.split)[: self.pictures]
        self.results = []

    def load(self, split):
        """Pictures, a list of photographs, or the characters or the poems of a text."""
        if self.dataset == "photo":
            return photographs.load(split, self.data_dir)
        if self.dataset in texts.DATASETS:
            return texts.DATASETS[self.dataset](split)
        return data.load(self.dataset, split, self.data_dir)

    def judge(self):
        return gm.load(f"classifier-{self.dataset}")

    def each(self, f, x, batch=500):
        """f of pictures x (N, C, H, W), uint8 or floats, a batch of floats at a time: (N, ...)."""
        return torch.cat([f(part.float() / 255 if part.dtype == torch.uint8 else part) for part in x.split(batch)])

    def add(self, metric, label, value, n=None, beside="", seeded=False):
        """Keep one number. metric: its machine-readable kind; beside: the floor, ceiling or rival to read it by."""
        args = {"N": n or len(self.set), "seed": self.seed if seeded else None, "beside": beside or None}
        result = EvalResult(
            task_type=cards.about(self.family, self.dataset)["task"],
            dataset_type=self.dataset,
            dataset_name=cards.SETS[self.dataset]["title"],
            dataset_split=self.split,
            metric_type=metric,
            metric_name=label,
            metric_value=float(f"{value:.6g}"),
            metric_args={k: v for k, v in args.items() if v is not None},
        )
        self.results.append(result)
        print(f"{label}: {shown(result)}" + (f"   ({beside})" if beside else ""), flush=True)
        return result

    def kept(self, name, compute):
        """compute() as JSON knows it, or what it returned for the same name (file `name`.json) at an earlier start."""
        file = self.runs / "evaluate" / f"{name}.json"
        if not file.is_file():
            value = compute()
            file.parent.mkdir(parents=True, exist_ok=True)
            cards.write(file, json.dumps(value))
        return json.loads(file.read_text(encoding="utf-8"))

    def draw(self, y, batch=500, **options):
        """Pictures with labels y (N, ...), uint8. Each batch is kept in a file from which a new start goes on."""
        words = "-".join(f"{v}" for v in options.values())
        folder = self.runs / "evaluate" / f"{self.name}-{self.key}-{len(y)}-{words}-{self.seed}"
        folder.mkdir(parents=True, exist_ok=True)
        pictures = []
        for first in tqdm(range(0, len(y), batch), desc=f"{len(y):,} pictures, {words}", unit="batch", disable=None):
            file, part = folder / f"{first}.npy", y[first : first + batch]
            if not file.is_file():
                x = self.model.sample(len(part), label=part, seed=self.seed + first, **options)  # other noise each time
                with open(file.with_suffix(".new"), "wb") as f:
                    np.save(f, (x * 255).round().to(torch.uint8).cpu().numpy())
                os.replace(file.with_suffix(".new"), file)
            pictures.append(torch.from_numpy(np.load(file)))
        return torch.cat(pictures)

    def command(self):
        """The command line that measures the same again."""
        options = ("samples", "drawn", "seed", "sampler", "steps", "guidance", "truncation")
        changed = [f"--{k} {getattr(self, k)}" for k in options if getattr(self, k) != getattr(Measuring, k)]
        return " ".join(["python -m train.evaluate", self.name, *changed])


# --- One function a family. Each returns its headline for the table of models ---------------------------------------


def autoencoder(at):
    """Reconstruction error, beside that of as many principal components."""
    model, x = at.model, at.set.x
    linear = metrics.pca(at.load("train").x, model.latent)

    def mean_square(again):
        return at.each(lambda part: (again(part) - part).square().mean((1, 2, 3)), x).double().mean().item()

    error, rival = mean_square(lambda part: model.decode(model.encode(part))), mean_square(linear.reconstruct)
    at.add(
        "mse",
        "mean squared error a pixel",
        error,
        beside=f"PCA with {model.latent} components, fitted to the training split: {rival:.4f}",
    )
    at.add("ratio", "PCA's error over the model's", rival / error, beside="1 is no better than PCA")
    if model.latent == 2:
        on_the_map(at, at.each(model.encode, x))
    return f"MSE {error:.4f}; PCA with as many numbers {rival:.4f}, {rival / error:.2f} times as much"


def vae(at):
    """Likelihood, reconstructions, prior samples; the map if there is one; faces moved along their attributes."""
    model = at.model
    headline = likelihood(at)
    psnr = reconstructions(at)
    fid = prior_samples(at)
    if model.latent == 2:
        on_the_map(at, at.each(lambda part: model.encode(part).mean, at.set.x))
    if at.dataset == "avatars":
        attributes(at)
    return headline if model.family == "bernoulli" else f"{psnr}, {headline}, {fid}"


def classifier(at):
    """Accuracy. An attribute that a picture does not show does not count."""
    y = at.set.y.view(len(at.set), -1)
    right = at.each(at.model.predict, at.set.x) == y
    questions = ["the class"] if y.shape[1] == 1 else list(data.ATTRIBUTES)
    rows = []
    for i, question in enumerate(questions):
        labels = y[y[:, i] >= 0, i]
        rows.append(
            (
                right[y[:, i] >= 0, i].double().mean().item(),
                question,
                len(labels),
                f"always the commonest answer: {labels.bincount().max() / len(labels):.1%}",
            )
        )
    mean = sum(share for share, *_ in rows) / len(rows)
    if len(rows) == 1:
        return f"accuracy {shown(at.add('accuracy', 'accuracy', mean, beside=rows[0][3]))}"
    headline = at.add("accuracy", "accuracy, mean over the attributes", mean, beside="hidden attributes do not count")
    for share, question, n, commonest in rows:
        at.add("accuracy", f"accuracy of {question}", share, n=n, beside=commonest)
    return f"accuracy {shown(headline)}, lowest {min(rows)[0]:.2%} ({min(rows)[1]})"


def diffusion(at):
    """What 20,000 drawn pictures are worth, whether they show what was asked for, and what fewer network calls cost."""
    y = requests(at, at.drawn * 2 if at.dataset != "avatars" else at.drawn)
    x = at.draw(y, sampler=at.sampler, steps=at.steps, guidance=at.guidance)
    shares = asked_for(at, x, y)
    headline = [score(at, x, y), shares] if at.dataset != "avatars" else [shares]
    headline.append(against_real(at, x[: at.drawn]))
    if at.split == "test":
        against_calls(at)
    return ", ".join(headline)


def gan(at):
    """What 20,000 drawn pictures are worth, whether they show what was asked for, whether every class is there in its width."""
    y = requests(at, at.drawn * 2 if at.dataset != "avatars" else at.drawn)
    x = at.draw(y, **({"truncation": at.truncation} if at.family == "gan" else {}))
    shares = asked_for(at, x, y)
    headline = [score(at, x, y), shares] if at.dataset != "avatars" else [shares]
    headline.append(against_real(at, x[: at.drawn]))
    if at.dataset != "avatars":
        within_classes(at, x, y)
    rival = checkpoint_root() / at.name.replace("gan-", "dcgan-", 1)
    if at.family == "gan" and (rival / "README.md").is_file():  # after the same minutes; measured before
        beside_rival(at, rival)
    return ", ".join(headline)


def transformer(at):
    """What it has not foreseen of a text, or of pictures; and what pictures are worth that it writes."""
    return {"characters": plays, "poems": poems, "pixels": pixels}[at.model.kind](at)


def denoiser(at):
    """What is left of the noise, beside scikit-image's methods; on digits and clothes also what the judge reads."""
    return restored_photographs(at) if at.dataset == "photo" else restored_pictures(at)


def flow(at):
    """Exact bits a pixel, what they say of other pictures, and what drawn pictures are worth."""
    bits, y = likelihoods(at), requests(at, 2 * at.drawn)
    x = at.draw(y, temperature=1.0)
    return ", ".join([bits, asked_for(at, x, y), score(at, x, y), against_real(at, x[: at.drawn])])


MEASURES = {
    "autoencoder": autoencoder,
    "vae": vae,
    "diffusion": diffusion,
    "gan": gan,
    "dcgan": gan,
    "classifier": classifier,
    "transformer": transformer,
    "flow": flow,
    "denoiser": denoiser,
    "dvae": denoiser,
}


# --- A flow's -------------------------------------------------------------------------------------------------------

STRANGE = 2000  # pictures of each other kind, and of the validation split, that say what is usual
BITS_IN_PRINT = {"mnist": "RealNVP 1.06, Glow 1.05, Residual Flow 0.97", "fashion": "Glow 2.95"}


def likelihoods(at):
    """Bits a pixel of the split and of stranger pictures; writes `likelihoods.json` of the checkpoint. Returns a headline."""
    model, x, other = at.model, at.set.x, {"mnist": "fashion", "fashion": "mnist"}[at.dataset]
    some = x[:STRANGE]
    strange = {
        other: data.load(other, at.split, at.data_dir).x[:STRANGE],
        "inverted": 255 - some,
        "rotated": some.rot90(1, (2, 3)),
        "noise": torch.randint(256, some.shape, generator=generator(at.seed), dtype=torch.uint8),
    }

    def layers(kind, x):  # log p of each picture by layer, (N, layers)
        name = f"{at.name}-{at.key}-{at.split}-{kind}-{len(x)}"
        return torch.tensor(at.kept(name, lambda: at.each(model.layer_log_probs, x, 250).tolist()), dtype=torch.float64)

    nats = {at.dataset: layers(at.dataset, x), **{kind: layers(kind, of) for kind, of in strange.items()}}
    bits = {kind: metrics.bits_per_dim(of.sum(1), model.latent) for kind, of in nats.items()}
    mean = at.add(
        "bits_per_dim",
        "bits a pixel, 8-bit, exact: the noise of uniform dequantization costs nothing",
        bits[at.dataset].mean().item(),
        beside=f"bounds in print: {BITS_IN_PRINT[at.dataset]}; 8 is no model",
    )
    told = torch.cat([model.bits_per_dim(of.float() / 255, y) for of, y in zip(x.split(250), at.set.y.split(250))])
    at.add("bits_per_dim", "the same, the class told", told.double().mean().item())
    few = x[:200].float() / 255
    draws = metrics.bits_per_dim(torch.stack([by_way_of_noise(model, few, at.seed + i) for i in range(8)]), model.latent, 256)
    at.add(
        "bits_per_dim",
        "bits a pixel by way of the noise, eight draws of it, importance-weighted",
        n=len(few),
        seeded=True,
        value=metrics.bits_per_dim(torch.logsumexp(-draws * model.latent * math.log(2), 0) - math.log(8), model.latent)
        .mean()
        .item(),
        beside=f"one draw: {draws[0].mean():.4f}, exact: {bits[at.dataset][:200].mean():.4f}",
    )
    usual = Usual.of(layers("val", at.load("val").x[:STRANGE]))
    far = {kind: usual.distance(of) for kind, of in nats.items()}
    for kind in strange:
        at.add(
            "auroc",
            f"AUROC of typicality: {at.dataset} against {kind}",
            auroc(far[at.dataset], far[kind]),
            n=len(far[kind]),
            seeded=True,
            beside=f"of bits a pixel: {auroc(bits[at.dataset], bits[kind]):.3f}; mean {bits[kind].mean():.3g} bits",
        )
    if at.split == "test":
        save_likelihoods(Likelihoods.of(usual, bits, far), at.folder)
    return f"{shown(mean)} bits/dim"


def by_way_of_noise(model, x, seed):
    """log of the density at x with one draw of the levels' noise, in nats: log N(z) + log |det|, (N,)."""
    *_, last = model.encode_steps(x, seed=seed)
    return log_normal(last.h).flatten(1).sum(1) + last.log_det


def auroc(usual, strange):
    """How often the larger number is the strange one's."""
    ranked, n = usual.sort().values, len(usual)
    below, above = (torch.searchsorted(ranked, strange, right=right).double().mean().item() / n for right in (False, True))
    return (below + above) / 2


# --- A transformer's ------------------------------------------------------------------------------------------------

WRITTEN = 200  # pictures a class; each takes 784 calls of the network, so that 2,000 would take hours


def plays(at):
    """Nats a character. Returns a headline."""
    nats, n = texts.nats_of_blocks(at.model, at.set)
    size = sum(p.numel() for p in at.model.parameters()) / 1e6
    at.add(
        "nats",
        "negative log-likelihood, nats a character",
        nats,
        n=n,
        beside=f"{size:.2f} M parameters; nanoGPT with 10.65 M, on the same split: 1.4697; lowest in print: about 1.45",
    )
    at.add(
        "bits",
        "the same in bits",
        nats / math.log(2),
        n=n,
        beside=f"{at.model.tokenizer.vocab_size} characters, all as likely: {math.log2(at.model.tokenizer.vocab_size):.3f}",
    )
    at.add("perplexity", "the same as perplexity", math.exp(nats), n=n)
    return f"{nats:.4f} nats a character (nanoGPT, 10.65 M: 1.4697)"


def poems(at):
    """Perplexity of the bodies, beside a 5-gram of the same training poems. Returns a headline."""
    model = at.model
    (nats, n), (bare, _) = texts.nats_of_bodies(model, at.set), texts.nats_of_bodies(model, at.set, with_title=False)
    told, untold = math.exp(nats / n), math.exp(bare / n)
    rival, unseen = five_gram(at, model.tokenizer)
    at.add(
        "perplexity",
        "perplexity of a body's character, title and author told",
        told,
        n=n,
        beside=f"interpolated modified Kneser-Ney 5-gram: {rival:.4g}",
    )
    at.add("below", "that far below the 5-gram's", 1 - told / rival, n=n)
    at.add("perplexity", "perplexity, only the form told", untold, n=n, beside=f"{1 - untold / rival:.1%} below the 5-gram's")
    at.add("share", "characters of the bodies that are unknown", unseen, n=n, beside="they count, as the unknown one")
    return f"perplexity {told:.1f}, {1 - told / rival:.1%} below a Kneser-Ney 5-gram; without title and author {untold:.1f}"


def five_gram(at, tokenizer):
    """(perplexity of the bodies' characters by a 5-gram of the training bodies, share of unknown ones)"""

    def read(poems):
        return ngram.grams(
            [[tokenizer.token_id[form], *tokenizer.encode_continuation(body, f"{form}|")[1]] for form, _, _, body in poems], 5
        )

    asked = read(at.set)
    asked = asked[~np.isin(asked[:, -1], tokenizer.marks)]
    p = ngram.KneserNey(read(at.load("train")), tokenizer.vocab_size).probabilities(asked)
    return math.exp(-np.log(p).mean()), (asked[:, -1] == tokenizer.UNKNOWN).mean()


def pixels(at):
    """Exact bits a pixel, and what drawn pictures are worth. Returns a headline."""

    def bits(first, last, batch=20):
        parts = torch.arange(first, last).split(batch)
        return [b for i in parts for b in at.model.bits_per_dim(at.set[i].floats(), at.set.y[i]).tolist()]

    n, each = len(at.set), []
    for first in tqdm(range(0, n, 500), desc="bits a pixel", disable=None):
        last = min(n, first + 500)
        each += at.kept(f"{at.name}-{at.key}-{at.split}-{first}-{last}", lambda first=first, last=last: bits(first, last))
    mean = at.add(
        "bits_per_dim",
        "bits a pixel, exact",
        sum(each) / n,
        beside="in print: PixelCNN 0.808, linear transformer 0.644, softmax transformer 0.621; 8 is no model",
    )
    y = requests(at, min(at.drawn, 10 * WRITTEN))
    x = at.draw(y, batch=64)
    shares = asked_for(at, x, y)
    return ", ".join([f"{shown(mean)} bits/dim", shares, score(at, x, y, WRITTEN), against_real(at, x)])


# --- A denoiser's ----------------------------------------------------------------------------------------------------

IN_PRINT = {
    15: "BM3D 31.07, DnCNN-B 31.61, FFDNet 31.63",
    25: "BM3D 28.57, DnCNN-B 29.16, FFDNet 29.19",
    50: "BM3D 25.62, DnCNN-B 26.23, FFDNet 26.29",
}  # on BSD68 in grey
CLASSICS = 1000  # of the digits or clothes, which the classical methods get: they take one picture at a time


def restored_photographs(at):
    """PSNR and SSIM of each photograph in grey and in colour, blind and told: `table.json`. Returns a headline."""
    grey = [luma(p[None] / 255) if len(p) == 3 else p[None] / 255 for p in at.set]
    sets = [("in grey", grey)]
    if at.split == "test":
        sets.append(("in colour", [p[None] / 255 for p in photographs.load("colour", at.data_dir)]))
    columns, rows, headline = ["noisy", *CLASSICAL, "ours, blind", "ours, told sigma"], [], []
    for what, clean in sets:
        for sigma in SIGMAS:

            def worth(k, clean=clean, sigma=sigma):
                s, x = sigma / 255, clean[k]
                y = add_noise(x, "gaussian", s, seed=at.seed + k)
                tries = [y, *(classical(y, m, s) for m in CLASSICAL), at.model.restore(y), at.model.restore(y, s)]
                return [[of(x_hat, x).item() for of in (metrics.psnr, metrics.ssim)] for x_hat in tries]

            key = f"{at.name}-{at.key}-{at.split}-{what.split()[1]}-{sigma}-{at.seed}"
            each = [at.kept(f"{key}-{k}", lambda k=k: worth(k)) for k in range(len(clean))]
            means = torch.tensor(each, dtype=torch.float64).mean(0).tolist()  # (methods, 2)
            rows.append([f"{what}, sigma {sigma}", *(f"{p:.2f} / {q:.3f}" for p, q in means)])
            told = dict(zip(columns, means))
            printed = f"; in print: {IN_PRINT[sigma]}" if what == "in grey" and at.split == "test" else ""
            for how in ("told sigma", "blind"):
                at.add(
                    "restored_psnr",
                    f"PSNR {what}, sigma {sigma}, {how}, dB",
                    told[f"ours, {how}"][0],
                    n=len(clean),
                    beside=f"noisy {told['noisy'][0]:.2f}, non-local means {told['non-local means'][0]:.2f}{printed}",
                    seeded=True,
                )
            at.add(
                "restored_ssim",
                f"SSIM {what}, sigma {sigma}, told sigma",
                told["ours, told sigma"][1],
                n=len(clean),
                beside=f"non-local means {told['non-local means'][1]:.3f}",
                seeded=True,
            )
            headline += [f"{told['ours, told sigma'][0]:.2f}"] if what == "in grey" else []
    write_table(
        at, "PSNR in dB and SSIM, means over the pictures. All but the median and ours, blind, are told sigma.", columns, rows
    )
    return f"{' / '.join(headline)} dB on BSD68 at sigma {' / '.join(map(str, SIGMAS))} (BM3D 31.07 / 28.57 / 25.62)"


def restored_pictures(at):
    """PSNR, SSIM and the judge's accuracy on restored digits or clothes: `table.json`. Returns a headline."""
    judge, x, y = at.judge(), at.set.floats(), at.set.y.view(-1)
    models = {
        family: gm.load(f"{family}-{at.dataset}")
        for family in ("denoiser", "dvae")
        if f"{family}-{at.dataset}" in gm.checkpoints()
    }
    rows, mean = [], []
    clean = (at.each(judge.predict, x)[:, 0] == y).double().mean().item()
    for kind, strength in SMALL_NOISES:
        noisy = add_noise(x, kind, strength, seed=at.seed)
        sigma = {"sigma": strength} if kind == "gaussian" else {}

        def kept(method, part=noisy[:CLASSICS], sigma=sigma, name=f"{kind}-{strength:.3f}"):
            key = "-".join(["classical", at.dataset, at.split, method, name, f"{len(part)}", f"{at.seed}"])
            return (
                torch.tensor(
                    at.kept(
                        key.replace(" ", "-"),
                        lambda: (
                            torch.cat([(classical(one, method, **sigma) * 255).round() for one in part.split(1)]).int().tolist()
                        ),
                    )
                )
                / 255
            )

        tries = {
            "noisy": noisy,
            **{m: kept(m) for m in CLASSICAL},
            **{
                family: at.each(
                    lambda part, of=of, sigma=sigma: of.restore(part, **(sigma if of is models.get("denoiser") else {})), noisy
                )
                for family, of in models.items()
            },
        }
        worth = {}
        for name, of in tries.items():
            right = (at.each(judge.predict, of.clamp(0, 1))[:, 0] == y[: len(of)]).double().mean().item()
            worth[name] = [metrics.psnr(of, x[: len(of)]).mean().item(), metrics.ssim(of, x[: len(of)]).mean().item(), right]
        title = f"{kind}, {f'sigma {255 * strength:.0f}' if kind == 'gaussian' else f'{strength:.0%}'}"
        rows.append([title, *(f"{p:.2f} / {q:.3f} / {r:.1%}" for p, q, r in worth.values())])
        psnr, ssim, right = worth[at.family]
        best = max(CLASSICAL, key=lambda m: worth[m][0])
        at.add(
            "restored_psnr",
            f"PSNR, {title}, dB",
            psnr,
            seeded=True,
            beside=f"noisy {worth['noisy'][0]:.2f}; best of "
            f"scikit-image's, {best}, on {len(tries[best]):,} of them: {worth[best][0]:.2f}",
        )
        at.add("restored_ssim", f"SSIM, {title}", ssim, seeded=True, beside=f"{best}: {worth[best][1]:.3f}")
        at.add(
            "accuracy",
            f"restored pictures read right by classifier-{at.dataset}, {title}",
            right,
            seeded=True,
            beside=f"noisy ones {worth['noisy'][2]:.1%}, clean ones {clean:.1%}",
        )
        mean.append(psnr)
    few = len(x[:CLASSICS])
    write_table(
        at,
        f"PSNR in dB, SSIM and the judge's accuracy (clean pictures: {clean:.1%}). scikit-image's methods got the "
        f"first {few:,} pictures. They and the denoiser are told sigma where the noise is Gaussian.",
        [*tries],
        rows,
    )
    return f"mean PSNR {sum(mean) / len(mean):.2f} dB over {len(mean)} kinds and strengths of noise"


def write_table(at, text, columns, rows):
    """All methods beside each other, for the card."""
    if at.split == "test":
        cards.write(at.folder / "table.json", json.dumps({"text": text, "columns": ["noise", *columns], "rows": rows}) + "\n")


# --- Their parts ----------------------------------------------------------------------------------------------------


def on_the_map(at, codes, side=30):
    """How many classes the judge sees on a grid over the middle 98 % of the pictures' codes (N, 2)."""
    low, high = codes.quantile(torch.tensor([0.01, 0.99]), dim=0).tolist()
    z = torch.cartesian_prod(*(torch.linspace(a, b, side) for a, b in zip(low, high)))
    counts = at.judge().predict(at.model.decode(z))[:, 0].bincount(minlength=10)
    at.add(
        "classes",
        f"classes that the judge sees on a {side}x{side} map of the codes",
        (counts > 0).sum().item(),
        n=side**2,
        beside=f"of 10; the rarest covers {counts.min() / side**2:.1%} of the map",
    )


def likelihood(at):
    """ELBO, KL, bits; for a model of black and white pixels the importance-weighted likelihood. Returns a headline."""
    model, x, dims = at.model, at.set.floats(), at.set.x[0].numel()
    binary = model.family == "bernoulli"
    if binary:
        x = model.binarise(x, at.seed)
    kind = f"pixels drawn black or white, seed {at.seed}" if binary else "a density of greys in [0, 1]"
    log_px, kl = elbo(at, x)
    bound = at.add("elbo", "ELBO, nats a picture", (log_px - kl).mean().item(), beside=kind, seeded=True)
    mean_kl = at.add("kl", "mean KL of the codes, nats", kl.mean().item(), beside="0 is a code that says nothing")
    of_each = at.each(lambda part: torch.distributions.kl_divergence(model.encode(part), model.prior()), x).mean(0)
    at.add(
        "active_units",
        "code dimensions with a mean KL over 0.01 nats",
        (of_each > 0.01).sum().item(),
        beside=f"of {model.latent}",
    )
    if not binary:
        noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(at.seed))
        log_px, kl = elbo(at, (at.set.x + noise) / 256)
        bits = metrics.bits_per_dim(log_px - kl, dims, levels=256)
        at.add(
            "bits_per_dim",
            "bits a value, at most",
            bits.mean().item(),
            beside="ELBO of 8-bit values with uniform noise; 8 is no model",
            seeded=True,
        )
        return f"KL {shown(mean_kl)} nats"
    if model.latent == 2:
        return f"ELBO {shown(bound)} nats"
    log_p = importance_weighted(at, x)
    published = "; published for two dense layers of 300 and D = 40: 84.45" if at.dataset == "mnist" else ""
    nll = at.add(
        "nll",
        f"negative log-likelihood, nats, {at.samples:,} importance samples",
        -log_p.mean().item(),
        beside=kind + published,
        seeded=True,
    )
    at.add(
        "bits_per_dim",
        "the same in bits a pixel",
        metrics.bits_per_dim(log_p, dims).mean().item(),
        beside="1 is a coin a pixel",
        seeded=True,
    )
    return f"NLL {shown(nll)} nats ({at.samples:,} importance samples)"


def elbo(at, x, batch=500):
    """(log p(x | z), KL) of each picture, (N,) float64 each."""
    terms = [at.model.elbo(part, at.seed + i) for i, part in enumerate(x.split(batch))]  # other noise for each batch
    return tuple(torch.cat(term).double() for term in zip(*terms))


def importance_weighted(at, x, batch=100):
    """`VAE.log_prob` of each picture, (N,) float64. Kept in a file of `at.runs`, from which a new start goes on."""
    key = hashlib.sha256((at.folder / "model.safetensors").read_bytes() + x.numpy().tobytes()).hexdigest()[:16]
    file = at.runs / "evaluate" / f"{at.name}-{at.samples}-{at.seed}-{key}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    known = np.load(file) if file.is_file() else np.zeros(0)
    for first in tqdm(
        range(len(known), len(x), batch),
        initial=len(known) // batch,
        total=-(-len(x) // batch),
        desc=f"{at.samples:,} importance samples",
        unit="batch",
        disable=None,
    ):
        log_p = at.model.log_prob(x[first : first + batch], at.samples, seed=at.seed + first)  # other noise each time
        known = np.append(known, log_p.double().numpy())
        with open(file.with_suffix(".new"), "wb") as f:
            np.save(f, known)
        os.replace(file.with_suffix(".new"), file)
    return torch.from_numpy(known)


def reconstructions(at):
    """PSNR and SSIM of decode(mean code), beside as many principal components. Returns a headline."""
    x = at.set.x
    again, beside = at.each(at.model.reconstruct, x), ["", "1 is the picture itself"]
    if at.dataset != "avatars":  # the covariance of 12,288 values is too large for this
        linear = metrics.pca(at.load("train").x, at.model.latent).reconstruct(x).clamp(0, 1)
        beside = [f"PCA with {at.model.latent} components: {of(linear, x).mean():.4g}" for of in (metrics.psnr, metrics.ssim)]
    result = at.add(
        "psnr", "PSNR of reconstructions, dB, mean over pictures", metrics.psnr(again, x).mean().item(), beside=beside[0]
    )
    at.add("ssim", "SSIM of reconstructions", metrics.ssim(again, x).mean().item(), beside=beside[1])
    return f"PSNR {shown(result)} dB"


def prior_samples(at):
    """`against_real` of decode(z), z from the prior; greys beside a linear model. Returns a headline."""
    n = at.drawn
    x = torch.cat([at.model.sample(min(500, n - i), seed=at.seed + i) for i in range(0, n, 500)])
    linear = metrics.pca(at.load("train").x, 64) if at.dataset != "avatars" else None
    return against_real(at, x, linear)


def against_real(at, x, linear=None):
    """FID, precision, recall, density, coverage of drawn pictures x, beside real ones. Returns a headline.

    The floor is that of as many training pictures as were drawn, so that N is the same; but the judge has seen those, so
    the distance of the split's two halves stands beside. linear: a `metrics.PCA` to draw from for comparison.
    """
    judge, n = at.judge(), len(x)
    real, floor, fake = (metrics.features(judge, of) for of in (at.set.x, at.load("train").x[:n], x))
    order = torch.randperm(len(real), generator=torch.Generator().manual_seed(at.seed))
    halves, lowest = metrics.fid(real[order[::2]], real[order[1::2]]), metrics.fid(floor, real)
    beside = (
        f"first {len(floor):,} training pictures: {lowest:.4g}; "
        f"random halves of the {at.split} split to each other: {halves:.4g}"
    )
    if linear:
        distance = metrics.fid(metrics.features(judge, linear.sample(n, seed=at.seed)), real)
        beside += f"; Gaussian fitted to the training split's first {len(linear.variance)} principal components: {distance:.4g}"
    result = at.add(
        "fid",
        f"FID of drawn pictures to the {at.split} split, features of classifier-{at.dataset}",
        metrics.fid(fake, real),
        n=n,
        beside=beside,
        seeded=True,
    )
    n = min(map(len, (real, floor, fake)))  # these depend on both sizes
    real, floor, fake = real[:n], floor[:n], fake[:n]
    kinds = {"precision": "k = 3", "recall": "k = 3", "density": "k = 5", "coverage": "k = 5"}
    fakes, floors = (
        [*metrics.precision_recall(real, of, k=3), *metrics.density_coverage(real, of, k=5)] for of in (fake, floor)
    )
    for (metric, k), value, ceiling in zip(kinds.items(), fakes, floors):
        at.add(metric, f"{metric} of drawn pictures, {k}", value, n=n, beside=f"training pictures: {ceiling:.3f}", seeded=True)
    return f"FID {shown(result)} (real pictures {lowest:.3g})"


def requests(at, n):
    """What to ask a conditional model for: n classes in turn, or the attributes of real faces of the split, in turn."""
    if at.dataset != "avatars":
        return torch.arange(n) % 10
    columns = [list(data.ATTRIBUTES).index(a) for a in at.model.conditions]
    return at.set.y[:, columns].repeat(-(-n // len(at.set)), 1)[:n]


def asked_for(at, x, y):
    """On how many of the drawn pictures x the judge sees what was asked for, y. Returns a headline."""
    judge, questions = at.judge(), {"class": 0}
    if at.dataset == "avatars":
        questions = {a: list(data.ATTRIBUTES).index(a) for a in at.model.conditions}
    seen, real = at.each(judge.predict, x), at.each(judge.predict, at.set.x)
    truth, shares = at.set.y.view(len(at.set), -1), {}
    for (question, i), asked in zip(questions.items(), y.view(len(y), -1).T):
        right = (seen[:, i] == asked)[asked >= 0]
        of_real = (real[:, i] == truth[:, i])[truth[:, i] >= 0].double().mean()
        at.add(
            "share",
            f"requested {question} recognised by classifier-{at.dataset}",
            right.double().mean().item(),
            n=len(right),
            beside=f"on real pictures: {of_real:.2%}",
            seeded=True,
        )
        shares[question] = right.double().mean().item()
    worst = min(shares, key=shares.get)
    return f"{worst} recognised {shares[worst]:.1%}" + (" (the lowest)" if len(shares) > 1 else "")


def score(at, x, y, per_class=None):
    """Classification accuracy score of drawn pictures x with classes y. Returns a headline.

    per_class: fewer than the frozen protocol's 2,000, for what draws slowly; then real ones are as few.
    """
    train, n = at.load("train"), 10 * (per_class or 2000)
    drawn = hashlib.sha256(x.numpy().tobytes()).hexdigest()[:12]
    fewer = {"per_class": per_class} if per_class else {}
    ours, real = (
        metrics.CAS(
            *at.kept(
                "-".join(["cas", at.dataset, at.split, key, *map(str, fewer.values())]),
                lambda of=of: metrics.cas(of[0], of[1], at.set.x, at.set.y, **fewer),
            )
        )
        for key, of in ((drawn, (x, y)), ("real", (train.x, train.y)))
    )
    words = f", with {n:,} pictures instead of 20,000" if fewer else ""
    at.add("cas_sd", "its standard deviation over the three seeds", ours.sd, n=n, beside=f"real: {real.sd:.4f}")
    result = at.add(
        "cas",
        f"CAS: accuracy on real pictures of a small CNN trained on drawn ones, mean of 3 seeds{words}",
        ours.mean,
        n=n,
        beside=f"trained on {n:,} real ones: {real.mean:.2%}",
        seeded=True,
    )
    return f"CAS {shown(result)} (real pictures {real.mean:.1%}{words})"


def within_classes(at, x, y, n=1000):
    """Recall within each class, over that of real pictures: no mode of a class is lost where it is near 1."""
    judge, train = at.judge(), at.load("train")
    shares = []
    for c in range(10):
        real, other, fake = (metrics.features(judge, of.x[of.y == c][:n]) for of in (at.set, train, data.Pictures(x, y)))
        k = min(map(len, (real, other, fake)))
        ours, ceiling = (metrics.precision_recall(real[:k], of[:k], k=3)[1] for of in (fake, other))
        shares.append((ours / ceiling, c, ours, ceiling, k))
    lowest, c, ours, ceiling, _ = min(shares)
    at.add(
        "ratio",
        "recall within a class over that of training pictures, the lowest of ten, k = 3",
        lowest,
        n=min(k for *_, k in shares),
        seeded=True,
        beside=f"class {c}: {ours:.1%}, training pictures {ceiling:.1%}; mean of the ten: "
        f"{sum(s for s, *_ in shares) / len(shares):.3f}",
    )


def beside_rival(at, rival):
    """Put a plain DCGAN's numbers beside those of the same name, and say what it is; and both after the same minutes."""
    numbers, facts = cards.read_card(rival)
    theirs, size = {r.metric_name: r for r in numbers}, facts["parameters"] / 1e6
    for r in at.results:
        if (other := theirs.get(r.metric_name)) and r.metric_type != "cas_sd":
            words = f"a plain DCGAN ({size:.2f} M parameters, {facts['minutes']:g} minutes): {shown(other)}"
            r.metric_args["beside"] = "; ".join(filter(None, [r.metric_args.get("beside"), words]))
    ours, other = validated(at.folder), validated(rival)
    then = min(ours[-1][0], other[-1][0])
    fid, its = (min((fid for minute, fid in curve if minute <= then), default=None) for curve in (ours, other))
    if fid is not None:
        at.add(
            "fid_then",
            f"lowest FID to the validation split in the first {then:.1f} minutes of training",
            fid,
            n=min(VALIDATED, len(at.load("val"))),
            beside=f"the plain DCGAN in as many: {its:.4g}",
        )
        at.results[-1].dataset_split = "val"


def validated(folder):
    """[(minute, FID)] of the last training run of a GAN, whose steps are taken to be all as long."""
    curve = []
    for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(line)
        if "run" in line:
            curve, minutes = [], line["run"]["minutes"] / line["run"]["steps"]
        elif "validation" in line:
            curve.append((line["step"] * minutes, line["validation"]["fid"]))
    return curve


CALLS = (1, 2, 4, 8, 16, 32, 64)  # of the network


def against_calls(at, n=1000):
    """FID of n pictures, without guidance, for each sampler and number of network calls: `calls.json` of the checkpoint."""
    judge, y = at.judge(), requests(at, n)
    real = metrics.features(judge, at.set.x)
    floor = metrics.fid(metrics.features(judge, at.load("train").x[:n]), real)
    rows = []
    for sampler in SAMPLERS:
        for calls in (*CALLS, *([250] if sampler == "ddpm" else [])):
            steps = (calls + 1) // 2 if sampler == "heun" else calls
            if sampler == "heun" and calls > 1:
                calls = 2 * steps - 1
            if rows and rows[-1]["sampler"] == sampler and rows[-1]["calls"] == calls:
                continue
            x = at.draw(y, sampler=sampler, steps=steps, guidance=1.0)
            rows.append(
                {
                    "sampler": sampler,
                    "calls": calls,
                    "steps": steps,
                    "fid": float(f"{metrics.fid(metrics.features(judge, x), real):.5g}"),
                }
            )
            print(*rows[-1].values(), flush=True)
    best = min(row["fid"] for row in rows)
    sixteen = min(row["fid"] for row in rows if row["calls"] <= 16)
    at.add(
        "ratio",
        "FID above the floor with at most 16 network calls, over the best of all samplers and calls",
        (sixteen - floor) / (best - floor),
        n=n,
        seeded=True,
        beside=f"FID {sixteen:.4g}, best {best:.4g}, first {n:,} training pictures {floor:.4g}",
    )
    table = {"n": n, "split": at.split, "seed": at.seed, "floor": {"fid": floor}, "best": best, "rows": rows}
    cards.write(at.folder / "calls.json", json.dumps(table) + "\n")


def attributes(at):
    """What a code says about attributes, and what moving held-out faces along them does."""
    model, judge, latents, y = at.model, at.judge(), load_latents(at.folder), at.set.y
    seen = y != data.HIDDEN
    direct, again = (
        (at.each(f, at.set.x) == y)[seen].double().mean().item()
        for f in (judge.predict, lambda part: judge.predict(model.reconstruct(part)))
    )
    at.add(
        "accuracy",
        "attributes that the judge reads right from reconstructions",
        again,
        beside=f"from the pictures themselves: {direct:.2%}",
    )
    val, train = at.load("val"), at.load("train")[:10_000]
    codes, train_codes = (at.each(lambda part: model.encode(part).mean, x) for x in (at.set.x, train.x))
    for attribute in MOVED:
        i, values = list(data.ATTRIBUTES).index(attribute), data.ATTRIBUTES[attribute]
        probe = metrics.linear_probe(train_codes, train.y[:, i], len(values))
        nowhere = torch.full((at.model.latent,), 1e6)  # the mean code of a value that no picture had
        rows = [train_codes[train.y[:, i] == v] for v in range(len(values))]
        means = metrics.nearest_mean(torch.stack([of.mean(0) if len(of) else nowhere for of in rows]))
        at.add(
            "share",
            f"{attribute} read from the code by a linear probe",
            probe.accuracy(codes, y[:, i]),
            n=int(seen[:, i].sum()),
            beside=f"by the nearest mean code: {means.accuracy(codes, y[:, i]):.2%}",
        )
        move(at, attribute, judge, val, {"values' vectors": latents, "the probe": probe_latents(latents, probe, attribute)})


def move(at, attribute, judge, val, directions):
    """`metrics.attribute_transfer` with the direction and the amount that suit the validation split best."""
    best = {}
    for direction, latents in directions.items():
        tries = []
        for amount in AMOUNTS:
            t = metrics.attribute_transfer(at.model, judge, val.x, val.y, latents, attribute, amount=amount, seed=at.seed)
            worst = min(t.kept.values())
            tries.append((min(t.reached - 0.90, worst - 0.85), amount, f"{t.reached:.1%} moved, {worst:.1%} kept"))
        best[direction] = max(tries)
    direction, other = sorted(best, key=best.get, reverse=True)
    amount = best[direction][1]
    t = metrics.attribute_transfer(
        at.model, judge, at.set.x, at.set.y, directions[direction], attribute, amount=amount, seed=at.seed
    )
    worst = min(t.kept, key=t.kept.get)
    at.add(
        "moved",
        f"{attribute}: faces on which the judge then sees the value aimed at",
        t.reached,
        n=t.n,
        beside=f"any value but the former: {t.changed:.2%}; moved by {amount:g} of the difference of {direction}, "
        f"chosen on the validation split ({best[direction][2]}; best of {other}, by {best[other][1]:g}: "
        f"{best[other][2]})",
        seeded=True,
    )
    at.add(
        "moved",
        f"{attribute}: faces on which {worst} stays, the attribute that suffers most",
        t.kept[worst],
        n=t.n,
        beside=f"mean of the {len(t.kept)} other attributes: {sum(t.kept.values()) / len(t.kept):.2%}",
        seeded=True,
    )


def probe_latents(latents, probe, attribute):
    """`latents` whose values of an attribute differ along the probe's weights, as far along them as the vectors did."""
    known = {v: code for v, code in latents.values[attribute].items() if v != "hidden"}
    rows = [data.ATTRIBUTES[attribute].index(v) for v in known]
    weight, means = probe.weight[rows], torch.stack(list(known.values()))
    weight, means = weight - weight.mean(0), means - means.mean(0)
    scale = (weight * means).sum() / weight.square().sum()
    return latents._replace(values=latents.values | {attribute: dict(zip(known, scale * weight))})


def reference(model, dataset, n=16):
    """Numbers of the first n pictures of `data.samples(dataset)`, or of a text, by which a test knows the checkpoint again."""
    if dataset in texts.DATASETS:
        told = texts.DATASETS[dataset]("test")
        if dataset == "tang":
            sums = [texts.nats_of_bodies(model, [poem]) for poem in told[:n]]
            return {"nats": [nats / characters for nats, characters in sums]}
        return {"nats": [texts.nats_of_blocks(model, told[256 * i : 256 * i + 257])[0] for i in range(n)]}
    some = data.samples(dataset)[:n]
    x = some.floats()
    with torch.inference_mode():
        if isinstance(model, gm.Denoiser | gm.DenoisingVAE):
            noises = [("gaussian", s / 255) for s in SIGMAS] if dataset == "photo" else SMALL_NOISES
            restored = [model.restore(add_noise(x, kind, s, seed=0)) for kind, s in noises]
            values = {"psnr": torch.cat([metrics.psnr(of, x) for of in restored])}
        elif isinstance(model, gm.Transformer):
            *_, end = model.complete_steps(x[:1], rows=24, n=n, label=some.y, seed=0)
            values = {"bits": model.bits_per_dim(x, some.y), "mean_of_completion": end.x.mean((1, 2, 3))}
        elif isinstance(model, gm.VAE):
            log_px, kl = model.elbo(x, seed=0)
            values = {
                "log_px": log_px,
                "kl": kl,
                "mean_of_reconstruction": model.reconstruct(x).mean((1, 2, 3)),
                "mean_of_sample": model.sample(n, seed=0).mean((1, 2, 3)),
            }
        elif isinstance(model, gm.Diffusion):
            columns = [list(data.ATTRIBUTES).index(a) for a in model.conditions] if dataset == "avatars" else [0]
            y = some.y.view(n, -1)[:, columns]
            t, eps = torch.linspace(0.05, 0.95, n), torch.randn(x.shape, generator=generator(0))
            values = {
                "error": model.error(x, y, t, eps),
                "mean_of_sample": model.sample(n, label=y, steps=4, seed=0).mean((1, 2, 3)),
            }
        elif isinstance(model, gm.GAN | gm.DCGAN):
            columns = [list(data.ATTRIBUTES).index(a) for a in model.conditions] if dataset == "avatars" else [0]
            y = some.y.view(n, -1)[:, columns]
            values = {"score": model.score(x, y), "mean_of_sample": model.sample(n, label=y, seed=0).mean((1, 2, 3))}
        elif isinstance(model, gm.Flow):
            values = {
                "bits": model.bits_per_dim(x),
                "bits_told": model.bits_per_dim(x, some.y),
                "mean_of_sample": model.sample(n, label=some.y, seed=0).mean((1, 2, 3)),
            }
        elif isinstance(model, gm.Autoencoder):
            again = model.decode(model.encode(x))
            values = {"mse": (again - x).square().mean((1, 2, 3)), "mean_of_reconstruction": again.mean((1, 2, 3))}
        else:
            y = some.y.view(n, -1)
            right = [scores.gather(1, of.clamp(min=0)[:, None]) for scores, of in zip(model.logits(x), y.T)]
            values = {"right_logits": torch.cat(right, 1)[y >= 0]}  # a hidden attribute has no right answer
    return {k: v.tolist() for k, v in values.items()}


def measure(at):
    """Measure one checkpoint; on the test split also write its reference values and its card."""
    with torch.inference_mode():
        headline = MEASURES[at.family](at)
    if at.split == "test":
        cards.write(at.folder / "reference.json", json.dumps(reference(at.model, at.dataset), indent=1) + "\n")
        cards.write_card(at.folder, at.results, at.command(), headline)


# --- Command line ---------------------------------------------------------------------------------------------------

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints; none is all for --cards-only.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/, FashionMNIST/ or avatars/.")] = None,
    split: Annotated[str, typer.Option(help="test, or val for choosing between models: that writes nothing.")] = "test",
    samples: Annotated[int, typer.Option(help="Importance samples a picture, for the likelihood.")] = Measuring.samples,
    drawn: Annotated[int, typer.Option(help="Pictures to draw, for FID and its kin; twice as many for CAS.")] = Measuring.drawn,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = Measuring.seed,
    runs: Annotated[Path, typer.Option(help="Where unfinished measurements are kept.")] = Measuring.runs,
    sampler: Annotated[str, typer.Option(help="Of a diffusion model: " + ", ".join(SAMPLERS) + ".")] = Measuring.sampler,
    steps: Annotated[int, typer.Option(help="Of that sampler.")] = Measuring.steps,
    guidance: Annotated[float, typer.Option(help="Of a diffusion model.")] = Measuring.guidance,
    truncation: Annotated[float, typer.Option(help="Of a GAN.")] = Measuring.truncation,
    pictures: Annotated[int | None, typer.Option(help="With --split val: only the first so many pictures.")] = None,
    cards_only: Annotated[bool, typer.Option("--cards-only", help="Write cards again from their own numbers.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Put the table of models into the README.")] = False,
    readme: Annotated[Path, typer.Option(help="The README for --table.")] = cards.README,
):
    """Measure checkpoints on the test split and write their cards."""
    try:
        check_choice("--split", split, ("test", "val"))
        check_number("--samples", samples, 1, 100_000, whole=True)
        check_number("--drawn", drawn, 10, 100_000, whole=True)
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
            raise ValueError(f"Name a checkpoint ({', '.join(gm.checkpoints()) or 'there is none'}), or give --table.")
        keep_freed_memory()
        for name in names or (gm.checkpoints() if cards_only else []):
            if cards_only:
                cards.rewrite_card(checkpoint_folder(name))
            else:
                measure(
                    Measuring(name, split, samples, drawn, seed, data_dir, runs, pictures, sampler, steps, guidance, truncation)
                )
        if table:
            print(cards.models_table())
            cards.put_table(readme, cards.models_table())
    except (ValueError, OSError) as e:
        typer.echo(f"Error: {e}", err=True)
        raise typer.Exit(1) from None


if __name__ == "__main__":
    app()
