"""Each component by itself on a small page: exact pixels and positions, and what it sends to the server."""

import base64
import itertools
import json
import math
import time

import gradio as gr
import numpy as np
import pytest
import torch
from helpers_browser import canvas, points_of

import genmodels as gm
from hosting import head
from tabs import components, events
from tabs.components.attention_map import AttentionMap
from tabs.components.chart import Chart
from tabs.components.compare import Compare
from tabs.components.draw_pad import SIDE, DrawPad
from tabs.components.family_rows import FamilyRows
from tabs.components.film import Film
from tabs.components.gallery import Gallery
from tabs.components.latent_map import LatentMap
from tabs.components.likelihood import Likelihood
from tabs.components.mask_pad import MaskPad, mask_text
from tabs.components.next_token import NextToken
from tabs.components.playground import Playground, pack_points, unpack_points
from tabs.components.scatter import Scatter
from tabs.components.scrubber import Scrubber
from tabs.components.sliders import Sliders
from tabs.components.sortable_table import SortableTable
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.components.token_view import TokenView
from tabs.components.verdict import Verdict

pytestmark = pytest.mark.browser

H, W = 4, 6


def pictures(n, h=H, w=W):
    """n colour pictures (n, 3, h, w) of whole grey levels: no two pixels of all of them are alike, nor their channels."""
    levels = torch.arange(n * 3 * h * w).reshape(n, 3, h, w) * 7919 % 256
    return levels / 255


def shown(x):
    """A picture (C, h, w) as a canvas shows it, (h, w, 3)."""
    return (255 * x).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()


class Board:
    """A page with each component; what they send is in `received`."""

    def __init__(self, page, parts, staged, received):
        self.page, self.parts, self.staged, self.received = page, parts, staged, received
        self.shows = 0

    def show(self, **values):
        """Give a component a new value and wait until the browser has it."""
        ((name, value),) = values.items()
        self.shows += 1
        self.staged.append(value)
        self.page.evaluate("name => document.querySelector(`#show-${name}`).click()", name)
        self.page.wait_for_function(f"document.querySelector('#shows input').value === '{self.shows}'")
        self.page.wait_for_timeout(50)  # pictures are decoded

    def until(self, condition):
        """Wait until the condition holds, and say so."""
        deadline = time.monotonic() + 10
        while not condition() and time.monotonic() < deadline:
            self.page.wait_for_timeout(20)
        assert condition()

    def event(self, do):
        """(name of the component, event, data) that an action sends."""
        before = len(self.received)
        do()
        self.until(lambda: len(self.received) > before)
        return self.received[-1]

    def texts(self, selector):
        return self.page.locator(selector).all_inner_texts()

    def number(self, selector, attribute, i=0):
        return float(self.page.locator(selector).nth(i).get_attribute(attribute))

    def width(self, svg):
        """Of a plot, in the units that it is drawn in: pixels of the screen."""
        return float(self.page.locator(svg).first.get_attribute("viewBox").split()[2])

    def shows_picture(self, selector, x):
        self.until(lambda: np.array_equal(canvas(self.page, selector), shown(x)))

    def point(self, selector, u, v):
        """The place (u, v) of an element on the screen, each from 0 to 1, from the top left."""
        self.page.locator(selector).scroll_into_view_if_needed()
        box = self.page.locator(selector).bounding_box()
        return box["x"] + u * box["width"], box["y"] + v * box["height"]

    def drag(self, selector, *places):
        self.page.mouse.move(*self.point(selector, *places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.point(selector, *place))
        self.page.mouse.up()


PARTS = {
    "stage": Stage,
    "gallery": Gallery,
    "quiz": lambda **options: Gallery(pick=True, **options),
    "tiles": Tiles,
    "film": Film,
    "scrubber": lambda **options: Scrubber(action="Show", ends=("from", "to"), **options),
    "map": LatentMap,
    "plane": lambda **options: Playground(most_points=12, **options),
    "sliders": lambda **options: Sliders(shown=2, **options),
    "mask": MaskPad,
    "pad": DrawPad,
    "text": lambda **options: TokenView(more="Continue", **options),
    "next": NextToken,
    "likelihood": Likelihood,
    "verdict": Verdict,
    "chart": Chart,
    "compare": Compare,
    "attention": AttentionMap,
    "scatter": Scatter,
    "table": SortableTable,
    "rows": FamilyRows,
}
SENT = {  # component -> its events
    "quiz": ["input"],
    "tiles": ["input"],
    "scrubber": ["release"],
    "map": ["click"],
    "plane": ["input"],
    "sliders": ["input"],
    "mask": ["input"],
    "pad": ["input", "release"],
    "text": ["click", "input", "release"],
    "scatter": ["input"],
    "table": ["input"],
}
FAST = {"queue": False, "show_progress": "hidden"}


@pytest.fixture(scope="module")
def board(browser):
    staged, received, counts = [], [], iter(range(1, 1000))

    def listen(name, event):
        def take(value, data: gr.EventData):
            received.append((name, event, value if name in ("sliders", "mask", "pad") else data._data))

        getattr(parts[name], event)(take, parts[name], None, trigger_mode="multiple", **FAST)

    def slow(name):
        def handler(value):
            time.sleep(0.25)
            received.append((name, "computed", value))
            return {"stage": components.raw(torch.full((1, 1, 1), value / 10))}

        return handler

    with gr.Blocks() as demo:
        parts = {name: make(elem_id=name) for name, make in PARTS.items()}
        shows = gr.Number(0, elem_id="shows")
        for name, part in parts.items():
            gr.Button(name, elem_id=f"show-{name}").click(lambda: (staged.pop(), next(counts)), None, [part, shows], **FAST)
        for name in SENT:
            for event in SENT[name]:
                listen(name, event)
        for name, live in (("live", events.live), ("numbered", events.Runs().live)):
            slider, stage = gr.Slider(0, 10, 0, step=1, elem_id=name), Stage(elem_id=f"{name}-stage")
            live(slider.input, slow(name), {"value": slider}, {"stage": stage})
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True)
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    words = "window.page = {language: 'en', languages: ['en'], texts: {}};"
    context.add_init_script(words + head.LANGUAGE.read_text(encoding="utf-8"))  # as the page's own HTML says it
    page, trouble = context.new_page(), []
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda e: trouble.append(str(e)))
    page.goto(url)
    page.wait_for_selector("#show-stage")
    yield Board(page, parts, staged, received)
    context.close()
    demo.close()
    assert trouble == []


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
    board.show(tiles={**components.sheet(pictures(3), 3), "labels": ["a", "b", "c"]})
    board.until(lambda: board.page.locator("#tiles canvas").count() == 3)
    board.show(tiles={"message": "No pictures."})
    assert board.page.locator("#tiles canvas").count() == 0
    assert board.texts("#tiles .message") == ["No pictures."]


