"""The computing lane of tabs/events.py: one computation at a time, from wherever it is asked for; and what runs give way to."""

import threading
import time
from collections.abc import Iterator

import gradio as gr
import pytest
import torch
from helpers import as_endpoint

import app
from tabs import endpoints, events
from tabs.components.draw_pad import DrawPad
from tabs.components.sliders import Sliders

MOVING = (gr.Slider, Sliders, DrawPad)  # what sends every move
SECONDS = 20  # after which a thread counts as stuck


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


def in_threads(*calls):
    """Run the calls at the same moment, each in a thread of its own; an error or a stuck thread fails the test."""
    barrier, errors = threading.Barrier(len(calls)), []

    def run(call):
        barrier.wait(SECONDS)
        try:
            call()
        except BaseException as e:  # noqa: BLE001
            errors.append(e)

    threads = [threading.Thread(target=run, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not any(thread.is_alive() for thread in threads), "a computation waits for ever"
    if errors:
        raise errors[0]


def registered(register):
    """What a page runs for an event. register: (trigger, stage) -> registers it."""
    with gr.Blocks() as page:
        number = gr.Number()
        register(number.input, {"stage": gr.JSON()})
    return page.fns[0].fn


def stream_of(steps):
    """What a page runs for a stream, given a counter and a number."""
    return registered(lambda trigger, outputs: events.Runs().stream(trigger, steps, {}, outputs, rate=10_000))


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


@pytest.mark.parametrize("way", ["a run", "an endpoint step by step", "a streamed endpoint"])
def test_a_run_rests_outside_the_lane_after_each_step(ways, way, monkeypatch):
    """Without a rest it takes the lane again before whoever waits for it wakes up."""
    COMPUTE.append(lambda: None)
    rests, sleep = [], time.sleep

    def rest(seconds):
        rests.append(seconds > 0 and not events._lane.locked())
        sleep(seconds)

    monkeypatch.setattr(events.time, "sleep", rest)
    ways[way]()
    assert len(rests) >= 3 and all(rests)


def test_nothing_in_the_lane_keeps_gradients_and_the_thread_keeps_its_own():
    assert events.guarded(torch.is_grad_enabled)() is False
    assert torch.is_grad_enabled()


# --- Actions and runs, numbered in the order of the visitor ------------------------------------------------------------


def test_an_action_that_was_overtaken_is_not_even_computed():
    computed = []

    def handler(value):
        computed.append(value)
        return {"stage": {"value": value}}

    with gr.Blocks() as page:
        slider, stage = gr.Number(), gr.JSON()
        events.Runs().act(slider.input, handler, {"value": slider}, {"stage": stage})
    act, counter = page.fns[0].fn, events.RunCounter()
    assert act(counter, 3, value="newest") == {stage: {"value": "newest", "turn": 3}}
    assert act(counter, 2, value="older") == gr.skip()
    assert computed == ["newest"]
    assert act(counter, 3, value="again") == {stage: {"value": "again", "turn": 3}}


def test_what_was_overtaken_while_it_was_computed_is_not_shown():
    counter = events.RunCounter()

    def handler():
        counter.begin(5)  # meanwhile
        return {"stage": {}}

    act = registered(lambda trigger, outputs: events.Runs().act(trigger, handler, {}, outputs))
    assert act(counter, 4) == gr.skip()


def test_a_step_that_was_overtaken_while_it_was_computed_is_not_sent():
    counter, closed = events.RunCounter(), []

    def steps():
        try:
            yield {"stage": {"i": 0}}
            counter.begin(2)
            yield {"stage": {"i": 1}}
            yield {"stage": {"i": 2}}
        finally:
            closed.append(True)

    stream = stream_of(steps)
    seen = [value["i"] for output in stream(counter, 1) for value in output.values() if isinstance(value, dict)]
    assert 1 not in seen and 2 not in seen
    assert closed == [True]


def test_a_stop_ends_only_what_was_begun_before_it():
    counter = events.RunCounter()

    def steps():
        for i in range(3):
            yield {"stage": {"i": i}}

    stream = stream_of(steps)
    counter.stop(4)
    assert list(stream(counter, 3)) == [gr.skip()]
    *_, last = stream(counter, 5)
    assert next(iter(last.values())) == {"i": 2, "turn": 5}
    counter.stop(1)  # late
    *_, last = stream(counter, 6)
    assert next(iter(last.values())) == {"i": 2, "turn": 6}


def test_sliders_are_followed_to_their_last_position_and_streams_are_not_held_back():
    """As the browser gets it; the effect of `always_last` is in the browser's tests."""
    blocks, events_of_page = app.demo.blocks, app.demo.fns.values()
    sliders = [
        (fn, blocks[target])
        for fn in events_of_page
        for target, event in fn.targets
        if event == "input" and type(blocks.get(target)) in MOVING
    ]
    assert len(sliders) > 20
    for fn, component in sliders:
        assert fn.trigger_mode == "always_last", component.elem_id
        assert fn.queue is False or fn.js and fn.trigger_after is None, component.elem_id
        assert fn.show_progress == "hidden", component.elem_id
    for fn in events_of_page:
        if fn.js == events.Runs.NUMBER and not any(e in ("input", "load") for _, e in fn.targets):
            assert fn.trigger_mode == "multiple", fn.name
        if fn.types_generator and fn.api_visibility == "private":
            assert fn.concurrency_limit == 4 and fn.queue, fn.name
