"""Events: how a handler is called from the page and from the API. The only file that knows Gradio's event flags.

A handler is a plain function: values in by name, a dict {output name: value} of what changes out, and a ValueError for what
is not allowed. `inputs` and `outputs` of an event are dicts that give each name its component. Nothing here imports torch
until the first handler runs, so that the page answers at once.
"""

import dataclasses
import functools
import html
import inspect
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext

import genmodels as gm
from genmodels.messages import message_of
from tabs import lane
from tabs.components import Component
from tabs.language import _, current, translated, use

OnError = Callable[[str], Any]  # a sentence -> outputs that show it
Components = dict[str, Any]  # name of a handler's argument or output -> its component


# --- Errors and the computing lane ------------------------------------------------------------------------------------


def guarded(fn: Callable, on_error: OnError | None = None, urgent: bool = False, language: str | None = None) -> Callable:
    """`fn` in the computing lane, without gradients; a ValueError becomes a sentence on the page, never a traceback, and so
    does a library that is not installed.

    on_error: sentence -> outputs that show it in place; without it, it appears as a message in the corner. urgent: see `Turn`.
    language: of the texts that it returns; unless it is given, of the page that is being built.
    """
    language = language or current()

    @functools.wraps(fn)
    def run(*args, **kwargs):
        import torch

        give_way_between_layers()
        with use(language):
            try:
                with lane.turn(visitor(), urgent), torch.no_grad():
                    return in_language(fn(*args, **kwargs))
            except (ValueError, ImportError) as e:  # CheckpointError, DataError, ControlError; a library that is not installed
                if on_error:
                    return on_error(sentence(e))
                raise corner(sentence(e)) from None

    return run


def in_language(values: Any) -> Any:
    """A handler's outputs, with messages in the current language."""
    return {name: translated(value) for name, value in values.items()} if isinstance(values, dict) else values


def corner(text: str) -> gr.Error:
    """A sentence that appears in the corner of the page for a while."""
    return gr.Error(html.escape(text, quote=False), duration=8, title=_("Error"), print_exception=False)


@functools.cache
def give_way_between_layers() -> None:
    import torch

    torch.nn.modules.module.register_module_forward_pre_hook(lane.give_way)


def import_optimizers() -> None:
    """Before a handler optimizes: the first optimizer imports for a second, for which others would wait in the lane."""
    import torch

    with lane.beside():
        torch.optim.Adam([torch.zeros(1)])


def visitor() -> lane.Visitor:
    """Whose event this thread handles. An address in a header counts only if the server trusts the proxy that it is from."""
    request = LocalContext.request.get(None)
    if request is None:
        return lane.Visitor()
    window = getattr(request, "session_hash", "")  # a component's own call has none
    return lane.Visitor.from_host(request.client.host if request.client else "", window or "")


def sentence(error: Exception) -> str:
    """An error's text in the current language, without the places of this machine's folders."""
    text = translated(message_of(error))
    for folder, name in ((gm.cards.checkpoint_root(), "checkpoints"), (Path(gm.__file__).resolve().parent, "genmodels")):
        text = text.replace(str(folder), name)
    return text


def ignore(message: str) -> dict:
    """For `on_error`: nothing changes, as while a number is half typed."""
    return {}


def in_place(outputs: Components) -> OnError:
    """For `on_error`: the page's own components among the outputs show the sentence, texts are empty, states are None."""

    def show(message):
        empty = {Component: {"message": message}, gr.State: None, gr.Code: "", gr.Markdown: ""}
        return {name: value for name, output in outputs.items() for kind, value in empty.items() if isinstance(output, kind)}

    return show


# --- Events of the page -----------------------------------------------------------------------------------------------

# Gradio would tell every component that any event has ever changed how each event proceeds, and look for it in the whole page.
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}


