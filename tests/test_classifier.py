"""What the judge promises beyond the contract."""

import pytest
import torch
import torch.nn.functional as F

import genmodels as gm
from genmodels.classifier import Classifier


@pytest.fixture
def judge():
    """Three questions about 16x16 colour pictures, with batch statistics that are not the first ones."""
    torch.manual_seed(0)
    judge = Classifier(channels=3, size=16, classes=[3, 2, 4], widths=[4, 8], stem=2, features=7, dropout=0.5)
    for seed in range(30):
        judge.loss(examples(64, seed))
    torch.nn.init.normal_(judge.head.weight)  # so that it does not say the same of all
    return judge.eval().requires_grad_(False)


def examples(n, seed=1):
    """(x, y): n pictures with an answer to each of the three questions."""
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


def test_features_are_what_the_head_sees(judge):
    x, _ = examples(6)
    assert torch.allclose(torch.cat(judge.logits(x), 1), judge.head(judge.features(x)))
    assert judge.features(x).min() >= 0


def test_a_picture_is_judged_alone(judge):
    """Neither the other pictures of the batch nor chance matter once the model serves."""
    x, _ = examples(6)
    alone = torch.cat([judge.features(picture[None]) for picture in x])
    assert torch.allclose(judge.features(x), alone, atol=1e-5)
    assert torch.equal(judge.features(x), judge.features(x))


def test_predict_is_the_likeliest_answer_to_each_question(judge):
    x, _ = examples(50)
    verdicts = judge.predict(x)
    for question, scores in enumerate(judge.logits(x)):
        assert torch.equal(verdicts[:, question], scores.softmax(1).argmax(1))
        assert len(verdicts[:, question].unique()) > 1


def test_loss_is_the_mean_cross_entropy_of_the_questions(judge):
    x, y = examples(20)
    by_hand = sum(F.cross_entropy(scores, t) for scores, t in zip(judge.logits(x), y.T)) / 3
    losses = judge.loss((x, y))
    assert losses["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    assert losses["accuracy"].item() == pytest.approx((judge.predict(x) == y).float().mean().item())


def test_one_question_takes_plain_labels(judge):
    single = Classifier(3, 16, classes=[3], widths=[4], features=5).eval()
    x, y = examples(8)
    assert torch.equal(single.loss((x, y[:, 0]))["loss"], single.loss((x, y[:, :1]))["loss"])


def test_hidden_answers_do_not_count(judge):
    """-1 in a column: that picture counts for nothing in that question, whatever the picture is."""
    x, y = examples(12)
    y[:5, 1] = -1
    losses = judge.loss((x, y))
    scores = judge.logits(x)
    by_hand = (
        F.cross_entropy(scores[0], y[:, 0]) + F.cross_entropy(scores[1][5:], y[5:, 1]) + F.cross_entropy(scores[2], y[:, 2])
    ) / 3
    assert losses["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)
    shown = y >= 0
    assert losses["accuracy"].item() == pytest.approx((judge.predict(x) == y)[shown].float().mean().item())


def test_a_question_without_any_answer_does_not_count(judge):
    x, y = examples(12)
    y[:, 2] = -1
    by_hand = sum(F.cross_entropy(scores, t) for scores, t in list(zip(judge.logits(x), y.T))[:2]) / 2
    assert judge.loss((x, y))["loss"].item() == pytest.approx(by_hand.item(), rel=1e-5)


def test_no_gradient_comes_from_hidden_answers(judge):
    """Training on pictures without answers moves nothing: not even the head of their question."""
    x, y = examples(12)
    y[:, 1] = -1
    judge.requires_grad_(True)
    judge.loss((x, y))["loss"].backward()
    assert bool((judge.head.weight.grad[3:5] == 0).all())
    assert bool((judge.head.weight.grad[:3] != 0).any())
    assert bool((judge.head.weight.grad[5:] != 0).any())


def test_dropout_works_in_training_only(judge):
    x, y = examples(12)
    assert torch.equal(judge.loss((x, y))["loss"], judge.loss((x, y))["loss"])
    judge.dropout.train()
    assert not torch.equal(judge.loss((x, y))["loss"], judge.loss((x, y))["loss"])


def test_one_batch_is_learnt_by_heart():
    """50 digits, all read right after a second of training, and new ones far better than by chance."""
    torch.manual_seed(0)
    digits = gm.data.samples("mnist")
    x, y = digits.floats(), digits.y
    model = Classifier(widths=[8, 16], features=32)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(40):
        optimiser.zero_grad()
        model.loss((x[:50], y[:50]))["loss"].backward()
        optimiser.step()
    model.eval()
    assert torch.equal(model.predict(x[:50])[:, 0], y[:50])
    assert (model.predict(x[50:])[:, 0] == y[50:]).float().mean() > 0.5
