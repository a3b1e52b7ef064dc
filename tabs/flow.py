"""Flow: a map from pictures to noise that can be undone, and what an exact likelihood says, and does not say."""

import base64
import functools
import json
from typing import NamedTuple

import gradio as gr

import genmodels as gm
from tabs import wiring
from tabs.components import raw, sheet
from tabs.components.draw_pad import DrawPad
from tabs.components.gallery import Gallery
from tabs.components.likelihood import Likelihood
from tabs.components.plane_view import PlaneView, packed, unpacked
from tabs.components.scrubber import Scrubber
from tabs.components.tiles import Tiles
from tabs.components.upload import upload as picture_upload
from tabs.diffusion import (
    IMPORTS,
    LINES_PENDING,
    LINES_STOPPED,
    drawing_source,
    format_arguments,
    require_source,
    test_picture_source,
    test_pictures,
    upload_source,
)

MODELS = ("flow-mnist", "flow-fashion")
SETS = {"mnist": "Digits", "fashion": "Clothes"}
OTHER = {"mnist": "fashion", "fashion": "mnist"}
ANY, EACH = -1, -2  # answers beside a class: not told; one class after the other
COUNT, SHOWN, FRAMES, SEEDS = 30, 5, 25, 2**31
SECONDS, POINTS = 10, 1000  # of the plane's training; of its points, where the visitor draws none
OWN = "own"  # the visitor's points
SHAPES = {"moons": "Moons", "rings": "Rings", "checkerboard": "Checkerboard", OWN: "Your points"}


# --- What the visitor asks for ----------------------------------------------------------------------------------------


class Wish(NamedTuple):
    """What the controls say, checked. label: a class, or ANY, or EACH."""

    dataset: str
    label: int
    temperature: float
    n: int
    seed: int

    @property
    def asked(self):
        """The label as the model takes it: None where it is not told."""
        return [i % 10 for i in range(self.n)] if self.label == EACH else None if self.label == ANY else self.label


def wish(dataset, label, temperature, n, seed):
    return Wish(
        dataset_in(dataset),
        gm.base.check_number("label", label, EACH, 9, whole=True),
        gm.base.check_number("temperature", temperature, 0, 1.5),
        gm.base.check_number("number of pictures", n, 1, COUNT, whole=True),
        seed_in(seed),
    )


def dataset_in(dataset):
    return gm.base.check_choice("data set", dataset, list(SETS))


def model_of(dataset):
    return gm.load(f"flow-{dataset_in(dataset)}")


def seed_in(value):
    return gm.base.check_number("seed", value, 0, SEEDS, whole=True)


def label_from(dataset, text):
    """A class by its name; ANY of "any"."""
    names = gm.data.CLASSES[dataset]
    return ANY if text == "any" else names.index(gm.base.check_choice("label", text, ["any", *names]))


def program(make, dataset=None):
    """A whole program. make: the lines after those that load the model."""
    used = [line for name, line in IMPORTS.items() if name in make]
    load = [f'model = gm.load("flow-{dataset}")'] if dataset else []
    return "\n".join([*used, *[""] * bool(used), "import genmodels as gm", "", *load, make.rstrip("\n"), ""])


def save(columns, scale=4):
    return f'gm.pictures.grid(x, columns={columns}, scale={scale}).save("picture.png")\n'


# --- The pictures on the stage ----------------------------------------------------------------------------------------


def across(n):
    """Columns of n pictures: a little wider than high."""
    return n if n < 4 else round((1.2 * n) ** 0.5 + 0.49)


def show(*controls):
    """-> (stage, lines)."""
    w = wish(*controls)
    x = model_of(w.dataset).sample(w.n, label=w.asked, temperature=w.temperature, seed=w.seed)
    return {
        **sheet(x, across(w.n)),
        "across": across(w.n),
        "kinds": "?" * w.n,
        "labels": "\n".join(["drawn picture"] * w.n),
    }, lines_of(w)


def lines_of(w):
    told = {} if w.label == ANY else {"label": w.label}
    told |= {"temperature": w.temperature} if w.temperature != 1 else {}
    asked = format_arguments({**told, "seed": w.seed})
    if w.label == EACH:
        asked = asked.replace(f"label={EACH}", f"label=[i % 10 for i in range({w.n})]")
    return program(f"x = model.sample({w.n}, {asked})\n" + save(across(w.n)), w.dataset)


def reset():
    """-> (class, temperature, number): as it came."""
    return EACH, 1, 20


