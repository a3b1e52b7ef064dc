"""What a generated set is worth, as pure functions of pictures, features and log-probabilities.

A number means something only with N, split and seed, and beside its floor or ceiling (real pictures against real ones):
`train/evaluate.py` prints them together. Pictures are (N, C, H, W), uint8 or floats in [0, 1]; features are (N, F).
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from genmodels import data
from genmodels.base import check_choice, check_number, generator


def _floats(x):
    return x.float() / 255 if x.dtype == torch.uint8 else x


# --- Sets against sets, in the features of our own judges -----------------------------------------------------------


def features(judge, x, batch=500):
    """What `judge` (a `Classifier`) sees in pictures x (N, C, H, W): (N, F). batch: pictures at a time, for memory."""
    with torch.inference_mode():
        return torch.cat([judge.features(_floats(part)) for part in x.split(batch)])


def fid(a, b):
    """Frechet distance of two sets of features (N, F), (M, F), in float64: 0 for the same set, and symmetric.

    Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash equilibrium (2017), with the
    features of our own judge in place of Inception's, which mean little on 28x28 greys: compare only numbers of the
    same judge. It falls as N and M grow (Chong and Forsyth 2020): compare only the same N, too.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    _feature_sets(a, b)
    given = nn.Identity()  # the features are ready
    given.num_features = a.shape[1]
    metric = FrechetInceptionDistance(given)
    metric.update(a.double(), real=True)
    metric.update(b.double(), real=False)
    return max(0.0, float(metric.compute()))  # rounding can leave -1e-9


def precision_recall(real, fake, k=3):
    """(precision, recall) of features fake (M, F) against real (N, F), each from 0 to 1.

    Precision: the share of fakes within the reach of a real picture, which is the distance to its k-th neighbour among
    the real ones; recall the same with the roles exchanged. Kynkaanniemi et al., Improved precision and recall metric
    for assessing generative models (2019), whose k is 3. Take N = M: both depend on the sizes.
    """
    _feature_sets(real, fake, k)
    return tuple((_inside(of, k, others) > 0).double().mean().item() for of, others in ((real, fake), (fake, real)))


def density_coverage(real, fake, k=5):
    """(density, coverage) of features fake (M, F) against real (N, F).

    Density: in how many real pictures' reach a fake lies, over k; about 1 for a perfect set, more for one that keeps to
    the dense places. Coverage: the share of real pictures with a fake within their reach, about 1 - 2**-k for a perfect
    set of M = N. Naeem et al., Reliable fidelity and diversity metrics for generative models (2020), whose k is 5.
    """
    _feature_sets(real, fake, k)
    reach = _reach(real, k)
    near = torch.cat([torch.cdist(part, fake.double()).amin(1) for part in real.double().split(1000)])
    return _inside(real, k, fake).double().mean().item() / k, (near < reach).double().mean().item()


def _reach(x, k):
    """Distance of each row of x (N, F) to its k-th neighbour among the other rows: (N,)."""
    x = x.double()  # cdist's matrix product needs it
    reach = torch.cat([torch.cdist(part, x).kthvalue(k + 1, dim=1).values for part in x.split(1000)])  # + 1: itself
    return reach * (1 - 1e-9)  # rounding must not put the k-th neighbour itself within reach


def _inside(centres, k, points):
    """In the reach of how many centres (N, F) each point (M, F) lies: (M,)."""
    reach, centres = _reach(centres, k), centres.double()
    return torch.cat([(torch.cdist(part, centres) < reach).sum(1) for part in points.double().split(1000)])


def _feature_sets(a, b, k=1):
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) <= k:
        raise ValueError(
            f"Features must be two tensors (N, F) and (M, F) of more than {k} rows, not {tuple(a.shape)} and {tuple(b.shape)}."
        )


# --- Classification accuracy score ----------------------------------------------------------------------------------


class CAS(NamedTuple):
    """mean and sd (of a sample, 0 for one seed) of the accuracies, one a seed."""

    mean: float
    sd: float
    accuracies: list


