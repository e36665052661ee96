"""Kernel distance: two sets of features compared by a maximum mean discrepancy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import Metric
from reverie.metrics.distances import blocks


@dataclass(frozen=True)
class Kernel(Metric):
    """Squared maximum mean discrepancy with a polynomial kernel, unbiased: its mean is 0 where the two laws are one.

    E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = (x.y / D + 1)^degree, over pairs of different vectors. Taken over
    all pairs at once, with less variance than the mean over random blocks that the source takes. May be negative.

    Source: Binkowski et al. 2018, section 4; the estimator, Gretton et al. 2012, eq. 3.
    """

    title: ClassVar[str] = "Kernel distance"
    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float, float]] = (-float("inf"), float("inf"))
    degree: int = 3

    @property
    def least(self) -> int:
        """Two vectors are the fewest that make a pair."""
        return 2

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> the discrepancy."""
        n, m = len(real), len(generated)
        cross = self._total(real, generated) / (n * m)
        return float(self._among(real) / (n * (n - 1)) + self._among(generated) / (m * (m - 1)) - 2 * cross)

    def _total(self, a: np.ndarray, b: np.ndarray) -> float:
        """Sum of k(a_i, b_j) over all pairs."""
        return sum(float(np.sum((a[rows] @ b.T / a.shape[1] + 1) ** self.degree)) for rows in blocks(len(a), len(b)))

    def _among(self, a: np.ndarray) -> float:
        """Sum of k(a_i, a_j) over i != j."""
        own = (np.einsum("nd,nd->n", a, a) / a.shape[1] + 1) ** self.degree
        return self._total(a, a) - float(np.sum(own))
