"""The contract of all models, checked on a small one of each. What is expected of a family is in `tests/contract`."""

import copy
import json
import math
import pickle
import random
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import genmodels as gm
from genmodels.base import check_choice, check_latents, check_number, check_pictures, generator
from tests.compare import close
from tests.contract import PICTURES
from tests.helpers_models import CALLS, REFUSED, batch, build, entries, family, loss_methods, losses, shared, tensors
from tests.tiny import MODELS

PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)


@pytest.fixture(params=MODELS)
def model(request):
    """A small model of each kind in training mode; no weight is zero, as some initial weights are."""
    return build(request.param).train()


@pytest.fixture(params=[(name, call) for name in MODELS for call in entries(CALLS, name)], ids=" | ".join)
def call(request):
    """(model in eval mode, its call, pictures, expected shape, whether the result is finished pictures)"""
    name, method = request.param
    model = shared(name)
    function, shape = entries(CALLS, name)[method]
    return model, function, batch(model)[0], shape(model), method in PICTURES


def test_every_family_is_here():
    assert {family(name) for name in MODELS} == set(map(family, CALLS)) == set(map(family, REFUSED)) == set(gm.FAMILIES)


# --- Calls ------------------------------------------------------------------------------------------------------------


def test_shape(call):
    model, function, x, shape, pictures = call
    for tensor, expected in zip(tensors(function(model, x)), shape if isinstance(shape, list) else [shape] * 2):
        assert tensor.shape == expected
        assert bool(torch.isfinite(tensor).all())
        if pictures:
            assert 0 <= tensor.min() <= tensor.max() <= 1


def test_the_global_random_state_is_untouched(call):
    model, function, x, _, _ = call
    states = []
    for _ in range(2):
        states.append((torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()))  # noqa: NPY002
        function(model, x)
    assert states[0] == states[1]


def test_a_call_leaves_nothing_on_the_model(call):
    model, function, x, _, _ = call
    model = copy.deepcopy(model)

    def everything():
        return {
            f"{name}.{key}": pickle.dumps(value)
            for name, module in model.named_modules()
            for key, value in vars(module).items()
            if key != "_modules"  # which come by themselves
        }

    before = everything()
    function(model, x)
    assert everything() == before


def test_pictures_in_double_precision_are_accepted(call):
    model, function, x, _, _ = call
    for ours, theirs in zip(tensors(function(model, x)), tensors(function(model, x.double()))):
        assert ours.shape == theirs.shape


@pytest.mark.parametrize("name", [name for name in MODELS if "sample" in entries(CALLS, name)])
def test_same_seed_same_sample(name):
    model = shared(name)
    first = model.sample(4, seed=3)
    torch.manual_seed(2)
    assert torch.equal(first, model.sample(4, seed=3))
    assert not torch.equal(first, model.sample(4, seed=4))
    assert not torch.equal(model.sample(4), model.sample(4))
    assert len(torch.unique(first, dim=0)) == 4


def refusal(function, model, bad):
    """The sentence of a call that is refused."""
    try:
        function(model, bad)
    except ValueError as e:
        return str(e)
    return "accepted"


@pytest.mark.parametrize(
    ("name", "function", "argument", "values"),
    [
        pytest.param(name, *entry, id=f"{name}-{i}-{entry[1]}")
        for name in MODELS
        for i, entry in enumerate(entries(REFUSED, name))
    ],
)
def test_bad_arguments_give_a_one_sentence_error(name, function, argument, values):
    model = shared(name)
    for bad in values:
        message = refusal(function, model, values[bad](model) if isinstance(values, dict) else bad)
        assert re.search(rf"^{argument} must be .{{10,200}}\.$", message), f"{bad}: {message}"


# --- Losses -----------------------------------------------------------------------------------------------------------


def test_losses_are_finite_named_scalars(model):
    for method in loss_methods(model):
        terms = losses(model, method)
        assert "loss" in terms
        for name, value in terms.items():
            assert value.ndim == 0, name
            assert bool(torch.isfinite(value)), name
            assert value.requires_grad == (name == "loss"), name
        torch.manual_seed(0)  # training goes through forward
        assert close(terms["loss"], model(batch(model), method=method)["loss"])


def test_every_parameter_gets_a_gradient(model):
    for method in loss_methods(model):
        losses(model, method)["loss"].backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert bool(torch.isfinite(p.grad).all()), name
        assert p.grad.abs().max() > 1e-5, name  # more than rounding error


def test_the_gradient_is_the_slope_of_the_loss(model):
    """With the same noise, the losses at t and -t along the gradient differ by 2 t |gradient|."""
    for method in loss_methods(model):
        model.zero_grad(set_to_none=True)
        losses(model, method)["loss"].backward()
        parameters = [p for p in model.parameters() if p.grad is not None]  # of two networks, those of the trained one
        norm = torch.sqrt(sum(p.grad.square().sum() for p in parameters))
        t, values = 1e-3, []
        for move in (t, -2 * t):
            with torch.no_grad():
                for p in parameters:
                    p += move * p.grad / norm
            values.append(losses(model, method)["loss"].item())
        assert (values[0] - values[1]) / (2 * t) == pytest.approx(norm.item(), rel=0.05), method


def test_a_broken_weight_gives_a_loss_of_nan_not_an_error(model):
    """So that the training loop can name the step and the term."""
    with torch.no_grad():
        weight = next(model.parameters())
        weight[(0,) * weight.ndim] = math.nan
    for method in loss_methods(model):
        assert bool(torch.isnan(losses(model, method)["loss"])), method


