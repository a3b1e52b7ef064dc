"""The training loop of all recipes, on Accelerate. It names no model.

A run has a list of optimizers that take turns on each batch: one for most models, two for a GAN. Everything that happens at a
step is a function of the seed and the step's number (batch, noise, learning rate), so a run that was killed and resumed has the
same losses as one that was never stopped. What it writes, and how it is resumed, is in `train.state`.

    runs/NAME/           state.safetensors, best.safetensors, log.jsonl, samples/   (during training; not shipped)
    checkpoints/NAME/    model.safetensors, config.json, samples.png, log.jsonl     (after training)
"""

import contextlib
import copy
import ctypes
import inspect
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, Protocol

import torch
import typer
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from tqdm import tqdm

from genmodels.base import CheckpointError, GenerativeModel, check_number, checkpoint_folder, checkpoint_root
from train import state
from train.state import RunFolder, TrainingError

LOSS_ARGUMENTS = ("beta", "noises", "strongest")  # of models: they change the loss alone, so --init-from may change them
PROBE_STEPS = (5, 25)  # the speed is measured between these two steps


@dataclass
class OptimizerConfig:
    """One optimizer: which part of the model it updates, and the method of the model that returns its losses."""

    method: str = "loss"
    part: str = ""  # name of a submodule; "" is the whole model
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0  # on matrices and convolutions only
    muon: bool = False  # `Muon` for convolutions and for matrices except embeddings, with the same learning rate


class Muon(torch.optim.Muon):
    """Muon (Jordan et al. 2024), also for convolution kernels: (out, in, h, w) is treated as a matrix (out, h w in).

    The kernels must have the channels-last memory format, so that the matrix is a view of them.
    """

    def __init__(self, weights: list[nn.Parameter], **options: Any) -> None:
        super().__init__([torch.zeros(1, 1)], **options)  # only torch's constructor refuses kernels; they are set below
        self.param_groups[0]["params"] = list(weights)

    def _init_group(self, group, *lists):  # lists of weights, gradients and momenta, which the step then updates
        is_complex = super()._init_group(group, *lists)
        for tensors in lists:
            tensors[:] = [t.permute(0, 2, 3, 1).view(len(t), -1) if t.ndim == 4 else t for t in tensors]
        return is_complex


class TrainingData(Protocol):
    """What the loop needs of a dataset; `genmodels.data.Pictures` is one."""

    def __len__(self) -> int: ...

    def batch(self, i: Tensor) -> tuple[Tensor, ...]:
        """The tensors of the items with indices i."""
        ...


@dataclass(kw_only=True)
class Recipe:
    """What a recipe passes to the loop. `Any` stands for the recipe's own model class."""

    name: str  # of the checkpoint
    model: GenerativeModel
    train: TrainingData
    validate: Callable[[Any], dict]  # model -> numbers; the first selects the best weights: lower is better
    samples: Callable[[Any], Tensor | str]  # model -> pictures (N, C, H, W) in [0, 1] for the grid, or a text
    optimizers: list[OptimizerConfig] = field(default_factory=lambda: [OptimizerConfig()])
    batch: int = 128  # per process
    minutes: float = 10.0
    warmup: int = 200  # steps
    cooldown: float = 0.2  # last share of the run, in which the learning rate falls to zero
    clip: float = 1.0  # largest norm of the gradient
    ema: float = 0.999
    augment: Callable[[Tensor], Tensor] | None = None  # x (B, C, H, W) in [0, 1] -> the same shape
    bits: int = 8  # per weight in the checkpoint, see `GenerativeModel._save_pretrained`
    finish: Callable[[Any, Path], None] | None = None  # (model, folder): writes further files of the checkpoint
    after: Callable[[Path], None] | None = None  # (folder): what follows when the checkpoint is there, such as its card
    snapshot: Callable[[Any, int], None] | None = None  # (model, step): records the model at the steps of `is_snapshot_step`
    anneal: Callable[[Any, float], None] | None = None  # (model, share of the run done): sets loss weights before each step


