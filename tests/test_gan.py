"""Two players: objectives against sums by hand, who moves whom, codes, directions, the search for a picture, replays."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import genmodels as gm
from genmodels import data, layers
from genmodels.base import CheckpointError
from genmodels.gan import DCGAN, GAN, Replay, load_replay, nonsaturating, penalty, relativistic, save_replay

KINDS = {
    "gan": lambda **more: GAN(**dict(size=8, classes=[3], latent=6, widths=[16, 16]) | more),
    "dcgan": lambda **more: DCGAN(**dict(size=8, classes=[3], latent=6, width=8) | more),
}
PLAYERS = ("discriminator", "generator")
LABELS = torch.tensor([0, 1, 2, -1, 1])


def small(kind="gan", **more):
    """A small model with weights that are nowhere zero, as some first weights are."""
    torch.manual_seed(0)
    model = KINDS[kind](**more).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.1 * torch.randn_like(p)
    return model


@pytest.fixture
def model():
    return small().requires_grad_(False)


@pytest.fixture(params=KINDS)
def either(request):
    return small(request.param)


def some(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pictures(n, seed=1):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


def paint(model, z, y):
    return model.generator(z, y) if isinstance(model, GAN) else model._paint(z, y)


def judge(model, x, y):
    return model.discriminator(x, y) if isinstance(model, GAN) else model._judge(x, y)


def painting(model, fake, monkeypatch):
    """Let the generator paint these, whatever it is asked for."""
    if isinstance(model, GAN):
        monkeypatch.setattr(model.generator, "forward", lambda z, y: fake)
    else:
        monkeypatch.setattr(model, "_paint", lambda z, y: fake)


# --- Objectives -------------------------------------------------------------------------------------------------------


def test_objectives_by_hand():
    """Scores whose sigmoids are 3/4 and 1/2 of the real pictures, 1/2 and 1/4 of the generated ones."""
    real, fake = torch.tensor([math.log(3), 0.0]), torch.tensor([0.0, -math.log(3)])
    assert [loss.item() for loss in nonsaturating(real, fake)] == pytest.approx([math.log(8 / 3), 1.5 * math.log(2)])
    assert [loss.item() for loss in relativistic(real, fake)] == pytest.approx([math.log(4 / 3), math.log(4)])
    # Now the first pair is equal and the second far apart: who is held against whom matters.
    assert [loss.item() for loss in relativistic(real.flip(0), fake)] == pytest.approx(
        [(math.log(2) + math.log(10 / 9)) / 2, (math.log(2) + math.log(10)) / 2]
    )


def test_the_classic_is_a_classifier_of_real_against_generated():
    real, fake = 3 * some(50), 3 * some(50, seed=1)
    ones, zeros = torch.ones(50), torch.zeros(50)
    bce = F.binary_cross_entropy_with_logits
    discriminator, generator = nonsaturating(real, fake)
    assert torch.allclose(discriminator, bce(real, ones) + bce(fake, zeros))
    assert torch.allclose(generator, bce(fake, ones))


def test_far_scores_give_large_losses_not_infinite_ones():
    real, fake = torch.tensor([-500.0]), torch.tensor([500.0])
    assert [loss.item() for loss in (*nonsaturating(real, fake), *relativistic(real, fake))] == [1000, 0, 1000, 0]


def test_the_penalty_of_a_quadratic_in_float64():
    """d(x) = y x^T A x slopes by y (A + A^T) x; and the gradient of the slope's square in A is known too."""
    A, x = some(9, 9, dtype=torch.float64), some(4, 1, 3, 3, seed=1, dtype=torch.float64)
    y = torch.tensor([1.0, 2.0, -1.0, 0.5], dtype=torch.float64)
    A.requires_grad_()
    x.requires_grad_()

    def d(x, y):
        flat = x.flatten(1)
        return y * (flat @ A * flat).sum(1)

    each = penalty(d, x, y)
    S, flat = (A + A.T).detach(), x.detach().flatten(1)
    assert torch.allclose(each, (y[:, None] * flat @ S).square().sum(1))
    each.sum().backward()
    M = (y[:, None] ** 2 * flat).T @ flat
    assert torch.allclose(A.grad, 2 * S @ M + 2 * (S @ M).T)
    assert x.grad is None  # nothing is to be learnt from it by whoever painted x


