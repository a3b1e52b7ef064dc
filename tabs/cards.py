"""What the page says of a checkpoint, from its card. Without torch."""

import base64
import os
from pathlib import Path

from huggingface_hub import metadata_load

import genmodels as gm


def checkpoints() -> Path:
    """The folder of the shipped models, as `genmodels.base.checkpoint_root` finds it, without importing torch."""
    return Path(os.environ.get("GENMODELS_CHECKPOINTS") or Path(gm.__file__).resolve().parent.parent / "checkpoints")


def shipped(names: tuple[str, ...]) -> list[str]:
    """Those of the checkpoints that are there."""
    return [name for name in names if (checkpoints() / name).is_dir()]


def poster(name: str) -> str:
    """samples.png of a checkpoint as a data URI; "" if there is none."""
    file = checkpoints() / name / "samples.png"
    return "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode() if file.is_file() else ""


def metadata(name: str) -> dict:
    """What a checkpoint's card says in its front matter: headline, paper, parameters, minutes; {} if there is none."""
    try:
        return (metadata_load(checkpoints() / name / "README.md") or {}).get("genmodels") or {}
    except (OSError, ValueError, AttributeError):
        return {}


def headline(name: str) -> str:
    """One line of what was measured."""
    facts = metadata(name)
    if not facts:
        return f"the card of `{name}` is missing."
    return f"`{name}`, {facts['minutes']:g} minutes of training: {facts['headline']}, on the test split."


def models_table(names: tuple[str, ...]) -> str:
    """A tab's models, from their cards, as Markdown."""
    rows = ["| model | paper | parameters | minutes of training | on the test split |", "|---|---|---|---|---|"]
    for name in names:
        facts, cells = metadata(name), ["no card", "", "", ""]
        if facts:
            cells = [facts["paper"], f"{facts['parameters'] / 1e6:.2f} M", f"{facts['minutes']:g}", facts["headline"]]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def text(name: str) -> str:
    """A checkpoint's card without its front matter and pictures; a sentence if there is none."""
    file = checkpoints() / name / "README.md"
    if not file.is_file():
        return f"There is no card for {name}."
    content = file.read_text(encoding="utf-8")
    if content.startswith("---\n") and "\n---\n" in content:
        content = content.split("\n---\n", 1)[1]
    return "\n".join(line for line in content.splitlines() if not line.startswith("!["))


def about(names: tuple[str, ...], name: str) -> str:
    """The table of a tab's models, and the card of one of them."""
    return models_table(names) + "\n\n---\n\n" + text(name)
