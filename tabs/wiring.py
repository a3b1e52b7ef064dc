"""How tabs talk to Gradio, in one place: kinds of events, the computing lane, errors, uploads, seeds, cards, start-up.

A tab's handlers are plain functions: values in, values out, ValueError for what is not allowed. Nothing here imports
torch until the first handler runs, so that the page answers at once.
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
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from huggingface_hub import metadata_load

import genmodels as gm

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES, MAX_PIXELS = 40_000_000, 16_000_000  # of an upload
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # that are read; Pillow knows others that start programs

# All visitors share two cores: one computation at a time. Two with two threads each slow each other down tenfold.
THREADS = 1
_lane = threading.Lock()


# --- Events -----------------------------------------------------------------------------------------------------------


def guarded(fn: Callable, instead: Callable[[str], Any] | None = None) -> Callable:
    """`fn` in the computing lane, without gradients; a ValueError becomes a sentence on the page, never a traceback.

    instead: sentence -> outputs, to put the sentence in place; without it, it goes up as a message in the corner.
    """

    @functools.wraps(fn)
    def run(*args, **kwargs):
        import torch

        try:
            with _lane, torch.no_grad():
                return fn(*args, **kwargs)
        except ValueError as e:  # CheckpointError and DataError are ValueErrors
            if instead:
                return instead(sentence(e))
            raise gr.Error(html.escape(sentence(e)), duration=8, print_exception=False) from None

    return run


def sentence(error: Exception) -> str:
    """What a visitor is told: the error's text without the places of this machine's folders."""
    text = str(error)
    for folder, name in ((checkpoints(), "checkpoints"), (Path(gm.__file__).resolve().parent, "genmodels")):
        text = text.replace(str(folder), name)
    return text


def live(trigger: Callable, fn: Callable, inputs: Any, outputs: Any, instead: Callable[[str], Any] | None = None) -> Any:
    """A slider's event: no queue, no progress bar, and while one is computed only the latest of the next is kept."""
    return trigger(
        guarded(fn, instead),
        inputs,
        outputs,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )


def act(trigger: Callable, fn: Callable, inputs: Any, outputs: Any, instead: Callable[[str], Any] | None = None) -> Any:
    """A button's event, or the next step after one: in the queue, one at a time for each visitor."""
    return trigger(guarded(fn, instead), inputs, outputs, show_progress="hidden", api_visibility="private")


def stepwise(fn: Callable[..., Iterator]) -> Callable[..., Iterator]:
    """`fn`, a generator function, each of whose steps takes the computing lane by itself: others' sliders move in between."""

    @functools.wraps(fn)
    def run(*args, **kwargs):
        steps = fn(*args, **kwargs)
        step = guarded(lambda: next(steps, None))  # an output is never None
        try:
            while (out := step()) is not None:
                yield out
                time.sleep(0.001)  # whoever waits for the lane comes first
        finally:
            steps.close()

    return run


class Stopped(Exception):
    """Raised in a stream's generator where it last yielded: the visitor pressed Stop. It may yield once more."""


@dataclasses.dataclass
class Turn:
    """Of one visitor: the number of the newest of their actions that began something on the stage, and of the newest Stop."""

    newest: float = 0
    stopped: float = 0

    def begin(self, number: float) -> bool:
        """Whether nothing newer has begun."""
        with _turns:
            self.newest = max(self.newest, number)
        return self.newest == number

    def stop(self, number: float | None) -> None:
        with _turns:
            self.stopped = max(self.stopped, number or 0)


_turns = threading.Lock()


