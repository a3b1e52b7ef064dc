"""Fair shares: how long visitors' sliders take beside one visitor with ten windows, and beside heavy clients of the API.

    python -m benchmarks.visitors            a minute and a half on two cores; prints a table
    python -m benchmarks.visitors --readme   also writes it into README.md

Every visitor has an address of its own: the page takes it from the header X-Forwarded-For of whoever runs on the same machine.
"""

import io
import json
import os
import sys
import threading
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from http.client import HTTPException
from http.cookiejar import CookieJar
from statistics import median
from typing import Annotated

import typer
from PIL import Image

import genmodels as gm
from benchmarks import common
from benchmarks.common import p95
from benchmarks.page import VAES, live_event, serving
from tabs import lane

SECONDS, VISITORS = 20, 4
WINDOWS = 5  # that move sliders, and as many that stream samples, of one visitor
HEAVY_CLIENTS, SIDE = 4, 1000  # clients that denoise a picture of SIDE x SIDE pixels again and again
MUST = 500  # milliseconds, p95
TITLES = (
    "alone",
    f"beside one visitor with {2 * WINDOWS} windows",
    f"beside {HEAVY_CLIENTS} API clients that denoise {SIDE}x{SIDE} pixels",
)


class Client:
    """A window of a visitor, or a program that calls the API. Errors are counted, and printed on stderr."""

    def __init__(self, url: str, address: str):
        self.url, self.address, self.session, self.errors = url, address, uuid.uuid4().hex, 0
        self.browser = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(CookieJar())
        )  # a proxy may ask for cookies

    def open(self, path: str, body: dict | bytes | None = None, kind: str = "application/json"):
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        headers = {"Content-Type": kind, "X-Forwarded-For": self.address}
        return self.browser.open(urllib.request.Request(f"{self.url}/gradio_api/{path}", data, headers), timeout=120)

    def fails(self, why: object) -> None:
        self.errors += 1
        print(f"{time.strftime('%X')} {self.address}: {why}", file=sys.stderr, flush=True)

    def visit(self) -> None:
        """Open a small part of the page, for the cookie of a proxy."""
        request = urllib.request.Request(f"{self.url}/manifest.json", headers={"X-Forwarded-For": self.address})
        self.browser.open(request, timeout=120).close()

    def read(self, path: str, body: dict | bytes | None = None, kind: str = "application/json"):
        with self.open(path, body, kind) as answer:
            return json.loads(answer.read())

    def move(self, event: int, model: str, i: int) -> None:
        sliders = {"model": model, "z": [(i * 7) % 60 / 10 - 3], "dims": [], "unused": 0}
        self.read("run/predict", {"data": [sliders], "fn_index": event, "session_hash": self.session})

    def stream(self, event: int, data: list) -> None:
        """One run of the page's: all of its messages."""
        self.read("queue/join", {"data": data, "fn_index": event, "session_hash": self.session})
        with self.open(f"queue/data?session_hash={self.session}") as lines:
            for line in lines:
                if b"process_completed" in line:
                    if b'"success":false' in line.replace(b" ", b""):
                        self.fails(line)
                    return

    def call(self, name: str, data: list) -> None:
        event = self.read(f"call/{name}", {"data": data})["event_id"]
        with self.open(f"call/{name}/{event}") as lines:
            answer = lines.read()
        if b"event: complete" not in answer:
            self.fails(answer[-300:])

    def upload(self, content: bytes) -> str:
        """The path of the file on the server."""
        head = '--limit\r\nContent-Disposition: form-data; name="files"; filename="picture.png"\r\n\r\n'
        body = head.encode() + content + b"\r\n--limit--\r\n"
        return self.read("upload", body, "multipart/form-data; boundary=limit")[0]


def repeat(client: Client, act: Callable[[int], None], end: threading.Event, pause: float = 0) -> None:
    i = 0
    while not end.is_set():
        try:
            act(i)
        except (OSError, ValueError, HTTPException) as e:
            client.fails(repr(e))
        i += 1
        end.wait(pause)


