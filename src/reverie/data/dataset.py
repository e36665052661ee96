"""What every reader returns and every trainer takes: items, their names and labels, and what was seen on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from reverie.codecs.collection import Collection
from reverie.codecs.pixels import Header
from reverie.data import pictures
from reverie.data.columns import Column, Labels, check_length, columns, number
from reverie.errors import ReverieError


class Broken(NamedTuple):
    """A file that could not be read, and why."""

    name: str
    reason: str


@runtime_checkable
class Indexed(Protocol):
    """A list, or a torch-style Dataset: len() and getitem, which gives an item or (item, label)."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


@dataclass
class Data:
    """A data set in memory.

    items: an array (N, H, W, C), a sequence of arrays (H, W, C) where sizes differ, or a `Collection`: rows, windows.
    names: N of them; what messages call the items.
    labels: (N,) int64, places in `classes`; None where there are none.
    colour: what the channels mean (see codecs.pixels.COLOURS), where files said so.
    found: what the items were before any resizing -> how many, as {"480x640 rgb uint8": 12}.
    held_out: the share (float) or number (int) that a split keeps from training unless asked otherwise.
    conditions: what else is known of each item, by name: see `columns`. One called "label" is kept as labels and classes.
    groups: N names of what must not be parted by a split (a person, a scene); None where every item stands for itself.
    spans: (N, 2) where items are stretches of something that goes on in time: where each begins and ends, as shares of it, from 0
    to 1. A split holds out the end.
    """

    items: Sequence[Any] | np.ndarray
    names: list[str]
    labels: np.ndarray | None = None
    classes: list[str] = field(default_factory=list)
    kind: str = "image"
    source: str = ""
    broken: list[Broken] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    held_out: float | int = 0.1
    colour: str | None = None
    found: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    groups: list[str] | None = None
    spans: np.ndarray | None = None
    conditions: dict[str, Column] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in what can be counted; refuse names or labels of another number than the items."""
        if len(self.names) != len(self.items):
            raise ReverieError(f"{self.source}: {len(self.names):,} names for {len(self.items):,} items.")
        if self.labels is not None and len(self.labels) != len(self.items):
            raise ReverieError(
                f"{self.source}: {len(self.labels):,} labels for {len(self.items):,} items. Give one label per item."
            )
        if self.groups is not None and len(self.groups) != len(self.items):
            raise ReverieError(
                f"{self.source}: {len(self.groups):,} groups for {len(self.items):,} items. Give one per item."
            )
        for name, column in self.conditions.items():
            check_length(name, column, len(self.items), self.source)
        self._take_label()
        if isinstance(self.items, Collection):
            self.found = self.found or {self.items.words: len(self)}
            self.bytes = self.bytes or self.items.nbytes
        else:
            self.found = self.found or describe(Header.of(item, self.colour) for item in self.items)
            self.bytes = self.bytes or sum(item.nbytes for item in self.items)

    def __len__(self) -> int:
        return len(self.items)

    def _take_label(self) -> None:
        """Keep a condition called "label" as the labels."""
        if (label := self.conditions.get("label")) is None:
            return
        if self.labels is not None or not isinstance(label, Labels):
            raise ReverieError(
                f"{self.source}: the name 'label' is there twice, or is no class. Give conditions other names, or leave the "
                "labels out (--label-from none)."
            )
        self.labels, self.classes = label.values, label.classes
        self.conditions = {name: column for name, column in self.conditions.items() if name != "label"}

    @property
    def columns(self) -> dict[str, Column]:
        """All that is known of the items beside themselves, by name, labels first."""
        label = {} if self.labels is None else {"label": Labels(self.labels, list(self.classes))}
        return {**label, **self.conditions}

    def told(self, index: Sequence[int] | np.ndarray) -> dict[str, list[Any]]:
        """What is known of some items, as `Model.sample(conditions=...)` takes it."""
        index = np.asarray(index, dtype=np.int64)
        return {name: column.subset(index).plain() for name, column in self.columns.items()}

    def subset(self, index: Sequence[int] | np.ndarray) -> Data:
        """Return the items at some places, in that order; classes keep their numbers."""
        index = np.asarray(index, dtype=np.int64)
        items = taken(self.items, index)
        labels = None if self.labels is None else self.labels[index]
        groups = None if self.groups is None else [self.groups[k] for k in index]
        spans = None if self.spans is None else self.spans[index]
        names = [self.names[k] for k in index]
        told = {name: column.subset(index) for name, column in self.conditions.items()}
        return replace(
            self,
            items=items,
            names=names,
            labels=labels,
            groups=groups,
            spans=spans,
            conditions=told,
            found={},
            bytes=0,
        )

    def usable(self) -> Data:
        """The items without NaN or infinite values; the others are told among the broken. Raises ReverieError for none left."""
        if isinstance(self.items, Collection) or not (
            odd := pictures.unusable(self.items)
        ):  # a table's cells may be missing
            return self
        if len(odd) == len(self):
            raise ReverieError(f"{self.source}: all {len(self):,} items hold NaN or infinite values. Fill them in.")
        broken = [
            Broken(self.names[k], f"{n:,} of {self.items[k].size:,} values are NaN or infinite") for k, n in odd.items()
        ]
        left = self.subset([k for k in range(len(self)) if k not in odd])
        count = f"{len(odd):,} of {len(self):,} items hold NaN or infinite values"
        said = f"{count}: training refuses them, `reverie prepare` sets them aside"
        return replace(left, broken=[*self.broken, *broken], notes=[*self.notes, said])

    @classmethod
    def from_arrays(
        cls,
        items: np.ndarray | Indexed,
        labels: Any = None,
        name: str = "array",
        conditions: Mapping[str, Any] | None = None,
        finite: bool = True,
    ) -> Data:
        """Make a data set of what a person holds in Python.

        items: an array (N, H, W), (N, H, W, C) or, where it can be nothing else, channels first (N, C, H, W), which is
        turned round and noted; or a list, or torch-style Dataset, of arrays (H, W), (H, W, C) or (C, H, W), tensors or
        Pillow images, each alone or as (item, label). labels: N numbers or words. conditions: N values each, by name, see
        `columns.columns`. finite: False keeps items that hold NaN or infinite values, which `usable` sets aside.
        Raises ReverieError for shapes that could be read two ways, values that are no numbers, NaN or infinite (naming
        the index), and labels of another number than the items.
        """
        notes: list[str] = []
        if not isinstance(items, np.ndarray):
            pairs = [_pair(items[k]) for k in range(len(items))]
            if any(label is not None for _, label in pairs):
                if labels is not None:
                    raise ReverieError(f"{name}: labels come with the items and beside them. Give them once.")
                labels = [label for _, label in pairs]
            items = [item for item, _ in pairs]
        pixels, colour = pictures.stacked(items, notes, name, finite)
        names = [f"{name}[{k}]" for k in range(len(pixels))]
        numbered, classes = (None, []) if labels is None else number(np.asarray(labels).tolist(), name)
        told = columns(conditions, len(pixels), name)
        return cls(pixels, names, numbered, classes, source=name, notes=notes, colour=colour, conditions=told)


def taken(items: Any, index: np.ndarray) -> Any:
    """The items at some places, in that order, in what held them."""
    if isinstance(items, Collection):
        return items.take(index)
    return items[index] if isinstance(items, np.ndarray) else [items[k] for k in index]


def describe(headers: Iterable[Header]) -> dict[str, int]:
    """Count pictures by size, colour and dtype, the commonest first."""
    words = Counter(h.words for h in headers)
    return dict(words.most_common())


def _pair(element: Any) -> tuple[Any, Any]:
    """Split what a Dataset gives into item and label; an item alone has none."""
    if isinstance(element, tuple):
        if len(element) != 2:
            raise ReverieError(f"A data set must give an item, or (item, label); this one gives {len(element)} values.")
        return element
    return element, None
