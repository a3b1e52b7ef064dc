"""The diffusion model's speed: its network against its own layers, its loop against bare calls, both against diffusers.

    python -m benchmarks.diffusion            two minutes on two cores; prints a table
    python -m benchmarks.diffusion --readme   also puts it into README.md

Nothing else may run on the machine meanwhile. Medians of one run, in turns. Weights do not matter: without the checkpoint
`diffusion-mnist` they are random.
"""

import os
import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import torch
import typer
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import genmodels as gm
from genmodels.base import CheckpointError, generator
from genmodels.diffusion import Diffusion, alpha_sigma

ROOT = Path(__file__).resolve().parent.parent
N, STEPS = 16, 16  # digits, and network calls for each
TIMES = 100 * STEPS  # theirs are whole numbers, and among so many are all of ours


def in_turns(rounds, *jobs):
    """Median seconds of each job; the first round is thrown away."""
    times = [[] for _ in jobs]
    for turn in range(rounds + 1):
        for job, taken in zip(jobs, times):
            began = time.perf_counter()
            job()
            taken += [time.perf_counter() - began] if turn else []
    return [statistics.median(taken) for taken in times]


def inputs(model, n):
    """(x, t, y) of a network call as samplers make it."""
    x = torch.randn(n, model.channels, model.size, model.size).contiguous(memory_format=torch.channels_last)
    return x, torch.full((n,), 0.5), model.labels(None, n)


def recorded(net, given):
    """[(layer, its input)] of every convolution and linear layer in one network call."""
    calls = []
    layers = [module for module in net.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    hooks = [layer.register_forward_pre_hook(lambda layer, args: calls.append((layer, args[0].clone()))) for layer in layers]
    net(*given)
    for hook in hooks:
        hook.remove()
    return calls


def calling(model, rounds):
    """Network calls per second, and how much of their time is arithmetic that cannot be avoided."""
    rows = []
    for n in (1, 16, 64):
        given = inputs(model, n)
        layers = recorded(model.net, given)
        whole, alone = in_turns(
            max(3, rounds * 16 // n), lambda given=given: model.net(*given), lambda layers=layers: [f(x) for f, x in layers]
        )
        speed = f"{1 / whole:.1f}/s, {n / whole:.0f} pictures/s"
        rows.append((f"network calls, batch {n}", speed, f"its own layers alone **{alone / whole:.0%}** of that; aim: 60 %"))
    return rows


def looping(model, rounds):
    """Sixteen digits in sixteen steps, against as many bare network calls."""
    given, label = inputs(model, N), torch.arange(N) % 10
    sample, bare = in_turns(
        rounds,
        lambda: model.sample(N, label=label, steps=STEPS, seed=0),
        lambda: [model.net(*given) for _ in range(STEPS)],
    )
    return [
        (f"{N} digits in {STEPS} steps", f"{sample:.2f} s", "aim: 1.0 s"),
        ("the same network calls without a loop", f"{bare:.2f} s", f"the loop adds **{sample / bare - 1:.1%}**; aim: 5 %"),
    ]


# --- against diffusers ---


class Adapter(nn.Module):
    """A network of ours as their pipeline calls one."""

    dtype, device = torch.float32, torch.device("cpu")

    def __init__(self, model):
        super().__init__()
        self.net, self.y = model.net, model.labels(None, N)
        self.config = SimpleNamespace(sample_size=model.size, in_channels=model.channels)

    def forward(self, x, t):
        return SimpleNamespace(sample=self.net(x, x.new_full((len(x),), (t.item() + 1) / TIMES), self.y))


class Nothing(nn.Module):
    """A network that costs nothing, so that what remains is the loop."""

    def __init__(self):
        super().__init__()
        self.where = nn.Parameter(torch.zeros(()))  # a model's device is that of its parameters

    def forward(self, x, t, y):
        return x


def pipeline(unet):
    """Their DDIM loop on our schedule and our times."""
    alpha_bar = alpha_sigma(torch.arange(TIMES + 1, dtype=torch.float64) / TIMES)[0] ** 2
    scheduler = DDIMScheduler(
        num_train_timesteps=TIMES,
        trained_betas=(1 - alpha_bar[1:] / alpha_bar[:-1]).tolist(),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
    )
    pipe = DDIMPipeline(unet, scheduler)
    pipe.set_progress_bar_config(disable=True)
    return lambda: pipe(
        N, generator(0), num_inference_steps=STEPS, use_clipped_model_output=True, output_type="pt", return_dict=False
    )[0]


def theirs():
    """A U-Net as their class makes it, of about as many parameters; of several, the one with the fewest FLOPs."""
    unet = UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(32, 64, 64),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )
    return unet.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # as ours is


def cost(net, *given):
    """Parameters and FLOPs of one call, in words."""
    with FlopCounterMode(display=False) as counter:
        net(*given)
    parameters = sum(p.numel() for p in net.parameters())
    return f"{parameters / 1e6:.2f} M parameters, {counter.get_total_flops() / 1e6 / len(given[0]):.0f} MFLOP a picture"


def comparing(model, rounds):
    """Sixteen digits in sixteen steps by their DDIM pipeline: with their network, with ours, with one that costs nothing."""
    unet, idle = theirs(), Diffusion()
    idle.net, given = Nothing(), inputs(model, N)

    def ours(model):
        return lambda: model.sample(N, sampler="ddim", steps=STEPS, seed=0)

    same = pipeline(Adapter(model))
    assert torch.allclose(ours(model)(), same(), atol=1e-2), "both loops must draw the same pictures"
    mine, their, adapted = in_turns(rounds, ours(model), pipeline(unet), same)
    loop, their_loop = in_turns(10 * rounds, ours(idle), pipeline(Adapter(idle)))
    return [
        (f"{N} digits in {STEPS} DDIM steps", f"{mine:.2f} s", cost(model.net, *given)),
        (
            "`diffusers`: its pipeline and a network of its own",
            f"{their:.2f} s, **{their / mine:.1f}** times as long",
            cost(unet, given[0], 500),
        ),
        ("`diffusers`: its pipeline around our network", f"{adapted:.2f} s", f"**{adapted / mine:.2f}** times as long"),
        (
            "the loop around a network that costs nothing",
            f"{loop * 1000:.1f} ms",
            f"`diffusers`: {their_loop * 1000:.1f} ms, **{their_loop / loop:.1f}** times as long",
        ),
    ]


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Put the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each thing is timed.")] = 15,
):
    """Measure the diffusion model and print a table."""
    try:
        model, weights = gm.load("diffusion-mnist"), "diffusion-mnist"
    except CheckpointError:
        model, weights = Diffusion().eval().requires_grad_(False), "random weights"
    with torch.inference_mode():
        rows = [*calling(model, rounds), *looping(model, rounds), *comparing(model, rounds)]
    table = "\n".join(["| what | measured | beside it |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    note = f"`python -m benchmarks.diffusion` on {os.cpu_count()} cores, {torch.get_num_threads()} thread(s), {weights}."
    print(f"{note}\n\n{table}")
    if readme:
        file, begin, end = ROOT / "README.md", "<!-- diffusion-benchmarks:begin -->", "<!-- diffusion-benchmarks:end -->"
        head, rest = file.read_text(encoding="utf-8").split(begin)
        file.write_text(f"{head}{begin}\n{note}\n\n{table}\n{end}{rest.split(end)[1]}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
