"""The GAN tab: sampling with scores, a quiz, interpolation, a replay of the training, and the visitor's own picture."""

import functools
import json
import math
from pathlib import Path
from typing import NamedTuple

import gradio as gr

import genmodels as gm
from tabs import wiring
from tabs.components import raw, sheet
from tabs.components.draw_pad import DrawPad
from tabs.components.film import Film
from tabs.components.gallery import Gallery
from tabs.components.scrubber import Scrubber
from tabs.components.sliders import Sliders
from tabs.components.tiles import Tiles
from tabs.components.upload import upload as picture_upload
from tabs.components.verdict import Verdict
from tabs.diffusion import (
    FEATURES,
    IMPORTS,
    LINES_PENDING,
    LINES_STOPPED,
    cell,
    drawing_source,
    format_arguments,
    require_source,
    test_picture_source,
    test_pictures,
    upload_source,
)

MODELS = ("gan-mnist", "gan-fashion", "gan-avatars")
DATASET_TITLES = {"mnist": "Digits", "fashion": "Clothes", "avatars": "Faces"}
COLLAPSED = "gan-mnist-collapsed"  # trained to collapse; only its replay is shown
ANY, EACH = -1, -2  # choices besides a class: unspecified, or the classes in turn
MAX_PICTURES = 30
DIRECTIONS = 8  # number of sliders
MAX_AMOUNT = 3  # of a slider, in standard deviations
FRAMES = 25  # of an interpolation
PROJECTION_STEPS = 100
TEST_PICTURES = 10  # to choose from
CHOICES = 4  # pictures per round of the quiz, one of them real
BINS = 24  # of the score histograms
MAX_SEED = 2**31
ORDERS = {"sampled": "as sampled", "score": "by score"}
INTERPOLATIONS = {  # the ends that the tool opens with
    "mnist": ("3", "8"),
    "fashion": ("T-shirt", "dress"),
    "avatars": ("glasses=none", "glasses=sunglasses"),
}


# --- Sampling options -------------------------------------------------------------------------------------------------


class SamplingOptions(NamedTuple):
    """The values of the controls, checked. label: a value, ANY for each attribute, or EACH if there is only one attribute."""

    dataset: str
    label: list
    truncation: float
    n: int
    seed: int
    add_real: bool
    order: str
    amounts: list  # along the principal directions

    @property
    def model(self):
        return model_of(self.dataset)

    @property
    def labels(self):
        """The label as the model takes it: None if no attribute is specified."""
        if self.label == [EACH]:
            return [i % self.model.classes[0] for i in range(self.n)]
        return model_label(self.label)


def model_of(dataset):
    return gm.load(f"gan-{gm.base.check_choice('dataset', dataset, gm.data.DATASETS)}")


def model_label(label):
    """A label as the model takes it: None if nothing is specified, one number if there is only one attribute."""
    if max(label) < 0:
        return None
    return label if len(label) > 1 else label[0]


def check_seed(value, name="seed"):
    return gm.base.check_number(name, value, 0, MAX_SEED, whole=True)


def sampling_options(dataset, *values):
    """`SamplingOptions` from the controls: four label boxes (only as many count as the model has attributes), and the rest."""
    *label, truncation, n, seed, add_real, order, sliders = values
    classes = model_of(dataset).classes
    lowest = EACH if len(classes) == 1 else ANY
    return SamplingOptions(
        dataset,
        [
            ANY if value is None else gm.base.check_number("label", value, lowest, count - 1, whole=True)
            for value, count in zip(label, classes)
        ],
        gm.base.check_number("truncation", truncation, 0, 1.5),
        gm.base.check_number("number of pictures", n, 1, MAX_PICTURES, whole=True),
        check_seed(seed),
        bool(add_real),
        gm.base.check_choice("order", order, list(ORDERS)),
        amounts_from_sliders(dataset, sliders),
    )


def amounts_from_sliders(dataset, payload):
    """The amount along each direction from the value of the sliders, which anyone may have sent; 0 for another dataset's."""
    fits = isinstance(payload, dict) and payload.get("model") == f"gan-{dataset}"
    return check_amounts(payload.get("z") if fits else [])


def check_amounts(amounts):
    """One amount per direction, or [] if all are 0."""
    if not isinstance(amounts, (list, tuple)) or len(amounts) > DIRECTIONS:
        raise ValueError(f"directions must be a list of at most {DIRECTIONS} numbers from {-MAX_AMOUNT} to {MAX_AMOUNT}.")
    amounts = [round(gm.base.check_number("each direction", v, -MAX_AMOUNT, MAX_AMOUNT), 3) for v in amounts]
    return amounts + [0.0] * (DIRECTIONS - len(amounts)) if any(amounts) else []


def attributes(dataset):
    """The attributes that the model is conditioned on: {attribute: its values}."""
    values = gm.data.ATTRIBUTES if dataset == "avatars" else {"class": gm.data.CLASSES[dataset]}
    return {name: values[name] for name in model_of(dataset).conditions}


def label_names(dataset):
    """All single classes or attribute values, as `parse_label` reads them: "7", or "glasses=round"."""
    names = attributes(dataset)
    return [f"{name}={v}" if len(names) > 1 else v for name, values in names.items() for v in values]


def readable(name):
    return name.replace("=", ": ").replace("_", " ")


def label_choices(dataset):
    """The choices of a dropdown."""
    return [("any", "any"), *((readable(name), name) for name in label_names(dataset))]


def parse_label(dataset, text):
    """The value of each attribute from "any", a class by its name, or "glasses=round, smiling=yes"."""
    names = attributes(dataset)
    label = dict.fromkeys(names, ANY)
    for part in [] if text == "any" else str(text).split(","):
        name, _, value = part.rpartition("=") if len(names) > 1 else ("class", "", part)
        values = names[gm.base.check_choice("attribute in label", name.strip(), list(names))]
        label[name.strip()] = values.index(gm.base.check_choice("value in label", value.strip(), values))
    return list(label.values())


