"""Series of which something is missing: holes in the middle, and the future; and how they are filled, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from reverie.codecs.gaps import LongGaps, Stretch
from reverie.codecs.rows import Rows
from reverie.codecs.series_items import Series, Windows
from reverie.codecs.series_times import times_written
from reverie.errors import ReverieError, nearest

if TYPE_CHECKING:
    from reverie.codecs.series import SeriesCodec

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_WAYS = "future:STEPS, last:STEPS, names of channels, or a bool .npy of (steps, channels), true where to fill"


class SeriesGaps(LongGaps):
    """Gaps of series, whole. series: as given, with rows for the future. hole: of each, (T, C) bool, what to fill.

    z: of each, (C', T), encoded, NaN where nothing is known. Windows of the model's length are filled one after the other, from
    left to right, so that what was drawn before is known to the next: `stretch` says which comes next.
    """

    entries: ClassVar[str] = "values"
    things: ClassVar[str] = "series"

    def __init__(self, codec: SeriesCodec, windows: Windows, series: list[Series], hole: list[np.ndarray]) -> None:
        self.codec, self.windows, self.series, self.hole = codec, windows, series, hole
        self.places = np.flatnonzero([h.any() for h in hole])
        self.notes = []
        hidden = [replace(s, values=np.where(h, np.nan, s.values)) for s, h in zip(series, hole, strict=True)]
        self.z = [codec.encoded(one) for one in hidden]
        self.x, self.known, self.possible = {}, {}, {}

    @classmethod
    def of(cls, codec: SeriesCodec, windows: Windows, mask: Any) -> SeriesGaps:
        """Values that are missing, and what a mask marks."""
        codec.check(windows, any_length=True)
        learned = np.array([c["kind"] == "number" for c in codec.channels])
        word, _, number = str(mask).partition(":") if isinstance(mask, str) else ("", "", "")
        ahead = _steps(mask, number) if word == "future" else 0
        series = [_longer(codec, one, ahead) for one in windows.series]
        marked = _marked(codec, series, mask, word, number) if mask is not None and word != "future" else None
        hole = [np.isnan(one.values) & learned for one in series]
        if marked is not None:
            hole = [h | (m & learned) for h, m in zip(hole, marked, strict=True)]
        made = cls(codec, windows, series, hole)
        made.notes = made._told(mask, ahead)
        if codec.whole and (long := max(map(len, series))) > codec.length:
            raise ReverieError(
                f"{windows.source} would be {long:,} steps long; this model learned whole series of at most {codec.length:,}."
            )
        return made

    def _told(self, mask: Any, ahead: int) -> list[str]:
        """What is filled in beside what was asked for."""
        empty = sum(int((h & np.isnan(one.values)).sum()) for h, one in zip(self.hole, self.series, strict=True))
        if mask is None:
            return []
        many = f"{len(self.series):,} series"
        if ahead:
            future = sum(int(h[-ahead:].sum()) for h in self.hole)
            asked, empty = f"{ahead:,} step{'s' * (ahead > 1)} ahead of {many}", empty - future
        else:
            asked = f"{self.count - empty:,} known values of {many} that the mask marks"
        return [
            f"filled: {asked}" + f", and {empty:,} empty {self.entries} {'before' if ahead else 'beside'}" * (empty > 0)
        ]

    @property
    def count(self) -> int:
        """How many values."""
        return int(sum(h.sum() for h in self.hole))

    def begun(self, item: int) -> np.ndarray:
        """What is known of a series, (C', T)."""
        return self.z[item]

    def stretch(self, item: int, z: np.ndarray) -> Stretch | None:
        """The next window of a series to fill, where z (C', T) is what is known of it by now; None where all of it is."""
        unknown = np.flatnonzero(np.isnan(z).any(0) & self.hole[item].any(1))
        if not len(unknown):
            return None
        total, length = z.shape[1], self.codec.length
        if total <= length:
            return Stretch(item, 0 if self.codec.whole else total - length, total)
        first = int(unknown[0])
        run = int(np.argmax(np.append(~np.isnan(z[:, first:]).any(0), True)))  # steps until something is whole again
        inside = min(run, length // 2)
        start = first + inside - length if first + run == total and run == inside else first - (length - inside) // 2
        return Stretch(item, int(np.clip(start, 0, total - length)), length)

    def cut(self, at: Stretch, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What a window knows: values (C', L), 0 where nothing is, and which they are, bool."""
        x = np.full((len(z), self.codec.length), np.nan, np.float32)
        begin = max(-at.start, 0)
        x[:, begin : begin + at.steps] = z[:, max(at.start, 0) : max(at.start, 0) + at.steps]
        return np.nan_to_num(x), ~np.isnan(x)

    def put(self, at: Stretch, z: np.ndarray, made: np.ndarray) -> np.ndarray:
        """z (C', T) with what is not known in a window taken from what was drawn there, (C', L)."""
        begin, first = max(-at.start, 0), max(at.start, 0)
        part = z[:, first : first + at.steps]
        drawn = made[:, begin : begin + at.steps]
        out = z.copy()
        out[:, first : first + at.steps] = np.where(np.isnan(part), drawn, part)
        return out

    def part(self, at: Stretch) -> Series:
        """A window's own part of its series: what says its length and its start."""
        return self.series[at.item].part(max(at.start, 0), max(at.start, 0) + at.steps)

    def decoded(self, z: Sequence[np.ndarray]) -> Windows:
        """Series (C', T) drawn, one for each of those with gaps, as values."""
        made = []
        for number, one in zip(self.places.tolist(), z, strict=True):
            values = self.series[number].values.copy()
            for k, name in enumerate(c["name"] for c in self.codec.channels):
                if (place := self.codec.place(name)) is not None:
                    values[:, k] = self.codec.learned[place].decode(one[place])
            made.append(replace(self.series[number], values=values))
        return self.windows.with_series(made)

    def filled(self, made: Windows) -> Windows:
        """All the series given, their gaps filled."""
        series = list(self.series)
        for place, one in zip(self.places.tolist(), made.series, strict=True):
            was = series[place]
            series[place] = replace(was, values=np.where(self.hole[place], one.values, was.values))
        return self.windows.with_series(series)

    def best(self, draws: Sequence[Windows]) -> Windows:
        """The median of the draws, value by value, rounded as the channel is."""
        series = [
            replace(each[0], values=self._rounded(np.median([one.values for one in each], axis=0)))
            for each in zip(*(draw.series for draw in draws), strict=True)
        ]
        return replace(draws[0], series=tuple(series))

    def spread(self, draws: Sequence[Windows]) -> Rows:
        """A row for each gap: series, time, channel, median, standard deviation and quantiles of the draws."""

        def said(drawn: np.ndarray) -> dict[str, np.ndarray]:
            at = np.quantile(drawn, QUANTILES, axis=0, method="weibull")  # as often beyond, from 19 draws on
            sd = drawn.std(0, ddof=1) if len(drawn) > 1 else np.full(drawn.shape[1], np.nan)
            return {"value": np.median(drawn, 0), "sd": sd} | {
                f"q{100 * q:02.0f}": row for q, row in zip(QUANTILES, at, strict=True)
            }

        made = self._of_each(draws, said)
        for about in self.codec.channels:
            mine = (made.frame["channel"] == about["name"]).to_numpy()
            if mine.any():
                numbers = made.frame.columns[-2 - len(QUANTILES) :]
                made.frame.loc[mine, numbers] = made.frame.loc[mine, numbers].round(_digits(about))
        return made

    def drawn(self, draws: Sequence[Windows]) -> Rows:
        """A row for each gap: series, time, channel, and what each draw says."""
        return self._of_each(draws, lambda drawn: {str(k + 1): one for k, one in enumerate(drawn)})

    def _of_each(self, draws: Sequence[Windows], said: Callable[[np.ndarray], dict[str, np.ndarray]]) -> Rows:
        """A row for each gap; said: its columns from the draws (K, gaps)."""
        import pandas as pd

        parts = []
        for place, each in zip(self.places.tolist(), zip(*(draw.series for draw in draws), strict=True), strict=True):
            one = self.series[place]
            steps, channels = np.nonzero(self.hole[place])
            where = {
                self.windows.layout.identity or "series": one.name,
                self.windows.axis.name: times_written(one.times, self.windows.axis).to_numpy()[steps],
                "channel": np.array(self.windows.channels, dtype=object)[channels],
            }
            parts.append(pd.DataFrame(where | said(np.stack([draw.values[steps, channels] for draw in each]))))
        return Rows(pd.concat(parts, ignore_index=True), self.windows.source)

    def sheet(self, draws: Sequence[Windows]) -> np.ndarray:
        """Each of the first series with its gaps as a fan of quantiles."""
        from reverie.codecs.series_fans import fans

        series = [self.series[place] for place in self.places.tolist()]
        return fans(self.windows, series, [self.hole[k] for k in self.places.tolist()], draws)

    def write(self, items: Windows, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write series as they were given, with new rows for what the file left out."""
        return self.codec.write(items, path, text)

    def _rounded(self, values: np.ndarray) -> np.ndarray:
        for k, about in enumerate(self.codec.channels):
            if about.get("decimals") is not None:
                values[:, k] = np.round(values[:, k], about["decimals"])
        return values


def _digits(about: Mapping[str, Any]) -> int:
    """The decimals that a statistic of a channel is worth: one more than its data has, or six digits of its range."""
    if about["decimals"] is not None:
        return int(about["decimals"]) + 1
    return 6 - math.ceil(math.log10(about["knots"][-1][0] - about["knots"][0][0]))


def _steps(mask: Any, number: str) -> int:
    """A whole number of steps, from 1."""
    if not number.isdecimal() or int(number) < 1:
        raise ReverieError(f"--mask {mask}: say how many steps, e.g. future:24.")
    return int(number)


def _longer(codec: SeriesCodec, one: Series, ahead: int) -> Series:
    """A series with so many steps more, of which nothing is known but their time."""
    if not ahead:
        return one
    step = codec.axis["step"]
    if not codec.axis["regular"]:
        raise ReverieError(
            "--mask future: the steps of these series are not even, so that the times to come are not known. Add rows with the "
            "times asked for and empty cells."
        )
    times = np.concatenate([one.times, one.times[-1] + step * np.arange(1, ahead + 1)])
    values = np.concatenate([one.values, np.full((ahead, one.values.shape[1]), np.nan)])
    rows = None if one.rows is None else np.concatenate([one.rows, np.full(ahead, -1)])
    return replace(one, times=times, values=values, rows=rows)


def _marked(codec: SeriesCodec, series: list[Series], mask: Any, word: str, number: str) -> list[np.ndarray]:
    """A mask as a bool array (T, C) for each series."""
    names = [c["name"] for c in codec.channels]
    if word == "last":
        steps = _steps(mask, number)
        if short := [one.name for one in series if len(one) <= steps]:
            raise ReverieError(f"--mask {mask}: series {short[0]} has no more than {steps:,} steps.")
        return [np.arange(len(one))[:, None] >= len(one) - steps + np.zeros((1, len(names)), int) for one in series]
    if isinstance(mask, str) and not mask.endswith(".npy"):
        chosen = [w.strip() for w in mask.split(",")]
        if odd := [w for w in chosen if w not in names]:
            near = nearest(odd[0], names)
            raise ReverieError(f"--mask {mask}: there is no channel '{odd[0]}'. The nearest: {near}. Give {_WAYS}.")
        return [np.tile([n in chosen for n in names], (len(one), 1)) for one in series]
    try:
        found = np.load(mask, allow_pickle=False) if isinstance(mask, str | Path) else np.asarray(mask)
    except (OSError, ValueError) as error:
        raise ReverieError(f"{mask} cannot be read as a mask ({error}). Give {_WAYS}.") from error
    every = [found] * len(series) if found.ndim == 2 else list(found)
    if len(every) != len(series) or any(m.shape != one.values.shape for m, one in zip(every, series, strict=False)):
        shapes = ", ".join(str(one.values.shape) for one in series[:3])
        raise ReverieError(f"The mask is of shape {found.shape}; these series are {shapes}. Give {_WAYS}.")
    return [m.astype(bool) for m in every]
