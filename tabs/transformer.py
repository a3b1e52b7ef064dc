"""Transformer: texts, poems and pictures, generated token by token; every choice can be inspected and changed."""

import base64
import functools
import json
import math
import time

import gradio as gr

import genmodels as gm
from tabs import wiring
from tabs.components import raw, sheet
from tabs.components.attention_map import AttentionMap
from tabs.components.draw_pad import DrawPad
from tabs.components.film import Film
from tabs.components.next_token import NextToken
from tabs.components.tiles import Tiles
from tabs.components.token_view import TokenView
from tabs.components.upload import upload as picture_upload
from tabs.diffusion import (
    IMPORTS,
    LINES_PENDING,
    LINES_STOPPED,
    drawing_source,
    format_arguments,
    require_source,
    test_picture_source,
    test_pictures,
    upload_source,
)

TEXT, POEMS, PIXELS = MODELS = ("transformer-shakespeare", "transformer-tang", "transformer-mnist")
MAX_NEW_TOKENS = 1000  # per run
MAX_TEXT = 20_000  # characters of a text that the visitor continues again and again
MAX_PROMPT = 100_000  # characters
SHOWN_PROMPT = 2000  # characters of the prompt that are shown
MAX_LIVE_TEXT = 1000  # characters of a text whose surprisal is computed while the visitor types
MAX_SCORED_TEXT = 10_000  # the same for the API
ATTENTION_TOKENS = 48  # in the attention map
SIDE = 28  # rows of a picture
MAX_COMPLETIONS = 8
TEST_PICTURES = 10
MAX_SEED = 2**31
FORM_TITLES = {"五绝": "五绝 4 × 5", "七绝": "七绝 4 × 7", "五律": "五律 8 × 5", "七律": "七律 8 × 7"}
AUTHORS = ["李白", "杜甫", "王维", "白居易", "李商隐", "杜牧", "孟浩然", "刘禹锡"]
EXAMPLE_TEXT = "To be, or not to be, that is the question.\nTo bee, or not two bees, that is the quantum question!"


# --- Texts ------------------------------------------------------------------------------------------------------------


def check_text(name, value, limit):
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(f"{name} must be a text of at most {limit:,} characters.")
    return value


def check_seed(value):
    return gm.base.check_number("seed", value, 0, MAX_SEED, whole=True)


DEFAULTS = {
    "temperature": 1,
    "top_k": 0,
    "top_p": 1,
    "min_p": 0,
    "title": "",
    "author": "",
    "heads": "",
    "prefix": "",
    "label": None,
    "rows": 0,
}


def without_defaults(**options):
    """The arguments that differ from the defaults of the model's methods."""
    return {name: value for name, value in options.items() if name not in DEFAULTS or value != DEFAULTS[name]}


def sampling_options(temperature, top_k, top_p, min_p):
    """Temperature and cut-offs, checked. The limit of top-k is a constant, not the size of a vocabulary."""
    check_number = gm.base.check_number
    return {
        "temperature": check_number("temperature", temperature, 0, 5),
        "top_k": check_number("top_k", top_k, 0, 1000, whole=True),
        "top_p": check_number("top_p", top_p, 0, 1),
        "min_p": check_number("min_p", min_p, 0, 1),
    }


def generation_options(length, temperature, top_k, top_p, min_p, seed):
    """Arguments of `generate_steps`."""
    return {
        "max_new_tokens": gm.base.check_number("length", length, 1, MAX_NEW_TOKENS, whole=True),
        **without_defaults(**sampling_options(temperature, top_k, top_p, min_p)),
        "seed": check_seed(seed),
    }


def batches(steps, seconds=0.04):
    """Lists of the steps that arrive within some time, the first step alone: one message per step would cost more than it."""
    batch, deadline = [], 0
    for step in steps:
        batch.append(step)
        if time.monotonic() >= deadline:
            yield batch
            batch, deadline = [], time.monotonic() + seconds
    if batch:
        yield batch


def token_records(tokens, kind=""):
    """Tokens as `TokenView` reads them, one line of JSON each. kind: of all tokens, or a function of a token."""
    lines = []
    for token in tokens:
        record = [
            token.text,
            round(token.probability, 5),
            round(token.entropy, 3),
            kind(token) if callable(kind) else kind,
            [[text, round(p, 4)] for text, p, _ in token.alternatives],
        ]
        lines.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
    return "".join(lines)


def speed(n, start, unit):
    return f"{n} {unit}, {n / max(1e-3, time.monotonic() - start):.0f} per second"


def fold_text(model, text):
    """(the text in the model's alphabet, a sentence about the characters that were changed or left out, or "")."""
    fold, alphabet = model.tokenizer.fold, model.tokenizer.token_id
    unknown = list(dict.fromkeys(c for c in text if c not in alphabet and c != "\r"))
    dropped = [printable(c) for c in unknown if not fold(c)]
    changed = [f"{printable(c)} became {fold(c)}" for c in unknown if fold(c)]
    notes = []
    if dropped:
        notes.append(f"Not in the training text, left out: {join_items(dropped)}.")
    if changed:
        notes.append(f"{join_items(changed)}.")
    return fold(text), " ".join(notes)


