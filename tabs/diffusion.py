"""Diffusion: noise becomes a picture, step by step, and every step can be seen and steered."""

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
SAMPLERS = {"dpm": "DPM-Solver++", "ddim": "DDIM", "heun": "Heun", "ddpm": "DDPM"}
FEATURES = {"smiling": "Smile", "glasses": "Glasses", "hair_color": "Hair colour", "hair_length": "Hair length"}
GUIDANCES = (0, 1, 2, 4)  # side by side
VIEWS = ["the picture now", "the clean picture it expects", "the noise it sees"]
STEPS, MOST_STEPS = 64, 250  # at most; the second for DDPM
ANY, EACH = -1, -2  # answers beside a class: the question stays open; one class after the other
COUNT, RESAMPLE, SHOWN = 16, 3, 10  # pictures at most, RePaint's repetitions, test pictures
WORK = 4096  # pictures that one run may put through the network: about 20 seconds
PIXELS = 4_000_000  # of all frames that go to the browser: longer runs are shown with some steps left out
LINES_PENDING = "# The lines follow when the run has come to its end."
LINES_STOPPED = "# The run was stopped: only finished runs have lines."


# --- What the visitor asks for ----------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """What the controls say, checked. label: the answer to each of the model's questions, or ANY, or EACH for the only one."""

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
    def asked(self):
        """The label as the model takes it: None if every question is open."""
        if self.label == [EACH]:
            return [i % self.model.classes[0] for i in range(self.n)]
        return None if max(self.label) < 0 else self.label if len(self.label) > 1 else self.label[0]

    def own(self):
        """The same for a picture that is there already, which has one class if it has any."""
        return self._replace(label=[ANY]) if self.label == [EACH] else self

    def options(self):
        """The arguments of a sampler, without those that say what it does anyway."""
        eta = self.eta if self.sampler == "ddim" else 0.0
        given = {"label": self.asked, "sampler": self.sampler, "steps": self.steps, "guidance": self.guidance, "eta": eta}
        usual = {"label": None, "guidance": 1.0, "eta": 0.0}
        return {name: v for name, v in given.items() if v != usual.get(name, "")} | {"seed": self.seed}

    def affordable(self, repeats=1, guidances=None):
        """Raises a ValueError if the run would put too many pictures through the network."""
        twice = [2 if g not in (0, 1) and self.asked is not None else 1 for g in guidances or [self.guidance]]
        work = self.n * gm.diffusion.function_evaluations(self.sampler, self.steps) * repeats * sum(twice)
        if work > WORK:
            raise ValueError(
                f"This run would put {work:,} pictures through the network; at most {WORK:,} are allowed. "
                "Choose fewer pictures, fewer steps or guidance 1."
            )


def model_of(dataset):
    return gm.load(f"diffusion-{gm.base.check_choice('data set', dataset, gm.data.SETS)}")


def wish(dataset, *values):
    """A `Wish` from the controls: four answers (only as many count as the model has questions), and the rest."""
    *label, sampler, steps, guidance, eta, n, seed = values
    gm.base.check_choice("sampler", sampler, list(SAMPLERS))
    asked = model_of(dataset).classes
    least = EACH if len(asked) == 1 else ANY
    label = [ANY if a is None else gm.base.check_number("label", a, least, c - 1, whole=True) for a, c in zip(label, asked)]
    return Wish(
        dataset,
        label,
        sampler,
        gm.base.check_number("steps", steps, 1, MOST_STEPS if sampler == "ddpm" else STEPS, whole=True),
        gm.base.check_number("guidance", guidance, 0, 10),
        gm.base.check_number("eta", eta, 0, 1),
        gm.base.check_number("number of pictures", n, 1, COUNT, whole=True),
        gm.base.check_number("seed", seed, 0, 2**31, whole=True),
    )


