"""How surprising each character of a text is to the model: the visitor's own text, coloured."""

import math
from collections.abc import Iterator
from typing import Literal

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, programs
from tabs.components.token_view import TokenView
from tabs.controls import Controls
from tabs.language import _
from tabs.transformer import texts

MAX_LIVE_TEXT = 1000  # characters of a text whose surprisal is computed while the visitor types
MAX_SCORED_TEXT = 10_000  # the same for the API
EXAMPLE = "To be, or not to be, that is the question.\nTo bee, or not two bees, that is the quantum question!"


class Shown(Controls):
    """What a link says of the tool."""

    text: str = Field(EXAMPLE, title=Message("Your text"), max_length=MAX_LIVE_TEXT)


def show(text, model=texts.SHAKESPEARE):
    """The visitor's own text -> surprisal, surprisal_lines."""
    transformer = texts.writer(model)
    folded, notes = texts.fold(transformer, texts.check("text", text, MAX_LIVE_TEXT))
    if not text:
        raise ValueError(Message("Type or paste a text: each of its characters will be coloured by its surprisal."))
    if not folded:
        raise ValueError(Message("The text has nothing in it that the model knows. {notes}", notes=notes))
    tokens = list(transformer.read_steps(folded))
    mean = gm.text_transformer.mean_surprisal(tokens)
    lines = (
        f"text = {text!r}\nscore = model.score(text)\n"
        "for symbol, log_p in zip(score.symbols, score.log_probs.tolist()):\n"
        "    print(repr(symbol), round(math.exp(log_p), 4))\n"
        "bits = -score.log_probs.mean().item() / math.log(2)\n"
        'print(bits, "bits per character; perplexity", 2**bits)\n'
    )
    stats = _("{bits:.2f} bits per character · perplexity {perplexity:.1f}", **mean)
    return {
        "surprisal": {"tokens": texts.records(tokens), "notes": notes, "stats": stats},
        "surprisal_lines": programs.program(lines, model),
    }


def text_score(
    text: str = "To be, or not to be, that is the question.",
    prompt: str = "",
    model: Literal[*texts.MODELS] = texts.SHAKESPEARE,
) -> Iterator[dict]:
    """Log-likelihood and surprisal of a text.

    Args:
        text: 1 to 10,000 characters. For transformer-tang without a prompt: a whole poem, form|title|author|body.
        prompt: the context before the text.
    Returns:
        The log-probability of each token in nats; the mean surprisal in nats and in bits per token, and the perplexity; and the
        characters outside the model's alphabet.
    """
    transformer = texts.load(model)
    text, prompt = texts.check("text", text, MAX_SCORED_TEXT), texts.check("prompt", prompt, MAX_SCORED_TEXT)
    tokens = yield from texts.collected(transformer.read_steps(text, prompt, alternatives=0))
    unknown = dict.fromkeys(c for c in text if c not in transformer.tokenizer.token_id)
    yield {
        **gm.text_transformer.mean_surprisal(tokens),
        "tokens": [[t.text, math.log(max(t.probability, 1e-38))] for t in tokens],
        "unknown": [texts.printable(c) for c in unknown],
    }


def example(model):
    """Another model -> a text in its language; the text's change shows it."""
    return {"text": texts.beginning(model, EXAMPLE, 100)}


def build(first_visit, model):
    """model: the choice of the text that the transformer was trained on."""
    layout.hint(_("Your own text: which characters did the model not expect?"))
    text = gr.Textbox(
        example(model.value)["text"],
        label=_("Your text"),
        show_label=False,
        lines=4,
        max_lines=8,
        elem_id="transformer-own",
        elem_classes="plain",
        max_length=MAX_LIVE_TEXT,
        placeholder=_("Type or paste a text in the language of the model."),
    )
    links.tool(Shown, {"text": text}, name="surprisal", defaults=lambda model: example(model) if model else {})
    view = TokenView(name=_("Your text"), branch=False, elem_id="transformer-surprise")
    outputs = {
        "surprisal": view,
        "surprisal_lines": layout.python_panel("transformer", "surprise", _("Reproduce in Python"), link=False),
    }
    for trigger in (first_visit, text.change):  # `change`, because `input` misses some ways of pasting
        events.live(trigger, show, {"text": text, "model": model}, outputs, events.in_place(outputs))
    events.act(model.input, example, {"model": model}, {"text": text})