class Runs:
    """One stage on which several streams play. For each visitor one run at a time: what they do next ends the one before.

    Every action is numbered in the browser, in the order in which the visitor acts, however late the server comes to it.
    A run ends as soon as there is a newer action; the number goes along with the stage's value, and the component drops
    what is older than what it shows. Gradio's `cancels` would not do: of two events of one trigger the page begins the
    second when the first has ended, it does not wait for its own requests to cancel, and two at once fail on the server.
    """

    ACTION = "(turn, number, ...values) => [turn, window.actions = (window.actions || 0) + 1, ...values]"

    def __init__(self, stage: gr.components.Component):
        self.stage, self.inputs = stage, [gr.State(Turn()), gr.Number(visible=False)]

    def live(self, trigger: Callable, fn: Callable, inputs: Sequence, outputs: Sequence) -> Any:
        """A slider's event like `wiring.live`, which ends the run: what that had yet to show is of before."""
        return self.act(trigger, fn, inputs, outputs, queue=False, trigger_mode="always_last")

    def act(
        self,
        trigger: Callable,
        fn: Callable,
        inputs: Sequence,
        outputs: Sequence,
        instead: Callable[[str], Any] | None = None,
        **how: Any,
    ) -> Any:
        """An event like `wiring.act`; one of its outputs is the stage. Stop does not end it."""
        fn, place = guarded(fn, instead), outputs.index(self.stage)

        def run(turn, number, *values):
            number = number or 0  # anyone can send anything
            out = None if turn.newest > number else fn(*values)
            return numbered(out, place, number) if turn.begin(number) else gr.skip()

        return self._on(trigger, run, inputs, outputs, **how)

    def stream(self, trigger: Callable, fn: Callable, inputs: Sequence, outputs: Sequence, rate: float = 20) -> Any:
        """A slow model's event. `fn` is a generator of outputs, one of them the stage; at most `rate` a second are sent."""
        place = outputs.index(self.stage)

        def run(turn, number, *values):
            number = number or 0
            steps, sent, waiting, last = fn(*values), 0.0, None, [gr.skip()] * len(outputs)

            def over():
                return max(turn.newest, turn.stopped) > number

            step = guarded(lambda: None if over() else next(steps, None))  # an output is never None
            try:
                while (out := step()) is not None and turn.begin(number):
                    waiting = numbered(out, place, number)
                    if not over() and time.monotonic() - sent >= 1 / rate:
                        sent, last, waiting = time.monotonic(), waiting, None
                        yield last
                    time.sleep(0.001)  # whoever waits for the lane comes first
                if turn.newest == number < turn.stopped and (out := guarded(last_words)(steps)):
                    waiting = numbered(out, place, number)
                if waiting and turn.newest == number:  # the last picture is always shown
                    last = waiting
                    yield last
            finally:
                steps.close()
            # Gradio sends the last output twice, the second time perhaps after a newer run has begun.
            yield [out if i == place else gr.skip() for i, out in enumerate(last)]

        return self._on(trigger, run, inputs, outputs)

    def stop(self, trigger: Callable) -> None:
        """Ends the run; what it has come to stays."""
        self._on(trigger, Turn.stop, [], None, queue=False)

    def _on(self, trigger, run, inputs, outputs, **how):
        how = {"trigger_mode": "multiple", **how}
        return trigger(
            run,
            [*self.inputs, *inputs],
            outputs,
            js=self.ACTION,
            show_progress="hidden",
            api_visibility="private",
            concurrency_limit=4,
            **how,
        )


def numbered(out: Sequence, place: int, number: float) -> list:
    """Outputs with the number of the action in the stage's value, which is at `place`."""
    return [{**value, "turn": number} if i == place else value for i, value in enumerate(out)]


def last_words(steps: Any) -> Any:
    """What a generator says when it is stopped, or None."""
    try:
        return steps.throw(Stopped())
    except (Stopped, StopIteration):
        return None


