"""The page: `python app.py`, then http://127.0.0.1:7860. GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that.

In an application of your own on FastAPI:

    import app as lab
    lab.mount(my_fastapi_app, "/lab")
"""

import importlib
import signal
import sys
from pathlib import Path

from hosting import environment

environment.prepare()

try:
    import gradio as gr
except ModuleNotFoundError as e:
    raise SystemExit(f'{e.name} is missing: install it with pip install ".[page]", in the folder of the repository.') from e

from starlette.middleware import Middleware  # noqa: E402

import genmodels as gm  # noqa: E402
from hosting import head, sessions, theme  # noqa: E402
from tabs import TABS, endpoints, events  # noqa: E402

HEADER = """# Generative models, live
Every picture is computed while you watch, by models that this project trained. **Move a slider.**"""


def has_checkpoint(family):
    """Whether a tab has a checkpoint to show; if there is none at all, every tab is shown and says what is missing."""
    folder = gm.cards.checkpoint_root()
    return any(folder.glob(f"{family}-*")) or not any(folder.glob("*/config.json"))


modules = [importlib.import_module(module) for _, module in TABS]

with gr.Blocks(title="Generative models, live", delete_cache=(3600, 6 * 3600), fill_width=True) as demo:
    gr.Markdown(HEADER, elem_classes="header")
    visited = [None, *(gr.State(False) for _ in modules[1:])]
    with gr.Tabs():
        for (title, name), module, tab_visited in zip(TABS, modules, visited):
            family = name.split(".")[-1]
            with gr.Tab(title, id=family, visible=has_checkpoint(family)) as tab:
                module.build(events.first_visit(demo, tab, tab_visited))
    for module in modules:
        for fn in module.ENDPOINTS:
            endpoints.endpoint(fn, stream=fn in getattr(module, "STREAMED", ()))
demo.queue(api_open=False, max_size=100, default_concurrency_limit=16)  # events.py computes one request at a time


OPTIONS = {
    "ssr_mode": False,
    "run_history": False,
    "show_error": False,  # no traceback on the page; events.py says in a sentence what is wrong
    "max_file_size": "40mb",
    "footer_links": ["api", "settings"],
    "theme": theme.theme(),
    "js": head.KEYS.read_text(encoding="utf-8"),
    "css_paths": Path(__file__).parent / "tabs" / "page.css",
    "app_kwargs": {"middleware": [Middleware(head.Head, script=head.CONNECTIONS.read_text(encoding="utf-8"))]},
}


def start(server):
    sessions.keep_little(server, demo)
    events.start(*(module.prepare for module in modules))


def mount(app, path):
    """Add the page to an application on FastAPI, at a path such as "/lab". Returns the application."""
    gr.mount_gradio_app(app, demo, path, **OPTIONS)
    start(app.routes[-1].app)
    return app


def main():
    try:
        server, *_ = demo.launch(prevent_thread_lock=True, **OPTIONS)
    except OSError as e:
        raise SystemExit(f"The page cannot be served at {environment.address()}: {e}") from e
    start(server)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as containers end a program: what is temporary is removed
    demo.block_thread()


if __name__ == "__main__":
    main()
