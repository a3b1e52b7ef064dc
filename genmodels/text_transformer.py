"""Text by a transformer, one token at a time: generation with every choice to be inspected, and exact likelihoods of texts."""

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genmodels.base import check_choice, check_number, generator, random_seed, upcast
from genmodels.decoding import SingleStep
from genmodels.messages import Message
from genmodels.rhyme import VerseRules, draw_repeats, tone_classes
from genmodels.tokens import FORMS, CharacterTokenizer, PoemTokenizer
from genmodels.transformer import KVCache, Transformer, apply_repetition_penalty, sample_next_token, warp_logits


class DecodingState(NamedTuple):
    """What `next_logits` keeps from one call to the next. window: (B, context) token ids, the first at position `start`."""

    start: int
    cache: KVCache
    window: Tensor
    step: SingleStep | None = None


class Token(NamedTuple):
    """A step of `generate_steps`.

    id: the token's id; text: its symbol; probability: the model's, before temperature and cut-offs; entropy: of the model's
    distribution, in nats; alternatives: (symbol, model's probability, probability after temperature and cut-offs) of the
    most likely tokens. In poems, tone: 平, 仄, or 平仄 if the character has both; rhyme: the name of the rhyme at the end of a
    line that rhymes.
    """

    id: int
    text: str
    probability: float
    entropy: float
    alternatives: list[tuple[str, float, float]]
    tone: str = ""
    rhyme: str = ""


class Score(NamedTuple):
    """For each token of a text: symbols (list of T), log_probs (T,) in nats, entropy (T,) of the model's prediction in nats."""

    symbols: list[str]
    log_probs: Tensor
    entropy: Tensor


