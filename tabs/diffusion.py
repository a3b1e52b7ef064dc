"""Diffusion: noise becomes a picture step by step; every step can be looked at and steered."""

import base64
import functools
import io
import json
import math
import textwrap
from pathlib import Path
from typing import NamedTuple

import gradio as gr

import genmodels as gm
from tabs import wiring
from tabs.components import raw, sheet
from tabs.components.chart import Chart
from tabs.components.draw_pad import DrawPad
from tabs.components.mask_pad import MaskPad, mask_text
from tabs.components.scrubber import Scrubber
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.components.upload import upload as picture_upload

MODELS = ("diffusion-mnist", "diffusion-fashion", "diffusion-avatars")
DATASET_TITLES = {"mnist": "Digits", "fashion": "Clothes", "avatars": "Faces"}
SAMPLERS = {"dpm": "DPM-Solver++", "ddim": "DDIM", "heun": "Heun", "ddpm": "DDPM"}
FEATURES = {"smiling": "Smile", "glasses": "Glasses", "hair_color": "Hair colour", "hair_length": "Hair length"}
GUIDANCES = (0, 1, 2, 4)  # compared side by side
VIEWS = ["x_t (current picture)", "predicted x_0 (clean)", "predicted noise"]
MAX_STEPS, MAX_DDPM_STEPS = 64, 250
ANY, EACH = -1, -2  # label values besides the classes: unspecified; one class after another
MAX_SAMPLES = 16
RESAMPLE = 3  # RePaint's repetitions of each step
TEST_TILES = 10  # test pictures to choose from
MAX_NETWORK_INPUTS = 4096  # pictures that one run may put through the network: about 20 seconds
MAX_PIXELS = 4_000_000  # of all frames that are sent to the browser: longer runs are shown with some steps left out
LINES_PENDING = "# The program appears here when the run has finished."
LINES_STOPPED = "# The run was stopped: there is a program for finished runs only."


# --- Sampling options -------------------------------------------------------------------------------------------------


class SamplingOptions(NamedTuple):
    """Checked values of the controls. label: a value of each attribute of the model, or ANY, or EACH for a single one."""

    dataset: str
    label: list
    sampler: str
    steps: int
    guidance: float
    eta: float
    n: int
    seed: int

    @property
    def model(self):
        return model_of(self.dataset)

    @property
    def labels(self):
        """The label as the model takes it: None if every attribute is unspecified."""
        if self.label == [EACH]:
            return [i % self.model.classes[0] for i in range(self.n)]
        if max(self.label) < 0:
            return None
        return self.label if len(self.label) > 1 else self.label[0]

    def for_one_picture(self):
        """The same for variants of one given picture, for which one class after another makes no sense."""
        return self._replace(label=[ANY]) if self.label == [EACH] else self

    def arguments(self):
        """Keyword arguments of the model's sampling methods, without those that equal their defaults."""
        eta = self.eta if self.sampler == "ddim" else 0.0
        arguments = {
            "label": self.labels,
            "sampler": self.sampler,
            "steps": self.steps,
            "guidance": self.guidance,
            "eta": eta,
            "seed": self.seed,
        }
        defaults = {"label": None, "guidance": 1.0, "eta": 0.0}
        return {name: value for name, value in arguments.items() if name not in defaults or value != defaults[name]}

    def check_budget(self, repeats=1, guidances=None):
        """Raises a ValueError if the run would put too many pictures through the network."""
        conditional = self.labels is not None
        evaluations = [2 if conditional and g not in (0, 1) else 1 for g in guidances or [self.guidance]]
        work = self.n * gm.diffusion.function_evaluations(self.sampler, self.steps) * repeats * sum(evaluations)
        if work > MAX_NETWORK_INPUTS:
            raise ValueError(
                f"This run would put {work:,} pictures through the network; at most {MAX_NETWORK_INPUTS:,} are allowed. "
                "Choose fewer samples, fewer steps or guidance 1."
            )


def model_of(dataset):
    return gm.load(f"diffusion-{gm.base.check_choice('dataset', dataset, gm.data.DATASETS)}")


