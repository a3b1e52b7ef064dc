"""The page in a real browser: a visitor's actions, and what the page then shows."""

import os
import shutil

import pytest

pytestmark = pytest.mark.browser

PIXELS = """selector => {  // a checksum of a canvas's pixels
  const c = document.querySelector(selector), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let sum = 0;
  for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) % 1000003;
  return sum;
}"""
STAGE = "#vae-stage canvas"


@pytest.fixture(scope="module")
def browser():
    """Debian's Chromium; without it the tests skip, or fail where GENMODELS_REQUIRE_BROWSER is set."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not program:
        report = pytest.fail if os.environ.get("GENMODELS_REQUIRE_BROWSER") else pytest.skip
        report("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        chromium = p.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, page_url):
    """The page, with a picture on the stage. Afterwards: no error in the console, and no request to another machine."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    problems = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("response", lambda r: problems.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on(
        "request",
        lambda r: (
            problems.append(f"external request: {r.url}")
            if r.url.startswith("http") and not r.url.startswith(page_url)
            else None
        ),
    )
    page.goto(page_url)
    page.wait_for_selector(f"{STAGE}:not([hidden])", timeout=60_000)
    page.wait_for_selector("#vae-map .map", timeout=60_000)
    yield page
    context.close()
    assert problems == []


def changed(page, selector, before):
    """Waits until the canvas shows other pixels than before, and returns them."""
    page.wait_for_function(f"([s, before]) => ({PIXELS})(s) !== before", arg=[selector, before], timeout=20_000)
    return page.evaluate(PIXELS, selector)


def tab(page, name):
    """Open a tab. On a narrow screen those that do not fit are in a menu."""
    page.get_by_role("tab").first.wait_for()
    page.wait_for_timeout(1000)  # until Gradio has moved those that do not fit into the menu
    if page.get_by_role("tab", name=name).count():
        page.get_by_role("tab", name=name).click()
    else:
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).first.click()


def test_a_slider_moves_the_picture(page):
    before = page.evaluate(PIXELS, STAGE)
    slider = page.locator("#vae-sliders input[type=range]").first
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    after = changed(page, STAGE, before)
    for _ in range(5):
        page.keyboard.press("ArrowLeft")
    changed(page, STAGE, after)


def test_new_samples_and_the_same_seed_again(page):
    before = page.evaluate(PIXELS, STAGE)
    page.locator("#vae-samples button").nth(3).click()
    chosen = changed(page, STAGE, before)
    page.get_by_role("button", name="New samples").click()
    other = changed(page, STAGE, chosen)
    seed = page.get_by_role("spinbutton", name="Seed")
    seed.fill("0")
    seed.press("Enter")
    first = changed(page, STAGE, other)
    page.locator("#vae-samples button").nth(3).click()
    assert changed(page, STAGE, first) == chosen


def test_switching_the_dataset_and_the_size_of_the_code(page):
    before = page.evaluate(PIXELS, STAGE)
    page.get_by_role("radio", name="2-D code").click()
    with_two = changed(page, STAGE, before)
    page.wait_for_function("document.querySelectorAll('#vae-sliders input').length === 2")
    page.get_by_role("radio", name="Faces").click()
    changed(page, STAGE, with_two)
    page.wait_for_function("document.querySelector('#vae-stage canvas').width === 64")
    page.wait_for_selector("#vae-map .message:not([hidden])")  # faces have no map
    page.get_by_role("radio", name="Clothes").click()
    page.get_by_role("radio", name="Full code (64)").wait_for()


def test_pointing_at_the_map_sends_no_request(page):
    page.wait_for_timeout(1000)  # until the requests of the page's start are done
    requests = []
    page.on("request", lambda r: requests.append(r.url) if "/gradio_api/" in r.url else None)
    views = ["#vae-map figure:nth-child(1) .view", "#vae-map figure:nth-child(2) .view"]
    before = [page.evaluate(PIXELS, v) for v in views]
    box = page.locator("#vae-map .map").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.8)
    for view, old in zip(views, before):  # both maps follow the same pointer
        changed(page, view, old)
    assert requests == []
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function("document.querySelectorAll('#vae-sliders input').length === 2")
    assert page.get_by_role("radio", name="2-D code").is_checked()


def test_the_map_works_by_keyboard(page):
    view = "#vae-map figure:nth-child(2) .view"
    before = page.evaluate(PIXELS, view)
    page.locator("#vae-map .map").nth(1).focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    changed(page, view, before)
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelectorAll('#vae-sliders input').length === 2")


def test_drawing(page):
    tab(page, "Your picture")
    box = page.locator("#vae-pad canvas").bounding_box()
    before = page.evaluate(PIXELS, STAGE)
    x, y = box["x"] + box["width"] / 2, box["y"] + 30
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 6, y + box["height"] - 60, steps=8)
    page.mouse.up()
    changed(page, STAGE, before)
    page.wait_for_selector("#vae-report :text('ELBO')")
    assert page.locator("#vae-pair figure").count() == 3


def test_uploading_a_file_that_is_not_a_picture(page, tmp_path):
    tab(page, "Your picture")
    (tmp_path / "a.png").write_text("no picture", encoding="utf-8")
    page.locator("#vae-upload input[type=file]").set_input_files(tmp_path / "a.png")
    page.wait_for_selector("[data-testid=toast-body]:has-text('not a picture')")


def test_scrubbing_an_interpolation_sends_no_request(page):
    tab(page, "Interpolate")
    page.wait_for_selector("#vae-frames canvas")
    page.wait_for_timeout(1000)
    requests = []
    page.on("request", lambda r: requests.append(r.url) if "/gradio_api/" in r.url else None)
    view = "#vae-frames canvas"
    before = page.evaluate(PIXELS, view)
    page.locator("#vae-frames input[type=range]").focus()
    page.keyboard.press("End")
    after = changed(page, view, before)
    page.get_by_role("button", name="Play").click()
    changed(page, view, after)
    page.get_by_role("button", name="Pause").click()
    assert requests == []
    stage = page.evaluate(PIXELS, STAGE)
    page.get_by_role("button", name="Show large").first.click()
    changed(page, STAGE, stage)


def test_editing_an_attribute(page):
    page.get_by_role("radio", name="Faces").click()
    page.wait_for_function("document.querySelector('#vae-stage canvas').width === 64")
    tab(page, "Edit attributes")
    before = page.evaluate(PIXELS, STAGE)
    page.locator("#vae-background input").click()
    page.get_by_role("option", name="lilac").click()
    after = changed(page, STAGE, before)
    page.wait_for_selector("#vae-verdict :text('background')")
    page.locator("#vae-background-amount input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    changed(page, STAGE, after)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_narrow_screen(browser, page_url, theme):
    """390 px wide: nothing overflows, and the picture stays visible while a slider below it is moved."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{page_url}?__theme={theme}")
    page.wait_for_selector("#vae-map .map", timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#vae-sliders input[type=range]").nth(8).scroll_into_view_if_needed()
    box = page.locator(STAGE).bounding_box()
    assert 0 <= box["y"] < 400
    context.close()
