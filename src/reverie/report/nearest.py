"""Samples beside the training items nearest to them, and held-out items treated the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from reverie.codecs import Codec
from reverie.evaluation.audit import Audit, ratios
from reverie.report.tiles import Tile, tile

_RANKS = ("lowest ratio", "2nd lowest", "3rd lowest", "4th lowest")
_QUANTILES = {"lower quarter": 0.25, "median": 0.5, "upper quarter": 0.75}


class Row(NamedTuple):
    """An item, how its ratio ranks among its like, the ratio, and its nearest training items, nearest first."""

    rank: str
    ratio: float
    item: Tile
    nearest: list[Tile]


class Sides(NamedTuple):
    """Samples and, as the control, held-out items, at the same ranks; and every ratio of both."""

    samples: list[Row]
    held_out: list[Row]
    sample_ratios: list[float]
    held_out_ratios: list[float]


def sides(codec: Codec, audit: Audit, sample_x: np.ndarray, held_x: np.ndarray, train_x: np.ndarray) -> Sides:
    """Lay out both sides; x (N, C, *) encoded. All held-out items are looked at, as the audit's verdict does."""
    found, near = ratios(codec.numbers(held_x), codec.numbers(train_x))
    held_ratios, held_near = found.tolist(), near.tolist()

    def row(what: str, x: np.ndarray) -> Callable[[str, int, float, Sequence[int]], Row]:
        def made(rank: str, k: int, ratio: float, places: Sequence[int]) -> Row:
            around = [
                tile(codec, train_x[i], f"Training item {i}, nearest number {j} to this {what}")
                for j, i in enumerate(places, start=1)
            ]
            return Row(rank, ratio, tile(codec, x[k], f"{what} {k}, {rank}".capitalize()), around)

        return made

    return Sides(
        _rows(audit.ratios, audit.nearest, row("sample", sample_x)),
        _rows(held_ratios, held_near, row("held-out item", held_x)),
        list(audit.ratios),
        held_ratios,
    )


def ranks(values: Sequence[float]) -> list[tuple[str, int]]:
    """Name and place of the four lowest values and of the three quartiles; fewer where there are not so many."""
    order = np.argsort(values, kind="stable").tolist()
    chosen = dict(zip(_RANKS, order, strict=False))
    if len(order) > 2 * len(_RANKS):
        chosen |= {name: order[round(q * (len(order) - 1))] for name, q in _QUANTILES.items()}
    return list(chosen.items())


def _rows(
    values: Sequence[float], near: Sequence[Sequence[int]], row: Callable[[str, int, float, Sequence[int]], Row]
) -> list[Row]:
    return [row(name, k, values[k], near[k]) for name, k in ranks(values)]
