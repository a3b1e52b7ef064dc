"""The transformer: causality, KV cache, sampling, poems that follow their form, likelihoods of pixels."""

import json
import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

import genmodels as gm
from genmodels.base import CheckpointError
from genmodels.pixel_transformer import PixelTransformer
from genmodels.text_transformer import TextTransformer
from genmodels.transformer import Transformer, apply_repetition_penalty, apply_rotary, sample_next_token, warp_logits
from tests.compare import close
from tests.helpers_models import TRANSFORMERS, random_ids, small_transformer, tiny_pictures

PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)


# --- The network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_no_prediction_depends_on_a_later_token(kind):
    """By gradients: all tokens differ, so that each row of an embedding table belongs to one position; shifted by the lags."""
    model = small_transformer(kind).requires_grad_(True)
    T = model.context
    ids = torch.randperm(model.tokenizer.vocab_size, generator=torch.Generator().manual_seed(0))[:T]
    hidden_states = model._hidden_states(ids[None])[0]
    for t in range(T):
        tables = [model.embed.weight, *(table.weight for table in model.before)]
        gradients = torch.autograd.grad(hidden_states[t].sum(), tables, retain_graph=True)
        for lag, gradient in zip(model.lags, gradients):
            influences = gradient[ids].abs().sum(1) > 0
            assert influences.tolist() == [s <= t - lag for s in range(T)], (t, lag)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-4), (torch.float64, 1e-12)], ids=str)
@pytest.mark.parametrize(
    "kind, more",
    [("characters", {}), ("poems", {}), ("characters", dict(context=5)), ("characters", dict(lags=[0, 1, 3]))],
    ids=str,
)
def test_cached_decoding_equals_the_full_pass(kind, more, dtype, tolerance):
    """At every position, also far beyond the context length, where the window moves."""
    model = small_transformer(kind, **more).to(dtype)
    ids, state, previous_start = random_ids(model, 3 * model.context + 3), None, 0
    for n in range(1, len(ids) + 1):
        logits, state = model.next_logits(ids[:n], state)
        start = model.window_start(n)
        full = model.logits(torch.tensor([ids[start:n]]))[0, -1]
        assert logits.dtype == dtype and torch.allclose(logits, full, atol=tolerance, rtol=0), n
        assert torch.allclose(model.next_logits(ids[:n])[0], full, atol=tolerance, rtol=0), n  # from the middle of a text
        assert start >= previous_start and min(n, model.context // 2) <= n - start <= model.context, n
        previous_start = start
    assert previous_start > model.context


def test_the_last_token_can_be_replaced_in_a_cached_state(text):
    ids = random_ids(text, 6)
    _, state = text.next_logits(ids[:5])
    for last in (ids[5], 3, 4, ids[5]):
        logits, _ = text.next_logits([*ids[:5], last], state)
        assert torch.allclose(logits, text.next_logits([*ids[:5], last])[0], atol=1e-5)


def test_hooks_of_all_layers_are_called_in_each_cached_step(text):
    """The page gives way to other visitors in such a hook."""
    ids, calls = random_ids(text, 6), []
    handle = torch.nn.modules.module.register_module_forward_pre_hook(lambda *_: calls.append(1))
    try:
        _, state = text.next_logits(ids[:4])
        for n in (5, 6):
            calls.clear()
            _, state = text.next_logits(ids[:n], state)
            assert calls, n
    finally:
        handle.remove()


def test_a_network_in_16_bits_or_with_dropout_is_cached_too():
    ids = random_ids(small_transformer("characters"), 6)
    for model, tolerance in (
        (small_transformer("characters").bfloat16(), 0.1),
        (small_transformer("characters", dropout=0.5).train(), None),
    ):
        _, state = model.next_logits(ids[:5])
        logits, _ = model.next_logits(ids, state)
        if tolerance is None:  # random numbers differ
            assert not torch.equal(logits, model.next_logits(ids, state)[0])
        else:
            assert torch.allclose(logits, model.next_logits(ids)[0], atol=tolerance)


@pytest.mark.parametrize("prefix_length", [1, 5, 16])
def test_cached_pixels_equal_the_full_pass(pixels, prefix_length):
    model = small_transformer("pixels").double()
    ids = model.tokenizer.encode(tiny_pictures(2), torch.tensor([1, -1]))[:, :-1]
    full, cache = model.logits(ids), model.empty_cache(2)
    steps = [
        model.logits(ids[:, :prefix_length], cache, 0),
        *(model.logits(ids[:, : t + 1], cache, t) for t in range(prefix_length, 16)),
    ]
    assert torch.allclose(torch.cat(steps, 1), full, atol=1e-12, rtol=0)


def test_lags_read_the_neighbours_of_a_pixel(pixels):
    """Each lag reads the token that far back: the pixel above is one row length back."""
    model = small_transformer("pixels", layers=0)
    ids = model.tokenizer.encode(tiny_pictures(1), torch.tensor([0]))
    x = model.embed(ids)
    for lag, table in zip(model.lags[1:], model.before):
        for t in range(17):
            x[0, t] += table.weight[ids[0, t - lag] if t >= lag else model.tokenizer.vocab_size]
    assert torch.allclose(model.logits(ids[:, :16]), F.linear(model.norm(x[:, :16]), model.embed.weight), atol=1e-5)


def test_products_of_rotated_vectors_depend_only_on_the_distance():
    model = small_transformer(context=64).double()
    q, k = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q, k = apply_rotary(torch.stack([q, k])[:, None].expand(2, 64, 8), (model.cos, model.sin))
    products = q @ k.T  # (64, 64)
    for distance in range(-63, 64):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4)
    assert products[0].std() > 0.1  # and they do depend on it
    assert torch.allclose(q.norm(dim=1), q[0].norm(), atol=1e-5)


