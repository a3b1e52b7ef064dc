"""The package as its users get it: installed from a wheel, from the Hugging Face Hub, and without its extras."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from huggingface_hub import hub_mixin, metadata_load

import genmodels as gm
from genmodels.base import CheckpointError

ROOT = Path(__file__).resolve().parent.parent


# --- pip install . ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package as `pip install .` installs it, without its dependencies and without a network."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "source").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, folder / "source")
    shutil.copytree(ROOT / "genmodels", folder / "source" / "genmodels", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    build = [*pip, "wheel", folder / "source", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    install = [*pip, "install", wheel, "--no-deps", "--no-index", "--no-compile", "--target", folder / "installed"]
    subprocess.run(install, check=True, capture_output=True, cwd=folder)
    return folder / "installed"


def run_installed(installed, folder, code, **variables):
    """What the code prints, run in a folder with the installed package."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GENMODELS_")} | variables | {"PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_installed_package_works_in_another_folder(installed, tmp_path):
    gm.VAE(size=8, latent=2, width=4, hidden=8).save_pretrained(tmp_path / "shelf" / "vae-tiny")
    code = """
import os
import genmodels as gm
print(gm.__file__)
print(gm.checkpoints())
try:
    gm.load("vae-mnist")
except ValueError as e:
    print(e)
os.environ["GENMODELS_CHECKPOINTS"] = "shelf"
print(gm.load("vae-tiny").sample(2, seed=0).shape, gm.load("shelf/vae-tiny") is gm.load("vae-tiny"))
print(len(gm.data.samples("mnist")))
print(all(hasattr(gm, name) for name in gm.__all__))
"""
    file, names, error, loaded, samples, complete = run_installed(installed, tmp_path, code)
    assert Path(file).is_relative_to(installed)
    assert names == "[]"
    assert error.startswith("There is no checkpoint 'vae-mnist'")
    assert "clone the repository" in error
    assert 'from_pretrained("user/repo")' in error
    assert loaded == "torch.Size([2, 1, 8, 8]) True"
    assert (samples, complete) == ("200", "True")


def test_the_wheel_holds_the_package_and_its_licences_and_names_its_extras(installed):
    assert sorted(p.name for p in installed.iterdir() if not p.name.endswith(".dist-info")) == ["genmodels"]
    shipped = {p.relative_to(ROOT).as_posix() for ext in ("py", "npz", "json") for p in (ROOT / "genmodels").rglob(f"*.{ext}")}
    files = {
        p.relative_to(installed).as_posix() for p in (installed / "genmodels").rglob("*") if p.is_file() and p.suffix != ".pyc"
    }
    assert files == shipped
    (info,) = installed.glob("*.dist-info")
    assert {"LICENSE", "NOTICE"} <= {p.name for p in info.rglob("*")}
    extras = set(re.findall(r"^Provides-Extra: (.+)$", (info / "METADATA").read_text(encoding="utf-8"), re.MULTILINE))
    assert extras == {"metrics", "denoise", "train", "page"}


# --- Extras -----------------------------------------------------------------------------------------------------------

NEEDS = {  # a call -> (the library that it needs, the extra that installs it)
    "fid": (lambda folder: gm.metrics.fid(torch.rand(9, 2), torch.rand(9, 2)), "torchmetrics", "metrics"),
    "psnr": (lambda folder: gm.metrics.psnr(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)), "torchmetrics", "metrics"),
    "ssim": (lambda folder: gm.metrics.ssim(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16)), "torchmetrics", "metrics"),
    "photograph": (lambda folder: gm.data.photograph("camera"), "skimage", "denoise"),
    "classical": (lambda folder: gm.denoiser.classical(torch.rand(1, 1, 8, 8), "median", 0.1), "skimage", "denoise"),
    "wavelets": (lambda folder: gm.denoiser.classical(torch.rand(1, 1, 8, 8), "wavelets", 0.1), "pywt", "denoise"),
    "estimate": (lambda folder: gm.denoiser.estimate_sigma(torch.rand(1, 1, 8, 8)), "pywt", "denoise"),
    "quality": (lambda folder: gm.denoiser.quality(torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)), "skimage", "denoise"),
    "download": (lambda folder: gm.data._download("mnist", folder), "torchvision", "train"),
}


@pytest.mark.parametrize("call", NEEDS)
def test_a_missing_library_is_answered_by_a_sentence_with_the_command(call, tmp_path, monkeypatch):
    function, library, extra = NEEDS[call]
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name.split(".")[0] == library:
                raise ModuleNotFoundError(f"No module named '{library}'", name=library)

    monkeypatch.setattr(sys, "meta_path", [Missing, *sys.meta_path])
    with pytest.raises(ImportError, match=rf'^{library} is missing: install it with pip install "genmodels\[{extra}\]"\.$'):
        function(tmp_path)


