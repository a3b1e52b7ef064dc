"""The page's handlers and endpoints run against every checkpoint that the page knows."""

import shutil

import pytest
from gradio_client import Client

from tabs import lane


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return all_checkpoints


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)


@pytest.fixture
def own_checkpoints(request, checkpoints, tmp_path, monkeypatch):
    """A folder with copies of the checkpoints that the module names in COPIED, which a test may damage."""
    for name in request.module.COPIED:
        shutil.copytree(checkpoints / name, tmp_path / name)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


@pytest.fixture
def lanes(monkeypatch):
    """Lanes that nobody has used, in which each computation gives way at once."""
    monkeypatch.setattr(lane, "MODELS", lane.Lane())
    monkeypatch.setattr(lane, "FILES", lane.Lane())
    monkeypatch.setattr(lane, "SLICE", 0.0)
    monkeypatch.setattr(lane, "BRIEF", 0.0)
    monkeypatch.setattr(lane, "LOOK", 0.0)
