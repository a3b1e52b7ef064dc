"""Checks of the repository as a whole: versions, sizes, imports between folders, names and type hints, nothing unpickled."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import space
from huggingface_hub import metadata_load

ROOT = Path(__file__).resolve().parent.parent
CODE = [file for folder in ("genmodels", "hosting", "tabs", "train") for file in sorted((ROOT / folder).rglob("*.py"))]
CHECKPOINT_FILES = {"model.safetensors", "config.json", "README.md", "log.jsonl"}  # and samples.png, or samples.txt of texts


@pytest.fixture(scope="module")
def files():
    """Every file that is, or is about to be, tracked."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: only git knows which files are the repository's")
    return [ROOT / name for name in space.files()]


def requirements(name):
    """{package: rest of its line, without the comment} of a requirement file."""
    lines = [line.split("#")[0].strip() for line in (ROOT / name).read_text(encoding="utf-8").splitlines()]
    matches = [re.fullmatch(r"([\w-]+)(.*)", line) for line in lines if line and not line.startswith("-r ")]
    return {m[1]: m[2] for m in matches}


# --- Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name):
    assert requirements(name)
    assert {p: v for p, v in requirements(name).items() if not re.fullmatch(r"==[\d.]+", v)} == {}


def test_the_space_gets_the_same_versions():
    front = metadata_load(ROOT / "README.md")
    assert front["sdk"] == "gradio"
    assert "==" + front["sdk_version"] == requirements("requirements.txt")["gradio"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert front["python_version"] in space.PYTHON
    assert project["requires-python"] == ">=3.11"  # as text, the newest of a Space's is newer
    assert front["license"] == project["license"].lower()
    page, dev = requirements("requirements.txt"), requirements("requirements-dev.txt")
    assert set(project["dependencies"]) <= set(page)
    extras = {name: {p for p in packages if "[" not in p} for name, packages in project["optional-dependencies"].items()}
    assert extras["page"] | extras["denoise"] <= set(page)
    assert extras["train"] | extras["metrics"] <= set(dev)


def test_the_front_matter_is_what_spaces_accepts():
    front = metadata_load(ROOT / "README.md")
    assert front["title"]
    assert front["emoji"]
    assert front["tags"]
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {front["colorFrom"], front["colorTo"]} <= colours
    assert len(front["short_description"]) <= 60
    assert (ROOT / front["app_file"]).is_file()
    assert (ROOT / front["thumbnail"]).is_file()


# --- Files ------------------------------------------------------------------------------------------------------------


def test_the_repository_stays_small(files):
    sizes = {f.relative_to(ROOT).as_posix(): f.stat().st_size for f in files}
    assert "README.md" in sizes
    assert {name: size for name, size in sizes.items() if size > 10e6} == {}, "a Space refuses files over 10 MB"
    assert sum(sizes.values()) < 110e6


def test_every_checkpoint_folder_is_complete(files):
    folders = {}
    for f in files:
        parts = f.relative_to(ROOT).parts
        if parts[0] == "checkpoints":
            folders.setdefault(parts[1], set()).add("/".join(parts[2:]))
    assert folders
    assert {name: CHECKPOINT_FILES - has for name, has in folders.items() if not has >= CHECKPOINT_FILES} == {}
    assert [name for name, has in folders.items() if len(has & {"samples.png", "samples.txt"}) != 1] == []


def test_local_links_of_the_readme_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)", text) + re.findall(r'(?:src|href)="([^"#]+)"', text)
    assert [link for link in links if "://" not in link and not (ROOT / link).exists()] == []


# --- Imports go one way: app -> tabs -> genmodels <- train ------------------------------------------------------------


@functools.cache
def nodes(file):
    """All nodes of a file's syntax tree."""
    return list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))


def imports(file):
    """Every name that the file imports, at any level, in full: "torch.nn.functional", "torch.load"."""
    for node in nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("genmodels", {"gradio", "accelerate", "train", "tabs", "app", "typer"}),
        ("train", {"gradio", "tabs", "app"}),
        ("hosting", {"torch", "accelerate", "genmodels", "train", "tabs", "app"}),
        ("tabs", {"accelerate", "hosting", "train", "app", "torchvision", "torchmetrics", "skimage", "typer"}),
    ],
)
def test_imports_go_one_way(folder, forbidden):
    checked = [file for file in CODE if file.is_relative_to(ROOT / folder)]
    assert checked
    found = {(file.name, name) for file in checked for name in imports(file) if name.split(".")[0] in forbidden}
    assert found == set()


