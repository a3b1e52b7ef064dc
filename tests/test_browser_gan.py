"""The GAN tab in a real browser: what a visitor does, and what they see."""

import pytest
from test_browser import PIXELS, browser, changed, tab  # noqa: F401

pytestmark = pytest.mark.browser

STAGE = "#gan-stage canvas"
TOLD = "document.querySelector('#gan-quiz-words').textContent"


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
    tab(page, "GAN")
    page.wait_for_selector(STAGE)
    page.wait_for_selector("#gan-quiz button canvas")
    yield page
    context.close()
    assert trouble == []


@pytest.fixture
def asked(opened):
    """What the page asks the server for during a test, once the page has come to rest."""
    opened.wait_for_timeout(1500)
    asked = []

    def ask(request):
        if "/gradio_api/" in request.url:
            asked.append(request.url)

    opened.on("request", ask)
    yield asked
    opened.remove_listener("request", ask)


def test_it_opens_with_a_grid_and_scores(opened):
    assert opened.locator(STAGE).count() == 20
    assert opened.evaluate(PIXELS, STAGE) != opened.evaluate(PIXELS, "#gan-stage .tile:nth-child(2) canvas")
    scores = opened.locator("#gan-stage .tile .under").all_inner_texts()
    assert len(scores) == 20 and len(set(scores)) > 1
    assert opened.locator("#gan-stage .mark").count() == 20


def test_a_direction_moves_every_picture_and_reset_brings_them_back(opened):
    cells = [f"#gan-stage .tile:nth-child({i}) canvas" for i in (1, 20)]
    before = [opened.evaluate(PIXELS, cell) for cell in cells]
    opened.locator("#gan-sliders input[type=range]").first.focus()
    for _ in range(8):
        opened.keyboard.press("ArrowRight")
    for cell, was in zip(cells, before):
        changed(opened, cell, was)
    opened.get_by_role("button", name="Reset").locator("visible=true").click()
    for cell, was in zip(cells, before):
        opened.wait_for_function(f"([s, was]) => ({PIXELS})(s) === was", arg=[cell, was])
    assert opened.locator("#gan-sliders output").first.inner_text() == "0.00"


def test_real_pictures_are_mixed_in_and_sorted(opened):
    opened.locator("#gan-mixed input").check()
    opened.wait_for_function("document.querySelectorAll('#gan-stage .tile.real').length === 20")
    before = opened.evaluate(PIXELS, STAGE)
    opened.get_by_role("radio", name="most real first").click()
    changed(opened, STAGE, before)
    scores = [float(s.replace("\u2212", "-")) for s in opened.locator("#gan-stage .under").all_inner_texts()]
    assert len(scores) == 40 and scores == sorted(scores, reverse=True)
    opened.locator("#gan-mixed input").uncheck()
    opened.wait_for_function("document.querySelectorAll('#gan-stage .tile').length === 20")


def test_the_quiz_counts_and_keeps_the_answer_to_itself(opened):
    tab(opened, "Quiz")
    for k in (1, 2):
        opened.wait_for_selector("#gan-quiz button:enabled")
        assert opened.locator("#gan-quiz .tile.told").count() == 0
        opened.locator("#gan-quiz button").nth(k).click()
        opened.wait_for_function(f"{TOLD}.includes('of {k}.')")
        assert opened.locator("#gan-quiz .tile.real").count() == 1
        assert opened.locator("#gan-quiz .tile.made").count() == 3
        assert opened.locator("#gan-quiz button").nth(k).locator(".yours").count() == 1
        was = opened.evaluate(PIXELS, "#gan-quiz canvas")
        opened.get_by_role("button", name="Next four").click()
        changed(opened, "#gan-quiz canvas", was)


def scrubbed(page, stage):
    """The slider of a stage from one end to the other: all that is drawn on the way."""
    page.locator(f"{stage} input[type=range]").focus()
    seen = []
    for key in ("Home", "ArrowRight", "End"):
        page.keyboard.press(key)
        seen.append(page.evaluate(PIXELS, f"{stage} canvas"))
    return seen


def test_the_walk_is_scrubbed_without_the_server(opened, asked):
    tab(opened, "Walk")
    opened.wait_for_selector("#gan-walk canvas")
    assert len(set(scrubbed(opened, "#gan-walk"))) == 3
    assert asked == []
    last = opened.evaluate(PIXELS, "#gan-walk canvas")
    opened.locator("#gan-last-seed input").fill("5")
    changed(opened, "#gan-walk canvas", last)


def test_the_replay_is_scrubbed_without_the_server(opened, asked):
    tab(opened, "Training")
    opened.wait_for_selector("#gan-replay .frames:not([hidden])")
    opened.wait_for_timeout(300)
    curves = opened.locator("#gan-replay polyline").count()
    words = lambda: opened.locator("#gan-replay output").inner_text()  # noqa: E731
    last, hills = words(), opened.locator("#gan-replay .hill.made").get_attribute("d")
    canvas = "#gan-replay .frames canvas"
    drawn = opened.evaluate(PIXELS, canvas)
    opened.locator("#gan-replay input[type=range]").focus()
    opened.keyboard.press("Home")
    assert opened.evaluate(PIXELS, canvas) != drawn
    assert words() != last and "step 0 of" in words()
    assert opened.locator("#gan-replay .hill.made").get_attribute("d") != hills
    assert curves == 2 and asked == []
    first = opened.evaluate(PIXELS, canvas)
    opened.get_by_role("radio", name="one that collapsed").click()
    changed(opened, canvas, first)


def test_a_drawing_is_judged_and_the_search_for_it_stops(opened):
    tab(opened, "Your picture")
    opened.wait_for_selector("#gan-verdict .verdict:not([hidden])")
    opened.wait_for_selector("#gan-nearest .aim:not([hidden])")
    before = opened.evaluate(PIXELS, "#gan-verdict canvas")
    box = opened.locator("#gan-pad canvas").bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] / 2 - 6, box["y"] + box["height"] - 30, steps=6)
    opened.mouse.up()
    changed(opened, "#gan-verdict canvas", before)
    assert "of real test pictures" in opened.locator("#gan-verdict .text").inner_text()
    opened.wait_for_function("document.querySelector('#gan-nearest .frames').hidden")
    opened.evaluate("""() => {  // Stop as soon as it goes on: on a fast machine a search takes less than a second
      const range = document.querySelector('#gan-nearest input[type=range]');
      new MutationObserver((_, me) => {
        if (range.disabled) { me.disconnect(); window.wentOn = true; document.querySelector('#gan-stop').click(); }
      }).observe(range, {attributes: true});
      document.querySelector('#gan-find').click();
    }""")
    opened.wait_for_function("window.wentOn")
    opened.wait_for_selector("#gan-nearest input[type=range]:not([disabled])")
    assert int(opened.locator("#gan-nearest input[type=range]").get_attribute("max")) < 100
    assert opened.locator("#gan-nearest .frames canvas").is_visible()


def test_a_narrow_screen(browser, page_url):  # noqa: F811
    """390 px wide: nothing sticks out, and the pictures stay in sight while a slider under them is moved."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{page_url}?__theme=dark")
    tab(page, "GAN")
    page.wait_for_selector(STAGE, timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#gan-sliders input[type=range]").last.scroll_into_view_if_needed()
    box, slider = page.locator("#gan-stage .gallery").bounding_box(), page.locator("#gan-sliders input").last.bounding_box()
    assert 0 <= box["y"] and box["y"] + box["height"] < slider["y"]
    context.close()
