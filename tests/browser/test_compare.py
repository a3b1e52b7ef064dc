"""The Compare tab in a real browser: what a visitor does, and what they see."""

import pytest
from helpers_browser import shows_what_its_lines_compute

pytestmark = pytest.mark.browser

STAGE = "#compare-stage"


@pytest.fixture(scope="module")
def opened(tab):
    """The tab with clothes, of which there is no transformer, opened once for all tests."""
    with tab("Compare") as page:
        page.wait_for_selector(f"{STAGE} .row.stored canvas")
        page.locator("#compare-dataset input[value=fashion]").check(force=True)
        page.wait_for_selector(f"{STAGE} .row.absent")
        page.wait_for_selector("#compare-table tbody button")
        yield page


def test_rows_show_what_their_lines_compute(opened, computed):
    assert "no checkpoint" in opened.locator(f"{STAGE} .row.absent").last.inner_text()
    opened.get_by_role("button", name="Ask every family").click()
    opened.wait_for_function(f"document.querySelectorAll('{STAGE} .row.done').length >= 4")
    opened.wait_for_function(f"!document.querySelector('{STAGE} .row.waiting, {STAGE} .row.running')")
    rows = opened.locator(f"{STAGE} .row.done").count()
    canvas = STAGE + " .row.done:nth-child({}) figure:nth-child({}) canvas"
    shown = {8 * row + i: canvas.format(row + 1, i + 1) for row in range(rows) for i in (0, 7)}
    shows_what_its_lines_compute(opened, "compare", shown, computed)
    assert "ms per sample" in opened.locator(f"{STAGE} .row.done").first.inner_text()


def test_a_dot_shows_a_family_and_the_table_sorts(opened):
    point = opened.locator("#compare-chart .point").first
    point.focus()
    opened.keyboard.press("Enter")
    opened.wait_for_selector(f"{STAGE} img.whole")
    assert point.get_attribute("aria-pressed") == "true"
    nearest = opened.locator(f"{STAGE} .row:last-child canvas")
    assert nearest.count() == opened.locator(f"{STAGE} .row:nth-child(2) canvas").count() == 8
    assert nearest.first.get_attribute("aria-label").startswith("training picture nearest to sample 1, at a distance of 0.")
    header = opened.locator("#compare-table thead button", has_text="FID")
    orders = []
    for _ in range(2):
        header.click()
        cells = opened.locator("#compare-table tbody tr td:nth-child(2)").all_inner_texts()
        orders.append([float(cell) for cell in cells if cell != "not measured"])
    assert orders[0] == sorted(orders[0]) and orders[1] == orders[0][::-1] and len(orders[0]) > 2