# --- Pictures ---------------------------------------------------------------------------------------------------------


def test_the_stage_shows_a_picture_as_it_is(board):
    for x in (pictures(1)[0], pictures(1)[0, :1]):
        board.show(stage={**components.raw(x), "caption": "a caption", "label": "a label"})
        board.shows_picture("#stage canvas", x)
        assert board.texts("#stage figcaption") == ["a caption"]
        assert board.page.locator("#stage canvas").get_attribute("aria-label") == "a label"


HISTOGRAM = {"edges": [-2, -1, 0, 1, 2], "real": [0.1, 0.2, 0.3, 0.4], "generated": [0.5, 0.25, 0.25, 0], "n": [500, 1000]}
SCORES = [1.5, -0.5, 0, 99, -99]


def test_the_gallery_has_each_picture_with_its_score(board):
    x = pictures(5)
    facts = [{"kind": "real" if i == 1 else "generated", "label": f"picture {i}", "score": s} for i, s in enumerate(SCORES)]
    board.show(gallery={**components.sheet(x, 3), "across": 3, "pictures": facts, "histogram": json.dumps(HISTOGRAM)})
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


def test_the_bars_of_both_histograms(board):
    """The bars of each set are as high as its shares, above the base line at 80, and as wide as their intervals."""
    facts = [{"kind": "", "label": "", "score": 0}]
    board.show(gallery={**components.sheet(pictures(1), 1), "across": 1, "pictures": facts, "histogram": json.dumps(HISTOGRAM)})
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
    question = {**components.sheet(x, 2), "across": 2, "pictures": facts}
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


# --- Maps and planes --------------------------------------------------------------------------------------------------

BOUNDS = {"x0": -2.0, "x1": 6.0, "y0": 10.0, "y1": 30.0}
MAP = "#map canvas.map"


def test_the_map_has_x_to_the_right_and_y_upwards(board):
    x = pictures(16)
    points = [{"x": 4, "y": 25, "label": 3}, {"x": -1, "y": 12.5, "label": 1}]
    value = {**components.sheet(x, 4), "title": "VAE", "bounds": BOUNDS, "points": json.dumps(points)}
    board.show(map={"maps": [value], "classes": [str(i) for i in range(10)]})
    board.page.wait_for_selector(MAP)
    for u, v in ((0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.6, 0.3)):
        board.page.mouse.move(*board.point(MAP, u, v))
        board.shows_picture("#map .view", x[4 * int(4 * v) + int(4 * u)])
        position = [float(k) for k in board.texts("#map .position")[0].split(", ")]
        assert position == pytest.approx([-2 + 8 * u, 30 - 20 * v], abs=0.15)
        name, event, data = board.event(lambda u=u, v=v: board.page.mouse.click(*board.point(MAP, u, v)))
        assert (name, event) == ("map", "click")
        assert (data["u"], data["v"]) == pytest.approx((u, v), abs=0.01)
    drawn = canvas(board.page, MAP).astype(int)
    for u, v, colour in ((0.75, 0.25, (255, 93, 93)), (0.125, 0.875, (255, 157, 60))):  # of classes 3 and 1
        assert np.abs(drawn[int(560 * v), int(560 * u)] - colour).max() < 3
    assert board.texts("#map .legend .item")[3] == "3"


