"""Time series: windows of several channels, to arrays of normal variables over time, and back.

Series --encode--> (C, L) float32, each channel of mean 0 and variance 1 over the training data --decode--> Series

Series that are shorter than L (the longest that training has) are zero behind their end; the model is told their length.
Of series whose steps are not even, the time since the step before is a channel of its own, the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from reverie.codecs import series_files, series_parts
from reverie.codecs.base import Codec, Field
from reverie.codecs.cells import Cells, Fixed, Number, from_json
from reverie.codecs.channels import Channel, fitted
from reverie.codecs.gaps import Gaps
from reverie.codecs.series_grid import on_calendar
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.codecs.series_times import iso, of_iso, span_words
from reverie.errors import ReverieError

LENGTH, START = "length", "start"  # conditions that series bring of themselves
_BETWEEN = "(time between)"  # the channel of uneven steps


@dataclass(frozen=True)
class SeriesCodec(Codec):
    """Windows of series as arrays (C, L).

    channels: each of the file's, in order, as `Cells.to_json` writes it; those that never change are not learned, and are written
    back. between: the time between two steps, where these are not even. length: L, in steps. whole: whether items are whole
    series, not windows of longer ones. axis, layout: how the training file told time and held series, as JSON. static: columns
    that each series has one value of, and what conditions they are told as.
    decode(encode(series)) is the same times, and values within 1e-5 of the stretch between two neighbouring knots of the
    distribution function, rounded to the decimals that the channel has; where nothing was observed, what lies between neighbours.
    Source: Tashiro et al. 2021 (CSDI), section 4, for windows as arrays of which entries are known.
    """

    name: ClassVar[str] = "series"
    kind: ClassVar[str] = "series"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".parquet", ".xlsx", ".npz")
    together: ClassVar[bool] = True
    own: ClassVar[tuple[str, ...]] = (LENGTH, START)
    brings: ClassVar[bool] = True
    bounded: ClassVar[bool] = False
    scored: ClassVar[str] = "series-metrics"
    hides: ClassVar[str] = "spans"
    entries: ClassVar[float] = 0.5
    margins: ClassVar[tuple[int, int]] = (44, 6)

    channels: tuple[dict[str, Any], ...]
    length: int
    axis: dict[str, Any]
    layout: dict[str, Any]
    between: dict[str, Any] | None = None
    static: dict[str, str] | None = None
    whole: bool = False
    rule: str = ""

    def __post_init__(self) -> None:
        """Refuse what describes no series: it may come from a file."""
        if not self.learned or self.length < 1:
            raise ValueError(f"no channel to learn, or {self.length} steps")
        _ = self._axis, self._layout, self.cells, [c.encode(np.zeros(1)) for c in self.learned]

    @cached_property
    def cells(self) -> list[Cells]:
        """The file's channels, in order."""
        return [from_json(dict(about)) for about in self.channels]

    @cached_property
    def learned(self) -> list[Channel]:
        """The channels of an encoded item, in order."""
        first = [] if self.between is None else [self.between]
        return [Channel.of(about) for about in (*first, *self.channels) if about["kind"] == Number.kind]

    @cached_property
    def _axis(self) -> Axis:
        return Axis(**self.axis)

    @cached_property
    def _layout(self) -> Layout:
        tuples = {name: tuple(self.layout.get(name, ())) for name in ("columns", "melted")}
        return Layout(**{**self.layout, **tuples})

    @property
    def of_time(self) -> Axis:
        """How the training file told time."""
        return self._axis

    @property
    def fields(self) -> dict[str, Field]:
        """One field of numbers."""
        return {"values": Field((len(self.learned), self.length), ("channel", "step"))}

    @property
    def things(self) -> str:
        """Series, or windows of them."""
        return "series" if self.whole else "windows"

    @property
    def found_as(self) -> str:
        """How many steps and channels."""
        count = len(self.channels)
        return f"{self.length:,} steps of {count} channel{'s' * (count != 1)}"

    @classmethod
    def fit(cls, items: Any, known: Any = None) -> SeriesCodec:
        """Learn each channel's distribution from the windows that train; ReverieError where none of them ever changes."""
        windows, every = Windows.of(items), Windows.of(items if known is None else known)
        rows = np.concatenate([one.values for one in _different(windows)])
        about = zip(windows.channels, windows.dtypes, rows.T, strict=True)
        cells = [fitted(name, dtype, values) for name, dtype, values in about]
        fixed = [f"'{c.name}' is {c.words}: kept, not learned" for c in cells if isinstance(c, Fixed)]
        if len(fixed) == len(cells):
            raise ReverieError(
                f"No channel of {windows.source} can be learned: {'; '.join(fixed)}. A series needs a channel that changes."
            )
        between = None
        if not windows.axis.regular:
            gone = np.concatenate([np.diff(one.times) for one in _different(windows)])
            between = fitted(_BETWEEN, "float64", gone).to_json() if len(np.unique(gone)) > 1 else None
        length = windows.length or max(len(one) for one in every)
        return cls(
            tuple(c.to_json() for c in cells), length, asdict(windows.axis), _json(windows.layout), between,
            dict(windows.told), windows.length is None, "; ".join(fixed),
        )  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Windows:
        """Read one file, each of its series whole."""
        return series_files.read(path)

    def write(self, item: Any, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write one series or many, in the format that the suffix says; `text` goes into a JSON file beside them."""
        return series_files.write(self._windows([item]) if isinstance(item, Series) else item, path, text)

    def encode(self, item: Series) -> np.ndarray:
        """One window, (C, L) float32."""
        return self.encode_all(self._windows([item]))[0]

    def decode(self, x: np.ndarray) -> Series:
        """One window, from time 0."""
        return self.decode_all(x[None])[0]

    def encode_all(self, items: Any) -> np.ndarray:
        """Windows as (N, C, L) float32; what was not observed lies on the line between its neighbours.

        Behind an end the last value goes on, a unit in its last place above: a law of windows sees no jump there, and
        `records` finds the end.
        """
        return self.encode_observed(items)[0]

    def observed(self, items: Any) -> np.ndarray | None:
        """(N, C, L) bool, which entries were observed: none behind the end of a series."""
        return self.encode_observed(items)[1]

    def encode_observed(self, items: Any) -> tuple[np.ndarray, np.ndarray | None]:
        """What `encode_all` and `observed` give, at once."""
        z, known = self.encode_known(items)
        if known.all():
            return z, None
        z = _between(z, known)
        for one, steps in zip(z, self._lengths(items), strict=True):
            one[:, steps:] = np.nextafter(one[:, steps - 1 : steps], np.float32(np.inf))
        return z, known

    def encode_known(self, items: Any) -> tuple[np.ndarray, np.ndarray]:
        """Windows as (N, C, L) float32, 0 where nothing is known, and what is known, bool."""
        windows = Windows.of(items)
        self.check(windows)
        z = np.zeros((len(windows), *self.field.shape), np.float32)
        known = np.zeros(z.shape, bool)
        whole = {k: self.encoded(windows.series[k]) for k in np.unique(windows.places[:, 0]).tolist()}
        for k, ((number, start), steps) in enumerate(zip(windows.places.tolist(), self._lengths(windows), strict=True)):
            part = whole[number][:, start : start + steps]
            known[k, :, :steps] = ~np.isnan(part)
            z[k, :, :steps] = np.nan_to_num(part)
        return z, known

    def _lengths(self, items: Any) -> list[int]:
        """How many steps each window has."""
        windows = Windows.of(items)
        most = windows.length or self.length
        return [min(len(windows.series[number]) - start, most) for number, start in windows.places.tolist()]

    def encoded(self, one: Series) -> np.ndarray:
        """A series of any length, (C, T) float64, NaN where nothing is known."""
        names = [c.name for c in self.cells]
        columns = {name: one.values[:, k] for k, name in enumerate(names)}
        columns[_BETWEEN] = np.diff(one.times, prepend=np.nan)
        return np.stack([c.encode(columns[c.name]) for c in self.learned])

    def place(self, name: str) -> int | None:
        """Which channel of an encoded item a column is; None for one that is not learned."""
        return next((k for k, c in enumerate(self.learned) if c.name == name), None)

    @property
    def cut(self) -> str | None:
        """How files are cut into items, as `--window` says it."""
        return "all" if self.whole else str(self.length)

    def brought(self, items: Any) -> dict[str, list[Any]]:
        """The length, and with dates the start, of each window."""
        found: dict[str, list[Any]] = {LENGTH: [float(len(one)) for one in items]}
        if self._axis.kind == "date":
            found[START] = [iso(one.times[0], self._axis.calendar) for one in items]
        return found

    def check(self, windows: Windows, any_length: bool = False) -> None:
        """Refuse series of other channels or steps, or of windows that are longer than the model's."""
        mine = tuple(c.name for c in self.cells)
        if windows.channels != mine:
            given, known = (", ".join(names[:8]) for names in (windows.channels, mine))
            raise ReverieError(
                f"{windows.source} has the channels {given}; the model knows {known}. Give these, in that order, empty where "
                "nothing was observed."
            )
        own, its = (span_words(axis.step, axis.kind) for axis in (self._axis, windows.axis))
        mend = "Bring it to these steps first, empty where nothing was observed."
        if self._axis.regular and not windows.axis.regular:
            raise ReverieError(
                f"{windows.source} has steps of uneven length; the model learned even ones of {own}. {mend}"
            )
        if self._axis.regular and not np.isclose(windows.axis.step, self._axis.step, rtol=0.05):
            raise ReverieError(f"{windows.source} has a step every {its}; the model learned one every {own}. {mend}")
        if any_length:
            return
        longest = max((len(windows.series[k]) for k in set(windows.places[:, 0].tolist())), default=0)
        if (windows.length or longest) > self.length:
            raise ReverieError(
                f"{windows.source} is {windows.length or longest:,} steps long; the model knows windows of {self.length:,}."
            )

    def decode_all(self, x: np.ndarray) -> Windows:
        """Windows from time 0 at even steps, or as far apart as the channel of uneven ones says."""
        x = np.asarray(x)
        values = np.full((len(x), self.length, len(self.cells)), np.nan)
        made = {c.name: c.decode(x[:, k]) for k, c in enumerate(self.learned)}
        for k, c in enumerate(self.cells):
            values[:, :, k] = made.get(c.name, c.value if isinstance(c, Fixed) and c.value is not None else np.nan)
        steps = np.full((len(x), self.length), self._axis.step)
        if self.between is not None:
            steps = np.maximum(made[_BETWEEN], 0.0)
        steps[:, 0] = 0
        return self._windows(
            [Series(str(k), t, v) for k, (t, v) in enumerate(zip(steps.cumsum(1), values, strict=True))]
        )

    def _windows(self, series: Sequence[Series]) -> Windows:
        dtypes = [c.dtype for c in self.cells]
        return Windows.whole(
            series, [c.name for c in self.cells], self._axis, self._layout, dtypes=tuple(dtypes), told=self.static or {}
        )

    def with_conditions(self, items: Sequence[Any], values: Mapping[str, Sequence[Any]]) -> Windows:
        """Windows cut to the length, put at the time, and given the columns that they were told."""
        each = [{name: told[k] for name, told in values.items()} for k in range(len(items))]
        return self._windows([self._told(one, said) for one, said in zip(items, each, strict=True)])

    def _told(self, one: Series, said: Mapping[str, Any]) -> Series:
        length = said.get(LENGTH)
        one = one if length is None else one.part(0, min(max(round(length), 1), self.length))
        if said.get(START) is not None:
            one = replace(one, times=one.times + of_iso(said[START], self._axis.calendar))
        return replace(one, static={column: said.get(name) for column, name in (self.static or {}).items()})

    def tiles(self, items: Any) -> tuple[Windows, np.ndarray]:
        """Windows of the model's length side by side, the last one up to the end; whole series as they are."""
        windows = Windows.of(items)
        return (windows, np.arange(len(windows))) if self.whole else series_parts.tiles(windows, self.length)

    def part_words(self, items: Any) -> list[str]:
        """Its first and last time."""
        return series_parts.words(Windows.of(items), self.length)

    def rejoined(self, given: Any, made: Sequence[Any]) -> Windows:
        """Series of which each window has the values that were made of it; what was not observed stays so."""
        return series_parts.rejoined(Windows.of(given), made, self.length)

    def annotated(self, items: Any, values: Mapping[str, np.ndarray]) -> Windows:
        """Series with further channels; values: by name, for each window (N, L)."""
        return series_parts.annotated(Windows.of(items), values, self.length)

    @property
    def unit(self) -> str:
        """Standard deviations."""
        return "where 1 is a standard deviation of the training data"

    def joined(self, parts: Sequence[Sequence[Any]]) -> Windows:
        """Windows of several sets as one."""
        return self._windows([one for part in parts for one in part])

    def gathered(self, given: Any) -> Windows:
        """Windows, one series, arrays (T, C) or an array (N, T, C) that a person holds; NaN where nothing was observed."""
        if isinstance(given, Series):
            return self._windows([given])
        if isinstance(given, Windows):
            return on_calendar(given, self._axis)
        arrays = [np.asarray(one, dtype=np.float64) for one in given]
        if bad := [a.shape for a in arrays if a.ndim != 2 or a.shape[1] != len(self.cells)]:
            raise ReverieError(
                f"An array of shape {bad[0]} was given; a series of this model is (steps, {len(self.cells)} channels)."
            )
        return self._windows([Series(str(k), self._axis.step * np.arange(len(a)), a) for k, a in enumerate(arrays)])

    def gaps(self, items: Any, mask: Any = None) -> Gaps:
        """What of series is to be filled in, see `series_gaps`."""
        from reverie.codecs.series_gaps import SeriesGaps

        return SeriesGaps.of(self, Windows.of(items), mask)

    def remarks(self, items: Any, gaps: bool = False) -> list[str]:
        """Values beyond the range that training had, counted by channel, with where the first stands."""
        windows = Windows.of(items)
        every, found = _different(windows), []
        owner = np.repeat(np.arange(len(every)), [len(one) for one in every])
        for k, c in enumerate(self.cells):
            if not isinstance(c, Number):
                continue
            x = np.concatenate([one.values[:, k] for one in every])
            beyond = np.flatnonzero((x < c.low) | (x > c.high))
            if len(beyond):
                one, step = every[owner[beyond[0]]], int(beyond[0] - np.argmax(owner == owner[beyond[0]]))
                first = f"the first {x[beyond[0]]:g}, {_place(one, step, windows.layout)}"
                found.append(f"{len(beyond):,} of {int((~np.isnan(x)).sum()):,} values of '{c.name}' ({first})")
        return [f"beyond the range that training had: {', '.join(found)}"] if found else []

    def numbers(self, x: np.ndarray) -> np.ndarray:
        """As they are: each channel is of variance 1 already."""
        return np.asarray(x, dtype=np.float32)

    def records(self, x: np.ndarray) -> np.ndarray:
        """What `numbers` gave (N, C, L), in the channels' own units, float64; NaN behind the end of a series."""
        made = np.stack([c.decode(x[:, k]) for k, c in enumerate(self.learned)], 1)
        ends = np.array([_end(one) for one in x])
        made[np.broadcast_to(np.arange(self.length) >= ends[:, None, None], made.shape)] = np.nan
        return made

    def whole_items(self, items: Any) -> bool:
        """Whether all series are as long as the model's, and nothing of them is missing."""
        return self.observed(items) is None and all(len(one) == self.length for one in Windows.of(items))

    def picture(self, item: Series) -> np.ndarray:
        """Lines over time, uint8 (H, W, 3)."""
        from reverie.codecs.series_picture import drawn

        return drawn(self, item)


def _different(windows: Windows) -> list[Series]:
    """What of the series the windows cover, each step once."""
    found = []
    for number in np.unique(windows.places[:, 0]).tolist():
        one = windows.series[number]
        if windows.length is None:
            found.append(one)
            continue
        covered = np.zeros(len(one) + 1, np.int64)
        starts = windows.places[windows.places[:, 0] == number, 1]
        np.add.at(covered, starts, 1)
        np.add.at(covered, starts + windows.length, -1)
        inside = covered.cumsum()[:-1] > 0
        found.append(replace(one, times=one.times[inside], values=one.values[inside], rows=None))
    return found


def _place(one: Series, step: int, layout: Layout) -> str:
    """Where a step of a series stands in its file, as far as that is known."""
    if one.rows is None or layout.kind != "long" or layout.melted:
        return f"step {step + 1} of series {one.name}"
    return f"row {one.rows[step] + 2}"


def _between(z: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(N, C, L) with what is not known on the line between its neighbours in time; 0 where a channel knows nothing."""
    steps = np.arange(z.shape[2])
    for n, c in np.argwhere(~known.all(2) & known.any(2)):
        here = known[n, c]
        z[n, c, ~here] = np.interp(steps[~here], steps[here], z[n, c, here])
    return z


def _end(z: np.ndarray) -> int:
    """Where a window (C, L) ends, by what `encode_all` puts behind."""
    changes = np.flatnonzero((z[:, 1:] != z[:, :-1]).any(0))
    last = int(changes[-1]) if len(changes) else -1  # the step after which nothing changes
    ended = last >= 0 and bool((z[:, last + 1] == np.nextafter(z[:, last], np.float32(np.inf))).all())
    return last + 1 if ended else z.shape[1]


def _json(layout: Layout) -> dict[str, Any]:
    return {**asdict(layout), "columns": list(layout.columns), "melted": list(layout.melted)}
