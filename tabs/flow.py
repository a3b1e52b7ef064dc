"""Flow: an invertible map from pictures to noise, and what an exact likelihood says and does not say."""

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
from tabs.components.plane_view import PlaneView, pack_points, unpack_points
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
DATASET_TITLES = {"mnist": "Digits", "fashion": "Clothes"}
OTHER_DATASET = {"mnist": "fashion", "fashion": "mnist"}
ANY, EACH = -1, -2  # choices beside a class: no class; one class after another
MAX_SAMPLES, MAX_SEED = 30, 2**31
TEST_PICTURES = 5  # of each dataset, to choose from
FRAMES = 25  # of an interpolation
SECONDS, POINTS = 10, 1000  # of training in two dimensions; the visitor may draw another number of points
OWN_POINTS = "own"
SHAPE_TITLES = {"moons": "Moons", "rings": "Rings", "checkerboard": "Checkerboard", OWN_POINTS: "Your points"}


# --- Sampling options -------------------------------------------------------------------------------------------------


class SamplingOptions(NamedTuple):
    """The checked values of the controls. label: a class, ANY or EACH."""

    dataset: str
    label: int
    temperature: float
    n: int
    seed: int

    @property
    def labels(self):
        """The label argument of the model: None for any class."""
        if self.label == EACH:
            return [i % 10 for i in range(self.n)]
        return None if self.label == ANY else self.label


def sampling_options(dataset, label, temperature, n, seed):
    return SamplingOptions(
        check_dataset(dataset),
        gm.base.check_number("label", label, EACH, 9, whole=True),
        gm.base.check_number("temperature", temperature, 0, 1.5),
        gm.base.check_number("number of samples", n, 1, MAX_SAMPLES, whole=True),
        check_seed(seed),
    )


def check_dataset(dataset):
    return gm.base.check_choice("dataset", dataset, list(DATASET_TITLES))


def check_seed(seed):
    return gm.base.check_number("seed", seed, 0, MAX_SEED, whole=True)


def load_model(dataset):
    return gm.load(f"flow-{check_dataset(dataset)}")


def parse_label(dataset, text):
    """A class from its name, ANY from "any"."""
    names = gm.data.CLASSES[dataset]
    return ANY if text == "any" else names.index(gm.base.check_choice("label", text, ["any", *names]))


def program(body, dataset=None):
    """A complete program: imports, the line that loads the model if there is a dataset, and the body."""
    imports = [line for name, line in IMPORTS.items() if name in body]
    if imports:
        imports.append("")
    load = [f'model = gm.load("flow-{dataset}")'] if dataset else []
    return "\n".join([*imports, "import genmodels as gm", "", *load, body.rstrip("\n"), ""])


def save_line(columns, scale=4):
    return f'gm.pictures.grid(x, columns={columns}, scale={scale}).save("picture.png")\n'


# --- Samples ----------------------------------------------------------------------------------------------------------


def grid_columns(n):
    """Columns of a grid of n pictures, a little wider than high."""
    return n if n < 4 else round((1.2 * n) ** 0.5 + 0.49)


def show_samples(*controls):
    """-> (stage, lines)."""
    options = sampling_options(*controls)
    x = generate(options)
    stage = {
        **sheet(x, grid_columns(options.n)),
        "across": grid_columns(options.n),
        "kinds": "?" * options.n,
        "labels": "\n".join(["sample"] * options.n),
    }
    return stage, python_lines(options)


def generate(options):
    model = load_model(options.dataset)
    return model.sample(options.n, label=options.labels, temperature=options.temperature, seed=options.seed)


def python_lines(options):
    arguments = {}
    if options.label != ANY:
        arguments["label"] = options.label
    if options.temperature != 1:
        arguments["temperature"] = options.temperature
    call = format_arguments({**arguments, "seed": options.seed})
    if options.label == EACH:
        call = call.replace(f"label={EACH}", f"label=[i % 10 for i in range({options.n})]")
    return program(f"x = model.sample({options.n}, {call})\n" + save_line(grid_columns(options.n)), options.dataset)


