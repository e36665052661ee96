"""What a column of a table holds, found out from its cells: a number, a date, a category, or nothing to be learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reverie.codecs.cells import MOST_CLASSES, MOST_LEVELS, Category, Cells, Fixed, Number, Told, refuse
from reverie.codecs.rows import Rows

if TYPE_CHECKING:
    import pandas as pd

_DATES = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%d.%m.%Y",
    "%m/%d/%Y",
    "%d/%m/%Y",
    "%Y/%m/%d",
)
_ODD = 0.1  # share of other words up to which a column is one of numbers with faults
_NAMES_FROM = 0.9  # share of different words from which a column of words is names


def told(rows: Rows, name: str) -> Told:
    """A column that the model is told, to be written back where it was."""
    series = rows.frame[name]
    values = tuple(_plain(v) for v in series.dropna().unique()) if series.dtype.kind not in "f" else ()
    return Told(name, str(series.dtype), rows.told[name], values)


def fitted(series: pd.Series, source: str = "the table") -> tuple[Cells | None, str]:
    """What a column holds, or None and why it is left out; what was changed, in words.

    Raises ReverieError, with the row, for an infinite value, and for a word in a column of numbers.
    """
    import pandas as pd

    name, dtype = str(series.name), str(series.dtype)
    seen = series.dropna()
    distinct = seen.nunique()
    if distinct == 0 or (distinct == 1 and len(seen) == len(series)):
        value = None if distinct == 0 else _plain(seen.iloc[0])
        column = Fixed(name, dtype, value)
        return column, f"{column.words}: kept, not learned"
    if distinct == 1:  # of which some cells are empty: there is no distribution function of one value
        return _category(name, dtype, seen, series), ""
    if isinstance(series.dtype, pd.CategoricalDtype):
        return _category(name, "category", seen, series), ""
    kind = series.dtype.kind
    if kind == "b":
        return _category(name, dtype, seen, series), ""
    if kind in "iuf":
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
        refuse(series, np.isinf(values), source, "is infinite")
        if kind in "iu" and distinct == len(series) > 20 and (np.abs(np.diff(values)) == 1).all():
            return None, "a running number"
        whole = bool((np.mod(values[~np.isnan(values)], 1) == 0).all())
        if (
            whole and distinct <= MOST_LEVELS and distinct <= len(seen) / 5
        ):  # of others a value between two may yet come
            return _category(name, dtype, seen, series), ""
        long = whole and np.nanmax(np.abs(values)) > 2**53
        return Number.fit(name, dtype, values), "integers of over 15 digits, drawn to about 15" * bool(long)
    if kind == "M":
        return _dates(name, dtype, series, "%Y-%m-%d %H:%M:%S"), ""
    words = seen.astype(str)
    if (form := _date_format(words)) is not None:
        return _dates(name, dtype, series, form), f"dates written {form}"
    _refuse_odd_words(series, words, source)
    if distinct > MOST_CLASSES or (distinct > _NAMES_FROM * len(seen) and len(seen) > 20):
        return None, f"{distinct:,} different words in {len(seen):,} rows: names or free text"
    return _category(name, dtype, seen, series), ""


def _refuse_odd_words(series: pd.Series, words: pd.Series, source: str) -> None:
    """Refuse a column of numbers, more different ones than a category has, of which few are other words: names hold more."""
    import pandas as pd

    numeric = pd.to_numeric(words, errors="coerce").notna()
    if numeric.mean() >= 1 - _ODD and words[numeric].nunique() > MOST_LEVELS:
        odd = np.zeros(len(series), bool)
        odd[np.flatnonzero(series.notna())[~numeric.to_numpy()]] = True
        refuse(series, odd, source, f"is no number, as {int(numeric.sum()):,} of its {len(words):,} cells are")


def _category(name: str, dtype: str, seen: pd.Series, series: pd.Series) -> Category:
    values = sorted({_plain(v) for v in seen.unique()}, key=lambda v: (str(type(v)), v))
    return Category(name, dtype, tuple(values), len(seen) < len(series))


def _dates(name: str, dtype: str, series: pd.Series, form: str) -> Number:
    seconds = Number(name, dtype, ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 0, True, 0.0, 1.0, 0, form).numbers(series)
    seen = seconds[~np.isnan(seconds)]
    unit = 86_400 if (np.mod(seen, 86_400) == 0).all() else 1
    return Number.fit(name, dtype, seconds / unit, form, unit)


def _date_format(words: pd.Series) -> str | None:
    """The format in which all words are dates that are written back the same; None where there is none."""
    import pandas as pd

    first = str(words.iloc[0])
    if not any(c in first for c in "-/.:") or not any(c.isdigit() for c in first):
        return None
    for form in _DATES:
        found = pd.to_datetime(words, format=form, errors="coerce")
        if found.notna().all() and (found.dt.strftime(form) == words).all():
            return form
    return None


def _plain(value: Any) -> Any:
    """A cell's value as JSON."""
    return (
        value.item()
        if isinstance(value, np.generic)
        else value
        if isinstance(value, int | float | bool)
        else str(value)
    )
