"""Labels on the page: the menus of a model's attributes, and errors in the words of these menus. Their text is read by
`genmodels.labels`: "any", "each", a class such as "7" or "ankle boot", or, for faces, "glasses=round, smiling=yes".
"""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.labels import ANY, EACH, Conditions, LabelError
from genmodels.messages import Message
from tabs.controls import ControlError, Controls, Expression
from tabs.language import _, join, pgettext

TITLES = {
    "class": Message("Class"),
    "attribute": Message("Attribute"),
    "smiling": Message("Smile"),
    "glasses": Message("Glasses"),
    "hair_color": Message("Hair colour"),
    "hair_length": Message("Hair length"),
}


class Menus(Controls):
    """What the page's menus say in a link, each of an attribute."""

    label_0: str = Field(ANY, title="Class", max_length=80)
    label_1: str = Field(ANY, title="Class", max_length=80)
    label_2: str = Field(ANY, title="Class", max_length=80)
    label_3: str = Field(ANY, title="Class", max_length=80)


MENUS = tuple(Menus.model_fields)  # of the page: one per attribute, as many as a model has at most


def _titled(fn: Callable) -> Callable:
    """`fn` with errors that name the attribute as the visitor sees it."""

    @functools.wraps(fn)
    def run(*args: Any, **options: Any) -> Any:
        try:
            return fn(*args, **options)
        except LabelError as e:
            raise ControlError(e.name, TITLES.get(e.attribute, e.attribute), e.problem) from None

    return run


for_picture, for_pictures = _titled(gm.labels.for_picture), _titled(gm.labels.for_pictures)


def in_python(conditions: Conditions, label: str, n: int) -> Expression | list[int] | int | None:
    """What `for_pictures` gives, as one writes it."""
    if label == EACH:
        return Expression(f"[i % {len(conditions['class'])} for i in range({n})]")
    return for_picture(conditions, label)


def class_choices(dataset: str) -> list[tuple[str, str]]:
    """(words, value) for a list of classes."""
    names = gm.labels.classes(dataset)["class"]
    return [(_("one of each"), EACH), (_("any"), ANY), *((value_name("class", name), name) for name in names)]


def single_choices(conditions: Conditions) -> list[tuple[str, str]]:
    """(words, value) for a list of every single class or attribute value."""
    return [(_("any"), ANY), *((readable(name), name) for name in gm.labels.single_values(conditions))]


def attribute_name(attribute: str) -> str:
    """What the page calls an attribute within a sentence."""
    return _(attribute.replace("_", " "))


def value_name(attribute: str, value: str) -> str:
    """What the page calls a value of an attribute, or a class."""
    value = value.replace("_", " ")
    return _(value) if attribute == "class" else pgettext(attribute, value)


def readable(label: str) -> str:
    """A label's text in words: "7", or "glasses: round, smiling: yes"."""
    parts = [part.partition("=") for part in label.split(", ")]
    return join(
        [
            _("{attribute}: {value}", attribute=attribute_name(attribute), value=value_name(attribute, value))
            if equals
            else value_name("class", attribute)
            for attribute, equals, value in parts
        ]
    )


def menus(prefix: str) -> dict[str, gr.Dropdown]:
    """The page's menus by name; a tab that opens a data set gives them their values with `menu_updates`."""
    return {
        name: gr.Dropdown(
            [(_("any"), ANY)],
            value=ANY,
            label=_("Class"),
            visible=name == MENUS[0],
            elem_id=f"{prefix}-{name.replace('_', '-')}",
            elem_classes="plain",
            min_width=100,
        )
        for name in MENUS
    }


def menu_updates(conditions: Conditions) -> dict[str, dict]:
    """A visible menu for each attribute of a model, as it opens: one of each class, or any face."""
    first = [(_("one of each"), EACH)] if list(conditions) == ["class"] else []
    updates = {name: gr.update(value=ANY, visible=False) for name in MENUS}
    for name, (attribute, values) in zip(MENUS, conditions.items()):
        choices = [*first, (_("any"), ANY), *((value_name(attribute, value), value) for value in values)]
        title, visible = _(TITLES.get(attribute, attribute)), len(values) > 1
        updates[name] = gr.update(label=title, value=choices[0][1], visible=visible, choices=choices)
    return updates


def menu_values(attributes: list[str]) -> dict[str, str]:
    """The menus' values as a tab opens, from the names of a model's attributes."""
    return dict.fromkeys(MENUS, ANY) | ({MENUS[0]: EACH} if attributes == ["class"] else {})


def from_menus(conditions: Conditions, values: dict) -> dict:
    """A handler's values with those of its menus, if any, joined to one `label`; menus beyond the attributes do not count."""
    if MENUS[0] not in values:
        return values
    label = gm.labels.join({attribute: values[name] or ANY for attribute, name in zip(conditions, MENUS)})
    return {name: value for name, value in values.items() if name not in MENUS} | {"label": label}
