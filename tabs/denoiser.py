"""The denoising tab: noise on a picture of one's own, and what takes it off again, measured side by side."""

import functools
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import gradio as gr

import genmodels as gm
from tabs import diffusion, wiring
from tabs.components import raw, sheet
from tabs.components.compare import Compare
from tabs.components.draw_pad import DrawPad
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.components.upload import upload as picture_upload

SETS = {"photo": "Photographs", "mnist": "Digits", "fashion": "Clothes"}
MODELS = ("denoiser-photo", "denoiser-mnist", "denoiser-fashion", "dvae-mnist", "dvae-fashion")
KINDS = {
    "gaussian": "Gaussian",
    "poisson": "Poisson",
    "salt-and-pepper": "Salt and pepper",
    "speckle": "Speckle",
    "missing block": "Missing block",
    "none": "It is noisy already",
}
REACH = {
    "gaussian": (150, 25),
    "poisson": (60, 15),
    "salt-and-pepper": (60, 10),
    "speckle": (100, 30),
    "missing block": (60, 25),
    "none": (1, 0),
}  # kind -> most, first: of 255 if Gaussian, else %
DIGIT_SIGMA = 100  # what digits and clothes open with, of 255: less is no trouble to them
LABELS = {
    "gaussian": "Sigma, of 255",
    "poisson": "Strength in % (the deviation at white)",
    "salt-and-pepper": "Pixels hit, %",
    "speckle": "Strength in % (of each pixel's value)",
    "missing block": "Side of the block, % of the picture's",
}
TOLD = 100  # sigma that the model may be told, of 255
DETAIL, WHOLE = 384, 4_000_000  # side of the part on the stage; pixels of a whole picture that noise is added to
SHOWN = 10  # test pictures
KEPT = 3600  # seconds for which a file to download stays
# The button stays in sight: one that is hidden and shown again at once is sometimes never shown (Gradio 6.31).
NO_FILE = gr.update(value=None, interactive=False)


def model_of(family, dataset):
    return gm.load(f"{family}-{gm.base.check_choice('data set', dataset, list(SETS))}")


# --- The picture ------------------------------------------------------------------------------------------------------
#
# A `source` is {"dataset", "x": (1, C, H, W) in [0, 1], at most DETAIL on a side, "size": words, "whole": where all of it is (a
# photograph's name, a file, or None if x is all), "lines" that make `picture`, all of it, "cut": what makes x of it}.


@functools.lru_cache(maxsize=2)
def photograph_tiles():
    """Small squares of the free photographs, to choose from."""
    import torch

    some = [gm.data.photograph(name) for name in gm.data.PHOTOGRAPHS]
    small = [torch.nn.functional.interpolate(middle(x, min(x.shape[2:]))[0], (96, 96), mode="area") for x in some]
    return torch.cat([x.expand(-1, 3, -1, -1) for x in small]), [n.replace("_", " ") for n in gm.data.PHOTOGRAPHS]


