"""Autoencoder and variational autoencoder: pictures encoded as latent codes, and pictures decoded from codes."""

import functools
import json
import textwrap

import gradio as gr

import genmodels as gm
from tabs import wiring
from tabs.components import raw, sheet
from tabs.components.draw_pad import DrawPad
from tabs.components.latent_map import LatentMap
from tabs.components.scrubber import Scrubber
from tabs.components.sliders import Sliders
from tabs.components.stage import Stage
from tabs.components.tiles import Tiles
from tabs.components.upload import upload as picture_upload

MODELS = ("vae-mnist", "vae-fashion", "vae-avatars", "vae-mnist-2d", "vae-fashion-2d")
LATENT_SIZES = {"mnist": 40, "fashion": 64, "avatars": 128}  # of the full code, named before a model is loaded
CODE_LIMIT = 30  # largest absolute value of a number of a code
COLLAPSED_NATS = 0.01  # a dimension with a smaller mean KL carries no information: the model does not use it
SAMPLES = 12  # new pictures at a time
TEST_TILES = 20  # test pictures to choose from
FRAMES = 17  # of an interpolation
MAP_CELLS = 28  # decoded pictures per side of a map
FACE_ATTRIBUTES = {  # attributes of faces that can be edited on the page
    "smiling": "Smile",
    "glasses": "Glasses",
    "hair_color": "Hair colour",
    "hair_length": "Hair length",
    "facial_hair": "Beard",
    "skin": "Skin",
    "background": "Background",
}
EDITABLE = (*FACE_ATTRIBUTES, "class")  # one row of controls each


# --- Models, datasets and codes ---------------------------------------------------------------------------------------


def model_name(dataset, size):
    """Name of the model for a dataset and the size of its code, "full" or "2d"; for faces there is only the full code."""
    return f"vae-{dataset}" + ("-2d" if size == "2d" and dataset != "avatars" else "")


def dataset_of(model):
    return model.split("-")[1]


def load_vae(model):
    """One of this tab's models: a name from a visitor never becomes a path."""
    return gm.load(gm.base.check_choice("model", model, MODELS))


def load_latents(model):
    return _latents(gm.base.checkpoint_folder(model))


@functools.lru_cache(maxsize=16)
def _latents(folder):
    return gm.vae.load_latents(folder)


@functools.lru_cache(maxsize=4)
def test_pictures(dataset):
    """(x (N, C, H, W) in [0, 1], a caption for each): the pictures that ship with the package."""
    samples = gm.data.samples(dataset)
    classes = gm.data.CLASSES.get(dataset)
    names = [classes[c] for c in samples.y.tolist()] if classes else ["face"] * len(samples)
    return samples.floats(), [f"{name} (test picture {i})" for i, name in enumerate(names)]


def code_tensor(model, z):
    """A code from the page as a tensor (1, D), each number checked."""
    import torch

    d = load_vae(model).latent
    if not isinstance(z, (list, tuple)) or len(z) > d:
        raise ValueError(f"A code of {model} must be a list of at most {d} numbers (missing ones are 0).")
    values = [gm.base.check_number("each number of a code", v, -CODE_LIMIT, CODE_LIMIT) for v in z]
    return torch.tensor([values + [0.0] * (d - len(z))])


def code_list(z):
    """A code (1, D) as the page's list: rounded, so that the sliders and the lines of Python give exactly the same picture."""
    return [round(v, 3) for v in z[0].clamp(-CODE_LIMIT, CODE_LIMIT).tolist()]


def slider_code(payload):
    """(model, code (1, D)) from the sliders' value, which a client may have made up."""
    if not isinstance(payload, dict) or not payload.get("model"):
        raise ValueError("No model is loaded: choose another dataset.")
    return payload["model"], code_tensor(payload["model"], payload.get("z"))


def sliders_value(model, z):
    """Value of the sliders: dimensions in the order of their mean KL, largest first, each with that KL."""
    kl = load_latents(model).kl
    dims = [[i, f"#{i + 1} · {kl[i]:.2f} nats"] for i in kl.argsort(descending=True).tolist()]
    return {"model": model, "z": z, "dims": dims, "unused": int((kl < COLLAPSED_NATS).sum())}


# --- The stage, and lines of Python that reproduce its picture --------------------------------------------------------

HEAD = 'import genmodels as gm\n\nvae = gm.load("{model}")\n'
TAIL = 'gm.pictures.grid(x, columns=1, scale=8).save("picture.png")\n'


