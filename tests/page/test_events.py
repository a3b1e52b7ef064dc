"""tabs/events.py: the computing lane, errors, streams that can be stopped, and how an endpoint is registered."""

import concurrent.futures
import json
import math
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Literal

import gradio as gr
import numpy as np
import pytest
from helpers import as_endpoint, event, raw_of, refusal
from pydantic import Field

from tabs import endpoints, events
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.controls import Controls
from tabs.vae import sampling

# --- Errors and the lane ----------------------------------------------------------------------------------------------


def test_a_visitors_input_is_escaped_in_messages():
    def fails():
        raise ValueError("<script>alert(1)</script>")

    assert "<" not in refusal(fails)


def test_an_error_is_shown_in_place_without_the_machines_folders(checkpoints):
    def fails():
        raise ValueError(f"{checkpoints}/vae-mnist is missing.")

    assert events.guarded(fails, lambda message: {"stage": message})() == {"stage": "checkpoints/vae-mnist is missing."}
    assert events.guarded(fails, events.ignore)() == {}
    with gr.Blocks():
        outputs = {"stage": Stage(), "tiles": Tiles(), "lines": gr.Code(), "memory": gr.State(), "n": gr.Number()}
    shown = events.guarded(fails, events.in_place(outputs))()
    message = {"message": "checkpoints/vae-mnist is missing."}
    assert shown == {"stage": message, "tiles": message, "lines": "", "memory": None}


def test_visitors_do_not_disturb_each_other():
    """16 at once, each with a different code: everyone gets the right picture."""
    codes = [[round(math.sin(k + i), 3) for i in range(40)] for k in range(16)]
    move = events.guarded(sampling.move_slider)

    def decoded(z):
        return raw_of(move({"model": "vae-mnist", "z": z})["stage"]).astype(int)

    one_by_one = [decoded(z) for z in codes]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        concurrent_results = list(pool.map(decoded, codes * 4))
    assert len({picture.tobytes() for picture in one_by_one}) == 16
    assert all(np.abs(a - b).max() <= 1 for a, b in zip(concurrent_results, one_by_one * 4))


# --- Events -----------------------------------------------------------------------------------------------------------


def test_values_go_in_by_name_and_only_what_changes_comes_out():
    def handler(number, event: gr.EventData):
        i = events.event_number(event, "index", 9)
        return {"sum": number + i} if i else {}

    with gr.Blocks() as page:
        number, total, text = gr.Number(), gr.Number(), gr.Textbox()
        events.act(number.input, handler, {"number": number}, {"sum": total, "text": text})
    run = page.fns[0].fn
    assert run(event(index=2), number=3) == {total: 5}
    assert run(event(index=0), number=3) == gr.skip()
    for data in ({}, {"index": 10}, {"index": 0.5}, {"index": None}):
        with pytest.raises(gr.Error, match="index must be a whole number from 0 to 9"):
            run(event(**data), number=3)


# --- Streams ----------------------------------------------------------------------------------------------------------


def streamed(steps, rate=1e9, **options):
    """What `Runs.stream` registers for a generator function. Called with a counter and a number, it yields outputs by name."""
    handlers, outputs = [], {"stage": gr.JSON(), "text": gr.Textbox()}
    events.Runs().stream(lambda fn, *args, **flags: handlers.append(fn), steps, {}, outputs, rate=rate, **options)
    names = {component: name for name, component in outputs.items()}

    def run(counter, number):
        stream = handlers[0](counter, number)
        try:
            for output in stream:
                yield {} if output == gr.skip() else {names[component]: value for component, value in output.items()}
        finally:
            stream.close()

    return run


def counting(until=10, closed=None):
    """A generator function that counts, and yields its last number once more when it is stopped."""

    def steps():
        i = 0
        try:
            for i in range(until):
                yield {"stage": {"i": i}, "text": "running"}
        except events.Stopped:
            yield {"stage": {"i": i}, "text": "stopped"}
        finally:
            if closed:
                closed.set()

    return steps


def stage(i, turn):
    return {"stage": {"i": i, "turn": turn}}


def test_a_stream_is_paced_and_ends_with_the_last_picture():
    started = time.monotonic()
    *outputs, repeated = streamed(counting(200), rate=50)(events.RunCounter(), 1)
    assert outputs[0] == {**stage(0, 1), "text": "running"}
    assert outputs[-1] == {**stage(199, 1), "text": "running"}
    assert repeated == stage(199, 1)  # what Gradio will send once more
    assert len(outputs) < 3 + (time.monotonic() - started) * 50


