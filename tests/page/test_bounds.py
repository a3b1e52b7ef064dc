"""What the API takes, exactly to its bounds and no further; the bounds of an upload; and defaults that agree."""

import functools
import inspect

import gradio as gr
import numpy as np
import pytest
import torch
from helpers import as_endpoint
from PIL import Image

import app
import genmodels as gm
from tabs import compare, denoiser, diffusion, events, flow, gan, sources, transformer, vae
from tabs.components.mask_pad import MaskPad, mask_text
from tabs.controls import Controls

FUNCTIONS = {fn.__name__: fn for tab in (compare, denoiser, diffusion, flow, gan, transformer, vae) for fn in tab.ENDPOINTS}
ACCEPTED = "The model was asked for."
SEED = (0, 2**31)
TEMPERATURES = {"temperature": (0, 5), "top_k": (0, 1000), "top_p": (0, 1), "min_p": (0, 1)}
NUMBERS = {  # endpoint -> {argument: (lowest, highest)}
    "compare": {"n": (1, 16), "seed": SEED},
    "compare_interpolate": {"first": (0, 99), "second": (0, 99), "steps": (2, 64)},
    "vae_sample": {"n": (1, 64), "seed": SEED, "temperature": (0, 2)},
    "vae_interpolate": {"first": (0, 199), "second": (0, 199), "steps": (2, 64)},
    "vae_attributes": {"amount": (-3, 3)},
    "gan_sample": {"n": (1, 30), "truncation": (0, 1.5), "seed": SEED},
    "gan_walk": {"first_seed": SEED, "last_seed": SEED, "steps": (2, 64)},
    "gan_project": {"steps": (1, 300), "seed": SEED},
    "flow_sample": {"n": (1, 30), "temperature": (0, 1.5), "seed": SEED},
    "flow_unfold": {"seed": SEED},
    "text_generate": {"max_new_tokens": (1, 1000), **TEMPERATURES, "seed": SEED},
    "text_next": {"n": (1, 1000), **TEMPERATURES},
    "text_poem": {"temperature": (0, 5), "top_p": (0, 1), "seed": SEED},
    "pixels_complete": {"rows": (0, 27), "n": (1, 8), "temperature": (0, 2), "seed": SEED},
    "diffusion_sample": {"n": (1, 16), "steps": (1, 64), "guidance": (0, 10), "eta": (0, 1), "seed": SEED},
    "diffusion_noise": {"t": (0, 1), "seed": SEED},
    "diffusion_edit": {"strength": (0.01, 1), "n": (1, 16), "steps": (1, 64), "guidance": (0, 10), "seed": SEED},
    "diffusion_inpaint": {"n": (1, 16), "steps": (1, 64), "resample": (1, 20), "guidance": (0, 10), "seed": SEED},
    "add_noise": {"strength": (0, 1), "seed": SEED, "photograph_number": (0, 7)},
    "denoise": {"strength": (0, 1), "sigma": (0, 1), "seed": SEED, "test_picture_number": (0, 7)},
}
TEXTS = {  # endpoint -> {argument: the longest}
    "compare": {"label": 500},
    "gan_sample": {"label": 500},
    "gan_score": {"label": 500},
    "gan_project": {"label": 500},
    "gan_walk": {"first": 500, "last": 500},
    "flow_sample": {"label": 80},
    "diffusion_sample": {"label": 200},
    "diffusion_edit": {"label": 200},
    "vae_attributes": {"attribute": 80, "target": 80},
    "text_poem": {"title": 40, "author": 10, "heads": 8},
    "pixels_complete": {"label": 80},
    "text_next": {"prompt": 100_000},
    "text_score": {"text": 10_000, "prompt": 10_000},
}
CHEAP = {"steps": 2, "n": 1, "resample": 1}  # so that what several arguments multiply to is small


@functools.cache
def endpoint(name):
    return as_endpoint(FUNCTIONS[name])


def arguments_of(name):
    """{argument of an endpoint: its default}"""
    return {k: p.default for k, p in inspect.signature(endpoint(name)).parameters.items()}