def printable(c):
    return c if c.isprintable() else f"U+{ord(c):04X}"


def join_items(items, limit=12):
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(items[:limit]) + more


def python_lines(model, code):
    """A program that loads the model and runs the code, with the imports that the code needs."""
    imports = [line for name, line in IMPORTS.items() if name in code]
    if "math." in code:
        imports.append("import math")
    if imports:
        imports.append("")
    return "\n".join([*imports, "import genmodels as gm", "", f'model = gm.load("{model}")', code])


def text_program(prompt, options):
    return python_lines(
        TEXT, f"prompt = {prompt!r}\ntext = prompt + model.generate(prompt, {format_arguments(options)})\nprint(text)\n"
    )


_opening_outputs = {}  # checkpoint folder -> what a part opens with: only the first visitor waits for it


def opening(name, begin):
    """The run with which a part opens: yields (stage, lines). begin: starts the run."""
    try:
        folder = str(gm.base.checkpoint_folder(name).resolve())
        if folder in _opening_outputs:
            yield _opening_outputs[folder]
            return
        for stage, lines in begin():
            output = stage, lines
            yield output
        if "stats" in stage:  # the speed of this run does not concern later visitors
            stage = {**stage, "stats": stage["stats"].rpartition(",")[0]}
        _opening_outputs[folder] = stage, lines
    except wiring.Stopped:
        yield {**output[0], "live": False}, LINES_STOPPED
    except ValueError as e:  # the message takes the place of the missing output
        yield {"message": wiring.sentence(e)}, ""


# --- Shakespeare ------------------------------------------------------------------------------------------------------


def stream_text(prompt, keep, options, notes=""):
    """Continue a prompt in the model's alphabet: yields (stage, lines). keep: how many tokens the stage already shows."""
    model = gm.load(TEXT)
    steps = model.generate_steps(prompt, **options)
    records, n, lines = "", 0, LINES_PENDING
    start = time.monotonic()

    def stage(**more):
        return {"tokens": records, "keep": keep, "notes": notes, **more}

    try:
        if not keep:
            for batch in batches(model.read_steps(prompt[-SHOWN_PROMPT:], prompt[:-SHOWN_PROMPT])):
                records += token_records(batch, "given")
                yield stage(live=True, stats="reading the prompt"), lines
        start = time.monotonic()
        for batch in batches(steps):
            n += len(batch)
            records += token_records(batch)
            yield stage(live=True, stats=speed(n, start, "characters")), lines
            lines = gr.skip()
    except wiring.Stopped:  # with this length the same seed gives the same part of the text
        options = {**options, "max_new_tokens": n}
    yield (
        stage(live=False, stats=speed(n, start, "characters") if n else ""),
        text_program(prompt, options) if n else LINES_STOPPED,
    )


def write(prompt, *controls):
    """A new text."""
    options, model = generation_options(*controls), gm.load(TEXT)
    prompt, notes = fold_text(model, check_text("prompt", prompt, MAX_PROMPT))
    if len(prompt) > SHOWN_PROMPT:
        notes = f"Only the last {SHOWN_PROMPT:,} characters of the prompt are shown. {notes}"
    yield from stream_text(prompt or "\n", 0, options, notes)  # a new line is the context of a text's first character


def read_request(event: gr.EventData):
    """The text from which the view wants to continue, checked. Only the first of two chained handlers receives the event."""
    data = event._data if isinstance(event._data, dict) else {}
    if isinstance(data.get("text"), str) and len(data["text"]) > MAX_TEXT:
        raise ValueError(f"The text has reached {MAX_TEXT:,} characters: begin a new one.")
    return {
        "text": check_text("text", data.get("text"), MAX_TEXT),
        "request": data.get("request"),
        "keep": gm.base.check_number("keep", data.get("keep"), 1, MAX_TEXT, whole=True),
    }


def continue_text(request, *controls):
    """The text on the stage continues."""
    options = generation_options(*controls)
    if not request:
        raise ValueError("There is no text yet: write one first.")
    prompt, _ = fold_text(gm.load(TEXT), request["text"])
    yield from stream_text(prompt or "\n", request["keep"], options)


OPENING_TEXT = ("ROMEO:\n", 360, 0.8, 0, 1, 0, 0)


def open_text():
    yield from opening(TEXT, lambda: write(*OPENING_TEXT))


def predict_next(model, text):
    """(logits of the token that follows a text, the text's token ids)."""
    ids = model.tokenizer.encode(text) if text else []
    ids = ids or list(model.tokenizer.start)
    return model.next_logits(ids)[0], ids


def next_token_bars(text, options):
    model = gm.load(TEXT)
    logits, ids = predict_next(model, text)
    logits, order = logits.sort(descending=True, stable=True)
    return {
        "context": model.tokenizer.decode(ids[-36:]),
        "options": list(options.values()),
        "symbols": json.dumps([model.tokenizer.symbols[i] for i in order.tolist()]),
        "logits": " ".join(f"{v:.5g}" for v in logits.tolist()),
    }


