"""Autoencoder and variational autoencoder: a picture as a few numbers, and pictures from numbers."""

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
LIMIT = 30  # of each number of a code
UNUSED = 0.01  # nats: a number of the code with less is not used by the model
SAMPLES, SHOWN, FRAMES, CELLS = 12, 20, 17, 28  # new pictures, test pictures, steps between two, cells a side of a map
FEATURES = {  # attributes of faces that can be changed on the page
    "smiling": "Smile",
    "glasses": "Glasses",
    "hair_color": "Hair colour",
    "hair_length": "Hair length",
    "facial_hair": "Beard",
    "skin": "Skin",
    "background": "Background",
}
CHANGES = (*FEATURES, "class")  # one row of controls each


# --- Codes and what is known about them -------------------------------------------------------------------------------


def model_of(dataset, size):
    """Name of the model for a data set and "full" or "2d"; faces have no map."""
    return f"vae-{dataset}" + ("-2d" if size == "2d" and dataset != "avatars" else "")


def set_of(model):
    return model.split("-")[1]


def vae_of(model):
    """One of this tab's models: a name from a visitor never becomes a path."""
    return gm.load(gm.base.check_choice("model", model, MODELS))


def latents_of(model):
    return _latents(gm.base.checkpoint_folder(model))


@functools.lru_cache(maxsize=16)
def _latents(folder):
    return gm.vae.load_latents(folder)


@functools.lru_cache(maxsize=4)
def test_pictures(dataset):
    """(x (N, C, H, W) in [0, 1], a name for each): the pictures that ship with the package."""
    samples = gm.data.samples(dataset)
    classes = gm.data.CLASSES.get(dataset)
    what = [classes[c] for c in samples.y.tolist()] if classes else ["face"] * len(samples)
    return samples.floats(), [f"{name} (test picture {i})" for i, name in enumerate(what)]


def tensor(model, z):
    """A code from the page as a tensor (1, D), each number checked."""
    import torch

    d = vae_of(model).latent
    if not isinstance(z, (list, tuple)) or len(z) > d:
        raise ValueError(f"A code of {model} must be a list of at most {d} numbers (missing ones are 0).")
    return torch.tensor([[gm.base.check_number("each number of a code", v, -LIMIT, LIMIT) for v in z] + [0.0] * (d - len(z))])


def numbers(z):
    """A code (1, D) as the page's list: rounded, so that sliders and lines of Python say exactly what is drawn."""
    return [round(v, 3) for v in z[0].clamp(-LIMIT, LIMIT).tolist()]


def on_sliders(payload):
    """(model, code (1, D)) from the value of the sliders, which anyone may have sent."""
    if not isinstance(payload, dict) or not payload.get("model"):
        raise ValueError("There is no model on the sliders: choose another data set.")
    return payload["model"], tensor(payload["model"], payload.get("z"))


def slider_bank(model, z):
    """Value of the sliders: the numbers that matter most first, each with its measured KL."""
    kl = latents_of(model).kl
    dims = [[i, f"#{i + 1} · {kl[i]:.2f} nats"] for i in kl.argsort(descending=True).tolist()]
    return {"model": model, "z": z, "dims": dims, "unused": int((kl < UNUSED).sum())}


# --- Lines of Python that make what is on the stage -------------------------------------------------------------------

HEAD = 'import genmodels as gm\n\nvae = gm.load("{model}")\n'
TAIL = 'gm.pictures.grid(x, columns=1, scale=8).save("picture.png")\n'


def decode_lines(model, z):
    """Lines for a code of the page."""
    code = textwrap.fill(", ".join(map(repr, z)), 100, initial_indent="    ", subsequent_indent="    ")
    z_lines = f"z = torch.tensor([[\n{code}\n]])\nx = vae.decode(z)\n"
    return "import torch\n\n" + HEAD.format(model=model) + z_lines + TAIL


def view(model, z, x=None, lines=None, caption=""):
    """(sliders, stage, lines) for a code (1, D). x: the picture, if it is not the decoded code; then also its lines."""
    z = numbers(z)
    x = vae_of(model).decode(tensor(model, z)) if x is None else x
    return slider_bank(model, z), picture(x, caption), lines or decode_lines(model, z)


