"""Uploads this folder to Hugging Face as a Space:  make space REPO=user/name

By upload_folder and not by `git push`: the Hub refuses binaries pushed by plain git. Files that git ignores are not uploaded.
"""

import subprocess
from pathlib import Path
from typing import Annotated

import huggingface_hub
import typer
from huggingface_hub.utils import httpx

ROOT = Path(__file__).resolve().parent.parent


def files() -> list[str]:
    """Every file that git tracks or would track, relative to the repository: no environment, runs, caches or .git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        out = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as e:
        raise SystemExit("Uploading asks git which files belong to the project: run it in a git checkout.") from e
    names = sorted(set(out.split("\0")) - {"", ".gitattributes"})  # a Space has its own .gitattributes, which names large files
    return [name for name in names if (ROOT / name).is_file()]


def main(repo: Annotated[str, typer.Argument(help="user/name on Hugging Face")] = "") -> None:
    """Create the Space if it does not exist, and upload the project to it."""
    if repo.count("/") != 1 or not all(repo.split("/")):
        raise SystemExit("Name the Space, as user/name: make space REPO=user/name")
    if not huggingface_hub.get_token():
        raise SystemExit("No Hugging Face token: run `.venv/bin/hf auth login`, or set HF_TOKEN to one with write access.")
    try:
        url = huggingface_hub.create_repo(repo, repo_type="space", space_sdk="gradio", exist_ok=True)
        huggingface_hub.upload_folder(
            repo_id=repo,
            repo_type="space",
            folder_path=ROOT,
            allow_patterns=files(),
            commit_message="Upload by make space",
        )
    except (OSError, ValueError, httpx.HTTPError) as e:  # refused, offline, or a name that the Hub does not allow
        raise SystemExit(f"Hugging Face did not accept the upload to {repo}: {e}") from e
    print(f"Uploaded: {url} is being built.")


if __name__ == "__main__":
    typer.run(main)
