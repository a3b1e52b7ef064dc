"""Links: what the page puts into one is what it reads back, and nothing that a link says can harm."""

import contextlib
import html
import typing
from urllib.parse import quote, urlencode

import gradio as gr
import numpy as np
import pytest
from gradio.components.base import FormComponent
from helpers import event, is_sentence, same_pictures, sheet_of
from helpers_page import Visitor

import app
import genmodels as gm
from tabs import events, links
from tabs.components.address import Address
from tabs.components.playground import pack_points
from tabs.language import LANGUAGES


@pytest.fixture(scope="module")
def build():
    """{language: {path: Place}} of pages that are built anew."""
    built, connect = {}, links.connect
    with pytest.MonkeyPatch.context() as patch:
        for language in LANGUAGES:
            patch.setattr(links, "connect", lambda tabs, language=language: built.__setitem__(language, connect(tabs)))
            with gr.Blocks() as page:
                app.build(page, language)
    return built


def tools_of(pages):
    return [(place, tool) for place in pages["en"].values() for tool in place.tools]


def fields_of(tool):
    return [(field, tool.controls.model_fields[field]) for field in tool.components]


def another_value(tool, field, dataset):
    """A value that the field takes beside the one with which it opens."""
    opening, cls = tool.opening_values(dataset)[field], tool.controls
    low, high = cls.bounds(field)
    kind = cls.model_fields[field].annotation
    choices = getattr(links.component_of(tool.components[field]), "choices", None) or []
    candidates = [value for _title, value in choices] or [*typing.get_args(kind)] or ["Ab-_", "1"]
    if low is not None:
        candidates = [low + 1, low, high]
    elif kind is bool:
        candidates = [True, False]
    elif isinstance(opening, list):
        candidates = [[0.5, -1.25]]
    for value in candidates:
        if value != opening:
            with contextlib.suppress(ValueError):
                cls.read(**tool.opening_values(dataset) | {field: value})  # rules between fields
                return value
    return None  # a menu that a checkpoint fills


def in_link(value):
    return ",".join(map(str, value)) if isinstance(value, list) else links.as_text(value)


def test_both_languages_have_the_same_links(build):
    described = [{path: place.description() for path, place in places.items()} for places in build.values()]
    assert described[0] == described[1]


def test_every_control_of_the_page_is_in_a_link(build):
    """A control that a visitor can set and no link has is found here: the tool that it belongs to has to say so."""
    for language, places in build.items():
        in_links = {links.component_of(part)._id for place in places.values() for part in place.fields().values()}
        page = next(iter(places.values())).link
        while page.parent:
            page = page.parent
        controls = [block for block in blocks_within(page) if isinstance(block, FormComponent) and block.visible is not False]
        controls = [
            c for c in controls if isinstance(c, (gr.Slider, gr.Number, gr.Dropdown, gr.Radio, gr.Checkbox, gr.Textbox))
        ]
        missing = [block.elem_id or block.label for block in controls if block._id not in in_links]
        assert len(controls) > 40 and missing == [], language


def blocks_within(block):
    yield block
    for child in getattr(block, "children", ()):
        yield from blocks_within(child)


def test_each_field_of_each_tool_comes_back_from_its_link(build):
    for place, tool in tools_of(build):
        for dataset in place.datasets():
            for field, facts in fields_of(tool):
                value = another_value(tool, field, dataset)
                if value is None:
                    continue
                target, problems = tool.read({tool.parameter(field): in_link(value)}, dataset)
                assert target == tool.opening_values(dataset) | {field: value} and problems == [], (place.path, field, facts)
            assert tool.read({}, dataset) == (tool.opening_values(dataset), [])


HOSTILE = [
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 500,
    "[" * 500,
    "{}",
    "null",
    "\0",
    "<script>alert(1)</script>",
    "A" * 3000,
    "'",
    "é;--",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:12]))
def test_no_text_in_a_link_harms(build, text):
    """Whatever a field is given, it has a value that its control takes, or its default and a sentence that names it."""
    for place, tool in tools_of(build):
        for field, facts in fields_of(tool):
            opening = tool.opening_values(place.datasets()[0])
            target, problems = tool.read({tool.parameter(field): text}, place.datasets()[0])
            assert (target == opening) or not problems, (place.path, field)
            assert tool.controls.read(**target) is not None
            for problem in problems:
                assert is_sentence(str(problem)) and facts.title in str(problem) and len(str(problem)) < 300


