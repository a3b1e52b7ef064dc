"""What is measured on people's own pictures, and what is said and kept of them."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import genmodels as gm
from genmodels import data
from tests.compare import close
from tests.helpers_measures import Stub, pictures
from tests.helpers_train import numbers_in
from train import cards, diffusion, folder, measures

CLASSES = [f"class {i}" for i in range(12)]


# --- Random features --------------------------------------------------------------------------------------------------


def noise(n, low=0, high=256, side=28):
    g = torch.Generator().manual_seed(n)
    return torch.randint(low, high, (n, 1, side, side), generator=g, dtype=torch.uint8)


def test_random_features_are_normalised_over_the_reference():
    """Half of them are positive, with a mean square of a half, however dark and pale the pictures are."""
    for reference in (noise(200), noise(200, 100, 110)):
        features = measures.random_features(reference, reference)
        assert features.shape == (200, 64)
        assert (features > 0).double().mean().item() == pytest.approx(0.5, abs=0.1)
        assert features.square().mean().item() == pytest.approx(0.5, abs=0.1)
    brighter = measures.random_features(noise(20, 120, 130), reference)  # is not normalised by itself
    assert not 0.3 < brighter.square().mean() < 0.7


def test_random_features_of_a_picture_are_its_own():
    """They depend neither on the other pictures nor on whether grey levels are bytes."""
    reference, x = noise(40), noise(9)
    features = measures.random_features(x, reference)
    assert close(measures.random_features(x[:2], reference), features[:2], atol=1e-4)
    assert close(measures.random_features(x.float() / 255, reference), features, atol=1e-4)


def test_as_many_generated_as_training_pictures_are_compared(tmp_path, monkeypatch):
    """Of more generated pictures the first; the median is of all real ones."""
    monkeypatch.setattr(measures, "random_features", lambda x, reference: x.flatten(1)[:, :2].double())
    train, real = pictures(noise(30)), pictures(noise(50, 100, 156))
    x = torch.cat([noise(30, 50, 200), torch.zeros(10, 1, 28, 28, dtype=torch.uint8)])
    evaluation = Stub(tmp_path, {"train": train, "test": real}, split="test")
    run = measures.Values(measures.own_samples(evaluation, x))
    frechet, nearest = run
    first, of_train, of_test = (p.flatten(1)[:, :2].double() for p in (x[:30], train.x, real.x))
    expected, floor = (gm.metrics.fid(part, of_test) for part in (first, of_train))
    assert (frechet.n, nearest.n) == (30, 30) and frechet.value == pytest.approx(expected, rel=1e-4)
    assert numbers_in(frechet.comparison) == pytest.approx([floor], rel=1e-3) and "Frechet distance" in run.headline
    assert nearest.value == pytest.approx(measures.nearest(x[:30], train.x)[0].median().item(), rel=1e-4)
    assert numbers_in(nearest.comparison)[0] == pytest.approx(measures.nearest(real.x, train.x)[0].median().item(), rel=1e-3)


# --- Labels, words and commands ---------------------------------------------------------------------------------------


def own_stub(tmp_path, **own):
    evaluation = Stub(tmp_path, {"test": pictures(noise(4))}, dataset="pets")
    evaluation.own = own
    return evaluation


def test_classes_of_own_pictures_are_sampled_in_turn(tmp_path):
    evaluation = own_stub(tmp_path, classes=["cat", "dog", "owl"])
    assert measures.labels_to_sample(evaluation, 7).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_the_command_of_own_data_names_what_it_reads(tmp_path):
    evaluation = own_stub(tmp_path, classes=["cat"])
    evaluation.generated, evaluation.seed = measures.GENERATED, 2
    assert evaluation.command(diffusion.Options()) == "python -m train.evaluate stub-pets --data-dir FOLDER --seed 2"
    evaluation.own = {"text": "Once"}
    assert evaluation.command(diffusion.Options()) == "python -m train.evaluate stub-pets --data-dir FILE --seed 2"


@pytest.mark.parametrize("classes, label", [([10], 3), ([4], 3), ([2], 1), ([1], 0), ([2, 9], [1, 1])])
def test_the_label_of_an_example_is_one_that_the_model_has(classes, label):
    assert measures.example_label(SimpleNamespace(classes=classes)) == label


def test_a_card_says_on_what_a_model_is_conditioned_and_what_the_rows_of_its_samples_are():
    model = SimpleNamespace(classes=[12], conditions=["class"])
    checkpoint = SimpleNamespace(model=model, own={})
    assert measures.conditions_in_words(checkpoint, "GAN") == "conditional GAN (class)"
    checkpoint.own = {"classes": CLASSES}
    rows = "; each row of the picture is a class: " + ", ".join(CLASSES[:10])
    assert measures.conditions_in_words(checkpoint, "GAN") == f"conditional GAN (class{rows})"
    model.classes = [1]
    assert measures.conditions_in_words(checkpoint, "GAN") == "GAN"


def test_a_card_of_own_data_says_what_choices_were_made_on_and_nothing_of_a_licence():
    facts = cards.own_facts({"title": "pets", "pictures": {"train": 2000, "val": 1234, "test": 10}})
    assert facts["validation_data"] == "1,234 other pictures, which were not trained on"
    assert facts["title"] == 'the pictures of "pets"' and facts["credit"] == 'The pictures of "pets", people\'s own'
    assert facts["hub"] is None and facts["licence_tag"] is None
    facts = cards.own_facts({"title": "tales", "text": "Once"})
    assert facts["title"] == 'the text "tales"' and "the tenth of the text before its last tenth" in facts["validation_data"]


# --- What is read and kept --------------------------------------------------------------------------------------------


def own_pictures(labels, names=("a", "b")):
    """Each picture has the grey level of its number."""
    n = len(labels)
    part = pictures(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(n, 3, 28, 28).clone(), torch.tensor(labels))
    return folder.OwnPictures("pets", "my pets", list(names), part, part[:7], part, notes=[])


def test_a_checkpoint_keeps_so_many_test_pictures_of_each_class_in_turn(tmp_path):
    own = own_pictures([0] * 100 + [1] * 30)
    own.save(tmp_path)
    with np.load(tmp_path / "data.npz") as kept:
        x, y = kept["x"], kept["y"]
    assert len(x) == len(y) == folder.KEPT == 100
    assert y[:60].tolist() == [0, 1] * 30 and y[60:].tolist() == [0] * 40
    assert x[:60:2, 0, 0, 0].tolist() == list(range(30)) and x[1:60:2, 0, 0, 0].tolist() == list(range(100, 130))
    facts = json.loads((tmp_path / "data.json").read_text(encoding="utf-8"))
    assert facts["pictures"] == {"train": 130, "val": 7, "test": 130} and facts["classes"] == ["a", "b"]
    assert (facts["name"], facts["title"], facts["channels"], facts["size"]) == ("pets", "my pets", 3, 28)


def test_samples_are_eight_in_a_row_for_each_class_but_for_ten_at_most():
    assert own_pictures([0, 1]).rows().tolist() == [0] * 8 + [1] * 8
    assert own_pictures([0, 1], CLASSES).rows().tolist() == [c for c in range(10) for _ in range(8)]


def test_models_of_own_pictures_have_their_size_and_channels():
    options = own_pictures([0, 1]).options("vae")
    assert (options["channels"], options["size"], options["latent"]) == (3, 28, folder.MODEL["vae"][28]["latent"])


@pytest.mark.parametrize("sides, size", [([28, 28, 40], 28), ([28, 40, 40], 32), ([20, 28, 28, 29], 28), ([], 32)])
def test_the_size_is_that_of_most_pictures(tmp_path, sides, size):
    """Of the shorter sides."""
    files = [tmp_path / f"{i}.png" for i in range(len(sides))]
    for file, side in zip(files, sides):
        Image.new("L", (side + 9, side)).save(file)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert folder.default_size([*files, tmp_path / "broken.png"]) == size


def test_a_split_is_in_the_order_of_the_hashes_so_that_its_first_pictures_are_of_all_classes():
    hashes = torch.rand(200, generator=torch.Generator().manual_seed(0)).tolist()
    for part in folder.split(hashes, [0] * 100 + [1] * 100).values():
        assert [hashes[i] for i in part.tolist()] == sorted(hashes[i] for i in part.tolist())


def test_each_class_keeps_a_training_picture_when_others_move_to_a_split_that_is_too_small():
    parts = folder.split([0.9 + i / 1000 for i in range(8)], [0, 1, 2, 3, 3, 3, 3, 3])
    assert {name: len(part) for name, part in parts.items()} == {"train": 4, "val": 2, "test": 2}
    assert set(parts["train"].tolist()) >= {0, 1, 2}
    with pytest.raises(data.DataError, match="8 pictures in 5 classes leave none"):
        folder.split([0.9 + i / 1000 for i in range(8)], [0, 1, 2, 3, 3, 4, 4, 4])
