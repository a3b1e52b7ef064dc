"""What the page says of a result follows from its numbers: invented results, on both sides of each threshold."""

import json

import numpy as np
import pytest
import torch
from helpers import event, raw_of

import genmodels as gm
from tabs.denoiser import noise
from tabs.diffusion import editing as diffusion
from tabs.flow import likelihood
from tabs.gan import quiz, scoring
from tabs.sources import test_picture as picture
from tabs.transformer import pixels
from tabs.vae import editing as vae


@pytest.mark.parametrize(
    "share, says", [(0.04, "Few real"), (0.06, "could be real"), (0.5, "could be real"), (0.51, "more real than most")]
)
def test_how_real_a_picture_looks(monkeypatch, share, says):
    result = {"lead": -1.2345678, "higher_than_real": share, "higher_than_generated": 0.12, "lead_as": {"3": 0.123456}}
    histograms = []
    monkeypatch.setattr(scoring, "score_picture", lambda *args: result)
    monkeypatch.setattr(scoring.data, "score_histogram", lambda *args: histograms.append(args))
    shown = scoring.verdict(picture("mnist", 4), "3")
    for words in ("-1.2,", "as 3", f"{share:.0%} of real", "12% of generated", says):
        assert words in shown["text"]
    assert shown["score"] == -1.2346 and json.loads(shown["by_label"]) == [{"label": "3", "score": 0.1235}]
    assert "without a class" in scoring.verdict(picture("mnist", 4), "any")["text"]
    assert histograms == [("mnist", True), ("mnist", False)]


@pytest.mark.parametrize(
    "less_likely, unusual, says",
    [(0.3, 0.95, "At least one in twenty"), (0.6, 0.96, "Fewer than one"), (0.3, 0.96, "Likely and yet atypical")],
)
def test_how_likely_and_how_typical_a_picture_is(less_likely, unusual, says):
    facts = {"bits_per_dim": 1.23456, "distance": 7.891}
    facts |= {"less_likely_than_test_pictures": less_likely, "more_unusual_than_test_pictures": unusual}
    text = likelihood.verdict(picture("mnist", 0), facts)["text"]
    for words in ("1.235 bits", f"more likely than {1 - less_likely:.0%}", "of 7.89 ", f"those of {unusual:.0%}", says):
        assert words in text


@pytest.mark.parametrize(
    "chosen, best, says",
    [(1, 1, "both got it right"), (1, 2, "discriminator did not"), (0, 1, "you did not"), (0, 2, "Neither")],
)
def test_who_found_the_real_picture(monkeypatch, chosen, best, says):
    scores = [0.5, 0.1, 0.2, 0.3]
    scores[best] = 0.9
    monkeypatch.setattr(quiz, "quiz_round", lambda *args: quiz.Round(torch.rand(4, 1, 28, 28), scores, 1, "7", "lines"))
    monkeypatch.setattr(quiz.data, "score_histogram", lambda *args: "")
    asked = quiz.start("mnist", 0)
    assert "(7)" in asked["words"] and "1 time in 4" in asked["words"]
    answered = quiz.answer(asked["state"], event(index=chosen))
    assert says in answered["words"] and answered["lines"] == "lines"
    assert [p["score"] for p in answered["pictures"]["pictures"]] == scores
    assert [p["kind"] for p in answered["pictures"]["pictures"]] == ["generated", "real", "generated", "generated"]


@pytest.mark.parametrize("t, alpha, sigma", [(0.0, "1.00", "0.00"), (0.25, "0.92", "0.38"), (1.0, "0.00", "1.00")])
def test_how_much_of_a_picture_is_left_under_noise(t, alpha, sigma):
    shown = diffusion.show_noise(picture("mnist", 1), t=t, seed=3)["noisy"]
    assert shown["caption"] == f"{alpha} picture + {sigma} noise"
    expected = gm.load("diffusion-mnist").q_sample(picture("mnist", 1)["x"], t, seed=3)[0, 0]
    assert np.abs(raw_of(shown)[..., 0] / 255.0 - expected.clamp(0, 1).numpy()).max() <= 1 / 255


def test_a_classifiers_report_is_of_the_attributes_that_can_be_edited(monkeypatch):
    facts = {"glasses": ("big_shades", 0.987), "mouth": ("open_smile", 0.5), "hair_color": ("pink", 0.456)}
    monkeypatch.setattr(vae, "classify", lambda *args: facts)
    report = vae.classifier_report("avatars", None)
    assert report.endswith("glasses **big shades** (99%), hair colour **pink** (46%).")


@pytest.mark.parametrize(
    "kind, dataset, maximum, value, visible",
    [
        ("gaussian", "photo", 150, 25, True),
        ("gaussian", "mnist", 150, 100, True),
        ("poisson", "mnist", 60, 15, True),
        ("salt-and-pepper", "photo", 60, 10, True),
        ("speckle", "photo", 100, 30, True),
        ("missing block", "fashion", 60, 25, True),
        ("none", "photo", 1, 0, False),
    ],
)
def test_each_kind_of_noise_opens_with_its_strength(kind, dataset, maximum, value, visible):
    update = noise.choose_kind(kind, dataset)["strength"]
    assert (update["maximum"], update["value"], update["visible"]) == (maximum, value, visible)


@pytest.mark.parametrize("kind, strength, expected", [("gaussian", 51, 0.2), ("poisson", 51, 0.51), ("none", 51, 0)])
def test_units_of_the_page_become_those_of_the_package(kind, strength, expected):
    restoration = noise.Noise.read(kind=kind, strength=strength, sigma=25.5, seed=7).restoration()
    assert (restoration.strength, restoration.sigma) == pytest.approx((expected, 0.1))
    assert (restoration.kind, restoration.seed) == (kind, 7)


@pytest.mark.parametrize("n, across", [(1, 1), (4, 4), (5, 3), (8, 4)])
def test_completions_stand_in_rows_above_their_surprisal(n, across):
    """Each row of pictures is followed by their surprisal, also where the last row is not full."""
    x = torch.arange(1, n + 1).view(n, 1, 1, 1).expand(n, 1, 28, 28) / 255
    step = gm.pixel_transformer.Completion(x, torch.ones(n, 28, 28), 28)
    assert pixels.columns(n) == across
    frame = pixels.frame(step, 28)
    assert len(frame) == 2 * across * -(-n // across)
    shown = [(255 * frame[2 * across * (i // across) + i % across, 2, -1, -1]).round().int().item() for i in range(n)]
    assert shown == list(range(1, n + 1))