def attention_map(text):
    symbols, maps = gm.load(TEXT).attention(text)
    n = min(ATTENTION_TOKENS, len(symbols))
    maps = (maps[:, :, -n:, -n:] * 255).round().byte().contiguous()
    return {
        "symbols": json.dumps(symbols[-n:]),
        "n": n,
        "layers": maps.shape[0],
        "heads": maps.shape[1],
        "maps": base64.b64encode(maps.numpy().tobytes()).decode(),
    }


def inspect_position(temperature, top_k, top_p, min_p, event: gr.EventData):
    """The visitor selected a position of the text -> (next-token bars, attention map)."""
    data = event._data if isinstance(event._data, dict) else {}
    text = check_text("text", data.get("text"), MAX_TEXT + MAX_NEW_TOKENS)
    return next_token_bars(text, sampling_options(temperature, top_k, top_p, min_p)), attention_map(text)


def preview_next_token(prompt, *controls):
    """The visitor types a prompt -> next-token bars."""
    return next_token_bars(check_text("prompt", prompt, MAX_PROMPT), sampling_options(*controls))


# The bars follow temperature and cut-offs in the browser, without the server.
UPDATE_OPTIONS = "(temperature, topK, topP, minP, v) => v && v.logits ? {...v, options: [temperature, topK, topP, minP]} : v"


def mean_surprisal(tokens):
    """In nats and bits per token, and as perplexity."""
    nats = -sum(math.log(max(t.probability, 1e-38)) for t in tokens) / len(tokens)
    return {"nats": nats, "bits": nats / math.log(2), "perplexity": math.exp(nats)}


def surprisal(text):
    """The visitor's own text -> (view, lines)."""
    model = gm.load(TEXT)
    folded, notes = fold_text(model, check_text("text", text, MAX_LIVE_TEXT))
    if not text:
        raise ValueError("Type or paste a text: each of its characters will be coloured by its surprisal.")
    if not folded:
        raise ValueError(f"The text has nothing in it that the model knows. {notes}")
    tokens = list(model.read_steps(folded))
    mean = mean_surprisal(tokens)
    lines = python_lines(
        TEXT,
        f"text = {text!r}\nscore = model.score(text)\n"
        "for symbol, log_p in zip(score.symbols, score.log_probs.tolist()):\n"
        "    print(repr(symbol), round(math.exp(log_p), 4))\n"
        "bits = -score.log_probs.mean().item() / math.log(2)\n"
        'print(bits, "bits per character; perplexity", 2**bits)\n',
    )
    return {
        "tokens": token_records(tokens),
        "notes": notes,
        "stats": f"{mean['bits']:.2f} bits per character · perplexity {mean['perplexity']:.1f}",
    }, lines


# --- Tang poems -------------------------------------------------------------------------------------------------------


def stream_poem(request, prefix, keep, options):
    """A poem: yields (stage, lines). request: form, title, author, heads; prefix: the first `keep` tokens of the body."""
    model = gm.load(POEMS)
    form, heads = request["form"], request["heads"]
    conditions = without_defaults(title=request["title"], author=request["author"], heads=heads, prefix=prefix)
    steps = model.poem_steps(form, **conditions, **options)
    n_lines, length = gm.tokens.FORMS[form]
    positions = iter(range(len(prefix), n_lines * (length + 1)))
    records, n, lines = "", 0, LINES_PENDING
    start = time.monotonic()

    def kind(token):
        line, column = divmod(next(positions), length + 1)
        return "given" if column == 0 and line < len(heads) else ""

    def stage(live):
        return {
            "tokens": records,
            "keep": keep,
            "title": request["title"],
            "author": request["author"],
            "request": request,
            "stats": f"{form} · " + speed(n, start, "字 characters"),
            "live": live,
        }

    try:
        for batch in batches(steps):
            n += len(batch)
            records += token_records(batch, kind)
            yield stage(live=True), lines
            lines = gr.skip()
        arguments = [repr(form)]
        arguments += [f"{name}={value!r}" for name, value in conditions.items()]
        arguments.append(format_arguments(options))
        first = f"{prefix!r} + " if prefix else ""
        lines = python_lines(
            POEMS,
            f'poem = {first}"".join(token.text for token in model.poem_steps({", ".join(arguments)}))\n'
            'print(poem.replace("。", "。\\n"))\n',
        )
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield stage(live=False), lines


def check_poem(form, title, author, heads):
    """Types and lengths; the model checks the rest. An author that was cleared from the list arrives as None."""
    texts = {"title": title, "author": author, "heads": heads}
    texts = {name: check_text(name, "" if value is None else value, 100).strip() for name, value in texts.items()}
    return {"form": gm.base.check_choice("form", form, FORM_TITLES), **texts}


def poem_options(temperature, top_p, seed):
    return {**without_defaults(**sampling_options(temperature, 0, top_p, 0)), "seed": check_seed(seed)}


def write_poem(form, title, author, heads, *controls):
    yield from stream_poem(check_poem(form, title, author, heads), "", 0, poem_options(*controls))


def continue_poem(request, *controls):
    """The visitor chose another character: the poem continues from there, with the form, title, author and heads it had."""
    poem = request and request["request"]
    if not isinstance(poem, dict) or set(poem) != {"form", "title", "author", "heads"}:
        raise ValueError("There is no poem yet: write one first.")
    yield from stream_poem(check_poem(**poem), request["text"], request["keep"], poem_options(*controls))


