"""Speed of the GAN: sampling, and a slider on the page compared with the same wiring without a model.

    python -m benchmarks.gan            a minute on two cores; prints a table
    python -m benchmarks.gan --readme   also puts it into README.md

Nothing else may run on the machine at the same time. Medians of one run; the alternatives are timed in turns.
"""

import shutil
from statistics import median
from typing import Annotated

import torch
import typer
from playwright.sync_api import sync_playwright

import genmodels as gm
from benchmarks import common
from benchmarks.common import in_turns, p95
from benchmarks.page import MOVES, serving

DIRECTION, STAGE = "#gan-sliders input[type=range]", "#gan-stage"  # on the page


def sampling(rounds):
    """Time to sample a grid of pictures, on all cores."""
    rows = []
    for name, n, aim in (("gan-mnist", 64, 60), ("gan-fashion", 64, 60), ("gan-avatars", 16, 150)):
        if name not in gm.checkpoints():
            continue
        model = gm.load(name)
        sample, synthesis = in_turns(
            rounds,
            lambda model=model, n=n: model.sample(n, seed=0),
            lambda model=model, n=n: model.generator.synthesize(torch.zeros(n, model.latent)),
        )
        rows.append(
            (
                f"{n} pictures of `{name}`",
                f"{1000 * sample:.0f} ms",
                f"aim: {aim} ms; without sampling the latent codes {1000 * synthesis:.0f} ms",
            )
        )
    return rows


def moves_in_browser(rounds=4, moves=15):
    """Milliseconds from a slider of a direction to the new picture in a browser: of the page, and of its wiring alone."""
    times = {"page": [], "stage": []}
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with serving("app.py") as (page, *_), serving("-m", "benchmarks.echo", "stage") as (echo, *_):
            pages = {"page": (page, DIRECTION, STAGE), "stage": (echo, "#vae-sliders input[type=range]", "#vae-stage")}
            tabs = {}
            for name, (url, slider, stage) in pages.items():
                tabs[name] = browser.new_page()
                tabs[name].goto(url)
                if name == "page":
                    tabs[name].get_by_role("tab", name="GAN").click()
                tabs[name].wait_for_selector(f"{stage} canvas:not([hidden])", timeout=60_000)
                tabs[name].wait_for_selector(slider, timeout=60_000)
                tabs[name].wait_for_timeout(3000)
            for turn in range(rounds + 1):  # the first is a warm-up
                for name, (_, slider, stage) in pages.items():
                    tabs[name].bring_to_front()
                    durations = tabs[name].evaluate(MOVES, [slider, stage, moves])
                    if turn > 0:
                        times[name] += durations
        browser.close()
    return times["page"], times["stage"]


def latency_rows(page, stage):
    """Rows of the table, from the milliseconds of single moves."""
    page_time, baseline_time = (f"{median(times):.0f} / {p95(times):.0f} ms" for times in (page, stage))
    ratio = median(page) / median(stage)
    return [
        ("from a slider of a direction to the new picture in the browser, p50 / p95", page_time, ""),
        ("the same for this page's wiring without a model", baseline_time, f"ratio **{ratio:.2f}**; must: 2, aim: 1.3"),
    ]


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Put the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="Number of measurements of each row.")] = 30,
):
    """Measure the GAN and print a table."""
    with torch.inference_mode():
        rows = sampling(rounds)
    common.report("gan", [*rows, *latency_rows(*moves_in_browser())], readme)


if __name__ == "__main__":
    typer.run(main)