def test_products_of_rotated_pixels_depend_only_on_the_difference_in_rows_and_columns():
    model = small_transformer("pixels", size=6, heads=1).double()
    q, k = torch.randn(2, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q, k = apply_rotary(torch.stack([q, k])[:, None].expand(2, 36, 16), (model.cos, model.sin))
    products, places = {}, [divmod(t - 1, 6) for t in range(36)]  # position 0 holds the class, just before the first pixel
    for (i, (r, c)), (j, (r2, c2)) in product(enumerate(places), repeat=2):
        products.setdefault((r - r2, c - c2), []).append((q[i] @ k[j]).item())
    assert all(max(values) - min(values) < 1e-5 for values in products.values())
    assert len({round(values[0], 4) for values in products.values()}) > 0.95 * len(products)


def test_the_attention_maps_reproduce_the_logits(text):
    symbols, maps = text.attention("abcdef")
    assert symbols == list("abcdef") and maps.shape == (2, 2, 6, 6)
    assert close(maps.sum(-1), torch.ones(2, 2, 6))
    assert bool((maps.triu(1) == 0).all()) and bool((maps >= 0).all())
    ids = torch.tensor([text.tokenizer.encode("abcdef")])
    x = text.embed(ids[0])
    for block, layer_maps in zip(text.blocks, maps):
        _, _, v = block.project_qkv(x, (text.cos[:6], text.sin[:6]))
        x = block.update(x, layer_maps[None] @ v, lambda x: x)
    assert torch.allclose(F.linear(text.norm(x), text.embed.weight), text.logits(ids), atol=1e-5)


def test_attention_maps_cover_the_last_tokens(text, poems):
    symbols, maps = text.attention("aaaaabcdefgh")
    assert symbols == list("abcdefgh") and close(maps, text.attention("abcdefgh")[1])
    assert text.attention("")[0] == ["\n"] and text.attention("春")[0] == ["\n"]
    assert poems.attention("五绝||雨|")[0] == ["五绝", "|", "雨", "|"]


def test_the_loss_by_hand():
    """Freshly initialized blocks are the identity: logits are products of normalized rows of the embedding table."""
    torch.manual_seed(0)
    model = TextTransformer(alphabet="abc", width=4, layers=1, heads=1, hidden=2, context=4)
    table = [[1.0, 2.0, 0.0, -1.0], [0.5, 0.0, 1.0, 0.0], [-1.0, 1.0, 1.0, 1.0]]
    with torch.no_grad():
        model.embed.weight.copy_(torch.tensor(table))
    ids = [0, 2, 1, 1, 0]
    nats = 0.0
    for current, target in zip(ids, ids[1:]):
        size = math.sqrt(sum(v * v for v in table[current]) / 4 + 1e-6)
        logits = [sum(a * b / size for a, b in zip(table[current], row)) for row in table]
        nats += math.log(sum(map(math.exp, logits))) - logits[target]
    terms = model.loss((torch.tensor([ids, ids]),))
    assert terms["loss"].item() == pytest.approx(nats / 4, rel=1e-5)
    assert terms["bits"].item() == pytest.approx(nats / 4 / math.log(2), rel=1e-5)


def test_the_loss_of_pixels_excludes_the_class(pixels):
    x, y = tiny_pictures(3), torch.tensor([0, 2, -1])
    ids = pixels.tokenizer.encode(x, y)
    nats = -pixels.logits(ids[:, :-1]).log_softmax(-1).gather(2, ids[:, 1:, None]).mean()
    assert torch.allclose(pixels.loss((x, y[:, None]))["loss"], nats, atol=1e-6)


def test_dropout_only_acts_in_training():
    model = small_transformer(dropout=0.5)
    ids = torch.tensor([random_ids(model, 9)])
    assert close(model.loss((ids,))["loss"], small_transformer().loss((ids,))["loss"])
    model.train()
    torch.manual_seed(0)
    losses = {model.loss((ids,))["loss"].item() for _ in range(4)}
    assert len(losses) == 4


@pytest.mark.parametrize(
    "transformer, more, says",
    [
        (TextTransformer, dict(width=18), "width must be divisible by 4"),
        (PixelTransformer, dict(width=12), "width must be divisible by 8"),
        (TextTransformer, dict(context=1), "context must be a whole number"),
        (TextTransformer, dict(alphabet="aa"), "alphabet must be"),
    ],
)
def test_impossible_arguments_of_the_constructor_are_refused(transformer, more, says):
    with pytest.raises(ValueError, match=says):
        transformer(**dict(width=16, heads=2, layers=1, hidden=4) | more)


@pytest.mark.parametrize("kind", TRANSFORMERS)
def test_the_checkpoint_names_its_class(kind, tmp_path):
    """All transformers are one family, and "tokens" in config.json says which they are."""
    model = small_transformer(kind)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    assert (config["family"], config["tokens"]) == ("transformer", kind)
    for loaded in (gm.load(tmp_path), Transformer.from_pretrained(tmp_path), type(model).from_pretrained(tmp_path)):
        assert type(loaded) is type(model) and loaded.config == model.config
    other = PixelTransformer if kind != "pixels" else TextTransformer
    with pytest.raises(CheckpointError, match=f"it is of a {type(model).__name__}, not of a {other.__name__}"):
        other.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | {"tokens": "words"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="tokens must be one of characters, poems, pixels, not 'words'"):
        Transformer.from_pretrained(tmp_path)


def llama(model):
    """The same weights as a Llama of `transformers`."""
    transformers = pytest.importorskip("transformers")
    c = model.config
    theirs = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=model.tokenizer.vocab_size,
            hidden_size=c["width"],
            intermediate_size=c["hidden"],
            num_hidden_layers=c["layers"],
            num_attention_heads=c["heads"],
            max_position_embeddings=c["context"],
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    ).eval()
    weights = {
        "model.embed_tokens.weight": model.embed.weight,
        "lm_head.weight": model.embed.weight,
        "model.norm.weight": model.norm.weight,
    }
    for i, block in enumerate(model.blocks):
        q, k, v = block.qkv.weight.chunk(3)
        gate, up = block.gate_up.weight.chunk(2)
        weights |= {
            f"model.layers.{i}.{name}.weight": w
            for name, w in {
                "self_attn.q_proj": q,
                "self_attn.k_proj": k,
                "self_attn.v_proj": v,
                "self_attn.o_proj": block.out.weight,
                "mlp.gate_proj": gate,
                "mlp.up_proj": up,
                "mlp.down_proj": block.down.weight,
                "input_layernorm": block.norm1.weight,
                "post_attention_layernorm": block.norm2.weight,
            }.items()
        }
    theirs.load_state_dict(weights, strict=True)
    return theirs