OPENING_POEM = ("七绝", "春夜", "李白", "", 0.8, 1, 0)


def open_poem():
    yield from opening(POEMS, lambda: write_poem(*OPENING_POEM))


# --- Pictures as sequences --------------------------------------------------------------------------------------------
#
# A `source` is a picture whose upper rows are given: {"dataset", "x": (1, 1, H, W), "lines" that make `picture`}.


def parse_label(text, n):
    """A class as the model takes it."""
    if text == "each":
        return [i % 10 for i in range(n)]
    return None if text == "any" else int(gm.base.check_choice("class", text, [str(c) for c in range(10)]))


def surprisal_colours(bits):
    """Surprisal (n, H, W) in bits as colours (n, 3, H, W): 0 bits is dark, 8 bits (all 256 values equally likely) is bright."""
    import torch

    s = (bits / 8).clamp(0, 1)
    return torch.stack([0.06 + 1.5 * s, 0.09 + 0.1 * s + 0.8 * s**2, 0.2 - 0.2 * s + 0.8 * s**4], 1).clamp(0, 1)


def completion_frame(step, given_rows):
    """A frame of the film: pictures and their surprisal, alternating in rows of `pictures_per_row`: (2 n, 3, H, W)."""
    import torch

    x, rows = step.x.expand(-1, 3, -1, -1).clone(), step.rows
    x[:, :2, :given_rows] *= torch.tensor([0.5, 0.75])[:, None, None]  # given rows are blue
    bits = -step.probability.clamp_min(1e-9).log2()
    bits[:, :given_rows] = 0
    heatmap = surprisal_colours(bits)
    for pictures in (x, heatmap):
        pictures[:, :, rows:] = torch.tensor([0.2, 0.23, 0.3])[:, None, None]  # not generated yet
    heatmap[:, :, :given_rows] = heatmap[:, :, :given_rows] * 0.6
    columns = pictures_per_row(len(x))
    padding = x.new_zeros(2, -len(x) % columns, *x.shape[1:])  # to full rows
    pairs = torch.cat([torch.stack([x, heatmap]), padding], 1)
    return pairs.unflatten(1, (-1, columns)).transpose(0, 1).flatten(0, 2)


def pictures_per_row(n):
    return n if n < 5 else math.ceil(n / 2)


def completion_film(source, steps, given_rows, bits, live=False):
    """The value of the `Film`: all steps, or, while live, the last one. bits: (row, mean bits per pixel) of each step."""
    import torch

    n = len(steps[0].x)
    columns = pictures_per_row(n)
    frames = steps[-1:] if live else steps
    facts = {
        "unit": "row",
        "numbers": [step.rows for step in frames],
        "lines": [["bits per pixel", [[row, round(b, 3)] for row, b in bits]]],
    }
    per_frame = 2 * columns * math.ceil(n / columns)
    value = {
        **sheet(torch.cat([completion_frame(step, given_rows) for step in frames]), per_frame),
        "per": per_frame,
        "across": columns,
        "facts": json.dumps(facts),
        "live": live,
        "total": SIDE,
        "label": "Generated pictures, and below each the surprisal of its pixels",
    }
    if given_rows:
        value["beside"] = raw(source["x"][0])
    return value


def complete(source, rows, n, label, temperature, seed):
    """Several completions of a picture: yields (film, lines)."""
    import torch

    n = gm.base.check_number("number of pictures", n, 1, MAX_COMPLETIONS, whole=True)
    rows = gm.base.check_number("rows", rows, 0, SIDE - 1, whole=True)
    temperature = gm.base.check_number("temperature", temperature, 0, 2)
    options = without_defaults(rows=rows, n=n, label=parse_label(label, n), temperature=temperature)
    options["seed"] = check_seed(seed)
    if rows:
        source = require_source(source)
    model = gm.load(PIXELS)
    x = torch.zeros(n, 1, SIDE, SIDE)
    if rows:
        x[:, :, :rows] = source["x"][:, :, :rows]
    steps, bits, lines = [gm.pixel_transformer.Completion(x, torch.ones(n, SIDE, SIDE), rows)], [], LINES_PENDING
    run = model.complete_steps(source["x"] if rows else None, **options)
    try:
        yield completion_film(source, steps, rows, bits, live=True), lines
        for step in run:
            steps.append(step)
            bits.append((step.rows, -step.probability[:, step.rows - 1].clamp_min(1e-9).log2().mean().item()))
            yield completion_film(source, steps, rows, bits, live=True), gr.skip()
        arguments = ("picture, " if rows else "") + format_arguments(options)
        lines = python_lines(
            PIXELS,
            (source["lines"] if rows else "") + f"*_, last = model.complete_steps({arguments})\nx = last.x\n"
            f'gm.pictures.grid(x, columns={pictures_per_row(n)}, scale=4).save("picture.png")\n',
        )
    except wiring.Stopped:
        lines = LINES_STOPPED
    yield completion_film(source, steps, rows, bits), lines


def open_test_pictures():
    """-> (test pictures, source)."""
    x, labels = test_pictures("mnist")
    tiles = {**sheet(x[:TEST_PICTURES], TEST_PICTURES), "labels": labels[:TEST_PICTURES], "chosen": 2}
    return tiles, test_picture_source("mnist", 2)


