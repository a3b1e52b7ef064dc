"""The page's speed: moving a slider, starting, memory, sixteen concurrent visitors.

    python -m benchmarks.page            five minutes on two cores; prints a table
    python -m benchmarks.page --readme   also writes it into README.md

Nothing else should run on the machine meanwhile. Ratios compare medians that were measured alternately in one run.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from statistics import median
from typing import Annotated

import psutil
import torch
import typer
from playwright.sync_api import sync_playwright

import genmodels as gm
from benchmarks import common
from benchmarks.common import p95
from tabs import lane
from tabs.components import raw

VAES = ("vae-mnist", "vae-fashion", "vae-avatars")

# Moves a slider n times and waits for the new pixels: until the canvas is drawn, or the new image is decoded.
MOVES = """async ([selector, picture, n]) => {
  const slider = document.querySelector(selector), times = [];
  const context = CanvasRenderingContext2D.prototype, originals = {};
  let onDraw = null;
  for (const method of ['putImageData', 'drawImage']) {
    originals[method] = context[method];
    context[method] = function (...args) { originals[method].apply(this, args); if (onDraw) onDraw(); };
  }
  for (let i = 0; i < n; i++) {
    const image = document.querySelector(picture + ' img'), before = image && image.src;
    const done = picture == '#picture'
      ? new Promise(resolve => { const poll = () => { const current = document.querySelector(picture + ' img');
          current && current.src != before ? current.decode().then(resolve, poll) : setTimeout(poll, 1) }; poll(); })
      : new Promise(resolve => onDraw = resolve);
    const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set;
    const start = performance.now();
    set.call(slider, (-2.5 + 5 * ((i * 7) % n) / n).toFixed(1));
    slider.dispatchEvent(new Event('input', {bubbles: true}));
    slider.dispatchEvent(new Event('change', {bubbles: true}));
    await Promise.race([done, new Promise(resolve => setTimeout(resolve, 5000))]);
    times.push(performance.now() - start);
    onDraw = null;
    await new Promise(resolve => setTimeout(resolve, 120));
  }
  Object.assign(context, originals);
  return times;
}"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextmanager
def serving(*command):
    """A page in its own process: (address, process, seconds until it answered)."""
    port = free_port()
    env = os.environ | {
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
    }
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *command, *([str(port)] if "-m" in command else [])],
        cwd=common.ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).read()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() - started > 180:
                    raise RuntimeError(f"{' '.join(command)} did not start") from None
                time.sleep(0.01)
        yield url, process, time.monotonic() - started
    finally:
        process.terminate()
        process.wait(20)


def live_event(url):
    """Number of the event that the sliders of the latent code send."""
    config = json.loads(urllib.request.urlopen(f"{url}/config").read())
    sliders = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "vae-sliders")
    return next(d["id"] for d in config["dependencies"] if [sliders, "input"] in [list(t) for t in d["targets"]])


