"""Reproduce in Python: the lines that make what is on the stage."""

import base64
import textwrap

from genmodels.messages import Message

PENDING = Message("# The program appears here when the run has finished.")
STOPPED = Message("# The run was stopped: there is a program for finished runs only.")
IMPORTS = {  # what a program imports, by what its lines name
    "base64.": "import base64",
    "io.": "import io",
    "np.": "import numpy as np",
    "torch.": "import torch",
    "Image.": "from PIL import Image",
    "math.": "import math",
}


def program(body: str, checkpoint: str | None = None) -> str:
    """A whole program. body: the lines after those that load the checkpoint as `model`."""
    imports = [line for name, line in IMPORTS.items() if name in body]
    load = [f'model = gm.load("{checkpoint}")'] if checkpoint else []
    return "\n".join([*imports, *[""] * bool(imports), "import genmodels as gm", "", *load, body.rstrip("\n"), ""])


def save(columns: int, scale: int = 4) -> str:
    """The line that writes the pictures `x` to a file."""
    return f'gm.pictures.grid(x, columns={columns}, scale={scale}).save("picture.png")\n'


def constant(name: str, data: bytes) -> str:
    """Bytes as a constant of base64."""
    parts = textwrap.wrap(base64.b64encode(data).decode(), 110)
    return f"{name} = base64.b64decode(\n" + "\n".join(f'    "{part}"' for part in parts) + "\n)\n"
