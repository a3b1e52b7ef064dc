"""The VAE tab: its handlers as plain functions, its endpoints through gradio_client, what it says when it cannot."""

import json
import math

import gradio as gr
import numpy as np
import pytest
import torch
from helpers import (
    anything,
    api_refusal,
    as_endpoint,
    assert_described,
    event,
    is_sentence,
    nearly,
    raw_of,
    refusal,
    result_of,
    run_program,
    sheet_of,
    stroke,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import events, layout, vae
from tabs.components.draw_pad import SIDE
from tabs.vae import data, editing, encoding, interpolation, latent_map, sampling

NAMES = [fn.__name__ for fn in vae.ENDPOINTS]


# --- Endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_has_a_default(client, name):
    result = client.predict(api_name=f"/{name}")
    result = result if isinstance(result, (list, tuple)) else [result]
    picture = Image.open(result[-1])
    assert picture.format == "PNG"
    assert np.asarray(picture).std() > 5


def test_every_endpoint_is_described(client):
    assert_described(client, "vae_", vae.ENDPOINTS)


def test_the_same_seed_gives_the_same_picture(client):
    first, second, different = (
        np.asarray(Image.open(client.predict(n=4, seed=seed, api_name="/vae_sample"))).astype(int) for seed in (7, 7, 8)
    )
    assert np.abs(first - second).max() <= 1
    assert np.abs(first - different).max() > 1


def test_encode_then_decode_gives_the_reconstruction(client):
    facts, picture = client.predict(test_picture_number=11, api_name="/vae_encode")
    decoded = np.asarray(Image.open(client.predict(code=facts["mean"], api_name="/vae_decode")))
    pair = np.asarray(Image.open(picture))  # two pictures, each pixel 4x4, a line of 2 between them
    assert np.abs(pair[::4, 30 * 4 :][:, ::4].astype(int) - decoded[::8, ::8]).max() <= 1
    assert set(facts) == {"model", "mean", "standard_deviation", "squared_error", "kl", "elbo"}


def test_attributes_are_classified_before_and_after(client):
    facts, _ = client.predict(model="vae-mnist", attribute="class", target="3", amount=1.5, api_name="/vae_attributes")
    assert facts["before"]["class"]["value"] == "0"
    assert facts["after"]["class"]["value"] == "3"


BAD = [
    ("/vae_sample", {"n": 0}),
    ("/vae_sample", {"n": 10**9}),
    ("/vae_sample", {"n": 2.5}),
    ("/vae_sample", {"n": None}),
    ("/vae_sample", {"n": "many"}),
    ("/vae_sample", {"n": True}),
    ("/vae_sample", {"seed": -1}),
    ("/vae_sample", {"seed": [1]}),
    ("/vae_sample", {"temperature": {"a": 1}}),
    ("/vae_sample", {"model": "vae-dogs"}),
    ("/vae_sample", {"model": "../checkpoints"}),
    ("/vae_sample", {"model": None}),
    ("/vae_sample", {"model": ["a"]}),
    ("/vae_decode", {"code": [0.0] * 1000}),
    ("/vae_decode", {"code": [1e30]}),
    ("/vae_decode", {"code": "zero"}),
    ("/vae_decode", {"code": [[1.0]]}),
    ("/vae_decode", {"code": None}),
    ("/vae_decode", {"code": {"0": 1}}),
    ("/vae_encode", {"picture": 5}),
    ("/vae_encode", {"test_picture_number": 10**6}),
    ("/vae_interpolate", {"steps": 1}),
    ("/vae_interpolate", {"steps": 1e6}),
    ("/vae_interpolate", {"spherical": "yes"}),
    ("/vae_attributes", {"attribute": "<b>soul</b>"}),
    ("/vae_attributes", {"target": None}),
    ("/vae_attributes", {"amount": 1000}),
]


@pytest.mark.parametrize(("name", "values"), BAD)
def test_bad_input_gets_a_sentence(page_url, name, values):
    assert api_refusal(page_url, name, values)


names = st.one_of(st.sampled_from(data.VAE.models), anything)
PROPERTIES = {
    "vae_sample": {"model": names, "n": nearly(1, 6), "seed": nearly(0, 9), "temperature": nearly(0, 2)},
    "vae_decode": {"model": names, "code": st.one_of(st.lists(nearly(-30, 30), max_size=41), anything)},
    "vae_encode": {"model": names, "picture": st.one_of(st.none(), anything), "test_picture_number": nearly(0, 199)},
    "vae_interpolate": {
        "model": names,
        "first": nearly(0, 199),
        "second": nearly(0, 199),
        "steps": nearly(2, 5),
        "spherical": st.one_of(st.booleans(), anything),
    },
    "vae_attributes": {
        "model": names,
        "test_picture_number": nearly(0, 199),
        "attribute": st.one_of(st.sampled_from(["class", "glasses", "skin"]), anything),
        "target": st.one_of(st.sampled_from(["3", "bag", "round", "pale"]), anything),
        "amount": nearly(-3, 3),
    },
}


@pytest.mark.parametrize("fn", vae.ENDPOINTS, ids=NAMES)
def test_any_input_gives_a_picture_or_a_sentence(fn):
    run = as_endpoint(fn)

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(PROPERTIES[fn.__name__]))
    def check(values):
        result = result_of(run, **values)
        if result is not None:
            picture = result[-1] if isinstance(result, tuple) else result
            assert isinstance(picture, Image.Image)
            if isinstance(result, tuple):
                json.dumps(result[0], allow_nan=False)

    check()