def test_values_that_do_not_fit_each_other(build):
    noise = next(tool for _place, tool in tools_of(build) if "strength" in tool.components)
    target, problems = noise.read({"kind": "poisson", "strength": "150"}, "photo")
    assert target == noise.opening_values("photo") and "Strength" in str(problems[0])
    run = next(tool for _place, tool in tools_of(build) if "sampler" in tool.components)
    assert run.read({"sampler": "ddpm", "steps": "200"}, "mnist")[0]["steps"] == 200
    target, problems = run.read({"sampler": "dpm", "steps": "200", "n": "3"}, "mnist")
    assert (target["steps"], target["n"]) == (16, 3) and "Steps" in str(problems[0])


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("?tab=vae&spread=1", "spread is not a control"),
        ("?tab=vae&<script>=1", "<script> is not a control"),
        ("?tab=vae&seed=1&seed=2", "seed is in the link twice"),
        ("?tab=vae&dataset=cats", "Dataset must be one of"),
        ("?tab=..%2F..", "There is no tab ../..."),
        ("?tab=vae&tool=quiz", "There is no tab quiz"),
        ("?tab=vae&prompt=" + "x" * 10_000, "longer than"),
        ("?" + "&".join(f"x{i}={i}" for i in range(300)), "is not a control"),
    ],
)
def test_what_no_link_of_the_page_says(build, query, says, monkeypatch):
    place = build["en"]["vae"]
    changes, problems = place.restore(query, "", {choice.radio._id: choice.radio.value for choice in place.choices.values()})
    assert changes == {}
    shown = []
    monkeypatch.setattr(gr, "Warning", lambda text, **_options: shown.append(text))
    links.warn(problems)
    assert len(shown) == 1 and says in html.unescape(shown[0]) and "<script" not in shown[0]


@pytest.mark.parametrize("query", [None, 7, "", {}, ["?tab=vae"], "%FF%00&&==", "?tab=vae&__theme=dark&embed=1&projector=1"])
def test_anyone_can_send_anything(build, query):
    place = build["en"]["vae"]
    values = {choice.radio._id: choice.radio.value for choice in place.choices.values()}
    changes, problems = place.restore(query, query, values)
    assert changes == {} and all(is_sentence(str(problem)) for problem in problems)


def test_a_link_of_the_page_fits_into_an_address(build):
    """Also one with all values, the longest codes and as many points as a link takes."""
    for place in build["en"].values():
        names = "".join(f"&{name}=" for name in place.fields())
        assert len(names) < 800, place.path
    assert len(links.pack([-30.0] * 128)) <= 342


def test_a_number_in_a_menu_is_found_there(build, monkeypatch):
    tool = build["en"]["playground"].tools[0]
    monkeypatch.setattr(links, "choices_of", lambda part: [value for _title, value in getattr(part, "choices", None) or []])
    assert tool.read({"rate": "0.01"}, "") == (tool.opening_values("") | {"rate": 0.01}, [])
    assert tool.read({"rate": "0.011"}, "")[0] == tool.opening_values("")


def test_a_latent_code_comes_back_as_it_was():
    z = [-30.0, 30.0, 0.001, -0.001, 1.234, 0.0]
    assert links.unpack(links.pack(z)) == z
    for text in ("A", "AA", "A A", "é"):
        with pytest.raises(ValueError, match="code"):
            links.unpack(text)


# --- What a link shows ------------------------------------------------------------------------------------------------


def opened(place, **changed):
    """The values of a place's components as it opens. changed: those of inputs by their name in any tool."""
    values = {choice.radio._id: changed.get(name, choice.radio.value) for name, choice in place.choices.items()}
    for tool in place.tools:
        for component in (tool.restore or (None, {}, {}))[1].values():
            values.setdefault(component._id, getattr(component, "value", None))
    for state, _inputs in place.restored:
        values[state._id] = 0
    return values


def restored(place, query, **changed):
    """{name of an output: its value} after a link; problems are errors."""
    changes, problems = place.restore(query, "", opened(place, **changed))
    assert problems == []
    return changes