@pytest.mark.parametrize(
    ("hide", "program", "sentence"),
    [
        (
            "find = u.find_spec; u.find_spec = lambda n: None if n == 'typer' else find(n)",
            "train",
            'typer is missing: .*".[train]"',
        ),
        ("sys.modules['gradio'] = None", "app", 'gradio is missing: .*".[page]"'),
    ],
)
def test_the_workshop_and_the_page_say_what_to_install(hide, program, sentence):
    code = f"import sys, importlib.util as u; {hide}; import {program}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(sentence.replace("[", r"\["), done.stderr.strip().splitlines()[-1])


# --- The Hugging Face Hub ---------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A stand-in of the Hub: what is pushed is in the cache of its client, which the tests run offline."""
    cache, uploads = tmp_path / "hub", []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))

    def upload_folder(*, repo_id, folder_path, revision=None, **options):
        commit = f"{len(uploads):040x}"
        repo = cache / f"models--{repo_id.replace('/', '--')}"
        shutil.copytree(folder_path, repo / "snapshots" / commit)
        (repo / "refs").mkdir(exist_ok=True)
        (repo / "refs" / (revision or "main")).write_text(commit, encoding="utf-8")
        uploads.append({"repo_id": repo_id, **options})
        return f"https://huggingface.co/{repo_id}/commit/{commit}"

    def create_repo(*, repo_id, **options):
        return SimpleNamespace(repo_id=repo_id)

    api = SimpleNamespace(create_repo=create_repo, upload_folder=upload_folder)
    monkeypatch.setattr(hub_mixin, "HfApi", lambda token=None: api)
    return SimpleNamespace(cache=cache, uploads=uploads)


def snapshot(hub, repo="models--user--repo"):
    (folder,) = (hub.cache / repo / "snapshots").iterdir()
    return folder


def test_a_model_travels_through_the_hub(hub):
    torch.manual_seed(0)
    model = gm.VAE(size=8, latent=2, width=4, hidden=8).eval()
    assert model.push_to_hub("user/repo", commit_message="First").startswith("https://huggingface.co/user/repo/")
    assert (hub.uploads[0]["repo_id"], hub.uploads[0]["commit_message"]) == ("user/repo", "First")
    folder = snapshot(hub)
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text(encoding="utf-8"))["family"] == "vae"
    loaded = gm.VAE.from_pretrained("user/repo")
    assert loaded.config == model.config
    assert not loaded.training
    torch.testing.assert_close(loaded.sample(2, seed=0), model.sample(2, seed=0))
    torch.testing.assert_close(gm.load(folder).sample(2, seed=0), model.sample(2, seed=0))


def test_the_card_on_the_hub_says_how_to_load_the_model(hub):
    gm.PoemTransformer("春眠不觉晓，。", width=8, layers=1, heads=2, hidden=4, context=12).push_to_hub("user/repo")
    card = snapshot(hub) / "README.md"
    assert metadata_load(card)["library_name"] == "genmodels"
    (code,) = re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    assert 'gm.PoemTransformer.from_pretrained("user/repo")' in code
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert type(names["model"]) is type(gm.Transformer.from_pretrained("user/repo")) is gm.PoemTransformer


def test_revisions_of_a_repository(hub):
    for seed, branch in ((0, "main"), (1, "other")):
        torch.manual_seed(seed)
        gm.Autoencoder(size=8, hidden=[4]).push_to_hub("user/repo", branch=branch)
    first, second, again = (gm.Autoencoder.from_pretrained("user/repo", revision=r) for r in (None, "other", "main"))
    assert not torch.allclose(first.decoder[0].weight, second.decoder[0].weight)
    torch.testing.assert_close(first.decoder[0].weight, again.decoder[0].weight)


def test_a_checkpoint_of_the_hub_is_checked_as_one_on_disk(hub):
    gm.VAE(size=8, latent=2, width=4, hidden=8).push_to_hub("user/repo")
    with pytest.raises(CheckpointError, match="does not fit the Autoencoder"):
        gm.Autoencoder.from_pretrained("user/repo")


def test_pickled_weights_of_the_hub_are_not_loaded(hub, monkeypatch):
    gm.VAE(size=8, latent=2, width=4, hidden=8).push_to_hub("user/repo")

    def no_such_file(repo, file, **options):
        raise huggingface_hub.errors.EntryNotFoundError(f"404: {file}")

    monkeypatch.setattr(gm.base, "hf_hub_download", no_such_file)
    with pytest.raises(CheckpointError, match=r"^user/repo on the Hub has no model.safetensors: .* not loaded\.$"):
        gm.VAE.from_pretrained("user/repo")


def test_an_unknown_repository_gets_the_hubs_own_error(hub):
    with pytest.raises(huggingface_hub.errors.LocalEntryNotFoundError):
        gm.VAE.from_pretrained("user/none")


# --- CITATION.cff -----------------------------------------------------------------------------------------------------


def test_the_citation_names_this_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {project['version']}\n" in citation
    assert f"\nlicense: {project['license']}\n" in citation
