"""The page's handlers and endpoints run against every checkpoint that the page knows."""

import pytest
from gradio_client import Client


@pytest.fixture(autouse=True)
def checkpoints(all_checkpoints, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return all_checkpoints


@pytest.fixture(scope="module")
def client(page_url):
    return Client(page_url, verbose=False)
