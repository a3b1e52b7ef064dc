"""The training loop of all recipes, on Accelerate. It names no model.

A run is a list of players that take turns on each batch: one for most models, two for a GAN. Everything that happens at a
step is a function of the seed and the step's number (batch, noise, learning rate), so a run that was killed and resumed is,
loss for loss, the run that was never stopped. State is one safetensors file, written aside, synced and renamed.

    runs/NAME/           state.safetensors, best.safetensors, log.jsonl, samples/   (while it trains; not shipped)
    checkpoints/NAME/    model.safetensors, config.json, samples.png, log.jsonl     (when it is done)
"""

import copy
import ctypes
import inspect
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from typing import Annotated

import torch
import typer
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from genmodels.base import CheckpointError, GenerativeModel, check_number, checkpoint_folder, checkpoint_root
from genmodels.data import Pictures
from genmodels.pictures import grid

PROBE = (5, 25)  # the speed is measured from the first of these steps to the last


class TrainingError(RuntimeError):
    """The run cannot go on. The message is one sentence."""


@dataclass
class OptimizerConfig:
    """One optimiser: which part of the model it moves, and the method of the model that returns its losses."""

    method: str = "loss"
    part: str = ""  # name of a submodule; "" is the whole model
    lr: float = 1e-3
    betas: tuple = (0.9, 0.999)
    weight_decay: float = 0.0  # on matrices and convolutions only
    muon: bool = False  # matrices other than tables of embeddings, and convolutions, by `Muon`, at the same learning rate


class Muon(torch.optim.Muon):
    """Muon (Jordan et al. 2024), for kernels of convolutions too: (out, in, h, w) is a matrix (out, h w in) to it.

    The kernels must lie channels last, so that the matrix is a view of them.
    """

    def __init__(self, weights, **options):
        super().__init__([torch.zeros(1, 1)], **options)  # torch refuses kernels here, and nowhere else
        self.param_groups[0]["params"] = list(weights)

    def _init_group(self, group, *lists):  # weights, gradients, momenta: what the step then works on
        is_complex = super()._init_group(group, *lists)
        for tensors in lists:
            tensors[:] = [t.permute(0, 2, 3, 1).view(len(t), -1) if t.ndim == 4 else t for t in tensors]
        return is_complex


@dataclass
class Recipe:
    """What a recipe hands to the loop."""

    name: str  # of the checkpoint
    model: GenerativeModel
    train: Pictures  # or another that has a length and `batch(indices)`, the tensors of a step
    validate: Callable  # model -> dict of numbers; of the first, the smaller the better
    samples: Callable  # model -> pictures (N, C, H, W) in [0, 1] for the grid, or a text
    players: list = field(default_factory=lambda: [OptimizerConfig()])
    batch: int = 128  # of each process
    minutes: float = 10.0
    warmup: int = 200  # steps
    cooldown: float = 0.2  # last share of the run, in which the learning rate falls to zero
    clip: float = 1.0  # of the gradient's norm
    ema: float = 0.999
    augment: Callable | None = None  # x (B, C, H, W) in [0, 1] -> the same shape
    bits: int = 8  # of a weight in the checkpoint, see `GenerativeModel._save_pretrained`
    finish: Callable | None = None  # (model, folder) -> None: writes further files of the checkpoint
    moment: Callable | None = None  # (model, step) -> None: looks at the weights in training, at steps ever further apart
    anneal: Callable | None = None  # (model, share of the run that is over) -> None: before each step, sets weights of losses


