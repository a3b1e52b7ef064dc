"""The whole picture at full resolution, restored tile by tile."""

import functools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
from PIL.Image import Image

import genmodels as gm
from tabs import endpoints, events, layout, sources
from tabs.components import raw
from tabs.components.stage import Stage
from tabs.denoiser import pictures
from tabs.denoiser.data import DENOISER
from tabs.denoiser.noise import Noise, Restoration

DOWNLOAD_SECONDS = 3600  # how long a file to download is kept
# Disabled, not hidden: a button that is hidden and shown again at once is sometimes not rendered (Gradio 6.31).
NO_FILE = gr.update(value=None, interactive=False)


def save_png(x):
    """Save a picture (1, C, H, W) in a folder of its own and return its path; old folders are removed."""
    for folder in Path(tempfile.gettempdir()).glob("denoised-*"):
        if time.time() - folder.stat().st_mtime > DOWNLOAD_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix="denoised-")) / "restored.png"
    gm.pictures.grid(x).save(path, compress_level=1)
    return str(path)


def restore(source, dataset, **controls):
    """Yields result (progress, then a preview), file."""
    options, source = Noise.read(**controls).restoration(), sources.require(source, DENOISER.check(dataset))
    noisy, start = options.add_to_whole(source), time.monotonic()
    yield {"result": {"message": f"{source['size']} pixels: 0 %"}, "file": NO_FILE}
    try:
        for step in DENOISER.load(dataset).restore_steps(noisy, options.sigma or None):
            if step.done < 1:
                yield {"result": {"message": f"{source['size']} pixels: {100 * step.done:.0f} %"}}
    except events.Stopped:
        yield {"result": {"message": "Stopped: there is no result."}, "file": NO_FILE}
        return
    seconds = time.monotonic() - start
    preview = step.x[..., :: max(1, step.x.shape[2] // 300), :: max(1, step.x.shape[3] // 300)][0]
    caption = f"{source['size']} pixels, {seconds:.1f} s"
    yield {
        "result": {**raw(preview), "caption": caption, "label": f"The whole picture, restored: {caption}"},
        "file": gr.update(value=save_png(step.x), interactive=True),
    }


def reset(source):
    """Another picture, of which there is no result yet."""
    return {"result": {"message": f"Ready: {source['size']} pixels." if source else ""}, "file": NO_FILE}


def denoise(
    model: str = "denoiser-photo",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    options: Restoration = Restoration(),  # noqa: B008
) -> Iterator[tuple[dict, Image]]:
    """Denoise a picture.

    Args:
        model: denoiser-photo; for 28x28 pictures denoiser-mnist, denoiser-fashion, dvae-mnist or dvae-fashion.
        picture: a file, at most 40 MB and 16 megapixels; for digits and clothes it is preprocessed like the dataset. Without
            one, a test picture is used.
        test_picture_number: 0 to 7 (0 to 199 for digits and clothes), used when there is no file.
        kind: of the noise that is added first, see add_noise; none: no noise is added.
        strength: of that noise, see add_noise.
        method: ours, or one of scikit-image's, up to 1 megapixel: median, non-local means, total variation or wavelets.
    Returns:
        Size, seconds and, if noise was added, PSNR and SSIM before and after; and a PNG at full resolution.
    """
    family, dataset = gm.base.check_choice("model", model, DENOISER.models).split("-")
    source = pictures.upload_or_example(dataset, picture, test_picture_number, "test_picture_number")
    noisy, start = options.add_to_whole(source), time.monotonic()
    if options.method != "ours":
        if noisy.shape[2] * noisy.shape[3] > 1_000_000:
            raise ValueError("scikit-image's methods take pictures of at most 1 megapixel: upload a smaller one.")
        x = gm.denoiser.classical(noisy, options.method, options.reference_sigma)
    elif family == "dvae":
        x = gm.load(model).restore(noisy)
    else:
        for step in DENOISER.load(dataset).restore_steps(noisy, options.sigma or None):
            yield {"done": step.done}, None  # the computing lane is free for others in between; only the last output is sent
            x = step.x
    facts = {"width": x.shape[3], "height": x.shape[2], "seconds": round(time.monotonic() - start, 3)}
    if options.kind != "none":
        clean = pictures.whole_picture(source)
        for suffix, result in (("before", noisy), ("after", x)):
            psnr, ssim = gm.denoiser.quality(result, clean)
            facts |= {f"psnr_{suffix}": psnr if psnr < 1000 else None, f"ssim_{suffix}": ssim}
    yield facts, gm.pictures.grid(x)


def lay_out(inputs):
    """Lay out and wire the tool. Returns what connects the events after which there is another source: `connect(trigger)`."""
    gr.Markdown("### Whole image, full resolution")
    layout.hint(
        "The comparison shows at most the central 384 × 384 pixels of a photograph. Here the network restores the "
        "whole image, tile by tile."
    )
    with gr.Row(elem_classes="small-controls"):
        start = gr.Button("Restore the whole image", scale=3, min_width=110, elem_id="denoiser-whole")
        stop = gr.Button("Stop", scale=1, min_width=70, elem_id="denoiser-stop")
    outputs, runs = {"result": Stage(elem_id="denoiser-result")}, events.Runs("result")
    outputs["file"] = gr.DownloadButton("Download (PNG)", interactive=False, elem_id="denoiser-file")
    runs.stream(start.click, restore, inputs, outputs, rate=4)
    runs.stop(stop.click)
    return functools.partial(runs.act, fn=reset, inputs={"source": inputs["source"]}, outputs=outputs)
