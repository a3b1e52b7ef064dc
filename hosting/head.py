"""What the page's HTML says before any script of Gradio's runs; Gradio's own `head=` is added later, by its script."""

from pathlib import Path

CONNECTIONS = Path(__file__).with_name("connections.js")
KEYS = Path(__file__).with_name("keys.js")


class Head:
    """ASGI middleware that writes a script at the beginning of every HTML page.

    script: JavaScript, which runs before Gradio's. Other answers, streams among them, pass as they come.
    """

    def __init__(self, app, script: str):
        self.app = app
        self.tag = f"<script>{script}</script>".encode()

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
                    page = b"".join(body).replace(b"<head>", b"<head>" + self.tag, 1)
                    headers = [header for header in start["headers"] if header[0].lower() != b"content-length"]
                    await send({**start, "headers": [*headers, (b"content-length", str(len(page)).encode())]})
                    await send({"type": "http.response.body", "body": page})

        is_read = scope["type"] == "http" and scope["method"] == "GET"
        await self.app(scope, receive, send_page if is_read else send)


def _is_html(message):
    headers = {name.lower(): value for name, value in message["headers"]}
    return headers.get(b"content-type", b"").startswith(b"text/html") and b"content-encoding" not in headers
