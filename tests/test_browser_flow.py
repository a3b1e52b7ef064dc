"""The flow tab in a real browser: what a visitor does, and what they see."""

import pytest
from test_browser import PIXELS, browser, changed, tab  # noqa: F401
from test_browser_gan import scrubbed

pytestmark = pytest.mark.browser

STAGE = "#flow-stage canvas"
PLANE = "#flow-plane canvas"
TEXT = "document.querySelector('#flow-verdict .text').textContent"


@pytest.fixture(scope="module")
def opened(browser, page_url):  # noqa: F811
    """The tab, opened once for all tests. At the end: no error in the console, and no request left the machine."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page, trouble = context.new_page(), []
    page.on("console", lambda m: trouble.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: trouble.append(str(e)))
    page.on("response", lambda r: trouble.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on(
        "request",
        lambda r: trouble.append(f"leaves: {r.url}") if r.url.startswith("http") and not r.url.startswith(page_url) else None,
    )
    page.set_default_timeout(60_000)
    page.goto(page_url)
    tab(page, "Flow")
    page.wait_for_selector(STAGE)
    page.wait_for_selector("#flow-verdict .verdict:not([hidden])")
    page.wait_for_selector("#flow-way canvas")
    yield page
    context.close()
    assert trouble == []


@pytest.fixture
def requests(opened):
    """The page's requests to the server during a test, after its own have ended."""
    opened.wait_for_timeout(1500)
    urls = []

    def record(request):
        if "/gradio_api/" in request.url:
            urls.append(request.url)

    opened.on("request", record)
    yield urls
    opened.remove_listener("request", record)


def test_temperature_changes_the_pictures_and_reset_brings_them_back(opened):
    assert opened.locator(STAGE).count() == 20
    before = opened.evaluate(PIXELS, STAGE)
    opened.locator("#flow-temperature input[type=range]").focus()
    for _ in range(8):
        opened.keyboard.press("ArrowLeft")
    changed(opened, STAGE, before)
    opened.get_by_role("button", name="Reset").locator("visible=true").click()
    opened.wait_for_function(f"([s, before]) => ({PIXELS})(s) === before", arg=[STAGE, before])


def test_another_picture_and_a_drawing_are_scored(opened):
    tab(opened, "Likelihood")
    assert opened.locator("#flow-verdict svg").count() == 2
    assert opened.locator("#flow-beside figcaption").count() == 6
    for act in (lambda: opened.locator("#flow-own button").nth(7).click(), lambda: stroke(opened)):
        before, pixels = opened.evaluate(TEXT), opened.evaluate(PIXELS, "#flow-verdict canvas")
        mark = opened.locator("#flow-verdict .mark.yours").first.get_attribute("x1")
        act()
        changed(opened, "#flow-verdict canvas", pixels)
        opened.wait_for_function(f"before => {TEXT} !== before", arg=before)
        assert "bits per pixel" in opened.evaluate(TEXT)
        assert opened.locator("#flow-verdict .mark.yours").first.get_attribute("x1") != mark


def stroke(page):
    page.locator("#flow-pad canvas").scroll_into_view_if_needed()
    box = page.locator("#flow-pad canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 6, box["y"] + box["height"] - 30, steps=6)
    page.mouse.up()


def test_layers_and_interpolation_are_scrubbed_without_the_server(opened, requests):
    tab(opened, "Layer by layer")
    opened.wait_for_selector("#flow-unfold canvas")
    assert opened.locator("#flow-unfold canvas").count() == 3
    for stage in ("#flow-unfold", "#flow-way"):
        assert len(set(scrubbed(opened, stage))) == 3
    assert requests == []
    assert "e-" in opened.locator("#flow-error strong").inner_text()


def test_a_plane_is_trained_live_stopped_and_its_layers_scrubbed(opened):
    tab(opened, "In two dimensions")
    opened.wait_for_selector(f"{PLANE}")
    opened.wait_for_function("document.querySelector('#flow-plane .text').textContent.includes('1,000 points')")
    before = opened.evaluate(PIXELS, PLANE)
    opened.locator("#flow-train").click()
    opened.wait_for_function("document.querySelector('#flow-plane .text').textContent.includes('nats per point')")
    trained = changed(opened, PLANE, before)
    opened.locator("#flow-stop").click()
    opened.wait_for_selector("#flow-plane .bar:not([hidden])")
    opened.locator("#flow-plane input[type=range]").focus()
    opened.keyboard.press("Home")
    assert opened.evaluate(PIXELS, PLANE) not in (before, trained)


def test_the_visitor_draws_points(opened):
    opened.get_by_role("radio", name="Your points").click()
    opened.wait_for_function("document.querySelector('#flow-plane .text').textContent.includes('Press and drag')")
    opened.locator(PLANE).scroll_into_view_if_needed()
    box = opened.locator(PLANE).bounding_box()
    opened.mouse.move(box["x"] + 60, box["y"] + 60)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 200, box["y"] + 160, steps=15)
    opened.mouse.up()
    opened.wait_for_function("/^\\d+ points/.test(document.querySelector('#flow-plane .text').textContent)")
    n = int(opened.locator("#flow-plane .text").inner_text().split()[0])
    assert 30 <= n <= 60
    opened.locator(PLANE).focus()
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("Space")
    opened.wait_for_function(f"document.querySelector('#flow-plane .text').textContent.startsWith('{n + 3} points')")


def test_a_narrow_screen(browser, page_url):  # noqa: F811
    """390 px wide: nothing overflows, and the samples stay in view while a slider under them is moved."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{page_url}?__theme=dark")
    tab(page, "Flow")
    page.wait_for_selector(STAGE, timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#flow-temperature input[type=range]").scroll_into_view_if_needed()
    box, slider = (
        page.locator(selector).last.bounding_box() for selector in ("#flow-stage .gallery", "#flow-temperature input")
    )
    assert 0 <= box["y"] and box["y"] + box["height"] < slider["y"] + slider["height"]
    context.close()