def label_text(dataset, label):
    """A label in words: the inverse of `parse_label`."""
    parts = [
        readable(values[index] if len(label) == 1 else f"{name}={values[index]}")
        for index, (name, values) in zip(label, attributes(dataset).items())
        if index >= 0
    ]
    return ", ".join(parts) or "any"


# --- Statistics of a model --------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _directions(folder):
    return gm.load(folder).directions(gm.load(folder).latent)


def directions(dataset):
    """The first principal directions of the latent codes, (DIRECTIONS, D)."""
    return _directions(gm.base.checkpoint_folder(f"gan-{dataset}"))[:DIRECTIONS]


def baseline_samples(label):
    """Number of samples from which the mean score of a label is estimated."""
    if max(label) < 0:
        return 256
    return 32 if len(label) == 1 else 16  # faces have hundreds of labels


@functools.lru_cache(maxsize=1024)
def _baseline(folder, label):
    """(mean score, scores minus their mean) of generated pictures of a label, a tuple."""
    model = gm.load(folder)
    samples = model.sample(baseline_samples(label), label=list(label), seed=0)
    scores = model.score(samples, list(label))
    return scores.mean().item(), scores - scores.mean()


def relative_scores(dataset, x, label=None):
    """The discriminator's scores of pictures minus the mean score of generated pictures of the same label, (B,).

    It was trained on pairs of one label and never learned to compare two labels, so that their scores may have any offset.
    """
    import torch

    model = model_of(dataset)
    folder = gm.base.checkpoint_folder(f"gan-{dataset}")
    y = gm.base.check_labels(label, len(x), model.classes)
    return model.score(x, y) - torch.tensor([_baseline(folder, tuple(row))[0] for row in y.tolist()])


@functools.lru_cache(maxsize=8)
def _reference_scores(folder, dataset, labelled):
    import torch

    y = test_labels(dataset)
    if not labelled:
        y = torch.full_like(y, ANY)
    generated = torch.cat([_baseline(folder, tuple(row))[1] for row in y.unique(dim=0).tolist()])
    return relative_scores(dataset, test_pictures(dataset)[0], y), generated


def reference_scores(dataset, labelled):
    """Relative scores of the test pictures and of generated ones; with their labels or without any."""
    return _reference_scores(gm.base.checkpoint_folder(f"gan-{dataset}"), dataset, labelled)


def test_labels(dataset):
    """The labels of the test pictures, (N, attributes) as the model takes them."""
    y = gm.data.samples(dataset).y
    if y.ndim == 1:
        return y[:, None]
    return y[:, [list(gm.data.ATTRIBUTES).index(name) for name in model_of(dataset).conditions]]


def score_histogram(dataset, labelled):
    """Both histograms on one axis, as one string: Gradio traverses every list on the page with each message of a stream."""
    import torch

    real, generated = reference_scores(dataset, labelled)
    low, high = torch.cat([real, generated]).quantile(torch.tensor([0.005, 0.995])).tolist()
    high = max(high, low + 1e-3)

    def rounded(values):
        return [round(v, 4) for v in values.tolist()]

    def shares(scores):
        return rounded(torch.histc(scores.clamp(low, high), BINS, low, high) / len(scores))

    edges = rounded(torch.linspace(low, high, BINS + 1))
    return json.dumps({"edges": edges, "real": shares(real), "generated": shares(generated)})


# --- Lines of Python --------------------------------------------------------------------------------------------------


def python_lines(dataset, body, columns, scale=4, model=True):
    """A whole program. body: the lines that compute `x`."""
    imports = [line for name, line in IMPORTS.items() if name in body]
    load = [f'model = gm.load("gan-{dataset}")'] if model else []
    return "\n".join(
        [
            *imports,
            *[""] * bool(imports),
            "import genmodels as gm",
            "",
            *load,
            f'{body}gm.pictures.grid(x, columns={columns}, scale={scale}).save("picture.png")',
            "",
        ]
    )


def sample_arguments(label, truncation=1.0):
    """Arguments of `GAN.sample` without those that have their default."""
    arguments = {}
    if label is not None:
        arguments["label"] = label
    if truncation != 1:
        arguments["truncation"] = truncation
    return arguments


# --- The pictures on the stage ----------------------------------------------------------------------------------------


def grid_columns(n):
    """Columns of n pictures: a grid a little wider than high."""
    return n if n < 4 else math.ceil(math.sqrt(1.2 * n))


def latents_and_lines(options):
    """(latent codes of the generated pictures, lines that compute them and the pictures `x`)."""
    import torch

    model = options.model
    w = model.sample_latents(options.n, **sample_arguments(options.labels, options.truncation), seed=options.seed)
    if options.label == [EACH]:
        arguments = format_arguments({**sample_arguments(None, options.truncation), "seed": options.seed})
        lines = f"label = [i % {model.classes[0]} for i in range({options.n})]\n"
        lines += f"w = model.sample_latents({options.n}, label=label, {arguments})\n"
    else:
        arguments = format_arguments({**sample_arguments(options.labels, options.truncation), "seed": options.seed})
        lines = f"w = model.sample_latents({options.n}, {arguments})\n"
    if options.amounts:
        w = w + torch.tensor(options.amounts) @ directions(options.dataset)
        lines += f"w = w + torch.tensor({options.amounts}) @ model.directions({DIRECTIONS})\n"
    return w, lines + "x = model.decode(w)\n"


