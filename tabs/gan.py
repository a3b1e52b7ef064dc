"""GAN: a generator that paints, a discriminator that judges, and what each of them makes of the other."""

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
SETS = {"mnist": "Digits", "fashion": "Clothes", "avatars": "Faces"}
COLLAPSED = "gan-mnist-collapsed"  # trained to go wrong; only its replay is shown
ANY, EACH = -1, -2  # answers beside a class: the question stays open; one class after the other
COUNT, DIRECTIONS, REACH = 30, 8, 3  # pictures at most; sliders, and how many standard deviations they go
FRAMES, PROJECTION, SHOWN = 25, 100, 10  # of a walk; steps of a search; test pictures
CHOICES = 4  # of a round of the quiz; one of them is real
SEEDS = 2**31
ORDERS = {"drawn": "as drawn", "score": "most real first"}
WALKS = {  # to begin with
    "mnist": ("3", "8"),
    "fashion": ("T-shirt", "dress"),
    "avatars": ("glasses=none", "glasses=sunglasses"),
}


# --- What the visitor asks for ----------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """What the controls say, checked. label: the answer to each of the model's questions, or ANY, or EACH for the only one."""

    dataset: str
    label: list
    truncation: float
    n: int
    seed: int
    mixed: bool
    order: str
    moved: list

    @property
    def model(self):
        return model_of(self.dataset)

    @property
    def asked(self):
        """The label as the model takes it: None if every question is open."""
        return [i % self.model.classes[0] for i in range(self.n)] if self.label == [EACH] else plain(self.label)


def model_of(dataset):
    return gm.load(f"gan-{gm.base.check_choice('data set', dataset, gm.data.DATASETS)}")


def plain(label):
    """LabelEmbedding as the model takes them: None if all are open, one number if there is one question."""
    return None if max(label) < 0 else label if len(label) > 1 else label[0]


def seed_in(value, name="seed"):
    return gm.base.check_number(name, value, 0, SEEDS, whole=True)


def wish(dataset, *values):
    """A `Wish` from the controls: four answers (only as many count as the model has questions), and the rest."""
    *label, truncation, n, seed, mixed, order, sliders = values
    asked = model_of(dataset).classes
    least = EACH if len(asked) == 1 else ANY
    return Wish(
        dataset,
        [ANY if a is None else gm.base.check_number("label", a, least, c - 1, whole=True) for a, c in zip(label, asked)],
        gm.base.check_number("truncation", truncation, 0, 1.5),
        gm.base.check_number("number of pictures", n, 1, COUNT, whole=True),
        seed_in(seed),
        bool(mixed),
        gm.base.check_choice("order", order, list(ORDERS)),
        on_sliders(dataset, sliders),
    )


def on_sliders(dataset, payload):
    """How far to go in each direction, from the value of sliders, which anyone may have sent; those of another set are 0."""
    z = payload.get("z") if isinstance(payload, dict) and payload.get("model") == f"gan-{dataset}" else []
    return amounts(z)


def amounts(z):
    if not isinstance(z, (list, tuple)) or len(z) > DIRECTIONS:
        raise ValueError(f"directions must be a list of at most {DIRECTIONS} numbers from {-REACH} to {REACH}.")
    z = [round(gm.base.check_number("each direction", v, -REACH, REACH), 3) for v in z]
    return z + [0.0] * (DIRECTIONS - len(z)) if any(z) else []


def questions(dataset):
    """What the model can be asked for: {question: its answers}."""
    values = gm.data.ATTRIBUTES if dataset == "avatars" else {"class": gm.data.CLASSES[dataset]}
    return {name: values[name] for name in model_of(dataset).conditions}


def kinds(dataset):
    """Names of all single answers, as `label_from` reads them: a class, or "glasses=round"."""
    asked = questions(dataset)
    return [f"{name}={v}" if len(asked) > 1 else v for name, values in asked.items() for v in values]


def in_words(kind):
    return kind.replace("=", ": ").replace("_", " ")


def shown_kinds(dataset):
    """The choices of a dropdown."""
    return [("any", "any"), *((in_words(kind), kind) for kind in kinds(dataset))]


def label_from(dataset, text):
    """The answer to each question from "any", a class by its name, or "glasses=round, smiling=yes"."""
    asked = questions(dataset)
    answers = dict.fromkeys(asked, -1)
    for part in [] if text == "any" else str(text).split(","):
        name, _, value = part.rpartition("=") if len(asked) > 1 else ("class", "", part)
        values = asked[gm.base.check_choice("the question of label", name.strip(), list(asked))]
        answers[name.strip()] = values.index(gm.base.check_choice("the answer of label", value.strip(), values))
    return list(answers.values())


def name_of(dataset, label):
    """A label in words: the other way round."""
    told = [
        in_words(values[a] if len(label) == 1 else f"{name}={values[a]}")
        for a, (name, values) in zip(label, questions(dataset).items())
        if a >= 0
    ]
    return ", ".join(told) or "any"


