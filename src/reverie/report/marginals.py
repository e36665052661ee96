"""What each column of a table holds, as small charts: of one set of records, or of held-out records beside samples."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from reverie.codecs.cells import Category, Cells, Number
from reverie.metrics.columns import ColumnShapes, empty, names

MOST = 40  # columns shown
_CLASSES = 8  # of a column, the commonest; the others are one bar
_BINS = 24
_WIDTH, _HEIGHT = 240.0, 72.0  # of a histogram, in its own units
_TAIL = 0.005  # of either end that may lie beyond the histogram, in its outermost bins
_LETTERS = 18


class Bar(NamedTuple):
    """A class, its share of the real cells, and of the samples'; shares in percent, of the cells that are not empty."""

    name: str
    real: float
    made: float | None


class Marginal(NamedTuple):
    """One column. score: how alike its two distributions are, None for one set. low, high: the ends of the histogram as text.

    missing, made_missing: shares of empty cells. bars: of classes. area, line: the histogram's paths, of real
    cells and of samples.
    """

    name: str
    about: str
    score: float | None
    missing: float
    made_missing: float | None
    bars: list[Bar]
    low: str
    high: str
    area: str
    line: str

    @property
    def words(self) -> str:
        """What the chart shows, for who cannot see it."""
        both = "" if self.score is None else f", samples beside held-out ones; score {self.score:.3f}"
        return f"Distribution of {self.name}{both}"


def marginals(cells: list[Cells], real: np.ndarray, made: np.ndarray | None = None) -> list[Marginal]:
    """Every column of records (N,), the least alike first where there are samples (M,)."""
    of = {c.name: c for c in cells}
    scores: dict[str, Any] = dict.fromkeys(names(real)) if made is None else ColumnShapes().by_column(real, made)
    found = [_marginal(of[name], scores[name], real[name], None if made is None else made[name]) for name in scores]
    return found if made is None else sorted(found, key=lambda m: m.score or 0.0)


def place(column: Cells, x: np.ndarray) -> tuple[float, float]:
    """Ends of an axis for numbers (N,): all but the outermost half percent on either side."""
    low, high = (float(v) for v in np.quantile(x, [_TAIL, 1 - _TAIL])) if len(x) else (0.0, 1.0)
    if isinstance(column, Number):
        low, high = (low, high) if high > low else (column.low, column.high)
        low, high = (math.floor(low), math.ceil(high)) if column.decimals == 0 else (low, high)
    return low, high


def told(column: Cells, value: float) -> str:
    """A value of a column as a person reads it: dates as dates."""
    if isinstance(column, Number) and column.format is not None:
        return str(column.series(np.array([float(value)])).iloc[0])[:16]
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def label(value: object) -> str:
    """A class as a person reads it: 2 rather than 2.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def short(text: str, letters: int = _LETTERS) -> str:
    """A name, cut where it is long."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _marginal(column: Cells, score: float | None, real: np.ndarray, made: np.ndarray | None) -> Marginal:
    sides = [real] if made is None else [real, made]
    missing = [float(empty(x).mean()) for x in sides]
    seen = [x[~empty(x)] for x in sides]
    start = Marginal(
        column.name, column.words, score, missing[0], None if made is None else missing[1], [], "", "", "", ""
    )
    if isinstance(column, Category):
        return start._replace(bars=_bars(column, seen))
    low, high, edges = _edges(column, seen[0])
    shares = [np.histogram(np.clip(x, low, high), edges)[0] / max(1, len(x)) for x in seen]
    top = max(float(s.max()) for s in shares) or 1.0
    paths = [_steps(s / top) for s in shares]
    return start._replace(low=told(column, low), high=told(column, high), area=paths[0], line=paths[-1])


def _bars(column: Category, seen: list[np.ndarray]) -> list[Bar]:
    shares = [100 * np.bincount(x, minlength=len(column.values)) / max(1, len(x)) for x in seen]
    order = np.argsort(-np.maximum(shares[0], shares[-1]), kind="stable").tolist()
    if all(isinstance(v, int | float) for v in column.values) and len(order) <= _CLASSES:
        order = sorted(order)
    shown, rest = (order, []) if len(order) <= _CLASSES + 1 else (order[:_CLASSES], order[_CLASSES:])

    def pick(places: list[int]) -> list[float]:
        return [float(s[places].sum()) for s in shares]

    lines = [(short(label(column.values[k])), pick([k])) for k in shown]
    lines += [(f"{len(rest)} others", pick(rest))] if rest else []
    return [Bar(name, share[0], share[1] if len(share) > 1 else None) for name, share in lines]


def _edges(column: Cells, x: np.ndarray) -> tuple[float, float, np.ndarray]:
    """Ends and edges of the bins; whole numbers get bins of equally many of them, or they would seem to come in waves."""
    low, high = place(column, x)
    if isinstance(column, Number) and column.decimals == 0:
        width = max(1, math.ceil((high - low + 1) / _BINS))
        edges = np.arange(low - 0.5, high + width, width)
        return low, high, edges
    return low, high, np.linspace(low, high if high > low else low + 1, _BINS + 1)


def _steps(heights: np.ndarray) -> str:
    """An SVG path over bars of these heights, in [0, 1], from the left foot to the right one."""
    wide = _WIDTH / len(heights)
    parts = [f"M0 {_HEIGHT:g}"]
    for k, h in enumerate(heights.tolist()):
        parts.append(f"V{_HEIGHT * (1 - 0.96 * h):.1f}H{wide * (k + 1):.1f}")
    return "".join(parts) + f"V{_HEIGHT:g}"
