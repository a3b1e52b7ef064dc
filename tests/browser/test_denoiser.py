"""The denoising tab in a real browser: a visitor's actions, and what the page shows."""

import numpy as np
import pytest
from helpers_browser import PIXELS, changed, come_to_rest, draw_stroke, shows_what_its_lines_compute
from PIL import Image

pytestmark = pytest.mark.browser

LEFT, RIGHT = "#denoiser-stage canvas.left", "#denoiser-stage canvas.right"
ALL = 8  # pictures of a photograph: noisy, ours, four of scikit-image, the clean one, the removed noise


@pytest.fixture(scope="module")
def opened(tab):
    """The tab, opened once for all tests."""
    with tab("Denoising") as page:
        page.set_default_timeout(90_000)  # a photograph takes seconds on a busy machine
        wait_for_tiles(page, ALL)
        yield page


def wait_for_tiles(page, n):
    """Wait until n pictures are shown side by side."""
    page.wait_for_function(f"document.querySelectorAll('#denoiser-stage .tile').length === {n}")


def tile(page, name):
    return page.locator("#denoiser-stage .tile", has_text=name)


def test_it_opens_with_a_photograph_all_methods_and_their_metrics(opened):
    assert opened.evaluate(PIXELS, LEFT) != opened.evaluate(PIXELS, RIGHT)
    notes = opened.locator("#denoiser-stage .note").all_inner_texts()
    assert sum("dB" in note for note in notes) == 6 and sum("ms" in note for note in notes) == 5
    assert opened.locator("#denoiser-stage .tile[aria-pressed=true] .name").inner_text() == "our network"


def test_divider_choice_and_zoom_need_no_server(opened, requests):
    cut = "getComputedStyle(document.querySelector('#denoiser-stage .right')).clipPath"
    before = opened.evaluate(cut)
    box = opened.locator("#denoiser-stage .view").bounding_box()
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + 90)
    opened.mouse.down()
    opened.mouse.move(box["x"] + box["width"] / 4, box["y"] + 90, steps=4)
    opened.mouse.up()
    assert opened.evaluate(cut) != before and "25" in opened.evaluate(cut)
    restored = opened.evaluate(PIXELS, RIGHT)
    tile(opened, "clean picture").click()
    clean = opened.evaluate(PIXELS, RIGHT)
    assert clean != restored
    opened.locator("#denoiser-stage .zoom").focus()
    opened.keyboard.press("End")
    assert opened.locator(RIGHT).get_attribute("width") == "16"
    zoomed = opened.evaluate(PIXELS, RIGHT)
    opened.locator("#denoiser-stage .view").focus()
    opened.keyboard.press("ArrowLeft")
    assert opened.evaluate(PIXELS, RIGHT) != zoomed
    opened.locator("#denoiser-stage .zoom").focus()
    opened.keyboard.press("Home")
    assert opened.evaluate(PIXELS, RIGHT) == clean
    opened.locator("#denoiser-stage select").select_option(label="clean picture")
    assert opened.evaluate(PIXELS, LEFT) == clean
    opened.locator("#denoiser-stage select").select_option(label="noisy")
    tile(opened, "our network").click()
    assert requests == []


