"""The page's endpoints as tools of the Model Context Protocol, where GRADIO_MCP_SERVER is True."""

import os
from typing import Any

from anyio.to_thread import run_sync


def prepare() -> None:
    """Check that the library is there, and mend what Gradio answers. Nothing is imported where no tools are wanted.

    Raises:
        SystemExit: one sentence, if the library is missing.
    """
    if os.environ.get("GRADIO_MCP_SERVER", "").lower() != "true":
        return
    try:
        from gradio.mcp import GradioMCPServer
    except ImportError as e:
        raise SystemExit('mcp is missing: install it with pip install "gradio[mcp]", or leave GRADIO_MCP_SERVER out.') from e
    setattr(GradioMCPServer, "_execute_tool_without_progress", _results)  # noqa: B010


async def _results(server: Any, job: Any) -> list:
    """All results of a call; Gradio takes several for one, so that a picture among them becomes a text."""
    result = await run_sync(job.result)
    return list(result) if isinstance(result, tuple) else [result]
