"""What the server keeps of its visitors."""

import tracemalloc

import gradio as gr
import pytest

from hosting import sessions


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


def test_what_is_changed_for_one_visitor_is_changed_for_no_other(page, visitors):
    slider, state = slider_and_state(page)
    visitors["a"][slider] = gr.Slider(0, 5, render=False)
    visitors["a"][state] = "a drawing"
    assert visitors["a"][slider].maximum == 5
    assert visitors["b"][slider].maximum == page.blocks[slider].maximum == 1
    assert visitors["b"][state] == "as it opens"


def test_a_visitor_costs_kilobytes(page, visitors):
    slider, _ = slider_and_state(page)
    tracemalloc.start()
    for i in range(100):
        visitors[f"call {i}"]._update_value_in_config(slider, "x" * 100)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used / 100 < 8_000  # bytes; Gradio's own sessions take about 200,000 with these components