def test_the_same_weights_give_the_logits_of_llama():
    model = small_transformer(context=32, width=24, heads=3, layers=3)
    theirs, ids = llama(model), torch.tensor([random_ids(model, 32), random_ids(model, 32, seed=1)])
    with torch.inference_mode():
        assert torch.allclose(model.logits(ids), theirs(ids).logits, atol=1e-4, rtol=0)
        written = theirs.generate(ids[:1, :5], attention_mask=torch.ones(1, 5), max_new_tokens=20, do_sample=False)
    top = model.logits(written[:, :-1])[0, 4:].topk(2).values
    assert (top[:, 0] - top[:, 1]).min() > 1e-2  # so that rounding does not change the most likely token
    prompt = model.tokenizer.decode(ids[0, :5].tolist())
    assert model.generate(prompt, max_new_tokens=20, temperature=0) == model.tokenizer.decode(written[0, 5:].tolist())


# --- From logits to a choice ------------------------------------------------------------------------------------------


def by_brute_force(logits, temperature, top_k, top_p, min_p):
    """(probabilities, how close the closest comparison was), with lists and loops."""
    top = max(logits)
    weights = [math.exp((logit - top) / temperature) for logit in logits]
    p, margin = [w / sum(weights) for w in weights], 1.0
    if 0 < top_k < len(p):
        lowest = sorted(p, reverse=True)[top_k - 1]
        p = [v if v >= lowest else 0.0 for v in p]
        p = [v / sum(p) for v in p]
    if top_p < 1:
        nucleus, mass = set(), 0.0
        for i in sorted(range(len(p)), key=lambda i: (-p[i], i)):
            margin = min(margin, abs(mass - top_p)) if nucleus else margin
            if nucleus and mass >= top_p:
                break
            nucleus.add(i)
            mass += p[i]
        p = [v if i in nucleus else 0.0 for i, v in enumerate(p)]
    lowest = min_p * max(p)
    margin = min([margin, *(abs(v - lowest) for v in p)])
    p = [v if v >= lowest else 0.0 for v in p]
    return [v / sum(p) for v in p], margin