def decode_lines(model, z):
    """Lines that decode a code of the page."""
    code = textwrap.fill(", ".join(map(repr, z)), 100, initial_indent="    ", subsequent_indent="    ")
    z_lines = f"z = torch.tensor([[\n{code}\n]])\nx = vae.decode(z)\n"
    return "import torch\n\n" + HEAD.format(model=model) + z_lines + TAIL


def view(model, z, x=None, lines=None, caption=""):
    """(sliders, stage, lines) for a code (1, D). x: the picture, if it is not the decoded code; then also its lines."""
    z = code_list(z)
    x = load_vae(model).decode(code_tensor(model, z)) if x is None else x
    return sliders_value(model, z), picture(x, caption), lines or decode_lines(model, z)


def picture(x, caption=""):
    return {**raw(x[0]), "caption": caption, "label": f"The picture decoded from the latent code. {caption}"}


def error_view(sentence):
    """(sliders, stage, lines) that show an error's sentence."""
    return {"model": "", "z": [], "dims": [], "unused": 0}, {"message": sentence}, ""


# --- Sliders and samples ----------------------------------------------------------------------------------------------


def move_slider(payload):
    """A slider moved -> stage."""
    model, z = slider_code(payload)
    return picture(load_vae(model).decode(z.round(decimals=3)))


def slider_lines(payload):
    """The sliders rest -> lines. Not at every move: there they would take as long as the picture."""
    model, z = slider_code(payload)
    return decode_lines(model, code_list(z))


def reset(dataset, size):
    model = model_name(dataset, size)
    return view(model, code_tensor(model, []), caption="All numbers 0: the mean of the prior.")


def label_arguments(model, n, seed):
    """Further arguments for the model's `sample`: labels of new faces, if it was trained with labels."""
    return {"label": gm.data.sample_attributes(n, seed=seed)} if load_vae(model).values else {}


def sample(dataset, size, seed, temperature, i=0):
    """Samples, number i of them on the stage -> (tiles, sliders, stage, lines)."""
    model = model_name(dataset, size)
    temperature = gm.base.check_number("temperature", temperature, 0, 2)
    seed = gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    vae, label = load_vae(model), label_arguments(model, SAMPLES, seed)
    z = vae.sample_latents(SAMPLES, seed=seed, temperature=temperature, **label)
    x = vae.decode(z)
    arguments = f"{SAMPLES}, " + ("label=y, " if label else "") + f"seed={seed}"
    arguments += "" if temperature == 1 else f", temperature={temperature:g}"
    label_lines = f"y = gm.data.sample_attributes({SAMPLES}, seed={seed})\n" if label else ""
    lines = HEAD.format(model=model) + label_lines + f"x = vae.sample({arguments})[{i}:{i + 1}]\n" + TAIL
    tiles = {**sheet(x, SAMPLES), "labels": [f"sample {k + 1}" for k in range(SAMPLES)], "chosen": i}
    origin = "random attributes and noise" if label else "random noise"
    return tiles, *view(model, z[i : i + 1], x[i : i + 1], lines, f"Sample {i + 1} of seed {seed}, decoded from {origin}.")


def sample_with_new_seed(dataset, size, temperature):
    seed = wiring.fresh_seed()
    return seed, *sample(dataset, size, seed, temperature)


def choose_sample(dataset, size, seed, temperature, event: gr.EventData):
    return sample(dataset, size, seed, temperature, wiring.number_from_event(event, "index", SAMPLES - 1))[1:]


# --- The visitor's own picture ----------------------------------------------------------------------------------------


def test_tiles(dataset):
    """Test pictures as tiles."""
    x, labels = test_pictures(dataset)
    return {**sheet(x[:TEST_TILES], 10), "labels": labels[:TEST_TILES], "chosen": -1}


def encoding_stats(vae, x):
    """Numbers about the encoding of one picture (1, C, H, W): squared error per pixel, KL and ELBO in nats."""
    log_px, kl = vae.elbo(x)
    error = (vae.reconstruct(x) - x).square().mean()
    return {"squared_error": float(error), "kl": float(kl), "elbo": float(log_px - kl)}


