"""What is known of each item beside itself, by name: a class, a number, or a picture. One column holds it for all items."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np

from reverie.codecs.series_times import iso
from reverie.data import pictures
from reverie.errors import ReverieError


class Column(ABC):
    """One condition of N items."""

    kind: ClassVar[str]  # as a network declares it

    @abstractmethod
    def __len__(self) -> int:
        """How many items it is of."""

    @abstractmethod
    def subset(self, index: np.ndarray) -> Self:
        """The items at some places, in that order."""

    @abstractmethod
    def plain(self) -> list[Any]:
        """A value for each item as a person writes it, and as `Model.sample` takes it; None where nothing is known."""


@dataclass(frozen=True)
class Labels(Column):
    """A class for each item. values: (N,) int64, places in `classes`; -1 where none is told."""

    kind: ClassVar[str] = "label"

    values: np.ndarray
    classes: list[str]

    @classmethod
    def of(cls, words: Any, name: str = "labels") -> Labels:
        """Read N words or numbers as classes, which are sorted; an item without one is an error."""
        return cls(*number(np.asarray(words).tolist(), name))

    def __len__(self) -> int:
        return len(self.values)

    def subset(self, index: np.ndarray) -> Labels:
        """The items at some places; classes keep their numbers."""
        return Labels(self.values[index], self.classes)

    def plain(self) -> list[Any]:
        """The class of each item, by name; None where none is told."""
        return [None if k < 0 else self.classes[k] for k in self.values.tolist()]


@dataclass(frozen=True)
class Numbers(Column):
    """A number for each item, in its own units. values: (N,) float64, NaN where none is known."""

    kind: ClassVar[str] = "number"

    values: np.ndarray

    @classmethod
    def of(cls, numbers: Any, name: str = "numbers") -> Numbers:
        """Read N numbers; None stands for one that is not known.

        Raises ReverieError, naming the item, for what is no finite number, and where all are the same or none is known.
        """
        found = []
        for k, value in enumerate(np.asarray(numbers, dtype=object).tolist()):
            if value is not None and not math.isfinite(found_number := _number(value, f"{name}: item {k}")):
                raise ReverieError(
                    f"{name}: item {k} is {found_number}. Give a finite number, or None where none is known."
                )
            found.append(math.nan if value is None else found_number)
        made = cls(np.array(found, dtype=np.float64))
        made.check(name)
        return made

    def check(self, name: str) -> None:
        """Refuse numbers that say nothing: none known, or all the same."""
        known = self.values[~np.isnan(self.values)]
        if len(known) == 0:
            raise ReverieError(f"The number '{name}' is known of no item. Fill it in, or leave it out.")
        if known.min() == known.max():
            raise ReverieError(f"The number '{name}' is {known[0]:g} for every item, which says nothing. Leave it out.")

    def __len__(self) -> int:
        return len(self.values)

    def subset(self, index: np.ndarray) -> Numbers:
        """The items at some places."""
        return Numbers(self.values[index])

    def plain(self) -> list[Any]:
        """The number of each item, None where there is none."""
        return [None if math.isnan(v) else v for v in self.values.tolist()]


@dataclass(frozen=True)
class Starts(Column):
    """When each series begins. values: (N,) float64, seconds since 1970. step: seconds between two steps. steps: how many.

    calendar: what the seconds count, where that is working days or months: see `codecs.series_times`.
    """

    kind: ClassVar[str] = "start"

    values: np.ndarray
    step: float
    steps: int
    calendar: str = ""

    def __len__(self) -> int:
        """How many items it is of."""
        return len(self.values)

    def subset(self, index: np.ndarray) -> Starts:
        """The items at some places."""
        return replace(self, values=self.values[index])

    def plain(self) -> list[Any]:
        """The date of each, as ISO 8601 has it, None where there is none."""
        return [None if math.isnan(v) else iso(v, self.calendar) for v in self.values.tolist()]


@dataclass(frozen=True)
class Pictures(Column):
    """A picture for each item. items: (N, H, W, C), or a list where sizes differ. colour: what channels mean, where known."""

    kind: ClassVar[str] = "image"

    items: np.ndarray | list[np.ndarray]
    colour: str | None = None

    @classmethod
    def of(cls, items: Any, name: str = "pictures") -> Pictures:
        """Read pictures as `Data.from_arrays` reads items; a layout that would have to be guessed is an error."""
        return cls(*pictures.stacked(items, [], name))

    def __len__(self) -> int:
        return len(self.items)

    def subset(self, index: np.ndarray) -> Pictures:
        """The items at some places."""
        some = self.items[index] if isinstance(self.items, np.ndarray) else [self.items[k] for k in index]
        return replace(self, items=some)

    def plain(self) -> list[Any]:
        """The pictures, one by one."""
        return list(self.items)


def columns(conditions: Mapping[str, Any] | None, count: int, source: str) -> dict[str, Column]:
    """Conditions as a person gives them in Python, as columns.

    Floats are numbers, words and whole numbers are labels, arrays (H, W[, C]) are pictures; `Labels.of`, `Numbers.of` and
    `Pictures.of` say it themselves. Raises ReverieError for another number of values than items, and as those do.
    """
    found = {name: _column(values, name) for name, values in (conditions or {}).items()}
    for name, column in found.items():
        check_name(name)
        check_length(name, column, count, source)
    return found


def check_length(name: str, column: Column, count: int, source: str) -> None:
    """Raise ReverieError for a column of another number of items."""
    if len(column) != count:
        raise ReverieError(
            f"{source}: the condition '{name}' has {len(column):,} values for {count:,} items. Give one per item."
        )


def check_name(name: str) -> None:
    """Raise ReverieError for a name that no command line could write."""
    if not name.isidentifier():
        raise ReverieError(f"A condition cannot be called '{name}': give it a plain word of letters, digits and _.")


def number(labels: Sequence[Any], name: str) -> tuple[np.ndarray, list[str]]:
    """Turn labels into places (N,) int64 in a sorted list of classes; whole numbers sort as numbers."""
    if any(label is None or isinstance(label, list) for label in labels):
        raise ReverieError(f"{name}: every item needs exactly one label, a number or a word.")
    words = [str(int(label)) if isinstance(label, float) and label.is_integer() else str(label) for label in labels]
    numeric = all(word.lstrip("-").isdecimal() for word in words)
    key: Callable[[str], Any] = int if numeric else str
    classes = sorted(set(words), key=key)
    place = {word: k for k, word in enumerate(classes)}
    return np.array([place[word] for word in words], dtype=np.int64), classes


def _column(values: Any, name: str) -> Column:
    """The column of a kind that the values themselves tell."""
    if isinstance(values, Column):
        return values
    if not isinstance(values, Collection) or isinstance(values, str):
        raise ReverieError(f"The condition '{name}' is {values!r}; give a list with a value for each item.")
    kinds = {np.asarray(v).dtype.kind for v in values if v is not None}
    if any(np.ndim(np.asarray(v)) > 1 for v in values):
        return Pictures.of(values, name)
    if any(np.ndim(np.asarray(v)) == 1 for v in values):
        raise ReverieError(
            f"The condition '{name}' has several values for an item. Give one value, or a picture, per item."
        )
    return Numbers.of(values, name) if kinds & {"f"} and kinds <= set("fiu") else Labels.of(values, name)


def _number(value: Any, where: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ReverieError(f"{where} is '{value}', which is no number. Mend it, or leave it empty.") from error
