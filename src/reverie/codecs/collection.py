"""Items that one object holds together, as a table holds rows and a set of series its windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Self

import numpy as np


class Collection(Sequence[Any]):
    """A sequence of items that share a file: some can be taken, and each is told from all others."""

    @abstractmethod
    def take(self, index: np.ndarray) -> Self:
        """The items at some places, in that order."""

    @property
    @abstractmethod
    def words(self) -> str:
        """What they are, for a data card."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Memory that they take."""

    @abstractmethod
    def digests(self) -> list[bytes]:
        """What tells each item from the others, as a hash."""
