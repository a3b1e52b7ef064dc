"""The benchmarks without their timing: what they share, and that README.md has the rows that they print."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import genmodels as gm
from benchmarks import __main__ as all_benchmarks
from benchmarks import common


@pytest.fixture
def untimed(monkeypatch):
    """A function that replaces the timing in a module: each job takes some made-up time, and is not run."""

    def replace(module):
        monkeypatch.setattr(module, "in_turns", lambda rounds, *jobs: [0.01 * (i + 1) for i in range(len(jobs))])
        monkeypatch.setattr(module, "record_layers", lambda net, call: [], raising=False)

    return replace


def browser():
    """Whether the packages of the benchmarks that drive a browser are there."""
    pytest.importorskip("playwright")
    pytest.importorskip("psutil")


def rows_of(name, untimed, monkeypatch):
    """The rows of a benchmark, without measuring anything."""
    if name == "flow":
        from benchmarks import flow

        untimed(flow)
        return flow.measure(gm.load("flow-mnist"), 1)
    if name == "transformer":
        pytest.importorskip("transformers")
        from benchmarks import transformer

        untimed(transformer)
        monkeypatch.setattr(transformer, "first_token", lambda *args: 5.0)
        return transformer.measure(gm.load("transformer-shakespeare"), 1)
    if name == "diffusion":
        pytest.importorskip("diffusers")
        from benchmarks import diffusion

        untimed(diffusion)
        model = gm.load("diffusion-mnist")
        with torch.inference_mode():
            measurements = diffusion.measure_network, diffusion.measure_loop, diffusion.measure_diffusers
            return [row for measure in measurements for row in measure(model, 1)]
    if name == "denoiser":
        from benchmarks import denoiser

        untimed(denoiser)
        monkeypatch.setattr(denoiser, "restore_large", lambda restore: (20.0, 1.0 + 0.1 * restore))
        model = gm.load("denoiser-photo")
        return [*denoiser.speeds(model, 1), *denoiser.compare_with_means(model, 1), *denoiser.large()]
    browser()
    if name == "gan":
        from benchmarks import gan

        untimed(gan)
        return [*gan.sampling(1), *gan.latency_rows([50.0, 60.0], [40.0])]
    if name == "visitors":
        from benchmarks import visitors

        return visitors.rows((title, [10.0, 20.0], 0) for title in visitors.TITLES)
    if name == "load":
        from benchmarks import load

        works = load.heavy_work()
        for work in works:
            work.seconds.append(2.0)
        moves = [10.0, 20.0], 1.0, 0
        return load.rows(load.Measured({n: moves for n in (16, 64)}, moves, [(work, 1.0) for work in works], 1.5))
    if name == "compare":
        from benchmarks import compare

        return compare.rows([(200.0, 3000.0), (280.0, 3500.0)])
    if name == "languages":
        from benchmarks import languages

        return languages.rows({name: ([3.0], [1.0], [20.0]) for name in languages.PAGES})
    from benchmarks import page

    return [
        *page.decoding_rows({name: (gm.load(name).size, [1.0, 2.0]) for name in page.VAES}),
        *page.moving_rows({"page": [30.0], "image": [40.0], "stage": [25.0]}),
        *page.starting_rows([3.0], [2.5], [5.0], 0.8),
        *page.visiting_rows([50.0, 60.0], []),
    ]


@pytest.mark.parametrize("name", common.MINUTES)
def test_readme_has_the_rows_that_the_benchmark_prints(name, untimed, monkeypatch):
    """The same rows and aims, in words; README's measured numbers are those of its own run."""
    note, _, table = common.read_section(name).partition("\n\n")
    printed = common.section(name, rows_of(name, untimed, monkeypatch)).partition("\n\n")[2]
    assert note.startswith(f"`python -m benchmarks.{name}` on ")
    assert [line.split(" | ")[0] for line in table.splitlines()] == [line.split(" | ")[0] for line in printed.splitlines()]
    words, printed_words = (re.sub(r"-?\d[\d.,]*", "#", text) for text in (table, printed))
    assert words == printed_words
    aims, printed_aims = (re.findall(r"(?:aim|must): [^;|]*", text) for text in (table, printed))
    assert aims == printed_aims != []
    sizes, printed_sizes = (re.findall(r"([\d.]+) (?:M param|dB|layers)", text) for text in (table, printed))
    same_models = pytest.approx([float(size) for size in printed_sizes], abs=0.02)
    assert [float(size) for size in sizes] == same_models, "README is about other models: run the benchmark with --readme"


def test_readme_has_a_table_of_every_benchmark_and_of_no_other():
    text = common.README.read_text(encoding="utf-8")
    assert sorted(re.findall(r"<!-- ([\w-]+)-benchmarks:begin -->", text)) == sorted([*common.MINUTES, "soak"])


