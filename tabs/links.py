"""Links: the address bar says what is on screen, and opening that address shows it again, on another machine too.

The browser writes the address (hosting/links.js): of each tool the values that are not its defaults. Opening one, the server
selects the tab, sets the data set and lets the tab open as always; then it checks the values by the tool's `Controls`, sets
them, and runs what shows them. What a tool adds to its own wiring:

links.tool(Sampling, controls, restore=(show, inputs, outputs))     # its fields are in the link; `show` is called with them
runs.stream(links.restored(inputs), generate, inputs, outputs)      # for a stream: the event after a link has changed an input
"""

import base64
import dataclasses
import html
import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from gradio.context import Context, LocalContext

from genmodels.messages import Message
from tabs import events
from tabs.components.address import Address
from tabs.components.link import Link
from tabs.controls import ControlError, Controls
from tabs.events import Components, Step, tab_path
from tabs.language import _

MAX_LENGTH = 4000  # characters of a link that are read; the page writes at most half of them
FOREIGN = (
    "embed",
    "projector",
    "view",
    "deep_link",
)  # parameters that are not part of the state, beside those of Gradio, "__theme"
PLACES = ("tab", "tool")  # parameters that name a tab, and one within it


class Part(NamedTuple):
    """What of a component's value is in the link. script: JavaScript of the value `v`; null or undefined: nothing."""

    component: Any
    script: str


@dataclass(frozen=True)
class Tool:
    """Some fields of `controls` and the components that hold them."""

    controls: type[Controls]
    components: dict[str, Any]  # field -> component or Part
    name: str  # precedes the fields in a link
    defaults: Callable[[str], dict[str, Any]]
    restore: Step | None

    def parameter(self, field: str) -> str:
        return f"{self.name}-{field}" if self.name else field

    def plain(self) -> Components:
        return {field: part for field, part in self.components.items() if not isinstance(part, Part)}

    def opening_values(self, dataset: str) -> dict[str, Any]:
        """{field: value} as the tool opens for a data set."""
        values = {field: self.controls.model_fields[field].default for field in self.components}
        try:
            return values | {field: value for field, value in self.defaults(dataset).items() if field in values}
        except ValueError:  # its model is not there, as the tool itself says
            return values

    def read(self, texts: dict[str, str], dataset: str) -> tuple[dict[str, Any], list[Any]]:
        """({field: value}, sentences on the texts that are not allowed). Of such a field, and one without text: its default."""
        opening = self.opening_values(dataset)
        problems: list[Any] = []
        own = {field: texts[self.parameter(field)] for field in self.components if self.parameter(field) in texts}
        for field, text in own.items():
            if isinstance(opening[field], list):
                own[field] = f"[{text}]"
        for field, component in self.plain().items():
            if (
                field in own
                and own[field] != opening[field]
                and (choices := choices_of(component))
                and own[field] not in map(as_text, choices)
            ):
                del own[field]
                problems.append(Message("{title} must be one of those in the menu.", title=title(self.controls, field)))
        while own:
            others = {field: as_text(value) for field, value in opening.items() if field not in own and value not in (None, [])}
            try:
                values = dict(self.controls.parse(urlencode(others | own)))
                return {field: values[field] if field in own else value for field, value in opening.items()}, problems
            except ControlError as e:
                problems.append(e)
                if own.pop(e.name, None) is None:
                    own.clear()
            except ValueError as e:  # a rule between fields
                problems.append(e)
                own.clear()
        return opening, problems


@dataclass
class Choice:
    """What decides how a tab opens: its data set."""

    name: str
    radio: gr.Radio

    @property
    def values(self) -> list[str]:
        choices: list[Any] = self.radio.choices  # all of them texts, which Gradio's type does not say
        return [value for _title, value in choices]


@dataclass
class Registry:
    """What the tools of a page that is being built have registered."""

    tools: list[Tool] = dataclasses.field(default_factory=list)
    choices: list[Choice] = dataclasses.field(default_factory=list)
    restored: list[tuple[gr.State, Components]] = dataclasses.field(default_factory=list)
    links: list[Link] = dataclasses.field(default_factory=list)


