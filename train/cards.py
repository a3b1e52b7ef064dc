"""Model cards in the format of Hugging Face, and the table of models that the project's README makes of them.

What a card says about a family, its recipe's file passes as a `Card`. A card keeps its numbers in the front matter's
`model-index`, so it can be written again without measuring again.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

import genmodels as gm
from genmodels.base import checkpoint_folder, read_config

README = Path(__file__).resolve().parent.parent / "README.md"
TABLE_MARKERS = ("<!-- {}:begin -->", "<!-- {}:end -->")
PERCENT_METRICS = ("accuracy", "share", "moved", "cas", "cas_sd", "precision", "recall", "coverage", "copies", "below")

DATASETS: dict[str, dict[str, Any]] = {
    "mnist": {
        "title": "MNIST",
        "hub": "ylecun/mnist",
        "licence": "CC BY-SA 3.0",
        "credit": "MNIST by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, derived from NIST's data",
    },
    "fashion": {
        "title": "Fashion-MNIST",
        "hub": "zalando-datasets/fashion_mnist",
        "licence": "MIT",
        "credit": "Fashion-MNIST by Han Xiao, Kashif Rasul and Roland Vollgraf, (c) 2017 Zalando SE",
    },
    "avatars": {
        "title": "Avatars",
        "hub": None,
        "licence": "free for personal and commercial use",
        "credit": "Cartoon faces of the design Avataaars by Pablo Stanley, drawn by this repository's `tools/avatars` "
        "with DiceBear 9.4.3 (MIT, (c) Florian Körner)",
    },
    "shakespeare": {
        "title": "tiny Shakespeare",
        "hub": "karpathy/tiny_shakespeare",
        "licence": "public domain",
        "credit": "Plays of William Shakespeare as one text of 1,115,394 characters, tiny Shakespeare, compiled by Andrej "
        "Karpathy (2015)",
        "validation_data": "the last twentieth of the first 90 % of the text, which was not trained on",
    },
    "tang": {
        "title": "regular verse of the Tang dynasty",
        "hub": None,
        "licence": "the poems are in the public domain, the collection MIT",
        "credit": "Poems of the Tang dynasty in simplified characters, from the collection chinese-poetry, (c) 2016 JackeyGao",
        "validation_data": "693 other poems, which were not trained on",
    },
    "photo": {
        "title": "BSDS500",
        "hub": None,
        "licence": "for non-commercial research and education",
        "credit": "400 photographs of the Berkeley segmentation dataset, BSDS500, by Arbelaez, Maire, Fowlkes and Malik "
        "(2011), and 68 others for the test, in the split of the denoising papers",
        "validation_data": "20 of the 400 training photographs, which were not trained on",
    },
    "camera": {
        "title": "BSDS500 through a model of a camera",
        "hub": None,
        "licence": "for non-commercial research and education",
        "credit": "400 photographs of the Berkeley segmentation dataset, BSDS500, by Arbelaez, Maire, Fowlkes and Malik "
        "(2011), and 68 others for the test, in the split of the denoising papers",
        "validation_data": "20 of the 400 training photographs, which were not trained on",
    },
}
VALIDATION_DATA = "validation pictures, cut from the training split"  # unless the dataset has its own sentence
CARD_TEMPLATE = """# {name}

{what} {parameters:,} parameters, trained on {title} by this repository.

{samples}

```python
import genmodels as gm

model = gm.load("{name}")
{code}
```

## Evaluation

Measured by `{command}`.

{numbers}

## Training

{minutes:g} minutes in total.{amount} Exponential moving average of the weights, {selection}; the curves are in `log.jsonl`.

{runs}

Configuration: {config}.

## Intended use

{use}

## Limits

{limits} The test split was used only for the numbers above: all choices were made on {validation_data}.

## Data and licence

{credit}; {licence}. {weights}

## Reference

{reference}
"""


class Checkpoint:
    """A checkpoint's folder, what its name says, and its model."""

    def __init__(self, name: str | Path) -> None:
        self.folder = checkpoint_folder(name).resolve()
        self.name = self.folder.name
        self.own = gm.cards.read_json(str(self.folder), "data.json")  # what it says of an own dataset; {} if it is not one
        if self.own:
            self.family, self.dataset = read_config(self.folder)["family"], self.own["name"]
        else:
            self.family, self.dataset = family_and_dataset(self.name)
        self.facts = own_facts(self.own) if self.own else DATASETS[self.dataset]
        self.title = self.facts["title"]
        self.model = gm.load(self.folder)

    def runs(self) -> list[dict[str, Any]]:
        return training_runs(self.folder)


