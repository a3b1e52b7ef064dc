"""Components that show pictures and frames, and the order of their values: exact pixels, and what they send."""

import json
import math

import numpy as np
import pytest
import torch
from helpers_board import HISTOGRAM, H, W, pictures, shown
from helpers_browser import canvas, points_of

from tabs import components

pytestmark = pytest.mark.browser


# --- Events -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["live", "numbered"])
def test_the_last_position_of_a_slider_is_computed_and_those_before_may_be_left_out(board, name):
    board.page.locator(f"#{name} input[type=range]").focus()
    for _ in range(9):
        board.page.keyboard.press("ArrowRight")
    computed = lambda: [value for who, _, value in board.received if who == name]  # noqa: E731
    board.until(lambda: computed() and computed()[-1] == 9)
    assert len(computed()) < 9 and computed() == sorted(computed())
    board.shows_picture(f"#{name}-stage canvas", torch.full((1, 1, 1), 0.9))


def raw_value(x, turn):
    return {**components.raw(x), "caption": f"turn {turn}", "turn": turn}


def test_values_of_earlier_turns_are_dropped(board):
    x = pictures(4)
    for turn, picture, expected in ((5, 0, 0), (4, 1, 0), (5, 2, 2), (3, 1, 2), (6, 3, 3)):
        board.show(stage=raw_value(x[picture], turn))
        board.shows_picture("#stage canvas", x[expected])
    board.show(stage={"message": "No.", "turn": 5})  # late, too
    assert board.texts("#stage .message") == [""]
    board.show(stage=raw_value(x[1], 6))
    board.shows_picture("#stage canvas", x[1])


def test_a_picture_that_is_decoded_late_does_not_replace_a_message(board):
    board.page.evaluate("""() => {  // an image says that it is decoded when `decoded()` is called
      window.RealImage = Image;
      window.Image = function () {
        const image = new RealImage();
        Object.defineProperty(image, 'onload', {set(act) { window.decoded = act; }});
        return image;
      };
    }""")
    try:
        board.show(tiles={**components.sheet(pictures(3), 3), "labels": ["a", "b", "c"]})
        board.show(tiles={"message": "No pictures."})
        board.page.evaluate("decoded()")
    finally:
        board.page.evaluate("() => { window.Image = RealImage; }")
    assert board.page.locator("#tiles canvas").count() == 0
    assert board.texts("#tiles .message") == ["No pictures."]


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_the_stage_shows_a_picture_as_it_is(board):
    for x in (pictures(1)[0], pictures(1)[0, :1]):
        board.show(stage={**components.raw(x), "caption": "a caption", "label": "a label"})
        board.shows_picture("#stage canvas", x)
        assert board.texts("#stage figcaption") == ["a caption"]
        assert board.page.locator("#stage canvas").get_attribute("aria-label") == "a label"


SCORES = [1.5, -0.5, 0, 99, -99]


def test_the_gallery_has_each_picture_with_its_score(board):
    x = pictures(5)
    facts = [{"kind": "real" if i == 1 else "generated", "label": f"picture {i}", "score": s} for i, s in enumerate(SCORES)]
    board.show(gallery={**components.raw(x), "across": 3, "pictures": facts, "histogram": json.dumps(HISTOGRAM)})
    for i in range(5):
        board.shows_picture(f"#gallery .tile:nth-child({i + 1}) canvas", x[i])
    assert board.texts("#gallery .under") == ["+1.5", "−0.5", "0", "+99.0", "−99.0"]
    assert board.page.locator("#gallery .tile").evaluate_all("all => all.map(t => t.classList.contains('real'))") == [
        False,
        True,
        False,
        False,
        False,
    ]
    shares = board.page.locator("#gallery .fill").evaluate_all("all => all.map(f => +f.style.getPropertyValue('--share'))")
    assert shares == [0.875, 0.375, 0.5, 1, 0.02]
    marks = [board.number("#gallery .mark", "x1", i) for i in range(5)]
    plot = board.width("#gallery svg") - 24  # between the margins
    assert marks == pytest.approx([12 + plot * s for s in (0.875, 0.375, 0.5, 1, 0)])  # none leaves the plot
    assert board.page.locator("#gallery .mark").nth(1).get_attribute("class") == "mark real"
    assert "N = 500 and 1,000" in board.page.locator("#gallery svg").text_content()


