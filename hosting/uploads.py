"""Visitors' files: what they upload and what is computed for them lies in a folder of this run, until their session ends.

A session ends when its page is closed, which connections.js says, or `AWAY` seconds after its last connection and call.
A file's address holds a hash of its content and of a secret of this machine: nobody finds those of others by guessing.
"""

import functools
import json
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
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

AWAY = 3600  # seconds after which a session without any connection has ended: a hidden tab has none, and comes back
SWEEP = 60  # seconds between two looks at what is left
MEGABYTES = 400  # of uploads that one address may have here at a time: ten of the largest files

EVENTS = re.compile(r"/gradio_api/(heartbeat|leave)/(\w+)$")
UPLOAD = re.compile(r"/gradio_api/upload/?$")


class Files:
    """The files in the folder, by the sessions that use them."""

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).resolve()
        self.lock = threading.Lock()
        self.owners: dict[Path, set[str]] = {}
        self.last_use: dict[str, float] = {}  # of sessions with files
        self.connections: Counter[str] = Counter()  # heartbeats of each session
        self.uploads: dict[Path, tuple[str, int]] = {}  # (address, bytes) of each
        self.arriving: Counter[str] = Counter()  # bytes of uploads of each address that are not complete yet
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

    def arrives(self, address: str, size: int) -> bool:
        """Whether an address may upload so many more bytes. They count until it `has_arrived`."""
        with self.lock:
            used = self.arriving[address] + sum(n for owner, n in self.uploads.values() if owner == address)
            if used + size > MEGABYTES * 2**20:
                return False
            self.arriving[address] += size
        return True

    def has_arrived(self, address: str, size: int, names: list[str]) -> None:
        """The upload has ended, with these files."""
        with self.lock:
            self.arriving[address] -= size
            if not self.arriving[address]:
                del self.arriving[address]
            for path in map(Path, names):
                with suppress(OSError):
                    self.uploads.setdefault(path.resolve(), (address, path.stat().st_size))

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
        self.uploads.pop(path, None)
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
    """ASGI middleware that notices which sessions are connected, and which leave, and who uploads how much.

    translate: (address of the page that is open, text, values) -> text.
    """

    def __init__(self, app, files: Files, leave: Callable[[str], None], translate: Callable[..., str]):
        self.app, self.files, self.leave, self.translate = app, files, leave, translate

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["method"] == "POST" and UPLOAD.search(scope["path"]):
            return await self.upload(scope, receive, send)
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

    async def upload(self, scope, receive, send):
        """Pass an upload on, unless its address has uploaded enough already."""
        headers, address = Headers(scope=scope), (scope.get("client") or [""])[0]
        _ = functools.partial(self.translate, headers.get("referer", ""))
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return await PlainTextResponse(_("An upload must say how long it is."), 411)(scope, receive, send)
        if not self.files.arrives(address, size := int(length)):
            sentence = _(
                "One address may have {n} MB of uploads here: close other windows of this page, or try again later.",
                n=MEGABYTES,
            )
            return await PlainTextResponse(sentence, 413)(scope, receive, send)
        body: list[bytes] = []

        async def send_and_read(message):
            body.append(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, send_and_read)
        finally:
            self.files.has_arrived(address, size, _names(b"".join(body)))


def _names(answer):
    """The files that Gradio's answer to an upload names, if it is no refusal."""
    with suppress(ValueError):
        names = json.loads(answer)
        return names if isinstance(names, list) else []
    return []


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
