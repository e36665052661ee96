"""The columns of a table: what each holds, and how its cells become numbers and tokens, and cells again.

A `Number` goes through the distribution function of the training data to a normal variable, so that every column looks the
same to a network whatever its units and tails; what stands there often (a dominant value, the ages of a census) has a
stretch of its own, and comes back exactly. A `Category` is a token. A `Fixed` column has one value, which is written back.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from scipy.special import ndtr, ndtri

from reverie.errors import ReverieError

if TYPE_CHECKING:
    import pandas as pd

MOST_LEVELS = 32  # distinct values of a number that is learned as a token
MOST_CLASSES = 1000  # distinct words of a category; with more it is a name or free text
_KNOTS = 512  # of a number's distribution function, beside the values that stand there often
_OUTER = 64  # more of them, from either end on, ever further apart
_OFTEN = 0.005  # share of the rows from which a value has a stretch of its own
_TAIL = 0.9  # the share of values from which on the slope of a tail is taken
_FAR = 100.0  # beyond the end of the range, in slopes of its tail, from which on distance counts by its logarithm
_LEAST_SD = 0.3  # of an encoded number before it is brought to variance 1, for columns of almost one value
_DAY = 86_400
_NOTHING = "(none)"  # the class of items whose cell is empty, as `data.labels` calls it


@dataclass(frozen=True)
class Cells(ABC):
    """One column, as plain JSON. dtype: pandas' own name of what the column held, and holds again."""

    kind: ClassVar[str]

    name: str
    dtype: str

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, with the kind."""
        return {"kind": self.kind, **{f.name: getattr(self, f.name) for f in fields(self)}}

    @property
    @abstractmethod
    def words(self) -> str:
        """What it is, for a person."""


@dataclass(frozen=True)
class Number(Cells):
    """Numbers, integers and dates.

    knots: (value, a, b) ascending: the share of cells below the value, and up to it; a = b where it is one of many. decimals: to
    which cells are rounded, None for as they come. missing: whether cells may be empty. format: how dates are written,
    None for numbers; dates are in whole units of so many seconds. mean, sd: of the normal variable over the training data.
    """

    kind: ClassVar[str] = "number"

    knots: tuple[tuple[float, float, float], ...]
    decimals: int | None
    missing: bool
    mean: float
    sd: float
    rows: int
    format: str | None = None
    unit: int = 1

    @classmethod
    def fit(cls, name: str, dtype: str, values: np.ndarray, format: str | None = None, unit: int = 1) -> Number:
        """Fit the distribution function to values (N,) float64, NaN where missing; at least two are different."""
        seen = np.sort(values[~np.isnan(values)])
        knots = _knots(seen)
        first = cls(
            name, dtype, knots, _decimals(seen), bool(np.isnan(values).any()), 0.0, 1.0, len(seen), format, unit
        )
        z = first._within(seen)
        return cls(
            name, dtype, knots, first.decimals, first.missing, float(z.mean()), max(float(z.std()), _LEAST_SD), len(seen),
            format, unit,
        )  # fmt: skip

    def of(self, series: pd.Series) -> Number:
        """The same column with the distribution of these cells, where there are two different ones."""
        x = self.numbers(series)
        seen = x[~np.isnan(x)]
        if len(seen) < 2 or seen.min() == seen.max():
            return self
        return replace(
            Number.fit(self.name, self.dtype, x, self.format, self.unit), decimals=self.decimals, missing=self.missing
        )

    @cached_property
    def _table(self) -> np.ndarray:
        return np.array(self.knots, dtype=np.float64).T

    @property
    def low(self) -> float:
        """The smallest value seen."""
        return self.knots[0][0]

    @property
    def high(self) -> float:
        """The largest value seen."""
        return self.knots[-1][0]

    @property
    def words(self) -> str:
        """Range, and what it is."""
        what = "date" if self.format is not None else "integer" if self.decimals == 0 else "number"
        return f"{what}{', some missing' * self.missing}"

    def numbers(self, series: pd.Series, source: str = "the table") -> np.ndarray:
        """Cells as float64 (N,), NaN where missing; ReverieError names the row of what is no number, or infinite."""
        import pandas as pd

        if self.format is not None:
            dates = pd.to_datetime(series, format=None if series.dtype.kind == "M" else self.format, errors="coerce")
            refuse(series, (dates.isna() & series.notna()).to_numpy(), source, f"is no date written {self.format}")
            seconds = dates.astype("datetime64[s]").astype("int64").to_numpy() / self.unit
            return np.where(dates.isna(), np.nan, seconds)
        found = pd.to_numeric(series, errors="coerce")
        refuse(series, (found.isna() & series.notna()).to_numpy(), source, "is no number")
        x = found.to_numpy(dtype=np.float64, na_value=np.nan)
        refuse(series, np.isinf(x), source, "is infinite")
        return x

    def encode(self, x: np.ndarray) -> np.ndarray:
        """(Phi^-1(F(x)) - mean) / sd; between two values that touch as the nearer; beyond the range seen the further the larger.

        There z = z(end) + d, d = (x - end) / slope of the `tails`, and 100 (1 + log(d / 100)) for d > 100: finite for any x.
        """
        _, below, _, above = self.tails
        with np.errstate(over="ignore"):
            past = np.nan_to_num(np.maximum(x - self.high, 0) / above + np.minimum(x - self.low, 0) / below)
        far = np.abs(past)
        far = np.where(far > _FAR, _FAR * (1 + np.log(np.maximum(far, _FAR) / _FAR)), far)
        return self._within(x) + np.sign(past) * far

    @cached_property
    def tails(self) -> tuple[float, float, float, float]:
        """z at the lowest value seen, the mean slope dx/dz from there to the 10 % quantile; the same of the highest, from 90 %.

        Where as many values stand at an end, the slope is that of the whole range.
        """
        v, a, b = self._table
        inner = np.interp([1 - _TAIL, _TAIL], 0.5 * (a + b), v)
        low, below, above, high = map(float, self._within(np.array([v[0], *inner, v[-1]])))
        whole = (self.high - self.low) / (high - low)
        down = (inner[0] - self.low) / (below - low) if inner[0] > self.low and below > low else whole
        up = (self.high - inner[1]) / (high - above) if inner[1] < self.high and above < high else whole
        return low, float(down), high, float(up)

    def _within(self, x: np.ndarray) -> np.ndarray:
        """The same, what is beyond the range taken for its end, and NaN for the lowest."""
        v, a, b = self._table
        x = np.clip(np.where(np.isnan(x), v[0], x), v[0], v[-1])
        i = np.clip(np.searchsorted(v, x, side="right") - 1, 0, len(v) - 2)
        way = np.clip((x - v[i]) / (v[i + 1] - v[i]), 0, 1)
        way = np.where(
            a[i + 1] > b[i], way, np.round(way)
        )  # nothing lies between two values that touch: the nearer one
        u = np.where(
            way <= 0,
            0.5 * (a[i] + b[i]),
            np.where(way >= 1, 0.5 * (a[i + 1] + b[i + 1]), b[i] + way * (a[i + 1] - b[i])),
        )
        return (ndtri(u) - self.mean) / self.sd

    def beyond(self, x: np.ndarray) -> np.ndarray:
        """Which values (N,) are outside of the range that training had; bool (N,), False where NaN."""
        return (x < self.low) | (x > self.high)

    def unseen(self, x: np.ndarray) -> np.ndarray:
        """Which values (N,) training has no place for: beyond its range, or between two that touch; bool (N,)."""
        v, a, b = self._table
        i = np.clip(np.searchsorted(v, x, side="right") - 1, 0, len(v) - 2)
        return self.beyond(x) | ((x > v[i]) & (x < v[i + 1]) & (a[i + 1] <= b[i]))

    def decode(self, z: np.ndarray) -> np.ndarray:
        """The value at which F is Phi(mean + sd z), within the range seen, rounded as the data is."""
        return self._quantile(ndtr(self.mean + self.sd * z.astype(np.float64)))

    def between(self, low: float, high: float, u: np.ndarray) -> np.ndarray | None:
        """Values of the training data's own distribution within [low, high], one for each u in (0, 1); None where it has none."""
        unit = 10.0 ** (self.decimals or 0)
        if self.decimals is not None:
            low, high = np.ceil(round(low * unit, 6)) / unit, np.floor(round(high * unit, 6)) / unit
        below, upto = self._share(low, "left"), self._share(high, "right")
        if low > high or not below < upto:
            return None
        return np.clip(self._quantile(below + u * (upto - below)), low, high)

    def _share(self, x: float, side: Literal["left", "right"]) -> float:
        """The share of training's values below x (left), or up to it (right)."""
        v, a, b = self._table
        if x < v[0] or x > v[-1]:
            return float(x > v[-1])
        i = int(np.searchsorted(v, x, side=side))
        ends = (a, b) if side == "left" else (b, a)
        at = i if side == "left" else i - 1
        if at < len(v) and v[at] == x:
            return float(ends[0][at])
        return float(b[i - 1] + (x - v[i - 1]) / (v[i] - v[i - 1]) * (a[i] - b[i - 1]))

    def _quantile(self, u: np.ndarray) -> np.ndarray:
        """The value up to which there is a share u, rounded as the data is."""
        v, a, b = self._table
        i = np.clip(np.searchsorted(a, u, side="right") - 1, 0, len(v) - 1)
        j = np.minimum(i + 1, len(v) - 1)
        way = np.clip((u - b[i]) / np.maximum(a[j] - b[i], 1e-300), 0, 1)
        x = np.where(u <= b[i], v[i], v[i] + way * (v[j] - v[i]))
        return x if self.decimals is None else np.round(x, self.decimals)

    def series(self, x: np.ndarray) -> pd.Series:
        """Values (N,), NaN where missing, as a column of the data's own type."""
        import pandas as pd

        if self.format is None:
            whole = self.decimals == 0
            plain = pd.Series(x, name=self.name)
            if self.missing and whole:
                return (
                    plain.round()
                    .astype("Int64")
                    .astype(self.dtype if self.dtype.startswith(("Int", "UInt")) else "Int64")
                )
            return plain.astype(self.dtype)
        dates = pd.Series(x * self.unit, name=self.name).round().astype("Int64")
        dates = pd.to_datetime(dates, unit="s")
        return dates.astype(self.dtype) if self.dtype.startswith("datetime") else dates.dt.strftime(self.format)


