"""Rows of what jobs made, a page at a time: tables, and series as a row for each step."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from reverie.codecs.rows import pandas, read_workbook
from reverie.errors import ReverieError

_SEPARATORS = {".csv": ",", ".tsv": "\t"}


class Rows(BaseModel):
    """Some rows of a table; what is missing is null."""

    columns: list[str]
    total: int
    rows: list[list[Any]]


def rows_of(path: Path, first: int, most: int) -> Rows:
    """Rows `first` to `first + most` of a .csv, .tsv, .parquet, .xlsx, or of the series of a .npz.

    Raises ReverieError for other files, and for a .npz that holds objects or no series.
    """
    kind = path.suffix.lower()
    if kind == ".npz":
        return _series(path, first, most)
    if kind in _SEPARATORS:
        frame = pandas().read_csv(path, sep=_SEPARATORS[kind], low_memory=False)
    elif kind == ".parquet":
        frame = pandas().read_parquet(path)
    elif kind == ".xlsx":
        frame = read_workbook(path)
    else:
        raise ReverieError(
            f"A {kind or 'file without ending'} has no rows; .csv, .tsv, .parquet, .xlsx and series in .npz have."
        )
    return _page(frame, len(frame), first, most)


def _series(path: Path, first: int, most: int) -> Rows:
    """Series (N, T, C) as rows of series, step or time, and channels."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:  # objects, which could run code, among them
        raise ReverieError("This .npz cannot be read as plain arrays.") from error
    if (values := found.get("values")) is None or values.ndim not in (2, 3):
        raise ReverieError("This .npz holds no series: it has no 'values' of shape (series, steps, channels).")
    values = values if values.ndim == 3 else values[:, :, None]
    count, steps, width = values.shape
    here = np.arange(first, min(first + most, count * steps))
    names = found.get("names", np.arange(count))
    times = found.get("times", np.arange(steps))
    channels = [str(c) for c in found.get("channels", [f"channel {k}" for k in range(width)])]
    series, step = np.divmod(here, steps)
    columns = {
        "series": names[series],
        "time": times[step] if times.ndim == 1 else times[series, step],
        **{
            f"{name} (channel)" if name in ("series", "time") else name: values[series, step, k]
            for k, name in enumerate(channels)
        },
    }
    made = _page(pandas().DataFrame(columns), count * steps, 0, most)
    return made


def _page(frame: Any, total: int, first: int, most: int) -> Rows:
    frame = frame.iloc[first : first + most]
    text = frame.to_json(orient="split", index=False, date_format="iso", default_handler=str)
    found = json.loads(text)
    return Rows(columns=[str(column) for column in found["columns"]], total=total, rows=found["data"])
