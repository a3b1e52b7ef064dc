"""Tang poems that follow their form."""

import functools
import inspect
import itertools
import json
from collections.abc import Iterator
from typing import Annotated, Literal, Self

import gradio as gr
from pydantic import Field, StringConstraints

import genmodels as gm
from genmodels.messages import Message
from tabs import layout, links, programs
from tabs.components import token_view
from tabs.components.token_view import TokenView
from tabs.controls import Controls, Seed, checkbox, dropdown, radio, slider, textbox
from tabs.language import _
from tabs.transformer import runs, texts

FORMS = {"五绝": "五绝 4 × 5", "七绝": "七绝 4 × 7", "五律": "五律 8 × 5", "七律": "七律 8 × 7"}
AUTHORS = ["李白", "杜甫", "王维", "白居易", "李商隐", "杜牧", "孟浩然", "刘禹锡"]
CONDITIONS = ("title", "author", "heads")
RULES = ("rhyme", "tones")


class Poem(Controls):
    form: Annotated[Literal[*FORMS], radio([(title, name) for name, title in FORMS.items()])] = Field(
        "七绝", title=Message("体裁 Form")
    )
    title: Annotated[str, StringConstraints(strip_whitespace=True, max_length=40), textbox(max_length=40)] = Field(
        "春夜", title=Message("题目 Title")
    )
    author: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=10), dropdown(AUTHORS, allow_custom_value=True)
    ] = Field("李白", title=Message("作者 In the manner of"))
    heads: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=8), textbox(max_length=8, placeholder="春夏秋冬")
    ] = Field("", title=Message("藏头 First characters of the lines"), description=Message("藏头诗, acrostic"))
    temperature: Annotated[float, slider(step=0.05, maximum=2)] = Field(0.8, ge=0, le=5, title=Message("温度 Temperature"))
    top_p: Annotated[float, slider(step=0.02)] = Field(1, ge=0, le=1, title=Message("Top-p 核采样"))
    seed: Seed = Field(0, ge=0, le=2**31, title=Message("种子 Seed"))
    rhyme: Annotated[bool, checkbox()] = Field(True, title=Message("押韵 Rhyme"))
    tones: Annotated[bool, checkbox()] = Field(False, title=Message("平仄 Tone pattern"))
    pinyin: Annotated[bool, checkbox(elem_classes=["plain", "pinyin"])] = Field(
        False, title=Message("拼音 Pinyin"), description=Message("today's most common reading")
    )
    parameters = ("form", *CONDITIONS, "temperature", "top_p", "seed", *RULES)  # pinyin is shown by the style of the view alone

    @classmethod
    def read(cls, **values) -> Self:
        """As `Controls.read`; an author that was cleared from the list arrives as None."""
        return super().read(**{k: "" if v is None and k in CONDITIONS else v for k, v in values.items()})

    def conditions(self, prefix: str = "") -> dict[str, str]:
        """The texts that are not empty, as `poem_steps` takes them."""
        values = {**{name: getattr(self, name) for name in CONDITIONS}, "prefix": prefix}
        return {name: text for name, text in values.items() if text}

    def rules(self) -> dict[str, bool]:
        """Those of the rules that are not `poem_steps`' defaults."""
        defaults = inspect.signature(gm.PoemTransformer.poem_steps).parameters
        return {name: getattr(self, name) for name in RULES if getattr(self, name) != defaults[name].default}


def sample(poem: Poem, prefix="", **options):
    sampling = poem.arguments(gm.TextTransformer.generate_steps, **options)
    return gm.load(texts.TANG).poem_steps(poem.form, **poem.conditions(prefix), **poem.rules(), **sampling)


def verse_marks(form: str, body: str) -> token_view.Verse:
    """What the view marks in a body, or in a beginning of it. A single character does not rhyme yet."""
    name, positions = gm.rhyme.rhyming(form, body)
    if len(positions) < 2:
        name, positions = "", []
    tones = (gm.rhyme.tone_classes().get(c, " ") for c in body)
    return {
        "tones": "".join("中" if len(tone) > 1 else tone for tone in tones),
        "pattern": gm.rhyme.closest_pattern(form, body)[: len(body)],
        "rhyme": name,
        "rhyming": "".join("韵" if i in positions else " " for i in range(len(body))),
        "pinyin": " ".join(gm.rhyme.readings().get(c, "") for c in body),
    }