def real_indices(options):
    """Indices of test pictures with the label, at most as many as are generated."""
    import torch

    y = test_labels(options.dataset)
    order = torch.randperm(len(y), generator=gm.base.generator(options.seed)).tolist()
    if options.label == [EACH]:
        of_class = {c: iter([i for i in order if y[i, 0] == c]) for c in range(options.model.classes[0])}
        return [next(of_class[c]) for c in options.labels]

    def matches(i):
        return all(wanted in (ANY, value) for wanted, value in zip(options.label, y[i].tolist()))

    indices = [i for i in order if matches(i)][: options.n]
    if not indices:
        raise ValueError(f"None of the {len(y)} test pictures of the app has all these attributes: leave some unspecified.")
    return indices


def generate(options):
    """(pictures, their relative scores, a letter for each: r real or g generated), in the order of the page."""
    import torch

    x = options.model.decode(latents_and_lines(options)[0])
    labels = options.labels
    letters = "g" * options.n
    if options.add_real:
        indices = real_indices(options)
        x = torch.cat([x, test_pictures(options.dataset)[0][indices]])
        letters += "r" * len(indices)
        if options.label == [EACH]:
            labels = labels + labels
    scores = relative_scores(options.dataset, x, labels)
    if options.order == "score":
        order = scores.argsort(descending=True, stable=True)
        x = x[order]
        scores = scores[order]
        letters = "".join(letters[i] for i in order.tolist())
    return x, scores, letters


def generation_lines(options):
    """The program that computes the pictures of `generate`; none is computed here."""
    _, lines = latents_and_lines(options)
    labels = options.labels
    n = options.n
    if options.add_real:
        indices = real_indices(options)
        lines += f'x = torch.cat([x, gm.data.samples("{options.dataset}").floats()[{indices}]])\n'
        n += len(indices)
        if options.label == [EACH]:
            lines += "label = label + label\n"
    if options.order == "score":
        if options.label == [EACH]:  # relative scores: between classes, raw scores cannot be compared
            lines += (
                f"classes = range({options.model.classes[0]})\n"
                f"samples = [model.sample({baseline_samples([0])}, label=c, seed=0) for c in classes]\n"
                "baseline = torch.stack([model.score(s, c).mean() for s, c in zip(samples, classes)])\n"
                "score = model.score(x, label) - baseline[label]\n"
            )
        else:
            lines += f"score = model.score(x{'' if labels is None else f', {labels}'})\n"
        lines += "x = x[score.argsort(descending=True, stable=True)]\n"
    return python_lines(options.dataset, lines, grid_columns(n))


def stage_value(options, x, scores, letters):
    names = {"r": "real test picture", "g": "generated picture"}
    return {
        **sheet(x, grid_columns(len(x))),
        "across": grid_columns(len(x)),
        "kinds": letters,
        "histogram": score_histogram(options.dataset, options.labels is not None),
        "scores": " ".join(f"{s:.4g}" for s in scores.tolist()),
        "labels": "\n".join(names[letter] for letter in letters),
    }


def show(*controls):
    """-> (stage, lines)."""
    return update_stage(*controls), update_lines(*controls)


def update_stage(*controls):
    """While a slider moves -> stage."""
    options = sampling_options(*controls)
    return stage_value(options, *generate(options))


def update_lines(*controls):
    """When the sliders rest -> lines: updating the editor at each move would cost as much as the pictures."""
    return generation_lines(sampling_options(*controls))


def sliders_value(dataset):
    """Value of the sliders, all at 0, each with its share of the variance."""
    variances = _directions(gm.base.checkpoint_folder(f"gan-{dataset}")).square().sum(1)
    shares = (100 * variances / variances.sum()).tolist()[:DIRECTIONS]
    dims = [[i, f"#{i + 1} · {share:.0f} %"] for i, share in enumerate(shares)]
    return {"model": f"gan-{dataset}", "z": [0.0] * len(dims), "dims": dims, "unused": 0}


def reset(dataset, *controls):
    """-> (truncation, sliders, stage, lines), with truncation and directions at their defaults."""
    *label, _, n, seed, add_real, order, _ = controls
    sliders = sliders_value(dataset)
    return 1, sliders, *show(dataset, *label, 1, n, seed, add_real, order, sliders)


# --- The quiz ---------------------------------------------------------------------------------------------------------


class Round(NamedTuple):
    """x: CHOICES 8-bit pictures; scores: the discriminator's; real: index of the real one; label: of all of them; lines."""

    x: object
    scores: list
    real: int
    label: list
    lines: str


def quiz_round(dataset, seed, k):
    """Round k of a quiz: the same for everybody. The index of the real picture stays on the server until the visitor chose."""
    import torch

    model = model_of(dataset)
    x, _ = test_pictures(dataset)
    g = gm.base.generator(seed)
    i = torch.randperm(len(x), generator=g)[k % len(x)].item()
    place = torch.randint(CHOICES, (k + 1,), generator=g)[k].item()
    label = test_labels(dataset)[i].tolist()
    sample_seed = 1000 * seed + k
    generated = model.sample(CHOICES - 1, label=model_label(label), seed=sample_seed)
    x = torch.cat([generated[:place], x[i : i + 1], generated[place:]])
    x = (255 * x).round() / 255  # real pictures have 256 grey levels: more of them would give the generated ones away
    scores = relative_scores(dataset, x, model_label(label)).tolist()
    arguments = format_arguments(sample_arguments(model_label(label)))
    lines = (
        f'real = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\n'
        f"generated = model.sample({CHOICES - 1}, {arguments + ', ' if arguments else ''}seed={sample_seed})\n"
        f"x = torch.cat([generated[:{place}], real, generated[{place}:]])\nx = (255 * x).round() / 255\n"
        f"score = model.score(x{arguments and ', ' + arguments})\n"
    )
    return Round(x, scores, place, label, python_lines(dataset, lines, 2))


