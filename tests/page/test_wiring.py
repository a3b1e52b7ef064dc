"""What a visitor does reaches the models: each control alone changes what is shown as the model's own argument does."""

import base64
import functools
import json
import re

import pytest
import torch
from helpers import pixels, raw_of, same_pictures, sheet_of, stroke
from helpers_page import Visitor

import app
import genmodels as gm
from tabs import events
from tabs.components.mask_pad import mask_text
from tabs.denoiser import pictures as denoiser_pictures


def same_picture(value, x):
    """Whether raw bytes show the picture x (1, C, H, W), up to one grey level."""
    return (abs(raw_of(value).astype(int) - gm.pictures.to_bytes(x)[0].numpy().astype(int)) <= 1).all()


@pytest.fixture
def visitor():
    return Visitor(app.demo)


@pytest.mark.parametrize(
    ("button", "stage", "control"),
    [
        ("New samples", "vae-samples", "vae-spread"),
        ("New pictures", "gan-stage", "gan-truncation"),
        ("New samples", "flow-stage", "flow-temperature"),
    ],
)
def test_a_control_that_moves_keeps_the_seed_that_was_drawn(visitor, monkeypatch, button, stage, control):
    monkeypatch.setattr(events, "fresh_seed", lambda: 4321)
    visitor.drawn = 4321
    lines = f"{stage.split('-')[0]}-python"
    visitor.press(button, stage)
    assert "seed=4321)" in visitor[lines] and "=0.5," not in visitor[lines]
    visitor.set(control, 0.5)
    assert "seed=4321)" in visitor[lines] and "=0.5," in visitor[lines]


# --- VAE --------------------------------------------------------------------------------------------------------------


def test_controls_of_the_vae_reach_its_samples(visitor):
    vae = gm.load("vae-mnist")
    visitor.set("vae-spread", 0.5)
    assert same_pictures(visitor["vae-samples"], vae.sample(12, temperature=0.5, seed=0))
    assert same_picture(visitor["vae-stage"], vae.sample(12, temperature=0.5, seed=0)[:1])
    for i in (0, 7, 11):
        visitor.send("vae-samples", index=i)
        assert same_picture(visitor["vae-stage"], vae.sample(12, temperature=0.5, seed=0)[i : i + 1])
        assert f"[{i}:{i + 1}]" in visitor["vae-python"] and f"Sample {i + 1} " in visitor["vae-stage"]["caption"]
    z = visitor["vae-sliders"]["z"]
    assert z == pytest.approx(vae.sample_latents(12, temperature=0.5, seed=0)[11].tolist(), abs=6e-4)
    sliders = {**visitor["vae-sliders"], "z": [2.0, *z[1:]]}
    visitor.set("vae-sliders", sliders)
    assert same_picture(visitor["vae-stage"], vae.decode(torch.tensor([[2.0, *z[1:]]])))
    visitor.press("Reset", "vae-sliders")
    assert not any(visitor["vae-sliders"]["z"])


def test_a_click_on_the_map_is_the_code_of_that_place(visitor):
    """x to the right, y upwards; what is shown there before the click is the picture of the nearest cell."""
    visitor.set("vae-dataset", "mnist")
    vae, values = gm.load("vae-mnist-2d"), visitor["vae-map"]["maps"][1]
    bounds, n = values["bounds"], values["columns"]
    for u, v in ((0.1, 0.2), (0.9, 0.2), (0.1, 0.8)):
        visitor.send("vae-map", "click", u=u, v=v)
        x = bounds["x0"] + u * (bounds["x1"] - bounds["x0"])
        y = bounds["y1"] - v * (bounds["y1"] - bounds["y0"])
        assert visitor["vae-sliders"]["z"] == pytest.approx([x, y], abs=1e-3)
        assert visitor["vae-size"] == "2d"
        assert same_picture(visitor["vae-stage"], vae.decode(torch.tensor([[x, y]])))
    row, column = 3, 20
    centre = [(column + 0.5) / n, (row + 0.5) / n]
    x = bounds["x0"] + centre[0] * (bounds["x1"] - bounds["x0"])
    y = bounds["y1"] - centre[1] * (bounds["y1"] - bounds["y0"])
    drawn = sheet_of(values)[row * n + column].astype(int)
    assert abs(drawn - pixels(vae.decode(torch.tensor([[x, y]])))[0].astype(int)).max() <= 1
    z = vae.encode(gm.data.samples("mnist").floats()[5:6]).mean[0].tolist()
    point = json.loads(values["points"])[5]
    assert [point["x"], point["y"]] == pytest.approx(z, abs=1e-3)


