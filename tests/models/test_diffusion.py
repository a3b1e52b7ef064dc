"""Diffusion models: the noising process, the network, the loss, sampling and inpainting."""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

import genmodels as gm
from genmodels.base import generator
from genmodels.diffusion import SAMPLERS, Diffusion, UNet, alpha_sigma, function_evaluations, to_v
from tests.compare import close
from tests.helpers_diffusion import exact_alpha_sigma, from_v, gaussian, gaussian_noise, grey_pictures, grid, small_model

model = pytest.fixture(small_model)
x = pytest.fixture(grey_pictures)


@pytest.fixture
def network_inputs(model, monkeypatch):
    """The arguments (x, t, y) of every call of the network."""
    inputs, forward = [], model.net.forward
    monkeypatch.setattr(model.net, "forward", lambda *a: inputs.append([v.clone() for v in a]) or forward(*a))
    return inputs


TIMES = torch.linspace(0, 1, 101, dtype=torch.float64).view(-1, 1)  # including both ends


# --- The noising process ----------------------------------------------------------------------------------------------


def test_v_and_back_in_float64():
    x0, eps, (alpha, sigma) = gaussian_noise(9), gaussian_noise(9, 1), alpha_sigma(TIMES)
    assert torch.allclose(alpha**2 + sigma**2, torch.ones_like(TIMES), atol=1e-15)
    recovered = from_v(alpha * x0 + sigma * eps, to_v(x0, eps, alpha, sigma), alpha, sigma)
    assert torch.allclose(recovered[0], x0.expand(101, 9), atol=1e-14)
    assert torch.allclose(recovered[1], eps.expand(101, 9), atol=1e-14)


def test_v_is_the_slope_along_the_circle():
    x0, eps, h = gaussian_noise(9), gaussian_noise(9, 1), 1e-4

    def x(t):
        alpha, sigma = alpha_sigma(t)
        return alpha * x0 + sigma * eps

    slope = (x(TIMES + h) - x(TIMES - h)) / (2 * h * math.pi / 2)
    assert torch.allclose(to_v(x0, eps, *alpha_sigma(TIMES)), slope, atol=1e-6)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.9])
def test_q_sample_has_the_moments_of_the_process(model, x, t):
    alpha, sigma = alpha_sigma(torch.tensor(t))
    noisy = 2 * model.q_sample(x.repeat(4000, 1, 1, 1), t, seed=0).view(4000, *x.shape) - 1
    assert bool(((noisy.mean(0) - alpha * (2 * x - 1)).abs() < 5 * sigma / math.sqrt(4000)).all())
    assert bool(((noisy.std(0) / sigma - 1).abs() < 5 / math.sqrt(8000)).all())


def test_q_sample_at_both_level(model, x):
    assert torch.allclose(model.q_sample(x, 0, seed=0), x, atol=1e-6)
    pure_noise = 2 * model.q_sample(x, 1, seed=3) - 1  # a standard normal, and that of `initial_noise`
    assert torch.allclose(pure_noise, torch.randn(x.shape, generator=generator(3)), atol=1e-6)
    assert torch.allclose(pure_noise, 2 * model.initial_noise(5, seed=3) - 1, atol=1e-6)


# --- The network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("height, width", [(8, 8), (8, 24), (40, 16)])
def test_any_size_that_the_levels_divide(height, width):
    net = UNet(3, [4, 2], patch=2, widths=[8, 16, 16], blocks=2, heads=2)
    x, t, y = torch.randn(3, 3, height, width), torch.rand(3), torch.tensor([[0, 1], [3, -1], [-1, -1]])
    v = net(x, t, y)
    assert v.shape == x.shape
    assert torch.allclose(v[1:2], net(x[1:2], t[1:2], y[1:2]), atol=1e-5)  # independent of the rest of the batch
    v.square().mean().backward()
    with pytest.raises(RuntimeError):
        net(x[..., 1:], t, y)


def test_the_picture_must_be_divisible():
    with pytest.raises(ValueError, match=r"size must be divisible by 8"):
        Diffusion(size=28, widths=[16, 16, 16])


def test_labels_and_time_matter_and_an_unspecified_label_has_its_own_embedding(model, x):
    def v(label, t=0.5):
        return model.net(2 * x - 1, torch.full((5,), t), torch.full((5, 1), label))

    outputs = {label: v(label) for label in (-1, 0, 1, 2)}
    for a, b in pairwise(outputs.values()):
        assert (a - b).abs().max() > 1e-3
    assert (v(0, 0.6) - outputs[0]).abs().max() > 1e-3
    model.net.labels.tables[0].weight[-1] += 1
    for label, output in outputs.items():
        assert close(v(label), output) == (label >= 0)


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
def test_accepted_forms_of_labels(label, expected):
    model = Diffusion(size=8, classes=[3, 2], widths=[8, 8], blocks=1, heads=2)
    assert model.labels(label, 3).tolist() == expected


