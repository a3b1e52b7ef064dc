"""Poems of the shipped checkpoint keep rhymes and tones; the table of rhymes is that of the training poems and the books."""

import functools
import json
import shutil

import pytest
import torch

import genmodels as gm
from genmodels.rhyme import (
    OTHER_DIVISION,
    VerseRules,
    closest_pattern,
    readings,
    rhyme_finals,
    rhyme_table,
    rhymes,
    rhyming,
    tone_classes,
    tone_patterns,
    tone_violations,
)
from genmodels.tokens import FORMS
from genmodels.transformer import sample_next_token
from tests.compare import close
from train import texts
from train.rhymes import count_repeats, line_ends, main, make_table, perplexities, rhymes_today, statistics

SEEDS = range(2)
CASES = [
    dict(rhyme=True, candidates=3),
    dict(rhyme=True, candidates=3, tones=True),
    dict(rhyme=True, candidates=3, tones=True, heads="春夏秋冬"),
    dict(rhyme=True, candidates=1, temperature=2, title="送别", author="王维"),
]


@pytest.fixture(scope="module")
def poet():
    return gm.load("transformer-tang")


def test_readings_are_those_of_pypinyin(poet):
    from pypinyin import pinyin

    expected = {c: pinyin(c, errors="ignore") for c in poet.tokenizer.symbols if len(c) == 1}
    assert readings() == {c: found[0][0] for c, found in expected.items() if found}


@functools.cache
def write(form, seed, **options):
    options = {"temperature": 0.8, "alternatives": 3} | options
    return list(gm.load("transformer-tang").poem_steps(form, seed=seed, **options))


def text(tokens):
    return "".join(token.text for token in tokens)


# Each form with half of the cases, each case with half of the forms.
@pytest.mark.parametrize(
    ("form", "options"), [(form, CASES[(i + k) % 4]) for i, form in enumerate(FORMS) for k in (0, 1)], ids=str
)
def test_poems_rhyme_without_repetition(form, options):
    poems = [write(form, seed, **options) for seed in SEEDS]
    assert len({text(poem) for poem in poems}) == len(SEEDS)
    for tokens in poems:
        body = text(tokens)
        ends = line_ends(form, body)
        common = frozenset.intersection(*[rhymes()[c] for c in ends[1::2]])
        assert common and len(set(ends[1::2])) == len(ends) // 2
        assert all("仄" in tone_classes().get(c, "仄") for c in ends[2::2])  # odd lines after the first
        if tone_classes().get(ends[0]) == "平":
            assert common & rhymes().get(ends[0], common)
        lines = body.replace("。", "，").split("，")[:-1]
        assert len(set(lines)) == len(lines)
        assert count_repeats(body) < len(rhyme_table().repeats[form]) + ("heads" in options)
        assert "".join(line[0] for line in lines).startswith(options.get("heads", ""))
        if options.get("tones"):
            assert not tone_violations(body, closest_pattern(form, body))


