"""What evaluations share, on pictures and with classifiers for which the right numbers can be written down."""

import pytest
import torch

from genmodels import data, metrics
from tests import tiny
from tests.compare import close, close_greys
from tests.helpers_measures import Judge, Stub, by_metric, gaussian, pictures
from tests.helpers_train import numbers_in, states
from train import diffusion, measures, vae

HIDDEN = data.HIDDEN


# --- FID, precision and recall ----------------------------------------------------------------------------------------


def test_fid_and_its_floor_are_those_of_the_gaussians(tmp_path):
    """Frechet distance of Gaussians with the same covariance: the squared distance of the means."""
    splits = {"test": pictures(gaussian(seed=1)), "train": pictures(gaussian(mean=0.1, seed=2)), "val": None}
    evaluation = Stub(tmp_path, splits)
    values = by_metric(run := measures.Values(measures.compare_with_real(evaluation, gaussian(mean=0.5, seed=3))))
    assert evaluation.loaded == ["train"]
    fid = values["fid"]
    assert (fid.value, fid.n, fid.seeded) == (pytest.approx(4 * 0.25, rel=1e-3), 400, True)
    assert states(fid.comparison, 0.04, off=[1e-4]) and "first 400 training pictures" in fid.comparison
    assert run.headline.startswith("FID 1 ") and "(400 pictures; real ones 0.04)" in run.headline
    # a different width: the squared difference of the deviations in each dimension
    (wider, *_) = measures.compare_with_real(evaluation, gaussian(seed=3, deviation=0.3))
    assert wider.value == pytest.approx(4 * 0.2**2, rel=1e-3)


def test_the_floor_is_of_as_many_pictures_as_were_generated(tmp_path):
    train = torch.cat([gaussian(100, mean=0.2, seed=2), gaussian(300, mean=3.0, seed=4)])
    evaluation = Stub(tmp_path, {"test": pictures(gaussian(seed=1)), "train": pictures(train)})
    (fid, *_) = measures.compare_with_real(evaluation, gaussian(100, mean=0.5, seed=3))
    assert fid.n == 100 and states(fid.comparison, 4 * 0.2**2, off=[1e-3]) and "first 100 training" in fid.comparison


def test_the_two_halves_of_the_split_are_all_of_it(tmp_path, monkeypatch):
    """And random ones: a split may be sorted."""
    calls, fid = [], metrics.fid
    monkeypatch.setattr(metrics, "fid", lambda a, b: calls.append((a, b)) or fid(a, b))
    test = gaussian(101, seed=1)
    for seed in (0, 1):
        evaluation = Stub(tmp_path, {"test": pictures(test), "train": pictures(gaussian(mean=5.0))}, seed=seed)
        list(measures.compare_with_real(evaluation, gaussian(mean=9.0)))
    halves = [(a, b) for a, b in calls if abs(len(a) - len(b)) == 1]
    assert len(halves) == 2
    for a, b in halves:
        halves = torch.cat([a, b]).sort(0).values
        assert len(a) + len(b) == 101 and close(halves, test.flatten(1).sort(0).values)
    assert not torch.equal(halves[0][0], halves[1][0]) and not torch.equal(halves[0][0], test.flatten(1)[::2])


def test_the_halves_distance_is_on_the_card(tmp_path):
    evaluation = Stub(tmp_path, {"test": pictures(gaussian(seed=1)), "train": pictures(gaussian(mean=5.0))})
    (fid, *_) = measures.compare_with_real(evaluation, gaussian(mean=9.0))
    halves = float(fid.comparison.split("to each other: ")[1])
    assert 0 < halves < 0.01


def test_the_linear_baseline_is_fitted_to_training_pictures_and_measured_like_the_model(tmp_path):
    train = gaussian(mean=0.5, seed=2, deviation=0.05)
    evaluation = Stub(tmp_path, {"test": pictures(gaussian(mean=0.3, seed=1, deviation=0.05)), "train": pictures(train)})
    linear = metrics.pca(train, 4)
    (fid, *_) = measures.compare_with_real(evaluation, gaussian(400, mean=0.1), linear)
    assert "first 4 principal components" in fid.comparison
    assert float(fid.comparison.rsplit(": ", 1)[1]) == pytest.approx(4 * 0.2**2, rel=0.2)


