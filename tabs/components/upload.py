"""A picture from the visitor's disk or clipboard."""

import gradio as gr
from gradio.components.image import ImageData
from pydantic import ValidationError, model_validator


class _File(ImageData):
    @model_validator(mode="wrap")
    @classmethod
    def or_no_file(cls, value, handler):  # what is no upload gets read_picture's sentence instead of a traceback
        try:
            return handler(value)
        except ValidationError:
            return cls.model_construct(path="")


class _Upload(gr.Image):
    data_model = _File

    def get_block_name(self):  # to the browser
        return "image"

    def preprocess(self, payload):
        return payload.path if payload else None


def upload(webcam=False, **props):
    """A gr.Image that hands over the file's path and decodes nothing: `wiring.read_picture` looks at it first."""
    # a function: the browser gets only those arguments of an Image that are in the signature of its class
    return _Upload(type="filepath", image_mode=None, sources=["upload", *["webcam"] * webcam, "clipboard"], buttons=[], **props)
