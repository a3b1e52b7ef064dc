"""Measure shipped checkpoints on the test split and write their cards.

    python -m train.evaluate vae-mnist --samples 5000    measures; writes README.md and reference.json of the checkpoint
    python -m train.evaluate vae-mnist --split val --pictures 1000 --samples 100
                                                         for choosing between models: prints, writes nothing
    python -m train.evaluate diffusion-mnist             20,000 pictures and all samplers: half an hour
    python -m train.evaluate transformer-tang            the texts ship with the recipes: a minute
    python -m train.evaluate transformer-mnist           10,000 exact likelihoods and 2,000 pictures: a quarter of an hour
    python -m train.evaluate denoiser-photo              BSD68 in grey and colour, also by scikit-image's methods: an hour
    python -m train.evaluate flow-mnist                  exact likelihoods, also of other datasets, and 20,000 samples
    python -m train.evaluate --cards-only                writes all cards again, from the numbers that they hold
    python -m train.evaluate --table                     writes the table of models into README.md, from the cards

A few minutes per checkpoint on two cores. The importance-weighted likelihood of a "bernoulli" VAE takes half an hour with
1,000 samples, five times that with 5,000. Slow results are cached in runs/evaluate/, and a restarted evaluation resumes there.

How a family is measured, and what its card says, stands in the file of its recipe (`FAMILIES` there).
"""

import importlib
import inspect
import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_args

import torch
import typer

import genmodels as gm
from genmodels.base import check_choice, check_number
from train import cards
from train.cards import Checkpoint
from train.engine import keep_freed_memory
from train.measures import GENERATED, Evaluation, Family, Options, Values


def family(name: str) -> Family:
    """How a family is measured: its entry in the recipe's file, which has the name of the model's."""
    module = gm.FAMILIES[name][0].rpartition(".")[2]
    return importlib.import_module(f"train.{module}").FAMILIES[name]


def evaluate(evaluation: Evaluation, options: Options) -> None:
    """Measure one checkpoint; on the test split also write its reference values and its card."""
    values, results = Values(family(evaluation.family).evaluate(evaluation, options)), []
    with torch.inference_mode():
        for value in values:
            print(f"{value.label}: {value}" + (f"   ({value.comparison})" if value.comparison else ""), flush=True)
            results.append(value)
    if evaluation.split == "test":
        numbers = json.dumps(reference_values(evaluation), indent=1)
        cards.write_text(evaluation.folder / "reference.json", numbers + "\n")
        card = family(evaluation.family).card(evaluation)
        results = cards.to_results(evaluation, results, card.task, evaluation.split, len(evaluation.data), evaluation.seed)
        cards.write_card(evaluation, card, results, evaluation.command(options), values.headline)


def reference_values(checkpoint: Checkpoint) -> dict[str, list[float]]:
    """Numbers of the first sample pictures, or of the first texts, by which a test recognises the checkpoint."""
    with torch.inference_mode():
        values = family(checkpoint.family).reference_values(checkpoint.model, checkpoint.dataset)
    return {name: numbers.tolist() for name, numbers in values.items()}


def rewrite_card(checkpoint: Checkpoint) -> None:
    """Write a card again from its own numbers, after its texts or its log have changed."""
    results, facts = cards.read_card(checkpoint.folder)
    cards.write_card(checkpoint, family(checkpoint.family).card(checkpoint), results, facts["command"], facts["headline"])


# --- Command line ---------------------------------------------------------------------------------------------------


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Checkpoints; with --cards-only, none means all.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/, FashionMNIST/ or avatars/.")] = None,
    split: Annotated[str, typer.Option(help="test; or val for choosing between models, which writes nothing.")] = "test",
    generated: Annotated[
        int, typer.Option("--generated", "--drawn", help="Pictures to generate for FID, precision and recall; twice for CAS.")
    ] = GENERATED,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    runs: Annotated[Path, typer.Option(help="Folder for unfinished evaluations.")] = Path("runs"),
    pictures: Annotated[int | None, typer.Option(help="With --split val: only the first pictures of the split.")] = None,
    cards_only: Annotated[bool, typer.Option("--cards-only", help="Write cards again from their own numbers.")] = False,
    table: Annotated[bool, typer.Option("--table", help="Write the table of models into the README.")] = False,
    readme: Annotated[Path, typer.Option(help="The README for --table.")] = cards.README,
    **family_options: Any,
) -> None:
    """Measure checkpoints on the test split and write their cards."""
    try:
        check_choice("--split", split, ("test", "val"))
        if pictures is not None:
            check_number("--pictures", pictures, 10, 100_000, whole=True)
            if split == "test":
                raise ValueError("--pictures is for --split val: a card's numbers are those of the whole test split.")
        if not names and not cards_only and not table:
            available = ", ".join(gm.checkpoints()) or "there is none"
            raise ValueError(f"Name a checkpoint ({available}), or give --table.")
        keep_freed_memory()
        if cards_only:
            for name in names or gm.checkpoints():
                rewrite_card(Checkpoint(name))
        else:
            given = {k: v for k, v in family_options.items() if v is not None}
            options = [read_options(name, given) for name in names or []]  # all are checked before the first is measured
            for name, own in zip(names or [], options):
                evaluate(Evaluation(name, split, generated, seed, data_dir, runs, pictures), own)
        if table:
            print(cards.models_table())
            cards.insert_table(readme, cards.models_table())
    except (ValueError, OSError) as e:
        typer.echo(f"Error: {e}", err=True)
        raise typer.Exit(1) from None


def read_options(name: str, given: dict[str, Any]) -> Options:
    """The given options as those of the checkpoint's family; one of another family is refused."""
    own = family(Checkpoint(name).family).options
    for option in given:
        if option not in {f.name for f in fields(own)}:
            families = ", ".join(f for f in gm.FAMILIES if option in {f.name for f in fields(family(f).options)})
            raise ValueError(f"--{option} is an option of {families}: {name} has no such option.")
    return own(**given)


def command() -> typer.Typer:
    """The command line: the options of `main`, then those of each family."""
    signature = inspect.signature(main)
    shared = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    parameters = {p.name: p.replace(kind=p.KEYWORD_ONLY) for p in shared}
    for name in gm.FAMILIES:
        for option in fields(family(name).options):
            kind, settings = get_args(option.type)
            typer_option = typer.Option(help=f"Of {name}: {settings.help} [default: {option.default}]")
            annotation = Annotated[kind | None, typer_option]
            parameters[option.name] = inspect.Parameter(
                option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
            )

    def run(**values):
        main(**values)

    run.__signature__ = inspect.Signature(list(parameters.values()))  # type: ignore[attr-defined]  # as inspect documents
    run.__annotations__ = {p.name: p.annotation for p in parameters.values()}
    run.__doc__ = main.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(run)
    return app


app = command()
if __name__ == "__main__":
    app()
