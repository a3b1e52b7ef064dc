"""The transformers' recipe, the texts, and the evaluations."""

import json
import math
import shutil

import numpy as np
import pytest
import torch

import genmodels as gm
from genmodels import data, metrics
from tests import tiny
from tests.helpers_train import check_recipe, measured, run
from train import cards, engine, evaluate, ngram, pixel_transformer, texts, transformer

N = 66  # the last third of the 200 sample pictures of digits


@pytest.fixture
def small(monkeypatch):
    """The recipe with small networks and a little of the texts."""
    for name, options in transformer.MODEL.items():
        monkeypatch.setitem(transformer.MODEL, name, options | tiny.OPTIONS["transformer"])
    shakespeare, tang = texts.shakespeare, texts.tang
    monkeypatch.setattr(texts, "shakespeare", lambda split: shakespeare(split)[:3000])
    monkeypatch.setattr(texts, "tang", lambda split: tang(split)[:40])


@pytest.fixture
def short(monkeypatch):
    """Samples of few tokens; pictures, of 784 each, are black."""
    generate = gm.TextTransformer.generate
    monkeypatch.setattr(gm.TextTransformer, "generate", lambda *args, **more: generate(*args, **more | {"max_new_tokens": 20}))
    monkeypatch.setattr(gm.PixelTransformer, "sample", lambda self, n, **options: torch.zeros(n, 1, 28, 28))


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--data", "shakespeare"], "transformer-shakespeare"),
        (["--data", "tang"], "transformer-tang"),
        (["--data", "mnist"], "transformer-mnist"),
    ],
)
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(workdir, read_only, small, short, options, name):
    check_recipe(transformer.app, options, name, workdir, read_only)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "cats"], "--data must be one of shakespeare, tang, mnist"),
        (["--data", "tang", "--whole"], "--whole is for --data shakespeare"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, options, message):
    code, out = run(transformer.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


def test_whole_trains_on_the_validation_text_and_names_it(small):
    train, val = texts.shakespeare("train"), texts.shakespeare("val")
    for whole, read in ((False, train), (True, train + val)):
        recipe = transformer.recipe(engine.Settings(), "shakespeare", whole)
        assert recipe.model.tokenizer.decode(recipe.train.ids.tolist()) == read  # never of the test split
        ((name, nats),) = recipe.validate(recipe.model.eval()).items()
        assert name == ("nats_of_what_it_read" if whole else "nats")
        assert nats == pytest.approx(texts.nats_of_blocks(recipe.model, val)[0], rel=1e-5)


def test_numbers_of_a_transformer_of_plays(root):
    values, card = measured(root, "transformer-shakespeare")
    model, text = gm.load("transformer-shakespeare"), texts.shakespeare("test")
    nats = [-model.score(text[256 * i + 1 : 256 * i + 257], text[256 * i]).log_probs.mean().item() for i in range(16)]
    assert values["nats"] == pytest.approx(np.mean(nats), rel=1e-4)
    assert values["bits"] == pytest.approx(values["nats"] / math.log(2), rel=1e-4)
    assert values["perplexity"] == pytest.approx(math.exp(values["nats"]), rel=1e-4)
    assert {r.metric_args["N"] for r in card.data.eval_results} == {16 * 256}
    assert "1.4697" in card.data.eval_results[0].metric_args["beside"]
    reference = json.loads((root / "transformer-shakespeare" / "reference.json").read_text(encoding="utf-8"))
    assert reference["nats"] == pytest.approx(nats, rel=1e-4)
    for words in (
        "20,480 training tokens",
        "```text\n--- seed 0\n\n春 said\n```",
        "`alphabet=65 characters`",
        "| passages |",
        "which was not trained on",
    ):
        assert words in card.content
    assert "samples.png" not in card.content and card.data.pipeline_tag == "text-generation"
    log = root / "transformer-shakespeare" / "log.jsonl"
    log.write_text(log.read_text(encoding="utf-8").replace("train.x", "train.x --whole"), encoding="utf-8")
    evaluate.rewrite_card(cards.Checkpoint(log.parent))
    whole = (log.parent / "README.md").read_text(encoding="utf-8")
    assert "this run trained on the validation split too" in whole and "in earlier runs not trained on it" in whole
    assert "the best on" not in whole and "which was not trained on" not in whole


def test_numbers_of_a_transformer_of_poems(root):
    values, card = measured(root, "transformer-tang")
    model, poems = gm.load("transformer-tang"), texts.tang("test")[:40]
    numbers = [(r.metric_type, r.metric_value, r.metric_args) for r in card.data.eval_results]
    assert [kind for kind, *_ in numbers] == ["perplexity", "perplexity", "below", "share"]
    for (_, value, args), with_title in ((numbers[0], True), (numbers[1], False)):
        nats, n = texts.nats_of_bodies(model, poems, with_title)
        assert (value, args["N"]) == (pytest.approx(math.exp(nats / n), rel=1e-4), n)
    rows, symbols = {}, set(model.tokenizer.symbols)
    for split in ("train", "test"):
        rows[split] = [
            [model.tokenizer.token_id.get(c, 0) for c in [form, *body]] for form, _, _, body in texts.tang(split)[:40]
        ]
    scored = np.array([gram for gram in ngram.grams(rows["test"], 5) if gram[-1] not in model.tokenizer.marks])
    five_gram = ngram.KneserNey(ngram.grams(rows["train"], 5), model.tokenizer.vocab_size)
    V = len(model.tokenizer.hanzi)
    every = np.concatenate([np.repeat(scored[:, :-1], V, 0), np.tile(np.arange(V), len(scored))[:, None]], 1)
    p = five_gram.probabilities(every).reshape(len(scored), -1)
    scorable = [i for i, c in enumerate(model.tokenizer.symbols) if i == 0 or model.tokenizer.hanzi[i]]
    p = p[np.arange(len(scored)), scored[:, -1]] / p[:, scorable].sum(1)
    baseline = math.exp(-np.log(p).mean())
    assert f"{baseline:.4g}" in numbers[0][2]["beside"] and f"{baseline:.4g}" in numbers[1][2]["beside"]
    assert numbers[2][1] == pytest.approx(1 - numbers[1][1] / baseline, abs=1e-3)
    bodies = [c for *_, body in poems for c in body if c not in "，。"]
    assert values["share"] == pytest.approx(np.mean([c not in symbols for c in bodies]), rel=1e-4)
    assert {args["N"] for *_, args in numbers} == {len(bodies)}
    assert "1000 characters" in card.content and "MIT" in card.content


def test_the_card_of_poems_shows_what_was_measured_of_rhymes(tmp_path):
    folder = tmp_path / "transformer-tang"
    shutil.copytree(gm.base.checkpoint_folder(folder.name), folder)
    values = {"n": 1234, "rhyme today": 0.987, "rhyme by the books": 1, "line repeated": 0, "tones kept": 0.5, "repeats": 1.25}
    results = {
        "command": "python -m train.rhymes --poems 1234",
        "seed": 7,
        "temperature": 0.8,
        "forms": {"五律": {rules: values for rules in ("test", "rhyme", "any division")}},
        "perplexity": {"rhyme": {"share": 0.85, "without the rules": 160.25, "with the rules": 120.75}},
    }
    (folder / "rhymes.json").write_text(json.dumps(results), encoding="utf-8")
    evaluate.rewrite_card(cards.Checkpoint(folder))
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert text.count("| 98.7% | 100.0% | 0.0% | 50.0% | 1.25 |") == 3 and "| 五律 | without the preference | 1,234 |" in text
    assert results["command"] in text and "seeds from 7 on" in text and "not enforced" not in text
    assert "the 85.0% that keep rhyme, 160.2 without the rules and 120.8 with them" in text
    assert "chosen while looking at this judge" in text
    (folder / "rhymes.json").unlink()
    evaluate.rewrite_card(cards.Checkpoint(folder))
    assert "train.rhymes" not in (folder / "README.md").read_text(encoding="utf-8")


def test_numbers_of_a_transformer_of_pixels(root, monkeypatch):
    monkeypatch.setattr(pixel_transformer, "MIXTURE_PICTURES", 20)
    values, card = measured(root, "transformer-mnist")
    test, model, classifier = data.load("mnist", "test"), gm.load("transformer-mnist"), gm.load("classifier-mnist")
    bits = model.bits_per_dim(test.floats(), test.y)
    assert card.data.eval_results[0].metric_value == pytest.approx(bits.double().mean().item(), rel=1e-4)
    assert card.data.eval_results[0].metric_args["N"] == N
    given_class, mixture, same = (r for r in card.data.eval_results if r.metric_type == "bits_per_dim")
    assert "given the class" in given_class.metric_name and "class not given" in mixture.metric_name
    first = test[:20]
    assert mixture.metric_value == pytest.approx(model.bits_per_dim(first.floats()).double().mean().item(), rel=1e-4)
    assert same.metric_value == pytest.approx(bits[:20].double().mean().item(), rel=1e-4)
    assert (given_class.metric_args["N"], mixture.metric_args["N"], same.metric_args["N"]) == (N, 20, 20)
    posterior = model.class_posterior(first.floats())
    assert values["accuracy"] == pytest.approx((posterior.argmax(1) == first.y).double().mean().item(), abs=1e-5)
    y = torch.arange(20) % 10
    x = (model.sample(20, label=y, seed=0) * 255).round().to(torch.uint8)
    assert values["share"] == pytest.approx((classifier.predict(x.float() / 255)[:, 0] == y).double().mean().item(), abs=1e-5)
    assert values["cas"] == pytest.approx(metrics.cas(x, y, test.x, test.y, per_class=2).mean, abs=1e-5)
    cas = next(r for r in card.data.eval_results if r.metric_type == "cas")
    assert cas.metric_args["N"] == 20 and "20 pictures instead of 20,000" in cas.metric_name
    assert "samples.png" in card.content and "62,720 training tokens" in card.content
    measured(root, "transformer-mnist")  # from the cache: instantly