def cas(x, y, test_x, test_y, *, per_class=2000, epochs=5, seeds=(0, 1, 2)):
    """Classification accuracy score: train one small CNN on pictures x with labels y, test it on real ones.

    Ravuri and Vinyals, Classification accuracy score for conditional generative models (2019). It needs quality and
    diversity. The protocol is frozen, so that numbers compare: 2,000 pictures a class, 5 epochs in batches of 100, Adam
    with one rise and fall of the rate to 0.004, no augmentation, the last epoch counts, three seeds. Print beside it
    the same for x, y = as many real training pictures.

    Arguments:
        x, y: generated 28x28 greys (N, 1, 28, 28) and classes (N,); of each class the first `per_class` are used.
        test_x, test_y: the real test set.
        per_class, epochs, seeds: the protocol; change them for a quick look only.
    Returns:
        `CAS`: mean, sd, accuracies.
    Raises:
        ValueError: a class has fewer than `per_class` pictures.
    """
    classes = int(test_y.max()) + 1
    chosen = [(y == c).nonzero()[:per_class, 0] for c in range(classes)]
    if min(map(len, chosen)) < per_class:
        raise ValueError(f"x must hold at least {per_class} pictures of each class, not {min(map(len, chosen))}.")
    chosen = torch.cat(chosen)
    accuracies = [_cas_accuracy(_floats(x[chosen]), y[chosen], test_x, test_y, classes, epochs, seed) for seed in seeds]
    of = torch.tensor(accuracies, dtype=torch.float64)
    return CAS(of.mean().item(), of.std().item() if len(of) > 1 else 0.0, accuracies)