def test_the_background_of_the_map_is_its_pictures(board):
    grey = torch.linspace(0.1, 0.9, 16)[:, None, None, None].expand(-1, 1, 2, 2)
    value = {**components.sheet(grey, 4), "title": "VAE", "bounds": BOUNDS, "points": "[]"}
    board.show(map={"maps": [value], "classes": []})
    board.page.locator("#map .toggle input").uncheck()
    board.page.mouse.move(*board.point(MAP, 0.99, 0.99))
    centres = [(70 + 140 * row, 70 + 140 * column) for row in range(4) for column in range(4)]

    def same():
        drawn = canvas(board.page, MAP)
        levels = [drawn[place][0] / 255 for place in centres]
        return np.abs(np.array(levels) - grey[:, 0, 0, 0].numpy()).max() < 0.01

    board.until(same)
    board.page.locator("#map .toggle input").check()


def test_the_map_by_keyboard(board):
    value = {**components.sheet(pictures(16), 4), "title": "VAE", "bounds": BOUNDS, "points": "[]"}
    board.show(map={"maps": [value], "classes": []})
    board.page.wait_for_selector(MAP)
    board.page.mouse.click(*board.point(MAP, 0.5, 0.5))
    board.page.locator(MAP).focus()
    u, v = board.event(lambda: board.page.keyboard.press("Enter"))[2].values()
    for key, du, dv in (
        ("ArrowLeft", -1, 0),
        ("ArrowUp", 0, -1),
        ("ArrowUp", 0, -1),
        ("ArrowRight", 1, 0),
        ("ArrowDown", 0, 1),
    ):
        board.page.keyboard.press(key)
        u, v = u + du / 40, v + dv / 40
        data = board.event(lambda: board.page.keyboard.press("Enter"))[2]
        assert (data["u"], data["v"]) == pytest.approx((u, v), abs=1e-6)


PLANE = "#plane .data canvas"


def plane(points="", panels=None, **values):
    value = {
        "points": points,
        "own": True,
        "note": "",
        "step": 3,
        "live": False,
        "panels": json.dumps(panels or {}),
        "curves": "{}",
    }
    return value | values


def lit(board, selector, u, v, reach=0.02):
    """The brightest channels of a canvas around (u, v), each from 0 to 1, from the top left."""
    drawn = canvas(board.page, selector).astype(int)
    side, r = len(drawn), max(2, round(reach * len(drawn)))
    row, column = round(v * side), round(u * side)
    return drawn[max(0, row - r) : row + r, max(0, column - r) : column + r].reshape(-1, 3).max(0)


def test_the_plane_has_x_to_the_right_and_y_upwards(board):
    points = pack_points([[0.5, 0.25], [-0.75, -0.5]])
    board.show(
        plane=plane(points, {"vae": {"samples": pack_points([[0.5, -0.75]]), "energy": 0.123, "nats": -1.5, "modes": 7}})
    )
    board.until(lambda: board.texts("#plane .step") == ["Step 3"] and "2 points" in board.texts("#plane .data footer"))
    assert lit(board, PLANE, 0.75, 0.375).min() > 150 and lit(board, PLANE, 0.125, 0.75).min() > 150
    assert lit(board, PLANE, 0.75, 0.625).max() < 60
    blue = lit(board, "#plane .panel:nth-child(2) canvas", 0.75, 0.875)
    assert blue[2] > 150 and blue[2] > blue[0] + 60
    assert board.texts("#plane .panel:nth-child(2) footer") == ["energy distance 0.123 · log-likelihood −1.50 · 7 of 8 modes"]


