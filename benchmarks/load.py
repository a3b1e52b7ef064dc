"""Many visitors: sliders alone, and beside visitors who do everything that takes long; and whether it can go on for hours.

    python -m benchmarks.load                a quarter of an hour on two cores; prints a table
    python -m benchmarks.load --readme       also writes it into README.md
    python -m benchmarks.load --soak 30      30 minutes of mixed traffic: memory, open files, threads and temporary files;
                                             whether they grow, with --readme also in README.md
    python -m benchmarks.load --url http://127.0.0.1:7800 --seconds 20 --sliders-only
                                             of a server that runs already, such as a proxy before several

Every visitor has an address of its own, see `benchmarks.visitors`. Nothing else should run on the machine meanwhile.

The time of a heavy run under equal sharing is the time that it takes alone, times the number of visitors who compute at once:
those with sliders, who hardly pause, and those with heavy work. The traffic goes on until each heavy visitor has had a result.
"""

import io
import json
import os
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import psutil
import typer
from PIL import Image

import genmodels as gm
from benchmarks import common
from benchmarks.common import p95
from benchmarks.page import serving
from benchmarks.visitors import Client, Visitors, busy, errors, sliders
from tabs import lane

SECONDS, SLIDERS, MANY = 30, 16, 64
PIXELS = (4000, 3000)  # of the photograph that is restored
SAMPLE_EVERY = 5.0  # seconds, of the soak
FLAT = 0.05  # of the mean: what may be more after an hour, if the second half goes on like this


@dataclass
class Work:
    """What a heavy visitor does again and again: an endpoint and its arguments; others are as the endpoint opens."""

    title: str
    endpoint: str
    arguments: dict[str, Any]
    visitors: int
    seconds: list[float] = field(default_factory=list)  # of each run


def heavy_work() -> list[Work]:
    return [
        Work("16 digits by diffusion in 32 steps", "diffusion_sample", {"n": 16, "steps": 32}, 2),
        Work("1,000 characters", "text_generate", {"max_new_tokens": 1000}, 2),
        Work("30 faces by the GAN", "gan_sample", {"model": "gan-avatars", "n": 30}, 2),
        Work("12 megapixels restored", "denoise", {"kind": "none"}, 1),
    ]


