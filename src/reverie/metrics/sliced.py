"""Sliced Wasserstein distance: two sets of features compared along random directions, each a matter of sorting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from reverie.metrics.base import Metric


@dataclass(frozen=True)
class SlicedWasserstein(Metric):
    """2-Wasserstein distance of the two sets' shadows on a line, root mean square over random lines through the origin.

    (mean over directions v of integral over q of (F_x^-1(q) - F_y^-1(q))^2)^(1/2), F^-1 the quantiles of v.x and of v.y.
    In the units of the features. Biased upwards at finite n, so only scores at the same n compare.
    slices: how many directions, drawn uniformly from the sphere by numpy's Philox generator from `seed`: the same everywhere.

    Source: Rabin et al. 2011 (Wasserstein Barycenter and Its Application to Texture Mixing); Bonneel et al. 2015.
    """

    title: ClassVar[str] = "Sliced Wasserstein"
    better: ClassVar[str] = "lower"
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    slices: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if self.slices < 1:
            raise ValueError(f"slices is {self.slices}, and must be 1 or more")

    @property
    def least(self) -> int:
        """Two vectors are the fewest that are a distribution and no point."""
        return 2

    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> the distance, >= 0."""
        directions = self.directions(real.shape[1])
        a, b = (np.sort(x @ directions, axis=0) for x in (real, generated))
        if len(a) == len(b):
            return float(np.sqrt(np.mean((a - b) ** 2)))
        ends = np.union1d(np.arange(1, len(a) + 1) / len(a), np.arange(1, len(b) + 1) / len(b))
        width = np.diff(ends, prepend=0.0)  # of the stretches of q on which both quantiles are constant
        middle = ends - width / 2
        apart = a[(middle * len(a)).astype(int)] - b[(middle * len(b)).astype(int)]
        return float(np.sqrt(width @ np.mean(apart**2, axis=1)))

    def directions(self, dimensions: int) -> np.ndarray:
        """The lines' unit vectors, (D, slices)."""
        rng = np.random.Generator(np.random.Philox(key=self.seed))
        drawn = rng.standard_normal((self.slices, dimensions)).T
        return drawn / np.linalg.norm(drawn, axis=0)
