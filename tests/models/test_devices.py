"""Every model works where it is and in the float type that it has, and takes its inputs from anywhere."""

import copy
import functools

import pytest
import torch

import genmodels as gm
from genmodels import vae
from genmodels.base import generator
from tests.compare import close
from tests.helpers_models import CALLS, batch, build, entries, family, losses, shared, tensors
from tests.helpers_models import loss_methods as methods
from tests.other_device import OnDevice, put, values
from tests.tiny import MODELS

TOLERANCE = {  # of a result, as a share of its largest value, against that of 32 bits
    torch.float64: 1e-3,
    torch.float16: 0.05,
    torch.bfloat16: 0.15,
}
CHOICES = {  # family -> calls in which rounding may change a choice, and with it all that follows
    "transformer": ("generate_steps", "poem_steps", "complete_steps", "sample"),
    "classifier": ("predict",),
    "gan": ("project_steps",),
}
SEEDED = [
    pytest.param(name, call, id=f"{name} | {call}")
    for name in MODELS
    for call in entries(CALLS, name)
    if "unseeded" not in call
]


@functools.cache
def on_device(name):
    """A small model on the pretended device."""
    return put(build(name))


@functools.cache
def of_type(name, dtype):
    """A small model of another float type."""
    return build(name).to(dtype)


@functools.cache
def frozen(name):
    """A small model whose weights are not trained."""
    return build(name).requires_grad_(False)


@functools.cache
def expected_results(name, call):
    """Of a call of a small model, in 32 bits on the CPU: computed once for all devices and types."""
    return result(name, call, shared(name))


def result(name, call, model, x=None):
    """Of a call with the pictures of a batch, or others."""
    return tensors(entries(CALLS, name)[call][0](model, batch(model)[0] if x is None else x))


@pytest.fixture
def exact(name, call):
    """Those of a test's call, computed before the pretended device is there."""
    return expected_results(name, call)


# --- Devices ----------------------------------------------------------------------------------------------------------


def test_the_pretended_device_refuses_what_a_real_one_refuses(device):
    x = torch.ones(2, device=device)
    assert isinstance(x + 1, OnDevice)
    assert values(x + torch.tensor(1.0)).tolist() == [2, 2]
    for wrong in (lambda: x + torch.ones(2), lambda: x.double(), lambda: torch.ones(2)[x > 0], lambda: x.copy_(x).double()):
        with pytest.raises((RuntimeError, TypeError), match=r"same device|64-bit|on the CPU"):
            wrong()


@pytest.mark.parametrize("name, call", SEEDED)
def test_inputs_from_the_cpu_go_where_the_model_is(name, call, exact, device):
    for on_gpu, on_cpu in zip(result(name, call, on_device(name)), exact, strict=True):
        assert close(values(on_gpu), on_cpu)


@pytest.mark.parametrize("name, call", SEEDED)
def test_inputs_from_elsewhere_go_to_a_model_on_the_cpu(name, call, exact, device):
    model = shared(name)
    for moved, expected in zip(result(name, call, model, OnDevice(batch(model)[0])), exact, strict=True):
        assert close(values(moved), expected)


@pytest.mark.parametrize("name", MODELS)
def test_losses_take_batches_of_the_cpu_and_need_no_64_bits(name, device):
    model = build(name)
    expected = [losses(model, method) for method in methods(model)]
    put(model)
    for method, terms in zip(methods(model), expected):
        moved = losses(model, method)
        moved["loss"].backward()
        assert all(close(values(moved[k].detach()), terms[k].detach(), rtol=1e-3) for k in terms), method
    for p in model.parameters():
        assert p.grad is None or bool(torch.isfinite(values(p.grad)).all())


def test_codes_move_to_one_another(device):
    z = torch.ones(1, 2, device=device)
    vectors = {"class": {"a": torch.zeros(2), "b": torch.ones(2)}}
    latents = vae.Latents(torch.zeros(2), torch.zeros(2), torch.ones(2), vectors)
    assert values(latents.move(z, "class", "a", "b")).tolist() == [[2, 2]]
    model = build("gan")
    start, end = torch.zeros(model.latent), torch.ones(model.latent)
    assert close(values(model.interpolate(OnDevice(start), end, 3)), model.interpolate(start, end, 3))


