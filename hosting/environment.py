"""What the page needs from the machine it runs on. To be called before gradio is imported: that reads the environment."""

import atexit
import contextlib
import ctypes
import errno
import gc
import io
import os
import shutil
import socket
import sys
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
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # Gradio prints what some locales cannot write
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    for name in ("GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "GRADIO_ROOT_PATH", "GRADIO_TEMP_DIR"):
        _strip(name)
    _check_port()
    _spell_root_path()
    _choose_folder()
    if os.path.expanduser("~") == "~":  # a user whom the system does not know, as in some containers
        os.environ["HOME"] = os.environ["GRADIO_TEMP_DIR"]


def _strip(name):
    value = os.environ.pop(name, "").strip()
    if value:
        os.environ[name] = value


def _remove_abandoned(parent):
    """Remove the folders of runs that crashed: those of others are looked after (uploads.py), which changes their time."""
    for folder in parent.glob(FOLDER + "*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime > ABANDONED:
                shutil.rmtree(folder, ignore_errors=True)


def _check_port():
    port = os.environ.get("GRADIO_SERVER_PORT")
    if port and not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise SystemExit(f"GRADIO_SERVER_PORT must be a whole number from 1 to 65535, not {port[:40]!r}.")


def _spell_root_path():
    """/lab, however it was written; a whole address stays one."""
    path = os.environ.pop("GRADIO_ROOT_PATH", "").strip("/")
    if path:
        os.environ["GRADIO_ROOT_PATH"] = path if "://" in path else "/" + path


def _choose_folder():
    """A folder of this run alone, in $GRADIO_TEMP_DIR if that is set."""
    parent = os.environ.get("GRADIO_TEMP_DIR")
    try:
        if parent:
            os.makedirs(parent, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=FOLDER, dir=parent)
    except OSError as e:
        what = f"This user cannot write to GRADIO_TEMP_DIR, {parent[:80]!r}" if parent else "There is no folder to write to"
        raise SystemExit(f"{what}: name one for temporary files in TMPDIR or GRADIO_TEMP_DIR.") from e
    os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _remove_abandoned(Path(folder).parent)


MALLOC_OPTIONS = {-8: 2, -3: 4 * 2**20, -1: 32 * 2**20}  # M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD of mallopt(3)


def return_freed_memory() -> bool:
    """Ask glibc to return what large pictures have used to the system; without glibc nothing happens.

    Each of the server's many threads would get a heap of its own, and every heap would keep what its largest picture needed.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all([mallopt(option, value) for option, value in MALLOC_OPTIONS.items()])


def freeze_objects() -> None:
    """Exempt all objects that exist now from garbage collection: half a million of the page and its libraries, which stay.

    Else they are looked through several times a minute, and every visitor waits for a third of a second meanwhile.
    """
    gc.collect()
    gc.freeze()


def end() -> None:
    """End the program, with what is to be done at its end. Python's own way out aborts while another thread computes."""
    sys.stdout.flush()
    atexit._run_exitfuncs()
    os._exit(0)


def check_address() -> None:
    """Raise SystemExit with a sentence, if the page cannot be served at the address that the environment names."""
    name, port = os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"), os.environ.get("GRADIO_SERVER_PORT")
    try:
        family, _, _, _, address = socket.getaddrinfo(name.strip("[]"), int(port or 0), type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Gradio does
            server.bind(address)
    except PermissionError as e:
        raise SystemExit(f"This user may not serve port {port}: set GRADIO_SERVER_PORT to one from 1024 on.") from e
    except (OSError, UnicodeError) as e:
        if isinstance(e, OSError) and e.errno == errno.EADDRINUSE:
            raise SystemExit(f"Port {port} is in use by another program: set GRADIO_SERVER_PORT to another one.") from e
        raise SystemExit(
            f"GRADIO_SERVER_NAME must be a name or an address of this machine, such as 127.0.0.1 or 0.0.0.0, not {name[:80]!r}."
        ) from e