def test_the_noise_is_live_and_the_methods_follow(opened, computed):
    for kind in ("Salt and pepper", "Gaussian"):
        before = [opened.evaluate(PIXELS, canvas) for canvas in (LEFT, RIGHT)]
        opened.get_by_role("radio", name=kind).click()
        for canvas, old in zip((LEFT, RIGHT), before):
            changed(opened, canvas, old)
        wait_for_tiles(opened, ALL)
    shows_what_its_lines_compute(opened, "denoiser", {0: RIGHT}, computed)
    before = opened.evaluate(PIXELS, LEFT)
    opened.get_by_role("button", name="Compare with scikit-image").click()
    # Moved and not yet released: the network alone follows, and the rest of the outdated run is not shown.
    opened.locator("#denoiser-strength input[type=range]").evaluate(
        "slider => { slider.value = +slider.value + 5; slider.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    changed(opened, LEFT, before)
    wait_for_tiles(opened, 4)
    come_to_rest(opened)  # of the outdated run all has come
    wait_for_tiles(opened, 4)


def test_an_uploaded_noisy_photograph_is_restored_whole_and_downloaded(opened, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "upload.png")
    opened.get_by_role("radio", name="No added noise").click()
    opened.wait_for_function("!document.querySelector('#denoiser-strength')?.offsetParent")
    opened.locator("#denoiser-upload input[type=file]").set_input_files(str(tmp_path / "upload.png"))
    opened.wait_for_function("document.querySelector('#denoiser-stage .caption').textContent.startsWith('120 × 90')")
    opened.locator("#denoiser-whole").click()  # while scikit-image's methods are still running
    opened.wait_for_selector("#denoiser-file:not([disabled])")
    wait_for_tiles(opened, 8)
    assert "estimates it: sigma" in opened.locator("#denoiser-stage .caption").inner_text()
    assert not any("dB" in note for note in opened.locator("#denoiser-stage .note").all_inner_texts())
    with opened.expect_download() as download:
        opened.locator("#denoiser-file").click()
    restored = Image.open(download.value.path())
    assert restored.size == (120, 90) and (np.asarray(restored) != pixels).any()


MESSAGE = "document.querySelector('#denoiser-result .message').textContent"


def test_another_picture_ends_the_restoration_of_the_last_one(opened, tmp_path):
    Image.linear_gradient("L").resize((2400, 2000)).save(tmp_path / "large.png")
    opened.locator("#denoiser-upload input[type=file]").set_input_files(str(tmp_path / "large.png"))
    opened.wait_for_function(f"{MESSAGE}.startsWith('Ready: 2,400')")
    assert opened.locator("#denoiser-stop").is_disabled()
    opened.locator("#denoiser-whole").click()
    opened.wait_for_function(f"/[1-9]\\d* %/.test({MESSAGE})")
    assert opened.locator("#denoiser-stop").is_enabled()
    opened.locator("#denoiser-pictures button").nth(2).click()
    opened.wait_for_function(f"{MESSAGE}.startsWith('Ready: 600')")
    opened.wait_for_selector("#denoiser-stop[disabled]")
    assert opened.locator("#denoiser-upload img").count() == 0


def test_other_noise_has_no_result_and_no_file_yet(opened):
    opened.locator("#denoiser-whole").click()
    opened.wait_for_selector("#denoiser-file:not([disabled])")
    opened.get_by_role("radio", name="Missing block").click()
    opened.wait_for_selector("#denoiser-file[disabled]")
    opened.wait_for_function(f"{MESSAGE}.startsWith('Ready')")
    opened.wait_for_selector("#denoiser-stage .caption:text('not learnt to fill')")


def test_the_part_on_the_stage_is_chosen(opened, computed):
    before = opened.evaluate(PIXELS, LEFT)
    opened.locator("#denoiser-left input[type=range]").focus()
    opened.keyboard.press("Home")
    changed(opened, LEFT, before)
    wait_for_tiles(opened, ALL)
    shows_what_its_lines_compute(opened, "denoiser", {0: RIGHT}, computed)


def test_digits_can_be_drawn(opened, computed):
    opened.get_by_role("radio", name="Digits").click()
    opened.wait_for_function("document.querySelector('#denoiser-stage .caption').textContent.startsWith('28 × 28')")
    opened.wait_for_selector("#denoiser-pad canvas")
    wait_for_tiles(opened, 10)
    before = opened.evaluate(PIXELS, LEFT)
    draw_stroke(opened, "#denoiser-pad")
    changed(opened, LEFT, before)
    shows_what_its_lines_compute(opened, "denoiser", {0: RIGHT}, computed)
    assert tile(opened, "our denoising VAE").count() == tile(opened, "our diffusion model").count() == 1