@pytest.mark.parametrize(
    "label, expected", [(2, [2] * 3), ([2], [2] * 3), ([0, 1, -1], [0, 1, -1]), ([[0], [1], [2]], [0, 1, 2])], ids=str
)
def test_accepted_forms_of_a_single_label(model, label, expected):
    assert model.labels(label, 3)[:, 0].tolist() == expected


# --- The loss ---------------------------------------------------------------------------------------------------------


def test_the_error_is_that_of_v(model, x):
    t, eps, y = torch.linspace(0, 1, 5), torch.randn(x.shape, generator=generator(0)), torch.tensor([[0], [1], [2], [-1], [0]])
    alpha, sigma = (level.view(5, 1, 1, 1) for level in alpha_sigma(t))
    x0 = 2 * x - 1
    by_hand = (model.net(alpha * x0 + sigma * eps, t, y) - (alpha * eps - sigma * x0)) ** 2
    assert torch.allclose(model.error(x, y, t, eps), by_hand.mean((1, 2, 3)), rtol=1e-4)


def test_predicting_x0_gives_the_same_error_and_samples_as_predicting_v(model, x, monkeypatch):
    """The x0 of the twin follows from v. The errors differ only at low noise, where the weight of x0 is clamped."""
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


def test_the_loss_stratifies_times_and_samples_new_noise(model, network_inputs):
    torch.manual_seed(0)
    for _ in range(2):
        model.loss((torch.full((1000, 1, 8, 8), 0.5), torch.zeros(1000, dtype=torch.int64)))
    (x, t, _), (next_x, *_) = network_inputs
    assert torch.equal((t * 1000).floor(), torch.arange(1000.0))
    assert torch.allclose(x.std((1, 2, 3)), alpha_sigma(t)[1], atol=0.5)  # 0.5 becomes 0 for the network: only noise is left
    assert (x[500:] - next_x[500:]).abs().mean() > 0.3


@pytest.mark.parametrize("drop, classes", [(0.0, [3]), (1.0, [3]), (0.2, [3]), (0.0, [3, 2]), (0.2, [3, 2])], ids=str)
def test_labels_are_dropped_with_the_given_probability(drop, classes, monkeypatch):
    model = Diffusion(size=8, classes=classes, widths=[8, 8], blocks=1, heads=2, drop=drop)
    labels = []
    monkeypatch.setattr(model.net, "forward", lambda x, t, y: labels.append(y) or x)
    torch.manual_seed(0)
    y = torch.ones(10_000, len(classes), dtype=torch.int64)
    model.loss((torch.zeros(10_000, 1, 8, 8), y))
    assert bool(((labels[0] == y) | (labels[0] == -1)).all())
    dropped = labels[0] == -1
    single = drop if len(classes) == 1 else 1 - (1 - drop) ** 2  # together with all labels, or by itself
    assert dropped.float().mean(0).tolist() == pytest.approx([single] * len(classes), abs=0.02)
    all_labels = drop if len(classes) == 1 else drop + (1 - drop) * drop**2
    assert dropped.all(1).float().mean().item() == pytest.approx(all_labels, abs=0.02)


def test_it_overfits_one_batch():
    """Three small digits: after a second or two of training, sampling a class gives its picture from any noise."""
    torch.manual_seed(0)
    digits = gm.data.samples("mnist")
    x = F.adaptive_avg_pool2d(torch.stack([digits.floats()[digits.y == k][0] for k in (0, 1, 4)]), 8)
    model = Diffusion(size=8, classes=[3], widths=[32], blocks=1, heads=2)
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3, betas=(0.9, 0.99))
    batch = x.repeat(10, 1, 1, 1), torch.arange(3).repeat(10)
    for _ in range(120):
        optimiser.zero_grad()
        model.loss(batch)["loss"].backward()
        optimiser.step()
    generated = model.sample(12, label=torch.arange(12) % 3, steps=8, seed=0)
    assert (generated - x.repeat(4, 1, 1, 1)).square().mean() < 0.2 * (x - x.mean(0)).square().mean()


# --- Sampling ---------------------------------------------------------------------------------------------------------


