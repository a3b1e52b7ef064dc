"""Calls of the page's functions that cannot be run: each is answered in a sentence, and is one line in the log.

Gradio answers `{"error": null}` to most of them, prints a traceback, and ignores what is sent beyond a function's arguments.
"""

import copy
import functools
import html
import json
import logging
import math
from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import gradio as gr
from fastapi.exceptions import RequestValidationError
from gradio import processing_utils
from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

log = logging.getLogger(__name__)

PATH, URL = '{"path": as /gradio_api/upload answers}', '{"url": a public address or a data URI}'


class Page(gr.Blocks):
    """A gr.Blocks that refuses calls like this, in the language of the page that calls.

    translate: (path of a page, text in English, values of its placeholders by name) -> text.
    """

    translate: Callable[..., str] = staticmethod(lambda page, text, **values: text.format(**values))

    async def process_api(self, block_fn, *args, **options):
        fn = self.fns[block_fn] if isinstance(block_fn, int) else block_fn
        _ = functools.partial(self.translate, fn.page)
        try:
            return await super().process_api(block_fn, *args, **options)
        except gr.Error as e:
            if not e.print_exception:
                log.warning("%s: %s", fn.api_name or fn.name, " ".join(html.unescape(str(e.message)).split()))
            raise
        except Exception as e:  # a fault of the page: its traceback is printed
            raise gr.Error(_("The page could not compute this: its log says why."), duration=8, title=_("Error")) from e

    async def preprocess_data(self, block_fn, inputs, state, explicit_call=False):
        """Each input by itself, so that an error can name it."""
        _ = functools.partial(self.translate, block_fn.page)
        names = _names(block_fn, _)
        if len(inputs) < len(names) or block_fn.api_visibility == "public" and len(inputs) > len(names):
            n = _("1 value") if len(names) == 1 else _("{n} values", n=len(names))
            facts = {"function": block_fn.api_name, "n": n, "names": ", ".join(names), "given": len(inputs)}
            raise refusal(_("{function} takes {n} ({names}), not {given}.", **facts), _)
        values: list[Any] = []
        for i, (name, block, value) in enumerate(zip(names, block_fn.inputs, inputs)):
            single = copy.copy(block_fn)
            single.inputs, single.component_prop_inputs = [block], [0] if i in block_fn.component_prop_inputs else []
            try:
                values += await super().preprocess_data(single, [_checked(block, value)], state, explicit_call)
            except Exception as e:
                if isinstance(e, gr.Error) and _was_changed_before(block_fn, block, value, state):
                    values.append(value)
                    continue
                raise refusal(_("{title} {problem}", title=name, problem=_problem(e, block, _)), _) from None
        return values


def refusal(sentence: str, _: Callable[..., str]) -> gr.Error:
    return gr.Error(html.escape(sentence, quote=False), duration=8, title=_("Error"), print_exception=False)


def _names(block_fn, _) -> Sequence[str]:
    """The names of a function's arguments, as users of the API know them."""
    named = list(block_fn.input_keyword_names or [])
    return [_("value {number}", number=i + 1) for i in range(len(block_fn.inputs) - len(named))] + named


def _checked(block, value):
    """A value that Gradio would otherwise take silently for another one. Raises: TypeError."""
    if isinstance(block, gr.Textbox) and not isinstance(value, (str, type(None))):
        raise TypeError
    if isinstance(block, (gr.Number, gr.Slider)) and value is not None and not _is_number(value):
        raise TypeError
    if isinstance(block, gr.Image) and value is not None:  # a file; without "meta" Gradio does not check where it lies
        path = value.get("path") or value.get("url") if isinstance(value, dict) else None
        if not isinstance(path, str) or not path:
            raise TypeError
        if path.startswith("data:"):
            path = processing_utils.save_base64_to_cache(path, block.GRADIO_CACHE)
        elif "/gradio_api/file=" in path:  # the address of another result: a server may not download from itself
            path = unquote(path.split("/gradio_api/file=")[1])
        return {**value, "path": path, "url": None, "meta": {"_type": "gradio.FileData"}}
    return value


def _is_number(value):
    """Whether a value is one that the page's scripts can send and read: they know no larger whole numbers."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= 2**53


def _was_changed_before(block_fn, block, value, state):
    """Whether a value may be one that a server which has ended since has offered to this visitor.

    What a control offers depends on what was chosen elsewhere, and the server keeps it for each session. The page's own
    handlers check all of their values (tabs/controls.py).
    """
    kinds = {gr.Radio: str, gr.Dropdown: str, gr.Slider: (int, float), gr.Number: (int, float)}
    fits = any(isinstance(block, kind) and isinstance(value, types) for kind, types in kinds.items())
    changes = getattr(getattr(state, "blocks_config", None), "blocks", {})
    has_changes = isinstance(changes, ChainMap) and block._id in changes.maps[0]
    return fits and not isinstance(value, bool) and not has_changes and block_fn.api_visibility == "private"


def _problem(error, block, _):
    """What is wrong with a value, as the end of a sentence that begins with its name."""
    if isinstance(block, gr.Image):
        return _("must be a picture's file: {path} or {url}.", path=PATH, url=URL)
    if isinstance(block, (gr.Dropdown, gr.Radio)):
        return _("must be one of {allowed}.", allowed=", ".join(str(choice[1]) for choice in block.choices))
    if isinstance(error, gr.Error):
        return _("is not allowed: {reason}", reason=error.message)
    if isinstance(block, gr.Textbox):
        return _("must be a text.")
    if isinstance(block, (gr.Number, gr.Slider)):
        return _("must be a number.")
    return _("must be true or false.") if isinstance(block, gr.Checkbox) else _("must be of another kind.")


# --- Requests that reach no function ----------------------------------------------------------------------------------

ROUTES = ("/gradio_api/call/", "/gradio_api/run/", "/gradio_api/api/", "/gradio_api/queue/join")


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    if not any(route in request.url.path for route in ROUTES):
        raise error
    return _answer(request, 404, "There is no such function: /gradio_api/info lists the names and their arguments.")


async def _wrong_arguments(request: Request, error: Exception) -> JSONResponse:
    """Named arguments, which Gradio sorts before a call begins; its sentence says which is missing or not known."""
    if "/gradio_api/call/v2/" not in request.url.path:
        raise error
    return _answer(request, 422, str(error))


async def _unreadable(request: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"][1:])
    return _answer(request, 422, f"The request cannot be read: {place or 'its body'}: {first['msg'].lower()}.")


def _answer(request, status, sentence):
    log.warning("%s: %s", " ".join(request.url.path[:200].split()), sentence)
    return JSONResponse({"detail": sentence}, status)


HANDLERS: dict = {  # of FastAPI
    FnIndexInferError: _unknown,
    KeyError: _unknown,
    TypeError: _wrong_arguments,
    ValueError: _wrong_arguments,
    RequestValidationError: _unreadable,
}


class Streams:
    """ASGI middleware for streams of results that nobody asked for, or that were read already.

    Gradio answers "404: Not Found" in the stream, which has begun, and then raises an error for its own sake.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_sentence(message):
            if message.get("body", b"").startswith(b'event: error\ndata: "404'):
                answer = {"error": "There is no such call, or its answer was read already."}
                message = {**message, "body": f"event: error\ndata: {json.dumps(answer)}\n\n".encode()}
            await send(message)

        try:
            await self.app(scope, receive, send_sentence)
        except RuntimeError as e:
            if not isinstance(e.__cause__, HTTPException):
                raise
            log.warning("%s: the answer was read already, or there was no such call.", " ".join(scope["path"][:200].split()))
            await send({"type": "http.response.body", "body": b""})
