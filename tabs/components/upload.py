"""A picture from the visitor's disk or clipboard."""

import gradio as gr
from gradio.components.image import ImageData
from pydantic import ValidationError, model_validator

from tabs.language import _


class _File(ImageData):
    @model_validator(mode="wrap")
    @classmethod
    def or_no_file(cls, value, handler):  # an invalid upload gets the sentence of `genmodels.pictures.read`, no traceback
        try:
            return handler(value)
        except ValidationError:
            return cls.model_construct(path="")


class _Upload(gr.Image):
    data_model = _File

    def get_block_name(self):  # in the browser it is an Image
        return "image"

    def preprocess(self, payload):
        return payload.path if payload else None


def upload(webcam=False, **props):
    """A gr.Image that gives the file's path without decoding it, so that `genmodels.pictures.read` can check it first."""
    # A function, not a constructor: the browser gets only those properties of an Image that its class has as arguments.
    look = {"label": _("Upload a picture"), "show_label": False, "elem_classes": "upload", "buttons": [], **props}
    look["webcam_options"] = gr.WebcamOptions(mirror=False)  # what the camera sees: a mirrored 3 is no 3
    return _Upload(type="filepath", image_mode=None, sources=["upload", *["webcam"] * webcam, "clipboard"], **look)