class TextTransformer(Transformer):
    """A decoder-only transformer over characters.

    Arguments:
        alphabet: the tokens; see `genmodels.tokens`.
        width: size of a token's vector; divisible by 2 * heads.
        layers, heads, hidden: number of blocks, attention heads per block, hidden units of each feed-forward layer.
        context: number of tokens that attention can reach, 2 or more.
        lags, dropout: see `Transformer`.
    Shapes:
        ids (B, T), logits (B, T, V).
    """

    kind = "characters"
    tokenizer_class: type[CharacterTokenizer] | type[PoemTokenizer] = CharacterTokenizer

    def __init__(
        self,
        alphabet: str = "\n abcdefghijklmnopqrstuvwxyz",
        width: int = 256,
        layers: int = 6,
        heads: int = 4,
        hidden: int = 640,
        context: int = 256,
        lags: list[int] = [0],  # noqa: B006
        dropout: float = 0.0,
    ):
        positions = torch.arange(check_number("context", context, 2, 1_000_000, whole=True))
        super().__init__(self.tokenizer_class(alphabet), [positions], width, layers, heads, hidden, lags, dropout)

    def _check_text(self, name: str, text: str) -> None:
        if not isinstance(text, str) or len(text) > 100_000:
            raise ValueError(Message("{name} must be a text of at most 100000 characters.", name=name))

    def _encode(self, name: str, text: str) -> list[int]:
        """Token ids of a text; an empty one becomes the tokenizer's `start`."""
        self._check_text(name, text)
        ids = self.tokenizer.encode(text) if text else []
        return ids or list(self.tokenizer.start)

    def window_start(self, length: int) -> int:
        """First position that the prediction of the token after `length` tokens attends to.

        Beyond the context length the window moves on by half a context at a time, and the cache is then recomputed from the
        start of the window. Every prediction sees at least half a context and equals a full pass over its window.
        """
        half = self.context // 2
        moves = -(-(length - self.context) // half)  # rounded up
        return max(0, moves) * half

    def next_logits(self, ids: list[int], state: DecodingState | None = None) -> tuple[Tensor, DecodingState]:
        """(logits (V,) of the token that follows ids, state). With the state of the previous call it is one cached step.

        state: None, or what a call for ids without its last token returned. Its tensors are overwritten.
        """
        logits, state = self._next_logits([ids], state)
        return logits[0], state

    def _next_logits(self, rows: list[list[int]], state: DecodingState | None) -> tuple[Tensor, DecodingState]:
        """`next_logits` for B beginnings of the same length: (B, V)."""
        start = self.window_start(len(rows[0]))
        T = len(rows[0]) - start
        with torch.no_grad():
            if state is None or state.start != start:
                window = torch.empty(len(rows), self.context, dtype=torch.long, device=self.device)
                cache = self.empty_cache(len(rows))
                step = SingleStep(self, cache) if SingleStep.fits(self, len(rows)) else None
                state, position = DecodingState(start, cache, window, step), 0
            else:
                position = T - 1
            if state.step and position:
                return state.step(torch.tensor(rows[0][-1:]), position)[None], state
            state.window[:, position:T] = torch.tensor([ids[start + position :] for ids in rows], device=self.device)
            x = self._hidden_states(state.window[:, :T], state.cache, position)[:, -1]
            return upcast(F.linear(x, self.embed.weight)), state

    def generate_steps(
        self,
        prompt: str = "",
        *,
        max_new_tokens: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
        allowed_tokens: Callable[[int], Tensor] | None = None,
        alternatives: int = 10,
    ) -> Iterator[Token]:
        """Continue the prompt, one `Token` at a time; poems end with their end token.

        Arguments:
            prompt: at most 100,000 characters, of which the last `context` tokens count. Characters outside the alphabet are
                folded, see `genmodels.tokens`.
            max_new_tokens: 1 to 100,000.
            temperature, top_k, top_p, min_p: see `warp_logits`.
            repetition_penalty: 0.5 to 5; above 1, tokens that occur in the window become less likely.
            seed: of the sampling.
            allowed_tokens: None, or a function of the new token's index (0 for the first) that returns (V,) booleans: which
                tokens may be sampled there.
            alternatives: 0 to 100; how many of the most likely tokens each step lists.
        """
        sampling = temperature, top_k, top_p, min_p, repetition_penalty, alternatives
        draws = self._draws(prompt, max_new_tokens, *sampling, seed=seed, allowed_tokens=allowed_tokens)
        return self._tokens(draws, self._check_sampling(*sampling)[2])

    def _draws(self, prompt="", max_new_tokens=200, *sampling, seed=None, allowed_tokens=None, **options):
        """`_draw` with checked arguments, those of `generate_steps`."""
        ids = self._encode("prompt", prompt)
        max_new_tokens = check_number("max_new_tokens", max_new_tokens, 1, 100_000, whole=True)
        warp_options, penalty, _ = self._check_sampling(*sampling, **options)
        return self._draw(ids, max_new_tokens, warp_options, penalty, generator(seed), allowed_tokens)

    def _check_sampling(
        self,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        alternatives: int = 10,
    ) -> tuple[dict[str, Any], float, int]:
        """(options of `warp_logits`, repetition penalty, number of alternatives), checked."""
        warp_options = {
            "temperature": check_number("temperature", temperature, 0, 5),
            "top_k": check_number("top_k", top_k, 0, self.tokenizer.vocab_size, whole=True),
            "top_p": check_number("top_p", top_p, 0, 1),
            "min_p": check_number("min_p", min_p, 0, 1),
        }
        penalty = check_number("repetition_penalty", repetition_penalty, 0.5, 5)
        alternatives = check_number("alternatives", alternatives, 0, 100, whole=True)
        return warp_options, penalty, min(alternatives, self.tokenizer.vocab_size)

    def _draw(self, ids, max_new_tokens, warp_options, penalty, g, allowed_tokens):
        """-> for each new token: its id, the model's logits, probabilities after temperature and cut-offs, what was allowed."""
        state = None
        for index in range(max_new_tokens):
            with torch.inference_mode():
                model_logits, state = self.next_logits(ids, state)
                logits = model_logits = model_logits.cpu()
                if penalty != 1:
                    logits = apply_repetition_penalty(logits, ids[self.window_start(len(ids)) :], penalty)
                allowed = None if allowed_tokens is None else allowed_tokens(index)
                if allowed is not None:
                    logits = logits.masked_fill(~allowed, -math.inf)
                warped_p = warp_logits(logits, **warp_options)
                new_id = int(sample_next_token(warped_p, g))
            yield new_id, model_logits, warped_p, allowed
            if new_id == self.tokenizer.END:
                return
            ids.append(new_id)

    def _tokens(self, draws, alternatives):
        for new_id, logits, warped_p, allowed in draws:
            with torch.inference_mode():
                token = self._token(new_id, logits.log_softmax(-1), warped_p, allowed, alternatives)
            yield token

    def _token(self, new_id, log_p, warped_p, allowed, alternatives):
        """The `Token` of a draw. log_p (V,): of the model; warped_p (V,): after temperature and cut-offs."""
        symbols, p = self.tokenizer.symbols, log_p.exp()
        if allowed is None:
            top = p.topk(alternatives)
        else:
            top = p.masked_fill(~allowed, -1).topk(min(alternatives, int(allowed.sum())))
        listed = [new_id, *top.indices.tolist()]  # the new token, then the alternatives
        rows = list(zip(listed, p[listed].tolist(), warped_p[listed].tolist()))
        entropy = -p.dot(log_p).item()
        return Token(new_id, symbols[new_id], rows[0][1], entropy, [(symbols[i], a, b) for i, a, b in rows[1:]])

    def generate(self, prompt: str = "", **options: Any) -> str:
        """The text that `generate_steps` writes after the prompt."""
        return self.tokenizer.decode(new_id for new_id, *_ in self._draws(prompt, **options))

    def score(self, text: str, prompt: str = "") -> Score:
        """Log-probability of each token of the text, given the prompt and the tokens before it: a `Score`.

        Arguments:
            text: 1 to 100,000 characters.
            prompt: the context before the text; the tokenizer's `start` if empty.
        """
        prompt_ids, text_ids = self._encode_continuation(text, prompt)
        columns, position = [], 0
        for log_p in self._predict(prompt_ids, text_ids):
            targets = torch.tensor(text_ids[position : position + len(log_p)], device=self.device)
            columns.append(torch.stack([log_p.gather(1, targets[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)]))
            position += len(targets)
        log_probs, entropy = torch.cat(columns, 1)
        return Score([self.tokenizer.symbols[i] for i in text_ids], log_probs, entropy)

    def read_steps(self, text: str, prompt: str = "", *, alternatives: int = 10) -> Iterator[Token]:
        """The `Token`s that `generate_steps` would yield if it wrote this text, without temperature and cut-offs.

        Arguments:
            text, prompt: as in `score`.
            alternatives: 0 to 100; how many of the most likely tokens each step lists.
        """
        prompt_ids, text_ids = self._encode_continuation(text, prompt)
        alternatives = min(check_number("alternatives", alternatives, 0, 100, whole=True), self.tokenizer.vocab_size)
        return self._read(self._predict(prompt_ids, text_ids), text_ids, alternatives)

    def _read(self, predictions, text_ids, alternatives):
        symbols, ids = self.tokenizer.symbols, iter(text_ids)
        for log_p in predictions:
            entropy = -(log_p.exp() * log_p).sum(-1).cpu()
            top = log_p.exp().cpu().topk(alternatives)
            for row, h, top_p, top_ids in zip(log_p.cpu(), entropy.tolist(), top.values.tolist(), top.indices.tolist()):
                i = next(ids)
                yield Token(i, symbols[i], row[i].exp().item(), h, [(symbols[j], q, q) for j, q in zip(top_ids, top_p)])

    def _encode_continuation(self, text: str, prompt: str) -> tuple[list[int], list[int]]:
        """(ids of the prompt, ids of the text), checked."""
        self._check_text("text", text)
        self._check_text("prompt", prompt)
        prompt_ids, text_ids = self.tokenizer.encode_continuation(text, prompt)
        if not text_ids:
            raise ValueError(Message("text must have at least one character that the model knows."))
        return prompt_ids, text_ids

    @torch.no_grad()
    def _predict(self, prompt_ids: list[int], text_ids: list[int]) -> Iterator[Tensor]:
        """Log-probabilities of all tokens at each position of the text, one window of rows (N, V) after another.

        Each position sees exactly what it would see in `generate_steps`.
        """
        ids, position = prompt_ids + text_ids, len(prompt_ids)
        while position < len(ids):
            start = self.window_start(position)
            end = min(len(ids), start + self.context + 1)
            window = torch.tensor([ids[start : end - 1]], device=self.device)
            yield self.logits(window)[0, position - start - 1 :].log_softmax(-1)  # (end - position, V)
            position = end

    def attention(self, text: str) -> tuple[list[str], Tensor]:
        """Attention weights among the last `context` tokens: (symbols, maps (layers, heads, T, T)); rows sum to 1."""
        ids = self._encode("text", text)[-self.context :]
        maps: list[Tensor] = []
        with torch.no_grad():
            self._hidden_states(torch.tensor([ids], device=self.device), attention_maps=maps)
            return [self.tokenizer.symbols[i] for i in ids], upcast(torch.cat(maps))

    def sample(self, n: int, *, temperature: float = 1.0, seed: int | None = None) -> list[str]:
        """n new texts of at most 200 tokens. They do not depend on how many more are sampled.

        Arguments:
            n: 1 to 4096.
            temperature: 0 to 2.
            seed: of the sampling.
        """
        n = check_number("n", n, 1, 4096, whole=True)
        temperature = check_number("temperature", temperature, 0, 2)
        g = generator(seed)
        seeds = [random_seed(g) for _ in range(n)]
        return [self.generate(max_new_tokens=200, temperature=temperature, seed=s) for s in seeds]


class PoemTransformer(TextTransformer):
    """A `TextTransformer` over Chinese regular verse: a text is form|title|author|body, see `PoemTokenizer`."""

    kind = "poems"
    tokenizer_class = PoemTokenizer
    tokenizer: PoemTokenizer

    def poem_steps(
        self,
        form: str = "七绝",
        *,
        title: str = "",
        author: str = "",
        heads: str = "",
        prefix: str = "",
        rhyme: bool = True,
        tones: bool = False,
        candidates: int = 8,
        seed: int | None = None,
        **options: Any,
    ) -> Iterator[Token]:
        """Write a poem that follows its form: yields the `Token`s of its body, punctuation included.

        With `rhyme` or `tones`, several candidates are written for each line at once, none of which breaks the rules. One of
        them is drawn, with weights that are the shares of the model's probability that the rules left on the way: so a line
        whose end must be forced is rarely taken, and the poems are close to those of the model that keep the rules by chance.
        (A particle filter, resampled after each line, whose tokens are yielded then.)

        Arguments:
            form: 五绝 (four lines of five characters), 七绝 (four of seven), 五律 or 七律 (eight lines).
            title, author: at most 40 and 10 characters; may be empty. Unknown characters all map to one token. Here and in
                what follows, traditional characters are read as simplified ones, and a warning says so.
            heads: for an acrostic (藏头诗), the first characters of the lines, from the first line on; may be empty.
            prefix: a beginning of the body, punctuation included, to continue from; its tokens are not yielded.
            rhyme: whether even lines rhyme, see `genmodels.rhyme`; also, no line occurs twice, and characters recur no more
                often than in poems of the Tang.
            tones: whether the poem follows one of the four tone patterns of its form, see `genmodels.rhyme.tone_patterns`.
            candidates: 1 to 64 for each line; without `rhyme` and `tones` there is one.
            seed: of the sampling.
            options: those of `generate_steps`, without `max_new_tokens` and `allowed_tokens`.
        """
        check_choice("form", form, FORMS)
        lines, length = FORMS[form]
        names = Message("title"), Message("author"), Message("heads")
        for name, text, limit in zip(names, (title, author, heads), (40, 10, lines)):
            if not isinstance(text, str) or len(text) > limit or "|" in text or "\n" in text:
                raise ValueError(
                    Message("{name} must be at most {limit} characters without a bar or a new line.", name=name, limit=limit)
                )
        title, author = self._simplify("title", title), self._simplify("author", author)
        heads = self._simplify("heads", heads)
        prefix = self._simplify("prefix", prefix) if isinstance(prefix, str) else prefix
        token_id, hanzi = self.tokenizer.token_id, self.tokenizer.hanzi
        unknown = [c for c in heads if not hanzi[token_id.get(c, PoemTokenizer.UNKNOWN)]]
        if unknown:
            raise ValueError(
                Message(
                    "heads must be Chinese characters that the model knows; these are not: {characters}.",
                    characters=" ".join(unknown),
                )
            )
        for rule, value in (("rhyme", rhyme), ("tones", tones)):
            check_choice(rule, value, (False, True))
        candidates = check_number("candidates", candidates, 1, 64, whole=True)
        g = generator(seed)
        if not rhyme and not tones:
            candidates = 1
        rules = VerseRules(self.tokenizer, form, heads, rhyme, tones, draw_repeats(form, g) if rhyme else None)

        body_length = lines * (length + 1)
        valid = isinstance(prefix, str) and len(prefix) < body_length
        if valid:
            prefix_ids = [token_id.get(c, PoemTokenizer.UNKNOWN) for c in prefix]
            valid = all(rules.form_mask(position)[i] for position, i in enumerate(prefix_ids))
        if not valid:
            raise ValueError(
                Message(
                    "prefix must be the beginning of the body of a {form}, with punctuation and heads where they belong.",
                    form=form,
                )
            )
        ids = self._encode("prompt", f"{form}|{title}|{author}|{prefix}")
        return self._write(ids, rules, prefix, candidates, g, *self._check_sampling(**options))

    def _write(self, ids, rules, prefix, n, g, warp_options, penalty, alternatives):
        state: DecodingState | None = None
        symbols, verse = self.tokenizer.symbols, rules.start()
        for c in prefix:
            verse = rules.extend(verse, c)
        while len(verse.body) < rules.body_length:
            rows, verses, steps, weights = [list(ids) for _ in range(n)], [verse] * n, [], torch.zeros(n)
            # To the end of the line, where the candidates are compared; a single one is yielded at once.
            while len(rows[0]) == len(ids) or (n > 1 and verses[0].body[-1] not in "，。"):
                with torch.inference_mode():
                    logits, state = self._next_logits(rows, state)
                    logits = logits.cpu()
                    log_p = logits.log_softmax(-1)
                    if penalty != 1:
                        recent = [row[self.window_start(len(row)) :] for row in rows]
                        logits = torch.stack([apply_repetition_penalty(x, i, penalty) for x, i in zip(logits, recent)])
                    logits, log_share, allowed = self._apply_rules(logits, rules, verses, warp_options["temperature"])
                    weights += log_share
                    warped_p = warp_logits(logits, **warp_options)
                    drawn = sample_next_token(warped_p, g)[:, 0].tolist()
                steps.append((drawn, log_p, warped_p, allowed))
                for row, i in zip(rows, drawn):
                    row.append(i)
                verses = [rules.extend(v, symbols[i]) for v, i in zip(verses, drawn)]
            best = int(sample_next_token(weights.softmax(0), g)) if n > 1 else 0
            ids = rows[best]
            if n > 1 and state is not None:  # all candidates of the next line begin with this one
                with torch.inference_mode():
                    for tensor in (state.cache.k, state.cache.v):
                        tensor.copy_(tensor[:, best : best + 1].clone())
                    state.window.copy_(state.window[best : best + 1].clone())
            for drawn, log_p, warped_p, allowed in steps:
                symbol = symbols[drawn[best]]
                verse = rules.extend(verse, symbol)
                token = self._token(drawn[best], log_p[best], warped_p[best], allowed[best], alternatives)
                yield token._replace(tone=tone_classes().get(symbol, ""), rhyme=rules.rhyme_of_last(verse))

    def _apply_rules(self, logits, rules, verses, temperature):
        """-> logits (B, V), minus infinity for what the rules forbid; log of the share of the form's probability that is left
        (B,); which tokens are allowed (B, V)."""
        form_mask = rules.form_mask(len(verses[0].body))
        logits = logits.masked_fill(~form_mask, -math.inf)
        if form_mask.sum() == 1 or not rules.any:
            return logits, torch.zeros(len(verses)), form_mask.expand_as(logits)
        allowed = torch.stack([rules.mask(verse) for verse in verses])
        kept = logits.masked_fill(~allowed, -math.inf)
        for row, verse in zip(kept, verses):
            if (log_weights := rules.log_weights(verse)) is not None:
                row += log_weights
        scale = 1 / max(temperature, 1e-6)
        return kept, (kept * scale).logsumexp(-1) - (logits * scale).logsumexp(-1), allowed

    def _simplify(self, name: str, text: str) -> str:
        simplified = self.tokenizer.simplify(text)
        if simplified != text:
            warnings.warn(f"{name} {text} is read in simplified characters: {simplified}.", stacklevel=3)
        return simplified


def mean_surprisal(tokens: Sequence[Token]) -> dict[str, float]:
    """Of the tokens of a text: in nats and in bits per token, and as perplexity."""
    nats = -sum(math.log(max(t.probability, 1e-38)) for t in tokens) / len(tokens)
    return {"nats": nats, "bits": nats / math.log(2), "perplexity": math.exp(nats)}
