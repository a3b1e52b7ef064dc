"""Where a visitor's computation stands among those of others, which waiting.js asks for and shows."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.responses import JSONResponse

ADDRESS = re.compile(r"/gradio_api/place/(\w+)$")


class Places:
    """ASGI middleware that answers GET /gradio_api/place/SESSION with {"ahead": ..., "others": ...}, or {} if nothing waits.

    place: session -> a named tuple with these fields, or None.
    """

    def __init__(self, app, place: Callable[[str], Any]):
        self.app, self.place = app, place

    async def __call__(self, scope, receive, send):
        found = ADDRESS.search(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if not found:
            return await self.app(scope, receive, send)
        place: NamedTuple | None = self.place(found[1])
        await JSONResponse(place._asdict() if place else {})(scope, receive, send)