def test_nothing_is_unpickled():
    """Neither by torch.load nor by a module that pickles: a checkpoint from a stranger runs no code."""
    assert CODE
    picklers = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for file in CODE:
        names = set(imports(file))
        assert not {name.split(".")[0] for name in names} & picklers, file
        assert "torch.load" not in names, file
        for node in nodes(file):
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.load"), f"{file}:{node.lineno}"
            unsafe = isinstance(node, ast.keyword) and (node.arg, ast.unparse(node.value)) == ("allow_pickle", "True")
            assert not unsafe, f"{file}:{node.lineno}"


def test_importing_the_package_does_not_import_torch():
    """The page answers before torch is imported."""
    code = "import sys, genmodels; print(*sorted({'torch', 'numpy', 'gradio'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout.strip()) == (0, ""), run.stderr


def test_no_tab_imports_another():
    tabs = {folder.name for folder in (ROOT / "tabs").iterdir() if (folder / "__init__.py").is_file()} - {"components"}
    assert len(tabs) >= 6
    crossing = [
        (file.relative_to(ROOT).as_posix(), name)
        for tab in tabs
        for file in (ROOT / "tabs" / tab).glob("*.py")
        for name in imports(file)
        if re.match(r"tabs\.(\w+)", name) and name.split(".")[1] in tabs - {tab}
    ]
    assert crossing == []


def test_no_test_module_imports_another():
    modules = {file.stem for file in (ROOT / "tests").rglob("test_*.py")}
    found = [
        (file.name, name) for file in (ROOT / "tests").rglob("*.py") for name in imports(file) if modules & set(name.split("."))
    ]
    assert found == []


# --- Names and type hints ---------------------------------------------------------------------------------------------

FUNCTION_WORDS = set(
    "told at of wish mine seen known some said usual leads hills bend spoilt drown here there now both which".split()
)
TYPED = [
    *(file for file in CODE if file.parent in (ROOT / "tabs", ROOT / "hosting") or file.is_relative_to(ROOT / "genmodels")),
    ROOT / "tabs" / "components" / "__init__.py",
    *(ROOT / "train" / name for name in ("engine.py", "state.py", "measures.py", "cards.py")),
]


def bound_names(file):
    """Every (name, line) that the file binds: variables, arguments, functions and classes."""
    for node in nodes(file):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def test_names_are_nouns_and_verbs():
    """Not English function words: a name says what a value is."""
    found = [
        f"{file.relative_to(ROOT)}:{line} {name}"
        for file in [*CODE, *sorted((ROOT / "tests").rglob("*.py"))]
        for name, line in bound_names(file)
        if name in FUNCTION_WORDS
    ]
    assert len(found) < 10, found


def public_functions(body):
    """Public functions and methods of a module's or class's body, with those of its public classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body)


def test_public_functions_have_type_hints():
    assert all(file.is_file() for file in TYPED)
    missing = []
    for file in TYPED:
        for function in public_functions(ast.parse(file.read_text(encoding="utf-8")).body):
            parts = function.args
            arguments = [*parts.posonlyargs, *parts.args, *parts.kwonlyargs, parts.vararg, parts.kwarg]
            untyped = [a.arg for a in arguments if a and not a.annotation and a.arg not in ("self", "cls")]
            if untyped or function.returns is None:
                missing.append(f"{file.relative_to(ROOT)}:{function.lineno} {function.name} {untyped}")
    assert missing == []


def test_every_fault_of_the_list_can_be_put_in():
    """What `make mutants` replaces stands once in its file."""
    faults = tomllib.loads((ROOT / "tests" / "faults.toml").read_text(encoding="utf-8"))["fault"]
    stale = [f["name"] for f in faults if (ROOT / f["file"]).read_text(encoding="utf-8").count(f["old"]) != 1]
    assert faults and stale == []


# --- What the README and the Makefile promise -------------------------------------------------------------------------


def test_the_readme_example_runs(tmp_path, monkeypatch):
    example = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})
    assert [file.name for file in tmp_path.iterdir()] == ["digits.png"]


def test_an_older_python_gives_a_clear_error(tmp_path):
    """make stops before it creates an environment."""
    old = tmp_path / "python"
    as_old = "import sys; sys.version_info = (3, 9); exec(sys.argv[1])"
    old.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{as_old}' \"$2\"\n", encoding="utf-8")
    old.chmod(0o755)
    (tmp_path / "requirements.txt").touch()
    command = ["make", "-f", ROOT / "Makefile", "app", f"PYTHON={old}"]
    try:
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no make on this machine")
    assert run.returncode != 0
    assert "needs Python 3.11 or newer" in run.stderr
    assert not (tmp_path / ".venv").exists()
