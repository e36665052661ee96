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
    half_samples: ClassVar[int] = 200  # behind its interval, at most: fewer where one evaluation is slow

    @property
    @abstractmethod
    def least(self) -> int:
        """The fewest vectors in each set for which the score is defined."""

    @abstractmethod
    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D), float64 -> the score."""


class Test(Metric):
    """A metric that also says how likely its value would be, were the two sets of one law."""

    @abstractmethod
    def p_value(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, D), generated: (M, D) -> a probability in (0, 1], small where the sets differ."""


class Features(ABC):
    """A fixed map from encoded items to feature vectors, named and hashed so that scores can be compared."""

    titles: ClassVar[dict[str, str]] = {}  # a metric's title -> what the field calls it on these features ("FID")
    standardised: ClassVar[bool] = False  # whether each feature is to be measured in the training items' own spread

    @property
    @abstractmethod
    def hash(self) -> str:
        """First 6 hex digits of the SHA-256 of whatever decides the map (weights, or code and seed)."""

    @abstractmethod
    def __call__(self, x: np.ndarray) -> np.ndarray:
        """x: (N, *) float32, as the codec encodes, pictures (N, C, H, W) in [-1, 1] -> (N, D) float64."""
