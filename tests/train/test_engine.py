"""The training loop and the recipes: a run that is killed, resumed, distributed over processes, or meets a full disk."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import genmodels as gm
from genmodels import data
from genmodels.base import GenerativeModel
from tests import tiny
from tests.compare import close, close_greys
from train import autoencoder, classifier, denoiser, diffusion, engine, flow, gan, texts, transformer, vae

ROOT = Path(__file__).resolve().parents[2]
LINES = ("loss", "reconstruction", "kl", "gradient")


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """The folder of a test's runs and checkpoints."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path / "checkpoints"))
    return tmp_path


def arguments(workdir, *more):
    return ["--runs", str(workdir / "runs"), "--log-every", "1", "--data-dir", str(data.SAMPLES), *more]


def run(app, workdir, *more):
    """Run a recipe in this process: (exit code, output)."""
    result = CliRunner().invoke(app, arguments(workdir, *more))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def start(workdir, *more, file="tests/tiny.py"):
    """Start a recipe in a separate process."""
    return subprocess.Popen(
        [sys.executable, file, *arguments(workdir, *more)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def losses(log):
    """Step -> loss terms, from a log.jsonl."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return {line["step"]: {k: line[k] for k in LINES if k in line} for line in lines if "loss" in line}


def same_losses(a, b):
    """Whether two runs took the same steps with the same losses, up to rounding that training amplifies."""
    return a.keys() == b.keys() and all(a[step] == pytest.approx(b[step], rel=1e-3, abs=1e-5) for step in a)


def wait_for_step(workdir, step, process):
    log = workdir / "runs" / "tiny" / "log.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) > step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached: {process.communicate()}")


# --- a run that is stopped -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The losses of an uninterrupted run of 60 steps."""
    workdir = tmp_path_factory.mktemp("whole")
    os.environ["GENMODELS_CHECKPOINTS"] = str(workdir / "checkpoints")
    try:
        assert run(tiny.app, workdir, "--steps", "60")[0] == 0
    finally:
        del os.environ["GENMODELS_CHECKPOINTS"]
    return losses(workdir / "checkpoints" / "tiny" / "log.jsonl")


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_stopped_run_ends_with_the_losses_of_an_uninterrupted_one(workdir, whole_run, signal_number):
    process = start(workdir, "--steps", "60", "--save-every", "0")
    wait_for_step(workdir, 20, process)
    process.send_signal(signal_number)
    _, err = process.communicate(timeout=60)
    if signal_number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + signal_number and "Stopped and saved after step" in err
    assert not (workdir / "checkpoints" / "tiny").exists()

    code, out = run(tiny.app, workdir, "--steps", "60")
    assert code == 0 and "Resuming from step" in out and "Resuming from step 0 " not in out
    assert same_losses(losses(workdir / "checkpoints" / "tiny" / "log.jsonl"), whole_run)
    assert not (workdir / "runs" / "tiny" / "state.safetensors").exists()  # the next start is a new run


def test_cooldown_finishes_a_stopped_run(workdir):
    process = start(workdir, "--steps", "100000", "--save-every", "0")
    wait_for_step(workdir, 30, process)
    process.terminate()
    process.communicate(timeout=60)
    code, out = run(tiny.app, workdir, "--steps", "100000", "--cooldown")
    assert code == 0
    log = [
        json.loads(line) for line in (workdir / "checkpoints" / "tiny" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    rates = [line["rate"] for line in log if "rate" in line]
    falling = sum(a > b for a, b in zip(rates, rates[1:]))
    assert rates[-1] < 0.2 and falling == pytest.approx(0.2 * len(rates), abs=3)
    assert re.search(r"--steps 100000 .*, stopped at step \d+, then python -m ", log[0]["run"]["command"])


def test_a_stopped_run_can_be_extended(workdir):
    process = start(workdir, "--steps", "100", "--save-every", "0")
    wait_for_step(workdir, 30, process)
    process.terminate()
    process.communicate(timeout=60)
    code, out = run(tiny.app, workdir, "--steps", "140")
    assert code == 0 and "Resuming from step" in out
    log = [
        json.loads(line) for line in (workdir / "checkpoints" / "tiny" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert log[0]["run"]["steps"] == 140
    assert re.search(r"--steps 100 .*, stopped at step \d+, then python -m ", log[0]["run"]["command"])
    rates = {line["step"]: line["rate"] for line in log if "rate" in line}
    assert rates[110] == 1.0 and rates[140] < 0.1  # its cooldown belongs to the new length


def test_cooldown_without_a_run_is_refused(workdir):
    code, out = run(tiny.app, workdir, "--cooldown")
    assert code == 1 and "no unfinished run" in out


def test_other_settings_do_not_resume(workdir):
    process = start(workdir, "--steps", "100000", "--save-every", "0")
    wait_for_step(workdir, 5, process)
    process.terminate()
    process.communicate(timeout=60)
    code, out = run(tiny.app, workdir, "--steps", "60", "--seed", "1")
    assert code == 1 and "other settings" in out
    code, out = run(tiny.app, workdir, "--steps", "8", "--seed", "1", "--fresh")
    assert code == 0 and "Resuming" not in out


def test_a_state_saved_under_older_names_is_resumed(workdir, whole_run, monkeypatch):
    """Before 0.2.0 the optimizers were called "players"; arguments of a model may have been renamed too."""
    process = start(workdir, "--steps", "60", "--save-every", "0")
    wait_for_step(workdir, 20, process)
    process.terminate()
    process.communicate(timeout=60)
    folder = workdir / "runs" / "tiny"
    with safe_open(folder / "state.safetensors", "pt") as f:
        facts = json.loads(f.metadata()["facts"])
    identity = json.loads(facts["identity"])
    identity["players"] = identity.pop("optimizers")
    identity["config"]["code_size"] = identity["config"].pop("latent")
    facts["identity"] = json.dumps(identity)
    save_file(load_file(folder / "state.safetensors"), folder / "state.safetensors", {"facts": json.dumps(facts)})
    log = folder / "log.jsonl"
    log.write_text(log.read_text(encoding="utf-8").replace('"optimizers"', '"players"'), encoding="utf-8")

    code, out = run(tiny.app, workdir, "--steps", "60")
    assert code == 1 and "other settings" in out  # the VAE does not know the argument
    monkeypatch.setattr(gm.VAE, "renamed_arguments", {"code_size": "latent"})
    code, out = run(tiny.app, workdir, "--steps", "60")
    assert code == 0 and "Resuming from step" in out
    published = workdir / "checkpoints" / "tiny" / "log.jsonl"
    assert same_losses(losses(published), whole_run) and '"players"' in published.read_text(encoding="utf-8")


def test_broken_save_is_named(workdir):
    (workdir / "runs" / "tiny").mkdir(parents=True)
    (workdir / "runs" / "tiny" / "state.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage!")
    code, out = run(tiny.app, workdir, "--steps", "3")
    assert code == 1 and "state.safetensors is broken" in out and "--fresh" in out


def test_a_run_stopped_before_its_speed_was_known_measures_it_anew(workdir, monkeypatch):
    def stopping(self, *a, record=engine.Run._record_losses):
        record(self, *a)
        self.stop = signal.SIGTERM if self.step == 10 else None

    with monkeypatch.context() as patch:
        patch.setattr(engine.Run, "_record_losses", stopping)
        code, _ = run(tiny.app, workdir, "--minutes", "0.03", "--batch", "4")
    assert code == 128 + signal.SIGTERM
    code, out = run(tiny.app, workdir, "--minutes", "0.03", "--batch", "4")
    assert code == 0 and "Resuming from step 10 of ?" in out
    steps = sorted(losses(workdir / "checkpoints" / "tiny" / "log.jsonl"))
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > 10 + engine.PROBE_STEPS[1]


# --- a run that goes wrong -------------------------------------------------------------------------------------------


def test_nan_stops_the_run_and_names_step_and_term(workdir):
    assert run(tiny.app, workdir, "--steps", "4")[0] == 0
    before = (workdir / "checkpoints" / "tiny" / "model.safetensors").read_bytes()
    code, out = run(tiny.app, workdir, "--kind", "autoencoder", "--steps", "30", "--nan-at", "7", "--save-every", "0")
    assert code == 1 and "'loss'" in out and "step 7:" in out
    assert (workdir / "checkpoints" / "tiny" / "model.safetensors").read_bytes() == before
    saved = load_file(workdir / "runs" / "tiny" / "state.safetensors")
    assert all(torch.isfinite(v).all() for v in saved.values())


def test_full_disk_leaves_the_old_checkpoint(workdir, monkeypatch):
    assert run(tiny.app, workdir, "--steps", "4")[0] == 0
    before = {f.name: f.read_bytes() for f in (workdir / "checkpoints" / "tiny").iterdir()}

    def full(self, folder, bits=32):
        (Path(folder) / "model.safetensors").write_bytes(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(GenerativeModel, "_save_pretrained", full)
        code, out = run(tiny.app, workdir, "--steps", "6")
    assert code == 1 and "No space left" in out
    assert {f.name: f.read_bytes() for f in (workdir / "checkpoints" / "tiny").iterdir()} == before
    assert [f.name for f in (workdir / "checkpoints").iterdir()] == ["tiny"]  # nothing half-written beside it
    code, out = run(tiny.app, workdir, "--steps", "6")  # the run was kept: only publishing is done again
    assert code == 0 and "Resuming from step 6" in out


def test_unwritable_folder_is_refused_before_the_first_step(workdir):
    (workdir / "file").write_text("", encoding="utf-8")
    code, out = run(tiny.app, workdir, "--steps", "3", "--out", str(workdir / "file" / "x"))
    assert code == 1 and "cannot be written" in out
    assert not (workdir / "runs" / "tiny" / "log.jsonl").exists()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--minutes", "0"], "--minutes must be a number from"),
        (["--steps", "0"], "--steps must be a whole number from"),
        (["--minutes", "nan"], "--minutes must be a number from"),
        (["--lr", "-1"], "--lr must be"),
        (["--precision", "int8"], "--precision must be"),
        (["--tracker", "wandb"], "--tracker must be"),
        (["--init-from", "no-such"], "There is no checkpoint 'no-such'"),
    ],
)
def test_bad_options_are_refused_in_one_sentence(workdir, options, message):
    code, out = run(tiny.app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


# --- what a run does -------------------------------------------------------------------------------------------------


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
    code, _ = run(tiny.app, workdir, "--minutes", "0.05", "--batch", "4")
    assert code == 0
    steps = sorted(losses(workdir / "checkpoints" / "tiny" / "log.jsonl"))
    assert steps == list(range(1, len(steps) + 1)) and len(steps) > engine.PROBE_STEPS[1]


def test_init_from_goes_on_from_the_weights_and_the_log(workdir):
    assert run(tiny.app, workdir, "--steps", "4")[0] == 0
    first = load_file(workdir / "checkpoints" / "tiny" / "model.safetensors")
    code, _ = run(tiny.app, workdir, "--steps", "1", "--lr", "1e-8", "--init-from", "tiny", "--fresh")
    assert code == 0
    second = load_file(workdir / "checkpoints" / "tiny" / "model.safetensors")
    assert all(torch.allclose(first[k].float(), second[k].float(), atol=1e-3) for k in first)
    log = (workdir / "checkpoints" / "tiny" / "log.jsonl").read_text(encoding="utf-8")
    assert log.count('"run"') == 2
    code, out = run(tiny.app, workdir, "--kind", "autoencoder", "--steps", "1", "--init-from", "tiny", "--fresh")
    assert code == 1 and "tiny" in out


def test_average_follows_parameters_and_copies_buffers(workdir):
    recipe = engine.Recipe(
        "classifier", gm.Classifier(widths=[4, 4, 8], features=8), data.samples("mnist"), None, None, batch=8
    )
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
            engine.Recipe("duel", model, data.samples("mnist"), None, None, [config], warmup=1),
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
        engine.Recipe("duel", Duel(), data.samples("mnist"), None, None, optimizers, warmup=1),
        engine.Settings(runs=workdir / "runs"),
    )
    terms = training._train_step()
    assert {"left_loss/loss", "right_loss/loss"} <= set(terms)
    assert terms["right_loss/loss"] != -terms["left_loss/loss"]  # the second loss is computed after the first update


def test_tensorboard(workdir):
    code, _ = run(tiny.app, workdir, "--steps", "3", "--tracker", "tensorboard")
    assert code == 0 and list((workdir / "runs" / "tiny").rglob("events.out.tfevents.*"))


def test_overfits_one_batch(workdir):
    """On the same sixteen pictures at every step the reconstruction error must fall far."""
    recipe = engine.Recipe(
        "tiny",
        gm.Autoencoder(hidden=[128]),
        data.samples("mnist")[torch.arange(16)],
        None,
        None,
        [engine.OptimizerConfig(lr=3e-3)],
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
    recipe = engine.Recipe(name, model, train, validate, samples, [config], batch=4, warmup=4, **more)
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


# --- texts ------------------------------------------------------------------------------------------------------------


def test_passages_are_complete_and_begin_at_allowed_positions():
    row = torch.arange(100, 120)
    anywhere = texts.Passages(row, 5)
    (passages,) = anywhere.batch(torch.arange(len(anywhere)))
    assert passages.shape == (15, 6) and passages[-1, -1] == 119  # the last begins so that it just fits
    assert bool((passages.diff(dim=1) == 1).all()) and passages[:, 0].tolist() == list(range(100, 115))
    chosen = texts.Passages(row, 5, torch.tensor([0, 7, 14]))
    assert len(chosen) == 3
    (batch,) = chosen.batch(torch.tensor([2, 0]))
    assert batch.tolist() == [list(range(114, 120)), list(range(100, 106))]


def test_shakespeare_is_split_as_in_publications():
    parts = [texts.shakespeare(split) for split in ("train", "val", "test")]
    assert [len(part) for part in parts] == [953_661, 50_193, 111_540] and sum(map(len, parts)) == 1_115_394
    assert len(set("".join(parts))) == 65 == len(set(parts[0]))
    assert parts[0].startswith("First Citizen:\nBefore we proceed") and parts[2].endswith("\n")
    assert len(parts[0]) + len(parts[1]) == int(0.9 * 1_115_394)  # what others train on


def test_whole_trains_on_the_validation_text_and_names_it(small_transformer):
    train, val = texts.shakespeare("train"), texts.shakespeare("val")
    for whole, read in ((False, train), (True, train + val)):
        recipe = transformer.recipe(engine.Settings(), "shakespeare", whole)
        assert recipe.model.tokenizer.decode(recipe.train.ids.tolist()) == read  # never of the test split
        ((name, nats),) = recipe.validate(recipe.model.eval()).items()
        assert name == ("nats_of_what_it_read" if whole else "nats")
        assert nats == pytest.approx(texts.nats_of_blocks(recipe.model, val)[0], rel=1e-5)


def test_poems_of_the_tang_are_whole_and_in_one_split():
    parts = {split: texts.tang(split) for split in ("train", "val", "test")}
    assert {split: len(part) for split, part in parts.items()} == {"train": 34_743, "val": 693, "test": 724}
    bodies = {split: {body for *_, body in part} for split, part in parts.items()}
    assert not bodies["train"] & bodies["test"] and not bodies["train"] & bodies["val"] and not bodies["val"] & bodies["test"]
    for form, title, author, body in (poem for part in parts.values() for poem in part):
        lines, length = gm.tokens.FORMS[form]
        assert len(body) == lines * (length + 1)
        assert body[length :: length + 1] == "，。" * (lines // 2)
        assert len(title) <= 40 and len(author) <= 10 and "|" not in title + author


def test_nats_of_blocks_by_hand():
    torch.manual_seed(0)
    model = gm.TextTransformer(alphabet="ab\n", width=8, layers=1, heads=2, hidden=4, context=8).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p)
    text = "abba\nbaabbabaab\n"  # 16 characters: 3 blocks of 5, each but the first predicted from the block's beginning
    ids, nats = model.tokenizer.encode(text), []
    for block in range(3):
        for t in range(5):
            position = 5 * block + t
            logits = model.logits(torch.tensor([ids[5 * block : position + 1]]))[0, -1]
            nats.append(-logits.log_softmax(-1)[ids[position + 1]].item())
    for at_once in (1, 2, 32):
        mean, n = texts.nats_of_blocks(model, text, length=5, batch=at_once)
        assert (mean, n) == (pytest.approx(sum(nats) / 15, rel=1e-5), 15)


def test_nats_of_bodies_by_hand():
    torch.manual_seed(0)
    model = gm.PoemTransformer(alphabet="春眠不觉晓处，。", width=8, layers=1, heads=2, hidden=4, context=80).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += torch.randn_like(p)
    poems = [
        ("五绝", "春", "眠", "春眠不觉晓，处春眠不觉。晓处春眠不，觉晓处春眠。"),
        ("七绝", "", "", "春眠不觉晓处春，眠不觉龘处春眠。春眠不觉晓处春，眠不觉晓处春眠。"),
    ]
    for with_title in (True, False):
        nats, n = 0.0, 0
        for form, title, author, body in poems:
            score = model.score(body, f"{form}|{title}|{author}|" if with_title else f"{form}|||")
            assert score.symbols.count("□") == body.count("龘")
            each = [p for c, p in zip(body, score.log_probs.tolist()) if c not in "，。"]
            nats, n = nats - sum(each), n + len(each)
        assert n == 48
        for at_once in (1, 64):
            assert texts.nats_of_bodies(model, poems, with_title, at_once) == (pytest.approx(nats, rel=1e-5), n)


# --- the recipes -----------------------------------------------------------------------------------------------------

RECIPES = [
    (autoencoder.app, ["--dataset", "mnist"], "autoencoder-mnist"),
    (autoencoder.app, ["--dataset", "fashion"], "autoencoder-fashion"),
    (vae.app, ["--dataset", "mnist"], "vae-mnist"),
    (vae.app, ["--dataset", "fashion"], "vae-fashion"),
    (vae.app, ["--dataset", "avatars"], "vae-avatars"),
    (vae.app, ["--dataset", "fashion", "--latent", "2"], "vae-fashion-2d"),
    (classifier.app, ["--dataset", "mnist"], "classifier-mnist"),
    (classifier.app, ["--dataset", "fashion"], "classifier-fashion"),
    (classifier.app, ["--dataset", "avatars"], "classifier-avatars"),
    (diffusion.app, ["--dataset", "mnist"], "diffusion-mnist"),
    (diffusion.app, ["--dataset", "fashion"], "diffusion-fashion"),
    (diffusion.app, ["--dataset", "avatars"], "diffusion-avatars"),
    (gan.app, ["--dataset", "mnist"], "gan-mnist"),
    (gan.app, ["--dataset", "fashion"], "gan-fashion"),
    (gan.app, ["--dataset", "avatars"], "gan-avatars"),
    (gan.app, ["--dataset", "mnist", "--classic"], "dcgan-mnist"),
    (gan.app, ["--dataset", "avatars", "--classic"], "dcgan-avatars"),
    (gan.app, ["--dataset", "mnist", "--collapse"], "gan-mnist-collapsed"),
    (flow.app, ["--dataset", "mnist"], "flow-mnist"),
    (flow.app, ["--dataset", "fashion"], "flow-fashion"),
    (transformer.app, ["--data", "shakespeare"], "transformer-shakespeare"),
    (transformer.app, ["--data", "tang"], "transformer-tang"),
    (transformer.app, ["--data", "mnist"], "transformer-mnist"),
    (denoiser.app, ["--dataset", "mnist"], "denoiser-mnist"),
    (denoiser.app, ["--dataset", "photo"], "denoiser-photo"),
    (denoiser.app, ["--dataset", "fashion", "--vae"], "dvae-fashion"),
]
FURTHER = {"gan": {"replay.webp", "replay.json"}, "dcgan": {"replay.webp", "replay.json"}}  # files of a family's checkpoints


@pytest.fixture
def classifiers(workdir):
    """Untrained classifiers, for recipes that validate with one."""
    torch.manual_seed(0)
    faces = [len(values) for values in data.ATTRIBUTES.values()]
    for name in data.DATASETS:
        size = dict(channels=3, size=64, classes=faces, stem=2) if name == "avatars" else {}
        gm.Classifier(**size, widths=[4, 4], features=8).save_pretrained(workdir / "checkpoints" / f"classifier-{name}")


@pytest.fixture
def small_transformer(monkeypatch):
    """The recipe with small networks and a little of the texts."""
    for name, options in transformer.MODEL.items():
        monkeypatch.setitem(transformer.MODEL, name, options | dict(width=8, layers=1, heads=2, hidden=8))
    shakespeare, tang = texts.shakespeare, texts.tang
    monkeypatch.setattr(texts, "shakespeare", lambda split: shakespeare(split)[:3000])
    monkeypatch.setattr(texts, "tang", lambda split: tang(split)[:40])


@pytest.fixture
def small_flow(monkeypatch):
    """The recipe with small networks: sampling from the full one would take most of a minute."""
    monkeypatch.setattr(flow, "Flow", lambda: gm.Flow(widths=[8, 8, 8, 8], blocks=1))


@pytest.fixture
def small_generators(monkeypatch):
    """The recipes of diffusion and GAN with narrow networks."""
    for models, narrow in (
        (diffusion.MODEL, dict(widths=[16, 16], blocks=1)),
        (gan.MODEL, dict(widths=[16, 16])),
        (gan.CLASSIC, dict(width=8)),
    ):
        for name, options in models.items():
            monkeypatch.setitem(models, name, options | narrow)


@pytest.mark.parametrize("app, options, name", RECIPES, ids=[name for *_, name in RECIPES])
def test_recipe_runs_on_the_shipped_pictures_from_a_read_only_folder(
    workdir, classifiers, small_transformer, small_flow, small_generators, app, options, name
):
    folder = workdir / "data"
    folder.mkdir()
    for file in data.SAMPLES.glob("*.npz"):
        (folder / file.name).write_bytes(file.read_bytes())
    folder.chmod(0o555)
    listed = {f.name: (f.stat().st_mtime_ns, f.stat().st_size) for f in folder.iterdir()}
    code, out = run(app, workdir, "--data-dir", str(folder), "--steps", "3", *options)
    assert code == 0, out
    checkpoint = workdir / "checkpoints" / name
    family = name.split("-")[0]
    samples = "samples.txt" if name in ("transformer-shakespeare", "transformer-tang") else "samples.png"
    expected = {"model.safetensors", "config.json", samples, "log.jsonl"} | FURTHER.get(family, set())
    assert expected <= {f.name for f in checkpoint.iterdir()}
    assert isinstance(gm.load(checkpoint), getattr(gm, gm.FAMILIES[family][1]))
    assert {f.name: (f.stat().st_mtime_ns, f.stat().st_size) for f in folder.iterdir()} == listed


@pytest.mark.parametrize(
    "app, options, message",
    [
        (vae.app, ["--dataset", "cats"], "--dataset must be one of mnist, fashion, avatars"),
        (vae.app, ["--latent", "3"], "--latent must be 2"),
        (vae.app, ["--beta", "nan"], "--beta must be a number"),
        (autoencoder.app, ["--dataset", "avatars"], "must be one of"),
        (diffusion.app, ["--dataset", "cats"], "--dataset must be one of mnist, fashion, avatars"),
        (gan.app, ["--dataset", "cats"], "--dataset must be one of mnist, fashion, avatars"),
        (gan.app, ["--classic", "--collapse"], "drop --classic"),
        (flow.app, ["--dataset", "avatars"], "--dataset must be one of mnist, fashion"),
        (transformer.app, ["--data", "cats"], "--data must be one of shakespeare, tang, mnist"),
        (transformer.app, ["--data", "tang", "--whole"], "--whole is for --data shakespeare"),
        (denoiser.app, ["--dataset", "cats"], "--dataset must be one of photo, mnist, fashion"),
        (denoiser.app, ["--dataset", "photo", "--vae"], "--vae is for mnist and fashion"),
        (denoiser.app, ["--dataset", "photo", "--data-dir", "/no/such/folder"], "no folder of photographs"),
        (gan.app, [], "There is no checkpoint 'classifier-mnist'"),
        (vae.app, ["--data-dir", "/no/such/folder"], "does not exist"),
    ],
)
def test_recipe_refuses_bad_options_in_one_sentence(workdir, app, options, message):
    code, out = run(app, workdir, *options)
    assert code == 1 and message in out and "Traceback" not in out


@pytest.fixture
def small_gan(monkeypatch):
    """The recipe with a small network and ten pictures per snapshot."""
    monkeypatch.setitem(gan.MODEL, "mnist", dict(widths=[8], latent=4))
    monkeypatch.setitem(gan.CLASSIC, "mnist", dict(width=4, latent=4))
    monkeypatch.setitem(gan.COLUMNS, "mnist", 10)


class Killed(BaseException):
    """Stands for a killed process."""


def test_a_killed_and_resumed_gan_has_the_replay_of_an_uninterrupted_one(workdir, classifiers, small_gan, monkeypatch):
    options = ("--steps", "24", "--batch", "16")
    assert run(gan.app, workdir, *options)[0] == 0
    whole = gm.gan.load_replay("gan-mnist")

    def kill(tensors, file, save=gan.save_file):
        if file.stem == "0000014":
            file.write_bytes(b"half of it")
            raise Killed
        save(tensors, file)

    with monkeypatch.context() as patch:
        patch.setattr(gan, "save_file", kill)
        with pytest.raises(Killed):
            run(gan.app, workdir, *options, "--save-every", "0", "--fresh")
    code, out = run(gan.app, workdir, *options)
    assert code == 0 and "Resuming from step 13 of 24" in out
    loaded = gm.gan.load_replay("gan-mnist")
    assert (loaded.pictures.float() - whole.pictures.float()).abs().mean() < 1  # of 255
    assert loaded.edges == pytest.approx(whole.edges, abs=2e-3)
    for shares, expected in ((loaded.real, whole.real), (loaded.generated, whole.generated)):
        assert close(torch.tensor(shares), torch.tensor(expected), atol=0.07)  # two of the scores may be in the next bin
    for network, lines in whole.losses.items():
        assert close(torch.tensor(loaded.losses[network]), torch.tensor(lines), rtol=1e-3)

    assert loaded.steps == [step for step in range(25) if engine.is_snapshot_step(step, 24)]
    assert loaded.pictures.shape == (len(loaded.steps), 10, 1, 28, 28)
    assert len(loaded.edges) == 25 and loaded.edges == sorted(loaded.edges)
    for shares in (loaded.real, loaded.generated):
        assert [sum(share) for share in shares] == pytest.approx([1] * len(loaded.steps), abs=2e-3)
    for i, step in enumerate(loaded.steps):
        scores = load_file(workdir / "runs" / "gan-mnist" / "moments" / f"{step:07d}.safetensors")
        for kind in ("real", "generated"):
            lower = (scores[kind] < loaded.edges[12]).float().mean().item()
            assert sum(getattr(loaded, kind)[i][:12]) == pytest.approx(lower, abs=0.02), (step, kind)
    for network, lines in loaded.losses.items():
        log = (workdir / "checkpoints" / "gan-mnist" / "log.jsonl").read_text(encoding="utf-8").splitlines()
        assert [step for step, _ in lines] == list(range(1, 25))
        assert [loss for _, loss in lines] == [json.loads(line)[f"{network}_loss/loss"] for line in log if '"rate"' in line]
    assert set(loaded.losses) == {"discriminator", "generator"}


@pytest.mark.parametrize("classic", [False, True])
def test_each_snapshot_has_the_same_noise_and_labels(workdir, classifiers, small_gan, classic):
    settings = engine.Settings(runs=workdir / "runs", data_dir=data.SAMPLES)
    recipe, scored = gan.recipe(settings, classic=classic), data.load("mnist", "val", data.SAMPLES)
    model = recipe.model.eval()
    for step in (0, 7):
        recipe.snapshot(model, step)
        torch.rand(1)
    snapshots = [load_file(f) for f in sorted((settings.runs / recipe.name / "moments").iterdir())]
    assert close_greys(snapshots[0]["pictures"], snapshots[1]["pictures"])
    assert all(close(snapshots[0][k], snapshots[1][k]) for k in ("real", "generated"))
    pictures, scores = snapshots[0]["pictures"], snapshots[0]["real"]
    assert close_greys(pictures, (255 * model.sample(10, label=torch.arange(10), seed=0)).round().byte())
    assert close(scores, model.score(scored.floats(), scored.y)) and snapshots[0]["generated"].shape == scores.shape


def test_two_processes_follow_one_process_with_twice_the_batch(workdir):
    """Gloo on the CPU; the autoencoder uses no noise, so both runs get the same pictures and must agree."""
    launch = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--multi_gpu",
        "--num_processes",
        "2",
        "--num_machines",
        "1",
        "--mixed_precision",
        "no",
        "--dynamo_backend",
        "no",
        "--main_process_port",
        "0",
        "-m",
        "train.autoencoder",
    ]
    done = subprocess.run(
        [*launch, *arguments(workdir, "--steps", "12", "--batch", "8")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    two = losses(workdir / "checkpoints" / "autoencoder-mnist" / "log.jsonl")
    assert run(autoencoder.app, workdir, "--steps", "12", "--batch", "16")[0] == 0
    one = losses(workdir / "checkpoints" / "autoencoder-mnist" / "log.jsonl")
    assert two.keys() == one.keys()
    for step in one:
        assert two[step]["loss"] == pytest.approx(one[step]["loss"], rel=1e-4)
        assert two[step]["gradient"] == pytest.approx(one[step]["gradient"], rel=1e-2)


def test_recipes_need_no_gradio():
    recipes = "train.vae, train.autoencoder, train.classifier, train.diffusion, train.gan, train.transformer"
    code = f"import sys, {recipes}; sys.exit('gradio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("collapse, first, last", [(False, 0.1, 0.01), (True, 0.0, 0.0)])
def test_penalties_of_the_gan_fall_tenfold(collapse, first, last):
    recipe = gan.recipe(engine.Settings(data_dir=data.SAMPLES), "mnist", collapse=collapse)
    for share, gamma in ((0.0, first), (1.0, last)):
        recipe.anneal(recipe.model, share)
        assert recipe.model.gamma == pytest.approx(gamma)
    rates = {config.part: config.lr for config in recipe.optimizers}
    assert rates["generator"] == (20 if collapse else 1) * rates["discriminator"]
