"""Uploads this folder to Hugging Face as a Space:  make space REPO=user/name [HARDWARE=cpu-basic]

On ZeroGPU unless another hardware is named: since July 2026 that is the only one on which a free account may host a Gradio page
(https://huggingface.co/docs/hub/spaces-overview). By upload_folder and not by `git push`: the Hub refuses binaries pushed by
plain git, and upload_folder sends them as it wants them. Files that git ignores are not uploaded.
"""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import huggingface_hub
import typer
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

ROOT = Path(__file__).resolve().parent.parent
ZERO_GPU = "zero-a10g"  # its name since it was one
HARDWARE = sorted(hardware.value for hardware in huggingface_hub.SpaceHardware)

LOGIN = ".venv/bin/python -m huggingface_hub.cli.hf auth login"  # .venv/bin/hf stops working when the folder is moved

# The versions that ZeroGPU has, as of September 2026: https://huggingface.co/docs/hub/spaces-zerogpu#supported-versions
PYTHON = ("3.10.13", "3.12.12")
TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.1", "2.13.0")
OF_THE_SPACE = ("gradio", "huggingface_hub")  # a Space installs them itself: README.md's sdk_version is Gradio's


def files() -> list[str]:
    """Every file that git tracks or would track, relative to the repository: no environment, runs, caches or .git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as e:
        raise SystemExit("Uploading asks git which files belong to the project: run it in a git checkout.") from e
    names = sorted(set(os.fsdecode(out).split("\0")) - {"", ".gitattributes"})  # a Space's own names its large files
    return [name for name in names if (ROOT / name).is_file()]


def requirements() -> str:
    """requirements.txt for a Space: with a version of torch that ZeroGPU has, without what the Space installs itself."""
    lines = []
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        package, _, version = re.split(r"[\s#]", line, maxsplit=1)[0].partition("==")
        if package == "torch" and version not in TORCH:
            lines.append(f"torch=={TORCH[-1]}")
        elif package not in OF_THE_SPACE:
            lines.append(line)
    return "\n".join(lines) + "\n"


def upload(repo: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        names = files()
        for name in names:
            (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, Path(folder) / name)
        (Path(folder) / "requirements.txt").write_text(requirements(), encoding="utf-8")
        huggingface_hub.upload_folder(
            repo_id=repo,
            repo_type="space",
            folder_path=folder,
            allow_patterns=names,
            commit_message="Upload by make space",
        )


def create(repo: str, hardware: str) -> str:
    """The address of the Space, which is created if it does not exist. hardware: "" is ZeroGPU, or what an existing one has."""
    options = {"repo_type": "space", "space_sdk": "gradio", "space_hardware": hardware or ZERO_GPU, "exist_ok": True}
    url = huggingface_hub.create_repo(repo, **options)
    if hardware:  # also of a Space that was there before
        huggingface_hub.request_space_hardware(repo, hardware)
    return str(url)


ADVICE = {  # status of the Hub's answer -> what to do
    401: f"Hugging Face does not know this token: run `{LOGIN}`, or set HF_TOKEN to one that is valid.",
    402: "Hugging Face wants a paid plan of {user} for {hardware}: leave HARDWARE out, for a free account may have two Spaces "
    "on ZeroGPU, or see https://huggingface.co/pro.",
    403: "This token may not write to {repo}: use one with write access from https://huggingface.co/settings/tokens, and a "
    "user or an organization that is yours.",
    404: "Hugging Face finds no {repo}, or this token may not see it: check both names, and what the token may do.",
    429: "Hugging Face has had too many requests from here: try again in an hour.",
}
NO_ZERO_GPU = (  # 402
    "Hugging Face refuses {user} another Space on ZeroGPU: a free account may have two, once it is 30 days old and its "
    "e-mail is verified; delete one of yours, or see https://huggingface.co/pro."
)


def advice(error: Exception, repo: str, hardware: str) -> str:
    """What to do about an error of the Hub's, in one sentence."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        text = NO_ZERO_GPU if status == 402 and hardware in ("", ZERO_GPU) else ADVICE.get(status)
        if text:
            return text.format(user=repo.split("/")[0], repo=repo, hardware=hardware)
        if status >= 500:
            return f"Hugging Face is out of order at the moment ({status}): try again later."
    elif isinstance(error, (httpx.HTTPError, ConnectionError, TimeoutError)):
        return "Hugging Face cannot be reached: try again with a network, and without HF_HUB_OFFLINE."
    return f"The upload to {repo} did not succeed: {' '.join(str(error).split())}"


def main(
    repo: Annotated[str, typer.Argument(help="user/name on Hugging Face")] = "",
    hardware: Annotated[str, typer.Argument(help="such as cpu-basic; without it ZeroGPU")] = "",
) -> None:
    """Create the Space if it does not exist, and upload the project to it."""
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise SystemExit("Name the Space, as user/name: make space REPO=user/name")
    if hardware and hardware not in HARDWARE:
        raise SystemExit(f"HARDWARE must be one of {', '.join(HARDWARE)}, not {hardware[:40]!r}.")
    if not huggingface_hub.get_token():
        raise SystemExit(f"No Hugging Face token: run `{LOGIN}`, or set HF_TOKEN to one with write access.")
    try:
        url = create(repo, hardware)
        upload(repo)
    except (OSError, ValueError, httpx.HTTPError) as e:  # HfHubHTTPError is an OSError
        raise SystemExit(advice(e, repo, hardware)) from None
    print(f"Uploaded: {url} is being built.")


if __name__ == "__main__":
    typer.run(main)
