"""The GAN tab in a real browser."""

import pytest
from helpers_browser import (
    PIXELS,
    changed,
    changed_back,
    come_to_rest,
    draw_stroke,
    open_tab,
    scrub,
    shows_what_its_lines_compute,
)

pytestmark = pytest.mark.browser

STAGE = "#gan-stage canvas"
QUIZ_WORDS = "document.querySelector('#gan-quiz-words').textContent"


@pytest.fixture(scope="module")
def opened(tab):
    """The tab, opened once for all tests."""
    with tab("GAN") as page:
        page.wait_for_selector(STAGE)
        page.wait_for_selector("#gan-quiz button canvas")
        yield page


def test_it_opens_with_a_grid_and_scores(opened):
    assert opened.locator(STAGE).count() == 20
    assert opened.evaluate(PIXELS, STAGE) != opened.evaluate(PIXELS, "#gan-stage .tile:nth-child(2) canvas")
    scores = opened.locator("#gan-stage .tile .under").all_inner_texts()
    assert len(scores) == 20 and len(set(scores)) > 1
    assert opened.locator("#gan-stage .mark").count() == 20


def test_a_direction_moves_every_picture_and_reset_brings_them_back(opened, computed):
    cells = [f"#gan-stage .tile:nth-child({i}) canvas" for i in (1, 20)]
    before = [opened.evaluate(PIXELS, cell) for cell in cells]
    opened.evaluate("""() => {
      const gallery = document.querySelector('#gan-stage .gallery');
      new MutationObserver(() => { window.seenMoving ||= gallery.matches('.moving'); }).observe(gallery, {attributes: true});
    }""")
    opened.locator("#gan-sliders input[type=range]").first.focus()
    for _ in range(8):
        opened.keyboard.press("ArrowRight")
    for cell, was in zip(cells, before):
        changed(opened, cell, was)
    opened.wait_for_selector("#gan-stage .gallery:not(.moving)")  # the scores follow when it rests
    assert opened.evaluate("window.seenMoving")
    shows_what_its_lines_compute(opened, "gan", {0: cells[0], 19: cells[1]}, computed)
    opened.get_by_role("button", name="Reset").locator("visible=true").click()
    for cell, was in zip(cells, before):
        changed_back(opened, cell, was)
    assert opened.locator("#gan-sliders output").first.inner_text() == "0.00"


def test_real_pictures_are_added_and_sorted(opened):
    opened.locator("#gan-mixed input").check()
    opened.wait_for_function("document.querySelectorAll('#gan-stage .tile.real').length === 20")
    before = opened.evaluate(PIXELS, STAGE)
    opened.get_by_role("radio", name="by score").click()
    changed(opened, STAGE, before)
    scores = [float(s.replace("\u2212", "-")) for s in opened.locator("#gan-stage .under").all_inner_texts()]
    assert len(scores) == 40 and scores == sorted(scores, reverse=True)
    opened.locator("#gan-mixed input").uncheck()
    opened.wait_for_function("document.querySelectorAll('#gan-stage .tile').length === 20")


def test_the_quiz_counts_and_keeps_the_answer_to_itself(opened):
    open_tab(opened, "Quiz")
    for k in (1, 2):
        opened.wait_for_selector("#gan-quiz button[aria-disabled=false]")
        assert opened.locator("#gan-quiz .tile.revealed").count() == 0
        opened.locator("#gan-quiz button").nth(k).click()
        opened.wait_for_function(f"{QUIZ_WORDS}.includes('of {k}.')")
        assert opened.locator("#gan-quiz .tile.real").count() == 1
        assert opened.locator("#gan-quiz .tile.generated").count() == 3
        assert opened.locator("#gan-quiz button").nth(k).locator(".visitor").count() == 1
        was = opened.evaluate(PIXELS, "#gan-quiz canvas")
        opened.get_by_role("button", name="Next four").click()
        changed(opened, "#gan-quiz canvas", was)


def test_the_interpolation_is_scrubbed_without_the_server(opened, requests):
    open_tab(opened, "Interpolation")
    opened.wait_for_selector("#gan-walk canvas")
    assert len(set(scrub(opened, "#gan-walk"))) == 3
    assert requests == []
    last = opened.evaluate(PIXELS, "#gan-walk canvas")
    opened.locator("#gan-last-seed input").fill("5")
    changed(opened, "#gan-walk canvas", last)


def test_the_replay_is_scrubbed_without_the_server(opened, requests):
    open_tab(opened, "Training")
    opened.wait_for_selector("#gan-replay .frames:not([hidden])")
    come_to_rest(opened)
    curves = opened.locator("#gan-replay polyline").count()
    histogram = opened.locator("#gan-replay .histogram.generated")
    canvas = "#gan-replay .frames canvas"

    def words():
        return opened.locator("#gan-replay output").inner_text()

    last_words, last_histogram, last_picture = words(), histogram.get_attribute("d"), opened.evaluate(PIXELS, canvas)
    opened.locator("#gan-replay input[type=range]").focus()
    opened.keyboard.press("Home")
    assert opened.evaluate(PIXELS, canvas) != last_picture
    assert words() != last_words and "step 0 of" in words() and words().count("loss –") == 2  # none was measured yet
    ticks = opened.locator("#gan-replay .ticks span").all_inner_texts()
    numbers = [int(tick.removeprefix("step ").replace(",", "")) for tick in ticks]
    assert len(ticks) == 5 and numbers[0] == 0 and numbers == sorted(numbers) and f"{numbers[-1]:,}" in words()
    assert histogram.get_attribute("d") != last_histogram
    assert curves == 2 and requests == []
    first = opened.evaluate(PIXELS, canvas)
    opened.get_by_role("radio", name="one with mode collapse").click()
    changed(opened, canvas, first)


def test_a_drawing_is_scored_and_its_inversion_stops(opened):
    open_tab(opened, "Your picture")
    opened.wait_for_selector("#gan-verdict .verdict:not([hidden])")
    opened.wait_for_selector("#gan-nearest .reference:not([hidden])")
    before = opened.evaluate(PIXELS, "#gan-verdict canvas")
    draw_stroke(opened, "#gan-pad")
    changed(opened, "#gan-verdict canvas", before)
    assert "of real test pictures" in opened.locator("#gan-verdict .text").inner_text()
    opened.wait_for_function("document.querySelector('#gan-nearest .frames').hidden")
    opened.evaluate("""() => {  // Stop as soon as it runs: on a fast machine an inversion takes less than a second
      const range = document.querySelector('#gan-nearest input[type=range]');
      new MutationObserver((_, observer) => {
        if (range.disabled) { observer.disconnect(); window.started = true; document.querySelector('#gan-stop').click(); }
      }).observe(range, {attributes: true});
      document.querySelector('#gan-find').click();
    }""")
    opened.wait_for_function("window.started")
    opened.wait_for_selector("#gan-nearest input[type=range]:not([disabled])")
    assert int(opened.locator("#gan-nearest input[type=range]").get_attribute("max")) < 100
    assert opened.locator("#gan-nearest .frames canvas").is_visible()
    opened.locator("#gan-judged-as input").click()  # for another label there is no result yet
    opened.get_by_role("option", name="7", exact=True).click()
    opened.wait_for_function("document.querySelector('#gan-nearest .frames').hidden")
