"""The computing lane of tabs/events.py: one computation at a time, from wherever it is asked for; and what runs give way to."""

import functools
import http.client
import json
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator

import gradio as gr
import pytest
import torch
from helpers import ROOT, as_endpoint, is_sentence

import app
import genmodels as gm
from tabs import endpoints, events, lane, sources
from tabs.components.draw_pad import DrawPad
from tabs.components.sliders import Sliders
from tabs.denoiser import comparison, noise, pictures, whole
from tabs.denoiser.noise import Restoration
from tabs.diffusion import compare, inpainting
from tabs.diffusion import sampling as diffusion
from tabs.flow import sampling as flow
from tabs.gan import interpolation as gan_interpolation
from tabs.gan import inversion, quiz
from tabs.gan import sampling as gan
from tabs.playground import training
from tabs.transformer import pixels, poems, surprisal, writing
from tabs.vae import sampling as vae

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
    return registered(lambda trigger, outputs: events.Runs().stream(trigger, steps, {}, outputs, rate=1e9))


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


# --- Who comes first --------------------------------------------------------------------------------------------------

ONE, OTHER = lane.Visitor("192.0.2.1", "a"), lane.Visitor("192.0.2.2", "b")
USED = "192.0.2.3"  # has computed before


@pytest.fixture
def lanes(monkeypatch):
    """Lanes that nobody has used, in which each computation gives way at once."""
    monkeypatch.setattr(lane, "MODELS", lane.Lane())
    monkeypatch.setattr(lane, "FILES", lane.Lane())
    monkeypatch.setattr(lane, "SLICE", 0.0)
    monkeypatch.setattr(lane, "BRIEF", 0.0)


def waiting(n):
    """Wait until n turns wait for the lane."""
    deadline = time.monotonic() + SECONDS
    while len(lane.MODELS._waiting) != n:
        assert time.monotonic() < deadline, f"{len(lane.MODELS._waiting)} turns wait"
        time.sleep(0.001)


def in_order(*turns, meanwhile=lambda: None):
    """The order in which turns, (name, visitor, urgent), compute if they come in this order while the lane is taken.

    meanwhile: called while all of them wait.
    """
    order, threads = [], []

    def compute(name, visitor, urgent):
        with lane.turn(visitor, urgent):
            order.append(name)

    with lane.turn(lane.Visitor(USED), False):
        for i, turn in enumerate(turns):
            threads.append(threading.Thread(target=compute, args=turn, daemon=True))
            threads[-1].start()
            waiting(i + 1)
        meanwhile()
    for thread in threads:
        thread.join(SECONDS)
    return order


def test_what_somebody_watches_comes_first(lanes):
    first = in_order(("run", ONE, False), ("slider", OTHER, True), ("API", lane.Visitor("192.0.2.4"), False))
    assert first == ["slider", "run", "API"]


def test_who_has_computed_least_comes_first(lanes):
    lane.MODELS.usage.add(time.monotonic(), ONE.address, 1.0)
    assert in_order(("one", ONE, True), ("one again", ONE, True), ("other", OTHER, True)) == ["other", "one", "one again"]


def test_ten_windows_of_a_visitor_count_as_one(lanes):
    """The other's move is answered after at most one of theirs, and each window gets its turn."""
    windows = [lane.Visitor(ONE.address, f"window {i}") for i in range(10)]
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 1e-9)
    order = in_order(*((i, window, True) for i, window in enumerate(windows)), ("other", OTHER, True))
    assert order.index("other") <= 1
    assert sorted(set(order) - {"other"}) == list(range(10))


def who_ends_first(running, other):
    """ "running" or "other": the turns are (visitor, urgent), and the first is asked to give way as the other waits."""
    ended = []

    def compute():
        with lane.turn(*other):
            ended.append("other")

    thread = threading.Thread(target=compute, daemon=True)
    with lane.turn(*running):
        thread.start()
        waiting(1)
        time.sleep(0.01)
        lane.give_way()
        ended.append("running")
    thread.join(SECONDS)
    return ended[0]


def test_a_long_computation_gives_way_to_who_has_computed_less(lanes):
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 0.001)  # and the running one nothing before
    assert who_ends_first((ONE, True), (OTHER, True)) == "other"
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 10.0)
    assert who_ends_first((ONE, True), (OTHER, True)) == "running"


def test_of_one_window_the_first_comes_first_unless_the_second_is_urgent(lanes):
    assert who_ends_first((ONE, True), (ONE, True)) == "running"
    assert who_ends_first((ONE, False), (ONE, False)) == "running"
    assert who_ends_first((ONE, False), (ONE, True)) == "other"
    assert who_ends_first((ONE, True), (ONE, False)) == "running"


