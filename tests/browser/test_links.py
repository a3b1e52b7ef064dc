"""Links in a real browser: what is on screen comes back where its address is opened, and the Back button leads back."""

import time
import urllib.parse

import pytest
from helpers_browser import come_to_rest, draw_stroke, lines, open_address, open_at_rest, open_tab, pause_training, watch

pytestmark = pytest.mark.browser

SHOWN = """selectors => [...document.querySelectorAll(selectors)].filter(e => e.checkVisibility()).map(
    e => e.tagName === 'CANVAS' ? e.toDataURL() : e.textContent).join('|')"""


def press(page, selector, key, times=1):
    page.locator(f"{selector} input[type=range]").first.focus()
    for _ in range(times):
        page.keyboard.press(key)


def choose(page, selector, text):
    page.locator(f"{selector} input").first.click()
    page.get_by_role("option", name=text, exact=True).first.click()


def radio(page, name):
    page.get_by_role("radio", name=name).locator("visible=true").click()


def pick(page, tiles, i):
    page.locator(f"{tiles} button").nth(i).click()


def code_of_two_numbers(page):
    radio(page, "2-D code")
    page.wait_for_function("document.querySelectorAll('#vae-sliders input').length === 2")
    press(page, "#vae-sliders", "ArrowRight", 7)


def edited_face(page):
    radio(page, "Faces")
    page.wait_for_function("document.querySelector('#vae-stage canvas').width === 64")
    page.locator("#vae-glasses").wait_for()
    choose(page, "#vae-glasses", "sunglasses")


def faces_by_score(page):
    radio(page, "Faces")
    page.wait_for_function("document.querySelectorAll('#gan-stage canvas').length === 15")
    come_to_rest(page)
    press(page, "#gan-sliders", "ArrowRight", 5)
    radio(page, "by score")


def third_round(page):
    for k in (1, 2):
        page.get_by_role("button", name="Next four").click()
        page.wait_for_function(f"location.search.includes('quiz-round={k}')")


def drawn_points(page):
    radio(page, "Your points")
    page.wait_for_function("document.querySelector('#playground-stage .step').textContent.startsWith('At least 16')")
    page.get_by_role("button", name="Enlarge: GAN").click()
    page.locator("#playground-stage .show input[value=inside]").click()
    wait_for_address(page, "large=gan&hidden=inside")
    draw_stroke(page, "#playground-stage .data")


def four_samplers(page):
    page.locator("#diffusion-steps input[type=number]").fill("4")
    page.get_by_role("button", name="Four samplers").click()


def noisy_photograph(page):
    pick(page, "#denoiser-pictures", 2)
    radio(page, "Speckle")
    page.wait_for_function("document.querySelector('#denoiser-strength input').value === '30'")
    press(page, "#denoiser-strength", "ArrowRight", 4)


def poem_in_another_form(page):
    radio(page, "五绝 4 × 5")
    page.locator("#transformer-poem-seed input").fill("3")
    page.locator("#transformer-poem-seed input").press("Enter")


# (tab, tab within it, what the visitor does, what it puts into the address, where it is seen): each another way into a link
TOOLS = {
    "compare": ("Compare", None, lambda page: radio(page, "Clothes"), "dataset=fashion", "#compare-stage canvas"),  # first tab
    "code": ("Autoencoder & VAE", None, code_of_two_numbers, "code=", "#vae-stage canvas"),
    "reconstruction": (
        "Autoencoder & VAE",
        "Your picture",
        lambda page: pick(page, "#vae-own", 6),
        "picture=6",
        "#vae-stage canvas, #vae-pair canvas",
    ),
    "edits": ("Autoencoder & VAE", "Edit attributes", edited_face, "glasses_amount=1", "#vae-stage canvas, #vae-verdict"),
    "gan": ("GAN", None, faces_by_score, "order=score", "#gan-stage canvas"),
    "quiz": ("GAN", "Quiz", third_round, "quiz-round=2", "#gan-quiz canvas"),
    "playground": ("Playground", None, drawn_points, "&points=", "#playground-stage .data canvas"),
    "samplers": (
        "Diffusion",
        None,
        four_samplers,
        "run=",
        "#diffusion-stage canvas",
    ),
    "denoiser": ("Denoising", None, noisy_photograph, "strength=34", "#denoiser-stage .tile:nth-child(-n + 2) canvas"),
    "poem": ("Transformer", "Tang poems", poem_in_another_form, "seed=3", "#transformer-poem .token"),
}


