"""The Transformer tab in a real browser."""

import pytest
from gradio_client import Client
from helpers_browser import PIXELS, come_to_rest, open_tab

from genmodels.rhyme import closest_pattern, rhyming, tone_violations

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=window.hacked=1>${window.hacked=1}"
TEXT = """selector => [...document.querySelectorAll(selector + ' .token')]
  .map(t => t.classList.contains('line') ? '\\n' : (t.querySelector('ruby') || t).firstChild.textContent).join('')"""
MODE = "getComputedStyle(document.querySelector('#transformer-poem .sheet')).writingMode"


@pytest.fixture(scope="module")
def opened(tab):
    """The tab, opened once for all tests."""
    with tab("Transformer") as page:
        page.set_default_timeout(90_000)
        wait_until_finished(page, "#transformer-text")
        yield page


def wait_until_finished(page, view):
    """Wait until a text is complete."""
    page.wait_for_selector(f"{view} .view:not(.live) .token")
    come_to_rest(page)


def text(page, view="#transformer-text"):
    return page.evaluate(TEXT, view)


def write(page, part="text"):
    """Press Enter in the seed box and wait for the new text."""
    page.evaluate(
        """part => {
      window.begun = false;
      new MutationObserver((_, me) => { window.begun = true; me.disconnect(); })
        .observe(document.querySelector('#transformer-' + part + ' .text'), {childList: true, subtree: true});
    }""",
        part,
    )
    page.locator(f"#transformer-{part}-seed input").press("Enter")
    page.wait_for_function("window.begun")
    wait_until_finished(page, f"#transformer-{part}")


def test_it_opens_with_a_coloured_text_with_bars_and_attention(opened):
    assert len(text(opened)) == 367 and text(opened).startswith("ROMEO:\n")
    colours = opened.evaluate("""() => new Set([...document.querySelectorAll('#transformer-text .token')]
      .map(t => getComputedStyle(t).backgroundColor)).size""")
    assert colours > 5
    opened.wait_for_selector("#transformer-next .row")
    opened.wait_for_selector("#transformer-attention .token")
    assert opened.locator("#transformer-text .token.given").count() == 7
    assert "expected" in opened.locator("#transformer-text .legend").inner_text()


def test_a_text_streams_and_stops(opened):
    opened.locator("#transformer-length input[type=number]").fill("1000")
    opened.evaluate("""() => {  // its lengths as they come; Stop after some
      const view = document.querySelector('#transformer-text .view'), box = view.querySelector('.text');
      window.lengths = new Set();
      new MutationObserver((_, me) => {
        const n = box.querySelectorAll('.token').length;
        if (view.classList.contains('live')) window.lengths.add(n);
        if (window.lengths.size === 4) { me.disconnect(); document.querySelector('#transformer-text-stop').click(); }
      }).observe(box, {childList: true, subtree: true});
    }""")
    opened.locator("#transformer-text-new").click()
    opened.wait_for_function("window.lengths.size >= 4")
    wait_until_finished(opened, "#transformer-text")
    assert 7 < len(text(opened)) < 1007
    assert "per second" in opened.locator("#transformer-text .stats").inner_text()
    opened.locator("#transformer-length input[type=number]").fill("60")


def test_an_alternative_branches_the_text(opened):
    opened.locator("#transformer-text-seed input").fill("3")
    write(opened)
    before = text(opened)
    opened.locator("#transformer-text .token").nth(20).click()
    alternatives = opened.locator("#transformer-text .alternative")
    assert alternatives.count() == 10
    shares = alternatives.evaluate_all("all => all.map(b => +b.style.getPropertyValue('--share'))")
    assert shares == sorted(shares, reverse=True) and shares[0] == 1
    alternative = opened.locator("#transformer-text .alternative:enabled").first
    symbol = alternative.locator("b").inner_text().replace("␣", " ").replace("↵", "\n")
    alternative.click()
    opened.wait_for_function("document.querySelectorAll('#transformer-text .token').length === 81")
    wait_until_finished(opened, "#transformer-text")
    after = text(opened)
    assert after[:21] == before[:20] + symbol and symbol != before[20]
    assert opened.locator("#transformer-text .token.yours").count() == 1
    assert opened.locator("#transformer-text .panel").is_hidden()
    opened.get_by_role("button", name="Continue").click()
    opened.wait_for_function("document.querySelectorAll('#transformer-text .token').length === 141")
    assert text(opened)[:81] == after


def test_alternatives_by_keyboard(opened):
    wait_until_finished(opened, "#transformer-text")
    opened.locator("#transformer-text .token[tabindex='0']").focus()
    opened.keyboard.press("Home")
    for _ in range(9):
        opened.keyboard.press("ArrowRight")
    opened.keyboard.press("Enter")
    assert opened.locator("#transformer-text .token.selected").get_attribute("data-i") == "9"
    opened.wait_for_selector("#transformer-text .panel:not([hidden])")
    opened.wait_for_function("""() => document.querySelector('#transformer-next .context span').textContent.length === 9""")
    opened.keyboard.press("Escape")
    assert opened.locator("#transformer-text .panel").is_hidden()


