"""A run that is killed and resumed, extended or finished early, or meets a full disk; what it publishes."""

import contextlib
import errno
import json
import re
import shutil
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
from train.state import RunFolder


def wait_for_step(workdir, step, process):
    log = workdir / "runs" / "tiny" / "log.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if log.is_file() and len(log.read_text(encoding="utf-8").splitlines()) > step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached: {process.communicate()}")


@contextlib.contextmanager
def checkpoints_in(workdir):
    """For fixtures of a module: as `workdir` does it for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENMODELS_CHECKPOINTS", str(workdir / "checkpoints"))
        yield patch


def stop_at(patch, step, number=signal.SIGTERM):
    """Runs of this process get a signal during this step."""

    def recording(self, *a, record=engine.Run._record_losses):
        record(self, *a)
        if self.step == step:
            signal.raise_signal(number)

    patch.setattr(engine.Run, "_record_losses", recording)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """The losses of an uninterrupted run of 60 steps."""
    workdir = tmp_path_factory.mktemp("whole")
    with checkpoints_in(workdir):
        assert run(tiny.app, workdir, "--steps", "60")[0] == 0
    return losses(workdir / "checkpoints" / "tiny" / "log.jsonl")


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory):
    """The folder of a run of 60 steps that was stopped after the twentieth."""
    workdir = tmp_path_factory.mktemp("stopped")
    with checkpoints_in(workdir) as patch:
        stop_at(patch, 20)
        code, out = run(tiny.app, workdir, "--steps", "60")
    assert code == 128 + signal.SIGTERM and "Stopped and saved after step 20 of 60" in out
    assert not (workdir / "checkpoints" / "tiny").exists()
    return workdir / "runs" / "tiny"


@pytest.fixture
def stopped(workdir, stopped_run):
    """A copy of it, to be gone on with."""
    shutil.copytree(stopped_run, workdir / "runs" / "tiny")
    return workdir / "runs" / "tiny"


def test_a_killed_run_ends_with_the_losses_of_an_uninterrupted_one(workdir, whole_run):
    process = start(workdir, "--steps", "60", "--save-every", "0")
    wait_for_step(workdir, 20, process)
    code, out = run(tiny.app, workdir, "--steps", "60")
    assert code == 1 and "is in use by a run that is going on" in out
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode != 0 and not (workdir / "checkpoints" / "tiny").exists()
    code, out = run(tiny.app, workdir, "--steps", "60")
    assert code == 0 and "Resuming from step" in out and "Resuming from step 0 " not in out
    assert same_losses(losses(workdir / "checkpoints" / "tiny" / "log.jsonl"), whole_run)


def test_stopped_run_ends_with_the_losses_of_an_uninterrupted_one(workdir, whole_run, stopped):
    code, out = run(tiny.app, workdir, "--steps", "60")
    assert code == 0 and "Resuming from step 20 of 60" in out
    assert same_losses(losses(workdir / "checkpoints" / "tiny" / "log.jsonl"), whole_run)
    assert not (stopped / "state.safetensors").exists()  # the next start is a new run


def log_of(workdir):
    text = (workdir / "checkpoints" / "tiny" / "log.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_cooldown_finishes_a_stopped_run(workdir, stopped):
    code, out = run(tiny.app, workdir, "--steps", "60", "--cooldown")
    assert code == 0, out
    log = log_of(workdir)
    rates = {line["step"]: line["rate"] for line in log if "rate" in line}
    assert list(rates) == list(range(1, 26)) and log[0]["run"]["steps"] == 25  # twenty steps are four fifths of it
    assert [rates[step] for step in range(20, 26)] == pytest.approx([1, 1, 0.8, 0.6, 0.4, 0.2])
    assert re.search(
        r"^python -m train.recipe .*--steps 60, stopped at step 20, then python -m .* --cooldown$", log[0]["run"]["command"]
    )


def test_a_stopped_run_can_be_extended(workdir, stopped):
    code, out = run(tiny.app, workdir, "--steps", "80")
    assert code == 0 and "Resuming from step 20" in out
    log = log_of(workdir)
    assert log[0]["run"]["steps"] == 80
    assert re.search(
        r"^python -m train.recipe .*--steps 60, stopped at step 20, then python -m .* --steps 80$", log[0]["run"]["command"]
    )
    rates = {line["step"]: line["rate"] for line in log if "rate" in line}
    assert rates[60] == 1.0 and rates[80] == pytest.approx(1 / 16, abs=1e-4)  # its cooldown belongs to the new length


def test_a_stopped_run_can_be_shortened_until_its_cooldown_would_have_begun(workdir, stopped):
    code, out = run(tiny.app, workdir, "--steps", "24")
    assert code == 1 and "--steps 24 is too short" in out and "at least --steps 25" in out
    assert (stopped / "state.safetensors").exists() and not (workdir / "checkpoints" / "tiny").exists()
    code, out = run(tiny.app, workdir, "--steps", "30")
    assert code == 0 and "The run now has 30 steps instead of 60" in out
    log = log_of(workdir)
    assert log[0]["run"]["steps"] == 30 and "stopped at step 20, then python" in log[0]["run"]["command"]
    rates = {line["step"]: line["rate"] for line in log if "rate" in line}
    assert [rates[step] for step in (20, 25, 26, 30)] == pytest.approx([1, 1, 5 / 6, 1 / 6], abs=1e-4)


def change_facts(stopped, change):
    """Change what a saved state says beside its tensors."""
    with safe_open(stopped / "state.safetensors", "pt") as f:
        facts = json.loads(f.metadata()["facts"])
    change(facts)
    save_file(load_file(stopped / "state.safetensors"), stopped / "state.safetensors", {"facts": json.dumps(facts)})


def test_other_minutes_of_a_stopped_run_change_its_length(workdir, stopped):
    change_facts(stopped, lambda facts: facts.update(seconds=60.0, minutes=3.0))  # three seconds per step
    code, out = run(tiny.app, workdir, "--minutes", "1.2")
    assert code == 1 and "--minutes 1.2 is too short" in out and "at least --minutes 1.25" in out
    code, out = run(tiny.app, workdir, "--minutes", "1.5")
    assert code == 0 and "The run now has 30 steps instead of 60" in out
    assert log_of(workdir)[0]["run"]["steps"] == 30


LENGTHS = {  # of a run of 60 steps in 3 minutes, stopped at this step: the options of the next start -> its number of steps
    "none": (20, {}, 60),
    "the same minutes": (20, {"minutes": 3.0}, 60),
    "more minutes": (20, {"minutes": 6.0}, 120),
    "fewer minutes": (20, {"minutes": 2.0}, 40),
    "too few minutes": (20, {"minutes": 1.0}, "--minutes 1 is too short"),
    "minutes that have passed": (40, {"minutes": 1.5}, "at least --minutes 2.5"),
    "the same steps": (20, {"steps": 60}, 60),
    "more steps": (20, {"steps": 61}, 61),
    "more steps within the cooldown": (55, {"steps": 61}, 61),
    "fewer steps": (20, {"steps": 25}, 25),
    "too few steps": (20, {"steps": 24}, "--steps 24 is too short"),
    "steps that have passed": (40, {"steps": 30}, "at least --steps 50"),
    "steps after all training": (60, {"steps": 60}, 60),
    "cooldown": (20, {"cooldown": True}, 25),
    "cooldown and the same steps": (20, {"cooldown": True, "steps": 60}, 25),
    "cooldown that has begun": (55, {"cooldown": True}, 60),
}


@pytest.mark.parametrize("case", LENGTHS)
def test_length_of_a_resumed_run(workdir, case):
    step, options, expected = LENGTHS[case]
    training = engine.Run(tiny.recipe(engine.Settings()), engine.Settings(runs=workdir / "runs", **options))
    training.files.folder.mkdir(parents=True)
    training.files.append({"run": {"command": "python -m train.recipe"}})
    training.step, training.total, training.minutes, training.seconds = step, 60, 3.0, 3.0 * step
    if isinstance(expected, str):
        with pytest.raises(engine.TrainingError, match=expected):
            training._set_length()
    else:
        training._set_length()
        assert training.total == expected
        changed = json.loads(training.files.lines()[0])["run"]["command"] != "python -m train.recipe"
        assert changed == (expected != 60)
        assert (training.minutes is None) == ("steps" in options or "cooldown" in options)


@pytest.mark.parametrize("saved, options, minutes", [(None, {}, 10.0), (3.0, {}, 3.0), (3.0, {"minutes": 5.0}, 5.0)])
def test_a_run_of_unknown_speed_keeps_its_minutes_unless_others_are_given(workdir, saved, options, minutes):
    training = engine.Run(tiny.recipe(engine.Settings()), engine.Settings(runs=workdir / "runs", **options))
    training.step, training.minutes = 10, saved
    training._set_length()
    assert training.total is None and training.minutes == minutes
    assert training._agree_on_total(0.1) == int(0.95 * minutes * 60 / 0.1)


def test_a_state_saved_without_minutes_is_resumed_by_the_same_command(workdir, stopped):
    change_facts(stopped, lambda facts: facts.pop("minutes"))
    code, out = run(tiny.app, workdir, "--minutes", "7", "--validations", "1")
    assert code == 0 and log_of(workdir)[0]["run"]["steps"] == 60


def test_a_folder_is_used_by_one_run_at_a_time(workdir):
    folder = workdir / "runs" / "tiny"
    folder.mkdir(parents=True)
    (folder / "log.jsonl").write_text("of the first\n", encoding="utf-8")
    with RunFolder(folder).lock():
        code, out = run(tiny.app, workdir, "--steps", "2", "--fresh")
        assert code == 1 and f"{folder} is in use by a run that is going on" in out.replace("\n", "")
        assert (folder / "log.jsonl").read_text(encoding="utf-8") == "of the first\n"
        assert run(tiny.app, workdir, "--steps", "2", "--runs", str(workdir / "others"))[0] == 0
    assert run(tiny.app, workdir, "--steps", "2")[0] == 0


def test_cooldown_without_a_run_is_refused(workdir):
    code, out = run(tiny.app, workdir, "--cooldown")
    assert code == 1 and "no unfinished run" in out


def test_other_settings_do_not_resume(workdir, stopped):
    code, out = run(tiny.app, workdir, "--steps", "60", "--seed", "1")
    assert code == 1 and "other settings" in out
    code, out = run(tiny.app, workdir, "--steps", "8", "--seed", "1", "--fresh")
    assert code == 0 and "Resuming" not in out


def test_a_state_saved_under_older_names_is_resumed(workdir, whole_run, stopped, monkeypatch):
    """Before 0.2.0 the optimizers were called "players"; arguments of a model may have been renamed too."""

    def older(facts):
        identity = json.loads(facts["identity"])
        identity["players"] = identity.pop("optimizers")
        identity["config"]["code_size"] = identity["config"].pop("latent")
        facts["identity"] = json.dumps(identity)

    change_facts(stopped, older)
    log = stopped / "log.jsonl"
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
    with monkeypatch.context() as patch:
        stop_at(patch, 10)
        code, _ = run(tiny.app, workdir, "--minutes", "0.01", "--batch", "4")
    assert code == 128 + signal.SIGTERM
    code, out = run(tiny.app, workdir, "--minutes", "0.01", "--batch", "4")
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
