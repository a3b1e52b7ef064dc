"""The page's HTML before any script has run."""

import asyncio
import json
import re

import pytest
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.testclient import TestClient

from hosting import head

PAGE = (
    '<!doctype html>\n<html lang="en"><head><base href="./"><meta property="og:title" content="Gradio" />'
    '<meta\n name="twitter:description"\n content="Click" /><script>config = {"title":"Lab"}</script></head>' + "x" * 100_000
)


async def site(scope, receive, send):
    async def parts():
        for part in ("a", "b"):
            yield part
            await asyncio.sleep(0)

    answers = {
        "/data": JSONResponse({"head": "<head>"}),
        "/stream": StreamingResponse(parts(), media_type="text/event-stream"),
    }
    await answers.get(scope["path"], HTMLResponse(PAGE))(scope, receive, send)


def client():
    words = {"en": ("Lab", "All <live>."), "zh": ("实验室", "实时。")}
    pages = {tag: head.html(tag, list(words), *texts, {"Draw </script>": tag}) for tag, texts in words.items()}
    return TestClient(head.Head(site, pages, title="Lab"))


def test_only_pages_get_a_head_and_other_answers_pass_as_they_come():
    page = client().get("/")
    assert page.text.endswith("x" * 100_000)
    assert int(page.headers["content-length"]) == len(page.content)
    assert client().get("/data").json() == {"head": "<head>"}
    assert client().get("/stream").text == "ab"


@pytest.mark.parametrize(
    "path, language, title, description",
    [
        *((path, "en", "Lab", "All &lt;live&gt;.") for path in ("/", "/lab/", "/zhx")),
        *((path, "zh", "实验室", "实时。") for path in ("/zh", "/zh/", "/lab/zh")),
    ],
)
def test_language_title_and_what_a_shared_link_shows_are_in_the_html(path, language, title, description):
    text = client().get(path).text
    assert re.findall(r'<html lang="(.*?)"', text) == [language]
    assert re.findall(r"<title>(.*?)</title>", text) == [title]
    assert re.findall(r'property="og:title" content="(.*?)"', text) == [title]
    assert re.findall(r'name="description" content="(.*?)"', text) == [description]
    assert json.loads(re.search(r"config = (.*?)</script>", text)[1]) == {"title": title}
    assert 'content="Gradio"' not in text and "Click" not in text
    assert set(re.findall(r'hreflang="(\w+)" href="(.*?)"', text)) == {("en", "./"), ("zh", "./zh")}


def test_texts_of_scripts_cannot_end_the_script():
    text = client().get("/zh").text
    words = json.loads(re.search(r"window.page = (\{.*?\});\n", text)[1])
    assert words["language"] == "zh" and words["texts"] == {"Draw </script>": "zh"}
    assert text.count("</script>") == 2