def test_cut_offs_act_on_the_bars_without_the_server(opened, page_url):
    prompt = "First Citizen"
    opened.locator("#transformer-prompt textarea").fill(prompt)
    opened.wait_for_function("t => document.querySelector('#transformer-next .context span').textContent === t", arg=prompt)
    come_to_rest(opened)
    requests = []
    opened.on("request", lambda r: requests.append(r.url) if "/gradio_api/" in r.url else None)
    values = {"temperature": 1.5, "top-k": 9, "top-p": 0.96, "min-p": 0.05}
    probabilities = """() => [...document.querySelectorAll('#transformer-next output')].map(o => +o.title)"""
    before = opened.evaluate(probabilities)
    for name, value in values.items():
        opened.locator(f"#transformer-{name} input[type=number]").fill(str(value))
        opened.locator(f"#transformer-{name} input[type=number]").press("Tab")
    come_to_rest(opened)
    assert requests == [] and opened.evaluate(probabilities) != before
    tokens = Client(page_url, verbose=False).predict(
        prompt=prompt, **{name.replace("-", "_"): value for name, value in values.items()}, api_name="/text_next"
    )["tokens"]
    symbols = opened.locator("#transformer-next .row b").all_inner_texts()
    assert symbols == [t["token"].replace(" ", "␣").replace("\n", "↵") for t in tokens]
    assert opened.evaluate(probabilities) == pytest.approx([t["drawn"] for t in tokens], abs=2e-3)
    assert opened.locator("#transformer-next .row.cut").count() == sum(t["drawn"] == 0 for t in tokens)


def test_pointing_at_a_token_shows_its_attention(opened):
    summary = lambda: opened.locator("#transformer-attention .summary").inner_text()  # noqa: E731
    weights = """() => [...document.querySelectorAll('#transformer-attention .token')]
      .map(t => +t.style.getPropertyValue('--weight'))"""
    before, weights_before, map_before = (
        summary(),
        opened.evaluate(weights),
        opened.evaluate(PIXELS, "#transformer-attention canvas"),
    )
    opened.locator("#transformer-attention .token").nth(5).hover()
    assert summary() != before and opened.evaluate(weights) != weights_before
    assert not any(opened.evaluate(weights)[6:]) and max(opened.evaluate(weights)) == 0.8  # never to later tokens
    weights_of_mean, map_of_mean = opened.evaluate(weights), opened.evaluate(PIXELS, "#transformer-attention canvas")
    assert map_of_mean != map_before
    opened.locator("#transformer-attention .heads button").nth(2).click()
    opened.locator("#transformer-attention .layers button").nth(1).click()
    assert opened.evaluate(weights) != weights_of_mean
    opened.locator("#transformer-attention .token[tabindex='0']").focus()
    opened.keyboard.press("ArrowRight")
    assert opened.locator("#transformer-attention .token.selected").get_attribute("data-i") == "6"
    box = opened.locator("#transformer-attention canvas").bounding_box()
    opened.mouse.move(box["x"] + 5, box["y"] + 2)
    assert opened.locator("#transformer-attention .token.selected").get_attribute("data-i") == "0"


def test_own_text_is_coloured_and_never_run(opened):
    open_tab(opened, "Surprisal")
    opened.wait_for_selector("#transformer-surprise .token")
    opened.locator("#transformer-own textarea").fill(HOSTILE)
    opened.wait_for_function("document.querySelector('#transformer-surprise .notes').textContent.includes('{')")
    assert text(opened, "#transformer-surprise").startswith("img src")
    assert "bits per character" in opened.locator("#transformer-surprise .stats").inner_text()
    opened.locator("#transformer-own textarea").fill("")
    opened.wait_for_selector("#transformer-surprise .message:not([hidden])")
    opened.locator("#transformer-prompt textarea").fill(HOSTILE)
    write(opened)
    assert "<" in opened.locator("#transformer-text .notes").inner_text()
    assert opened.locator("#transformer-text img, #transformer-surprise img").count() == 0
    assert opened.evaluate("window.hacked") is None
    open_tab(opened, "Attention")


