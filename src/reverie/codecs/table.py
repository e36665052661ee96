"""Tables: rows of numbers, categories, booleans and dates, cells that may be empty, to blocks of numbers and tokens, and back.

rows --encode--> {"numbers": (D,) float32, "classes4": (E,) int64 of up to 4 classes, "classes16": ...} --decode--> rows

All numbers are one field, and all categories of about as many classes are one, so that 400 columns do not cost 400 calls.
A number that may be missing has a token beside it that says whether it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from reverie.codecs import cells
from reverie.codecs.base import Codec, Field
from reverie.codecs.cells import Category, Cells, Fixed, Number, Told
from reverie.codecs.gaps import Gaps
from reverie.codecs.rows import Rows
from reverie.codecs.table_checks import fits, gathered, held_out_unseen, remarks
from reverie.codecs.table_columns import fitted, told
from reverie.errors import ReverieError

NUMBERS = "numbers"


@dataclass(frozen=True)
class TableCodec(Codec):
    """Rows as blocks of numbers and of tokens.

    columns: each of the table's, in order, as `Cells.to_json` writes it; what was left out is not among them.
    rule: what was left out or changed, in words.
    decode(encode(rows)) is the same categories, booleans and empty cells, and numbers within 1e-5 of the stretch between two
    neighbouring values of the distribution function, and then rounded to the decimals that the column has.
    Source: Kotelnikov et al. 2023 (TabDDPM), section 3.2, for the quantiles.
    """

    name: ClassVar[str] = "table"
    kind: ClassVar[str] = "table"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".parquet", ".xlsx")
    together: ClassVar[bool] = True
    joint: ClassVar[bool] = True
    scored: ClassVar[str] = "column-metrics"
    family: ClassVar[str] = "mixed"
    hides: ClassVar[str] = "entries"
    asked_by: ClassVar[str] = (
        "Columns are asked for by --given 'age=40..50 sex=F', and by --condition where training was told them."
    )

    columns: tuple[dict[str, Any], ...]
    rule: str = ""

    def __post_init__(self) -> None:
        """Refuse columns that describe no table: they may come from a file."""
        if not (self._numbers or self._blocks):
            raise ValueError("there is no column to learn")
        names = [c.name for c in self.cells]
        if len(set(names)) != len(names):
            raise ValueError("two columns of one name")

    @cached_property
    def cells(self) -> list[Cells]:
        """The columns as objects, in the table's order."""
        return [cells.from_json(dict(about)) for about in self.columns]

    @cached_property
    def _numbers(self) -> list[Number]:
        return [c for c in self.cells if isinstance(c, Number)]

    @cached_property
    def _blocks(self) -> dict[str, list[Cells]]:
        """Columns that have a token, by field: categories, and numbers that may be missing; fewest classes first."""
        found: dict[int, list[Cells]] = {}
        for c in self.cells:
            if isinstance(c, Category) and c.classes > 1:
                found.setdefault(_size(c.classes), []).append(c)
            elif isinstance(c, Number) and c.missing:
                found.setdefault(2, []).append(c)
        return {f"classes{k}": found[k] for k in sorted(found)}

    @property
    def blocks(self) -> dict[str, list[Cells]]:
        """The column that each entry of a field is of."""
        return ({NUMBERS: list[Cells](self._numbers)} if self._numbers else {}) | self._blocks

    @cached_property
    def fields(self) -> dict[str, Field]:
        """One field of all numbers, and one of tokens for each size of categories."""
        numbers = {NUMBERS: Field((len(self._numbers),), ("column",))} if self._numbers else {}
        return numbers | {
            name: Field((len(block),), ("column",), int(name.removeprefix("classes")), tuple(map(_classes, block)))
            for name, block in self._blocks.items()
        }

    @property
    def things(self) -> str:
        """Rows."""
        return "rows"

    @property
    def shape_words(self) -> str:
        """How many numbers, and how many tokens of how many classes at most: "3 numbers, 2 categories of at most 4 values"."""
        said = [f"{len(self._numbers)} number{'s' * (len(self._numbers) != 1)}"] if self._numbers else []
        for field, block in self._blocks.items():
            many = "categories" if len(block) != 1 else "category"
            said.append(f"{len(block)} {many} of at most {field.removeprefix('classes')} values")
        return ", ".join(said)

    @property
    def found_as(self) -> str:
        """How many columns."""
        return f"{len(self.cells)} columns"  # of those learned

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out or changed."""
        return (self.rule,) if self.rule else ()

    @classmethod
    def fit(cls, items: Iterable[Any], known: Iterable[Any] | None = None) -> TableCodec:
        """Decide for each column what it holds; raises ReverieError where nothing is left to learn.

        known: all rows there are, by which it is decided what a column holds: those held out may have a category, or an empty
        cell, that training has not. How numbers are distributed is learned from `items` alone.
        """
        rows = Rows.of(items)
        every = rows if known is None else Rows.of(known)
        found, left_out, said = [], [], []
        for name in rows.frame.columns:
            column, why = (told(every, name), "") if name in rows.told else fitted(every.frame[name], every.source)
            if column is None:
                left_out.append(f"'{name}' ({why})")
            else:
                if isinstance(column, Number) and every is not rows:
                    column = column.of(rows.frame[name])
                found.append(column)
                said += [f"'{name}' is {why}"] * bool(why)
        said += held_out_unseen(found, every)
        rule = [f"left out: {', '.join(left_out)}"] if left_out else []
        if all(isinstance(c, Fixed | Told) for c in found):
            raise ReverieError(
                f"No column of {rows.source} can be learned: {'; '.join([*rule, *said]) or 'there is none'}. "
                "A table needs a column of numbers or categories with two different values."
            )
        return cls(tuple(c.to_json() for c in found), "; ".join([*rule, *said]))

    @classmethod
    def read(cls, path: Path) -> Rows:
        """Read one table."""
        return Rows.read(path)

    def write(self, item: Any, path: Path, text: dict[str, str] | None = None) -> Path:
        """Write rows in the format that the suffix says, .csv where it says none; `text` goes into a JSON file beside it."""
        return Rows.of(item).write(path, text)

    def encode(self, item: Any) -> dict[str, np.ndarray]:
        """One row as {field: array}."""
        return {k: x[0] for k, x in self.encode_all([item]).items()}

    def decode(self, x: dict[str, np.ndarray]) -> dict[str, Any]:
        """One row as {column: value}."""
        return self.decode_all({k: v[None] for k, v in x.items()})[0]

    def encode_all(self, items: Sequence[Any] | np.ndarray) -> dict[str, np.ndarray]:
        """Rows as {field: (N, D)}; ReverieError for a column that is missing, and a category that training did not have."""
        return self.encode_known(Rows.of(items), {})

    def encode_known(self, rows: Rows, gaps: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Rows as {field: (N, D)} of which some cells, by column (N,) bool, are not known and taken as 0."""
        frame = rows.frame
        fits(self, rows, gaps)
        state, nowhere = {}, np.zeros(len(rows), bool)
        values = {c.name: c.numbers(frame[c.name], rows.source) for c in self._numbers}
        tokens = {c.name: c.tokens(frame[c.name]) for c in self.cells if isinstance(c, Category)}
        tokens |= {c.name: np.isnan(values[c.name]).astype(np.int64) for c in self._numbers if c.missing}
        if self._numbers:
            out = {name: np.isnan(x) | gaps.get(name, nowhere) for name, x in values.items()}
            z = [np.where(out[c.name], 0, c.encode(values[c.name])) for c in self._numbers]
            state[NUMBERS] = np.stack(z, 1).astype(np.float32)
        for field, block in self._blocks.items():
            state[field] = np.stack([np.where(gaps.get(c.name, nowhere), 0, tokens[c.name]) for c in block], 1)
        return state

    def gaps(self, items: Any, mask: Any = None) -> Gaps:
        """Rows and which of their cells to fill: the empty ones, and those that a mask marks, as `table_gaps.holes` reads it."""
        from reverie.codecs.table_gaps import TableGaps, holes

        rows = Rows.of(items)
        return TableGaps(self, rows, holes(self, rows, mask))

    def decode_all(self, x: dict[str, np.ndarray]) -> Rows:
        """{field: (N, D)} as rows, in the columns' own types and order; refuses NaN."""
        import pandas as pd

        if self._numbers and not np.isfinite(x[NUMBERS]).all():
            raise ReverieError("A sample holds NaN or infinite values: the model or the sampler has diverged.")
        count = len(next(iter(x.values())))
        tokens = {c.name: x[field][:, k] for field, block in self._blocks.items() for k, c in enumerate(block)}
        places = {c.name: k for k, c in enumerate(self._numbers)}
        made = {}
        for c in self.cells:
            if isinstance(c, Number):
                value = c.decode(x[NUMBERS][:, places[c.name]])
                made[c.name] = c.series(np.where(tokens[c.name] == 1, np.nan, value) if c.missing else value)
            elif isinstance(c, Category):
                made[c.name] = c.series(tokens.get(c.name, np.zeros(count, np.int64)))
            elif isinstance(c, Fixed):
                made[c.name] = c.series(count)
        return Rows(pd.DataFrame(made))

    def gathered(self, given: Any) -> Rows:
        """Rows of a DataFrame, a dict of columns, a list of dicts, or one dict."""
        return gathered(given)

    def remarks(self, items: Sequence[Any] | np.ndarray, gaps: bool = False) -> list[str]:
        """Columns that the model does not know, and numbers that training has no place for."""
        return remarks(self, Rows.of(items), gaps)

    def with_conditions(self, items: Sequence[Any], values: Mapping[str, Sequence[Any]]) -> Rows:
        """Rows with the columns that they were told, in their places."""
        rows, told = Rows.of(items), [c for c in self.cells if isinstance(c, Told)]
        if not told:
            return rows
        frame, nothing = rows.frame.copy(), [None] * len(rows)
        for c in told:
            frame[c.name] = c.series(values.get(c.condition, nothing))
        return Rows(frame[[c.name for c in self.cells]], rows.source, rows.told)

    def joined(self, parts: Sequence[Sequence[Any]]) -> Rows:
        """Rows of several tables as one, with the columns of the last."""
        import pandas as pd

        frames = [Rows.of(part).frame for part in parts]
        return Rows(pd.concat([f.reindex(columns=frames[-1].columns) for f in frames], ignore_index=True))

    def as_written(self, items: Any, path: Path) -> Rows:
        """Rows with each cell letter by letter as in their own file, where both are text."""
        return Rows.of(items).as_written(path)

    def annotated(self, items: Sequence[Any], values: Mapping[str, np.ndarray]) -> Rows:
        """Rows with further columns at their end, called otherwise where a column is called so already."""
        frame = Rows.of(items).frame.copy()
        for name, column in values.items():
            frame[name if name not in frame.columns else f"{name}_found"] = column
        return Rows(frame)

    def numbers(self, x: dict[str, np.ndarray]) -> np.ndarray:
        """Rows as numbers on which distances mean something, (N, F) float32.

        Numbers as they are encoded, in standard deviations; categories one-hot over sqrt(2): different ones are 1 apart.
        """
        parts = [x[NUMBERS]] if self._numbers else []
        for field, block in self._blocks.items():
            for k, c in enumerate(block):
                parts.append(np.eye(_classes(c), dtype=np.float32)[x[field][:, k]] / np.sqrt(2))
        return np.concatenate(parts, 1).astype(np.float32)

    def records(self, x: np.ndarray) -> np.ndarray:
        """What `numbers` gave (N, F), as a structured array (N,) of the columns that are learned.

        Numbers and dates float64, NaN where empty; the likeliest class of categories int64, -1 where empty.
        """
        found = {c.name: c.decode(x[:, k]) for k, c in enumerate(self._numbers)}
        place = len(self._numbers)
        for c in (c for block in self._blocks.values() for c in block):
            token = x[:, place : place + _classes(c)].argmax(1)
            place += _classes(c)
            if isinstance(c, Category):
                found[c.name] = np.where(token == len(c.values), -1, token)
            else:
                found[c.name] = np.where(token == 1, np.nan, found[c.name])
        made = np.empty(len(x), [(c.name, found[c.name].dtype) for c in self.cells if c.name in found])
        for name in made.dtype.names or ():
            made[name] = found[name]
        return made

    def picture(self, item: Any) -> np.ndarray:
        """A row as a strip of text."""
        return self.sheet([item])

    def sheet(
        self, items: Sequence[Any], labels: Sequence[str] | None = None, columns: int | None = None
    ) -> np.ndarray:
        """The first rows as a table of text, each behind its label, uint8 (H, W, 3)."""
        from reverie.codecs.text_table import drawn

        return drawn(Rows.of(items).frame, called=labels or ())

    def given(self, text: str, n: int, seed: int, first: int = 0) -> Gaps:
        """Rows of which some columns are given: `age=40..50 sex=F`, as `table_gaps.given` reads it."""
        from reverie.codecs.table_gaps import given

        return given(self, text, n, seed, first)


def _size(classes: int) -> int:
    """The field that a category goes to: the next power of 4, or of 2 below 4."""
    size = 2
    while size < classes:
        size *= 2 if size < 4 else 4
    return size


def _classes(column: Cells) -> int:
    return column.classes if isinstance(column, Category) else 2
