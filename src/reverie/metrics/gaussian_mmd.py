"""Maximum mean discrepancy with a Gaussian kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import Metric
from reverie.metrics.distances import squared

MOST = 2000  # vectors whose pairs the median is taken of


@dataclass(frozen=True)
class GaussianMMD(Metric):
    """Squared maximum mean discrepancy with a Gaussian kernel, unbiased: its mean is 0 where, and only where, the laws are one.

    E k(x, x') + E k(y, y') - 2 E k(x, y), k(x, y) = exp(-|x - y|^2 / (2 h^2)), over pairs of different vectors. At most 2,
    without units. May be negative.
    bandwidth: h, in the units of the features; by default the median distance between two of the real vectors, and not of
    both sets, so that model, floor and baselines are measured by one kernel.

    Source: Gretton et al. 2012 (A Kernel Two-Sample Test), eq. 3; the median, its section 8.
    """

    name = "gaussian-mmd"
    title: ClassVar[str] = "Gaussian MMD"
    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float, float]] = (-2.0, 2.0)
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        if self.bandwidth is not None and not 0 < self.bandwidth < float("inf"):
            raise ValueError(f"bandwidth is {self.bandwidth}, and must be a number above 0")

    @property
    def least(self) -> int:
        """Two vectors are the fewest that make a pair."""
        return 2

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> the discrepancy."""
        n, m = len(real), len(generated)
        h = self.bandwidth or median_distance(real)
        # k(x, x) = 1 of each vector with itself is taken off
        among = (_total(real, real, h) - n) / (n * (n - 1)) + (_total(generated, generated, h) - m) / (m * (m - 1))
        return float(among - 2 * _total(real, generated, h) / (n * m))


def median_distance(x: np.ndarray) -> float:
    """Median distance between two different rows of x (N, D), of the first 2,000; 1 where that is 0."""
    x = x[:MOST]
    found = [d2[np.arange(rows.start, rows.stop)[:, None] < np.arange(len(x))] for rows, d2 in squared(x, x)]
    return float(np.sqrt(np.median(np.concatenate(found)))) or 1.0


def _total(a: np.ndarray, b: np.ndarray, h: float) -> float:
    """Sum of k(a_i, b_j) over all pairs."""
    return sum(float(np.exp(d2 / (-2 * h**2)).sum()) for _, d2 in squared(a, b))