# --- How likely is this? ----------------------------------------------------------------------------------------------
#
# A `source` is a picture to be scored: {"dataset", "x": (1, 1, H, W), "lines" that make `picture`}.


def likelihoods(dataset):
    return _likelihoods(gm.base.checkpoint_folder(f"flow-{dataset}"))


@functools.lru_cache(maxsize=4)
def _likelihoods(folder):
    return gm.flow.load_likelihoods(folder)


def score(dataset, x, label=None):
    """What the flow says of pictures x (N, 1, H, W): a list of facts for each."""
    nats, known = model_of(dataset).layer_log_probs(x, label), likelihoods(dataset)
    bits = gm.metrics.bits_per_dim(nats.sum(1), x[0].numel()).tolist()
    far = known.typicality.distance(nats).tolist()
    return [
        {
            "bits_per_dim": b,
            "log_prob_nats": n,
            "less_likely_than_test_pictures": known.share_below("bits", b),
            "distance": d,
            "more_unusual_than_test_pictures": known.share_below("distances", d),
        }
        for b, n, d in zip(bits, nats.sum(1).tolist(), far)
    ]


def verdict(source):
    dataset = require_source(source)["dataset"]
    told, known = score(dataset, source["x"])[0], likelihoods(dataset)
    own, other = list(known.bits)[:2]
    likelier, odder = 1 - told["less_likely_than_test_pictures"], told["more_unusual_than_test_pictures"]
    opinion = (
        "It is as usual as the test pictures are."
        if odder <= 0.99
        else "Few test pictures are as unusual."
        if likelier < 0.5
        else "Likely, and yet unusual: the likelihood alone would have taken it for one of the best."
    )
    text = (
        f"{told['bits_per_dim']:.3f} bits a pixel: likelier than {likelier:.0%} of the test pictures. Its layers' "
        f"likelihoods are {told['distance']:.2f} standard deviations from the usual ones, further than those of "
        f"{odder:.0%} of the test pictures. {opinion}"
    )
    axes = [
        ["Bits a pixel: the less, the likelier", hill(known.bit_edges, known.bits, own, other), told["bits_per_dim"]],
        [
            "Typicality: standard deviations from the usual; the less, the more usual",
            hill(known.distance_edges, known.distances, own, other),
            told["distance"],
        ],
    ]
    names = [f"test pictures of {SETS[own].lower()}", f"of {SETS[other].lower()}"]
    return {**raw(source["x"][0]), "text": text, "names": json.dumps(names), "axes": json.dumps(axes)}


def hill(edges, shares, own, other):
    return {"edges": edges, "real": shares[own], "generated": shares[other]}


def beside(source):
    """The picture and stranger ones side by side, with their bits."""
    import torch

    dataset, x = require_source(source)["dataset"], source["x"]
    noise = torch.randint(256, x.shape, generator=gm.base.generator(0)) / 255
    other = test_pictures(OTHER[dataset])[0][:1]
    every = torch.cat([x, 1 - x, x.rot90(1, (2, 3)), other, noise, torch.zeros_like(x)])
    names = ["this", "inverted", "rotated", f"one of {SETS[OTHER[dataset]].lower()}", "noise", "blank"]
    told = [
        f"{name}: {facts['bits_per_dim']:.2f} bits, {facts['distance']:.1f} sd"
        for name, facts in zip(names, score(dataset, every))
    ]
    return {**sheet(every, len(every)), "labels": told}


def scored_lines(source):
    make = (
        source["lines"]
        + f'typicality = gm.flow.load_likelihoods("flow-{source["dataset"]}").typicality\n'
        + ("print(model.bits_per_dim(picture), typicality.distance(model.layer_log_probs(picture)))\n")
    )
    return program(make, source["dataset"])


def choose(source):
    """Another picture -> (source, verdict, side by side, lines, layers, words, their lines)."""
    return source, verdict(source), beside(source), scored_lines(source), *unfold(source)


def choose_test(dataset, event: gr.EventData):
    i = wiring.number_from_event(event, "index", 2 * SHOWN - 1)
    if i < SHOWN:
        return choose(test_picture_source(dataset_in(dataset), i))
    return choose({**test_picture_source(OTHER[dataset_in(dataset)], i - SHOWN), "dataset": dataset})


def choose_drawing(dataset, ink):
    return choose(drawing_source(dataset_in(dataset), ink))


def choose_upload(dataset, path):
    return choose(upload_source(dataset_in(dataset), path))


# --- Unfolding --------------------------------------------------------------------------------------------------------