@dataclass
class Settings:
    """Options that every recipe has."""

    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/, FashionMNIST/ or avatars/; it is only read.")] = (
        None
    )
    out: Annotated[Path | None, typer.Option(help="Checkpoint's folder. [default: checkpoints/NAME]")] = None
    runs: Annotated[Path, typer.Option(help="Where unfinished runs are kept.")] = Path("runs")
    minutes: Annotated[float | None, typer.Option(help="Time budget; the speed is measured once. [default: the recipe's]")] = (
        None
    )
    steps: Annotated[
        int | None,
        typer.Option(help="Number of steps, instead of --minutes. More than a stopped run began with: it goes on longer."),
    ] = None
    batch: Annotated[int | None, typer.Option(help="Pictures a step and process. [default: the recipe's]")] = None
    lr: Annotated[float | None, typer.Option(help="Learning rate of all players. [default: the recipe's]")] = None
    seed: Annotated[int, typer.Option(help="Of batches, noise and first weights.")] = 0
    init_from: Annotated[str | None, typer.Option(help="Checkpoint (name or folder) whose weights to go on from.")] = None
    cooldown: Annotated[
        bool, typer.Option("--cooldown", help="Finish the unfinished run now: only its last part, the cooldown.")
    ] = False
    fresh: Annotated[bool, typer.Option("--fresh", help="Throw an unfinished run of this name away.")] = False
    precision: Annotated[str, typer.Option(help="auto, no, bf16 or fp16; auto is bf16 where the device has it.")] = "auto"
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile the model.")] = False
    tracker: Annotated[str | None, typer.Option(help="'tensorboard' writes runs/NAME/tensorboard.")] = None
    save_every: Annotated[float, typer.Option(help="Seconds between saves of the run.")] = 60.0
    validations: Annotated[int, typer.Option(help="How often the run is validated, evenly spread.")] = 10
    log_every: Annotated[int, typer.Option(help="Steps between lines of the log.")] = 50


def command(recipe):
    """Make a command line of a function that takes its own options and `settings`, and returns a `Recipe`.

    Errors that say what is wrong in a sentence end it with that sentence, not with a traceback.
    """

    def main(**options):
        settings = Settings(**{f.name: options.pop(f.name) for f in fields(Settings)})
        try:
            check(settings)
            keep_freed_memory()
            torch.manual_seed(settings.seed)  # first weights
            fit(recipe(settings=settings, **options), settings)
        except (TrainingError, ValueError, OSError) as e:
            typer.echo(f"Error: {e}", err=True)
            raise typer.Exit(1) from None

    own = [p for p in inspect.signature(recipe).parameters.values() if p.name != "settings"]
    shared = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
        for f in fields(Settings)
    ]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    main.__signature__ = inspect.Signature([*keyword, *shared])
    main.__annotations__ = {p.name: p.annotation for p in [*keyword, *shared]}
    main.__doc__ = recipe.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    return app


def check(settings):
    """Refuse settings out of bounds, with a ValueError that says what is allowed."""
    for name, low, high, whole in (
        ("minutes", 0.01, 100_000, False),
        ("steps", 1, 10**9, True),
        ("batch", 1, 65536, True),
        ("lr", 1e-8, 10, False),
        ("seed", 0, 2**31, True),
        ("save_every", 0, 10**6, False),
        ("validations", 1, 10_000, True),
        ("log_every", 1, 10**6, True),
    ):
        value = getattr(settings, name)
        if value is not None:
            check_number(f"--{name.replace('_', '-')}", value, low, high, whole)
    if settings.precision not in ("auto", "no", "bf16", "fp16"):
        raise ValueError(f"--precision must be auto, no, bf16 or fp16, not {settings.precision!r}.")
    if settings.tracker not in (None, "tensorboard"):
        raise ValueError(f"--tracker must be tensorboard, not {settings.tracker!r}.")


def learning_rate(step, warmup, total, cooldown=0.2):
    """Factor on a player's rate: linear warm-up, constant, linear cooldown. total: None while unknown."""
    rise = min(1.0, (step + 1) / max(1, warmup))
    if total is None:
        return rise
    last = max(1, total - int((1 - cooldown) * total))
    return min(rise, max(0.0, (total - step) / last))


def is_moment(step, total):
    """Whether this step is one to look at: the first, the last, and each time the number of steps has grown by a sixth.

    A training changes most at its beginning; of 8,000 steps these are 55.
    """
    return step in (0, 1, total) or step > 1 and math.floor(6.5 * math.log(step)) > math.floor(6.5 * math.log(step - 1))