def start_round(dataset, seed, k=0, visitor=0, discriminator=0, answered=0):
    """-> (state, pictures, words, lines): a round that waits for its answer.

    visitor, discriminator: their right answers in the `answered` rounds before.
    """
    current = quiz_round(dataset, check_seed(seed), k)
    state = {
        "dataset": dataset,
        "seed": int(seed),
        "round": k,
        "visitor": visitor,
        "discriminator": discriminator,
        "answered": answered,
        "revealed": False,
    }
    labels = "\n".join(f"picture {i + 1} of {CHOICES}" for i in range(CHOICES))
    pictures = {**sheet(current.x, 2), "across": 2, "kinds": "?" * CHOICES, "labels": labels}
    label = "" if model_label(current.label) is None else f" ({label_text(dataset, current.label)})"
    question = f"**Which of these is real?** One is from the test set, three are generated{label}."
    return state, pictures, f"{question}\n\n{tally(state)}", ""


def tally(state):
    if not state["answered"]:
        return f"Pick the one you think is real. A random guess is right 1 time in {CHOICES}."
    return (
        f"Right answers: you **{state['visitor']}**, the discriminator **{state['discriminator']}**, of {state['answered']}. "
        f"A random guess is right 1 time in {CHOICES}."
    )


RESULTS = {  # (visitor is right, discriminator is right) -> sentence
    (False, False): "Neither of you got it right.",
    (False, True): "The discriminator got it right, you did not.",
    (True, False): "You got it right, the discriminator did not!",
    (True, True): "You both got it right.",
}


def answer(state, event: gr.EventData):
    """The visitor chose -> (state, pictures, words, lines). A second choice in the same round does not count."""
    chosen = wiring.number_from_event(event, "index", CHOICES - 1)
    if not state or state["revealed"]:
        return [gr.skip()] * 4
    dataset = state["dataset"]
    current = quiz_round(dataset, state["seed"], state["round"])
    discriminator_choice = max(range(CHOICES), key=lambda i: current.scores[i])
    visitor_right = chosen == current.real
    discriminator_right = discriminator_choice == current.real
    state = {
        **state,
        "visitor": state["visitor"] + visitor_right,
        "discriminator": state["discriminator"] + discriminator_right,
        "answered": state["answered"] + 1,
        "revealed": True,
    }
    letters = "".join("r" if i == current.real else "g" for i in range(CHOICES))
    pictures = {
        **sheet(current.x, 2),
        "across": 2,
        "kinds": letters,
        "histogram": score_histogram(dataset, model_label(current.label) is not None),
        "scores": " ".join(f"{s:.4g}" for s in current.scores),
        "visitor_choice": chosen,
        "discriminator_choice": discriminator_choice,
        "labels": "\n".join("real" if letter == "r" else "generated" for letter in letters),
    }
    result = RESULTS[visitor_right, discriminator_right]
    return state, pictures, f"**{result}** The one in the green frame is real.\n\n{tally(state)}", current.lines


def next_round(state, dataset, seed):
    if not state or state["dataset"] != dataset:
        return start_round(dataset, seed)
    counts = state["visitor"], state["discriminator"], state["answered"]
    return start_round(dataset, state["seed"], state["round"] + 1, *counts)


def new_quiz(dataset):
    seed = wiring.fresh_seed()
    return seed, *start_round(dataset, seed)


# --- Interpolation ----------------------------------------------------------------------------------------------------


def interpolate(dataset, first, first_seed, last, last_seed):
    """-> (frames, lines): several pictures turn into as many others."""
    import torch

    model = model_of(dataset)
    n = 4 if dataset == "avatars" else 9
    ends, lines = [], ""
    for end, label, seed in (("start", first, first_seed), ("end", last, last_seed)):
        arguments = {**sample_arguments(model_label(parse_label(dataset, label))), "seed": check_seed(seed)}
        ends.append(model.sample_latents(n, **arguments))
        lines += f"{end} = model.sample_latents({n}, {format_arguments(arguments)})\n"
    w = torch.stack([model.interpolate(a, b, FRAMES) for a, b in zip(*ends)], 1)  # (FRAMES, n, D)
    x = model.decode(w.flatten(0, 1)).unflatten(0, (FRAMES, n))
    lines += (
        f"w = torch.stack([model.interpolate(a, b, {FRAMES}) for a, b in zip(start, end)], 1)\n"
        "x = model.decode(w.flatten(0, 1))  # one row of the picture per step\n"
    )
    frames = {**sheet(torch.cat([cell(frame) for frame in x]), FRAMES), "rows": [f"{n} interpolations at the same step"]}
    return frames, python_lines(dataset, lines, n, scale=2)


# --- The replay of the training ---------------------------------------------------------------------------------------


def has_collapsed_run():
    """Whether the replay of a run with mode collapse is shipped."""
    return (wiring.checkpoints() / COLLAPSED / "replay.json").is_file()


@functools.lru_cache(maxsize=4)
def _replay(folder, dataset):
    import base64

    replay = gm.gan.load_replay(folder)  # checks the file, which the browser then gets as it is
    T, n, _, size, _ = replay.pictures.shape
    facts = {
        "unit": "step",
        "numbers": replay.steps,
        "edges": replay.edges,
        "real": replay.real,
        "generated": replay.generated,
        "lines": [[f"{network} loss", line] for network, line in replay.losses.items()],
    }
    picture = base64.b64encode((Path(folder) / "replay.webp").read_bytes()).decode()
    by_class = n % 10 == 0  # the same number of pictures per class
    return {
        "w": size,
        "h": size,
        "n": T * n,
        "columns": n,
        "source": "data:image/webp;base64," + picture,
        "per": n,
        "across": n // (n // 10) if by_class else 8,
        "by_column": by_class,
        "facts": json.dumps(facts),
        "label": f"The same {n} latent codes at every step" + ("; one column per class" if by_class else ""),
    }


