"""Autoregressive transformer: a sequence's next token, again and again. Text and pixels alike.

The probability of a whole is a product of one choice a token, p(x) = prod p(x_t | x_<t), each given by the same network, so
that the likelihood is exact and every choice can be looked at.

References: Vaswani et al., Attention is all you need (2017); today's parts: Zhang and Sennrich, Root mean square layer
normalization (2019); Su et al., RoFormer (2021), for rotary positions; Shazeer, GLU variants improve transformer (2020);
Press and Wolf, Using the output embedding (2017), for one table at both ends. Together they are the layout of Llama (Touvron
et al. 2023), to which the tests hold this file.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genmodels.base import GenerativeModel, check_choice, check_labels, check_number, check_pictures, generator
from genmodels.tokens import FORMS, Characters, Pixels, Poems

Labels = int | list | Tensor | None  # see `base.check_labels`

# --- from the next token's logits to a choice ---


def filtered(logits: Tensor, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0) -> Tensor:
    """Probabilities of the next token (..., V) after temperature and cut-offs, in this order; what is cut has 0.

    Arguments:
        logits: (..., V); minus infinity is never chosen.
        temperature: 0 to 5. Logits are divided by it; 0 takes the likeliest token, of several the first.
        top_k: 0 to V; only the k likeliest stay, and what is as likely as the last of them; 0 keeps all.
        top_p: 0 to 1; only the likeliest that together just reach p stay (nucleus; Holtzman et al. 2020).
        min_p: 0 to 1; only those at least min_p times as likely as the likeliest stay (Nguyen et al. 2024).
    """
    if temperature < 1e-6:  # by less 32-bit numbers cannot be divided
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    p = (logits / temperature).softmax(-1)
    if 0 < top_k < p.shape[-1]:
        p = p.masked_fill(p < p.topk(top_k, -1).values[..., -1:], 0)
        p = p / p.sum(-1, keepdim=True)
    if top_p < 1:
        ranked, order = p.sort(dim=-1, descending=True, stable=True)
        likelier = F.pad(ranked.cumsum(-1)[..., :-1], (1, 0))  # what those before have together
        p = p.scatter(-1, order, ranked.masked_fill((likelier >= top_p) & (likelier > 0), 0))
    if min_p > 0:
        p = p.masked_fill(p < min_p * p.amax(-1, keepdim=True), 0)
    return p / p.sum(-1, keepdim=True) if top_p < 1 or min_p > 0 else p


def drawn(p: Tensor, g: torch.Generator) -> Tensor:
    """One number of each row of probabilities p (..., V): where a uniform number falls among their running sums. (..., 1)

    What `torch.multinomial` does, without a random number for each of V.
    """
    upto = p.double().cumsum(-1)
    u = torch.rand(*p.shape[:-1], 1, generator=g, dtype=torch.float64) * upto[..., -1:]
    return torch.searchsorted(upto, u, right=True)  # right: what has no probability is never met


def repeated_less(logits: Tensor, ids: list[int], penalty: float) -> Tensor:
    """Logits (V,) with those of the tokens ids divided by the penalty; negative ones are multiplied. Keskar et al. 2019."""
    if penalty == 1 or not ids:
        return logits
    used = torch.tensor(sorted(set(ids)), device=logits.device)
    value = logits[used]
    return logits.index_put((used,), torch.where(value > 0, value / penalty, value * penalty))


# --- the network ---


class Block(nn.Module):
    """Attention, then a gated layer; each reads a normalised copy of the stream x (B T, width) and adds to it."""

    def __init__(self, width: int, heads: int, hidden: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.gate_up, self.down = nn.Linear(width, 2 * hidden, bias=False), nn.Linear(hidden, width, bias=False)
        nn.init.zeros_(self.out.weight)  # starts as the identity
        nn.init.zeros_(self.down.weight)

    def keys(
        self, x: Tensor, turn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:  # -> q, k, v (B, heads, T, width / heads)
        qkv = self.qkv(self.norm1(x)).view(-1, len(turn[0]), 3, self.heads, x.shape[1] // self.heads).permute(2, 0, 3, 1, 4)
        return *rotate(qkv[:2], turn), qkv[2]

    def add(
        self, x: Tensor, attended: Tensor, drop: Callable[[Tensor], Tensor]
    ) -> Tensor:  # attended (B, heads, T, width / heads)
        x = x + drop(self.out(attended.transpose(1, 2).reshape(x.shape)))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, dim=-1)
        return x + drop(self.down(F.silu(gate) * up))


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each pair of coordinates i and i + d/2 of x (..., T, d) by its position's angle.

    turn: (cos, sin), each (T, d), the sine with a minus in its first half. The product of two vectors so turned depends on
    how far apart they stand, not on where.
    """
    cos, sin = turn
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


