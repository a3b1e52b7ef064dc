"""What the page and the explanations read from the cards of checkpoints."""

import json

import pytest

import genmodels as gm

ROWS = [  # type, name, value, N
    ("bits_per_dim", "bits per pixel", 1.1, 1000),
    ("bits_per_dim", "bits per pixel given the class", 1.0, 1000),
    ("fid", "FID", 0.5, 2000),
    ("bits_per_dim", "bits per pixel by sampling", 1.2, 200),
]


@pytest.fixture
def card(tmp_path, monkeypatch):
    """The name of a checkpoint whose card has more than one number of a type."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    metrics = [{"type": t, "name": name, "value": value, "args": {"N": n}} for t, name, value, n in ROWS]
    front_matter = {"model-index": [{"name": "flow-mnist", "results": [{"metrics": metrics}]}]}
    (tmp_path / "flow-mnist").mkdir()
    (tmp_path / "flow-mnist" / "README.md").write_text(f"---\n{json.dumps(front_matter)}\n---\n", encoding="utf-8")
    return "flow-mnist"


def test_the_first_number_of_a_type_is_the_measurement(card):
    assert gm.cards.measurements(card) == {"bits_per_dim": (1.1, 1000), "fid": (0.5, 2000)}
    assert gm.cards.sample_size(card, "bits_per_dim") == 1000
    assert gm.cards.sample_size(card, "elbo") is None
