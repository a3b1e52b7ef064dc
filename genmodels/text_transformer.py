"""Text by a transformer, one token at a time: generation with every choice to be inspected, and exact likelihoods of texts."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from genmodels.base import check_choice, check_number, generator
from genmodels.tokens import FORMS, CharacterTokenizer, PoemTokenizer
from genmodels.transformer import KVCache, Transformer, apply_repetition_penalty, sample_next_token, warp_logits


class DecodingState(NamedTuple):
    """What `next_logits` keeps from one call to the next. window: (1, context) token ids, the first at position `start`."""

    start: int
    cache: KVCache
    window: Tensor


class Token(NamedTuple):
    """A step of `generate_steps`.

    id: the token's id; text: its symbol; probability: the model's, before temperature and cut-offs; entropy: of the model's
    distribution, in nats; alternatives: (symbol, model's probability, probability after temperature and cut-offs) of the
    most likely tokens.
    """

    id: int
    text: str
    probability: float
    entropy: float
    alternatives: list[tuple[str, float, float]]


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
            raise ValueError(f"{name} must be a text of at most 100000 characters.")

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
        start = self.window_start(len(ids))
        T = len(ids) - start
        with torch.inference_mode():
            if state is None or state.start != start:
                window = torch.empty(1, self.context, dtype=torch.long, device=self.device)
                state, position = DecodingState(start, self.empty_cache(), window), 0
            else:
                position = T - 1
            state.window[0, position:T] = torch.tensor(ids[start + position :], device=self.device)
            x = self._hidden_states(state.window[:, :T], state.cache, position)[0, -1]
            return F.linear(x, self.embed.weight), state

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
        ids = self._encode("prompt", prompt)
        max_new_tokens = check_number("max_new_tokens", max_new_tokens, 1, 100_000, whole=True)
        warp_options = {
            "temperature": check_number("temperature", temperature, 0, 5),
            "top_k": check_number("top_k", top_k, 0, self.tokenizer.vocab_size, whole=True),
            "top_p": check_number("top_p", top_p, 0, 1),
            "min_p": check_number("min_p", min_p, 0, 1),
        }
        penalty = check_number("repetition_penalty", repetition_penalty, 0.5, 5)
        alternatives = min(check_number("alternatives", alternatives, 0, 100, whole=True), self.tokenizer.vocab_size)
        return self._generate(ids, max_new_tokens, warp_options, penalty, generator(seed), allowed_tokens, alternatives)

    def _generate(self, ids, max_new_tokens, warp_options, penalty, g, allowed_tokens, alternatives):
        symbols, state = self.tokenizer.symbols, None
        for index in range(max_new_tokens):
            with torch.inference_mode():
                logits, state = self.next_logits(ids, state)
                logits = logits.float().cpu()
                log_p = logits.log_softmax(-1)
                p = log_p.exp()
                if penalty != 1:
                    logits = apply_repetition_penalty(logits, ids[self.window_start(len(ids)) :], penalty)
                if allowed_tokens is None:
                    top = p.topk(alternatives)
                else:
                    allowed = allowed_tokens(index)
                    logits = logits.masked_fill(~allowed, -math.inf)
                    top = p.masked_fill(~allowed, -1).topk(min(alternatives, allowed.sum().item()))
                warped_p = warp_logits(logits, **warp_options)
                listed = torch.cat([sample_next_token(warped_p, g), top.indices])  # the new token, then the alternatives
                rows = list(zip(listed.tolist(), p[listed].tolist(), warped_p[listed].tolist()))
                new_id, probability, _ = rows[0]
                entropy = -p.dot(log_p).item()
                token = Token(new_id, symbols[new_id], probability, entropy, [(symbols[i], a, b) for i, a, b in rows[1:]])
            yield token
            if new_id == self.tokenizer.END:
                return
            ids.append(new_id)

    def generate(self, prompt: str = "", **options: Any) -> str:
        """The text that `generate_steps` writes after the prompt."""
        return self.tokenizer.decode(token.id for token in self.generate_steps(prompt, alternatives=0, **options))

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
            raise ValueError("text must have at least one character that the model knows.")
        return prompt_ids, text_ids

    @torch.inference_mode()
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
        with torch.inference_mode():
            self._hidden_states(torch.tensor([ids], device=self.device), attention_maps=maps)
            return [self.tokenizer.symbols[i] for i in ids], torch.cat(maps)

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
        seeds = [int(torch.randint(2**62, (1,), generator=g)) for _ in range(n)]
        return [self.generate(max_new_tokens=200, temperature=temperature, seed=s) for s in seeds]


class PoemTransformer(TextTransformer):
    """A `TextTransformer` over Chinese regular verse: a text is form|title|author|body, see `PoemTokenizer`."""

    kind = "poems"
    tokenizer_class = PoemTokenizer

    def poem_steps(
        self,
        form: str = "七绝",
        *,
        title: str = "",
        author: str = "",
        heads: str = "",
        prefix: str = "",
        **options: Any,
    ) -> Iterator[Token]:
        """Write a poem that follows its form: yields the `Token`s of its body, punctuation included.

        Arguments:
            form: 五绝 (four lines of five characters), 七绝 (four of seven), 五律 or 七律 (eight lines).
            title, author: at most 40 and 10 characters; may be empty. Unknown characters all map to one token.
            heads: for an acrostic (藏头诗), the first characters of the lines, from the first line on; may be empty.
            prefix: a beginning of the body, punctuation included, to continue from; its tokens are not yielded.
            options: those of `generate_steps`, without `max_new_tokens` and `allowed_tokens`.
        """
        check_choice("form", form, FORMS)
        lines, length = FORMS[form]
        for name, text, limit in (("title", title, 40), ("author", author, 10), ("heads", heads, lines)):
            if not isinstance(text, str) or len(text) > limit or "|" in text or "\n" in text:
                raise ValueError(f"{name} must be at most {limit} characters without a bar or a new line.")
        token_id, hanzi = self.tokenizer.token_id, self.tokenizer.hanzi
        unknown = [c for c in heads if not hanzi[token_id.get(c, PoemTokenizer.UNKNOWN)]]
        if unknown:
            raise ValueError(f"heads must be Chinese characters that the model knows; these are not: {' '.join(unknown)}.")

        def allowed_at(position):
            line = position // (length + 1)
            return self.tokenizer.allowed_mask(form, position, heads[line] if line < len(heads) else None)

        body_length = lines * (length + 1)
        valid = isinstance(prefix, str) and len(prefix) < body_length
        if valid:
            prefix_ids = [token_id.get(c, PoemTokenizer.UNKNOWN) for c in prefix]
            valid = all(allowed_at(position)[i] for position, i in enumerate(prefix_ids))
        if not valid:
            raise ValueError(
                f"prefix must be the beginning of the body of a {form}, with punctuation and heads where they belong."
            )
        return self.generate_steps(
            f"{form}|{title}|{author}|{prefix}",
            max_new_tokens=body_length - len(prefix),
            allowed_tokens=lambda index: allowed_at(len(prefix) + index),
            **options,
        )


def mean_surprisal(tokens: Sequence[Token]) -> dict[str, float]:
    """Of the tokens of a text: in nats and in bits per token, and as perplexity."""
    nats = -sum(math.log(max(t.probability, 1e-38)) for t in tokens) / len(tokens)
    return {"nats": nats, "bits": nats / math.log(2), "perplexity": math.exp(nats)}