def test_guidance_0_ignores_the_label_and_1_is_the_conditional_model(model, network_inputs):
    conditional, unconditional = (model.sample(4, label=label, steps=4, seed=0, guidance=1) for label in (1, None))
    assert [x.shape[0] for x, *_ in network_inputs] == [4] * 8  # one prediction per step
    assert not close(conditional, unconditional, atol=1e-3)
    assert close(model.sample(4, label=1, steps=4, seed=0, guidance=0), unconditional)
    for guidance in (0, 3, 10):
        assert close(model.sample(4, steps=4, seed=0, guidance=guidance), unconditional)
    assert [x.shape[0] for x, *_ in network_inputs] == [4] * 24
    assert torch.allclose(
        model.sample(4, label=1, steps=4, seed=0, guidance=1 + 1e-6), conditional, atol=1e-3
    )  # from two predictions


def test_a_little_guidance_is_the_default(model):
    options = dict(label=1, steps=3, seed=0)
    x = model.sample(4, **options)
    assert close(x, model.sample(4, **options, guidance=1.2)) and not close(
        x, model.sample(4, **options, guidance=1), atol=1e-4
    )
    x, mask = gm.data.samples("mnist").floats()[:4, :, :8, :8], torch.ones(1, 1, 8, 8, dtype=torch.bool)
    for method, *arguments in (("edit", x), ("restore", x, 0.5)):
        method = getattr(model, method)
        assert close(method(*arguments, **options), method(*arguments, **options, guidance=1.2))
    assert close(model.inpaint(x, mask, **options), model.inpaint(x, mask, **options, guidance=1.2))


def test_guidance_extrapolates_v_and_x0_is_clipped(model):
    y = torch.tensor([[0], [2], [-1], [1]])
    steps = list(model.sample_steps(4, label=y, steps=5, sampler="ddim", guidance=2, seed=0))
    xs = [2 * x - 1 for x in (model.initial_noise(4, seed=0), *(step.x for step in steps))]
    clipped = []
    for x, t, step in zip(xs, grid(1.0, 0.0, 5), steps):
        t, (alpha, sigma) = torch.full((4,), t), exact_alpha_sigma(t)
        with_label, without = model.net(x, t, y), model.net(x, t, torch.full_like(y, -1))
        x0 = alpha * x - sigma * (2 * with_label - without)
        clipped.append((x0.abs() > 1).float().mean().item())
        assert torch.allclose(2 * step.x0 - 1, x0.clamp(-1, 1), atol=1e-4)
        assert torch.allclose(step.eps, (x - alpha * x0.clamp(-1, 1)) / sigma, atol=1e-3)
    assert 0.01 < max(clipped) < 0.99  # some values are clipped, but not all


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sample_is_the_last_step(model, sampler, network_inputs):
    options = dict(sampler=sampler, label=2, steps=5, seed=3, eta=0.5, guidance=1)
    steps = list(model.sample_steps(4, **options))
    assert len(steps) == 5 and steps[-1].t == steps[-1].sigma == 0
    assert len(network_inputs) == function_evaluations(sampler, 5)
    assert torch.allclose(network_inputs[0][0], 2 * model.initial_noise(4, seed=3) - 1, atol=1e-6)
    assert bool((network_inputs[0][1] == 1).all())
    assert close(model.sample(4, **options), steps[-1].x.clamp(0, 1))
    assert not close(model.sample(4, **options | {"seed": 4}), steps[-1].x.clamp(0, 1))
    assert close(model.sample(4, **options | {"eta": 0}), steps[-1].x.clamp(0, 1)) == (sampler != "ddim")


