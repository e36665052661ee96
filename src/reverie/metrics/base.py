"""The contracts of metrics and of the features they are measured on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np


class Comparison(ABC):
    """A number that compares two sets of anything that is indexed by item; a frozen dataclass whose fields are its options."""

    title: ClassVar[str]  # what a person reads: "Frechet distance"
    better: ClassVar[str]  # "lower" or "higher"
    bounds: ClassVar[tuple[float, float]]  # values it can take; an interval is cut to them
    half_samples: ClassVar[int] = 200  # behind its interval, at most: fewer where one evaluation is slow

    @property
    @abstractmethod
    def least(self) -> int:
        """The fewest items in each set for which the score is defined."""

    def suits(self, items: np.ndarray) -> bool:
        """Whether such items have all that the score compares."""
        return True

    @abstractmethod
    def __call__(self, real: np.ndarray, generated: np.ndarray) -> float:
        """real: (N, *), generated: (M, *) -> the score."""


class Metric(Comparison):
    """A number that compares two sets of feature vectors (N, D) and (M, D), float64."""


class ColumnMetric(Comparison):
    """A number that compares two sets of records column by column: what a column holds, which no feature vector says.

    Records are a structured array (N,): a float64 entry for a column of numbers, NaN where it is empty, and an int64 entry for a
    column of classes, -1 where it is empty.
    """

    columns: ClassVar[int] = 1  # the fewest for which the score is defined

    def suits(self, items: np.ndarray) -> bool:
        """Whether there are enough columns."""
        return len(items.dtype.names or ()) >= self.columns


class SeriesMetric(Comparison):
    """A number that compares two sets of windows of time series, (N, C, L) and (M, C, L) float64: channels over steps.

    Values are in the data's own units, NaN where there is nothing: not observed, or behind the end of a series.
    """

    channels: ClassVar[int] = 1  # the fewest for which the score is defined
    steps: ClassVar[int] = 2

    def suits(self, items: np.ndarray) -> bool:
        """Whether there are enough channels and steps."""
        return items.shape[1] >= self.channels and items.shape[2] >= self.steps


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