def test_a_model_of_one_mode_has_precision_without_recall(tmp_path):
    two = torch.cat([gaussian(200, seed=1, deviation=0.01), gaussian(200, mean=1.0, seed=2, deviation=0.01)])
    train = torch.cat([gaussian(200, seed=5, deviation=0.01), gaussian(200, mean=1.0, seed=6, deviation=0.01)])
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    evaluation = Stub(tmp_path, {"test": pictures(two[order]), "train": pictures(train[order])})
    values = by_metric(measures.compare_with_real(evaluation, gaussian(400, seed=3, deviation=0.01)))
    assert values["precision"].value > 0.8 and values["recall"].value < 0.55
    assert values["coverage"].value < 0.55 and values["density"].value > 0.8
    for metric in ("precision", "recall", "density", "coverage"):
        assert values[metric].n == 400 and values[metric].seeded
        assert float(values[metric].comparison.removeprefix("training pictures: ")) > 0.8
    assert values["recall"].label.endswith("k = 3") and values["coverage"].label.endswith("k = 5")
    # and the other way around: outliers cost precision
    far = torch.cat([train[order][:200], gaussian(200, mean=9.0, seed=7, deviation=2.0)])
    values = by_metric(measures.compare_with_real(evaluation, far))
    assert values["precision"].value < 0.6


def test_each_share_on_the_card_is_its_own(tmp_path):
    evaluation = Stub(tmp_path, {"test": pictures(gaussian(100, seed=1)), "train": pictures(gaussian(80, seed=2))})
    x = gaussian(120, mean=0.12, seed=3)
    values = by_metric(measures.compare_with_real(evaluation, x))
    test, train, fake = (p.flatten(1)[:80] for p in (evaluation.data.x, evaluation.splits["train"].x, x))
    for name, features in (("value", fake), ("ceiling", train)):
        expected = metrics.precision_recall(test, features, k=3) + metrics.density_coverage(test, features, k=5)
        for metric, number in zip(("precision", "recall", "density", "coverage"), expected):
            value = values[metric]
            shown = value.value if name == "value" else numbers_in(value.comparison)[0]
            assert shown == pytest.approx(number, abs=6e-4) and value.n == 80


# --- Labels, classes, CAS ---------------------------------------------------------------------------------------------


def test_hidden_labels_are_in_no_denominator(tmp_path):
    """Faces: of four generated ones smiling is requested of three, and two of these are recognised."""
    names, conditions = list(data.ATTRIBUTES), ["smiling", "hair_color"]
    columns = [names.index(a) for a in conditions]

    class FaceJudge(Judge):
        def predict(self, x):  # pixel i holds the value of attribute i
            return (255 * x.flatten(1)).round().long()

    def faces(rows):
        x = torch.zeros(len(rows), 16, dtype=torch.uint8)
        x[:, columns] = torch.tensor(rows, dtype=torch.uint8)
        return x.view(-1, 1, 4, 4)

    y = torch.zeros(5, 16, dtype=torch.long)
    y[:, columns] = torch.tensor([[1, 3], [1, HIDDEN], [0, HIDDEN], [0, HIDDEN], [HIDDEN, 2]])
    test = pictures(faces([[1, 3], [0, 1], [0, 5], [0, 0], [1, 1]]), y)
    model = type("Model", (), {"conditions": conditions})
    evaluation = Stub(tmp_path, {"test": test}, dataset="avatars", model=model, judge=FaceJudge())
    requested = torch.tensor([[1, 2], [1, 2], [0, 2], [HIDDEN, 2]])
    run = measures.Values(measures.condition_accuracy(evaluation, faces([[1, 2], [1, 0], [1, 0], [1, 0]]), requested))
    smiling, colour = run
    assert (smiling.value, smiling.n) == (pytest.approx(2 / 3, abs=1e-5), 3)
    assert (colour.value, colour.n) == (0.25, 4)
    assert smiling.comparison == "on real pictures: 75.00%" and colour.comparison == "on real pictures: 50.00%"
    assert "smiling" in smiling.label and "hair_color" in colour.label and smiling.metric == "share"
    assert run.headline == "hair_color recognised 25.0% (the lowest)"


def test_the_share_of_recognised_classes(tmp_path):
    def digits(classes):
        return torch.tensor(classes, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)

    test = pictures(digits([0, 1, 2, 3, 4]), torch.tensor([0, 1, 2, 3, 9]))
    evaluation = Stub(tmp_path, {"test": test})
    run = measures.Values(measures.condition_accuracy(evaluation, digits([0, 1, 7, 7]), torch.tensor([0, 1, 2, 7])))
    (value,) = run
    assert (value.value, value.n, str(value)) == (0.75, 4, "75.00%")
    assert value.comparison == "on real pictures: 80.00%" and run.headline == "class recognised 75.0%"


