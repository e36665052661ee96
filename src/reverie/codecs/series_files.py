"""Files of time series, read and written: tables long or wide, and arrays in .npz."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs import series_arrays, series_frames, series_letters, series_melted, series_wide
from reverie.codecs.rows import Rows, pandas
from reverie.codecs.series_frames import Found
from reverie.codecs.series_items import Series, Windows
from reverie.codecs.series_times import times_written as times_written
from reverie.errors import ReverieError

if TYPE_CHECKING:
    import pandas as pd

HEAD = 5000  # rows of a table that are looked at to tell what it is
SERIES = "series"  # the column that says which series a row is of, where the training file had only one


def read(path: Path) -> Windows:
    """Read .csv, .tsv, .parquet, .xlsx, .npz or .npy, each series whole; ReverieError names file, row, column and what to do."""
    return found(path).windows


def found(path: Path) -> Found:
    """The same, with notes of what was changed and left out, counted."""
    path = Path(path)
    if path.suffix.lower() in (".npz", ".npy"):
        return series_arrays.read(path)
    frame = Rows.read(path).frame
    if one := series_melted.unmelted(frame, str(path)):
        windows, notes = series_frames.of_frame(one.frame, str(path), one.time, one.identity)
        return Found(replace(windows, layout=replace(windows.layout, melted=one.melted)), [one.words, *notes])
    head = frame.head(HEAD)
    wide = series_frames.reason(head) is None and (
        series_wide.reason(head) is not None
        or (not series_frames.time_columns(head) and series_wide.steps_of(list(head.columns)) is not None)
    )
    return series_wide.of_wide(frame, str(path)) if wide else series_frames.of_frame(frame, str(path))


def reason(frame: pd.DataFrame) -> str | None:
    """Why a table, of which these are the first rows, holds time series; None where nothing speaks for it."""
    try:
        one = series_melted.unmelted(frame, "")
    except ReverieError:  # of a table with a variable at each time, which reading names
        return "a column names the variable of each row"
    if one and (why := series_frames.reason(one.frame)):
        return f"{one.words}; {why}"
    return series_frames.reason(frame) or series_wide.reason(frame)


def write(windows: Windows, path: Path, text: dict[str, str] | None = None) -> Path:
    """Write them whole, in the format that the suffix says, as the layout is where it says none.

    A table keeps its columns, their order and types, and what was not learned of it, letter by letter where it is text; steps
    that its file left out are new rows, where they have a value. `text` goes into a .json beside it.
    """
    path = Path(path)
    if path.suffix.lower() == ".npz" or (windows.layout.kind == "arrays" and not path.suffix):
        return series_arrays.write(windows, _items(windows), path, text)
    series = _items(windows)
    if windows.layout.kind == "wide":
        frame = series_wide.wide_frame(windows, series)
        rows = np.array([-1 if one.rows is None else one.rows.max() for one in series])
    else:
        frame, rows = _long_frame(windows, series)
    if windows.layout.melted:
        frame = series_melted.melted(frame, windows.layout, windows.channels)
    elif path.suffix.lower() not in (".parquet", ".xlsx"):
        frame = series_letters.as_written(frame, rows, windows)
    if path.suffix.lower() == ".xlsx" and any("," in str(kind) for kind in frame.dtypes):
        raise ReverieError(f"{path}: Excel has no dates with time zones. Write .csv or .parquet.")
    return Rows(frame).write(path, text)


def _items(windows: Windows) -> list[Series]:
    """The series to write: all of them, or each window as one of its own, under a name of its own."""
    items = list(windows)
    if windows.length is None and len({one.name for one in items}) == len(items):
        return items
    return [replace(one, name=str(k), rows=None) for k, one in enumerate(items)]


def _long_frame(windows: Windows, series: Sequence[Series]) -> tuple[pd.DataFrame, np.ndarray]:
    """A row for each observation: those of the file where they are of one, else made anew; the file's row of each, or -1."""
    frame = windows.frame
    each = [one.rows for one in series if one.rows is not None]
    if frame is None or windows.layout.kind != "long" or len(each) < len(series):
        made = _made(windows, series)
        return made, np.full(len(made), -1)
    rows = np.concatenate(each)
    values = np.concatenate([one.values for one in series])
    times = np.concatenate([one.times for one in series])
    owner = np.repeat(np.arange(len(series)), [len(one) for one in series])
    last = np.array([part.max() for part in each])
    before = np.concatenate([np.maximum.accumulate(part) for part in each])
    kept = np.flatnonzero((rows >= 0) | ~np.isnan(values).all(1))
    kept = kept[np.lexsort((kept, before[kept]))]  # a new row stands behind the one before it in time
    new = rows[kept] < 0
    cells = frame.iloc[np.where(new, last[owner[kept]], rows[kept])].reset_index(drop=True)
    static = series[0].static if series else {}
    for name in cells.columns:
        if name in windows.channels:
            k = windows.channels.index(name)
            cells[name] = _typed(values[kept, k], windows.dtypes[k])
        elif name == windows.axis.name and windows.axis.kind != "index":
            cells.loc[new, name] = times_written(times[kept], windows.axis)[new]
        elif new.any() and name != windows.layout.identity and name not in static:
            cells[name] = cells[name].convert_dtypes().where(~new)  # nobody knows it of a new row
    for k, name in enumerate(windows.channels):
        if name not in cells.columns:  # found beside what the file holds
            cells[name] = values[kept, k]
    return cells, rows[kept]


def _made(windows: Windows, series: Sequence[Series]) -> pd.DataFrame:
    """Rows of series that are of no file, in the order of its columns as far as they are known."""
    pd, axis = pandas(), windows.axis
    own, static = windows.layout.identity, series[0].static
    identity = own if own is not None and own not in static else SERIES if len(series) > 1 else None
    count = [len(one) for one in series]
    cells: dict[str, Any] = {}
    if identity is not None:
        cells[identity] = np.repeat(np.array([one.name for one in series], dtype=object), count)
    if axis.kind != "index":
        cells[axis.name] = times_written(np.concatenate([one.times for one in series]), axis)
    values = np.concatenate([one.values for one in series])
    for k, (name, dtype) in enumerate(zip(windows.channels, windows.dtypes, strict=True)):
        cells[name] = _typed(values[:, k], dtype)
    for name in static:
        told = pd.Series([one.static[name] for one in series], dtype=object).infer_objects()
        cells[name] = told.repeat(count).reset_index(drop=True)
    known = [name for name in windows.layout.columns if name in cells]
    return pd.DataFrame(cells)[[*(name for name in cells if name not in known and name == identity), *known,
                                *(name for name in cells if name not in known and name != identity)]]  # fmt: skip


def _typed(values: np.ndarray, dtype: str) -> pd.Series:
    """Numbers as a column of the file's own type, or of the one beside it that may be empty, where some are."""
    column = pandas().Series(values)
    if dtype.lower().startswith(("int", "uint", "bool")):
        whole = column.round() if not dtype.lower().startswith("bool") else column.round() != 0
        if not column.isna().any():
            return whole.astype(dtype)
        empty = {"i": "Int64", "u": "UInt64", "b": "boolean"}[dtype[0].lower()]
        return whole.astype(empty).where(column.notna())
    return column.astype(dtype) if dtype.lower().startswith("float") else column
