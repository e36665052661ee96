"""Tables as data: the rows of a file, some columns of which may be told to the model instead of learned."""

from __future__ import annotations

import numpy as np

from reverie.codecs.rows import Rows, signed
from reverie.data.columns import Column, Labels, Numbers
from reverie.data.dataset import Data
from reverie.data.kinds import Guess
from reverie.data.labels import NO_LABEL
from reverie.data.wishes import Untold, Wish, parse
from reverie.errors import ReverieError, nearest

_FEW = 20  # distinct numbers, up to which they are classes


def read_table(found: Guess, label_from: str = "folder", condition: str | None = None) -> Data:
    """The rows of a table. condition: columns that the model is told, `age,label:job,number:pay=gross.pay`, see `wishes`.

    label_from: "csv:COLUMN" takes a column as the rows' labels. Columns that are told stay with the rows, which say so, and are
    not learned. Raises ReverieError for what cannot be read, and a column that is not there.
    """
    rows = Rows.read(found.place)
    wishes = parse(condition)
    if label_from.startswith("csv:"):
        wishes.append(Wish("label", "label", label_from.removeprefix("csv:")))
    told = {wish.name: _told(rows, wish) for wish in wishes}
    return Data(
        Rows(rows.frame, rows.source, {wish.place: wish.name for wish in wishes}),
        [f"row {k + 2}" for k in range(len(rows))],
        kind="table",
        source=str(found.place),
        notes=[f"read as a table: {found.why}", *filter(None, (signed(rows.frame[c]) for c in rows.frame.columns))],
        conditions=told,
    )


def _told(rows: Rows, wish: Wish) -> Column:
    """A column as what the model is told: as a person says, else a number where it has many values, and a class where not."""
    if wish.kind == "image":
        raise ReverieError(f"--condition {wish}: the rows of a table have no pictures. Give columns of it.")
    if wish.place not in rows.frame.columns:
        near = nearest(wish.place, [str(c) for c in rows.frame.columns])
        raise Untold(f"{rows.source} has no column '{wish.place}'. The nearest: {near}.")
    series = rows.frame[wish.place]
    if wish.kind == "number" or (wish.kind != "label" and series.dtype.kind in "iuf" and series.nunique() > _FEW):
        if series.dtype.kind not in "iufb":
            raise ReverieError(
                f"{rows.source}: the column '{wish.place}' holds words; it is told as label:{wish.place}."
            )
        return Numbers(series.to_numpy(dtype=np.float64, na_value=np.nan))
    words = [NO_LABEL if gone else str(v) for v, gone in zip(series, series.isna(), strict=True)]
    return Labels.of(words, wish.name)
