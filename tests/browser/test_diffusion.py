"""The diffusion tab in a real browser: a visitor's actions and what they see."""

import pytest
from helpers_browser import (
    PIXELS,
    changed,
    changed_back,
    come_to_rest,
    draw_stroke,
    lines,
    open_address,
    open_tab,
    shows_what_its_lines_compute,
)

pytestmark = pytest.mark.browser

STAGE = "#diffusion-stage canvas"
FIGURES = "document.querySelectorAll('#diffusion-stage figure').length"
FINISHED = "#diffusion-stage input[type=range]:not([disabled])"
STEP = "() => document.querySelector('#diffusion-stage output').textContent.match(/(\\d+) \\//)[1]"  # of a run


@pytest.fixture(scope="module")
def page(visit):
    """The tab, opened once for all tests."""
    with visit("Diffusion") as page:
        page.wait_for_selector(STAGE)
        open_tab(page, "Inpaint")  # a tool that is first open after an address was opened has lost what it was made with
        come_to_rest(page)
        yield page


@pytest.fixture
def opened(page):
    """The tab with its controls and its run as they open, whatever the test before chose: as its address says."""
    page.set_default_timeout(60_000)
    page.get_by_role("tab", name="Compare").last.click()  # the first is the page's
    come_to_rest(page)
    if page.evaluate("location.search") != "?tab=diffusion":
        open_address(page, "?tab=diffusion")
        come_to_rest(page)
    assert page.evaluate("location.search") == "?tab=diffusion" and page.evaluate(FIGURES) == 3
    return page


def set_slider(page, name, value):
    """Type a value into the box beside a slider, as a visitor does."""
    box = page.locator(f"#diffusion-{name} input[type=number]")
    box.fill(str(value))
    box.press("Tab")


def wait_for_end(page):
    page.wait_for_selector(FINISHED)


def test_it_opens_with_a_finished_run_that_is_scrubbed_without_the_server(opened, requests):
    assert "16 / 16" in opened.locator("#diffusion-stage output").inner_text()
    views = [f"#diffusion-stage figure:nth-child({i}) canvas" for i in (1, 2, 3)]
    before = [opened.evaluate(PIXELS, view) for view in views]
    dot = opened.locator("#diffusion-stage .plot i")
    bottom = dot.bounding_box()["y"]
    opened.locator("#diffusion-stage input[type=range]").focus()
    opened.keyboard.press("Home")
    for view, pixels in zip(views, before):
        changed(opened, view, pixels)
    assert "noise 100 %" in opened.locator("#diffusion-stage output").inner_text()
    assert dot.bounding_box()["y"] < bottom - 20  # up the curve
    opened.get_by_role("button", name="Play").click()
    opened.wait_for_function("document.querySelector('#diffusion-stage output').textContent.includes('16 / 16')")
    assert [opened.evaluate(PIXELS, view) for view in views] == before
    assert requests == []


def test_generate_streams_its_steps_and_the_same_seed_gives_the_same_samples(opened):
    first = opened.evaluate(PIXELS, STAGE)
    opened.evaluate("""() => {
      const out = document.querySelector('#diffusion-stage output');
      window.captions = new Set();
      new MutationObserver(() => captions.add(out.textContent)).observe(out, {childList: true});
    }""")
    opened.get_by_role("button", name="Generate").click()
    changed(opened, STAGE, first)
    wait_for_end(opened)
    assert opened.evaluate("captions.size") >= 3  # progress
    second = opened.evaluate(PIXELS, STAGE)
    seed = opened.get_by_role("spinbutton", name="Seed").locator("visible=true")
    seed.fill("0")
    seed.press("Enter")
    changed(opened, STAGE, second)
    changed_back(opened, STAGE, first)


def long_run(page, n):
    """Start a run of 250 steps with n samples."""
    page.get_by_role("radio", name="DDPM").click()
    page.wait_for_selector("#diffusion-steps input[type=range][max='250']")
    set_slider(page, "n", n)
    wait_for_end(page)
    set_slider(page, "steps", 250)
    page.wait_for_function("document.querySelector('#diffusion-stage output').textContent.includes(' / 250')")