def defaults(dataset):
    """The controls as the tab opens: four answers, sampler, steps, guidance, eta, number, seed."""
    first = ANY if dataset == "avatars" else EACH
    return first, ANY, ANY, ANY, "dpm", 16, 1, 0, 4 if dataset == "avatars" else 9, 0


def questions(dataset):
    """What the model can be asked for: {question: its answers}."""
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


def lines_of(wish, make, columns=None):
    """A whole program. make: the lines that make `x`."""
    used = [line for name, line in IMPORTS.items() if name in make]
    return "\n".join(
        [
            *used,
            *[""] * bool(used),
            "import genmodels as gm",
            "",
            f'model = gm.load("diffusion-{wish.dataset}")',
            f'{make}gm.pictures.grid(x, columns={columns or side(wish.n)}, scale=4).save("picture.png")',
            "",
        ]
    )


def format_arguments(options):
    """A call's arguments as one writes them."""

    def written(value):
        return f"{value:g}" if isinstance(value, float) else json.dumps(value)

    return ", ".join(f"{name}={written(value)}" for name, value in options.items())


def without(name, options):
    return {k: v for k, v in options.items() if k != name}


def base64_lines(name, data):
    """Bytes as a constant of base64."""
    parts = textwrap.wrap(base64.b64encode(data).decode(), 110)
    return f"{name} = base64.b64decode(\n" + "\n".join(f'    "{part}"' for part in parts) + "\n)\n"


# --- Frames -----------------------------------------------------------------------------------------------------------


def side(n):
    """Columns of n pictures in a square."""
    return math.ceil(math.sqrt(n))


def cell(x):
    """Pictures (n, C, H, W) side by side as one (1, C, H', W'), clamped to what can be shown."""
    return gm.pictures.sheet(x, side(len(x)), gap=1).permute(2, 0, 1)[None].float() / 255


def noise_cell(eps):
    """Noise as a picture: no noise is grey, three standard deviations are black and white."""
    return cell(0.5 + eps / 6)


