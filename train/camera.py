"""What a camera does to a picture, as training data for `denoiser-camera`: pairs of a clean patch and what came of it.

A photograph is taken back to the sensor's linear light, where the noise arises: shot noise, whose variance grows with the
light, and read noise, over a range of ISO. The sensor sees one colour in each pixel (mosaic); the camera interpolates the
others, so that the noise of neighbours is correlated, brightens the picture, and stores it as a JPEG, perhaps smaller. Pairs of
other kinds keep the network general: white and correlated Gaussian noise, JPEG alone, and clean pictures, which it must
leave alone.

References: Brooks et al., Unprocessing images for learned raw denoising (2019), https://arxiv.org/abs/1811.11127, for the
camera and its ranges; Guo et al., Toward convolutional blind denoising of real photographs (CBDNet, 2019),
https://arxiv.org/abs/1807.04686, for noise in linear light and JPEG together; Zhang et al., Designing a practical degradation
model for deep blind image super-resolution (2021), https://arxiv.org/abs/2103.14006, for drawing the steps at random.
"""

import io
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import genmodels as gm
from genmodels import metrics
from genmodels.denoiser import add_noise, luma
from train import measures, photographs
from train.photographs import Patches

KINDS = {
    "camera": 0.28,
    "display noise": 0.25,
    "correlated": 0.12,
    "white": 0.23,
    "jpeg": 0.07,
    "clean": 0.05,
}  # shares of the pairs
GREY = 0.25  # share of the pairs without colour
QUALITY = (15, 96)  # of JPEG, from the lower to below the upper; below 30 only where nothing else is done to the picture
LARGER = 1.5  # side of the patches that are cut out, in sides of those that are trained on: pictures are scaled down, too