OPENING_PICTURE = (14, 4, "any", 1, 0)


def open_pixels():
    yield from opening(PIXELS, lambda: complete(test_picture_source("mnist", 2), *OPENING_PICTURE))


def choose_test(event: gr.EventData):
    return test_picture_source("mnist", wiring.number_from_event(event, "index", TEST_PICTURES - 1))


def choose_drawing(ink):
    return drawing_source("mnist", ink)


def choose_upload(path):
    return upload_source("mnist", path)


# --- API endpoints ----------------------------------------------------------------------------------------------------


def text_model(name):
    """The model of that name; a visitor's string never becomes a path."""
    return gm.load(gm.base.check_choice("model", name, (TEXT, POEMS)))


def text_generate(
    prompt="", max_new_tokens=200, temperature=0.8, top_k=0, top_p=1, min_p=0, seed=0, model="transformer-shakespeare"
):
    """Continue a prompt token by token; the text grows while it streams.

    Args:
        prompt: at most 100,000 characters, of which the last ones that fit the model's context count; may be empty. Characters
            outside the model's alphabet are replaced by plain ones or left out. For transformer-tang:
            form|title|author|beginning.
        max_new_tokens: 1 to 1000.
        temperature: 0 (always the most likely token) to 5.
        top_k: 0 (all) to 1000; keeps the k most likely tokens.
        top_p: 0 to 1; keeps the most likely tokens that together reach this probability.
        min_p: 0 to 1; keeps tokens at least this many times as likely as the most likely one.
        seed: whole number; the same seed gives the same text.
        model: transformer-shakespeare or transformer-tang.
    Returns:
        The text that follows the prompt.
    """
    model, text = text_model(model), ""
    options = sampling_options(temperature, top_k, top_p, min_p)
    options["top_k"] = min(options["top_k"], model.tokenizer.vocab_size)
    length = gm.base.check_number("max_new_tokens", max_new_tokens, 1, MAX_NEW_TOKENS, whole=True)
    steps = model.generate_steps(prompt, max_new_tokens=length, **options, seed=check_seed(seed), alternatives=0)
    for batch in batches(steps):
        text += model.tokenizer.decode(token.id for token in batch)
        yield text


def text_score(text="To be, or not to be, that is the question.", prompt="", model="transformer-shakespeare"):
    """Log-likelihood and surprisal of a text.

    Args:
        text: 1 to 10,000 characters. For transformer-tang without a prompt: a whole poem, form|title|author|body.
        prompt: the context before the text.
        model: transformer-shakespeare or transformer-tang.
    Returns:
        The log-probability of each token in nats; the mean surprisal in nats and in bits per token, and the perplexity; and the
        characters outside the model's alphabet.
    """
    model, tokens = text_model(model), []
    text, prompt = check_text("text", text, MAX_SCORED_TEXT), check_text("prompt", prompt, MAX_SCORED_TEXT)
    for batch in batches(model.read_steps(text, prompt, alternatives=0)):
        tokens += batch
        yield tokens
    unknown = dict.fromkeys(c for c in text if c not in model.tokenizer.token_id)
    yield {
        **mean_surprisal(tokens),
        "tokens": [[t.text, math.log(max(t.probability, 1e-38))] for t in tokens],
        "unknown": [printable(c) for c in unknown],
    }


def text_next(prompt="", temperature=1, top_k=0, top_p=1, min_p=0, n=10, model="transformer-shakespeare"):
    """Next-token probabilities: the most likely tokens, before and after temperature and cut-offs.

    Args:
        prompt: see text_generate.
        temperature: see text_generate.
        top_k: see text_generate.
        top_p: see text_generate.
        min_p: see text_generate.
        n: how many tokens to list, 1 to 1000.
        model: transformer-shakespeare or transformer-tang.
    Returns:
        The entropy of the model's distribution in bits; and for each token its logit, the model's probability, and the
        probability with which it is sampled after temperature and cut-offs ("drawn").
    """
    model, options = text_model(model), sampling_options(temperature, top_k, top_p, min_p)
    logits, _ = predict_next(model, check_text("prompt", prompt, MAX_PROMPT))
    p, warped_p = logits.softmax(-1), gm.transformer.warp_logits(logits, **options)
    n = gm.base.check_number("n", n, 1, 1000, whole=True)
    top_ids = logits.argsort(descending=True, stable=True)[:n].tolist()
    return {
        "entropy": -(p * p.clamp_min(1e-38).log2()).sum().item(),
        "tokens": [
            {
                "token": model.tokenizer.symbols[i],
                "logit": logits[i].item(),
                "probability": p[i].item(),
                "drawn": warped_p[i].item(),
            }
            for i in top_ids
        ],
    }


