"""The transformer: causality, KV cache, sampling, poems that follow their form, likelihoods of pixels."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st

import genmodels as gm
from genmodels.base import CheckpointError
from genmodels.pixel_transformer import PixelTransformer
from genmodels.text_transformer import PoemTransformer, TextTransformer
from genmodels.tokens import FORMS, PixelTokenizer
from genmodels.transformer import Transformer, apply_repetition_penalty, apply_rotary, sample_next_token, warp_logits
from tests.compare import close

PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)
HANZI = "春眠不觉晓处闻啼鸟夜来风雨声花落知多少"
KINDS = {
    "characters": (TextTransformer, dict(alphabet="\n abcdefghijk", context=8)),
    "poems": (PoemTransformer, dict(alphabet=HANZI + "，。·a", context=24)),
    "pixels": (PixelTransformer, dict(size=4, classes=3, lags=[0, 1, 2, 3, 4])),
}
TEXTS = ("characters", "poems")


def small(kind="characters", **more):
    """A small model whose weights are nowhere zero, unlike freshly initialized ones."""
    torch.manual_seed(0)
    transformer, arguments = KINDS[kind]
    model = transformer(**dict(width=16, layers=2, heads=2, hidden=12) | arguments | more).eval()
    with torch.no_grad():
        for p in model.parameters():
            p += 0.3 * torch.randn_like(p)
    return model.requires_grad_(False)


@pytest.fixture(scope="module")
def text():
    return small()


@pytest.fixture(scope="module")
def poems():
    return small("poems")


@pytest.fixture(scope="module")
def pixels():
    return small("pixels")


def random_ids(model, n, seed=0):
    return torch.randint(model.tokenizer.vocab_size, (n,), generator=torch.Generator().manual_seed(seed)).tolist()


def pictures(n, seed=1):
    return torch.rand(n, 1, 4, 4, generator=torch.Generator().manual_seed(seed))


# --- The network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_no_prediction_depends_on_a_later_token(kind):
    """By gradients: all tokens differ, so that each row of an embedding table belongs to one position; shifted by the lags."""
    model = small(kind).requires_grad_(True)
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
    model = small(kind, **more).to(dtype)
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


@pytest.mark.parametrize("prefix_length", [1, 5, 16])
def test_cached_pixels_equal_the_full_pass(pixels, prefix_length):
    model = small("pixels").double()
    ids = model.tokenizer.encode(pictures(2), torch.tensor([1, -1]))[:, :-1]
    full, cache = model.logits(ids), model.empty_cache(2)
    steps = [
        model.logits(ids[:, :prefix_length], cache, 0),
        *(model.logits(ids[:, : t + 1], cache, t) for t in range(prefix_length, 16)),
    ]
    assert torch.allclose(torch.cat(steps, 1), full, atol=1e-12, rtol=0)


def test_lags_read_the_neighbours_of_a_pixel(pixels):
    """Each lag reads the token that far back: the pixel above is one row length back."""
    model = small("pixels", layers=0)
    ids = model.tokenizer.encode(pictures(1), torch.tensor([0]))
    x = model.embed(ids)
    for lag, table in zip(model.lags[1:], model.before):
        for t in range(17):
            x[0, t] += table.weight[ids[0, t - lag] if t >= lag else model.tokenizer.vocab_size]
    assert torch.allclose(model.logits(ids[:, :16]), F.linear(model.norm(x[:, :16]), model.embed.weight), atol=1e-5)


def test_products_of_rotated_vectors_depend_only_on_the_distance():
    model = small(context=64).double()
    q, k = torch.randn(2, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    q, k = apply_rotary(torch.stack([q, k])[:, None].expand(2, 64, 8), (model.cos, model.sin))
    products = q @ k.T  # (64, 64)
    for distance in range(-63, 64):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4)
    assert products[0].std() > 0.1  # and they do depend on it
    assert torch.allclose(q.norm(dim=1), q[0].norm(), atol=1e-5)


def test_products_of_rotated_pixels_depend_only_on_the_difference_in_rows_and_columns():
    model = small("pixels", size=6, heads=1).double()
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
    x, y = pictures(3), torch.tensor([0, 2, -1])
    ids = pixels.tokenizer.encode(x, y)
    nats = -pixels.logits(ids[:, :-1]).log_softmax(-1).gather(2, ids[:, 1:, None]).mean()
    assert torch.allclose(pixels.loss((x, y[:, None]))["loss"], nats, atol=1e-6)


def test_dropout_only_acts_in_training():
    model = small(dropout=0.5)
    ids = torch.tensor([random_ids(model, 9)])
    assert close(model.loss((ids,))["loss"], small().loss((ids,))["loss"])
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


@pytest.mark.parametrize("kind", KINDS)
def test_the_checkpoint_names_its_class(kind, tmp_path):
    """All transformers are one family, and "tokens" in config.json says which they are."""
    model = small(kind)
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
    model = small(context=32, width=24, heads=3, layers=3)
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


# --- Text -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, prompt",
    [
        ("characters", "abc"),
        ("characters", "abcdefghijkabcdefghijk"),
        ("characters", ""),
        ("poems", "五绝|风|花|春眠不觉晓，"),
        ("poems", ""),
    ],
    ids=str,
)
def test_generated_scored_and_read_tokens_agree(kind, prompt):
    """Token by token, although texts are generated with a cache and scored one window at a time."""
    model = small(kind)
    tokens = list(model.generate_steps(prompt, max_new_tokens=30, temperature=1.3, top_k=6, seed=1))
    generated = "".join(token.text for token in tokens)
    assert generated == model.generate(prompt, max_new_tokens=30, temperature=1.3, top_k=6, seed=1)
    assert generated == model.tokenizer.decode(token.id for token in tokens)
    ids, state = model._encode("prompt", prompt), None
    prompt = prompt or model.tokenizer.decode(ids)
    score, read = model.score(generated, prompt), list(model.read_steps(generated, prompt, alternatives=5))
    assert score.symbols == [token.text for token in tokens] == [token.text for token in read]
    for token, read_token, log_prob, entropy in zip(tokens, read, score.log_probs, score.entropy, strict=True):
        logits, state = model.next_logits(ids, state)
        p = logits.softmax(-1)
        assert token.probability == pytest.approx(p[token.id].item(), rel=1e-4)
        assert read_token.probability == pytest.approx(token.probability, rel=1e-4)
        assert log_prob.item() == pytest.approx(math.log(token.probability), abs=1e-4)
        assert entropy.item() == pytest.approx(-(p * p.log()).sum().item(), abs=1e-4)
        assert token.entropy == pytest.approx(entropy.item(), abs=1e-4) == read_token.entropy
        warped = warp_logits(logits, 1.3, 6)
        ranked = p.argsort(descending=True)[:10].tolist()
        # Rounding may exchange two equally likely tokens: compare the probability of each listed token, not its rank.
        for alternatives in (token.alternatives, read_token.alternatives):
            listed = [model.tokenizer.token_id[symbol] for symbol, *_ in alternatives]
            assert len(set(listed)) == len(listed) == (10 if alternatives is token.alternatives else 5)
            assert p[listed].tolist() == pytest.approx(p[ranked[: len(listed)]].tolist(), rel=1e-4)
            assert [value for _, value, _ in alternatives] == pytest.approx(p[listed].tolist(), rel=1e-4)
            expected = warped if alternatives is token.alternatives else p  # nothing is cut off from what is only read
            assert [value for *_, value in alternatives] == pytest.approx(expected[listed].tolist(), rel=1e-4, abs=1e-7)
        assert warped[token.id] > 0
        ids = [*ids, token.id]


def test_scores_beyond_the_context_equal_those_of_generation(text):
    """Every prefix, wherever the prompt ends and the windows change."""
    ids = random_ids(text, 30)
    whole = text.tokenizer.decode(ids)
    expected = [text.next_logits(ids[:n])[0].log_softmax(-1)[ids[n]].item() for n in range(1, 30)]
    for length in (1, 7, 8, 9, 12, 29):
        score = text.score(whole[length:], whole[:length])
        assert score.log_probs.tolist() == pytest.approx(expected[length - 1 :], abs=1e-4)


def test_temperature_0_takes_the_most_likely_token_for_every_seed(text):
    tokens = list(text.generate_steps("abc", max_new_tokens=20, temperature=0, seed=0))
    assert all(token.text == token.alternatives[0][0] and token.alternatives[0][2] == 1 for token in tokens)
    assert text.generate("abc", max_new_tokens=20, temperature=0) == "".join(token.text for token in tokens)


def test_first_tokens_have_the_frequencies_of_their_probabilities(text):
    (token,) = text.generate_steps("abc", max_new_tokens=1, temperature=2, top_p=0.8, seed=0, alternatives=13)
    probabilities = {symbol: p for symbol, _, p in token.alternatives}
    counts = dict.fromkeys(probabilities, 0)
    for seed in range(800):
        counts[text.generate("abc", max_new_tokens=1, temperature=2, top_p=0.8, seed=seed)] += 1
    for symbol, p in probabilities.items():
        assert abs(counts[symbol] / 800 - p) <= 4 * math.sqrt(p * (1 - p) / 800), symbol


def test_the_same_seed_gives_the_same_text_in_concurrent_use(text):
    def write(seed):
        return text.generate("ab"[: seed % 3], max_new_tokens=25, temperature=1 + seed / 9, seed=seed)

    before = torch.get_rng_state()
    alone = [write(seed) for seed in range(12)]
    assert len(set(alone)) == 12
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(write, range(12))) == alone
    visitors = [
        text.generate_steps("ab"[: seed % 3], max_new_tokens=25, temperature=1 + seed / 9, seed=seed) for seed in range(12)
    ]
    in_turns = zip(*([token.text for token in turn] for turn in zip(*visitors)))
    assert ["".join(parts) for parts in in_turns] == alone
    assert torch.equal(before, torch.get_rng_state())


def test_the_caller_can_restrict_the_tokens(text):
    def allowed(index):
        return torch.tensor([symbol == "abc"[index % 3] for symbol in text.tokenizer.symbols])

    assert text.generate("k", max_new_tokens=7, seed=0, allowed_tokens=allowed) == "abcabca"
    (token,) = text.generate_steps("k", max_new_tokens=1, seed=0, allowed_tokens=allowed, alternatives=1)
    assert token.alternatives == [("a", pytest.approx(token.probability), 1)]
    assert token.probability < 0.9  # the model's, without the restriction


def test_prompts_are_folded_and_only_the_last_tokens_count(text):
    def write(prompt):
        return text.generate(prompt, max_new_tokens=12, seed=0)

    assert write("") == write("\n") == write("春") == write("\x00\x1b")
    assert write("\u00e1b\x07\u0107") == write("abc")
    long = "abcdefghijk" * 9090
    assert len(long) < 100_000 and write(long) == write(long[text.window_start(len(long)) :])
    assert write("a" * 100_000) == write("a" * (100_000 - text.window_start(100_000)))


LIMITS = {  # argument -> values that are refused
    "prompt": (None, 3, b"a", ["a"], "a" * 100_001),
    "max_new_tokens": (0, -1, 1.5, None, 100_001, "x"),
    "temperature": (math.nan, -0.1, 5.1, "hot", None, math.inf),
    "top_k": (-1, 14, 2.5, None),
    "top_p": (-0.1, 1.1, math.nan, None),
    "min_p": (-0.1, 1.1, math.nan),
    "repetition_penalty": (0.4, 5.1, math.nan, None),
    "alternatives": (-1, 101, 0.5),
    "seed": (-1, 2**63, 0.5, "a"),
}


@pytest.mark.parametrize(
    "argument, bad", [(name, value) for name, values in LIMITS.items() for value in values], ids=lambda value: str(value)[:12]
)
def test_bad_arguments_get_a_sentence_before_the_first_token(text, argument, bad):
    with pytest.raises(ValueError, match=rf"^{argument} must be .{{10,200}}\.$"):
        text.generate_steps(**{argument: bad})


@pytest.mark.parametrize(
    "call, says",
    [
        (lambda m: m.score(""), "text must have"),
        (lambda m: m.score("春"), "text must have"),
        (lambda m: m.score(3), "text must be"),
        (lambda m: m.score("a", 3), "prompt must be"),
        (lambda m: m.score("a" * 100_001), "text must be"),
        (lambda m: m.read_steps(""), "text must have"),
        (lambda m: m.read_steps("a", alternatives=-1), "alternatives must be"),
        (lambda m: m.attention(None), "text must be"),
        (lambda m: m.sample(1, temperature=2.1), "temperature must be"),
        (lambda m: m.sample(0), "n must be"),
    ],
    ids=[str(i) for i in range(10)],
)
def test_other_impossible_calls_get_a_sentence(text, call, says):
    with pytest.raises(ValueError, match=rf"^{says}.{{5,200}}\.$"):
        call(text)


def test_text_samples_do_not_depend_on_their_number(text):
    samples = text.sample(3, seed=5)
    assert [len(sample) for sample in samples] == [200] * 3 and len(set(samples)) == 3
    assert samples[:2] == text.sample(2, seed=5) != text.sample(2, seed=6)


# --- Poems ------------------------------------------------------------------------------------------------------------


@settings(PROPERTY, max_examples=30, phases=[Phase.generate])  # to shrink what fails would take minutes
@given(
    form=st.sampled_from(list(FORMS)),
    heads=st.text(HANZI, max_size=8),
    title=st.text(max_size=40),
    data=st.data(),
    author=st.text(max_size=10),
    temperature=st.sampled_from([0, 1e-7, 0.5, 1, 5]),
    top_k=st.integers(0, 9),
    penalty=st.sampled_from([1.0, 5.0]),
    seed=st.integers(0, 2**63 - 1),
)
def test_poems_hold_their_form(poems, form, heads, title, data, author, temperature, top_k, penalty, seed):
    lines, length = FORMS[form]
    heads, title, author = heads[:lines], *(part.replace("|", "").replace("\n", "") for part in (title, author))
    options = dict(
        title=title,
        author=author,
        heads=heads,
        temperature=temperature,
        top_k=top_k,
        seed=seed,
        repetition_penalty=penalty,
        alternatives=0,
    )
    body = "".join(token.text for token in poems.poem_steps(form, **options))
    assert len(body) == lines * (length + 1)
    written = [body[i : i + length + 1] for i in range(0, len(body), length + 1)]
    for i, line in enumerate(written):
        assert set(line[:-1]) <= set(HANZI) and line[-1] == "，。"[i % 2]
    assert "".join(line[0] for line in written)[: len(heads)] == heads
    if temperature == 0:  # then the beginning determines the rest: the two most likely tokens are never closer than 0.01 here
        prefix = body[: data.draw(st.integers(0, len(body) - 1))]
        assert prefix + "".join(token.text for token in poems.poem_steps(form, prefix=prefix, **options)) == body


def test_poems_depend_on_form_title_and_author(poems):
    def write(form="五绝", **conditions):
        return "".join(token.text for token in poems.poem_steps(form, seed=0, **conditions))

    assert len({write(), write(title="花"), write(author="花"), write(heads="花"), write("七绝")[:24]}) == 5
    assert write(title="龘") == write(title="□")  # all unknown characters are the same


def test_alternatives_of_a_forced_token_are_the_allowed_ones(poems):
    first, *_ = poems.poem_steps("五绝", heads="花", seed=0, alternatives=3)
    assert first.text == first.alternatives[0][0] == "花" and first.alternatives[0][2] == 1
    assert first.alternatives[0][1] == pytest.approx(first.probability) and first.probability < 0.5
    assert len(first.alternatives) == 1  # tokens that are not allowed are not listed


def test_poems_end_by_themselves(poems):
    mask = poems.tokenizer.allowed_mask("五绝", 0)
    steps = poems.generate_steps(
        "五绝|||",
        max_new_tokens=50,
        seed=0,
        allowed_tokens=lambda index: mask if index < 5 else ~mask & (torch.arange(len(mask)) == 1),
    )
    body = "".join(token.text for token in steps)
    assert len(body) == 6 and body[-1] == "\n"
    assert all(len(poem) == 200 or poem.index("\n") == len(poem) - 1 for poem in poems.sample(5, temperature=2, seed=0))


@pytest.mark.parametrize(
    "arguments, says",
    [
        (dict(form="六绝"), "form must be one of"),
        (dict(form=None), "form must be one of"),
        (dict(title="花" * 41), "title must"),
        (dict(title="a|b"), "title must"),
        (dict(author="花\n"), "author must"),
        (dict(author="花" * 11), "author must"),
        (dict(heads="花花花花花"), "heads must"),
        (dict(heads="龘"), "heads must"),
        (dict(heads="，"), "heads must"),
        (dict(heads="□"), "heads must"),
        (dict(heads="·"), "heads must"),
        (dict(heads="a"), "heads must"),
        (dict(heads=3), "heads must"),
        (dict(prefix="花"), None),
        (dict(prefix="，"), "prefix must"),
        (dict(prefix="花花"), None),
        (dict(prefix="花花花花花花"), "prefix must"),
        (dict(prefix="花", heads="风"), "prefix must"),
        (dict(prefix=None), "prefix must"),
        (dict(prefix="花" * 99), "prefix must"),
        (dict(temperature=math.nan), "temperature must"),
        (dict(seed=-1), "seed must"),
    ],
    ids=str,
)
def test_bad_arguments_for_poems_get_a_sentence(poems, arguments, says):
    arguments = {"form": "五绝", **arguments}
    if says is None:
        assert len(list(poems.poem_steps(**arguments))) == 24 - len(arguments["prefix"])
        return
    with pytest.raises(ValueError, match=rf"(?s)^{says} .{{5,200}}\.$"):
        poems.poem_steps(**arguments)


# --- Pixels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_given_rows_stay_and_generated_pixels_come_with_their_probability(pixels, rows):
    x = pictures(1)
    steps = list(pixels.complete_steps(x if rows else None, rows=rows, n=3, label=1, temperature=0.7, seed=0))
    assert [step.rows for step in steps] == list(range(rows + 1, 5))
    whole = steps[-1].x
    assert whole.shape == (3, 1, 4, 4) and len(torch.unique(whole, dim=0)) == 3
    expected = pixels.pixel_log_probs(whole, 1).exp()
    for step in steps:
        assert torch.equal(step.x[:, :, :rows], (x[:, :, :rows] * 255).round().expand(3, -1, -1, -1) / 255)
        assert torch.equal(step.x[:, :, : step.rows], whole[:, :, : step.rows])
        assert not step.x[:, :, step.rows :].any() and not step.probability[:, step.rows :].any()
        assert torch.allclose(step.probability[:, rows : step.rows], expected[:, rows : step.rows], rtol=1e-4)
        assert not step.probability[:, :rows].any()


def test_what_is_below_the_given_rows_does_not_matter(pixels):
    x, other = pictures(1), pictures(1)
    other[:, :, 2:] = 0.5
    ends = [list(pixels.complete_steps(picture, rows=2, n=2, seed=0))[-1].x for picture in (x, other)]
    assert torch.equal(*ends)


def test_log_probs_are_normalized_over_the_grey_levels(pixels):
    x, y = pictures(3), torch.tensor([0, 2, 1])
    each = pixels.pixel_log_probs(x, y)
    assert each.shape == (3, 4, 4)
    ids = pixels.tokenizer.encode(x, y)
    log_p = pixels.logits(ids[:, :-1])[..., :256].log_softmax(-1)
    for i, r, c in product(range(3), range(4), range(4)):
        assert each[i, r, c].item() == pytest.approx(log_p[i, 4 * r + c, ids[i, 1 + 4 * r + c]].item(), abs=1e-4)
    assert close(pixels.log_prob(x, y), each.sum((1, 2)))
    assert close(pixels.bits_per_dim(x, y), -each.sum((1, 2)) / (16 * math.log(2)))
    assert not torch.allclose(pixels.log_prob(x, 0), pixels.log_prob(x, 1), atol=1e-3)
    assert close(pixels.log_prob(x), pixels.log_prob(x, -1))


def binary_model():
    """A model of binary 2x2 pictures, of which there are sixteen."""
    model = small("pixels", size=2, lags=[0, 1, 2])
    model.tokenizer = PixelTokenizer(2, 3, levels=2)  # uses the first rows of a larger table
    return model, torch.tensor(list(product([0.0, 1.0], repeat=4))).view(16, 1, 2, 2)


def test_the_probabilities_of_all_pictures_sum_to_one():
    model, every = binary_model()
    for label in (None, 0, 2):
        assert model.log_prob(every, label).exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_without_a_class_likelihoods_are_those_of_the_mixture_of_all_classes():
    x, pixels = pictures(3), small("pixels")
    by_class = torch.stack([pixels.log_prob(x, c) for c in range(3)])  # (C, B)
    assert torch.allclose(pixels.log_prob(x), by_class.logsumexp(0) - math.log(3), atol=1e-4)
    assert torch.allclose(pixels.log_prob(x, [-1, 2, -1])[1], by_class[2, 1], atol=1e-4)
    assert torch.allclose(pixels.class_posterior(x), by_class.softmax(0).T.double(), atol=1e-4)
    assert torch.allclose(pixels.class_posterior(x, rows=0), torch.full((3, 3), 1 / 3, dtype=torch.float64))
    p = pixels.pixel_log_probs(x)[:, 0, 0].exp()  # before any pixel, the classes are equally likely
    assert torch.allclose(p, torch.stack([pixels.pixel_log_probs(x, c)[:, 0, 0].exp() for c in range(3)]).mean(0), rtol=1e-4)
    pixels.embed.weight.data[-1] += 1  # nothing depends on the token for no class, which no picture is trained with
    assert torch.allclose(pixels.log_prob(x), by_class.logsumexp(0) - math.log(3), atol=1e-4)


def test_completions_without_a_class_draw_one_from_its_posterior():
    model, every = binary_model()
    x = every[9:10]  # rows (1, 0) and (0, 1)
    frequencies = torch.zeros(16)
    for seed in range(12):
        *_, last = model.complete_steps(x, rows=1, n=64, seed=seed)
        frequencies += (last.x.flatten(1).long() * torch.tensor([8, 4, 2, 1])).sum(1).bincount(minlength=16) / (12 * 64)
    p = model.log_prob(every).exp() * (every[:, 0, 0] == x[0, 0, 0]).all(1)
    p = p / p.sum()
    assert bool(((frequencies - p).abs() <= 4 * (p * (1 - p) / (12 * 64)).sqrt()).all())


def test_samples_have_the_frequencies_of_their_probabilities():
    model, every = binary_model()
    p = model.log_prob(every, 1).exp()
    x = model.sample(1500, label=1, seed=0)
    frequencies = (x.flatten(1).long() * torch.tensor([8, 4, 2, 1])).sum(1).bincount(minlength=16) / len(x)
    assert bool(((frequencies - p).abs() < 4 * (p * (1 - p) / len(x)).sqrt()).all())
    assert (p.max() - p.min()) > 0.05


def test_samples_have_the_labels_and_full_batches_do_not_depend_on_what_follows(pixels):
    # Exactly: both sides compute the same in batches of the same shape, so that no rounding changes a sampled pixel.
    x = pixels.sample(3, label=[0, 1, 2], seed=0)
    steps = pixels.complete_steps(n=3, label=[0, 1, 2], seed=0)
    assert torch.equal(x, list(steps)[-1].x)
    cold = pixels.sample(2, label=[0, 1], temperature=0, seed=0)
    assert torch.equal(cold, pixels.sample(2, label=[0, 1], temperature=0, seed=1)) and not torch.equal(cold[0], cold[1])
    many = pixels.sample(70, seed=3)
    assert torch.equal(many[:64], pixels.sample(64, seed=3)) and not torch.equal(many[64:], many[:6])


@pytest.mark.parametrize(
    "arguments, says",
    [
        (dict(rows=1), "rows"),
        (dict(x=pictures(1), rows=4), "rows"),
        (dict(n=0), "n"),
        (dict(n=65), "n"),
        (dict(x=pictures(2), rows=1), "x"),
        (dict(x=pictures(1) + 1, rows=1), "x"),
        (dict(x=3, rows=1), "x"),
        (dict(label=3), "label"),
        (dict(label=[0, 1], n=3), "label"),
        (dict(temperature=math.nan), "temperature"),
        (dict(temperature=2.1), "temperature"),
        (dict(seed=-1), "seed"),
    ],
    ids=[str(i) for i in range(12)],
)
def test_bad_arguments_for_pictures_get_a_sentence(pixels, arguments, says):
    with pytest.raises(ValueError, match=rf"^{says} must be .{{5,200}}\.$"):
        pixels.complete_steps(**arguments)


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
