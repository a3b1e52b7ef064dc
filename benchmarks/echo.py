"""Two trivial pages to compare with, and an empty one: python -m benchmarks.echo image|stage|bare PORT"""

import sys

import gradio as gr
import numpy as np
from starlette.middleware import Middleware

from hosting import head

kind, port = sys.argv[1], int(sys.argv[2])


def uniform(value):
    """A picture that needs no model: uniformly grey, as bright as the slider says."""
    return np.full((28, 28), int((value + 3) / 6 * 255), np.uint8)


with gr.Blocks() as demo:
    if kind == "image":  # as in most demos
        slider = gr.Slider(-3, 3, 0, step=0.1, elem_id="slider")
        image = gr.Image(elem_id="picture")
        slider.change(uniform, slider, image)
    elif kind == "stage":  # the page's own wiring and components, without a model
        import torch

        from tabs import events
        from tabs.components import raw
        from tabs.components.sliders import Sliders
        from tabs.components.stage import Stage

        def echo(sliders):
            return {"stage": raw(torch.from_numpy(uniform(sliders["z"][0]))[None] / 255)}

        start = {"model": "none", "z": [0.0] * 40, "dims": [{"index": i, "label": f"#{i + 1}"} for i in range(40)], "unused": 0}
        sliders = Sliders(start, elem_id="vae-sliders")
        stage = Stage(raw(torch.zeros(1, 28, 28)), elem_id="vae-stage")
        lines = gr.Code(language="python", interactive=False)
        events.live(sliders.input, echo, {"sliders": sliders}, {"stage": stage})
        events.live(sliders.release, lambda sliders: {"lines": str(sliders["z"])}, {"sliders": sliders}, {"lines": lines})
    else:
        gr.Markdown("# Nothing")
demo.queue(api_open=False)
head_of_page = head.html("en", ["en"], "Echo", "", {})  # where scripts of components look up their words
words = Middleware(head.Head, pages={"en": head_of_page}, title="Echo")
options = {"ssr_mode": False, "run_history": False, "app_kwargs": {"middleware": [words]}}
demo.launch(server_name="127.0.0.1", server_port=port, quiet=True, **options)
