"""The page for everybody: contrast, size, keyboard, touch, screen readers, narrow screens."""

from pathlib import Path

import axe_playwright_python
import pytest
from helpers_browser import AT_REST, PIXELS, SMALL_TEXT, changed, come_to_rest, open_at_rest, open_tab, stop_writing, unfold
from PIL import Image
from playwright.sync_api import expect

from tabs import TABS

pytestmark = pytest.mark.browser

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
NAMES = [title for title, _ in TABS]

SERIOUS = """async ([whole, onlyContrast]) => {  // of the open tab, or of the whole page
  const tab = [...document.querySelectorAll('[role=tabpanel]')].find(e => e.checkVisibility());
  const look = async (include, exclude, rules) =>
    (await axe.run({include, exclude}, {resultTypes: ['violations'], preload: false, ...rules})).violations
      .filter(v => ['serious', 'critical'].includes(v.impact))
      .map(v => [v.id, ...v.nodes.slice(0, 5).map(n => n.html.slice(0, 120))]);
  // Contrast takes most of the time. Of elements that are alike, with all around them, it is looked at in the first.
  const kinds = new Map([[null, '']]), known = new Set(), alike = [];
  const kind = e => {
    if (kinds.has(e)) return kinds.get(e);
    const {color, backgroundColor, backgroundImage, fontSize, fontWeight, opacity} = getComputedStyle(e);
    const own = [e.tagName, e.getAttribute('class'), color, backgroundColor, backgroundImage, fontSize, fontWeight, opacity];
    kinds.set(e, kind(e.parentElement) + '/' + own.join());
    return kinds.get(e);
  };
  const around = whole ? document.body : tab;
  for (const e of around.querySelectorAll('*')) {
    if (e.children.length || !e.checkVisibility()) continue;
    if (known.has(kind(e))) alike.push(e); else known.add(kind(e));
  }
  const found = await look([around], alike, {runOnly: ['color-contrast']});
  if (onlyContrast) return found;
  return [...found, ...await look([whole ? document : tab], [], {rules: {'color-contrast': {enabled: false}}})];
}"""


@pytest.fixture(scope="module")
def page(visit):
    """The page, opened once for all tests, as over plain HTTP, where the browser has no navigator.clipboard."""
    with visit(script="delete Navigator.prototype.clipboard") as page:
        open_tab(page, "Autoencoder & VAE")
        page.wait_for_selector("#vae-map .map")
        yield page


@pytest.fixture
def diffusion(page):
    open_tab(page, "Diffusion")
    page.wait_for_selector("#diffusion-stage input:enabled")
    come_to_rest(page)
    return page


@pytest.fixture
def flow(page):
    open_tab(page, "Flow")
    page.wait_for_selector("#flow-stage canvas")
    return page


@pytest.mark.parametrize(
    "target",
    [
        "#diffusion-steps input[type=range]",
        "#diffusion-steps input[type=number]",
        "#diffusion-label-0 input",
        ".small-controls button.primary",
        "[role=tab]",
        "#diffusion-stage input[type=range]",
        "#diffusion-stage button",
    ],
)
def test_the_keyboards_focus_is_visible(diffusion, target):
    e = diffusion.locator(target).locator("visible=true").first
    expect(e).to_be_enabled()
    e.scroll_into_view_if_needed()
    diffusion.keyboard.press("Shift")
    e.focus()
    ring = """e => {
        for (let k = 0; k < 4 && e; k++, e = e.parentElement) {
            const {outlineStyle, outlineWidth} = getComputedStyle(e);
            if (outlineStyle === 'solid' && parseFloat(outlineWidth) >= 2) return true;
        }
        return false;
    }"""
    assert e.evaluate(ring)


def test_arrow_keys_on_a_slider_change_the_picture_too(diffusion):
    assert diffusion.locator("#diffusion-stage output").inner_text().endswith("/ 16")
    diffusion.locator("#diffusion-steps input[type=range]").focus()
    for _ in range(3):
        diffusion.keyboard.press("ArrowLeft")
    diffusion.wait_for_function("document.querySelector('#diffusion-stage output').textContent.endsWith('/ 13')")


def test_the_end_of_a_run_is_spoken(diffusion):
    diffusion.get_by_role("button", name="Generate").click()
    diffusion.wait_for_function("document.querySelector('#diffusion-stage .spoken[role=status]')?.textContent.includes('/')")