# --- What is known about a model --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _directions(folder):
    return gm.load(folder).directions(gm.load(folder).latent)


def directions(dataset):
    """The first directions in which codes vary, (DIRECTIONS, D)."""
    return _directions(gm.base.checkpoint_folder(f"gan-{dataset}"))[:DIRECTIONS]


def draws(label):
    """How many generated pictures tell the mean score of those of a label."""
    return 256 if max(label) < 0 else 32 if len(label) == 1 else 16  # faces have hundreds of labels


@functools.lru_cache(maxsize=1024)
def _made(folder, label):
    """(mean score, scores about it) of generated pictures of a label, a tuple."""
    model, n = gm.load(folder), draws(label)
    scores = model.score(model.sample(n, label=list(label), seed=0), list(label))
    return scores.mean().item(), scores - scores.mean()


def leads(dataset, x, label=None):
    """By how much the discriminator scores pictures above the mean generated picture of the same label, (B,).

    It was trained on pairs of one label: it never learnt to compare two labels, whose scores may lie anywhere.
    """
    import torch

    model, folder = model_of(dataset), gm.base.checkpoint_folder(f"gan-{dataset}")
    y = gm.base.check_labels(label, len(x), model.classes)
    return model.score(x, y) - torch.tensor([_made(folder, tuple(row))[0] for row in y.tolist()])


@functools.lru_cache(maxsize=8)
def _reference(folder, dataset, labelled):
    import torch

    y = test_labels(dataset) if labelled else torch.full_like(test_labels(dataset), ANY)
    made = torch.cat([_made(folder, tuple(row))[1] for row in y.unique(dim=0).tolist()])
    return leads(dataset, test_pictures(dataset)[0], y), made


def reference(dataset, labelled):
    """Leads of the test pictures and of generated ones; judged by their labels or without any."""
    return _reference(gm.base.checkpoint_folder(f"gan-{dataset}"), dataset, labelled)


def test_labels(dataset):
    """The answers of the test pictures to the model's questions, (N, questions)."""
    y = gm.data.samples(dataset).y
    return y[:, [list(gm.data.ATTRIBUTES).index(name) for name in model_of(dataset).conditions]] if y.ndim > 1 else y[:, None]


def hills(dataset, labelled):
    """Both histograms on one axis, as one string: Gradio walks through every list on the page at each message of a stream."""
    import torch

    real, made = reference(dataset, labelled)
    low, high = torch.cat([real, made]).quantile(torch.tensor([0.005, 0.995])).tolist()
    high = max(high, low + 1e-3)
    shares = [torch.histc(s.clamp(low, high), 24, low, high) / len(s) for s in (real, made)]
    edges, real, made = ([round(v, 4) for v in t.tolist()] for t in (torch.linspace(low, high, 25), *shares))
    return json.dumps({"edges": edges, "real": real, "generated": made})


# --- Lines of Python --------------------------------------------------------------------------------------------------


def lines_of(dataset, make, columns, scale=4, model=True):
    """A whole program. make: the lines that make `x`."""
    used = [line for name, line in IMPORTS.items() if name in make]
    load = [f'model = gm.load("gan-{dataset}")'] if model else []
    return "\n".join(
        [
            *used,
            *[""] * bool(used),
            "import genmodels as gm",
            "",
            *load,
            f'{make}gm.pictures.grid(x, columns={columns}, scale={scale}).save("picture.png")',
            "",
        ]
    )


def options_of(label, truncation=1.0):
    return {**({} if label is None else {"label": label}), **({} if truncation == 1 else {"truncation": truncation})}


# --- The pictures on the stage ----------------------------------------------------------------------------------------


def across(n):
    """Columns of n pictures: a little wider than high."""
    return n if n < 4 else math.ceil(math.sqrt(1.2 * n))


def codes(w):
    """(codes of the generated pictures, lines that make them and the pictures `x`)."""
    import torch

    code = w.model.codes(w.n, **options_of(w.asked, w.truncation), seed=w.seed)
    told = format_arguments({**options_of(None if w.label == [EACH] else w.asked, w.truncation), "seed": w.seed})
    lines = f"w = model.codes({w.n}, {told})\n"
    if w.label == [EACH]:
        lines = f"label = [i % {w.model.classes[0]} for i in range({w.n})]\nw = model.codes({w.n}, label=label, {told})\n"
    if w.moved:
        code = code + torch.tensor(w.moved) @ directions(w.dataset)
        lines += f"w = w + torch.tensor({w.moved}) @ model.directions({DIRECTIONS})\n"
    return code, lines + "x = model.decode(w)\n"


def real_pictures(w):
    """Numbers of test pictures of the kinds asked for, at most as many as are generated."""
    import torch

    y = test_labels(w.dataset)
    order = torch.randperm(len(y), generator=gm.base.generator(w.seed)).tolist()
    if w.label == [EACH]:
        of_class = {c: iter([i for i in order if y[i, 0] == c]) for c in range(w.model.classes[0])}
        return [next(of_class[c]) for c in w.asked]
    fits = [i for i in order if all(a in (ANY, b) for a, b in zip(w.label, y[i].tolist()))][: w.n]
    if not fits:
        raise ValueError(f"None of the {len(y)} test pictures that the app ships with has all these features: leave some open.")
    return fits