LOADED = ("compare", "code")  # links with which a page is loaded: of the first tab, and of another one; others follow in it
UNENDING = ("playground", "denoiser")  # they go on for long with what is not looked at


def at_rest(page, selectors, looks=3):
    """What is shown, once it has not changed for a moment."""
    before, same = None, 0
    while same < looks:
        page.wait_for_timeout(100)
        shown = page.evaluate(SHOWN, selectors)
        same = same + 1 if shown and shown == before else 0
        before = shown
    return shown


def wait_until_shown(page, selectors, shown, same=True):
    sign = "===" if same else "!=="
    page.wait_for_function(f"([selectors, shown]) => ({SHOWN})(selectors) {sign} shown", arg=[selectors, shown], polling=100)


def wait_until_alike(page, other, selectors):
    """Until both show the same: what either shows first may be of a part only."""
    deadline = time.monotonic() + 120
    while not (shown := other.evaluate(SHOWN, selectors)) or shown != page.evaluate(SHOWN, selectors):
        assert time.monotonic() < deadline, "the pages show different things"
        page.wait_for_timeout(100)


def wait_for_address(page, part):
    page.wait_for_function("part => decodeURIComponent(location.search).includes(part)", arg=part)
    return page.evaluate("location.search")


@pytest.fixture(scope="module")
def opened(visit):
    with visit(permissions=["clipboard-read", "clipboard-write"]) as page:
        page.wait_for_selector("#compare-stage canvas")
        yield page


