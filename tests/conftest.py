"""Environment variables that must be set before gradio, huggingface_hub or torch is imported. The tests need no network."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes share two cores; make test-threads sets 2


# --- Checkpoints ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def all_checkpoints(tmp_path_factory):
    """A folder with every checkpoint of the page: the shipped ones, and untrained weights in place of missing ones."""
    import torch

    import genmodels as gm

    folder = tmp_path_factory.mktemp("checkpoints")
    for shipped in gm.base.checkpoint_root().iterdir():
        (folder / shipped.name).symlink_to(shipped)
    sizes = {
        "mnist": {},
        "fashion": {},
        "avatars": dict(
            channels=3, size=64, patch=4, classes=[2, 5, 9, 4], conditions=["smiling", "glasses", "hair_color", "hair_length"]
        ),
    }
    for name, size in sizes.items():
        if not (folder / f"diffusion-{name}").exists():
            torch.manual_seed(0)
            gm.Diffusion(**size, widths=[8, 16], blocks=1, heads=2).save_pretrained(folder / f"diffusion-{name}")
        if not (folder / f"gan-{name}").exists():
            gan_stand_in(folder / f"gan-{name}", **size)
    if not (folder / "gan-mnist-collapsed").exists():
        gan_stand_in(folder / "gan-mnist-collapsed", seed=1)
    for name, size in {
        "mnist": dict(channels=1, size=28, widths=[8, 12], bias=True),
        "fashion": dict(channels=1, size=28, widths=[8, 12], bias=True),
        "photo": dict(widths=[8, 12, 16], blocks=1),
    }.items():
        torch.manual_seed(0)
        if not (folder / f"denoiser-{name}").exists():
            model = gm.Denoiser(**size)
            torch.nn.init.normal_(model.last.weight, std=0.02)
            model.save_pretrained(folder / f"denoiser-{name}")
        if name != "photo" and not (folder / f"dvae-{name}").exists():
            gm.DenoisingVAE(latent=4, width=4, hidden=16).save_pretrained(folder / f"dvae-{name}")
    for name in ("mnist", "fashion"):
        if not (folder / f"flow-{name}" / "likelihoods.json").exists():
            flow_stand_in(folder, name)
    for name, (transformer, size) in transformers().items():
        if not (folder / f"transformer-{name}").exists():
            torch.manual_seed(0)
            model = transformer(**size, width=32, layers=2, heads=2, hidden=48)
            torch.nn.init.normal_(model.embed.weight, std=0.5)  # so that tokens differ
            for block in model.blocks:
                torch.nn.init.normal_(block.out.weight, std=0.2)
            model.save_pretrained(folder / f"transformer-{name}")
    return folder


def transformers():
    """Classes and arguments of the stand-ins: the alphabets of the real models, for the poems without the rare characters."""
    import genmodels as gm
    from train import texts

    characters = Counter(c for _, *parts in texts.tang("val") for part in parts for c in part)
    return {
        "shakespeare": (gm.TextTransformer, dict(alphabet="".join(sorted(set(texts.shakespeare("train")))), context=64)),
        "tang": (gm.PoemTransformer, dict(alphabet="".join(c for c, _ in characters.most_common(1000)), context=96)),
        "mnist": (gm.PixelTransformer, dict(lags=[0, 1, 28])),
    }


def flow_stand_in(folder, dataset):
    """A flow with its likelihoods of the sample pictures: with trained weights if there are any, else untrained."""
    import torch

    import genmodels as gm

    shipped, folder = folder / f"flow-{dataset}", folder / f"flow-{dataset}"
    if shipped.exists():  # trained, but not evaluated yet
        model, weights = gm.load(shipped), shipped.resolve()
        shipped.unlink()
        folder.mkdir()
        for file in weights.iterdir():
            (folder / file.name).symlink_to(file)
    else:
        torch.manual_seed(0)
        model = gm.Flow(widths=[16], blocks=1, components=3).eval()
        model.fit_levels(gm.data.samples(dataset).x)
        model.save_pretrained(folder)
    other_dataset = "fashion" if dataset == "mnist" else "mnist"
    nats = {name: model.layer_log_probs(gm.data.samples(name).floats()[:60]) for name in (dataset, other_dataset)}
    typicality = gm.typicality.Typicality.fit(nats[dataset])
    bits = {name: gm.metrics.bits_per_dim(values.sum(1), 784) for name, values in nats.items()}
    distances = {name: typicality.distance(values) for name, values in nats.items()}
    gm.typicality.save_likelihoods(gm.typicality.LikelihoodStats.from_values(typicality, bits, distances), folder)


def gan_stand_in(folder, seed=0, **size):
    """An untrained GAN with an invented replay of four steps."""
    import torch

    import genmodels as gm

    torch.manual_seed(seed)
    model = gm.GAN(**{**size, "widths": [16, 32], "latent": 8}).eval()
    model.save_pretrained(folder)
    pictures = torch.stack([(255 * model.sample(30, seed=i)).byte() for i in range(4)])
    shares = torch.rand(2, 4, 6).softmax(-1).tolist()
    losses = {player: [[step, step / 10] for step in range(1, 10)] for player in ("discriminator", "generator")}
    gm.gan.save_replay(gm.gan.Replay([0, 1, 4, 9], pictures, [i / 2 for i in range(7)], *shares, losses), folder)


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
