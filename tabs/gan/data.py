"""What the tools of this tab share: the models, their labels, and the scores of their discriminators."""

import json

import genmodels as gm
from tabs import labels, programs, sources
from tabs.families import Family

GAN = Family("gan", {"mnist": "Digits", "fashion": "Clothes", "avatars": "Faces"})
COLLAPSED = "gan-mnist-collapsed"  # trained to collapse; only its replay is shown
BINS = 24  # of the score histograms


def program(dataset, body, columns, scale=4):
    """A whole program. body: the lines that compute `x` with `model`."""
    return programs.program(body + programs.save(columns, scale), f"gan-{dataset}")


def parse_label(dataset, text, name="label"):
    """The label of one picture as the model takes it."""
    return labels.for_picture(GAN.conditions(dataset), text, name)


def test_labels(dataset):
    """The labels of the test pictures, (N, attributes)."""
    y = gm.data.samples(dataset).y
    if y.ndim == 1:
        return y[:, None]
    return y[:, [list(gm.data.ATTRIBUTES).index(name) for name in GAN.load(dataset).conditions]]


# --- Scores -----------------------------------------------------------------------------------------------------------


def baseline_samples(label):
    """Number of samples from which the mean score of a label (one index per attribute) is estimated."""
    if max(label) < 0:
        return 256
    return 32 if len(label) == 1 else 16  # faces have hundreds of labels


@GAN.cached
def baseline(dataset, label):
    """(mean score, scores minus their mean) of generated pictures of a label, a tuple."""
    model = GAN.load(dataset)
    samples = model.sample(baseline_samples(label), label=list(label), seed=0)
    scores = model.score(samples, list(label))
    return scores.mean().item(), scores - scores.mean()


def relative_scores(dataset, x, label=None):
    """The discriminator's scores of pictures minus the mean score of generated pictures of the same label, (B,).

    It was trained on pairs of one label and never learned to compare two labels, so that their scores may have any offset.
    """
    import torch

    model = GAN.load(dataset)
    y = gm.base.check_labels(label, len(x), model.classes)
    return model.score(x, y) - torch.tensor([baseline(dataset, tuple(row))[0] for row in y.tolist()])


@GAN.cached
def reference_scores(dataset, labelled=True):
    """Relative scores of the test pictures and of generated ones; with their labels or without any."""
    import torch

    y = test_labels(dataset)
    if not labelled:
        y = torch.full_like(y, -1)
    generated = torch.cat([baseline(dataset, tuple(row))[1] for row in y.unique(dim=0).tolist()])
    return relative_scores(dataset, sources.test_pictures(dataset)[0], y), generated


def rounded(values):
    """A tensor as a list for the page."""
    return [round(v, 4) for v in values.tolist()]


def score_histogram(dataset, labelled):
    """Both histograms on one axis, as one string: Gradio traverses every list on the page with each message of a stream."""
    import torch

    real, generated = reference_scores(dataset, labelled)
    low, high = torch.cat([real, generated]).quantile(torch.tensor([0.005, 0.995])).tolist()
    high = max(high, low + 1e-3)

    def shares(scores):
        return rounded(torch.histc(scores.clamp(low, high), BINS, low, high) / len(scores))

    edges = rounded(torch.linspace(low, high, BINS + 1))
    sizes = [len(real), len(generated)]
    return json.dumps({"edges": edges, "real": shares(real), "generated": shares(generated), "n": sizes})