def _cas_accuracy(x, y, test_x, test_y, classes, epochs, seed):
    batch = min(100, len(x))
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        torch.manual_seed(seed)
        net = _cas_net(classes)
        optimiser = torch.optim.Adam(net.parameters())
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 0.004, total_steps=epochs * (len(x) // batch))
        for _ in range(epochs):
            for i in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
                optimiser.zero_grad()
                F.cross_entropy(net(2 * x[i] - 1), y[i]).backward()
                optimiser.step()
                schedule.step()
    net.eval()
    with torch.inference_mode():
        said = torch.cat([net(2 * _floats(part) - 1).argmax(1) for part in test_x.split(1000)])
    return (said == test_y).double().mean().item()


def _cas_net(classes):
    def conv(before, width):
        return nn.Conv2d(before, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()

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


def bits_per_dim(log_prob, dims, levels=1):
    """Bits a pixel value of log-probabilities (N,) in nats of pictures of `dims` values: (N,).

    levels: 256 if log_prob is a density of 8-bit pictures made continuous, (x + u) / 256 with u uniform in [0, 1),
    which puts log2(256) bits back (Theis et al., A note on the evaluation of generative models, 2015); 1 if the
    pixels are discrete.
    """
    return -log_prob / (dims * math.log(2)) + math.log2(levels)


def psnr(x, y):
    """Peak signal-to-noise ratio in dB of each picture of x against y (N, C, H, W), peak 1: (N,)."""
    from torchmetrics.functional.image import peak_signal_noise_ratio

    return peak_signal_noise_ratio(_floats(x), _floats(y), data_range=1.0, reduction="none", dim=(1, 2, 3))


def ssim(x, y):
    """Structural similarity of each picture of x against y (N, C, H, W), 1 if they are the same: (N,).

    Wang et al., Image quality assessment: from error visibility to structural similarity (2004): Gaussian window, sd
    1.5.
    """
    from torchmetrics.functional.image import structural_similarity_index_measure as similarity

    maps = [
        similarity(_floats(a).double(), _floats(b).double(), data_range=1.0, reduction="none", return_full_image=True)[1]
        for a, b in zip(x.split(100), y.split(100))
    ]
    return torch.cat([m[..., 5:-5, 5:-5].mean((1, 2, 3)) for m in maps])  # the paper's windows: within the picture


# --- The linear model to beat ---------------------------------------------------------------------------------------


class PCA(NamedTuple):
    """Principal components. mean: (C, H, W); components: (K, CHW), orthonormal; variance: (K,), largest first."""

    mean: torch.Tensor
    components: torch.Tensor
    variance: torch.Tensor

    def reconstruct(self, x):
        """The nearest picture that K numbers can say: (N, C, H, W) -> the same, floats."""
        codes = (_floats(x) - self.mean).flatten(1) @ self.components.T  # (N, K)
        return self.mean + (codes @ self.components).view(x.shape)

    def sample(self, n, *, seed=None):
        """n draws of the Gaussian with this mean and these variances, cut to [0, 1]: (n, C, H, W)."""
        codes = torch.randn(n, len(self.variance), generator=generator(seed)) * self.variance.sqrt()
        return (self.mean + (codes @ self.components).view(n, *self.mean.shape)).clamp(0, 1)


def pca(x, components):
    """`PCA` of pictures x (N, C, H, W) with so many components. Pearson, On lines and planes of closest fit (1901)."""
    components = check_number("components", components, 1, x[0].numel(), whole=True)
    mean, square = torch.zeros(x[0].numel(), dtype=torch.float64), 0
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


# --- What a code says about attributes ------------------------------------------------------------------------------

LINKED = {  # attributes that change with this one by the way the faces are drawn
    "smiling": ("mouth",),
    "mouth": ("smiling",),
    "glasses": ("glasses_color",),
    "glasses_color": ("glasses",),
    "headwear": ("hat_color", "hair", "hair_length", "hair_color"),
    "hat_color": ("headwear",),
    "hair": ("hair_length", "hair_color"),
    "hair_length": ("hair",),
}
_COLOURS = ("hair_color", "glasses_color", "hat_color")  # "none" is no colour: there is nothing to be coloured


class Transfer(NamedTuple):
    """What moving faces along an attribute did, by the judge's verdict before and after. Shares from 0 to 1.

    reached: ended with the value aimed at; changed: ended with another value than before; kept: other attribute ->
    share that stayed as it was; n: faces moved.
    """

    reached: float
    changed: float
    kept: dict
    n: int


def attribute_transfer(vae, judge, x, y, latents, attribute, *, amount=1.0, n=500, seed=0):
    """Move faces along an attribute's direction, from the value that the judge sees to another one: a `Transfer`.

    Larsen et al., Autoencoding beyond pixels using a learned similarity metric (2015), moved faces so. Before is the
    judge's verdict on decode(z), z the mean code of a face; after is its verdict on decode(moved z). The value aimed
    at is drawn evenly from the others; what must change with it (`data.with_value`) does.

    Another attribute counts for a face only where the data set would show it before and after (not the eyes behind dark
    glasses, not the colour of hair that comes or goes), and not if it is `LINKED`: that one changes by definition.

    Arguments:
        vae, judge: the `VAE`, and the `Classifier` with one question an attribute.
        x, y: held-out faces (N, 3, 64, 64) and their attributes (N, 16).
        latents: the `vae.Latents` whose `move` is tried.
        attribute: one of `data.ATTRIBUTES`.
        amount: 1 goes the whole way from one value's mean code to the other's; -3 to 3.
        n: the first n of the faces that show the attribute are moved.
        seed: of the values aimed at.
    Raises:
        ValueError: fewer than two values of the attribute are known, or no face shows it.
    """
    names = list(data.ATTRIBUTES)
    at = names.index(check_choice("attribute", attribute, names))
    values = data.ATTRIBUTES[attribute]
    known = [i for i, v in enumerate(values) if v in latents.values.get(attribute, ())]
    aims = torch.tensor([i for i in known if not (attribute in _COLOURS and values[i] == "none")])
    seen = torch.isin(y[:, at], aims).nonzero()[:n, 0]
    if len(aims) < 2 or not len(seen):
        raise ValueError(f"Moving {attribute} needs faces that show it and mean codes of at least two of its values.")
    with torch.inference_mode():
        z = torch.cat([vae.encode(_floats(x[part])).mean for part in seen.split(250)])
        before = _verdicts(vae, judge, z)
        known = torch.isin(before[:, at], torch.tensor(known))
        z, before, y = z[known], before[known], y[seen[known]]
        source = before[:, at]
        target = aims[torch.randint(len(aims) - 1, source.shape, generator=generator(seed))]
        target = torch.where(target == source, aims[-1], target)  # even over the others, whichever the source is
        faces = [data.face(row) for row in before]
        moved = torch.cat(
            [
                latents.change(code[None], face, data.with_value(face, attribute, values[t]), amount)
                for code, face, t in zip(z, faces, target.tolist())
            ]
        )
        after = _verdicts(vae, judge, moved)
    same, count = before == after, _comparable(y, at, target)
    kept = {
        other: same[count[:, i], i].double().mean().item()
        for i, other in enumerate(names)
        if i != at and other not in LINKED.get(attribute, ()) and bool(count[:, i].any())
    }
    reached, changed = after[:, at] == target, after[:, at] != source
    return Transfer(reached.double().mean().item(), changed.double().mean().item(), kept, len(z))


def _verdicts(vae, judge, z):
    return torch.cat([judge.predict(vae.decode(part)) for part in z.split(250)])


def _comparable(y, at, target):
    """Which attributes (N, 16) of faces with y can be seen before and also after number `at` became `target`."""
    names = list(data.ATTRIBUTES)
    after = y.clone()
    after[:, at] = target
    bare = [
        (labels[:, names.index("hair_length")] <= 0) & (labels[:, names.index("facial_hair")] == 0) for labels in (y, after)
    ]  # bald or under a hat, and no beard
    count = (y != data.HIDDEN) & (data.hide(after) != data.HIDDEN)
    count[:, names.index("hair_color")] &= bare[0] == bare[1]
    return count


class Probe(NamedTuple):
    """A linear reader of codes: scores = codes @ weight.T + bias. weight: (K, D); bias: (K,)."""

    weight: torch.Tensor
    bias: torch.Tensor

    def accuracy(self, codes, labels):
        """Share of codes (N, D) whose highest score is their label (N,); those of -1 do not count."""
        said = (codes @ self.weight.T + self.bias).argmax(1)
        return (said == labels)[labels >= 0].double().mean().item()


def linear_probe(codes, labels, values, penalty=1e-4, steps=100):
    """Logistic regression on codes: a `Probe`.

    Alain and Bengio, Understanding intermediate layers using linear classifier probes (2016).

    Arguments:
        codes, labels: (N, D) and (N,), of which -1 does not count.
        values: K, how many values a label can have.
        penalty: on the sum of squared weights, for codes scaled to unit variance.
        steps: of L-BFGS, at most.
    """
    codes, labels = codes[labels >= 0], labels[labels >= 0]
    mean, std = codes.mean(0), codes.std(0) + 1e-6
    scaled = (codes - mean) / std
    with torch.inference_mode(False), torch.enable_grad():
        scaled, labels = scaled.clone(), labels.clone()  # no inference tensors: they go through autograd
        weight = torch.zeros(values, codes.shape[1], requires_grad=True)
        bias = torch.zeros(values, requires_grad=True)
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=steps, line_search_fn="strong_wolfe")

        def closure():
            optimiser.zero_grad()
            loss = F.cross_entropy(scaled @ weight.T + bias, labels) + penalty * weight.square().sum()
            loss.backward()
            return loss

        optimiser.step(closure)
    weight = weight.detach() / std
    return Probe(weight, bias.detach() - weight @ mean)


def nearest_mean(values):
    """The `Probe` that reads a value by the nearest mean code, the rule behind mean differences. values: (K, D)."""
    return Probe(values, -0.5 * values.square().sum(1))
