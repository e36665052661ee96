"""What Reverie sees in a table, as JSON and as rows to read: what each column is taken for, and what is odd."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs.cells import Category, Cells, Fixed, Number
from reverie.codecs.rows import Rows
from reverie.codecs.table import TableCodec
from reverie.codecs.table_columns import fitted
from reverie.data.card_words import lines, size
from reverie.data.dataset import Data
from reverie.data.split import split
from reverie.errors import ReverieError
from reverie.metrics.columns import ColumnPairTrends, names

if TYPE_CHECKING:
    import pandas as pd

NOT_LEARNED = ("left out", "unreadable", "constant")  # kinds of columns
COLUMNS = 40  # in the terminal; all are in the JSON
PAIRS = 10
COMMONEST = 5  # values of a category
_MANY = {
    "unreadable": "that cannot be read",
    "category": "categories",
    "integer": "integers",
    "number": "numbers",
    "date": "dates",
}
LOOKED_AT = 2000  # rows behind what ties columns together


def contents(data: Data) -> dict[str, Any]:
    """Describe a table as plain JSON.

    columns: each with its name, dtype, `kind` (number, integer, date, category, constant, left out, unreadable), what is said
    of it, how many cells are missing and how many values differ; of numbers and dates the range, of categories the commonest
    values. kinds: how many of each. missing: cells, and rows with any. duplicates: rows that are equal, in groups by name.
    pairs: those that hang together most, on at most 2,000 rows: Pearson's r between numbers, Cramer's V with a category.
    split: the sides that training makes unless asked otherwise, and how many held-out rows equal one to train on.
    """
    items = Rows.of(data.items)
    frame = items.frame
    cells, about = _columns(items)
    keys = _keys(frame)
    groups = _equal(keys)
    return {
        "columns": about,
        "kinds": dict(Counter(column["kind"] for column in about)),
        "missing": {"cells": int(frame.isna().to_numpy().sum()), "rows": int(frame.isna().any(axis=1).sum())},
        "duplicates": {
            "groups": [[data.names[k] for k in group] for group in groups],
            "surplus": sum(len(group) - 1 for group in groups),
        },
        "pairs": _pairs(cells, frame),
        "split": _split(data, keys),
    }


def learned(items: Any, most: int | None = None) -> tuple[list[Cells], np.ndarray]:
    """The columns that can be learned, and the rows, or as many evenly spread, as records of them; none where there is none."""
    given = Rows.of(items)
    cells, _ = _columns(given)
    return cells, _records(cells, given.frame, most)


def rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    """A card as (name, words), for a person."""
    left_out = [f"{c['name']}: {c['about']}" for c in card["columns"] if c["kind"] in ("left out", "unreadable")]
    constant = [f"{c['name']}: {c['about']}" for c in card["columns"] if c["kind"] == "constant"]
    kinds = ", ".join(
        f"{n:,} {kind if n == 1 and kind != 'unreadable' else _MANY.get(kind, kind)}"
        for kind, n in card["kinds"].items()
    )
    known = [c for c in card["columns"] if c["kind"] not in NOT_LEARNED]
    width = min(24, max(len(c["name"]) for c in card["columns"]))
    lost = card["missing"]
    missing = f"{lost['cells']:,} cells in {lost['rows']:,} rows" if lost["cells"] else "none"
    made = [
        ("rows", f"{card['count']:,} ({size(card['bytes'])})"),
        ("columns", f"{len(card['columns']):,}: {kinds}"),
        ("", lines([f"{c['name']:<{width}}  {c['kind']}, {told(c)}" for c in known], COLUMNS)),
        *([("left out", lines(left_out))] if left_out else []),
        *([("constant", lines(constant))] if constant else []),
        ("missing", missing),
        _duplicate_row(card["duplicates"]),
    ]  # fmt: skip
    if card["pairs"]:
        made.append(("together", lines([_tied(p) for p in card["pairs"]])))
    made.append(("split", split_words(card["split"])))
    return made + ([("notes", "\n".join(card["notes"]))] if card["notes"] else [])


def _tied(pair: dict[str, Any]) -> str:
    """A pair of columns, and how they hang together: only a correlation has a sign."""
    if pair["measure"].startswith("Pearson"):
        return f"{pair['a']} and {pair['b']}: correlation {pair['tie']:+.2f} (Pearson's r, -1 to 1)"
    return f"{pair['a']} and {pair['b']}: association {pair['tie']:.2f} (Cramer's V, 0 to 1)"


def _columns(items: Rows) -> tuple[list[Cells], list[dict[str, Any]]]:
    """The columns that can be learned, and what there is to say of all."""
    kept: list[Cells] = []
    about: list[dict[str, Any]] = []
    for name in items.frame.columns:
        series = items.frame[name]
        try:
            column, why = fitted(series, items.source)
        except ReverieError as error:
            column, why, kind = None, str(error), "unreadable"
        else:
            kind = "left out" if column is None else _kind(column)
        kept += [column] if isinstance(column, Number | Category) else []
        words = why if column is None else column.words
        said: dict[str, Any] = {"name": str(name), "dtype": str(series.dtype), "kind": kind, "about": words,
                "missing": int(series.isna().sum()), "distinct": int(series.nunique())}  # fmt: skip
        about.append(said | _values(column, series))
    return kept, about


def _kind(column: Cells) -> str:
    if isinstance(column, Number):
        return "date" if column.format is not None else "integer" if column.decimals == 0 else "number"
    return "constant" if isinstance(column, Fixed) else "category"


def _values(column: Cells | None, series: pd.Series) -> dict[str, Any]:
    """The range of numbers and dates; the commonest values of a category, with how many rows have them."""
    if isinstance(column, Number):
        ends = np.array([column.low, column.high])
        low, high = map(str, column.series(ends)) if column.format is not None else ends.tolist()
        return {"low": low, "high": high}
    if isinstance(column, Category):
        counts = np.bincount(column.tokens(series)[series.notna().to_numpy()], minlength=len(column.values))
        order = np.argsort(-counts, kind="stable")[:COMMONEST].tolist()
        return {"commonest": [[column.values[k], int(counts[k])] for k in order]}
    return {}


def _records(cells: list[Cells], frame: pd.DataFrame, most: int | None) -> np.ndarray:
    if not cells:
        return np.empty(len(frame), [])
    codec = TableCodec(tuple(c.to_json() for c in cells))
    count = len(frame) if most is None else min(most, len(frame))
    some = Rows(frame.iloc[np.linspace(0, len(frame) - 1, count).astype(np.int64)].reset_index(drop=True))
    return codec.records(codec.numbers(codec.encode_all(some)))


def _pairs(cells: list[Cells], frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The pairs that hang together most, the strongest first."""
    if len(cells) < 2:
        return []
    records = _records(cells, frame, LOOKED_AT)
    tie = ColumnPairTrends().pairs(records, records).real
    above = np.triu_indices(len(tie), 1)
    order = np.argsort(-np.abs(tie[above]), kind="stable")[:PAIRS].tolist()
    columns, numbers = names(records), {c.name for c in cells if isinstance(c, Number)}
    found = [(columns[above[0][k]], columns[above[1][k]], float(tie[above][k])) for k in order]
    return [
        {"a": a, "b": b, "tie": t, "measure": "Pearson's r" if {a, b} <= numbers else "Cramer's V"} for a, b, t in found
    ]