def draw(w):
    """(pictures, their leads, a letter for each: r real or g generated), in the order of the page."""
    import torch

    x, label, letters = w.model.decode(codes(w)[0]), w.asked, "g" * w.n
    if w.mixed:
        chosen = real_pictures(w)
        x, letters = torch.cat([x, test_pictures(w.dataset)[0][chosen]]), letters + "r" * len(chosen)
        label = label + label if w.label == [EACH] else label
    score = leads(w.dataset, x, label)
    if w.order == "score":
        order = score.argsort(descending=True, stable=True)
        x, score, letters = x[order], score[order], "".join(letters[i] for i in order.tolist())
    return x, score, letters


def drawing_lines(w):
    """The lines that make the pictures of `draw`, of which none needs to be painted."""
    lines, label, n = codes(w)[1], w.asked, w.n
    if w.mixed:
        chosen = real_pictures(w)
        lines += f'x = torch.cat([x, gm.data.samples("{w.dataset}").floats()[{chosen}]])\n'
        label, n = label + label if w.label == [EACH] else label, n + len(chosen)
    if w.order == "score":
        if w.label == [EACH]:  # a lead: from class to class, scores cannot be compared
            lines += (
                f"made = [model.score(model.sample({draws([0])}, label=c, seed=0), c).mean() for c in label]\n"
                f"label, made = {'label + label, torch.stack(made + made)' if w.mixed else 'label, torch.stack(made)'}\n"
                "score = model.score(x, label) - made\n"
            )
        else:
            lines += f"score = model.score(x{'' if label is None else f', {label}'})\n"
        lines += "x = x[score.argsort(descending=True, stable=True)]\n"
    return lines_of(w.dataset, lines, across(n))


def on_stage(w, x, score, letters):
    names = {"r": "real test picture", "g": "generated picture"}
    return {
        **sheet(x, across(len(x))),
        "across": across(len(x)),
        "kinds": letters,
        "hills": hills(w.dataset, w.asked is not None),
        "scores": " ".join(f"{s:.4g}" for s in score.tolist()),
        "labels": "\n".join(names[k] for k in letters),
    }


def show(*controls):
    """-> (stage, lines)."""
    return move(*controls), moved_lines(*controls)


def move(*controls):
    """A slider moved -> stage."""
    w = wish(*controls)
    return on_stage(w, *draw(w))


def moved_lines(*controls):
    """The sliders rest -> lines: at each move the editor would cost as much as the pictures."""
    return drawing_lines(wish(*controls))


def slider_bank(dataset):
    """Value of the sliders, all in the middle, each with its share of what varies."""
    lengths = _directions(gm.base.checkpoint_folder(f"gan-{dataset}")).square().sum(1)
    shares = (100 * lengths / lengths.sum()).tolist()[:DIRECTIONS]
    dims = [[i, f"#{i + 1} · {share:.0f} %"] for i, share in enumerate(shares)]
    return {"model": f"gan-{dataset}", "z": [0.0] * len(dims), "dims": dims, "unused": 0}


def reset(dataset, *controls):
    """-> (truncation, sliders, stage, lines): as it came."""
    *label, _, n, seed, mixed, order, _ = controls
    bank = slider_bank(dataset)
    return 1, bank, *show(dataset, *label, 1, n, seed, mixed, order, bank)


# --- The quiz ---------------------------------------------------------------------------------------------------------


class Round(NamedTuple):
    """x: CHOICES pictures of 8 bits each, one of them real; scores: the discriminator's; real: which; label: of all; lines."""

    x: object
    scores: list
    real: int
    label: list
    lines: str


def quiz_round(dataset, seed, k):
    """Round k of a quiz: the same for everybody. Which one is real stays on the server until the visitor has chosen."""
    import torch

    model, (x, _), y = model_of(dataset), test_pictures(dataset), test_labels(dataset)
    g = gm.base.generator(seed)
    i = torch.randperm(len(x), generator=g)[k % len(x)].item()
    place = torch.randint(CHOICES, (k + 1,), generator=g)[k].item()
    label, made_of = y[i].tolist(), 1000 * seed + k
    made = model.sample(CHOICES - 1, label=plain(label), seed=made_of)
    x = torch.cat([made[:place], x[i : i + 1], made[place:]])
    x = (255 * x).round() / 255  # a real one has whole grey levels: the others must not be known by theirs
    scores = leads(dataset, x, plain(label)).tolist()
    asked = format_arguments(options_of(plain(label)))
    lines = (
        f'real = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\n'
        f"made = model.sample({CHOICES - 1}, {asked + ', ' if asked else ''}seed={made_of})\n"
        f"x = torch.cat([made[:{place}], real, made[{place}:]])\nx = (255 * x).round() / 255\n"
        f"score = model.score(x{asked and ', ' + asked})\n"
    )
    return Round(x, scores, place, label, lines_of(dataset, lines, 2))