def encode(model, x, lines=None):
    """A picture -> (comparison, report, sliders, stage, lines): its code and its reconstruction."""
    import torch

    vae = load_vae(model)
    z, stats = vae.encode(x).mean, encoding_stats(vae, x)
    x_hat = vae.reconstruct(x) if lines else vae.decode(code_tensor(model, code_list(z)))
    comparison = {
        **sheet(torch.cat([x, x_hat, (x - x_hat).abs()]), 3),
        "labels": ["input", "reconstruction", "absolute difference"],
    }
    report = (
        f"**Squared error** {stats['squared_error']:.4f} per pixel. **KL** {stats['kl']:.1f} nats: the information in the "
        f"code. **ELBO** {stats['elbo']:.1f} nats: a lower bound on the log-probability of this picture."
    )
    return comparison, report, *view(model, z, x_hat, lines, f"Reconstruction of your picture from {vae.latent} numbers.")


def encode_test_picture(dataset, size, event: gr.EventData):
    model, i = model_name(dataset, size), wiring.number_from_event(event, "index", TEST_TILES - 1)
    picture_lines = f'picture = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\nx = vae.reconstruct(picture)\n'
    lines = HEAD.format(model=model) + picture_lines + TAIL
    return encode(model, test_pictures(dataset)[0][i : i + 1], lines)


def encode_drawing(dataset, size, ink):
    if ink is None:
        raise ValueError("The drawing is empty: draw something first.")
    return encode(model_name(dataset, size), gm.data.preprocess(ink, dataset))


def encode_upload(dataset, size, path):
    return encode(model_name(dataset, size), gm.data.preprocess(wiring.read_picture(path), dataset))


# --- The map ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _map(folder, dataset):
    """One map: decoded pictures of a grid of codes, and the codes of the test pictures."""
    import torch

    model = gm.load(folder)
    x, _ = test_pictures(dataset)
    if hasattr(model, "prior"):
        z = model.encode(x).mean
        edge = max(3.0, z.abs().quantile(0.99).item())
        x0, x1, y0, y1 = -edge, edge, -edge, edge
    else:  # the codes of an autoencoder may have any centre and scale
        z = model.encode(x)
        low, high = z.quantile(0.02, 0), z.quantile(0.98, 0)
        (x0, y0), (x1, y1) = (low - 0.2 * (high - low)).tolist(), (high + 0.2 * (high - low)).tolist()
    centers = torch.linspace(0.5, MAP_CELLS - 0.5, MAP_CELLS) / MAP_CELLS
    v, u = torch.meshgrid(centers, centers, indexing="ij")
    codes = torch.stack([x0 + u.flatten() * (x1 - x0), y1 - v.flatten() * (y1 - y0)], 1)  # y points up
    classes = gm.data.samples(dataset).y.tolist()
    # One string: Gradio walks through every list on the page at each message of a stream, also those of other tabs.
    points = " ".join(f"{a:.3f} {b:.3f} {c}" for (a, b), c in zip(z.tolist(), classes))
    return {**sheet(model.decode(codes), MAP_CELLS), "bounds": [x0, x1, y0, y1], "points": points}


def latent_map(dataset):
    """Both maps of a dataset: autoencoder and VAE."""
    if dataset == "avatars":
        return {"message": "Faces need a code of more than two numbers, so they have no map. Choose digits or clothes."}
    maps = []
    for title, name in (("Autoencoder", f"autoencoder-{dataset}"), ("VAE", f"vae-{dataset}-2d")):
        try:
            maps.append({"title": title, **_map(gm.base.checkpoint_folder(name), dataset)})
        except ValueError as e:
            maps.append({"title": title, "message": wiring.sentence(e)})
    return {"maps": maps, "classes": gm.data.CLASSES[dataset]}


def choose_on_map(dataset, seed, temperature, event: gr.EventData):
    """A click on a map -> (size, tiles, sliders, stage, lines)."""
    u, v = (wiring.number_from_event(event, k, 1, whole=False) for k in "uv")
    model = model_name(dataset, "2d")
    x0, x1, y0, y1 = _map(gm.base.checkpoint_folder(model), dataset)["bounds"]
    z = code_tensor(model, [x0 + u * (x1 - x0), y1 - v * (y1 - y0)])
    tiles = {**sample(dataset, "2d", seed, temperature)[0], "chosen": -1}
    return "2d", tiles, *view(model, z, caption="Decoded from the chosen point of the map.")


# --- Interpolation ----------------------------------------------------------------------------------------------------


def initial_pair(model):
    """Codes of two test pictures to start with: [first, last]."""
    x, _ = test_pictures(dataset_of(model))
    indices = [0, 3] if dataset_of(model) == "fashion" else [3, 8]  # a T-shirt becomes a dress, a 3 an 8
    return [code_list(z[None]) for z in load_vae(model).encode(x[indices]).mean]


