"""How edits of attributes are chosen and measured, with invented models."""

import pytest
import torch

from genmodels import data, metrics
from tests.compare import close
from tests.helpers_measures import Judge, Stub, pictures
from train import attributes

HIDDEN = data.HIDDEN


class Transfers:
    """In place of `metrics.attribute_transfer`: invented results, by split, direction and amount."""

    def __init__(self, monkeypatch, table):
        self.table, self.calls = table, []
        monkeypatch.setattr(metrics, "attribute_transfer", self)
        monkeypatch.setattr(attributes, "EDIT_AMOUNTS", (1.0, 2.0))

    def __call__(self, model, classifier, x, y, latents, attribute, *, amount, seed):
        split = {0: "val", 1: "test"}[int(x[0, 0, 0, 0])]
        self.calls.append((split, latents, amount, seed))
        reached, lowest = self.table[split, latents, amount]
        return metrics.Transfer(reached, (1 + reached) / 2, {"skin": 1.0, "hair": lowest}, 7)


TABLE = {
    ("val", "vectors", 1.0): (0.95, 0.80),  # margins: the least of reached - 0.90 and preserved - 0.85
    ("val", "vectors", 2.0): (0.93, 0.87),  # 0.02
    ("val", "weights", 1.0): (0.96, 0.90),  # 0.05: the best
    ("val", "weights", 2.0): (1.00, 0.60),
    ("test", "vectors", 1.0): (1.0, 1.0),
    ("test", "vectors", 2.0): (1.0, 1.0),
    ("test", "weights", 1.0): (0.91, 0.88),
    ("test", "weights", 2.0): (1.0, 1.0),
}


def test_direction_and_amount_of_an_edit_are_chosen_on_the_validation_split(tmp_path, monkeypatch):
    transfers = Transfers(monkeypatch, TABLE)
    val, test = (pictures(torch.full((3, 1, 1, 1), fill), torch.zeros(3, 16)) for fill in (0, 1))
    evaluation = Stub(tmp_path, {"test": test, "val": val}, dataset="avatars", seed=9)
    directions = {"the vectors": "vectors", "the weights": "weights"}
    reached, preserved = attributes.edit_attribute(evaluation, "smiling", Judge(), val, directions)
    assert [call[:3] for call in transfers.calls if call[0] == "test"] == [("test", "weights", 1.0)]
    assert len([call for call in transfers.calls if call[0] == "val"]) == 4 and {call[3] for call in transfers.calls} == {9}
    assert (reached.value, reached.n, preserved.value, preserved.n) == (0.91, 7, 0.88, 7)
    assert reached.label.startswith("smiling: ") and "preserve hair" in preserved.label
    assert "any value but the original: 95.50%" in reached.comparison
    assert "edited by 1 times the difference along the weights" in reached.comparison
    assert "chosen on the validation split (96.0% reached, 90.0% preserved; " in reached.comparison
    assert "best along the vectors, by 2 times: 93.0% reached, 87.0% preserved)" in reached.comparison
    assert preserved.comparison == "mean of the 2 other attributes: 94.00%"


