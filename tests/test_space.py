"""`make space`: what a Hugging Face Space gets, what it forces, and what is said when the Hub refuses. No network."""

import importlib.util
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import huggingface_hub
import pytest
import space
from helpers import ROOT, is_sentence
from huggingface_hub import metadata_load
from huggingface_hub.utils import httpx

from hosting import zero_gpu

REFUSAL = "Static Spaces are free, but hosting Gradio and Docker Spaces on free cpu-basic requires a PRO subscription."


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """What would be sent to the Hub: {function: its arguments}."""
    calls = {}

    def upload_folder(folder_path, allow_patterns, **options):
        texts = {name: (Path(folder_path) / name).read_bytes() for name in ("README.md", "requirements.txt", "app.py")}
        calls["upload"] = {"names": allow_patterns, "texts": texts, **options}
        calls["on disk"] = sorted(p.relative_to(folder_path).as_posix() for p in Path(folder_path).rglob("*") if p.is_file())

    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(huggingface_hub, "create_repo", lambda repo, **k: calls.update(create=(repo, k)) or "https://x")
    monkeypatch.setattr(huggingface_hub, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub, "request_space_hardware", lambda *args: calls.update(hardware=args))
    return calls


@pytest.fixture
def files():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: only git knows which files are the repository's")
    return space.files()


# --- What is sent -----------------------------------------------------------------------------------------------------


def test_a_space_gets_the_project_and_nothing_else(files, hub, capsys):
    space.main("user/name")
    options = {"repo_type": "space", "space_sdk": "gradio", "space_hardware": "zero-a10g", "exist_ok": True}
    assert hub["create"] == ("user/name", options)
    assert "hardware" not in hub  # a Space that was there before keeps its own
    assert hub["upload"]["repo_type"] == "space"
    assert hub["upload"]["names"] == hub["on disk"] == files
    assert {"app.py", "README.md", "requirements.txt", "hosting/zero_gpu.py", "checkpoints/vae-mnist/config.json"} <= set(files)
    assert not [name for name in files if name.startswith((".venv/", ".git/", "runs/", ".pytest_cache/"))]
    assert hub["upload"]["texts"]["app.py"] == (ROOT / "app.py").read_bytes()
    assert "https://x" in capsys.readouterr().out


def test_a_space_gets_new_files_but_none_that_git_ignores(tmp_path, monkeypatch):
    """Environments, data and runs lie in the folder of a checkout, too."""
    for name in ("app.py", "new.py", "runs/state.bin", ".gitattributes", ".gitignore"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("runs/\n", encoding="utf-8")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "app.py", ".gitattributes", ".gitignore"], check=True)
    monkeypatch.setattr(space, "ROOT", tmp_path)
    assert space.files() == [".gitignore", "app.py", "new.py"]


def test_the_hardware_is_that_which_is_asked_for(files, hub):
    space.main("user/name", "cpu-basic")
    assert hub["create"][1]["space_hardware"] == "cpu-basic"
    assert hub["hardware"] == ("user/name", "cpu-basic")


def test_files_have_names_in_any_language(monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: types.SimpleNamespace(stdout="app.py\0诗.txt\0".encode()))
    monkeypatch.setattr(Path, "is_file", lambda path: True)
    assert space.files() == ["app.py", "诗.txt"]


# --- What a Space forces ----------------------------------------------------------------------------------------------


def test_versions_are_those_that_zero_gpu_has(files, hub):
    space.main("user/name")
    lines = hub["upload"]["texts"]["requirements.txt"].decode().splitlines()
    pinned = dict(re.match(r"([\w-]+)==([\d.]+)", line).groups() for line in lines if not line.startswith("#"))
    assert pinned["torch"] in space.TORCH
    ours = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    own = {package: version for package, version in re.findall(r"^([\w-]+)==([\d.]+)", ours, re.M)}
    assert pinned == {**{k: v for k, v in own.items() if k not in space.OF_THE_SPACE}, "torch": pinned["torch"]}
    front = metadata_load(ROOT / "README.md")
    assert front["python_version"] in space.PYTHON
    assert front["sdk_version"] == own["gradio"]


