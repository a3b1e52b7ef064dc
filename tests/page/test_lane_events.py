"""The computing lane from wherever it is asked for: one computation at a time, whoever asks, and nothing left behind."""

import http.client
import json
import sys
import threading
import time
from collections.abc import Iterator

import gradio as gr
import pytest
import torch
from helpers import as_endpoint
from helpers_lane import SECONDS, in_threads, stream_of

from tabs import endpoints, events


class Computation:
    """Something that takes a moment and knows how many of it run at once."""

    def __init__(self):
        self.running = self.most = self.done = 0
        self.count = threading.Lock()

    def __call__(self):
        with self.count:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.005)
        with self.count:
            self.running -= 1
            self.done += 1


COMPUTE = []  # what the ways below compute: the last entry


def handler():
    COMPUTE[-1]()
    return {"stage": {}}


def steps():
    for _ in range(3):
        COMPUTE[-1]()
        yield {"stage": {}}


def once() -> dict:
    """Compute.

    Returns:
        nothing
    """
    COMPUTE[-1]()
    return {}


def stepwise() -> Iterator[dict]:
    """Compute step by step.

    Returns:
        nothing
    """
    yield from steps()


@pytest.fixture(scope="module")
def ways():
    """Every way in which the page and the API compute, as functions without arguments."""
    runs = events.Runs()
    with gr.Blocks() as page:
        number, outputs = gr.Number(), {"stage": gr.JSON()}
        events.live(number.input, handler, {}, outputs)
        events.act(number.input, handler, {}, outputs)
        runs.act(number.input, handler, {}, outputs)
        runs.stream(number.input, steps, {}, outputs, rate=1000)
        endpoints.endpoint(once)
        endpoints.endpoint(stepwise)
        endpoints.endpoint(stepwise, stream=True)
    live, act, numbered, stream, endpoint, step_by_step, streamed = (fn.fn for fn in page.fns.values())
    functions = (
        live,
        act,
        lambda: numbered(events.RunCounter(), 1),
        lambda: list(stream(events.RunCounter(), 1)),
        endpoint,
        step_by_step,
        lambda: list(streamed()),
    )
    return dict(zip(WAYS, functions, strict=True))


WAYS = (
    "a slider",
    "a button",
    "a numbered action",
    "a run",
    "an endpoint",
    "an endpoint step by step",
    "a streamed endpoint",
)


def test_one_computes_at_a_time_however_it_is_asked_for(ways):
    COMPUTE.append(compute := Computation())
    calls = list(ways.values())
    in_threads(*calls, *calls)
    assert compute.done >= 2 * len(calls)
    assert compute.most == 1


@pytest.mark.parametrize("way", WAYS)
def test_two_of_the_same_compute_one_after_the_other(ways, way):
    COMPUTE.append(compute := Computation())
    run = ways[way]
    in_threads(run, run, run)
    assert compute.done >= 3 and compute.most == 1


@pytest.mark.parametrize("error", [ValueError, RuntimeError, KeyError])
@pytest.mark.parametrize("way", WAYS)
def test_an_error_leaves_the_lane_free(ways, way, error):
    def fails():
        raise error("No.")

    COMPUTE.append(fails)
    with pytest.raises(gr.Error if error is ValueError else error):
        ways[way]()
    in_threads(lambda: events.guarded(lambda: None)())


def test_a_stopped_and_an_abandoned_run_leave_the_lane_free():
    def steps():
        try:
            while True:
                yield {"stage": {}}
        except events.Stopped:
            raise ValueError("It cannot be stopped.") from None

    stream = stream_of(steps)
    counter = events.RunCounter()
    run = stream(counter, 1)
    next(run)
    counter.stop(2)
    with pytest.raises(gr.Error, match="cannot be stopped"):
        list(run)
    run = stream(counter, 3)
    next(run)
    run.close()
    in_threads(lambda: events.guarded(lambda: None)())


@pytest.mark.parametrize("way", ["a run", "an endpoint step by step"])
def test_who_waits_gets_in_between_two_steps(way):
    """Twenty short computations while a run goes on: a run that took the lane again at once would starve them."""
    begun, finished, taken, between = threading.Event(), threading.Event(), [], []

    def many() -> Iterator[dict]:
        """Compute.

        Returns:
            nothing
        """
        while not taken or not finished.is_set() and len(taken) < 3000:
            time.sleep(0.001)
            taken.append(None)
            begun.set()
            yield {"stage": {}}

    def wait():
        begun.wait(SECONDS)
        started = len(taken)
        for _ in range(20):
            events.guarded(lambda: None)()
        between.append(len(taken) - started)
        finished.set()

    stream, endpoint = stream_of(many), as_endpoint(many)
    in_threads({"a run": lambda: list(stream(events.RunCounter(), 1)), "an endpoint step by step": endpoint}[way], wait)
    assert between[0] < 200


def test_nothing_in_the_lane_keeps_gradients_and_the_thread_keeps_its_own():
    assert events.guarded(torch.is_grad_enabled)() is False
    assert torch.is_grad_enabled()


def test_visitors_are_told_apart_by_address_and_window_and_others_headers_are_not_believed():
    """A header counts if it comes from the server's own machine, where a proxy may run."""

    def who() -> dict:
        """Who calls.

        Returns:
            address and window
        """
        return events.visitor()._asdict()

    with gr.Blocks() as page:
        endpoints.endpoint(who)
        events.live(gr.Number().input, lambda: {"out": events.visitor()._asdict()}, {}, {"out": gr.JSON()})
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True, server_name="0.0.0.0")
    port = int(url.rstrip("/").rsplit(":", 1)[1])

    def ask(path, body=None, forwarded="", source="127.0.0.1"):
        client = http.client.HTTPConnection("127.0.0.1", port, source_address=(source, 0), timeout=SECONDS)
        headers = {"Content-Type": "application/json", **({"X-Forwarded-For": forwarded} if forwarded else {})}
        client.request("POST" if body else "GET", f"/gradio_api/{path}", json.dumps(body) if body else None, headers)
        return client.getresponse().read().decode()

    def live(**client):
        return json.loads(ask("run/predict", {"data": [], "fn_index": 1, "session_hash": "w"}, **client))["data"][0]

    try:
        assert live() == {"address": "127.0.0.1", "window": "w"}
        assert live(forwarded="192.0.2.7")["address"] == "192.0.2.7"
        event = json.loads(ask("call/who", {"data": []}, forwarded="192.0.2.8"))["event_id"]
        assert '"address": "192.0.2.8"' in ask(f"call/who/{event}")
        if sys.platform == "linux":  # where every address of 127.0.0.0/8 is the machine's own
            assert live(forwarded="192.0.2.7", source="127.0.0.2")["address"] == "127.0.0.2"
    finally:
        page.close()
