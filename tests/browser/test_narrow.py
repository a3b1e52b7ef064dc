"""A phone in the hand: the page 390 px wide, opened once."""

from pathlib import Path

import pytest
from helpers_browser import CANVASES, FITTING, SMALL_TEXT, come_to_rest, open_at_rest, open_tab, unfold, watch

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 800, "has_touch": True, "is_mobile": True}
IN_SIGHT = {  # tab -> (what stays in sight, while this slider below it is moved)
    "Autoencoder & VAE": ("#vae-stage canvas", "#vae-sliders input[type=range] >> nth=8"),
    "GAN": ("#gan-stage .gallery", "#gan-sliders input[type=range] >> nth=-1"),
    "Flow": ("#flow-stage .gallery >> nth=-1", "#flow-temperature input[type=range]"),
    "Diffusion": ("#diffusion-stage canvas >> nth=0", "#diffusion-n input[type=range]"),
    "Denoising": ("#denoiser-stage .view", "#denoiser-told"),
}

SMALL_TARGETS = """() => [...document.querySelectorAll(`
    main :is(button, select, summary, input[type=range], input[type=number]),
    main label:has(> input:is([type=radio], [type=checkbox]))`)].filter(e => e.checkVisibility({visibilityProperty: true})
    && !e.closest('.cm-editor, .code_wrap, .visually-hidden, .sr-only, [aria-hidden=true]'))
    .map(e => [e, e.getBoundingClientRect()]).filter(([, r]) => r.width > 1 && (r.width < 39.5 || r.height < 39.5))
    .map(([e, r]) => [Math.round(r.width), Math.round(r.height), e.outerHTML.slice(0, 140)])"""


@pytest.fixture(scope="module")
def phone(visit):
    with visit(query="?__theme=dark", **PHONE) as page:
        page.set_default_timeout(180_000)  # the models are being loaded, in turn
        yield page


def show(phone, tab):
    """Open a tab from its top."""
    phone.evaluate("scrollTo(0, 0)")
    open_at_rest(phone, tab)


@pytest.mark.parametrize("tab", IN_SIGHT)
def test_the_pictures_stay_in_sight_while_a_slider_is_moved(phone, tab):
    stage, slider = IN_SIGHT[tab]
    show(phone, tab)
    phone.locator(stage).wait_for()
    phone.locator(slider).scroll_into_view_if_needed()
    box, below = phone.locator(stage).bounding_box(), phone.locator(slider).bounding_box()
    assert 0 <= box["y"] < 400 and box["y"] + box["height"] < below["y"] + below["height"]


@pytest.mark.parametrize("view, name", [("text", "Shakespeare"), ("poem", "Tang poems"), ("pixels", "Pictures")])
def test_what_a_transformer_writes_comes_first(phone, view, name):
    phone.evaluate("scrollTo(0, 0)")
    open_at_rest(phone, "Transformer")
    open_tab(phone, name)
    phone.wait_for_selector(f"#transformer-{view} :is(.token, .frames canvas):visible")
    if view != "pixels":
        phone.wait_for_selector(f"#transformer-{view} .view:not(.live) .token")
        phone.locator(f"#transformer-{view} .token").nth(3).click()
        phone.wait_for_selector(f"#transformer-{view} .alternative")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.evaluate("scrollTo(0, 0)")
    assert phone.locator(f"#transformer-{view}").bounding_box()["y"] < 400
    open_tab(phone, "Shakespeare")


def test_the_map_does_not_scroll_the_page_under_a_finger(phone):
    show(phone, "Autoencoder & VAE")
    assert phone.locator("#vae-map .map").first.evaluate("e => getComputedStyle(e).touchAction") == "none"


def test_new_samples_are_beside_the_samples_on_a_phone(phone):
    show(phone, "Flow")
    button = phone.get_by_role("button", name="New samples").locator("visible=true").bounding_box()
    stage = phone.locator("#flow-stage").bounding_box()
    assert 0 <= button["y"] - stage["y"] - stage["height"] < 120


@pytest.mark.parametrize("tab", CANVASES)
def test_everything_is_readable_and_can_be_touched(phone, tab):
    """Every tab is one or two taps away, nothing runs out of the screen, text and targets are large enough."""
    show(phone, tab)
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
        watch(page)
        page.goto(url)
        page.get_by_role("tab").first.wait_for()
        page.wait_for_function(FITTING)
        come_to_rest(page)
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


def test_the_footer_has_no_stray_dot(phone):
    assert phone.locator("footer .divider").locator("visible=true").count() == 0
