"""The diffusion tab in a real browser: a visitor's actions and what they see."""

import pytest
from test_browser import PIXELS, browser, changed, tab  # noqa: F401

pytestmark = pytest.mark.browser

STAGE = "#diffusion-stage canvas"
FINISHED = "#diffusion-stage input[type=range]:not([disabled])"
STEP = "() => document.querySelector('#diffusion-stage output').textContent.match(/(\\d+) \\//)[1]"  # of a run


@pytest.fixture
def page(browser, page_url):  # noqa: F811
    """The tab with a finished run on the stage. At the end: no errors in the console, and no request has left the machine."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page, problems = context.new_page(), []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda e: problems.append(str(e)))
    page.on("response", lambda r: problems.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    page.on(
        "request",
        lambda r: (
            problems.append(f"external request: {r.url}")
            if r.url.startswith("http") and not r.url.startswith(page_url)
            else None
        ),
    )
    page.goto(page_url)
    tab(page, "Diffusion")
    page.wait_for_selector(STAGE, timeout=60_000)
    page.set_default_timeout(20_000)
    yield page
    context.close()
    assert problems == []


def set_slider(page, name, value):
    """Type a value into the box beside a slider, as a visitor does."""
    box = page.locator(f"#diffusion-{name} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def lines(page):
    if not page.locator("#diffusion-python").is_visible():
        page.locator("button", has_text="Reproduce in Python").locator("visible=true").click()
    return page.locator("#diffusion-python .cm-content").inner_text()


def wait_for_end(page):
    page.wait_for_selector(FINISHED, timeout=60_000)


def test_it_opens_with_a_finished_run_that_is_scrubbed_without_the_server(page):
    page.wait_for_timeout(1500)  # for all requests that opening the tab makes
    requests = []
    page.on("request", lambda r: requests.append(r.url) if "/gradio_api/" in r.url else None)
    assert "16 / 16" in page.locator("#diffusion-stage output").inner_text()
    views = [f"#diffusion-stage figure:nth-child({i}) canvas" for i in (1, 2, 3)]
    before = [page.evaluate(PIXELS, view) for view in views]
    dot = page.locator("#diffusion-stage .plot i")
    bottom = dot.bounding_box()["y"]
    page.locator("#diffusion-stage input[type=range]").focus()
    page.keyboard.press("Home")
    for view, pixels in zip(views, before):
        changed(page, view, pixels)
    assert "noise 100 %" in page.locator("#diffusion-stage output").inner_text()
    assert dot.bounding_box()["y"] < bottom - 20  # up the curve
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("document.querySelector('#diffusion-stage output').textContent.includes('16 / 16')")
    assert [page.evaluate(PIXELS, view) for view in views] == before
    assert requests == []


def test_generate_streams_its_steps_and_the_same_seed_gives_the_same_samples(page):
    first = page.evaluate(PIXELS, STAGE)
    page.evaluate("""() => {
      const out = document.querySelector('#diffusion-stage output');
      window.captions = new Set();
      new MutationObserver(() => captions.add(out.textContent)).observe(out, {childList: true});
    }""")
    page.get_by_role("button", name="Generate").click()
    changed(page, STAGE, first)
    wait_for_end(page)
    assert page.evaluate("captions.size") >= 3  # progress
    second = page.evaluate(PIXELS, STAGE)
    seed = page.get_by_role("spinbutton", name="Seed").locator("visible=true")
    seed.fill("0")
    seed.press("Enter")
    changed(page, STAGE, second)
    page.wait_for_function(f"before => ({PIXELS})('{STAGE}') === before", arg=first)


def long_run(page, n):
    """Start a run of 250 steps with n samples."""
    page.get_by_role("radio", name="DDPM").click()
    page.wait_for_selector("#diffusion-steps input[type=range][max='250']")
    set_slider(page, "n", n)
    wait_for_end(page)
    set_slider(page, "steps", 250)
    page.wait_for_function("document.querySelector('#diffusion-stage output').textContent.includes(' / 250')")


def test_a_stopped_run_stays_and_is_scrubbed_as_far_as_it_got(page):
    page.set_default_timeout(90_000)  # a busy machine may be slow to click
    long_run(page, 4)
    # clicked inside the page, at once: on a fast machine the run ends before a click from outside arrives
    stop = "[...document.querySelectorAll('button')].find(b => b.textContent.trim() === 'Stop' && b.offsetParent).click()"
    page.wait_for_function(f"Number(({STEP})()) >= 3 && ({stop}, true)")
    page.wait_for_selector(FINISHED)
    reached = int(page.evaluate(STEP))
    assert 3 <= reached < 249
    noisy = page.evaluate(PIXELS, STAGE)
    page.locator("#diffusion-stage input[type=range]").focus()
    for key, step in (("End", reached), ("ArrowLeft", reached - 1), ("Home", 0)):
        page.keyboard.press(key)
        assert int(page.evaluate(STEP)) == step  # never past the end
    assert page.evaluate(PIXELS, STAGE) != noisy
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(f"Number(({STEP})()) === {reached}")
    assert page.evaluate(PIXELS, STAGE) == noisy
    assert "was stopped" in lines(page)
    set_slider(page, "steps", 5)  # and the next run begins
    page.wait_for_function("document.querySelector('#diffusion-stage output').textContent.includes('5 / 5')")


def test_controls_start_a_new_run_from_the_same_noise(page):
    before = page.evaluate(PIXELS, STAGE)
    page.locator("#diffusion-label-0 input").click()
    page.get_by_role("option", name="7").click()
    changed(page, STAGE, before)
    wait_for_end(page)
    assert not page.locator("#diffusion-eta").is_visible()
    seven = page.evaluate(PIXELS, STAGE)
    page.get_by_role("radio", name="DDIM").click()
    page.wait_for_selector("#diffusion-eta")
    changed(page, STAGE, seven)
    wait_for_end(page)
    assert 'label=7, sampler="ddim", steps=16, seed=0' in lines(page)


def test_four_samplers_and_four_guidances(page):
    for name, fourth in (("Four samplers", "DDPM: 16 NFE"), ("Four guidance scales", "guidance 4")):
        page.get_by_role("button", name=name).click()
        page.wait_for_selector(f"#diffusion-stage figure:nth-child(4):has-text('{fourth}')")
        wait_for_end(page)
    page.locator("#diffusion-stage input[type=range]").focus()
    page.keyboard.press("Home")  # the same noise
    assert len({page.evaluate(PIXELS, f"#diffusion-stage figure:nth-child({i}) canvas") for i in (1, 2, 3, 4)}) == 1


def test_noise_is_added_to_a_drawing_and_removed(page):
    tab(page, "Your picture")
    page.wait_for_selector("#diffusion-drowned canvas:not([hidden])")
    before = page.evaluate(PIXELS, "#diffusion-drowned canvas")
    page.locator("#diffusion-t input[type=range]").focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    more_noise = changed(page, "#diffusion-drowned canvas", before)
    box = page.locator("#diffusion-pad canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + 30
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 6, y + box["height"] - 60, steps=8)
    page.mouse.up()
    changed(page, "#diffusion-drowned canvas", more_noise)
    stage = page.evaluate(PIXELS, STAGE)
    page.locator("#diffusion-finish").click()
    changed(page, STAGE, stage)
    wait_for_end(page)
    program = lines(page)
    assert "drawing = base64" in program and "strength=0.65" in program


@pytest.mark.parametrize("device", ["mouse", "keyboard"])
def test_a_part_is_painted_over_and_inpainted(page, device):
    tab(page, "Inpaint")
    page.wait_for_selector("#diffusion-fill-own button")
    page.wait_for_timeout(300)
    pad = page.locator("#diffusion-mask canvas")
    half = page.evaluate(PIXELS, "#diffusion-mask canvas")
    page.locator("#diffusion-mask button", has_text="Clear").click()
    empty = changed(page, "#diffusion-mask canvas", half)
    if device == "mouse":
        box = pad.bounding_box()
        page.mouse.move(box["x"] + 60, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + 150, box["y"] + 60, steps=5)
        page.mouse.up()
    else:
        pad.focus()
        page.keyboard.press("Space")
        for _ in range(6):
            page.keyboard.press("ArrowUp")
        page.keyboard.press("Space")
    painted = changed(page, "#diffusion-mask canvas", empty)
    page.locator("#diffusion-fill-own button").nth(4).click()  # another picture with the same mask
    changed(page, "#diffusion-mask canvas", painted)
    stage = page.evaluate(PIXELS, STAGE)
    page.locator("#diffusion-fill").click()
    changed(page, STAGE, stage)
    wait_for_end(page)
    program = lines(page)
    assert "floats()[4:5]" in program and "mask_bits = base64" in program


def test_an_empty_mask_gets_an_error_message(page):
    tab(page, "Inpaint")
    page.wait_for_selector("#diffusion-fill-own button")  # a picture is loaded
    page.locator("#diffusion-mask button", has_text="Clear").click()
    page.locator("#diffusion-fill").click()
    page.wait_for_selector("[data-testid=toast-body]:has-text('Paint over')")


def test_faces_have_their_own_attributes(page):
    page.get_by_role("radio", name="Faces").locator("visible=true").click()
    page.wait_for_selector("#diffusion-label-3")
    wait_for_end(page)
    page.locator("#diffusion-label-1 input").click()
    before = page.evaluate(PIXELS, STAGE)
    page.get_by_role("option", name="round").click()
    changed(page, STAGE, before)
    wait_for_end(page)
    assert "label=[-1, 1, -1, -1]" in lines(page)


def test_a_new_run_ends_the_previous_one(page):
    page.set_default_timeout(90_000)
    long_run(page, 8)
    page.get_by_role("button", name="Four samplers").click()
    page.wait_for_selector("#diffusion-stage figure:nth-child(4)")
    page.get_by_role("radio", name="Clothes").locator("visible=true").click()
    page.wait_for_function("document.querySelectorAll('#diffusion-stage figure').length === 3")
    page.wait_for_timeout(1500)
    assert page.locator("#diffusion-stage figure").count() == 3  # no late frames of the previous runs
    assert "16 / 16" in page.locator("#diffusion-stage output").inner_text()


def test_generate_ends_a_comparison_and_its_own_previous_run(page):
    page.set_default_timeout(90_000)
    set_slider(page, "steps", 64)
    page.get_by_role("button", name="Four samplers").click()
    page.wait_for_selector("#diffusion-stage figure:nth-child(4)")
    seed = page.get_by_role("spinbutton", name="Seed").locator("visible=true")
    for _ in range(2):
        before = seed.input_value()
        page.get_by_role("button", name="Generate").click()
        page.wait_for_function("document.querySelectorAll('#diffusion-stage figure').length === 3")
        assert seed.input_value() != before
    wait_for_end(page)
    assert f"seed={seed.input_value()})" in lines(page)  # the second run was the one that finished
    page.wait_for_timeout(1000)
    assert page.locator("#diffusion-stage figure").count() == 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_narrow_screen(browser, page_url, theme):  # noqa: F811
    """390 px wide: no horizontal scrolling, and the stage stays visible while a slider below it is moved."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(f"{page_url}?__theme={theme}")
    tab(page, "Diffusion")
    page.wait_for_selector(STAGE, timeout=60_000)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#diffusion-n input[type=range]").scroll_into_view_if_needed()
    assert 0 <= page.locator(STAGE).first.bounding_box()["y"] < 400
    context.close()