@pytest.mark.parametrize("gamma, arrives", [(0.0, False), (0.5, True)])
def test_without_penalties_two_players_circle_for_ever(gamma, arrives):
    """Real pictures are the number 0, generated ones the number theta, scores are psi x: Mescheder et al. 2018, section 2."""
    psi, theta, y = torch.ones(1, 1, requires_grad=True), torch.ones(1, 1, requires_grad=True), None

    def d(x, y):
        return (psi * x)[:, 0]

    real, way = torch.zeros(1, 1), []
    for _ in range(200):
        loss, _ = relativistic(d(real, y), d(theta.detach(), y))
        loss = loss + gamma / 2 * (penalty(d, real, y) + penalty(d, theta, y)).mean()
        loss.backward(inputs=[psi])
        relativistic(d(real, y), d(theta, y))[1].backward(inputs=[theta])
        with torch.no_grad():
            for p in (psi, theta):
                p -= 0.2 * p.grad
                p.grad = None
        way.append(math.hypot(psi.item(), theta.item()))
    assert max(way[-50:]) < 1e-3 if arrives else min(way[-50:]) > 0.3


def test_all_eight_modes_are_painted():
    """Eight heaps on a circle: each gets its share, and what lies between two of them stays emptier than they."""
    torch.manual_seed(0)
    angles = torch.arange(16) * math.pi / 8
    centres = 2 * torch.stack([angles.cos(), angles.sin()], 1)  # of the heaps, and of the gaps between them

    def net(i, o):
        return nn.Sequential(nn.Linear(i, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, o))

    generator, discriminator = net(2, 2), net(2, 1)
    adams = [torch.optim.Adam(m.parameters(), betas=(0.0, 0.9), fused=True) for m in (discriminator, generator)]

    def d(x, y=None):
        return discriminator(x)[:, 0]

    for step in range(1000):
        real = centres[2 * torch.randint(8, (64,))] + 0.1 * torch.randn(64, 2)
        fake = generator(torch.randn(64, 2))
        scores = d(torch.cat([real, fake.detach()])).chunk(2)
        some_of_both = torch.cat([real[:16], fake[:16]])
        loss = relativistic(*scores)[0] + 0.02 * penalty(d, some_of_both, None).mean()
        for player, adam in enumerate(adams):
            if player:
                loss = relativistic(*d(torch.cat([real, fake])).chunk(2))[1]
            adam.param_groups[0]["lr"] = 5e-3 * min(1, 2 - step / 500)
            adam.zero_grad()
            loss.backward(inputs=adam.param_groups[0]["params"])
            adam.step()
    with torch.inference_mode():
        distance, nearest = torch.cdist(generator(torch.randn(4000, 2)), centres).min(1)
    share = torch.bincount(nearest[distance < 0.4], minlength=16) / 4000
    assert share[::2].min() > 0.03
    assert share[::2].sum() > 1.5 * share[1::2].sum()


# --- Two players ------------------------------------------------------------------------------------------------------


def test_losses_of_the_gan_by_hand(monkeypatch):
    model, x, y, fake = small(gamma=0.7, drop=0.0), pictures(8), LABELS[[0, 1, 2, 3, 4, 0, 1, 2]], some(8, 1, 8, 8).tanh()
    painting(model, fake, monkeypatch)
    real, y2 = 2 * x - 1, y[:, None]

    def d(x, y=y2):
        return model.discriminator(x, y)

    slopes = []
    for x2 in (real, fake):
        x2 = x2[:2].clone().requires_grad_()
        slopes.append(torch.autograd.grad(d(x2, y2[:2]).sum(), x2)[0].square().sum((1, 2, 3)).mean())
    terms = model.discriminator_loss((x, y))
    assert torch.allclose(terms["adversarial"], F.softplus(d(fake) - d(real)).mean())
    assert torch.allclose(terms["r1"], slopes[0], rtol=1e-4) and torch.allclose(terms["r2"], slopes[1], rtol=1e-4)
    assert torch.allclose(terms["loss"], terms["adversarial"] + 0.35 * (terms["r1"] + terms["r2"]))
    assert not torch.allclose(terms["r1"], terms["r2"], rtol=0.01)
    assert torch.allclose(model.generator_loss((x, y))["loss"], F.softplus(d(real) - d(fake)).mean())


