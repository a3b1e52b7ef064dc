"""The noisy picture on the stage, and what each method restores of it."""

import functools
import time

import gradio as gr

import genmodels as gm
from tabs import events, programs, sources
from tabs.components import sheet
from tabs.components.compare import Compare
from tabs.denoiser.data import DENOISER
from tabs.denoiser.noise import CLASSICAL, Noise, Restoration, in_python
from tabs.denoiser.pictures import CroppedSource


def timed(restore, clean):
    """(restored picture, its caption: milliseconds, and PSNR and SSIM if there is a clean picture)"""
    start = time.perf_counter()
    x = restore()
    milliseconds = f"{1000 * (time.perf_counter() - start):.0f} ms"
    return x, milliseconds if clean is None else f"{format_quality(x, clean)} · {milliseconds}"


def format_quality(x, clean):
    psnr, ssim = gm.denoiser.quality(x, clean)
    return f"{psnr:.1f} dB" + (f" · {ssim:.3f}" if ssim is not None else "")


def our_methods(dataset, options: Restoration, noisy):
    """Our models of a data set: name -> function that restores the noisy picture."""
    methods = {"our network": lambda: DENOISER.load(dataset).restore(noisy, options.sigma or None)}
    if dataset == "photo":
        return methods
    if gm.cards.shipped((f"dvae-{dataset}",)):
        methods["our denoising VAE"] = lambda: gm.load(f"dvae-{dataset}").restore(noisy)
    if options.kind == "gaussian" and options.strength >= 0.01 and gm.cards.shipped((f"diffusion-{dataset}",)):
        sigma, seed = options.strength, options.seed
        methods["our diffusion model"] = lambda: gm.load(f"diffusion-{dataset}").restore(noisy, sigma, seed=seed)
    return methods


def stage_value(source: CroppedSource, results, clean):
    """Value of the stage: the results, the clean picture, and the noise that our network removed. results: see `run`."""
    import torch

    (noisy, _), (restored, _) = results["noisy"], results["our network"]
    original = {} if clean is None else {"clean picture": (clean, "")}
    results = {**results, **original, "removed noise": (0.5 + noisy - restored, "grey: no change")}
    h, w = noisy.shape[2:]
    return {
        **sheet(torch.cat([x for x, _ in results.values()]), len(results)),
        "pictures": [{"name": name, "note": note} for name, (_, note) in results.items()],
        "left": 0,
        "right": 1,
        "caption": f"{source['size']} pixels" + (f": the central {w} × {h}" if source["crop"] else ""),
    }


def program(source: CroppedSource, options: Restoration):
    """A complete program that computes our network's result as `x`."""
    sigma = f", sigma={in_python(options.sigma)}" if options.sigma else ""
    quality = "" if options.kind == "none" else "print(*gm.denoiser.quality(x, clean))  # PSNR and SSIM\n"
    lines = (
        f"{source['lines']}clean = picture{source['crop']}\n{options.python_line()}x = model.restore(noisy{sigma})\n"
        f'{quality}gm.pictures.grid(x).save("picture.png")\n'
    )
    return programs.program(lines, f"denoiser-{source['dataset']}")


def run(source, dataset, methods=(), **controls):
    """Yields stage, lines: the results of our models, and one after another those of scikit-image's `methods`."""
    options, source = Noise.read(**controls).restoration(), sources.require(source, DENOISER.check(dataset))
    clean = None if options.kind == "none" else source["x"]
    noisy = options.add_to(source["x"])
    results = {"noisy": (noisy, "" if clean is None else format_quality(noisy, clean))}  # name -> (picture, its caption)
    results |= {name: timed(restore, clean) for name, restore in our_methods(dataset, options, noisy).items()}
    yield {"stage": stage_value(source, results, clean), "lines": program(source, options)}
    for method in methods:
        restore = functools.partial(gm.denoiser.classical, noisy, method, options.reference_sigma)
        results[method] = timed(restore, clean)
        yield {"stage": stage_value(source, results, clean)}


def show(source, dataset, **controls):
    """The results of our models, at once -> stage, lines."""
    return next(run(source, dataset, **controls))


compare = functools.partial(run, methods=CLASSICAL)  # yields stage, lines


def lay_out():
    loading = {"message": "The model is loading. A restored picture will appear here."}
    stage = Compare(loading, elem_id="denoiser-stage", elem_classes="live-picture")
    with gr.Row(elem_classes="small-controls"):
        return stage, gr.Button("Compare with scikit-image", variant="primary", elem_id="denoiser-compare")


def connect(inputs, outputs, triggers):
    """Wire the tool: a moving slider shows our models, each of the triggers compares all methods."""
    runs = events.Runs("stage")
    for name in ("strength", "sigma"):
        runs.live(inputs[name].input, show, inputs, outputs)
    for trigger in triggers:
        runs.stream(trigger, compare, inputs, outputs, rate=1)