def test_the_same_seed_gives_the_same_picture_in_concurrent_calls(model):
    """With a stochastic sampler, while other threads sample at the same time."""

    def sample(seed):
        return model.sample(3, sampler="ddpm", label=seed % 3, steps=8, seed=seed)

    sequential = [sample(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for expected, concurrent in zip(sequential, pool.map(sample, range(8))):
            assert close(concurrent, expected)


def test_less_noise_keeps_more_of_the_picture(model, x):
    changes = [(model.edit(x, strength=s, seed=0) - x).abs().mean().item() for s in (0.01, 0.1, 0.3, 1)]
    assert changes == sorted(changes) and changes[0] < 0.02 and changes[-1] > 0.2
    assert close(model.edit(x, strength=1, label=2, seed=5), model.sample(5, label=2, seed=5))  # nothing of x is left
    steps = list(model.edit_steps(x, strength=0.5, steps=4, seed=0))
    assert [step.t for step in steps] == [0.375, 0.25, 0.125, 0]
    assert close(model.edit(x, strength=0.5, steps=4, seed=0), steps[-1].x.clamp(0, 1))


def test_edit_starts_from_the_noisy_picture(model, x, network_inputs):
    model.edit(x, strength=0.4, steps=1, seed=2)
    assert torch.allclose((network_inputs[0][0] + 1) / 2, model.q_sample(x, 0.4, seed=2), atol=1e-6)


# --- Inpainting -------------------------------------------------------------------------------------------------------


def test_inpainting_keeps_the_unmasked_part(model, x, network_inputs):
    x = (255 * x).round() / 255  # 8-bit values, which the rounding of 2 x - 1 would change
    mask = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(3)) < 0.5
    for m in (mask, mask[:1]):
        new = model.inpaint(x, m, steps=4, seed=0, label=1)
        assert torch.equal(new[~m.expand_as(x)], x[~m.expand_as(x)])
        assert (new - x)[m.expand_as(x)].abs().min() > 0
    assert torch.equal(model.inpaint(x, torch.zeros_like(mask), steps=2, seed=0), x)
    network_inputs.clear()
    steps = list(model.inpaint_steps(x, mask, steps=4, resample=3, seed=0))
    assert len(steps) == 4 and len(network_inputs) == 3 * 3 + 1  # the last step, to t = 0, runs once
    assert close(model.inpaint(x, mask, steps=4, resample=3, seed=0), steps[-1].x)


def test_the_kept_part_has_the_noise_of_each_step(model):
    """It is x_t of the given picture at the time of the step, like the generated part beside it."""
    x, mask = torch.full((100, 1, 8, 8), 0.9), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 4:] = True
    for step in model.inpaint_steps(x, mask, steps=4, resample=1, seed=0):
        kept = (2 * step.x - 1)[..., :4]
        alpha, sigma = alpha_sigma(torch.tensor(step.t))
        assert kept.mean().item() == pytest.approx(0.8 * alpha.item(), abs=0.05)
        assert kept.std().item() == pytest.approx(sigma.item(), abs=0.05)


def test_a_step_that_is_run_again_has_the_noise_of_its_time(model, network_inputs):
    x, mask = torch.full((100, 1, 8, 8), 0.9), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 4:] = True
    list(model.inpaint_steps(x, mask, steps=4, resample=3, seed=0))
    assert [round(t[0].item(), 2) for _, t, _ in network_inputs] == [1, 1, 1, 0.75, 0.75, 0.75, 0.5, 0.5, 0.5, 0.25]
    for x_t, t, _ in network_inputs:
        alpha, sigma = alpha_sigma(t[0])
        assert x_t[..., :4].mean().item() == pytest.approx(0.8 * alpha.item(), abs=0.05)
        assert x_t[..., :4].std().item() == pytest.approx(sigma.item(), abs=0.05)


@pytest.mark.parametrize("resample", [1, 4])
def test_inpainting_everything_is_a_sample(resample, model, monkeypatch):
    """Independent Gaussian pixels and a network with their exact v: resampling does not change the distribution."""

    def v(x, t, y):
        t, m, s = t[0].item(), 0.2, 0.15  # narrow enough not to be clipped
        return to_v(*gaussian(x, t, m, s), *exact_alpha_sigma(t))

    monkeypatch.setattr(model.net, "forward", v)
    full_mask = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    new = 2 * model.inpaint(torch.zeros(100, 1, 8, 8), full_mask, steps=200, resample=resample, seed=0) - 1
    assert new.mean().item() == pytest.approx(0.2, abs=0.01)
    assert new.std().item() == pytest.approx(0.15, abs=0.012)  # ddpm is of first order


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_restore_starts_at_the_time_of_the_same_noise_level(sigma, monkeypatch):
    """A network that knows the clean picture recovers it; its first call is at the time with that noise level."""
    torch.manual_seed(0)
    model = Diffusion(size=8, widths=[8], blocks=1).eval()
    x, calls = torch.rand(1, 1, 8, 8), []

    def oracle(x_t, t, y):
        alpha, sigma_t = alpha_sigma(t[0])
        eps = (x_t - alpha * (2 * x - 1)) / sigma_t
        calls.append((t[0].item(), eps.std().item()))
        return to_v(2 * x - 1, eps, alpha, sigma_t)

    monkeypatch.setattr(model.net, "forward", oracle)
    noisy = x + sigma * torch.randn(1, 1, 8, 8)
    assert torch.allclose(model.restore(noisy, sigma, steps=4), x, atol=1e-4)
    first_t, first_std = calls[0]
    alpha, sigma_t = alpha_sigma(torch.tensor(first_t))
    assert (sigma_t / alpha).item() == pytest.approx(2 * sigma, rel=1e-4)
    assert first_std == pytest.approx(((noisy - x) / sigma).std().item(), rel=1e-3)
