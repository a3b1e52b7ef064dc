"""Denoisers.

python -m train.denoiser --dataset photo --data-dir FOLDER --steps 13000   93 minutes on one busy core: BSD68 28.94 dB at
                                                               sigma 25; FOLDER holds photographs, or Berkeley's in bsds/
python -m train.denoiser --dataset mnist --steps 3500          12 minutes on one busy core each: denoiser-mnist (12 more
python -m train.denoiser --dataset fashion --steps 3500        with --init-from denoiser-mnist), denoiser-fashion
python -m train.denoiser --dataset mnist --vae --steps 20000   6 minutes on one busy core each: dvae-mnist, dvae-fashion,
                                                               the denoising VAE of the same size
"""

import torch

from genmodels import data
from genmodels.denoiser import NOISES, Denoiser, DenoisingVAE, add_noise, luma
from train import engine, photographs

SMALL = dict(channels=1, size=28, noises=list(NOISES), strongest=[0.65, 0.65, 0.6, 1.0, 0.6])
MODEL = {
    "photo": dict(),
    "mnist": dict(widths=[48, 96], bias=True, **SMALL),
    "fashion": dict(widths=[48, 96], bias=True, **SMALL),
}
VAES = {"mnist": dict(**SMALL), "fashion": dict(likelihood="gaussian", **SMALL)}
MINUTES = {"photo": 90, "mnist": 12, "fashion": 12}
SIGMAS = (15, 25, 50)  # of 255, on photographs
SMALL_NOISES = [  # on digits and clothes
    *(("gaussian", s / 255) for s in (25, 50, 100, 150)),
    *(("salt-and-pepper", s) for s in (0.1, 0.3, 0.5)),
    ("missing block", 0.4),
]


def recipe(settings: engine.Settings, dataset: str = "mnist", vae: bool = False) -> engine.Recipe:
    """Train the denoiser of `photo`, `mnist` or `fashion`; with --vae the denoising VAE of `mnist` or `fashion`."""
    data.check_choice("--dataset", dataset, list(MODEL))
    if vae and dataset == "photo":
        raise ValueError("--vae is for mnist and fashion: a photograph has more to it than a code can say.")
    model = DenoisingVAE(**VAES[dataset]) if vae else Denoiser(**MODEL[dataset])
    if dataset == "photo":
        train = photographs.Patches(photographs.load("train", settings.data_dir), model.size)
        val = photographs.load("val", settings.data_dir)
        val = torch.stack([_middle(p, min(192, *(n for q in val for n in q.shape[1:]))) for p in val])
        conditions = [("gaussian", s / 255) for s in SIGMAS]
        x = luma(val / 255)
        shown = data.samples("photo").floats()
    else:
        train, val = (data.load(dataset, split, settings.data_dir) for split in ("train", "val"))
        conditions, x, shown = SMALL_NOISES, val.floats()[:500], val.floats()[:8]

    def restored(model, x, kind, strength):
        noisy = add_noise(x, kind, strength, seed=0)
        return noisy, torch.cat([model.restore(part.to(model.device)).cpu() for part in noisy.split(50)])

    def validate(model):
        psnr = {}
        for kind, strength in conditions:
            mse = (restored(model, x, kind, strength)[1] - x).square().flatten(1).mean(1)
            psnr[f"psnr {kind} {strength:.2f}"] = -10 * mse.clamp(min=1e-9).log10().mean().item()
        return {"minus_psnr": -sum(psnr.values()) / len(psnr), **psnr}

    def samples(model):  # clean pictures, then noisy ones and below them what became of them
        noises = [("gaussian", s / 255) for s in (25, 50)] if dataset == "photo" else [conditions[i] for i in (2, 3, 5, 7)]
        return torch.cat([shown, *(rows.clamp(0, 1) for n in noises for rows in restored(model, shown, *n))])

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


def _middle(picture, side):
    top, left = ((n - side) // 2 for n in picture.shape[1:])
    return picture[:, top : top + side, left : left + side]


app = engine.command(recipe)
if __name__ == "__main__":
    app()