def test_the_elbo_is_the_models_with_its_sign(visitor):
    visitor.set("vae-dataset", "mnist")
    visitor.send("vae-own", index=4)
    vae, x = gm.load("vae-mnist"), gm.data.samples("mnist").floats()[4:5]
    log_px, kl = vae.elbo(x)
    error, shown_kl, elbo = (float(k) for k in re.findall(r"-?\d+\.\d+", visitor["vae-report"]))
    assert log_px < 0 < kl
    assert elbo == pytest.approx(float(log_px - kl), abs=0.06)
    assert shown_kl == pytest.approx(float(kl), abs=0.06)
    assert error == pytest.approx(float((vae.reconstruct(x) - x).square().mean()), abs=6e-5)
    assert same_pictures(visitor["vae-pair"], torch.cat([x, x_hat := vae.reconstruct(x), (x - x_hat).abs()]))


def test_both_ends_of_an_interpolation_and_the_frame_that_was_chosen(visitor):
    visitor.set("vae-dataset", "mnist")
    vae, x = gm.load("vae-mnist"), gm.data.samples("mnist").floats()
    visitor.values[visitor.ids["vae-which"]] = "last"
    visitor.send("vae-ends", index=6)
    frames = sheet_of(visitor["vae-frames"])
    for row in (0, 1):  # both kinds of interpolation: from the picture 3 to the chosen one
        for k, i in ((0, 3), (16, 6)):
            expected = pixels(vae.reconstruct(x[i : i + 1]))[0].astype(int)
            assert abs(frames[17 * row + k].astype(int) - expected).max() <= 4
    for row in (0, 1):
        visitor.send("vae-frames", "release", step=5, row=row)
        assert abs(raw_of(visitor["vae-stage"]).astype(int) - frames[17 * row + 5][..., :1].astype(int)).max() <= 4
        assert "Step 6 of 17" in visitor["vae-stage"]["caption"]
    assert (frames[5] != frames[17 + 5]).any()


# --- GAN --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "value", "changed"),
    [
        ("gan-truncation", 0.3, {"truncation": 0.3}),
        ("gan-n", 3, {"n": 3}),
        ("gan-label-0", "7", {"label": 7}),
    ],
)
def test_each_control_of_the_gan_reaches_it(visitor, control, value, changed):
    visitor.set(control, value)
    options = {"n": 20, "label": None, "seed": 0} | changed
    gan = gm.load("gan-mnist")
    assert same_pictures(visitor["gan-stage"], gan.decode(gan.sample_latents(options.pop("n"), **options)))


def test_the_quiz_is_that_of_its_seed(visitor):
    rounds = {}
    for seed in (0, 5):
        visitor.set("gan-quiz-seed", seed, "submit")
        rounds[seed] = visitor["gan-quiz"]["pixels"]
        visitor.send("gan-quiz", index=2)
        lines, picture = visitor["gan-quiz-python"], visitor["gan-quiz"]
        assert f"seed={1000 * seed})" in lines
        place = [p["kind"] for p in picture["pictures"]].index("real")
        real = int(re.search(r"floats\(\)\[(\d+):", lines).group(1))
        expected = pixels(gm.data.samples("mnist").floats()[real : real + 1])[0].astype(int)
        assert abs(sheet_of(picture)[place].astype(int) - expected).max() <= 1
        scores = [p["score"] for p in picture["pictures"]]
        assert picture["discriminator_choice"] == scores.index(max(scores)) and picture["visitor_choice"] == 2
        assert ("You got it right" in visitor["gan-quiz-words"] or "You both" in visitor["gan-quiz-words"]) == (place == 2)
    assert rounds[0] != rounds[5]
    visitor.press("Next four", "gan-quiz")
    assert "visitor_choice" not in visitor["gan-quiz"]
    visitor.send("gan-quiz", index=0)
    assert "seed=5001)" in visitor["gan-quiz-python"]


def test_each_end_of_the_gans_interpolation(visitor):
    gan = gm.load("gan-mnist")
    ends = {"gan-first": "3", "gan-first-seed": 0, "gan-last": "8", "gan-last-seed": 0}
    for control, value in (("gan-first", "1"), ("gan-first-seed", 4), ("gan-last", "6"), ("gan-last-seed", 9)):
        visitor.set(control, value)
        ends[control] = value
        first, last = (
            gan.decode(gan.sample_latents(9, label=int(ends[f"gan-{end}"]), seed=ends[f"gan-{end}-seed"]))
            for end in ("first", "last")
        )
        frames = sheet_of(visitor["gan-walk"])
        for k, x in ((0, first), (24, last)):
            cells = pixels(x).astype(int)
            for i in (0, 5):  # of nine, three across, with gaps of one pixel
                row, column = divmod(i, 3)
                drawn = frames[k][29 * row : 29 * row + 28, 29 * column : 29 * column + 28].astype(int)
                assert abs(drawn - cells[i]).max() <= 1, (control, k, i)


