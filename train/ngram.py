"""Interpolated modified Kneser-Ney: what counting alone can do, to put beside a language model.

A token's probability after those before it is its discounted count; what the discounts have taken goes to the same question
with one token less before it, where a token counts once for each other token that it was seen after.

Reference: Chen and Goodman, An empirical study of smoothing techniques for language modeling (1999). Libraries: nltk's
`KneserNeyInterpolated` has one fixed discount, and its pure Python takes minutes for a few thousand tokens; KenLM's Python
package cannot estimate.
"""

import numpy as np


class KneserNey:
    """Probabilities of the last column of n-grams after the others.

    Arguments:
        grams: (N, order) whole numbers below `size`: each token of the training text after those before it.
        size: of the vocabulary; size**order at most 2**64.
    Raises:
        ValueError: there are too many n-grams for 64 bits.
    """

    def __init__(self, grams, size):
        self.size, order, self.levels = size, grams.shape[1], []
        if size**order > 2**64:
            raise ValueError(f"size must be at most {int(2 ** (64 / order))} for {order}-grams, not {size}.")
        keys, counts = np.unique(self._keys(grams), return_counts=True)
        for k in range(order, 0, -1):
            of = np.array([np.count_nonzero(counts == c) for c in range(5)], dtype=np.float64)  # of[c]: seen c times
            y, c = of[1] / max(of[1] + 2 * of[2], 1), np.arange(4)
            discount = np.clip(c - (c + 1) * y * np.append(of[1:], 0)[c] / np.maximum(of[c], 1), 0, c)
            taken = discount[np.minimum(counts, 3)]
            before, first = np.unique(keys // np.uint64(size), return_index=True)  # contexts, which lie together
            total = np.add.reduceat(counts, first)
            self.levels.insert(0, (keys, counts - taken, before, total, np.add.reduceat(taken, first) / total))
            keys, counts = np.unique(keys % np.uint64(size ** (k - 1)), return_counts=True)

    def _keys(self, grams):
        """Each n-gram as one number."""
        keys = np.zeros(len(grams), np.uint64)
        for column in grams.T:
            keys = keys * np.uint64(self.size) + column.astype(np.uint64)
        return keys

    def probabilities(self, grams):
        """p(last | those before): grams (N, order) -> (N,) float64."""
        p = np.full(len(grams), 1 / self.size)
        for k, (keys, kept, before, total, share) in enumerate(self.levels, 1):  # from single tokens to the whole
            mine = self._keys(grams[:, -k:])
            at, known = _find(before, mine // np.uint64(self.size))
            where, seen = _find(keys, mine)
            p = np.where(known, np.where(seen, kept[where], 0) / total[at] + share[at] * p, p)
        return p


def _find(keys, wanted):
    """(places in the sorted keys, whether it is that key)"""
    at = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return at, keys[at] == wanted


def grams(rows, order):
    """n-grams (N, order) of rows of tokens. The first of each row is given: it also stands for what is before it."""
    parts = []
    for row in rows:
        padded = np.concatenate([np.full(order - 2, row[0]), row]) if order > 1 else np.asarray(row[1:])
        parts.append(np.lib.stride_tricks.sliding_window_view(padded, order))
    return np.concatenate(parts)
