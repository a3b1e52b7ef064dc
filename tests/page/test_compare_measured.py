"""What the Compare tab says about measurements: its chart, its table and its claims are those of the cards."""

import base64
import json

import pytest
import torch
from helpers import event, same_pictures, sheet_of

import genmodels as gm
from tabs.compare import claims, data, trilemma
from tests.noise import register


def write_card(folder, rows, **facts):
    """A card with these metrics. rows: (type, name, value, N)"""
    facts = {"minutes": 1, "parameters": 1_000_000, "headline": "", "paper": ""} | facts
    metrics = [{"type": kind, "name": name, "value": value, "args": {"N": n}} for kind, name, value, n in rows]
    front = {"genmodels": facts, "model-index": [{"results": [{"metrics": metrics}]}]}
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(f"---\n{json.dumps(front)}\n---\n", encoding="utf-8")


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """Three families: the first has its FID of 2,000 pictures on its card, the second beside it, the third has none."""
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    transformer = [
        ("fid", "FID", 3.5, 2000),
        ("cas", "CAS", 0.9, 2000),
        ("bits_per_dim", "bits, exact, given the class", 0.8, 10),
    ]
    write_card(tmp_path / "transformer-mnist", transformer)
    write_card(tmp_path / "gan-mnist", [("fid", "FID", 0.4, 10_000), ("cas", "CAS", 0.97, 20_000)], minutes=7)
    stored = {"n": 2000, "fid": 0.5, "floor": 0.2, "recall": 0.7, "calls": 1, "seconds_per_sample": 0.002}
    (tmp_path / "gan-mnist" / "comparison.json").write_text(json.dumps(stored), encoding="utf-8")
    write_card(tmp_path / "vae-mnist", [("fid", "FID", 7, 10_000), ("bits_per_dim", "bits", 0.1, 10)])
    (tmp_path / "vae-mnist" / "config.json").write_text(json.dumps({"likelihood": "bernoulli"}), encoding="utf-8")
    return tmp_path


def table_of(opened):
    """{family: {column: text}}"""
    table = json.loads(opened["table"]["table"])
    return {title: dict(zip(table["columns"][1:], [text for text, _ in cells])) for title, *cells in table["rows"]}


def test_all_fids_of_the_chart_are_of_as_many_pictures(cards):
    """A family that has none of that size is not drawn, and its row says so."""
    found = gm.cards.comparison("mnist")
    assert found["n"]["fid"] == 2000 and found["floor"] == 0.2 and found["on_cards"]
    assert {row["name"]: row["fid"] for row in found["rows"]} == {"gan-mnist": 0.5, "transformer-mnist": 3.5, "vae-mnist": None}
    opened = trilemma.show("mnist")
    points = {point["title"]: point for point in json.loads(opened["chart"]["points"])}
    assert {"title": "GAN", "x": 0.002, "y": 0.5, "size": 0.7}.items() <= points["GAN"].items() and opened["chart"][
        "floor"
    ] == 0.2
    assert "2,000" in opened["chart"]["y"] and opened["chart"]["missing"] == "Not measured: VAE, Transformer."
    table = table_of(opened)
    assert table["VAE"]["FID"] == "not measured" and table["GAN"]["FID"] == "0.5"
    assert table["VAE"]["bits per pixel"] == "not comparable: binarised pixels" and table["GAN"]["bits per pixel"] == "none"
    assert table["Transformer"]["bits per pixel"] == "0.8" and table["Transformer"]["CAS"] == "90.0 %†"
    assert table["GAN"]["NFE"] == "1" and table["GAN"]["ms per sample"] == "2" and table["GAN"]["minutes of training"] == "7"


