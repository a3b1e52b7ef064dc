"""A page's `app_id`: the same in every process that serves the same page, whether after a restart or as a replica.

Gradio draws it at random, so that a server that was restarted seems to be another application. reconnect.js loads the page
again where it differs, since the numbers of components and events then mean something else.
"""

import hashlib
import json

import gradio as gr

BITS = 48  # what a number in JavaScript holds exactly


def identity(page: gr.Blocks) -> int:
    """A hash of the components and events of a page that is complete, with Gradio's version."""
    config = page.config
    parts = [config[name] for name in ("version", "components", "dependencies", "layout")]
    text = json.dumps(parts, sort_keys=True, default=lambda value: type(value).__name__)  # functions have an address
    return int(hashlib.sha256(text.encode()).hexdigest()[: BITS // 4], 16)
