"""Labels as a visitor, a link and the API's users write them: "any", "each", a class such as "7" or "ankle boot"."""

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
    names = classes(dataset)
    if label == ANY:
        return None
    if not isinstance(label, str) or label not in names:
        raise ControlError(name, "Class", f"must be one of {', '.join([ANY, *names])}, not {str(label)[:40]!r}.")
    return names.index(label)


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
