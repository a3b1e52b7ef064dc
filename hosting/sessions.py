"""What the server keeps of each visitor: little, and of whoever has no state nothing that lasts.

Gradio keeps a description of every component for every session, about 1 MB, so that `gr.DeepLinkButton` can restore it, and
drops the session that was used longest ago when there are 10,000. A client that calls one endpoint is a session too. Here a
session keeps only what differs from the page, and sessions without state are dropped first.
"""

from collections import ChainMap
from types import SimpleNamespace
from typing import cast

import gradio as gr
from gradio.routes import App
from gradio.state_holder import SessionState, StateHolder


class Session(SessionState):
    """The components that were changed for one visitor, and the visitor's state."""

    def __init__(self, blocks: gr.Blocks):
        page = blocks.default_config
        super().__init__(cast(gr.Blocks, SimpleNamespace(default_config=page, blocks={})))  # without the descriptions
        self.blocks_config.blocks = cast(dict, ChainMap({}, page.blocks))  # changes go to the first
        self.blocks_config.fns = page.fns

    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        self.config_values.clear()

    def _update_config(self, key):
        pass

    def _update_value_in_config(self, key, value):
        pass


class Sessions(StateHolder):
    """All visitors, at most `capacity` of them."""

    def __getitem__(self, session_id: str) -> SessionState:
        with self.lock:
            if session_id not in self.session_data:
                self.session_data[session_id] = Session(self.blocks)
        session = super().__getitem__(session_id)
        session.is_closed = False  # a hidden tab closes its connection, and comes back (connections.js)
        return session

    def update(self, session_id: str) -> None:
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            while len(self.session_data) > self.capacity:
                stateless = (name for name, session in self.session_data.items() if not session.state_data)
                dropped = next((name for name in stateless if name != session_id), None) or next(iter(self.session_data))
                del self.session_data[dropped]
                self.time_last_used.pop(dropped, None)


def keep_little(app: App, page: gr.Blocks) -> None:
    """Let a running page keep its sessions like this. app: what `launch` returns first; page: the gr.Blocks."""
    app.state_holder = Sessions()
    app.state_holder.set_blocks(page)
