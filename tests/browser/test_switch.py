"""The two languages of the page in a browser: which one a visitor gets, and the way to the other."""

import re

import pytest
from helpers_browser import CANVASES, come_to_rest, open_at_rest

CHINESE = "生成模型，实时演示"
ENGLISH = "Generative models, live"


def ready(page):
    page.get_by_role("tab", name="GAN", exact=True).wait_for()
    return page


def path(page, page_url):
    return page.url.removeprefix(page_url).lstrip("/")


@pytest.fixture(scope="module")
def arrive(browser, page_url):
    """`arrive(locale, query)`: a new visitor's page. That one page interrupts another is no error here."""
    contexts = []

    def arrive(locale, query="", script="", bare=False):
        contexts.append(browser.new_context(locale=locale))
        page = contexts[-1].new_page()
        if bare:
            without_gradio(page)
        page.add_init_script(script)
        page.set_default_timeout(60_000)
        page.goto(page_url + query)
        return page

    yield arrive
    for context in contexts:
        context.close()


def without_gradio(page):
    """Load pages without their assets: as HTML that says the language, with the scripts of its head."""
    page.route("**/assets/**", lambda route: route.abort())


@pytest.fixture(scope="module")
def english(arrive):
    """The page of a visitor who reads English."""
    return ready(arrive("en-US", "?projector=1"))


@pytest.fixture(scope="module")
def chinese(visit):
    with visit(locale="zh-CN", query="/zh") as page:
        yield ready(page)


@pytest.mark.parametrize("locale, first", [("fr", ""), ("zh-TW", "zh")])
def test_a_first_visit_is_in_the_browsers_language(arrive, page_url, locale, first):
    page = arrive(locale, "?tab=gan", bare=True)
    page.wait_for_url(re.compile("/zh" if first else r"/\?"))
    assert path(page, page_url) == f"{first}?tab=gan"
    assert page.title() == (CHINESE if first else ENGLISH)


def test_the_switch_carries_the_link_and_the_choice_is_kept(english, page_url):
    page, later = english, english.context.new_page()
    without_gradio(later)
    assert "lost" in page.locator(".prose.languages").text_content()  # what a visitor would miss
    page.locator(".languages a").click()
    page.wait_for_url("**/zh?projector=1", wait_until="commit")
    ready(page)
    assert page.title() == CHINESE and page.evaluate("document.documentElement.lang").startswith("zh")
    assert page.locator("nav").locator("visible=true").count() == 0  # Gradio's own list of pages
    later.goto(page_url, wait_until="commit")  # what is loaded then is the other page
    later.wait_for_url("**/zh")
    page.locator(".languages a").click()
    page.wait_for_url(lambda url: "/zh" not in url, wait_until="commit")
    ready(page)
    assert page.title() == ENGLISH and page.evaluate("document.documentElement.lang") == "en"
    later.goto(page_url)
    assert path(later, page_url) == "" and later.title() == ENGLISH
    later.goto(f"{page_url}/zh")  # a link is not redirected
    assert path(later, page_url) == "zh" and later.title() == CHINESE


def test_the_switch_works_where_nothing_can_be_kept(arrive, page_url):
    refused = "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('', 'SecurityError'); }})"
    page = arrive("zh-CN", "/zh", refused)
    link = page.locator(".languages a")
    link.wait_for()
    without_gradio(page)
    link.click()
    page.wait_for_url(lambda url: not url.endswith("/zh"))
    assert page.title() == ENGLISH and path(page, page_url) == ""


TEXTS = """() => {  // what is in sight, and what a screen reader says; but for what models wrote and for programs
  const skip = 'script, style, code, pre, .cm-editor, .katex, .token, .context, .bars, [data-language]', found = new Set();
  const parts = [...document.querySelectorAll('main *')].filter(e => !e.closest(skip) && e.checkVisibility());
  for (const e of parts) {
    for (const name of ['aria-label', 'title', 'placeholder', 'alt']) found.add(e.getAttribute(name));
    for (const child of e.childNodes) if (child.nodeType === Node.TEXT_NODE) found.add(child.textContent.trim());
  }
  return [...found].filter(Boolean);
}"""
NAMES = set(
    """AE VAE GAN Transformer DDPM DDIM DPM Solver Heun SDEdit Euler KL FID NFE PSNR SSIM CAS MNIST JPEG PNG API Python
    Top top Min min slerp Sigma sigma scikit image dB ms nats Delete Backspace SiLU GELU MB KB NAME log""".split()
)


def in_english(texts):
    """Texts with a word that is no name. A word: two letters or more."""
    return [text for text in texts if set(re.findall("[A-Za-z]{2,}", text)) - NAMES]


def test_no_english_is_left_on_the_chinese_page(chinese):
    page = chinese
    tabs = page.locator("[role=tablist]").first.get_by_role("tab")
    names, left = tabs.all_text_contents(), {}
    for i, name in enumerate(CANVASES):
        open_at_rest(page, name, tabs.nth(i))
        for tool in page.get_by_role("tab").locator("visible=true").all_text_contents():
            tab = page.get_by_role("tab", name=tool, exact=True).locator("visible=true")
            if tool not in names and tab.count():  # another tool may have hidden it
                tab.first.click()
                come_to_rest(page)
            left |= dict.fromkeys(in_english(page.evaluate(TEXTS)), names[i])
    assert left == {}
    assert len(names) == len(CANVASES)


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_page_leads_to_the_description_of_the_api(request, language):
    page = request.getfixturevalue(language)
    page.locator(".show-api").click()
    page.locator(".api-docs").get_by_text("/vae_sample").first.wait_for(state="attached")
    if language == "chinese":
        return
    assert "view=api" in page.url
    page.reload()  # Gradio's own address of the description, which it gives the first page
    page.locator(".api-docs").get_by_text("/vae_sample").first.wait_for(state="attached")
