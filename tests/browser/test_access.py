"""The page for everybody: contrast, size, keyboard, touch, screen readers, narrow screens."""

from pathlib import Path

import axe_playwright_python
import pytest
from helpers_browser import changed, open_tab
from playwright.sync_api import expect

from tabs import TABS

pytestmark = pytest.mark.browser

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
NAMES = [title for title, _ in TABS]
CANVASES = {  # something that each tab shows when it is ready
    "Autoencoder & VAE": "#vae-map .map",
    "GAN": "#gan-quiz button canvas",
    "Transformer": "#transformer-attention .token",
    "Flow": "#flow-verdict canvas",
    "Diffusion": "#diffusion-stage canvas",
    "Denoising": "#denoiser-stage .tile",
}
PHONE = {"width": 390, "height": 800, "has_touch": True, "is_mobile": True}

SERIOUS = """async () => (await axe.run({resultTypes: ['violations']})).violations
    .filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => [v.id, ...v.nodes.slice(0, 5).map(n => n.html.slice(0, 120))])"""

SMALL_TEXT = """() => [...document.querySelectorAll('body *')].filter(e =>
    [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
    && !e.closest('.katex, .spoken, .sr-only, .visually-hidden')
    && e.checkVisibility({visibilityProperty: true}) && e.getBoundingClientRect().width > 2)
    .map(e => [parseFloat(getComputedStyle(e).fontSize) * (e.ownerSVGElement ? e.getScreenCTM().a : 1),
      e.textContent.slice(0, 40)])
    .filter(([size]) => size < 11.9)"""

SMALL_TARGETS = """() => [...document.querySelectorAll(`
    main :is(button, select, summary, input[type=range], input[type=number]),
    main label:has(> input:is([type=radio], [type=checkbox]))`)].filter(e => e.checkVisibility({visibilityProperty: true})
    && !e.closest('.cm-editor, .code_wrap, .visually-hidden, .sr-only, [aria-hidden=true]'))
    .map(e => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width > 1 && (r.width < 39.5 || r.height < 39.5))
    .map(([e, r]) => [Math.round(r.width), Math.round(r.height), e.outerHTML.slice(0, 140)])"""


def unfold(page):
    """Opens what is folded."""
    page.evaluate("""() => {
        for (const b of document.querySelectorAll('button.label-wrap:not(.open)')) if (b.checkVisibility()) b.click();
        for (const d of document.querySelectorAll('details')) d.open = true;
    }""")
    page.wait_for_timeout(1500)


@pytest.fixture(scope="module", params=["light", "dark"])
def wide(visit, request):
    with visit(query=f"?__theme={request.param}") as page:
        yield page


@pytest.fixture(scope="module")
def phone(visit):
    with visit(**PHONE) as page:
        yield page


@pytest.mark.parametrize("tab", NAMES)
def test_axe_finds_nothing_serious(wide, tab):
    open_tab(wide, tab)
    wide.wait_for_selector(CANVASES[tab], timeout=180_000)  # the models are being loaded, in turn
    unfold(wide)
    wide.evaluate(AXE)
    assert wide.evaluate(SERIOUS) == []
    assert wide.evaluate(SMALL_TEXT) == []


@pytest.mark.parametrize("tab", NAMES)
def test_a_phone(phone, tab):
    """Every tab is one or two taps away, nothing runs out of the screen, text and targets are large enough."""
    open_tab(phone, tab)
    phone.wait_for_selector(CANVASES[tab], timeout=180_000)
    unfold(phone)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert phone.evaluate(SMALL_TEXT) == []
    assert phone.evaluate(SMALL_TARGETS) == []


def test_ten_tabs_on_a_phone(browser):
    """The menu of those that do not fit is in sight, with all of them in it."""
    gr = pytest.importorskip("gradio")
    from hosting.theme import theme

    with gr.Blocks() as demo, gr.Tabs():
        for k in range(10):
            with gr.Tab(f"A family {k}"):
                gr.Markdown(f"This is {k}")
    page_css = Path(__file__).parents[2] / "tabs" / "page.css"
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, theme=theme(), css_paths=page_css)
    try:
        page = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True).new_page()
        page.goto(url)
        page.get_by_role("tab").first.wait_for()
        page.wait_for_timeout(1000)
        page.locator(".overflow-menu > button").tap()
        last = page.locator(".overflow-dropdown button", has_text="A family 9")
        box = last.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 800
        # Nothing covers it or cuts it off.
        assert last.evaluate(
            "e => { const r = e.getBoundingClientRect(); return document.elementFromPoint(r.x + 20, r.y + 20) === e }"
        )
        last.tap()
        page.get_by_text("This is 9").wait_for()
        page.context.close()
    finally:
        demo.close()