def act(
    trigger: Callable, fn: Callable, inputs: Components, outputs: Components, on_error: OnError | None = None, **flags: Any
) -> Any:
    """A button's event, or the next step after one: in the queue, one at a time for each visitor."""
    compute = guarded(fn, on_error, urgent=True)

    def run(*event, **values):
        return _by_component(compute(**_with_event(event, values)), outputs)

    _accept_event(run, fn, [])
    return trigger(
        run,
        None,
        list(outputs.values()),
        inputs_kwargs=inputs,
        **PRIVATE,
        **flags,
    )


# A slider's event: no queue, and while one is computed only the latest of the next is kept.
live = functools.partial(act, queue=False, trigger_mode="always_last")


def _by_component(values, outputs):
    """{name: value} as Gradio takes it, {component: value}; where nothing changes, a skip."""
    return {outputs[name]: value for name, value in values.items()} or gr.skip()


def _accept_event(run, fn, positional):
    """Give `run` the signature that Gradio reads: the positional inputs, the event's data if `fn` asks for them, and names."""
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in positional]
    if "event" in inspect.signature(fn).parameters:
        parameters.append(inspect.Parameter("event", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.EventData))
        run.__annotations__ = {"event": gr.EventData}
    parameters.append(inspect.Parameter("values", inspect.Parameter.VAR_KEYWORD))
    run.__signature__ = inspect.Signature(parameters)


def _with_event(event, values):
    return {**values, "event": event[0]} if event else values


def event_number(event: gr.EventData, name: str, high: float, whole: bool = True) -> float:
    """A number that a component sent with its event, from 0 to `high`: anyone can send anything."""
    data = event._data if isinstance(event._data, dict) else {}
    return gm.base.check_number(name, data.get(name), 0, high, whole=whole)


SEEDS = 10_000  # that a button draws: 0 to SEEDS - 1
DRAW = f"() => Math.floor({SEEDS} * Math.random())"


def fresh_seed() -> int:
    return secrets.randbelow(SEEDS)


def new_seed(button: gr.Button, seed: gr.Number) -> Any:
    """Another seed at each click, drawn in the browser: the next event leaves without waiting for the server."""
    return in_browser(button.click, DRAW, {}, {"seed": seed}, mode="multiple")


def seeded(new: gr.Button, seed: gr.Number, fn: Callable, inputs: Components, outputs: Components) -> None:
    """Call `fn` when the seed changes, and when the button draws another one."""
    live(seed.input, fn, inputs, outputs, ignore)  # half typed
    act(new_seed(new, seed).then, fn, inputs, outputs)


def first_visit(page: gr.Blocks, tab: Any, visited: gr.State | None) -> Callable:
    """The event of a visitor's first look at a tab.

    tab: a gr.Tab, which is given an attribute `visited`. visited: a gr.State(False) outside the tabs; None for the first tab.
    What stands in a tab that was never opened is not in the browser yet, and so hears of no change. The event comes again when
    a link opens the tab with other choices: it counts up `tab.visited`. A server that was restarted knows of no visit, but the
    browser does: the tab stays as it is.
    """
    tab.visited = gr.State(1) if visited is None else visited
    if visited is None:
        return functools.partial(gr.on, [page.load, tab.visited.change])

    def visit(visits, again):
        return gr.skip() if again and not visits else visits or 1

    inputs = {"visits": visited, "again": gr.Checkbox(visible=False)}
    script = f"(visits) => [visits, (window.openedTabs ??= new Set()).size === window.openedTabs.add({tab._id}).size]"
    tab.select(visit, None, visited, inputs_kwargs=inputs, js=script, **PRIVATE)
    return visited.change


Step = tuple[Callable, Components, Components]  # handler, inputs, outputs


def when_opened(triggers: tuple[Callable, ...], first: Step, *others: Step, act_first: Callable = act) -> dict[Callable, list]:
    """Open a tab's tools at each of the triggers: the first step, then the others; of several openings the last one counts.

    Errors appear in place. act_first: `act` of the first step's stage. Returns {handler: its events}.
    """
    opened: dict[Callable, list] = {step[0]: [] for step in (first, *others)}
    place = tab_path(next(iter(first[2].values())))
    for trigger in triggers:
        # A step begins when it is called, not when it is asked for: of quick choices those in between are passed over.
        flags: dict[str, Any] = {
            "js": f"(...values) => {{ window.links?.begins({place!r}); return values; }}",
            "trigger_mode": "always_last",
        }
        begun = act_first(trigger, *first, in_place(first[2]), **flags)
        opened[first[0]].append(begun)
        for step in others:
            opened[step[0]].append(act(begun.then, *step, in_place(step[2]), **flags))
        for step in (first, *others):
            tell_end(place, opened[step[0]][-1].then)
    return opened


