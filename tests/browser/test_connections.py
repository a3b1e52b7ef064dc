"""Several tabs of one browser. A browser opens six connections to a server, and Gradio's page would hold one for good."""

import os
import time

import pytest
from helpers import photograph
from helpers_browser import PIXELS, changed, open_tab

from hosting import head

pytestmark = pytest.mark.browser

STAGE = "#vae-stage canvas"
HIDE = """hidden => {
  Object.defineProperty(document, 'hidden', {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def move_a_slider(page):
    before = page.evaluate(PIXELS, STAGE)
    page.locator("#vae-sliders input[type=range]").first.focus()
    page.keyboard.press("ArrowRight")
    changed(page, STAGE, before)


@pytest.fixture
def tabs(browser, page_url):
    """Opens tabs of one browser, and counts the heartbeats that each holds."""
    context = browser.new_context()
    context.set_default_timeout(60_000)

    def opened(n):
        for _ in range(n):
            page = context.new_page()
            page.heartbeats = 0

            def count(request, change, page=page):
                page.heartbeats += change * ("/heartbeat/" in request.url)

            page.on("request", lambda request, count=count: count(request, 1))
            for end in ("requestfailed", "requestfinished"):
                page.on(end, lambda request, count=count: count(request, -1))
            page.goto(page_url)
            open_tab(page, "Autoencoder & VAE")
            page.wait_for_selector(f"{STAGE}:not([hidden])")
            page.locator("#vae-sliders input[type=range]").first.wait_for()
            yield page

    yield opened
    context.close()


def test_all_of_eight_tabs_stay_live(tabs):
    pages = list(tabs(8))
    for page in (pages[-1], pages[0], pages[3]):
        move_a_slider(page)
    assert sum(page.heartbeats for page in pages) <= 4  # one may just be ending
    assert pages[3].heartbeats == 1  # the one used last


def test_a_hidden_tab_holds_no_connection_and_comes_back(tabs):
    (page,) = tabs(1)
    assert page.heartbeats == 1
    with page.expect_event("requestfailed", lambda request: "/heartbeat/" in request.url):
        page.evaluate(HIDE, True)
    with page.expect_request(lambda request: "/heartbeat/" in request.url):
        page.evaluate(HIDE, False)
    move_a_slider(page)


def test_a_visitors_upload_goes_when_the_page_is_closed_and_not_when_it_is_hidden(tabs, tmp_path):
    (page,) = tabs(1)
    page.get_by_role("tab", name="Your picture").first.click()
    before = page.evaluate(PIXELS, STAGE)
    with page.expect_response(lambda response: "/gradio_api/upload?" in response.url) as response:
        page.set_input_files("#vae-upload input[type=file]", photograph(tmp_path))
    (path,) = response.value.json()
    changed(page, STAGE, before)
    with page.expect_event("requestfailed", lambda request: "/heartbeat/" in request.url):
        page.evaluate(HIDE, True)
    page.evaluate(HIDE, False)
    move_a_slider(page)
    assert os.path.isfile(path)
    page.close()
    deadline = time.monotonic() + 30
    while os.path.exists(path):
        assert time.monotonic() < deadline, "the upload is still there"
        time.sleep(0.1)


SERVER = """script => {  // in place of the server: streams that stay open until they are ended or aborted
  window.streams = {};
  window.fetch = (address, {signal} = {}) => {
    const name = address.split('/')[1];
    const body = new ReadableStream({start: controller => { streams[name] = controller; }});
    signal?.addEventListener('abort', () => { streams[name].error(signal.reason); delete streams[name]; });
    return Promise.resolve(new Response(body));
  };
  (0, eval)(script);
  fetch('/heartbeat/1', {});
}"""


def test_a_hidden_tab_keeps_its_connection_until_its_results_are_there(browser):
    """The server would take its end for the visitor's leave, and stop what was asked for."""
    page = browser.new_page()
    page.evaluate(SERVER, head.CONNECTIONS.read_text(encoding="utf-8"))
    page.wait_for_function("streams.heartbeat")
    page.evaluate("() => void fetch('/queue/data').then(async answer => { window.text = await answer.text(); })")
    page.wait_for_function("streams.queue")
    page.evaluate(HIDE, True)
    assert page.evaluate("!!streams.heartbeat")
    page.evaluate("() => { streams.queue.enqueue(new TextEncoder().encode('done')); streams.queue.close(); }")
    page.wait_for_function("!streams.heartbeat")
    assert page.evaluate("text") == "done"
    page.close()
