"""Euclidean distances between two sets of vectors, a block of rows at a time, so that memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ENTRIES = 1 << 22  # of one block: 32 MiB in float64
WIDE = 1 << 16  # rows of the second set that are met together by `nearest`


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Cut `rows` into slices such that a block of slice x columns has at most `ENTRIES` entries."""
    step = max(1, ENTRIES // max(1, columns))
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))


def squared(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, |a_i - b_j|^2 for those rows): a (N, D), b (M, D) -> blocks (n, M).

    |a - b|^2 = |a|^2 - 2 a.b + |b|^2 after the mean of b is taken from both, which keeps the cancellation small;
    rounding may still leave 1e-15 |a|^2 where the distance is 0.
    """
    centre = b.mean(axis=0)
    a, b = a - centre, b - centre
    norms = np.einsum("md,md->m", b, b)
    for rows in blocks(len(a), len(b)):
        part = a[rows]
        yield rows, np.maximum(np.einsum("nd,nd->n", part, part)[:, None] - 2 * part @ b.T + norms, 0)


def nearest(a: np.ndarray, b: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (distances, indices), both (N, k), from each row of a (N, D) to its k nearest rows of b (M, D).

    Nearest first. The candidates come from `squared`; their distances are then taken entry by entry,
    so that a copy is at exactly 0.
    """
    indices, least = np.empty((len(a), 0), dtype=np.int64), np.empty((len(a), 0))
    for first in range(0, len(b), WIDE):  # all of a million rows at once would be met a few of a at a time
        some = b[first : first + WIDE]
        size = min(k, len(some))
        found, d2s = np.empty((len(a), size), dtype=np.int64), np.empty((len(a), size))
        for rows, d2 in squared(a, some):
            found[rows] = np.argpartition(d2, size - 1, axis=1)[:, :size]
            d2s[rows] = np.take_along_axis(d2, found[rows], axis=1)
        indices, least = np.concatenate([indices, found + first], 1), np.concatenate([least, d2s], 1)
        if first:
            kept = np.argpartition(least, min(k, least.shape[1]) - 1, axis=1)[:, :k]
            indices = np.take_along_axis(indices, kept, axis=1)
            least = np.take_along_axis(least, kept, axis=1)
    distances = np.empty((len(a), k))
    for rows in blocks(len(a), k * a.shape[1]):
        difference = a[rows, None].astype(np.float64) - b[indices[rows]]
        distances[rows] = np.linalg.norm(difference, axis=2)
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(distances, order, axis=1), np.take_along_axis(indices, order, axis=1)
