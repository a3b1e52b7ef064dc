"""tabs/controls.py: a control described once is a widget, a check, a sentence, a line of Python and a link."""

import importlib
import json
import pkgutil
from typing import Annotated, Literal, get_args

import gradio as gr
import pytest
from helpers import is_sentence
from pydantic import Field, field_validator, model_validator

import tabs
from tabs.controls import SEED, ControlError, Controls, Expression, Seed, checkbox, dropdown, number, radio, slider

for module in pkgutil.walk_packages(tabs.__path__, "tabs."):
    importlib.import_module(module.name)


def subclasses(cls):
    for sub in cls.__subclasses__():
        yield sub
        yield from subclasses(sub)


CLASSES = [cls for cls in subclasses(Controls) if cls.__module__.startswith("tabs.")]  # of the page, not of the tests
FIELDS = [(cls, name) for cls in CLASSES for name in cls.model_fields]


class Sampling(Controls):
    """One field of every kind."""

    n: Annotated[int, slider()] = Field(9, ge=1, le=16, title="Samples")
    temperature: Annotated[float, slider(step=0.05, maximum=1)] = Field(
        1, ge=0, le=1.5, title="Temperature", description="1: as trained"
    )
    sampler: Annotated[Literal["dpm", "ddim"], radio([("DPM-Solver++", "dpm"), ("DDIM", "ddim")])] = Field(
        "dpm", title="Sampler"
    )
    label: Annotated[str, dropdown()] = Field("any", title="Class", max_length=10)
    nested: Annotated[bool, checkbox(elem_id="other-id")] = Field(True, title="Nested samples")
    steps: Annotated[int, number()] = Field(20, ge=1, le=250, title="Steps")
    directions: list[float] = Field([], title="Directions", max_length=3)
    seed: Seed = SEED

    @field_validator("label")
    @classmethod
    def is_no_code(cls, label):
        if label.startswith("<"):
            raise ValueError("must not begin with <.")
        return label

    @model_validator(mode="after")
    def fits_the_sampler(self):
        if self.steps > 100 and self.sampler != "ddim":
            raise ValueError("Only DDIM takes more than 100 steps.")
        return self


class Model:
    def sample(self, n, *, label=None, temperature=1.0, sampler="ddim", seed=None):
        """A method of a model, with other defaults than the page's."""


# --- Widgets ----------------------------------------------------------------------------------------------------------


def test_every_field_with_a_widget_is_a_component():
    parts = Sampling.components("gan", label={"choices": ["any", "3"]}, n={"value": 4})
    kinds = [gr.Slider, gr.Slider, gr.Radio, gr.Dropdown, gr.Checkbox, gr.Number, gr.Number]
    assert all(isinstance(part, kind) for part, kind in zip(parts.values(), kinds, strict=True))
    names = ["slider", "slider", "radio", "dropdown", "checkbox", "number", "number"]
    assert [part.get_block_name() for part in parts.values()] == names  # as the browser knows them
    assert list(parts) == [name for name in Sampling.model_fields if name != "directions"]
    assert [part.elem_id for part in parts.values()][:5] == ["gan-n", "gan-temperature", "gan-sampler", "gan-label", "other-id"]
    assert (parts["n"].value, parts["n"].minimum, parts["n"].maximum, parts["n"].label) == (4, 1, 16, "Samples")
    assert (parts["temperature"].maximum, parts["temperature"].step) == (1, 0.05)  # the widget offers less
    assert parts["temperature"].label == "Temperature (1: as trained)"
    assert parts["sampler"].choices == [("DPM-Solver++", "dpm"), ("DDIM", "ddim")]
    assert [value for _, value in parts["label"].choices] == ["any", "3"]
    assert (parts["steps"].minimum, parts["steps"].maximum, parts["steps"].precision) == (1, 250, 0)
    assert list(Sampling.components("gan", "seed", "n")) == ["seed", "n"]