@pytest.fixture(scope="module")
def elsewhere(browser):
    """A page in another browser, for links. It leaves some before all of its requests have been answered."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    watch(page)
    page.set_default_timeout(60_000)
    yield page
    context.close()


@pytest.mark.parametrize("tool", TOOLS)
def test_the_link_of_a_tool_shows_the_same_elsewhere(opened, elsewhere, page_url, tool):
    tab, inner, act, written, selectors = TOOLS[tool]
    if tool in UNENDING:
        open_tab(opened, tab)
        at_rest(opened, selectors)
    else:
        open_at_rest(opened, tab)
    if inner:
        opened.get_by_role("tab", name=inner).locator("visible=true").click()
        come_to_rest(opened)
    act(opened)
    wait_for_address(opened, written)
    if tool not in UNENDING:
        come_to_rest(opened)
    assert opened.evaluate(SHOWN, selectors)
    link = opened.evaluate("links.copied().then(copied => new URL(copied.address).search)")
    assert len(link) < 2000
    if tool in LOADED or elsewhere.url == "about:blank":
        elsewhere.goto(page_url + "/" + link)
    else:
        open_address(elsewhere, link)
    wait_until_alike(opened, elsewhere, selectors)
    if tool == "playground":
        pause_training(opened)
        pause_training(elsewhere)
    assert not elsewhere.locator("[data-testid=toast-body]").count()
    elsewhere.evaluate("atRest()")
    elsewhere.wait_for_function("link => location.search === link", arg=link)  # a stage may come after its controls


def test_back_and_forward(elsewhere, page_url):
    page = elsewhere
    if page.url == "about:blank":
        page.goto(page_url)
        page.wait_for_selector("#compare-stage canvas")
    open_address(page, "?tab=flow&temperature=0.5")
    page.wait_for_function("document.querySelector('#flow-temperature input')?.value === '0.5'")
    first = at_rest(page, "#flow-stage canvas", 5)
    radio(page, "Clothes")
    wait_for_address(page, "?tab=flow&dataset=fashion")
    wait_until_shown(page, "#flow-stage canvas", first, same=False)
    page.get_by_role("tab", name="Layer by layer").click()
    wait_for_address(page, "tool=unfold")
    held = []
    page.route("**/queue/join**", lambda route: held.append(route))
    page.go_back()
    page.go_back()  # before the server has answered
    for route in held:
        route.continue_()
    page.unroute("**/queue/join**")
    wait_until_shown(page, "#flow-stage canvas", first)
    assert page.get_by_role("radio", name="Digits").is_checked()
    wait_for_address(page, "?tab=flow&temperature=0.5")
    page.go_forward()
    wait_until_shown(page, "#flow-stage canvas", first, same=False)
    assert page.get_by_role("radio", name="Clothes").is_checked()


def test_a_moving_slider_writes_the_address_without_the_server(opened):
    open_at_rest(opened, "Flow")
    opened.evaluate("window.calls = 0; const f = fetch; window.fetch = (...a) => { window.calls++; return f(...a); }; 0")
    wait_for_address(opened, "tab=flow")
    length = opened.evaluate("history.length")
    press(opened, "#flow-temperature", "ArrowLeft", 1)
    wait_for_address(opened, "temperature=")
    come_to_rest(opened)
    assert opened.evaluate("window.calls") == 1  # the pictures
    assert opened.evaluate("history.length") == length


def test_the_last_of_quick_choices_is_shown_and_in_the_address(opened):
    open_tab(opened, "Flow")
    names = ["fashion", "mnist", "fashion"]
    opened.evaluate("all => all.forEach(name => document.querySelector(`#flow-dataset input[value=${name}]`).click())", names)
    wait_for_address(opened, "?tab=flow&dataset=fashion")
    assert "fashion" in lines(opened, "flow")


def test_what_a_link_should_not_say(opened, elsewhere, page_url):
    script = urllib.parse.quote("<img src=x onerror=window.harmed=1>")
    foreign = "embed=1&projector=1&__sign=" + "x" * 2100  # longer than what the page writes
    elsewhere.goto(f"{page_url}/?tab=flow&temperature={script}&n=1e999&{script}=1&{foreign}")
    elsewhere.wait_for_selector("[data-testid=toast-body]")
    assert elsewhere.locator("[data-testid=toast-body]").count() == 1
    assert "Temperature must be" in elsewhere.locator("[data-testid=toast-body]").inner_text()
    elsewhere.wait_for_function("foreign => location.search === '?tab=flow&' + foreign", arg=foreign)
    assert elsewhere.evaluate("window.harmed") is None
    # for an iframe, and for a lecture hall
    assert not elsewhere.locator(".header").is_visible() and not elsewhere.locator("footer").is_visible()
    box = elsewhere.locator(".gradio-container").bounding_box()
    assert box["width"] > 1350
    zoom = "+getComputedStyle(document.querySelector('.gradio-container')).zoom"
    assert opened.locator(".header").is_visible() and elsewhere.evaluate(zoom) > 1.25 * opened.evaluate(zoom)


def test_the_link_is_copied(opened, page_url):
    open_tab(opened, "Autoencoder & VAE")
    come_to_rest(opened)
    radio(opened, "Clothes")
    come_to_rest(opened)
    pick(opened, "#vae-samples", 2)
    search = wait_for_address(opened, "sample=2")
    link = opened.get_by_role("button", name="Copy link").locator("visible=true")
    link.click()
    opened.wait_for_selector(".link .note:text('Copied'):visible")
    assert opened.evaluate("navigator.clipboard.readText()") == page_url + "/" + search
    opened.evaluate("Object.defineProperty(window, 'isSecureContext', {value: false})")  # plain http
    link.click()
    box = opened.get_by_role("textbox", name="Link")
    assert box.input_value() == page_url + "/" + search
    assert box.evaluate("e => e.selectionEnd - e.selectionStart") == len(box.input_value())