def test_focus_stays_after_a_quiz_answer(page):
    open_tab(page, "GAN")
    page.wait_for_selector("#gan-quiz button canvas")
    page.locator("#gan-quiz button").nth(1).focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#gan-quiz .tile.revealed")
    assert page.evaluate("document.activeElement === document.querySelectorAll('#gan-quiz button')[1]")
    answered = page.locator("#gan-quiz-words").inner_text()
    page.keyboard.press("Enter")  # a second answer does not count
    come_to_rest(page)
    assert page.locator("#gan-quiz-words").inner_text() == answered


def test_focus_stays_on_the_token_that_was_replaced(page):
    open_at_rest(page, "Transformer")
    page.wait_for_selector("#transformer-text .more:not([hidden])")
    page.locator("#transformer-text .token").nth(8).click()
    page.locator("#transformer-text .alternative:enabled").first.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.matches('#transformer-text .token')")
    stop_writing(page)


def test_an_axis_title_keeps_away_from_the_numbers(diffusion):
    open_tab(diffusion, "Quality")
    diffusion.wait_for_selector("#diffusion-chart text")
    diffusion.evaluate("atRest()")
    title = diffusion.locator("#diffusion-chart text[transform]").bounding_box()
    axis = diffusion.locator("#diffusion-chart .grid").last.bounding_box()  # a horizontal line begins at the axis
    assert axis["x"] - title["x"] - title["width"] >= 40  # room for a number such as 0.07


def test_a_wide_screen_is_used(page):
    open_tab(page, "Autoencoder & VAE")
    page.wait_for_selector("#vae-map .map")
    size = page.viewport_size
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.wait_for_function("[...document.querySelectorAll('.lab')].some(e => e.getBoundingClientRect().width > 1700)")
    assert (
        page.locator(".hint p").locator("visible=true").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 14.5
    )
    page.set_viewport_size(size)


def test_cards_are_as_high_as_their_contents(diffusion):
    """No half-empty card beside a longer one."""
    for card in diffusion.locator(".lab > .card").locator("visible=true").all():
        empty = card.evaluate("e => e.getBoundingClientRect().bottom - e.lastElementChild.getBoundingClientRect().bottom")
        assert empty < 60


def test_reduced_motion(page):
    open_tab(page, "Autoencoder & VAE")
    page.wait_for_selector("#vae-map .map")
    longest = """() => Math.max(...[...document.querySelectorAll('main *')].flatMap(e => {
        const s = getComputedStyle(e); return [parseFloat(s.transitionDuration), parseFloat(s.animationDuration)] }))"""
    page.emulate_media(reduced_motion="reduce")
    reduced = page.evaluate(longest)
    page.emulate_media(reduced_motion="no-preference")
    assert reduced < 0.01 < page.evaluate(longest)


def upload_place(page):
    open_tab(page, "Flow")
    page.wait_for_selector("#flow-verdict canvas")
    place = page.locator(".upload").locator("visible=true")
    place.scroll_into_view_if_needed()
    return place


PICTURE = """async () => {
    const c = document.createElement('canvas'); c.width = c.height = 40;
    const x = c.getContext('2d');
    x.fillRect(0, 0, 40, 40); x.fillStyle = '#fff'; x.fillRect(15, 5, 8, 30);
    const files = new DataTransfer();
    files.items.add(new File([await new Promise(done => c.toBlob(done))], 'a.png', {type: 'image/png'}));
    document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: files, bubbles: true}));
}"""


def test_pasting_over_plain_http(page):
    """The icon says what to do, and the keyboard does it."""
    place = upload_place(page)
    place.get_by_role("button", name="Paste from clipboard").click()
    page.locator(".upload-note", has_text="Ctrl+V").wait_for()
    page.evaluate(PICTURE)
    place.locator("img").wait_for()
    place.get_by_role("button", name="Remove Image").click()


def test_a_heic_picture_is_refused_in_a_sentence(page, tmp_path):
    file = tmp_path / "IMG_0001.HEIC"
    file.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    place = upload_place(page)
    place.locator("input[type=file]").set_input_files(file)
    page.locator(".upload-note", has_text="HEIC").wait_for()
    assert place.locator("img").count() == 0


