"""Rows that a person gives to a model of tables: taken in from Python, held against what training had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs.cells import Category, Cells, Fixed, Number, Told
from reverie.codecs.rows import Rows
from reverie.errors import ReverieError

if TYPE_CHECKING:
    from reverie.codecs.table import TableCodec


def gathered(given: Any) -> Rows:
    """Rows of a DataFrame, a dict of columns, a list of dicts, or one dict; ReverieError for anything else."""
    import pandas as pd

    try:
        if isinstance(given, Mapping):
            given = pd.DataFrame(given if any(np.ndim(v) for v in given.values()) else [given])
        return Rows.of(given)
    except (TypeError, ValueError) as error:
        raise ReverieError(
            f"A table is a file, a DataFrame or a list of dicts, column to value; this is a {type(given).__name__}."
        ) from error


def has_columns(codec: TableCodec, rows: Rows, remedy: str) -> None:
    """Refuse rows that lack a column that is learned; `remedy` ends the message."""
    if lost := [c.name for c in codec.cells if c.name not in rows.frame.columns and not isinstance(c, Fixed | Told)]:
        raise ReverieError(
            f"{rows.source} has no column {', '.join(map(repr, lost[:5]))}{' ...' * (len(lost) > 5)}, which the model knows. "
            f"{remedy}"
        )


def fits(codec: TableCodec, rows: Rows, gaps: Mapping[str, np.ndarray]) -> None:
    """Refuse rows that lack a column, or hold, but in their gaps, a category that training did not have."""
    has_columns(codec, rows, f"It has: {', '.join(map(str, rows.frame.columns[:12]))}.")
    for c in codec.cells:
        if not isinstance(c, Category):
            continue
        odd = c.unknown(rows.frame[c.name])
        if (odd := odd & ~gaps.get(c.name, odd & False)).any():
            k = int(np.flatnonzero(odd)[0])
            known = ", ".join(map(str, c.values[:8])) + ", ..." * (len(c.values) > 8)
            cell = rows.frame[c.name].iloc[k]
            what = "an empty cell" if cell is None or cell != cell else f"'{cell}'"
            raise ReverieError(
                f"{rows.source}, row {k + 2}, column '{c.name}': {what} was not in training, which had {known} "
                f"({int(odd.sum())} such cells). Mend them, or leave these rows out."
            )


def remarks(codec: TableCodec, rows: Rows, gaps: bool) -> list[str]:
    """What of the rows is unlike training; refuses empty cells where training had none, unless they are gaps to be filled."""
    said, names = [], [c.name for c in codec.cells]
    if more := [str(n) for n in rows.frame.columns if n not in names]:
        said.append(f"{len(more)} columns that the model did not learn are left as they are: {', '.join(more[:8])}")
    for c in codec.cells:
        if not isinstance(c, Number):
            continue
        x = c.numbers(rows.frame[c.name], rows.source)
        if not gaps and not c.missing and np.isnan(x).any():
            raise ReverieError(
                f"{rows.source}, row {int(np.flatnonzero(np.isnan(x))[0]) + 2}, column '{c.name}' is empty, which it never was "
                f"in training ({int(np.isnan(x).sum())} such cells). Fill them in, with `reverie complete` if need be."
            )
        unseen, beyond = c.unseen(x), c.beyond(x)
        if beyond.any():
            ends = c.series(np.array([c.low, c.high])).tolist()
            said.append(
                f"'{c.name}': {beyond.sum():,} cells beyond training's {ends[0]} to {ends[1]}, the stranger the further off "
                f"(the first {_first(rows, c.name, beyond)})"
            )
        if (between := unseen & ~beyond).any():
            said.append(
                f"'{c.name}': {between.sum():,} cells where training had no value, taken for the nearest that it had "
                f"(the first {_first(rows, c.name, between)})"
            )
    return said


def _first(rows: Rows, name: str, odd: np.ndarray) -> str:
    """The first odd cell of a column, and the row of the file that it stands in."""
    k = int(np.flatnonzero(odd)[0])
    return f"{rows.frame[name].iloc[k]}, in row {k + 2}"


def held_out_unseen(cells: Sequence[Cells], rows: Rows) -> list[str]:
    """How many cells of all rows, and of which columns, training's rows have no place for."""
    numbers = [(c, c.numbers(rows.frame[c.name])) for c in cells if isinstance(c, Number)]
    counts = {c.name: (int(c.beyond(x).sum()), int(c.unseen(x).sum())) for c, x in numbers}
    if not (some := [name for name, (_, unseen) in counts.items() if unseen]):
        return []
    where = ", ".join(map(repr, some[:5])) + ", ..." * (len(some) > 5)
    beyond, unseen = (sum(each) for each in zip(*counts.values(), strict=True))
    return [
        f"of the cells held out ({where}) {beyond:,} are beyond training's range, and {unseen - beyond:,} stand where training "
        "has no value: these are taken for the nearest that it has"
    ]