def photograph() -> bytes:
    file = io.BytesIO()
    gm.pictures.grid(gm.data.photograph(gm.data.PHOTOGRAPHS[0])).resize(PIXELS, Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


class Endpoints:
    """The API's endpoints with the values that they open with."""

    def __init__(self, url: str):
        with urllib.request.urlopen(f"{url}/gradio_api/info") as answer:
            self.named = json.loads(answer.read())["named_endpoints"]

    def values(self, name: str, arguments: dict[str, Any]) -> list[Any]:
        """The data of a call. Raises ValueError if the endpoint has no such argument."""
        parameters = self.named[f"/{name}"]["parameters"]
        unknown = set(arguments) - {p["parameter_name"] for p in parameters}
        if unknown:
            raise ValueError(f"/{name} has no {', '.join(sorted(unknown))}.")
        return [arguments.get(p["parameter_name"], p.get("parameter_default")) for p in parameters]


# --- Traffic ----------------------------------------------------------------------------------------------------------


def heavy_visitors(url: str, works: list[Work], network: str = "203.0.113") -> Visitors:
    """The visitors of each work, who begin again when they have their result. network: the beginning of their addresses."""
    endpoints, visitors = Endpoints(url), []
    for k, work in enumerate(works):
        for i in range(work.visitors):
            client = Client(url, f"{network}.{10 * k + i + 1}")
            arguments = work.arguments
            if work.endpoint == "denoise":
                arguments = arguments | {"picture": {"path": client.upload(photograph()), "meta": {"_type": "gradio.FileData"}}}
            visitors.append((client, runner(client, work, endpoints.values(work.endpoint, arguments)), 0.0))
    return visitors


def runner(client: Client, work: Work, values: list[Any]) -> Callable[[int], None]:
    def run(i):
        started = time.perf_counter()
        client.call(work.endpoint, values)
        work.seconds.append(time.perf_counter() - started)

    return run


@contextmanager
def peak_memory(process: psutil.Popen | Any) -> Iterator[list[float]]:
    """A list that holds, at the end, the largest GB of memory of a process meanwhile; of None, nothing."""
    found, end = [0.0], threading.Event()
    if process is None:
        yield []
        return

    def watch():
        while not end.wait(0.25):
            found[0] = max(found[0], psutil.Process(process.pid).memory_info().rss / 2**30)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        end.set()
        thread.join()


# --- What is measured -------------------------------------------------------------------------------------------------


def alone(url: str, work: Work) -> float:
    """Seconds of a run while nobody else is there."""
    single = Work(work.title, work.endpoint, work.arguments, 1)
    ((_client, run, _pause),) = heavy_visitors(url, [single], "198.51.100")
    for i in range(2):
        run(i)
    return single.seconds[-1]


@dataclass
class Measured:
    """alone, mixed: (milliseconds of each move of a slider, seconds of measuring, errors). works: with the seconds of each run
    in mixed traffic, and of one alone. peak: GB of memory."""

    alone: dict[int, tuple[list[float], float, int]]  # by number of visitors
    mixed: tuple[list[float], float, int]
    works: list[tuple[Work, float]]
    peak: float | None


@contextmanager
def page(url: str) -> Iterator[tuple[str, Any]]:
    """(address, process) of the page; that of an address that is given is unknown."""
    if url:
        yield url.rstrip("/"), None
    else:
        with serving("app.py") as (own, process, _):
            yield own, process


def several_sliders(url: str, n: int, times: list[float]) -> Visitors:
    """Visitors with sliders who have opened the page."""
    moving = sliders(url, n, times)
    for client, *_ in moving:
        client.visit()
    return moving


def sliders_alone(url: str, seconds: float) -> dict[int, tuple[list[float], float, int]]:
    with busy(several_sliders(url, 4, [])):  # models load meanwhile
        time.sleep(15)
    by_number = {}
    for n in (SLIDERS, MANY):
        times: list[float] = []
        moving = several_sliders(url, n, times)
        with busy(moving):
            time.sleep(seconds)
        by_number[n] = times, seconds, errors(moving)
    return by_number


def measure(seconds: float = SECONDS, url: str = "") -> Measured:
    with page(url) as (url, process):
        by_number = sliders_alone(url, seconds)
        works = heavy_work()
        single, times = [alone(url, work) for work in works], []
        moving, heavy = several_sliders(url, SLIDERS, times), heavy_visitors(url, works)
        with peak_memory(process) as peak, busy(heavy):
            time.sleep(2)
            with busy(moving):
                started = time.perf_counter()
                while time.perf_counter() - started < 2 * seconds or any(len(work.seconds) < work.visitors for work in works):
                    time.sleep(1)
                mixed = time.perf_counter() - started
    return Measured(by_number, (times, mixed, errors(moving + heavy)), list(zip(works, single)), peak[0] if peak else None)


# --- Rows of the table ------------------------------------------------------------------------------------------------


def rows(found: Measured) -> list[tuple[str, str, str]]:
    table = alone_rows(found.alone)
    table.append(slider_row(f"sliders of {SLIDERS} visitors beside heavy work", *found.mixed, 500))
    visitors = SLIDERS + sum(work.visitors for work, _ in found.works)
    for work, at_once in found.works:
        measured = f"longest of {len(work.seconds)}: {max(work.seconds, default=float('inf')):.1f} s (alone {at_once:.1f} s)"
        share = max(work.seconds, default=float("inf")) / (visitors * at_once)
        table.append(
            (work.title, measured, f"**{share:.2f}** of its time under equal sharing, {visitors} times alone; must: 2")
        )
    memory = [("memory, at most", f"{found.peak:.2f} GB", "must: 1.8 GB")] if found.peak else []
    return [*table, *memory]


def alone_rows(by_number: dict[int, tuple[list[float], float, int]]) -> list[tuple[str, str, str]]:
    musts = {SLIDERS: 200}
    return [slider_row(f"sliders of {n} visitors alone", *values, musts.get(n)) for n, values in by_number.items()]


def slider_row(title: str, times: list[float], seconds: float, failed: int, must: int | None) -> tuple[str, str, str]:
    measured = f"{median(times):.0f} / {p95(times):.0f} ms, {len(times) / seconds:.0f} pictures/s"
    return (f"{title}, p50 / p95", measured, f"**{failed} errors**; must: no error" + (f", p95 {must} ms" if must else ""))


# --- Soak -------------------------------------------------------------------------------------------------------------


MEASURED = {  # of the server -> unit
    "memory": " MB",
    "open files and connections": "",
    "threads": "",
    "temporary files": "",
    "temporary files' size": " MB",
}


def soak(minutes: float) -> list[tuple[str, str, str]]:
    """What grows under mixed traffic of some minutes, seen in the second half: caches fill in the first."""
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        with serving("app.py") as (url, process, _):
            server = psutil.Process(process.pid)
            visitors = sliders(url, SLIDERS, []) + heavy_visitors(url, heavy_work())
            with busy(visitors):
                end = time.monotonic() + 60 * minutes
                while time.monotonic() < end:
                    time.sleep(SAMPLE_EVERY)
                    samples.append(in_use(server, Path(folder)))
                    print(*(f"{value:.4g}" for value in samples[-1]), flush=True)
    return [*growth(np.array(samples[len(samples) // 2 :]), minutes), ("errors", str(errors(visitors)), "must: none")]


def trend(values: np.ndarray) -> tuple[float, bool]:
    """(slope of a straight line through the samples an hour, whether it counts as flat).

    Flat is what grows by less than `FLAT` of its mean an hour, or by less than the samples themselves vary.
    """
    hours = np.arange(len(values)) * SAMPLE_EVERY / 3600
    slope = float(np.polyfit(hours, values, 1)[0])
    grown = slope * hours[-1]  # during the samples
    return slope, slope <= FLAT * values.mean() or grown <= values.std()


def growth(samples: np.ndarray, minutes: float) -> list[tuple[str, str, str]]:
    """A row for each column of samples (N, 5), which are `SAMPLE_EVERY` apart: the mean, the slope, and what that means."""
    table = []
    for (name, unit), values in zip(MEASURED.items(), samples.T):
        slope, flat = trend(values)
        remark = f"{slope:+,.1f}{unit} an hour: **{'flat' if flat else 'it grows'}**"
        table.append((f"{name}, {minutes:g} minutes", f"{values.mean():.4g}{unit}", remark))
    return table


def sizes(folder: Path) -> list[int]:
    """Bytes of each file in a folder and those below it, some of which are deleted meanwhile."""
    found = []
    for parent, _folders, files in os.walk(folder):
        for name in files:
            with suppress(FileNotFoundError):
                found.append(os.stat(os.path.join(parent, name)).st_size)
    return found


def in_use(server: psutil.Process, folder: Path) -> tuple[float, ...]:
    """What `MEASURED` names."""
    files = sizes(folder)
    handles = server.num_fds() if hasattr(server, "num_fds") else server.num_handles()
    return server.memory_info().rss / 1e6, handles, server.num_threads(), len(files), sum(files) / 1e6


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Write the table into README.md.")] = False,
    url: Annotated[str, typer.Option(help="Of a server that runs already, instead of one that is started.")] = "",
    seconds: Annotated[float, typer.Option(help="For which sliders are moved.")] = SECONDS,
    sliders_only: Annotated[bool, typer.Option("--sliders-only", help="Without the heavy work.")] = False,
    soak_minutes: Annotated[float, typer.Option("--soak", help="Minutes of mixed traffic, instead of the table.")] = 0,
) -> None:
    """Measure many visitors and print a table."""
    if soak_minutes:
        common.report("soak", soak(soak_minutes), readme, threads=lane.THREADS, command=f"load --soak {soak_minutes:g}")
    elif sliders_only:
        with page(url) as (address, _process):
            print(common.section("load", alone_rows(sliders_alone(address, seconds)), threads=lane.THREADS))
    else:
        common.report("load", rows(measure(seconds, url)), readme and not url, threads=lane.THREADS)


if __name__ == "__main__":
    typer.run(main)
