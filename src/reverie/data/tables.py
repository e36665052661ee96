"""Tables as data: the rows of a file, some columns of which may be told to the model instead of learned."""

from __future__ import annotations

import numpy as np

from reverie.codecs.rows import Rows
from reverie.data.columns import Column, Labels, Numbers
from reverie.data.dataset import Data
from reverie.data.kinds import Guess
from reverie.errors import ReverieError, nearest


def read_table(found: Guess, label_from: str = "folder", condition: str | None = None) -> Data:
    """The rows of a table. condition: names of columns, comma-separated, that the model is told.

    Raises ReverieError for what cannot be read, a column that is not there, and fewer than two columns left to learn.
    """
    if label_from not in ("folder", "none"):
        raise ReverieError(
            f"--label-from {label_from} is for files of pictures; of a table, --condition COLUMN is what the model is told."
        )
    rows = Rows.read(found.place)
    told: dict[str, Column] = {}
    for name in filter(None, (word.strip() for word in (condition or "").split(","))):
        told[name] = _told(rows, name)
    kept = [c for c in rows.frame.columns if c not in told]
    return Data(
        Rows(rows.frame[kept], rows.source),
        [f"row {k + 2}" for k in range(len(rows))],
        kind="table",
        source=str(found.place),
        notes=[f"read as a table: {found.why}"],
        conditions=told,
    )


def _told(rows: Rows, name: str) -> Column:
    """A column as what the model is told: a number where it has many values, else a class."""
    if name not in rows.frame.columns:
        raise ReverieError(
            f"{rows.source} has no column '{name}'. The nearest: {nearest(name, [str(c) for c in rows.frame.columns])}."
        )
    series = rows.frame[name]
    if series.dtype.kind in "iuf" and series.nunique() > 20:
        return Numbers(series.to_numpy(dtype=np.float64, na_value=np.nan))
    return Labels.of([str(v) for v in series.fillna("(missing)")], name)
