"""The tools of the GAN tab: the quiz, the replay of a training, the visitor's own picture."""

import json
import shutil

import numpy as np
import pytest
import torch
from helpers import (
    event,
    is_sentence,
    pixels,
    raw_of,
    refusal,
    same_pictures,
    sheet_of,
    stroke,
)
from helpers_gan_tab import ANY, kinds_of

import genmodels as gm
from tabs import events, programs, sources
from tabs.gan import data, inversion, quiz, scoring, training

# --- The quiz ---------------------------------------------------------------------------------------------------------


def test_one_of_four_is_real_of_the_same_class_and_in_any_place():
    x, y = pixels(gm.data.samples("mnist").floats()), gm.data.samples("mnist").y
    places, found_labels, generated = [], set(), set()
    for k in range(24):
        current = quiz.quiz_round("mnist", 5, k)
        real = [np.flatnonzero((x == picture).all((1, 2, 3))) for picture in pixels(current.x)]
        assert [len(i) > 0 for i in real] == [i == current.real for i in range(4)]
        assert y[real[current.real]].tolist() == [int(current.label)]
        assert torch.allclose(current.x, (255 * current.x).round() / 255)  # the number of grey levels reveals nothing
        places.append(current.real)
        found_labels.add(current.label)
        generated |= {picture.tobytes() for i, picture in enumerate(pixels(current.x)) if i != current.real}
    assert len(generated) == 24 * 3  # none comes twice
    assert min(places.count(i) for i in range(4)) >= 2
    assert len(found_labels) >= 8


def test_nothing_reveals_the_real_picture_before_the_answer():
    asked = quiz.start("mnist", 2)
    pictures = asked["pictures"]
    assert [set(p) for p in pictures["pictures"]] == [{"kind", "label"}] * 4 and "histogram" not in pictures
    assert asked["lines"] == "" and not any("real" in text for p in pictures["pictures"] for text in p.values())
    assert set(asked["state"]) == {"dataset", "seed", "round", "visitor", "discriminator", "answered", "revealed"}
    assert is_sentence(asked["words"].split("\n")[0])


def test_right_answers_are_counted_and_a_second_answer_is_not():
    state = quiz.start("mnist", 0)["state"]
    visitor = discriminator = 0
    for k in range(8):
        current = quiz.quiz_round("mnist", 0, k)
        discriminator_choice = int(np.argmax(current.scores))
        choice = current.real if k % 2 else (current.real + 1) % 4
        visitor += k % 2
        discriminator += discriminator_choice == current.real
        result = quiz.answer(state, event(index=choice))
        state, pictures = result["state"], result["pictures"]
        assert (state["visitor"], state["discriminator"], state["answered"]) == (visitor, discriminator, k + 1)
        choices = pictures["visitor_choice"], pictures["discriminator_choice"]
        assert (*choices, kinds_of(pictures).index("real")) == (choice, discriminator_choice, current.real)
        assert f"you **{visitor}**, the discriminator **{discriminator}**, of {k + 1}" in result["words"] and result["lines"]
        assert quiz.answer(state, event(index=current.real)) == {}
        assert same_pictures(pictures, current.x)
        state = quiz.next_round(state, "mnist", 0)["state"]
    assert state["round"] == 8
    assert quiz.next_round(state, "fashion", 0)["state"]["answered"] == 0  # another dataset, another quiz
    unanswered = quiz.next_round(state, "mnist", 0)["state"]
    assert (unanswered["round"], unanswered["answered"]) == (9, 8)


def test_a_quiz_can_be_repeated_by_its_seed():
    assert quiz.start("mnist", 7) == quiz.start("mnist", 7) != quiz.start("mnist", 8)
    started = quiz.new_quiz("mnist")
    assert started["state"]["seed"] == started["seed"]
    assert quiz.start("mnist", started["seed"])["state"] == started["state"]


# --- The replay -------------------------------------------------------------------------------------------------------


def test_the_replay_is_that_of_the_checkpoint():
    film = training.show("mnist", "this")["film"]
    expected, facts = gm.gan.load_replay("gan-mnist"), json.loads(film["facts"])
    pictures = expected.pictures.flatten(0, 1).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    assert np.abs(sheet_of(film).astype(int) - pictures).max() <= 1  # WebP decoders differ by rounding
    assert facts["numbers"] == expected.steps and (facts["real"], facts["generated"]) == (expected.real, expected.generated)
    assert [[[p["x"], p["y"]] for p in line["points"]] for line in facts["lines"]] == list(expected.losses.values())
    assert film["per"] * len(expected.steps) == film["n"]