def test_scores_of_earlier_pictures_are_not_seen_while_a_slider_moves(board):
    facts = [{"kind": "generated", "label": "generated", "score": s} for s in SCORES]
    moving = [{"kind": "generated", "label": "generated"} for _ in SCORES]
    histogram = json.dumps(HISTOGRAM)

    def visible_scores():
        hidden = "all => all.filter(e => getComputedStyle(e).visibility !== 'hidden').length"
        titles = board.page.locator("#gallery .tile").evaluate_all("all => all.filter(t => /score/.test(t.title)).length")
        return [board.page.locator(f"#gallery {part}").evaluate_all(hidden) for part in (".under", ".fill", ".mark")] + [titles]

    for k in range(2):  # scores, then two steps of a slider, and scores again
        board.show(gallery={**components.raw(pictures(5)), "across": 3, "pictures": facts, "histogram": histogram})
        board.shows_picture("#gallery .tile:nth-child(5) canvas", pictures(5)[4])
        assert visible_scores() == [5, 5, 5, 5]
        height = board.page.locator("#gallery").bounding_box()["height"]
        for step in range(2 if k == 0 else 0):
            x = pictures(5).flip(0) if step == 0 else pictures(5)
            board.show(gallery={**components.raw(x), "across": 3, "pictures": moving, "moving": True})
            board.shows_picture("#gallery .tile:nth-child(5) canvas", x[4])
            assert visible_scores() == [0, 0, 0, 0]
            assert board.page.locator("#gallery").bounding_box()["height"] == height


def test_the_bars_of_both_histograms(board):
    """The bars of each set are as high as its shares, above the base line at 80, and as wide as their intervals."""
    facts = [{"kind": "", "label": "", "score": 0}]
    board.show(gallery={**components.raw(pictures(1)), "across": 1, "pictures": facts, "histogram": json.dumps(HISTOGRAM)})
    for kind in ("real", "generated"):
        board.page.wait_for_selector(f"#gallery .histogram.{kind}", state="attached")
        path = points_of(board.page.locator(f"#gallery .histogram.{kind}").get_attribute("d"))
        x = [12 + (board.width("#gallery svg") - 24) * k / 4 for k in range(5)]
        y = [80 - 66 * share / 0.5 for share in HISTOGRAM[kind]]
        expected = [12, 80, *(v for i in range(4) for v in (x[i], y[i], x[i + 1])), 80]
        assert path == pytest.approx(expected, abs=0.01)
    assert board.page.locator("#gallery svg text").all_text_contents()[-3:] == ["−2.0", "0", "+2.0"]


def test_the_picked_picture_of_a_quiz_is_the_one_that_was_clicked(board):
    x, facts = pictures(4), [{"kind": "", "label": f"picture {i}"} for i in range(4)]
    question = {**components.raw(x), "across": 2, "pictures": facts}
    for i in (2, 0, 3):
        board.show(quiz=question)
        board.shows_picture(f"#quiz button:nth-child({i + 1}) canvas", x[i])
        assert board.event(board.page.locator("#quiz button").nth(i).click) == ("quiz", "input", {"index": i})
    facts = [{"kind": "real" if i == 1 else "generated", "label": "", "score": i - 1.5} for i in range(4)]
    answer = {"pictures": facts, "visitor_choice": 0, "discriminator_choice": 3, "histogram": json.dumps(HISTOGRAM)}
    board.show(quiz={**question, **answer})
    board.page.wait_for_selector("#quiz .badge")
    assert board.texts("#quiz button:nth-child(1) .badge") == ["you"]
    assert board.texts("#quiz button:nth-child(4) .badge") == ["discriminator"]
    assert board.texts("#quiz .under") == ["generated −1.5", "real −0.5", "generated +0.5", "generated +1.5"]
    assert board.page.locator("#quiz button[aria-disabled=true]").count() == 4


def test_tiles_in_rows_and_the_chosen_one(board):
    x = pictures(7)
    board.show(tiles={**components.sheet(x, 3), "labels": [f"label {i}" for i in range(7)], "chosen": 2})
    for i in range(7):
        board.shows_picture(f"#tiles button:nth-child({i + 1}) canvas", x[i])
    pressed = "all => all.flatMap((t, i) => t.getAttribute('aria-pressed') === 'true' ? [i] : [])"
    tiles = board.page.locator("#tiles button")
    assert tiles.evaluate_all(pressed) == [2]
    assert tiles.nth(5).get_attribute("title") == "label 5"
    assert board.event(tiles.nth(5).click) == ("tiles", "input", {"index": 5})
    assert tiles.evaluate_all(pressed) == [5]


