"""Shared by all models: saving, strict loading, private random numbers, checks of arguments."""

import importlib
import json
import math
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, overload

import torch
from huggingface_hub import ModelCard, PyTorchModelHubMixin, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genmodels import FAMILIES, checkpoints
from genmodels.cards import checkpoint_root
from genmodels.messages import Message


class CheckpointError(ValueError):
    """A checkpoint is missing, truncated or not one of this package. The message is a sentence that the page can show."""


MODEL_CARD = """---
{{ card_data }}
---

A `{{ class_name }}` of the package genmodels. Its weights are safetensors, and nothing is unpickled.

```python
import genmodels as gm

model = gm.{{ class_name }}.from_pretrained("{{ repo_id }}")
```
"""


class Likelihood(NamedTuple):
    """What a model says of how likely pictures are.

    kind: "exact", "lower bound", or "none". log_prob: (B,) in nats per picture; None if kind is "none". subject: what the
    probability is of, or why there is none; only equal texts can be compared.
    """

    kind: str
    log_prob: Tensor | None
    subject: str


PIXELS = Message("8-bit pixels")  # what a likelihood is of


class GenerativeModel(nn.Module, PyTorchModelHubMixin, library_name="genmodels", model_card_template=MODEL_CARD):
    """A module whose constructor arguments are its `config.json` and whose weights load strictly or not at all.

    Subclasses have a constructor with plain keyword arguments (int, float, str, bool, list) and a method `loss(batch)` that
    returns a dict of named scalars, of which `"loss"` is the one to differentiate. Nothing about a call is stored on `self`:
    all visitors of the page share one loaded model.
    """

    channels: int
    size: int
    latent: int
    classes: list[int]
    samples_pictures: ClassVar[bool] = False  # whether `sample(n, seed=...)` makes pictures from nothing
    sampling_calls: int = 1  # of the network, one after another, that `sample` takes with its defaults, or fewer
    renamed_arguments: ClassVar[dict[str, str]] = {}  # old key of config.json -> today's argument: older files are still read

    def forward(self, *args: Any, method: str = "loss", **kwargs: Any) -> Any:
        """Call `method`. Training goes through here, so that a wrapper such as DistributedDataParallel sees each loss."""
        return getattr(self, method)(*args, **kwargs)

    @property
    def config(self) -> dict[str, Any]:
        """The constructor's arguments, as written to `config.json`."""
        config = self._hub_mixin_config
        return dict(config) if isinstance(config, dict) else {}

    @property
    def class_entries(self) -> dict[str, str]:
        """Entries of `config.json` that name the class, beside "family"; only a family of several classes has any."""
        return {}

    @classmethod
    def class_for(cls, config: dict[str, Any]) -> type["GenerativeModel"]:
        """The class that a `config.json` of this family describes."""
        return cls

    # Where a model computes: a public method moves its tensors to `device`, casts what a network reads to `dtype`, and returns
    # `upcast` results, in 32 bits or more, so that sums and logarithms of a model in 16 bits keep their precision.

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The float type of the weights."""
        return next(self.parameters()).dtype

    def on_device(self, batch: Sequence[Tensor | None]) -> list[Any]:
        """A batch where the model is, so that a loss takes pictures and labels from anywhere."""
        return [None if x is None else x.to(self.device) for x in batch]

    def check_pictures(self, name: str, x: Any) -> Tensor:
        """`check_pictures` with the model's shape, where the model is."""
        return check_pictures(name, x, self.channels, self.size).to(self.device)

    def check_latents(self, name: str, z: Any) -> Tensor:
        """`check_latents` with the model's length, where the model is."""
        return check_latents(z, self.latent, name).to(self.device)

    def check_labels(self, label: Any, n: int) -> Tensor:
        """`check_labels` with the model's classes, where the model is."""
        return check_labels(label, n, self.classes).to(self.device)

    def pixel_likelihood(self, x: Tensor, label: Any = None) -> Likelihood:
        """How likely the 8-bit pictures x (B, C, H, W) in [0, 1] are, given their labels if the model takes any."""
        return Likelihood("none", None, Message("This family gives pictures, but no probability of them."))

    rebuilds: ClassVar[str] = ""  # how `rebuild_steps` gets from a picture to one of the model's own

    def rebuild_steps(self, x: Tensor, *, seed: int | None = 0) -> Iterator[Tensor]:
        """What the model makes of a picture x (1, C, H, W): yields its own picture on the way, and at last when finished."""
        raise ValueError(Message("This family has no way from a given picture to one of its own."))

    def path(self, start: Tensor, end: Tensor, steps: int, *, seed: int | None = 0) -> Tensor:
        """Pictures (steps, C, H, W) through the latent space, from near `start` to near `end`, both (1, C, H, W)."""
        raise ValueError(Message("This family has no code of a given picture."))

    def push_to_hub(self, repo_id: str, *, model_card_kwargs: dict[str, Any] | None = None, **options: Any) -> str:
        """Upload `config.json`, `model.safetensors` and a card to the Hugging Face Hub as `repo_id` "user/name"; returns a URL.

        options: private, token, commit_message, branch, create_pr, ...; see `huggingface_hub.ModelHubMixin.push_to_hub`.
        """
        return super().push_to_hub(repo_id, model_card_kwargs={"repo_id": repo_id, **(model_card_kwargs or {})}, **options)

    def generate_model_card(self, *args: Any, **slots: Any) -> ModelCard:
        """The card that `save_pretrained` writes where there is none. slots: of MODEL_CARD."""
        return super().generate_model_card(*args, **{"class_name": type(self).__name__, "repo_id": "user/name", **slots})

    def _save_pretrained(self, save_directory: Path, bits: int = 32) -> None:
        """Write `config.json` and `model.safetensors`.

        bits: per number: 32, 16, or 8 (matrices and convolutions only, see `quantize_8bit`; all other tensors 16).
        """
        check_choice("bits", bits, (32, 16, 8))
        classes = [c.__name__ for c in type(self).__mro__]
        family = next(f for f, (_, name) in FAMILIES.items() if name in classes)
        weights = {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}
        if bits == 8:
            for name in [k for k, v in weights.items() if v.ndim >= 2 and v.dtype == torch.float32]:
                weights[name], weights[f"{name}.scale"] = quantize_8bit(weights[name])
        if bits < 32:
            weights = {k: v.half() if v.dtype == torch.float32 and not k.endswith(".scale") else v for k, v in weights.items()}
        save_file(weights, str(Path(save_directory) / "model.safetensors"), metadata={"format": "pt"})
        config = json.dumps({"family": family, **self.class_entries, **self.config}, indent=2)
        (Path(save_directory) / "config.json").write_text(config + "\n", encoding="utf-8")

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str | torch.device = "cpu",
        **model_kwargs: Any,
    ) -> "GenerativeModel":
        """Strict, and never unpickles: the mixin's own loads with strict=False and falls back on pickle.

        map_location: the device on which the model is wanted.
        """
        if os.path.isdir(model_id):
            folder = Path(model_id)
        else:
            options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "token": token}
            options |= {"force_download": force_download, "local_files_only": local_files_only}
            try:
                folder = Path(hf_hub_download(model_id, "model.safetensors", **options)).parent
            except LocalEntryNotFoundError:  # no network and not in the cache: its own message says so
                raise
            except EntryNotFoundError as e:
                raise CheckpointError(
                    f"{model_id} on the Hub has no model.safetensors: other weights, such as pickled ones, are not loaded."
                ) from e
        file = folder / "model.safetensors"
        if not file.is_file():
            raise CheckpointError(
                Message("{file} is missing: train the model again or copy the whole checkpoint folder.", file=file)
            )
        try:
            weights = load_file(file)
        except (SafetensorError, OSError) as e:
            raise CheckpointError(
                Message("{file} is truncated or not a safetensors file ({reason}): copy it again.", file=file, reason=str(e))
            ) from e
        config = read_config(folder)
        model_class = cls
        try:
            model_class = cls.class_for(config)
            arguments = {cls.renamed_arguments.get(key, key): value for key, value in config.items()}
            # The mixin has passed what the constructor of `cls` takes; options of the caller are among them, and win.
            from_config = {key: arguments[key] for key in model_class._hub_mixin_init_parameters if key in arguments}
            model = model_class(**{**from_config, **model_kwargs})
            for name in [k for k, v in weights.items() if v.dtype == torch.int8]:
                weights[name] = dequantize_8bit(weights[name], weights.pop(f"{name}.scale"))
            model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()}, strict=True)
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as e:
            reason = str(e).strip().splitlines()[-1].strip()
            raise CheckpointError(
                Message(
                    "{file} does not fit the {model} that its config.json describes: {reason}",
                    file=file,
                    model=model_class.__name__,
                    reason=reason,
                )
            ) from e
        return model.eval().requires_grad_(False).to(map_location)


