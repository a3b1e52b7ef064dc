"""The denoising tab: a picture of one's own with noise, restored by several methods and measured side by side."""

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

DATASETS = {"photo": "Photographs", "mnist": "Digits", "fashion": "Clothes"}
MODELS = ("denoiser-photo", "denoiser-mnist", "denoiser-fashion", "dvae-mnist", "dvae-fashion")
KINDS = {
    "gaussian": "Gaussian",
    "poisson": "Poisson",
    "salt-and-pepper": "Salt and pepper",
    "speckle": "Speckle",
    "missing block": "Missing block",
    "none": "No added noise",
}
SCALES = {
    "gaussian": (150, 25),
    "poisson": (60, 15),
    "salt-and-pepper": (60, 10),
    "speckle": (100, 30),
    "missing block": (60, 25),
    "none": (1, 0),
}  # kind -> (maximum, initial value) of its strength: on the 0-255 scale if Gaussian, else %
DIGIT_SIGMA = 100  # initial value for digits and clothes, on the 0-255 scale: with less they are restored almost perfectly
STRENGTH_TITLES = {
    "gaussian": "Sigma, on the 0-255 scale",
    "poisson": "Strength, % (standard deviation at white)",
    "salt-and-pepper": "Corrupted pixels, %",
    "speckle": "Strength, % of each pixel's value",
    "missing block": "Side of the block, % of the picture's side",
}
MAX_SIGMA = 100  # of the sigma given to the network, on the 0-255 scale
CROP, MAX_NOISY_PIXELS = 384, 4_000_000  # side of the crop on the stage; size limit of a whole picture that noise is added to
TILES = 10  # test pictures
DOWNLOAD_SECONDS = 3600  # how long a file to download is kept
# Disabled, not hidden: a button that is hidden and shown again at once is sometimes not rendered (Gradio 6.31).
NO_FILE = gr.update(value=None, interactive=False)


def model_of(family, dataset):
    return gm.load(f"{family}-{gm.base.check_choice('data set', dataset, list(DATASETS))}")


# --- The picture ------------------------------------------------------------------------------------------------------
#
# A `source` is {"dataset", "x": (1, C, H, W) in [0, 1], at most CROP on a side, "size": in words, "whole": where the whole
# picture is (a photograph's name, a file, or None if x is the whole), "lines" that define `picture`, the whole, "crop": what
# makes x of it}.


@functools.lru_cache(maxsize=2)
def photograph_tiles():
    """Small squares of the free photographs, to choose from."""
    import torch

    thumbnails = []
    for name in gm.data.PHOTOGRAPHS:
        x = gm.data.photograph(name)
        square, _ = centre_crop(x, min(x.shape[2:]))
        thumbnails.append(torch.nn.functional.interpolate(square, (96, 96), mode="area").expand(-1, 3, -1, -1))
    return torch.cat(thumbnails), [name.replace("_", " ") for name in gm.data.PHOTOGRAPHS]