def test_the_generators_second_task_by_hand(monkeypatch):
    """To paint the pictures again from the encoder's codes: that of a VAE, and the players' game beside it is the same."""
    model, x, y = small(recall=0.5, drop=0.0), pictures(5), LABELS
    assert not hasattr(small().generator, "encoder")
    drawn = [some(5, 6, seed=1), some(5, 6, seed=2)]
    monkeypatch.setattr(torch, "randn", lambda *shape, **how: drawn[0])
    monkeypatch.setattr(torch, "randn_like", lambda like: drawn[1])
    real, y2 = 2 * x - 1, y[:, None]
    mean, log_sd = model.generator.encoder(real).chunk(2, 1)
    q, prior = torch.distributions.Normal(mean, log_sd.exp()), torch.distributions.Normal(0.0, 1.0)
    again, fake = model.generator(mean + log_sd.exp() * drawn[1], y2), model.generator(drawn[0], y2)
    kl = torch.distributions.kl_divergence(q, prior).sum(1).mean()
    nats = (again - real).square().sum((1, 2, 3)).mean() / (2 * 0.16**2)
    game = F.softplus(model.discriminator(real, y2) - model.discriminator(fake, y2)).mean()
    terms = model.generator_loss((x, y))
    assert torch.allclose(terms["loss"], game + 0.5 * (nats + kl), rtol=1e-4)
    assert torch.allclose(terms["kl"], kl, rtol=1e-4)
    assert torch.allclose(terms["error"], (again - real).square().mean(), rtol=1e-4)
    terms["loss"].backward()
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None} == {"generator"}
    assert all(p.grad is not None for p in model.generator.encoder.parameters())


def test_losses_of_the_dcgan_by_hand(monkeypatch):
    """Real and generated pictures in batches of their own, with the statistics of their own."""
    model, x, y, fake = small("dcgan").train(), pictures(5), LABELS, some(5, 1, 8, 8).tanh()
    painting(model, fake, monkeypatch)
    real, fake = (model._judge(v, y[:, None]) for v in (2 * x - 1, fake))
    expected = F.softplus(-real).mean() + F.softplus(fake).mean()
    assert torch.allclose(model.discriminator_loss((x, y))["loss"], expected)
    assert torch.allclose(model.generator_loss((x, y))["loss"], F.softplus(-fake).mean())


def test_no_gradient_leaks_to_the_other_player(either):
    for player in PLAYERS:
        either.zero_grad(set_to_none=True)
        getattr(either.train(), f"{player}_loss")((pictures(5), LABELS))["loss"].backward()
        for name, p in either.named_parameters():
            assert (p.grad is not None) == name.startswith(player), (player, name)


@pytest.mark.parametrize("player", PLAYERS)
def test_a_step_makes_the_players_own_loss_smaller_and_leaves_the_other_alone(either, player):
    either.train()
    part, batch = getattr(either, player), (pictures(32), LABELS.repeat(7)[:32])
    sgd = torch.optim.SGD(part.parameters(), lr=1e-2)
    before = {name: p.clone() for name, p in either.named_parameters()}
    values = []
    for _ in range(5):
        torch.manual_seed(0)  # the same noise
        loss = getattr(either, f"{player}_loss")(batch)["loss"]
        values.append(loss.item())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    assert values == sorted(values, reverse=True) and values[-1] < values[0] - 1e-4
    for name, p in either.named_parameters():
        if not name.startswith(player):
            assert torch.equal(p, before[name]), name


@pytest.mark.parametrize("drop, classes", [(0.0, [3]), (1.0, [3]), (0.2, [3, 2])], ids=str)
def test_labels_are_withheld_from_both_as_often_as_said(drop, classes, monkeypatch):
    model, given, asked = small(drop=drop, classes=classes), [], []
    monkeypatch.setattr(model.discriminator, "forward", lambda x, y: given.append(y) or x.square().mean((1, 2, 3)))
    x = torch.zeros(10_000, 1, 8, 8)
    monkeypatch.setattr(model.generator, "forward", lambda z, y: asked.append((z, y)) or x)
    y = torch.ones(10_000, len(classes), dtype=torch.int64)
    torch.manual_seed(0)
    for player in PLAYERS:
        given.clear(), asked.clear()
        getattr(model, f"{player}_loss")((x, y))
        (z, asked_for), withheld = asked[0], given[0][:10_000] == -1
        assert torch.equal(given[0], asked_for.repeat(2, 1))  # of the real and of the generated pictures
        assert bool((withheld | (given[0][:10_000] == y)).all())
        assert withheld.float().mean(0).tolist() == pytest.approx([drop] * len(classes), abs=0.02)
        assert bool((withheld == withheld[:, :1]).all())  # all questions, or none
        if player == "discriminator":  # the slopes are those of the same pictures with the same labels
            assert torch.equal(given[1], asked_for[:2500].repeat(2, 1))
        assert z.mean().item() == pytest.approx(0, abs=0.02) and z.std().item() == pytest.approx(1, abs=0.02)