def frames(rows, film, start, of, live=False):
    """Value of the stage. film: [(step, [one cell a row])]; start: the time t that the run begins at; of: its steps."""
    import torch

    many = max(2, PIXELS // (len(rows) * film[0][1][0].numel()))
    if len(film) > many:  # evenly, with both ends
        film = [film[round(i * (len(film) - 1) / (many - 1))] for i in range(many)]
    sigma = gm.diffusion.alpha_sigma(torch.linspace(start, 0, of + 1))[1]
    cells = torch.cat([cells[row] for row in range(len(rows)) for _, cells in film])
    return {
        **sheet(cells, len(film)),
        "rows": rows,
        "numbers": [step for step, _ in film],
        "live": live,
        "levels": " ".join(f"{s:.4f}" for s in sigma.tolist()),
    }


def play(steps, now, start, of, lines):
    """A sampler's steps as they come, and in the end all of them: yields (stage, lines). now: what the run begins with.

    A frame has a picture and what the network says of it; a `Step` has what it said of the picture before.
    """
    film = []
    try:
        for k, step in enumerate(steps):
            film.append((k, [cell(now), cell(step.x0), noise_cell(step.eps)]))
            now = step.x
            yield frames(VIEWS, film[-1:], start, of, live=True), LINES_PENDING if k == 0 else gr.skip()
        film.append((of, [cell(now), cell(now), noise_cell(0 * now)]))
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield frames(VIEWS, film, start, of), lines


# --- Generate ---------------------------------------------------------------------------------------------------------


def generate(*controls):
    """New pictures with the seed in the box."""
    w = wish(*controls)
    w.affordable()
    options = w.options()
    lines = lines_of(w, f"x = model.sample({w.n}, {format_arguments(options)})\n")
    yield from play(w.model.sample_steps(w.n, **options), w.model.initial_noise(w.n, seed=w.seed), 1.0, w.steps, lines)


@functools.lru_cache(maxsize=4)
def _finished(folder, dataset):
    """(stage, lines) of the run that the tab opens with."""
    return list(generate(dataset, *defaults(dataset)))[-1]


def finished(dataset):
    return _finished(gm.base.checkpoint_folder(f"diffusion-{dataset}"), dataset)


def compare(w, names, runs, lines):
    """Several runs from the same noise, step by step side by side: yields (stage, lines)."""
    noise = cell(w.model.initial_noise(w.n, seed=w.seed))
    film = [(0, [noise] * len(names))]
    try:
        for k in range(1, w.steps + 1):
            now = list(film[-1][1])
            for i, run in enumerate(runs):
                now[i] = cell(next(run).x)
                yield frames(names, [(k, now)], 1.0, w.steps, live=True), LINES_PENDING if k == 1 else gr.skip()
            film.append((k, now))
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield frames(names, film, 1.0, w.steps), lines


def compare_samplers(*controls):
    """The four samplers from the same noise in as many steps."""
    w = wish(*controls)
    w = w._replace(sampler="ddim", steps=min(w.steps, STEPS))  # the only one that minds eta
    w.affordable(repeats=5)  # Heun asks twice
    options = without("sampler", w.options())
    names = [f"{shown}: {gm.diffusion.function_evaluations(sampler, w.steps)} calls" for sampler, shown in SAMPLERS.items()]
    runs = [w.model.sample_steps(w.n, sampler=s, **options) for s in SAMPLERS]
    lines = (
        f"samplers = {json.dumps(list(SAMPLERS))}\n"
        f"x = torch.cat([model.sample({w.n}, sampler=s, {format_arguments(options)}) for s in samplers])\n"
    )
    yield from compare(w, names, runs, lines_of(w, lines, w.n))


def compare_guidances(*controls):
    """Four guidances from the same noise. Where no class was chosen, each picture gets one of its own."""
    w = wish(*controls)
    label, classes = w.asked, w.model.classes
    if label is None and len(classes) == 1:
        label = [i % classes[0] for i in range(w.n)]
    elif label is None:  # the first two questions only: answers to more might contradict each other
        label = [[i % classes[0], i % classes[1], *[-1] * (len(classes) - 2)] for i in range(w.n)]
    w._replace(label=[0]).affordable(guidances=GUIDANCES)
    options = without("label", w._replace(guidance=1.0).options())
    names = ["0: any class", "1: as trained", *(f"guidance {g}" for g in GUIDANCES[2:])]
    runs = [w.model.sample_steps(w.n, label=label, **{**options, "guidance": g}) for g in GUIDANCES]
    lines = (
        f"label = {label}\nx = torch.cat([\n    model.sample({w.n}, label=label, guidance=g, {format_arguments(options)})\n"
        f"    for g in {GUIDANCES}\n])\n"
    )
    yield from compare(w, names, runs, lines_of(w, lines, w.n))


# --- The visitor's own picture ----------------------------------------------------------------------------------------
#
# A `source` is a picture on which the tools work: {"dataset", "x": (1, C, H, W), "lines" that make `picture`}.


@functools.lru_cache(maxsize=4)
def test_pictures(dataset):
    """(x (N, C, H, W) in [0, 1], a name for each): test pictures, one of each class first."""
    samples = gm.data.samples(dataset)
    classes = gm.data.CLASSES.get(dataset)
    what = [classes[c] for c in samples.y.tolist()] if classes else ["face"] * len(samples)
    return samples.floats(), [f"{name} (test picture {i})" for i, name in enumerate(what)]


def test_picture_source(dataset, i):
    x, _ = test_pictures(dataset)
    i = gm.base.check_number("test picture", i, 0, len(x) - 1, whole=True)
    lines = f'picture = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\n'
    return {"dataset": dataset, "x": x[i : i + 1], "lines": lines}


def drawing_source(dataset, ink):
    """A drawing, prepared as the data set's own pictures were; its lines carry the pixels."""
    if ink is None:
        raise ValueError("The drawing is empty: draw something first.")
    pixels, file = gm.pictures.to_bytes(gm.data.prepare(ink, dataset)), io.BytesIO()  # (1, H, W, 1)
    gm.pictures.to_image(pixels[0]).save(file, "PNG")
    lines = base64_lines("drawing", file.getvalue()) + (
        "picture = torch.from_numpy(np.array(Image.open(io.BytesIO(drawing))))[None, None] / 255\n"
    )
    return {"dataset": dataset, "x": pixels.permute(0, 3, 1, 2) / 255, "lines": lines}


def upload_source(dataset, path):
    x = gm.data.prepare(wiring.read_picture(path), dataset)
    name = repr(Path(path).name)
    lines = f"picture = gm.data.prepare(Image.open({name}), {dataset!r})  # the file that you sent\n"
    return {"dataset": dataset, "x": x, "lines": lines}


def choose(source, t, seed, mask):
    """Another picture for the tools -> (source, the picture drowned in noise, the picture to paint over)."""
    x = source["x"]
    if mask is None or mask.shape != x.shape[2:]:
        mask = lower_half(x.shape[-1])
    return source, drown(source, t, seed), {**raw(x[0]), "mask": mask_text(mask)}


def choose_test(dataset, t, seed, mask, event: gr.EventData):
    return choose(test_picture_source(dataset, wiring.number_from_event(event, "index", SHOWN - 1)), t, seed, mask)


def choose_drawing(dataset, t, seed, mask, ink):
    return choose(drawing_source(dataset, ink), t, seed, mask)


def choose_upload(dataset, t, seed, mask, path):
    return choose(upload_source(dataset, path), t, seed, mask)


def lower_half(size):
    import numpy as np

    return np.arange(size)[:, None].repeat(size, 1) >= size // 2


def drown(source, t, seed):
    """The forward process: the picture with the noise of time t."""
    import torch

    x = model_of(require_source(source)["dataset"]).q_sample(
        source["x"], t, seed=gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    )
    alpha, sigma = gm.diffusion.alpha_sigma(torch.tensor(float(t)))
    caption = f"{abs(alpha):.2f} picture + {sigma:.2f} noise"  # abs: cos of a quarter turn may be -0.00
    return {**raw(x[0]), "caption": caption, "label": f"Your picture in noise: {caption}"}


def require_source(source, dataset=None):
    if not source or dataset and source["dataset"] != dataset:
        raise ValueError("Choose a picture first: click on one of the test pictures, draw, or send one.")
    return source


def edit(source, t, *controls):
    """Variants of the picture: its noise is taken off again by the model."""
    w, source = wish(*controls).own(), require_source(source, controls[0])
    w.affordable()
    x, options = source["x"].expand(w.n, -1, -1, -1), {"strength": t, **w.options()}
    make = source["lines"] + f"x = model.edit(picture.expand({w.n}, -1, -1, -1), {format_arguments(options)})\n"
    yield from play(w.model.edit_steps(x, **options), w.model.q_sample(x, t, seed=w.seed), t, w.steps, lines_of(w, make))


def inpaint(source, mask, *controls):
    """Variants of the part of the picture that is painted over."""
    import numpy as np
    import torch

    w, source = wish(*controls).own(), require_source(source, controls[0])
    if mask is None or not mask.any():
        raise ValueError("Paint over a part of the picture first: the model invents that part.")
    w = w._replace(sampler="ddpm", steps=min(w.steps, STEPS))
    w.affordable(repeats=RESAMPLE)
    x = source["x"].expand(w.n, -1, -1, -1)
    options = {"resample": RESAMPLE, **without("sampler", w.options())}
    size = x.shape[-1]
    make = (
        source["lines"]
        + base64_lines("painted", np.packbits(mask).tobytes())
        + (
            f"mask = np.unpackbits(np.frombuffer(painted, np.uint8), count={size}**2).reshape(1, 1, {size}, {size})\n"
            f"x = model.inpaint(picture.expand({w.n}, -1, -1, -1), torch.from_numpy(mask) > 0, {format_arguments(options)})\n"
        )
    )
    steps = w.model.inpaint_steps(x, torch.from_numpy(mask)[None, None], **options)
    yield from play(steps, w.model.initial_noise(w.n, seed=w.seed), 1.0, w.steps, lines_of(w, make))


# --- Quality ----------------------------------------------------------------------------------------------------------


def quality(dataset):
    """FID against network calls, as it was measured for the card."""
    name = f"diffusion-{dataset}"
    try:
        told = json.loads((wiring.checkpoints() / name / "calls.json").read_text(encoding="utf-8"))
        lines = [
            [shown, sorted([r["calls"], r["fid"]] for r in told["rows"] if r["sampler"] == sampler)]
            for sampler, shown in SAMPLERS.items()
        ]
        return {
            "lines": [line for line in lines if line[1]],
            "floor": told["floor"]["fid"],
            "x": "network calls a picture",
            "y": "FID (less is better)",
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {"message": f"Nothing has been measured yet: calls.json of {name} is missing or cannot be read."}


# --- The programming interface ----------------------------------------------------------------------------------------


def dataset_of(model):
    """A name from a visitor never becomes a path."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def label_from(dataset, text):
    """The four answers of `wish` from "any", a class by its name, or "glasses=round, smiling=yes"."""
    asked = questions(dataset)
    answers = dict.fromkeys(asked, -1)
    for part in [] if text == "any" else str(text).split(","):
        name, _, value = part.rpartition("=") if len(asked) > 1 else ("class", "", part)
        values = asked[gm.base.check_choice("the question of label", name.strip(), list(asked))]
        answers[name.strip()] = values.index(gm.base.check_choice("the answer of label", value.strip(), values))
    return [*answers.values(), *[-1] * (4 - len(answers))]


def source_of(dataset, picture, i):
    return test_picture_source(dataset, i) if picture is None else upload_source(dataset, picture)


def last_picture(steps):
    """The finished pictures, in the end: between two steps others may compute."""
    for step in steps:
        yield step
    yield gm.pictures.grid(step.x, side(len(step.x)), scale=4)


def diffusion_sample(model="diffusion-mnist", n=9, label="any", sampler="dpm", steps=16, guidance=1, eta=0, seed=0):
    """Draw new pictures with a diffusion model.

    Args:
        model: diffusion-mnist (digits), diffusion-fashion (clothes) or diffusion-avatars (faces).
        n: how many, 1 to 16.
        label: any; a class such as 7 or ankle boot; for faces answers such as smiling=yes, glasses=round, hair_color=pink.
        sampler: dpm, ddim, heun or ddpm.
        steps: 1 to 64, with ddpm to 250. n times the network's calls is bounded as well.
        guidance: 0 (ignore the label) to 10; 1 as trained.
        eta: 0 to 1, the noise that ddim adds on its way.
        seed: whole number; the same seed gives the same pictures.
    Returns:
        A PNG with the pictures in a square.
    """
    dataset = dataset_of(model)
    w = wish(dataset, *label_from(dataset, label), sampler, steps, guidance, eta, n, seed)
    w.affordable()
    yield from last_picture(w.model.sample_steps(w.n, **w.options()))


def diffusion_noise(model="diffusion-mnist", picture=None, test_picture_number=0, t=0.5, seed=0):
    """Drown a picture in noise: the forward process.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        t: 0 (the picture) to 1 (noise alone).
        seed: whole number; the same seed gives the same noise.
    Returns:
        How much of the picture (alpha) and of the noise (sigma) there is; and a PNG of the noisy picture, each pixel 8x8,
        clamped to what can be shown.
    """
    import torch

    source = source_of(dataset_of(model), picture, test_picture_number)
    t, seed = gm.base.check_number("t", t, 0, 1), gm.base.check_number("seed", seed, 0, 2**31, whole=True)
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
    """Drown a picture in noise part of the way and let the model take it off: variants of the picture.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        strength: 0.01 to 1, how far; the more, the less of the picture survives.
        n: how many variants, 1 to 16.
        label: see diffusion_sample.
        sampler: see diffusion_sample.
        steps: see diffusion_sample.
        guidance: see diffusion_sample.
        seed: whole number; the same seed gives the same pictures.
    Returns:
        A PNG with the variants in a square.
    """
    dataset = dataset_of(model)
    source = source_of(dataset, picture, test_picture_number)
    w = wish(dataset, *label_from(dataset, label), sampler, steps, guidance, 0, n, seed)
    w.affordable()
    x = source["x"].expand(w.n, -1, -1, -1)
    yield from last_picture(w.model.edit_steps(x, strength=strength, **w.options()))


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
    """Invent the part of a picture that a mask covers: variants that keep the rest.

    Args:
        model: one of the models, see diffusion_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        mask: a file, stretched over the prepared picture: white is invented, black is kept. Without one, the lower half.
        n: how many variants, 1 to 16.
        label: see diffusion_sample.
        steps: 1 to 64.
        resample: 1 to 20, how often each step is undone and done again. n * steps * resample is bounded as well.
        guidance: see diffusion_sample.
        seed: whole number; the same seed gives the same pictures.
    Returns:
        A PNG with the variants in a square.
    """
    import numpy as np
    import torch

    dataset = dataset_of(model)
    x = source_of(dataset, picture, test_picture_number)["x"]
    size = x.shape[-1]
    painted = lower_half(size) if mask is None else np.array(wiring.read_picture(mask).convert("L").resize((size, size))) > 127
    if not painted.any():
        raise ValueError("The mask is empty: it must be white where the picture is to be invented.")
    w = wish(dataset, *label_from(dataset, label), "ddim", steps, guidance, 0, n, seed)
    resample = gm.base.check_number("resample", resample, 1, 20, whole=True)
    w.affordable(repeats=resample)
    options = without("sampler", w.options())
    yield from last_picture(
        w.model.inpaint_steps(x.expand(w.n, -1, -1, -1), torch.from_numpy(painted)[None, None], resample=resample, **options)
    )


def endpoints():
    """The functions above under their own names. They check what they are called with; the components do not."""

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def text(label, value):
        return gr.Textbox(value, label=label, visible=False)

    facts, png = gr.JSON(visible=False, label="facts"), gr.Image(format="png", label="picture", visible=False)
    model = gr.Dropdown(list(MODELS), value=MODELS[0], label="model", visible=False)
    file, mask = (picture_upload(visible=False, label=label) for label in ("picture", "mask"))
    label, sampler, one = text("label", "any"), text("sampler", "dpm"), boxes(test_picture_number=0)
    wiring.endpoint(diffusion_sample, [model, *boxes(n=9), label, sampler, *boxes(steps=16, guidance=1, eta=0, seed=0)], png)
    wiring.endpoint(diffusion_noise, [model, file, *one, *boxes(t=0.5, seed=0)], [facts, png])
    wiring.endpoint(
        diffusion_edit,
        [model, file, *one, *boxes(strength=0.6, n=4), label, sampler, *boxes(steps=16, guidance=1, seed=0)],
        png,
    )
    wiring.endpoint(
        diffusion_inpaint, [model, file, *one, mask, *boxes(n=4), label, *boxes(steps=16, resample=3, guidance=1, seed=0)], png
    )


# --- Layout -----------------------------------------------------------------------------------------------------------


def open_set(dataset):
    """Another data set -> (four answers, other controls, stage, lines)."""
    *label, sampler, steps, guidance, eta, n, seed = defaults(dataset)
    others = [("any", ANY)] if dataset == "avatars" else [("one of each", EACH), ("any", ANY)]
    asked = [
        gr.update(
            label=FEATURES.get(name, "Class"),
            value=answer,
            visible=True,
            choices=[*others, *((v.replace("_", " "), i) for i, v in enumerate(values))],
        )
        for answer, (name, values) in zip(label, questions(dataset).items())
    ]
    answers = asked + [gr.update(value=ANY, visible=False)] * (4 - len(asked))
    controls = sampler, gr.update(value=steps, maximum=STEPS), guidance, gr.update(value=eta, visible=False), n, seed
    return *answers, *controls, *finished(dataset)


def no_set(sentence):
    return *[gr.skip()] * 10, {"message": sentence}, ""


def open_tools(dataset, t):
    """The same -> (test pictures twice, whether one can draw, source, drowned picture, picture to paint over)."""
    x, labels = test_pictures(dataset)
    tiles = {**sheet(x[:SHOWN], SHOWN), "labels": labels[:SHOWN], "chosen": 0}
    return tiles, tiles, gr.update(visible=dataset != "avatars"), *choose(test_picture_source(dataset, 0), t, 0, None)


def no_tools(sentence):
    return gr.skip(), gr.skip(), gr.skip(), None, {"message": sentence}, None


def choose_sampler(sampler, steps):
    """-> (steps, eta): DDPM needs more steps, and only DDIM has an eta."""
    most = MOST_STEPS if sampler == "ddpm" else STEPS
    return gr.update(maximum=most, value=min(steps, most)), gr.update(visible=sampler == "ddim")


def about(dataset):
    """The models of the tab in a table, and the card of the one on stage."""
    shipped = [name for name in MODELS if (wiring.checkpoints() / name).is_dir()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"diffusion-{dataset}")


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [
        functools.partial(finished, dataset)
        for dataset in gm.data.SETS
        if (wiring.checkpoints() / f"diffusion-{dataset}").is_dir()
    ]


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    sets = {"mnist": "Digits", "fashion": "Clothes", "avatars": "Faces"}
    shipped = [name for name in sets if (wiring.checkpoints() / f"diffusion-{name}").is_dir()] or list(sets)
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [(sets[name], name) for name in shipped],
            value=shipped[0],
            label="Pictures",
            show_label=False,
            container=False,
            elem_id="diffusion-dataset",
            min_width=330,
        )

    def slider(*reach, label, name, **more):
        return gr.Slider(*reach, label=label, buttons=[], elem_id=f"diffusion-{name}", elem_classes="plain", **more)

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=250, elem_classes=["card", "controls"]):
            gr.Markdown("### What to draw, and how")
            answers = [
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
                [(shown, name) for name, shown in SAMPLERS.items()],
                value="dpm",
                label="Sampler",
                elem_id="diffusion-sampler",
                elem_classes="plain",
            )
            steps = slider(1, STEPS, 16, step=1, label="Steps", name="steps")
            eta = slider(0, 1, 0, step=0.05, label="Eta (noise added on the way)", name="eta", visible=False)
            guidance = slider(0, 10, 1, step=0.25, label="Guidance (1: as trained)", name="guidance")
            n = slider(1, COUNT, 9, step=1, label="Pictures", name="n")
        with gr.Column(scale=12, min_width=320, elem_classes=["card", "on-stage", "run"]):
            stage = Scrubber(
                {"message": "The model is loading: in a moment, noise becomes a picture here."},
                ends=("noise", "picture"),
                elem_id="diffusion-stage",
                elem_classes="live-picture",
            )
            new, seed, stop = wiring.seed_row("Generate", "Stop")
        with gr.Column(scale=7, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Compare", id="compare"):
                gr.Markdown(
                    "The noise decides what is drawn; the sampler only how well. Start four runs from **the same "
                    "noise** and play them side by side.",
                    elem_classes="hint",
                )
                by_sampler = gr.Button("Four samplers", size="md")
                gr.Markdown(
                    "**Guidance** takes the step that the class asks for and goes further that way: clearer, and "
                    "less varied. Where no class is chosen, each picture gets one of its own.",
                    elem_classes="hint",
                )
                by_guidance = gr.Button("Four strengths of guidance", size="md")
            with gr.Tab("Your picture", id="own"):
                gr.Markdown(
                    "Drown a picture in noise, as in training. Then let the model take the noise off: the more there "
                    "is, the more it has to make up.",
                    elem_classes="hint",
                )
                choices = Tiles(columns=10, name="Test pictures", elem_id="diffusion-own")
                with gr.Row():
                    with gr.Column(min_width=130) as drawing:
                        pad = DrawPad(elem_id="diffusion-pad")
                    with gr.Column(min_width=130):
                        drowned = Stage(elem_id="diffusion-drowned")
                t = slider(0, 1, 0.6, step=0.01, label="Noise (0: the picture, 1: nothing is left of it)", name="t")
                finish = gr.Button("Take the noise off", size="md", elem_id="diffusion-finish")
                upload = picture_upload(
                    label="Upload a picture", show_label=False, height=120, elem_id="diffusion-upload", elem_classes="upload"
                )
            with gr.Tab("Fill in", id="fill"):
                gr.Markdown(
                    "Paint over a part of the picture. The model invents that part, several times, so that it fits the rest.",
                    elem_classes="hint",
                )
                more_choices = Tiles(columns=10, name="Test pictures", elem_id="diffusion-fill-own")
                mask = MaskPad(elem_id="diffusion-mask")
                fill = gr.Button("Fill it in", size="md", elem_id="diffusion-fill")
            with gr.Tab("Quality", id="quality"):
                gr.Markdown(
                    "How far generated pictures are from real ones, by the number of times that the network was asked.",
                    elem_classes="hint",
                )
                chart = Chart(elem_id="diffusion-chart")
    source = gr.State()
    lines = wiring.python_panel("diffusion")
    wiring.explanation(__file__, measured=wiring.measured("diffusion-mnist"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls = [dataset, *answers, sampler, steps, guidance, eta, n, seed]
    fresh = wiring.act(new.click, wiring.fresh_seed, None, seed)
    latest = functools.partial(sampler.input, trigger_mode="always_last")
    other = wiring.act(latest, choose_sampler, [sampler, steps], [steps, eta])
    again = [*(a.input for a in answers), *(s.release for s in (steps, eta, guidance, n)), seed.submit]
    player = wiring.Runs(stage)
    play_on = functools.partial(player.stream, outputs=[stage, lines], rate=12)  # smooth, and not too much for a slow browser
    play_on(fresh.then, generate, controls)
    play_on(other.then, generate, controls)
    play_on(functools.partial(gr.on, again), generate, controls)
    play_on(by_sampler.click, compare_samplers, controls)
    play_on(by_guidance.click, compare_guidances, controls)
    play_on(finish.click, edit, [source, t, *controls])
    play_on(fill.click, inpaint, [source, mask, *controls])
    player.stop(stop.click)

    view = [source, drowned, mask]
    wiring.live(t.input, drown, [source, t, seed], drowned)
    for tiles in (choices, more_choices):
        wiring.act(tiles.input, choose_test, [dataset, t, seed, mask], view)
    wiring.live(pad.input, choose_drawing, [dataset, t, seed, mask, pad], view)
    wiring.act(upload.upload, choose_upload, [dataset, t, seed, mask, upload], view)

    for event in (opened, dataset.input):
        first = player.act(event, open_set, [dataset], [*controls[1:], stage, lines], no_set)
        then = functools.partial(first.then, trigger_mode="always_last")
        wiring.act(then, open_tools, [dataset, t], [choices, more_choices, drawing, *view], no_tools)
        wiring.act(then, quality, dataset, chart)
        wiring.act(then, about, dataset, card)
    endpoints()