@settings(max_examples=100, deadline=None)
@given(st.one_of(anything, st.fixed_dictionaries({"model": names, "z": st.one_of(anything, st.lists(nearly(-30, 30)))})))
def test_sliders_may_send_anything(sliders):
    moved = result_of(events.guarded(sampling.move_slider), sliders)
    lines = result_of(events.guarded(sampling.slider_lines), sliders)
    if moved is not None:
        assert raw_of(moved["stage"]).size
        assert sliders["model"] in lines["lines"]


@settings(max_examples=50, deadline=None)
@given(st.one_of(anything, anything.map(lambda index: {"index": index})), nearly(0, 9), nearly(0, 2))
def test_events_may_carry_anything(payload, seed, temperature):
    sent, model = gr.EventData(None, payload), {"dataset": "mnist", "size": "full"}
    result_of(events.guarded(sampling.choose_sample), **model, event=sent, seed=seed, temperature=temperature)
    result_of(events.guarded(encoding.PICTURES.choose_test_picture), **model, event=sent)


# --- The lines of Python reproduce the stage ---------------------------------------------------------------------------


def edit(sliders, attribute, target, amount=None, memory=None, others=()):
    """ "Edit attributes": one row's value chosen, or its strength moved. others: (attribute, value, strength) of other rows.

    What is on the page afterwards: the outputs, and the strengths of all rows as "amounts".
    """
    controls = {name: None for name in editing.TITLES} | {f"{name}_amount": 0.0 for name in editing.TITLES}
    for row, value, strength in (*others, (attribute, target, amount)):
        controls |= {row: value, f"{row}_amount": strength}
    outputs = editing.apply(attribute, amount is None, sliders, memory, **controls)
    return {**outputs, "amounts": [{**controls, **outputs}[f"{name}_amount"] for name in editing.TITLES]}


def moved_slider():
    sliders = {"model": "vae-mnist", "z": [round(math.sin(i), 3) for i in range(40)]}
    return {**sampling.move_slider(sliders), **sampling.slider_lines(sliders)}


def frame_on_stage():
    memory = interpolation.start("mnist", "full")["memory"]
    return interpolation.to_stage(memory, event(step=6, row=0))