LOGITS = st.lists(st.integers(-6, 6).map(lambda i: i / 2) | st.floats(-6, 6), min_size=1, max_size=9)  # many are ties


@PROPERTY
@given(logits=LOGITS, temperature=st.floats(0.05, 5), top_k=st.integers(0, 9), top_p=st.floats(0, 1), min_p=st.floats(0, 1))
@example(logits=[0.0] * 4, temperature=1.0, top_k=2, top_p=0.6, min_p=0.0)
def test_cutoffs_against_brute_force(logits, temperature, top_k, top_p, min_p):
    expected, margin = by_brute_force(logits, temperature, top_k, top_p, min_p)
    assume(margin > 1e-9)  # within rounding errors either decision is right
    p = warp_logits(torch.tensor(logits, dtype=torch.float64), temperature, top_k, top_p, min_p)
    assert p.tolist() == pytest.approx(expected, abs=1e-12)


def test_cutoffs_by_hand():
    def cut(**options):
        p = warp_logits(torch.tensor([0.1, 0.5, 0.25, 0.0625, 0.0875]).log(), **options)
        return [round(v, 4) for v in p.tolist()]

    assert cut() == [0.1, 0.5, 0.25, 0.0625, 0.0875]
    assert cut(top_k=2) == [0, 0.6667, 0.3333, 0, 0]
    assert cut(top_p=0.49) == cut(top_p=0) == cut(top_k=1) == cut(min_p=1) == cut(temperature=0) == [0, 1, 0, 0, 0]
    assert cut(top_p=0.51) == [0, 0.6667, 0.3333, 0, 0]  # the smallest set that reaches it
    assert cut(min_p=0.19) == [0.1176, 0.5882, 0.2941, 0, 0]
    assert cut(temperature=0.5) == [round(v * v / 0.33406, 4) for v in (0.1, 0.5, 0.25, 0.0625, 0.0875)]


def test_the_order_of_cutoffs_is_the_documented_one():
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    # If k comes first: two of 4/9, 3/9, 2/9 reach 0.75. If p came first: the same two are 0.7, and three would remain.
    assert warp_logits(logits, top_k=3, top_p=0.75).count_nonzero() == 2
    # Min-p after temperature: 0.3 / 0.4 squared is below 0.6. Before it, two tokens would remain.
    assert warp_logits(logits, temperature=0.5, min_p=0.6).count_nonzero() == 1
    assert warp_logits(logits, min_p=0.6).count_nonzero() == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_limits_of_temperature(dtype):
    logits = torch.tensor([[1.0, 3.0, 2.0, 3.0], [-300.0, 200.0, 0.0, -math.inf]], dtype=dtype)
    cold = torch.tensor([[0, 1, 0, 0], [0, 1, 0, 0]], dtype=dtype)  # of two equal ones the first
    for temperature in (0, 1e-300, 1e-45, 1e-38, 1e-7):
        assert torch.equal(warp_logits(logits, temperature), cold), temperature
    assert torch.allclose(warp_logits(logits, 1e-6), torch.tensor([[0, 0.5, 0, 0.5], [0, 1, 0, 0]], dtype=dtype))
    hot = warp_logits(logits, 1e6, top_k=3)
    assert torch.allclose(hot[0], torch.tensor([0, 1 / 3, 1 / 3, 1 / 3], dtype=dtype), atol=1e-5)
    assert torch.allclose(hot[1], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0], dtype=dtype), atol=1e-3)


