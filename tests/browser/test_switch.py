"""The two languages of the page in a browser: which one a visitor gets, and the way to the other."""

import re

import pytest

CHINESE = "生成模型，实时演示"
ENGLISH = "Generative models, live"


def ready(page):
    page.locator("#vae-stage canvas").wait_for()
    return page


def path(page, page_url):
    return page.url.removeprefix(page_url).lstrip("/")


@pytest.fixture
def arrive(browser, page_url):
    """`arrive(locale, query)`: a new visitor's page. That one page interrupts another is no error here."""
    contexts = []

    def arrive(locale, query=""):
        contexts.append(browser.new_context(locale=locale))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.goto(page_url + query)
        return page

    yield arrive
    for context in contexts:
        context.close()


@pytest.mark.parametrize("locale, first", [("fr", ""), ("zh-TW", "zh")])
def test_a_first_visit_is_in_the_browsers_language(arrive, page_url, locale, first):
    page = arrive(locale, "?tab=gan")
    page.wait_for_url(re.compile("/zh" if first else r"/\?"))
    assert path(page, page_url) == f"{first}?tab=gan"
    assert page.title() == (CHINESE if first else ENGLISH)


def test_the_switch_carries_the_link_and_the_choice_is_kept(arrive, page_url):
    page = arrive("en-US", "?projector=1")
    switch = page.locator(".languages a")
    assert "lost" in page.locator(".prose.languages").text_content()  # what a visitor would miss
    switch.click()
    page.wait_for_url("**/zh?projector=1", wait_until="commit")
    ready(page)
    assert page.title() == CHINESE and page.evaluate("document.documentElement.lang").startswith("zh")
    assert page.locator("nav").locator("visible=true").count() == 0  # Gradio's own list of pages
    page.goto(page_url, wait_until="commit")  # what is loaded then is the other page
    page.wait_for_url("**/zh", wait_until="commit")
    page.locator(".languages a").click()
    page.wait_for_url(lambda url: not url.endswith("/zh"), wait_until="commit")
    ready(page)
    assert page.title() == ENGLISH and page.evaluate("document.documentElement.lang") == "en"
    page.goto(page_url)
    ready(page)
    assert path(page, page_url) == ""
    page.goto(f"{page_url.rstrip('/')}/zh")  # a link is not redirected
    assert ready(page).title() == CHINESE


def test_the_chinese_page_leads_to_the_description_of_the_api(arrive):
    page = arrive("en-US", "/zh")
    ready(page)
    page.locator(".show-api").click()
    page.locator(".api-docs").get_by_text("/vae_sample").first.wait_for(state="attached")