@pytest.fixture
def answer(monkeypatch):
    """What an endpoint says to its defaults with one argument changed: ACCEPTED if it would begin to compute."""

    def load(*args, **options):
        raise ValueError(ACCEPTED)

    def answer(name, **changed):
        defaults = arguments_of(name)
        values = {**defaults, **{k: v for k, v in CHEAP.items() if k in defaults}, **changed}
        try:
            endpoint(name)(**values)
        except gr.Error as e:
            return e.message
        return ACCEPTED

    answer.without_models = lambda: monkeypatch.setattr(gm, "load", load)
    return answer


@pytest.mark.parametrize(("name", "argument"), [(name, a) for name, bounds in NUMBERS.items() for a in bounds])
def test_numbers_of_the_api_end_at_their_bounds(answer, name, argument):
    low, high = NUMBERS[name][argument]
    if name not in ("vae_interpolate", "add_noise"):
        answer.without_models()
        cheap = {"method": "median", "kind": "none"} if name == "denoise" else {}
    else:
        cheap = {}
    step = 1 if isinstance(arguments_of(name)[argument], int) else 1e-6
    for beyond in (low - step, high + step):
        assert "must be a" in (text := answer(name, **{argument: beyond})), f"{argument}={beyond}: {text}"
        assert f"from {low} to {250 if name.startswith('diffusion') and argument == 'steps' and beyond < low else high}" in text
    if step == 1:
        assert "must be a whole number" in answer(name, **{argument: low + 0.5})
    for allowed in (low, high):
        text = answer(name, **{argument: allowed}, **cheap)
        assert "must be" not in text, f"{argument}={allowed}: {text}"


def test_every_number_of_the_api_is_in_the_list():
    """An argument that is added later is not left out."""
    others = {"test_picture_number", "photograph_number"}  # some of them are below
    for name in FUNCTIONS:
        numbers = {a for a, v in arguments_of(name).items() if isinstance(v, (int, float)) and not isinstance(v, bool)}
        assert numbers - others <= set(NUMBERS.get(name, {})), name


@pytest.mark.parametrize(("name", "argument"), [(name, a) for name, limits in TEXTS.items() for a in limits])
def test_texts_of_the_api_have_a_longest_length(answer, name, argument):
    answer.without_models()
    longest = TEXTS[name][argument]
    text = answer(name, **{argument: "a" * longest})
    assert "at most" not in text, text
    over = answer(name, **{argument: "a" * (longest + 1)})
    # a text generator loads its model before it reads the prompt
    assert f"at most {longest:,} characters" in over.replace(f" {longest} ", f" {longest:,} ") or over == ACCEPTED
    if name not in ("text_next", "text_score"):
        assert over != ACCEPTED


def test_longest_prompts():
    for name, argument, longest in (("text_next", "prompt", 100_000), ("text_score", "text", 10_000)):
        with pytest.raises(gr.Error, match=f"at most {longest:,} characters"):
            endpoint(name)(**{**arguments_of(name), argument: "a" * (longest + 1)})
    assert endpoint("text_next")(**{**arguments_of("text_next"), "prompt": "a" * 100_000})["tokens"]


def test_codes_and_directions_end_at_their_bounds(answer):
    for code in ([30.0] * 40, [-30.0], []):
        assert answer("vae_decode", code=code) == ACCEPTED
    for code in ([30.001], [-30.001]):
        assert "from -30 to 30" in answer("vae_decode", code=code)
    assert "at most 40 numbers" in answer("vae_decode", code=[0.0] * 41)
    answer.without_models()
    for directions in ([3.0] * 8, [-3]):
        assert answer("gan_sample", directions=directions) == ACCEPTED
    for directions in ([0.0] * 9, [3.001], [-3.001], [True], ["1"], 3):
        assert "at most 8 numbers from -3 to 3" in answer("gan_sample", directions=directions)


@pytest.mark.parametrize(("dataset", "n"), [("mnist", 200), ("fashion", 200), ("avatars", 100)])
def test_numbers_of_test_pictures(dataset, n):
    assert sources.test_picture(dataset, n - 1)["x"].shape[0] == 1
    for i in (n, -1, 0.5):
        with pytest.raises(ValueError, match=f"from 0 to {n - 1}"):
            sources.test_picture(dataset, i)
    samples = gm.data.samples(dataset).floats()
    assert torch.equal(sources.test_picture(dataset, 7)["x"], samples[7:8])
    assert "floats()[7:8]" in sources.test_picture(dataset, 7)["lines"]