def text_poem(form="七绝", title="", author="", heads="", temperature=0.8, top_p=1, seed=0):
    """Write a Tang poem that follows its form. 作一首唐诗。

    Args:
        form: 五绝 (4 lines of 5 characters), 七绝 (4 of 7), 五律 (8 of 5) or 七律 (8 of 7).
        title: at most 40 characters; may be empty.
        author: in whose manner, at most 10 characters; may be empty.
        heads: the first characters of the lines, for an acrostic (藏头诗); may be empty or fewer than lines.
        temperature: 0 to 5.
        top_p: 0 to 1.
        seed: whole number; the same seed gives the same poem.
    Returns:
        The poem, its lines, and the probability of each character.
    """
    poem, tokens = check_poem(form, title, author, heads), []
    for batch in batches(gm.load(POEMS).poem_steps(**poem, **poem_options(temperature, top_p, seed), alternatives=0)):
        tokens += batch
        yield tokens
    body = "".join(token.text for token in tokens)
    yield {
        "poem": body,
        "lines": [line for line in body.replace("。", "，").split("，") if line],
        "tokens": [[token.text, token.probability] for token in tokens],
    }


def pixels_complete(picture=None, test_picture_number=2, rows=14, n=4, label="any", temperature=1, seed=0):
    """Complete a picture whose upper rows are given, pixel by pixel.

    Args:
        picture: a file, preprocessed like MNIST. Without one, a test picture is used.
        test_picture_number: 0 to 199, used when there is no file.
        rows: how many rows are given, 0 (a new picture) to 27.
        n: how many completions, 1 to 8.
        label: any, a digit, or each (one class after another).
        temperature: 0 to 2.
        seed: whole number; the same seed gives the same pictures.
    Returns:
        For each picture the surprisal of its generated pixels in bits (their sum); and a PNG with the pictures.
    """
    rows = gm.base.check_number("rows", rows, 0, SIDE - 1, whole=True)
    n = gm.base.check_number("n", n, 1, MAX_COMPLETIONS, whole=True)
    source = test_picture_source("mnist", test_picture_number) if picture is None else upload_source("mnist", picture)
    for step in gm.load(PIXELS).complete_steps(
        source["x"] if rows else None,
        rows=rows,
        n=n,
        label=parse_label(label, n),
        temperature=temperature,
        seed=check_seed(seed),
    ):
        yield step
    bits = -step.probability[:, rows:].clamp_min(1e-38).log2().sum((1, 2))
    yield {"bits": bits.tolist()}, gm.pictures.grid(step.x, pictures_per_row(n), scale=4)


def endpoints():
    """The functions above under their own names. They check their arguments; the components do not."""

    def numbers(**defaults):
        return [gr.Number(value, label=label, visible=False) for label, value in defaults.items()]

    def texts(**defaults):
        return [gr.Textbox(value, label=label, visible=False) for label, value in defaults.items()]

    facts, text = gr.JSON(visible=False, label="facts"), gr.Textbox(visible=False, label="text")
    png = gr.Image(format="png", label="picture", visible=False)
    model = gr.Dropdown([TEXT, POEMS], value=TEXT, label="model", visible=False)
    file, hamlet = picture_upload(visible=False, label="picture"), "To be, or not to be, that is the question."
    cutoffs = functools.partial(numbers, top_k=0, top_p=1, min_p=0)
    wiring.endpoint(
        text_generate,
        [*texts(prompt=""), *numbers(max_new_tokens=200, temperature=0.8), *cutoffs(), *numbers(seed=0), model],
        text,
        stream=True,
    )
    wiring.endpoint(text_score, [*texts(text=hamlet, prompt=""), model], facts)
    wiring.endpoint(text_next, [*texts(prompt=""), *numbers(temperature=1), *cutoffs(), *numbers(n=10), model], facts)
    wiring.endpoint(
        text_poem, [*texts(form="七绝", title="", author="", heads=""), *numbers(temperature=0.8, top_p=1, seed=0)], facts
    )
    wiring.endpoint(
        pixels_complete,
        [file, *numbers(test_picture_number=2, rows=14, n=4), *texts(label="any"), *numbers(temperature=1, seed=0)],
        [facts, png],
    )


# --- Layout -----------------------------------------------------------------------------------------------------------


def shipped():
    return [name for name in MODELS if (wiring.checkpoints() / name).is_dir()]


def about():
    """The models of the tab in a table, and their cards."""
    return "\n\n".join([wiring.models_table(shipped()), *map(wiring.card, shipped())])


def poster():
    """The beginning of the first sample that the training run saved."""
    try:
        text = (wiring.checkpoints() / TEXT / "samples.txt").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return ""
    return "\n".join(line for line in text.splitlines() if not line.startswith("---"))[:400].strip()


def prepare():
    """What visitors will need: functions to call in the background, each of them quick."""
    return [functools.partial(gm.load, name) for name in shipped()]


def slider(*limits, label, name, **options):
    return gr.Slider(*limits, label=label, buttons=[], elem_id=f"transformer-{name}", elem_classes="plain", **options)


def run_row(part, start, stop, seed="Seed"):
    """(button that starts a run with a new seed, seed, button that stops it)."""
    with gr.Row(elem_classes="small-controls"):
        start = gr.Button(start, variant="primary", scale=3, min_width=110, elem_id=f"transformer-{part}-new")
        seed = gr.Number(
            0, label=seed, minimum=0, maximum=MAX_SEED, precision=0, scale=2, min_width=80, elem_id=f"transformer-{part}-seed"
        )
        stop = gr.Button(stop, scale=2, min_width=70, elem_id=f"transformer-{part}-stop")
    return start, seed, stop


