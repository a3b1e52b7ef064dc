"""The GAN's speed: pictures from one pass, and a slider of the page against the same wiring without a model.

    python -m benchmarks.gan            a minute on two cores; prints a table
    python -m benchmarks.gan --readme   also puts it into README.md

Nothing else may run on the machine meanwhile. Medians of one run, in turns.
"""

import os
import shutil
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer
from playwright.sync_api import sync_playwright

import genmodels as gm
from benchmarks.diffusion import in_turns
from benchmarks.page import MOVES, p95, serving

ROOT = Path(__file__).resolve().parent.parent
DIRECTION, STAGE = "#gan-sliders input[type=range]", "#gan-stage"  # on the page


def painting(rounds):
    """A grid of pictures, with all the cores there are."""
    rows = []
    for name, n, aim in (("gan-mnist", 64, 60), ("gan-fashion", 64, 60), ("gan-avatars", 16, 150)):
        if name not in gm.checkpoints():
            continue
        model = gm.load(name)
        sample, layers = in_turns(
            rounds,
            lambda model=model, n=n: model.sample(n, seed=0),
            lambda model=model, n=n: model.generator.paint(torch.zeros(n, model.latent)),
        )
        rows.append(
            (
                f"{n} pictures of `{name}`",
                f"{1000 * sample:.0f} ms",
                f"aim: {aim} ms; without drawing the codes {1000 * layers:.0f} ms",
            )
        )
    return rows


def moving(rounds=4, moves=15):
    """A direction's slider to the new picture in the browser, against the same wiring without a model."""
    times = {"page": [], "stage": []}
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        with serving("app.py") as (page, *_), serving("-m", "benchmarks.echo", "stage") as (echo, *_):
            where = {"page": (page, DIRECTION, STAGE), "stage": (echo, "#vae-sliders input[type=range]", "#vae-stage")}
            tabs = {}
            for name, (url, slider, stage) in where.items():
                tabs[name] = browser.new_page()
                tabs[name].goto(url)
                if name == "page":
                    tabs[name].get_by_role("tab", name="GAN").click()
                tabs[name].wait_for_selector(f"{stage} canvas:not([hidden])", timeout=60_000)
                tabs[name].wait_for_selector(slider, timeout=60_000)
                tabs[name].wait_for_timeout(3000)
            for turn in range(rounds + 1):  # the first is thrown away
                for name, (_, slider, stage) in where.items():
                    tabs[name].bring_to_front()
                    taken = tabs[name].evaluate(MOVES, [slider, stage, moves])
                    times[name] += taken if turn else []
        browser.close()
    mine, bare = (f"{median(t):.0f} / {p95(t):.0f} ms" for t in times.values())
    ratio = median(times["page"]) / median(times["stage"])
    return [
        ("slider of a direction to the new picture in the browser, p50 / p95", mine, ""),
        ("the same for this page's wiring without a model", bare, f"ratio **{ratio:.2f}**; aim: 1.3"),
    ]


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Put the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each thing is timed.")] = 30,
):
    """Measure the GAN and print a table."""
    with torch.inference_mode():
        rows = [*painting(rounds), *moving()]
    table = "\n".join(["| what | measured | beside it |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    note = f"`python -m benchmarks.gan` on {os.cpu_count()} cores, {torch.get_num_threads()} thread(s)."
    print(f"{note}\n\n{table}")
    if readme:
        file, begin, end = ROOT / "README.md", "<!-- gan-benchmarks:begin -->", "<!-- gan-benchmarks:end -->"
        head, rest = file.read_text(encoding="utf-8").split(begin)
        file.write_text(f"{head}{begin}\n{note}\n\n{table}\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