def default_options():
    """-> (class, temperature, number)."""
    return EACH, 1, 20


# --- Likelihood -------------------------------------------------------------------------------------------------------
#
# A `source` is a picture to be scored: {"dataset", "x": (1, 1, H, W), "lines" of Python that define `picture`}.


def load_stats(dataset):
    return _load_stats(gm.base.checkpoint_folder(f"flow-{dataset}"))


@functools.lru_cache(maxsize=4)
def _load_stats(folder):
    return gm.typicality.load_likelihoods(folder)


def score(dataset, x, label=None):
    """Likelihood and typicality of pictures x (N, 1, H, W) under the flow: one dict per picture."""
    layer_nats = load_model(dataset).layer_log_probs(x, label)
    stats = load_stats(dataset)
    nats = layer_nats.sum(1)
    bits = gm.metrics.bits_per_dim(nats, x[0].numel())
    distances = stats.typicality.distance(layer_nats)
    return [
        {
            "bits_per_dim": b,
            "log_prob_nats": log_prob,
            "less_likely_than_test_pictures": stats.share_below("bits", b),
            "distance": distance,
            "more_unusual_than_test_pictures": stats.share_below("distances", distance),
        }
        for b, log_prob, distance in zip(bits.tolist(), nats.tolist(), distances.tolist())
    ]


def verdict(source):
    dataset = require_source(source)["dataset"]
    scores, stats = score(dataset, source["x"])[0], load_stats(dataset)
    more_likely = 1 - scores["less_likely_than_test_pictures"]
    more_atypical = scores["more_unusual_than_test_pictures"]
    if more_atypical <= 0.99:
        conclusion = "It is as typical as the test pictures are."
    elif more_likely < 0.5:
        conclusion = "Few test pictures are as atypical."
    else:
        conclusion = "Likely and yet atypical: the likelihood alone would have ranked it among the best."
    text = (
        f"{scores['bits_per_dim']:.3f} bits per pixel: more likely than {more_likely:.0%} of the test pictures. Its "
        f"per-layer log-likelihoods are {scores['distance']:.2f} standard deviations from their typical values, further "
        f"than those of {more_atypical:.0%} of the test pictures. {conclusion}"
    )
    datasets = list(stats.bits)[:2]  # the model's own first
    axes = [
        ["Bits per pixel (lower is more likely)", histogram(stats.bit_edges, stats.bits, *datasets), scores["bits_per_dim"]],
        [
            "Typicality: standard deviations from typical values (lower is more typical)",
            histogram(stats.distance_edges, stats.distances, *datasets),
            scores["distance"],
        ],
    ]
    names = [f"test pictures of {DATASET_TITLES[name].lower()}" for name in datasets]
    return {**raw(source["x"][0]), "text": text, "names": json.dumps(names), "axes": json.dumps(axes)}


def histogram(edges, shares, dataset, other_dataset):
    return {"edges": edges, "real": shares[dataset], "generated": shares[other_dataset]}


def comparison(source):
    """The picture beside less typical ones, with their scores."""
    import torch

    dataset, x = require_source(source)["dataset"], source["x"]
    noise = torch.randint(256, x.shape, generator=gm.base.generator(0)) / 255
    other_dataset = OTHER_DATASET[dataset]
    other_picture = test_pictures(other_dataset)[0][:1]
    pictures = torch.cat([x, 1 - x, x.rot90(1, (2, 3)), other_picture, noise, torch.zeros_like(x)])
    names = ["this", "inverted", "rotated", f"one of the {DATASET_TITLES[other_dataset].lower()}", "noise", "blank"]
    labels = [
        f"{name}: {scores['bits_per_dim']:.2f} bits/pixel, {scores['distance']:.1f} SD"
        for name, scores in zip(names, score(dataset, pictures))
    ]
    return {**sheet(pictures, len(pictures)), "labels": labels}


def likelihood_lines(source):
    body = (
        source["lines"]
        + f'typicality = gm.typicality.load_likelihoods("flow-{source["dataset"]}").typicality\n'
        + "print(model.bits_per_dim(picture), typicality.distance(model.layer_log_probs(picture)))\n"
    )
    return program(body, source["dataset"])