def registry() -> Registry:
    return vars(Context.root_block).setdefault("links", Registry())


# --- What tools say ---------------------------------------------------------------------------------------------------


def tool(
    controls: type[Controls],
    components: dict[str, Any],
    restore: Step | None = None,
    name: str = "",
    defaults: Callable[[str], dict[str, Any]] = lambda dataset: {},
) -> None:
    """Put the fields of `controls` that have a component in the link.

    components: by name; what is no field of `controls` is left out, so that it may be the inputs of a handler. restore:
    (handler, inputs, outputs), called with the fields' values and the inputs when a link has changed any of them; tools
    follow one another in the order of these calls. name: precedes the fields in a link, for all but the tool on the stage.
    defaults: data set -> values with which the tool opens, where they are not those of `controls`.
    """
    own = {field: component for field, component in components.items() if field in controls.model_fields}
    registry().tools.append(Tool(controls, own, name, defaults, restore))


def choice(name: str, radio: gr.Radio) -> None:
    """Put a choice in the link that opens a tab anew."""
    registry().choices.append(Choice(name, radio))


def restored(inputs: Components) -> Callable:
    """The event after a link has changed any of the inputs, for what cannot be restored at once."""
    state = gr.State(0)
    registry().restored.append((state, inputs))
    return state.change


def copy_button() -> None:
    """The button that copies the link of the tab in which it stands."""
    registry().links.append(Link(place=tab_path(Context.block)))


def pack(numbers: Iterable[float]) -> str:
    """A latent code, rounded to 3 digits, as a link has it."""
    import numpy as np

    code = np.round(1000 * np.asarray(list(numbers))).clip(-32767, 32767).astype("<i2")
    return base64.urlsafe_b64encode(code.tobytes()).decode().rstrip("=")


def unpack(text: str) -> list[float]:
    """The numbers of `pack`. Raises a ValueError if the text is something else."""
    import numpy as np

    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), "-_", validate=True)
        return [round(k / 1000, 3) for k in np.frombuffer(data, "<i2").tolist()]
    except ValueError:
        raise ValueError(Message("The latent code in the link cannot be read.")) from None


# --- The page ---------------------------------------------------------------------------------------------------------


def connect(tabs: gr.Tabs) -> "dict[str, Place]":
    """Wire the links of a page whose tabs have been laid out. Returns what has a link, by the path of its tab."""
    registered = registry()
    del vars(Context.root_block)["links"]
    groups = dict(tab_groups(tabs))
    for path, group in groups.items():
        for tab in tabs_of(group):
            events.in_browser(tab.select, f"() => {{ window.links?.select({path!r}, {tab.id!r}); }}", {}, {})
    for state in (*visited_states(groups).values(), *(state for state, _inputs in registered.restored)):
        state.unrender()  # Gradio takes any output for a change of a state, if it stands in a tab that is not in the browser
        state.render()
    links = {link.props["place"]: link for link in registered.links}
    places = {path: Place(path, link, registered, list(links), tabs_within(groups, path)) for path, link in links.items()}
    address = Address(groups={path: [tab.id for tab in tabs_of(group)] for path, group in groups.items()})
    for place in places.values():
        place.connect()
    address.set_places({path: place.description() for path, place in places.items()})
    connect_opening(address, groups, places)
    return places


def tabs_of(group: gr.Tabs) -> list[Any]:
    """Each gr.Tab of a group; Gradio's type says only that they are blocks."""
    return group.children


def tab_groups(tabs: gr.Tabs, path: str = "") -> Iterator[tuple[str, gr.Tabs]]:
    """(path of the tab around it, group) of a group of tabs, and of all groups within it."""
    yield path, tabs
    for tab in tabs_of(tabs):
        for group in inner_groups(tab):
            yield from tab_groups(group, f"{path}/{tab.id}".strip("/"))


