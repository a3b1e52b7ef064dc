"""The VAE tab in a real browser: what a visitor does, and what they see."""

import pytest
from helpers_browser import (
    PIXELS,
    changed,
    changed_back,
    chosen_tiles,
    come_to_rest,
    draw_stroke,
    open_tab,
    scrub,
    shows_what_its_lines_compute,
)
from PIL import Image

pytestmark = pytest.mark.browser

STAGE = "#vae-stage canvas"
SLIDERS = "document.querySelectorAll('#vae-sliders input').length"
MAPS = ["#vae-map figure:nth-child(1) .view", "#vae-map figure:nth-child(2) .view"]


@pytest.fixture(scope="module")
def opened(tab):
    """The page, opened once for all tests, with a picture on the stage."""
    with tab("Autoencoder & VAE") as page:
        page.wait_for_selector(f"{STAGE}:not([hidden])")
        page.wait_for_selector("#vae-map .map")
        yield page


@pytest.fixture
def page(opened):
    """The page with digits, their full code and the map, whatever the test before chose."""
    for name, text in (("Digits", "Full code (40)"), ("Full code", "Full code (40)")):
        if not opened.get_by_role("radio", name=name).is_checked():
            opened.get_by_role("radio", name=name).click()
        opened.get_by_role("radio", name=text).wait_for()
    opened.wait_for_function(f"{SLIDERS} === 40")
    opened.get_by_role("tab", name="Map").click()
    opened.wait_for_selector("#vae-map .map")
    return opened


def test_a_slider_moves_the_picture(page, computed):
    before = page.evaluate(PIXELS, STAGE)
    slider = page.locator("#vae-sliders input[type=range]").first
    for _ in range(5):
        slider.press("ArrowRight")
    changed(page, STAGE, before)
    shows_what_its_lines_compute(page, "vae", {0: STAGE}, computed)
    after = page.evaluate(PIXELS, STAGE)
    for _ in range(5):
        slider.press("ArrowLeft")
    changed(page, STAGE, after)
    shows_what_its_lines_compute(page, "vae", {0: STAGE}, computed)


# Gradio looks through the whole page for each component of this list. `progress` are the lengths that the list had.
WATCH_PROGRESS = """() => {
  const entries = Object.entries, isProgress = v => v && typeof v === 'object' && 'fn_index' in v && 'stream_state' in v;
  window.progress = [];
  Object.entries = object => {
    const found = entries(object);
    if (found.some(([, value]) => isProgress(value))) window.progress.push(found.length);
    return found;
  };
  return () => { Object.entries = entries; };
}"""


def test_a_slider_tells_no_other_component_of_its_progress(page):
    """However many events there were before, of which the page has many as it opens."""
    before, stop = page.evaluate(PIXELS, STAGE), page.evaluate_handle(WATCH_PROGRESS)
    page.locator("#vae-sliders input[type=range]").first.press("ArrowRight")
    changed(page, STAGE, before)
    come_to_rest(page)
    stop.evaluate("stop => stop()")
    assert page.evaluate("progress") == []


def test_new_samples_and_the_same_seed_again(page):
    before = page.evaluate(PIXELS, STAGE)
    page.locator("#vae-samples button").nth(3).click()
    chosen = changed(page, STAGE, before)
    page.get_by_role("button", name="New samples").click()
    other = changed(page, STAGE, chosen)
    seed = page.get_by_role("spinbutton", name="Seed")
    seed.fill("0")
    seed.press("Enter")
    changed(page, STAGE, other)
    come_to_rest(page)  # typing the seed and Enter have both been answered
    page.locator("#vae-samples button").nth(3).click()
    changed_back(page, STAGE, chosen)


def test_only_a_sample_on_the_stage_has_a_frame(page):
    for leave in (
        lambda: page.get_by_role("button", name="Reset").locator("visible=true").click(),
        lambda: page.locator("#vae-sliders input").first.press("ArrowRight"),
    ):
        page.locator("#vae-samples button").nth(3).click()
        page.wait_for_selector("#vae-stage figcaption:text('Sample 4')")
        chosen_tiles(page, "#vae-samples", [3])
        leave()
        chosen_tiles(page, "#vae-samples", [])


def test_switching_the_dataset_and_the_size_of_the_code(page):
    before = page.evaluate(PIXELS, STAGE)
    page.get_by_role("radio", name="2-D code").click()
    with_two = changed(page, STAGE, before)
    page.wait_for_function(f"{SLIDERS} === 2")
    page.get_by_role("radio", name="Faces").click()
    changed(page, STAGE, with_two)
    page.wait_for_function("document.querySelector('#vae-stage canvas').width === 64")
    page.wait_for_selector("#vae-map .message:not([hidden])")  # faces have no map
    page.get_by_role("radio", name="Clothes").click()
    page.get_by_role("radio", name="Full code (64)").wait_for()


def test_pointing_at_the_map_sends_no_request(page, requests):
    before = [page.evaluate(PIXELS, view) for view in MAPS]
    box = page.locator("#vae-map .map").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.8)
    for view, old in zip(MAPS, before):  # both maps follow the same pointer
        changed(page, view, old)
    assert requests == []
    page.mouse.down()
    page.mouse.up()
    page.wait_for_function(f"{SLIDERS} === 2")
    assert page.get_by_role("radio", name="2-D code").is_checked()


def test_the_map_works_by_keyboard(page, computed):
    before = page.evaluate(PIXELS, MAPS[1])
    page.locator("#vae-map .map").nth(1).focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    changed(page, MAPS[1], before)
    page.keyboard.press("Enter")
    page.wait_for_function(f"{SLIDERS} === 2")
    shows_what_its_lines_compute(page, "vae", {0: STAGE}, computed)


