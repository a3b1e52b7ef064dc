"""Several tabs of one browser. A browser opens six connections to a server, and Gradio's page would hold one for good."""

import os
import time

import pytest
from helpers import photograph
from helpers_browser import PIXELS, changed

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


def count_heartbeats(page):
    page.heartbeats = 0

    def count(change):
        def change_by(request):
            page.heartbeats += change * ("/heartbeat/" in request.url)

        return change_by

    page.on("request", count(1))
    for end in ("requestfailed", "requestfinished"):
        page.on(end, count(-1))


@pytest.fixture(scope="module")
def tabs(browser):
    """Opens tabs of one browser, and counts the heartbeats that each holds."""
    context = browser.new_context()
    context.set_default_timeout(60_000)

    def opened():
        page = context.new_page()
        count_heartbeats(page)
        return page

    yield opened
    context.close()


@pytest.fixture(scope="module")
def tab(tabs, page_url):
    """A tab with the page. The last test closes it."""
    page = tabs()
    page.goto(page_url + "/?tab=vae")
    page.wait_for_selector(f"{STAGE}:not([hidden])")
    page.locator("#vae-sliders input[type=range]").first.wait_for()
    return page


def test_all_of_eight_tabs_stay_live(tab, tabs, page_url):
    """Seven of them without what Gradio's page costs: they have the script, and the server's heartbeat."""
    script = f"<script>{head.CONNECTIONS.read_text(encoding='utf-8')}</script>"
    others = []
    for k in range(7):
        other = tabs()
        other.route("**/light", lambda route: route.fulfill(content_type="text/html", body=script))
        other.goto(f"{page_url}/light")
        with other.expect_request(lambda request: "/heartbeat/" in request.url):
            other.evaluate("session => void fetch(`/gradio_api/heartbeat/${session}`)", f"light{k}")
        others.append(other)
    others[-1].keyboard.press("Shift")
    move_a_slider(tab)
    others[3].keyboard.press("Shift")
    deadline = time.monotonic() + 30
    while [k for k, page in enumerate([tab, *others]) if page.heartbeats] != [0, 4, 7]:  # the ones used last
        assert time.monotonic() < deadline, [page.heartbeats for page in [tab, *others]]
        tab.wait_for_timeout(20)
    move_a_slider(tab)
    for other in others:
        other.close()


def test_a_hidden_tab_holds_no_connection_and_comes_back(tab):
    page = tab
    assert page.heartbeats == 1
    with page.expect_event("requestfailed", lambda request: "/heartbeat/" in request.url):
        page.evaluate(HIDE, True)
    with page.expect_request(lambda request: "/heartbeat/" in request.url):
        page.evaluate(HIDE, False)
    move_a_slider(page)


def test_a_visitors_upload_goes_when_the_page_is_closed_and_not_when_it_is_hidden(tab, tmp_path):
    page = tab
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


@pytest.fixture
def light(browser):
    """A page with the script alone, and streams in place of the server."""
    page = browser.new_page()
    page.evaluate(SERVER, head.CONNECTIONS.read_text(encoding="utf-8"))
    page.wait_for_function("streams.heartbeat")
    yield page
    page.close()


def test_a_hidden_tab_keeps_its_connection_until_its_results_are_there(light):
    """The server would take its end for the visitor's leave, and stop what was asked for."""
    light.evaluate("() => void fetch('/queue/data').then(async answer => { window.text = await answer.text(); })")
    light.wait_for_function("streams.queue")
    light.evaluate(HIDE, True)
    assert light.evaluate("!!streams.heartbeat")
    light.evaluate("() => { streams.queue.enqueue(new TextEncoder().encode('done')); streams.queue.close(); }")
    light.wait_for_function("!streams.heartbeat")
    assert light.evaluate("text") == "done"


def test_a_page_that_the_back_button_may_bring_back_has_not_left(light):
    sent = light.evaluate("""() => {
      const sent = [];
      navigator.sendBeacon = address => sent.push(address);
      for (const persisted of [true, false]) {
        dispatchEvent(new PageTransitionEvent('pagehide', {persisted}));
        sent.push(persisted);
      }
      return sent;
    }""")
    assert sent == [True, "/leave/1", False]
