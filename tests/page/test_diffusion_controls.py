"""The diffusion tab: its controls and endpoints, and what they refuse."""

import base64
import math

import gradio as gr
import numpy as np
import pytest
from gradio_client import handle_file
from gradio_client.exceptions import AppError
from helpers import (
    anything,
    api_refusal,
    as_endpoint,
    assert_described,
    event,
    is_sentence,
    last,
    nearly,
    refusal,
)
from helpers_diffusion_tab import controls, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import genmodels as gm
from tabs import diffusion, labels, sources
from tabs.components.draw_pad import SIDE
from tabs.components.mask_pad import MaskPad, mask_text
from tabs.diffusion import compare, editing, inpainting, sampling
from tabs.diffusion.data import DIFFUSION

# --- Controls ---------------------------------------------------------------------------------------------------------


def test_the_tab_opens_with_a_finished_run_and_the_models_attributes():
    for dataset, titles in (("mnist", ["Class"]), ("avatars", ["Smile", "Glasses", "Hair colour", "Hair length"])):
        opened = sampling.open_dataset(dataset)
        menus = [opened[name] for name in labels.MENUS]
        assert not opened["stage"]["live"] and "model.sample(" in opened["lines"]
        assert [menu["label"] for menu in menus if menu["visible"]] == titles
        assert ("any", "any") in menus[0]["choices"]
        assert ("one of each" in dict(menus[0]["choices"])) == (dataset == "mnist")
        assert [menu["value"] for menu in menus] == ["each" if dataset == "mnist" else "any", "any", "any", "any"]
        assert (opened["n"], opened["seed"], opened["eta"]["visible"]) == (9 if dataset == "mnist" else 4, 0, False)
    assert [len(menu["choices"]) for menu in menus] == [3, 6, 10, 5]


def test_one_of_each_class_in_turn_but_no_class_for_a_given_picture():
    each = controls(label="each", n=12)
    values = {name: value for name, value in each.items() if name != "dataset"}
    label = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert sampling.read("mnist", values)[1] == label
    assert sampling.read("mnist", values, editing.Editing)[1] is None
    assert f"label={label}" in last(sampling.generate(**each))["lines"]
    with pytest.raises(ValueError, match="Smile must be one of no, yes"):
        sampling.read("avatars", values)


def test_a_wrong_label_is_named_as_on_the_page_or_as_in_the_api():
    conditions = {"smiling": ["no", "yes"], "hat": ["cat"]}
    for text, title, name in (("smiling=cat", "Smile", "smiling in label"), ("round", "Attribute", "the attribute in label")):
        with pytest.raises(ValueError, match=f"^{title} must be one of") as error:
            labels.for_pictures(conditions, text, 2)
        assert error.value.by_name.startswith(f"{name} must be one of") and is_sentence(error.value.by_name)


def test_more_steps_for_ddpm_and_eta_for_ddim_alone():
    for sampler, max_steps, has_eta in (("ddpm", 250, False), ("dpm", 64, False), ("ddim", 64, True), ("heun", 64, False)):
        updates = sampling.choose_sampler(sampler, 100)
        steps, eta = updates["steps"], updates["eta"]
        assert (steps["maximum"], steps["value"], eta["visible"]) == (max_steps, min(100, max_steps), has_eta)
        assert sampling.choose_sampler(sampler, None)["steps"]["value"] is None  # deleted


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dataset": "dogs"}, "Dataset must be"),
        ({"dataset": None}, "Dataset must be"),
        ({"label": [10]}, "Class must be"),
        ({"label": "seven"}, "Class must be"),
        ({"dataset": "avatars", "label": ["any", "pink"]}, "Glasses must be one of none, round"),
        ({"sampler": "euler"}, "Sampler must be"),
        ({"steps": 65}, "1 to 64"),
        ({"steps": 251, "sampler": "ddpm"}, "1 to 250"),
        ({"steps": math.nan}, "Steps must be"),
        ({"steps": 0}, "Steps must be"),
        ({"guidance": -1}, "Guidance scale must be"),
        ({"guidance": math.nan}, "Guidance scale must be"),
        ({"guidance": 11}, "Guidance scale must be"),
        ({"eta": 2}, "Eta must be"),
        ({"n": 17}, "Samples must be a whole number from 1 to 16"),
        ({"n": True}, "Samples must be"),
        ({"seed": -1}, "Seed must be"),
        ({"seed": None}, "Seed must be"),
        ({"label": "1", "sampler": "ddpm", "steps": 250, "n": 16, "guidance": 2}, "at most 6,144"),
    ],
)
def test_invalid_controls_get_an_error_message(values, message):
    for run in (sampling.generate, compare.compare_samplers, compare.compare_guidances):
        if "at most" not in message or run is sampling.generate:
            assert message in refusal(run, **controls(**values))


