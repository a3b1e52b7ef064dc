"""All benchmarks that fit into some minutes, one after another, each in a process of its own; their tables are printed.

    python -m benchmarks                 those that fit into ten minutes
    python -m benchmarks --minutes 15    all
    python -m benchmarks --readme        also writes the tables into README.md

Nothing else may run on the machine meanwhile.
"""

import subprocess
import sys
import time
from typing import Annotated

import typer

from benchmarks.common import MINUTES, ROOT


def main(
    minutes: Annotated[float, typer.Option(help="Start no benchmark that would end later than this.")] = 10,
    readme: Annotated[bool, typer.Option("--readme", help="Write the tables into README.md.")] = False,
):
    """Run the benchmarks, the shortest first."""
    start, failed = time.monotonic(), []
    for name, duration in MINUTES.items():
        elapsed = (time.monotonic() - start) / 60
        if elapsed + duration > minutes:
            left = max(0, minutes - elapsed)
            print(f"Left out: `python -m benchmarks.{name}`: {duration:g} min, but {left:.1f} of {minutes:g} are left.\n")
            continue
        command = [sys.executable, "-m", f"benchmarks.{name}", *(["--readme"] if readme else [])]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            failed.append(name)
        print(flush=True)
    if failed:
        print(f"Error: {', '.join(failed)} failed.", file=sys.stderr)
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
