"""Faster next-token logits on the CPU: `SingleStep` for one text, `BatchStep` for n pictures.

A step is bound by reading the weights and by the overhead of many small calls. Here what does not change is prepared once, and
attention of few queries is two products. The results are those of `Transformer.logits` with a cache.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels.transformer import KVCache, Transformer


def in_full_precision_on_cpu(model: Transformer) -> bool:
    """Whether the steps below compute what the model does: they have no dropout and keep no other precision."""
    weight = model.embed.weight
    full = weight.device.type == "cpu" and weight.dtype in (torch.float32, torch.float64)
    return full and not (model.training and model.dropout)


class SingleStep:
    """Logits of the next token after one more token of a single text, with vectors instead of batches."""

    def __init__(self, model: Transformer, cache: KVCache):
        heads, half = model.heads, model.head_dim // 2
        self.embed, self.norm, self.cache = model.embed, model.norm.weight, cache
        self.shape = 3, heads, 2, half
        self.eps = model.norm.eps or 0.0
        self.zero = self.norm.new_zeros(1)
        scale = model.cos.new_tensor([model.head_dim**-0.5, 1]).view(1, 2, 1, 1, 1)  # of queries and of keys
        self.cos, self.sin = (table.view(-1, 1, 1, 2, half) * scale for table in (model.cos, model.sin))
        self.layers = [
            (b.norm1.weight, b.qkv.weight, b.out.weight, b.norm2.weight, b.gate_up.weight, b.down.weight) for b in model.blocks
        ]

    @staticmethod
    def fits(model: Transformer, n: int) -> bool:
        """Whether this is for n texts: one, on the CPU, in full precision, and each position reads one token."""
        return n == 1 and len(model.lags) == 1 and in_full_precision_on_cpu(model)

    def product(self, weight: Tensor, x: Tensor, norm: Tensor) -> Tensor:
        """weight @ RMSNorm(x)"""
        scale = (float(x.dot(x)) / x.shape[0] + self.eps) ** -0.5
        return torch.addmv(self.zero, weight, x * norm, beta=0, alpha=scale)

    def __call__(self, token: Tensor, position: int) -> Tensor:
        """token: (1,); position: its own, all before it are in the cache. Returns (V,)."""
        x = self.embed(token)[0]  # as a layer: its hook lets others compute in between
        cos, sin = self.cos[position], self.sin[position]  # (2, 1, 2, half)
        keys, values = (part[:, 0, :, : position + 1].unbind() for part in self.cache)
        for (norm1, qkv, out, norm2, gate_up, down), k, v in zip(self.layers, keys, values):
            qk, value = self.product(qkv, x, norm1).view(self.shape).split((2, 1))
            query, key = torch.addcmul(qk * cos, qk.flip(2), sin).flatten(2).unbind()  # (heads, d) each; see `apply_rotary`
            k.select(1, position).copy_(key)
            v.select(1, position).copy_(value.view_as(key))
            shares = torch.bmm(query.unsqueeze(1), k.mT).softmax(-1)  # (heads, 1, position + 1)
            x = torch.addmv(x, out, torch.bmm(shares, v).view(-1))
            gate, up = self.product(gate_up, x, norm2).view(2, -1).unbind()
            x = torch.addmv(x, down, F.silu(gate).mul_(up))
        return self.product(self.embed.weight, x, self.norm)


def fold_norm(weight: Tensor, norm: nn.RMSNorm) -> Tensor:
    """weight (out, in) of the layer after `norm` -> (in, out), with the norm's weights folded in."""
    return (weight * norm.weight).T.contiguous()


class BatchStep:
    """Logits of the next token of each of n sequences of the same length; positions may read several tokens (`lags`).

    It holds a copy of the model's weights.
    """

    def __init__(self, model: Transformer, cache: KVCache):
        heads, half = model.heads, model.head_dim // 2
        self.embed, self.eps, self.heads = model.embed, model.norm.eps or 0.0, heads
        self.cos, self.sin = (table.view(-1, 1, 1, 2, half) for table in (model.cos, model.sin))
        self.keys, self.values = (part.flatten(1, 2) for part in cache)  # (layers, n heads, context, d)
        scale = self.cos.new_ones(3, heads * model.head_dim)
        scale[0] = model.head_dim**-0.5  # of the queries
        self.layers = [
            (
                fold_norm(b.qkv.weight * scale.view(-1, 1), b.norm1),
                b.out.weight.T.contiguous(),
                fold_norm(b.gate_up.weight, b.norm2),
                b.down.weight.T.contiguous(),
            )
            for b in model.blocks
        ]
        self.unembed = fold_norm(model.embed.weight, model.norm)
        # The tables of the lags other than 0, one below the other; in each, row `outside` stands for "before the beginning".
        self.other_lags, self.outside = torch.tensor(model.lags[1:], dtype=torch.long), model.tokenizer.vocab_size
        self.tables = torch.cat([table.weight for table in model.before]) if len(self.other_lags) else None
        self.first_rows = (len(model.embed.weight) + 1) * torch.arange(len(self.other_lags))

    def normalized(self, x: Tensor) -> Tensor:
        """RMSNorm(x) without its weights, which the matrices that follow hold."""
        return x * (x.square().mean(1, keepdim=True) + self.eps).rsqrt()

    def __call__(self, ids: Tensor, position: int) -> Tensor:
        """Logits after each of the last k tokens of ids (n, position + k): (n, k, V). The first `position` are in the cache."""
        n, end = ids.shape
        k = end - position
        x = self.embed(ids[:, position:]).flatten(0, 1)  # as a layer: its hook lets others compute in between
        if self.tables is not None:
            read = torch.arange(position, end)[:, None] - self.other_lags
            tokens = ids[:, read.clamp(min=0)].where(read >= 0, self.outside) + self.first_rows
            x = F.embedding_bag(tokens.flatten(0, 1), self.tables, mode="sum").add_(x)
        cos, sin = self.cos[position:end], self.sin[position:end]
        future = torch.full((k, end), -torch.inf, dtype=x.dtype).triu(position + 1) if k > 1 else None
        for (qkv, out, gate_up, down), keys, values in zip(self.layers, self.keys, self.values):
            qk, v = (self.normalized(x) @ qkv).view(n, k, 3, self.heads, 2, -1).split((2, 1), 2)
            qk = torch.addcmul(qk * cos, qk.flip(4), sin)  # see `apply_rotary`
            q, key, value = (part.flatten(3).transpose(1, 2).flatten(0, 1) for part in (qk[:, :, 0], qk[:, :, 1], v[:, :, 0]))
            keys.narrow(1, position, k).copy_(key)
            values.narrow(1, position, k).copy_(value)
            scores = torch.bmm(q, keys[:, :end].mT)  # (n heads, k, end)
            shares = (scores if future is None else scores + future).softmax(-1)
            attended = torch.bmm(shares, values[:, :end]).view(n, self.heads, k, -1).transpose(1, 2)
            x = torch.addmm(x, attended.reshape(n * k, -1), out)
            gate, up = (self.normalized(x) @ gate_up).chunk(2, dim=1)
            x = torch.addmm(x, F.silu(gate).mul_(up), down)
        return (self.normalized(x) @ self.unembed).view(n, k, -1)
