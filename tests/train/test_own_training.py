"""Training on people's own pictures and texts: what a run publishes."""

import types

import pytest
import torch
from PIL import Image

import genmodels as gm
from genmodels import data
from tests import tiny
from tests.helpers_own_data import RGB, write
from tests.helpers_train import run, run_evaluate
from train import cards, diffusion, engine, folder, gan, measures, texts, transformer, vae


@pytest.fixture
def colours(tmp_path):
    """Three classes of fourteen pictures each."""
    place = tmp_path / "my colours"
    for k, (name, colour) in enumerate(RGB.items()):
        write(place / name, [f"{i}.png" for i in range(14)], colour, 100 * k)
    return place


@pytest.fixture
def small(monkeypatch):
    """Small networks and few generated pictures."""
    for family, sizes in folder.MODEL.items():
        options = {k: v for k, v in tiny.OPTIONS[family].items() if k != "latent"}
        monkeypatch.setitem(folder.MODEL, family, {size: full | options for size, full in sizes.items()})
    monkeypatch.setattr(folder, "GENERATED", 24)


def train(app, workdir, place, *options):
    code, out = run(app, workdir, "--data-dir", str(place), "--dataset", "folder", "--steps", "2", *options)
    assert code == 0, out
    return out


# --- What a run publishes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family, module", [("vae", vae), ("gan", gan), ("diffusion", diffusion)])
def test_one_command_gives_a_checkpoint_with_samples_names_and_a_card(workdir, colours, small, family, module):
    out = train(module.app, workdir, colours)
    assert "42 pictures, 3 classes (blue 14, green 14, red 14)" in out
    name = f"{family}-my_colours"
    model, place = gm.load(name), workdir / "checkpoints" / name
    assert model.size == 32 and model.channels == 3
    assert gm.cards.own_data(family)["my_colours"]["classes"] == ["blue", "green", "red"]
    test = data.samples("my_colours")
    assert test.y[:3].tolist() == sorted(set(test.y.tolist()))[:3]  # one of each class first
    assert Image.open(place / "samples.png").mode == "RGB"
    if family != "vae":
        assert gm.labels.conditions(name) == {"class": ["blue", "green", "red"]} and model.classes == [3]
        assert model.sample(3, label=[0, 1, 2], seed=0).shape == (3, 3, 32, 32)
    card = (place / "README.md").read_text(encoding="utf-8")
    assert 'the pictures of "my colours"' in card and "features of a network with random weights" in card
    assert "they need a classifier trained on these pictures, and there is none" in card
    assert str(colours) not in card and "license" not in gm.cards.front_matter(name)
    assert {"frechet", "nearest"} <= gm.cards.measurements(name).keys()
    assert not (place / "reference.json").exists() and not list(place.parent.glob(".*"))
    assert "my_colours" not in cards.models_table()


def test_no_classes_one_class_and_a_class_of_one_picture(workdir, tmp_path, small):
    write(tmp_path / "plain", [f"{i}.png" for i in range(22)])
    train(diffusion.app, workdir, tmp_path / "plain", "--size", "28", "--name", "Plain_1")
    assert gm.load("diffusion-Plain_1").classes == [1] and gm.load("diffusion-Plain_1").size == 28
    card = (workdir / "checkpoints" / "diffusion-Plain_1" / "README.md").read_text(encoding="utf-8")
    assert "A diffusion model: a U-Net" in card
    write(tmp_path / "mixed" / "many", [f"{i}.png" for i in range(22)])
    write(tmp_path / "mixed" / "single", ["0.png"], (0, 0, 200), 99)
    train(gan.app, workdir, tmp_path / "mixed", "--size", "64")
    assert gm.load("gan-mixed").classes == [2]


def test_a_checkpoint_of_own_pictures_can_be_measured_again(workdir, colours, small):
    train(vae.app, workdir, colours)
    before = gm.cards.measurements("vae-my_colours")
    done = run_evaluate("vae-my_colours", "--data-dir", colours, "--generated", 24, "--runs", workdir / "runs")
    assert done.exit_code == 0, done.output
    after = gm.cards.measurements("vae-my_colours")
    assert after.keys() == before.keys()
    assert all(after[k][0] == pytest.approx(before[k][0], rel=1e-3) for k in before)
    (colours / "red").rename(colours / "rose")
    done = run_evaluate("vae-my_colours", "--data-dir", colours)
    assert done.exit_code == 1 and "has other classes" in done.output
    done = run_evaluate("vae-my_colours")
    assert done.exit_code == 1 and "Name the folder of your pictures with --data-dir" in done.output


def test_random_features_tell_sets_apart_and_leave_the_random_state():
    g = torch.Generator().manual_seed(0)
    a, b = (torch.rand(60, 3, 28, 28, generator=g) for _ in range(2))
    state = torch.get_rng_state()
    features = [measures.random_features(x, (255 * a).byte()) for x in (a, b, 0.3 * b)]
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(1)
    assert torch.equal(measures.random_features(a, (255 * a).byte()), features[0])  # the network is always the same
    same, other = (gm.metrics.fid(features[0], f) for f in features[1:])
    assert other > 2 * same


