"""What the tools of this tab share: the models, their labels, and the scores of their discriminators."""

import json

import genmodels as gm
from genmodels.messages import Message
from tabs import labels, sources
from tabs.families import Family

GAN = Family("gan", {"mnist": Message("Digits"), "fashion": Message("Clothes"), "avatars": Message("Faces")}, own=True)
COLLAPSED = "gan-mnist-collapsed"  # trained to collapse; only its replay is shown


def parse_label(dataset, text, name="label"):
    """The label of one picture as the model takes it."""
    return labels.for_picture(GAN.conditions(dataset), text, name)


@GAN.cached
def relative_scores(dataset):
    """Of pictures: the discriminator's scores minus the mean score of generated pictures of the same label."""
    return gm.gan.RelativeScores(GAN.load(dataset))


def test_labels(dataset):
    """The labels of the test pictures, (N, attributes)."""
    return gm.labels.select(gm.data.samples(dataset).y, GAN.conditions(dataset))


@GAN.cached
def reference_scores(dataset, labelled=True):
    """Relative scores of the test pictures and of generated ones; with their labels or without any."""
    label = test_labels(dataset) if labelled else None
    return relative_scores(dataset).reference(sources.test_pictures(dataset)[0], label)


def score_histogram(dataset, labelled):
    """Both histograms as one string: Gradio traverses every list on the page with each message of a stream."""
    return json.dumps(gm.gan.score_histogram(*reference_scores(dataset, labelled)))


def rounded(values):
    """A tensor as a list for the page."""
    return [round(v, 4) for v in values.tolist()]