def test_what_is_inside_a_family_and_that_it_broke(board):
    density = np.zeros((4, 4), np.uint8)
    density[0, 3] = 255  # the upper right
    lines = np.zeros((2, 21, 2))
    lines[0], lines[1] = np.linspace([0.5, -1], [0.5, 1], 21), np.linspace([-1, -0.5], [1, -0.5], 21)
    inside = {"map": base64.b64encode(density.tobytes()).decode(), "lines": pack_points(lines)}
    arrows = np.array([[[-0.5, 0.5], [1, 0]], [[0.5, 0.5], [1, 0]], [[-0.5, -0.5], [1, 0]], [[0.5, -0.5], [0, 1]]])
    paths = np.tile(np.linspace([-1, 0], [1, 0], 5), (24, 1, 1))
    field = {"arrows": pack_points(arrows), "paths": pack_points(paths)}
    codes = {"codes": pack_points([[0.0, 0.0]])}
    panels = {
        "vae": {"inside": codes},
        "flow": {"inside": inside},
        "diffusion": {"inside": field, "broken": "Too <b>fast</b>."},
    }
    board.show(plane=plane(panels=panels))
    flow, diffusion = "#plane .panel:nth-child(4) canvas", "#plane .panel:nth-child(5) canvas"
    board.until(lambda: lit(board, flow, 0.9, 0.1).min() > 150)
    assert lit(board, flow, 0.1, 0.9).max() < 60
    orange, teal = lit(board, flow, 0.75, 0.5), lit(board, flow, 0.25, 0.75)
    assert orange[0] > orange[2] + 30 and teal[1] > teal[0] + 30
    assert lit(board, diffusion, 0.4, 0.25).min() > 80 > lit(board, diffusion, 0.1, 0.25).max()  # from left to right
    assert lit(board, diffusion, 0.75, 0.62).min() > 80 > lit(board, diffusion, 0.75, 0.88).max()  # and upwards
    assert lit(board, diffusion, 0.5, 0.5)[2] > 100
    assert lit(board, "#plane .panel:nth-child(2) canvas", 0.84, 0.84)[2] > 100  # in the corner
    assert board.texts("#plane .panel:nth-child(5) .frame p") == ["Too <b>fast</b>."]
    board.page.locator("#plane .show input").nth(2).click()
    board.until(lambda: lit(board, flow, 0.9, 0.1).max() < 60)
    board.page.locator("#plane .show input").nth(2).click()


def test_curves_of_a_training(board):
    curves = {
        "energy": {"vae": [[0, 0.4], [10, 0.1]], "gan": [[0, 0.5], [10, 0.0]]},
        "nats": {"vae": [[0, -3.0], [10, -1.0]], "gan": []},
    }
    board.show(plane=plane(panels={"vae": {}}, curves=json.dumps(curves)))
    board.until(lambda: board.page.locator("#plane .energy polyline").count() == 2)
    first, second = [
        [float(k) for k in pair.split(",")]
        for pair in board.page.locator("#plane .energy polyline").nth(1).get_attribute("points").split()
    ]
    assert second[0] > first[0] and second[1] > first[1]  # to the right, and down
    assert "VAE 0.10" in board.page.locator("#plane .energy svg").get_attribute("aria-label")
    assert board.page.locator("#plane .nats polyline").first.get_attribute("stroke") == "#3b82f6"


def test_points_are_drawn_where_the_visitor_presses(board):
    steps = itertools.count(10)  # a value that is the same again is not shown
    board.show(plane=plane(step=next(steps)))

    def edit(do):
        """The points that are sent, and shown in return."""
        _, _, data = board.event(do)
        board.show(plane=plane(data["points"], step=next(steps)))
        return unpack_points(data["points"])

    for u, v in ((0.75, 0.25), (0.25, 0.75), (0.5, 0.5), (0.5, 0.5), (0.5, 0.5)):
        drawn = edit(lambda u=u, v=v: board.drag(PLANE, (u, v)))
    assert drawn[:3].mean(0) == pytest.approx([0.5, 0.5], abs=0.08)
    assert drawn[3:6].mean(0) == pytest.approx([-0.5, -0.5], abs=0.08)
    assert len(drawn) == 12  # not more than are allowed
    board.page.locator("#plane .erase").click()
    assert len(edit(lambda: board.drag(PLANE, (0.5, 0.5)))) == 6
    board.page.locator("#plane .erase").click()
    assert len(edit(lambda: board.page.locator("#plane .undo").click())) == 12
    assert len(edit(lambda: board.page.locator("#plane .clear").click())) == 0
    board.page.locator(PLANE).focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowUp", "ArrowUp", "ArrowRight", "ArrowRight"):
        board.page.keyboard.press(key)
    drawn = edit(lambda: board.page.keyboard.press("Space"))
    assert drawn.mean(0) == pytest.approx([2 * 0.06, 4 * 0.06], abs=0.08)


def test_what_is_drawn_while_the_page_is_late_is_not_lost(board):
    board.show(plane=plane(step=5))
    board.page.locator(PLANE).focus()
    _, _, first = board.event(lambda: board.page.keyboard.press("Space"))
    board.page.keyboard.press("Space")
    board.show(plane=plane(pack_points([[0.9, 0.9]])))  # of an earlier run
    assert board.texts("#plane .data footer") == ["6 points"]
    _, _, second = board.event(lambda: board.show(plane=plane(first["points"])))
    assert len(unpack_points(first["points"])) == 3 and len(unpack_points(second["points"])) == 6
    board.show(plane=plane(pack_points([[0.9, 0.9]]), own=False))  # another shape was chosen
    assert board.texts("#plane .data footer") == ["1 points"]


