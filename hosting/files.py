"""Files that Gradio names by their contents or address: each appears complete, or not at all.

Gradio writes them in place. Two clients that ask for the same picture at the same time get the same name, and so one would
read what is just being written again for the other.
"""

import contextlib
import functools
import inspect
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from gradio import processing_utils

SAVERS = ("save_pil_to_cache", "save_bytes_to_cache", "save_base64_to_cache", "save_audio_to_cache")
DOWNLOADS = ("async_ssrf_protected_download",)


def complete(save: Callable) -> Callable:
    """One of Gradio's functions that write a file below `cache_dir` and return its path. The file is moved there when whole."""

    @functools.wraps(save)
    def run(*args, **kwargs):
        with _Staging(save, args, kwargs) as staging:
            return staging.move(save(*staging.args, **staging.kwargs))

    @functools.wraps(save)
    async def run_async(*args, **kwargs):
        with _Staging(save, args, kwargs) as staging:
            return staging.move(await save(*staging.args, **staging.kwargs))

    return run_async if inspect.iscoroutinefunction(save) else run


class _Staging(contextlib.AbstractContextManager):
    """A call with another `cache_dir`: a folder inside the first, which is removed at the end."""

    def __init__(self, save, args, kwargs):
        call = inspect.signature(save).bind(*args, **kwargs)
        self.cache = Path(call.arguments["cache_dir"]).resolve()
        self.cache.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=".staging-", dir=self.cache))
        call.arguments["cache_dir"] = str(self.folder)
        self.args, self.kwargs = call.args, call.kwargs

    def move(self, written: str) -> str:
        target = self.cache / Path(written).relative_to(self.folder)
        target.parent.mkdir(exist_ok=True)
        if target.exists():
            os.utime(target)  # Gradio removes files that were not used for hours
        else:
            os.replace(written, target)
        return str(target)

    def __exit__(self, *error):
        shutil.rmtree(self.folder, ignore_errors=True)


def write_complete() -> None:
    """Let Gradio write its files like this. Calling it again changes nothing."""
    for name in (*SAVERS, *DOWNLOADS):
        save = getattr(processing_utils, name)
        if not hasattr(save, "completes"):
            run = complete(save)
            run.completes = True  # type: ignore[attr-defined]
            setattr(processing_utils, name, run)
