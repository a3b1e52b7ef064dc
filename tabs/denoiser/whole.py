"""The whole picture at full resolution, restored tile by tile."""

import functools
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
from PIL.Image import Image

import genmodels as gm
from genmodels.messages import Message
from tabs import endpoints, events, lane, layout, sources
from tabs.components import raw
from tabs.components.stage import Stage
from tabs.denoiser import pictures
from tabs.denoiser.data import CAMERA, DENOISER, checkpoint
from tabs.denoiser.noise import Noise, Restoration
from tabs.language import _

# Disabled, not hidden: a button that is hidden and shown again at once is sometimes not rendered (Gradio 6.31).
NO_FILE = gr.update(value=None, interactive=False)


def save_png(x):
    """Save a picture (1, C, H, W) among the visitors' files, in a folder of its own, and return its path."""
    folder = Path(gr.utils.get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    path = Path(tempfile.mkdtemp(dir=folder)) / "restored.png"
    with lane.beside():
        gm.pictures.grid(x).save(path, compress_level=1)
    return str(path)


def progress(source, done):
    return _("{size} pixels: {done:.0f} %", size=source["size"], done=100 * done)


def restore(source, dataset, **controls):
    """Yields result (progress, then a preview), file."""
    options, source = Noise.read(**controls).restoration(), sources.require(source, DENOISER.check(dataset))
    steps = gm.load(checkpoint(dataset, options.kind)).restore_steps(options.add_to_whole(source), options.sigma or None)
    start = time.monotonic()
    yield {"result": {"message": progress(source, 0)}, "file": NO_FILE}
    try:
        for step in steps:
            if step.done < 1:
                yield {"result": {"message": progress(source, step.done)}}
    except events.Stopped:
        yield {"result": {"message": _("Stopped: there is no result.")}, "file": NO_FILE}
        return
    seconds = time.monotonic() - start
    preview = step.x[..., :: max(1, step.x.shape[2] // 300), :: max(1, step.x.shape[3] // 300)][0]
    caption = _("{size} pixels, {seconds:.1f} s", size=source["size"], seconds=seconds)
    yield {
        "result": {**raw(preview), "caption": caption, "label": _("The whole picture, restored: {caption}", caption=caption)},
        "file": gr.update(value=save_png(step.x), interactive=True),
    }


def reset(source):
    """Another picture or other noise, of which there is no result yet."""
    ready = _("Ready: {size} pixels.", size=source["size"]) if source else ""
    return {"result": {"message": ready}, "file": NO_FILE}


def denoise(
    model: str = "auto",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    options: Restoration = Restoration(),  # noqa: B008
) -> Iterator[tuple[dict, Image]]:
    """Denoise a picture.

    Args:
        model: auto: denoiser-camera if no noise is added, else denoiser-photo; or one of these; for 28x28 pictures
            denoiser-mnist, denoiser-fashion, dvae-mnist or dvae-fashion.
        picture: a file, at most 40 MB and 16 megapixels; for digits and clothes it is preprocessed like the dataset. Without
            one, a test picture is used.
        test_picture_number: 0 to 7 (0 to 199 for digits and clothes), used when there is no file.
        kind: of the noise that is added first, see add_noise; none: no noise is added.
        strength: of that noise, see add_noise.
        method: ours, or one of scikit-image's, up to 1 megapixel: median, non-local means, total variation or wavelets.
    Returns:
        Size, seconds and, if noise was added, PSNR and SSIM before and after; of denoiser-camera its estimate of the noise
            level, on the scale of sigma; and a PNG at full resolution.
    """
    gm.base.check_choice("model", model, ("auto", *DENOISER.models))
    model = checkpoint("photo", options.kind) if model == "auto" else model
    family, dataset = model.replace("camera", "photo").split("-")
    source = pictures.upload_or_example(dataset, picture, test_picture_number, "test_picture_number")
    noisy, start = options.add_to_whole(source), time.monotonic()
    if options.method != "ours":
        if noisy.shape[2] * noisy.shape[3] > 1_000_000:
            raise ValueError(Message("scikit-image's methods take pictures of at most 1 megapixel: upload a smaller one."))
        with lane.beside():
            x = gm.denoiser.classical(noisy, options.method, options.reference_sigma)
    elif family == "dvae":
        x = gm.load(model).restore(noisy)
    else:
        for step in gm.load(model).restore_steps(noisy, options.sigma or None):
            yield {"done": step.done}, None  # the computing lane is free for others in between; only the last output is sent
            x = step.x
    facts = {"width": x.shape[3], "height": x.shape[2], "seconds": round(time.monotonic() - start, 3)}
    if model == CAMERA and options.method == "ours":
        facts["noise_level"] = round(gm.load(model).noise_level(noisy).item(), 4)
    with lane.beside():
        if options.kind != "none":
            clean = pictures.whole_picture(source)
            for suffix, result in (("before", noisy), ("after", x)):
                psnr, ssim = gm.denoiser.quality(result, clean)
                facts |= {f"psnr_{suffix}": psnr if psnr < 1000 else None, f"ssim_{suffix}": ssim}
        del noisy  # 12 megapixels take 144 MB
        picture = gm.pictures.grid(x)
    yield facts, picture


def lay_out(inputs):
    """Lay out and wire the tool. Returns what connects the events of another source or other noise: `connect(trigger)`."""
    gr.Markdown(_("### Whole image, full resolution"))
    layout.hint(
        _(
            "The comparison shows at most 256 × 256 pixels of a photograph. Here the network restores the whole image, tile by "
            "tile."
        )
    )
    with gr.Row(elem_classes="small-controls"):
        start = gr.Button(_("Restore the whole image"), scale=3, min_width=110, elem_id="denoiser-whole")
        stop = gr.Button(_("Stop"), scale=1, min_width=70, elem_id="denoiser-stop")
    outputs, runs = {"result": Stage(elem_id="denoiser-result")}, events.Runs("result", stop)
    outputs["file"] = gr.DownloadButton(_("Download (PNG)"), interactive=False, elem_id="denoiser-file")
    runs.stream(start.click, restore, inputs, outputs, rate=4)
    return functools.partial(runs.act, fn=reset, inputs={"source": inputs["source"]}, outputs=outputs)
