"""Visitors' files: what they upload and what is computed for them lies in a folder of this run, until their session ends.

A session ends when its page is closed, which connections.js says, or `AWAY` seconds after its last connection and call.
A file's address holds a hash of its content and of a secret of this machine: nobody finds those of others by guessing.
"""

import functools
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import gradio as gr

AWAY = 3600  # seconds after which a session without any connection has ended: a hidden tab has none, and comes back
SWEEP = 60  # seconds between two looks at what is left

EVENTS = re.compile(r"/gradio_api/(heartbeat|leave)/(\w+)$")


class Files:
    """The files in the folder, by the sessions that use them."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).resolve()
        self.lock = threading.Lock()
        self.owners: dict[Path, set[str]] = {}
        self.last_use: dict[str, float] = {}  # of sessions with files
        self.connections: Counter[str] = Counter()  # heartbeats of each session
        self.forget: Callable[[Path], Any] = lambda path: None  # what else is to be done with a file that is removed

    def keep(self, session: str, values: Any) -> None:
        """Until the session ends: the files that are among the values of one of its events."""
        found = set()
        for name in paths(values):
            with suppress(OSError, ValueError):  # anyone can send anything
                if (path := Path(name).resolve()).is_relative_to(self.folder):
                    found.add(path)
        with self.lock:
            for path in found:
                self.owners.setdefault(path, set()).add(session)
            if found or session in self.last_use:
                self.last_use[session] = time.time()

    def end(self, session: str) -> None:
        """Remove what no other session uses."""
        with self.lock:
            self.last_use.pop(session, None)
            for path in [path for path, sessions in self.owners.items() if session in sessions]:
                self.owners[path].discard(session)
                if not self.owners[path]:
                    self._remove(path)

    def sweep(self) -> None:
        """End the sessions that are away, and remove files that were in no event. Says that this run lives (environment.py)."""
        past = time.time() - AWAY
        with suppress(OSError):
            os.utime(self.folder)
        with self.lock:
            away = [name for name, used in self.last_use.items() if used < past and not self.connections[name]]
        for session in away:
            self.end(session)
        for path in self.folder.glob("*/*"):
            with self.lock, suppress(OSError):
                if path not in self.owners and path.is_file() and path.stat().st_mtime < past:
                    self._remove(path)

    def connected(self, session: str, change: int) -> None:
        with self.lock:
            self.connections[session] += change
            if not self.connections[session]:
                del self.connections[session]
            if session in self.last_use:
                self.last_use[session] = time.time()

    def _remove(self, path):
        self.owners.pop(path, None)
        self.forget(path)
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()


def paths(values: Any) -> Iterator[str]:
    """Of the files among an event's inputs or outputs, which Gradio describes by a dict with a path."""
    if isinstance(values, dict):
        if isinstance(path := values.get("path"), str):
            yield path
        yield from paths(values.get("value"))  # of an update
    elif isinstance(values, list):
        for value in values:
            yield from paths(value)


class Watch:
    """ASGI middleware that notices which sessions are connected, and which leave."""

    def __init__(self, app, files: Files, leave: Callable[[str], None]):
        self.app, self.files, self.leave = app, files, leave

    async def __call__(self, scope, receive, send):
        kind, session = m.groups() if scope["type"] == "http" and (m := EVENTS.search(scope["path"])) else ("", "")
        if kind == "leave" and scope["method"] == "POST":
            self.leave(session)
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})
        elif kind == "heartbeat":
            self.files.connected(session, 1)
            try:
                await self.app(scope, receive, send)
            finally:
                self.files.connected(session, -1)
        else:
            await self.app(scope, receive, send)


def keep_briefly(page: gr.Blocks, files: Files) -> None:
    """Let a page that is served with `Watch` keep files no longer than their sessions."""
    process = page.process_api

    @functools.wraps(process)
    async def process_and_keep(*args, **options):
        session = options.get("session_hash") or ""
        files.keep(session, options.get("inputs"))
        result = await process(*args, **options)
        files.keep(session, result.get("data"))
        return result

    def forget(path):
        for names in page.temp_file_sets:
            names.discard(str(path))

    def sweep_again_and_again():
        while True:
            files.sweep()
            time.sleep(SWEEP)

    setattr(page, "process_api", process_and_keep)  # noqa: B010  # of this page alone
    files.forget = forget
    threading.Thread(target=sweep_again_and_again, daemon=True, name="uploads").start()
