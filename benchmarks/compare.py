"""Speed of the Compare tab: from a click on "Ask every family" for 8 digits to the first row of samples, and to the last.

    python -m benchmarks.compare            one minute on two cores; prints a table
    python -m benchmarks.compare --readme   also writes it into README.md

Nothing else should run on the machine meanwhile.
"""

import shutil
from statistics import median
from typing import Annotated

import typer
from playwright.sync_api import sync_playwright

from benchmarks import common
from benchmarks.page import serving
from tabs import lane

CLICKS = 6  # the first one finds a page that nobody has asked yet
WARM_UP = 20_000  # ms from the first view until all models are loaded

# Clicks and resolves to [ms to the first row with its time, ms until all rows are done].
CLICK = """() => new Promise(resolve => {
  const stage = document.querySelector('#compare-stage'), start = performance.now();
  let first = null, cleared = false;
  new MutationObserver((_, observer) => {
    const times = stage.innerText.split('ms per sample').length - 1;
    cleared ||= !times;
    if (cleared && times) first ??= performance.now() - start;
    if (cleared && stage.querySelectorAll('.row.done').length === stage.querySelectorAll('.row').length) {
      observer.disconnect();
      resolve([first, performance.now() - start]);
    }
  }).observe(stage, {subtree: true, childList: true, characterData: true, attributes: true});
  [...document.querySelectorAll('button')].find(button => button.textContent.trim() === 'Ask every family').click();
})"""


def clicking(clicks=CLICKS):
    """(ms to the first row, ms to the last), of each click."""
    with serving("app.py") as (url, *_), sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.goto(url)
        page.wait_for_timeout(WARM_UP)
        times = []
        for _ in range(clicks):
            times.append(page.evaluate(CLICK))
            page.wait_for_timeout(1000)
        browser.close()
    return times


def rows(times):
    first, last = ([pair[i] for pair in times] for i in (0, 1))
    return [
        (
            "8 digits of every family: click to the first row",
            f"{median(first):.0f} ms, at most {max(first):.0f} ms",
            "must: 300 ms",
        ),
        ("the same: click to the last row", f"{median(last) / 1000:.1f} s, at most {max(last) / 1000:.1f} s", "must: 6 s"),
    ]


def main(readme: Annotated[bool, typer.Option("--readme", help="Write the table into README.md.")] = False):
    """Measure the Compare tab and print a table."""
    common.report("compare", rows(clicking()), readme, threads=lane.THREADS)


if __name__ == "__main__":
    typer.run(main)