@pytest.mark.parametrize("name", ["vae_encode", "gan_score", "flow_score", "flow_unfold", "diffusion_noise", "compare_picture"])
def test_numbers_of_test_pictures_of_the_api(answer, name):
    assert "from 0 to 199" in answer(name, test_picture_number=200)


def test_the_work_of_a_diffusion_run_ends_at_6144_pictures(answer):
    """Pictures through the network: samples times steps, times repetitions, twice with guidance of a label."""
    answer.without_models()
    original, allowed = gm.load, {}
    for n, steps, resample in ((16, 64, 6), (16, 64, 7)):
        allowed[resample] = answer("diffusion_inpaint", n=n, steps=steps, resample=resample)
    assert original is gm.load and allowed[6] == ACCEPTED  # the label is read first, from the model
    check = diffusion.sampling.Sampling.read
    for options, label, fits in (
        ({"n": 16, "steps": 250, "sampler": "ddpm"}, None, True),
        ({"n": 16, "steps": 250, "sampler": "ddpm", "guidance": 1}, [3], True),
        ({"n": 12, "steps": 250, "sampler": "ddpm", "guidance": 2}, [3], True),
        ({"n": 13, "steps": 250, "sampler": "ddpm", "guidance": 2}, [3], False),
        ({"n": 9, "steps": 250, "sampler": "ddpm", "guidance": 2}, None, True),
        ({"n": 16, "steps": 64, "sampler": "heun", "guidance": 2}, [3], True),  # 127 calls, twice: 4064
    ):
        options = check(**options)
        if fits:
            options.check_budget(label)
        else:
            with pytest.raises(ValueError, match="at most 6,144"):
                options.check_budget(label)
    inpainting = diffusion.inpainting.Inpainting
    inpainting.read(n=16, steps=64, resample=6).check_budget(None)
    with pytest.raises(ValueError, match="7,168 pictures"):
        inpainting.read(n=16, steps=64, resample=7).check_budget(None)


def test_only_ddpm_takes_more_than_64_steps(answer):
    answer.without_models()
    for name in ("diffusion_sample", "diffusion_edit"):
        assert answer(name, steps=250, sampler="ddpm") == ACCEPTED
        assert "from 1 to 250" in answer(name, steps=251, sampler="ddpm")
        for sampler in ("dpm", "ddim", "heun"):
            assert "from 1 to 64" in answer(name, steps=65, sampler=sampler)


# --- Uploads ----------------------------------------------------------------------------------------------------------


def test_an_upload_has_at_most_16_million_pixels(tmp_path):
    for size, fits in (((4000, 4000), True), ((16_000_000, 1), True), ((4001, 4000), False), ((4000, 4001), False)):
        Image.new("1", size).save(tmp_path / "a.png")
        if fits:
            assert gm.pictures.read(tmp_path / "a.png").size == size
        else:
            with pytest.raises(ValueError, match="more than 16 megapixels"):
                gm.pictures.read(tmp_path / "a.png")


def test_an_upload_has_at_most_40_million_bytes(tmp_path):
    Image.new("1", (10, 10)).save(tmp_path / "a.png")
    for size, fits in ((40_000_000, True), (40_000_001, False)):
        with open(tmp_path / "a.png", "r+b") as file:
            file.truncate(size)  # what follows a PNG is not read
        if fits:
            assert gm.pictures.read(tmp_path / "a.png").size == (10, 10)
        else:
            with pytest.raises(ValueError, match="more than 40 MB"):
                gm.pictures.read(tmp_path / "a.png")
    assert app.OPTIONS["max_file_size"] == "40mb"


def test_noise_is_added_to_at_most_4_million_pixels_and_classical_methods_take_one(answer, tmp_path, monkeypatch):
    monkeypatch.setattr(gm.denoiser, "add_noise", lambda x, *args, **options: x)
    monkeypatch.setattr(gm.denoiser, "classical", lambda x, *args, **options: x)
    monkeypatch.setattr(gm.denoiser, "quality", lambda *args: (1.0, 1.0))

    def picture(w, h):
        Image.new("L", (w, h)).save(tmp_path / "a.png")
        return str(tmp_path / "a.png")

    assert answer("add_noise", picture=picture(2000, 2000)) == ACCEPTED
    assert "at most 4 megapixels" in answer("add_noise", picture=picture(2001, 2000))
    options = {"method": "median", "kind": "none"}
    assert answer("denoise", picture=picture(1000, 1000), **options) == ACCEPTED
    assert "at most 1 megapixel" in answer("denoise", picture=picture(1000, 1001), **options)
    assert "at most 4 megapixels" in answer("denoise", picture=picture(2001, 2000), method="median", kind="speckle")


