"""Parts that several tabs lay out alike."""

import base64
from pathlib import Path

import gradio as gr

import genmodels as gm
from tabs.controls import Number
from tabs.language import LANGUAGES, _, current


def seed_row(new: str, reset: str) -> tuple[gr.Button, gr.Number, gr.Button]:
    """(button that draws with a fresh seed, the seed's number box, button that resets)."""
    with gr.Row(elem_classes="small-controls"):
        new_button = gr.Button(new, variant="primary", scale=3, min_width=110)
        seed = Number(0, label=_("Seed"), minimum=0, maximum=2**31, precision=0, scale=2, min_width=80)
        reset_button = gr.Button(reset, scale=2, min_width=80)
    return new_button, seed, reset_button


def poster(name: str) -> str:
    """samples.png of a checkpoint as a data URI, which stands on a stage until there is more; "" if there is none."""
    file = gm.cards.checkpoint_root() / name / "samples.png"
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode() if file.is_file() else ""


def hint(text: str) -> None:
    gr.Markdown(text, elem_classes="hint")


def explanation(file: str | Path, **slots: str) -> None:
    """The text of a tab, in prose and LaTeX, from `file` (about.md) or, in another language, from its neighbour (about.zh.md);
    each {slot} in it is filled.
    """
    file = Path(file)
    if current() != next(iter(LANGUAGES)):
        file = file.with_suffix(f".{current()}{file.suffix}")
    text = file.read_text(encoding="utf-8")
    for name, value in slots.items():
        text = text.replace("{" + name + "}", value)
    with gr.Accordion(_("How it works, and when to choose it"), open=False):
        gr.Markdown(
            text,
            elem_classes="reading",
            latex_delimiters=[
                {"left": "$$", "right": "$$", "display": True},
                {"left": "$", "right": "$", "display": False},
            ],
        )


def python_lines(name: str, render: bool = True) -> gr.Code:
    """Lines of Python. name: of a tab, or of a tab and a tool. render=False: for a panel that is laid out later."""
    name = f"{name}-python"
    return gr.Code(language="python", interactive=False, show_label=False, wrap_lines=True, elem_id=name, render=render)


def python_panel(tab: str, tool: str = "", title: str = "", lines: gr.Code | None = None) -> gr.Code:
    """The lines that make what is on the stage, or, with `tool` and its title, what a tool of the tab shows."""
    with gr.Accordion(
        (title or _("In Python")) if tool else _("Reproduce in Python"), open=False, elem_classes="lines" if tool else []
    ):
        if not tool:
            gr.Markdown(
                _(
                    "This program reproduces the picture on the stage, with the current values and seed. Run it in the folder "
                    "of this project."
                )
            )
        return lines.render() if lines else python_lines(f"{tab}-{tool}" if tool else tab)


def models_card() -> gr.Markdown:
    """Where the models' table and card go."""
    with gr.Accordion(_("The models, and what was measured"), open=False):
        return gr.Markdown()