def test_a_stream_that_drops_nothing_waits_instead():
    *outputs, _ = streamed(counting(5), rate=200, drop=False)(events.RunCounter(), 1)
    assert [output["stage"]["i"] for output in outputs] == [0, 1, 2, 3, 4]


def test_outputs_that_were_not_sent_are_sent_with_the_next():
    def steps():
        yield {"stage": {"i": 0}, "text": "first"}
        yield {"stage": {"i": 1}, "text": "second"}
        for i in range(2, 20):
            yield {"stage": {"i": i}}

    *outputs, _ = streamed(steps, rate=0.1)(events.RunCounter(), 1)
    assert outputs == [{**stage(0, 1), "text": "first"}, {**stage(19, 1), "text": "second"}]


def test_a_stream_frees_the_lane_between_steps_and_closes_when_abandoned():
    closed = threading.Event()
    running = streamed(counting(closed=closed))(events.RunCounter(), 1)
    next(running)
    assert events.guarded(lambda: "free")() == "free"
    running.close()
    assert closed.is_set()


def test_a_visitors_next_action_ends_their_run():
    counter, closed = events.RunCounter(), threading.Event()
    run = streamed(counting(closed=closed))
    first = run(counter, 1)
    next(first)
    second = run(counter, 2)
    next(second)
    assert list(first) == [stage(0, 1)]  # nothing new
    assert closed.is_set()
    assert next(second)["stage"] == {"i": 1, "turn": 2}
    assert next(run(events.RunCounter(), 1))["stage"] == {"i": 0, "turn": 1}  # another visitor's
    assert next(second)["stage"] == {"i": 2, "turn": 2}
    assert list(run(counter, 1)) == [{}]  # it waited in the queue meanwhile


def test_a_refused_action_ends_no_run():
    def refused():
        raise ValueError("No.")
        yield

    counter = events.RunCounter()
    first = streamed(counting())(counter, 1)
    next(first)
    with pytest.raises(gr.Error):
        next(streamed(refused)(counter, 2))
    assert next(first)["stage"] == {"i": 1, "turn": 1}


def test_a_stopped_run_yields_its_last_state():
    counter = events.RunCounter()
    run = streamed(counting())
    first = run(counter, 1)
    assert [next(first)["stage"]["i"] for _ in range(3)] == [0, 1, 2]
    counter.stop(2)
    assert list(first) == [{**stage(2, 1), "text": "stopped"}, stage(2, 1)]
    assert list(run(counter, 1)) == [{}]  # it waited in the queue when Stop was pressed
    assert next(run(counter, 3))["stage"] == {"i": 0, "turn": 3}
    counter.stop(None)  # anyone can send anything
    assert not counter.begin(float("nan"))


def test_stop_is_enabled_while_there_is_a_run():
    def refused_later():
        yield {"stage": {"i": 0}}
        raise ValueError("No.")

    with gr.Blocks() as page:
        button, stop, outputs = gr.Button(), gr.Button(), {"stage": gr.JSON(), "text": gr.Textbox()}
        runs = events.Runs(stop=stop)
        for steps in (counting(3), refused_later):
            runs.stream(button.click, steps, {}, outputs, rate=1000)
        runs.act(button.click, lambda: {"stage": {"i": 9}}, {}, outputs)
    end, run, refused, act = (fn.fn for fn in page.fns.values())
    assert not stop.interactive

    def enabled(values):
        return [value[stop]["interactive"] for value in values if stop in value]

    counter = events.RunCounter()
    assert enabled(run(counter, 1)) == [True, False]
    first = run(counter, 2)
    assert enabled([next(first)]) == [True]
    assert enabled([act(counter, 3)]) == [False]
    assert enabled(first) == []  # what it says now is outdated
    first = run(counter, 4)
    next(first)
    end(counter, 5)
    assert enabled(first) == [False]
    failing = refused(counter, 6)
    assert enabled([next(failing), next(failing)]) == [True, False]
    with pytest.raises(gr.Error):
        next(failing)


def test_an_action_on_the_stage_is_numbered_and_dropped_when_outdated():
    with gr.Blocks() as page:
        step, canvas = gr.Number(), gr.JSON()
        events.Runs().live(step.input, lambda step: {"stage": {"i": step}}, {"step": step}, {"stage": canvas})
    run, counter = page.fns[0].fn, events.RunCounter()
    assert run(counter, 2, step=5) == {canvas: {"i": 5, "turn": 2}}
    assert run(counter, 1, step=4) == gr.skip()
    assert run(counter, None, step=4) == gr.skip()  # anyone can send anything


