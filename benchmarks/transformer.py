"""The transformer's speed: tokens a second, one text at a time, against `transformers` with a Llama of the same weights.

    python -m benchmarks.transformer            a minute on two cores; prints a table
    python -m benchmarks.transformer --readme   also puts it into README.md

Nothing else may run on the machine meanwhile. Medians of one run, in turns. Weights do not matter: without the checkpoint
`transformer-shakespeare` they are random.
"""

import os
import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from transformers import LlamaConfig, LlamaForCausalLM

import genmodels as gm
from benchmarks.diffusion import in_turns
from genmodels.base import CheckpointError
from genmodels.transformer import Transformer, drawn, filtered

ROOT = Path(__file__).resolve().parent.parent
TOKENS = 200  # new ones a text
PROMPT = "ROMEO:\nBut, soft! what light through yonder window breaks?\nIt is the east, and Juliet is the sun.\n"


def ours():
    try:
        return gm.load("transformer-shakespeare")
    except CheckpointError:
        alphabet = "".join(sorted({*PROMPT, *map(chr, range(97, 123)), *map(chr, range(65, 91))}))
        return Transformer(alphabet=alphabet, hidden=680).eval().requires_grad_(False)


def llama(model):
    """As large a Llama: the same layers over the same alphabet."""
    c = model.config
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=model.tokens.size,
            hidden_size=c["width"],
            intermediate_size=c["hidden"],
            num_hidden_layers=c["layers"],
            num_attention_heads=c["heads"],
            max_position_embeddings=4 * c["context"],
            rms_norm_eps=1e-6,
            tie_word_embeddings=True,
            bos_token_id=None,
            eos_token_id=None,
            pad_token_id=None,
        )
    ).eval()


def without_cache(model, ids, n):
    """What the cache saves: the whole text through the network for each token."""
    g, ids = torch.Generator().manual_seed(0), torch.tensor([ids])
    for _ in range(n):
        x = model._stream(ids[:, -model.context :])[0, -1]
        ids = torch.cat([ids, drawn(filtered(F.linear(x, model.embed.weight)), g)[None]], 1)


def first_token(model, prompt, rounds):
    """Median milliseconds from the prompt to its first new token."""
    taken = []
    for seed in range(rounds + 1):
        began = time.perf_counter()
        next(iter(model.generate_steps(prompt, seed=seed)))
        taken.append(1000 * (time.perf_counter() - began))
    return median(taken[1:])


def main(
    readme: Annotated[bool, typer.Option("--readme", help="Put the table into README.md.")] = False,
    rounds: Annotated[int, typer.Option(help="How often each thing is timed.")] = 7,
):
    """Measure the transformer and print a table."""
    model = ours()
    theirs, ids = llama(model), model.tokens.encode(PROMPT[:56])
    given = torch.tensor([ids])
    options = dict(max_new_tokens=TOKENS, do_sample=True, top_k=0, use_cache=True, attention_mask=torch.ones_like(given))
    with torch.inference_mode():
        times = in_turns(
            rounds,
            lambda: model.generate(PROMPT[:56], max_new_tokens=TOKENS, seed=0),
            lambda: list(islice(model.generate_steps(PROMPT[:56], max_new_tokens=TOKENS, seed=0), TOKENS)),
            lambda: theirs.generate(given, **options),
            lambda: without_cache(model, ids, TOKENS),
        )
        plain, told, peer, bare = (TOKENS / seconds for seconds in times)
        waited = first_token(model, (2 * PROMPT)[:200], 3 * rounds)
    size = sum(p.numel() for p in model.parameters()) / 1e6
    rows = [
        (f"`generate`, {size:.2f} M parameters, {TOKENS} tokens", f"{plain:.0f} tokens/s", "aim: 500"),
        ("`generate_steps`, ten alternatives each", f"{told:.0f} tokens/s", ""),
        (
            "`transformers`: `generate` of a Llama as large, with its cache",
            f"{peer:.0f} tokens/s",
            f"ours is **{plain / peer:.1f}** times as fast; aim: 3",
        ),
        ("this network without a cache", f"{bare:.0f} tokens/s", f"the cache makes it {plain / bare:.1f} times as fast"),
        ("first token after a prompt of 200 characters", f"{waited:.1f} ms", "aim: 50 ms"),
    ]
    table = "\n".join(["| what | measured | beside it |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    note = f"`python -m benchmarks.transformer` on {os.cpu_count()} cores, {torch.get_num_threads()} thread(s)."
    print(f"{note}\n\n{table}")
    if readme:
        file, marks = ROOT / "README.md", [f"<!-- transformer-benchmarks:{end} -->" for end in ("begin", "end")]
        head, rest = file.read_text(encoding="utf-8").split(marks[0])
        file.write_text(f"{head}{marks[0]}\n{note}\n\n{table}\n{marks[1]}{rest.split(marks[1])[1]}", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
