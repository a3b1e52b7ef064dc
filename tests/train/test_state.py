"""A run that is killed and resumed, extended or finished early, or meets a full disk; what it publishes."""

import errno
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import genmodels as gm
from genmodels.base import GenerativeModel
from tests import tiny
from tests.helpers_train import losses, run, same_losses, start
from train import engine


def wait_for_step(workdir, step, process):
    log = workdir / "runs" / "tiny" / "log.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) > step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached: {process.communicate()}")


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
