"""All families on one request, one result after another as it is ready.

>>> import genmodels as gm
>>> for row in gm.compare("mnist", label=3, n=8, seed=0):  # doctest: +SKIP
...     print(row.family, row.seconds_per_sample, row.problem)

The families are found from the checkpoints: one whose class has `samples_pictures` takes part without a line here.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

import genmodels as gm
from genmodels import labels
from genmodels.base import (
    CheckpointError,
    GenerativeModel,
    Likelihood,
    check_choice,
    check_labels,
    check_number,
    checkpoint_folder,
    generator,
    randn_rows,
    read_config,
)
from genmodels.messages import Message


@dataclass(frozen=True)
class Comparison:
    """What one family makes of a request.

    x: samples (n, C, H, W) in [0, 1]. seconds_per_sample: measured now, as n samples in one call. likelihood: what the model
    says of its own samples, as 8-bit pictures. note: how the label was kept where it is not as asked. problem: why there
    is no result, in a sentence; the values above are None then. finished: False while samples or likelihood are missing.
    """

    name: str  # of the checkpoint
    family: str
    x: Tensor | None = None
    seconds_per_sample: float | None = None
    sampling_calls: int | None = None  # of the network, one after another
    parameters: int | None = None
    likelihood: Likelihood | None = None
    note: str = ""
    problem: str = ""
    finished: bool = True


def compare(dataset: str, label: int | str | None = None, n: int = 8, seed: int = 0) -> Iterator[Comparison]:
    """n samples by each family that has pictures as results, the cheapest first: by measured time, else by network calls.

    An error of one family is its row's `problem`, and the others go on. Closing the iterator ends the comparison.

    Arguments:
        dataset: one of `gm.data.DATASETS`.
        label: a class as number or name, for faces attributes such as "glasses=round, smiling=yes"; None for any. A model
            without labels samples from the region of its latent space where pictures with this label lie.
        n: 1 to 64 samples of each.
        seed: 0 to 2**31, the same for all.
    Raises:
        ValueError: one sentence on what is allowed.
    """
    rows = compare_steps(dataset, label, n, seed)
    return (row for row in rows if row.finished)


def compare_steps(
    dataset: str,
    label: int | str | None = None,
    n: int = 8,
    seed: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Comparison]:
    """`compare` while it computes: yields each family's row as its samples come to be, its likelihood last.

    Arguments: see `compare`. clock: measures the seconds; `time.thread_time` leaves out what other threads compute.
    """
    check_choice("dataset", dataset, list(gm.data.DATASETS))
    n = check_number("n", n, 1, 64, whole=True)
    seed = check_number("seed", seed, 0, 2**31, whole=True)
    conditions = labels.all_conditions(dataset)
    if isinstance(label, str) or label is None:
        values = labels.parse(conditions, labels.ANY if label is None else label)  # of all attributes, -1 where not given
    else:
        values = check_labels(label, 1, [len(names) for names in conditions.values()])[0].tolist()

    return _each(dataset, lambda name: of_checkpoint(name, values, n, seed, clock), Comparison)


def checkpoints(dataset: str) -> list[str]:
    """The checkpoint of each family for a data set, whether there is one or not, in the order of `compare`."""
    return sorted((f"{family}-{dataset}" for family in families()), key=cost)


# --- One picture ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rebuilding:
    """What one family makes of a picture.

    x: its own picture (1, C, H, W) in [0, 1]. way: how it got there. error: their mean squared difference. likelihood: of the
    picture and of its mirror image. problem: why there is no result, in a sentence. finished: False while something is missing.
    """

    name: str  # of the checkpoint
    family: str
    x: Tensor | None = None
    way: str = ""
    error: float | None = None
    likelihood: Likelihood | None = None
    problem: str = ""
    finished: bool = True


def rebuild(dataset: str, x: Tensor, seed: int = 0) -> Iterator[Rebuilding]:
    """What each family makes of the picture x (1, C, H, W) in [0, 1], one result after another. Arguments: see `compare`."""
    return (row for row in rebuild_steps(dataset, x, seed) if row.finished)


def rebuild_steps(dataset: str, x: Tensor, seed: int = 0) -> Iterator[Rebuilding]:
    """`rebuild` while it computes: yields each family's picture on the way, its likelihoods last."""
    check_choice("dataset", dataset, list(gm.data.DATASETS))
    seed = check_number("seed", seed, 0, 2**31, whole=True)

    def of_checkpoint(name):
        model, row = _load(name), Rebuilding(name, name.split("-")[0], finished=False)
        x_8bit = (255 * model.check_pictures("x", x)[:1]).round() / 255
        for picture in model.rebuild_steps(x_8bit, seed=seed):
            row = replace(row, x=picture.clamp(0, 1), way=model.rebuilds)
            yield row
        error = (row.x - x_8bit).square().mean().item()
        yield (row := replace(row, error=error))
        with torch.no_grad():
            yield replace(row, likelihood=model.pixel_likelihood(torch.cat([x_8bit, x_8bit.flip(3)])), finished=True)

    return _each(dataset, of_checkpoint, Rebuilding)


