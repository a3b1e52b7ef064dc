"""How the transformers of texts are measured, and what their cards say. Their recipes are in `train.transformer`."""

import math
from typing import Any

import numpy as np
import torch

from genmodels.text_transformer import PoemTransformer, TextTransformer
from genmodels.tokens import PoemTokenizer
from train import measures, ngram, texts
from train.cards import Card, Checkpoint, Value

NATS_NOTE = "In blocks of 256 characters, each read without what precedes it, as usual for this text; natural logarithm."
PERPLEXITY_NOTE = (
    "Perplexity: exp(-log p / number of characters), over the characters of the bodies; punctuation and the end of a "
    "poem are neither scored nor counted. Characters that occur less than twice in the training poems are one unknown "
    "character to both models. The 5-gram, `train.ngram`, is given the form, but no title and no author, and was fitted to the "
    "same bodies; its probabilities are divided by their sum over the characters that are scored, because a tenth of them "
    "goes to punctuation. Where punctuation stands follows from the form."
)
LLAMA_REFERENCES = (
    "Vaswani et al., [Attention is all you need](https://arxiv.org/abs/1706.03762) (2017); Press and Wolf, "
    "[Using the output embedding](https://arxiv.org/abs/1608.05859) (2017); Zhang and Sennrich, "
    "[Root mean square layer normalization](https://arxiv.org/abs/1910.07467) (2019); Su et al., "
    "[RoFormer](https://arxiv.org/abs/2104.09864) (2021); Shazeer, "
    "[GLU variants improve transformer](https://arxiv.org/abs/2002.05202) (2020); Touvron et al., "
    "[LLaMA](https://arxiv.org/abs/2302.13971) (2023), whose architecture this is but for the table of embeddings that input "
    "and output share here; Jordan et al., [Muon](https://kellerjordan.github.io/posts/muon/) (2024), the optimizer of the "
    "matrices."
)


def evaluate_plays(evaluation: measures.Evaluation) -> measures.Evaluator:
    """Nats per character. Returns a headline."""
    tokenizer = evaluation.model.tokenizer
    nats, n = texts.nats_of_blocks(evaluation.model, evaluation.data)
    size = sum(p.numel() for p in evaluation.model.parameters()) / 1e6
    yield Value(
        "nats",
        "negative log-likelihood, nats per character",
        nats,
        n=n,
        comparison=f"{size:.2f} M parameters; nanoGPT with 10.65 M, its lowest on the same text: 1.4697 "
        "(https://github.com/karpathy/nanoGPT)",
    )
    yield Value(
        "bits",
        "the same in bits",
        nats / math.log(2),
        n=n,
        comparison=f"{tokenizer.vocab_size} equally likely characters: {math.log2(tokenizer.vocab_size):.3f}",
    )
    yield Value("perplexity", "the same as perplexity", math.exp(nats), n=n)
    return f"{nats:.4f} nats per character ([nanoGPT](https://github.com/karpathy/nanoGPT), 10.65 M: 1.4697)"


def evaluate_poems(evaluation: measures.Evaluation) -> measures.Evaluator:
    """Perplexity of the bodies, compared with a 5-gram of the same training poems. Returns a headline."""
    model = evaluation.model
    nats, n = texts.nats_of_bodies(model, evaluation.data)
    nats_form_only, _ = texts.nats_of_bodies(model, evaluation.data, with_title=False)
    perplexity, perplexity_form_only = math.exp(nats / n), math.exp(nats_form_only / n)
    baseline, unknown = five_gram_perplexity(evaluation, model.tokenizer)
    gram = f"interpolated modified Kneser-Ney 5-gram, given only the form: {baseline:.4g}"
    yield Value(
        "perplexity",
        "perplexity per character of the bodies, given title and author",
        perplexity,
        n=n,
        comparison=f"{gram}; it has no title to read",
    )
    yield Value("perplexity", "perplexity, given only the form", perplexity_form_only, n=n, comparison=gram)
    yield Value(
        "below", "reduction from the 5-gram's perplexity, both given only the form", 1 - perplexity_form_only / baseline, n=n
    )
    yield Value(
        "share", "unknown characters in the bodies", unknown, n=n, comparison="they are scored, as the unknown character"
    )
    return (
        f"perplexity {perplexity:.1f}; given only the form {perplexity_form_only:.1f}, "
        f"{1 - perplexity_form_only / baseline:.1%} below a Kneser-Ney 5-gram ({baseline:.1f})"
    )


