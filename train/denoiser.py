"""Denoisers.

python -m train.denoiser --dataset photo --data-dir FOLDER --steps 13000   93 minutes on one busy core: BSD68 28.94 dB at
                                                               sigma 25; FOLDER holds photographs, or BSDS500 in bsds/
python -m train.denoiser --dataset camera --init-from denoiser-photo --data-dir FOLDER --steps 6000   268 minutes on one
                                                               busy core, from the same photographs: for what cameras store
                                                               (then with --init-from denoiser-camera --steps 8000 --compile,
                                                               62 minutes, since more of the noise was in JPEGs)
python -m train.denoiser --dataset mnist --steps 3500          12 minutes on one busy core each: denoiser-mnist (and 12
python -m train.denoiser --dataset fashion --steps 3500        more with --init-from denoiser-mnist), denoiser-fashion
python -m train.denoiser --dataset mnist --vae --steps 20000   6 minutes on one busy core each: dvae-mnist, dvae-fashion,
                                                               denoising VAEs of the same size
"""

import json

import torch

import genmodels as gm
from genmodels import data, metrics
from genmodels.denoiser import CLASSICAL, NOISES, Denoiser, DenoisingVAE, add_noise, classical, luma
from train import camera, cards, engine, measures, photographs
from train.cards import Card, Checkpoint, Value

SMALL = dict(channels=1, size=28, noises=list(NOISES), strongest=[0.65, 0.65, 0.6, 1.0, 0.6])
PHOTOGRAPHS = ("photo", "camera")  # white Gaussian noise, and what a camera makes of light
MODELS = {
    "photo": dict(),
    "camera": dict(noises=[], strongest=[]),
    "mnist": dict(widths=[48, 96], bias=True, **SMALL),
    "fashion": dict(widths=[48, 96], bias=True, **SMALL),
}
VAES = {"mnist": dict(**SMALL), "fashion": dict(likelihood="gaussian", **SMALL)}
MINUTES = {"photo": 90, "camera": 120, "mnist": 12, "fashion": 12}
CLEAN_PSNR = 45.0  # of a clean picture: more of it does not count when checkpoints are compared
SIGMAS = (15, 25, 50)  # on a scale of 255, for photographs
SMALL_NOISES = [  # for digits and clothes
    *(("gaussian", s / 255) for s in (25, 50, 100, 150)),
    *(("salt-and-pepper", s) for s in (0.1, 0.3, 0.5)),
    ("missing block", 0.4),
]