def path(dataset: str, start: Tensor, end: Tensor, steps: int = 9, seed: int = 0) -> Iterator[Comparison]:
    """Pictures (steps, C, H, W) through the latent space of each family that has one, as `x` of its result.

    start, end: (1, C, H, W) in [0, 1]. steps: 2 to 64.
    """
    check_choice("dataset", dataset, list(gm.data.DATASETS))
    steps = check_number("steps", steps, 2, 64, whole=True)
    seed = check_number("seed", seed, 0, 2**31, whole=True)

    def of_checkpoint(name):
        yield Comparison(name, name.split("-")[0], _load(name).path(start, end, steps, seed=seed))

    return _each(dataset, of_checkpoint, Comparison)


# --- The families ------------------------------------------------------------------------------------------------------


def _each(dataset: str, of_checkpoint: Callable[[str], Iterator[Any]], kind: Callable[..., Any]) -> Iterator[Any]:
    """What is computed of each family's checkpoint, one after another; of one that fails a `kind` with its problem."""
    for name in checkpoints(dataset):
        try:
            yield from of_checkpoint(name)
        except (ValueError, ImportError, RuntimeError) as e:  # CheckpointError; torch's own
            problem = e.args[0] if e.args and isinstance(e.args[0], Message) else str(e).strip().splitlines()[0]
            yield kind(name, name.split("-")[0], problem=problem)
        except Exception as e:  # of a family of others: the rows after it are not to blame
            yield kind(name, name.split("-")[0], problem=f"{type(e).__name__}: {e}")


def _load(name: str) -> Any:
    if name not in gm.checkpoints():
        raise CheckpointError(Message("There is no checkpoint {name}: this family has none for these pictures.", name=name))
    return gm.load(name)


def families() -> list[str]:
    """The families that sample pictures, of which there is a checkpoint for any data set."""
    checkpoints, found = gm.checkpoints(), []
    for family, (module, class_name) in gm.FAMILIES.items():
        named = [name for dataset in gm.data.DATASETS if (name := f"{family}-{dataset}") in checkpoints]
        try:
            if named and getattr(importlib.import_module(module), class_name).class_for(_config(named[0])).samples_pictures:
                found.append(family)
        except Exception:  # of a family of others: its row will say so
            found.append(family)
    return found


def _config(name):
    try:
        return read_config(checkpoint_folder(name))
    except CheckpointError:
        return {}


def cost(name: str) -> tuple[float, int, int]:
    """`cards.cost` of a checkpoint; where it was not measured, with what its model says. The model is loaded."""
    seconds, calls, parameters = gm.cards.cost(name)
    try:
        model = gm.load(name)
    except Exception:  # no checkpoint, or whatever a family of others raises: its row will say so
        return 2**32, calls, parameters
    return seconds, model.sampling_calls, parameter_count(model)


def parameter_count(model: GenerativeModel) -> int:
    return sum(p.numel() for p in model.parameters())