def select_picture(source):
    """Another picture -> (source, verdict, comparison, lines, layers, round trip in words, their lines)."""
    return source, verdict(source), comparison(source), likelihood_lines(source), *layer_by_layer(source)


def select_test_picture(dataset, event: gr.EventData):
    i = wiring.number_from_event(event, "index", 2 * TEST_PICTURES - 1)
    if i < TEST_PICTURES:
        return select_picture(test_picture_source(check_dataset(dataset), i))
    source = test_picture_source(OTHER_DATASET[check_dataset(dataset)], i - TEST_PICTURES)
    return select_picture({**source, "dataset": dataset})


def select_drawing(dataset, ink):
    return select_picture(drawing_source(check_dataset(dataset), ink))


def select_upload(dataset, path):
    return select_picture(upload_source(check_dataset(dataset), path))


# --- Layer by layer ---------------------------------------------------------------------------------------------------


def round_trip(dataset, x, seed=0):
    """(steps of encoding, steps of decoding in the same order, the largest error of the round trip in grey levels)."""
    model = load_model(dataset)
    encoded = list(model.encode_steps(x, seed=seed))
    decoded = list(model.decode_steps(encoded[-1].h.flatten(1)))[::-1]
    return encoded, decoded, 256 * (encoded[0].h - decoded[0].h).abs().max().item()