def ask(dataset, seed, k=0, you=0, it=0, answered=0):
    """-> (state, pictures, words, lines): a round that waits for its answer."""
    now = quiz_round(dataset, seed_in(seed), k)
    state = {"dataset": dataset, "seed": int(seed), "round": k, "you": you, "it": it, "answered": answered, "told": False}
    labels = "\n".join(f"picture {i + 1} of {CHOICES}" for i in range(CHOICES))
    pictures = {**sheet(now.x, 2), "across": 2, "kinds": "?" * CHOICES, "labels": labels}
    what = "" if plain(now.label) is None else f" ({name_of(dataset, now.label)})"
    question = f"**Which of these is real?** One is from the test set, three are generated{what}."
    return state, pictures, f"{question}\n\n{tally(state)}", ""


def tally(state):
    if not state["answered"]:
        return f"Press the one that you believe in. Guessing is right once in {CHOICES} times."
    return f"You **{state['you']}**, the discriminator **{state['it']}**, of {state['answered']}. Guessing: 1 in {CHOICES}."


def answer(state, event: gr.EventData):
    """The visitor chose -> (state, pictures, words, lines). A second choice in the same round counts for nothing."""
    chosen = wiring.number_from_event(event, "index", CHOICES - 1)
    if not state or state["told"]:
        return [gr.skip()] * 4
    dataset = state["dataset"]
    now = quiz_round(dataset, state["seed"], state["round"])
    its = max(range(CHOICES), key=lambda i: now.scores[i])
    right, it = chosen == now.real, its == now.real
    state = {**state, "you": state["you"] + right, "it": state["it"] + it, "answered": state["answered"] + 1, "told": True}
    letters = "".join("r" if i == now.real else "g" for i in range(CHOICES))
    pictures = {
        **sheet(now.x, 2),
        "across": 2,
        "kinds": letters,
        "hills": hills(dataset, plain(now.label) is not None),
        "scores": " ".join(f"{s:.4g}" for s in now.scores),
        "chosen": chosen,
        "its": its,
        "labels": "\n".join("real" if k == "r" else "generated" for k in letters),
    }
    words = [
        ["Both of you were fooled.", "The discriminator saw it, you did not."],
        ["You saw it, the discriminator did not!", "You both saw it."],
    ][right][it]
    return state, pictures, f"**{words}** The one in the green frame is real.\n\n{tally(state)}", now.lines


def next_round(state, dataset, seed):
    if not state or state["dataset"] != dataset:
        return ask(dataset, seed)
    return ask(dataset, state["seed"], state["round"] + 1, state["you"], state["it"], state["answered"])


def new_quiz(dataset):
    seed = wiring.fresh_seed()
    return seed, *ask(dataset, seed)


# --- The walk ---------------------------------------------------------------------------------------------------------


def walk(dataset, first, first_seed, last, last_seed):
    """-> (frames, lines): some pictures turn into as many others."""
    import torch

    model, n = model_of(dataset), 4 if dataset == "avatars" else 9
    ends, lines = [], ""
    for end, kind, seed in (("start", first, first_seed), ("end", last, last_seed)):
        asked = {**options_of(plain(label_from(dataset, kind))), "seed": seed_in(seed)}
        ends.append(model.codes(n, **asked))
        lines += f"{end} = model.codes({n}, {format_arguments(asked)})\n"
    w = torch.stack([model.interpolate(a, b, FRAMES) for a, b in zip(*ends)], 1)  # (FRAMES, n, D)
    x = model.decode(w.flatten(0, 1)).unflatten(0, (FRAMES, n))
    lines += (
        f"w = torch.stack([model.interpolate(a, b, {FRAMES}) for a, b in zip(start, end)], 1)\n"
        "x = model.decode(w.flatten(0, 1))  # a row of the picture is a step of the walk\n"
    )
    return (
        {**sheet(torch.cat([cell(frame) for frame in x]), FRAMES), "rows": [f"{n} pictures on their way"]},
        lines_of(dataset, lines, n, scale=2),
    )


# --- The replay -------------------------------------------------------------------------------------------------------


def collapsed():
    """Whether there is a training that went wrong to look at."""
    return (wiring.checkpoints() / COLLAPSED / "replay.json").is_file()


@functools.lru_cache(maxsize=4)
def _replay(folder, dataset):
    import base64

    told = gm.gan.load_replay(folder)  # raises what is wrong with it; the browser gets the file as it is
    T, n, _, size, _ = told.pictures.shape
    facts = {
        "unit": "step",
        "numbers": told.steps,
        "edges": told.edges,
        "real": told.real,
        "generated": told.generated,
        "lines": [[f"{player}'s loss", line] for player, line in told.losses.items()],
    }
    picture = base64.b64encode((Path(folder) / "replay.webp").read_bytes()).decode()
    across = n // (n // 10) if n % 10 == 0 else 8
    return {
        "w": size,
        "h": size,
        "n": T * n,
        "columns": n,
        "source": "data:image/webp;base64," + picture,
        "per": n,
        "across": across,
        "down": n % 10 == 0,
        "facts": json.dumps(facts),
        "label": f"The same {n} codes at each moment" + ("; a column a class" if n % 10 == 0 else ""),
    }