def picture(x, caption=""):
    return {**raw(x[0]), "caption": caption, "label": f"The picture that the model draws from the code. {caption}"}


def no_view(sentence):
    """(sliders, stage, lines) that say what is wrong."""
    return {"model": "", "z": [], "dims": [], "unused": 0}, {"message": sentence}, ""


# --- Sliders and new pictures -----------------------------------------------------------------------------------------


def move(payload):
    """A slider moved -> stage."""
    model, z = on_sliders(payload)
    return picture(vae_of(model).decode(z.round(decimals=3)))


def moved_lines(payload):
    """The sliders rest -> lines: at each move they would cost as much as the picture."""
    model, z = on_sliders(payload)
    return decode_lines(model, numbers(z))


def reset(dataset, size):
    model = model_of(dataset, size)
    return view(model, tensor(model, []), caption="All numbers 0: the middle of everything it knows.")


def asked(model, n, seed):
    """What to ask the model's `sample` for beside n and seed: labels of new faces, if it was trained with labels."""
    return {"label": gm.data.sample_attributes(n, seed=seed)} if vae_of(model).values else {}


def sample(dataset, size, seed, spread, i=0):
    """New pictures, number i of them on the stage -> (tiles, sliders, stage, lines)."""
    model, spread = model_of(dataset, size), gm.base.check_number("daring", spread, 0, 2)
    seed = gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    label = asked(model, SAMPLES, seed)
    z = vae_of(model).codes(SAMPLES, seed=seed, temperature=spread, **label)
    x = vae_of(model).decode(z)
    warmth = "" if spread == 1 else f", temperature={spread:g}"
    y, labelled = (f"y = gm.data.sample_attributes({SAMPLES}, seed={seed})\n", "label=y, ") if label else ("", "")
    lines = HEAD.format(model=model) + y + f"x = vae.sample({SAMPLES}, {labelled}seed={seed}{warmth})[{i}:{i + 1}]\n" + TAIL
    tiles = {**sheet(x, SAMPLES), "labels": [f"new picture {k + 1}" for k in range(SAMPLES)], "chosen": i}
    of = "from attributes chosen at random" if label else "from random numbers"
    return tiles, *view(model, z[i : i + 1], x[i : i + 1], lines, f"Picture {i + 1} of seed {seed}, made up {of}.")


def sample_again(dataset, size, spread):
    seed = wiring.fresh_seed()
    return seed, *sample(dataset, size, seed, spread)


def choose_sample(dataset, size, seed, spread, event: gr.EventData):
    return sample(dataset, size, seed, spread, wiring.number_from_event(event, "index", SAMPLES - 1))[1:]


# --- The visitor's own picture ----------------------------------------------------------------------------------------


def choices(dataset):
    """Test pictures as tiles."""
    x, labels = test_pictures(dataset)
    return {**sheet(x[:SHOWN], 10), "labels": labels[:SHOWN], "chosen": -1}


def measure(vae, x):
    """What encoding one picture (1, C, H, W) costs: error a pixel, KL and ELBO in nats."""
    log_px, kl = vae.elbo(x)
    error = (vae.reconstruct(x) - x).square().mean()
    return {"squared_error": float(error), "kl": float(kl), "elbo": float(log_px - kl)}


def encode(model, x, lines=None):
    """A picture -> (comparison, report, sliders, stage, lines): its code, and what the model draws from that."""
    import torch

    vae = vae_of(model)
    z, facts = vae.encode(x).mean, measure(vae, x)
    x_hat = vae.reconstruct(x) if lines else vae.decode(tensor(model, numbers(z)))
    pair = {
        **sheet(torch.cat([x, x_hat, (x - x_hat).abs()]), 3),
        "labels": ["what the model sees", "what it draws", "difference"],
    }
    report = (
        f"**Squared error** {facts['squared_error']:.4f} a pixel. **KL** {facts['kl']:.1f} nats: how much the code "
        f"says. **ELBO** {facts['elbo']:.1f} nats: a floor under the log-probability of this picture."
    )
    return pair, report, *view(model, z, x_hat, lines, f"Drawn from the {vae.latent} numbers of your picture.")