def test_a_version_of_torch_that_zero_gpu_has_is_kept_and_another_one_is_its_newest(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "ROOT", tmp_path)
    newest = max(space.TORCH, key=lambda version: [int(part) for part in version.split(".")])
    for version, expected in ((space.TORCH[0], f"{space.TORCH[0]}  # models"), ("2.13.9", newest), ("1.0.0", newest)):
        (tmp_path / "requirements.txt").write_text(f"gradio==6\ntorch=={version}  # models\nnumpy==2\n", encoding="utf-8")
        assert space.requirements() == f"torch=={expected}\nnumpy==2\n"


def test_sizes_are_those_that_a_space_takes(files):
    sizes = {name: (ROOT / name).stat().st_size for name in files}
    assert {name: size for name, size in sizes.items() if size > 10e6} == {}, "a Space refuses larger files pushed by git"
    assert sum(sizes.values()) < 1e9


def test_the_page_has_a_function_for_the_gpu_before_it_imports_gradio(tmp_path):
    """As on ZeroGPU, which sets this variable."""
    (tmp_path / "spaces.py").write_text(
        "names = []\n"
        "def GPU(fn): names.append(fn.__name__); return fn\n"
        "def disable_gradio_auto_wrap(): names.append('no wrap')\n",
        encoding="utf-8",
    )
    code = """
import spaces, sys
sys.modules["gradio"] = None
try:
    import app
except SystemExit as e:
    print(spaces.names, e)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "SPACES_ZERO_GPU": "true"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.stdout.startswith("['unused', 'no wrap'] gradio is missing"), done.stderr


def test_elsewhere_nothing_is_imported(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    monkeypatch.setitem(sys.modules, "spaces", None)  # importing it is an error
    zero_gpu.prepare()
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    with pytest.raises(ImportError):
        zero_gpu.prepare()


# --- What is said -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repo", "hardware", "sentence"),
    [
        ("", "", "Name the Space"),
        ("name", "", "Name the Space"),
        ("a/b/c", "", "Name the Space"),
        ("user/name", "", "No Hugging Face token"),
        ("user/name", "gpu", "HARDWARE must be one of .*cpu-basic.*zero-a10g, not 'gpu'"),
    ],
)
def test_space_says_what_is_missing(repo, hardware, sentence, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(SystemExit, match=sentence):
        space.main(repo, hardware)


def answer(monkeypatch, status, text=""):
    """Let the Hub answer every request with this status, as its real client sees it."""

    class Hub(httpx.BaseTransport):
        def handle_request(self, request):
            if isinstance(status, Exception):
                raise status
            return httpx.Response(status, json={"error": text}, request=request)

    client = httpx.Client(transport=Hub())
    monkeypatch.setattr(huggingface_hub.hf_api, "get_session", lambda: client)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setattr(space.huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.mark.parametrize(
    ("status", "hardware", "sentence"),
    [
        (401, "", "hf auth login"),
        (402, "", "a free account may have two"),
        (402, "zero-a10g", "a free account may have two"),
        (402, "cpu-basic", "leave HARDWARE out"),
        (403, "", "This token may not write to user/name"),
        (404, "", "finds no user/name"),
        (429, "", "try again in an hour"),
        (503, "", "out of order"),
        (400, "", "did not succeed: .*a PRO subscription"),
        (httpx.ConnectError("no route"), "", "cannot be reached"),
        (httpx.ReadTimeout("slow"), "", "cannot be reached"),
        (ConnectionError("offline"), "", "cannot be reached"),
    ],
)
def test_a_refusal_of_the_hub_is_answered_with_what_to_do(monkeypatch, status, hardware, sentence):
    answer(monkeypatch, status, REFUSAL)
    with pytest.raises(SystemExit, match=sentence) as refused:
        space.main("user/name", hardware)
    assert is_sentence(str(refused.value))


def test_a_name_that_the_hub_does_not_allow(monkeypatch):
    answer(monkeypatch, 200)
    with pytest.raises(SystemExit, match="upload to user/na me did not succeed: Repo id must") as refused:
        space.main("user/na me")
    assert is_sentence(str(refused.value))


def test_make_works_in_a_folder_that_was_moved():
    """Other programs in .venv/bin begin with the path of the folder in which they were installed."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\(BIN\)/(\S+)", makefile)) == {"python"}
    assert importlib.util.find_spec(re.search(r"-m (\S+)", space.LOGIN)[1])