@dataclass
class Settings:
    """Options that every recipe has."""

    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with MNIST/, FashionMNIST/ or avatars/, or of your own pictures; it is never written to."),
    ] = None
    out: Annotated[Path | None, typer.Option(help="Folder of the checkpoint. [default: checkpoints/NAME]")] = None
    runs: Annotated[Path, typer.Option(help="Folder for unfinished runs.")] = Path("runs")
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Time budget; the speed is measured once, at the start. Another one makes a stopped run longer or shorter. "
            "[default: the recipe's]"
        ),
    ] = None
    steps: Annotated[
        int | None,
        typer.Option(help="Number of steps, instead of --minutes. Another one makes a stopped run longer or shorter."),
    ] = None
    batch: Annotated[int | None, typer.Option(help="Batch size per process. [default: the recipe's]")] = None
    lr: Annotated[float | None, typer.Option(help="Learning rate of all optimizers. [default: the recipe's]")] = None
    seed: Annotated[int, typer.Option(help="Seed of batches, noise and initial weights.")] = 0
    init_from: Annotated[str | None, typer.Option(help="Checkpoint (name or folder) whose weights to start from.")] = None
    cooldown: Annotated[
        bool, typer.Option("--cooldown", help="Finish the unfinished run now, with only its last part, the cooldown.")
    ] = False
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an unfinished run of this name.")] = False
    precision: Annotated[str, typer.Option(help="auto, no, bf16 or fp16; auto is bf16 where the device has it.")] = "auto"
    compile: Annotated[bool, typer.Option("--compile", help="torch.compile the model.")] = False
    tracker: Annotated[str | None, typer.Option(help="'tensorboard' writes event files into runs/NAME.")] = None
    save_every: Annotated[float, typer.Option(help="Seconds between saves of the run's state.")] = 60.0
    validations: Annotated[int, typer.Option(help="Number of validations, evenly spaced over the run.")] = 10
    log_every: Annotated[int, typer.Option(help="Steps between lines of the log.")] = 50


def command(recipe: Callable[..., Recipe]) -> typer.Typer:
    """Make a command line from a function that takes its own options and `settings`, and returns a `Recipe`.

    Expected errors are printed as one sentence, without a traceback.
    """

    def main(**options):
        settings = Settings(**{f.name: options.pop(f.name) for f in fields(Settings)})
        try:
            check_settings(settings)
            keep_freed_memory()
            torch.manual_seed(settings.seed)  # initial weights
            fit(recipe(settings=settings, **options), settings)
        except (TrainingError, ValueError, OSError) as e:
            typer.echo(f"Error: {e}", err=True)
            raise typer.Exit(1) from None

    # typer reads the options from the signature: the recipe's own, then those of all recipes
    own_options = [p for p in inspect.signature(recipe).parameters.values() if p.name != "settings"]
    shared_options = [
        inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
        for f in fields(Settings)
    ]
    parameters = [*(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own_options), *shared_options]
    main.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # as inspect documents
    main.__annotations__ = {p.name: p.annotation for p in parameters}
    main.__doc__ = recipe.__doc__
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    return app


def check_settings(settings: Settings) -> None:
    """Refuse settings out of range, with a ValueError that says what is allowed."""
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
    if settings.minutes and settings.steps:
        raise ValueError("--minutes and --steps both say how long the run is: give one of them.")
    if settings.precision not in ("auto", "no", "bf16", "fp16"):
        raise ValueError(f"--precision must be auto, no, bf16 or fp16, not {settings.precision!r}.")
    if settings.tracker not in (None, "tensorboard"):
        raise ValueError(f"--tracker must be tensorboard, not {settings.tracker!r}.")


def learning_rate(step: int, warmup: int, total: int | None, cooldown: float = 0.2) -> float:
    """Factor on an optimizer's learning rate: linear warm-up, constant, linear cooldown. total: None while unknown."""
    warmup_factor = min(1.0, (step + 1) / max(1, warmup))
    if total is None:
        return warmup_factor
    cooldown_steps = max(1, total - int((1 - cooldown) * total))
    return min(warmup_factor, max(0.0, (total - step) / cooldown_steps))