# --- The networks -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: GAN(size=28, widths=[8, 8, 8], patch=2), "divisible by 8"),
        (lambda: DCGAN(size=30), "divisible by 4"),
        (lambda: DCGAN(size=36, levels=3), "divisible by 8"),
        (lambda: GAN(patch=2, fine=[8, 8]), "divisible by 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@torch.no_grad()
def test_labels_matter_and_an_open_answer_has_its_own_row(either):
    z, x = some(1, 6), pictures(1)

    def told(label):
        y = torch.tensor([[label]])
        return paint(either, z, y), judge(either, x, y)

    before = {label: told(label) for label in (-1, 0, 1, 2)}
    for (painted, score), (other, other_score) in pairwise(before.values()):
        assert (painted - other).abs().max() > 1e-3 and (score - other_score).abs().max() > 1e-4
    for network in (either.generator, either.discriminator):
        labels = network.labels if isinstance(either, GAN) else network["labels"]
        labels.tables[0].weight[-1] += 1
    for label, (painted, score) in before.items():
        assert torch.equal(told(label)[0], painted) == torch.equal(told(label)[1], score) == (label >= 0)


def test_labels_matter_and_are_asked_in_every_form(either):
    def drawn(label):
        return either.sample(3, label=label, seed=0)

    for a, b in pairwise([None, 0, 1, 2]):
        assert not torch.allclose(drawn(a), drawn(b), atol=1e-3)
        assert not torch.allclose(either.score(pictures(3), a), either.score(pictures(3), b), atol=1e-4)
    assert torch.equal(drawn(None), drawn(-1)) and torch.equal(drawn([0, 1, 2])[1], drawn([[2], [1], [0]])[1])
    assert torch.equal(either.score(pictures(3)), either.score(pictures(3), [-1, -1, -1]))


@torch.no_grad()
def test_a_picture_does_not_depend_on_its_neighbours(either):
    z, x, y = some(5, 6), pictures(5), LABELS[:, None]
    together, scores = paint(either, z, y), either.score(x, LABELS)
    assert scores.shape == (5,)
    for i in range(5):
        assert torch.allclose(paint(either, z[i : i + 1], y[i : i + 1]), together[i : i + 1], atol=1e-5)
        assert torch.allclose(either.score(x[i : i + 1], LABELS[i]), scores[i : i + 1], atol=1e-5)


def test_the_score_is_that_of_the_networks_scale(either):
    x = pictures(5)
    with torch.no_grad():
        assert torch.allclose(either.score(x, LABELS), judge(either, 2 * x - 1, LABELS[:, None]), atol=1e-6)


def test_same_seed_same_picture_beside_other_visitors(either):
    def draw(seed):
        return either.sample(3, label=seed % 3, seed=seed)

    alone = [draw(seed) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(alone, pool.map(draw, range(24))):
            assert torch.equal(one, other)


# --- Codes ------------------------------------------------------------------------------------------------------------


def test_decoded_codes_are_the_sample(model):
    for options in ({}, {"label": 2, "truncation": 0.4}):
        x, w = model.sample(4, seed=3, **options), model.codes(4, seed=3, **options)
        assert w.shape == (4, 6)
        assert torch.equal(model.decode(w), x)
        z = torch.randn(4, 6, generator=torch.Generator().manual_seed(3))
        y = torch.full((4, 1), options.get("label", -1))
        assert torch.equal(model.codes(4, seed=3, label=y), model.generator.code(z, y))
    assert torch.allclose(model.decode(w), (model.generator.paint(w) + 1) / 2)


@pytest.mark.parametrize(
    "classes, label", [([3], [[0], [1], [0], [-1], [1]]), ([3, 2], [[0, 1], [1, 1], [0, 1], [-1, 0], [1, 1]])], ids=str
)
def test_truncation_draws_codes_to_the_mean_of_their_label(classes, label):
    model = small(classes=classes).requires_grad_(False)
    w = {t: model.codes(5, label=label, seed=4, truncation=t) for t in (0, 0.25, 1, 1.5)}
    assert torch.equal(w[1], model.codes(5, label=label, seed=4))
    assert torch.equal(w[0][0], w[0][2]) and torch.equal(w[0][1], w[0][4])
    assert len(torch.unique(w[0], dim=0)) == 3 and len(torch.unique(w[1], dim=0)) == 5
    assert torch.equal(w[0], model.codes(5, label=label, seed=5, truncation=0))  # whatever the seed
    for t in (0.25, 1.5):
        assert torch.allclose(w[t], w[0] + t * (w[1] - w[0]), atol=1e-6)
    for row, mean in zip(label, w[0]):
        drawn = model.codes(4096, label=row, seed=6)
        assert bool(((drawn.mean(0) - mean).abs() < 5 * drawn.std(0) / math.sqrt(256)).all()), row
        alone = model.codes(1, label=[row], truncation=0)[0]
        assert torch.allclose(alone, mean, atol=1e-6)


def test_a_walk_is_straight_and_has_both_ends(model):
    start, end = model.codes(2, seed=0)
    walk = model.interpolate(start, end, 9)
    assert walk.shape == (9, 6)
    assert torch.equal(walk[0], start) and torch.equal(walk[-1], end)
    assert torch.allclose(walk.diff(dim=0), ((end - start) / 8).expand(8, 6), atol=1e-6)
    assert torch.equal(model.interpolate(start, end, 2), torch.stack([start, end]))


def linear(model):
    """The part of w that z makes, as a matrix: of a model whose w is made linear in z and labels."""
    torch.manual_seed(5)
    model.generator.mapping = nn.Linear(12, 6).requires_grad_(False)
    return model.generator.mapping.weight[:, :6] * torch.tensor([3.0, 1.5, 1.0, 0.7, 0.5, 0.3])


def test_directions_are_the_principal_axes_of_codes(model):
    W = linear(model)
    model.generator.mapping.weight[:, :6] = W
    variance, axes = torch.linalg.eigh(W @ W.T)  # of w, as z is standard normal; ascending
    variance, axes = variance.flip(0), axes.flip(1).T
    found = model.directions(6)
    lengths = found.norm(dim=1)
    assert lengths.tolist() == pytest.approx(variance.sqrt().tolist(), rel=0.06)
    assert lengths.tolist() == sorted(lengths.tolist(), reverse=True)
    gram = found / lengths[:, None] @ (found / lengths[:, None]).T
    assert torch.allclose(gram, torch.eye(6), atol=1e-5)
    assert bool(((found / lengths[:, None] * axes).sum(1).abs() > 0.95).all())


def test_directions_know_nothing_of_labels_and_have_a_sign(model):
    linear(model)
    before = model.directions(6)
    assert torch.equal(before, model.directions(6)) and torch.equal(before[:2], model.directions(2))
    largest = before.gather(1, before.abs().argmax(1, keepdim=True))
    assert bool((largest > 0).all())
    model.generator.labels.tables[0].weight.mul_(30)  # moves codes of one label far from those of another
    assert torch.allclose(model.directions(6), before, atol=1e-3)
    other = model.directions(6, seed=1)
    assert not torch.equal(other, before) and torch.allclose(other[0], before[0], atol=0.1)
    assert model.directions(3, draws=1100).shape == (3, 6)


def test_codes_move_by_the_length_of_a_direction():
    """Of a mapping that is not linear: the codes of a label spread along each direction as far as it is long, on average."""
    model = small(classes=[3, 2]).requires_grad_(False)
    found = model.directions(6)
    units = found / found.norm(dim=1, keepdim=True)
    drawn = torch.stack([model.codes(2000, label=[i, j], seed=9) for i in range(3) for j in range(2)])  # (6, 2000, D)
    along = ((drawn - drawn.mean(1, keepdim=True)) @ units.T).square().mean((0, 1)).sqrt()
    assert along.tolist() == pytest.approx(found.norm(dim=1).tolist(), rel=0.2)  # its 64 labels are not evenly spread


# --- The search for a picture -----------------------------------------------------------------------------------------


def test_the_error_falls_and_is_told_rightly(model):
    x = model.sample(1, label=0, seed=5)
    steps = list(model.project_steps(x, label=1, steps=30))
    assert len(steps) == 31
    assert steps[-1].error < 0.1 * steps[0].error
    for step in steps:
        assert step.x.shape == (1, 1, 8, 8) and step.w.shape == (1, 6)
        assert not step.x.requires_grad and not step.w.requires_grad
        assert torch.allclose(model.decode(step.w), step.x, atol=1e-6)
        assert step.error == pytest.approx((step.x - x).square().mean().item(), rel=1e-4)
    assert len({tuple(step.w[0].tolist()) for step in steps}) == 31


@pytest.mark.parametrize("label", [1, None])
def test_the_search_begins_with_the_best_of_the_drawn_codes(model, label):
    first = next(model.project_steps(pictures(1), label=label, seed=2))
    drawn = model.sample(512, label=label, seed=2)
    if label is None:  # tries all labels, where `sample` leaves them open
        drawn = torch.cat([drawn, *(model.sample(512, label=k, seed=7) for k in range(3))])
    errors = (drawn - pictures(1)).square().mean((1, 2, 3))
    assert first.error == pytest.approx(errors.min().item(), rel=1e-5 if label else 0.1)


def test_the_search_also_asks_the_encoder_if_there_is_one():
    model = small(recall=0.1).requires_grad_(False)
    x, encode = model.sample(1, label=1, seed=5), model.generator.encoder.forward
    z = torch.randn(1, 6, generator=torch.Generator().manual_seed(5))  # that of the picture
    model.generator.encoder.forward = lambda x: torch.cat([z, z], 1)
    first = next(model.project_steps(x, label=1, seed=2))
    assert first.error < 1e-10
    model.generator.encoder.forward = encode
    assert next(model.project_steps(x, label=1, seed=2)).error > 1e-6


def test_what_was_painted_from_a_drawn_code_is_found_at_once(model):
    x = model.sample(512, label=1, seed=3)[77:78]
    steps = list(model.project_steps(x, label=1, steps=20, seed=3))
    assert steps[0].error < 1e-10
    assert torch.allclose(steps[0].w, model.codes(512, label=1, seed=3)[77:78], atol=1e-5)
    assert max(step.error for step in steps) < 1e-3
    assert list(model.project_steps(x, steps=1, seed=3))[0].error == list(model.project_steps(x, steps=1, seed=3))[0].error


def test_a_search_works_under_inference_mode_and_can_be_abandoned():
    model = small()  # with weights that could be trained
    before = {k: v.clone() for k, v in model.state_dict().items()}
    expected = [step.error for step in model.project_steps(model.sample(1, seed=5).clone(), steps=10)]
    for context in (torch.inference_mode, torch.no_grad):
        with context():
            x = model.sample(1, seed=5) * 1
            assert x.is_inference() == (context is torch.inference_mode)
            errors = []
            for step in model.project_steps(x, steps=10):
                assert torch.is_inference_mode_enabled() == x.is_inference() and not torch.is_grad_enabled()
                errors.append(step.error)
                x.zero_()  # the caller's own: the search keeps a copy
                if context is torch.no_grad and len(errors) == 4:
                    break
            assert errors == pytest.approx(expected[: len(errors)], rel=1e-4) and len(errors) in (4, 11)
            abandoned = model.project_steps(x, steps=10)
            next(abandoned), next(abandoned)
            abandoned.close()
            assert not torch.is_grad_enabled()
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_search_is_for_one_picture(model):
    with pytest.raises(ValueError, match=r"^x must be one picture \(1, 1, 8, 8\), not 2\.$"):
        next(model.project_steps(pictures(2)))


# --- Replays ----------------------------------------------------------------------------------------------------------


def replay(name, moments=3, n=5):
    x = data.samples(name).x[: moments * n]
    losses = {"discriminator": [[50, 0.125], [100, 0.1]], "generator": [[50, 2.5], [100, 1.0]]}
    shares = [[0.25, 0.75], [0.5, 0.5], [0.125, 0.875]][:moments]
    return Replay([0, 1, 7][:moments], x.view(moments, n, *x.shape[1:]), [-1.0, 0.1, 2.0], shares, shares[::-1], losses)


@pytest.mark.parametrize("name", ["mnist", "avatars"])
def test_a_replay_comes_back(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    (tmp_path / "gan-x").mkdir()
    ours = replay(name)
    save_replay(ours, tmp_path / "gan-x")
    for theirs in (load_replay(tmp_path / "gan-x"), load_replay("gan-x")):
        assert theirs._replace(pictures=None) == ours._replace(pictures=None)
        assert theirs.pictures.dtype == torch.uint8 and theirs.pictures.shape == ours.pictures.shape
        off = (theirs.pictures.float() - ours.pictures.float()).abs()
        assert off.mean() < 6  # of 255, what WebP loses
        assert off.mean((2, 3, 4)).max() < 12  # each picture is in its place


def wrong(**more):
    return lambda facts: json.dumps(json.loads(facts) | more)


BROKEN = {
    "no numbers": ("replay.json", None),
    "no pictures": ("replay.webp", None),
    "pictures cut off": ("replay.webp", lambda b: b[:-40]),
    "pictures empty": ("replay.webp", lambda b: b""),
    "pictures of something else": ("replay.webp", lambda b: b"RIFF" + b"\0" * 400),
    "numbers cut off": ("replay.json", lambda s: s[:-20]),
    "no JSON": ("replay.json", lambda s: "moments"),
    "JSON without end": ("replay.json", lambda s: "[" * 100_000),
    "a list": ("replay.json", lambda s: "[]"),
    "a moment less": ("replay.json", wrong(steps=[0, 1])),
    "a share less": ("replay.json", wrong(real=[[0.5, 0.5]] * 2)),
    "a bin less": ("replay.json", wrong(generated=[[1.0]] * 3)),
    "an edge less": ("replay.json", wrong(edges=[0.0, 1.0])),
    "steps are a number": ("replay.json", wrong(steps=3)),
    "another number of pictures": ("replay.json", wrong(pictures=[6, 1, 28])),
    "two channels": ("replay.json", wrong(pictures=[5, 2, 28])),
    "no size": ("replay.json", wrong(pictures=[5, 1])),
    "more than a replay": ("replay.json", wrong(more=1)),
    "less than a replay": ("replay.json", lambda s: json.dumps({k: v for k, v in json.loads(s).items() if k != "losses"})),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_replay_gets_a_sentence(kind, tmp_path):
    name, change = BROKEN[kind]
    save_replay(replay("mnist"), tmp_path)
    assert load_replay(tmp_path)
    file = tmp_path / name
    if change is None:
        file.unlink()
    elif name.endswith("json"):
        file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        file.write_bytes(change(file.read_bytes()))
    with pytest.raises(CheckpointError, match=r"^The replay in .* is missing or broken \(.*\): copy the whole .*folder\.$"):
        load_replay(tmp_path)


def test_there_is_no_replay_of_an_unknown_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    with pytest.raises(CheckpointError, match="There is no checkpoint 'gan-x'"):
        gm.gan.load_replay("gan-x")


@pytest.mark.parametrize("patch, fine", [(2, []), (2, [8]), (4, [8]), (4, [8, 4])])
def test_further_doublings_of_the_map_paint_the_same_size(patch, fine):
    model = GAN(size=16, patch=patch, fine=fine, latent=4, widths=[8, 8])
    assert model.sample(2, seed=0).shape == (2, 1, 16, 16)
    convolutions = [layer for layer in model.generator.last if isinstance(layer, torch.nn.Conv2d)]
    assert len(convolutions) == 1 + 2 * len(fine)
    assert convolutions[-1].out_channels == (patch // 2 ** len(fine)) ** 2  # pixels that come from one place of the last map


def test_dcgan_halves_its_map_as_often_as_asked():
    for levels in (1, 2, 3):
        model = DCGAN(size=16, width=4, levels=levels, latent=4)
        assert model.generator["net"][1].unflattened_size == (4 * 2 ** (levels - 1), 16 // 2**levels, 16 // 2**levels)
        assert model.sample(2, seed=0).shape == (2, 1, 16, 16)
        assert model.score(torch.rand(2, 1, 16, 16), 0).shape == (2,)


def test_the_generator_can_be_deeper_than_the_discriminator():
    model = GAN(size=8, latent=4, widths=[8, 8], depth=3)
    assert [len(level) for level in model.generator.levels] == [3, 3]
    assert sum(isinstance(m, layers.ResidualBlock) for m in model.discriminator.modules()) == 2
    assert model.sample(2, seed=0).shape == (2, 1, 8, 8)
