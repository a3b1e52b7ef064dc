"""How likely a picture is, exactly, and how typical."""

import json
from typing import Literal

import gradio as gr

import genmodels as gm
from tabs import endpoints, labels, layout, programs, sources
from tabs.components import raw, sheet
from tabs.components.likelihood import Axis, Likelihood
from tabs.components.tiles import Tiles
from tabs.flow import layers
from tabs.flow.data import FLOW, OTHER
from tabs.language import _
from tabs.sources import Source

TILES = 5  # test pictures of each data set to choose from


@FLOW.cached
def statistics(dataset):
    """Likelihoods of the test pictures, as they were measured for the card."""
    return gm.typicality.load_likelihoods(gm.base.checkpoint_folder(f"flow-{dataset}"))


def score(dataset, x, label=None):
    """What the flow says of pictures x (N, 1, H, W): a dict of facts for each."""
    return gm.typicality.assess(FLOW.load(dataset), statistics(dataset), x, label)


def verdict(source: Source, facts) -> Likelihood.Value:
    """The picture's likelihood and typicality in words, and where they lie among those of the test pictures."""
    dataset, stats = source["dataset"], statistics(source["dataset"])
    own, other = list(stats.bits)[:2]
    more_likely, less_typical = 1 - facts["less_likely_than_test_pictures"], facts["more_unusual_than_test_pictures"]
    if less_typical <= 0.95:
        opinion = _("At least one in twenty test pictures is as atypical.")
    elif more_likely < 0.5:
        opinion = _("Fewer than one in twenty test pictures is as atypical.")
    else:
        opinion = _("Likely and yet atypical: the likelihood alone would rank it above most test pictures.")
    text = _(
        "{bits_per_dim:.3f} bits per pixel: more likely than {more_likely:.0%} of the test pictures. The square roots of its "
        "layers' costs are at a Mahalanobis distance of {distance:.2f} from those of typical pictures, further than those of "
        "{less_typical:.0%} of the test pictures. {opinion}",
        **facts,
        more_likely=more_likely,
        less_typical=less_typical,
        opinion=opinion,
    )

    sizes = [
        gm.cards.sample_size(f"flow-{dataset}", metric) for metric in ("bits_per_dim", "auroc")
    ]  # its own, and the other's

    def axis(title, edges, shares, score) -> Axis:
        return {
            "title": title,
            "histogram": {"edges": edges, "real": shares[own], "generated": shares[other], "n": sizes},
            "score": score,
        }

    unusual = _("Typicality: Mahalanobis distance from typical values (lower is more typical)")
    axes = [
        axis(_("Bits per pixel (lower is more likely)"), stats.bit_edges, stats.bits, facts["bits_per_dim"]),
        axis(unusual, stats.distance_edges, stats.distances, facts["distance"]),
    ]
    datasets = [_("test pictures of {dataset}", dataset=_(FLOW.titles[dataset]).lower()) for dataset in (own, other)]
    return {**raw(source["x"][0]), "text": text, "datasets": datasets, "axes": json.dumps(axes)}


def compute(source: Source):
    """(the picture's facts; it and out-of-distribution pictures; their facts; its layers): what takes long, without words."""
    import torch

    dataset, x = sources.require(source)["dataset"], source["x"]
    noise = torch.randint(256, x.shape, generator=gm.base.generator(0)) / 255
    other = sources.test_pictures(OTHER[dataset])[0][:1]
    pictures = torch.cat([x, 1 - x, x.rot90(1, (2, 3)), other, noise, torch.zeros_like(x)])
    return score(dataset, x)[0], sheet(pictures, len(pictures)), score(dataset, pictures), layers.compute(source)


@FLOW.cached
def first_results(dataset):
    return compute(test_picture(dataset, 0))


def comparison(dataset, pictures, all_facts):
    """The picture and out-of-distribution ones side by side, with their bits."""
    other = _("one of the {dataset}", dataset=_(FLOW.titles[OTHER[dataset]]).lower())
    names = [_("this"), _("inverted"), _("rotated"), other, _("noise"), _("blank")]
    captions = [
        _("{name}: {bits_per_dim:.2f} bits/pixel, distance {distance:.1f}", name=name, **facts)
        for name, facts in zip(names, all_facts)
    ]
    return {**pictures, "labels": captions}


def program(source: Source):
    lines = f'typicality = gm.typicality.load_likelihoods("flow-{source["dataset"]}").typicality\n' + (
        "print(model.bits_per_dim(picture), typicality.distance(model.layer_log_probs(picture)))\n"
    )
    return programs.program(source["lines"] + lines, f"flow-{source['dataset']}")


def choose(source: Source, results=None):
    """Another picture -> source, verdict, comparison, lines, and what *Layer by layer* shows of it. results: of `compute`."""
    facts, pictures, all_facts, of_layers = results or compute(source)
    return {
        "source": source,
        "verdict": verdict(source, facts),
        "comparison": comparison(source["dataset"], pictures, all_facts),
        "score_lines": program(source),
        **layers.show(source, of_layers),
    }


def test_picture(dataset, i) -> Source:
    """Picture i of the tiles."""
    if i < TILES:
        return sources.test_picture(dataset, i)
    return {**sources.test_picture(OTHER[FLOW.check(dataset)], i - TILES), "dataset": dataset}


def tiles(dataset, n, chosen) -> Tiles.Value:
    """Test pictures of both data sets."""
    import torch

    pictures = torch.cat([test_picture(dataset, i)["x"] for i in range(n)])
    names = [name for d in (dataset, OTHER[dataset]) for name in sources.test_picture_names(d)[:TILES]]
    return {**sheet(pictures, n), "labels": names, "chosen": chosen}


PICTURES = sources.Chooser(choose, 2 * TILES, test_picture, tiles=tiles)


def open_dataset(dataset):
    return PICTURES.open_dataset(dataset, results=first_results(dataset))


def flow_score(
    model: Literal[*FLOW.models] = "flow-mnist",
    picture: endpoints.Upload = None,
    test_picture_number: int = 0,
    label: str = "any",
) -> dict:
    """Compute the exact likelihood of a picture under a flow, and how typical the picture is.

    Args:
        label: any, or the class to condition on.
    Returns:
        Bits per pixel and log p in nats; the share of test pictures that are more likely; the Mahalanobis distance of the
        square roots of the layers' costs (-log p) from their typical values; the share of test pictures that are more typical.
    """
    dataset = FLOW.dataset_of(model)
    number = labels.for_picture(FLOW.conditions(dataset), label)
    return score(dataset, sources.upload_or_test_picture(dataset, picture, test_picture_number)["x"], number)[0]


def lay_out():
    """(where a picture is chosen, what is shown of it)."""
    layout.hint(_("Choose a test picture, draw or upload one. The likelihood is exact; what it means is another question."))
    parts = PICTURES.lay_out("flow", _("Test pictures of both datasets"))
    outputs = {"source": gr.State(), "verdict": Likelihood(elem_id="flow-verdict")}
    layout.hint(_("The same flow on less typical pictures:"))
    outputs["comparison"] = Tiles(pick=False, columns=6, name=_("Comparison"), elem_id="flow-beside")
    outputs["score_lines"] = layout.python_panel("flow", "score")
    return parts, outputs
