"""Threads that compute in the lane at the same time, and functions as a page runs them."""

import threading
import time

import gradio as gr

from tabs import events, lane

SECONDS = 20  # after which a thread counts as stuck


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
    return registered(lambda trigger, outputs: events.Runs().stream(trigger, steps, {}, outputs, rate=1e9))


def waiting(n):
    """Wait until n turns wait for the lane."""
    deadline = time.monotonic() + SECONDS
    while len(lane.MODELS._waiting) != n:
        assert time.monotonic() < deadline, f"{len(lane.MODELS._waiting)} turns wait"
        time.sleep(0.001)
