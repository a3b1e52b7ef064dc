"""The quiz: which of four pictures is real? The discriminator answers too."""

from typing import Annotated, Any, NamedTuple

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, labels, layout, links, sources
from tabs.components import raw
from tabs.components.gallery import Gallery
from tabs.controls import SEED, Controls, number
from tabs.gan import data
from tabs.gan.data import GAN
from tabs.language import _

CHOICES = 4  # pictures per round, one of them real
NEW = {"round": 0, "visitor": 0, "discriminator": 0, "answered": 0, "revealed": False}  # with the right answers of both
RESULTS = {  # (visitor is right, discriminator is right) -> sentence
    (False, False): Message("Neither of you got it right."),
    (False, True): Message("The discriminator got it right, you did not."),
    (True, False): Message("You got it right, the discriminator did not!"),
    (True, True): Message("You both got it right."),
}


class Quiz(Controls):
    seed: Annotated[int, number(min_width=80)] = SEED
    round: int = Field(0, ge=0, le=1000, title=Message("Round"))


class Round(NamedTuple):
    x: Any  # CHOICES pictures of 256 levels
    scores: list[float]
    real: int  # index of the real one
    label: str  # of all of them
    lines: str


def quiz_round(dataset, seed, k):
    """Round k of a quiz: the same for everybody. The index of the real picture stays on the server until the visitor chose."""
    import torch

    x = sources.test_pictures(dataset)[0]
    g = gm.base.generator(seed)
    i = torch.randperm(len(x), generator=g)[k % len(x)].item()
    place = torch.randint(CHOICES, (k + 1,), generator=g)[k].item()
    text = gm.labels.to_text(GAN.conditions(dataset), data.test_labels(dataset)[i].tolist())
    label, sample_seed = data.parse_label(dataset, text), 1000 * seed + k
    generated = GAN.load(dataset).sample(CHOICES - 1, label=label, seed=sample_seed)
    x = torch.cat([generated[:place], x[i : i + 1], generated[place:]])
    x = (255 * x).round() / 255  # real pictures have 256 grey levels: more of them would give the generated ones away
    argument = "" if label is None else f"label={label}, "
    lines = (
        f'real = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\n'
        f"generated = model.sample({CHOICES - 1}, {argument}seed={sample_seed})\n"
        f"x = torch.cat([generated[:{place}], real, generated[{place}:]])\nx = (255 * x).round() / 255\n"
        f"score = model.score({f'x, {argument}'.rstrip(', ')})\n"
    )
    return Round(x, data.rounded(data.relative_scores(dataset)(x, label)), place, text, GAN.program(dataset, lines, 2))


def start(dataset, seed, round=0):
    """-> state, pictures, words, lines: a round of a quiz, the first one unless a link says another."""
    options = Quiz.read(seed=seed, round=round)
    return ask({"dataset": dataset, **NEW, "seed": options.seed, "round": options.round})


def ask(state):
    """A round that waits for its answer."""
    dataset = state["dataset"]
    current = quiz_round(dataset, state["seed"], state["round"])
    pictures = [{"kind": "", "label": _("picture {number} of {total}", number=i + 1, total=CHOICES)} for i in range(CHOICES)]
    question = _("**Which of these is real?** One is from the test set, three are generated.")
    if current.label != labels.ANY:
        question = _(
            "**Which of these is real?** One is from the test set, three are generated ({label}).",
            label=labels.readable(current.label),
        )
    return {
        "state": state,
        "pictures": {**raw(current.x), "across": 2, "pictures": pictures, "round": state["round"]},
        "words": f"{question}\n\n{tally(state)}",
        "lines": "",
    }


def tally(state):
    chance = _("A random guess is right 1 time in {choices}.", choices=CHOICES)
    if not state["answered"]:
        return _("Pick the one you think is real. {chance}", chance=chance)
    return _(
        "Right answers: you **{visitor}**, the discriminator **{discriminator}**, of {answered}. {chance}",
        **state,
        chance=chance,
    )


def answer(state, event: gr.EventData):
    """The visitor chose -> state, pictures, words, lines. A second choice in the same round does not count."""
    choice = events.event_number(event, "index", CHOICES - 1)
    if not state or state["revealed"]:
        return {}
    current = quiz_round(state["dataset"], state["seed"], state["round"])
    discriminator_choice = max(range(CHOICES), key=lambda i: current.scores[i])
    visitor_right, discriminator_right = choice == current.real, discriminator_choice == current.real
    state = {
        **state,
        "visitor": state["visitor"] + visitor_right,
        "discriminator": state["discriminator"] + discriminator_right,
        "answered": state["answered"] + 1,
        "revealed": True,
    }
    kinds = [Message("real") if i == current.real else Message("generated") for i in range(CHOICES)]
    pictures = {
        **raw(current.x),
        "across": 2,
        "pictures": [{"kind": kind, "label": _(kind), "score": score} for kind, score in zip(kinds, current.scores)],
        "histogram": data.score_histogram(state["dataset"], current.label != labels.ANY),
        "visitor_choice": choice,
        "round": state["round"],
        "discriminator_choice": discriminator_choice,
    }
    result = RESULTS[visitor_right, discriminator_right]
    words = _("**{result}** The one in the green frame is real.", result=result)
    return {"state": state, "pictures": pictures, "words": f"{words}\n\n{tally(state)}", "lines": current.lines}


def next_round(state, dataset, seed):
    if not state or state["dataset"] != dataset:
        return start(dataset, seed)
    return ask({**state, "round": state["round"] + 1, "revealed": False})


def new_quiz(dataset):
    seed = events.fresh_seed()
    return {"seed": seed, **start(dataset, seed)}


def lay_out(dataset):
    """Lay out and wire the tool. Returns the step that opens a dataset."""
    parts = {
        "words": gr.Markdown(
            _("The pictures appear once the model is loaded."), elem_id="gan-quiz-words", elem_classes="report"
        )
    }
    parts["pictures"] = Gallery(pick=True, name=_("Which one is real?"), elem_id="gan-quiz")
    with gr.Row(elem_classes="small-controls"):
        parts["next"] = gr.Button(_("Next four"), variant="primary", scale=2, min_width=90)
        parts |= Quiz.components("gan-quiz")
        parts["new"] = gr.Button(_("New quiz"), scale=2, min_width=90)
    outputs = {"state": gr.State(), "lines": layout.python_panel("gan", "quiz")}
    outputs |= {name: parts[name] for name in ("pictures", "words")}
    inputs = {"dataset": dataset, "seed": parts["seed"]}
    events.act(parts["pictures"].input, answer, {"state": outputs["state"]}, outputs)
    events.act(parts["next"].click, next_round, {"state": outputs["state"], **inputs}, outputs)
    events.act(parts["new"].click, new_quiz, {"dataset": dataset}, {"seed": parts["seed"], **outputs})
    events.act(parts["seed"].submit, start, inputs, outputs)
    asked = {"seed": parts["seed"], "round": links.Part(parts["pictures"], "v?.round")}
    links.tool(Quiz, asked, (start, {"dataset": dataset}, outputs), "quiz")
    return start, inputs, outputs
