"""The replay of a GAN's training: what it generated and how its discriminator scored, from the first step to the last.

One file per snapshot, in the run's folder until the run ends; a resumed run writes the same files again.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from genmodels import data
from genmodels.gan import DCGAN, GAN, Replay, save_replay
from train import engine

BINS = 24  # of the score histograms
SCORED = 500  # real pictures at most, and as many generated ones


def generate(model: GAN | DCGAN, y: Tensor) -> Tensor:
    """Pictures with labels y, the same for the same model."""
    batches = enumerate(y.split(250))
    return torch.cat([model.sample(len(labels), label=labels, seed=i).cpu() for i, labels in batches])


class Recorder:
    """Records snapshots and makes the replay of them. labels: of the pictures shown; real: pictures that are scored."""

    def __init__(self, run: Path, labels: Tensor, real: data.Pictures) -> None:
        self.run, self.labels, self.real = run, labels, real[torch.arange(min(len(real), SCORED))]
        self.snapshots = run / "moments"

    def save_snapshot(self, model: GAN | DCGAN, step: int) -> None:
        self.snapshots.mkdir(parents=True, exist_ok=True)
        pictures = model.sample(len(self.labels), label=self.labels, seed=0).cpu()
        tensors = {
            "pictures": (255 * pictures).round().byte().contiguous(),
            "real": model.score(self.real.floats(), self.real.y).cpu(),
            "generated": model.score(generate(model, self.real.y), self.real.y).cpu(),
        }
        save_file(tensors, self.snapshots / f"{step:07d}.safetensors")

    def finish(self, model: GAN | DCGAN, folder: Path) -> None:
        """Write the replay to a checkpoint's folder."""
        log = [json.loads(line) for line in (self.run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
        last = max(line.get("step", 0) for line in log)
        steps = [step for step in range(last + 1) if engine.is_snapshot_step(step, last)]
        tensors = [load_file(self.snapshots / f"{step:07d}.safetensors") for step in steps]
        scores = torch.stack([torch.stack([t["real"], t["generated"]]) for t in tensors])  # (T, 2, SCORED)
        low, high = scores.flatten().quantile(torch.tensor([0.005, 0.995])).tolist()

        def histogram(scores):  # shares; scores beyond the edges count in the outermost bins
            shares = torch.histc(scores.clamp(low, high), BINS, low, high) / scores.numel()
            return [round(share, 4) for share in shares.tolist()]

        losses = {
            network: [[line["step"], line[f"{network}_loss/loss"]] for line in log if f"{network}_loss/loss" in line]
            for network in ("discriminator", "generator")
        }
        replay = Replay(
            steps=steps,
            pictures=torch.stack([t["pictures"] for t in tensors]),
            edges=[round(edge, 4) for edge in torch.linspace(low, high, BINS + 1).tolist()],
            real=[histogram(real) for real in scores[:, 0]],
            generated=[histogram(generated) for generated in scores[:, 1]],
            losses=losses,
        )
        save_replay(replay, folder)