def test_the_work_of_every_run_is_bounded():
    expensive = controls(sampler="ddpm", n=16, steps=250, label="1", guidance=3)
    source, mask = sources.test_picture("mnist", 0), inpainting.lower_half(28)
    for run, values in (
        (compare.compare_samplers, {}),
        (compare.compare_guidances, {}),
        (editing.edit, {"source": source, "strength": 0.5}),
        (inpainting.inpaint, {"source": source, "mask": mask, "resample": 4}),
    ):
        assert "at most 6,144" in refusal(run, **values, **expensive)


def test_a_picture_must_be_chosen_first():
    source = sources.test_picture("mnist", 0)
    assert "Choose a picture" in refusal(editing.edit, source=None, strength=0.5, **controls())
    assert "Choose a picture" in refusal(editing.edit, source=sources.test_picture("fashion", 0), strength=0.5, **controls())
    for mask in (None, np.zeros((28, 28), bool)):
        assert "Paint over" in refusal(inpainting.inpaint, source=source, mask=mask, **controls())
    assert "mask must be" in refusal(inpainting.inpaint, source=source, mask=np.ones((5, 5), bool), **controls())
    for t in (0, None, 2):
        assert "Time t must be a number from 0.01 to 1" in refusal(editing.edit, source=source, strength=t, **controls())
    for ink in (None, np.zeros((SIDE, SIDE), np.uint8)):
        with pytest.raises(ValueError, match="empty"):
            sources.drawing("mnist", ink)


def test_the_mask_stays_when_another_picture_is_chosen():
    mask = np.zeros((28, 28), bool)
    mask[3:9, 4:8] = True
    chosen = editing.PICTURES.choose_test_picture(event(index=2), "mnist", mask=mask, t=0.5, seed=0)["mask"]
    assert (MaskPad.preprocess(None, chosen) == mask).all()
    faces = editing.choose(sources.test_picture("avatars", 0), mask, t=0.5, seed=0)["mask"]  # of another size: the default mask
    assert (MaskPad.preprocess(None, faces) == inpainting.lower_half(64)).all()


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        anything,
        anything.map(lambda mask: {"mask": mask}),
        st.binary(max_size=100).map(lambda b: {"mask": base64.b64encode(b).decode()}),
    )
)
def test_the_mask_may_be_anything(payload):
    mask = MaskPad.preprocess(None, payload)
    assert mask is None or mask.dtype == bool and mask.shape[0] == mask.shape[1]


def test_a_mask_and_its_text():
    mask = inpainting.lower_half(28)
    assert (MaskPad.preprocess(None, {"mask": mask_text(mask)}) == mask).all()
    assert MaskPad.preprocess(None, {"mask": mask_text(np.ones((300, 300)))}) is None


# --- Endpoints --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [fn.__name__ for fn in diffusion.ENDPOINTS])
def test_every_parameter_has_a_default(client, name):
    result = client.predict(api_name=f"/{name}")
    picture = Image.open(result[-1] if isinstance(result, (list, tuple)) else result)
    assert picture.format == "PNG"
    assert np.asarray(picture).std() > 5


def test_every_endpoint_is_described(client):
    assert_described(client, "diffusion_", diffusion.ENDPOINTS)


def test_the_same_seed_gives_the_same_picture(client):
    first, again, other = (
        np.asarray(Image.open(client.predict(n=2, steps=2, seed=s, api_name="/diffusion_sample"))) for s in (7, 7, 8)
    )
    assert same(first, again)
    assert not same(first, other)


def test_an_endpoint_returns_the_models_samples(checkpoints):
    label = {"label": [1, -1, 8, -1]}
    x = gm.load("diffusion-avatars").sample(2, **label, steps=2, guidance=2.0, seed=3)
    values = dict(model="diffusion-avatars", n=2, label="smiling=yes, hair_color=pink", sampler="dpm", steps=2)
    picture = as_endpoint(sampling.diffusion_sample)(**values, guidance=2, eta=0, seed=3)
    assert same(np.asarray(picture), np.asarray(gm.pictures.grid(x, 2, scale=4)))


