"""The same seed gives the same picture i, however many pictures are asked for and in whatever chunks they are computed.

Tolerance: one grey level for pictures, because matrices of other sizes are multiplied in another order, and 1e-4 for numbers.
"""

import pytest
import torch

import genmodels as gm
from genmodels import data, metrics
from genmodels.base import generator, randn_rows
from genmodels.denoiser import NOISES, add_noise
from tests.compare import close, close_greys
from tests.helpers_models import family, shared
from tests.tiny import MODELS

OPTIONS = {  # family -> every way to sample, as options of `sample`
    "vae": [{}, {"temperature": 0.7}],
    "diffusion": [
        {"sampler": sampler, "steps": 4, "eta": eta, "guidance": guidance}
        for sampler, eta in (("dpm", 0), ("heun", 0), ("ddpm", 0), ("ddim", 0), ("ddim", 0.5), ("ddim", 1))
        for guidance in (1, 3)
    ],
    "gan": [{}, {"truncation": 0.6}],
    "dcgan": [{}],
    "flow": [{}, {"temperature": 0.8}],
    "transformer": [{"temperature": 0.8}],
}
CASES = [
    pytest.param(name, options, id=f"{name} {options}")
    for name in MODELS
    for options in OPTIONS.get(family(name), ())
    if name != "transformer of poems"  # has no unconditional samples
]


@pytest.fixture
def model(request):
    """A small model of a kind; no weight is zero, as some initial weights are."""
    return shared(request.param)


def with_samples():
    return {family(name) for name in MODELS if hasattr(shared(name), "sample")}


def test_every_family_that_samples_is_here():
    assert with_samples() == set(OPTIONS)


@pytest.mark.parametrize("model, options", CASES, indirect=["model"])
def test_a_sample_does_not_depend_on_how_many_there_are(model, options):
    if model.family_name == "transformer" and model.kind != "pixels":  # texts of 200 tokens
        one, two = model.sample(1, seed=5, **options), model.sample(2, seed=5, **options)
        assert one == two[:1] and two[0] != two[1]
    else:
        three, seven = model.sample(3, seed=5, **options), model.sample(7, seed=5, **options)
        assert len(three.unique(dim=0)) == 3
        assert close_greys(three, seven[:3])
        assert close_greys(three[:1], model.sample(1, seed=5, **options))


@pytest.mark.parametrize("model", ["transformer of pixels"], indirect=True)
def test_pixels_are_sampled_in_chunks_that_make_no_difference(model):
    many = model.sample(70, seed=2)  # 64 and 6
    assert close_greys(model.sample(66, seed=2), many[:66])
    assert close_greys(model.sample(3, seed=2), many[:3])


@pytest.mark.parametrize("model", [name for name in MODELS if family(name) == "diffusion"], indirect=True)
@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_edited_restored_and_inpainted_pictures_do_not_depend_on_the_others(model, sampler):
    x = torch.rand(1, model.channels, model.size, model.size, generator=generator(0)).expand(7, -1, -1, -1)
    options = {"steps": 3, "seed": 5}
    for function in (
        lambda x: model.edit(x, sampler=sampler, eta=1, **options),
        lambda x: model.restore(x, 0.4, sampler=sampler, eta=1, **options),
        lambda x: model.inpaint(x, x[:, :1] > 0.5, resample=2, **options),
        lambda x: model.q_sample(x, 0.5, seed=5),
    ):
        seven = function(x)
        assert close(function(x[:3]), seven[:3], atol=1 / 255)
        assert len(seven.unique(dim=0)) == 7


@pytest.mark.parametrize("model", [name for name in MODELS if family(name) == "vae"], indirect=True)
def test_bounds_do_not_depend_on_the_other_pictures_nor_on_chunks(model):
    x = torch.rand(7, model.channels, model.size, model.size, generator=generator(0))
    seven, three = model.elbo(x, seed=5), model.elbo(x[:3], seed=5)
    assert all(close(a, b[:3], rtol=1e-4) for a, b in zip(three, seven))
    expected = model.log_prob(x, samples=5, seed=5)
    assert close(model.log_prob(x[:3], samples=5, seed=5), expected[:3], rtol=1e-4)
    assert close(model.log_prob(x, samples=5, seed=5, chunk=7), expected, rtol=1e-4)


@pytest.mark.parametrize("model", [name for name in MODELS if family(name) == "dvae"], indirect=True)
def test_restored_codes_do_not_depend_on_the_other_pictures(model):
    x = torch.rand(7, model.channels, model.size, model.size, generator=generator(0))
    assert close_greys(model.restore(x[:3], seed=5), model.restore(x, seed=5)[:3])


@pytest.mark.parametrize("kind", NOISES)
def test_added_noise_does_not_depend_on_the_other_pictures(kind):
    x = torch.rand(1, 3, 9, 7, generator=generator(0)).expand(7, -1, -1, -1)
    seven = add_noise(x, kind, 0.5, seed=5)
    assert close(add_noise(x[:3], kind, 0.5, seed=5), seven[:3])
    assert len(seven.unique(dim=0)) >= 4  # a missing block may fall on the same place twice


def test_faces_and_components_do_not_depend_on_how_many_there_are():
    assert torch.equal(data.sample_attributes(3, seed=5), data.sample_attributes(7, seed=5)[:3])
    pca = metrics.pca(torch.rand(30, 1, 4, 4, generator=generator(0)), 5)
    assert close_greys(pca.sample(3, seed=5), pca.sample(7, seed=5)[:3])


@pytest.mark.parametrize("length", [1, 2, 15, 40, 784])
def test_rows_of_noise_are_normal_and_do_not_depend_on_how_many_there_are(length):
    rows = randn_rows(400, length, g=generator(5))
    assert torch.equal(randn_rows(3, length, g=generator(5)), rows[:3])
    assert rows.mean().abs() < 0.15
    assert rows.std() == pytest.approx(1, abs=0.15)
    assert len(rows.unique(dim=0)) == 400


def test_shipped_models_whose_codes_fill_whole_blocks_draw_what_they_always_drew():
    """The numbers on the cards of these models, GAN and flow among them, were measured with `torch.randn(n, D)`."""
    assert torch.equal(randn_rows(9, 64, g=generator(0)), torch.randn(9, 64, generator=generator(0)))
    assert torch.equal(
        randn_rows(5, 784, g=generator(0), dtype=torch.float64),
        torch.randn(5, 784, generator=generator(0), dtype=torch.float64),
    )


@pytest.mark.parametrize("name", ["vae-mnist", "vae-mnist-2d"])
def test_the_shipped_vaes(name):
    vae = gm.load(name)
    assert close_greys(vae.sample(3, seed=5), vae.sample(7, seed=5)[:3])
