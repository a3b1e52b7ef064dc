"""Samplers of diffusion models: on a Gaussian whose solutions are known, and against diffusers."""

import math
from itertools import pairwise

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from genmodels.base import generator
from genmodels.diffusion import SAMPLERS, alpha_sigma, ddim, ddpm, dpm
from tests.compare import close
from tests.helpers_diffusion import M, S, exact_alpha_sigma, from_v, gaussian, gaussian_noise, grey_pictures, grid, small_model

model = pytest.fixture(small_model)
x = pytest.fixture(grey_pictures)


def exact(z, t):
    """x_t of the solution of the probability-flow ODE that starts at z at t = 1."""
    alpha, sigma = exact_alpha_sigma(t)
    return alpha * M + math.sqrt(alpha**2 * S**2 + sigma**2) * z


def solve(sampler, x, times, **options):
    *_, final = SAMPLERS[sampler](gaussian, x, times, options.pop("noise", no_noise), **options)
    return final.x


def noises(n):
    """Fresh noise at each call."""
    g = generator(7)
    return lambda: torch.randn(n, generator=g, dtype=torch.float64)


def no_noise():
    pytest.fail("this sampler adds no noise")


# --- Samplers, on a Gaussian whose exact predictions and solutions are known ------------------------------------------


@pytest.mark.parametrize("sampler, order", [("ddim", 1), ("dpm", 2), ("heun", 2)])
def test_order_of_convergence(sampler, order):
    """Twice the steps, half the error at first order and a quarter at second order. No noise is added."""
    z = gaussian_noise(9)
    errors = [(solve(sampler, exact(z, 0.9), grid(0.9, 0.1, steps)) - exact(z, 0.1)).norm() for steps in (16, 32, 64, 128, 256)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([order] * 4, abs=0.25)
    assert orders[-1] == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize("sampler, error", [("ddim", 0.03), ("dpm", 0.004), ("heun", 0.0015)])
def test_from_pure_noise_to_the_picture(sampler, error):
    z = gaussian_noise(9)
    assert (solve(sampler, z, grid(1.0, 0.0, 64)) - (M + S * z)).abs().max() < error


@pytest.mark.parametrize("sampler, eta", [("ddpm", None), ("ddim", 0.5), ("ddim", 1.0)])
def test_stochastic_samplers_sample_the_gaussian(sampler, eta):
    options = {} if eta is None else {"eta": eta}
    x = solve(sampler, gaussian_noise(20_000), grid(1.0, 0.0, 400), noise=noises(20_000), **options)
    assert x.mean().item() == pytest.approx(M, abs=0.012)
    assert x.std().item() == pytest.approx(S, abs=0.012)
    assert ((x - x.mean()) / x.std()).pow(4).mean().item() == pytest.approx(3, abs=0.12)


@pytest.mark.parametrize("times", [grid(1.0, 0.0, 7), [0.97, 0.6, 0.55, 0.1, 0.02]], ids=["even", "uneven"])
def test_ddim_with_eta_1_is_ddpm(times):
    ddim_steps, ddpm_steps = (list(sampler(gaussian, gaussian_noise(9), times, noises(9), 1.0)) for sampler in (ddim, ddpm))
    for ddim_step, ddpm_step in zip(ddim_steps, ddpm_steps, strict=True):
        assert torch.allclose(ddim_step.x, ddpm_step.x, atol=1e-12)
    assert not torch.allclose(ddim_step.x, solve("ddim", gaussian_noise(9), times), atol=0.01)  # unlike eta 0


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_steps_report_their_predictions_and_times(sampler):
    x, times = gaussian_noise(9), grid(1.0, 0.0, 5)
    steps = list(SAMPLERS[sampler](gaussian, x, times, noises(9)))
    assert [step.t for step in steps] == times[1:]
    for t, step in zip(times, steps):
        assert close(step.x0, gaussian(x, t)[0]) and close(step.eps, gaussian(x, t)[1])
        assert step.sigma == pytest.approx(exact_alpha_sigma(step.t)[1])
        x = step.x


def scheduler(kind, times=1000, **options):
    """A scheduler of diffusers with our schedule, given as the betas of its steps."""
    alpha_bar = alpha_sigma(torch.arange(times + 1, dtype=torch.float64) / times)[0] ** 2
    betas = (1 - alpha_bar[1:] / alpha_bar[:-1]).tolist()
    return kind(num_train_timesteps=times, trained_betas=betas, prediction_type="v_prediction", **options)


def time_of(index):
    """Timestep of diffusers -> our time."""
    return (index + 1) / 1000


def sine(x, t):
    """(x0, eps) of a network that predicts v = sin(3 x)."""
    return from_v(x, (3 * x).sin(), *exact_alpha_sigma(t))


# --- Samplers, against diffusers --------------------------------------------------------------------------------------


def test_the_schedule_matches_diffusers():
    index = torch.arange(1000, dtype=torch.float64)
    ours = alpha_sigma(time_of(index))[0].square().float()
    assert torch.allclose(scheduler(DDPMScheduler).alphas_cumprod, ours, atol=1e-5)
    # Their cosine schedule has the offset 0.008 of Nichol and Dhariwal, so that the first discrete step is not too small. Our
    # times are continuous and need no offset: alpha and sigma cover the whole quarter circle.
    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    assert (theirs - ours).abs().max() < 0.01
    offset, first = (alpha_sigma((t + 0.008) / 1.008)[0] ** 2 for t in (time_of(index), torch.zeros(())))
    assert torch.allclose(theirs, (offset / first).float(), atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_one_step_of_ddim_matches_diffusers(eta):
    x, noise, theirs = (
        gaussian_noise(9, 0, torch.float32),
        gaussian_noise(9, 1, torch.float32),
        scheduler(DDIMScheduler, clip_sample=False),
    )
    theirs.set_timesteps(10)
    step = theirs.step((3 * x).sin(), 700, x, eta=eta, variance_noise=noise)
    ours = next(ddim(sine, x, [time_of(700), time_of(600)], lambda: noise, eta))
    assert torch.allclose(ours.x, step.prev_sample, atol=1e-5)
    assert torch.allclose(ours.x0, step.pred_original_sample, atol=1e-5)


def test_one_step_of_ddpm_matches_diffusers():
    x, theirs = gaussian_noise(9, 0, torch.float32).view(1, 9), scheduler(DDPMScheduler, clip_sample=False)
    theirs.set_timesteps(10)
    step = theirs.step((3 * x).sin(), 700, x, generator=generator(2))
    ours = next(ddpm(sine, x, [time_of(700), time_of(600)], lambda: torch.randn(1, 9, generator=generator(2))))
    assert torch.allclose(ours.x, step.prev_sample, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, about NumPy 2
def test_steps_of_dpm_match_diffusers():
    """The first step, those of second order and the last step, at uneven times."""
    x, theirs = gaussian_noise(9, 0, torch.float32), scheduler(DPMSolverMultistepScheduler)
    index = [900, 700, 650, 300, 100]
    theirs.set_timesteps(timesteps=index)
    for ours, i in zip(dpm(sine, x, [*map(time_of, index), 0.0], no_noise), index, strict=True):
        x = theirs.step((3 * x).sin(), i, x).prev_sample
        assert torch.allclose(ours.x, x, atol=1e-5), i


@pytest.mark.parametrize(
    "sampler, kind, step_options", [("ddim", DDIMScheduler, {"use_clipped_model_output": True}), ("ddpm", DDPMScheduler, {})]
)
def test_a_whole_sample_matches_diffusers(model, sampler, kind, step_options, monkeypatch):
    """Their loop around our network: the same noise, times, clipping and final step."""
    theirs, noise = scheduler(kind, clip_sample=True, timestep_spacing="trailing"), model._noise_source(4, 5)
    monkeypatch.setattr("diffusers.schedulers.scheduling_ddpm.randn_tensor", lambda *args, **options: noise())
    theirs.set_timesteps(10)
    x, y = noise(), torch.tensor([[0], [1], [2], [-1]])
    for i in theirs.timesteps:
        x = theirs.step(model.net(x, time_of(i).expand(4), y), i, x, **step_options).prev_sample
    ours = model.sample(4, label=y, sampler=sampler, steps=10, guidance=1, seed=5)
    assert torch.allclose(ours, (x + 1).clamp(0, 2) / 2, atol=1e-3)
