"""Interpolated modified Kneser-Ney n-grams: a baseline for language models that only counts.

The probability of a token after a context is its discounted relative frequency there; the discounted mass is distributed by
the model of the context that is one token shorter, in which a token counts once for each different token that precedes it.

Reference: Chen and Goodman, An empirical study of smoothing techniques for language modeling (1999). Libraries: nltk's
`KneserNeyInterpolated` has one fixed discount, and its pure Python takes minutes for a few thousand tokens; KenLM's Python
package cannot estimate.
"""

import numpy as np


class KneserNey:
    """Probability of the last token of an n-gram given the others.

    Arguments:
        grams: (N, order) token ids below `size`: the n-grams of the training text, see `grams`.
        size: of the vocabulary; size**order is at most 2**64.
    Raises:
        ValueError: the n-grams cannot be numbered with 64 bits.
    """

    def __init__(self, grams, size):
        order = grams.shape[1]
        if size**order > 2**64:
            raise ValueError(f"size must be at most {int(2 ** (64 / order))} for {order}-grams, not {size}.")
        self.size = size
        self.levels = []  # from unigrams to n-grams: see `probabilities`
        keys, counts = np.unique(self._keys(grams), return_counts=True)
        for k in range(order, 0, -1):
            n = np.array([np.count_nonzero(counts == c) for c in range(5)], dtype=np.float64)  # n[c]: how many occur c times
            y = n[1] / max(n[1] + 2 * n[2], 1)
            c = np.arange(4)
            discounts = np.clip(c - (c + 1) * y * np.append(n[1:], 0)[c] / np.maximum(n[c], 1), 0, c)
            discounted = discounts[np.minimum(counts, 3)]
            contexts, first = np.unique(keys // np.uint64(size), return_index=True)  # keys of one context are adjacent
            totals = np.add.reduceat(counts, first)
            backoff = np.add.reduceat(discounted, first) / totals
            self.levels.insert(0, (keys, counts - discounted, contexts, totals, backoff))
            keys, counts = np.unique(keys % np.uint64(size ** (k - 1)), return_counts=True)

    def _keys(self, grams):
        """Each n-gram as one 64-bit number."""
        keys = np.zeros(len(grams), np.uint64)
        for column in grams.T:
            keys = keys * np.uint64(self.size) + column.astype(np.uint64)
        return keys

    def probabilities(self, grams):
        """p(last token | the tokens before it): grams (N, order) -> (N,) float64."""
        p = np.full(len(grams), 1 / self.size)
        for k, (keys, counts, contexts, totals, backoff) in enumerate(self.levels, 1):  # from unigrams to n-grams
            queries = self._keys(grams[:, -k:])
            context, context_found = _find(contexts, queries // np.uint64(self.size))
            gram, gram_found = _find(keys, queries)
            frequency = np.where(gram_found, counts[gram], 0) / totals[context]
            p = np.where(context_found, frequency + backoff[context] * p, p)
        return p


def _find(keys, queries):
    """(index of each query in the sorted keys, whether it is there; if not, the index is arbitrary)"""
    index = np.searchsorted(keys, queries).clip(max=len(keys) - 1)
    return index, keys[index] == queries


def grams(rows, order):
    """n-grams (N, order) of sequences of token ids.

    The first token of each sequence is given: it is not predicted, and it also pads the contexts that reach beyond it.
    """
    parts = []
    for row in rows:
        padded = np.concatenate([np.full(order - 2, row[0]), row]) if order > 1 else np.asarray(row[1:])
        parts.append(np.lib.stride_tricks.sliding_window_view(padded, order))
    return np.concatenate(parts)