ACTIONS = {
    "opened": lambda: sampling.open_model("mnist", "full", seed=0, temperature=1),
    "new samples": lambda: sampling.sample_with_new_seed("fashion", "full", 1),
    "low temperature": lambda: sampling.sample("mnist", "full", seed=3, temperature=0.5),
    "another sample": lambda: sampling.choose_sample("avatars", "full", event(index=4), seed=5, temperature=1),
    "a slider": moved_slider,
    "reset": lambda: sampling.reset("mnist", "2d"),
    "a test picture": lambda: encoding.PICTURES.choose_test_picture(event(index=7), "fashion", size="full"),
    "a drawing": lambda: encoding.PICTURES.choose_drawing(stroke(), "mnist", size="full"),
    "the map": lambda: latent_map.choose("mnist", event(u=0.25, v=0.75), seed=0, temperature=1),
    "interpolation": frame_on_stage,
    "another class": lambda: edit(sampling.reset("mnist", "full")["sliders"], "class", "4"),
    "glasses": lambda: edit(sampling.reset("avatars", "full")["sliders"], "glasses", "round"),
}


@pytest.mark.parametrize("name", ACTIONS)
def test_the_lines_reproduce_the_stage(name, tmp_path, monkeypatch):
    with torch.no_grad():
        outputs = ACTIONS[name]()
    x = run_program(outputs["lines"], tmp_path, monkeypatch)["x"]
    assert np.abs(gm.pictures.to_bytes(x)[0].numpy().astype(int) - raw_of(outputs["stage"])).max() <= 1
    assert [f.name for f in tmp_path.iterdir()] == ["picture.png"]


# --- The tools --------------------------------------------------------------------------------------------------------


def test_a_sample_is_chosen_without_sending_all_of_them_again():
    outputs = sampling.choose_sample("mnist", "full", event(index=5), seed=2, temperature=1)
    assert set(outputs) == {"sliders", "stage", "lines"}
    all_of_them = sampling.sample("mnist", "full", seed=2, temperature=1)
    assert (all_of_them["tiles"]["n"], all_of_them["tiles"]["chosen"]) == (sampling.SAMPLES, 0)
    assert np.abs(sheet_of(all_of_them["tiles"])[5].astype(int) - raw_of(outputs["stage"])).max() <= 1


def test_sliders_are_in_the_order_of_their_kl():
    sliders = sampling.reset("mnist", "full")["sliders"]
    kl = gm.vae.load_latents("vae-mnist").kl
    in_order = [kl[dim["index"]].item() for dim in sliders["dims"]]
    assert in_order == sorted(in_order, reverse=True)
    assert sliders["unused"] == int((kl < data.COLLAPSED_NATS).sum())
    assert [f"{kl[dim['index']]:.2f} nats" in dim["label"] for dim in sliders["dims"]] == [True] * 40


@pytest.mark.parametrize("dataset", ["mnist", "fashion"])
def test_the_map_shows_what_the_model_decodes(dataset):
    """The sheet's cell at a point is the decoded picture of that point's code."""
    value = latent_map.show(dataset)["map"]
    assert [m["title"] for m in value["maps"]] == ["Autoencoder", "VAE"]
    for m, name in zip(value["maps"], (f"autoencoder-{dataset}", f"vae-{dataset}-2d")):
        column, row, side = 20, 5, m["columns"]
        x0, x1, y0, y1 = m["bounds"].values()
        z = torch.tensor([[x0 + (column + 0.5) / side * (x1 - x0), y1 - (row + 0.5) / side * (y1 - y0)]])
        expected = gm.pictures.to_bytes(gm.load(name).decode(z))[0].numpy()
        assert np.abs(sheet_of(m)[row * side + column].astype(int) - expected).max() <= 1
        assert len(json.loads(m["points"])) == 200


def test_a_click_on_the_map_chooses_the_small_code():
    outputs = latent_map.choose("mnist", event(u=0.25, v=0.75), seed=0, temperature=1)
    assert (outputs["size"], outputs["tiles"]["chosen"], outputs["sliders"]["model"]) == ("2d", -1, "vae-mnist-2d")
    x0, x1, y0, y1 = latent_map.show("mnist")["map"]["maps"][1]["bounds"].values()
    assert outputs["sliders"]["z"] == pytest.approx([x0 + 0.25 * (x1 - x0), y1 - 0.75 * (y1 - y0)], abs=1e-3)


def test_faces_have_a_sentence_in_place_of_a_map():
    assert is_sentence(latent_map.show("avatars")["map"]["message"])