def remaining_pixels(x, layers):
    """The pixels of x that are not noise yet after so many layers: the finest complete lattice, enlarged to the size of x."""
    import torch

    stride = 2 ** ((layers + 2) // 3)
    lattice = x[:, :, stride - 1 :: stride, stride - 1 :: stride]
    return torch.nn.functional.interpolate(lattice, x.shape[2:]) if lattice.numel() else torch.full_like(x, 0.5)


def layer_by_layer(source):
    """-> (frames, round trip in words, lines)."""
    import torch

    dataset = require_source(source)["dataset"]
    encoded, decoded, error = round_trip(dataset, source["x"])
    remaining = [remaining_pixels(step.x, layers) for layers, step in enumerate(encoded)]
    frames = {
        **sheet(torch.cat([*(step.x for step in encoded + decoded), *remaining]), len(encoded)),
        "rows": ["encode", "decode", "remaining pixels, enlarged"],
    }
    noise = encoded[-1].h
    text = (
        f"Encoded and decoded through {len(encoded) - 1} layers, the largest error is **{error:.1e}** of a grey level. "
        f"The noise has mean {noise.mean():+.2f} and standard deviation {noise.std():.2f}."
    )
    body = source["lines"] + (
        "encoded = list(model.encode_steps(picture, seed=0))\n"
        "decoded = list(model.decode_steps(encoded[-1].h.flatten(1)))[::-1]\n"
        "print(256 * (encoded[0].h - decoded[0].h).abs().max())\n"
        f"x = torch.cat([step.x for step in encoded + decoded])\n{save_line(len(encoded), 2)}"
    )
    return frames, text, program(body, dataset)


# --- Interpolation ----------------------------------------------------------------------------------------------------


def interpolate(dataset, first, last):
    """-> (frames, lines): linear in z from one test picture to another. first, last: their classes."""
    import torch

    model, (x, _) = load_model(dataset), test_pictures(dataset)
    i, j = (gm.base.check_number("class", c, 0, 9, whole=True) for c in (first, last))
    if i == j:
        j = 10 + j  # test pictures begin with one of each class, twice
    z = model.encode(x[[i, j]], seed=0)
    t = torch.linspace(0, 1, FRAMES, dtype=z.dtype)[:, None]
    frames = model.decode(torch.lerp(z[:1], z[1:], t))
    body = (
        f'pictures = gm.data.samples("{dataset}").floats()[[{i}, {j}]]\nz = model.encode(pictures, seed=0)\n'
        f"t = torch.linspace(0, 1, {FRAMES}, dtype=z.dtype)[:, None]\nx = model.decode(torch.lerp(z[:1], z[1:], t))\n"
    )
    return {**sheet(frames, FRAMES), "rows": ["linear in z"]}, program(body + save_line(FRAMES, 2), dataset)


# --- Two dimensions ---------------------------------------------------------------------------------------------------


def training_points(shape, own_points):
    """((N, 2) tensor of the points to fit, the lines of Python that define them). own_points: the visitor's, packed."""
    import torch

    if gm.base.check_choice("shape", shape, list(SHAPE_TITLES)) != OWN_POINTS:
        return gm.plane.toy_points(shape, POINTS, seed=0), f'points = gm.plane.toy_points("{shape}", {POINTS}, seed=0)\n'
    points = torch.tensor(unpack_points(own_points)[:2000]).clamp(-1, 1)
    if len(points) < 16:
        raise ValueError("At least 16 points are needed: draw more of them in the square.")
    array = f"np.frombuffer(base64.b64decode({pack_points(points)!r}), '<i2')"
    return points, f"points = torch.tensor({array}.reshape(-1, 2) / 8000).float()\n"


def show_points(shape, own_points):
    """-> (plane, lines): the points before training."""
    if gm.base.check_choice("shape", shape, list(SHAPE_TITLES)) == OWN_POINTS:
        points = unpack_points(own_points)
        text = f"{len(points)} points. Draw more, or train." if len(points) else "Press and drag to draw points."
        return {"points": pack_points(points[:2000]), "draw": True, "text": text}, LINES_PENDING
    points, _ = training_points(shape, None)
    return {"points": pack_points(points), "draw": False, "text": f"{POINTS:,} points."}, LINES_PENDING


def receive_points(event: gr.EventData):
    """The visitor drew -> their points, packed."""
    sent = event._data if isinstance(event._data, dict) else {}
    return pack_points(unpack_points(sent.get("points"))[:2000])


def train(shape, own_points, layers):
    """Fit a flow to the points live: yields (plane, lines)."""
    points, body = training_points(shape, own_points)
    layers = gm.base.check_number("layers", layers, 1, 12, whole=True)
    body += (
        f"*_, last = gm.plane.fit_plane(points, seconds={SECONDS}, layers={layers}, seed=0)\n"
        "print(last.step, last.nats)  # depends on the speed of your machine\n"
    )
    step, lines = None, program(body)
    try:
        for step in gm.plane.fit_plane(points, seconds=SECONDS, layers=layers, seed=0, every=0.12):
            yield plane_value(shape, points, step, True), LINES_PENDING if step.step == 0 else gr.skip()
    except wiring.Stopped:
        lines = LINES_STOPPED
    if step:
        yield plane_value(shape, points, step, False), lines


def plane_value(shape, points, step, live):
    """The component's value. step: a `PlaneStep`; live: training goes on."""
    import torch

    density = (step.density / torch.quantile(step.density, 0.995).clamp(min=1e-9)).clamp(0, 1).sqrt()
    return {
        "points": pack_points(points),
        "draw": shape == OWN_POINTS,
        "live": live,
        "stages": len(step.lines),
        "lines": pack_points(step.lines),
        "density": base64.b64encode((255 * density).byte().numpy().tobytes()).decode(),
        "text": f"{step.step} steps in {step.seconds:.1f} s: {step.nats:.2f} nats per point (lower is better)",
    }


# --- The programming interface ----------------------------------------------------------------------------------------


def dataset_from_model(model):
    """A name from a visitor never becomes a path."""
    return gm.base.check_choice("model", model, MODELS).split("-")[1]


def picture_source(dataset, picture, i):
    return test_picture_source(dataset, i) if picture is None else upload_source(dataset, picture)


def flow_sample(model="flow-mnist", n=20, label="any", temperature=1, seed=0):
    """Sample new pictures from a flow.

    Args:
        model: flow-mnist (digits) or flow-fashion (clothes).
        n: number of samples, 1 to 30.
        label: any, or a class such as 7 or ankle boot.
        temperature: 0 to 1.5, scales the noise; 1 samples from the model's distribution.
        seed: whole number; the same seed gives the same pictures.
    Returns:
        A PNG with the pictures in rows.
    """
    dataset = dataset_from_model(model)
    options = sampling_options(dataset, parse_label(dataset, label), temperature, n, seed)
    return gm.pictures.grid(generate(options), grid_columns(options.n), scale=4)


def flow_score(model="flow-mnist", picture=None, test_picture_number=0, label="any"):
    """Compute the exact likelihood of a picture under a flow, and how typical the picture is.

    Args:
        model: one of the models, see flow_sample.
        picture: a file; it is preprocessed like the dataset's own pictures. Without one, a test picture is used.
        test_picture_number: 0 to 199, used when there is no file.
        label: any, or the class to condition on.
    Returns:
        Bits per pixel and log p in nats; the share of test pictures that are more likely; the distance of the layers'
        log-likelihoods from their typical values in standard deviations; the share of test pictures that are more typical.
    """
    dataset = dataset_from_model(model)
    label = parse_label(dataset, label)
    x = picture_source(dataset, picture, test_picture_number)["x"]
    return score(dataset, x, None if label == ANY else label)[0]


def flow_unfold(model="flow-mnist", picture=None, test_picture_number=0, seed=0):
    """Encode a picture to noise through the layers of a flow, and decode it.

    Args:
        model: one of the models, see flow_sample.
        picture: a file; it is preprocessed like the dataset's own pictures. Without one, a test picture is used.
        test_picture_number: 0 to 199, used when there is no file.
        seed: of the dequantization noise, a whole number.
    Returns:
        The largest error of the round trip in grey levels, log |det| of the whole map and of each layer; and a PNG with the
        steps of encoding above those of decoding.
    """
    import torch

    dataset = dataset_from_model(model)
    x = picture_source(dataset, picture, test_picture_number)["x"]
    encoded, decoded, error = round_trip(dataset, x, check_seed(seed))
    log_det = [step.log_det.item() for step in encoded]
    log_det_of_layers = [after - before for before, after in zip(log_det, log_det[1:])]
    facts = {"round_trip_error": error, "log_det": log_det[-1], "log_det_of_layers": log_det_of_layers}
    return facts, gm.pictures.grid(torch.cat([step.x for step in encoded + decoded]), len(encoded), scale=2)


def endpoints():
    """Register the functions above under their own names. They check their arguments; the components do not."""

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    facts, png = gr.JSON(visible=False, label="facts"), gr.Image(format="png", label="picture", visible=False)
    model = gr.Dropdown(list(MODELS), value=MODELS[0], label="model", visible=False)
    file, label = picture_upload(visible=False, label="picture"), gr.Textbox("any", label="label", visible=False)
    test_picture = boxes(test_picture_number=0)
    wiring.endpoint(flow_sample, [model, *boxes(n=20), label, *boxes(temperature=1, seed=0)], png)
    wiring.endpoint(flow_score, [model, file, *test_picture, label], facts)
    wiring.endpoint(flow_unfold, [model, file, *test_picture, *boxes(seed=0)], [facts, png])


# --- Layout -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=4)
def _opening_samples(folder, dataset):
    """(stage, lines) that the tab opens with."""
    return show_samples(dataset, *default_options(), 0)


def open_dataset(dataset):
    """Another dataset -> (class, temperature, number, seed, stage, lines)."""
    names = gm.data.CLASSES[check_dataset(dataset)]
    classes = [("one of each", EACH), ("any", ANY), *((name, i) for i, name in enumerate(names))]
    label, temperature, n = default_options()
    opening = _opening_samples(gm.base.checkpoint_folder(f"flow-{dataset}"), dataset)
    return gr.update(choices=classes, value=label), temperature, n, 0, *opening


def dataset_error(sentence):
    return *[gr.skip()] * 4, {"message": sentence}, ""


@functools.lru_cache(maxsize=4)
def _opening_picture(folder, dataset):
    import torch

    pictures, names = [], []
    for name in (dataset, OTHER_DATASET[dataset]):
        x, labels = test_pictures(name)
        pictures.append(x[:TEST_PICTURES])
        names += labels[:TEST_PICTURES]
    tiles = {**sheet(torch.cat(pictures), 2 * TEST_PICTURES), "labels": names, "chosen": 0}
    return tiles, *select_picture(test_picture_source(dataset, 0))


def open_picture(dataset):
    """-> (test pictures to choose from, and the outputs of `select_picture`)."""
    return _opening_picture(gm.base.checkpoint_folder(f"flow-{check_dataset(dataset)}"), dataset)


def picture_error(sentence):
    return gr.skip(), None, {"message": sentence}, {"message": sentence}, "", {"message": sentence}, "", ""


def open_interpolation(dataset):
    """-> (first, last, frames, lines)."""
    classes = [(name, i) for i, name in enumerate(gm.data.CLASSES[check_dataset(dataset)])]
    first, last = (3, 8) if dataset == "mnist" else (0, 9)
    frames, lines = interpolate(dataset, first, last)
    return gr.update(choices=classes, value=first), gr.update(choices=classes, value=last), frames, lines


def interpolation_error(sentence):
    return gr.skip(), gr.skip(), {"message": sentence}, ""


def about(dataset):
    """A table of the tab's models, and the card of the selected one."""
    shipped = [name for name in MODELS if (wiring.checkpoints() / name / "README.md").is_file()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"flow-{check_dataset(dataset)}")


def shipped_datasets():
    # gm.data would import torch
    return [name for name in DATASET_TITLES if (wiring.checkpoints() / f"flow-{name}").is_dir()]


def prepare():
    """Functions to call in the background before the first visitor comes, each of them quick."""
    return [functools.partial(fn, dataset) for dataset in shipped_datasets() for fn in (open_dataset, open_picture)]


def python_accordion(name):
    """The lines of Python that reproduce what a tool shows."""
    with gr.Accordion("In Python", open=False, elem_classes="lines"):
        return gr.Code(language="python", interactive=False, show_label=False, wrap_lines=True, elem_id=f"flow-{name}-python")


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    shipped = shipped_datasets() or list(DATASET_TITLES)
    gr.Markdown(
        "A normalizing flow is an invertible map between pictures and noise, so that every picture has an exact likelihood: "
        "change the temperature of the samples, then score a drawing of your own under *Likelihood*.",
        elem_classes="hint",
    )
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [(DATASET_TITLES[name], name) for name in shipped],
            value=shipped[0],
            label="Pictures",
            show_label=False,
            container=False,
            elem_id="flow-dataset",
            min_width=220,
        )

    def dropdown(label, name, choices, value):
        return gr.Dropdown(choices, value=value, label=label, elem_id=f"flow-{name}", elem_classes="plain", min_width=100)

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=5, min_width=260, elem_classes=["card", "controls"]):
            gr.Markdown("### Conditions")
            label = dropdown("Class", "label", [("one of each", EACH), ("any", ANY)], EACH)
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
            n = gr.Slider(1, MAX_SAMPLES, 20, step=1, label="Samples", buttons=[], elem_id="flow-n", elem_classes="plain")
            gr.Markdown("### Interpolation")
            gr.Markdown(
                "Two test pictures are encoded to noise z. Every point on the straight line between them decodes to a picture.",
                elem_classes="hint",
            )
            with gr.Row(elem_classes=["small-controls", "change"]):
                first, last = dropdown("From", "first", [("3", 3)], 3), dropdown("To", "last", [("8", 8)], 8)
            frames = Scrubber(ends=("from", "to"), elem_id="flow-way")
            interpolation_lines = python_accordion("way")
        with gr.Column(scale=8, min_width=320, elem_classes=["card", "on-stage", "grid-stage"]):
            stage = Gallery(
                poster=wiring.poster(f"flow-{shipped[0]}"),
                name="Samples",
                elem_id="flow-stage",
                elem_classes="live-picture",
            )
            new, seed, reset = wiring.seed_row("New samples", "Reset")
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Likelihood", id="likely"):
                gr.Markdown(
                    "Choose a test picture, draw or upload one. The likelihood is exact; what it means is another question.",
                    elem_classes="hint",
                )
                choices = Tiles(columns=2 * TEST_PICTURES, name="Test pictures of both datasets", elem_id="flow-own")
                with gr.Row():
                    with gr.Column(min_width=130):
                        pad = DrawPad(elem_id="flow-pad")
                    with gr.Column(min_width=130):
                        upload = picture_upload(
                            label="Upload a picture", show_label=False, height=150, elem_id="flow-upload", elem_classes="upload"
                        )
                likelihood = Likelihood(elem_id="flow-verdict")
                gr.Markdown("The same flow on less typical pictures:", elem_classes="hint")
                compared = Tiles(pick=False, columns=6, name="Comparison", elem_id="flow-beside")
                score_lines = python_accordion("score")
            with gr.Tab("Layer by layer", id="unfold"):
                gr.Markdown(
                    "The picture chosen under *Likelihood*: of each square of 2 x 2 pixels three become noise, one after "
                    "another, then the same with the remaining pixels, down to a single one.",
                    elem_classes="hint",
                )
                layers = Scrubber(ends=("picture", "noise"), elem_id="flow-unfold")
                round_trip_text = gr.Markdown(elem_id="flow-error")
                layer_lines = python_accordion("unfold")
            with gr.Tab("In two dimensions", id="plane"):
                gr.Markdown(
                    "The same kind of layer on points of the plane, trained live. The grid is straight in noise space; "
                    "the layers transform it.",
                    elem_classes="hint",
                )
                shape = gr.Radio(
                    [(title, name) for name, title in SHAPE_TITLES.items()],
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
                own_points = gr.State()
                plane_lines = python_accordion("plane")
            source = gr.State()
    lines = wiring.python_panel("flow")
    wiring.explanation(__file__, measured=wiring.measured("flow-mnist"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls, outputs = [dataset, label, temperature, n, seed], [stage, lines]
    for control in (label, temperature, n):
        wiring.live(control.input, show_samples, controls, outputs)
    wiring.live(seed.input, show_samples, controls, outputs, lambda sentence: [gr.skip()] * 2)  # half typed
    seeded = wiring.act(new.click, wiring.fresh_seed, None, seed)
    wiring.act(seeded.then, show_samples, controls, outputs)
    cleared = wiring.act(reset.click, default_options, None, [label, temperature, n])
    wiring.act(cleared.then, show_samples, controls, outputs)

    interpolation = [frames, interpolation_lines]
    for end in (first, last):
        wiring.live(end.input, interpolate, [dataset, first, last], interpolation, lambda sentence: [gr.skip()] * 2)

    selected = [source, likelihood, compared, score_lines, layers, round_trip_text, layer_lines]
    wiring.act(choices.input, select_test_picture, dataset, selected)
    wiring.live(pad.input, select_drawing, [dataset, pad], selected)
    wiring.act(upload.upload, select_upload, [dataset, upload], selected)

    runs, plane_outputs = wiring.Runs(plane), [plane, plane_lines]
    runs.act(shape.input, show_points, [shape, own_points], plane_outputs)
    received = wiring.live(plane.input, receive_points, None, own_points)
    runs.act(received.then, show_points, [shape, own_points], plane_outputs)
    runs.stream(begin.click, train, [shape, own_points, depth], plane_outputs, rate=8)
    runs.stop(stop.click)

    for event in (opened, dataset.input):
        samples_shown = wiring.act(event, open_dataset, dataset, [*controls[1:], *outputs], dataset_error)
        follow_up = functools.partial(samples_shown.then, trigger_mode="always_last")
        wiring.act(follow_up, open_picture, dataset, [choices, *selected], picture_error)
        wiring.act(follow_up, open_interpolation, dataset, [first, last, *interpolation], interpolation_error)
        wiring.act(follow_up, about, dataset, card)
    runs.act(opened, show_points, [shape, own_points], plane_outputs)
    endpoints()
