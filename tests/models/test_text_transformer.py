"""The transformers of texts: generation, its options, poems that follow their form."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from genmodels.tokens import FORMS
from genmodels.transformer import warp_logits
from tests.helpers_models import HANZI, random_ids, small_transformer

PROPERTY = settings(deadline=None, derandomize=True, max_examples=150)


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
    model = small_transformer(kind)
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
    for seed in range(400):
        counts[text.generate("abc", max_new_tokens=1, temperature=2, top_p=0.8, seed=seed)] += 1
    for symbol, p in probabilities.items():
        assert abs(counts[symbol] / 400 - p) <= 4 * math.sqrt(p * (1 - p) / 400), symbol


def test_the_same_seed_gives_the_same_text_in_concurrent_use(text):
    def write(seed):
        return text.generate("ab"[: seed % 3], max_new_tokens=25, temperature=1 + seed / 9, seed=seed)

    before = torch.get_rng_state()
    alone = [write(seed) for seed in range(6)]
    assert len(set(alone)) == 6
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(write, range(6))) == alone
    visitors = [
        text.generate_steps("ab"[: seed % 3], max_new_tokens=25, temperature=1 + seed / 9, seed=seed) for seed in range(6)
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
    samples = text.sample(2, seed=5)
    assert [len(sample) for sample in samples] == [200] * 2 and len(set(samples)) == 2
    assert samples[:1] == text.sample(1, seed=5) != text.sample(1, seed=6)


@settings(PROPERTY, max_examples=20, phases=[Phase.generate])  # to shrink what fails would take minutes
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