def test_the_class_that_a_picture_is_scored_as(visitor):
    visitor.send("gan-own", index=3)
    assert "without a class" in visitor["gan-verdict"]["text"]
    gan, x = gm.load("gan-mnist"), gm.data.samples("mnist").floats()[3:4]
    scores = {}
    for label in ("3", "8"):
        visitor.set("gan-judged-as", label)
        verdict = visitor["gan-verdict"]
        assert f"scored as {label}" in verdict["text"]
        baseline = gan.score(gan.sample(32, label=int(label), seed=0), int(label)).mean()
        assert verdict["score"] == pytest.approx(float(gan.score(x, int(label)) - baseline), abs=2e-3)
        scores[label] = verdict["score"]
        by_label = {row["label"]: row["score"] for row in json.loads(verdict["by_label"])}
        assert by_label[label] == pytest.approx(verdict["score"], abs=2e-3)
    assert scores["3"] != scores["8"]
    visitor.send("gan-own", index=1)  # another picture: its class is not chosen yet
    assert visitor["gan-judged-as"] == "any"


# --- Recorded calls of the slower models ------------------------------------------------------------------------------


class Called(Exception):
    """Raised in place of a computation."""


def record(monkeypatch, owner, name):
    """The arguments with which a function is called, by name; nothing is computed."""
    calls = []

    @functools.wraps(getattr(owner, name))  # handlers read its signature
    def called(*args, **options):
        calls.append({"args": args[1:] if isinstance(owner, type) else args, **options})
        raise Called

    monkeypatch.setattr(owner, name, called, raising=True)
    return calls


def called(visitor, calls, do):
    """The arguments of the call that an action leads to."""
    calls.clear()
    with pytest.raises(Called):
        do()
    return calls[-1]


def open_pictures(visitor, tab, index=2):
    visitor.send(f"{tab}-own", index=index)


DIFFUSION = {  # control -> (event, value, arguments that change)
    "diffusion-n": ("release", 2, {"args": (2,)}),
    "diffusion-steps": ("release", 5, {"steps": 5}),
    "diffusion-guidance": ("release", 3, {"guidance": 3}),
    "diffusion-label-0": ("input", "7", {"label": 7}),
    "diffusion-sampler": ("input", "heun", {"sampler": "heun"}),
}


@pytest.mark.parametrize("control", DIFFUSION)
def test_each_control_of_diffusion_reaches_the_sampler(visitor, monkeypatch, control):
    calls = record(monkeypatch, gm.Diffusion, "sample_steps")
    event, value, changed = DIFFUSION[control]
    defaults = {"label": None, "sampler": "dpm", "steps": 16, "guidance": 1.2, "seed": 0}
    arguments = called(visitor, calls, lambda: visitor.set(control, value, event))
    n = arguments.get("n", (arguments["args"] or (9,))[0])
    assert n == changed.get("args", (9,))[0]
    expected = defaults | {k: v for k, v in changed.items() if k != "args"}
    assert {k: arguments.get(k, v) for k, v in defaults.items()} == expected


def test_ddim_alone_has_its_noise(visitor, monkeypatch):
    calls = record(monkeypatch, gm.Diffusion, "sample_steps")
    visitor.values[visitor.ids["diffusion-eta"]] = 0.5
    assert "eta" not in called(visitor, calls, lambda: visitor.set("diffusion-n", 2, "release"))
    visitor.values[visitor.ids["diffusion-sampler"]] = "ddim"
    assert called(visitor, calls, lambda: visitor.set("diffusion-n", 2, "release"))["eta"] == 0.5


def test_the_time_and_the_mask_reach_diffusion(visitor, monkeypatch):
    open_pictures(visitor, "diffusion")
    visitor.set("diffusion-t", 0.35)
    alpha, sigma = (float(k) for k in gm.diffusion.alpha_sigma(torch.tensor(0.35)))
    assert visitor["diffusion-drowned"]["caption"] == f"{alpha:.2f} picture + {sigma:.2f} noise"
    calls = record(monkeypatch, gm.Diffusion, "edit_steps")
    arguments = called(visitor, calls, lambda: visitor.press("Denoise (SDEdit)", "diffusion-stage"))
    assert 0.35 in (arguments.get("strength"), *arguments["args"][1:])
    assert torch.equal(arguments["args"][0][:1], gm.data.samples("mnist").floats()[2:3])
    mask = torch.zeros(28, 28)
    mask[3, 20] = 1
    visitor.values[visitor.ids["diffusion-mask"]] = {**visitor["diffusion-mask"], "mask": mask_text(mask)}
    calls = record(monkeypatch, gm.Diffusion, "inpaint_steps")
    arguments = called(visitor, calls, lambda: visitor.press("Inpaint", "diffusion-stage"))
    assert torch.equal(arguments["args"][1].squeeze().float(), mask)