class Cache(NamedTuple):
    """Keys and values of the tokens seen so far: k, v (layers, B, heads, context, width / heads). Belongs to the caller."""

    k: Tensor
    v: Tensor


State = tuple[int, Cache, Tensor]  # of `next_logits`: where its window begins, the cache, the window's tokens


class Token(NamedTuple):
    """A step of `generate_steps`.

    id: the token's number; text: what it stands for; probability: what the model gave it, before temperature and cut-offs;
    entropy: of the model's choice, in nats; alternatives: (text, model's probability, probability after temperature and
    cut-offs) of the likeliest.
    """

    id: int
    text: str
    probability: float
    entropy: float
    alternatives: list[tuple[str, float, float]]


class Score(NamedTuple):
    """Of each token of a text: symbols (list of T), log_probs (T,) in nats, entropy (T,) of the model before it."""

    symbols: list[str]
    log_probs: Tensor
    entropy: Tensor


class Completion(NamedTuple):
    """x: (n, 1, H, W) pictures so far, 0 where unwritten; probability: (n, H, W) of each pixel written; rows: how many are."""

    x: Tensor
    probability: Tensor
    rows: int


class Transformer(GenerativeModel):
    """A decoder-only transformer over characters, poems or pixels.

    Arguments:
        tokens: "characters", "poems" or "pixels"; see `genmodels.tokens`.
        alphabet: of characters or poems.
        classes: of pixels.
        size: side of the pictures, of pixels.
        width: numbers a token; divisible by 2 * heads (4 * heads of pixels).
        layers, heads, hidden: blocks, heads a block, units of each gated layer.
        context: most tokens that are looked at at once, 2 or more; of pixels it is the whole picture.
        lags: how far back lie the tokens that are read in at each place. [0] is the token itself, as usual; pixels also
            read their neighbours above, which a row of tokens has torn away.
        dropout: share of each block's output withheld in training.
    Shapes:
        ids (B, T), logits (B, T, V), pictures (B, 1, H, W) in [0, 1], labels (B,), -1 where open.
    """

    cos: Tensor
    sin: Tensor
    tokens: Any  # Characters, Poems or Pixels
    blocks: Any  # a ModuleList of `Block`

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
        if width % (heads * (4 if pixels else 2)):
            raise ValueError(f"width must be divisible by {heads * (4 if pixels else 2)}, not {width}.")
        check_number("context", context, 2, 1_000_000, whole=True)
        self.kind, self.channels, self.size, self.classes = tokens, 1, size, [classes]
        self.tokens = Pixels(size, classes) if pixels else {"characters": Characters, "poems": Poems}[tokens](alphabet)
        self.context, self.lags, self.dropout = size**2 if pixels else context, list(lags), dropout
        self.heads, self.head = heads, width // heads
        V = self.tokens.size
        self.embed = nn.Embedding(V, width)
        self.before = nn.ModuleList(nn.Embedding(V + 1, width) for _ in self.lags[1:])  # V: nothing stands there
        for table in (self.embed, *self.before):
            nn.init.normal_(table.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-6)
        at = torch.arange(self.context)
        # Of pixels half the pairs turn with the row and half with the column, so that above is as near as left.
        axes = [(at - 1).div(size, rounding_mode="floor"), (at - 1) % size] if pixels else [at]
        pairs = self.head // 2 // len(axes)
        speed = 10_000.0 ** (-torch.arange(pairs) / pairs)
        angle = torch.cat([axis[:, None] * speed for axis in axes], 1).repeat(1, 2)  # (context, head)
        self.register_buffer("cos", angle.cos(), persistent=False)
        sign = torch.ones(self.head).index_fill(0, torch.arange(self.head // 2), -1)  # see `rotate`
        self.register_buffer("sin", angle.sin() * sign, persistent=False)

    # --- the network, and its likelihood ---

    def logits(self, ids: Tensor, cache: Cache | None = None, at: int = 0) -> Tensor:
        """Logits of the successors of tokens `at` and later: ids (B, T), all tokens so far -> (B, T - at, V).

        With a cache (see `empty_cache`) the keys of the first `at` tokens are read from it and those of the others written to
        it; without one `at` is 0. T is at most `context`; one call adds one token or begins at 0.
        """
        return F.linear(self._stream(ids, cache, at), self.embed.weight)

    def _stream(self, ids: Tensor, cache: Cache | None = None, at: int = 0, maps: list[Tensor] | None = None) -> Tensor:
        B, T = ids.shape
        x = self.embed(ids[:, at:])
        for lag, table in zip(self.lags[1:], self.before):
            x = x + table(ids[:, at - lag : T - lag] if at >= lag else F.pad(ids, (lag, 0), value=self.tokens.size)[:, at:T])
        turn = self.cos[at:T], self.sin[at:T]
        x = self._drop(x).flatten(0, 1)  # (B T, width): as rows it is the quicker through the layers
        keys, values = cache or ([None] * len(self.blocks),) * 2
        for block, known_k, known_v in zip(self.blocks, keys, values):
            q, k, v = block.keys(x, turn)
            if cache is not None:
                known_k.narrow(2, at, T - at).copy_(k)
                known_v.narrow(2, at, T - at).copy_(v)
                k, v = known_k.narrow(2, 0, T), known_v.narrow(2, 0, T)
            if maps is not None:
                maps.append((q @ k.mT / math.sqrt(self.head)).masked_fill(self._later(T), -math.inf).softmax(-1))
            x = block.add(x, F.scaled_dot_product_attention(q, k, v, is_causal=T - at > 1), self._drop)
        return self.norm(x).view(B, T - at, -1)

    def _drop(self, x):
        return F.dropout(x, self.dropout, self.training) if self.dropout else x

    def _later(self, T):
        return torch.ones(T, T, dtype=torch.bool, device=self.device).triu(1)

    def empty_cache(self, n: int = 1) -> Cache:
        """Room for the keys and values of n sequences; the caller's own, so that visitors share nothing but weights."""
        shape = len(self.blocks), n, self.heads, self.context, self.head
        return Cache(self.embed.weight.new_empty(shape), self.embed.weight.new_empty(shape))

    def loss(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """batch: (ids,) with ids (B, T + 1), or (x, y) of pixels. `loss`: mean of -log p(token), in nats; `bits` a token."""
        ids = batch[0] if self.kind != "pixels" else self.tokens.encode(batch[0], batch[1].view(-1))
        logits = self.logits(ids[:, :-1]).float()
        nats = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        return {"loss": nats, "bits": nats.detach() / math.log(2)}

    # --- text ---

    def _check(self, name, text):
        if self.kind == "pixels":
            raise ValueError("This model writes pixels: use sample, complete_steps or log_prob.")
        if not isinstance(text, str) or len(text) > 100_000:
            raise ValueError(f"{name} must be a text of at most 100000 characters.")

    def _ids(self, name, text):
        """Token numbers of a text, the start in place of an empty one."""
        self._check(name, text)
        return (self.tokens.encode(text) if text else []) or list(self.tokens.start)

    def first(self, length: int) -> int:
        """Where the window begins that the next token sees after `length` tokens.

        Past the context it jumps on by half a context at a time: the cache is then filled anew from the window's beginning,
        every choice sees at least half a context, and each is what a full pass over its window gives.
        """
        half = self.context // 2
        return max(0, -(-(length - self.context) // half)) * half

    def next_logits(self, ids: list[int], state: State | None = None) -> tuple[Tensor, State]:
        """(logits (V,) of the token after the list ids, state); the state of the call before makes it one step of the network.

        state: None, or what the last call returned for all of ids but the last. It is written over.
        """
        first = self.first(len(ids))
        T = len(ids) - first
        with torch.inference_mode():
            if state is None or state[0] != first:
                cache, window, at = self.empty_cache(), torch.empty(1, self.context, dtype=torch.long, device=self.device), 0
            else:
                (_, cache, window), at = state, T - 1
            window[0, at:T] = torch.tensor(ids[first + at :], device=self.device)
            x = self._stream(window[:, :T], cache, at)[0, -1]
            return F.linear(x, self.embed.weight), (first, cache, window)

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
        allowed: Callable[[int], Tensor] | None = None,
        alternatives: int = 10,
    ) -> Iterator[Token]:
        """Write on from the prompt, one `Token` at a time; poems end by themselves.

        Arguments:
            prompt: at most 100,000 characters; its last `context` tokens count. What the alphabet lacks is folded.
            max_new_tokens: 1 to 100,000.
            temperature, top_k, top_p, min_p: see `filtered`.
            repetition_penalty: 0.5 to 5; over 1 makes tokens of the window less likely to come again.
            seed: of the choices.
            allowed: None, or a function of the new token's place, 0 the first, that gives (V,) booleans: what may stand there.
            alternatives: 0 to 100; how many of the likeliest tokens each step tells.
        """
        ids = self._ids("prompt", prompt)
        max_new_tokens = check_number("max_new_tokens", max_new_tokens, 1, 100_000, whole=True)
        temperature = check_number("temperature", temperature, 0, 5)
        top_k = check_number("top_k", top_k, 0, self.tokens.size, whole=True)
        top_p, min_p = check_number("top_p", top_p, 0, 1), check_number("min_p", min_p, 0, 1)
        penalty = check_number("repetition_penalty", repetition_penalty, 0.5, 5)
        shown = min(check_number("alternatives", alternatives, 0, 100, whole=True), self.tokens.size)
        return self._steps(ids, max_new_tokens, (temperature, top_k, top_p, min_p), penalty, generator(seed), allowed, shown)

    def _steps(self, ids, n, cuts, penalty, g, allowed, shown):
        state = None
        for place in range(n):
            with torch.inference_mode():
                logits, state = self.next_logits(ids, state)
                logits = logits.float().cpu()
                log_p = logits.log_softmax(-1)
                p = log_p.exp()
                if penalty != 1:
                    logits = repeated_less(logits, ids[self.first(len(ids)) :], penalty)
                if allowed is not None:
                    may = allowed(place)
                    logits = logits.masked_fill(~may, -math.inf)
                chance = filtered(logits, *cuts)
                i = drawn(chance, g)
                likely = p.topk(shown) if allowed is None else p.masked_fill(~may, -1).topk(min(shown, may.sum().item()))
                told = torch.cat([i, likely.indices])
                (i, *others), (probability, *raw), (_, *cut) = told.tolist(), p[told].tolist(), chance[told].tolist()
                others = [(self.tokens.symbols[j], *both) for j, *both in zip(others, raw, cut)]
                token = Token(i, self.tokens.symbols[i], probability, -p.dot(log_p).item(), others)
            yield token
            if self.kind == "poems" and i == Poems.END:
                return
            ids.append(i)

    def generate(self, prompt: str = "", **options: Any) -> str:
        """The text that `generate_steps` writes after the prompt."""
        return self.tokens.decode(token.id for token in self.generate_steps(prompt, alternatives=0, **options))

    def poem_steps(
        self,
        form: str = "七绝",
        *,
        title: str = "",
        author: str = "",
        heads: str = "",
        begun: str = "",
        **options: Any,
    ) -> Iterator[Token]:
        """Write a poem that holds its form: `Token`s of its body, marks included.

        Arguments:
            form: 五绝 (four lines of five characters), 七绝 (four of seven), 五律 or 七律 (eight lines).
            title, author: at most 40 and 10 characters; may be empty. Unknown characters count as one unknown one.
            heads: the characters that begin the lines, one a line from the first on (藏头诗); may be empty.
            begun: the beginning of the body, marks included, that is there already; the steps tell what follows it.
            options: as of `generate_steps`, without `max_new_tokens` and `allowed`.
        """
        if self.kind != "poems":
            raise ValueError("This model writes no poems: load transformer-tang.")
        check_choice("form", form, FORMS)
        lines, length = FORMS[form]
        for name, text, most in (("title", title, 40), ("author", author, 10), ("heads", heads, lines)):
            if not isinstance(text, str) or len(text) > most or "|" in text or "\n" in text:
                raise ValueError(f"{name} must be at most {most} characters without a bar or a new line.")
        unknown = [c for c in heads if not self.tokens.hanzi[self.tokens.number.get(c, Poems.UNKNOWN)]]
        if unknown:
            raise ValueError(f"heads must be Chinese characters that the model has read; these are not: {' '.join(unknown)}.")

        def allowed(at):
            line = at // (length + 1)
            return self.tokens.mask(form, at, heads[line] if line < len(heads) else None)

        n = lines * (length + 1)
        written = isinstance(begun, str) and len(begun) < n and [self.tokens.number.get(c, Poems.UNKNOWN) for c in begun]
        if written is False or not all(allowed(at)[i] for at, i in enumerate(written)):
            raise ValueError(f"begun must be the beginning of the body of a {form}, its marks and heads where they belong.")
        told = f"{form}|{title}|{author}|{begun}"
        return self.generate_steps(told, max_new_tokens=n - len(begun), allowed=lambda at: allowed(at + len(begun)), **options)

    def score(self, text: str, prompt: str = "") -> Score:
        """How likely each token of the text is after the prompt and the tokens before it: a `Score`.

        Arguments:
            text: 1 to 100,000 characters.
            prompt: what stands before the text; the start of a text if empty.
        """
        (before, told), rows, at = self._parts(text, prompt), [], 0
        for log_p in self._read(before, told):
            here = torch.tensor(told[at : at + len(log_p)], device=self.device)
            rows.append(torch.stack([log_p.gather(1, here[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)]))
            at += len(here)
        log_probs, entropy = torch.cat(rows, 1)
        return Score([self.tokens.symbols[i] for i in told], log_probs, entropy)

    def read_steps(self, text: str, prompt: str = "", *, alternatives: int = 10) -> Iterator[Token]:
        """Each token of a text as `generate_steps` would have told it: yields `Token`s.

        Arguments:
            text, prompt: as of `score`.
            alternatives: 0 to 100; how many of the likeliest tokens each step tells.
        """
        before, told = self._parts(text, prompt)
        shown = min(check_number("alternatives", alternatives, 0, 100, whole=True), self.tokens.size)
        return self._tell(self._read(before, told), told, shown)

    def _tell(self, windows, told, shown):
        told = iter(told)
        for log_p in windows:
            entropy, top = -(log_p.exp() * log_p).sum(-1).cpu(), log_p.exp().cpu().topk(shown)
            for row, h, p, others in zip(log_p.cpu(), entropy.tolist(), top.values.tolist(), top.indices.tolist()):
                i = next(told)
                others = [(self.tokens.symbols[j], q, q) for j, q in zip(others, p)]
                yield Token(i, self.tokens.symbols[i], row[i].exp().item(), h, others)

    def _parts(self, text, prompt):
        """(tokens before, tokens of the text), checked."""
        for name, given in (("text", text), ("prompt", prompt)):
            self._check(name, given)
        before, told = self.tokens.part(text, prompt)
        if not told:
            raise ValueError("text must have at least one character that the model knows.")
        return before, told

    @torch.inference_mode()
    def _read(self, before, told):
        """log p of all tokens at each place of `told`, a window at a time: each sees what it would see in `generate_steps`."""
        ids, at = before + told, len(before)
        while at < len(ids):
            first = self.first(at)
            last = min(len(ids), first + self.context + 1)
            window = torch.tensor([ids[first : last - 1]], device=self.device)
            yield self.logits(window)[0, at - first - 1 :].log_softmax(-1)  # (last - at, V)
            at = last

    def attention(self, text: str) -> tuple[list[str], Tensor]:
        """Who looks at whom: (symbols, maps (layers, heads, T, T)) of the last `context` tokens; rows sum to 1."""
        ids = self._ids("text", text)[-self.context :]
        maps: list[Tensor] = []
        with torch.inference_mode():
            self._stream(torch.tensor([ids], device=self.device), maps=maps)
            return [self.tokens.symbols[i] for i in ids], torch.cat(maps)

    # --- pixels ---

    def log_prob(self, x: Tensor, label: Labels = None) -> Tensor:
        """log p(x | label) of 8-bit pictures x (B, 1, H, W) in [0, 1], in nats: (B,). Exact."""
        return self.pixel_log_probs(x, label).flatten(1).sum(1)

    def bits_per_dim(self, x: Tensor, label: Labels = None) -> Tensor:
        """-log2 p(x | label) a pixel: (B,)."""
        return -self.log_prob(x, label) / (self.context * math.log(2))

    def pixel_log_probs(self, x: Tensor, label: Labels = None) -> Tensor:
        """log p of each pixel given those before it: (B, H, W), in nats."""
        if self.kind != "pixels":
            raise ValueError("This model reads text: use score.")
        x = check_pictures("x", x, 1, self.tokens.side).to(self.device)
        y = check_labels(label, len(x), [self.tokens.classes]).to(self.device)
        ids = self.tokens.encode(x, y[:, 0])
        with torch.inference_mode():
            log_p = self.logits(ids[:, :-1])[:, :, : self.tokens.levels].log_softmax(-1)
            return log_p.gather(2, ids[:, 1:, None]).view(-1, self.tokens.side, self.tokens.side)

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
        """Write the rest of a picture, pixel by pixel: a `Completion` after each row.

        Arguments:
            x: (1, 1, H, W) in [0, 1], whose first rows are given, or None.
            rows: 0 to H - 1; how many rows of x are kept.
            n: 1 to 64 continuations.
            label: of the picture, or -1 or None.
            temperature: 0 to 2.
            seed: of the choices.
        """
        if self.kind != "pixels":
            raise ValueError("This model writes text: use generate_steps.")
        side, levels = self.tokens.side, self.tokens.levels
        rows, n = check_number("rows", rows, 0, side - 1, whole=True), check_number("n", n, 1, 64, whole=True)
        temperature, g = check_number("temperature", temperature, 0, 2), generator(seed)
        if x is None and rows:
            raise ValueError("rows must be 0 where no picture is given.")
        x = check_pictures("x", torch.zeros(1, 1, side, side) if x is None else x, 1, side).to(self.device)
        if len(x) != 1:
            raise ValueError(f"x must be one picture (1, 1, {side}, {side}), not {len(x)}.")
        y = check_labels(label, n, [self.tokens.classes]).to(self.device)
        return self._complete(x, rows, n, y[:, 0], temperature, g, side, levels)

    @torch.inference_mode()
    def _complete(self, x, rows, n, y, temperature, g, side, levels):
        ids = self.tokens.encode(x.expand(n, -1, -1, -1), y)
        ids[:, 1 + rows * side :] = 0
        p, cache, at = torch.zeros(n, side * side), self.empty_cache(n), 0
        for row in range(rows, side):
            for t in range(row * side, (row + 1) * side):  # the token at place t tells pixel t, at place t + 1
                logits = F.linear(self._stream(ids[:, : t + 1], cache, at)[:, -1], self.embed.weight[:levels]).float()
                at = t + 1
                i = drawn(filtered(logits, temperature).cpu(), g).to(ids.device)
                ids[:, t + 1] = i[:, 0]
                p[:, t] = logits.softmax(-1).gather(1, i)[:, 0].cpu()
            picture = self.tokens.decode(ids[:, 1:]).clone()
            yield Completion(picture, p.view(n, side, side).clone(), row + 1)

    def sample(self, n: int, *, label: Labels = None, temperature: float = 1.0, seed: int | None = None) -> Tensor | list[str]:
        """n new pictures (n, 1, H, W), or a list of n texts of 200 tokens: the seed's first n. n: 1 to 4096.

        Arguments:
            label: of pictures; see `base.check_labels`.
            temperature: 0 to 2.
            seed: of the choices.
        """
        n, temperature = check_number("n", n, 1, 4096, whole=True), check_number("temperature", temperature, 0, 2)
        if self.kind != "pixels":
            g = generator(seed)
            seeds = [int(torch.randint(2**62, (1,), generator=g)) for _ in range(n)]
            return [self.generate(max_new_tokens=200, temperature=temperature, seed=s) for s in seeds]
        y = check_labels(label, n, [self.tokens.classes])
        pictures, g = [], generator(seed)
        for part in y.split(64):
            s = int(torch.randint(2**62, (1,), generator=g))
            *_, last = self.complete_steps(n=len(part), label=part, temperature=temperature, seed=s)
            pictures.append(last.x)
        return torch.cat(pictures)
