"""Transformers: two for text and one for pictures.

    python -m train.transformer --data shakespeare --whole --steps 1000    78 minutes on one busy core
    python -m train.transformer --data tang --steps 2200 --precision bf16 --compile    75 minutes of one core that has matrix
        units for 16 bits, others take twice as long or more; validation perplexity 115
    python -m train.transformer --data mnist --steps 1900                  53 minutes; 0.785 bits per pixel on validation
    python -m train.transformer --text FILE    30 minutes, your own text, of any language

The texts are part of the repository; only mnist needs `--data-dir`.
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer

from genmodels import data as pictures
from genmodels.base import check_choice
from genmodels.pixel_transformer import PixelTransformer
from genmodels.text_transformer import PoemTransformer, TextTransformer
from genmodels.tokens import FORMS
from genmodels.transformer import Transformer
from train import engine, measures, pixel_transformer, text_transformer, texts
from train.cards import Card, Checkpoint

MODEL = {
    "shakespeare": dict(width=192, layers=6, heads=4, hidden=512, context=256, dropout=0.2),
    "tang": dict(width=256, layers=6, heads=4, hidden=680, context=256, dropout=0.2),
    "mnist": dict(width=128, layers=4, heads=4, hidden=340, lags=[0, 1, 26, 27, 28]),
}
DATASETS = tuple(MODEL)


def recipe(
    settings: engine.Settings,
    data: str = "shakespeare",
    whole: Annotated[
        bool, typer.Option("--whole", help="Shakespeare: also train on the validation text, once all choices are made.")
    ] = False,
    text: Annotated[Path | None, typer.Option(help="File of your own text, in UTF-8, instead of --data.")] = None,
    name: Annotated[str | None, typer.Option(help="Of your text, for transformer-NAME. [default: the file's own]")] = None,
) -> engine.Recipe:
    """Train the transformer of `shakespeare`, `tang` or `mnist`, or with --text of a text of your own."""
    check_choice("--data", data, DATASETS)
    if whole and (data != "shakespeare" or text):
        raise ValueError("--whole is for --data shakespeare; the other datasets train on their training split.")
    if name and not text:
        raise ValueError("--name is for your own text: name its file with --text.")
    own = texts.read_own(text, name) if text else None
    if own:
        parts = own_text(own)
    elif data == "shakespeare":
        parts = shakespeare(whole)
    elif data == "tang":
        parts = tang()
    else:
        parts = mnist(settings.data_dir)
    return engine.Recipe(
        name=f"transformer-{own.name if own else data}",
        model=parts.model,
        train=parts.train,
        validate=parts.validate,
        samples=parts.samples,
        optimizers=[engine.OptimizerConfig(lr=3e-3, betas=(0.9, 0.98), weight_decay=0.1, muon=True)],
        batch=parts.batch,
        minutes=30 if own else 90,
        warmup=100,
        ema=0.99,
        cooldown=0.5,
        finish=own and (lambda model, folder: own.save(folder)),
        after=own and own.write_card,
    )


class Parts(NamedTuple):
    """What differs between the datasets: see `engine.Recipe`."""

    model: Transformer
    train: texts.Passages | pictures.Pictures
    validate: Callable
    samples: Callable
    batch: int


def shakespeare(whole):
    """whole: train on all of the first 90 %, as published results do.

    Half of the play in which the test text begins lies in the validation text; without it, every name of that play is new.
    Such a run has no validation data left to choose anything by: what it reports as validation is training text.
    """
    text, val = texts.shakespeare("train"), texts.shakespeare("val")
    metric = "nats"
    if whole:
        text += val
        metric = "nats_of_what_it_read"
    alphabet = "".join(sorted(set(text)))
    model = TextTransformer(alphabet=alphabet, **MODEL["shakespeare"])
    train = texts.Passages(torch.tensor(model.tokenizer.encode(text)), model.context)

    def samples(model):
        return "\n\n".join(f"--- seed {s}\n\n" + model.generate(max_new_tokens=400, temperature=0.8, seed=s) for s in range(4))

    def validate(model):
        return {metric: texts.nats_of_blocks(model, val)[0]}

    return Parts(model, train, validate, samples, batch=64)


def own_text(own):
    model = TextTransformer(alphabet=own.alphabet, **MODEL["shakespeare"] | {"context": texts.CONTEXT})
    train = texts.Passages(torch.tensor(model.tokenizer.encode(own.train)), model.context)
    print(f"{own.title}: {len(own.train):,} characters for training, {len(own.alphabet):,} different ones.", flush=True)

    def samples(model):
        return "\n\n".join(f"--- seed {s}\n\n" + model.generate(max_new_tokens=300, temperature=0.8, seed=s) for s in range(4))

    def validate(model):
        return {"nats": texts.nats_of_blocks(model, own.val[: texts.VALIDATED])[0]}

    return Parts(model, train, validate, samples, batch=32)


def tang():
    poems, val = texts.tang("train"), texts.tang("val")
    counts = Counter(c for _, *parts in poems for part in parts for c in part)
    alphabet = "".join(c for c, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if n > 1)
    model = PoemTransformer(alphabet=alphabet, **MODEL["tang"])
    # All poems one after another in a single sequence, in four random orders, so that a batch needs no padding; each passage
    # begins with a poem. One title in five and one author in five are dropped at random, so that the model also works without.
    g, ids, starts = random.Random(0), [], []
    for form, title, author, body in (poem for _ in range(4) for poem in g.sample(poems, len(poems))):
        starts.append(len(ids))
        if g.random() >= 0.8:
            title = ""
        if g.random() >= 0.8:
            author = ""
        ids += model.tokenizer.encode(f"{form}|{title}|{author}|{body}\n")
    starts = torch.tensor(starts)
    train = texts.Passages(torch.tensor(ids), model.context, starts[starts + model.context < len(ids)])

    def validate(model):
        nats, n = texts.nats_of_bodies(model, val)
        return {"perplexity": math.exp(nats / n)}

    def samples(model):
        poems = []
        for form in FORMS:
            body = "".join(token.text for token in model.poem_steps(form, seed=0, temperature=0.8))
            poems.append(f"--- {form}, seed 0\n\n{body.replace('。', '。' + chr(10))}")
        return "\n".join(poems)

    return Parts(model, train, validate, samples, batch=32)


def mnist(data_dir):
    val = pictures.load("mnist", "val", data_dir)
    train = pictures.load("mnist", "train", data_dir)
    val = val[torch.arange(min(len(val), 300))]
    model = PixelTransformer(**MODEL["mnist"])

    def validate(model):
        parts = torch.arange(len(val)).split(20)
        return {"bits": torch.cat([model.bits_per_dim(val[p].floats(), val[p].y) for p in parts]).mean()}

    def samples(model):  # rows of eight, one row per class
        return model.sample(80, label=torch.arange(80) // 8, seed=0)

    return Parts(model, train, validate, samples, batch=16)


# --- Evaluation -----------------------------------------------------------------------------------------------------


class Measuring(NamedTuple):
    """How the model of a dataset is measured, and what its card says."""

    evaluate: Callable[[measures.Evaluation], measures.Evaluator]
    card: Callable[[Checkpoint], Card]
    reference_values: Callable[[Any], dict[str, torch.Tensor]]


MEASURING = {
    "shakespeare": Measuring(
        text_transformer.evaluate_plays, text_transformer.card_of_plays, text_transformer.reference_values_of_plays
    ),
    "tang": Measuring(
        text_transformer.evaluate_poems, text_transformer.card_of_poems, text_transformer.reference_values_of_poems
    ),
    "text": Measuring(text_transformer.evaluate_own, text_transformer.card_of_own, text_transformer.reference_values_of_plays),
    "mnist": Measuring(pixel_transformer.evaluate, pixel_transformer.card, pixel_transformer.reference_values),
}


def measuring(checkpoint: Checkpoint) -> Measuring:
    return MEASURING["text" if checkpoint.own else checkpoint.dataset]


FAMILIES = {
    "transformer": measures.Family(
        evaluate=lambda evaluation, options: measuring(evaluation).evaluate(evaluation),
        card=lambda checkpoint: measuring(checkpoint).card(checkpoint),
        reference_values=lambda model, dataset: MEASURING[dataset].reference_values(model),
    )
}


app = engine.command(recipe)
if __name__ == "__main__":
    app()