@torch.no_grad()
def of_checkpoint(
    name: str, values: list[int], n: int, seed: int, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Comparison]:
    """The row of a checkpoint as it comes to be. values: a number for each attribute of its data set, -1 where not given."""
    family, dataset = name.split("-")
    model = _load(name)
    names = list(labels.all_conditions(dataset))
    conditions = (
        names if getattr(model, "values", None) else getattr(model, "conditions", ["class"] if model_classes(model) else [])
    )
    label = [values[names.index(attribute)] for attribute in conditions]
    unknown = [attribute for attribute, value in zip(names, values) if value >= 0 and attribute not in conditions]
    note = Message("It does not know {attributes}.", attributes=", ".join(unknown)) if unknown else ""
    parameters = parameter_count(model)
    if in_region := bool(unknown and not conditions):
        mean, std, note = label_region(model, dataset, values)

    started = clock()
    if in_region:
        z = mean + std * randn_rows(n, len(mean), g=generator(seed)).to(mean)
        pictures: Iterator[Tensor] = map(model.decode, [z])  # decoded when the clock runs
    elif max(label, default=-1) < 0:
        pictures = sample_steps(model, n, seed=seed)
    elif getattr(model, "values", None):
        pictures = sample_steps(model, n, label=random_attributes(label, n, seed), seed=seed)
    else:
        pictures = sample_steps(model, n, label=torch.tensor([label] * n), seed=seed)
    row = Comparison(name, family, None, None, model.sampling_calls, parameters, note=note, finished=False)
    seconds = 0.0
    for x in pictures:
        seconds += clock() - started
        row = replace(row, x=x.clamp(0, 1))
        yield row
        started = clock()
    row = replace(row, seconds_per_sample=(seconds + clock() - started) / n)
    yield row

    given = torch.tensor([label] * n) if model_classes(model) else None
    likelihood = model.pixel_likelihood((255 * x.clamp(0, 1)).round() / 255, given)
    yield replace(row, likelihood=likelihood, finished=True)


def sample_steps(model: Any, n: int, **options: Any) -> Iterator[Tensor]:
    """The samples on their way, where a model shows its steps, and finished."""
    if hasattr(model, "sample_steps"):
        for step in model.sample_steps(n, **options):
            yield step.x
    else:
        yield model.sample(n, **options)


def random_attributes(label: list[int], n: int, seed: int) -> Tensor:
    """Labels (n, 16) of faces: attributes that are not given are random, and what the given ones ask for goes with them."""
    given = [(name, values[i]) for i, (name, values) in zip(label, gm.data.ATTRIBUTES.items()) if i >= 0]
    rows = []
    for row in gm.data.sample_attributes(n, seed=seed):
        face = gm.data.attribute_values(row)
        for name, value in given:
            face = gm.data.change_attribute(face, name, value)
        rows.append([-1 if face[k] == "hidden" else values.index(face[k]) for k, values in gm.data.ATTRIBUTES.items()])
    return torch.tensor(rows)


def model_classes(model: GenerativeModel) -> list[int]:
    """The number of values of each attribute that a model is conditioned on."""
    return getattr(model, "classes", [])


def label_region(model: Any, dataset: str, values: list[int]) -> tuple[Tensor, Tensor, str]:
    """Where a model without labels has the codes of test pictures with this label: (mean, standard deviation, a note)."""
    if not hasattr(model, "encode") or not hasattr(model, "decode"):
        raise ValueError(Message("It knows no labels and has no codes of pictures."))
    samples = gm.data.samples(dataset)
    wanted = torch.tensor(values)
    fits = ((wanted < 0) | (samples.y.view(len(samples), -1) == wanted)).all(1)
    if fits.sum() < 2:
        n = int(fits.sum())
        raise ValueError(Message("It knows no labels, and {n} of the test pictures that come with it have this one.", n=n))
    codes = model.encode(samples[fits].floats()).mean
    note = Message("It knows no labels: drawn around the codes of {n} test pictures that have this one.", n=len(codes))
    return codes.mean(0), codes.std(0), note
