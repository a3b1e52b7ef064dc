"""The flow tab in a real browser: what a visitor does, and what they see."""

import pytest
from helpers_browser import PIXELS, changed, changed_back, draw_stroke, open_tab, scrub, shows_what_its_lines_compute

pytestmark = pytest.mark.browser

STAGE = "#flow-stage canvas"
PLANE = "#flow-plane canvas"
TEXT = "document.querySelector('#flow-verdict .text').textContent"


@pytest.fixture(scope="module")
def opened(visit):
    """The tab, opened once for all tests."""
    with visit("Flow") as page:
        page.wait_for_selector(STAGE)
        page.wait_for_selector("#flow-verdict .verdict:not([hidden])")
        page.wait_for_selector("#flow-way canvas")
        yield page


def test_temperature_changes_the_samples_and_reset_brings_them_back(opened, computed):
    assert opened.locator(STAGE).count() == 20
    before = opened.evaluate(PIXELS, STAGE)
    opened.locator("#flow-temperature input[type=range]").focus()
    for _ in range(8):
        opened.keyboard.press("ArrowLeft")
    changed(opened, STAGE, before)
    shows_what_its_lines_compute(opened, "flow", {0: STAGE}, computed)
    opened.get_by_role("button", name="Reset").locator("visible=true").click()
    changed_back(opened, STAGE, before)


def test_another_picture_and_a_drawing_are_scored(opened):
    open_tab(opened, "Likelihood")
    assert opened.locator("#flow-verdict svg").count() == 2
    assert opened.locator("#flow-beside figcaption").count() == 6
    for do in (lambda: opened.locator("#flow-own button").nth(7).click(), lambda: draw_stroke(opened, "#flow-pad")):
        text, picture = opened.evaluate(TEXT), opened.evaluate(PIXELS, "#flow-verdict canvas")
        mark = opened.locator("#flow-verdict .mark.yours").first.get_attribute("x1")
        do()
        changed(opened, "#flow-verdict canvas", picture)
        opened.wait_for_function(f"before => {TEXT} !== before", arg=text)
        assert "bits per pixel" in opened.evaluate(TEXT)
        assert opened.locator("#flow-verdict .mark.yours").first.get_attribute("x1") != mark


def test_layers_and_interpolation_are_scrubbed_without_the_server(opened, requests):
    open_tab(opened, "Layer by layer")
    opened.wait_for_selector("#flow-unfold canvas")
    assert opened.locator("#flow-unfold canvas").count() == 3
    for stage in ("#flow-unfold", "#flow-way"):
        assert len(set(scrub(opened, stage))) == 3
    assert requests == []
    assert "e-" in opened.locator("#flow-error strong").inner_text()


def test_a_plane_is_learnt_live_stopped_and_its_layers_looked_through(opened):
    open_tab(opened, "In two dimensions")
    opened.wait_for_selector(f"{PLANE}")
    opened.wait_for_function("document.querySelector('#flow-plane .text').textContent.includes('1,000 points')")
    before = opened.evaluate(PIXELS, PLANE)
    opened.locator("#flow-train").click()
    opened.wait_for_function("document.querySelector('#flow-plane .text').textContent.includes('nats per point')")
    learnt = changed(opened, PLANE, before)
    opened.locator("#flow-stop").click()
    opened.wait_for_selector("#flow-plane .bar:not([hidden])")
    opened.locator("#flow-plane input[type=range]").focus()
    opened.keyboard.press("Home")
    assert opened.evaluate(PIXELS, PLANE) not in (before, learnt)
    opened.locator("#flow-depth input[type=range]").focus()  # of another number of layers nothing is learnt yet
    opened.keyboard.press("ArrowLeft")
    opened.wait_for_function("document.querySelector('#flow-plane .text').textContent === '1,000 points.'")


def test_focus_does_not_stay_on_a_button_that_is_disabled(opened):
    open_tab(opened, "In two dimensions")
    opened.locator("#flow-train").click()
    opened.wait_for_selector("#flow-stop:not([disabled])")
    opened.locator("#flow-stop").focus()
    opened.keyboard.press("Enter")
    opened.wait_for_selector("#flow-stop[disabled]")
    opened.wait_for_function("document.activeElement.id === 'flow-train'")


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
    opened.locator("#flow-plane .undo").click()
    opened.wait_for_function(f"document.querySelector('#flow-plane .text').textContent.startsWith('{n} points')")
    opened.locator("#flow-plane .clear").click()
    opened.wait_for_function("document.querySelector('#flow-plane .text').textContent.includes('Press and drag')")
    assert opened.locator("#flow-plane .undo").is_disabled()