def middle(x, side):
    """(the middle of pictures (B, C, H, W), at most side x side; the slices that cut it, as one writes them)."""
    (top, bottom), (left, right) = ((max(0, (n - side) // 2), max(0, (n - side) // 2) + min(n, side)) for n in x.shape[2:])
    cut = f"[..., {top}:{bottom}, {left}:{right}]" if x.shape[2] > side or x.shape[3] > side else ""
    return x[..., top:bottom, left:right], cut


def photograph_source(whole, x, lines):
    """x: all of the picture, (1, C, H, W), uint8 or floats."""
    part, cut = middle(x, DETAIL)
    part = part.float() / 255 if not part.is_floating_point() else part.clone()
    size = f"{x.shape[3]:,} × {x.shape[2]:,}"
    return {"dataset": "photo", "x": part, "whole": whole, "size": size, "lines": lines, "cut": cut}


def test_picture_source(dataset, i):
    if dataset != "photo":
        return {**diffusion.test_picture_source(dataset, i), "whole": None, "size": "28 × 28", "cut": ""}
    i = gm.base.check_number("test picture", i, 0, len(gm.data.PHOTOGRAPHS) - 1, whole=True)
    name = gm.data.PHOTOGRAPHS[i]
    return photograph_source(name, gm.data.photograph(name), f'picture = gm.data.photograph("{name}")\n')


def drawing_source(dataset, ink):
    if dataset == "photo":
        raise ValueError("Drawings are for digits and clothes: choose one of these first.")
    return {**diffusion.drawing_source(dataset, ink), "whole": None, "size": "28 × 28", "cut": ""}


def upload_source(dataset, path):
    if dataset != "photo":
        return {**diffusion.upload_source(dataset, path), "whole": None, "size": "28 × 28", "cut": ""}
    x = gm.data.pixel_tensor(wiring.read_picture(path))
    lines = f"picture = gm.data.pixel_tensor(Image.open({Path(path).name!r})) / 255  # the file that you sent\n"
    return photograph_source(str(path), x, lines)


def whole_of(source):
    """All of the picture, (1, C, H, W) in [0, 1]."""
    if source["whole"] is None:
        return source["x"]
    if source["whole"] in gm.data.PHOTOGRAPHS:
        return gm.data.photograph(source["whole"])
    return gm.data.pixel_tensor(wiring.read_picture(source["whole"])).float() / 255


def checked(source, dataset):
    if not source or source["dataset"] != gm.base.check_choice("data set", dataset, list(SETS)):
        raise ValueError("Choose a picture first: click on one of those that are there, draw, or send one.")
    return source


# --- The noise --------------------------------------------------------------------------------------------------------


class Noise(NamedTuple):
    """What the controls say of the noise, checked. kind "none": the picture is noisy already; told: sigma, None for blind."""

    kind: str
    strength: float
    seed: int
    told: float | None

    @property
    def sigma(self):
        """What scikit-image's methods are told: the truth where there is one number for it. Else they estimate it."""
        return self.strength if self.kind == "gaussian" else self.told

    def on(self, x):
        return x if self.kind == "none" else gm.denoiser.add_noise(x, self.kind, self.strength, seed=self.seed)

    def written(self):
        """The call that makes `noisy`."""
        if self.kind == "none":
            return "noisy = clean\n"
        return f'noisy = add_noise(clean, "{self.kind}", {amount(self.strength, self.kind)}, seed={self.seed})\n'


def amount(strength, kind="gaussian"):
    """A strength as one writes it."""
    return f"{255 * strength:g} / 255" if kind == "gaussian" else f"{strength:g}"


def noise(kind, strength, seed, told):
    """A `Noise` from the controls: strength and told as the sliders have them."""
    most = REACH[gm.base.check_choice("kind of noise", kind, list(KINDS))][0]
    strength = (
        0 if kind == "none" else gm.base.check_number("strength", strength, 0, most) / (255 if kind == "gaussian" else 100)
    )
    told = gm.base.check_number("the told sigma", told, 0, TOLD) / 255
    return Noise(kind, strength, gm.base.check_number("seed", seed, 0, 2**31, whole=True), told or None)


# --- Restoring --------------------------------------------------------------------------------------------------------


class Try(NamedTuple):
    """A picture of the stage, and what is said of it."""

    name: str
    x: object  # (1, C, H, W)
    note: str = ""


def attempt(name, restore, clean):
    """A `Try`: PSNR and SSIM where the clean picture is known, and its milliseconds."""
    began = time.perf_counter()
    x = restore()
    took = f"{1000 * (time.perf_counter() - began):.0f} ms"
    return Try(name, x, took if clean is None else f"{worth(x, clean)} · {took}")


def worth(x, clean):
    psnr, ssim = gm.denoiser.quality(x, clean)
    return f"{psnr:.1f} dB" + (f" · {ssim:.3f}" if ssim is not None else "")


def ours(source, noise, noisy):
    """What our models make of it: name -> function."""
    dataset, tries = source["dataset"], {}
    tries["our network"] = lambda: model_of("denoiser", dataset).restore(noisy, noise.told)
    if dataset != "photo" and (wiring.checkpoints() / f"dvae-{dataset}").is_dir():
        tries["our denoising VAE"] = lambda: model_of("dvae", dataset).restore(noisy)
    if (
        dataset != "photo"
        and noise.kind == "gaussian"
        and noise.strength >= 0.01
        and (wiring.checkpoints() / f"diffusion-{dataset}").is_dir()
    ):
        tries["our diffusion model"] = lambda: gm.load(f"diffusion-{dataset}").restore(noisy, noise.strength, seed=noise.seed)
    return tries


def stage_of(source, tries, clean):
    """Value of the stage: the noisy picture, what was made of it, the truth, and what our network took away."""
    import torch

    noisy = tries[0].x
    removed = Try("what it removed", 0.5 + noisy - tries[1].x, "grey: nothing")
    shown = [*tries, *([Try("the clean picture", clean)] if clean is not None else []), removed]
    h, w = noisy.shape[2:]
    told = f"{source['size']} pixels" + (f": the middle {w} × {h}" if source["cut"] else "")
    return {
        **sheet(torch.cat([t.x for t in shown]), len(shown)),
        "names": [t.name for t in shown],
        "notes": [t.note for t in shown],
        "left": 0,
        "right": 1,
        "told": told,
    }


def lines_of(source, noise):
    """A whole program that makes what our network shows, as `x`."""
    imports = [line for name, line in diffusion.IMPORTS.items() if name in source["lines"]]
    told = f", sigma={amount(noise.told)}" if noise.told else ""
    return "\n".join(
        [
            *imports,
            *[""] * bool(imports),
            "import genmodels as gm",
            "from genmodels.denoiser import add_noise, quality",
            "",
            source["lines"] + f"clean = picture{source['cut']}",
            noise.written() + f'x = gm.load("denoiser-{source["dataset"]}").restore(noisy{told})',
            *["print(*quality(x, clean))  # PSNR and SSIM"] * (noise.kind != "none"),
            'gm.pictures.grid(x).save("picture.png")',
            "",
        ]
    )


def restored(source, n):
    """(the tries of our models, the clean picture or None)"""
    clean = None if n.kind == "none" else source["x"]
    noisy = n.on(source["x"])
    tries = [Try("noisy", noisy, worth(noisy, clean) if clean is not None else "")]
    return tries + [attempt(name, restore, clean) for name, restore in ours(source, n, noisy).items()], clean


def look(source, dataset, *controls):
    """The noise and what our models make of it, at once -> (stage, lines)."""
    n, source = noise(*controls), checked(source, dataset)
    return stage_of(source, *restored(source, n)), lines_of(source, n)


def compare(source, dataset, *controls):
    """The same, and then scikit-image's methods one by one: yields (stage, lines)."""
    n, source = noise(*controls), checked(source, dataset)
    tries, clean = restored(source, n)
    lines = lines_of(source, n)
    yield stage_of(source, tries, clean), lines
    for method in gm.denoiser.CLASSICAL:
        restore = functools.partial(gm.denoiser.classical, tries[0].x, method, n.sigma)
        tries.append(attempt(method, restore, clean))
        yield stage_of(source, tries, clean), gr.skip()


# --- The whole picture ------------------------------------------------------------------------------------------------


def spoilt_whole(source, n):
    """(all of the picture, with its noise)"""
    x = whole_of(source)
    if n.kind != "none" and x.shape[2] * x.shape[3] > WHOLE:
        raise ValueError(
            f"Noise is added to pictures of at most {WHOLE // 10**6} megapixels: choose a smaller one, or '{KINDS['none']}'."
        )
    return n.on(x)


def image(x):
    return gm.pictures.to_image(gm.pictures.to_bytes(x)[0])


def saved(x):
    """The path of a PNG of the picture (1, C, H, W), in a folder of its own; folders of an hour ago are removed."""
    for old in Path(tempfile.gettempdir()).glob("denoised-*"):
        if time.time() - old.stat().st_mtime > KEPT:
            shutil.rmtree(old, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix="denoised-")) / "restored.png"
    image(x).save(path, compress_level=1)
    return str(path)


def whole(source, dataset, *controls):
    """All of the picture, tile by tile: yields (small picture and how far it is, file)."""
    n, source = noise(*controls), checked(source, dataset)
    noisy, began = spoilt_whole(source, n), time.monotonic()
    yield {"message": f"{source['size']} pixels: 0 %"}, NO_FILE
    try:
        for step in model_of("denoiser", dataset).restore_steps(noisy, n.told):
            if step.done < 1:
                yield {"message": f"{source['size']} pixels: {100 * step.done:.0f} %"}, gr.skip()
    except wiring.Stopped:
        yield {"message": "Stopped. Nothing was kept."}, NO_FILE
        return
    seconds = time.monotonic() - began
    small = step.x[..., :: max(1, step.x.shape[2] // 300), :: max(1, step.x.shape[3] // 300)][0]
    caption = f"{source['size']} pixels, {seconds:.1f} s"
    yield (
        {**raw(small), "caption": caption, "label": f"The whole picture, restored: {caption}"},
        gr.update(value=saved(step.x), interactive=True),
    )


# --- Choosing ---------------------------------------------------------------------------------------------------------


def choose_test(dataset, event: gr.EventData):
    return test_picture_source(dataset, wiring.number_from_event(event, "index", SHOWN - 1))


def choose_kind(kind, dataset):
    """-> strength: each kind has its own scale."""
    most, first = REACH[gm.base.check_choice("kind of noise", kind, list(KINDS))]
    if kind == "gaussian" and dataset != "photo":
        first = DIGIT_SIGMA
    return gr.update(maximum=most, value=first, label=LABELS.get(kind, ""), visible=kind != "none")


def open_set(dataset):
    """Another data set -> (tiles, whether one can draw, source, kind, strength, told)."""
    if gm.base.check_choice("data set", dataset, list(SETS)) == "photo":
        x, labels = photograph_tiles()
    else:
        x, labels = diffusion.test_pictures(dataset)
    tiles = {**sheet(x[:SHOWN], SHOWN), "labels": labels[:SHOWN], "chosen": 0}
    drawing = gr.update(visible=dataset != "photo")
    return tiles, drawing, test_picture_source(dataset, 0), "gaussian", choose_kind("gaussian", dataset), 0


def no_set(sentence):
    return {"message": sentence}, gr.skip(), None, gr.skip(), gr.skip(), gr.skip()


def no_whole(source):
    """Another picture: nothing of it is restored yet."""
    return {"message": f"{source['size']} pixels wait." if source else ""}, NO_FILE


# --- The programming interface ----------------------------------------------------------------------------------------


def asked(dataset, picture, i):
    """(1, C, H, W) in [0, 1], all of it."""
    return whole_of(test_picture_source(dataset, i) if picture is None else upload_source(dataset, picture))


def strength_in(kind, strength):
    gm.base.check_choice("kind", kind, list(KINDS))
    return gm.base.check_number("strength", strength, 0, 1)


def add_noise(picture=None, photograph_number=0, kind="gaussian", strength=0.1, seed=0):
    """Spoil a photograph with noise.

    Args:
        picture: a file, at most 40 MB and 4 megapixels. Without one, a photograph is taken.
        photograph_number: 0 to 7, used when there is no file.
        kind: gaussian, poisson, salt-and-pepper, speckle or missing block.
        strength: 0 to 1: the deviation at white; of salt-and-pepper the share of pixels; of a block its side.
        seed: whole number; the same seed gives the same noise.
    Returns:
        Kind, strength and size; and a PNG of the noisy picture, clipped to what can be shown.
    """
    n = Noise(
        gm.base.check_choice("kind", kind, list(gm.denoiser.NOISES)),
        strength_in(kind, strength),
        gm.base.check_number("seed", seed, 0, 2**31, whole=True),
        None,
    )
    noisy = spoilt_whole(
        test_picture_source("photo", photograph_number) if picture is None else upload_source("photo", picture), n
    )
    facts = {"kind": n.kind, "strength": n.strength, "width": noisy.shape[3], "height": noisy.shape[2]}
    return facts, image(noisy)


def denoise(
    model="denoiser-photo", picture=None, test_picture_number=0, kind="gaussian", strength=0.1, sigma=0, method="ours", seed=0
):
    """Take the noise off a picture.

    Args:
        model: denoiser-photo; of 28x28 pictures denoiser-mnist, denoiser-fashion, dvae-mnist or dvae-fashion.
        picture: a file, at most 40 MB and 16 megapixels; digits and clothes are prepared as the data set's own. Without one, a
            test picture is taken.
        test_picture_number: 0 to 7 (0 to 199 for digits and clothes), used when there is no file.
        kind: of the noise that is added first, see add_noise; none: the picture is noisy already.
        strength: of that noise, see add_noise.
        sigma: 0 to 1, the deviation of Gaussian noise that the model is told; 0: it sees for itself.
        method: ours, or of scikit-image, up to 1 megapixel: median, non-local means, total variation or wavelets.
        seed: whole number, of the noise.
    Returns:
        Size, seconds and, where noise was added, PSNR and SSIM before and after; and a PNG at full size.
    """
    family, dataset = gm.base.check_choice("model", model, MODELS).split("-")
    method = gm.base.check_choice("method", method, ("ours", *gm.denoiser.CLASSICAL))
    told = gm.base.check_number("sigma", sigma, 0, 1) or None
    n = Noise(kind, strength_in(kind, strength), gm.base.check_number("seed", seed, 0, 2**31, whole=True), told)
    source = test_picture_source(dataset, test_picture_number) if picture is None else upload_source(dataset, picture)
    noisy, began = spoilt_whole(source, n), time.monotonic()
    if method != "ours":
        if noisy.shape[2] * noisy.shape[3] > 1_000_000:
            raise ValueError("The methods of scikit-image take pictures of at most 1 megapixel: send a smaller one.")
        x = gm.denoiser.classical(noisy, method, n.sigma)
    elif family == "dvae":
        x = model_of(family, dataset).restore(noisy)
    else:
        for step in model_of(family, dataset).restore_steps(noisy, told):
            yield step
            x = step.x
    facts = {"width": x.shape[3], "height": x.shape[2], "seconds": round(time.monotonic() - began, 3)}
    if n.kind != "none":
        clean = whole_of(source)
        for when, of in (("before", noisy), ("after", x)):
            psnr, ssim = gm.denoiser.quality(of, clean)
            facts |= {f"psnr_{when}": psnr if psnr < 1000 else None, f"ssim_{when}": ssim}
    yield facts, image(x)


def endpoints():
    """The functions above under their own names. They check what they are called with; the components do not."""

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def text(label, value):
        return gr.Textbox(value, label=label, visible=False)

    facts, png = gr.JSON(visible=False, label="facts"), gr.Image(format="png", label="picture", visible=False)
    file = picture_upload(visible=False, label="picture")
    wiring.endpoint(
        add_noise, [file, *boxes(photograph_number=0), text("kind", "gaussian"), *boxes(strength=0.1, seed=0)], [facts, png]
    )
    wiring.endpoint(
        denoise,
        [
            text("model", MODELS[0]),
            file,
            *boxes(test_picture_number=0),
            text("kind", "gaussian"),
            *boxes(strength=0.1, sigma=0),
            text("method", "ours"),
            *boxes(seed=0),
        ],
        [facts, png],
    )


# --- Layout -----------------------------------------------------------------------------------------------------------


def about(dataset):
    """The models of the tab in a table, and the card of the one on stage."""
    shipped = [name for name in MODELS if (wiring.checkpoints() / name).is_dir()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"denoiser-{dataset}")


def offered():
    return [name for name in SETS if (wiring.checkpoints() / f"denoiser-{name}").is_dir()]


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [functools.partial(ready, dataset) for dataset in offered()]


def ready(dataset):
    open_set(dataset)
    look(test_picture_source(dataset, 0), dataset, "gaussian", 25, 0, 0)


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
            elem_id="denoiser-dataset",
            min_width=330,
        )

    def slider(*reach, label, name, **more):
        return gr.Slider(*reach, label=label, buttons=[], elem_id=f"denoiser-{name}", elem_classes="plain", **more)

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            gr.Markdown("### The noise")
            kind = gr.Radio(
                [(shown, name) for name, shown in KINDS.items()],
                value="gaussian",
                label="Kind",
                elem_id="denoiser-kind",
                elem_classes="plain",
            )
            strength = slider(0, *REACH["gaussian"], step=1, label=LABELS["gaussian"], name="strength")
            told = slider(0, TOLD, 0, step=1, label="Sigma that our network is told (0: it sees for itself)", name="told")
            with gr.Row(elem_classes="small-controls"):
                new = gr.Button("Other noise", scale=3, min_width=90)
                seed = gr.Number(
                    0, label="Seed", minimum=0, maximum=2**31, precision=0, scale=2, min_width=80, elem_id="denoiser-seed"
                )
        with gr.Column(scale=12, min_width=320, elem_classes=["card", "on-stage", "before-after"]):
            stage = Compare(
                {"message": "The model is loading: in a moment, a noisy picture is restored here."},
                elem_id="denoiser-stage",
                elem_classes="live-picture",
            )
            with gr.Row(elem_classes="small-controls"):
                again = gr.Button("Compare with scikit-image", variant="primary", elem_id="denoiser-compare")
        with gr.Column(scale=7, min_width=320, elem_classes=["card", "tools"]):
            gr.Markdown("### The picture")
            choices = Tiles(columns=5, name="Pictures", elem_id="denoiser-pictures")
            with gr.Row():
                with gr.Column(min_width=130, visible=False) as drawing:
                    pad = DrawPad(elem_id="denoiser-pad")
                with gr.Column(min_width=130):
                    upload = picture_upload(
                        webcam=True,
                        label="Send a picture",
                        show_label=False,
                        height=150,
                        elem_id="denoiser-upload",
                        elem_classes="upload",
                    )
            gr.Markdown("### All of it, at full size")
            gr.Markdown(
                "On the stage is at most the middle of a photograph. Here the whole of it goes through the network, "
                "tile by tile.",
                elem_classes="hint",
            )
            with gr.Row(elem_classes="small-controls"):
                run = gr.Button("Restore all of it", scale=3, min_width=110, elem_id="denoiser-whole")
                stop = gr.Button("Stop", scale=1, min_width=70, elem_id="denoiser-stop")
            result = Stage(elem_id="denoiser-result")
            file = gr.DownloadButton("Download (PNG)", interactive=False, elem_id="denoiser-file")
    source = gr.State()
    lines = wiring.python_panel("denoiser")
    wiring.explanation(__file__, measured=wiring.measured(f"denoiser-{shipped[0]}"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls, view = [source, dataset, kind, strength, seed, told], [stage, lines]
    player, whole_player = wiring.Runs(stage), wiring.Runs(result)

    def restart(trigger):
        player.stream(trigger, compare, controls, view, rate=1)

    for control in (strength, told):
        player.live(control.input, look, controls, view)
        restart(control.release)
    restart(seed.submit)
    restart(again.click)
    restart(wiring.act(new.click, wiring.fresh_seed, None, seed).then)
    restart(wiring.act(functools.partial(kind.input, trigger_mode="always_last"), choose_kind, [kind, dataset], strength).then)
    chosen = [
        wiring.act(choices.input, choose_test, dataset, source),
        wiring.act(pad.input, drawing_source, [dataset, pad], source),
        wiring.act(upload.upload, upload_source, [dataset, upload], source),
    ]
    for event in chosen:  # the page begins the second event of one trigger when the first has ended: the short one first
        whole_player.act(event.then, no_whole, [source], [result, file])
        restart(event.then)
    whole_player.stream(run.click, whole, controls, [result, file], rate=4)
    whole_player.stop(stop.click)

    for event in (opened, dataset.input):
        first = wiring.act(event, open_set, dataset, [choices, drawing, source, kind, strength, told], no_set)
        then = functools.partial(first.then, trigger_mode="always_last")
        whole_player.act(first.then, no_whole, [source], [result, file])
        wiring.act(then, about, dataset, card)
        restart(first.then)
    endpoints()
