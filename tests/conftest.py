"""Environment variables that must be set before gradio, huggingface_hub or torch is imported. The tests need no network."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share two cores; make test-threads sets 2


# --- Checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def all_checkpoints(tmp_path_factory):
    """A folder with every checkpoint of the page: the shipped ones, and untrained weights in place of missing ones."""
    import genmodels as gm
    from tests import tiny

    folder = tmp_path_factory.mktemp("checkpoints")
    for shipped in gm.base.checkpoint_root().iterdir():
        (folder / shipped.name).symlink_to(shipped)
    for seed, (name, make) in enumerate(tiny.CHECKPOINTS.items()):
        family, dataset = name.split("-")[:2]
        if family == "dcgan":  # a baseline, not on the page
            continue
        if not (folder / name).exists():
            tiny.untrained(make, seed).save_pretrained(folder / name)
        if family == "gan" and not (folder / name / "replay.json").exists():
            write_replay(folder / name)
        if family == "flow" and not (folder / name / "likelihoods.json").exists():
            write_likelihoods(folder / name, dataset)
    return folder


def own_folder(link):
    """The folder of a checkpoint that is linked, as a folder of its own with links to its files: others may be added."""
    if link.is_symlink():
        shipped = link.resolve()
        link.unlink()
        link.mkdir()
        for file in shipped.iterdir():
            (link / file.name).symlink_to(file)
    return link


def write_replay(folder):
    """An invented replay of four steps."""
    import torch

    import genmodels as gm

    model = gm.load(own_folder(folder))
    pictures = torch.stack([(255 * model.sample(30, seed=i)).byte() for i in range(4)])
    shares = torch.rand(2, 4, 6).softmax(-1).tolist()
    losses = {network: [[step, step / 10] for step in range(1, 10)] for network in ("discriminator", "generator")}
    gm.gan.save_replay(gm.gan.Replay([0, 1, 4, 9], pictures, [i / 2 for i in range(7)], *shares, losses), folder)


def write_likelihoods(folder, dataset):
    """The likelihoods of the sample pictures, as of a flow that was not evaluated."""
    import genmodels as gm

    model = gm.load(own_folder(folder))
    other_dataset = "fashion" if dataset == "mnist" else "mnist"
    nats = {name: model.layer_log_probs(gm.data.samples(name).floats()[:60]) for name in (dataset, other_dataset)}
    typicality = gm.typicality.Typicality.fit(nats[dataset])
    bits = {name: gm.metrics.bits_per_dim(values.sum(1), 784) for name, values in nats.items()}
    distances = {name: typicality.distance(values) for name, values in nats.items()}
    gm.typicality.save_likelihoods(gm.typicality.LikelihoodStats.from_values(typicality, bits, distances), folder)


# --- The page, started once for all tests that need it ----------------------------------------------------------------


@pytest.fixture(scope="session")
def page_url(tmp_path_factory, all_checkpoints):
    """Address of `python app.py`, started as a user would."""
    with socket.socket() as s:  # a free port
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = tmp_path_factory.mktemp("page") / "log.txt"
    env = {
        **os.environ,
        "GRADIO_SERVER_NAME": "127.0.0.1",
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_TEMP_DIR": str(log.parent),
        "GENMODELS_CHECKPOINTS": str(all_checkpoints),
    }
    env.pop("OMP_NUM_THREADS", None)  # the page sets its own
    root = Path(__file__).resolve().parent.parent
    with log.open("w") as out:
        server = subprocess.Popen([sys.executable, "app.py"], cwd=root, env=env, stdout=out, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 240
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).read()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > deadline:
                    pytest.fail("app.py did not start:\n" + log.read_text(encoding="utf-8"))
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(20)