def encode_choice(dataset, size, event: gr.EventData):
    model, i = model_of(dataset, size), wiring.number_from_event(event, "index", SHOWN - 1)
    taken = f'picture = gm.data.samples("{dataset}").floats()[{i}:{i + 1}]\nx = vae.reconstruct(picture)\n'
    lines = HEAD.format(model=model) + taken + TAIL
    return encode(model, test_pictures(dataset)[0][i : i + 1], lines)


def encode_drawing(dataset, size, ink):
    if ink is None:
        raise ValueError("The drawing is empty: draw something first.")
    return encode(model_of(dataset, size), gm.data.preprocess(ink, dataset))


def encode_upload(dataset, size, path):
    return encode(model_of(dataset, size), gm.data.preprocess(wiring.read_picture(path), dataset))


# --- The map ----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _map(folder, dataset):
    """One map: the pictures of a square of codes, and where the test pictures lie."""
    import torch

    model, (x, _) = gm.load(folder), test_pictures(dataset)
    if hasattr(model, "prior"):
        z = model.encode(x).mean
        edge = max(3.0, z.abs().quantile(0.99).item())
        x0, x1, y0, y1 = -edge, edge, -edge, edge
    else:  # an autoencoder puts its codes anywhere
        z = model.encode(x)
        low, high = z.quantile(0.02, 0), z.quantile(0.98, 0)
        (x0, y0), (x1, y1) = (low - 0.2 * (high - low)).tolist(), (high + 0.2 * (high - low)).tolist()
    middles = torch.linspace(0.5, CELLS - 0.5, CELLS) / CELLS
    v, u = torch.meshgrid(middles, middles, indexing="ij")
    codes = torch.stack([x0 + u.flatten() * (x1 - x0), y1 - v.flatten() * (y1 - y0)], 1)  # y points up
    classes = gm.data.samples(dataset).y.tolist()
    # one string: Gradio walks through every list on the page at each message of a stream, another tab's too
    points = " ".join(f"{a:.3f} {b:.3f} {c}" for (a, b), c in zip(z.tolist(), classes))
    return {**sheet(model.decode(codes), CELLS), "reach": [x0, x1, y0, y1], "points": points}


def latent_map(dataset):
    """Both maps of a data set: autoencoder and VAE."""
    if dataset == "avatars":
        return {"message": "A face needs more than two numbers, so there is no map of faces. Choose digits or clothes."}
    maps = []
    for title, name in (("Autoencoder", f"autoencoder-{dataset}"), ("VAE", f"vae-{dataset}-2d")):
        try:
            maps.append({"title": title, **_map(gm.base.checkpoint_folder(name), dataset)})
        except ValueError as e:
            maps.append({"title": title, "message": wiring.error_message(e)})
    return {"maps": maps, "classes": gm.data.CLASSES[dataset]}


def go_there(dataset, seed, spread, event: gr.EventData):
    """A click on a map -> (size, tiles, sliders, stage, lines)."""
    u, v = (wiring.number_from_event(event, k, 1, whole=False) for k in "uv")
    model = model_of(dataset, "2d")
    x0, x1, y0, y1 = _map(gm.base.checkpoint_folder(model), dataset)["reach"]
    z = tensor(model, [x0 + u * (x1 - x0), y1 - v * (y1 - y0)])
    tiles = {**sample(dataset, "2d", seed, spread)[0], "chosen": -1}
    return "2d", tiles, *view(model, z, caption="From the place on the map.")


# --- Between two pictures ---------------------------------------------------------------------------------------------


def ends(model):
    """Codes of two test pictures, to begin with: [first, second]."""
    x, _ = test_pictures(set_of(model))
    pair = [0, 3] if set_of(model) == "fashion" else [3, 8]  # a T-shirt becomes a dress, a 3 an 8
    return [numbers(z[None]) for z in vae_of(model).encode(x[pair]).mean]


def way(model, pair, spherical):
    """Codes on the way between two, (FRAMES, D)."""
    return gm.vae.interpolate(*(tensor(model, z)[0] for z in pair), FRAMES, spherical)