def python_panel(part):
    """The lines that make what a part shows."""
    with gr.Accordion("Reproduce in Python", open=False, elem_classes="lines"):
        return gr.Code(
            language="python", interactive=False, show_label=False, wrap_lines=True, elem_id=f"transformer-{part}-python"
        )


def connect_run(stage, lines, generate, inputs, start, seed, stop, opened, generate_opening):
    """The events of a part's stage. Returns the function that connects further events."""
    stage_runs = wiring.Runs(stage)
    stream = functools.partial(stage_runs.stream, outputs=[stage, lines])
    stream(opened, generate_opening, [])
    new_seed = wiring.act(start.click, wiring.fresh_seed, None, seed)
    stream(new_seed.then, generate, inputs)
    stream(seed.submit, generate, inputs)
    stage_runs.stop(stop.click)
    return stream


def build_text(opened):
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=6, min_width=270, elem_classes=["card", "controls"]):
            prompt = gr.Textbox(
                OPENING_TEXT[0],
                label="Prompt",
                lines=2,
                max_lines=5,
                elem_id="transformer-prompt",
                elem_classes="plain",
                placeholder="Empty: the model begins a text of its own.",
            )
            length = slider(20, MAX_NEW_TOKENS, OPENING_TEXT[1], step=20, label="Length (characters)", name="length")
            temperature = slider(
                0, 2, OPENING_TEXT[2], step=0.05, label="Temperature (0: always the most likely)", name="temperature"
            )
            with gr.Row(elem_classes="small-controls"):
                top_k = slider(0, 30, 0, step=1, label="Top-k (0: all)", name="top-k", min_width=90)
                top_p = slider(0, 1, 1, step=0.02, label="Top-p", name="top-p", min_width=90)
                min_p = slider(0, 1, 0, step=0.01, label="Min-p", name="min-p", min_width=90)
            gr.Markdown("### Next-token probabilities")
            bars = NextToken({"message": "The probabilities appear with the text."}, elem_id="transformer-next")
        with gr.Column(scale=11, min_width=320, elem_classes=["card", "writing"]):
            view = TokenView(name="Text", more="Continue", poster=poster(), elem_id="transformer-text")
            start, seed, stop = run_row("text", "Write", "Stop")
            gr.Markdown(
                "**Click a character** to see its alternatives. Choose one, and the text continues from there.",
                elem_classes="hint",
            )
        with gr.Column(scale=8, min_width=320, elem_classes=["card", "tools"]), gr.Tabs():
            with gr.Tab("Attention", id="attention"):
                gr.Markdown(
                    "To predict the next character, each character attends to those before it. **Point at one** to see its "
                    "attention weights.",
                    elem_classes="hint",
                )
                attention = AttentionMap({"message": "The map appears with the text."}, elem_id="transformer-attention")
            with gr.Tab("Surprisal", id="surprise") as surprisal_tab:
                gr.Markdown("Your own text: which characters did the model not expect?", elem_classes="hint")
                own_text = gr.Textbox(
                    EXAMPLE_TEXT,
                    label="Your text",
                    show_label=False,
                    lines=4,
                    max_lines=8,
                    elem_id="transformer-own",
                    elem_classes="plain",
                    max_length=MAX_LIVE_TEXT,
                    placeholder="Type or paste a text in English.",
                )
                surprisal_view = TokenView(name="Your text", branch=False, elem_id="transformer-surprise")
                surprisal_lines = python_panel("surprise")
    lines = python_panel("text")

    options = [temperature, top_k, top_p, min_p]
    controls = [length, *options, seed]
    stream = connect_run(view, lines, write, [prompt, *controls], start, seed, stop, opened, open_text)
    request = gr.State()
    for event in (view.input, view.release):
        stream(wiring.act(event, read_request, None, request).then, continue_text, [request, *controls])
    wiring.live(view.click, inspect_position, options, [bars, attention])
    wiring.live(prompt.change, preview_next_token, [prompt, *options], bars, lambda sentence: {"message": sentence})
    for option in options:
        option.input(
            None,
            [*options, bars],
            bars,
            js=UPDATE_OPTIONS,
            queue=False,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
    # `change`, because `input` misses some ways of pasting.
    for event in (wiring.opening(None, surprisal_tab, gr.State(False)), own_text.change):
        wiring.live(event, surprisal, own_text, [surprisal_view, surprisal_lines], lambda sentence: ({"message": sentence}, ""))


def build_poems(opened):
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=8, min_width=270, elem_classes=["card", "controls"]):
            form = gr.Radio(
                [(title, name) for name, title in FORM_TITLES.items()],
                value=OPENING_POEM[0],
                label="体裁 Form",
                elem_id="transformer-form",
                elem_classes="plain",
            )
            title = gr.Textbox(
                OPENING_POEM[1], label="题目 Title", max_length=40, elem_id="transformer-title", elem_classes="plain"
            )
            author = gr.Dropdown(
                AUTHORS,
                value=OPENING_POEM[2],
                label="作者 In the manner of",
                allow_custom_value=True,
                elem_id="transformer-author",
                elem_classes="plain",
            )
            heads = gr.Textbox(
                "",
                label="藏头 First characters of the lines (藏头诗, acrostic)",
                max_length=8,
                placeholder="春夏秋冬",
                elem_id="transformer-heads",
                elem_classes="plain",
            )
            temperature = slider(0, 2, OPENING_POEM[4], step=0.05, label="温度 Temperature", name="poem-temperature")
            top_p = slider(0, 1, 1, step=0.02, label="Top-p 核采样", name="poem-top-p")
        with gr.Column(scale=14, min_width=320, elem_classes=["card", "writing"]):
            view = TokenView(name="诗 Poem", poem=True, middle=5, elem_id="transformer-poem")
            start, seed, stop = run_row("poem", "作诗 Write", "停 Stop", "种子 Seed")
            gr.Markdown(
                "**点一个字**，看看还能写什么；换一个，诗就从那里重写。 **Click a character** to see its alternatives; choose "
                "one, and the poem continues from there. The poem keeps its form because only tokens that the form allows are "
                "sampled: a character within a line, a punctuation mark at its end.",
                elem_classes="hint",
            )
    lines = python_panel("poem")

    controls = [temperature, top_p, seed]
    stream = connect_run(view, lines, write_poem, [form, title, author, heads, *controls], start, seed, stop, opened, open_poem)
    request = gr.State()
    stream(wiring.act(view.input, read_request, None, request).then, continue_poem, [request, *controls])


