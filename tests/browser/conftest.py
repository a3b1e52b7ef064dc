"""One browser for all of these tests, and tabs opened in it."""

import contextlib
import os
import shutil

import pytest
from helpers import run_program
from helpers_browser import CANVASES, come_to_rest, open_tab, watch


@pytest.fixture(scope="session")
def browser():
    """Debian's Chromium; without it the tests skip, or fail where GENMODELS_REQUIRE_BROWSER is set."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        (pytest.fail if os.environ.get("GENMODELS_REQUIRE_BROWSER") else pytest.skip)("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def visit(browser, page_url):
    """A context manager: `with visit("Flow") as page`. At its end: no error in the console, and no request left the machine."""

    @contextlib.contextmanager
    def visit(tab=None, width=1400, height=1000, query="", script="", **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.trouble = trouble = []
        watch(page)
        page.set_default_timeout(60_000)
        page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: trouble.append(str(e)))
        page.on("response", lambda r: trouble.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.on("request", lambda r: trouble.append(f"leaves: {r.url}") if _leaves(r.url, page_url) else None)
        if script:
            page.add_init_script(script)
        page.goto(page_url + query)
        if tab:
            open_tab(page, tab)
        yield page
        context.close()
        assert trouble == []

    return visit


@pytest.fixture(scope="session")
def shared_page(visit):
    with visit() as page:
        yield page


@pytest.fixture(scope="session")
def tab(shared_page):
    """A context manager: `with tab("Flow") as page`. Files of tests share the page, loaded once; each is alone in its tab."""

    @contextlib.contextmanager
    def tab(name):
        shared_page.set_default_timeout(60_000)
        shared_page.evaluate("scrollTo(0, 0)")
        open_tab(shared_page, name)
        shared_page.wait_for_selector(CANVASES[name])
        yield shared_page
        trouble = shared_page.trouble[:]
        shared_page.trouble.clear()
        assert trouble == []

    return tab


@pytest.fixture(scope="session")
def board(browser):
    """A small page with each component by itself."""
    import helpers_board

    with helpers_board.opened(browser) as board:
        yield board


def _leaves(url, page_url):
    return url.startswith("http") and not url.startswith(page_url)


@pytest.fixture
def computed(tmp_path, monkeypatch, all_checkpoints):
    """Runs a program of the page; returns the pictures that it computes."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(all_checkpoints))
    return lambda program: run_program(program, tmp_path, monkeypatch)["x"]


@pytest.fixture
def requests(request):
    """What the page of the module's `opened` fixture asks the server for during a test, once it has come to rest."""
    page, urls = request.getfixturevalue("opened"), []
    come_to_rest(page)

    def note(request):
        if "/gradio_api/" in request.url:
            urls.append(request.url)

    page.on("request", note)
    yield urls
    page.remove_listener("request", note)