def test_a_mask_from_a_file(client, tmp_path):
    mask = Image.new("L", (300, 200))
    mask.paste(255, (0, 0, 150, 200))  # the left half
    mask.save(tmp_path / "mask.png")
    file = client.predict(
        mask=handle_file(tmp_path / "mask.png"), n=1, steps=2, test_picture_number=5, api_name="/diffusion_inpaint"
    )
    inpainted = np.asarray(Image.open(file))[::4, ::4]
    original = gm.pictures.to_bytes(gm.data.samples("mnist").floats()[5:6])[0, ..., 0].numpy()
    assert (inpainted[:28, 14:28] == original[:, 14:]).all()
    assert (inpainted[:28, :14] != original[:, :14]).any()


BAD = [
    ("/diffusion_sample", {"model": "vae-mnist"}),
    ("/diffusion_sample", {"model": "../diffusion-mnist"}),
    ("/diffusion_sample", {"n": 17}),
    ("/diffusion_sample", {"n": 1.5}),
    ("/diffusion_sample", {"n": None}),
    ("/diffusion_sample", {"label": "<b>cat</b>"}),
    ("/diffusion_sample", {"label": "glasses=round"}),
    ("/diffusion_sample", {"model": "diffusion-avatars", "label": "round"}),
    ("/diffusion_sample", {"label": None}),
    ("/diffusion_sample", {"sampler": "euler"}),
    ("/diffusion_sample", {"sampler": ["ddpm"]}),
    ("/diffusion_sample", {"steps": 65}),
    ("/diffusion_sample", {"steps": 1e9}),
    ("/diffusion_sample", {"steps": "many"}),
    ("/diffusion_sample", {"guidance": 10.5}),
    ("/diffusion_sample", {"eta": -0.1}),
    ("/diffusion_sample", {"seed": -1}),
    ("/diffusion_sample", {"n": 16, "sampler": "ddpm", "steps": 250, "guidance": 2, "label": "7"}),
    ("/diffusion_noise", {"t": 1.5}),
    ("/diffusion_noise", {"t": None}),
    ("/diffusion_noise", {"test_picture_number": 10**6}),
    ("/diffusion_noise", {"picture": 5}),
    ("/diffusion_edit", {"strength": 0}),
    ("/diffusion_edit", {"strength": 2}),
    ("/diffusion_edit", {"n": 0}),
    ("/diffusion_inpaint", {"resample": 0}),
    ("/diffusion_inpaint", {"mask": "lower"}),
    ("/diffusion_inpaint", {"n": 16, "steps": 64, "resample": 20}),
    ("/diffusion_inpaint", {"steps": 65}),
]


@pytest.mark.parametrize(("name", "values"), BAD)
def test_bad_input_gets_an_error_message(page_url, name, values):
    assert api_refusal(page_url, name, values)


def test_bad_masks_get_an_error_message(client, tmp_path):
    Image.new("L", (30, 30)).save(tmp_path / "black.png")
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    for file, message in (("black.png", "empty"), ("huge.png", "16 megapixels")):
        with pytest.raises(AppError, match=message):
            client.predict(mask=handle_file(tmp_path / file), api_name="/diffusion_inpaint")


names = st.one_of(st.sampled_from(DIFFUSION.models), anything)


files = st.one_of(st.none(), anything)


some_labels = st.one_of(st.sampled_from(["any", "7", "bag", "smiling=yes"]), anything)


samplers = st.one_of(st.sampled_from(list(gm.diffusion.SAMPLERS)), anything)


picture = {"model": names, "picture": files, "test_picture_number": nearly(0, 199)}


run = {"n": nearly(1, 2), "label": some_labels, "steps": nearly(1, 2), "guidance": nearly(0, 9), "seed": nearly(0, 9)}


PROPERTIES = {
    sampling.diffusion_sample: {"model": names, "sampler": samplers, "eta": nearly(0, 1), **run},
    editing.diffusion_noise: {**picture, "t": nearly(0, 1), "seed": nearly(0, 9)},
    editing.diffusion_edit: {**picture, "strength": nearly(0, 1), "sampler": samplers, **run},
    inpainting.diffusion_inpaint: {**picture, "mask": files, "resample": nearly(1, 2), **run},
}


@pytest.mark.parametrize("fn", list(PROPERTIES), ids=lambda fn: fn.__name__)
def test_any_input_gives_a_picture_or_an_error_message(fn):
    endpoint = as_endpoint(fn)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.fixed_dictionaries(PROPERTIES[fn]))
    def check(values):
        result = error = None
        try:
            result = endpoint(**values)
        except gr.Error as e:
            error = e
        if error:
            assert is_sentence(error.message) and "<" not in error.message
        else:
            assert isinstance(result[-1] if isinstance(result, tuple) else result, Image.Image)

    check()