def test_labels_to_sample_are_balanced_or_those_of_real_faces(tmp_path):
    digits = Stub(tmp_path, {"test": pictures(torch.zeros(7, 1, 2, 2))}, generated=40)
    y = measures.labels_for_quality(digits)
    assert len(y) == 80 and y.bincount().tolist() == [8] * 10
    assert measures.labels_to_sample(digits, 25).bincount().tolist() == [3] * 5 + [2] * 5
    y = torch.arange(7 * 16).view(7, 16)
    model = type("Model", (), {"conditions": ["glasses", "smiling"]})
    faces = Stub(tmp_path, {"test": pictures(torch.zeros(7, 3, 2, 2), y)}, dataset="avatars", model=model, generated=17)
    labels, names = measures.labels_for_quality(faces), list(data.ATTRIBUTES)
    columns = [names.index("glasses"), names.index("smiling")]
    assert torch.equal(labels, torch.cat([y, y, y])[:17][:, columns])  # as many as for FID: faces have no CAS


@pytest.fixture
def cas_calls(monkeypatch):
    calls = []

    def cas(x, y, test_x, test_y, **options):
        calls.append((x, y, test_x, test_y, options))
        return metrics.CAS(*((0.9, 0.01, [0.9]) if len(calls) % 2 else (0.95, 0.002, [0.95])))

    monkeypatch.setattr(metrics, "cas", cas)
    return calls


@pytest.mark.parametrize("per_class, n", [(None, 20_000), (200, 2_000)])
def test_cas_trains_on_generated_pictures_and_is_compared_with_training_on_real_ones(tmp_path, cas_calls, per_class, n):
    splits = {
        "train": pictures(torch.zeros(5, 1, 2, 2), torch.arange(5)),
        "test": pictures(torch.ones(4, 1, 2, 2), torch.arange(4)),
    }
    evaluation, x, y = Stub(tmp_path, splits), torch.full((3, 1, 2, 2), 7, dtype=torch.uint8), torch.arange(3)
    run = measures.Values(measures.classification_accuracy_score(evaluation, x, y, per_class))
    mean, sd = run
    (gen_x, gen_y, *test, options), (real_x, real_y, *real_test, _) = cas_calls
    assert torch.equal(gen_x, x) and torch.equal(gen_y, y)
    assert real_x is splits["train"].x and real_y is splits["train"].y
    for test_x, test_y in (test, real_test):
        assert test_x is splits["test"].x and test_y is splits["test"].y
    assert options == ({"per_class": per_class} if per_class else {})
    assert (mean.value, mean.n, str(mean)) == (0.9, n, "90.00%")
    assert mean.comparison == f"trained on {n:,} real pictures: 95.00%"
    assert (sd.value, sd.comparison, str(sd)) == (0.01, "trained on real pictures: 0.20%", "1.00%")
    assert run.headline.startswith("CAS 90.00% (real pictures 95.0%")
    list(measures.classification_accuracy_score(evaluation, x, y, per_class))
    assert len(cas_calls) == 2  # from the cache
    list(measures.classification_accuracy_score(evaluation, x + 1, y, per_class))
    assert len(cas_calls) == 3  # of other pictures; the real ones are the same
    splits["val"] = splits["test"]
    list(measures.classification_accuracy_score(Stub(tmp_path, splits, split="val"), x, y, per_class))
    assert len(cas_calls) == 5  # measured on another split


def test_quality_of_samples_takes_all_pictures_but_fid_only_as_many_as_asked_for(tmp_path, cas_calls, monkeypatch):
    compared = []
    test = pictures(torch.zeros(4, 1, 2, 2, dtype=torch.uint8))
    evaluation = Stub(tmp_path, {"test": test, "train": test}, generated=20)
    x, y = torch.zeros(40, 1, 2, 2, dtype=torch.uint8), torch.arange(40) % 10

    def compare(evaluation, x):
        compared.append(len(x))
        yield from ()
        return "FID"

    monkeypatch.setattr(measures, "compare_with_real", compare)
    run = measures.Values(measures.sample_quality(evaluation, x, y))
    assert [value.metric for value in run] == ["share", "cas", "cas_sd"]
    assert compared == [20] and len(cas_calls[0][0]) == 40
    assert run.headline.startswith("CAS 90.00%") and run.headline.endswith("class recognised 10.0%, FID")


