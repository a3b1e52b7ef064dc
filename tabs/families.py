"""A tab's data sets, and its model of each. Without torch until a model is loaded."""

import functools
from collections.abc import Callable
from typing import Any

import gradio as gr

import genmodels as gm
from genmodels.labels import Conditions
from genmodels.messages import Message
from tabs import links, programs
from tabs.language import _

DATASET = Message("Dataset")  # as the page calls it


def cached(maxsize: int) -> Callable:
    """Decorator of `fn(checkpoint, ...)`: computed once, until training writes the checkpoint's files anew.

    What it computes has no texts, or they are messages: all languages share it.
    """

    def decorate(fn: Callable) -> Callable:
        computed = functools.lru_cache(maxsize)(lambda state, *args: fn(*args))

        @functools.wraps(fn)
        def run(checkpoint, *args):
            folder = gm.base.checkpoint_folder(checkpoint)
            return computed(gm.base.folder_state(folder), folder, *args)

        return run

    return decorate


class Family:
    """Models named after a family and a data set, such as "gan-mnist". A name from a visitor never becomes a path.

    titles: {data set: what the page calls it}. others: models of these data sets with longer names. Checkpoints of people's own
    pictures, in the folder as the page starts, come after them.
    """

    def __init__(self, name: str, titles: dict[str, str], *others: str, own: bool = False):
        found = gm.cards.own_data(name).items() if own else ()
        self.name, self.titles = name, titles | {dataset: facts["title"] for dataset, facts in found if "classes" in facts}
        self.models = (*(f"{name}-{dataset}" for dataset in self.titles), *others)

    def available(self) -> list[str]:
        """Data sets with a checkpoint, or all, so that each says what is missing."""
        return self.shipped() or list(self.titles)

    def shipped(self) -> list[str]:
        return [dataset for dataset in self.titles if gm.cards.shipped((f"{self.name}-{dataset}",))]

    def dataset_of(self, model: str) -> str:
        return gm.base.check_choice("model", model, self.models).split("-")[1]

    def check(self, dataset: str) -> str:
        return dataset if dataset in self.titles else gm.base.check_choice(DATASET, dataset, list(self.titles))  # without torch

    def checkpoint(self, dataset: str) -> str:
        return f"{self.name}-{self.check(dataset)}"

    def load(self, dataset: str) -> Any:
        return gm.load(self.checkpoint(dataset))

    def conditions(self, dataset: str) -> Conditions:
        """What the model is conditioned on: {attribute: names of its values}."""
        return gm.labels.conditions(self.checkpoint(dataset))

    def attributes(self, dataset: str) -> list[str]:
        """The names of `conditions`, also of a model that is not there."""
        return gm.cards.read_json(self.checkpoint(dataset), "config.json").get("conditions", ["class"])

    def cached(self, fn: Callable) -> Callable:
        """`fn(dataset, ...)`, computed once for each checkpoint."""
        computed = cached(1024)(lambda folder, *args: fn(*args))
        return functools.wraps(fn)(lambda dataset, *args: computed(self.checkpoint(dataset), dataset, *args))

    def program(self, dataset: str, body: str, columns: int, scale: int = 4) -> str:
        """A whole program that saves a picture. body: the lines that compute `x` with `model`; columns: of the picture."""
        return programs.program(body + programs.save(columns, scale), self.checkpoint(dataset))

    def card(self, dataset: str, *others: str) -> dict:
        """-> card: the models, and others, that are there in a table, and the text of a data set's own."""
        return {"card": gm.cards.about(gm.cards.shipped((*self.models, *others)), self.checkpoint(dataset))}

    def radio(self, min_width: int) -> gr.Radio:
        """The choice of a data set above a tab. Its label is for screen readers, and begins the sentence of `check`."""
        with gr.Row(elem_classes="choices"):
            radio = gr.Radio(
                [(_(self.titles[name]), name) for name in self.available()],
                value=self.available()[0],
                label=_(DATASET),
                show_label=False,
                container=False,
                elem_id=f"{self.name}-dataset",
                min_width=min_width,
            )
            links.choice("dataset", radio)
            return radio