def test_an_interpolation_starts_and_ends_at_the_two_pictures():
    outputs = interpolation.start("mnist", "full")
    memory, frames = outputs["memory"], outputs["frames"]
    for spherical in (True, False):
        codes = interpolation.interpolated_codes("vae-mnist", memory["pair"], spherical)
        assert torch.allclose(codes[[0, -1]], torch.tensor(memory["pair"]), atol=1e-5)
    steps = interpolation.FRAMES
    assert (frames["n"], frames["columns"], len(frames["rows"])) == (2 * steps, steps, 2)
    replaced = interpolation.choose_end("mnist", "full", memory, "last", event(index=9))["memory"]
    assert replaced["pair"][0] == memory["pair"][0]
    assert replaced["pair"][1] != memory["pair"][1]
    large = sampling.reset("mnist", "full")["sliders"]
    replaced = interpolation.stage_as_end("mnist", "full", memory, "first", large)["memory"]
    assert replaced["pair"] == [large["z"], memory["pair"][1]]
    with pytest.raises(ValueError, match="Choose another must be one of first, last"):
        interpolation.stage_as_end("mnist", "full", memory, "middle", large)


def test_strength_changes_only_its_own_part_of_the_code():
    """Back at strength 0 the edit is undone, and other changes of the code stay."""
    with torch.no_grad():
        sliders = encoding.PICTURES.choose_test_picture(event(index=1), "mnist", size="full")["sliders"]
        edited = edit(sliders, "class", "7")
        edited["sliders"]["z"][3] += 1
        undone = edit(edited["sliders"], "class", "7", 0.0, edited["memory"])["sliders"]
    undone["z"][3] -= 1
    assert np.abs(np.array(undone["z"]) - sliders["z"]).max() < 0.003


def test_edits_add_up_and_start_again_with_another_picture():
    n, glasses = len(editing.TITLES), [("glasses", "round", 1.0)]
    with torch.no_grad():
        face = encoding.PICTURES.choose_test_picture(event(index=1), "avatars", size="full")["sliders"]
        one = edit(face, "glasses", "round")
        assert one["amounts"] == [0, 1.0] + [0] * (n - 2)
        edited_twice = edit(one["sliders"], "skin", "dark", 0.5, one["memory"], glasses)
        assert (edited_twice["amounts"][1], edited_twice["amounts"][5]) == (1.0, 0.5)
        assert "Glasses" in edited_twice["stage"]["caption"] and "Skin" in edited_twice["stage"]["caption"]
        alone = edit(face, "skin", "dark", 0.5)["sliders"]
        offset = np.array(one["sliders"]["z"]) - face["z"]
        assert np.abs(np.array(edited_twice["sliders"]["z"]) - alone["z"] - offset).max() < 0.01
        other = encoding.PICTURES.choose_test_picture(event(index=2), "avatars", size="full")["sliders"]
        again = edit(other, "skin", "dark", 0.5, edited_twice["memory"], glasses)
        assert (again["amounts"][1], again["amounts"][5]) == (0.0, 0.5)


@pytest.mark.parametrize("dataset", data.VAE.titles)
def test_another_data_set_has_other_rows_to_edit(dataset):
    outputs = editing.start(dataset)
    rows = [name for name in editing.TITLES if outputs[f"{name}_row"]["visible"]]
    assert rows == (list(editing.TITLES)[:-1] if dataset == "avatars" else ["class"])
    assert all(len(outputs[name]["choices"]) > 2 and outputs[f"{name}_amount"] == 0 for name in rows)
    # A hidden list keeps its value in the browser: with other choices on the server, that value would be refused.
    assert [name for name in editing.TITLES if name in outputs] == rows


def test_an_attribute_of_another_dataset_gets_a_sentence():
    with pytest.raises(ValueError, match="attribute must be one of class"):
        edit(sampling.reset("mnist", "full")["sliders"], "glasses", "round")


def test_a_strength_needs_a_value_and_a_range():
    sliders = sampling.reset("mnist", "full")["sliders"]
    assert "Choose a value" in refusal(edit, sliders, "class", "", 0.5)
    assert "Strength must be a number" in refusal(edit, sliders, "class", "3", 7)