# --- Saving -----------------------------------------------------------------------------------------------------------


def test_save_and_load_give_the_same_model(model, tmp_path):
    for method in loss_methods(model):
        losses(model, method)  # updates batch statistics, if there are any
    model.eval().save_pretrained(tmp_path)
    loaded = gm.load(tmp_path)
    assert type(loaded) is type(model)
    assert loaded.config == model.config
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())
    ours, theirs = model.state_dict(), loaded.state_dict()
    assert list(ours) == list(theirs)
    for name in ours:
        assert ours[name].dtype == theirs[name].dtype, name
        assert torch.equal(ours[name], theirs[name]), name
    x = batch(model)[0]
    for name, (function, _) in entries(CALLS, model.name).items():
        if "unseeded" not in name:
            assert all(close(a, b) for a, b in zip(tensors(function(model, x)), tensors(function(loaded, x)), strict=True)), (
                name
            )


def test_the_constructor_is_the_config(model, tmp_path):
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert config.pop("family") == model.family_name
    assert {key: config.pop(key) for key in model.class_entries} == model.class_entries
    assert config == model.config
    again = type(model)(**config)
    assert again.config == config
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in model.state_dict().items()}


def test_models_of_one_kind_share_no_weights_and_no_config(model):
    again = type(model)(**model.config)
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in again.parameters()}
    model.config["hidden"] = 4096
    assert again.config == model.config and model.config.get("hidden") != 4096


# --- Checks of arguments ----------------------------------------------------------------------------------------------

ANYTHING = st.one_of(
    st.floats(),
    st.integers(),
    st.integers(-20, 20),
    st.booleans(),
    st.none(),
    st.text(max_size=60),
    st.lists(st.integers(), max_size=3),
    st.complex_numbers(),
    st.binary(max_size=4),
    st.builds(torch.tensor, st.lists(st.floats(-20, 20), max_size=2)),
)


@PROPERTY
@given(value=ANYTHING, ends=st.tuples(st.integers(-9, 9), st.integers(-9, 9)), whole=st.booleans())
def test_check_number(value, ends, whole):
    low, high = sorted(ends)
    number = value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
    fits = isinstance(number, (int, float)) and not isinstance(number, bool) and low <= number <= high
    if fits and not (whole and number != int(number)):
        assert check_number("n", value, low, high, whole) == number
        assert type(check_number("n", value, low, high, whole)) is (int if whole else float)
    else:
        sentence = rf"(?s)^n must be a (whole )?number from {low} to {high}, not .{{0,450}}\.$"
        with pytest.raises(ValueError, match=sentence):
            check_number("n", value, low, high, whole)


@pytest.mark.parametrize("value", [np.float32(2), np.int64(2), torch.tensor(2.0), 2, 2.0], ids=repr)
def test_numbers_of_other_libraries_are_accepted(value):
    assert check_number("n", value, 0, 2) == check_number("n", value, 0, 2, whole=True) == 2


@PROPERTY
@given(value=ANYTHING)
def test_check_choice(value):
    allowed = ("red", "green", "a", "")
    if isinstance(value, str) and value in allowed:
        assert check_choice("colour", value, allowed) is value
    else:
        with pytest.raises(ValueError, match=r"(?s)^colour must be one of red, green, a, , not .{0,450}\.$"):
            check_choice("colour", value, allowed)


@PROPERTY
@given(
    shape=st.lists(st.integers(0, 3), max_size=5),
    value=st.floats(-0.5, 1.5) | st.just(math.nan),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.float16, torch.uint8, torch.bool]),
)
def test_check_pictures(shape, value, dtype):
    x = torch.full(shape, 0.5).to(dtype)
    if x.numel():
        x.view(-1)[-1] = int(value > 0) if dtype in (torch.uint8, torch.bool) else value
    good = (
        len(shape) == 4
        and shape[0] > 0
        and shape[1:] == [1, 2, 2]
        and dtype.is_floating_point
        and bool(((x >= 0) & (x <= 1)).all())
    )
    if good:
        assert torch.equal(check_pictures("x", x, 1, 2), x.float())
        assert check_pictures("x", x, 1, 2).dtype == torch.float32
    else:
        with pytest.raises(ValueError, match=r"^x must be a float tensor \(B, 1, 2, 2\) with values in \[0, 1\].*\.$"):
            check_pictures("x", x, 1, 2)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (3, 1, 2, 2)])
def test_check_pictures_accepts_the_whole_range(shape):
    x = torch.linspace(0, 1, math.prod(shape)).view(shape)
    assert check_pictures("x", x, 1, 2) is x


@PROPERTY
@given(
    shape=st.lists(st.integers(0, 3), max_size=3),
    value=st.floats(width=32),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.int64]),
)
def test_check_latents(shape, value, dtype):
    z = torch.zeros(shape, dtype=dtype)
    if z.numel() and dtype.is_floating_point:
        z.view(-1)[-1] = value
    if len(shape) == 2 and shape[1] == 2 and dtype.is_floating_point and bool(torch.isfinite(z).all()):
        assert torch.equal(check_latents(z, 2), z.float())
    else:
        with pytest.raises(ValueError, match=r"^z must be (a float tensor \(B, 2\), not .*|finite.*)\.$"):
            check_latents(z, 2)


@PROPERTY
@given(seed=st.integers(0, 2**63 - 1))
def test_generators_are_private_and_reproducible(seed):
    before = torch.get_rng_state()
    a, b = (torch.rand(3, generator=generator(seed)) for _ in range(2))
    assert torch.equal(a, b)
    assert torch.equal(before, torch.get_rng_state())
