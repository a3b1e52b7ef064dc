"""What the page needs from the machine it runs on. To be called before gradio is imported: that reads the environment."""

import atexit
import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

DEFAULTS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",  # all models are in this folder
}


FOLDER = "genmodels-uploads-"
ABANDONED = 3600  # seconds


def prepare() -> None:
    """Check and complete the environment variables.

    Uploads and results lie in a folder of this run alone, in $GRADIO_TEMP_DIR if that is set. It is removed at the end of the
    run or, if that crashes, by a later one. Gradio's own is shared by all users of a machine: the second cannot write to it.

    Raises:
        SystemExit: one sentence, if a variable has a value that does not work.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    _check_port()
    parent = os.environ.get("GRADIO_TEMP_DIR") or None
    try:
        folder = tempfile.mkdtemp(prefix=FOLDER, dir=parent)
    except OSError as e:
        raise SystemExit(
            "There is no folder for temporary files that can be written to: name one in TMPDIR or GRADIO_TEMP_DIR."
        ) from e
    os.environ["GRADIO_TEMP_DIR"] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _remove_abandoned(Path(folder).parent)
    if os.path.expanduser("~") == "~":  # a user whom the system does not know, as in some containers
        os.environ["HOME"] = os.environ["GRADIO_TEMP_DIR"]


def _remove_abandoned(parent):
    """Remove the folders of runs that crashed: those of others are looked after (uploads.py), which changes their time."""
    for folder in parent.glob(FOLDER + "*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


def _check_port():
    port = os.environ.get("GRADIO_SERVER_PORT", "").strip()
    if not port:
        os.environ.pop("GRADIO_SERVER_PORT", None)
    elif not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise SystemExit(f"GRADIO_SERVER_PORT must be a whole number from 1 to 65535, not {port[:40]!r}.")


def address() -> str:
    """Where the page will be, for an error message."""
    name = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1")
    return f"{name}:{os.environ.get('GRADIO_SERVER_PORT', '7860 to 7959')}"
