"""Precision and recall, density and coverage: do the samples lie among the data, and the data among the samples?

Each set's support is drawn as balls: B(x_i, r_i), where r_i is the distance from x_i to its k-th nearest other member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import Metric
from reverie.metrics.distances import squared


def squared_radii(x: np.ndarray, k: int) -> np.ndarray:
    """Return (N,), the squared distance from each row of x (N, D) to its k-th nearest other row."""
    radii = np.empty(len(x))
    for rows, d2 in squared(x, x):
        d2[np.arange(len(d2)), np.arange(rows.start, rows.stop)] = np.inf
        radii[rows] = np.partition(d2, k - 1, axis=1)[:, k - 1]
    return radii


def balls_around(points: np.ndarray, centres: np.ndarray, k: int) -> np.ndarray:
    """Return (N,), how many of the balls around `centres` (M, D) hold each row of `points` (N, D)."""
    radii = squared_radii(centres, k)
    return np.concatenate([np.sum(d2 <= radii, axis=1) for _, d2 in squared(points, centres)])


@dataclass(frozen=True)
class _Neighbours(Metric):
    """What the four have in common: k, and that there must be a k-th other member."""

    better: ClassVar[str] = "higher"
    k: int = 5

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}, and must be 1 or more")

    @property
    def least(self) -> int:
        """A k-th other member needs k + 1 members."""
        return self.k + 1


@dataclass(frozen=True)
class Precision(_Neighbours):
    """Share of the generated that lie within at least one ball around the real: fidelity.

    mean_j 1[exists i: |y_j - x_i| <= r_k(x_i)], x real, y generated.

    Source: Kynkaanniemi et al. 2019, eqs. 1 and 2, k = 3.
    """

    title: ClassVar[str] = "Precision"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    k: int = 3

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> a share in [0, 1]."""
        return float(np.mean(balls_around(generated, real, self.k) > 0))


@dataclass(frozen=True)
class Recall(_Neighbours):
    """Share of the real that lie within at least one ball around the generated: diversity.

    mean_i 1[exists j: |x_i - y_j| <= r_k(y_j)], x real, y generated.

    Source: Kynkaanniemi et al. 2019, eqs. 1 and 2, k = 3.
    """

    title: ClassVar[str] = "Recall"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    k: int = 3

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> a share in [0, 1]."""
        return float(np.mean(balls_around(real, generated, self.k) > 0))


@dataclass(frozen=True)
class Density(_Neighbours):
    """How many balls around the real hold a generated item, over k: fidelity that no outlier lifts.

    sum_j sum_i 1[|y_j - x_i| <= r_k(x_i)] / (k M), x real, y generated. About 1 for equal laws, and may exceed it.

    Source: Naeem et al. 2020, density, k = 5.
    """

    title: ClassVar[str] = "Density"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> a number >= 0."""
        return float(np.mean(balls_around(generated, real, self.k)) / self.k)


@dataclass(frozen=True)
class Coverage(_Neighbours):
    """Share of the balls around the real that hold at least one of the generated: diversity.

    mean_i 1[min_j |x_i - y_j| <= r_k(x_i)], x real, y generated. For equal laws and sizes 1 - 2^-k is expected.

    Source: Naeem et al. 2020, coverage, k = 5.
    """

    title: ClassVar[str] = "Coverage"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> a share in [0, 1]."""
        nearest = np.concatenate([d2.min(axis=1) for _, d2 in squared(real, generated)])
        return float(np.mean(nearest <= squared_radii(real, self.k)))