def test_what_grows_in_a_soak_has_its_slope_in_an_hour():
    browser()
    from benchmarks import load

    hours = np.arange(100) * load.SAMPLE_EVERY / 3600
    noise = np.where(np.arange(100) % 2, 0.01, -0.01)
    columns = 1000 + 36 * hours + noise, 80 - 10 * hours, 40 + 0 * hours, 5 + 3 * hours, 9 + 300 * noise
    table = load.growth(np.stack(columns, 1), 30)
    assert [row[0].split(",")[0] for row in table] == list(load.MEASURED)
    slopes = [float(re.match(r"[^ ]+", row[2])[0]) for row in table]
    assert slopes[:4] == pytest.approx([36, -10, 0, 3], abs=0.5)
    # 3.6 % an hour is little; files that get fewer or stay are; 3 files an hour beside 5 are not; what varies alone is
    assert ["flat" in row[2] for row in table] == [True, True, True, False, True]
    assert "**it grows**" in table[3][2] and "36" in table[0][2] and " MB an hour" in table[0][2]


def test_heavy_runs_are_compared_with_an_equal_share_of_the_machine():
    browser()
    from benchmarks import load

    works = [load.Work("a", "a", {}, 2, [1.0, 8.0]), load.Work("b", "b", {}, 1, [3.0])]
    moves = [10.0, 20.0], 1.0, 0
    table = load.rows(load.Measured({16: moves}, moves, list(zip(works, [2.0, 1.0])), 1.5))
    assert table[2][1:] == (
        "longest of 2: 8.0 s (alone 2.0 s)",
        "**0.21** of its time under equal sharing, 19 times alone; must: 2",
    )
    assert "**0.16**" in table[3][2] and table[0][1] == "15 / 10 ms, 2 pictures/s"


def test_jobs_take_turns_and_the_first_round_does_not_count(monkeypatch):
    order, clock = [], [0.0]

    def job(name, durations):
        def run():
            order.append(name)
            clock[0] += durations.pop(0)

        return run

    monkeypatch.setattr(common.time, "perf_counter", lambda: clock[0])
    seconds = common.in_turns(3, job("a", [90.0, 3.0, 1.0, 2.0]), job("b", [90.0, 5.0, 4.0, 60.0]))
    assert order == ["a", "b"] * 4
    assert seconds == pytest.approx([2.0, 5.0])


def test_the_bare_layers_of_a_call_are_recorded_once_and_unhooked():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    x = torch.randn(5, 1, 4, 4)
    recorded = common.record_layers(net, lambda: net(x))
    assert [layer for layer, _ in recorded] == [net[0], net[3]]
    assert torch.equal(recorded[0][1], x) and recorded[1][1].shape == (5, 8)
    common.run_layers(recorded)
    net(x)
    assert len(recorded) == 2, "a later call is not recorded"


def test_without_a_checkpoint_the_weights_are_random(tmp_path, monkeypatch):
    def build():
        return nn.Linear(2, 2)

    assert common.load("vae-mnist-2d", build)[1] == "vae-mnist-2d"
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    model, weights = common.load("vae-mnist-2d", build)
    assert weights == "random weights" and not model.training and not model.weight.requires_grad


