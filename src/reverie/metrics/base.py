"""The contracts of metrics and of the features they are measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np


class Metric(ABC):
    """A number that compares two sets of feature vectors; a frozen dataclass whose fields are its options."""

    title: ClassVar[str]  # what a person reads: "Frechet distance"
    better: ClassVar[str]  # "lower" or "higher"
    bounds: ClassVar[tuple[float, float]]  # values it can take; an interval is cut to them

    @property
    @abstractmethod
    def least(self) -> int:
        """The fewest vectors in each set for which the score is defined."""

    @abstractmethod
    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D), float64 -> the score."""


class Features(ABC):
    """A fixed map from encoded items to feature vectors, named and hashed so that scores can be compared."""

    titles: ClassVar[dict[str, str]] = {}  # a metric's title -> what the field calls it on these features ("FID")

    @property
    @abstractmethod
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of whatever decides the map (weights, or code and seed)."""

    @abstractmethod
    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (N, C, H, W) float32 in [-1, 1], as the codec encodes -> (N, D) float64."""