# --- Codes, masks and drawings ----------------------------------------------------------------------------------------


def test_each_slider_has_the_number_of_its_dimension(board):
    dims = [{"index": i, "label": f"#{i + 1}"} for i in (2, 0, 3, 1)]
    z = [0.123, -1.5, 2.0, 4.4]
    board.show(sliders={"model": "m", "z": z, "dims": dims, "unused": 1})
    board.until(lambda: board.page.locator("#sliders input").count() == 4)
    out = board.page.locator("#sliders output")
    assert [out.nth(k).text_content() for k in range(4)] == ["2.00", "0.12", "4.40", "-1.50"]
    assert [board.page.locator(f"#sliders .rows >> nth={k} >> input").count() for k in range(3)] == [2, 1, 1]
    ranges = board.page.locator("#sliders input").evaluate_all("all => all.map(r => [+r.min, +r.max])")
    assert ranges == [[-3, 3], [-3, 3], [-5, 5], [-3, 3]]
    board.page.locator("#sliders input").nth(0).focus()
    _, _, sent = board.event(lambda: board.page.keyboard.press("ArrowLeft"))
    assert sent["z"] == [0.123, -1.5, 1.9, 4.4]  # the others stay as exact as they were
    assert out.nth(0).text_content() == "1.90"
    _, _, sent = board.event(board.page.locator("#sliders input").nth(1).dblclick)
    board.until(lambda: board.received[-1][2]["z"] == [0, -1.5, 1.9, 4.4])
    board.show(sliders={"model": "m", "z": [0.5, 0.25, -0.75, 0], "dims": dims, "unused": 1})
    board.until(lambda: out.nth(0).text_content() == "-0.75")
    assert [out.nth(k).text_content() for k in range(4)] == ["-0.75", "0.50", "0.00", "0.25"]


MASK = "#mask canvas"


def show_mask(board, mask):
    x = pictures(1, 28, 28)[0]
    board.show(mask={**components.raw(x), "mask": mask_text(mask)})
    return x


def test_a_mask_is_painted_where_the_brush_goes(board):
    x = show_mask(board, np.zeros((28, 28)))
    board.until(lambda: np.array_equal(canvas(board.page, MASK)[6::12, 6::12], shown(x)))
    _, _, mask = board.event(lambda: board.drag(MASK, (0.2, 0.3), (0.6, 0.3)))
    rows, columns = np.nonzero(mask)
    assert mask.shape == (28, 28) and mask.dtype == bool
    assert (rows.min(), rows.max()) == (6, 10)  # 2.8 pixels around 8.4
    assert (columns.min(), columns.max()) == (3, 19)  # and around 5.6 to 16.8
    drawn = canvas(board.page, MASK)[6::12, 6::12].astype(int)
    painted = np.abs(drawn - (0.25 * shown(x).astype(int) + 0.75 * np.array([255, 64, 150]))).max(2) < 3
    assert np.array_equal(painted, mask)
    _, _, more = board.event(lambda: board.drag(MASK, (0.3, 0.8), (0.5, 0.8)))  # another stroke does not begin at the last one
    rows, columns = np.nonzero(more & ~mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 24, 6, 16) and more[mask].all()


def test_halves_and_keys_of_the_mask(board):
    show_mask(board, np.eye(28))
    _, _, mask = board.event(board.page.locator("#mask .half").click)
    assert np.array_equal(mask, np.arange(28)[:, None].repeat(28, 1) >= 14)
    _, _, mask = board.event(board.page.locator("#mask .clear").click)
    assert not mask.any()
    board.drag(MASK, (10.5 / 28, 20.5 / 28))  # puts the brush there
    board.page.locator(MASK).focus()
    _, _, mask = board.event(lambda: board.page.keyboard.press("Delete"))
    assert not mask.any()
    for _ in range(3):
        board.page.keyboard.press("ArrowUp")
    board.page.keyboard.press("Space")
    for _ in range(6):
        board.page.keyboard.press("ArrowRight")
    _, _, mask = board.event(lambda: board.page.keyboard.press("Space"))
    rows, columns = np.nonzero(mask)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (15, 19, 8, 18)
    _, _, mask = board.event(lambda: board.page.keyboard.press("Delete"))
    assert not mask.any()


