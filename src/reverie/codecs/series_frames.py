"""Tables that hold time series: which column tells time, which says what series a row is of, and what else is there.

Long: a row is an observation, in the order of time within each series. Wide: a row is a series, its columns are steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from reverie.codecs.rows import pandas, signed
from reverie.codecs.series_grid import common_step, gridded
from reverie.codecs.series_items import Axis, Layout, Series, Windows
from reverie.codecs.series_times import (
    MOST,
    SAYS_DATE,
    SINCE_1970,
    evened,
    is_date,
    iso,
    offsets,
    parsed,
    told,
    words_of,
)
from reverie.errors import ReverieError, nearest

if TYPE_CHECKING:
    import pandas as pd

SAYS_TIME = SAYS_DATE | {"step", "timestep", "year", "yr"}
PART_OF_TIME = {"month", "mnth", "day", "hour", "hr", "minute", "second", "week", "weekday", "quarter", "season"}
_COUNTS = {"index", "obs", "n", "unnamed", "period"}  # of rows; time only where a person says that these are series
_SAYS_SERIES = {"series", "series_id", "unique_id", "item_id", "id"}
TABLE = "If these are no time series, say --kind table."
_ABLE = 6  # columns that are tried two by two
_LONG = 4  # rows that a series has at least, on average, for a table to be taken for series
_MOST_EXACT = 2**53


class Found(NamedTuple):
    """Series that were read, each whole, and what a person should know of how, counted."""

    windows: Windows
    notes: list[str]


def says_time(name: str) -> bool:
    """Whether a column's name says that it tells time."""
    return bool(SAYS_TIME & words_of(name))


def time_columns(frame: pd.DataFrame) -> list[str]:
    """Columns that could tell time, the likeliest first: dates called time, dates, numbers called time."""
    pd = pandas()
    dates = [n for n in frame.columns if is_date(frame[n])]
    numbers = [n for n in frame.columns if pd.api.types.is_numeric_dtype(frame[n]) and says_time(n)]
    return sorted(dates, key=lambda n: not says_time(n)) + numbers