def there_and_back(dataset, x, seed=0):
    """(steps to noise, steps back in the same order, the largest error of the round trip in grey levels)."""
    model = model_of(dataset)
    there = list(model.encode_steps(x, seed=seed))
    back = list(model.decode_steps(there[-1].h.flatten(1)))[::-1]
    return there, back, 256 * (there[0].h - back[0].h).abs().max().item()


def left(x, done):
    """The pixels of x that are picture after so many layers, on the finest whole lattice, enlarged to its size."""
    import torch

    step = 2 ** ((done + 2) // 3)
    lattice = x[:, :, step - 1 :: step, step - 1 :: step]
    return torch.nn.functional.interpolate(lattice, x.shape[2:]) if lattice.numel() else torch.full_like(x, 0.5)


def unfold(source):
    """-> (frames, words, lines)."""
    import torch

    dataset = require_source(source)["dataset"]
    there, back, error = there_and_back(dataset, source["x"])
    rest = [left(step.x, done) for done, step in enumerate(there)]
    frames = {
        **sheet(torch.cat([*(s.x for s in there + back), *rest]), len(there)),
        "rows": ["to noise", "and back", "what is left, enlarged"],
    }
    noise = there[-1].h
    words = (
        f"There and back through {len(there) - 1} layers, the largest error is **{error:.1e}** of a grey level. "
        f"The noise has mean {noise.mean():+.2f} and standard deviation {noise.std():.2f}."
    )
    make = source["lines"] + (
        "there = list(model.encode_steps(picture, seed=0))\n"
        "back = list(model.decode_steps(there[-1].h.flatten(1)))[::-1]\n"
        "print(256 * (there[0].h - back[0].h).abs().max())\n"
        f"x = torch.cat([step.x for step in there + back])\n{save(len(there), 2)}"
    )
    return frames, words, program(make, dataset)


# --- The way between two pictures -------------------------------------------------------------------------------------


def way(dataset, first, last):
    """-> (frames, lines): on the straight line in z from one test picture to another. first, last: classes."""
    import torch

    model, (x, _) = model_of(dataset), test_pictures(dataset)
    i, j = (gm.base.check_number("class", c, 0, 9, whole=True) for c in (first, last))
    j = 10 + j if i == j else j  # test pictures begin with one of each class, twice
    z = model.encode(x[[i, j]], seed=0)
    t = torch.linspace(0, 1, FRAMES, dtype=z.dtype)[:, None]
    frames = model.decode(torch.lerp(z[:1], z[1:], t))
    make = (
        f'pictures = gm.data.samples("{dataset}").floats()[[{i}, {j}]]\nz = model.encode(pictures, seed=0)\n'
        f"t = torch.linspace(0, 1, {FRAMES}, dtype=z.dtype)[:, None]\nx = model.decode(torch.lerp(z[:1], z[1:], t))\n"
    )
    return {**sheet(frames, FRAMES), "rows": ["straight in z"]}, program(make + save(FRAMES, 2), dataset)


# --- Two dimensions ---------------------------------------------------------------------------------------------------


def points_of(kind, drawn):
    """(N, 2) tensor of the points to be learnt, and the lines that make them."""
    import torch

    if gm.base.check_choice("shape", kind, list(SHAPES)) != OWN:
        return gm.flow.toy_points(kind, POINTS, seed=0), f'points = gm.flow.toy_points("{kind}", {POINTS}, seed=0)\n'
    points = torch.tensor(unpacked(drawn)[:2000]).clamp(-1, 1)
    if len(points) < 16:
        raise ValueError("points must be at least 16: draw some more of them on the square.")
    line = f"np.frombuffer(base64.b64decode({packed(points)!r}), '<i2')"
    return points, f"points = torch.tensor({line}.reshape(-1, 2) / 8000).float()\n"


def square(kind, drawn):
    """-> (square, lines): the points alone, before anything is learnt."""
    if gm.base.check_choice("shape", kind, list(SHAPES)) == OWN:
        n = len(unpacked(drawn))
        said = f"{n} points. Draw more, or train." if n else "Press and drag to draw."
        return {"points": packed(unpacked(drawn)[:2000]), "draw": True, "text": said}, LINES_PENDING
    return {"points": packed(points_of(kind, None)[0]), "draw": False, "text": f"{POINTS:,} points."}, LINES_PENDING


def take_points(event: gr.EventData):
    """The visitor drew -> points, as text."""
    sent = event._data if isinstance(event._data, dict) else {}
    return packed(unpacked(sent.get("points"))[:2000])


def train(kind, drawn, layers):
    """Fit a flow to the points while one looks on: yields (square, lines)."""
    points, make = points_of(kind, drawn)
    layers = gm.base.check_number("layers", layers, 1, 12, whole=True)
    make += (
        f"*_, last = gm.flow.fit_plane(points, seconds={SECONDS}, layers={layers}, seed=0)\n"
        "print(last.step, last.nats)  # as far as your machine comes in this time\n"
    )
    seen, lines = None, program(make)
    try:
        for seen in gm.flow.fit_plane(points, seconds=SECONDS, layers=layers, seed=0, every=0.12):
            yield learnt(kind, points, seen, True), LINES_PENDING if seen.step == 0 else gr.skip()
    except wiring.Stopped:
        lines = LINES_STOPPED
    if seen:
        yield learnt(kind, points, seen, False), lines


def learnt(kind, points, seen, live):
    import torch

    density = (seen.density / torch.quantile(seen.density, 0.995).clamp(min=1e-9)).clamp(0, 1).sqrt()
    return {
        "points": packed(points),
        "draw": kind == OWN,
        "live": live,
        "stages": len(seen.lines),
        "lines": packed(seen.lines),
        "density": base64.b64encode((255 * density).byte().numpy().tobytes()).decode(),
        "text": f"{seen.step} steps in {seen.seconds:.1f} s: {seen.nats:.2f} nats a point",
    }


# --- The programming interface ----------------------------------------------------------------------------------------


def dataset_of(model):
    """A name from a visitor never becomes a path."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def source_of(dataset, picture, i):
    return test_picture_source(dataset, i) if picture is None else upload_source(dataset, picture)


def flow_sample(model="flow-mnist", n=20, label="any", temperature=1, seed=0):
    """Draw new pictures with a flow.

    Args:
        model: flow-mnist (digits) or flow-fashion (clothes).
        n: how many, 1 to 30.
        label: any, or a class such as 7 or ankle boot.
        temperature: 0 to 1.5, times the noise; 1 draws from the model.
        seed: whole number; the same seed gives the same pictures.
    Returns:
        A PNG with the pictures in rows.
    """
    dataset = dataset_of(model)
    w = wish(dataset, label_from(dataset, label), temperature, n, seed)
    x = model_of(dataset).sample(w.n, label=w.asked, temperature=w.temperature, seed=w.seed)
    return gm.pictures.grid(x, across(w.n), scale=4)


def flow_score(model="flow-mnist", picture=None, test_picture_number=0, label="any"):
    """Ask a flow how likely a picture is, exactly, and how usual.

    Args:
        model: one of the models, see flow_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199, used when there is no file.
        label: any, or the class that it is told.
    Returns:
        Bits a pixel and log p in nats; the share of test pictures that are likelier; the distance of the layers' likelihoods
        from the usual ones in standard deviations; the share of test pictures that are less unusual.
    """
    dataset = dataset_of(model)
    told = label_from(dataset, label)
    return score(dataset, source_of(dataset, picture, test_picture_number)["x"], None if told == ANY else told)[0]


def flow_unfold(model="flow-mnist", picture=None, test_picture_number=0, seed=0):
    """Carry a picture through the layers of a flow to noise, and back.

    Args:
        model: one of the models, see flow_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199, used when there is no file.
        seed: of the noise of the grey levels, a whole number.
    Returns:
        The largest error of the round trip in grey levels, log |det| of the whole map and of each layer; and a PNG: above the
        way to noise, below the way back.
    """
    import torch

    dataset = dataset_of(model)
    there, back, error = there_and_back(dataset, source_of(dataset, picture, test_picture_number)["x"], seed_in(seed))
    log_det = [s.log_det.item() for s in there]
    each = [after - before for before, after in zip(log_det, log_det[1:])]
    facts = {"round_trip_error": error, "log_det": log_det[-1], "log_det_of_layers": each}
    return facts, gm.pictures.grid(torch.cat([s.x for s in there + back]), len(there), scale=2)


def endpoints():
    """The functions above under their own names. They check what they are called with; the components do not."""

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    facts, png = gr.JSON(visible=False, label="facts"), gr.Image(format="png", label="picture", visible=False)
    model = gr.Dropdown(list(MODELS), value=MODELS[0], label="model", visible=False)
    file, label = picture_upload(visible=False, label="picture"), gr.Textbox("any", label="label", visible=False)
    one = boxes(test_picture_number=0)
    wiring.endpoint(flow_sample, [model, *boxes(n=20), label, *boxes(temperature=1, seed=0)], png)
    wiring.endpoint(flow_score, [model, file, *one, label], facts)
    wiring.endpoint(flow_unfold, [model, file, *one, *boxes(seed=0)], [facts, png])


# --- Layout -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _first(folder, dataset):
    """(stage, lines) that the tab opens with."""
    return show(dataset, *reset(), 0)


def open_set(dataset):
    """Another data set -> (class, temperature, number, seed, stage, lines)."""
    classes = [("one of each", EACH), ("any", ANY), *((name, i) for i, name in enumerate(gm.data.CLASSES[dataset_in(dataset)]))]
    label, temperature, n = reset()
    first = _first(gm.base.checkpoint_folder(f"flow-{dataset}"), dataset)
    return gr.update(choices=classes, value=label), temperature, n, 0, *first


def no_set(sentence):
    return *[gr.skip()] * 4, {"message": sentence}, ""


@functools.lru_cache(maxsize=4)
def _own(folder, dataset):
    import torch

    (mine, names), (theirs, others) = test_pictures(dataset), test_pictures(OTHER[dataset])
    x = torch.cat([mine[:SHOWN], theirs[:SHOWN]])
    tiles = {**sheet(x, 2 * SHOWN), "labels": names[:SHOWN] + others[:SHOWN], "chosen": 0}
    return tiles, *choose(test_picture_source(dataset, 0))


def open_own(dataset):
    """-> (pictures to choose from, and what `choose` gives)."""
    return _own(gm.base.checkpoint_folder(f"flow-{dataset_in(dataset)}"), dataset)


def no_own(sentence):
    return gr.skip(), None, {"message": sentence}, {"message": sentence}, "", {"message": sentence}, "", ""


def open_way(dataset):
    """-> (first, last, frames, lines)."""
    classes = [(name, i) for i, name in enumerate(gm.data.CLASSES[dataset_in(dataset)])]
    first, last = (3, 8) if dataset == "mnist" else (0, 9)
    return gr.update(choices=classes, value=first), gr.update(choices=classes, value=last), *way(dataset, first, last)


def no_way(sentence):
    return gr.skip(), gr.skip(), {"message": sentence}, ""


def about(dataset):
    """The models of the tab in a table, and the card of the one on stage."""
    shipped = [name for name in MODELS if (wiring.checkpoints() / name / "README.md").is_file()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"flow-{dataset_in(dataset)}")


def offered():
    return [name for name in SETS if (wiring.checkpoints() / f"flow-{name}").is_dir()]  # gm.data would import torch


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [functools.partial(make, dataset) for dataset in offered() for make in (open_set, open_own)]


def in_python(name):
    """The lines that make what a tool shows."""
    with gr.Accordion("In Python", open=False, elem_classes="lines"):
        return gr.Code(language="python", interactive=False, show_label=False, wrap_lines=True, elem_id=f"flow-{name}-python")


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
            elem_id="flow-dataset",
            min_width=220,
        )

    def kind(label, name, choices, value):
        return gr.Dropdown(choices, value=value, label=label, elem_id=f"flow-{name}", elem_classes="plain", min_width=100)

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=260, elem_classes=["card", "controls"]):
            gr.Markdown("### What to draw")
            label = kind("Class", "label", [("one of each", EACH), ("any", ANY)], EACH)
            temperature = gr.Slider(
                0,
                1.5,
                1,
                step=0.05,
                label="Temperature (0: no noise, 1: as trained)",
                buttons=[],
                elem_id="flow-temperature",
                elem_classes="plain",
            )
            n = gr.Slider(1, COUNT, 20, step=1, label="Pictures", buttons=[], elem_id="flow-n", elem_classes="plain")
            gr.Markdown("### From one to another")
            gr.Markdown(
                "Two test pictures as noise, and the straight line between: every point on it is a picture.",
                elem_classes="hint",
            )
            with gr.Row(elem_classes=["small-controls", "change"]):
                first, last = kind("From", "first", [("3", 3)], 3), kind("To", "last", [("8", 8)], 8)
            frames = Scrubber(ends=("from", "to"), elem_id="flow-way")
            way_lines = in_python("way")
        with gr.Column(scale=8, min_width=320, elem_classes=["card", "on-stage", "grid-stage"]):
            stage = Gallery(
                poster=wiring.poster(f"flow-{shipped[0]}"),
                name="Drawn pictures",
                elem_id="flow-stage",
                elem_classes="live-picture",
            )
            new, seed, zero = wiring.seed_row("New pictures", "Reset")
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("How likely?", id="likely"):
                gr.Markdown(
                    "Choose one, draw or upload. The likelihood is exact; what it means is another question.",
                    elem_classes="hint",
                )
                choices = Tiles(columns=2 * SHOWN, name="Test pictures of both sets", elem_id="flow-own")
                with gr.Row():
                    with gr.Column(min_width=130):
                        pad = DrawPad(elem_id="flow-pad")
                    with gr.Column(min_width=130):
                        upload = picture_upload(
                            label="Upload a picture", show_label=False, height=150, elem_id="flow-upload", elem_classes="upload"
                        )
                told = Likelihood(elem_id="flow-verdict")
                gr.Markdown("The same flow on stranger pictures:", elem_classes="hint")
                strange = Tiles(pick=False, columns=6, name="Side by side", elem_id="flow-beside")
                score_lines = in_python("score")
            with gr.Tab("Unfolding", id="unfold"):
                gr.Markdown(
                    "The picture chosen under *How likely?*, layer by layer: of each square of pixels three become "
                    "noise, one after the other, then the same with what is left, down to a single pixel.",
                    elem_classes="hint",
                )
                layers = Scrubber(ends=("picture", "noise"), elem_id="flow-unfold")
                words = gr.Markdown(elem_id="flow-error")
                unfold_lines = in_python("unfold")
            with gr.Tab("In two dimensions", id="plane"):
                gr.Markdown(
                    "The same kind of layer on points of a plane, trained here and now. The grid is that of the noise, "
                    "bent by the layers.",
                    elem_classes="hint",
                )
                shape = gr.Radio(
                    [(shown, name) for name, shown in SHAPES.items()],
                    value="moons",
                    label="Points",
                    show_label=False,
                    container=False,
                    elem_id="flow-shape",
                    elem_classes="small-pills",
                )
                plane = PlaneView(elem_id="flow-plane")
                with gr.Row(elem_classes="small-controls"):
                    depth = gr.Slider(1, 12, 6, step=1, label="Layers", buttons=[], elem_id="flow-depth", elem_classes="plain")
                    begin = gr.Button("Train", variant="primary", scale=2, min_width=80, elem_id="flow-train")
                    stop = gr.Button("Stop", scale=1, min_width=70, elem_id="flow-stop")
                drawn = gr.State()
                plane_lines = in_python("plane")
            source = gr.State()
    lines = wiring.python_panel("flow")
    wiring.explanation(__file__, measured=wiring.measured("flow-mnist"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls, here = [dataset, label, temperature, n, seed], [stage, lines]
    for control in (label, temperature, n):
        wiring.live(control.input, show, controls, here)
    wiring.live(seed.input, show, controls, here, lambda sentence: [gr.skip()] * 2)  # half typed
    fresh = wiring.act(new.click, wiring.fresh_seed, None, seed)
    wiring.act(fresh.then, show, controls, here)
    again = wiring.act(zero.click, reset, None, [label, temperature, n])
    wiring.act(again.then, show, controls, here)

    for end in (first, last):
        wiring.live(end.input, way, [dataset, first, last], [frames, way_lines], lambda sentence: [gr.skip()] * 2)

    chosen = [source, told, strange, score_lines, layers, words, unfold_lines]
    wiring.act(choices.input, choose_test, dataset, chosen)
    wiring.live(pad.input, choose_drawing, [dataset, pad], chosen)
    wiring.act(upload.upload, choose_upload, [dataset, upload], chosen)

    player, seen = wiring.Runs(plane), [plane, plane_lines]
    player.act(shape.input, square, [shape, drawn], seen)
    sketched = wiring.live(plane.input, take_points, None, drawn)
    player.act(sketched.then, square, [shape, drawn], seen)
    player.stream(begin.click, train, [shape, drawn, depth], seen, rate=8)
    player.stop(stop.click)

    for event in (opened, dataset.input):
        then = functools.partial(
            wiring.act(event, open_set, dataset, [*controls[1:], *here], no_set).then, trigger_mode="always_last"
        )
        wiring.act(then, open_own, dataset, [choices, *chosen], no_own)
        wiring.act(then, open_way, dataset, [first, last, frames, way_lines], no_way)
        wiring.act(then, about, dataset, card)
    player.act(opened, square, [shape, drawn], seen)
    endpoints()
