"""What a run publishes: the averaged weights of its best validation, with true minutes, whole files and an honest log."""

import json
import os
import shutil
import signal
import types

import pytest
import torch
from safetensors.torch import load_file

from genmodels import data
from genmodels.base import FAMILIES, GenerativeModel
from tests.helpers_train import losses
from train import engine, state

STEP_SECONDS = 6.0


class Slope(GenerativeModel):
    """Weights that the optimizer moves on and on; the loss also has noise of its own and depends on the pictures."""

    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(3, 4))

    def loss(self, batch):
        x, _ = batch
        noise = torch.rand(()) + x.mean()
        return {"loss": (self.w * torch.arange(1.0, 13).view(3, 4)).sum() + noise}


class Clock:
    """Stands for the module `time`: a clock that only the test moves."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


class Scripted:
    """A run whose validation scores are given in advance, and whose steps take six seconds each.

    It records what validation, samples and snapshots get; `stop_at`: a signal arrives during this step.
    """

    def __init__(self, monkeypatch, workdir, scores=None, name="scripted", **recipe):
        self.clock, self.scores = Clock(), iter(scores or [float(-i) for i in range(1000)])
        self.monkeypatch, self.workdir, self.name, self.options = monkeypatch, workdir, name, recipe
        self.validated, self.raw, self.sampled, self.augmented, self.indices = {}, {}, [], [], []
        self.stop_at = None
        self.signal = signal.SIGTERM

    def fit(self, steps=12, validations=3, **settings):
        self.monkeypatch.setattr(engine, "time", self.clock)
        pictures, this = data.samples("mnist")[:10], self

        class Watched:
            def __len__(self):
                return len(pictures)

            def batch(self, i):
                this.indices.append(i.tolist())
                this.clock.now += STEP_SECONDS
                if this.training.step + 1 == this.stop_at:
                    os.kill(os.getpid(), this.signal)
                return pictures.batch(i)

        def augment(x):
            self.augmented.append(torch.rand(()).item())
            return x

        def validate(model):
            assert not model.training and torch.is_inference_mode_enabled()
            self.validated[self.training.step] = model.w.clone()
            self.raw[self.training.step] = self.training.unwrapped.w.detach().clone()
            return {"score": next(self.scores), "other": 0.0}

        def samples(model):
            self.sampled.append(model.w.clone())
            return torch.zeros(4, 1, 8, 8)

        recipe = engine.Recipe(
            name=self.name,
            model=Slope(),
            train=Watched(),
            validate=validate,
            samples=samples,
            augment=augment,
            **dict(batch=3, warmup=2, bits=32, optimizers=[engine.OptimizerConfig(lr=0.1)]) | self.options,
        )
        options = dict(steps=steps, validations=validations, runs=self.workdir / "runs", log_every=1)
        self.training = engine.Run(recipe, engine.Settings(**options | settings))
        return self.training.fit()

    def stop(self, step, **settings):
        self.stop_at = step
        with pytest.raises(SystemExit) as stopped:
            self.fit(**settings)
        self.stop_at = None
        return stopped.value.code


@pytest.fixture
def scripted(monkeypatch, workdir):
    monkeypatch.setitem(FAMILIES, "slope", (__name__, "Slope"))

    def make(scores=None, **options):
        return Scripted(monkeypatch, workdir, scores, **options)

    return make


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


# --- Which weights ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scores, best", [([3.0, 1.0, 2.0], 8), ([1.0, 3.0, 2.0], 4), ([3.0, 2.0, 1.0], 12), ([1.0, 1.0, 1.0], 4)]
)
def test_the_averaged_weights_of_the_lowest_validation_are_published(scripted, scores, best):
    run = scripted(scores)
    out = run.fit()
    assert list(run.validated) == [4, 8, 12]
    published = load_file(out / "model.safetensors")["w"]
    assert torch.equal(published, run.validated[best])
    assert not torch.allclose(published, run.raw[best], atol=1e-3)
    for other in {4, 8, 12} - {best}:
        assert not torch.allclose(published, run.validated[other], atol=1e-3)
    assert log_of(out)[0]["run"]["published_step"] == best
    assert torch.equal(run.sampled[-1], published)  # samples.png shows what is published


@pytest.mark.parametrize("stop", [4, 6, 9])
def test_a_resumed_run_still_knows_its_best_weights(scripted, stop):
    run = scripted([1.0, 3.0, 2.0])
    run.stop(stop)
    out = run.fit()
    assert list(run.validated) == [4, 8, 12]
    assert torch.equal(load_file(out / "model.safetensors")["w"], run.validated[4])
    assert log_of(out)[0]["run"]["published_step"] == 4


def test_a_better_validation_after_resuming_is_published(scripted):
    run = scripted([2.0, 3.0, 1.0])
    run.stop(6)
    assert torch.equal(load_file(run.fit() / "model.safetensors")["w"], run.validated[12])


def test_further_files_are_made_from_the_weights_that_will_be_loaded(scripted):
    calls = []
    run = scripted(
        [1.0, 2.0, 3.0], bits=8, finish=lambda model, folder: calls.append((model.w.detach().clone(), folder.exists()))
    )
    out = run.fit()
    ((weights, existed),) = calls
    assert existed and torch.equal(weights, Slope.from_pretrained(out).w)
    assert torch.allclose(weights, run.validated[4], atol=0.02)


def test_a_validation_that_is_not_finite_stops_the_run(scripted):
    run = scripted([1.0, float("nan")])
    with pytest.raises(engine.TrainingError, match="score = nan at step 8"):
        run.fit()
    assert torch.equal(load_file(run.workdir / "runs" / "scripted" / "best.safetensors")["w"], run.validated[4])


@pytest.mark.parametrize(
    "steps, validations, expected", [(12, 3, [4, 8, 12]), (12, 1, [12]), (10, 3, [3, 6, 9, 10]), (3, 10, [1, 2, 3])]
)
def test_validations_are_evenly_spaced_and_the_last_one_is_at_the_end(scripted, steps, validations, expected):
    run = scripted()
    out = run.fit(steps, validations)
    assert list(run.validated) == expected
    assert [line["step"] for line in log_of(out) if "validation" in line] == expected
    files = sorted(int(f.stem) for f in (run.workdir / "runs" / "scripted" / "samples").iterdir())
    assert files == expected


def test_the_log_holds_the_scores(scripted):
    lines = [line["validation"] for line in log_of(scripted([3.0, 1.25, 2.0]).fit()) if "validation" in line]
    assert lines == [{"score": s, "other": 0.0} for s in (3.0, 1.25, 2.0)]


# --- How long ---------------------------------------------------------------------------------------------------------


def test_minutes_are_those_of_the_steps(scripted):
    facts = log_of(scripted().fit(steps=20))[0]["run"]
    assert (facts["minutes"], facts["steps"]) == (pytest.approx(20 * STEP_SECONDS / 60), 20)


def test_minutes_of_a_resumed_run_are_those_of_both_parts(scripted):
    run = scripted()
    run.stop(13, steps=20)
    run.clock.now += 1e6  # the night between
    assert log_of(run.fit(steps=20))[0]["run"]["minutes"] == pytest.approx(20 * STEP_SECONDS / 60)


@pytest.mark.parametrize("minutes, steps", [(10.0, 95), (20.0, 190), (0.5, 26)])
def test_the_number_of_steps_follows_from_the_speed(scripted, minutes, steps):
    """95 % of the time, at the speed of the steps after the first, which may be slow; never fewer than are done."""
    run, first = scripted(), engine.PROBE_STEPS[0]

    class SlowStart(list):
        def append(self, i):
            super().append(i)
            run.clock.now += 500 if len(self) <= first else 0

    run.indices = SlowStart()
    out = run.fit(steps=None, minutes=minutes)
    facts = log_of(out)[0]["run"]
    assert facts["steps"] == len(run.indices) == steps
    assert facts["minutes"] == pytest.approx((steps * STEP_SECONDS + first * 500) / 60, abs=0.06)


def test_the_recipes_minutes_count_if_no_others_are_given(scripted):
    assert log_of(scripted(minutes=15.0).fit(steps=None))[0]["run"]["steps"] == int(0.95 * 15 * 60 / STEP_SECONDS)


def test_the_state_is_saved_after_so_many_seconds_and_at_the_end(scripted, monkeypatch):
    run, saved, save = scripted(), [], state.save
    monkeypatch.setattr(state, "save", lambda *args: (saved.append(args[-1]["step"]), save(*args)))
    run.fit(steps=12, save_every=20.0)
    assert saved == [4, 8, 12, 12]


# --- Stopping and resuming --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_after_the_step_in_progress(scripted, capsys, number):
    run = scripted()
    before = signal.getsignal(number)
    run.signal = number
    assert run.stop(5) == 128 + number
    assert signal.getsignal(number) is before
    assert "Stopped and saved after step 5 of 12" in capsys.readouterr().err
    assert len(run.indices) == 5 and not (run.workdir / "checkpoints" / "scripted").exists()
    run.fit()
    assert len(run.indices) == 12 and "Resuming from step 5 of 12" in capsys.readouterr().out
    assert signal.getsignal(number) is before


def test_means_in_the_log_are_over_all_steps_since_the_last_line_also_of_a_resumed_run(scripted):
    single = losses(scripted(name="single").fit(steps=24) / "log.jsonl")
    sevenths = losses(scripted(name="sevenths").fit(steps=24, log_every=7) / "log.jsonl")
    parts = scripted(name="parts")
    parts.stop(10, steps=24, log_every=7)
    resumed = losses(parts.fit(steps=24, log_every=7) / "log.jsonl")
    assert list(sevenths) == list(resumed) == [7, 14, 21, 24]
    for first, last in ((1, 7), (8, 14), (15, 21), (22, 24)):
        mean = sum(single[step]["loss"] for step in range(first, last + 1)) / (last + 1 - first)
        assert sevenths[last]["loss"] == pytest.approx(mean, rel=1e-4)
        assert resumed[last]["loss"] == pytest.approx(mean, rel=1e-4)


def test_a_resumed_run_takes_the_same_steps_as_a_whole_one(scripted):
    whole, parts = scripted(name="whole"), scripted(name="parts")
    weights = load_file(whole.fit() / "model.safetensors")["w"]
    parts.stop(5)
    assert torch.allclose(load_file(parts.fit() / "model.safetensors")["w"], weights, atol=1e-5)
    assert parts.indices == whole.indices and parts.augmented == pytest.approx(whole.augmented)
    steps = [line["step"] for line in log_of(parts.workdir / "checkpoints" / "parts") if "loss" in line]
    assert steps == list(range(1, 13))  # each once


@pytest.mark.parametrize(
    "settings", [{"seed": 1}, {"batch": 2}, {"lr": 0.2}, {"init_from": "other"}], ids=["seed", "batch", "lr", "init_from"]
)
def test_a_run_with_other_settings_is_not_resumed(scripted, settings):
    Slope().save_pretrained(scripted().workdir / "checkpoints" / "other")
    run = scripted()
    run.stop(5)
    with pytest.raises(engine.TrainingError, match="other settings"):
        run.fit(**settings)
    run.fit(fresh=True, **settings)


def test_nothing_is_lost_of_what_a_run_remembers(scripted):
    run = scripted([5.0, 6.0, 7.0])
    run.stop(9, log_every=100)
    _, facts = state.read(run.workdir / "runs" / "scripted" / "state.safetensors")
    assert (facts["step"], facts["total"], facts["best"]) == (9, 12, 5.0)
    assert facts["seconds"] == pytest.approx(9 * STEP_SECONDS) and facts["sums"]["n"] == 9


def test_a_run_from_a_checkpoint_begins_with_its_weights_in_the_average_too(scripted):
    run = scripted(name="first")
    first = run.fit()
    weights = load_file(first / "model.safetensors")["w"]
    again = scripted(name="second")
    out = again.fit(steps=1, init_from=str(first), lr=1e-6)
    assert torch.allclose(again.validated[1], weights, atol=1e-4)
    assert torch.allclose(load_file(out / "model.safetensors")["w"], weights, atol=1e-4)
    lines = log_of(out)
    assert lines[: len(log_of(first))] == log_of(first) and lines[len(log_of(first))]["run"]["steps"] == 1


def test_the_parents_log_survives_a_stop(scripted):
    first = scripted(name="first").fit()
    again = scripted(name="second")
    again.stop(5, init_from=str(first))
    assert log_of(again.fit(init_from=str(first)))[: len(log_of(first))] == log_of(first)


# --- Steps ------------------------------------------------------------------------------------------------------------


def test_each_epoch_takes_each_picture_once_at_most_in_another_order(scripted):
    run = scripted()
    run.fit(steps=12)  # four epochs of three batches of three of the ten pictures
    epochs = [sum(run.indices[i : i + 3], []) for i in range(0, 12, 3)]
    assert all(len(set(epoch)) == 9 and set(epoch) <= set(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert len({min(set(range(10)) - set(epoch)) for epoch in epochs}) > 1  # not always the same one is left out
    again, other = scripted(name="again"), scripted(name="other")
    again.fit(steps=12)
    other.fit(steps=12, seed=1)
    assert again.indices == run.indices and other.indices != run.indices


def test_each_step_has_its_own_noise(scripted):
    run, other = scripted(), scripted(name="other")
    run.fit(steps=12)
    other.fit(steps=12, seed=1)
    assert len({*run.augmented, *other.augmented}) == 24


def test_augmented_pictures_are_what_is_trained_on(scripted, monkeypatch):
    run = scripted()
    run.fit(steps=1)
    run.training.recipe.augment = lambda x: x * 0 + 0.25
    x, _ = run.training._batch()
    assert (x == 0.25).all()


def test_gradients_are_clipped_to_the_recipes_norm(scripted):
    norm = torch.arange(1.0, 13).norm().item()
    for clip, expected in ((0.5, 0.5), (100.0, norm)):
        run = scripted(clip=clip, name=f"clip{clip}")
        out = run.fit(steps=1)
        assert run.training.unwrapped.w.grad.norm().item() == pytest.approx(expected, rel=1e-4)
        assert log_of(out)[1]["gradient"] == pytest.approx(norm, rel=1e-4)  # the log: before clipping


def test_the_learning_rate_is_the_recipes_or_the_one_given(scripted):
    for settings, lr in (({}, 0.1), ({"lr": 0.03}, 0.03)):
        run = scripted(name=f"lr{lr}", warmup=4)
        out = run.fit(steps=1, **settings)
        assert torch.allclose(run.raw[1], torch.full((3, 4), -lr / 4), rtol=1e-3)  # Adam's first step, a quarter warm
        assert log_of(out)[1]["rate"] == 0.25


def test_the_rates_in_the_log_are_those_of_the_steps(scripted):
    lines = log_of(scripted(warmup=4, cooldown=0.5).fit(steps=10))
    assert [line["rate"] for line in lines if "rate" in line] == [0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]


def test_weight_decay_pulls_matrices(scripted):
    run = scripted(optimizers=[engine.OptimizerConfig(lr=0.1, weight_decay=0.5)], warmup=1)
    run.fit(steps=1)
    training = run.training
    with torch.no_grad():
        training.unwrapped.w.fill_(1.0)
    training._train_step()
    assert training.unwrapped.w[0, 0].item() == pytest.approx(1 - 0.1 * engine.learning_rate(1, 1, 1) * 1.5, abs=2e-2)


def test_a_batch_larger_than_the_data_is_as_large_as_the_data(scripted):
    run = scripted(batch=1000)
    assert log_of(run.fit(steps=2))[0]["run"]["batch"] == 10
    assert [sorted(i) for i in run.indices] == [list(range(10))] * 2


# --- What the log says, and whole files -------------------------------------------------------------------------------


def test_the_log_says_how_the_run_was_made(scripted, monkeypatch):
    script = "/home/someone/train/slope.py"
    monkeypatch.setattr(
        engine, "sys", types.SimpleNamespace(argv=[script, "--steps", "4", "--data-dir", "/my/data", "--out=/my/out"])
    )
    facts = log_of(scripted().fit(steps=4, seed=7, lr=0.05))[0]["run"]
    assert facts["command"] == "python -m train.slope --steps 4"
    assert (facts["seed"], facts["batch"], facts["pictures"], facts["parameters"]) == (7, 3, 10, 12)
    assert [optimizer["lr"] for optimizer in facts["optimizers"]] == [0.05]
    assert facts["steps"] == 4 and facts["precision"] == "no" and facts["init_from"] is None


def test_what_is_renamed_was_synced_before(scripted, monkeypatch):
    """So that after a power failure a file is the old or the new one, never an empty one."""
    synced, renamed, fsync = set(), [], os.fsync

    def watched_fsync(fd):
        fsync(fd)
        synced.add(os.fstat(fd).st_ino)

    def watched(rename):
        def renaming(source, target):
            files = [source] if os.path.isfile(source) else [f.path for f in os.scandir(source)]
            renamed.append((os.fspath(target), all(os.stat(f).st_ino in synced for f in files)))
            rename(source, target)

        return renaming

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched(os.replace))
    monkeypatch.setattr(os, "rename", watched(os.rename))
    run = scripted(finish=lambda model, folder: (folder / "further.json").write_text("{}", encoding="utf-8"))
    out = run.fit()
    assert {os.path.basename(target) for target, _ in renamed} == {"state.safetensors", "best.safetensors", "scripted"}
    assert all(whole for _, whole in renamed)
    assert (out / "further.json").exists()


def test_the_old_checkpoint_is_replaced_whole(scripted):
    run = scripted()
    out = run.fit()
    (out / "of_the_old_one.txt").write_text("", encoding="utf-8")
    scripted().fit(steps=2)
    assert not (out / "of_the_old_one.txt").exists() and log_of(out)[0]["run"]["steps"] == 2
    assert [f.name for f in out.parent.iterdir()] == ["scripted"]


def test_a_save_that_fails_leaves_the_last_one(workdir, monkeypatch):
    workdir.mkdir(exist_ok=True)
    file = workdir / "state.safetensors"
    state.save_tensors(file, {"a": torch.ones(2)}, {"step": "1"})

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state, "_sync", full)
    with pytest.raises(engine.TrainingError, match="No space left"):
        state.save_tensors(file, {"a": torch.zeros(2)}, {"step": "2"})
    assert torch.equal(load_file(file)["a"], torch.ones(2)) and [f.name for f in workdir.iterdir()] == [file.name]


def test_a_line_cut_off_by_a_kill_is_dropped(workdir):
    run = state.RunFolder(workdir)
    run.begin_log()
    for line in ({"run": {}}, {"step": 3, "loss": 1.0}, {"step": 4, "loss": 2.0}, {"step": 5, "loss": 3.0}):
        run.append(line)
    with open(run.log, "a", encoding="utf-8") as f:
        f.write('{"step": 4, "lo')
    run.drop_after(4)
    assert [json.loads(line).get("step") for line in run.lines()] == [None, 3, 4]


def test_an_unfinished_checkpoint_of_a_killed_process_is_no_obstacle(scripted):
    run = scripted()
    for name in (".scripted.new", ".scripted.old"):
        (run.workdir / "checkpoints" / name).mkdir(parents=True)
        (run.workdir / "checkpoints" / name / "x").write_text("", encoding="utf-8")
    out = run.fit()
    assert not (out / "x").exists() and (out / "model.safetensors").exists()
    shutil.rmtree(out)
