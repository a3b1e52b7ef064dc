"""The Transformer tab: pictures, pixel by pixel."""

import json

import numpy as np
import pytest
import torch
from helpers import (
    last,
    run_program,
    sheet_of,
    stroke,
)
from helpers_transformer_tab import picture_controls

import genmodels as gm
from tabs import events, programs, sources
from tabs.transformer import pixels, runs


@pytest.fixture(autouse=True)
def nothing_opened():
    runs._openings.clear()


def test_the_bits_of_all_generated_pixels_are_shown_at_the_end():
    *running, ended = pixels.complete(sources.test_picture("mnist", 2), **picture_controls(26, n=2))
    assert not any("bits per pixel" in output["stage"]["label"] for output in running)
    options = pixels.Completions(**picture_controls(26, n=2))
    *_, step = pixels.sample(sources.test_picture("mnist", 2), options)[0]
    bits = -step.probability[:, 26:].log2().mean().item()
    assert f"All generated rows: {bits:.3f} bits per pixel" in ended["stage"]["label"]


def pictures_of(film, frame=-1):
    """(pictures, surprisal) of a frame, each (n, 28, 28, 3), padding included."""
    frame = sheet_of(film).reshape(-1, film["per"], film["h"], film["w"], 3)[frame]
    rows = frame.reshape(-1, 2, film["across"], film["h"], film["w"], 3)
    return rows[:, 0].reshape(-1, *frame.shape[1:]), rows[:, 1].reshape(-1, *frame.shape[1:])


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_rows_are_generated_one_after_another_and_the_given_ones_stay():
    source = sources.test_picture("mnist", 4)  # it continues below row 22, then all is black
    films = [output["stage"] for output in pixels.complete(source, **picture_controls(22, 3, seed=2))]
    assert [json.loads(f["facts"])["numbers"] for f in films] == [[row] for row in range(22, 29)] + [list(range(22, 29))]
    assert [f["live"] for f in films] == [True] * 7 + [False]
    *_, final = gm.load(pixels.PIXELS).complete_steps(source["x"], rows=22, n=3, seed=2)
    pictures, heatmap = pictures_of(films[-1])
    expected = (255 * final.x[:, 0]).round().numpy()
    assert np.abs(pictures[:3, ..., 2] - expected).max() <= 1  # blue shows the picture as it is
    assert (pictures[:3, 22:, :, 0] == pictures[:3, 22:, :, 2]).all()
    assert (pictures[:3, :22, :, 0] <= 128).all()  # given rows are blue
    bits = -final.probability[:, 22:].log2().numpy().ravel()
    lightness = heatmap[:3, 22:].astype(int).sum(-1).ravel()
    assert lightness[bits.argmax()] > lightness[bits.argmin()]
    assert (np.diff(lightness[np.argsort(bits)]) >= -3).all()  # lightness grows with surprisal
    curve = json.loads(films[-1]["facts"])["lines"][0]["points"]
    assert [point["y"] for point in curve] == pytest.approx((-final.probability[:, 22:].log2().mean((0, 2))).tolist(), abs=2e-3)


def test_rows_not_yet_generated_are_grey():
    first = next(pixels.complete(sources.test_picture("mnist", 4), **picture_controls(20, 2)))["stage"]
    pictures, _ = pictures_of(first)
    assert (pictures[:, 20:] == pictures[0, 27, 0]).all() and 40 < pictures[0, 27, 0].mean() < 90


def test_a_new_picture_needs_no_source_and_each_means_one_class_after_another(monkeypatch):
    arguments = {}

    class Model:
        def complete_steps(self, x, **options):
            arguments.update(x=x, **options)
            yield gm.pixel_transformer.Completion(torch.zeros(6, 1, 28, 28), torch.ones(6, 28, 28), 28)

    monkeypatch.setattr(pixels.gm, "load", lambda name: Model())
    output = last(pixels.complete(None, **picture_controls(0, 6, "each", 0.5, 1)))
    assert "model.complete_steps(n=6, label=[0, 1, 2, 3, 4, 5], temperature=0.5, seed=1)" in output["lines"]
    assert arguments == {"x": None, "rows": 0, "n": 6, "label": [0, 1, 2, 3, 4, 5], "temperature": 0.5, "seed": 1}
    assert "reference" not in output["stage"] and output["stage"]["across"] == 3


def test_a_stopped_picture_can_be_scrubbed():
    run = pixels.complete(sources.test_picture("mnist", 2), **picture_controls(20))
    for _ in range(3):
        next(run)
    output = run.throw(events.Stopped())
    assert json.loads(output["stage"]["facts"])["numbers"] == [20, 21, 22] and not output["stage"]["live"]
    assert output["lines"] == programs.STOPPED and "reference" in output["stage"]


# --- Reproduce in Python ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "values"),
    [
        (lambda: sources.test_picture("mnist", 3), picture_controls(26, 2, "7", 0.9, 5)),
        (lambda: sources.drawing("mnist", stroke()), picture_controls(26, 2, "each")),
        (lambda: sources.drawing("mnist", stroke()), picture_controls(27)),
    ],
)
def test_the_lines_reproduce_the_pictures(source, values, tmp_path, monkeypatch):
    output = last(pixels.complete(source(), **values))
    x = run_program(output["lines"], tmp_path, monkeypatch)["x"]
    pictures, _ = pictures_of(output["stage"])
    assert np.abs(pictures[: len(x), ..., 2] - (255 * x[:, 0]).round().numpy()).max() <= 1
    assert (tmp_path / "picture.png").is_file()