def replay(dataset, run):
    """-> (film, lines). run: "this", or "collapsed", which there is for digits only."""
    gm.base.check_choice("run", run, ("this", "collapsed"))
    gm.base.check_choice("dataset", dataset, gm.data.DATASETS)
    name = COLLAPSED if run == "collapsed" and dataset == "mnist" else f"gan-{dataset}"
    film = _replay(gm.base.checkpoint_folder(name), dataset)
    lines = (
        f'replay = gm.gan.load_replay("{name}")\n'
        "x = replay.pictures.flatten(0, 1) / 255  # one row of the picture per entry of replay.steps\n"
    )
    return film, python_lines(dataset, lines, film["per"], scale=1, model=False)


# --- The visitor's own picture ----------------------------------------------------------------------------------------
#
# A `source` is a picture to be scored: {"dataset", "x": (1, C, H, W), "lines" that compute `picture`}.


def score_picture(dataset, x, label_name):
    """The discriminator's score of a picture (1, C, H, W), its relative score ("lead"), the shares of real and of generated
    pictures with a lower one, and the relative score for each class or attribute value."""
    import torch

    model = model_of(dataset)
    label = model_label(parse_label(dataset, label_name))
    relative_score = relative_scores(dataset, x, label).item()
    real, generated = reference_scores(dataset, label is not None)
    names = label_names(dataset)
    each_label = torch.tensor([parse_label(dataset, name) for name in names])
    each_score = relative_scores(dataset, x.expand(len(names), -1, -1, -1), each_label).tolist()
    return {
        "score": model.score(x, label).item(),
        "lead": relative_score,
        "higher_than_real": (real < relative_score).float().mean().item(),
        "higher_than_generated": (generated < relative_score).float().mean().item(),
        "lead_as": dict(zip(names, each_score)),
    }


def verdict(source, label_name):
    dataset = require_source(source)["dataset"]
    result = score_picture(dataset, source["x"], label_name)
    label = parse_label(dataset, label_name)
    labelled = model_label(label) is not None
    if result["higher_than_real"] < 0.05:
        opinion = "Few real pictures score this low: the discriminator does not take it for real."
    elif result["higher_than_real"] > 0.5:
        opinion = "To the discriminator it looks more real than most real pictures."
    else:
        opinion = "To the discriminator it could be real."
    condition = f"as {label_text(dataset, label)}" if labelled else "without a class"
    text = (
        f"Relative score {result['lead']:+.2g}, scored {condition}: higher than {result['higher_than_real']:.0%} of real test "
        f"pictures and {result['higher_than_generated']:.0%} of generated ones. {opinion}"
    )
    by_label = [[readable(name), round(score, 4)] for name, score in result["lead_as"].items()]
    return {
        **raw(source["x"][0]),
        "text": text,
        "score": round(result["lead"], 4),
        "by_label": json.dumps(by_label),
        "histogram": score_histogram(dataset, labelled),
    }


def choose(source):
    """Another picture -> (source, label to score it with, verdict)."""
    return source, "any", verdict(source, "any")


def choose_test(dataset, event: gr.EventData):
    return choose(test_picture_source(dataset, wiring.number_from_event(event, "index", TEST_PICTURES - 1)))


def choose_drawing(dataset, ink):
    return choose(drawing_source(dataset, ink))


def choose_upload(dataset, path):
    return choose(upload_source(dataset, path))


def projection_film(source, pictures, errors, live=False):
    """Value of the film of a GAN inversion. pictures: (1, C, H, W) each; of a live one only the latest."""
    import torch

    facts = {
        "unit": "step",
        "numbers": [len(errors) - 1] if live else list(range(len(errors))),
        "lines": [["squared error", [[k, round(e, 5)] for k, e in enumerate(errors)]]],
    }
    return {
        **sheet(torch.cat(pictures), 10),
        "per": 1,
        "across": 1,
        "facts": json.dumps(facts),
        "live": live,
        "total": PROJECTION_STEPS,
        "label": "the nearest generated picture",
        "reference": raw(source["x"][0]),
    }


def no_projection(source):
    """-> (film, lines) before the inversion."""
    return {"reference": raw(source["x"][0])} if source else {}, LINES_PENDING


def project(dataset, source, label_name):
    """GAN inversion: yields (film, lines)."""
    source = require_source(source, dataset)
    pictures, errors = [], []
    label = model_label(parse_label(dataset, label_name))
    options = {**sample_arguments(label), "steps": PROJECTION_STEPS, "seed": 0}
    body = source["lines"] + (
        f"*_, last_step = model.project_steps(picture, {format_arguments(options)})\nx = torch.cat([picture, last_step.x])\n"
    )
    lines = python_lines(dataset, body, 2)
    try:
        for step in model_of(dataset).project_steps(source["x"], **options):
            pictures.append(step.x)
            errors.append(step.error)
            film = projection_film(source, pictures[-1:], errors, live=True)
            yield film, LINES_PENDING if len(pictures) == 1 else gr.skip()
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield projection_film(source, pictures, errors), lines


# --- The programming interface ----------------------------------------------------------------------------------------