# --- Batches ----------------------------------------------------------------------------------------------------------


class Noise:
    """In place of a generator: noise that depends on the seed alone, with the label in the first pixel."""

    def __init__(self):
        self.calls = []

    def sample(self, n, *, label=None, seed=None, **options):
        self.calls.append((n, seed, options))
        x = torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))
        if label is not None:
            x[:, 0, 0, 0] = label / 255
        return x


def test_generated_pictures_of_different_batches_differ(tmp_path):
    evaluation = Stub(tmp_path, {"test": None}, model=Noise(), seed=3)
    y = torch.arange(1100) % 10
    x = evaluation.generate(y, steps=2)
    assert x.dtype == torch.uint8 and len(x.flatten(1)[:, 1:].unique(dim=0)) == 1100
    assert torch.equal(x[:, 0, 0, 0].long(), y)
    assert [n for n, *_ in evaluation.model.calls] == [500, 500, 100]
    assert evaluation.model.calls[0][1] == 3 and all(options == {"steps": 2} for *_, options in evaluation.model.calls)
    assert torch.equal(evaluation.generate(y, steps=2), x) and len(evaluation.model.calls) == 3
    evaluation.generate(y, steps=3)
    assert len(evaluation.model.calls) == 6  # other options are not in the cache
    other = Stub(tmp_path, {"test": None}, model=Noise(), seed=4)
    assert not torch.equal(other.generate(y, steps=2), x)


def test_prior_samples_of_different_batches_differ(tmp_path, monkeypatch):
    compared = []

    def compare(evaluation, x, linear=None):
        compared.append((x, linear))
        yield from ()
        return "FID"

    monkeypatch.setattr(measures, "compare_with_real", compare)
    train, test = pictures(torch.rand(90, 1, 9, 9)), pictures(torch.zeros(9, 1, 9, 9))
    evaluation = Stub(tmp_path, {"train": train, "test": test}, model=Noise(), generated=1100)
    list(vae.prior_samples(evaluation))
    ((x, linear),) = compared
    assert len(x) == 1100 == len(x.flatten(1).unique(dim=0))
    assert evaluation.loaded == ["train"] and close(linear.mean, train.x.mean(0)) and len(linear.variance) == 64


def test_pictures_are_mapped_in_order_and_as_floats(tmp_path):
    x = torch.randint(256, (1100, 1, 2, 2), dtype=torch.uint8)
    sizes = []
    result = Stub(tmp_path, {"test": None}).map_batches(lambda part: sizes.append(len(part)) or part * 2, x)
    assert sizes == [500, 500, 100] and close(result, x.float() / 255 * 2)
    floats = torch.rand(3, 1, 2, 2)
    assert close(Stub(tmp_path, {"test": None}).map_batches(lambda part: part, floats), floats)


def test_noise_of_the_elbo_differs_between_batches(tmp_path):
    class Model:
        def elbo(self, x, seed):
            noise = torch.rand(len(x), generator=torch.Generator().manual_seed(seed))
            return noise, x.flatten(1).sum(1)

    evaluation = Stub(tmp_path, {"test": None}, model=Model(), seed=5)
    x = torch.rand(7, 1, 2, 2)
    log_px, kl = vae.elbo_terms(evaluation, x, batch=3)
    assert log_px.dtype == torch.float64 and len(log_px.unique()) == 7 and close(kl, x.flatten(1).sum(1).double())


def test_an_evaluation_measures_the_split_that_it_names(root):
    for split in ("test", "val"):
        evaluation = measures.Evaluation("vae-mnist", split=split)
        assert torch.equal(evaluation.data.x, data.load("mnist", split).x)
        assert torch.equal(evaluation.load("train").x, data.load("mnist", "train").x)
    assert len(measures.Evaluation("vae-mnist", split="val", pictures=12).data) == 12


def test_the_command_repeats_the_evaluation(root):
    plain = measures.Evaluation("diffusion-mnist")
    assert plain.command(diffusion.Options()) == "python -m train.evaluate diffusion-mnist"
    other = measures.Evaluation("diffusion-mnist", generated=50, seed=4)
    assert other.command(diffusion.Options(sampler="ddim", steps=16, guidance=2.0)) == (
        "python -m train.evaluate diffusion-mnist --generated 50 --seed 4 --sampler ddim --guidance 2.0"
    )


# --- Reconstructions --------------------------------------------------------------------------------------------------


