"""The flow tab in a real browser: what a visitor does, and what they see."""

import pytest
from helpers_browser import PIXELS, changed, changed_back, draw_stroke, open_tab, scrub, shows_what_its_lines_compute

pytestmark = pytest.mark.browser

STAGE = "#flow-stage canvas"
TEXT = "document.querySelector('#flow-verdict .text').textContent"


@pytest.fixture(scope="module")
def opened(tab):
    """The tab, opened once for all tests."""
    with tab("Flow") as page:
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
