"""What several browser tests do and look at."""

import base64
import re

import numpy as np

PIXELS = """selector => {  // the sum of a canvas's pixels, each with its own weight: other pixels, other sum
  const c = document.querySelector(selector), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let sum = 0;
  for (let i = 0; i < d.length; i++) sum = (sum * 31 + d[i]) % 1000003;
  return sum;
}"""


def changed(page, selector, before):
    """Waits until the canvas shows other pixels than before, and returns them."""
    page.wait_for_function(f"([s, before]) => ({PIXELS})(s) !== before", arg=[selector, before])
    return page.evaluate(PIXELS, selector)


def changed_back(page, selector, before):
    """Waits until the canvas shows these pixels again."""
    page.wait_for_function(f"([s, before]) => ({PIXELS})(s) === before", arg=[selector, before])


def open_tab(page, name):
    """Open a tab. On a narrow screen those that do not fit are in a menu."""
    page.get_by_role("tab").first.wait_for()
    page.wait_for_timeout(1000)  # until then all are in the bar
    if page.get_by_role("tab", name=name).count():
        page.get_by_role("tab", name=name).click()
    else:
        page.locator(".overflow-menu > button").first.click()
        page.locator(".overflow-dropdown button", has_text=name).first.click()


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