def between(model, pair):
    """(the pair as remembered, frames for the scrubber)."""
    import torch

    vae = vae_of(model)
    x = vae.decode(torch.cat([way(model, pair, spherical) for spherical in (True, False)]))
    rows = ["round the middle (spherical)", "straight line"]
    return {"model": model, "pair": pair}, {**sheet(x, FRAMES), "rows": rows}


def begin_between(dataset, size):
    model = model_of(dataset, size)
    return between(model, ends(model))


def replace_end(dataset, size, memory, which, z):
    """The remembered pair with one end replaced."""
    model = model_of(dataset, size)
    pair = list(memory["pair"] if memory and memory.get("model") == model else ends(model))
    pair[1 if which == "last" else 0] = z
    return between(model, pair)


def choose_end(dataset, size, memory, which, event: gr.EventData):
    i = wiring.number_from_event(event, "index", SHOWN - 1)
    z = vae_of(model_of(dataset, size)).encode(test_pictures(dataset)[0][i : i + 1]).mean
    return replace_end(dataset, size, memory, which, numbers(z))


def stage_as_end(dataset, size, memory, which, payload):
    return replace_end(dataset, size, memory, which, numbers(on_sliders(payload)[1]))


def between_to_stage(memory, event: gr.EventData):
    step, row = wiring.number_from_event(event, "step", FRAMES - 1), wiring.number_from_event(event, "row", 1)
    if not memory:
        raise ValueError("There is no way between two pictures yet: choose both.")
    z = way(memory["model"], memory["pair"], row == 0)[step]
    return view(memory["model"], z[None], caption=f"Step {step + 1} of {FRAMES} between two pictures.")


# --- Changing one thing -----------------------------------------------------------------------------------------------


def values_of(dataset, attribute):
    """The values of an attribute that pictures of this set can be moved to: [(shown, name)]."""
    names = gm.data.ATTRIBUTES.get(attribute) if dataset == "avatars" else gm.data.CLASSES[dataset]
    return [(name.replace("_", " "), name) for name in names or []]


def read(dataset, x):
    """What the judge sees in one picture: attribute -> (value, probability)."""
    judge = gm.load(f"classifier-{dataset}")
    names = gm.data.ATTRIBUTES if dataset == "avatars" else {"class": gm.data.CLASSES[dataset]}
    best = [scores.softmax(1)[0].max(0) for scores in judge.logits(x)]
    return {attribute: (values[int(i)], float(p)) for (attribute, values), (p, i) in zip(names.items(), best)}


def seen_in(dataset, x):
    """The judge's verdict on one picture: attribute -> value."""
    seen = gm.load(f"classifier-{dataset}").predict(x)[0]
    return gm.data.attribute_values(seen) if dataset == "avatars" else {"class": gm.data.CLASSES[dataset][int(seen)]}


def towards(model, z, seen, attribute, target, amount):
    """The code z (1, D) of a picture in which `seen` was seen, moved until (at amount 1) one of its values is `target`."""
    latents = latents_of(model)
    known = latents.values[gm.base.check_choice("attribute", attribute, list(latents.values))]
    gm.base.check_choice(f"value of {attribute}", target, [value for value in known if value != "hidden"])
    after = {"class": target} if attribute == "class" else gm.data.change_attribute(seen, attribute, target)
    return latents.change(z, seen, after, gm.base.check_number("amount", amount, -3, 3))


def verdict(dataset, x):
    """The judge's view in words."""
    seen = read(dataset, x)
    parts = [
        f"{FEATURES.get(a, 'class').lower()} **{v.replace('_', ' ')}** ({p:.0%})"
        for a, (v, p) in seen.items()
        if a in FEATURES or a == "class"
    ]
    return "The judge, a separate model, sees: " + ", ".join(parts) + "."


def begin_change(dataset):
    """(a row of controls each: shown or not, its values, its strength; then the memory) for a data set."""
    rows = [dataset == "avatars"] * len(FEATURES) + [dataset != "avatars"]
    values = [gr.update(choices=[("as it is", ""), *values_of(dataset, attribute)], value="") for attribute in CHANGES]
    return *(gr.update(visible=shown) for shown in rows), *values, *([0.0] * len(CHANGES)), None


