"""The training loop: optimizers, averages, snapshots, learning rates, several processes."""

import contextlib
import math
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from accelerate.state import AcceleratorState
from safetensors.torch import load_file

import genmodels as gm
from genmodels import data
from genmodels.base import GenerativeModel
from tests import tiny
from tests.compare import close
from tests.helpers_train import ROOT, arguments, losses, run, same_losses
from train import autoencoder, engine, texts


def plain(model, train=None, **more):
    """A recipe that is only trained, never validated."""
    return engine.Recipe(name="plain", model=model, train=train or data.samples("mnist"), validate=None, samples=None, **more)


def test_nan_stops_the_run_and_names_step_and_term(workdir):
    assert run(tiny.app, workdir, "--steps", "4")[0] == 0
    before = (workdir / "checkpoints" / "tiny" / "model.safetensors").read_bytes()
    code, out = run(tiny.app, workdir, "--kind", "autoencoder", "--steps", "30", "--nan-at", "7", "--save-every", "0")
    assert code == 1 and "'loss'" in out and "step 7:" in out
    assert (workdir / "checkpoints" / "tiny" / "model.safetensors").read_bytes() == before
    saved = load_file(workdir / "runs" / "tiny" / "state.safetensors")
    assert all(torch.isfinite(v).all() for v in saved.values())


