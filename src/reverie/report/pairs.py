"""How the columns of a table hang together: heat maps of all pairs, and plots of the few that hang together most."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reverie.codecs.cells import Category, Cells
from reverie.metrics.columns import ColumnPairTrends, empty, names
from reverie.report.marginals import label, place, short, told

MOST = 32  # columns of a heat map: those that hang together most with any other
NAMED = 20  # columns up to which each cell of a heat map says what it is
PLOTS = 6
_OFTEN = 2  # plots in which one column may be
_POINTS = 300
_TICKS = 6  # classes that an axis names
_SIDE = 120.0  # of a plot, in its own units
_LETTER = 4.5  # of which a letter takes so many
_ROOM = 9  # letters at the left of a plot


class Square(NamedTuple):
    """One cell of a heat map: its place, its value in [-1, 1], and in words what it is, empty where there are many."""

    x: int
    y: int
    value: float
    words: str


class Map(NamedTuple):
    """A heat map: what it shows, and its cells."""

    title: str
    squares: list[Square]


class Axis(NamedTuple):
    """An axis of a plot: its column, its ends as text, (place, name) of the classes that it names, and what numbers stand for."""

    name: str
    low: str
    high: str
    ticks: list[tuple[float, str]]
    legend: str = ""


class Plot(NamedTuple):
    """Two columns against each other: axes, points of held-out rows and of samples as SVG paths; how tied, and how alike."""

    x: Axis
    y: Axis
    real: str
    made: str
    tie: float
    made_tie: float
    score: float


class Together(NamedTuple):
    """The columns of the heat maps in order, how many there are in all, the maps, and the plots."""

    names: list[str]
    every: int
    maps: list[Map]
    plots: list[Plot]


def together(cells: list[Cells], real: np.ndarray, made: np.ndarray) -> Together | None:
    """Show how columns hang together in held-out records (N,) and in samples (M,); None where there is one column."""
    columns = names(real)
    if len(columns) < 2:
        return None
    found = ColumnPairTrends().pairs(real, made)
    strength, chosen = _chosen(found.real)
    shown = [columns[k] for k in chosen]
    grid = np.ix_(chosen, chosen)
    maps = [
        heat_map("held-out rows", found.real[grid], shown),
        heat_map("samples", found.generated[grid], shown),
        heat_map("difference: samples less held-out", (found.generated - found.real)[grid], shown),
    ]
    of = {c.name: c for c in cells}
    plots = []
    for i, j in _strongest(strength):
        a, b = (columns[i], columns[j]) if isinstance(of[columns[i]], Category) else (columns[j], columns[i])
        plots.append(_plot(of[a], of[b], real, made, found.real[i, j], found.generated[i, j], found.alike[i, j]))
    return Together([short(n, 14) for n in shown], len(columns), maps, plots)


def of_one(records: np.ndarray, most: int) -> tuple[list[str], Map | None]:
    """The columns of one set of records and their heat map, on at most so many rows, evenly spread; None for one column."""
    columns = names(records)
    if len(columns) < 2:
        return [], None
    some = records[np.linspace(0, len(records) - 1, min(most, len(records))).astype(np.int64)]
    tie = ColumnPairTrends().pairs(some, some).real
    _, chosen = _chosen(tie)
    shown = [columns[k] for k in chosen]
    return [short(n, 14) for n in shown], heat_map("all rows", tie[np.ix_(chosen, chosen)], shown)


def _chosen(tie: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """How strongly columns hang together (C, C), and the columns that do most with any other, in the table's order."""
    strength = np.nan_to_num(np.abs(tie))
    return strength, np.sort(np.argsort(-strength.max(1), kind="stable")[:MOST]).tolist()


def heat_map(title: str, values: np.ndarray, columns: list[str]) -> Map:
    """Values (C, C) in [-1, 1] as a heat map, NaN left out; each cell in words where columns are few."""
    named = len(columns) <= NAMED
    return Map(
        title,
        [
            Square(x, y, float(v), f"{columns[y]} and {columns[x]}: {v:+.2f}" if named else "")
            for y, row in enumerate(values)
            for x, v in enumerate(row)
            if not np.isnan(v)
        ],
    )


def _strongest(strength: np.ndarray) -> list[tuple[int, int]]:
    """The pairs that hang together most, none of their columns in more than two."""
    above = np.triu_indices(len(strength), 1)
    often = np.zeros(len(strength), np.int64)
    found: list[tuple[int, int]] = []
    for k in np.argsort(-strength[above], kind="stable").tolist():
        i, j = int(above[0][k]), int(above[1][k])
        if len(found) < PLOTS and max(often[i], often[j]) < _OFTEN:
            found.append((i, j))
            often[[i, j]] += 1
    return found


def _plot(a: Cells, b: Cells, real: np.ndarray, made: np.ndarray, tie: float, made_tie: float, score: float) -> Plot:
    axes = [_axis(c, real[c.name], across) for c, across in ((a, True), (b, False))]
    paths = []
    for records in (real, made):
        known = records[~(empty(records[a.name]) | empty(records[b.name]))][:_POINTS]
        x, y = (_at(c, known[c.name], real[c.name], key) for key, c in enumerate((a, b)))
        paths.append("".join(f"M{u:.1f} {_SIDE - v:.1f}h0" for u, v in zip(x, y, strict=True)))
    return Plot(axes[0], axes[1], paths[0], paths[1], float(tie), float(made_tie), float(score))


def _axis(column: Cells, x: np.ndarray, across: bool) -> Axis:
    """An axis across or up; classes whose names have no room beside each other are numbered, and named in a legend."""
    if isinstance(column, Category):
        count = len(column.values)
        middles = (np.arange(count) + 0.5) * _SIDE / count
        if count > _TICKS:
            return Axis(column.name, "", "", [])
        called = list(map(label, column.values))
        room = int(_SIDE / count / _LETTER) if across else _ROOM
        legend = "" if max(map(len, called)) <= room else ", ".join(f"{k} {name}" for k, name in enumerate(called, 1))
        shown = [str(k) for k in range(1, count + 1)] if legend else called
        return Axis(column.name, "", "", list(zip(middles.tolist(), shown, strict=True)), legend)
    low, high = place(column, x[~np.isnan(x)])
    return Axis(column.name, told(column, low), told(column, high), [])


def _at(column: Cells, x: np.ndarray, real: np.ndarray, key: int) -> np.ndarray:
    """Places on an axis: numbers between its ends, classes spread over a stretch of their own."""
    if isinstance(column, Category):
        spread = np.random.default_rng(key).uniform(0.12, 0.88, len(x))
        return (x + spread) * _SIDE / len(column.values)
    low, high = place(column, real[~np.isnan(real)])
    return np.clip((x - low) / ((high - low) or 1.0), 0, 1) * _SIDE
