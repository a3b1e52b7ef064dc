"""The page on other people's machines and in other people's applications."""

import importlib
import os
import subprocess
import sys
import tempfile

import fastapi
import pytest
from helpers import ROOT, is_sentence
from starlette.testclient import TestClient

from hosting import environment
from tabs import events


@pytest.fixture
def variables(monkeypatch):
    """The environment, of which a test may change anything."""
    for name in (*environment.DEFAULTS, "GRADIO_SERVER_PORT", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(environment.atexit, "register", lambda *args, **kwargs: None)
    return monkeypatch


@pytest.mark.parametrize("port", ["abc", "99999", "0", "-1", "7860.5", "٧٨٦٠", "9" * 5000])
def test_a_port_that_is_none_is_refused_in_a_sentence(variables, port):
    variables.setenv("GRADIO_SERVER_PORT", port)
    with pytest.raises(SystemExit) as refused:
        environment.prepare()
    assert is_sentence(str(refused.value)) and "GRADIO_SERVER_PORT must be a whole number from 1 to 65535" in str(refused.value)


@pytest.mark.parametrize(("port", "used"), [("", None), (" ", None), ("7861", "7861"), ("80", "80")])
def test_no_port_is_the_default_one(variables, tmp_path, port, used):
    variables.setenv("GRADIO_SERVER_PORT", port)
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    environment.prepare()
    assert os.environ.get("GRADIO_SERVER_PORT") == used


def test_each_run_has_a_folder_of_its_own_for_uploads(variables, tmp_path):
    """Gradio's is one for all users of a machine: the second could not write to it."""
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    folders = []
    for _ in range(2):
        variables.delenv("GRADIO_TEMP_DIR", raising=False)
        environment.prepare()
        folders.append(os.environ["GRADIO_TEMP_DIR"])
    assert folders[0] != folders[1]
    assert all(os.path.dirname(folder) == str(tmp_path) and os.stat(folder).st_mode & 0o077 == 0 for folder in folders)


def test_without_a_folder_to_write_to_a_sentence_says_so(variables, tmp_path):
    variables.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(SystemExit, match="TMPDIR or GRADIO_TEMP_DIR"):
        environment.prepare()


def test_the_users_folder_is_found_where_the_system_knows_none(variables, tmp_path):
    variables.setattr(tempfile, "tempdir", str(tmp_path))
    variables.setenv("HOME", "x")
    variables.setattr(os.path, "expanduser", lambda path: path)
    environment.prepare()
    assert os.environ["HOME"] == os.environ["GRADIO_TEMP_DIR"]


def test_app_refuses_a_port_before_anything_else():
    environ = {**os.environ, "GRADIO_SERVER_PORT": "abc"}
    run = subprocess.run([sys.executable, "app.py"], cwd=ROOT, env=environ, capture_output=True, text=True)
    assert run.returncode == 1 and is_sentence(run.stderr.strip()) and "GRADIO_SERVER_PORT" in run.stderr


def test_it_is_mounted_in_another_application(monkeypatch):
    """With its style, its scripts, its limit of uploads, its sessions, and without tracebacks."""
    monkeypatch.setattr(events, "start", lambda *preparations: None)
    page = importlib.import_module("app")
    site = fastapi.FastAPI()
    site.get("/")(lambda: "the site's own page")
    with TestClient(page.mount(site, "/lab")) as client:
        assert client.get("/").json() == "the site's own page"
        assert "usedSince" in client.get("/lab/").text
        config = client.get("/lab/config").json()
        assert ".live-picture" in config["css"] and not config["show_error"]
        too_large = {"files": ("large.png", b"0" * (41 << 20))}
        assert client.post("/lab/gradio_api/upload", files=too_large).status_code == 413
    assert type(page.demo.state_holder).__module__ == "hosting.sessions"