# --- Frames -----------------------------------------------------------------------------------------------------------


def grid(x, across, by_column=False):
    """Pictures (n, 3, H, W) in a grid with gaps of one pixel; the gaps are None."""
    rows = math.ceil(len(x) / across)
    canvas = np.full((rows * (H + 1) - 1, across * (W + 1) - 1, 3), -1)
    for i, picture in enumerate(x):
        row, column = (i % rows, i // rows) if by_column else divmod(i, across)
        canvas[row * (H + 1) : row * (H + 1) + H, column * (W + 1) : column * (W + 1) + W] = shown(picture)
    return canvas


def shows_grid(board, expected):
    def same():
        drawn = canvas(board.page, "#film .frames canvas")
        return drawn.shape == expected.shape and (drawn == expected)[expected >= 0].all()

    board.until(same)


@pytest.mark.parametrize("by_column", [False, True])
def test_the_film_has_its_frames_in_order_and_their_pictures_in_rows_or_columns(board, by_column):
    x = pictures(18)  # three frames of six, three across
    lines = [components.line("loss", [(0, 4), (10, 2), (30, 1)])]
    facts = {"unit": "step", "numbers": [0, 10, 30], "lines": lines}
    histograms = {"edges": HISTOGRAM["edges"], "real": [[0.1] * 4, [0.2] * 4, [0.3] * 4], "generated": [[0.3, 0, 0, 0]] * 3}
    value = {**components.sheet(x, 4), "per": 6, "across": 3, "by_column": by_column, "facts": json.dumps(facts | histograms)}
    board.show(film={**value, "label": "x", "reference": components.raw(x[7])})
    shows_grid(board, grid(x[12:], 3, by_column))
    board.shows_picture("#film .reference canvas", x[7])
    board.page.locator("#film input").focus()
    for key, k in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1)):
        board.page.keyboard.press(key)
        shows_grid(board, grid(x[6 * k : 6 * k + 6], 3, by_column))
        assert board.texts("#film output span") == [f"step {facts['numbers'][k]} of 30", f"loss {[4, 2, 1][k]}.0"]
        assert board.number("#film .plot line", "x1") == 50 * k
        bar = points_of(board.page.locator("#film .histogram.real").get_attribute("d"))[3]
        assert bar == pytest.approx(80 - 66 * min(1, [0.1, 0.2, 0.3][k] / 0.3), abs=0.01)
    curve = np.array(points_of(board.page.locator("#film polyline").get_attribute("points"))).reshape(-1, 2)
    assert curve.tolist() == pytest.approx(np.array([[0, 4], [50, 96 - 92 / 3], [100, 96]]))  # a high loss is at the top


def test_a_film_says_what_its_axis_is_and_nothing_before_the_first_measurement(board):
    lines = [components.line("loss", [(50, 4), (100, 2), (900, 1)])]
    facts = {"unit": "step", "numbers": [0, 50, 900], "lines": lines}
    board.show(film={**components.sheet(pictures(3), 3), "per": 1, "across": 1, "facts": json.dumps(facts), "label": ""})
    assert board.texts("#film .ticks span") == ["step 0", "50", "900"]  # of the frames, at even distances
    assert (board.texts("#film .high"), board.texts("#film .low")) == (["4.0"], ["1.0"])
    board.page.locator("#film input").focus()
    for key, loss in (("Home", "–"), ("ArrowRight", "4.0")):
        board.page.keyboard.press(key)
        assert board.texts("#film output span")[1] == f"loss {loss}"


def test_a_film_that_is_still_running_shows_its_latest_frame(board):
    x = pictures(1)
    facts = {"unit": "row", "numbers": [7], "lines": [components.line("bits", [(6, 1), (7, 3)])]}
    value = {**components.sheet(x, 1), "per": 1, "across": 1, "facts": json.dumps(facts), "label": "", "total": 28}
    board.show(film={**value, "live": True})
    shows_grid(board, grid(x, 1))
    assert board.texts("#film output span") == ["row 7 of 28", "bits 3.0"]
    assert board.page.locator("#film input").is_disabled()


