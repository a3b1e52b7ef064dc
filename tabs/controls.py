"""What a visitor may set, described once: widget, check, API parameter, line of Python and link.

class Sampling(Controls):
    n: Annotated[int, slider()] = Field(20, ge=1, le=30, title="Samples")
    temperature: Annotated[float, slider(step=0.05)] = Field(1, ge=0, le=1.5, title="Temperature")
    seed: Seed = SEED

Sampling.components("flow")                       # {"n": gr.Slider(1, 30, 20, ...), ...}
options = Sampling.read(n=8, temperature=0.5)     # ControlError: "Temperature must be a number from 0 to 1.5, not 2."
options.call("model.sample", Flow.sample)         # 'model.sample(8, temperature=0.5, seed=0)'
options.query()                                   # 'n=8&temperature=0.5', and Sampling.parse(query) is options again
"""

import inspect
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genmodels.messages import Message, message_of
from tabs.language import _


class ControlError(ValueError):
    """A value that a control does not take. The text names the control as the visitor sees it; `by_name` as API users do."""

    def __init__(self, name: str, title: str, problem: str):
        super().__init__(Message("{title} {problem}", title=title, problem=problem))
        self.name = name
        self.by_name = f"{name} {problem}"


@dataclass(frozen=True)
class Widget:
    """How a field looks on the page: a component's class and what its constructor takes beside the field's own facts."""

    component: Any  # a class of Gradio
    options: dict[str, Any] = field(default_factory=dict, hash=False)


class _Unchecked:
    """Sends what the visitor typed, unrounded: `Controls.read` says in a sentence what is wrong with it."""

    def preprocess(self, payload: Any) -> Any:
        return payload

    def get_block_name(self) -> str:  # in the browser it is Gradio's
        return type(self).__name__.lower()


class Slider(_Unchecked, gr.Slider):
    pass


class Number(_Unchecked, gr.Number):
    pass


def slider(step: float = 1, **options: Any) -> Widget:
    """A slider over the field's range; `maximum` may offer less than the check allows."""
    return Widget(Slider, {"step": step, "buttons": [], **options})


def dropdown(choices: list | None = None, **options: Any) -> Widget:
    """A list of (label, value); what depends on a checkpoint is given to `components`."""
    return Widget(gr.Dropdown, {"choices": choices or [], **options})


def radio(choices: list, **options: Any) -> Widget:
    return Widget(gr.Radio, {"choices": choices, **options})


def checkbox(**options: Any) -> Widget:
    return Widget(gr.Checkbox, options)


def number(**options: Any) -> Widget:
    return Widget(Number, {"precision": 0, **options})


def textbox(**options: Any) -> Widget:
    return Widget(gr.Textbox, options)


class Expression(str):
    """A value of `Controls.call` that is written as it stands."""