@pytest.mark.parametrize("form", FORMS)
def test_tokens_are_marked(form):
    lines, length = FORMS[form]
    tokens = write(form, 0, rhyme=True, candidates=3, tones=True)
    ends = {i * (length + 1) + length - 1 for i in range(lines)}
    marked = {i for i, token in enumerate(tokens) if token.rhyme}
    even = {i for i in ends if (i // (length + 1)) % 2}
    assert even <= marked <= even | {length - 1}
    assert len({token.rhyme for token in tokens} - {""}) >= 1
    for i, token in enumerate(tokens):
        assert token.tone == tone_classes().get(token.text, "")
        if i in even:
            assert "平" in token.tone and token.rhyme in rhymes()[token.text]
            assert all(rhymes()[other] for other, *_ in token.alternatives)  # only rhymes are listed


def test_without_rules_a_poem_is_that_of_the_form_alone(poet):
    for form in ("七绝", "五律"):
        lines, length = FORMS[form]
        masks = [poet.tokenizer.allowed_mask(form, i) for i in range(lines * (length + 1))]
        steps = poet.generate_steps(
            f"{form}|春|李白|", max_new_tokens=len(masks), allowed_tokens=masks.__getitem__, seed=3, temperature=0.8, top_p=0.9
        )
        free = poet.poem_steps(form, title="春", author="李白", rhyme=False, seed=3, temperature=0.8, top_p=0.9)
        for expected, token in zip(steps, free, strict=True):
            assert token.text == expected.text and token.probability == pytest.approx(expected.probability, rel=1e-4)
            assert [row[0] for row in token.alternatives] == [row[0] for row in expected.alternatives]


def test_probabilities_of_a_candidate_are_those_of_the_model(poet):
    """The rows of the cache are exchanged after each line: a later line must see the line that was taken."""
    tokens = write("七律", 1, rhyme=True)
    log_probs = torch.tensor([token.probability for token in tokens]).log()
    score = poet.score(text(tokens), "七律|||")
    assert torch.allclose(log_probs, score.log_probs, atol=2e-3)
    assert [token.entropy for token in tokens] == pytest.approx(score.entropy.tolist(), abs=2e-3)


def test_a_poem_streams_line_by_line_and_depends_on_the_seed_only(poet):
    steps = poet.poem_steps("七绝", seed=5, temperature=0.8)
    first = [next(steps) for _ in range(8)]
    assert text(first) == text(write("七绝", 5))[:8] and first[-1].text == "，"
    assert text(first) + text(steps) == text(write("七绝", 5))


@pytest.mark.parametrize("cut", [3, 7, 8, 14, 16, 20])
def test_a_poem_is_continued_in_its_rhyme_and_pattern(cut):
    """The visitor replaces a character or continues a poem: what follows keeps to what stands there."""
    beginning = text(write("七绝", 2, tones=True, candidates=3))[:cut]
    body = beginning + text(write("七绝", 7, tones=True, candidates=3, prefix=beginning))
    assert not tone_violations(body, closest_pattern("七绝", body))
    assert frozenset.intersection(*[rhymes()[c] for c in line_ends("七绝", body)[1::2]])


def test_what_breaks_the_rules_is_kept_and_the_rest_holds_them():
    prefix = "人人人人人，人人人人人。"  # no pattern, and the same rhyme twice
    body = prefix + text(write("五律", 0, tones=True, prefix=prefix))
    ends = line_ends("五律", body)
    assert all("真" in rhymes()[c] for c in ends[3::2]) and len(set(ends[1::2])) == 4
    assert text(write("五绝", 0, tones=True, heads="入入入入"))[::6] == "入入入入"


def test_rules_allow_what_the_definition_allows(poet):
    rules = VerseRules(poet.tokenizer, "五绝", tones=True, repeats=0)
    verse = rules.start()
    assert len(verse.patterns) == 4
    for c in "白日依山尽，黄河入海":
        assert rules.mask(verse)[poet.tokenizer.token_id[c]]
        verse = rules.extend(verse, c)
    allowed = {poet.tokenizer.symbols[i] for i in rules.mask(verse).nonzero()[:, 0].tolist()}
    assert {"流", "楼", "人", "天"} <= allowed and not {"白", "日", "水", "月", "河"} & allowed
    for c in "流。欲穷千里目，更上一层":
        assert rules.mask(verse)[poet.tokenizer.token_id[c]], c
        verse = rules.extend(verse, c)
    assert len(verse.patterns) == 1 and verse.rhymes == {"尤"}
    allowed = {poet.tokenizer.symbols[i] for i in rules.mask(verse).nonzero()[:, 0].tolist()}
    assert {"楼", "秋", "愁"} <= allowed and not {"流", "山", "人", "东"} & allowed


def test_a_rhyme_of_the_same_division_is_the_likelier_one(poet):
    rules, token_id = VerseRules(poet.tokenizer, "五绝"), poet.tokenizer.token_id
    verse = rules.start()
    for c in "白日依山尽，黄河入海流。欲穷千里目，更上一层":
        assert rules.log_weights(verse) is None  # no rhyme comes next, or none came before
        verse = rules.extend(verse, c)
    finals = rhyme_finals()
    rhyming = [c for c in "楼秋愁舟游州侯头" if c in token_id and "尤" in rhymes()[c]]
    alike = {c for c in rhyming if finals[c] & finals["流"] or ("尤", "-") in finals[c]}
    assert alike and alike != set(rhyming)
    weights = rules.log_weights(verse).exp()
    for c in rhyming:
        assert weights[token_id[c]].item() == pytest.approx(1 if c in alike else OTHER_DIVISION)


def test_patterns_are_those_of_the_textbooks():
    assert tone_patterns("五绝")[0] == "中仄中平仄，平平中仄平。中平中仄仄，中仄仄平平。"
    assert tone_patterns("七绝")[3] == "中仄平平中仄平，中平中仄仄平平。中平中仄中平仄，中仄平平中仄平。"
    for form, (lines, length) in FORMS.items():
        for pattern in tone_patterns(form):
            written = pattern.replace("。", "，").split("，")[:-1]
            assert len(written) == lines and {len(line) for line in written} == {length}
            for first, second in zip(written[2::2], written[3::2]):  # opposite tones in a couplet
                assert all({a, b} == {"平", "仄"} for a, b in zip(first[1:-1:2], second[1:-1:2]))


def test_the_rhyme_of_a_body_is_that_of_most_even_lines():
    body = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
    assert rhyming("五绝", body) == ("尤", [10, 22]) and rhyming("五绝", body[:11]) == ("尤", [10])
    assert rhyming("五绝", body.replace("尽", "秋")) == ("尤", [4, 10, 22])
    assert rhyming("五绝", body.replace("目", "愁")) == ("尤", [10, 22])  # an odd line
    assert rhyming("五绝", body[:5]) == rhyming("五绝", "") == ("", [])
    assert rhyming("五律", "".join(4 * "一" + end + "。" for end in "一流一楼一天一秋")) == ("尤", [10, 22, 46])


def test_violations_are_found_where_they_are():
    body = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
    assert closest_pattern("五绝", body) == tone_patterns("五绝")[0] and not tone_violations(body, tone_patterns("五绝")[0])
    assert tone_violations(body.replace("山", "海"), tone_patterns("五绝")[0]) == [3]


def test_perplexity_under_the_rules_is_renormalized(poet):
    """Dividing by what the rules allow can only raise a probability, but for the factor on other divisions."""
    poems = texts.tang("val")[:12]
    for share, plain, constrained in perplexities(poet, poems).values():
        assert 0.2 < share <= 1 and 0.5 * plain < constrained < plain


def test_the_command_writes_what_it_measures_and_keeps_other_forms(tmp_path, monkeypatch):
    shutil.copytree(gm.base.checkpoint_folder("transformer-tang"), tmp_path / "transformer-tang")
    monkeypatch.setenv("GENMODELS_CHECKPOINTS", str(tmp_path))
    file = tmp_path / "transformer-tang" / "rhymes.json"
    others = {"forms": {"七律": {"test": {"n": 1}}}, "perplexity": {}}
    file.write_text(json.dumps(others), encoding="utf-8")
    main(poems=2, any_division=1, form=["五绝"])
    results = json.loads(file.read_text(encoding="utf-8"))
    assert results["forms"]["七律"] == {"test": {"n": 1}} and results["perplexity"] == {}
    found = results["forms"]["五绝"]
    assert [found[rules]["n"] for rules in ("test", "rhyme", "any division")] == [90, 2, 1]
    assert found["rhyme"] == statistics("五绝", [text(write("五绝", seed)) for seed in range(2)])
    assert gm.rhyme.OTHER_DIVISION < 1  # it was switched off for that one poem only


def test_tones_are_kept_by_fewer_poems_than_rhymes(poet):
    body = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
    poems = [("五绝", "", "", text) for text in (body, body.replace("山", "海"))]  # the second one has an oblique tone there
    measured = perplexities(poet, poems)
    assert {name: share for name, (share, *_) in measured.items()} == {"rhyme": 1, "rhyme and tones": 0.5}


def test_today_judges_by_finals():
    assert rhymes_today("五绝", "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。")
    assert not rhymes_today("五绝", "白日依山尽，黄河入海来。欲穷千里目，更上一层杯。")


def test_the_shipped_table_is_what_the_command_writes():
    assert make_table() == rhyme_table()._asdict()


def test_the_table_holds_old_rhymes():
    assert rhymes()["斜"] == {"麻"} and "灰" in rhymes()["回"] & rhymes()["来"]  # which no longer rhyme
    assert not rhymes()["门"] & rhymes()["人"]  # which rhyme today only
    assert "齐" in rhymes()["啼"] & rhymes()["溪"]  # missing in the book, learnt from the poems
    assert tone_classes()["竹"] == tone_classes()["白"] == "仄" and tone_classes()["看"] == "平仄"


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_a_line_is_weighted_by_the_share_of_the_samplers_probability_that_the_rules_left(poet, temperature):
    rules = VerseRules(poet.tokenizer, "五绝")
    verse = rules.start()
    for c in "床前明月白，疑是地上":
        verse = rules.extend(verse, c)
    logits = 3 * torch.randn(2, poet.tokenizer.vocab_size, generator=torch.Generator().manual_seed(0))
    _, log_share, allowed = poet._apply_rules(logits, rules, [verse, verse], temperature)
    form = rules.form_mask(len(verse.body))
    assert not torch.equal(allowed[0], form)
    p = (logits.masked_fill(~form, -torch.inf) / temperature).softmax(-1)
    assert close(log_share.exp(), (p * allowed).sum(-1))


def test_a_line_is_drawn_by_the_shares_of_all_its_characters(poet, monkeypatch):
    shares, drawn = [], []

    def apply_rules(logits, rules, verses, temperature):
        shares.append(torch.tensor([0.1, 0.2, -0.1]) * len(shares))  # logarithms, of each candidate
        mask = rules.form_mask(len(verses[0].body)).expand_as(logits)
        return logits.masked_fill(~mask, -torch.inf), shares[-1], mask

    def sample(p, g):
        if p.ndim == 1:
            drawn.append(p)
        return sample_next_token(p, g)

    monkeypatch.setattr(poet, "_apply_rules", apply_rules)
    monkeypatch.setattr("genmodels.text_transformer.sample_next_token", sample)
    next(poet.poem_steps("五绝", candidates=3, seed=0))
    assert len(shares) == 6 and len(drawn) == 1 and close(drawn[0], torch.stack(shares).sum(0).softmax(0))


@pytest.mark.parametrize(
    "arguments, says",
    [(dict(rhyme=2), "rhyme must"), (dict(tones="yes"), "tones must"), (dict(candidates=0), "candidates must")],
    ids=str,
)
def test_bad_arguments_get_a_sentence(poet, arguments, says):
    with pytest.raises(ValueError, match=f"^{says}"):
        poet.poem_steps("五绝", **arguments)