@dataclass(frozen=True)
class Category(Cells):
    """Words, booleans, numbers of few values: a token each. values: of the classes; missing: whether one more is "missing"."""

    kind: ClassVar[str] = "category"

    values: tuple[Any, ...]
    missing: bool

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.values) + self.missing

    @property
    def words(self) -> str:
        """How many values."""
        return f"{len(self.values)} values{', some missing' * self.missing}"

    def unknown(self, series: pd.Series) -> np.ndarray:
        """Values that training did not have."""
        return self.tokens(series) < 0

    def tokens(self, series: pd.Series) -> np.ndarray:
        """The number of each cell's class, int64 (N,); -1 for a value that is none."""
        found = series.map({value: k for k, value in enumerate(self.values)})
        missing = len(self.values) if self.missing else -1
        return np.where(series.isna(), missing, found.fillna(-1)).astype(np.int64)

    def series(self, tokens: np.ndarray) -> pd.Series:
        """Class numbers as a column of the data's own type."""
        import pandas as pd

        words = pd.Series([*self.values, None], dtype="object")
        made = words.iloc[tokens].reset_index(drop=True).rename(self.name)
        return _typed(made, self.dtype)


@dataclass(frozen=True)
class Fixed(Cells):
    """A column of one value, or of none: nothing to learn, written back as it was."""

    kind: ClassVar[str] = "fixed"

    value: Any

    @property
    def words(self) -> str:
        """The value."""
        return "always empty" if self.value is None else f"always {self.value}"

    def series(self, count: int) -> pd.Series:
        """As many cells of it."""
        import pandas as pd

        if self.value is None:
            return pd.Series([None] * count, name=self.name, dtype="object").astype(self.dtype)
        return pd.Series([self.value] * count, name=self.name).astype(self.dtype)