def test_visitors_end_only_their_own_runs():
    def steps():
        for i in range(1000):
            time.sleep(0.01)
            yield {"stage": {"i": i}, "text": ""}

    with gr.Blocks() as page:
        button, stop, outputs = gr.Button(), gr.Button(), {"stage": gr.JSON(), "text": gr.Textbox()}
        events.Runs(stop=stop).stream(button.click, steps, {}, outputs)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)

    def post(path, visitor, fn_index, number):
        body = json.dumps({"data": [None, number], "fn_index": fn_index, "session_hash": visitor}).encode()
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}gradio_api/{path}", body, {"Content-Type": "application/json"})
        ) as answer:
            answer.read()

    def until(lines, word):
        while word not in (line := lines.readline()):
            assert line

    streams = {}
    try:
        for visitor in ("one", "other"):
            post("queue/join", visitor, 1, 1)
            streams[visitor] = urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash={visitor}", timeout=20)
            until(streams[visitor], b"process_generating")
        post("run/predict", "one", 0, 2)
        until(streams["one"], b"process_completed")
        for _ in range(5):
            until(streams["other"], b"process_generating")
    finally:
        for lines in streams.values():
            lines.close()
        page.close()


# --- Endpoints --------------------------------------------------------------------------------------------------------


class Options(Controls):
    n: int = Field(4, ge=1, le=9, title="Samples")
    label: str = Field("any", title="Class", max_length=20)
    size: int = Field(1, ge=1, le=3, title="Size", description="of each")


def draw(model: Literal["a", "b"] = "a", options: Options = Options(n=2), test_picture_number: int = 0) -> dict:  # noqa: B008
    """Draw.

    Args:
        model: a or b.
        n: how many.
    Returns:
        What it was called with.
    """
    return {"model": model, "test_picture_number": test_picture_number, **dict(options)}


def count(until: int = 3) -> Iterator[dict]:
    """Count.

    Args:
        until: a number.
    Returns:
        The last number.
    """
    for i in range(until):
        yield {"i": i}


def test_an_endpoint_has_a_parameter_for_each_control_with_its_own_default():
    with gr.Blocks() as page:
        endpoints.endpoint(draw)
    endpoint = page.get_api_info()["named_endpoints"]["/draw"]
    defaults = {p["parameter_name"]: p["parameter_default"] for p in endpoint["parameters"]}
    assert list(defaults.items()) == [("model", "a"), ("n", 2), ("label", "any"), ("size", 1), ("test_picture_number", 0)]
    doc = page.fns[0].fn.__doc__
    assert "n: how many." in doc and doc.count("    n:") == 1
    assert "size: Size (of each): a whole number from 1 to 3." in doc and f"label: {endpoints.ARGUMENTS['label']}" in doc
    assert doc.index("    label:") < doc.index("Returns:")


def test_an_endpoint_checks_its_controls_and_names_them_as_parameters():
    run = as_endpoint(draw)
    values = {"model": "b", "n": 9, "label": "3", "size": 2, "test_picture_number": 5}
    assert run(**values) == values
    for changed, says in (({"n": 0}, "n must be a whole number from 1 to 9"), ({"label": None}, "label must be a text")):
        with pytest.raises(gr.Error, match=f"^'?{says}"):
            run(**{**values, **changed})


def test_an_endpoint_that_streams_answers_with_each_step_or_with_the_last():
    assert as_endpoint(count)(until=3) == {"i": 2}
    with gr.Blocks() as page:
        endpoints.endpoint(count, stream=True)
    assert list(page.fns[0].fn(until=3)) == [{"i": 0}, {"i": 1}, {"i": 2}]


def test_an_endpoint_needs_a_docstring():
    def undescribed(what: int = 0) -> dict:
        """What an argument is must be said somewhere."""

    with gr.Blocks():
        with pytest.raises(TypeError, match="needs a docstring"):
            endpoints.endpoint(lambda: None)
        with pytest.raises(KeyError, match="what"):
            endpoints.endpoint(undescribed)


def test_a_tab_opens_once_though_a_server_that_was_restarted_knows_of_no_visit():
    with gr.Blocks() as page:
        visited = gr.State(False)
        with gr.Tab() as tab:
            events.first_visit(page, tab, visited)
    select = next(fn for fn in page.fns.values() if (tab._id, "select") in fn.targets)
    assert select.fn(visits=False, again=False) == 1 and select.fn(visits=3, again=True) == 3
    assert select.fn(visits=False, again=True) == gr.skip()