def test_a_drawing_is_sent_as_it_stands_on_the_pad(board):
    _, _, ink = board.event(lambda: board.drag("#pad canvas", (0.2, 0.15), (0.7, 0.15)))
    assert ink.shape == (SIDE, SIDE)
    rows, columns = np.nonzero(ink > 128)
    assert (rows.min(), rows.max()) == pytest.approx((0.15 * SIDE - 5.5, 0.15 * SIDE + 5.5), abs=1.5)
    assert (columns.min(), columns.max()) == pytest.approx((0.2 * SIDE - 5.5, 0.7 * SIDE + 5.5), abs=1.5)
    assert ink[21, 60] == 255 and ink[100, 60] == 0  # white on black
    _, _, two_strokes = board.event(lambda: board.drag("#pad canvas", (0.3, 0.8), (0.3, 0.6)))
    assert (two_strokes >= ink).all() and two_strokes[100, 42] == 255
    board.page.locator("#pad button").click()
    board.page.locator("#pad canvas").focus()
    board.page.keyboard.press("Space")
    for _ in range(5):
        board.page.keyboard.press("ArrowRight")
    _, _, ink = board.event(lambda: board.page.keyboard.press("Space"))
    rows, columns = np.nonzero(ink > 128)
    assert rows.mean() == pytest.approx(30, abs=1) and columns.max() > 90 and columns.min() > 60


def test_a_drawing_is_emptied_by_the_visitor_and_by_the_page(board):
    board.event(lambda: board.drag("#pad canvas", (0.2, 0.15), (0.7, 0.15)))
    name, event, ink = board.event(board.page.locator("#pad button").click)
    assert (name, event, ink) == ("pad", "release", None)
    board.event(lambda: board.drag("#pad canvas", (0.2, 0.15), (0.7, 0.15)))
    board.show(pad=None)
    board.until(lambda: canvas(board.page, "#pad canvas")[42, 120].max() == 0)


# --- Texts ------------------------------------------------------------------------------------------------------------


def token(symbol, p=0.5, alternatives=()):
    others = [{"symbol": s, "p": q} for s, q in alternatives]
    return json.dumps({"symbol": symbol, "p": p, "entropy": 1.0, "kind": "", "alternatives": others}) + "\n"


def text(board):
    return "".join(board.texts("#text .token"))


def test_tokens_of_a_run_that_was_left_are_dropped(board):
    alternatives = [("x", 0.5), ("y", 0.3), ("z", 0.2)]
    tokens = "".join(token(s, alternatives=alternatives) for s in "abcdef")
    board.show(text={"tokens": tokens[: len(tokens) // 2], "turn": 7, "live": True})
    assert text(board) == "abc"
    board.show(text={"tokens": tokens, "turn": 7, "request": {"title": "t"}})
    assert text(board) == "abcdef"
    board.page.locator("#text .token").nth(3).click()
    board.until(lambda: board.received[-1] == ("text", "click", {"text": "abc"}))
    assert "as uncertain as among 2.7 equally likely" in board.texts("#text .summary")[0]  # e: the entropy is a nat
    assert board.texts("#text .alternative b") == ["x", "y", "z"]
    assert board.texts("#text .alternative span") == ["50 %", "30 %", "20 %"]
    sent = board.event(board.page.locator("#text .alternative").nth(1).click)
    assert sent == ("text", "input", {"text": "abcy", "keep": 4, "request": {"title": "t"}})
    assert text(board) == "abcy"
    board.show(text={"tokens": tokens + token("g"), "turn": 7, "live": True})  # late, of the run before
    assert text(board) == "abcy"
    board.show(text={"tokens": token("h") + token("i"), "turn": 8, "keep": 4})
    assert text(board) == "abcyhi"
    assert board.page.locator("#text .token.yours").all_inner_texts() == ["y"]
    sent = board.event(board.page.locator("#text .more").click)
    assert sent[:2] == ("text", "release") and sent[2]["text"] == "abcyhi" and sent[2]["keep"] == 6
    board.show(text={"tokens": token("h") + token("i") + token("j"), "turn": 8, "keep": 4})  # and again
    assert text(board) == "abcyhi"


def test_a_token_is_coloured_by_its_surprisal(board):
    board.show(text={"tokens": "".join(token("a", p) for p in (1, 0.5, 0.25, 0.125, 2**-7, 2**-12)), "turn": 20})
    styles = board.page.locator("#text .token").evaluate_all(
        "all => all.map(t => [t.style.getPropertyValue('--hue'), +t.style.getPropertyValue('--alpha')])"
    )
    assert [hue for hue, _ in styles] == ["var(--expected)"] * 2 + ["var(--surprising)"] * 4
    assert [alpha for _, alpha in styles] == pytest.approx([0.34, 0.17, 0, 0.124, 0.62, 0.62], abs=0.001)
    titles = board.page.locator("#text .token").evaluate_all("all => all.map(t => t.title)")
    assert titles == ["100 %", "50 %", "25 %", "13 %", "0.8 %", "< 0.1 %"]


LOGITS = torch.tensor([3.0, 2.5, 2.5, 1.0, 0.5, 0.0, -0.5, -1.0, -2.0, -3.0, -4.0, -6.0])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"temperature": 0},
        {"temperature": 0.5},
        {"temperature": 2},
        {"top_k": 1},
        {"top_k": 2},
        {"top_k": 4},
        {"top_k": 12},
        {"top_p": 0.3},
        {"top_p": 0.8},
        {"top_p": 0},
        {"min_p": 0.05},
        {"min_p": 0.3},  # of the most likely one: the absolute value would leave fewer
        {"min_p": 1},
        {"temperature": 1.5, "top_k": 6, "top_p": 0.9, "min_p": 0.2},
    ],
)
def test_the_bars_are_what_the_model_would_sample_from(board, changed):
    options = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0} | changed
    symbols, logits = json.dumps(list("abcdefghijkl")), " ".join(f"{v:g}" for v in LOGITS.tolist())
    board.show(next={"context": "ab", "symbols": symbols, "logits": logits, "options": options})
    expected = gm.transformer.warp_logits(LOGITS, **options)
    rows = board.page.locator("#next .row output")
    board.until(lambda: rows.count() == 10)
    shares = rows.evaluate_all("all => all.map(o => +o.title)")
    assert shares == pytest.approx(expected[:10].tolist(), abs=1e-4)
    assert [text == "cut" for text in rows.all_inner_texts()] == [p == 0 for p in expected[:10].tolist()]
    assert f"{int((expected > 0).sum())} of 12 tokens remain" in board.texts("#next .summary")[0]
    bars = board.page.locator("#next .row").evaluate_all(
        "all => all.map(r => [+r.style.getPropertyValue('--model'), +r.style.getPropertyValue('--warped')])"
    )
    model = LOGITS.softmax(0)
    highest = max(model.max(), expected.max()).item()
    assert np.array(bars) == pytest.approx(torch.stack([model, expected], 1)[:10].numpy() / highest, abs=1e-4)