def test_a_mask_has_at_most_256_rows():
    for side, fits in ((256, True), (257, False), (1, True)):
        mask = np.zeros((side, side))
        mask[0, side - 1] = 1
        read = MaskPad.preprocess(None, {"mask": mask_text(mask)})
        assert (read is not None) == fits
        if fits:
            assert np.array_equal(read, mask > 0)  # not transposed


@pytest.mark.parametrize(
    ("tiles", "n"), [(vae.encoding.PICTURES, 20), (gan.scoring.PICTURES, 10), (flow.likelihood.PICTURES, 10)]
)
def test_a_tool_takes_the_pictures_on_the_page_and_no_more(tiles, n):
    chosen = []
    chooser = type(tiles)(lambda source: chosen.append(source) or {}, tiles.n, tiles.example)
    for i in range(n):
        chooser.choose_test_picture(gr.EventData(None, {"index": i}), "mnist")
        assert chosen[-1].get("number") == (i if i < 5 or chooser.example is sources.test_picture else i - 5)
    for i in (n, -1, 0.5, None):
        with pytest.raises(ValueError, match=f"from 0 to {n - 1}"):
            chooser.choose_test_picture(gr.EventData(None, {"index": i}), "mnist")


# --- Defaults ---------------------------------------------------------------------------------------------------------

METHODS = {  # endpoint -> the method that its arguments are of
    "vae_sample": gm.VAE.sample,
    "vae_interpolate": gm.vae.interpolate,
    "gan_sample": gm.GAN.sample_latents,
    "gan_project": gm.GAN.project_steps,
    "flow_sample": gm.Flow.sample,
    "text_generate": gm.TextTransformer.generate_steps,
    "text_next": gm.transformer.warp_logits,
    "text_poem": gm.TextTransformer.generate_steps,
    "pixels_complete": gm.PixelTransformer.complete_steps,
    "diffusion_sample": gm.Diffusion.sample_steps,
    "diffusion_edit": gm.Diffusion.edit_steps,
    "diffusion_inpaint": gm.Diffusion.inpaint_steps,
}
OTHER = {  # (endpoint, argument): its default, where that is not the method's: seeds and "any" apart
    ("vae_interpolate", "steps"): 9,
    ("text_poem", "temperature"): 0.8,
    ("pixels_complete", "rows"): 14,
    ("diffusion_inpaint", "steps"): 16,
    ("text_generate", "max_new_tokens"): 200,
    ("text_generate", "temperature"): 0.8,
}


@pytest.mark.parametrize("name", METHODS)
def test_defaults_of_the_api_are_those_of_the_function(name):
    parameters = inspect.signature(METHODS[name]).parameters
    compared = 0
    for argument, default in arguments_of(name).items():
        if argument not in parameters or argument in ("seed", "label", "n") or (name, argument) in OTHER:
            continue
        if parameters[argument].default is not inspect.Parameter.empty:
            assert default == parameters[argument].default, argument
            compared += 1
    assert compared or name == "text_poem"
    for (other, argument), default in OTHER.items():
        if other == name:
            assert arguments_of(name)[argument] == default, argument


def component(elem_id):
    return next(block for block in app.demo.blocks.values() if getattr(block, "elem_id", None) == elem_id)


