"""Items of which some entries are not known: what is known of them, encoded, and how they are filled in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np


class Gaps(ABC):
    """Items with gaps, N of them; `places` are those of the items given that have any.

    x: {field: (N, *)}, whatever stands where nothing is known. known: {field: (N, *) bool}. possible: for fields of tokens of
    which some entries cannot have every class, {field: (N, K, *) bool}. notes: what a person should know of them.
    """

    entries: ClassVar[str]  # what a person calls the parts of an item that can be missing, in the plural

    places: np.ndarray
    x: dict[str, np.ndarray]
    known: dict[str, np.ndarray]
    possible: dict[str, np.ndarray]
    notes: list[str]

    @property
    @abstractmethod
    def count(self) -> int:
        """How many gaps there are."""

    @abstractmethod
    def filled(self, made: Any) -> Any:
        """All the items given, gaps filled from N decoded items; what is known is as it was, to the bit."""

    @abstractmethod
    def best(self, draws: Sequence[Any]) -> Any:
        """The one guess from several draws of N decoded items, as N items: means of numbers, the commonest of words."""

    @abstractmethod
    def spread(self, draws: Sequence[Any]) -> Any:
        """How far draws of N decoded items differ in each gap, as items that the codec writes."""

    @abstractmethod
    def write(self, items: Any, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write what `filled` gave in the way that the items given were written."""