def test_attention_is_from_a_row_to_its_columns(board):
    maps = np.zeros((2, 2, 3, 3), np.uint8)  # layers, heads, queries, keys
    maps[0, 0] = [[255, 0, 0], [51, 204, 0], [0, 255, 0]]
    maps[0, 1] = [[255, 0, 0], [51, 204, 0], [102, 51, 102]]
    maps[1, 0, 2] = [255, 0, 0]
    encoded = base64.b64encode(maps.tobytes()).decode()
    board.show(attention={"symbols": json.dumps(list("abc")), "n": 3, "layers": 2, "heads": 2, "maps": encoded})

    def weights():
        return board.page.locator("#attention .token").evaluate_all("all => all.map(t => parseInt(t.title) || 0)")

    board.until(lambda: weights() == [20, 60, 20])  # the mean of the heads, of the last token
    board.page.locator("#attention .heads button").nth(1).click()
    assert weights() == [0, 100, 0]
    board.page.locator("#attention .heads button").nth(2).click()
    assert weights() == [40, 20, 40]
    assert "“a” 2 back (40 %), itself (40 %), “b” 1 back (20 %)" in board.texts("#attention .summary")[0]
    board.page.locator("#attention .token").nth(1).click()
    assert weights() == [20, 80, 0]
    board.page.locator("#attention .layers button").nth(1).click()
    board.page.locator("#attention .heads button").nth(1).click()
    board.page.locator("#attention .token").nth(2).click()
    assert weights() == [100, 0, 0]
    drawn = canvas(board.page, "#attention canvas").astype(int)
    assert drawn[20, 3].min() > 200 and drawn[3, 20].max() < 60  # the last row attends to the first column


# --- Plots ------------------------------------------------------------------------------------------------------------


def test_marks_of_a_likelihood_and_of_a_score(board):
    x = pictures(1)[0]
    edges = {"edges": [1, 2, 3], "real": [0.4, 0.6], "generated": [0.5, 0.5]}
    axes = [{"title": f"axis {k}", "histogram": edges, "score": score} for k, score in enumerate((1.5, 99))]
    board.show(likelihood={**components.raw(x), "text": "words", "datasets": ["own", "other"], "axes": json.dumps(axes)})
    board.shows_picture("#likelihood canvas", x)
    plot = board.width("#likelihood svg") - 24
    assert [board.number("#likelihood .mark", "x1", k) for k in (0, 1)] == pytest.approx([12 + plot / 4, 12 + plot])
    assert board.texts("#likelihood figcaption") == ["axis 0", "axis 1"]
    assert board.texts("#likelihood .key b") == ["own", "other"]
    rows = [{"label": name, "score": score} for name, score in (("a", -1.5), ("b", 1.0), ("c", 0))]
    value = {"text": "words", "score": -0.5, "histogram": json.dumps(HISTOGRAM), "by_label": json.dumps(rows)}
    board.show(verdict={**components.raw(x), **value})
    board.shows_picture("#verdict canvas", x)
    plot = board.width("#verdict svg") - 24
    assert board.number("#verdict .mark.yours", "x1") == pytest.approx(12 + plot * 0.375)
    board.page.locator("#verdict summary").click()
    assert board.texts("#verdict .kind output") == ["−1.5", "+1.0", "0"]
    assert board.texts("#verdict .best span") == ["b"]
    shares = board.page.locator("#verdict .kind i").evaluate_all("all => all.map(i => +i.style.getPropertyValue('--share'))")
    assert shares == [0.125, 0.75, 0.5]


