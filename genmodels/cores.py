"""Work in pieces, on cores that torch leaves idle: where it is told to use one thread, as on the page, there is another."""

import functools
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def map_on_idle_cores(f: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """[f(piece) for piece in pieces], without gradients; the calling thread computes them, and idle cores help.

    f must not depend on the thread it runs in. An error of f is raised once no other piece is being computed.
    """
    results: list[Result | None] = [None] * len(pieces)
    numbers, threads = iter(range(len(pieces))), torch.get_num_threads()

    def work():
        with torch.no_grad():
            for i in numbers:
                results[i] = f(pieces[i])

    def help_out():
        torch.set_num_threads(threads)  # a new thread has the default
        work()

    # All callers share the helpers: one that finds them busy computes everything itself.
    helpers = [_helpers().submit(help_out) for _ in range(min(cores() // threads, len(pieces)) - 1)]
    try:
        work()
    finally:
        for _ in numbers:  # after an error nobody begins another piece
            pass
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    return results  # type: ignore[return-value]


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def _helpers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, cores() - 1), thread_name_prefix="idle-core")
