"""The mathematics of diffusion: the noising process, samplers against exact solutions and against diffusers, guidance."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

import genmodels as gm
from genmodels.base import generator
from genmodels.diffusion import SAMPLERS, Diffusion, UNet, alpha_sigma, calls, ddim, ddpm, dpm, from_v, to_v


@pytest.fixture
def model():
    """A small model with three classes and weights that are nowhere zero, as some first weights are."""
    torch.manual_seed(0)
    model = Diffusion(size=8, classes=[3], widths=[16, 16], blocks=1, heads=2).eval().requires_grad_(False)
    for p in model.parameters():
        p += 0.1 * torch.randn_like(p)
    return model


@pytest.fixture
def x():
    """Five grey pictures."""
    return torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def seen(model, monkeypatch):
    """What the network is given, call by call: (x, t, y)."""
    given, forward = [], model.net.forward
    monkeypatch.setattr(model.net, "forward", lambda *a: given.append([v.clone() for v in a]) or forward(*a))
    return given


# --- The noising process ----------------------------------------------------------------------------------------------

TIMES = torch.linspace(0, 1, 101, dtype=torch.float64).view(-1, 1)  # both ends with it


def some(n, seed=0, dtype=torch.float64):
    return torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_v_and_back_in_float64():
    x0, eps, (alpha, sigma) = some(9), some(9, 1), alpha_sigma(TIMES)
    assert torch.allclose(alpha**2 + sigma**2, torch.ones_like(TIMES), atol=1e-15)
    again = from_v(alpha * x0 + sigma * eps, to_v(x0, eps, alpha, sigma), alpha, sigma)
    assert torch.allclose(again[0], x0.expand(101, 9), atol=1e-14)
    assert torch.allclose(again[1], eps.expand(101, 9), atol=1e-14)


def test_v_is_the_slope_along_the_circle():
    x0, eps, h = some(9), some(9, 1), 1e-4

    def x(t):
        alpha, sigma = alpha_sigma(t)
        return alpha * x0 + sigma * eps

    slope = (x(TIMES + h) - x(TIMES - h)) / (2 * h * math.pi / 2)
    assert torch.allclose(to_v(x0, eps, *alpha_sigma(TIMES)), slope, atol=1e-6)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_noise_has_the_moments_of_the_process(model, x, t):
    alpha, sigma = alpha_sigma(torch.tensor(t))
    noisy = 2 * model.noise(x.repeat(4000, 1, 1, 1), t, seed=0).view(4000, *x.shape) - 1
    assert bool(((noisy.mean(0) - alpha * (2 * x - 1)).abs() < 5 * sigma / math.sqrt(4000)).all())
    assert bool(((noisy.std(0) / sigma - 1).abs() < 5 / math.sqrt(8000)).all())


def test_noise_at_both_ends(model, x):
    assert torch.allclose(model.noise(x, 0, seed=0), x, atol=1e-6)
    everything = 2 * model.noise(x, 1, seed=3) - 1  # a standard normal, and that of `start`
    assert torch.allclose(everything, torch.randn(x.shape, generator=generator(3)), atol=1e-6)
    assert torch.allclose(everything, 2 * model.start(5, seed=3) - 1, atol=1e-6)


# --- Samplers, on a Gaussian whose exact predictions and solutions are known --------------------------------------------

M, S = 0.3, 0.5  # of the clean "pictures"


def gaussian(x, t, m=M, s=S):
    """(x0, eps): what a perfect network says of x_t when x_0 is N(m, s^2)."""
    alpha, sigma = ends(t)
    x0 = m + alpha * s**2 / (alpha**2 * s**2 + sigma**2) * (x - alpha * m)
    return x0, (x - alpha * x0) / sigma


def ends(t):
    """alpha and sigma as exact floats, at t = 0 and t = 1 too."""
    return (1.0, 0.0) if t == 0 else (0.0, 1.0) if t == 1 else (math.cos(t * math.pi / 2), math.sin(t * math.pi / 2))


def exact(z, t):
    """x_t of the probability-flow equation's solution through z standard deviations."""
    alpha, sigma = ends(t)
    return alpha * M + math.sqrt(alpha**2 * S**2 + sigma**2) * z


def grid(start, end, steps):
    return [start + (end - start) * i / steps for i in range(steps)] + [end]


