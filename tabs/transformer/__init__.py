"""Transformer: texts, poems and pictures, generated token by token; every choice can be inspected and changed."""

import functools
from pathlib import Path

import gradio as gr

import genmodels as gm
from tabs import events, layout
from tabs.language import _
from tabs.transformer import inspection, pixels, poems, surprisal, texts, writing

MODELS = (*texts.MODELS, pixels.PIXELS)
ENDPOINTS = (writing.text_generate, surprisal.text_score, inspection.text_next, poems.text_poem, pixels.pixels_complete)
STREAMED = (writing.text_generate,)


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [functools.partial(gm.load, name) for name in gm.cards.shipped(MODELS)]


def card():
    """The models of the tab in a table, and their cards."""
    names = gm.cards.shipped(MODELS)
    return {"card": "\n\n".join([gm.cards.models_table(names), *map(gm.cards.text, names)])}


def build_text(first_visit):
    surprisal_visited = gr.State(False)
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            parts, bars = writing.lay_out_controls(), inspection.lay_out_bars()
        with gr.Column(scale=11, min_width=320, elem_classes=["card", "writing"]):
            parts |= writing.lay_out_stage()
        with gr.Column(scale=8, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab(_("Attention"), id="attention"):
                inspection.lay_out_attention(parts, bars)
            with gr.Tab(_("Surprisal"), id="surprise") as surprisal_tab:
                surprisal.build(events.first_visit(None, surprisal_tab, surprisal_visited), parts["model"])
    parts["lines"] = layout.python_panel("transformer", "text", _("Reproduce in Python"))
    writing.connect(parts, first_visit)


def build(first_visit):
    """Lay out the tab. first_visit: the event of a visitor's first look at it."""
    offered = gm.cards.shipped(MODELS) or MODELS
    poems_visited, pixels_visited = gr.State(False), gr.State(False)
    layout.hint(
        _(
            "An **autoregressive transformer** generates a sequence token by token, each predicted from all before it. "
            "Write a text, then click a character to change what follows."
        )
    )
    with gr.Tabs(elem_classes="parts"):
        written = _("Texts") if texts.OWN else _(texts.WRITERS[texts.SHAKESPEARE])
        with gr.Tab(written, id="text", visible=any(name in offered for name in texts.WRITERS)):
            build_text(first_visit)
        with gr.Tab(_("Tang poems 唐诗"), id="poems", visible=texts.TANG in offered) as poems_tab:
            poems.build(events.first_visit(None, poems_tab, poems_visited))
        with gr.Tab(_("Pictures"), id="pixels", visible=pixels.PIXELS in offered) as pixels_tab:
            pixels.build(events.first_visit(None, pixels_tab, pixels_visited))
    headlines = [_(gm.cards.headline(name)).rstrip(".。") for name in offered]
    layout.explanation(
        Path(__file__).with_name("about.md"),
        measured=_("{items}.", items=_("; ").join(headlines)),
        bits=gm.cards.bits_by_class(),
        perplexities=gm.cards.perplexities(),
        rhymes=gm.cards.rhyme_shares(),
    )
    events.act(first_visit, card, {}, {"card": layout.models_card()})
