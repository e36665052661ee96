"""Energy distance: how much farther the two sets lie from each other than their members do among themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import Metric
from reverie.metrics.distances import squared


@dataclass(frozen=True)
class Energy(Metric):
    """Energy distance: 0 where, and only where, the two laws are one; no option to choose, and no kernel.

    (2 E|x - y| - E|x - x'| - E|y - y'|)^(1/2), over all pairs, each vector with itself among them. In the square root of
    the features' units. Biased upwards at finite n, so only scores at the same n compare.

    Source: Szekely & Rizzo 2013 (Energy statistics); its square root, as scipy.stats.energy_distance takes it.
    """

    title: ClassVar[str] = "Energy distance"
    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    @property
    def least(self) -> int:
        """Two vectors are the fewest that lie apart."""
        return 2

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> the distance, >= 0."""
        excess = 2 * _mean(real, generated) - _among(real) - _among(generated)
        return float(np.sqrt(max(0.0, excess)))


def _mean(a: np.ndarray, b: np.ndarray) -> float:
    """Mean of |a_i - b_j|."""
    return sum(float(np.sqrt(d2).sum()) for _, d2 in squared(a, b)) / (len(a) * len(b))


def _among(a: np.ndarray) -> float:
    """Mean of |a_i - a_j|, i = j at exactly 0: a root would make 1e-8 of a distance's rounding of 1e-16."""
    total = 0.0
    for rows, d2 in squared(a, a):
        d2[np.arange(len(d2)), np.arange(rows.start, rows.stop)] = 0
        total += float(np.sqrt(d2).sum())
    return total / len(a) ** 2