def sampling_options(dataset, *values):
    """`SamplingOptions` from the controls: four label values (only as many as the model has attributes count), and the rest."""
    *label, sampler, steps, guidance, eta, n, seed = values
    gm.base.check_choice("sampler", sampler, list(SAMPLERS))
    classes = model_of(dataset).classes
    lowest = EACH if len(classes) == 1 else ANY
    label = [
        ANY if value is None else gm.base.check_number("label", value, lowest, count - 1, whole=True)
        for value, count in zip(label, classes)
    ]
    return SamplingOptions(
        dataset,
        label,
        sampler,
        gm.base.check_number("steps", steps, 1, MAX_DDPM_STEPS if sampler == "ddpm" else MAX_STEPS, whole=True),
        gm.base.check_number("guidance", guidance, 0, 10),
        gm.base.check_number("eta", eta, 0, 1),
        gm.base.check_number("number of samples", n, 1, MAX_SAMPLES, whole=True),
        gm.base.check_number("seed", seed, 0, 2**31, whole=True),
    )


def defaults(dataset):
    """The controls as the tab opens: four label values, sampler, steps, guidance, eta, number of samples, seed."""
    first_label = ANY if dataset == "avatars" else EACH
    n = 4 if dataset == "avatars" else 9
    return first_label, ANY, ANY, ANY, "dpm", 16, 1, 0, n, 0


def attributes(dataset):
    """What the model is conditioned on: {attribute: names of its values}."""
    values = gm.data.ATTRIBUTES if dataset == "avatars" else {"class": gm.data.CLASSES[dataset]}
    return {name: values[name] for name in model_of(dataset).conditions}


# --- Lines of Python --------------------------------------------------------------------------------------------------

IMPORTS = {
    "base64.": "import base64",
    "io.": "import io",
    "np.": "import numpy as np",
    "torch.": "import torch",
    "Image.": "from PIL import Image",
}


def python_lines(options, code, columns=None):
    """A complete program. code: the lines that compute `x`."""
    imports = [line for name, line in IMPORTS.items() if name in code]
    if imports:
        imports.append("")
    return "\n".join(
        [
            *imports,
            "import genmodels as gm",
            "",
            f'model = gm.load("diffusion-{options.dataset}")',
            f'{code}gm.pictures.grid(x, columns={columns or grid_columns(options.n)}, scale=4).save("picture.png")',
            "",
        ]
    )


def format_arguments(arguments):
    """Keyword arguments as Python source."""

    def format_value(value):
        return f"{value:g}" if isinstance(value, float) else json.dumps(value)

    return ", ".join(f"{name}={format_value(value)}" for name, value in arguments.items())


def without(name, arguments):
    return {k: v for k, v in arguments.items() if k != name}


def base64_lines(name, data):
    """Lines that define bytes as a base64 constant."""
    parts = textwrap.wrap(base64.b64encode(data).decode(), 110)
    return f"{name} = base64.b64decode(\n" + "\n".join(f'    "{part}"' for part in parts) + "\n)\n"


# --- Frames -----------------------------------------------------------------------------------------------------------


def grid_columns(n):
    """Columns of a square grid of n pictures."""
    return math.ceil(math.sqrt(n))


def cell(x):
    """Pictures (n, C, H, W) side by side as one (1, C, H', W'), clamped to the displayable range."""
    return gm.pictures.sheet(x, grid_columns(len(x)), gap=1).permute(2, 0, 1)[None].float() / 255


def noise_cell(eps):
    """Noise as a picture: zero is grey, three standard deviations are black and white."""
    return cell(0.5 + eps / 6)


