"""Autoregressive transformer: next-token prediction, for text and pixels alike.

The joint probability is a product of conditionals, p(x) = prod p(x_t | x_<t), all given by the same network. Hence the
likelihood is exact, and every choice can be inspected. Here is the network with its loss; `genmodels.text_transformer` writes
and scores texts and poems with it, `genmodels.pixel_transformer` pictures.

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

import importlib
import math
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels import TRANSFORMERS
from genmodels.base import GenerativeModel, check_choice, upcast

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
    return invert_cdf(p, torch.rand(*p.shape[:-1], 1, generator=g, dtype=torch.float64))


def invert_cdf(p: Tensor, u: Tensor) -> Tensor:
    """The token at which the cumulative distribution of each row of p (..., V) exceeds u (..., 1) in [0, 1): (..., 1)."""
    cdf = p.double().cumsum(-1)
    return torch.searchsorted(cdf, u * cdf[..., -1:], right=True)  # right=True: a token of probability 0 is never returned


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


class Transformer(GenerativeModel):
    """A decoder-only transformer: what `TextTransformer`, `PoemTransformer` and `PixelTransformer` share.

    `Transformer.from_pretrained` returns the one of them that the checkpoint holds.

    Arguments:
        tokenizer: from `genmodels.tokens`; the network needs its `vocab_size` only.
        axes: coordinates of the positions, a tensor (context,) per axis; each axis rotates an equal share of a head's pairs.
        width: size of a token's vector; divisible by 2 * heads * number of axes.
        layers, heads, hidden: number of blocks, attention heads per block, hidden units of each feed-forward layer.
        lags: distances of the earlier tokens whose embeddings are added to the input at each position. [0], the token
            itself, is the standard; pixels also read the neighbours above, which raster order separates by a row.
        dropout: rate of dropout on each layer's output in training.
    Shapes:
        ids (B, T), logits (B, T, V).
    """

    kind: ClassVar[str]  # "tokens" in config.json: see `genmodels.TRANSFORMERS`
    cos: Tensor
    sin: Tensor
    blocks: Any  # nn.ModuleList of TransformerBlock
    before: Any  # nn.ModuleList of nn.Embedding
    tokenizer: Any  # CharacterTokenizer, PoemTokenizer or PixelTokenizer

    def __init__(
        self, tokenizer: Any, axes: list[Tensor], width: int, layers: int, heads: int, hidden: int, lags: list, dropout: float
    ):
        super().__init__()
        divisor = 2 * heads * len(axes)
        if width % divisor:
            raise ValueError(f"width must be divisible by {divisor}, not {width}.")
        self.tokenizer = tokenizer
        self.context = len(axes[0])
        self.lags = list(lags)
        self.dropout = dropout
        self.heads = heads
        self.head_dim = width // heads
        V = tokenizer.vocab_size
        self.embed = nn.Embedding(V, width)
        # Embeddings of the tokens at the other lags; row V stands for "before the beginning".
        self.before = nn.ModuleList(nn.Embedding(V + 1, width) for _ in self.lags[1:])
        for table in (self.embed, *self.before):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        pairs = self.head_dim // 2 // len(axes)
        frequencies = 10_000.0 ** (-torch.arange(pairs) / pairs)
        angles = torch.cat([axis[:, None] * frequencies for axis in axes], 1).repeat(1, 2)  # (context, head_dim)
        signs = torch.ones(self.head_dim).index_fill(0, torch.arange(self.head_dim // 2), -1)  # see `apply_rotary`
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin() * signs, persistent=False)

    @classmethod
    def class_for(cls, config: dict[str, Any]) -> type[GenerativeModel]:
        module, name = TRANSFORMERS[check_choice("tokens", config.get("tokens", "characters"), TRANSFORMERS)]
        found = getattr(importlib.import_module(module), name)
        if not issubclass(found, cls):
            raise ValueError(f"it is of a {name}, not of a {cls.__name__}.")
        return found

    @property
    def class_entries(self) -> dict[str, str]:
        return {"tokens": self.kind}

    def logits(self, ids: Tensor, cache: KVCache | None = None, position: int = 0) -> Tensor:
        """Next-token logits at each position from `position` on: ids (B, T), all tokens so far -> (B, T - position, V).

        With a cache (see `empty_cache`), the keys and values of the first `position` tokens are read from it and those of the
        others written to it; without one, `position` must be 0. T is at most `context`. A call with a cache either starts at
        position 0 or adds a single token.
        """
        return upcast(F.linear(self._hidden_states(ids, cache, position), self.embed.weight))

    def _hidden_states(
        self, ids: Tensor, cache: KVCache | None = None, position: int = 0, attention_maps: list[Tensor] | None = None
    ) -> Tensor:
        """Outputs of the last block, normalized: (B, T - position, width). Attention weights are appended to attention_maps."""
        ids = ids.to(self.device)
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
        """batch: (ids,) with ids (B, T + 1). `loss`: mean of -log p(token) in nats; `bits`: per token."""
        (ids,) = self.on_device(batch[:1])
        logits = self.logits(ids[:, :-1])
        nats = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        return {"loss": nats, "bits": nats.detach() / math.log(2)}
