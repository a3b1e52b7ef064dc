"""Do the tests notice a fault? Puts each fault of a list into a copy of the repository, one at a time, and runs the tests.

    python tools/mutants.py                     the list in tests/faults.toml, two copies side by side
    python tools/mutants.py LIST --only flow    those whose file or name contains "flow"
    python tools/mutants.py --all               before a fault counts as missed, all tests of its folders run

A fault is a piece of text that stands once in its file, and what takes its place:

    [[fault]]
    name = "the KL divergence has the other sign"
    file = "genmodels/vae.py"
    old = "reconstruction + kl"
    new = "reconstruction - kl"

A fault is noticed if a test fails; the first failure ends its run. The likeliest tests run first: those that name the changed
function, then the files about its module, then tests elsewhere that name the function and the module.
"""

import argparse
import ast
import multiprocessing
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "runs")
OTHER_NAMES = {  # of test files, where a module has none of its own name
    "text_transformer": ["transformer"],
    "pixel_transformer": ["transformer"],
    "typicality": ["flow"],
    "base": ["loading", "contract"],
    "engine": ["publishing", "state"],
    "state": ["publishing"],
    "gan_replay": ["gan"],
    "measures": ["measures", "own_training"],
    "rhymes": ["rhyme"],
    "ink": ["photographs", "preprocessing"],
    "folder": ["own_data", "own_training"],
    "diffusion": ["samplers", "diffusion_controls"],
    "gan": ["gan_codes", "gan_tools"],
    "transformer": ["transformer_endpoints"],
    "families": ["retrained"],
    "events": ["lane", "wiring"],
    "endpoints": ["bounds", "wiring"],
    "controls": ["bounds"],
    "quiz": ["gan_tools"],
    "inversion": ["gan_tools"],
    "scoring": ["gan_tools"],
    "training": ["gan_tools"],
    "environment": ["hosting", "uploads"],
    "app": ["page"],
    "space": ["packaging", "repository"],
}
FOLDERS = {"genmodels": ["models", "train", "page"], "train": ["train", "models"]}  # tests of a folder; of others: the page's
OPTIONS = ["--deselect", "tests/test_repository.py::test_every_fault_of_the_list_can_be_put_in"]  # it reads the sources alone
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
}


# --- Which tests ------------------------------------------------------------------------------------------------------


def changed_names(fault: dict[str, str]) -> list[str]:
    """The function that a fault is in, then the classes or functions around it; of a component's script the component."""
    file = ROOT / fault["file"]
    text, stem = file.read_text(encoding="utf-8"), file.stem
    if file.suffix != ".py":
        return ["".join(word.capitalize() for word in stem.split("_")), stem]
    line = text[: text.find(fault["old"])].count("\n") + 1 + fault["old"].lstrip(" ").startswith("\n")
    kinds = (ast.FunctionDef, ast.ClassDef)
    around = [n for n in ast.walk(ast.parse(text)) if isinstance(n, kinds) and n.lineno <= line <= (n.end_lineno or 0)]
    return [node.name for node in reversed(around)]


def mentions(text: str, names: Iterable[str]) -> bool:
    return any(re.search(rf"(?<![a-zA-Z0-9]){re.escape(name.strip('_'))}(?![a-zA-Z0-9])", text) for name in names)


def tests_naming(file: Path, names: list[str]) -> list[str]:
    """The tests of a file whose text has one of the names."""
    text, found = file.read_text(encoding="utf-8"), []
    for node in ast.parse(text).body:
        group = isinstance(node, ast.ClassDef)
        for test in node.body if group else [node]:
            if isinstance(test, ast.FunctionDef) and test.name.startswith("test"):
                if mentions(ast.get_source_segment(text, test) or "", names):
                    found.append(f"{file.relative_to(ROOT)}::{f'{node.name}::' if group else ''}{test.name}")
    return found


def topics_of(fault: dict[str, str]) -> list[str]:
    """What the names of test files say after "test_", the most likely first."""
    parts, stem = Path(fault["file"]).parts, Path(fault["file"]).stem
    if parts[0] == "benchmarks":
        return ["benchmarks"]
    topics = [*OTHER_NAMES.get(stem, []), stem]
    if parts[0] == "train":
        topics.append("recipes")
    if parts[:2] == ("tabs", "components"):
        users = (ROOT / "tabs").glob("*/*.py")
        return [
            *topics,
            "components",
            *(file.parent.name for file in users if f"components.{stem}" in file.read_text(encoding="utf-8")),
        ]
    return [*topics, parts[1]] if len(parts) > 2 else topics


