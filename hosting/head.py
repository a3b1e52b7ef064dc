"""What the page's HTML says before any script of Gradio's runs; Gradio's own `head=` is added later, by its script.

Gradio has one title and one language for all pages of an application, and shares every page as "Gradio".
"""

import html as markup
import json
import re
from pathlib import Path

WAITING = Path(__file__).with_name("waiting.js")
RECONNECT = Path(__file__).with_name("reconnect.js")
CONNECTIONS = Path(__file__).with_name("connections.js")
LINKS = Path(__file__).with_name("links.js")
PROGRESS = Path(__file__).with_name("progress.js")
LANGUAGE = Path(__file__).with_name("language.js")
KEYS = Path(__file__).with_name("keys.js")
SCRIPTS = (LANGUAGE, LINKS, PROGRESS, WAITING, RECONNECT, CONNECTIONS)  # each may use those before it
API = "endpoints"  # path of the page that describes the API
SHARED = re.compile(rb'<meta\s+(?:property="og:|name="twitter:)[^>]*>\s*')


def html(language: str, languages: list[str], title: str, description: str, texts: dict[str, str]) -> str:
    """What goes at the beginning of a page's <head>: its title, what is shown where a link to it is shared, and scripts.

    languages: of all pages; the first is at the root. texts: of scripts, translated.
    """
    words = {"language": language, "languages": languages, "api": API, "texts": texts}
    script = f"window.page = {json.dumps(words, ensure_ascii=False)};\n".replace("</", "<\\/")
    title, description = markup.escape(title), markup.escape(description)
    links = "".join(f'<link rel="alternate" hreflang="{tag}" href="./{tag if i else ""}">' for i, tag in enumerate(languages))
    return (
        f'<title>{title}</title><meta name="description" content="{description}"><meta property="og:type" content="website">'
        f'<meta property="og:title" content="{title}"><meta property="og:description" content="{description}">'
        f'<meta name="twitter:card" content="summary">{links}'
        f"<script>{script}{''.join(part.read_text(encoding='utf-8') for part in SCRIPTS)}</script>"
    )


def switch(others: list[tuple[str, str]], note: str) -> str:
    """Links to the page in other languages. others: (tag, name) of each; note: what is lost on the way."""
    links = " ".join(f'<a href="#" data-language="{tag}" lang="{tag}">{markup.escape(name)}</a>' for tag, name in others)
    return f"{links} <small>{markup.escape(note)}</small>"


class Head:
    """ASGI middleware that writes into every HTML page what belongs to its language.

    pages: {language: what `html` gives}; the first is that of addresses which end with no language. title: that Gradio knows.
    Other answers, streams among them, pass as they come.
    """

    def __init__(self, app, pages: dict[str, str], title: str):
        self.app, self.pages, self.title = app, pages, title

    def page(self, body: bytes, path: str) -> bytes:
        last = path.rstrip("/").rpartition("/")[2]
        language = last if last in self.pages else next(iter(self.pages))
        head = self.pages[language].encode()
        own_title = re.search(rb"<title>(.*?)</title>", head)
        body = SHARED.sub(b"", body)
        if own_title:  # Gradio's script sets it again, from what it knows
            title = json.dumps(markup.unescape(own_title[1].decode()), ensure_ascii=False).encode()
            body = body.replace(b'"title":' + json.dumps(self.title).encode(), b'"title":' + title)
        body = re.sub(rb'lang="en"', f'lang="{language}"'.encode(), body, count=1)
        body = re.sub(rb"<head>", lambda found: found[0] + head, body, count=1)
        return body.replace(b'href="/manifest.json"', b'href="./manifest.json"')

    async def __call__(self, scope, receive, send):
        start, body = None, []

        async def send_page(message):
            nonlocal start
            if message["type"] == "http.response.start" and _is_html(message):
                start = message
            elif start is None:
                await send(message)
            else:
                body.append(message.get("body", b""))
                if not message.get("more_body"):
                    page = self.page(b"".join(body), scope["path"])
                    headers = [header for header in start["headers"] if header[0].lower() != b"content-length"]
                    await send({**start, "headers": [*headers, (b"content-length", str(len(page)).encode())]})
                    await send({"type": "http.response.body", "body": page})

        is_read = scope["type"] == "http" and scope["method"] == "GET"
        await self.app(scope, receive, send_page if is_read else send)


def _is_html(message):
    headers = {name.lower(): value for name, value in message["headers"]}
    return headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers
