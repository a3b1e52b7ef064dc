"""The flow's mathematics: exact inverses, determinants by autograd, densities that integrate to 1, zuko's affine coupling."""

import math

import pytest
import torch
import zuko
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import jacrev

from genmodels import flow
from genmodels.flow import Flow, Mixture, mixture_inverse, mixture_transform
from genmodels.plane import PlaneCoupling
from genmodels.typicality import LikelihoodStats, Typicality, assess
from tests.compare import close, close_greys

PROPERTY = settings(deadline=None, derandomize=True, max_examples=15)


def perturbed(model, seed=1, scale=0.3):
    """The model with weights that are nowhere as small as initial weights are."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p += scale * torch.randn_like(p)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model():
    m = perturbed(Flow(size=7, classes=[3], widths=[16], blocks=1, components=3))
    m.fit_levels((255 * torch.rand(50, 1, 7, 7) ** 3).byte())
    return m


@pytest.fixture(scope="module")
def exact():
    m = perturbed(Flow(size=7, classes=[3], widths=[16], blocks=1, components=3)).double()
    m.fit_levels((255 * torch.rand(50, 1, 7, 7) ** 3).byte())
    return m


def pictures(n, size=7, seed=0):
    return (255 * torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(seed))).round() / 255


def mixture(n, k=4, seed=0, scale=2.0):
    return Mixture.from_raw(scale * torch.randn(n, 3 * k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


# --- transforms of one variable ---------------------------------------------------------------------------------------


def test_the_transform_and_its_inverse_cancel():
    m, a = mixture(2000), 4 * torch.randn(2000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z, log_derivative = mixture_transform(m, a)
    assert a.abs().max() > 12 and (mixture_inverse(m, z) - a).abs().max() < 1e-8
    assert bool(torch.isfinite(log_derivative).all())


def test_the_transform_makes_its_mixture_gaussian():
    """Samples of the mixture are N(0, 1) after it, by their moments."""
    g = torch.Generator().manual_seed(0)
    one = mixture(1, seed=3, scale=1.0)
    k = torch.multinomial(one.weight[0], 40_000, replacement=True, generator=g)
    a = one.mean[0, k] + one.scale[0, k] * torch.randn(40_000, generator=g, dtype=torch.float64)
    z, _ = mixture_transform(Mixture(*(part.expand(40_000, -1) for part in one)), a, floor=0.0)
    assert (z.mean().item(), z.var().item(), z.pow(4).mean().item()) == pytest.approx((0, 1, 3), abs=0.12)


def test_the_log_derivative_is_autograds():
    m, a = mixture(500), torch.randn(500, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    a.requires_grad_()
    z, log_derivative = mixture_transform(m, a)
    (derivative,) = torch.autograd.grad(z.sum(), a)
    assert torch.allclose(log_derivative, derivative.log(), atol=1e-6)


def levels(seed=0):
    m = Flow(size=2, widths=[8], blocks=0, components=1)
    m.fit_levels((255 * torch.rand(1, 1, 60, 60, generator=torch.Generator().manual_seed(seed)) ** 4).byte())
    return m._levels()


@pytest.mark.parametrize("mixed", [True, False])
def test_probabilities_of_all_levels_sum_to_one_and_none_is_zero(mixed):
    m, k = mixture(256, scale=3.0 if mixed else 40.0), torch.arange(256)
    one = Mixture(*(part[:1].expand(256, -1) for part in m))
    pmf = levels().pmf(one, k)
    assert pmf.sum().item() == pytest.approx(1, abs=1e-9)
    assert pmf.min() >= flow.FLOOR * 0.1 / 256


@pytest.mark.parametrize("side", [1, -1])
def test_probabilities_far_out_on_either_side_keep_their_digits(side):
    # where 1 - cdf is below the resolution of a cdf near 1
    one, one_half = (torch.full((1, 1), v, dtype=torch.float64) for v in (1.0, 0.5))
    low, high = sorted((side * 9.0, side * 10.0))
    bounds = [torch.tensor([0.5 * b + 1.0], dtype=torch.float64) for b in (low, high)]
    expected = (math.erfc(9 / math.sqrt(2)) - math.erfc(10 / math.sqrt(2))) / 2
    assert Mixture(one, one, one_half).interval_probability(*bounds).item() == pytest.approx(expected, rel=1e-6, abs=0)


def test_within_a_level_the_density_is_flat_and_the_inverse_finds_the_level():
    m, y = mixture(3000), torch.rand(3000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    z, log_derivative = levels().transform(m, y)
    assert torch.allclose(levels().inverse(m, z), y, atol=1e-9)
    assert torch.allclose(log_derivative + flow.log_normal(z), torch.log(256 * levels().pmf(m, flow.grey_level(y))))
    middle = (flow.grey_level(y) + 0.5) / 256
    z, log_derivative_middle = levels().transform(m, middle)
    assert torch.allclose(
        log_derivative_middle + flow.log_normal(z), log_derivative + flow.log_normal(levels().transform(m, y)[0])
    )


def test_levels_widen_where_pixels_are_many():
    m = Flow(size=2, widths=[8], blocks=0, components=1)
    x = torch.zeros(10, 1, 28, 28, dtype=torch.uint8)
    x[:, :, :7] = 200
    m.fit_levels(x)
    cumulative, edges = m._levels()
    assert cumulative[1].item() == pytest.approx(0.9 * 0.75 + 0.1 / 256, abs=1e-6)
    assert (cumulative[201] - cumulative[200]).item() == pytest.approx(0.9 * 0.25 + 0.1 / 256, abs=1e-6)
    assert (cumulative[0].item(), cumulative[-1].item()) == (0, 1)
    assert torch.allclose(torch.special.ndtr(edges[1:-1]), cumulative[1:-1])
    assert (edges.diff() > 0).all()


def zuko_coupling(net):
    """zuko's affine coupling of the second coordinate given the first, with our network, in zuko's parameters."""

    def meta(context):
        m = Mixture.from_raw(net(context))
        log_scale = -m.scale[:, 0].log()
        shift, slope = -m.mean[:, 0] / m.scale[:, 0], math.log(1e3)
        unclipped = log_scale / (1 - (log_scale / slope).abs())  # zuko softly clips scales near its bound of 1e-3
        return zuko.transforms.MonotonicAffineTransform(shift[:, None], unclipped[:, None], slope=1e-3)

    return zuko.transforms.CouplingTransform(meta, torch.tensor([True, False]))


def test_with_one_component_it_is_zukos_affine_coupling():
    layer = PlaneCoupling(1, 16, 1, torch.Generator().manual_seed(0))
    with torch.no_grad():
        layer.net[-1].weight.mul_(4)
    points = torch.randn(200, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    z, log_det = zuko_coupling(layer.net).call_and_ladj(points)
    m = Mixture.from_raw(layer.net(points[:, :1]))
    ours, log_derivative = mixture_transform(m, points[:, 1], floor=0.0)
    inside = ours.abs() < 6
    assert inside.sum() > 100 and (m.scale.max() / m.scale.min()) > 1.2
    assert torch.allclose(ours[inside], z[inside, 1], atol=1e-7)
    assert torch.allclose(log_derivative[inside], log_det.flatten()[inside], atol=1e-6)
    assert torch.equal(points[:, 0], z[:, 0])
    assert torch.allclose(mixture_inverse(m, ours, floor=0.0)[inside], points[inside, 1], atol=1e-7)


# --- couplings of pictures --------------------------------------------------------------------------------------------


def test_targets_cover_every_pixel_once_and_networks_read_only_pixels_not_transformed_yet(model):
    """From pictures to noise, each layer reads only what is still a pixel, and its target is none of that."""
    for size in (2, 7, 8, 28):
        m, noise = perturbed(Flow(size=size, widths=[16], blocks=1, components=2)), torch.zeros(1, 1, size, size)
        for layer in m.couplings:
            assert layer.target(noise).numel() and layer.target(noise).sum() == 0
            layer.target(noise).fill_(1)
            x, other = pictures(2, size, seed=1), pictures(2, size, seed=2)
            inputs = (x, torch.where(noise > 0, other, x), other)
            means = [layer.predict_mixture(h, torch.zeros(2, 32)).mean for h in inputs]
            assert close(means[0], means[1])
            assert close(means[0], means[2]) == (not layer.context)
        assert (noise == 1).all()


def test_each_layer_and_the_whole_model_are_inverted(model, exact):
    for m, bound in ((model, 1e-5), (exact, 1e-10)):
        x = pictures(6).double()
        c, level_axis = m._condition([1], 6), m._levels()
        h = m._dequantize(x.double(), torch.Generator().manual_seed(0))
        for layer in m.couplings:
            transformed, _ = layer(h, c, level_axis)
            assert (layer.inverse(transformed, c, level_axis) - h).abs().max() < bound
            h = transformed
        z = m.encode(pictures(6), label=1, seed=3)
        *_, last = m.decode_steps(z, label=1)
        first = next(m.encode_steps(pictures(6), label=1, seed=3))
        assert (last.h - first.h).abs().max() < bound
        # Exactly: both directions compute the same mixtures from the same pixels, and a level is far wider than what is left.
        assert torch.equal(m.decode(m.encode(pictures(6))), pictures(6))
        assert torch.equal(m.decode(m.encode(pictures(6), seed=1)), pictures(6))
        noise = m.sample_latents(6, seed=1)
        *_, sample = m.decode_steps(noise)
        h = sample.h
        for layer in m.couplings:
            h, _ = layer(h, m._condition(None, 6), level_axis)
        assert (h.flatten(1) - noise).abs().max() < 1e-5 if m is model else 1e-9


def test_log_determinants_are_those_of_the_full_jacobian(exact):
    x = pictures(1, seed=5).double()
    c, level_axis = exact._condition([2], 1), exact._levels()
    h = exact._dequantize(x.double(), torch.Generator().manual_seed(0))
    total = torch.zeros(1, dtype=torch.float64)
    for layer in exact.couplings:
        jacobian = jacrev(lambda flat, layer=layer: layer(flat.view(1, 1, 7, 7), c, level_axis)[0].flatten())(h.flatten())
        transformed, log_det = layer(h, c, level_axis)
        assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(log_det.item(), abs=1e-8)
        h, total = transformed, total + log_det
    steps = list(exact.encode_steps(pictures(1, seed=5), label=2, seed=0))
    assert steps[-1].log_det.shape == (1,)


def test_the_likelihood_is_the_change_of_variables(exact):
    """log N(z) + log |det| of the dequantized picture, minus the log of the levels' volume, equals `log_prob`."""
    x = pictures(4)
    *_, last = exact.encode_steps(x, label=[0], seed=5)
    change = flow.log_normal(last.h).flatten(1).sum(1) + last.log_det - 49 * math.log(256)
    assert torch.allclose(exact.log_prob(x, 0), change)
    assert torch.allclose(exact.bits_per_dim(x, 0), -change / 49 / math.log(2))
    *_, back = exact.decode_steps(last.h.flatten(1), label=0)
    assert torch.allclose(back.log_det, -last.log_det)
    assert torch.allclose(exact.layer_log_probs(x, 0).sum(1), change)


def test_probabilities_of_all_levels_of_a_pixel_sum_to_one():
    """In each layer, whatever the context, the probabilities of the next pixel's levels sum to one."""
    m = perturbed(Flow(size=2, classes=[2], widths=[8], blocks=1, components=2), scale=0.5)
    k = torch.arange(256.0) / 255
    with torch.inference_mode():
        c, level_axis = m._condition(None, 256), m._levels()
        y = torch.full((256, 1, 2, 2), 0.3, dtype=torch.float64)
        for layer in m.couplings:
            h = y.clone()
            layer.target(h).copy_(m._dequantize(k.view(-1, 1, 1).double()).expand_as(layer.target(h)))
            assert layer.log_prob(h, c, level_axis).exp().sum().item() == pytest.approx(1, abs=1e-8)


def test_the_dequantization_noise_cancels(exact):
    """The likelihood of the dequantized picture is the same for all noise: exact for the 8-bit picture, not a bound."""
    x, log_probs = pictures(4), []
    for seed in (None, 0, 1):
        *_, last = exact.encode_steps(x, seed=seed)
        log_probs.append(flow.log_normal(last.h).flatten(1).sum(1) + last.log_det)
    assert torch.allclose(log_probs[0], log_probs[1]) and torch.allclose(log_probs[0], log_probs[2])