def test_the_scrubber_has_a_row_for_each_kind_and_a_column_for_each_step(board):
    x = pictures(10)  # two rows of five frames
    board.show(scrubber={**components.sheet(x, 5), "rows": ["first", "second"]})
    for k, row in ((2, 0), (7, 1)):  # it opens in the middle
        board.shows_picture(f"#scrubber figure:nth-child({row + 1}) canvas", x[k])
    assert board.texts("#scrubber figcaption") == ["first", "second"]
    assert board.texts("#scrubber .ends span") == ["from", "to"]
    board.page.locator("#scrubber input").focus()
    for key, k in (("Home", 0), ("ArrowRight", 1), ("End", 4)):
        board.page.keyboard.press(key)
        board.shows_picture("#scrubber figure:nth-child(1) canvas", x[k])
        board.shows_picture("#scrubber figure:nth-child(2) canvas", x[5 + k])
        assert board.texts("#scrubber output") == [f"{k + 1} / 5"]
    chosen = board.event(board.page.locator("#scrubber .action").nth(1).click)
    assert chosen == ("scrubber", "release", {"step": 4, "row": 1})


def test_the_scrubber_of_a_run_has_the_noise_of_each_step(board):
    x = pictures(3)
    board.show(scrubber={**components.sheet(x, 3), "rows": ["x_t"], "numbers": [0, 2, 4], "levels": "1 .9 .5 .2 0"})
    board.shows_picture("#scrubber canvas", x[2])  # it opens at its end
    board.page.locator("#scrubber input").focus()
    for key, k, noise in (("ArrowLeft", 1, 50), ("ArrowLeft", 0, 100), ("End", 2, 0)):
        board.page.keyboard.press(key)
        board.shows_picture("#scrubber canvas", x[k])
        assert board.texts("#scrubber output")[0].split() == ["noise", str(noise), "%", str(2 * k), "/", "4"]
        style = board.page.locator("#scrubber .plot i").evaluate("i => [i.style.left, i.style.top].map(parseFloat)")
        assert style == [50 * k, 100 - noise]
    line = points_of(board.page.locator("#scrubber .line").get_attribute("d"))
    assert line == pytest.approx([0, 0, 25, 10, 50, 50, 75, 80, 100, 100])


def test_two_pictures_are_compared(board):
    x = pictures(3, 4, 4)
    notes = [{"name": name, "note": f"{name} note"} for name in ("noisy", "ours", "median")]
    board.show(compare={**components.sheet(x, 2), "pictures": notes, "left": 0, "right": 1, "caption": "c"})
    board.shows_picture("#compare .left", x[0])
    board.shows_picture("#compare .right", x[1])
    assert board.texts("#compare .tag") == ["noisy", "ours"]
    assert board.texts("#compare .tile .note") == ["noisy note", "ours note", "median note"]
    board.page.locator("#compare .tile").nth(2).click()
    board.shows_picture("#compare .right", x[2])
    board.page.locator("#compare select").select_option("1")
    board.shows_picture("#compare .left", x[1])
    assert board.texts("#compare .tag") == ["ours", "median"]
    board.page.locator("#compare .zoom").evaluate("z => { z.value = 1; z.dispatchEvent(new Event('input')); }")
    board.shows_picture("#compare .left", x[1][:, 1:3, 1:3])
    board.page.locator("#compare .view").focus()
    for key, (top, left) in (("ArrowUp", (0, 1)), ("ArrowRight", (0, 2)), ("ArrowDown", (2, 2)), ("ArrowLeft", (2, 0))):
        for _ in range(12):  # as far as it goes
            board.page.keyboard.press(key)
        board.shows_picture("#compare .left", x[1][:, top : top + 2, left : left + 2])


def test_an_enlarged_picture_follows_the_pointer(board):
    x = pictures(2, 4, 4)
    notes = [{"name": name, "note": ""} for name in ("before", "after")]
    board.show(compare={**components.sheet(x, 2), "pictures": notes, "left": 0, "right": 1, "caption": ""})
    board.page.locator("#compare .zoom").evaluate("z => { z.value = 1; z.dispatchEvent(new Event('input')); }")
    for to, (top, left) in (((0.9, 0.8), (0, 0)), ((0.1, 0.8), (0, 2)), ((0.1, 0.1), (2, 2)), ((0.9, 0.1), (2, 0))):
        for _ in range(4):  # as far as it goes
            board.drag("#compare .view", (0.3, 0.4), to)
        board.shows_picture("#compare .left", x[0][:, top : top + 2, left : left + 2])
        board.shows_picture("#compare .right", x[1][:, top : top + 2, left : left + 2])
