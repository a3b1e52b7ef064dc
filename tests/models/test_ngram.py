"""Kneser-Ney: probabilities sum to one, and equal the definition and an example by hand."""

from collections import Counter

import numpy as np
import pytest

from train.ngram import KneserNey, grams

SIZE = 62
ROWS = [np.random.default_rng(i).zipf(1.4, 40) % 60 for i in range(30)]  # two tokens never occur


def test_the_first_token_of_a_row_is_given_and_pads_the_contexts():
    assert grams([[5, 1, 2], [6, 3]], 4).tolist() == [[5, 5, 5, 1], [5, 5, 1, 2], [6, 6, 6, 3]]
    assert grams([[5, 1, 2]], 2).tolist() == [[5, 1], [1, 2]]
    assert grams([[5, 1, 2]], 1).tolist() == [[1], [2]]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_sum_to_one_over_the_vocabulary(order):
    model = KneserNey(grams(ROWS, order), SIZE)
    unseen = np.random.default_rng(0).integers(0, SIZE, (30, order - 1))
    before = np.concatenate([grams(ROWS, order)[:20, :-1], unseen])
    every = np.concatenate([np.repeat(before, SIZE, 0), np.tile(np.arange(SIZE), 50)[:, None]], 1)
    p = model.probabilities(every).reshape(50, SIZE)
    assert p.min() > 0
    assert p.sum(1) == pytest.approx(np.ones(50))


def by_definition(rows, order, size):
    """p(token | context) as defined by Chen and Goodman, with dictionaries."""
    counts, ngrams = {}, Counter(map(tuple, grams(rows, order).tolist()))
    for k in range(order, 0, -1):
        counts[k] = ngrams
        ngrams = Counter(gram[1:] for gram in ngrams)

    def p(gram):
        if not gram:
            return 1 / size
        n = Counter(counts[len(gram)].values())
        y = n[1] / (n[1] + 2 * n[2])
        d = [0, 1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3]]
        after = {g[-1]: c for g, c in counts[len(gram)].items() if g[:-1] == gram[:-1]}
        lower = p(gram[1:])
        if not after:
            return lower
        c, discounted = after.get(gram[-1], 0), sum(d[min(c, 3)] for c in after.values())
        return (c - d[min(c, 3)] + discounted * lower) / sum(after.values())

    return p


@pytest.mark.parametrize("order", [2, 3])
def test_probabilities_equal_the_definition(order):
    model, p = KneserNey(grams(ROWS, order), SIZE), by_definition(ROWS, order, SIZE)
    queries = np.concatenate([grams(ROWS, order)[::40], np.random.default_rng(1).integers(0, SIZE, (20, order))])
    assert model.probabilities(queries) == pytest.approx([p(tuple(gram)) for gram in queries.tolist()])


def test_bigrams_by_hand():
    """0 1 0 1 0 2 1 3: pairs 01 twice, 10 twice, 02, 21 and 13 once.

    n1 = 3, n2 = 2: y = 3/7. The discount of a count of 1 is 1 - 2 (3/7) (2/3) = 3/7, that of a count of 2, as n3 = 0, is 2.
    Tokens by what precedes them: 0 after 1; 1 after 0 and 2; 2 after 0; 3 after 1; so n1 = 3, n2 = 1: y = 3/5. The discount of
    1 is 1 - 2 (3/5) (1/3) = 3/5, that of 2 is 2. Of 5 in all, 3 (3/5) + 2 are discounted:
    p(0) = (2/5) / 5 + (3.8/5) / 4 = 0.27.
    """
    model = KneserNey(grams([[0, 1, 0, 1, 0, 2, 1, 3]], 2), 4)
    single = {0: 0.27, 1: 0.19, 2: 0.27, 3: 0.27}
    for token in range(4):
        # After 0: 1 twice, 2 once. Discounted: 2 + 3/7.
        remaining = {2: 4 / 7}.get(token, 0)
        assert model.probabilities(np.array([[0, token]]))[0] == pytest.approx((remaining + (2 + 3 / 7) * single[token]) / 3)
        assert model.probabilities(np.array([[3, token]]))[0] == pytest.approx(single[token])  # nothing follows 3


def test_frequent_continuations_are_likely():
    rows = [[0, *([1, 2, 3] * 5)] for _ in range(9)] + [[0, 3, 1, 1, 2]]
    p = KneserNey(grams(rows, 3), 5).probabilities(np.array([[1, 2, 3], [1, 2, 4], [2, 3, 1]]))
    assert p[0] > 0.9 and p[1] < 0.05 and p[2] > 0.9


def test_vocabularies_too_large_for_64_bits_are_refused():
    with pytest.raises(ValueError, match="size must be at most 7131 for 5-grams, not 8000"):
        KneserNey(np.zeros((1, 5), np.int64), 8000)
