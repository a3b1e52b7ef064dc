"""The stage of a tool: how it opens, its runs, and the text from which the visitor continues."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator

import gradio as gr

import genmodels as gm
from genmodels.messages import Message
from tabs import events, links, programs
from tabs.controls import Controls
from tabs.language import _
from tabs.transformer import texts

# checkpoint folder -> a function that makes the final outputs of the run with which a tool opens; it holds no words
_openings: dict[str, Callable[[], dict]] = {}


def opening(name: str, begin: Callable[[], Iterator[dict]]) -> Iterator[dict]:
    """The run with which a tool opens; only the first visitor waits for it. begin: starts a run as `stream` does."""
    try:
        folder = str(gm.base.checkpoint_folder(name).resolve())
        if folder in _openings:
            yield _openings[folder]()
        elif finished := (yield from begin()):
            _openings[folder] = finished
    except ValueError as e:  # the message takes the place of the missing output
        yield {"stage": {"message": events.sentence(e)}, "lines": ""}


def stream(steps: Iterable, kinds: Iterator[str], show: Callable[..., dict], lines: Callable[[int, bool], str], given: int = 0):
    """A text as it grows: yields stage, lines. Returns a function that makes the last outputs again, or None if stopped.

    kinds: of the tokens; given: how many come first that are not generated. show: (records, number of generated tokens, start:
    see `texts.count`, live) -> the stage; lines: (that number, whether the run was stopped) -> a program.
    """
    records, total, start, stopped, pending = "", 0, time.monotonic(), False, {"lines": _(programs.PENDING)}
    try:
        for batch in gm.tokens.batches(steps):
            records += texts.records(batch, kinds)
            total += len(batch)
            start = start if total > given else time.monotonic()
            yield {"stage": show(records, max(0, total - given), start, live=True), **pending}
            pending = {}
    except events.Stopped:
        stopped = True

    def outputs(start=None):
        n = max(0, total - given)
        return {"stage": show(records, n, start, live=False), "lines": lines(n, stopped)}

    yield outputs(start)
    return None if stopped else outputs


def read_request(event: gr.EventData) -> dict:
    """The text from which the view wants to continue, checked: text, keep and request, see `TokenView`."""
    data = event._data if isinstance(event._data, dict) else {}
    if isinstance(data.get("text"), str) and len(data["text"]) > texts.MAX_TEXT:
        raise ValueError(Message("The text has reached {maximum:,} characters: begin a new one.", maximum=texts.MAX_TEXT))
    return {
        "text": texts.check("text", data.get("text"), texts.MAX_TEXT),
        "request": data.get("request"),
        "keep": gm.base.check_number("keep", data.get("keep"), 1, texts.MAX_TEXT, whole=True),
    }


def buttons(controls: type[Controls], tool: str, start: str, stop: str) -> dict:
    """A button that starts a run with a new seed, the seed, and a button that stops the run, by name."""
    with gr.Row(elem_classes="small-controls"):
        return {
            "start": gr.Button(start, variant="primary", scale=3, min_width=110, elem_id=f"transformer-{tool}-new"),
            **controls.components(f"transformer-{tool}", "seed"),
            "stop": gr.Button(stop, scale=2, min_width=70, elem_id=f"transformer-{tool}-stop"),
        }


def connect(
    parts: dict, generate: Callable, inputs: dict, first_visit: Callable, generate_opening: Callable, chosen: dict | None = None
) -> Callable:
    """The events of a stage. Returns the function that connects further ones: `stream(trigger, fn, inputs)`.

    chosen: inputs of the run with which the tool opens.
    """
    runs = events.Runs(stop=parts["stop"])
    stream = functools.partial(runs.stream, outputs={"stage": parts["stage"], "lines": parts["lines"]})
    events.tell_begin(place := events.tab_path(parts["stage"]), first_visit)
    stream(first_visit, generate_opening, chosen or {})
    events.tell_end(place, first_visit)
    stream(events.new_seed(parts["start"], parts["seed"]).then, generate, inputs)
    stream(parts["seed"].submit, generate, inputs)
    stream(links.restored(inputs), generate, inputs)
    return stream