def interpolated_codes(model, pair, spherical):
    """Interpolated codes between the two of a pair, (FRAMES, D)."""
    z0, z1 = (code_tensor(model, z)[0] for z in pair)
    return gm.vae.interpolate(z0, z1, FRAMES, spherical)


def interpolation(model, pair):
    """(the pair as remembered, frames for the scrubber)."""
    import torch

    x = load_vae(model).decode(torch.cat([interpolated_codes(model, pair, spherical) for spherical in (True, False)]))
    return {"model": model, "pair": pair}, {**sheet(x, FRAMES), "rows": ["spherical (slerp)", "linear"]}


def start_interpolation(dataset, size):
    model = model_name(dataset, size)
    return interpolation(model, initial_pair(model))


def replace_end(dataset, size, memory, end, z):
    """The interpolation with one end of the remembered pair replaced. end: "first" or "last"."""
    model = model_name(dataset, size)
    first, last = memory["pair"] if memory and memory.get("model") == model else initial_pair(model)
    return interpolation(model, [first, z] if end == "last" else [z, last])


def choose_end(dataset, size, memory, end, event: gr.EventData):
    i = wiring.number_from_event(event, "index", TEST_TILES - 1)
    z = load_vae(model_name(dataset, size)).encode(test_pictures(dataset)[0][i : i + 1]).mean
    return replace_end(dataset, size, memory, end, code_list(z))


def stage_as_end(dataset, size, memory, end, payload):
    _, z = slider_code(payload)
    return replace_end(dataset, size, memory, end, code_list(z))


def interpolation_to_stage(memory, event: gr.EventData):
    step, row = wiring.number_from_event(event, "step", FRAMES - 1), wiring.number_from_event(event, "row", 1)
    if not memory:
        raise ValueError("There is no interpolation yet: choose both pictures.")
    z = interpolated_codes(memory["model"], memory["pair"], spherical=row == 0)[step]
    return view(memory["model"], z[None], caption=f"Step {step + 1} of {FRAMES} of the interpolation.")


# --- Editing attributes -----------------------------------------------------------------------------------------------


def attribute_names(dataset):
    """attribute -> names of its values, in the order of the classifier's outputs."""
    return gm.data.ATTRIBUTES if dataset == "avatars" else {"class": gm.data.CLASSES[dataset]}


def target_choices(dataset, attribute):
    """The values that an attribute of this dataset's pictures can be changed to: [(title, name)]."""
    names = attribute_names(dataset).get(attribute, [])
    return [(name.replace("_", " "), name) for name in names]


def classify(dataset, x):
    """The classifier's prediction for one picture: attribute -> (value, probability)."""
    classifier = gm.load(f"classifier-{dataset}")
    predictions = {}
    for (attribute, names), logits in zip(attribute_names(dataset).items(), classifier.logits(x)):
        probability, index = logits.softmax(1)[0].max(0)
        predictions[attribute] = (names[int(index)], float(probability))
    return predictions


def predicted_values(dataset, x):
    """The classifier's prediction for one picture: attribute -> value."""
    label = gm.load(f"classifier-{dataset}").predict(x)[0]
    return gm.data.attribute_values(label) if dataset == "avatars" else {"class": gm.data.CLASSES[dataset][int(label)]}


def edit_code(model, z, values, attribute, target, amount):
    """The code z (1, D) of a picture with attributes `values`, moved so that at amount 1 one of them becomes `target`."""
    latents = load_latents(model)
    vectors = latents.values[gm.base.check_choice("attribute", attribute, list(latents.values))]
    gm.base.check_choice(f"value of {attribute}", target, [value for value in vectors if value != "hidden"])
    after = {"class": target} if attribute == "class" else gm.data.change_attribute(values, attribute, target)
    return latents.change(z, values, after, gm.base.check_number("amount", amount, -3, 3))


def classifier_report(dataset, x):
    """The classifier's prediction in words."""
    parts = [
        f"{FACE_ATTRIBUTES.get(attribute, 'class').lower()} **{value.replace('_', ' ')}** ({probability:.0%})"
        for attribute, (value, probability) in classify(dataset, x).items()
        if attribute in EDITABLE
    ]
    return "An independent classifier says: " + ", ".join(parts) + "."


def start_editing(dataset):
    """For a dataset: each row's visibility, each row's values, each row's strength, then the memory."""
    visible = [dataset == "avatars"] * len(FACE_ATTRIBUTES) + [dataset != "avatars"]
    rows = [gr.update(visible=v) for v in visible]
    targets = [gr.update(choices=[("unchanged", ""), *target_choices(dataset, attribute)], value="") for attribute in EDITABLE]
    strengths = [0.0] * len(EDITABLE)
    return *rows, *targets, *strengths, None


