"""Autoregressive transformer: next-token prediction, for text and pixels alike.

The joint probability is a product of conditionals, p(x) = prod p(x_t | x_<t), all given by the same network. Hence the
likelihood is exact, and every choice can be inspected.

References:
    Vaswani et al., Attention is all you need (2017), https://arxiv.org/abs/1706.03762
    Press and Wolf, Using the output embedding (2017), for one table for input and output, as in section 3.4 of Vaswani et
        al., https://arxiv.org/abs/1608.05859
    Zhang and Sennrich, Root mean square layer normalization (2019), https://arxiv.org/abs/1910.07467
    Su et al., RoFormer (2021), for rotary position embeddings, https://arxiv.org/abs/2104.09864
    Shazeer, GLU variants improve transformer (2020), https://arxiv.org/abs/2002.05202
    Touvron et al., LLaMA (2023), https://arxiv.org/abs/2302.13971: the same architecture, but with a table of its own for the
        output. The tests check that the same weights give the logits of a Llama whose tables are tied.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels.base import GenerativeModel, check_choice, check_labels, check_number, check_pictures, generator
from genmodels.tokens import FORMS, CharacterTokenizer, PixelTokenizer, PoemTokenizer

Labels = int | list | Tensor | None  # see `base.check_labels`

# --- from logits to the next token ---


def warp_logits(logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Tensor:
    """Probabilities of the next token (..., V) after temperature and cut-offs, applied in this order; removed tokens get 0.

    Arguments:
        logits: (..., V); tokens with minus infinity are never sampled.
        temperature: 0 to 5. Logits are divided by it; 0 takes the most likely token (the first one if several are equal).
        top_k: 0 to V; keeps the k most likely tokens, and those as likely as the last of them; 0 keeps all.
        top_p: 0 to 1; keeps the smallest set of most likely tokens that together reach p (nucleus sampling,
            https://arxiv.org/abs/1904.09751).
        min_p: 0 to 1; keeps tokens at least min_p times as likely as the most likely one (https://arxiv.org/abs/2407.01082).
    """
    if temperature < 1e-6:  # the quotient would overflow in 32 bits
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    p = (logits / temperature).softmax(-1)
    if 0 < top_k < p.shape[-1]:
        p = p.masked_fill(p < p.topk(top_k, -1).values[..., -1:], 0)
        p = p / p.sum(-1, keepdim=True)
    if top_p < 1:
        sorted_p, order = p.sort(dim=-1, descending=True, stable=True)
        mass_above = F.pad(sorted_p.cumsum(-1)[..., :-1], (1, 0))  # total probability of the more likely tokens
        p = p.scatter(-1, order, sorted_p.masked_fill((mass_above >= top_p) & (mass_above > 0), 0))
    if min_p > 0:
        p = p.masked_fill(p < min_p * p.amax(-1, keepdim=True), 0)
    return p / p.sum(-1, keepdim=True) if top_p < 1 or min_p > 0 else p


def sample_next_token(p: Tensor, g: torch.Generator) -> Tensor:
    """One token id per row of probabilities p (..., V), by inverting the cumulative distribution. Shape (..., 1).

    Like `torch.multinomial`, but with one random number per row instead of V.
    """
    cdf = p.double().cumsum(-1)
    u = torch.rand(*p.shape[:-1], 1, generator=g, dtype=torch.float64) * cdf[..., -1:]
    return torch.searchsorted(cdf, u, right=True)  # right=True: a token of probability 0 is never returned


def apply_repetition_penalty(logits: Tensor, ids: list[int], penalty: float) -> Tensor:
    """Logits (V,) with those of the tokens in ids divided by the penalty if positive, else multiplied.

    Keskar et al., CTRL (2019), https://arxiv.org/abs/1909.05858.
    """
    if penalty == 1 or not ids:
        return logits
    repeated = torch.tensor(sorted(set(ids)), device=logits.device)
    values = logits[repeated]
    return logits.index_put((repeated,), torch.where(values > 0, values / penalty, values * penalty))


# --- the network ---


class TransformerBlock(nn.Module):
    """Attention, then a gated feed-forward layer. Each reads the normalized residual stream x (B T, width) and adds to it."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.RMSNorm(width, eps=1e-6)
        self.norm2 = nn.RMSNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.out.weight)  # the block starts as the identity
        nn.init.zeros_(self.down.weight)

    def project_qkv(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """-> queries, keys and values, each (B, heads, T, width / heads). rotary: see `apply_rotary`."""
        T = len(rotary[0])
        qkv = self.qkv(self.norm1(x)).view(-1, T, 3, self.heads, x.shape[1] // self.heads).permute(2, 0, 3, 1, 4)
        q, k = apply_rotary(qkv[:2], rotary)
        return q, k, qkv[2]

    def update(self, x: Tensor, attended: Tensor, dropout: Callable[[Tensor], Tensor]) -> Tensor:
        """The residual stream after both layers. attended: (B, heads, T, width / heads), the values averaged by attention."""
        x = x + dropout(self.out(attended.transpose(1, 2).reshape(x.shape)))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + dropout(self.down(F.silu(gate) * up))


def apply_rotary(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate each pair of coordinates i and i + d/2 of x (..., T, d) by an angle that grows with the position.

    rotary: (cos, sin), each (T, d), with the sign of the sine flipped in its first half. The dot product of two rotated
    vectors depends on the distance between their positions only.
    """
    cos, sin = rotary
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class KVCache(NamedTuple):
    """Keys and values of the tokens so far: k, v (layers, B, heads, context, width / heads). Owned by the caller."""

    k: Tensor
    v: Tensor

    def update(self, layer: int, position: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write the keys and values of the tokens from `position` on; returns those of all tokens up to the last of them."""
        end = position + k.shape[2]
        keys, values = self.k[layer], self.v[layer]
        keys.narrow(2, position, k.shape[2]).copy_(k)
        values.narrow(2, position, k.shape[2]).copy_(v)
        return keys.narrow(2, 0, end), values.narrow(2, 0, end)


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


class Completion(NamedTuple):
    """A step of `complete_steps`.

    x: (n, 1, H, W), pictures so far, 0 where not yet generated; probability: (n, H, W), the model's for each generated pixel,
    0 elsewhere; rows: how many rows are complete.
    """

    x: Tensor
    probability: Tensor
    rows: int


class Transformer(GenerativeModel):
    """A decoder-only transformer over characters, poems or pixels.

    Arguments:
        tokens: "characters", "poems" or "pixels"; see `genmodels.tokens`.
        alphabet: of characters or poems.
        classes: number of classes of the pictures (pixels only).
        size: height and width of the pictures (pixels only).
        width: size of a token's vector; divisible by 2 * heads (by 4 * heads for pixels).
        layers, heads, hidden: number of blocks, attention heads per block, hidden units of each feed-forward layer.
        context: number of tokens that attention can reach, 2 or more; ignored for pixels, where it is the whole picture.
        lags: distances of the earlier tokens whose embeddings are added to the input at each position. [0], the token
            itself, is the standard; pixels also read the neighbours above, which raster order separates by a row.
        dropout: rate of dropout on each layer's output in training.
    Shapes:
        ids (B, T), logits (B, T, V), pictures (B, 1, H, W) in [0, 1], labels (B,), -1 for no class: then likelihoods and
        samples are those of the mixture of all classes, see `log_prob`.
    """

    cos: Tensor
    sin: Tensor
    blocks: Any  # nn.ModuleList of TransformerBlock
    tokenizer: Any  # CharacterTokenizer, PoemTokenizer or PixelTokenizer

    def __init__(
        self,
        tokens: str = "characters",
        alphabet: str = "\n abcdefghijklmnopqrstuvwxyz",
        classes: int = 10,
        size: int = 28,
        width: int = 256,
        layers: int = 6,
        heads: int = 4,
        hidden: int = 640,
        context: int = 256,
        lags: list[int] = [0],  # noqa: B006
        dropout: float = 0.0,
    ):
        super().__init__()
        check_choice("tokens", tokens, ("characters", "poems", "pixels"))
        pixels = tokens == "pixels"
        divisor = heads * (4 if pixels else 2)
        if width % divisor:
            raise ValueError(f"width must be divisible by {divisor}, not {width}.")
        check_number("context", context, 2, 1_000_000, whole=True)
        self.kind = tokens
        self.channels = 1
        self.size = size
        self.classes = [classes]
        if pixels:
            self.tokenizer = PixelTokenizer(size, classes)
        elif tokens == "poems":
            self.tokenizer = PoemTokenizer(alphabet)
        else:
            self.tokenizer = CharacterTokenizer(alphabet)
        self.context = size**2 if pixels else context
        self.lags = list(lags)
        self.dropout = dropout
        self.heads = heads
        self.head_dim = width // heads
        V = self.tokenizer.vocab_size
        self.embed = nn.Embedding(V, width)
        # Embeddings of the tokens at the other lags; row V stands for "before the beginning".
        self.before = nn.ModuleList(nn.Embedding(V + 1, width) for _ in self.lags[1:])
        for table in (self.embed, *self.before):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        positions = torch.arange(self.context)
        # For pixels, half of the pairs rotate with the row and half with the column, so that the pixel above is as near as
        # the one on the left. Position 0 holds the class, hence the shift by one.
        if pixels:
            axes = [(positions - 1).div(size, rounding_mode="floor"), (positions - 1) % size]
        else:
            axes = [positions]
        pairs = self.head_dim // 2 // len(axes)
        frequencies = 10_000.0 ** (-torch.arange(pairs) / pairs)
        angles = torch.cat([axis[:, None] * frequencies for axis in axes], 1).repeat(1, 2)  # (context, head_dim)
        signs = torch.ones(self.head_dim).index_fill(0, torch.arange(self.head_dim // 2), -1)  # see `apply_rotary`
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin() * signs, persistent=False)

    # --- the network and its likelihood ---

    def logits(self, ids: Tensor, cache: KVCache | None = None, position: int = 0) -> Tensor:
        """Next-token logits at each position from `position` on: ids (B, T), all tokens so far -> (B, T - position, V).

        With a cache (see `empty_cache`), the keys and values of the first `position` tokens are read from it and those of the
        others written to it; without one, `position` must be 0. T is at most `context`. A call with a cache either starts at
        position 0 or adds a single token.
        """
        return F.linear(self._hidden_states(ids, cache, position), self.embed.weight)

    def _hidden_states(
        self, ids: Tensor, cache: KVCache | None = None, position: int = 0, attention_maps: list[Tensor] | None = None
    ) -> Tensor:
        """Outputs of the last block, normalized: (B, T - position, width). Attention weights are appended to attention_maps."""
        B, T = ids.shape
        x = self.embed(ids[:, position:])
        for lag, table in zip(self.lags[1:], self.before):
            if position >= lag:
                lagged_ids = ids[:, position - lag : T - lag]
            else:
                lagged_ids = F.pad(ids, (lag, 0), value=self.tokenizer.vocab_size)[:, position:T]
            x = x + table(lagged_ids)
        rotary = self.cos[position:T], self.sin[position:T]
        x = self._apply_dropout(x).flatten(0, 1)  # (B T, width): linear layers are faster on a matrix
        for layer, block in enumerate(self.blocks):
            q, k, v = block.project_qkv(x, rotary)
            if cache is not None:
                k, v = cache.update(layer, position, k, v)
            if attention_maps is not None:
                future = torch.ones(T, T, dtype=torch.bool, device=self.device).triu(1)
                attention_maps.append((q @ k.mT / math.sqrt(self.head_dim)).masked_fill(future, -math.inf).softmax(-1))
            attended = F.scaled_dot_product_attention(q, k, v, is_causal=T - position > 1)
            x = block.update(x, attended, self._apply_dropout)
        return self.norm(x).view(B, T - position, -1)

    def _apply_dropout(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def empty_cache(self, n: int = 1) -> KVCache:
        """A cache for n sequences. It belongs to the caller: concurrent calls share nothing but the weights."""
        shape = len(self.blocks), n, self.heads, self.context, self.head_dim
        return KVCache(self.embed.weight.new_empty(shape), self.embed.weight.new_empty(shape))

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """batch: (ids,) with ids (B, T + 1), or (x, y) for pixels. `loss`: mean of -log p(token) in nats; `bits`: per token."""
        ids = batch[0] if self.kind != "pixels" else self.tokenizer.encode(batch[0], batch[1].view(-1))
        logits = self.logits(ids[:, :-1]).float()
        nats = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        return {"loss": nats, "bits": nats.detach() / math.log(2)}

    # --- text ---

    def _check_text(self, name: str, text: str) -> None:
        if self.kind == "pixels":
            raise ValueError("This model writes pixels: use sample, complete_steps or log_prob.")
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
            if self.kind == "poems" and new_id == PoemTokenizer.END:
                return
            ids.append(new_id)

    def generate(self, prompt: str = "", **options: Any) -> str:
        """The text that `generate_steps` writes after the prompt."""
        return self.tokenizer.decode(token.id for token in self.generate_steps(prompt, alternatives=0, **options))

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
        if self.kind != "poems":
            raise ValueError("This model writes no poems: load transformer-tang.")
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

    # --- pixels ---

    def log_prob(self, x: Tensor, label: Labels = None) -> Tensor:
        """log p(x | label) of 8-bit pictures x (B, 1, H, W) in [0, 1], in nats: (B,). Exact.

        Without a class it is log p(x) = log (sum of p(x | c) over the C classes) - log C, a mixture whose prior is uniform,
        at C times the cost.
        """
        return self.pixel_log_probs(x, label).flatten(1).sum(1)

    def bits_per_dim(self, x: Tensor, label: Labels = None) -> Tensor:
        """-log2 p(x | label) per pixel: (B,). Without a class, of the mixture: see `log_prob`."""
        return -self.log_prob(x, label) / (self.context * math.log(2))

    def pixel_log_probs(self, x: Tensor, label: Labels = None) -> Tensor:
        """log p of each pixel given those before it: (B, H, W), in nats. Without a class, of the mixture: see `log_prob`."""
        if self.kind != "pixels":
            raise ValueError("This model reads text: use score.")
        side = self.tokenizer.side
        x = check_pictures("x", x, 1, side).to(self.device)
        y = check_labels(label, len(x), [self.tokenizer.classes]).to(self.device)[:, 0]
        with torch.inference_mode():
            log_p, given = self.embed.weight.new_empty(len(x), side**2), y >= 0
            if given.any():
                log_p[given] = self._pixel_log_probs(x[given], y[given])
            if not given.all():
                log_p[~given] = self._mixture_log_probs(x[~given])
            return log_p.view(-1, side, side)

    def _pixel_log_probs(self, x: Tensor, y: Tensor) -> Tensor:
        """Pictures (B, 1, H, W) and classes (B,) -> (B, HW)."""
        ids = self.tokenizer.encode(x, y)
        log_p = self.logits(ids[:, :-1])[:, :, : self.tokenizer.levels].log_softmax(-1)
        return log_p.gather(2, ids[:, 1:, None])[:, :, 0]

    def _class_log_probs(self, x: Tensor) -> Tensor:
        """log p(pixel | class, pixels before it) under each of the C classes: (B, 1, H, W) -> (C, B, HW)."""
        classes = range(self.tokenizer.classes)
        return torch.stack([self._pixel_log_probs(x, torch.full((len(x),), c, device=x.device)) for c in classes])

    def _mixture_log_probs(self, x: Tensor) -> Tensor:
        """(B, 1, H, W) -> (B, HW): log p of each pixel under the mixture of the classes, given the pixels before it."""
        joint = self._class_log_probs(x).double().cumsum(-1)  # log p(pixels up to this one | class)
        log_p = joint.logsumexp(0) - math.log(len(joint))
        return log_p.diff(dim=-1, prepend=log_p.new_zeros(len(x), 1)).to(self.embed.weight.dtype)

    def class_posterior(self, x: Tensor, rows: int | None = None) -> Tensor:
        """p(class | the upper rows of x) by Bayes' rule with a uniform prior: (B, 1, H, W) -> (B, C). rows: None for all."""
        if self.kind != "pixels":
            raise ValueError("This model reads text: use score.")
        side = self.tokenizer.side
        x = check_pictures("x", x, 1, side).to(self.device)
        rows = side if rows is None else check_number("rows", rows, 0, side, whole=True)
        with torch.inference_mode():
            return self._class_log_probs(x)[:, :, : rows * side].double().sum(-1).softmax(0).T

    def complete_steps(
        self,
        x: Tensor | None = None,
        *,
        rows: int = 0,
        n: int = 1,
        label: Labels = None,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Iterator[Completion]:
        """Complete a picture pixel by pixel, given its upper rows: yields a `Completion` after each row.

        Arguments:
            x: (1, 1, H, W) in [0, 1], the picture whose upper rows are given, or None.
            rows: 0 to H - 1; how many rows of x are given.
            n: 1 to 64 completions.
            label: class of the picture. Where it is -1 or None, each completion draws a class from `class_posterior`, so that
                it is a sample of the mixture given the upper rows; its probabilities are those given that class.
            temperature: 0 to 2; of the pixels.
            seed: of the sampling.
        """
        if self.kind != "pixels":
            raise ValueError("This model writes text: use generate_steps.")
        side = self.tokenizer.side
        rows = check_number("rows", rows, 0, side - 1, whole=True)
        n = check_number("n", n, 1, 64, whole=True)
        temperature = check_number("temperature", temperature, 0, 2)
        g = generator(seed)
        if x is None and rows:
            raise ValueError("rows must be 0 if no picture is given.")
        x = check_pictures("x", torch.zeros(1, 1, side, side) if x is None else x, 1, side).to(self.device)
        if len(x) != 1:
            raise ValueError(f"x must be one picture (1, 1, {side}, {side}), not {len(x)}.")
        y = check_labels(label, n, [self.tokenizer.classes]).to(self.device)
        return self._complete(x, rows, n, y[:, 0], temperature, g)

    @torch.inference_mode()
    def _complete(self, x, rows, n, y, temperature, g):
        side, levels = self.tokenizer.side, self.tokenizer.levels
        if (y < 0).any():
            posterior = self.class_posterior(x, rows).cpu() if rows else torch.ones(1, self.tokenizer.classes)
            y = torch.where(y < 0, sample_next_token(posterior.expand(n, -1), g)[:, 0].to(y.device), y)
        ids = self.tokenizer.encode(x.expand(n, -1, -1, -1), y)
        ids[:, 1 + rows * side :] = 0
        p, cache, position = torch.zeros(n, side * side), self.empty_cache(n), 0
        for row in range(rows, side):
            for t in range(row * side, (row + 1) * side):  # the token at position t predicts pixel t, token t + 1
                x = self._hidden_states(ids[:, : t + 1], cache, position)[:, -1]
                logits = F.linear(x, self.embed.weight[:levels]).float()
                position = t + 1
                i = sample_next_token(warp_logits(logits, temperature).cpu(), g).to(ids.device)
                ids[:, t + 1] = i[:, 0]
                p[:, t] = logits.softmax(-1).gather(1, i)[:, 0].cpu()
            pictures = self.tokenizer.decode(ids[:, 1:]).clone()
            yield Completion(pictures, p.view(n, side, side).clone(), row + 1)

    def sample(self, n: int, *, label: Labels = None, temperature: float = 1.0, seed: int | None = None) -> Tensor | list[str]:
        """n new pictures (n, 1, H, W), or a list of n texts of at most 200 tokens.

        Texts, and full batches of 64 pictures, do not depend on how many more are sampled.

        Arguments:
            n: 1 to 4096.
            label: of pictures; see `base.check_labels`.
            temperature: 0 to 2.
            seed: of the sampling.
        """
        n = check_number("n", n, 1, 4096, whole=True)
        temperature = check_number("temperature", temperature, 0, 2)
        if self.kind != "pixels":
            g = generator(seed)
            seeds = [int(torch.randint(2**62, (1,), generator=g)) for _ in range(n)]
            return [self.generate(max_new_tokens=200, temperature=temperature, seed=s) for s in seeds]
        y = check_labels(label, n, [self.tokenizer.classes])
        pictures, g = [], generator(seed)
        for chunk in y.split(64):
            chunk_seed = int(torch.randint(2**62, (1,), generator=g))
            *_, last = self.complete_steps(n=len(chunk), label=chunk, temperature=temperature, seed=chunk_seed)
            pictures.append(last.x)
        return torch.cat(pictures)