def test_loss_is_the_likelihood(model):
    x = pictures(64)
    m = Flow(size=7, classes=[3], widths=[16], blocks=1, components=3, drop=1.0)
    m.load_state_dict(model.state_dict())
    terms = m.loss((x, torch.zeros(64, dtype=torch.int64)))
    assert list(terms) == ["loss", "bits_per_dim", "lattice_1", "lattice_2", "lattice_4"]
    assert terms["loss"].item() == pytest.approx(-m.log_prob(x).mean().item(), rel=1e-3)
    assert terms["bits_per_dim"].item() == pytest.approx(m.bits_per_dim(x).mean().item(), rel=1e-3)
    assert sum(v.item() for k, v in terms.items() if "lattice" in k) == pytest.approx(terms["bits_per_dim"].item(), rel=1e-5)
    nats = -m.layer_log_probs(x).mean(0)
    for stride in (1, 2, 4):
        layers = [k for k, coupling in enumerate(m.couplings) if coupling.stride == stride]
        expected = nats[layers].sum().item() / (49 * math.log(2))
        assert terms[f"lattice_{stride}"].item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("drop", [0.0, 0.25, 1.0])
def test_the_label_of_each_picture_by_itself_is_hidden_with_the_given_probability(drop):
    m, shown = Flow(size=2, classes=[3], widths=[8], blocks=1, components=2, drop=drop), []
    m.labels.register_forward_pre_hook(lambda module, inputs: shown.append(inputs[0]))
    torch.manual_seed(0)
    m.loss((pictures(4000, 2), torch.full((4000,), 2)))
    (y,) = shown
    assert bool(((y == 2) | (y == -1)).all()) and y.shape == (4000, 1)
    assert (y == -1).double().mean().item() == pytest.approx(drop, abs=0.03)


