"""The page: `python app.py`, then http://127.0.0.1:7860. GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that.

In an application of your own on FastAPI:

    import app as lab
    lab.mount(my_fastapi_app, "/lab")
"""

import importlib
import os
import signal
import sys
from pathlib import Path

from hosting import environment, zero_gpu

environment.prepare()
zero_gpu.prepare()

try:
    import gradio as gr
except ModuleNotFoundError as e:
    raise SystemExit(f'{e.name} is missing: install it with pip install ".[page]", in the folder of the repository.') from e

from starlette.middleware import Middleware  # noqa: E402

import genmodels as gm  # noqa: E402
from genmodels.messages import Message  # noqa: E402
from hosting import calls, files, head, identity, mcp, sessions, theme, uploads, waiting  # noqa: E402
from tabs import TABS, endpoints, events, lane, links  # noqa: E402
from tabs.language import LANGUAGES, _, of_scripts, use  # noqa: E402

TITLE = Message("Generative models, live")
SUMMARY = Message("Every picture is computed while you watch, by models that this project trained.")
INVITATION = Message("Move a slider.")
NOT_CARRIED = Message("(drawings and uploads are lost)")
PRIVACY = Message("""\
**Your pictures.** Uploads, webcam pictures and results are kept on the computer that serves this page. They are
deleted when you close the page, or an hour after its connection was lost. Drawings are in its memory alone, and no longer than
that. Other visitors cannot see any of them, and no model is trained on them.""")


def has_checkpoint(family):
    """Whether a tab has a checkpoint to show, or needs none; if there are none at all, each tab says what is missing."""
    folder = gm.cards.checkpoint_root()
    return family not in gm.FAMILIES or any(folder.glob(f"{family}-*")) or not any(folder.glob("*/config.json"))


files.write_complete()
mcp.prepare()
modules = [importlib.import_module(module) for _, module in TABS]


def build(page, language):
    """Lay out the page in a language. What handlers compute, load and keep is the same for all languages."""
    with use(language):
        with gr.Row(elem_classes="header"):
            gr.Markdown(f"# {_(TITLE)}\n{_(SUMMARY)} **{_(INVITATION)}**")
            others = [(tag, name) for tag, name in LANGUAGES.items() if tag != language]
            gr.HTML(head.switch(others, _(NOT_CARRIED)), elem_classes="languages")
        visited = [None, *(gr.State(False) for _module in modules[1:])]
        with gr.Tabs() as groups:
            for (title, name), module, tab_visited in zip(TABS, modules, visited):
                family = name.split(".")[-1]
                with gr.Tab(_(title), id=family, visible=has_checkpoint(family)) as tab:
                    module.build(events.first_visit(page, tab, tab_visited))
        links.connect(groups)
        gr.Markdown(_(PRIVACY), elem_classes="hint", elem_id="privacy")


def build_api():
    """The functions of the API, described in English on a page of their own: Gradio describes all that belong to a page, and
    each makes that page slower.
    """
    with use(next(iter(LANGUAGES))):
        gr.Markdown(f"# {_(TITLE)}: API\n[Back to the page](./)")
        for module in modules:
            for fn in module.ENDPOINTS:
                endpoints.endpoint(fn, stream=fn in getattr(module, "STREAMED", ()))


def written_head(language):
    with use(language):
        return head.html(language, list(LANGUAGES), _(TITLE), _(SUMMARY), of_scripts(language))


def translate(page, text, **values):
    """A text of `hosting` in the language of a page, whose path is the language's name, if it is not the first's."""
    with use(page if page in LANGUAGES else next(iter(LANGUAGES))):
        return _(text, **values)


def translate_for(address, text, **values):
    """A text of `hosting` for whoever has the page at an address open."""
    return translate(address.partition("?")[0].rstrip("/").rpartition("/")[2], text, **values)


demo = calls.Page(title=TITLE, fill_width=True)
demo.queue(api_open=False, max_size=100, default_concurrency_limit=None)  # lane.py says who computes
for tag, name in list(LANGUAGES.items())[1:]:
    demo.route(name, f"/{tag}", show_in_navbar=False)
demo.route("API", f"/{head.API}", show_in_navbar=False)
with demo:  # all pages at once: Gradio makes a server of all that is there each time that one is left
    *pages, (api, *_rest) = demo.pages
    for (path, *_rest), tag in zip(pages, LANGUAGES):
        demo.current_page = path
        build(demo, tag)
    demo.current_page = api
    build_api()
demo.translate = translate
demo.app_id = identity.identity(demo)
demo.max_threads = demo._queue.max_thread_count = 256  # who waits for the lane keeps one


visitors_files = uploads.Files(os.environ["GRADIO_TEMP_DIR"])


def leave(session):
    """A visitor has closed the page."""
    visitors_files.end(session)
    sessions.forget(demo, session)


OPTIONS = {
    "ssr_mode": False,
    "run_history": False,
    "show_error": False,  # no traceback on the page; events.py says in a sentence what is wrong
    "max_file_size": "40mb",
    "footer_links": ["api", "settings"],
    "theme": theme.theme(),
    "js": head.KEYS.read_text(encoding="utf-8"),
    "css_paths": Path(__file__).parent / "tabs" / "page.css",
    "app_kwargs": {
        "middleware": [
            Middleware(head.Head, pages={tag: written_head(tag) for tag in LANGUAGES}, title=TITLE),
            Middleware(calls.Streams),
            Middleware(uploads.Watch, files=visitors_files, leave=leave, translate=translate_for),
            Middleware(waiting.Places, place=lane.place),
        ],
        "exception_handlers": calls.HANDLERS,
    },
}


def start(server, *afterwards):
    """afterwards: functions to call when all models are loaded."""
    sessions.keep_little(server, demo)
    uploads.keep_briefly(demo, visitors_files)
    events.start(*(module.prepare for module in modules), lambda: afterwards)


def mount(app, path):
    """Add the page to an application on FastAPI, at a path such as "/lab". Returns the application."""
    gr.mount_gradio_app(app, demo, path, **OPTIONS)
    demo.has_launched = True  # else Gradio takes every file of this machine for an upload
    start(app.routes[-1].app)
    return app


def main():
    environment.check_address()
    environment.return_freed_memory()  # not where the page is part of another program
    try:
        # _frontend: else Gradio asks for the page, and ends the program if that takes three seconds, as where all visitors come
        # back at once to a server that was restarted.
        server, *_ = demo.launch(prevent_thread_lock=True, max_threads=demo.max_threads, _frontend=False, **OPTIONS)
    except OSError as e:  # of all the ports that are tried when none is named
        raise SystemExit(f"The page cannot be served: {e}") from e
    start(server, environment.freeze_objects)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # as containers end a program: what is temporary is removed
    try:
        demo.block_thread()
    except SystemExit:
        pass
    environment.end()


if __name__ == "__main__":
    main()