class CameraPatches(Patches):
    """Random pairs (clean, noisy), (B, 3, side, side) each, by torch's global seed; noisy ones may be outside [0, 1]."""

    def __init__(self, pictures, side: int):
        super().__init__(pictures, round(LARGER * side))
        self.small = side

    def batch(self, i: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [self._pair(x) for x in super().batch(i)[0]]
        return torch.stack([x for x, _ in pairs]), torch.stack([y for _, y in pairs])

    def _pair(self, x):
        side = self.small
        cut = side if uniform(0, 1) < 0.5 else int(uniform(side, self.side + 1))
        x = F.interpolate(x[None, :, :cut, :cut], (side, side), mode="bilinear", antialias=True).clamp(0, 1)
        kind = list(KINDS)[int(torch.multinomial(torch.tensor(list(KINDS.values())), 1))]
        is_grey = uniform(0, 1) < GREY
        if is_grey:
            x = luma(x).expand(-1, 3, -1, -1)
        clean, noisy = corrupt(x, kind)
        if is_grey:
            clean, noisy = (luma(t).expand(-1, 3, -1, -1) for t in (clean, noisy))
        return clean[0].contiguous(), noisy[0].contiguous()


def corrupt(x: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """(clean, noisy) of one picture x (1, 3, H, W) in [0, 1], by one of `KINDS`. Sides are even."""
    if kind == "clean":
        return x, x
    if kind == "jpeg":
        return x, jpeg(x, int(uniform(*QUALITY)))
    if kind == "white":
        y = x + uniform(0, 56 / 255) * torch.randn(x.shape)
        if uniform(0, 1) < 0.5:  # the rest as for `denoiser-photo`
            return x, y
    elif kind == "camera":
        x, y = photograph(x)
    elif kind == "display noise":  # shot and read noise of a picture that is bright already
        variance = log_uniform(1e-5, 2e-3) + log_uniform(1e-3, 3e-2) * x
        y = x + variance.sqrt() * torch.randn(x.shape)
    else:
        y = x + correlated_noise(x.shape)
    if uniform(0, 1) < 0.7:
        y = jpeg(y, int(uniform(30, QUALITY[1])))
    elif uniform(0, 1) < 0.5:
        y = y.clamp(0, 1)
    return x, y


def pairs(x: Tensor, kind: str, seed: int) -> tuple[Tensor, Tensor]:
    """(clean, noisy) of pictures x (B, 3, H, W); the same seed gives the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        clean, noisy = zip(*(corrupt(picture, kind) for picture in x.split(1)))
    return torch.cat(clean), torch.cat(noisy)


def correlated_noise(shape: torch.Size) -> Tensor:
    """Gaussian noise of neighbouring pixels that are alike: drawn small and enlarged, or blurred. The scale is before that."""
    H, W = shape[2:]
    sigma = uniform(0, 40 / 255)
    if uniform(0, 1) < 0.5:
        factor = uniform(1, 2.5)
        small = torch.randn(*shape[:2], math.ceil(H / factor) + 1, math.ceil(W / factor) + 1)
        large = F.interpolate(small, scale_factor=factor, mode="bilinear")
        return sigma * large[..., :H, :W]
    width = uniform(0.4, 1.2)
    taps = torch.exp(-(torch.arange(-3, 4) ** 2) / (2 * width**2))
    taps = taps / taps.sum()
    noise = F.conv2d(torch.randn(shape[1], 1, H + 6, W + 6), (taps[:, None] * taps)[None, None])
    return uniform(1, 2) * sigma * noise.view(shape)


def jpeg(x: Tensor, quality: int) -> Tensor:
    """One picture (1, 3, H, W), stored as a JPEG and read again; libjpeg halves the resolution of its colours."""
    file = io.BytesIO()
    pixels = (x[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255


# --- The camera: x (1, 3, H, W), an sRGB picture -----------------------------------------------------------------------

# What is missing in a pixel is the mean of its neighbours that have it.
GREEN_TAPS = torch.tensor([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
RED_BLUE_TAPS = torch.tensor([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
RED, GREEN, BLUE = [[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]
COLOUR_FILTER = torch.tensor([RED, GREEN, BLUE], dtype=torch.float32)  # which pixels of each 2x2 have which colour


def photograph(x: Tensor) -> tuple[Tensor, Tensor]:
    """(what the camera would make of x without noise, what it makes of it)."""
    has_curve = uniform(0, 1) < 0.5
    gains = torch.tensor([uniform(1.2, 2.4), 1.0, uniform(1.2, 2.2)]).view(1, 3, 1, 1)  # of the white balance
    exposure = uniform(0.5, 1)  # how much of the sensor's range is used: brightened later
    light = to_linear(uncurved(x) if has_curve else x) * exposure / gains

    shot = log_uniform(1e-4, 1.5e-2)
    read = math.exp(2.18 * math.log(shot) + 1.2 + 0.26 * float(torch.randn(())))
    noisy = light + (read + shot * light).sqrt() * torch.randn(x.shape)

    def develop(raw):
        picture = to_srgb((demosaic(raw) * gains / exposure).clamp(0, 1))
        return curved(picture) if has_curve else picture

    return develop(light), develop(noisy)


def demosaic(light: Tensor) -> Tensor:
    """Of each pixel one colour is kept, and the others are interpolated from neighbours."""
    H, W = light.shape[2:]
    mosaic = light * COLOUR_FILTER.repeat(1, H // 2, W // 2)
    taps = torch.stack([RED_BLUE_TAPS, GREEN_TAPS, RED_BLUE_TAPS])[:, None]
    return F.conv2d(F.pad(mosaic, (1, 1, 1, 1), mode="reflect"), taps, groups=3)  # reflection keeps the mosaic's pattern


def to_linear(x: Tensor) -> Tensor:
    """Light of sRGB values, IEC 61966-2-1."""
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_srgb(light: Tensor) -> Tensor:
    return torch.where(light <= 0.0031308, 12.92 * light, 1.055 * light.clamp(min=1e-8) ** (1 / 2.4) - 0.055)


def curved(x: Tensor) -> Tensor:
    """A tone curve that gives more contrast."""
    return 3 * x**2 - 2 * x**3


def uncurved(y: Tensor) -> Tensor:
    return 0.5 - torch.sin(torch.asin(1 - 2 * y) / 3)


def uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def log_uniform(low: float, high: float) -> float:
    return math.exp(uniform(math.log(low), math.log(high)))


# --- Evaluation -----------------------------------------------------------------------------------------------------

OTHER = "denoiser-photo"
SIDE = 160  # of the crops that are measured
FEWER = 16  # of them are enough where no noise is drawn
SIGMAS = (1, 2, 5, 10, 15, 20, 25, 30)  # given to the other denoiser, of 255
NOTE = (
    f"PSNR: peak 1, mean over the pictures, each restored picture clipped to [0, 1]. {OTHER} is also given the sigma of "
    f"{', '.join(map(str, SIGMAS))} (of 255) whose results have the highest PSNR, the best one for the kind of noise and the "
    "best one for each picture: nobody can choose them without the clean pictures. White Gaussian noise in grey is not clipped "
    f"and measured on whole pictures, as on the card of {OTHER}."
)
REFERENCE = (
    "Guo et al., [Toward convolutional blind denoising of real photographs](https://arxiv.org/abs/1807.04686) (2019); Brooks "
    "et al., [Unprocessing images for learned raw denoising](https://arxiv.org/abs/1811.11127) (2019)."
)


def display_noise(x: Tensor) -> Tensor:
    return jpeg(x + (1e-4 + 1e-2 * x).sqrt() * torch.randn(x.shape), 85)


def enlarged_noise(x: Tensor) -> Tensor:
    H, W = x.shape[2:]
    small = 25 / 255 * torch.randn(1, 3, H // 2, W // 2)
    return (x + F.interpolate(small, (H, W), mode="bilinear")).clamp(0, 1)


# {name: picture x (1, 3, H, W) -> (clean picture, what is given to the denoiser)}, by torch's global seed
MEASURED = {
    "a camera's noise, as in training": lambda x: corrupt(x, "camera"),
    "shot and read noise, JPEG 85": lambda x: (x, display_noise(x)),
    "correlated over two pixels": lambda x: (x, enlarged_noise(x)),
    "white noise, sigma 25, clipped": lambda x: (x, (x + 25 / 255 * torch.randn(x.shape)).clamp(0, 1)),
    "white noise, sigma 25, JPEG 80": lambda x: (x, jpeg(x + 25 / 255 * torch.randn(x.shape), 80)),
    "JPEG 20": lambda x: (x, jpeg(x, 20)),
    "JPEG 50": lambda x: (x, jpeg(x, 50)),
    "JPEG 85": lambda x: (x, jpeg(x, 85)),
    "JPEG 95": lambda x: (x, jpeg(x, 95)),
    "clean": lambda x: (x, x),
}


def evaluate(evaluation: measures.Evaluation) -> measures.Evaluator:
    """PSNR on photographs in colour, blind, beside another denoiser, blind and given the best sigma: `table.json`.

    Then that on white noise as the other one was measured. Returns a headline.
    """
    model, other = evaluation.model, gm.load(OTHER)
    pictures = photographs.load("colour" if evaluation.split == "test" else evaluation.split, evaluation.data_dir)
    side = min(SIDE, *(n // 2 * 2 for p in pictures for n in p.shape[1:]))
    crops = [photographs.centre_crop(p, side)[None] / 255 for p in pictures]
    weights, rows, gains = f"{evaluation.name}-{evaluation.weights_hash}-{evaluation.split}", [], []

    def denoise(name, x, seed):
        """PSNR of x as it came, by this model, by the other one, and by that given each sigma."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            x, y = MEASURED[name](x)
        results = [y, model.restore(y), other.restore(y), *(other.restore(y, sigma / 255) for sigma in SIGMAS)]
        return [psnr(result, x) for result in results]

    for name in MEASURED:
        measured = crops[:FEWER] if name.startswith(("JPEG", "clean")) else crops
        key = f"{weights}-{name}-{evaluation.seed}".replace(" ", "-")
        quality = [evaluation.cached(f"{key}-{k}", denoise, name, x, evaluation.seed + k) for k, x in enumerate(measured)]
        noisy, ours, blind, given = torch.tensor(quality, dtype=torch.float64).split([1, 1, 1, len(SIGMAS)], 1)
        best = given.mean(0).max()  # of one sigma for all pictures
        values = [noisy.mean(), blind.mean(), best, given.max(1).values.mean(), ours.mean()]
        rows.append([name, *(f"{value:.2f}" if value < MAX_PSNR else "unchanged" for value in values)])
        if name != "clean":
            gains.append((ours.mean() - best).item())
        comparison = f"as it came {rows[-1][1]}; {OTHER} blind {rows[-1][2]}, given the best sigma {rows[-1][3]}"
        label = f"PSNR in colour, {name}, blind, dB"
        yield measures.Value("restored_psnr", label, ours.mean().item(), n=len(measured), comparison=comparison, seeded=True)
    yield from white_noise(evaluation, weights)
    columns = ["noise", "as it came", f"{OTHER}, blind", f"{OTHER}, best sigma of the kind", "of each picture", "ours, blind"]
    text = f"PSNR in dB: mean over the central {side}x{side} pixels of photographs in colour, as many as the table above says."
    measures.write_methods(evaluation, text, columns[1:], rows)
    return f"PSNR {min(gains):+.2f} to {max(gains):+.2f} dB beside `{OTHER}` given the best sigma"


def white_noise(evaluation: measures.Evaluation, key: str) -> measures.Evaluator:
    """PSNR of white Gaussian noise in grey as on the card of the other denoiser, which it is beside."""
    card = {row["name"]: row["value"] for row in gm.cards.metric_rows(OTHER)}

    def denoise(x, sigma, seed):
        return psnr(evaluation.model.restore(add_noise(x, "gaussian", sigma, seed=seed)), x)

    pictures = [picture[None] / 255 for picture in evaluation.data]
    pictures = [luma(x) if x.shape[1] == 3 else x for x in pictures]
    for sigma in (15, 25, 50):
        seeds = range(evaluation.seed, evaluation.seed + len(pictures))
        values = [
            evaluation.cached(f"{key}-grey-{sigma}-{seed}", denoise, x, sigma / 255, seed) for x, seed in zip(pictures, seeds)
        ]
        name = f"PSNR in grey, sigma {sigma}"
        modes = [how for how in ("blind", "sigma given") if f"{name}, {how}, dB" in card]
        given = ", ".join(f"{how} {card[f'{name}, {how}, dB']:.2f}" for how in modes)
        comparison = f"{OTHER} {given}" if given else ""
        mean = sum(values) / len(values)
        yield measures.Value("restored_psnr", f"{name}, blind, dB", mean, comparison=comparison, seeded=True)
    return ""


MAX_PSNR = 99.0  # dB, of a picture that did not change


def psnr(x: Tensor, clean: Tensor) -> float:
    return min(metrics.psnr(x, clean).item(), MAX_PSNR)
