"""A small page with each component by itself, for tests of exact pixels and positions and of what they send to the server."""

import contextlib
import socket
import time

import gradio as gr
import numpy as np
import torch
from helpers_browser import canvas, watch

from hosting import head
from tabs import components, events
from tabs.components.attention_map import AttentionMap
from tabs.components.chart import Chart
from tabs.components.compare import Compare
from tabs.components.draw_pad import DrawPad
from tabs.components.family_rows import FamilyRows
from tabs.components.film import Film
from tabs.components.gallery import Gallery
from tabs.components.latent_map import LatentMap
from tabs.components.likelihood import Likelihood
from tabs.components.mask_pad import MaskPad
from tabs.components.next_token import NextToken
from tabs.components.playground import Playground
from tabs.components.scatter import Scatter
from tabs.components.scrubber import Scrubber
from tabs.components.sliders import Sliders
from tabs.components.sortable_table import SortableTable
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.components.token_view import TokenView
from tabs.components.verdict import Verdict

H, W = 4, 6


def pictures(n, h=H, w=W):
    """n colour pictures (n, 3, h, w) of whole grey levels: no two pixels of all of them are alike, nor their channels."""
    levels = torch.arange(n * 3 * h * w).reshape(n, 3, h, w) * 7919 % 256
    return levels / 255


def shown(x):
    """A picture (C, h, w) as a canvas shows it, (h, w, 3)."""
    return (255 * x).round().byte().expand(3, -1, -1).permute(1, 2, 0).numpy()


HISTOGRAM = {"edges": [-2, -1, 0, 1, 2], "real": [0.1, 0.2, 0.3, 0.4], "generated": [0.5, 0.25, 0.25, 0], "n": [500, 1000]}


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
        self.page.evaluate("atRest()")  # pictures are decoded

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

    def point(self, selector, *place):
        """The place (u, v) of an element on the screen, each from 0 to 1, from the top left."""
        return self.points(selector, place)[0]

    def points(self, selector, *places):
        self.page.locator(selector).scroll_into_view_if_needed()
        box = self.page.locator(selector).bounding_box()
        return [(box["x"] + u * box["width"], box["y"] + v * box["height"]) for u, v in places]

    def drag(self, selector, *places):
        first, *others = self.points(selector, *places)
        self.page.mouse.move(*first)
        self.page.mouse.down()
        for place in others:
            self.page.mouse.move(*place)
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


@contextlib.contextmanager
def opened(browser):
    """The board in a browser."""
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
    with socket.socket() as s:  # a free port: Gradio's own choice may be that of another process
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, run_history=False, server_port=port)
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    words = "window.page = {language: 'en', languages: ['en'], texts: {}};"
    context.add_init_script(words + head.LANGUAGE.read_text(encoding="utf-8"))  # as the page's own HTML says it
    page, trouble = context.new_page(), []
    watch(page)
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda e: trouble.append(str(e)))
    page.goto(url)
    page.wait_for_selector("#show-stage")
    yield Board(page, parts, staged, received)
    context.close()
    demo.close()
    assert trouble == []