def test_labels_matter(model):
    x = pictures(4)
    assert (model.log_prob(x, 0) - model.log_prob(x, 1)).abs().min() > 1e-3
    z = model.encode(x, label=1)
    assert torch.equal(model.decode(z, label=1), x)
    assert (model.decode(z, label=0) - x).abs().max() > 0.1


def test_steps_show_picture_and_noise(model):
    x = pictures(3)
    steps = list(model.encode_steps(x, seed=0))
    assert [s.layer for s in steps] == [*range(model.layers, -1, -1)] and model.layers == 7
    assert torch.equal(steps[0].x, x)
    for before, after in zip(steps, steps[1:]):
        changed = (after.h != before.h)[0, 0]
        layer = model.couplings[model.layers - before.layer]
        assert changed.sum() == layer.target(after.h)[0].numel()
        assert torch.equal(after.x[:, :, ~changed], before.x[:, :, ~changed])
    assert torch.allclose(steps[-1].x, (0.5 + steps[-1].h / 6).clamp(0, 1).float())
    steps = list(model.sample_steps(2, seed=4, temperature=0.7))
    assert close_greys(steps[-1].x, model.sample(2, seed=4, temperature=0.7))
    assert torch.equal(steps[0].h.flatten(1), model.sample_latents(2, seed=4, temperature=0.7))
    assert len(steps) == model.layers + 1


def test_temperature_scales_the_noise(model):
    assert torch.allclose(model.sample_latents(5, temperature=0.5, seed=1) * 2, model.sample_latents(5, seed=1))
    assert close_greys(model.sample(2, temperature=0.0, seed=1), model.sample(2, temperature=0.0, seed=2))
    with pytest.raises(ValueError, match="temperature must be a number from 0 to 1.5"):
        model.sample(1, temperature=1.6)