def change(row, fully, payload, memory, *controls):
    """One row's value was chosen (`fully`) or its strength moved -> (report, memory, strengths, sliders, stage, lines).

    controls: the rows' values, then their strengths. memory: what they added to the code so far, so that other changes of
    the code stay; it counts as long as the code is still much the same, else the other rows begin anew.
    """
    model, z = on_sliders(payload)
    targets, amounts = list(controls[: len(CHANGES)]), list(controls[len(CHANGES) :])
    if not targets[row] and not fully:
        raise ValueError("Choose what to change it to first.")
    same = memory and memory["model"] == model
    if not same or sum(a != b for a, b in zip(memory["z"], numbers(z))) > z.shape[1] / 2:
        memory = {"added": 0 * z, "seen": seen_in(set_of(model), vae_of(model).decode(z))}
        amounts = [amounts[i] if i == row else 0.0 for i in range(len(CHANGES))]
    amounts[row] = float(bool(targets[row])) if fully else gm.base.check_number("strength", amounts[row], -1, 2)
    base, done = z - memory["added"], []
    z = base
    for attribute, target, amount in zip(CHANGES, targets, amounts):
        if amount and target:
            z = towards(model, z, memory["seen"], attribute, target, amount)
            before = memory["seen"][attribute]
            done.append(f"{FEATURES.get(attribute, 'Class')}: {before} → {target}".replace("_", " "))
    sliders, stage, lines = view(model, z, caption=", ".join(done))
    report = verdict(set_of(model), vae_of(model).decode(tensor(model, sliders["z"])))
    if targets[row] and memory["seen"].get(CHANGES[row]) == targets[row]:
        report = f"The judge already sees {targets[row].replace('_', ' ')} here: choose another value. " + report
    memory = {**memory, "model": model, "z": sliders["z"], "added": z - base}
    return report, memory, *amounts, sliders, stage, lines


# --- The programming interface ----------------------------------------------------------------------------------------


def test_picture(dataset, i):
    x, _ = test_pictures(dataset)
    i = gm.base.check_number("test picture", i, 0, len(x) - 1, whole=True)
    return x[i : i + 1]


def vae_sample(model="vae-mnist", n=16, seed=0, spread=1.0):
    """Draw new pictures from a VAE.

    Args:
        model: vae-mnist (digits), vae-fashion (clothes), vae-avatars (faces), or vae-mnist-2d, vae-fashion-2d.
        n: how many, 1 to 64.
        seed: whole number; the same seed gives the same pictures.
        spread: 0 to 2, times the random code: 0 the average picture, 1 as trained. Faces begin with random attributes.
    Returns:
        A PNG with the pictures in rows of 8.
    """
    n, seed = gm.base.check_number("n", n, 1, 64, whole=True), gm.base.check_number("seed", seed, 0, 2**31, whole=True)
    spread = gm.base.check_number("spread", spread, 0, 2)
    x = vae_of(model).sample(n, seed=seed, temperature=spread, **asked(model, n, seed))
    return gm.pictures.grid(x, columns=8, scale=2)


def vae_decode(model="vae-mnist", code=()):
    """Decode a code into a picture.

    Args:
        model: one of the VAEs, see vae_sample.
        code: list of numbers from -30 to 30, at most as many as the model's code has; missing ones are 0.
    Returns:
        A PNG, each pixel 8x8.
    """
    return gm.pictures.grid(vae_of(model).decode(tensor(model, code)), columns=1, scale=8)


def vae_encode(model="vae-mnist", picture=None, test_picture_number=0):
    """Encode a picture: its code, what the model draws from that, and the cost.

    Args:
        model: one of the VAEs, see vae_sample.
        picture: a file; it is prepared as the data set's own pictures were. Without one, a test picture is taken.
        test_picture_number: 0 to 199 (0 to 99 for faces), used when there is no file.
    Returns:
        The code (mean and standard deviation of each number), the squared error a pixel, KL and ELBO in nats; and a PNG
        with the picture as the model sees it beside its reconstruction.
    """
    import torch

    vae = vae_of(model)
    x = (
        test_picture(set_of(model), test_picture_number)
        if picture is None
        else gm.data.preprocess(wiring.read_picture(picture), set_of(model))
    )
    q = vae.encode(x)
    facts = {"model": model, "mean": q.mean[0].tolist(), "standard_deviation": q.stddev[0].tolist(), **measure(vae, x)}
    return facts, gm.pictures.grid(torch.cat([x, vae.reconstruct(x)]), columns=2, scale=4)


