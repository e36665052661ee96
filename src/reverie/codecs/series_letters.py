"""Series that go back to text: cells that nobody changed letter by letter as they stood there, others like their column's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs.rows import Rows, pandas
from reverie.codecs.series_items import Windows

if TYPE_CHECKING:
    import pandas as pd


def as_written(made: pd.DataFrame, rows: np.ndarray, windows: Windows) -> pd.DataFrame:
    """A table with the letters of the windows' own file where its cells are as they are there.

    rows: (N,) int64, the file's row of each of the table's, -1 for a new one. A cell that is not the file's has no point where
    none of the numbers in its column has one. The table itself, where the file is no text or its rows are others.
    """
    frame = windows.frame
    letters = None if frame is None else Rows(frame, windows.source).letters()
    if frame is None or letters is None or list(letters.columns) != list(frame.columns):
        return made
    at, cells = np.maximum(rows, 0), dict[str, Any]()
    for name in made.columns:
        cells[name] = made[name]
        if name in letters.columns:
            text, numeric = letters[name].tolist(), pandas().api.types.is_numeric_dtype(made[name])
            was, now = (_comparable(column, numeric) for column in (frame[name], made[name]))
            same = (rows >= 0) & (now == was[at])
            whole = numeric and all(
                cell.lstrip("+-").isdigit() for cell, there in zip(text, was, strict=True) if there != ""
            )
            cells[name] = [
                text[k] if kept else _cell(value, whole) for k, kept, value in zip(at, same, now, strict=True)
            ]
    return pandas().DataFrame(cells)


def _comparable(column: pd.Series, numeric: bool) -> np.ndarray:
    """Cells as objects that equal those of the same value, "" for empty ones."""
    column = pandas().to_numeric(column, errors="coerce") if numeric else column
    return np.where(column.isna(), "", column.to_numpy(dtype=object))


def _cell(value: Any, whole: bool) -> Any:
    """A cell that the file has not: empty, a whole number, or what it is."""
    return round(value) if whole and value != "" else value