def test_nobody_gives_way_before_a_slice_has_passed(lanes, monkeypatch):
    monkeypatch.setattr(lane, "SLICE", 1000.0)
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 0.001)
    assert who_ends_first((ONE, True), (OTHER, True)) == "running"
    assert who_ends_first((ONE, False), (OTHER, True)) == "other", "what is urgent waits for less"
    monkeypatch.setattr(lane, "BRIEF", 1000.0)
    assert who_ends_first((ONE, False), (OTHER, True)) == "running"


def test_of_two_windows_the_one_that_computed_less_comes_first(lanes):
    one, two = lane.Visitor(ONE.address, "one"), lane.Visitor(ONE.address, "two")
    lane.MODELS.usage.add(time.monotonic(), one, 1.0)
    assert in_order(("one", one, True), ("two", two, True)) == ["two", "one"]


def test_whoever_is_not_urgent_does_not_wait_for_ever(lanes, monkeypatch):
    monkeypatch.setattr(lane, "PATIENCE", 0.0)
    lane.MODELS.usage.add(time.monotonic(), OTHER.address, 1.0)
    assert in_order(("slider", OTHER, True), ("run", ONE, False)) == ["run", "slider"]


def test_what_was_used_long_ago_does_not_count():
    usage, clock = lane.Usage(), [100.0]
    usage.add(clock[0], "a", 4.0)
    clock[0] += 2 * lane.HALF_LIFE
    assert usage.seconds(clock[0], "a") == pytest.approx(1.0)
    usage.add(clock[0], "a", 1.0)
    assert usage.seconds(clock[0], "a") == pytest.approx(2.0) and usage.seconds(clock[0], "b") == 0
    clock[0] += 50 * lane.HALF_LIFE
    for i in range(lane.MAX_NAMES + 9):
        usage.add(clock[0], i, 0.0)
    assert len(usage._seconds) < 20


def test_a_visitor_with_too_many_requests_gets_a_sentence_and_others_compute(lanes, monkeypatch):
    monkeypatch.setattr(lane, "MAX_TURNS", 3)
    requests = [(i, lane.Visitor(ONE.address, str(i)), True) for i in range(3)]
    refused = []

    def refuse():
        with pytest.raises(ValueError, match="waiting already") as error, lane.turn(ONE, True):
            pass
        refused.append(str(error.value))

    assert set(in_order(*requests, ("other", OTHER, True), meanwhile=refuse)) == {0, 1, 2, "other"}
    assert is_sentence(refused[0])
    with lane.turn(ONE, True):
        pass
    assert not lane._turns


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_visitor_is_an_address_and_of_ipv6_a_network(host, address):
    assert lane.Visitor.from_host(host, "a") == (address, "a")


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


# --- Giving way -------------------------------------------------------------------------------------------------------

HEAVY = {  # what takes long -> a call of it, or its steps
    "a whole photograph": lambda: whole.denoise(options=Restoration(kind="none")),
    "a classical method": lambda: whole.denoise(options=Restoration(method="median")),
    "a denoising VAE": lambda: whole.denoise("dvae-mnist"),
    "noise": noise.add_noise,
    "the denoiser's stage": lambda: comparison.show(pictures.example("photo", 0), "photo"),
    "a diffusion step": lambda: diffusion.diffusion_sample(options=diffusion.Sampling(steps=2)),
    "compared samplers": lambda: compare.compare_samplers("mnist", n=1, steps=2),
    "an inpainting step": lambda: inpainting.diffusion_inpaint(options=inpainting.Inpainting(n=1, steps=2)),
    "a flow's samples": lambda: flow.flow_sample(options=flow.Sampling(n=1, label="any")),
    "a step of five families": lambda: training.plane_fit(training_steps=1, options=training.Options(n=16, width=8, depth=1)),
    "GAN faces": lambda: gan.gan_sample("gan-avatars", gan.Sampling(n=1)),
    "interpolated faces": lambda: gan_interpolation.open_dataset("avatars"),
    "the quiz": lambda: quiz.start("mnist", 3),
    "an inversion": lambda: inversion.gan_project(options=inversion.Inversion(steps=1)),
    "a text": lambda: writing.text_generate("ROMEO:", writing.Writing(max_new_tokens=2)),
    "a poem": poems.text_poem,
    "surprisal": lambda: surprisal.text_score("To be"),
    "rows of pixels": lambda: pixels.pixels_complete(options=pixels.Completions(rows=27, n=1)),
    "decoded codes": vae.vae_sample,
    "a file": lambda: sources.upload("mnist", str(ROOT / "docs" / "screenshot.png")),
}


def first_step(result):
    """What a call gives, or of a generator its first step."""
    if hasattr(result, "send"):
        result, steps = next(result), result
        steps.close()
    return result