def output(place, changes, name):
    outputs = [tool.restore[2][name] for tool in place.tools if tool.restore and name in tool.restore[2]]
    return next(changes[component._id] for component in outputs if component._id in changes)


def test_a_sample_of_the_vae(build):
    vae = build["en"]["vae"]
    changes = restored(vae, "?tab=vae&seed=3&temperature=0.5&sample=2")
    x = gm.load("vae-mnist").sample(12, temperature=0.5, seed=3)
    assert same_pictures(output(vae, changes, "tiles"), x) and output(vae, changes, "tiles")["chosen"] == 2
    assert output(vae, changes, "stage")["origin"] == 2


def test_a_code_of_the_vae_is_that_on_its_sliders(build):
    vae, z = build["en"]["vae"], [0.5, -1.25, *[0.0] * 38]
    changes = restored(vae, f"?code={links.pack(z)}")
    assert output(vae, changes, "sliders")["z"] == z and output(vae, changes, "sliders")["moved"]
    _changes, problems = vae.restore("?code=AA", "", opened(vae))
    assert "code" in str(problems[0])


def test_what_is_there_already_is_not_computed_again(build):
    vae = build["en"]["vae"]
    changes, problems = vae.restore("?seed=3", "?seed=3&temperature=1", opened(vae))
    assert (changes, problems) == ({}, [])
    assert vae.restore("", "?seed=3&temperature=1", opened(vae))[0]  # back to the defaults


def test_a_test_picture_and_what_it_is_scored_as(build):
    gan = build["en"]["gan"]
    changes = restored(gan, "?picture=4&own-label=7")
    assert output(gan, changes, "source")["number"] == 4
    assert "scored as 7" in output(gan, changes, "verdict")["text"]


def test_a_link_to_a_part_of_a_photograph_leaves_the_sliders_of_the_part_to_be_moved(build):
    denoiser = build["en"]["denoiser"]
    changes = restored(denoiser, "?picture=3&left=30")
    left, top = (changes[denoiser.fields()[name]._id] for name in ("left", "top"))
    assert (left["value"], left["visible"], top["visible"]) == (30, True, True)


def test_every_tool_can_be_restored(build):
    for place, tool in tools_of(build):
        assert tool.restore is None or callable(tool.restore[0]), (place.path, tool.name)


def test_pictures_of_the_gan_along_a_direction(build):
    gan = build["en"]["gan"]
    changes = restored(gan, "?order=score&n=4&directions=0.5")
    assert output(gan, changes, "sliders")["z"][:2] == [0.5, 0.0] and output(gan, changes, "stage")["n"] == 4


def test_a_round_of_the_quiz(build):
    gan = build["en"]["gan"]
    first, third = (output(gan, restored(gan, f"?quiz-seed=5&quiz-round={k}"), "pictures") for k in (0, 2))
    assert third["round"] == 2 and (sheet_of(first) != sheet_of(third)).any()


def test_a_run_begins_when_a_link_has_set_its_controls(build):
    diffusion = build["en"]["diffusion"]
    changes = restored(diffusion, "?sampler=ddim&eta=0.5&n=4&run=edit&picture=3")
    assert output(diffusion, changes, "chosen_run") == "edit"
    begun = [state._id for state, _inputs in diffusion.restored if state._id in changes]
    assert len(begun) == 1
    again, _problems = diffusion.restore("?n=5", "", opened(diffusion) | {begun[0]: changes[begun[0]]})
    assert again[begun[0]] != changes[begun[0]]  # a state that stays as it is begins nothing
    assert restored(diffusion, "") == {}


def test_drawn_points_and_what_changed_in_training(build):
    playground, drawn = build["en"]["playground"], pack_points(np.linspace(-1, 1, 80).reshape(-1, 2))
    text = drawn.replace("+", "-").replace("/", "_").rstrip("=")
    changes = restored(playground, f"?shape=own&points={text}&rate=0.01&rates=0,0.005,20,0.01&large=gan&hidden=points,inside")
    assert output(playground, changes, "drawn") == drawn and ("-" in text or "_" in text)
    assert output(playground, changes, "linked") == {"rates": "0,0.005,20,0.01", "large": "gan", "hidden": "points,inside"}
    assert sum(state._id in changes for state, _inputs in playground.restored) == 1
    for rates in ("5,0.1", "0,0", "0,2", "0,0.1,5", "0,0.00000001", "0,0.1,-1,0.1"):
        assert "Learning rate" in str(playground.restore(f"?rates={rates}", "", opened(playground))[1][0])