def own_facts(own: dict[str, Any]) -> dict[str, Any]:
    """The entry of DATASETS of an own dataset. own: what its `data.json` says."""
    what = f'the text "{own["title"]}"' if "text" in own else f'the pictures of "{own["title"]}"'
    facts = {
        "title": what,
        "hub": None,
        "licence": "it is for whoever publishes this checkpoint to say by whom they are and what may be done with them",
        "credit": f"{what[:1].upper()}{what[1:]}, people's own",
        "weights": "The weights were made from them by code under the Apache License 2.0.",
        "licence_tag": None,
    }
    if "text" in own:
        facts["validation_data"] = "the tenth of the text before its last tenth, which was not trained on"
    else:
        facts["validation_data"] = f"{own['pictures']['val']:,} other pictures, which were not trained on"
    return facts


@dataclass
class Value:
    """One number of a card, as an evaluator yields it; str(value) is the number as people read it."""

    metric: str  # its machine-readable type
    label: str  # its name on the card
    value: float
    n: int | None = None  # the sample count, if it is not the split's size
    comparison: str = ""  # the floor, ceiling or baseline to read it by
    seeded: bool = False  # whether it depends on the seed
    split: str | None = None  # if it is not the one that is measured

    def __post_init__(self) -> None:
        self.value = float(f"{self.value:.6g}")

    def __str__(self) -> str:
        return format_number(self.metric, self.value)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a family says on the card of one of its checkpoints."""

    task: str  # as the Hub calls it
    paper: str  # authors and year, for the table of models
    reference: str
    what: str  # the first sentences
    code: str  # lines of Python after `model = gm.load(...)`
    use: str
    limits: str
    notes: dict[str, str]  # metric -> how it is measured, in the order of the card; written if the card has that metric
    tables: str = ""  # after the numbers
    amount: str = ""  # a sentence on how much the model was trained on
    selection: str = "the best on the validation split"  # of the weights
    validation_data: str | None = None  # if it is not the dataset's own
    config: dict[str, Any] = field(default_factory=dict)  # entries of the configuration that are shown in other words


def family_and_dataset(name: str) -> tuple[str, str]:
    """("vae", "mnist") for "vae-mnist-2d"; a ValueError for a name of another form."""
    family, dataset = (name.split("-") + [""])[:2]
    if family not in gm.FAMILIES or dataset not in DATASETS:
        raise ValueError(
            f"A checkpoint is named <family>-<dataset>[-variant], with one of the families {', '.join(gm.FAMILIES)} and one "
            f"of the datasets {', '.join(DATASETS)}; '{name}' is not, and has no data.json of an own dataset."
        )
    return family, dataset


def format_number(metric: str, value: float) -> str:
    if metric in PERCENT_METRICS:
        return f"{value:.2%}"
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"


def format_value(result: EvalResult) -> str:
    """A number of a card as people read it."""
    return format_number(result.metric_type, result.metric_value)


def to_results(checkpoint: Checkpoint, values: Iterable[Value], task: str, split: str, n: int, seed: int) -> list[EvalResult]:
    """Values in the Hub's form. split, n and seed: where a value does not say otherwise."""
    results = []
    for value in values:
        # "beside" is the key of the comparison in the front matter of all cards.
        args = {"N": value.n or n, "seed": seed if value.seeded else None, "beside": value.comparison or None}
        results.append(
            EvalResult(
                task_type=task,
                dataset_type=checkpoint.dataset,
                dataset_name=checkpoint.title,
                dataset_split=value.split or split,
                metric_type=value.metric,
                metric_name=value.label,
                metric_value=value.value,
                metric_args={k: v for k, v in args.items() if v is not None},
            )
        )
    return results