def test_an_empty_drawing_gets_a_sentence():
    with pytest.raises(ValueError, match="empty"):
        encoding.PICTURES.choose_drawing(np.zeros((SIDE, SIDE), np.uint8), "mnist", size="full")
    assert encoding.PICTURES.choose_drawing(None, "mnist", size="full") == {}  # emptied meanwhile: there is another picture


# --- A checkpoint is missing or broken --------------------------------------------------------------------------------


@pytest.fixture
def copied_checkpoints(tmp_path, monkeypatch):
    """A copy of the checkpoints' folder, made of links, that a test may break; its models are not in any cache."""
    for folder in gm.base.checkpoint_root().iterdir():
        (tmp_path / folder.name).mkdir()
        for file in folder.iterdir():
            (tmp_path / folder.name / file.name).symlink_to(file)
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    return tmp_path


def opened_stage(dataset):
    opening = events.guarded(sampling.open_model, lambda message: {"stage": {"message": message}})
    return opening(dataset, "full", seed=0, temperature=1)["stage"]


@pytest.mark.parametrize("damage", ["no folder", "no weights", "truncated", "no latents", "foreign"])
def test_one_broken_model_does_not_affect_the_others(copied_checkpoints, damage):
    folder = copied_checkpoints / "vae-mnist"
    weights = (folder / "model.safetensors").read_bytes()
    for file in {
        "no folder": list(folder.iterdir()),
        "no latents": [folder / "latents.safetensors"],
        "foreign": [folder / "config.json"],
    }.get(damage, [folder / "model.safetensors"]):
        file.unlink()
    if damage == "no folder":
        folder.rmdir()
    elif damage == "truncated":
        (folder / "model.safetensors").write_bytes(weights[:1000])
    elif damage == "foreign":
        (folder / "config.json").write_text('{"family": "submarine"}', encoding="utf-8")
    stage = opened_stage("mnist")
    assert is_sentence(stage["message"])
    assert str(copied_checkpoints) not in stage["message"]
    assert "pixels" in opened_stage("fashion")


def test_a_model_that_appears_is_loaded(copied_checkpoints):
    folder, aside = copied_checkpoints / "vae-mnist", copied_checkpoints / "aside"
    folder.rename(aside)
    assert "message" in opened_stage("mnist")
    aside.rename(folder)
    assert "pixels" in opened_stage("mnist")


def test_a_missing_map_shows_a_sentence_beside_the_other(copied_checkpoints):
    (copied_checkpoints / "autoencoder-mnist" / "config.json").unlink()
    first, second = latent_map.show("mnist")["map"]["maps"]
    assert is_sentence(first["message"])
    assert "source" in second


def test_a_missing_classifier_gets_a_sentence(copied_checkpoints):
    (copied_checkpoints / "classifier-mnist" / "model.safetensors").unlink()
    sliders = sampling.reset("mnist", "full")["sliders"]
    assert "classifier-mnist" in refusal(edit, sliders, "class", "3")


def test_cards_may_be_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    assert layout.poster("vae-mnist") == ""
    assert "missing" in gm.cards.headline("vae-mnist")
    assert "no card" in vae.card("mnist", "full")["card"]
    assert "missing" in vae.augmentation()


@pytest.mark.parametrize(("p", "verdict"), [(0.003, "is significant (p = 0.00)"), (0.1, "is **not** significant (p = 0.10)")])
def test_what_synthetic_pictures_gain_is_stated_with_each_number_at_its_place(monkeypatch, p, verdict):
    facts = {"real": 500, "test": 10_000, "synthetic": 20_000, "seeds": [0, 1, 2], "command": "python -m x", "p": p}
    facts |= {"real_only": {"mean": 0.93, "sd": 0.01}, "with_synthetic": {"mean": 0.953, "sd": 0.002}}
    monkeypatch.setattr(gm.cards, "read_json", lambda *_: facts)
    text = vae.augmentation()
    for words in (
        "trained on 500 real pictures classified 93.0% (sd 1.0%) of the 10,000 test pictures",
        "with 20,000 synthetic ones from a VAE trained on the same 500, 95.3% (sd 0.2%): 3 seeds each",
        "`python -m x`",
        verdict,
    ):
        assert words in text
