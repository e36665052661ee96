"""Scores of records, column by column and pair by pair: what the field reports of synthetic tables.

Records are as `ColumnMetric` says. Both scores agree with the package sdmetrics (0.32: KSComplement, TVComplement,
CorrelationSimilarity, and ContingencySimilarity with its `continuous_column_names`) wherever that gives a figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from reverie.metrics.base import ColumnMetric

BINS = 10  # of a number, where it stands beside a class


@dataclass(frozen=True)
class ColumnShapes(ColumnMetric):
    """How alike the columns are one by one: the mean over columns of 1 - (the distance of their distributions).

    Numbers: 1 - max_x |F_real(x) - F_generated(x)|, the complement of the Kolmogorov-Smirnov distance. Classes: 1 - sum_c
    |p_real(c) - p_generated(c)| / 2, that of the total variation. Empty cells are left out; a column with no other on one side
    alone scores 0, on both 1. In [0, 1]; 1 is best.
    Source: Patki et al. 2016 (The Synthetic Data Vault) for the use; the column shapes of sdmetrics' quality report.
    """

    title: ClassVar[str] = "Column shapes"
    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    half_samples: ClassVar[int] = 100

    @property
    def least(self) -> int:
        """One record."""
        return 1

    def by_column(self, real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
        """Score every column, by name."""
        return {name: self._score(real[name], generated[name]) for name in names(real)}

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N,), generated: (M,), records -> the mean over columns."""
        return float(np.mean(list(self.by_column(real, generated).values())))

    @staticmethod
    def _score(real: np.ndarray, generated: np.ndarray) -> float:
        a, b = real[~empty(real)], generated[~empty(generated)]
        if not (len(a) and len(b)):
            return float(len(a) == len(b))
        values = np.unique(np.concatenate([a, b]))
        share_a, share_b = (np.bincount(np.searchsorted(values, x), minlength=len(values)) / len(x) for x in (a, b))
        if real.dtype.kind == "f":
            return 1 - float(np.abs(np.cumsum(share_a - share_b)).max())
        return 1 - float(np.abs(share_a - share_b).sum()) / 2


class Pairs(NamedTuple):
    """How columns hang together: (C, C) of real and of generated records, and of how alike the two are, NaN on the diagonal.

    Pearson's r between numbers, in [-1, 1]; Cramer's V, less its bias, where either is of classes, in [0, 1], with ten bins.
    """

    real: np.ndarray
    generated: np.ndarray
    alike: np.ndarray