@dataclass(frozen=True)
class Told(Cells):
    """A column that a model is told and does not learn. condition: what it is called. values: of a class; of numbers none."""

    kind: ClassVar[str] = "told"

    condition: str
    values: tuple[Any, ...]

    @property
    def words(self) -> str:
        """What it is called."""
        return f"told as {self.condition}"

    def series(self, told: Sequence[Any]) -> pd.Series:
        """What items were told, None for nothing, as a column of the data's own type."""
        import pandas as pd

        own = {str(v): v for v in self.values} | {_NOTHING: None}
        made = pd.Series([own.get(v, v) if isinstance(v, str) else v for v in told], name=self.name, dtype="object")
        return _typed(made, self.dtype)


_KINDS: dict[str, type[Cells]] = {cls.kind: cls for cls in (Number, Category, Fixed, Told)}


def from_json(about: dict[str, Any]) -> Cells:
    """Read what `to_json` wrote; ValueError, TypeError or KeyError for anything else."""
    cls = _KINDS[about["kind"]]
    values = {k: _tuples(v) for k, v in about.items() if k != "kind"}
    made = cls(**values)
    if isinstance(made, Number):
        v, a, b = made._table
        if len(v) < 2 or not ((np.diff(v) > 0).all() and (a <= b).all() and (b[:-1] <= a[1:]).all() and made.sd > 0):
            raise ValueError(f"the distribution function of column '{made.name}' does not rise")
    return made


