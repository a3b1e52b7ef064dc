"""What the model predicts at a position of the text, and which of the characters before it attends to."""

import base64
import json
from typing import Literal

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import events, layout
from tabs.components.attention_map import AttentionMap
from tabs.components.next_token import NextToken
from tabs.language import _
from tabs.transformer import texts
from tabs.transformer.writing import Writing

ATTENTION_TOKENS = 48  # in the attention map
WARPING = ("temperature", "top_k", "top_p", "min_p")  # controls of the text that change the probabilities
# The bars follow temperature and cut-offs in the browser, without the server.
UPDATE_OPTIONS = "(temperature, top_k, top_p, min_p, v) => v?.logits ? {...v, options: {temperature, top_k, top_p, min_p}} : v"


class Prediction(Writing):
    n: int = Field(10, ge=1, le=1000, title=Message("Tokens"), description=Message("how many are listed"))
    parameters = (*WARPING, "n")


def predict_next(model, text):
    """(logits of the token that follows a text, the text's token ids)."""
    ids = model.tokenizer.encode(text) if text else []
    ids = ids or list(model.tokenizer.start)
    return model.next_logits(ids)[0], ids


def next_token_bars(model, text, options: Writing):
    logits, ids = predict_next(model, text)
    logits, order = logits.sort(descending=True, stable=True)
    return {
        "context": model.tokenizer.decode(ids[-36:]),
        "options": {name: getattr(options, name) for name in WARPING},
        "symbols": json.dumps([model.tokenizer.symbols[i] for i in order.tolist()]),
        "logits": " ".join(f"{v:.5g}" for v in logits.tolist()),
    }


def attention_map(model, text):
    symbols, maps = model.attention(text)
    n = min(ATTENTION_TOKENS, len(symbols))
    maps = (maps[:, :, -n:, -n:] * 255).round().byte().contiguous()
    return {
        "symbols": json.dumps(symbols[-n:]),
        "n": n,
        "layers": maps.shape[0],
        "heads": maps.shape[1],
        "maps": base64.b64encode(maps.numpy().tobytes()).decode(),
    }


def inspect_position(event: gr.EventData, model=texts.SHAKESPEARE, **controls):
    """The visitor selected a position of the text -> bars, attention."""
    data = event._data if isinstance(event._data, dict) else {}
    text = texts.check("text", data.get("text"), texts.MAX_TEXT + texts.MAX_NEW_TOKENS)
    transformer = texts.writer(model)
    return {"bars": next_token_bars(transformer, text, Writing.read(**controls)), "attention": attention_map(transformer, text)}


def preview(prompt, model=texts.SHAKESPEARE, **controls):
    """The visitor types a prompt -> bars."""
    prompt = texts.check("prompt", prompt, texts.MAX_PROMPT)
    return {"bars": next_token_bars(texts.writer(model), prompt, Writing.read(**controls))}


def text_next(
    prompt: str = "",
    options: Prediction = Prediction(temperature=1),  # noqa: B008
    model: Literal[*texts.MODELS] = texts.SHAKESPEARE,
) -> dict:
    """Next-token probabilities: the most likely tokens, before and after temperature and cut-offs.

    Args:
        prompt: see text_generate.
    Returns:
        The entropy of the model's distribution in bits; and for each token its logit, the model's probability, and the
        probability with which it is sampled after temperature and cut-offs ("drawn").
    """
    transformer = texts.load(model)
    logits = predict_next(transformer, texts.check("prompt", prompt, texts.MAX_PROMPT))[0]
    p = logits.softmax(-1)
    warped_p = gm.transformer.warp_logits(logits, **options.arguments(gm.transformer.warp_logits))
    symbols, tokens = transformer.tokenizer.symbols, []
    for i in logits.argsort(descending=True, stable=True)[: options.n].tolist():
        values = {"logit": logits[i].item(), "probability": p[i].item(), "drawn": warped_p[i].item()}
        tokens.append({"token": symbols[i], **values})
    return {"entropy": -(p * p.clamp_min(1e-38).log2()).sum().item(), "tokens": tokens}


def lay_out_bars():
    gr.Markdown(_("### Next-token probabilities"))
    return NextToken({"message": _("The probabilities appear with the text.")}, elem_id="transformer-next")


def lay_out_attention(parts, bars):
    """Lay out the map and wire the tool. parts: those of the text, its stage included."""
    layout.hint(
        _(
            "To predict the next character, each character attends to those before it. **Point at one** to see its "
            "attention weights."
        )
    )
    attention = AttentionMap({"message": _("The map appears with the text.")}, elem_id="transformer-attention")
    controls, outputs = {name: parts[name] for name in WARPING}, {"bars": bars}
    chosen = {"model": parts["model"], **controls}
    events.live(parts["stage"].click, inspect_position, chosen, {**outputs, "attention": attention})
    prompt = {"prompt": parts["prompt"], **chosen}
    events.live(parts["prompt"].change, preview, prompt, outputs, events.in_place(outputs))
    for control in controls.values():
        events.in_browser(control.input, UPDATE_OPTIONS, {**controls, **outputs}, outputs)