def test_the_distance_to_the_nearest_training_picture():
    train_pictures = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    x = torch.stack([torch.full((1, 4, 4), v) for v in (0.0, 0.25, 0.9)])
    assert measures.nearest(x, train_pictures)[0].tolist() == pytest.approx([0, 0.25, 0.1], abs=1e-4)


def test_generated_pictures_are_compared_with_real_ones_beside_them():
    g = torch.Generator().manual_seed(0)
    train, real, x = (
        torch.randint(low, high, (60, 1, 28, 28), generator=g).byte() for low, high in ((0, 9), (40, 49), (90, 99))
    )
    test = data.Pictures(real, torch.zeros(60, dtype=torch.long))
    splits = {"train": data.Pictures(train, test.y)}
    evaluation = types.SimpleNamespace(split="test", data=test, load=splits.__getitem__)
    frechet, nearest = measures.own_samples(evaluation, x)
    expected = [measures.nearest(part, train)[0].median().item() for part in (x, real)]
    assert expected[1] < 0.2 < expected[0]
    assert nearest.value == pytest.approx(expected[0], rel=1e-3) and f"test pictures: {expected[1]:.4g};" in nearest.comparison
    features = [measures.random_features(part, train) for part in (x, train, real)]
    distance, floor = (gm.metrics.fid(part, features[2]) for part in features[:2])
    assert (
        frechet.value == pytest.approx(distance, rel=1e-3) and frechet.comparison == f"as many training pictures: {floor:.4g}"
    )
    assert (frechet.n, nearest.n) == (60, 60)


GREEK = "Ἐν ἀρχῇ ἦν ὁ λόγος, καὶ ὁ λόγος ἦν πρὸς τὸν θεόν.\n"


@pytest.fixture
def small_text(monkeypatch):
    monkeypatch.setitem(transformer.MODEL, "shakespeare", transformer.MODEL["shakespeare"] | tiny.OPTIONS["transformer"])
    generate = gm.TextTransformer.generate
    monkeypatch.setattr(gm.TextTransformer, "generate", lambda *args, **more: generate(*args, **more | {"max_new_tokens": 20}))


# --- Texts ------------------------------------------------------------------------------------------------------------


def test_a_text_of_any_language_becomes_a_checkpoint_that_writes_it(workdir, small_text):
    file = workdir / "Κατά Ιωάννην.txt"
    file.write_bytes(b"\xef\xbb\xbf" + (GREEK.replace("\n", "\r\n") * 60).encode("utf-8"))  # as Windows' editor saves it
    code, out = run(transformer.app, workdir, "--text", str(file), "--steps", "2")
    assert code == 0, out
    (name,) = [n for n in gm.checkpoints() if n.startswith("transformer-")]
    assert name == "transformer-Κατά_Ιωάννην"
    model = gm.load(name)
    assert set(model.tokenizer.symbols) == set(GREEK) and len(model.generate(max_new_tokens=20, seed=0)) == 20
    facts = gm.cards.own_data("transformer")["Κατά_Ιωάννην"]
    assert facts["title"] == "Κατά Ιωάννην" and facts["text"] in GREEK * 60
    card = (workdir / "checkpoints" / name / "README.md").read_text(encoding="utf-8")
    assert 'the text "Κατά Ιωάννην"' in card and "frequencies of the training text's characters alone" in card
    assert str(file) not in card
    nats, n = gm.cards.measurements(name)["nats"]
    assert n == 256 and 0 < nats < 6


def test_the_parts_of_a_text_follow_one_another(tmp_path):
    text = "".join(chr(ord("a") + i % 26) for i in range(5000))
    (tmp_path / "t.txt").write_text(text, encoding="utf-8")
    own = texts.read_own(tmp_path / "t.txt")
    assert own.train + own.val + own.test == text and [len(own.train), len(own.val), len(own.test)] == [4000, 500, 500]


@pytest.mark.parametrize(
    "content, sentence",
    [
        (None, "does not exist"),
        (b"a" * 2579, "has 2,579 characters: at least 2,580 are needed"),
        (b"a" * 3000 + "é".encode("latin-1"), r"is not a text in UTF-8 \(its byte 3,001"),
        (("a" * 3000).encode("utf-16"), "is not a text in UTF-8"),
        ("".join(map(chr, range(0x4E00, 0x4E00 + 20_902))).encode("utf-8"), "20,902 different characters"),
    ],
)
def test_a_text_that_cannot_be_used_gets_a_sentence(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "t.txt").write_bytes(content)
    with pytest.raises(data.DataError, match=sentence):
        texts.read_own(tmp_path / "t.txt")


def test_the_shortest_text_can_be_measured(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"ab" * 1290)
    own = texts.read_own(tmp_path / "t.txt")
    model = tiny.make("transformer", "TextTransformer", alphabet=own.alphabet, context=texts.CONTEXT)
    assert [texts.nats_of_blocks(model, part)[1] for part in (own.val, own.test)] == [256, 256]


def test_options_of_a_text(workdir):
    settings = engine.Settings(runs=workdir / "runs")
    with pytest.raises(ValueError, match="--name is for your own text"):
        transformer.recipe(settings, name="x")
    with pytest.raises(data.DataError, match="is a folder"):
        transformer.recipe(settings, text=workdir)