def edit(row, target_chosen, payload, memory, *controls):
    """A row's value was chosen (`target_chosen`) or its strength moved -> (report, memory, strengths, sliders, stage, lines).

    controls: the rows' values, then their strengths. memory: the offset that these edits have added to the code. It is
    subtracted before the edits are applied again, so that what the visitor changed elsewhere stays. Where more than half of
    the code has changed since, it belongs to another picture, and the other rows start again from 0.
    """
    model, z = slider_code(payload)
    targets, strengths = list(controls[: len(EDITABLE)]), list(controls[len(EDITABLE) :])
    if not targets[row] and not target_chosen:
        raise ValueError("Choose a value to change it to first.")
    same_model = memory and memory["model"] == model
    if not same_model or sum(a != b for a, b in zip(memory["z"], code_list(z))) > z.shape[1] / 2:
        memory = {"offset": 0 * z, "values": predicted_values(dataset_of(model), load_vae(model).decode(z))}
        strengths = [strengths[i] if i == row else 0.0 for i in range(len(EDITABLE))]
    if target_chosen:
        strengths[row] = 1.0 if targets[row] else 0.0
    else:
        strengths[row] = gm.base.check_number("strength", strengths[row], -1, 2)
    base = z - memory["offset"]
    z, edits = base, []
    for attribute, target, strength in zip(EDITABLE, targets, strengths):
        if strength and target:
            z = edit_code(model, z, memory["values"], attribute, target, strength)
            before = memory["values"][attribute]
            edits.append(f"{FACE_ATTRIBUTES.get(attribute, 'Class')}: {before} → {target}".replace("_", " "))
    sliders, stage, lines = view(model, z, caption=", ".join(edits))
    report = classifier_report(dataset_of(model), load_vae(model).decode(code_tensor(model, sliders["z"])))
    if targets[row] and memory["values"].get(EDITABLE[row]) == targets[row]:
        value = targets[row].replace("_", " ")
        report = f"The classifier already says {value} for the unedited picture: choose another value. {report}"
    memory = {**memory, "model": model, "z": sliders["z"], "offset": z - base}
    return report, memory, *strengths, sliders, stage, lines


# --- The API ----------------------------------------------------------------------------------------------------------


def test_picture(dataset, i):
    x, _ = test_pictures(dataset)
    i = gm.base.check_number("test picture", i, 0, len(x) - 1, whole=True)
    return x[i : i + 1]


def vae_sample(model="vae-mnist", n=16, seed=0, temperature=1.0):
    """Sample new pictures from a VAE.

    Args:
        model: vae-mnist (digits), vae-fashion (clothes), vae-avatars (faces), or vae-mnist-2d, vae-fashion-2d.
        n: number of pictures, 1 to 64.
        seed: whole number; the same seed gives the same pictures.
        temperature: 0 to 2, multiplies the random code: 0 gives the mean code, 1 samples as in training. Faces are sampled
            for random attributes.
    Returns:
        A PNG with the pictures in rows of 8.
    """
    n = gm.base.check_number("n", n, 1, 64, whole=True)
    seed = gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    temperature = gm.base.check_number("temperature", temperature, 0, 2)
    x = load_vae(model).sample(n, seed=seed, temperature=temperature, **label_arguments(model, n, seed))
    return gm.pictures.grid(x, columns=8, scale=2)


def vae_decode(model="vae-mnist", code=()):
    """Decode a latent code into a picture.

    Args:
        model: one of the VAEs, see vae_sample.
        code: list of numbers from -30 to 30, at most as many as the model's code has; missing ones are 0.
    Returns:
        A PNG, each pixel 8x8.
    """
    return gm.pictures.grid(load_vae(model).decode(code_tensor(model, code)), columns=1, scale=8)


def vae_encode(model="vae-mnist", picture=None, test_picture_number=0):
    """Encode a picture: its latent code, its reconstruction, and the terms of the ELBO.

    Args:
        model: one of the VAEs, see vae_sample.
        picture: a file; it is prepared like the pictures of the model's dataset. Without one, a test picture is used.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
    Returns:
        The code (mean and standard deviation of each number), the squared error per pixel, KL and ELBO in nats; and a PNG
        with the picture as the encoder gets it beside its reconstruction.
    """
    import torch

    vae, dataset = load_vae(model), dataset_of(model)
    if picture is None:
        x = test_picture(dataset, test_picture_number)
    else:
        x = gm.data.preprocess(wiring.read_picture(picture), dataset)
    q = vae.encode(x)
    facts = {"model": model, "mean": q.mean[0].tolist(), "standard_deviation": q.stddev[0].tolist(), **encoding_stats(vae, x)}
    return facts, gm.pictures.grid(torch.cat([x, vae.reconstruct(x)]), columns=2, scale=4)


