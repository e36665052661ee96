"""The contract between files, items and tensors that every kind of data keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

Item = Any  # what a person holds: for images, an array (H, W, C) in the file's own dtype


class Field(NamedTuple):
    """A block of like entries: its shape without the batch, (C, *), and what its axes are called.

    classes: K where every entry is a token 0 .. K - 1, None where it is a number.
    """

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    classes: int | None = None


class Codec(ABC):
    """How one kind of data is read, written, and turned into the tensors that a model learns.

    A codec is a frozen dataclass whose fields are plain JSON; `fit` returns one that suits some data.
    encode(decode(x)) and decode(encode(item)) are the identity up to the precision that the codec states.
    """

    kind: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    rule: str  # how the fields were chosen, in words

    @property
    @abstractmethod
    def field(self) -> Field:
        """Shape and axes of one encoded item."""

    @property
    @abstractmethod
    def found_as(self) -> str:
        """How a data card words an item that the codec takes as it is, `Data.found`: "8x8 grey uint8"."""

    @classmethod
    @abstractmethod
    def fit(cls, items: Iterable[Item]) -> Codec:
        """Choose the codec's fields from all the data; a kind adds, by keyword, what a person may ask for."""

    @classmethod
    @abstractmethod
    def read(cls, path: Path) -> Item:
        """Read one file at full depth; raises ReverieError naming the file and the fault."""

    @abstractmethod
    def write(self, item: Item, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write one item at full depth and return the path written; `text` is kept inside where the format allows."""

    @abstractmethod
    def encode(self, item: Item) -> np.ndarray:
        """Turn an item into an array of `field.shape`: float32, within [-1, 1] for bounded kinds, or int64 tokens."""

    @abstractmethod
    def decode(self, x: np.ndarray) -> Item:
        """Turn an array of `field.shape` into an item, clipped and rounded to the item's own type."""

    def numbers(self, x: np.ndarray) -> np.ndarray:
        """Encoded items as numbers in [-1, 1], float32, on which distances mean something: tokens by their order."""
        classes = self.field.classes
        return (np.clip(x, -1, 1) if classes is None else x * (2 / (classes - 1)) - 1).astype(np.float32)

    @abstractmethod
    def picture(self, item: Item) -> np.ndarray:
        """How a person looks at an item: uint8 (H, W, 3), or (H, W, 4) with transparency."""