def tab_path(block: Any) -> str:
    """The tabs around a component, from the outermost: "vae" or "transformer/text"."""
    tabs = []
    while block is not None:
        if isinstance(block, gr.Tab) and block.id is not None:
            tabs.append(str(block.id))
        block = block.parent
    return "/".join(reversed(tabs))


def tell_begin(place: str, trigger: Callable) -> None:
    """Tell hosting/links.js that a step begins with which a place opens."""
    in_browser(trigger, f"() => {{ window.links?.begins({place!r}); }}", {}, {}, "multiple")


def tell_end(place: str, trigger: Callable) -> None:
    in_browser(trigger, f"() => {{ window.links?.ends({place!r}); }}", {}, {}, "multiple")


def in_browser(trigger: Callable, script: str, inputs: Components, outputs: Components, mode: str = "always_last") -> Any:
    """An event that the browser handles, without the server. script: a function of the inputs' values, in this order."""
    flags = {"queue": False, "trigger_mode": mode, **PRIVATE}
    return trigger(None, list(inputs.values()), list(outputs.values()), js=script, **flags)


# --- Runs: slow models, step by step, one run at a time for each visitor ----------------------------------------------


class Stopped(Exception):
    """Raised in a stream's generator where it last yielded: the visitor pressed Stop. It may yield once more."""


@dataclasses.dataclass
class RunCounter:
    """Of one visitor: the number of the newest action that began something on the stage, and of the newest Stop."""

    newest: float = 0
    stopped: float = 0

    def begin(self, number: float) -> bool:
        """Whether nothing newer has begun."""
        with _counters:
            self.newest = max(self.newest, number)
        return self.newest == number

    def stop(self, number: float) -> None:
        with _counters:
            self.stopped = max(self.stopped, number or 0)


_counters = threading.Lock()