@pytest.mark.parametrize(
    ("box", "typed", "result"),
    [
        ("#flow-n input[type=number]", "45", "30"),
        ("#flow-n input[type=number]", "2.6", "3"),
        ("#flow-temperature input[type=number]", "-1", "0"),
        ("#flow-stage ~ * input[aria-label=Seed]", "-5", "0"),
        ("#flow-stage ~ * input[aria-label=Seed]", "3.7", "4"),
        ("#flow-stage ~ * input[aria-label=Seed]", "", "7"),
    ],
)
def test_a_number_box_says_what_it_takes_and_takes_it(flow, box, typed, result):
    is_count, box, shown = "flow-n" in box, flow.locator(box), flow.locator("#flow-stage canvas").count()
    box.fill("7") if typed == "" else None
    box.fill(typed)
    flow.locator(".upload-note", has_text=" must be a ").first.wait_for()  # and nothing is computed meanwhile
    assert flow.locator("#flow-stage canvas").count() == shown
    flow.keyboard.press("Tab")
    assert box.input_value() == result
    if is_count:
        flow.wait_for_function(f"document.querySelectorAll('#flow-stage canvas').length === {result}")


def test_a_seed_counts_when_its_box_is_left(diffusion):
    stage = "#diffusion-stage canvas"
    before = diffusion.evaluate(PIXELS, stage)
    diffusion.get_by_role("spinbutton", name="Seed").fill("123")
    diffusion.keyboard.press("Tab")
    changed(diffusion, stage, before)


def test_a_page_without_a_camera_says_so(page):
    open_tab(page, "Denoising")
    place = page.locator("#denoiser-upload")
    place.get_by_role("button", name="Capture from camera").click()
    prompt, icons = page.get_by_text("Click to Access Webcam"), place.locator(".source-selection")
    assert prompt.bounding_box()["y"] + prompt.bounding_box()["height"] <= icons.bounding_box()["y"]
    prompt.click()
    page.locator(".upload-note", has_text="no camera").wait_for()
    place.get_by_role("button", name="Upload file").click()


@pytest.fixture
def own_picture(page):
    """The tool for a picture of one's own in the first tab."""
    open_tab(page, "Autoencoder & VAE")
    open_tab(page, "Your picture")
    return page


def test_reports_are_spoken(own_picture):
    own_picture.locator("#vae-own button").first.click()
    own_picture.wait_for_function(
        "document.querySelector('#vae-report')?.closest('[aria-live=polite]')?.textContent.includes('ELBO')"
    )


def test_focus_stays_near_a_button_that_goes(own_picture, tmp_path):
    Image.linear_gradient("L").save(tmp_path / "a.png")
    own_picture.locator("#vae-upload input[type=file]").set_input_files(tmp_path / "a.png")
    own_picture.locator("#vae-upload").get_by_role("button", name="Remove Image").focus()
    own_picture.keyboard.press("Enter")
    own_picture.wait_for_function("!document.querySelector('#vae-upload img')")
    own_picture.wait_for_function("document.activeElement.closest('#vae-upload')")


def test_the_map_by_keyboard(page):
    open_tab(page, "Autoencoder & VAE")
    open_tab(page, "Map")
    page.wait_for_selector("#vae-map .map:visible")
    page.locator("#vae-map .map").first.focus()
    before = page.evaluate(PIXELS, "#vae-map .view")
    for _ in range(12):
        page.keyboard.press("ArrowRight")
    changed(page, "#vae-map .view", before)
    assert page.locator("#vae-map .position").first.get_attribute("aria-live") == "polite"


# --- At the end, since everything is unfolded ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe(page):
    page.evaluate(AXE)
    return page


@pytest.mark.parametrize("tab", NAMES)
def test_axe_finds_nothing_serious(axe, tab):
    open_at_rest(axe, tab)
    unfold(axe)
    whole = tab == NAMES[0]  # what is around the tabs is the same for all
    assert axe.evaluate(SERIOUS, [whole, False]) == []
    assert axe.evaluate(SMALL_TEXT) == []
    axe.evaluate("document.body.classList.add('dark')")  # as Gradio does for ?__theme=dark, and only colours differ
    try:
        axe.wait_for_function(AT_REST)
        assert axe.evaluate(SERIOUS, [whole, True]) == []
    finally:
        axe.evaluate("document.body.classList.remove('dark')")
