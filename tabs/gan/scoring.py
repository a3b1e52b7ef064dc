"""The visitor's own picture, and how real it looks to the discriminator."""

import json
from typing import Annotated, Literal

import gradio as gr
from pydantic import Field

import genmodels as gm
from genmodels.messages import Message
from tabs import endpoints, events, labels, layout, links, sources
from tabs.components import raw
from tabs.components.verdict import Verdict
from tabs.controls import Controls, dropdown
from tabs.gan import data
from tabs.gan.data import GAN
from tabs.language import _
from tabs.sources import Source


class Scoring(Controls):
    label: Annotated[str, dropdown([(Message("any"), labels.ANY)], min_width=110, elem_id="gan-judged-as")] = Field(
        labels.ANY, title=Message("Scored as"), max_length=500
    )


def score_picture(dataset, x, label):
    """The discriminator's score of a picture (1, C, H, W), its relative score ("lead"), the shares of real and of generated
    pictures with a lower one, and the relative score for each class or attribute value."""
    import torch

    number = data.parse_label(dataset, Scoring.read(label=label).label)
    relative_score = data.relative_scores(dataset)(x, number).item()
    real, generated = data.reference_scores(dataset, number is not None)
    names = gm.labels.single_values(GAN.conditions(dataset))
    each_label = torch.tensor([gm.labels.parse(GAN.conditions(dataset), name) for name in names])
    each_score = data.relative_scores(dataset)(x.expand(len(names), -1, -1, -1), each_label).tolist()
    return {
        "score": GAN.load(dataset).score(x, number).item(),
        "lead": relative_score,
        "higher_than_real": (real < relative_score).float().mean().item(),
        "higher_than_generated": (generated < relative_score).float().mean().item(),
        "lead_as": dict(zip(names, each_score)),
    }


def verdict(source: Source, label):
    dataset = sources.require(source)["dataset"]
    result = score_picture(dataset, source["x"], label)
    labelled = label != labels.ANY
    if result["higher_than_real"] < 0.05:
        opinion = _("Few real pictures score this low: the discriminator does not take it for real.")
    elif result["higher_than_real"] > 0.5:
        opinion = _("To the discriminator it looks more real than most real pictures.")
    else:
        opinion = _("To the discriminator it could be real.")
    text = _(
        "Relative score {lead:+.2g}, scored {condition}: higher than {higher_than_real:.0%} of real test pictures and "
        "{higher_than_generated:.0%} of generated ones. {opinion}",
        **result,
        condition=_("as {label}", label=labels.readable(label)) if labelled else _("without a class"),
        opinion=opinion,
    )
    by_label = [{"label": labels.readable(name), "score": round(score, 4)} for name, score in result["lead_as"].items()]
    return {
        **raw(source["x"][0]),
        "text": text,
        "score": round(result["lead"], 4),
        "by_label": json.dumps(by_label),
        "histogram": data.score_histogram(dataset, labelled),
    }


def show(source, label):
    return {"verdict": verdict(source, label)}


def choose(source: Source):
    """Another picture -> source, label to score it with, verdict."""
    return {"source": source, "label": labels.ANY, **show(source, labels.ANY)}


PICTURES = sources.Chooser(choose)


def open_dataset(dataset):
    """Another dataset: its test pictures, the first of them scored, and its labels."""
    label = gr.update(choices=labels.single_choices(GAN.conditions(dataset)), value=labels.ANY)
    return {**PICTURES.open_dataset(dataset), "label": label}


def gan_score(
    model: Literal[*GAN.models] = "gan-mnist",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    options: Scoring = Scoring(),  # noqa: B008
) -> dict:
    """Score how real a picture looks to the discriminator, given a label or none.

    Returns:
        score: the discriminator's score; lead: the relative score, which is the score minus the mean score of generated
        pictures of the same label (only this can be compared between labels); higher_than_real, higher_than_generated: the
        shares of real test pictures and of generated pictures with a lower relative score; lead_as: the relative score for
        each class or attribute value.
    """
    dataset = GAN.dataset_of(model)
    x = sources.upload_or_test_picture(dataset, picture, test_picture_number)["x"]
    return score_picture(dataset, x, options.label)


def lay_out(dataset):
    """Lay out and wire the tool. Returns (what another dataset changes, the events of another picture or label)."""
    layout.hint(_("How real does your picture look to the discriminator?"))
    parts = PICTURES.lay_out("gan")
    with parts["upload"].parent:
        parts |= Scoring.components("gan")
    outputs = {"source": gr.State(), "label": parts["label"], "verdict": Verdict(elem_id="gan-verdict")}
    labelled = events.live(parts["label"].input, show, {"source": outputs["source"], "label": parts["label"]}, outputs)
    chosen = PICTURES.connect(parts, {"dataset": dataset}, outputs)
    links.tool(Scoring, {"label": parts["label"]}, (show, {"source": outputs["source"]}, outputs), "own")
    return {**PICTURES.opened(parts), **outputs}, [labelled, *chosen]
