"""Comparisons of computed numbers, which differ in the last bits between processors, numbers of threads and batch shapes.

`torch.equal` is for what is only copied, indexed, saved and loaded, for whole numbers, and for seeded random numbers.
"""

import torch


def close(a, b, atol=1e-5, rtol=1e-4):
    """Whether two tensors have the same shape and the same values up to rounding."""
    return a.shape == b.shape and torch.allclose(a, b, atol=atol, rtol=rtol)


def close_greys(a, b):
    """Whether two pictures in [0, 1] or of bytes differ by one of 255 grey levels at most: rounding may cross a boundary."""
    level = 1 / 255 if a.is_floating_point() else 1
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a.double() - b.double()).abs() <= 1.01 * level).all())
