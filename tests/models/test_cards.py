"""What the page and the explanations read from the cards of checkpoints, and say of them: here of invented ones."""

import json
import os

import pytest
import yaml

import genmodels as gm
from genmodels import cards

ROWS = [  # type, name, value, N
    ("bits_per_dim", "bits per pixel", 1.1, 1000),
    ("bits_per_dim", "bits per pixel given the class", 1.0, 1000),
    ("fid", "FID", 0.5, 2000),
    ("bits_per_dim", "bits per pixel by sampling", 1.2, 200),
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes checkpoints' cards: their rows and facts, and JSON files beside them."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))

    def write(name, *rows, text="", **files):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        metrics = [{"type": t, "name": label, "value": value, "args": {"N": n}} for t, label, value, n in rows]
        front_matter = {"model-index": [{"name": name, "results": [{"metrics": metrics}]}]}
        if facts := files.pop("facts", None):
            front_matter["genmodels"] = facts
        (folder / "README.md").write_text(f"---\n{yaml.safe_dump(front_matter)}---\n{text}", encoding="utf-8")
        for file, content in files.items():
            (folder / f"{file}.json").write_text(json.dumps(content), encoding="utf-8")
        return name

    return write


def test_the_first_number_of_a_type_is_the_measurement(write):
    name = write("flow-mnist", *ROWS)
    assert cards.measurements(name) == {"bits_per_dim": (1.1, 1000), "fid": (0.5, 2000)}
    assert cards.sample_size(name, "bits_per_dim") == 1000
    assert cards.sample_size(name, "elbo") is None


def test_a_card_that_is_written_again_is_read_again(write, tmp_path):
    name = write("flow-mnist", *ROWS)
    assert cards.sample_size(name, "fid") == 2000
    write(name, ("fid", "FID", 0.5, 3000))
    os.utime(tmp_path / name / "README.md", ns=(1, 1))
    assert cards.sample_size(name, "fid") == 3000


def test_a_card_without_numbers_or_none_at_all_is_empty(tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    for i, text in enumerate((None, "no front matter", "---\n- a list\n---\n", "---\n{broken\n---\n", "---\na: 1\n---\n")):
        (tmp_path / f"vae-{i}").mkdir()
        if text is not None:
            (tmp_path / f"vae-{i}" / "README.md").write_text(text, encoding="utf-8")
        assert cards.metric_rows(f"vae-{i}") == [] and cards.metadata(f"vae-{i}") == {}
    assert cards.text("vae-0") == "There is no card for vae-0."
    assert cards.shipped(["vae-0", "vae-9", "vae-1"]) == ["vae-0", "vae-1"]


FACTS = {"headline": "FID 1.5", "paper": "Somebody 2020", "parameters": 1_234_567, "minutes": 61.5}


def test_the_facts_of_a_model_in_a_line_a_table_and_beside_its_card(write):
    name = write("gan-mnist", text="# A GAN\n![samples](samples.png)\n\nThree --- dashes\n", facts=FACTS)
    assert cards.headline(name) == "`gan-mnist`, 61.5 minutes of training: FID 1.5, on the test split."
    assert cards.headline("gan-none") == "the card of `gan-none` is missing."
    rows = cards.models_table([name, "gan-none"]).splitlines()[2:]
    assert rows == ["| `gan-mnist` | Somebody 2020 | 1.23 M | 61.5 | FID 1.5 |", "| `gan-none` | no card |  |  |  |"]
    assert cards.text(name) == "# A GAN\n\nThree --- dashes"
    assert cards.about([name], name) == f"{cards.models_table([name])}\n\n# A GAN\n\nThree --- dashes"


def test_shares_are_in_percent(write):
    name = write("gan-mnist", ("recall", "recall", 0.6019, 500))
    assert cards.percent(name, "recall") == "60.2 %" and cards.percent(name, "precision") == cards.ABSENT


def test_the_gap_of_the_elbo_is_drawn_in_blocks_of_two_nats(write):
    rows = [("elbo", "ELBO", -20.4, 10_000), ("nll", "negative log-likelihood, nats, 50 importance samples", 12.2, 10_000)]
    assert cards.elbo_gap(write("vae-mnist", *rows)).splitlines() == [
        "```",
        "-ELBO      20.4 nats ██████░░░░",
        "-log p(x)  12.2 nats ██████",
        "the gap     8.2 nats       ░░░░",
        "```",
        "",
        "`vae-mnist`, means over 10,000 pictures; -log p(x) by 50 importance samples for each.",
    ]
    assert cards.elbo_gap(write("vae-mnist", rows[0])) == cards.ABSENT


TITLES = {"mnist": "Digits", "fashion": "Clothes"}


def test_generators_are_compared_where_all_three_numbers_are_there(write):
    write("gan-mnist", ("fid", "FID", 12.345, 10_000), ("precision", "", 0.915, 1000), ("recall", "", 0.42, 1000))
    write("diffusion-mnist", ("fid", "FID", 1.5, 2000), ("recall", "", 0.9, 1000), ("precision", "", 0.8, 1000))
    write("gan-fashion", ("fid", "FID", 3.5, 2000))
    assert cards.generators_table(TITLES).splitlines()[2:] == [
        "| Digits | `gan-mnist` | 12.35 | 91.5 % | 42.0 % | 10,000 |",
        "| Digits | `diffusion-mnist` | 1.5 | 80.0 % | 90.0 % | 2,000 |",
    ]


def calls(**fids):
    """What `calls.json` holds. fids: of each sampler, {network calls: FID}."""
    return {"rows": [{"sampler": s, "calls": n, "fid": fid} for s, pairs in fids.items() for n, fid in pairs.items()]}


def test_samplers_by_their_network_calls(write):
    ddim, ddpm = {64: 2.0, 4: 9.0, 16: 3.0, 8: 2.5}, {16: 30.0, 64: 4.0, 250: 5.0}
    write("diffusion-mnist", calls=calls(ddim=ddim, ddpm=ddpm))
    write("diffusion-fashion", calls=calls(ddim=ddim, ddpm={64: 1.0}))
    assert cards.sampler_rows("diffusion-mnist")["ddim"] == [(4, 9.0), (8, 2.5), (16, 3.0), (64, 2.0)]
    assert cards.fids_by_calls(TITLES) == "with 16 and with 64 calls, FID is: digits, DDIM 3 and 2, DDPM 30 and 4"
    assert cards.fids_by_calls(TITLES, few=4, many=16) == cards.ABSENT
    table = cards.samplers_table({"mnist": "Digits"}, {"ddpm": "DDPM", "ddim": "DDIM", "heun": "Heun"})
    assert table.splitlines()[2:] == [
        "| Digits | DDPM | 30 (16) | 4 (64) | 5 (250) |",
        "| Digits | DDIM | 2.5 (8) | 2 (64) | 2 (64) |",  # not the best FID, nor the most calls up to 16
    ]
    write("diffusion-mnist", calls={"rows": [{"sampler": "ddim"}]})
    assert cards.sampler_rows("diffusion-mnist") == {}


def test_bits_without_the_class_are_compared_with_those_of_the_same_pictures(write):
    write("flow-mnist", *ROWS)
    many = ("bits_per_dim", "bits per pixel, 8-bit", 0.81, 10_000), ("bits_per_dim", "bits, given the class", 0.8, 10_000)
    few = ("bits_per_dim", "bits, the class not given", 0.9, 300), ("bits_per_dim", "bits, given the class", 0.85, 300)
    write("transformer-mnist", many[1], *few)
    assert cards.bits_by_class() == (
        "bits/dim on test digits: `transformer-mnist` 0.9 without the class and 0.85 with it (N = 300); "
        "`flow-mnist` 1.1 without the class and 1 with it (N = 1,000)"
    )
    write("transformer-mnist", *few, *many)
    assert cards.bits_by_class().count("`transformer-mnist`") == 2


def test_perplexities_of_the_transformer_and_of_the_5_gram(write):
    rows = [
        ("perplexity", "perplexity of a character, given its poem's title", 150.0, 9),
        ("perplexity", "perplexity of a character, given only the form", 160.0, 9),
        ("below", "reduction of perplexity below the 5-gram's, both given only the form", 0.2, 9),
    ]
    write("transformer-tang", *rows)
    assert cards.perplexities() == "perplexity 160.0 against 200.0"
    write("transformer-tang", *rows[:2])
    assert cards.perplexities() == cards.ABSENT


def test_shares_of_poems_that_rhyme(write):
    def form(test, ours, without, n, n_without):
        shares = {"test": (test, 90), "rhyme": (ours, n), "any division": (without, n_without)}
        return {rules: {"rhyme today": share, "n": count} for rules, (share, count) in shares.items()}

    forms = {"五绝": form(0.8, 0.744, 0.6, 500, 100), "七律": form(0.7, 0.5, 0.4, 400, 90)}
    name = write("transformer-tang", rhymes={"forms": forms, "temperature": 0.8, "seed": 7})
    assert cards.rhyme_shares(name) == (
        "of real test poems 80.0 / 70.0 % (五绝 / 七律) rhyme on all even lines in today's Mandarin; of 400 poems of each form "
        "by the model (temperature 0.8, seeds from 7 on) 74.4 / 50.0 %; of 90 without the preference 60.0 / 40.0 %"
    )
    assert cards.rhyme_shares(write("transformer-tang", rhymes={"forms": {"五绝": {}}})) == cards.ABSENT


def test_the_end_of_a_gans_training(write):
    losses = {"discriminator": [[0, 0.7], [9, 0.654]], "generator": [[0, 0.1], [9, 0.731]]}
    replay = {"losses": losses, "real": [[1, 0], [0.25, 0.5, 0.25]], "generated": [[0, 1], [0.5, 0.3, 0.2]]}
    text = "0.65 for the discriminator and 0.73 for the generator, and 75% of the histograms' area overlaps"
    assert cards.end_of_training(write("gan-mnist", replay=replay)) == text
    assert cards.end_of_training(write("gan-mnist", replay={"losses": {}})) == cards.ABSENT


def test_own_data_of_a_family_or_of_all(write):
    pictures = {"name": "pets", "title": "my pets", "classes": ["cat"], "channels": 3, "size": 32}
    write("vae-pets", data=pictures)
    write("gan-pets", data=pictures | {"title": "of the GAN"})
    write("transformer-poem", data={"name": "poem", "title": "A poem", "text": "Once"})
    write("vae-other", data=pictures)  # a folder that was renamed
    assert cards.own_data("vae") == {"pets": pictures | {"checkpoint": "vae-pets"}}
    assert list(cards.own_data()) == ["poem", "pets"]
    assert cards.own_data()["pets"]["checkpoint"] == "gan-pets"  # the first by name
    assert gm.cards.read_json("vae-pets", "data.json") == pictures and cards.read_json("vae-none", "data.json") == {}