def test_a_chart_has_low_values_at_the_bottom(board):
    lines = [components.line("DDIM", [(4, 100.0), (16, 10.0)]), components.line("Heun", [(8, 1.0)])]
    board.show(chart={"lines": lines, "floor": 0.1, "x": "calls", "y": "FID"})
    board.until(lambda: board.page.locator("#chart circle").count() == 3)
    x, y = ([board.number("#chart circle", name, k) for k in range(3)] for name in ("cx", "cy"))
    left, right = 66, board.width("#chart svg") - 10
    assert x == pytest.approx([left, right, (left + right) / 2])
    assert y[0] < y[1] < y[2] < board.number("#chart .floor", "y1") < 258
    assert y[1] - y[0] == pytest.approx(y[2] - y[1])  # logarithmic
    assert (
        board.page.locator("#chart svg").get_attribute("aria-label").startswith("FID against calls. DDIM: 100 at 4, 10 at 16")
    )


def test_a_dot_is_that_of_its_family_where_another_was_not_measured(board):
    points = [
        {"title": "A", "x": None, "y": 1.0},
        {"title": "B", "x": 0.01, "y": 4.0, "size": 0.25},
        {"title": "C", "x": 0.5, "y": 1.0, "size": 0.75},
    ]
    texts = {"x": "time", "y": "FID", "size": "Larger: more.", "missing": "Not measured: A."}
    board.show(scatter={"points": json.dumps(points), "floor": 0.5, **texts})
    board.until(lambda: board.page.locator("#scatter .point").count() == 2)
    x, y, r = ([board.number("#scatter .point circle:not(.target)", name, k) for k in range(2)] for name in ("cx", "cy", "r"))
    assert x[0] < x[1] and y[0] < y[1] < board.number("#scatter .floor", "y1") and r == [7, 13]
    assert board.texts("#scatter figcaption") == ["Larger: more. Not measured: A."]
    click = board.page.locator("#scatter .point .target").nth(1).click
    assert board.event(click) == ("scatter", "input", {"index": 2})
    assert [point.get_attribute("aria-pressed") for point in board.page.locator("#scatter .point").all()] == ["false", "true"]


def test_a_table_is_sorted_by_numbers_and_what_was_not_measured_comes_last(board):
    rows = [("VAE", [("9", 9.0), ("none", None)]), ("GAN", [("10", 10.0), ("2", 2.0)]), ("flow", [("none", None), ("1", 1.0)])]
    board.show(table=SortableTable.value(["family", "FID", "bits"], rows, "Numbers."))
    heads, names = board.page.locator("#table thead button"), "#table tbody th"
    board.until(lambda: board.texts(names) == ["VAE", "GAN", "flow"])
    for column, order in (
        (1, "VAE GAN flow"),
        (1, "GAN VAE flow"),
        (2, "flow GAN VAE"),
        (0, "flow GAN VAE"),
        (0, "VAE GAN flow"),
    ):
        heads.nth(column).click()
        assert board.texts(names) == order.split()
    assert board.page.locator("#table th[aria-sort=descending]").all_inner_texts() == ["family"]
    assert board.texts("#table tbody tr:last-child td") == ["none", "1"]
    heads.nth(1).click()
    assert board.event(board.page.locator(f"{names} button").nth(1).click) == ("table", "input", {"index": 1})
    heads.nth(1).click()  # wherever the row stands
    assert board.texts(names) == ["GAN", "VAE", "flow"]
    assert board.event(board.page.locator(f"{names} button").first.click) == ("table", "input", {"index": 1})


def test_each_sample_of_a_family_stands_in_its_row(board):
    x = pictures(3)
    row = {"title": "A", "state": "done", "facts": [["ms", "3"]], "n": 3, "w": W, "h": H, "values": ["1.5", "2.5", "3.5"]}
    waiting = {"name": "b", "title": "B", "state": "waiting", "facts": []}
    rows = {"a": ({"name": "a", **row}, components.sheet(x, 3)["source"]), "b": (waiting, "")}
    board.show(rows=FamilyRows.value(rows))
    for k in range(3):
        board.shows_picture(f"#rows .done figure:nth-child({k + 1}) canvas", x[k])
    assert board.texts("#rows .done figcaption") == row["values"] and board.texts("#rows h4") == ["A", "B"]
    assert board.page.locator("#rows .waiting canvas").count() == 0
