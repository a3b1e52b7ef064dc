"""What several browser tests do and look at."""

import base64
import math
import re
import time

import numpy as np
from helpers import pixels

from genmodels.pictures import sheet

PIXELS = """selector => {  // the sum of a canvas's pixels, each with its own weight: other pixels, other sum
  const c = document.querySelector(selector), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let sum = 0;
  for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) % 1000003;
  return sum;
}"""


CANVASES = {  # something that each tab shows when it is ready
    "Compare": "#compare-stage canvas",
    "Autoencoder & VAE": "#vae-map .map",
    "GAN": "#gan-quiz button canvas",
    "Transformer": "#transformer-attention .token",
    "Flow": "#flow-verdict canvas",
    "Diffusion": "#diffusion-stage canvas",
    "Denoising": "#denoiser-stage .tile",
    "Playground": "#playground-stage canvas",
}

FITTING = """() => [...document.querySelectorAll('[role=tab]')].filter(e => e.checkVisibility())
  .every(e => e.getBoundingClientRect().right <= document.documentElement.clientWidth + 1)"""
AT_REST = "document.getAnimations().every(a => a.playState !== 'running' || a.effect.getComputedTiming().endTime === Infinity)"
UNFOLDED = f"""() => [...document.querySelectorAll('button.label-wrap:not(.open)')].every(b => !b.checkVisibility())
  && {AT_REST}"""

SMALL_TEXT = """() => [...document.querySelectorAll('body *')].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
    && !e.closest('.katex, .spoken, .sr-only, .visually-hidden')
    && e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width > 2)
    .map(e => [e, e.ownerSVGElement ? e.getScreenCTM() : {a: 1, b: 0}])
    .map(([e, {a, b}]) => [parseFloat(getComputedStyle(e).fontSize) * Math.hypot(a, b),
      e.textContent.slice(0, 40)])
    .filter(([size]) => size < 11.9)"""


def changed(page, selector, before):
    """Waits until the canvas shows other pixels than before, and returns them."""
    page.wait_for_function(f"([s, before]) => ({PIXELS})(s) !== before", arg=[selector, before], polling=50)
    return page.evaluate(PIXELS, selector)


def changed_back(page, selector, before):
    """Waits until the canvas shows these pixels again."""
    page.wait_for_function(f"([s, before]) => ({PIXELS})(s) === before", arg=[selector, before], polling=50)


# Runs before a page's scripts. `atRest()` is a promise: no pause of a second or less and no picture is awaited any more. Those
# pauses, after which a page acts on what has not changed for a moment, last a fifth: no test is about their length.
REST = """(() => {
  const realTimeout = setTimeout.bind(window), realClear = clearTimeout.bind(window), awaited = new Set();
  window.setTimeout = (act, delay = 0, ...values) => {
    if (delay > 1000) return realTimeout(act, delay, ...values);
    const timer = realTimeout(() => { awaited.delete(timer); act(...values); }, delay > 100 ? delay / 5 : delay);
    awaited.add(timer);
    return timer;
  };
  window.clearTimeout = timer => { awaited.delete(timer); realClear(timer); };
  const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, 'src');
  Object.defineProperty(HTMLImageElement.prototype, 'src', {...source, set(url) {
    if (String(url).startsWith('data:')) {
      awaited.add(this);
      for (const end of ['load', 'error']) this.addEventListener(end, () => awaited.delete(this), {once: true});
    }
    source.set.call(this, url);
  }});
  window.atRest = async () => {
    for (let frames = 0; frames < 2; frames = awaited.size ? 0 : frames + 1) await new Promise(requestAnimationFrame);
  };
})();"""


def watch(page):
    """Make a new page one that `come_to_rest` can wait for."""
    page.add_init_script(REST)
    page.begun, page.open_requests = 0, set()

    def begin(request):
        if "/heartbeat/" not in request.url:
            page.begun += 1
            page.open_requests.add(request)

    page.on("request", begin)
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: page.open_requests.discard(request))


def come_to_rest(page):
    """Wait until the page has done what it was asked: the server has answered, and what is shown stays.

    Gradio seldom leaves its stream of events open after the last one: one on which nothing follows for long is not waited for.
    """
    deadline, begun, looks, since = time.monotonic() + 90, None, 0, time.monotonic()
    while looks < 2:
        if page.begun != begun:
            since = time.monotonic()
        left_open = time.monotonic() - since > 30 and all("/queue/data?" in request.url for request in page.open_requests)
        waits = bool(page.open_requests) and not left_open
        if waits:
            page.wait_for_timeout(20)
        else:
            page.evaluate("atRest()")
        looks = looks + 1 if not waits and page.begun == begun else 0
        begun = page.begun
        assert time.monotonic() < deadline, f"still asked for: {[request.url for request in page.open_requests]}"


def open_address(page, search):
    """Open an address of the page without loading it again, as by the Forward button."""
    page.evaluate("to => { history.pushState(null, '', to); dispatchEvent(new PopStateEvent('popstate')); }", search)


