"""Properties of the classifier beyond the contract of all models."""

import pytest
import torch
import torch.nn.functional as F

import genmodels as gm
from genmodels.classifier import Classifier, describe
from tests.compare import close


@pytest.fixture
def classifier():
    """Three attributes of 16x16 colour pictures, with batch statistics that are not the initial ones."""
    torch.manual_seed(0)
    classifier = Classifier(channels=3, size=16, classes=[3, 2, 4], widths=[4, 8], stem=2, features=7, dropout=0.5)
    for seed in range(30):
        classifier.loss(examples(64, seed))
    torch.nn.init.normal_(classifier.head.weight)  # so that its predictions differ
    return classifier.eval().requires_grad_(False)


def examples(n, seed=1):
    """(x, y): n pictures with labels of the three attributes."""
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 3, 16, 16, generator=g) * torch.rand(n, 3, 1, 1, generator=g)  # of many colours
    return x, torch.stack([torch.randint(k, (n,), generator=g) for k in (3, 2, 4)], 1)


@pytest.mark.parametrize(("size", "stem", "widths"), [(28, 1, [4, 6, 8]), (64, 2, [4, 6, 8]), (16, 1, [4])])
def test_shapes(size, stem, widths):
    model = Classifier(2, size, classes=[5, 2], widths=widths, stem=stem, features=11).eval()
    x = torch.rand(3, 2, size, size)
    assert model.features(x).shape == (3, 11)
    assert [s.shape for s in model.logits(x)] == [(3, 5), (3, 2)]
    assert model.predict(x).shape == (3, 2)


def test_features_are_the_input_of_the_head(classifier):
    x, _ = examples(6)
    assert close(torch.cat(classifier.logits(x), 1), classifier.head(classifier.features(x)))
    assert classifier.features(x).min() >= 0


def test_a_prediction_does_not_depend_on_the_rest_of_the_batch(classifier):
    """In eval mode neither the other pictures of the batch nor chance matter."""
    x, _ = examples(6)
    alone = torch.cat([classifier.features(picture[None]) for picture in x])
    assert torch.allclose(classifier.features(x), alone, atol=1e-5)
    assert close(classifier.features(x), classifier.features(x))


def test_predict_is_the_most_likely_value_of_each_attribute(classifier):
    x, _ = examples(50)
    predictions = classifier.predict(x)
    for attribute, scores in enumerate(classifier.logits(x)):
        assert close(scores.gather(1, predictions[:, attribute, None])[:, 0], scores.amax(1))
        assert len(predictions[:, attribute].unique()) > 1


def test_loss_is_the_mean_cross_entropy_of_the_attributes(classifier):
    x, y = examples(20)
    by_hand = sum(F.cross_entropy(scores, t) for scores, t in zip(classifier.logits(x), y.T)) / 3
    losses = classifier.loss((x, y))
    assert losses["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert losses["accuracy"].item() == pytest.approx((classifier.predict(x) == y).float().mean().item())


def test_one_attribute_takes_plain_labels(classifier):
    single = Classifier(3, 16, classes=[3], widths=[4], features=5).eval()
    x, y = examples(8)
    assert close(single.loss((x, y[:, 0]))["loss"], single.loss((x, y[:, :1]))["loss"])


def test_hidden_labels_do_not_count(classifier):
    """-1 in a column: that picture does not count for that attribute."""
    x, y = examples(12)
    y[:5, 1] = -1
    losses = classifier.loss((x, y))
    scores = classifier.logits(x)
    by_hand = (
        F.cross_entropy(scores[0], y[:, 0]) + F.cross_entropy(scores[1][5:], y[5:, 1]) + F.cross_entropy(scores[2], y[:, 2])
    ) / 3
    assert losses["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    visible = y >= 0
    assert losses["accuracy"].item() == pytest.approx((classifier.predict(x) == y)[visible].float().mean().item())


def test_an_attribute_without_any_label_does_not_count(classifier):
    x, y = examples(12)
    y[:, 2] = -1
    by_hand = sum(F.cross_entropy(scores, t) for scores, t in list(zip(classifier.logits(x), y.T))[:2]) / 2
    assert classifier.loss((x, y))["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_no_gradient_comes_from_hidden_labels(classifier):
    """Training on pictures without labels changes nothing, not even the head of their attribute."""
    x, y = examples(12)
    y[:, 1] = -1
    classifier.requires_grad_(True)
    classifier.loss((x, y))["loss"].backward()
    assert bool((classifier.head.weight.grad[3:5] == 0).all())
    assert bool((classifier.head.weight.grad[:3] != 0).any())
    assert bool((classifier.head.weight.grad[5:] != 0).any())


def test_dropout_works_in_training_only(classifier):
    x, y = examples(12)
    assert close(classifier.loss((x, y))["loss"], classifier.loss((x, y))["loss"])
    classifier.dropout.train()
    assert not close(classifier.loss((x, y))["loss"], classifier.loss((x, y))["loss"])


def test_one_batch_can_be_overfitted():
    """50 digits, all classified correctly after a second of training, and new ones far better than by chance."""
    torch.manual_seed(0)
    digits = gm.data.samples("mnist")
    x, y = digits.floats(), digits.y
    model = Classifier(widths=[8, 16], features=32)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        model.loss((x[:50], y[:50]))["loss"].backward()
        optimizer.step()
    model.eval()
    assert torch.equal(model.predict(x[:50])[:, 0], y[:50])
    assert (model.predict(x[50:])[:, 0] == y[50:]).float().mean() > 0.5


def test_a_prediction_in_words(classifier):
    x, _ = examples(4, 0)
    names = {"shape": ["disc", "ring", "bar"], "size": ["small", "large"], "colour": ["red", "green", "blue", "white"]}
    described = describe(classifier, names, x[:1])
    assert list(described) == list(names)
    predicted = classifier.predict(x[:1])[0].tolist()
    for (value, probability), values, i, logits in zip(described.values(), names.values(), predicted, classifier.logits(x[:1])):
        assert value == values[i]
        assert probability == pytest.approx(logits.softmax(1).max().item())