def move(url, event, model, z):
    """Sends one move of a slider as the browser does. Returns the response's data; raises on an HTTP error."""
    body = {"data": [{"model": model, "z": z, "dims": [], "unused": 0}], "fn_index": event, "session_hash": "benchmark"}
    request = urllib.request.Request(
        f"{url}/gradio_api/run/predict", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    return json.loads(urllib.request.urlopen(request, timeout=30).read())["data"]


# --- What is measured: names and milliseconds, seconds or GB ---


def decoding():
    """{model: (pixels per side, milliseconds of each decoding and packing of a picture)}, on as many threads as the page."""
    torch.set_num_threads(lane.THREADS)
    times = {}
    for name in VAES:
        vae = gm.load(name)
        milliseconds = []
        with torch.no_grad():
            for i in range(220):
                z = torch.full((1, vae.latent), i / 220)
                started = time.perf_counter()
                raw(vae.decode(z)[0])
                milliseconds.append((time.perf_counter() - started) * 1000)
        times[name] = vae.size, milliseconds[20:]  # the first ones are a warm-up
    return times


def moving(rounds=4, moves=15):
    """{page: milliseconds of each move of a slider in a browser}: this page, a gr.Image, and this page without a model."""
    pages = {
        "page": ("app.py",),
        "image": ("-m", "benchmarks.echo", "image"),
        "stage": ("-m", "benchmarks.echo", "stage"),
    }
    times = {name: [] for name in pages}
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with serving(*pages["page"]) as a, serving(*pages["image"]) as b, serving(*pages["stage"]) as c:
            tabs = {}
            for name, (url, *_) in zip(pages, (a, b, c)):
                tabs[name] = browser.new_page()
                tabs[name].goto(f"{url}/?tab=vae")
                ready = "#slider input[type=range]" if name == "image" else "#vae-stage canvas:not([hidden])"
                tabs[name].wait_for_selector(ready, timeout=60_000)
                if name != "image":
                    tabs[name].wait_for_selector("#vae-sliders input[type=range]", timeout=60_000)
                tabs[name].wait_for_timeout(3000)
            for turn in range(rounds + 1):  # the first is a warm-up
                for name, tab in tabs.items():
                    slider = "#slider input[type=range]" if name == "image" else "#vae-sliders input[type=range]"
                    tab.bring_to_front()
                    picture = "#picture" if name == "image" else "#vae-stage"
                    durations = tab.evaluate(MOVES, [slider, picture, moves])
                    times[name] += durations if turn else []
        browser.close()
    return times


def starting(times=3):
    """(seconds from `python app.py` to the first page, of a bare page, to the first picture; GB with every model loaded)."""
    page, bare, live = [], [], []
    memory = 0
    for _ in range(times):
        started = time.monotonic()
        with serving("app.py") as (url, process, seconds):
            page.append(seconds)
            move(url, live_event(url), "vae-mnist", [0.5])
            live.append(time.monotonic() - started)
            if len(page) == times:
                for name in (*VAES, "vae-mnist-2d", "vae-fashion-2d"):
                    move(url, live_event(url), name, [0.5])
                time.sleep(15)  # the other models load in the background
                memory = psutil.Process(process.pid).memory_info().rss / 2**30
        with serving("-m", "benchmarks.echo", "bare") as (_, _, seconds):
            bare.append(seconds)
    return page, bare, live, memory


def visiting(visitors=16, seconds=15):
    """All visitors drag sliders at once: each requests the next picture 50 ms after the previous one has arrived.

    Returns (milliseconds of each request, sentences of the errors).
    """
    durations, errors = [], []
    with serving("app.py") as (url, *_):
        event = live_event(url)
        for name in VAES:
            move(url, event, name, [0.1])
        time.sleep(10)
        until = time.monotonic() + seconds

        def visit(i):
            step = 0
            while time.monotonic() < until:
                started = time.monotonic()
                step += 1
                try:
                    move(url, event, VAES[i % len(VAES)], [((step * 7 + i) % 60) / 10 - 3])
                except (OSError, urllib.error.URLError, ValueError) as e:
                    errors.append(str(e))
                durations.append((time.monotonic() - started) * 1000)
                time.sleep(0.05)

        threads = [threading.Thread(target=visit, args=(i,)) for i in range(visitors)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return durations, errors


# --- Rows of the table ---


def decoding_rows(times):
    rows = []
    for name, (size, milliseconds) in times.items():
        measured = f"{median(milliseconds):.1f} ms (p95 {p95(milliseconds):.1f})"
        rows.append((f"one decode, {name}", measured, f"aim: {15 if size == 64 else 3} ms"))
    return rows


def moving_rows(times):
    medians = {name: median(values) for name, values in times.items()}
    quantiles = {name: f"{median(values):.0f} / {p95(values):.0f} ms" for name, values in times.items()}
    to_image, to_stage = medians["page"] / medians["image"], medians["page"] / medians["stage"]
    return [
        ("slider to new picture in the browser, p50 / p95", quantiles["page"], ""),
        ("the same for a gr.Image without a model", quantiles["image"], f"ratio **{to_image:.2f}**; must: 1.0, aim: 0.6"),
        ("the same for this page's wiring without a model", quantiles["stage"], f"ratio **{to_stage:.2f}**; aim: 1.3"),
    ]


def starting_rows(page, bare, live, memory):
    return [
        (
            "`python app.py` to the first page",
            f"{median(page):.1f} s (bare Gradio page: {median(bare):.1f} s)",
            f"ratio **{median(page) / median(bare):.2f}**; aim: 1.5",
        ),
        ("`python app.py` to the first live picture", f"{median(live):.1f} s", ""),
        ("memory with every checkpoint loaded", f"{memory:.2f} GB", "aim: 1.5 GB"),
    ]


def visiting_rows(durations, errors, visitors=16, seconds=15):
    return [
        (
            f"{visitors} visitors moving sliders for {seconds} s, p50 / p95",
            f"{median(durations):.0f} / {p95(durations):.0f} ms, {len(durations) / seconds:.0f} pictures/s",
            f"**{len(errors)} errors**; must: no error, p95 1 s",
        )
    ]


def main(readme: Annotated[bool, typer.Option("--readme", help="Write the table into README.md.")] = False):
    """Measure the page and print a table."""
    rows = [
        *decoding_rows(decoding()),
        *moving_rows(moving()),
        *starting_rows(*starting()),
        *visiting_rows(*visiting()),
    ]
    common.report("page", rows, readme, threads=lane.THREADS)


if __name__ == "__main__":
    typer.run(main)