def identity_of(frame: pd.DataFrame, times: np.ndarray, time: str) -> str | None:
    """The column that says which series a row is of; None where all rows are one.

    A column that is called so, and within whose values the times rise; else, where they do not rise through all rows, the one of
    the fewest values within which they do. Where there is none, and no two columns name evenly spaced series together, one within
    which 19 in 20 do: reading it names the fault.
    """
    able = [n for n in frame.columns if n != time and _can_identify(frame[n])]
    named = [n for n in able if n.lower() in _SAYS_SERIES]
    rising = np.diff(times).min(initial=1) > 0
    wrong = {n: len(_backwards(times, _codes(frame[n]))) for n in (named if rising else able)}
    for most in (0, len(times) // 20):
        if fit := [n for n in wrong if wrong[n] <= most]:
            if most and (pair := _pair(frame, times, time)) and _even(times, _together(frame, pair)):
                return None
            return min(fit, key=lambda n: (n not in named, wrong[n], frame[n].nunique()))
    return None


def _pair(frame: pd.DataFrame, times: np.ndarray, time: str) -> tuple[str, str] | None:
    """Two columns of which each value with each is a series, within which the times rise; None where one or none is enough."""
    if (np.diff(times) > 0).all():
        return None
    able = [n for n in frame.columns if n != time and _can_identify(frame[n])][:_ABLE]
    for a, b in combinations(able, 2):
        codes = _together(frame, (a, b))
        if len(times) >= _LONG * (codes.max() + 1) and not _backwards(times, codes):
            return a, b
    return None


def _together(frame: pd.DataFrame, pair: tuple[str, str]) -> np.ndarray:
    """Which series each row is of (N,) int64, where two columns say so together."""
    return np.asarray(frame.groupby(list(pair), sort=False).ngroup(), dtype=np.int64)


def _even(times: np.ndarray, codes: np.ndarray) -> bool:
    """Whether no series is tiny and nine in ten steps are alike, as they are not where a count or mark was taken for a name."""
    if np.bincount(codes).min() < _LONG:
        return False
    order = np.argsort(codes, kind="stable")
    parts = np.split(times[order], np.flatnonzero(np.diff(codes[order])) + 1)
    return common_step(parts)[1] >= MOST


def of_frame(frame: pd.DataFrame, source: str, time: str | None = None, identity: str | None = None) -> Found:
    """Series of a long table. time, identity: its columns, found where they are not said; without time rows are steps.

    Raises ReverieError, naming row and column, for times that are none, go backwards or repeat within a series, values that are
    infinite or words among numbers, and where there is no channel or no second step.
    """
    for name in filter(None, (time, identity)):
        if name not in frame.columns:
            raise ReverieError(f"{source} has no column '{name}'. The nearest: {nearest(name, list(frame.columns))}.")
    time = time or next(iter(time_columns(frame)), None) or _count(frame)
    if time is None:
        times, axis = np.arange(len(frame), dtype=np.float64), Axis()
    else:
        times, axis = parsed(frame[time], source)
    if identity is None:
        identity = (
            identity_of(frame, times, time) if time else next((n for n in frame if n.lower() in _SAYS_SERIES), None)
        )
    if time and identity is None and (pair := _pair(frame, times, time)):
        raise ReverieError(
            f"{source}: '{pair[0]}' and '{pair[1]}' together say which series a row is of; it has to be one column. Join them "
            f"(in pandas: t['series'] = t['{pair[0]}'].astype(str) + '/' + t['{pair[1]}'].astype(str)) and remove both. {TABLE}"
        )
    codes, names = _series_of(frame, identity, source)
    if time is not None:
        _check_rising(frame, times, codes, time, identity, source)
        times, axis = evened(times, axis)
    order = np.argsort(codes, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    if max(map(len, rows)) < 2:
        raise ReverieError(
            f"{source} has one time stamp{' of each series' * (len(rows) > 1)}. A series needs at least two. {TABLE}"
        )
    others = [n for n in frame.columns if n not in (time, identity)]
    channels, static, notes = _columns(frame, others, codes, names, source)
    values = np.stack([channels[n] for n in channels], 1)
    series = [
        Series(
            name,
            times[r] if time else np.arange(len(r), dtype=np.float64),
            values[r],
            {n: static[n][k] for n in static},
            r,
        )
        for k, (name, r) in enumerate(zip(names, rows, strict=True))
    ]
    made, axis, changed = gridded(series, axis)
    layout = Layout("long", identity, tuple(frame.columns))
    dtypes = tuple(str(frame[n].dtype) for n in channels)
    windows = Windows.whole(made, tuple(channels), axis, layout, dtypes=dtypes, source=source, frame=frame)
    said = [] if identity is None else [f"'{identity}' says which of {len(made):,} series a row is of"]
    if time and len(clocks := offsets(frame[time])) > 1:
        said.append(f"'{time}' is written with the offsets {', '.join(clocks)}: read, shown and written in UTC")
    if time and axis.format in SINCE_1970:
        ends = " to ".join(iso(t, axis.calendar)[:16].replace("T", " ") for t in (times.min(), times.max()))
        said.append(f"'{time}' is {axis.format}: {ends} UTC. If it counts something else, call the column 'step'")
    return Found(windows, [*said, *changed, *notes])


def number_values(column: pd.Series, source: str) -> np.ndarray | None:
    """A column as numbers (N,) float64, NaN where empty; None for one of words or dates.

    Raises ReverieError for infinite values, and for single words among numbers.
    """
    pd, name = pandas(), str(column.name)
    if pd.api.types.is_datetime64_any_dtype(column):
        return None
    numbers = column if pd.api.types.is_numeric_dtype(column) else pd.to_numeric(column, errors="coerce")
    bad = np.flatnonzero(numbers.isna() & column.notna())
    if not numbers.notna().any() and len(bad):
        return None
    if len(bad):
        if 2 * len(bad) > column.notna().sum():
            return None
        raise ReverieError(
            f"{source}, row {bad[0] + 2}, column '{name}': '{column.iloc[bad[0]]}' stands among numbers "
            f"({len(bad):,} of {len(column):,} cells are words). Mend the cell, or empty it."
        )
    values = numbers.to_numpy(dtype=np.float64, na_value=np.nan)
    if (odd := np.flatnonzero(np.isinf(values))).size:
        raise ReverieError(
            f"{source}, row {odd[0] + 2}, column '{name}': {values[odd[0]]} is infinite ({len(odd):,} cells are). "
            "Mend the cell, or empty it."
        )
    if pd.api.types.is_integer_dtype(numbers) and np.nanmax(np.abs(values), initial=0) > _MOST_EXACT:
        return None
    return values


def _count(frame: pd.DataFrame) -> str | None:
    """A column that counts rows, where nothing better tells time."""
    pd = pandas()
    counts = (
        n for n in frame.columns if words_of(n) & (_COUNTS | PART_OF_TIME) and pd.api.types.is_integer_dtype(frame[n])
    )
    return next((n for n in counts if frame[n].notna().all() and (np.diff(frame[n]) > 0).all()), None)


def _can_identify(column: pd.Series) -> bool:
    """Whether a column could say which series a row is of: words or whole numbers, that repeat, and no part of a date."""
    pd = pandas()
    number = pd.api.types.is_numeric_dtype(column)
    if pd.api.types.is_bool_dtype(column) or (number and not pd.api.types.is_integer_dtype(column)):
        return False
    if (SAYS_TIME | PART_OF_TIME) & words_of(str(column.name)) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    return bool(column.notna().all() and column.nunique() < len(column))


def _codes(column: pd.Series) -> np.ndarray:
    """Which series each row is of, (N,) int64, in the order in which they begin."""
    return np.asarray(pandas().factorize(column)[0], dtype=np.int64)


def _backwards(times: np.ndarray, codes: np.ndarray) -> list[tuple[int, int]]:
    """Rows whose time is not after that of their series' row before, each with that row."""
    order = np.argsort(codes, kind="stable")
    wrong = np.flatnonzero((np.diff(times[order]) <= 0) & (np.diff(codes[order]) == 0))
    return sorted(zip(order[wrong + 1].tolist(), order[wrong].tolist(), strict=True))


def _series_of(frame: pd.DataFrame, identity: str | None, source: str) -> tuple[np.ndarray, list[str]]:
    """Which series each row is of, and what each is called."""
    if identity is None:
        return np.zeros(len(frame), np.int64), [Path(source).stem]
    if (gone := np.flatnonzero(frame[identity].isna())).size:
        raise ReverieError(f"{source}, row {gone[0] + 2}, column '{identity}': no series' name. Fill it in.")
    return _codes(frame[identity]), [str(value) for value in frame[identity].drop_duplicates()]


def _check_rising(
    frame: pd.DataFrame, times: np.ndarray, codes: np.ndarray, time: str, identity: str | None, source: str
) -> None:
    if not (found := _backwards(times, codes)):
        return
    row, before = found[0]
    of = "" if identity is None else f" of series {frame[identity].iloc[row]}"
    if times[row] == times[before]:
        what, do = f"{frame[time].iloc[row]} stands there already, in row {before + 2}", "Keep one row for each time"
    else:
        what = f"{frame[time].iloc[row]} comes after {frame[time].iloc[before]} in row {before + 2}"
        do = "Sort the rows by time"
    many = "" if identity else (
        ", or let one column say which series a row is of (where one names the variable, pivot the table: a column for each)"
    )  # fmt: skip
    raise ReverieError(
        f"{source}, row {row + 2}, column '{time}'{of}: {what} (rows like this: {len(found):,}). {do}{many}. {TABLE}"
    )


def _columns(
    frame: pd.DataFrame, names: Sequence[str], codes: np.ndarray, series: Sequence[str], source: str
) -> tuple[dict[str, np.ndarray], dict[str, list[Any]], list[str]]:
    """Channels (N,) by name, what is the same all through each series, (S,) by name, and what there is to say."""
    channels: dict[str, np.ndarray] = {}
    static: dict[str, list[Any]] = {}
    left, flat, odd = [], [], []
    first = np.unique(codes, return_index=True)[1]
    for name in names:
        values = number_values(frame[name], source)
        distinct = frame[name].nunique(dropna=False)
        same = (
            len(first) > 1
            and distinct <= len(first)
            and bool((frame[name].groupby(codes).nunique(dropna=False) == 1).all())
        )
        if (same and (distinct > 1 or values is None)) or (values is None and distinct == 1):
            static[name] = [v.item() if isinstance(v, np.generic) else v for v in frame[name].iloc[first]]
            continue
        odd += _odd_ones(frame[name], codes, series)
        if values is None:
            left.append(f"'{name}' ({distinct:,} values)")
        else:
            channels[name] = values
            seen = values[~np.isnan(values)]
            if not len(seen) or seen.min() == seen.max():
                flat.append(f"'{name}' is {'always empty' if not len(seen) else f'always {seen[0]:g}'}")
    money = [hint for name in names if (hint := signed(frame[name]))]
    if not channels:
        hint = f" {money[0]}." if money else ""
        raise ReverieError(
            f"{source} has no column of numbers that change in time ({', '.join(names) or 'none'}).{hint} {TABLE}"
        )
    notes = money + odd + ([f"columns that are no numbers, left out: {', '.join(left)}"] if left else [])
    return channels, static, notes + ([f"channels that never change: {', '.join(flat)}"] if flat else [])


def _odd_ones(column: pd.Series, codes: np.ndarray, series: Sequence[str]) -> list[str]:
    """Where a column that tells series apart changes within one of them, or one in ten: mistakes, likely."""
    few = max(1, len(series) // 10)
    if len(series) < 3 or not 1 < column.nunique(dropna=False) <= len(series) + few:
        return []
    kept = column.groupby(codes).nunique(dropna=False).to_numpy() == 1
    first = column.groupby(codes).transform("first")
    if not len(series) - few <= kept.sum() < len(series) or first[kept[codes]].nunique() < 2:
        return []
    row = int(np.flatnonzero((column != first).to_numpy() & ~kept[codes])[0])
    return [
        f"'{column.name}' is the same all through each series but {(~kept).sum():,}, and so is told of none: in series "
        f"{series[codes[row]]} it changes in row {row + 2}, from {first.iloc[row]} to {column.iloc[row]}"
    ]


def reason(whole: pd.DataFrame) -> str | None:
    """Why a table's rows are observations of series, in words; None where nothing speaks for it.

    Its times rise, in all or within the values of one column, and its name says time or half of the steps are alike. A few that
    go back in a column of both, or that are no times, leave it a series, with a fault that reading it names.
    """
    for name in time_columns(whole):
        here = told(whole[name])
        if here.mean() < MOST:
            continue
        frame = whole[here]
        try:
            times, _ = evened(*parsed(frame[name], ""))
        except ReverieError:
            continue
        identity = identity_of(frame, times, name)
        if identity is None and (pair := _pair(frame, times, name)):
            return f"the times in '{name}' rise within each '{pair[0]}' of each '{pair[1]}'"
        codes = _codes(frame[identity]) if identity else np.zeros(len(frame), np.int64)
        if len(times) < _LONG * (codes.max() + 1):
            continue
        order = np.argsort(codes, kind="stable")
        parts = np.split(times[order], np.flatnonzero(np.diff(codes[order])) + 1)
        steps = np.concatenate([np.diff(p) for p in parts])
        alike = common_step(parts)[1] >= 0.5
        rising = bool((steps > 0).all())
        if (rising and (alike or says_time(name))) or ((steps > 0).mean() >= 0.95 and alike and says_time(name)):
            within = f" within each '{identity}'" if identity else ""
            return f"the times in '{name}' rise{within}{', most by the same step' * alike}"
    return None