def solve(sampler, x, times, **options):
    *_, last = SAMPLERS[sampler](gaussian, x, times, options.pop("noise", no_noise), **options)
    return last.x


def noises(n):
    """Fresh noise at each call."""
    g = generator(7)
    return lambda: torch.randn(n, generator=g, dtype=torch.float64)


def no_noise():
    pytest.fail("this sampler adds no noise")


@pytest.mark.parametrize("sampler, order", [("ddim", 1), ("dpm", 2), ("heun", 2)])
def test_order_of_convergence(sampler, order):
    """Twice the steps, half the error: or a quarter, at second order. Without any noise on the way."""
    z = some(9)
    errors = [(solve(sampler, exact(z, 0.9), grid(0.9, 0.1, steps)) - exact(z, 0.1)).norm() for steps in (16, 32, 64, 128, 256)]
    orders = [math.log2(a / b) for a, b in pairwise(errors)]
    assert orders == pytest.approx([order] * 4, abs=0.25)
    assert orders[-1] == pytest.approx(order, abs=0.05)


@pytest.mark.parametrize("sampler, error", [("ddim", 0.03), ("dpm", 0.004), ("heun", 0.0015)])
def test_the_whole_way_from_noise_to_picture(sampler, error):
    z = some(9)
    assert (solve(sampler, z, grid(1.0, 0.0, 64)) - (M + S * z)).abs().max() < error


@pytest.mark.parametrize("sampler, eta", [("ddpm", None), ("ddim", 0.5), ("ddim", 1.0)])
def test_random_samplers_draw_from_the_gaussian(sampler, eta):
    options = {} if eta is None else {"eta": eta}
    x = solve(sampler, some(50_000), grid(1.0, 0.0, 400), noise=noises(50_000), **options)
    assert x.mean().item() == pytest.approx(M, abs=0.012)
    assert x.std().item() == pytest.approx(S, abs=0.012)
    assert ((x - x.mean()) / x.std()).pow(4).mean().item() == pytest.approx(3, abs=0.12)


@pytest.mark.parametrize("times", [grid(1.0, 0.0, 7), [0.97, 0.6, 0.55, 0.1, 0.02]], ids=["even", "uneven"])
def test_ddim_with_eta_1_is_ddpm(times):
    one, other = (list(sampler(gaussian, some(9), times, noises(9), 1.0)) for sampler in (ddim, ddpm))
    for ours, theirs in zip(one, other, strict=True):
        assert torch.allclose(ours.x, theirs.x, atol=1e-12)
    assert not torch.allclose(ours.x, solve("ddim", some(9), times), atol=0.01)  # which eta 0 is not


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_steps_say_what_they_did(sampler):
    x, times = some(9), grid(1.0, 0.0, 5)
    steps = list(SAMPLERS[sampler](gaussian, x, times, noises(9)))
    assert [step.t for step in steps] == times[1:]
    for t, step in zip(times, steps):
        assert torch.equal(step.x0, gaussian(x, t)[0]) and torch.equal(step.eps, gaussian(x, t)[1])
        assert step.sigma == ends(step.t)[1]
        x = step.x


# --- Samplers, against diffusers ----------------------------------------------------------------------------------------


def scheduler(kind, times=1000, **options):
    """One of theirs on our schedule, which they take as the share of noise that each of their steps adds."""
    alpha_bar = alpha_sigma(torch.arange(times + 1, dtype=torch.float64) / times)[0] ** 2
    betas = (1 - alpha_bar[1:] / alpha_bar[:-1]).tolist()
    return kind(num_train_timesteps=times, trained_betas=betas, prediction_type="v_prediction", **options)


def time_of(index):
    """Their index -> our time."""
    return (index + 1) / 1000


def opinion(x, t):
    """(x0, eps) of a network that says v = sin(3 x)."""
    return from_v(x, (3 * x).sin(), *ends(t))