def test_what_codes_hold_is_learnt_from_training_faces_and_read_from_the_measured_ones(tmp_path, monkeypatch):
    """The first number of a code is the attribute's value, the other noise; hidden labels are in no denominator."""
    names = list(data.ATTRIBUTES)
    i = names.index("smiling")

    def faces(n, seed, noise, wrong=0):
        g = torch.Generator().manual_seed(seed)
        y = torch.zeros(n, 16, dtype=torch.long)
        y[:, i] = torch.arange(n) % 2
        x = torch.rand(n, 1, 1, 2, generator=g) * noise
        x[..., 0] += y[:, i].view(n, 1, 1)
        y[:wrong, i] = 1 - y[:wrong, i]
        y[wrong : wrong + 4, i] = HIDDEN
        return pictures(x, y)

    class Model:
        latent = 2

        def encode(self, x):
            return torch.distributions.Normal(x.flatten(1), torch.ones(len(x), 2))

        def reconstruct(self, x):
            return 1 - x

    class FaceJudge(Judge):
        def predict(self, x):
            labels = torch.zeros(len(x), 16, dtype=torch.long)
            labels[:, i] = (x[:, 0, 0, 0] > 0.5).long()
            return labels

    edits, fitted, linear_probe = [], [], metrics.linear_probe

    def probe_of(codes, labels, values):
        fitted.append((codes, labels))
        return linear_probe(codes, labels, values)

    monkeypatch.setattr(metrics, "linear_probe", probe_of)

    def edit(*args):
        edits.append(args)
        return iter([])

    monkeypatch.setattr(attributes, "EDITED_ATTRIBUTES", ("smiling",))
    monkeypatch.setattr(attributes, "load_latents", lambda folder: "latents")
    monkeypatch.setattr(attributes, "probe_latents", lambda latents, probe, attribute: "probes")
    monkeypatch.setattr(attributes, "edit_attribute", edit)
    splits = {"train": faces(40, 0, 0.2), "val": faces(20, 1, 0.2), "test": faces(24, 2, 0.2, wrong=5)}
    evaluation = Stub(tmp_path, splits, dataset="avatars", model=Model(), judge=FaceJudge())
    accuracy, probe = attributes.evaluate(evaluation)
    # 16 attributes of 24 faces, of which smiling is hidden in 4 and has the wrong label in 5
    assert accuracy.value == pytest.approx((15 * 24 + 5) / (16 * 24 - 4), abs=1e-5)
    assert accuracy.comparison == f"in the pictures themselves: {(15 * 24 + 15) / (16 * 24 - 4):.2%}"
    assert (probe.value, probe.n) == (0.75, 20) and probe.comparison == "by the nearest mean code: 75.00%"
    assert evaluation.loaded == ["val", "train"]
    ((codes, labels),) = fitted
    assert close(codes, splits["train"].x.flatten(1)) and torch.equal(labels, splits["train"].y[:, i])
    ((_, attribute, _, val, directions),) = edits
    assert attribute == "smiling" and val is splits["val"] and list(directions.values()) == ["latents", "probes"]


def test_a_value_that_no_training_face_has_is_never_the_nearest(tmp_path, monkeypatch):
    """The codes are near the origin: a mean code there would be nearer than that of their own value."""
    column = list(data.ATTRIBUTES).index("hair_length")

    def faces(codes, values):
        y = torch.zeros(len(values), 16, dtype=torch.long)
        y[:, column] = torch.tensor(values)
        return pictures(torch.tensor(codes).view(-1, 1, 1, 1), y)

    class Model:
        latent = 1

        def encode(self, x):
            return torch.distributions.Normal(x.flatten(1), torch.ones(len(x), 1))

        def reconstruct(self, x):
            return x

    judge = Judge()
    judge.predict = lambda x: torch.zeros(len(x), 16, dtype=torch.long)
    monkeypatch.setattr(attributes, "EDITED_ATTRIBUTES", ("hair_length",))
    monkeypatch.setattr(attributes, "load_latents", lambda folder: None)
    monkeypatch.setattr(attributes, "probe_latents", lambda *args: None)
    monkeypatch.setattr(attributes, "edit_attribute", lambda *args: iter([]))
    monkeypatch.setattr(metrics, "linear_probe", lambda codes, y, n: metrics.Probe(torch.zeros(n, 1), torch.zeros(n)))
    train, test = faces([1.0, 1.0, 3.0, 3.0], [1, 1, 2, 2]), faces([0.4, 0.4, 2.9, 0.4], [1, 1, 2, 2])
    evaluation = Stub(tmp_path, {"train": train, "val": train, "test": test}, "avatars", model=Model(), judge=judge)
    _, probe = attributes.evaluate(evaluation)
    assert probe.comparison == "by the nearest mean code: 75.00%"
