"""Checkpoints of people's own data appear in their tabs, under their own names, and every tool works with them."""

import functools
import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import same_pictures
from helpers_page import Visitor
from PIL import Image

import genmodels as gm
from genmodels.data import Pictures
from genmodels.vae import measure_latents, save_latents
from tests import tiny
from train.folder import OwnPictures
from train.texts import OwnText

CLASSES = ["cats & dogs", "ё 花", "<b>owls</b>"]
TEXT = "Мой дядя самых честных правил,\nКогда не в шутку занемог,\n"


def own_pictures(name, title, classes, channels=3, n=13):
    g = torch.Generator().manual_seed(0)
    parts = [
        Pictures(torch.randint(256, (n, channels, 32, 32), generator=g).byte(), torch.arange(n) % len(classes))
        for _ in range(3)
    ]
    return OwnPictures(name, title, classes, *parts, notes=[])


def save(root, own, family, **options):
    """An untrained checkpoint of own pictures."""
    sizes = dict(channels=own.channels, size=32)
    classes = {} if family == "vae" else {"classes": [len(own.classes)]}
    place = root / f"{family}-{own.name}"
    model = tiny.untrained(lambda: tiny.make(family, **sizes, **classes, **options))
    model.save_pretrained(place)
    own.save(place)
    if family == "vae":
        save_latents(measure_latents(model, own.train.x, own.train.y, {"class": own.classes}), place)
    if family == "gan":
        tiny.write_replay(place)
    Image.new("RGB", (8, 8)).save(place / "samples.png")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page as it starts where there are only checkpoints of own data."""
    root = tmp_path_factory.mktemp("own") / "checkpoints"
    pets, plain = own_pictures("pets", "my pets", CLASSES), own_pictures("plain", "plain", ["plain"], channels=1, n=2)
    for own in (pets, plain):
        save(root, own, "vae", likelihood="gaussian")
        save(root, own, "gan")
        save(root, own, "diffusion", widths=[8], heads=1)
    for name, words in (("Онегин", TEXT), ("论语", "学而时习之，不亦说乎？有朋自远方来，不亦乐乎？")):
        text = OwnText(name, name, words * 3, words, "* * *\n\n" + words)
        options = dict(kind="TextTransformer", alphabet=text.alphabet, context=16)
        writer = tiny.untrained(functools.partial(tiny.make, "transformer", **options))
        writer.save_pretrained(root / f"transformer-{name}")
        text.save(root / f"transformer-{name}")
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("app", "tabs")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENMODELS_CHECKPOINTS", str(root))
        for name in before:
            patch.delitem(sys.modules, name)
        app = importlib.import_module("app")
        yield SimpleNamespace(demo=app.demo, root=root, modules=app.modules)
        for name in [name for name in sys.modules if name.split(".")[0] in ("app", "tabs")]:
            del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture(autouse=True)
def checkpoints(page, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(page.root))


@pytest.fixture
def visitor(page):
    return Visitor(page.demo)


def choices(page, name):
    block = next(block for block in page.demo.blocks.values() if getattr(block, "elem_id", None) == name)
    return block.choices


@pytest.mark.parametrize("family", ["vae", "gan", "diffusion"])
def test_own_pictures_are_a_choice_of_their_tab_under_their_own_name(page, family):
    assert choices(page, f"{family}-dataset") == [("my pets", "pets"), ("plain", "plain")]


def test_the_vae_samples_encodes_and_interpolates_own_pictures(visitor):
    for name, n in (("pets", 13), ("plain", 2)):
        visitor.set("vae-dataset", name)
        vae = gm.load(f"vae-{name}")
        assert same_pictures(visitor["vae-samples"], vae.sample(12, seed=0))
        assert len(visitor["vae-own"]["labels"]) == n and "message" in visitor["vae-map"]
        visitor.send("vae-own", index=1)
        assert f'gm.data.samples("{name}").floats()[1:2]' in visitor["vae-python"]
        assert "there is none of these pictures" in visitor["vae-verdict"]
        assert visitor["vae-frames"]["rows"] == ["spherical (slerp)", "linear"]
    assert visitor["vae-own"]["labels"] == ["plain (test picture 0)", "plain (test picture 1)"]


def test_the_labels_of_the_gan_are_the_names_of_the_folders(visitor):
    visitor.set("gan-dataset", "pets")
    gan = gm.load("gan-pets")
    label = [i % 3 for i in range(20)]
    assert same_pictures(visitor["gan-stage"], gan.sample(20, label=label, seed=0))
    visitor.set("gan-label-0", "ё 花")
    assert same_pictures(visitor["gan-stage"], gan.sample(20, label=1, seed=0))
    assert visitor["gan-first"] == CLASSES[0] and visitor["gan-last"] == CLASSES[2]
    assert any(name in visitor["gan-quiz-words"] for name in CLASSES)
    by_label = json.loads(visitor["gan-verdict"]["by_label"])
    assert [score["label"] for score in by_label] == CLASSES
    visitor.set("gan-dataset", "plain")
    assert same_pictures(visitor["gan-stage"], gm.load("gan-plain").sample(20, label=0, seed=0))
    assert visitor["gan-replay"]["n"] == 4 * 30


def test_diffusion_of_own_pictures_is_steered_by_their_names(visitor):
    visitor.set("diffusion-dataset", "pets")
    model = gm.load("diffusion-pets")
    assert "label=[0, 1, 2, 0, 1, 2, 0, 1, 2]" in visitor["diffusion-python"].replace("\n    ", " ")
    visitor.set("diffusion-label-0", CLASSES[2])
    assert "label=2" in visitor["diffusion-python"] and model.classes == [3]
    assert "calls.json" in visitor["diffusion-chart"]["message"]


def test_programs_of_own_pictures_run(visitor, tmp_path, monkeypatch):
    visitor.set("diffusion-dataset", "pets")
    monkeypatch.chdir(tmp_path)
    exec(visitor["diffusion-python"], {})
    assert any(tmp_path.glob("*.png"))


def test_an_own_text_is_written_scored_and_inspected(page, visitor):
    assert choices(page, "transformer-model") == [(name, f"transformer-{name}") for name in ("Онегин", "论语")]
    assert visitor["transformer-prompt"] == "Мой дядя самых"
    assert visitor["transformer-own"].startswith("Мой дядя самых честных")
    visitor.press("Write", "transformer-text")
    assert visitor["transformer-text"]["tokens"].count("\n") > 300
    assert 'gm.load("transformer-Онегин")' in visitor["transformer-text-python"]
    visitor.set("transformer-own", "честных", "change")
    assert "bits per character" in visitor["transformer-surprise"]["stats"]
    assert 'gm.load("transformer-Онегин")' in visitor["transformer-surprise-python"]
    visitor.send("transformer-text", "click", text="Мой дядя")
    assert visitor["transformer-attention"]["n"] == 8


def test_another_text_brings_its_own_words(visitor):
    visitor.set("transformer-model", "transformer-论语")
    assert visitor["transformer-prompt"] == "学而时习之，不亦说乎？有朋自远方来，不亦"
    assert 'gm.load("transformer-论语")' in visitor["transformer-text-python"]
    tokens = [json.loads(line)["symbol"] for line in visitor["transformer-text"]["tokens"].splitlines()]
    assert "".join(tokens).startswith("学而时习之") and set("".join(tokens)) <= set("* \n学而时习之，不亦说乎？有朋自远方来乐")
    assert visitor["transformer-own"].startswith("学而时习之")
    visitor.set("transformer-prompt", "有朋", "change")
    assert visitor["transformer-next"]["context"] == "有朋"


def test_the_api_offers_own_models_and_refuses_others(page):
    modules = {module.__name__: module for module in page.modules}
    gan, transformer = modules["tabs.gan"], modules["tabs.transformer"]
    (sample,) = [fn for fn in gan.ENDPOINTS if fn.__name__ == "gan_sample"]
    options = sample.__defaults__[-1].model_copy(update={"label": CLASSES[0], "n": 2})
    assert np.asarray(sample("gan-pets", options)).ndim == 3
    with pytest.raises(ValueError, match="model must be one of .*gan-pets"):
        sample("gan-../pets", options)
    (score,) = [fn for fn in transformer.ENDPOINTS if fn.__name__ == "text_score"]
    *_, facts = score("честных", "", "transformer-Онегин")
    assert len(facts["tokens"]) == 7 and facts["unknown"] == []