@pytest.mark.parametrize(
    ("name", "value", "title"),
    [("n", 45, "Samples"), ("n", None, "Samples"), ("seed", -5, "Seed"), ("seed", 3.7, "Seed"), ("seed", None, "Seed")],
)
def test_what_a_number_box_sends_is_neither_rounded_nor_refused_without_its_name(name, value, title):
    sent = Sampling.components("gan", name)[name].preprocess(value)
    assert sent == value
    with pytest.raises(ControlError, match=f"^{title} must be a whole number from "):
        Sampling.read(**{name: sent})


# --- Checks -----------------------------------------------------------------------------------------------------------


def test_values_are_read_and_missing_ones_are_defaults():
    options = Sampling.read(n=3.0, temperature=0, directions=[1, 0.5], sampler="ddim", steps=250)
    assert (options.n, options.temperature, options.directions, options.steps) == (3, 0.0, [1.0, 0.5], 250)
    assert (options.label, options.nested, options.seed) == ("any", True, 0)
    assert type(options.n) is int and type(options.temperature) is float
    with pytest.raises(ValueError):
        options.n = 5


NAN, INFINITY = float("nan"), float("inf")
REFUSED = [
    ("n", 0, "Samples must be a whole number from 1 to 16, not 0."),
    ("n", 17, "Samples must be"),
    ("n", 2.5, "Samples must be"),
    ("n", "3", "Samples must be a whole number from 1 to 16, not '3'."),
    ("n", True, "Samples must be"),
    ("n", None, "Samples must be"),
    ("n", 10**400, "Samples must be"),
    ("temperature", 1.6, "Temperature must be a number from 0 to 1.5, not 1.6."),
    ("temperature", NAN, "Temperature must be"),
    ("temperature", INFINITY, "Temperature must be"),
    ("temperature", [1], "Temperature must be"),
    ("temperature", False, "Temperature must be"),
    ("sampler", "euler", "Sampler must be one of dpm, ddim, not 'euler'."),
    ("sampler", ["dpm"], "Sampler must be"),
    ("sampler", None, "Sampler must be"),
    ("label", 3, "Class must be a text of at most 10 characters, not 3."),
    ("label", "x" * 99, "Class must be"),
    ("label", "<b>", "Class must not begin with <."),
    ("nested", 1, "Nested samples must be true or false, not 1."),
    ("nested", "yes", "Nested samples must be true or false"),
    ("directions", 3, "Directions must be a list"),
    ("directions", [1, 2, 3, 4], "Directions must be"),
    ("directions", ["x"], "Directions must be"),
    ("seed", -1, "Seed must be a whole number from 0 to 2147483648, not -1."),
]


@pytest.mark.parametrize(("name", "value", "says"), REFUSED)
def test_a_refused_value_gets_a_sentence_with_the_title(name, value, says):
    with pytest.raises(ControlError) as error:
        Sampling.read(**{name: value})
    assert str(error.value).startswith(says)
    assert is_sentence(str(error.value)) and len(str(error.value)) < 200
    title = Sampling.model_fields[name].title
    assert error.value.by_name == name + str(error.value).removeprefix(title)  # as the API's users know it


def test_unknown_names_and_rules_between_fields():
    with pytest.raises(ControlError, match="spread is not a control; there are n, temperature"):
        Sampling.read(spread=1)
    with pytest.raises(ValueError, match="^Only DDIM takes more than 100 steps.$") as error:
        Sampling.read(steps=101)
    assert not isinstance(error.value, ControlError)


def test_a_field_is_described_for_the_api():
    lines = Sampling.document()
    assert lines["n"] == "Samples: a whole number from 1 to 16."
    assert lines["temperature"] == "Temperature (1: as trained): a number from 0 to 1.5."
    assert lines["sampler"] == "Sampler: one of dpm, ddim."
    assert lines["nested"] == "Nested samples: true or false."


# --- The line of Python -----------------------------------------------------------------------------------------------