@dataclass(frozen=True)
class ColumnPairTrends(ColumnMetric):
    """How alike the pairs of columns hang together: the mean over pairs of 1 - (the distance of what ties them).

    Two numbers: 1 - |r_real - r_generated| / 2, r Pearson's correlation over the rows where neither is empty, 0 where one is
    constant. All other pairs: 1 - sum_ij |p_real(i, j) - p_generated(i, j)| / 2 over the cells of their contingency table,
    numbers in ten bins of equal width over the real ones' range, those beyond it in the outermost, and empty a class of its own.
    In [0, 1]; 1 is best. Source: the column pair trends of sdmetrics' quality report, which takes the ten bins of each table
    over its own range; here, as in sdmetrics' ContingencySimilarity, both are in the real ones' bins.
    """

    title: ClassVar[str] = "Column pair trends"
    better: ClassVar[str] = "higher"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    half_samples: ClassVar[int] = 40  # all pairs of 400 columns are 80,000 tables
    columns: ClassVar[int] = 2

    @property
    def least(self) -> int:
        """Two records: a correlation needs them."""
        return 2

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N,), generated: (M,), records of two columns or more -> the mean over pairs."""
        return float(np.nanmean(self.pairs(real, generated).alike))

    def pairs(self, real: np.ndarray, generated: np.ndarray) -> Pairs:
        """Say of every pair how it hangs together on either side, and how alike that is."""
        ties = [correlations(x) for x in (real, generated)]
        alike = 1 - np.abs(ties[0] - ties[1]) / 2
        classes = [k for k, name in enumerate(names(real)) if real.dtype[name].kind != "f"]
        if classes:
            *both, starts = _one_hot(real, generated)
            ends = np.append(starts[1:], both[0].shape[1])
            mine = np.concatenate([np.arange(starts[k], ends[k]) for k in classes])
            tables = [x[:, mine].T @ x / len(x) for x in both]
            rows = np.searchsorted(mine, starts[classes])
            apart = _blocks(np.abs(tables[0] - tables[1]), rows, starts)
            alike[classes], alike[:, classes] = 1 - apart / 2, 1 - apart.T / 2
            for tie, table, x in zip(ties, tables, both, strict=True):
                v = cramer(table, x.mean(0)[mine], x.mean(0), rows, starts, len(x))
                tie[classes], tie[:, classes] = v, v.T
        for found in (*ties, alike):
            np.fill_diagonal(found, np.nan)
        return Pairs(ties[0], ties[1], alike)


def names(records: np.ndarray) -> tuple[str, ...]:
    """The columns of records."""
    return records.dtype.names or ()


def empty(column: np.ndarray) -> np.ndarray:
    """Which cells of a column (N,) are empty."""
    return np.isnan(column) if column.dtype.kind == "f" else column < 0


def correlations(records: np.ndarray) -> np.ndarray:
    """Pearson's r (C, C) over the rows where neither is empty; 0 where one is constant there, NaN for columns of classes.

    With masks m, centred values x = 0 where empty: cov_ij = sum x_i x_j - (sum x_i m_j)(sum x_j m_i) / sum m_i m_j.
    """
    numbers = [k for k, name in enumerate(names(records)) if records.dtype[name].kind == "f"]
    found = np.full((len(names(records)),) * 2, np.nan)
    if not numbers:
        return found
    x = np.stack([records[names(records)[k]] for k in numbers], 1)
    known = ~np.isnan(x)
    m, count = known.astype(np.float64), np.maximum(known.sum(0), 1)
    x = np.where(known, x - np.where(known, x, 0).sum(0) / count, 0)
    spread = np.sqrt((x * x).sum(0) / count)
    x = x / np.where(spread > 0, spread, 1)
    both, sums, squares = np.maximum(m.T @ m, 1), x.T @ m, (x * x).T @ m
    covariance, variance = x.T @ x - sums * sums.T / both, squares - sums * sums / both
    scale = np.sqrt(np.maximum(variance * variance.T, 0))
    told = np.minimum(variance, variance.T) > 1e-9 * both
    found[np.ix_(numbers, numbers)] = np.clip(np.where(told, covariance / np.where(told, scale, 1), 0), -1, 1)
    return found


def cramer(
    table: np.ndarray, p: np.ndarray, q: np.ndarray, rows: np.ndarray, columns: np.ndarray, n: int
) -> np.ndarray:
    """Cramer's V of contingency tables of n rows laid out in one, less what chance gives: V^2 = f / (min(k', l') - 1).

    f = max(sum_ij p_ij^2 / (p_i q_j) - 1 - (k - 1)(l - 1) / (n - 1), 0), k' = k - (k - 1)^2 / (n - 1) and l' likewise, of k and l
    classes that occur: else columns of many classes seem to hang together in few rows. table: (K, L) of shares, p (K,) and q (L,)
    their margins, rows and columns: where each begins. In [0, 1], 0 where one of them has a single class. Source: Bergsma 2013 (A
    bias-correction for Cramer's V and Tschuprow's T), section 2.
    """
    expected = np.outer(p, q)
    terms = np.divide(table * table, expected, out=np.zeros_like(table), where=expected > 0)
    k, ell = (np.add.reduceat((share > 0).astype(np.float64), at) for share, at in ((p, rows), (q, columns)))
    chance = max(n - 1, 1)
    phi2 = np.maximum(_blocks(terms, rows, columns) - 1 - np.outer(k - 1, ell - 1) / chance, 0)
    fewer = np.minimum((k - (k - 1) ** 2 / chance)[:, None], ell - (ell - 1) ** 2 / chance) - 1
    return np.sqrt(np.clip(np.divide(phi2, fewer, out=np.zeros(phi2.shape), where=fewer > 1e-9), 0, 1))


def _blocks(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Sums over the blocks of x (K, L) that begin at these rows and columns."""
    return np.add.reduceat(np.add.reduceat(x, rows, 0), columns, 1)


def _one_hot(real: np.ndarray, generated: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every column one-hot, side by side, of both sets: (N, K), (M, K), and where each column begins, (C,)."""
    parts = []
    for name in names(real):
        values, code = np.unique(np.concatenate(_binned(real[name], generated[name])), return_inverse=True)
        parts.append(np.eye(len(values))[code])
    both = np.concatenate(parts, 1)
    starts = np.cumsum([0, *(part.shape[1] for part in parts[:-1])])
    return both[: len(real)], both[len(real) :], starts


def _binned(real: np.ndarray, generated: np.ndarray) -> list[np.ndarray]:
    """Both columns as classes: numbers in ten bins over the real ones' range, NaN in an eleventh."""
    if real.dtype.kind != "f":
        return [real, generated]
    seen = real[~np.isnan(real)]
    scale = 1.0 if np.isfinite(np.ptp(seen)) else 0.25  # of numbers so large that their range is none
    edges = np.histogram_bin_edges(scale * seen, BINS)
    return [np.where(np.isnan(x), BINS, np.digitize(scale * x, edges[1:-1])) for x in (real, generated)]