def lines(page, tab):
    """The program that makes what is on a tab's stage."""
    if not page.locator(f"#{tab}-python").is_visible():
        page.locator("button", has_text="Reproduce in Python").locator("visible=true").click()
    return page.locator(f"#{tab}-python .cm-content").inner_text()


def shows_what_its_lines_compute(page, tab, canvases, computed, as_grid=False):
    """Waits until canvases, {number of a picture: selector}, show what the tab's program computes, up to one grey level.

    as_grid: all pictures are one, a square grid with gaps of one pixel.
    """
    deadline, before, off = time.monotonic() + 60, None, None
    while off is None or off > 1:
        assert time.monotonic() < deadline, f"the canvases are off by {off} grey levels from what the lines compute:\n{before}"
        page.wait_for_timeout(50)
        program = lines(page, tab)
        if program != before:
            before, x = program, computed(program)
            x = sheet(x, math.ceil(math.sqrt(len(x))), gap=1).expand(-1, -1, 3).numpy()[None] if as_grid else pixels(x)
            x = x.astype(int)
        shown = {i: canvas(page, selector) for i, selector in canvases.items()}
        off = max(np.abs(shown[i] - x[i]).max() if shown[i].shape == x[i].shape else 255 for i in canvases)


def chosen_tiles(page, tiles, expected):
    """Waits until just these of the small pictures look chosen."""
    page.wait_for_function(
        """([tiles, expected]) => JSON.stringify([...document.querySelectorAll(`${tiles} button`)].flatMap(
            (e, i) => e.ariaPressed === 'true' ? [i] : [])) === JSON.stringify(expected)""",
        arg=[tiles, expected],
    )


def open_tab(page, name):
    """Open a tab, the first of this name. On a narrow screen those that do not fit are in a menu."""
    page.get_by_role("tab").first.wait_for()
    page.wait_for_function(FITTING)  # until then all are in the bar
    if page.get_by_role("tab", name=name).count():
        page.get_by_role("tab", name=name).first.click()
    else:
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).first.click()


def open_at_rest(page, name, tab=None):
    """Open a tab and wait until it has opened. What would go on for long is stopped: a text, and models that train.

    tab: where to click, if it has another name on the page.
    """
    tab.click() if tab else open_tab(page, name)
    if name == "Transformer":
        stop_writing(page)
    page.wait_for_selector(CANVASES[name], state="attached")
    if name == "Playground":
        page.wait_for_function("+document.querySelector('#playground-stage .step').textContent.replace(/\\D/g, '') >= 1")
        pause_training(page)
    come_to_rest(page)


def stop_writing(page):
    """Stop the transformer's text, if it is still being written, after some tokens."""
    page.wait_for_function("document.querySelectorAll('#transformer-text .token').length > 12")
    page.evaluate("document.querySelector('#transformer-text-stop:enabled')?.click()")


def pause_training(page):
    """Pause the models of the playground, if they train."""
    page.evaluate("document.querySelector('#playground-pause:enabled')?.click()")  # they may end just now by themselves
    page.wait_for_selector("#playground-pause[disabled]")


def unfold(page):
    """Opens what is folded, and waits until nothing moves."""
    page.evaluate("""() => {
        for (const b of document.querySelectorAll('button.label-wrap:not(.open)')) if (b.checkVisibility()) b.click();
        for (const d of document.querySelectorAll('details')) d.open = true;
        dispatchEvent(new Event('resize'));  // keys.js looks, a moment later, which boxes scroll
    }""")
    page.wait_for_function(UNFOLDED)
    come_to_rest(page)


def scrub(page, stage):
    """The slider of a stage from one end to the other: the pixels of its first canvas on the way."""
    page.locator(f"{stage} input[type=range]").focus()
    sums = []
    for key in ("Home", "ArrowRight", "End"):
        page.keyboard.press(key)
        sums.append(page.evaluate(PIXELS, f"{stage} canvas"))
    return sums


def draw_stroke(page, pad):
    """One vertical stroke on a drawing pad, with the mouse."""
    page.locator(f"{pad} canvas").scroll_into_view_if_needed()
    box = page.locator(f"{pad} canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 6, box["y"] + box["height"] - 30, steps=6)
    page.mouse.up()


def canvas(page, selector):
    """The pixels of a canvas, (H, W, 3) uint8."""
    width, height, data = page.evaluate(
        """selector => {
      const c = document.querySelector(selector);
      if (!c || !c.width || !c.height) return [0, 0, ''];
      const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
      let text = '';
      for (let i = 0; i < d.length; i += 8192) text += String.fromCharCode(...d.subarray(i, i + 8192));
      return [c.width, c.height, btoa(text)];
    }""",
        selector,
    )
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)[..., :3]


def points_of(path):
    """All numbers of an SVG path, or of a polyline's points."""
    return [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", path)]