def vae_interpolate(model="vae-mnist", first=0, second=1, steps=9, spherical=True):
    """Pictures on the way between two test pictures.

    Args:
        model: one of the VAEs, see vae_sample.
        first: number of a test picture, 0 to 199 (0 to 99 for faces).
        second: number of another.
        steps: how many pictures, both ends included, 2 to 64.
        spherical: true to go round the middle, where most codes lie; false for the straight line.
    Returns:
        A PNG with the pictures in one row.
    """
    vae = vae_of(model)
    z = [vae.encode(test_picture(set_of(model), i)).mean[0] for i in (first, second)]
    steps = gm.base.check_number("steps", steps, 2, 64, whole=True)
    gm.base.check_choice("spherical", spherical, (True, False))
    return gm.pictures.filmstrip(vae.decode(gm.vae.interpolate(*z, steps, spherical)), scale=2)


def vae_attributes(model="vae-avatars", test_picture_number=0, attribute="glasses", target="sunglasses", amount=1.0):
    """Change one attribute of a test picture by moving its code.

    Args:
        model: one of the VAEs, see vae_sample.
        test_picture_number: 0 to 199 (0 to 99 for faces).
        attribute: for faces smiling, glasses, hair_color, hair_length, facial_hair, skin, background or another of
            genmodels.data.ATTRIBUTES; for digits and clothes "class".
        target: the value to move to, such as sunglasses, or "3".
        amount: -3 to 3; 1 goes the whole way.
    Returns:
        What the judge, a separate classifier, reads before and after; and a PNG with both pictures.
    """
    import torch

    vae, dataset = vae_of(model), set_of(model)
    z = vae.encode(test_picture(dataset, test_picture_number)).mean
    moved = towards(model, z, seen_in(dataset, vae.decode(z)), attribute, target, amount)
    x = vae.decode(torch.cat([z, moved]))
    facts = {
        when: {a: {"value": v, "probability": round(p, 4)} for a, (v, p) in read(dataset, one).items()}
        for when, one in (("before", x[:1]), ("after", x[1:]))
    }
    return facts, gm.pictures.grid(x, columns=2, scale=4)