def test_the_collapsed_run_is_shown_where_there_is_one(own_checkpoints):
    assert training.open_dataset("mnist")["run"]["visible"]
    assert not training.open_dataset("fashion")["run"]["visible"]
    shutil.rmtree(own_checkpoints / data.COLLAPSED)
    assert not training.open_dataset("mnist")["run"]["visible"]
    assert "gan-mnist-collapsed" in refusal(training.show, "mnist", "collapsed")


# --- The visitor's own picture ----------------------------------------------------------------------------------------


def test_the_verdict_compares_with_real_and_generated_scores():
    model, y = gm.load("gan-mnist"), gm.data.samples("mnist").y
    x = gm.data.samples("mnist").floats()
    result = scoring.score_picture("mnist", x[3:4], "3")
    of_class = [model.score(model.sample(32, label=c, seed=0), c) for c in range(10)]
    real = model.score(x, y) - torch.stack([s.mean() for s in of_class])[y]
    generated = torch.cat([s - s.mean() for s in of_class])
    assert result["score"] == pytest.approx(model.score(x[3:4], 3).item(), abs=1e-3)
    assert result["higher_than_real"] == pytest.approx((real < real[3]).float().mean().item(), abs=0.011)
    assert result["higher_than_generated"] == pytest.approx((generated < real[3]).float().mean().item(), abs=0.011)
    assert result["lead_as"]["3"] == pytest.approx(result["lead"], abs=1e-4)
    assert list(result["lead_as"]) == gm.data.CLASSES["mnist"]
    verdict = scoring.show(sources.test_picture("mnist", 3), "3")["verdict"]
    assert f"{result['higher_than_real']:.0%} of real" in verdict["text"] and "scored as 3:" in verdict["text"]
    shares = json.loads(verdict["histogram"])
    assert sum(shares["real"]) == pytest.approx(1, abs=0.01) and sum(shares["generated"]) == pytest.approx(1, abs=0.01)
    assert shares["n"] == [len(real), len(generated)]


def test_a_drawing_is_prepared_like_the_dataset():
    chosen = scoring.PICTURES.choose_drawing(stroke(), "mnist")
    assert chosen["label"] == ANY
    assert (raw_of(chosen["verdict"]) == pixels(chosen["source"]["x"])[0, ..., :1]).all()
    assert "empty" in refusal(scoring.PICTURES.choose_drawing, np.zeros_like(stroke()))
    assert scoring.PICTURES.choose_test_picture(event(index=4), "fashion")["source"]["lines"].endswith("[4:5]\n")


def test_one_draws_digits_and_clothes_but_no_faces():
    for dataset, visible in (("fashion", True), ("avatars", False)):
        opened = scoring.open_dataset(dataset)
        assert opened["drawing"]["visible"] == visible
        assert opened["tiles"]["n"] == len(opened["tiles"]["labels"]) == scoring.PICTURES.n
        single_values = gm.labels.single_values(data.GAN.conditions(dataset))
        assert [value for _, value in opened["label"]["choices"]] == [ANY, *single_values]


def test_the_inversion_is_streamed_comes_nearer_and_can_be_stopped():
    source = sources.test_picture("mnist", 2)
    run = inversion.invert("mnist", source, ANY)
    first = next(run)
    assert first["film"]["live"] and first["film"]["n"] == 1 and first["lines"] == programs.PENDING
    for _ in range(6):
        later = next(run)
    errors = json.loads(later["film"]["facts"])["lines"][0]["points"]
    assert [error["x"] for error in errors] == list(range(7)) and errors[-1]["y"] < errors[0]["y"]
    final = run.throw(events.Stopped())
    assert not final["film"]["live"] and final["film"]["n"] == 7 and final["lines"] == programs.STOPPED
    assert json.loads(final["film"]["facts"])["numbers"] == list(range(7))
    assert next(run, None) is None


def test_before_the_inversion_the_picture_alone_is_shown():
    source = sources.test_picture("mnist", 2)
    shown = inversion.show_source(source)
    assert (raw_of(shown["film"]["reference"])[..., 0] == pixels(source["x"])[0, ..., 0]).all()
    assert shown["lines"] == programs.PENDING and inversion.show_source(None)["film"] == {}


def test_a_visitor_who_leaves_stops_the_inversion(monkeypatch):
    closed, model = [], gm.load("gan-mnist")

    def project_steps(x, **options):
        try:
            yield from model.project_steps(x, **options)
        finally:
            closed.append(True)

    stand_in = type("M", (), {"project_steps": staticmethod(project_steps)})()
    monkeypatch.setattr(data.GAN, "load", lambda dataset: stand_in)
    run = inversion.invert("mnist", sources.test_picture("mnist", 2), ANY)
    next(run)
    run.close()
    assert closed


COPIED = (*data.GAN.models, data.COLLAPSED)  # by `own_checkpoints`