def stream(poem: Poem, prefix="", keep=0):
    """A poem: yields stage, lines. prefix: the first `keep` tokens of the body."""
    length = gm.tokens.FORMS[poem.form][1]

    places = (divmod(i, length + 1) for i in itertools.count(len(prefix)))
    kinds = ("given" if column == 0 and line < len(poem.heads) else "" for line, column in places)

    def show(records, n, start, live):
        request = {name: getattr(poem, name) for name in ("form", *CONDITIONS)}
        stats = poem.form + " · " + texts.count(n, _("字 characters"), start)
        verse = verse_marks(poem.form, prefix + "".join(json.loads(record)["symbol"] for record in records.splitlines()))
        facts = {"title": poem.title, "author": poem.author, "verse": verse, "request": request, "stats": stats, "live": live}
        return {"tokens": records, "keep": keep, **facts}

    def lines(n, stopped):
        if stopped:
            return _(programs.STOPPED)
        conditions = [f"{name}={value!r}" for name, value in (poem.conditions(prefix) | poem.rules()).items()]
        call = poem.call("model.poem_steps", gm.TextTransformer.generate_steps, repr(poem.form), *conditions)
        first = f"{prefix!r} + " if prefix else ""
        body = f'poem = {first}"".join(token.text for token in {call})\nprint(poem.replace("。", "。\\n"))\n'
        return programs.program(body, texts.TANG)

    return (yield from runs.stream(sample(poem, prefix), kinds, show, lines))


def write(**controls):
    return (yield from stream(Poem.read(**controls)))


def continue_poem(event: gr.EventData, **controls):
    """The visitor chose another character: the poem continues from there, with the form, title, author and heads it had."""
    request = runs.read_request(event)
    conditions = request["request"]
    if not isinstance(conditions, dict) or set(conditions) != {"form", *CONDITIONS}:
        raise ValueError(Message("There is no poem yet: write one first."))
    yield from stream(Poem.read(**conditions, **controls), request["text"], request["keep"])


open_poem = functools.partial(runs.opening, texts.TANG, write)


def text_poem(poem: Poem = Poem(title="", author="")) -> Iterator[dict]:  # noqa: B008
    """Write a Tang poem that follows its form. 作一首唐诗。

    Returns:
        The poem, its lines, the probability of each character, and the name of its rhyme (平水韵), empty if it has none.
    """
    tokens = yield from texts.collected(sample(poem, alternatives=0))
    body = "".join(token.text for token in tokens)
    yield {
        "poem": body,
        "lines": [line for line in body.replace("。", "，").split("，") if line],
        "tokens": [[token.text, token.probability] for token in tokens],
        "rhyme": rhyme_of(poem.form, body),
    }


def rhyme_of(form: str, body: str) -> str:
    """The name of the rhyme that all even lines of a poem have; empty if there is none."""
    lines, length = gm.tokens.FORMS[form]
    name, positions = gm.rhyme.rhyming(form, body)
    return name if set(positions) >= set(range(2 * length, len(body), 2 * (length + 1))) else ""


def build(first_visit):
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=8, min_width=270, elem_classes=["card", "controls"]):
            conditions = Poem.components("transformer", "form", *CONDITIONS)
            sampling = Poem.components("transformer-poem", *RULES, "pinyin", "temperature", "top_p")
        with gr.Column(scale=14, min_width=320, elem_classes=["card", "writing"]):
            parts = {"stage": TokenView(name=_("诗 Poem"), poem=True, middle=5, elem_id="transformer-poem")}
            parts |= runs.buttons(Poem, "poem", _("作诗 Write"), _("停 Stop"))
            layout.hint(
                _(
                    "**点一个字**，看看还能写什么；换一个，诗就从那里重写。 **Click a character** to see its alternatives; "
                    "choose one, and the poem continues from there. The poem keeps its form because only tokens that the form "
                    "allows are sampled: a character within a line, a punctuation mark at its end; and at the end of an even "
                    "line, one that rhymes. ○ level and ● oblique tones are marked whether or not they have to follow a "
                    "pattern."
                )
            )
    parts["lines"] = layout.python_panel("transformer", "poem", _("Reproduce in Python"))

    sampling["seed"] = parts["seed"]
    links.tool(Poem, {**conditions, **sampling})
    stream = runs.connect(parts, write, {**conditions, **sampling}, first_visit, open_poem)
    stream(parts["stage"].input, continue_poem, sampling)
