"""Everything between the tabs and Gradio: kinds of events, the computing lane, errors, uploads, seeds, cards, start-up.

A tab's handlers are plain functions: values in, values out, ValueError for invalid arguments. Nothing here imports torch
until the first handler runs, so that the page answers at once.
"""

import base64
import collections
import dataclasses
import functools
import html
import inspect
import os
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from huggingface_hub import metadata_load

import genmodels as gm

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES, MAX_PIXELS = 40_000_000, 16_000_000  # of an upload
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # no others: for some, Pillow starts external programs

# All visitors share two cores: one computation at a time. Two at once with two threads each would take ten times as long.
THREADS = 1
from tabs.events import _lane  # noqa: E402, I001

OnError = Callable[[str], Any]  # an error message -> outputs that show it


# --- Events -----------------------------------------------------------------------------------------------------------


def guarded(fn: Callable, on_error: OnError | None = None) -> Callable:
    """`fn` in the computing lane, without gradients; a ValueError becomes a message on the page, never a traceback.

    on_error: message -> outputs, to show the message in the outputs; without it, it pops up in the corner of the page.
    """

    @functools.wraps(fn)
    def run(*args, **kwargs):
        import torch

        try:
            with _lane, torch.no_grad():
                return fn(*args, **kwargs)
        except ValueError as e:  # CheckpointError and DataError are ValueErrors
            if on_error:
                return on_error(error_message(e))
            raise gr.Error(html.escape(error_message(e)), duration=8, print_exception=False) from None

    return run


def error_message(error: Exception) -> str:
    """The error's text as shown to visitors: without the paths of this machine's folders."""
    text = str(error)
    for folder, name in ((checkpoints(), "checkpoints"), (Path(gm.__file__).resolve().parent, "genmodels")):
        text = text.replace(str(folder), name)
    return text


# Without a name of its own, a handler takes its function's name, and an endpoint of the same name is called name_1.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "api_name": "page_event"}


def live(trigger: Callable, fn: Callable, inputs: Any, outputs: Any, on_error: OnError | None = None) -> Any:
    """A slider's event: no queue, no progress bar; of the events that arrive during a computation only the last is handled."""
    return trigger(
        guarded(fn, on_error),
        inputs,
        outputs,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
        **PRIVATE,
    )


def act(trigger: Callable, fn: Callable, inputs: Any, outputs: Any, on_error: OnError | None = None) -> Any:
    """A button's event, or the next step after one: in the queue, one at a time for each visitor."""
    return trigger(guarded(fn, on_error), inputs, outputs, show_progress="hidden", **PRIVATE)


def stepwise(fn: Callable[..., Generator]) -> Callable[..., Generator]:
    """The generator function `fn`, with each step computed in the lane by itself, so that other visitors get turns between."""

    @functools.wraps(fn)
    def run(*args, **kwargs):
        steps = fn(*args, **kwargs)
        step = guarded(lambda: next(steps, None))  # an output is never None
        try:
            while (out := step()) is not None:
                yield out
                time.sleep(0.001)  # lets a waiting thread take the lane
        finally:
            steps.close()

    return run


class Stopped(Exception):
    """Raised in a stream's generator at its last yield when the visitor presses Stop. The generator may yield once more."""


@dataclasses.dataclass
class Turn:
    """State of one visitor: the number of their newest action on the stage, and of their newest Stop."""

    newest: float = 0
    stopped: float = 0

    def begin(self, number: float) -> bool:
        """Register an action; False if a newer one has begun already."""
        with _turns:
            self.newest = max(self.newest, number)
        return self.newest == number

    def stop(self, number: float | None) -> None:
        with _turns:
            self.stopped = max(self.stopped, number or 0)


_turns = threading.Lock()