def endpoints():
    """The functions above under their own names. They check what they are called with; the components do not."""

    def model(default):
        return gr.Dropdown(list(MODELS), value=default, label="model", visible=False)

    def boxes(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def text(label, value):
        return gr.Textbox(value, label=label, visible=False)

    facts, png = gr.JSON(visible=False, label="facts"), gr.Image(format="png", label="picture", visible=False)
    file = picture_upload(visible=False, label="picture")
    code, spherical = gr.JSON([0.0], label="code", visible=False), gr.Checkbox(True, label="spherical", visible=False)
    one = boxes(test_picture_number=0)
    wiring.endpoint(vae_sample, [model("vae-mnist"), *boxes(n=16, seed=0, spread=1)], png)
    wiring.endpoint(vae_decode, [model("vae-mnist"), code], png)
    wiring.endpoint(vae_encode, [model("vae-mnist"), file, *one], [facts, png])
    wiring.endpoint(vae_interpolate, [model("vae-mnist"), *boxes(first=0, second=1, steps=9), spherical], png)
    change_what = text("attribute", "glasses"), text("target", "sunglasses")
    wiring.endpoint(vae_attributes, [model("vae-avatars"), *one, *change_what, *boxes(amount=1)], [facts, png])


# --- Layout -----------------------------------------------------------------------------------------------------------


def open_model(dataset, size, seed, spread):
    """Another model -> (size, tiles, sliders, stage, lines)."""
    return gr.update(visible=dataset != "avatars"), *sample(dataset, size, seed, spread)


def no_model(sentence):
    return gr.update(), None, *no_view(sentence)


def open_choices(dataset):
    """Test pictures for both tools, and whether one can draw."""
    tiles = choices(dataset)
    return tiles, tiles, gr.update(visible=dataset != "avatars")


def about(dataset, size):
    """The models of the tab in a table, and the card of the one on stage."""
    judges = [f"classifier-{name}" for name in ("mnist", "fashion", "avatars")]
    others = ["autoencoder-mnist", "autoencoder-fashion", *judges]
    return wiring.models_table([*MODELS, *others]) + "\n\n" + wiring.card(model_of(dataset, size))


def augmentation():
    """What was measured about a VAE's pictures as training data, in words."""
    try:
        return json.loads((wiring.checkpoints() / "vae-mnist" / "augmentation.json").read_text(encoding="utf-8"))["text"]
    except (OSError, ValueError, KeyError, TypeError):
        return "(The measurement is missing: it belongs in checkpoints/vae-mnist/augmentation.json.)"


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    judges = [f"classifier-{name}" for name in gm.data.DATASETS]
    return [
        *(functools.partial(gm.load, name) for name in (*MODELS, *judges)),
        *(functools.partial(latent_map, dataset) for dataset in gm.data.CLASSES),
    ]


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    with gr.Row(elem_classes="choices"):
        dataset = gr.Radio(
            [("Digits", "mnist"), ("Clothes", "fashion"), ("Faces", "avatars")],
            value="mnist",
            label="Pictures",
            show_label=False,
            container=False,
            elem_id="vae-dataset",
            min_width=330,
        )
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes="card"):
            gr.Markdown("### The code")
            gr.Markdown(
                "To the model, a picture is a list of numbers. **Move one.** The most important come first: "
                "nats say how much each tells.",
                elem_classes="hint",
            )
            size = gr.Radio(
                [("many numbers", "full"), ("only two", "2d")],
                value="full",
                label="Size of the code",
                show_label=False,
                container=False,
                elem_id="vae-size",
                elem_classes="small-pills",
            )
            sliders = Sliders(elem_id="vae-sliders")
        with gr.Column(scale=8, min_width=300, elem_classes=["card", "on-stage"]):
            stage = Stage(poster=wiring.poster("vae-mnist"), elem_id="vae-stage", elem_classes="live-picture")
            tiles = Tiles(columns=6, name="New pictures", elem_id="vae-samples")
            new, seed, zero = wiring.seed_row("New pictures", "Reset")
            spread = gr.Slider(
                0,
                2,
                1,
                step=0.05,
                label="Daring (0: the average, 1: as it learnt)",
                buttons=[],
                elem_id="vae-spread",
                elem_classes="plain",
            )
        with gr.Column(scale=10, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Map", id="map"):
                gr.Markdown(
                    "If a code has only **two** numbers, all pictures fit on a map. Point at it to see what "
                    "lies there; click to put that place on the sliders.",
                    elem_classes="hint",
                )
                the_map = LatentMap(elem_id="vae-map")
                gr.Markdown(
                    "An **autoencoder** may put its codes anywhere: some crowd, and between them are places "
                    "that it never learnt to draw. A **VAE** must fill a round cloud in the middle: every place "
                    "there gives a picture, and neighbours look alike.",
                    elem_classes="hint",
                )
            with gr.Tab("Your picture", id="own"):
                gr.Markdown(
                    "Choose a picture that the model has never seen, or bring your own. The model turns "
                    "it into numbers, and draws it again from those alone.",
                    elem_classes="hint",
                )
                own_choices = Tiles(columns=10, name="Test pictures", elem_id="vae-own")
                with gr.Row():
                    with gr.Column(min_width=150) as drawing:
                        pad = DrawPad(elem_id="vae-pad")
                    with gr.Column(min_width=150):
                        upload = picture_upload(
                            label="Upload a picture", show_label=False, height=224, elem_id="vae-upload", elem_classes="upload"
                        )
                pair = Tiles(pick=False, columns=3, name="Before and after", elem_id="vae-pair")
                report = gr.Markdown(elem_id="vae-report")
            with gr.Tab("In between", id="between"):
                gr.Markdown("The numbers of one picture turn into those of another, step by step.", elem_classes="hint")
                frames = Scrubber(action="Put on stage", ends=("first", "last"), elem_id="vae-frames")
                with gr.Row(elem_classes="small-controls"):
                    which = gr.Radio(
                        [("first picture", "first"), ("last picture", "last")],
                        value="first",
                        label="Choose another",
                        scale=2,
                        elem_id="vae-which",
                    )
                    take = gr.Button("Take it from stage", scale=1, min_width=150, size="md")
                end_choices = Tiles(columns=10, name="Test pictures", elem_id="vae-ends")
                memory = gr.State()
            with gr.Tab("Change it", id="change"):
                gr.Markdown(
                    "What glasses add to the code, on average, is a direction. Move the picture on stage "
                    "along such directions, several at once.",
                    elem_classes="hint",
                )
                rows, targets, amounts = [], [], []
                for attribute in CHANGES:
                    with gr.Row(elem_classes=["small-controls", "change"], visible=False) as row:
                        shown = FEATURES.get(attribute, "More like")
                        targets.append(
                            gr.Dropdown(
                                [("as it is", "")],
                                value="",
                                label=shown,
                                scale=2,
                                min_width=120,
                                elem_id=f"vae-{attribute}",
                                elem_classes="plain",
                            )
                        )
                        amounts.append(
                            gr.Slider(
                                -1,
                                2,
                                0,
                                step=0.05,
                                label="How much",
                                buttons=[],
                                scale=3,
                                min_width=140,
                                elem_id=f"vae-{attribute}-amount",
                                elem_classes="plain",
                            )
                        )
                    rows.append(row)
                moved = gr.State()
                seen = gr.Markdown(elem_id="vae-verdict")
    lines = wiring.python_panel("vae")
    wiring.explanation(__file__, measured=wiring.measured("vae-mnist"), augmentation=augmentation())
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()

    model, here = [dataset, size], [sliders, stage, lines]
    wiring.live(sliders.input, move, sliders, stage)
    wiring.live(sliders.release, moved_lines, sliders, lines)
    wiring.act(new.click, sample_again, [*model, spread], [seed, tiles, *here])
    wiring.live(seed.input, sample, [*model, seed, spread], [tiles, *here], lambda s: [gr.skip()] * 4)  # half typed
    wiring.live(spread.input, sample, [*model, seed, spread], [tiles, *here])
    wiring.live(tiles.input, choose_sample, [*model, seed, spread], here)
    wiring.act(zero.click, reset, model, here)
    wiring.act(own_choices.input, encode_choice, model, [pair, report, *here])
    wiring.live(pad.input, encode_drawing, [*model, pad], [pair, report, *here])
    wiring.act(upload.upload, encode_upload, [*model, upload], [pair, report, *here])
    wiring.act(the_map.click, go_there, [dataset, seed, spread], [size, tiles, *here])
    wiring.act(end_choices.input, choose_end, [*model, memory, which], [memory, frames])
    wiring.act(take.click, stage_as_end, [*model, memory, which, sliders], [memory, frames])
    wiring.act(frames.release, between_to_stage, memory, here)
    for i, (target, amount) in enumerate(zip(targets, amounts)):
        given, changed = [sliders, moved, *targets, *amounts], [seen, moved, *amounts, *here]
        wiring.act(target.input, functools.partial(change, i, True), given, changed)
        wiring.live(amount.input, functools.partial(change, i, False), given, changed)

    opening = open_model, [*model, seed, spread], [size, tiles, *here], no_model
    wiring.act(size.input, *opening)
    another = [wiring.act(opened, *opening), wiring.act(dataset.input, *opening)]
    for event in another:
        wiring.act(event.then, open_choices, dataset, [own_choices, end_choices, drawing])
        wiring.act(event.then, latent_map, dataset, the_map)
    for then in (*(event.then for event in another), size.change):
        wiring.act(then, begin_between, model, [memory, frames], lambda s: (None, {"message": s}))
        wiring.act(then, begin_change, dataset, [*rows, *targets, *amounts, moved])
        wiring.act(then, about, model, card)
    endpoints()