def read_config(folder: Path) -> dict[str, Any]:
    """The entries of a checkpoint's `config.json`."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        FAMILIES[config["family"]]
    except FileNotFoundError as e:
        raise CheckpointError(Message("{file} is missing: copy the whole checkpoint folder.", file=file)) from e
    except (ValueError, KeyError, TypeError, OSError, RecursionError) as e:
        raise CheckpointError(
            Message(
                '{file} is not a configuration of this package: it must be JSON with "family" one of {families}.',
                file=file,
                families=", ".join(FAMILIES),
            )
        ) from e
    return config


def quantize_8bit(w: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 values from -127 to 127, scale per row): w (rows, ...) is approximately their product. A row holds the weights of
    one output, and rows differ in size: with one scale for all, small rows would lose most of their precision."""
    scale = w.flatten(1).abs().amax(1).clamp(min=1e-12) / 127
    return (w / scale.view(-1, *[1] * (w.ndim - 1))).round().to(torch.int8), scale


def dequantize_8bit(w: Tensor, scale: Tensor) -> Tensor:
    return w.float() * scale.view(-1, *[1] * (w.ndim - 1))


def checkpoint_folder(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: that path if it is a folder, else that name under `checkpoint_root()`."""
    path = Path(str(name_or_path))
    folder = path if os.path.isdir(path) else checkpoint_root() / path  # os.path.isdir takes names of any length
    if path.name != str(path) and folder is not path:
        raise CheckpointError(Message("There is no folder {path}: give a checkpoint's name or an existing folder.", path=path))
    if not os.path.isdir(folder):
        root, names = checkpoint_root(), checkpoints()
        if not names:
            raise CheckpointError(
                Message(
                    "There is no checkpoint '{name}', as {root} has none: clone the repository, whose checkpoints/ has them, "
                    "and name that folder in $GENMODELS_CHECKPOINTS, or load a model from the Hugging Face Hub, as in "
                    'genmodels.VAE.from_pretrained("user/repo").',
                    name=path,
                    root=root,
                )
            )
        raise CheckpointError(
            Message(
                "There is no checkpoint '{name}' in {root}; there are: {names}.", name=path, root=root, names=", ".join(names)
            )
        )
    return folder


MAX_LOADED = 64  # models that are kept
_load_lock = threading.Lock()
_loaded: dict[Path, tuple[list[tuple[int, ...]], GenerativeModel]] = {}  # folder -> state of its files, its model


def load_checkpoint(name_or_path: str | Path) -> GenerativeModel:
    """`genmodels.load`: a folder's model, read once and shared, until training writes its files anew."""
    folder = checkpoint_folder(name_or_path).resolve()
    with _load_lock:  # two visitors who open a tab at once must not both read the file
        state = [_file_state(folder / name) for name in ("config.json", "model.safetensors")]
        if folder not in _loaded or _loaded[folder][0] != state:
            module, name = FAMILIES[read_config(folder)["family"]]
            _loaded.pop(folder, None)
            _loaded[folder] = state, getattr(importlib.import_module(module), name).from_pretrained(folder)
            while len(_loaded) > MAX_LOADED:
                _loaded.pop(next(iter(_loaded)))
        return _loaded[folder][1]


def folder_state(folder: Path) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """What changes when any file of a checkpoint is written anew: a key for what was computed of it."""
    return tuple((file.name, _file_state(file)) for file in sorted(folder.iterdir()))


def _file_state(file: Path) -> tuple[int, ...]:
    """What changes when a file is written anew; empty if there is none."""
    try:
        stat = file.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def import_extra(module: str, extra: str) -> Any:
    """The module of a library that only an extra of this package installs; an ImportError that says how, if it is missing."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        library = module.split(".")[0]
        raise ImportError(
            Message('{library} is missing: install it with pip install "genmodels[{extra}]".', library=library, extra=extra)
        ) from e


WITHOUT_DOUBLES = ["mps"]  # devices without 64-bit floats


def upcast(x: Tensor) -> Tensor:
    """x in 32 bits, or in 64 if it has as many."""
    return x if x.dtype == torch.float64 else x.float()


def exact(x: Tensor) -> Tensor:
    """x in 64 bits; on the CPU if its device has no such numbers."""
    return (x.cpu() if x.device.type in WITHOUT_DOUBLES else x).double()


def generator(seed: int | None) -> torch.Generator:
    """A private random number generator, so that the same seed gives the same picture whatever other callers do.

    seed: a whole number from 0 to 2**63 - 1, or None for a random one. The generator is on the CPU, where the numbers are the
    same on every machine: generate them there, then move them.
    """
    g = torch.Generator()
    if seed is None:
        g.seed()
    else:
        g.manual_seed(check_number("seed", seed, 0, 2**63 - 1, whole=True))
    return g


def random_seed(g: torch.Generator) -> int:
    """The seed of another generator."""
    return int(torch.randint(2**62, (1,), generator=g))


def randn_rows(n: int, *shape: int, g: torch.Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """Standard normal numbers (n, *shape), row by row, so that row i is the same for every n.

    `torch.randn(n, *shape)` would give other numbers for another n, unless 16 divides the length of a row. `torch.rand` and
    `torch.randint` make one number after another, so that their rows never depend on n.
    """
    return torch.stack([torch.randn(shape, generator=g, dtype=dtype) for _ in range(n)])


@overload
def check_number(name: str, value: Any, low: float, high: float, whole: Literal[True]) -> int: ...
@overload
def check_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> float: ...
def check_number(name: str, value: Any, low: float, high: float, whole: bool = False) -> float:
    """`value` as a float (or int, if `whole`) if it is in [low, high]; else a ValueError that says what is allowed."""
    is_number = not isinstance(value, bool) and (isinstance(value, (int, float)) or hasattr(value, "__float__"))
    try:
        number = float(value) if is_number else math.nan
        fits = math.isfinite(number) and low <= value <= high and not (whole and number != int(number))
    except (OverflowError, TypeError, ValueError, RuntimeError):
        fits = False
    if not fits:
        shown = str(value)[:40]
        kind = Message("a whole number") if whole else Message("a number")
        raise ValueError(
            Message(
                "{name} must be {kind} from {low} to {high}, not {value}.",
                name=name,
                kind=kind,
                low=low,
                high=high,
                value=shown if is_number else repr(shown),
            )
        )
    return int(value) if whole else number


def check_choice(name: str, value: Any, allowed: Collection) -> Any:
    """`value` if it is one of `allowed`; else a ValueError that lists them."""
    if not isinstance(value, (str, int)) or value not in allowed:
        names, shown = ", ".join(map(str, allowed)), repr(str(value)[:40])
        raise ValueError(Message("{name} must be one of {allowed}, not {value}.", name=name, allowed=names, value=shown))
    return value


def check_pictures(name: str, x: Any, channels: int, size: int) -> Tensor:
    """`x` as float32 (B, C, H, W) if it has the model's shape and values in [0, 1]; else a ValueError that says so."""
    requirement = f"{name} must be a float tensor (B, {channels}, {size}, {size}) with values in [0, 1]"
    if not isinstance(x, torch.Tensor) or x.ndim != 4 or x.shape[1:] != (channels, size, size) or not len(x):
        raise ValueError(f"{requirement}, not {tuple(x.shape) if hasattr(x, 'shape') else type(x).__name__}.")
    if not x.is_floating_point() or not bool(((x >= 0) & (x <= 1)).all()):  # NaN fails this too
        raise ValueError(f"{requirement}; divide 8-bit pictures by 255.")
    return x.float()


def check_latents(z: Any, latent: int, name: str = "z") -> Tensor:
    """`z` as float32 if it is a finite float tensor (B, latent); else a ValueError that says so."""
    if not isinstance(z, torch.Tensor) or z.ndim != 2 or z.shape[1] != latent or not z.is_floating_point():
        raise ValueError(
            f"{name} must be a float tensor (B, {latent}), not {tuple(z.shape) if hasattr(z, 'shape') else type(z).__name__}."
        )
    if not bool(torch.isfinite(z).all()):
        raise ValueError(f"{name} must be finite: it holds NaN or infinity.")
    return z.float()


def check_labels(label: Any, n: int, classes: Sequence[int]) -> Tensor:
    """Labels of n pictures, (n, K) int64 for K attributes, -1 where unspecified; a ValueError if `label` is none of these:

    label: None (all unspecified), a whole number (if K = 1), or a list or tensor: (K,) for all pictures, (n, K), or (n,) if
    K = 1. -1 leaves an attribute unspecified.
    classes: number of values of each of the K attributes; a class label is one attribute.
    """
    K = len(classes)
    if label is None:
        return torch.full((n, K), -1)
    ranges = " and ".join(f"-1 to {c - 1}" for c in classes)
    plural = "" if K == 1 else "s"
    requirement = f"label must be None or {K} whole number{plural} ({ranges}), or one row of them for each picture"
    try:
        y = label if isinstance(label, torch.Tensor) else torch.tensor(label)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise ValueError(f"{requirement}.") from None
    if y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        raise ValueError(f"{requirement}, not {str(label)[:40]}.")
    if y.ndim < 2 and y.numel() == K:  # one label for all pictures
        y = y.view(1, K).expand(n, K)
    elif K == 1 and y.shape == (n,):
        y = y.view(n, 1)
    if y.shape != (n, K) or bool((y < -1).any() | (y >= torch.tensor(classes, device=y.device)).any()):
        raise ValueError(f"{requirement}, not {str(label)[:40]}.")
    return y.long()
