"""A visitor's picture and a tab's data sets: what is chosen, what then looks chosen, what is loaded and remembered."""

import re

import gradio as gr
import numpy as np
import pytest
import torch
from helpers import event, photograph, refusal, stroke
from PIL import Image

import genmodels as gm
from genmodels.cards import checkpoint_root
from tabs import families, sources

# --- Choosing ---------------------------------------------------------------------------------------------------------


def test_only_what_was_chosen_last_looks_chosen():
    """Of each event that chooses a picture: the tile with a frame, and what is emptied."""
    chooser = sources.Chooser(first=2)
    with gr.Blocks() as page:
        parts, more = chooser.lay_out("tab"), sources.Tiles()
        chooser.connect(parts, {"dataset": gr.Radio(["mnist"])}, {"source": gr.State()}, more)
    names = {part._id: name for name, part in (parts | {"more": more}).items()}
    framed, emptied = {}, {}
    for fn in page.fns.values():
        if fn.js and fn.trigger_after is not None:
            ((number, name),) = page.fns[fn.trigger_after].targets
            if match := re.search(r"chosen: ([^}]+)\}", fn.js):
                framed[names[number], name] = match[1]
                emptied[names[number], name] = {names[block._id] for block in fn.outputs} - {"tiles", "more"}
    assert framed == {
        ("tiles", "input"): "tiles[0].chosen",
        ("more", "input"): "tiles[1].chosen",
        ("pad", "input"): "-1",
        ("pad", "release"): "2",
        ("upload", "clear"): "2",
        ("upload", "upload"): "-1",
    }
    assert emptied == {
        ("tiles", "input"): {"pad", "upload"},
        ("more", "input"): {"pad", "upload"},
        ("pad", "input"): {"upload"},
        ("pad", "release"): {"upload"},
        ("upload", "clear"): {"pad"},
        ("upload", "upload"): {"pad"},
    }


def test_the_first_picture_is_the_choosers_own():
    chooser = sources.Chooser(n=4, first=2)
    assert chooser.choose_first("fashion")["source"]["number"] == 2
    opened = chooser.open_dataset("fashion")
    assert (opened["tiles"]["n"], opened["tiles"]["chosen"], opened["source"]["number"]) == (4, 2, 2)
    assert opened["drawing"]["visible"] and not chooser.open_dataset("avatars")["drawing"]["visible"]
    assert "from 0 to 3" in refusal(chooser.choose_test_picture, event(index=4), "mnist")
    assert chooser.choose_drawing(None, "mnist") == {}


def test_a_picture_of_a_source_is_that_of_its_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    samples = gm.data.samples("mnist")
    source = sources.test_picture("mnist", 17)
    assert torch.equal(source["x"], samples.floats()[17:18]) and source["number"] == 17 and source["dataset"] == "mnist"
    drawing, upload = sources.drawing("fashion", stroke()), sources.upload("mnist", photograph(tmp_path))
    prepared = gm.data.preprocess(stroke(), "fashion")
    assert (drawing["x"] - prepared).abs().max() <= 0.5 / 255 + 1e-6 and "number" not in drawing
    assert torch.equal(upload["x"], gm.data.preprocess(Image.open(tmp_path / "photograph.png"), "mnist"))
    assert sources.upload_or_test_picture("mnist", None, 3)["number"] == 3
    assert torch.equal(sources.upload_or_test_picture("mnist", photograph(tmp_path), 3)["x"], upload["x"])
    for number in (-1, 200):
        assert "from 0 to 199" in refusal(sources.test_picture, "mnist", number)
    Image.new("RGB", (30, 30), "teal").save(tmp_path / "plain.png")
    assert "one colour only" in refusal(sources.upload, "mnist", str(tmp_path / "plain.png"))
    assert "draw something first" in refusal(sources.drawing, "mnist", None)
    assert "draw something first" in refusal(sources.drawing, "mnist", np.zeros_like(stroke()))


def test_a_source_of_another_data_set_counts_as_none():
    source = sources.test_picture("mnist", 0)
    assert sources.require(source) is sources.require(source, "mnist") is source
    for missing in ((None,), (None, "mnist"), (source, "fashion")):
        assert "Choose a picture first" in refusal(sources.require, *missing)


def test_names_of_test_pictures_are_their_classes():
    y = gm.data.samples("fashion").y.tolist()
    names = sources.test_picture_names("fashion")
    assert names[7] == f"{gm.data.CLASSES['fashion'][y[7]]} (test picture 7)" and len(names) == len(y)
    assert sources.test_picture_names("avatars")[3] == "face (test picture 3)"


# --- Data sets and their models ---------------------------------------------------------------------------------------


@pytest.fixture
def family(tmp_path, monkeypatch):
    """A family of which two of three checkpoints are there."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    for name in ("vae-fashion", "vae-mnist-2d"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"")
    return families.Family("vae", {"mnist": "Digits", "fashion": "Clothes"}, "vae-mnist-2d")


def test_a_family_has_a_model_of_each_data_set_and_others(family):
    assert family.models == ("vae-mnist", "vae-fashion", "vae-mnist-2d")
    assert [family.dataset_of(model) for model in family.models] == ["mnist", "fashion", "mnist"]
    assert "model must be one of" in refusal(family.dataset_of, "vae-avatars")
    assert family.checkpoint("fashion") == "vae-fashion" and "must be one of mnist, fashion" in refusal(family.check, "vae")
    assert family.shipped() == family.available() == ["fashion"]
    card = family.card("mnist", "classifier-mnist")["card"]
    assert "`vae-fashion`" in card and "`vae-mnist-2d`" in card and "| `vae-mnist` |" not in card and "classifier" not in card


def test_all_data_sets_are_offered_where_no_model_is_there(family, tmp_path):
    (tmp_path / "vae-fashion").rename(tmp_path / "gan-fashion")
    assert family.shipped() == [] and family.available() == ["mnist", "fashion"]


def test_what_is_computed_of_a_checkpoint_is_computed_once_for_each_of_its_states(family):
    calls = []

    @family.cached
    def compute(dataset, k=0):
        calls.append((dataset, k))
        return len(calls)

    assert [compute("fashion"), compute("fashion", 1), compute("fashion"), compute("fashion", 1)] == [1, 2, 1, 2]
    (checkpoint_root() / "vae-fashion" / "model.safetensors").write_bytes(b"trained again")
    assert compute("fashion") == 3 and calls == [("fashion", 0), ("fashion", 1), ("fashion", 0)]