def tabs_within(groups: dict[str, gr.Tabs], path: str) -> set[str]:
    """The ids of all tabs within the outermost one of a path."""
    first = path.split("/")[0]
    return {tab.id for around, group in groups.items() if f"{around}/".startswith(f"{first}/") for tab in tabs_of(group)}


def inner_groups(block: Any) -> Iterator[gr.Tabs]:
    for child in getattr(block, "children", ()):
        if isinstance(child, gr.Tabs):
            yield child
        else:
            yield from inner_groups(child)


def visited_states(groups: dict[str, gr.Tabs]) -> dict[str, gr.State]:
    """{path of a tab: its state that `events.first_visit` listens to}."""
    tabs = {f"{path}/{tab.id}".strip("/"): tab for path, group in groups.items() for tab in tabs_of(group)}
    return {path: tab.visited for path, tab in tabs.items() if hasattr(tab, "visited")}


class Place:
    """Tools that open together and have one link: those of a tab, or of a tab within it."""

    def __init__(self, path: str, link: Link, registered: Registry, places: list[str], tabs: set[str]):
        """tabs: all that a link to this place may name beside the first, which stand within one another."""

        def is_own(component: Any) -> bool:
            found = tab_path(component)
            around = [other for other in places if f"{found}/".startswith(f"{other}/")]
            return max(around, key=len, default=None) == path

        self.path, self.link, self.tabs = path, link, tabs
        self.choices = {choice.name: choice for choice in registered.choices if is_own(choice.radio)}
        self.tools = [
            tool for tool in registered.tools if tool.components and is_own(component_of(next(iter(tool.components.values()))))
        ]
        self.restored = [(state, inputs) for state, inputs in registered.restored if is_own(next(iter(inputs.values())))]

    def fields(self) -> dict[str, Any]:
        """{parameter: component or Part}, the choices first."""
        fields = {name: choice.radio for name, choice in self.choices.items()}
        for tool in self.tools:
            fields |= {tool.parameter(field): part for field, part in tool.components.items()}
        return fields

    def description(self) -> dict[str, Any]:
        """What the script needs to know."""
        return {
            "fields": list(self.fields()),
            "choices": {name: choice.radio.value for name, choice in self.choices.items()},
            "defaults": {dataset: self.opening_values(dataset) for dataset in self.datasets()},
        }

    def datasets(self) -> list[str]:
        return next(iter(self.choices.values())).values if self.choices else [""]

    def opening_values(self, dataset: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for tool in self.tools:
            values |= {tool.parameter(field): value for field, value in tool.opening_values(dataset).items()}
        return values

    def connect(self) -> None:
        fields = self.fields()
        components = [component_of(part) for part in fields.values()]
        scripts = [part.script if isinstance(part, Part) else "v" for part in fields.values()]
        values = ", ".join(f"(v => {script})(values[{i}])" for i, script in enumerate(scripts))
        once = {component._id: component for component in components}.values()  # several fields may be parts of one
        tell = f"() => {{ window.links?.changed({self.path!r}); }}"
        # Gradio looks in the whole page for all that belong to an event: what moves has one of its own, without inputs.
        moving = [component for component in once if isinstance(component, (gr.Slider, gr.HTML))]
        for component in moving:
            events.in_browser(component.change, tell, {}, {})
        others = [component.change for component in once if component not in moving]
        if others:
            events.in_browser(lambda *args, **flags: gr.on(others, *args, **flags), tell, {}, {})
        read = f"(...values) => {{ window.links?.read({self.path!r}, [{values}]); }}"
        inputs = {str(i): component for i, component in enumerate(components)}
        events.in_browser(self.link.input, read, inputs, {})
        self.connect_restoring()

    def connect_restoring(self) -> None:
        needed: Components = {f"choice_{name}": choice.radio for name, choice in self.choices.items()}
        outputs: Components = {f"state_{i}": state for i, (state, _inputs) in enumerate(self.restored)}
        needed |= outputs
        numbers = itertools.count()
        for tool in self.tools:
            _fn, inputs, changed = tool.restore or (None, {}, {})
            for component in (*tool.plain().values(), *changed.values()):
                outputs.setdefault(f"output_{component._id}", component)
            for component in inputs.values():
                if component._id not in {other._id for other in needed.values()}:
                    needed[f"input_{next(numbers)}"] = component
        names = {component._id: name for name, component in outputs.items()}

        def restore(event: gr.EventData, **sent):
            data = event._data if isinstance(event._data, dict) else {}
            values = {component._id: sent[name] for name, component in needed.items()}
            changes, problems = self.restore(data.get("query"), data.get("current"), values)
            if problems:
                warn(problems)
            return {names[number]: value for number, value in changes.items()}

        done = events.act(self.link.submit, restore, needed, outputs)
        for ended in (done.then, done.failure):  # of which Gradio calls one
            events.in_browser(ended, f"() => {{ window.links?.restored({self.path!r}); }}", {}, {})

    def restore(self, query: Any, current: Any, values: dict[int, Any]) -> tuple[dict[int, Any], list[Any]]:
        """({a component's id: its new value or update}, sentences on what is not allowed in the link).

        query: the link's. current: a link of what is on screen. values: of the components that handlers need, by their id.
        """
        texts, problems = parse(query)
        shown, _problems = parse(current)
        dataset = next((values[choice.radio._id] for choice in self.choices.values()), "")
        changes: dict[int, Any] = {}

        def change(component, value):
            changes[component._id] = merged(changes.get(component._id), value)
            if not is_update(value) or "value" in value:
                values[component._id] = value["value"] if is_update(value) else value

        for tool in self.tools:
            target, own_problems = tool.read(texts, dataset)
            before, _problems = tool.read(shown, dataset)
            problems += own_problems
            fn, inputs, outputs = tool.restore or (None, {}, {})
            touched = any(component._id in changes for component in (*inputs.values(), *outputs.values()))
            if target == before and not touched:
                continue
            for attempt in (target, tool.opening_values(dataset)):
                try:
                    given = {name: values[component._id] for name, component in inputs.items() if name not in attempt}
                    result = fn(**given, **attempt) if fn else {}
                except ValueError as e:
                    problems.append(e)
                    continue
                for field, component in tool.plain().items():
                    change(component, attempt[field])
                for name, value in result.items():
                    change(outputs[name], value)
                break
        problems += self.unknown(texts)
        for state, inputs in self.restored:
            if any(component._id in changes for component in inputs.values()):
                changes[state._id] = values[state._id] + 1
        return changes, problems

    def unknown(self, texts: dict[str, str]) -> list[Any]:
        """Sentences on parameters that this place does not have, and on choices that it does not offer."""
        parameters = {*PLACES, *FOREIGN, *self.fields()}
        sentences = [
            Message("{name} is not a control of this tool.", name=name[:40])
            for name in texts
            if name not in parameters and not name.startswith("__")
        ]
        for name, choice in self.choices.items():
            if name in texts and texts[name] not in choice.values:
                options = ", ".join(choice.values)
                sentences.append(Message("{title} must be one of {options}.", title=choice.radio.label, options=options))
        path = self.path.split("/")
        for name, tabs in (("tab", {path[0]}), ("tool", self.tabs)):
            if name in texts and texts[name] not in tabs:
                sentences.append(Message("There is no tab {name}.", name=texts[name][:40]))
        return sentences


def connect_opening(address: Address, groups: dict[str, gr.Tabs], places: dict[str, Place]) -> None:
    """Wire the event with which the browser opens an address."""
    visited = visited_states(groups)
    inputs: Components = {f"visited_{path}": state for path, state in visited.items()}
    inputs |= {
        f"choice_{path}_{name}": choice.radio for path, place in places.items() for name, choice in place.choices.items()
    }
    outputs = {**inputs, "address": address, **{f"group_{path}": group for path, group in groups.items()}}

    def open_address(event: gr.EventData, **values):
        data = event._data if isinstance(event._data, dict) else {}
        texts, _problems = parse(data.get("query"))
        path = find_path(texts, groups)
        place = max((place for place in places if f"{path}/".startswith(f"{place}/")), key=len, default=None)
        changes: dict[str, Any] = {}
        parents = [path[:end] for end, letter in enumerate(path + "/") if letter == "/"]
        for parent in parents:
            around, _slash, tab = parent.rpartition("/")
            changes[f"group_{around}"] = gr.update(selected=tab)
            if parent in visited and not values[f"visited_{parent}"]:
                changes[f"visited_{parent}"] = 1
        opener = max((tab for tab in visited if f"{place}/".startswith(f"{tab}/")), key=len, default="")
        if place is not None:
            for name, choice in places[place].choices.items():
                value = texts.get(name)
                value = value if value in choice.values else choice.radio.value
                if value != values[f"choice_{place}_{name}"]:
                    changes[f"choice_{place}_{name}"] = value
                    changes[f"visited_{opener}"] = values[f"visited_{opener}"] + 1
        answer = {"number": data.get("number"), "place": place, "opens": f"visited_{opener}" in changes}
        return {**changes, "address": answer}

    opened = events.act(address.submit, open_address, inputs, outputs)  # queued: else changes of states go unnoticed
    events.in_browser(opened.then, "() => { window.links?.asked(); }", {}, {})
    events.in_browser(opened.failure, "() => { window.links?.failed(); }", {}, {})


def find_path(texts: dict[str, str], groups: dict[str, gr.Tabs]) -> str:
    """The path of the tab that a link names; of an unknown one that of the nearest tab around it."""
    tabs = {path: [tab.id for tab in tabs_of(group) if tab.visible] for path, group in groups.items()}
    named = texts.get("tab", "")
    first = named if named in tabs[""] else tabs[""][0]
    paths = {tab: f"{path}/{tab}" for path, ids in tabs.items() if f"{path}/".startswith(f"{first}/") for tab in ids}
    path = paths.get(texts.get("tool", ""), first)
    while tabs.get(path):  # the first tab within it
        path = f"{path}/{tabs[path][0]}"
    return path


# --- Values -----------------------------------------------------------------------------------------------------------


def parse(query: Any) -> tuple[dict[str, str], list[Any]]:
    """({name: text}, sentences on what cannot be read): of a name that is there twice neither counts."""
    if not isinstance(query, str):
        return {}, []
    if len(query) > MAX_LENGTH:
        return {}, [Message("The link is longer than {limit} characters.", limit=MAX_LENGTH)]
    pairs = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    names = [name for name, _text in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [Message("{name} is in the link twice.", name=name[:40]) for name in twice]
    return {name: text for name, text in pairs if name not in twice}, problems


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def title(controls: type[Controls], field: str) -> str:
    return controls.model_fields[field].title or field


def component_of(part: Any) -> Any:
    return part.component if isinstance(part, Part) else part


def choices_of(component: Any) -> list[Any]:
    """The values that a menu offers this visitor now; [] if it takes others, too, or if it is no menu."""
    session = LocalContext.blocks_config.get(None)
    if session is None or not isinstance(component, gr.Dropdown) or component.allow_custom_value:
        return []
    component = session.blocks[component._id]
    return [value for _title, value in component.choices]


def is_update(value: Any) -> bool:
    return isinstance(value, dict) and value.get("__type__") == "update"


def merged(before: Any, value: Any) -> Any:
    """A value after an update of the same component."""
    if is_update(before):
        return {**before, **(value if is_update(value) else {"value": value})}
    return value


def warn(problems: list[Any]) -> None:
    """One message on what a link has that cannot be used."""
    problem = problems[0]
    sentence = events.sentence(problem) if isinstance(problem, Exception) else _(problem)
    text = _("Not all of this link could be opened: {sentence} The default is shown.", sentence=sentence)
    gr.Warning(html.escape(text, quote=False), duration=10)