def test_reconstructions_are_compared_with_principal_components_of_the_training_pictures(tmp_path):
    g = torch.Generator().manual_seed(0)
    train, test = (torch.randint(256, (60, 1, 16, 16), generator=g, dtype=torch.uint8) for _ in range(2))
    test = (test // 2 + 60).to(torch.uint8)

    class Model:
        latent = 3

        def reconstruct(self, x):
            return (x + 0.1).clamp(0, 1)

    evaluation = Stub(tmp_path, {"train": pictures(train), "test": pictures(test)}, model=Model())
    run = measures.Values(measures.reconstruction_quality(evaluation))
    psnr, ssim = run
    assert evaluation.loaded == ["train"]
    assert psnr.value == pytest.approx(20, abs=1e-3) and str(psnr) == "20" and run.headline == "PSNR 20 dB"
    flat, x = train.double().flatten(1) / 255, test.double().flatten(1) / 255
    _, _, v = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    linear = flat.mean(0) + (x - flat.mean(0)) @ v[:3].T @ v[:3]
    expected = -10 * (linear.clamp(0, 1) - x).square().mean(1).log10()
    assert psnr.comparison.startswith("PCA with 3 components: ") and states(psnr.comparison, expected.mean().item(), off=[0.01])
    shifted = (test.float() / 255 + 0.1).clamp(0, 1)
    assert ssim.value == pytest.approx(metrics.ssim(shifted, test).mean().item(), rel=1e-4)
    assert states(ssim.comparison, metrics.ssim(linear.float().view_as(shifted).clamp(0, 1), test).mean().item(), off=[0.001])


def test_classes_on_the_latent_map_are_counted(tmp_path):
    """A classifier that returns the grey level finds two classes where there are two greys."""

    class Model:
        def decode(self, z):
            assert z.abs().max() < 4  # the central 98 %: no outlier stretches the map
            return (z[:, :1] > 1).float()

    judge = type("Classifier", (), {"predict": lambda self, x: x.long()})()
    codes = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    codes[0] = 1000.0
    (value,) = measures.classes_on_latent_map(Stub(tmp_path, {"test": None}, model=Model(), judge=judge), codes)
    assert (value.value, value.n) == (2, 900) and "30x30" in value.label
    assert value.comparison == "of 10; the rarest covers 0.0% of the map"


def test_the_rarest_class_on_the_latent_map(tmp_path):
    model = type("Model", (), {"decode": lambda self, z: z})()
    judge = type("Classifier", (), {"predict": lambda self, z: (torch.arange(len(z)) // 9).clamp(max=9)[:, None]})()
    codes = torch.randn(500, 2)
    (value,) = measures.classes_on_latent_map(Stub(tmp_path, {"test": None}, model=model, judge=judge), codes)
    assert value.value == 10 and value.comparison == "of 10; the rarest covers 1.0% of the map"


# --- Resuming ---------------------------------------------------------------------------------------------------------


def test_generating_resumes_where_it_was_stopped(root):
    evaluation = measures.Evaluation("diffusion-mnist", runs=root.parent / "runs")
    y, counts = torch.arange(30) % 10, []
    sample = evaluation.model.sample

    def counted(n, **options):
        counts.append(n)
        if len(counts) == 3:
            raise KeyboardInterrupt
        return sample(n, **options)

    evaluation.model = type("Model", (), {"sample": staticmethod(counted)})()
    with pytest.raises(KeyboardInterrupt):
        evaluation.generate(y, batch=10, steps=1)
    x = evaluation.generate(y, batch=10, steps=1)
    assert counts == [10, 10, 10, 10]  # the first two batches were not generated again
    alone = torch.cat([sample(10, label=y[i : i + 10], steps=1, seed=i) for i in (0, 10, 20)])
    assert close_greys(x, (alone * 255).round().to(torch.uint8))


def test_nothing_that_other_weights_generated_is_taken_for_the_models(root):
    y, runs = torch.arange(10), root.parent / "runs"
    old = measures.Evaluation("gan-mnist", runs=runs).generate(y)
    torch.manual_seed(1)
    tiny.CHECKPOINTS["gan-mnist"]().save_pretrained(root / "gan-mnist")
    evaluation = measures.Evaluation("gan-mnist", runs=runs)
    x = evaluation.generate(y)
    assert close_greys(x, (evaluation.model.sample(10, label=y, seed=0) * 255).round().to(torch.uint8))
    assert not close_greys(x, old)