@pytest.mark.parametrize(
    "options, message",
    [
        (["--minutes", "0"], "--minutes must be a number from"),
        (["--steps", "0"], "--steps must be a whole number from"),
        (["--minutes", "nan"], "--minutes must be a number from"),
        (["--lr", "-1"], "--lr must be"),
        (["--precision", "int8"], "--precision must be"),
        (["--tracker", "wandb"], "--tracker must be"),
        (["--minutes", "1", "--steps", "9"], "--minutes and --steps both say how long"),
        (["--init-from", "no-such"], "There is no checkpoint 'no-such'"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(workdir, options, message):
    code, out = run(tiny.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


def test_learning_rate_is_a_function_of_the_step():
    rates = [engine.learning_rate(step, warmup=10, total=100) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == rates[79] == 1
    assert rates[80:] == sorted(rates[80:], reverse=True) and rates[99] == pytest.approx(1 / 20)
    longer = [engine.learning_rate(step, warmup=10, total=100, cooldown=0.6) for step in range(101)]
    assert longer[39] == longer[40] == 1 and longer[70] == pytest.approx(0.5) and longer[100] == 0
    assert engine.learning_rate(50, 10, None) == 1  # not yet known how long: constant


def test_snapshots_become_rarer():
    steps = [step for step in range(8001) if engine.is_snapshot_step(step, 8000)]
    assert steps[:3] == [0, 1, 2] and steps[-1] == 8000 and len(steps) == 55
    intervals = [b - a for a, b in zip(steps, steps[1:-1])]
    assert all(later >= earlier - 1 for earlier, later in zip(intervals, intervals[1:]))  # up to rounding
    assert all(b / a == pytest.approx(7 / 6, abs=0.02) for a, b in zip(steps, steps[1:-1]) if a > 200)
    for total in (None, 9000):  # the total only adds the last step
        assert [step for step in range(8001) if engine.is_snapshot_step(step, total)] == steps[:-1]
    assert engine.is_snapshot_step(9000, 9000) and not engine.is_snapshot_step(9000, None)
    assert [step for step in range(4) if engine.is_snapshot_step(step, 3)] == [0, 1, 2, 3]


def test_snapshots_get_the_current_weights_in_eval_mode(workdir):
    recipe, snapshots = tiny.recipe(engine.Settings()), []
    training = engine.Run(recipe, engine.Settings(runs=workdir / "runs", steps=40, validations=1))

    def snapshot(model, step):
        assert model is training.unwrapped and step == training.step
        snapshots.append((step, model.training, [p.clone() for p in model.parameters()]))

    recipe.snapshot = snapshot
    training.fit()
    assert [step for step, *_ in snapshots] == [step for step in range(41) if engine.is_snapshot_step(step, 40)]
    assert not any(in_training for _, in_training, _ in snapshots) and training.unwrapped.training
    for (_, _, before), (_, _, after) in zip(snapshots, snapshots[1:]):
        assert not any(map(torch.equal, before, after))


def test_minutes_fix_the_number_of_steps_once(workdir):
    code, _ = run(tiny.app, workdir, "--minutes", "0.01", "--batch", "4")
    assert code == 0
    steps = sorted(losses(workdir / "checkpoints" / "tiny" / "log.jsonl"))
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > engine.PROBE_STEPS[1]


def test_average_follows_parameters_and_copies_buffers(workdir):
    recipe = plain(gm.Classifier(widths=[4, 4, 8], features=8), batch=8)
    training = engine.Run(recipe, engine.Settings(runs=workdir / "runs"))
    before = [p.clone() for p in training.ema.parameters()]
    for training.step in (0, 1, 2):
        training._train_step()
    decay = min(recipe.ema, 3 / 12)  # at step 2, while the average is young
    for old, average, current in zip(before, training.ema.parameters(), training.unwrapped.parameters()):
        assert not torch.equal(old, average) and not torch.equal(average, current)
    training.step = 2
    expected = [m.lerp(p, 1 - decay) for m, p in zip(training.ema.parameters(), training.unwrapped.parameters())]
    training._update_ema()
    for e, average in zip(expected, training.ema.parameters()):
        torch.testing.assert_close(e, average)
    for average, buffer in zip(training.ema.buffers(), training.unwrapped.buffers()):
        assert torch.equal(average, buffer)


class Duel(GenerativeModel):
    """Two networks whose optimizers pull the same product in opposite directions."""

    def __init__(self):
        super().__init__()
        self.left, self.right = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1)

    def product(self):
        return (self.left.weight * self.right.weight + self.left.bias * self.right.bias).sum()

    def left_loss(self, batch):
        return {"loss": self.product()}

    def right_loss(self, batch):
        return {"loss": -self.product()}


DUELS = [
    (Duel, "left", "right"),
    (lambda: gm.GAN(widths=[8], latent=4), "discriminator", "generator"),
    (lambda: gm.DCGAN(width=4, latent=4), "discriminator", "generator"),
]


@pytest.mark.parametrize("make, first, second", DUELS, ids=["duel", "gan", "dcgan"])
def test_an_optimizer_updates_only_its_own_part(workdir, make, first, second):
    for part, frozen in ((first, second), (second, first)):
        torch.manual_seed(0)
        model = make()
        with torch.no_grad():
            for p in model.parameters():
                p += 0.1 * torch.randn_like(p)  # no zeros, as in some initial weights
        config = engine.OptimizerConfig(method=f"{part}_loss", part=part, lr=0.1)
        training = engine.Run(
            plain(model, optimizers=[config], warmup=1),
            engine.Settings(runs=workdir / "runs"),
        )
        before = {k: v.clone() for k, v in training.unwrapped.named_parameters()}
        training._train_step()
        after = dict(training.unwrapped.named_parameters())
        assert all(torch.equal(before[k], after[k]) == k.startswith(frozen) for k in before)


def test_two_optimizers_take_turns(workdir):
    optimizers = [
        engine.OptimizerConfig(method="left_loss", part="left"),
        engine.OptimizerConfig(method="right_loss", part="right"),
    ]
    training = engine.Run(
        plain(Duel(), optimizers=optimizers, warmup=1),
        engine.Settings(runs=workdir / "runs"),
    )
    terms = training._train_step()
    assert {"left_loss/loss", "right_loss/loss"} <= set(terms)
    assert terms["right_loss/loss"] != -terms["left_loss/loss"]  # the second loss is computed after the first update


@pytest.mark.parametrize("first, last", [("left", "right"), ("right", "left")])
def test_the_gradients_of_an_optimizers_own_part_are_clipped(workdir, first, last):
    model = Duel()
    for p in model.parameters():
        torch.nn.init.constant_(p, 10.0)
    optimizers = [engine.OptimizerConfig(method=f"{part}_loss", part=part) for part in (first, last)]
    training = engine.Run(plain(model, optimizers=optimizers, clip=0.5), engine.Settings(runs=workdir / "runs"))
    training._train_step()
    part = getattr(training.unwrapped, last)  # the other one's gradients are those of this loss, for no step
    assert torch.cat([p.grad.flatten() for p in part.parameters()]).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_a_run_in_a_thread_needs_no_signals(workdir):
    recipe, settings = writer(workdir, validate=lambda model: {"loss": 1.0}, samples=lambda model: "")
    settings.steps = 2
    with ThreadPoolExecutor(1) as thread:
        assert (thread.submit(engine.fit, recipe, settings).result() / "model.safetensors").is_file()


def test_tensorboard(workdir):
    code, _ = run(tiny.app, workdir, "--steps", "3", "--tracker", "tensorboard")
    assert code == 0 and list((workdir / "runs" / "tiny").rglob("events.out.tfevents.*"))


def test_overfits_one_batch(workdir):
    """On the same sixteen pictures at every step the reconstruction error must fall far."""
    recipe = plain(
        gm.Autoencoder(hidden=[128]),
        train=data.samples("mnist")[torch.arange(16)],
        optimizers=[engine.OptimizerConfig(lr=3e-3)],
        batch=16,
        warmup=10,
    )
    training = engine.Run(recipe, engine.Settings(runs=workdir / "runs"))
    errors = []
    for training.step in range(150):
        errors.append(training._train_step()["mse"])
    assert errors[-1] < 0.5 * errors[0]


def writer(workdir, name="writer", train=None, validate=None, samples=None, **more):
    """A recipe for a small character transformer, trained with Muon."""
    torch.manual_seed(0)
    model = gm.TextTransformer(alphabet="abcdefgh", width=8, layers=2, heads=2, hidden=6, context=8, dropout=0.1)
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)  # no zeros, as in some initial weights
    train = train or texts.Passages(torch.randint(8, (400,), generator=torch.Generator().manual_seed(0)), 8)
    config = engine.OptimizerConfig(lr=0.01, betas=(0.9, 0.98), weight_decay=0.1, muon=True)
    recipe = engine.Recipe(
        name=name,
        model=model,
        train=train,
        validate=validate,
        samples=samples,
        optimizers=[config],
        batch=4,
        warmup=4,
        **more,
    )
    return recipe, engine.Settings(runs=workdir / "runs", steps=24, log_every=1, validations=2)


def test_muon_updates_the_matrices_and_adamw_the_other_weights(workdir):
    """One step of each alone, from the same gradients, is the step of the loop."""
    recipe, settings = writer(workdir)
    training = engine.Run(recipe, settings)
    muon, adam = training.optimizers
    names = {id(p): name for name, p in training.unwrapped.named_parameters()}
    updated = [{names[id(p)] for group in o.param_groups for p in group["params"]} for o in (muon, adam)]
    assert updated[0] == {f"blocks.{i}.{layer}.weight" for i in (0, 1) for layer in ("qkv", "out", "gate_up", "down")}
    assert updated[0] | updated[1] == set(names.values()) and not updated[0] & updated[1]
    assert {"embed.weight", "norm.weight"} <= updated[1]
    assert isinstance(muon.optimizer, torch.optim.Muon) and isinstance(adam.optimizer, torch.optim.AdamW)
    decays = {names[id(p)]: group["weight_decay"] for o in (muon, adam) for group in o.param_groups for p in group["params"]}
    assert {name for name, decay in decays.items() if decay == 0} == {name for name in decays if "norm" in name}
    assert set(decays.values()) == {0, 0.1}

    before = {k: v.clone() for k, v in training.unwrapped.named_parameters()}
    training._train_step()  # at a quarter of the learning rate: the first of four steps of warm-up
    twin = {k: torch.nn.Parameter(v.clone()) for k, v in before.items()}
    for k, p in training.unwrapped.named_parameters():
        twin[k].grad = p.grad.clone()
    torch.optim.Muon([twin[k] for k in updated[0]], lr=0.0025, weight_decay=0.1, adjust_lr_fn="match_rms_adamw").step()
    for decay in (0, 0.1):
        weights = [twin[k] for k in updated[1] if decays[k] == decay]
        torch.optim.AdamW(weights, lr=0.0025, betas=(0.9, 0.98), weight_decay=decay).step()
    for k, p in training.unwrapped.named_parameters():
        assert torch.allclose(p, twin[k], atol=1e-6), k
        assert not torch.equal(p, before[k]), k


def scale_losses(training, scale=2.0**16):
    """The run's losses are scaled as with --precision fp16, which a CPU does not have. Returns the scaler."""
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    for optimizer in training.optimizers:  # Accelerate's
        optimizer.scaler, optimizer._accelerate_step_called = scaler, False
        optimizer._optimizer_original_step_method = optimizer.optimizer.step
        optimizer._optimizer_patched_step_method = optimizer.optimizer.step
    training.accelerator.scaler, training.accelerator.native_amp = scaler, True
    training.accelerator.state._mixed_precision = "fp16"
    training.accelerator.autocast = contextlib.nullcontext
    return scaler


@pytest.fixture
def shared_state():
    """Accelerate's state, which all its objects share, as it was before."""
    before = AcceleratorState()._mixed_precision if AcceleratorState._shared_state else "no"
    yield
    AcceleratorState()._mixed_precision = before


def test_scaled_losses_make_the_same_steps(workdir, shared_state):
    """Of both optimizers of one loss: the gradients of neither are divided by the scale twice."""
    plain_run, scaled_run = (engine.Run(*writer(workdir)) for _ in range(2))
    for plain_run.step in range(3):
        plain_run._train_step()
    scaler = scale_losses(scaled_run)
    for scaled_run.step in range(3):
        scaled_run._train_step()
    assert scaler.get_scale() == 2.0**16
    for a, b in zip(plain_run.optimizers, scaled_run.optimizers):
        for state, scaled in zip(a.state.values(), b.state.values(), strict=True):
            assert all(close(scaled[k], state[k], rtol=1e-3) for k in state)
    for p, q in zip(plain_run.unwrapped.parameters(), scaled_run.unwrapped.parameters()):
        assert close(p, q, atol=1e-5)


def test_a_step_whose_scaled_gradient_overflows_is_skipped_by_both_optimizers(workdir, shared_state):
    training = engine.Run(*writer(workdir))
    scaler, loss = scale_losses(training, 2.0**120), training.unwrapped.loss
    training.unwrapped.loss = lambda batch: {k: 1000 * v for k, v in loss(batch).items()}
    before = [p.clone() for p in training.unwrapped.parameters()]
    terms = training._train_step()
    assert not math.isfinite(terms["gradient"]) and math.isfinite(terms["loss"])
    assert all(map(torch.equal, before, training.unwrapped.parameters()))
    assert scaler.get_scale() == 2.0**119


def test_muon_updates_a_kernel_like_the_matrix_of_its_outputs():
    torch.manual_seed(0)
    kernel = torch.nn.Parameter(torch.randn(6, 5, 3, 3).contiguous(memory_format=torch.channels_last))
    matrix = torch.nn.Parameter(kernel.detach().permute(0, 2, 3, 1).flatten(1).clone())
    options = dict(lr=0.1, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    kernel_optimizer, matrix_optimizer = engine.Muon([kernel], **options), torch.optim.Muon([matrix], **options)
    before = kernel.detach().clone()
    for _ in range(3):  # the momentum is kept between steps
        matrix.grad = torch.randn(6, 45)
        kernel.grad = matrix.grad.view(6, 3, 3, 5).permute(0, 3, 1, 2)
        kernel_optimizer.step()
        matrix_optimizer.step()
    assert torch.allclose(kernel.permute(0, 2, 3, 1).flatten(1), matrix, atol=1e-6)
    assert not torch.allclose(kernel, before, atol=1e-2)


def test_without_muon_there_is_one_optimizer(workdir):
    recipe, settings = writer(workdir)
    recipe.optimizers[0].muon = False
    training = engine.Run(recipe, settings)
    assert [type(o.optimizer) for o in training.optimizers] == [torch.optim.AdamW] and training.owners == [0]


def test_a_run_with_two_optimizers_is_resumed_exactly(workdir, monkeypatch):
    def numbers(model):
        return {"size": sum(p.square().sum() for p in model.parameters())}

    def fit(name):
        recipe, settings = writer(workdir, name, validate=numbers, samples=lambda model: "")
        engine.Run(recipe, settings).fit()
        return losses(workdir / "checkpoints" / name / "log.jsonl"), load_file(
            workdir / "checkpoints" / name / "model.safetensors"
        )

    whole, weights = fit("whole")

    def stopping(self, *a, record=engine.Run._record_losses):
        record(self, *a)
        self.stop = signal.SIGTERM if self.step == 11 else None

    with monkeypatch.context() as patch:
        patch.setattr(engine.Run, "_record_losses", stopping)
        with pytest.raises(SystemExit):
            fit("parts")
    saved = load_file(workdir / "runs" / "parts" / "state.safetensors")
    assert {key.split(".")[1] for key in saved if key.startswith("optimiser.")} == {"0", "1"}
    log, resumed = fit("parts")
    assert same_losses(log, whole) and set(log) == set(range(1, 25))
    assert all(close(weights[k], resumed[k], atol=1e-3) for k in weights)


def test_loss_weights_are_annealed_before_each_step(workdir):
    calls = []
    recipe, settings = writer(workdir, anneal=lambda model, share: calls.append((model, share)))
    training = engine.Run(recipe, settings)
    training.total = 8
    for training.step in range(8):
        training._train_step()
    assert [share for _, share in calls] == [i / 8 for i in range(8)]
    assert all(model is training.unwrapped for model, _ in calls)
    calls.clear()
    training.total = None  # not yet known
    training._train_step()
    assert calls == [(training.unwrapped, 0.0)]


def test_samples_may_be_a_text(workdir):
    text = "春眠不觉晓\nsecond line\n"
    recipe, settings = writer(workdir, validate=lambda model: {"loss": 1.0}, samples=lambda model: text)
    engine.Run(recipe, settings).fit()
    published = workdir / "checkpoints" / "writer"
    assert {f.name for f in published.iterdir()} == {"model.safetensors", "config.json", "samples.txt", "log.jsonl"}
    files = sorted((workdir / "runs" / "writer" / "samples").iterdir())
    assert files and all(f.suffix == ".txt" for f in files)
    for file in (published / "samples.txt", *files):
        assert file.read_text(encoding="utf-8") == text


TWO_PROCESSES = """  # with the variables that `accelerate launch` sets; one process imports the libraries for both
import os, sys
import torch._dynamo  # which optimizers import at their first step
from train import autoencoder
other = os.fork()
rank = "0" if other else "1"
os.environ |= {"RANK": rank, "LOCAL_RANK": rank}
try:
    autoencoder.app()
finally:
    if other and os.waitpid(other, 0)[1]:
        sys.exit("the other process failed")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_two_processes_follow_one_process_with_twice_the_batch(workdir):
    """Gloo on the CPU; the autoencoder uses no noise, so both runs get the same pictures and must agree."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        variables = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": "2"}
    command = [sys.executable, "-c", TWO_PROCESSES, *arguments(workdir, "--steps", "12", "--batch", "8")]
    env = os.environ | variables | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]
    two = losses(workdir / "checkpoints" / "autoencoder-mnist" / "log.jsonl")
    assert run(autoencoder.app, workdir, "--steps", "12", "--batch", "16")[0] == 0
    one = losses(workdir / "checkpoints" / "autoencoder-mnist" / "log.jsonl")
    assert two.keys() == one.keys()
    for step in one:
        assert two[step]["loss"] == pytest.approx(one[step]["loss"], rel=1e-4)
        assert two[step]["gradient"] == pytest.approx(one[step]["gradient"], rel=1e-2)