def endpoint(fn: Callable, inputs: Any, outputs: Any, stream: bool = False) -> Any:
    """`fn` as the API endpoint of its own name, described by its docstring. Call it where components are built.

    The answer of a generator function is its last output, or, if stream, each output as it comes.
    """
    if not inspect.getdoc(fn):
        raise TypeError(f"{fn.__name__} needs a docstring: it is what users of the API see.")
    run = stepwise(fn) if stream else guarded(fn)
    if inspect.isgeneratorfunction(fn) and not stream:

        @functools.wraps(fn)
        def run(*args, **kwargs):
            return collections.deque(stepwise(fn)(*args, **kwargs), maxlen=1).pop()

    return gr.Button(visible=False).click(run, inputs, outputs, api_name=fn.__name__)


def opening(page: gr.Blocks | None, tab: gr.Tab, visited: gr.State | None) -> Callable:
    """The event of a visitor's first look at a tab. visited: a gr.State(False) outside the tabs, or None for the first tab.

    What stands in a tab that was never opened is not in the browser yet, and so hears of no change.
    """
    if visited is None:
        return page.load
    tab.select(lambda: True, None, visited, show_progress="hidden", api_visibility="private")
    return visited.change


# --- What handlers are given ------------------------------------------------------------------------------------------


def number_from_event(event: gr.EventData, name: str, high: float, whole: bool = True) -> Any:
    """A number that a component sent with its event, from 0 to `high`: anyone can send anything."""
    sent = event._data if isinstance(event._data, dict) else {}
    return gm.base.check_number(name, sent.get(name), 0, high, whole=whole)


def read_picture(path: str | Path | None) -> "Image.Image":
    """A visitor's file as a PIL image, upright. The header is read first: what is too large is never decoded."""
    from PIL import Image, ImageOps

    if not isinstance(path, (str, Path)) or not Path(path).is_file():
        raise ValueError("Choose a picture first: it must be sent as a file.")
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


def seed_row(new: str, reset: str) -> tuple[gr.Button, gr.Number, gr.Button]:
    """(button that draws with a fresh seed, the seed's number box, button that resets)."""
    with gr.Row(elem_classes="small-controls"):
        new = gr.Button(new, variant="primary", scale=3, min_width=110)
        seed = gr.Number(0, label="Seed", minimum=0, maximum=2**31, precision=0, scale=2, min_width=80)
        reset = gr.Button(reset, scale=2, min_width=80)
    return new, seed, reset


def explanation(file: str, **slots: str) -> None:
    """The text beside a tab's module, in prose and LaTeX; each {slot} in it is filled."""
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
    """The lines that make what is on the stage."""
    with gr.Accordion("Reproduce in Python", open=False):
        gr.Markdown(
            "These lines make exactly the picture on the stage, with the present values and seed. Run them in "
            "the folder of this project."
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
    """What a checkpoint's card says in its front matter: headline, paper, parameters, minutes; {} if there is none."""
    try:
        return (metadata_load(checkpoints() / name / "README.md") or {}).get("genmodels") or {}
    except (OSError, ValueError, AttributeError):
        return {}


def measured(name: str) -> str:
    """One measured line, from the card."""
    told = facts(name)
    return (
        f"`{name}`, {told['minutes']:g} minutes of training: {told['headline']}, on the test split."
        if told
        else f"the card of `{name}` is missing."
    )


def models_table(names: Iterable[str]) -> str:
    """A tab's models, from their cards, as Markdown."""
    rows = ["| model | paper | parameters | minutes of training | on the test split |", "|---|---|---|---|---|"]
    for name in names:
        told = facts(name)
        cells = ["no card", "", "", ""]
        if told:
            cells = [told["paper"], f"{told['parameters'] / 1e6:.2f} M", f"{told['minutes']:g}", told["headline"]]
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
    """Once the page answers: import torch with the right number of threads, then what each tab's `prepare` lists."""

    def run():
        os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))  # read when torch is imported; also by its own threads
        import torch

        torch.set_num_threads(THREADS)
        for prepare in preparations:
            for piece in prepare():
                guarded(piece, instead=print)()  # the tab will say so itself
                time.sleep(0.01)  # whoever waits for the lane comes first

    threading.Thread(target=run, daemon=True, name="models").start()