def is_snapshot_step(step: int, total: int | None) -> bool:
    """Whether to take a snapshot: at the first and the last step, and each time the number of steps has grown by a sixth.

    A model changes most at the beginning of its training; of 8,000 steps these are 55.
    """
    if step in (0, 1, total):
        return True
    return step > 1 and math.floor(6.5 * math.log(step)) > math.floor(6.5 * math.log(step - 1))


def keep_freed_memory() -> None:
    """Ask glibc not to return large freed blocks to the system after each operation.

    The next step allocates the same sizes again, and every new page is a fault: 25,000 of them per step for a small
    convolutional net, which made two-core training two to three times slower. Without glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((-3, 2**30), (-1, 2**31 - 1), (-2, 2**28)):  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(option, value)


def fit(recipe: Recipe, settings: Settings) -> Path:
    """Train, resume or finish a run, and publish its best weights. Returns the checkpoint's folder."""
    return Run(recipe, settings).fit()


class Run:
    """One training run: what the loop holds between steps."""

    PROGRESS = ("step", "total", "minutes", "best", "sums", "seconds", "parent_log")  # attributes that are saved

    def __init__(self, recipe: Recipe, settings: Settings) -> None:
        self.recipe, self.settings = recipe, settings
        self.files = RunFolder(settings.runs / recipe.name)
        self.out = settings.out or checkpoint_root() / recipe.name
        self.batch = settings.batch or recipe.batch
        self.step = 0
        self.total: int | None = None  # number of steps; None until the speed is known
        self.minutes: float | None = None  # the budget from which that number follows; None if the settings say the number
        self.best: float | None = None  # lowest validation score
        self.sums: dict[str, float] = {}  # of the losses since the last line of the log
        self.seconds = 0.0
        self.parent_log: list[str] = []  # lines of the log of --init-from
        self.stop: int | None = None  # the signal that asked to stop

        self.accelerator = self._make_accelerator()
        self.is_main = self.accelerator.is_main_process
        world = self.accelerator.num_processes
        if len(recipe.train) < world:
            raise TrainingError(f"{len(recipe.train)} training pictures are too few for {world} processes.")
        if self.batch * world > len(recipe.train):
            self.batch = len(recipe.train) // world
            if self.is_main and settings.batch:
                print(f"The batch is {self.batch}, not {settings.batch}: there are {len(recipe.train)} training pictures.")

        model = recipe.model
        if settings.init_from:
            self._start_from(model, checkpoint_folder(settings.init_from))
        self.ema = copy.deepcopy(model).to(self.accelerator.device).eval().requires_grad_(False)
        model.train().to(memory_format=torch.channels_last)
        self.parameters = [
            list((model.get_submodule(config.part) if config.part else model).parameters()) for config in recipe.optimizers
        ]
        optimizers: list[torch.optim.Optimizer] = []
        self.owners: list[int] = []  # optimizer -> its OptimizerConfig, which has one (AdamW) or two (Muon and AdamW)
        for i, (config, parameters) in enumerate(zip(recipe.optimizers, self.parameters)):
            new = self._make_optimizers(config, parameters)
            optimizers += new
            self.owners += [i] * len(new)
        self.model, *self.optimizers = self.accelerator.prepare(model, *optimizers)
        self.unwrapped = self.accelerator.unwrap_model(self.model, keep_torch_compile=False)

    def _make_accelerator(self) -> Accelerator:
        settings, precision = self.settings, self.settings.precision
        if precision == "auto":
            precision = (
                "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False) else "no"
            )
        # The loss of one of several optimizers leaves the parameters of the others without gradient.
        unused_parameters = len(self.recipe.optimizers) > 1
        return Accelerator(
            cpu=not torch.accelerator.is_available(),  # explicit, so that several processes without a GPU find each other
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=unused_parameters)],
            mixed_precision=precision,
            log_with=settings.tracker,
            project_dir=str(self.files.folder) if settings.tracker else None,
            dynamo_backend="inductor" if settings.compile else None,
        )

    def _make_optimizers(self, config: OptimizerConfig, parameters: list[nn.Parameter]) -> list[torch.optim.Optimizer]:
        """AdamW; before it Muon for the kernels and matrices, if the configuration says so."""
        lr, decay = self.settings.lr or config.lr, config.weight_decay
        embeddings = {id(m.weight) for m in self.recipe.model.modules() if isinstance(m, nn.Embedding)}
        matrices = [w for w in parameters if config.muon and w.ndim in (2, 4) and id(w) not in embeddings]
        in_muon = {id(w) for w in matrices}
        decayed = [w for w in parameters if w.ndim >= 2 and id(w) not in in_muon]
        not_decayed = [w for w in parameters if w.ndim < 2]
        groups = [{"params": decayed, "weight_decay": decay}, {"params": not_decayed, "weight_decay": 0.0}]
        adam = torch.optim.AdamW(groups, lr=lr, betas=config.betas, fused=True)
        return [Muon(matrices, lr=lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw"), adam] if matrices else [adam]

    def _start_from(self, model: GenerativeModel, folder: Path) -> None:
        """Copy the weights of a checkpoint of the same configuration; its log becomes the beginning of this run's."""
        source = type(model).from_pretrained(folder)
        if any(source.config.get(k) != v for k, v in model.config.items() if k not in LOSS_ARGUMENTS):
            raise CheckpointError(f"{folder} has another configuration than this recipe: {source.config}, not {model.config}.")
        model.load_state_dict(source.state_dict())
        if (folder / "log.jsonl").is_file():
            self.parent_log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()

    # --- the loop ---

    def fit(self) -> Path:
        """Train to the end and publish. Returns the checkpoint's folder."""
        if self.is_main:
            state.check_writable(self.files.folder, self.out.parent)
        with self.files.lock() if self.is_main else contextlib.nullcontext():
            self._start_or_resume()
            self._set_length()
            if self.settings.tracker:
                self.accelerator.init_trackers(".", config={})
            if self.step == 0:
                self._log({"run": self._run_info()})
            with self._noting_signals():
                self._train()
                self._validate()
                return self._publish()

    def _start_or_resume(self) -> None:
        """Go on from a saved state, if there is one and it is not to be discarded."""
        if self.settings.fresh and self.is_main:
            self.files.state.unlink(missing_ok=True)
        self.accelerator.wait_for_everyone()
        if self.files.state.is_file():
            self._resume()
        elif self.settings.cooldown:
            raise TrainingError(f"There is no unfinished run in {self.files.folder} for --cooldown to finish.")
        elif self.is_main:
            self.files.begin_log()

    def _set_length(self) -> None:
        """The number of steps, as far as it is known; else it follows from the speed. A resumed run keeps its own, unless the
        settings say another."""
        steps, minutes, before = self.settings.steps, self.settings.minutes, self.total
        if self.settings.cooldown:
            length = max(self.step + 1, self._shortest())
            self.total = min(length, before or length)  # whose cooldown has begun ends where it would have ended
        elif steps:
            self.total = steps
        elif before and minutes and minutes != self.minutes:
            self.total = int(60 * minutes * self.step / self.seconds)  # at the speed so far
        if steps or self.settings.cooldown:
            self.minutes = None
        elif minutes or not before:
            self.minutes = minutes or self.minutes or self.recipe.minutes
        if not self.step or self.total == before:
            return
        least = self._shortest()
        if self.total and self.total < min(least, before or least):
            wanted, least_wanted = f"--steps {steps}", f"--steps {least}"
            if not steps:
                least_minutes = math.ceil(100 * least * self.seconds / 60 / self.step) / 100
                wanted, least_wanted = f"--minutes {minutes:g}", f"--minutes {least_minutes:g}"
            raise TrainingError(
                f"{wanted} is too short for the unfinished run in {self.files.folder}, whose cooldown would have begun before "
                f"step {self.step}, where it is: give at least {least_wanted}, --cooldown to finish it now, or --fresh to "
                "discard it."
            )
        if self.is_main:
            self.files.add_command(self._run_info()["command"], self.step)
            print(f"The run now has {self.total} steps instead of {before or '?'}.", flush=True)

    def _shortest(self) -> int:
        """The smallest number of steps of a run that has come this far without its cooldown."""
        return math.ceil(self.step / (1 - self.recipe.cooldown))

    @contextlib.contextmanager
    def _noting_signals(self) -> Iterator[None]:
        """A signal to stop ends the run after the step in progress. Only the main thread may listen to signals."""
        in_main_thread = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
        handlers = {s: signal.signal(s, self._request_stop) for s in numbers}
        try:
            yield
        finally:
            for s, handler in handlers.items():
                signal.signal(s, handler)

    def _request_stop(self, signal_number: int, frame: FrameType | None) -> None:
        self.stop = signal_number

    def _train(self) -> None:
        """All steps; the state is saved now and then, and at the end."""
        bar = tqdm(total=self.total, initial=self.step, unit="step", disable=None if self.is_main else True, mininterval=1)
        self.saved = self.logged = time.monotonic()
        first = self.step  # of this process: a run that was stopped before its speed was known measures it again
        if self.step == 0:
            self._take_snapshot()
        while self.total is None or self.step < self.total:
            if self.total is None and self.step == first + PROBE_STEPS[0]:
                probe = time.monotonic()
            losses = self._train_step()
            self.step += 1
            if self.total is None and self.step == first + PROBE_STEPS[1]:
                self.total = self._agree_on_total((time.monotonic() - probe) / (PROBE_STEPS[1] - PROBE_STEPS[0]))
                bar.total = self.total
            self._record_losses(losses, bar)
            self._take_snapshot()
            if self.total and self.step < self.total and self.step % max(1, self.total // self.settings.validations) == 0:
                self._validate()
            if self.stop or time.monotonic() - self.saved > self.settings.save_every and self.total:
                self._save()
            if self.stop:
                bar.close()
                self._exit(self.stop)
        bar.close()
        self._save()  # so that a full disk after this loses no training

    def _exit(self, signal_number: int) -> NoReturn:
        print(
            f"\nStopped and saved after step {self.step} of {self.total or '?'}: "
            "the same command resumes there; with --cooldown it finishes.",
            file=sys.stderr,
        )
        sys.exit(128 + signal_number)

    def _train_step(self) -> dict[str, float]:
        """One batch: each optimizer makes one step on its own loss. Returns all terms as floats."""
        batch = self._batch()
        factor = learning_rate(self.step, self.recipe.warmup, self.total, self.recipe.cooldown)
        if self.recipe.anneal:
            self.recipe.anneal(self.unwrapped, self.step / self.total if self.total else 0.0)
        all_terms: dict[str, float] = {}
        for i, config in enumerate(self.recipe.optimizers):
            optimizers = [o for o, owner in zip(self.optimizers, self.owners) if owner == i]
            for group in (g for optimizer in optimizers for g in optimizer.param_groups):
                group["lr"] = factor * (self.settings.lr or config.lr)
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            with self.accelerator.autocast():
                losses = self.model(batch, method=config.method)
            self.accelerator.backward(losses["loss"])
            norm = self.accelerator.clip_grad_norm_(self.parameters[i], self.recipe.clip)
            terms = self._mean_over_processes({**losses, "gradient": norm})
            scaled = self.accelerator.scaler is not None  # the fp16 scaler itself skips a step whose gradient overflows
            bad = [k for k, v in terms.items() if not math.isfinite(v) and not (scaled and k == "gradient")]
            if bad:  # before the step: the weights are still good
                raise TrainingError(
                    f"The term '{bad[0]}' of {config.method} became {terms[bad[0]]} at step {self.step + 1}: this step was "
                    f"discarded; the last save is {self.files.state}. Try a smaller --lr."
                )
            self._update_weights(optimizers, terms["gradient"])
            prefix = "" if len(self.recipe.optimizers) == 1 else f"{config.method}/"
            all_terms |= {prefix + k: v for k, v in terms.items()}
        self._update_ema()
        return all_terms

    def _update_weights(self, optimizers: list[Any], gradient: float) -> None:
        """One step of the optimizers of one loss. gradient: its norm."""
        scaler = self.accelerator.scaler
        if scaler is None:
            for optimizer in optimizers:
                optimizer.step()
            return
        # Accelerate's own steps end with an update of the scaler, after which it takes the gradients of the next optimizer
        # for scaled ones and divides them a second time. So all make their steps first, or none if the gradient overflowed.
        if math.isfinite(gradient):
            for optimizer in optimizers:
                scaler.step(optimizer.optimizer)
        scaler.update()

    def _mean_over_processes(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Named scalars as floats, averaged over the processes, which thereby also agree whether one was asked to stop."""
        stop = torch.tensor(float(self.stop or 0), device=self.accelerator.device)
        values = torch.stack([*(v.detach().float() for v in terms.values()), stop])
        if self.accelerator.num_processes > 1:
            gathered = self.accelerator.gather(values[None])
            values = torch.cat([gathered[:, :-1].mean(0), gathered[:, -1:].amax(0)])
            self.stop = int(values[-1]) or None
        return dict(zip(terms, values.tolist()))

    def _batch(self) -> tuple[Tensor, ...]:
        """This process's part of the step's batch, a function of seed and step alone."""
        world, rank, n = self.accelerator.num_processes, self.accelerator.process_index, len(self.recipe.train)
        global_batch = self.batch * world
        epoch, position = divmod(self.step, n // global_batch)
        if getattr(self, "_epoch", None) != epoch:
            shuffle = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
            self._epoch, self._order = epoch, torch.randperm(n, generator=shuffle)
        i = self._order[position * global_batch + rank * self.batch :][: self.batch]
        torch.manual_seed((self.settings.seed * 1_000_003 + self.step) * 1009 + rank)  # noise and augmentation of this step
        x, *labels = (tensor.to(self.accelerator.device) for tensor in self.recipe.train.batch(i))
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.recipe.augment:
            x = self.recipe.augment(x)
        return x, *labels

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Exponential moving average of the parameters; buffers such as batch statistics are copied."""
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.unwrapped.parameters()), 1 - decay)
        for average, buffer in zip(self.ema.buffers(), self.unwrapped.buffers()):
            average.copy_(buffer)

    def _agree_on_total(self, seconds_per_step: float) -> int:
        """The number of steps that fits the time budget, as measured by the main process and broadcast to all."""
        assert self.minutes
        total = [max(self.step + 1, int(0.95 * self.minutes * 60 / seconds_per_step))]  # 5 % of the time is for validation
        return broadcast_object_list(total)[0]

    def _record_losses(self, losses: dict[str, float], bar: tqdm) -> None:
        """Sum the losses; every `log_every` steps write their means to the log and the progress bar."""
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
            clock = time.monotonic()
            speed = n * self.batch * self.accelerator.num_processes / (clock - self.logged)
            self.logged = clock
            bar.set_postfix({"loss": f"{next(iter(means.values())):.4g}", "pictures/s": f"{speed:.0f}"})

    def _take_snapshot(self) -> None:
        if self.recipe.snapshot and self.is_main and is_snapshot_step(self.step, self.total):
            self.unwrapped.eval()
            self.recipe.snapshot(self.unwrapped, self.step)
            self.unwrapped.train()

    def _validate(self) -> None:
        """Measure the averaged weights, keep the best, write samples."""
        if self.is_main:
            model = self.ema.to(memory_format=torch.contiguous_format)
            with torch.inference_mode():
                measured = {k: float(v) for k, v in self.recipe.validate(model).items()}
            score = next(iter(measured.values()))
            if not math.isfinite(score):
                raise TrainingError(
                    f"Validation gave {next(iter(measured))} = {score} at step {self.step}; the best weights so "
                    f"far are in {self.files.best}."
                )
            if self.best is None or score < self.best:
                self.best = score
                state.save_tensors(self.files.best, model.state_dict(), {"step": str(self.step)})
            self._log({"step": self.step, "validation": {k: float(f"{v:.6g}") for k, v in measured.items()}})
            self.files.samples.mkdir(exist_ok=True)
            with torch.inference_mode():
                state.write_samples(self.recipe.samples(model), self.files.samples / f"{self.step:07d}")
            print(f"step {self.step}/{self.total} validation {measured}", flush=True)
        self.accelerator.wait_for_everyone()

    def _log(self, line: dict[str, Any]) -> None:
        if self.is_main:
            self.files.append(line)
            if self.settings.tracker and "step" in line:
                flat = line.get("validation") or {k: v for k, v in line.items() if k != "step"}
                prefix = "validation/" if "validation" in line else ""
                self.accelerator.log({prefix + k: v for k, v in flat.items()}, step=line["step"])

    def _run_info(self) -> dict[str, Any]:
        """How this run was made: the first line of its log, from which the card quotes."""
        script, device = Path(sys.argv[0]).resolve(), self.accelerator.device
        gpu = torch.cuda.get_device_name() if device.type == "cuda" else None
        lr = {"lr": self.settings.lr} if self.settings.lr else {}
        return {
            "command": " ".join(["python -m", f"{script.parent.name}.{script.stem}", *_without_local_paths(sys.argv[1:])]),
            "seed": self.settings.seed,
            "batch": self.batch * self.accelerator.num_processes,
            "device": gpu or f"{device.type}, {torch.get_num_threads()} threads",
            "pictures": len(self.recipe.train),
            "parameters": sum(p.numel() for p in self.unwrapped.parameters()),
            "date": str(date.today()),
            "optimizers": [asdict(config) | lr for config in self.recipe.optimizers],  # "players" in logs before 0.2.0
            "init_from": self.settings.init_from,
            "precision": self.accelerator.mixed_precision,
        }

    # --- saving, resuming, publishing ---

    def _identity(self) -> dict[str, Any]:
        """What must be the same for a resumed run to be the same run, as JSON represents it."""
        identity = {
            "config": self.unwrapped.config,
            "seed": self.settings.seed,
            "batch": self.batch,
            "processes": self.accelerator.num_processes,
            "pictures": len(self.recipe.train),
            "lr": self.settings.lr,
            "optimizers": [asdict(config) for config in self.recipe.optimizers],
            "init_from": self.settings.init_from,
        }
        return json.loads(json.dumps(identity))

    def _save(self) -> None:
        clock = time.monotonic()
        self.seconds += clock - self.saved
        self.saved = clock
        if self.is_main:
            scaler = self.accelerator.scaler
            facts = {name: getattr(self, name) for name in self.PROGRESS}
            facts |= {"identity": json.dumps(self._identity()), "scaler": scaler.state_dict() if scaler else None}
            state.save(self.files.state, self.unwrapped, self.ema, self.optimizers, facts)

    def _resume(self) -> None:
        """Go on from the last save; later lines of the log are dropped."""
        tensors, facts = state.read(self.files.state)
        if state.current_names(facts["identity"], type(self.unwrapped).renamed_arguments) != self._identity():
            raise TrainingError(
                f"{self.files.folder} holds an unfinished run with other settings: use the same settings to resume it, or "
                "--fresh to discard it."
            )
        state.restore(tensors, self.unwrapped, self.ema, self.optimizers)
        if self.accelerator.scaler is not None and facts["scaler"]:
            self.accelerator.scaler.load_state_dict(facts["scaler"])
        facts = {"minutes": self.settings.minutes} | facts  # which states before 0.3.0 do not have
        for name in self.PROGRESS:
            setattr(self, name, facts[name])
        if self.is_main:
            self.files.drop_after(self.step)
            print(f"Resuming from step {self.step} of {self.total or '?'} ({self.files.state}).", flush=True)

    def _publish(self) -> Path:
        """Publish the best weights. Returns the checkpoint's folder."""
        if self.is_main:
            state.publish(
                self.files,
                self.out,
                self.ema,
                self.recipe.samples,
                bits=self.recipe.bits,
                parent_log=self.parent_log,
                facts={"steps": self.step, "minutes": round(self.seconds / 60, 1)},
                finish=self.recipe.finish,
            )
            print(f"Published {self.out} (step {self.files.best_step()}, {self.seconds / 60:.1f} minutes).", flush=True)
            if self.recipe.after:
                self.recipe.after(self.out)
        self.accelerator.wait_for_everyone()
        if self.settings.tracker:
            self.accelerator.end_training()
        return self.out


def _without_local_paths(arguments: list[str]) -> list[str]:
    """The command line without the options that name folders of this machine."""
    local = ("--data-dir", "--text", "--out", "--runs")
    public, is_value = [], False
    for argument in arguments:
        if is_value:
            is_value = False
        elif argument in local:
            is_value = True
        elif not argument.startswith(tuple(f"{option}=" for option in local)):
            public.append(argument)
    return public