@PROPERTY
@given(
    kind=st.sampled_from(["noise", "black", "white", "half", "binary", "one pixel"]),
    seed=st.integers(0, 2**63 - 1),
    temperature=st.floats(0, 1.5),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_everything_stays_finite(kind, seed, temperature, scale):
    """Any input in [0, 1], any seed, any temperature, and weights of any size."""
    m = perturbed(Flow(size=7, classes=[3], widths=[8], blocks=1, components=3), seed=seed % 2**31, scale=scale)
    x = pictures(2, seed=seed % 2**31)
    x = {
        "noise": x,
        "black": 0 * x,
        "white": 0 * x + 1,
        "half": 0 * x + 0.5,
        "binary": x.round(),
        "one pixel": (x == x.max()).float(),
    }[kind]
    z, nats = m.encode(x, seed=seed), m.log_prob(x)
    decoded, samples = m.decode(z), m.sample(2, seed=seed, temperature=temperature)
    for tensor in (z, nats, decoded, samples, m.decode(1e6 * torch.sign(m.sample_latents(2, seed=seed)))):
        assert bool(torch.isfinite(tensor).all())
    assert z.abs().max() < 8.3 and -nats.max() <= 49 * 22
    for x in (decoded, samples):
        assert 0 <= x.min() <= x.max() <= 1


def test_it_learns_that_pixels_depend_on_each_other():
    """Pictures are all black or all white: one bit per picture is enough; independent pixels would cost one bit each."""
    torch.manual_seed(0)
    m = Flow(size=4, classes=[2], widths=[16], blocks=1, components=2)
    adam = torch.optim.Adam(m.parameters(), lr=5e-3)
    for _ in range(80):
        x = torch.randint(2, (32, 1, 1, 1)).float().expand(-1, 1, 4, 4)
        adam.zero_grad()
        loss = m.loss((x, torch.full((32,), -1)))["loss"]
        loss.backward()
        adam.step()
    bits = m.eval().bits_per_dim(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4))
    assert bits.max() < 0.4
    samples = m.sample(64, seed=0).flatten(1)
    assert (samples.std(1) < 0.2).float().mean() > 0.8 and samples.mean(1).std() > 0.3


# --- A picture through the layers, and what the likelihood says of it -------------------------------------------------


def test_a_round_trip_is_exact(exact):
    x = (255 * torch.rand(2, 1, 7, 7)).round() / 255
    encoded, decoded, error = flow.round_trip(exact, x, seed=3)
    assert len(encoded) == len(decoded) == exact.layers + 1 and error < 1e-6
    assert close(torch.stack([s.h for s in encoded]), torch.stack([s.h for s in decoded]))


def test_the_remaining_pixels_are_the_finest_complete_lattice():
    x = torch.arange(64.0).view(1, 1, 8, 8) / 64
    assert torch.equal(flow.remaining_pixels(x, 0), x)
    for layers, step in ((1, 2), (3, 2), (4, 4), (7, 8)):
        enlarged = flow.remaining_pixels(x, layers)
        assert enlarged.shape == x.shape
        assert set(enlarged.unique().tolist()) == set(x[0, 0, step - 1 :: step, step - 1 :: step].unique().tolist())
    assert (flow.remaining_pixels(x, 10) == 0.5).all()  # none is left


def test_a_picture_is_assessed_among_the_test_pictures(model):
    x = torch.rand(60, 1, 7, 7)
    nats = model.layer_log_probs(x, 1)
    fitted = Typicality.fit(nats)
    bits = model.bits_per_dim(x, 1)
    stats = LikelihoodStats.from_values(fitted, {"own": bits, "other": bits}, dict.fromkeys("ab", fitted.distance(nats)))
    facts = assess(model, stats, x, 1)
    assert [f["bits_per_dim"] for f in facts] == pytest.approx(bits.tolist(), rel=1e-5)
    assert [f["log_prob_nats"] for f in facts] == pytest.approx(model.log_prob(x, 1).tolist(), rel=1e-5)
    assert [f["distance"] for f in facts] == pytest.approx(fitted.distance(nats).tolist(), rel=1e-5)
    below = [(bits < b).double().mean().item() for b in bits]
    assert [f["less_likely_than_test_pictures"] for f in facts] == pytest.approx(below, abs=0.15)
    assert all(0 <= f["more_unusual_than_test_pictures"] <= 1 for f in facts)