class Runs:
    """Several streams that share one stage. Each visitor has one run at a time: their next action ends the current one.

    Actions are numbered in the browser, in the order of the visitor's actions, however late the server handles them. A run
    ends as soon as there is a newer action; the number is sent with the stage's value, and the component drops values older
    than the one it shows. Gradio's `cancels` does not suffice: of two events of one trigger the page starts the second only
    when the first has ended, it does not wait for its own cancel requests, and two at once fail on the server.
    """

    ACTION = "(turn, number, ...values) => [turn, window.actions = (window.actions || 0) + 1, ...values]"

    def __init__(self, stage: gr.components.Component):
        self.stage = stage
        self.inputs = [gr.State(Turn()), gr.Number(visible=False)]

    def live(self, trigger: Callable, fn: Callable, inputs: Sequence, outputs: Sequence) -> Any:
        """A slider's event like `wiring.live`; it ends the run, whose remaining outputs are outdated."""
        return self.act(trigger, fn, inputs, outputs, queue=False, trigger_mode="always_last")

    def act(
        self,
        trigger: Callable,
        fn: Callable,
        inputs: Sequence,
        outputs: Sequence,
        on_error: OnError | None = None,
        **options: Any,
    ) -> Any:
        """An event like `wiring.act`; one of its outputs is the stage. Stop does not end it."""
        compute = guarded(fn, on_error)
        stage_index = outputs.index(self.stage)

        def run(turn: Turn, number: float | None, *values: Any) -> Any:
            number = number or 0  # clients can send anything
            if turn.newest > number:
                return gr.skip()
            out = compute(*values)
            return with_turn(out, stage_index, number) if turn.begin(number) else gr.skip()

        return self._on(trigger, run, inputs, outputs, **options)

    def stream(self, trigger: Callable, fn: Callable, inputs: Sequence, outputs: Sequence, rate: float = 20) -> Any:
        """A slow model's event. `fn` generates outputs, one of them the stage; at most `rate` per second are sent."""
        stage_index = outputs.index(self.stage)

        def run(turn: Turn, number: float | None, *values: Any) -> Iterator:
            number = number or 0
            steps = fn(*values)
            sent_at = 0.0
            pending: list | None = None  # the newest output, if it was not sent yet
            sent: list = [gr.skip()] * len(outputs)

            def ended() -> bool:
                return max(turn.newest, turn.stopped) > number

            step = guarded(lambda: None if ended() else next(steps, None))  # an output is never None
            try:
                while (out := step()) is not None and turn.begin(number):
                    pending = with_turn(out, stage_index, number)
                    if not ended() and time.monotonic() - sent_at >= 1 / rate:
                        sent_at = time.monotonic()
                        sent = pending
                        pending = None
                        yield sent
                    time.sleep(0.001)  # lets a waiting thread take the lane
                if turn.newest == number < turn.stopped and (out := guarded(final_output)(steps)):
                    pending = with_turn(out, stage_index, number)
                if pending and turn.newest == number:  # the last picture is always shown
                    sent = pending
                    yield sent
            finally:
                steps.close()
            # Gradio sends the last output twice, the second time perhaps after a newer run has begun.
            yield [out if i == stage_index else gr.skip() for i, out in enumerate(sent)]

        return self._on(trigger, run, inputs, outputs)

    def stop(self, trigger: Callable) -> None:
        """Ends the run; its last output stays."""
        self._on(trigger, Turn.stop, [], None, queue=False)

    def _on(self, trigger: Callable, run: Callable, inputs: Sequence, outputs: Sequence | None, **options: Any) -> Any:
        options = {"trigger_mode": "multiple", **options}
        return trigger(
            run,
            [*self.inputs, *inputs],
            outputs,
            js=self.ACTION,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=4,
            **options,
        )


def with_turn(out: Sequence, stage_index: int, number: float) -> list:
    """Outputs with the number of the action added to the stage's value."""
    return [{**value, "turn": number} if i == stage_index else value for i, value in enumerate(out)]


def final_output(steps: Generator) -> Any:
    """The output that a generator yields when it is stopped, or None."""
    try:
        return steps.throw(Stopped())
    except (Stopped, StopIteration):
        return None


def endpoint(fn: Callable, inputs: Any, outputs: Any, stream: bool = False) -> Any:
    """`fn` as the API endpoint of its own name, described by its docstring. Call it where components are built.

    A generator function answers with its last output, or, if `stream`, with each output in turn.
    """
    if not inspect.getdoc(fn):
        raise TypeError(f"{fn.__name__} needs a docstring: it is what users of the API see.")

    @functools.wraps(fn)
    def last_output(*args, **kwargs):
        return collections.deque(stepwise(fn)(*args, **kwargs), maxlen=1).pop()

    if stream:
        run = stepwise(fn)
    elif inspect.isgeneratorfunction(fn):
        run = last_output
    else:
        run = guarded(fn)
    return gr.Button(visible=False).click(run, inputs, outputs, api_name=fn.__name__)


def opening(page: Any, tab: gr.Tab, visited: gr.State | None) -> Callable:
    """The event of a visitor opening a tab for the first time.

    The components of a tab that was never opened are not in the browser yet, and receive no updates.

    Arguments:
        page: the gr.Blocks; only needed for the first tab.
        visited: a gr.State(False) outside the tabs, or None for the first tab, which is open from the start.
    """
    if visited is None:
        return page.load
    tab.select(lambda: True, None, visited, show_progress="hidden", api_visibility="private")
    return visited.change


# --- Inputs of handlers -----------------------------------------------------------------------------------------------


def number_from_event(event: gr.EventData, name: str, high: float, whole: bool = True) -> Any:
    """A number from 0 to `high` that a component sent with its event; checked, since clients can send anything."""
    sent = event._data if isinstance(event._data, dict) else {}
    return gm.base.check_number(name, sent.get(name), 0, high, whole=whole)