def test_a_chosen_family_shows_its_samples_and_its_card(cards):
    (cards / "gan-mnist" / "samples.png").write_bytes(b"a picture")
    chosen = trilemma.choose("mnist", event(index=0))
    (row,) = json.loads(chosen["stage"]["rows"])
    assert (
        row["whole"]
        and row["title"] == "GAN"
        and base64.b64decode(chosen["stage"]["pictures"]["gan-mnist"][22:]) == b"a picture"
    )
    assert "gan-mnist" in chosen["card"] and len(chosen["stage"]["pictures"]) == 1  # the nearest ones were not measured
    with pytest.raises(ValueError, match="from 0 to 2"):
        trilemma.choose("mnist", event(index=3))


def test_a_chosen_family_shows_the_training_pictures_nearest_to_its_samples(cards):
    x = torch.rand(2, 2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    for pictures, file in zip(x, ("comparison.png", "nearest.png")):
        gm.pictures.to_image(gm.pictures.sheet(pictures, 2)).save(cards / "gan-mnist" / file)
    measured = {"nearest": [0.25, 0.06], "copies": 0.03, "copies_limit": 0.071}
    stored = gm.cards.read_json("gan-mnist", "comparison.json") | measured
    (cards / "gan-mnist" / "comparison.json").write_text(json.dumps(stored), encoding="utf-8")
    stage = trilemma.choose("mnist", event(index=0))["stage"]
    whole, samples, nearest = json.loads(stage["rows"])
    for row, pictures in zip((samples, nearest), x):
        shown = {"w": row["w"], "h": row["h"], "n": row["n"], "columns": row["n"], "source": stage["pictures"][row["name"]]}
        assert same_pictures(shown, pictures)
    assert whole["whole"] and "less than 0.071" in samples["note"]
    assert dict(samples["facts"]) == {"copies": "3.0 %", "of test pictures": "1.0 %"}
    assert nearest["values"] == ["0.250", "0.060"] and nearest["title"] == "Nearest training pictures"
    assert "nearest to sample 2, at a distance of 0.060" in nearest["labels"][1]


@pytest.mark.parametrize("dataset", data.TITLES)
def test_the_stored_nearest_pictures_are_as_far_from_the_stored_samples_as_is_said(dataset, monkeypatch):
    """`train.compare` looked for them among all training pictures, which do not come with the project."""
    monkeypatch.delenv("GENMODELS_CHECKPOINTS")
    for row in gm.cards.comparison(dataset)["rows"]:
        stored = [data.stored_samples(row["name"], file) for file in ("comparison.png", "nearest.png")]
        samples, nearest = (
            sheet_of({"w": side, "h": side, "n": n, "columns": n, "source": source}) / 255 for n, side, source in stored
        )
        distances = ((samples - nearest) ** 2).mean((1, 2, 3)) ** 0.5
        assert gm.cards.read_json(row["name"], "comparison.json")["nearest"] == pytest.approx(distances.tolist(), abs=2e-3)
        assert len(distances) == 8 and len(json.loads(trilemma.choose(dataset, index_of(row["name"]))["stage"]["rows"])) == 3


def index_of(name):
    """The event of a family's dot."""
    names = [row["name"] for row in gm.cards.comparison(name.split("-")[1])["rows"]]
    return event(index=names.index(name))


@pytest.mark.parametrize("dataset", data.TITLES)
def test_numbers_of_the_tab_are_those_of_the_cards(dataset, monkeypatch):
    monkeypatch.delenv("GENMODELS_CHECKPOINTS")
    table, found = table_of(trilemma.show(dataset)), gm.cards.comparison(dataset)
    assert found["rows"] and set(found["n"].values()) != {None} and found["floor"] > 0
    for row in found["rows"]:
        name, cells = row["name"], table[data.family_title(row["name"])]
        stored, facts = gm.cards.read_json(name, "comparison.json"), gm.cards.metadata(name)
        on_card = [r for r in gm.cards.metric_rows(name) if r["type"] == "fid"]
        sizes = {r["args"]["N"]: r["value"] for r in on_card} | ({stored["n"]: stored["fid"]} if "fid" in stored else {})
        fid = sizes.get(found["n"]["fid"])
        assert cells["FID"] == ("not measured" if fid is None else f"{fid:.4g}")
        assert cells["minutes of training"] == f"{facts['minutes']:g}"
        assert cells["parameters"] == f"{facts['parameters'] / 1e6:.2f} M"
        values = gm.cards.measurements(name)
        assert cells["copies"] == f"{100 * values['copies'][0]:.1f} %"
        if "cas" in values:
            assert cells["CAS"].startswith(f"{100 * values['cas'][0]:.1f} %")
        if row["bits"] is not None:
            assert row["bits"] in [r["value"] for r in gm.cards.metric_rows(name) if r["type"] == "bits_per_dim"]


def test_a_new_family_gets_a_point(tmp_path, monkeypatch):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    register(monkeypatch, tmp_path)
    numbers = {"n": 9, "fid": 3.0, "calls": 1, "seconds_per_sample": 0.1}
    (tmp_path / "noise-mnist" / "comparison.json").write_text(json.dumps(numbers), encoding="utf-8")
    opened = trilemma.show("mnist")
    assert "Noise" in [point["title"] for point in json.loads(opened["chart"]["points"])]
    assert table_of(opened)["Noise"]["FID"] == "3"


# --- Claims -------------------------------------------------------------------------------------------------------------


def test_the_words_of_the_claims_fit_the_numbers(monkeypatch):
    """Numbers and verdicts come from the cards by themselves; sentences beside them would not."""
    monkeypatch.delenv("GENMODELS_CHECKPOINTS")
    rows = claims.rows_of_all()
    values = {
        (family, key): claims.measured(rows, family, key) for family in ("vae", *claims.OTHERS) for key in ("fid", "recall")
    }
    bits = [claims.measured(rows, family, "bits")["mnist"] for family in ("flow", "transformer")]
    sizes = [claims.measured(rows, family, "parameters")["mnist"] for family in ("flow", "transformer")]
    assert bits[0] > bits[1] and sizes[0] > sizes[1]
    for dataset in ("mnist", "fashion"):
        assert values["flow", "fid"][dataset] > values["diffusion", "fid"][dataset]
        assert values["diffusion", "recall"][dataset] > values["gan", "recall"][dataset]
    paths = [claims.measured(rows, family, "path")["mnist"] for family in ("vae", "gan", "flow")]
    assert paths[0] == pytest.approx(paths[1], rel=0.1) and paths[2] > 1.5 * paths[0]
    for dataset in ("mnist", "fashion"):
        fids = [found[dataset] for (_, key), found in values.items() if key == "fid" and dataset in found]
        assert values["diffusion", "fid"][dataset] == min(fids)
        precision = {family: claims.measured(rows, family, "precision")[dataset] for family in ("vae", *claims.OTHERS[:3])}
        assert max(precision, key=lambda family: precision[family]) == "gan"
    assert values["gan", "fid"]["avatars"] < values["diffusion", "fid"]["avatars"]
    parameters = [claims.measured(rows, family, "parameters")["avatars"] for family in ("gan", "diffusion")]
    assert parameters[0] > parameters[1]
    faces = {row["name"]: (row["fid"], -row["recall"]) for row in gm.cards.comparison("avatars")["rows"]}
    assert (
        min(faces.values()) == faces["gan-avatars"] and min(recall for _, recall in faces.values()) == faces["gan-avatars"][1]
    )


NUMBERS = ("fid", "precision", "recall", "cas", "bits", "calls", "seconds", "milliseconds", "parameters", "minutes")
MORE_NUMBERS = ("sharpness", "copies", "path")


def invented(**families):
    """Rows of digits as `claims.rows_of_all` has them. families: {number: value} of each."""
    empty = dict.fromkeys((*NUMBERS, *MORE_NUMBERS)) | {"bits_kind": "exact"}
    rows = [{"name": f"{name}-mnist"} | empty | values for name, values in families.items()]
    return {"mnist": rows, "fashion": [], "avatars": []}


def test_advice_names_the_family_with_the_better_number():
    low, high = ({name: value for name in NUMBERS} for value in (0.25, 0.75))
    advice = claims.recommendations(invented(vae=low, flow=high))
    assert advice.pop("diffusion_ms") == "not measured"
    more_is_better = {"most_precise", "most_varied", "most_useful"}
    assert more_is_better < set(advice)
    for slot, text in advice.items():
        assert text.startswith("Digits: Flow" if slot in more_is_better else "Digits: VAE"), (slot, text)
    bound = claims.recommendations(invented(vae=low | {"bits_kind": "bound"}, flow=high))
    assert bound["fewest_bits"].startswith("Digits: Flow") and bound["fewest_minutes"].startswith("Digits: VAE")


def test_a_claim_is_confirmed_where_the_numbers_say_so_and_not_where_they_say_the_opposite(monkeypatch):
    best = dict(sharpness=1, recall=1, fid=1, path=1, seconds=1, bits=1)
    worst = dict(sharpness=0.5, recall=0.5, fid=9, path=9, seconds=9, bits=9)

    def mixed(**bad):  # the families with their bad numbers
        return {name: best | {key: worst[key] for key in bad.get(name, ())} for name in ("vae", *claims.OTHERS)}

    textbook = invented(
        **mixed(
            vae=["sharpness", "fid"],
            gan=["recall", "path", "fid"],
            flow=["bits", "path", "fid"],
            diffusion=["seconds"],
            transformer=["fid"],
        )
    )
    sequential = invented(**mixed(transformer=["seconds"]))
    opposite = invented(
        **mixed(
            vae=["recall", "path", "seconds"],
            gan=["sharpness", "seconds"],
            flow=["sharpness", "recall", "seconds"],
            diffusion=["sharpness", "recall", "fid"],
            transformer=["sharpness", "recall", "bits"],
        )
    )
    for claim in (claims.blur, claims.modes, claims.exact, claims.slow, claims.smooth):
        assert (claim(textbook)[1], claim(opposite)[1]) == ("Confirmed.", "Not here."), claim.__name__
    assert (claims.sequential(sequential)[1], claims.sequential(opposite)[1]) == ("Confirmed.", "Not here.")
    for good, collapsed, answer in (((0.5, 1.3), (0.7, 0.7), "Confirmed."), ((0.7, 0.7), (0.5, 1.3), "Not here.")):
        runs = dict(zip(("gan-mnist", "gan-mnist-collapsed"), (good, collapsed)))
        monkeypatch.setattr(gm.cards, "last_losses", lambda name, r=runs: dict(zip(("discriminator", "generator"), r[name])))
        assert claims.losses({})[1] == answer
    for share, verdict in ((0.5, "Confirmed."), (0.01, "Not here.")):
        assert claims.copies(invented(vae={"copies": share}, gan={"copies": share}))[1] == verdict


def test_verdicts_and_advice_follow_the_cards(cards):
    rows = claims.rows_of_all()
    assert (
        claims.best(rows, "fid", "{:g}") == "Digits: GAN 0.5"
        and claims.best(rows, "minutes", "{:g}", least=False) == "Digits: GAN 7"
    )
    assert claims.side_by_side(rows, ["gan", "transformer"], "fid", "{:g}") == "Digits: GAN 0.5, Transformer 3.5"
    assert claims.compared(rows, "transformer", ["gan"], "fid", lambda a, b: a > b) == [True]
    assert claims.verdict([True, False]) == "In part." and claims.verdict([]) == "Not measured."
    assert "Not measured" in claims.text(rows) and all(claims.recommendations(rows).values())
    stored = json.loads((cards / "gan-mnist" / "comparison.json").read_text(encoding="utf-8")) | {"copies": 0.5}
    (cards / "gan-mnist" / "comparison.json").write_text(json.dumps(stored), encoding="utf-8")
    _title, verdict, numbers = claims.copies(claims.rows_of_all())
    assert verdict == "Confirmed." and "GAN 50.0%" in numbers