class Runs:
    """One stage on which several streams play. For each visitor one run at a time: what they do next ends the one before.

    Every action is numbered in the browser, in the order in which the visitor acts, however late the server comes to it.
    A run ends as soon as there is a newer action; the number goes along with the stage's value, and the component drops
    what is older than what it shows. Gradio's `cancels` would not do: of two events of one trigger the page begins the
    second when the first has ended, it does not wait for its own requests to cancel, and two at once fail on the server.

    stage: the name that the stage has among the outputs of each event. stop: the button that ends a run, which is enabled
    while there is one.
    """

    FLAGS = {"trigger_mode": "multiple", "concurrency_limit": None, **PRIVATE}
    NUMBER = "(counter, number, ...values) => [counter, window.actions = (window.actions || 0) + 1, ...values]"

    def __init__(self, stage: str = "stage", stop: gr.Button | None = None):
        self.stage, self.inputs = stage, [gr.State(RunCounter()), gr.Number(visible=False)]
        self.stop_button = {"stop": stop} if stop else {}
        if stop:
            stop.interactive = False
            stop.click(RunCounter.stop, self.inputs, None, queue=False, js=self.NUMBER, **self.FLAGS)

    def act(
        self,
        trigger: Callable,
        fn: Callable,
        inputs: Components,
        outputs: Components,
        on_error: OnError | None = None,
        **flags: Any,
    ) -> Any:
        """An event like `events.act`; one of its outputs is the stage. Stop does not end it."""
        compute = guarded(fn, on_error, urgent=True)

        def run(counter, number, *event, **values):
            number = number or 0  # anyone can send anything
            result = {} if counter.newest > number else compute(**_with_event(event, values))
            if not counter.begin(number):
                return gr.skip()
            return _by_component(self._numbered(result, number) | self._stoppable(False), outputs | self.stop_button)

        return self._listen(trigger, run, fn, inputs, outputs, **flags)

    # A slider's event like `events.live`, which ends the run: what that had yet to show is outdated.
    live = functools.partialmethod(act, queue=False, trigger_mode="always_last")

    def stream(
        self, trigger: Callable, fn: Callable, inputs: Components, outputs: Components, rate: float = 20, drop: bool = True
    ) -> Any:
        """A slow model's event. `fn` is a generator of outputs; at most `rate` a second are sent, and the last one always.

        drop: leave out what comes too early; else the generator waits, outside the lane, until it is sent.
        """

        guard = functools.partial(guarded, language=current())

        def run(counter, number, *event, **values):
            number = number or 0
            steps, sent_at = fn(**_with_event(event, values)), 0.0
            waiting: dict | None = None
            sent: dict = {}

            def ended():
                return max(counter.newest, counter.stopped) > number

            step = guard(lambda: None if ended() else next(steps, None))  # an output is never None
            try:
                while (result := step()) is not None and counter.begin(number):
                    waiting = {**(waiting or {}), **self._numbered(result, number)}
                    if not sent:
                        waiting |= self._stoppable(True)
                    if not drop and not ended():
                        time.sleep(max(0.0, sent_at + 1 / rate - time.monotonic()))
                    if not ended() and time.monotonic() - sent_at >= 1 / rate:
                        sent_at, sent, waiting = time.monotonic(), waiting, None
                        yield _by_component(sent, outputs | self.stop_button)
                if counter.newest == number < counter.stopped and (result := guard(output_after_stop)(steps)):
                    waiting = self._numbered(result, number)
                last = {**(waiting or {}), **self._stoppable(False)}
                if last and (waiting or sent) and counter.newest == number:
                    sent = {**sent, **last}
                    yield _by_component({self.stage: sent[self.stage], **last}, outputs | self.stop_button)
            except gr.Error:
                if sent and counter.newest == number:
                    yield _by_component({self.stage: sent[self.stage], **self._stoppable(False)}, outputs | self.stop_button)
                raise
            finally:
                steps.close()
            # Gradio sends the last output twice, the second time perhaps after a newer run has begun.
            yield _by_component({self.stage: sent[self.stage]} if self.stage in sent else {}, outputs)

        return self._listen(trigger, run, fn, inputs, outputs)

    def _stoppable(self, running):
        return {name: gr.update(interactive=running) for name in self.stop_button}

    def _listen(self, trigger, run, fn, inputs, outputs, js="(...values) => values", **flags):
        js = f"(...values) => ({self.NUMBER})(...({js})(...values))"
        _accept_event(run, fn, ["counter", "number"])
        flags, outputs = {**self.FLAGS, **flags}, [*outputs.values(), *self.stop_button.values()]
        return trigger(run, self.inputs, outputs, inputs_kwargs=inputs, js=js, **flags)

    def _numbered(self, values, number):
        """Outputs with the number of the action in the stage's value."""
        return {name: {**value, "turn": number} if name == self.stage else value for name, value in values.items()}


def output_after_stop(steps: Iterator[dict]) -> dict | None:
    """What a generator yields when it is stopped, or None."""
    try:
        return steps.throw(Stopped())  # type: ignore[attr-defined]  # handlers are generators
    except (Stopped, StopIteration):
        return None


# --- Start-up ---------------------------------------------------------------------------------------------------------


def start(*preparations: Callable[[], Iterable[Callable]]) -> None:
    """Once the page answers: import torch with the right number of threads, then what each tab's `prepare` lists."""

    def run():
        os.environ.setdefault("OMP_NUM_THREADS", str(lane.THREADS))  # read when torch is imported; also by its own threads
        import torch

        torch.set_num_threads(lane.THREADS)
        for prepare in preparations:
            for task in prepare():
                guarded(task, on_error=print)()  # the tab will say so itself

    threading.Thread(target=run, daemon=True, name="models").start()