def five_gram_perplexity(evaluation: measures.Evaluation, tokenizer: PoemTokenizer) -> tuple[float, float]:
    """(perplexity of the bodies' characters under a 5-gram of the training bodies, share of unknown characters)

    Four characters do not tell where a line ends, so a 5-gram expects punctuation in many places. Only characters are scored:
    its probabilities are divided by their sum over what can be scored. The transformer's, which are nearly normalized over
    these by themselves, are not.
    """

    def grams(poems):
        return ngram.grams(
            [[tokenizer.token_id[form], *tokenizer.encode_continuation(body, f"{form}|")[1]] for form, _, _, body in poems], 5
        )

    characters = tokenizer.hanzi.clone()
    characters[tokenizer.UNKNOWN] = True
    scored = grams(evaluation.data)
    scored = scored[characters.numpy()[scored[:, -1]]]
    five_gram = ngram.KneserNey(grams(evaluation.load("train")), tokenizer.vocab_size)
    p, mass_of_others = five_gram.probabilities(scored), 0
    for token in (~characters).nonzero()[:, 0].tolist():
        others = scored.copy()
        others[:, -1] = token
        mass_of_others = mass_of_others + five_gram.probabilities(others)
    return math.exp(-np.log(p / (1 - mass_of_others)).mean()), (scored[:, -1] == tokenizer.UNKNOWN).mean()


def reference_values_of_plays(model: TextTransformer, n: int = 16) -> dict[str, torch.Tensor]:
    text = texts.DATASETS["shakespeare"]("test")
    nats = [texts.nats_of_blocks(model, text[256 * i : 256 * i + 257])[0] for i in range(n)]
    return {"nats": torch.tensor(nats, dtype=torch.float64)}


def reference_values_of_poems(model: PoemTransformer, n: int = 16) -> dict[str, torch.Tensor]:
    sums = [texts.nats_of_bodies(model, [poem]) for poem in texts.DATASETS["tang"]("test")[:n]]
    return {"nats": torch.tensor([nats / characters for nats, characters in sums], dtype=torch.float64)}


def training_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """Fields of a card that all transformers have."""
    context = checkpoint.model.context
    tokens = sum(run["steps"] * run["batch"] for run in checkpoint.runs()) * context
    return {
        "paper": "Vaswani et al. 2017; Touvron et al. 2023",
        "reference": LLAMA_REFERENCES,
        "amount": f"{tokens:,} training tokens: steps times batch size times {context}.",
    }


def text_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """Fields of a card that the transformers of texts have."""
    alphabet = f"{len(checkpoint.model.config['alphabet'])} characters"
    return training_facts(checkpoint) | {"task": "text-generation", "config": {"alphabet": alphabet}}


def card_of_plays(checkpoint: Checkpoint) -> Card:
    facts = text_facts(checkpoint)
    if "--whole" in checkpoint.runs()[-1]["command"].split():
        facts["selection"] = (
            "the last one: this run trained on the validation split too (`--whole`), as published runs do, and "
            "nothing was selected in it"
        )
        facts["validation_data"] = "the last twentieth of the first 90 % of the text, in earlier runs not trained on it"
    return Card(
        **facts,
        what="A decoder-only transformer that writes English plays character by character, with a context of "
        f"{checkpoint.model.context} characters: rotary positions, gated feed-forward layers, tied input and output "
        "embeddings.",
        code='print(model.generate("ROMEO:", max_new_tokens=300, temperature=0.8, seed=0))\n'
        'for token in model.generate_steps("ROMEO:", max_new_tokens=20, seed=0):\n'
        "    token.text, token.probability, token.alternatives\n"
        'model.score("To be, or not to be").log_probs',
        use="Seeing how a language model samples, one character at a time; teaching; a baseline on this text.",
        limits="It knows the letters, words and names of some plays and nothing of the world: its text looks like "
        f"{checkpoint.title} and means nothing. It is not an assistant. It has learnt spelling and verse, but not how a scene "
        "develops. It may repeat lines of the training text.",
        notes={"nats": NATS_NOTE},
    )


def card_of_poems(checkpoint: Checkpoint) -> Card:
    facts = text_facts(checkpoint)
    facts["reference"] += (
        " Chen and Goodman, [An empirical study of smoothing techniques for language modeling]"
        "(https://doi.org/10.1006/csla.1999.0128) (1999)."
    )
    return Card(
        **facts,
        what="A decoder-only transformer that writes classical Chinese poems character by character, given form, title "
        "and author; the form is enforced by allowing only valid characters at each position.",
        code='poem = "".join(token.text for token in model.poem_steps("七绝", title="春雨", seed=0))\n'
        'acrostic = "".join(token.text for token in model.poem_steps("五绝", heads="春夏秋冬", seed=0))\n'
        'model.score(poem, "七绝|春雨||").log_probs',
        use="Acrostics and variations on a title; seeing constrained decoding at work; teaching.",
        limits="It was trained on regular verse of one dynasty, with the images and the opinions of its authors. Rhyme "
        "and tones are learnt; `poem_steps` holds rhyme by the rhyme books, and tones if asked to. "
        "A poem in the manner of an author is not by that author. It may "
        "repeat lines of the training poems. Characters that occur less than twice in the training poems are one unknown "
        "character to it.",
        notes={"below": PERPLEXITY_NOTE},
    )
