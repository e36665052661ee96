"""Items of which some entries are not known: what is known of them, encoded, and how they are filled in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np


class Gaps(ABC):
    """Items with gaps, N of them; `places` are those of the items given that have any.

    x: {field: (N, *)}, whatever stands where nothing is known. known: {field: (N, *) bool}. possible: for fields of tokens of
    which some entries cannot have every class, {field: (N, K, *) bool}. notes: what a person should know of them. For items that
    are longer than what a model sees at once, x, known and possible are empty: see `tasks.parts.stretches`.
    """

    entries: ClassVar[str]  # what a person calls the parts of an item that can be missing, in the plural
    things: ClassVar[str]  # and the items themselves

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

    def drawn(self, draws: Sequence[Any]) -> Any:
        """Every draw of every gap in one table, where that is how they are looked at; None where each draw is a file."""
        return None

    @abstractmethod
    def sheet(self, draws: Sequence[Any]) -> np.ndarray:
        """How a person looks at several draws of N decoded items, uint8 (H, W, 3)."""


class Stretch(NamedTuple):
    """A part of an item to fill at once: of which item, from which step (below 0 where it is shorter), how many steps it has."""

    item: int
    start: int
    steps: int


class LongGaps(Gaps):
    """Gaps of items of any length, of which a model sees a stretch at once: z (C, T) of an item is NaN where nothing is known."""

    @abstractmethod
    def begun(self, item: int) -> np.ndarray:
        """What is known of an item, encoded, (C, T)."""

    @abstractmethod
    def stretch(self, item: int, z: np.ndarray) -> Stretch | None:
        """The next stretch of an item to fill, where z (C, T) is what is known of it by now; None where all of it is."""

    @abstractmethod
    def cut(self, at: Stretch, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is known of a stretch: values of the model's shape, 0 where nothing is, and which they are, bool."""

    @abstractmethod
    def put(self, at: Stretch, z: np.ndarray, made: np.ndarray) -> np.ndarray:
        """z (C, T) with what is not known in a stretch taken from what was drawn there."""

    @abstractmethod
    def part(self, at: Stretch) -> Any:
        """A stretch as an item, which says when it starts and such."""

    @abstractmethod
    def decoded(self, z: Sequence[np.ndarray]) -> Any:
        """Draws of the N items with gaps, (C, T) each, as items."""
