"""The workshop: one short recipe per model, the loop that they share (`engine`) and the measuring (`evaluate`)."""

import importlib.util

for _library in ("accelerate", "tqdm", "typer"):
    if importlib.util.find_spec(_library) is None:
        raise ImportError(f'{_library} is missing: install it with pip install ".[train]", in the folder of the repository.')