def test_a_stopped_run_stays_and_is_scrubbed_as_far_as_it_got(opened):
    opened.set_default_timeout(90_000)  # a busy machine may be slow to click
    long_run(opened, 4)
    # clicked inside the page, at once: on a fast machine the run ends before a click from outside arrives
    stop = "[...document.querySelectorAll('button')].find(b => b.textContent.trim() === 'Stop' && b.offsetParent).click()"
    opened.wait_for_function(f"Number(({STEP})()) >= 3 && ({stop}, true)")
    opened.wait_for_selector(FINISHED)
    reached = int(opened.evaluate(STEP))
    assert 3 <= reached < 249
    noisy = opened.evaluate(PIXELS, STAGE)
    opened.locator("#diffusion-stage input[type=range]").focus()
    for key, step in (("End", reached), ("ArrowLeft", reached - 1), ("Home", 0)):
        opened.keyboard.press(key)
        assert int(opened.evaluate(STEP)) == step  # never past the end
    assert opened.evaluate(PIXELS, STAGE) != noisy
    opened.get_by_role("button", name="Play").click()
    opened.wait_for_function(f"Number(({STEP})()) === {reached}")
    assert opened.evaluate(PIXELS, STAGE) == noisy
    assert "was stopped" in lines(opened, "diffusion")
    set_slider(opened, "steps", 5)  # and the next run begins
    opened.wait_for_function("document.querySelector('#diffusion-stage output').textContent.includes('5 / 5')")


def shows_its_samples(page, computed):
    """The finished pictures of a run are those of the program beside it."""
    wait_for_end(page)
    shows_what_its_lines_compute(page, "diffusion", {0: STAGE}, computed, as_grid=True)


def test_controls_start_a_new_run_from_the_same_noise(opened, computed):
    before = opened.evaluate(PIXELS, STAGE)
    opened.locator("#diffusion-label-0 input").click()
    opened.get_by_role("option", name="7").click()
    changed(opened, STAGE, before)
    wait_for_end(opened)
    assert not opened.locator("#diffusion-eta").is_visible()
    seven = opened.evaluate(PIXELS, STAGE)
    opened.get_by_role("radio", name="DDIM").click()
    opened.wait_for_selector("#diffusion-eta")
    changed(opened, STAGE, seven)
    shows_its_samples(opened, computed)
    assert 'label=7, sampler="ddim", seed=0' in lines(opened, "diffusion")


def test_four_samplers_and_four_guidances(opened):
    set_slider(opened, "steps", 4)
    wait_for_end(opened)
    for name, fourth in (("Four samplers", "DDPM: 4 NFE"), ("Four guidance scales", "guidance 4")):
        opened.get_by_role("button", name=name).click()
        opened.wait_for_selector(f"#diffusion-stage figure:nth-child(4):has-text('{fourth}')")
        wait_for_end(opened)
    opened.locator("#diffusion-stage input[type=range]").focus()
    opened.keyboard.press("Home")  # the same noise
    assert len({opened.evaluate(PIXELS, f"#diffusion-stage figure:nth-child({i}) canvas") for i in (1, 2, 3, 4)}) == 1


def test_noise_is_added_to_a_drawing_and_removed(opened, computed):
    open_tab(opened, "Your picture")
    opened.wait_for_selector("#diffusion-drowned canvas:not([hidden])")
    before = opened.evaluate(PIXELS, "#diffusion-drowned canvas")
    opened.locator("#diffusion-t input[type=range]").focus()
    for _ in range(5):
        opened.keyboard.press("ArrowRight")
    more_noise = changed(opened, "#diffusion-drowned canvas", before)
    draw_stroke(opened, "#diffusion-pad")
    changed(opened, "#diffusion-drowned canvas", more_noise)
    stage = opened.evaluate(PIXELS, STAGE)
    opened.locator("#diffusion-finish").click()
    changed(opened, STAGE, stage)
    shows_its_samples(opened, computed)
    program = lines(opened, "diffusion")
    assert "drawing = base64" in program and "strength=0.65" in program