def test_the_schedule_is_theirs():
    index = torch.arange(1000, dtype=torch.float64)
    ours = alpha_sigma(time_of(index))[0].square().float()
    assert torch.allclose(scheduler(DDPMScheduler).alphas_cumprod, ours, atol=1e-5)
    # Their cosine schedule starts 0.008 later, as in Nichol and Dhariwal: no step is too small for their discrete times. Ours
    # are real numbers, and without the offset the circle is whole.
    theirs = DDPMScheduler(beta_schedule="squaredcos_cap_v2").alphas_cumprod
    assert (theirs - ours).abs().max() < 0.01
    offset, first = (alpha_sigma((t + 0.008) / 1.008)[0] ** 2 for t in (time_of(index), torch.zeros(())))
    assert torch.allclose(theirs, (offset / first).float(), atol=1e-5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_one_step_of_ddim_is_theirs(eta):
    x, noise, theirs = some(9, 0, torch.float32), some(9, 1, torch.float32), scheduler(DDIMScheduler, clip_sample=False)
    theirs.set_timesteps(10)
    step = theirs.step((3 * x).sin(), 700, x, eta=eta, variance_noise=noise)
    ours = next(ddim(opinion, x, [time_of(700), time_of(600)], lambda: noise, eta))
    assert torch.allclose(ours.x, step.prev_sample, atol=1e-5)
    assert torch.allclose(ours.x0, step.pred_original_sample, atol=1e-5)


def test_one_step_of_ddpm_is_theirs():
    x, theirs = some(9, 0, torch.float32).view(1, 9), scheduler(DDPMScheduler, clip_sample=False)
    theirs.set_timesteps(10)
    step = theirs.step((3 * x).sin(), 700, x, generator=generator(2))
    ours = next(ddpm(opinion, x, [time_of(700), time_of(600)], lambda: torch.randn(1, 9, generator=generator(2))))
    assert torch.allclose(ours.x, step.prev_sample, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # theirs, about NumPy 2
def test_steps_of_dpm_are_theirs():
    """The first, those of second order, the last, at uneven times."""
    x, theirs = some(9, 0, torch.float32), scheduler(DPMSolverMultistepScheduler)
    index = [900, 700, 650, 300, 100]
    theirs.set_timesteps(timesteps=index)
    for ours, i in zip(dpm(opinion, x, [*map(time_of, index), 0.0], no_noise), index, strict=True):
        x = theirs.step((3 * x).sin(), i, x).prev_sample
        assert torch.allclose(ours.x, x, atol=1e-5), i


@pytest.mark.parametrize(
    "sampler, kind, more", [("ddim", DDIMScheduler, {"use_clipped_model_output": True}), ("ddpm", DDPMScheduler, {})]
)
def test_a_whole_sample_is_theirs(model, sampler, kind, more):
    """Their loop around our network: the same first noise, times, clipping and last step."""
    theirs, g = scheduler(kind, clip_sample=True, timestep_spacing="trailing"), generator(5)
    theirs.set_timesteps(10)
    x, y = torch.randn(4, 1, 8, 8, generator=g), torch.tensor([[0], [1], [2], [-1]])
    for i in theirs.timesteps:
        x = theirs.step(model.net(x, time_of(i).expand(4), y), i, x, generator=g, **more).prev_sample
    ours = model.sample(4, label=y, sampler=sampler, steps=10, seed=5)
    assert torch.allclose(ours, (x + 1).clamp(0, 2) / 2, atol=1e-3)


# --- The network --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height, width", [(8, 8), (8, 24), (40, 16)])
def test_any_size_that_the_levels_divide(height, width):
    net = UNet(3, [4, 2], patch=2, widths=[8, 16, 16], blocks=2, heads=2)
    x, t, y = torch.randn(3, 3, height, width), torch.rand(3), torch.tensor([[0, 1], [3, -1], [-1, -1]])
    v = net(x, t, y)
    assert v.shape == x.shape
    assert torch.allclose(v[1:2], net(x[1:2], t[1:2], y[1:2]), atol=1e-5)  # the others in the batch do not matter
    v.square().mean().backward()
    with pytest.raises(RuntimeError):
        net(x[..., 1:], t, y)


def test_the_picture_must_be_divisible():
    with pytest.raises(ValueError, match=r"size must be divisible by 8"):
        Diffusion(size=28, widths=[16, 16, 16])


def test_labels_and_time_matter_and_an_open_answer_has_its_own_row(model, x):
    def v(label, t=0.5):
        return model.net(2 * x - 1, torch.full((5,), t), torch.full((5, 1), label))

    before = {label: v(label) for label in (-1, 0, 1, 2)}
    for a, b in pairwise(before.values()):
        assert (a - b).abs().max() > 1e-3
    assert (v(0, 0.6) - before[0]).abs().max() > 1e-3
    model.net.labels.tables[0].weight[-1] += 1
    for label, was in before.items():
        assert torch.equal(v(label), was) == (label >= 0)


@pytest.mark.parametrize(
    "label, expected",
    [
        (None, [[-1, -1]] * 3),
        ([2, -1], [[2, -1]] * 3),
        (torch.tensor([0, 1]), [[0, 1]] * 3),
        ([[0, 1], [1, 0], [-1, 1]], [[0, 1], [1, 0], [-1, 1]]),
    ],
    ids=str,
)
def test_forms_of_labels(label, expected):
    two = Diffusion(size=8, classes=[3, 2], widths=[8, 8], blocks=1, heads=2)
    assert two.labels(label, 3).tolist() == expected


@pytest.mark.parametrize(
    "label, expected", [(2, [2] * 3), ([2], [2] * 3), ([0, 1, -1], [0, 1, -1]), ([[0], [1], [2]], [0, 1, 2])], ids=str
)
def test_forms_of_one_label(model, label, expected):
    assert model.labels(label, 3)[:, 0].tolist() == expected


# --- The loss -----------------------------------------------------------------------------------------------------------


def test_the_error_is_that_of_v(model, x):
    t, eps, y = torch.linspace(0, 1, 5), torch.randn(x.shape, generator=generator(0)), torch.tensor([[0], [1], [2], [-1], [0]])
    alpha, sigma = (level.view(5, 1, 1, 1) for level in alpha_sigma(t))
    x0 = 2 * x - 1
    by_hand = (model.net(alpha * x0 + sigma * eps, t, y) - (alpha * eps - sigma * x0)) ** 2
    assert torch.allclose(model.error(x, y, t, eps), by_hand.mean((1, 2, 3)), rtol=1e-4)


def test_a_network_that_tells_the_clean_picture_has_the_same_error_and_the_same_samples(model, x, monkeypatch):
    """Its x0 is the one that follows from v; only where there is hardly any noise the error counts less."""
    twin = Diffusion(**{**model.config, "predicts": "x0"}).eval().requires_grad_(False)

    def clean(x, t, y):
        alpha, sigma = (level.view(-1, 1, 1, 1) for level in alpha_sigma(t))
        return alpha * x - sigma * model.net(x, t, y)

    monkeypatch.setattr(twin.net, "forward", clean)
    t, y = torch.tensor([0.15, 0.5, 1.0, 0.05, 0.1]), torch.zeros(5, 1).long()
    eps = torch.randn(x.shape, generator=generator(0))
    ratio = twin.error(x, y, t, eps) / model.error(x, y, t, eps)
    expected = (alpha_sigma(t)[1] / 0.2).clamp(max=1) ** 2
    assert torch.allclose(ratio, expected, rtol=1e-3) and expected[3] < expected[4] < 1
    for options in (dict(sampler="ddim"), dict(sampler="heun", guidance=2)):
        ours = model.sample(4, label=1, steps=4, seed=0, **options)
        assert torch.allclose(twin.sample(4, label=1, steps=4, seed=0, **options), ours, atol=1e-4)


def test_the_loss_draws_times_evenly_and_noise_anew(model, seen):
    torch.manual_seed(0)
    for _ in range(2):
        model.loss((torch.full((1000, 1, 8, 8), 0.5), torch.zeros(1000, dtype=torch.int64)))
    (x, t, _), (other, *_) = seen
    assert torch.equal((t * 1000).floor(), torch.arange(1000.0))
    assert torch.allclose(x.std((1, 2, 3)), alpha_sigma(t)[1], atol=0.5)  # 0.5 is 0 on the scale of the network: noise alone
    assert (x[500:] - other[500:]).abs().mean() > 0.3


@pytest.mark.parametrize("drop, classes", [(0.0, [3]), (1.0, [3]), (0.2, [3]), (0.0, [3, 2]), (0.2, [3, 2])], ids=str)
def test_labels_are_withheld_as_often_as_said(drop, classes, monkeypatch):
    model = Diffusion(size=8, classes=classes, widths=[8, 8], blocks=1, heads=2, drop=drop)
    given = []
    monkeypatch.setattr(model.net, "forward", lambda x, t, y: given.append(y) or x)
    torch.manual_seed(0)
    y = torch.ones(10_000, len(classes), dtype=torch.int64)
    model.loss((torch.zeros(10_000, 1, 8, 8), y))
    assert bool(((given[0] == y) | (given[0] == -1)).all())
    withheld = given[0] == -1
    one = drop if len(classes) == 1 else 1 - (1 - drop) ** 2  # with the others, or by itself
    assert withheld.float().mean(0).tolist() == pytest.approx([one] * len(classes), abs=0.02)
    everything = drop if len(classes) == 1 else drop + (1 - drop) * drop**2
    assert withheld.all(1).float().mean().item() == pytest.approx(everything, abs=0.02)


def test_one_batch_is_learnt_by_heart():
    """Three digits, small: after a second or two of training, asking for a class draws its picture from any noise."""
    torch.manual_seed(0)
    digits = gm.data.samples("mnist")
    x = F.adaptive_avg_pool2d(torch.stack([digits.floats()[digits.y == k][0] for k in (0, 1, 4)]), 8)
    model = Diffusion(size=8, classes=[3], widths=[32], blocks=1, heads=2)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3, betas=(0.9, 0.99))
    batch = x.repeat(20, 1, 1, 1), torch.arange(3).repeat(20)
    for _ in range(150):
        optimiser.zero_grad()
        model.loss(batch)["loss"].backward()
        optimiser.step()
    drawn = model.sample(12, label=torch.arange(12) % 3, steps=8, seed=0)
    assert (drawn - x.repeat(4, 1, 1, 1)).square().mean() < 0.2 * (x - x.mean(0)).square().mean()


# --- Sampling -----------------------------------------------------------------------------------------------------------


def test_guidance_0_ignores_the_label_and_1_is_plain(model, seen):
    plain, nobody = (model.sample(4, label=label, steps=4, seed=0) for label in (1, None))
    assert [x.shape[0] for x, *_ in seen] == [4] * 8  # one opinion a step
    assert not torch.equal(plain, nobody)
    assert torch.equal(model.sample(4, label=1, steps=4, seed=0, guidance=0), nobody)
    for guidance in (0, 3, 10):
        assert torch.equal(model.sample(4, steps=4, seed=0, guidance=guidance), nobody)
    assert [x.shape[0] for x, *_ in seen] == [4] * 24
    assert torch.allclose(model.sample(4, label=1, steps=4, seed=0, guidance=1 + 1e-6), plain, atol=1e-3)  # by two opinions


def test_guidance_extrapolates_v_and_x0_is_clipped(model):
    y = torch.tensor([[0], [2], [-1], [1]])
    steps = list(model.sample_steps(4, label=y, steps=5, sampler="ddim", guidance=2, seed=0))
    xs = [2 * x - 1 for x in (model.start(4, seed=0), *(step.x for step in steps))]
    clipped = []
    for x, t, step in zip(xs, grid(1.0, 0.0, 5), steps):
        t, (alpha, sigma) = torch.full((4,), t), ends(t)
        with_label, without = model.net(x, t, y), model.net(x, t, torch.full_like(y, -1))
        x0 = alpha * x - sigma * (2 * with_label - without)
        clipped.append((x0.abs() > 1).float().mean().item())
        assert torch.allclose(2 * step.x0 - 1, x0.clamp(-1, 1), atol=1e-4)
        assert torch.allclose(step.eps, (x - alpha * x0.clamp(-1, 1)) / sigma, atol=1e-3)
    assert 0.01 < max(clipped) < 0.99  # neither nothing nor everything


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_is_the_last_step(model, sampler, seen):
    options = dict(sampler=sampler, label=2, steps=5, seed=3, eta=0.5)
    steps = list(model.sample_steps(4, **options))
    assert len(steps) == 5 and steps[-1].t == steps[-1].sigma == 0
    assert len(seen) == calls(sampler, 5)
    assert torch.allclose(seen[0][0], 2 * model.start(4, seed=3) - 1, atol=1e-6)  # begins with the noise that `start` shows
    assert bool((seen[0][1] == 1).all())
    assert torch.equal(model.sample(4, **options), steps[-1].x.clamp(0, 1))
    assert not torch.equal(model.sample(4, **options | {"seed": 4}), steps[-1].x.clamp(0, 1))
    assert torch.equal(model.sample(4, **options | {"eta": 0}), steps[-1].x.clamp(0, 1)) == (sampler != "ddim")


def test_same_seed_same_picture_beside_other_visitors(model):
    """With noise on the way, that other threads draw at the same time."""

    def draw(seed):
        return model.sample(3, sampler="ddpm", label=seed % 3, steps=8, seed=seed)

    alone = [draw(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(draw, range(8))):
            assert torch.equal(one, other)


def test_the_less_noise_the_more_is_kept(model, x):
    changes = [(model.edit(x, strength=s, seed=0) - x).abs().mean().item() for s in (0.01, 0.1, 0.3, 1)]
    assert changes == sorted(changes) and changes[0] < 0.02 and changes[-1] > 0.2
    assert torch.equal(model.edit(x, strength=1, label=2, seed=5), model.sample(5, label=2, seed=5))  # nothing is kept
    steps = list(model.edit_steps(x, strength=0.5, steps=4, seed=0))
    assert [step.t for step in steps] == [0.375, 0.25, 0.125, 0]
    assert torch.equal(model.edit(x, strength=0.5, steps=4, seed=0), steps[-1].x.clamp(0, 1))


def test_edit_begins_with_the_noisy_picture(model, x, seen):
    model.edit(x, strength=0.4, steps=1, seed=2)
    assert torch.allclose((seen[0][0] + 1) / 2, model.noise(x, 0.4, seed=2), atol=1e-6)


# --- Inpainting ---------------------------------------------------------------------------------------------------------


def test_inpainting_keeps_what_is_known(model, x, seen):
    x = (255 * x).round() / 255  # of 8 bits, which 2 x - 1 and back does not leave as they were
    mask = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(3)) < 0.5
    for m in (mask, mask[:1]):
        new = model.inpaint(x, m, steps=4, seed=0, label=1)
        assert torch.equal(new[~m.expand_as(x)], x[~m.expand_as(x)])
        assert (new - x)[m.expand_as(x)].abs().min() > 0
    assert torch.equal(model.inpaint(x, torch.zeros_like(mask), steps=2, seed=0), x)
    seen.clear()
    steps = list(model.inpaint_steps(x, mask, steps=4, resample=3, seed=0))
    assert len(steps) == 4 and len(seen) == 3 * 3 + 1  # the last step leads to t = 0, where nothing is left to be fitted
    assert torch.equal(model.inpaint(x, mask, steps=4, resample=3, seed=0), steps[-1].x)


@pytest.mark.parametrize("resample", [1, 4])
def test_inpainting_everything_is_a_sample(resample, model, monkeypatch):
    """Of independent Gaussian pixels, whose exact v the network says: doing steps again does not change their law."""

    def v(x, t, y):
        t, m, s = t[0].item(), 0.2, 0.15  # so narrow that clipping cuts nothing
        return to_v(*gaussian(x, t, m, s), *ends(t))

    monkeypatch.setattr(model.net, "forward", v)
    everything = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    new = 2 * model.inpaint(torch.zeros(100, 1, 8, 8), everything, steps=400, resample=resample, seed=0) - 1
    assert new.mean().item() == pytest.approx(0.2, abs=0.01)
    assert new.std().item() == pytest.approx(0.15, abs=0.012)  # ddpm's own error is as large as its steps


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_as_a_denoiser_it_begins_where_the_noise_is_as_strong(sigma, monkeypatch):
    """A network that knows the picture gets it back, and is asked first at the time whose noise that is."""
    torch.manual_seed(0)
    model = Diffusion(size=8, widths=[8], blocks=1).eval()
    x, asked = torch.rand(1, 1, 8, 8), []

    def knows(now, t, y):
        alpha, level = alpha_sigma(t[0])
        asked.append((t[0].item(), ((now - alpha * (2 * x - 1)).std() / level).item()))
        return to_v(2 * x - 1, (now - alpha * (2 * x - 1)) / level, alpha, level)

    monkeypatch.setattr(model.net, "forward", knows)
    noisy = x + sigma * torch.randn(1, 1, 8, 8)
    assert torch.allclose(model.restore(noisy, sigma, steps=4), x, atol=1e-4)
    alpha, level = alpha_sigma(torch.tensor(asked[0][0]))
    assert (level / alpha).item() == pytest.approx(2 * sigma, rel=1e-4)
    assert asked[0][1] == pytest.approx(((noisy - x) / sigma).std().item(), rel=1e-3)