def test_ties_all_pass_top_k_and_are_cut_in_order_by_top_p():
    same = torch.zeros(5)
    assert warp_logits(same, top_k=2).tolist() == pytest.approx([0.2] * 5)
    assert warp_logits(same, top_p=0.5).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 0])
    assert warp_logits(same, min_p=1).tolist() == pytest.approx([0.2] * 5)


@PROPERTY
@given(logits=LOGITS, data=st.data(), penalty=st.floats(0.5, 5))
def test_repetition_penalty_against_brute_force(logits, data, penalty):
    ids = data.draw(st.lists(st.integers(0, len(logits) - 1), max_size=12))
    given_logits = torch.tensor(logits, dtype=torch.float64)
    penalized = apply_repetition_penalty(given_logits, ids, penalty)
    expected = [(v / penalty if v > 0 else v * penalty) if i in ids else v for i, v in enumerate(logits)]
    assert penalized.tolist() == pytest.approx(expected)
    assert given_logits.tolist() == logits  # unchanged


def test_the_repetition_penalty_only_covers_the_window(text):
    """k occurs, but before the window: it is as likely as if it did not."""
    long = "k" + "abcdefgh" * 2
    first = text.window_start(len(long))
    assert "k" not in long[first:]

    def next_probabilities(prompt):
        (token,) = text.generate_steps(prompt, max_new_tokens=1, repetition_penalty=5, seed=0, alternatives=13)
        return {symbol: p for symbol, _, p in token.alternatives}

    ids = text.tokenizer.encode(long)
    expected = warp_logits(apply_repetition_penalty(text.next_logits(ids)[0], ids[first:], 5))
    assert next_probabilities(long) == pytest.approx(dict(zip(text.tokenizer.symbols, expected.tolist())), abs=1e-6)
    assert next_probabilities(long) == pytest.approx(next_probabilities(long[first:]), abs=1e-6)


def test_sampled_tokens_follow_the_probabilities():
    p = torch.tensor([[0.0, 0.5, 0.0, 0.3, 0.2, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [1e-3, 0.999, 0.0, 0.0, 0.0, 0.0]])
    g = torch.Generator().manual_seed(0)
    i = torch.cat([sample_next_token(p, g) for _ in range(5000)], 1)
    assert i.shape == (3, 5000)
    for row, expected in zip(i, p):
        share = row.bincount(minlength=6) / 5000
        assert bool((share[expected == 0] == 0).all())
        assert bool(((share - expected).abs() <= 4 * (expected * (1 - expected) / 5000).sqrt()).all()), share
    assert sample_next_token(torch.tensor([0.0, 1.0]), g).tolist() == [1]


# --- Surprisal --------------------------------------------------------------------------------------------------------


def test_the_mean_surprisal_in_all_units():
    tokens = [gm.text_transformer.Token(0, "a", p, 0.0, []) for p in (0.5, 0.125)]
    mean = gm.text_transformer.mean_surprisal(tokens)
    assert mean == {"nats": pytest.approx(2 * math.log(2)), "bits": pytest.approx(2), "perplexity": pytest.approx(4)}
    assert math.isfinite(gm.text_transformer.mean_surprisal([tokens[0]._replace(probability=0.0)])["nats"])


def test_surprisal_as_colours():
    x, probability = torch.full((2, 1, 4, 4), 0.5), torch.full((2, 4, 4), 0.5)
    probability[1] = 1 / 256
    pictures, heatmap = gm.pixel_transformer.show_surprisal(gm.pixel_transformer.Completion(x, probability, 3), given_rows=1)
    assert pictures.shape == heatmap.shape == (2, 3, 4, 4)
    assert (pictures[:, 2, :3] == 0.5).all() and (pictures[:, 0, 0] < 0.5).all() and (pictures[:, 0, 1:3] == 0.5).all()
    assert (heatmap[1, :, 1:3].sum(0) > heatmap[0, :, 1:3].sum(0)).all()  # eight bits are brighter than one
    assert torch.equal(pictures[:, :, 3], heatmap[:, :, 3])  # not generated yet