PAGE = {  # the page's control -> (endpoint, argument) with the same default
    "vae-spread": ("vae_sample", "temperature"),
    "compare-n": ("compare", "n"),
    "gan-truncation": ("gan_sample", "truncation"),
    "gan-n": ("gan_sample", "n"),
    "gan-judged-as": ("gan_score", "label"),
    "gan-first": ("gan_walk", "first"),
    "gan-last": ("gan_walk", "last"),
    "gan-first-seed": ("gan_walk", "first_seed"),
    "gan-last-seed": ("gan_walk", "last_seed"),
    "flow-temperature": ("flow_sample", "temperature"),
    "flow-n": ("flow_sample", "n"),
    "transformer-temperature": ("text_generate", "temperature"),
    "transformer-top-k": ("text_generate", "top_k"),
    "transformer-top-p": ("text_generate", "top_p"),
    "transformer-min-p": ("text_generate", "min_p"),
    "transformer-text-seed": ("text_generate", "seed"),
    "transformer-poem-temperature": ("text_poem", "temperature"),
    "transformer-poem-top-p": ("text_poem", "top_p"),
    "transformer-form": ("text_poem", "form"),
    "transformer-heads": ("text_poem", "heads"),
    "transformer-rows": ("pixels_complete", "rows"),
    "transformer-n": ("pixels_complete", "n"),
    "transformer-label": ("pixels_complete", "label"),
    "transformer-pixels-temperature": ("pixels_complete", "temperature"),
    "diffusion-n": ("diffusion_sample", "n"),
    "diffusion-steps": ("diffusion_sample", "steps"),
    "diffusion-sampler": ("diffusion_sample", "sampler"),
    "diffusion-guidance": ("diffusion_sample", "guidance"),
    "diffusion-eta": ("diffusion_sample", "eta"),
    "diffusion-t": ("diffusion_edit", "strength"),
    "denoiser-kind": ("denoise", "kind"),
    "denoiser-told": ("denoise", "sigma"),
    "denoiser-seed": ("denoise", "seed"),
}
STATED = {
    "compare-end": "last",  # the page's control -> its default, where the API has another or none
    "transformer-length": 360,
    "transformer-title": "春夜",
    "transformer-author": "李白",
    "transformer-prompt": "ROMEO:\n",
    "transformer-poem-rhyme": True,
    "transformer-poem-tones": False,
    "flow-label": "each",
    "playground-shape": "moons",
    "playground-n": 1000,
    "playground-speed": "fast",
    "playground-rate": 0.005,
    "playground-noise": 0.3,
    "playground-steps": 30,
    "playground-width": 64,
    "playground-depth": 2,
    "playground-r1": 1,
    "playground-seed": 0,
    "transformer-poem-pinyin": False,
    "flow-first": "3",
    "flow-last": "8",
    "denoiser-strength": 25,
    "denoiser-left": 50,
    "denoiser-top": 50,
    "gan-order": "sampled",
    "gan-mixed": False,
    "gan-quiz-seed": 0,
    "gan-which": "this",
    "vae-size": "full",
    "vae-which": "first",
}


@pytest.mark.parametrize("elem_id", PAGE)
def test_controls_open_with_the_default_of_the_api(elem_id):
    name, argument = PAGE[elem_id]
    assert component(elem_id).value == arguments_of(name)[argument]


def test_controls_that_open_with_a_default_of_their_own():
    assert {elem_id: component(elem_id).value for elem_id in STATED} == STATED


def test_every_control_of_the_page_is_in_one_of_the_lists():
    """A default that nobody stated may be a slip."""
    listed = {*PAGE, *STATED}
    kinds = (gr.Slider, gr.Number, gr.Radio, gr.Dropdown, gr.Checkbox, gr.Textbox)
    ids = {block.elem_id for block in app.demo.blocks.values() if isinstance(block, kinds) and block.elem_id}
    opened = {i for i in ids if i.endswith(("-dataset", "-amount")) or "-label-" in i}  # by the tab, see its own tests
    rest = ids - listed - opened - {f"vae-{name}" for name in vae.editing.TITLES}
    assert rest <= {"transformer-own", "transformer-model", "transformer-poem-seed", "transformer-pixels-seed"}


def test_the_defaults_of_a_class_are_those_of_its_components():
    def subclasses(cls):
        for sub in cls.__subclasses__():
            yield sub
            yield from subclasses(sub)

    with gr.Blocks():
        for cls in subclasses(Controls):
            if cls.__module__.startswith("tabs."):
                for name, part in cls.components("x").items():
                    assert part.value == cls.model_fields[name].default, (cls, name)


def test_fresh_seeds_are_seeds():
    seeds = {events.fresh_seed() for _ in range(50)}
    assert len(seeds) > 40 and all(0 <= seed < 10_000 for seed in seeds)
