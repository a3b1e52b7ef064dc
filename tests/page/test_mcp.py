"""The endpoints as tools of the Model Context Protocol: what a client such as a chat program sees and gets."""

import asyncio
import base64
import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import ROOT, is_sentence, photograph
from PIL import Image

from hosting import mcp as page_mcp
from tabs import TABS

pytest.importorskip("mcp", reason='the tools need the library mcp: pip install "gradio[mcp]"')

import importlib  # noqa: E402

import jsonschema  # noqa: E402
from mcp import ClientSession  # noqa: E402
from mcp.client.streamable_http import streamablehttp_client  # noqa: E402


def ask(url, question):
    """What `question`, a function of a session, answers."""

    async def run():
        async with streamablehttp_client(url + "/gradio_api/mcp/") as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return await question(session)

    with ThreadPoolExecutor(1) as pool:  # the browser tests' own loop may run in this thread
        return pool.submit(asyncio.run, run()).result()


def test_every_endpoint_is_a_tool_that_says_what_it_takes(page_url):
    tools = {tool.name: tool for tool in ask(page_url, lambda session: session.list_tools()).tools}
    endpoints = {fn.__name__: fn for _, tab in TABS for fn in importlib.import_module(tab).ENDPOINTS}
    assert set(tools) == set(endpoints)
    for name, tool in tools.items():
        assert tool.description.startswith(endpoints[name].__doc__.split("\n")[0])
        assert "Returns: " in tool.description
        jsonschema.Draft202012Validator.check_schema(tool.inputSchema)
        for argument, schema in tool.inputSchema["properties"].items():
            assert isinstance(schema["type"], str), (name, argument)
            assert schema["description"].endswith("."), (name, argument)
        assert "required" not in tool.inputSchema


def test_a_tool_takes_a_picture_and_answers_with_one(page_url, tmp_path):
    with open(photograph(tmp_path), "rb") as file:
        uri = "data:image/png;base64," + base64.b64encode(file.read()).decode()

    async def question(session):
        first = await session.call_tool("vae_encode", {"picture": uri})
        _, _, address = first.content
        again = await session.call_tool("vae_encode", {"picture": address.text.removeprefix("Image URL: ")})
        return first, again, await session.call_tool("vae_encode", {"picture": "https://127.0.0.1/x.png"})

    first, again, refused = ask(page_url, question)
    facts, picture, _ = first.content
    assert "kl" in facts.text.lower()
    assert Image.open(io.BytesIO(base64.b64decode(picture.data))).format == "PNG"
    assert not again.isError and again.content[0].text != facts.text  # a result is taken for an input
    assert refused.isError and refused.content[0].text.startswith("picture must be a picture's file")
    assert is_sentence(refused.content[0].text)


def test_without_the_library_a_sentence_says_so(monkeypatch):
    monkeypatch.setenv("GRADIO_MCP_SERVER", "True")
    monkeypatch.setitem(sys.modules, "gradio.mcp", None)
    with pytest.raises(SystemExit, match=r'pip install "gradio\[mcp\]"'):
        page_mcp.prepare()


def test_nothing_is_imported_where_no_tools_are_wanted():
    code = "import sys; from hosting import mcp; mcp.prepare(); print('gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