def dataset_of(model):
    """A name from a visitor never becomes a path."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def source_of(dataset, picture, i):
    return test_picture_source(dataset, i) if picture is None else upload_source(dataset, picture)


def gan_sample(model="gan-mnist", n=20, label="any", truncation=1, seed=0, directions=()):
    """Generate new pictures with a GAN.

    Args:
        model: gan-mnist (digits), gan-fashion (clothes) or gan-avatars (faces).
        n: number of pictures, 1 to 30.
        label: any; a class such as 7 or ankle boot; for faces attributes such as smiling=yes, glasses=round, hair_color=pink.
        truncation: 0 (all alike) to 1.5; 1 as trained.
        seed: whole number; the same seed gives the same pictures.
        directions: list of at most 8 numbers from -3 to 3: the amount along each of the first principal directions, in
            standard deviations.
    Returns:
        A PNG with the pictures in rows.
    """
    dataset = dataset_of(model)
    label = parse_label(dataset, label)
    label += [ANY] * (4 - len(label))
    options = sampling_options(dataset, *label, truncation, n, seed, False, "sampled", None)
    options = options._replace(amounts=check_amounts(directions))
    w, _ = latents_and_lines(options)
    return gm.pictures.grid(options.model.decode(w), grid_columns(options.n), scale=4)


def gan_score(model="gan-mnist", picture=None, test_picture_number=0, label="any"):
    """Score how real a picture looks to the discriminator.

    Args:
        model: one of the models, see gan_sample.
        picture: a file; it is prepared like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        label: the label to score it with, see gan_sample.
    Returns:
        score: the discriminator's score; lead: the relative score, which is the score minus the mean score of generated
        pictures of the same label (only this can be compared between labels); higher_than_real, higher_than_generated: the
        shares of real test pictures and of generated pictures with a lower relative score; lead_as: the relative score for
        each class or attribute value.
    """
    dataset = dataset_of(model)
    return score_picture(dataset, source_of(dataset, picture, test_picture_number)["x"], label)


def gan_walk(model="gan-mnist", first="3", first_seed=0, last="8", last_seed=0, steps=9):
    """Interpolate linearly between the latent codes of two generated pictures.

    Args:
        model: one of the models, see gan_sample.
        first: label of the first picture, see gan_sample.
        first_seed: its seed, a whole number.
        last: label of the last picture.
        last_seed: its seed.
        steps: number of pictures, both ends included, 2 to 64.
    Returns:
        A PNG with the pictures in one row.
    """
    dataset = dataset_of(model)
    steps = gm.base.check_number("steps", steps, 2, 64, whole=True)
    model = model_of(dataset)
    ends = [
        model.sample_latents(1, label=model_label(parse_label(dataset, label)), seed=check_seed(seed))[0]
        for label, seed in ((first, first_seed), (last, last_seed))
    ]
    return gm.pictures.filmstrip(model.decode(model.interpolate(*ends, steps)), scale=2)


def gan_project(model="gan-mnist", picture=None, test_picture_number=0, label="any", steps=100, seed=0):
    """GAN inversion: find the latent code whose generated picture is nearest to a given picture.

    Args:
        model: one of the models, see gan_sample.
        picture: a file; it is prepared like the pictures of the dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        label: of the latent codes that the search begins with, see gan_sample; any tries all.
        steps: 1 to 300.
        seed: whole number; the same seed gives the same picture.
    Returns:
        The mean squared error and the latent code w; and a PNG with the given picture and the nearest generated one.
    """
    import torch

    dataset = dataset_of(model)
    x = source_of(dataset, picture, test_picture_number)["x"]
    steps = gm.base.check_number("steps", steps, 1, 300, whole=True)
    label = model_label(parse_label(dataset, label))
    for step in model_of(dataset).project_steps(x, label=label, steps=steps, seed=check_seed(seed)):
        yield step
    yield {"squared_error": step.error, "w": step.w[0].tolist()}, gm.pictures.grid(torch.cat([x, step.x]), 2, scale=4)


def endpoints():
    """Registers the functions above under their own names. They check their arguments; the components do not."""

    def number_boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def text_box(label, value="any"):
        return gr.Textbox(value, label=label, visible=False)

    facts = gr.JSON(visible=False, label="facts")
    png = gr.Image(format="png", label="picture", visible=False)
    model = gr.Dropdown(list(MODELS), value=MODELS[0], label="model", visible=False)
    file = picture_upload(visible=False, label="picture")
    label = text_box("label")
    test_picture = number_boxes(test_picture_number=0)
    amounts = gr.JSON([0.0], label="directions", visible=False)
    ends = [text_box("first", "3"), *number_boxes(first_seed=0), text_box("last", "8"), *number_boxes(last_seed=0)]
    wiring.endpoint(gan_sample, [model, *number_boxes(n=20), label, *number_boxes(truncation=1, seed=0), amounts], png)
    wiring.endpoint(gan_score, [model, file, *test_picture, label], facts)
    wiring.endpoint(gan_walk, [model, *ends, *number_boxes(steps=9)], png)
    wiring.endpoint(gan_project, [model, file, *test_picture, label, *number_boxes(steps=100, seed=0)], [facts, png])


# --- Layout -----------------------------------------------------------------------------------------------------------


def defaults(dataset):
    """The controls as the tab opens: four label boxes, truncation, number of pictures, seed, add_real, order."""
    if dataset == "avatars":
        return ANY, ANY, ANY, ANY, 1, 15, 0, False, "sampled"
    return EACH, ANY, ANY, ANY, 1, 20, 0, False, "sampled"


@functools.lru_cache(maxsize=4)
def _opening(folder, dataset):
    """(sliders, stage, lines) that the tab opens with."""
    sliders = sliders_value(dataset)
    return sliders, *show(dataset, *defaults(dataset), sliders)


def open_dataset(dataset):
    """Another dataset -> (four label boxes, other controls, sliders, stage, lines)."""
    *label, truncation, n, seed, add_real, order = defaults(dataset)
    unspecified = [("any", ANY)] if dataset == "avatars" else [("one of each", EACH), ("any", ANY)]
    boxes = [
        gr.update(
            label=FEATURES.get(name, "Class"),
            value=value,
            visible=True,
            choices=[*unspecified, *((v.replace("_", " "), i) for i, v in enumerate(values))],
        )
        for value, (name, values) in zip(label, attributes(dataset).items())
    ]
    boxes += [gr.update(value=ANY, visible=False)] * (4 - len(boxes))
    opening = _opening(gm.base.checkpoint_folder(f"gan-{dataset}"), dataset)
    return *boxes, truncation, n, seed, add_real, order, *opening


def no_dataset(sentence):
    return *[gr.skip()] * 10, {"message": sentence}, ""


def open_interpolation(dataset):
    """-> (first, its seed, last, its seed, frames, lines)."""
    first, last = INTERPOLATIONS[gm.base.check_choice("dataset", dataset, gm.data.DATASETS)]
    choices = label_choices(dataset)
    first_box = gr.update(choices=choices, value=first)
    last_box = gr.update(choices=choices, value=last)
    return first_box, 0, last_box, 0, *interpolate(dataset, first, 0, last, 0)


def no_interpolation(sentence):
    return *[gr.skip()] * 4, {"message": sentence}, ""


def open_replay(dataset):
    """-> (run, film, lines)."""
    return gr.update(value="this", visible=dataset == "mnist" and has_collapsed_run()), *replay(dataset, "this")


def open_own(dataset):
    """-> (test pictures, whether there is a drawing pad, choices of the label, source, verdict)."""
    x, labels = test_pictures(dataset)
    tiles = {**sheet(x[:TEST_PICTURES], TEST_PICTURES), "labels": labels[:TEST_PICTURES], "chosen": 0}
    source, label_name, result = choose(test_picture_source(dataset, 0))
    label_box = gr.update(choices=label_choices(dataset), value=label_name)
    return tiles, gr.update(visible=dataset != "avatars"), label_box, source, result


def no_own(sentence):
    return gr.skip(), gr.skip(), gr.skip(), None, {"message": sentence}


def about(dataset):
    """The models of the tab in a table, and the card of the current one."""
    names = *MODELS, COLLAPSED, *(f"dc{name}" for name in MODELS)
    shipped = [name for name in names if (wiring.checkpoints() / name / "README.md").is_file()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"gan-{dataset}")


def offered():
    """The datasets with a shipped model; not from gm.data, which would import torch."""
    return [name for name in DATASET_TITLES if (wiring.checkpoints() / f"gan-{name}").is_dir()]


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    steps = (open_dataset, open_own, prepare_scores)
    return [functools.partial(step, dataset) for dataset in offered() for step in steps]


def prepare_scores(dataset):
    reference_scores(dataset, True)


def python_accordion(name):
    """The lines of a tool's output."""
    with gr.Accordion("In Python", open=False, elem_classes="lines"):
        return gr.Code(language="python", interactive=False, show_label=False, wrap_lines=True, elem_id=f"gan-{name}-python")


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    shipped = offered() or list(DATASET_TITLES)
    gr.Markdown(
        "A **generative adversarial network** generates a picture in a single pass of its *generator*; a second network, the "
        "*discriminator*, was trained with it to tell generated pictures from real ones, and scores them here. **Try:** move a "
        "slider of the principal directions, or take the quiz.",
        elem_classes="hint",
    )
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [(DATASET_TITLES[name], name) for name in shipped],
            value=shipped[0],
            label="Dataset",
            show_label=False,
            container=False,
            elem_id="gan-dataset",
            min_width=330,
        )

    def label_box(label, name):
        return gr.Dropdown(
            [("any", "any")], value="any", label=label, elem_id=f"gan-{name}", elem_classes="plain", min_width=110
        )

    def seed_box(label, name):
        return gr.Number(
            0, label=label, minimum=0, maximum=MAX_SEED, precision=0, elem_id=f"gan-{name}", elem_classes="plain", min_width=80
        )

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            gr.Markdown("### Conditions")
            label_boxes = [
                gr.Dropdown(
                    [("any", ANY)],
                    value=ANY,
                    label="Class",
                    visible=i == 0,
                    elem_id=f"gan-label-{i}",
                    elem_classes="plain",
                    min_width=100,
                )
                for i in range(4)
            ]
            truncation = gr.Slider(
                0,
                1.5,
                1,
                step=0.05,
                label="Truncation (0: all alike, 1: as trained)",
                buttons=[],
                elem_id="gan-truncation",
                elem_classes="plain",
            )
            n = gr.Slider(
                1, MAX_PICTURES, 20, step=1, label="Number of pictures", buttons=[], elem_id="gan-n", elem_classes="plain"
            )
            gr.Markdown("### Principal directions")
            gr.Markdown(
                "The directions in which its latent codes vary most, found without labels. **Move one:** all pictures change "
                "in the same way, and so do their scores.",
                elem_classes="hint",
            )
            sliders = Sliders(elem_id="gan-sliders")
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "on-stage", "grid-stage"]):
            stage = Gallery(
                poster=wiring.poster(f"gan-{shipped[0]}"),
                name="Generated pictures and their scores",
                elem_id="gan-stage",
                elem_classes="live-picture",
            )
            with gr.Row(elem_classes=["small-controls", "orders"]):
                order = gr.Radio(
                    [(title, name) for name, title in ORDERS.items()],
                    value="sampled",
                    label="Order",
                    scale=3,
                    show_label=False,
                    container=False,
                    min_width=240,
                    elem_id="gan-order",
                    elem_classes="small-pills",
                )
                add_real = gr.Checkbox(False, label="add real pictures", container=False, elem_id="gan-mixed")
            new, seed, reset_button = wiring.seed_row("New pictures", "Reset")
        with gr.Column(scale=9, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Quiz", id="quiz"):
                words = gr.Markdown("The pictures appear once the model is loaded.", elem_id="gan-quiz-words")
                quiz = Gallery(pick=True, name="Which one is real?", elem_id="gan-quiz")
                with gr.Row(elem_classes="small-controls"):
                    next_button = gr.Button("Next four", variant="primary", scale=2, min_width=90)
                    quiz_seed = seed_box("Seed", "quiz-seed")
                    new_quiz_button = gr.Button("New quiz", scale=2, min_width=90)
                quiz_state = gr.State()
                quiz_lines = python_accordion("quiz")
            with gr.Tab("Interpolation", id="walk"):
                gr.Markdown(
                    "Every generated picture has a latent code. Along the straight line from one code to another, one picture "
                    "turns into the other (linear interpolation).",
                    elem_classes="hint",
                )
                frames = Scrubber(ends=("from", "to"), elem_id="gan-walk")
                with gr.Row(elem_classes=["small-controls", "change"]):
                    first, first_seed = label_box("From", "first"), seed_box("Seed", "first-seed")
                with gr.Row(elem_classes=["small-controls", "change"]):
                    last, last_seed = label_box("To", "last"), seed_box("Seed", "last-seed")
                interpolation_lines = python_accordion("walk")
            with gr.Tab("Training", id="training"):
                gr.Markdown(
                    "How it learned: move through the steps of its training, from noise to the final model. The histograms are "
                    "the discriminator's scores of real and of generated pictures: the better the generator, the more they "
                    "overlap.",
                    elem_classes="hint",
                )
                run = gr.Radio(
                    [("this GAN", "this"), ("one with mode collapse", "collapsed")],
                    value="this",
                    visible=False,
                    label="Training run",
                    show_label=False,
                    container=False,
                    elem_id="gan-which",
                    elem_classes="small-pills",
                )
                film = Film(elem_id="gan-replay")
                film_lines = python_accordion("replay")
            with gr.Tab("Your picture", id="own"):
                gr.Markdown("How real does your picture look to the discriminator?", elem_classes="hint")
                test_tiles = Tiles(columns=10, name="Test pictures", elem_id="gan-own")
                with gr.Row():
                    with gr.Column(min_width=130) as drawing:
                        pad = DrawPad(elem_id="gan-pad")
                    with gr.Column(min_width=130):
                        upload = picture_upload(
                            label="Upload a picture", show_label=False, height=150, elem_id="gan-upload", elem_classes="upload"
                        )
                        scored_as = label_box("Scored as", "judged-as")
                verdict_view = Verdict(elem_id="gan-verdict")
                gr.Markdown(
                    "Can the generator produce it? **GAN inversion** tries many latent codes and improves the best one by "
                    "gradient descent.",
                    elem_classes="hint",
                )
                with gr.Row(elem_classes="small-controls"):
                    project_button = gr.Button("Project (GAN inversion)", variant="primary", scale=3, elem_id="gan-find")
                    stop_button = gr.Button("Stop", scale=1, min_width=70, elem_id="gan-stop")
                projection = Film(elem_id="gan-nearest")
                source = gr.State()
                own_lines = python_accordion("own")
    lines = wiring.python_panel("gan")
    wiring.explanation(__file__, measured=wiring.measured("gan-mnist"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls = [dataset, *label_boxes, truncation, n, seed, add_real, order, sliders]
    stage_outputs = [stage, lines]
    wiring.live(sliders.input, update_stage, controls, stage)
    wiring.live(sliders.release, update_lines, controls, lines)
    for control in (*label_boxes, truncation, n, add_real, order):
        wiring.live(control.input, show, controls, stage_outputs)
    wiring.live(
        seed.input, show, controls, stage_outputs, lambda sentence: [gr.skip()] * 2
    )  # a number that is only half typed is no error
    fresh = wiring.act(new.click, wiring.fresh_seed, None, seed)
    wiring.act(fresh.then, show, controls, stage_outputs)
    wiring.act(reset_button.click, reset, controls, [truncation, sliders, *stage_outputs])

    round_outputs = [quiz_state, quiz, words, quiz_lines]
    wiring.act(quiz.input, answer, quiz_state, round_outputs)
    wiring.act(next_button.click, next_round, [quiz_state, dataset, quiz_seed], round_outputs)
    wiring.act(new_quiz_button.click, new_quiz, dataset, [quiz_seed, *round_outputs])
    wiring.act(quiz_seed.submit, start_round, [dataset, quiz_seed], round_outputs)

    ends = [first, first_seed, last, last_seed]
    for end in ends:
        wiring.live(end.input, interpolate, [dataset, *ends], [frames, interpolation_lines], lambda sentence: [gr.skip()] * 2)
    wiring.act(run.input, replay, [dataset, run], [film, film_lines])

    runs = wiring.Runs(projection)
    projection_outputs = [projection, own_lines]
    test_chosen = wiring.act(test_tiles.input, choose_test, dataset, [source, scored_as, verdict_view])
    drawing_changed = wiring.live(pad.input, choose_drawing, [dataset, pad], [source, scored_as, verdict_view])
    uploaded = wiring.act(upload.upload, choose_upload, [dataset, upload], [source, scored_as, verdict_view])
    wiring.live(scored_as.input, verdict, [source, scored_as], verdict_view)
    runs.stream(project_button.click, project, [dataset, source, scored_as], projection_outputs, rate=12)
    runs.stop(stop_button.click)

    for event in (opened, dataset.input):
        opened_dataset = wiring.act(event, open_dataset, dataset, [*controls[1:], *stage_outputs], no_dataset)
        after_opening = functools.partial(opened_dataset.then, trigger_mode="always_last")
        wiring.act(
            after_opening,
            start_round,
            [dataset, quiz_seed],
            round_outputs,
            lambda sentence: (None, {"message": sentence}, "", ""),
        )
        wiring.act(after_opening, open_interpolation, dataset, [*ends, frames, interpolation_lines], no_interpolation)
        wiring.act(after_opening, open_replay, dataset, [run, film, film_lines], lambda s: (gr.skip(), {"message": s}, ""))
        own_opened = wiring.act(
            after_opening, open_own, dataset, [test_tiles, drawing, scored_as, source, verdict_view], no_own
        )
        runs.act(own_opened.then, no_projection, [source], projection_outputs)
        wiring.act(after_opening, about, dataset, card)
    for event in (test_chosen, drawing_changed, uploaded):
        runs.act(event.then, no_projection, [source], projection_outputs)
    endpoints()
