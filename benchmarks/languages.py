"""What a second language costs: the page with all its languages beside the page with the first alone.

    python -m benchmarks.languages            four minutes on two cores; prints a table
    python -m benchmarks.languages --readme   also writes it into README.md

Both are started and measured alternately in one run. Nothing else should run on the machine meanwhile.
"""

import shutil
import time
from statistics import median
from typing import Annotated

import psutil
import typer
from playwright.sync_api import sync_playwright

from benchmarks import common
from benchmarks.page import MOVES, VAES, live_event, move, serving
from tabs import lane
from tabs.language import LANGUAGES

ONE = "from tabs import language; [language.LANGUAGES.pop(tag) for tag in list(language.LANGUAGES)[1:]]; import app; app.main()"
PAGES = {"one": ("-c", ONE), "all": ("app.py",)}


def measured(rounds: int = 3, moves: int = 30) -> dict[str, tuple[list[float], list[float], list[float]]]:
    """{page: (seconds to the first page, GB with every checkpoint loaded, milliseconds of each move of a slider)}."""
    found: dict[str, tuple[list[float], list[float], list[float]]] = {name: ([], [], []) for name in PAGES}
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _round in range(rounds):
            for name, command in PAGES.items():
                starts, memory, times = found[name]
                with serving(*command) as (url, process, seconds):
                    starts.append(seconds)
                    for model in (*VAES, "vae-mnist-2d", "vae-fashion-2d"):
                        move(url, live_event(url), model, [0.5])
                    time.sleep(15)  # the other models load in the background
                    page = browser.new_page()
                    page.goto(f"{url}/?tab=vae")
                    page.wait_for_selector("#vae-sliders input[type=range]", timeout=60_000)
                    page.wait_for_timeout(3000)
                    page.evaluate(MOVES, ["#vae-sliders input[type=range]", "#vae-stage", 5])  # a warm-up
                    times += page.evaluate(MOVES, ["#vae-sliders input[type=range]", "#vae-stage", moves])
                    memory.append(psutil.Process(process.pid).memory_info().rss / 2**30)
                    page.close()
        browser.close()
    return found


def rows(found: dict[str, tuple[list[float], list[float], list[float]]]) -> list[tuple[str, str, str]]:
    quantities = [
        ("`python app.py` to the first page", "s", 2, 1.2),
        ("memory with every checkpoint loaded", "GB", 2, 1.1),
        ("slider to new picture in the browser, p50", "ms", 1, 1.1),
    ]
    table = []
    for k, (name, unit, digits, must) in enumerate(quantities):
        one, every = (median(found[page][k]) for page in PAGES)
        measured = f"{every:.{digits}f} {unit} (in one language: {one:.{digits}f} {unit})"
        table.append((f"{name}, in {len(LANGUAGES)} languages", measured, f"ratio **{every / one:.2f}**; must: {must}"))
    return table


def main(readme: Annotated[bool, typer.Option("--readme", help="Write the table into README.md.")] = False) -> None:
    """Measure both pages and print a table."""
    common.report("languages", rows(measured()), readme, threads=lane.THREADS)


if __name__ == "__main__":
    typer.run(main)
