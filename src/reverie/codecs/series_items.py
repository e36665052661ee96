"""The items of time series: windows of one or many series, each of several channels over one axis of time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from reverie.codecs.collection import Collection

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Axis:
    """How time is told; JSON-plain.

    name: of its column. kind: "date" (seconds since 1970 inside), "number" (as it stands in the file) or "index" (steps that
    nobody wrote down, 0, 1, 2 ...). format: how dates are written, None for a column of dates proper. dtype: of its column. step:
    the commonest time between two observations, in seconds or in the file's units. regular: whether all times are whole steps
    apart, so that a gap is a missing observation; where they are not, the time between two is part of the data. calendar: what
    dates count, "workdays" or "months:DAY", where they are not even in seconds: see `series_times`.
    """

    name: str = "time"
    kind: str = "index"
    format: str | None = None
    dtype: str = "int64"
    step: float = 1.0
    regular: bool = True
    calendar: str = ""


@dataclass(frozen=True)
class Layout:
    """How a file holds series; JSON-plain.

    kind: "long" (a row an observation; many series where `identity` names a column), "wide" (a row a series, a column a time) or
    "arrays" (.npz). identity: the column that says which series a row is of. columns: of the file, in its order. melted: of a
    file whose rows name their channel, the columns of that name and of the value, and then all of its columns; `columns` are then
    those with one for each channel.
    """

    kind: str = "long"
    identity: str | None = None
    columns: tuple[str, ...] = ()
    melted: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Series:
    """One series, or a window of one.

    name: what messages call it, the value of its identity. times: (T,) float64, rising. values: (T, C) float64, NaN where
    nothing was observed. static: what is known of it as a whole, by column. rows: (T,) int64, the row of the file's table
    that each observation stands in, -1 for a step that the file leaves out; None where it is of no file.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    static: dict[str, Any] = field(default_factory=dict)
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        """How many steps."""
        return len(self.times)

    def part(self, start: int, stop: int) -> Series:
        """Some of its steps."""
        rows = None if self.rows is None else self.rows[start:stop]
        return replace(self, times=self.times[start:stop], values=self.values[start:stop], rows=rows)


@dataclass(frozen=True, eq=False)
class Windows(Collection):
    """Windows of series. Item k is `length` steps of series places[k, 0] from step places[k, 1]; all of it where length is None.

    channels: names of the C channels. dtypes: of their columns, as pandas calls them. frame: the table they were read from,
    where there is one. told: columns that a model is told and does not learn, and what each is called.
    """

    series: tuple[Series, ...]
    channels: tuple[str, ...]
    dtypes: tuple[str, ...]
    axis: Axis
    layout: Layout
    places: np.ndarray
    length: int | None = None
    source: str = "the series"
    frame: pd.DataFrame | None = None
    told: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Any) -> Windows:
        """Windows of what a codec is given: Windows, or several series or windows of one kind."""
        if isinstance(items, Windows):
            return items
        series = list(items)
        names = [f"channel {k}" for k in range(series[0].values.shape[1])]
        return cls.whole(series, names, Axis(), Layout())

    @classmethod
    def whole(
        cls, series: Sequence[Series], channels: Sequence[str], axis: Axis, layout: Layout, **more: Any
    ) -> Windows:
        """Each series as one item."""
        index = np.stack([np.arange(len(series)), np.zeros(len(series), np.int64)], 1)
        more = {"dtypes": ("float64",) * len(channels), **more}
        return cls(tuple(series), tuple(channels), axis=axis, layout=layout, places=index, **more)

    def with_series(self, series: Sequence[Series], **more: Any) -> Windows:
        """Other series in the place of these, each as one item."""
        places = np.stack([np.arange(len(series)), np.zeros(len(series), np.int64)], 1)
        return replace(self, series=tuple(series), places=places, length=None, **more)

    def cut(self, length: int, stride: int = 1) -> Windows:
        """All windows of so many steps, `stride` steps apart, of each series; a series that is shorter gives none."""
        index = [(k, start) for k, one in enumerate(self.series) for start in range(0, len(one) - length + 1, stride)]
        return replace(self, places=np.array(index, dtype=np.int64).reshape(-1, 2), length=length)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, k: int) -> Series: ...
    @overload
    def __getitem__(self, k: slice) -> Windows: ...
    def __getitem__(self, k: int | slice) -> Series | Windows:
        """One window, or some."""
        if isinstance(k, slice):
            return replace(self, places=self.places[k])
        number, start = self.places[k].tolist()
        one = self.series[number]
        return one if self.length is None else one.part(start, start + self.length)

    def __iter__(self) -> Iterator[Series]:
        return (self[k] for k in range(len(self)))

    def take(self, index: np.ndarray) -> Windows:
        """The windows at some places, in that order."""
        return replace(self, places=self.places[np.asarray(index, dtype=np.int64)])

    @property
    def words(self) -> str:
        """How many channels, and how long they are."""
        lengths = {len(self[k]) for k in range(len(self))} if self.length is None else {self.length}
        least, most = min(lengths, default=0), max(lengths, default=0)
        long = f"{least:,}" if least == most else f"{least:,} to {most:,}"
        return f"{long} steps of {len(self.channels)} channel{'s' * (len(self.channels) != 1)}"

    @cached_property
    def nbytes(self) -> int:
        """Memory that they take."""
        return sum(one.values.nbytes + one.times.nbytes for one in self.series)

    def digests(self) -> list[bytes]:
        """A hash of each window's series, times and values: the same values at another time are another item.

        The only series of a file has no name of its own there, so that another name of the file changes nothing.
        """
        names = ["all" if self.layout.kind == "long" and self.layout.identity is None else one.name for one in self]
        return [
            hashlib.sha256(name.encode() + one.times.tobytes() + one.values.tobytes()).digest()
            for name, one in zip(names, self, strict=True)
        ]