def test_drawing(page):
    open_tab(page, "Your picture")
    before = page.evaluate(PIXELS, STAGE)
    draw_stroke(page, "#vae-pad")
    changed(page, STAGE, before)
    page.wait_for_selector("#vae-report :text('ELBO')")
    assert page.locator("#vae-pair figure").count() == 3


def test_only_the_picture_that_was_chosen_last_looks_chosen(page, tmp_path):
    open_tab(page, "Your picture")
    pad, uploaded = "#vae-pad canvas", page.locator("#vae-upload img")
    page.locator("#vae-pad button").click()
    empty = page.evaluate(PIXELS, pad)
    draw_stroke(page, "#vae-pad")
    changed(page, pad, empty)
    chosen_tiles(page, "#vae-own", [])
    come_to_rest(page)  # what was drawn has been computed
    page.locator("#vae-own button").nth(4).click()
    changed_back(page, pad, empty)
    chosen_tiles(page, "#vae-own", [4])
    Image.linear_gradient("L").save(tmp_path / "a.png")
    page.locator("#vae-upload input[type=file]").set_input_files(tmp_path / "a.png")
    uploaded.wait_for()
    chosen_tiles(page, "#vae-own", [])
    page.get_by_role("button", name="Remove Image").click()  # the first test picture takes its place
    chosen_tiles(page, "#vae-own", [0])
    draw_stroke(page, "#vae-pad")
    chosen_tiles(page, "#vae-own", [])
    page.locator("#vae-pad button").click()
    chosen_tiles(page, "#vae-own", [0])


@pytest.mark.parametrize("choice", ["2-D code", "Clothes"])
def test_nothing_of_the_last_model_stays(page, choice):
    open_tab(page, "Your picture")
    page.locator("#vae-pad button").click()
    empty = page.evaluate(PIXELS, "#vae-pad canvas")
    draw_stroke(page, "#vae-pad")
    page.wait_for_selector("#vae-report :text('ELBO')")
    page.get_by_role("radio", name=choice).click()
    page.wait_for_function("!document.querySelector('#vae-report').innerText.includes('ELBO')")
    page.wait_for_function("!document.querySelector('#vae-pair canvas')")
    changed_back(page, "#vae-pad canvas", empty)
    chosen_tiles(page, "#vae-own", [])


def test_uploading_a_file_that_is_not_a_picture(page, tmp_path):
    open_tab(page, "Your picture")
    (tmp_path / "a.png").write_text("no picture", encoding="utf-8")
    page.locator("#vae-upload input[type=file]").set_input_files(tmp_path / "a.png")
    page.wait_for_selector("[data-testid=toast-body]:has-text('not a picture')")
    page.wait_for_function("!document.querySelector('#vae-upload img')")


def test_scrubbing_an_interpolation_sends_no_request(page, requests, computed):
    open_tab(page, "Interpolate")
    page.wait_for_selector("#vae-frames canvas")
    assert len(set(scrub(page, "#vae-frames"))) == 3
    last = page.evaluate(PIXELS, "#vae-frames canvas")
    page.get_by_role("button", name="Play").click()
    changed(page, "#vae-frames canvas", last)
    page.get_by_role("button", name="Pause").click()
    assert requests == []
    stage = page.evaluate(PIXELS, STAGE)
    page.get_by_role("button", name="Show large").first.click()
    changed(page, STAGE, stage)
    shows_what_its_lines_compute(page, "vae", {0: STAGE}, computed)


def test_editing_an_attribute(page, computed):
    page.get_by_role("radio", name="Faces").click()
    page.wait_for_function("document.querySelector('#vae-stage canvas').width === 64")
    open_tab(page, "Edit attributes")
    before = page.evaluate(PIXELS, STAGE)
    page.locator("#vae-background input").click()
    page.get_by_role("option", name="mint").click()
    after = changed(page, STAGE, before)
    page.wait_for_selector("#vae-verdict :text('background')")
    assert page.locator("#vae-background-amount input[type=number]").input_value() == "1"
    page.locator("#vae-background-amount input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    changed(page, STAGE, after)
    shows_what_its_lines_compute(page, "vae", {0: STAGE}, computed)


def test_editing_the_class_of_a_digit_after_a_face(page):
    open_tab(page, "Edit attributes")
    before = page.evaluate(PIXELS, STAGE)
    page.locator("#vae-class input").click()
    page.get_by_role("option", name="7", exact=True).click()
    changed(page, STAGE, before)
    page.wait_for_selector("#vae-verdict :text('class')")


def test_edits_and_what_a_classifier_says_go_with_their_picture(page):
    open_tab(page, "Edit attributes")
    says = "document.querySelector('#vae-verdict').innerText.trim()"
    strength = "document.querySelector('#vae-class-amount input[type=number]').value"
    ways = (
        (lambda: page.locator("#vae-sliders input").first.press("ArrowRight"), "1"),
        (lambda: page.get_by_role("button", name="New samples").click(), "0"),
        (lambda: page.get_by_role("radio", name="Clothes").click(), "0"),
    )
    page.get_by_role("button", name="New samples").click()  # without the edits of another test
    page.wait_for_function(f"!{says} && {strength} === '0'")
    for k, (leave, kept) in enumerate(ways):
        page.locator("#vae-class input").click()
        page.get_by_role("option").nth(4 + k).click()
        page.wait_for_function(f"{says} && {strength} === '1'")
        leave()
        page.wait_for_function(f"!{says}")
        page.wait_for_function(f"{strength} === '{kept}'")