def centre_crop(x, side):
    """(the centre of pictures (B, C, H, W), at most side x side; the slices that crop it, as Python)."""
    H, W = x.shape[2:]
    top, left = max(0, (H - side) // 2), max(0, (W - side) // 2)
    bottom, right = min(H, top + side), min(W, left + side)
    crop = f"[..., {top}:{bottom}, {left}:{right}]" if max(H, W) > side else ""
    return x[..., top:bottom, left:right], crop


def photograph_source(whole, x, lines):
    """x: the whole picture, (1, C, H, W), uint8 or floats."""
    part, crop = centre_crop(x, CROP)
    part = part.float() / 255 if not part.is_floating_point() else part.clone()
    size = f"{x.shape[3]:,} × {x.shape[2]:,}"
    return {"dataset": "photo", "x": part, "whole": whole, "size": size, "lines": lines, "crop": crop}


def test_picture_source(dataset, i):
    if dataset != "photo":
        return {**diffusion.test_picture_source(dataset, i), "whole": None, "size": "28 × 28", "crop": ""}
    i = gm.base.check_number("test picture", i, 0, len(gm.data.PHOTOGRAPHS) - 1, whole=True)
    name = gm.data.PHOTOGRAPHS[i]
    return photograph_source(name, gm.data.photograph(name), f'picture = gm.data.photograph("{name}")\n')


def drawing_source(dataset, ink):
    if dataset == "photo":
        raise ValueError("Drawings are for digits and clothes: choose one of these first.")
    return {**diffusion.drawing_source(dataset, ink), "whole": None, "size": "28 × 28", "crop": ""}


def upload_source(dataset, path):
    if dataset != "photo":
        return {**diffusion.upload_source(dataset, path), "whole": None, "size": "28 × 28", "crop": ""}
    x = gm.data.pixel_tensor(wiring.read_picture(path))
    lines = f"picture = gm.data.pixel_tensor(Image.open({Path(path).name!r})) / 255  # the file that you uploaded\n"
    return photograph_source(str(path), x, lines)


def whole_picture(source):
    """(1, C, H, W) in [0, 1]"""
    if source["whole"] is None:
        return source["x"]
    if source["whole"] in gm.data.PHOTOGRAPHS:
        return gm.data.photograph(source["whole"])
    return gm.data.pixel_tensor(wiring.read_picture(source["whole"])).float() / 255


def require_source(source, dataset):
    if not source or source["dataset"] != gm.base.check_choice("Data set", dataset, list(DATASETS)):
        raise ValueError("Choose a picture first: click a test picture, draw one or upload one.")
    return source


# --- The noise --------------------------------------------------------------------------------------------------------


class Noise(NamedTuple):
    """The checked values of the controls. kind "none": no noise is added; sigma is given to the network, None: blind."""

    kind: str
    strength: float
    seed: int
    sigma: float | None

    @property
    def reference_sigma(self):
        """Given to scikit-image's methods: the true sigma of Gaussian noise, or None for their own estimate."""
        return self.strength if self.kind == "gaussian" else self.sigma

    def add_to(self, x):
        return x if self.kind == "none" else gm.denoiser.add_noise(x, self.kind, self.strength, seed=self.seed)

    def python_line(self):
        """The line that makes `noisy`."""
        if self.kind == "none":
            return "noisy = clean\n"
        return f'noisy = add_noise(clean, "{self.kind}", {format_strength(self.strength, self.kind)}, seed={self.seed})\n'


def format_strength(strength, kind="gaussian"):
    """A strength as Python."""
    return f"{255 * strength:g} / 255" if kind == "gaussian" else f"{strength:g}"


def noise_options(kind, strength, seed, sigma):
    """A `Noise` from the controls; strength and sigma as on the sliders."""
    maximum, _ = SCALES[gm.base.check_choice("Kind", kind, list(KINDS))]
    if kind == "none":
        strength = 0
    else:
        strength = gm.base.check_number("Strength", strength, 0, maximum) / (255 if kind == "gaussian" else 100)
    sigma = gm.base.check_number("Sigma given to the network", sigma, 0, MAX_SIGMA) / 255
    return Noise(kind, strength, gm.base.check_number("Seed", seed, 0, 2**31, whole=True), sigma or None)


# --- Restoring --------------------------------------------------------------------------------------------------------


class Result(NamedTuple):
    """A picture on the stage, with its caption."""

    name: str
    x: object  # (1, C, H, W)
    note: str = ""


def timed_result(name, restore, clean):
    """A `Result`: PSNR and SSIM if there is a clean picture, and milliseconds."""
    start = time.perf_counter()
    x = restore()
    milliseconds = f"{1000 * (time.perf_counter() - start):.0f} ms"
    return Result(name, x, milliseconds if clean is None else f"{format_quality(x, clean)} · {milliseconds}")


def format_quality(x, clean):
    psnr, ssim = gm.denoiser.quality(x, clean)
    return f"{psnr:.1f} dB" + (f" · {ssim:.3f}" if ssim is not None else "")


def our_methods(source, noise, noisy):
    """Our models for a source: name -> function that restores the noisy picture."""
    dataset = source["dataset"]
    methods = {"our network": lambda: model_of("denoiser", dataset).restore(noisy, noise.sigma)}
    if dataset == "photo":
        return methods
    if (wiring.checkpoints() / f"dvae-{dataset}").is_dir():
        methods["our denoising VAE"] = lambda: model_of("dvae", dataset).restore(noisy)
    if noise.kind == "gaussian" and noise.strength >= 0.01 and (wiring.checkpoints() / f"diffusion-{dataset}").is_dir():
        model = f"diffusion-{dataset}"
        methods["our diffusion model"] = lambda: gm.load(model).restore(noisy, noise.strength, seed=noise.seed)
    return methods


def stage_value(source, results, clean):
    """Value of the stage: the noisy picture, the restored ones, the clean one, and the noise that our network removed."""
    import torch

    noisy = results[0].x
    pictures = [*results]
    if clean is not None:
        pictures.append(Result("clean picture", clean))
    pictures.append(Result("removed noise", 0.5 + noisy - results[1].x, "grey: no change"))
    h, w = noisy.shape[2:]
    return {
        **sheet(torch.cat([result.x for result in pictures]), len(pictures)),
        "names": [result.name for result in pictures],
        "notes": [result.note for result in pictures],
        "left": 0,
        "right": 1,
        "caption": f"{source['size']} pixels" + (f": the central {w} × {h}" if source["crop"] else ""),
    }


def python_lines(source, noise):
    """A complete program that computes our network's result as `x`."""
    imports = [line for name, line in diffusion.IMPORTS.items() if name in source["lines"]]
    sigma = f", sigma={format_strength(noise.sigma)}" if noise.sigma else ""
    return "\n".join(
        [
            *imports,
            *[""] * bool(imports),
            "import genmodels as gm",
            "from genmodels.denoiser import add_noise, quality",
            "",
            source["lines"] + f"clean = picture{source['crop']}",
            noise.python_line() + f'x = gm.load("denoiser-{source["dataset"]}").restore(noisy{sigma})',
            *["print(*quality(x, clean))  # PSNR and SSIM"] * (noise.kind != "none"),
            'gm.pictures.grid(x).save("picture.png")',
            "",
        ]
    )


def restore_with_our_models(source, noise):
    """(results, the noisy picture first; the clean picture or None)"""
    clean = None if noise.kind == "none" else source["x"]
    noisy = noise.add_to(source["x"])
    results = [Result("noisy", noisy, format_quality(noisy, clean) if clean is not None else "")]
    results += [timed_result(name, restore, clean) for name, restore in our_methods(source, noise, noisy).items()]
    return results, clean


def show(source, dataset, *controls):
    """The noise, and the results of our models -> (stage, lines)."""
    noise, source = noise_options(*controls), require_source(source, dataset)
    return stage_value(source, *restore_with_our_models(source, noise)), python_lines(source, noise)


def compare(source, dataset, *controls):
    """The same, then scikit-image's methods one after another: yields (stage, lines)."""
    noise, source = noise_options(*controls), require_source(source, dataset)
    results, clean = restore_with_our_models(source, noise)
    lines = python_lines(source, noise)
    yield stage_value(source, results, clean), lines
    for method in gm.denoiser.CLASSICAL:
        restore = functools.partial(gm.denoiser.classical, results[0].x, method, noise.reference_sigma)
        results.append(timed_result(method, restore, clean))
        yield stage_value(source, results, clean), gr.skip()


# --- The whole picture ------------------------------------------------------------------------------------------------


def noisy_whole_picture(source, noise):
    x = whole_picture(source)
    if noise.kind != "none" and x.shape[2] * x.shape[3] > MAX_NOISY_PIXELS:
        raise ValueError(
            f"Noise can be added to pictures of at most {MAX_NOISY_PIXELS // 10**6} megapixels: choose a smaller one, "
            f"or '{KINDS['none']}'."
        )
    return noise.add_to(x)


def image(x):
    return gm.pictures.to_image(gm.pictures.to_bytes(x)[0])


def save_png(x):
    """Save a picture (1, C, H, W) in a folder of its own and return its path; old folders are removed."""
    for folder in Path(tempfile.gettempdir()).glob("denoised-*"):
        if time.time() - folder.stat().st_mtime > DOWNLOAD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix="denoised-")) / "restored.png"
    image(x).save(path, compress_level=1)
    return str(path)


