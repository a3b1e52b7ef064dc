"""Denoisers.

python -m train.denoiser --dataset photo --data-dir FOLDER --steps 13000   93 minutes on one busy core: BSD68 28.94 dB at
                                                               sigma 25; FOLDER holds photographs, or BSDS500 in bsds/
python -m train.denoiser --dataset mnist --steps 3500          12 minutes on one busy core each: denoiser-mnist (and 12
python -m train.denoiser --dataset fashion --steps 3500        more with --init-from denoiser-mnist), denoiser-fashion
python -m train.denoiser --dataset mnist --vae --steps 20000   6 minutes on one busy core each: dvae-mnist, dvae-fashion,
                                                               denoising VAEs of the same size
"""

import torch

from genmodels import data
from genmodels.denoiser import NOISES, Denoiser, DenoisingVAE, add_noise, luma
from train import engine, photographs

SMALL = dict(channels=1, size=28, noises=list(NOISES), strongest=[0.65, 0.65, 0.6, 1.0, 0.6])
MODELS = {
    "photo": dict(),
    "mnist": dict(widths=[48, 96], bias=True, **SMALL),
    "fashion": dict(widths=[48, 96], bias=True, **SMALL),
}
VAES = {"mnist": dict(**SMALL), "fashion": dict(likelihood="gaussian", **SMALL)}
MINUTES = {"photo": 90, "mnist": 12, "fashion": 12}
SIGMAS = (15, 25, 50)  # on a scale of 255, for photographs
SMALL_NOISES = [  # for digits and clothes
    *(("gaussian", s / 255) for s in (25, 50, 100, 150)),
    *(("salt-and-pepper", s) for s in (0.1, 0.3, 0.5)),
    ("missing block", 0.4),
]


def recipe(settings: engine.Settings, dataset: str = "mnist", vae: bool = False) -> engine.Recipe:
    """Train the denoiser of `photo`, `mnist` or `fashion`; with --vae the denoising VAE of `mnist` or `fashion`."""
    data.check_choice("--dataset", dataset, list(MODELS))
    if vae and dataset == "photo":
        raise ValueError("--vae is for mnist and fashion: a short code cannot represent a photograph.")
    model = DenoisingVAE(**VAES[dataset]) if vae else Denoiser(**MODELS[dataset])
    if dataset == "photo":
        train = photographs.Patches(photographs.load("train", settings.data_dir), model.size)
        val = photographs.load("val", settings.data_dir)
        side = min(192, *(n for picture in val for n in picture.shape[1:]))
        x = luma(torch.stack([_centre_crop(picture, side) for picture in val]) / 255)
        examples = data.samples("photo").floats()
        noises = [("gaussian", s / 255) for s in SIGMAS]
    else:
        train, val = (data.load(dataset, split, settings.data_dir) for split in ("train", "val"))
        x = val.floats()[:500]
        examples = x[:8]
        noises = SMALL_NOISES

    def denoise(model, x, kind, strength):
        """(noisy pictures, restored ones)"""
        noisy = add_noise(x, kind, strength, seed=0)
        return noisy, torch.cat([model.restore(part.to(model.device)).cpu() for part in noisy.split(50)])

    def validate(model):
        psnr = {}
        for kind, strength in noises:
            mse = (denoise(model, x, kind, strength)[1] - x).square().flatten(1).mean(1)
            psnr[f"psnr {kind} {strength:.2f}"] = -10 * mse.clamp(min=1e-9).log10().mean().item()
        return {"minus_psnr": -sum(psnr.values()) / len(psnr), **psnr}

    def samples(model):  # a row of clean pictures, then rows of noisy ones, each with the restored ones below it
        selection = (1, 2) if dataset == "photo" else (2, 3, 5, 7)
        rows = [row.clamp(0, 1) for i in selection for row in denoise(model, examples, *noises[i])]
        return torch.cat([examples, *rows])

    return engine.Recipe(
        f"{'dvae' if vae else 'denoiser'}-{dataset}",
        model,
        train,
        validate,
        samples,
        [engine.OptimizerConfig(lr=1e-3) if vae else engine.OptimizerConfig(lr=2e-3, muon=True)],
        batch=16 if dataset == "photo" else 64,
        minutes=5 if vae else MINUTES[dataset],
        clip=200.0 if vae else 0.5,
        cooldown=0.2 if vae else 0.6,
        ema=0.999,
    )


def _centre_crop(picture, side):
    top, left = ((n - side) // 2 for n in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]


app = engine.command(recipe)
if __name__ == "__main__":
    app()
