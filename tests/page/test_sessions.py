"""What the server keeps of its visitors."""

import asyncio
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import gradio as gr
import pytest

from hosting import calls, sessions
from tabs import controls


@pytest.fixture(scope="module")
def page():
    with gr.Blocks() as page:
        for _ in range(200):
            gr.Slider(0, 1, label="Temperature", info="what a visitor reads")
        gr.State("as it opens")
    return page


@pytest.fixture
def visitors(page):
    visitors = sessions.Sessions()
    visitors.set_blocks(page)
    return visitors


def slider_and_state(page):
    slider = next(b for b in page.blocks.values() if isinstance(b, gr.Slider))
    state = next(b for b in page.blocks.values() if isinstance(b, gr.State))
    return slider._id, state._id


def test_a_visitors_state_outlives_ten_thousand_single_calls(page, visitors):
    _, state = slider_and_state(page)
    visitors["visitor"][state] = "a drawing"
    for i in range(10_000 + visitors.capacity):
        assert not visitors[f"call {i}"].state_data
    assert visitors["visitor"][state] == "a drawing"
    assert len(visitors.session_data) <= visitors.capacity == len(visitors.time_last_used)


def test_with_nothing_but_visitors_the_one_longest_away_is_dropped(page, visitors):
    _, state = slider_and_state(page)
    visitors.capacity = 3
    for name in "abc":
        visitors[name][state] = name
    visitors["a"], visitors["d"]
    assert list(visitors.session_data) == ["c", "a", "d"]
    assert visitors["a"][state] == "a"
    visitors["e"]  # the newest has no state yet and stays: "d", which has none either, goes
    assert list(visitors.session_data) == ["c", "a", "e"]


def test_what_a_server_before_has_offered_is_left_to_the_handler():
    """Its choices and bounds went with it. Those of this server, and the API's, are checked as ever."""
    with calls.Page() as page:
        label, steps = gr.Radio(["any"]), gr.Slider(1, 64)
        page.load(lambda *values: None, [label, steps], api_visibility="private")
        page.load(lambda *values: None, [label, steps], api_name="public")
    visitors = sessions.Sessions()
    visitors.set_blocks(page)
    private, public = page.fns.values()

    def given(fn, *values):
        with ThreadPoolExecutor(1) as pool:  # a browser test before this one leaves its event loop running in this thread
            return pool.submit(asyncio.run, page.preprocess_data(fn, list(values), visitors["visitor"])).result()

    assert given(private, "7", 250) == ["7", 250]
    for fn, values in ((private, (["7"], 1)), (private, ("any", "250")), (public, ("7", 1))):
        with pytest.raises(gr.Error):
            given(fn, *values)
    visitors["visitor"][label._id] = gr.Radio(["any", "8"], render=False)
    assert given(private, "8", 250) == ["8", 250]
    with pytest.raises(gr.Error):
        given(private, "7", 250)


@pytest.mark.parametrize("value", ["NaN", True, [1], float("nan"), float("inf"), 10**30])
@pytest.mark.parametrize("kind", [gr.Number, gr.Slider, controls.Number, controls.Slider])
def test_what_is_no_number_reaches_no_handler(kind, value):
    """Neither what the page's controls leave to a handler, nor the number of a run, which no visitor sees."""
    with calls.Page() as page:
        number = kind(visible=False)
        page.load(lambda number: None, number, api_visibility="private")
    (fn,) = page.fns.values()

    def given(value):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, page.preprocess_data(fn, [value], sessions.Session(page))).result()

    with pytest.raises(gr.Error, match="must be a number"):
        given(value)
    assert given(2) == [2]


def test_what_is_changed_for_one_visitor_is_changed_for_no_other(page, visitors):
    slider, state = slider_and_state(page)
    visitors["a"][slider] = gr.Slider(0, 5, render=False)
    visitors["a"][state] = "a drawing"
    assert visitors["a"][slider].maximum == 5
    assert visitors["b"][slider].maximum == page.blocks[slider].maximum == 1
    assert visitors["b"][state] == "as it opens"


def test_of_a_visitor_who_has_left_nothing_is_kept(page, visitors):
    _, state = slider_and_state(page)
    visitors["a"][state] = visitors["b"][state] = "a drawing"
    sessions.forget(page, "a")
    sessions.forget(page, "never here")
    assert list(visitors.session_data) == list(visitors.time_last_used) == ["b"]
    assert visitors["a"][state] == "as it opens"


def test_a_visitor_costs_kilobytes(page, visitors):
    slider, _ = slider_and_state(page)
    tracemalloc.start()
    for i in range(100):
        visitors[f"call {i}"]._update_value_in_config(slider, "x" * 100)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 100 < 8_000  # bytes; Gradio's own sessions take about 200,000 with these components
