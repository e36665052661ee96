"""Tasks forecast and impute of series.py: what held-out windows hide, and how near draws of it come.

  forecast   the last quarter of every channel
  points10   a tenth of the values, each by itself
  points50   half of them
  blocks     of each channel a quarter of the window in one piece, anywhere

The same values are hidden from every contender and for every seed. Each channel's CRPS, MAE and coverage of the 90 % interval
are means over its hidden values; the ratios to the seasonal contender are taken channel by channel and then averaged, and their
95 % interval is that of 500 resamplings of the windows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from series_data import Cut

from reverie.metrics.forecast import absolute_error, covered, crps

TASKS = {"forecast": ("forecast",), "impute": ("points10", "points50", "blocks")}
DRAWS = 19  # the ends of a 90 % interval are ranks 1 and 19 of 20; the fair CRPS does not depend on it
LIMIT = 2e7  # values among the draws that are scored at once


def hide(way: str) -> Callable[[Cut, np.random.Generator], np.ndarray]:
    """A function of windows and a generator -> (N, L, C), which observed values are hidden."""
    return lambda cut, rng: WAYS[way](cut, rng) & np.isfinite(cut.values)


def last_quarter(cut: Cut, rng: np.random.Generator) -> np.ndarray:
    steps = np.arange(cut.values.shape[1])
    hidden = steps >= (cut.lengths - np.maximum(1, cut.lengths // 4))[:, None]
    return np.broadcast_to(hidden[:, :, None], cut.values.shape)


def points(share: float) -> Callable[[Cut, np.random.Generator], np.ndarray]:
    return lambda cut, rng: rng.uniform(size=cut.values.shape) < share


def blocks(cut: Cut, rng: np.random.Generator) -> np.ndarray:
    size = np.maximum(1, cut.lengths // 4)[:, None, None]
    places = rng.uniform(size=(len(cut.values), 1, cut.values.shape[2])) * (cut.lengths[:, None, None] - size + 1)
    since = np.arange(cut.values.shape[1])[:, None] - np.floor(places)
    return (since >= 0) & (since < size)


WAYS = {"forecast": last_quarter, "points10": points(0.1), "points50": points(0.5), "blocks": blocks}


def some(cut: Cut, count: int | None) -> Cut:
    """So many windows by chance, the same for every contender and seed; all where no count is given."""
    if count is None or count >= len(cut.values):
        return cut
    return cut.take(np.sort(np.random.default_rng(0).permutation(len(cut.values))[:count]))


def held_back(way: str, cut: Cut) -> np.ndarray:
    """What of held-out windows is hidden: a function of the way alone."""
    return hide(way)(cut, np.random.default_rng(zlib.crc32(way.encode())))


def scored(draws: np.ndarray, truth: np.ndarray, hidden: np.ndarray) -> dict[str, np.ndarray]:
    """Sums of each score by window and channel, (N, C), and how many values they are of."""
    k, n = len(draws), len(truth)
    sums: dict[str, list[np.ndarray]] = {"crps": [], "mae": [], "cover90": []}
    rows = max(1, int(LIMIT // (k * truth[0].size)))
    for start in range(0, n, rows):
        part = slice(start, start + rows)
        for name, score in zip(sums, (crps, absolute_error, covered), strict=True):
            found = np.where(hidden[part], score(draws[:, part], truth[part]), 0)
            sums[name].append(found.sum(1))
    return {**{name: np.concatenate(parts) for name, parts in sums.items()}, "count": hidden.sum(1)}


def summary(mine: dict[str, np.ndarray], naive: dict[str, np.ndarray], resamplings: int = 500) -> dict[str, object]:
    """Means over channels of the scores, and ratios to the naive contender with their 95 % interval."""
    found: dict[str, object] = {}
    rng, n = np.random.default_rng(0), len(mine["count"])
    again = rng.multinomial(n, np.full(n, 1 / n), resamplings)
    shares = mine["count"].sum(0)
    for name in ("crps", "mae"):
        by_channel = mine[name].sum(0) / shares
        found[name] = float(by_channel.mean())
        found[f"{name}_by_channel"] = by_channel.round(5).tolist()
        found[f"{name}_ratio"] = float((mine[name].sum(0) / naive[name].sum(0)).mean())
        ratios = ((again @ mine[name]) / (again @ naive[name])).mean(1)
        found[f"{name}_interval"] = np.quantile(ratios, [0.025, 0.975]).round(4).tolist()
    found["cover90"] = float(mine["cover90"].sum() / shares.sum())
    return {**found, "values": int(shares.sum()), "windows": n}