def restore_whole(source, dataset, *controls):
    """Restore the whole picture, tile by tile: yields (preview and progress, file)."""
    noise, source = noise_options(*controls), require_source(source, dataset)
    noisy = noisy_whole_picture(source, noise)
    start = time.monotonic()
    yield {"message": f"{source['size']} pixels: 0 %"}, NO_FILE
    try:
        for step in model_of("denoiser", dataset).restore_steps(noisy, noise.sigma):
            if step.done < 1:
                yield {"message": f"{source['size']} pixels: {100 * step.done:.0f} %"}, gr.skip()
    except wiring.Stopped:
        yield {"message": "Stopped: there is no result."}, NO_FILE
        return
    seconds = time.monotonic() - start
    preview = step.x[..., :: max(1, step.x.shape[2] // 300), :: max(1, step.x.shape[3] // 300)][0]
    caption = f"{source['size']} pixels, {seconds:.1f} s"
    yield (
        {**raw(preview), "caption": caption, "label": f"The whole picture, restored: {caption}"},
        gr.update(value=save_png(step.x), interactive=True),
    )


# --- Choosing ---------------------------------------------------------------------------------------------------------


def choose_test(dataset, event: gr.EventData):
    return test_picture_source(dataset, wiring.number_from_event(event, "index", TILES - 1))


def choose_kind(kind, dataset):
    """-> strength: each kind has its own scale."""
    maximum, value = SCALES[gm.base.check_choice("Kind", kind, list(KINDS))]
    if kind == "gaussian" and dataset != "photo":
        value = DIGIT_SIGMA
    return gr.update(maximum=maximum, value=value, label=STRENGTH_TITLES.get(kind, ""), visible=kind != "none")


def open_dataset(dataset):
    """Another dataset -> (tiles, drawing area, source, kind, strength, sigma)."""
    if gm.base.check_choice("Data set", dataset, list(DATASETS)) == "photo":
        x, labels = photograph_tiles()
    else:
        x, labels = diffusion.test_pictures(dataset)
    tiles = {**sheet(x[:TILES], TILES), "labels": labels[:TILES], "chosen": 0}
    drawing = gr.update(visible=dataset != "photo")
    return tiles, drawing, test_picture_source(dataset, 0), "gaussian", choose_kind("gaussian", dataset), 0


def show_dataset_error(sentence):
    return {"message": sentence}, gr.skip(), None, gr.skip(), gr.skip(), gr.skip()


def reset_whole(source):
    """Another picture, of which there is no result yet."""
    return {"message": f"Ready: {source['size']} pixels." if source else ""}, NO_FILE


# --- The programming interface ----------------------------------------------------------------------------------------


def check_strength(kind, strength):
    gm.base.check_choice("kind", kind, list(KINDS))
    return gm.base.check_number("strength", strength, 0, 1)


def add_noise(picture=None, photograph_number=0, kind="gaussian", strength=0.1, seed=0):
    """Add noise to a photograph.

    Args:
        picture: a file, at most 40 MB and 4 megapixels. Without one, one of eight photographs is used.
        photograph_number: 0 to 7, used when there is no file.
        kind: gaussian, poisson, salt-and-pepper, speckle or missing block.
        strength: 0 to 1: standard deviation at white; of salt-and-pepper the fraction of pixels; of a block its side.
        seed: whole number; the same seed gives the same noise.
    Returns:
        Kind, strength and size; and a PNG of the noisy picture, clipped to the displayable range.
    """
    noise = Noise(
        gm.base.check_choice("kind", kind, list(gm.denoiser.NOISES)),
        check_strength(kind, strength),
        gm.base.check_number("seed", seed, 0, 2**31, whole=True),
        None,
    )
    if picture is None:
        source = test_picture_source("photo", photograph_number)
    else:
        source = upload_source("photo", picture)
    noisy = noisy_whole_picture(source, noise)
    facts = {"kind": noise.kind, "strength": noise.strength, "width": noisy.shape[3], "height": noisy.shape[2]}
    return facts, image(noisy)


def denoise(
    model="denoiser-photo", picture=None, test_picture_number=0, kind="gaussian", strength=0.1, sigma=0, method="ours", seed=0
):
    """Denoise a picture.

    Args:
        model: denoiser-photo; for 28x28 pictures denoiser-mnist, denoiser-fashion, dvae-mnist or dvae-fashion.
        picture: a file, at most 40 MB and 16 megapixels; for digits and clothes it is preprocessed like the dataset. Without
            one, a test picture is used.
        test_picture_number: 0 to 7 (0 to 199 for digits and clothes), used when there is no file.
        kind: of the noise that is added first, see add_noise; none: no noise is added.
        strength: of that noise, see add_noise.
        sigma: 0 to 1, standard deviation of Gaussian noise, given to the model; 0: blind.
        method: ours, or one of scikit-image's, up to 1 megapixel: median, non-local means, total variation or wavelets.
        seed: whole number, of the noise.
    Returns:
        Size, seconds and, if noise was added, PSNR and SSIM before and after; and a PNG at full resolution.
    """
    family, dataset = gm.base.check_choice("model", model, MODELS).split("-")
    method = gm.base.check_choice("method", method, ("ours", *gm.denoiser.CLASSICAL))
    sigma = gm.base.check_number("sigma", sigma, 0, 1) or None
    noise = Noise(kind, check_strength(kind, strength), gm.base.check_number("seed", seed, 0, 2**31, whole=True), sigma)
    source = test_picture_source(dataset, test_picture_number) if picture is None else upload_source(dataset, picture)
    noisy = noisy_whole_picture(source, noise)
    start = time.monotonic()
    if method != "ours":
        if noisy.shape[2] * noisy.shape[3] > 1_000_000:
            raise ValueError("scikit-image's methods take pictures of at most 1 megapixel: upload a smaller one.")
        x = gm.denoiser.classical(noisy, method, noise.reference_sigma)
    elif family == "dvae":
        x = model_of(family, dataset).restore(noisy)
    else:
        for step in model_of(family, dataset).restore_steps(noisy, sigma):
            yield step
            x = step.x
    facts = {"width": x.shape[3], "height": x.shape[2], "seconds": round(time.monotonic() - start, 3)}
    if noise.kind != "none":
        clean = whole_picture(source)
        for suffix, result in (("before", noisy), ("after", x)):
            psnr, ssim = gm.denoiser.quality(result, clean)
            facts |= {f"psnr_{suffix}": psnr if psnr < 1000 else None, f"ssim_{suffix}": ssim}
    yield facts, image(x)


def endpoints():
    """Register the functions above under their names. They check their arguments; the hidden components do not."""

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
    """The models of the tab in a table, and the card of the dataset's denoiser."""
    shipped = [name for name in MODELS if (wiring.checkpoints() / name).is_dir()]
    return wiring.models_table(shipped) + "\n\n" + wiring.card(f"denoiser-{dataset}")


def available():
    return [name for name in DATASETS if (wiring.checkpoints() / f"denoiser-{name}").is_dir()]


def prepare():
    """Functions to call in the background before visitors come, each of them quick."""
    return [functools.partial(warm_up, dataset) for dataset in available()]


def warm_up(dataset):
    open_dataset(dataset)
    show(test_picture_source(dataset, 0), dataset, "gaussian", 25, 0, 0)


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first visit to it."""
    shipped = available() or list(DATASETS)
    gr.Markdown(
        "A denoiser estimates a clean picture from a noisy one: choose a kind of noise, raise its strength, and see what each "
        "method restores and what it invents.",
        elem_classes="hint",
    )
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [(DATASETS[name], name) for name in shipped],
            value=shipped[0],
            label="Pictures",
            show_label=False,
            container=False,
            elem_id="denoiser-dataset",
            min_width=330,
        )

    def slider(*bounds, label, name, **options):
        return gr.Slider(*bounds, label=label, buttons=[], elem_id=f"denoiser-{name}", elem_classes="plain", **options)

    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            gr.Markdown("### Noise")
            kind = gr.Radio(
                [(title, name) for name, title in KINDS.items()],
                value="gaussian",
                label="Kind",
                elem_id="denoiser-kind",
                elem_classes="plain",
            )
            strength = slider(0, *SCALES["gaussian"], step=1, label=STRENGTH_TITLES["gaussian"], name="strength")
            sigma = slider(0, MAX_SIGMA, 0, step=1, label="Sigma given to the network (0: blind)", name="told")
            with gr.Row(elem_classes="small-controls"):
                new = gr.Button("New noise", scale=3, min_width=90)
                seed = gr.Number(
                    0, label="Seed", minimum=0, maximum=2**31, precision=0, scale=2, min_width=80, elem_id="denoiser-seed"
                )
        with gr.Column(scale=12, min_width=320, elem_classes=["card", "on-stage", "before-after"]):
            stage = Compare(
                {"message": "The model is loading. A restored picture will appear here."},
                elem_id="denoiser-stage",
                elem_classes="live-picture",
            )
            with gr.Row(elem_classes="small-controls"):
                compare_button = gr.Button("Compare with scikit-image", variant="primary", elem_id="denoiser-compare")
        with gr.Column(scale=7, min_width=320, elem_classes=["card", "tools"]):
            gr.Markdown("### Picture")
            choices = Tiles(columns=5, name="Pictures", elem_id="denoiser-pictures")
            with gr.Row():
                with gr.Column(min_width=130, visible=False) as drawing:
                    pad = DrawPad(elem_id="denoiser-pad")
                with gr.Column(min_width=130):
                    upload = picture_upload(
                        webcam=True,
                        label="Upload a picture",
                        show_label=False,
                        height=150,
                        elem_id="denoiser-upload",
                        elem_classes="upload",
                    )
            gr.Markdown("### Whole image, full resolution")
            gr.Markdown(
                "The comparison shows at most the central 384 × 384 pixels of a photograph. Here the network restores the "
                "whole image, tile by tile.",
                elem_classes="hint",
            )
            with gr.Row(elem_classes="small-controls"):
                run = gr.Button("Restore the whole image", scale=3, min_width=110, elem_id="denoiser-whole")
                stop = gr.Button("Stop", scale=1, min_width=70, elem_id="denoiser-stop")
            result = Stage(elem_id="denoiser-result")
            file = gr.DownloadButton("Download (PNG)", interactive=False, elem_id="denoiser-file")
    source = gr.State()
    lines = wiring.python_panel("denoiser")
    wiring.explanation(__file__, measured=wiring.measured(f"denoiser-{shipped[0]}"))
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    controls, view = [source, dataset, kind, strength, seed, sigma], [stage, lines]
    runs, whole_runs = wiring.Runs(stage), wiring.Runs(result)

    def restart(trigger):
        runs.stream(trigger, compare, controls, view, rate=1)

    for control in (strength, sigma):
        runs.live(control.input, show, controls, view)
        restart(control.release)
    restart(seed.submit)
    restart(compare_button.click)
    restart(wiring.act(new.click, wiring.fresh_seed, None, seed).then)
    restart(wiring.act(functools.partial(kind.input, trigger_mode="always_last"), choose_kind, [kind, dataset], strength).then)
    chosen = [
        wiring.act(choices.input, choose_test, dataset, source),
        wiring.act(pad.input, drawing_source, [dataset, pad], source),
        wiring.act(upload.upload, upload_source, [dataset, upload], source),
    ]
    for event in chosen:  # of two events of one trigger the page starts the second when the first has ended: short one first
        whole_runs.act(event.then, reset_whole, [source], [result, file])
        restart(event.then)
    whole_runs.stream(run.click, restore_whole, controls, [result, file], rate=4)
    whole_runs.stop(stop.click)

    for event in (opened, dataset.input):
        first = wiring.act(event, open_dataset, dataset, [choices, drawing, source, kind, strength, sigma], show_dataset_error)
        then = functools.partial(first.then, trigger_mode="always_last")
        whole_runs.act(first.then, reset_whole, [source], [result, file])
        wiring.act(then, about, dataset, card)
        restart(first.then)
    endpoints()