def test_what_is_refused_as_a_whole_falls_back(build):
    flow = build["en"]["flow"]
    changes, problems = flow.restore("?label=ankle%20boot&n=3", "", opened(flow))
    assert len(problems) == 1 and is_sentence(str(problems[0]))
    assert all(value == "each" for value in [changes.get(flow.fields()["label"]._id, "each")])


def test_each_link_with_another_choice_opens_its_tab_again():
    visitor, blocks = Visitor(app.demo), app.demo.blocks
    address = next(number for number, block in blocks.items() if isinstance(block, Address) and block.page == "")
    (listener,) = [fn for fn in app.demo.fns.values() if (address, "submit") in fn.targets and fn.fn]
    inputs = dict(zip(listener.input_keyword_names, listener.inputs))
    for tab in ("compare", "gan"):  # the first tab has been opened by itself
        opened_before, datasets = visitor._value(inputs[f"visited_{tab}"]._id), blocks[visitor.ids[f"{tab}-dataset"]].choices
        for number, (_title, dataset) in enumerate([datasets[1], datasets[0], datasets[0]]):
            query = f"?tab={tab}&dataset={dataset}"
            visitor._listeners(address, "submit", event(query=query, number=number))
            opened_now, same = visitor._value(inputs[f"visited_{tab}"]._id), number == 2
            assert (opened_now == opened_before) == same and visitor[f"{tab}-dataset"] == dataset
            answer = visitor._value(address)
            assert answer["number"] == number and answer["place"].split("/")[0] == tab and answer["opens"] != same
            opened_before = opened_now


def test_the_path_of_a_link(build):
    groups = {"": group("vae", "gan"), "vae": group("map", "own"), "gan": group("quiz"), "gan/quiz": group("one", "two")}
    for texts, path in (
        ({}, "vae/map"),
        ({"tab": "vae", "tool": "own"}, "vae/own"),
        ({"tab": "gan"}, "gan/quiz/one"),
        ({"tab": "gan", "tool": "two"}, "gan/quiz/two"),
        ({"tab": "gan", "tool": "own"}, "gan/quiz/one"),
        ({"tab": "x", "tool": "own"}, "vae/own"),
    ):
        assert links.find_path(texts, groups) == path, texts


def group(*ids):
    with gr.Blocks(), gr.Tabs() as tabs:
        for name in ids:
            gr.Tab(name, id=name)
    return tabs


@pytest.mark.parametrize("path", ["gan", "flow", "denoiser", "diffusion"])
def test_the_defaults_of_a_link_are_what_a_data_set_opens_with(build, path):
    """Else a link would leave out what was changed, or set what was not."""
    place, module = build["en"][path], next(m for m in app.modules if m.__name__ == f"tabs.{path}")
    dataset = place.choices["dataset"].values[-1 if path != "denoiser" else 1]
    openers = {
        "gan": lambda: [module.sampling.open_dataset(dataset), module.training.open_dataset(dataset)],
        "flow": lambda: [module.sampling.open_dataset(dataset)],
        "denoiser": lambda: [module.open_dataset(dataset)],
        "diffusion": lambda: [module.sampling.open_dataset(dataset)],
    }
    defaults = place.opening_values(dataset)
    for outputs in openers[path]():
        for name, value in outputs.items():
            name = "training-run" if name == "run" else name
            value = value.get("value", ...) if links.is_update(value) else value
            if name in defaults and name not in ("left", "top") and value is not ...:
                assert value == defaults[name], name


def test_the_script_knows_every_name_that_is_not_the_states():
    script = (app.head.LINKS).read_text(encoding="utf-8")
    assert all(f"'{name}'" in script for name in ("embed", "projector", "tab", "tool"))
    assert quote("a,b/c") and urlencode({}) == "" and events.tab_path(None) == ""