# --- Float types ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name, call", SEEDED)
def test_a_model_of_another_float_type_computes_the_same(name, call, dtype):
    for rounded, exact in zip(result(name, call, of_type(name, dtype)), expected_results(name, call), strict=True):
        assert rounded.shape == exact.shape
        assert bool(torch.isfinite(rounded).all())
        assert rounded.dtype in (torch.float32, torch.float64, torch.int64)  # never less precise than before
        if dtype == torch.float64 or call not in CHOICES.get(family(name), ()):
            assert (rounded - exact).abs().max() <= TOLERANCE[dtype] * exact.abs().max() + 1e-6


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_losses_of_another_float_type_are_the_same(name, dtype):
    model = build(name)
    other = copy.deepcopy(model).to(dtype)
    for method in methods(model):
        exact, loss = losses(model, method)["loss"], losses(other, method)["loss"]
        loss.backward()
        assert loss.item() == pytest.approx(exact.item(), rel=TOLERANCE[dtype])
    assert all(bool(torch.isfinite(p.grad).all()) for p in other.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
@pytest.mark.parametrize("name, call", SEEDED)
def test_pictures_and_codes_of_another_float_type_are_taken(name, call, dtype):
    model = shared(name)
    x = batch(model)[0]
    given = x.to(dtype) if x.is_floating_point() else x
    for answer, expected in zip(result(name, call, model, given), expected_results(name, call), strict=True):
        assert answer.shape == expected.shape
        assert answer.dtype == expected.dtype or call == "binarise"


# --- Gradients --------------------------------------------------------------------------------------------------------

WHOLE_NUMBERS = {"predict", "labels", "binarise", "generate_steps", "read_steps", "poem_steps", "project_steps"}


@pytest.mark.parametrize("name, call", [case for case in SEEDED if case.values[1] not in WHOLE_NUMBERS])
def test_results_can_be_trained_on_and_edited(name, call):
    for x in result(name, call, frozen(name)):
        assert not x.is_inference()
        weight = torch.ones_like(x, requires_grad=True)
        (weight * x).sum().backward()  # saves the result for the backward pass
        assert close(weight.grad, x.detach())
        edited = x.detach().clone()
        edited[0] = 0
        x.requires_grad_()


@pytest.mark.parametrize("name", [name for name in MODELS if hasattr(shared(name), "decode")])
def test_codes_can_be_optimised(name):
    """A few steps down the gradient bring the decoded picture closer to another one."""
    model = frozen(name)
    if hasattr(model, "sample_latents"):
        z, target = model.sample_latents(2, seed=0), model.decode(model.sample_latents(2, seed=1))
    else:
        z, target = torch.randn(2, 2, model.latent, generator=generator(0)).unbind()
        target = model.decode(target)
    z = z.clone().requires_grad_()
    optimizer, errors = torch.optim.Adam([z], lr=0.02), []
    for _ in range(30):
        error = (model.decode(z) - target).square().mean()
        optimizer.zero_grad()
        error.backward()
        assert bool((z.grad != 0).any())
        optimizer.step()
        errors.append(error.item())
    assert min(errors[-5:]) < 0.9 * errors[0]


def test_the_flow_decodes_with_the_slope_of_its_pixels():
    """The gradient of the last pixel to be generated, whose neighbours are given, is that of the transform of one variable."""
    model = frozen("flow")
    z = model.sample_latents(1, seed=0).requires_grad_()
    model.decode(z)[0, 0, 0, 0].backward()  # of the finest lattice: no other pixel is generated from it
    moved = z.detach().clone()
    moved[0, 0] += 1e-7
    exact = [*model.decode_steps(z.detach())][-1].h[0, 0, 0, 0]
    slope = ([*model.decode_steps(moved)][-1].h[0, 0, 0, 0] - exact) / 1e-7
    assert z.grad[0, 0].item() == pytest.approx(slope.item(), rel=1e-3)


def test_a_flow_is_trained_through_its_codes_and_likelihoods():
    model = build("flow")
    x = batch(model)[0]
    for output in (model.encode(x), model.decode(torch.zeros(1, model.latent)), model.log_prob(x)):
        model.zero_grad()
        output.square().mean().backward()
        assert model.couplings[0].net.first.weight.grad.abs().max() > 0
    x.requires_grad_()
    model.encode(x).square().sum().backward()
    assert bool((x.grad != 0).any())


def test_shipped_codes_are_edited_and_optimised():
    for name, label in (("gan-mnist", 3), ("vae-mnist", None)):
        model = gm.load(name)
        z = model.sample_latents(1, label=label, seed=0) if label is not None else model.sample_latents(1, seed=0)
        z[0, 0] = 1
        z.requires_grad_()
        model.decode(z).sum().backward()
        assert bool((z.grad != 0).all())
