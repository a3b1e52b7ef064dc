"""The noisy picture on the stage, and what each method restores of it."""

import functools
import time

import gradio as gr

import genmodels as gm
from genmodels.messages import Message
from tabs import events, lane, programs, sources
from tabs.components import sheet
from tabs.components.compare import Compare
from tabs.denoiser.data import CAMERA, DENOISER, checkpoint
from tabs.denoiser.noise import CLASSICAL, Noise, Restoration, in_python
from tabs.denoiser.pictures import CroppedSource
from tabs.language import _

OURS, NOISY = Message("our network"), Message("noisy")  # keys of the results, each with its caption


def timed(restore, clean):
    """(restored picture, its caption: milliseconds, and PSNR and SSIM if there is a clean picture)"""
    start = time.thread_time()  # without the time for which others computed
    x = restore()
    milliseconds = _("{milliseconds:.0f} ms", milliseconds=1000 * (time.thread_time() - start))
    return x, milliseconds if clean is None else f"{format_quality(x, clean)} · {milliseconds}"


def format_quality(x, clean):
    with lane.beside():
        psnr, ssim = gm.denoiser.quality(x, clean)
    return f"PSNR {psnr:.1f} dB" + (f" · SSIM {ssim:.3f}" if ssim is not None else "")


def our_methods(dataset, options: Restoration, noisy):
    """Our models of a data set: name -> function that restores the noisy picture."""
    name = checkpoint(dataset, options.kind)
    methods = {OURS: lambda: gm.load(name).restore(noisy, options.sigma or None)}
    if name == CAMERA and gm.cards.shipped(("denoiser-photo",)):
        methods[Message("our network for white noise")] = lambda: DENOISER.load(dataset).restore(noisy, options.sigma or None)
    if dataset == "photo":
        return methods
    if gm.cards.shipped((f"dvae-{dataset}",)):
        methods[Message("our denoising VAE")] = lambda: gm.load(f"dvae-{dataset}").restore(noisy)
    if options.kind == "gaussian" and options.strength >= 0.01 and gm.cards.shipped((f"diffusion-{dataset}",)):
        sigma, seed = options.strength, options.seed
        methods[Message("our diffusion model")] = lambda: gm.load(f"diffusion-{dataset}").restore(noisy, sigma, seed=seed)
    return methods


def stage_value(source: CroppedSource, results, clean, kind):
    """Value of the stage: the results (see `run`), the clean picture, and what our network removed. kind: of the noise."""
    import torch

    noisy, restored = results[NOISY][0], results[OURS][0]
    original = {} if clean is None else {Message("clean picture"): (clean, "")}
    results = {**results, **original, Message("removed noise"): (0.5 + noisy - restored, _("grey: no change"))}
    h, w = noisy.shape[2:]
    whole = Message("{size} pixels, {w} × {h} of them on the stage.") if source["crop"] else Message("{size} pixels.")
    caption = _(whole, size=source["size"], w=w, h=h)
    if checkpoint(source["dataset"], kind) == CAMERA:
        sigma = 255 * gm.load(CAMERA).noise_level(noisy).item()
        caption = _("{caption} Noise level as our network estimates it: sigma {sigma:.1f}.", caption=caption, sigma=sigma)
    if kind == "missing block" and kind not in DENOISER.load(source["dataset"]).noises:
        caption = _(
            "{caption} Our network has not learnt to fill a missing block of a photograph: it removes noise around it.",
            caption=caption,
        )
    with lane.beside():
        pictures = sheet(torch.cat([x for x, _note in results.values()]), len(results))
    return {
        **pictures,
        "pictures": [{"name": _(name), "note": note} for name, (_x, note) in results.items()],
        "left": 0,
        "right": 1,
        "caption": caption,
    }


def program(source: CroppedSource, options: Restoration):
    """A complete program that computes our network's result as `x`."""
    sigma = f", sigma={in_python(options.sigma)}" if options.sigma else ""
    quality = "" if options.kind == "none" else "print(*gm.denoiser.quality(x, clean))  # PSNR and SSIM\n"
    lines = (
        f"{source['lines']}clean = picture{source['crop']}\n{options.python_line()}x = model.restore(noisy{sigma})\n"
        f'{quality}gm.pictures.grid(x).save("picture.png")\n'
    )
    return programs.program(lines, checkpoint(source["dataset"], options.kind))


def run(source, dataset, methods=(), **controls):
    """Yields stage, lines: the results of our models, and one after another those of scikit-image's `methods`."""
    options, source = Noise.read(**controls).restoration(), sources.require(source, DENOISER.check(dataset))
    clean = None if options.kind == "none" else source["x"]
    noisy = options.add_to(source["x"])
    results = {NOISY: (noisy, "" if clean is None else format_quality(noisy, clean))}  # name -> (picture, its caption)
    results |= {name: timed(restore, clean) for name, restore in our_methods(dataset, options, noisy).items()}
    yield {"stage": stage_value(source, results, clean, options.kind), "lines": program(source, options)}
    for method in methods:
        restore = functools.partial(gm.denoiser.classical, noisy, method, options.reference_sigma)
        with lane.beside():
            results[method] = timed(restore, clean)
        yield {"stage": stage_value(source, results, clean, options.kind)}


def show(source, dataset, **controls):
    """The results of our models, at once -> stage, lines."""
    return next(run(source, dataset, **controls))


compare = functools.partial(run, methods=CLASSICAL)  # yields stage, lines


def lay_out():
    loading = {"message": _("The model is loading. A restored picture will appear here.")}
    stage = Compare(loading, elem_id="denoiser-stage", elem_classes="live-picture")
    with gr.Row(elem_classes="small-controls"):
        return stage, gr.Button(_("Compare with scikit-image"), variant="primary", elem_id="denoiser-compare")


def connect(inputs, outputs, triggers):
    """Wire the tool: a moving slider shows our models, each of the triggers compares all methods."""
    runs = events.Runs("stage")
    for name in ("strength", "sigma"):
        runs.live(inputs[name].input, show, inputs, outputs)
    for trigger in triggers:
        runs.stream(trigger, compare, inputs, outputs, rate=1)
