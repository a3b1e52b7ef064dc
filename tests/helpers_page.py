"""The page as a visitor uses it, without a browser: what an event sends, computes and changes, and the events that follow."""

import copy
import inspect
import itertools

import gradio as gr

from tabs import events
from tabs.components import Component


class Visitor:
    """Values of the page's components, as one visitor has them; components are named by their elem_id. page: its path."""

    def __init__(self, demo, page=""):
        self.demo, self.values, self.actions = demo, {}, itertools.count(1)
        self.drawn = 1234  # the seed that the browser draws for a button
        blocks = [(number, block) for number, block in demo.blocks.items() if block.page == page]
        self.ids = {block.elem_id: number for number, block in blocks if getattr(block, "elem_id", None)}

    def __getitem__(self, name):
        return self._value(self.ids[name])

    def _value(self, number):
        if number not in self.values:
            self.values[number] = copy.deepcopy(getattr(self.demo.blocks[number], "value", None))
        return self.values[number]

    def set(self, name, value, event="input"):
        """The visitor gives a control another value."""
        self.values[self.ids[name]] = value
        self._listeners(self.ids[name], event)

    def send(self, name, event="input", **data):
        """A component sends an event with data, as a click on it does."""
        self._listeners(self.ids[name], event, gr.EventData(None, data))

    def press(self, text, changes):
        """Press the button with this text whose event, or one that follows, changes the component `changes`."""
        target = self.demo.blocks[self.ids[changes]]
        for number, block in self.demo.blocks.items():
            if isinstance(block, gr.Button) and text in (block.value, block.elem_id):
                if any(target in fn.outputs for fn in self._following(number)):
                    return self._listeners(number, "click")
        raise KeyError(text)

    def _following(self, number):
        found = [fn for fn in self.demo.fns.values() if (number, "click") in fn.targets]
        for fn in found:  # grows
            found += [other for other in self.demo.fns.values() if other.trigger_after == fn._id]
        return found

    def _listeners(self, number, event, data=None):
        listeners = [fn for fn in self.demo.fns.values() if (number, event) in fn.targets and (fn.fn or draws(fn))]
        assert listeners or event == "change", f"nothing listens to {event} of {self.demo.blocks[number]}"
        for fn in listeners:
            self._run(fn, data)

    def _run(self, fn, data=None):
        if draws(fn):
            self._take(fn, self.drawn)
            return self._follow(fn)
        named = fn.input_keyword_names or []
        values = [self._input(block) for block in fn.inputs]
        positional = values[: len(values) - len(named)]
        if fn.js and len(positional) == 2:
            positional[1] = next(self.actions)  # as the browser numbers them
        event = [data or gr.EventData(None, {})] if fn.collects_event_data else []
        result = fn.fn(*positional, *event, **dict(zip(named, values[len(positional) :])))
        for output in result if inspect.isgenerator(result) else [result]:
            self._take(fn, output)
        self._follow(fn)

    def _follow(self, fn):
        for other in self.demo.fns.values():
            if other.trigger_after == fn._id and other.fn:
                self._run(other)

    def _input(self, block):
        value = self._value(block._id)
        return block.preprocess(value) if isinstance(block, Component) else value

    def _take(self, fn, output):
        if not isinstance(output, dict):
            output = {fn.outputs[0]: output} if len(fn.outputs) == 1 else {}
        for block, value in output.items():
            if isinstance(block, str):  # a skip
                return
            if isinstance(value, dict) and value.get("__type__") == "update":
                if "value" not in value:
                    continue
                value = value["value"]
            self.values[block._id] = value


def draws(fn):
    """Whether the event is one with which the browser draws a seed."""
    return not fn.fn and fn.js == events.DRAW