def keep_freed_memory():
    """Ask glibc not to hand large freed blocks back to the system after each operation.

    The next step allocates the same sizes again, and every fresh page is a fault: 25,000 of them a step for a small
    convolutional net, which made two-core training two to three times slower. Elsewhere than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((-3, 2**30), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(option, value)


def fit(recipe, settings):
    """Train, resume or finish a run, and publish its best weights. Returns the checkpoint's folder."""
    return Run(recipe, settings).fit()


class Run:
    """One run: what `fit` holds between steps."""

    def __init__(self, recipe, settings):
        self.recipe, self.settings = recipe, settings
        self.folder = settings.runs / recipe.name
        self.out = settings.out or checkpoint_root() / recipe.name
        self.batch = settings.batch or recipe.batch
        self.step, self.total, self.best, self.sums, self.seconds = 0, None, None, {}, 0.0
        self.parent_log, self.stop = [], None

        precision = settings.precision
        if precision == "auto":
            precision = "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "no"
        several = len(recipe.players) > 1  # a player's turn leaves the others' parameters without gradient
        self.accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),  # said aloud, so that several processes find each other without one too
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=several)],
            mixed_precision=precision,
            log_with=settings.tracker,
            project_dir=str(self.folder) if settings.tracker else None,
            dynamo_backend="inductor" if settings.compile else None,
        )
        self.main = self.accelerator.is_main_process
        world = self.accelerator.num_processes
        if len(recipe.train) < world:
            raise TrainingError(f"{len(recipe.train)} training pictures are too few for {world} processes.")
        self.batch = min(self.batch, len(recipe.train) // world)

        model = recipe.model
        if settings.init_from:
            self._start_from(model, checkpoint_folder(settings.init_from))
        self.ema = copy.deepcopy(model).to(self.accelerator.device).eval().requires_grad_(False)
        model.train().to(memory_format=torch.channels_last)
        groups = [(p, list((model.get_submodule(p.part) if p.part else model).parameters())) for p in recipe.players]
        self.parameters = [parameters for _, parameters in groups]
        tables = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Embedding)}
        optimisers, self.owners = [], []  # a player has one optimiser or two
        for i, (player, parameters) in enumerate(groups):
            lr, decay = settings.lr or player.lr, player.weight_decay
            matrices = [w for w in parameters if w.ndim in (2, 4) and id(w) not in tables] if player.muon else []
            if matrices:
                optimisers.append(Muon(matrices, lr=lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"))
                self.owners.append(i)
            taken = {id(w) for w in matrices}
            decayed = [w for w in parameters if w.ndim >= 2 and id(w) not in taken]
            rest = [w for w in parameters if w.ndim < 2]
            kinds = [{"params": decayed, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
            optimisers.append(torch.optim.AdamW(kinds, lr=lr, betas=player.betas, fused=True))
            self.owners.append(i)
        self.model, *self.optimisers = self.accelerator.prepare(model, *optimisers)
        self.plain = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)

    def _start_from(self, model, folder):
        """Take the weights of a checkpoint of the same configuration, and its log as the beginning of ours."""
        source = type(model).from_pretrained(folder)
        if any(source.config.get(k) != v for k, v in model.config.items() if k != "beta"):
            raise CheckpointError(f"{folder} has another configuration than this recipe: {source.config}, not {model.config}.")
        model.load_state_dict(source.state_dict())
        if (folder / "log.jsonl").is_file():
            self.parent_log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()

    # --- the loop ---

    def fit(self):
        settings = self.settings
        if self.main:
            self._make_folders()
        if settings.fresh and self.main:
            (self.folder / "state.safetensors").unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        if (self.folder / "state.safetensors").is_file():
            self._load()
        elif settings.cooldown:
            raise TrainingError(f"There is no unfinished run in {self.folder} for --cooldown to finish.")
        elif self.main:
            (self.folder / "log.jsonl").write_text("", encoding="utf-8")
        if settings.cooldown:
            self._go_on()
            self.total = max(self.step + 1, math.ceil(self.step / (1 - self.recipe.cooldown)))
        elif settings.steps and settings.steps > (self.total or 0):
            if self.step and self.total:
                self._go_on()
            self.total = settings.steps
        if settings.tracker:
            self.accelerator.init_trackers(".", config={})
        if self.step == 0:
            self._log({"run": self._facts()})

        handlers = {s: signal.signal(s, self._asked_to_stop) for s in (signal.SIGINT, signal.SIGTERM)}
        bar = tqdm(total=self.total, initial=self.step, unit="step", disable=None if self.main else True, mininterval=1)
        saved = began = self.ticked = time.monotonic()
        first = self.step  # of this process: one that was stopped before the speed was known measures it anew
        try:
            if self.step == 0:
                self._moment()
            while self.total is None or self.step < self.total:
                if self.total is None and self.step == first + PROBE[0]:
                    probe = time.monotonic()
                losses = self._turns()
                self.step += 1
                if self.total is None and self.step == first + PROBE[1]:
                    self.total = self._agree_on_total((time.monotonic() - probe) / (PROBE[1] - PROBE[0]))
                    bar.total = self.total
                self._account(losses, bar)
                self._moment()
                if self.total and self.step < self.total and self.step % max(1, self.total // settings.validations) == 0:
                    self._validate()
                now = time.monotonic()
                if self.stop or now - saved > settings.save_every and self.total:
                    self.seconds += now - began
                    saved = began = now
                    self._save()
                    if self.stop:
                        bar.close()
                        print(
                            f"\nStopped and saved after step {self.step} of {self.total or '?'}: "
                            "the same command goes on from there; with --cooldown it finishes.",
                            file=sys.stderr,
                        )
                        sys.exit(128 + self.stop)
            self.seconds += time.monotonic() - began
            bar.close()
            self._save()  # so that a full disk now costs no training
            self._validate()
            folder = self._publish() if self.main else self.out
            self.accelerator.wait_for_everyone()
            if settings.tracker:
                self.accelerator.end_training()
            return folder
        finally:
            for s, handler in handlers.items():
                signal.signal(s, handler)

    def _turns(self):
        """One batch: each player descends its loss once. Returns all terms, as floats."""
        batch = self._batch()
        factor = learning_rate(self.step, self.recipe.warmup, self.total, self.recipe.cooldown)
        if self.recipe.anneal:
            self.recipe.anneal(self.plain, self.step / self.total if self.total else 0.0)
        everything = {}
        for i, player in enumerate(self.recipe.players):
            mine = [o for o, owner in zip(self.optimisers, self.owners) if owner == i]
            for group in (g for optimiser in mine for g in optimiser.param_groups):
                group["lr"] = factor * (self.settings.lr or player.lr)
            for other in self.optimisers:
                other.zero_grad(set_to_none=True)
            with self.accelerator.autocast():
                losses = self.model(batch, method=player.method)
            self.accelerator.backward(losses["loss"])
            norm = self.accelerator.clip_grad_norm_(self.parameters[i], self.recipe.clip)
            terms = self._mean_of_processes({**losses, "gradient": norm})
            scaled = self.accelerator.scaler is not None  # fp16 skips a step of its own accord if the gradient overflows
            bad = [k for k, v in terms.items() if not math.isfinite(v) and not (scaled and k == "gradient")]
            if bad:  # before the step: the weights are still good
                raise TrainingError(
                    f"The term '{bad[0]}' of {player.method} became {terms[bad[0]]} at step {self.step + 1}: nothing "
                    f"of this step was kept; the last save is {self.folder / 'state.safetensors'}. Try a smaller --lr."
                )
            for optimiser in mine:
                optimiser.step()
            prefix = "" if len(self.recipe.players) == 1 else f"{player.method}/"
            everything |= {prefix + k: v for k, v in terms.items()}
        self._average()
        return everything

    def _mean_of_processes(self, terms):
        """Named scalars as floats, averaged over the processes, which so also agree whether one was asked to stop."""
        stop = torch.tensor(float(self.stop or 0), device=self.accelerator.device)
        values = torch.stack([*(v.detach().float() for v in terms.values()), stop])
        if self.accelerator.num_processes > 1:
            together = self.accelerator.gather(values[None])
            values = torch.cat([together[:, :-1].mean(0), together[:, -1:].amax(0)])
            self.stop = int(values[-1]) or None
        return dict(zip(terms, values.tolist()))

    def _batch(self):
        """This process's part of the step's batch, a function of seed and step alone."""
        world, rank, n = self.accelerator.num_processes, self.accelerator.process_index, len(self.recipe.train)
        whole = self.batch * world
        per_epoch = n // whole
        epoch, place = divmod(self.step, per_epoch)
        if getattr(self, "_epoch", None) != epoch:
            shuffle = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(n, generator=shuffle)
        i = self._order[place * whole + rank * self.batch :][: self.batch]
        torch.manual_seed((self.settings.seed * 1_000_003 + self.step) * 1009 + rank)  # noise and augmentation of this step
        x, *rest = (part.to(self.accelerator.device) for part in self.recipe.train.batch(i))
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return (self.recipe.augment(x) if self.recipe.augment else x), *rest

    @torch.no_grad()
    def _average(self):
        """Exponential moving average of the parameters; buffers such as batch statistics are copied."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.plain.parameters()), 1 - decay)
        for mine, theirs in zip(self.ema.buffers(), self.plain.buffers()):
            mine.copy_(theirs)

    def _agree_on_total(self, seconds_per_step):
        """The number of steps that fits the budget, measured by one process and told to all."""
        minutes = self.settings.minutes or self.recipe.minutes
        total = [max(self.step + 1, int(0.95 * minutes * 60 / seconds_per_step))]  # a twentieth is left for validation
        return broadcast_object_list(total)[0]

    def _account(self, losses, bar):
        """Sum the losses; every so often write their means to the log and the bar."""
        for k, v in losses.items():
            self.sums[k] = self.sums.get(k, 0.0) + v
        self.sums["n"] = self.sums.get("n", 0) + 1
        bar.update()
        if self.step % self.settings.log_every == 0 or self.step == self.total:
            n = self.sums.pop("n")
            means = {k: v / n for k, v in self.sums.items()}
            self.sums = {}
            rate = learning_rate(self.step - 1, self.recipe.warmup, self.total, self.recipe.cooldown)
            self._log({"step": self.step, **{k: float(f"{v:.6g}") for k, v in means.items()}, "rate": round(rate, 4)})
            now = time.monotonic()
            speed, self.ticked = n * self.batch * self.accelerator.num_processes / (now - self.ticked), now
            bar.set_postfix({"loss": f"{next(iter(means.values())):.4g}", "pictures/s": f"{speed:.0f}"})

    def _moment(self):
        if self.recipe.moment and self.main and is_moment(self.step, self.total):
            self.plain.eval()
            self.recipe.moment(self.plain, self.step)
            self.plain.train()

    def _validate(self):
        """Measure the averaged weights, keep the best, draw a grid."""
        if self.main:
            model = self.ema.to(memory_format=torch.contiguous_format)
            with torch.inference_mode():
                measured = {k: float(v) for k, v in self.recipe.validate(model).items()}
            score = next(iter(measured.values()))
            if not math.isfinite(score):
                raise TrainingError(
                    f"Validation gave {next(iter(measured))} = {score} at step {self.step}; the best weights so "
                    f"far stay in {self.folder / 'best.safetensors'}."
                )
            if self.best is None or score < self.best:
                self.best = score
                _write(self.folder / "best.safetensors", model.state_dict(), {"step": str(self.step)})
            self._log({"step": self.step, "validation": {k: float(f"{v:.6g}") for k, v in measured.items()}})
            (self.folder / "samples").mkdir(exist_ok=True)
            self._draw(model, self.folder / "samples" / f"{self.step:07d}")
            print(f"step {self.step}/{self.total} validation {measured}", flush=True)
        self.accelerator.wait_for_everyone()

    def _draw(self, model, file):
        """Samples as a picture or a text, its name's ending put on."""
        with torch.inference_mode():
            drawn = self.recipe.samples(model)
        if isinstance(drawn, str):
            file.with_name(f"{file.name}.txt").write_text(drawn, encoding="utf-8")
        else:
            grid(drawn.float()).save(file.with_name(f"{file.name}.png"))

    def _log(self, line):
        if self.main:
            with open(self.folder / "log.jsonl", "a", encoding="utf-8") as f:
                f.write(json.dumps(line) + "\n")
            if self.settings.tracker and "step" in line:
                flat = line.get("validation") or {k: v for k, v in line.items() if k != "step"}
                prefix = "validation/" if "validation" in line else ""
                self.accelerator.log({prefix + k: v for k, v in flat.items()}, step=line["step"])

    def _facts(self):
        """What the card will say about how this was made."""
        device = self.accelerator.device
        gpu = torch.cuda.get_device_name() if device.type == "cuda" else None
        return {
            "command": "python -m "
            + " ".join([Path(sys.argv[0]).resolve().parent.name + "." + Path(sys.argv[0]).stem, *_public(sys.argv[1:])]),
            "seed": self.settings.seed,
            "batch": self.batch * self.accelerator.num_processes,
            "device": gpu or f"{device.type}, {torch.get_num_threads()} threads",
            "pictures": len(self.recipe.train),
            "parameters": sum(p.numel() for p in self.plain.parameters()),
            "date": str(date.today()),
            "players": [asdict(p) | ({"lr": self.settings.lr} if self.settings.lr else {}) for p in self.recipe.players],
            "init_from": self.settings.init_from,
            "precision": self.accelerator.mixed_precision,
        }

    def _go_on(self):
        """A stopped run is to end at another step than it was begun with: the card names both commands."""
        if self.main:
            log = self.folder / "log.jsonl"
            first, *rest = log.read_text(encoding="utf-8").splitlines()
            first = json.loads(first)
            first["run"]["command"] += f", stopped at step {self.step}, then {self._facts()['command']}"
            log.write_text("".join(line + "\n" for line in [json.dumps(first), *rest]), encoding="utf-8")

    def _asked_to_stop(self, sign, frame):
        self.stop = sign

    # --- saving ---

    def _make_folders(self):
        """Fail now, not after an hour, if a folder cannot be written."""
        for folder in (self.folder, self.out.parent):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                probe = folder / f".writable-{os.getpid()}"
                probe.write_bytes(b"x")
                probe.unlink()
            except OSError as e:
                raise TrainingError(f"{folder} cannot be written ({e.strerror}): name another with --runs or --out.") from e

    def _identity(self):
        """What must be the same for a resumed run to be the same run."""
        return json.dumps(
            {
                "config": self.plain.config,
                "seed": self.settings.seed,
                "batch": self.batch,
                "processes": self.accelerator.num_processes,
                "pictures": len(self.recipe.train),
                "lr": self.settings.lr,
                "players": [asdict(p) for p in self.recipe.players],
                "init_from": self.settings.init_from,
            }
        )

    def _save(self):
        if not self.main:
            return
        tensors = {f"model.{k}": v for k, v in self.plain.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.state_dict().items()}
        for i, optimiser in enumerate(self.optimisers):
            for j, slots in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser.{i}.{j}.{k}": v for k, v in slots.items()}
        scaler = self.accelerator.scaler
        facts = {
            "step": self.step,
            "total": self.total,
            "best": self.best,
            "sums": self.sums,
            "seconds": self.seconds,
            "identity": self._identity(),
            "parent_log": self.parent_log,
            "scaler": scaler.state_dict() if scaler else None,
        }
        _write(self.folder / "state.safetensors", tensors, {"facts": json.dumps(facts)})

    def _load(self):
        """Go on from the last save; lines of the log that came after it are dropped."""
        file = self.folder / "state.safetensors"
        try:
            tensors = load_file(file)
            with safe_open(file, "pt") as f:
                facts = json.loads(f.metadata()["facts"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as e:
            raise TrainingError(f"{file} is broken ({e}): --fresh starts the run anew.") from e
        if facts["identity"] != self._identity():
            raise TrainingError(
                f"{self.folder} holds an unfinished run with other settings: give the same ones to go on, or "
                "--fresh to throw it away."
            )
        self.plain.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        self.ema.load_state_dict({k[4:]: v for k, v in tensors.items() if k.startswith("ema.")})
        for i, optimiser in enumerate(self.optimisers):
            moved = [p for group in optimiser.param_groups for p in group["params"]]
            state = {}
            for key, v in tensors.items():
                if key.startswith(f"optimiser.{i}."):
                    j, slot = key.split(".")[2:]
                    # in the parameter's own memory layout: the fused kernel walks both as they lie
                    like = moved[int(j)]
                    state.setdefault(int(j), {})[slot] = torch.empty_like(like).copy_(v) if v.shape == like.shape else v
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        if self.accelerator.scaler is not None and facts["scaler"]:
            self.accelerator.scaler.load_state_dict(facts["scaler"])
        for name in ("step", "total", "best", "sums", "seconds", "parent_log"):
            setattr(self, name, facts[name])
        if self.main:
            log = self.folder / "log.jsonl"
            kept = [line for line in log.read_text(encoding="utf-8").splitlines() if _step_of(line) <= self.step]
            log.write_text("".join(line + "\n" for line in kept), encoding="utf-8")
            print(f"Going on from step {self.step} of {self.total or '?'} ({file}).", flush=True)

    def _publish(self):
        """Write the checkpoint's folder aside, then put it in place: the old one stays whole until the new one is."""
        best = load_file(self.folder / "best.safetensors")
        self.ema.load_state_dict(best)
        aside, old = (self.out.with_name(f".{self.out.name}.{what}") for what in ("new", "old"))
        try:
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            model = self.ema.cpu().to(memory_format=torch.contiguous_format)
            model._save_pretrained(aside, bits=self.recipe.bits)
            model = type(model).from_pretrained(aside)  # what visitors will get, rounded
            self._draw(model, aside / "samples")
            lines = (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
            head = json.loads(lines[0])
            head["run"] |= {
                "steps": self.step,
                "minutes": round(self.seconds / 60, 1),
                "published_step": self._best_step(),
            }
            (aside / "log.jsonl").write_text(
                "\n".join([*self.parent_log, json.dumps(head), *lines[1:]]) + "\n", encoding="utf-8"
            )
            if self.recipe.finish:
                self.recipe.finish(model, aside)
            for file in aside.iterdir():
                _sync(file)
            if self.out.exists():
                shutil.rmtree(old, ignore_errors=True)
                os.rename(self.out, old)
            os.rename(aside, self.out)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as e:
            shutil.rmtree(aside, ignore_errors=True)
            raise TrainingError(
                f"{self.out} could not be written ({e.strerror or e}): the run is kept in {self.folder}, the same "
                "command publishes it once there is room."
            ) from e
        (self.folder / "state.safetensors").unlink(missing_ok=True)
        print(f"Published {self.out} (step {self._best_step()}, {self.seconds / 60:.1f} minutes).", flush=True)
        return self.out

    def _best_step(self):
        with safe_open(self.folder / "best.safetensors", "pt") as f:
            return int(f.metadata()["step"])


def _step_of(line):
    """The step of a line of the log; the first line, which has none, belongs to step 0."""
    try:
        return json.loads(line).get("step", 0)
    except ValueError:
        return math.inf  # cut off when the process was killed


def _public(arguments):
    """The command line without this machine's folders."""
    skip, kept = False, []
    for a in arguments:
        if skip:
            skip = False
        elif a in ("--data-dir", "--out", "--runs"):
            skip = True
        elif not a.startswith(("--data-dir=", "--out=", "--runs=")):
            kept.append(a)
    return kept


def _write(file, tensors, metadata):
    """A safetensors file that is there whole or not at all."""
    aside = file.with_name(f".{file.name}.new")
    try:
        save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, str(aside), metadata=metadata)
        _sync(aside)
        os.replace(aside, file)
    except (OSError, SafetensorError) as e:
        aside.unlink(missing_ok=True)
        raise TrainingError(
            f"{file} could not be written ({e}): make room or name another folder with --runs; what was saved before is intact."
        ) from e


def _sync(file):
    with open(file, "rb+") as f:
        os.fsync(f.fileno())
