"""Environment variables that must be set before gradio, huggingface_hub or torch is imported. The tests need no network."""

import gc
import importlib.util
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share two cores; make test-threads sets 2


# --- Thousands of tests, each of them small ----------------------------------------------------------------------------

gc.disable()  # until the tests are collected: nothing of theirs is garbage


def pytest_collection_finish(session):
    """What is there before the first test stays: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.enable()
    for name in list(logging.root.manager.loggerDict):
        if name.startswith(
            "torch."
        ):  # pytest hands its two handlers to each logger that does not propagate, three times a test
            logging.getLogger(name).propagate = True


def pytest_runtest_setup(item):
    """Inputs that a test draws without a generator are the same in every run, alone and among others."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


def pytest_unconfigure(config):
    gc.unfreeze()  # libraries look at the end for what was not taken away


@pytest.fixture
def device(monkeypatch):
    """A pretended GPU."""
    import torch

    from genmodels import base
    from tests.other_device import other_device

    monkeypatch.setattr(base, "WITHOUT_DOUBLES", ["meta"])
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)  # the pretended device has no inference tensors
    with other_device() as device:
        yield device


# --- Checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def all_checkpoints(tmp_path_factory):
    """A folder with every checkpoint of the page: the shipped ones, and untrained weights in place of missing ones."""
    import genmodels as gm
    from tests import tiny

    folder = tmp_path_factory.mktemp("checkpoints")
    for shipped in gm.base.checkpoint_root().iterdir():
        if (shipped / "data.json").exists():  # of somebody's own data
            continue
        (folder / shipped.name).symlink_to(shipped)
    for seed, (name, make) in enumerate(tiny.CHECKPOINTS.items()):
        family, dataset = name.split("-")[:2]
        if family == "dcgan":  # a baseline, not on the page
            continue
        if not (folder / name).exists():
            tiny.untrained(make, seed).save_pretrained(folder / name)
        if family == "gan" and not (folder / name / "replay.json").exists():
            tiny.write_replay(folder / name)
        if family == "flow" and not (folder / name / "likelihoods.json").exists():
            tiny.write_likelihoods(folder / name, dataset)
    return folder


# --- The page, started once for all tests that need it ----------------------------------------------------------------


@pytest.fixture(scope="session")
def page_url(tmp_path_factory, worker_id, all_checkpoints):
    """Address of `python app.py`, started as a user would: one page for all processes that run tests at the same time."""
    from filelock import FileLock

    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent  # of all processes
    address, visitor, server = folder / "address.txt", FileLock(folder / f"visitor-{worker_id}.lock"), None
    with FileLock(folder / "page.lock"):
        if not address.exists():
            server = start_page(folder, all_checkpoints)
            address.write_text(server.url, encoding="utf-8")
        visitor.acquire()
    try:
        yield address.read_text(encoding="utf-8")
    finally:
        with FileLock(folder / "page.lock"):
            visitor.release()
            if server:
                address.unlink()  # who comes now starts another
        if server:
            for lock in folder.glob("visitor-*.lock"):  # until everybody has left, or has been killed
                with FileLock(lock):
                    pass
            server.terminate()
            assert server.wait(20) == 0, "the page did not end as it should:\n" + server.log.read_text(encoding="utf-8")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_page(folder, checkpoints, port=None):
    """The process of the page, once it answers."""
    port = port or free_port()
    temporary = Path(tempfile.mkdtemp(prefix="page-", dir=folder))
    log = temporary / "log.txt"
    env = {
        **os.environ,
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(temporary),
        "GENMODELS_CHECKPOINTS": str(checkpoints),
        "GRADIO_MCP_SERVER": str(importlib.util.find_spec("mcp") is not None),
        # As on many Windows machines: nothing may depend on the locale's encoding.
        **{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    }
    env.pop("OMP_NUM_THREADS", None)  # the page sets its own
    root = Path(__file__).resolve().parent.parent
    with log.open("w") as out:
        server = subprocess.Popen([sys.executable, "app.py"], cwd=root, env=env, stdout=out, stderr=subprocess.STDOUT)
    server.log, server.url = log, f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 240
    while True:
        try:
            urllib.request.urlopen(server.url, timeout=5).read()
            return server
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                server.kill()
                pytest.fail("app.py did not start:\n" + log.read_text(encoding="utf-8"))
            time.sleep(0.2)
