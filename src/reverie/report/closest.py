"""Rows and the training rows nearest to them: distances to the closest record, and rows side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from reverie.codecs.text_table import cell
from reverie.evaluation.audit import Audit, ratios
from reverie.metrics.distances import nearest
from reverie.report.nearest import ranks

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = 30  # of a row that are shown
PAIRS = 6
COPY = 1e-6  # distance below which a row is the same


class Closest(NamedTuple):
    """Distances to the closest training record: the least, the lowest twentieth, the median, and the share that are copies."""

    least: float
    low: float
    median: float
    copies: float
    n: int


class Beside(NamedTuple):
    """A sample and its closest training row, each cell with whether the two differ in it; the distance, and how it ranks."""

    rank: str
    distance: float
    sample: list[tuple[str, bool]]
    train: list[tuple[str, bool]]
    equal: int


class Table(NamedTuple):
    """Rows as text under their columns' names, and how many columns are not shown."""

    columns: list[str]
    rows: list[list[str]]
    more: int


def table(frame: pd.DataFrame, count: int) -> Table:
    """The first rows of a frame."""
    shown = frame.iloc[:count, :COLUMNS]
    return Table(list(map(str, shown.columns)), rows(shown), frame.shape[1] - shown.shape[1])


def rows(frame: pd.DataFrame) -> list[list[str]]:
    """Cells as text, by row."""
    return [list(row) for row in zip(*(map(cell, frame[name]) for name in frame.columns), strict=True)]


def closest(x: np.ndarray, train: np.ndarray) -> Closest:
    """Distances of x (N, F) to the nearest of train (M, F), both as `Codec.numbers` gives them."""
    return of_distances(nearest(x, train, 1)[0][:, 0])


def of_distances(d: np.ndarray) -> Closest:
    """The same of distances (N,) that are known."""
    low, median = (float(v) for v in np.quantile(d, [0.05, 0.5]))
    return Closest(float(d.min()), low, median, float((d < COPY).mean()), len(d))


def ratios_of(x: np.ndarray, train: np.ndarray) -> list[float]:
    """Nearest-training ratios of x (N, F), as the audit takes those of samples."""
    return ratios(x, train)[0].tolist()


def with_ratios(x: np.ndarray, train: np.ndarray) -> tuple[Closest, list[float]]:
    """`closest`, and nearest-training ratios of x (N, F) as the audit takes those of samples; both from one look at train."""
    r, near = ratios(x, train)
    return of_distances(np.linalg.norm(x.astype(np.float64) - train[near[:, 0]], axis=1)), r.tolist()


def beside(audit: Audit, samples: pd.DataFrame, train: pd.DataFrame, x: np.ndarray, y: np.ndarray) -> list[Beside]:
    """The most suspect samples and the quarters, each with its closest training row; x (N, F), y (M, F): both as numbers."""
    made = []
    for rank, k in ranks(audit.ratios):
        near = audit.nearest[k][0]
        pair = [frame.iloc[[place]] for frame, place in ((samples, k), (train[samples.columns], near))]
        a, b = (rows(one)[0] for one in pair)
        other = [u != v for u, v in zip(a, b, strict=True)]
        distance = float(np.linalg.norm(x[k].astype(np.float64) - y[near]))
        sides = [list(zip(row[:COLUMNS], other[:COLUMNS], strict=True)) for row in (a, b)]
        made.append(Beside(rank, distance, sides[0], sides[1], len(a) - sum(other)))
    return made[:3] + made[4:]