def test_a_poem_with_heads_is_written_and_rewritten(opened):
    open_tab(opened, "Tang poems")
    wait_until_finished(opened, "#transformer-poem")
    verses = lambda: opened.locator("#transformer-poem .verse").all_inner_texts()  # noqa: E731
    assert [len(v) for v in verses()] == [8] * 4
    assert opened.evaluate(MODE) == "vertical-rl"
    opened.get_by_role("radio", name="五绝").click()
    opened.locator("#transformer-heads input, #transformer-heads textarea").fill("春夏秋冬")
    opened.locator("#transformer-title input, #transformer-title textarea").fill(HOSTILE[:40])
    write(opened, "poem")
    assert [v[0] for v in verses()] == list("春夏秋冬") and [len(v) for v in verses()] == [6] * 4
    assert opened.locator("#transformer-poem .title b").inner_text() == HOSTILE[:40]
    assert opened.locator("#transformer-poem img").count() == 0 and opened.evaluate("window.hacked") is None
    assert marked(opened, "rhymes")[-2:] == [10, 22]
    before = verses()
    opened.locator("#transformer-poem .token").nth(8).click()
    opened.locator("#transformer-poem .alternative:enabled").first.click()
    opened.wait_for_function("""() => document.querySelectorAll('#transformer-poem .token').length === 24
      && document.querySelector('#transformer-poem .token.yours')""")
    wait_until_finished(opened, "#transformer-poem")
    after = verses()
    assert after[0] == before[0] and after[1][:2] == before[1][:2] and after[1][2] != before[1][2]
    assert [v[0] for v in after] == list("春夏秋冬") and [len(v) for v in after] == [6] * 4
    assert marked(opened, "rhymes")[-2:] == [10, 22]
    opened.locator("#transformer-poem .turn").click()
    assert opened.evaluate(MODE) == "horizontal-tb"
    reading, token = opened.locator("#transformer-poem rt").first, opened.locator("#transformer-poem .token").first
    assert not reading.is_visible()
    opened.get_by_label("Pinyin").check()
    assert reading.inner_text() == "chūn" and reading.bounding_box()["y"] < token.bounding_box()["y"]
    opened.get_by_label("Pinyin").uncheck()
    assert not reading.is_visible()


def marked(page, kind):
    """Positions of the marked characters."""
    return page.locator(f"#transformer-poem .token.{kind}").evaluate_all("all => all.map(t => +t.dataset.i)")


def test_rhymes_and_tones_are_marked_and_switched(opened):
    open_tab(opened, "Tang poems")
    wait_until_finished(opened, "#transformer-poem")
    opened.get_by_role("radio", name="五绝").click()
    opened.locator("#transformer-heads input, #transformer-heads textarea").fill("")
    opened.locator("#transformer-poem-seed input").fill("0")
    write(opened, "poem")
    token = opened.locator("#transformer-poem .token").nth(22)
    assert token.evaluate("t => getComputedStyle(t, '::before').borderTopStyle") == "solid"  # not by its colour alone
    assert "韵 rhymes" in token.get_attribute("aria-label") and "平 level" in token.get_attribute("title")
    tones = "all => all.map(t => getComputedStyle(t, '::after').content)"
    shown = opened.locator("#transformer-poem .token").evaluate_all(tones)
    assert set(shown[:5]) <= {'"○"', '"●"', '"◐"'} and shown[5] in ('""', "none")
    opened.locator("#transformer-poem-rhyme input").uncheck()
    write(opened, "poem")
    body = text(opened, "#transformer-poem")
    assert marked(opened, "breaking") == tone_violations(body, closest_pattern("五绝", body)) != []
    assert f"against the pattern: {len(marked(opened, 'breaking'))}" in opened.locator("#transformer-poem .marks").inner_text()
    opened.locator("#transformer-poem-rhyme input").check()
    opened.locator("#transformer-poem-tones input").check()
    write(opened, "poem")
    body = text(opened, "#transformer-poem")
    assert marked(opened, "breaking") == [] == tone_violations(body, closest_pattern("五绝", body))
    assert marked(opened, "rhymes") == rhyming("五绝", body)[1] and len(marked(opened, "rhymes")) > 1
    assert f"rhyme {rhyming('五绝', body)[0]}" in opened.locator("#transformer-poem .marks").inner_text()


def test_a_picture_is_completed_row_by_row(opened):
    open_tab(opened, "Pictures")
    canvas = "#transformer-pixels .frames canvas"
    opened.wait_for_selector(f"{canvas}:visible")
    done = "#transformer-pixels input[type=range]:not([disabled])"
    opened.wait_for_selector(done)
    last = opened.evaluate(PIXELS, canvas)
    opened.locator("#transformer-pixels input[type=range]").focus()
    opened.keyboard.press("Home")
    assert "row 14 of 28" in opened.locator("#transformer-pixels output").inner_text()
    assert opened.evaluate(PIXELS, canvas) != last
    opened.evaluate("""() => {  // the rows as they come
      window.rows = new Set();
      const out = document.querySelector('#transformer-pixels output');
      new MutationObserver(() => window.rows.add(out.textContent.match(/row (\\d+)/)[1])).observe(out, {childList: true});
    }""")
    opened.locator("#transformer-own-pictures button").nth(7).click()
    opened.wait_for_function("window.rows.size > 3 && window.rows.has('28')")
    opened.wait_for_selector(done)
    assert opened.locator("#transformer-pixels input[type=range]").get_attribute("max") == "14"
    assert opened.locator("#transformer-pixels .reference").is_visible()
