"""The page's HTML before any script has run."""

import asyncio

from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.testclient import TestClient

from hosting import head


async def site(scope, receive, send):
    async def parts():
        for part in ("a", "b"):
            yield part
            await asyncio.sleep(0)

    page = "<!doctype html><html><head><title>Lab</title></head>" + "x" * 100_000
    answers = {
        "/": HTMLResponse(page),
        "/data": JSONResponse({"head": "<head>"}),
        "/stream": StreamingResponse(parts(), media_type="text/event-stream"),
    }
    await answers[scope["path"]](scope, receive, send)


def test_the_script_comes_first_and_only_in_pages():
    client = TestClient(head.Head(site, script="run()"))
    page = client.get("/")
    assert page.text.startswith("<!doctype html><html><head><script>run()</script><title>") and page.text.endswith(
        "x" * 100_000
    )
    assert int(page.headers["content-length"]) == len(page.content)
    assert client.get("/data").json() == {"head": "<head>"}
    assert client.get("/stream").text == "ab"