class Controls(BaseModel):
    """The values of some controls, checked. Subclasses give each field a type, a range, a title and a widget."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True, validate_default=True)
    parameters: ClassVar[tuple[str, ...]]  # fields that an endpoint takes, in this order; unless a class says so: all

    @classmethod
    def __pydantic_init_subclass__(cls, **options):
        if "parameters" not in vars(cls):
            cls.parameters = tuple(cls.model_fields)

    @classmethod
    def components(cls, prefix: str, *names: str, **changes: dict[str, Any]) -> dict[str, Any]:
        """One component per field that has a widget, laid out in this order.

        prefix: begins each `elem_id`, as in "flow-temperature". names: only these fields. changes: field -> options of its
        component that depend on a checkpoint, such as choices or another value.
        """
        return {
            name: cls._component(prefix, name, changes.get(name, {})) for name in names or cls.model_fields if cls._widget(name)
        }

    @classmethod
    def _widget(cls, name) -> Widget | None:
        return next((m for m in cls.model_fields[name].metadata if isinstance(m, Widget)), None)

    @classmethod
    def _component(cls, prefix, name, changes):
        facts, widget = cls.model_fields[name], cls._widget(name) or number()
        low, high = cls.bounds(name)
        options = {
            "value": facts.default,
            "label": _(cls._label(name)),
            "elem_id": f"{prefix}-{name.replace('_', '-')}",
            "elem_classes": "plain",
        }
        if widget.component in (Slider, Number):
            options |= {"minimum": low, "maximum": high}
        words: dict[str, Any] = {
            option: _(text) for option, text in widget.options.items() if option in ("info", "label", "placeholder")
        }
        if choices := widget.options.get("choices"):
            words["choices"] = [choice if isinstance(choice, str) else (_(choice[0]), choice[1]) for choice in choices]
        return widget.component(**{**options, **widget.options, **words, **changes})

    @classmethod
    def bounds(cls, name: str) -> tuple[float | None, float | None]:
        """(lowest, highest) value of a number."""
        metadata = cls.model_fields[name].metadata
        low = next((m.ge for m in metadata if hasattr(m, "ge")), None)
        high = next((m.le for m in metadata if hasattr(m, "le")), None)
        return low, high

    @classmethod
    def read(cls, **values: Any) -> Self:
        """The values as the page or the API sends them, checked; a missing one is its default.

        Raises:
            ControlError: one sentence with the field's title and what is allowed. Stricter than pydantic alone: a boolean is
                no number, and "20" is none either.
        """
        for name, value in values.items():
            if name not in cls.model_fields:
                names = ", ".join(cls.model_fields)
                raise ControlError(name, name, Message("is not a control; there are {names}.", names=names))
            kind = _plain_type(cls.model_fields[name].annotation)
            if kind in (int, float) and (isinstance(value, bool) or not isinstance(value, (int, float))):
                raise cls._error(name, value)
            if kind is bool and not isinstance(value, bool) or kind is str and not isinstance(value, str):
                raise cls._error(name, value)
        try:
            return cls(**values)
        except ValidationError as e:
            first = e.errors()[0]
            if not first["loc"]:  # a rule between fields: its sentence is whole
                raise ValueError(message_of(first["ctx"]["error"])) from None
            name = str(first["loc"][0])
            raise cls._error(name, values.get(name), first) from None

    @classmethod
    def _error(cls, name, value, error=None):
        title = cls._title(name)
        if error and error["type"] == "value_error":  # of a field's own validator
            return ControlError(name, title, message_of(error["ctx"]["error"]))
        problem = Message("must be {allowed}, not {value}.", allowed=cls.allowed(name), value=_shown(value))
        return ControlError(name, title, problem)

    @classmethod
    def allowed(cls, name: str) -> Message:
        """What a field takes, in words: "a whole number from 1 to 30"."""
        facts = cls.model_fields[name]
        kind = _plain_type(facts.annotation)
        if kind in (int, float):
            low, high = cls.bounds(name)
            if kind is int:
                return Message("a whole number from {low} to {high}", low=low, high=high)
            return Message("a number from {low} to {high}", low=low, high=high)
        if typing.get_origin(kind) is Literal:
            return Message("one of {choices}", choices=", ".join(map(str, typing.get_args(kind))))
        longest = next((m.max_length for m in facts.metadata if hasattr(m, "max_length")), None)
        if kind is str and longest:
            return Message("a text of at most {longest} characters", longest=longest)
        return {bool: Message("true or false"), str: Message("a text")}.get(kind, Message("a list"))

    @classmethod
    def document(cls) -> dict[str, str]:
        """{field: what it is and takes}, for the docs of an endpoint."""
        return {name: f"{cls._label(name)}: {cls.allowed(name)}." for name in cls.parameters}

    @classmethod
    def _title(cls, name):
        return Message(cls.model_fields[name].title or name)

    @classmethod
    def _label(cls, name):
        title, description = cls._title(name), cls.model_fields[name].description
        return Message("{title} ({description})", title=title, description=Message(description)) if description else title

    def arguments(self, method: Callable, **changes: Any) -> dict[str, Any]:
        """The values that `method` takes, by name. changes: values instead of, or after, the fields'."""
        parameters = inspect.signature(method).parameters
        return {name: getattr(self, name) for name in type(self).model_fields if name in parameters} | changes

    def call(self, function: str, method: Callable, *first: str, **changes: Any) -> str:
        """The line of Python that calls `method`, written as `function`, with these values.

        n and seed are always written, other values only where they differ from the method's own default. first: arguments
        that come before the values; changes: values that are written instead of, or after, the fields'.
        """
        parameters = inspect.signature(method).parameters
        values = self.arguments(method, **changes)
        seed = {"seed": values.pop("seed")} if "seed" in values else {}
        arguments = list(first)
        for name, value in {**values, **seed}.items():
            default = parameters[name].default if name in parameters else inspect.Parameter.empty
            positional = name not in parameters or parameters[name].kind is not inspect.Parameter.KEYWORD_ONLY
            if name == "n" and positional:
                arguments.insert(len(first), _written(value))
            elif name in ("n", "seed") or value != default:
                arguments.append(f"{name}={_written(value)}")
        return f"{function}({', '.join(arguments)})"

    def query(self) -> str:
        """The values that are not their defaults, as the query string of a link."""
        changed = {name: value for name, value in self if value != type(self).model_fields[name].default}
        return urlencode({name: value if isinstance(value, str) else json.dumps(value) for name, value in changed.items()})

    @classmethod
    def parse(cls, query: str) -> Self:
        """`read` of a query string. Raises ControlError as `read` does."""
        values = {}
        for name, text in parse_qsl(query, keep_blank_values=True):
            kind = _plain_type(cls.model_fields[name].annotation) if name in cls.model_fields else str
            if kind is str or typing.get_origin(kind) is Literal:
                values[name] = text
                continue
            try:
                values[name] = json.loads(text)
            except (ValueError, RecursionError):
                raise cls._error(name, text) from None
        return cls.read(**values)


def _plain_type(annotation):
    """The type without Optional: `int` of `int | None`."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return typing.get_origin(annotation) if typing.get_origin(annotation) in (list, tuple) else annotation


def _shown(value):
    return repr(value[:40]) if isinstance(value, str) else str(value)[:40]


def _written(value):
    """A value as one writes it in Python."""
    if isinstance(value, str):
        return str(value) if isinstance(value, Expression) else json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else repr(value)


Seed = Annotated[int, number(scale=2, min_width=80, elem_classes=[])]
SEED = Field(0, ge=0, le=2**31, title=Message("Seed"))
