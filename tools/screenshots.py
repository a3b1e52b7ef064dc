"""The README's pictures, of the page as it is: docs/screenshot.png and docs/animation.gif.

    python app.py                                           in another terminal
    python tools/screenshots.py http://127.0.0.1:7860

Drives the system's Chromium, as the browser tests do.
"""

import io
import math
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

DOCS = Path(__file__).resolve().parent.parent / "docs"
STAGE = "#vae-stage canvas:not([hidden])"
SIZE = {"width": 1280, "height": 800}
FRAMES, MILLISECONDS, WIDTH = 36, 90, 720  # of the animation


def main(url: str) -> None:
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(f"{url}?__theme=light&tab=vae")  # the page opens with another tab
        page.wait_for_selector(STAGE, timeout=60_000)
        page.wait_for_selector("#vae-map .map", timeout=60_000)
        page.wait_for_timeout(2000)
        page.screenshot(path=DOCS / "screenshot.png")
        frames = []
        for i in range(FRAMES):  # two sliders of the latent code, there and back
            angle = 2 * math.pi * i / FRAMES
            for slider, value in ((0, math.sin(angle)), (1, math.sin(2 * angle))):
                page.locator("#vae-sliders input[type=range]").nth(slider).evaluate(
                    """(input, share) => {
                      input.value = share * input.max;
                      input.dispatchEvent(new Event('input', {bubbles: true}));
                    }""",
                    0.8 * value,
                )
            page.wait_for_timeout(150)
            frame = Image.open(io.BytesIO(page.screenshot()))
            frames.append(frame.convert("RGB").resize((WIDTH, WIDTH * SIZE["height"] // SIZE["width"])))
        browser.close()
    palette = frames[0].quantize(96)  # one for all frames: no flicker, and a small file
    first, *others = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    first.save(
        DOCS / "animation.gif", save_all=True, append_images=others, duration=MILLISECONDS, loop=0, optimize=True, disposal=1
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
