"""What the page needs from the machine it runs on. To be called before gradio is imported: that reads the environment."""

import atexit
import os
import shutil
import tempfile

DEFAULTS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",  # all models are in this folder
}


def prepare() -> None:
    """Check and complete the environment variables.

    Uploads and results lie in a folder of this run alone, which is removed at its end: Gradio's own is shared by all users of
    a machine, so that the second one cannot write to it.

    Raises:
        SystemExit: one sentence, if a variable has a value that does not work.
    """
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    _check_port()
    if not os.environ.get("GRADIO_TEMP_DIR"):
        try:
            folder = tempfile.mkdtemp(prefix="genmodels-")
        except OSError as e:
            raise SystemExit(
                "There is no folder for temporary files that can be written to: name one in TMPDIR or GRADIO_TEMP_DIR."
            ) from e
        os.environ["GRADIO_TEMP_DIR"] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if os.path.expanduser("~") == "~":  # a user whom the system does not know, as in some containers
        os.environ["HOME"] = os.environ["GRADIO_TEMP_DIR"]


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