TEXT = {
    "transformer-length": 40,
    "transformer-temperature": 1.3,
    "transformer-top-k": 5,
    "transformer-top-p": 0.7,
    "transformer-min-p": 0.2,
}
ARGUMENTS = ("max_new_tokens", "temperature", "top_k", "top_p", "min_p")


@pytest.mark.parametrize(("control", "argument"), list(zip(TEXT, ARGUMENTS)))
def test_each_control_of_the_text_reaches_the_model(visitor, monkeypatch, control, argument):
    calls = record(monkeypatch, gm.TextTransformer, "generate_steps")
    visitor.values[visitor.ids[control]] = TEXT[control]
    arguments = called(visitor, calls, lambda: visitor.set("transformer-text-seed", 6, "submit"))
    defaults = {"max_new_tokens": 360, "temperature": 0.8, "top_k": 0, "top_p": 1, "min_p": 0, "seed": 6}
    assert {k: arguments.get(k, v) for k, v in defaults.items()} == defaults | {argument: TEXT[control]}
    assert "ROMEO:\n" in (arguments.get("prompt"), *arguments["args"])


PIXELS = {"transformer-rows": ("rows", 5), "transformer-n": ("n", 2), "transformer-pixels-temperature": ("temperature", 0.4)}


@pytest.mark.parametrize("control", PIXELS)
def test_each_control_of_the_completions_reaches_the_model(visitor, monkeypatch, control):
    calls = record(monkeypatch, gm.PixelTransformer, "complete_steps")
    argument, value = PIXELS[control]
    with pytest.raises(Called):
        visitor.send("transformer-own-pictures", index=4)
    assert torch.equal(calls[-1]["args"][0], gm.data.samples("mnist").floats()[4:5])
    arguments = called(visitor, calls, lambda: visitor.set(control, value, "release"))
    defaults = {"rows": 14, "n": 4, "temperature": 1, "label": None, "seed": 0}
    assert {k: arguments.get(k, v) for k, v in defaults.items()} == defaults | {argument: value}


def test_the_noise_and_the_sigma_reach_the_denoiser(visitor, monkeypatch):
    visitor.values[visitor.ids["denoiser-dataset"]] = "mnist"
    source = next(block for block in app.demo.fns.values() if block.targets == [(visitor.ids["denoiser-pictures"], "input")])
    visitor.values[source.outputs[0]._id] = denoiser_pictures.example("mnist", 3)
    calls = record(monkeypatch, gm.denoiser, "add_noise")
    for kind, shown, strength in (("gaussian", 51, 0.2), ("speckle", 30, 0.3)):
        visitor.values[visitor.ids["denoiser-kind"]] = kind
        arguments = called(visitor, calls, lambda shown=shown: visitor.set("denoiser-strength", shown))
        assert (arguments["args"][1], arguments["args"][2], arguments["seed"]) == (kind, pytest.approx(strength), 0)
    monkeypatch.undo()
    model = gm.load("denoiser-mnist")
    calls = record(monkeypatch, type(model), "restore")
    arguments = called(visitor, calls, lambda: visitor.set("denoiser-told", 51))
    assert arguments["args"][1] == pytest.approx(0.2)
    arguments = called(visitor, calls, lambda: visitor.set("denoiser-told", 0))
    assert arguments["args"][1] is None  # blind


@pytest.mark.parametrize(
    ("control", "value", "changed"),
    [("flow-temperature", 0.5, {"temperature": 0.5}), ("flow-n", 2, {"n": 2}), ("flow-label", "7", {"label": 7})],
)
def test_each_control_of_the_flow_reaches_it(visitor, control, value, changed):
    visitor.values[visitor.ids["flow-n"]] = 3
    visitor.set(control, value)
    options = {"n": 3, "label": [0, 1, 2], "seed": 0} | changed
    if isinstance(options["label"], list):
        options["label"] = options["label"][: options["n"]]
    assert same_pictures(visitor["flow-stage"], gm.load("flow-mnist").sample(options.pop("n"), **options))


def test_a_drawing_keeps_its_orientation(visitor):
    ink = stroke()
    ink[:, 90:] = 0
    ink[15:25, 65:110] = 255  # a bar at the top, to the right
    visitor.set("gan-pad", base64.b64encode(ink.tobytes()).decode())
    drawn = raw_of(visitor["gan-verdict"])[..., 0].astype(float)
    expected = gm.pictures.to_bytes(gm.data.preprocess(ink, "mnist"))[0, :, :, 0].numpy()
    assert (drawn == expected).all()
    assert drawn[:14, 14:].sum() > drawn[14:, 14:].sum()