def test_the_call_has_n_and_seed_and_what_differs_from_the_methods_defaults():
    assert Sampling().call("model.sample", Model.sample, label=None) == 'model.sample(9, sampler="dpm", seed=0)'
    options = Sampling.read(n=2, temperature=0.25, sampler="ddim", seed=7)
    assert options.call("model.sample", Model.sample, label=3) == "model.sample(2, temperature=0.25, label=3, seed=7)"
    exact = Sampling(temperature=0.0625).call("f", Model.sample)
    assert exact == 'f(9, temperature=0.0625, sampler="dpm", label="any", seed=0)'
    written = options.call("model.sample_steps", Model.sample, "x", label=Expression("[0] * 2"), every=5)
    assert written.startswith("model.sample_steps(x, 2, ") and "label=[0] * 2" in written and "every=5" in written
    assert options.call("f", Model.sample, label='a "b" ä') == 'f(2, temperature=0.25, label="a \\"b\\" ä", seed=7)'


# --- Links ------------------------------------------------------------------------------------------------------------


def test_a_query_string_has_what_was_changed_and_is_read_back():
    assert Sampling().query() == ""
    options = Sampling.read(n=8, temperature=0.5, label="Ä & b=1", nested=False, directions=[1, -2.5])
    assert options.query() == "n=8&temperature=0.5&label=%C3%84+%26+b%3D1&nested=false&directions=%5B1.0%2C+-2.5%5D"
    assert Sampling.parse(options.query()) == options
    assert Sampling.parse("") == Sampling()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("n=many", "Samples must be a whole number from 1 to 16, not 'many'."),
        ("n=", "Samples must be"),
        ("n=true", "Samples must be"),
        ("n=8&n=99", "Samples must be"),
        ("temperature=NaN", "Temperature must be"),
        ("temperature=" + "[" * 100_000, "Temperature must be"),
        ("nested=1", "Nested samples must be"),
        ("sampler=euler", "Sampler must be"),
        ("spread=1", "spread is not a control"),
    ],
)
def test_a_bad_link_gets_a_sentence(query, says):
    with pytest.raises(ControlError, match=says) as error:
        Sampling.parse(query)
    assert is_sentence(str(error.value))


# --- All controls of the page -----------------------------------------------------------------------------------------


def candidates(cls, name):
    """Values that a field might take beside its default."""
    low, high = cls.bounds(name)
    kind, default = cls.model_fields[name].annotation, cls.model_fields[name].default
    if low is not None:
        return [high, low, (low + high) / 2, low + 1]
    if kind is bool:
        return [not default]
    if get_args(kind) and not isinstance(default, (list, tuple)):
        return get_args(kind)
    return ["each", "Ä & b=1", "1", "0,0.01", "samples", ""] if isinstance(default, str) else [[0.5], [1], []]


def accepted(cls, name):
    """Options of the class with another value than the default for one field: the first that its rules allow."""
    for value in candidates(cls, name):
        try:
            options = cls.read(**{name: value})
        except ValueError:
            continue
        if getattr(options, name) != cls.model_fields[name].default:
            return options
    raise AssertionError(f"{cls.__name__}.{name} takes nothing but its default")


def test_the_page_has_controls():
    assert len(CLASSES) >= 6
    assert all(facts.title for cls in CLASSES for facts in cls.model_fields.values())


@pytest.mark.parametrize(("cls", "name"), FIELDS, ids=[f"{cls.__module__}.{cls.__name__}.{name}" for cls, name in FIELDS])
def test_each_control_of_the_page(cls, name):
    """Its link leads back to it, what it refuses names it, and its widget offers only what the check allows."""
    options = accepted(cls, name)
    assert cls.parse(options.query()) == options
    assert cls.parse(cls().query()) == cls()
    with pytest.raises(ControlError) as error:
        cls.read(**{name: object()})
    facts = cls.model_fields[name]
    assert str(error.value).startswith(f"{facts.title} must be ") and is_sentence(str(error.value))
    assert error.value.by_name.startswith(f"{name} must be ")
    json.dumps(facts.default)  # it can be an API's default
    widget = cls.components("tab", name).get(name)
    if isinstance(widget, (gr.Slider, gr.Number)):
        low, high = cls.bounds(name)
        assert low <= widget.minimum <= widget.value <= widget.maximum <= high
    if isinstance(widget, (gr.Radio, gr.Dropdown)):  # without those that depend on a checkpoint
        for _, value in widget.choices:
            assert getattr(cls.read(**{name: value}), name) == value