@pytest.mark.parametrize("name", HEAVY)
def test_a_slider_that_moves_meanwhile_is_answered_before_the_end_of(lanes, name):
    order, begun = [], threading.Event()

    def compute():
        begun.set()
        waiting(1)
        first_step(HEAVY[name]())
        order.append(name)

    def move():
        begun.wait(SECONDS)
        events.guarded(lambda: order.append("slider"), urgent=True)()

    in_threads(events.guarded(compute), move)
    assert order == ["slider", name]


def test_the_same_seed_gives_the_same_picture_however_often_it_gives_way(lanes):
    """Three visitors' at once, each of which gives way to the others between layers."""

    def draw():
        return [
            torch.cat([step.x for step in gm.load("diffusion-mnist").sample_steps(2, label=3, steps=3, seed=1)]),
            gm.load("gan-mnist").sample(3, label=7, seed=2),
            gm.load("denoiser-photo").restore(torch.rand(1, 3, 40, 40, generator=gm.base.generator(0)), 0.1, tile=16),
            gm.load("transformer-shakespeare").generate("ROMEO:", max_new_tokens=5, seed=3),
        ]

    alone, results, switches = events.guarded(draw)(), [], []
    begin = lane.MODELS._begin

    def count(turn):
        switches.append(turn)
        begin(turn)

    lane.MODELS._begin = count

    def draw_as(address):
        with lane.turn(lane.Visitor(address), False), torch.no_grad():
            results.append(draw())

    in_threads(*(functools.partial(draw_as, address) for address in "abc"))
    assert len(switches) > 50 and len(results) == 3
    for *tensors, text in results:
        assert text == alone[-1]
        for x, expected in zip(tensors, alone, strict=False):
            torch.testing.assert_close(x, expected)


def test_beside_the_lane_others_compute_and_its_errors_leave_both_free(lanes):
    def compute():
        with lane.beside(), lane.beside():
            in_threads(events.guarded(lambda: None))  # would wait for ever in the lane
            raise ValueError("No.")

    with pytest.raises(gr.Error):
        events.guarded(compute)()
    in_threads(*[events.guarded(lambda: None)] * 3)
    assert lane.FILES._running is lane.MODELS._running is None
    with lane.beside():  # nor is anything wrong where nobody computes
        assert lane.FILES._running is None


def test_an_error_after_giving_way_leaves_the_lane_free(lanes):
    begun = threading.Event()

    def fail():
        begun.set()
        waiting(1)
        gm.load("gan-mnist").sample(1, seed=0)
        raise ValueError("No.")

    def refused():
        with pytest.raises(gr.Error):
            events.guarded(fail)()

    in_threads(refused, lambda: begun.wait(SECONDS) and events.guarded(lambda: None, urgent=True)())
    assert lane.MODELS._running is None and not lane._turns


def test_training_outside_the_page_gives_way_to_nobody(lanes):
    with lane.turn(ONE, False):
        in_threads(lane.give_way)  # of a thread that does not compute in the lane


def test_a_visitor_who_leaves_amid_a_run_leaves_the_lane_free():
    closed, begun = threading.Event(), threading.Event()

    def steps():
        try:
            while True:
                begun.set()
                gm.load("gan-mnist").sample(1, seed=0)
                yield {"stage": {}}
        finally:
            closed.set()

    with gr.Blocks() as page:
        button, number, outputs = gr.Button(), gr.Number(), {"stage": gr.JSON()}
        events.Runs().stream(button.click, steps, {}, outputs)
        events.live(number.input, lambda: {"stage": {"slider": "moved"}}, {}, outputs)
    _, url, _ = page.launch(prevent_thread_lock=True, quiet=True)

    def post(path, **body):
        data = json.dumps({"data": [], **body}).encode()
        request = urllib.request.Request(f"{url}gradio_api/{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.read()

    try:
        post("queue/join", data=[None, 1], fn_index=0, session_hash="one")
        stream = urllib.request.urlopen(f"{url}gradio_api/queue/data?session_hash=one", timeout=SECONDS)
        assert begun.wait(SECONDS)
        stream.readline()
        stream.close()
        assert b"moved" in post("run/predict", fn_index=1, session_hash="other")
        assert closed.wait(SECONDS), "the run goes on without its visitor"
        assert b"moved" in post("run/predict", fn_index=1, session_hash="other")
    finally:
        page.close()


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
    shown = [value["i"] for output in stream(counter, 1) for value in output.values() if isinstance(value, dict)]
    assert 1 not in shown and 2 not in shown
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
        if event == "input" and isinstance(blocks.get(target), MOVING)
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
            assert fn.concurrency_limit is None and fn.queue, fn.name  # the lane is shared fairly, a queue is not