@pytest.fixture(scope="module")
def diffusion(visit):
    with visit("Diffusion") as page:
        page.wait_for_selector("#diffusion-stage input:enabled")
        yield page


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


def test_focus_stays_after_a_quiz_answer(visit):
    with visit("GAN") as page:
        page.wait_for_selector("#gan-quiz button canvas")
        page.locator("#gan-quiz button").nth(1).focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#gan-quiz .tile.revealed")
        assert page.evaluate("document.activeElement === document.querySelectorAll('#gan-quiz button')[1]")
        answered = page.locator("#gan-quiz-words").inner_text()
        page.keyboard.press("Enter")  # a second answer does not count
        page.wait_for_timeout(500)
        assert page.locator("#gan-quiz-words").inner_text() == answered


def test_focus_stays_on_the_token_that_was_replaced(visit):
    with visit("Transformer") as page:
        page.wait_for_selector("#transformer-text .more:not([hidden])")
        page.locator("#transformer-text .token").nth(12).click()
        page.locator("#transformer-text .alternative:enabled").first.focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.matches('#transformer-text .token')")


def test_the_map_does_not_scroll_the_page_under_a_finger(phone):
    open_tab(phone, "Autoencoder & VAE")
    assert phone.locator("#vae-map .map").first.evaluate("e => getComputedStyle(e).touchAction") == "none"


def test_new_samples_are_beside_the_samples_on_a_phone(phone):
    open_tab(phone, "Flow")
    button = phone.get_by_role("button", name="New samples").locator("visible=true").bounding_box()
    stage = phone.locator("#flow-stage").bounding_box()
    assert 0 <= button["y"] - stage["y"] - stage["height"] < 120


def test_an_axis_title_keeps_away_from_the_numbers(visit):
    with visit("Diffusion") as page:
        open_tab(page, "Quality")
        page.wait_for_selector("#diffusion-chart text")
        page.wait_for_timeout(500)
        title = page.locator("#diffusion-chart text[transform]").bounding_box()
        axis = page.locator("#diffusion-chart .grid").last.bounding_box()  # a horizontal line begins at the axis
        assert axis["x"] - title["x"] - title["width"] >= 40  # room for a number such as 0.07


def test_a_wide_screen_is_used(visit):
    with visit(width=1920, height=1080) as page:
        page.wait_for_selector("#vae-map .map")
        assert page.locator(".lab").first.bounding_box()["width"] > 1700
        assert page.locator(".hint p").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 14.5


def test_cards_are_as_high_as_their_contents(diffusion):
    """No half-empty card beside a longer one."""
    for card in diffusion.locator(".lab > .card").locator("visible=true").all():
        empty = card.evaluate("e => e.getBoundingClientRect().bottom - e.lastElementChild.getBoundingClientRect().bottom")
        assert empty < 60


def test_reduced_motion(visit):
    with visit(reduced_motion="reduce") as page:
        page.wait_for_selector("#vae-map .map")
        longest = """() => Math.max(...[...document.querySelectorAll('main *')].flatMap(e => {
            const s = getComputedStyle(e); return [parseFloat(s.transitionDuration), parseFloat(s.animationDuration)] }))"""
        assert page.evaluate(longest) < 0.01


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


def test_pasting_over_plain_http(visit):
    """There the browser has no navigator.clipboard: the icon says what to do, and the keyboard does it."""
    with visit() as page:
        page.add_init_script("delete Navigator.prototype.clipboard")
        page.reload()
        place = upload_place(page)
        place.get_by_role("button", name="Paste from clipboard").click()
        page.locator(".upload-note", has_text="Ctrl+V").wait_for()
        page.evaluate(PICTURE)
        place.locator("img").wait_for()


def test_a_heic_picture_is_refused_in_a_sentence(visit, tmp_path):
    file = tmp_path / "IMG_0001.HEIC"
    file.write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    with visit() as page:
        place = upload_place(page)
        place.locator("input[type=file]").set_input_files(file)
        page.locator(".upload-note", has_text="HEIC").wait_for()
        assert place.locator("img").count() == 0


def test_the_map_by_keyboard(visit):
    with visit() as page:
        page.wait_for_selector("#vae-map .map")
        page.locator("#vae-map .map").first.focus()
        stage = "#vae-map .view"
        from helpers_browser import PIXELS

        before = page.evaluate(PIXELS, stage)
        for _ in range(12):
            page.keyboard.press("ArrowRight")
        changed(page, stage, before)
        assert page.locator("#vae-map .position").first.get_attribute("aria-live") == "polite"