def recipe(settings: engine.Settings, dataset: str = "mnist", vae: bool = False) -> engine.Recipe:
    """Train the denoiser of a data set; with --vae the denoising VAE of `mnist` or `fashion`."""
    data.check_choice("--dataset", dataset, list(MODELS))
    if vae and dataset in PHOTOGRAPHS:
        raise ValueError("--vae is for mnist and fashion: a short code cannot represent a photograph.")
    model = DenoisingVAE(**VAES[dataset]) if vae else Denoiser(**MODELS[dataset])
    if dataset in PHOTOGRAPHS:
        patches = camera.CameraPatches if dataset == "camera" else photographs.Patches
        train = patches(photographs.load("train", settings.data_dir, model.size), model.size)
        val = photographs.load("val", settings.data_dir, model.size)
        side = min(192, *(n // 8 * 8 for picture in val for n in picture.shape[1:]))
        x = torch.stack([photographs.centre_crop(picture, side) for picture in val]) / 255
        x = x if dataset == "camera" else luma(x)
        examples = data.samples("photo").floats()
    else:
        train, val = (data.load(dataset, split, settings.data_dir) for split in ("train", "val"))
        x = val.floats()[:500]
        examples = x[:8]
    noisy_pictures = camera_noise if dataset == "camera" else white_noise if dataset == "photo" else small_noise
    pairs = noisy_pictures(x)

    def restored(model, noisy):
        return torch.cat([model.restore(part.to(model.device)).cpu() for part in noisy.split(50)])

    def validate(model):
        psnr = {}
        for name, (clean, noisy) in pairs.items():
            mse = (restored(model, noisy) - clean).square().flatten(1).mean(1)
            psnr[f"psnr {name}"] = -10 * mse.clamp(min=1e-9).log10().mean().item()
        return {"minus_psnr": -sum(min(value, CLEAN_PSNR) for value in psnr.values()) / len(psnr), **psnr}

    def samples(model):  # a row of clean pictures, then rows of noisy ones, each with the restored ones below it
        selection = (1, 2) if dataset in PHOTOGRAPHS else (2, 3, 5, 7)
        noisy = [list(noisy_pictures(examples).values())[i][1] for i in selection]
        return torch.cat([examples, *(part.clamp(0, 1) for y in noisy for part in (y, restored(model, y)))])

    return engine.Recipe(
        name=f"{'dvae' if vae else 'denoiser'}-{dataset}",
        model=model,
        train=train,
        validate=validate,
        samples=samples,
        optimizers=[engine.OptimizerConfig(lr=1e-3) if vae else engine.OptimizerConfig(lr=2e-3, muon=True)],
        batch=16 if dataset in PHOTOGRAPHS else 64,
        minutes=5 if vae else MINUTES[dataset],
        clip=200.0 if vae else 0.5,
        cooldown=0.2 if vae else 0.6,
        ema=0.999,
    )


def white_noise(x):
    """{name: (clean, noisy)} of pictures x, for validation."""
    return _noisy(x, [("gaussian", s / 255) for s in SIGMAS])


def small_noise(x):
    return _noisy(x, SMALL_NOISES)


def camera_noise(x):
    return {kind: camera.pairs(x, kind, seed=0) for kind in camera.KINDS}


def _noisy(x, noises):
    return {f"{kind} {strength:.2f}": (x, add_noise(x, kind, strength, seed=0)) for kind, strength in noises}


# --- Evaluation -----------------------------------------------------------------------------------------------------

PUBLISHED_IN = "BM3D and DnCNN-B: https://arxiv.org/abs/1608.03981, FFDNet: https://arxiv.org/abs/1710.04026"
PUBLISHED_PSNR = {
    15: "BM3D 31.07, DnCNN-B 31.61, FFDNet 31.63",
    25: "BM3D 28.57, DnCNN-B 29.16, FFDNet 29.19",
    50: "BM3D 25.62, DnCNN-B 26.23, FFDNet 26.29",
}  # on BSD68 in grey
CLASSICAL_PICTURES = 1000  # digits or clothes for the classical methods, which take one picture at a time
PSNR_NOTE = (
    "PSNR: peak 1, mean over the pictures, each restored picture clipped to [0, 1]; SSIM: "
    "[Wang et al. 2004](https://doi.org/10.1109/TIP.2003.819861). "
    "The noise is that of `genmodels.denoiser.add_noise`, Gaussian noise not clipped."
)
REFERENCE = (
    "Zhang, Zuo and Zhang, [FFDNet: toward a fast and flexible solution for CNN-based image denoising]"
    "(https://arxiv.org/abs/1710.04026) (2018); Zhang et al., [Plug-and-play image restoration with deep denoiser prior]"
    "(https://arxiv.org/abs/2008.13751) (2021); Mohan et al., [Robust and interpretable blind image denoising via bias-free "
    "convolutional neural networks](https://arxiv.org/abs/1906.05478) (2020); Jordan et al., "
    "[Muon](https://kellerjordan.github.io/posts/muon/) (2024), the optimizer."
)


def evaluate(evaluation: measures.Evaluation, options: measures.Options) -> measures.Evaluator:
    """Quality of denoised pictures, also by scikit-image's methods; on digits and clothes also a classifier's accuracy."""
    if evaluation.dataset == "photo":
        return evaluate_on_photographs(evaluation)
    if evaluation.dataset == "camera":
        return camera.evaluate(evaluation)
    return evaluate_on_small_pictures(evaluation)


def evaluate_on_photographs(evaluation: measures.Evaluation) -> measures.Evaluator:
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
                comparison += f"; published: {PUBLISHED_PSNR[sigma]} ({PUBLISHED_IN})"
            for mode in ("sigma given", "blind"):
                yield Value(
                    "restored_psnr",
                    f"PSNR in {colour}, sigma {sigma}, {mode}, dB",
                    by_method[f"ours, {mode}"][0],
                    n=len(pictures),
                    comparison=comparison,
                    seeded=True,
                )
            yield Value(
                "restored_ssim",
                f"SSIM in {colour}, sigma {sigma}, sigma given",
                by_method["ours, sigma given"][1],
                n=len(pictures),
                comparison=f"non-local means {by_method['non-local means'][1]:.3f}",
                seeded=True,
            )
            if colour == "grey":
                headline.append(f"{by_method['ours, sigma given'][0]:.2f}")
    measures.write_methods(
        evaluation,
        "PSNR in dB and SSIM, means over the pictures. All methods but the median and ours, blind, are given sigma.",
        columns,
        rows,
    )
    ours, sigmas = " / ".join(headline), " / ".join(map(str, SIGMAS))
    return f"{ours} dB on BSD68 at sigma {sigmas} ([BM3D](https://arxiv.org/abs/1608.03981) 31.07 / 28.57 / 25.62)"


def evaluate_on_small_pictures(evaluation: measures.Evaluation) -> measures.Evaluator:
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
        yield Value(
            "restored_psnr",
            f"PSNR, {noise}, dB",
            psnr,
            seeded=True,
            comparison=f"noisy {quality['noisy'][0]:.2f}; best of scikit-image's methods, {best}, on the first "
            f"{len(restored[best]):,}: {quality[best][0]:.2f}",
        )
        yield Value("restored_ssim", f"SSIM, {noise}", ssim, seeded=True, comparison=f"{best}: {quality[best][1]:.3f}")
        yield Value(
            "accuracy",
            f"accuracy of {classifier_name} on restored pictures, {noise}",
            share,
            seeded=True,
            comparison=f"noisy pictures {quality['noisy'][2]:.1%}, clean pictures {clean_accuracy:.1%}",
        )
        psnrs.append(psnr)
    measures.write_methods(
        evaluation,
        f"PSNR in dB, SSIM and the accuracy of {classifier_name} (clean pictures: {clean_accuracy:.1%}). scikit-image's "
        f"methods restored the first {len(first):,} pictures. They and the denoiser are given sigma where the noise is "
        "Gaussian.",
        [*restored],
        rows,
    )
    return f"mean PSNR {sum(psnrs) / len(psnrs):.2f} dB over {len(psnrs)} kinds and strengths of noise"


def reference_values(model: Denoiser | DenoisingVAE, dataset: str) -> dict[str, torch.Tensor]:
    x = measures.reference_pictures(dataset).floats()
    noises = [("gaussian", s / 255) for s in SIGMAS] if dataset in PHOTOGRAPHS else SMALL_NOISES
    restored = [model.restore(add_noise(x, kind, s, seed=0)) for kind, s in noises]
    return {"psnr": torch.cat([metrics.psnr(result, x) for result in restored])}


def card(checkpoint: Checkpoint) -> Card:
    """Of a denoiser of digits or clothes, or of photographs."""
    dataset, tables = checkpoint.dataset, methods_table(checkpoint)
    if dataset == "camera":
        return Card(
            task="image-to-image",
            paper="Guo et al. 2019; Brooks et al. 2019",
            reference=f"{REFERENCE} {camera.REFERENCE}",
            what="A convolutional network that removes the noise of cameras, as it is after demosaicing, tone curve and JPEG, "
            "from photographs of any size: `denoiser-photo`, trained further on a model of a camera (`train/camera.py`).",
            code='x = gm.data.photograph("chelsea")\n'
            "model.restore(x), model.noise_level(x)  # by its own estimate of the noise level\n"
            "model.restore(x, sigma=10 / 255)  # by yours: a larger one smooths more",
            use="Photographs that are noisy as they come; seeing how much the model of the noise matters, next to "
            "`denoiser-photo` of the same size; teaching. The training photographs are licensed for non-commercial research "
            "and education: keep to that.",
            limits="On white noise that no JPEG has changed it is behind `denoiser-photo`, which was trained on that alone, "
            "and a JPEG of quality 95 without noise is nearer to the original than what it makes of it. The camera is a model "
            "of one: no real pairs of noisy and clean photographs were used, and no lens, no sharpening and no denoising of "
            "the camera's own is in it. It smooths what it takes for noise, fine texture too.",
            notes={"restored_psnr": camera.NOTE},
            tables=tables,
        )
    if dataset == "photo":
        return Card(
            task="image-to-image",
            paper="Zhang, Zuo and Zhang 2018; Mohan et al. 2020",
            reference=f"{REFERENCE} The published PSNR in the table: [DnCNN](https://arxiv.org/abs/1608.03981) "
            "(Zhang et al. 2017) for BM3D and DnCNN-B, [FFDNet](https://arxiv.org/abs/1710.04026) for its own.",
            what="A convolutional network that removes noise from photographs of any size, in colour or grey, blind or "
            "given sigma: a residual U-Net without biases on unshuffled pixels.",
            code='x = gm.data.photograph("chelsea")\n'
            'noisy = gm.denoiser.add_noise(x, "gaussian", 25 / 255, seed=0)\n'
            "model.restore(noisy), model.restore(noisy, sigma=25 / 255)",
            use="Denoising photographs; a short, measured baseline; teaching. The training photographs are licensed for "
            "non-commercial research and education: keep to that.",
            limits="It was trained on Gaussian noise up to sigma 56 of 255, independent in every pixel and not clipped. The "
            "noise in the JPEG of a camera is neither: blind, it leaves much of that, for which there is `denoiser-camera`. It "
            "smooths what it takes for noise, fine texture too, and was not trained on salt-and-pepper noise or missing parts.",
            notes={"restored_psnr": PSNR_NOTE},
            tables=tables,
        )
    return Card(
        task="image-to-image",
        paper="Zhang, Zuo and Zhang 2018",
        reference=REFERENCE,
        what="A convolutional network that removes noise of five kinds from pictures, blind or given the noise level: a "
        "residual U-Net on unshuffled pixels.",
        code=f'x = gm.data.samples("{dataset}")[:16].floats()\n'
        'noisy = gm.denoiser.add_noise(x, "gaussian", 100 / 255, seed=0)\n'
        "model.restore(noisy), model.restore(noisy, sigma=100 / 255)",
        use=f"Seeing what a denoiser can infer and what it must guess, next to `dvae-{dataset}` of the same size; teaching.",
        limits=f"It was trained on {checkpoint.title} alone, corrupted by this repository's own noise. It minimizes the root "
        "of each picture's squared error: where the noise leaves something open, it shows the geometric median of the possible "
        "pictures, which lies between them and is blurred.",
        notes={"restored_psnr": PSNR_NOTE},
        tables=tables,
    )


def vae_card(checkpoint: Checkpoint) -> Card:
    """Of a denoising VAE."""
    dataset, latent = checkpoint.dataset, checkpoint.model.config["latent"]
    return Card(
        task="image-to-image",
        paper="Im et al. 2017",
        reference="Vincent et al., [Stacked denoising autoencoders](https://jmlr.org/papers/v11/vincent10a.html) (2010); "
        "Kingma and Welling, [Auto-encoding variational Bayes](https://arxiv.org/abs/1312.6114) (2013); Im et al., [Denoising "
        "criterion for variational auto-encoding framework](https://arxiv.org/abs/1511.06406) (2017).",
        what=f"A denoising VAE: the noisy picture is encoded as {latent} numbers, from which the clean picture is generated.",
        code=f'x = gm.data.samples("{dataset}")[:16].floats()\n'
        'noisy = gm.denoiser.add_noise(x, "gaussian", 150 / 255, seed=0)\n'
        "model.restore(noisy), model.restore(noisy, seed=1)  # and another sample for the same noise",
        use=f"Seeing what a bottleneck of {latent} numbers keeps of a noisy picture, next to `denoiser-{dataset}` of the "
        "same size; teaching.",
        limits="Under heavy noise the result may be of another class than the original, and it is blurred: the mean of "
        f"p(x | z). `denoiser-{dataset}` has the higher PSNR in every line of the table above. Even a clean picture does not "
        f"come back unchanged. Every input comes back as something like {checkpoint.title}.",
        notes={"restored_psnr": PSNR_NOTE},
        tables=methods_table(checkpoint),
    )


def methods_table(checkpoint: Checkpoint) -> str:
    """All methods side by side, from the checkpoint's `table.json`; "" if there is none."""
    file = checkpoint.folder / "table.json"
    if not file.is_file():
        return ""
    table = json.loads(file.read_text(encoding="utf-8"))
    return f"\n\n{table['text']}\n\n{cards.markdown_table(table['columns'], table['rows'])}"


FAMILIES = {
    "denoiser": measures.Family(evaluate=evaluate, card=card, reference_values=reference_values),
    "dvae": measures.Family(evaluate=evaluate, card=vae_card, reference_values=reference_values),
}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
