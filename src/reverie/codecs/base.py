"""The contract between files, items and tensors that every kind of data keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from reverie.codecs.gaps import Gaps
from reverie.codecs.sheets import grid
from reverie.errors import ReverieError

Item = Any  # what a person holds: for images, an array (H, W, C) in the file's own dtype
Array = Any  # an encoded item or several: np.ndarray, or {field: np.ndarray} where the codec is `joint`


class Field(NamedTuple):
    """A block of like entries: its shape without the batch, (C, *), and what its axes are called.

    classes: K where every entry is a token 0 .. K - 1, None where it is a number. sizes: how many of these each entry has,
    where that differs.
    """

    shape: tuple[int, ...]
    axes: tuple[str, ...]
    classes: int | None = None
    sizes: tuple[int, ...] | None = None


class Codec(ABC):
    """How one kind of data is read, written, and turned into the tensors that a model learns.

    A codec is a frozen dataclass whose fields are plain JSON; `fit` returns one that suits some data.
    encode(decode(x)) and decode(encode(item)) are the identity up to the precision that the codec states.
    """

    kind: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    together: ClassVar[bool] = False  # whether many items are one file
    joint: ClassVar[bool] = False  # whether an encoded item is {field: array}, or the array of its only field
    scored: ClassVar[str | None] = None  # the registry's room of metrics of this kind alone, which `records` feeds
    family: ClassVar[str] = "edm"  # of models, unless a person asks for another
    own: ClassVar[tuple[str, ...]] = ()  # conditions that items tell of themselves, see `brought`
    brings: ClassVar[bool] = False  # whether files are read with all that is known of their items, unasked
    bounded: ClassVar[bool] = True  # whether encoded numbers lie within [-1, 1]
    hides: ClassVar[str | None] = (
        None  # how entries are hidden from a model that learns to fill them in, see `data.hiding`
    )
    asked_by: ClassVar[str] = ""  # how a person asks for what has no label, in words
    entries: ClassVar[float] = 0.0  # share of items that are told some of their own, unless a person asks for another
    margins: ClassVar[tuple[int, int]] = (0, 0)  # pixels of a picture to the left and right of the item itself
    rule: str  # how the fields were chosen, in words

    @property
    @abstractmethod
    def fields(self) -> dict[str, Field]:
        """The blocks of like entries of one encoded item, by name."""

    @property
    def field(self) -> Field:
        """The only field; raises ReverieError for a kind of several."""
        if self.joint:
            raise ReverieError(f"This works on data of one field, not on a {self.kind} ({', '.join(self.fields)}).")
        return next(iter(self.fields.values()))

    @property
    def shape_words(self) -> str:
        """Shape and axes of all fields, for a person: "1x8x8 (channel, height, width)"."""
        words = [f"{'x'.join(map(str, f.shape))} ({', '.join(f.axes)})" for f in self.fields.values()]
        return words[0] if not self.joint else ", ".join(f"{k} {w}" for k, w in zip(self.fields, words, strict=True))

    @property
    def things(self) -> str:
        """What a person calls its items, in the plural."""
        return "items"

    @property
    @abstractmethod
    def found_as(self) -> str:
        """How a data card words an item that the codec takes as it is, `Data.found`: "8x8 grey uint8"."""

    @property
    def cut(self) -> str | None:
        """How files are cut into items, as `--window` says it, for a kind that has a choice."""
        return None

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
    def encode(self, item: Item) -> Array:
        """Turn an item into an array of `field.shape`: float32, within [-1, 1] for bounded kinds, or int64 tokens."""

    @abstractmethod
    def decode(self, x: Array) -> Item:
        """Turn an array of `field.shape` into an item, clipped and rounded to the item's own type."""

    def encode_all(self, items: Sequence[Item] | np.ndarray) -> Array:
        """Turn items into arrays (N, *)."""
        return np.stack([self.encode(item) for item in items])

    def decode_all(self, x: Array) -> Sequence[Item]:
        """Turn arrays (N, *) into items."""
        return [self.decode(one) for one in x]

    def tiles(self, items: Any) -> tuple[Any, np.ndarray]:
        """Items as a model sees them, side by side where they are longer than that, and of which item each is a part."""
        return items, np.arange(len(items))

    def part_words(self, items: Any) -> list[str]:
        """Where in its item each of `tiles`' parts lies, for a person."""
        return [f"part {k + 1}" for k in range(len(items))]

    def rejoined(self, given: Any, made: Sequence[Item]) -> Any:
        """What was made of each of `tiles`' items, as the items that these are parts of."""
        return self.joined([made])

    def brought(self, items: Sequence[Item] | np.ndarray) -> dict[str, list[Any]]:
        """What items tell of themselves to a model that is told it, by the condition's name: of series, their length."""
        return {}

    def observed(self, items: Any) -> np.ndarray | None:
        """Which entries of encoded items were observed, (N, *) bool; None where all were. Those that were not are not learned."""
        return None

    def encode_observed(self, items: Any) -> tuple[Array, np.ndarray | None]:
        """What `encode_all` and `observed` give, at once."""
        return self.encode_all(items), self.observed(items)

    def gaps(self, items: Any, mask: Any = None) -> Gaps:
        """Items of which some entries are to be filled in: what a mask marks; ReverieError for a kind that knows no gaps."""
        raise ReverieError(f"Data of kind {self.kind} has no empty entries of its own: say what to fill with a mask.")

    def given(self, text: str, n: int, seed: int, first: int = 0) -> Gaps:
        """Items first .. first + n - 1 of a seed, all gaps but for what a person says; ReverieError for a kind without."""
        raise ReverieError(
            f"--given {text}: data of kind {self.kind} has no columns. Leave it out; `complete` takes a mask."
        )

    def gathered(self, given: Any) -> Sequence[Item]:
        """Items that a person holds in Python, as `encode_all` takes them; ReverieError for what is none."""
        return list(given)

    def with_conditions(self, items: Sequence[Item], values: Mapping[str, Sequence[Any]]) -> Sequence[Item]:
        """Items with what they were told, by name, put into them, for kinds whose items hold it."""
        return items

    @property
    def unit(self) -> str:
        """What a difference of 1 between encoded numbers is, for a person."""
        return "where black is -1 and white 1"

    def as_written(self, items: Any, path: Path) -> Any:
        """Items that go to a file of their own kind, with each entry as it stands in theirs, where that has letters."""
        return items

    def annotated(self, items: Sequence[Item], values: Mapping[str, np.ndarray]) -> Sequence[Item]:
        """Items with numbers beside each, by name, for kinds whose items are one file."""
        raise ReverieError(f"Items of kind {self.kind} have no room for {', '.join(values)} beside them.")

    def joined(self, parts: Sequence[Sequence[Item]]) -> Sequence[Item]:
        """Items of several sets as one, in that order."""
        return [item for part in parts for item in part]

    def remarks(self, items: Sequence[Item] | np.ndarray, gaps: bool = False) -> list[str]:
        """What is unlike training in items, counted, in words; ReverieError for what is empty, unless these are `gaps`."""
        return []

    def numbers(self, x: Array) -> np.ndarray:
        """Encoded items as numbers in [-1, 1], float32, on which distances mean something: tokens by their order."""
        classes = self.field.classes
        return (np.clip(x, -1, 1) if classes is None else x * (2 / (classes - 1)) - 1).astype(np.float32)

    def records(self, x: np.ndarray) -> np.ndarray:
        """What `numbers` gave (N, *), in the data's own units as the metrics of `scored` take it; for a kind that has some."""
        raise ReverieError(f"Data of kind {self.kind} has no metrics of its own.")

    def whole_items(self, items: Any) -> bool:
        """Whether every entry of these items, encoded, stands for something in them: none is missing or padding."""
        return True

    def sheet(
        self, items: Sequence[Item], labels: Sequence[str] | None = None, columns: int | None = None
    ) -> np.ndarray:
        """How a person looks at many items, uint8 (H, W, 3): pictures in rows, unless the kind has another way."""
        return np.asarray(grid([self.picture(item) for item in items], columns, labels))

    @abstractmethod
    def picture(self, item: Item) -> np.ndarray:
        """How a person looks at an item: uint8 (H, W, 3), or (H, W, 4) with transparency."""