def test_a_part_is_painted_over_and_inpainted(opened, computed):
    open_tab(opened, "Inpaint")
    opened.wait_for_selector("#diffusion-fill-own button")
    come_to_rest(opened)
    pad = opened.locator("#diffusion-mask canvas")
    half = opened.evaluate(PIXELS, "#diffusion-mask canvas")
    opened.locator("#diffusion-mask button", has_text="Clear").click()
    empty = changed(opened, "#diffusion-mask canvas", half)
    box = pad.bounding_box()
    opened.mouse.move(box["x"] + 60, box["y"] + 60)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 150, box["y"] + 60, steps=5)
    opened.mouse.up()
    with_a_line = changed(opened, "#diffusion-mask canvas", empty)
    pad.focus()
    opened.keyboard.press("Space")
    for _ in range(6):
        opened.keyboard.press("ArrowUp")
    opened.keyboard.press("Space")
    painted = changed(opened, "#diffusion-mask canvas", with_a_line)
    opened.locator("#diffusion-fill-own button").nth(4).click()  # another picture with the same mask
    changed(opened, "#diffusion-mask canvas", painted)
    stage = opened.evaluate(PIXELS, STAGE)
    opened.locator("#diffusion-fill").click()
    changed(opened, STAGE, stage)
    shows_its_samples(opened, computed)
    program = lines(opened, "diffusion")
    assert "floats()[4:5]" in program and "mask_bits = base64" in program


def test_an_empty_mask_gets_an_error_message(opened):
    open_tab(opened, "Inpaint")
    opened.wait_for_selector("#diffusion-fill-own button")  # a picture is loaded
    opened.locator("#diffusion-mask button", has_text="Clear").click()
    opened.locator("#diffusion-fill").click()
    opened.wait_for_selector("[data-testid=toast-body]:has-text('Paint over')")


def test_faces_have_their_own_attributes(opened, computed):
    opened.get_by_role("radio", name="Faces").locator("visible=true").click()
    opened.wait_for_selector("#diffusion-label-3")
    wait_for_end(opened)
    opened.locator("#diffusion-label-1 input").click()
    before = opened.evaluate(PIXELS, STAGE)
    opened.get_by_role("option", name="round").click()
    changed(opened, STAGE, before)
    shows_its_samples(opened, computed)
    assert "label=[-1, 1, -1, -1]" in lines(opened, "diffusion")


def test_a_new_run_ends_the_previous_one(opened):
    opened.set_default_timeout(90_000)
    long_run(opened, 8)
    opened.get_by_role("button", name="Four samplers").click()
    opened.wait_for_selector("#diffusion-stage figure:nth-child(4)")
    opened.get_by_role("radio", name="Clothes").locator("visible=true").click()
    opened.wait_for_function("document.querySelectorAll('#diffusion-stage figure').length === 3")
    come_to_rest(opened)
    assert opened.locator("#diffusion-stage figure").count() == 3  # no late frames of the previous runs
    assert "16 / 16" in opened.locator("#diffusion-stage output").inner_text()


def test_generate_ends_a_comparison_and_its_own_previous_run(opened):
    opened.set_default_timeout(90_000)
    set_slider(opened, "steps", 64)
    opened.get_by_role("button", name="Four samplers").click()
    opened.wait_for_selector("#diffusion-stage figure:nth-child(4)")
    seed = opened.get_by_role("spinbutton", name="Seed").locator("visible=true")
    for _ in range(2):
        before = seed.input_value()
        opened.get_by_role("button", name="Generate").click()
        opened.wait_for_function("document.querySelectorAll('#diffusion-stage figure').length === 3")
        opened.wait_for_function("([box, before]) => box.value !== before", arg=[seed.element_handle(), before])
    wait_for_end(opened)
    assert f"seed={seed.input_value()})" in lines(opened, "diffusion")  # the second run was the one that finished
    come_to_rest(opened)
    assert opened.locator("#diffusion-stage figure").count() == 3
