"""Labels as a visitor, a link and the API's users write them: "any", "each", a class such as "7" or "ankle boot", or, for
faces, attributes: "glasses=round, smiling=yes".
"""

import gradio as gr

import genmodels as gm
from tabs.controls import ControlError, Expression

ANY, EACH = "any", "each"  # not given; one class after another


def classes(dataset: str) -> list[str]:
    """Names of the classes of a data set."""
    return gm.data.CLASSES[gm.base.check_choice("Data set", dataset, list(gm.data.CLASSES))]


def class_choices(dataset: str, each: bool = True) -> list[tuple[str, str]]:
    """(words, value) for a list of classes."""
    first = [("one of each", EACH)] if each else []
    return [*first, ("any", ANY), *((name, name) for name in classes(dataset))]


def class_number(dataset: str, label: str, name: str = "label") -> int | None:
    """The number of a class by its name; None of "any". Raises ControlError."""
    (number,) = parse({"class": classes(dataset)}, label, name)
    return None if number < 0 else number


def for_model(dataset: str, label: str, n: int) -> list[int] | int | None:
    """What `sample` takes as the label of n pictures."""
    return [i % len(classes(dataset)) for i in range(n)] if label == EACH else class_number(dataset, label)


def in_python(dataset: str, label: str, n: int) -> Expression | int | None:
    """The same as one writes it."""
    if label == EACH:
        return Expression(f"[i % {len(classes(dataset))} for i in range({n})]")
    return class_number(dataset, label)


def required_class(dataset: str, label: str, name: str = "label") -> int:
    """The number of a class by its name, where "any" will not do."""
    number = class_number(dataset, label, name)
    if number is None:
        raise ControlError(name, "Class", f"must be one of {', '.join(classes(dataset))}, not 'any'.")
    return number


# --- Models with a class or several attributes, as of faces -----------------------------------------------------------

Conditions = dict[str, list[str]]  # what a model is conditioned on: attribute -> names of its values; or {"class": names}

TITLES = {
    "class": "Class",
    "smiling": "Smile",
    "glasses": "Glasses",
    "hair_color": "Hair colour",
    "hair_length": "Hair length",
}
MENUS = tuple(f"label_{i}" for i in range(4))  # of the page: one per attribute, as many as a model has at most


def attribute_choices(checkpoint: str) -> Conditions:
    """What a checkpoint is conditioned on. checkpoint: a checked name, such as "gan-avatars"."""
    dataset = checkpoint.split("-")[1]
    values = gm.data.ATTRIBUTES if dataset == "avatars" else {"class": classes(dataset)}
    return {name: values[name] for name in gm.load(checkpoint).conditions}


def parse(conditions: Conditions, text: str, name: str = "label") -> list[int]:
    """The number of each attribute's value, -1 where it is not given. Raises ControlError; name: of the API's parameter."""
    if text == ANY:
        return [-1] * len(conditions)
    if list(conditions) == ["class"]:
        names = [ANY, *conditions["class"]]
        return [_index(names, text, name, "Class") - 1]
    label = dict.fromkeys(conditions, -1)
    for part in str(text).split(","):
        attribute, _, value = (word.strip() for word in part.rpartition("="))
        _index(list(conditions), attribute, f"the attribute in {name}", "Attribute")
        label[attribute] = _index(conditions[attribute], value, f"{attribute} in {name}", TITLES.get(attribute, attribute))
    return list(label.values())


def _index(names, value, name, title):
    if not isinstance(value, str) or value not in names:
        raise ControlError(name, title, f"must be one of {', '.join(names)}, not {str(value)[:40]!r}.")
    return names.index(value)


def join(values: dict[str, str]) -> str:
    """The text that `parse` reads, from {attribute: its value, or "any"}."""
    if list(values) == ["class"]:
        return values["class"]
    return ", ".join(f"{name}={value}" for name, value in values.items() if value != ANY) or ANY


def for_pictures(conditions: Conditions, text: str, n: int) -> list[int] | int | None:
    """What a model takes as the label of n pictures: None if nothing is given, one number if there is only a class."""
    if text == EACH and list(conditions) == ["class"]:
        return [i % len(conditions["class"]) for i in range(n)]
    label = parse(conditions, text)
    if max(label) < 0:
        return None
    return label if len(label) > 1 else label[0]


def menus(prefix: str) -> dict[str, gr.Dropdown]:
    """The page's menus by name; a tab that opens a data set gives them their values with `menu_updates`."""
    return {
        name: gr.Dropdown(
            [("any", ANY)],
            value=ANY,
            label="Class",
            visible=name == MENUS[0],
            elem_id=f"{prefix}-{name.replace('_', '-')}",
            elem_classes="plain",
            min_width=100,
        )
        for name in MENUS
    }


def menu_updates(conditions: Conditions) -> dict[str, dict]:
    """A visible menu for each attribute of a model, as it opens: one of each class, or any face."""
    first = [("one of each", EACH)] if list(conditions) == ["class"] else []
    updates = {name: gr.update(value=ANY, visible=False) for name in MENUS}
    for name, (attribute, values) in zip(MENUS, conditions.items()):
        choices = [*first, ("any", ANY), *((value.replace("_", " "), value) for value in values)]
        updates[name] = gr.update(label=TITLES.get(attribute, attribute), value=choices[0][1], visible=True, choices=choices)
    return updates


def from_menus(conditions: Conditions, values: dict) -> dict:
    """A handler's values with those of its menus, if any, joined to one `label`; menus beyond the attributes do not count."""
    if MENUS[0] not in values:
        return values
    label = join({attribute: values[name] or ANY for attribute, name in zip(conditions, MENUS)})
    return {name: value for name, value in values.items() if name not in MENUS} | {"label": label}