def read_picture(path: str | Path | None) -> "Image.Image":
    """A visitor's file as an upright PIL image. The header is read first: a picture that is too large is never decoded."""
    from PIL import Image, ImageOps

    if not isinstance(path, (str, Path)) or not Path(path).is_file():
        raise ValueError("Choose a picture first: it must be a file.")
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(f"The file has more than {MAX_BYTES // 10**6} MB: send a smaller one.")
    try:
        picture = Image.open(path, formats=FORMATS)
        width, height = picture.size
    except Image.DecompressionBombError:
        width = height = MAX_PIXELS
    except (OSError, ValueError, SyntaxError):
        raise ValueError(f"This file is not a picture that can be read: send one of {', '.join(FORMATS)}.") from None
    if width * height > MAX_PIXELS:
        raise ValueError(f"The picture has more than {MAX_PIXELS // 10**6} megapixels: send a smaller one.")
    try:
        picture.load()
        return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, EOFError):
        raise ValueError("The picture is damaged: only a part of it can be read. Send another one.") from None


def fresh_seed() -> int:
    return secrets.randbelow(10_000)


# --- Parts of a tab ---------------------------------------------------------------------------------------------------


def seed_row(sample_title: str, reset_title: str) -> tuple[gr.Button, gr.Number, gr.Button]:
    """(button that samples with a fresh seed, the seed's number box, button that resets)."""
    with gr.Row(elem_classes="small-controls"):
        sample = gr.Button(sample_title, variant="primary", scale=3, min_width=110)
        seed = gr.Number(0, label="Seed", minimum=0, maximum=2**31, precision=0, scale=2, min_width=80)
        reset = gr.Button(reset_title, scale=2, min_width=80)
    return sample, seed, reset


def explanation(file: str, **slots: str) -> None:
    """The explanation in the .md file beside a tab's module; each {slot} in it is filled."""
    text = Path(file).with_suffix(".md").read_text(encoding="utf-8")
    for name, value in slots.items():
        text = text.replace("{" + name + "}", value)
    with gr.Accordion("How it works, and when to choose it", open=False):
        gr.Markdown(
            text,
            elem_classes="reading",
            latex_delimiters=[{"left": "$$", "right": "$$", "display": True}, {"left": "$", "right": "$", "display": False}],
        )


def python_panel(tab_name: str) -> gr.Code:
    """The Python program that reproduces what is on the stage."""
    with gr.Accordion("Reproduce in Python", open=False):
        gr.Markdown(
            "This program reproduces the picture on the stage, with the current values and seed. Run it in the folder of "
            "this project."
        )
        return gr.Code(language="python", interactive=False, show_label=False, wrap_lines=True, elem_id=f"{tab_name}-python")


# --- Models -----------------------------------------------------------------------------------------------------------


def checkpoints() -> Path:
    """The folder of the shipped models, as `genmodels.base.checkpoint_root` finds it, without importing torch."""
    return Path(os.environ.get("GENMODELS_CHECKPOINTS") or Path(gm.__file__).resolve().parent.parent / "checkpoints")


def poster(name: str) -> str:
    """samples.png of a checkpoint as a data URI; "" if there is none."""
    file = checkpoints() / name / "samples.png"
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode() if file.is_file() else ""


def facts(name: str) -> dict[str, Any]:
    """The front matter of a checkpoint's card: headline, paper, parameters, minutes; {} if there is no card."""
    try:
        return (metadata_load(checkpoints() / name / "README.md") or {}).get("genmodels") or {}
    except (OSError, ValueError, AttributeError):
        return {}


def measured(name: str) -> str:
    """Training time and headline result of a checkpoint, from its card."""
    card_facts = facts(name)
    if not card_facts:
        return f"the card of `{name}` is missing."
    return f"`{name}`, {card_facts['minutes']:g} minutes of training: {card_facts['headline']}, on the test split."


def models_table(names: Iterable[str]) -> str:
    """A tab's models, from their cards, as Markdown."""
    rows = ["| model | paper | parameters | minutes of training | on the test split |", "|---|---|---|---|---|"]
    for name in names:
        row = facts(name)
        cells = ["no card", "", "", ""]
        if row:
            cells = [row["paper"], f"{row['parameters'] / 1e6:.2f} M", f"{row['minutes']:g}", row["headline"]]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def card(name: str) -> str:
    """The text of a checkpoint's card, without its front matter and pictures; a sentence if there is none."""
    file = checkpoints() / name / "README.md"
    if not file.is_file():
        return f"There is no card for {name}."
    text = file.read_text(encoding="utf-8")
    text = text.split("\n---\n", 1)[1] if text.startswith("---\n") and "\n---\n" in text else text
    return "\n".join(line for line in text.splitlines() if not line.startswith("!["))


def start(*preparations: Callable[[], Iterable[Callable]]) -> None:
    """In the background, once the page answers: import torch, then run what each tab's `prepare` returns."""

    def run() -> None:
        os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))  # read when torch is imported; also by its own threads
        import torch

        torch.set_num_threads(THREADS)
        for prepare in preparations:
            for load in prepare():
                guarded(load, on_error=print)()  # the tab shows the error itself
                time.sleep(0.01)  # lets a waiting thread take the lane

    threading.Thread(target=run, daemon=True, name="models").start()
