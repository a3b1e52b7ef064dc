"""Speed of the diffusion model: network against its bare layers, sampling loop against bare calls, both against diffusers.

    python -m benchmarks.diffusion            two minutes on two cores; prints a table
    python -m benchmarks.diffusion --readme   also puts it into README.md

Nothing else may run on the machine meanwhile. Each number is the median of several rounds, in which the candidates take turns.
The weights do not matter: without the checkpoint `diffusion-mnist` they are random.
"""

import functools
from types import SimpleNamespace
from typing import Annotated

import torch
import typer
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import common
from benchmarks.common import in_turns, record_layers, run_layers
from genmodels.base import generator
from genmodels.diffusion import Diffusion, alpha_sigma

N, STEPS = 16, 16  # samples, and network calls for each
TIMES = 100 * STEPS  # of diffusers, whose times are integers: a multiple of STEPS contains all of our times


def network_inputs(model, n):
    """(x, t, y) of a network call, in the form that samplers use."""
    x = torch.randn(n, model.channels, model.size, model.size).contiguous(memory_format=torch.channels_last)
    return x, torch.full((n,), 0.5), model.labels(None, n)


def measure_network(model, rounds):
    """Network calls per second, and the share of their time that the bare layers take."""
    rows = []
    for n in (1, 16, 64):
        inputs = network_inputs(model, n)
        call_network = functools.partial(model.net, *inputs)
        call_layers = functools.partial(run_layers, record_layers(model.net, call_network))
        network, layers = in_turns(max(3, rounds * 16 // n), call_network, call_layers)
        speed = f"{1 / network:.1f}/s, {n / network:.0f} pictures/s"
        rows.append((f"network calls, batch {n}", speed, f"its bare layers take **{layers / network:.0%}** of that; aim: 60 %"))
    return rows


def measure_loop(model, rounds):
    """Sixteen digits in sixteen steps, against as many bare network calls."""
    inputs = network_inputs(model, N)
    label = torch.arange(N) % 10
    sample, bare = in_turns(
        rounds,
        lambda: model.sample(N, label=label, steps=STEPS, guidance=1, seed=0),
        lambda: [model.net(*inputs) for _ in range(STEPS)],
    )
    return [
        (f"{N} digits in {STEPS} steps", f"{sample:.2f} s", "aim: 1.0 s"),
        ("the same network calls without a loop", f"{bare:.2f} s", f"the loop adds **{sample / bare - 1:.1%}**; aim: 5 %"),
    ]


# --- against diffusers ---


class Adapter(nn.Module):
    """Our network with the interface that the pipeline of diffusers expects."""

    dtype, device = torch.float32, torch.device("cpu")

    def __init__(self, model):
        super().__init__()
        self.net, self.y = model.net, model.labels(None, N)
        self.config = SimpleNamespace(sample_size=model.size, in_channels=model.channels)

    def forward(self, x, t):
        return SimpleNamespace(sample=self.net(x, x.new_full((len(x),), (t.item() + 1) / TIMES), self.y))


class IdentityNetwork(nn.Module):
    """A network that costs nothing, so that only the loop is timed."""

    def __init__(self):
        super().__init__()
        self.parameter = nn.Parameter(torch.zeros(()))  # a model's device is that of its parameters

    def forward(self, x, t, y):
        return x


def pipeline(unet):
    """The DDIM loop of diffusers with our schedule and our times."""
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


def diffusers_unet():
    """A U-Net of diffusers with about as many parameters as ours; of several configurations, the one with the fewest FLOPs."""
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
    return unet.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # like ours


def cost(net, *inputs):
    """Parameters and FLOPs of one call, in words."""
    with FlopCounterMode(display=False) as counter:
        net(*inputs)
    parameters = sum(p.numel() for p in net.parameters())
    return f"{parameters / 1e6:.2f} M parameters, {counter.get_total_flops() / 1e6 / len(inputs[0]):.0f} MFLOP per picture"


def measure_diffusers(model, rounds):
    """Sixteen digits in sixteen steps by the DDIM pipeline of diffusers: with its network, ours, and one that costs nothing."""
    unet = diffusers_unet()
    idle = Diffusion()
    idle.net = IdentityNetwork()
    inputs = network_inputs(model, N)

    def sampling(model):
        return lambda: model.sample(N, sampler="ddim", steps=STEPS, seed=0)

    adapted_pipeline = pipeline(Adapter(model))
    assert torch.allclose(sampling(model)(), adapted_pipeline(), atol=1e-2), "both loops must generate the same samples"
    ours, theirs, adapted = in_turns(rounds, sampling(model), pipeline(unet), adapted_pipeline)
    loop, their_loop = in_turns(10 * rounds, sampling(idle), pipeline(Adapter(idle)))
    return [
        (f"{N} digits in {STEPS} DDIM steps", f"{ours:.2f} s", cost(model.net, *inputs)),
        (
            "`diffusers`: its pipeline with its own network",
            f"{theirs:.2f} s, **{theirs / ours:.1f}** times as long",
            cost(unet, inputs[0], 500),
        ),
        ("`diffusers`: its pipeline with our network", f"{adapted:.2f} s", f"**{adapted / ours:.2f}** times as long"),
        (
            "the loop with a network that costs nothing",
            f"{loop * 1000:.1f} ms",
            f"`diffusers`: {their_loop * 1000:.1f} ms, **{their_loop / loop:.1f}** times as long",
        ),
    ]


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Put the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each job is timed.")] = 15,
):
    """Measure the diffusion model and print a table."""
    model, weights = common.load("diffusion-mnist", Diffusion)
    with torch.inference_mode():
        rows = [*measure_network(model, rounds), *measure_loop(model, rounds), *measure_diffusers(model, rounds)]
    common.report("diffusion", rows, readme, remark=f", {weights}")


if __name__ == "__main__":
    typer.run(main)
