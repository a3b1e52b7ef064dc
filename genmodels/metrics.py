"""Metrics of generated sets, as pure functions of pictures, features and log-probabilities.

A number means something only with N, split and seed, and beside its floor or ceiling (real pictures against real ones):
`train/evaluate.py` prints them together. Pictures are (N, C, H, W), uint8 or floats in [0, 1]; features are (N, F).
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels import data
from genmodels.base import check_choice, check_number, generator, import_extra, randn_rows

if TYPE_CHECKING:
    from genmodels.classifier import Classifier
    from genmodels.vae import VAE, Latents


def _floats(x: Tensor) -> Tensor:
    return x.float() / 255 if x.dtype == torch.uint8 else x


# --- Sets against sets, in the features of our own classifiers ------------------------------------------------------


def features(classifier: "Classifier", x: Tensor, batch: int = 500) -> Tensor:
    """Features of pictures x (N, C, H, W) in the last hidden layer of a `Classifier`: (N, F). batch: to limit memory."""
    with torch.no_grad():
        return torch.cat([classifier.features(_floats(part)) for part in x.split(batch)])


def fid(a: Tensor, b: Tensor) -> float:
    """Frechet distance of two sets of features (N, F), (M, F), in float64: 0 for the same set, and symmetric.

    Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium (2017),
    https://arxiv.org/abs/1706.08500, with the features of our own classifier in place of Inception's, which mean little on
    28x28 greyscale pictures: compare only numbers of the same classifier. Its expectation falls as N and M grow (Chong and
    Forsyth 2020, https://arxiv.org/abs/1911.07023): compare only the same N, too.
    """
    _check_features(a, b)
    fid = import_extra("torchmetrics.image.fid", "metrics")

    class Features(nn.Identity):  # its input are features already
        num_features = a.shape[1]

    metric = fid.FrechetInceptionDistance(Features())
    metric.update(a.double(), real=True)
    metric.update(b.double(), real=False)
    return max(0.0, float(metric.compute()))  # rounding can leave -1e-9


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """(precision, recall) of features fake (M, F) against real (N, F), each from 0 to 1.

    Precision: the share of fakes within the radius of a real picture, which is its distance to its k-th nearest neighbour
    among the real ones; recall: the same with the roles exchanged. Kynkaanniemi et al., Improved precision and recall metric
    for assessing generative models (2019), https://arxiv.org/abs/1904.06991, whose k is 3. Take N = M: both depend on the
    sizes.
    """
    _check_features(real, fake, k)
    precision = (_inside(real, k, fake) > 0).double().mean().item()
    recall = (_inside(fake, k, real) > 0).double().mean().item()
    return precision, recall


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> tuple[float, float]:
    """(density, coverage) of features fake (M, F) against real (N, F).

    Density: within how many real pictures' radii a fake lies, divided by k; about 1 for a perfect set, more for one that
    stays in dense regions. Coverage: the share of real pictures with a fake within their radius, about 1 - 2**-k for a
    perfect set of M = N. Naeem et al., Reliable fidelity and diversity metrics for generative models (2020),
    https://arxiv.org/abs/2002.09797, whose k is 5.
    """
    _check_features(real, fake, k)
    radii = _radii(real, k)
    nearest = torch.cat([torch.cdist(part, fake.double()).amin(1) for part in real.double().split(1000)])
    return _inside(real, k, fake).double().mean().item() / k, (nearest < radii).double().mean().item()


def _radii(x: Tensor, k: int) -> Tensor:
    """Distance of each row of x (N, F) to its k-th nearest neighbour among the other rows: (N,)."""
    x = x.double()  # cdist's matrix product needs the precision
    radii = torch.cat([torch.cdist(part, x).kthvalue(k + 1, dim=1).values for part in x.split(1000)])  # + 1: itself
    return radii * (1 - 1e-9)  # rounding must not put the k-th neighbour itself within the radius


def _inside(centres: Tensor, k: int, points: Tensor) -> Tensor:
    """Within the radii of how many centres (N, F) each point (M, F) lies: (M,)."""
    radii, centres = _radii(centres, k), centres.double()
    return torch.cat([(torch.cdist(part, centres) < radii).sum(1) for part in points.double().split(1000)])


def _check_features(a: Tensor, b: Tensor, k: int = 1) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) <= k:
        raise ValueError(
            f"Features must be two tensors (N, F) and (M, F) of more than {k} rows, not {tuple(a.shape)} and {tuple(b.shape)}."
        )


# --- Classification accuracy score ----------------------------------------------------------------------------------


class CAS(NamedTuple):
    """mean and sd (sample standard deviation, 0 for one seed) of the accuracies, one per seed."""

    mean: float
    sd: float
    accuracies: list[float]


def cas(
    x: Tensor,
    y: Tensor,
    test_x: Tensor,
    test_y: Tensor,
    *,
    per_class: int = 2000,
    epochs: int = 5,
    seeds: Sequence[int] = (0, 1, 2),
) -> CAS:
    """Classification accuracy score: train one small CNN on pictures x with labels y, test it on real ones.

    Ravuri and Vinyals, Classification accuracy score for conditional generative models (2019),
    https://arxiv.org/abs/1905.10887. It needs quality and diversity. The protocol is frozen, so that numbers are comparable:
    2,000 pictures per class, 5 epochs in batches of 100, Adam with a one-cycle learning rate of at most 0.004, no
    augmentation, the last epoch counts, three seeds. Report beside it the same score for as many real training pictures.

    Arguments:
        x, y: generated greyscale pictures (N, 1, 28, 28) and classes (N,); the first `per_class` of each class are used.
        test_x, test_y: the real test set.
        per_class, epochs, seeds: the protocol; change them only for a quick look.
    Returns:
        `CAS`: mean, sd, accuracies.
    Raises:
        ValueError: a class has fewer than `per_class` pictures.
    """
    classes = int(test_y.max()) + 1
    chosen = [(y == c).nonzero()[:per_class, 0] for c in range(classes)]
    if min(map(len, chosen)) < per_class:
        raise ValueError(f"x must hold at least {per_class} pictures of each class, not {min(map(len, chosen))}.")
    rows = torch.cat(chosen)
    accuracies = [_cas_accuracy(_floats(x[rows]), y[rows], test_x, test_y, classes, epochs, seed) for seed in seeds]
    values = torch.tensor(accuracies, dtype=torch.float64)
    return CAS(values.mean().item(), values.std().item() if len(values) > 1 else 0.0, accuracies)


def _cas_accuracy(x: Tensor, y: Tensor, test_x: Tensor, test_y: Tensor, classes: int, epochs: int, seed: int) -> float:
    batch = min(100, len(x))
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        net = _cas_net(classes)
        optimizer = torch.optim.Adam(net.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.004, total_steps=epochs * (len(x) // batch))
        for _ in range(epochs):
            for i in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
                optimizer.zero_grad()
                F.cross_entropy(net(2 * x[i] - 1), y[i]).backward()
                optimizer.step()
                schedule.step()
    net.eval()
    with torch.inference_mode():
        predicted = torch.cat([net(2 * _floats(part) - 1).argmax(1) for part in test_x.split(1000)])
    return (predicted == test_y).double().mean().item()


def _cas_net(classes: int) -> nn.Sequential:
    def conv(channels: int, width: int) -> tuple[nn.Module, ...]:
        return nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()

    return nn.Sequential(
        *conv(1, 16),
        nn.MaxPool2d(2),
        *conv(16, 32),
        *conv(32, 32),
        nn.MaxPool2d(2),
        *conv(32, 64),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 7 * 7, classes),
    )


# --- Pictures against pictures, and likelihoods ---------------------------------------------------------------------


def bits_per_dim(log_prob: Tensor, dims: int, levels: int = 1) -> Tensor:
    """Bits per dimension from log-probabilities (N,) in nats of pictures with `dims` values: (N,).

    levels: 256 if log_prob is a density of dequantized 8-bit pictures, (x + u) / 256 with u uniform in [0, 1),
    which adds log2(256) bits back (Theis, van den Oord and Bethge, A note on the evaluation of generative models, 2016,
    https://arxiv.org/abs/1511.01844); 1 if the pixels are discrete.
    """
    return -log_prob / (dims * math.log(2)) + math.log2(levels)


def psnr(x: Tensor, y: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of each picture of x against y (N, C, H, W), peak 1: (N,)."""
    image = import_extra("torchmetrics.functional.image", "metrics")
    return image.peak_signal_noise_ratio(_floats(x), _floats(y), data_range=1.0, reduction="none", dim=(1, 2, 3))


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of each picture of x to y (N, C, H, W), 1 if they are equal: (N,).

    Wang et al., Image quality assessment: from error visibility to structural similarity (2004),
    https://doi.org/10.1109/TIP.2003.819861: Gaussian window with standard deviation 1.5.
    """
    similarity = import_extra("torchmetrics.functional.image", "metrics").structural_similarity_index_measure
    maps = [
        similarity(_floats(a).double(), _floats(b).double(), data_range=1.0, reduction="none", return_full_image=True)[1]
        for a, b in zip(x.split(100), y.split(100))
    ]
    return torch.cat([m[..., 5:-5, 5:-5].mean((1, 2, 3)) for m in maps])  # as in the paper: only windows within the picture


# --- The linear baseline --------------------------------------------------------------------------------------------


class PCA(NamedTuple):
    """Principal components. mean: (C, H, W); components: (K, CHW), orthonormal; variance: (K,), largest first."""

    mean: Tensor
    components: Tensor
    variance: Tensor

    def reconstruct(self, x: Tensor) -> Tensor:
        """The projection onto the K components, as floats: (N, C, H, W) -> (N, C, H, W)."""
        codes = (_floats(x) - self.mean).flatten(1) @ self.components.T  # (N, K)
        return self.mean + (codes @ self.components).view(x.shape)

    def sample(self, n: int, *, seed: int | None = None) -> Tensor:
        """n samples of the Gaussian with this mean and these variances, clipped to [0, 1]: (n, C, H, W)."""
        codes = randn_rows(n, len(self.variance), g=generator(seed)) * self.variance.sqrt()
        return (self.mean + (codes @ self.components).view(n, *self.mean.shape)).clamp(0, 1)


def pca(x: Tensor, components: int) -> PCA:
    """`PCA` of pictures x (N, C, H, W). Pearson (1901), https://doi.org/10.1080/14786440109462720."""
    components = check_number("components", components, 1, x[0].numel(), whole=True)
    mean = torch.zeros(x[0].numel(), dtype=torch.float64)
    square = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for part in x.split(5000):
        flat = _floats(part).flatten(1).double()
        mean, square = mean + flat.sum(0), square + flat.T @ flat
    mean /= len(x)
    values, vectors = torch.linalg.eigh(square / len(x) - torch.outer(mean, mean))  # smallest first
    return PCA(
        mean.float().view(x.shape[1:]),
        vectors[:, -components:].flip(1).T.float(),
        values[-components:].flip(0).clamp(min=0).float(),
    )


# --- Attributes in latent space -------------------------------------------------------------------------------------

LINKED_ATTRIBUTES = {  # attribute -> those that change with it by the way the faces are drawn
    "smiling": ("mouth",),
    "mouth": ("smiling",),
    "glasses": ("glasses_color",),
    "glasses_color": ("glasses",),
    "headwear": ("hat_color", "hair", "hair_length", "hair_color"),
    "hat_color": ("headwear",),
    "hair": ("hair_length", "hair_color"),
    "hair_length": ("hair",),
}
_COLOURS = ("hair_color", "glasses_color", "hat_color")  # "none" is no colour: there is nothing to colour


class Transfer(NamedTuple):
    """Effect of moving faces along an attribute, by the classifier's predictions before and after. Shares from 0 to 1.

    reached: faces that ended with the target value; changed: that ended with another value than before; preserved:
    other attribute -> share of faces in which it stayed the same; n: faces moved.
    """

    reached: float
    changed: float
    preserved: dict[str, float]
    n: int


def attribute_transfer(
    vae: "VAE",
    classifier: "Classifier",
    x: Tensor,
    y: Tensor,
    latents: "Latents",
    attribute: str,
    *,
    amount: float = 1.0,
    n: int = 500,
    seed: int = 0,
) -> Transfer:
    """Move faces along an attribute's direction, from the value that the classifier predicts to another one: a `Transfer`.

    Larsen et al., Autoencoding beyond pixels using a learned similarity metric (2016), edit faces this way
    (https://arxiv.org/abs/1512.09300). "Before" is
    the classifier's prediction for decode(z), where z is the mean code of a face; "after" is its prediction for
    decode(moved z). The target is uniform over the other values; what must change with it (`data.change_attribute`) does.

    Another attribute counts for a face only where the dataset would show it before and after (not the eyes behind dark
    glasses, not the colour of hair that appears or disappears), and not if it is one of `LINKED_ATTRIBUTES`: these
    change by definition.

    Arguments:
        vae, classifier: the `VAE`, and the `Classifier` of all attributes.
        x, y: held-out faces (N, 3, 64, 64) and their attributes (N, 16).
        latents: the `vae.Latents` whose `move` is measured.
        attribute: one of `data.ATTRIBUTES`.
        amount: 1 is the whole difference between the two values' mean codes; -3 to 3.
        n: the first n faces that show the attribute are moved.
        seed: of the target values.
    Raises:
        ValueError: fewer than two values of the attribute have a mean code, or no face shows it.
    """
    names = list(data.ATTRIBUTES)
    column = names.index(check_choice("attribute", attribute, names))
    values = data.ATTRIBUTES[attribute]
    with_code = [i for i, v in enumerate(values) if v in latents.values.get(attribute, ())]  # that have a mean code
    targets = torch.tensor([i for i in with_code if not (attribute in _COLOURS and values[i] == "none")])
    faces = torch.isin(y[:, column], targets).nonzero()[:n, 0]
    if len(targets) < 2 or not len(faces):
        raise ValueError(f"Moving {attribute} needs faces that show it and mean codes of at least two of its values.")
    with torch.inference_mode():
        z = torch.cat([vae.encode(_floats(x[part])).mean for part in faces.split(250)]).cpu()
        before = _predictions(vae, classifier, z)
        movable = torch.isin(before[:, column], torch.tensor(with_code))
        z, before, y = z[movable], before[movable], y[faces[movable]]
        source = before[:, column]
        target = targets[torch.randint(len(targets) - 1, source.shape, generator=generator(seed))]
        target = torch.where(target == source, targets[-1], target)  # uniform over the other values, whatever the source
        moved = []
        for code, row, t in zip(z, before, target.tolist()):
            face = data.attribute_values(row)
            moved.append(latents.change(code[None], face, data.change_attribute(face, attribute, values[t]), amount))
        after = _predictions(vae, classifier, torch.cat(moved))
    same, visible = before == after, _visible_in_both(y, column, target)
    excluded = (attribute, *LINKED_ATTRIBUTES.get(attribute, ()))
    preserved = {
        name: same[visible[:, i], i].double().mean().item()
        for i, name in enumerate(names)
        if name not in excluded and bool(visible[:, i].any())
    }
    reached = (after[:, column] == target).double().mean().item()
    changed = (after[:, column] != source).double().mean().item()
    return Transfer(reached, changed, preserved, len(z))


def _predictions(vae: "VAE", classifier: "Classifier", z: Tensor) -> Tensor:
    return torch.cat([classifier.predict(vae.decode(part)) for part in z.split(250)]).cpu()


def _visible_in_both(y: Tensor, column: int, target: Tensor) -> Tensor:
    """Which attributes (N, 16) of faces with labels y are visible before and also after attribute `column` became `target`."""
    names = list(data.ATTRIBUTES)
    after = y.clone()
    after[:, column] = target

    def hairless(labels: Tensor) -> Tensor:  # bald or under a hat, and no beard
        return (labels[:, names.index("hair_length")] <= 0) & (labels[:, names.index("facial_hair")] == 0)

    visible = (y != data.HIDDEN) & (data.mark_hidden(after) != data.HIDDEN)
    visible[:, names.index("hair_color")] &= hairless(y) == hairless(after)
    return visible


class Probe(NamedTuple):
    """A linear classifier of codes: scores = codes @ weight.T + bias. weight: (K, D); bias: (K,)."""

    weight: Tensor
    bias: Tensor

    def accuracy(self, codes: Tensor, labels: Tensor) -> float:
        """Share of codes (N, D) whose highest score is their label (N,); labels of -1 do not count."""
        predicted = (codes @ self.weight.T + self.bias).argmax(1)
        return (predicted == labels)[labels >= 0].double().mean().item()


def linear_probe(codes: Tensor, labels: Tensor, values: int, penalty: float = 1e-4, steps: int = 100) -> Probe:
    """Logistic regression on codes: a `Probe`.

    Alain and Bengio, Understanding intermediate layers using linear classifier probes (2016), https://arxiv.org/abs/1610.01644.

    Arguments:
        codes, labels: (N, D) and (N,); labels of -1 do not count.
        values: K, how many values a label can have.
        penalty: weight of the sum of squared weights, for codes scaled to unit variance.
        steps: of L-BFGS, at most.
    """
    codes, labels = codes[labels >= 0], labels[labels >= 0]
    mean, std = codes.mean(0), codes.std(0) + 1e-6
    scaled = (codes - mean) / std
    with torch.inference_mode(False), torch.enable_grad():
        scaled, labels = scaled.clone(), labels.clone()  # inference tensors cannot go through autograd
        weight = torch.zeros(values, codes.shape[1], requires_grad=True)
        bias = torch.zeros(values, requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(scaled @ weight.T + bias, labels) + penalty * weight.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    weight = weight.detach() / std
    return Probe(weight, bias.detach() - weight @ mean)


def nearest_mean(means: Tensor) -> Probe:
    """The `Probe` that predicts the value whose mean code is nearest. means: (K, D)."""
    return Probe(means, -0.5 * means.square().sum(1))
