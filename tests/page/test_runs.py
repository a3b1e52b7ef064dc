"""Actions and runs, numbered in the order of the visitor: what a newer one overtook is neither computed nor shown."""

import gradio as gr
from helpers_lane import registered, stream_of

import app
from tabs import events
from tabs.components.draw_pad import DrawPad
from tabs.components.sliders import Sliders

MOVING = (gr.Slider, Sliders, DrawPad)  # what sends every move


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