def test_a_table_is_written_between_its_markers_only(tmp_path):
    file, (begin, end) = tmp_path / "README.md", common.markers("flow")
    file.write_text(f"before\n{begin}\nold\n{end}\nafter\n<!-- gan-benchmarks:begin -->\n", encoding="utf-8")
    common.write_section("flow", common.section("flow", [("a", "1 ms", "")], threads=1), file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{begin}\n`python -m benchmarks.flow` on ") and "old" not in text
    assert text.endswith(f"| a | 1 ms |  |\n{end}\nafter\n<!-- gan-benchmarks:begin -->\n")
    with pytest.raises(ValueError, match="gan-benchmarks:end"):
        common.write_section("gan", "new", file)


@pytest.mark.parametrize("minutes", [10, 1.6])
def test_all_benchmarks_that_fit_are_run_the_shortest_first(monkeypatch, capsys, minutes):
    clock, commands = [0.0], []

    def run(command, **options):
        name = command[2].removeprefix("benchmarks.")
        commands.append(name)
        clock[0] += 60 * common.MINUTES[name]
        return all_benchmarks.subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(all_benchmarks.subprocess, "run", run)
    monkeypatch.setattr(all_benchmarks.time, "monotonic", lambda: clock[0])
    all_benchmarks.main(minutes=minutes, readme=False)
    assert list(common.MINUTES.values()) == sorted(common.MINUTES.values())
    assert commands == list(common.MINUTES)[: len(commands)] and clock[0] <= 60 * minutes
    left_out = [name for name in common.MINUTES if f"benchmarks.{name}`" in capsys.readouterr().out or name not in commands]
    assert left_out and set(left_out).isdisjoint(commands)


def test_differences_of_runs_are_better_known_than_their_fids(monkeypatch):
    """`benchmarks.solvers`: the resampled pictures are the same of every run, so that common fluctuations cancel."""
    from benchmarks import solvers

    g = torch.Generator().manual_seed(0)
    real, base = torch.randn(500, 4, generator=g), torch.randn(200, 4, generator=g)
    names = {name for pair in solvers.CHANGES for name in pair}
    features = {name: base + 0.02 * i for i, name in enumerate(sorted(names))}
    monkeypatch.setattr(solvers, "RESAMPLED", 12)
    fids, spread, of_difference = solvers.compare(features, real, len(base))
    assert fids.keys() == spread.keys() == names and set(of_difference) == set(solvers.CHANGES)
    assert all(sd < spread[a] / 2 for (a, _), sd in of_difference.items())


def test_the_solvers_start_from_the_same_noise_and_no_two_pictures_from_the_same(monkeypatch):
    from benchmarks import solvers

    calls = []

    class Model:
        def sample(self, n, **options):
            calls.append((n, options))
            return torch.rand(n, 1, 2, 2)

    for sampler in ("dpm", "ddpm"):
        assert solvers.sample(Model(), torch.arange(2 * solvers.BATCH) % 10, sampler, 8).dtype == torch.uint8
    seeds = [options["seed"] for _, options in calls]
    assert seeds[:2] == seeds[2:] and seeds[0] != seeds[1]


def test_the_transformer_is_so_many_times_as_fast_as_its_peers(monkeypatch):
    """Ours takes one second for a text, the others four and eight."""
    pytest.importorskip("transformers")
    from benchmarks import transformer

    monkeypatch.setattr(transformer, "in_turns", lambda rounds, *jobs: [1.0, 2.0, 4.0, 8.0, 0.5])
    monkeypatch.setattr(transformer, "llama", lambda model: None)
    monkeypatch.setattr(transformer, "first_token", lambda *arguments: 5.0)
    model = gm.load("transformer-shakespeare")
    (ours, weights, *others) = transformer.measure(model, 1)
    gigabytes = 4 * sum(p.numel() for p in model.parameters()) / 1e9
    assert ours[1] == "200 tokens/s" and weights[1] == f"400 tokens/s, {400 * gigabytes:.0f} GB/s" and "**50%**" in weights[2]
    assert [measured for _, measured, _ in others] == ["100 tokens/s", "50 tokens/s", "25 tokens/s", "5.0 ms"]
    assert others[1][2].startswith("ours is **4.0** times as fast") and others[2][2] == "with it 8.0 times as fast"


def test_all_matrices_of_the_transformer_are_read(monkeypatch):
    pytest.importorskip("transformers")
    from benchmarks import transformer

    model, read = gm.load("transformer-shakespeare"), []
    monkeypatch.setattr(transformer.torch, "mv", lambda matrix, vector: read.append(matrix.numel()))
    transformer.weights_alone(model, 2)
    assert 0.99 < sum(read) / (2 * sum(p.numel() for p in model.parameters())) <= 1


def test_a_change_is_positive_where_the_fid_rises(monkeypatch, tmp_path, capsys):
    from benchmarks import solvers

    names = [*(f"{sampler} {steps}" for sampler, steps in solvers.RUNS), solvers.RENEWED]
    fids = {name: float(i * i) for i, name in enumerate(names)}
    x = torch.zeros(200, 1, 2, 2, dtype=torch.uint8)
    judge = SimpleNamespace(predict=lambda x: torch.zeros(len(x), 1))
    monkeypatch.setattr(solvers.gm, "load", lambda name: judge)
    monkeypatch.setattr(solvers.data, "load", lambda *arguments: SimpleNamespace(x=x))
    monkeypatch.setattr(solvers.metrics, "features", lambda classifier, x: x)
    monkeypatch.setattr(solvers.metrics, "fid", lambda a, b: 0.5)
    monkeypatch.setattr(solvers, "sample", lambda *arguments: x)
    monkeypatch.setattr(solvers, "renew", lambda *arguments: x)
    monkeypatch.setattr(solvers, "compare", lambda *_: (fids, fids, {pair: 0.1 for pair in solvers.CHANGES}))
    solvers.main(n=200, file=tmp_path / "solvers.json")
    result = json.loads((tmp_path / "solvers.json").read_text(encoding="utf-8"))
    assert {name: run["fid"] for name, run in result["runs"].items()} == fids
    assert [(row["from"], row["to"]) for row in result["changes"]] == [*solvers.CHANGES]
    printed = capsys.readouterr().out
    for row in result["changes"]:
        assert row["fid"] == fids[row["to"]] - fids[row["from"]]
        assert f"| {row['from']} | {row['to']} | {row['fid']:+.3f} (0.100) |" in printed