def tests_of(fault: dict[str, str], everything: bool) -> list[list[str]]:
    """Tests, test files and folders for a fault, in stages: the most likely first."""
    names, topics = changed_names(fault), topics_of(fault)
    first, *further = FOLDERS.get(Path(fault["file"]).parts[0], ["page", "browser", "models"])
    if Path(fault["file"]).suffix == ".js":
        first, further = "browser", ["page"]
    files = [file for folder in (first, *further, ".") for file in sorted((ROOT / "tests" / folder).glob("test_*.py"))]
    likely = [file for topic in dict.fromkeys(topics) for file in files if f"{file.stem}_".startswith(f"test_{topic}_")]
    likely = list(dict.fromkeys(likely))  # of "gan" also test_gan_tools.py
    others = [file for file in files if file not in likely and mentions(file.read_text(encoding="utf-8"), topics)]
    likeliest = [file for file in likely if file.parent.name == first]
    stages = [[*tests_naming(file, names[:1]), str(file.relative_to(ROOT))] for file in likeliest]
    stages.append([test for name in names for file in others for test in tests_naming(file, [name])])
    stages += [[str(file.relative_to(ROOT))] for file in likely if file not in likeliest]
    stages += [[f"tests/{folder}"] for folder in (first, *further) if everything]
    return [list(dict.fromkeys(stage)) for stage in stages if stage]


# --- Running them -----------------------------------------------------------------------------------------------------


def run_pytest(copy: Path, tests: list[str], output: Path) -> None:
    """In a process of its own, which has imported the large libraries already."""
    import pytest

    os.setsid()
    os.chdir(copy)
    with open(output, "wb") as f:
        os.dup2(f.fileno(), 1)
        os.dup2(f.fileno(), 2)
    sys.argv, sys.path[:] = ["pytest"], [p for p in sys.path if not Path(p).is_relative_to(ROOT) or ".venv" in p]
    sys.dont_write_bytecode = True
    raise SystemExit(
        int(pytest.main(["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=line", *OPTIONS, *tests]))
    )


def notices(copy: Path, fault: dict[str, str], seconds: float, everything: bool) -> tuple[bool, str]:
    """(whether a test fails with this fault in the copy, the test or a remark)."""
    file, output, end = copy / fault["file"], copy / "output.txt", time.monotonic() + seconds
    sound = file.read_bytes()
    text = sound.decode("utf-8")
    if text.count(fault["old"]) != 1:
        raise SystemExit(f"{fault['name']}: the text stands {text.count(fault['old'])} times in {fault['file']}, not once.")
    file.write_bytes(text.replace(fault["old"], fault["new"]).encode("utf-8"))
    try:
        for tests in tests_of(fault, everything):
            process = multiprocessing.get_context("forkserver").Process(target=run_pytest, args=(copy, tests, output))
            process.start()
            process.join(max(0, end - time.monotonic()))
            if process.exitcode is None:
                os.killpg(process.pid or 0, signal.SIGKILL)
                process.join()
                return False, f"not noticed within {seconds:g} s; at the end by {tests[-1]}"
            if process.exitcode not in (0, 5):  # 5: there are no tests
                lines = output.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                return True, ([line for line in lines if line.startswith(("FAILED", "ERROR"))] or lines or ["died"])[-1][:160]
        return False, "all passed"
    finally:
        file.write_bytes(sound)


def check(
    faults: Iterable[dict[str, str]], copies: int = 2, seconds: int = 300, everything: bool = False
) -> list[tuple[dict[str, str], bool]]:
    """Each fault, and whether it was noticed."""
    os.environ.update(ENVIRONMENT)
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["torch", "gradio", "pytest", "hypothesis", "numpy.testing"]
    )
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(copies) as pool:
        free: Queue[Path] = Queue()
        for i in range(copies):
            shutil.copytree(ROOT, Path(folder) / str(i), ignore=LEFT_OUT)
            free.put(Path(folder) / str(i))

        def run(fault):
            copy = free.get()
            try:
                noticed, test = notices(copy, fault, seconds, everything)
            finally:
                free.put(copy)
            print(f"{'noticed' if noticed else 'MISSED '} {fault['file']}: {fault['name']}  [{test}]", flush=True)
            return fault, noticed

        return list(pool.map(run, faults))


def main() -> None:
    parser = argparse.ArgumentParser(description="Do the tests notice a fault?")
    parser.add_argument("list", nargs="?", type=Path, default=ROOT / "tests" / "faults.toml")
    parser.add_argument("--only", default="", help="only faults whose file or name contains this text")
    parser.add_argument("--copies", type=int, default=2, help="runs at the same time")
    parser.add_argument("--seconds", type=int, default=300, help="after which the tests of a fault are ended")
    parser.add_argument("--all", action="store_true", help="run all tests of the fault's folders before it counts as missed")
    arguments = parser.parse_args()
    faults = tomllib.loads(arguments.list.read_text(encoding="utf-8"))["fault"]
    chosen = [f for f in faults if arguments.only in f["file"] + ": " + f["name"]]
    results = check(chosen, arguments.copies, arguments.seconds, arguments.all)
    print(f"\n{sum(noticed for _, noticed in results)} of {len(results)} faults noticed")
    sys.exit(not all(noticed for _, noticed in results))


if __name__ == "__main__":
    main()