def vae_interpolate(model="vae-mnist", first=0, second=1, steps=9, spherical=True):
    """Interpolate between the codes of two test pictures.

    Args:
        model: one of the VAEs, see vae_sample.
        first: number of a test picture, 0 to 199 (0 to 99 for faces).
        second: number of another.
        steps: number of pictures, both ends included, 2 to 64.
        spherical: true for spherical interpolation (slerp), which stays where the prior has its mass; false for linear.
    Returns:
        A PNG with the pictures in one row.
    """
    vae = load_vae(model)
    z0, z1 = (vae.encode(test_picture(dataset_of(model), i)).mean[0] for i in (first, second))
    steps = gm.base.check_number("steps", steps, 2, 64, whole=True)
    gm.base.check_choice("spherical", spherical, (True, False))
    return gm.pictures.filmstrip(vae.decode(gm.vae.interpolate(z0, z1, steps, spherical)), scale=2)


def vae_attributes(model="vae-avatars", test_picture_number=0, attribute="glasses", target="sunglasses", amount=1.0):
    """Change one attribute of a test picture by moving its latent code.

    Args:
        model: one of the VAEs, see vae_sample.
        test_picture_number: 0 to 199 (0 to 99 for faces).
        attribute: for faces smiling, glasses, hair_color, hair_length, facial_hair, skin, background or another of
            genmodels.data.ATTRIBUTES; for digits and clothes "class".
        target: the value to move to, such as sunglasses, or "3".
        amount: -3 to 3; 1 adds the full difference between the two values.
    Returns:
        What an independent classifier predicts before and after; and a PNG with both pictures.
    """
    import torch

    vae, dataset = load_vae(model), dataset_of(model)
    z = vae.encode(test_picture(dataset, test_picture_number)).mean
    edited = edit_code(model, z, predicted_values(dataset, vae.decode(z)), attribute, target, amount)
    x = vae.decode(torch.cat([z, edited]))
    facts = {}
    for key, one in (("before", x[:1]), ("after", x[1:])):
        predictions = classify(dataset, one)
        facts[key] = {name: {"value": value, "probability": round(p, 4)} for name, (value, p) in predictions.items()}
    return facts, gm.pictures.grid(x, columns=2, scale=4)


def endpoints():
    """The functions above under their own names. They check what they are called with; the components do not."""

    def model(default):
        return gr.Dropdown(list(MODELS), value=default, label="model", visible=False)

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def text(label, value):
        return gr.Textbox(value, label=label, visible=False)

    facts = gr.JSON(visible=False, label="facts")
    png = gr.Image(format="png", label="picture", visible=False)
    file = picture_upload(visible=False, label="picture")
    code = gr.JSON([0.0], label="code", visible=False)
    spherical = gr.Checkbox(True, label="spherical", visible=False)
    test_number = boxes(test_picture_number=0)
    attribute, target = text("attribute", "glasses"), text("target", "sunglasses")
    wiring.endpoint(vae_sample, [model("vae-mnist"), *boxes(n=16, seed=0, temperature=1)], png)
    wiring.endpoint(vae_decode, [model("vae-mnist"), code], png)
    wiring.endpoint(vae_encode, [model("vae-mnist"), file, *test_number], [facts, png])
    wiring.endpoint(vae_interpolate, [model("vae-mnist"), *boxes(first=0, second=1, steps=9), spherical], png)
    wiring.endpoint(vae_attributes, [model("vae-avatars"), *test_number, attribute, target, *boxes(amount=1)], [facts, png])


# --- Layout -----------------------------------------------------------------------------------------------------------


def size_choices(dataset):
    return [(f"Full code ({LATENT_SIZES[dataset]})", "full"), ("2-D code", "2d")]


def open_model(dataset, size, seed, temperature):
    """Another model -> (size, tiles, sliders, stage, lines)."""
    sizes = gr.update(choices=size_choices(dataset), visible=dataset != "avatars")
    return sizes, *sample(dataset, size, seed, temperature)


def model_error(sentence):
    """What `open_model` gives, for a model that cannot be loaded."""
    return gr.update(), None, *error_view(sentence)