@contextmanager
def busy(clients: Iterable[tuple[Client, Callable[[int], None], float]]):
    """The clients act again and again, each in a thread of its own."""
    end = threading.Event()
    threads = [threading.Thread(target=repeat, args=(c, act, end, pause), daemon=True) for c, act, pause in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join(120)


def run_of(url: str, elem_id: str) -> tuple[int, list]:
    """(number of the event with which a stage streams when a slider of the tab is released, its inputs as the page opens)."""
    config = json.loads(urllib.request.urlopen(f"{url}/config").read())
    values = {c["id"]: c["props"].get("value") for c in config["components"]}
    slider = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == elem_id)
    event = next(d for d in config["dependencies"] if [slider, "release"] in [list(t) for t in d["targets"]])
    return event["id"], [values[i] for i in event["inputs"]]


Visitors = list[tuple[Client, Callable[[int], None], float]]  # as `busy` takes them


def sliders(url: str, n: int, times: list[float]) -> Visitors:
    """n visitors who drag a slider: each requests the next picture 50 ms after the one before has arrived, and notes in `times`
    how many milliseconds it took."""
    event, clients = live_event(url), [Client(url, f"192.0.2.{i + 1}") for i in range(n)]

    def mover(client, model):
        def move(i):
            started = time.perf_counter()
            client.move(event, model, i)
            times.append(1000 * (time.perf_counter() - started))

        return move

    return [(client, mover(client, VAES[i % len(VAES)]), 0.05) for i, client in enumerate(clients)]


def errors(visitors: Visitors) -> int:
    return sum(client.errors for client, *_ in visitors)


def visit(url: str, seconds: float) -> tuple[list[float], int]:
    """(milliseconds of each move of some visitors' sliders, how many failed)."""
    times: list[float] = []
    moving = sliders(url, VISITORS, times)
    with busy(moving):
        time.sleep(seconds)
    return times, errors(moving)


def windows(url: str) -> list:
    """One visitor's: half of them move sliders without a pause, the others stream samples."""
    event, (run, data) = live_event(url), run_of(url, "diffusion-n")
    clients = [Client(url, "198.51.100.1") for _ in range(2 * WINDOWS)]
    moving = [(c, lambda i, c=c: c.move(event, "vae-avatars", i), 0.02) for c in clients[:WINDOWS]]

    def stream(client):
        return lambda i: client.stream(run, [*data[:1], i + 1, *data[2:]])

    return moving + [(c, stream(c), 0) for c in clients[WINDOWS:]]


def heavy_clients(url: str) -> list:
    picture, file = (
        gm.pictures.grid(gm.data.photograph(gm.data.PHOTOGRAPHS[0])).resize((SIDE, SIDE), Image.Resampling.BICUBIC),
        io.BytesIO(),
    )
    picture.save(file, "PNG")
    clients = []
    for i in range(HEAVY_CLIENTS):
        client = Client(url, f"203.0.113.{i + 1}")
        path = client.upload(file.getvalue())
        file_data = {"path": path, "meta": {"_type": "gradio.FileData"}}
        data = ["denoiser-photo", file_data, 0, "gaussian", 0.1, 0, "ours", 0]
        clients.append((client, lambda i, c=client, d=data: c.call("denoise", d), 0))
    return clients


def measure(seconds: float = SECONDS) -> list[tuple[str, list[float], int]]:
    """(beside what, milliseconds of each move, errors of all clients)."""
    results = []
    with serving("app.py") as (url, *_):
        visit(url, 10)  # models load meanwhile
        for title, others in zip(TITLES, ([], windows(url), heavy_clients(url))):
            with busy(others):
                time.sleep(2 if others else 0)
                times, failed = visit(url, seconds)
            results.append((title, times, failed + errors(others)))
    return results


def rows(results):
    return [
        (
            f"sliders of {VISITORS} visitors {title}, p50 / p95",
            f"{median(times):.0f} / {p95(times):.0f} ms",
            f"**{failed} errors**; must: no error, p95 {MUST / 1000:g} s",
        )
        for title, times, failed in results
    ]


def main(readme: Annotated[bool, typer.Option("--readme", help="Write the table into README.md.")] = False):
    """Measure how visitors share the page and print a table."""
    load = f", load average {os.getloadavg()[0]:.1f} before it" if hasattr(os, "getloadavg") else ""
    results, remark = measure(), f" for the models of the page{load}"
    common.report("visitors", rows(results), readme, threads=lane.THREADS, remark=remark)


if __name__ == "__main__":
    typer.run(main)