def write_card(checkpoint: Checkpoint, card: Card, results: list[EvalResult], command: str, headline: str) -> None:
    """Write a checkpoint's README.md from its numbers, its configuration, its log and the family's texts.

    command: the command line that measured the numbers; headline: for the table of models.
    """
    runs, dataset = checkpoint.runs(), checkpoint.facts
    results = [r for r in results if r.metric_type != "copies"]
    position = max((i for i, r in enumerate(results) if r.metric_type == "coverage"), default=len(results) - 1)
    results[position + 1 : position + 1] = copies(checkpoint, card.task)
    facts = {
        "command": command,
        "headline": headline,
        "paper": card.paper,
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()),
        "minutes": round(sum(run.get("minutes") or 0 for run in runs), 1),
    }
    front_matter = ModelCardData(
        license=dataset.get("licence_tag", "apache-2.0"),
        library_name="genmodels",
        pipeline_tag=card.task,
        tags=[checkpoint.family, "pytorch"],
        datasets=[dataset["hub"]] if dataset["hub"] else None,
        model_name=checkpoint.name,
        eval_results=results,
        genmodels=facts,
    )
    samples, items = "![samples](samples.png)", "pictures"
    sample_text = checkpoint.folder / "samples.txt"
    if sample_text.is_file():
        samples, items = f"```text\n{sample_text.read_text(encoding='utf-8').strip()}\n```", "passages"
    columns = {"command": "command", "pictures": items} | {
        k: k for k in ("batch", "steps", "seed", "minutes", "device", "date")
    }
    cells = [[f"`{run.get(k)}`" if k == "command" else run.get(k, "") for k in columns] for run in runs]
    metrics = {r.metric_type for r in results}
    notes = "\n".join(f"- {note}" for metric, note in card.notes.items() if metric in metrics) + card.tables
    config = checkpoint.model.config | card.config
    page = CARD_TEMPLATE.format(
        name=checkpoint.name,
        title=checkpoint.title,
        what=card.what,
        parameters=facts["parameters"],
        samples=samples,
        code=card.code,
        command=command,
        numbers=numbers_table(results) + f"\n\n{notes}".rstrip(),
        minutes=facts["minutes"],
        amount=f" {card.amount}" if card.amount else "",
        selection=card.selection,
        runs=markdown_table([items if k == "pictures" else k for k in columns], cells),
        config=", ".join(f"`{k}={v}`" for k, v in config.items()),
        use=card.use,
        limits=card.limits,
        validation_data=card.validation_data or dataset.get("validation_data", VALIDATION_DATA),
        credit=dataset["credit"],
        licence=dataset["licence"],
        weights=dataset.get("weights", "The weights are under the Apache License 2.0, like the code."),
        reference=card.reference,
    )
    write_text(checkpoint.folder / "README.md", f"---\n{front_matter.to_yaml()}\n---\n\n{page}")


def copies(checkpoint: Checkpoint, task: str) -> list[EvalResult]:
    """What `train.compare` measured of how near a model's samples are to training pictures; [] if it has not."""
    measured = gm.cards.read_json(str(checkpoint.folder), "comparison.json")
    if not {"copies", "copies_n", "seed"} <= measured.keys():
        return []
    label = "generated pictures that are nearer to a training picture than 99 % of test pictures are"
    comparison = f"test pictures: 1 %; measured by `{measured['command']}`"
    value = Value("copies", label, measured["copies"], comparison=comparison, seeded=True)
    return to_results(checkpoint, [value], task, "test", measured["copies_n"], measured["seed"])


def numbers_table(results: list[EvalResult]) -> str:
    rows = []
    for r in results:
        args = r.metric_args or {}
        numbers = (r.metric_name, format_value(r), r.dataset_split, f"{args['N']:,}")
        rows.append((*numbers, args.get("seed", ""), args.get("beside", "")))
    return markdown_table(("", "value", "split", "N", "seed", "for comparison"), rows)


def markdown_table(columns: Sequence, rows: Iterable[Sequence]) -> str:
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (columns, ["---"] * len(columns), *rows))


def training_runs(folder: Path) -> list[dict[str, Any]]:
    """What the log of a checkpoint records about each of its training runs, first to last: the "run" lines."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line["run"] for line in lines if "run" in line]


def read_card(folder: Path) -> tuple[list[EvalResult], dict[str, Any]]:
    """(numbers, facts) of a checkpoint's card. Raises ValueError if there is none."""
    try:
        card = ModelCard.load(folder / "README.md").data
        return card.eval_results, card.genmodels
    except (OSError, AttributeError, ValueError) as e:
        raise ValueError(f"{folder / 'README.md'} holds no numbers: run python -m train.evaluate {folder.name}") from e


def shipped() -> list[str]:
    """Names of the checkpoints but those of own datasets."""
    return [name for name in gm.checkpoints() if not gm.cards.read_json(name, "data.json")]


def models_table() -> str:
    """The table of models, from the cards of the shipped checkpoints."""
    families = list(gm.FAMILIES)
    rows = []
    for name in sorted(shipped(), key=lambda name: (families.index(family_and_dataset(name)[0]), name)):
        _, facts = read_card(checkpoint_folder(name))
        rows.append(
            (
                f"[`{name}`](checkpoints/{name}/README.md)",
                facts["paper"],
                f"{facts['parameters'] / 1e6:.2f} M",
                f"{facts['minutes']:g}",
                facts["headline"],
            )
        )
    return markdown_table(("checkpoint", "paper", "parameters", "minutes", "on the test split"), rows)


def insert_table(readme: Path, table: str, name: str = "models") -> None:
    """Replace what stands between the two TABLE_MARKERS of this name in a README by the table."""
    text = readme.read_text(encoding="utf-8")
    markers = [marker.format(name) for marker in TABLE_MARKERS]
    begin, end = map(text.find, markers)
    if begin < 0 or end < begin:
        raise ValueError(f"{readme} must contain the lines {' and '.join(markers)}: the table goes between them.")
    write_text(readme, f"{text[:begin]}{markers[0]}\n{table}\n{text[end:]}")


def write_text(file: Path, text: str) -> None:
    """Write a text file atomically: it holds the new text or, after a failure, the old one."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, file)
