"""Speed of the transformer: tokens per second for a single text, against a Llama of the same size in `transformers`.

    python -m benchmarks.transformer            one minute on two cores; prints a table
    python -m benchmarks.transformer --readme   also writes it into README.md

Nothing else should run on the machine meanwhile. Medians over rounds in which the candidates take turns. The weights do not
matter: without the checkpoint `transformer-shakespeare` they are random.
"""

import time
from itertools import islice
from statistics import median
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import common
from benchmarks.common import in_turns
from genmodels.text_transformer import TextTransformer
from genmodels.transformer import sample_next_token, warp_logits

TOKENS = 200  # new tokens per text
PROMPT = "ROMEO:\nBut, soft! what light through yonder window breaks?\nIt is the east, and Juliet is the sun.\n"


def untrained():
    alphabet = "".join(sorted({*PROMPT, *map(chr, range(97, 123)), *map(chr, range(65, 91))}))
    return TextTransformer(alphabet=alphabet, hidden=680)


def llama(model):
    """A Llama of the same size: the same layers and vocabulary."""
    config = model.config
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=model.tokenizer.vocab_size,
            hidden_size=config["width"],
            intermediate_size=config["hidden"],
            num_hidden_layers=config["layers"],
            num_attention_heads=config["heads"],
            max_position_embeddings=4 * config["context"],
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    ).eval()


def without_cache(model, ids, n):
    """Generation without a KV cache: the whole text goes through the network for each token."""
    g = torch.Generator().manual_seed(0)
    ids = torch.tensor([ids])
    for _ in range(n):
        x = model._hidden_states(ids[:, -model.context :])[0, -1]
        new_id = sample_next_token(warp_logits(F.linear(x, model.embed.weight)), g)
        ids = torch.cat([ids, new_id[None]], 1)


def weights_alone(model, n):
    """What n tokens cannot do without: each matrix is read from memory once per token, for its product with a vector."""
    matrices = [p for p in model.parameters() if p.ndim == 2]  # that of the embeddings gives the logits
    vectors = [p.new_zeros(p.shape[1]) for p in matrices]
    for _ in range(n):
        for matrix, vector in zip(matrices, vectors):
            torch.mv(matrix, vector)


def first_token(model, prompt, rounds):
    """Median milliseconds from the prompt to its first new token."""
    milliseconds = []
    for seed in range(rounds + 1):
        start = time.perf_counter()
        next(iter(model.generate_steps(prompt, seed=seed)))
        milliseconds.append(1000 * (time.perf_counter() - start))
    return median(milliseconds[1:])


def measure(model, rounds):
    """Rows of the table."""
    peer = llama(model)
    ids = model.tokenizer.encode(PROMPT[:56])
    prompt = torch.tensor([ids])
    options = dict(max_new_tokens=TOKENS, do_sample=True, top_k=0, use_cache=True, attention_mask=torch.ones_like(prompt))
    with torch.inference_mode():
        times = in_turns(
            rounds,
            lambda: model.generate(PROMPT[:56], max_new_tokens=TOKENS, seed=0),
            lambda: list(islice(model.generate_steps(PROMPT[:56], max_new_tokens=TOKENS, seed=0), TOKENS)),
            lambda: peer.generate(prompt, **options),
            lambda: without_cache(model, ids, TOKENS),
            lambda: weights_alone(model, TOKENS),
        )
        generate, generate_steps, transformers, uncached, alone = (TOKENS / seconds for seconds in times)
        latency = first_token(model, (2 * PROMPT)[:200], 3 * rounds)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    read = sum(p.nbytes for p in model.parameters()) / 1e9  # per token
    return [
        (f"`generate`, {size:.2f} M parameters, {TOKENS} tokens", f"{generate:.0f} tokens/s", "aim: 500"),
        (
            "the products of its matrices with a vector each, which read every weight once per token",
            f"{alone:.0f} tokens/s, {alone * read:.0f} GB/s",
            f"**{generate / alone:.0%}** of the time of `generate`",
        ),
        ("`generate_steps`, ten alternatives per token", f"{generate_steps:.0f} tokens/s", ""),
        (
            "`transformers`: `generate` of a Llama of the same size, with KV cache",
            f"{transformers:.0f} tokens/s",
            f"ours is **{generate / transformers:.1f}** times as fast; must: 2.2, aim: 3",
        ),
        ("this network without a KV cache", f"{uncached:.0f} tokens/s", f"with it {generate / uncached:.1f} times as fast"),
        ("first token after a prompt of 200 characters", f"{latency:.1f} ms", "aim: 50 ms"),
    ]


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Write the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each candidate is timed.")] = 7,
):
    """Measure the transformer and print a table."""
    model, weights = common.load("transformer-shakespeare", untrained)
    common.report("transformer", measure(model, rounds), readme, remark=f", {weights}")


if __name__ == "__main__":
    typer.run(main)