def replay(dataset, which):
    """-> (film, lines). which: "this" or "collapsed", of which there is one of digits only."""
    gm.base.check_choice("run", which, ("this", "collapsed"))
    gm.base.check_choice("data set", dataset, gm.data.DATASETS)
    name = COLLAPSED if which == "collapsed" and dataset == "mnist" else f"gan-{dataset}"
    film = _replay(gm.base.checkpoint_folder(name), dataset)
    lines = (
        f'replay = gm.gan.load_replay("{name}")\n'
        "x = replay.pictures.flatten(0, 1) / 255  # a row of the picture is a moment of replay.steps\n"
    )
    return film, lines_of(dataset, lines, film["per"], scale=1, model=False)


# --- The visitor's own picture ----------------------------------------------------------------------------------------
#
# A `source` is a picture to be judged: {"dataset", "x": (1, C, H, W), "lines" that make `picture`}.


def judge(dataset, x, kind):
    """What the discriminator says of a picture (1, C, H, W): its score, by how much that is above the mean generated picture of
    the same label, the shares of real and of generated pictures with less, and its lead as each class."""
    import torch

    model, label = model_of(dataset), label_from(dataset, kind)
    lead = leads(dataset, x, plain(label)).item()
    real, made = ((known < lead).float().mean().item() for known in reference(dataset, plain(label) is not None))
    each = torch.tensor([label_from(dataset, name) for name in kinds(dataset)])
    as_each = leads(dataset, x.expand(len(each), -1, -1, -1), each).tolist()
    return {
        "score": model.score(x, plain(label)).item(),
        "lead": lead,
        "higher_than_real": real,
        "higher_than_generated": made,
        "lead_as": dict(zip(kinds(dataset), as_each)),
    }


def verdict(source, kind):
    dataset = require_source(source)["dataset"]
    told, label = judge(dataset, source["x"], kind), label_from(dataset, kind)
    real, made = told["higher_than_real"], told["higher_than_generated"]
    opinion = (
        "Few real pictures score as low: it does not take this one for real."
        if real < 0.05
        else "It takes this one for more real than most real pictures."
        if real > 0.5
        else "It could be real, it says."
    )
    judged = "without a class" if plain(label) is None else f"as {name_of(dataset, label)}"
    text = (
        f"Score {told['lead']:+.2g}, judged {judged}: higher than {real:.0%} of real test "
        f"pictures and {made:.0%} of generated ones. {opinion}"
    )
    each = [[in_words(name), round(s, 4)] for name, s in told["lead_as"].items()]
    return {
        **raw(source["x"][0]),
        "text": text,
        "score": round(told["lead"], 4),
        "kinds": json.dumps(each),
        "hills": hills(dataset, plain(label) is not None),
    }


def choose(source):
    """Another picture -> (source, what to judge it as, verdict)."""
    return source, "any", verdict(source, "any")


def choose_test(dataset, event: gr.EventData):
    return choose(test_picture_source(dataset, wiring.number_from_event(event, "index", SHOWN - 1)))


def choose_drawing(dataset, ink):
    return choose(drawing_source(dataset, ink))


def choose_upload(dataset, path):
    return choose(upload_source(dataset, path))


def search(source, pictures, errors, live=False):
    """Value of the film of a search. pictures: (1, C, H, W) each, of a live one the last alone."""
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
        "total": PROJECTION,
        "label": "what the generator can paint",
        "beside": raw(source["x"][0]),
    }


def no_search(source):
    """-> (film, lines) before the search."""
    return {"beside": raw(source["x"][0])} if source else {}, LINES_PENDING


def project(dataset, source, kind):
    """Look for the nearest picture that the generator can make: yields (film, lines)."""
    source, film, errors = require_source(source, dataset), [], []
    options = {**options_of(plain(label_from(dataset, kind))), "steps": PROJECTION, "seed": 0}
    lines = lines_of(
        dataset,
        source["lines"]
        + f"*_, last = model.project_steps(picture, {format_arguments(options)})\nx = torch.cat([picture, last.x])\n",
        2,
    )
    try:
        for step in model_of(dataset).project_steps(source["x"], **options):
            film.append(step.x)
            errors.append(step.error)
            yield search(source, film[-1:], errors, live=True), LINES_PENDING if len(film) == 1 else gr.skip()
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield search(source, film, errors), lines


# --- The programming interface ----------------------------------------------------------------------------------------


