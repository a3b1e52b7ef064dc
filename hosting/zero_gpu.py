"""Hugging Face's ZeroGPU, on which free accounts host pages: a Space there does not start without a function for the GPU.

The page computes on the CPU there as everywhere. A slider's picture takes milliseconds; a GPU is lent for each call anew, after
a queue, and counts against a visitor's few minutes a day.
"""

import os


def prepare() -> None:
    """Name a function for the GPU on ZeroGPU; elsewhere nothing is done or imported. Call it before gradio is imported."""
    if os.environ.get("SPACES_ZERO_GPU", "").lower() not in ("1", "t", "true"):
        return
    import spaces  # a Space on ZeroGPU has it

    @spaces.GPU
    def unused():
        """Never called: that it exists is enough."""

    spaces.disable_gradio_auto_wrap()  # else handlers of the page would ask for the GPU
