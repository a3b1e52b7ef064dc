"""The playground in a real browser: what a visitor does, and what they see."""

import pytest
from helpers_browser import PIXELS, changed, come_to_rest, pause_training

pytestmark = pytest.mark.browser

STAGE = "#playground-stage"
STEP = f"(+document.querySelector('{STAGE} .step').textContent.replace(/\\D/g, ''))"
POINTS = f"document.querySelector('{STAGE} .data footer').textContent"


@pytest.fixture(scope="module")
def opened(tab):
    """The tab, opened once for all tests, with small networks so that a step takes little time."""
    with tab("Playground") as page:
        page.wait_for_selector(f"{STAGE} .panel >> nth=5")
        page.wait_for_function(f"{STEP} >= 1")  # it trains as it opens
        pause_training(page)
        yield page
        pause_training(page)


def restart(page):
    page.locator("#playground-restart").click()
    page.wait_for_function(f"{STEP} === 0")


def test_all_panels_move_while_they_train_and_rest_when_paused(opened):
    restart(opened)
    before = [opened.evaluate(PIXELS, f"{STAGE} .panel:nth-child({k}) canvas") for k in range(2, 7)]
    opened.locator("#playground-train").click()
    for k, pixels in enumerate(before, 2):
        changed(opened, f"{STAGE} .panel:nth-child({k}) canvas", pixels)
    pause_training(opened)
    step = opened.evaluate(STEP)
    assert step > 0 and opened.locator(f"{STAGE} .curves polyline").count() >= 5
    assert all("energy distance" in text for text in opened.locator(f"{STAGE} .panel:not(.data) footer").all_inner_texts())
    opened.locator("#playground-one").click()
    opened.wait_for_function(f"{STEP} === {step + 1}")
    opened.wait_for_selector("#playground-pause[disabled]")


def test_the_visitor_draws_erases_undoes_and_clears(opened):
    data = f"{STAGE} .data canvas"

    def drag(*corners):
        opened.locator(data).scroll_into_view_if_needed()
        box = opened.locator(data).bounding_box()
        (x, y), *others = [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in corners]
        opened.mouse.move(x, y)
        opened.mouse.down()
        for x, y in others:
            opened.mouse.move(x, y, steps=12)
        opened.mouse.up()

    def count():
        come_to_rest(opened)
        return int("".join(filter(str.isdigit, opened.evaluate(POINTS))))

    drag((0.1, 0.9), (0.3, 0.9))
    opened.wait_for_function(f"{POINTS}.replace(/\\D/g, '') > 1000")
    opened.wait_for_selector("#playground-shape label.selected:has-text('Your points')")
    drawn = count()
    opened.locator(f"{STAGE} .erase").click()
    drag((0.1, 0.9), (0.3, 0.9))
    opened.wait_for_function(f"+{POINTS}.replace(/\\D/g, '') < {drawn}")
    opened.locator(f"{STAGE} .erase").click()
    opened.locator(f"{STAGE} .undo").click()
    opened.wait_for_function(f"+{POINTS}.replace(/\\D/g, '') === {drawn}")
    opened.locator(f"{STAGE} .clear").click()
    opened.wait_for_function(f"document.querySelector('{STAGE} .step').textContent.includes('At least 16 points')")
    opened.locator(data).focus()
    for _ in range(6):  # faster than the page answers
        opened.keyboard.press("ArrowLeft")
        opened.keyboard.press("Space")
    opened.wait_for_function(f"{STEP} === 0 && +{POINTS}.replace(/\\D/g, '') === 18")


def test_a_panel_is_enlarged_and_parts_are_hidden(opened):
    panel = opened.locator(f"{STAGE} .panel").nth(3)
    small = panel.bounding_box()["width"]
    panel.locator(".enlarge").click()
    assert panel.bounding_box()["width"] > 1.8 * small
    before = opened.evaluate(PIXELS, f"{STAGE} .panel:nth-child(4) canvas")
    opened.locator(f"{STAGE} .show input").nth(1).click()
    changed(opened, f"{STAGE} .panel:nth-child(4) canvas", before)
    panel.locator(".enlarge").click()
    assert panel.bounding_box()["width"] == pytest.approx(small, abs=2)
