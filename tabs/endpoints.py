"""The API: functions as named endpoints, with what Gradio and its users are told of their arguments and results."""

import collections
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, get_args, get_origin

import gradio as gr
from PIL.Image import Image

from tabs import events
from tabs.components.upload import upload
from tabs.controls import ControlError, Controls

Upload = Annotated[str | None, "upload"]  # type of an endpoint's argument that is a picture's file
ARGUMENTS = {  # what they are, wherever a docstring does not say it
    "picture": "a file; it is prepared like the pictures of the dataset. Without one, a test picture is used.",
    "test_picture_number": "0 to 199 (0 to 99 for faces), used when there is no file.",
    "label": "any; a class such as 7 or ankle boot; for faces attributes such as smiling=yes, glasses=round, hair_color=pink.",
    "seed": "a whole number from 0 to 2147483648; the same seed gives the same result.",
}
PICTURES = {"mnist": "digits", "fashion": "clothes", "avatars": "faces"}


def endpoint(fn: Callable, stream: bool = False) -> None:
    """Register `fn` as the API endpoint of its own name. Call it once for the page, outside the tabs.

    Names, types and defaults come from the signature; an argument whose default is an instance of `Controls` stands for one
    argument per name in its `parameters`. Docs come from the docstring, and for arguments that it leaves out from `ARGUMENTS`,
    the model's names and the controls. A generator function answers with its last output, or, if stream, with each as it comes.
    """
    if not inspect.getdoc(fn):
        raise TypeError(f"{fn.__name__} needs a docstring: it is what users of the API see.")
    arguments: dict[str, tuple[Any, Any]] = {}  # name of an argument -> (type, default)
    controls: dict[str, type[Controls]] = {}
    for name, parameter in inspect.signature(fn).parameters.items():
        if isinstance(parameter.default, Controls):
            controls[name] = group = type(parameter.default)
            values = {field: getattr(parameter.default, field) for field in group.parameters}
            arguments |= {field: (type(value), value) for field, value in values.items()}
        else:
            arguments[name] = (parameter.annotation, parameter.default)
    inputs = {name: _box(name, *argument) for name, argument in arguments.items()}

    def call(**values):
        """The call of `fn`, with controls checked."""
        groups = {name: kind.read(**{f: values.pop(f) for f in kind.parameters}) for name, kind in controls.items()}
        return fn(**values, **groups)

    run: Callable = events.guarded(_naming_parameters(call))
    if inspect.isgeneratorfunction(fn):
        run = _stepwise(call) if stream else _last_output(call)
    run.__name__, run.__doc__ = fn.__name__, _documented(fn, arguments, controls)
    kind = inspect.Parameter.KEYWORD_ONLY
    signature = [inspect.Parameter(name, kind, default=default) for name, (_, default) in arguments.items()]
    setattr(run, "__signature__", inspect.Signature(signature))  # noqa: B010  # a function's, as Gradio reads it
    result = inspect.signature(fn).return_annotation
    result = get_args(result)[0] if get_origin(result) is Iterator else result
    outputs = [_result(kind) for kind in (get_args(result) if get_origin(result) is tuple else [result])]
    gr.Button(visible=False).click(run, None, outputs, inputs_kwargs=inputs, api_name=fn.__name__)


def _naming_parameters(fn):
    """`fn` with errors that name parameters as the API's users know them."""

    def run(**values):
        try:
            return fn(**values)
        except ControlError as e:
            raise ValueError(e.by_name) from None

    return run


def _box(name, kind, default):
    """The hidden component of an endpoint's argument. It checks nothing: `fn` does."""
    if kind is Upload:
        return upload(visible=False, label=name)
    if get_origin(kind) is Literal:
        return gr.Dropdown(list(get_args(kind)), value=default, label=name, visible=False)
    component = {bool: gr.Checkbox, int: gr.Number, float: gr.Number, str: gr.Textbox, list: gr.JSON}[get_origin(kind) or kind]
    return component(default, label=name, visible=False)


def _result(kind):
    """The hidden component of an endpoint's result."""
    if kind is Image:
        return gr.Image(format="png", label="picture", visible=False)
    return gr.JSON(label="facts", visible=False) if kind is dict else gr.Textbox(label="text", visible=False)


def _documented(fn, arguments, controls):
    """The docstring of `fn`, with a line for each argument that it does not describe itself."""
    summary, _, returns = (inspect.getdoc(fn) or "").partition("\nReturns:")
    summary, _, described = summary.partition("\nArgs:")
    texts = {name: text for kind in controls.values() for name, text in kind.document().items()}
    if get_origin(arguments.get("model", (None,))[0]) is Literal:
        texts["model"] = f"one of {', '.join(map(_model, get_args(arguments['model'][0])))}."
    texts |= ARGUMENTS
    missing = "".join(f"\n    {name}: {texts[name]}" for name in arguments if f"\n    {name}:" not in described)
    return f"{summary}\nArgs:{missing}{described}\nReturns:{returns}"


def _model(name):
    """A model's name, and what it makes."""
    pictures = PICTURES.get("".join(name.split("-")[1:2]))
    return f"{name} ({pictures})" if pictures else name


def _stepwise(fn):
    """`fn`, which returns a generator, with the computing lane taken for each step by itself: sliders move in between."""

    def run(**values):
        steps = events.guarded(_naming_parameters(fn))(**values)
        step = events.guarded(_naming_parameters(lambda: next(steps, None)))  # an output is never None
        try:
            while (result := step()) is not None:
                yield result
                time.sleep(0.001)  # whoever waits for the lane comes first
        finally:
            steps.close()

    return run


def _last_output(fn):
    return lambda **values: collections.deque(_stepwise(fn)(**values), maxlen=1).pop()
