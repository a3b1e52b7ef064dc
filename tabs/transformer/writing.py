"""A text in the manner of Shakespeare, written character by character and continued from wherever the visitor chooses."""

import functools
import itertools
from collections.abc import Iterator
from typing import Annotated, Literal

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout, links, programs
from tabs.components.token_view import TokenView
from tabs.controls import SEED, Controls, Seed, slider
from tabs.language import _
from tabs.transformer import runs, texts

SHOWN_PROMPT = 2000  # characters of the prompt that are shown
OPENING_PROMPT = "ROMEO:\n"


class Writing(Controls):
    max_new_tokens: Annotated[int, slider(step=20, minimum=20, elem_id="transformer-length")] = Field(
        360, ge=1, le=texts.MAX_NEW_TOKENS, title=Message("Length"), description=Message("characters")
    )
    temperature: Annotated[float, slider(step=0.05, maximum=2)] = Field(
        0.8, ge=0, le=5, title=Message("Temperature"), description=Message("0: always the most likely")
    )
    # the limit of top-k is a constant, not the size of a vocabulary
    top_k: Annotated[int, slider(maximum=30, min_width=90)] = Field(
        0, ge=0, le=1000, title=Message("Top-k"), description=Message("0: all")
    )
    top_p: Annotated[float, slider(step=0.02, min_width=90)] = Field(1, ge=0, le=1, title=Message("Top-p"))
    min_p: Annotated[float, slider(step=0.01, min_width=90)] = Field(0, ge=0, le=1, title=Message("Min-p"))
    seed: Seed = SEED


class Shown(Writing):
    """What a link says of the text."""

    prompt: str = Field(OPENING_PROMPT, title=Message("Prompt"), max_length=2000)


def stream(name, prompt, keep, options, notes=""):
    """Continue a prompt in the model's alphabet: yields stage, lines. keep: how many tokens the stage already shows."""
    model, shown, method = texts.writer(name), "" if keep else prompt[-SHOWN_PROMPT:], gm.TextTransformer.generate_steps
    options = options.model_copy(update={"top_k": min(options.top_k, model.tokenizer.vocab_size)})
    given = model.read_steps(shown, prompt[:-SHOWN_PROMPT]) if shown else ()
    steps = itertools.chain(given, model.generate_steps(prompt, **options.arguments(method)))

    def show(records, n, start, live):
        stats = texts.count(n, _("characters"), start) if n else _("reading the prompt") if live else ""
        return {"tokens": records, "keep": keep, "notes": notes, "live": live, "stats": stats}

    def lines(n, stopped):
        # with this length the same seed gives the same part of a text that was stopped
        call = options.call("model.generate", method, "prompt", max_new_tokens=n)
        body = f"prompt = {prompt!r}\ntext = prompt + {call}\nprint(text)\n"
        return programs.program(body, name) if n else _(programs.STOPPED)

    kinds = itertools.chain(["given"] * len(shown), itertools.repeat(""))
    return (yield from runs.stream(steps, kinds, show, lines, given=len(shown)))


def write(prompt, model=texts.SHAKESPEARE, **controls):
    """A new text."""
    options = Writing.read(**controls)
    prompt, notes = texts.fold(texts.writer(model), texts.check("prompt", prompt, texts.MAX_PROMPT))
    if len(prompt) > SHOWN_PROMPT:
        notes = _("Only the last {n:,} characters of the prompt are shown. {notes}", n=SHOWN_PROMPT, notes=notes)
    # a new line is the context of a text's first character
    return (yield from stream(model, prompt or "\n", 0, options, notes))


def continue_text(event: gr.EventData, model=texts.SHAKESPEARE, **controls):
    """The text on the stage continues."""
    options, request = Writing.read(**controls), runs.read_request(event)
    prompt = texts.fold(texts.writer(model), request["text"])[0]
    yield from stream(model, prompt or "\n", request["keep"], options)


def opening_prompt(model):
    return texts.beginning(model, OPENING_PROMPT, 20)


def open_text(model=texts.SHAKESPEARE):
    """The run with which a text opens."""
    yield from runs.opening(model, functools.partial(write, opening_prompt(model), model))


def choose_text(model):
    """Another model -> its prompt."""
    texts.writer(model)
    return {"prompt": opening_prompt(model)}


def text_generate(
    prompt: str = "",
    options: Writing = Writing(max_new_tokens=200),  # noqa: B008
    model: Literal[*texts.MODELS] = texts.SHAKESPEARE,
) -> Iterator[str]:
    """Continue a prompt token by token; the text grows while it streams.

    Args:
        prompt: at most 100,000 characters, of which the last ones that fit the model's context count; may be empty. Characters
            outside the model's alphabet are replaced by plain ones or left out. For transformer-tang:
            form|title|author|beginning.
        top_k: 0 (all) to 1000; keeps the k most likely tokens.
        top_p: 0 to 1; keeps the most likely tokens that together reach this probability.
        min_p: 0 to 1; keeps tokens at least this many times as likely as the most likely one.
    Returns:
        The text that follows the prompt.
    """
    transformer, text = texts.load(model), ""
    top_k = min(options.top_k, transformer.tokenizer.vocab_size)
    arguments = options.arguments(gm.TextTransformer.generate_steps, top_k=top_k, alternatives=0)
    for batch in gm.tokens.batches(transformer.generate_steps(prompt, **arguments)):
        text += transformer.tokenizer.decode(token.id for token in batch)
        yield text


def poster():
    """The beginning of the first sample that the training run saved."""
    try:
        text = (gm.cards.checkpoint_root() / texts.available()[0] / "samples.txt").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    return "\n".join(line for line in text.splitlines() if not line.startswith("---"))[:400].strip()


def lay_out_controls():
    models = texts.available()
    parts = {
        "model": gr.Radio(
            [(_(texts.WRITERS[name]), name) for name in models],
            value=models[0],
            label=_("Text"),
            show_label=False,
            container=False,
            visible=len(models) > 1,
            elem_id="transformer-model",
            elem_classes="small-pills",
        ),
        "prompt": gr.Textbox(
            opening_prompt(models[0]),
            label=_("Prompt"),
            lines=2,
            max_lines=5,
            elem_id="transformer-prompt",
            elem_classes="plain",
            placeholder=_("Empty: the model begins a text of its own."),
        ),
        **Writing.components("transformer", "max_new_tokens", "temperature"),
    }
    with gr.Row(elem_classes="small-controls"):
        return parts | Writing.components("transformer", "top_k", "top_p", "min_p")


def lay_out_stage():
    parts = {"stage": TokenView(name=_("Text"), more=_("Continue"), poster=poster(), elem_id="transformer-text")}
    parts |= runs.buttons(Writing, "text", _("Write"), _("Stop"))
    layout.hint(_("**Click a character** to see its alternatives. Choose one, and the text continues from there."))
    return parts


def connect(parts, first_visit):
    chosen = {"model": parts["model"]}
    controls = chosen | {name: parts[name] for name in Writing.model_fields}
    links.choice("model", parts["model"])
    links.tool(Shown, {"prompt": parts["prompt"], **controls}, defaults=lambda model: {"prompt": opening_prompt(model)})
    stream = runs.connect(parts, write, {"prompt": parts["prompt"], **controls}, first_visit, open_text, chosen)
    stream(events.act(parts["model"].input, choose_text, chosen, {"prompt": parts["prompt"]}).then, open_text, chosen)
    for trigger in (parts["stage"].input, parts["stage"].release):
        stream(trigger, continue_text, controls)
