"""Rows with empty cells: what the others say of them, encoded, and the rows with these filled in."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from reverie.codecs.cells import Category, Cells, Fixed, Number, Told
from reverie.codecs.gaps import Gaps
from reverie.codecs.rows import Rows
from reverie.codecs.table_checks import has_columns
from reverie.errors import ReverieError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from reverie.codecs.table import TableCodec

_TAIL = 0.05  # of the draws, below and above the quantiles that are shown


class TableGaps(Gaps):
    """Gaps of a table. codec: the model's. rows: as they were given. hole: (rows, columns of the codec) bool, what to fill.

    allowed: by column, the values that a gap may be filled with; any that training had where it is not named. A gap is filled
    with a value, never with "missing". `count` is the number of cells.
    """

    entries: ClassVar[str] = "cells"
    things: ClassVar[str] = "rows"

    def __init__(
        self, codec: TableCodec, rows: Rows, hole: np.ndarray, allowed: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        self.codec, self.rows = codec, rows
        self.hole = {c.name: hole[:, k] for k, c in enumerate(codec.cells)}
        self.places = np.flatnonzero(hole.any(1))
        self.notes: list[str] = []
        cells = {name: gap[self.places] for name, gap in self.hole.items()}
        self.x = {k: x[self.places] for k, x in codec.encode_known(rows, self.hole).items()}
        self.known, self.possible = {}, {}
        for field, block in codec.blocks.items():
            self.known[field] = np.stack([~cells[c.name] | _says_missing(c, field) for c in block], 1)
            classes = codec.fields[field].classes
            if classes and any(isinstance(c, Category) and (c.missing or c.name in (allowed or {})) for c in block):
                one = [_possible(c, cells[c.name], classes, (allowed or {}).get(c.name)) for c in block]
                self.possible[field] = np.stack(one, 2)

    @property
    def count(self) -> int:
        """How many cells."""
        return int(sum(gap.sum() for gap in self.hole.values()))

    def filled(self, made: Rows) -> Rows:
        """The rows with their gaps filled; columns that are full have training's own dtype where that changes no cell."""
        frame = self.rows.frame.copy()
        for name, gap in self._gaps():
            frame[name] = _joined(
                frame[name], gap, made.frame[name].to_numpy(dtype=object)[gap[self.places]], made, name
            )
        return Rows(frame, self.rows.source)

    def best(self, draws: Sequence[Rows]) -> Rows:
        """Means of numbers, rounded as the column is, and the commonest words, the first of equals in the order of classes."""
        import pandas as pd

        made = {}
        for c in self.codec.cells:
            each = [draw.frame[c.name] for draw in draws if c.name in draw.frame.columns]
            if isinstance(c, Number):
                made[c.name] = c.series(_rounded(c, np.stack([c.numbers(one) for one in each]).mean(0)))
            elif isinstance(c, Category):
                made[c.name] = c.series(_counts(c, each).argmax(1))
            elif each:
                made[c.name] = each[0]
        return Rows(pd.DataFrame(made))

    def spread(self, draws: Sequence[Rows]) -> Rows:
        """A row for each gap: row of the file, column, value, standard deviation and quantiles, or share of the draws."""
        import pandas as pd

        parts, best = [], self.best(draws).frame
        for c in self.codec.cells:
            gap = self.hole[c.name]
            here = gap[self.places]
            if isinstance(c, Fixed | Told) or not here.any():
                continue
            each = [draw.frame[c.name][here] for draw in draws]
            said: dict[str, Any] = {"row": np.flatnonzero(gap) + 2, "column": c.name}
            said["value"] = best[c.name][here].to_numpy(dtype=object)
            if isinstance(c, Number):
                x = np.stack([c.numbers(one) for one in each])
                unit = c.unit / 86_400 if c.format is not None else 1.0  # of dates, in days
                said["sd"] = x.std(0, ddof=1) * unit if len(x) > 1 else np.nan
                low, high = np.quantile(
                    x, [_TAIL, 1 - _TAIL], axis=0, method="weibull"
                )  # as often beyond, from 19 draws on
                said["q05"], said["q95"] = (c.series(_rounded(c, q)).to_numpy(dtype=object) for q in (low, high))
            elif isinstance(c, Category):
                said["share"] = _counts(c, each).max(1) / len(each)
            parts.append(pd.DataFrame(said))
        columns = ["row", "column", "value", "sd", "q05", "q95", "share"]
        found = pd.concat([p.astype(object) for p in parts]) if parts else pd.DataFrame(columns=columns)
        return Rows(found.reindex(columns=columns).sort_values("row", kind="stable").reset_index(drop=True))

    def write(self, items: Rows, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write rows; where they came from a CSV and go to one, its cells letter by letter but for those filled in."""
        if (written := self.rows.as_written(path)) is not self.rows:
            for name, gap in self._gaps():
                written.frame.loc[gap, name] = items.frame[name][gap].astype(str).to_numpy(dtype=object)
            items = written
        return items.write(path, text)

    def sheet(self, draws: Sequence[Rows]) -> np.ndarray:
        """The first rows that had gaps, filled, each with its row of the file; what was filled in is marked."""
        from reverie.codecs.text_table import COLUMNS, drawn

        rows, gaps = self.places, dict(self._gaps())
        frame = self.filled(self.best(draws)).frame.iloc[rows]
        few = sorted(frame.columns, key=lambda name: name not in gaps)[
            : COLUMNS - 1
        ]  # those with gaps before any other
        order = [name for name in frame.columns if name in few] + [name for name in frame.columns if name not in few]
        marked = np.stack([gaps[name][rows] if name in gaps else np.zeros(len(rows), bool) for name in order], 1)
        return drawn(frame[order], marked, [f"row {k + 2}" for k in rows.tolist()])

    def _gaps(self) -> list[tuple[str, np.ndarray]]:
        return [(name, gap) for name, gap in self.hole.items() if gap.any()]


def holes(codec: TableCodec, rows: Rows, mask: Any = None) -> np.ndarray:
    """Which cells to fill, (N, columns of the codec) bool: those that are empty, and those that a mask marks.

    mask: names of columns, comma-separated; a bool array, DataFrame, .npy or .csv of the table's shape, true where to fill.
    """
    frame, names = rows.frame, [c.name for c in codec.cells]
    has_columns(codec, rows, "Add it, empty where it is to be filled in.")
    empty = np.stack(
        [frame[n].isna().to_numpy() if n in frame.columns else np.zeros(len(frame), bool) for n in names], 1
    )
    for k, c in enumerate(codec.cells):
        if isinstance(c, Told) or (isinstance(c, Fixed) and c.value is None):
            empty[:, k] = False
    if mask is None:
        return empty
    marked = _marked(mask, rows)
    if odd := [n for n in marked.columns[marked.any()] if n not in names]:
        raise ReverieError(
            f"The mask marks '{odd[0]}', which the model did not learn. It knows {', '.join(names[:12])}."
        )
    return empty | np.stack(
        [marked[n].to_numpy() if n in marked.columns else ~np.ones(len(frame), bool) for n in names], 1
    )


def given(codec: TableCodec, text: str, n: int, seed: int, first: int = 0) -> TableGaps:
    """Rows that a person says something of: `age=40..50 sex=F "job=a b"`, column=value, =low..high or =one|another.

    A number in a range is drawn from the training data's own distribution of that column within it, whatever else is given; one
    of several words is left to the model. Raises ReverieError for what is no column, and for values that training did not have.
    """
    import pandas as pd

    try:
        said = [word.split("=", 1) for word in shlex.split(text)]
        words = dict(said)
    except ValueError as error:
        raise ReverieError(
            f"--given {text}: write column=value or column=low..high, and spaces between several."
        ) from error
    if not words:
        raise ReverieError("--given says nothing: write column=value or column=low..high, and spaces between several.")
    if twice := [name for name, count in Counter(name for name, _ in said).items() if count > 1]:
        raise ReverieError(f"--given {text}: '{twice[0]}' is given twice. Write {twice[0]}=one|another, or a range.")
    known = {c.name: c for c in codec.cells}
    if told := [c for c in codec.cells if isinstance(c, Told) and c.name in words]:
        raise ReverieError(
            f"--given {told[0].name}={words[told[0].name]}: the model is told this column: --condition {told[0].condition}=..."
        )
    if odd := [name for name in words if name not in known]:
        raise ReverieError(
            f"--given {text}: the model has no column '{odd[0]}'. The nearest: {nearest(odd[0], list(known))}."
        )
    u = np.stack([np.random.default_rng([seed, k]).random(len(known)) for k in range(first, first + n)])
    made, allowed = {}, dict[str, list[Any]]()
    for k, c in enumerate(codec.cells):
        made[c.name] = pd.Series([None] * n, dtype=object)
        if c.name not in words:
            continue
        if isinstance(c, Number):
            made[c.name] = c.series(_number_given(c, words[c.name], u[:, k]))
        elif isinstance(c, Category):
            found = _values_given(c, words[c.name])
            if len(found) == 1:
                made[c.name] = c.series(np.full(n, c.values.index(found[0])))
            else:
                allowed[c.name] = found
        elif isinstance(c, Fixed) and words[c.name] != str(c.value):
            raise ReverieError(f"--given {c.name}={words[c.name]}: this column was {c.words} in training.")
    rows = Rows(pd.DataFrame(made), "the rows that are given")
    hole = rows.frame.isna().to_numpy() & np.array([not isinstance(c, Told) for c in codec.cells])
    if not hole.any():
        raise ReverieError(f"--given {text} says all columns: there is nothing left to draw.")
    return TableGaps(codec, rows, hole, allowed)


def _number_given(column: Number, text: str, u: np.ndarray) -> np.ndarray:
    """A value for each row: the one given, or of training's within a range."""
    low, dots, high = text.partition("..")
    try:
        ends = _ends(column, low, high if dots else low)
    except ReverieError as error:
        raise ReverieError(
            f"--given {column.name}={text}: write {column.name}=value or {column.name}=low..high."
        ) from error
    if ends[0] > ends[1]:
        raise ReverieError(
            f"--given {column.name}={text}: the range is the wrong way round. Write {column.name}={high}..{low}."
        )
    if column.decimals is not None and not dots and ends[0] != np.round(ends[0], column.decimals):
        raise ReverieError(
            f"--given {column.name}={text}: this column has {column.decimals or 'no'} decimals. Round it, or give a range."
        )
    one = None if column.unseen(np.array(ends[:1])).any() else np.full(len(u), ends[0])
    found = column.between(ends[0], ends[1], u) if dots else one
    if found is None:
        seen = column.series(np.array([column.low, column.high])).tolist()
        raise ReverieError(
            f"--given {column.name}={text}: training has no value there; its own are {seen[0]} to {seen[1]}."
        )
    return found


def _ends(column: Number, low: str, high: str) -> list[float]:
    import pandas as pd

    words = ((low, column.low), (high, column.high))
    return [column.numbers(pd.Series([w], name=column.name))[0] if w else float(end) for w, end in words]


def _values_given(column: Category, text: str) -> list[Any]:
    """The values meant: one, several between bars, or a range of numbers."""
    words = {str(v): v for v in column.values}
    low, dots, high = text.partition("..")
    if dots and text not in words and all(isinstance(v, int | float) for v in column.values):
        ends = float(low or -np.inf), float(high or np.inf)
        if ends[0] > ends[1]:
            raise ReverieError(
                f"--given {column.name}={text}: the range is the wrong way round. Write {column.name}={high}..{low}."
            )
        found = [v for v in column.values if ends[0] <= v <= ends[1]]
    else:
        parts = [text] if text in words else text.split("|")
        if parts == [""]:
            raise ReverieError(f"--given {column.name}=: an empty cell cannot be asked for. Leave the column out.")
        if odd := [w for w in parts if w not in words]:
            raise ReverieError(
                f"--given {column.name}={text}: training had no '{odd[0]}'. The nearest of its {len(words)} values: "
                f"{nearest(odd[0], list(words))}."
            )
        found = [words[w] for w in parts]
    if not found:
        raise ReverieError(f"--given {column.name}={text}: training had no value there; it had {', '.join(words)}.")
    return found


def _marked(mask: Any, rows: Rows) -> pd.DataFrame:
    """A mask as a bool frame of the rows' shape."""
    import pandas as pd

    frame = rows.frame
    if isinstance(mask, str) and Path(mask).suffix.lower() not in (".npy", ".csv"):
        words = [word.strip() for word in mask.split(",")]
        if odd := [w for w in words if w not in frame.columns]:
            raise ReverieError(
                f"--mask {mask}: there is no column '{odd[0]}'. The nearest: {nearest(odd[0], list(frame.columns))}. Name "
                "columns, or give a .csv or .npy of the table's shape, true where to fill."
            )
        return pd.DataFrame({name: np.full(len(frame), name in words) for name in frame.columns})
    if isinstance(mask, str | Path):
        try:
            mask = (
                Rows.read(Path(mask)).frame
                if Path(mask).suffix.lower() == ".csv"
                else np.load(mask, allow_pickle=False)
            )
        except (OSError, ValueError) as error:
            raise ReverieError(f"{mask} cannot be read as a mask ({error}).") from error
    found = mask if isinstance(mask, pd.DataFrame) else pd.DataFrame(np.asarray(mask))
    if found.shape != frame.shape:
        raise ReverieError(
            f"The mask is {found.shape[0]} rows of {found.shape[1]} columns; the table has {frame.shape[0]} of {frame.shape[1]}."
        )
    found = found.set_axis(frame.columns, axis=1) if not isinstance(mask, pd.DataFrame) else found
    if set(found.columns) != set(frame.columns) or not found.isin([0, 1]).all(axis=None):
        raise ReverieError("A mask has the table's columns, and true (1) where to fill, false (0) elsewhere.")
    return found.astype(bool).reset_index(drop=True)


def _says_missing(column: Cells, field: str) -> bool:
    """Whether an entry is the token beside a number that says whether it is missing: a gap is filled with what is there."""
    return isinstance(column, Number) and field.startswith("classes")


def _possible(column: Cells, gap: np.ndarray, classes: int, allowed: Sequence[Any] | None) -> np.ndarray:
    """(N, K) bool: in a gap every value that is allowed, and never "missing"; elsewhere all."""
    may = np.ones(classes, bool)
    if isinstance(column, Category):
        may[len(column.values) :] = False
        if allowed is not None:
            may &= np.array([k < len(column.values) and column.values[k] in allowed for k in range(classes)])
    return np.where(gap[:, None], may, True)


def _counts(column: Category, each: Sequence[pd.Series]) -> np.ndarray:
    """How often each value is drawn, (N, K)."""
    tokens = np.stack([column.tokens(one) for one in each], 1)
    return (tokens[:, :, None] == np.arange(len(column.values))).sum(1)


def _rounded(column: Number, x: np.ndarray) -> np.ndarray:
    return x if column.decimals is None else np.round(x, column.decimals)


def _joined(was: pd.Series, gap: np.ndarray, new: np.ndarray, made: Rows, name: str) -> pd.Series:
    """A column with its gaps filled, in the dtype of what fills it, or its own, where that changes no cell."""
    out = was.astype(object)
    out[gap] = new
    for dtype in (made.frame[name].dtype, was.dtype):
        try:
            typed = out.astype(dtype)
        except (TypeError, ValueError):
            continue
        if (typed.astype(object)[out.notna()] == out[out.notna()]).all() and (typed.isna() == out.isna()).all():
            return typed
    return out