def stage_value(rows, frames, start, steps, live=False):
    """Value of the stage. frames: [(step, [one cell per row])]; start: the time t of the run's start; steps: their number."""
    import torch

    limit = max(2, MAX_PIXELS // (len(rows) * frames[0][1][0].numel()))
    if len(frames) > limit:  # evenly spaced, including the first and the last
        frames = [frames[round(i * (len(frames) - 1) / (limit - 1))] for i in range(limit)]
    sigma = gm.diffusion.alpha_sigma(torch.linspace(start, 0, steps + 1))[1]
    cells = torch.cat([cells[row] for row in range(len(rows)) for _, cells in frames])
    return {
        **sheet(cells, len(frames)),
        "rows": rows,
        "numbers": [step for step, _ in frames],
        "live": live,
        "levels": " ".join(f"{s:.4f}" for s in sigma.tolist()),
    }


def stream_run(sampler_steps, x, start, steps, lines):
    """Shows a sampler's steps as they are computed, and at the end all of them: yields (stage, lines).

    x: the picture from which the run starts, at time `start`; steps: their number. A frame shows x_t beside the network's
    predictions from that x_t. A `DiffusionStep` holds the predictions from the x_t before it, so the two are off by one.
    """
    frames = []
    try:
        for k, step in enumerate(sampler_steps):
            frames.append((k, [cell(x), cell(step.x0), noise_cell(step.eps)]))
            x = step.x
            yield stage_value(VIEWS, frames[-1:], start, steps, live=True), LINES_PENDING if k == 0 else gr.skip()
        frames.append((steps, [cell(x), cell(x), noise_cell(0 * x)]))
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield stage_value(VIEWS, frames, start, steps), lines


# --- Generate ---------------------------------------------------------------------------------------------------------


def generate(*controls):
    """New samples with the seed in the box."""
    options = sampling_options(*controls)
    options.check_budget()
    arguments = options.arguments()
    lines = python_lines(options, f"x = model.sample({options.n}, {format_arguments(arguments)})\n")
    sampler_steps = options.model.sample_steps(options.n, **arguments)
    noise = options.model.initial_noise(options.n, seed=options.seed)
    yield from stream_run(sampler_steps, noise, 1.0, options.steps, lines)


@functools.lru_cache(maxsize=4)
def _opening_run(folder, dataset):
    *_, final = generate(dataset, *defaults(dataset))
    return final


def opening_run(dataset):
    """(stage, lines) of the finished run with which the tab opens."""
    return _opening_run(gm.base.checkpoint_folder(f"diffusion-{dataset}"), dataset)


def stream_comparison(options, names, runs, lines):
    """Several runs from the same initial noise, step by step and side by side: yields (stage, lines)."""
    noise = cell(options.model.initial_noise(options.n, seed=options.seed))
    frames = [(0, [noise] * len(names))]
    try:
        for k in range(1, options.steps + 1):
            cells = list(frames[-1][1])
            for i, run in enumerate(runs):
                cells[i] = cell(next(run).x)
                stage = stage_value(names, [(k, cells)], 1.0, options.steps, live=True)
                yield stage, LINES_PENDING if k == 1 else gr.skip()
            frames.append((k, cells))
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield stage_value(names, frames, 1.0, options.steps), lines


def compare_samplers(*controls):
    """The four samplers from the same initial noise in the same number of steps."""
    options = sampling_options(*controls)
    # DDIM is the only sampler for which `arguments` includes eta; the others ignore it
    options = options._replace(sampler="ddim", steps=min(options.steps, MAX_STEPS))
    options.check_budget(repeats=5)  # Heun calls the network twice per step
    arguments = without("sampler", options.arguments())
    names = [f"{title}: {gm.diffusion.function_evaluations(sampler, options.steps)} NFE" for sampler, title in SAMPLERS.items()]
    runs = [options.model.sample_steps(options.n, sampler=sampler, **arguments) for sampler in SAMPLERS]
    code = (
        f"samplers = {json.dumps(list(SAMPLERS))}\n"
        f"x = torch.cat([model.sample({options.n}, sampler=s, {format_arguments(arguments)}) for s in samplers])\n"
    )
    yield from stream_comparison(options, names, runs, python_lines(options, code, options.n))


def compare_guidances(*controls):
    """Four guidance scales from the same initial noise. Where no class was chosen, each sample gets a class of its own."""
    options = sampling_options(*controls)
    label, classes = options.labels, options.model.classes
    if label is None and len(classes) == 1:
        label = [i % classes[0] for i in range(options.n)]
    elif label is None:  # only the first two attributes: values of more might contradict each other
        label = [[i % classes[0], i % classes[1], *[ANY] * (len(classes) - 2)] for i in range(options.n)]
    options._replace(label=[0]).check_budget(guidances=GUIDANCES)
    arguments = without("label", options._replace(guidance=1.0).arguments())
    names = ["0: unconditional", "1: as trained", *(f"guidance {g}" for g in GUIDANCES[2:])]
    runs = [options.model.sample_steps(options.n, label=label, **{**arguments, "guidance": g}) for g in GUIDANCES]
    code = (
        f"label = {label}\nx = torch.cat([\n"
        f"    model.sample({options.n}, label=label, guidance=g, {format_arguments(arguments)})\n"
        f"    for g in {GUIDANCES}\n])\n"
    )
    yield from stream_comparison(options, names, runs, python_lines(options, code, options.n))


# --- The visitor's own picture ----------------------------------------------------------------------------------------
#
# A `source` is the picture that the tools work on: {"dataset", "x": (1, C, H, W), "lines" that define `picture`}.


@functools.lru_cache(maxsize=4)
def test_pictures(dataset):
    """(x (N, C, H, W) in [0, 1], a name for each): test pictures, one of each class first."""
    samples = gm.data.samples(dataset)
    classes = gm.data.CLASSES.get(dataset)
    names = [classes[c] for c in samples.y.tolist()] if classes else ["face"] * len(samples)
    return samples.floats(), [f"{name} (test picture {i})" for i, name in enumerate(names)]


def test_picture_source(dataset, i):
    x, _ = test_pictures(dataset)
    i = gm.base.check_number("test picture", i, 0, len(x) - 1, whole=True)
    lines = f'picture = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\n'
    return {"dataset": dataset, "x": x[i : i + 1], "lines": lines}


def drawing_source(dataset, ink):
    """A drawing, preprocessed like the pictures of the dataset; its lines contain the pixels."""
    if ink is None:
        raise ValueError("The drawing is empty: draw something first.")
    pixels = gm.pictures.to_bytes(gm.data.preprocess(ink, dataset))  # (1, H, W, 1)
    file = io.BytesIO()
    gm.pictures.to_image(pixels[0]).save(file, "PNG")
    lines = base64_lines("drawing", file.getvalue()) + (
        "picture = torch.from_numpy(np.array(Image.open(io.BytesIO(drawing))))[None, None] / 255\n"
    )
    return {"dataset": dataset, "x": pixels.permute(0, 3, 1, 2) / 255, "lines": lines}


def upload_source(dataset, path):
    x = gm.data.preprocess(wiring.read_picture(path), dataset)
    name = repr(Path(path).name)
    lines = f"picture = gm.data.preprocess(Image.open({name}), {dataset!r})  # the file that you uploaded\n"
    return {"dataset": dataset, "x": x, "lines": lines}


def choose(source, t, seed, mask):
    """Another picture for the tools -> (source, the picture with noise, the mask pad). A mask that fits is kept."""
    x = source["x"]
    if mask is None or mask.shape != x.shape[2:]:
        mask = lower_half(x.shape[-1])
    return source, noisy_picture(source, t, seed), {**raw(x[0]), "mask": mask_text(mask)}


def choose_test(dataset, t, seed, mask, event: gr.EventData):
    i = wiring.number_from_event(event, "index", TEST_TILES - 1)
    return choose(test_picture_source(dataset, i), t, seed, mask)


def choose_drawing(dataset, t, seed, mask, ink):
    return choose(drawing_source(dataset, ink), t, seed, mask)


def choose_upload(dataset, t, seed, mask, path):
    return choose(upload_source(dataset, path), t, seed, mask)


def lower_half(size):
    import numpy as np

    return np.arange(size)[:, None].repeat(size, 1) >= size // 2


def noisy_picture(source, t, seed):
    """The forward process: the picture with the noise of time t."""
    import torch

    model = model_of(require_source(source)["dataset"])
    x = model.q_sample(source["x"], t, seed=gm.base.check_number("seed", seed, 0, 2**31, whole=True))
    alpha, sigma = gm.diffusion.alpha_sigma(torch.tensor(float(t)))
    caption = f"{abs(alpha):.2f} picture + {sigma:.2f} noise"  # abs: cos of a quarter turn may be -0.00
    return {**raw(x[0]), "caption": caption, "label": f"Your picture with noise: {caption}"}


def require_source(source, dataset=None):
    if not source or dataset and source["dataset"] != dataset:
        raise ValueError("Choose a picture first: click a test picture, draw one or upload one.")
    return source


def edit(source, t, *controls):
    """SDEdit: noise is added to the picture and the model removes it, giving variants of the picture."""
    options = sampling_options(*controls).for_one_picture()
    source = require_source(source, controls[0])
    options.check_budget()
    x = source["x"].expand(options.n, -1, -1, -1)
    arguments = {"strength": t, **options.arguments()}
    code = source["lines"] + f"x = model.edit(picture.expand({options.n}, -1, -1, -1), {format_arguments(arguments)})\n"
    sampler_steps = options.model.edit_steps(x, **arguments)
    noisy = options.model.q_sample(x, t, seed=options.seed)
    yield from stream_run(sampler_steps, noisy, t, options.steps, python_lines(options, code))


def inpaint(source, mask, *controls):
    """RePaint: variants of the masked part of the picture."""
    import numpy as np
    import torch

    options = sampling_options(*controls).for_one_picture()
    source = require_source(source, controls[0])
    if mask is None or not mask.any():
        raise ValueError("Paint over a part of the picture first: the model generates that part.")
    options = options._replace(sampler="ddpm", steps=min(options.steps, MAX_STEPS))
    options.check_budget(repeats=RESAMPLE)
    x = source["x"].expand(options.n, -1, -1, -1)
    arguments = {"resample": RESAMPLE, **without("sampler", options.arguments())}
    size = x.shape[-1]
    code = (
        source["lines"]
        + base64_lines("mask_bits", np.packbits(mask).tobytes())
        + f"mask = np.unpackbits(np.frombuffer(mask_bits, np.uint8), count={size}**2).reshape(1, 1, {size}, {size})\n"
        + f"x = model.inpaint(picture.expand({options.n}, -1, -1, -1), torch.from_numpy(mask) > 0, "
        + f"{format_arguments(arguments)})\n"
    )
    sampler_steps = options.model.inpaint_steps(x, torch.from_numpy(mask)[None, None], **arguments)
    noise = options.model.initial_noise(options.n, seed=options.seed)
    yield from stream_run(sampler_steps, noise, 1.0, options.steps, python_lines(options, code))


# --- Quality ----------------------------------------------------------------------------------------------------------


def quality(dataset):
    """FID against the number of function evaluations, as measured for the card."""
    name = f"diffusion-{dataset}"
    try:
        measured = json.loads((wiring.checkpoints() / name / "calls.json").read_text(encoding="utf-8"))
        lines = [
            [title, sorted([row["calls"], row["fid"]] for row in measured["rows"] if row["sampler"] == sampler)]
            for sampler, title in SAMPLERS.items()
        ]
        return {
            "lines": [line for line in lines if line[1]],
            "floor": measured["floor"]["fid"],
            "x": "function evaluations (NFE) per sample",
            "y": "FID (lower is better)",
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {"message": f"There are no measurements: calls.json of {name} is missing or cannot be read."}


# --- API endpoints ----------------------------------------------------------------------------------------------------


def dataset_of(model):
    """A visitor's text never becomes part of a path unchecked."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def parse_label(dataset, text):
    """The four label values of `sampling_options` from "any", a class name, or "glasses=round, smiling=yes"."""
    attribute_values = attributes(dataset)
    label = dict.fromkeys(attribute_values, ANY)
    for part in [] if text == "any" else str(text).split(","):
        name, _, value = part.rpartition("=") if len(attribute_values) > 1 else ("class", "", part)
        values = attribute_values[gm.base.check_choice("the attribute in label", name.strip(), list(attribute_values))]
        label[name.strip()] = values.index(gm.base.check_choice("the value in label", value.strip(), values))
    return [*label.values(), *[ANY] * (4 - len(label))]


def source_of(dataset, picture, i):
    return test_picture_source(dataset, i) if picture is None else upload_source(dataset, picture)


def append_grid(sampler_steps):
    """The steps, then the finished samples as one PNG. Others may compute between two steps."""
    for step in sampler_steps:
        yield step
    yield gm.pictures.grid(step.x, grid_columns(len(step.x)), scale=4)


def diffusion_sample(model="diffusion-mnist", n=9, label="any", sampler="dpm", steps=16, guidance=1, eta=0, seed=0):
    """Generate new pictures with a diffusion model.

    Args:
        model: diffusion-mnist (digits), diffusion-fashion (clothes) or diffusion-avatars (faces).
        n: number of samples, 1 to 16.
        label: any; a class such as 7 or ankle boot; for faces attributes such as smiling=yes, glasses=round, hair_color=pink.
        sampler: dpm, ddim, heun or ddpm.
        steps: 1 to 64, with ddpm to 250. The product of n and the number of network calls is limited as well.
        guidance: scale of classifier-free guidance, 0 (unconditional) to 10; 1 as trained.
        eta: 0 to 1, the amount of noise that ddim adds in each step.
        seed: whole number; the same seed gives the same samples.
    Returns:
        A PNG with the samples in a square grid.
    """
    options = sampling_options(
        dataset_of(model), *parse_label(dataset_of(model), label), sampler, steps, guidance, eta, n, seed
    )
    options.check_budget()
    yield from append_grid(options.model.sample_steps(options.n, **options.arguments()))


def diffusion_noise(model="diffusion-mnist", picture=None, test_picture_number=0, t=0.5, seed=0):
    """Add noise to a picture: the forward process.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file, preprocessed like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        t: 0 (the picture) to 1 (pure noise).
        seed: whole number; the same seed gives the same noise.
    Returns:
        The weights of the picture (alpha) and of the noise (sigma); and a PNG of the noisy picture, each pixel 8x8,
        clamped to the displayable range.
    """
    import torch

    source = source_of(dataset_of(model), picture, test_picture_number)
    t = gm.base.check_number("t", t, 0, 1)
    seed = gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    x = model_of(source["dataset"]).q_sample(source["x"], t, seed=seed)
    alpha, sigma = gm.diffusion.alpha_sigma(torch.tensor(t))
    return {"t": t, "alpha": float(alpha), "sigma": float(sigma)}, gm.pictures.grid(x, scale=8)


def diffusion_edit(
    model="diffusion-mnist",
    picture=None,
    test_picture_number=0,
    strength=0.6,
    n=4,
    label="any",
    sampler="dpm",
    steps=16,
    guidance=1,
    seed=0,
):
    """Add noise to a picture and let the model remove it (SDEdit): variants of the picture.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file, preprocessed like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        strength: 0.01 to 1, the time t up to which noise is added; the more, the less of the picture survives.
        n: number of variants, 1 to 16.
        label: see diffusion_sample.
        sampler: see diffusion_sample.
        steps: see diffusion_sample.
        guidance: see diffusion_sample.
        seed: whole number; the same seed gives the same variants.
    Returns:
        A PNG with the variants in a square grid.
    """
    dataset = dataset_of(model)
    source = source_of(dataset, picture, test_picture_number)
    options = sampling_options(dataset, *parse_label(dataset, label), sampler, steps, guidance, 0, n, seed)
    options.check_budget()
    x = source["x"].expand(options.n, -1, -1, -1)
    yield from append_grid(options.model.edit_steps(x, strength=strength, **options.arguments()))


def diffusion_inpaint(
    model="diffusion-mnist",
    picture=None,
    test_picture_number=0,
    mask=None,
    n=4,
    label="any",
    steps=16,
    resample=3,
    guidance=1,
    seed=0,
):
    """Inpaint the part of a picture that a mask covers (RePaint): variants that keep the rest.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file, preprocessed like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        mask: a file, stretched over the preprocessed picture: white is generated, black is kept. Without one, the lower half.
        n: number of variants, 1 to 16.
        label: see diffusion_sample.
        steps: 1 to 64.
        resample: 1 to 20, how often each step is run, with noise added back in between. n * steps * resample is limited too.
        guidance: see diffusion_sample.
        seed: whole number; the same seed gives the same variants.
    Returns:
        A PNG with the variants in a square grid.
    """
    import numpy as np
    import torch

    dataset = dataset_of(model)
    x = source_of(dataset, picture, test_picture_number)["x"]
    size = x.shape[-1]
    if mask is None:
        mask = lower_half(size)
    else:
        mask = np.array(wiring.read_picture(mask).convert("L").resize((size, size))) > 127
    if not mask.any():
        raise ValueError("The mask is empty: it must be white where the picture is to be generated.")
    options = sampling_options(dataset, *parse_label(dataset, label), "ddim", steps, guidance, 0, n, seed)
    resample = gm.base.check_number("resample", resample, 1, 20, whole=True)
    options.check_budget(repeats=resample)
    arguments = {"resample": resample, **without("sampler", options.arguments())}
    mask = torch.from_numpy(mask)[None, None]
    yield from append_grid(options.model.inpaint_steps(x.expand(options.n, -1, -1, -1), mask, **arguments))


def endpoints():
    """Register the functions above under their own names. They check their arguments; the components do not."""

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def text(label, value):
        return gr.Textbox(value, label=label, visible=False)

    facts = gr.JSON(visible=False, label="facts")
    png = gr.Image(format="png", label="picture", visible=False)
    model = gr.Dropdown(list(MODELS), value=MODELS[0], label="model", visible=False)
    picture = picture_upload(visible=False, label="picture")
    mask = picture_upload(visible=False, label="mask")
    label = text("label", "any")
    sampler = text("sampler", "dpm")
    test_picture = boxes(test_picture_number=0)
    wiring.endpoint(diffusion_sample, [model, *boxes(n=9), label, sampler, *boxes(steps=16, guidance=1, eta=0, seed=0)], png)
    wiring.endpoint(diffusion_noise, [model, picture, *test_picture, *boxes(t=0.5, seed=0)], [facts, png])
    wiring.endpoint(
        diffusion_edit,
        [model, picture, *test_picture, *boxes(strength=0.6, n=4), label, sampler, *boxes(steps=16, guidance=1, seed=0)],
        png,
    )
    wiring.endpoint(
        diffusion_inpaint,
        [model, picture, *test_picture, mask, *boxes(n=4), label, *boxes(steps=16, resample=3, guidance=1, seed=0)],
        png,
    )


# --- Layout -----------------------------------------------------------------------------------------------------------


def open_dataset(dataset):
    """Another dataset -> (four label menus, other controls, stage, lines)."""
    *label, sampler, steps, guidance, eta, n, seed = defaults(dataset)
    other_choices = [("any", ANY)] if dataset == "avatars" else [("one of each", EACH), ("any", ANY)]
    menus = [
        gr.update(
            label=FEATURES.get(name, "Class"),
            value=value,
            visible=True,
            choices=[*other_choices, *((v.replace("_", " "), i) for i, v in enumerate(values))],
        )
        for value, (name, values) in zip(label, attributes(dataset).items())
    ]
    menus += [gr.update(value=ANY, visible=False)] * (4 - len(menus))
    controls = sampler, gr.update(value=steps, maximum=MAX_STEPS), guidance, gr.update(value=eta, visible=False), n, seed
    return *menus, *controls, *opening_run(dataset)


def show_dataset_error(sentence):
    return *[gr.skip()] * 10, {"message": sentence}, ""


def open_tools(dataset, t):
    """Another dataset -> (test pictures twice, whether one can draw, source, the picture with noise, the mask pad)."""
    x, labels = test_pictures(dataset)
    tiles = {**sheet(x[:TEST_TILES], TEST_TILES), "labels": labels[:TEST_TILES], "chosen": 0}
    return tiles, tiles, gr.update(visible=dataset != "avatars"), *choose(test_picture_source(dataset, 0), t, 0, None)


def show_tools_error(sentence):
    return gr.skip(), gr.skip(), gr.skip(), None, {"message": sentence}, None


def choose_sampler(sampler, steps):
    """-> (steps, eta): DDPM needs more steps, and only DDIM has an eta."""
    max_steps = MAX_DDPM_STEPS if sampler == "ddpm" else MAX_STEPS
    return gr.update(maximum=max_steps, value=min(steps, max_steps)), gr.update(visible=sampler == "ddim")


def about(dataset):
    """A table of the tab's models, and the card of the chosen one."""
    shipped = [name for name in MODELS if (wiring.checkpoints() / name).is_dir()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"diffusion-{dataset}")


def prepare():
    """Functions to call in the background before the first visit; each takes little time."""
    return [
        functools.partial(opening_run, dataset)
        for dataset in gm.data.DATASETS
        if (wiring.checkpoints() / f"diffusion-{dataset}").is_dir()
    ]


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    datasets = list(DATASET_TITLES)
    shipped = [name for name in datasets if (wiring.checkpoints() / f"diffusion-{name}").is_dir()] or datasets
    gr.Markdown(
        "A **diffusion model** turns pure noise into a picture by removing a little noise in each step. Press *Generate*, then "
        "drag the slider under the pictures to look at any step.",
        elem_classes="hint",
    )
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [(DATASET_TITLES[name], name) for name in shipped],
            value=shipped[0],
            label="Dataset",
            show_label=False,
            container=False,
            elem_id="diffusion-dataset",
            min_width=330,
        )

    def slider(*bounds, label, name, **props):
        return gr.Slider(*bounds, label=label, buttons=[], elem_id=f"diffusion-{name}", elem_classes="plain", **props)

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=250, elem_classes=["card", "controls"]):
            gr.Markdown("### Conditions and sampler")
            labels = [
                gr.Dropdown(
                    [("any", ANY)],
                    value=ANY,
                    label="Class",
                    visible=i == 0,
                    elem_id=f"diffusion-label-{i}",
                    elem_classes="plain",
                    min_width=100,
                )
                for i in range(4)
            ]
            sampler = gr.Radio(
                [(title, name) for name, title in SAMPLERS.items()],
                value="dpm",
                label="Sampler",
                elem_id="diffusion-sampler",
                elem_classes="plain",
            )
            steps = slider(1, MAX_STEPS, 16, step=1, label="Steps", name="steps")
            eta = slider(0, 1, 0, step=0.05, label="Eta (noise added per step)", name="eta", visible=False)
            guidance = slider(0, 10, 1, step=0.25, label="Guidance (1: as trained)", name="guidance")
            n = slider(1, MAX_SAMPLES, 9, step=1, label="Samples", name="n")
        with gr.Column(scale=12, min_width=320, elem_classes=["card", "on-stage", "run"]):
            stage = Scrubber(
                {"message": "The model is loading: in a moment, the steps from noise to a picture appear here."},
                ends=("noise", "picture"),
                elem_id="diffusion-stage",
                elem_classes="live-picture",
            )
            new, seed, stop = wiring.seed_row("Generate", "Stop")
        with gr.Column(scale=7, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Compare", id="compare"):
                gr.Markdown(
                    "The initial noise decides what is generated, the sampler only how accurately. Start four runs from "
                    "**the same noise** and see them side by side.",
                    elem_classes="hint",
                )
                by_sampler = gr.Button("Four samplers", size="md")
                gr.Markdown(
                    "**Guidance** amplifies the effect of the class: samples become clearer and less varied. If no class is "
                    "chosen, each sample gets a class of its own.",
                    elem_classes="hint",
                )
                by_guidance = gr.Button("Four guidance scales", size="md")
            with gr.Tab("Your picture", id="own"):
                gr.Markdown(
                    "Add noise to a picture, as in training (the forward process). Then let the model remove it (SDEdit): the "
                    "more noise, the more the model has to invent.",
                    elem_classes="hint",
                )
                choices = Tiles(columns=10, name="Test pictures", elem_id="diffusion-own")
                with gr.Row():
                    with gr.Column(min_width=130) as drawing:
                        pad = DrawPad(elem_id="diffusion-pad")
                    with gr.Column(min_width=130):
                        noisy = Stage(elem_id="diffusion-drowned")
                t = slider(0, 1, 0.6, step=0.01, label="Time t (0: clean picture, 1: pure noise)", name="t")
                denoise = gr.Button("Denoise (SDEdit)", size="md", elem_id="diffusion-finish")
                upload = picture_upload(
                    label="Upload a picture", show_label=False, height=120, elem_id="diffusion-upload", elem_classes="upload"
                )
            with gr.Tab("Inpaint", id="fill"):
                gr.Markdown(
                    "Paint over a part of the picture. The model generates several variants of that part that fit the rest.",
                    elem_classes="hint",
                )
                more_choices = Tiles(columns=10, name="Test pictures", elem_id="diffusion-fill-own")
                mask = MaskPad(elem_id="diffusion-mask")
                fill = gr.Button("Inpaint", size="md", elem_id="diffusion-fill")
            with gr.Tab("Quality", id="quality"):
                gr.Markdown(
                    "**FID**, the distance between generated and real pictures, against the number of function evaluations "
                    "(**NFE**): how often the network is called for one sample.",
                    elem_classes="hint",
                )
                chart = Chart(elem_id="diffusion-chart")
    source = gr.State()
    lines = wiring.python_panel("diffusion")
    wiring.explanation(__file__, measured=wiring.measured("diffusion-mnist"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls = [dataset, *labels, sampler, steps, guidance, eta, n, seed]
    new_seed = wiring.act(new.click, wiring.fresh_seed, None, seed)
    sampler_input = functools.partial(sampler.input, trigger_mode="always_last")
    sampler_chosen = wiring.act(sampler_input, choose_sampler, [sampler, steps], [steps, eta])
    changes = [*(menu.input for menu in labels), *(s.release for s in (steps, eta, guidance, n)), seed.submit]
    runs = wiring.Runs(stage)
    stream = functools.partial(runs.stream, outputs=[stage, lines], rate=12)  # smooth, and not too much for a slow browser
    stream(new_seed.then, generate, controls)
    stream(sampler_chosen.then, generate, controls)
    stream(functools.partial(gr.on, changes), generate, controls)
    stream(by_sampler.click, compare_samplers, controls)
    stream(by_guidance.click, compare_guidances, controls)
    stream(denoise.click, edit, [source, t, *controls])
    stream(fill.click, inpaint, [source, mask, *controls])
    runs.stop(stop.click)

    views = [source, noisy, mask]
    wiring.live(t.input, noisy_picture, [source, t, seed], noisy)
    for tiles in (choices, more_choices):
        wiring.act(tiles.input, choose_test, [dataset, t, seed, mask], views)
    wiring.live(pad.input, choose_drawing, [dataset, t, seed, mask, pad], views)
    wiring.act(upload.upload, choose_upload, [dataset, t, seed, mask, upload], views)

    for event in (opened, dataset.input):
        dataset_opened = runs.act(event, open_dataset, [dataset], [*controls[1:], stage, lines], show_dataset_error)
        afterwards = functools.partial(dataset_opened.then, trigger_mode="always_last")
        wiring.act(afterwards, open_tools, [dataset, t], [choices, more_choices, drawing, *views], show_tools_error)
        wiring.act(afterwards, quality, dataset, chart)
        wiring.act(afterwards, about, dataset, card)
    endpoints()
