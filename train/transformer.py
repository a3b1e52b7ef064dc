"""Transformers: two that write text and one that writes pictures.

    python -m train.transformer --data shakespeare --whole --steps 1000    78 minutes on one busy core
    python -m train.transformer --data tang --steps 940                    56 minutes; validation perplexity 159
    python -m train.transformer --data mnist --steps 1900                  53 minutes; 0.785 bits a pixel on validation

The texts ship with the recipe; `--data-dir` is needed for mnist alone.
"""

import math
import random
from collections import Counter
from typing import Annotated

import torch
import typer

from genmodels import data as pictures
from genmodels.base import check_choice
from genmodels.tokens import FORMS
from genmodels.transformer import Transformer
from train import engine, texts

MODEL = {
    "shakespeare": dict(width=192, layers=6, heads=4, hidden=512, context=256, dropout=0.2),
    "tang": dict(width=256, layers=4, heads=4, hidden=680, context=256, dropout=0.2),
    "mnist": dict(width=128, layers=4, heads=4, hidden=340, lags=[0, 1, 26, 27, 28]),
}
SETS = tuple(MODEL)


def recipe(
    settings: engine.Settings,
    data: str = "shakespeare",
    whole: Annotated[
        bool, typer.Option("--whole", help="Shakespeare: train on the validation text too, once all choices are made.")
    ] = False,
) -> engine.Recipe:
    """Train the transformer of `shakespeare`, `tang` or `mnist`."""
    check_choice("--data", data, SETS)
    if whole and data != "shakespeare":
        raise ValueError("--whole is for --data shakespeare; the other sets train on their training split.")
    made = {"shakespeare": lambda of: shakespeare(of, whole), "tang": tang, "mnist": mnist}[data](settings)
    model, train, validate, samples, batch = made
    return engine.Recipe(
        f"transformer-{data}",
        model,
        train,
        validate,
        samples,
        [engine.OptimizerConfig(lr=3e-3, betas=(0.9, 0.98), weight_decay=0.1, muon=True)],
        batch=batch,
        minutes=90,
        warmup=100,
        ema=0.99,
        cooldown=0.5,
    )


def shakespeare(settings, whole):
    """whole: as print does, train on all of the 90 %. Half of the play that the test begins in lies in the validation text:
    without it every name of that play is new. Nothing can be chosen in such a run; its last weights are the lowest on what
    it has read.
    """
    text, val = texts.shakespeare("train"), texts.shakespeare("val")
    text, name = (text + val, "nats_of_what_it_read") if whole else (text, "nats")
    alphabet = "".join(sorted(set(text)))
    model = Transformer(alphabet=alphabet, **MODEL["shakespeare"])
    train = texts.Passages(torch.tensor(model.tokens.encode(text)), model.context)

    def samples(model):
        return "\n\n".join(f"--- seed {s}\n\n" + model.generate(max_new_tokens=400, temperature=0.8, seed=s) for s in range(4))

    return model, train, lambda model: {name: texts.nats_of_blocks(model, val)[0]}, samples, 64


def tang(settings):
    poems, val = texts.tang("train"), texts.tang("val")
    counts = Counter(c for _, *parts in poems for part in parts for c in part)
    alphabet = "".join(c for c, n in sorted(counts.items(), key=lambda of: (-of[1], of[0])) if n > 1)
    model = Transformer(tokens="poems", alphabet=alphabet, **MODEL["tang"])
    # Poem after poem in one row, four times over, so that a step has no padding; each passage begins with a poem. Titles and
    # authors are withheld at random, from the model's view too: it must do without them when a visitor gives none.
    g, ids, starts = random.Random(0), [], []
    for form, title, author, body in (poem for _ in range(4) for poem in g.sample(poems, len(poems))):
        starts.append(len(ids))
        told = f"{form}|{title if g.random() < 0.8 else ''}|{author if g.random() < 0.8 else ''}|{body}\n"
        ids += model.tokens.encode(told)
    starts = torch.tensor(starts)
    train = texts.Passages(torch.tensor(ids), model.context, starts[starts + model.context < len(ids)])

    def validate(model):
        nats, n = texts.nats_of_bodies(model, val)
        return {"perplexity": math.exp(nats / n)}

    def samples(model):
        made = []
        for form in FORMS:
            body = "".join(token.text for token in model.poem_steps(form, seed=0, temperature=0.8))
            made.append(f"--- {form}, seed 0\n\n{body.replace('。', '。' + chr(10))}")
        return "\n".join(made)

    return model, train, validate, samples, 32


def mnist(settings):
    val, train = (pictures.load("mnist", split, settings.data_dir) for split in ("val", "train"))
    val = val[torch.arange(min(len(val), 300))]
    model = Transformer(tokens="pixels", **MODEL["mnist"])

    def validate(model):
        parts = torch.arange(len(val)).split(20)
        return {"bits": torch.cat([model.bits_per_dim(val[p].floats(), val[p].y) for p in parts]).mean()}

    def samples(model):  # rows of eight: one a class
        return model.sample(80, label=torch.arange(80) // 8, seed=0)

    return model, train, validate, samples, 16


app = engine.command(recipe)
if __name__ == "__main__":
    app()