def open_test_tiles(dataset):
    """Test pictures for both tools, and whether there is a pad to draw on."""
    tiles = test_tiles(dataset)
    return tiles, tiles, gr.update(visible=dataset != "avatars")


def about(dataset, size):
    """The models of the tab in a table, and the card of the selected one."""
    classifiers = [f"classifier-{name}" for name in ("mnist", "fashion", "avatars")]
    names = [*MODELS, "autoencoder-mnist", "autoencoder-fashion", *classifiers]
    return wiring.models_table(names) + "\n\n" + wiring.card(model_name(dataset, size))


def augmentation():
    """The result of `train.augmentation`, in words."""
    try:
        return json.loads((wiring.checkpoints() / "vae-mnist" / "augmentation.json").read_text(encoding="utf-8"))["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return "(The measurement is missing: it belongs in checkpoints/vae-mnist/augmentation.json.)"


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    classifiers = [f"classifier-{name}" for name in gm.data.DATASETS]
    return [
        *(functools.partial(gm.load, name) for name in (*MODELS, *classifiers)),
        *(functools.partial(latent_map, dataset) for dataset in gm.data.CLASSES),
    ]


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    gr.Markdown(
        "A **variational autoencoder (VAE)** learns to compress pictures into short latent codes and to decode new pictures "
        "from random codes: move a slider of the code, and the picture follows.",
        elem_classes="hint",
    )
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [("Digits", "mnist"), ("Clothes", "fashion"), ("Faces", "avatars")],
            value="mnist",
            label="Dataset",
            show_label=False,
            container=False,
            elem_id="vae-dataset",
            min_width=330,
        )
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes="card"):
            gr.Markdown("### Latent code")
            gr.Markdown(
                "To the model, a picture is this list of numbers. **Move one.** They are sorted by their mean KL: how "
                "much each tells about a picture, in nats.",
                elem_classes="hint",
            )
            size = gr.Radio(
                size_choices("mnist"),
                value="full",
                label="Size of the latent code",
                show_label=False,
                container=False,
                elem_id="vae-size",
                elem_classes="small-pills",
            )
            sliders = Sliders(elem_id="vae-sliders")
        with gr.Column(scale=8, min_width=300, elem_classes=["card", "on-stage"]):
            stage = Stage(poster=wiring.poster("vae-mnist"), elem_id="vae-stage", elem_classes="live-picture")
            tiles = Tiles(columns=6, name="Samples", elem_id="vae-samples")
            new, seed, zero = wiring.seed_row("New samples", "Reset")
            temperature = gr.Slider(
                0,
                2,
                1,
                step=0.05,
                label="Temperature (0: no noise, 1: as trained)",
                buttons=[],
                elem_id="vae-spread",
                elem_classes="plain",
            )
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Map", id="map"):
                gr.Markdown(
                    "If a code has only **two** numbers, all pictures fit on a map. Point at it to see what a code "
                    "decodes to; click to put that code on the sliders.",
                    elem_classes="hint",
                )
                the_map = LatentMap(elem_id="vae-map")
                gr.Markdown(
                    "An **autoencoder** may put its codes anywhere: some are crowded together, and between them are "
                    "regions that it never learned to decode. A **VAE** must fill a round cloud in the middle: every "
                    "point there decodes to a picture, and neighbours look alike.",
                    elem_classes="hint",
                )
            with gr.Tab("Your picture", id="own"):
                gr.Markdown(
                    "Choose a test picture (not used in training), or bring your own. The encoder turns it into a "
                    "latent code, and the decoder reconstructs it from the code alone.",
                    elem_classes="hint",
                )
                own_tiles = Tiles(columns=10, name="Test pictures", elem_id="vae-own")
                with gr.Row():
                    with gr.Column(min_width=150) as drawing:
                        pad = DrawPad(elem_id="vae-pad")
                    with gr.Column(min_width=150):
                        upload = picture_upload(
                            label="Upload a picture", show_label=False, height=224, elem_id="vae-upload", elem_classes="upload"
                        )
                comparison = Tiles(pick=False, columns=3, name="Input and reconstruction", elem_id="vae-pair")
                report = gr.Markdown(elem_id="vae-report")
            with gr.Tab("Interpolate", id="between"):
                gr.Markdown("The code of one picture turns into that of another, step by step.", elem_classes="hint")
                frames = Scrubber(action="Show large", ends=("first", "last"), elem_id="vae-frames")
                with gr.Row(elem_classes="small-controls"):
                    end = gr.Radio(
                        [("first picture", "first"), ("last picture", "last")],
                        value="first",
                        label="Choose another",
                        scale=2,
                        elem_id="vae-which",
                    )
                    use_stage = gr.Button("Use the large picture", scale=1, min_width=150, size="md")
                end_tiles = Tiles(columns=10, name="Test pictures", elem_id="vae-ends")
                interpolation_memory = gr.State()
            with gr.Tab("Edit attributes", id="change"):
                gr.Markdown(
                    "What glasses add to the code, on average, is a direction in latent space. Move the large picture "
                    "along such directions, several at once.",
                    elem_classes="hint",
                )
                rows, targets, strengths = [], [], []
                for attribute in EDITABLE:
                    with gr.Row(elem_classes=["small-controls", "change"], visible=False) as row:
                        targets.append(
                            gr.Dropdown(
                                [("unchanged", "")],
                                value="",
                                label=FACE_ATTRIBUTES.get(attribute, "Class"),
                                scale=2,
                                min_width=120,
                                elem_id=f"vae-{attribute}",
                                elem_classes="plain",
                            )
                        )
                        strengths.append(
                            gr.Slider(
                                -1,
                                2,
                                0,
                                step=0.05,
                                label="Strength",
                                buttons=[],
                                scale=3,
                                min_width=140,
                                elem_id=f"vae-{attribute}-amount",
                                elem_classes="plain",
                            )
                        )
                    rows.append(row)
                edit_memory = gr.State()
                edit_report = gr.Markdown(elem_id="vae-verdict")
    lines = wiring.python_panel("vae")
    wiring.explanation(__file__, measured=wiring.measured("vae-mnist"), augmentation=augmentation())
    with gr.Accordion("The models and their measurements", open=False):
        card = gr.Markdown()

    model = [dataset, size]
    view_outputs = [sliders, stage, lines]
    wiring.live(sliders.input, move_slider, sliders, stage)
    wiring.live(sliders.release, slider_lines, sliders, lines)
    wiring.act(new.click, sample_with_new_seed, [*model, temperature], [seed, tiles, *view_outputs])
    # A seed that is only half typed shows no error.
    wiring.live(seed.input, sample, [*model, seed, temperature], [tiles, *view_outputs], lambda s: [gr.skip()] * 4)
    wiring.live(temperature.input, sample, [*model, seed, temperature], [tiles, *view_outputs])
    wiring.live(tiles.input, choose_sample, [*model, seed, temperature], view_outputs)
    wiring.act(zero.click, reset, model, view_outputs)
    wiring.act(own_tiles.input, encode_test_picture, model, [comparison, report, *view_outputs])
    wiring.live(pad.input, encode_drawing, [*model, pad], [comparison, report, *view_outputs])
    wiring.act(upload.upload, encode_upload, [*model, upload], [comparison, report, *view_outputs])
    wiring.act(the_map.click, choose_on_map, [dataset, seed, temperature], [size, tiles, *view_outputs])
    wiring.act(end_tiles.input, choose_end, [*model, interpolation_memory, end], [interpolation_memory, frames])
    wiring.act(use_stage.click, stage_as_end, [*model, interpolation_memory, end, sliders], [interpolation_memory, frames])
    wiring.act(frames.release, interpolation_to_stage, interpolation_memory, view_outputs)
    edit_inputs = [sliders, edit_memory, *targets, *strengths]
    edit_outputs = [edit_report, edit_memory, *strengths, *view_outputs]
    for i, (target, strength) in enumerate(zip(targets, strengths)):
        wiring.act(target.input, functools.partial(edit, i, True), edit_inputs, edit_outputs)
        wiring.live(strength.input, functools.partial(edit, i, False), edit_inputs, edit_outputs)

    opening = open_model, [*model, seed, temperature], [size, tiles, *view_outputs], model_error
    wiring.act(size.input, *opening)
    dataset_events = [wiring.act(opened, *opening), wiring.act(dataset.input, *opening)]
    for event in dataset_events:
        wiring.act(event.then, open_test_tiles, dataset, [own_tiles, end_tiles, drawing])
        wiring.act(event.then, latent_map, dataset, the_map)
    for trigger in (*(event.then for event in dataset_events), size.change):
        wiring.act(trigger, start_interpolation, model, [interpolation_memory, frames], lambda s: (None, {"message": s}))
        wiring.act(trigger, start_editing, dataset, [*rows, *targets, *strengths, edit_memory])
        wiring.act(trigger, about, model, card)
    endpoints()