def dataset_of(model):
    """A name from a visitor never becomes a path."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def source_of(dataset, picture, i):
    return test_picture_source(dataset, i) if picture is None else upload_source(dataset, picture)


def gan_sample(model="gan-mnist", n=20, label="any", truncation=1, seed=0, directions=()):
    """Draw new pictures with a GAN.

    Args:
        model: gan-mnist (digits), gan-fashion (clothes) or gan-avatars (faces).
        n: how many, 1 to 30.
        label: any; a class such as 7 or ankle boot; for faces answers such as smiling=yes, glasses=round, hair_color=pink.
        truncation: 0 (all alike) to 1.5; 1 as trained.
        seed: whole number; the same seed gives the same pictures.
        directions: list of at most 8 numbers from -3 to 3, how far to go in each of the first directions.
    Returns:
        A PNG with the pictures in rows.
    """
    dataset = dataset_of(model)
    label = label_from(dataset, label)
    w = wish(dataset, *label, *[ANY] * (4 - len(label)), truncation, n, seed, False, "drawn", None)
    w = w._replace(moved=amounts(directions))
    return gm.pictures.grid(w.model.decode(codes(w)[0]), across(w.n), scale=4)


def gan_score(model="gan-mnist", picture=None, test_picture_number=0, label="any"):
    """Ask the discriminator how real a picture looks.

    Args:
        model: one of the models, see gan_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        label: what to judge it as, see gan_sample.
    Returns:
        Its score; its lead, by how much that is above the mean generated picture of the same label (only this can be compared
        between labels); the shares of real test pictures and of generated ones with less; and its lead as each class.
    """
    dataset = dataset_of(model)
    return judge(dataset, source_of(dataset, picture, test_picture_number)["x"], label)


def gan_walk(model="gan-mnist", first="3", first_seed=0, last="8", last_seed=0, steps=9):
    """Pictures on the straight way between the codes of two generated pictures.

    Args:
        model: one of the models, see gan_sample.
        first: label of the first picture, see gan_sample.
        first_seed: its seed, a whole number.
        last: label of the last.
        last_seed: its seed.
        steps: how many pictures, both ends included, 2 to 64.
    Returns:
        A PNG with the pictures in one row.
    """
    dataset = dataset_of(model)
    steps = gm.base.check_number("steps", steps, 2, 64, whole=True)
    ends = [
        model_of(dataset).codes(1, label=plain(label_from(dataset, kind)), seed=seed_in(seed))[0]
        for kind, seed in ((first, first_seed), (last, last_seed))
    ]
    return gm.pictures.filmstrip(model_of(dataset).decode(model_of(dataset).interpolate(*ends, steps)), scale=2)


def gan_project(model="gan-mnist", picture=None, test_picture_number=0, label="any", steps=100, seed=0):
    """Look for the picture nearest to a given one that the generator can make.

    Args:
        model: one of the models, see gan_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
        label: of the pictures that the search begins with, see gan_sample; any tries all.
        steps: 1 to 300.
        seed: whole number; the same seed gives the same picture.
    Returns:
        The mean squared error and the code w; and a PNG with the given picture and the nearest.
    """
    import torch

    dataset = dataset_of(model)
    x, steps = source_of(dataset, picture, test_picture_number)["x"], gm.base.check_number("steps", steps, 1, 300, whole=True)
    for step in model_of(dataset).project_steps(x, label=plain(label_from(dataset, label)), steps=steps, seed=seed_in(seed)):
        yield step
    yield {"squared_error": step.error, "w": step.w[0].tolist()}, gm.pictures.grid(torch.cat([x, step.x]), 2, scale=4)


def endpoints():
    """The functions above under their own names. They check what they are called with; the components do not."""

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def text(label, value="any"):
        return gr.Textbox(value, label=label, visible=False)

    facts, png = gr.JSON(visible=False, label="facts"), gr.Image(format="png", label="picture", visible=False)
    model = gr.Dropdown(list(MODELS), value=MODELS[0], label="model", visible=False)
    file, label, one = picture_upload(visible=False, label="picture"), text("label"), boxes(test_picture_number=0)
    far = gr.JSON([0.0], label="directions", visible=False)
    wiring.endpoint(gan_sample, [model, *boxes(n=20), label, *boxes(truncation=1, seed=0), far], png)
    wiring.endpoint(gan_score, [model, file, *one, label], facts)
    wiring.endpoint(
        gan_walk, [model, text("first", "3"), *boxes(first_seed=0), text("last", "8"), *boxes(last_seed=0, steps=9)], png
    )
    wiring.endpoint(gan_project, [model, file, *one, label, *boxes(steps=100, seed=0)], [facts, png])


# --- Layout -----------------------------------------------------------------------------------------------------------


def defaults(dataset):
    """The controls as the tab opens: four answers, truncation, number, seed, mixed, order."""
    return ANY if dataset == "avatars" else EACH, ANY, ANY, ANY, 1, 15 if dataset == "avatars" else 20, 0, False, "drawn"


@functools.lru_cache(maxsize=4)
def _first(folder, dataset):
    """(sliders, stage, lines) that the tab opens with."""
    bank = slider_bank(dataset)
    return bank, *show(dataset, *defaults(dataset), bank)


def open_set(dataset):
    """Another data set -> (four answers, other controls, sliders, stage, lines)."""
    *label, truncation, n, seed, mixed, order = defaults(dataset)
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
    first = _first(gm.base.checkpoint_folder(f"gan-{dataset}"), dataset)
    return *answers, truncation, n, seed, mixed, order, *first


def no_set(sentence):
    return *[gr.skip()] * 10, {"message": sentence}, ""


def open_walk(dataset):
    """-> (first, its seed, last, its seed, frames, lines)."""
    first, last = WALKS[gm.base.check_choice("data set", dataset, gm.data.DATASETS)]
    ends = (gr.update(choices=shown_kinds(dataset), value=kind) for kind in (first, last))
    return next(ends), 0, next(ends), 0, *walk(dataset, first, 0, last, 0)


def no_walk(sentence):
    return *[gr.skip()] * 4, {"message": sentence}, ""


def open_replay(dataset):
    """-> (which run, film, lines)."""
    return gr.update(value="this", visible=dataset == "mnist" and collapsed()), *replay(dataset, "this")


def open_own(dataset):
    """-> (test pictures, whether one can draw, choices of what to judge as, source, verdict)."""
    x, labels = test_pictures(dataset)
    tiles = {**sheet(x[:SHOWN], SHOWN), "labels": labels[:SHOWN], "chosen": 0}
    source, kind, told = choose(test_picture_source(dataset, 0))
    return tiles, gr.update(visible=dataset != "avatars"), gr.update(choices=shown_kinds(dataset), value=kind), source, told


def no_own(sentence):
    return gr.skip(), gr.skip(), gr.skip(), None, {"message": sentence}


def about(dataset):
    """The models of the tab in a table, and the card of the one on stage."""
    known = *MODELS, COLLAPSED, *(f"dc{name}" for name in MODELS)
    shipped = [name for name in known if (wiring.checkpoints() / name / "README.md").is_file()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"gan-{dataset}")


def offered():
    return [name for name in SETS if (wiring.checkpoints() / f"gan-{name}").is_dir()]  # gm.data would import torch


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [functools.partial(make, dataset) for dataset in offered() for make in (open_set, open_own, known)]


def known(dataset):
    reference(dataset, True)


def in_python(name):
    """The lines that make what a tool shows."""
    with gr.Accordion("In Python", open=False, elem_classes="lines"):
        return gr.Code(language="python", interactive=False, show_label=False, wrap_lines=True, elem_id=f"gan-{name}-python")


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    shipped = offered() or list(SETS)
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [(SETS[name], name) for name in shipped],
            value=shipped[0],
            label="Pictures",
            show_label=False,
            container=False,
            elem_id="gan-dataset",
            min_width=330,
        )

    def kind(label, name):
        return gr.Dropdown(
            [("any", "any")], value="any", label=label, elem_id=f"gan-{name}", elem_classes="plain", min_width=110
        )

    def seed_box(label, name):
        return gr.Number(
            0, label=label, minimum=0, maximum=SEEDS, precision=0, elem_id=f"gan-{name}", elem_classes="plain", min_width=80
        )

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            gr.Markdown("### What to paint")
            answers = [
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
            n = gr.Slider(1, COUNT, 20, step=1, label="Pictures", buttons=[], elem_id="gan-n", elem_classes="plain")
            gr.Markdown("### Directions")
            gr.Markdown(
                "The ways in which its pictures differ most, found without labels. **Move one:** all change the "
                "same way, and the scores follow.",
                elem_classes="hint",
            )
            sliders = Sliders(elem_id="gan-sliders")
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "on-stage", "grid-stage"]):
            stage = Gallery(
                poster=wiring.poster(f"gan-{shipped[0]}"),
                name="Pictures and their scores",
                elem_id="gan-stage",
                elem_classes="live-picture",
            )
            with gr.Row(elem_classes=["small-controls", "orders"]):
                order = gr.Radio(
                    [(shown, name) for name, shown in ORDERS.items()],
                    value="drawn",
                    label="Order",
                    scale=3,
                    show_label=False,
                    container=False,
                    min_width=240,
                    elem_id="gan-order",
                    elem_classes="small-pills",
                )
                mixed = gr.Checkbox(False, label="mix in real ones", container=False, elem_id="gan-mixed")
            new, seed, zero = wiring.seed_row("New pictures", "Reset")
        with gr.Column(scale=9, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Quiz", id="quiz"):
                words = gr.Markdown("The pictures come with the model.", elem_id="gan-quiz-words")
                quiz = Gallery(pick=True, name="Which one is real?", elem_id="gan-quiz")
                with gr.Row(elem_classes="small-controls"):
                    following = gr.Button("Next four", variant="primary", scale=2, min_width=90)
                    quiz_seed = seed_box("Seed", "quiz-seed")
                    again = gr.Button("New quiz", scale=2, min_width=90)
                asked = gr.State()
                quiz_lines = in_python("quiz")
            with gr.Tab("Walk", id="walk"):
                gr.Markdown(
                    "Every picture has a code. On the straight line from one code to another, one picture turns "
                    "into the other.",
                    elem_classes="hint",
                )
                frames = Scrubber(ends=("from", "to"), elem_id="gan-walk")
                with gr.Row(elem_classes=["small-controls", "change"]):
                    first, first_seed = kind("From", "first"), seed_box("Seed", "first-seed")
                with gr.Row(elem_classes=["small-controls", "change"]):
                    last, last_seed = kind("To", "last"), seed_box("Seed", "last-seed")
                walk_lines = in_python("walk")
            with gr.Tab("Training", id="training"):
                gr.Markdown(
                    "How it learnt: move through its training, from noise to the end. The hills are the scores of "
                    "real and of generated pictures: the better the generator, the more they overlap.",
                    elem_classes="hint",
                )
                which = gr.Radio(
                    [("this GAN", "this"), ("one that collapsed", "collapsed")],
                    value="this",
                    visible=False,
                    label="Which run",
                    show_label=False,
                    container=False,
                    elem_id="gan-which",
                    elem_classes="small-pills",
                )
                film = Film(elem_id="gan-replay")
                film_lines = in_python("replay")
            with gr.Tab("Your picture", id="own"):
                gr.Markdown("What does the discriminator think of yours?", elem_classes="hint")
                choices = Tiles(columns=10, name="Test pictures", elem_id="gan-own")
                with gr.Row():
                    with gr.Column(min_width=130) as drawing:
                        pad = DrawPad(elem_id="gan-pad")
                    with gr.Column(min_width=130):
                        upload = picture_upload(
                            label="Upload a picture", show_label=False, height=150, elem_id="gan-upload", elem_classes="upload"
                        )
                        judged_as = kind("Judged as", "judged-as")
                told = Verdict(elem_id="gan-verdict")
                gr.Markdown(
                    "Can the generator paint it? It tries many codes and goes downhill from the best.", elem_classes="hint"
                )
                with gr.Row(elem_classes="small-controls"):
                    find = gr.Button("Find the nearest", variant="primary", scale=3, elem_id="gan-find")
                    stop = gr.Button("Stop", scale=1, min_width=70, elem_id="gan-stop")
                nearest = Film(elem_id="gan-nearest")
                source = gr.State()
                own_lines = in_python("own")
    lines = wiring.python_panel("gan")
    wiring.explanation(__file__, measured=wiring.measured("gan-mnist"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls = [dataset, *answers, truncation, n, seed, mixed, order, sliders]
    here = [stage, lines]
    wiring.live(sliders.input, move, controls, stage)
    wiring.live(sliders.release, moved_lines, controls, lines)
    for control in (*answers, truncation, n, mixed, order):
        wiring.live(control.input, show, controls, here)
    wiring.live(seed.input, show, controls, here, lambda sentence: [gr.skip()] * 2)  # half typed
    fresh = wiring.act(new.click, wiring.fresh_seed, None, seed)
    wiring.act(fresh.then, show, controls, here)
    wiring.act(zero.click, reset, controls, [truncation, sliders, *here])

    round_of = [asked, quiz, words, quiz_lines]
    wiring.act(quiz.input, answer, asked, round_of)
    wiring.act(following.click, next_round, [asked, dataset, quiz_seed], round_of)
    wiring.act(again.click, new_quiz, dataset, [quiz_seed, *round_of])
    wiring.act(quiz_seed.submit, ask, [dataset, quiz_seed], round_of)

    ends = [first, first_seed, last, last_seed]
    for end in ends:
        wiring.live(end.input, walk, [dataset, *ends], [frames, walk_lines], lambda sentence: [gr.skip()] * 2)
    wiring.act(which.input, replay, [dataset, which], [film, film_lines])

    player, found = wiring.Runs(nearest), [nearest, own_lines]
    picked = wiring.act(choices.input, choose_test, dataset, [source, judged_as, told])
    drawn = wiring.live(pad.input, choose_drawing, [dataset, pad], [source, judged_as, told])
    sent = wiring.act(upload.upload, choose_upload, [dataset, upload], [source, judged_as, told])
    wiring.live(judged_as.input, verdict, [source, judged_as], told)
    player.stream(find.click, project, [dataset, source, judged_as], found, rate=12)
    player.stop(stop.click)

    for event in (opened, dataset.input):
        then = functools.partial(
            wiring.act(event, open_set, dataset, [*controls[1:], *here], no_set).then, trigger_mode="always_last"
        )
        wiring.act(then, ask, [dataset, quiz_seed], round_of, lambda sentence: (None, {"message": sentence}, "", ""))
        wiring.act(then, open_walk, dataset, [*ends, frames, walk_lines], no_walk)
        wiring.act(then, open_replay, dataset, [which, film, film_lines], lambda s: (gr.skip(), {"message": s}, ""))
        other = wiring.act(then, open_own, dataset, [choices, drawing, judged_as, source, told], no_own)
        player.act(other.then, no_search, [source], found)
        wiring.act(then, about, dataset, card)
    for event in (picked, drawn, sent):
        player.act(event.then, no_search, [source], found)
    endpoints()
