"""Do the tests notice a fault? Puts each fault of a list into a copy of the repository, one at a time, and runs the tests.

    python tools/mutants.py                     the list in tests/faults.toml, two copies side by side
    python tools/mutants.py LIST --only flow    those whose file or name contains "flow"

A fault is a piece of text that stands once in its file, and what takes its place:

    [[fault]]
    name = "the KL divergence has the other sign"
    file = "genmodels/vae.py"
    old = "reconstruction + kl"
    new = "reconstruction - kl"

A fault is noticed if a test fails. The tests that are likeliest to notice it run first, and the first failure ends the run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "runs")
# The tests of genmodels/text_transformer.py and pixel_transformer.py are in tests/models/test_transformer.py.
SHARED_WITH = {"text": "transformer", "pixel": "transformer"}


def tests_of(file: str) -> list[str]:
    """Test files and folders for a source file, the most likely first."""
    parts = Path(file).parts
    stem = Path(file).stem
    family = SHARED_WITH.get(stem.split("_")[0], stem)
    if parts[0] == "genmodels":
        candidates = [
            f"tests/models/test_{stem}.py",
            f"tests/models/test_{family}.py",
            "tests/models",
            "tests/train",
            "tests/page",
        ]
    elif parts[0] == "train":
        candidates = [f"tests/train/test_{stem}.py", "tests/train", "tests/models/test_checkpoints.py"]
    elif parts[:2] == ("tabs", "components") or len(parts) == 2:
        candidates = [f"tests/page/test_{stem}.py", "tests/page", "tests/browser"]
    else:
        candidates = [f"tests/page/test_{parts[1]}.py", f"tests/browser/test_{parts[1]}.py", "tests/page/test_page.py"]
    return [test for test in dict.fromkeys(candidates) if (ROOT / test).exists()]


def notices(copy: Path, fault: dict[str, str], seconds: int) -> str:
    """The first failing test with this fault in the copy; "" if all pass."""
    file = copy / fault["file"]
    sound = file.read_bytes()
    text = sound.decode("utf-8")
    if text.count(fault["old"]) != 1:
        raise SystemExit(f"{fault['name']}: the text stands {text.count(fault['old'])} times in {fault['file']}, not once.")
    file.write_bytes(text.replace(fault["old"], fault["new"]).encode("utf-8"))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
    tested = set[str]()
    try:
        for test in tests_of(fault["file"]):
            command = [sys.executable, "-m", "pytest", *options, *(f"--ignore={done}" for done in tested), test]
            try:
                run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=seconds)
            except subprocess.TimeoutExpired:
                return f"{test} does not end"
            if run.returncode not in (0, 5):  # 5: no tests were left
                failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
                return failed[0][:160] if failed else (run.stdout + run.stderr).strip().splitlines()[-1][:160]
            tested.add(test)
    finally:
        file.write_bytes(sound)
    return ""


def check(faults: Iterable[dict[str, str]], copies: int = 2, seconds: int = 900) -> list[tuple[dict[str, str], str]]:
    """Each fault with the test that noticed it, or ""."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(copies) as pool:
        free: Queue[Path] = Queue()
        for i in range(copies):
            shutil.copytree(ROOT, Path(folder) / str(i), ignore=LEFT_OUT)
            free.put(Path(folder) / str(i))

        def run(fault):
            copy = free.get()
            try:
                test = notices(copy, fault, seconds)
            finally:
                free.put(copy)
            print(f"{'noticed' if test else 'MISSED '} {fault['file']}: {fault['name']}  {test}", flush=True)
            return fault, test

        return list(pool.map(run, faults))


def main() -> None:
    parser = argparse.ArgumentParser(description="Do the tests notice a fault?")
    parser.add_argument("list", nargs="?", type=Path, default=ROOT / "tests" / "faults.toml")
    parser.add_argument("--only", default="", help="only faults whose file or name contains this text")
    parser.add_argument("--copies", type=int, default=2, help="runs at the same time")
    arguments = parser.parse_args()
    faults = tomllib.loads(arguments.list.read_text(encoding="utf-8"))["fault"]
    results = check([f for f in faults if arguments.only in f["file"] + f["name"]], arguments.copies)
    missed = [fault for fault, test in results if not test]
    print(f"\n{len(results) - len(missed)} of {len(results)} faults noticed")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