def _typed(cells: pd.Series, dtype: str) -> pd.Series:
    """Cells in the column's own type, or the one beside it that may be empty, where some are."""
    if cells.isna().any() and dtype.startswith(("int", "uint", "bool")):
        dtype = {"i": "Int64", "u": "Int64", "b": "boolean"}[dtype[0]]
    return cells.astype(dtype)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _knots(seen: np.ndarray) -> tuple[tuple[float, float, float], ...]:
    """The distribution function of sorted values, in no more than a few hundred knots."""
    n = len(seen)
    v, counts = np.unique(seen, return_counts=True)
    upto = np.cumsum(counts)
    a, b = (upto - counts) / n, upto / n
    often = counts >= max(2, math.ceil(_OFTEN * n))
    middle = 0.5 * (a + b)
    a, b = np.where(often, a, middle), np.where(often, b, middle)
    rare = np.flatnonzero(~often)
    kept = rare[_places(len(rare))]
    chosen = np.union1d(np.flatnonzero(often), kept)
    # the outermost stretches are open: their values stand in the middle of what is left
    return tuple((float(v[k]), float(a[k]), float(b[k])) for k in chosen)


def _places(n: int) -> np.ndarray:
    """Which of n sorted values are knots: evenly spread, and towards both ends ever closer, so that tails keep their shape."""
    if n <= _KNOTS:
        return np.arange(n)
    outer = np.geomspace(1, n, _OUTER).round().astype(int) - 1
    return np.union1d(np.linspace(0, n - 1, _KNOTS).round().astype(int), [outer, n - 1 - outer])


def _decimals(seen: np.ndarray) -> int | None:
    """The fewest decimals, up to 6, that all values have; None where they have more, or are too large to tell."""
    if not np.abs(seen).max() < 1e9:
        return 0 if (np.abs(seen).max() < 2**53 and (seen == np.round(seen)).all()) else None
    return next(
        (d for d in range(7) if (np.abs(np.round(seen, d) - seen) <= 1e-12 * np.maximum(1, np.abs(seen))).all()), None
    )


def refuse(series: pd.Series, wrong: np.ndarray, source: str, what: str) -> None:
    """Raise ReverieError where a cell is wrong, with file, row and column of the first and how many there are."""
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        more = f" ({int(wrong.sum()):,} such cells)" * int(wrong.sum() > 1)
        raise ReverieError(
            f"{source}, row {k + 2}, column '{series.name}': '{series.iloc[k]}' {what}{more}. Mend the cell, or empty it."
        )