def build_pixels(opened):
    with gr.Row(elem_classes="lab"):
        with gr.Column(scale=8, min_width=270, elem_classes=["card", "controls"]):
            gr.Markdown("### A picture is a sequence, too")
            gr.Markdown(
                "**Give it the top of a digit**: pick one, or draw. The transformer generates the other rows, each pixel "
                "conditioned on all pixels before it.",
                elem_classes="hint",
            )
            tiles = Tiles(columns=10, name="Test pictures", elem_id="transformer-own-pictures")
            with gr.Row():
                with gr.Column(min_width=120):
                    pad = DrawPad(elem_id="transformer-pad")
                with gr.Column(min_width=120):
                    upload = picture_upload(
                        label="Upload a picture",
                        show_label=False,
                        height=150,
                        elem_classes="upload",
                        elem_id="transformer-upload",
                    )
            rows = slider(0, SIDE - 1, OPENING_PICTURE[0], step=1, label="Given rows (0: a new picture)", name="rows")
            n = slider(1, MAX_COMPLETIONS, OPENING_PICTURE[1], step=1, label="Completions", name="n")
            label = gr.Dropdown(
                [("none", "any"), ("one of each", "each"), *((str(c), str(c)) for c in range(10))],
                value="any",
                label="Class (condition)",
                elem_id="transformer-label",
                elem_classes="plain",
            )
            temperature = slider(0, 2, 1, step=0.05, label="Temperature", name="pixels-temperature")
        with gr.Column(scale=14, min_width=320, elem_classes=["card", "writing"]):
            view = Film(elem_id="transformer-pixels")
            start, seed, stop = run_row("pixels", "Complete", "Stop")
            gr.Markdown(
                "Blue rows are given. Below each picture, the **surprisal** of its pixels: dark pixels were almost certain, "
                "bright ones could have been anything. The curve shows the mean per row; the sum over all pixels is the exact "
                "negative log-likelihood.",
                elem_classes="hint",
            )
    lines, source = python_panel("pixels"), gr.State()

    controls = [source, rows, n, label, temperature, seed]
    prepared = wiring.act(opened, open_test_pictures, None, [tiles, source])
    stream = connect_run(view, lines, complete, controls, start, seed, stop, prepared.then, open_pixels)
    test_chosen = wiring.act(tiles.input, choose_test, None, source)
    drawing_chosen = wiring.live(pad.input, choose_drawing, pad, source)
    upload_chosen = wiring.act(upload.upload, choose_upload, upload, source)
    for event in (
        test_chosen.then,
        drawing_chosen.then,
        upload_chosen.then,
        rows.release,
        n.release,
        temperature.release,
        label.input,
    ):
        stream(event, complete, controls)


def build(opened):
    """Lay out the tab. opened: the event of a visitor's first look at it."""
    offered = shipped() or MODELS
    poems_opened, pixels_opened = gr.State(False), gr.State(False)
    gr.Markdown(
        "An **autoregressive transformer** generates a sequence token by token, each predicted from all before it. "
        "Write a text, then click a character to change what follows.",
        elem_classes="hint",
    )
    with gr.Tabs(elem_classes="parts"):
        with gr.Tab("Shakespeare", id="text", visible=TEXT in offered):
            build_text(opened)
        with gr.Tab("Tang poems 唐诗", id="poems", visible=POEMS in offered) as poems:
            build_poems(wiring.opening(None, poems, poems_opened))
        with gr.Tab("Pictures", id="pixels", visible=PIXELS in offered) as pixels:
            build_pixels(wiring.opening(None, pixels, pixels_opened))
    wiring.explanation(__file__, measured="; ".join(wiring.measured(name).rstrip(".") for name in offered) + ".")
    with gr.Accordion("The models, and what was measured", open=False):
        card = gr.Markdown()
    wiring.act(opened, about, None, card)
    endpoints()