def _keys(frame: pd.DataFrame) -> np.ndarray:
    from pandas.util import hash_pandas_object

    return hash_pandas_object(frame, index=False).to_numpy()


def _equal(keys: np.ndarray) -> list[list[int]]:
    """Places of rows that are equal, in groups of two or more."""
    groups = defaultdict(list)
    for k, key in enumerate(keys.tolist()):
        groups[key].append(k)
    return [group for group in groups.values() if len(group) > 1]


def _split(data: Data, keys: np.ndarray) -> dict[str, Any]:
    try:
        cut = split(data)
    except ReverieError as error:
        return {"why": str(error)}
    equal = int(np.isin(keys[cut.held_out], keys[cut.train]).sum())
    return {"hash": cut.hash, "train": len(cut.train), "held_out": len(cut.held_out), "equal": equal}


def told(column: dict[str, Any], counted: bool = True) -> str:
    """What a column holds in one line; counted: with how many values differ and how many cells are missing."""
    if column["kind"] in NOT_LEARNED:
        return str(column["about"])
    parts = []
    if "low" in column:
        low, high = (v if isinstance(v, str) else f"{v:g}" for v in (column["low"], column["high"]))
        parts.append(f"{low} to {high}")
    if counted:
        parts.append(f"{column['distinct']:,} {'values' if 'commonest' in column else 'different'}")
    if "commonest" in column:
        some = ", ".join(
            f"{f'{value:g}' if isinstance(value, float) else value}: {n:,}" for value, n in column["commonest"]
        )
        some += ", ..." * (column["distinct"] > COMMONEST)
        parts = [f"{parts[0]} ({some})"] if counted else [some]
    parts += [f"{column['missing']:,} missing"] if counted and column["missing"] else []
    return ", ".join(parts)


def _duplicate_row(found: dict[str, Any]) -> tuple[str, str]:
    if not found["groups"]:
        return "duplicates", "none"
    return f"{found['surplus']:,} duplicates", lines(
        [" = ".join(group[:4]) + " = ..." * (len(group) > 4) for group in found["groups"]]
    )


def split_words(found: dict[str, Any]) -> str:
    """The sides of the split in words."""
    if "why" in found:
        return found["why"]
    return f"{found['train']:,} to train, {found['held_out']:,} held out, of which {found['equal']:,} equal a row to train on"
