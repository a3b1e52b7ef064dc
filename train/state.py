"""The files of a training run: its state, saved and resumed, its log, and the checkpoint that it publishes. Names no model.

The state is one safetensors file, written to a temporary name, synced and renamed; a checkpoint is a folder that is complete
before it gets its name. So whatever fails, the last save and the last checkpoint are whole.
"""

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genmodels.base import GenerativeModel
from genmodels.pictures import grid

Tensors = dict[str, Tensor]


class TrainingError(RuntimeError):
    """The run cannot continue. The message is one sentence."""


# --- The folder of a run ----------------------------------------------------------------------------------------------


class RunFolder:
    """runs/NAME: what a run writes while it is not finished."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state, self.best = folder / "state.safetensors", folder / "best.safetensors"
        self.log, self.samples = folder / "log.jsonl", folder / "samples"

    def begin_log(self) -> None:
        self.log.write_text("", encoding="utf-8")

    def append(self, line: dict[str, Any]) -> None:
        """Add a line to the log."""
        with open(self.log, "a", encoding="utf-8") as f:
            f.write(json.dumps(line) + "\n")

    def lines(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    def drop_after(self, step: int) -> None:
        """Drop what the log says about later steps, which a resumed run takes again."""
        self._write_log(line for line in self.lines() if step_of(line) <= step)

    def add_command(self, command: str, step: int) -> None:
        """Add a command to the log's first: a run that is to end at another step was made by both, and its card says so."""
        first, *others = self.lines()
        head = json.loads(first)
        head["run"]["command"] += f", stopped at step {step}, then {command}"
        self._write_log([json.dumps(head), *others])

    def best_step(self) -> int:
        with safe_open(self.best, "pt") as f:
            return int(f.metadata()["step"])

    def _write_log(self, lines: Iterable[str]) -> None:
        self.log.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def step_of(line: str) -> float:
    """The step of a line of the log; the first line, which has none, counts as step 0."""
    try:
        return json.loads(line).get("step", 0)
    except ValueError:
        return math.inf  # cut off when the process was killed


def check_writable(*folders: Path) -> None:
    """Fail at the start, not after an hour, if a folder cannot be written."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            test_file = folder / f".writable-{os.getpid()}"
            test_file.write_bytes(b"x")
            test_file.unlink()
        except OSError as e:
            raise TrainingError(f"{folder} cannot be written ({e.strerror}): choose another with --runs or --out.") from e


def write_samples(samples: Tensor | str, file: Path) -> None:
    """Write samples as `file`.png, or as `file`.txt if they are a text."""
    if isinstance(samples, str):
        file.with_name(f"{file.name}.txt").write_text(samples, encoding="utf-8")
    else:
        grid(samples.float()).save(file.with_name(f"{file.name}.png"))


# --- Saving and resuming ----------------------------------------------------------------------------------------------


def save(
    file: Path, model: nn.Module, ema: nn.Module, optimizers: Sequence[torch.optim.Optimizer], facts: dict[str, Any]
) -> None:
    """Write the state of a run. facts: what JSON can represent."""
    tensors = {f"model.{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in ema.state_dict().items()}
    for i, optimizer in enumerate(optimizers):
        for j, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{j}.{k}": v for k, v in slots.items()}
    save_tensors(file, tensors, {"facts": json.dumps(facts)})


def read(file: Path) -> tuple[Tensors, dict[str, Any]]:
    """(tensors, facts) of a saved state; a TrainingError if it is broken."""
    try:
        tensors = load_file(file)
        with safe_open(file, "pt") as f:
            facts = json.loads(f.metadata()["facts"])
        identity = json.loads(facts["identity"])
        facts["identity"] = identity | {"config": dict(identity["config"])}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as e:
        raise TrainingError(f"{file} is broken ({e}): --fresh starts the run again.") from e
    return tensors, facts


def current_names(identity: dict[str, Any], renamed_arguments: dict[str, str]) -> dict[str, Any]:
    """A saved identity, which may have been written under older names, under today's."""
    identity = dict(identity)
    if "players" in identity:  # the name of the optimizers before 0.2.0
        identity["optimizers"] = identity.pop("players")
    identity["config"] = {renamed_arguments.get(key, key): value for key, value in identity["config"].items()}
    return identity


def restore(tensors: Tensors, model: nn.Module, ema: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Put a saved state's tensors into the weights, their average and the optimizers."""
    model.load_state_dict(_under("model.", tensors))
    ema.load_state_dict(_under("ema.", tensors))
    for i, optimizer in enumerate(optimizers):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, Tensors] = {}
        for key, v in _under(f"optimiser.{i}.", tensors).items():
            j, slot = key.split(".")
            parameter = parameters[int(j)]
            if v.shape == parameter.shape:  # in the same memory format: the fused kernel reads both in memory order
                v = torch.empty_like(parameter).copy_(v)
            state.setdefault(int(j), {})[slot] = v
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def save_tensors(file: Path, tensors: Tensors, metadata: dict[str, str]) -> None:
    """Write a safetensors file atomically."""
    temporary = file.with_name(f".{file.name}.new")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, str(temporary), metadata=metadata)
        _sync(temporary)
        os.replace(temporary, file)
    except (OSError, SafetensorError) as e:
        temporary.unlink(missing_ok=True)
        raise TrainingError(
            f"{file} could not be written ({e}): free some space or choose another folder with --runs; the last save is intact."
        ) from e


def _sync(file: Path) -> None:
    with open(file, "rb+") as f:
        os.fsync(f.fileno())


# --- Publishing -------------------------------------------------------------------------------------------------------


def publish(
    run: RunFolder,
    out: Path,
    model: GenerativeModel,
    samples: Callable[[Any], Tensor | str],
    *,
    bits: int,
    parent_log: list[str],
    facts: dict[str, Any],
    finish: Callable[[Any, Path], None] | None,
) -> None:
    """Write the best weights as the checkpoint `out`, first to a temporary folder: until it is complete the old one stays.

    model: any weights of its class, which are overwritten; parent_log: the lines that come before this run's; facts: added to
    what the log's first line says about the run; finish: writes further files.
    """
    model.load_state_dict(load_file(run.best))
    temporary, old = out.with_name(f".{out.name}.new"), out.with_name(f".{out.name}.old")
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        model = model.cpu().to(memory_format=torch.contiguous_format)
        model._save_pretrained(temporary, bits=bits)
        model = type(model).from_pretrained(temporary)  # with the rounded weights that will be loaded
        with torch.inference_mode():
            write_samples(samples(model), temporary / "samples")
        first, *others = run.lines()
        head = json.loads(first)
        head["run"] |= facts | {"published_step": run.best_step()}
        lines = "\n".join([*parent_log, json.dumps(head), *others])
        (temporary / "log.jsonl").write_text(lines + "\n", encoding="utf-8")
        if finish:
            finish(model, temporary)
        for file in temporary.iterdir():
            _sync(file)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(out, old)
        os.rename(temporary, out)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as e:
        shutil.rmtree(temporary, ignore_errors=True)
        raise TrainingError(
            f"{out} could not be written ({e.strerror or e}): the run is kept in {run.folder}; the same "
            "command publishes it once there is space."
        ) from e
    run.state.unlink(missing_ok=True)
